"""The policy's order: an environment takes what the one before it runs, and for long enough."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Reference
from gitops_promote.promotion.past import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gitops_promote.core.plan import Plan
    from gitops_promote.core.policy.rules import Ruling
    from gitops_promote.core.policy.values import After, Environment
    from gitops_promote.core.running import Running


def check_order(
    ruling: Ruling,
    plan: Plan,
    timeline_of: Callable[[str, tuple[str, ...]], Timeline],
    override: str,
    now: float,
) -> str:
    """Refuse what skips an environment, or comes too early.

    Args:
        ruling: What the policy made of the call.
        plan: What is to be changed.
        timeline_of: Finds the places of an environment, by its name, for images by their names.
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


def _wanted(plan: Plan, environment: str) -> dict[str, set[Reference]]:
    """What an environment is to run that it doesn't, by the images' names."""
    paths = {place.path for place in plan.places if place.target.environment == environment}
    wanted: dict[str, set[Reference]] = {}
    for change in plan.changes:
        if change.path in paths and change.old != change.new:
            # What the config repository calls it need not be the same in both environments.
            wanted.setdefault(change.new.name or change.image, set()).add(change.new)
    return wanted


def _problem(
    environment: str,
    after: After,
    wanted: Mapping[str, set[Reference]],
    timeline_of: Callable[[str, tuple[str, ...]], Timeline],
    now: float,
) -> _Problem | None:
    for name, references in wanted.items():
        timeline = timeline_of(after.environment, (name,))
        for reference in references:
            found = timeline.state(timeline.head.commit)
            if not _runs(found, reference):
                return _not_there(environment, after, name, reference, found)
            if after.soak:
                since = _since(timeline, reference, now - after.soak)
                if since is None or since > now - after.soak:
                    return _too_early(environment, after, reference, since, now)
    return None


def _runs(found: Sequence[Running], wanted: Reference) -> bool:
    """Whether all places run a version."""
    return bool(found) and all(_is_same(one.reference, wanted) for one in found)


def _is_same(one: Reference, other: Reference) -> bool:
    """Whether two references are one version, as far as both say."""
    pairs = [(one.tag, other.tag), (one.digest, other.digest)]
    known = [pair for pair in pairs if all(pair)]
    return bool(known) and all(mine == yours for mine, yours in known)


def _since(timeline: Timeline, wanted: Reference, enough: float) -> float | None:
    """Since when all places run a version, or another moment that is early enough."""
    since = None
    for past in timeline.commits():
        since = past.time
        # It runs at least since this commit, as it did after it.
        if since <= enough or not past.parent:
            return since
        if not _runs(timeline.state(past.parent), wanted):
            return since
    return since


def _not_there(
    environment: str, after: After, name: str, wanted: Reference, found: Iterable[Running]
) -> _Problem:
    versions = dict.fromkeys(one.reference.version for one in found)
    runs = f"runs {', '.join(f'`{version}`' for version in versions)}" if versions else "has none"
    first = after.environment
    return _Problem(
        f"{environment} takes a version of `{name}` only from {first}, which {runs} and not "
        f"`{wanted.version}`.",
        f"Promote it to {first} first.",
    )


def _too_early(
    environment: str, after: After, wanted: Reference, since: float | None, now: float
) -> _Problem:
    if since is None:
        return _Problem(
            f"The config repository's history doesn't tell since when {after.environment} runs "
            f"`{wanted.version}`, and {environment} asks for {_duration(after.soak)}.",
            "Look at the history of its files.",
        )
    return _Problem(
        f"{after.environment} runs `{wanted.version}` for {_duration(now - since)} only, since "
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
