"""The errors a user sees. Anything else that is raised is a bug and shows its traceback."""

from __future__ import annotations


class PromoteError(Exception):
    """A refusal or failure that repeating will not cure: what happened, where, and what to do next.

    Args:
        what: One sentence that says what is wrong, ending in a full stop.
        fix: One sentence that says what to do next, ending in a full stop.
        path: The file of the config repository it is about, relative to its root.
        line: The line of that file, counted from 1.
        column: The column of that line, counted from 1.
    """

    exit_status = 1

    def __init__(
        self, what: str, fix: str = "", *, path: str = "", line: int = 0, column: int = 0
    ) -> None:
        self.what = what
        self.fix = fix
        self.path = path
        self.line = line
        self.column = column
        super().__init__(what)

    @property
    def where(self) -> str:
        """The place as `path:line:column`, as far as it is known."""
        numbers = (number for number in (self.line, self.line and self.column) if number)
        return ":".join([self.path, *map(str, numbers)]) if self.path else ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return " ".join(part for part in (place + self.what, self.fix) if part)


class UsageError(PromoteError):
    """The call itself is wrong: an input is missing, unknown or malformed."""

    exit_status = 2


class MalformedError(Exception):
    """What is wrong with a part of an input; who knows the whole makes a `UsageError` of it.

    Args:
        problem: What is wrong, without the full stop; it follows the name of the part, as in
            "has the unknown date token `yyyy`".
        allowed: A sentence that lists what is allowed there.
    """

    def __init__(self, problem: str, allowed: str) -> None:
        self.problem = problem
        self.allowed = allowed
        super().__init__(f"{problem}. {allowed}")


class RetryableError(PromoteError):
    """A failure that may pass: planning again on a fresh head, or waiting, can succeed.

    Args:
        what: As for `PromoteError`.
        fix: As for `PromoteError`.
        wait: For how many seconds the server asks to be left alone; 0 where it doesn't say.
    """

    def __init__(self, what: str, fix: str = "", *, wait: float = 0) -> None:
        self.wait = wait
        super().__init__(what, fix)


class MovedHeadError(RetryableError):
    """The branch moved between reading it and pushing to it: plan again on the new head."""


class BusyError(RetryableError):
    """The server works, but for others just now: a lock is held, or too many ask at once."""


class ImageNotFoundError(PromoteError):
    """A target doesn't hold the image; another target of the same call may."""


class FilledError(PromoteError):
    """A target has the image, with a version that another program fills in."""
