"""Secrets, written without what they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingOf

from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import Alias, Mapping, Node, Scalar, Sequence, resolve, text_of

#: What a Secret holds, and what can bring it in.
_HELD = ("data", "stringdata", "<<")
_DEEPEST = 50

#: The keys that lead to a value.
_Path = tuple[str, ...]


class TooDeepError(Exception):
    """A document nests deeper than any object does."""


def has_secret(root: Node | None) -> bool:
    """Whether a document is a Secret or has one in it, as a List does.

    Args:
        root: The document's root.

    Returns:
        Whether there is one.
    """
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, Mapping):
            if _is_secret(node):
                return True
            stack += [value for _, value in node.pairs]
        elif isinstance(node, Sequence):
            stack += node.items
    return False


def write_blotted(
    document: Document | None, known: MappingOf[_Path, str]
) -> tuple[bytes, dict[_Path, str]]:
    """Write a document anew: without the values that Secrets hold, and without comments.

    Args:
        document: The document.
        known: What Secrets held before, by place.

    Returns:
        The text, which says where a value is another one than before, and the values by place.

    Raises:
        TooDeepError: It nests deeper than any object does.
    """
    if document is None or document.root is None:
        return b"", {}
    writer = _Writer(document.text, known)
    lines = writer.lines(document.root, ())
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace"), writer.held


class _Writer:
    def __init__(self, text: str, known: MappingOf[_Path, str]) -> None:
        self.text = text
        self.known = known
        self.held: dict[_Path, str] = {}

    def lines(self, node: Node, path: _Path) -> list[str]:
        """A node's lines."""
        if len(path) > _DEEPEST:
            raise TooDeepError
        if isinstance(node, Mapping) and node.pairs:
            secret = _is_secret(node)
            found: list[str] = []
            for key, value in node.pairs:
                name = _scalar(key)
                place = (*path, name)
                hide = secret and _name(key).lower() in _HELD
                lines = self._hidden(value, place) if hide else self.lines(value, place)
                found += _below(f"{name}:", value, lines)
            return found
        if isinstance(node, Sequence) and node.items:
            items = [self.lines(item, (*path, str(n))) for n, item in enumerate(node.items)]
            return [f"{'  ' if n else '- '}{line}" for item in items for n, line in enumerate(item)]
        return [_scalar(node)]

    def _hidden(self, value: Node, path: _Path) -> list[str]:
        if not isinstance(value, Mapping) or not value.pairs:
            return [self._mark(value, path)]
        found = []
        for key, held in value.pairs:
            name = _scalar(key)
            found.append(f"{name}: {self._mark(held, (*path, name))}")
        return found

    def _mark(self, value: Node, path: _Path) -> str:
        target = resolve(value)
        self.held[path] = self.text[target.start : target.end]
        same = self.known.get(path, self.held[path]) == self.held[path]
        return "(hidden)" if same else "(hidden, another value than before)"


def _is_secret(node: Mapping) -> bool:
    return text_of(node, "kind") == "Secret"


def _below(head: str, value: Node, lines: list[str]) -> list[str]:
    if isinstance(value, Mapping) and value.pairs:
        return [head, *(f"  {line}" for line in lines)]
    if isinstance(value, Sequence) and value.items and lines[0].startswith("- "):
        return [head, *lines]
    return [f"{head} {lines[0]}"]


def _name(node: Node) -> str:
    node = resolve(node)
    return node.value if isinstance(node, Scalar) else ""


def _scalar(node: Node) -> str:
    if isinstance(node, Alias):
        return "(an alias)"
    if not isinstance(node, Scalar):
        return "[]" if isinstance(node, Sequence) else "{}"
    if node.style or "\n" in node.value:
        return json.dumps(node.value, ensure_ascii=False)
    return node.value
