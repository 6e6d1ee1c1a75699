"""Dates are written as moment.js writes them."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import strategies as st

from conftest import generated
from gitops_promote.core.errors import MalformedError
from gitops_promote.core.tags.dates import ISO_FORMAT, find_zone, parse_format
from yaml_texts import EXAMPLES

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A Friday, in the afternoon.
MOMENT = datetime(2020, 1, 3, 15, 4, 5, 678901, tzinfo=UTC)

TOKENS = [
    *("M", "Mo", "MM", "MMM", "MMMM", "Q", "Qo", "D", "Do", "DD", "DDD", "DDDo", "DDDD"),
    *("d", "do", "dd", "ddd", "dddd", "e", "E", "w", "wo", "ww", "W", "Wo", "WW"),
    *("Y", "YY", "YYYY", "YYYYY", "YYYYYY", "y", "yo", "yy", "yyy", "yyyy"),
    *("N", "NN", "NNN", "NNNN", "NNNNN", "gg", "gggg", "ggggg", "GG", "GGGG", "GGGGG"),
    *("A", "a", "H", "HH", "h", "hh", "k", "kk", "z", "zz", "Z", "ZZ", "L", "LL", "l", "ll"),
    *("Hmm", "Hmmss", "hmm", "hmmss", "m", "mm", "s", "ss", "X", "x"),
    *("S" * digits for digits in range(1, 10)),
]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("YYYYMMDD", "20200103"),
        ("YYYYMMDD-HHmmss", "20200103-150405"),
        ("YYYY-MM-DDTHH:mm:ss.SSSZ", "2020-01-03T15:04:05.678+00:00"),
        ("Y YY YYYYY YYYYYY YYY YYYYYYY", "2020 20 02020 +002020 202020 +0020202020"),
        ("M Mo MMM MMMM Q Qo", "1 1st Jan January 1 1st"),
        ("D Do DDD DDDo DDDD", "3 3rd 3 3rd 003"),
        ("d do dd ddd dddd e E", "5 5th Fr Fri Friday 5 5"),
        ("w wo ww W Wo WW gggg GG", "1 1st 01 1 1st 01 2020 20"),
        ("N NNNN NNNNN y yo", "AD Anno Domini AD 2020 2020th"),
        ("H h hh k a A hmm Hmmss", "15 3 03 15 pm PM 304 150405"),
        ("S SS SSS SSSSSSSSS X x", "6 67 678 678000000 1578063845 1578063845678"),
        ("z zz Z ZZ", "UTC UTC +00:00 +0000"),
        ("LT|LTS|L|l", "3:04 PM|3:04:05 PM|01/03/2020|1/3/2020"),
        ("LLLL", "Friday, January 3, 2020 3:04 PM"),
        ("llll", "Fri, Jan 3, 2020 3:04 PM"),
        # What a localized format stands for is put in as text, and so joins its neighbours.
        ("hLTS", "03:04:05 PM"),
        ("[YYYY]YYYY[]", "YYYY2020"),
        ("[a]b]", "a]b"),
        ("[[a]", "[a"),
        ("[1", "[1"),
        (r"[a\b]", r"a\b"),
        (r"\YYYY\T\LT\[\w|", "YYYYTLT[w|"),
        ("D\\", "3"),
        ("D\nD", "33"),
        ("YYYY年\U0001f680", "2020年\U0001f680"),
        ("T.,:_-/ |", "T.,:_-/ |"),
        ("", "2020-01-03T15:04:05Z"),
    ],
)
def test_a_format(text: str, written: str) -> None:
    assert parse_format(text).render(MOMENT) == written


@pytest.mark.parametrize(
    ("when", "text", "written"),
    [
        (
            datetime(1, 1, 1, tzinfo=UTC),
            "YYYY YYYYYY Y y GGGG gggg",
            "0001 +000001 0001 1 0001 0001",
        ),
        (datetime(9999, 12, 31, tzinfo=UTC), "gg gggg w GGGG W", "00 10000 1 9999 52"),
        (datetime(2021, 1, 3, tzinfo=UTC), "GGGG-WW gggg-ww E e", "2020-53 2021-02 7 0"),
        (datetime(2020, 12, 31, tzinfo=UTC), "DDDD w gg Q", "366 1 21 4"),
        (datetime(2020, 6, 11, tzinfo=UTC), "Do DDDo h k kk a", "11th 163rd 12 24 24 am"),
        (datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "X x", "-1 -1"),
    ],
)
def test_an_edge(when: datetime, text: str, written: str) -> None:
    assert parse_format(text).render(when) == written


def test_without_a_format_it_is_iso_8601() -> None:
    east, west = timezone(timedelta(hours=9)), timezone(-timedelta(hours=3, minutes=30))

    assert ISO_FORMAT.render(MOMENT) == "2020-01-03T15:04:05Z"
    assert ISO_FORMAT.render(MOMENT.astimezone(east)) == "2020-01-04T00:04:05+09:00"
    assert ISO_FORMAT.render(MOMENT.astimezone(west)) == "2020-01-03T11:34:05-03:30"


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("YYYYb", "b"),
        ("YYYY-MM-DDtHH", "t"),
        ("Mob", "b"),
        ("g", "g"),
        ("w|", "w|"),
        ("LLLLO", "O"),
    ],
)
def test_a_letter_that_is_no_token(text: str, token: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_format(text)

    assert caught.value.problem == f"has the unknown date token `{token}`"
    assert set(TOKENS) <= set(caught.value.allowed.replace(".", " ").split())
    assert "go in brackets" in caught.value.allowed


def test_line_breaks_alone() -> None:
    with pytest.raises(MalformedError, match="line breaks"):
        parse_format("\n")


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("x", "minute"),
        ("X", "minute"),
        ("YYYYMMDDHHmm", "minute"),
        ("YYYY-DDDD-Hmm", "minute"),
        ("GGGG-WW-E HH:mm", "minute"),
        ("LLL", "minute"),
        ("YYYYMMDDHH", "hour"),
        ("YYYYMMDD", "day"),
        ("GGGG[w]WWE", "day"),
        ("L", "day"),
        ("YYYYDDD", "day"),
        ("YYYYMM", "month"),
        ("YYYY", "year"),
        ("YYYYDD", "year"),
        ("YYYYmmDD", "year"),
        ("mm", ""),
        ("HHmmss", ""),
        ("LTS", ""),
        ("[YYYY]", ""),
        ("S", ""),
    ],
)
def test_what_a_format_tells_apart(text: str, unit: str) -> None:
    units = ["year", "month", "day", "hour", "minute"]
    told = units[: units.index(unit) + 1] if unit else []

    assert [unit for unit in units if parse_format(text).tells(unit)] == told
    assert ISO_FORMAT.tells("minute")


@pytest.mark.parametrize("name", ["UTC", "utc", "Utc"])
def test_utc_needs_no_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "ZoneInfo", None)

    assert find_zone(name).tzname(MOMENT) == "UTC"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Asia/Tokyo", "Asia/Tokyo"),
        ("asia/tokyo", "Asia/Tokyo"),
        ("ASIA_TOKYO", "Asia/Tokyo"),
        ("America/Port-au-Prince", "America/Port-au-Prince"),
        ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Etc/GMT+3", "Etc/GMT+3"),
        ("etc/utc", "Etc/UTC"),
    ],
)
def test_a_zone(name: str, found: str) -> None:
    assert str(find_zone(name)) == found


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Europe/Pariss", "`Europe/Paris`"),
        ("Tokyo", "`Asia/Tokyo`"),
        ("New York", "`America/New_York`"),
        ("America", ""),
        ("", ""),
        ("../../etc/passwd", ""),
        ("/etc/localtime", ""),
        ("localtime", ""),
        ("posixrules", ""),
        ("\0", ""),
    ],
)
def test_an_unknown_zone(name: str, near: str) -> None:
    with pytest.raises(MalformedError) as caught:
        find_zone(name)

    assert caught.value.problem == f"has the unknown time zone `{name}`"
    assert near in caught.value.allowed


def test_a_machine_without_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(key: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", nothing)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)

    with pytest.raises(MalformedError, match=r"no time zone data\. Install the package `tzdata`"):
        find_zone("Asia/Tokyo")


ZONES = [
    *(
        "UTC",
        "Asia/Tokyo",
        "America/New_York",
        "Europe/London",
        "Asia/Kolkata",
        "Pacific/Kiritimati",
    ),
    *("Australia/Lord_Howe", "America/St_Johns", "America/Sao_Paulo", "Africa/Monrovia"),
]
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
# Of what comes later moment-timezone 0.6 knows no change to summer time.
ZONED = (datetime(1969, 6, 1, tzinfo=UTC), datetime(2037, 6, 1, tzinfo=UTC))
INSTANTS = [
    *(
        FIRST,
        LAST,
        EPOCH,
        MOMENT,
        EPOCH - timedelta(milliseconds=1),
        datetime(999, 5, 31, 12, tzinfo=UTC),
    ),
    # Around the changes to summer time and back, with fractions of seconds.
    *(datetime(2020, 3, 8, 6, 59, 59, 999999, tzinfo=UTC), datetime(2020, 3, 8, 7, tzinfo=UTC)),
    *(datetime(2020, 11, 1, 5, 30, 0, 1000, tzinfo=UTC), datetime(2020, 11, 1, 6, 30, tzinfo=UTC)),
    *(datetime(2020, 3, 29, 0, 59, 59, 12345, tzinfo=UTC), datetime(2020, 3, 29, 1, tzinfo=UTC)),
    *(datetime(2020, 4, 4, 14, 59, tzinfo=UTC), datetime(2020, 4, 4, 15, tzinfo=UTC)),
    # The days around each new year: the weeks of two calendars.
    *(
        datetime(year, 12, 28, 12, 13, 14, 150000, tzinfo=UTC) + timedelta(days=day)
        for year in (1, 1969, 2004, 2015, 2019, 2020, 2021)
        for day in range(9)
    ),
    *(
        datetime(2024, month, day, 23 - day // 2, day, tzinfo=UTC)
        for month in (2, 7)
        for day in range(1, 29, 3)
    ),
]


def milliseconds(when: datetime) -> int:
    """A date as JavaScript counts it."""
    return (when - EPOCH) // timedelta(milliseconds=1)


def differences(
    oracle: Callable[[list[list[Any]]], list[Any]], cases: list[tuple[datetime, str, str]]
) -> list[tuple[Any, ...]]:
    """The dates that moment writes otherwise."""
    questions = [["date", milliseconds(when), zone, text] for when, zone, text in cases]
    formats = {text: parse_format(text) for _, _, text in cases}
    zones = {zone: find_zone(zone) for _, zone, _ in cases}
    found = []
    for (when, zone, text), answer in zip(cases, oracle(questions), strict=True):
        written = formats[text].render(when.astimezone(zones[zone]))
        if written != answer:
            found.append((when, zone, text, written, answer))
    return found


def test_every_token_is_written_as_moment_writes_it(
    oracle: Callable[[list[list[Any]]], list[Any]],
    record_property: Callable[[str, object], None],
) -> None:
    cases = [
        (when, zone, text)
        for when in INSTANTS
        for zone in ZONES
        if zone == "UTC" or ZONED[0] <= when <= ZONED[1]
        for text in [*TOKENS, ""]
    ]

    assert differences(oracle, cases) == []
    record_property("figure", f"dates: {len(cases)} of one token as moment writes them")


PIECES = [*TOKENS, "[a]", "[", "]", "[]", "\\", "T", "|", "-", ":", " ", "\n", "é", "\U0001f680"]
CASES = st.tuples(
    st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None), timezones=st.just(UTC)),
    st.datetimes(*(end.replace(tzinfo=None) for end in ZONED), timezones=st.just(UTC)),
    st.sampled_from(ZONES),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
)


def is_format(text: str) -> bool:
    """Whether a text is taken at all."""
    try:
        parse_format(text)
    except MalformedError:
        return False
    return True


def test_formats_are_read_as_moment_reads_them(
    oracle: Callable[[list[list[Any]]], list[Any]],
    record_property: Callable[[str, object], None],
) -> None:
    drawn = [case for case in generated(CASES, 8 * EXAMPLES) if is_format(case[3])]
    cases = [(when, zone, text) for _, when, zone, text in drawn]
    cases += [(when, "UTC", text) for when, _, _, text in drawn]

    assert differences(oracle, cases) == []
    assert len(drawn) > EXAMPLES
    record_property("figure", f"dates: {len(cases)} of random formats as moment writes them")


def test_zones_are_those_of_moment(oracle: Callable[[list[list[Any]]], list[Any]]) -> None:
    names = [*ZONES, "utc", "asia/tokyo", "ASIA_TOKYO", "Etc/GMT+3", "etc/utc"]
    wrong = ["Tokyo", "America", "", "localtime", "posixrules", "Factory", "America/New York"]

    assert oracle([["zone", name] for name in [*names, *wrong]]) == [True] * 15 + [False] * 7
    assert all(find_zone(name) for name in names)
    for name in wrong:
        with pytest.raises(MalformedError):
            find_zone(name)
