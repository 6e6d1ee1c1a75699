"""Which images the resources of an overlay use, as far as the config repository tells."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname, normpath

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import split_reference
from gitops_promote.core.kustomize import FILE_NAMES, entries
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.splice import Document
from gitops_promote.core.yaml_tree import (
    Alias,
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
)

# What else can bring images in, from where we can't see them or in forms that we don't follow.
_OPAQUE = (
    "helmCharts",
    "helmChartInflationGenerator",
    "generators",
    "transformers",
    "configurations",
    "replacements",
    "crds",
    "openapi",
)
_RESOURCES = ("resources", "bases", "components")
_PATCHES = ("patches", "patchesStrategicMerge", "patchesJson6902")
_MOST_FILES = 500


class _UnknownError(Exception):
    """A part of the overlay can't be read here."""


def images_used(snapshot: Snapshot, path: str) -> frozenset[str] | None:
    """The names of the images that an overlay's `images:` can act on.

    kustomize silently ignores an entry whose name none of the overlay's resources uses.

    Args:
        snapshot: The config repository.
        path: The kustomization file.

    Returns:
        The images' names, without tags, as they are before the overlay's own `images:`; None
        where a part of the overlay is remote, generated or unreadable, so that nobody can tell.
    """
    try:
        return frozenset(_Reader(snapshot).before_images(path))
    except (_UnknownError, PromoteError):
        return None


class _Reader:
    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.open: list[str] = []
        self.known: dict[str, set[str]] = {}

    def before_images(self, path: str) -> set[str]:
        """What a kustomization's resources, components and patches use."""
        if path in self.known:
            return self.known[path]
        if path in self.open or len(self.known) > _MOST_FILES:
            raise _UnknownError
        self.open.append(path)
        document = self._document(path)
        root = document.root
        if not isinstance(root, Mapping) or any(find_value(root, key) for key in _OPAQUE):
            raise _UnknownError
        names: set[str] = set()
        for key in _RESOURCES:
            for item in _texts(root, key):
                names |= self._resource(dirname(path), item)
        for key in _PATCHES:
            value = find_value(root, key)
            names |= self._patches(dirname(path), value) if value else set()
        self.open.pop()
        self.known[path] = names
        return names

    def _document(self, path: str) -> Document:
        try:
            return Document.parse(self.snapshot.read(path), path)
        except KeyError:
            raise _UnknownError from None

    def _resource(self, folder: str, item: str) -> set[str]:
        path = self._inside(folder, item)
        if self.snapshot.kind(path) == "file":
            return self._file(path)
        for name in FILE_NAMES:
            file = f"{path}/{name}" if path else name
            if self.snapshot.kind(file) == "file":
                return self._after_images(file)
        raise _UnknownError

    def _inside(self, folder: str, item: str) -> str:
        path = normpath(f"{folder}/{item}" if folder else item)
        if item.startswith("/") or path == ".." or path.startswith("../"):
            raise _UnknownError
        return "" if path == "." else path

    def _file(self, path: str) -> set[str]:
        return {name for root in self._document(path).roots for name in _image_names(root)}

    def _after_images(self, path: str) -> set[str]:
        """What a base gives to the overlay above it: its own `images:` may rename."""
        names = self.before_images(path)
        for entry in entries(self._document(path)):
            if entry.name in names and entry.text("newName"):
                names = (names - {entry.name}) | {entry.text("newName")}
        return names

    def _patches(self, folder: str, value: Node) -> set[str]:
        names = set()
        for text in _patch_texts(value):
            path = normpath(f"{folder}/{text}") if folder and "\n" not in text else text
            if "\n" in text or ":" in text:
                roots = Document.parse(text.encode(), folder).roots
                names |= {name for root in roots for name in _image_names(root)}
            elif self.snapshot.kind(path) == "file":
                names |= self._file(path)
            else:
                raise _UnknownError
        return names


def _texts(root: Mapping, key: str) -> list[str]:
    value = find_value(root, key)
    items = value.items if isinstance(value, Sequence) else []
    return [item.value for item in items if isinstance(item, Scalar)]


def _patch_texts(value: Node) -> Iterator[str]:
    """The files and inline texts of a patch field's items."""
    for item in value.items if isinstance(value, Sequence) else []:
        if isinstance(item, Scalar):
            yield item.value
        elif isinstance(item, Mapping):
            for key in ("path", "patch"):
                text = find_value(item, key)
                if isinstance(text, Scalar):
                    yield text.value


def _image_names(root: Node | None) -> Iterator[str]:
    """The name of everything that could be an image: any `image`, and any value of a JSON patch.

    Too many do no harm here, too few would: a warning that is wrong is worse than none.
    """
    stack, seen = [root], set[int]()
    while stack:
        node = stack.pop()
        if isinstance(node, Alias):
            node = node.target
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Sequence):
            stack.extend(node.items)
        elif isinstance(node, Mapping):
            for key, value in node.pairs:
                stack.append(value)
                if isinstance(key, Scalar) and key.value in ("image", "value"):
                    text = value.target if isinstance(value, Alias) else value
                    if isinstance(text, Scalar):
                        yield split_reference(text.value).name
