"""The text of a pull request, for a reviewer who has ten seconds.

It says what changes, whether that is all, what to check, and the way back. All of it that comes
from outside is shown and does nothing else (`core.markdown`). The text stays below what GitHub
takes: parts of it shrink in a fixed order, each saying what is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.core.errors import UsageError
from gitops_promote.core.markdown import (
    code,
    code_element,
    encoded,
    escape,
    one_line,
    plain,
    prose,
)
from gitops_promote.core.placeholders import PLACEHOLDERS, SECTIONS, fill, values
from gitops_promote.core.review.parts import (
    PARTS,
    Facts,
    changed,
    cut,
    footer,
    sentence,
    size,
    started_by,
)

if TYPE_CHECKING:
    from gitops_promote.core.source import Source

__all__ = [
    "MOST",
    "Facts",
    "PullRequestText",
    "check_body",
    "closing_comment",
    "compose",
    "compose_summary",
    "size",
    "supersede_comment",
    "with_trailers",
]

#: GitHub refuses a body of over 65,536 characters. What counts as one isn't said, so `size` takes
#: the strictest reading, and some room is left for who edits the text.
MOST = 65_000
#: Of a job's summary it takes 1 MiB.
MOST_SUMMARY = 600_000
#: GitHub refuses a title of over 256 characters.
MOST_TITLE = 256

_ORDER = ("table", "warnings", "source", "gates", "rendered", "diff", "rollback")
#: What gives way first.
_SHRINKING = ("rendered", "diff", "source", "table", "gates", "warnings", "rollback")
#: What a part keeps, if it needs it, until all others are as short.
_LEAST = 4000
_LONGEST_VALUE = 1000

# Of a template: a block of code, a placeholder alone in backticks, an address.
_PIECES = re.compile(
    r"(?P<block>^(?P<fence>`{3,}|~{3,})[^`\n]*\n.*?^(?P=fence)[ \t]*$)"
    r"|`(?P<code>\{[^{}`]+\})`|(?P<url>https?://[^\s<>`\"']*)",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
_SECTION = re.compile(rf"(?<!\{{)\{{(?:{'|'.join(SECTIONS)})\}}")
_END_OF_COMMENT = re.compile("--!?>")
_FENCE = re.compile(r"^[ >]*(?:```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PullRequestText:
    """The title and the body of a pull request; the body is Markdown."""

    title: str
    body: str


def compose(facts: Facts, title: str, body: str) -> PullRequestText:
    """Write the text of a pull request.

    Args:
        facts: What there is to tell.
        title: The template of the title; empty for our own.
        body: The template of the body; empty for our own. Values from outside are escaped as
            their place in it needs, and a section stands on lines of its own.

    Returns:
        The text.

    Raises:
        UsageError: A template has a placeholder that is none of ours, or has a section within a
            block of code or a comment, or is too long.
    """
    known = values(facts.request, changed(facts.plan))
    known = {name: cut(value, _LONGEST_VALUE) for name, value in known.items()}
    if not body:
        text = _fitting(facts, _arranged(facts, footer()))
        return PullRequestText(_title(facts, title, known), text)
    check_body(body)
    text = _fitting(facts, lambda sections: _filled(body, known, sections))
    if size(text) > MOST:
        raise UsageError(
            "Input `body` makes a text that is too long for GitHub.",
            "Shorten it to 60,000 characters, its placeholders filled in.",
        )
    return PullRequestText(_title(facts, title, known), text)


def with_trailers(body: str, message: str) -> str:
    """Put a commit's trailers into a body, where no reader sees them.

    A squash merge can be set to take the body for its message, and what runs is known by that
    later.

    Args:
        body: The body of the pull request.
        message: The commit's message.

    Returns:
        The body with the trailers; without them where there is no room, or they would show.
    """
    lines = message.rstrip().rpartition("\n\n")[2].splitlines()
    # The reason is anybody's text, and what runs is known without it.
    trailers = "\n".join(line for line in lines if not line.startswith("Promotion-Override: "))
    # Between blank lines, as a trailer may go on on the next line.
    whole = f"{body.rstrip()}\n\n<!--\n\n{trailers}\n\n-->\n"
    return body if _END_OF_COMMENT.search(trailers) or size(whole) > MOST else whole


def check_body(template: str) -> None:
    """Refuse a `body` that can't be filled in.

    Args:
        template: The input.

    Raises:
        UsageError: It has an unknown placeholder, or a section within a block of code or a comment.
    """
    fill(template, dict.fromkeys((*PLACEHOLDERS, *SECTIONS), ""), "body")
    for found in _SECTION.finditer(template):
        before = template[: found.start()]
        in_code = len(_FENCE.findall(before)) % 2
        if in_code or before.rfind("<!--") > before.rfind("-->"):
            raise UsageError(
                f"Input `body` has `{found[0]}` within a block of code or a comment.",
                "Give it a line of its own: it is Markdown.",
            )


def compose_summary(facts: Facts) -> str:
    """Write what a pull request tells for the job's summary, which has room for more of it.

    Args:
        facts: What there is to tell.

    Returns:
        Markdown.
    """
    return _fitting(facts, _arranged(facts, last=""), MOST_SUMMARY)


def supersede_comment(old: str, new: str, source: Source) -> str:
    """Tell that a newer version takes the place of another.

    Args:
        old: The version that the pull request was for.
        new: The version that it is for now.
        source: Who did that, and in which run.

    Returns:
        Markdown.
    """
    by = started_by(source)
    versions = f"{code(cut(new, _LONGEST_VALUE))} supersedes {code(cut(old, _LONGEST_VALUE))}"
    return f"{versions}. {by}".rstrip() + "\n"


def closing_comment(reason: str) -> str:
    """Tell why a pull request is closed.

    Args:
        reason: A sentence.

    Returns:
        Markdown.
    """
    return f"Closed: {prose(cut(reason, _LONGEST_VALUE))}\n"


def _title(facts: Facts, template: str, known: Mapping[str, str]) -> str:
    text = fill(template, {name: plain(value) for name, value in known.items()}, "title")
    # The message's first line has values from outside in it, and a title becomes a commit's.
    text = one_line(text).strip() or plain(facts.plan.message.split("\n", 1)[0]).strip()
    if len(text.encode("utf-16-le")) <= 2 * MOST_TITLE:
        return text
    shortened = text.encode("utf-16-le")[: 2 * (MOST_TITLE - 1)].decode("utf-16-le", "ignore")
    return f"{shortened.rstrip()}…"


def _arranged(facts: Facts, last: str) -> Callable[[Mapping[str, str]], str]:
    first = sentence(facts)

    def arrange(sections: Mapping[str, str]) -> str:
        texts = [first, *(sections[name] for name in _ORDER), last]
        return "\n\n".join(text for text in texts if text) + "\n"

    return arrange


def _fitting(facts: Facts, assemble: Callable[[Mapping[str, str]], str], most: int = MOST) -> str:
    """The text, with what `_SHRINKING` names first cut as far as is needed."""
    sections = {name: part(facts, most) for name, part in PARTS.items()}
    for least in (_LEAST, 0):
        for name in _SHRINKING:
            over = size(assemble(sections)) - most
            if over > 0:
                room = max(least, size(sections[name]) - over)
                sections[name] = PARTS[name](facts, room)
    return assemble(sections)


def _filled(template: str, known: Mapping[str, str], sections: Mapping[str, str]) -> str:
    texts = {name: escape(value) for name, value in known.items()}
    blocks = {name: _verbatim(value) for name, value in known.items()}
    codes = {name: code_element(value) for name, value in known.items()}
    addresses = {name: encoded(value) for name, value in known.items()}
    # A section starts and ends lines, whatever stands beside it: a fence needs that.
    texts |= {name: f"\n\n{text}\n\n" for name, text in sections.items()}
    filled, end = [], 0
    for piece in _PIECES.finditer(template):
        filled.append(fill(template[end : piece.start()], texts, "body"))
        if piece["code"]:
            filled.append(fill(piece["code"], codes, "body"))
        else:
            filled.append(fill(piece[0], addresses if piece["url"] else blocks, "body"))
        end = piece.end()
    filled.append(fill(template[end:], texts, "body"))
    return "".join(filled).strip() + "\n"


def _verbatim(value: str) -> str:
    """A value in a block of code: as it is where it can't but be harmless."""
    return value if re.fullmatch(r"[\w.:/@+, -]*", value, re.ASCII) else escape(value)
