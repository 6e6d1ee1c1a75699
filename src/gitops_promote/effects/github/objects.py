"""A repository's trees and files, read through GitHub's API byte for byte.

GraphQL gives many files in one request, but as text: right for UTF-8 and for up to half a megabyte.
So what it gives is believed only where it has the id that the tree says; all else is read by REST,
one file a request, as base64.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Any, TypeVar

from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.effects.config_repository import UnsuitedError
from gitops_promote.effects.github.errors import UNKNOWN, GitHubError, one_line
from gitops_promote.effects.tree import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from gitops_promote.effects.github.client import GitHub
    from gitops_promote.effects.github.question import Question

#: What one request asks for beside the file that is wanted: so many files ...
MOST_FILES = 64
#: ... of so many bytes in all.
MOST_BYTES = 512 * 1024

#: GraphQL cuts a longer `Blob.text`.
_LONGEST_TEXT = 500_000
#: What REST gives ("REST API endpoints for Git blobs").
_LONGEST_BLOB = 100_000_000

_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_Found = TypeVar("_Found")

#: What GraphQL says of a query that costs too much ("Rate limits and query limits for the GraphQL
#: API", "GraphQL API resource limits").
_TOO_MUCH = frozenset({"RESOURCE_LIMITS_EXCEEDED", "MAX_NODE_LIMIT_EXCEEDED"})


def object_id(value: object) -> str:
    """Check that what a server gave is the id of an object.

    Args:
        value: What it gave.

    Returns:
        The id.

    Raises:
        PromoteError: It is something else.
    """
    if isinstance(value, str) and _OBJECT_ID.fullmatch(value):
        return value
    raise PromoteError(
        "GitHub's API gave something that is not the id of a git object.",
        "Run the job again, or use `commit-via: git`.",
    )


def hash_object(kind: str, content: bytes, width: int) -> str:
    """Compute an object's id, as git-hash-object(1).

    Args:
        kind: Its type.
        content: Its content.
        width: How many digits the repository's ids have: 40, or 64.

    Returns:
        The id.
    """
    data = b"%b %d\0%b" % (kind.encode(), len(content), content)
    if width == 64:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def tree_with(entries: Mapping[str, Entry], files: Mapping[str, bytes], width: int) -> str:
    """Compute the id of the tree that a commit of some files makes.

    Args:
        entries: The tree of its parent, by path.
        files: The new content by path. A file keeps its mode; a new one gets 100644.
        width: How many digits the repository's ids have.

    Returns:
        The id of the new tree.
    """
    folders: dict[str, dict[str, Entry]] = {"": {}}
    for path in files:
        parts = path.split("/")[:-1]
        folders |= {"/".join(parts[:end]): {} for end in range(1, len(parts) + 1)}
    for path, entry in entries.items():
        folder, _, name = path.rpartition("/")
        if folder in folders:
            folders[folder][name] = entry
    for path, content in files.items():
        folder, _, name = path.rpartition("/")
        mode = entries[path].mode if path in entries else "100644"
        folders[folder][name] = Entry(mode, hash_object("blob", content, width))
    for folder in sorted(folders, key=lambda path: -path.count("/") if path else 1):
        above, _, name = folder.rpartition("/")
        own = Entry("040000", hash_object("tree", _tree_object(folders[folder]), width))
        if not folder:
            return own.object
        folders[above][name] = own
    return ""


def _tree_object(entries: Mapping[str, Entry]) -> bytes:
    # Sorted as if folders' names ended in a slash.
    lines = []
    for name, entry in entries.items():
        raw = name.encode("utf-8", "surrogateescape")
        line = b"%b %b\0" % (entry.mode.lstrip("0").encode(), raw)
        key = raw + b"/" if entry.kind == "folder" else raw
        lines.append((key, line + bytes.fromhex(entry.object)))
    return b"".join(line for _, line in sorted(lines))


def is_readable(path: str) -> bool:
    """Tell whether JSON can hold a path: whether it is UTF-8.

    Args:
        path: The path: with surrogates where it comes from this machine, with the mark for what
            could not be read where it comes from a server.

    Returns:
        True where it can.
    """
    return not re.search("[\ud800-\udfff\ufffd]", path)


def refuse_other_bytes(path: str) -> None:
    """Refuse a path that JSON can't hold: one that is not UTF-8.

    Args:
        path: The path.

    Raises:
        UnsuitedError: It is not UTF-8.
    """
    if not is_readable(path):
        raise UnsuitedError(
            f"The name of `{one_line(path)}` is not UTF-8, so GitHub's API can't be given it.",
            "Use `commit-via: git`.",
        )


def repository_in(data: Mapping[str, Any], name: str, host: str) -> dict[str, Any]:
    """Take the repository out of an answer.

    Args:
        data: The answer's `data`.
        name: The repository, `owner/name`.
        host: The server, as people know it.

    Returns:
        The fields of the `Repository`.

    Raises:
        PromoteError: There is none.
    """
    found = data.get("repository")
    if not isinstance(found, dict):
        raise PromoteError(
            f"{name} was not found on {host}, or is hidden from this token.",
            "Check `config-repository`, and that the token may read it.",
        )
    return found


class Contents:
    """The trees and files of a repository. What was read is kept: an id's object never changes.

    Args:
        github: The API.
        name: The repository, `owner/name`.
    """

    def __init__(self, github: GitHub, name: str) -> None:
        self._github = github
        self._name = name
        self._doing = f"read {name}"
        self._sizes: dict[str, int] = {}
        self._files: dict[str, bytes] = {}
        self._odd: set[str] = set()
        self._lean = False

    def reading(self) -> AbstractContextManager[None]:
        """Explain an answer of another form, as `GitHub.reading` does.

        Returns:
            What the answer is read in.
        """
        return self._github.reading(self._doing)

    def gently(
        self, question: Question, send: Callable[[Question], _Found]
    ) -> tuple[Question, _Found]:
        """Ask for less than would be good to have where that was too much for the server.

        Args:
            question: The question.
            send: Asks it.

        Returns:
            What was asked in the end, and what `send` gave.

        Raises:
            UnsuitedError: The server is too old.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        if self._lean:
            question = question.lean()
        try:
            return question, send(question)
        except RetryableError as error:
            # It may have worked on it for too long; who asks to wait has not begun.
            self._lean = self._lean or not error.wait
            raise
        except GitHubError as error:
            if error.kinds & UNKNOWN:
                what = f"{self._github.host} is too old to {self._doing} through its API."
                raise UnsuitedError(what, "Use `commit-via: git`.") from None
            if self._lean or not error.kinds & _TOO_MUCH:
                raise
        self._lean = True
        return question.lean(), send(question.lean())

    def ask(self, commit: str, question: Question) -> tuple[Question, Mapping[str, Any]]:
        """Ask about a commit.

        Args:
            commit: Its id.
            question: The question.

        Returns:
            What was asked in the end, and the fields of the `Commit`.

        Raises:
            UnsuitedError: The server is too old.
            RetryableError: The network or the server failed in a way that may pass, or the server
                doesn't know the commit.
            PromoteError: It was refused.
        """
        question, found = self.gently(
            question,
            lambda one: self._ask_commit(
                commit, one.declared, one.fields, one.fragments, one.variables
            ),
        )
        return question, self._known(commit, found)

    def listings(self, commit: str, folders: Sequence[str]) -> dict[str, Entry]:
        """List what is directly in some folders of a commit.

        Args:
            commit: The commit's id.
            folders: The folders, parents first; the root is empty.

        Returns:
            The entries, by path.

        Raises:
            UnsuitedError: There is a path that is no UTF-8.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        below = [folder for folder in folders if folder]
        declared = "".join(f", $f{n}: String!" for n in range(len(below)))
        fields = [
            f"f{n}: file(path: $f{n}) {{ object {{ ...entries }} }}" for n in range(len(below))
        ]
        fragment = "fragment entries on Tree { entries { name mode oid } }"
        variables = {f"f{n}": folder for n, folder in enumerate(below)}
        every = " ".join(["tree { ...entries }", *fields])
        asked = self._ask_commit(commit, declared, every, fragment, variables)
        found = self._known(commit, asked)
        entries: dict[str, Entry] = {}
        with self.reading():
            trees = {folder: (found[f"f{n}"] or {}).get("object") for n, folder in enumerate(below)}
            for folder, tree in {"": found["tree"], **trees}.items():
                for one in (tree or {}).get("entries") or ():
                    refuse_other_bytes(one["name"])
                    path = f"{folder}/{one['name']}" if folder else one["name"]
                    entries[path] = Entry(f"{int(one['mode']):06o}", object_id(one["oid"]))
        return entries

    def _ask_commit(
        self, commit: str, declared: str, fields: str, fragments: str, variables: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Ask for fields of a commit. It gives None where the server doesn't know the commit."""
        owner, _, repository = self._name.partition("/")
        document = (
            f"query($owner: String!, $name: String!, $commit: GitObjectID!{declared}) "
            "{ repository(owner: $owner, name: $name) { object(oid: $commit) "
            f"{{ ... on Commit {{ {fields} }} }} }} }} {fragments}"
        )
        every = {"owner": owner, "name": repository, "commit": commit, **variables}
        data = self._github.graphql(document, every, self._doing, needs="contents=read")
        found = repository_in(data, self._name, self._github.host).get("object")
        return found if isinstance(found, dict) else None

    def _known(self, commit: str, found: Mapping[str, Any] | None) -> Mapping[str, Any]:
        # The id comes from the server itself; the one of its machines that was asked now may be
        # behind the one that gave it.
        if found is None:
            raise RetryableError(
                f"{self._name} does not show commit {commit[:12]} yet.", "Run the job again."
            )
        return found

    def tree(self, name: str) -> dict[str, Entry]:
        """Read a whole tree.

        Args:
            name: The id of the tree, or of its commit.

        Returns:
            Its entries by path, in the order of `git ls-tree -r -t`.

        Raises:
            UnsuitedError: It is too large for the API, or has a path that is no UTF-8.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        path = f"/repos/{self._name}/git/trees/{name}"
        answer = self._github.rest("GET", path, self._doing, parameters={"recursive": "1"})
        if answer["truncated"]:
            raise UnsuitedError(
                f"GitHub's API does not give all of the tree of {self._name}, which has more than "
                "100,000 entries or 7 MB of names.",
                "Use `commit-via: git`.",
            )
        found: dict[str, Entry] = {}
        for item in answer["tree"]:
            entry = Entry(str(item["mode"]), object_id(item["sha"]))
            refuse_other_bytes(item["path"])
            found[item["path"]] = entry
            self._sizes[entry.object] = int(item.get("size") or 0)
        return dict(sorted(found.items(), key=_place_in_tree))

    def read(self, name: str, others: Iterable[str]) -> bytes:
        """Read a file.

        Args:
            name: Its id.
            others: The ids of files that may be read next, the likeliest first. As many as fit
                come in the same request.

        Returns:
            Its bytes.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        if name not in self._files and self._is_text(name):
            self._read_texts(self._fitting(name, others))
        if name not in self._files:
            self._files[name] = self._read_bytes(name)
        return self._files[name]

    def fetch(self, names: Sequence[str]) -> None:
        """Read files that will be wanted: some dozens in a request, as far as they are texts.

        Args:
            names: Their ids.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        left = [name for name in dict.fromkeys(names) if not self.has(name)]
        while left := [name for name in left if not self.has(name) and self._is_text(name)]:
            self._read_texts(self._fitting(left[0], left[1:]))

    def take(self, name: str, blob: Mapping[str, Any]) -> None:
        """Keep what came of a file with a look-up: its size, and its text if that is right.

        Args:
            name: Its id.
            blob: The fields of the `Blob`.
        """
        self._sizes[name] = int(blob["byteSize"])
        if "text" in blob and not self.has(name):
            self._take_text(name, blob)

    def has(self, name: str) -> bool:
        """Whether a file is here already.

        Args:
            name: Its id.

        Returns:
            Whether `read` sends no request.
        """
        return name in self._files

    def _is_text(self, name: str) -> bool:
        """Whether it is worth while to ask for the text."""
        return name not in self._odd and self._sizes.get(name, 0) <= _LONGEST_TEXT

    def _fitting(self, name: str, others: Iterable[str]) -> list[str]:
        chosen, left = {name: None}, MOST_BYTES - self._sizes.get(name, 0)
        for other in others:
            if len(chosen) == MOST_FILES:
                break
            size = self._sizes.get(other, 0)
            known = other in chosen or other in self._files
            if size <= left and not known and self._is_text(other):
                chosen[other] = None
                left -= size
        return list(chosen)

    def _read_texts(self, names: Sequence[str]) -> None:
        owner, _, repository = self._name.partition("/")
        declared = "".join(f", $o{n}: GitObjectID!" for n in range(len(names)))
        fields = "".join(f" b{n}: object(oid: $o{n}) {{ ...file }}" for n in range(len(names)))
        document = (
            f"query($owner: String!, $name: String!{declared}) "
            f"{{ repository(owner: $owner, name: $name) {{{fields} }} }} "
            "fragment file on GitObject { ... on Blob { text } }"
        )
        variables = {f"o{n}": name for n, name in enumerate(names)}
        variables |= {"owner": owner, "name": repository}
        data = self._github.graphql(document, variables, self._doing, needs="contents=read")
        for n, name in enumerate(names):
            self._take_text(name, (data.get("repository") or {}).get(f"b{n}"))

    def _take_text(self, name: str, blob: Mapping[str, Any] | None) -> None:
        content = str((blob or {}).get("text") or "").encode("utf-8", "surrogatepass")
        if hash_object("blob", content, len(name)) == name:
            self._files[name] = content
        else:
            self._odd.add(name)

    def _read_bytes(self, name: str) -> bytes:
        if self._sizes.get(name, 0) > _LONGEST_BLOB:
            raise UnsuitedError(
                f"GitHub's API does not give a file of {self._name} that has more than 100 MB.",
                "Use `commit-via: git`.",
            )
        answer = self._github.rest("GET", f"/repos/{self._name}/git/blobs/{name}", self._doing)
        content = binascii.a2b_base64(answer["content"])
        if hash_object("blob", content, len(name)) != name:
            raise PromoteError(
                f"GitHub's API gave a file of {self._name} that is not the one in its tree.",
                "Run the job again, or use `commit-via: git`.",
            )
        return content


def _place_in_tree(item: tuple[str, Any]) -> bytes:
    path, entry = item
    return f"{path}/".encode() if entry.kind == "folder" else path.encode()
