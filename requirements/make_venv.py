"""Make `.venv` with the locked packages of requirements/dev.txt and the project, editable.

The Makefile runs it with any Python of at least 3.10; it needs the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OPTIONS = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
LOCKED = ["--require-hashes", "--only-binary", ":all:", "-r", "requirements/dev.txt"]
PROJECT = ["--no-build-isolation", "--editable", "."]


def main() -> None:
    """Make the environment anew.

    Raises:
        SystemExit: It can't be made; the message says what is missing.
    """
    if sys.version_info < (3, 10):  # noqa: UP036 - it may be any Python that starts this
        sys.exit("Python 3.10 or newer is needed: make PYTHON=/path/to/python3")
    print(f"Making .venv for Python {sys.version.split()[0]}", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    pip = _make()
    for packages in (LOCKED, PROJECT):
        if _run(*pip, "install", *OPTIONS, *packages):
            sys.exit("pip could not install the packages (see above).")
    (VENV / ".made").touch()


def _make() -> list[str | Path]:
    # Debian parts ensurepip from its Python. Its python3-pip serves as well, from outside.
    if not _run(sys.executable, "-m", "venv", VENV, quiet=True):
        return [PYTHON, "-m", "pip"]
    if _run(sys.executable, "-m", "pip", "--version", quiet=True):
        sys.exit("This Python has neither pip nor ensurepip: install python3-venv or python3-pip.")
    if _run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV):
        sys.exit("Python could not make a virtual environment (see above).")
    return [sys.executable, "-m", "pip", "--python", PYTHON]


def _run(*command: str | Path, quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False).returncode


if __name__ == "__main__":
    main()
