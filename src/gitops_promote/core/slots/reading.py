"""Reading what runs from the places of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gitops_promote.core.change import Running
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, canonical_name
from gitops_promote.core.slots.search import Form, find, find_any, is_named
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import ValueSlot
from gitops_promote.core.yaml.document import Document


def running(form: Form, document: Document, key: str, images: Sequence[str]) -> tuple[Running, ...]:
    """Read what runs in a file.

    Args:
        form: Where files of this kind hold images.
        document: The file.
        key: The target's `#KEY`, or an empty text.
        images: As in `core.running.running`.

    Returns:
        The images in the order of the file, one for each place.

    Raises:
        PromoteError: A name is ambiguous.
    """
    found = _named(form, document, key, images) if images else _all(form, document, key)
    # What another program fills in nobody knows here.
    found = ((slot, name) for slot, name in found if not slot.filled)
    # The same image may stand in one place by several names, or again by a merge key.
    distinct: dict[tuple[str, int], tuple[Slot, str]] = {}
    for slot, name in found:
        known = canonical_name(slot.current.name) if slot.current.name else ""
        distinct.setdefault((known, id(slot.version_node)), (slot, name))
    ordered = sorted(distinct.values(), key=lambda pair: (_start(pair[0]), pair[0].node.start))
    return tuple(_of_slot(slot, name) for slot, name in ordered)


def _start(slot: Slot) -> int:
    """Where a slot's document starts in the file."""
    holder = slot.document.holder
    return holder.start if holder is not None else slot.node.start


def _named(
    form: Form, document: Document, key: str, images: Sequence[str]
) -> Iterator[tuple[Slot, str]]:
    """The places of each image where a promotion would go, and the name that was asked for."""
    for name in images:
        image = Image(name)
        # Why it isn't there takes long to say, and nobody asks.
        if not key and not any(is_named(s, image) or s.is_open for s in form.slots(document)):
            continue
        try:
            found = find(form, document, image, key)
        except ImageNotFoundError:
            continue
        except PromoteError:
            if key:
                continue
            raise
        yield from ((slot, name) for slot in found)


def _all(form: Form, document: Document, key: str) -> Iterator[tuple[Slot, str]]:
    """The places that have a version, and what the image is called there."""
    if key:
        found = find_any(form, document, key)
    else:
        found = [(slot, slot.current.name) for slot in form.slots(document) if slot.current.name]
    return ((slot, name) for slot, name in found if slot.current.version and not _is_bare(slot))


def _is_bare(slot: Slot) -> bool:
    """Whether what a key leads to is rather an image without a tag: `image: busybox`."""
    if not isinstance(slot, ValueSlot):
        return False
    is_image = slot.part == "tag" and str(slot.path[-1]).lower().endswith("image")
    return is_image and not any(map(str.isdigit, slot.current.tag))


def _of_slot(slot: Slot, name: str) -> Running:
    reference = slot.current
    reference = reference if reference.name else replace(reference, name=name)
    return Running(reference.name, slot.document.path, slot.line, slot.label, reference)
