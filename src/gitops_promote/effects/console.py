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
            quiet: Whether standard output is for a program to read.

        Returns:
            The console.
        """
        job = in_job(environ)
        stream = sys.stderr if quiet else sys.stdout
        colour = (job or stream.isatty()) and not environ.get("NO_COLOR") and not quiet
        return cls(stream, colour, job)

    def say(self, text: str = "") -> None:
        """Print a line of our own."""
        print(text, file=self.stream, flush=True)

    def paint(self, text: str, *styles: str) -> str:
        """A text in colour, where there is colour."""
        if not self.colour or not text:
            return text
        return f"\x1b[{';'.join(_CODES[style] for style in styles)}m{text}\x1b[0m"

    def show_diff(self, diff: str) -> None:
        """Print a difference of files, in colour, with nothing in it that a terminal obeys."""
        lines = [self._diff_line(_visible(line)) for line in diff.rstrip("\n").split("\n")]
        self.show_untrusted("\n".join(lines))

    def show_untrusted(self, text: str) -> None:
        """Print a text from outside, so that a runner doesn't obey it."""
        self.say(untrusted(text) if self.job else text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        if self.job:
            self.say(annotation("warning", _TITLE, text))
        else:
            self.say(f"{self.paint('warning:', 'yellow', 'bold')} {_visible(text)}")

    def fail(self, error: PromoteError) -> None:
        """Print an error."""
        if self.job:
            self.say(annotation("error", _TITLE, str(error)))
            return
        where = f"{error.where}: " if error.where else ""
        print(
            f"{self.paint('error:', 'red', 'bold')} {_visible(where + error.what)}", file=sys.stderr
        )
        if error.fix:
            print(f"       {_visible(error.fix)}", file=sys.stderr)

    def _diff_line(self, line: str) -> str:
        if line.startswith(("diff ", "--- ", "+++ ")):
            return self.paint(line, "bold")
        styles = {"+": "green", "-": "red", "@": "cyan", "\\": "dim"}
        return self.paint(line, styles[line[0]]) if line[:1] in styles else line


def _visible(text: str) -> str:
    """A text without control characters, which could rewrite what is on a terminal."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text)
