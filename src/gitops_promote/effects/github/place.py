"""Where GitHub's API is for a repository, if the repository is on GitHub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.core.errors import UsageError
from gitops_promote.effects.git.remote import parse_url

if TYPE_CHECKING:
    from gitops_promote.effects.git.remote import Remote

_SSH_PATH = re.compile(r"(?:ssh://[^/]*/|[^/:]*:/?)(?P<path>.+)", re.IGNORECASE)
_NAME = re.compile(
    r"/*(?P<name>[A-Za-z0-9][A-Za-z0-9_-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+?)(?:\.git)?/*"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on GitHub: the URL of its server's API, and `owner/name`."""

    api_url: str
    name: str


def find_api(url: str, environ: Mapping[str, str]) -> Place | None:
    """Find the API of a config repository's server.

    Args:
        url: The repository's URL, as `resolve_url` gives it.
        environ: The environment: `GITHUB_SERVER_URL` and `GITHUB_API_URL` tell of the job's server.

    Returns:
        The place, or None where the repository is not on the job's GitHub server, on github.com or
        on ghe.com.

    Raises:
        UsageError: As `parse_url`.
    """
    remote = parse_url(url)
    found = _NAME.fullmatch(_path(remote))
    if remote.scheme == "file" or not found:
        return None
    server_url = environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    if server_url and _is_on(remote, server_url):
        given = environ.get("GITHUB_API_URL", "").rstrip("/")
        return Place(given or _known(server_url) or f"{server_url}/api/v3", found["name"])
    # A host is GitHub's own at its usual port alone, and never unencrypted.
    host = remote.host.lower()
    if remote.scheme == "ssh":
        host = "github.com" if host == "ssh.github.com" else host
    elif remote.server != ("https", host, 443):
        return None
    api_url = _known(f"https://{host}")
    return Place(api_url, found["name"]) if api_url else None


def _path(remote: Remote) -> str:
    if remote.scheme != "ssh":
        return remote.path
    match = _SSH_PATH.fullmatch(remote.url)
    return match["path"] if match else ""


def _is_on(remote: Remote, server_url: str) -> bool:
    try:
        server = parse_url(f"{server_url}/-")
    except UsageError:  # not set by a runner
        return False
    if remote.scheme == "ssh":  # which has a port of its own
        return remote.host.lower() == server.host.lower()
    return remote.server == server.server


def _known(server_url: str) -> str:
    """The API of a server of GitHub's own; empty for another one."""
    if server_url.lower() == "https://github.com":
        return "https://api.github.com"
    match = re.fullmatch(r"https://([a-z0-9-]+)\.ghe\.com", server_url.lower())
    return f"https://api.{match[1]}.ghe.com" if match else ""
