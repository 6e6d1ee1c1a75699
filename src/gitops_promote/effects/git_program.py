"""Which git runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

_NAME = "git.exe" if sys.platform == "win32" else "git"


def find_git(environ: Mapping[str, str]) -> str:
    """Find the git of the caller's `PATH`, and never one that the current folder brings along.

    The current folder is a checkout, whose content others write. Windows looks there first for a
    bare name, as does `shutil.which`; everywhere an empty or relative part of the `PATH` leads
    there, too.

    Args:
        environ: The caller's environment.

    Returns:
        The program's path; empty where there is none.
    """
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    # With a folder in front of the name, nothing but that one file is looked at.
    paths = (str(Path(folder, _NAME)) for folder in folders if Path(folder).is_absolute())
    return next(filter(None, map(shutil.which, paths)), "")
