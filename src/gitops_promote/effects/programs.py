"""Which programs run: git, and the tools that render."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path


def find_git(environ: Mapping[str, str]) -> str:
    """Find the git of the caller's `PATH`.

    Args:
        environ: The caller's environment.

    Returns:
        As `find_program` says.
    """
    return find_program("git", environ)


def find_program(name: str, environ: Mapping[str, str]) -> str:
    """Find a program of the caller's `PATH`, and never one that the current folder brings along.

    The current folder is a checkout, whose content others write. Windows looks there first for a
    bare name, as does `shutil.which`; everywhere an empty or relative part of the `PATH` leads
    there, too.

    Args:
        name: Its name, without `.exe`.
        environ: The caller's environment.

    Returns:
        The program's path; empty where there is none.
    """
    file = f"{name}.exe" if sys.platform == "win32" else name
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    # With a folder in front of the name, nothing but that one file is looked at.
    paths = (str(Path(folder, file)) for folder in folders if Path(folder).is_absolute())
    return next(filter(None, map(shutil.which, paths)), "")
