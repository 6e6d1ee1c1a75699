"""Values that come from outside, as Markdown that shows them and does nothing else."""

from __future__ import annotations

import re


def code(text: str) -> str:
    """Write inline code.

    Args:
        text: Whatever it is.

    Returns:
        Markdown on one line, also for a table.
    """
    text = _one_line(text)
    if not re.search(r"[`|\\]", text):
        return f"`{text}`"
    # No length of backticks and no backslash is right for every reader of tables.
    return f"<code>{re.sub('[!-/:-@[-`{-~]', lambda found: f'&#{ord(found[0])};', text)}</code>"


def fenced(text: str, language: str) -> str:
    """Write a block of code.

    Args:
        text: Its lines.
        language: What they are written in, for colours.

    Returns:
        Markdown, in a fence that the text doesn't end.
    """
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    newline = "" if text.endswith("\n") else "\n"
    return f"{fence}{language}\n{text}{newline}{fence}"


def prose(text: str) -> str:
    """Write a sentence of ours, in which backticks are meant, unless a value in it has its own.

    Args:
        text: The sentence.

    Returns:
        Markdown on one line, also for a table.
    """
    text = _one_line(text)
    if "``" in text or text.count("`") % 2:
        return escape(text)
    parts = text.split("`")
    return "".join(code(part) if n % 2 else escape(part) for n, part in enumerate(parts))


def escape(text: str) -> str:
    """Write a text as it is.

    Args:
        text: Whatever it is.

    Returns:
        Markdown on one line that formats, links and notifies nothing.
    """
    text = re.sub(r"([\\`*_{}\[\]<>#|!@~&$])", r"\\\1", _one_line(text))
    # A backslash alone doesn't keep GitHub from finding `@name`, `#1` and links in the outcome.
    text = re.sub(r"([@#])(?=\w)", r"\1<!-- -->", text)
    return re.sub(r"(www)(?=\.)|(:)(?=//)", r"\1\2<!-- -->", text, flags=re.IGNORECASE)


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
