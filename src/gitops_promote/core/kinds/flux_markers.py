"""Flux's markers: comments that say of a value which image policy it follows.

`# {"$imagepolicy": "NAMESPACE:NAME"}` stands behind a whole reference, and the same with `:tag`,
`:name` or `:digest` behind the name of the policy where a value is that part alone ("Configure
image updates", Flux's guide to automating image updates). A comment counts as kyaml's setters read
it: the whole comment is a JSON object of strings, on the line on which a scalar ends that is a
mapping's value or a list's item.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from gitops_promote.core.images import Reference
from gitops_promote.core.kinds.flux_artifact import ArtifactSlot
from gitops_promote.core.slots.block import DIGEST_KEYS, TAG_KEYS, first_of, is_block, name_key
from gitops_promote.core.slots.entry import EntrySlot
from gitops_promote.core.slots.slot import ReferenceSlot, Slot
from gitops_promote.core.slots.values import ValueSlot, global_registry
from gitops_promote.core.yaml import layout
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, node_at, roots
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    by_name,
    find_pair,
    find_value,
    resolve,
)

if TYPE_CHECKING:
    from typing_extensions import Self

_KEY = "$imagepolicy"
_HEADER = re.compile(r"[|>][-+0-9]*")
# Names as Kubernetes takes them; no policy has another.
_NAME = r"[a-z0-9][a-z0-9.-]*"
_POLICY = re.compile(rf"({_NAME}:{_NAME})(?::(tag|digest|name))?")
# Those that say the version first.
_PARTS = ("", "tag", "digest", "name")
# In flow style a comment behind a comma is of what stands before it.
_COMMENT = re.compile(r"[ \t]*(?:,[ \t]*)?(?<=[ \t])#+([^\r\n]*)")


@dataclass(frozen=True)
class Marker:
    """A scalar that follows an image policy, as a whole (`part` is empty) or as a part."""

    policy: str
    part: str
    path: Path
    node: Scalar
    parent: Mapping | Sequence


@dataclass(frozen=True)
class PartsSlot(Slot):
    """An image's tag, its digest or both, in scalars that only their markers tell.

    `node` is the scalar of the tag, else of the digest. `pinned` says that the policy keeps the
    digest elsewhere.
    """

    node: Scalar
    tag: Path | None = None
    digest: Path | None = None
    pinned: bool = False

    @property
    def current(self) -> Reference:
        """What stands here; nothing says the name."""
        tag, _, digest = self._text(self.tag).partition("@")
        return Reference("", tag, self._text(self.digest) or digest)

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says."""
        return self.current == Reference("", *self._meant(new))

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        if self.tag is not None and not new.tag:
            raise editor.document.error(
                f"`{self.label}` holds a tag, and the call gives none.",
                "Give the image a tag and a digest.",
                self.node,
            )
        tag, digest = self._meant(new)
        if self.tag is not None:
            whole = f"{tag}@{digest}" if digest and self.digest is None else tag
            editor.set(node_at(self.document, self.tag).node or self.node, whole)
        if self.digest is not None:
            editor.set(node_at(self.document, self.digest).node or self.node, digest)

    def _meant(self, new: Reference) -> tuple[str, str]:
        """The tag and the digest that are to stand here."""
        elsewhere = self.pinned and self.digest is None
        return new.tag if self.tag is not None else "", "" if elsewhere else new.digest

    def _text(self, path: Path | None) -> str:
        found = node_at(self.document, path).node if path is not None else None
        node = resolve(found) if found is not None else None
        return node.value if isinstance(node, Scalar) else ""


@dataclass(frozen=True)
class MarkedSlot(Slot):
    """A place that follows an image policy.

    `inner` is what stands there, and `parts` are those of its scalars that have a marker.
    `namesake` is a place of the policy that says the image's name, should this one not, and `also`
    are the names that all its places have. `titles` are scalars with nothing but the name.
    """

    inner: Slot
    policy: str
    parts: frozenset[str]
    namesake: Slot | None = None
    also: frozenset[str] = frozenset()
    titles: tuple[Scalar, ...] = ()

    @property
    def current(self) -> Reference:
        """What stands here, with the name that the policy's other places say."""
        current = self.inner.current
        if current.name or self.namesake is None:
            return current
        return replace(current, name=self.namesake.current.name)

    @property
    def names(self) -> frozenset[str]:
        """The names that the policy's image has in the file."""
        return self.inner.names | self.also

    @property
    def version_node(self) -> Node:
        """As `Slot.version_node` says."""
        return self.inner.version_node

    @property
    def holders(self) -> list[Node]:
        """As `Slot.holders` says."""
        return self.inner.holders

    @property
    def label(self) -> str:
        """As `Slot.label` says."""
        return self.inner.label

    def answers(self, key: str) -> bool:
        """As `Slot.answers` says: by the policy, by one of the parts, or by the place."""
        keys = {self.policy, *(f"{self.policy}:{part}" for part in self.parts if part)}
        return key in keys or self.inner.answers(key)

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says."""
        return self.inner.shows(new)

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: There is no room for what matters, or the old digest would stay.
        """
        current = self.current
        if "digest" in self.parts and current.digest and not new.digest:
            raise editor.document.error(
                f"`{self.label}` has a digest that follows the image policy `{self.policy}`, and "
                "the call gives none: the old one would stay beside the new tag.",
                "Give the image its digest, too, such as `NAME:TAG@sha256:…`.",
                self.version_node,
            )
        self.inner.write(editor, new)
        if current.name and new.name != current.name:
            for node in self.titles:
                editor.set(node, new.name)

    def again(self, file: Document) -> Self:
        """As `Slot.again` says."""
        inner = self.inner.again(file)
        namesake = self.namesake.again(file) if self.namesake else None
        return replace(
            self,
            document=inner.document,
            path=inner.path,
            node=inner.node,
            inner=inner,
            namesake=namesake,
        )


# An edit looks at a file's markers several times, before and after it.
@lru_cache(maxsize=4)
def markers(document: Document) -> tuple[Marker, ...]:
    """Find the markers of a file.

    Args:
        document: The file.

    Returns:
        The markers that Flux reads, in the file's order; others are passed over, as Flux does.
    """
    if f'"{_KEY}"' not in document.text:
        return ()
    found = []
    for path, parent, node in scalars(document):
        header = _HEADER.match(document.text, node.start) if node.style in ("|", ">") else None
        end = layout.trimmed_end(document.text, node.start, node.end)
        comment = _COMMENT.match(document.text, header.end() if header else end)
        read = _read(comment[1]) if comment and end > node.start else None
        if read:
            found.append(Marker(*read, path, node, parent))
    return tuple(sorted(found, key=lambda marker: marker.node.start))


def unread(document: Document) -> list[int]:
    """The lines that look as if they had a marker which Flux would read, and have none.

    Args:
        document: The file.

    Returns:
        The lines, counted from 1.
    """
    text = document.text
    ends = [
        (node.start if node.style in ("|", ">") else node.end)
        for node in (marker.node for marker in markers(document))
    ]
    read = {layout.line_of(text, end) for end in ends}
    lines = enumerate(layout.LINE_BREAK.split(text), 1)
    return [number for number, line in lines if _KEY in line and number not in read]


def with_markers(document: Document, own: list[Slot]) -> list[Slot]:
    """The places of a file that hold an image, those that follow a policy as such.

    Args:
        document: The file.
        own: The places that are found without markers.

    Returns:
        All places, each once, in the order of the file.
    """
    places: dict[tuple[Path, int], tuple[Slot, list[Marker]]] = {}
    loose: list[Marker] = []
    holders = {id(node): slot for slot in reversed(own) for node in nodes_of(slot)}
    for marker in markers(document):
        place = holders.get(id(marker.node)) or _place_of(document, marker)
        if place is None:
            loose.append(marker)
        else:
            identity = (place.path, id(place.node))
            places.setdefault(identity, (place, []))[1].append(marker)
    groups = [*places.values(), *_loose_places(document, loose)]
    marked = _marked(groups, [marker for marker in loose if marker.part == "name"])
    taken = {(slot.path, id(slot.node)) for slot in marked}
    rest = [slot for slot in own if (slot.path, id(slot.node)) not in taken]
    if not marked:
        return own
    return sorted([*marked, *rest], key=lambda slot: resolve(slot.version_node).start)


def _marked(groups: list[tuple[Slot, list[Marker]]], titles: list[Marker]) -> list[Slot]:
    """The places of each policy; one that only has a name's marker has no version of it."""
    by_policy: dict[str, list[tuple[Slot, frozenset[str]]]] = {}
    named: dict[str, list[Slot]] = {}
    for slot, own in groups:
        policy = min(own, key=lambda marker: _PARTS.index(marker.part)).policy
        parts = frozenset(marker.part for marker in own if marker.policy == policy)
        named.setdefault(policy, []).append(slot)
        if parts != {"name"}:
            by_policy.setdefault(policy, []).append((slot, parts))
    found: list[Slot] = []
    for policy, slots in by_policy.items():
        mine = [marker for marker in titles if marker.policy == policy]
        document = slots[0][0].document
        sources = [slot for slot in named[policy] if slot.current.name]
        sources += [ReferenceSlot(document, marker.path, marker.node) for marker in mine]
        also = frozenset(name for slot in sources for name in slot.names)
        source = sources[0] if sources else None
        nodes = tuple(marker.node for marker in mine)
        found += [
            MarkedSlot(document, slot.path, slot.node, slot, policy, parts, source, also, nodes)
            for slot, parts in slots
        ]
    return found


def _loose_places(document: Document, loose: list[Marker]) -> Iterator[tuple[Slot, list[Marker]]]:
    """The tags and digests that stand in no block: beside each other they are one image's."""
    versions = [marker for marker in loose if marker.part != "name"]
    pinned = {marker.policy for marker in markers(document) if marker.part == "digest"}
    beside: dict[tuple[int, str], list[Marker]] = {}
    for marker in versions:
        beside.setdefault((id(marker.parent), marker.policy), []).append(marker)
    for (_, policy), group in beside.items():
        paths = {marker.part: marker.path for marker in group}
        if len(paths) == len(group):
            head = min(group, key=lambda marker: _PARTS.index(marker.part))
            heads = [(head, paths, group)]
        else:
            heads = [(marker, {marker.part: marker.path}, [marker]) for marker in group]
        for head, own, held in heads:
            tag, digest = own.get("tag"), own.get("digest")
            place = PartsSlot(document, head.path, head.node, tag, digest, policy in pinned)
            yield place, held


def _place_of(document: Document, marker: Marker) -> Slot | None:
    """What a marker stands in, where it is a reference, an image's block or an entry."""
    if not marker.part:
        return ReferenceSlot(document, marker.path, marker.node)
    parent, path = marker.parent, marker.path[:-1]
    around: list[Slot] = []
    if isinstance(parent, Mapping):
        if (
            path[-2:-1] == ("images",)
            or find_pair(parent, "newTag")
            or find_pair(parent, "newName")
        ):
            around.append(EntrySlot(document, path, parent))
        elif is_block(parent):
            registry = global_registry(document.root)
            around.append(ValueSlot(document, path, parent, registry=registry))
    held = (slot for slot in around if any(node is marker.node for node in nodes_of(slot)))
    return next(held, None)


def nodes_of(slot: Slot) -> list[Node | None]:
    """The scalars that a place reads and writes.

    Args:
        slot: The place.

    Returns:
        The scalars, None for each that isn't there.
    """
    if isinstance(slot, MarkedSlot):
        return nodes_of(slot.inner)
    node = slot.node
    if isinstance(slot, ValueSlot) and isinstance(node, Mapping):
        name = find_value(node, name_key(node)) if name_key(node) else None
        return [name, first_of(node, TAG_KEYS), first_of(node, DIGEST_KEYS)]
    if isinstance(slot, EntrySlot):
        pairs = (slot.entry.pair(key) for key in ("name", "newName", "newTag", "digest"))
        return [resolve(pair[1]) for pair in pairs if pair]
    if isinstance(slot, ArtifactSlot):
        return [*slot.parts]
    return [resolve(slot.version_node)]


def _read(comment: str) -> tuple[str, str] | None:
    """The policy and the part that a comment names."""
    try:
        said = json.loads(comment)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not all(isinstance(text, str) for text in said.values()):
        return None
    found = _POLICY.fullmatch(said.get(_KEY, ""))
    return (found[1], found[2] or "") if found else None


def scalars(document: Document) -> Iterator[tuple[Path, Mapping | Sequence, Scalar]]:
    """Find the scalars of a file that are a value or an item where they stand, and count there.

    Args:
        document: The file.

    Yields:
        The path, what holds it, and the scalar.
    """
    stack: list[tuple[Path, Node]] = [
        (place.path, place.node) for place in roots(document) if place.node is not None
    ]
    while stack:
        path, node = stack.pop()
        inside: list[tuple[str | int, Node]] = []
        if isinstance(node, Sequence):
            inside = list(enumerate(node.items))
        elif isinstance(node, Mapping):
            own = {id(pair) for pair in node.pairs}
            inside = [(key, pair[1]) for key, pair in by_name(node).items() if id(pair) in own]
        for key, value in inside:
            if isinstance(value, Scalar) and isinstance(node, (Mapping, Sequence)):
                yield (*path, key), node, value
            else:
                stack.append(((*path, key), value))
