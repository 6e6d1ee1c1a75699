"""A repository's trees and files, read through GitHub's API byte for byte.

GraphQL gives many files in one request, but as text: right for UTF-8 and for up to half a megabyte.
So what it gives is believed only where it has the id that the tree says; all else is read by REST,
one file a request, as base64.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Any

from gitops_promote.core.errors import PromoteError
from gitops_promote.effects.config_repository import UnsuitedError
from gitops_promote.effects.github.errors import one_line
from gitops_promote.effects.tree import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gitops_promote.effects.github.client import GitHub

#: What one request asks for beside the file that is wanted: so many files ...
MOST_FILES = 64
#: ... of so many bytes in all.
MOST_BYTES = 512 * 1024

#: GraphQL cuts a longer `Blob.text`.
_LONGEST_TEXT = 500_000
#: What REST gives ("REST API endpoints for Git blobs").
_LONGEST_BLOB = 100_000_000

_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_OTHERS_READ = re.compile(r"\.ya?ml$|\.json$|(?:^|/)Kustomization$")


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


def refuse_other_bytes(path: str) -> None:
    """Refuse a path that JSON can't hold: one that is not UTF-8.

    Args:
        path: The path: with surrogates where it comes from this machine, with the mark for what
            could not be read where it comes from a server.

    Raises:
        UnsuitedError: It is not UTF-8.
    """
    if re.search("[\ud800-\udfff\ufffd]", path):
        raise UnsuitedError(
            f"The name of `{one_line(path)}` is not UTF-8, so GitHub's API can't be given it.",
            "Use `commit-via: git`.",
        )


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

    def read_at(self, commit: str, paths: Collection[str]) -> dict[str, bytes]:
        """Read files of a commit without its tree: `MOST_FILES` of them in a request.

        Args:
            commit: The commit's id.
            paths: The files.

        Returns:
            The content of those that are regular files.

        Raises:
            UnsuitedError: A path is no UTF-8, or a file is too large for the API.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused, or there is no such commit.
        """
        for path in paths:
            refuse_other_bytes(path)
        # What leads nowhere in a tree is not asked for: an empty part may mean the root.
        wanted = [path for path in paths if {"", ".", ".."}.isdisjoint(path.split("/"))]
        content: dict[str, bytes] = {}
        for start in range(0, len(wanted), MOST_FILES):
            some = wanted[start : start + MOST_FILES]
            entries = self._read_entries(commit, some)
            files = {path: one.object for path, one in entries.items() if one.kind == "file"}
            content |= {path: self.read(name, files.values()) for path, name in files.items()}
        return content

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

    def _read_entries(self, commit: str, paths: Sequence[str]) -> dict[str, Entry]:
        """What a commit has at some paths; the text of files comes along."""
        owner, _, repository = self._name.partition("/")
        declared = "".join(f", $p{n}: String!" for n in range(len(paths)))
        fields = "".join(f" f{n}: file(path: $p{n}) {{ ...file }}" for n in range(len(paths)))
        document = (
            f"query($owner: String!, $name: String!, $commit: GitObjectID!{declared}) "
            "{ repository(owner: $owner, name: $name) { object(oid: $commit) "
            f"{{ ... on Commit {{{fields} }} }} }} }} "
            "fragment file on TreeEntry { mode oid size object { ... on Blob { text } } }"
        )
        variables = {f"p{n}": path for n, path in enumerate(paths)}
        variables |= {"owner": owner, "name": repository, "commit": commit}
        data = self._github.graphql(document, variables, self._doing, needs="contents=read")
        found = (data.get("repository") or {}).get("object")
        if found is None:
            raise PromoteError(f"{self._name} has no commit {commit[:12]}.", "Run the job again.")
        entries = {}
        with self._github.reading(self._doing):
            for n, path in enumerate(paths):
                if one := found[f"f{n}"]:
                    entry = Entry(f"{one['mode']:06o}", object_id(one["oid"]))
                    entries[path] = entry
                    self._sizes[entry.object] = int(one["size"])
                    self._take_text(entry.object, one["object"])
        return entries

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


class Nearby:
    """Reads the files of a tree; those that are likely to be read next come with one.

    Args:
        entries: What the tree has, by path.
        contents: Where the files are read.
    """

    def __init__(self, entries: Mapping[str, Entry], contents: Contents) -> None:
        self._entries = entries
        self._contents = contents
        self._others: list[tuple[list[str], str]] | None = None

    def read(self, path: str, entry: Entry) -> bytes:
        """Read a file, as `Tree` asks for it.

        Args:
            path: Its path.
            entry: What the tree has there.

        Returns:
            Its content.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        others = [] if self._contents.has(entry.object) else self._near(path)
        return self._contents.read(entry.object, others)

    def _near(self, path: str) -> list[str]:
        """The ids of all YAML and JSON files: those of the same folder first, the far ones last."""
        if self._others is None:
            self._others = [
                (other.split("/")[:-1], entry.object)
                for other, entry in self._entries.items()
                if entry.kind == "file" and _OTHERS_READ.search(other)
            ]
        folder = path.split("/")[:-1]
        return [name for _, name in sorted(self._others, key=lambda at: _distance(folder, at[0]))]


def _distance(folder: Sequence[str], other: Sequence[str]) -> int:
    """How many steps lead from one folder to another."""
    common = 0
    for one, two in zip(folder, other, strict=False):
        if one != two:
            break
        common += 1
    return len(folder) + len(other) - 2 * common


def _place_in_tree(item: tuple[str, Any]) -> bytes:
    path, entry = item
    return f"{path}/".encode() if entry.kind == "folder" else path.encode()
