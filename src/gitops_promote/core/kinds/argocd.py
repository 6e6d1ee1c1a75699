"""The target kind `argocd`: what Application and ApplicationSet keep of images.

Also the files `.argocd-source.yaml` and `.argocd-source-NAME.yaml` beside a chart or an overlay,
with which Argo CD overrides an Application's source ("Parameter Overrides" in its user guide), and
into which Argo CD Image Updater writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gitops_promote.core.change import Edited, Running
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image
from gitops_promote.core.kinds import argocd_override
from gitops_promote.core.kinds.argocd_source import (
    Found,
    fill_error,
    hidden_template,
    is_override,
    owns,
    read,
)
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.slots import edit, reading
from gitops_promote.core.slots.filled import filled_by
from gitops_promote.core.slots.objects import objects
from gitops_promote.core.slots.search import Form, find, find_any, is_named
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Place, find_places, format_path, parse_key
from gitops_promote.core.yaml.tree import Mapping, resolve, text_of

__all__ = ["KIND", "owns"]


def _slots(document: Document) -> list[Slot]:
    return [slot for slot in read(document).slots if not slot.filled]


def _trees(document: Document) -> list[Place]:
    return list(read(document).trees)


_FORM = Form(_slots, trees=_trees)


class _ArgoCD:
    """The kind."""

    name = "argocd"
    file_names: tuple[str, ...] = ()

    def fits(self, path: str, document: Document) -> bool:
        """As `Kind.fits` says."""
        if is_override(path):
            return document.root is None or isinstance(document.root, Mapping)
        return any(map(owns, objects(document)))

    def answers(self, document: Document, key: str) -> bool:
        """As `Kind.answers` says."""
        found = read(document)
        named = any(slot.answers(key) for slot in found.slots)
        return named or any(_places(document, key, [tree]) for tree in found.trees)

    def creates(self, path: str) -> bool:
        """As `Kind.creates` says."""
        return is_override(path)

    def values_files(self, _document: Document) -> list[str]:
        """As `Kind.values_files` says: none, they are relative to another repository's folder."""
        return []

    def set_image(self, document: Document, image: Image, key: str, around: Around) -> Edited:
        """As `Kind.set_image` says."""
        if is_override(document.path) and not self._is_there(document, image, key):
            return argocd_override.add(_FORM, document, image, key, around)
        found = read(document)
        _check_key(document, found, key)
        _check_filled(document, found, image, key)
        try:
            slots = find(_FORM, document, image, key)
        except ImageNotFoundError:
            if key:
                raise
            _check_hidden(document, found, image)
            raise
        edited = edit.write(_FORM, document, image, slots, around.together)
        return replace(edited, warnings=(*edited.warnings, *_warnings(found, slots)))

    def running(self, document: Document, key: str, images: Sequence[str]) -> tuple[Running, ...]:
        """As `Kind.running` says; what another program fills in is no version."""
        found = reading.running(_FORM, document, key, images)
        return tuple(one for one in found if not set("{$") & set(one.reference.version))

    def _is_there(self, document: Document, image: Image, key: str) -> bool:
        """Whether a file that overrides a source says something of an image."""
        if document.root is None:
            return False
        if key:
            return bool(find_any(_FORM, document, key))
        return any(is_named(slot, image) for slot in _slots(document))


def _check_key(document: Document, found: Found, key: str) -> None:
    """Refuse a key that means a value of several sources."""
    if not key or "*" in key:
        return
    own = [slot for slot in found.slots if slot.answers(key)]
    labels = [slot.label for slot in own]
    if not _places(document, key, _FORM.roots(document)):
        for tree in found.trees:
            # In one source, what has the name goes before its values.
            source = tree.path[:-1]
            if not any(slot.path[: len(source)] == source for slot in own):
                labels += [format_path(place.path) for place in _places(document, key, [tree])]
    if len(labels) > 1:
        listed = " or ".join(f"`#{label}`" for label in labels)
        raise document.error(f"`#{key}` leads to {len(labels)} places.", f"Name one: {listed}.")


def _places(document: Document, key: str, starts: list[Place]) -> list[Place]:
    try:
        places = find_places(document, parse_key(key), starts)
    except PromoteError:
        return []
    return [place for place in places if place.node]


def _check_filled(document: Document, found: Found, image: Image, key: str) -> None:
    """Refuse to edit what another program fills in."""
    if key:
        slots = [slot for slot in found.slots if slot.answers(key)]
        starts = [*_FORM.roots(document), *found.trees]
        for place in _places(document, key, starts) if not slots else ():
            node = resolve(place.node) if place.node else None
            if node is not None and filled_by(place.document, node):
                label = format_path(place.path)
                raise fill_error(found, place.document, label, place.path, node)
    else:
        slots = [slot for slot in found.slots if is_named(slot, image)]
    filled = [(slot, node) for slot in slots if (node := slot.filled)]
    if filled and len(filled) == len(slots):
        slot, node = filled[0]
        error = fill_error(found, slot.document, slot.label, slot.path, node)
        raise error if key else _elsewhere(error)


def _elsewhere(error: PromoteError) -> ImageNotFoundError:
    """An error that is none where another target has the image."""
    return ImageNotFoundError(error.what, error.fix, path=error.path, line=error.line)


def _check_hidden(document: Document, found: Found, image: Image) -> None:
    """Explain why an image isn't found that a reader sees in the file."""
    for item in found.beaten:
        if is_named(item.slot, image):
            raise ImageNotFoundError(
                f"`{item.slot.label}` holds `{image.name}` in vain: {item.why}.",
                "Write the image where Argo CD takes it from in the config repository first.",
                path=document.path,
                line=item.slot.line,
            )
    error = hidden_template(found, document, image)
    if error:
        raise _elsewhere(error)


def _warnings(found: Found, slots: list[Slot]) -> list[str]:
    """Tell of other places that set an image, and of those that do so in vain."""
    texts = []
    for slot in slots:
        for item in found.beaten:
            if item.winner is not None and item.winner.path == slot.path:
                version = item.slot.current.version or "no version"
                texts.append(
                    f"`#{item.slot.label}` (line {item.slot.line}, {version}) says the image too, "
                    f"in vain: {item.why}."
                )
            elif item.slot.version_node is slot.version_node:
                texts.append(f"`#{item.slot.label}` has no effect: {item.why}.")
    for owner in found.sets:
        spec = owner.place("spec")
        node = spec.node if spec else None
        patch = text_of(node, "templatePatch") if isinstance(node, Mapping) else ""
        if "source" in patch:
            texts.append("`spec.templatePatch` has sources too, which go before the template's.")
    return list(dict.fromkeys(texts))


KIND = _ArgoCD()
