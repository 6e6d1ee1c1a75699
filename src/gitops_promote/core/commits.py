"""What the commit behind a version may be called in the app's repository."""

from __future__ import annotations

import re

from gitops_promote.core.images import is_tag

#: The prefix of what is no hash, in names of commits.
TAGS = "refs/tags/"

_MOST_NAMES = 12
# A commit's short or full hash, as a part of a tag: `1a2b3c4`, `sha-1a2b3c4`, `1a2b3c4-42`.
_HASH = re.compile(r"(?<![^._-])g?([0-9a-f]{7,40})(?![^._-])")
# As of `{{sha}}-{{run_id}}`. A hash without a letter could be a date, and the number the commit.
_BUILD = re.compile(r"(?P<hash>(?=[0-9]*[a-f])[0-9a-f]{7,40})-(?P<run>[0-9]{1,20})")
_VERSION = re.compile(r"v?(\d+(?:\.\d+)+(?:[._-].+)?)", re.IGNORECASE)
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


def commit_names(version: str, app: str, commit: str = "") -> tuple[str, ...]:
    """Find what the commit of a version may be called in the app's repository.

    Args:
        version: What a file says: `TAG`, `TAG@DIGEST` or `DIGEST`.
        app: The app's name, for version tags such as `shop/v1.4.1`; empty where it has none.
        commit: The full hash of what it was built from, where that is known.

    Returns:
        Names for git, the likeliest first: hashes, and tags as `refs/tags/NAME`.
    """
    tag = _tag(version)
    hashes = [commit if commit.startswith(found) else found for found in _hashes(tag)]
    known = [commit] if commit else []
    tags = [f"{TAGS}{name}" for name in _tag_names(tag, app)]
    return tuple(dict.fromkeys([*hashes, *known, *tags]))[:_MOST_NAMES]


def build_of(version: str) -> tuple[str, str]:
    """Find the commit and the run that a tag such as `1a2b3c4-11870042117` names.

    Args:
        version: What a file says: `TAG`, `TAG@DIGEST` or `DIGEST`.

    Returns:
        The hash, short or full, and the number of the run; empty where the tag isn't of this form.
    """
    found = _BUILD.fullmatch(_tag(version))
    return (found["hash"], found["run"]) if found else ("", "")


def find_hash(text: str) -> str:
    """Find a commit's hash in a part of a tag.

    Args:
        text: The part.

    Returns:
        The first that has a letter, as digits alone may be any number; empty where there is none.
    """
    return next((found for found in _HASH.findall(text) if not found.isdecimal()), "")


def _tag(version: str) -> str:
    tag = version.partition("@")[0]
    return tag if is_tag(tag) else ""


def _hashes(tag: str) -> list[str]:
    build = _BUILD.fullmatch(tag)
    return [build["hash"]] if build else _HASH.findall(tag)


def _tag_names(tag: str, app: str) -> list[str]:
    version = _VERSION.fullmatch(tag)
    if version is None:
        return []
    # Both spellings, and first the one that the image's tag has not: `v1.4.1` makes `1.4.1`.
    spellings = [f"v{version[1]}", version[1]]
    if not _APP.fullmatch(app):
        return spellings
    own = [f"{app}{mark}{name}" for name in spellings for mark in "/-@"]
    return own + spellings
