"""`git http-backend` on a port of this machine, made so that it is not what a benchmark waits for.

Answers go on as git gives them, each request has a thread, and many may wait to be taken.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, final

_PIECE = 1 << 16


@final
class HttpBackend:
    """The server of all bare repositories of a folder; anyone may read and write.

    Attributes:
        delay: Seconds that each request waits before it is answered.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.delay = 0.0
        self._traffic: dict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def __enter__(self) -> HttpBackend:
        handler = type("Handler", (_Handler,), {"backend": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, repository: str, **numbers: int) -> None:
        """Add to what is counted of a repository: `requests`, `up` and `down`."""
        with self._lock:
            self._traffic[repository].update(numbers)

    def traffic(self, repository: str) -> Counter[str]:
        """The requests to a repository, and the bytes of their bodies (`up`) and answers'."""
        with self._lock:
            return Counter(self._traffic[repository])


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    backend: HttpBackend
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        time.sleep(self.backend.delay)
        path, _, query = self.path.partition("?")
        repository = path.split("/")[1]
        body = self._body()
        self.backend.count(repository, requests=1, up=len(body))
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(self.backend.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        pipe = subprocess.PIPE
        command = ["git", "http-backend"]
        with subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe) as process:
            source, answer = process.stdin, process.stdout
            if source is None or answer is None:  # never: both are pipes
                return
            # git answers a request that it doesn't like before it has read it.
            with suppress(BrokenPipeError):
                source.write(body)
            with suppress(BrokenPipeError):
                source.close()
            self._pass_on(answer, repository)

    def _pass_on(self, answer: IO[bytes], repository: str) -> None:
        headers = {}
        while line := answer.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(_PIECE):  # type: ignore[attr-defined]
            self.backend.count(repository, down=len(piece))
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
