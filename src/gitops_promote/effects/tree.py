"""The tree of a commit, however it is read: what stands where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
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


def check_writable(find: Callable[[str], Entry | None], path: str) -> None:
    """Refuse a path that a commit can't put a file at.

    Args:
        find: Gives what the commit's parent has at a path.
        path: The path.

    Raises:
        ValueError: It leaves the tree, or a symlink, folder or submodule stands there.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\0" in path:
        raise ValueError(f"{path!r} is no path of a file in a git tree")
    for end in range(1, len(parts)):
        above = find("/".join(parts[:end]))
        if above and above.kind != "folder":
            raise ValueError(f"{path!r} is below a {above.kind}")
    there = find(path)
    if there and there.kind != "file":
        raise ValueError(f"{path!r} is a {there.kind}")


class Files(Protocol):
    """What a commit has, looked up as far as somebody asks."""

    def find(self, path: str) -> Entry | None:
        """Look up a path.

        Args:
            path: The path; not the root's.

        Returns:
            What stands there; None where nothing does.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It can't be read this way.
        """
        ...

    def below(self, folder: str) -> Mapping[str, Entry]:
        """List all that is below a folder.

        Args:
            folder: The folder; empty for the root.

        Returns:
            What stands there, by path, parents before children; nothing where there is no folder.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It can't be read this way.
        """
        ...

    def read(self, path: str, entry: Entry) -> bytes:
        """Read a regular file.

        Args:
            path: Its path.
            entry: What stands there.

        Returns:
            Its content.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It can't be read this way.
        """
        ...

    def expect(self, paths: Iterable[str]) -> None:
        """As `Snapshot.expect` says.

        Args:
            paths: The files.
        """
        ...


class Tree:
    """The tree of one commit: a `Snapshot`.

    Args:
        files: What it has.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def kind(self, path: str) -> Kind | None:
        """Tell what stands at a path.

        Args:
            path: The path; empty for the root, a folder.

        Returns:
            Its kind, or None where nothing stands there.
        """
        if not path:
            return "folder"
        entry = self._files.find(path)
        return entry.kind if entry else None

    def paths(self, below: str = "") -> Iterable[str]:
        """List every path below a folder, parents before children.

        Args:
            below: The folder; empty for the root.

        Returns:
            The paths.
        """
        return self._files.below(below).keys()

    def read(self, path: str) -> bytes:
        """Read a regular file.

        Args:
            path: Its path.

        Returns:
            Its content.

        Raises:
            KeyError: No regular file stands there.
        """
        entry = self._files.find(path)
        if entry is None or entry.kind != "file":
            raise KeyError(path)
        return self._files.read(path, entry)

    def expect(self, paths: Iterable[str]) -> None:
        """Say which files are read next.

        Args:
            paths: Their paths.
        """
        self._files.expect(paths)
