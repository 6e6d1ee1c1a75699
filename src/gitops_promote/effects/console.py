"""What a person sees while it runs: on a terminal or in a job's log."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from gitops_promote.core.errors import PromoteError
from gitops_promote.effects.ci import in_job
from gitops_promote.effects.workflow import annotation, untrusted

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
# Control characters, and those that turn the direction of what follows.
_UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TITLE = "GitOps Promote"


@dataclass(frozen=True)
class Console:
    """Where messages go. In a job warnings and errors are annotations too."""

    stream: TextIO
    colour: bool
    job: bool

    @classmethod
    def for_environment(cls, environ: Mapping[str, str], *, quiet: bool) -> Console:
        """The console of this process.

        Args:
            environ: The environment; `NO_COLOR` is obeyed.
            quiet: Whether standard output is left to a report that isn't for this console.

        Returns:
            The console.
        """
        job = in_job(environ)
        stream = sys.stderr if quiet else sys.stdout
        colour = (job or stream.isatty()) and not environ.get("NO_COLOR") and not quiet
        return cls(stream, colour, job)

    def say(self, text: str = "") -> None:
        """Print a line of our own.

        Args:
            text: The line.
        """
        print(text, file=self.stream, flush=True)

    def paint(self, text: str, *styles: str) -> str:
        """A text with nothing in it that a terminal obeys, in colour where there is colour.

        Args:
            text: The text.
            *styles: Names of `_CODES`; none for plain text.

        Returns:
            The text, ready to print.
        """
        text = _visible(text)
        if not self.colour or not text or not styles:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"

    def diff_lines(self, diff: str) -> list[str]:
        """The lines of a difference of files, painted.

        Args:
            diff: The difference, as `diff_file` gives it.

        Returns:
            Its lines, ready to print.
        """
        return [self._diff_line(line) for line in diff.removesuffix("\n").split("\n")]

    def show_untrusted(self, text: str) -> None:
        """Print a text that has parts from outside, so that a runner obeys none of its lines.

        Args:
            text: The text, its control characters taken out by `paint`.
        """
        self.say(untrusted(text) if self.job else text)

    def warn(self, text: str) -> None:
        """Print a warning.

        Args:
            text: The warning.
        """
        if self.job:
            self.say(annotation("warning", _TITLE, text))
        else:
            self.say(f"{self.paint('warning:', 'yellow', 'bold')} {self.paint(text)}")

    def note(self, text: str) -> None:
        """Print what somebody has to know.

        Args:
            text: The note.
        """
        if self.job:
            self.say(annotation("notice", _TITLE, text))
        else:
            self.say(f"{self.paint('note:', 'cyan', 'bold')} {self.paint(text)}")

    def fail(self, error: PromoteError) -> None:
        """Print an error.

        Args:
            error: The error.
        """
        if self.job:
            self.say(annotation("error", _TITLE, str(error)))
            return
        where = f"{error.where}: " if error.where else ""
        label = self.paint("error:", "red", "bold")
        print(f"{label} {self.paint(where + error.what)}", file=sys.stderr, flush=True)
        if error.fix:
            print(f"       {self.paint(error.fix)}", file=sys.stderr, flush=True)

    def _diff_line(self, line: str) -> str:
        if line.startswith(("diff ", "--- ", "+++ ")):
            return self.paint(line, "bold")
        # A CR before the line feed is the file's own and harmless.
        line = line.removesuffix("\r")
        styles = {"+": "green", "-": "red", "@": "cyan", "\\": "dim"}
        return self.paint(line, styles[line[0]]) if line[:1] in styles else self.paint(line)


def _visible(text: str) -> str:
    """A text without what could rewrite or reorder what is on a terminal."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)
