"""Inputs of one record a line, of comma-separated fields, as docker/metadata-action reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import TypeVar

from gitops_promote.core.errors import MalformedError, UsageError
from gitops_promote.core.near import nearest

T = TypeVar("T")

#: What a switch may be.
BOOLEANS = ("true", "false")

# A field in quotes, in which a quote is doubled, or one without any, as RFC 4180 has them.
_FIELD = re.compile(r'(?:\s*"((?:[^"]|"")*)"\s*|([^",]*))(,|$)')


def read_records(name: str, text: str, read: Callable[[str], T]) -> list[T]:
    """Read an input record by record.

    Args:
        name: The input, for errors.
        text: Its lines; those that are empty or begin with `#` say nothing.
        read: Reads a record; its `MalformedError` says what is wrong with it.

    Returns:
        What was read, in the order of the lines.

    Raises:
        UsageError: A record is malformed. It names the input and the line, and quotes the record.
    """
    found: list[T] = []
    # Other characters that Python parts lines at can stand in a branch's name.
    lines = re.split(r"\r\n|\r|\n", text)
    for number, line in enumerate(lines, 1):
        record = line.strip()
        if not record or record.startswith("#"):
            continue
        try:
            found.append(read(record))
        except MalformedError as error:
            where = f", line {number}" if len(lines) > 1 else ""
            what = f"Input `{name}`{where}: `{record}` {error.problem}."
            raise UsageError(what, error.allowed) from None
    return found


def fields(record: str) -> list[str]:
    """Part a record at its commas.

    Args:
        record: Fields, each possibly in quotes.

    Returns:
        The fields without quotes and spaces around them; empty ones are left out.

    Raises:
        MalformedError: A quote stands within a field, or isn't closed.
    """
    found, position, end = [], 0, ","
    while end == ",":
        match = _FIELD.match(record, position)
        if not match:
            raise MalformedError(
                f"has a quote in the wrong place, at `{record[position:]}`",
                'Quote a whole attribute, as in `type=match,"pattern=\\d{1,3}"`, and double a '
                "quote within the quotes.",
            )
        found.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        position, end = match.end(), match[3]
    # That action reads a record twice, so some quote all of it for the sake of its commas.
    if len(found) == 1 and record.startswith('"') and "," in found[0]:
        return fields(found[0])
    return [text.strip() for text in found if text.strip()]


def choice(attribute: str, text: str, choices: Collection[str]) -> str:
    """Check the value of an attribute that has few.

    Args:
        attribute: Its name.
        text: Its value.
        choices: What it may be.

    Returns:
        The value.

    Raises:
        MalformedError: It is something else; the error lists the choices.
    """
    if text not in choices:
        raise MalformedError(f"has the {attribute} `{text}`", allowed(attribute, text, choices))
    return text


def allowed(what: str, text: str, choices: Collection[str]) -> str:
    """Say what may stand somewhere.

    Args:
        what: What is chosen, such as `type`.
        text: What stands there.
        choices: What may.

    Returns:
        A sentence that lists the choices, behind a question where one of them was likely meant.
    """
    near = nearest(text, choices)
    hint = f"Did you mean `{near}`? " if near else ""
    return f"{hint}Allowed as {what}: " + ", ".join(f"`{name}`" for name in choices) + "."
