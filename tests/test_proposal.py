"""What stands for review already, and whether it may be replaced."""

from __future__ import annotations

import pytest

from gitops_promote.core.proposal import BranchCommit, Proposal, mark, marked

OURS = "Promote shop to 1.5.0 in prod\n\nPromoted-Image: ghcr.io/acme/shop 1.4.1 -> 1.5.0\n"
WEB = "noreply@github.com"
MACHINES = {WEB, "bot@example.com"}
MINE = BranchCommit("1", OURS, "Octo Cat", "bot@example.com")
MERGE = BranchCommit("2", "Merge branch 'main'", "Ann", WEB, is_merge=True)


def strangers(*commits: BranchCommit, is_whole: bool = True) -> list[str]:
    proposal = Proposal("b", commits[0].id if commits else "", commits, is_whole)
    return [commit.id for commit in proposal.strangers(MACHINES)]


def test_a_commit_of_ours_may_be_replaced() -> None:
    assert strangers(MINE) == []
    assert strangers() == []


def test_a_merge_of_the_base_by_a_button_may_be_replaced() -> None:
    assert strangers(MERGE, MINE) == []


@pytest.mark.parametrize(
    "commit",
    [
        BranchCommit("3", "Add a replica", "Ann", "ann@example.com"),
        BranchCommit("3", "Update kustomization.yaml", "Ann", WEB),
        BranchCommit("3", OURS, "Octo Cat", "ann@example.com"),
        BranchCommit("3", "Merge branch 'feature'", "Ann", "ann@example.com", is_merge=True),
    ],
    ids=["pushed", "edited on the web", "ours, amended", "merged by hand"],
)
def test_the_work_of_people_may_not(commit: BranchCommit) -> None:
    assert strangers(commit, MINE) == ["3"]


def test_neither_may_what_is_too_much_to_look_at() -> None:
    assert strangers(MERGE, MINE, is_whole=False) == ["1"]


def test_what_is_promoted_is_read_from_our_commit() -> None:
    promoted = Proposal("b", "2", (MERGE, MINE)).promoted

    assert promoted is not None
    assert promoted.version == "1.5.0"
    assert Proposal("b").promoted is None


@pytest.mark.parametrize("version", ["1.5.0", "1--2", "", "web 1, worker 2"])
@pytest.mark.parametrize("commit", ["a" * 40, ""])
def test_a_note_is_read_back_as_the_host_stores_it(commit: str, version: str) -> None:
    body = mark("Some text\n", commit, version).replace("\n", "\r\n").rstrip()

    assert marked(body) == (commit or "unfinished", version or "-")


def test_a_note_stays_one_when_somebody_writes_below_it() -> None:
    assert marked(mark("x", "a" * 40, "1") + "Mind the cache.\n") == ("a" * 40, "1")
    assert marked(mark("x", "a" * 40, "1") + mark("y", "b" * 40, "2")) == ("b" * 40, "2")
    assert marked("") == marked("<!-- gitops-promote: ") == ("", "")


def test_what_the_host_committed_may_be_ours_whatever_its_address() -> None:
    ours = BranchCommit("1", OURS, "Octo Cat", "web@ghe.example.com", by_host=True)
    edited = BranchCommit("3", "Update x.yaml", "Ann", "web@ghe.example.com", by_host=True)

    assert strangers(ours) == []
    assert strangers(edited, ours) == ["3"]
