"""What a misspelt name was meant to be."""

from __future__ import annotations

from collections.abc import Collection


def nearest(name: str, names: Collection[str]) -> str:
    """Find the name that another was probably meant to be.

    Args:
        name: What was written.
        names: What may be written.

    Returns:
        The most similar one; empty where none is similar.
    """
    from difflib import get_close_matches  # noqa: PLC0415  (slow to import, rarely needed)

    found = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return found[0] if found else ""
