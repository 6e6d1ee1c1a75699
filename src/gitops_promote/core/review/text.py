"""The text of a pull request, for a reviewer who has ten seconds.

It says what changes, whether that is all, what to check, and the way back. All of it that comes
from outside is shown and does nothing else (`core.markdown`). The text stays below what GitHub
takes: parts of it shrink in a fixed order, each saying what is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
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
    order_skipped,
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
#: Trailers have room kept for them up to this size: a reviewer needs the rest of the body.
_MOST_TRAILERS = 20_000
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
# Braces that are written twice may stand before one.
_SECTION = re.compile(rf"(?<!\{{)(?:\{{\{{)*(?P<whole>\{{(?P<name>{'|'.join(SECTIONS)})\}})")
_END_OF_COMMENT = re.compile("--!?>")
# What goes on across blank lines until it is ended.
_HIDING = (
    *((f"<{name}", f"</{name}") for name in ("details", "pre", "script", "style", "textarea")),
    *(("<?", "?>"), ("<!", ">")),
)
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
            their place in it needs, and a section stands on lines of its own. Why the order was
            skipped, and the policy's gates, are told whether it has their sections or not.

    Returns:
        The text.

    Raises:
        UsageError: A template has a placeholder that is none of ours, or has a section, or the
            policy's gates below it, where they wouldn't be seen, or is too long.
    """
    known = values(facts.request, changed(facts.plan))
    known = {name: cut(value, _LONGEST_VALUE) for name, value in known.items()}
    reserved = size(_hidden(facts.plan.message))
    most = MOST - (reserved if reserved <= _MOST_TRAILERS else 0)
    if not body:
        text = _fitting(facts, _arranged(facts, footer()), most)
        return PullRequestText(_title(facts, title, known), text)
    text = _of_template(facts, body, known, most)
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
    hidden = _hidden(message)
    whole = body.rstrip() + hidden
    return whole if hidden and size(whole) <= MOST else body


def _hidden(message: str) -> str:
    """A commit's trailers as a comment, to put behind a body; empty where they would show."""
    lines = message.rstrip().rpartition("\n\n")[2].splitlines()
    # The reason is anybody's text, and what runs is known without it.
    trailers = "\n".join(line for line in lines if not line.startswith("Promotion-Override: "))
    # Between blank lines, as a trailer may go on on the next line.
    return "" if _END_OF_COMMENT.search(trailers) else f"\n\n<!--\n\n{trailers}\n\n-->\n"


def check_body(template: str) -> None:
    """Refuse a `body` that can't be filled in.

    Args:
        template: The input.

    Raises:
        UsageError: It has an unknown placeholder, or a section within a block of code or a comment.
    """
    fill(template, dict.fromkeys((*PLACEHOLDERS, *SECTIONS), ""), "body")
    for found in _SECTION.finditer(template):
        if _is_open(template[: found.start("whole")]):
            raise UsageError(
                f"Input `body` has `{found['whole']}` within a block of code or a comment.",
                "Give it a line of its own: it is Markdown.",
            )


def _is_open(before: str) -> bool:
    """Whether what comes after a text is within a block of code or a comment."""
    return len(_FENCE.findall(before)) % 2 == 1 or before.rfind("<!--") > before.rfind("-->")


def _folds(before: str) -> bool:
    """Whether an element that goes on after a text could hide what comes there."""
    text = before.lower()
    return any(text.rfind(start) > text.rfind(end) for start, end in _HIDING)


def compose_summary(facts: Facts) -> str:
    """Write what a pull request tells for the job's summary, which has room for more of it.

    Args:
        facts: What there is to tell.

    Returns:
        Markdown.
    """
    return _fitting(facts, _arranged(facts, last=""), MOST_SUMMARY)


def supersede_comment(old: str, new: str, source: Source, *, ends_rollback: bool = False) -> str:
    """Tell that a newer version takes the place of another.

    Args:
        old: The version that the pull request was for.
        new: The version that it is for now.
        source: Who did that, and in which run.
        ends_rollback: Whether the pull request was a rollback, and is none now.

    Returns:
        Markdown.
    """
    does = "takes the place of the rollback to" if ends_rollback else "supersedes"
    versions = f"{code(cut(new, _LONGEST_VALUE))} {does} {code(cut(old, _LONGEST_VALUE))}"
    return f"{versions}. {started_by(source)}".rstrip() + "\n"


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


def _of_template(facts: Facts, template: str, known: Mapping[str, str], most: int) -> str:
    """A template filled in, with what it may not leave out: no call hides that from a reviewer."""
    check_body(template)
    has = {found["name"] for found in _SECTION.finditer(template)}
    first = "" if "warnings" in has else order_skipped(facts)
    first = f"> {first}\n\n" if first else ""
    adds_gates = bool(facts.policy_gates) and "gates" not in has
    if adds_gates and (_is_open(template) or _folds(template)):
        raise UsageError(
            "Input `body` ends within a block of code, a comment or an element.",
            "End that: the gates of the policy are put below it.",
        )
    shown = replace(facts, gates=facts.policy_gates) if adds_gates else facts

    def assemble(sections: Mapping[str, str]) -> str:
        last = f"\n{sections['gates']}\n" if adds_gates else ""
        return first + _filled(template, known, sections) + last

    return _fitting(shown, assemble, most)


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
