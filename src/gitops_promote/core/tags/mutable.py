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
_BRANCHES = {"main", "master", "trunk", "develop", "development", "head", "tip"}
_CHANNELS = {
    *("edge", "nightly", "weekly", "canary", "snapshot", "stable", "unstable", "testing"),
    *("current", "rolling", "next", "preview", "alpha", "beta", "rc", "lts", "release"),
    *("dev", "test", "qa", "uat", "stage", "staging", "preprod", "prod", "production"),
}
# `latest` with words around it, as a flavor's prefix and suffix make it.
_LATEST = re.compile(r"(?:.*[._-])?latest(?:[._-][a-z]+)*")
_VERSION = re.compile(r"v?\d+\.\d+\.\d+")


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
    # A branch or an environment that is called like a version doesn't make that one mutable.
    named = set() if _VERSION.match(tag) else {*map(sanitised, branches)}
    reasons = {
        "it is whatever was built last": _LATEST.fullmatch(name),
        "it is the newest build of a pull request": re.fullmatch(r"(?:pr|pull|mr)-\d+", name),
        "it is a branch's name, and the branch's newest build": tag in named,
        "it is a branch's usual name": name in _BRANCHES,
        "it is an environment's name": tag in environments and not _VERSION.match(tag),
        "it names a channel, and its newest build": name in _CHANNELS,
        "it is the newest build before a release": name.endswith("-snapshot"),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def refuse_mutable(
    images: Iterable[Image],
    source: Source,
    environments: Collection[str],
    known: Mapping[str, str | None],
    better: str = "",
) -> None:
    """Refuse to promote an image by a mutable tag alone.

    Args:
        images: What is promoted.
        source: The run.
        environments: The names of the environments that are promoted to.
        known: Why a tag is mutable, by the tag, where that is known from its making; None where it
            certainly is not, and empty where its text decides.
        better: What to do instead, as a sentence; empty for a general advice.

    Raises:
        PromoteError: An image has a mutable tag, and no digest that pins it.
    """
    for image in images:
        tag = image.tag
        if tag is None or tag == KEEP or image.digest not in (None, KEEP):
            continue
        reason = known.get(tag, "")
        if reason is None:
            continue
        if reason := reason or why_mutable(tag, source, environments):
            raise PromoteError(
                f"`{image.deployed_name}:{tag}` doesn't name one image for good: {reason}.",
                f"{better or 'Promote a tag that one build alone has.'} Or pin it, as "
                f"`{image.deployed_name}:{tag}@sha256:…`, or set `allow-mutable-tag`.",
            )
