"""The command line: its flags are the inputs, by their names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from gitops_promote import __version__
from gitops_promote.inputs import INPUTS, Input

FORMATS = ("text", "json", "markdown")

_GROUPS = {
    "what": "what to promote",
    "where": "where to",
    "how": "how",
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
    secrets = ", ".join(item.variable for item in INPUTS if item.secret)
    promote = commands.add_parser(
        "promote",
        help="edit an environment's files in the config repository and deliver the change",
        description="Edit an environment's files in the config repository, as one commit.",
        epilog=f"Secrets are taken from the environment: {secrets}. Every input can stand there "
        "by such a name; a flag goes before it.",
        formatter_class=_Formatter,
        # An abbreviation would become another flag's, or nobody's, with the next input.
        allow_abbrev=False,
    )
    _add_inputs(promote)
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
    for item in INPUTS:
        value = getattr(arguments, _attribute(item), None)
        if value is not None:
            merged[item.variable] = "\n".join(value) if isinstance(value, list) else value
    return merged


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    for name, title in _GROUPS.items():
        group = parser.add_argument_group(title)
        for item in INPUTS:
            if item.group == name and not item.secret:
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
