"""What edits mean, as a tree, to hold the outcome against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace

from gitops_promote.core.yaml.quoting import is_string
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
        self._replaced[id(scalar)] = replace(scalar, value=value, style='"')

    def add_pair(self, mapping: Mapping, index: int, key: str, value: str) -> None:
        """A pair behind the one of an index.

        Args:
            mapping: The mapping.
            index: The index of the pair before it.
            key: The new key.
            value: The new value.
        """
        self._pairs.setdefault(id(mapping), []).append((index, (_string(key), _string(value))))

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

    def outline(self, roots: Iterable[Node | None]) -> Iterator[tuple[object, ...]]:
        """What documents say once changed, node by node; their layout is left out.

        Args:
            roots: The documents as they are.

        Yields:
            What there is to compare of each node.
        """
        numbers: dict[int, int] = {}
        stack = list(roots)[::-1]
        while stack:
            original = stack.pop()
            if original is None:
                yield ("empty",)
                continue
            node = self.current(original)
            if node.anchor is not None:
                numbers[id(original)] = len(numbers)
            if isinstance(node, Alias):
                # By number: one name may be given to several nodes, each in its turn.
                yield ("alias", numbers.get(id(node.target)))
                continue
            content, children = self._content(node)
            yield (type(node).__name__, node.anchor, node.tag, content)
            stack.extend(reversed(children))

    def _content(self, node: Node) -> tuple[object, Seq[Node]]:
        if isinstance(node, Scalar):
            return (node.value, is_string(node)), ()
        if isinstance(node, Mapping):
            pairs = self._pairs_meant(node)
            return len(pairs), [part for pair in pairs for part in pair]
        items = node.items + self._items.get(id(node), []) if isinstance(node, Sequence) else []
        return len(items), items

    def _pairs_meant(self, mapping: Mapping) -> list[tuple[Node, Node]]:
        pairs: list[tuple[Node, Node]] = []
        added = self._pairs.get(id(mapping), [])
        for index, pair in enumerate(mapping.pairs):
            if id(pair[0]) not in self._removed:
                pairs.append(pair)
            pairs.extend(new for after, new in added if after == index)
        return pairs


# The new nodes stand nowhere in a text.


def _string(value: str) -> Scalar:
    return Scalar(0, 0, value=value, style='"')


def _mapping(pairs: Seq[tuple[str, str]]) -> Mapping:
    return Mapping(0, 0, pairs=[(_string(key), _string(value)) for key, value in pairs])
