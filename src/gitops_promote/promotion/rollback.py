"""A rollback: the version that ran before, by the config repository's own history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Image, split_reference
from gitops_promote.core.order import Build
from gitops_promote.core.request import Undone
from gitops_promote.promotion.chosen import Chosen, by_image, one_version, origin_of

if TYPE_CHECKING:
    from gitops_promote.core.running import Running
    from gitops_promote.promotion.call import Call
    from gitops_promote.promotion.past import Timeline

_MOST_VERSIONS = 10

#: One version for each image, by the name that is deployed.
_Versions = dict[str, str]


def previous(call: Call, timeline: Timeline) -> Chosen:
    """Find what ran before, or the version that the input `to` names.

    What an earlier rollback took back is passed over, as nobody wants that again; `to` may name it.

    Args:
        call: The call.
        timeline: The places of the environment.

    Returns:
        The images with the versions to go back to, and what is undone by that.

    Raises:
        PromoteError: Nothing else ran before, or the named version never did.
    """
    wanted = call.inputs.to
    found = timeline.state(timeline.head.commit)
    for group in by_image(found).values():
        one_version(group, _where(call))
    now = _versions(found)
    if not now:
        raise PromoteError(
            "There is no version here to roll back from.", "Look at `target`, and at `images`."
        )
    seen: dict[str, None] = {}
    if wanted and _is_at(now, wanted):
        return _chosen(call, timeline, found, now)
    for then in _states(timeline):
        before = _versions(then)
        differing = [name for name in before if name in now and before[name] != now[name]]
        seen.update(dict.fromkeys(before[name] for name in differing))
        if _is_at(before, wanted) if wanted else _is_good(timeline, before, differing):
            return _chosen(call, timeline, found, before)
    raise _nothing(call, wanted, list(seen))


def _states(timeline: Timeline) -> Iterator[tuple[Running, ...]]:
    """What ran before each commit, the newest first."""
    for past in timeline.commits():
        if past.parent:
            yield timeline.state(past.parent)


def _versions(found: Sequence[Running]) -> _Versions:
    """The version of each image that has one alone."""
    groups = by_image(found)
    alike = {name: {one.reference.version for one in group} for name, group in groups.items()}
    return {
        name: next(iter(versions))
        for name, versions in alike.items()
        if len(versions) == 1 and versions != {""}
    }


def _is_at(versions: _Versions, wanted: str) -> bool:
    return any(
        wanted in (version, *version.split("@"), f"{name}:{version}", f"{name}@{version}")
        for name, version in versions.items()
    )


def _is_good(timeline: Timeline, before: _Versions, differing: Sequence[str]) -> bool:
    if not differing:
        return False
    taken = {
        (undone.image, undone.build.version)
        for promoted in timeline.walked_promotions()
        for undone in promoted.undone
    }
    return not any((name, before[name]) in taken for name in differing)


def _chosen(
    call: Call, timeline: Timeline, found: Sequence[Running], versions: _Versions
) -> Chosen:
    images, undone = dict[str, Image](), list[Undone]()
    for name, version in versions.items():
        for one in found:
            if one.reference.name == name:
                target = split_reference(_joined(name, version))
                image = Image(one.image, None, target.tag or None, target.digest or None)
                images[one.image] = image
    for name, group in by_image(found).items():
        current = group[0].reference.version
        if name in versions and current and current != versions[name]:
            undone += _undone(timeline, name, current)
    return Chosen(
        tuple(images.values()),
        call.source,
        origin_of(versions.items(), timeline) if undone else None,
        tuple(dict.fromkeys(undone)),
    )


def _joined(name: str, version: str) -> str:
    is_digest = ":" in version and "@" not in version
    return f"{name}@{version}" if is_digest else f"{name}:{version}"


def _undone(timeline: Timeline, name: str, version: str) -> list[Undone]:
    """A version that is taken back, and those that had been before it was gone back to."""
    made = timeline.made_by(name, version)
    own = Undone(name, made.build(name) if made else Build(version))
    earlier = [one for one in made.undone if one.image == name] if made else []
    return [own, *earlier]


def _nothing(call: Call, wanted: str, seen: Sequence[str]) -> PromoteError:
    where = _where(call)
    listed = ", ".join(f"`{version}`" for version in seen[:_MOST_VERSIONS])
    fix = f"These did, the newest first: {listed}." if listed else ""
    if wanted:
        return PromoteError(
            f"{where} never ran `{wanted}`, by the config repository's history.",
            fix or "To bring it there for the first time, promote it.",
        )
    return PromoteError(
        f"{where} has nothing to roll back to: by the config repository's history no other version "
        "ran there that wasn't rolled back itself.",
        f"{fix} Name one in `to`." if fix else "Promote another version.",
    )


def _where(call: Call) -> str:
    return ", ".join(call.inputs.environments) or "this target"
