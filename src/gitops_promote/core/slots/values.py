"""The places of a chart's values that hold an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from gitops_promote.core.images import Reference, canonical_name, split_reference
from gitops_promote.core.slots.block import (
    DIGEST_KEYS,
    TAG_KEYS,
    block_reference,
    first_of,
    is_block,
    name_key,
    values_of,
    write_block,
)
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    resolve,
    text_of,
)


@dataclass(frozen=True)
class ValueSlot(Slot):
    """A place of a chart's values that holds an image, or a part of one.

    A *block* is a mapping of parts (`node` is a mapping). Otherwise `node` is a scalar that holds
    a whole reference, or with `part` its tag or digest alone, behind a `prefix` such as `NAME=`.
    `registry` is that of all images that name none.
    """

    node: Mapping | Scalar
    part: str = ""
    registry: str = ""
    prefix: str = ""

    @property
    def current(self) -> Reference:
        """What stands here; the name is empty where the place doesn't say it."""
        if isinstance(self.node, Mapping):
            return block_reference(self.node, self.registry)
        value = self.node.value[len(self.prefix) :]
        if not self.part:
            return split_reference(value)
        tag, _, digest = value.partition("@")
        return Reference("", "", tag) if self.part == "digest" else Reference("", tag, digest)

    @property
    def version_node(self) -> Node:
        """The node that a promotion changes, or the block that will hold it."""
        if isinstance(self.node, Mapping):
            return first_of(self.node, TAG_KEYS) or first_of(self.node, DIGEST_KEYS) or self.node
        return self.node

    @property
    def holders(self) -> list[Node]:
        """The nodes of tag and digest, also such as are no texts; else the place itself."""
        if not isinstance(self.node, Mapping):
            return [self.node]
        found = [find_value(self.node, key) for key in (*TAG_KEYS, *DIGEST_KEYS)]
        return [node for node in found if node is not None]

    @property
    def names(self) -> frozenset[str]:
        """The names that the image has here, with the registry of all images or without."""
        names = super().names
        if self.registry and isinstance(self.node, Mapping):
            names |= {canonical_name(block_reference(self.node, "").name)}
        return names

    @property
    def is_complete(self) -> bool:
        """Whether it is certain that the place takes a version."""
        return isinstance(self.node, Mapping) or bool(self.current.version)

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says."""
        return super().shows(Reference(new.name, "", new.digest) if self.part == "digest" else new)

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        if isinstance(self.node, Mapping):
            style = _quotes(self.document)
            write_block(editor, self.node, self.registry, new, self.label, style)
        elif not self.part:
            editor.set(self.node, f"{self.prefix}{new}")
        elif self.part == "digest" and new.digest:
            editor.set(self.node, f"{self.prefix}{new.digest}")
        elif self.part == "tag" and new.tag:
            editor.set(self.node, f"{self.prefix}{new.version}")
        else:
            raise editor.document.error(
                f"`{self.label}` holds a {self.part}, and the call gives none.",
                "Name the image's block instead, or give the image a tag and a digest.",
                self.node,
            )


# An edit looks at a file's images several times, before and after it.
@lru_cache(maxsize=4)
def slots(document: Document) -> list[ValueSlot]:
    """Every place of a values file that names an image.

    Args:
        document: The values file.

    Returns:
        The blocks with a name, and the references `NAME:TAG` whose key speaks of an image.
    """
    return tree_slots(Place(document, (), None, document.root))


def tree_slots(tree: Place) -> list[ValueSlot]:
    """Every place of a chart's values that names an image, where they are a part of a file.

    Args:
        tree: Where the values start.

    Returns:
        As `slots`.
    """
    document = tree.document
    root = resolve(tree.node) if tree.node else None
    registry = global_registry(root)
    found: list[ValueSlot] = []
    stack: list[tuple[Path, Node | None]] = [(tree.path, root)]
    while stack:
        path, node = stack.pop()
        inside: Iterable[tuple[str | int, Node]] = ()
        if isinstance(node, Sequence):
            inside = enumerate(node.items)
        elif isinstance(node, Mapping):
            if is_block(node):
                found.append(ValueSlot(document, path, node, registry=registry))
            values = values_of(node)
            spoken = "image" in "\n".join(map(str, path[len(tree.path) :])).lower()
            found.extend(
                ValueSlot(document, (*path, name), value)
                for name, value in _references(node, values, spoken=spoken)
            )
            inside = values.items()
        deeper = [((*path, s), v) for s, v in inside if isinstance(v, (Mapping, Sequence))]
        stack.extend(reversed(deeper))
    return found


def global_registry(root: Node | None) -> str:
    """What charts that follow Bitnami's take for the registry of every image without one.

    Args:
        root: The file's root.

    Returns:
        The registry, empty where the file names none for all.
    """
    shared = find_value(root, "global") if isinstance(root, Mapping) else None
    if not isinstance(shared, Mapping):
        return ""
    image = find_value(shared, "image")
    nested = text_of(image, "registry") if isinstance(image, Mapping) else ""
    return text_of(shared, "imageRegistry") or nested or text_of(shared, "registry")


def _references(
    node: Mapping, values: dict[str, Node], *, spoken: bool
) -> Iterator[tuple[str, Scalar]]:
    """The keys of a mapping that hold a whole reference."""
    keys = [name for name in values if spoken or "image" in name.lower()]
    if not keys:
        return
    own = name_key(node)
    parts = (own, *TAG_KEYS, *DIGEST_KEYS, *(["registry"] if own else []))
    for name in keys:
        value = values[name]
        if not isinstance(value, Scalar) or name in parts:
            continue
        reference = split_reference(value.value)
        # Without a tag only a key such as `image` itself tells a reference from a policy's name.
        whole = reference.version or name.lower().endswith("image")
        if whole and reference.name and not set(value.value) & set(" \t\n{}$"):
            yield name, value


def _quotes(document: Document) -> str:
    """The quotes that the file's last tag stands in."""
    for slot in reversed(slots(document)):
        tag = first_of(slot.node, TAG_KEYS) if isinstance(slot.node, Mapping) else None
        if tag is not None and tag.value:
            return tag.style if tag.style in ("'", '"') else ""
    return ""
