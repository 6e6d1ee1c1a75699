"""The action for real: `uses:` in a workflow that nektos/act runs on the host, with real git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import ROOT
from gitops_promote.inputs import PREFIX

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
    "json",
}
JOB_TOKEN = "made-up-job-token"
# How this machine reaches its package index; the rest of its environment stays out of the job.
NETWORK = ("PIP_CERT", "PIP_INDEX_URL", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Job:
    """A job that ended."""

    status: int
    log: str
    outputs: Mapping[str, str]


class Runner:
    """An app's repository, whose workflow uses the action, and a bare config repository."""

    def __init__(self, folder: Path, act: str, action: Path) -> None:
        self.act = act
        self.action = action
        self.home = folder / "home"
        self.app = folder / "app"
        self.outputs = folder / "outputs.json"
        self.temp = folder / "temp"
        self.config = folder / "deploy.git"
        for path in (self.home, self.temp, self.app / ".github" / "workflows"):
            path.mkdir(parents=True)
        work = folder / "deploy"
        for name, content in FILES.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(content)
        self._commit(work)
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

    def head(self) -> str:
        """The commit at the head of the config repository."""
        return self.git("rev-parse", "main", cwd=self.config).strip()

    def read(self, path: str) -> str:
        """A file at the head of the config repository."""
        return self.git("show", f"main:{path}", cwd=self.config)

    def run(self, env: Mapping[str, str] | None = None, **inputs: str) -> Job:
        """Run a workflow whose one job uses the action and then reads its outputs.

        Args:
            env: The environment of the job.
            inputs: The inputs, with `_` for `-`.

        Returns:
            The job.
        """
        inputs = {"config_repository": str(self.config), **inputs}
        workflow = {
            "on": "push",
            "jobs": {
                "promote": {
                    "runs-on": "ubuntu-latest",
                    "env": dict(env or {}),
                    "steps": [
                        {
                            "id": "promote",
                            "uses": "OWNER/gitops-promote@v1",
                            "with": {name.replace("_", "-"): inputs[name] for name in inputs},
                        },
                        {
                            "env": {
                                "OUTPUTS": "${{ toJSON(steps.promote.outputs) }}",
                                "FILE": str(self.outputs),
                            },
                            "run": 'printf %s "$OUTPUTS" > "$FILE"',
                        },
                    ],
                }
            },
        }
        # Any JSON is YAML.
        (self.app / ".github" / "workflows" / "ci.yml").write_text(json.dumps(workflow))
        self._commit(self.app)
        return self._act()

    def _act(self) -> Job:
        environ = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "TMPDIR": str(self.temp),
        }
        reach = [f"--env={name}={os.environ[name]}" for name in NETWORK if name in os.environ]
        command = [
            self.act,
            "push",
            "--platform=ubuntu-latest=-self-hosted",
            f"--local-repository=OWNER/gitops-promote@v1={self.action}",
            f"--secret=GITHUB_TOKEN={JOB_TOKEN}",
            f"--cache-server-path={self.home / 'actcache'}",
            *reach,
        ]
        done = subprocess.run(
            command,
            cwd=self.app,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=180,
        )
        outputs = json.loads(self.outputs.read_text()) if self.outputs.exists() else {}
        return Job(done.returncode, done.stdout, outputs)

    def _commit(self, repository: Path) -> None:
        identity = ["-c", "user.name=A Person", "-c", "user.email=person@example.com"]
        self.git("init", "--quiet", "--initial-branch=main", cwd=repository)
        self.git("add", "--all", cwd=repository)
        self.git(*identity, "commit", "--quiet", "--message=Work", cwd=repository)


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a runner checks out, as the working tree has it."""
    folder = tmp_path_factory.mktemp("action")
    shutil.copy(ROOT / "action.yml", folder)
    for name in ("action", "src"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    return folder


@pytest.fixture
def runner(tmp_path: Path, tool: Callable[[str], str], action: Path) -> Runner:
    if os.name == "nt":
        pytest.skip("act runs no bash steps on a Windows host")
    return Runner(tmp_path, tool("act"), action)


def test_kustomize(runner: Runner) -> None:
    start = runner.head()

    job = runner.run(
        environment="dev",
        images="ghcr.io/acme/shop:1.1.0",
        target="apps/shop/overlays/{environment}",
    )

    assert job.status == 0, job.log
    assert set(job.outputs) == OUTPUTS
    path = "apps/shop/overlays/dev/kustomization.yaml"
    assert runner.read(path) == OVERLAY.replace("1.0.0", "1.1.0")
    assert runner.git("rev-parse", "main~1", cwd=runner.config).strip() == start
    assert job.outputs["version"] == "1.1.0"
    assert job.outputs["tags"].split() == ["ghcr.io/acme/shop:1.1.0"]
    assert list(json.loads(job.outputs["images"])) == ["ghcr.io/acme/shop"]
    assert "1.1.0" in job.outputs["images"]
    assert job.outputs["changed"] == "true"
    assert job.outputs["changed-files"].split() == [path]
    assert '-  newTag: "1.0.0"\n+  newTag: "1.1.0"\n' in job.outputs["diff"]
    assert job.outputs["commit-sha"] == runner.head()
    assert job.outputs["commit-url"] == ""
    assert json.loads(job.outputs["json"])["commit-sha"] == runner.head()
    (installed,) = [line for line in job.log.splitlines() if "Installed" in line]
    assert installed.endswith(" s")
    assert "| `ghcr.io/acme/shop` | `1.0.0` | **`1.1.0`** |" in job.log  # act shows the summary


def test_helm_by_a_file_url(runner: Runner) -> None:
    job = runner.run(
        config_repository=runner.config.as_uri(),
        environment="dev",
        images="ghcr.io/acme/web:1.1.0",
        target="helm:charts/web/values-{environment}.yaml#web.image",
    )

    assert job.status == 0, job.log
    assert set(job.outputs) == OUTPUTS
    assert runner.read("charts/web/values-dev.yaml") == VALUES.replace("1.0.0", "1.1.0")
    assert job.outputs["version"] == "1.1.0"
    assert job.outputs["tags"].split() == ["ghcr.io/acme/web:1.1.0"]
    assert job.outputs["changed"] == "true"
    assert job.outputs["changed-files"].split() == ["charts/web/values-dev.yaml"]
    assert "+    tag: 1.1.0   # set by CI" in job.outputs["diff"]
    assert job.outputs["commit-sha"] == runner.head()
    record = json.loads(job.outputs["json"])
    assert record["changed"] is True
    assert "1.0.0" in json.dumps(record)


def test_both_kinds_in_one_commit_with_the_computed_tag(runner: Runner) -> None:
    start = runner.head()

    job = runner.run(
        images="ghcr.io/acme/shop\nghcr.io/acme/web",
        environment="dev",
        target="apps/shop/overlays/{environment}\ncharts/web/values-{environment}.yaml",
    )

    assert job.status == 0, job.log
    sha = runner.git("rev-parse", "HEAD", cwd=runner.app).strip()
    assert job.outputs["version"].startswith(sha[:12])
    assert len(job.outputs["changed-files"].split()) == 2
    assert runner.git("rev-parse", "main~1", cwd=runner.config).strip() == start


def test_a_dry_run_writes_nothing(runner: Runner) -> None:
    start = runner.head()

    job = runner.run(
        images="ghcr.io/acme/shop:1.1.0",
        target="apps/shop/overlays/dev",
        promotion_mode="dry-run",
    )

    assert job.status == 0, job.log
    assert set(job.outputs) == OUTPUTS
    assert job.outputs["commit-sha"] == ""
    assert '+  newTag: "1.1.0"' in job.outputs["diff"]
    assert runner.head() == start


def test_no_change_is_success(runner: Runner) -> None:
    start = runner.head()

    job = runner.run(images="ghcr.io/acme/shop:1.0.0", target="apps/shop/overlays/dev")

    assert job.status == 0, job.log
    assert set(job.outputs) == OUTPUTS
    assert job.outputs["changed"] == "false"
    assert job.outputs["diff"] == ""
    assert runner.head() == start


def test_a_hostile_workspace_and_environment_change_nothing(runner: Runner) -> None:
    modules = ("github", "json", "pip", "requests", "ruamel", "semver", "sitecustomize", "yaml")
    for name in (*modules, "gitops_promote"):
        (runner.app / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    (runner.app / "pip.conf").write_text("[global]\nno-index = true\n")
    here = str(runner.app)

    job = runner.run(
        {
            "PYTHONPATH": here,
            "PYTHONHOME": here,
            "PYTHONSTARTUP": f"{here}/json.py",
            "PIP_CONFIG_FILE": f"{here}/pip.conf",
            "PIP_NO_BINARY": ":all:",
            "PIP_NO_INDEX": "1",
            "PIP_REQUIRE_VIRTUALENV": "1",
            "PIP_TARGET": here,
            "PIP_USER": "1",
        },
        images="ghcr.io/acme/shop:1.1.0",
        target="apps/shop/overlays/dev",
    )

    assert "shadowed" not in job.log
    assert job.status == 0, job.log
    assert job.outputs["changed"] == "true"
    assert not list(runner.app.glob("*.dist-info"))


def test_a_refused_promotion_fails_the_step_with_one_sentence(runner: Runner) -> None:
    start = runner.head()

    job = runner.run(images="ghcr.io/acme/shop:1.1.0", target="apps/nowhere/overlays/dev")

    assert job.status != 0
    (annotation,) = [line for line in job.log.splitlines() if "::error" in line or "❗" in line]
    assert "apps/nowhere/overlays/dev" in annotation
    assert "Traceback" not in job.log
    assert job.outputs == {}
    assert runner.head() == start


def test_the_token_is_in_no_log(runner: Runner) -> None:
    job = runner.run(
        {"ACTIONS_STEP_DEBUG": "true", "RUNNER_DEBUG": "1"},
        images="ghcr.io/acme/shop:1.1.0",
        target="apps/shop/overlays/dev",
        token="made-up-deploy-token",
    )

    assert job.status == 0, job.log
    assert "made-up" not in job.log
    assert PREFIX + "TOKEN" not in job.log
    assert "made-up" not in runner.git("log", "--all", "--format=%B", cwd=runner.config)
