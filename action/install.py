"""Install the locked packages by pip in a private folder, and run the program with them.

run.py imports it where the release's bundle isn't there or isn't for this Python. Like that file it
uses the standard library alone.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "action" / "requirements.txt"

# Seconds after which the log says what it is waiting for, and seconds a stopped process may take
# to clean up. A cancelled step has 7.5 s between the runner's first signal and its second.
PATIENCE = 15.0
GRACE = 5.0

# What pip gets of the job's environment: what a process needs to start, and how to reach the
# network from here. Everything else stays out, the job's secrets and PYTHON* first of all.
_PROCESS = (
    "APPDATA COMSPEC DYLD_LIBRARY_PATH HOME LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH LOCALAPPDATA PATH "
    "PATHEXT PROGRAMDATA SYSTEMDRIVE SYSTEMROOT TEMP TMP TMPDIR USERPROFILE WINDIR"
)
_NETWORK = (
    "ALL_PROXY HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy http_proxy https_proxy no_proxy "
    "CURL_CA_BUNDLE REQUESTS_CA_BUNDLE SSL_CERT_DIR SSL_CERT_FILE"
)
# Of pip's own variables only those that say where an index is and how to reach it: a runner behind
# a mirror needs them, and every file must have a hash of the lock, so no index can change what is
# installed. The rest (PIP_TARGET, PIP_USER, PIP_NO_INDEX...) say how the caller's own installs go.
_INDEX = (
    "PIP_CERT PIP_CLIENT_CERT PIP_DEFAULT_TIMEOUT PIP_EXTRA_INDEX_URL PIP_INDEX_URL PIP_PROXY "
    "PIP_RETRIES PIP_TIMEOUT PIP_TRUSTED_HOST"
)
PASSED_ON = frozenset(f"{_PROCESS} {_NETWORK} {_INDEX}".split())

# Options that old versions of pip don't know, and those that must win over the machine's own
# configuration, which stays valid: as variables, both are understood or passed over.
_PIP_SETTINGS = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_ROOT_USER_ACTION": "ignore",
    "PIP_USER": "0",
}
_PIP_INSTALL = [
    "install",
    "--quiet",
    "--no-cache-dir",
    "--no-deps",
    "--no-compile",
    "--require-hashes",
    "--only-binary=:all:",
]

# Last on the path come the installed packages and the program: neither can shadow the other's
# names or the standard library's.
_PROGRAM = """\
import sys
sys.path += sys.argv[2:]
sys.argv = ["gitops-promote", sys.argv[1]]
from gitops_promote.__main__ import run
run()
"""


class Needs(NamedTuple):
    """What a command needs: packages by the lock's names, None for all, and how many installers."""

    packages: frozenset[str] | None
    installers: int


# pip spends its time comparing the names of an index's files, on one core. Two at once take two
# thirds of the time of one; a third has no core of its own on a small runner and costs time. For a
# few packages, which a build waits for, the start of the second takes longer than it saves.
NEEDS = {
    "promote": Needs(None, 2),
    "tags": Needs(frozenset({"packaging", "semver", "tzdata"}), 1),
}


class BootstrapError(Exception):
    """The program could not be started: one sentence that says why and what to do."""


class Processes:
    """The child processes of this one, so that none outlives it."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process.

        Args:
            command: The program and its arguments.
            environ: Its whole environment.
            log: A new file for what it says; without one it speaks to the job's log.

        Returns:
            The process.
        """
        output = log.open("wb") if log else None
        try:
            process = subprocess.Popen(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
            )
        finally:
            if output:
                output.close()
        self._running.append(process)
        return process

    def stop(self) -> None:
        """Ask every process to end, and end those that don't."""
        running = [process for process in self._running if process.poll() is None]
        for process in running:
            # An interrupt lets the program end its own children (git, ssh) before it goes.
            process.terminate() if os.name == "nt" else process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(command: str, folder: Path, environ: Mapping[str, str]) -> int:
    """Install the packages, and run the program on them.

    Args:
        command: One of `NEEDS`.
        folder: The private folder.
        environ: The step's environment.

    Returns:
        The program's exit status.

    Raises:
        BootstrapError: The packages can't be installed.
    """
    processes = Processes()
    try:
        packages = install(NEEDS[command], folder, environ, processes)
        return _run(command, packages, environ, processes)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        processes.stop()


def install(
    needs: Needs, folder: Path, environ: Mapping[str, str], processes: Processes
) -> list[Path]:
    """Install the locked packages.

    Args:
        needs: Which of them, and by how many installers.
        folder: The private folder.
        environ: The step's environment.
        processes: What starts pip.

    Returns:
        The folders that hold the packages.

    Raises:
        BootstrapError: There is no pip, or it failed.
    """
    start = time.monotonic()
    environ = pip_environ(folder, environ)
    locks = requirements(LOCK.read_text("utf-8"), needs)
    try:
        packages = _install(Path(sys.executable), locks, folder, environ, processes)
    except ModuleNotFoundError:
        python = _python_with_pip(folder / "venv", environ, processes)
        packages = _install(python, locks, folder, environ, processes)
    count = sum(1 for path in packages for _ in path.glob("*.dist-info"))
    print(f"Installed {count} packages in {time.monotonic() - start:.1f} s", flush=True)
    return packages


def pip_environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that pip gets.

    Args:
        folder: The private folder.
        environ: The step's environment.

    Returns:
        What of it pip needs to start and to reach the network, and the settings of this install.
    """
    # A file that exists takes the place of the user's own configuration. `--isolated` would, too,
    # but it also passes over the variables above, and as options their passwords would be seen.
    config = folder / "pip.conf"
    config.touch()
    kept = {name: value for name, value in environ.items() if name in PASSED_ON}
    return {**kept, **_PIP_SETTINGS, "PIP_CONFIG_FILE": str(config)}


def requirements(lock: str, needs: Needs) -> list[str]:
    """Deal the lock's packages out to several installers.

    Args:
        lock: The content of the lock.
        needs: Which packages, and how many installers.

    Returns:
        A lock for each installer. Each package is in one of them, and those with the most files,
        which take the longest, are spread evenly.
    """
    packages = re.findall(r"^[^\s#].*\n(?:[ \t].*\n)*", lock, re.MULTILINE)
    wanted = needs.packages
    if wanted is not None:
        packages = [package for package in packages if package.partition("==")[0] in wanted]
    packages.sort(key=len, reverse=True)
    return ["".join(packages[part :: needs.installers]) for part in range(needs.installers)]


def _run(
    command: str, packages: Sequence[Path], environ: Mapping[str, str], processes: Processes
) -> int:
    # A process of its own, for Windows removes no module that is loaded.
    isolated = [sys.executable, "-I", "-S", "-B", "-u", "-X", "utf8", "-c", _PROGRAM]
    path = [str(part) for part in (*packages, ROOT / "src")]
    status = processes.start([*isolated, command, *path], environ).wait()
    return status if status >= 0 else 128 - status


def _install(
    python: Path,
    locks: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    processes: Processes,
) -> list[Path]:
    packages, installers = [], []
    for part, lock in enumerate(locks):
        file, target, log = (folder / f"{name}-{part}" for name in ("lock", "packages", "log"))
        file.write_text(lock, "utf-8")
        pip = [str(python), "-I", "-m", "pip", *_PIP_INSTALL]
        command = [*pip, "--target", str(target), "--requirement", str(file)]
        packages.append(target)
        installers.append((processes.start(command, environ, log), log))
    for process, log in installers:
        if _wait(process, "pip to install the action's packages"):
            _fail(log)
    return packages


def _wait(process: subprocess.Popen[bytes], what: str) -> int:
    while True:
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"Waiting for {what} ...", flush=True)


def _fail(log: Path) -> NoReturn:
    lines = log.read_text("utf-8", "replace").splitlines()
    if any(line.endswith("No module named pip") for line in lines):
        raise ModuleNotFoundError
    for line in lines[-10:]:
        # The mark keeps the runner from reading a line as one of its commands.
        print(f"pip | {line}", flush=True)
    raise BootstrapError(
        "pip could not install the action's packages (its last lines are in the log). Check that "
        "this runner reaches its package index; a mirror or proxy is set by PIP_INDEX_URL or "
        "HTTPS_PROXY in the job's env."
    )


def _python_with_pip(venv: Path, environ: Mapping[str, str], processes: Processes) -> Path:
    # Python's own copy of pip, which some systems part from it.
    print("This Python has no pip; making a virtual environment that has one", flush=True)
    log = venv.with_name("log-venv")
    process = processes.start([sys.executable, "-I", "-m", "venv", str(venv)], environ, log)
    if _wait(process, "the virtual environment"):
        version = ".".join(map(str, sys.version_info[:2]))
        raise BootstrapError(
            f"{sys.executable} (Python {version}) has neither pip nor ensurepip. Install "
            "python3-pip or python3-venv on this runner, or set the input python-path to a Python "
            "that has pip."
        )
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
