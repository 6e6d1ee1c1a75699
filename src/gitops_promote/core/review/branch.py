"""The name of a pull request's branch: the same for each version, another for all else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gitops_promote.core.errors import UsageError
from gitops_promote.core.placeholders import fill

if TYPE_CHECKING:
    from gitops_promote.core.request import Request

#: What `branch` may have filled in. A version isn't among it, or each had a pull request.
BRANCH_PLACEHOLDERS = ("app", "environment", "images")

#: What the branch is called on which a new commit is made before it takes another one's place. No
#: name of ours ends so, as dots are left out of them.
STAGING = ".next"

_PREFIX = "gitops-promote"
#: The rules of git-check-ref-format(1) that a branch's name can break.
NO_BRANCH = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|[./]$|(?:^|/)\.|\.lock(?:/|$)|^@$|^refs/"
)
_MOST_CHARACTERS = 60


def is_branch(name: str) -> bool:
    """Whether git takes a text as a branch's name.

    Args:
        name: The text, without `refs/heads/`.

    Returns:
        True where it does.
    """
    return bool(name) and NO_BRANCH.search(name) is None


def branch_name(template: str, request: Request) -> str:
    """Name the branch of a promotion's pull request.

    Args:
        template: The `branch` input; empty for our own.
        request: The promotion.

    Returns:
        The name. Ours is `gitops-promote/ENVIRONMENT/APP`; without an environment the targets
        stand for it, and without an app the images.

    Raises:
        UsageError: The template gives no branch's name.
    """
    images = [image.deployed_name.rpartition("/")[2] for image in request.images]
    values = {
        "app": _part([request.app] if request.app else images),
        "environment": _part(request.environments or [target.text for target in request.targets]),
        "images": _part(images),
    }
    own = f"{_PREFIX}/{values['environment']}/{values['app']}"
    name = fill(template, values, "branch").removeprefix("refs/heads/") or own
    if not is_branch(name) or name.endswith(STAGING):
        raise UsageError(
            f"Input `branch` gives `{name}`, which is no name for a pull request's branch.",
            f"Use letters, digits, `-`, `_`, `.` and `/`, and no `{STAGING}` at the end.",
        )
    return name


def _part(names: Sequence[str]) -> str:
    """Several names as one part of a branch's name."""
    # In one order, however a call lists them.
    whole = "+".join(sorted(set(names)))
    text = re.sub(r"[^A-Za-z0-9_+-]+", "-", whole).strip("-")
    if len(text) <= _MOST_CHARACTERS and text == whole:
        return text
    from hashlib import sha256  # noqa: PLC0415  (rarely needed)

    # What was left out or cut off still tells two promotions apart.
    return f"{text[:_MOST_CHARACTERS]}-{sha256(whole.encode()).hexdigest()[:8]}"
