"""The tables of docs/performance.md, each between two marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

_DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def write(name: str, text: str) -> None:
    """Put a text in the place of the one that has its name.

    Args:
        name: The name.
        text: The new text.

    Raises:
        KeyError: The document has no such place.
    """
    old = _DOCUMENT.read_text(encoding="utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    new, count = pattern.subn(lambda _: f"{start}\n{text.strip()}\n\n{end}", old)
    if count != 1:
        raise KeyError(name)
    _DOCUMENT.write_text(new, encoding="utf-8")


def table(*rows: list[str]) -> str:
    """A table in Markdown; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def shown(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments of a command as others would give them: without a folder of this machine.

    Args:
        arguments: The arguments.

    Yields:
        Those that had a part in what was measured.
    """
    for argument in arguments:
        if argument != "--write":
            folder = argument.startswith("/")
            yield Path(argument).name if folder else argument
