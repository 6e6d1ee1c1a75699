"""Another text for a scalar, in the bytes that change and no others."""

from __future__ import annotations

import re
from itertools import accumulate

from gitops_promote.core.yaml import layout
from gitops_promote.core.yaml.quoting import escaped
from gitops_promote.core.yaml.tree import Scalar

# How double quotes write one character ("YAML 1.2.2", escaped characters).
_ESCAPED = re.compile(r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\.|.", re.DOTALL)
_DOUBLED = re.compile(r"''|.", re.DOTALL)


def splice_text(text: str, scalar: Scalar, value: str) -> tuple[int, int, str] | None:
    """Find what to replace in a file so that a scalar gets another text in the form it has.

    Args:
        text: The file.
        scalar: One of its scalars.
        value: The scalar's new text.

    Returns:
        Start and end of what changes in the file, and what takes its place; None where the form is
        one that breaks lines elsewhere than the text does.
    """
    offsets = _offsets(text, scalar)
    if offsets is None:
        return None
    old = scalar.value
    start = _alike(old, value)
    same = _alike(old[start:][::-1], value[start:][::-1])
    new = value[start : len(value) - same]
    return offsets[start], offsets[len(old) - same], _written(text, scalar, new)


def _alike(text: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(text), len(other)))


def _offsets(text: str, scalar: Scalar) -> list[int] | None:
    """Where each character of a scalar's text stands in the file, and where the last one ends."""
    if scalar.style == "|":
        return _offsets_in_block(text, scalar)
    raw = text[scalar.start : scalar.end]
    if scalar.style == ">" or layout.LINE_BREAK.search(raw):
        return None
    if not scalar.style:
        return list(range(scalar.start, scalar.end + 1)) if raw == scalar.value else None
    pattern = _ESCAPED if scalar.style == '"' else _DOUBLED
    lengths = [len(found) for found in pattern.findall(raw[1:-1])]
    return list(accumulate(lengths, initial=scalar.start + 1))


def _offsets_in_block(text: str, scalar: Scalar) -> list[int]:
    indent = _indent(text, scalar)
    offsets: list[int] = []
    line = _next_line(text, scalar.start)
    for content in scalar.value.split("\n"):
        # A line of white space may be shorter than the indentation.
        start = min(line + indent, layout.line_end(text, line))
        offsets += range(start, start + len(content) + 1)
        line = _next_line(text, line)
    return offsets


def _next_line(text: str, offset: int) -> int:
    found = layout.LINE_BREAK.search(text, offset)
    return found.end() if found else len(text)


def _indent(text: str, scalar: Scalar) -> int:
    """The white space that a block scalar's lines begin with, and its text's don't."""
    line = _next_line(text, scalar.start)
    for content in scalar.value.split("\n"):
        if content.strip():
            return layout.line_end(text, line) - line - len(content)
        line = _next_line(text, line)
    return 0


def _written(text: str, scalar: Scalar, new: str) -> str:
    """A part of a scalar's text as the scalar's form has it."""
    if scalar.style == "|":
        found = layout.LINE_BREAK.search(text)
        newline = (found.group() if found else "\n") + " " * _indent(text, scalar)
        return new.replace("\n", newline)
    if scalar.style == '"':
        return escaped(new)
    return new.replace("'", "''") if scalar.style else new
