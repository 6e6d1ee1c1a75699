"""Calls of the whole program, as a process of its own, against a real repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from conftest import ROOT
from memory import FILES
from servers import git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PERSON = ("--author", "Ann Author <ann@example.com>", "--committer", "Bob <bob@example.com>")
SHOP = "ghcr.io/acme/shop"
OVERLAY = "apps/shop/overlays/{environment}"
DEV = "apps/shop/overlays/dev/kustomization.yaml"

#: What a job of GitHub Actions has in its environment.
JOB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SHA": COMMIT,
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REPOSITORY": "acme/shop",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_RUN_ID": "42",
    "GITHUB_ACTOR": "octocat",
    "GITHUB_ACTOR_ID": "583231",
}


@dataclass(frozen=True)
class Done:
    """How a call ended; `output` and `summary` are the job's files."""

    status: int
    out: str
    err: str
    output: str
    summary: str

    @property
    def json(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.out)
        return data


@final
class Calls:
    """Calls from one folder, with a home and a config repository of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.work = folder / "work"
        self.work.mkdir()
        self.bare = make_bare(
            folder / "acme" / "deploy.git",
            {path: text.encode() for path, text in FILES.items()},
        )
        self.start = head_of(self.bare)

    def environ(self, more: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a call."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "TMPDIR": str(self.home),
            **more,
        }

    def run(self, *arguments: str, repository: str | None = None, **environ: str) -> Done:
        """Promote; where it isn't told otherwise, in the bare repository by its path."""
        where = ["--config-repository", repository if repository is not None else str(self.bare)]
        return self.call("promote", *where, *arguments, **environ)

    def call(self, *arguments: str, **environ: str) -> Done:
        """Call the program."""
        for name in ("output", "summary"):
            (self.folder / name).write_text("", "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "gitops_promote", *arguments],
            capture_output=True,
            check=False,
            cwd=self.work,
            env=self.environ(environ),
            timeout=120,
        )
        return Done(
            done.returncode,
            done.stdout.decode(),
            done.stderr.decode(),
            (self.folder / "output").read_text("utf-8"),
            (self.folder / "summary").read_text("utf-8"),
        )

    def promote(self, *arguments: str, repository: str | None = None, **environ: str) -> Done:
        """Promote the shop to dev."""
        usual = ("--images", f"{SHOP}:1.2.3", "--environment", "dev", "--target", OVERLAY)
        return self.run(*usual, *PERSON, *arguments, repository=repository, **environ)

    def log(self, form: str, count: int = 1) -> str:
        """Something of the newest commits."""
        shown = git("--git-dir", self.bare, "log", f"-{count}", f"--format={form}", "main")
        return shown.decode().rstrip("\n")

    @property
    def is_untouched(self) -> bool:
        """Whether no ref of the repository has moved, and nothing is left behind."""
        refs = git("--git-dir", self.bare, "for-each-ref", "--format=%(objectname) %(refname)")
        left = [path for path in self.home.iterdir() if path.name.startswith("gitops-promote")]
        return refs.decode() == f"{self.start} refs/heads/main\n" and not left
