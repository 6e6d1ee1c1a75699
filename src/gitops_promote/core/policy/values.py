"""A policy, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gitops_promote.core.images import Image
from gitops_promote.core.review.gates import Gate


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the policy file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class After:
    """The environment that a version must run in first, and for how many seconds."""

    environment: str
    soak: int = 0


@dataclass(frozen=True, slots=True)
class Environment:
    """What holds in an environment, for one app or for any: an empty value where nothing is said.

    `mode` is `push`, `pull-request` or empty. `paths` are globs that each edited file must fit one
    of. `targets` are lines as the input `target` takes them. `positions` has, by the key in the
    file, where that was said; by the empty key, where the environment itself stands.
    """

    name: str
    mode: str = ""
    after: After | None = None
    allow_override: bool = False
    branch: str = ""
    paths: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    team_reviewers: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    targets: tuple[str, ...] = ()
    positions: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class App:
    """An app. `images` have a name and perhaps a new one; `environments` all that the policy has.

    Empty `images`, `targets` (of an environment) or `source_repositories` limit nothing.
    """

    name: str
    images: tuple[Image, ...] = ()
    source_repositories: tuple[str, ...] = ()
    environments: Mapping[str, Environment] = field(default_factory=dict)
    positions: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: the environments in promotion order, for any app, and the apps by name."""

    path: str
    environments: Mapping[str, Environment]
    apps: Mapping[str, App]
