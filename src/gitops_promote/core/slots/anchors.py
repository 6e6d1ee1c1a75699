"""What an anchored value carries along when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import Mapping, Node, Scalar, pairs_of

_MOST_LISTED = 5


def followers(
    document: Document, values: Iterable[Node], is_meant: Callable[[Mapping, str], bool]
) -> list[str]:
    """Warn of keys that have a value by its anchor without being meant by a promotion.

    Args:
        document: The file.
        values: The nodes that the promotion changes.
        is_meant: Tells of a mapping and a key of it whether it is one of the image's own.

    Returns:
        A warning for each value that others follow.
    """
    warnings = []
    for value in values:
        if value.anchor is None:
            continue
        keys = [
            key
            for root in document.roots
            for mapping, key in (pairs_of(root, value) if root is not None else [])
            if isinstance(key, Scalar) and not is_meant(mapping, key.value)
        ]
        if keys:
            named = [f"`{key.value}` (line {document.line(key)})" for key in keys[:_MOST_LISTED]]
            more = [f"{len(keys) - _MOST_LISTED} more"] if len(keys) > _MOST_LISTED else []
            listed = ", ".join(named + more)
            warnings.append(f"the anchor `&{value.anchor}` also changes: {listed}.")
    return warnings
