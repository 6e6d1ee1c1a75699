"""A repository of which only those objects are fetched that somebody asks for.

It has no work tree and begins with the newest commits alone ("Partial Clone", git's technical
documentation). Which trees and files come with a fetch is known by its filter, so nothing is asked
for twice, and git is never left to fetch what is missing by itself, one object at a time.
"""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple, final

from gitops_promote.core.errors import MovedHeadError
from gitops_promote.effects.git.errors import GitError
from gitops_promote.effects.git.objects import Objects, parse_entries, parse_tree
from gitops_promote.effects.tree import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops_promote.effects.git.private_folder import PrivateFolder

#: A commit with its tree's two upper levels: what is in the root, and which folders those have.
TWO_LEVELS = "tree:2"
#: A commit with all its folders, and no file.
NO_FILES = "blob:none"
#: A commit alone.
NO_TREES = "tree:0"
#: A folder with all that is below it, but for what no promotion edits.
_SUBTREE = "blob:limit=1m"
#: How many levels of folders come with a commit; a server that knows no filter sends all of them.
_LEVELS = {TWO_LEVELS: 2, NO_TREES: 0}
_ALL_LEVELS = sys.maxsize

#: A folder among so many is that of one app or cluster; one of few may be all of the repository.
_MANY = 5
#: So many files are fetched one by one; who reads more may read any.
_MOST_SINGLES = 8
#: Ids on a command line, whose length is bounded on Windows most of all.
_MOST_IDS = 700 if sys.platform == "win32" else 10_000

#: A server that is told of a commit here takes all below it to be here, too, and sends none of it.
_HAS_NOTHING = ("fetch.negotiationAlgorithm=noop",)
#: What git says of an object that the server doesn't have, or doesn't give by its id.
NOT_BY_ID = re.compile("not our ref|unadvertised object")
#: What it says where the server left out what was asked for: a git before 2.29 can't be kept from
#: telling it of the commits that are here.
_LEFT_OUT = re.compile("bad revision|did not send all necessary objects")
_NO_SUCH_FILTER = re.compile("filter '.*' not supported|filter allows max depth|filter-spec")
_NO_FILTERS = "filtering not recognized"
#: What makes git rely on the server for what is missing (git-config(1), `remote.<name>.promisor`).
_PROMISES = re.compile(
    rb"^\s*(?:promisor|partialclonefilter)\s*=.*\n", re.MULTILINE | re.IGNORECASE
)


class _Look(NamedTuple):
    """What stands at a path, and whether it came with all that is below a folder above it.

    `missing` is the id of a folder on the way that isn't here; then nothing is known yet, but
    whether it may hold much more than what is looked for.
    """

    entry: Entry | None = None
    is_whole: bool = False
    missing: str = ""
    is_large: bool = False


@final
class PartialClone:
    """A bare repository in the private folder.

    Args:
        private: The folder.
        name: The repository's name in it.
        filters: What to leave out, each for servers that refuse those before.

    Attributes:
        name: The name.
        is_made: Whether there is such a repository yet.
    """

    def __init__(self, private: PrivateFolder, name: str, filters: Sequence[str]) -> None:
        self.name = name
        self.is_made = False
        self._private = private
        self._filters = [*filters, ""]
        command = (private.git, f"--git-dir={name}", "cat-file", "--batch")
        self._objects = Objects(command, private.path, private.environment)
        self._entries: dict[str, dict[str, Entry]] = {}
        self._listed: dict[str, Mapping[str, Entry]] = {}
        self._whole: set[str] = set()
        self._files: set[str] = set()
        self._singles = 0
        self._cloned = "", 1
        self._fetched: dict[str, tuple[str, int]] = {}
        self._trees: dict[str, str] = {}
        self._here: set[str] = set()

    @property
    def filter(self) -> str:
        """What the server leaves out, in git's words; empty for nothing."""
        return self._filters[0]

    @property
    def is_partial(self) -> bool:
        """Whether the server leaves out what is not asked for."""
        return bool(self.filter)

    def close(self) -> None:
        """End the program that reads objects."""
        self._objects.close()

    def run(self, *command: str, data: bytes = b"", settings: Sequence[str] = ()) -> str:
        """Run git in it, as `PrivateFolder.run` says.

        Args:
            *command: As there.
            data: As there.
            settings: As there.

        Returns:
            As there.

        Raises:
            GitError: As there.
            RetryableError: As there.
        """
        return self._private.run(*command, repository=self.name, data=data, settings=settings)

    def clone(self, branch: str, depth: int) -> None:
        """Make it of the newest commits of a branch.

        Args:
            branch: The branch; empty for the default one.
            depth: How many commits.

        Raises:
            GitError: git could not.
            RetryableError: It took too long.
        """
        self._cloned = branch, depth
        # One command makes the repository, finds the default branch and takes its commit.
        options = ["--quiet", "--bare", "--no-local", f"--depth={depth}", "--single-branch"]
        options += ["--no-tags", "--template=", *([f"--branch={branch}"] if branch else [])]
        url = self._private.remote.url
        while True:
            only = [f"--filter={self.filter}"] if self.filter else []
            try:
                told = self._private.run_telling("clone", *options, *only, "--", url, self.name)
            except GitError as failure:
                if not (only and _NO_SUCH_FILTER.search(failure.messages)):
                    raise
                self._filters.pop(0)
            else:
                self.is_made = True
                self._break_promises()
                if _NO_FILTERS in told[1]:
                    self._filters = [""]
                return
            finally:
                if not self.is_made:  # git leaves a part where it is killed
                    shutil.rmtree(self._private.path / self.name, ignore_errors=True)

    def fetch(self, what: str, ref: str, depth: int) -> None:
        """Fetch a commit and those before it.

        Args:
            what: The commit's id, or a full ref of the server.
            ref: Where to put it.
            depth: How many commits.

        Raises:
            GitError: git could not.
            RetryableError: It took too long.
        """
        # What a fetch that was ended has left would stop every other one.
        (self._private.path / self.name / "shallow.lock").unlink(missing_ok=True)
        options, url = ["--quiet", "--no-tags", f"--depth={depth}"], self._private.remote.url
        if self.is_partial:
            options.append(f"--filter={self.filter}")
        # Where no folders are wanted, or all of a commit's are here, that one is known saves much.
        settings = _HAS_NOTHING if self.filter == TWO_LEVELS else ()
        self._fetched[ref] = what, depth
        self._fetch(*options, "--", url, f"+{what}:{ref}", settings=settings)

    def resolve(self, ref: str) -> str:
        """Find what a ref points to.

        Args:
            ref: Its full name, or what else git-rev-parse(1) takes.

        Returns:
            The object's id; empty where it isn't here.
        """
        return self._objects.find(ref)

    def has(self, commit: str) -> bool:
        """Whether a commit is here.

        Args:
            commit: Its id.

        Returns:
            Whether it is.
        """
        return bool(self._objects.find(f"{commit}^{{commit}}"))

    def find(self, commit: str, path: str) -> Entry | None:
        """Look up a path; the folders on the way are fetched where they are not here.

        Args:
            commit: The id of a commit that is here.
            path: The path; not the root's.

        Returns:
            What stands there; None where nothing does.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        return self._walk(commit, path).entry

    def below(self, commit: str, folder: str) -> Mapping[str, Entry]:
        """List all that is below a folder.

        Args:
            commit: The id of a commit that is here.
            folder: The folder; empty for the root.

        Returns:
            What stands there, by its path from the root, parents before children.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        tree, is_whole = self._tree_of(commit), False
        if folder:
            look = self._walk(commit, folder)
            if look.entry is None or look.entry.kind != "folder":
                return {}
            tree, is_whole = look.entry.object, look.is_whole
        key = f"{tree}:{folder}"
        if key not in self._listed:
            if self._levels < _ALL_LEVELS and not is_whole and tree not in self._whole:
                self._fetch_objects(self._missing_below(tree))
            listing = self._ask("ls-tree", "-r", "-t", "-z", tree)
            prefix = f"{folder}/" if folder else ""
            self._listed[key] = {f"{prefix}{path}": one for path, one in parse_entries(listing)}
            self._learn(tree, listing)
        return self._listed[key]

    def read(self, commit: str, path: str) -> bytes:
        """Read a file, which is fetched where it is not here.

        Args:
            commit: The id of a commit that is here.
            path: The path of a regular file.

        Returns:
            Its content.

        Raises:
            KeyError: No regular file stands there.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        look = self._walk(commit, path)
        entry = look.entry
        if entry is None or entry.kind != "file":
            raise KeyError(path)
        if not self._is_here(look):
            self._singles += 1
            if self._singles > _MOST_SINGLES:
                self._begin_anew()
            else:
                self._fetch_objects([entry.object])
            self._files.add(entry.object)
        try:
            return self._objects.read(entry.object)
        except KeyError:
            # Too large to come along with its folder.
            self._fetch_objects([entry.object])
            return self._objects.read(entry.object)

    def expect(self, commit: str, paths: Iterable[str]) -> None:
        """Fetch files together.

        Args:
            commit: The id of a commit that is here.
            paths: Their paths; what isn't there is passed over.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        paths = list(paths)
        # All folders of one level come together.
        while missing := [at for path in paths if (at := self._look(commit, path)).missing]:
            self._fetch_folders(missing)
        found = [self._look(commit, path) for path in paths]
        wanted = {
            one.entry.object: None
            for one in found
            if one.entry and one.entry.kind == "file" and not self._is_here(one)
        }
        if wanted:
            self._fetch_objects(list(wanted))
            self._files.update(wanted)

    @property
    def _levels(self) -> int:
        return _LEVELS.get(self.filter, _ALL_LEVELS)

    def _walk(self, commit: str, path: str) -> _Look:
        """Look up a path, and fetch the folders on the way."""
        while (look := self._look(commit, path)).missing:
            self._fetch_folders([look])
        return look

    def _look(self, commit: str, path: str) -> _Look:
        """Look up a path as far as its folders are here."""
        tree, parts = self._tree_of(commit), path.split("/")
        is_whole, is_large = not self.is_partial or tree in self._whole, False
        for level, part in enumerate(parts):
            is_here = is_whole or level < self._levels or tree in self._here
            entries = self._in_tree(tree, is_here=is_here)
            if entries is None:
                return _Look(missing=tree, is_large=is_large and len(parts) - level > 2)
            entry = entries.get(part)
            is_whole = is_whole or tree in self._whole
            if entry is None or level == len(parts) - 1:
                return _Look(entry, is_whole or self._came_along(level, entry))
            if entry.kind != "folder":
                break
            tree, is_large = entry.object, len(entries) < _MANY
        return _Look()

    def _came_along(self, level: int, entry: Entry | None) -> bool:
        """Whether it is a file of the root, which comes with the folders next to it."""
        return level == 0 and self.filter == TWO_LEVELS and bool(entry and entry.kind == "file")

    def _is_here(self, look: _Look) -> bool:
        """Whether a file's content is known to be here."""
        return look.is_whole or bool(look.entry and look.entry.object in self._files)

    def _tree_of(self, commit: str) -> str:
        if commit not in self._trees:
            try:
                # The tree itself may not be here, so git is not asked for it.
                head = self._objects.read(commit).partition(b"\n")[0]
            except KeyError:
                raise self._moved() from None
            self._trees[commit] = head.removeprefix(b"tree ").decode()
        return self._trees[commit]

    def _in_tree(self, tree: str, *, is_here: bool) -> Mapping[str, Entry] | None:
        """What is directly in a folder; None where that is not here."""
        if tree not in self._entries:
            if not (is_here or tree in self._whole):
                return None
            try:
                content = self._objects.read(tree)
            except KeyError:
                return None
            self._entries[tree] = parse_tree(content, len(tree) // 2)
        return self._entries[tree]

    def _missing_below(self, tree: str) -> list[str]:
        """The folders below one that are not here, each without those below itself.

        The one itself would not be fetched again, whatever of it is missing.
        """
        if not self._objects.find(tree):
            return [tree]
        below = dict.fromkeys(self._folders_in(tree))
        return [missing for one in below for missing in self._missing_below(one)]

    def _learn(self, tree: str, listing: str) -> None:
        """Keep the entries of all folders of a listing, which need not be read then."""
        folders: dict[str, dict[str, Entry]] = {"": {}}
        ids = {"": tree}
        for path, entry in parse_entries(listing):
            folder, _, name = path.rpartition("/")
            folders[folder][name] = entry
            if entry.kind == "folder":
                folders[path], ids[path] = {}, entry.object
        self._entries.update((ids[path], entries) for path, entries in folders.items())

    def _fetch_folders(self, looks: Iterable[_Look]) -> None:
        """Fetch what is missing: with all below it, as a promotion reads more of it than one file.

        Of a folder that may be large only what is in it, and in the folders in it.
        """
        looks = list(looks)
        for is_large, only in ((True, TWO_LEVELS), (False, _SUBTREE)):
            trees = sorted({look.missing for look in looks if look.is_large == is_large})
            if not trees:
                continue
            self._fetch_objects(trees, only)
            if not all(map(self._objects.find, trees)):
                raise self._moved()
            (self._here if is_large else self._whole).update(trees)
            if is_large:
                self._here.update(one for tree in trees for one in self._folders_in(tree))

    def _folders_in(self, tree: str) -> list[str]:
        entries = self._in_tree(tree, is_here=True) or {}
        return [one.object for one in entries.values() if one.kind == "folder"]

    def _fetch_objects(self, ids: Sequence[str], only: str = NO_FILES) -> None:
        options = ["--quiet", "--no-tags", f"--filter={only}"]
        for start in range(0, len(ids), _MOST_IDS):
            if not self.is_partial:
                return
            some, url = ids[start : start + _MOST_IDS], self._private.remote.url
            try:
                self._fetch(*options, "--", url, *some, settings=_HAS_NOTHING)
            except GitError as failure:
                said = failure.own
                if any(one.search(said) for one in (NOT_BY_ID, _LEFT_OUT, _NO_SUCH_FILTER)):
                    self._begin_anew()
                else:
                    raise self._private.explain(failure, "") from None

    def _fetch(self, *options: str, settings: Sequence[str]) -> None:
        try:
            self.run("fetch", *options, settings=settings)
        finally:
            self._break_promises()

    def _break_promises(self) -> None:
        """Keep git from fetching what is missing by itself.

        That would be one object at a time, by programs that can't tell why it failed; and a push
        that comes too late would fetch all folders of the commit that came before it.
        """
        file = self._private.path / self.name / "config"
        file.write_bytes(_PROMISES.sub(b"", file.read_bytes()))

    def _ask(self, *command: str) -> str:
        try:
            return self.run(*command)
        except GitError as failure:
            raise self._private.explain(failure, "") from None

    def _begin_anew(self) -> None:
        """Take everything, as of a server that leaves nothing out or gives no folder by its id."""
        self._objects.close()
        self._filters, self.is_made = [""], False
        shutil.rmtree(self._private.path / self.name, ignore_errors=True)
        try:
            self.clone(*self._cloned)
            for ref, (what, depth) in list(self._fetched.items()):
                self.fetch(what, ref, depth)
        except GitError as failure:
            raise self._private.explain(failure, self._cloned[0]) from None

    def _moved(self) -> MovedHeadError:
        return MovedHeadError(
            f"A branch of {self._private.remote.url} moved while it was read.",
            "Run the job again.",
        )
