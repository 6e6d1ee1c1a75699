"""What an Argo CD source gives a chart: parameters, `valuesObject` and `values`, as they win.

The order is that of Argo CD's user guide ("Helm"): parameters go before values. Beside a
`valuesObject`, `values` is left out as a whole. A parameter becomes `--set NAME=VALUE`, or with
`forceString` `--set-string`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place, format_path, node_at, parse_key
from gitops_promote.core.yaml.quoting import Plain, needs_quotes, quotes_of
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    find_value,
    resolve,
    text_of,
)

if TYPE_CHECKING:
    from typing_extensions import Self

_PARTS = (*NAME_KEYS, "registry", *TAG_KEYS, *DIGEST_KEYS)
# Parts that, without a name, are a version of an image and of nothing else.
_VERSIONS = (*TAG_KEYS[:2], *DIGEST_KEYS)
_TAG_ENDINGS = ("tag", "version", "release")
_DIGEST_ENDINGS = ("digest", "sha")


@dataclass(frozen=True)
class Parameter:
    """An item of `parameters`: its place, its name as text and as keys, and its value."""

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


def given(document: Document, path: Path, helm: Mapping, flag: str) -> Given:
    """Find the images in what a source gives a chart.

    Args:
        document: The file.
        path: The path of `helm`.
        helm: The mapping.
        flag: How the file spells `forceString`; any other case counts only where this is in lower
            case, as in files that Argo CD reads itself.

    Returns:
        The images.
    """
    trees = _trees(document, path, helm)
    base = trees[0] if trees else None
    parameters = _parameters(path, helm, flag)
    registry = _registry(parameters, base)
    reader = _Reader(document, path, flag, parameters, base, registry)
    own = list(reader.slots())
    slots: list[Slot] = list(own)
    beaten: list[Beaten] = []
    for found in tree_slots(base) if base else []:
        slot = replace(found, registry=registry) if isinstance(found.node, Mapping) else found
        contested = [one for one in own if one.touches(slot.path[len(path) + 1 :])]
        if not contested:
            slots.append(slot)
        beaten += [
            Beaten(slot, f"Argo CD takes `#{one.label}`", one)
            for one in contested
            if one.outranks(slot)
        ]
    files = set(_keys_of(helm, "fileParameters"))
    for lost in [slot for slot in slots if files & _versions(slot, len(path) + 1)]:
        slots.remove(lost)
        beaten.append(Beaten(lost, "Argo CD takes a file of `fileParameters`"))
    for tree in trees[1:]:
        for slot in tree_slots(tree):
            winner = next((one for one in slots if not one.names.isdisjoint(slot.names)), None)
            why = "Argo CD ignores `values` beside `valuesObject`"
            beaten.append(Beaten(slot, why, winner))
    return Given(tuple(slots), tuple(beaten), tuple(trees[:1]))


def _trees(document: Document, path: Path, helm: Mapping) -> list[Place]:
    """The values in the order in which they count; behind the first they don't at all."""
    found: list[Place] = []
    node = find_value(helm, "valuesObject")
    if isinstance(node, Mapping):
        found.append(Place(document, (*path, "valuesObject"), None, node))
    text = find_value(helm, "values")
    inner = document.embedded(text) if isinstance(text, Scalar) else None
    if inner is not None and isinstance(inner.root, Mapping):
        found.append(Place(inner, (*path, "values"), None, inner.root))
    return found


def _keys_of(helm: Mapping, key: str) -> Iterator[Path]:
    """The keys that a list of parameters sets; those of one without a name are none."""
    items = find_value(helm, key)
    for item in items.items if isinstance(items, Sequence) else ():
        node = resolve(item)
        name = text_of(node, "name") if isinstance(node, Mapping) else ""
        try:
            yield tuple(part for part in parse_key(name) if isinstance(part, (str, int)))
        except PromoteError:
            yield ()


def _versions(slot: Slot, start: int) -> set[Path]:
    """The keys of an image's version in the chart's values, whose path ends at `start`."""
    keys = slot.keys if isinstance(slot, ParameterSlot) else slot.path[start:]
    return {keys, *((*keys, end) for end in (*TAG_KEYS, *DIGEST_KEYS))}


def _parameters(path: Path, helm: Mapping, flag: str) -> list[Parameter]:
    """The parameters that count: of several of one name the forced one, or else the last."""
    items = find_value(helm, "parameters")
    found: dict[Path, tuple[bool, Parameter]] = {}
    known = items.items if isinstance(items, Sequence) else []
    for index, (item, keys) in enumerate(zip(known, _keys_of(helm, "parameters"), strict=True)):
        node = resolve(item)
        value = find_value(node, "value") if isinstance(node, Mapping) else None
        if not keys or value is None or not isinstance(node, Mapping):
            continue
        forced = _is_forced(node, flag)
        if forced or not found.get(keys, (False,))[0]:
            place = (*path, "parameters", index)
            found[keys] = forced, Parameter(place, node, text_of(node, "name"), keys, value)
    return [parameter for _, parameter in found.values()]


def _is_forced(item: Mapping, flag: str) -> bool:
    return text_of(item, flag, fold=flag.islower()).lower() == "true"


def _registry(parameters: list[Parameter], base: Place | None) -> str:
    """The registry of all images without one."""
    known = (("global", "imageRegistry"), ("global", "image", "registry"), ("global", "registry"))
    texts = {p.keys: p.value.value for p in parameters if isinstance(p.value, Scalar)}
    set_here = next((texts[keys] for keys in known if texts.get(keys)), "")
    return set_here or global_registry(resolve(base.node) if base and base.node else None)


@dataclass(frozen=True)
class ParameterSlot(Slot):
    """An image that parameters set, alone or over the values below.

    `node` is the parameter that has the version, or the first of the image's. `block` holds what
    counts: values of the parameters `parts`, and for the rest those of `below`. `keys` is the
    block's place in the chart's values. With `form` it is one parameter alone: `whole` has a whole
    reference, `tag` and `digest` are a part of one.
    """

    node: Mapping
    helm: Path
    flag: str
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
        return _labels(self.helm, self._shown)[0]

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
        return next((part for part in self.parts if part.node is self.node), self.parts[0])

    def answers(self, key: str) -> bool:
        """As `Slot.answers` says: to the names of its parameters, and to what they have alike."""
        names = {format_path(part.keys) for part in self.parts}
        if not self.form:
            ends = [resolve(name) for name, _ in self.block.pairs]
            paths = [(*self.keys, end.value) for end in ends if isinstance(end, Scalar)]
            names |= {format_path(path) for path in (self.keys, *paths)}
        labels = {label for part in self.parts for label in _labels(self.helm, part)}
        return key in names | labels | {part.name for part in self.parts}

    def touches(self, path: Path) -> bool:
        """Whether it says what an image of the values is.

        Args:
            path: The image's place in the values.

        Returns:
            True where the values are not all that counts.
        """
        return path in (self.keys, *(part.keys for part in self.parts))

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
        place = node_at(file, self.helm)
        node = resolve(place.node) if place.node else None
        found = given(file, self.helm, node, self.flag).slots if isinstance(node, Mapping) else ()
        for slot in found:
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
        editor.set(node, value)
        changes = isinstance(node, Scalar) and node.value != value
        if changes and is_typed(value) and not _is_forced(part.node, self.flag):
            self._force(editor, part)

    def append(self, editor: Editor, key: str, value: str) -> None:
        """Add a parameter to the block.

        Args:
            editor: The editor of the file.
            key: The part's name.
            value: Its value.
        """
        items = node_at(self.document, (*self.helm, "parameters")).node
        items = resolve(items) if items else None
        if isinstance(items, Sequence):
            name = parameter_name((*self.keys, key))
            append_parameters(editor, items, [(name, value)], self.flag)

    def _force(self, editor: Editor, part: Parameter) -> None:
        pair = find_pair(part.node, self.flag, fold=self.flag.islower())
        after = find_pair(part.node, "value")
        if pair:
            editor.set(pair[1], Plain("true"))
        elif after:
            editor.add_pair(part.node, after[0], self.flag, Plain("true"), "")
        else:
            raise editor.document.error(
                f"`{part.name}` has its value by a merge key, and no place for `{self.flag}`.",
                "Write the parameter out in the config repository first.",
                part.node,
            )

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


def append_parameters(
    editor: Editor, items: Sequence, new: list[tuple[str, str]], flag: str
) -> None:
    """Append parameters to a list of them.

    Args:
        editor: The editor of the file.
        items: The list, with at least one item if it is in block style.
        new: Names and values.
        flag: How the file spells `forceString`.
    """
    known = [item for item in map(resolve, items.items) if isinstance(item, Mapping)]
    style = quotes_of(find_value(known[-1], "value")) if known else ""
    forced = flag.islower() or any(_is_forced(item, flag) for item in known)
    for name, value in new:
        pairs = [("name", name), ("value", value)]
        if forced or is_typed(value):
            pairs.append((flag, Plain("true")))
        editor.append_item(items, pairs, style)


def is_typed(value: str) -> bool:
    """Whether Helm's `--set` could take a value for anything but a string.

    Args:
        value: The value.

    Returns:
        True for what any reader of YAML takes for a number, a truth value or null. Helm itself
        leaves some of them as they are, and `forceString` does no harm there.
    """
    return bool(value) and needs_quotes(value, flow=False)


def _labels(helm: Path, part: Parameter) -> list[str]:
    """The paths of a parameter as `#KEY`s, the one to show first."""
    name = part.name.replace("\\", "\\\\").replace("]", "\\]")
    place = f"{format_path((*helm, 'parameters'))}[name={name}]"
    return [label + end for label in (place, format_path(part.path)) for end in ("", ".value")]


@dataclass(frozen=True)
class _Reader:
    """Finds the images that parameters set."""

    document: Document
    path: Path
    flag: str
    parameters: list[Parameter]
    base: Place | None
    registry: str

    def slots(self) -> Iterator[ParameterSlot]:
        """The blocks, then what stands in one parameter."""
        used: set[Path] = set()
        groups = [p.keys[:-1] for p in self.parameters if p.keys[-1] in _PARTS]
        for keys in dict.fromkeys(groups):
            slot = self._block(keys)
            if slot:
                used.update(part.keys for part in slot.parts)
                yield slot
        for parameter in self.parameters:
            form = "" if parameter.keys in used else _form(parameter)
            if form:
                yield self._single(parameter, form)

    def _block(self, keys: Path) -> ParameterSlot | None:
        below = self._below(keys)
        own = {p.keys[-1]: p for p in self.parameters if p.keys[:-1] == keys}
        pairs: list[tuple[Node, Node]] = []
        for key in _PARTS:
            value = own[key].value if key in own else below and find_value(below, key)
            if value:
                pairs.append((Scalar(0, 0, value=key), value))
        parts = tuple(own[key] for key in _PARTS if key in own)
        block = Mapping(parts[0].node.start, parts[0].node.end, pairs=pairs)
        if not is_block(block):
            if not any(key in own for key in _VERSIONS):
                return None
            parts = tuple(part for part in parts if part.keys[-1] not in NAME_KEYS)
        version = first_of(block, TAG_KEYS) or first_of(block, DIGEST_KEYS)
        node = next((part for part in parts if part.value is version), parts[0])
        home = self.base.document if self.base else None
        return ParameterSlot(
            self.document,
            node.path,
            node.node,
            self.path,
            self.flag,
            keys,
            block,
            parts,
            home,
            self.registry,
        )

    def _below(self, keys: Path) -> Mapping | None:
        """The mapping of the values that a block's parameters go before."""
        node = resolve(self.base.node) if self.base and self.base.node else None
        for key in keys:
            if isinstance(node, Mapping):
                node = find_value(node, str(key))
            elif isinstance(node, Sequence) and isinstance(key, int) and key < len(node.items):
                node = resolve(node.items[key])
            else:
                return None
        return node if isinstance(node, Mapping) else None

    def _single(self, part: Parameter, form: str) -> ParameterSlot:
        key = Scalar(0, 0, value=DIGEST_KEYS[0] if form == "digest" else TAG_KEYS[0])
        block = Mapping(part.node.start, part.node.end, pairs=[(key, part.value)])
        return ParameterSlot(
            self.document,
            part.path,
            part.node,
            self.path,
            self.flag,
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
