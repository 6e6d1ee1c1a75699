"""What Argo CD's objects keep of images: in their sources, and in what generators fill in there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from posixpath import basename

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import KEEP, Image, Reference, canonical_name, split_reference
from gitops_promote.core.kinds.argocd_parameters import given
from gitops_promote.core.slots.block import name_key
from gitops_promote.core.slots.chart_version import ChartSlot
from gitops_promote.core.slots.filled import filled_by, refusal
from gitops_promote.core.slots.objects import Object, objects
from gitops_promote.core.slots.parameters import Beaten, Given
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import ValueSlot, tree_slots
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Key, Path, Place, Selector, format_path
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

_OVERRIDE = re.compile(r"\.argocd-source(?:-.+)?\.yaml")
# The keys that usually tell the elements of a list generator from each other.
_TELLING = ("env", "environment", "stage", "cluster", "name")
_PARAMETER = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*")
_BRACES = re.compile(r"\{\{([^{}]*)\}\}")


def owns(item: Object) -> bool:
    """Whether an object is one of Argo CD's that hold images.

    Args:
        item: The object.

    Returns:
        True where it is.
    """
    return item.group == "argoproj.io" and item.kind in ("Application", "ApplicationSet")


def is_override(path: str) -> bool:
    """Whether a file is one with which Argo CD overrides an Application's source.

    Args:
        path: Its path.

    Returns:
        True for `.argocd-source.yaml` and `.argocd-source-NAME.yaml`.
    """
    return _OVERRIDE.fullmatch(basename(path)) is not None


@dataclass(frozen=True)
class Source:
    """A source: its place, and why Argo CD takes another, if it does."""

    place: Place
    ignored: str = ""


@dataclass(frozen=True)
class Found:
    """What a file holds of images, its sources, and its ApplicationSets."""

    slots: tuple[Slot, ...]
    beaten: tuple[Beaten, ...]
    trees: tuple[Place, ...]
    sources: tuple[Source, ...]
    sets: tuple[Object, ...]


@dataclass(frozen=True)
class KustomizeSlot(Slot):
    """An item of `kustomize.images`: `NAME[:TAG][@DIGEST]` or `NAME=NEW[:TAG][@DIGEST]`.

    It is an argument of `kustomize edit set image`.
    """

    node: Scalar

    @property
    def name(self) -> str:
        """The image that the item is for."""
        name, _, rest = self.node.value.partition("=")
        return name if rest else split_reference(name).name

    @property
    def current(self) -> Reference:
        """What the item makes of its image."""
        name, equals, rest = self.node.value.partition("=")
        reference = split_reference(rest if equals else name)
        own = self.name if reference.name == KEEP else reference.name
        return Reference(own, reference.tag, reference.digest)

    @property
    def names(self) -> frozenset[str]:
        """The name that the item is for, and the one that it deploys."""
        return super().names | {canonical_name(self.name)}

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        name, equals, rest = self.node.value.partition("=")
        if not equals and new.name == self.name:
            editor.set(self.node, str(new))
            return
        kept = split_reference(rest).name == KEEP and new.name == name
        value = str(Reference(KEEP if kept else new.name, new.tag, new.digest))
        editor.set(self.node, f"{self.name}={value}")


@dataclass(frozen=True)
class ElementSlot(ValueSlot):
    """An image in an element of a list generator; `element` is the element as a key tells it."""

    element: Key = ()

    @property
    def label(self) -> str:
        """The `#KEY` that names the place, without the `#`."""
        return format_path((*self.element, *self.path[len(self.element) :]))


# An edit looks at a file's images several times, before and after it.
@lru_cache(maxsize=4)
def read(document: Document) -> Found:
    """Find the images of a file of Argo CD's.

    Args:
        document: The file.

    Returns:
        The images.
    """
    if is_override(document.path):
        root = document.root
        whole = [Source(Place(document, (), None, root))] if root else []
        return _joined([_source(source, "forcestring") for source in whole], [], whole, ())
    owned = [item for item in objects(document) if owns(item)]
    sets = [item for item in owned if item.kind == "ApplicationSet"]
    sources = [source for item in owned for source in _sources(item)]
    filled = [slot for item in sets for slot in _generated(item)]
    return _joined([_source(s, "forceString") for s in sources], filled, sources, tuple(sets))


def _joined(
    found: list[Given], filled: list[Slot], sources: list[Source], sets: tuple[Object, ...]
) -> Found:
    slots = [slot for one in found for slot in one.slots]
    beaten = [item for one in found for item in one.beaten]
    trees = [tree for one in found for tree in one.trees]
    return Found((*slots, *filled), tuple(beaten), tuple(trees), tuple(sources), sets)


def _mapping(node: Node | None, *path: str) -> Mapping | None:
    for key in path:
        node = find_value(node, key) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) else None


def _sources(item: Object) -> Iterator[Source]:
    """The sources of an Application, or of what an ApplicationSet makes."""
    if item.kind == "Application":
        yield from _sources_of(item.place("spec"))
        return
    yield from _sources_of(item.place("spec", "template", "spec"))
    for generator in _generators(item.place("spec", "generators")):
        node = resolve(generator.node) if generator.node else None
        spec = _mapping(node, "template", "spec")
        path = (*generator.path, "template", "spec")
        yield from _sources_of(Place(item.document, path, None, spec))


def _sources_of(spec: Place | None) -> Iterator[Source]:
    node = resolve(spec.node) if spec and spec.node else None
    if spec is None or not isinstance(node, Mapping):
        return
    items = find_value(node, "sources")
    several = items.items if isinstance(items, Sequence) else []
    hydrator = "sourceHydrator" if _mapping(node, "sourceHydrator") else ""
    for path, winner in (
        (("sourceHydrator", "drySource"), ""),
        (("source",), hydrator or ("sources" if several else "")),
    ):
        if source := _mapping(node, *path):
            ignored = f"Argo CD ignores `{path[0]}` beside `{winner}`" if winner else ""
            yield Source(Place(spec.document, (*spec.path, *path), None, source), ignored)
    ignored = f"Argo CD ignores `sources` beside `{hydrator}`" if hydrator else ""
    for index, item in enumerate(several):
        place = (*spec.path, "sources", index)
        yield Source(Place(spec.document, place, None, resolve(item)), ignored)


def _generators(place: Place | None, seen: set[int] | None = None) -> Iterator[Place]:
    """The generators of a list of them: what each has below its name, nested ones included."""
    items = resolve(place.node) if place and place.node else None
    seen = set() if seen is None else seen  # a list may hold itself, by an alias
    if place is None or not isinstance(items, Sequence) or id(items) in seen:
        return
    seen.add(id(items))
    for index, item in enumerate(items.items):
        node = resolve(item)
        for key, value in node.pairs if isinstance(node, Mapping) else ():
            name = resolve(key)
            inside = resolve(value)
            if not isinstance(name, Scalar) or not isinstance(inside, Mapping):
                continue
            path = (*place.path, index, name.value)
            yield Place(place.document, path, None, inside)
            deeper = find_value(inside, "generators")
            inner = Place(place.document, (*path, "generators"), None, deeper)
            yield from _generators(inner, seen)


def _source(source: Source, flag: str) -> Given:
    """The images of a source."""
    place = source.place
    node = resolve(place.node) if place.node else None
    if not isinstance(node, Mapping):
        return Given()
    images, beaten = _images(place, node)
    helm = _mapping(node, "helm")
    values = given(place.document, (*place.path, "helm"), helm, flag) if helm else Given()
    slots = (*_chart(place, node), *images, *values.slots)
    if source.ignored:
        return Given((), tuple(Beaten(slot, source.ignored) for slot in slots))
    return Given(slots, (*beaten, *values.beaten), values.trees)


def _chart(place: Place, node: Mapping) -> Iterator[ChartSlot]:
    """A chart from a registry; what git's `targetRevision` names is no image."""
    chart, repository = text_of(node, "chart"), text_of(node, "repoURL")
    is_oci = repository.startswith("oci://") and find_value(node, "chart") is None
    if repository and "{{" not in chart + repository and (chart or is_oci):
        key = "chart" if chart else ""
        yield ChartSlot(place.document, place.path, node, "repoURL", key, "targetRevision")


def _images(place: Place, node: Mapping) -> tuple[list[KustomizeSlot], list[Beaten]]:
    """The images of `kustomize.images`: of several items for one the last counts."""
    kustomize = _mapping(node, "kustomize")
    items = find_value(kustomize, "images") if kustomize else None
    found: dict[str, KustomizeSlot] = {}
    earlier: list[KustomizeSlot] = []
    for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
        scalar = resolve(item)
        if isinstance(scalar, Scalar) and scalar.value:
            path = (*place.path, "kustomize", "images", index)
            slot = KustomizeSlot(place.document, path, scalar)
            earlier += [found.pop(slot.name)] if slot.name in found else []
            found[slot.name] = slot
    beaten = []
    for slot in earlier:
        winner = found[slot.name]
        beaten.append(Beaten(slot, f"Argo CD takes `#{winner.label}`", winner))
    return list(found.values()), beaten


def _generated(item: Object) -> Iterator[Slot]:
    """The images in the parameters that an ApplicationSet's generators have themselves."""
    for generator, element, node in _elements(item):
        for slot in tree_slots(Place(generator.document, generator.path, None, node)):
            whole = isinstance(slot.node, Mapping) and slot.path == generator.path
            named = name_key(slot.node) if whole and isinstance(slot.node, Mapping) else ""
            # An element's `name` is more often that of a cluster.
            if named != "name" or "/" in slot.current.name:
                yield ElementSlot(
                    slot.document,
                    slot.path,
                    slot.node,
                    registry=slot.registry,
                    element=element,
                )


def _elements(item: Object) -> Iterator[tuple[Place, Key, Mapping]]:
    """The elements of list generators, and the `values` of others: place, key and node."""
    for generator in _generators(item.place("spec", "generators")):
        node = resolve(generator.node) if generator.node else None
        if not isinstance(node, Mapping):
            continue
        values = _mapping(node, "values")
        if values:
            path = (*generator.path, "values")
            yield Place(generator.document, path, None, values), path, values
        items = find_value(node, "elements")
        known = [resolve(one) for one in items.items] if isinstance(items, Sequence) else []
        said = Counter(pair for one in known for pair in _told(one))
        for index, element in enumerate(known):
            if isinstance(element, Mapping):
                path = (*generator.path, "elements")
                place = Place(generator.document, (*path, index), None, element)
                yield place, (*path, _telling(element, said) or index), element


def _told(element: Node) -> list[tuple[str, str]]:
    """The values of an element that usually tell it from others."""
    if not isinstance(element, Mapping):
        return []
    return [(key, value) for key in _TELLING if (value := text_of(element, key))]


def _telling(element: Mapping, said: Counter[tuple[str, str]]) -> Selector | None:
    """What tells an element from the others, by one of its values."""
    return next((Selector(*pair) for pair in _told(element) if said[pair] == 1), None)


def fill_error(
    found: Found, document: Document, label: str, path: Path, node: Node
) -> PromoteError:
    """Why what another program fills in isn't edited, and where the value lives instead.

    Args:
        found: What the file holds.
        document: The document that the value is of.
        label: What the place is called.
        path: Its path.
        node: The value, for which `filled_by` has an answer.

    Returns:
        The error.
    """
    owner = next((s for s in found.sets if path[: len(s.path)] == s.path), None)
    is_template = filled_by(document, node) == "template"
    text = node.value if isinstance(node, Scalar) else document.text[node.start : node.end]
    if is_template and owner is not None:
        names = [n for held in _BRACES.findall(text) for n in _PARAMETER.findall(held)]
        return document.error(
            f"`{label}` holds {_listed(_BRACES, text)}, which the ApplicationSet's generators "
            "fill in.",
            f"The value lives in a generator's element{_homes(owner, names)}.",
            node,
        )
    if not is_template and _takes_environment(path):
        return document.error(
            f"`{label}` holds `{text}`, which Argo CD fills in from its build environment.",
            "Write the version itself there in the config repository first.",
            node,
        )
    return refusal(document, label, node)


def _takes_environment(path: Path) -> bool:
    """Whether Argo CD puts its build environment's variables into what stands at a path."""
    return any(
        path[index : index + 2] in (("helm", "parameters"), ("kustomize", "images"))
        for index in range(len(path))
    )


def _listed(pattern: re.Pattern[str], text: str) -> str:
    parts = dict.fromkeys(found.group() for found in pattern.finditer(text))
    return ", ".join(f"`{part}`" for part in list(parts)[:3]) or "a template"


def _homes(owner: Object, names: list[str]) -> str:
    """The `#KEY`s of elements that hold a template's parameters."""
    keys: list[str] = []
    for place, key, element in _elements(owner):
        for name in names:
            path = name.split(".")
            path = path[1:] if place.path[-1] == "values" and path[0] == "values" else path
            node: Node | None = element
            for part in path:
                node = find_value(node, part) if isinstance(node, Mapping) else None
            if isinstance(node, Scalar):
                keys.append(f"`#{format_path((*key, *path))}`")
    keys = list(dict.fromkeys(keys))
    if not keys:
        return ": name it by its `#KEY`"
    return f": name {' or '.join(keys[:3])}" + (", …" if len(keys) > 3 else "")


def hidden_template(found: Found, document: Document, image: Image) -> PromoteError | None:
    """Find a text of a source that names an image with a version that is filled in.

    Args:
        found: What the file holds.
        document: The file.
        image: The image.

    Returns:
        The error that says so, None where there is no such text.
    """
    meant = re.compile(rf"(?<![\w./-]){re.escape(image.name)}(?![\w/-])")
    seen = set[int]()
    for source in found.sources:
        stack: list[tuple[Path, Node | None]] = [(source.place.path, source.place.node)]
        while stack:
            path, node = stack.pop()
            node = resolve(node) if node else None
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, Scalar) and filled_by(document, node) and meant.search(node.value):
                return fill_error(found, document, format_path(path), path, node)
            if isinstance(node, Sequence):
                stack += [((*path, i), item) for i, item in enumerate(node.items)]
            elif isinstance(node, Mapping):
                keys = [(resolve(key), value) for key, value in node.pairs]
                stack += [((*path, k.value), v) for k, v in keys if isinstance(k, Scalar)]
    return None
