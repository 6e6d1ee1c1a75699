"""What stands for review already, and whether it may be replaced."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitops_promote.core.promoted import Promoted, read_promotion

_NOTE = "<!-- gitops-promote: "
_MARK = re.compile(rf"{_NOTE}(\S+) (\S+) ([^\n]*?) -->")


@dataclass(frozen=True, slots=True)
class BranchCommit:
    """A commit on a pull request's branch that the base doesn't have.

    `author` is the name of who wrote it, `parents` are the ids of the commits that it is on.
    """

    id: str
    message: str
    author: str
    parents: tuple[str, ...] = ()

    @property
    def is_merge(self) -> bool:
        """Whether it joins two lines of commits."""
        return len(self.parents) > 1


@dataclass(frozen=True, slots=True)
class PullRequest:
    """An open pull request, as far as it matters here. `node` is its id in GraphQL."""

    number: int
    url: str
    body: str
    base: str
    node: str = ""
    is_conflicting: bool = False
    auto_merge: str = ""
    labels: frozenset[str] = frozenset()
    assignees: frozenset[str] = frozenset()
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What stands for review: a branch, and its open pull request where there is one.

    `commit` is the branch's newest, empty where there is no such branch, and `message` that
    commit's. `commits` are those that the base doesn't have, newest first, as far as they had to be
    looked at; `is_whole` where none is left out. `is_over` where the branch is what a merged or
    closed pull request left behind.
    """

    branch: str
    commit: str = ""
    commits: tuple[BranchCommit, ...] = ()
    is_whole: bool = True
    is_over: bool = False
    pull_request: PullRequest | None = None
    message: str = ""

    @property
    def strangers(self) -> list[BranchCommit]:
        """The commits that don't say that they are ours; a merge of the base need not."""
        ids = {commit.id for commit in self.commits}
        found = [
            commit
            for commit in self.commits
            if (
                commit.parents[-1] in ids
                if commit.is_merge
                else read_promotion(commit.message) is None
            )
        ]
        return found or ([] if self.is_whole else list(self.commits[-1:]))

    @property
    def base(self) -> str:
        """The commit of the base that the branch is on; empty where it isn't known."""
        # Behind a merge of the base, that is what was merged.
        return self.commits[0].parents[-1] if self.commits and self.commits[0].parents else ""

    @property
    def promoted(self) -> Promoted | None:
        """What the branch promotes; None where it holds nothing of ours."""
        messages = [commit.message for commit in self.commits] or [self.message]
        return next(filter(None, map(read_promotion, messages)), None)


def mark(body: str, commit: str, version: str, wanted: str) -> str:
    """Note, where no reader sees it, what a pull request's text is about.

    A run that was killed in between left a text about another commit, or none; then the next one
    does the rest of its work.

    Args:
        body: The pull request's body.
        commit: The commit; empty as long as there is something left to do.
        version: What it promotes.
        wanted: What the inputs ask of a pull request, as a word: another one when they change.

    Returns:
        The body with the note.
    """
    # `>` would end the note, and no version has one.
    note = f"{commit or 'unfinished'} {wanted} {version or '-'}"
    return f"{body.rstrip()}\n\n{_NOTE}{note} -->\n"


def marked(body: str) -> tuple[str, str, str]:
    """Read such a note.

    Args:
        body: The pull request's body.

    Returns:
        The commit, what was wanted, and the version; all empty where there is no note.
    """
    # Somebody may have written below it.
    found = _MARK.match(body, max(body.rfind(_NOTE), 0))
    return (found[1], found[2], found[3]) if found else ("", "", "")
