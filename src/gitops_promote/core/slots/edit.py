"""Promoting an image in the places of a file, and the check that nothing else went along."""

from __future__ import annotations

from collections.abc import Callable

from gitops_promote.core.change import Change, Edited
from gitops_promote.core.images import Image, canonical_name, desired
from gitops_promote.core.slots.anchors import followers
from gitops_promote.core.slots.block import DIGEST_KEYS, NAME_KEYS, TAG_KEYS, name_key
from gitops_promote.core.slots.filled import refusal
from gitops_promote.core.slots.search import Form, find, is_named
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import node_at
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import Mapping, Scalar


def set_image(
    form: Form, document: Document, image: Image, key: str, together: frozenset[str]
) -> Edited:
    """Promote an image in a file.

    Args:
        form: Where files of this kind hold images.
        document: The file.
        image: The image, with a tag, a digest or a new name.
        key: The target's `#KEY`, empty to find the image by its name.
        together: The names of all images that this call gives the same version.

    Returns:
        The edited file and what changed.

    Raises:
        ImageNotFoundError: The image isn't here, or the key leads to another.
        PromoteError: The key leads nowhere, the image is ambiguous, or the file can't be edited
            safely.
    """
    return write(form, document, image, find(form, document, image, key), together)


def write(
    form: Form, document: Document, image: Image, found: list[Slot], together: frozenset[str]
) -> Edited:
    """Promote an image in places of a file.

    Args:
        form: Where files of this kind hold images.
        document: The file.
        image: The image, with a tag, a digest or a new name.
        found: The places.
        together: As in `set_image`.

    Returns:
        The edited file and what changed.

    Raises:
        PromoteError: The file can't be edited safely.
    """
    for slot in found:
        if slot.filled:
            raise refusal(slot.document, slot.label, slot.filled)
    editor = Editor(document)
    for slot in found:
        slot.write(editor.of(slot.document), desired(image, slot.current))
    edited = editor.apply()
    warnings = _check_outcome(form, document, edited, found, image, together)
    changes = []
    for slot in found:
        after = slot.again(edited)
        changes.append(
            Change(
                image=image.name,
                path=edited.path,
                line=after.line,
                key=slot.label,
                old=slot.current,
                new=after.current,
            )
        )
    return Edited(edited, tuple(changes), tuple(warnings))


def _check_outcome(
    form: Form,
    before: Document,
    after: Document,
    found: list[Slot],
    image: Image,
    together: frozenset[str],
) -> list[str]:
    """Hold every image of the file to what it is to be: anchors and merge keys tie some to others.

    Returns:
        What follows by an anchor, to be warned of.
    """
    if after is before:
        return []
    for slot in found:
        if not slot.again(after).shows(desired(image, slot.current)):
            raise slot.document.error(
                f"another value goes before the one of `{slot.label}` here.",
                "Write the image's values once, behind any merge key (`<<`).",
                slot.version_node,
            )
    now = {slot.path: slot for slot in form.slots(after)}
    paths = {slot.path for slot in found}
    moved = [slot for slot in form.slots(before) if slot.path not in paths]
    moved = [slot for slot in moved if not _is_allowed(slot, now.get(slot.path), image, together)]
    others = [f"`{slot.current.name or slot.label}`" for slot in moved]
    others = list(dict.fromkeys(others))
    if not others:
        return _followers(before, found)
    listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    if all(_stands_alone(before, slot) for slot in found):
        return [f"`{found[0].label}` is the version of {listed} too."]
    raise found[0].document.error(
        f"`{image.name}` shares what it is given with {listed}, by an anchor or a merge key.",
        "Promote them to one version in one call, name the shared key itself with `#KEY`, or "
        "give each its own value.",
        found[0].version_node,
    )


def _stands_alone(document: Document, slot: Slot) -> bool:
    """Whether a version stands in no image's block: then it was named for all that it is of."""
    if not isinstance(slot.node, Scalar) or slot.current.name:
        return False
    holder = node_at(document, slot.path).parent
    return isinstance(holder, Mapping) and not name_key(holder)


def _is_allowed(old: Slot, new: Slot | None, image: Image, together: frozenset[str]) -> bool:
    """Whether a place that is not meant may be as it is: as before, or promoted along."""
    if new is not None and new.current == old.current:
        return True
    if not old.names.isdisjoint(map(canonical_name, together)):
        return True
    if new is None or not is_named(old, image):
        return False
    return new.shows(desired(image, old.current))


def _followers(document: Document, found: list[Slot]) -> list[str]:
    """Warn of what has a version by an anchor and is no image, or that nothing says is one."""
    warnings: list[str] = []
    for slot in found:
        own = _own_keys(document, slot)
        warnings += followers(slot.document, [slot.version_node], own)
    return list(dict.fromkeys(warnings))


def _own_keys(document: Document, slot: Slot) -> Callable[[Mapping, str], bool]:
    """What tells the keys of images, and the one that a target names, from others."""
    holder = node_at(document, slot.path).parent if slot.path else None
    known = (*NAME_KEYS, *TAG_KEYS, *DIGEST_KEYS) if slot.current.name else ()
    return lambda mapping, key: key in known or (mapping is holder and key == slot.path[-1])
