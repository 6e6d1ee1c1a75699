"""Time the action's start against plainer ways to install the same lock.

Two tables: the installs alone, and from the step's start to the program's own first line. Each way
runs as a job's step would run it: no cache, a new folder each time.

Usage: bootstrap.py [ROUNDS]
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "action" / "requirements.txt"
LOCKED = ["--require-hashes", "--only-binary=:all:", "--requirement", str(LOCK)]
INSTALL = ["install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", *LOCKED]
# What the action says before the program does.
OURS = ("Using the release's bundle", "Installed ", "Waiting for ")
PYTHON = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")


def plain(folder: Path) -> None:
    """`python -m venv`, and its pip."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    subprocess.run([folder / "venv" / PYTHON, "-m", "pip", *INSTALL], check=True)


def without_pip(folder: Path) -> None:
    """`python -m venv --without-pip`, and `pip --python`."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / PYTHON)]
    subprocess.run([*pip, *INSTALL], check=True)


def one_by_one(folder: Path) -> None:
    """The action with one `pip --target`."""
    _install("promote", 1, folder)


def ours(folder: Path) -> None:
    """The action: two `pip --target` at once."""
    _install("promote", 2, folder)


def tags(folder: Path) -> None:
    """The action for the tags step: its packages alone, one `pip --target`."""
    _install("tags", 1, folder)


def tags_by_two(folder: Path) -> None:
    """The action for the tags step, with two `pip --target` at once."""
    _install("tags", 2, folder)


class Start(NamedTuple):
    """A way to start, whose program says its first line."""

    name: str
    command: list[str]
    environ: dict[str, str]


def main(rounds: int) -> None:
    """Time every way and print the tables.

    Args:
        rounds: How often each is timed; the ways take turns.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"`python bench/bootstrap.py {rounds}`: Python {version}, {os.cpu_count()} cores,"
        f" median of {rounds}"
    )
    installs = (plain, without_pip, one_by_one, ours, tags_by_two, tags)
    times: dict[str, list[float]] = {(way.__doc__ or "").rstrip("."): [] for way in installs}
    for _ in range(rounds):
        for name, way in zip(times, installs, strict=True):
            times[name].append(_time(way))
    _print("install", times)
    with tempfile.TemporaryDirectory() as folder:
        starts = _starts(Path(folder))
        times = {start.name: [] for start in starts}
        for _ in range(rounds):
            for start in starts:
                times[start.name].append(_first_line(start, Path(folder, "temp")))
    _print("from the step's start to the program's first line", times)


def _print(title: str, times: dict[str, list[float]]) -> None:
    # Against the first way, which is what people use.
    first = statistics.median(next(iter(times.values())))
    print(f"\n| {title} | seconds | of the first |\n|---|---|---|")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"| {name} | {median:.2f} | {median / first:.2f} |")


def _starts(folder: Path) -> list[Start]:
    # One copy of the action as it is on main, and one as a release has it.
    trees = {name: folder / name for name in ("main", "release")}
    for tree in trees.values():
        for name in ("action", "src"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    build = [sys.executable, str(ROOT / "release" / "bundle.py"), str(trees["release"])]
    subprocess.run([*build, sys.executable], check=True)
    venv = folder / "temp" / "venv"
    # The work that a workflow's author would write; in the program's place stands the same source.
    by_hand = (
        f'"{sys.executable}" -m venv "{venv}"\n"{venv / PYTHON}" -m pip {" ".join(INSTALL)}\n'
        f'PYTHONPATH="{trees["main"] / "src"}" "{venv / PYTHON}" -m gitops_promote promote\n'
    )
    step = '. "$GITHUB_ACTION_PATH/action/start.sh" promote\n'
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
    environ = {**os.environ, "GITOPS_PROMOTE_PYTHON_PATH": sys.executable}
    action = {name: {**environ, "GITHUB_ACTION_PATH": str(tree)} for name, tree in trees.items()}
    return [
        Start("`python -m venv`, its pip, `python -m gitops_promote`", [*bash, by_hand], environ),
        Start("the action on main: from the lock", [*bash, step], action["main"]),
        Start(
            "the action of a release: from its bundle, without a network",
            [*_offline(), *bash, step],
            action["release"],
        ),
    ]


def _first_line(start: Start, temp: Path) -> float:
    shutil.rmtree(temp, ignore_errors=True)
    temp.mkdir()
    began = time.perf_counter()
    with subprocess.Popen(
        start.command,
        env={**start.environ, "RUNNER_TEMP": str(temp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        if process.stdout is None:
            raise AssertionError
        # Without inputs it says what is missing, all that a promotion needs being imported.
        for line in process.stdout:
            if not line.startswith(OURS):
                taken = time.perf_counter() - began
                break
        process.stdout.read()
    if "Input" not in line and "missing" not in line:
        raise AssertionError(line)
    return taken


def _offline() -> list[str]:
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and not subprocess.run([*command, "true"], check=False).returncode:
        return command
    return ["env", "PIP_INDEX_URL=http://127.0.0.1:9/simple"]


def _install(command: str, installers: int, folder: Path) -> None:
    action = _script()
    processes = action.Processes()
    needs = action.NEEDS[command]._replace(installers=installers)
    # pip's own temporary files go where a step's do.
    environ = {**os.environ, "TMPDIR": str(folder)}
    action.install(needs, folder, environ, processes)
    processes.stop()


def _time(way: Callable[[Path], None]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        way(Path(folder))
        return time.perf_counter() - start


def _script() -> ModuleType:
    path = ROOT / "action" / "install.py"
    spec = importlib.util.spec_from_file_location("install_script", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
