"""The tools that benchmarks compare with, built where they are missing, and what a table ran on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / "build" / "tools"
# The checksum database of Go's modules vouches for the source, so a tag can't be moved.
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
YQ = "github.com/mikefarah/yq/v4@v4.47.2"


@cache
def find_tools() -> dict[str, str]:
    """Find kustomize and Go's yq, and put them on the PATH.

    What is in build/tools goes before what is on the PATH; what is in neither is built where Go is
    on the machine.

    Returns:
        The version of each tool that there is. One that is missing is told of, on stderr.
    """
    os.environ["PATH"] = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    wanted = {"kustomize": KUSTOMIZE, "yq": YQ}
    for name, module in wanted.items():
        if not _version(name):
            _build(name, module)
    found = {name: _version(name) for name in wanted}
    for name in wanted:
        if not found[name]:
            reason = "is not installed, and there is no Go to build it"
            print(f"{name} {reason}: what needs it is left out", file=sys.stderr)
    return {name: version for name, version in found.items() if version}


def machine() -> str:
    """What a table was made on: system, cores, and the versions of all that took part."""
    git = _said("git", "--version").split()[2]
    others = [f"{name} {version}" for name, version in find_tools().items()]
    return ", ".join(
        [
            f"{platform.system()} {platform.machine()}",
            f"{os.cpu_count()} cores",
            f"Python {platform.python_version()}",
            f"git {git}",
            *others,
        ]
    )


def _build(name: str, module: str) -> None:
    go = shutil.which("go")
    if not go:
        return
    print(f"Building {module}, which takes a minute or two", file=sys.stderr)
    environ = {**os.environ, "GOBIN": str(TOOLS)}
    done = subprocess.run([go, "install", module], env=environ, check=False)
    if done.returncode:
        print(f"go install {module} failed: {name} is left out", file=sys.stderr)


def _version(name: str) -> str:
    if not shutil.which(name):
        return ""
    said = _said(name, "version" if name == "kustomize" else "--version")
    # Another program of the name yq is a wrapper of jq, with other words.
    found = re.search(r"v?(\d+\.\d+\.\d+)", said)
    return found[1] if found and (name != "yq" or "mikefarah" in said) else ""


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout
