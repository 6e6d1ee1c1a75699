"""The `json` output of docker/metadata-action: read where it is pasted, and written.

Its shape is told in that action's README ("JSON output object"): `tags`, `tag-names`, `labels` and
`annotations`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import is_tag, split_reference

if TYPE_CHECKING:
    from datetime import datetime

    from gitops_promote.core.source import Source

_FIX = "Paste all of the step's output: `${{ steps.ID.outputs.json }}`."


@dataclass(frozen=True, slots=True)
class Built:
    """What an earlier step has tagged: the main version, and the images' names, if it knew any.

    `mutable` says why another build takes the version, too, where the other tags tell.
    """

    version: str
    images: tuple[str, ...]
    mutable: str = ""


def is_json(text: str) -> bool:
    """Whether an input is meant as JSON.

    Args:
        text: The input.

    Returns:
        True where it begins as a JSON object does: two braces begin an expression, and a name a
        placeholder.
    """
    return re.match(r"\s*\{\s*(?:[\"'}]|$)", text) is not None


def parse_json(name: str, text: str) -> Built:
    """Read a pasted output.

    Args:
        name: The input that it was pasted into, for errors.
        text: A JSON object with the lists `tags`, of references or mere tags, and `tag-names`
            (which older versions of that action don't write).

    Returns:
        The version and the images.

    Raises:
        UsageError: It is no such object, or has no tags.
    """
    data = _load(name, text)
    references, tags = _texts(name, data, "tags"), _texts(name, data, "tag-names")
    if not references and not tags:
        raise UsageError(
            f"Input `{name}` holds the JSON output of a step that gave no tag.",
            "Look at that step's log: none of its rules applied to this run.",
        )
    images: dict[str, list[str]] = {}
    for reference in map(split_reference, references):
        if reference.digest:
            raise UsageError(
                f"Input `{name}` is JSON with `{reference}`, which has a digest.",
                "Give it as `NAME:TAG@DIGEST` in `images` instead.",
            )
        if reference.tag:
            images.setdefault(reference.name, []).append(reference.tag)
    # The first of each image, and the first of the mere tags, is the main version.
    lists = [*images.values(), tags or ([] if images else references)]
    versions = {found[0] for found in lists if found}
    shown = ", ".join(f"`{version}`" for version in sorted(versions))
    if not all(map(is_tag, versions)):
        raise UsageError(f"Input `{name}` is JSON with what no registry takes: {shown}.", _FIX)
    if len(versions) > 1:
        raise UsageError(f"Input `{name}` is JSON without one tag for all images: {shown}.", _FIX)
    (version,) = versions
    longer = next((tag for found in lists for tag in found if tag.startswith(f"{version}.")), "")
    mutable = f"`{longer}` goes with it, so it is that of the next one, too" if longer else ""
    return Built(version, tuple(images), mutable)


def to_metadata(
    references: Sequence[str], tags: Sequence[str], source: Source, now: datetime
) -> dict[str, Any]:
    """Write the output.

    Args:
        references: The images with their tags in full.
        tags: The mere tags; the first one is the main version.
        source: The run and its repository.
        now: The time of the build, aware.

    Returns:
        An object for JSON. The labels are those of the OCI image specification ("Annotations").
    """
    labels = _labels(tags[0] if tags else "", source, now)
    return {
        "tags": list(references),
        "tag-names": list(tags),
        "labels": labels,
        "annotations": [f"manifest:{key}={value}" for key, value in labels.items()],
    }


def _labels(version: str, source: Source, now: datetime) -> dict[str, str]:
    page = f"{source.server_url}/{source.repository}" if source.repository else ""
    created = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    values = {
        "created": created,
        "description": source.description,
        "licenses": source.license,
        "revision": source.commit,
        "source": page,
        "title": source.repository.rpartition("/")[2],
        "url": page,
        "version": version,
    }
    return {f"org.opencontainers.image.{key}": value for key, value in values.items()}


def _load(name: str, text: str) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"Input `{name}` begins like JSON, but isn't: {error}.",
            f"{_FIX[:-1]}, and nothing else.",
        ) from None
    if not isinstance(data, dict) or not data.keys() & {"tags", "tag-names"}:
        raise UsageError(f"Input `{name}` is JSON without `tags`.", _FIX)
    return data


def _texts(name: str, data: Mapping[str, Any], key: str) -> list[str]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"Input `{name}` is JSON whose `{key}` is no list of texts.", _FIX)
    return value
