"""Git objects and branches of a bare repository, read by one long-lived git and written by CAS."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from servers import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

ZERO = "0" * 40
_OID = re.compile(r"[0-9a-f]{40}")
_ACTOR = re.compile(r"(?P<name>.*?) ?<(?P<email>[^>]*)> (?P<when>\d+) (?P<zone>[+-]\d{4})")


class BadPathError(Exception):
    """A path that no tree can have."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who stands in a commit, and when it was."""

    name: str
    email: str
    when: int
    zone: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, as git keeps it."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    author: Actor
    committer: Actor
    message: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a tree; `path` is from the root of the tree that was asked for."""

    mode: str
    type: str
    oid: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the head has and the base lacks, oldest first, and the other way round."""

    ahead: tuple[str, ...]
    behind: int
    merge_base: str

    @property
    def status(self) -> str:
        if self.ahead and self.behind:
            return "diverged"
        if self.ahead:
            return "ahead"
        return "behind" if self.behind else "identical"


@dataclass(frozen=True, slots=True)
class Changed:
    """How much differs between two commits."""

    files: int
    additions: int
    deletions: int


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that differs; `before` is what a renamed one was called."""

    status: str
    oid: str
    path: str
    before: str = ""


_STATUSES = {"A": "added", "D": "removed", "M": "modified", "T": "changed", "R": "renamed"}


@final
class Objects:
    """The objects of a repository. What is asked for by its id is kept: it can't change."""

    def __init__(self, bare: Path) -> None:
        self.bare = bare
        self._lock = threading.Lock()
        self._reader: subprocess.Popen[bytes] | None = None
        self._kept: dict[tuple[object, ...], object] = {}

    def close(self) -> None:
        """End the reading git."""
        with self._lock:
            if self._reader and self._reader.stdin and self._reader.stdout:
                self._reader.stdin.close()
                self._reader.wait()
                self._reader.stdout.close()
            self._reader = None

    def find(self, expression: str) -> tuple[str, str, bytes] | None:
        """The id, type and content of what an expression of git's names."""
        known = self._kept.get(("object", expression))
        if known is not None:
            return known  # type: ignore[return-value]  # (kept under this key)
        if not expression or "\n" in expression or "\0" in expression:
            return None
        with self._lock:
            found = self._read(expression)
        if found and len(found[2]) < 100_000:
            self._kept["object", found[0]] = found
        return found

    def _read(self, expression: str) -> tuple[str, str, bytes] | None:
        if not self._reader:
            environment = {
                **os.environ,
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
            }
            self._reader = subprocess.Popen(
                ["git", "--git-dir", self.bare, "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        reader = self._reader
        assert reader.stdin
        assert reader.stdout
        reader.stdin.write(os.fsencode(expression) + b"\n")
        reader.stdin.flush()
        head = reader.stdout.readline().split()
        if len(head) != 3 or not _OID.fullmatch(head[0].decode(errors="replace")):
            return None
        content = reader.stdout.read(int(head[2]))
        reader.stdout.read(1)
        return head[0].decode(), head[1].decode(), content

    def branch(self, name: str) -> str:
        """The commit of a branch; empty where there is none."""
        return self.ref(f"refs/heads/{name}")

    def ref(self, name: str) -> str:
        """What a ref holds; empty where there is no such ref."""
        # A mark that can't be part of a name, else git would read `main^` and the like.
        found = None if re.search(r"[\^~:?*\[\\ ]|@\{|\.\.", name) else self.find(name)
        return found[0] if found else ""

    def refs(self, prefix: str) -> list[str]:
        """The full names of the refs below a prefix such as `refs/heads/`."""
        done = self._git(("for-each-ref", "--format=%(refname)", prefix))
        return os.fsdecode(done.stdout).split()

    def commit_id(self, name: str) -> str:
        """The commit that a branch, a tag or an id names; empty where there is none."""
        if _OID.fullmatch(name):
            found = self.find(name)
            return name if found and found[1] == "commit" else ""
        return self.branch(name) or self.ref(f"refs/tags/{name}") or self.ref(name)

    def commit(self, oid: str) -> Commit:
        """A commit by its id."""
        found = self.find(oid)
        assert found, oid
        head, _, message = found[2].decode(errors="replace").partition("\n\n")
        lines = [line.partition(" ")[::2] for line in head.split("\n")]
        fields = dict(reversed(lines))
        return Commit(
            oid,
            fields["tree"],
            tuple(value for name, value in lines if name == "parent"),
            _actor(fields["author"]),
            _actor(fields["committer"]),
            message,
        )

    def tree(self, oid: str, *, recursive: bool = False) -> tuple[Entry, ...]:
        """What a tree holds, folders too."""
        arguments = ("ls-tree", "-z", "-l", "-t", *(("-r",) if recursive else ()), oid)
        entries = []
        for line in self._ask(arguments).split("\0"):
            head, _, path = line.partition("\t")
            if path:
                mode, kind, entry, size = head.split()
                entries.append(Entry(mode, kind, entry, 0 if size == "-" else int(size), path))
        return tuple(entries)

    def compare(self, base: str, head: str) -> Comparison:
        """Compare two commits."""
        if base == head:
            return Comparison((), 0, base)
        ahead = self._ask(("rev-list", "--reverse", "--topo-order", f"{base}..{head}")).split()
        behind = int(self._ask(("rev-list", "--count", f"{head}..{base}")))
        roots = self._ask(("merge-base", base, head), (0, 1)).split()
        return Comparison(tuple(ahead), behind, roots[0] if roots else "")

    def history(self, oid: str, path: str) -> list[str]:
        """The commits from one on back, those that touch a path."""
        where = ("--", f":(literal){path}") if path else ("--",)
        return self._ask(("rev-list", oid, *where)).split()

    def changed(self, base: str, head: str) -> Changed:
        """How much differs between two trees or commits."""
        lines = self._ask(("diff-tree", "-r", "--no-renames", "--numstat", base, head)).splitlines()
        counts = [line.split("\t")[:2] for line in lines]
        added = sum(int(count[0]) for count in counts if count[0] != "-")
        removed = sum(int(count[1]) for count in counts if count[1] != "-")
        return Changed(len(lines), added, removed)

    def files_changed(self, base: str, head: str) -> list[FileChange]:
        """What differs between two commits, a file each; what moved is seen as such."""
        done = self._ask(("diff-tree", "-r", "-z", "-M", "--raw", base, head))
        fields = iter(done.split("\0"))
        found = []
        for line in fields:
            if line:
                _, _, old, new, letter = line.split(" ")
                before = next(fields) if letter.startswith("R") else ""
                oid = old if letter == "D" else new
                change = FileChange(_STATUSES[letter[0]], oid, _shown(next(fields)), _shown(before))
                found.append(change)
        return found

    def merge_tree(self, base: str, head: str) -> str:
        """The tree that a merge of two commits has; empty where they conflict."""
        lines = self._ask(("merge-tree", "--write-tree", base, head), (0, 1)).split("\n")
        return "" if len(lines) > 2 else lines[0]

    def _ask(self, arguments: Sequence[str], codes: Iterable[int] = (0,)) -> str:
        """Ask git, once for the same question: every argument is a constant or an id."""
        known = self._kept.get(tuple(arguments))
        if known is None:
            done = self._git(arguments)
            assert done.returncode in codes, (arguments, done.stderr)
            known = self._kept[tuple(arguments)] = os.fsdecode(done.stdout)
        assert isinstance(known, str)
        return known

    def _git(
        self, arguments: Sequence[str], data: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return subprocess.run(
            ["git", "--git-dir", self.bare, *arguments],
            input=data,
            capture_output=True,
            check=False,
            env=environment,
        )

    def update_refs(self, commands: Sequence[str]) -> bool:
        """Carry out `git update-ref`'s commands, all or none; no hook of the repository runs."""
        lines = "".join(f"{command}\n" for command in ("start", *commands, "prepare", "commit"))
        return not self._git(("update-ref", "--stdin"), lines.encode()).returncode

    def commit_tree(
        self, tree: str, parents: Sequence[str], message: str, author: Actor, committer: Actor
    ) -> str:
        """Write a commit."""
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {_line(author)}", f"committer {_line(committer)}", "", message]
        text = "\n".join(lines).encode()
        data = git(
            "--git-dir", self.bare, "hash-object", "-t", "commit", "-w", "--stdin", data=text
        )
        return data.decode().strip()

    def commit_files(
        self, commit: Commit, additions: Mapping[str, bytes], deletions: Sequence[str]
    ) -> str:
        """Write a commit whose tree is its parent's with other files: all of the mode 100644.

        Its `oid` and `tree` do not count. Empty: a path to delete is not there.
        """
        parent = commit.parents[0]
        for path in (*additions, *deletions):
            parts = path.split("/")
            if not all(parts) or {".", "..", ".git"} & {part.lower() for part in parts}:
                raise BadPathError(path)
        if any(self.find(f"{parent}:{path}") is None for path in deletions):
            return ""
        ref = f"refs/written/{threading.get_ident()}"
        message = commit.message.encode()
        stream = [f"commit {ref}\nmark :1\nauthor {_line(commit.author)}\n".encode()]
        stream.append(f"committer {_line(commit.committer)}\ndata {len(message)}\n".encode())
        stream.append(message + f"\nfrom {parent}\n".encode())
        stream += [b"D %b\n" % _quoted(path) for path in deletions]
        for path, content in additions.items():
            stream.append(b"M 100644 inline %b\n" % _quoted(path))
            stream.append(b"data %d\n%b\n" % (len(content), content))
        stream.append(f"\nget-mark :1\nreset {ref}\nfrom {ZERO}\n\n".encode())
        done = self._git(("fast-import", "--quiet", "--force"), b"".join(stream))
        assert not done.returncode, done.stderr
        return done.stdout.decode().strip()


def _shown(path: str) -> str:
    """A path as JSON has it."""
    return os.fsencode(path).decode(errors="replace")


def _actor(line: str) -> Actor:
    found = _ACTOR.fullmatch(line)
    assert found, line
    return Actor(found["name"], found["email"], int(found["when"]), found["zone"])


def _line(actor: Actor) -> str:
    return f"{actor.name} <{actor.email}> {actor.when} {actor.zone}"


def _quoted(path: str) -> bytes:
    plain = path.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"%b"' % plain
