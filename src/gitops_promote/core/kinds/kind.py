"""What a target kind is: how its files are told from others, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gitops_promote.core.change import Edited, Running
from gitops_promote.core.images import Image
from gitops_promote.core.slots import edit, reading
from gitops_promote.core.slots.search import Form
from gitops_promote.core.yaml.document import Document


def _nothing(_: str) -> Document | None:
    return None


def _unknown() -> frozenset[str] | None:
    return None


def _no_files(_: Document) -> list[str]:
    return []


@dataclass(frozen=True)
class Around:
    """What an edit may know besides its file.

    `together` has the names of all images that this call gives the same version. `beside` reads a
    file by its path from the edited one's folder, None where there is none. `bump` is the part of
    a chart's own version that a new `appVersion` raises: `patch`, `minor`, `major` or none.
    `original` is the file as it was before this call edited it, None where that is the same.
    `used` names the images that the overlay beside the file uses, None where nobody can tell.
    `named` says that the target names the file, and doesn't only match it.
    """

    together: frozenset[str] = frozenset()
    beside: Callable[[str], Document | None] = _nothing
    bump: str = ""
    original: Document | None = None
    used: Callable[[], frozenset[str] | None] = _unknown
    named: bool = True


class Kind(Protocol):
    """A target kind. A new one is a module that makes one, and its place in `registry.KINDS`."""

    @property
    def name(self) -> str:
        """What stands before the `:` in a target."""
        ...

    @property
    def file_names(self) -> tuple[str, ...]:
        """The names of this kind's files that say what they are; a target may name their folder."""
        ...

    def fits(self, path: str, document: Document) -> bool:
        """Tell from its content, or else from its name, whether a file is of this kind.

        Args:
            path: The file's path.
            document: The file.

        Returns:
            True where it is.
        """
        ...

    def answers(self, document: Document, key: str) -> bool:
        """Whether a `#KEY` is a name that this kind gives to a place of a file.

        Args:
            document: The file.
            key: The key.

        Returns:
            True where it is; paths into the file count for any kind.
        """
        ...

    def creates(self, path: str) -> bool:
        """Whether a file that isn't there is made for an image.

        Args:
            path: Its path.

        Returns:
            True where it is one that this kind knows how to begin.
        """
        ...

    def values_files(self, document: Document) -> list[str]:
        """The values files that a file gives a chart.

        Args:
            document: The file.

        Returns:
            Their paths from the file's folder, as it has them.
        """
        ...

    def set_image(self, document: Document, image: Image, key: str, around: Around) -> Edited:
        """Promote an image in a file.

        Args:
            document: The file.
            image: The image, with a tag, a digest or a new name.
            key: The target's `#KEY`, empty to find the image by its name.
            around: What else counts.

        Returns:
            The edited file and what changed.

        Raises:
            ImageNotFoundError: The image isn't here, or the key leads to another.
            PromoteError: It is ambiguous, or the file can't be edited safely.
        """
        ...

    def running(self, document: Document, key: str, images: Sequence[str]) -> tuple[Running, ...]:
        """Read what runs in a file.

        Args:
            document: The file.
            key: The target's `#KEY`, or an empty text.
            images: The names that are meant; none for all.

        Returns:
            The images, as `core.running.running` says.

        Raises:
            PromoteError: The file is broken, or a name is ambiguous in it.
        """
        ...


@dataclass(frozen=True)
class SlotKind:
    """A kind whose files are told by `fits` and read by a `form`."""

    name: str
    fits: Callable[[str, Document], bool]
    form: Form
    file_names: tuple[str, ...] = ()
    values_files: Callable[[Document], list[str]] = _no_files

    def answers(self, document: Document, key: str) -> bool:
        """As `Kind.answers` says."""
        return any(slot.answers(key) for slot in self.form.slots(document))

    def creates(self, _path: str) -> bool:
        """As `Kind.creates` says: none."""
        return False

    def set_image(self, document: Document, image: Image, key: str, around: Around) -> Edited:
        """As `Kind.set_image` says."""
        return edit.set_image(self.form, document, image, key, around.together)

    def running(self, document: Document, key: str, images: Sequence[str]) -> tuple[Running, ...]:
        """As `Kind.running` says."""
        return reading.running(self.form, document, key, images)
