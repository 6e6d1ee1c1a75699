"""JavaScript's regular expressions find what they find there, or are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from conftest import generated
from gitops_promote.core.errors import MalformedError
from gitops_promote.core.tags.patterns import parse_pattern
from yaml_texts import EXAMPLES

Found = tuple[Any, ...] | None


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"v(\d+)\.(\d+)", "v1.22.3", ("v1.22", "1", "22")),
        (r"\d{1,3}.\d{1,3}", "shop-10.2", ("10.2",)),
        ("/v(.*)/", "v1.2", ("v1.2", "1.2")),
        ("/V(.)/i", "v1", ("v1", "1")),
        (r"/\d/g", "1.2.3", ("1", "2", "3")),
        (r"/(\d)/g", "a", None),
        ("/|a/g", "a", ("", "")),
        (r"/\d/y", "a1", None),
        (r"/\d/gy", "12a3", ("1", "2")),
        ("/a/b/", "a/b", ("a/b",)),
        ("/a", "/a", ("/a",)),
        ("a(b)?", "a", ("a", None)),
        (r"(a)?\1b", "b", ("b", None)),
        (r"(?<x>a)\k<x>", "aa", ("aa", "a")),
        (r"a$", "a\n", None),
        (r"/a$/m", "a\rb", ("a",)),
        (r"/^b/m", "a\u2028b", ("b",)),
        (r"a.b", "a\rb", None),
        (r"/a.b/s", "a\nb", ("a\nb",)),
        (r"\d", "\u0663", None),
        (r"\w", "é", None),
        (r"\s", "\ufeff", ("\ufeff",)),
        (r"\s", "\x1c", None),
        (r"[\S]", "\u3000\x85", ("\x85",)),
        (r"\B", "", ("",)),
        ("[^]", "\n", ("\n",)),
        ("a[]?", "a", ("a",)),
        ("x{,3}", "x{,3}", ("x{,3}",)),
        ("[[a]", "[", ("[",)),
        (r"[\w-.]+", "a-.", ("a-.",)),
        (r"\cJ\x41\u0042", "\nAB", ("\nAB",)),
        (r"/\u{1F680}/u", "\U0001f680", ("\U0001f680",)),
        ("/^.$/u", "\U0001f680", ("\U0001f680",)),
        ("\U0001f680", "a\U0001f680", ("\U0001f680",)),
        ("^.$", "\U0001f680", None),
        ("^..", "\U0001f680", ("\U0001f680",)),
        ("(?<=v)1", "v1", ("1",)),
        (r"\/", "/", ("/",)),
        ("/s/i", "\u017f", None),
    ],
)
def test_what_a_pattern_finds(pattern: str, text: str, found: Found) -> None:
    assert parse_pattern(pattern, slashes=True).find(text) == found


def test_slashes_are_read_where_they_are_meant() -> None:
    assert parse_pattern("/v/i", slashes=False).find("a/v/i") == ("/v/i",)
    assert parse_pattern("/v/i", slashes=True).find("V") == ("V",)


def test_groups_are_counted() -> None:
    assert parse_pattern(r"(a)(?:b)(?<c>c)\(", slashes=False).groups == 2
    assert parse_pattern(r"([a(]?)(\(?)", slashes=False).groups == 2


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "isn't closed"),
        ("a)", "too many"),
        ("[a", "an end too early"),
        ("*a", "nothing to repeat"),
        ("a*+", "nothing to repeat"),
        ("a{2}{3}", "nothing to repeat"),
        ("a{2,1}", "before its start"),
        ("a{1,99999999999}", "too large"),
        ("[b-a]", "before its start"),
        (r"\A1\Z", r"`\\A`"),
        (r"\p{L}", r"`\\p`"),
        (r"[\01]", r"`\\0`"),
        (r"/\ud83d/u", "surrogate"),
        (r"/\-/u", r"`\\-`"),
        (r"/[\w-a]/u", "range"),
        ("/a}/u", "escaped"),
        (r"/\B/u", r"`\\B`"),
        (r"\u{61}", "`.u.61.` before"),
        ("(?i)a", "unknown kind"),
        ("(?P<a>b)", "unknown kind"),
        ("(?>a)", "unknown kind"),
        ("(?#a)", "unknown kind"),
        ("(?<a>b)(?<a>c)", "two groups"),
        (r"\1(a)", "no such group"),
        (r"(a\1)", "no such group"),
        (r"\k<a>", "no such group"),
        (r"/(a)\1/i", "flag `i`"),
        ("/é/i", "outside of ASCII"),
        ("/[é]/i", "outside of ASCII"),
        ("/k/iu", "`i` and `u`"),
        ("/a/v", "flag `v`"),
        ("(?<=a*)b", "fixed-width"),
        ("(?<=(a))b", "group inside"),
        ("(?!(a))b", "group inside"),
        ("(?=a)*b", "assertion"),
        ("(a*)*", "match nothing"),
        ("(a|(b))+", "without one of its groups"),
        ("(a)+?", "lazy"),
        ("(" * 5000 + ")" * 5000, "recursion"),
        ("/a/ii", "each of them once"),
        ("/a/x", "`x`"),
    ],
)
def test_what_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        parse_pattern(pattern, slashes=True)


def test_what_stands_behind_a_part() -> None:
    pattern = parse_pattern(r"/v(\d)\.(x)?/", slashes=True)

    assert pattern.rest("\U0001f680v1.2.1", 1) == ".2.1"
    assert pattern.rest("v1.2", 0) == "2"
    assert pattern.rest("v1.2", 2) == ""
    assert parse_pattern(r"/\d/g", slashes=True).rest("1.2.3", 1) == ".3"


ATOMS = [
    *(
        "a",
        "b",
        "c",
        "A",
        "1",
        "-",
        "/",
        " ",
        ".",
        "^",
        "$",
        "|",
        "v",
        "\n",
        "é",
        "k",
    ),
    *(r"\d", r"\w", r"\s", r"\S", r"\W", r"\D", r"\b", r"\B", r"\.", r"\/", r"\-", r"\n", r"\0"),
    *("[a-c]", "[^a]", "[]", "[^]", r"[\d-]", r"[\w-a]", r"[\S]", r"[^\s]", r"[a\]]", r"[\b]"),
    *("[A-z]", "[é-ü]", "[[a]", "[z-a]", "[", "[^", "&&", "--", "~", "{", "}", "]", "{,3}", "{2}"),
    *(r"\1", r"\2", r"\k<n>", r"\x41", r"\u0061", r"\u{61}", r"\cJ", r"\A", r"\p{L}"),
    *("(?<n>a)", "(a)", "(?:)", "()", "(a?)", "(|a)", "(?i)", "(?P<n>a)", "(?>a)", "(", ")", "\\"),
]
SIMPLE = ["a", "b", "c", "[ab]", ".", r"\w", r"\1", r"\2", "^", "$", "a", "b"]
GROUPS = [
    *("({0})", "(?:{0})", "({0}|{1})", "(?:{0}|{1})", "(?={0})", "(?!{0})", "(?<={0})"),
    *("(?<!{0})", "({0})", "(?<n>{0})"),
]
SIGNS = ["", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0}", "{1,}?", "{3}"]


def bodies(atoms: list[str]) -> st.SearchStrategy[str]:
    """Patterns that nest."""

    def more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        group = st.builds(str.format, st.sampled_from(GROUPS), inner, inner)
        return st.lists(
            st.builds("{}{}".format, group | inner, st.sampled_from(SIGNS)), min_size=1, max_size=3
        ).map("".join)

    return st.recursive(st.sampled_from(atoms), more, max_leaves=8)


FLAGS = st.lists(st.sampled_from("gimsuyd"), max_size=2, unique=True).map("".join)
PATTERNS = (
    bodies(SIMPLE) | bodies(ATOMS) | st.builds("/{}/{}".format, bodies([*ATOMS, *SIMPLE]), FLAGS)
)
TEXTS = st.text("aabbc", max_size=7) | st.text(
    "abcA1-/ \n\r\u2028\u00a0é\u017f\u212a\U0001f680v_{,3}k"
)
CASES = st.tuples(PATTERNS, st.booleans(), st.lists(TEXTS, min_size=8, max_size=8))


def test_patterns_find_what_javascript_finds(
    oracle: Callable[[list[list[Any]]], list[Any]],
    record_property: Callable[[str, object], None],
) -> None:
    cases = generated(CASES, 6 * EXAMPLES)
    compared = refused = 0

    answers = oracle([["match", *case] for case in cases])

    for (text, slashes, texts), answer in zip(cases, answers, strict=True):
        try:
            pattern = parse_pattern(text, slashes=slashes)
        except MalformedError:
            refused += answer != "error"
            continue
        found = [pattern.find(one) for one in texts]
        assert [one and list(one) for one in found] == answer, text
        compared += 1
    assert compared > refused
    record_property(
        "figure",
        f"patterns: {compared} find in 8 texts each what JavaScript finds, {refused} more refused",
    )
