"""Regular expressions of JavaScript, carried over to Python's `re`.

docker/metadata-action gives the texts of `pattern` and `match` to `String.prototype.match`. The
grammar is that of ECMAScript 2024 ("Patterns", with Annex B where the flag `u` isn't set). A
pattern that `re` would read differently is translated, or else refused: none may silently find
something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NoReturn

from gitops_promote.core.errors import MalformedError

_SLASHES = re.compile(r"/(?P<body>[^\n\r\u2028\u2029]+)/(?P<flags>[^\n\r\u2028\u2029]*)")
_NAMED_GROUP = re.compile(r"\?<([A-Za-z_$][\w$]*)>", re.ASCII)
_REFERENCE = re.compile(r"k<([A-Za-z_$][\w$]*)>|([1-9][0-9]*)", re.ASCII)
_QUANTIFIER = re.compile(r"([*+?])|\{([0-9]+)(,?)([0-9]*)\}")
_CODE = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{(0*[0-9A-Fa-f]{1,6})\}")
_TO = re.compile(r"-(?!\])")
_CONTROL = re.compile(r"c([A-Za-z])")
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_SYNTAX = frozenset(r"^$\.*+?()[]{}|/")

# As the inside of a character class.
_SPACE = r"\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NO_SPACE = (
    r"\0-\x08\x0e-\x1f!-\x9f\xa1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e"
    r"\u2060-\u2fff\u3001-\ufefe\uff00-\U0010ffff"
)
_SETS = {"d": r"\d", "D": r"\D", "w": r"\w", "W": r"\W", "s": _SPACE, "S": _NO_SPACE}
_ANY = r"[\0-\U0010ffff]"
_LAST = 0x10FFFF
_LOOKAROUNDS = ("?=", "?!", "?<=", "?<!")
_LINE_END = r"\n\r\u2028\u2029"

_ALLOWED = (
    "It must be a regular expression of JavaScript, of which these parts are refused: the flag "
    "`v`, `\\p`, lookbehind of varying length or with a group, and what `re` of Python can't do "
    "in the same way."
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, and how it is applied."""

    regex: re.Pattern[str]
    every: bool = False
    sticky: bool = False
    unicode: bool = False

    @property
    def groups(self) -> int:
        """How many groups in parentheses there are."""
        return self.regex.groups

    def find(self, text: str) -> tuple[str | None, ...] | None:
        """Search a text, as `String.prototype.match` does.

        Args:
            text: The text.

        Returns:
            The whole match and the groups, or with the flag `g` all whole matches; None where
            nothing matches.
        """
        units = self._units(text)
        parts = (span and _text(units[slice(*span)]) for span in self._spans(units))
        return tuple(parts) or None

    def rest(self, text: str, group: int) -> str:
        """Give what of a text stands behind a part that `find` gives.

        Args:
            text: The text.
            group: The part's index in what `find` gives.

        Returns:
            The end of the text; empty where the group took no part.
        """
        units = self._units(text)
        span = self._spans(units)[group]
        return _text(units[span[1] :]) if span else ""

    def _units(self, text: str) -> str:
        return text if self.unicode else _units(text)

    def _spans(self, units: str) -> list[tuple[int, int] | None]:
        """Where the parts stand that `find` gives."""
        search = self.regex.match if self.sticky else self.regex.search
        match = search(units)
        if match is None:
            return []
        if not self.every:
            spans = (match.span(number) for number in range(self.groups + 1))
            return [span if span[0] >= 0 else None for span in spans]
        found: list[tuple[int, int] | None] = []
        while match is not None:
            found.append(match.span())
            position = match.end() + (match.start() == match.end())
            match = search(units, position) if position <= len(units) else None
        return found


def parse_pattern(text: str, *, slashes: bool) -> Pattern:
    """Read a regular expression.

    Args:
        text: The expression.
        slashes: Whether `/EXPRESSION/FLAGS` is read as such, as in the attribute `pattern`;
            without slashes there are no flags.

    Returns:
        The expression, ready to be applied.

    Raises:
        MalformedError: It is none of JavaScript, or can't be carried over to Python.
    """
    parts = _SLASHES.fullmatch(text) if slashes else None
    body, flags = (parts["body"], parts["flags"]) if parts else (text, "")
    if set(flags) - set("dgimsuvy") or len(set(flags)) < len(flags):
        raise MalformedError(
            f"has the flags `{flags}` in the regular expression `{text}`",
            "They must be some of `dgimsuy`, each of them once.",
        )
    try:
        regex = _Translator(body, flags).compile()
    except (_RefusedError, re.error, OverflowError, RecursionError) as error:
        why = error.msg if isinstance(error, re.error) else error
        raise MalformedError(f"has the regular expression `{text}`: {why}", _ALLOWED) from None
    return Pattern(regex, "g" in flags, "y" in flags, "u" in flags)


class _RefusedError(Exception):
    """What a pattern has that is an error, or can't be carried over."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A translated part of a pattern, and what decides whether it may be repeated.

    JavaScript forgets the groups of a repeated part before each round, and takes no round that
    matches nothing. Python does neither.
    """

    text: str
    can_be_empty: bool = False
    #: Whether it has groups, and whether it can match without one of them.
    has_groups: bool = False
    groups_vary: bool = False
    is_assertion: bool = False


class _Translator:
    """Reads a pattern by the grammar of JavaScript and writes one of Python."""

    def __init__(self, body: str, flags: str) -> None:
        self._flags = flags
        self._unicode = "u" in flags
        self._body = body if self._unicode else _units(body)
        self._position = 0
        self._opened = 0
        self._closed: set[int] = set()
        self._names: dict[str, int] = {}
        self._around = ""

    def compile(self) -> re.Pattern[str]:
        if "v" in self._flags or {"i", "u"} <= set(self._flags):
            self._refuse("the flag `v`, or `i` and `u` at once")
        part = self._alternatives()
        if self._position < len(self._body):
            self._refuse("a `)` too many")
        # So `re` folds ASCII letters alone: with the flag `i` the pattern has no others, and
        # JavaScript takes no other letter for an ASCII one.
        flags = re.ASCII | re.IGNORECASE if "i" in self._flags else re.ASCII
        return re.compile(part.text, flags)

    def _alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        has_groups = any(part.has_groups for part in parts)
        return _Part(
            "|".join(part.text for part in parts),
            any(part.can_be_empty for part in parts),
            has_groups,
            any(part.groups_vary for part in parts) or (has_groups and len(parts) > 1),
        )

    def _sequence(self) -> _Part:
        parts = []
        while self._body[self._position : self._position + 1] not in {"", "|", ")"}:
            parts.append(self._repeated(self._atom()))
        return _Part(
            "".join(part.text for part in parts),
            all(part.can_be_empty for part in parts),
            any(part.has_groups for part in parts),
            any(part.groups_vary for part in parts),
        )

    def _repeated(self, part: _Part) -> _Part:
        match = self._match(_QUANTIFIER)
        if not match:
            return part
        sign, low, comma, high = match.groups()
        least = int(low) if low else int(sign == "+")
        most = int(high) if high else 1 if sign == "?" else None if sign or comma else least
        if part.is_assertion:
            self._refuse("a repeated assertion")
        if most is not None and most < least:
            self._refuse("a range that ends before its start")
        if part.can_be_empty and least != most:
            self._refuse("a repetition of what can match nothing")
        if part.groups_vary and most not in {0, 1}:
            self._refuse("a repetition of what can match without one of its groups")
        lazy = "?" if self._take("?") else ""
        if lazy and part.has_groups and most not in {0, 1}:
            # Python 3.10 loses such groups when it goes back.
            self._refuse("a lazy repetition of a group; write `(?:`")
        return _Part(
            part.text + match[0] + lazy,
            part.can_be_empty or least == 0,
            part.has_groups,
            part.groups_vary or (part.has_groups and least == 0),
        )

    def _atom(self) -> _Part:
        is_repetition = _QUANTIFIER.match(self._body, self._position)
        char = self._next()
        if is_repetition:
            self._refuse("nothing to repeat")
        if char == "(":
            return self._group()
        if char == "[":
            return _Part(self._class())
        if char == ".":
            return _Part(_ANY if "s" in self._flags else f"[^{_LINE_END}]")
        if char in "^$":
            is_start = char == "^"
            if "m" in self._flags:
                text = f"(?<![^{_LINE_END}])" if is_start else f"(?![^{_LINE_END}])"
            else:
                text = r"\A" if is_start else r"\Z"
            return _Part(text, can_be_empty=True, is_assertion=True)
        if char == "\\":
            return self._escape()
        if self._unicode and char in "{}]":
            self._refuse(f"a `{char}` that the flag `u` wants escaped")
        return _Part(self._literal(char))

    def _group(self) -> _Part:
        start = next((start for start in _LOOKAROUNDS if self._take(start)), "")
        number = 0
        if not start and not self._take("?:"):
            number = self._open()
            start = f"?P<g{number}>"
        outer = self._around
        self._around = start if start in _LOOKAROUNDS and start != "?=" else outer
        part = self._alternatives()
        self._around = outer
        if not self._take(")"):
            self._refuse("a `(` that isn't closed")
        if number:
            self._closed.add(number)
        text = f"({start or '?:'}{part.text})"
        if start in _LOOKAROUNDS:
            return replace(part, text=text, can_be_empty=True, is_assertion=True)
        return replace(part, text=text, has_groups=part.has_groups or number > 0)

    def _open(self) -> int:
        name = self._match(_NAMED_GROUP)
        if not name and self._take("?"):
            self._refuse("an unknown kind of `(?`")
        if self._around:
            # What such a group holds afterwards differs, too.
            self._refuse(f"a group inside of `({self._around}`; write `(?:`")
        self._opened += 1
        if name and self._names.setdefault(name[1], self._opened) != self._opened:
            self._refuse(f"two groups named `{name[1]}`")
        return self._opened

    def _escape(self) -> _Part:
        if reference := self._match(_REFERENCE):
            return self._reference(reference)
        char = self._body[self._position : self._position + 1]
        if char in _SETS:
            return _Part(f"[{_SETS[self._next()]}]")
        if self._take("b"):
            return _Part(r"\b", can_be_empty=True, is_assertion=True)
        # V8 finds it inside of a character, too, where that is two code units.
        if not self._unicode and self._take("B"):
            return _Part(r"(?!\b)", can_be_empty=True, is_assertion=True)
        return _Part(self._literal(self._escaped(_SYNTAX)))

    def _reference(self, match: re.Match[str]) -> _Part:
        number = int(match[2]) if match[2] else self._names.get(match[1], 0)
        if number not in self._closed:
            self._refuse(f"`\\{match[0]}`, before which no such group ends")
        if "i" in self._flags or self._around.startswith("?<"):
            self._refuse(f"`\\{match[0]}` with the flag `i` or inside of `(?<`")
        # To JavaScript a group that took no part matches nothing there; to Python it fails.
        return _Part(f"(?(g{number})(?P=g{number}))", can_be_empty=True)

    def _escaped(self, allowed: frozenset[str]) -> str:
        """The one character that the rest of an escape stands for."""
        if control := self._match(_CONTROL):
            return chr(ord(control[1]) % 32)
        if code := self._match(_CODE):
            value = int(code[1] or code[2] or code[3], 16)
            if value > _LAST or (code[3] and not self._unicode):
                self._refuse(f"`\\{code[0]}`")
            if self._unicode and 0xD800 <= value < 0xE000:
                self._refuse(f"the surrogate `\\{code[0]}`")
            return chr(value)
        char = self._next()
        if char == "0" and not self._body[self._position : self._position + 1].isdecimal():
            return "\0"
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char in allowed or not (self._unicode or (char.isascii() and char.isalnum())):
            return char
        # JavaScript reads `\A` as `A`, which nobody means by it.
        return self._refuse(f"`\\{char}`")

    def _class(self) -> str:
        negation = "^" if self._take("^") else ""
        parts = []
        while not self._take("]"):
            first, is_set = self._member()
            if not self._match(_TO):
                parts.append(first if is_set else self._literal(first))
                continue
            last, is_other_set = self._member()
            if is_set or is_other_set:
                # By Annex B the `-` stands for itself.
                if self._unicode:
                    self._refuse("a range in brackets that ends in a set")
                ends = ((first, is_set), (last, is_other_set))
                parts += [end if is_one else self._literal(end) for end, is_one in ends]
                parts.append(r"\-")
            elif last < first:
                self._refuse("a range in brackets that ends before its start")
            else:
                parts.append(f"{self._literal(first)}-{self._literal(last)}")
        if parts:
            return f"[{negation}{''.join(parts)}]"
        return _ANY if negation else f"[^{_ANY[1:]}"

    def _member(self) -> tuple[str, bool]:
        char = self._next()
        if char != "\\":
            return char, False
        escape = self._body[self._position : self._position + 1]
        if escape in _SETS:
            return _SETS[self._next()], True
        if self._take("b"):
            return "\b", False
        return self._escaped(_SYNTAX | {"-"}), False

    def _literal(self, char: str) -> str:
        if "i" in self._flags and not char.isascii():
            self._refuse("a character outside of ASCII with the flag `i`")
        return re.escape(char)

    def _next(self) -> str:
        if self._position == len(self._body):
            self._refuse("an end too early")
        self._position += 1
        return self._body[self._position - 1]

    def _take(self, text: str) -> bool:
        found = self._body.startswith(text, self._position)
        self._position += len(text) * found
        return found

    def _match(self, regex: re.Pattern[str]) -> re.Match[str] | None:
        match = regex.match(self._body, self._position)
        self._position = match.end() if match else self._position
        return match

    def _refuse(self, what: str) -> NoReturn:
        raise _RefusedError(f"{what} before character {self._position + 1}")


def _units(text: str) -> str:
    """A text with each UTF-16 code unit as a character, which JavaScript sees without `u`."""
    data = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(high << 8 | low) for high, low in zip(data[::2], data[1::2], strict=True))


def _text(units: str) -> str:
    return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
