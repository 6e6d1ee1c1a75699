"""A place of a file that holds an image, whatever kind the file is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.core.images import Reference, canonical_name, split_reference
from gitops_promote.core.slots.filled import filled_by
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, format_path, node_at
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import Node, Scalar, resolve

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Slot(ABC):
    """A place of a file that holds an image, or a part of one.

    `document` is the file, or the YAML in one of its texts. `path` leads from the file's root to
    `node`, which is no alias.
    """

    document: Document
    path: Path
    node: Node

    @property
    @abstractmethod
    def current(self) -> Reference:
        """What stands here; a part is empty where the place doesn't say it."""

    @abstractmethod
    def write(self, editor: Editor, new: Reference) -> None:
        """Have an image stand here.

        Args:
            editor: The editor of `document`.
            new: What the place is to say; it is to leave out what it has no room for, or refuse.

        Raises:
            PromoteError: There is no room for what matters.
        """

    @property
    def version_node(self) -> Node:
        """The node that a promotion changes, or that will hold what it adds."""
        return self.node

    @property
    def label(self) -> str:
        """The `#KEY` that names the place, without the `#`."""
        return format_path(self.path)

    @property
    def names(self) -> frozenset[str]:
        """The names that the image has here, written in full; none where nothing says it."""
        name = self.current.name
        return frozenset([canonical_name(name)] if name else [])

    @property
    def is_open(self) -> bool:
        """Whether the place is of no image by name, and so takes whichever is promoted."""
        return False

    @property
    def holders(self) -> list[Node]:
        """The nodes that hold a version here: a tag's, a digest's, or both."""
        return [resolve(self.version_node)]

    @property
    def filled(self) -> Node | None:
        """What another program fills in of the version: a template or a variable; mostly none."""
        return next((node for node in self.holders if filled_by(self.document, node)), None)

    @property
    def is_complete(self) -> bool:
        """Whether it is certain that the place takes a version."""
        return True

    @property
    def line(self) -> int:
        """The line of the version in the file, counted from 1."""
        return self.document.line(resolve(self.version_node))

    def answers(self, key: str) -> bool:
        """Whether a target's `#KEY` means this place by a name of its own.

        Args:
            key: The key, without the `#`.

        Returns:
            True where it does. Paths are followed anyway.
        """
        return key == self.label

    def shows(self, new: Reference) -> bool:
        """Whether the place says what it is to.

        Args:
            new: What was given to `write`.

        Returns:
            True where all that it has room for is as meant.
        """
        current = self.current
        named = not current.name or canonical_name(current.name) == canonical_name(new.name)
        tagged = not new.tag or current.tag == new.tag
        return named and tagged and (not new.digest or current.digest == new.digest)

    def again(self, file: Document) -> Self:
        """The same place after an edit.

        Args:
            file: The edited file.

        Returns:
            The place there.

        Raises:
            PromoteError: It is gone.
        """
        place = node_at(file, self.path)
        if place.node is None:
            raise file.error(f"`{self.label}` is gone.", "Write its values out first.")
        return replace(self, document=place.document, node=resolve(place.node))


@dataclass(frozen=True)
class ReferenceSlot(Slot):
    """A scalar that holds a whole reference, behind a prefix such as `NAME=`."""

    node: Scalar
    prefix: str = ""

    @property
    def current(self) -> Reference:
        """What stands here."""
        return split_reference(self.node.value[len(self.prefix) :])

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        editor.set(self.node, f"{self.prefix}{new}")
