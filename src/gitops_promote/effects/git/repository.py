"""The config repository, by the real git command: fetch, read, commit and push, with no work tree.

Everything happens in a private bare repository of the newest commits, so neither the caller's
checkout nor their hooks, filters and line-ending settings have a part in it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, final

from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.core.review.proposal import BranchCommit, Proposal
from gitops_promote.effects.config_repository import Head, NewCommit, NoBranchError, Past, no_branch
from gitops_promote.effects.git.errors import GitError
from gitops_promote.effects.git.objects import Objects, parse_entries
from gitops_promote.effects.git.past import NOT_BY_ID, HistoryRepository
from gitops_promote.effects.git.private_repository import FOLDER
from gitops_promote.effects.git.remote import Credentials, resolve_url
from gitops_promote.effects.tree import Entry, Tree, WholeTree, check_writable, differing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from gitops_promote.core.snapshot import Snapshot
    from gitops_promote.inputs import Identity

__all__ = ["Credentials", "GitRepository", "Head", "resolve_url"]

#: Of so many files the entries are asked for by name; else those of the whole tree are read.
_MOST_NAMES = 64


@final
class GitRepository(HistoryRepository):
    """A config repository, opened for the time of a `with` block.

    What is fetched, and the private key, live in a temporary folder that only this user can read
    and that the end of the block removes.

    Args:
        url: What `resolve_url` gives.
        credentials: What opens it.
        environ: The caller's environment; None: that of this process.
        timeout: Seconds that one git command may take.

    Raises:
        UsageError: The URL has a form or transport that is not supported.
        PromoteError: The token may not be sent to this URL, or there is no git.
    """

    def __enter__(self) -> GitRepository:
        self._open()
        command = (self._git, f"--git-dir={FOLDER}", "cat-file", "--batch")
        self._objects = Objects(command, self._folder, self._environment)
        self._trees: dict[str, dict[str, Entry]] = {}
        self._default_branch = ""
        return self

    def __exit__(self, *error: object) -> None:
        self._objects.close()
        self._close()

    def expect(self, paths: Collection[str]) -> None:
        """As `ConfigRepository.expect` says; git asks for trees, whatever the files are."""

    def fetch(self, branch: str) -> Head:
        """As `ConfigRepository.fetch` says; little of its history."""
        branch = branch or self._default_branch
        try:
            if (self._folder / FOLDER).exists():
                self._fetch_again(branch)
            else:
                self._clone(branch)
        except GitError as failure:
            if "find remote ref" in failure.own or "Remote branch" in failure.own:
                raise self._no_branch(branch) from None
            raise self._explain(failure, branch) from None
        if not branch:
            branch = self._default_branch = self._remote_head()
        commit = self._objects.find(f"refs/heads/{branch}")
        if not commit:
            raise self._no_branch(branch)
        return Head(branch, commit)

    def snapshot(self, commit: str) -> Snapshot:
        """As `ConfigRepository.snapshot` says."""
        objects = self._objects
        return Tree(WholeTree(self._tree(commit), lambda _, entry: objects.read(entry.object)))

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
        tree = self._tree(parent)
        for path in files:
            check_writable(tree.get, path)
        date = f"{int(time.time()) if when is None else when} +0000"
        text = (message.strip("\n") + "\n").encode("utf-8", "surrogateescape")
        stream = [
            b"commit refs/promotion\nmark :1\n",
            f"author {author} {date}\ncommitter {committer} {date}\n".encode(),
            _data(text),
            f"from {parent}\n".encode(),
        ]
        for path, content in sorted(files.items()):
            mode = tree[path].mode if path in tree else "100644"
            stream += [f"M {mode} inline ".encode(), _quoted(path), b"\n", _data(content)]
        stream.append(b"get-mark :1\n")
        try:
            answer = self._run("fast-import", "--quiet", "--force", data=b"".join(stream))
        except GitError as failure:
            raise self._explain(failure, "") from None
        return answer.strip()

    def push(self, head: Head, new: NewCommit) -> str:
        """As `ConfigRepository.push` says; a plain fast-forward."""
        commit = self.commit(head.commit, new.files, new.message, new.author, new.committer)
        self.send(commit, head)
        return commit

    def reset(self, branch: Head, base: Head, new: NewCommit) -> str:
        """As `ConfigRepository.reset` says; the one push here that may go back."""
        commit = self.commit(base.commit, new.files, new.message, new.author, new.committer)
        # Without a `+`, which would push even where the branch isn't at that commit any more.
        self.send(commit, branch, f"--force-with-lease={branch.branch}:{branch.commit}")
        return commit

    def delete(self, branch: Head) -> None:
        """As `ConfigRepository.delete` says."""
        try:
            self.send("", branch, f"--force-with-lease={branch.branch}:{branch.commit}")
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
        try:
            if branch not in self._branches():
                return Proposal(branch)
            name = f"refs/heads/{branch}"
            self._fetch_into(name, name, self._depth)
            form = "--format=%H%x00%an%x00%P%x00%B"
            how = ("--max-count=1", "--encoding=UTF-8", form)
            listing = self._run("rev-list", *how, name, "--")
            ahead = self._run("rev-list", "--max-count=1", name, f"^{base.commit}", "--")
        except GitError as failure:
            raise self._explain(failure, branch) from None
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
        trees = (f"{commit}^{{tree}}" for commit in (branch.commit, since))
        if not all(map(self._objects.find, trees)):
            name = f"refs/heads/{branch.branch}"
            try:
                self._fetch_into(name, name, self._depth)
            except GitError as failure:
                raise self._explain(failure, branch.branch) from None
        return differing(self._tree(since), self._tree(branch.commit))

    def messages(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.messages` says."""
        return self.log(head, path)

    def read(self, commit: str, paths: Collection[str]) -> Mapping[str, bytes]:
        """As `ConfigRepository.read` says."""
        if not self._has(commit):
            self._fetch_commit(commit)
        entries = self._entries(commit, paths)
        return {
            path: self._objects.read(entry.object)
            for path, entry in entries.items()
            if entry.kind == "file"
        }

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
            self._run("push", *usual, *options, "--", self._remote.url, target)
        except (GitError, RetryableError) as failure:
            error: PromoteError
            if isinstance(failure, GitError):
                error = self._explain(failure, head.branch)
            else:
                error = failure
            # Where only the answer was lost, the change is in place; https may even have sent it
            # again, and found the branch moved.
            arrived = isinstance(error, RetryableError) and self._arrived(commit, head)
            if not arrived:
                raise error from None

    def _clone(self, branch: str) -> None:
        # One command makes the repository, finds the default branch and takes its commit.
        options = ["--quiet", "--bare", "--no-local", f"--depth={self._depth}", "--single-branch"]
        options += ["--no-tags", "--template=", *([f"--branch={branch}"] if branch else [])]
        self._run("clone", *options, "--", self._remote.url, FOLDER, inside=False)

    def _fetch_again(self, branch: str) -> None:
        name = f"refs/heads/{branch}"
        self._fetch_into(name, name, self._depth)

    def _remote_head(self) -> str:
        head = (self._folder / FOLDER / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: refs/heads/"):
            raise NoBranchError(
                f"{self._remote.url} has no default branch.", "Name a branch in `config-ref`."
            )
        return head.removeprefix("ref: refs/heads/")

    def _branches(self) -> dict[str, str]:
        """The branches of the remote and their commits, asked anew."""
        listing = self._run("ls-remote", "--heads", "--", self._remote.url, inside=False)
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
            return self._explain(failure, branch)
        return no_branch(self._remote.url, branch, branches, len(branches))

    def _tree(self, commit: str) -> dict[str, Entry]:
        if commit not in self._trees:
            try:
                listing = self._run("ls-tree", "-r", "-t", "-z", commit)
            except GitError as failure:
                raise self._explain(failure, "") from None
            self._trees[commit] = dict(parse_entries(listing))
        return self._trees[commit]

    def _entries(self, commit: str, paths: Collection[str]) -> dict[str, Entry]:
        """What a commit has at some paths."""
        if commit in self._trees or len(paths) > _MOST_NAMES:
            tree = self._tree(commit)
            return {path: tree[path] for path in paths if path in tree}
        # git would look at the whole tree for no path, and refuse one that leads out of it.
        names = [f":(literal){path}" for path in paths if {"", ".."}.isdisjoint(path.split("/"))]
        if not names:
            return {}
        try:
            listing = self._run("ls-tree", "-z", commit, "--", *names)
        except GitError as failure:
            raise self._explain(failure, "") from None
        return {path: entry for path, entry in parse_entries(listing) if path in paths}

    def _fetch_commit(self, commit: str) -> None:
        try:
            self._fetch_into(commit, "refs/read", 1)
        except GitError as failure:
            if not NOT_BY_ID.search(failure.own):
                raise self._explain(failure, "") from None
            raise PromoteError(
                f"{self._remote.url} gives no commit {commit[:12]} by its id.",
                "Run the job again.",
            ) from None


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    # The quoting that git-fast-import(1) asks for; always, so that no name is special.
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode("utf-8", "surrogateescape")
