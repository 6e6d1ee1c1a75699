"""What lies between the version that runs and the one that is promoted, in the app's repository."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitops_promote.core.images import is_tag

_MOST_CANDIDATES = 12
# A commit's short or full hash, as a part of a tag: `1a2b3c4`, `sha-1a2b3c4`, `1a2b3c4-42`.
_HASH = re.compile(r"(?<![^._-])g?([0-9a-f]{7,40})(?![^._-])")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)+(?:[._-].+)?)", re.IGNORECASE)
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


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


def old_candidates(old_version: str, app: str) -> tuple[str, ...]:
    """Find what the commit of a version may be called in the app's repository.

    Args:
        old_version: What a file says: `TAG`, `TAG@DIGEST` or `DIGEST`.
        app: The app's name, for version tags such as `shop/v1.4.1`; empty where it has none.

    Returns:
        Names for git, the likeliest first: tags as `refs/tags/NAME`, and hashes.
    """
    tag = old_version.partition("@")[0]
    if not is_tag(tag):
        return ()
    found = [f"refs/tags/{name}" for name in _tag_names(tag, app)]
    # A number of a run has only digits too, and stands behind the commit.
    found += _HASH.findall(tag)
    return tuple(dict.fromkeys(found))[:_MOST_CANDIDATES]


def _tag_names(tag: str, app: str) -> list[str]:
    version = _VERSION.fullmatch(tag)
    if version is None:
        return []
    # Both spellings, and first the one that the image's tag has not: `v1.4.1` makes `1.4.1`.
    spellings = [f"v{version[1]}", version[1]]
    if not _APP.fullmatch(app):
        return spellings
    own = [f"{app}{mark}{name}" for name in spellings for mark in "/-@"]
    return own + spellings
