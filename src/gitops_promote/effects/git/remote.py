"""Where the config repository is, and what lets git in: URL, credentials and environment.

A secret reaches git by its environment or, a private key, by a file in a private folder that is
removed at exit. It never stands on a command line, in a URL or in a message.
"""

from __future__ import annotations

import binascii
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gitops_promote.core.errors import PromoteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Scheme = Literal["https", "http", "ssh", "file"]

_HOST = r"(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
# Texts, as a call needs one or two of them, and to compile all takes its time.
_WEB_URL = (
    rf"(?i)(?P<scheme>https?)://(?:(?P<user>[^/@\s\\]*)@)?{_HOST}(?::(?P<port>\d{{1,5}}))?"
    r"(?P<path>/[^\s\\?#]+)"
)
_SSH_URL = rf"(?i)ssh://(?:(?P<user>[^/@\s\\]*)@)?{_HOST}(?::\d{{1,5}})?/\S+"
# The short form of git-clone(1). A second colon would name a remote helper, such as `ext::`; an `@`
# after the first is rather a password's end.
_SSH_SHORT = rf"(?:(?P<user>[\w.+-]+)@)?{_HOST}:(?!//|:|[^/]*@)[^\s-]\S*"
_GITHUB_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+"
_LOCAL_PATH = r"/|\.\.?(?:[/\\]|$)|~|[A-Za-z]:[\\/]"
# A bare user name in a URL is harmless and some hosts' URLs have one; tokens are known by their
# prefix or are longer than names.
_UNLIKE_A_NAME = r"gh[a-z]_|github_pat_|glpat-|.{30}"

_FORMS = (
    "Write `owner/name`, an https or ssh URL, `git@host:path`, or a local path that starts with "
    "`/` or `./`."
)

KEY_FILE = "ssh-key"
KNOWN_HOSTS_FILE = "ssh-known-hosts"

#: Variables of git that only say how to reach a host, and so are kept from the caller.
_KEPT = ("GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_")
_DROPPED = ("GIT_SSL_NO_VERIFY",)  # a token goes to nobody who has not shown who they are


@dataclass(frozen=True, slots=True)
class Credentials:
    """What may open the config repository.

    Attributes:
        token: A token for https, sent as the password of `x-access-token`.
        ssh_key: A private key for ssh, as text.
        ssh_known_hosts: The only host keys to accept, in the form of a known_hosts file.
        token_server: The URL of the only server that may get the token: set for the job's own
            token. Empty: the token is for whichever https host the repository's URL names.
    """

    token: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)
    ssh_known_hosts: str = field(default="", repr=False)
    token_server: str = ""

    @property
    def basic(self) -> str:
        """The token as the value of a basic `Authorization` header."""
        return binascii.b2a_base64(f"x-access-token:{self.token}".encode(), newline=False).decode()

    def secrets(self) -> Iterator[str]:
        """Every text that must not be shown, longest forms first."""
        if self.token:
            yield from (self.basic, self.token)
        yield from (line for line in map(str.strip, self.ssh_key.splitlines()) if len(line) >= 16)

    def redact(self, text: str) -> str:
        """Return `text` with every secret replaced by `***`.

        Args:
            text: The text.

        Returns:
            The text without secrets.
        """
        for secret in self.secrets():
            text = text.replace(secret, "***")
        return text


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository's URL, taken apart as far as credentials need it."""

    url: str
    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def server(self) -> tuple[str, str, int]:
        """Scheme, host and port: what makes two URLs one server."""
        return self.scheme, self.host.lower(), self.port

    def takes_token(self, credentials: Credentials) -> bool:
        """Whether the token is sent there.

        Args:
            credentials: The credentials of the call.

        Returns:
            True where there is one and the server is one that may get it.

        Raises:
            PromoteError: It would travel unencrypted to another machine.
        """
        if not credentials.token or self.scheme not in ("https", "http"):
            return False
        if credentials.token_server:
            server = credentials.token_server.rstrip("/") + "/-"
            if parse_url(server).server != self.server:
                return False
        if self.scheme == "http" and not _is_loopback(self.host):
            raise PromoteError(
                f"The token is not sent to {self.url}, because http is not encrypted.",
                "Use the repository's https URL.",
            )
        return True


def resolve_url(
    config_repository: str,
    server_url: str,
    repository: str,
    cwd: str | os.PathLike[str] = ".",
    *,
    ssh: bool = False,
) -> str:
    """Find the URL, or the absolute path, of the config repository.

    Args:
        config_repository: The input: `owner/name`, a URL, `git@host:path` or a local path. A local
            path starts with `/`, `./`, `../`, `~` or a drive, so that no folder of the caller's can
            stand in for a repository of the server. Empty: `repository`.
        server_url: The GitHub server of the job (`GITHUB_SERVER_URL`).
        repository: The job's own repository (`GITHUB_REPOSITORY`).
        cwd: The folder that a relative path starts from.
        ssh: Reach `owner/name` by ssh: set where a private key is given.

    Returns:
        What git takes as a repository.

    Raises:
        UsageError: It is none of these forms, its transport is not supported, or it has a password
            in it.
    """
    value = config_repository or repository
    if not value:
        raise UsageError("Input `config-repository` (`--config-repository`) is missing.", _FORMS)
    if re.fullmatch(_GITHUB_NAME, value):
        name = value.removesuffix(".git") + ".git"
        web = parse_url(f"{server_url.rstrip('/')}/{name}")
        return f"git@{web.host}:{name}" if ssh and web.scheme != "file" else web.url
    if re.match(_LOCAL_PATH, value):
        _refuse_control_characters(value)
        # Not resolve(): git is to name the path that the user named.
        return os.path.abspath(Path(cwd, os.path.expanduser(value)))  # noqa: PTH100, PTH111
    return parse_url(value).url


def parse_url(url: str) -> Remote:
    """Check a URL's form and transport.

    Args:
        url: A URL, `git@host:path`, or an absolute path.

    Returns:
        Its parts.

    Raises:
        UsageError: As `resolve_url`. The message repeats no URL that may hold a secret.
    """
    _refuse_control_characters(url)
    if re.match(r"/|[A-Za-z]:[\\/]|file://", url):
        return Remote(url, "file", path=url.removeprefix("file://"))
    if match := re.fullmatch(_WEB_URL, url):
        _refuse_password(match["user"])
        scheme: Scheme = "https" if match["scheme"].lower() == "https" else "http"
        port = int(match["port"] or (443 if scheme == "https" else 80))
        return Remote(url, scheme, match["host"], port, match["path"])
    if match := re.fullmatch(_SSH_URL, url) or re.fullmatch(_SSH_SHORT, url):
        _refuse_password(match["user"], ssh=True)
        return Remote(url, "ssh", match["host"])
    if "@" in url or "?" in url:
        raise UsageError("Input config-repository has a URL that git would not read.", _FORMS)
    helper = re.match(r"([A-Za-z0-9+.-]+)::?//|([A-Za-z0-9+.-]+)::", url)
    if helper and (helper[1] or helper[2]).lower() not in ("https", "http", "ssh"):
        raise UsageError(
            f"Input config-repository names the transport `{helper[1] or helper[2]}`, which is "
            "not supported.",
            _FORMS,
        )
    raise UsageError(f"Input config-repository is `{url}`, which names no repository.", _FORMS)


def _refuse_control_characters(url: str) -> None:
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise UsageError("Input config-repository has a control character in it.", _FORMS)


def _refuse_password(user: str | None, *, ssh: bool = False) -> None:
    if user and (":" in user or (not ssh and re.match(_UNLIKE_A_NAME, user))):
        raise UsageError(
            "Input config-repository has a password or token in its URL.",
            "Take it out of the URL, revoke it if it was ever shown, and give it as "
            + ("`ssh-key`." if ssh else "`token`."),
        )


def _is_loopback(host: str) -> bool:
    return bool(re.fullmatch(r"127(?:\.\d{1,3}){3}|localhost|\[::1\]", host.lower()))


def write_ssh_files(credentials: Credentials, folder: Path) -> None:
    """Write the private key and the known hosts into git's private folder.

    Args:
        credentials: Their texts. CRLF and a missing last newline, as secrets often have them after
            copying, are mended: ssh reads no such key.
        folder: A folder that only this user can read and that is removed at exit.
    """
    for name, text in (
        (KEY_FILE, credentials.ssh_key),
        (KNOWN_HOSTS_FILE, credentials.ssh_known_hosts),
    ):
        if not text.strip():
            continue
        lines = text.strip().splitlines()
        target = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(target, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(line.rstrip() + "\n" for line in lines)


def git_environment(
    remote: Remote, credentials: Credentials, environ: Mapping[str, str]
) -> dict[str, str]:
    """Make the environment that git runs in.

    The caller's git variables, the inputs and everything that holds a secret are left out; the
    user's and the machine's own git configuration stay, for proxies, certificates and credential
    helpers (git(1), "Environment Variables").

    Args:
        remote: The repository to reach.
        credentials: What to reach it with.
        environ: The caller's environment.

    Returns:
        The environment of every git process.

    Raises:
        PromoteError: The token may not be sent to this URL.
    """
    env = {name: value for name, value in environ.items() if _passes(name, value, credentials)}
    env |= {
        "LC_ALL": "C",  # messages are told apart by their English text
        "GIT_TERMINAL_PROMPT": "0",
        "GCM_INTERACTIVE": "never",
        "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_OPTIONAL_LOCKS": "0",
        # Else a global trace2.* setting could record what configuration holds.
        "GIT_TRACE2": "0",
        "GIT_TRACE2_EVENT": "0",
        "GIT_TRACE2_PERF": "0",
    }
    settings = list(_SETTINGS)
    if remote.takes_token(credentials):
        settings += _token_settings(remote, credentials)
        env |= {"GIT_ASKPASS": "", "SSH_ASKPASS": ""}
    else:
        env |= {name: environ[name] for name in ("GIT_ASKPASS",) if name in environ}
    env |= _ssh_command(credentials, environ)
    return env | _configuration(settings)


#: What the private repository must not take from the user's configuration (git-config(1)).
_SETTINGS = (
    ("core.hooksPath", os.devnull),
    ("protocol.version", "2"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("clone.rejectShallow", "false"),
    ("fastimport.unpackLimit", "0"),
    ("push.pushOption", ""),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
)


def _token_settings(remote: Remote, credentials: Credentials) -> list[tuple[str, str]]:
    # The longest URL wins over less exact ones of the user's configuration; the empty value
    # drops the headers and helpers that were set before. `=` would end the key.
    path = remote.path
    if "=" in path:
        path = path.partition("=")[0].rpartition("/")[0] + "/"
    key = f"http.{remote.scheme}://{remote.host}:{remote.port}{path}"
    return [
        (f"{key}.extraHeader", ""),
        (f"{key}.extraHeader", f"Authorization: Basic {credentials.basic}"),
        (f"{key}.followRedirects", "false"),
        ("credential.helper", ""),
    ]


def _configuration(settings: list[tuple[str, str]]) -> dict[str, str]:
    # GIT_CONFIG_COUNT is the documented way, since git 2.31. Older ones know only the variable by
    # which `git -c` tells its children; newer ones read both, and the same twice is the same.
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    quoted = (f"{key}={value}".replace("'", r"'\''") for key, value in settings)
    env["GIT_CONFIG_PARAMETERS"] = " ".join(f"'{setting}'" for setting in quoted)
    return env


def _ssh_command(credentials: Credentials, environ: Mapping[str, str]) -> dict[str, str]:
    # The files are named relative to git's working folder, so no path needs the quoting of the
    # shell and of ssh's own options, with their % and ${} (ssh_config(5)).
    if not (credentials.ssh_key.strip() or credentials.ssh_known_hosts.strip()):
        kept = ("GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT")
        return {name: environ[name] for name in kept if name in environ}
    options = ["BatchMode=yes", "ConnectTimeout=20", "ServerAliveInterval=15", "ControlPath=none"]
    command = ["ssh"]
    if credentials.ssh_key.strip():
        command += ["-i", KEY_FILE]
        options += ["IdentitiesOnly=yes"]
    if credentials.ssh_known_hosts.strip():
        options += [f"UserKnownHostsFile={KNOWN_HOSTS_FILE}", f"GlobalKnownHostsFile={os.devnull}"]
        options += ["StrictHostKeyChecking=yes"]
    else:
        options += ["StrictHostKeyChecking=accept-new"]
    command += [word for option in options for word in ("-o", option)]
    return {"GIT_SSH_COMMAND": " ".join(command), "GIT_SSH_VARIANT": "ssh"}


def _passes(name: str, value: str, credentials: Credentials) -> bool:
    if name.startswith("GIT_"):
        return name.startswith(_KEPT) and name not in _DROPPED
    if name.startswith(("GITOPS_PROMOTE_", "INPUT_")):
        return False
    return not any(len(secret) >= 8 and secret in value for secret in credentials.secrets())
