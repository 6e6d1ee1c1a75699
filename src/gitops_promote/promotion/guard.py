"""The stale-run guard: nothing older over something newer, and a rollback holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.core.images import canonical_name
from gitops_promote.core.order import Build, compare
from gitops_promote.core.placeholders import one_line
from gitops_promote.core.promoted import goes_back, held_back, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_promote.core.change import Change
    from gitops_promote.core.order import Ancestry
    from gitops_promote.core.plan import Plan
    from gitops_promote.core.promoted import Promoted
    from gitops_promote.core.request import Request
    from gitops_promote.promotion.past import Timeline

_MOST_LISTED = 3
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class _Pair:
    """A version that is to take another one's place."""

    name: str
    old: str
    new: str


def guard(plan: Plan, request: Request, timeline: Timeline, ancestry: Ancestry) -> tuple[Plan, str]:
    """Let nothing older replace something newer.

    Args:
        plan: What is to be changed.
        request: What is asked for.
        timeline: The history of the places that are to be changed.
        ancestry: Knows the commits of the apps.

    Returns:
        The plan, and why nothing is to be done; that is empty where the plan counts. It then
        warns of what nobody can compare.

    Raises:
        PromoteError: The history can't be read.
    """
    unknown = []
    for pair in _pairs(plan):
        new = Build(pair.new, request.built_from)
        made = _made_by(timeline, pair, request)
        if made and made.undone:
            held = held_back(new, made, pair.name, ancestry)
            if held:
                return plan, _held(pair, held.version, request)
            continue
        old = made.build(pair.name) if made else Build(pair.old)
        found = compare(new, old, ancestry, request.app)
        if found.order == -1:
            return plan, _older(pair, found.how, request)
        if found.order is None:
            unknown.append(pair)
    return replace(plan, warnings=(*plan.warnings, *_unknown(unknown))), ""


def kept(plan: Plan) -> Plan:
    """Turn a plan into one that leaves everything as it is.

    Args:
        plan: The plan.

    Returns:
        A plan that changes no file.
    """
    changes = tuple(replace(change, new=change.old) for change in plan.changes)
    return replace(plan, files={}, diff="", changes=changes)


def warned(plan: Plan) -> Plan:
    """Warn of a plan that goes back, where that is allowed.

    Args:
        plan: The plan.

    Returns:
        The plan, with a warning more if a version is known to be lower.
    """
    back = goes_back(plan.changes)
    return replace(plan, warnings=(*plan.warnings, back)) if back else plan


def _pairs(plan: Plan) -> list[_Pair]:
    pairs = (
        _Pair(name_of(change), change.old.version, change.new.version)
        for change in plan.changes
        if _is_comparable(change)
    )
    return list(dict.fromkeys(pairs))


def _is_comparable(change: Change) -> bool:
    """Whether one version takes another one's place: not where there was none, or another image."""
    old, new = change.old, change.new
    renamed = old.name and new.name and canonical_name(old.name) != canonical_name(new.name)
    return bool(old.version and new.version and old.version != new.version and not renamed)


def _made_by(timeline: Timeline, pair: _Pair, request: Request) -> Promoted | None:
    """The promotion by which the version runs that is to be replaced."""
    ours = frozenset(request.environments)
    for promoted in timeline.promotions():
        others = promoted.environments and ours and not promoted.environments & ours
        if promoted.versions.get(pair.name) == pair.old and not others:
            return promoted
    return None


def _shown(version: str) -> str:
    """A version that a file has, which may be anything."""
    text = one_line(version)
    return f"`{text[:_LONGEST]}…`" if len(text) > _LONGEST else f"`{text}`"


def _where(request: Request) -> str:
    return ", ".join(request.environments) or "the config repository"


def _older(pair: _Pair, how: str, request: Request) -> str:
    return (
        f"{_where(request)} has {_shown(pair.old)}, and {_shown(pair.new)} is older {how}. "
        "To go back, roll back; or set `allow-downgrade`."
    )


def _held(pair: _Pair, undone: str, request: Request) -> str:
    than = f"{_shown(pair.new)} is not known to be newer"
    if pair.new == undone:
        than = "that is what this brings"
    return (
        f"{_where(request)} was rolled back from {_shown(undone)} to {_shown(pair.old)}, and "
        f"{than}. To bring it all the same, set `allow-downgrade`."
    )


def _unknown(pairs: Iterable[_Pair]) -> list[str]:
    listed = [f"{_shown(pair.new)} is newer than {_shown(pair.old)}" for pair in pairs]
    more = f", and of {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    if not listed:
        return []
    return [f"Nothing tells whether {', '.join(listed[:_MOST_LISTED])}{more}; it is taken to be."]
