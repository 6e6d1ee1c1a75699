"""The program: wires the parts together, and is the only place that ends the process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from gitops_promote.cli import environment, parse_arguments
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.report import (
    Outcome,
    error_markdown,
    output_texts,
    to_json,
    to_markdown,
    versions,
)
from gitops_promote.effects.console import Console
from gitops_promote.effects.workflow import write_outputs, write_summary
from gitops_promote.inputs import load
from gitops_promote.promote import promote


def main(arguments: list[str], environ: Mapping[str, str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: The command line, without the program's name.
        environ: The environment; that of the process where it isn't given.

    Returns:
        The exit status: 0 done, or nothing to do; 1 refused or failed; 2 wrong usage.
    """
    environ = os.environ if environ is None else environ
    try:
        parsed = parse_arguments(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    console = Console.for_environment(environ, quiet=parsed.format != "text")
    try:
        outcome = promote(load(environment(parsed, environ)), environ, console)
    except PromoteError as error:
        console.fail(error)
        write_summary(error_markdown(error), environ)
        return error.exit_status
    _report(outcome, parsed.format, console, environ)
    return 0


def run() -> None:
    """The console script's entry."""
    for stream in (sys.stdout, sys.stderr):
        # A job's or a terminal's encoding may lack what a file name or a message has.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)


def _report(
    outcome: Outcome, style: str, console: Console, environ: Mapping[str, str]
) -> None:
    if style == "json":
        print(to_json(outcome))
    elif style == "markdown":
        print(to_markdown(outcome), end="")
    else:
        _show(outcome, console)
    for text in outcome.plan.warnings:
        console.warn(text)
    write_outputs(output_texts(outcome), environ)
    write_summary(to_markdown(outcome), environ)


def _show(outcome: Outcome, console: Console) -> None:
    console.show_untrusted(console.paint(outcome.headline, "bold"))
    for change in outcome.plan.changes:
        old, new = versions(change)
        arrow = f"{console.paint(old, 'red')} → {console.paint(new, 'green')}"
        shown = arrow if old != new else console.paint(f"{new} (unchanged)", "dim")
        place = console.paint(f"{change.path}:{change.line}", "dim")
        console.say(f"  {change.image}  {shown}  {place}")
    if outcome.plan.diff:
        console.say()
        console.show_diff(outcome.plan.diff)
        console.say()
    place = f"{outcome.branch} of {outcome.repository}"
    if outcome.commit:
        where = f" {outcome.commit_url}" if outcome.commit_url else ""
        console.say(console.paint(f"✓ Pushed {outcome.commit[:10]} to {place}.{where}", "green"))
    elif outcome.changed:
        console.say(f"Nothing was written to {place}.")


if __name__ == "__main__":
    run()
