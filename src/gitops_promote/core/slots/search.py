"""Finding the places of a file that an image is meant by: by its name, or by `#KEY`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import (
    Image,
    canonical_name,
    split_reference,
    split_registry,
)
from gitops_promote.core.slots.block import (
    DIGEST_KEYS,
    TAG_KEYS,
    block_reference,
    children_of,
    first_of,
    is_block,
    name_key,
)
from gitops_promote.core.slots.filled import filled_by, refusal
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import ValueSlot, global_registry
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import (
    Place,
    find_places,
    format_path,
    literal_name,
    missing,
    node_at,
    parse_key,
    roots,
)
from gitops_promote.core.yaml.quoting import is_string
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    resolve,
    text_of,
)

# What the keys of versions end in, where they are no block's.
_VERSION_ENDINGS = ("tag", "version", "image", "digest", "sha", "release")


def _no_trees(_: Document) -> list[Place]:
    return []


@dataclass(frozen=True)
class Form:
    """Where files of a kind hold images.

    `slots` finds the places that name an image, and others that a kind has names for. A `#KEY` is
    followed from the `roots`, then from the `trees`: a chart's values in a file of another form.
    With `several` an image that stands in several places is promoted in all of them; without, it
    is ambiguous.
    """

    slots: Callable[[Document], list[Slot]]
    roots: Callable[[Document], list[Place]] = roots
    trees: Callable[[Document], list[Place]] = _no_trees
    several: bool = False


def find(form: Form, document: Document, image: Image, key: str) -> list[Slot]:
    """The places of a file that an image is meant by.

    Args:
        form: Where files of this kind hold images.
        document: The file.
        image: The image that is promoted.
        key: The target's `#KEY`, empty to find the image by its name.

    Returns:
        The places: one, or several with a key that has a `*`, or where the form takes all.

    Raises:
        ImageNotFoundError: The image isn't here, or the key leads to another.
        PromoteError: The key leads nowhere, or the image stands in several places.
    """
    if key:
        return _find_by_key(form, document, image, key)
    known = form.slots(document)
    found = [slot for slot in known if is_named(slot, image)]
    complete = [slot for slot in found if slot.is_complete]
    distinct = list({id(slot.version_node): slot for slot in reversed(complete)}.values())[::-1]
    distinct = distinct or [slot for slot in known if slot.is_open]
    if not distinct:
        raise _not_found(document, image, known, found)
    if len(distinct) > 1 and not form.several:
        raise _ambiguous(document, image, distinct)
    return distinct


def find_any(form: Form, document: Document, key: str) -> list[tuple[Slot, str]]:
    """The places of a file that a target's `#KEY` leads to, whatever image they hold.

    Args:
        form: Where files of this kind hold images.
        document: The file.
        key: The key.

    Returns:
        The places that can hold an image or a part of one, each with the image's name as it stands
        there or beside; empty where nothing says it. None where the key leads nowhere.
    """
    known = form.slots(document)
    own = [slot for slot in known if slot.answers(key)]
    if own:
        return [(slot, slot.current.name) for slot in own]
    try:
        places = _places(form, document, key)
    except PromoteError:
        return []
    found = [_slot_of(_image_place(place), Image(""), known) for place in places]
    return [slot for slot in found if slot]


def is_named(slot: Slot, image: Image) -> bool:
    """Whether a place names exactly this image, with the registry of all or without.

    Args:
        slot: The place.
        image: The image.

    Returns:
        True where one of the image's names, old or new, stands there.
    """
    return not slot.names.isdisjoint(map(canonical_name, (image.name, image.deployed_name)))


def _is_akin(name: str, image: Image) -> bool:
    """Whether a name can be the image's as seen through a mirror or without its registry."""
    path = split_registry(name)[1]
    for candidate in (image.name, image.deployed_name):
        other = split_registry(candidate)[1]
        if path == other or path.endswith(f"/{other}") or other.endswith(f"/{path}"):
            return True
    return False


def _places(form: Form, document: Document, key: str) -> list[Place]:
    """What a key leads to: from the file's roots, else from all values inside."""
    path = parse_key(key)
    try:
        rooted = find_places(document, path, form.roots(document))
    except PromoteError as error:
        rooted, problem = [], error
    if any(place.node for place in rooted):
        return _without_secrets(document, key, rooted)
    inside: list[Place] = []
    for tree in form.trees(document):
        with suppress(PromoteError):
            inside += find_places(document, path, [tree])
    found = [place for place in inside if place.node] or rooted or inside
    if not found:
        raise problem
    return _without_secrets(document, key, found)


def _without_secrets(document: Document, key: str, found: list[Place]) -> list[Place]:
    shown = [place for place in found if not _in_secret(document, place)]
    if not shown:
        raise found[0].document.error(
            f"`#{key}` leads to a secret, which is neither read nor shown.",
            "Keep the version where everyone may read it, such as a ConfigMap, and name that.",
            found[0].node,
        )
    return shown


def _in_secret(document: Document, place: Place) -> bool:
    """Whether a place is of a Secret, or of a kustomization's generator of some."""
    if place.path and str(place.path[0]).lower() == "secretgenerator":
        return True
    for end, key in enumerate(place.path):
        if key in ("data", "stringData"):
            above = node_at(document, place.path[: end + 1]).parent
            if isinstance(above, Mapping) and text_of(above, "kind") == "Secret":
                return True
    return False


def _find_by_key(form: Form, document: Document, image: Image, key: str) -> list[Slot]:
    known = form.slots(document)
    own = [slot for slot in known if slot.answers(key)]
    found: list[Slot | PromoteError]
    places: list[Place] = []
    if own:
        found = [_fitting(slot, slot.current.name, slot.label, image) for slot in own]
    else:
        places = _places(form, document, key)
        found = [_keyed_slot(place, image, known) for place in places]
    if "*" in key:
        # A pattern takes the places that name the image; a plain key must fit.
        fitting = [slot for slot in found if isinstance(slot, Slot) and _is_meant(slot, image)]
        if fitting:
            return list({id(slot.version_node): slot for slot in fitting}.values())
        raise ImageNotFoundError(
            f"no place that `#{key}` matches names `{image.name}`.",
            "Correct the pattern, or name each place by a key of its own.",
            path=document.path,
        )
    if len({id(place.node) for place in places}) > 1:
        _check_same(key, image, places, found)
    for slot in found:
        if isinstance(slot, PromoteError):
            raise slot
    return [slot for slot in found if isinstance(slot, Slot)]


def _is_meant(slot: Slot, image: Image) -> bool:
    """Whether a place that a pattern takes is of the image, and no other text of its name."""
    keyed = isinstance(slot.node, Mapping) or str(slot.path[-1]).lower().endswith("image")
    return is_named(slot, image) and (keyed or bool(slot.current.version))


def _check_same(
    key: str,
    image: Image,
    places: list[Place],
    found: list[Slot | PromoteError],
) -> None:
    """Refuse a key that several documents or items have, unless all of them hold the image."""
    if all(isinstance(slot, Slot) and is_named(slot, image) for slot in found):
        return
    listed = ", ".join(
        f"`#{format_path(place.path)}`"
        + (f" (line {place.document.line(place.node)})" if place.node else "")
        for place in places[:5]
    )
    raise places[0].document.error(
        f"`#{key}` leads to {len(places)} places, and not all hold `{image.name}`: {listed}"
        f"{', …' if len(places) > 5 else ''}.",
        "Name one of them, or several with a target line each.",
        places[0].node,
    )


def _keyed_slot(place: Place, image: Image, known: list[Slot]) -> Slot | PromoteError:
    """The slot that a key leads to, or why it is none for this image."""
    place = _image_place(place)
    if place.node is None and isinstance(place.parent, Mapping):
        above = Place(place.document, place.path[:-1], None, place.parent)
        return missing(above, place.path, place.path[-1])
    found = _slot_of(place, image, known)
    if found is None:
        node = resolve(place.node) if place.node else None
        if node is not None and filled_by(place.document, node):
            return refusal(place.document, format_path(place.path), node)
        return _no_image(place, node)
    slot, stated = found
    return _fitting(slot, stated, format_path(place.path), image)


def _fitting(slot: Slot, stated: str, label: str, image: Image) -> Slot | PromoteError:
    """A slot that may hold an image, going by the name that stands there or beside."""
    if slot.filled:
        return refusal(slot.document, label, slot.filled)
    if not stated or is_named(slot, image) or _is_akin(stated, image):
        return slot
    return ImageNotFoundError(
        f"`{label}` holds `{stated}`, not `{image.name}`.",
        f"To replace it, write `{stated}={image.name}` in images; else name another key.",
        path=slot.document.path,
        line=slot.document.line(slot.node),
    )


def _image_place(place: Place) -> Place:
    """The block itself, where a key names its repository or a part that it doesn't have yet."""
    block, key = place.parent, str(place.path[-1])
    if not isinstance(block, Mapping) or not name_key(block):
        return place
    absent = place.node is None and key in (*TAG_KEYS, *DIGEST_KEYS)
    if absent or _names_block(block, key):
        return replace(place, path=place.path[:-1], parent=None, node=block)
    return place


def _slot_of(place: Place, image: Image, known: list[Slot]) -> tuple[Slot, str] | None:
    """What a place holds of an image, and the image's name as it stands there or beside."""
    node, block = resolve(place.node) if place.node else None, place.parent
    own = next((slot for slot in known if _is_at(slot, place, node)), None)
    if own:
        return own, own.current.name
    registry = _registry_of(place, known)
    if isinstance(node, Mapping):
        slot = ValueSlot(place.document, place.path, node, registry=registry)
        holds = name_key(node) or first_of(node, TAG_KEYS + DIGEST_KEYS)
        return (slot, slot.current.name) if holds else None
    if not isinstance(node, Scalar):
        return None
    key, prefix = str(place.path[-1]), ""
    if isinstance(block, Sequence) and (name := literal_name(node)):
        key, prefix = name, f"{name}="
    part = _part(key, node.value[len(prefix) :], image)
    slot = ValueSlot(place.document, place.path, node, part, prefix=prefix)
    beside = isinstance(block, Mapping) and bool(slot.part) and bool(name_key(block))
    if not _can_be_version(key, node, in_block=beside):
        return None
    if not isinstance(block, Mapping) or not beside:
        return slot, slot.current.name
    if node is first_of(block, TAG_KEYS):
        # A digest goes before a tag: the old one's must not stay beside the new.
        slot = ValueSlot(place.document, place.path[:-1], block, registry=registry)
    return slot, block_reference(block, registry).name


def _is_at(slot: Slot, place: Place, node: Node | None) -> bool:
    """Whether a slot is what stands at a place, or has its version there."""
    if isinstance(slot, ValueSlot):
        return slot.path == place.path and slot.node is node
    inside = slot.path == place.path[: len(slot.path)]
    return inside and (slot.node is node or resolve(slot.version_node) is node)


def _registry_of(place: Place, known: list[Slot]) -> str:
    """The registry of all images without one, in the values that a place is of."""
    blocks = (place.path, place.path[:-1])
    near = (s.registry for s in known if isinstance(s, ValueSlot) and s.path in blocks)
    return next(near, global_registry(place.document.root))


def _names_block(block: Mapping, key: str) -> bool:
    """Whether a key holds a block's repository, whose version stands in another."""
    return key == name_key(block) and first_of(block, TAG_KEYS + DIGEST_KEYS) is not None


def _can_be_version(name: str, node: Scalar, *, in_block: bool) -> bool:
    """Whether a scalar that a key names may hold a version, and not a policy, count or switch."""
    if len(node.value.split()) > 1:
        # A script, or settings: it would be lost.
        return False
    if not node.value and name.lower().endswith("image"):
        # A tag alone would be taken for a name.
        return False
    return name.lower().endswith(_VERSION_ENDINGS) or (is_string(node) and not in_block)


def _part(name: str, value: str, image: Image) -> str:
    """Which part of an image a value is: `tag`, `digest`, or all of it (empty)."""
    reference = split_reference(value)
    whole = "/" in value or (reference.version and not value.startswith("sha256:"))
    if whole and "@" in value and "/" not in value and ":" not in reference.name:
        whole = bool(reference.tag) or _is_akin(reference.name, image)
    if whole or (value and _is_akin(value, image)):
        return ""
    lower = name.lower()
    return "digest" if lower.endswith(("digest", "sha")) or reference.name == "sha256" else "tag"


def _ambiguous(document: Document, image: Image, found: list[Slot]) -> PromoteError:
    places = [
        f"`#{slot.label}` (line {slot.document.line(slot.node)}, "
        f"{slot.current.version or 'no version'})"
        for slot in found
    ]
    error = document.error(
        f"`{image.name}` stands in {len(found)} places: {', '.join(places)}.",
        f"Name one with `#KEY`, several with a target line each{_or_all(found)}.",
    )
    error.line = found[0].document.line(found[0].node)
    return error


def _or_all(found: list[Slot]) -> str:
    """The pattern that matches all places, where they are equally deep and so have one."""
    if len({len(slot.path) for slot in found}) > 1:
        return ""
    columns = zip(*(slot.path for slot in found), strict=True)
    pattern = tuple(c[0] if len(set(c)) == 1 else "*" for c in columns)
    return f", or all with a pattern such as `#{format_path(pattern)}`"


def _not_found(
    document: Document, image: Image, known: list[Slot], untagged: list[Slot]
) -> PromoteError:
    if untagged:
        slot = untagged[0]
        return ImageNotFoundError(
            f"`{slot.label}` holds `{image.name}` without a tag.",
            f"If the chart takes a tag there, name it: `#{slot.label}`.",
            path=document.path,
            line=slot.document.line(slot.node),
        )
    from difflib import get_close_matches  # noqa: PLC0415  (slow to import, rarely needed)

    names = list(dict.fromkeys(slot.current.name for slot in known if slot.current.name))
    near = get_close_matches(image.name, names, n=3, cutoff=0.4) or names[:3]
    filled = [slot for slot in known if slot.filled]
    nameless = [slot for slot in known if not slot.current.name and not slot.filled]
    fix = "Name the image's block or tag with `#KEY`."
    if nameless:
        listed = _listed(nameless)
        fix = f"Of what has a version here, nothing says the image of {listed}: name it so."
    elif filled:
        fix = (
            f"Another program fills in {_listed(filled)}: "
            "if it is there, name the place that the value comes from."
        )
    if near:
        fix = f"The file has {', '.join(f'`{n}`' for n in near)}. {fix}"
    return ImageNotFoundError(f"there is no image `{image.name}` here.", fix, path=document.path)


def _listed(slots: list[Slot]) -> str:
    return ", ".join(f"`#{slot.label}` (line {slot.line})" for slot in slots[:3])


def _no_image(place: Place, node: Node | None) -> PromoteError:
    inside = children_of(place.path, node) if isinstance(node, Mapping) else []
    blocks = [p for p, v in inside if p[-1] == "image" or (isinstance(v, Mapping) and is_block(v))]
    fix = (
        f"Did you mean `#{format_path(blocks[0])}`?"
        if blocks
        else "Name the image's block, or the text that holds its tag."
    )
    return place.document.error(f"`{format_path(place.path)}` holds no image.", fix, node)
