"""Date formats and time zones, as moment.js and moment-timezone take them.

The tokens are those of moment 2.30 ("Displaying / Format" in its documentation) in its English
locale; docker/metadata-action hands the format of `{{date}}` and `{{commit_date}}` to it.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from gitops_promote.core.errors import MalformedError

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# What the localized formats stand for; those in small letters write the short forms.
_LOCALIZED = {
    "LT": "h:mm A",
    "LTS": "h:mm:ss A",
    "L": "MM/DD/YYYY",
    "LL": "MMMM D, YYYY",
    "LLL": "MMMM D, YYYY h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
    "l": "M/D/YYYY",
    "ll": "MMM D, YYYY",
    "lll": "MMM D, YYYY h:mm A",
    "llll": "ddd, MMM D, YYYY h:mm A",
}


_Writer = Callable[[datetime], str]


def _number(of: Callable[[datetime], int]) -> _Writer:
    return lambda when: str(of(when))


def _ordinal(of: Callable[[datetime], int]) -> _Writer:
    def write(when: datetime) -> str:
        number = of(when)
        teens = number % 100 // 10 == 1
        return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"

    return write


def _weekday(when: datetime) -> int:
    return when.isoweekday() % 7


def _day(when: datetime) -> int:
    return when.timetuple().tm_yday


def _week(when: datetime) -> tuple[int, int]:
    """The year and number of a week from Sunday to Saturday; the first one holds 1 January."""
    saturday = _day(when) + 6 - _weekday(when)
    if saturday > 365 + isleap(when.year):
        return when.year + 1, 1
    return when.year, (saturday - 1) // 7 + 1


def _hour12(when: datetime) -> int:
    return when.hour % 12 or 12


def _fraction(digits: int) -> _Writer:
    # A date of JavaScript has milliseconds and nothing finer.
    return lambda when: f"{when.microsecond // 1000:03}000000"[:digits]


def _offset(when: datetime, separator: str) -> str:
    seconds = (when.utcoffset() or timedelta()) // timedelta(seconds=1)
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}{separator}{minutes:02}"


def _iso_offset(when: datetime) -> str:
    return _offset(when, ":") if when.utcoffset() else "Z"


_NUMBERS: dict[str, Callable[[datetime], int]] = {
    "M": lambda when: when.month,
    "Q": lambda when: (when.month + 2) // 3,
    "D": lambda when: when.day,
    "DDD": _day,
    "d": _weekday,
    "w": lambda when: _week(when)[1],
    "W": lambda when: when.isocalendar()[1],
    "y": lambda when: when.year,
}
_TOKENS: dict[str, _Writer] = {
    **{token: _number(of) for token, of in _NUMBERS.items()},
    **{f"{token}o": _ordinal(of) for token, of in _NUMBERS.items()},
    "MM": lambda when: f"{when.month:02}",
    "MMM": lambda when: _MONTHS[when.month - 1][:3],
    "MMMM": lambda when: _MONTHS[when.month - 1],
    "DD": lambda when: f"{when.day:02}",
    "DDDD": lambda when: f"{_day(when):03}",
    "dd": lambda when: _DAYS[_weekday(when)][:2],
    "ddd": lambda when: _DAYS[_weekday(when)][:3],
    "dddd": lambda when: _DAYS[_weekday(when)],
    "e": lambda when: str(_weekday(when)),
    "E": lambda when: str(when.isoweekday()),
    "ww": lambda when: f"{_week(when)[1]:02}",
    "WW": lambda when: f"{when.isocalendar()[1]:02}",
    "Y": lambda when: f"{when.year:04}",
    "YY": lambda when: f"{when.year % 100:02}",
    "YYYY": lambda when: f"{when.year:04}",
    "YYYYY": lambda when: f"{when.year:05}",
    "YYYYYY": lambda when: f"+{when.year:06}",
    "yy": lambda when: f"{when.year:02}",
    "yyy": lambda when: f"{when.year:03}",
    "yyyy": lambda when: f"{when.year:04}",
    # Every date that Python has is after Christ.
    **dict.fromkeys(("N", "NN", "NNN", "NNNNN"), lambda _: "AD"),
    "NNNN": lambda _: "Anno Domini",
    "gg": lambda when: f"{_week(when)[0] % 100:02}",
    "gggg": lambda when: f"{_week(when)[0]:04}",
    "ggggg": lambda when: f"{_week(when)[0]:05}",
    "GG": lambda when: f"{when.isocalendar()[0] % 100:02}",
    "GGGG": lambda when: f"{when.isocalendar()[0]:04}",
    "GGGGG": lambda when: f"{when.isocalendar()[0]:05}",
    "A": lambda when: "AM" if when.hour < 12 else "PM",
    "a": lambda when: "am" if when.hour < 12 else "pm",
    "H": lambda when: str(when.hour),
    "HH": lambda when: f"{when.hour:02}",
    "h": lambda when: str(_hour12(when)),
    "hh": lambda when: f"{_hour12(when):02}",
    "k": lambda when: str(when.hour or 24),
    "kk": lambda when: f"{when.hour or 24:02}",
    "z": lambda when: when.tzname() or "",
    "zz": lambda when: when.tzname() or "",
    "Z": lambda when: _offset(when, ":"),
    "ZZ": lambda when: _offset(when, ""),
    "Hmm": lambda when: f"{when.hour}{when.minute:02}",
    "Hmmss": lambda when: f"{when.hour}{when.minute:02}{when.second:02}",
    "hmm": lambda when: f"{_hour12(when)}{when.minute:02}",
    "hmmss": lambda when: f"{_hour12(when)}{when.minute:02}{when.second:02}",
    "m": lambda when: str(when.minute),
    "mm": lambda when: f"{when.minute:02}",
    "s": lambda when: str(when.second),
    "ss": lambda when: f"{when.second:02}",
    **{"S" * digits: _fraction(digits) for digits in range(1, 10)},
    "X": lambda when: str((when - _EPOCH) // timedelta(seconds=1)),
    "x": lambda when: str((when - _EPOCH) // timedelta(milliseconds=1)),
}
# What tells two dates apart, from the year down to the minute.
_UNITS = {
    "year": {*("Y", "YY", "YYYY", "YYYYY", "YYYYYY", "y", "yo", "yy", "yyy", "yyyy")}
    | {*("gg", "gggg", "ggggg", "GG", "GGGG", "GGGGG")},
    "month": {*("M", "Mo", "MM", "MMM", "MMMM", "DDD", "DDDo", "DDDD")}
    | {*("w", "wo", "ww", "W", "Wo", "WW")},
    "day": {*("D", "Do", "DD", "DDD", "DDDo", "DDDD")}
    | {*("d", "do", "dd", "ddd", "dddd", "e", "E")},
    "hour": {*("H", "HH", "h", "hh", "k", "kk", "Hmm", "Hmmss", "hmm", "hmmss")},
    "minute": {*("m", "mm", "Hmm", "Hmmss", "hmm", "hmmss")},
}
_MOMENTS = {"X", "x"}


def _any_of(tokens: Collection[str]) -> str:
    # The longest first, as the text `YYYY` is not two times `YY`.
    return "|".join(sorted(tokens, key=len, reverse=True))


_BRACKETS = r"(?P<brackets>\[[^\[]*\])"
_LOCALIZED_PARTS = re.compile(rf"{_BRACKETS}|(?P<escape>\\)?(?P<token>{_any_of(_LOCALIZED)})")
# `w|` is no token, but to moment it isn't a `w` and a `|` either. A line break is lost there.
_PARTS = re.compile(
    rf"{_BRACKETS}|(?P<escape>\\)?(?P<token>[wW]\||{_any_of(_TOKENS)}|[^\n\r\u2028\u2029])"
)
# The letter that may stand for itself without brackets: the `T` of ISO 8601.
_LITERAL = "T"
_ALLOWED = (
    "The tokens are those of moment.js: "
    f"{' '.join(sorted((*_TOKENS, *_LOCALIZED), key=lambda token: (token.lower(), token)))}. "
    "Letters that stand for themselves go in brackets, as in `[build]`."
)


@dataclass(frozen=True, slots=True)
class Token:
    """A part of a date format that writes a part of the date."""

    name: str

    def write(self, when: datetime) -> str:
        """Write it.

        Args:
            when: The date.

        Returns:
            The text that moment gives for it.
        """
        return _TOKENS[self.name](when)


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A date format: its tokens, and the texts between them."""

    parts: tuple[str | Token, ...]
    is_iso: bool = False

    def render(self, when: datetime) -> str:
        """Write a date.

        Args:
            when: The date, in the time zone that it is to be written in.

        Returns:
            The text that moment gives for it.
        """
        texts = (part if isinstance(part, str) else part.write(when) for part in self.parts)
        # Without a format moment writes `Z` for UTC, and with one `+00:00`.
        return "".join(texts) + (_iso_offset(when) if self.is_iso else "")

    def tells(self, unit: str) -> bool:
        """Whether no two dates of different years, months, days... are written alike.

        Args:
            unit: How fine: `year`, `month`, `day`, `hour` or `minute`.

        Returns:
            True where it has a token for that unit and each greater one, or for the moment.
        """
        names = {part.name for part in self.parts if isinstance(part, Token)}
        units = [*_UNITS][: [*_UNITS].index(unit) + 1]
        return not names.isdisjoint(_MOMENTS) or not any(
            names.isdisjoint(_UNITS[greater]) for greater in units
        )


def parse_format(text: str) -> DateFormat:
    r"""Read a date format.

    Args:
        text: The format, with moment's tokens, `[literal text]` and `\` before a literal token.
            As with moment, an empty one stands for ISO 8601.

    Returns:
        The format.

    Raises:
        MalformedError: A letter is no token, which moment would take for itself; or there is
            nothing but line breaks, which moment fails on.
    """
    if not text:
        return ISO_FORMAT
    parts = tuple(_parts(_LOCALIZED_PARTS.sub(_expand, text)))
    if not parts:
        raise MalformedError("has a date format of line breaks alone", _ALLOWED)
    return DateFormat(parts)


def find_zone(name: str) -> tzinfo:
    """Find a time zone.

    Args:
        name: Its name in the IANA time zone database, in any case as moment-timezone takes it.

    Returns:
        The time zone.

    Raises:
        MalformedError: There is no such zone, or this machine has no time zone data.
    """
    if name.upper() == "UTC":
        return timezone.utc
    import zoneinfo  # noqa: PLC0415  (most runs need none)

    if _USUAL_ZONE.fullmatch(name):
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, OSError, ValueError):
            pass  # the names are compared below, which takes a look at every zone's file
    known = sorted(zoneinfo.available_timezones() - _NO_ZONES)
    if not known:
        raise MalformedError(
            f"has the time zone `{name}`, and this machine has no time zone data",
            "Install the package `tzdata`, of the system or of Python, or leave `tz` out for UTC.",
        )
    if found := {_zone_key(zone): zone for zone in known}.get(_zone_key(name)):
        return zoneinfo.ZoneInfo(found)
    near = _near_zones(name, known)
    hint = f"Near it are {', '.join(near)}; the" if near else "The"
    raise MalformedError(
        f"has the unknown time zone `{name}`",
        f"{hint} names are those of the IANA database, such as `Europe/Paris`.",
    )


_USUAL_ZONE = re.compile(r"[A-Z][\w+-]*(?:/[A-Z][\w+-]*)+", re.ASCII)
# Files among a system's zones that are none: the first is the machine's own zone.
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})


def _zone_key(name: str) -> str:
    # moment-timezone takes `_` and `/` for one and the same.
    return name.lower().replace("_", "/")


def _near_zones(name: str, known: list[str]) -> list[str]:
    from difflib import get_close_matches  # noqa: PLC0415  (slow to import, rarely needed)

    # Whoever writes a city alone means the zone that ends in it.
    names = {part.lower(): zone for zone in known for part in (zone, zone.rpartition("/")[2])}
    near = get_close_matches(name.lower().replace(" ", "_"), names, n=3)
    return list(dict.fromkeys(f"`{names[part]}`" for part in near))


def _expand(match: re.Match[str]) -> str:
    escaped = match["brackets"] or match["escape"]
    return match[0] if escaped else _LOCALIZED[match["token"]]


def _parts(text: str) -> Iterator[str | Token]:
    for match in _PARTS.finditer(text):
        part = match["token"]
        if match["brackets"]:
            yield match[0][1:-1]
        elif match["escape"] or part == "\\":
            yield part.replace("\\", "")
        elif part in _TOKENS:
            yield Token(part)
        elif re.match("[A-Za-z]", part) and part not in _LITERAL:
            raise MalformedError(f"has the unknown date token `{part}`", _ALLOWED)
        else:
            yield part


#: What moment writes without a format: ISO 8601 to the second, with `Z` for UTC.
ISO_FORMAT = DateFormat(tuple(_parts("YYYY-MM-DDTHH:mm:ss")), is_iso=True)
