"""The names of images that tags are made for, as docker/metadata-action's `images` has them."""

from __future__ import annotations

from itertools import chain

from gitops_promote.core.errors import MalformedError
from gitops_promote.core.images import parse_image
from gitops_promote.core.tags.metadata import is_json
from gitops_promote.core.tags.records import BOOLEANS, allowed, choice, fields, read_records

_ATTRIBUTES = ("name", "enable")


def parse_names(text: str) -> tuple[str, ...]:
    """Read the input `images` of a step that only computes tags.

    Args:
        text: One image a line, `NAME` or `name=NAME,enable=BOOLEAN`, or several names parted by
            commas. That action's README tells of it ("images input").

    Returns:
        The enabled names in lower case, each once.

    Raises:
        UsageError: A record is malformed, or a name has a tag, or is none that registries take.
    """
    return tuple(dict.fromkeys(chain.from_iterable(read_records("images", text, _names))))


def _names(record: str) -> list[str]:
    if is_json(record):
        raise MalformedError("is no image's name", "Give the names, such as `ghcr.io/acme/shop`.")
    names, enabled = [], True
    for text in fields(record):
        attribute, equals, value = text.partition("=")
        attribute, value = attribute.strip().lower(), value.strip()
        if not equals or attribute == "name":
            names.append(_checked(value if equals else text))
        elif attribute == "enable":
            enabled = choice(attribute, value, BOOLEANS) == "true"
        else:
            listed = allowed("attribute", attribute, _ATTRIBUTES)
            raise MalformedError(f"has the unknown attribute `{attribute}`", listed)
    return names if enabled else []


def _checked(name: str) -> str:
    image = parse_image(name.lower())
    if image.tag is not None or image.digest is not None:
        raise MalformedError(
            "has a tag or a digest already",
            "Name the image alone, such as `ghcr.io/acme/shop`: the tags are computed.",
        )
    return image.name
