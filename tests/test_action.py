"""The action for real: `uses:` in a workflow that nektos/act runs on the host, with real git."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

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
DESCRIPTION = {"description": "A shop, in one line", "license": {"spdx_id": "Apache-2.0"}}
TAG_OUTPUTS = {"version", "tags", "tag-names", "labels", "annotations", "json"}
PROMOTION = "OWNER/gitops-promote@v1"
TAGS = "OWNER/gitops-promote/tags@v1"
# With a comment, quotes around a comma, a doubled quote, and expressions of all kinds.
RULES = r"""
# What is deployed comes first.
type=semver,pattern={{version}}
type=semver,pattern={{major}}.{{minor}}
type=match,"pattern=v(\d{1,3})\.",group=1
type=ref,event=branch
type=raw,value=built-{{commit_date 'YYYYMMDD-HHmmss' tz='UTC'}}
"type=raw,value=run-{{run_number}},enable={{is_default_branch}}"
type=sha
"""
JOB_TOKEN = "made-up-job-token"
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
    def annotations(self) -> list[str]:
        """The lines of the log that are errors on the run's page."""
        return [line for line in self.log.splitlines() if "::error" in line or "❗" in line]


class Runner:
    """An app's repository, whose workflow uses the action, and a bare config repository."""

    def __init__(self, folder: Path, act: str, action: Path) -> None:
        self.act = act
        self.action = action
        self.home = folder / "home"
        self.app = folder / "app"
        self.steps = folder / "steps.json"
        self.event = folder / "event.json"
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
        look = {
            "if": "always()",
            "env": {"STEPS": "${{ toJSON(steps) }}", "FILE": str(self.steps)},
            "run": 'printf %s "$STEPS" > "$FILE"',
        }
        job = {"runs-on": "ubuntu-latest", "env": dict(env or {}), "steps": [*calls, look]}
        # Any JSON is YAML.
        workflow = json.dumps({"on": "push", "jobs": {"job": job}})
        (self.app / ".github" / "workflows" / "ci.yml").write_text(workflow)
        self._commit(self.app)
        commit, date = self.git("log", "-1", "--format=%H %cI", cwd=self.app).split()
        event = {
            "repository": {"default_branch": "main", **DESCRIPTION},
            "head_commit": {"id": commit, "timestamp": date},
            "ref": f"refs/tags/{tag}" if tag else "refs/heads/main",
        }
        self.event.write_text(json.dumps(event))
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
            f"--eventpath={self.event}",
            f"--local-repository={PROMOTION}={self.action}",
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
        steps = json.loads(self.steps.read_text()) if self.steps.exists() else {}
        return Job(done.returncode, done.stdout, steps)

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
    for name in ("action", "src", "tags"):
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
    (annotation,) = job.annotations
    assert "apps/nowhere/overlays/dev" in annotation
    assert "Traceback" not in job.log
    assert not any(job.outputs.values())
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


def test_a_release_is_built_and_promoted_by_the_same_tag(runner: Runner) -> None:
    by_tags, by_rules = runner.another_config("by-tags.git"), runner.another_config("by-rules.git")
    pasted = "${{ steps.tags.outputs.json }}"
    targets = "apps/shop/overlays/dev\ncharts/web/values-dev.yaml"
    shop = {"images": "ghcr.io/acme/shop", "target": "apps/shop/overlays/dev"}

    job = runner.run_steps(
        {
            "tags": (TAGS, {"images": "ghcr.io/acme/shop\nghcr.io/Acme/Web", "tags": RULES}),
            "promote": (
                PROMOTION,
                {"config_repository": str(runner.config), "images": pasted, "target": targets},
            ),
            "by-tags": (PROMOTION, {"config_repository": str(by_tags), "tags": pasted, **shop}),
            "by-rules": (PROMOTION, {"config_repository": str(by_rules), "tags": RULES, **shop}),
        },
        tag="v1.2.3",
    )

    assert job.status == 0, job.log
    commit, seconds = runner.git("log", "-1", "--format=%H %ct", cwd=runner.app).split()
    built = datetime.fromtimestamp(int(seconds), timezone.utc).strftime("built-%Y%m%d-%H%M%S")
    names = ["1.2.3", "1.2", "1", built, f"sha-{commit[:7]}", "latest"]
    outputs = job.outputs_of("tags")
    assert set(outputs) == TAG_OUTPUTS
    assert outputs["version"] == "1.2.3"
    assert outputs["tag-names"].split("\n") == names
    images = ("ghcr.io/acme/shop", "ghcr.io/acme/web")
    tags = [f"{image}:{name}" for image in images for name in names]
    assert outputs["tags"].split("\n") == tags
    labels = dict(line.split("=", 1) for line in outputs["labels"].split("\n"))
    created = labels.pop("org.opencontainers.image.created")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created)
    assert labels == {
        "org.opencontainers.image.description": "A shop, in one line",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.source": "https://github.com/acme/shop",
        "org.opencontainers.image.title": "shop",
        "org.opencontainers.image.url": "https://github.com/acme/shop",
        "org.opencontainers.image.version": "1.2.3",
    }
    lines = outputs["labels"].split("\n")
    assert outputs["annotations"].split("\n") == [f"manifest:{line}" for line in lines]
    assert json.loads(outputs["json"]) == {
        "tags": tags,
        "tag-names": names,
        "labels": dict(line.split("=", 1) for line in lines),
        "annotations": [f"manifest:{line}" for line in lines],
    }

    path = "apps/shop/overlays/dev/kustomization.yaml"
    for config in (runner.config, by_tags, by_rules):
        assert runner.read(path, config) == OVERLAY.replace("1.0.0", "1.2.3")
    assert runner.read("charts/web/values-dev.yaml") == VALUES.replace("1.0.0", "1.2.3")
    for step in ("promote", "by-tags", "by-rules"):
        assert job.outputs_of(step)["version"] == "1.2.3"
    installed = re.findall(r"Installed (\d+) packages", job.log)
    assert len(installed) == 4
    assert int(installed[0]) < 4 < int(installed[1])


def test_a_monorepo_s_tag_and_what_is_refused(runner: Runner) -> None:
    mutable = runner.another_config("mutable.git")
    latest = {"images": "ghcr.io/acme/shop:latest", "target": "apps/shop/overlays/dev"}
    shop = {"images": "ghcr.io/acme/shop", "target": "apps/{app}/overlays/dev", "app": "shop"}
    malformed = "type=sha\ntype=semver,patern={{version}}"

    job = runner.run_steps(
        {
            "malformed": (TAGS, {"images": "ghcr.io/acme/shop", "tags": malformed}),
            "refused": (PROMOTION, {"config_repository": str(runner.config), **latest}),
            "allowed": (
                PROMOTION,
                {"config_repository": str(mutable), "allow_mutable_tag": "true", **latest},
            ),
            "tags": (TAGS, {"app": "shop"}),
            "promote": (PROMOTION, {"config_repository": str(runner.config), **shop}),
        },
        may_fail=("malformed", "refused"),
        tag="shop/v2.0.0",
    )

    assert job.status == 0, job.log
    about_rule, about_latest = job.annotations
    assert job.outcome("malformed") == job.outcome("refused") == "failure"
    assert not any(job.outputs_of("malformed").values())
    assert not any(job.outputs_of("refused").values())
    assert "line 2: `type=semver,patern={{version}}`" in about_rule
    assert "ghcr.io/acme/shop:latest" in about_latest
    assert "Traceback" not in job.log

    path = "apps/shop/overlays/dev/kustomization.yaml"
    assert runner.read(path, mutable) == OVERLAY.replace('"1.0.0"', '"latest"')
    assert job.outputs_of("tags")["version"] == job.outputs["version"] == "2.0.0"
    assert job.outputs_of("tags")["tags"] == job.outputs_of("tags")["tag-names"]
    assert runner.read(path) == OVERLAY.replace("1.0.0", "2.0.0")
    # One commit at the start, and one of the last promotion.
    assert runner.git("rev-list", "--count", "main", cwd=runner.config).strip() == "2"
