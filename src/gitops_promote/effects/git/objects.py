"""Reading a private repository's objects: the tree of a commit and its files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from gitops_promote.effects.tree import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


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


def parse_tree(content: bytes, width: int) -> dict[str, Entry]:
    """Read a tree object ("Git Objects", Pro Git).

    Args:
        content: Its content.
        width: How many bytes an object's id has: 20, or 32.

    Returns:
        What stands directly in the folder, by name.
    """
    entries, position = dict[str, Entry](), 0
    while position < len(content):
        space = content.index(b" ", position)
        zero = content.index(b"\0", space)
        mode, name = content[position:space], content[space + 1 : zero]
        position = zero + 1 + width
        # Trees leave out the leading zero that `git ls-tree` writes.
        entry = Entry(mode.decode().zfill(6), content[zero + 1 : position].hex())
        entries[name.decode("utf-8", "surrogateescape")] = entry
    return entries


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
            self._process = None

    def _ask(self, name: str) -> tuple[str, bytes]:
        process = self._process = self._process or self._start()
        source, answers = process.stdin, process.stdout
        if source is None or answers is None:  # never: both are pipes
            return "", b""
        source.write(name.encode("utf-8", "surrogateescape") + b"\n")
        source.flush()
        line = answers.readline()
        if not line:
            raise OSError("git cat-file ended before it was asked to")
        header = line.decode("utf-8", "surrogateescape").split()
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
