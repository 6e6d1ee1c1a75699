"""Which strings YAML needs quotes for, and how it writes them."""

from __future__ import annotations

import re

from gitops_promote.core.yaml.tree import Node, Scalar

#: The tags of a string; `!` says that a scalar is no other type.
STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")

# Plain text that needs no second thought about indicators. `{}` are such in flow style. An
# argument (`--image=x`) is none; `---` is.
_WORD = r"A-Za-z0-9_./$+()<>%~"
_FIRST = r"(?!\.{3}\Z)(?:[A-Za-z0-9_./$+(<]|--[A-Za-z])"
_PLAIN_IN_FLOW, _PLAIN_IN_BLOCK = (
    re.compile(rf"{_FIRST}(?:[{inner}]|:(?=[{inner}]))*", re.ASCII)
    for inner in (f"{_WORD}@=-", f"{_WORD}{{}}@=-")
)
# Everything that the types of YAML 1.1 (yaml.org/type), the core schema of YAML 1.2 and go-yaml
# read as other than a string, without the `_` that they allow in numbers. Upper case is taken
# wherever one of them does.
_NOT_A_STRING = re.compile(
    r"""
    | ~? | [-+] | null | y | n | yes | no | true | false | on | off | = | <<
    | [-+]? (?: 0b[01]* | 0o[0-7]* | 0x[0-9a-f]* )
    | [-+]? (?: [0-9]+ (?: \.[0-9]* )? | \.[0-9]* ) (?: e[-+]?[0-9]+ )?
    | [-+]? [0-9]+ (?: :[0-9]+ )+ (?: \.[0-9]* )?
    | [-+]? \.inf | \.nan
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: [t\s] .* )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII | re.DOTALL,
)


class Plain(str):
    """A text that is written as it is, for a value that is no string: `true`."""

    __slots__ = ()


def needs_quotes(value: str, *, flow: bool = True) -> bool:
    """Whether a plain scalar of this text could be read as anything but that string.

    Args:
        value: The text.
        flow: Whether it is to stand in flow style, or may.

    Returns:
        True where YAML 1.1, YAML 1.2 or go-yaml would read a number, a truth value, null, a date
        or an indicator.
    """
    plain = _PLAIN_IN_FLOW if flow else _PLAIN_IN_BLOCK
    return not plain.fullmatch(value) or _is_typed(value)


def is_string(node: Node) -> bool:
    """Whether every reader takes a node for a string.

    Args:
        node: Any node.

    Returns:
        False for what is no scalar, is tagged as another type, or is plain and needs no quotes
        only because it is meant as a number, a truth value, null or a date.
    """
    if not isinstance(node, Scalar) or node.tag not in STRING_TAGS:
        return False
    return bool(node.style or node.tag) or not _is_typed(node.value)


def quoted(value: str, style: str = "", *, flow: bool = True) -> str:
    """A string as a scalar on one line.

    Args:
        value: The string, or what is `Plain`.
        style: The quotes to use, ``'`` or ``"``; empty for plain where that is safe.
        flow: As in `needs_quotes`.

    Returns:
        The scalar's text, in double quotes where the style asked for can't hold the string.
    """
    if isinstance(value, Plain):
        return value
    if style == "'" and all(map(_is_plain, value)):
        return "'" + value.replace("'", "''") + "'"
    if style not in ("'", '"') and not needs_quotes(value, flow=flow):
        return value
    return f'"{escaped(value)}"'


def escaped(text: str) -> str:
    """A text as it stands between double quotes.

    Args:
        text: The text.

    Returns:
        The same text, with escapes.
    """
    return "".join(map(_escape, text))


def quotes_of(node: Node | None) -> str:
    """The quotes that a node stands in: ``'``, ``"`` or none.

    Args:
        node: Any node.

    Returns:
        The quote, or an empty text.
    """
    return node.style if isinstance(node, Scalar) and node.style in ("'", '"') else ""


def _is_typed(value: str) -> bool:
    if _NOT_A_STRING.fullmatch(value):
        return True
    return "_" in value and _NOT_A_STRING.fullmatch(value.replace("_", "")) is not None


def _is_plain(character: str) -> bool:
    """Whether a character may stand in quotes as it is, for readers and for people."""
    return character.isprintable() and character != "\ufeff"


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if _is_plain(character):
        return character
    if character == "\n":
        return "\\n"
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
