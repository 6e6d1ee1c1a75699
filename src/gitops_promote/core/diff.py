"""The difference of two versions of a file, as git shows it."""

from __future__ import annotations

import re
from difflib import unified_diff

_CONTEXT = 3


def diff_file(path: str, before: bytes, after: bytes) -> str:
    """The unified difference of a file.

    Args:
        path: The file's path in the repository.
        before: Its content before.
        after: Its content after.

    Returns:
        The difference in git's form, empty where the two are equal.
    """
    if before == after:
        return ""
    old, new = _lines(before), _lines(after)
    head, tail = _common(old, new)
    # Only the part that differs is compared: a long file with one change costs one change.
    old_part, new_part = old[head : len(old) - tail], new[head : len(new) - tail]
    text = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
    for line in list(unified_diff(old_part, new_part, n=_CONTEXT))[2:]:
        text += _shifted(line, head) if line.startswith("@@") else _shown(line)
    return text


def _lines(content: bytes) -> list[str]:
    # By line feeds alone, as git does: `str.splitlines` knows more line ends than git.
    return re.findall(r"[^\n]*\n|[^\n]+", content.decode("utf-8", "replace"))


def _common(old: list[str], new: list[str]) -> tuple[int, int]:
    """How many lines to leave out at the start and at the end, the context kept."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    rest = most - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    return max(head - _CONTEXT, 0), max(tail - _CONTEXT, 0)


def _shifted(header: str, lines: int) -> str:
    """A hunk's header with its line numbers moved down."""
    parts = header.split(" ")
    for index in (1, 2):
        sign, (start, *rest) = parts[index][0], parts[index][1:].split(",")
        parts[index] = ",".join([f"{sign}{int(start) + lines}", *rest])
    return " ".join(parts)


def _shown(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
