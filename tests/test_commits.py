"""What the commit of a version may be called."""

from __future__ import annotations

import pytest

from gitops_promote.core.commits import build_of, commit_names, find_hash

FULL = "1a2b3c4d" * 5
DIGITS = "12345678" * 5


@pytest.mark.parametrize(
    ("version", "app", "expected"),
    [
        ("1.4.1", "", ["refs/tags/v1.4.1", "refs/tags/1.4.1"]),
        ("v1.4.1@sha256:abc", "", ["refs/tags/v1.4.1", "refs/tags/1.4.1"]),
        ("1.4.1-rc.1", "", ["refs/tags/v1.4.1-rc.1", "refs/tags/1.4.1-rc.1"]),
        (
            "1.4.1",
            "shop",
            [
                *("refs/tags/shop/v1.4.1", "refs/tags/shop-v1.4.1", "refs/tags/shop@v1.4.1"),
                *("refs/tags/shop/1.4.1", "refs/tags/shop-1.4.1", "refs/tags/shop@1.4.1"),
                *("refs/tags/v1.4.1", "refs/tags/1.4.1"),
            ],
        ),
        ("1a2b3c4-11870042117", "shop", ["1a2b3c4"]),
        # Either may be the commit: the other is a run, or a date.
        ("1234567-11870042117", "", ["1234567", "11870042117"]),
        ("20240501-1a2b3c4", "", ["20240501", "1a2b3c4"]),
        ("sha-1a2b3c4", "", ["1a2b3c4"]),
        ("main-1a2b3c4d5e", "", ["1a2b3c4d5e"]),
        (FULL, "", [FULL]),
        (
            "1.4.1-5-g1a2b3c4",
            "",
            ["1a2b3c4", "refs/tags/v1.4.1-5-g1a2b3c4", "refs/tags/1.4.1-5-g1a2b3c4"],
        ),
        ("latest", "shop", []),
        ("sha256:abc", "", []),
        ("", "shop", []),
        ("1.4.1^{tree}", "shop", []),
        ("1.4.1", "a..b^{", ["refs/tags/v1.4.1", "refs/tags/1.4.1"]),
    ],
)
def test_the_names_in_a_version(version: str, app: str, expected: list[str]) -> None:
    assert list(commit_names(version, app)) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1a2b3c4-42", [FULL]),
        ("sha-1a2b3c4@sha256:abc", [FULL]),
        ("20240501", ["20240501", FULL]),
        ("0a2b3c4", ["0a2b3c4", FULL]),
        ("latest", [FULL]),
        ("sha256:abc", [FULL]),
        ("1.4", [FULL, "refs/tags/v1.4", "refs/tags/1.4"]),
    ],
)
def test_the_names_where_the_commit_is_known(version: str, expected: list[str]) -> None:
    assert list(commit_names(version, "", FULL)) == expected


def test_a_tag_of_many_hashes_has_few_names() -> None:
    tag = "-".join(f"abcdef{n:x}" for n in range(16))

    assert len(commit_names(tag, "", FULL)) == 12


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1a2b3c4-11870042117", ("1a2b3c4", "11870042117")),
        (f"{FULL}-42@sha256:abc", (FULL, "42")),
        ("1234567-42", ("", "")),
        ("20240501-1234567", ("", "")),
        ("1a2b3c4-42-1", ("", "")),
        ("1a2b3c4", ("", "")),
        ("1a2b3c4-4\u0662", ("", "")),
        (f"1a2b3c4-{'9' * 21}", ("", "")),
        ("v1a2b3c4-42", ("", "")),
    ],
)
def test_the_build_that_a_tag_names(version: str, expected: tuple[str, str]) -> None:
    assert build_of(version) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5-g1a2b3c4", "1a2b3c4"), ("20240501", ""), (DIGITS, ""), ("20240501-abcdef1", "abcdef1")],
)
def test_a_hash_has_a_letter(text: str, expected: str) -> None:
    assert find_hash(text) == expected
