"""What happened on a branch, by the real git: its history is fetched as far as it is asked for."""

from __future__ import annotations

import re
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, final

from gitops_promote.core.errors import MovedHeadError, RetryableError
from gitops_promote.effects.git.errors import GitError
from gitops_promote.effects.git.partial_clone import NO_TREES, NOT_BY_ID
from gitops_promote.effects.mainline import MOST_BROUGHT, Step, to_past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_promote.effects.config_repository import Head, Past
    from gitops_promote.effects.git.partial_clone import PartialClone
    from gitops_promote.effects.git.private_folder import PrivateFolder

#: So many commits of a branch come with the first fetch, and so many once more are asked for. The
#: last is what git takes for all.
DEPTHS = (50, 200, 800, 2400, 7200, 21600, 2**31 - 1)

#: Commits without their folders are small, and not all of them are about one app.
MESSAGES = 200
#: A fetch of no more commits than this takes no time to speak of.
_SHORT = 800
#: Keeps what was fetched to look further back.
_REF = "refs/deeper"


@final
class History:
    """The commits of a clone, whose branches are cut off somewhere and deepened on demand.

    git shows a commit where history is cut off as if it had made every file. So none is judged
    before its parents are here, whichever fetch has cut there.

    Args:
        private: The folder of the clone.
        clone: The clone.
        tell: Is told of what takes long.
        depth: How many commits of a branch a fetch leaves there, until more had to be had.
    """

    def __init__(
        self,
        private: PrivateFolder,
        clone: PartialClone,
        tell: Callable[[str], None] | None,
        depth: int,
    ) -> None:
        self.clone = clone
        self.depth = depth
        self._private = private
        self._tell = tell
        self._thread: Thread | None = None

    def begin(self, branch: str) -> None:
        """Fetch the newest commits of a branch while other things are done.

        Args:
            branch: The branch; empty for the default one.
        """
        before = self._thread
        # What fails here is done again, and told of, when somebody needs it.
        self._thread = in_background(lambda: self._fetch(branch, before))

    def wait(self) -> None:
        """Wait until what was begun is done."""
        if self._thread:
            self._thread.join()
            self._thread = None

    def stop(self) -> None:
        """End what was begun, for good."""
        self._private.stop(self.clone.name)
        self.wait()

    def log(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.log` says, or as `messages` where the clone has no trees.

        A time is no earlier than those of the `BELOW` commits that are below on the branch.

        Args:
            head: The branch, as fetched.
            path: The file or folder; empty for all.

        Returns:
            The commits.

        Raises:
            MovedHeadError: The branch was moved back, and the server no longer gives the commit.
        """
        self.ensure(head)
        sure = self.clone.filter != NO_TREES
        steps = self._steps(head, path.strip("/") if sure else "")
        return to_past(steps, lambda step: self._messages(head, step), sure=sure)

    def ensure(self, head: Head) -> None:
        """Have the newest commits of a branch here.

        Args:
            head: The branch, as fetched.

        Raises:
            MovedHeadError: As for `log`.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        self.wait()
        if not self.clone.is_made:
            try:
                self.clone.clone(head.branch, self.depth)
            except GitError as failure:
                raise self._private.explain(failure, head.branch) from None
        if self.depth < DEPTHS[0] or not self.clone.has(head.commit):
            self._deepen(head, head.commit)

    def _fetch(self, branch: str, before: Thread | None) -> None:
        if before:
            before.join()
        if not self.clone.is_made:
            self.clone.clone(branch, self.depth)
        elif branch:
            self.clone.fetch(f"refs/heads/{branch}", _REF, self.depth)

    def _steps(self, head: Head, path: str) -> Iterator[Step]:
        start = head.commit
        while True:
            cut = self._cut()
            line = ("--first-parent", start)
            # An encoding of its own, or one that is set, must not change how it is read.
            form = ("--encoding=UTF-8", "--format=%H%x00%P%x00%ct%x00%B%x00")
            fields = self._ask(head, "rev-list", *form, *line, "--").split("\0")[:-1]
            where = ("--", f":(literal){path}") if path else ()
            touched = frozenset(self._ask(head, "rev-list", *line, *where).split() if path else ())
            for name, parents, time, said in zip(*(fields[n::4] for n in range(4)), strict=True):
                # A line of git's own stands before each.
                start = name.split()[-1]
                if start in cut:
                    break
                is_touched = not path or start in touched
                yield Step(start, _seconds(time), tuple(parents.split()), is_touched, said)
            else:
                return
            # Another fetch may have brought more, or cut off more, since.
            while start in self._cut():
                self._deepen(head, start)

    def _messages(self, head: Head, step: Step) -> list[str]:
        brought = self._brought(head, step) if len(step.parents) > 1 else []
        if not brought:
            return [step.message]
        options = ("--no-walk=unsorted", "--encoding=UTF-8", "--format=%x00%B%x00")
        return [
            step.message,
            *self._ask(head, "rev-list", *options, *brought, "--").split("\0")[1::2],
        ]

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
        if self.clone.has(head.commit):
            line = ("--count", "--first-parent", head.commit, "--")
            known = int(self._ask(head, "rev-list", *line))
        for depth in DEPTHS:
            if depth <= known and depth != DEPTHS[-1]:
                continue
            if self._tell and depth > _SHORT:
                self._tell(f"Fetching older history of {head.branch} of {self._url} …")
            self._fetch_deeper(head, depth)
            if self.clone.has(commit) and commit not in self._cut():
                self.depth = max(self.depth, depth)
                return
        raise _gone(head, self._url)

    def _fetch_deeper(self, head: Head, depth: int) -> None:
        try:
            self.clone.fetch(head.commit, _REF, depth)
        except GitError as failure:
            if not NOT_BY_ID.search(failure.own):
                raise self._private.explain(failure, head.branch) from None
        else:
            return
        try:
            self.clone.fetch(f"refs/heads/{head.branch}", _REF, depth)
        except GitError as failure:
            if "find remote ref" in failure.own:
                raise _gone(head, self._url) from None
            raise self._private.explain(failure, head.branch) from None

    def _cut(self) -> frozenset[str]:
        """The commits whose parents are not looked at, though they have some."""
        try:
            file = self._private.path / self.clone.name / "shallow"
            listing = file.read_text(encoding="ascii")
        except FileNotFoundError:
            return frozenset()
        return frozenset(listing.split())

    def _ask(self, head: Head, *command: str) -> str:
        try:
            return self.clone.run(*command)
        except GitError as failure:
            raise self._private.explain(failure, head.branch) from None

    @property
    def _url(self) -> str:
        return self._private.remote.url


def in_background(action: Callable[[], None]) -> Thread:
    """Run git while other things are done; that it fails is left for somebody else to find.

    Args:
        action: What to do.

    Returns:
        The running thread.
    """

    def quietly() -> None:
        with suppress(GitError, RetryableError, OSError):
            action()

    thread = Thread(target=quietly, daemon=True)
    thread.start()
    return thread


def _seconds(text: str) -> int:
    # git prints nothing where a commit has no date that can be read.
    return int(text) if re.fullmatch(r"-?\d+", text) else 0


def _gone(head: Head, url: str) -> MovedHeadError:
    return MovedHeadError(
        f"Branch {head.branch} of {url} moved back while its history was read.",
        "Run the job again.",
    )
