"""Where an overlay's image is set elsewhere too: below the overlay, or by its `replacements`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from posixpath import dirname, normpath

from gitops_promote.core.change import Running
from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.core.images import Image, split_reference
from gitops_promote.core.kinds.kustomize import FILE_NAMES, matching, running
from gitops_promote.core.kinds.overlay_places import (
    PatchSlot,
    Replaced,
    patch_files,
    patch_order,
    patches_in,
    places,
    replaced,
    replaced_by,
    replacement_files,
)
from gitops_promote.core.slots.search import is_named
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    resolve,
    text_of,
)

# The fields by which a kustomization includes files, and folders with kustomizations.
_INCLUDED = ("components", "resources", "bases")
_MOST_LISTED = 3
# A segment of a field's path, as of a replacement's target.
_SEGMENT = re.compile(r"\[([^\]=]+)=([^\]]*)\]|([^.\[\]]+)")


class Layers:
    """What lies below an overlay, and what is written over it.

    Args:
        snapshot: The config repository.
        read: Reads a file of it.
    """

    def __init__(self, snapshot: Snapshot, read: Callable[[str], Document]) -> None:
        self._snapshot = snapshot
        self._read = read

    def warnings(self, path: str, document: Document, image: Image) -> list[str]:
        """Say where an image is set besides the places of an overlay that were promoted.

        Args:
            path: The overlay's kustomization file.
            document: The file, the image promoted in it.
            image: The image.

        Returns:
            A sentence for each place, which says whether it counts and why.
        """
        below = [self._lower(document, image, file, one) for file, one in self._set(path, image)]
        found = list(dict.fromkeys(filter(None, below)))
        if len(found) > _MOST_LISTED:
            found[_MOST_LISTED:] = [f"{len(found) - _MOST_LISTED} more files below set it too."]
        written = [*replaced(document)]
        for name in replacement_files(document):
            file = self._file(dirname(path), name)
            other = self._document(file) if file else None
            written += replaced_by(other, document) if other else ()
        last = filter(None, (self._written(path, image, one) for one in written))
        return [*found, *self._patched(path, document, image), *last]

    def _lower(self, document: Document, image: Image, file: str, one: Running) -> str:
        """What is to be said of a place below that has the image."""
        entries = matching(document, image)
        acts = any(e.name == one.reference.name and e.current.version for e in entries)
        if entries and not acts:
            return ""
        what = f"{file} (line {one.line}) sets `{one.reference}`"
        if entries:
            return f"{what} without effect: kustomize applies this overlay's `images` after it."
        return f"{what}, which counts where this overlay's patches and values don't set it."

    def _set(self, path: str, image: Image) -> Iterator[tuple[str, Running]]:
        """The places of all kustomizations below that give the image a version."""
        names = list(dict.fromkeys((image.name, image.deployed_name)))
        for file in self._below(path):
            document = self._document(file)
            with suppress(PromoteError):
                found = running(document, names) if document else ()
                yield from ((file, one) for one in found if one.reference.version)

    def _patched(self, path: str, document: Document, image: Image) -> Iterator[str]:
        """What is to be said of files of patches: of the image, or of its containers."""
        own = [slot for slot in places(document) if isinstance(slot, PatchSlot)]
        for name, target, order in patch_files(document):
            file = self._file(dirname(path), name)
            patch = self._document(file) if file else None
            for slot in patches_in(patch, target) if patch else []:
                same = [one for one in own if one.container == slot.container]
                by = same[-1] if same else None
                what = f"{file} (line {slot.line}) sets `{slot.current}`"
                ours = is_named(slot, image)
                known = [entry for entry in matching(document, image) if entry.current.version]
                if slot.in_reach and any(e.name == slot.current.name for e in known):
                    said = "without effect: kustomize applies this overlay's `images` after it."
                elif by and patch_order(by) < order and is_named(by, image):
                    said = f"after `{by.label}` (line {by.line}), which has no effect there."
                elif by and ours:
                    said = f"without effect: kustomize applies `{by.label}` after it."
                else:
                    said = "too, and was left as it is." if ours else ""
                if said and slot.current.version:
                    yield f"{what} {said}"

    def _below(self, path: str) -> Iterator[str]:
        """The kustomizations that one includes, and those that they do."""
        stack, seen = [path], {path}
        while stack:
            inner = [file for file in self._included(stack.pop()) if _is_kustomization(file)]
            new = [file for file in dict.fromkeys(inner) if file not in seen]
            self._snapshot.expect(new)
            seen.update(new)
            stack += new
            yield from new

    def _included(self, path: str) -> list[str]:
        """The files that a kustomization includes; a folder's is its kustomization."""
        document = self._document(path)
        root = document.root if document else None
        lists = [find_value(root, key) for key in _INCLUDED] if isinstance(root, Mapping) else []
        items = [resolve(i) for one in lists if isinstance(one, Sequence) for i in one.items]
        files = [self._file(dirname(path), i.value) for i in items if isinstance(i, Scalar)]
        return [file for file in files if file]

    def _document(self, path: str) -> Document | None:
        """A file of the config repository, if it can be read."""
        try:
            return self._read(path)
        except RetryableError:
            raise
        except (PromoteError, KeyError):
            return None

    def _file(self, folder: str, item: str) -> str:
        path = normpath(f"{folder}/{item}" if folder else item)
        paths = [path, *(name if path == "." else f"{path}/{name}" for name in FILE_NAMES)]
        return next((one for one in paths if self._snapshot.kind(one) == "file"), "")

    def _written(self, path: str, image: Image, one: Replaced) -> str:
        """What is to be said of a replacement, which is applied last."""
        if one.whole and one.slot and is_named(one.slot, image):
            return ""
        names = self._names_at(path, one)
        if names is not None and not names & {image.name, image.deployed_name}:
            return ""
        if names is None and one.whole:
            return ""
        source = f"`#{one.slot.label}`" if one.slot else "what it reads elsewhere"
        where = f"`{one.field}` of {one.kind or 'any kind'} `{one.name or 'any name'}`"
        case = "" if names else f", which counts if that is `{image.name}`"
        fix = f" Promote {source} with it." if one.slot else ""
        return (
            f"`{one.label}` (line {one.line}) writes {where} from {source} after all else, so that "
            f"the promotion has no effect there{case}.{fix}"
        )

    def _names_at(self, path: str, one: Replaced) -> set[str] | None:
        """The images that stand where a replacement writes; None where nobody can tell."""
        found: set[str] = set()
        for node in self._objects(path):
            kind, name = text_of(node, "kind"), _text_at(node, "metadata", "name")
            if one.name in ("", name) and one.kind in ("", kind):
                found |= {split_reference(text).name for text in _texts_at(node, one.field)}
        return found or None

    def _objects(self, path: str) -> Iterator[Mapping]:
        """The objects of the files that an overlay is built from."""
        for file in (path, *self._below(path)):
            resources = [inner for inner in self._included(file) if not _is_kustomization(inner)]
            self._snapshot.expect(resources)
            for document in filter(None, map(self._document, resources)):
                yield from (root for root in document.roots if isinstance(root, Mapping))


def _is_kustomization(path: str) -> bool:
    return path.rpartition("/")[2] in FILE_NAMES


def _text_at(node: Mapping, outer: str, key: str) -> str:
    inner = find_value(node, outer)
    return text_of(inner, key) if isinstance(inner, Mapping) else ""


def _texts_at(node: Node, field: str) -> list[str]:
    """The texts that a field's path leads to in an object."""
    nodes = [node]
    for found in _SEGMENT.finditer(field):
        nodes = [inner for one in nodes for inner in _step(one, *found.groups())]
    return [one.value for one in nodes if isinstance(one, Scalar)]


def _step(node: Node, key: str | None, value: str | None, name: str | None) -> list[Node]:
    items = [resolve(item) for item in node.items] if isinstance(node, Sequence) else []
    if key:
        return [i for i in items if isinstance(i, Mapping) and text_of(i, key) == value]
    if isinstance(node, Mapping):
        inner = find_value(node, name or "")
        return [inner] if inner else []
    if name == "*":
        return items
    return items[int(name) : int(name) + 1] if name and name.isdecimal() else []
