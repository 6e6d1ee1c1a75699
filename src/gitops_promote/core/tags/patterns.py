"""JavaScript's regular expressions, which docker/metadata-action takes as `pattern` and `match`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.core.errors import MalformedError

if TYPE_CHECKING:
    from regress import Regex

_SLASHES = re.compile(r"/(?P<body>.+)/(?P<flags>.*)")
# Without `v`, which the engine doesn't know, and `y`, which finds nothing here that `^` doesn't.
_FLAGS = "dgimsu"
# What is no group: an escaped character, or a set of characters.
_NO_GROUP = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
_GROUP = re.compile(r"\((?!\?)|\(\?<(?![=!])")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression with its number of groups; `every` is the flag `g`."""

    regex: Regex
    groups: int
    every: bool = False

    def find(self, text: str) -> tuple[str | None, ...] | None:
        """Search a text, as ECMAScript's `String.prototype.match` does.

        Args:
            text: The text.

        Returns:
            The whole match and the groups, or with the flag `g` all whole matches; None where
            nothing matches.
        """
        data = text.encode("utf-8", "replace")
        parts = (None if place is None else data[place].decode() for place in self._places(data))
        return tuple(parts) or None

    def rest(self, text: str, group: int) -> str:
        """Give what of a text stands behind a part that `find` gives.

        Args:
            text: The text.
            group: The part's index in what `find` gives; a part that is not None.

        Returns:
            The end of the text.
        """
        data = text.encode("utf-8", "replace")
        place = self._places(data)[group]
        return "" if place is None else data[place.stop :].decode()

    def _places(self, data: bytes) -> list[slice | None]:
        """Where the parts stand, in bytes."""
        text = data.decode()
        if self.every:
            return [match.range() for match in self.regex.find_iter(text) or ()]
        match = self.regex.find(text)
        return [match.group(number) for number in range(self.groups + 1)] if match else []


def parse_pattern(text: str, *, slashes: bool) -> Pattern:
    """Read a regular expression.

    Args:
        text: The expression.
        slashes: Whether `/EXPRESSION/FLAGS` is read as such, as in the attribute `pattern`;
            without slashes there are no flags.

    Returns:
        The expression, ready to be applied.

    Raises:
        MalformedError: It is none of JavaScript, or there is no engine for it on this platform.
    """
    try:
        from regress import Regex, RegressError  # noqa: PLC0415  (few rules have a pattern)
    except ImportError:
        raise MalformedError(
            "has a regular expression, for which this platform has no engine",
            "Do without `type=match` and `match`, or install the package `regress`.",
        ) from None
    parts = _SLASHES.fullmatch(text) if slashes else None
    body, flags = (parts["body"], parts["flags"]) if parts else (text, "")
    if set(flags) - set(_FLAGS) or len(set(flags)) < len(flags):
        raise MalformedError(
            f"has the flags `{flags}` in the regular expression `{text}`",
            f"They must be some of `{_FLAGS}`, each of them once.",
        )
    # To JavaScript that is a repeated `u`, to the engine a character by its number.
    wrong = r"`\u{` without the flag `u`" if "u" not in flags and r"\u{" in body else ""
    try:
        regex = Regex(body, flags)
    except RegressError as error:
        wrong = str(error).rstrip(".")
    if wrong:
        raise MalformedError(
            f"has the malformed regular expression `{text}` ({wrong})",
            r"It must be one of JavaScript, such as `^v(\d+)\.(\d+)$`.",
        )
    groups = len(_GROUP.findall(_NO_GROUP.sub("", body)))
    return Pattern(regex, groups, "g" in flags)
