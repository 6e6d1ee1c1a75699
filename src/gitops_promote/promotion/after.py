"""The policy's order: an environment takes what the one before it runs, and for long enough."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Reference, canonical_name
from gitops_promote.core.placeholders import one_line
from gitops_promote.core.promoted import name_of
from gitops_promote.core.yaml.key_path import parse_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gitops_promote.core.change import Change, Running
    from gitops_promote.core.plan import Plan
    from gitops_promote.core.policy.rules import Ruling
    from gitops_promote.core.policy.values import After, Environment
    from gitops_promote.promotion.past import Timeline


def check_order(
    ruling: Ruling,
    plan: Plan,
    timeline_of: Callable[[str], Timeline],
    override: str,
    now: float,
) -> str:
    """Refuse what skips an environment, or comes too early.

    Args:
        ruling: What the policy made of the call.
        plan: What is to be changed.
        timeline_of: Finds the places of an environment, by its name.
        override: The reason to skip the order; empty for none.
        now: The time, in seconds since 1970.

    Returns:
        The reason that was needed; empty where the order is kept.

    Raises:
        PromoteError: The order isn't kept, and there is no reason, or none is allowed.
    """
    needed = ""
    for environment in ruling.environments:
        wanted = _wanted(plan, environment.name)
        if environment.after is None or not wanted:
            continue
        problem = _problem(environment.name, environment.after, wanted, timeline_of, now)
        if problem is None:
            continue
        if not (override and environment.allow_override):
            raise _refused(ruling, environment, problem, override)
        needed = override
    return needed


@dataclass(frozen=True, slots=True)
class _Problem:
    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What an environment is to run that it doesn't.

    `names` are what files may call the image. `repository` is where it is to come from, where that
    is to change; else each environment may have its own.
    """

    names: tuple[str, ...]
    version: Reference
    repository: str


def _wanted(plan: Plan, environment: str) -> list[_Wanted]:
    wanted = dict[_Wanted, None]()
    for change in _changes_in(plan, environment):
        old, new = change.old, change.new
        renamed = new.name and canonical_name(old.name or change.image) != canonical_name(new.name)
        names = tuple(dict.fromkeys((change.image, name_of(change))))
        wanted[_Wanted(names, replace(new, name=""), new.name if renamed else "")] = None
    return list(wanted)


def _changes_in(plan: Plan, environment: str) -> list[Change]:
    """What a plan changes in an environment; keys tell apart the several ones of a file."""
    keys: dict[str, dict[str, set[str]]] = {}
    for place in plan.places:
        of_file = keys.setdefault(place.path, {})
        of_file.setdefault(place.target.environment, set()).add(place.target.key)
    changes: dict[str, list[Change]] = {}
    for change in plan.changes:
        if change.old != change.new and environment in keys.get(change.path, ()):
            changes.setdefault(change.path, []).append(change)
    found = []
    for path, of_path in changes.items():
        own = keys[path][environment]
        told = [one for one in of_path if any(_is_at(one.key, key) for key in own)]
        found += told if told and len(keys[path]) > 1 else of_path
    return found


def _is_at(place: str, key: str) -> bool:
    """Whether a place in a file may be what a target's key leads to."""
    if not (place and key) or "*" in key:
        return True
    one, other = parse_key(place), parse_key(key)
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _problem(
    environment: str,
    after: After,
    wanted: Sequence[_Wanted],
    timeline_of: Callable[[str], Timeline],
    now: float,
) -> _Problem | None:
    for one in wanted:
        timeline = timeline_of(after.environment)
        found = timeline.now(one.names)
        if not _runs(found, one):
            return _not_there(environment, after, one, found)
        if after.soak:
            since = _since(timeline, one, now - after.soak)
            if since is None or since > now - after.soak:
                return _too_early(environment, after, one, since, now)
    return None


def _runs(found: Sequence[Running], wanted: _Wanted) -> bool:
    """Whether all places run a version."""
    return bool(found) and all(_is_same(one.reference, wanted) for one in found)


def _is_same(one: Reference, wanted: _Wanted) -> bool:
    if wanted.repository and canonical_name(one.name) != canonical_name(wanted.repository):
        return False
    if wanted.version.digest:
        # A digest that doesn't run there is another image, whatever its tag.
        return one.digest == wanted.version.digest
    return bool(wanted.version.tag) and one.tag == wanted.version.tag


def _since(timeline: Timeline, wanted: _Wanted, enough: float) -> float | None:
    """Since when all places run a version, or another moment that is early enough."""
    since = None
    for past, _ in timeline.steps():
        since = past.time
        # It runs at least since this commit, as it did after it.
        if since <= enough or not past.parent:
            return since
        if not _runs(timeline.state(past.parent, wanted.names), wanted):
            return since
    return since


def _not_there(
    environment: str, after: After, wanted: _Wanted, found: Iterable[Running]
) -> _Problem:
    first = after.environment
    shown = [one.reference if wanted.repository else one.reference.version for one in found]
    runs = ", ".join(dict.fromkeys(f"`{one_line(str(one))}`" for one in shown if str(one)))
    version = f"{wanted.repository}:" if wanted.repository else ""
    return _Problem(
        f"{environment} takes a version of `{wanted.names[-1]}` only from {first}, which "
        f"{f'runs {runs}' if runs else 'has none'} and not `{version}{wanted.version.version}`.",
        f"Promote it to {first} first.",
    )


def _too_early(
    environment: str, after: After, wanted: _Wanted, since: float | None, now: float
) -> _Problem:
    version = wanted.version.version
    if since is None:
        return _Problem(
            f"The config repository's history doesn't tell since when {after.environment} runs "
            f"`{version}`, and {environment} asks for {_duration(after.soak)}.",
            "Look at the history of its files.",
        )
    return _Problem(
        f"{after.environment} runs `{version}` for {_duration(now - since)} only, since "
        f"{_moment(since)}, and {environment} asks for {_duration(after.soak)}.",
        f"Run this again after {_moment(since + after.soak)}.",
    )


def _refused(
    ruling: Ruling, environment: Environment, problem: _Problem, override: str
) -> PromoteError:
    if environment.allow_override:
        way = " To skip that, give the reason in `override`."
    elif override:
        way = " The policy doesn't let this be skipped: it has no `allow-override` there."
    else:
        way = ""
    position = environment.positions.get("after")
    return PromoteError(
        problem.what,
        problem.fix + way,
        path=ruling.policy.path if ruling.policy else "",
        line=position.line if position else 0,
        column=position.column if position else 0,
    )


def _duration(seconds: float) -> str:
    """A duration for people: its two largest units."""
    left, parts = max(int(seconds), 0), list[str]()
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M UTC")
