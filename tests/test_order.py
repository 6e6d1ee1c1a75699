"""Which of two versions is older."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitops_promote.core.order import Build, Comparison, compare
from gitops_promote.core.source import Source

SERVER, SHOP = "https://github.com", "acme/shop"
BY_VERSION = "by semantic versioning"
BY_COMMIT = "by the commits that they were built from"
BY_RUN = "by the runs that built them"
# The order of the commits of a repository, the oldest first.
COMMITS = ["1a2b3c4d" * 5, "2b3c4d5e" * 5, "3c4d5e6f" * 5]
OLD, NEW, NEWEST = COMMITS
TAGS = {"refs/tags/v1.4.1": OLD, "refs/tags/v1.4.2": NEW}


@dataclass
class Line:
    """A repository whose commits are in one line."""

    asked: list[tuple[Source, Sequence[str], Sequence[str]]] = field(default_factory=list)

    def __call__(self, repository: Source, one: Sequence[str], other: Sequence[str]) -> int | None:
        self.asked.append((repository, one, other))
        places = [next(filter(None, map(_place, names)), None) for names in (one, other)]
        first, second = places
        if first is None or second is None:
            return None
        return (first > second) - (first < second)


def _place(name: str) -> int | None:
    """The place of a commit in the line, from 1."""
    hash_ = TAGS.get(name, name)
    return next((n for n, it in enumerate(COMMITS, 1) if len(name) > 6 and it.startswith(hash_)), 0)


def built(
    version: str, commit: str = "", run: str = "", repository: str = SHOP, server: str = SERVER
) -> Build:
    return Build(
        version, Source(commit=commit, run_id=run, repository=repository, server_url=server)
    )


def bare(version: str) -> Build:
    return Build(version)


def nobody(repository: Source, one: Sequence[str], other: Sequence[str]) -> None:
    raise AssertionError((repository, one, other))


@pytest.mark.parametrize(
    ("one", "other", "order", "how"),
    [
        (bare("1.4.1"), bare("1.4.2"), -1, BY_VERSION),
        (bare("v1.4.1"), bare("1.10.0@sha256:abc"), -1, BY_VERSION),
        (bare("1.4.1-rc.2"), bare("1.4.1-rc.10"), -1, BY_VERSION),
        (bare("1.4.1-11870042117"), bare("1.4.1-9999"), 1, BY_VERSION),
        # Versions go before commits and runs, and tell of two repositories as well.
        (built("1.4.1", NEW, "2"), built("1.4.2", OLD, "1"), -1, BY_VERSION),
        (built("1.4.1", NEW), built("1.4.2", OLD, repository="acme/two"), -1, BY_VERSION),
        # Of one version it counts which was built later.
        (bare("1.4.1@sha256:a"), bare("1.4.1@sha256:b"), 0, BY_COMMIT),
        (bare("1.5.1@sha256:a"), bare("1.5.1@sha256:b"), 0, BY_VERSION),
        (bare("1.5.1"), bare("v1.5.1"), 0, BY_VERSION),
        (built("1.4.1@sha256:a", OLD), built("1.4.1@sha256:b", NEW), -1, BY_COMMIT),
        (built("1.5.1@sha256:a", "", "2"), built("1.5.1@sha256:b", "", "1"), 1, BY_RUN),
        # What isn't a semantic version.
        (bare("1.4"), bare("1.5"), None, ""),
        (bare("1.04.1"), bare("1.4.2"), None, ""),
        (bare("1.4.1"), bare("latest"), None, ""),
        (bare("\u0661.4.1"), bare("1.4.2"), None, ""),
        (bare(f"{'9' * 5000}.0.0"), bare("1.4.2"), None, ""),
        (bare("main"), bare("latest"), None, ""),
        (bare(""), bare("1.4.1"), None, ""),
        # Commits: of tags, of the builds, of version tags.
        (bare("1a2b3c4"), bare("sha-2b3c4d5"), -1, BY_COMMIT),
        (bare("main-2b3c4d5"), built("latest", OLD), 1, BY_COMMIT),
        (built("latest@sha256:a", OLD), built("latest@sha256:b", NEW), -1, BY_COMMIT),
        (bare("1.4.1"), built("latest", NEW), -1, BY_COMMIT),
        (built("main", OLD), bare("1.4.2"), -1, BY_COMMIT),
        (bare("20240501"), bare("20240502"), None, ""),
        (bare("20240501@sha256:a"), bare("20240501@sha256:b"), None, ""),
        # As long as a hash, with `refs/tags/v` before it.
        (bare(f"1.4.{'1' * 25}@sha256:a"), bare(f"1.4.{'1' * 25}@sha256:b"), None, ""),
        # A commit can be built again.
        (bare("1a2b3c4-41"), bare("1a2b3c4-42"), -1, BY_RUN),
        (built("a", OLD, "42"), built("b", OLD, "42"), 0, BY_RUN),
        (built("a", OLD, "42"), built("b", OLD), 0, BY_COMMIT),
        (built("a", OLD, "42"), built("b", OLD, "41"), 1, BY_RUN),
        # Commits go before runs: an older run may have been started again.
        (bare("1a2b3c4-42"), bare("2b3c4d5-41"), -1, BY_COMMIT),
        (built("a", OLD, "42"), built("b", NEW, "41"), -1, BY_COMMIT),
        # Runs, where nobody knows the commits.
        (bare("abcdef1-9"), bare("fedcba9-10"), -1, BY_RUN),
        (bare("abcdef1-9"), bare("fedcba9-9"), None, ""),
        (bare("abcdef1-9"), bare("abcdef1dd-9"), 0, BY_RUN),
        (bare("abcdef1-9"), bare("fedcba9"), None, ""),
        (built("a", "", "9"), built("b", "", "10"), -1, BY_RUN),
        # A tag tells the run that built it, a source maybe the one that deployed it.
        (built("abcdef1-9", "", "30"), built("fedcba9-10", "", "20"), -1, BY_RUN),
        (built("abcdef1-9", "", "30"), built("abcdef1-10", "", "20"), -1, BY_RUN),
        (built("abcdef1-9@sha256:a", "", "30"), built("abcdef1-9", "", "20"), 0, BY_RUN),
        (built("abcdef1-9", "", "30"), built("b", "", "20"), 1, BY_RUN),
        # Here it tells none, as one run builds one commit.
        (built("abcdef1-9", "", "30"), built("fedcba9-9", "", "20"), 1, BY_RUN),
        (built("a", "", "9"), built("b", "", "x"), None, ""),
        (built("a", "", "9"), built("b", "", "\u0661"), None, ""),
        (built("a", "", "9"), built("b", "", "9" * 5000), None, ""),
        (built("a", "", "9"), built("b", "", "10", "", ""), None, ""),
        # Two repositories have nothing in common.
        (built("a", OLD, "9"), built("b", NEW, "10", "acme/two"), None, ""),
        (built("a", OLD, "9"), built("b", NEW, "10", SHOP, "https://ghe.example"), None, ""),
        (built("abcdef1-9"), built("fedcba9-10", repository="acme/two"), None, ""),
        (built("a", OLD), built("b", NEW, repository="Acme/Shop"), -1, BY_COMMIT),
    ],
)
def test_the_order_of_two(one: Build, other: Build, order: int | None, how: str) -> None:
    assert compare(one, other, Line()) == Comparison(order, how)
    assert compare(other, one, Line()) == Comparison(None if order is None else -order, how)


@pytest.mark.parametrize("version", ["1.4.1", "latest", "1a2b3c4-42", "sha256:abc", ""])
def test_one_version_is_itself(version: str) -> None:
    found = compare(built(version, OLD, "1"), built(version, NEW, "2"), nobody)

    assert found == Comparison(0, "by their names")


@pytest.mark.parametrize(
    "versions",
    [
        # "Semantic Versioning 2.0.0", 11.2, 11.3 and 11.4.
        "1.0.0 2.0.0 2.1.0 2.1.1",
        "1.0.0-alpha 1.0.0",
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11",
        "1.0.0-beta.11 1.0.0-rc.1 1.0.0",
    ],
)
def test_the_examples_of_semantic_versioning(versions: str) -> None:
    for older, newer in combinations(map(bare, versions.split()), 2):
        assert compare(older, newer, nobody) == Comparison(-1, BY_VERSION)
        assert compare(newer, older, nobody) == Comparison(1, BY_VERSION)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.5.0-rc9", "1.5.0-rc10"),
        ("v1.5.0-r9", "1.5.0-r10"),
        ("1.5.0-beta2", "1.5.0-beta10@sha256:a"),
        ("1.5.0-SNAPSHOT-9", "1.5.0-SNAPSHOT-10"),
        ("1.5.0-20240501-9", "1.5.0-20240501-10"),
        ("1.5.0-rc09", "1.5.0-rc10"),
        ("1.5.0-rc9", "1.5.0-rc10+build.1"),
        (f"1.5.0-rc9{'0' * 200}", f"1.5.0-rc10{'0' * 200}"),
        # Only what differs first counts.
        ("1.5.0-a.rc9", "1.5.0-a.rc10"),
        ("1.5.0-rc9.b", "1.5.0-rc10.a"),
        ("1.5.0-rc9.1.2", "1.5.0-rc10"),
        ("1.5.0-alpha.rc10", "1.5.0-beta.rc9"),
        ("1.5.0-rc9.9.abcdef1", "1.5.0-rc10.1.fedcba9"),
        ("1.5.0-rc10", "1.5.1-rc9"),
        ("1.5.0-rc10", "1.10.0-rc9"),
        ("1.5.0-rc10", "1.5.0"),
    ],
)
def test_a_number_behind_the_same_letters_counts(older: str, newer: str) -> None:
    assert compare(bare(older), bare(newer), nobody) == Comparison(-1, BY_VERSION)
    assert compare(bare(newer), bare(older), nobody) == Comparison(1, BY_VERSION)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.5.0-RC10", "1.5.0-rc9"),
        ("1.5.0-beta10", "1.5.0-rc9"),
        ("1.5.0-rc10x", "1.5.0-rc9x"),
        ("1.5.0-rc", "1.5.0-rc9"),
        ("1.5.0-rc09", "1.5.0-rc9"),
        ("1.5.0-10", "1.5.0-rc9"),
        ("1.5.0-rc.10", "1.5.0-rc9"),
    ],
)
def test_any_other_identifier_is_a_text(older: str, newer: str) -> None:
    assert compare(bare(older), bare(newer), nobody) == Comparison(-1, BY_VERSION)
    assert compare(bare(newer), bare(older), nobody) == Comparison(1, BY_VERSION)


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("1.5.0-dev.abcdef1", "1.5.0-dev.fedcba9", None),
        ("0.0.0-abcdef1", "0.0.0-fedcba9", None),
        ("1.5.0-9-gabcdef1", "1.5.0-10-gfedcba9", None),
        ("1.5.0-9-gabcdef1", "1.5.0", None),
        ("1.5.0-rc.1-9-gabcdef1", "1.5.0-rc.1", None),
        ("1.5.0-dev.abcdef1", "1.5.0-dev.7", None),
        ("1.5.0-dev.abcdef1", "1.5.0-dev", None),
        # What stands before the hash still tells.
        ("1.5.0-9-gabcdef1", "1.5.1-1-gfedcba9", -1),
        ("1.5.0-alpha.fedcba9", "1.5.0-beta.abcdef1", -1),
        ("1.5.0-dev.3.fedcba9", "1.5.0-dev.20.abcdef1", -1),
        ("1.5.0-dev.20240501", "1.5.0-dev.20240502", -1),
    ],
)
def test_a_hash_in_a_version_has_no_order(one: str, other: str, order: int | None) -> None:
    found = compare(bare(one), bare(other), Line())

    assert found == Comparison(order, "" if order is None else BY_VERSION)


def test_a_hash_in_a_version_is_a_commit() -> None:
    found = compare(bare("1.5.0-10-g1a2b3c4"), bare("1.5.0-9-g2b3c4d5"), Line())

    assert found == Comparison(-1, BY_COMMIT)


def test_the_names_are_asked_for_in_the_repository_that_is_known() -> None:
    line = Line()
    source = Source(commit=NEW, repository=SHOP, server_url=SERVER, run_id="42", actor="octocat")

    compare(bare("1.4.1"), Build("2b3c4d5-42", source), line, "shop")

    place = Source(repository=SHOP, server_url=SERVER)
    tags = [f"shop{mark}{v}1.4.1" for v in ("v", "") for mark in "/-@"] + ["v1.4.1", "1.4.1"]
    assert line.asked == [(place, tuple(f"refs/tags/{tag}" for tag in tags), (NEW,))]


@pytest.mark.parametrize("version", ["latest", "main"])
def test_one_commit_is_not_asked_for(version: str) -> None:
    found = compare(built("a", OLD), built(version, OLD), nobody)

    assert found == Comparison(0, BY_COMMIT)


@pytest.mark.parametrize(
    ("one", "other"),
    [(built("latest", OLD), bare("main")), (bare("latest"), built("main", OLD))],
)
def test_a_version_without_a_commit_is_not_asked_for(one: Build, other: Build) -> None:
    assert compare(one, other, nobody) == Comparison(None)


_VERSIONS = st.one_of(
    st.text(max_size=20),
    st.from_regex(r"v?[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}(-[0-9a-g.-]{0,9})?", fullmatch=True),
    st.from_regex(r"1\.5\.0-(rc|r)[0-9]{0,3}(\.(rc|b-)?[0-9]{1,2}){0,2}", fullmatch=True),
    st.builds(
        "{}{}{}".format,
        st.sampled_from([it[:7] for it in COMMITS] + ["1.4.1", "shop", "main-2b3c4d5", "0abcdef"]),
        st.sampled_from(["", "-1", "-2", "-30"]),
        st.sampled_from(["", "@sha256:a", "@sha256:b"]),
    ),
)
_BUILDS = st.builds(
    built,
    _VERSIONS,
    st.sampled_from(["", *COMMITS]),
    st.one_of(st.sampled_from(["", "1", "2", "30"]), st.text(max_size=3)),
    st.sampled_from(["", SHOP, "acme/two"]),
    st.sampled_from(["", SERVER]),
)


@given(_BUILDS, _BUILDS)
@example(bare("1.0.0-0abcdef"), bare("1.0.0-0"))
def test_either_way_round_says_the_same(one: Build, other: Build) -> None:
    forth, back = compare(one, other, Line()), compare(other, one, Line())

    assert back.how == forth.how
    assert back.order == (None if forth.order is None else -forth.order)
    assert forth.order in (-1, 0, 1, None)
    assert bool(forth.how) == (forth.order is not None)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_is_too_much(one: str, other: str, commit: str, app: str) -> None:
    compare(built(one, commit, other), built(other, one, commit), Line(), app)
    compare(built(f"1.0.0-{one}"), built(f"1.0.0-{other}"), Line(), app)
