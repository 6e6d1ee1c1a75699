"""The `set` and `setString` of a helmfile's release: `--set` and `--set-string` of Helm."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Reference, split_reference, split_registry
from gitops_promote.core.slots.block import (
    DIGEST_KEYS,
    NAME_KEYS,
    TAG_KEYS,
    block_reference,
    first_of,
    is_block,
)
from gitops_promote.core.slots.slot import ReferenceSlot, Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, node_at, parse_key
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    is_null,
    resolve,
    text_of,
)

# Helm is given `--set` first and `--set-string` behind it, so the later wins.
_LISTS = ("set", "setString")
#: The lists of a release's values, the later one wins.
VALUES = ("valuesTemplate", "values")
# What `--set` makes a number, a truth value or null of ("Helm Docs", "The Format and Limitations
# of --set"): a number with a dot or with a zero before it stays a text. Quotes in the helmfile
# don't help, as helmfile hands the bare text to Helm.
_TYPED = re.compile(r"true|false|null|0|[1-9][0-9]{0,18}", re.IGNORECASE | re.ASCII)
# The lists whose items a template fills in as a whole, and the ways to set a value that isn't here.
_FILLED = ("setTemplate", "setStringTemplate")
# The parts of an image that need no name beside them to be known as such.
_CERTAIN = ("tag", "imageTag", "digest")


@dataclass(frozen=True)
class Parameter:
    """An item of `set` or `setString`: where it stands, and the value there."""

    listed: str
    index: int
    value: Scalar | Mapping

    @property
    def text(self) -> str:
        """The value, empty where it is null or none that stands here."""
        return "" if isinstance(self.value, Mapping) or is_null(self.value) else self.value.value


def parameters_of(release: Mapping) -> dict[str, Parameter]:
    """What a release sets.

    Args:
        release: The release.

    Returns:
        The values by the names that they are given to; of two of one name that which wins.
    """
    found = {}
    for listed in _LISTS:
        items = find_value(release, listed)
        for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
            node = resolve(item)
            value = find_value(node, "value") if isinstance(node, Mapping) else None
            if isinstance(node, Mapping) and isinstance(value, (Scalar, Mapping)):
                found[text_of(node, "name")] = Parameter(listed, index, value)
    return found


@dataclass(frozen=True)
class Untold:
    """An item that gives a value which doesn't stand here; it wins over what does."""

    keys: Path
    node: Node
    listed: str


def untold_of(release: Mapping) -> Iterator[Untold]:
    """What a release sets to values of elsewhere: by a template, a file or a variable.

    Args:
        release: The release.

    Yields:
        The items. A list of values is one, too.
    """
    for listed in (*_LISTS, *_FILLED):
        items = find_value(release, listed)
        for item in items.items if isinstance(items, Sequence) else ():
            node = resolve(item)
            if not isinstance(node, Mapping):
                continue
            value = find_value(node, "value")
            if listed in _FILLED or not isinstance(value, (Scalar, Mapping)):
                yield Untold(keys_of(text_of(node, "name")), node, listed)


def keys_of(name: str) -> Path:
    """The place in a chart's values that `--set` gives a name to.

    Args:
        name: The name.

    Returns:
        The keys and indexes; none where it is no such name.
    """
    try:
        keys = parse_key(name) if name else ()
    except PromoteError:
        return ()
    plain = tuple(key for key in keys if isinstance(key, (str, int)))
    return plain if len(plain) == len(keys) else ()


def inline_values(release: Mapping) -> Iterator[tuple[str, int, Mapping]]:
    """The values that stand in a release itself, in the order in which Helm is given them.

    Args:
        release: The release.

    Yields:
        The list's key, the item's index and the values.
    """
    for key in VALUES:
        items = find_value(release, key)
        for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
            node = resolve(item)
            if isinstance(node, Mapping):
                yield key, index, node


@dataclass(frozen=True)
class SetSlot(Slot):
    """The version of an image whose parts are items of `set` or `setString`.

    `node` is the value of the tag, or of the digest where there is no tag; `prefix` is what the
    names of the parts have in common, such as `image`. What no item says, the release's own values
    say.
    """

    node: Scalar | Mapping
    release: Mapping
    prefix: str = ""
    known: dict[str, Parameter] = field(default_factory=dict, compare=False, repr=False)

    @property
    def current(self) -> Reference:
        """What the parts say together; the name is empty where none does."""
        name, registry = self._text(*NAME_KEYS), self._text("registry")
        tag, _, digest = self._text(*TAG_KEYS).partition("@")
        name = f"{registry}/{name}" if name and registry else name
        digest = digest or self._text(*DIGEST_KEYS)
        if digest and ":" not in digest and self._is_sha:
            digest = f"sha256:{digest}"
        if self.below is None:
            return Reference(name, tag, digest)
        below = block_reference(self.below, "")
        return Reference(name or below.name, tag or below.tag, digest or below.digest)

    @property
    def keys(self) -> Path:
        """The image's place in the chart's values."""
        return keys_of(self.prefix)

    @property
    def below(self) -> Mapping | None:
        """The image's block in the values that `set` goes before, of several the winning one."""
        found = None
        for _, _, tree in inline_values(self.release):
            node: Node | None = tree
            for key in self.keys:
                node = find_value(node, str(key)) if isinstance(node, Mapping) else None
            found = node if isinstance(node, Mapping) else found
        return found

    def again(self, file: Document) -> SetSlot:
        """As `Slot.again` says."""
        release = node_at(file, self.path[:-3]).node
        node = resolve(release) if release else None
        found = super().again(file)
        if not isinstance(node, Mapping):
            return found
        return replace(found, release=node, known=parameters_of(node))

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: There is no item for what matters, or Helm would take it for a number.
        """
        if self.current.name and new.name != self.current.name:
            self._rename(editor, new.name)
        tag, digest = self.part(*TAG_KEYS), self.part(*DIGEST_KEYS)
        lower = first_of(self.below, TAG_KEYS) if self.below and not tag else None
        if not ((tag or lower) and new.tag) and not (digest and new.digest):
            missing = "digest" if new.digest else "tag"
            raise editor.document.error(
                f"nothing beside `{self.label}` sets the {missing}.",
                f"Add an item for the {missing} that the chart reads, or give the image both.",
                self.node,
            )
        if tag and new.tag:
            apart = digest or (self.below and first_of(self.below, DIGEST_KEYS))
            self._set(editor, tag, new.tag if apart else new.version)
        elif lower and new.tag:
            editor.set(lower, new.tag)
        below = first_of(self.below, DIGEST_KEYS) if self.below else None
        if digest:
            bare = self._is_sha and ":" not in digest.text
            self._set(editor, digest, new.digest.removeprefix("sha256:") if bare else new.digest)
        # An item without a value is passed over by helmfile, so what is below it counts then.
        if below is not None and below.value and not (digest and new.digest):
            editor.set(below, new.digest)

    @property
    def is_image(self) -> bool:
        """Whether the parts name an image as a block does."""
        pairs: list[tuple[Node, Node]] = []
        for key in (*NAME_KEYS, "registry", *TAG_KEYS, *DIGEST_KEYS):
            part = self.part(key)
            value = part.value if part else self.below and find_value(self.below, key)
            if value:
                pairs.append((Scalar(0, 0, value=key), value))
        return is_block(Mapping(0, 0, pairs=pairs))

    def _rename(self, editor: Editor, name: str) -> None:
        registry, own = self.part("registry"), self.part(*NAME_KEYS)
        host, path = split_registry(name)
        if registry and own:
            self._set(editor, registry, host or "docker.io")
            self._set(editor, own, path)
        elif own:
            self._set(editor, own, name)
        else:
            raise editor.document.error(
                f"the name of `{self.label}` stands in the release's `values`.",
                "Rename the image there first, or leave the new name out.",
                self.node,
            )

    def _set(self, editor: Editor, item: Parameter, value: str) -> None:
        if item.listed == "set" and item.text != value and _TYPED.fullmatch(value):
            raise editor.document.error(
                f"Helm takes `{value}` in `set` for a number or the like, not for a text.",
                "Move the item to `setString` in the config repository first.",
                item.value,
            )
        editor.set(item.value, value)

    def part(self, *keys: str) -> Parameter | None:
        """A part of the image.

        Args:
            keys: The last segments of the names that it may have, the usual one first.

        Returns:
            The item that sets it, None where there is none.
        """
        known = self.known
        names = [f"{self.prefix}.{key}" if self.prefix else key for key in keys]
        return next((known[name] for name in names if name in known), None)

    @property
    def _is_sha(self) -> bool:
        """Whether the digest is one of `sha`, which has no `sha256:` where it is written bare."""
        return self.part(*DIGEST_KEYS[:1]) is None

    def _text(self, *keys: str) -> str:
        part = self.part(*keys)
        return part.text if part else ""


def set_slots(document: Document, path: Path, release: Mapping) -> Iterator[Slot]:
    """The places of a release's `set` and `setString` that hold an image.

    Args:
        document: The helmfile.
        path: The release's path.
        release: The release.

    Yields:
        A place for each image whose parts are set, and for each whole reference.
    """
    known = parameters_of(release)
    seen = set()
    for name, item in known.items():
        prefix, dot, key = name.rpartition(".")
        where = (*path, item.listed, item.index, "value")
        if isinstance(item.value, Scalar) and _is_reference(name, item.value):
            yield ReferenceSlot(document, where, item.value)
        elif key in (*TAG_KEYS, *DIGEST_KEYS) and (not dot or keys_of(prefix)):
            if prefix in seen:
                continue
            slot = SetSlot(document, where, item.value, release, prefix, known)
            first = slot.part(*TAG_KEYS) or item
            if key in _CERTAIN or slot.is_image:
                seen.add(prefix)
                where = (*path, first.listed, first.index, "value")
                yield replace(slot, path=where, node=first.value)


def _is_reference(name: str, node: Node) -> bool:
    """Whether an item sets an image as a whole."""
    text = node.value if isinstance(node, Scalar) else ""
    reference = split_reference(text)
    whole = bool(reference.name and reference.version) and not set(text) & set(" \t\n{}$,")
    return whole and "image" in name.lower() and not name.endswith(("tag", "Tag", "digest", "sha"))
