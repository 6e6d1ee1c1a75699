"""The places of a chart's values file that hold an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from gitops_promote.core.images import Reference, split_reference, split_registry
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    by_name,
    find_pair,
    find_value,
    is_null,
    resolve,
    text_of,
)

# The names that charts give to the parts of an image, the usual one first.
NAME_KEYS = ("repository", "repo", "image", "name")
TAG_KEYS = ("tag", "imageTag", "version")
DIGEST_KEYS = ("digest", "sha")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of a values file that holds an image, or a part of one.

    A *block* is a mapping of parts (`node` is a mapping). Otherwise `node` is a scalar that holds
    a whole reference, or with `part` its tag or digest alone.
    """

    path: Path
    node: Mapping | Scalar
    part: str = ""
    registry: str = ""

    @property
    def current(self) -> Reference:
        """What stands here; the name is empty where the place doesn't say it."""
        if isinstance(self.node, Mapping):
            return block_reference(self.node, self.registry)
        if not self.part:
            return split_reference(self.node.value)
        tag, _, digest = self.node.value.partition("@")
        return Reference("", "", tag) if self.part == "digest" else Reference("", tag, digest)

    @property
    def version_node(self) -> Node:
        """The node that a promotion changes, or the block that will hold it."""
        if isinstance(self.node, Mapping):
            return first_of(self.node, TAG_KEYS) or first_of(self.node, DIGEST_KEYS) or self.node
        return self.node


# An edit looks at a file's images several times, before and after it.
@lru_cache(maxsize=4)
def slots(document: Document) -> list[Slot]:
    """Every place of a values file that names an image.

    Args:
        document: The values file.

    Returns:
        The blocks with a name, and the references `NAME:TAG` whose key speaks of an image.
    """
    registry = global_registry(document.root)
    found: list[Slot] = []
    stack: list[tuple[Path, Node | None]] = [((), document.root)]
    while stack:
        path, node = stack.pop()
        inside: Iterable[tuple[str | int, Node]] = ()
        if isinstance(node, Sequence):
            inside = enumerate(node.items)
        elif isinstance(node, Mapping):
            if is_block(node):
                found.append(Slot(path, node, registry=registry))
            values = _values(node)
            found.extend(_reference_slots(path, node, values))
            inside = values.items()
        deeper = [((*path, s), v) for s, v in inside if isinstance(v, (Mapping, Sequence))]
        stack.extend(reversed(deeper))
    return found


def children_of(path: Path, node: Mapping) -> list[tuple[Path, Node]]:
    """The values that count, of a key given twice the last, as aliases where they are such.

    Args:
        path: The mapping's path.
        node: The mapping.

    Returns:
        The path and the value of each key.
    """
    return [((*path, name), value) for name, value in _values(node).items()]


def first_of(node: Mapping, keys: tuple[str, ...]) -> Scalar | None:
    """The value of the first of several keys that a block has, merged ones included.

    Args:
        node: The block.
        keys: The keys, the usual one first.

    Returns:
        The scalar, or None where it has none of them.
    """
    values = (find_value(node, key) for key in keys)
    return next((value for value in values if isinstance(value, Scalar)), None)


def name_key(node: Mapping) -> str:
    """The key of a mapping that names the image's repository; empty where it is no block.

    Args:
        node: The mapping.

    Returns:
        One of `NAME_KEYS`, or an empty text.
    """
    # Most mappings are none, and all of a file are asked.
    if by_name(node).keys().isdisjoint(NAME_KEYS):
        return ""
    for key in NAME_KEYS:
        if not text_of(node, key):
            continue
        if key in ("repository", "repo"):
            return key
        versioned = first_of(node, TAG_KEYS[:2] + DIGEST_KEYS) is not None
        registry = key == "image" and text_of(node, "registry")
        if (versioned or registry) and not split_reference(text_of(node, key)).version:
            return key
    return ""


def is_block(node: Mapping) -> bool:
    """Whether a mapping names an image, and itself has a part of it.

    Args:
        node: The mapping.

    Returns:
        True for an image's block.
    """
    parts = (*NAME_KEYS, *TAG_KEYS, *DIGEST_KEYS)
    return bool(name_key(node)) and any(find_pair(node, key) for key in parts)


def block_reference(node: Mapping, registry: str) -> Reference:
    """What a block says of its image.

    Args:
        node: The block.
        registry: The registry of all images that name none.

    Returns:
        Name, tag and digest; each is empty where the block doesn't say it.
    """
    key = name_key(node)
    name, own = (text_of(node, key) if key else ""), text_of(node, "registry")
    if name and own:
        name = f"{own}/{name}"
    elif name and registry and not split_registry(name)[0]:
        name = f"{registry}/{name}"
    tag_node, digest_node = first_of(node, TAG_KEYS), first_of(node, DIGEST_KEYS)
    tag, _, digest = (tag_node.value if tag_node else "").partition("@")
    if not digest and digest_node and digest_node.value:
        digest = digest_node.value
        if digest_key(node) == "sha" and ":" not in digest:
            digest = f"sha256:{digest}"
    return Reference(name, "" if tag_node and is_null(tag_node) else tag, digest)


def digest_key(node: Mapping) -> str:
    """The key that a block has for its digest, empty where it has none.

    Args:
        node: The block.

    Returns:
        One of `DIGEST_KEYS`, or an empty text.
    """
    return next((key for key in DIGEST_KEYS if find_value(node, key) is not None), "")


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


def _values(node: Mapping) -> dict[str, Node]:
    """The values of a mapping's own keys, of a key given twice the last."""
    names = [(resolve(key), value) for key, value in node.pairs]
    return {name.value: value for name, value in names if isinstance(name, Scalar)}


def _reference_slots(path: Path, node: Mapping, values: dict[str, Node]) -> Iterator[Slot]:
    inside = "image" in "\n".join(map(str, path)).lower()
    spoken = [name for name in values if inside or "image" in name.lower()]
    if not spoken:
        return
    own = name_key(node)
    parts = (own, *TAG_KEYS, *DIGEST_KEYS, *(["registry"] if own else []))
    for name in spoken:
        value = values[name]
        if not isinstance(value, Scalar) or name in parts:
            continue
        reference = split_reference(value.value)
        # Without a tag only a key such as `image` itself tells a reference from a policy's name.
        whole = reference.version or name.lower().endswith("image")
        if whole and reference.name and not set(value.value) & set(" \t\n{}$"):
            yield Slot((*path, name), value)
