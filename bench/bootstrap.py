"""Time the action's start against plainer ways to install the same lock.

Each way runs as a job's step would run it: no cache, a new folder each time.

Usage: bootstrap.py [ROUNDS]
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "action" / "requirements.txt"
LOCKED = ["--require-hashes", "--only-binary=:all:", "--requirement", str(LOCK)]
INSTALL = ["install", "--quiet", "--no-cache-dir", "--disable-pip-version-check", *LOCKED]
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
    """`action/run.py` with one `pip --target`."""
    _install("promote", 1, folder)


def ours(folder: Path) -> None:
    """`action/run.py`: two `pip --target` at once."""
    _install("promote", 2, folder)


def tags(folder: Path) -> None:
    """`action/run.py` for the tags step: its packages alone, one `pip --target`."""
    _install("tags", 1, folder)


def tags_by_two(folder: Path) -> None:
    """`action/run.py` for the tags step, with two `pip --target` at once."""
    _install("tags", 2, folder)


def main(rounds: int) -> None:
    """Time every way and print a table.

    Args:
        rounds: How often each is timed; the ways take turns.
    """
    ways = (plain, without_pip, one_by_one, ours, tags_by_two, tags)
    times: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            times[way.__name__].append(_time(way))
    best = statistics.median(times["ours"])
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"\n`python bench/bootstrap.py {rounds}`: Python {version}, {os.cpu_count()} cores,", end=""
    )
    print(f" median of {rounds}\n\n| way | seconds | times ours |\n|---|---|---|")
    for way in ways:
        median = statistics.median(times[way.__name__])
        print(f"| {(way.__doc__ or '').rstrip('.')} | {median:.2f} | {median / best:.1f} |")


def _install(command: str, installers: int, folder: Path) -> None:
    action = _script()
    processes = action.Processes()
    needs = action.COMMANDS[command]._replace(installers=installers)
    action.install(needs, folder, os.environ, processes)
    processes.stop()


def _time(way: Callable[[Path], None]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        way(Path(folder))
        return time.perf_counter() - start


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap_script", ROOT / "action" / "run.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(ROOT / "action" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
