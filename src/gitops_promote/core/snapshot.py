"""What a plan may see of the config repository: one commit's tree, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

Kind = Literal["file", "folder", "symlink", "submodule"]


class Snapshot(Protocol):
    """The tree of one commit, read-only. Paths are relative to its root and parted by `/`."""

    def kind(self, path: str) -> Kind | None:
        """What stands at `path`, or None where nothing does. The root, ``""``, is a folder.

        Args:
            path: A path, or ``""``.

        Returns:
            The kind, or None.
        """
        ...

    def paths(self, below: str = "") -> Iterable[str]:
        """The path of every entry below a folder, folders included, parents before children.

        Args:
            below: The folder; empty for the root. There need be none.

        Returns:
            The paths, relative to the root like all others.
        """
        ...

    def read(self, path: str) -> bytes:
        """The content of the regular file at `path`.

        Args:
            path: The path of a regular file.

        Returns:
            Its bytes.

        Raises:
            KeyError: No regular file stands there.
        """
        ...

    def expect(self, paths: Iterable[str]) -> None:
        """Say which files are read next, so that they come together instead of one by one.

        Args:
            paths: Their paths; what isn't there is passed over.
        """
        ...


class Without:
    """A snapshot in which one path isn't there.

    Args:
        snapshot: The snapshot.
        path: The path of a file; empty to hide none.
    """

    def __init__(self, snapshot: Snapshot, path: str) -> None:
        self._snapshot = snapshot
        self._path = path

    def kind(self, path: str) -> Kind | None:
        """As `Snapshot.kind` says."""
        return None if path and path == self._path else self._snapshot.kind(path)

    def paths(self, below: str = "") -> Iterable[str]:
        """As `Snapshot.paths` says."""
        return (path for path in self._snapshot.paths(below) if path != self._path)

    def read(self, path: str) -> bytes:
        """As `Snapshot.read` says."""
        if path == self._path:
            raise KeyError(path)
        return self._snapshot.read(path)

    def expect(self, paths: Iterable[str]) -> None:
        """As `Snapshot.expect` says."""
        self._snapshot.expect(paths)
