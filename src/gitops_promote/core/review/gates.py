"""The links that a reviewer looks at before approving: the input `gates`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gitops_promote.core.errors import UsageError
from gitops_promote.core.markdown import escape, link

#: A reviewer checks no more.
MOST_GATES = 50

# A name may hold `=` itself, so what parts the two is the `=` that an address follows.
_GATE = re.compile(r"(?P<name>.*?)\s*=\s*(?P<url>https?://.+)", re.IGNORECASE | re.DOTALL)
# Browsers take a backslash for a slash.
_HOST = re.compile(r"https?://(?P<host>[^/\\?#]*)", re.IGNORECASE)
_FORM = "Write it as `NAME=URL`, such as `Scan report=https://scan.example.com/report/42`."
_LONGEST_NAME = 100
_LONGEST_URL = 500


@dataclass(frozen=True, slots=True)
class Gate:
    """What a reviewer checks, and where: an address of http or https."""

    name: str
    url: str

    @property
    def item(self) -> str:
        """The gate as an item of a task list, in Markdown."""
        return f"- [ ] {link(escape(self.name), self.url)}"


def parse_gates(lines: Iterable[str], origin: str = "Input `gates`") -> tuple[Gate, ...]:
    """Read the `gates` input, or those of a policy.

    Args:
        lines: `NAME=URL` each.
        origin: Where they come from, for messages.

    Returns:
        The gates in order, each once.

    Raises:
        UsageError: A line has another form, credentials in its address, or there are too many.
    """
    gates = tuple(dict.fromkeys(_gate(line.strip(), origin) for line in lines if line.strip()))
    if len(gates) > MOST_GATES:
        raise UsageError(
            f"{origin} has {len(gates)} links.",
            f"A reviewer checks {MOST_GATES} at most: keep those that decide.",
        )
    return gates


def _gate(line: str, origin: str) -> Gate:
    found = _GATE.fullmatch(line)
    name = found["name"].strip() if found else ""
    if not found or not name:
        # What is no name may hold credentials, so it isn't shown.
        shown = re.split(r"=|[a-z]+://", line, maxsplit=1, flags=re.IGNORECASE)[0].strip()
        safe = shown and "=" in line and "@" not in line
        where = f"the line `{shown[:_LONGEST_NAME]}`…" if safe else "a line"
        missing = "no name" if found else "no address of http or https"
        raise UsageError(f"{origin} has {where} with {missing}.", _FORM)
    if len(name) > _LONGEST_NAME or len(found["url"]) > _LONGEST_URL:
        raise UsageError(
            f"{origin} has a line that is too long: `{name[:_LONGEST_NAME]}`.",
            f"A name has at most {_LONGEST_NAME} characters, an address {_LONGEST_URL}.",
        )
    _check(name, found["url"], origin)
    return Gate(name, found["url"])


def _check(name: str, url: str, origin: str) -> None:
    place = _HOST.match(url)
    host = place["host"] if place else ""
    if "@" in host:
        raise UsageError(
            f"{origin} has credentials in the address of `{name}`.",
            "Leave them out: everybody who can read the pull request would see them.",
        )
    if not host.strip(":") or re.search(r"[\s\x00-\x20\x7f]", url):
        raise UsageError(f"{origin} has a malformed address for `{name}`.", _FORM)
