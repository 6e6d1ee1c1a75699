"""The program: wires the parts together, and is the only place that ends the process."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gitops_promote.cli import Arguments, environment, parse_arguments
from gitops_promote.core.errors import PromoteError
from gitops_promote.effects.console import Console
from gitops_promote.effects.workflow import write_outputs, write_summary
from gitops_promote.inputs import PREFIX, load, load_tags

_INTERRUPTED = 130
_FAILED = {
    "promote": "Nothing was promoted",
    "rollback": "Nothing was rolled back",
    "tags": "No tags were computed",
}


@dataclass(frozen=True)
class _Report:
    """What a command has to say. `done` says what has happened, should that fail to be said."""

    outputs: Mapping[str, str]
    json: str
    markdown: str
    text: str
    warnings: Sequence[str]
    done: str
    is_summary: bool
    notice: str = ""


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
    merged = environment(parsed, environ)
    # What an action calls is one command, and going back an input of it.
    goes_back = merged.get(f"{PREFIX}ROLLBACK", "").strip() == "true"
    title = _FAILED["rollback" if goes_back and parsed.command == "promote" else parsed.command]
    try:
        report = _COMMANDS[parsed.command](parsed, environ, console)
    except PromoteError as error:
        return _fail(error, title, console, environ)
    except OSError as error:
        what = f"The machine failed, and nothing was written: {error}."
        return _fail(PromoteError(what, "Run it again."), title, console, environ)
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        _show(report, parsed.format, console, environ)
    except OSError as error:
        what = f"{report.done}, but can't be reported: {error}."
        return _fail(PromoteError(what), title, console, {})
    return 0


def run() -> None:
    """The console script's entry."""
    for stream in (sys.stdout, sys.stderr):
        # A job's or a terminal's encoding may lack what a file name or a message has.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    # The trees of many files are kept to the end: to search them for cycles again and again takes
    # more time the more files there are, and frees nothing.
    gc.set_threshold(100_000)
    # As an interrupt, so that what is private in the temporary folder is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = main(sys.argv[1:])
    # Nor are they searched at the end of the process, which frees them all.
    gc.freeze()
    sys.exit(status)


def _fail(error: PromoteError, title: str, console: Console, environ: Mapping[str, str]) -> int:
    from gitops_promote.core.report import error_markdown  # noqa: PLC0415  (start-up time)

    with suppress(OSError):
        console.fail(error)
        write_summary(error_markdown(error, title), environ)
    return error.exit_status


def _show(report: _Report, style: str, console: Console, environ: Mapping[str, str]) -> None:
    # The outputs first: later steps rest on them, whatever becomes of the log.
    write_outputs(report.outputs, environ)
    if report.is_summary:
        write_summary(report.markdown, environ)
    if style == "json":
        print(report.json, flush=True)
    elif style == "markdown":
        print(report.markdown, end="", flush=True)
    else:
        console.show_untrusted(report.text)
    for text in report.warnings:
        console.warn(text)
    if report.notice:
        console.note(report.notice)


def _promote(parsed: Arguments, environ: Mapping[str, str], console: Console) -> _Report:
    from gitops_promote.promotion.promote import promote  # noqa: PLC0415  (each command pays for itself)

    outcome = promote(load(environment(parsed, environ)), environ, console)
    from gitops_promote.core import report  # noqa: PLC0415  (git is faster to start without)
    from gitops_promote.effects.text import promotion_text  # noqa: PLC0415

    return _Report(
        outputs=report.output_texts(outcome),
        json=report.to_json(outcome),
        markdown=report.to_markdown(outcome),
        text=promotion_text(outcome, console),
        warnings=outcome.warnings,
        done="It is done" if outcome.commit else "Nothing was written",
        is_summary=True,
        notice=report.notice(outcome),
    )


def _tags(parsed: Arguments, environ: Mapping[str, str], console: Console) -> _Report:
    from gitops_promote.core.tags import report  # noqa: PLC0415  (each command pays for itself)
    from gitops_promote.effects.text import tags_text  # noqa: PLC0415
    from gitops_promote.tags import tags  # noqa: PLC0415

    computed = tags(load_tags(environment(parsed, environ)), environ)
    return _Report(
        outputs=report.output_texts(computed),
        json=report.to_json(computed),
        markdown=report.to_markdown(computed),
        text=tags_text(computed, console),
        warnings=computed.warnings,
        done="The tags are computed",
        # A build's summary is its own; what became of the rules is in the log.
        is_summary=False,
    )


_COMMANDS = {"promote": _promote, "rollback": _promote, "tags": _tags}


if __name__ == "__main__":
    run()
