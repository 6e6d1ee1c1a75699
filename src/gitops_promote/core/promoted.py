"""What a commit of ours promotes, read back from its message; and which of two is the older."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gitops_promote.core.change import Change
from gitops_promote.core.images import KEEP, Image, split_reference
from gitops_promote.core.source import Source

_IMAGE = re.compile(r"^Promoted-Image: (\S+) (?:\S+) -> (\S+)$", re.MULTILINE)
_COMMIT = re.compile(
    r"^Source-Commit: (?:(https?://[^/\s]+)/(\S+)/commit/)?([0-9a-f]{40,64})$", re.MULTILINE
)
_RUN = re.compile(
    r"^Source-Run: (https?://[^/\s]+)/(\S+)/actions/runs/([0-9]{1,20})$", re.MULTILINE
)
_LONGEST = 200
_MOST_LISTED = 3


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a promotion made run: the versions (`TAG`, `DIGEST`, `TAG@DIGEST`) by image, and why."""

    versions: Mapping[str, str]
    source: Source

    @classmethod
    def of(cls, changes: Sequence[Change], source: Source) -> Promoted:
        """What a call promotes, as a commit would tell it.

        Args:
            changes: What it changes, and what is as it asks already.
            source: Where it comes from.

        Returns:
            The promotion.
        """
        return cls({_name(change): change.new.version for change in changes}, source)

    @property
    def version(self) -> str:
        """The version that all images have, else each with its name's last part, cut for people."""
        versions = dict.fromkeys(self.versions.values())
        if len(versions) == 1:
            return next(iter(versions))
        pairs = self.versions.items()
        text = ", ".join(f"{name.rpartition('/')[2]} {version}" for name, version in pairs)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

    def take_over(self, images: Sequence[Image], changes: Sequence[Change]) -> tuple[Image, ...]:
        """Ask for these versions, where a call asks for others.

        Args:
            images: The call's images.
            changes: What the call changes, and what is as it asks already.

        Returns:
            The same images with these versions; one that isn't promoted here, as a commit names
            only those that it changes, stays as it is.
        """
        names = {change.image: _name(change) for change in changes}
        return tuple(self._as_here(image, names.get(image.name, "")) for image in images)

    def _as_here(self, image: Image, name: str) -> Image:
        version = self.versions.get(name, "")
        if not version:
            return replace(image, tag=KEEP, digest=KEEP)
        is_digest = ":" in version and "@" not in version
        reference = split_reference(f"{name}@{version}" if is_digest else f"{name}:{version}")
        return replace(image, tag=reference.tag or None, digest=reference.digest or None)


def read_promotion(message: str) -> Promoted | None:
    """Read the trailers of a commit.

    Args:
        message: The commit's message, as `core.message.compose` writes it.

    Returns:
        What it promotes; None where it is no commit of ours.
    """
    trailers = message.rstrip().rpartition("\n\n")[2]
    versions = {name: _version(name, new) for name, new in _IMAGE.findall(trailers)}
    if not versions:
        return None
    commit, run = _COMMIT.search(trailers), _RUN.search(trailers)
    source = Source(commit=commit[3] if commit else "")
    for found in (commit, run):
        if found and found[1]:
            source = replace(source, server_url=found[1], repository=found[2])
    return Promoted(versions, replace(source, run_id=run[3] if run else ""))


def is_older(one: Promoted, other: Promoted) -> bool:
    """Whether a promotion is known to be older than another.

    Args:
        one: The one.
        other: The other.

    Returns:
        True where a version of it is lower by semantic versioning and none is higher; where
        versions don't tell, where its run began before the other's in the same repository.
    """
    pairs = [
        (version, other.versions[name])
        for name, version in one.versions.items()
        if name in other.versions
    ]
    orders = [_compare(*pair) for pair in pairs]
    if orders and None not in orders and any(orders):
        return all(order is not None and order <= 0 for order in orders)
    if all(version == another for version, another in pairs):
        return False
    return began_before(one, other)


def began_before(one: Promoted, other: Promoted) -> bool:
    """Whether the run behind a promotion is known to have begun before that of another.

    Args:
        one: The one.
        other: The other.

    Returns:
        True where both are of the same app repository and the one has the lower number: GitHub
        numbers the runs of all repositories in the order in which they begin.
    """
    mine, theirs = one.source, other.source
    if (mine.server_url, mine.repository) != (theirs.server_url, theirs.repository):
        return False
    if not (mine.run_id.isdecimal() and theirs.run_id.isdecimal()):
        return False
    return int(mine.run_id) < int(theirs.run_id)


def goes_back(changes: Sequence[Change]) -> str:
    """Tell where a promotion takes back a newer version.

    Args:
        changes: What it changes.

    Returns:
        A sentence, for people; empty where it is not known to do so.
    """
    pairs = [(change.old.version, change.new.version) for change in changes]
    back = [f"`{new}` after `{old}`" for old, new in pairs if old and new and _goes_back(old, new)]
    listed = ", ".join(dict.fromkeys(back[:_MOST_LISTED]))
    return f"This goes back to an older version: {listed}." if back else ""


def _goes_back(old: str, new: str) -> bool:
    order = _compare(new, old)
    return order is not None and order < 0


def _version(name: str, new: str) -> str:
    # Where the name changes too, the whole reference is written.
    return split_reference(new).version if new.startswith((f"{name}:", f"{name}@")) else new


def _compare(one: str, other: str) -> int | None:
    from semver import Version  # noqa: PLC0415  (only where a pull request is open)

    tags = (version.partition("@")[0].removeprefix("v") for version in (one, other))
    try:
        first, second = map(Version.parse, tags)
    except ValueError:
        return None
    return first.compare(second)


def _name(change: Change) -> str:
    """What a commit calls an image."""
    return change.new.name or change.image
