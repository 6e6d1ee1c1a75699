"""Paths into YAML data: the `#KEY` of a target, such as `web.image.tag` or `items[0].image`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    resolve,
)

Path = tuple[str | int, ...]

_SEGMENT = re.compile(r"\[(\d+|\*)\]|((?:\\.|[^.\[\]\\])+)")


@dataclass(frozen=True, slots=True)
class Place:
    """A node that a key leads to. `parent` holds it; `node` is None where only it exists."""

    path: Path
    parent: Mapping | Sequence | None
    node: Node | None


def parse_key(key: str) -> Path:
    r"""Read a `#KEY`.

    Args:
        key: Keys parted by dots, a list's index in brackets; `*` stands for any key or index,
            also inside a key, and `\.` for a dot, as in Helm's `--set`.

    Returns:
        The segments.

    Raises:
        UsageError: The key is malformed.
    """
    segments: list[str | int] = []
    position = 0
    while position < len(key):
        found = _SEGMENT.match(key, position)
        if not found:
            break
        index, name = found.groups()
        segments.append(
            int(index) if index and index != "*" else re.sub(r"\\(.)", r"\1", name or "*")
        )
        position = found.end()
        if key[position : position + 1] == "." and position + 1 < len(key):
            position += 1
        elif key[position : position + 1] != "[":
            break
    if not segments or position < len(key):
        raise UsageError(
            f"The target's key `#{key}` is malformed.",
            "Write it as `#web.image`, `#items[0].image` or `#*.image`.",
        )
    return tuple(segments)


def format_path(path: Path) -> str:
    """A path as a `#KEY` would name it, without the `#`.

    Args:
        path: The path.

    Returns:
        The text, which `parse_key` reads.
    """
    text = ""
    for segment in path:
        if isinstance(segment, int):
            text += f"[{segment}]"
        else:
            text += ("." if text else "") + re.sub(r"([.\[\]\\])", r"\\\1", segment)
    return text


def find_places(document: Document, path: Path) -> list[Place]:
    """Follow a path, aliases and merge keys included.

    Args:
        document: The file.
        path: The path; `*` in a segment matches any text.

    Returns:
        The places it leads to. Where only the last segment is missing from a mapping, the place
        has no node.

    Raises:
        PromoteError: The path leads nowhere.
    """
    places = [Place((), None, document.root)]
    for number, segment in enumerate(path):
        last = number == len(path) - 1
        found = [step for place in places for step in _steps(place, segment, last=last)]
        if not found:
            raise missing(document, places[0], path, segment)
        places = found
    return places


def _steps(place: Place, segment: str | int, *, last: bool) -> Iterator[Place]:
    node = resolve(place.node) if place.node else None
    if isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            if segment in (index, str(index), "*"):
                yield Place((*place.path, index), node, item)
    elif isinstance(node, Mapping):
        name = str(segment)
        value = find_value(node, name)
        if value is not None or (last and "*" not in name):
            yield Place((*place.path, name), node, value)
        elif "*" in name:
            for key in dict.fromkeys(_keys(node)):
                if fnmatchcase(key, name):
                    yield Place((*place.path, key), node, find_value(node, key))


def _keys(node: Mapping) -> list[str]:
    return [key.value for key, _ in node.pairs if isinstance(key, Scalar)]


def missing(document: Document, here: Place, path: Path, segment: str | int) -> PromoteError:
    """The error for a segment that is not where a path expects it.

    Args:
        document: The file.
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
    return document.error(
        f"there is no `{segment}`{inside} (from `#{format_path(path)}`).", fix, node
    )
