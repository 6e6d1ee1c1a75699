"""A copy of the action that runs a small program, with an index of small packages."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from conftest import ROOT

PROGRAM = """\
import json, os, pathlib, sys, tempfile, time
from importlib.util import find_spec
def run():
    import semver
    facts = {
        "packages": [name for name in ("alpha", "beta", "semver") if find_spec(name)],
        "argv": sys.argv[1:], "path": sys.path, "flags": [sys.flags.isolated, sys.flags.no_site],
        "files": [semver.__file__, json.__file__], "temp": tempfile.gettempdir(),
        "token": os.environ.get("GITOPS_PROMOTE_TOKEN"),
    }
    left = pathlib.Path(tempfile.mkdtemp()) / "left"
    left.write_text("")
    left.chmod(0o400)
    done, written = pathlib.Path(os.environ["FACTS"]), pathlib.Path(os.environ["FACTS"] + ".new")
    written.write_text(json.dumps(facts))
    try:
        os.replace(written, done)
        time.sleep(float(os.environ.get("SLEEP", "0")))
    except KeyboardInterrupt:
        done.write_text("interrupted")
        raise
    sys.exit(int(os.environ.get("STATUS", "0")))
"""


@dataclass(frozen=True)
class Result:
    """What a run of the bootstrap did."""

    status: int
    log: str
    facts: dict[str, Any]


class Action:
    """A copy of the action with a program that reports what it sees, and three tiny packages."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "action tree"
        self.temp = folder / "runner temp"
        self.workspace = folder / "workspace"
        self.index = folder / "index"
        self.facts = folder / "facts.json"
        package = self.root / "src" / "gitops_promote"
        for path in (package, self.root / "tags", self.temp, self.workspace):
            path.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(PROGRAM)
        shutil.copytree(ROOT / "action", self.root / "action")
        lock = "".join(make_package(self.index, name) for name in ("alpha", "beta", "semver"))
        (self.root / "action" / "requirements.txt").write_text(f"# A lock.\n{lock}")

    def command(self, python: str = sys.executable, *arguments: str) -> list[str]:
        """The command that start.sh ends in."""
        script = str(self.root / "action" / "run.py")
        return [python, "-I", "-S", "-B", "-X", "utf8", script, *(arguments or ["promote"])]

    def environ(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The environment of a step."""
        ours = {
            "RUNNER_TEMP": str(self.temp),
            "FACTS": str(self.facts),
            "PIP_INDEX_URL": self.index.as_uri(),
        }
        clean = {name: value for name, value in os.environ.items() if name[:4] != "PIP_"}
        return {**clean, **ours, **extra}

    def run(self, python: str = sys.executable, *arguments: str, **extra: str) -> Result:
        """Run it to its end."""
        done = subprocess.run(
            self.command(python, *arguments),
            cwd=self.workspace,
            env=self.environ(extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        facts = json.loads(self.facts.read_text()) if self.facts.exists() else {}
        return Result(done.returncode, done.stdout, facts)

    def left(self) -> list[Path]:
        """What stayed behind in the runner's temporary folder."""
        return list(self.temp.iterdir())


def make_package(
    index: Path, name: str, wheels: Mapping[str, Mapping[str, str]] | None = None
) -> str:
    """Put a package in an index.

    Args:
        index: The index's folder.
        name: The package's name.
        wheels: The files of each of its wheels, by what the wheel is for; without them it has one
            empty module, for every Python.

    Returns:
        Its lines of a lock.
    """
    page = index / name
    page.mkdir(parents=True)
    info = f"{name}-1.0.dist-info"
    lines = [f"{name}==1.0"]
    for tag, content in (wheels or {"py3-none-any": {f"{name}.py": ""}}).items():
        wheel = page / f"{name}-1.0-{tag}.whl"
        files = {
            **content,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        }
        record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, text in {**files, f"{info}/RECORD": record}.items():
                # A name alone would stand there with the time of now.
                archive.writestr(zipfile.ZipInfo(file), text)
        lines.append(f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    links = [f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in page.glob("*.whl")]
    (page / "index.html").write_text("\n".join(links))
    return " \\\n    ".join(lines) + "\n"


def load_script(path: str) -> ModuleType:
    """Import a script, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"script_{Path(path).stem}", ROOT / path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
