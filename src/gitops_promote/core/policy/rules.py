"""What a policy makes of a call: it fills in what is left open, and refuses what loosens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import KEEP, Image, canonical_name
from gitops_promote.core.near import nearest
from gitops_promote.core.policy.values import App, Environment, Policy, Position
from gitops_promote.core.targets import Target, parse_target

_MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for; an empty value where it leaves that open.

    `targets` are lines of the input, `mode` a promotion mode, `branch` the one to change.
    `repository` is the app's own, `owner/name`, as the job knows it. `is_by_hand` where no job
    calls, but a person who rolls back.
    """

    environments: tuple[str, ...] = ()
    app: str = ""
    images: tuple[Image, ...] = ()
    targets: tuple[str, ...] = ()
    mode: str = ""
    branch: str = ""
    repository: str = ""
    is_by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is to be done of what is asked, on `branch`.

    `environments` is what the policy says of each that is named, `known` of each that there is, for
    this app; without a policy there is none.
    """

    images: tuple[Image, ...]
    targets: tuple[Target, ...]
    mode: str
    branch: str
    default_branch: str
    app: str = ""
    environments: tuple[Environment, ...] = ()
    known: Mapping[str, Environment] = field(default_factory=dict)
    policy: Policy | None = None


def rule(policy: Policy | None, asked: Asked, default_branch: str) -> Ruling:
    """Apply a policy to a call.

    Args:
        policy: The policy; None where the config repository has none.
        asked: The call.
        default_branch: The config repository's default branch.

    Returns:
        What the call may do.

    Raises:
        PromoteError: The policy doesn't allow it.
        UsageError: The call leaves open what nobody fills in.
    """
    if policy is None:
        targets = _targets(asked, dict.fromkeys(asked.environments or ("",), asked.targets))
        return Ruling(
            images=asked.images,
            targets=targets,
            mode=asked.mode or "push",
            branch=asked.branch or default_branch,
            default_branch=default_branch,
            app=asked.app,
        )
    names = _environments(policy, asked)
    app = _app(policy, asked)
    known = app.environments if app else policy.environments
    environments = tuple(known[name] for name in names)
    images = asked.images
    if app:
        _check_source(policy, app, asked)
        _check_images(policy, app, images)
        images = images or app.images
    name = app.name if app else asked.app
    lines = {one.name: asked.targets or one.targets for one in environments}
    targets = _targets(asked, lines, name)
    if any(target.path == policy.path for target in targets):
        raise PromoteError(
            "The policy is no target of a promotion.", "Correct `target`.", path=policy.path
        )
    return Ruling(
        images=images,
        targets=targets,
        mode=_mode(policy, environments, asked.mode),
        branch=_branch(policy, environments, asked.branch, default_branch),
        default_branch=default_branch,
        app=name,
        environments=environments,
        known=known,
        policy=policy,
    )


def targets_of(ruling: Ruling, asked: Asked, environment: str) -> tuple[Target, ...]:
    """Find what another environment of the same app consists of.

    Args:
        ruling: What the policy made of the call.
        asked: The call.
        environment: The other environment's name.

    Returns:
        Its targets: those of the policy, else those of the call with its name filled in.

    Raises:
        PromoteError: The policy has no such environment, or nobody tells its targets.
    """
    policy = ruling.policy
    if policy and environment not in ruling.known:
        raise _unknown(policy, "environment", environment, ruling.known)
    lines = ruling.known[environment].targets if policy else ()
    if not lines:
        lines = asked.targets
        # What is the same in both would tell of this one alone.
        if not lines or any("{environment}" not in line for line in lines):
            raise PromoteError(
                f"Nobody tells what {environment} consists of.",
                "Give the app `targets` in the policy file, or write `{environment}` in each line "
                "of `target`.",
            )
    return tuple(parse_target(line, environment, ruling.app) for line in lines)


def branch_of(ruling: Ruling, environment: str) -> str:
    """Find the branch that another environment of the same app stands on.

    Args:
        ruling: What the policy made of the call.
        environment: The other environment's name, which the policy has if there is one.

    Returns:
        The branch.
    """
    if ruling.policy is None:
        return ruling.branch
    return ruling.known[environment].branch or ruling.default_branch


def no_such_branch(ruling: Ruling, what: str) -> PromoteError:
    """Say that the branch isn't there on which an environment stands.

    Args:
        ruling: What the policy made of the call.
        what: What is wrong, as a sentence.

    Returns:
        The error to raise.
    """
    positions = [one.positions.get("branch") for one in ruling.environments]
    position = next(filter(None, positions), None)
    if ruling.policy is None or position is None:
        return PromoteError(what, "Correct `config-ref`.")
    return refusal(ruling.policy, position, what, "Correct `branch`, or make the branch.")


def _environments(policy: Policy, asked: Asked) -> tuple[str, ...]:
    if not asked.environments:
        raise UsageError(
            "Input `environment` (`--environment`) is missing.",
            f"The policy, {policy.path}, has {listed(list(policy.environments))}.",
        )
    for name in asked.environments:
        if name not in policy.environments:
            raise _unknown(policy, "environment", name, policy.environments)
    return asked.environments


def _app(policy: Policy, asked: Asked) -> App | None:
    if not policy.apps:
        return None
    if asked.app:
        if asked.app not in policy.apps:
            raise _unknown(policy, "app", asked.app, policy.apps)
        return policy.apps[asked.app]
    # A step that was there before the policy goes on, where it can mean one app only.
    fitting = [app for app in policy.apps.values() if _has_all(app, asked.images)]
    if asked.images and len(fitting) == 1:
        return fitting[0]
    found = "several apps" if len(fitting) > 1 and asked.images else "no app"
    images = f" has {found} with {_images_listed(asked.images)}" if asked.images else ""
    raise UsageError(
        f"Input `app` (`--app`) is missing{f', and the policy{images}' if images else ''}.",
        f"The policy, {policy.path}, has {listed(list(policy.apps))}.",
    )


def _has_all(app: App, images: Sequence[Image]) -> bool:
    return bool(app.images) and not _others(app, images)


def _others(app: App, images: Sequence[Image]) -> list[str]:
    """The images that an app hasn't, or that would get a new name that isn't theirs."""
    return [_named(image) for image in images if not any(_is_of(one, image) for one in app.images)]


def _is_of(own: Image, image: Image) -> bool:
    """Whether an image is the one that a policy names, by either name."""
    names = {canonical_name(own.name), canonical_name(own.deployed_name)}
    renamed = image.new_name not in (None, KEEP)
    fits = canonical_name(image.deployed_name) == canonical_name(own.deployed_name)
    return canonical_name(image.name) in names and (fits or not renamed)


def _named(image: Image) -> str:
    return f"{image.name}={image.new_name}" if image.new_name else image.name


def _check_images(policy: Policy, app: App, images: Sequence[Image]) -> None:
    others = _others(app, images) if app.images else []
    if others:
        raise refusal(
            policy,
            app.positions.get("images"),
            f"`{others[0]}` is no image of {app.name}.",
            f"The policy gives {_images_listed(app.images)}: leave `images` out, or have it added "
            "there.",
        )


def _check_source(policy: Policy, app: App, asked: Asked) -> None:
    known = app.source_repositories
    if not known or asked.is_by_hand:
        return
    if asked.repository.lower() in (name.lower() for name in known):
        return
    what = f"{asked.repository} is not" if asked.repository else "No job says that this is"
    raise refusal(
        policy,
        app.positions.get("source-repository"),
        f"{what} the source repository of {app.name}: {listed(known)}.",
        "Promote from a workflow there, or have this one added.",
    )


def _mode(policy: Policy, environments: Sequence[Environment], asked: str) -> str:
    """The strictest mode of all: there is one delivery for all environments of a call."""
    for environment in environments:
        if environment.mode == "pull-request":
            if asked == "push":
                raise refusal(
                    policy,
                    environment.positions.get("mode"),
                    f"{environment.name} takes pull requests alone, and this call asks to push.",
                    "Leave `promotion-mode` out, or set it to `pull-request`.",
                )
            return asked or "pull-request"
    return asked or "push"


def _branch(policy: Policy, environments: Sequence[Environment], asked: str, default: str) -> str:
    branches = {environment.branch or default: environment for environment in environments}
    if len(branches) > 1:
        parts = [f"{one.name} is on {branch}" for branch, one in branches.items()]
        raise PromoteError(
            f"One call changes one branch: {', '.join(parts)}.", "Promote to each in a call."
        )
    branch, environment = next(iter(branches.items()))
    if asked and asked != branch:
        raise refusal(
            policy,
            environment.positions.get("branch") or environment.positions.get(""),
            f"{environment.name} is on branch {branch}, and this call asks for {asked}.",
            "Leave `config-ref` out.",
        )
    return branch


def _targets(asked: Asked, lines: Mapping[str, Sequence[str]], app: str = "") -> tuple[Target, ...]:
    for name, given in lines.items():
        if not given:
            where = f" for {name}" if name and len(lines) > 1 else ""
            raise UsageError(
                f"Input `target` (`--target`) is missing{where}.",
                "Name what to edit, such as `apps/shop/overlays/dev`, or give the app `targets` "
                "in the policy file.",
            )
    app = app or asked.app
    targets = (parse_target(line, name, app) for name, given in lines.items() for line in given)
    return tuple(dict.fromkeys(targets))


def _images_listed(images: Sequence[Image]) -> str:
    return listed(list(dict.fromkeys(image.deployed_name for image in images)))


def listed(names: Sequence[str]) -> str:
    """List names for a message, the first of them.

    Args:
        names: The names.

    Returns:
        The names, and how many more there are.
    """
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST_NAMES]) + more


def _unknown(policy: Policy, what: str, name: str, known: Mapping[str, object]) -> PromoteError:
    near = nearest(name, known)
    fix = f"Did you mean `{near}`? " if near else ""
    return PromoteError(
        f"The policy has no {what} `{name}`.",
        f"{fix}It has {listed(list(known))}.",
        path=policy.path,
    )


def refusal(policy: Policy, position: Position | None, what: str, fix: str) -> PromoteError:
    """Refuse a call because of what a policy says.

    Args:
        policy: The policy.
        position: Where it says so; None where that isn't known.
        what: What is wrong, as a sentence.
        fix: What to do next, as a sentence.

    Returns:
        The error to raise.
    """
    line, column = (position.line, position.column) if position else (0, 0)
    return PromoteError(what, fix, path=policy.path, line=line, column=column)
