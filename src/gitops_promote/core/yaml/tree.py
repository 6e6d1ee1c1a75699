"""YAML as a tree of nodes that know where in the text they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Protocol

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.yaml.layout import LINE_BREAK, column_of, line_of

# What may stand between a node's properties (`&anchor`, `!tag`) and its content.
_PROPERTY = re.compile(r"!<[^>\s]*>|[!&][^\s,\[\]{}]*")
_BLANK = re.compile(rf"(?:[ \t]*(?:(?<=[ \t\r\n])#[^\r\n]*)?(?:{LINE_BREAK.pattern}))*[ \t]*")
_COLON = re.compile(_BLANK.pattern + ":")
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?: |\r?$)", re.MULTILINE)


@dataclass(slots=True, eq=False)
class Node:
    """A node; `start` and `end` bound its content, properties excluded, as offsets in the text."""

    start: int
    end: int
    anchor: str | None = None
    tag: str | None = None


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A scalar; `style` is empty for a plain one, else its first character: ``' " | >``.

    `flow` says whether it stands in a collection of flow style.
    """

    value: str = ""
    style: str = ""
    flow: bool = False


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """A mapping: its pairs in order, duplicates included.

    `ranked` is what `by_name` keeps here, `folded` its keys in lower case.
    """

    flow: bool = False
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    ranked: dict[str, tuple[Node, Node]] | None = None
    folded: frozenset[str] | None = None


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A sequence."""

    flow: bool = False
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Alias(Node):
    """`*name`; `target` is the node that it stands for."""

    target: Node | None = None


def parse(text: str, path: str) -> list[Node | None]:
    """Read a YAML stream.

    Args:
        text: The stream, without a byte order mark.
        path: Its file, for messages.

    Returns:
        The root node of each document; None for an empty one.

    Raises:
        PromoteError: The text is not YAML.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415  (start-up time)

    try:
        return _compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _broken(text, path, mark.index if mark else 0, error.problem) from None
    except YAMLError as error:
        problem = str(error).strip().splitlines()[0]
        raise _broken(text, path, getattr(error, "position", 0) or 0, problem) from None


def resolve(node: Node) -> Node:
    """The node itself, or what an alias stands for.

    Args:
        node: Any node.

    Returns:
        A node that is no alias.
    """
    return node.target if isinstance(node, Alias) and node.target is not None else node


def find_pair(mapping: Mapping, key: str, *, fold: bool = False) -> tuple[Node, Node] | None:
    """The pair of a key, merge keys left aside.

    Of a key that is given twice the last one counts, as it does for kustomize and Helm.

    Args:
        mapping: Where to look.
        key: The key's text.
        fold: Whether upper and lower case are the same, as they are to Go's JSON decoder.

    Returns:
        Key and value as they stand in the mapping, or None.
    """
    return _first_of(reversed(mapping.pairs), key, fold=fold)


def find_value(mapping: Mapping, key: str, *, fold: bool = False) -> Node | None:
    """The value of a key as kustomize and Helm see it: aliases and merge keys followed.

    A merge key counts in the place where it stands, as it does for go-yaml: it wins over pairs
    before it and loses to pairs after it.

    Args:
        mapping: Where to look.
        key: The key's text.
        fold: Whether upper and lower case are the same, as they are to Go's JSON decoder.

    Returns:
        The value, or None where neither the mapping nor one merged into it has the key.
    """
    if not fold:
        pair = by_name(mapping).get(key)
    elif key.lower() not in _folded(mapping):
        return None  # most keys of a kustomization are not there, and all are asked for
    else:
        pair = _first_of(_pairs_by_rank(mapping), key, fold=True)
    return resolve(pair[1]) if pair else None


def by_name(mapping: Mapping) -> dict[str, tuple[Node, Node]]:
    """The pair of each key that counts as `find_value` has it.

    Args:
        mapping: Where to look.

    Returns:
        The pairs by the texts of their keys.
    """
    # A values file is asked for many keys of each mapping.
    if mapping.ranked is None:
        mapping.ranked = _last_by_name(mapping.pairs)
        if "<<" in mapping.ranked:
            mapping.ranked = _last_by_name(list(_pairs_by_rank(mapping))[::-1])
    return mapping.ranked


def _folded(mapping: Mapping) -> frozenset[str]:
    if mapping.folded is None:
        mapping.folded = frozenset(map(str.lower, by_name(mapping)))
    return mapping.folded


def layers(mapping: Mapping) -> Iterator[list[tuple[Node, Node]]]:
    """The pairs of a mapping and of those merged into it, those first that win as YAML has it.

    There the place of a merge key doesn't matter: a mapping's own keys win, and of several
    mappings that are merged the earlier ones ("Merge Key Language-Independent Type").

    Args:
        mapping: Where to look.

    Yields:
        The pairs of one mapping. A merge key that names anything but mappings is among them.
    """
    stack, seen = [mapping], set[int]()
    while stack:
        top = stack.pop()
        if id(top) in seen:
            continue
        seen.add(id(top))
        own, merged = [], list[Mapping]()
        for key, value in top.pairs:
            found = _merged(value) if _is_merge_key(key) else []
            merged += found
            if not found:
                own.append((key, value))
        yield own
        stack.extend(reversed(merged))


def text_of(mapping: Mapping, key: str, *, fold: bool = False) -> str:
    """The text of a scalar below a key, empty where there is none or null.

    Args:
        mapping: Where to look.
        key: The key's text.
        fold: As in `find_value`.

    Returns:
        The text.
    """
    value = find_value(mapping, key, fold=fold)
    return value.value if isinstance(value, Scalar) and not is_null(value) else ""


def is_null(node: Node) -> bool:
    """Whether a node is null.

    Args:
        node: Any node.

    Returns:
        True for a plain scalar that is empty or says null.
    """
    return (
        isinstance(node, Scalar)
        and not node.style
        and node.value in ("", "~", "null", "Null", "NULL")
        and node.tag in (None, "tag:yaml.org,2002:null")
    )


def pairs_of(root: Node | None, value: Node) -> list[tuple[Mapping, Node]]:
    """Where a node is the value of a key, itself or by an alias.

    Args:
        root: The tree to search.
        value: The node.

    Returns:
        The mappings and their keys.
    """
    found: list[tuple[Mapping, Node]] = []
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, Sequence):
            stack.extend(reversed(node.items))
        elif isinstance(node, Mapping):
            found += [(node, key) for key, held in node.pairs if resolve(held) is value]
            stack.extend(held for _, held in reversed(node.pairs))
    return found


def _last_by_name(pairs: list[tuple[Node, Node]]) -> dict[str, tuple[Node, Node]]:
    names = [(resolve(pair[0]), pair) for pair in pairs]
    return {name.value: pair for name, pair in names if isinstance(name, Scalar)}


def _first_of(
    pairs: Iterable[tuple[Node, Node]], key: str, *, fold: bool
) -> tuple[Node, Node] | None:
    """The first pair of a key; of several spellings, that which Go's decoder reads last."""
    wanted, best, spelling = (key.lower() if fold else key), None, ""
    for pair in pairs:
        name = resolve(pair[0])
        if not isinstance(name, Scalar) or (name.value.lower() if fold else name.value) != wanted:
            continue
        if not fold:
            return pair
        if best is None or name.value > spelling:
            best, spelling = pair, name.value
    return best


def _pairs_by_rank(mapping: Mapping) -> Iterator[tuple[Node, Node]]:
    """A mapping's own and merged pairs, those first that win."""
    stack: list[Mapping | tuple[Node, Node]] = [mapping]
    seen: set[int] = set()
    while stack:
        top = stack.pop()
        if isinstance(top, tuple):
            if _is_merge_key(top[0]):
                stack.extend(reversed(_merged(top[1])))
            else:
                yield top
        elif id(top) not in seen:
            seen.add(id(top))
            stack.extend(top.pairs)


def _is_merge_key(key: Node) -> bool:
    return isinstance(key, Scalar) and key.value == "<<" and not key.style and not key.tag


def _merged(value: Node) -> list[Mapping]:
    value = resolve(value)
    sources = value.items if isinstance(value, Sequence) else [value]
    return [node for node in map(resolve, sources) if isinstance(node, Mapping)]


def _broken(text: str, path: str, offset: int, problem: str | None) -> PromoteError:
    conflict = _CONFLICT.search(text)
    if conflict:
        return PromoteError(
            "this line is a merge conflict's marker.",
            "Resolve the conflict in the config repository first.",
            path=path,
            line=line_of(text, conflict.start()),
        )
    line = line_of(text, offset)
    column = column_of(text, offset) + 1
    what = f"this is not valid YAML: {problem}."
    return PromoteError(what, _cure(text, path), path=path, line=line, column=column)


def _cure(text: str, path: str) -> str:
    """What to do about a file that is no YAML: of a template another file has the value."""
    if "{{" not in text:
        return "Correct it in the config repository first."
    chart, is_below, _ = f"/{path}".rpartition("/templates/")
    if is_below:
        values = f"{chart}/values.yaml".lstrip("/")
        return f"It is a chart's template; name its values file instead, such as `{values}`."
    return "It looks like a template; name the values file that it is rendered from instead."


def _compose(text: str) -> list[Node | None]:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415  (start-up time)

    if not _libyaml():
        return _compose_slowly(text)
    try:
        return _Composer(text).compose(_events(text))
    except MarkedYAMLError as error:
        # libyaml refuses what go-yaml takes: a colon inside plain text in flow style.
        if error.problem != "found unexpected ':'":
            raise
        with suppress(YAMLError):
            return _compose_slowly(text)
        raise


def _events(text: str) -> Iterator[_Event]:
    """The events of libyaml's parser itself: `YAML` makes a class of its own for each text."""
    from ruamel.yaml.cyaml import (  # type: ignore[attr-defined]  # noqa: PLC0415  (start-up time)
        CParser,
    )

    # Behind the end of the stream there is None.
    return iter(CParser(text).get_event, None)


def _compose_slowly(text: str) -> list[Node | None]:
    from ruamel.yaml import YAML  # noqa: PLC0415  (start-up time)

    reader = YAML(typ="safe", pure=True)
    reader.Scanner = _tab_scanner()
    return _Composer(text).compose(reader.parse(text))


@cache
def _libyaml() -> bool:
    return find_spec("_ruamel_yaml") is not None


@cache
def _tab_scanner() -> type:
    from ruamel.yaml.scanner import Scanner  # noqa: PLC0415  (only where libyaml is missing)

    class TabScanner(Scanner):
        """Takes tabs between tokens where libyaml and go-yaml do, which the base class refuses."""

        def scan_to_next_token(self) -> None:
            while True:
                super().scan_to_next_token()
                if self.reader.peek() != "\t" or self.allow_simple_key:
                    return
                while self.reader.peek() == "\t":
                    self.reader.forward()

    return TabScanner


class _Mark(Protocol):
    index: int


class _Event(Protocol):
    """A parsing event as far as it is read here; each kind has some of the fields."""

    start_mark: _Mark
    end_mark: _Mark
    anchor: str | None
    tag: str | None
    value: str
    style: str | None
    flow_style: bool | None


class _Composer:
    """Builds nodes from parsing events, without recursion: depth is not ours to bound."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.roots: list[Node | None] = []
        self.anchors: dict[str, Node] = {}
        # The innermost collection that is open, and the key in it whose value is due.
        self.parent: Mapping | Sequence | None = None
        self.key: Node | None = None
        # Each that is open, with its own parent and the key there.
        self.stack: list[tuple[Mapping | Sequence, Mapping | Sequence | None, Node | None]] = []

    def compose(self, events: Iterable[_Event]) -> list[Node | None]:
        """Read the whole stream."""
        handlers: dict[str, Callable[[_Event], None]] = {
            "DocumentStartEvent": self._start_document,
            "ScalarEvent": self._add_scalar,
            "AliasEvent": self._add_alias,
            "MappingStartEvent": self._start_mapping,
            "SequenceStartEvent": self._start_sequence,
            "MappingEndEvent": self._end_collection,
            "SequenceEndEvent": self._end_collection,
        }
        for event in events:
            handler = handlers.get(type(event).__name__)
            if handler:
                handler(event)
        return self.roots

    def _start_document(self, _: _Event) -> None:
        self.anchors = {}
        self.roots.append(None)

    def _add_scalar(self, event: _Event) -> None:
        start, end, parent = event.start_mark.index, event.end_mark.index, self.parent
        anchor, tag, value, style = event.anchor, event.tag, event.value, event.style or ""
        if anchor is not None or tag is not None:
            start = self._content_start(start, end)
            end = max(start, end)
        elif not value and not style:
            start = end = self._empty_position(start)
        flow = parent is not None and parent.flow
        self._add(Scalar(start, end, anchor, tag, value, style, flow))

    def _add_alias(self, event: _Event) -> None:
        target = self.anchors.get(event.anchor or "")
        if target is None:
            from ruamel.yaml.error import MarkedYAMLError  # noqa: PLC0415  (start-up time)

            problem = f"there is no anchor &{event.anchor}"
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        start, end = event.start_mark.index, event.end_mark.index
        self._add(Alias(start, end, target=target))

    def _start_mapping(self, event: _Event) -> None:
        self._open(Mapping(*self._properties(event), bool(event.flow_style)))

    def _start_sequence(self, event: _Event) -> None:
        self._open(Sequence(*self._properties(event), bool(event.flow_style)))

    def _properties(self, event: _Event) -> tuple[int, int, str | None, str | None]:
        """What all collections have: where the content stands, anchor and tag."""
        start, end = event.start_mark.index, event.end_mark.index
        anchor, tag = event.anchor, event.tag
        if anchor is not None or tag is not None:
            start = self._content_start(start, len(self.text))
        return start, max(start, end), anchor, tag

    def _end_collection(self, event: _Event) -> None:
        node, self.parent, self.key = self.stack.pop()
        last = node.items[-1:] if isinstance(node, Sequence) else [v for _, v in node.pairs[-1:]]
        # The mark of a block collection's end stands behind the blank lines that follow it.
        if node.flow:
            node.end = event.end_mark.index
        elif last:
            node.end = last[0].end

    def _open(self, node: Mapping | Sequence) -> None:
        self._add(node)
        self.stack.append((node, self.parent, self.key))
        self.parent, self.key = node, None

    def _add(self, node: Node) -> None:
        parent, key = self.parent, self.key
        if node.anchor is not None:
            self.anchors[node.anchor] = node
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif parent is None:
            self.roots[-1] = node
        elif key is None:
            self.key = node
        else:
            parent.pairs.append((key, node))
            self.key = None

    def _content_start(self, start: int, limit: int) -> int:
        """Where content starts: the parsers differ in which properties their marks include."""
        while start < limit and (found := _PROPERTY.match(self.text, start)):
            blank = _BLANK.match(self.text, found.end())
            start = min(blank.end() if blank else found.end(), limit)
        return start

    def _empty_position(self, start: int) -> int:
        """Where an absent value would be written: the parsers put its mark anywhere after."""
        colon = _COLON.match(self.text, self.key.end) if self.key is not None else None
        return colon.end() if colon else start
