"""The tree of a YAML text: positions, two parsers, and what a reader makes of duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given

from conftest import shared
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.yaml import tree as yaml_tree
from gitops_promote.core.yaml.layout import line_of
from gitops_promote.core.yaml.tree import (
    Alias,
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    find_value,
    parse,
    resolve,
)
from yaml_texts import EXAMPLES, properties, yaml_texts

Record = Callable[[str, object], None]


def outline(roots: list[Node | None]) -> Iterator[tuple[object, ...]]:
    """Everything that a tree says, positions included."""
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        if node is None:
            yield ("empty",)
            continue
        yield (type(node).__name__, node.start, node.end, node.anchor, node.tag)
        if isinstance(node, Scalar):
            yield (node.value, node.style, node.flow)
        elif isinstance(node, Alias):
            target = node.target
            yield (target.start, target.end) if target else ()
        elif isinstance(node, Mapping):
            yield (node.flow, len(node.pairs))
            stack += [part for pair in reversed(node.pairs) for part in reversed(pair)]
        elif isinstance(node, Sequence):
            yield (node.flow, len(node.items))
            stack += reversed(node.items)


def read(text: str, *, fast: bool) -> list[tuple[object, ...]] | str:
    """The outline of a text, or why there is none, by one of the two parsers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_tree, "_libyaml", lambda: fast)
        try:
            return list(outline(parse(text, "x.yaml")))
        except PromoteError as error:
            return error.what


needs_libyaml = pytest.mark.skipif(
    not yaml_tree._libyaml(), reason="ruamel.yaml.clib is not installed"
)


@needs_libyaml
@properties
@given(yaml_texts())
def test_both_parsers_give_one_tree(text: str) -> None:
    fast, slow = read(text, fast=True), read(text, fast=False)
    if isinstance(fast, str):
        assert isinstance(slow, str)
    elif isinstance(slow, str):
        # A tab behind a tag is the one thing that go-yaml takes and the slow parser doesn't.
        assert r"but found '\t'" in slow
    else:
        assert fast == slow


@needs_libyaml
@pytest.mark.parametrize("part", range(8))
def test_both_parsers_give_one_tree_of_real_files(part: int, record_property: Record) -> None:
    # The slow one takes minutes for all of them, and the long ones are no other.
    most = 6_000 if EXAMPLES < 1_000 else 1_000_000
    files = [file for file in shared("corpus").rglob("*") if file.suffix in (".yaml", ".yml")]
    counts: Counter[str] = Counter()
    for file in sorted(file for file in files if file.stat().st_size < most)[part::8]:
        text = file.read_bytes().decode("utf-8-sig")
        fast, slow = read(text, fast=True), read(text, fast=False)
        same = isinstance(slow, str) if isinstance(fast, str) else fast == slow
        assert same, file.name
        counts["refused by both" if isinstance(fast, str) else "one tree"] += 1
    record_property("counts:parsers", dict(counts))


# Where things stand.


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("a: b # c\n", "b"),
        ("a: &x !!str b\n", "b"),
        ("a: !!str &x 'b'\n", "'b'"),
        ("a: &x\n  # c\n  b\n", "b"),
        ('a: "b\n  c"\n', '"b\n  c"'),
        ("a: b\n  c\n", "b\n  c"),
        ("\U0001f680: \U0001f680\n", "\U0001f680"),
        ("a:\tb\t# c\n", "b"),
        ("? a\n: b\n", "b"),
        ("a: [b: c]\n", "[b: c]"),
        ("a: {b: sha256:c}\n", "{b: sha256:c}"),
        ("a: |-\n  b\n", "|-\n  b\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("fast", [True, False])
def test_positions(
    text: str, content: str, newline: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = fast and yaml_tree._libyaml()
    monkeypatch.setattr(yaml_tree, "_libyaml", lambda: fast)
    text, content = text.replace("\n", newline), content.replace("\n", newline)
    (_, value), *_ = root_of(text).pairs
    assert text[value.start : value.end] == content


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a:\nb: c\n", 2),
        ("a: # c\n", 2),
        ("a :   \n\n", 3),
        ("a: &x\nb: c\n", 5),
        ("? a\n: # c\n", 5),
        ("{a: , b: c}", 3),
        ("{a: }", 3),
    ],
)
def test_an_absent_value_stands_behind_its_colon(text: str, column: int) -> None:
    (_, value), *_ = root_of(text).pairs
    assert (value.start, value.end) == (column, column)


def test_many_blank_lines() -> None:
    assert root_of("? a" + "\r\n" * 5_000).pairs


def test_depth_is_not_bounded_by_recursion() -> None:
    root = root_of("a: " + "[" * 3_000 + "]" * 3_000)
    assert len(list(outline([root]))) > 3_000


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_counted_by_any_line_end(newline: str) -> None:
    text = f"a{newline}b\u2028{newline}{newline}c"
    assert [line_of(text, text.index(word)) for word in "abc"] == [1, 2, 4]


# Which value counts.


def root_of(text: str) -> Mapping:
    """The mapping that a text is."""
    (root, *_) = parse(text, "x.yaml")
    assert isinstance(root, Mapping)
    return root


def value_of(text: str, key: str, *, fold: bool = False) -> str | None:
    """The text of a key's value in the last pair of a mapping."""
    node = resolve(root_of(text).pairs[-1][1])
    assert isinstance(node, Mapping)
    value = find_value(node, key, fold=fold)
    assert value is None or isinstance(value, Scalar)
    return value.value if value else None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("m: {k: 1, k: 2}", "2"),
        ("m: {K: 1}", None),
        ("b: &b {k: 1}\nm: {<<: *b}", "1"),
        ("b: &b {k: 1}\nm: {<<: *b, k: 2}", "2"),
        ("b: &b {k: 1}\nm: {k: 2, <<: *b}", "1"),
        ("b: &b {k: 1}\nm: {'<<': *b}", None),
        ("b: [&b {k: 1}, &c {k: 2}]\nm: {<<: [*b, *c]}", "1"),
        ("b: [&b {k: 1}, &c {k: 2}]\nm: {<<: *b, <<: *c}", "2"),
        ("b: [&c {k: 2}, &b {<<: *c}, &d {k: 1}]\nm: {<<: [*b, *d]}", "2"),
        ("b: &b v\nm: {k: *b}", "v"),
        ("m: &m {<<: *m}", None),
    ],
)
def test_the_value_that_counts(text: str, value: str | None) -> None:
    assert value_of(text, "k") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("m: {K: 1}", "1"), ("m: {k: 1, K: 2}", "1"), ("m: {K: 2, k: 1, k: 3}", "3")],
)
def test_the_value_that_counts_for_go(text: str, value: str) -> None:
    assert value_of(text, "k", fold=True) == value


def test_a_pair_is_found_as_it_stands() -> None:
    root = root_of("k: &k a\n*k : 1\n")
    pair = find_pair(root, "a")
    assert pair
    assert pair == root.pairs[1]
    assert isinstance(pair[0], Alias)
    assert find_pair(root, "b") is None


# What is no YAML.


@pytest.mark.parametrize(
    ("text", "place", "reason", "fix"),
    [
        ("a: 1\nb: [\n", "3:1", "not valid YAML", "Correct it"),
        ("a: *x\n", "1:4", "there is no anchor &x", "Correct it"),
        ("a: {{ .Values.a }}\nb\n", "3:1", "not valid YAML", "values file"),
        ("a: 1\n<<<<<<< HEAD\nb: 1\n", "2", "merge conflict", "Resolve"),
        ("a: 1\r\nb: \x07\r\n", "2:4", "control characters", "Correct it"),
    ],
)
def test_what_is_no_yaml(text: str, place: str, reason: str, fix: str) -> None:
    with pytest.raises(PromoteError, match=reason) as caught:
        parse(text, "x.yaml")
    assert caught.value.where == f"x.yaml:{place}"
    assert fix in caught.value.fix
