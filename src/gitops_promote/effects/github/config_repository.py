"""The config repository through GitHub's API: no clone, and commits that GitHub signs.

The usual promotion is two requests, however large the repository is: one brings the branch's head
with what is going to be looked at, and the last changes of that; the other one commits.
"""

from __future__ import annotations

import binascii
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.core.kinds.kustomize import FILE_NAMES
from gitops_promote.core.review.branch import STAGING
from gitops_promote.effects.config_repository import Head, UnsuitedError, no_branch
from gitops_promote.effects.github.errors import UNKNOWN, GitHubError
from gitops_promote.effects.github.files import MOST_PATHS, CommitFiles
from gitops_promote.effects.github.objects import (
    Contents,
    is_readable,
    object_id,
    refuse_other_bytes,
    repository_in,
    tree_with,
)
from gitops_promote.effects.github.past import Line
from gitops_promote.effects.github.question import about_expected
from gitops_promote.effects.retry import retry
from gitops_promote.effects.tree import Tree, check_writable, differing
from gitops_promote.inputs import Identity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from gitops_promote.core.snapshot import Snapshot
    from gitops_promote.effects.config_repository import NewCommit, Past
    from gitops_promote.effects.github.client import GitHub
    from gitops_promote.effects.github.question import Question
    from gitops_promote.effects.tree import Entry

#: Bytes of a request. GitHub publishes no bound for GraphQL. Of REST it is known to refuse 50 MB,
#: and to give up on less than that while it is busy; git has no such trouble.
MOST_BYTES = 20 * 1024 * 1024


_BRANCH = "{{ name target {{ oid {fields} }} }}"
_BRANCHES = """
query($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) {
    refs(refPrefix: "refs/heads/", first: 100) { totalCount nodes { name } }
  }
}
"""
_REFS = """
query($owner: String!, $name: String!, $first: String!, $second: String!) {
  repository(owner: $owner, name: $name) {
    id
    first: ref(qualifiedName: $first) { target { oid } }
    second: ref(qualifiedName: $second) { target { oid } }
  }
}
"""
_HISTORY = """
query($owner: String!, $name: String!, $ref: String!) {
  repository(owner: $owner, name: $name) {
    ref(qualifiedName: $ref) {
      target {
        ... on Commit {
          history(first: 50) {
            nodes { oid message tree { oid } parents(first: 2) { nodes { oid } } }
          }
        }
      }
    }
  }
}
"""
_COMMIT = """
mutation($commit: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $commit) { commit { oid } }
}
"""
_UPDATE = """
mutation($refs: UpdateRefsInput!) {
  updateRefs(input: $refs) { clientMutationId }
}
"""
_UPDATE_AND_COMMIT = """
mutation($refs: UpdateRefsInput!, $commit: CreateCommitOnBranchInput!) {
  updateRefs(input: $refs) { clientMutationId }
  createCommitOnBranch(input: $commit) { commit { oid } }
}
"""
_VIEWER = "query { viewer { login name databaseId } }"

#: As many files a comparison names at most ("Compare two commits").
_MOST_COMPARED = 300
#: What no state of the branch explains.
_FINAL = frozenset({"FORBIDDEN", "INSUFFICIENT_SCOPES", "BRANCH_PROTECTION_RULE_VIOLATION"})


@dataclass(frozen=True, slots=True)
class _Found:
    """A commit of a branch, as far as one of ours is known by it."""

    id: str
    parents: list[str]
    tree: str
    message: str


@final
class ApiRepository:
    """A config repository on GitHub, opened for the time of a `with` block.

    A commit's author and committer are not ours to choose: GitHub names the token's owner as the
    author and itself as the committer, and signs, which is what shows the commit as verified.

    Args:
        github: The API.
        name: The repository, `owner/name`.
    """

    def __init__(self, github: GitHub, name: str) -> None:
        self.name = name
        self._github = github
        self._names = dict(zip(("owner", "name"), name.split("/", 1), strict=True))

    def __enter__(self) -> ApiRepository:
        self._contents = Contents(self._github, self.name)
        self._expected: dict[str, None] = {}
        self._files: dict[str, CommitFiles] = {}
        self._id = ""
        return self

    def __exit__(self, *error: object) -> None:
        del self._contents
        self._files.clear()

    def expect(self, paths: Collection[str]) -> None:
        """As `ConfigRepository.expect` says."""
        named = [path.strip("/") for path in paths]
        if "" in named:
            named += FILE_NAMES
        self._expected |= {path: None for path in named if path and is_readable(path)}

    def fetch(self, branch: str) -> Head:
        """As `ConfigRepository.fetch` says; what is expected comes in the same request.

        Raises:
            UnsuitedError: The server is too old.
        """
        question, found = self._contents.gently(
            about_expected([*self._expected][:MOST_PATHS]), lambda one: self._ask_for(branch, one)
        )
        with self._github.reading(f"read {self.name}"):
            self._id = str(found["id"])
            known = str(found["nameWithOwner"])
            ref = found["branch"]
        if known.lower() != self.name.lower():
            raise PromoteError(
                f"{self.name} was renamed or moved: it is {known} now.",
                "Give its new name in `config-repository`.",
            )
        if not ref:
            raise self._no_branch(branch)
        with self._github.reading(f"read {self.name}"):
            commit = object_id(ref["target"]["oid"])
            self._files_of(commit).take(question, ref["target"])
            return Head(branch or str(ref["name"]), commit)

    def _ask_for(self, branch: str, question: Question) -> dict[str, Any]:
        """Ask for a branch, or the default one, and about its commit."""
        named = f"ref(qualifiedName: $ref) {_BRANCH}" if branch else f"defaultBranchRef {_BRANCH}"
        declared = ", $ref: String!" if branch else ""
        fields = f"... on Commit {{ {question.fields} }}" if question.fields else ""
        document = (
            f"query($owner: String!, $name: String!{declared}{question.declared}) "
            "{ repository(owner: $owner, name: $name) "
            f"{{ id nameWithOwner branch: {named.format(fields=fields)} }} }} {question.fragments}"
        )
        variables = {"ref": f"refs/heads/{branch}"} if branch else {}
        return self._query(document, {**variables, **question.variables})

    def snapshot(self, commit: str) -> Snapshot:
        """As `ConfigRepository.snapshot` says; what was not expected is read on demand."""
        return Tree(self._files_of(commit))

    def push(self, head: Head, new: NewCommit) -> str:
        """As `ConfigRepository.push` says.

        Raises:
            UnsuitedError: It is too much for the API, or a file's mode is none that it writes.
        """
        variables = {"commit": self._commit(head.branch, head.commit, new)}
        try:
            data = self._mutate(_COMMIT, variables, f"commit to {head.branch} of {self.name}")
            return self._new_commit(data)
        except PromoteError as error:
            return self._after(error, head, head.commit, new)

    def reset(self, branch: Head, base: Head, new: NewCommit) -> str:
        """As `ConfigRepository.reset` says.

        The API commits to branches alone. So where the branch holds something else than the base,
        the commit is made on a second one, and takes the first one's place in one step with the
        end of the second. A run that is killed may leave the second behind: the next one goes on
        with it, and `delete` deletes it too.

        Raises:
            UnsuitedError: As for `push`, or the server is too old to move two branches at once.
        """
        doing = f"write branch {branch.branch} of {self.name}"
        try:
            if branch.commit in ("", base.commit):
                return self._begin(branch, base, new, doing)
            return self._replace(branch, base, new, doing)
        except PromoteError as error:
            return self._after(error, branch, base.commit, new)

    def delete(self, branch: Head) -> None:
        """As `ConfigRepository.delete` says."""
        held = self._refs(branch.branch)
        if held[branch.branch] not in ("", branch.commit):
            raise _moved(branch.branch, self.name)
        updates = [_update(name, commit, "") for name, commit in held.items() if commit]
        if not updates:
            return
        try:
            variables = {"refs": self._updates(updates)}
            self._mutate(_UPDATE, variables, f"delete branch {branch.branch} of {self.name}")
        except PromoteError as error:
            if isinstance(error, UnsuitedError) or _is_final(error):
                raise
            now = self._refs_after(error, branch.branch)
            if not now[branch.branch]:
                return
            raise (_moved(branch.branch, self.name) if now != held else error) from None

    def differences(self, branch: Head, since: str) -> frozenset[str]:
        """As `ConfigRepository.differences` says.

        A comparison names the files from the last common commit on, which is the older one here,
        and no more than 300 of them ("Compare two commits"). Else the two trees are read whole.
        """
        names = self._compared(branch.commit, since)
        if names is None:
            names = differing(*(self._files_of(one).below("") for one in (since, branch.commit)))
        for name in names:
            refuse_other_bytes(name)
        return names

    def _compared(self, commit: str, since: str) -> frozenset[str] | None:
        path, doing = f"/repos/{self.name}/compare/{since}...{commit}", f"read {self.name}"
        try:
            found = self._github.rest("GET", path, doing, parameters={"per_page": 1})
        except GitHubError as error:
            if _is_final(error):
                raise
            return None
        except RetryableError as error:
            # It may be more than the server can compare in time.
            if error.wait:
                raise
            return None
        with self._github.reading(doing):
            files = found.get("files")
            is_whole = files is not None and len(files) < _MOST_COMPARED
            if not is_whole or found["merge_base_commit"]["sha"] != since:
                return None
            moved = (one["previous_filename"] for one in files if one["status"] == "renamed")
            return frozenset(map(str, (*(one["filename"] for one in files), *moved)))

    def log(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.log` says; one request where the last few commits have it.

        A time is no earlier than those of the `BELOW` commits that are below on the branch.
        """
        return Line(self._github, self.name, head, path).past()

    def messages(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.messages` says; no request where the last changes came with `fetch`.

        Where those end, or merges are among them, `log` goes on, from the newest on: what it lists
        as a merge may repeat what was in it.
        """
        path = path.strip("/")
        found, is_whole = self._files_of(head.commit).window(path) or ([], False)
        yield from found
        if not is_whole:
            known = {past.id for past in found}
            yield from (past for past in self.log(head, path) if past.id not in known)

    def read(self, commit: str, paths: Collection[str]) -> Mapping[str, bytes]:
        """As `ConfigRepository.read` says; some dozens of files a request.

        Raises:
            UnsuitedError: A path is no UTF-8, or a file is too large for the API.
        """
        return self._files_of(commit, expects=False).texts(paths)

    def signer(self, committer: Identity) -> Identity:  # noqa: ARG002  (GitHub takes none)
        """As `ConfigRepository.signer` says: the token's owner.

        The address is the one that GitHub forms for those who keep theirs private ("Setting your
        commit email address").
        """
        doing = "read who the token's owner is"
        data = self._github.graphql(_VIEWER, {}, doing)
        with self._github.reading(doing):
            viewer = data["viewer"]
            login, number = str(viewer["login"]), int(viewer["databaseId"] or 0)
            name = str(viewer["name"] or login)
        host = re.sub(r":\d+$", "", self._github.host)
        address = f"{number}+{login}" if number else login
        return Identity(name, f"{address}@users.noreply.{host}")

    def _begin(self, branch: Head, base: Head, new: NewCommit, doing: str) -> str:
        """Commit to a branch that is at the base, or is brought there in the same request."""
        if branch.commit:
            made = {"commit": self._commit(branch.branch, base.commit, new)}
            return self._new_commit(self._mutate(_COMMIT, made, doing))
        update = _update(branch.branch, _none(base.commit), base.commit)
        return self._update_and_commit(branch, update, branch.branch, new, doing)

    def _update_and_commit(
        self, branch: Head, update: Mapping[str, Any], target: str, new: NewCommit, doing: str
    ) -> str:
        """Bring `target` to where `update` says, and commit to it."""
        base = str(update["afterOid"])
        commit = {"commit": self._commit(target, base, new)}
        try:
            both = {"refs": self._updates([update]), **commit}
            return self._new_commit(self._mutate(_UPDATE_AND_COMMIT, both, doing))
        except GitHubError as error:
            # Where it is at the base now, nothing was committed: the second half of the request
            # may have known the branches from before the first.
            if _is_final(error) or self._refs_after(error, branch.branch)[target] != base:
                raise
        return self._new_commit(self._mutate(_COMMIT, commit, doing))

    def _replace(self, branch: Head, base: Head, new: NewCommit, doing: str) -> str:
        """Commit to a second branch, and let the commit take the first one's place.

        The second branch is overwritten whatever it holds: with `force`, and without a `beforeOid`.
        Its name, that of the branch and `STAGING`, is reserved for this.
        """
        staging = branch.branch + STAGING
        update = _update(staging, None, base.commit)
        commit = self._update_and_commit(branch, update, staging, new, doing)
        updates = [_update(branch.branch, branch.commit, commit), _update(staging, commit, "")]
        try:
            self._mutate(_UPDATE, {"refs": self._updates(updates)}, doing)
        except GitHubError as error:
            if _is_final(error):
                raise
            held = self._refs_after(error, branch.branch)
            if held[branch.branch] not in (branch.commit, commit):
                # Who was faster needs the second branch no more, and nor may we: end it ourselves.
                with suppress(PromoteError):
                    self._mutate(_UPDATE, {"refs": self._updates(updates[1:])}, doing)
            # A rival takes over the second branch as a later run would.
            if held[staging] != commit:
                raise _moved(branch.branch, self.name) from None
            raise
        return commit

    def _after(self, error: PromoteError, branch: Head, parent: str, new: NewCommit) -> str:
        """Look whether a commit is there in spite of an error, and else say what the error means.

        Where only the answer was lost, the commit is in place; a proxy may even have sent the
        request again, and found the branch moved. It is known by its parent, its message and its
        whole tree.

        Returns:
            The id of the commit.

        Raises:
            PromoteError: It isn't there, and why.
        """
        limited = isinstance(error, RetryableError) and error.wait
        if limited or isinstance(error, (UnsuitedError, MovedHeadError)) or _is_final(error):
            raise error
        try:
            commits = retry(lambda: self._history(branch.branch))
        except PromoteError:
            raise error from None
        for commit in commits:
            if commit.id == parent:
                break
            same = commit.parents == [parent] and commit.message.strip() == new.message.strip()
            if same and commit.tree == self._tree_after(error, parent, new):
                return commit.id
        held = commits[0].id if commits else ""
        stale = isinstance(error, GitHubError) and "STALE_DATA" in error.kinds
        raise (_moved(branch.branch, self.name) if stale or held != branch.commit else error)

    def _commit(self, branch: str, parent: str, new: NewCommit) -> dict[str, Any]:
        """The input of `createCommitOnBranch`."""
        files = self._files_of(parent)
        files.locate(new.files)
        for path in new.files:
            check_writable(files.find, path)
            _check_suited(files.find(path), path)
        additions = [
            {"path": path, "contents": binascii.b2a_base64(content, newline=False).decode()}
            for path, content in sorted(new.files.items())
        ]
        # GitHub joins the two by an empty line.
        headline, _, body = new.message.strip("\n").partition("\n\n")
        made = {
            "branch": {"repositoryNameWithOwner": self.name, "branchName": branch},
            "expectedHeadOid": parent,
            "message": {"headline": headline, "body": body} if body else {"headline": headline},
            "fileChanges": {"additions": additions},
        }
        if len(json.dumps(made)) > MOST_BYTES:
            raise UnsuitedError(
                f"The change has more than {MOST_BYTES >> 20} MB, too much for GitHub's API.",
                "Use `commit-via: git`.",
            )
        return made

    def _updates(self, updates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if not self._id:
            found = self._query(_REFS, {"first": "-", "second": "-"})
            with self._github.reading(f"read {self.name}"):
                self._id = str(found["id"])
        return {"repositoryId": self._id, "refUpdates": list(updates)}

    def _mutate(self, document: str, variables: Mapping[str, Any], doing: str) -> dict[str, Any]:
        try:
            return self._github.graphql(document, variables, doing, needs="contents=write")
        except GitHubError as error:
            if error.kinds & UNKNOWN:
                what = f"{self._github.host} is too old to {doing} through its API."
            elif error.status == 413 or re.search("too large", error.said):
                what = f"The change is too much for {self._github.host}'s API."
            else:
                raise
            raise UnsuitedError(what, "Use `commit-via: git`.") from None

    def _new_commit(self, data: Mapping[str, Any]) -> str:
        with self._github.reading(f"commit to {self.name}"):
            return object_id(data["createCommitOnBranch"]["commit"]["oid"])

    def _query(
        self, document: str, variables: Mapping[str, Any], doing: str = ""
    ) -> dict[str, Any]:
        """Ask about the repository."""
        every = {**self._names, **variables}
        doing = doing or f"read {self.name}"
        data = self._github.graphql(document, every, doing, needs="contents=read")
        return repository_in(data, self.name, self._github.host)

    def _refs(self, branch: str) -> dict[str, str]:
        """What a branch and its second one hold; empty where there is none."""
        names = {"first": branch, "second": branch + STAGING}
        variables = {name: f"refs/heads/{ref}" for name, ref in names.items()}
        found = self._query(_REFS, variables)
        with self._github.reading(f"read {self.name}"):
            self._id = str(found["id"])
            return {
                ref: object_id(found[name]["target"]["oid"]) if found[name] else ""
                for name, ref in names.items()
            }

    def _refs_after(self, error: PromoteError, branch: str) -> dict[str, str]:
        try:
            return retry(lambda: self._refs(branch))
        except PromoteError:
            raise error from None

    def _history(self, branch: str) -> list[_Found]:
        """The newest commits of a branch, the newest first; none where there is no branch."""
        found = self._query(_HISTORY, {"ref": f"refs/heads/{branch}"})
        with self._github.reading(f"read {self.name}"):
            ref = found["ref"]
            return list(map(_found, ref["target"]["history"]["nodes"])) if ref else []

    def _no_branch(self, branch: str) -> PromoteError:
        found = self._query(_BRANCHES, {})
        with self._github.reading(f"read {self.name}"):
            names = sorted(str(ref["name"]) for ref in found["refs"]["nodes"])
            count = int(found["refs"]["totalCount"])
        return no_branch(self.name, branch, names, count)

    def _files_of(self, commit: str, *, expects: bool = True) -> CommitFiles:
        if commit not in self._files:
            expected = self._expected if expects else {}
            self._files[commit] = CommitFiles(commit, self._contents, expected)
        return self._files[commit]

    def _tree_after(self, error: PromoteError, parent: str, new: NewCommit) -> str:
        """The id of the tree that a commit of ours has."""
        try:
            entries = retry(lambda: self._files_of(parent).around(new.files))
        except PromoteError:
            raise error from None
        return tree_with(entries, new.files, len(parent))


def _found(node: Mapping[str, Any]) -> _Found:
    parents = [str(one["oid"]) for one in node["parents"]["nodes"]]
    return _Found(object_id(node["oid"]), parents, node["tree"]["oid"], str(node["message"]))


def _check_suited(entry: Entry | None, path: str) -> None:
    if entry and entry.mode != "100644":
        raise UnsuitedError(
            f"`{path}` has the file mode {entry.mode}, and GitHub's API writes 100644 alone.",
            "Use `commit-via: git`.",
        )


def _update(branch: str, before: str | None, after: str) -> dict[str, Any]:
    """A `RefUpdate`. None before: whatever it holds; nothing after: it is deleted."""
    update = {"name": f"refs/heads/{branch}", "afterOid": after or _none(before or "")}
    if before is not None:
        update["beforeOid"] = before
    return {**update, "force": True}


def _none(like: str) -> str:
    """The id that stands for no object: as many zeros as other ids have digits."""
    return "0" * len(like)


def _is_final(error: PromoteError) -> bool:
    """Whether the server refused the token, and so whatever it was about."""
    return isinstance(error, GitHubError) and (
        error.status in (401, 403) or bool(error.kinds & _FINAL)
    )


def _moved(branch: str, name: str) -> MovedHeadError:
    return MovedHeadError(
        f"Branch {branch} of {name} moved while the change was made.", "Run the job again."
    )
