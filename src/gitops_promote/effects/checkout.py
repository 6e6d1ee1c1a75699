"""The checkout that a call is made from: questions to it, by the real git command."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from gitops_promote.effects.programs import find_git
from gitops_promote.inputs import PREFIX


def ask_checkout(environ: Mapping[str, str], *arguments: str, folder: str = "") -> str:
    """Ask git about a checkout, without the network.

    Args:
        environ: The caller's environment.
        *arguments: The command and what it takes.
        folder: Where to ask. Empty: the current folder.

    Returns:
        What git prints, without the white space around it; empty where it fails, or isn't there.
    """
    program = find_git(environ)
    if not program:
        return ""
    # The inputs stay here: the checkout's own configuration can make git run programs.
    env = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    # A partial clone would fetch what it misses, and wait for its server or for a password.
    env["GIT_ALLOW_PROTOCOL"] = "none"
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder or None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=10,
            env=env,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
