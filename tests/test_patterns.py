"""JavaScript's regular expressions find what they find there, or are refused."""

from __future__ import annotations

import re
import sys
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
        ("(?<=v)1", "v1", ("1",)),
        (r"\/", "/", ("/",)),
    ],
)
def test_what_a_pattern_finds(pattern: str, text: str, found: Found) -> None:
    assert parse_pattern(pattern, slashes=True).find(text) == found


def test_slashes_are_read_where_they_are_meant() -> None:
    assert parse_pattern("/v/i", slashes=False).find("a/v/i") == ("/v/i",)
    assert parse_pattern("/v/i", slashes=True).find("V") == ("V",)


def test_groups_are_counted() -> None:
    assert parse_pattern(r"(a)(?:b)(?<c>c)\(", slashes=False).groups == 2


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "Unbalanced parenthesis"),
        ("a)", "Unbalanced parenthesis"),
        ("[a", "Unbalanced bracket"),
        ("*a", "Invalid atom character"),
        ("a*+", "Invalid atom character"),
        ("a{2,1}", "Invalid quantifier"),
        ("[b-a]", "reversed"),
        (r"/\-/u", "Invalid character escape"),
        ("(?i)a", "Invalid group modifier"),
        ("(?P<a>b)", "Invalid group modifier"),
        (r"\u{61}", "without the flag `u`"),
        ("/a/ii", "each of them once"),
        ("/a/x", "`x`"),
        ("/a/v", "`v`"),
        ("/a/y", "`y`"),
    ],
)
def test_what_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why) as caught:
        parse_pattern(pattern, slashes=True)

    assert f"`{pattern}`" in caught.value.problem


def test_without_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regress", None)

    with pytest.raises(MalformedError, match="this platform has no engine"):
        parse_pattern("v", slashes=False)


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


FLAGS = st.lists(st.sampled_from("gimsud"), max_size=2, unique=True).map("".join)
PATTERNS = (
    bodies(SIMPLE) | bodies(ATOMS) | st.builds("/{}/{}".format, bodies([*ATOMS, *SIMPLE]), FLAGS)
)
TEXTS = st.text("aabbc", max_size=7) | st.text("abcA1-/ \n\r\u2028\u00a0év_{,3}k")
CASES = st.tuples(PATTERNS, st.booleans(), st.lists(TEXTS, min_size=8, max_size=8))


def test_patterns_find_what_javascript_finds(
    oracle: Callable[[list[list[Any]]], list[Any]],
    record_property: Callable[[str, object], None],
) -> None:
    cases = generated(CASES, 6 * EXAMPLES)
    compared = 0

    answers = oracle([["match", *case] for case in cases])

    for (text, slashes, texts), answer in zip(cases, answers, strict=True):
        try:
            pattern = parse_pattern(text, slashes=slashes)
        except MalformedError:
            assert answer == "error" or r"\u{" in text, text
            continue
        if answer == "error":
            # The engine lets an assertion be repeated, which changes nothing, and JavaScript
            # doesn't.
            assert re.search(r"\\[bB][*+?{]", text), text
            continue
        found = [pattern.find(one) for one in texts]
        assert [one and list(one) for one in found] == answer, text
        compared += 1
    assert compared > len(cases) / 2
    record_property("figure", f"patterns: {compared} find in 8 texts each what JavaScript finds")
