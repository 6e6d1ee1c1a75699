"""The command line: its flags are the inputs, by their names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from gitops_promote import __version__
from gitops_promote.inputs import PREFIX, PROMOTE_INPUTS, ROLLBACK_INPUTS, TAGS_INPUTS, Input

FORMATS = ("text", "json", "markdown")

#: The commands, and their inputs.
COMMANDS = {"promote": PROMOTE_INPUTS, "rollback": ROLLBACK_INPUTS, "tags": TAGS_INPUTS}

_HELP = {
    "promote": "edit an environment's files in the config repository and deliver the change",
    "rollback": "go back to the version that an environment ran before",
    "tags": "compute an image's tags from CI metadata, and say why each rule gives one or not",
}
_DESCRIPTIONS = {
    "promote": "Edit an environment's files in the config repository, as one commit.",
    "rollback": "Take an environment back to the version that ran before, by the config "
    "repository's history and in the environment's own mode. It holds: automatic runs leave it "
    "alone until they bring a newer version than the one rolled back from.",
    "tags": "Compute an image's tags by docker/metadata-action's rules, from the metadata of the "
    "CI run; outside of one, from the git checkout. Each rule is shown with its tag, or with why "
    "it gives none.",
}
_GROUPS = {
    "what": "what",
    "where": "where",
    "how": "how",
    "review": "pull request",
    "guards": "guards",
    "auth": "authentication",
}


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Args:
        arguments: The arguments, without the program's name.

    Returns:
        `command`, `format`, and each input's flag by its name; None where it wasn't given.

    Raises:
        SystemExit: The arguments are wrong (status 2), or only ask for help (status 0).
    """
    parser = argparse.ArgumentParser(
        prog="gitops-promote",
        description="Promote a container image to an environment the GitOps way.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, inputs in COMMANDS.items():
        _add_command(commands, name, inputs)
    return parser.parse_args(arguments)


def environment(arguments: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the flags in it, as `inputs.load` takes it.

    Args:
        arguments: What `parse_arguments` returned.
        environ: The environment, in which an input may stand by its variable's name.

    Returns:
        A copy of `environ`; a flag goes before a variable.
    """
    merged = dict(environ)
    for item in COMMANDS[arguments.command]:
        value = getattr(arguments, _attribute(item), None)
        if value is not None:
            merged[item.variable] = "\n".join(value) if isinstance(value, list) else value
    if arguments.command == "rollback":
        merged[f"{PREFIX}ROLLBACK"] = "true"
    return merged


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    inputs: Sequence[Input],
) -> None:
    secrets = ", ".join(item.variable for item in inputs if item.secret)
    epilog = "Every input can stand in the environment, as GITOPS_PROMOTE_APP for --app; a flag "
    epilog += "goes before it."
    if secrets:
        epilog += f" Secrets are taken from there alone: {secrets}."
    parser = commands.add_parser(
        name,
        help=_HELP[name],
        description=_DESCRIPTIONS[name],
        epilog=epilog,
        formatter_class=_Formatter,
        # An abbreviation would become another flag's, or nobody's, with the next input.
        allow_abbrev=False,
    )
    for group_name, title in _GROUPS.items():
        members = [item for item in inputs if item.group == group_name and not item.secret]
        if members:
            group = parser.add_argument_group(title)
            for item in members:
                _add_flag(group, item)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format", choices=FORMATS, default="text", help="How to report. (default: text)"
    )


def _add_flag(group: argparse._ArgumentGroup, item: Input) -> None:
    default = item.default or item.default_text
    text = item.help.replace("%", "%%").replace("`", "")
    if default:
        text += f" (default: {default.replace('%', '%%').replace('`', '')})"
    flag, target = item.flag, _attribute(item)
    if item.many:
        group.add_argument(flag, dest=target, action="append", metavar="ITEM", help=text)
    elif item.choices == ("true", "false"):
        group.add_argument(
            flag, dest=target, nargs="?", const="true", choices=item.choices, help=text
        )
    elif item.choices:
        group.add_argument(flag, dest=target, choices=item.choices, help=text)
    else:
        group.add_argument(flag, dest=target, metavar="TEXT", help=text)


def _attribute(item: Input) -> str:
    return "input_" + item.name.replace("-", "_")
