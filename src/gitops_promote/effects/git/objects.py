"""Reading a private repository's objects: the tree of a commit and its files."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gitops_promote.core.snapshot import Kind

# By the first digits of the mode; anything else is a file.
_KINDS: Mapping[str, Kind] = {"04": "folder", "12": "symlink", "16": "submodule"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tree has at a path: its mode, as six octal digits, and the object's id."""

    mode: str
    object: str

    @property
    def kind(self) -> Kind:
        """What the mode says it is."""
        return _KINDS.get(self.mode[:2], "file")


def parse_entries(listing: str) -> Iterator[tuple[str, Entry]]:
    """Read what `git ls-tree -z` prints (git-ls-tree(1), "Output Format").

    Args:
        listing: Its output.

    Yields:
        Each path and its entry.
    """
    for record in listing.split("\0")[:-1]:
        head, _, path = record.partition("\t")
        mode, _, name = head.split(" ")
        yield path, Entry(mode, name)


def differing(one: Mapping[str, Entry], other: Mapping[str, Entry]) -> frozenset[str]:
    """Compare two trees.

    Args:
        one: What the one has, by path.
        other: What the other has.

    Returns:
        The paths, those of folders excepted, at which they differ.
    """
    paths = one.keys() | other.keys()
    different = (path for path in paths if one.get(path) != other.get(path))
    return frozenset(
        path
        for path in different
        if any(tree.get(path) and tree[path].kind != "folder" for tree in (one, other))
    )


def check_writable(tree: Mapping[str, Entry], path: str) -> None:
    """Refuse a path that a commit can't put a file at.

    Args:
        tree: What the commit's parent has, by path.
        path: The path.

    Raises:
        ValueError: It leaves the tree, or a symlink, folder or submodule stands there.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\0" in path:
        raise ValueError(f"{path!r} is no path of a file in a git tree")
    for end in range(1, len(parts)):
        above = tree.get("/".join(parts[:end]))
        if above and above.kind != "folder":
            raise ValueError(f"{path!r} is below a {above.kind}")
    if path in tree and tree[path].kind != "file":
        raise ValueError(f"{path!r} is a {tree[path].kind}")


class Objects:
    """Objects of a repository, by one `git cat-file --batch` for all of them.

    Args:
        command: The command, which starts at the first question.
        folder: Where it runs.
        environment: Its environment.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._command = command
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def find(self, ref: str) -> str:
        """Find what a ref points to.

        Args:
            ref: Its full name.

        Returns:
            The object's id; empty where there is no such ref.
        """
        return self._ask(ref)[0]

    def read(self, name: str) -> bytes:
        """Read an object.

        Args:
            name: Its id.

        Returns:
            Its content.

        Raises:
            KeyError: There is no such object.
        """
        found, content = self._ask(name)
        if not found:
            raise KeyError(name)
        return content

    def close(self) -> None:
        """End the command."""
        if self._process:
            self._process.communicate()

    def _ask(self, name: str) -> tuple[str, bytes]:
        process = self._process = self._process or self._start()
        source, answers = process.stdin, process.stdout
        if source is None or answers is None:  # never: both are pipes
            return "", b""
        source.write(name.encode("utf-8", "surrogateescape") + b"\n")
        source.flush()
        header = answers.readline().decode("utf-8", "surrogateescape").split()
        if len(header) != 3 or not header[2].isdigit():  # "NAME missing"
            return "", b""
        return header[0], answers.read(int(header[2]) + 1)[:-1]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )


class Tree:
    """The tree of one commit: a `Snapshot`.

    Args:
        entries: What it has, by path, parents before children.
        objects: Where the files are read.
    """

    def __init__(self, entries: Mapping[str, Entry], objects: Objects) -> None:
        self._entries = entries
        self._objects = objects

    def kind(self, path: str) -> Kind | None:
        """Tell what stands at a path.

        Args:
            path: The path; empty for the root, a folder.

        Returns:
            Its kind, or None where nothing stands there.
        """
        if not path:
            return "folder"
        entry = self._entries.get(path)
        return entry.kind if entry else None

    def paths(self) -> Iterable[str]:
        """List every path but the root, parents before children."""
        return self._entries.keys()

    def read(self, path: str) -> bytes:
        """Read a regular file.

        Args:
            path: Its path.

        Returns:
            Its content.

        Raises:
            KeyError: No regular file stands there.
        """
        entry = self._entries[path]
        if entry.kind != "file":
            raise KeyError(path)
        return self._objects.read(entry.object)
