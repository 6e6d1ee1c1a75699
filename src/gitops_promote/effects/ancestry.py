"""Which of two commits of an app's repository is older: as a clone here knows, or else GitHub."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, final

from gitops_promote.core.commits import TAGS
from gitops_promote.core.errors import PromoteError
from gitops_promote.effects.checkout import ask_checkout
from gitops_promote.effects.github.place import find_api

if TYPE_CHECKING:
    from gitops_promote.core.source import Source
    from gitops_promote.effects.github.client import GitHub

_FULL = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# Nothing that git takes for an option, a range or another object's path.
_NAME = re.compile(rf"[0-9a-f]{{7,64}}|{TAGS}[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._/@-]*")


class _Relation(Enum):
    """How a commit relates to another, where that is known; the value is the answer."""

    BEHIND = -1
    SAME = 0
    AHEAD = 1
    PARTED = None


@final
class SourceAncestry:
    """Fulfils `core.order.Ancestry`: asks the clones here, and GitHub where they don't know.

    Each question is asked once: a promotion that is tried again has the same answers. What fails
    is no error, as nobody is stopped by it: then nobody knows.

    Args:
        environ: The environment. Clones are looked for in `GITHUB_WORKSPACE` and in the current
            folder.
        open_api: Opens the API that has a repository, or gives None, as
            `effects.github.history.open_api` does.
    """

    def __init__(
        self, environ: Mapping[str, str], open_api: Callable[[Source], GitHub | None]
    ) -> None:
        self._environ = environ
        self._open_api = open_api
        self._answers: dict[tuple[str, ...], int | None] = {}

    def __call__(self, repository: Source, one: Sequence[str], other: Sequence[str]) -> int | None:
        """As `Ancestry.__call__` says."""
        one, other = (tuple(filter(_NAME.fullmatch, names)) for names in (one, other))
        key = (repository.server_url, repository.repository, *one, "", *other)
        if key not in self._answers:
            self._answers[key] = self._ask(repository, one, other) if one and other else None
        return self._answers[key]

    def _ask(self, repository: Source, one: Sequence[str], other: Sequence[str]) -> int | None:
        for folder in dict.fromkeys((self._environ.get("GITHUB_WORKSPACE", ""), "")):
            known = _Clone(folder, self._environ).relation(repository, one, other)
            if known:
                order: int | None = known.value
                return order
        with suppress(PromoteError):
            return self._ask_api(repository, one, other)
        return None

    def _ask_api(self, repository: Source, one: Sequence[str], other: Sequence[str]) -> int | None:
        api = self._open_api(repository)
        if api is None:
            return None
        from gitops_promote.effects.github.history import compare_commits  # noqa: PLC0415  (slow)

        with api as github:
            return compare_commits(github, repository, one, other)


@final
class _Clone:
    """What may be a clone of the app's repository."""

    def __init__(self, folder: str, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ

    def relation(
        self, repository: Source, one: Sequence[str], other: Sequence[str]
    ) -> _Relation | None:
        """How two commits relate; None where that isn't known here."""
        # Two other repositories can have the same tags and the same short hashes, but no full one.
        trusted = self._is_of(repository, (*one, *other))
        first, second = (self._resolve(names, trusted=trusted) for names in (one, other))
        if not (first and second):
            return None
        if first == second:
            return _Relation.SAME
        # As many as each has that the other has not.
        counted = self._rev_list("--left-right", "--count", f"{first}...{second}").split()
        if len(counted) != 2:
            return None
        if counted[0] == "0":
            return _Relation.BEHIND
        if counted[1] == "0":
            return _Relation.AHEAD
        # Where a shallow clone ends, the two may still come together.
        whole = self._git("rev-parse", "--is-shallow-repository") == "false"
        return _Relation.PARTED if whole else None

    def _is_of(self, repository: Source, names: Sequence[str]) -> bool:
        """Whether this is a clone of a repository; where none is known, of what has a commit."""
        if not repository.repository:
            return any(self._commit(name) for name in names if _FULL.fullmatch(name))
        origin = self._git("remote", "get-url", "origin")
        if not origin:
            return False
        with suppress(PromoteError):
            asked = f"{repository.server_url}/{repository.repository}"
            place, own = (find_api(url, self._environ) for url in (asked, origin))
            if place and own:
                same_name = place.name.lower() == own.name.lower()
                return same_name and place.api_url == own.api_url
        return False

    def _resolve(self, names: Sequence[str], *, trusted: bool) -> str:
        for name in names:
            is_full = _FULL.fullmatch(name)
            if (trusted or is_full) and (commit := self._commit(name)):
                return commit
            if is_full:
                # It may lie where a shallow clone has nothing, and a tag may have been moved.
                return ""
        return ""

    def _commit(self, name: str) -> str:
        commit = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        # What looks like a hash may be the name of a branch.
        return commit if name.startswith(TAGS) or commit.startswith(name) else ""

    def _rev_list(self, *arguments: str) -> str:
        return self._git("rev-list", *arguments, "--")

    def _git(self, *arguments: str) -> str:
        question = ("--no-replace-objects", *arguments)
        return ask_checkout(self._environ, *question, folder=self._folder)
