"""The `{{…}}` expressions of a rule: the part of Handlebars that tags are written in."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.core.errors import MalformedError
from gitops_promote.core.near import nearest

if TYPE_CHECKING:
    from datetime import tzinfo

    from gitops_promote.core.tags.dates import DateFormat

#: The expressions that take a date's format, and a time zone as `tz=`.
DATES = ("date", "commit_date")

#: What expressions may name, but for those in a `pattern`. docker/metadata-action doesn't know the
#: last four.
GLOBAL = (
    "branch",
    "tag",
    "sha",
    "base_ref",
    "is_default_branch",
    "is_not_default_branch",
    *DATES,
    "run_id",
    "run_number",
    "run_attempt",
    "app",
)

# Of Handlebars' lexer: a text is quoted with either mark, a name has none of these characters.
_QUOTED = r""""(?:\\"|[^"\\]|\\(?!"))*"|'(?:\\'|[^'\\]|\\(?!'))*'"""
_NAME = r"[^\s!\"#%-,./;->@\[-^`{-~]+"
_MUSTACHE = re.compile(
    rf"\{{\{{(?P<start>~?)(?P<raw>\{{)?"
    rf"(?P<body>(?:{_QUOTED}|(?!~?\}}\}})[^\"'])*)(?(raw)\}})(?P<end>~?)\}}\}}",
    re.DOTALL,
)
_COMMENT = re.compile(
    r"\{\{(?P<start>~?)!(?:--(?:(?!--~?\}\}).)*--|(?!--)[^}]*)(?P<end>~?)\}\}", re.DOTALL
)
_PARTS = re.compile(
    rf"\s*(?:(?P<key>{_NAME})=)?(?:(?P<quoted>{_QUOTED})|(?P<path>{_NAME}(?:[./]{_NAME})*))(?=\s|$)"
)
# What Handlebars makes of characters that mean something in HTML: `{{branch}}` of `a&b` is
# `a&amp;b`, which as a tag is `a-amp-b`.
_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "'": "&#x27;",
        "`": "&#x60;",
        "=": "&#x3D;",
    }
)


@dataclass(frozen=True, slots=True)
class Expression:
    """One `{{…}}`: what it names, and how a date is to be written."""

    name: str
    text: str
    escaped: bool
    format: DateFormat | None = None
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions in it, in the order in which they stand."""

    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions alone."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def names(self) -> set[str]:
        """What the expressions name."""
        return {expression.name for expression in self.expressions}

    @property
    def notes(self) -> tuple[str, ...]:
        """What in it probably isn't meant as it is understood."""
        return tuple(
            f"the format in `{expression.text}` has no quotes, so ISO 8601 is written"
            for expression in self.expressions
            if expression.format and not re.search("['\"]", expression.text.partition("tz=")[0])
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self.parts

    def render(self, value: Callable[[Expression], str]) -> str:
        """Fill in the expressions.

        Args:
            value: Gives the value of an expression.

        Returns:
            The text; a value in `{{…}}` has its HTML characters escaped, as Handlebars does it,
            and one in `{{{…}}}` has not.
        """
        return "".join(
            part if isinstance(part, str) else _shown(value(part), part) for part in self.parts
        )


#: A text of nothing.
EMPTY = Template(())


def parse_template(text: str, names: Collection[str]) -> Template:
    """Read a text with expressions.

    Args:
        text: The text, in the grammar of the Handlebars language guide, without its blocks,
            partials and helpers of one's own.
        names: What expressions may name. Those of `DATES` take a format.

    Returns:
        The template.

    Raises:
        MalformedError: An expression is not closed, names something else, or has an argument that
            it doesn't take.
    """
    parts: list[str | Expression] = []
    position, trim = 0, False
    while (start := text.find("{{", position)) >= 0:
        literal, escaped = _unescaped(text[position:start])
        if escaped:
            # Handlebars takes a text after `\` as it is, up to the next expression.
            end = text.find("{{", start + 2)
            end = len(text) if end < 0 else end
            _add(parts, literal + text[start:end], left=trim)
            position, trim = end, False
            continue
        comment = _COMMENT.match(text, start)
        match = comment or _MUSTACHE.match(text, start)
        if not match:
            raise MalformedError(
                f"has an expression that isn't closed: `{text[start:]}`",
                "Write it as `{{branch}}`, with two braces on each side.",
            )
        _add(parts, literal, left=trim, right=bool(match["start"]))
        if not comment:
            parts.append(_expression(match, names))
        position, trim = match.end(), bool(match["end"])
    _add(parts, text[position:], left=trim)
    return Template(tuple(parts))


def attribute_template(attribute: str, text: str, names: Collection[str]) -> Template:
    """Read the value of an attribute.

    Args:
        attribute: Its name, for errors.
        text: Its value.
        names: As for `parse_template`.

    Returns:
        The template.

    Raises:
        MalformedError: As `parse_template` does; it names the attribute.
    """
    try:
        return parse_template(text, names)
    except MalformedError as error:
        raise MalformedError(f"{error.problem}, in `{attribute}`", error.allowed) from None


def _shown(value: str, expression: Expression) -> str:
    return value.translate(_ESCAPES) if expression.escaped else value


def _add(parts: list[str | Expression], literal: str, *, left: bool, right: bool = False) -> None:
    """Add a text, without the space at a side where the expression there has a `~`."""
    literal = literal.lstrip() if left else literal
    literal = literal.rstrip() if right else literal
    if literal:
        parts.append(literal)


def _unescaped(literal: str) -> tuple[str, bool]:
    """A text before `{{`, and whether its last character makes that a mere text."""
    if literal.endswith("\\\\"):
        return literal[:-1], False
    return (literal[:-1], True) if literal.endswith("\\") else (literal, False)


def _expression(match: re.Match[str], names: Collection[str]) -> Expression:
    text, body = match[0], match["body"].strip()
    escaped = not match["raw"]
    if escaped and body.startswith("&"):
        escaped, body = False, body[1:].strip()
    allowed = _allowed(names)
    if body[:1] in {"#", "/", "^", ">", "*", "@", "("} or re.match(r"else\b", body):
        raise MalformedError(f"has `{text}`, which tags are not written with", allowed)
    arguments = _arguments(body)
    if not arguments or arguments[0].key or arguments[0].quoted:
        raise MalformedError(f"has the malformed expression `{text}`", allowed)
    name = re.sub(r"^(?:this|\.)[./]", "", arguments[0].value)
    if name not in names:
        raise MalformedError(f"has the unknown expression `{text}`", _hint(name, names) + allowed)
    if name in DATES:
        return _date(name, text, arguments[1:], escaped=escaped)
    if len(arguments) > 1:
        raise MalformedError(
            f"has `{text}`, but `{name}` takes no argument", f"Write it as `{{{{{name}}}}}`."
        )
    return Expression(name, text, escaped)


@dataclass(frozen=True, slots=True)
class _Argument:
    key: str
    value: str
    quoted: bool


def _arguments(body: str) -> list[_Argument]:
    """The name and the arguments of an expression; none where they are malformed."""
    found, position = [], 0
    while position < len(body):
        match = _PARTS.match(body, position)
        if not match:
            return []
        quoted, key = match["quoted"], match["key"] or ""
        if quoted:
            mark = quoted[0]
            value = quoted[1:-1].replace(f"\\{mark}", mark)
            found.append(_Argument(key, value, quoted=True))
        else:
            found.append(_Argument(key, match["path"], quoted=False))
        position = match.end()
    return found


def _date(name: str, text: str, arguments: list[_Argument], *, escaped: bool) -> Expression:
    from gitops_promote.core.tags import dates  # noqa: PLC0415  (start-up time)

    formats = [argument for argument in arguments if not argument.key]
    options = [argument for argument in arguments if argument.key]
    usage = (
        f"Write it as `{{{{{name} 'YYYYMMDD-HHmmss' tz='Europe/Paris'}}}}`; `tz` may be left out."
    )
    if len(formats) != 1 or (re.fullmatch(r"-?[\d.]+", formats[0].value) and not formats[0].quoted):
        raise MalformedError(f"has `{text}` without one quoted date format", usage)
    zone = "UTC"
    for option in options:
        if option.key != "tz" or not option.quoted:
            raise MalformedError(f"has `{option.key}={option.value}` in `{text}`", usage)
        zone = option.value
    # A name without quotes is an undefined variable to Handlebars; moment then writes ISO 8601.
    form = dates.parse_format(formats[0].value) if formats[0].quoted else dates.ISO_FORMAT
    return Expression(name, text, escaped, form, dates.find_zone(zone))


def _hint(name: str, names: Collection[str]) -> str:
    near = nearest(name, names)
    return f"Did you mean `{{{{{near}}}}}`? " if near else ""


def _allowed(names: Collection[str]) -> str:
    shown = (f"{{{{{name} 'FORMAT'}}}}" if name in DATES else f"{{{{{name}}}}}" for name in names)
    return "Allowed there: " + ", ".join(f"`{text}`" for text in shown) + "."
