"""What a helmfile's release gives its chart itself: `set`, `setString` and inline values.

They are what Helm's `--set`, `--set-string` and `--values` take. Of several values the last that
has a key wins; `set` goes before all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gitops_promote.core.images import Reference
from gitops_promote.core.slots.block import DIGEST_KEYS, TAG_KEYS, first_of, name_key
from gitops_promote.core.slots.parameters import (
    PARTS,
    Given,
    Parameter,
    ParameterSlot,
    keys_of,
    mapping_at,
    merged,
    parameter_name,
)
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place, format_path, node_at
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
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
#: The parts of an image that need no name beside them to be known as such.
CERTAIN = ("tag", "imageTag", "digest")
# The lists whose items a template fills in as a whole.
_FILLED = ("setTemplate", "setStringTemplate")


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


def parameters_of(path: Path, release: Mapping) -> list[Parameter]:
    """What a release sets.

    Args:
        path: The release's path.
        release: The release.

    Returns:
        The items with a value; of several of one name that which wins.
    """
    found: dict[Path, Parameter] = {}
    for listed in _LISTS:
        items = find_value(release, listed)
        for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
            node = resolve(item)
            value = find_value(node, "value") if isinstance(node, Mapping) else None
            name = text_of(node, "name") if isinstance(node, Mapping) else ""
            keys = keys_of(name)
            if keys and isinstance(node, Mapping) and isinstance(value, (Scalar, Mapping)):
                found[keys] = Parameter((*path, listed, index), node, name, keys, value)
    return list(found.values())


def inline_values(document: Document, path: Path, release: Mapping) -> Iterator[Place]:
    """The values that stand in a release itself, in the order in which Helm is given them.

    Args:
        document: The helmfile.
        path: The release's path.
        release: The release.

    Yields:
        The values.
    """
    for key in VALUES:
        items = find_value(release, key)
        for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
            node = resolve(item)
            if isinstance(node, Mapping):
                yield Place(document, (*path, key, index), None, node)


def given(document: Document, path: Path, release: Mapping) -> Given:
    """Find the images in what a release gives its chart.

    Args:
        document: The helmfile.
        path: The release's path.
        release: The release.

    Returns:
        The images, those whose version stands in `set` without a name included.
    """
    bases = list(inline_values(document, path, release))[::-1]
    parameters = {one.keys: one for one in _joined(bases)}
    parameters |= {one.keys: one for one in parameters_of(path, release)}
    lists = _Release(document, path, tuple(bases))
    found = merged(document, list(parameters.values()), bases, lists, "{} wins")
    slots = tuple(slot for slot in found.slots if _is_image(slot))
    return Given(slots, found.beaten, found.trees)


def _is_image(slot: Slot) -> bool:
    """Whether a place is an image by more than the end of its name."""
    if not isinstance(slot, ParameterSlot) or not slot.form:
        return True
    return slot.form == "whole" and slot.is_complete


def has_nameless_version(document: Document, path: Path, release: Mapping) -> bool:
    """Whether a release sets a version of an image that nothing in it names.

    Args:
        document: The helmfile.
        path: The release's path.
        release: The release.

    Returns:
        True where it does by `set` or the like.
    """
    untold = any(one.keys and one.keys[-1] in CERTAIN for one in untold_of(release))
    slots = given(document, path, release).slots
    return untold or any(
        isinstance(slot, ParameterSlot) and not slot.current.name and not slot.form
        for slot in slots
    )


def says_nameless_version(values: Node) -> bool:
    """Whether values have a version of an image that they don't name.

    Args:
        values: The values.

    Returns:
        True where they do.
    """
    return any(
        not name_key(node) and any(isinstance(find_value(node, key), Scalar) for key in CERTAIN)
        for _, node in _mappings((), values)
    )


def _joined(bases: list[Place]) -> Iterator[Parameter]:
    """The parts that values give an image which others give parts of, too; the winning last."""
    blocks = [dict(_mappings((), base.node)) for base in bases]
    for index in range(len(bases) - 1, -1, -1):
        base, others = bases[index], [block for block in blocks if block is not blocks[index]]
        for keys, node in blocks[index].items():
            if not any(keys in block for block in others):
                continue
            for part in PARTS:
                value = find_value(node, part)
                if isinstance(value, (Scalar, Mapping)):
                    own = (*keys, part)
                    path = (*base.path, *own)
                    yield Parameter(path, node, parameter_name(own), own, value)


def _mappings(keys: Path, node: Node | None) -> Iterator[tuple[Path, Mapping]]:
    """The mappings in values that have a part of an image; Helm joins no lists."""
    node = resolve(node) if node else None
    if not isinstance(node, Mapping):
        return
    if any(isinstance(find_value(node, part), Scalar) for part in PARTS):
        yield keys, node
    for key, value in node.pairs:
        name = resolve(key)
        if isinstance(name, Scalar):
            yield from _mappings((*keys, name.value), value)


@dataclass(frozen=True)
class _Release:
    """What a release at a path sets, over its own values."""

    document: Document
    path: Path
    bases: tuple[Place, ...]

    def check(self, editor: Editor, slot: ParameterSlot, new: Reference) -> None:
        """As `Lists.check` says: nothing is added to `set`, and a name in values stays."""
        tag, digest = first_of(slot.block, TAG_KEYS), first_of(slot.block, DIGEST_KEYS)
        if not (tag and new.tag) and not (digest and new.digest):
            raise self._missing(editor, slot, "digest" if new.digest else "tag")
        named = name_key(slot.block)
        renamed = named and new.name != slot.current.name
        if renamed and not any(part.keys[-1] == named for part in slot.parts):
            raise editor.document.error(
                f"the name of `{slot.label}` stands in the release's `values`.",
                "Rename the image there first, or leave the new name out.",
                slot.node,
            )

    def put(self, editor: Editor, part: Parameter, value: str) -> None:
        """As `Lists.put` says."""
        text = part.value.value if isinstance(part.value, Scalar) else ""
        if self._list(part) == "set" and text != value and _TYPED.fullmatch(value):
            raise editor.document.error(
                f"Helm takes `{value}` in `set` for a number or the like, not for a text.",
                "Move the item to `setString` in the config repository first.",
                part.value,
            )
        editor.set(part.value, value)
        if part.keys[-1] in DIGEST_KEYS and not value:
            # helmfile passes over an item without a value: what it went before would count.
            for base in self.bases:
                block = mapping_at(base, part.keys[:-1])
                below = first_of(block, DIGEST_KEYS) if block else None
                if below is not None and below.value and below is not part.value:
                    editor.set(below, "")

    def append(
        self,
        editor: Editor,
        slot: ParameterSlot,
        name: str,
        value: str,  # noqa: ARG002  (the signature is that of `Lists`)
    ) -> None:
        """As `Lists.append` says: there is none."""
        raise self._missing(editor, slot, name.rpartition(".")[2])

    def labels(self, part: Parameter) -> list[str]:
        """As `Lists.labels` says: by its index, or by its name."""
        listed = self._list(part)
        if listed not in _LISTS:
            return [format_path(part.path)]
        name = part.name.replace("\\", "\\\\").replace("]", "\\]")
        place = f"{format_path((*self.path, listed))}[name={name}]"
        return [label + end for label in (format_path(part.path), place) for end in (".value", "")]

    def again(self, file: Document) -> Given:
        """As `Lists.again` says."""
        place = node_at(file, self.path)
        node = resolve(place.node) if place.node else None
        return given(file, self.path, node) if isinstance(node, Mapping) else Given()

    def _list(self, part: Parameter) -> str:
        return str(part.path[len(self.path)])

    def _missing(self, editor: Editor, slot: ParameterSlot, part: str) -> Exception:
        return editor.document.error(
            f"nothing beside `{slot.label}` sets the {part}.",
            f"Add an item for the {part} that the chart reads, or give the image both.",
            slot.node,
        )
