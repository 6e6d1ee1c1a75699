"""What edits mean, as a tree, to hold the outcome against."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace

from gitops_promote.core.yaml.quoting import Plain, is_string
from gitops_promote.core.yaml.tree import Alias, Mapping, Node, Scalar, Sequence


@dataclass
class Intent:
    """Changes to a tree that stays as it is, each by the identity of the node that it is about."""

    _replaced: dict[int, Node] = field(default_factory=dict)
    _removed: set[int] = field(default_factory=set)
    _pairs: dict[int, list[tuple[int, tuple[Node, Node]]]] = field(default_factory=dict)
    _items: dict[int, list[Node]] = field(default_factory=dict)

    def current(self, node: Node) -> Node:
        """A node, or what was put in its place.

        Args:
            node: A node of the tree.

        Returns:
            The node that is meant there.
        """
        return self._replaced.get(id(node), node)

    def set(self, scalar: Scalar, value: str) -> None:
        """A string in place of a scalar's value, under the same anchor and tag.

        Args:
            scalar: The scalar.
            value: The string.
        """
        self._replaced[id(scalar)] = replace(scalar, value=value, style=_style(value))

    def add_pair(self, mapping: Mapping, index: int, key: str, value: str) -> None:
        """A pair behind the one of an index.

        Args:
            mapping: The mapping.
            index: The index of the pair before it.
            key: The new key.
            value: The new value.
        """
        self._pairs.setdefault(id(mapping), []).append((index, (_string(key), _string(value))))

    def add_mapping(
        self, mapping: Mapping, index: int, key: str, pairs: Seq[tuple[str, str]]
    ) -> None:
        """A pair of a key and a mapping, behind the pair of an index.

        Args:
            mapping: The mapping.
            index: The index of the pair before it.
            key: The new key.
            pairs: The keys and values of the new mapping.
        """
        new = (_string(key), _mapping(pairs))
        self._pairs.setdefault(id(mapping), []).append((index, new))

    def remove_pair(self, key: Node) -> None:
        """No pair where a key stands.

        Args:
            key: The pair's key.
        """
        self._removed.add(id(key))

    def append_item(self, sequence: Sequence, pairs: Seq[tuple[str, str]]) -> None:
        """A mapping as a sequence's last item.

        Args:
            sequence: The sequence.
            pairs: The mapping's keys and values.
        """
        self._items.setdefault(id(sequence), []).append(_mapping(pairs))

    def append_text(self, sequence: Sequence, value: str) -> None:
        """A string as a sequence's last item.

        Args:
            sequence: The sequence.
            value: The string.
        """
        self._items.setdefault(id(sequence), []).append(_string(value))

    def add_list(self, mapping: Mapping, key: str, pairs: Seq[tuple[str, str]]) -> None:
        """A pair of a key and a list of one mapping, behind all others.

        Args:
            mapping: The mapping.
            key: The new key.
            pairs: The item's keys and values.
        """
        new = (_string(key), Sequence(0, 0, items=[_mapping(pairs)]))
        self._pairs.setdefault(id(mapping), []).append((len(mapping.pairs) - 1, new))

    def fill(self, old: Node, pairs: Seq[tuple[str, str]]) -> None:
        """A list of one mapping in place of a node, under the same anchor and tag.

        Args:
            old: The node.
            pairs: The item's keys and values.
        """
        items: list[Node] = [_mapping(pairs)]
        self._replaced[id(old)] = Sequence(0, 0, old.anchor, old.tag, items=items)

    def is_met(self, roots: Seq[Node | None], outcome: Seq[Node | None]) -> bool:
        """Whether documents, once changed, say what others do; their layout is left out.

        Args:
            roots: The documents as they are.
            outcome: What is to be held against them.

        Returns:
            True where the changes, and no others, are all that tells the two apart.
        """
        if len(roots) != len(outcome):
            return False
        # By node: one name may be given to several, each in its turn.
        anchored: dict[int, Node] = {}
        replaced = self._replaced
        stack = list(zip(reversed(roots), reversed(outcome), strict=True))
        while stack:
            original, other = stack.pop()
            if original is None or other is None:
                if original is not other:
                    return False
                continue
            node = replaced.get(id(original), original)
            if node.anchor is not None:
                anchored[id(original)] = other
            if not _is_alike(node, other, anchored):
                return False
            if not isinstance(node, Scalar):
                parts, others = self._parts(node), _parts(other)
                if len(parts) != len(others):
                    return False
                stack.extend(zip(reversed(parts), reversed(others), strict=True))
        return True

    def _parts(self, node: Node) -> Seq[Node]:
        """What a node holds once changed."""
        if isinstance(node, Mapping) and (self._removed or self._pairs):
            return [part for pair in self._pairs_meant(node) for part in pair]
        added = self._items.get(id(node))
        return [*_parts(node), *added] if added else _parts(node)

    def _pairs_meant(self, mapping: Mapping) -> list[tuple[Node, Node]]:
        pairs: list[tuple[Node, Node]] = []
        added = self._pairs.get(id(mapping), [])
        for index, pair in enumerate(mapping.pairs):
            if id(pair[0]) not in self._removed:
                pairs.append(pair)
            pairs.extend(new for after, new in added if after == index)
        return pairs


def _is_alike(node: Node, other: Node, anchored: dict[int, Node]) -> bool:
    """Whether two nodes say the same, what they hold left aside."""
    if type(node) is not type(other) or node.anchor != other.anchor or node.tag != other.tag:
        return False
    if isinstance(node, Scalar) and isinstance(other, Scalar):
        if node.value != other.value:
            return False
        return node.style == other.style or is_string(node) == is_string(other)
    if isinstance(node, Alias) and isinstance(other, Alias):
        return anchored.get(id(node.target)) is other.target
    return True


def _parts(node: Node) -> Seq[Node]:
    if isinstance(node, Mapping):
        return [part for pair in node.pairs for part in pair]
    return node.items if isinstance(node, Sequence) else ()


# The new nodes stand nowhere in a text.


def _string(value: str) -> Scalar:
    return Scalar(0, 0, value=value, style=_style(value))


def _style(value: str) -> str:
    return "" if isinstance(value, Plain) else '"'


def _mapping(pairs: Seq[tuple[str, str]]) -> Mapping:
    return Mapping(0, 0, pairs=[(_string(key), _string(value)) for key, value in pairs])
