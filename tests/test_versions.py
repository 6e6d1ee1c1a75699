"""Versions are read as docker/metadata-action's libraries read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from conftest import generated
from gitops_promote.core.tags.versions import read_pep440, read_semver
from yaml_texts import EXAMPLES

READERS = {"semver": read_semver, "pep440": read_pep440}


@pytest.mark.parametrize(
    ("text", "version", "prerelease", "build"),
    [
        ("1.2.3", "1.2.3", "", ""),
        ("v1.2.3", "1.2.3", "", ""),
        (" v1.2.3\n", "1.2.3", "", ""),
        ("\ufeff1.2.3\u00a0", "1.2.3", "", ""),
        ("1.2.3-rc.1", "1.2.3-rc.1", "rc,1", ""),
        ("1.2.3-rc.1+linux.amd64", "1.2.3-rc.1", "rc,1", "linux,amd64"),
        ("1.2.3+001", "1.2.3", "", "001"),
        ("1.2.3--1", "1.2.3--1", "-1", ""),
        ("1.2.3-99999999999999999999", "1.2.3-99999999999999999999", "99999999999999999999", ""),
    ],
)
def test_a_semantic_version(text: str, version: str, prerelease: str, build: str) -> None:
    found = read_semver(text)

    assert found
    assert found.is_prerelease == bool(prerelease)
    assert found.fields == {
        "raw": text,
        "version": version,
        "major": "1",
        "minor": "2",
        "patch": "3",
        "prerelease": prerelease,
        "build": build,
    }


def test_the_largest_semantic_version() -> None:
    assert read_semver("9007199254740991.0.0")
    assert not read_semver("9007199254740992.0.0")
    assert read_semver("1.2.3-" + "a" * 250)
    assert not read_semver("1.2.3-" + "a" * 250 + " ")


@pytest.mark.parametrize(
    "text",
    [
        *("", "v", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-01", "1.2.3-", "1.2.3+", "=1.2.3"),
        *("V1.2.3", "vv1.2.3", "v 1.2.3", "\x1c1.2.3", "\x851.2.3", "1.2.1\u0663", "1.2.3_1"),
    ],
)
def test_no_semantic_version(text: str) -> None:
    assert read_semver(text) is None


@pytest.mark.parametrize(
    ("text", "version", "numbers", "is_prerelease"),
    [
        ("1.2.3", "1.2.3", "1 2 3", False),
        ("v1", "1", "1 0 0", False),
        ("1.02", "1.2", "1 2 0", False),
        ("1.2.3.4", "1.2.3.4", "1 2 3", False),
        ("2!1.0", "2!1.0", "1 0 0", False),
        ("0!1.0", "1.0", "1 0 0", False),
        ("1.0alpha", "1.0a0", "1 0 0", True),
        ("1.0-RC_2", "1.0rc2", "1 0 0", True),
        ("1.0.post1", "1.0.post1", "1 0 0", True),
        ("1.0-0", "1.0.post0", "1 0 0", True),
        ("1.0dev", "1.0.dev0", "1 0 0", True),
        ("1.0a1.post2.dev3", "1.0a1.post2.dev3", "1 0 0", True),
        ("1.0+Ubuntu-1_007", "1.0+ubuntu,1,7", "1 0 0", False),
        (
            "1.0+1e5.0x10.0b11.Infinity.infinity",
            "1.0+100000,16,3,Infinity,infinity",
            "1 0 0",
            False,
        ),
        ("20240101123456789012", "20240101123456790000", "20240101123456790000 0 0", False),
        ("1.1" + "0" * 21, "1.1e+21", "1 1e+21 0", False),
        ("1.1" + "0" * 400, "1.Infinity", "1 Infinity 0", False),
    ],
)
def test_a_python_version(text: str, version: str, numbers: str, is_prerelease: bool) -> None:
    found = read_pep440(text)

    assert found
    assert found.is_prerelease == is_prerelease
    major, minor, patch = numbers.split()
    numbered = {"major": major, "minor": minor, "patch": patch}
    assert found.fields == {"raw": text, "version": version, **numbered}


@pytest.mark.parametrize(
    "text", ["", "v", " 1.0", "1.0\n", "1.0-", "1..0", "1.0+", "1.0+a+b", "1.\u0663", "latest"]
)
def test_no_python_version(text: str) -> None:
    assert read_pep440(text) is None


PIECES = [
    *("v", "V", "=", "1", "0", "01", "2", "10", "20240101", "9007199254740991", "9007199254740992"),
    *("9" * 20, "9" * 25, "9" * 320, ".", ".", ".", "-", "_", "+", "!", "--", "a", "b", "rc", "c"),
    *("pre", "preview", "alpha", "BETA", "post", "rev", "r", "dev", "x", "0x1F", "0b1", "0o7"),
    *("1e5", "1E30", "1e400", "Infinity", "infinity", "a" * 250, "g1e", " ", "\n", "\x1c", "\x85"),
    *("\ufeff", "\u00a0", "\u0663", "\u017f", "\u212a"),
]
STARTS = ["", "", "1.2.3", "v1.0", "1!2.0.1.4", "1.2.3-", "1.0+", "0.0.1+", "v0.0.0-a."]
TEXTS = st.builds(
    "{}{}".format,
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
)


@pytest.mark.parametrize("kind", READERS)
def test_versions_are_those_of_metadata_action(
    oracle: Callable[[list[list[Any]]], list[Any]],
    record_property: Callable[[str, object], None],
    kind: str,
) -> None:
    texts = sorted(set(generated(TEXTS, 8 * EXAMPLES)))

    answers = oracle([[kind, text] for text in texts])

    for text, answer in zip(texts, answers, strict=True):
        found = READERS[kind](text)
        assert (found and [dict(found.fields), found.is_prerelease]) == answer, text
    valid = sum(answer is not None for answer in answers)
    assert valid > len(texts) / 50
    record_property("figure", f"{kind}: {len(texts)} texts as metadata-action, {valid} versions")
