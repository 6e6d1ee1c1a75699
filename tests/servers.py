"""Real servers of git repositories for tests: git's own over http, and OpenSSH's."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from collections.abc import Mapping

Access = Literal["read", "write"]
#: An HTTP status, or the connection's end: before the request is carried out, or after.
Fault = int | Literal["drop", "drop-after"]

_IDENTITY = ("Test", "test@example.com")


def git(*arguments: str | Path, data: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Run git apart from the user's configuration and return what it prints."""
    name, email = _IDENTITY
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
        **(env or {}),
    }
    command = ["git", *map(str, arguments)]
    done = subprocess.run(command, input=data, capture_output=True, check=False, env=environment)
    if done.returncode:
        raise AssertionError(f"{command} failed: {done.stderr.decode(errors='replace')}")
    return done.stdout


def make_bare(path: Path, files: Mapping[str, bytes], branch: str = "main") -> Path:
    """Make a bare repository whose `branch`, the default one, has one commit of `files`.

    Without files it is left empty. Anyone may push to it over http, and leave out what isn't needed
    of a fetch, as from the servers that people use.
    """
    git("init", "--quiet", "--bare", "--template=", path)
    git("--git-dir", path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
    git("--git-dir", path, "config", "http.receivepack", "true")
    git("--git-dir", path, "config", "uploadpack.allowFilter", "true")
    if files:
        commit_files(path, files, branch)
    return path


def commit_files(
    bare: Path, files: Mapping[str, bytes], branch: str = "main", modes: Mapping[str, str] = {}
) -> str:
    """Commit to a bare repository, as another pusher would, and return the commit.

    `modes` gives the mode of files that do not have the common one; a submodule's content is the
    id of its commit.
    """
    ref = f"refs/heads/{branch}"
    index = {"GIT_INDEX_FILE": str(bare / "index-of-test")}
    here = ("--git-dir", bare)
    old = git(*here, "for-each-ref", "--format=%(objectname)", ref).decode().strip()
    if old:
        git(*here, "read-tree", old, env=index)
    lines = b""
    for name, content in files.items():
        mode = modes.get(name, "100644")
        stored = content
        if mode != "160000":
            stored = git(*here, "hash-object", "-w", "--no-filters", "--stdin", data=content)
        lines += b"%b %b\t%b\0" % (mode.encode(), stored.strip(), os.fsencode(name))
    git(*here, "update-index", "-z", "--index-info", data=lines, env=index)
    tree = git(*here, "write-tree", env=index).decode().strip()
    parent = ("-p", old) if old else ()
    commit = git(*here, "commit-tree", tree, *parent, "-m", "A commit").decode().strip()
    git(*here, "update-ref", ref, commit)
    (bare / "index-of-test").unlink()
    return commit


def head_of(bare: Path, branch: str = "main") -> str:
    """The commit of a branch."""
    return git("--git-dir", bare, "rev-parse", f"refs/heads/{branch}").decode().strip()


def file_of(bare: Path, path: str, branch: str = "main") -> bytes:
    """The content of a file at the tip of a branch."""
    return git("--git-dir", bare, "cat-file", "blob", f"refs/heads/{branch}:{path}")


def add_hook(bare: Path, name: str, script: str) -> None:
    """Give a repository a hook, as a shell script."""
    hook = bare / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n" + script, encoding="utf-8")
    hook.chmod(0o755)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a server got."""

    method: str
    path: str
    authorized: bool


class GitHandler(BaseHTTPRequestHandler):
    """What every handler of requests to a server of repositories here needs."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_PATCH(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def do_DELETE(self) -> None:
        self.serve()

    def serve(self) -> None:
        """Answer a request, whatever its method."""
        raise NotImplementedError

    def log_message(self, *_: object) -> None:
        """Say nothing: tests read `requests`."""

    def read_body(self) -> bytes:
        """The body of the request."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def run_backend(
        self, root: Path, path: str, body: bytes, user: str, *, old: bool = False
    ) -> tuple[int, dict[str, str], bytes]:
        """Let `git http-backend` answer the request, for the repositories of `root`.

        `path` is the request's, with its query; an `old` server knows the first protocol only.
        """
        path, _, query = path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": user,
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": "" if old else self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in head.decode().splitlines())
        headers = {line[0]: line[1] for line in lines if len(line) == 2}
        return int(headers.pop("Status", "200").split()[0]), headers, answer

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drop(self) -> None:
        """End the connection without an answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


@final
@dataclass
class GitHttpServer:
    """`git http-backend` over the bare repositories of `root`, on a port of this machine.

    `tokens` are what gets in, and how far; without any, everyone may do everything. `redirect` is
    the URL that every request is sent on to. `faults` are by the number of the request, from 0.
    An `old` server knows the first protocol of git only. `sent` counts the bytes of answers, each
    of which waits for `delay` seconds.
    """

    root: Path
    tokens: Mapping[str, Access] = field(default_factory=dict)
    redirect: str = ""
    faults: dict[int, Fault] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    old: bool = False
    sent: int = 0
    delay: float = 0

    def __enter__(self) -> GitHttpServer:
        handler = type("Handler", (_GitHandler,), {"git": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def access(self, authorization: str) -> Access | None:
        """What a request with this header may do."""
        if not self.tokens:
            return "write"
        _, _, encoded = authorization.partition("Basic ")
        _, _, token = base64.b64decode(encoded).decode().partition(":")
        return self.tokens.get(token)


class _GitHandler(GitHandler):
    git: GitHttpServer

    def serve(self) -> None:
        body = self.read_body()
        authorization = self.headers.get("Authorization", "")
        number = len(self.git.requests)
        self.git.requests.append(Request(self.command, self.path, bool(authorization)))
        time.sleep(self.git.delay)
        fault = self.git.faults.get(number)
        access = self.git.access(authorization)
        if isinstance(fault, int):
            self._answer(fault, {}, b"")
        elif fault == "drop":
            self.drop()
        elif self.git.redirect:
            self._answer(301, {"Location": self.git.redirect + self.path}, b"")
        elif not access:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
        elif access == "read" and "git-receive-pack" in self.path:
            words = b"Write access to repository not granted.\n"
            self._answer(403, {"Content-Type": "text/plain"}, words)
        else:
            user = access if self.git.tokens else ""
            result = self.run_backend(self.git.root, self.path, body, user, old=self.git.old)
            if fault == "drop-after":
                self.drop()
            else:
                self._answer(*result)

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.git.sent += len(body)
        self.answer(status, headers, body)


@final
class SshServer:
    """OpenSSH's server on a port of this machine, for the current user and one key of its own.

    Attributes:
        key: The private key that gets in, as text.
        known_hosts: The line that makes the server known.
        port: Its port.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str:
        """Why there can be no server on this machine; empty where there can."""
        if not _sshd():
            return "OpenSSH's server is not installed"
        return "" if shutil.which("ssh") else "OpenSSH's client is not installed"

    def __enter__(self) -> SshServer:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("host", "user"):
            _keygen(self._folder / name)
        public = (self._folder / "user.pub").read_text(encoding="utf-8")
        (self._folder / "authorized_keys").write_text(public, encoding="utf-8")
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where sshd gives up its privileges
        self.port = _free_port()
        config = self._folder / "sshd_config"
        config.write_text(self._config(), encoding="utf-8")
        log = (self._folder / "log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [_sshd(), "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stderr=log
            )
        self._wait()
        kind, key = (self._folder / "host.pub").read_text(encoding="utf-8").split()[:2]
        self.known_hosts = f"[127.0.0.1]:{self.port} {kind} {key}\n"
        self.key = (self._folder / "user").read_text(encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()

    def url(self, path: Path) -> str:
        """The URL of a repository."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"

    def make_key(self, name: str) -> str:
        """Make a private key that does not get in."""
        _keygen(self._folder / name)
        return (self._folder / name).read_text(encoding="utf-8")

    def _config(self) -> str:
        return f"""\
ListenAddress 127.0.0.1:{self.port}
HostKey "{self._folder}/host"
AuthorizedKeysFile "{self._folder}/authorized_keys"
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PidFile none
"""

    def _wait(self) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        log = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"sshd did not start: {log}")


def _sshd() -> str:
    # It is often in a folder that users do not have on their PATH.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("sshd", path=path) or ""


def _keygen(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
