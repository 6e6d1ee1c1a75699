"""What a commit of ours promotes, read back from its message; and which of two is the older."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from gitops_promote.core.commits import build_of
from gitops_promote.core.images import KEEP, Image, canonical_name, split_reference
from gitops_promote.core.order import Ancestry, Build, compare, compare_runs
from gitops_promote.core.request import Undone
from gitops_promote.core.source import Source

if TYPE_CHECKING:
    from gitops_promote.core.change import Change
    from gitops_promote.core.request import Request

_PAGE = r"(https?://[^/\s]+)/(\S+)"
_COMMIT = re.compile(rf"(?:{_PAGE}/commit/)?([0-9a-f]{{40,64}})")
_RUN = re.compile(rf"{_PAGE}/actions/runs/([0-9]{{1,20}})")
# The values of trailers, by their keys. What a file held before may be anything.
_VALUES = {
    "Promoted-Image": re.compile(r"(\S+) .* -> (\S+)"),
    "Promoted-App": re.compile(r"(\S.*)"),
    "Promoted-Environment": re.compile(r"(\S.*)"),
    "Promoted-From": re.compile(r"(\S.*)"),
    "Promotion-Override": re.compile(r"(\S.*)"),
    "Rolled-Back-From": re.compile(r"(\S+) (\S+) (\S+) (\S+)"),
    "Source-Commit": _COMMIT,
    "Source-Run": _RUN,
    "Promotion-Run": _RUN,
}
# All of ours have a hyphen, and no word of a reason that ends in a colon has one.
_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9]*-[A-Za-z0-9-]*):(?:\s+(.*))?")
# Of what `git merge --squash` makes, where each message is indented, the newest first.
_SQUASHED = re.compile(
    r"^commit [0-9a-f]{40,64}(?: .*)?\n(?:Merge: .*\n)?Author: .*\n", re.MULTILINE
)
_FENCE = re.compile(r"```+|~~~+")
# A trailer of ours that is broken into more lines isn't read.
_MOST_LINES = 100
_LONGEST = 200
_MOST_LISTED = 3


@dataclass(frozen=True, slots=True)
class Promoted:
    """What a promotion made run: the versions (`TAG`, `DIGEST`, `TAG@DIGEST`) by image, and why.

    `source` is what they were built from, `promoter` the run that promoted them where that was
    another one. `copied_from`, `override` and `undone` are as in `Request`.
    """

    versions: Mapping[str, str]
    source: Source
    environments: frozenset[str] = frozenset()
    app: str = ""
    undone: tuple[Undone, ...] = ()
    copied_from: str = ""
    override: str = ""
    promoter: Source | None = None

    @classmethod
    def of(cls, changes: Sequence[Change], request: Request) -> Promoted:
        """What a call promotes, as a commit would tell it.

        Args:
            changes: What it changes, and what is as it asks already.
            request: What it asks for.

        Returns:
            The promotion.
        """
        return cls(
            {name_of(change): change.new.version for change in changes},
            request.built_from,
            frozenset(request.environments),
            request.app,
            request.undone,
            request.copied_from,
            request.override,
            request.source if request.origin is not None else None,
        )

    @property
    def version(self) -> str:
        """The version that all images have, else each with its name's last part, cut for people."""
        versions = dict.fromkeys(self.versions.values())
        if len(versions) == 1:
            return next(iter(versions))
        pairs = self.versions.items()
        text = ", ".join(f"{name.rpartition('/')[2]} {version}" for name, version in pairs)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

    def build(self, name: str) -> Build:
        """Tell what an image's version was built from.

        Args:
            name: The image, as `versions` has it.

        Returns:
            The version, empty where it isn't promoted here, and its source.
        """
        return Build(self.versions.get(name, ""), self.source)

    def take_over(self, images: Sequence[Image], changes: Sequence[Change]) -> tuple[Image, ...]:
        """Ask for these versions, where a call asks for others.

        Args:
            images: The call's images.
            changes: What the call changes, and what is as it asks already.

        Returns:
            The same images with these versions; one that isn't promoted here, as a commit names
            only those that it changes, stays as it is.
        """
        names = {change.image: name_of(change) for change in changes}
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

    They are found wherever a squash merge leaves them: with another paragraph behind, broken in
    two, or indented by git. What is quoted, as in a difference or a block of code, is none.

    Args:
        message: The commit's message, as `core.message.compose` writes it.

    Returns:
        What it promotes; of several promotions the newest. None where it is no commit of ours.
    """
    if "Promoted-Image:" not in message:
        return None
    message = message.replace("\r\n", "\n")
    parts = _SQUASHED.split(message)
    indented = (re.sub(r"^ {4}", "", part, flags=re.MULTILINE) for part in parts[1:])
    for part in (*indented, parts[0]):
        for paragraph in reversed(re.split(r"\n[ \t]*\n", _unquoted(part))):
            if promoted := _read(paragraph):
                return promoted
    return None


def _unquoted(text: str) -> str:
    """A text without its blocks of code; one that never ends is none."""
    kept, block, fence = list[str](), list[str](), ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if not fence and found:
            fence, block = found[0], [line]
        elif not fence:
            kept.append(line)
        elif found and found[0].startswith(fence):
            fence = ""
            kept.append("")
        else:
            block.append(line)
    return "\n".join([*kept, *(block if fence else [])])


def _read(paragraph: str) -> Promoted | None:
    found: dict[str, list[re.Match[str]]] = {key: [] for key in _VALUES}
    for key, value in _trailers(paragraph.split("\n")):
        found[key].append(value)
    images = [value.groups() for value in found["Promoted-Image"]]
    if not images:
        return None

    def first(key: str) -> re.Match[str] | None:
        return next(iter(found[key]), None)

    def text(key: str) -> str:
        value = first(key)
        return value[1] if value else ""

    undone = tuple(_undone(value) for value in found["Rolled-Back-From"])
    run = _source(None, first("Promotion-Run"))
    copied_from = text("Promoted-From")
    return Promoted(
        {name: _version(name, new) for name, new in images},
        _source(first("Source-Commit"), first("Source-Run")),
        frozenset(value[1] for value in found["Promoted-Environment"]),
        text("Promoted-App"),
        undone,
        copied_from,
        text("Promotion-Override"),
        run if run.run_id or undone or copied_from else None,
    )


def _trailers(lines: Sequence[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """The trailers by their keys: of each as many lines as are needed to make sense of it."""
    starts = [n for n, line in enumerate(lines) if _TRAILER.fullmatch(line.rstrip())]
    for start, end in pairwise([*starts, len(lines)]):
        trailer = _TRAILER.fullmatch(lines[start].rstrip())
        if not trailer or trailer[1] not in _VALUES:
            continue
        key = trailer[1]
        rest = [line.strip() for line in lines[start + 1 : min(end, start + _MOST_LINES)]]
        joined = accumulate([trailer[2] or "", *rest], lambda one, line: f"{one} {line}".strip())
        values = [value for text in joined if (value := _VALUES[key].fullmatch(text))]
        if values:
            # A reason is a text of any length; anything else is whole as soon as it makes sense.
            yield key, values[-1 if key == "Promotion-Override" else 0]


def _source(commit: re.Match[str] | None, run: re.Match[str] | None) -> Source:
    source = Source(commit=commit[3] if commit else "", run_id=run[3] if run else "")
    for found in (commit, run):
        if found and found[1]:
            source = replace(source, server_url=found[1], repository=found[2])
    return source


def _undone(value: re.Match[str]) -> Undone:
    name, version, commit, run = value.groups()
    source = _source(_COMMIT.fullmatch(commit), _RUN.fullmatch(run))
    return Undone(name, Build("" if version == "-" else version, source))


def is_older(one: Promoted, other: Promoted, ancestry: Ancestry) -> bool:
    """Whether a promotion is known to be older than another, or is held back by it.

    Args:
        one: The one.
        other: The other.
        ancestry: Knows the commits of the apps' repositories.

    Returns:
        True where an image of it is older and none is newer. Where the other is a rollback, what it
        holds back counts as older. A rollback itself never is.
    """
    if one.undone:
        return False
    names = one.versions.keys() & other.versions.keys()
    if any(held_back(one.build(name), other, name, ancestry) for name in names):
        return True
    orders = {_order(one, other, name, ancestry) for name in names}
    return -1 in orders and 1 not in orders


def _order(one: Promoted, other: Promoted, name: str, ancestry: Ancestry) -> int | None:
    return compare(one.build(name), other.build(name), ancestry, one.app or other.app).order


def held_back(new: Build, by: Promoted, name: str, ancestry: Ancestry) -> Build | None:
    """Find what keeps a version from undoing a rollback.

    Where nothing else tells whether it is newer than one that was taken back, it is if the run that
    built it began after the run that rolled back.

    Args:
        new: The version.
        by: The rollback; any other promotion holds nothing.
        name: The image.
        ancestry: Knows the commits of the apps' repositories.

    Returns:
        The version that was taken back and that the new one isn't known to be newer than; None
        where there is none, or the new one is the version that was rolled back to.
    """
    if new.version == by.versions.get(name):
        return None
    mine = (it.build for it in by.undone if canonical_name(it.image) == canonical_name(name))
    return next((old for old in mine if not _is_newer(new, old, by, ancestry)), None)


def _is_newer(new: Build, old: Build, by: Promoted, ancestry: Ancestry) -> bool:
    order = compare(new, old, ancestry, by.app).order
    return _began_after(new, by.promoter) if order is None else order == 1


def _began_after(new: Build, promoter: Source | None) -> bool:
    """Whether a version was built by a run that began after another run, of any repository."""
    server = new.source.server_url
    if promoter is None or not server or server.lower() != promoter.server_url.lower():
        return False
    # What deploys an old build has a new number; its tag may tell the one of the build.
    run = build_of(new.version)[1] or new.source.run_id
    return compare_runs(run, promoter.run_id) == 1


def began_before(one: Promoted, other: Promoted) -> bool:
    """Whether the run that made a promotion is known to have begun before that of another.

    Args:
        one: The one.
        other: The other.

    Returns:
        True where both are of the same repository and the one has the lower number: GitHub numbers
        the runs of all repositories in the order in which they begin.
    """
    mine, theirs = (it.source if it.promoter is None else it.promoter for it in (one, other))
    if (mine.server_url, mine.repository) != (theirs.server_url, theirs.repository):
        return False
    return compare_runs(mine.run_id, theirs.run_id) == -1


def goes_back(changes: Sequence[Change]) -> str:
    """Tell where a promotion takes back a newer version.

    Args:
        changes: What it changes.

    Returns:
        A sentence, for people; empty where the versions alone don't tell so.
    """
    pairs = [(change.old.version, change.new.version) for change in changes]
    back = [f"`{new}` after `{old}`" for old, new in pairs if old and new and _goes_back(old, new)]
    listed = ", ".join(dict.fromkeys(back[:_MOST_LISTED]))
    return f"This goes back to an older version: {listed}." if back else ""


def _goes_back(old: str, new: str) -> bool:
    return compare(Build(new), Build(old), _nobody).order == -1


def _nobody(repository: Source, one: Sequence[str], other: Sequence[str]) -> None:
    """Knows no commit."""


def _version(name: str, new: str) -> str:
    # Where the name changes too, the whole reference is written. No tag has a slash.
    if new == "(none)" or (new == name and "/" in new):
        return ""
    return split_reference(new).version if new.startswith((f"{name}:", f"{name}@")) else new


def name_of(change: Change) -> str:
    """Tell what a commit calls an image.

    Args:
        change: A change of it.

    Returns:
        The name that is deployed.
    """
    return change.new.name or change.image
