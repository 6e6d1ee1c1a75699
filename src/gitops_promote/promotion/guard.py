"""The stale-run guard: nothing older over something newer, and a rollback holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.core.order import Build, compare
from gitops_promote.core.placeholders import one_line
from gitops_promote.core.promoted import goes_back, held_back

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_promote.core.change import Change
    from gitops_promote.core.order import Ancestry, Comparison
    from gitops_promote.core.plan import Plan
    from gitops_promote.core.promoted import Promoted
    from gitops_promote.core.request import Request
    from gitops_promote.promotion.past import Timeline

_MOST_LISTED = 3
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class _Pair:
    """A version that is to take another one's place; `name` is what promotions called that one."""

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
    unknown = [_pair(change) for change in plan.changes if _is_another(change)]
    for pair in _pairs(plan):
        new = Build(pair.new, request.built_from)
        made = timeline.made_by(pair.name, pair.old)
        held = held_back(new, made, pair.name, ancestry) if made else None
        if held:
            return plan, _held(pair, held.version, request)
        found = _compared(new, pair, made, request, ancestry)
        if found.order == -1:
            return plan, _older(pair, found.how, request)
        # What isn't held by a rollback is newer than what that took back.
        if found.order is None and not (made and made.undone):
            unknown.append(pair)
    warnings = _unknown(list(dict.fromkeys(unknown)))
    return replace(plan, warnings=(*plan.warnings, *warnings)), ""


def goes_forward(plan: Plan, request: Request, timeline: Timeline, ancestry: Ancestry) -> bool:
    """Tell whether a rollback brings something newer than what runs, or what one took back.

    Args:
        plan: What is to be changed.
        request: What is asked for.
        timeline: The history of the places that are to be changed.
        ancestry: Knows the commits of the apps.

    Returns:
        True where it is known to.

    Raises:
        PromoteError: The history can't be read.
    """
    for pair in _pairs(plan):
        new, made = Build(pair.new, request.built_from), timeline.made_by(pair.name, pair.old)
        undone = made.undone if made else ()
        if (pair.name, pair.new) in ((one.image, one.build.version) for one in undone):
            return True
        if _compared(new, pair, made, request, ancestry).order == 1:
            return True
    return False


def _compared(
    new: Build, pair: _Pair, made: Promoted | None, request: Request, ancestry: Ancestry
) -> Comparison:
    old = made.build(pair.name) if made else Build(pair.old)
    return compare(new, old, ancestry, request.app)


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


def _pair(change: Change) -> _Pair:
    return _Pair(change.old.name or change.image, change.old.version, change.new.version)


def _pairs(plan: Plan) -> list[_Pair]:
    pairs = (
        _pair(change)
        for change in plan.changes
        if _takes_a_place(change) and not _is_another(change)
    )
    return list(dict.fromkeys(pairs))


def _takes_a_place(change: Change) -> bool:
    old, new = change.old.version, change.new.version
    return bool(old and new and old != new)


def _is_another(change: Change) -> bool:
    """Whether another image comes, and not the same one from another registry."""
    old, new = (one.name.rpartition("/")[2] for one in (change.old, change.new))
    return _takes_a_place(change) and bool(old and new) and old != new


def _shown(version: str) -> str:
    """A version that a file has, which may be anything."""
    text = one_line(version)
    return f"`{text[:_LONGEST]}…`" if len(text) > _LONGEST else f"`{text}`"


def _where(request: Request) -> str:
    return ", ".join(request.environments) or "the config repository"


def _of(pair: _Pair, request: Request) -> str:
    """Which image is meant, where there are several."""
    return f" of `{pair.name}`" if len(request.images) > 1 else ""


def _older(pair: _Pair, how: str, request: Request) -> str:
    return (
        f"{_where(request)} has {_shown(pair.old)}{_of(pair, request)}, and {_shown(pair.new)} is "
        f"older {how}. To go back, roll back; or set `allow-downgrade`."
    )


def _held(pair: _Pair, undone: str, request: Request) -> str:
    than = f"{_shown(pair.new)} is not known to be newer"
    if pair.new == undone:
        than = "that is what this brings"
    return (
        f"{_where(request)} was rolled back from {_shown(undone)}{_of(pair, request)} to "
        f"{_shown(pair.old)}, and {than}. To bring it all the same, set `allow-downgrade`."
    )


def _unknown(pairs: Iterable[_Pair]) -> list[str]:
    listed = [f"{_shown(pair.new)} is newer than {_shown(pair.old)}" for pair in pairs]
    more = f", and of {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
    if not listed:
        return []
    return [f"Nothing tells whether {', '.join(listed[:_MOST_LISTED])}{more}; it is taken to be."]
