"""Inputs of one record a line, of comma-separated fields, as docker/metadata-action reads them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from gitops_promote.core.errors import MalformedError
from gitops_promote.core.near import nearest

#: What a switch may be.
BOOLEANS = ("true", "false")

# A field in quotes, in which a quote is doubled, or one without any, as RFC 4180 has them.
_FIELD = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(,|$)')


def records(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Part an input into its records.

    Args:
        name: The input, for errors.
        text: Its lines; those that are empty or begin with `#` say nothing.

    Yields:
        How to call a record in an error, which quotes it, and the record.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        record = line.strip()
        if record and not record.startswith("#"):
            where = f", line {number}" if len(lines) > 1 else ""
            yield f"Input `{name}`{where}: `{record}`", record


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
