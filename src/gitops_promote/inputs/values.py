"""The inputs of a call, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_promote.core.images import Image
    from gitops_promote.core.review.gates import Gate
    from gitops_promote.core.tags.flavor import Flavor
    from gitops_promote.core.tags.rules import Rule


@dataclass(frozen=True, slots=True)
class Identity:
    """A name and an email address, as git writes them."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True)
class TagsInputs:
    """What tags are computed by; `images` are names.

    `rules` is empty, `flavor` None and `commit_digits` 0 where nobody asked for any.
    """

    images: tuple[str, ...]
    rules: tuple[Rule, ...]
    flavor: Flavor | None
    app: str
    commit_digits: int

    @property
    def image_app(self) -> str:
        """The last part of the image's name, where there is one image."""
        return self.images[0].rpartition("/")[2] if len(self.images) == 1 else ""

    @property
    def version_app(self) -> str:
        """The app whose version tags (`shop/v1.2.3`) count; empty where none do."""
        # docker/metadata-action knows no such tags, and rules mean here what they mean there.
        return self.app or ("" if self.rules else self.image_app)


@dataclass(frozen=True, slots=True)
class PullRequestInputs:
    """What a pull request is to be like. `branch`, `title` and `body` are templates.

    `milestone` is 0 and `auto_merge` empty where there is to be none.
    """

    branch: str
    title: str
    body: str
    labels: tuple[str, ...]
    assignees: tuple[str, ...]
    reviewers: tuple[str, ...]
    team_reviewers: tuple[str, ...]
    milestone: int
    draft: bool
    delete_branch: bool
    auto_merge: str
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one call, checked and typed. An empty text or tuple means: not given.

    `mutable` says why a pasted tag is mutable, by the tag. `to` is for a `rollback` alone.
    """

    images: tuple[Image, ...]
    tags: TagsInputs
    mutable: Mapping[str, str]
    warnings: tuple[str, ...]
    app: str
    config_repository: str
    config_ref: str
    environments: tuple[str, ...]
    targets: tuple[str, ...]
    policy_file: str
    promotion_mode: str
    promote_from: str
    rollback: bool
    to: str
    chart_bump: str
    commit_via: str
    commit_message: str
    author: Identity | None
    committer: Identity | None
    signoff: bool
    timings: bool
    pull_request: PullRequestInputs
    allow_mutable_tag: bool
    allow_downgrade: bool
    override: str
    token: str
    ssh_key: str
    ssh_known_hosts: str
