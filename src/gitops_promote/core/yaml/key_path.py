"""Paths into YAML data: the `#KEY` of a target, such as `web.image.tag` or `items[0].image`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    resolve,
    text_of,
)


@dataclass(frozen=True, slots=True)
class Selector:
    """A segment of a key that takes the items of a list by one of their values: `[name=app]`."""

    key: str
    value: str

    def __str__(self) -> str:
        return "[{}={}]".format(*(_escaped(part) for part in (self.key, self.value)))


Path = tuple[str | int, ...]
#: What a key may say: a path, and items by their values.
Key = tuple[str | int | Selector, ...]

_SEGMENT = re.compile(
    r"\[(\d+|\*)\]|\[((?:\\.|[^=\]\\])+)=((?:\\.|[^\]\\])*)\]|((?:\\.|[^.\[\]\\])+)"
)
_MOST_SEARCHED = 100
_LITERAL = re.compile(r"([^=\s]+)=")


@dataclass(frozen=True, slots=True)
class Place:
    """A node that a key leads to. `parent` holds it; `node` is None where only it exists.

    `document` is the one that both are of: the file's, or one that is embedded in it.
    """

    document: Document
    path: Path
    parent: Mapping | Sequence | None
    node: Node | None


def parse_key(key: str) -> Key:
    r"""Read a `#KEY`.

    Args:
        key: Keys parted by dots, a list's index in brackets; `*` stands for any key or index,
            also inside a key, and `\.` for a dot, as in Helm's `--set`. `[name=app]` stands for
            the items whose `name` is `app`; of a list of `NAME=VALUE`, a name leads to its item.

    Returns:
        The segments.

    Raises:
        UsageError: The key is malformed.
    """
    segments: list[str | int | Selector] = []
    position = 0
    while position < len(key):
        found = _SEGMENT.match(key, position)
        if not found:
            break
        segments.append(_segment(found))
        position = found.end()
        if key[position : position + 1] == "." and position + 1 < len(key):
            position += 1
        elif key[position : position + 1] != "[":
            break
    if not segments or position < len(key):
        raise UsageError(
            f"The target's key `#{key}` is malformed.",
            "Write it as `#web.image`, `#items[0].image`, `#items[name=web].image` or `#*.image`.",
        )
    return tuple(segments)


def _segment(found: re.Match[str]) -> str | int | Selector:
    index, name, value, key = found.groups()
    if name:
        return Selector(_plain(name), _plain(value))
    return int(index) if index and index != "*" else _plain(key or "*")


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def format_path(path: Key) -> str:
    """A path as a `#KEY` would name it, without the `#`.

    Args:
        path: The path, or a key's segments.

    Returns:
        The text, which `parse_key` reads.
    """
    text = ""
    for segment in path:
        if isinstance(segment, Selector):
            text += str(segment)
        elif isinstance(segment, int):
            text += f"[{segment}]"
        else:
            text += ("." if text else "") + _escaped(segment)
    return text


def _escaped(text: str) -> str:
    return re.sub(r"([.\[\]\\])", r"\\\1", text)


def roots(document: Document) -> list[Place]:
    """Where the paths of a file start that has several documents.

    Args:
        document: The file.

    Returns:
        The root of each document that isn't empty. Where there are several, each has its index in
        its path.
    """
    found = [(number, root) for number, root in enumerate(document.roots) if root is not None]
    if len(found) == 1:
        return [Place(document, (), None, found[0][1])]
    return [Place(document, (number,), None, root) for number, root in found]


def find_places(document: Document, path: Key, starts: Seq[Place] | None = None) -> list[Place]:
    """Follow a path: aliases, merge keys and YAML in texts included.

    Args:
        document: The file.
        path: The path; `*` in a segment matches any text.
        starts: What it may start at; by default the root of the file's first document.

    Returns:
        The places it leads to. Where only the last segment is missing from a mapping, the place
        has no node.

    Raises:
        PromoteError: The path leads nowhere.
    """
    # A file of nothing has no documents to start at.
    places = list(starts or ()) or [Place(document, (), None, document.root)]
    numbered = [place for place in places if place.path and place.path == path[:1]]
    if numbered:
        places, path = numbered, path[1:]
    for number, segment in enumerate(path):
        last = number == len(path) - 1
        found = [step for place in places for step in _steps(place, segment, last=last)]
        if last and any(place.node for place in found):
            found = [place for place in found if place.node]
        if not found:
            raise missing(_likeliest(places, segment), path, segment)
        places = found
    return places


def _likeliest(places: list[Place], segment: str | int | Selector) -> Place:
    """The place where a segment that none has may be a slip of the pen."""
    from difflib import get_close_matches  # noqa: PLC0415  (slow to import, rarely needed)

    for place in places[:_MOST_SEARCHED]:
        node = resolve(place.node) if place.node else None
        if isinstance(node, Mapping) and get_close_matches(str(segment), _keys(node), cutoff=0.6):
            return place
    return places[0]


def node_at(document: Document, path: Path) -> Place:
    """The place of a path that is known to lead somewhere.

    Args:
        document: The file.
        path: The path, as a `Place` has it.

    Returns:
        The place.

    Raises:
        PromoteError: It leads nowhere.
    """
    # Many places of a file with many documents are looked up: `roots` would make a list for each.
    held = list(islice((root for root in document.roots if root is not None), 2))
    number = path[0] if path and len(held) > 1 else None
    if isinstance(number, int) and number < len(document.roots):
        start = Place(document, (number,), None, document.roots[number])
    else:
        start = Place(document, (), None, held[0] if held else document.root)
    return find_places(document, path, [start])[0]


def _steps(place: Place, segment: str | int | Selector, *, last: bool) -> Iterator[Place]:
    document, node = place.document, resolve(place.node) if place.node else None
    if isinstance(node, Scalar):
        inner = document.embedded(node)
        if inner is None:
            return
        several = roots(inner)
        if len(several) > 1 and isinstance(segment, int):
            for start in several:
                if start.path == (segment,):
                    yield replace(start, path=(*place.path, segment))
            return
        document, node = inner, inner.root
    if isinstance(node, Sequence):
        for index, item in _items(node, segment):
            yield Place(document, (*place.path, index), node, item)
    elif isinstance(node, Mapping) and not isinstance(segment, Selector):
        name = str(segment)
        value = find_value(node, name)
        if value is not None or (last and "*" not in name):
            yield Place(document, (*place.path, name), node, value)
        elif "*" in name:
            for key in dict.fromkeys(_keys(node)):
                if fnmatchcase(key, name):
                    yield Place(document, (*place.path, key), node, find_value(node, key))


def _items(node: Sequence, segment: str | int | Selector) -> list[tuple[int, Node]]:
    """The items of a list that a segment of a key takes."""
    if isinstance(segment, int):
        return [(segment, item) for item in node.items[segment : segment + 1]]
    items = enumerate(node.items)
    return [(index, item) for index, item in items if _is_item(segment, index, resolve(item))]


def _is_item(segment: str | Selector, index: int, item: Node) -> bool:
    """Whether a segment of a key takes an item of a list."""
    if isinstance(segment, Selector):
        return isinstance(item, Mapping) and text_of(item, segment.key) == segment.value
    if segment in (str(index), "*"):
        return True
    name = literal_name(item) if isinstance(item, Scalar) else ""
    return bool(name) and name == segment


def literal_name(item: Scalar) -> str:
    """The name of an item `NAME=VALUE` of a list, such as kustomize's literals and arguments.

    Args:
        item: The item.

    Returns:
        The name; empty where the item is none such.
    """
    found = _LITERAL.match(item.value)
    return found[1] if found else ""


def _keys(node: Mapping) -> list[str]:
    return [key.value for key, _ in node.pairs if isinstance(key, Scalar)]


def missing(here: Place, path: Key, segment: str | int | Selector) -> PromoteError:
    """The error for a segment that is not where a path expects it.

    Args:
        here: As far as the path leads.
        path: The whole path.
        segment: The segment that is missing there.

    Returns:
        The error, which names what is there instead.
    """
    from difflib import get_close_matches  # noqa: PLC0415  (slow to import, rarely needed)

    node = resolve(here.node) if here.node else None
    keys = _keys(node) if isinstance(node, Mapping) else []
    near = get_close_matches(str(segment), keys, n=3, cutoff=0.5)
    fix = f"Did you mean {' or '.join(f'`{key}`' for key in near)}?"
    if not near:
        listed = ", ".join(f"`{key}`" for key in keys[:5]) + (", …" if len(keys) > 5 else "")
        fix = f"There is {listed}." if keys else "Correct the key behind the `#`."
    inside = f" in `{format_path(here.path)}`" if here.path else ""
    return here.document.error(
        f"there is no `{segment}`{inside} (from `#{format_path(path)}`).", fix, node
    )
