"""The program: wires the parts together, and is the only place that ends the process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress

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

_INTERRUPTED = 130


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
        return _fail(error, console, environ)
    except OSError as error:
        what = f"The machine failed, and nothing was written: {error}."
        return _fail(PromoteError(what, "Run it again."), console, environ)
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        _report(outcome, parsed.format, console, environ)
    except OSError as error:
        done = "It is done" if outcome.commit else "Nothing was written"
        return _fail(PromoteError(f"{done}, but can't be reported: {error}."), console, {})
    return 0


def run() -> None:
    """The console script's entry."""
    for stream in (sys.stdout, sys.stderr):
        # A job's or a terminal's encoding may lack what a file name or a message has.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    # As an interrupt, so that what is private in the temporary folder is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))


def _fail(error: PromoteError, console: Console, environ: Mapping[str, str]) -> int:
    with suppress(OSError):
        console.fail(error)
        write_summary(error_markdown(error), environ)
    return error.exit_status


def _report(outcome: Outcome, style: str, console: Console, environ: Mapping[str, str]) -> None:
    # The outputs first: later steps rest on them, whatever becomes of the log.
    write_outputs(output_texts(outcome), environ)
    write_summary(to_markdown(outcome), environ)
    if style == "json":
        print(to_json(outcome), flush=True)
    elif style == "markdown":
        print(to_markdown(outcome), end="", flush=True)
    else:
        console.show_untrusted(_text(outcome, console))
    for text in outcome.plan.warnings:
        console.warn(text)


def _text(outcome: Outcome, console: Console) -> str:
    paint = console.paint
    lines = [paint(outcome.headline, "bold")]
    for change in outcome.plan.changes:
        old, new = versions(change)
        arrow = f"{paint(old, 'red')} → {paint(new, 'green')}"
        shown = arrow if old != new else paint(f"{new} (unchanged)", "dim")
        place = paint(f"{change.path}:{change.line}", "dim")
        lines.append(f"  {paint(change.image)}  {shown}  {place}")
    if outcome.plan.diff:
        lines += ["", *console.diff_lines(outcome.plan.diff), ""]
    place = f"{outcome.branch} of {outcome.repository}"
    if outcome.commit:
        where = f" {outcome.commit_url}" if outcome.commit_url else ""
        lines.append(paint(f"✓ Pushed {outcome.commit[:10]} to {place}.{where}", "green"))
    elif outcome.changed:
        lines.append(paint(f"Nothing was written to {place}."))
    return "\n".join(lines)


if __name__ == "__main__":
    run()
