"""What happened on a branch, by the real git: its history is fetched as far as it is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_promote.core.errors import MovedHeadError
from gitops_promote.effects.git.errors import GitError
from gitops_promote.effects.git.private_repository import FOLDER, PrivateRepository
from gitops_promote.effects.mainline import MOST_BROUGHT, Step, to_past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_promote.effects.config_repository import Head, Past
    from gitops_promote.effects.git.objects import Objects

#: So many commits of a branch come with the first fetch ...
FIRST_DEPTH = 50
#: ... and so many once more are asked for. The last is what git takes for all.
_DEPTHS = (FIRST_DEPTH, 500, 5000, 2**31 - 1)

#: A fetch of no more commits than this takes no time to speak of.
_SHORT = 500
#: Keeps what was fetched to look further back.
_REF = "refs/deeper"
#: What git says of a commit that the server doesn't have, or doesn't give by its id.
NOT_BY_ID = re.compile("not our ref|unadvertised object")


class HistoryRepository(PrivateRepository):
    """A private repository whose branches are cut off somewhere, and deepened on demand.

    git shows a commit where history is cut off as if it had made every file. So none is judged
    before its parents are here, whichever fetch has cut there.
    """

    #: Is told of what takes long.
    tell: Callable[[str], None] | None = None

    _objects: Objects
    #: How many commits of a branch a fetch leaves here: as many as one had to have.
    _depth = FIRST_DEPTH

    def log(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.log` says.

        A time is no earlier than those of the `BELOW` commits that are below on the branch.

        Raises:
            MovedHeadError: The branch was moved back, and the server no longer gives the commit.
        """
        steps = self._steps(head, path.strip("/"))
        yield from to_past(steps, lambda step: self._messages(head, step))

    def _steps(self, head: Head, path: str) -> Iterator[Step]:
        if not self._has(head.commit):
            self._deepen(head, head.commit)
        start = head.commit
        while True:
            cut = self._cut()
            line = ("--first-parent", start)
            form = "--format=%H%x00%P%x00%ct%x00"
            fields = self._ask(head, "rev-list", form, *line, "--").split("\0")[:-1]
            where = ("--", f":(literal){path}") if path else ("--",)
            touched = frozenset(self._ask(head, "rev-list", *line, *where).split())
            for name, parents, time in zip(*(fields[n::3] for n in range(3)), strict=True):
                # A line of git's own stands before each.
                start = name.split()[-1]
                if start in cut:
                    break
                yield Step(start, _seconds(time), tuple(parents.split()), start in touched)
            else:
                return
            # Another fetch may have brought more, or cut off more, since.
            while start in self._cut():
                self._deepen(head, start)

    def _messages(self, head: Head, step: Step) -> list[str]:
        names = [step.id, *(self._brought(head, step) if len(step.parents) > 1 else ())]
        # An encoding of its own, or one that is set, must not change how it is read.
        options = ("--no-walk=unsorted", "--encoding=UTF-8", "--format=%x00%B%x00")
        return self._ask(head, "rev-list", *options, *names, "--").split("\0")[1::2]

    def _brought(self, head: Head, merge: Step) -> list[str]:
        """The newest of the commits that are on the branch since a merge.

        Where history is cut off, an older commit of the branch may look like one of them. So they
        are believed only where each line of them is known to the point where it left the branch.
        """
        below = merge.parents[0]
        while True:
            options = ("--topo-order", "--parents", "--boundary", merge.id, f"^{below}", "--")
            listing = self._ask(head, "rev-list", *options).splitlines()
            known = [line.split() for line in listing]
            brought = [name for name, *_ in known if not name.startswith("-")][1:]
            cut = self._cut()
            if not cut:
                break
            line = self._ask(head, "rev-list", "--first-parent", below, "--").split()
            left = {name[1:] for name, *_ in known if name.startswith("-")}
            # Those without a parent: the merge itself, too, if another fetch has cut there.
            ends = [name for name, *parents in known if not (name.startswith("-") or parents)]
            open_ends = [name for name in (*ends, line[-1]) if name in cut]
            if not open_ends or (not ends and left.issubset(line)):
                break
            self._deepen(head, open_ends[0])
        return brought[:MOST_BROUGHT]

    def _deepen(self, head: Head, commit: str) -> None:
        """Fetch more of a branch, until a commit and its parents are here.

        The branch may have moved on: so it is asked for by the commit that it was at, and by its
        name only where the server gives none by its id.
        """
        known = 0
        if self._has(head.commit):
            line = ("--count", "--first-parent", head.commit, "--")
            known = int(self._ask(head, "rev-list", *line))
        for depth in _DEPTHS:
            if depth <= known and depth != _DEPTHS[-1]:
                continue
            if self.tell and depth > _SHORT:
                self.tell(f"Fetching older history of {head.branch} of {self._remote.url} …")
            self._fetch_deeper(head, depth)
            if self._has(commit) and commit not in self._cut():
                self._depth = max(self._depth, depth)
                return
        raise _gone(head, self._remote.url)

    def _fetch_deeper(self, head: Head, depth: int) -> None:
        try:
            self._fetch_into(head.commit, _REF, depth)
        except GitError as failure:
            if not NOT_BY_ID.search(failure.own):
                raise self._explain(failure, head.branch) from None
        else:
            return
        try:
            self._fetch_into(f"refs/heads/{head.branch}", _REF, depth)
        except GitError as failure:
            if "find remote ref" in failure.own:
                raise _gone(head, self._remote.url) from None
            raise self._explain(failure, head.branch) from None

    def _fetch_into(self, what: str, ref: str, depth: int) -> None:
        # What a fetch that was ended has left would stop every other one.
        (self._folder / FOLDER / "shallow.lock").unlink(missing_ok=True)
        options = ["--quiet", "--no-tags", f"--depth={depth}"]
        self._run("fetch", *options, "--", self._remote.url, f"+{what}:{ref}")

    def _cut(self) -> frozenset[str]:
        """The commits whose parents are not looked at, though they have some."""
        try:
            listing = (self._folder / FOLDER / "shallow").read_text(encoding="ascii")
        except FileNotFoundError:
            return frozenset()
        return frozenset(listing.split())

    def _has(self, commit: str) -> bool:
        return bool(self._objects.find(f"{commit}^{{tree}}"))

    def _ask(self, head: Head, command: str, *rest: str) -> str:
        try:
            return self._run(command, *rest)
        except GitError as failure:
            raise self._explain(failure, head.branch) from None


def _seconds(text: str) -> int:
    # git prints nothing where a commit has no date that can be read.
    return int(text) if re.fullmatch(r"-?\d+", text) else 0


def _gone(head: Head, url: str) -> MovedHeadError:
    return MovedHeadError(
        f"Branch {head.branch} of {url} moved back while its history was read.",
        "Run the job again.",
    )
