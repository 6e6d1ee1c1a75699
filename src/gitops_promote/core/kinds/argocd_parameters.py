"""What an Argo CD source gives a chart: parameters, `valuesObject` and `values`, as they win.

The order is that of Argo CD's user guide ("Helm"): parameters go before values. Beside a
`valuesObject`, `values` is left out as a whole. A parameter becomes `--set NAME=VALUE`, or with
`forceString` `--set-string`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gitops_promote.core.images import Reference
from gitops_promote.core.slots.block import DIGEST_KEYS, TAG_KEYS
from gitops_promote.core.slots.parameters import (
    Beaten,
    Given,
    Parameter,
    ParameterSlot,
    keys_of,
    merged,
)
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import tree_slots
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place, format_path, node_at
from gitops_promote.core.yaml.quoting import Plain, needs_quotes, quotes_of
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Scalar,
    Sequence,
    find_pair,
    find_value,
    resolve,
    text_of,
)


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
    lists = _Helm(document, path, flag)
    known = merged(document, _parameters(path, helm, flag), trees[:1], lists, "Argo CD takes {}")
    slots, beaten = list(known.slots), list(known.beaten)
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
        yield keys_of(name)


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


@dataclass(frozen=True)
class _Helm:
    """The `parameters` of a source, whose `helm` is at a path."""

    document: Document
    path: Path
    flag: str

    def check(self, editor: Editor, slot: ParameterSlot, new: Reference) -> None:
        """As `Lists.check` says: whatever is missing is appended."""

    def put(self, editor: Editor, part: Parameter, value: str) -> None:
        """As `Lists.put` says; what Helm would read as no text is forced to be one."""
        editor.set(part.value, value)
        changes = isinstance(part.value, Scalar) and part.value.value != value
        if changes and is_typed(value) and not _is_forced(part.node, self.flag):
            self._force(editor, part)

    def append(
        self,
        editor: Editor,
        slot: ParameterSlot,  # noqa: ARG002  (the signature is that of `Lists`)
        name: str,
        value: str,
    ) -> None:
        """As `Lists.append` says."""
        items = node_at(self.document, (*self.path, "parameters")).node
        items = resolve(items) if items else None
        if isinstance(items, Sequence):
            append_parameters(editor, items, [(name, value)], self.flag)

    def labels(self, part: Parameter) -> list[str]:
        """As `Lists.labels` says: by its name, or by its index."""
        name = part.name.replace("\\", "\\\\").replace("]", "\\]")
        place = f"{format_path((*self.path, 'parameters'))}[name={name}]"
        return [label + end for label in (place, format_path(part.path)) for end in ("", ".value")]

    def again(self, file: Document) -> Given:
        """As `Lists.again` says."""
        place = node_at(file, self.path)
        node = resolve(place.node) if place.node else None
        return given(file, self.path, node, self.flag) if isinstance(node, Mapping) else Given()

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
