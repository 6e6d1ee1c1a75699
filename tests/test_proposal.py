"""What stands for review already, and whether it may be replaced."""

from __future__ import annotations

import pytest

from gitops_promote.core.review.proposal import (
    BranchCommit,
    Proposal,
    fingerprint,
    mark,
    marked,
    read_seal,
    seal,
)

BASE = "b" * 40
FILES = {"a.yaml": b"1", "b.yaml": b"2"}
TEXT = "Promote shop to 1.5.0 in prod\n\nPromoted-Image: ghcr.io/acme/shop 1.4.1 -> 1.5.0\n"
OURS = seal(TEXT, "b", BASE, FILES)
MINE = BranchCommit("1", OURS, "Octo Cat", (BASE,))
MERGE = BranchCommit("2", "Merge branch 'main'", "Ann", ("1", "newer"))
WORK = BranchCommit("3", "Add a replica", "Ann", ("1",))


def strangers(*commits: BranchCommit, is_whole: bool = True) -> list[str]:
    proposal = Proposal("b", commits[0].id if commits else "", commits, is_whole)
    return [commit.id for commit in proposal.strangers]


def test_a_commit_of_ours_may_be_replaced() -> None:
    assert strangers(MINE) == []
    assert strangers() == []


def test_a_merge_of_the_base_may_be_replaced() -> None:
    assert strangers(MERGE, MINE) == []


def test_the_work_of_people_may_not() -> None:
    assert strangers(WORK, MINE) == ["3"]


def test_neither_may_a_merge_of_something_else() -> None:
    feature = BranchCommit("4", OURS, "Ann", (BASE,))
    merge = BranchCommit("5", "Merge branch 'feature'", "Ann", ("1", "4"))

    assert strangers(merge, feature, MINE) == ["5", "1"]


def test_neither_may_a_promotion_that_was_made_for_another_branch() -> None:
    pushed = BranchCommit("6", TEXT, "Octo Cat", (BASE,))
    other = BranchCommit("7", seal(TEXT, "other", BASE, FILES), "Octo Cat", (BASE,))

    assert strangers(pushed) == ["6"]
    assert strangers(other) == ["7"]


def test_neither_may_one_that_is_on_nothing() -> None:
    assert strangers(BranchCommit("9", OURS, "Ann")) == ["9"]


def test_where_nobody_knows_the_base_ours_is_on_what_it_was_made_on() -> None:
    moved = BranchCommit("8", OURS, "Ann", ("somewhere",))

    assert Proposal("b", "1", (MINE,), knows_base=False).strangers == []
    assert Proposal("b", "8", (moved,), knows_base=False).strangers == [moved]
    assert Proposal("b", "8", (moved,)).strangers == []


def test_a_seal_is_read_back() -> None:
    sealed = read_seal(OURS)

    assert sealed is not None
    assert (sealed.branch, sealed.base, sealed.files) == ("b", BASE, fingerprint(FILES))
    assert read_seal(TEXT) is None


def test_files_are_told_from_all_others() -> None:
    others = ({"a.yaml": b"1"}, {**FILES, "c.yaml": b""}, {"a.yaml": b"2", "b.yaml": b"1"})

    assert fingerprint(FILES) not in map(fingerprint, others)
    assert fingerprint(dict(reversed(FILES.items()))) == fingerprint(FILES)


def test_neither_may_what_is_too_much_to_look_at() -> None:
    assert strangers(MERGE, MINE, is_whole=False) == ["1"]


def test_what_is_promoted_is_read_from_our_commit() -> None:
    promoted = Proposal("b", "2", (MERGE, MINE)).promoted

    assert promoted is not None
    assert promoted.version == "1.5.0"
    assert Proposal("b", "1", message=OURS).promoted == promoted
    assert Proposal("b").promoted is None


def test_the_base_that_it_is_on() -> None:
    assert Proposal("b", "1", (MINE,)).base == BASE
    assert Proposal("b", "2", (MERGE, MINE)).base == "newer"
    assert Proposal("b", "1").base == ""


@pytest.mark.parametrize("version", ["1.5.0", "1--2", "", "web 1, worker 2"])
@pytest.mark.parametrize("commit", ["a" * 40, ""])
def test_a_note_is_read_back_as_the_host_stores_it(commit: str, version: str) -> None:
    body = mark("Some text\n", commit, version, "word").replace("\n", "\r\n").rstrip()

    assert marked(body) == (commit or "unfinished", "word", version or "-")


def test_a_note_stays_one_when_somebody_writes_below_it() -> None:
    body = mark("x", "a" * 40, "1", "one")

    assert marked(body + "Mind the cache.\n") == ("a" * 40, "one", "1")
    assert marked(body + mark("y", "b" * 40, "2", "two")) == ("b" * 40, "two", "2")
    assert marked("") == marked("<!-- gitops-promote: ") == ("", "", "")
