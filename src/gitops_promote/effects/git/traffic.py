"""What a git command moved over http, by its own record of it."""

from __future__ import annotations

import os
import re
from tempfile import mkstemp
from typing import TYPE_CHECKING, NamedTuple, final

if TYPE_CHECKING:
    from pathlib import Path

_MOVED = re.compile(rb" (=> Send|<= Recv) (?:header|data), 0*(\d+) bytes ")
_REQUEST = re.compile(rb" => Send header: (?:GET|POST) ")


class Traffic(NamedTuple):
    """Requests, and the bytes of answers and of requests, headers included."""

    requests: int
    received: int
    sent: int


@final
class Trace:
    """A file in the private folder that git writes what it moves to (git(1), `GIT_TRACE_CURL`).

    git leaves out of it what would give access, but for some older ones over HTTP/2: so that is
    turned off. The file is removed as soon as it is read.

    Args:
        folder: The private folder.
    """

    def __init__(self, folder: Path) -> None:
        handle, self._file = mkstemp(prefix="trace-", dir=folder)
        os.close(handle)
        #: What makes git write it, and its configuration.
        self.environment = {"GIT_TRACE_CURL": self._file, "GIT_TRACE_REDACT": "1"}
        self.settings = ("http.version=HTTP/1.1",)

    def read(self) -> Traffic:
        """Count, and remove the file.

        Returns:
            What was moved; nothing where git has no http to record.
        """
        requests = received = sent = 0
        with open(self._file, "rb") as lines:  # noqa: PTH123  (a name from mkstemp)
            for line in lines:
                if moved := _MOVED.search(line):
                    size = int(moved[2])
                    is_sent = moved[1].startswith(b"=>")
                    received, sent = received + size * (not is_sent), sent + size * is_sent
                elif _REQUEST.search(line):
                    requests += 1
        os.unlink(self._file)  # noqa: PTH108
        return Traffic(requests, received, sent)
