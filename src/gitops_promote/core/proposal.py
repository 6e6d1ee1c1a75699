"""What stands for review already, and whether it may be replaced."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from gitops_promote.core.promoted import Promoted, read_promotion

_NOTE = "<!-- gitops-promote: "
_MARK = re.compile(rf"{_NOTE}(\S+) ([^\n]*?) -->")


@dataclass(frozen=True, slots=True)
class BranchCommit:
    """A commit on a pull request's branch that the base doesn't have.

    `committer` is the address of who committed it, `author` the name of who wrote it. `by_host`
    where the host itself committed it, on its web pages or through its API. `is_merge` where it has
    several parents.
    """

    id: str
    message: str
    author: str
    committer: str
    is_merge: bool = False
    by_host: bool = False


@dataclass(frozen=True, slots=True)
class PullRequest:
    """An open pull request, as far as it matters here. `node` is its id in GraphQL."""

    number: int
    url: str
    title: str
    body: str
    base: str
    node: str = ""
    is_draft: bool = False
    is_conflicting: bool = False
    auto_merge: str = ""
    labels: frozenset[str] = frozenset()
    assignees: frozenset[str] = frozenset()
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What stands for review: a branch, and its open pull request where there is one.

    `commit` is the branch's newest, empty where there is no such branch. `commits` are those that
    the base doesn't have, newest first, as far as they had to be looked at; `is_whole` where none
    is left out. `is_over` where the branch is what a merged or closed pull request left behind.
    """

    branch: str
    commit: str = ""
    commits: tuple[BranchCommit, ...] = ()
    is_whole: bool = True
    is_over: bool = False
    pull_request: PullRequest | None = None

    def strangers(self, machines: Collection[str]) -> list[BranchCommit]:
        """The commits that are not ours, so that replacing the branch would lose them.

        Args:
            machines: The addresses that commits of ours are committed by, where it isn't the host.

        Returns:
            The commits; a merge of the base by a button of the host's is nobody's work.
        """
        found = [commit for commit in self.commits if not _is_ours(commit, machines)]
        return found or ([] if self.is_whole else list(self.commits[-1:]))

    @property
    def promoted(self) -> Promoted | None:
        """What the branch promotes; None where it holds nothing of ours."""
        read = (read_promotion(commit.message) for commit in self.commits)
        return next(filter(None, read), None)


def mark(body: str, commit: str, version: str) -> str:
    """Note, where no reader sees it, which commit a pull request's text is about.

    A run that was killed in between left a text about another commit, or none; then the next one
    does the rest of its work.

    Args:
        body: The pull request's body.
        commit: The commit; empty as long as there is something left to do.
        version: What it promotes.

    Returns:
        The body with the note.
    """
    # `>` would end the note, and no version has one.
    note = f"{commit or 'unfinished'} {version or '-'}"
    return f"{body.rstrip()}\n\n{_NOTE}{note} -->\n"


def marked(body: str) -> tuple[str, str]:
    """Read such a note.

    Args:
        body: The pull request's body.

    Returns:
        The commit, and the version; both empty where there is no note.
    """
    # Somebody may have written below it.
    start = max(body.rfind(_NOTE), 0)
    found = _MARK.match(body, start)
    return (found[1], found[2]) if found else ("", "")


def _is_ours(commit: BranchCommit, machines: Collection[str]) -> bool:
    if not commit.by_host and commit.committer not in machines:
        return False
    return commit.is_merge or read_promotion(commit.message) is not None
