"""A GitHub with a config repository, as its stand-in plays it, and calls of the program there."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, final

from calls import COMMIT, OVERLAY, SHOP
from gitops_promote.__main__ import main
from memory import FILES
from servers import git

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from github_double import GitHub, PullRequest
    from github_double.state import Access

DEPLOY = "acme/deploy"
BRANCH = "gitops-promote/dev/shop"
WRITES: dict[str, Access] = {"contents": "write", "pull_requests": "write"}


@final
class Hub:
    """A GitHub with a config repository, and calls of the program against it."""

    def __init__(self, github: GitHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.github = github
        self.folder = folder
        self.capsys = capsys
        self.bare = github.add_repository(DEPLOY, {p: t.encode() for p, t in FILES.items()})
        self.token = github.add_token("octocat", {DEPLOY: WRITES})
        self.run_id = 100
        self.err = ""

    def call(
        self,
        version: str,
        *flags: str,
        status: int = 0,
        environment: str = "dev",
        target: str = OVERLAY,
        images: str = "",
        **environ: str,
    ) -> dict[str, Any]:
        """Promote a version of the shop by pull request, and give what is told of it."""
        wanted = ["--images", images or f"{SHOP}:{version}"]
        wanted += ["--environment", environment, "--target", target]
        wanted += ["--promotion-mode", "pull-request"]
        return self.run("promote", *wanted, *flags, status=status, **environ)

    def run(self, command: str, *flags: str, status: int = 0, **environ: str) -> dict[str, Any]:
        """Call the program from a job of its own, and give what is told of it."""
        self.run_id += 1
        usual = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "GITHUB_ACTIONS": "true",
            "GITHUB_SHA": COMMIT,
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_RUN_ID": str(self.run_id),
            "GITHUB_ACTOR": "octocat",
            "GITOPS_PROMOTE_TOKEN": self.token,
            **self.github.environ,
        }
        wanted = ["--config-repository", DEPLOY, "--format", "json"]
        ended = main([command, *wanted, *flags], {**usual, **environ})
        out, self.err = self.capsys.readouterr()
        assert ended == status, self.err
        assert self.token not in out + self.err
        told: dict[str, Any] = json.loads(out) if out else {}
        return told

    @property
    def pull(self) -> PullRequest:
        return self.github.pull(DEPLOY, len(self.github.pulls(DEPLOY)))

    @property
    def branches(self) -> set[str]:
        shown = git("--git-dir", self.bare, "for-each-ref", "--format=%(refname:strip=2)")
        return {name for name in shown.decode().split() if name != "main"}

    def commits(self) -> list[str]:
        """The subjects of the commits that the base doesn't have."""
        shown = git("--git-dir", self.bare, "log", "--format=%s", f"main..{BRANCH}")
        return shown.decode().splitlines()
