"""The target kind `kustomize`: the `images:` of a kustomization."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from functools import lru_cache
from posixpath import basename

from gitops_promote.core.change import Change, Edited, Running
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import KEEP, Image, Reference, desired
from gitops_promote.core.kinds.anchors import followers
from gitops_promote.core.kinds.entry import KEYS, Entry, quotes_in, write_entry
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.yaml.document import Document
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

_GROUP = "kustomize.config.k8s.io/"
#: The names that kustomize looks for in a folder, in its order.
FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_LISTS = ("images", "imageTags")  # the second is kustomize's old name of the first


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


def knows(document: Document, image: Image) -> bool:
    """Whether a kustomization says anything of an image.

    Args:
        document: The kustomization file.
        image: The image.

    Returns:
        True where a promotion changes what is there already.

    Raises:
        PromoteError: The file is none that kustomize would take.
    """
    return bool(matching(document, image))


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
            new = desired(image, entry.current)
            named = image.new_name == new.name
            write_entry(editor, entry, new, entries(document), named=named)
    else:
        _add(editor, image)
    edited = editor.apply()
    _check_outcome(document, edited, found, image, together)
    own = [id(entry.node) for entry in entries(document)]
    changed = [resolve(p[1]) for entry in found for key in KEYS[1:] if (p := entry.pair(key))]
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
        editor.append_item(lists[-1], pairs, quotes_in(known))
    else:
        present = _image_pairs(document)
        editor.add_list(_spelling(present[0][0]) if present else _LISTS[0], pairs, "")


def _order(known: list[Entry]) -> list[str]:
    """The keys in the order of the file's last entry, the ones it lacks in kustomize's."""
    last = known[-1].node if known else None
    keys = [key.value for key, _ in last.pairs if isinstance(key, Scalar)] if last else []
    present = [key for key in keys if key in KEYS]
    return present + [key for key in KEYS if key not in present]


def running(document: Document, images: Seq[str]) -> tuple[Running, ...]:
    """Read what a kustomization makes run.

    Args:
        document: The kustomization file.
        images: The names that are meant; none for all that have a version.

    Returns:
        The images, in the order of the file.

    Raises:
        PromoteError: The file is none that kustomize would take.
    """
    found = entries(document)
    if images:
        meant = {entry.key for name in images for entry in matching(document, Image(name))}
        found = [entry for entry in found if entry.key in meant]
    else:
        found = [entry for entry in found if entry.current.version]
    # One mapping may be several entries, by aliases.
    distinct = list({id(entry.node): entry for entry in reversed(found)}.values())[::-1]
    return tuple(_running(document, entry) for entry in distinct)


def _running(document: Document, entry: Entry) -> Running:
    pair = entry.pair("newTag") or entry.pair("digest") or entry.pair("newName")
    line = document.line(resolve(pair[1]) if pair else entry.node)
    return Running(entry.name, document.path, line, entry.key, entry.current)


class Kustomize:
    """The kind `kustomize`."""

    name = "kustomize"
    file_names = FILE_NAMES

    def fits(self, path: str, document: Document) -> bool:
        """As `Kind.fits` says."""
        root = document.root
        version = text_of(root, "apiVersion") if isinstance(root, Mapping) else ""
        return version.startswith(_GROUP) or (not version and basename(path) in FILE_NAMES)

    def answers(self, _document: Document, _key: str) -> bool:
        """As `Kind.answers` says."""
        return False

    def creates(self, _path: str) -> bool:
        """As `Kind.creates` says: none."""
        return False

    def values_files(self, _document: Document) -> list[str]:
        """As `Kind.values_files` says: those of `helmCharts`."""
        return []

    def set_image(self, document: Document, image: Image, _key: str, around: Around) -> Edited:
        """As `Kind.set_image` says. An image that has no entry gets one."""
        return set_image(document, image, around.together)

    def running(self, document: Document, _key: str, images: Seq[str]) -> tuple[Running, ...]:
        """As `Kind.running` says."""
        return running(document, images)


KIND = Kustomize()
