"""The tree of a commit, however it is read: what stands where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


class Tree:
    """The tree of one commit: a `Snapshot`.

    Args:
        entries: What it has, by path, parents before children.
        read: Gives the content of a file, by its path and entry.
    """

    def __init__(self, entries: Mapping[str, Entry], read: Callable[[str, Entry], bytes]) -> None:
        self._entries = entries
        self._read = read

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
        return self._read(path, entry)
