"""Which of two versions of an image is the older one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Protocol

from gitops_promote.core.commits import build_of, commit_names, find_hash
from gitops_promote.core.source import Source

_BY_VERSION = "by semantic versioning"
_BY_COMMIT = "by the commits that they were built from"
_BY_RUN = "by the runs that built them"
# What most tags are not: the package that reads versions takes its time to load.
_VERSION = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]")
_FULL_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# An identifier of a prerelease that counts: `rc10`, `beta-2`.
_COUNTED = re.compile(r"(.*[^0-9])([0-9]+)")


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
    built from, else by the runs that built them. Where one of these finds them equal, the next may
    know more: a version, like a commit, can be built again.

    In one thing this departs from semver.org's "Semantic Versioning 2.0.0" (11.4), which orders an
    identifier that has a letter or a hyphen as a text, so `1.5.0-rc10` before `1.5.0-rc9`: that
    would call every tenth build an older one. Where two prereleases of the same
    `MAJOR.MINOR.PATCH` first differ in identifiers that are alike up to a number at their end, the
    number tells. `rc.9` and `rc.10`, which are two identifiers each, are so by themselves.

    A tag such as `1a2b3c4-11870042117` tells the run that built it, so it goes before the source,
    which may tell the run that deployed it.

    Args:
        one: The one.
        other: The other.
        ancestry: Knows the commits.
        app: The app's name, for tags such as `shop/v1.4.1`; empty where it has none.

    Returns:
        How the one relates to the other.
    """
    if one.version == other.version:
        return Comparison(0, "by their names")
    found = Comparison(None)
    order = _by_version(one.version, other.version)
    if order is not None:
        found = Comparison(order, _BY_VERSION)
    if found.order or _are_apart(one.source, other.source):
        return found
    order = _by_commit(one, other, ancestry, app)
    if order is not None:
        found = Comparison(order, _BY_COMMIT)
    if found.order:
        return found
    order = _by_run(one, other)
    return found if order is None else Comparison(order, _BY_RUN)


def _by_version(one: str, other: str) -> int | None:
    tags = [version.partition("@")[0] for version in (one, other)]
    if not all(map(_VERSION.match, tags)):
        return None
    from gitops_promote.core.tags.versions import read_semver  # noqa: PLC0415  (start-up time)

    first, second = map(read_semver, tags)
    if first is None or second is None:
        return None
    texts = first.fields["version"], second.fields["version"]
    comparable = _without_hashes(*texts)
    order = _precedence(*comparable)
    # What the hashes stood for is unknown then.
    return order if order or comparable == texts else None


def _precedence(one: str, other: str) -> int:
    from semver import Version  # noqa: PLC0415  (start-up time)

    counted = _by_count(one, other)
    if counted:
        return counted
    return Version.parse(one).compare(Version.parse(other))


def _by_count(one: str, other: str) -> int:
    """Compare two prereleases by the number at the end of what they first differ in; else 0."""
    (release, _, mine), (another, _, theirs) = (text.partition("-") for text in (one, other))
    pairs = zip(mine.split("."), theirs.split("."), strict=False)
    pair = next((pair for pair in pairs if pair[0] != pair[1]), ("", ""))
    first, second = map(_COUNTED.fullmatch, pair)
    if release != another or not (first and second) or first[1] != second[1]:
        return 0
    return _sign(int(first[2]), int(second[2]))


def _without_hashes(one: str, other: str) -> tuple[str, str]:
    """Cut two versions before the first part in which either has a commit's hash.

    By semantic versioning hashes have an order, as every text has, which says nothing. And what
    git-describe(1) makes, as `1.4.1-10-g1a2b3c4`, would be older than `1.4.1` and `1.4.1-9-g…`.
    """
    parts = [text.partition("-")[2].split(".") for text in (one, other)]
    pairs = zip_longest(*parts, fillvalue="")
    kept = next((n for n, pair in enumerate(pairs) if any(map(find_hash, pair))), None)
    if kept is None:
        return one, other
    first, second = (
        "-".join(filter(None, (text.partition("-")[0], ".".join(part[:kept]))))
        for text, part in zip((one, other), parts, strict=True)
    )
    return first, second


def _are_apart(one: Source, other: Source) -> bool:
    """Whether two builds are known to be of different repositories."""
    pairs = ((one.server_url, other.server_url), (one.repository, other.repository))
    return any(mine and theirs and mine.lower() != theirs.lower() for mine, theirs in pairs)


def _by_commit(one: Build, other: Build, ancestry: Ancestry, app: str) -> int | None:
    mine, theirs = (commit_names(it.version, app, it.source.commit) for it in (one, other))
    if not (mine and theirs):
        return None
    if mine[0] == theirs[0] and _FULL_HASH.fullmatch(mine[0]):
        return 0
    known = one.source if one.source.repository else other.source
    place = Source(server_url=known.server_url, repository=known.repository)
    return ancestry(place, mine, theirs)


def _by_run(one: Build, other: Build) -> int | None:
    (first, run), (second, another) = build_of(one.version), build_of(other.version)
    order = compare_runs(run, another)
    # One run builds one commit; so the number is none of a run, or of one in another repository.
    is_same = first.startswith(second) or second.startswith(first)
    if order or (order == 0 and is_same):
        return order
    mine, theirs = one.source, other.source
    same = (mine.server_url, mine.repository) == (theirs.server_url, theirs.repository)
    return compare_runs(mine.run_id, theirs.run_id) if same else None


def compare_runs(one: str, other: str) -> int | None:
    """Compare two runs by their ids, which GitHub gives in the order in which runs begin.

    Args:
        one: The one's id; empty where it isn't known.
        other: The other's, of the same server.

    Returns:
        -1 where the one began before the other, 1 where it began after it, 0 where they are the
        same, None where either is no id.
    """
    if not all(re.fullmatch("[0-9]{1,20}", text) for text in (one, other)):
        return None
    return _sign(int(one), int(other))


def _sign(one: int, other: int) -> int:
    return (one > other) - (one < other)
