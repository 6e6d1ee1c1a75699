"""An item of `images:` as kustomize has it, which Flux has taken over."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

from gitops_promote.core.images import Reference, canonical_name
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.quoting import quotes_of
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import Mapping, Node, find_pair, resolve, text_of

#: The keys of an entry, in kustomize's order.
KEYS = ("name", "newName", "newTag", "digest")


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


def write_entry(
    editor: Editor, entry: Entry, new: Reference, known: Seq[Entry], *, named: bool = False
) -> None:
    """Have an entry say what is to run.

    Args:
        editor: The editor of the entry's document.
        entry: The entry.
        new: What is to run.
        known: The entries of the file, whose quotes are taken over.
        named: Whether `newName` is written although the name stays.

    Raises:
        PromoteError: It can't be edited safely.
    """
    old = entry.current
    if new.name != old.name or named:
        _put(editor, entry, "newName", new.name, "")
    tag, digest = entry.pair("newTag"), entry.pair("digest")
    style = quotes_in(known)
    if old.tag and old.digest and new.tag and not digest:
        # `newTag: TAG@DIGEST`: kustomize writes the two one behind the other, and so may we.
        _put(editor, entry, "newTag", new.version, style)
    elif new.tag and not new.digest and digest and not tag:
        editor.replace_pair(entry.node, digest[0], "newTag", new.tag)
    elif new.digest and not new.tag and tag and not digest:
        editor.replace_pair(entry.node, tag[0], "digest", new.digest)
    else:
        for key, value, pair in (("newTag", new.tag, tag), ("digest", new.digest, digest)):
            if value:
                _put(editor, entry, key, value, style)
            elif pair and entry.text(key):
                editor.remove_pair(entry.node, pair[0])


def _put(editor: Editor, entry: Entry, key: str, value: str, style: str) -> None:
    pair = entry.pair(key)
    if pair:
        editor.set(pair[1], value)
        return
    earlier = [entry.pair(name) for name in reversed(KEYS[: KEYS.index(key)])]
    after = next(filter(None, earlier), entry.node.pairs[-1])
    editor.add_pair(entry.node, after[0], key, value, style)


def quotes_in(known: Seq[Entry]) -> str:
    """The quotes that the versions of a file stand in.

    Args:
        known: Its entries.

    Returns:
        Those of the last one that has a version.
    """
    for entry in reversed(known):
        pair = entry.pair("newTag") or entry.pair("digest")
        value = resolve(pair[1]) if pair else None
        if value:
            return quotes_of(value)
    return ""


@dataclass(frozen=True)
class EntrySlot(Slot):
    """An item of a list such as `spec.images` of Flux's Kustomization."""

    node: Mapping

    @property
    def entry(self) -> Entry:
        """The item."""
        return Entry(self.label, self.node, text_of(self.node, "name", fold=True))

    @property
    def current(self) -> Reference:
        """What the entry makes of its image."""
        return self.entry.current

    @property
    def names(self) -> frozenset[str]:
        """The name that the entry is for, and the one that it deploys."""
        return super().names | {canonical_name(self.entry.name)}

    @property
    def version_node(self) -> Node:
        """The node of the tag, the digest, or the entry that will hold it."""
        pair = self.entry.pair("newTag") or self.entry.pair("digest")
        return resolve(pair[1]) if pair else self.node

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        write_entry(editor, self.entry, new, [self.entry])
