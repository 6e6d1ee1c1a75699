"""The target kind `kustomize`: the `images:` of a kustomization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gitops_promote.core.change import Change, Edited
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import KEEP, Image, Reference, desired
from gitops_promote.core.kinds.anchors import followers
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.quoting import quotes_of
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    is_null,
    resolve,
    text_of,
)

#: The names that kustomize looks for in a folder, in its order.
FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_LISTS = ("images", "imageTags")  # the second is kustomize's old name of the first
_KEYS = ("name", "newName", "newTag", "digest")


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of `images:` that has a name; `key` is its place, such as `images[0]`."""

    key: str
    node: Mapping
    name: str

    def pair(self, key: str) -> tuple[Node, Node] | None:
        """The entry's own pair of a key.

        Args:
            key: The key, in any case of letters.

        Returns:
            Key and value, or None.
        """
        return find_pair(self.node, key, fold=True)

    def text(self, key: str) -> str:
        """The value of a key as kustomize sees it, empty where there is none.

        Args:
            key: The key, in any case of letters.

        Returns:
            The text.
        """
        return text_of(self.node, key, fold=True)

    @property
    def current(self) -> Reference:
        """What the entry makes of its image; a tag may carry the digest (`TAG@DIGEST`)."""
        tag, _, digest = self.text("newTag").partition("@")
        return Reference(self.text("newName") or self.name, tag, digest or self.text("digest"))


# An edit looks at a file's entries several times, before and after it.
@lru_cache(maxsize=4)
def entries(document: Document) -> list[Entry]:
    """The items of `images:` that have a name.

    Args:
        document: A kustomization file.

    Returns:
        The entries, in the order in which kustomize applies them.

    Raises:
        PromoteError: The file is none that kustomize would take.
    """
    found = []
    for key, images in _image_lists(document):
        for index, item in enumerate(images.items):
            node = resolve(item)
            if isinstance(node, Mapping):
                if name := text_of(node, "name", fold=True):
                    found.append(Entry(f"{key}[{index}]", node, name))
            elif not is_null(node):
                raise document.error(
                    "an item of `images` must be a mapping.",
                    "Write it as `- name: NAME` with `newTag: TAG` below.",
                    item,
                )
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
        # One mapping may be several entries, by aliases.
        for entry in {id(entry.node): entry for entry in found}.values():
            _update(editor, entry, image)
    else:
        _add(editor, image)
    edited = editor.apply()
    _check_outcome(document, edited, found, image, together)
    own = [id(entry.node) for entry in entries(document)]
    changed = [resolve(p[1]) for entry in found for key in _KEYS[1:] if (p := entry.pair(key))]
    follow = followers(document, changed, lambda mapping, _: id(mapping) in own)
    warnings = (*_doubts(found, image), *follow)
    return Edited(edited, tuple(_changes(found, edited, image)), warnings)


def _check_outcome(
    before: Document, after: Document, found: list[Entry], image: Image, together: frozenset[str]
) -> None:
    """Hold all entries to what they are to run: anchors and merge keys tie some to others."""
    meant = {entry.key: entry for entry in found}
    old = {entry.key: entry for entry in entries(before)}
    for entry in entries(after):
        current = old[entry.key].current if entry.key in old else Reference(entry.name)
        if entry.key in meant or entry.key not in old:
            same_name = entry.key not in old or entry.name == old[entry.key].name
            if not same_name or entry.current != desired(image, current):
                raise before.error(
                    f"an anchor or a merge key (`<<`) ties `{image.name}` to another value here.",
                    "Write its `name`, `newName`, `newTag` and `digest` out.",
                    old[entry.key].node if entry.key in old else None,
                )
        elif entry.current != current and entry.name not in together:
            raise before.error(
                f"`{image.name}` and `{entry.name}` share their version by an anchor.",
                "Promote both to one version in one call, or give each its own value.",
                old[entry.key].node,
            )


def _changes(before: list[Entry], edited: Document, image: Image) -> Iterator[Change]:
    old = {entry.key: entry.current for entry in before}
    for entry in entries(edited):
        if entry.key not in old if before else entry.name != image.name:
            continue
        pair = entry.pair("newTag") or entry.pair("digest") or entry.pair("newName")
        yield Change(
            image=image.name,
            path=edited.path,
            line=edited.line(resolve(pair[1]) if pair else entry.node),
            key=entry.key,
            old=old.get(entry.key, Reference(image.name)),
            new=entry.current,
        )


def _doubts(found: list[Entry], image: Image) -> tuple[str, ...]:
    if len(found) < 2 or found[0].name != found[1].name:
        return ()
    return (f"`images` has {len(found)} entries named `{image.name}`; all were set.",)


def _image_lists(document: Document) -> list[tuple[str, Sequence]]:
    """The lists of images by their keys; null counts as none, as it does for kustomize."""
    found = []
    for key, value in _image_pairs(document):
        node = resolve(value)
        if isinstance(node, Sequence):
            found.append((_spelling(key), node))
        elif not is_null(node):
            raise document.error(
                f"`{_spelling(key)}` must be a list.", "Write one `- name: NAME` per image.", value
            )
    return found


def _image_pairs(document: Document) -> list[tuple[Node, Node]]:
    root = document.root
    if not isinstance(root, Mapping) or not root.pairs:
        raise PromoteError(
            "this kustomization is empty, which kustomize refuses.",
            "Give it `resources:` first.",
            path=document.path,
        )
    return [pair for key in _LISTS if (pair := find_pair(root, key, fold=True))]


def _spelling(key: Node) -> str:
    key = resolve(key)
    return key.value if isinstance(key, Scalar) else ""


def _update(editor: Editor, entry: Entry, image: Image) -> None:
    old, new = entry.current, desired(image, entry.current)
    if new.name != old.name or image.new_name == new.name:
        _put(editor, entry, "newName", new.name)
    tag, digest = entry.pair("newTag"), entry.pair("digest")
    if old.tag and old.digest and new.tag and not digest:
        # `newTag: TAG@DIGEST`: kustomize writes the two one behind the other, and so may we.
        _put(editor, entry, "newTag", new.version)
    elif new.tag and not new.digest and digest and not tag:
        editor.replace_pair(entry.node, digest[0], "newTag", new.tag)
    elif new.digest and not new.tag and tag and not digest:
        editor.replace_pair(entry.node, tag[0], "digest", new.digest)
    else:
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
    earlier = [entry.pair(name) for name in reversed(_KEYS[: _KEYS.index(key)])]
    after = next(filter(None, earlier), entry.node.pairs[-1])
    style = _quotes(entries(editor.document)) if key != "newName" else ""
    editor.add_pair(entry.node, after[0], key, value, style)


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
    lists = [images for _, images in _image_lists(document) if images.items]
    if lists:
        editor.append_item(lists[-1], pairs, _quotes(known))
    else:
        present = _image_pairs(document)
        editor.add_list(_spelling(present[0][0]) if present else _LISTS[0], pairs, "")


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
        if value:
            return quotes_of(value)
    return ""
