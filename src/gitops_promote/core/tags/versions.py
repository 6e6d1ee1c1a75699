"""Versions in the names of git tags, read as docker/metadata-action reads them.

It uses node-semver and @renovate/pep440. Python's packages for the same grammars differ from them
at the edges. A promoted tag must be the one that was pushed, so the edges follow those two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

# `Number.MAX_SAFE_INTEGER` and what `String.prototype.trim` takes off, both of ECMAScript, and
# node-semver's limit on a version's length.
_MAX_NUMBER = 2**53 - 1
_SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
_MAX_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Version:
    """A version: what a template may name of it, and whether it is no final release."""

    fields: Mapping[str, str]
    is_prerelease: bool


def read_semver(text: str) -> Version | None:
    """Read a semantic version, as `semver.valid` and `semver.parse` of node-semver do.

    Args:
        text: The version; a `v` may stand before it and space around it.

    Returns:
        The version with `raw`, `version` (without build metadata), `major`, `minor`, `patch`,
        `prerelease` and `build`, of which the last two have commas for dots; None where the text
        is no semantic version.
    """
    import semver  # noqa: PLC0415  (most runs read none)

    trimmed = text.strip(_SPACE)
    # Older versions of the package take digits of other scripts. In the rest of the grammar the two
    # agree.
    if len(text) > _MAX_LENGTH or not trimmed.isascii():
        return None
    try:
        found = semver.Version.parse(trimmed.removeprefix("v"))
    except ValueError:
        return None
    if max(found.major, found.minor, found.patch) > _MAX_NUMBER:
        return None
    fields = {
        "raw": text,
        "version": str(found.replace(build=None)),
        "major": str(found.major),
        "minor": str(found.minor),
        "patch": str(found.patch),
        "prerelease": (found.prerelease or "").replace(".", ","),
        "build": (found.build or "").replace(".", ","),
    }
    return Version(fields, found.prerelease is not None)


def read_pep440(text: str) -> Version | None:
    """Read a Python version, as `valid`, `clean` and `explain` of @renovate/pep440 do.

    Args:
        text: The version; no space may stand around it.

    Returns:
        The version with `raw`, `version` (in PEP 440's normal form, but with commas in its local
        part), `major`, `minor` and `patch`; None where the text is no version by PEP 440. A
        prerelease is whatever has a pre-, post- or development release.
    """
    from packaging.version import Version as Parsed  # noqa: PLC0415  (most runs read none)

    if not re.fullmatch(r"[\x21-\x7e]+", text):
        return None
    try:
        found = Parsed(text)
    except ValueError:
        return None
    release = [_number(number) for number in found.release]
    parts = [f"{_number(found.epoch)}!"] if found.epoch else []
    parts.append(".".join(release))
    if found.pre:
        parts.append(f"{found.pre[0]}{_number(found.pre[1])}")
    if found.post is not None:
        parts.append(f".post{_number(found.post)}")
    if found.dev is not None:
        parts.append(f".dev{_number(found.dev)}")
    if found.local:
        local = re.split(r"[._-]", text.partition("+")[2])
        parts.append(f"+{','.join(map(_local, local))}")
    major, minor, patch = [*release, "0", "0"][:3]
    fields = {"raw": text, "version": "".join(parts)}
    fields |= {"major": major, "minor": minor, "patch": patch}
    return Version(fields, found.is_prerelease or found.is_postrelease)


def _number(value: float) -> str:
    """A number as JavaScript writes it, which has 64 bits of floating point for all of them."""
    try:
        value = float(value)
    except OverflowError:
        value = float("inf")
    if value == float("inf"):
        return "Infinity"
    # The shortest digits that give the number back, as in Python, but longer without an exponent.
    return str(int(Decimal(repr(value)))) if value < 1e21 else repr(value)


def _local(part: str) -> str:
    """A part of a local version, which is a number where JavaScript's `Number` makes one of it."""
    if re.fullmatch(r"0(?:x[0-9a-f]+|o[0-7]+|b[01]+)", part, re.IGNORECASE):
        return _number(int(part, 0))
    if re.fullmatch(r"[0-9]+(?:[eE][0-9]+)?|Infinity", part):
        return _number(float(part))
    return part.lower()
