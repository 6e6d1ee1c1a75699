"""What ran in an environment before, by the config repository's history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from posixpath import commonpath, dirname
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.promoted import Promoted, read_promotion
from gitops_promote.core.running import Running, running
from gitops_promote.core.yaml.document import Document

if TYPE_CHECKING:
    from gitops_promote.core.targets import Located
    from gitops_promote.effects.config_repository import ConfigRepository, Head, Past


@dataclass
class Timeline:
    """The history of some places on a branch, walked back as far as somebody asks.

    `images` are the names of those that count; without any, all count. What was walked is kept.
    """

    repository: ConfigRepository
    head: Head
    places: Sequence[Located]
    images: tuple[str, ...] = ()
    _walked: list[tuple[Past, tuple[Promoted, ...]]] = field(default_factory=list)
    _rest: Iterator[Past] | None = None

    def commits(self) -> Iterator[Past]:
        """List the commits that may have changed a place.

        Yields:
            Those of the branch, the newest first.

        Raises:
            PromoteError: As `ConfigRepository.log`.
        """
        return (past for past, _ in self._walk())

    def promotions(self) -> Iterator[Promoted]:
        """List what promotions said of themselves.

        Yields:
            The promotions, the newest first.

        Raises:
            PromoteError: As `ConfigRepository.log`.
        """
        return (promoted for _, found in self._walk() for promoted in found)

    def walked_promotions(self) -> list[Promoted]:
        """List what the promotions said of themselves that were walked so far."""
        return [promoted for _, found in self._walked for promoted in found]

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
        found = (one for one in self.promotions() if one.versions.get(name) == version)
        return next(found, None)

    def _walk(self) -> Iterator[tuple[Past, tuple[Promoted, ...]]]:
        if self._rest is None:
            paths = [place.path for place in self.places]
            self._rest = iter(self.repository.log(self.head, common_path(paths)))
        position = 0
        while True:
            while position < len(self._walked):
                yield self._walked[position]
                position += 1
            past = next(self._rest, None)
            if past is None:
                return
            found = tuple(filter(None, map(read_promotion, past.messages)))
            self._walked.append((past, found))

    def state(self, commit: str, images: tuple[str, ...] | None = None) -> tuple[Running, ...]:
        """Read what ran at a commit.

        Args:
            commit: The commit's id.
            images: The names of the images that count, where it isn't `images` of all.

        Returns:
            The images in their places; what could not be read before isn't there.

        Raises:
            PromoteError: As `ConfigRepository.read`; or it can't be told what runs now.
        """
        images = self.images if images is None else images
        files = self.repository.read(commit, {place.path for place in self.places})
        found: dict[tuple[str, str, str], Running] = {}
        for place in self.places:
            if place.path in files:
                for one in self._running(commit, place, files[place.path], images):
                    found[one.image, one.path, one.key] = one
        return tuple(found.values())

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
