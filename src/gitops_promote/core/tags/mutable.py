"""Tags that name another image tomorrow, so that a promotion to them promotes nothing certain."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import KEEP, Image, sanitised

if TYPE_CHECKING:
    from gitops_promote.core.source import Source

# What teams call the branches and the channels that tags follow.
_BRANCHES = {"main", "master", "trunk", "develop", "development", "head"}
_CHANNELS = {
    *("edge", "nightly", "weekly", "canary", "snapshot", "stable", "unstable", "testing"),
    *("current", "rolling", "next", "preview", "alpha", "beta", "rc", "lts", "release"),
    *("dev", "test", "qa", "uat", "stage", "staging", "prod", "production"),
}


def why_mutable(tag: str, source: Source, environments: Collection[str]) -> str:
    """Say why a tag doesn't name one image for good.

    Args:
        tag: The tag.
        source: The run, for the names of its branches.
        environments: The names of the environments that are promoted to.

    Returns:
        The reason as a clause; empty where nothing tells that it is mutable.
    """
    name = tag.lower()
    branches = {source.branch, source.default_branch, source.base_ref} - {""}
    reasons = {
        "it is whatever was built last": re.search(r"(?:^|[._-])latest(?:$|[._-])", name),
        "it is the newest build of a pull request": re.fullmatch(r"(?:pr|pull|mr)-\d+", name),
        "it is a branch's name, and the branch's newest build": tag in map(sanitised, branches),
        "it is a branch's usual name": name in _BRANCHES,
        "it is an environment's name": tag in environments,
        "it names a channel, and its newest build": name in _CHANNELS,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def refuse_mutable(
    images: Iterable[Image],
    source: Source,
    environments: Collection[str],
    moves: Mapping[str, str],
) -> None:
    """Refuse to promote an image by a mutable tag alone.

    Args:
        images: What is promoted.
        source: The run.
        environments: The names of the environments that are promoted to.
        moves: Why a tag that a rule gave is mutable, by the tag.

    Raises:
        PromoteError: An image has a mutable tag, and no digest that pins it.
    """
    for image in images:
        if image.digest not in (None, KEEP) or image.tag in (None, KEEP):
            continue
        tag = image.tag or ""
        reason = moves.get(tag) or why_mutable(tag, source, environments)
        if reason:
            raise PromoteError(
                f"`{image.deployed_name}:{tag}` doesn't name one image for good: {reason}.",
                "Promote a tag of one build (without `tags`, that is the version, or the commit "
                f"and the run), pin it as `{image.deployed_name}:{tag}@sha256:…`, or set "
                "`allow-mutable-tag`.",
            )
