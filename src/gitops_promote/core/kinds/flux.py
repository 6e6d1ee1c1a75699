"""The target kind `flux`: what Flux's objects keep of images, and its markers in any file."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import lru_cache

from gitops_promote.core.change import Edited, Running
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, Reference
from gitops_promote.core.kinds.flux_artifact import ArtifactSlot
from gitops_promote.core.kinds.flux_markers import (
    MarkedSlot,
    markers,
    scalars,
    unread,
    with_markers,
)
from gitops_promote.core.kinds.kind import Around, SlotKind
from gitops_promote.core.slots.chart_version import ChartSlot, chart_name
from gitops_promote.core.slots.entry import EntrySlot
from gitops_promote.core.slots.objects import Object, objects
from gitops_promote.core.slots.search import Form, find_any, is_named
from gitops_promote.core.slots.slot import ReferenceSlot, Slot
from gitops_promote.core.slots.values import tree_slots
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Place
from gitops_promote.core.yaml.tree import Mapping, Sequence, find_value, resolve, text_of


def owns(item: Object) -> bool:
    """Whether an object is one of Flux's.

    Args:
        item: The object.

    Returns:
        True where it is.
    """
    return item.group.endswith(".toolkit.fluxcd.io")


@dataclass(frozen=True)
class ReleaseSlot(ChartSlot):
    """A chart whose repository is an object of its own, found in the file or not at all."""

    chart: str = "chart"
    url: str = ""

    @property
    def current(self) -> Reference:
        """The chart as an image; the name is empty where the file doesn't have the repository."""
        name = chart_name(self.url, text_of(self.node, self.chart)) if self.url else ""
        return Reference(name, text_of(self.node, self.version))


@dataclass(frozen=True)
class Flux(SlotKind):
    """The kind itself: an image is promoted once for each policy and each kind of object."""

    def answers(self, document: Document, key: str) -> bool:
        """As `Kind.answers` says: a path into one of Flux's objects is its own, too."""
        if super().answers(document, key):
            return True
        owned = [item.path for item in objects(document) if owns(item)]
        found = [slot.path for slot, _ in find_any(self.form, document, key)]
        return any(path[: len(start)] == start for path in found for start in owned)

    def set_image(self, document: Document, image: Image, key: str, around: Around) -> Edited:
        """As `Kind.set_image` says."""
        try:
            if not key:
                _check(document, image)
            return super().set_image(document, image, key, around)
        except ImageNotFoundError as error:
            error.fix += _about_unread(document)
            raise

    def running(self, document: Document, key: str, images: Seq[str]) -> tuple[Running, ...]:
        """As `Kind.running` says."""
        if not key:
            for name in images:
                _check(document, Image(name))
        return super().running(document, key, images)


def _check(document: Document, image: Image) -> None:
    """Refuse what is not for this call to tell: which of several places is meant."""
    named = [slot for slot in _found(document) if is_named(slot, image) and slot.is_complete]
    found = {id(slot.version_node): slot for slot in reversed(named)}.values()
    kinds = [(item.path, item.kind) for item in objects(document)]
    claims: dict[str, tuple[Slot, set[str]]] = {}
    for slot in reversed(found):
        own = next((kind for path, kind in kinds if slot.path[: len(path)] == path), "")
        name = slot.policy if isinstance(slot, MarkedSlot) else slot.label
        claims.setdefault(name, (slot, set()))[1].add(own)
    policies = {slot.policy for slot in found if isinstance(slot, MarkedSlot)}
    held = [kind for _, held in claims.values() for kind in held]
    if len(policies) > 1 or len(set(held)) < len(held):
        raise _ambiguous(document, image, [(name, slot) for name, (slot, _) in claims.items()])


def _ambiguous(document: Document, image: Image, claims: list[tuple[str, Slot]]) -> PromoteError:
    places = [
        f"`#{name}` (line {slot.line}, {slot.current.version or 'no version'})"
        for name, slot in claims
    ]
    policies = all(isinstance(slot, MarkedSlot) for _, slot in claims)
    of = "follows {} image policies" if policies else "stands in {} places"
    return document.error(
        f"`{image.name}` {of.format(len(claims))} here: {', '.join(places)}.",
        "Name one with `#KEY`, several with a target line each.",
        resolve(claims[0][1].version_node),
    )


def _about_unread(document: Document) -> str:
    """What to say of the comments that look like markers, where nothing is found."""
    lines = unread(document)
    if not lines:
        return ""
    return (
        f" The image policy in line {', '.join(map(str, lines[:5]))} is none that Flux reads: "
        'behind a value on one line there must be `# {"$imagepolicy": "NAMESPACE:NAME"}` alone.'
    )


def _fits(_: str, document: Document) -> bool:
    return any(map(owns, objects(document))) or bool(markers(document))


# An edit looks at a file's images several times, before and after it.
@lru_cache(maxsize=4)
def _found(document: Document) -> tuple[Slot, ...]:
    items = list(objects(document))
    own = [slot for item in items if owns(item) for slot in _slots_of(item, items)]
    if not items:
        # A values file.
        own = [*tree_slots(Place(document, (), None, document.root))]
    return tuple(with_markers(document, own))


def _slots(document: Document) -> list[Slot]:
    return list(_found(document))


def _slots_of(item: Object, items: list[Object]) -> Iterator[Slot]:
    """The places of one of Flux's objects."""
    kind = (item.group.partition(".")[0], item.kind)
    if kind == ("helm", "HelmRelease"):
        values = item.place("spec", "values")
        yield from [*tree_slots(values), *_filled(values)] if values else ()
        yield from _charts(item, item.place("spec", "chart", "spec"), items)
        yield from _renderers(item.place("spec", "postRenderers"))
    elif kind == ("source", "HelmChart"):
        yield from _charts(item, item.place("spec"), items)
    elif kind == ("kustomize", "Kustomization"):
        yield from _entries(item.place("spec", "images"))
    elif kind == ("source", "OCIRepository"):
        spec = item.place("spec")
        if spec and isinstance(spec.node, Mapping) and text_of(spec.node, "url"):
            yield ArtifactSlot(spec.document, spec.path, spec.node)


def _filled(values: Place) -> Iterator[Slot]:
    """The references of a chart's values that name an image and have a variable behind it."""
    if "${" not in values.document.text:
        return
    for path, _, node in scalars(values.document):
        inside = path[: len(values.path)] == values.path
        name, variable, _ = node.value.partition(":${")
        if inside and variable and "$" not in name and str(path[-1]).lower().endswith("image"):
            yield ReferenceSlot(values.document, path, node)


def _charts(item: Object, place: Place | None, items: list[Object]) -> Iterator[Slot]:
    """The chart that an object names, where it comes from a chart repository."""
    node = place.node if place else None
    if place is None or not isinstance(node, Mapping) or not text_of(node, "chart"):
        return
    source = find_value(node, "sourceRef")
    if not isinstance(source, Mapping) or text_of(source, "kind") != "HelmRepository":
        # Elsewhere a chart is a path, and its version is not looked at.
        return
    meant = (text_of(source, "name"), text_of(source, "namespace") or _named(item)[1])
    held = [other for other in items if other.kind == "HelmRepository" and _named(other) == meant]
    spec = held[0].place("spec") if held else None
    url = text_of(spec.node, "url") if spec and isinstance(spec.node, Mapping) else ""
    yield ReleaseSlot(place.document, place.path, node, url=url)


def _named(item: Object) -> tuple[str, str]:
    """An object's name and namespace."""
    place = item.place("metadata")
    if place is None or not isinstance(place.node, Mapping):
        return "", ""
    return text_of(place.node, "name"), text_of(place.node, "namespace")


def _renderers(place: Place | None) -> Iterator[Slot]:
    if place is None or not isinstance(place.node, Sequence):
        return
    for index, item in enumerate(map(resolve, place.node.items)):
        tool = find_value(item, "kustomize") if isinstance(item, Mapping) else None
        images = find_value(tool, "images") if isinstance(tool, Mapping) else None
        path = (*place.path, index, "kustomize", "images")
        yield from _entries(Place(place.document, path, None, images))


def _entries(place: Place | None) -> Iterator[Slot]:
    if place is None or not isinstance(place.node, Sequence):
        return
    for index, item in enumerate(map(resolve, place.node.items)):
        if isinstance(item, Mapping) and text_of(item, "name", fold=True):
            yield EntrySlot(place.document, (*place.path, index), item)


def _trees(document: Document) -> list[Place]:
    """The values of a release; of several, which is meant only a whole path tells."""
    releases = [item for item in objects(document) if owns(item) and item.kind == "HelmRelease"]
    found = [place for item in releases if (place := item.place("spec", "values"))]
    return found if len(found) == 1 else []


KIND = Flux("flux", _fits, Form(_slots, trees=_trees, several=True))
