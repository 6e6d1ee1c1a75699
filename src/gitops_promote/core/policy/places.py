"""The files that a policy gives an app in an environment, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from posixpath import basename

from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.core.kinds.registry import BY_NAME
from gitops_promote.core.locate import Located, kinds_of, locate
from gitops_promote.core.policy.rules import Ruling, branch_of, listed, refusal
from gitops_promote.core.policy.values import Environment, Policy
from gitops_promote.core.running import running
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.targets import Target, compile_glob, parse_target
from gitops_promote.core.yaml.document import Document

_NAMES = frozenset(name for kind in BY_NAME.values() for name in kind.file_names)


def check_places(ruling: Ruling, places: Sequence[Located]) -> None:
    """Refuse files that the policy doesn't give the app, or the environment.

    Args:
        ruling: What the policy made of the call.
        places: The files that the call's targets lead to.

    Raises:
        PromoteError: One of them isn't allowed.
    """
    policy = ruling.policy
    if policy is None:
        return
    for environment in ruling.environments:
        own = [place for place in places if place.target.environment == environment.name]
        if allowed := _allowed(ruling.app, environment):
            _check_given(policy, ruling, environment, own, allowed)
        else:
            _check_nobody_s(policy, ruling, environment, own)
        for place in own:
            _check_path(policy, environment, place)


def check_others(ruling: Ruling, snapshot: Snapshot, files: Mapping[str, bytes]) -> None:
    """Refuse to change what an environment runs that isn't named, as by an anchor that it shares.

    Args:
        ruling: What the policy made of the call.
        snapshot: The config repository.
        files: What is to be written, by path.

    Raises:
        PromoteError: It changes another environment of the app.
    """
    policy, named = ruling.policy, {environment.name for environment in ruling.environments}
    others = [
        one
        for name, one in ruling.known.items()
        if name not in named and one.targets and branch_of(ruling, name) == ruling.branch
    ]
    for environment in others:
        for target in _allowed(ruling.app, environment):
            for place in (*_fitting(target, files), *_led_to(target, snapshot, files)):
                path = place.path
                before = snapshot.read(path) if snapshot.kind(path) else b""
                if _is_changed(place, before, files[path]) and policy:
                    raise refusal(
                        policy,
                        environment.positions.get("targets"),
                        f"`{path}` is also a target of {environment.name}, where this call would "
                        f"change what runs.",
                        f"Name {environment.name}, too, or give each a value of its own there; "
                        "targets of one environment alone belong to the app's `environments`.",
                    )


def _fitting(target: Target, files: Mapping[str, bytes]) -> Iterator[Located]:
    """The files that a target leads to, each as what it is."""
    for path, content in files.items():
        kinds = [target.kind] if target.kind else kinds_of(path, Document.parse(content, path))
        yield from (Located(target, path, kind) for kind in kinds if target.fits(path, kind))


def _led_to(target: Target, snapshot: Snapshot, files: Mapping[str, bytes]) -> Iterator[Located]:
    """The values files among some that an overlay or a helmfile of a target gives a chart."""
    if not any(_may_lead(target, path) for path in files):
        return
    read = lru_cache(maxsize=4)(lambda path: Document.parse(snapshot.read(path), path))
    try:
        yield from (p for p in locate(snapshot, target, read) if p.led_by and p.path in files)
    except RetryableError:
        raise
    except PromoteError:
        return  # it leads nowhere as it is


def _may_lead(target: Target, path: str) -> bool:
    """Whether what a target names lies beside a file or above, as far as paths tell."""
    folders = accumulate(path.split("/")[:-1], lambda above, name: f"{above}/{name}")
    stem = target.path.removesuffix(basename(target.path))
    is_file = basename(target.path).endswith((".yaml", ".yml"))
    named = "helmfile" in basename(target.path) or basename(target.path) in _NAMES
    return any(map(target.fits, folders)) or (is_file and named and path.startswith(stem))


def _is_changed(place: Located, before: bytes, after: bytes) -> bool:
    """Whether another version runs in a place of a values file."""
    states = []
    for content in (before, after):
        found = running(place, Document.parse(content, place.path), ())
        states.append([(one.key, one.reference) for one in found])
    return states[0] != states[1]


def _allowed(app: str, environment: Environment) -> list[Target]:
    return [parse_target(line, environment.name, app) for line in environment.targets]


def _check_given(
    policy: Policy,
    ruling: Ruling,
    environment: Environment,
    places: Sequence[Located],
    allowed: Sequence[Target],
) -> None:
    for place in places:
        if not any(_covers(target, place) for target in allowed):
            raise refusal(
                policy,
                environment.positions.get("targets"),
                f"`{_shown(place)}` is no target of {_whose(ruling)} in {environment.name}.",
                f"The policy gives {listed([target.text for target in allowed])}: leave `target` "
                "out, or have it added there.",
            )


def _check_nobody_s(
    policy: Policy, ruling: Ruling, environment: Environment, places: Sequence[Located]
) -> None:
    """Refuse what another app or environment has, where this one may have anything else."""
    others = [
        (app.name, name, other, _allowed(app.name, other))
        for app in policy.apps.values()
        for name, other in app.environments.items()
        if (app.name, name) != (ruling.app, environment.name)
        and other.targets
        and (other.branch or ruling.default_branch) == ruling.branch
    ]
    for place in places:
        for app, name, other, targets in others:
            if any(_leads_to(target, place) for target in targets):
                raise refusal(
                    policy,
                    other.positions.get("targets"),
                    f"`{_shown(place)}` is a target of {app} in {name}, and not of "
                    f"{_whose(ruling)} in {environment.name}.",
                    "Correct `target`, or give the app `targets` in the policy file.",
                )


def _covers(target: Target, place: Located) -> bool:
    """Whether a target of the policy gives a place: as the same kind, by the same key."""
    # What a call forces must be what the file is anyway.
    kind = target.kind or place.natural or place.kind
    same = place.led_by or (kind, target.key) == (place.kind, place.target.key)
    return bool(same) and _leads_to(target, place)


def _leads_to(target: Target, place: Located) -> bool:
    """Whether a target leads to a place, or to the file that names it."""
    if place.led_by:
        return any(target.fits(place.led_by, kind) for kind in BY_NAME)
    return target.fits(place.path, target.kind or place.natural or place.kind)


def _check_path(policy: Policy, environment: Environment, place: Located) -> None:
    paths = environment.paths
    if paths and not any(compile_glob(path).fullmatch(place.path) for path in paths):
        raise refusal(
            policy,
            environment.positions.get("paths"),
            f"`{place.path}` is outside of what {environment.name} may change.",
            f"The policy allows {listed(paths)}: correct `target`, or have it added there.",
        )


def _shown(place: Located) -> str:
    return f"{place.path}#{place.target.key}" if place.target.key else place.path


def _whose(ruling: Ruling) -> str:
    return ruling.app or "this call"
