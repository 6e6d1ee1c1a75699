"""The target kind `kustomize`: the `images:` of a kustomization, and what else it sets there."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from posixpath import basename

from gitops_promote.core.change import Change, Edited, Running
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import KEEP, Image, Reference, desired
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.kinds.overlay_order import acting, judge, lost, written_over
from gitops_promote.core.kinds.overlay_places import (
    LabelSlot,
    as_label,
    literals,
    places,
    trees,
    values_files,
)
from gitops_promote.core.slots import reading
from gitops_promote.core.slots.anchors import followers
from gitops_promote.core.slots.chart_version import ChartSlot
from gitops_promote.core.slots.edit import write
from gitops_promote.core.slots.entry import KEYS, Entry, EntrySlot, quotes_in, write_entry
from gitops_promote.core.slots.filled import refusal
from gitops_promote.core.slots.search import Form, find, is_named
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Place, Selector, node_at, parse_key
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
    return bool(matching(document, image)) or bool(
        judge(document, _named(document, image), entries(document)).effective
    )


def set_image(document: Document, image: Image, together: frozenset[str], key: str = "") -> Edited:
    """Promote an image in a kustomization: where it stands, else as `kustomize edit set image`.

    Unlike there, a `newName` stays that the item doesn't speak of, and nothing is sorted.

    Args:
        document: The kustomization file.
        image: The image, with a tag, a digest or a new name.
        together: The names of all images that this call gives the same version.
        key: The target's `#KEY`; empty to find the image by its name.

    Returns:
        The edited file and what changed.

    Raises:
        ImageNotFoundError: The key leads to another image.
        PromoteError: The file is none that kustomize would take, or can't be edited safely.
    """
    if key:
        slots = [as_label(slot) for slot in find(_FORM, document, image, key)]
        keys = [slot.label for slot in slots if isinstance(slot, EntrySlot)]
        found = [entry for entry in entries(document) if entry.key in keys]
        slots = [slot for slot in slots if slot.label not in keys]
    else:
        found, slots = matching(document, image), _named(document, image)
    # An entry without a version leaves that of others.
    promoted = [entry for entry in found if desired(image, entry.current).version]
    judged = judge(document, slots, entries(document), promoted)
    slots = slots if key else judged.effective
    edited = _set_slots(document, image, slots, together)
    if found or not slots:
        found = [entry for entry in entries(edited.document) if entry.key in _keys(found)]
        own = _set_entries(edited.document, image, found, together)
        edited = _joined(edited, own, [slot.again(own.document) for slot in slots])
    said = (*lost(document, judged), *written_over(found, slots), *_selecting(document, slots))
    return replace(edited, warnings=(*edited.warnings, *said))


def _keys(found: list[Entry]) -> list[str]:
    return [entry.key for entry in found]


def _set_slots(
    document: Document, image: Image, slots: list[Slot], together: frozenset[str]
) -> Edited:
    """Promote an image where it stands outside of `images:`."""
    for slot in slots:
        if slot.filled:
            raise refusal(slot.document, slot.label, slot.filled)
    return write(_FORM, document, image, slots, together)


def _joined(first: Edited, then: Edited, slots: list[Slot]) -> Edited:
    """Two edits as one; the lines of the first's changes are those after the second."""
    lines = {slot.label: slot.line for slot in slots}
    changes = [replace(change, line=lines[change.key]) for change in first.changes]
    return Edited(then.document, (*changes, *then.changes), (*first.warnings, *then.warnings))


def _set_entries(
    document: Document, image: Image, found: list[Entry], together: frozenset[str]
) -> Edited:
    """Promote an image in `images:`, in entries that are there or in a new one."""
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
    warnings = (*_doubts(found, image), *_suffixes(found, image, edited), *follow)
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


def _named(document: Document, image: Image) -> list[Slot]:
    """The places besides `images:` that give an image a version."""
    return [s for s in places(document) if s.current.version and is_named(s, image)]


def _selecting(document: Document, slots: list[Slot]) -> Iterator[str]:
    """Warn of labels by which objects are selected."""
    for slot in slots:
        if isinstance(slot, LabelSlot):
            block = node_at(document, slot.path[:2]).node
            block = resolve(block) if block else None
            selects = isinstance(block, Mapping) and text_of(block, "includeSelectors") == "true"
            if selects or len(slot.path) == len(("commonLabels", "KEY")):
                yield (
                    f"`{slot.label}` (line {slot.line}) goes into selectors too, which Kubernetes "
                    "doesn't let change on a Deployment that is there."
                )


def _suffixes(found: list[Entry], image: Image, edited: Document) -> Iterator[str]:
    """Warn of a `tagSuffix`, which counts only beside no version ("kustomize/api/filters")."""
    now = {entry.key: entry for entry in entries(edited)}
    for entry in found:
        pair = entry.pair("tagSuffix")
        if pair and not entry.current.version and now[entry.key].current.version:
            yield (
                f"`{entry.key}` gives `{image.name}` a version now, so kustomize ignores its "
                f"`tagSuffix` (`{entry.text('tagSuffix')}`)."
            )


@dataclass(frozen=True)
class _ImagesSlot(EntrySlot):
    """An item of `images:`, which is edited as a whole whichever of its keys is named."""

    def answers(self, key: str) -> bool:
        """As `Slot.answers` says: by index or `[name=NAME]`, with a key of the item or without."""
        field, *rest = parse_key(key)
        if not rest or not fnmatchcase(str(self.path[0]), str(field)):
            return False
        item, *inner = rest
        if isinstance(item, Selector):
            fits = text_of(self.node, item.key, fold=True) == item.value
        else:
            fits = item in (self.path[1], "*")
        return fits and (not inner or (len(inner) == 1 and inner[0] in (*KEYS, "tagSuffix")))


def _slots(document: Document) -> list[Slot]:
    """All that a `#KEY` may name, and what an edit may not move by the way."""
    found: list[Slot] = []
    for entry in entries(document):
        field, index = entry.key.rstrip("]").split("[")
        found.append(_ImagesSlot(document, (field, int(index)), entry.node))
    known = places(document)
    return [*found, *known, *(slot for slot in literals(document) if slot not in known)]


def _roots(document: Document) -> list[Place]:
    # kustomize reads the first document of a file and no other.
    return [Place(document, (), None, document.root)]


def _trees(document: Document) -> list[Place]:
    """The values of the only chart: of several, a path alone names none."""
    found = trees(document)
    return found if len(found) == 1 else []


_FORM = Form(_slots, _roots, _trees)


def running(document: Document, images: Seq[str], key: str = "") -> tuple[Running, ...]:
    """Read what a kustomization makes run.

    Args:
        document: The kustomization file.
        images: The names that are meant; none for all that have a version.
        key: The target's `#KEY`, or an empty text.

    Returns:
        The images, in the order of the file.

    Raises:
        PromoteError: The file is none that kustomize would take.
    """
    if key:
        return _running_by_key(document, images, key)
    found = entries(document)
    if images:
        wanted = [Image(name) for name in images]
        meant = {entry.key for image in wanted for entry in matching(document, image)}
        found = [entry for entry in found if entry.key in meant]
        slots = [slot for image in wanted for slot in _named(document, image)]
    else:
        found = [entry for entry in found if entry.current.version]
        # A chart is no image; who copies its version names it.
        named = [s for s in places(document) if s.names and not isinstance(s, ChartSlot)]
        slots = [slot for slot in named if slot.current.version]
    # One mapping may be several entries, by aliases.
    distinct = list({id(entry.node): entry for entry in reversed(found)}.values())[::-1]
    read = [_running(document, entry) for entry in distinct]
    effective = judge(document, slots, entries(document)).effective
    others = {slot.label: slot for slot in effective if not slot.filled}.values()
    read += [_running_in(document, slot) for slot in others]
    return tuple(sorted(read, key=lambda one: one.line) if others else read)


def _running_by_key(document: Document, images: Seq[str], key: str) -> tuple[Running, ...]:
    known = {entry.key: entry for entry in entries(document)}
    return tuple(
        _running(document, known[one.key]) if one.key in known else one
        for one in reading.running(_FORM, document, key, images)
    )


def _running_in(document: Document, slot: Slot) -> Running:
    reference = replace(slot.current, name=acting(slot, entries(document))[1])
    return Running(slot.current.name, slot.document.path, slot.line, slot.label, reference)


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

    def answers(self, document: Document, key: str) -> bool:
        """As `Kind.answers` says."""
        return any(slot.answers(key) for slot in _slots(document))

    def creates(self, _path: str) -> bool:
        """As `Kind.creates` says: none."""
        return False

    def values_files(self, document: Document) -> list[str]:
        """As `Kind.values_files` says: those of `helmCharts`."""
        return values_files(document)

    def set_image(self, document: Document, image: Image, key: str, around: Around) -> Edited:
        """As `Kind.set_image` says. An image that stands nowhere here gets an entry."""
        return set_image(document, image, around.together, key)

    def running(self, document: Document, key: str, images: Seq[str]) -> tuple[Running, ...]:
        """As `Kind.running` says."""
        return running(document, images, key)


KIND = Kustomize()
