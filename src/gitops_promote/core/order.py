"""Which of two versions of an image is the older one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gitops_promote.core.source import Source


@dataclass(frozen=True, slots=True)
class Build:
    """A version (`TAG`, `DIGEST`, `TAG@DIGEST`), and what it was built from, as far as is known."""

    version: str
    source: Source = field(default_factory=Source)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one version relates to another: -1 older, 0 the same, 1 newer, None unknown.

    `how` says, for people, what tells so, as in "by semantic versioning"; empty where nothing does.
    """

    order: int | None
    how: str = ""


class Ancestry(Protocol):
    """Knows the commits of the apps' repositories."""

    def __call__(self, repository: Source, one: Sequence[str], other: Sequence[str]) -> int | None:
        """Compare two commits.

        Args:
            repository: The app's repository: `server_url` and `repository` of it count.
            one: What git may call the one commit, the likeliest name first: full and short hashes,
                and tags as `refs/tags/NAME`.
            other: The same for the other.

        Returns:
            -1 where the one is behind the other, 1 where it is the other way round, 0 where they
            are the same, None where they have parted or nobody knows.
        """
        ...


def compare(one: Build, other: Build, ancestry: Ancestry, app: str = "") -> Comparison:
    """Compare two versions of an image.

    By semantic versioning, else by the commits that the versions' tags name or that they were
    built from, else by the runs that built them.

    Args:
        one: The one.
        other: The other.
        ancestry: Knows the commits.
        app: The app's name, for tags such as `shop/v1.4.1`; empty where it has none.

    Returns:
        How the one relates to the other.
    """
    raise NotImplementedError
