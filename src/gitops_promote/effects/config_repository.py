"""What a promotion needs of a config repository, however it is reached."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gitops_promote.core.errors import PromoteError

if TYPE_CHECKING:
    from gitops_promote.core.snapshot import Snapshot
    from gitops_promote.inputs import Identity


class UnsuitedError(PromoteError):
    """This way of reaching the repository can't do it; another one may. Nothing was changed."""


class NoBranchError(PromoteError):
    """The repository has no such branch, or no default one."""


@dataclass(frozen=True, slots=True)
class Head:
    """A branch and the commit it stood at when it was fetched."""

    branch: str
    commit: str


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to make: the new content by path, and what it says of itself.

    A file keeps its mode; a new one gets 100644.
    """

    files: Mapping[str, bytes]
    message: str
    author: Identity
    committer: Identity


@dataclass(frozen=True, slots=True)
class Past:
    """A commit by which a branch went on from `parent`, the one before it on the branch.

    `time` is when the branch got it, in seconds since 1970. `messages` are its own and, of a merge,
    those of the commits that it brought, the newest first. `parent` is empty for the first one.
    `sure` tells whether it changed what was asked for, as far as anyone looked.
    """

    id: str
    time: int
    messages: tuple[str, ...]
    parent: str
    sure: bool = True


class ConfigRepository(Protocol):
    """A config repository, opened for the time of a `with` block.

    Nothing here merges, rebases or waits: who is too late gets a `MovedHeadError` and plans again.
    """

    def expect(self, paths: Collection[str]) -> None:
        """Say, before the first fetch, what is looked at on any branch, so that it comes with it.

        Args:
            paths: Files and folders; a folder's kustomization counts, too. They need not be there,
                and others may be looked at.
        """
        ...

    def fetch(self, branch: str) -> Head:
        """Find the newest commit of a branch.

        Args:
            branch: Its name. Empty: the default branch of the repository.

        Returns:
            The branch and its commit.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: The repository or branch does not exist, or access is refused.
        """
        ...

    def snapshot(self, commit: str) -> Snapshot:
        """Open the tree of a commit.

        Args:
            commit: Its id, as `fetch` gave it.

        Returns:
            The tree; it can be read until the `with` block ends.

        Raises:
            PromoteError: There is no such commit here, or it can't be read this way.
        """
        ...

    def push(self, head: Head, new: NewCommit) -> str:
        """Put a commit on top of a branch.

        Args:
            head: The branch, as fetched.
            new: The commit.

        Returns:
            The id of the new commit.

        Raises:
            MovedHeadError: Another commit came first; nothing was changed.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: The push was refused: by protection, a hook, or for lack of access.
        """
        ...

    def reset(self, branch: Head, base: Head, new: NewCommit) -> str:
        """Make a branch of our own hold the base and one commit on it, whatever it held.

        Args:
            branch: The branch and the commit that it must still hold; empty where there must be
                no such branch yet.
            base: The base, as fetched.
            new: The commit.

        Returns:
            The id of the new commit.

        Raises:
            MovedHeadError: The branch holds something else by now; nothing of it was changed.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        ...

    def delete(self, branch: Head) -> None:
        """Delete a branch of our own.

        Args:
            branch: The branch, and the commit that it must still hold. One that is gone is fine.

        Raises:
            MovedHeadError: The branch holds something else by now, and stays.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        ...

    def differences(self, branch: Head, since: str) -> frozenset[str]:
        """Compare a commit of a branch with one that it is on.

        Args:
            branch: The branch, and one of its last few commits.
            since: The id of a commit that is behind that one.

        Returns:
            The paths of the files that are not the same. Both snapshots can be opened then.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It can't be read this way.
        """
        ...

    def log(self, head: Head, path: str) -> Iterator[Past]:
        """List what happened to a file or folder on a branch, merges as what they brought.

        The branch is what counts: what was done on another one came with its merge.

        Args:
            head: The branch, as fetched.
            path: The file or folder; empty for all. It need not be there any more.

        Yields:
            The commits that may have changed it, the newest first, as far back as the branch goes;
            older ones are fetched when they are asked for.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It can't be read this way.
        """
        ...

    def messages(self, head: Head, path: str) -> Iterator[Past]:
        """List what was said of a file or folder on a branch: less exact than `log`, and quicker.

        Args:
            head: The branch, as fetched.
            path: The file or folder; empty for all.

        Yields:
            As `log` does. A commit that isn't `sure` may have changed something else.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It can't be read this way.
        """
        ...

    def read(self, commit: str, paths: Collection[str]) -> Mapping[str, bytes]:
        """Read files as they were at a commit that `log`, `messages` or `fetch` gave.

        Args:
            commit: The commit's id.
            paths: The files.

        Returns:
            The content of those that were regular files then.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It can't be read this way.
        """
        ...

    def signer(self, committer: Identity) -> Identity:
        """Whom a `Signed-off-by` of a commit made here must name.

        Args:
            committer: The committer that is asked for.

        Returns:
            Who will stand in the commit.

        Raises:
            PromoteError: It can't be found out.
        """
        ...


def no_branch(repository: str, branch: str, names: Sequence[str], count: int) -> NoBranchError:
    """Say that a repository lacks a branch, and which ones it has.

    Args:
        repository: The repository, as the user knows it.
        branch: The branch that isn't there.
        names: Its branches, sorted; where they are very many the first.
        count: How many it has.

    Returns:
        The error to raise.
    """
    from difflib import get_close_matches  # noqa: PLC0415  (slow to import, rarely needed)

    if not names:
        return NoBranchError(
            f"{repository} is empty: it has no commit yet.", "Push a first commit to it."
        )
    near = get_close_matches(branch, names, n=10, cutoff=0.5)
    listed = list(dict.fromkeys([*near, *names]))[:10]
    rest = f" and {count - len(listed)} more" if count > len(listed) else ""
    return NoBranchError(
        f"{repository} has no branch {branch}.",
        f"Name one of these in `config-ref`: {', '.join(listed)}{rest}.",
    )
