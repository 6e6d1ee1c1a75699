"""Images that single parameters of a chart set, alone or over the chart's values.

A parameter is what Helm's `--set` takes: a name that leads into the values, and a value there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Reference, canonical_name, split_reference
from gitops_promote.core.slots.block import (
    DIGEST_KEYS,
    NAME_KEYS,
    TAG_KEYS,
    block_reference,
    first_of,
    is_block,
    name_key,
    write_block,
)
from gitops_promote.core.slots.filled import filled_by
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import ValueSlot, global_registry, tree_slots
from gitops_promote.core.yaml import tree
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place, format_path, parse_key
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import Mapping, Node, Scalar, find_value, resolve

if TYPE_CHECKING:
    from typing_extensions import Self

#: The keys of an image's parts.
PARTS = (*NAME_KEYS, "registry", *TAG_KEYS, *DIGEST_KEYS)
# Parts that, without a name, are a version of an image and of nothing else.
_VERSIONS = (*TAG_KEYS[:2], *DIGEST_KEYS)
_TAG_ENDINGS = ("tag", "version", "release")
_DIGEST_ENDINGS = ("digest", "sha")


@dataclass(frozen=True)
class Parameter:
    """A parameter: its place, the mapping there, its name as text and as keys, and its value."""

    path: Path
    node: Mapping
    name: str
    keys: Path
    value: Node


@dataclass(frozen=True)
class Beaten:
    """A place that says an image in vain: `why`, and the place whose value counts, if one does."""

    slot: Slot
    why: str
    winner: Slot | None = None


@dataclass(frozen=True)
class Given:
    """What a source says of images: the places that count, the others, and the trees of values."""

    slots: tuple[Slot, ...] = ()
    beaten: tuple[Beaten, ...] = ()
    trees: tuple[Place, ...] = ()


class Lists(Protocol):
    """The lists that parameters stand in, as a kind of file has them."""

    def check(self, editor: Editor, slot: ParameterSlot, new: Reference) -> None:
        """Refuse to write what the lists have no room for.

        Args:
            editor: The editor of the file.
            slot: The image, with all its parts.
            new: What it is to be.

        Raises:
            PromoteError: There is none.
        """

    def put(self, editor: Editor, part: Parameter, value: str) -> None:
        """Give a parameter another value.

        Args:
            editor: The editor of the file.
            part: The parameter.
            value: Its value.

        Raises:
            PromoteError: It would be none to Helm.
        """

    def append(self, editor: Editor, slot: ParameterSlot, name: str, value: str) -> None:
        """Add a parameter.

        Args:
            editor: The editor of the file.
            slot: The image that it is a part of.
            name: Its name, as `--set` reads it.
            value: Its value.

        Raises:
            PromoteError: There is no place for it.
        """

    def labels(self, part: Parameter) -> list[str]:
        """The `#KEY`s of a parameter.

        Args:
            part: The parameter.

        Returns:
            The keys without the `#`, the one to show first.
        """
        ...

    def again(self, file: Document) -> Given:
        """What the lists say after an edit.

        Args:
            file: The edited file.

        Returns:
            As `merged`.
        """
        ...


def parameter_name(keys: Path) -> str:
    r"""What Helm calls a value that keys lead to.

    Args:
        keys: The keys and indexes.

    Returns:
        The name as `--set` reads it, such as `web.image.tag` or `a\.b`.
    """
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            escaped = "".join(f"\\{c}" if c in "\\.,=[]{}" else c for c in key)
            text += f".{escaped}" if text else escaped
    return text


def keys_of(name: str) -> Path:
    """The keys that the name of a parameter leads along.

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


def merged(
    document: Document,
    parameters: list[Parameter],
    bases: Sequence[Place],
    lists: Lists,
    why: str,
) -> Given:
    """Find the images in parameters and in the values that they go before.

    Args:
        document: The file.
        parameters: The parameters that count, one of a name.
        bases: The values, the winning ones first.
        lists: The lists that the parameters stand in.
        why: Why a place that a parameter goes before says its image in vain; `{}` is that one.

    Returns:
        The images. Each of their parts is that of the parameter, or else of the first values that
        have it.
    """
    registry = _registry(parameters, bases)
    own = list(_Reader(document, lists, parameters, bases, registry).slots())
    said: dict[Path, list[ParameterSlot]] = {}
    for one in own:
        for place in one.places:
            said.setdefault(place, []).append(one)
    slots: list[Slot] = list(own)
    beaten: list[Beaten] = []
    for index, base in enumerate(bases):
        for found in tree_slots(base):
            slot = replace(found, registry=registry) if isinstance(found.node, Mapping) else found
            keys = slot.path[len(base.path) :]
            contested = said.get(keys, [])
            is_block = isinstance(slot.node, Mapping)
            hidden = any(_hides(upper, keys, is_block=is_block) for upper in bases[:index])
            if not contested and not hidden:
                slots.append(slot)
            beaten += [
                Beaten(slot, why.format(f"`#{one.label}`"), one)
                for one in contested
                if one.outranks(slot)
            ]
    return Given(tuple(slots), tuple(beaten), tuple(bases))


def _hides(upper: Place, keys: Path, *, is_block: bool) -> bool:
    """Whether values leave nothing of an image that others have below them."""
    node = resolve(upper.node) if upper.node else None
    for key in keys:
        if not isinstance(node, Mapping):
            break
        node = find_value(node, str(key))
    return node is not None and not (is_block and isinstance(node, Mapping))


def mapping_at(base: Place, keys: Path) -> Mapping | None:
    """The mapping that keys lead to in values.

    Args:
        base: The values.
        keys: The keys and indexes.

    Returns:
        The mapping, None where there is none.
    """
    node = resolve(base.node) if base.node else None
    for key in keys:
        if isinstance(node, Mapping):
            node = find_value(node, str(key))
        elif isinstance(node, tree.Sequence) and isinstance(key, int) and key < len(node.items):
            node = resolve(node.items[key])
        else:
            return None
    return node if isinstance(node, Mapping) else None


def _registry(parameters: list[Parameter], bases: Sequence[Place]) -> str:
    """The registry of all images without one."""
    known = (("global", "imageRegistry"), ("global", "image", "registry"), ("global", "registry"))
    texts = {p.keys: p.value.value for p in parameters if isinstance(p.value, Scalar)}
    set_here = next((texts[keys] for keys in known if texts.get(keys)), "")
    below = (global_registry(resolve(base.node)) for base in bases if base.node)
    return set_here or next(filter(None, below), "")


@dataclass(frozen=True)
class ParameterSlot(Slot):
    """An image that parameters set, alone or over the values below.

    `node` is the parameter that has the version, or the first of the image's. `block` holds what
    counts: values of the parameters `parts`, and for the rest those of `below`. `keys` is the
    block's place in the chart's values. With `form` it is one parameter alone: `whole` has a whole
    reference, `tag` and `digest` are a part of one.
    """

    node: Mapping
    lists: Lists
    keys: Path
    block: Mapping
    parts: tuple[Parameter, ...]
    below: Document | None = None
    registry: str = ""
    form: str = ""

    @property
    def _value(self) -> Node:
        return self.parts[0].value

    @property
    def current(self) -> Reference:
        """What is in force here; the name is empty where nothing says it."""
        if self.form == "whole":
            return split_reference(self._value.value if isinstance(self._value, Scalar) else "")
        if self.form == "digest" and isinstance(self._value, Scalar):
            return Reference("", "", self._value.value)
        return block_reference(self.block, self.registry)

    @property
    def version_node(self) -> Node:
        """The value of the tag or the digest, or the parameter beside which it will be."""
        if self.form:
            return self._value
        return first_of(self.block, TAG_KEYS) or first_of(self.block, DIGEST_KEYS) or self.node

    @property
    def names(self) -> frozenset[str]:
        """The names that the image has here, with the registry of all images or without."""
        names = super().names
        if self.registry and not self.form and name_key(self.block):
            names |= {canonical_name(block_reference(self.block, "").name)}
        return names

    @property
    def is_complete(self) -> bool:
        """Whether it is certain that the place takes a version."""
        return self.form != "whole" or bool(self.current.version)

    @property
    def label(self) -> str:
        """The `#KEY` that names the parameter with the version, without the `#`."""
        return self.lists.labels(self._shown)[0]

    @property
    def line(self) -> int:
        """The line of the version in the file, counted from 1."""
        return self._home(self.version_node).line(resolve(self.version_node))

    @property
    def filled(self) -> Node | None:
        """As `Slot.filled` says."""
        nodes = [find_value(self.block, key) for key in (*TAG_KEYS, *DIGEST_KEYS)]
        nodes = [self._value] if self.form == "whole" else nodes
        return next((node for node in nodes if node and filled_by(self._home(node), node)), None)

    @property
    def _shown(self) -> Parameter:
        version = self.version_node
        return next((part for part in self.parts if part.value is version), self.parts[0])

    def answers(self, key: str) -> bool:
        """As `Slot.answers` says: to the names of its parameters, and to what they have alike."""
        names = {format_path(part.keys) for part in self.parts}
        if not self.form:
            ends = [resolve(name) for name, _ in self.block.pairs]
            paths = [(*self.keys, end.value) for end in ends if isinstance(end, Scalar)]
            names |= {format_path(path) for path in (self.keys, *paths)}
        labels = {label for part in self.parts for label in self.lists.labels(part)}
        return key in names | labels | {part.name for part in self.parts}

    @property
    def places(self) -> set[Path]:
        """The places in the values, of an image or a part, that it says something of."""
        return {self.keys, *(part.keys for part in self.parts)}

    def outranks(self, slot: ValueSlot) -> bool:
        """Whether it has the version of an image that stands in the values too.

        Args:
            slot: The image there.

        Returns:
            True where the values' version is not in force.
        """
        if self.form or isinstance(slot.node, Scalar):
            return True
        return slot.version_node not in (slot.node, self.version_node)

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says."""
        if self.form == "digest":
            return self.current.digest == new.digest
        return super().shows(new)

    def again(self, file: Document) -> Self:
        """As `Slot.again` says."""
        for slot in self.lists.again(file).slots:
            if isinstance(slot, type(self)) and (slot.keys, slot.form) == (self.keys, self.form):
                return slot
        raise file.error(f"`{self.label}` is gone.", "Write its parameters out first.")

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says."""
        if self.form == "whole":
            self.put(editor, self._value, str(new))
        elif self.form == "digest" and new.digest:
            self.put(editor, self._value, new.digest)
        elif self.form == "digest":
            raise editor.document.error(
                f"`{self.label}` holds a digest, and the call gives none.",
                "Name the image's tag instead, or give the image a tag and a digest.",
                self.node,
            )
        else:
            self.lists.check(editor, self, new)
            router = _Router(editor, self)
            write_block(router, self.block, self.registry, new, self.label, "")

    def put(self, editor: Editor, node: Node, value: str) -> None:
        """Set a value of the block where it stands.

        Args:
            editor: The editor of the file.
            node: One of the block's values.
            value: What it is to be.
        """
        part = next((part for part in self.parts if part.value is node), None)
        if part is None:
            editor.of(self._home(node)).set(node, value)
            return
        self.lists.put(editor, part, value)

    def append(self, editor: Editor, key: str, value: str) -> None:
        """Add a parameter to the block.

        Args:
            editor: The editor of the file.
            key: The part's name.
            value: Its value.
        """
        self.lists.append(editor, self, parameter_name((*self.keys, key)), value)

    def _home(self, node: Node) -> Document:
        """The document that a value of the block is of."""
        own = node is self.node or any(part.value is node for part in self.parts)
        return self.document if own or self.below is None else self.below


class _Router(Editor):
    """Has a block's parts set where each of them stands."""

    def __init__(self, outer: Editor, slot: ParameterSlot) -> None:
        super().__init__(outer.document)
        self._outer, self._slot = outer, slot

    def set(self, node: Node, value: str) -> None:
        """As `Editor.set` says."""
        self._slot.put(self._outer, node, value)

    def add_pair(
        self,
        mapping: Mapping,  # noqa: ARG002  (the signature is that of `Editor`)
        after: Node,  # noqa: ARG002
        key: str,
        value: str,
        style: str,  # noqa: ARG002
    ) -> None:
        """A parameter more."""
        self._slot.append(self._outer, key, value)


@dataclass(frozen=True)
class _Reader:
    """Finds the images that parameters set."""

    document: Document
    lists: Lists
    parameters: list[Parameter]
    bases: Sequence[Place]
    registry: str

    def slots(self) -> Iterator[ParameterSlot]:
        """The blocks, then what stands in one parameter."""
        used: set[Path] = set()
        for keys in self._groups:
            slot = self._block(keys)
            if slot:
                used.update(part.keys for part in slot.parts)
                yield slot
        for parameter in self.parameters:
            form = "" if parameter.keys in used else _form(parameter)
            if form:
                yield self._single(parameter, form)

    def _block(self, keys: Path) -> ParameterSlot | None:
        below = [known for base in self.bases if (known := mapping_at(base, keys))]
        own = self._groups[keys]
        pairs: list[tuple[Node, Node]] = []
        for key in PARTS:
            lower = (value for node in below if (value := find_value(node, key)))
            value = own[key].value if key in own else next(lower, None)
            if value:
                pairs.append((Scalar(0, 0, value=key), value))
        parts = tuple(own[key] for key in PARTS if key in own)
        block = Mapping(parts[0].node.start, parts[0].node.end, pairs=pairs)
        if not is_block(block):
            if not any(key in own for key in _VERSIONS):
                return None
            parts = tuple(part for part in parts if part.keys[-1] not in NAME_KEYS)
        version = first_of(block, TAG_KEYS) or first_of(block, DIGEST_KEYS)
        node = next((part for part in parts if part.value is version), parts[0])
        home = self.bases[0].document if self.bases else None
        return ParameterSlot(
            self.document,
            node.path,
            node.node,
            self.lists,
            keys,
            block,
            parts,
            home,
            self.registry,
        )

    @cached_property
    def _groups(self) -> dict[Path, dict[str | int, Parameter]]:
        """The parameters of images' parts, by the keys that they have alike and their own."""
        found: dict[Path, dict[str | int, Parameter]] = {}
        for parameter in self.parameters:
            if parameter.keys[-1] in PARTS:
                found.setdefault(parameter.keys[:-1], {})[parameter.keys[-1]] = parameter
        return found

    def _single(self, part: Parameter, form: str) -> ParameterSlot:
        key = Scalar(0, 0, value=DIGEST_KEYS[0] if form == "digest" else TAG_KEYS[0])
        block = Mapping(part.node.start, part.node.end, pairs=[(key, part.value)])
        return ParameterSlot(
            self.document,
            part.path,
            part.node,
            self.lists,
            part.keys,
            block,
            (part,),
            form=form,
        )


def _form(parameter: Parameter) -> str:
    """What a parameter holds that is no part of a block: `whole`, `tag`, `digest` or nothing."""
    last = str(parameter.keys[-1]).lower()
    text = parameter.value.value if isinstance(parameter.value, Scalar) else ""
    reference = split_reference(text)
    spoken = any("image" in str(key).lower() for key in parameter.keys)
    named = reference.name and not set(reference.name) & set(" \t\n{}$")
    if spoken and named and (reference.version or last.endswith("image")):
        return "whole"
    if last.endswith(_DIGEST_ENDINGS):
        return "digest"
    return "tag" if last.endswith(_TAG_ENDINGS) else ""
