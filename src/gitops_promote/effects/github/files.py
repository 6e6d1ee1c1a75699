"""What a commit has, looked up through GitHub's API as far as somebody asks.

However many files a repository has, a look-up is about a few paths, and what is known once is not
asked for again: a commit never changes. Only who lists what is below a folder reads its whole tree.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from posixpath import basename, dirname
from typing import TYPE_CHECKING, Any, final

from gitops_promote.core.kinds.kustomize import FILE_NAMES
from gitops_promote.effects.config_repository import Past
from gitops_promote.effects.github.objects import is_readable, object_id, refuse_other_bytes
from gitops_promote.effects.github.question import (
    Look,
    Question,
    about,
    about_expected,
    about_folder,
)
from gitops_promote.effects.moments import parse_timestamp
from gitops_promote.effects.tree import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gitops_promote.effects.github.objects import Contents

#: About so many paths one request asks at most, those that come along not counted.
MOST_PATHS = 64

_LONGEST_PATH = 4096
_OTHERS_READ = re.compile(r"\.ya?ml$|\.json$|(?:^|/)Kustomization$")


@final
class CommitFiles:
    """What a commit has: fulfils `effects.tree.Files`.

    Args:
        commit: The commit's id.
        contents: Where objects are read and kept.
        expected: What will be looked at, of any commit, by path: it comes with the first look-up.
            What is expected here is added to it.
    """

    def __init__(self, commit: str, contents: Contents, expected: dict[str, None]) -> None:
        self._commit = commit
        self._contents = contents
        self._expected = expected
        self._told: set[str] = set()
        self._known: dict[str, Entry | None] = {}
        # Folders of which all entries are known, and those of which all is known that is below.
        self._listed: set[str] = set()
        self._below: dict[str, dict[str, Entry]] = {}
        self._asked: Counter[str] = Counter()
        self._windows: dict[str, tuple[list[Past], bool]] = {}

    def find(self, path: str) -> Entry | None:
        """As `Files.find` says.

        Raises:
            UnsuitedError: The path is no UTF-8.
        """
        if not _is_path(path):
            return None
        refuse_other_bytes(path)
        if not self._is_known(path):
            self._look_up(path)
        return self._known.get(path)

    def below(self, folder: str) -> Mapping[str, Entry]:
        """As `Files.below` says; one request for the folder's whole tree.

        Raises:
            UnsuitedError: It is too large for the API, or has a path that is no UTF-8.
        """
        for known, entries in self._below.items():
            if folder == known:
                return entries
            if not known or folder.startswith(f"{known}/"):
                return _within(entries, folder)
        entry = self.find(folder) if folder else None
        if folder and (entry is None or entry.kind != "folder"):
            return {}
        prefix = f"{folder}/" if folder else ""
        tree = self._contents.tree(entry.object if entry else self._commit)
        found = {prefix + path: one for path, one in tree.items()}
        self._known.update(found)
        self._below[folder] = found
        return found

    def read(self, path: str, entry: Entry) -> bytes:
        """As `Files.read` says; what is likely to be read next comes along."""
        others = [] if self._contents.has(entry.object) else self._near(path)
        return self._contents.read(entry.object, others)

    def expect(self, paths: Iterable[str]) -> None:
        """As `Files.expect` says: a request for some dozens of files."""
        wanted = [path for path in dict.fromkeys(paths) if _is_path(path)]
        for path in wanted:
            refuse_other_bytes(path)
        unknown = [path for path in wanted if not self._is_known(path)]
        self._expected |= dict.fromkeys(unknown)
        for start in range(0, len(unknown), MOST_PATHS):
            some = unknown[start : start + MOST_PATHS]
            self._ask(about_expected(some))
        entries = [self._known.get(path) for path in wanted]
        self._contents.fetch([one.object for one in entries if one and one.kind == "file"])

    def locate(self, paths: Iterable[str]) -> None:
        """Look up several paths at once, and nothing in them.

        Args:
            paths: The paths.

        Raises:
            UnsuitedError: A path is no UTF-8.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        wanted = [path for path in paths if _is_path(path)]
        for path in wanted:
            refuse_other_bytes(path)
        unknown = [path for path in wanted if not self._is_known(path)]
        for start in range(0, len(unknown), MOST_PATHS):
            some = unknown[start : start + MOST_PATHS]
            self._ask(about(some, Look.KIND))

    def texts(self, paths: Collection[str]) -> dict[str, bytes]:
        """Read files; `MOST_PATHS` of them come with one request.

        Args:
            paths: The files.

        Returns:
            The content of those that are regular files.

        Raises:
            UnsuitedError: A path is no UTF-8, or a file is too large for the API.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        for path in paths:
            refuse_other_bytes(path)
        wanted = [path for path in dict.fromkeys(paths) if _is_path(path)]
        unknown = [path for path in wanted if not self._is_known(path)]
        for start in range(0, len(unknown), MOST_PATHS):
            some = unknown[start : start + MOST_PATHS]
            self._ask(Question(dict.fromkeys(some, Look.TEXT)))
        found = {path: self._known.get(path) for path in wanted}
        files = {path: one.object for path, one in found.items() if one and one.kind == "file"}
        return {path: self._contents.read(name, files.values()) for path, name in files.items()}

    def around(self, paths: Iterable[str]) -> dict[str, Entry]:
        """List all that is in the folders that lead to some paths, as `tree_with` needs it.

        Args:
            paths: The paths.

        Returns:
            What stands there, by path.

        Raises:
            UnsuitedError: There is a path that is no UTF-8.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        folders = {""}
        for path in paths:
            folder = dirname(path)
            while folder:
                folders.add(folder)
                folder = dirname(folder)
        return self._contents.listings(self._commit, sorted(folders))

    def window(self, path: str) -> tuple[list[Past], bool] | None:
        """Give the last changes of a path, as far as they came with a look-up.

        `Commit.history` lists what `git log` does: of what was merged the commits instead of the
        merges, as long as one side alone changed the path. Up to the first merge that it lists,
        each commit is made on what the next one left, so nothing comes between.

        Args:
            path: The path.

        Returns:
            The changes, the newest first, and whether they are all; None where nothing came. They
            are not `sure` where they are those of a folder that the path is in.
        """
        place = path
        while place and place not in self._windows:
            place = dirname(place)
        if not place:
            return None
        found, is_whole = self._windows[place]
        if place != path:
            found = [replace(one, sure=False) for one in found]
        return found, is_whole

    def take(self, question: Question, found: Mapping[str, Any]) -> None:
        """Keep an answer.

        Args:
            question: The question.
            found: The fields of the `Commit`.

        Raises:
            KeyError: It has another form, as `GitHub.reading` explains.
            PromoteError: An id is none.
        """
        for n, (path, look) in enumerate(question.looks.items()):
            self._take_entry(path, look, found[f"f{n}"])
        for n, path in enumerate(question.histories):
            self._windows[path] = _window(found[f"h{n}"])

    def _is_known(self, path: str) -> bool:
        folder = dirname(path)
        if path in self._known or folder in self._listed or self._is_whole(folder):
            return True
        # Where no folder is, nothing is below.
        return bool(folder) and self._is_known(folder) and not self._is_folder(folder)

    def _is_whole(self, folder: str) -> bool:
        return any(not one or f"{folder}/".startswith(f"{one}/") for one in self._below)

    def _is_folder(self, path: str) -> bool:
        entry = self._known.get(path)
        return entry is not None and entry.kind == "folder"

    def _look_up(self, path: str) -> None:
        expected = [one for one in self._expected if one not in self._told]
        expected = [one for one in expected if not self._is_known(one)][:MOST_PATHS]
        if expected:
            self._told.update(expected)
            self._ask(about_expected(expected))
        if self._is_known(path):
            return
        folder, name = dirname(path), basename(path)
        self._asked[folder] += 1
        # Who looks for a kustomization reads what it names, most of which is beside it; and who
        # looks for two files of a folder may for more.
        more = name in FILE_NAMES or ("." in name and self._asked[folder] > 1)
        self._ask(about_folder(folder, path) if folder and more else about([path], Look.TEXT))

    def _ask(self, question: Question) -> None:
        question, found = self._contents.ask(self._commit, question)
        with self._contents.reading():
            self.take(question, found)

    def _take_entry(self, path: str, look: Look, node: Mapping[str, Any] | None) -> None:
        entry = _entry(node) if node else None
        self._known[path] = entry
        # What a submodule is at is no object of this repository.
        there = (node["object"] if node else None) or {}
        if entry and entry.kind == "file":
            self._contents.take(entry.object, there)
        elif look is Look.LIST and there.get("entries") is not None:
            self._take_list(path, there["entries"])

    def _take_list(self, folder: str, nodes: Sequence[Mapping[str, Any]]) -> None:
        for node in nodes:
            # One that isn't readable is no path that anybody may ask for.
            if is_readable(node["name"]):
                self._take_entry(f"{folder}/{node['name']}", Look.TEXT, node)
        self._listed.add(folder)

    def _near(self, path: str) -> list[str]:
        """The ids of the YAML and JSON files that are known, those of the same folder first."""
        folder = path.split("/")[:-1]
        others = [
            (_distance(folder, other.split("/")[:-1]), entry.object)
            for other, entry in self._known.items()
            if entry and entry.kind == "file" and _OTHERS_READ.search(other)
        ]
        return [name for _, name in sorted(others, key=lambda pair: pair[0])]


def _entry(node: Mapping[str, Any]) -> Entry:
    return Entry(f"{int(node['mode']):06o}", object_id(node["oid"]))


def _window(history: Mapping[str, Any]) -> tuple[list[Past], bool]:
    """Read a page of a history, up to the first merge, and whether it is all of it."""
    found: list[Past] = []
    for node in history["nodes"]:
        parents = [object_id(one["oid"]) for one in node["parents"]["nodes"]]
        if len(parents) > 1:
            return found, False
        moment = parse_timestamp(node["committedDate"])
        found.append(
            Past(
                object_id(node["oid"]),
                int(moment.timestamp()) if moment else 0,
                (str(node["message"]).strip("\n"),),
                parents[0] if parents else "",
            )
        )
    # A server may give fewer than it was asked for, and still have more.
    return found, history["pageInfo"]["hasNextPage"] is False


def _is_path(path: str) -> bool:
    """Whether a tree can have it: an empty part, for one, may mean the root to a server."""
    parts = path.split("/")
    return {"", ".", ".."}.isdisjoint(parts) and "\0" not in path and len(path) <= _LONGEST_PATH


def _within(entries: Mapping[str, Entry], folder: str) -> dict[str, Entry]:
    prefix = f"{folder}/"
    return {path: one for path, one in entries.items() if path.startswith(prefix)}


def _distance(folder: Sequence[str], other: Sequence[str]) -> int:
    """How many steps lead from one folder to another."""
    common = 0
    for one, two in zip(folder, other, strict=False):
        if one != two:
            break
        common += 1
    return len(folder) + len(other) - 2 * common
