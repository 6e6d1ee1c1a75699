"""The target kind `helm`: the images of a chart's values file."""

from __future__ import annotations

from collections.abc import Callable

from gitops_promote.core.change import Change, Edited
from gitops_promote.core.images import (
    Image,
    Reference,
    canonical_name,
    desired,
    split_registry,
)
from gitops_promote.core.kinds.anchors import followers
from gitops_promote.core.kinds.search import find, is_named
from gitops_promote.core.kinds.values import (
    DIGEST_KEYS,
    NAME_KEYS,
    TAG_KEYS,
    Slot,
    block_reference,
    digest_key,
    first_of,
    name_key,
    slots,
)
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import (
    Path,
    find_places,
    format_path,
)
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Scalar,
    find_pair,
    find_value,
    is_null,
    resolve,
)


def set_image(document: Document, image: Image, key: str, together: frozenset[str]) -> Edited:
    """Promote an image in a values file.

    Args:
        document: The values file.
        image: The image, with a tag, a digest or a new name.
        key: The target's `#KEY`, empty to find the image by its name.
        together: The names of all images that this call gives the same version.

    Returns:
        The edited file and what changed.

    Raises:
        ImageNotFoundError: The image isn't here, or the key leads to another.
        PromoteError: The key leads nowhere, the image stands in several places, or the file
            can't be edited safely.
    """
    found = find(document, image, key)
    editor = Editor(document)
    for slot in found:
        _update(editor, slot, image)
    edited = editor.apply()
    warnings = _check_outcome(document, edited, found, image, together)
    changes = []
    for slot in found:
        after = _slot_at(edited, slot)
        changes.append(
            Change(
                image=image.name,
                path=edited.path,
                line=edited.line(resolve(after.version_node)),
                key=format_path(slot.path),
                old=slot.current,
                new=after.current,
            )
        )
    return Edited(edited, tuple(changes), tuple(warnings))


def _slot_at(document: Document, slot: Slot) -> Slot:
    """The same place after an edit."""
    place = find_places(document, slot.path)[0] if slot.path else None
    node = resolve(place.node) if place and place.node else document.root
    if not isinstance(node, (Mapping, Scalar)):
        raise TypeError(f"{format_path(slot.path)} is no longer an image")
    return Slot(slot.path, node, slot.part, slot.registry)


def _check_outcome(
    before: Document, after: Document, found: list[Slot], image: Image, together: frozenset[str]
) -> list[str]:
    """Hold every image of the file to what it is to be: anchors and merge keys tie some to others.

    Returns:
        What follows by an anchor, to be warned of.
    """
    if after is before:
        return []
    for slot in found:
        if not _is_as_meant(_slot_at(after, slot), desired(image, slot.current)):
            raise before.error(
                f"another value goes before the one of `{format_path(slot.path)}` here.",
                "Write the image's values once, behind any merge key (`<<`).",
                slot.version_node,
            )
    now = {slot.path: slot for slot in slots(after)}
    paths = [slot.path for slot in found]
    moved = [slot for slot in slots(before) if slot.path not in paths]
    moved = [slot for slot in moved if not _is_allowed(slot, now.get(slot.path), image, together)]
    others = [f"`{name}`" for name in dict.fromkeys(slot.current.name for slot in moved)]
    if not others:
        return _followers(before, found)
    listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    if all(_stands_alone(before, slot) for slot in found):
        return [f"`{format_path(found[0].path)}` is the version of {listed} too."]
    raise before.error(
        f"`{image.name}` shares what it is given with {listed}, by an anchor or a merge key.",
        "Promote them to one version in one call, name the shared key itself with `#KEY`, or "
        "give each its own value.",
        found[0].version_node,
    )


def _stands_alone(document: Document, slot: Slot) -> bool:
    """Whether a version stands in no image's block: then it was named for all that it is of."""
    holder = find_places(document, slot.path)[0].parent if slot.part else None
    return isinstance(holder, Mapping) and not name_key(holder)


def _is_allowed(old: Slot, new: Slot | None, image: Image, together: frozenset[str]) -> bool:
    """Whether a place that is not meant may be as it is: as before, or promoted along."""
    if new is not None and new.current == old.current:
        return True
    if canonical_name(old.current.name) in {canonical_name(name) for name in together}:
        return True
    if new is None or not is_named(old, image):
        return False
    return _is_as_meant(new, desired(image, old.current))


def _followers(document: Document, found: list[Slot]) -> list[str]:
    """Warn of what has a version by an anchor and is no image, or that nothing says is one."""
    warnings: list[str] = []
    for slot in found:
        warnings += followers(document, [slot.version_node], _own_keys(document, slot))
    return list(dict.fromkeys(warnings))


def _own_keys(document: Document, slot: Slot) -> Callable[[Mapping, str], bool]:
    """What tells the keys of images, and the one that a target names, from others."""
    if slot.current.name:
        return lambda _, key: key in (*NAME_KEYS, *TAG_KEYS, *DIGEST_KEYS)
    holder = find_places(document, slot.path)[0].parent if slot.path else None
    return lambda mapping, key: mapping is holder and key == slot.path[-1]


def _is_as_meant(slot: Slot, new: Reference) -> bool:
    current = slot.current
    named = not current.name or canonical_name(current.name) == canonical_name(new.name)
    tagged = slot.part == "digest" or not new.tag or current.tag == new.tag
    return named and tagged and (not new.digest or current.digest == new.digest)


def _update(editor: Editor, slot: Slot, image: Image) -> None:
    current = slot.current
    new = desired(image, current)
    if isinstance(slot.node, Mapping):
        _update_block(editor, slot.node, slot, new)
    elif not slot.part:
        editor.set(slot.node, str(new))
    elif slot.part == "digest" and new.digest:
        editor.set(slot.node, new.digest)
    elif slot.part == "tag" and new.tag:
        editor.set(slot.node, new.version)
    else:
        raise editor.document.error(
            f"`{format_path(slot.path)}` holds a {slot.part}, and the call gives none.",
            "Name the image's block instead, or give the image a tag and a digest.",
            slot.node,
        )


def _update_block(editor: Editor, block: Mapping, slot: Slot, new: Reference) -> None:
    path, current = slot.path, slot.current
    if current.name and new.name != current.name:
        _set_name(editor, block, slot, new.name)
    digest = first_of(block, DIGEST_KEYS)
    if new.digest and digest is None and not new.tag:
        raise editor.document.error(
            f"`{format_path(path)}` has no place for a digest alone.",
            "Give the image a tag too, or add a `digest` key that the chart reads.",
            block,
        )
    if new.tag:
        _set_tag(editor, block, path, new.tag if digest is not None else new.version)
    if digest is not None:
        bare = digest_key(block) == "sha" and ":" not in digest.value
        value = new.digest.removeprefix("sha256:") if bare else new.digest
        if value or (digest.value and not is_null(digest)):
            editor.set(digest, value)


def _set_tag(editor: Editor, block: Mapping, path: Path, value: str) -> None:
    tag = first_of(block, TAG_KEYS)
    if tag is not None:
        editor.set(tag, value)
        return
    own = [find_pair(block, key) for key in (*NAME_KEYS, "registry", *DIGEST_KEYS)]
    after = next((pair[0] for pair in own if pair), block.pairs[-1][0] if block.pairs else None)
    if after is None:
        raise editor.document.error(
            f"`{format_path(path)}` is empty.", "Write its `repository` first.", block
        )
    editor.add_pair(block, after, TAG_KEYS[0], value, _quotes(editor.document))


def _quotes(document: Document) -> str:
    """The quotes that the file's last tag stands in."""
    for slot in reversed(slots(document)):
        tag = first_of(slot.node, TAG_KEYS) if isinstance(slot.node, Mapping) else None
        if tag is not None and tag.value:
            return tag.style if tag.style in ("'", '"') else ""
    return ""


def _set_name(editor: Editor, block: Mapping, slot: Slot, name: str) -> None:
    node, registry = find_value(block, name_key(block)), find_value(block, "registry")
    host, path = split_registry(name)
    if isinstance(registry, Scalar) and (host or registry.value):
        editor.set(registry, host or "docker.io")
        name = path
    elif slot.registry and split_registry(block_reference(block, "").name)[0] == "":
        if host != slot.registry:
            raise editor.document.error(
                f"the registry of all images here is `{slot.registry}`, not `{host}`.",
                "Give the image's block a `registry` key of its own first.",
                block,
            )
        name = path
    if node is not None:
        editor.set(node, name)
