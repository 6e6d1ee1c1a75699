"""What lies between the version that runs and the one that is promoted, in the app's repository."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceCommit:
    """A commit of the app's repository: its full hash, its first line and its author's name."""

    id: str
    subject: str
    author: str


@dataclass(frozen=True, slots=True)
class History:
    """What a promotion adds, from the commit `old` to the commit `new` of the app's repository.

    `commits` are the newest first, and need not be all: `total` counts them. `behind` counts the
    commits that are taken away, as by going back to an older version.
    """

    server_url: str
    repository: str
    old: str
    new: str
    commits: tuple[SourceCommit, ...] = ()
    total: int = 0
    behind: int = 0

    @property
    def compare_url(self) -> str:
        """The page that shows the difference."""
        return f"{self.server_url}/{self.repository}/compare/{self.old}...{self.new}"
