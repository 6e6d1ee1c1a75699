"""The config repository, by the real git command: fetch, read, commit and push, with no work tree.

Everything happens in private bare repositories of the newest commits, so neither the caller's
checkout nor their hooks, filters and line-ending settings have a part in it. What a promotion reads
is in the first; what was said before, which nobody needs the files for, comes with another at the
same time.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, final

from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.effects.config_repository import Head, NewCommit, NoBranchError, no_branch
from gitops_promote.effects.git.errors import GitError
from gitops_promote.effects.git.partial_clone import (
    NO_FILES,
    NO_TREES,
    NOT_BY_ID,
    TWO_LEVELS,
    PartialClone,
)
from gitops_promote.effects.git.past import DEPTHS, MESSAGES, History, in_background
from gitops_promote.effects.git.private_folder import PrivateFolder
from gitops_promote.effects.git.remote import Credentials, resolve_url
from gitops_promote.effects.tree import Tree, check_writable, differing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from threading import Thread

    from gitops_promote.core.review.proposal import Proposal
    from gitops_promote.core.snapshot import Snapshot
    from gitops_promote.effects.config_repository import Past
    from gitops_promote.effects.git.traffic import Traffic
    from gitops_promote.effects.timings import Meter
    from gitops_promote.effects.tree import Entry
    from gitops_promote.inputs import Identity

__all__ = ["Credentials", "GitRepository", "Head", "resolve_url"]


@final
class GitRepository:
    """A config repository, opened for the time of a `with` block.

    What is fetched, and the private key, live in a temporary folder that only this user can read
    and that the end of the block removes.

    Args:
        url: What `resolve_url` gives.
        credentials: What opens it.
        environ: The caller's environment; None: that of this process.
        timeout: Seconds that one git command may take.
        tell: Is told of what takes long.
        meter: Is told what is moved over the network.

    Raises:
        UsageError: The URL has a form or transport that is not supported.
        PromoteError: The token may not be sent to this URL, or there is no git.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        environ: Mapping[str, str] | None = None,
        *,
        timeout: float = 120,
        tell: Callable[[str], None] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._private = PrivateFolder(url, credentials, environ, timeout)
        if meter:
            self._private.meter = lambda *moved: self._count(meter, *moved)
        self._remote = self._private.remote
        self._tell = tell

    def __enter__(self) -> GitRepository:
        self._private.open()
        # From another folder of this machine all of it comes as fast as a part.
        is_far = self._remote.scheme != "file"
        self._clone = self._make("repository.git", *((TWO_LEVELS, NO_FILES) if is_far else ()))
        self._own = History(self._private, self._clone, self._tell, 1 if is_far else DEPTHS[0])
        self._said = self._history("messages.git", MESSAGES, NO_TREES, NO_FILES)
        self._done = self._history("history.git", DEPTHS[0], NO_FILES)
        self._default_branch = ""
        self._first: Thread | None = None
        self._failure: GitError | RetryableError | None = None
        return self

    def __exit__(self, *error: object) -> None:
        self._private.stop()
        self._take_first()
        self._said.wait()
        for clone in (self._clone, self._said.clone, self._done.clone):
            clone.close()
        self._private.close()

    def begin(self) -> None:
        """Fetch the default branch, which is the first to be asked for, while other things load."""

        def first() -> None:
            try:
                self._fetch("")
            except (GitError, RetryableError) as failure:
                self._failure = failure

        self._first = in_background(first)

    def _take_first(self) -> bool:
        """Whether the default branch is here as `begin` has just fetched it."""
        if self._first is None:
            return False
        self._first.join()
        self._first = None
        return self._clone.is_made

    def expect(self, paths: Collection[str]) -> None:
        """As `ConfigRepository.expect` says; git asks for folders, whatever files they have."""

    def fetch(self, branch: str) -> Head:
        """As `ConfigRepository.fetch` says."""
        branch = branch or self._default_branch
        is_here = self._take_first() and not branch
        try:
            if self._failure and not branch:
                raise self._failure
            if not is_here:
                self._fetch(branch)
        except GitError as failure:
            if "find remote ref" in failure.own or "Remote branch" in failure.own:
                raise self._no_branch(branch) from None
            raise self._private.explain(failure, branch) from None
        finally:
            self._failure = None  # whoever asks again is to be answered anew
        if not self._clone.is_partial:
            self._said.stop()  # it would be all files once more
        if not branch:
            branch = self._default_branch = self._remote_head()
        commit = self._clone.resolve(f"refs/heads/{branch}")
        if not commit:
            raise self._no_branch(branch)
        return Head(branch, commit)

    def _fetch(self, branch: str) -> None:
        # Where somebody may be asked to let git in, not twice at once.
        at_once = self._clone.is_made or not self._private.may_ask
        if at_once and self._clone.is_partial:
            self._said.begin(branch)
        if self._clone.is_made:
            name = f"refs/heads/{branch}"
            self._clone.fetch(name, name, self._own.depth)
        else:
            self._clone.clone(branch, self._own.depth)
        if not at_once and self._clone.is_partial:
            self._said.begin(branch)

    def snapshot(self, commit: str) -> Snapshot:
        """As `ConfigRepository.snapshot` says."""
        return Tree(_Files(self._clone, commit))

    def commit(
        self,
        parent: str,
        files: Mapping[str, bytes],
        message: str,
        author: Identity,
        committer: Identity,
        *,
        when: int | None = None,
    ) -> str:
        """Make a commit that writes some files, and nothing else, on top of another.

        `git fast-import` takes the bytes as they are: no filter, line-ending setting, hook or
        signing applies. The same arguments give the same commit.

        Args:
            parent: The commit to start from.
            files: The new content by path. A file keeps its mode; a new one gets 100644.
            message: The commit message.
            author: Its author.
            committer: Its committer.
            when: The seconds since 1970 that both are dated with. None: now.

        Returns:
            The id of the new commit.

        Raises:
            ValueError: A path leaves the tree, or a symlink, folder or submodule stands there.
            PromoteError: git could not write it, as on a full disk.
        """
        for path in files:
            check_writable(lambda name: self._clone.find(parent, name), path)
        date = f"{int(time.time()) if when is None else when} +0000"
        text = (message.strip("\n") + "\n").encode("utf-8", "surrogateescape")
        stream = [
            b"commit refs/promotion\nmark :1\n",
            f"author {author} {date}\ncommitter {committer} {date}\n".encode(),
            _data(text),
            f"from {parent}\n".encode(),
        ]
        for path, content in sorted(files.items()):
            there = self._clone.find(parent, path)
            mode = there.mode if there else "100644"
            stream += [f"M {mode} inline ".encode(), _quoted(path), b"\n", _data(content)]
        stream.append(b"get-mark :1\n")
        try:
            answer = self._clone.run("fast-import", "--quiet", "--force", data=b"".join(stream))
        except GitError as failure:
            raise self._private.explain(failure, "") from None
        return answer.strip()

    def push(self, head: Head, new: NewCommit) -> str:
        """As `ConfigRepository.push` says; a fast-forward, of the very commit that was fetched."""
        commit = self.commit(head.commit, new.files, new.message, new.author, new.committer)
        # Without the lease, a branch that was moved back or deleted meanwhile would come back.
        self.send(commit, head, _lease(head))
        return commit

    def reset(self, branch: Head, base: Head, new: NewCommit) -> str:
        """As `ConfigRepository.reset` says; the one push here that may go back."""
        commit = self.commit(base.commit, new.files, new.message, new.author, new.committer)
        # Without a `+`, which would push even where the branch isn't at that commit any more.
        self.send(commit, branch, _lease(branch))
        return commit

    def delete(self, branch: Head) -> None:
        """As `ConfigRepository.delete` says."""
        try:
            self.send("", branch, _lease(branch))
        except PromoteError as error:
            try:
                is_gone = branch.branch not in self._branches()
            except GitError:
                raise error from None
            if not is_gone:
                raise

    def proposal(self, branch: str, base: Head) -> Proposal:
        """Find what stands for review on a branch, where no host has pull requests to ask for.

        Args:
            branch: The branch's name.
            base: The branch that it is to be merged into, as fetched.

        Returns:
            The branch with its newest commit: behind one of ours there is the base.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: Access is refused.
        """
        from gitops_promote.core.review.proposal import (  # noqa: PLC0415  (start-up time)
            BranchCommit,
            Proposal,
        )

        try:
            if branch not in self._branches():
                return Proposal(branch)
        except GitError as failure:
            raise self._private.explain(failure, branch) from None
        history = self._history_for_messages()
        history.ensure(base)
        name = f"refs/heads/{branch}"
        try:
            history.clone.fetch(name, name, history.depth)
            form = "--format=%H%x00%an%x00%P%x00%B"
            how = ("--max-count=1", "--encoding=UTF-8", form)
            listing = history.clone.run("rev-list", *how, name, "--")
            ahead = history.clone.run("rev-list", "--max-count=1", name, f"^{base.commit}", "--")
        except GitError as failure:
            raise self._private.explain(failure, branch) from None
        commit, author, parents, message = listing.partition("\n")[2].split("\0")
        newest = BranchCommit(commit, message, author, tuple(parents.split()))
        commits = (newest,) if ahead else ()
        return Proposal(
            branch=branch,
            commit=commit,
            commits=commits,
            # Of a merge it can't be told here whether it is one of the base.
            is_whole=not newest.is_merge,
            message=message,
            knows_base=False,
        )

    def differences(self, branch: Head, since: str) -> frozenset[str]:
        """As `ConfigRepository.differences` says."""
        for commit in (branch.commit, since):
            self._have(commit, branch.branch)
        return differing(self._clone.below(since, ""), self._clone.below(branch.commit, ""))

    def log(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.log` says."""
        return (self._done if self._clone.is_partial else self._own).log(head, path)

    def messages(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.messages` says: without a look at the files."""
        return self._history_for_messages().log(head, path)

    def read(self, commit: str, paths: Collection[str]) -> Mapping[str, bytes]:
        """As `ConfigRepository.read` says."""
        clone = self._done.clone
        if not (clone.is_made and clone.has(commit)):
            clone = self._clone
            self._have(commit)
        clone.expect(commit, paths)
        entries = ((path, clone.find(commit, path)) for path in paths)
        files = (path for path, entry in entries if entry and entry.kind == "file")
        return {path: clone.read(commit, path) for path in files}

    def signer(self, committer: Identity) -> Identity:
        """As `ConfigRepository.signer` says: whom git names."""
        return committer

    def send(self, commit: str, head: Head, *options: str) -> None:
        """Push a commit to its branch.

        Args:
            commit: What `commit` returned. Empty, the branch is deleted.
            head: The branch, as fetched.
            *options: Further options of git-push(1).

        Raises:
            MovedHeadError: Another commit came first; nothing was changed.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: The push was refused: by protection, a hook, or for lack of access.
        """
        usual = ["--porcelain", "--no-verify", "--no-signed", "--no-follow-tags"]
        usual += ["--recurse-submodules=no"]
        target = f"{commit}:refs/heads/{head.branch}"
        try:
            self._clone.run("push", *usual, *options, "--", self._remote.url, target)
        except (GitError, RetryableError) as failure:
            error: PromoteError
            is_sent = True
            if isinstance(failure, GitError):
                error, is_sent = self._private.explain(failure, head.branch), not failure.is_unsent
            else:
                error = failure
            # Where only the answer was lost, the change is in place; https may even have sent it
            # again, and found the branch moved.
            may_be_there = is_sent and isinstance(error, RetryableError)
            if not (may_be_there and self._arrived(commit, head)):
                raise error from None

    def _count(self, meter: Meter, command: str, repository: str, moved: Traffic) -> None:
        """Tell what was moved; what is fetched in the background, by what it is for."""
        from gitops_promote.effects.timings import FETCH, HISTORY  # noqa: PLC0415  (rarely asked for)

        is_past = repository in (self._said.clone.name, self._done.clone.name)
        meter(*moved, HISTORY if is_past else FETCH if command == "clone" else "")

    def _make(self, name: str, *filters: str) -> PartialClone:
        return PartialClone(self._private, name, filters)

    def _history(self, name: str, depth: int, *filters: str) -> History:
        return History(self._private, self._make(name, *filters), self._tell, depth)

    def _history_for_messages(self) -> History:
        return self._said if self._clone.is_partial else self._own

    def _have(self, commit: str, branch: str = "") -> None:
        """Have a commit that the config repository has, or had a moment ago."""
        if self._clone.has(commit):
            return
        try:
            self._clone.fetch(commit, "refs/read", 1)
        except GitError as failure:
            if not NOT_BY_ID.search(failure.own):
                raise self._private.explain(failure, branch) from None
            if not (branch and self._has_behind(commit, branch)):
                raise PromoteError(
                    f"{self._remote.url} gives no commit {commit[:12]} by its id.",
                    "Run the job again.",
                ) from None

    def _has_behind(self, commit: str, branch: str) -> bool:
        """Whether a commit comes with its branch, of which some more are fetched."""
        name = f"refs/heads/{branch}"
        try:
            self._clone.fetch(name, name, DEPTHS[0])
        except GitError as failure:
            raise self._private.explain(failure, branch) from None
        return self._clone.has(commit)

    def _remote_head(self) -> str:
        head = (self._private.path / self._clone.name / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: refs/heads/"):
            raise NoBranchError(
                f"{self._remote.url} has no default branch.", "Name a branch in `config-ref`."
            )
        return head.removeprefix("ref: refs/heads/")

    def _branches(self) -> dict[str, str]:
        """The branches of the remote and their commits, asked anew."""
        listing = self._private.run("ls-remote", "--heads", "--", self._remote.url)
        pairs = (line.split("\trefs/heads/") for line in listing.splitlines())
        return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}

    def _arrived(self, commit: str, head: Head) -> bool:
        with suppress(GitError, RetryableError):
            return self._branches().get(head.branch, "") == commit
        return False

    def _no_branch(self, branch: str) -> PromoteError:
        try:
            branches = sorted(self._branches())
        except GitError as failure:
            return self._private.explain(failure, branch)
        return no_branch(self._remote.url, branch, branches, len(branches))


class _Files:
    """The `Files` of a commit."""

    def __init__(self, clone: PartialClone, commit: str) -> None:
        self._clone = clone
        self._commit = commit

    def find(self, path: str) -> Entry | None:
        return self._clone.find(self._commit, path)

    def below(self, folder: str) -> Mapping[str, Entry]:
        return self._clone.below(self._commit, folder)

    def read(self, path: str, entry: Entry) -> bytes:  # noqa: ARG002  (found by its path)
        return self._clone.read(self._commit, path)

    def expect(self, paths: Iterable[str]) -> None:
        self._clone.expect(self._commit, paths)


def _lease(branch: Head) -> str:
    """Let a push change a branch only if it is still where it was."""
    return f"--force-with-lease={branch.branch}:{branch.commit}"


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    # The quoting that git-fast-import(1) asks for; always, so that no name is special.
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode("utf-8", "surrogateescape")
