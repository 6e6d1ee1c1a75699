"""Which images the resources of an overlay use, as far as the config repository tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from posixpath import dirname, normpath

from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.core.images import split_reference
from gitops_promote.core.kinds.kustomize import FILE_NAMES, entries
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import (
    Alias,
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    resolve,
    text_of,
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
_PATCHES = ("patches", "patchesStrategicMerge", "patchesJson6902")
#: A name of `images:` that kustomize takes for more than itself: it is a regular expression.
_PATTERN = re.compile(r"[*+?()\[\]|^\\]")


class _UnknownError(Exception):
    """A part of the overlay can't be read here."""


class Overlays:
    """What the overlays of a snapshot use; each file is read once, whatever uses it.

    Args:
        snapshot: The config repository.
        read: Reads a file of the snapshot.
    """

    def __init__(self, snapshot: Snapshot, read: Callable[[str], Document]) -> None:
        self._snapshot = snapshot
        self._read = read
        self._files: dict[str, frozenset[str]] = {}
        self._overlays: dict[str, frozenset[str] | None] = {}

    def images_used(self, path: str) -> frozenset[str] | None:
        """The names of the images that an overlay's `images:` can act on.

        kustomize silently ignores an entry whose name none of the overlay's resources uses.

        Args:
            path: The kustomization file.

        Returns:
            The images' names, without tags, as they are before the overlay's own `images:`; None
            where a part of the overlay is remote, generated or unreadable, so that nobody can
            tell.
        """
        # What a component acts on is not its own.
        return None if self._is_component(path) else self._images(path)

    def _is_component(self, path: str) -> bool:
        try:
            root = self._read(path).root
        except RetryableError:
            raise
        except (PromoteError, KeyError):
            return False
        return isinstance(root, Mapping) and text_of(root, "kind") == "Component"

    def _images(self, path: str) -> frozenset[str] | None:
        if path not in self._overlays:
            self._overlays[path] = None  # what includes itself can't be told
            try:
                self._overlays[path] = frozenset(self._before_images(path))
            except RetryableError:
                del self._overlays[path]
                raise
            except (_UnknownError, PromoteError, KeyError, RecursionError):
                return None
        return self._overlays[path]

    def _before_images(self, path: str) -> set[str]:
        """What a kustomization's resources, components and patches use."""
        root = self._read(path).root
        if not isinstance(root, Mapping) or any(find_value(root, key) for key in _OPAQUE):
            raise _UnknownError
        folder = dirname(path)
        self._snapshot.expect(self._led_to(folder, root))
        names: set[str] = set()
        for key in ("resources", "bases"):
            for item in _texts(root, key):
                names |= self._resource(folder, item)
        for key in _PATCHES:
            for text in _patch_texts(find_value(root, key, fold=True)):
                names |= self._patch(folder, text)
        for item in _texts(root, "components"):
            component = self._kustomization(self._inside(folder, item))
            names |= self._used(component)
            # A component's own `images:` acts on what it is added to.
            names = self._after_images(component, names)
        return names

    def _led_to(self, folder: str, root: Mapping) -> Iterator[str]:
        """The files that a kustomization names, and those of the folders that it names."""
        for key in ("resources", "bases", "components"):
            for item in _texts(root, key):
                with suppress(_UnknownError):
                    path = self._inside(folder, item)
                    yield path
                    if not path.endswith((".yaml", ".yml")):
                        yield from (f"{path}/{name}" if path else name for name in FILE_NAMES)

    def _used(self, path: str) -> frozenset[str]:
        names = self._images(path)
        if names is None:
            raise _UnknownError
        return names

    def _resource(self, folder: str, item: str) -> set[str]:
        path = self._inside(folder, item)
        if self._snapshot.kind(path) == "file":
            return set(self._file(path))
        base = self._kustomization(path)
        return self._after_images(base, set(self._used(base)))

    def _inside(self, folder: str, item: str) -> str:
        path = normpath(f"{folder}/{item}" if folder else item)
        if item.startswith("/") or path == ".." or path.startswith("../"):
            raise _UnknownError
        return "" if path == "." else path

    def _kustomization(self, folder: str) -> str:
        for name in FILE_NAMES:
            file = f"{folder}/{name}" if folder else name
            if self._snapshot.kind(file) == "file":
                return file
        raise _UnknownError

    def _file(self, path: str) -> frozenset[str]:
        if path not in self._files:
            content = self._snapshot.read(path)
            names: set[str] = set()
            if b"image" in content or b"value" in content or b"\0" in content:
                names = _image_names(*Document.parse(content, path).roots)
            self._files[path] = frozenset(names)
        return self._files[path]

    def _after_images(self, path: str, names: set[str]) -> set[str]:
        """What a kustomization's `images:` makes of names."""
        for entry in entries(self._read(path)):
            if _PATTERN.search(entry.name):
                raise _UnknownError
            if entry.name in names and entry.text("newName"):
                names = (names - {entry.name}) | {entry.text("newName")}
        return names

    def _patch(self, folder: str, text: str) -> frozenset[str] | set[str]:
        if "\n" in text or ":" in text:
            return _image_names(*Document.parse(text.encode("utf-8", "replace"), folder).roots)
        path = self._inside(folder, text)
        if self._snapshot.kind(path) == "file":
            return self._file(path)
        raise _UnknownError


@lru_cache(maxsize=256)
def resources(document: Document) -> frozenset[str]:
    """The files that a kustomization builds or patches with.

    Args:
        document: The kustomization file.

    Returns:
        Their paths from its folder, as far as they lie below it.
    """
    root = document.root
    if not isinstance(root, Mapping):
        return frozenset()
    texts = [*_texts(root, "resources"), *_texts(root, "bases")]
    for key in _PATCHES:
        texts += _patch_texts(find_value(root, key, fold=True))
    return frozenset(normpath(text) for text in texts if "\n" not in text)


def _items(value: Node | None) -> list[Node]:
    return [resolve(item) for item in value.items] if isinstance(value, Sequence) else []


def _texts(root: Mapping, key: str) -> list[str]:
    items = _items(find_value(root, key, fold=True))
    return [item.value for item in items if isinstance(item, Scalar)]


def _patch_texts(value: Node | None) -> Iterator[str]:
    """The files and inline texts of a patch field's items."""
    for item in _items(value):
        if isinstance(item, Scalar):
            yield item.value
        elif isinstance(item, Mapping):
            for key in ("path", "patch"):
                text = find_value(item, key)
                if isinstance(text, Scalar):
                    yield text.value


def _image_names(*roots: Node | None) -> set[str]:
    """The name of everything that could be an image, of a container, a volume or a JSON patch.

    Too many do no harm here, too few would: a warning that is wrong is worse than none.
    """
    names, seen = set[str](), set[int]()
    stack = list(roots)
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
                text = resolve(value)
                spoken = isinstance(key, Scalar) and key.value in ("image", "value", "reference")
                if spoken and isinstance(text, Scalar):
                    names.add(split_reference(text.value).name)
    return names
