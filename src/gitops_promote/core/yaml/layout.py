"""Lines and columns of a text, by offsets. Only CR, LF and CRLF end a line."""

from __future__ import annotations

import re

# A pair is tried first and a CR never taken out of one, so that there is one way to match.
LINE_BREAK = re.compile(r"\r?\n|\r(?!\n)")

_LINE_REST = re.compile(r"[^\r\n]*")
_LAST_BREAK = re.compile(r"(?:\r?\n|\r)\Z")
_BLANK_LINE = re.compile(r"(?:\r?\n|\r(?!\n))[ \t]*(?=[\r\n])")
_DOCUMENT_MARK = re.compile(r"(?:\A|(?<=[\r\n]))(?:---|\.\.\.)(?=\s|\Z)")


def line_of(text: str, offset: int) -> int:
    """The line of an offset in a text, counted from 1.

    Args:
        text: The text.
        offset: An offset in it.

    Returns:
        The line.
    """
    pairs = text.count("\r\n", 0, offset)
    return text.count("\n", 0, offset) + text.count("\r", 0, offset) - pairs + 1


def line_start(text: str, offset: int) -> int:
    """The offset of the first character of a line.

    Args:
        text: The text.
        offset: An offset in it.

    Returns:
        The offset.
    """
    return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1


def line_end(text: str, offset: int) -> int:
    """The offset behind a line's last character, its line end left out.

    Args:
        text: The text.
        offset: An offset in it.

    Returns:
        The offset.
    """
    found = _LINE_REST.match(text, offset)
    return found.end() if found else offset


def column_of(text: str, offset: int) -> int:
    """The characters between an offset and the start of its line.

    Args:
        text: The text.
        offset: An offset in it.

    Returns:
        Their number, from 0.
    """
    return offset - line_start(text, offset)


def trimmed_end(text: str, start: int, end: int) -> int:
    """The end of a span without the white space at its end.

    Args:
        text: The text.
        start: Where the span starts.
        end: Where it ends.

    Returns:
        The offset, not before the start.
    """
    while end > start and text[end - 1] in " \t\r\n":
        end -= 1
    return end


def whole_lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The lines of a span, with their last line end, or where the text has none the one before.

    Args:
        text: The text.
        start: Where the span starts.
        end: Where it ends.

    Returns:
        Start and end of the lines.
    """
    start, end = line_start(text, start), line_end(text, end)
    found = LINE_BREAK.match(text, end)
    if found:
        return start, found.end()
    before = _LAST_BREAK.search(text, 0, start)
    return (before.start() if before else start), end


def has_blank_line(text: str, start: int, end: int) -> bool:
    """Whether a line inside a span is empty.

    Args:
        text: The text.
        start: Where the span starts.
        end: Where it ends.

    Returns:
        True where one is, white space left aside.
    """
    return _BLANK_LINE.search(text, start, end) is not None


def document_end(text: str, offset: int) -> int:
    """Where the YAML document ends that stands at an offset: before `---` or `...`.

    Args:
        text: The text.
        offset: An offset in the document.

    Returns:
        The offset of the mark, or the end of the text.
    """
    found = _DOCUMENT_MARK.search(text, offset)
    return found.start() if found else len(text)
