"""The target kind `manifest`: the containers of Kubernetes objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gitops_promote.core.images import Reference, split_reference
from gitops_promote.core.kinds import argocd, flux
from gitops_promote.core.kinds.kind import SlotKind
from gitops_promote.core.slots.filled import filled_by
from gitops_promote.core.slots.objects import Object, objects
from gitops_promote.core.slots.search import Form
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    by_name,
    find_value,
    is_null,
    resolve,
)

# The lists that hold images, and the path to the image in an item: those of Kubernetes' PodSpec
# ("Kubernetes API Reference", `core/v1`), wherever an object has them. So those of objects that
# come from elsewhere (a Rollout, a Knative Service, a ClusterServiceVersion) are among them.
_LISTS: dict[str, tuple[str, ...]] = {
    "containers": ("image",),
    "initContainers": ("image",),
    "ephemeralContainers": ("image",),
    "volumes": ("image", "reference"),
}


@dataclass(frozen=True)
class ContainerSlot(Slot):
    """The image of a container, or of a volume. A template without quotes is no scalar."""

    node: Scalar | Mapping

    @property
    def current(self) -> Reference:
        """What stands here; nothing is known of what another program fills in."""
        if isinstance(self.node, Mapping) or self.filled:
            return Reference("")
        return split_reference(self.node.value)

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        editor.set(self.node, str(new))


def _owns(item: Object) -> bool:
    return not argocd.owns(item) and not flux.owns(item)


def _fits(_: str, document: Document) -> bool:
    return any(map(_owns, objects(document)))


# An edit looks at a file's images several times, before and after it.
@lru_cache(maxsize=4)
def _found(document: Document) -> tuple[Slot, ...]:
    # The names of a CustomResourceDefinition's schema are those of the objects that it describes.
    owned = [item for item in objects(document) if _owns(item)]
    described = [item for item in owned if item.kind != "CustomResourceDefinition"]
    return tuple(slot for item in described for slot in _containers(item))


def _slots(document: Document) -> list[Slot]:
    return list(_found(document))


def _containers(item: Object) -> Iterator[Slot]:
    """The images of an object, each list once: what an alias stands for may be met again."""
    stack: list[tuple[Path, Node]] = [(item.path, item.node)]
    seen: set[int] = set()
    read: set[int] = set()
    while stack:
        path, node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        inside: list[tuple[str | int, Node]] = []
        if isinstance(node, Sequence):
            inside = list(enumerate(map(resolve, node.items)))
        elif isinstance(node, Mapping):
            inside = [(name, resolve(pair[1])) for name, pair in by_name(node).items()]
        for key, value in inside:
            way = _LISTS.get(key) if isinstance(key, str) else None
            if way and isinstance(value, Sequence) and id(value) not in read:
                read.add(id(value))
                yield from _images(item.document, (*path, key), value, way)
        deeper = [((*path, key), value) for key, value in inside if not isinstance(value, Scalar)]
        stack.extend(reversed(deeper))


def _images(
    document: Document, path: Path, items: Sequence, way: tuple[str, ...]
) -> Iterator[Slot]:
    """The images of a list of containers or volumes."""
    for index, item in enumerate(items.items):
        node: Node | None = resolve(item)
        for key in way:
            node = find_value(node, key) if isinstance(node, Mapping) else None
        if isinstance(node, (Scalar, Mapping)) and _is_image(document, node):
            yield ContainerSlot(document, (*path, index, *way), node)


def _is_image(document: Document, node: Scalar | Mapping) -> bool:
    if filled_by(document, node):
        return True
    # A text with blanks, as of a block that ends in a line break, is no reference.
    return isinstance(node, Scalar) and not is_null(node) and node.value.split() == [node.value]


KIND = SlotKind("manifest", _fits, Form(_slots, several=True))
