"""The `#KEY` of a target."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import find_places, format_path, parse_key
from gitops_promote.core.yaml.tree import Scalar, resolve

TEXT = """\
web: {image: {tag: a}}
worker:
  image: &i {tag: b}
list:
  - image: {tag: c}
  - image: *i
dotted.key: {"[x]": d}
"""
SEGMENTS = st.lists(
    st.one_of(st.text(min_size=1).filter(lambda text: text != "*"), st.integers(0, 99)), min_size=1
)


@given(SEGMENTS)
def test_what_is_formatted_is_read_back(segments: list[str | int]) -> None:
    path = tuple(segments)

    assert parse_key(format_path(path)) == path


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("web.image.tag", ["a"]),
        ("*.image.tag", ["a", "b"]),
        ("w*.image.tag", ["a", "b"]),
        ("list[0].image.tag", ["c"]),
        ("list[*].image.tag", ["c", "b"]),
        ("list.1.image.tag", ["b"]),
        (r"dotted\.key.\[x\]", ["d"]),
    ],
)
def test_a_key_leads_to_its_places(key: str, values: list[str]) -> None:
    nodes = [
        resolve(p.node)
        for p in find_places(Document.parse(TEXT.encode(), "f"), parse_key(key))
        if p.node
    ]

    assert [node.value for node in nodes if isinstance(node, Scalar)] == values


@pytest.mark.parametrize("key", ["a..b", ".a", "a.", "a[", "a]b", "a[x]", "a[0]b", "[", "a[-1]"])
def test_a_malformed_key(key: str) -> None:
    with pytest.raises(UsageError, match="malformed"):
        parse_key(key)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("web.imgae.tag", "no `imgae` in `web`"),
        ("wbe.image", "no `wbe`"),
        ("list[7].image", r"no `7` in `list`"),
        ("web.image.tag.more", "no `more` in `web.image.tag`"),
    ],
)
def test_a_key_that_leads_nowhere(key: str, message: str) -> None:
    with pytest.raises(PromoteError, match=message):
        find_places(Document.parse(TEXT.encode(), "f"), parse_key(key))
