"""The default tag: immutable, and what a registry takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import UsageError
from gitops_promote.core.source import Source
from gitops_promote.core.tags import immutable_tag

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("ref", "tag"),
    [
        ("refs/tags/v1.2.3", "1.2.3"),
        ("refs/tags/1.2.3", "1.2.3"),
        ("refs/tags/v1.2.3-rc.1", "1.2.3-rc.1"),
        ("refs/tags/v1.2.3+build.5", "1.2.3-build.5"),
        ("refs/tags/v1.2", "0123456789ab-42"),
        ("refs/tags/v01.2.3", "0123456789ab-42"),
        ("refs/tags/latest", "0123456789ab-42"),
        ("refs/tags/vv1.2.3", "0123456789ab-42"),
        ("refs/heads/v1.2.3", "0123456789ab-42"),
        ("refs/pull/7/merge", "0123456789ab-42"),
        ("", "0123456789ab-42"),
    ],
)
def test_the_default_tag(ref: str, tag: str) -> None:
    assert immutable_tag(Source(commit=COMMIT, ref=ref, run_id="42")) == tag


def test_outside_of_a_run_it_is_the_commit_alone() -> None:
    assert immutable_tag(Source(commit=COMMIT)) == "0123456789ab"


def test_without_a_commit_there_is_none() -> None:
    with pytest.raises(UsageError, match="no commit"):
        immutable_tag(Source())


@given(st.text(max_size=140))
def test_any_ref_gives_a_tag_that_registries_take(name: str) -> None:
    try:
        tag = immutable_tag(Source(commit=COMMIT, ref=f"refs/tags/{name}", run_id="1"))
    except UsageError as error:
        assert "128" in str(error)  # noqa: PT017
    else:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag)


def test_a_version_too_long_for_a_tag() -> None:
    with pytest.raises(UsageError, match=r"v1\.0\.0-a.*has a tag of"):
        immutable_tag(Source(commit=COMMIT, ref="refs/tags/v1.0.0-" + "a" * 130))
