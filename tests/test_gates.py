"""The links of the reviewer's checklist."""

from __future__ import annotations

import pytest
from hypothesis import given

from gitops_promote.core.errors import UsageError
from gitops_promote.core.review.gates import Gate, parse_gates
from render import Read
from test_markdown import HOSTILE


def test_gates_are_read() -> None:
    lines = (
        "Scan = https://scan.example/42?a=b",
        "",
        " A=B=HTTP://x.example:8080",
        "Scan=https://scan.example/42?a=b",
    )

    assert parse_gates(lines) == (
        Gate("Scan", "https://scan.example/42?a=b"),
        Gate("A=B", "HTTP://x.example:8080"),
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Scan", "a line with no address"),
        ("=https://x.example", "no name"),
        ("https://x.example", "no address"),
        ("Scan=javascript:alert(1)", "the line `Scan`… with no address"),
        ("Scan=ftp://x.example", "no address"),
        ("Scan=https://", "no address"),
        ("Scan=https:///x", "malformed"),
        ("Scan=https://x.example/a b", "malformed"),
        ("Scan=https://x.example/\x00", "malformed"),
        ("Scan=https://me:secret@x.example", "credentials"),
        ("Scan=https://secret@x.example/a", "credentials"),
        ("secret@x.example=ftp://y", "no address"),
        ("ftp://me:secret@x.example/?a=b", "no address"),
        ("me:secret@x.example", "no address"),
        (f"{'x' * 101}=https://x.example", "too long"),
        (f"x=https://x.example/{'x' * 500}", "too long"),
    ],
)
def test_a_malformed_gate_is_refused(line: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_gates([line])

    assert problem in str(caught.value)
    assert "`gates`" in caught.value.what
    assert "secret" not in str(caught.value)


def test_a_reviewer_is_not_flooded() -> None:
    with pytest.raises(UsageError, match="has 51 links"):
        parse_gates(f"Gate {n}=https://x.example" for n in range(51))


def test_a_gate_is_a_task() -> None:
    item = Gate("A [b](c) @octocat", "https://x.example/(a)?b=<c>&copy=1").item
    read = Read(item)

    assert read.links == ["https://x.example/%28a%29?b=%3Cc%3E&copy=1"]
    assert read.tags["input"] == 1
    assert read.text.strip() == "A [b](c) @\u200boctocat"


@given(HOSTILE, HOSTILE)
def test_a_gate_does_nothing_else(name: str, path: str) -> None:
    read = Read(Gate(name, f"https://x.example/{path}").item)

    assert [url[:18] for url in read.links] == ["https://x.example/"]
    assert (read.references, read.unbalanced) == ([], [])
