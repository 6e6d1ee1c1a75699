"""What runs in an environment: the versions that its targets have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, Reference, canonical_name
from gitops_promote.core.kinds.kustomize import Entry, entries, matching
from gitops_promote.core.kinds.search import find, find_any, is_named
from gitops_promote.core.kinds.values import Slot, slots
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.targets import Located, Reader, Target, distinct, likely_files, locate
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import format_path
from gitops_promote.core.yaml.tree import resolve


@dataclass(frozen=True, slots=True)
class Running:
    """An image in one place of one file.

    `image` is what the file calls it (of a kustomization the entry's `name`, which may be a
    placeholder), `reference` what runs, in full. `line` counts from 1, `key` is as in `Change`.
    """

    image: str
    path: str
    line: int
    key: str
    reference: Reference


def find_places(
    snapshot: Snapshot, targets: Sequence[Target], read: Reader | None = None
) -> tuple[Located, ...]:
    """Find the files that an environment's targets lead to.

    Args:
        snapshot: The config repository.
        targets: The targets.
        read: Reads a file of it, for who keeps what is read; by default each is read anew.

    Returns:
        The places, each once; one that is named goes before a glob's match.

    Raises:
        PromoteError: As `targets.locate`.
    """
    snapshot.expect(likely_files(targets))
    # A file is asked for several times in a row.
    read = read or lru_cache(maxsize=4)(lambda path: Document.parse(snapshot.read(path), path))
    return tuple(distinct(place for one in targets for place in locate(snapshot, one, read)))


def running(place: Located, document: Document, images: Sequence[str]) -> tuple[Running, ...]:
    """Read what runs in a file.

    Args:
        place: The file, its kind, and the target whose key counts.
        document: The file, now or as it once was.
        images: The names of the images that are meant, old or deployed ones, as `Image.name` is
            matched. Empty: all that the file has.

    Returns:
        The images in the order of the file, one for each place; none where the file has none of
        them, or has nothing where the key leads. One that is meant by its name may have no version
        there, and where the file doesn't name it, it is called as in `images`.

    Raises:
        PromoteError: The file is broken, or a name is ambiguous in it.
    """
    if place.kind == "kustomize":
        return tuple(_of_entry(document, entry) for entry in _entries(document, images))
    found = _named(document, place.target.key, images) if images else _all(document, place)
    # The same image may stand in one place by several names, or again by a merge key.
    distinct: dict[tuple[str, int], tuple[Slot, str]] = {}
    for slot, name in found:
        known = canonical_name(slot.current.name) if slot.current.name else ""
        distinct.setdefault((known, id(slot.version_node)), (slot, name))
    ordered = sorted(distinct.values(), key=lambda pair: pair[0].node.start)
    return tuple(_of_slot(document, slot, name) for slot, name in ordered)


def _entries(document: Document, images: Sequence[str]) -> list[Entry]:
    if images:
        meant = {e.key for name in images for e in matching(document, Image(name))}
        found = [entry for entry in entries(document) if entry.key in meant]
    else:
        found = [entry for entry in entries(document) if entry.current.version]
    # One mapping may be several entries, by aliases.
    return list({id(entry.node): entry for entry in reversed(found)}.values())[::-1]


def _of_entry(document: Document, entry: Entry) -> Running:
    pair = entry.pair("newTag") or entry.pair("digest") or entry.pair("newName")
    line = document.line(resolve(pair[1]) if pair else entry.node)
    return Running(entry.name, document.path, line, entry.key, entry.current)


def _named(document: Document, key: str, images: Sequence[str]) -> Iterator[tuple[Slot, str]]:
    """The places of each image where a promotion would go, and the name that was asked for."""
    for name in images:
        image = Image(name)
        # Why it isn't there takes long to say, and nobody asks.
        if not key and not any(is_named(slot, image) for slot in slots(document)):
            continue
        try:
            found = find(document, image, key)
        except ImageNotFoundError:
            continue
        except PromoteError:
            if key:
                continue
            raise
        yield from ((slot, name) for slot in found)


def _all(document: Document, place: Located) -> Iterator[tuple[Slot, str]]:
    """The places that have a version, and what the image is called there."""
    if place.target.key:
        found = find_any(document, place.target.key)
    else:
        found = [(slot, slot.current.name) for slot in slots(document) if slot.current.name]
    return ((slot, name) for slot, name in found if slot.current.version and not _is_bare(slot))


def _is_bare(slot: Slot) -> bool:
    """Whether what a key leads to is rather an image without a tag: `image: busybox`."""
    is_image = slot.part == "tag" and str(slot.path[-1]).lower().endswith("image")
    return is_image and not any(map(str.isdigit, slot.current.tag))


def _of_slot(document: Document, slot: Slot, name: str) -> Running:
    reference = slot.current
    reference = reference if reference.name else replace(reference, name=name)
    line = document.line(resolve(slot.version_node))
    return Running(reference.name, document.path, line, format_path(slot.path), reference)
