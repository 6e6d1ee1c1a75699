"""The target kind `kustomize`: the `images:` of a kustomization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitops_promote.core.change import Change, Edited
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import KEEP, Image, Reference, desired
from gitops_promote.core.splice import Document, Editor
from gitops_promote.core.yaml_tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    find_value,
    resolve,
)

#: The names that kustomize looks for in a folder, in its order.
FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_LISTS = ("images", "imageTags")  # the second is kustomize's old name of the first
_KEYS = ("name", "newName", "newTag", "digest")


@dataclass(frozen=True)
class Entry:
    """One item of `images:`; of a key that is missing the pair is None."""

    index: int
    node: Mapping
    name: str

    def pair(self, key: str) -> tuple[Node, Node] | None:
        """The entry's own pair of a key."""
        return find_pair(self.node, key, fold=True)

    def text(self, key: str) -> str:
        """The value of a key as kustomize sees it, empty where there is none."""
        value = find_value(self.node, key)
        return value.value if isinstance(value, Scalar) else ""

    @property
    def current(self) -> Reference:
        """What the entry makes of its image; a tag may carry the digest (`TAG@DIGEST`)."""
        tag, _, digest = self.text("newTag").partition("@")
        return Reference(self.text("newName") or self.name, tag, digest or self.text("digest"))


def entries(document: Document) -> list[Entry]:
    """The items of `images:` that have a name.

    Args:
        document: A kustomization file.

    Returns:
        The entries, in the order of the file.

    Raises:
        PromoteError: The file is none that kustomize would take.
    """
    images = _image_list(document)
    items = images.items if isinstance(images, Sequence) else []
    found = []
    for index, item in enumerate(items):
        node = resolve(item)
        if not isinstance(node, Mapping):
            raise document.error(
                "an item of `images` must be a mapping.",
                "Write it as `- name: NAME` with `newTag: TAG` below.",
                item,
            )
        name = find_value(node, "name")
        if isinstance(name, Scalar) and name.value:
            found.append(Entry(index, node, name.value))
    return found


def matching(document: Document, image: Image) -> list[Entry]:
    """The entries that an image is meant by: those of its name, else those that run it.

    Args:
        document: A kustomization file.
        image: The image that is promoted.

    Returns:
        The entries; several where the file has several of one name.

    Raises:
        PromoteError: The file is none that kustomize would take.
    """
    found = entries(document)
    named = [entry for entry in found if entry.name == image.name]
    return named or [e for e in found if image.name == e.text("newName") and not image.new_name]


def set_image(document: Document, image: Image, together: frozenset[str]) -> Edited:
    """Promote an image in a kustomization, as `kustomize edit set image` would.

    Unlike there, a `newName` stays that the item doesn't speak of, and nothing is sorted.

    Args:
        document: The kustomization file.
        image: The image, with a tag, a digest or a new name.
        together: The names of all images that this call gives the same version.

    Returns:
        The edited file and what changed.

    Raises:
        PromoteError: The file is none that kustomize would take, or can't be edited safely.
    """
    found = matching(document, image)
    editor = Editor(document)
    if found:
        for entry in found:
            _check_shared(document, entry, image, together)
            _update(editor, entry, image)
    else:
        _add(editor, image)
    edited = editor.apply()
    return Edited(edited, tuple(_changes(found, edited, image)), _doubts(found, image))


def _changes(before: list[Entry], edited: Document, image: Image) -> Iterator[Change]:
    old = {entry.index: entry.current for entry in before}
    for entry in entries(edited):
        if entry.index not in old if before else entry.name != image.name:
            continue
        pair = entry.pair("newTag") or entry.pair("digest") or entry.pair("newName")
        yield Change(
            image=image.name,
            path=edited.path,
            line=edited.line(resolve(pair[1]) if pair else entry.node),
            key=f"images[{entry.index}]",
            old=old.get(entry.index, Reference(image.name)),
            new=entry.current,
        )


def _doubts(found: list[Entry], image: Image) -> tuple[str, ...]:
    if len(found) < 2 or found[0].name != found[1].name:
        return ()
    return (f"`images` has {len(found)} entries named `{image.name}`; all were set.",)


def _image_list(document: Document) -> Node | None:
    root = document.root
    if not isinstance(root, Mapping) or not root.pairs:
        raise PromoteError(
            "this kustomization is empty, which kustomize refuses.",
            "Give it `resources:` first.",
            path=document.path,
        )
    pair = _image_pair(root)
    if pair is None:
        return None
    value = resolve(pair[1])
    if isinstance(value, Sequence) or _is_null(value):
        return value
    raise document.error(
        f"`{_LISTS[0]}` must be a list.", "Write one `- name: NAME` per image.", pair[1]
    )


def _image_pair(root: Mapping) -> tuple[Node, Node] | None:
    return next(filter(None, (find_pair(root, key, fold=True) for key in _LISTS)), None)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.style and node.value in ("", "~", "null")


def _check_shared(
    document: Document, entry: Entry, image: Image, together: frozenset[str]
) -> None:
    """Refuse to change by an anchor what another image runs."""
    for key in _KEYS[1:]:
        mine = entry.pair(key)
        for other in entries(document):
            theirs = other.pair(key)
            if other.name in together or not mine or not theirs or other.node is entry.node:
                continue
            if resolve(mine[1]) is resolve(theirs[1]) and other.name != entry.name:
                raise document.error(
                    f"`{image.name}` and `{other.name}` share this `{key}` by an anchor.",
                    "Promote both in one call, or give each its own value.",
                    resolve(mine[1]),
                )


def _update(editor: Editor, entry: Entry, image: Image) -> None:
    old, new = entry.current, desired(image, entry.current)
    if new.name != (entry.text("newName") or entry.name) or image.new_name == new.name:
        _put(editor, entry, "newName", new.name)
    tag, digest = entry.pair("newTag"), entry.pair("digest")
    if old.tag and old.digest and not digest:
        # `newTag: TAG@DIGEST`: kustomize writes the two one behind the other, and so may we.
        _put(editor, entry, "newTag", new.version)
        return
    if new.tag and not tag and digest and not new.digest:
        editor.replace_pair(entry.node, digest[0], "newTag", new.tag)
        return
    if new.digest and not digest and tag and not new.tag:
        editor.replace_pair(entry.node, tag[0], "digest", new.digest)
        return
    for key, value, pair in (("newTag", new.tag, tag), ("digest", new.digest, digest)):
        if value:
            _put(editor, entry, key, value)
        elif pair and entry.text(key):
            editor.remove_pair(entry.node, pair[0])


def _put(editor: Editor, entry: Entry, key: str, value: str) -> None:
    pair = entry.pair(key)
    if pair:
        editor.set(pair[1], value)
        return
    earlier = [entry.pair(name) for name in _KEYS[: _KEYS.index(key)]]
    after = next(found[0] for found in reversed(earlier) if found)
    style = _quotes(entries(editor.document)) if key != "newName" else ""
    editor.add_pair(entry.node, after, key, value, style)


def _add(editor: Editor, image: Image) -> None:
    document = editor.document
    new = desired(image, Reference(image.name))
    name = new.name if image.new_name not in (None, KEEP) else ""
    values = {"name": image.name, "newName": name, "newTag": new.tag, "digest": new.digest}
    known = entries(document)
    pairs = [(key, values[key]) for key in _order(known) if values[key]]
    if len(pairs) < 2:
        raise document.error(
            f"`{image.name}` has no entry here, and the call gives it nothing to set.",
            "Give it a tag, a digest or a new name.",
        )
    images = _image_list(document)
    if isinstance(images, Sequence):
        editor.append_item(images, pairs, _quotes(known))
    else:
        editor.add_list(_LISTS[0], pairs, "")


def _order(known: list[Entry]) -> list[str]:
    """The keys in the order of the file's last entry, the ones it lacks in kustomize's."""
    last = known[-1].node if known else None
    keys = [key.value for key, _ in last.pairs if isinstance(key, Scalar)] if last else []
    present = [key for key in keys if key in _KEYS]
    return present + [key for key in _KEYS if key not in present]


def _quotes(known: list[Entry]) -> str:
    """The quotes that the file's versions stand in."""
    for entry in reversed(known):
        pair = entry.pair("newTag") or entry.pair("digest")
        value = resolve(pair[1]) if pair else None
        if isinstance(value, Scalar):
            return value.style if value.style in ("'", '"') else ""
    return ""

