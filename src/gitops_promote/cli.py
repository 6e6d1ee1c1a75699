"""The command line: its flags are the inputs, by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitops_promote import __version__
from gitops_promote.inputs import PREFIX, PROMOTE_INPUTS, ROLLBACK_INPUTS, TAGS_INPUTS, Input

if TYPE_CHECKING:
    from argparse import ArgumentParser, HelpFormatter, _ArgumentGroup, _SubParsersAction

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


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command line. `flags` has the inputs that are given in it, by their variables."""

    command: str
    format: str = FORMATS[0]
    flags: Mapping[str, str] = field(default_factory=dict)


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Read the command line.

    Args:
        arguments: The arguments, without the program's name.

    Returns:
        What they say.

    Raises:
        SystemExit: The arguments are wrong (status 2), or only ask for help (status 0).
    """
    if len(arguments) == 1 and arguments[0] in COMMANDS:
        # As the actions call it; argparse takes its time to load.
        return Arguments(arguments[0])
    parsed = _parser(arguments).parse_args(arguments)
    flags = {}
    for item in COMMANDS[parsed.command]:
        value = getattr(parsed, _attribute(item), None)
        if value is not None:
            flags[item.variable] = "\n".join(value) if isinstance(value, list) else value
    return Arguments(parsed.command, parsed.format, flags)


def environment(arguments: Arguments, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the flags in it, as `inputs.load` takes it.

    Args:
        arguments: What `parse_arguments` returned.
        environ: The environment, in which an input may stand by its variable's name.

    Returns:
        A copy of `environ`; a flag goes before a variable.
    """
    merged = {**environ, **arguments.flags}
    if arguments.command == "rollback":
        merged[f"{PREFIX}ROLLBACK"] = "true"
    return merged


def _parser(arguments: Sequence[str]) -> ArgumentParser:
    from argparse import ArgumentParser  # noqa: PLC0415  (start-up time)

    parser = ArgumentParser(
        prog="gitops-promote",
        description="Promote a container image to an environment the GitOps way.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, inputs in COMMANDS.items():
        # The flags of a command that isn't called are never asked for, and take time to make.
        _add_command(commands, name, inputs if name in arguments else ())
    return parser


def _formatter(prog: str) -> HelpFormatter:
    from argparse import HelpFormatter  # noqa: PLC0415  (start-up time)

    return HelpFormatter(prog, max_help_position=30)


def _add_command(
    commands: _SubParsersAction[ArgumentParser],
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
        formatter_class=_formatter,
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


def _add_flag(group: _ArgumentGroup, item: Input) -> None:
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
