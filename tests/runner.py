"""Runs workflows whose steps use the action, by nektos/act on the host, with real git."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OVERLAY = """\
# The dev environment.
resources:
- ../../base
images:
- name: ghcr.io/acme/shop   # set by CI
  newTag: "1.0.0"
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - {name: shop, image: ghcr.io/acme/shop}
"""
VALUES = """\
replicas: 2
web:
  image:
    repository: ghcr.io/acme/web
    tag: 1.0.0   # set by CI
"""
FILES = {
    "apps/shop/base/kustomization.yaml": "resources:\n- deployment.yaml\n",
    "apps/shop/base/deployment.yaml": DEPLOYMENT,
    "apps/shop/overlays/dev/kustomization.yaml": OVERLAY,
    "charts/web/values-dev.yaml": VALUES,
}
OUTPUTS = {
    "version",
    "tags",
    "images",
    "changed",
    "changed-files",
    "diff",
    "commit-sha",
    "commit-url",
    "pull-request-number",
    "pull-request-url",
    "pull-request-operation",
    "pull-request-branch",
    "pull-request-title",
    "pull-request-body",
    "json",
}
DESCRIPTION = {"description": "A shop, in one line", "license": {"spdx_id": "Apache-2.0"}}
PROMOTION = "OWNER/gitops-promote@v1"
TAGS = "OWNER/gitops-promote/tags@v1"
# How this machine reaches its package index; the rest of its environment stays out of the job.
NETWORK = ("PIP_CERT", "PIP_INDEX_URL", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Job:
    """A job that ended, with the outcome and the outputs of its steps, by their ids."""

    status: int
    log: str
    steps: Mapping[str, Mapping[str, Any]]

    @property
    def outputs(self) -> Mapping[str, str]:
        """The outputs of the step `promote`."""
        return self.outputs_of("promote")

    def outputs_of(self, step: str) -> Mapping[str, str]:
        """The outputs of a step."""
        outputs: Mapping[str, str] = self.steps[step]["outputs"]
        return outputs

    def outcome(self, step: str) -> str:
        """Whether a step failed, whatever became of the job."""
        return str(self.steps[step]["outcome"])

    @property
    def summaries(self) -> list[str]:
        """What the steps tell on the run's page, in Markdown."""
        # act shows that of a composite action twice.
        found = re.findall(r"Summary - (.*\n(?:(?!\[\S+/\S+\] ).*\n)*)", self.log)
        return list(dict.fromkeys(found))

    @property
    def annotations(self) -> list[str]:
        """The lines of the log that are errors on the run's page."""
        return [line for line in self.log.splitlines() if "::error" in line or "❗" in line]

    def annotated(self, kind: str) -> list[str]:
        """The lines of the log that are annotations: `error`, `warning` or `notice`."""
        return [line for line in self.log.splitlines() if f"::{kind} " in line]


class Runner:
    """An app's repository, whose workflow uses the action, and a bare config repository."""

    def __init__(self, folder: Path, act: str, action: Path) -> None:
        self.act = act
        self.action = action
        self.home = folder / "home"
        self.app = folder / "app"
        self.steps = folder / "steps"
        self.event = folder / "event.json"
        self.temp = folder / "temp"
        self.config = folder / "deploy.git"
        self.job_token = "made-up-job-token"
        # Further secrets of the app's repository, by their names.
        self.secrets: Mapping[str, str] = {}
        # What act tells of the GitHub server, which is github.com without it.
        self.server: Mapping[str, str] = {}
        for path in (self.home, self.temp, self.app / ".github" / "workflows"):
            path.mkdir(parents=True)
        work = folder / "deploy"
        for name, content in FILES.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(content)
        self.commit(work)
        self.git("init", "--quiet", "--initial-branch=main", cwd=self.app)
        self.git("remote", "add", "origin", "https://github.com/acme/shop.git", cwd=self.app)
        self.git("clone", "--quiet", "--bare", str(work), str(self.config))

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git, free of this machine's configuration."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        return done.stdout

    def commit(self, repository: Path) -> None:
        """Commit all that is in a folder, which becomes a repository where it is none."""
        identity = ["-c", "user.name=A Person", "-c", "user.email=person@example.com"]
        self.git("init", "--quiet", "--initial-branch=main", cwd=repository)
        self.git("add", "--all", cwd=repository)
        self.git(*identity, "commit", "--quiet", "--message=Work", cwd=repository)

    def head(self) -> str:
        """The commit at the head of the config repository."""
        return self.git("rev-parse", "main", cwd=self.config).strip()

    def read(self, path: str, config: Path | None = None) -> str:
        """A file at the head of a config repository."""
        return self.git("show", f"main:{path}", cwd=config or self.config)

    def another_config(self, name: str) -> Path:
        """A copy of the config repository as it is now."""
        path = self.config.with_name(name)
        self.git("clone", "--quiet", "--bare", str(self.config), str(path))
        return path

    def run(self, env: Mapping[str, str] | None = None, **inputs: str) -> Job:
        """Run a workflow whose one job uses the action and then reads its outputs.

        Args:
            env: The environment of the job.
            inputs: The inputs, with `_` for `-`.

        Returns:
            The job.
        """
        inputs = {"config_repository": str(self.config), **inputs}
        return self.run_steps({"promote": (PROMOTION, inputs)}, env=env)

    def run_steps(
        self,
        steps: Mapping[str, tuple[str, Mapping[str, str]]],
        *,
        may_fail: Collection[str] = (),
        env: Mapping[str, str] | None = None,
        tag: str = "",
    ) -> Job:
        """Run a workflow whose one job has some steps, and reads what became of them.

        Args:
            steps: By their ids: the action, and its inputs with `_` for `-`.
            may_fail: The ids of steps after whose failure the job goes on.
            env: The environment of the job.
            tag: The git tag whose push starts the run; without it, that of a branch does.

        Returns:
            The job.
        """
        calls = [
            {
                "id": name,
                "uses": uses,
                "with": {key.replace("_", "-"): value for key, value in inputs.items()},
                "continue-on-error": name in may_fail,
            }
            for name, (uses, inputs) in steps.items()
        ]
        self.write_workflow({"job": {"env": dict(env or {}), "steps": calls}})
        self.commit(self.app)
        return self.run_at("main", f"refs/tags/{tag}" if tag else "refs/heads/main")

    def write_workflow(self, jobs: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the app's workflow, without a commit of it.

        Args:
            jobs: The jobs by name, as a workflow has them. No two have a step of the same id.
        """
        look = {
            "if": "always()",
            "env": {"STEPS": "${{ toJSON(steps) }}", "FILE": f"{self.steps}/${{{{ github.job }}}}"},
            "run": 'printf %s "$STEPS" > "$FILE"',
        }
        looked_at = {
            name: {"runs-on": "ubuntu-latest", **job, "steps": [*job["steps"], look]}
            for name, job in jobs.items()
        }
        # Any JSON is YAML.
        workflow = json.dumps({"on": "push", "jobs": looked_at})
        (self.app / ".github" / "workflows" / "ci.yml").write_text(workflow)

    def run_at(self, revision: str, ref: str, run_id: int = 1) -> Job:
        """Run the workflow that a commit of the app has.

        Args:
            revision: The commit.
            ref: The ref whose push starts the run.
            run_id: The run's number.

        Returns:
            What became of it, with the steps of all jobs.
        """
        self.git("checkout", "--quiet", revision, cwd=self.app)
        commit, date = self.git("log", "-1", "--format=%H %cI", cwd=self.app).split()
        event = {
            "repository": {"default_branch": "main", **DESCRIPTION},
            "head_commit": {"id": commit, "timestamp": date},
            "ref": ref,
        }
        self.event.write_text(json.dumps(event))
        try:
            return self._act(run_id)
        finally:
            self.git("checkout", "--quiet", "main", cwd=self.app)

    def _act(self, run_id: int) -> Job:
        environ = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "TMPDIR": str(self.temp),
        }
        shutil.rmtree(self.steps, ignore_errors=True)
        self.steps.mkdir()
        reach = {name: os.environ[name] for name in NETWORK if name in os.environ}
        secrets = {"GITHUB_TOKEN": self.job_token, **self.secrets}
        told = {"GITHUB_RUN_ID": str(run_id), **reach, **self.server}
        command = [
            self.act,
            "push",
            "--platform=ubuntu-latest=-self-hosted",
            f"--eventpath={self.event}",
            f"--local-repository={PROMOTION}={self.action}",
            *(f"--secret={name}={value}" for name, value in secrets.items()),
            "--insecure-secrets",  # so that a secret in the log is seen there
            f"--cache-server-path={self.home / 'actcache'}",
            *(f"--env={name}={value}" for name, value in told.items()),
        ]
        done = subprocess.run(
            command,
            cwd=self.app,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        steps: dict[str, Mapping[str, Any]] = {}
        for file in self.steps.iterdir():
            steps.update(json.loads(file.read_text()))
        return Job(done.returncode, done.stdout, steps)
