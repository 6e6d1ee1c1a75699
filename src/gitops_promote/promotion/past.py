"""What ran in an environment before, by the config repository's history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from posixpath import commonpath, dirname
from typing import TYPE_CHECKING

from gitops_promote.core.change import Running
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.promoted import Promoted, read_promotion
from gitops_promote.core.running import in_effect, running
from gitops_promote.core.yaml.document import Document

if TYPE_CHECKING:
    from gitops_promote.core.locate import Located
    from gitops_promote.effects.config_repository import ConfigRepository, Head, Past


#: After so many commits, of which most changed something else, it is looked at a file: before any
#: more of them are fetched; and after so many times as many again.
_FIRST_LOOK, _NEXT_LOOK = 780, 9


class _Line:
    """Commits with what the promotions in them say of themselves; what was read is kept."""

    def __init__(self, read: Callable[[], Iterator[Past]]) -> None:
        self._read = read
        self._rest: Iterator[Past] | None = None
        self._known: list[tuple[Past, tuple[Promoted, ...]]] = []

    def __iter__(self) -> Iterator[tuple[Past, tuple[Promoted, ...]]]:
        position = 0
        while True:
            while position < len(self._known):
                yield self._known[position]
                position += 1
            self._rest = self._rest or iter(self._read())
            past = next(self._rest, None)
            if past is None:
                return
            found = tuple(filter(None, map(read_promotion, past.messages)))
            self._known.append((past, found))


@dataclass
class Timeline:
    """The history of some places on a branch, walked back as far as somebody asks.

    `app` is whose promotions count; those of no app do, too. What was walked is kept.
    """

    repository: ConfigRepository
    head: Head
    places: Sequence[Located]
    app: str = ""
    _now: Mapping[str, bytes] | None = None

    def __post_init__(self) -> None:
        self._environments = {place.target.environment for place in self.places} - {""}
        path = common_path([place.path for place in self.places])
        self._log = _Line(partial(self.repository.log, self.head, path))
        self._messages = _Line(partial(self.repository.messages, self.head, path))

    def steps(self) -> Iterator[tuple[Past, tuple[Promoted, ...]]]:
        """Walk back.

        Yields:
            The commits that may have changed a place, the newest first, each with what the
            promotions in it say of themselves.

        Raises:
            PromoteError: As `ConfigRepository.log`.
        """
        for past, found in self._log:
            yield past, tuple(filter(self._is_meant, found))

    def made_by(self, name: str, version: str) -> Promoted | None:
        """Find the promotion that made a version run.

        Args:
            name: The image, as promotions call it.
            version: The version.

        Returns:
            The newest one; None where history knows none.

        Raises:
            PromoteError: As `ConfigRepository.log`.
        """
        checkpoint, was_there, is_sure = 0, None, False
        for count, (past, found) in enumerate(self._messages, 1):
            for promoted in filter(self._is_meant, found):
                if promoted.versions.get(name) == version and self._is_here(past, promoted):
                    return promoted
            # It came by no promotion if it wasn't there before; to look costs, so not each time.
            if past.sure and not is_sure:
                is_sure, checkpoint = True, count
            checkpoint = checkpoint or _FIRST_LOOK
            if count == checkpoint and past.parent:
                checkpoint *= 2 if past.sure else _NEXT_LOOK
                if was_there is None:
                    was_there = self._has(self.head.commit, name, version)
                is_there = self._has(past.parent, name, version)
                if was_there and not is_there:
                    return None
                was_there = was_there or is_there
        return None

    def _is_here(self, past: Past, promoted: Promoted) -> bool:
        """Whether a promotion, if it changed something else, counts here all the same.

        What a version was built from is the same wherever it runs. But a rollback holds for what it
        changed, or for the environment that it names.
        """
        if past.sure or (promoted.environments and not promoted.undone):
            return True
        paths = {place.path for place in self.places}
        return self.repository.read(past.id, paths) != (
            self.repository.read(past.parent, paths) if past.parent else {}
        )

    def _has(self, commit: str, name: str, version: str) -> bool:
        found = self.state(commit, (name,))
        return any(one.reference.version == version for one in found)

    def _is_meant(self, promoted: Promoted) -> bool:
        ours = self._environments
        others = promoted.environments and ours and promoted.environments.isdisjoint(ours)
        return not (others or (promoted.app and self.app and promoted.app != self.app))

    def state(self, commit: str, images: tuple[str, ...]) -> tuple[Running, ...]:
        """Read what ran at a commit.

        Args:
            commit: The commit's id.
            images: The names of the images that count; without any, all do.

        Returns:
            The images in their places; what could not be read before isn't there.

        Raises:
            PromoteError: As `ConfigRepository.read`; or it can't be told what runs now.
        """
        files = self._files(commit)
        found: dict[tuple[str, str, str], Running] = {}
        for place in self.places:
            if place.path in files:
                for one in self._running(commit, place, files[place.path], images):
                    found[one.image, one.path, one.key] = one
        return in_effect(self.places, tuple(found.values()))

    def now(self, images: tuple[str, ...]) -> tuple[Running, ...]:
        """Read what runs.

        Args:
            images: As for `state`.

        Returns:
            The images in their places.

        Raises:
            PromoteError: As for `state`.
        """
        return self.state(self.head.commit, images)

    def _files(self, commit: str) -> Mapping[str, bytes]:
        paths = {place.path for place in self.places}
        if commit != self.head.commit:
            return self.repository.read(commit, paths)
        if self._now is None:
            snapshot = self.repository.snapshot(commit)
            snapshot.expect(paths)
            files = (path for path in paths if snapshot.kind(path) == "file")
            self._now = {path: snapshot.read(path) for path in files}
        return self._now

    def _running(
        self, commit: str, place: Located, content: bytes, images: tuple[str, ...]
    ) -> tuple[Running, ...]:
        try:
            return running(place, Document.parse(content, place.path), images)
        except PromoteError:
            # Broken then, which is no reason to give up on what came before.
            if commit == self.head.commit:
                raise
            return ()


def called(one: Running) -> str:
    """Find what promotions call an image.

    Args:
        one: Where it runs.

    Returns:
        The name that is deployed, else the one that the file was searched for.
    """
    return one.reference.name or one.image


def common_path(paths: Sequence[str]) -> str:
    """Find what a history is to be listed by that has several files' changes.

    Args:
        paths: The files.

    Returns:
        The file, or the folder that all of them are below; empty for the root.
    """
    if len(set(paths)) == 1:
        return paths[0]
    return commonpath([dirname(path) for path in paths]) if paths else ""
