"""The Kubernetes objects of a file: of each of its documents, and of lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place, roots
from gitops_promote.core.yaml.tree import Mapping, Node, Sequence, find_value, resolve, text_of


@dataclass(frozen=True)
class Object:
    """A Kubernetes object: where it stands, its API group (empty for the core) and its kind."""

    document: Document
    path: Path
    node: Mapping
    group: str
    kind: str

    def place(self, *path: str) -> Place | None:
        """A place inside.

        Args:
            path: The keys that lead there.

        Returns:
            The place, whose node is no alias; None where there is nothing.
        """
        node: Node | None = self.node
        for key in path:
            node = find_value(node, key) if isinstance(node, Mapping) else None
        return Place(self.document, (*self.path, *path), None, node) if node else None


def objects(document: Document) -> Iterator[Object]:
    """Find the Kubernetes objects of a file.

    Args:
        document: The file.

    Yields:
        Each object that has an `apiVersion` and a `kind`, in the file's order. A `List` counts as
        what it holds.
    """
    stack = list(reversed(roots(document)))
    seen = set[int]()  # a list may hold itself, by an alias
    while stack:
        place = stack.pop()
        node = resolve(place.node) if place.node else None
        if not isinstance(node, Mapping) or id(node) in seen:
            continue
        seen.add(id(node))
        version, kind = text_of(node, "apiVersion"), text_of(node, "kind")
        items = find_value(node, "items")
        if kind.endswith("List") and isinstance(items, Sequence):
            path = (*place.path, "items")
            inside = [
                Place(document, (*path, i), items, item) for i, item in enumerate(items.items)
            ]
            stack.extend(reversed(inside))
        elif version and kind:
            group, slash, _ = version.rpartition("/")
            yield Object(document, place.path, node, group if slash else "", kind)
