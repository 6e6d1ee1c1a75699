"""What stands for review already, and whether it may be replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_promote.core.promoted import Promoted

_SEAL = re.compile(
    r"^Promotion-Branch: (\S+) ([0-9a-f]{40,64}) ([0-9a-f]{32})$", re.MULTILINE | re.ASCII
)
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
    closed pull request left behind. Without `knows_base` nobody told what the base has, and a
    commit may be on somebody's work.
    """

    branch: str
    commit: str = ""
    commits: tuple[BranchCommit, ...] = ()
    is_whole: bool = True
    is_over: bool = False
    pull_request: PullRequest | None = None
    message: str = ""
    knows_base: bool = True

    @property
    def ours(self) -> BranchCommit | None:
        """The commit that a promotion made for this branch."""
        return next(filter(self._is_ours, self.commits), None)

    @property
    def is_ours(self) -> bool:
        """Whether a promotion has made the branch, whatever came on top."""
        messages = (self.message, *(commit.message for commit in self.commits))
        seals = filter(None, map(read_seal, messages))
        return any(seal.branch == self.branch for seal in seals)

    @property
    def strangers(self) -> list[BranchCommit]:
        """The commits that no promotion made for this branch; a merge of the base is no work."""
        ids, ours = {commit.id for commit in self.commits}, self.ours
        found = [
            commit
            for commit in self.commits
            if (commit.parents[-1] in ids if commit.is_merge else commit is not ours)
        ]
        return found or ([] if self.is_whole else list(self.commits[-1:]))

    def _is_ours(self, commit: BranchCommit) -> bool:
        seal = read_seal(commit.message)
        if len(commit.parents) != 1 or seal is None or seal.branch != self.branch:
            return False
        return self.knows_base or commit.parents == (seal.base,)

    @property
    def base(self) -> str:
        """The commit of the base that the branch is on; empty where it isn't known."""
        # Behind a merge of the base, that is what was merged.
        return self.commits[0].parents[-1] if self.commits and self.commits[0].parents else ""

    @property
    def promoted(self) -> Promoted | None:
        """What the branch promotes; None where it holds nothing of ours."""
        from gitops_promote.core.promoted import read_promotion  # noqa: PLC0415  (start-up time)

        messages = [commit.message for commit in self.commits] or [self.message]
        return next(filter(None, map(read_promotion, messages)), None)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a promotion's commit says of itself, so that it is known again, and whether it is whole.

    `branch` is the pull request's, `base` the commit that it was made on, `files` the fingerprint
    of what it wrote.
    """

    branch: str
    base: str
    files: str


def seal(message: str, branch: str, base: str, files: Mapping[str, bytes]) -> str:
    """Write a commit's seal behind its trailers.

    Args:
        message: The commit's message.
        branch: The pull request's branch.
        base: The commit that it is made on.
        files: What it writes, by path.

    Returns:
        The message with one more trailer.
    """
    return f"{message.rstrip()}\nPromotion-Branch: {branch} {base} {fingerprint(files)}\n"


def read_seal(message: str) -> Seal | None:
    """Read a commit's seal.

    Args:
        message: The commit's message.

    Returns:
        The seal; None where there is none.
    """
    found = _SEAL.search(message.rstrip().rpartition("\n\n")[2])
    return Seal(found[1], found[2], found[3]) if found else None


def fingerprint(files: Mapping[str, bytes]) -> str:
    """Tell files apart from any others.

    Args:
        files: Contents by path.

    Returns:
        Hexadecimal digits.
    """
    from hashlib import sha256  # noqa: PLC0415  (only a review needs it)

    whole = sha256()
    for path, content in sorted(files.items()):
        whole.update(path.encode("utf-8", "surrogateescape") + b"\0" + sha256(content).digest())
    return whole.hexdigest()[:32]


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
