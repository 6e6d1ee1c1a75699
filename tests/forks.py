"""Runs of the program as processes of their own, many and quick: forked off one that is warm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING, final

from conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a promotion by pull request imports late.
_WARM = (
    "difflib",
    "random",
    "semver",
    "gitops_promote.promotion.promote",
    "gitops_promote.promotion.review",
    "gitops_promote.effects.github.client",
    "gitops_promote.effects.github.config_repository",
    "gitops_promote.effects.github.connection",
    "gitops_promote.effects.github.history",
    "gitops_promote.effects.github.pull_requests",
)


@final
class Run:
    """A run that goes on; it leads a process group of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.pid: int = connection.recv()

    def kill(self) -> None:
        """End it at once, and the git that it may have started: nothing of it can clean up."""
        os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit status, once it has ended; that of a killed one is negative."""
        with self._connection:
            status: int = self._connection.recv()
        return status


@final
class Forks:
    """Starts runs, while a `with` block lasts."""

    def __enter__(self) -> Forks:
        path = [str(ROOT / "src"), str(ROOT / "tests")]
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )
        assert self._server.stdout
        self._address = self._server.stdout.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait()
        assert self._server.stdout
        self._server.stdout.close()

    def start(self, arguments: list[str], environ: Mapping[str, str], log: str) -> Run:
        """Start a run; what it prints goes to the file `log`."""
        connection = Client(self._address)
        connection.send((arguments, {**environ}, log))
        return Run(connection)


def _serve() -> None:
    from importlib import import_module  # noqa: PLC0415  (only where this runs as a program)

    for name in _WARM:
        import_module(name)
    # Who was asked for a run waits for it, and ends with it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with Listener(family="AF_UNIX", backlog=64) as listener:
        sys.stdout.write(f"{listener.address}\n")
        sys.stdout.flush()
        while True:
            with listener.accept() as connection:
                if not os.fork():
                    _watch(connection)


def _watch(connection: Connection) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    arguments, environ, log = connection.recv()
    ready, go = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.close(go)
        os.read(ready, 1)
        _run(arguments, environ, log)
    connection.send(pid)
    os.close(go)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.send(status)
    os._exit(0)


def _run(arguments: list[str], environ: dict[str, str], log: str) -> None:
    from gitops_promote.__main__ import main  # noqa: PLC0415  (as above)

    status = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.clear()
        os.environ.update(environ)
        status = main(arguments, environ)
    except BaseException:  # noqa: BLE001  (the log is read)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
