"""Moments in the forms that GitHub and git write them in."""

from __future__ import annotations

import re
from datetime import datetime, timezone

# Fractions of a second are left out: until Python 3.11 their number of digits mattered.
_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.\d+)?(?:[Zz]|([+-]\d\d:\d\d))")


def parse_timestamp(value: object) -> datetime | None:
    """Read a time as GitHub's events have it (RFC 3339).

    Args:
        value: What stands there.

    Returns:
        The time, with a time zone; None where there is none.
    """
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    try:
        return _bounded(datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or '+00:00'}"))
    except ValueError:
        return None


def parse_seconds(text: str) -> datetime | None:
    """Read a time as git keeps it; the time zone beside it may be none that there is.

    Args:
        text: The seconds since 1970.

    Returns:
        The time, in UTC; None where there is none.
    """
    try:
        return _bounded(datetime.fromtimestamp(int(text), timezone.utc))
    except (ValueError, OverflowError, OSError):
        return None


def _bounded(moment: datetime) -> datetime | None:
    # Another time zone must not take it out of the years that there are.
    return moment if 1 < moment.year < 9999 else None
