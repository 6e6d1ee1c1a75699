"""The places of a kustomization, besides `images:`, that hold an image.

What kustomize takes from where is written of its types `Kustomization`, `Patch`, `HelmChart`,
`HelmChartArgs` and `Replacement`, and of its literals, ("kustomize/api/types", "kustomize/api/kv").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from gitops_promote.core.images import Reference, split_reference
from gitops_promote.core.slots.block import children_of
from gitops_promote.core.slots.chart_version import ChartSlot
from gitops_promote.core.slots.slot import ReferenceSlot, Slot
from gitops_promote.core.slots.values import ValueSlot, tree_slots
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place, roots
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    find_value,
    resolve,
    text_of,
)

#: The fields of patches, in the order in which kustomize applies them.
PATCHES = ("patchesStrategicMerge", "patches", "patchesJson6902")

# The lists of a pod that hold images, and where in an item.
_LISTS = {
    "containers": ("image",),
    "initContainers": ("image",),
    "ephemeralContainers": ("image",),
    "volumes": ("image", "reference"),
}
# The one that `images:` doesn't reach ("kustomize/api/filters/imagetag").
_LITERAL = re.compile(r"""([^=]+=)(?:(["'])(.*)\2|(.*))""", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True)
class _Chart:
    """The keys of a chart, by what they hold; the old field has others."""

    repository: str
    name: str
    version: str
    inline: str
    files: tuple[str, ...]


_CHARTS = {
    "helmCharts": _Chart(
        "repo", "name", "version", "valuesInline", ("valuesFile", "additionalValuesFiles")
    ),
    "helmChartInflationGenerator": _Chart(
        "chartRepoUrl", "chartName", "chartVersion", "valuesLocal", ("values",)
    ),
}


@dataclass(frozen=True)
class PatchSlot(ReferenceSlot):
    """An image in an inline patch.

    `container` says of which container it is, as far as the patch does; equal ones are the same
    container's. `in_reach` says whether `images:` acts on it.
    """

    container: tuple[str, ...] = ()
    in_reach: bool = True


@dataclass(frozen=True)
class LiteralSlot(Slot):
    """A literal `NAME=VALUE` whose value is a version, or a whole reference."""

    node: Scalar

    @property
    def _parts(self) -> tuple[str, str, str]:
        """What stands before the value, the value, and the quote behind it."""
        found = _LITERAL.fullmatch(self.node.value)
        if found is None:
            return self.node.value, "", ""
        name, quote, inner, bare = found.groups()
        return name + (quote or ""), inner if quote else bare, quote or ""

    @property
    def part(self) -> str:
        """Which part of an image the value is: `tag`, `digest`, or all of it (empty)."""
        name, value, _ = self._parts
        name, reference = name.rstrip("=\"'").lower(), split_reference(value)
        if value.startswith("sha256:") or name.endswith(("digest", "sha")):
            return "digest"
        if "/" in value or reference.tag or name.endswith("image"):
            return ""
        return "" if reference.digest and not name.endswith(("tag", "version")) else "tag"

    @property
    def current(self) -> Reference:
        """What stands here."""
        value = self._parts[1]
        if not self.part:
            return split_reference(value)
        tag, _, digest = value.partition("@")
        return Reference("", "", value) if self.part == "digest" else Reference("", tag, digest)

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says."""
        return super().shows(Reference(new.name, "", new.digest) if self.part == "digest" else new)

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        before, _, after = self._parts
        value = {"": str(new), "digest": new.digest, "tag": new.tag and new.version}[self.part]
        whole = not self.part and not self.current.name
        if not value or whole or not before.rstrip("\"'").endswith("="):
            raise editor.document.error(
                f"`{self.label}` holds a {self.part or 'literal'}, and the call gives none.",
                "Give the image a tag and a digest, or name another key.",
                self.node,
            )
        editor.reword(self.node, f"{before}{value}{after}")


@dataclass(frozen=True)
class LabelSlot(ValueSlot):
    """The value of a label, which has room for a tag and none for a digest."""

    part: str = "tag"

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says."""
        return self.current.tag == new.tag

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: It is no value of a label.
        """
        if not _LABEL.fullmatch(new.tag):
            raise editor.document.error(
                f"`{self.label}` is a label, and `{new.tag or new.version}` can't be its value.",
                "Labels take up to 63 letters, digits, `.`, `_` and `-`: use an annotation.",
                self.node,
            )
        super().write(editor, Reference(new.name, new.tag))


@dataclass(frozen=True)
class Replaced:
    """What an item of `replacements` writes over the images of containers.

    It writes to a field of the objects of a kind and a name. `slot` is where it has that from, as
    far as the file says; `whole` says that this is a reference, and all of what is written.
    """

    label: str
    line: int
    kind: str
    name: str
    field: str
    slot: Slot | None
    whole: bool


# An edit looks at a file's places several times, before and after it.
@lru_cache(maxsize=4)
def places(document: Document) -> tuple[Slot, ...]:
    """What a kustomization itself sets an image by, or a chart, besides `images:`.

    Args:
        document: A kustomization file.

    Returns:
        The places in charts, patches and what `replacements` write, in kustomize's order.
    """
    written = [one.slot for one in replaced(document) if one.whole and one.slot]
    return (*_charts(document), *_patches(document), *written)


@lru_cache(maxsize=4)
def literals(document: Document) -> tuple[Slot, ...]:
    """The literals of a kustomization's `configMapGenerator`, for who names them.

    Args:
        document: A kustomization file.

    Returns:
        Each literal.
    """
    return tuple(
        LiteralSlot(document, item.path, item.node)
        for generator in _items(_below(_root(document), "configMapGenerator"))
        for item in _items(_below(generator, "literals"))
        if isinstance(item.node, Scalar) and "=" in item.node.value
    )


def trees(document: Document) -> list[Place]:
    """The values that a kustomization gives charts itself.

    Args:
        document: A kustomization file.

    Returns:
        The root of the values of each chart.
    """
    charts = [(chart, keys) for chart, keys in _chart_items(document)]
    found = [_below(chart, keys.inline) for chart, keys in charts]
    return [place for place in found if place and isinstance(place.node, Mapping)]


def values_files(document: Document) -> list[str]:
    """The values files that a kustomization gives charts.

    Args:
        document: A kustomization file.

    Returns:
        Their paths from its folder, as it has them.
    """
    found: dict[str, None] = {}
    for chart, keys in _chart_items(document):
        for place in (_below(chart, key) for key in keys.files):
            items = [place, *_items(place)] if place else []
            texts = [item.node.value for item in items if isinstance(item.node, Scalar)]
            found.update(dict.fromkeys(texts))
    return [path for path in found if path]


@lru_cache(maxsize=4)
def replaced(document: Document) -> tuple[Replaced, ...]:
    """What the `replacements` that stand in a kustomization write over images.

    Args:
        document: A kustomization file.

    Returns:
        Each field of an image that they write a version or a whole reference to.
    """
    items = _items(_below(_root(document), "replacements"))
    return tuple(
        one for item in items for one in _written(item, f"replacements[{item.path[-1]}]", document)
    )


def replacement_files(document: Document) -> list[str]:
    """The files that a kustomization takes replacements from.

    Args:
        document: A kustomization file.

    Returns:
        Their paths from its folder.
    """
    items = _items(_below(_root(document), "replacements"))
    return [path for path in (_text(item, "path") for item in items) if path]


def replaced_by(file: Document, document: Document) -> tuple[Replaced, ...]:
    """What a file of replacements writes over images.

    Args:
        file: The file.
        document: The kustomization file that takes it.

    Returns:
        As `replaced`; none is whole, as no promotion goes there by the image's name.
    """
    root = Place(file, (), None, file.root)
    items = [root] if isinstance(file.root, Mapping) else _items(root)
    found = [one for item in items for one in _written(item, file.path, document)]
    return tuple(replace(one, whole=False) for one in found)


def as_label(slot: Slot) -> Slot:
    """A place that a key leads to, with what its field has room for.

    Args:
        slot: The place.

    Returns:
        The same place; one that writes no digest where it is a label.
    """
    field = str(slot.path[0]).lower() if slot.path else ""
    is_label = field == "commonlabels" or (field == "labels" and "pairs" in slot.path)
    if is_label and isinstance(slot, ValueSlot) and isinstance(slot.node, Scalar):
        return LabelSlot(slot.document, slot.path, slot.node)
    return slot


def _root(document: Document) -> Place | None:
    root = document.root
    return Place(document, (), None, root) if isinstance(root, Mapping) else None


def _below(place: Place | None, *keys: str) -> Place | None:
    """What stands below keys, in whatever case they are written, as kustomize takes them."""
    for key in keys:
        node = place.node if place else None
        value = find_value(node, key, fold=True) if isinstance(node, Mapping) else None
        if place is None or not isinstance(node, Mapping) or value is None:
            return None
        pair = find_pair(node, key, fold=True)
        spelling = resolve(pair[0]) if pair else None
        name = spelling.value if isinstance(spelling, Scalar) else key
        place = Place(place.document, (*place.path, name), node, value)
    return place


def _items(place: Place | None) -> Iterator[Place]:
    node = place.node if place else None
    if place and isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            yield Place(place.document, (*place.path, index), node, resolve(item))


def _text(place: Place | None, *keys: str) -> str:
    """The text below keys, empty where there is none."""
    found = _below(place, *keys)
    return found.node.value if found and isinstance(found.node, Scalar) else ""


def _chart_items(document: Document) -> Iterator[tuple[Place, _Chart]]:
    for field, keys in _CHARTS.items():
        for item in _items(_below(_root(document), field)):
            yield item, keys


def _charts(document: Document) -> Iterator[Slot]:
    for item, keys in _chart_items(document):
        node = item.node
        if isinstance(node, Mapping) and text_of(node, keys.version):
            yield ChartSlot(document, item.path, node, keys.repository, keys.name, keys.version)
    for tree in trees(document):
        yield from tree_slots(tree)


def _patches(document: Document) -> Iterator[Slot]:
    for field in PATCHES:
        for item in _items(_below(_root(document), field)):
            inline = _below(item, "patch") if isinstance(item.node, Mapping) else item
            target = _target(_below(item, "target"))
            # Most patches are of other things, and reading YAML takes time.
            if inline and isinstance(inline.node, Scalar) and "image" in inline.node.value:
                yield from _in_text(inline, document.embedded(inline.node), target)


def patch_files(document: Document) -> list[tuple[str, tuple[str, ...], tuple[int, int]]]:
    """The files that a kustomization takes patches from.

    Args:
        document: A kustomization file.

    Returns:
        The path of each from its folder; what the patch is to apply to, as in `patches_in`; and
        its place in kustomize's order, as `patch_order` has it.
    """
    found = []
    for rank, field in enumerate(PATCHES):
        for index, item in enumerate(_items(_below(_root(document), field))):
            path = _text(item, "path") or _value(item.node)
            if path and "\n" not in path:
                found.append((path, _target(_below(item, "target")), (rank, index)))
    return found


def patch_order(slot: PatchSlot) -> tuple[int, int]:
    """The place of an inline patch in the order in which kustomize applies patches.

    Args:
        slot: An image in the patch.

    Returns:
        Numbers that rise.
    """
    field, index = str(slot.path[0]).lower(), slot.path[1]
    ranks = [rank for rank, name in enumerate(PATCHES) if name.lower() == field]
    return ranks[0], index if isinstance(index, int) else 0


def patches_in(document: Document, target: tuple[str, ...]) -> list[PatchSlot]:
    """The images in a file of patches.

    Args:
        document: The file.
        target: What the kustomization says of the objects that it is for.

    Returns:
        The places.
    """
    return list(_in_text(Place(document, (), None, None), document, target))


def _target(place: Place | None) -> tuple[str, ...]:
    """What a patch's target selects by, as a text that tells it from others."""
    if place is None or not isinstance(place.node, Mapping):
        return ()
    pairs = children_of((), place.node)
    return tuple(sorted(f"{path[0]}={_value(resolve(node))}" for path, node in pairs))


def _value(node: Node | None) -> str:
    return node.value if isinstance(node, Scalar) else ""


def _in_text(inline: Place, inner: Document | None, target: tuple[str, ...]) -> Iterator[PatchSlot]:
    """The images in the text of a patch, of whichever kind it is."""
    for root in roots(inner) if inner else []:
        place = Place(root.document, (*inline.path, *root.path), None, root.node)
        if isinstance(root.node, Mapping):
            own = ("kind", "metadata.name", "metadata.namespace")
            names = tuple(_text_at(root.node, key) for key in own)
            yield from _in_containers(place, ("merge", *(target or names)))
        else:
            for operation in _items(place):
                yield from _in_operation(operation, target)


def _text_at(node: Node, path: str) -> str:
    for key in path.split("."):
        found = find_value(node, key) if isinstance(node, Mapping) else None
        if found is None:
            return ""
        node = found
    return _value(node)


def _in_operation(operation: Place, target: tuple[str, ...]) -> Iterator[PatchSlot]:
    """The images that an operation of a JSON patch writes."""
    node = operation.node
    if not isinstance(node, Mapping) or text_of(node, "op") not in ("add", "replace"):
        return
    value = find_value(node, "value")
    if value is None:
        return
    keys = text_of(node, "path").split("/")
    place = Place(operation.document, (*operation.path, "value"), node, value)
    container = ("json", *target, *keys)
    if isinstance(value, Scalar) and keys[-1] == "image" and value.value:
        in_reach = keys[-3:-2] in (["containers"], ["initContainers"])
        yield PatchSlot(place.document, place.path, value, "", container, in_reach)
        return
    # The value may be an item of a list of containers, or all of it.
    listed = next((key for key in keys[-2:] if key in _LISTS), "")
    if not listed:
        yield from _in_containers(place, container, tuple(keys[1:]))
        return
    above = tuple(keys[1 : keys.index(listed)])
    for item in _items(place) if listed == keys[-1] else [place]:
        yield from _in_item(item, listed, container, above)


def _in_containers(
    start: Place, container: tuple[str, ...], base: tuple[str, ...] = ()
) -> Iterator[PatchSlot]:
    """The images of every list of containers below a place, which `base` leads to in its object."""
    stack: list[tuple[Path, Node | None]] = [(start.path, start.node)]
    while stack:
        path, node = stack.pop()
        inside: list[tuple[Path, Node]] = []
        if isinstance(node, Sequence):
            inside = [((*path, index), item) for index, item in enumerate(node.items)]
        elif isinstance(node, Mapping):
            inside = children_of(path, node)
        for way, value in inside:
            if way[-1] in _LISTS and isinstance(value, Sequence):
                above = (*base, *map(str, way[len(start.path) : -1]))
                for item in _items(Place(start.document, way, None, value)):
                    # Two lists of an object are of other containers, whatever their names.
                    own = (*container, *above)
                    yield from _in_item(item, str(way[-1]), own, above)
        # An alias stands for what is met where it is anchored.
        stack.extend(reversed([(w, v) for w, v in inside if isinstance(v, (Mapping, Sequence))]))


def _in_item(
    item: Place, listed: str, container: tuple[str, ...], above: tuple[str, ...]
) -> Iterator[PatchSlot]:
    """The image of a container, or of a volume; `above` leads to its list in the object."""
    node: Node | None = item.node
    for key in _LISTS[listed]:
        node = find_value(node, key) if isinstance(node, Mapping) else None
    if isinstance(node, Scalar) and node.value and isinstance(item.node, Mapping):
        name = text_of(item.node, "name")
        # Without a name nothing tells which container it is.
        one = (*container, listed, name) if name else (*container, *map(str, item.path))
        path = (*item.path, *_LISTS[listed])
        # The transformer's field specs know containers anywhere, and volumes of these alone.
        volumes = listed == "volumes" and above in (("spec",), ("spec", "template", "spec"))
        in_reach = volumes or listed in ("containers", "initContainers")
        yield PatchSlot(item.document, path, node, "", one, in_reach)


def _written(item: Place, label: str, document: Document) -> Iterator[Replaced]:
    for target in _items(_below(item, "targets")):
        delimiter, index = (_text(target, "options", key) for key in ("delimiter", "index"))
        if delimiter and index in ("", "0"):
            continue  # what stands before the first delimiter is no version
        kind, name = (_text(target, "select", key) for key in ("kind", "name"))
        for field in _items(_below(target, "fieldPaths")):
            path = _value(field.node)
            if field.node and re.search(r"(?:^|[.\]])image$", path):
                slot = _source(item, document)
                whole = not delimiter and bool(slot and slot.names and slot.current.version)
                line = field.document.line(field.node)
                yield Replaced(label, line, kind, name, path, slot, whole)


def _source(item: Place, document: Document) -> Slot | None:
    """Where a replacement has its value from, if that is a place of it or the kustomization."""
    value = _below(item, "sourceValue")
    if value and isinstance(value.node, Scalar):
        return ReferenceSlot(value.document, value.path, value.node)
    field = _text(item, "source", "fieldPath")
    refined = _text(item, "source", "options", "delimiter")
    if refined or not field.startswith("data.") or _text(item, "source", "kind") != "ConfigMap":
        return None
    return _sources(document).get((_text(item, "source", "name"), field[5:]))


@lru_cache(maxsize=4)
def _sources(document: Document) -> dict[tuple[str, str], Slot]:
    """The literals by the names of their generators and their own, of equal ones the first."""
    generators = _items(_below(_root(document), "configMapGenerator"))
    names = {generator.path: _text(generator, "name") for generator in generators}
    found: dict[tuple[str, str], Slot] = {}
    for slot in literals(document):
        key = slot.node.value.partition("=")[0] if isinstance(slot.node, Scalar) else ""
        found.setdefault((names[slot.path[:2]], key), slot)
    return found
