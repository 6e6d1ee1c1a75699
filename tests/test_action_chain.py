"""The action for real, through all environments: a workflow of an app and the policy, under act."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from github_double import GitHub, PullRequest
from github_double.state import Access
from gitops_promote.__main__ import main
from runner import FILES, OVERLAY, PROMOTION, Job, Runner
from servers import file_of, git, head_of

DEPLOY, SHOP = "acme/deploy", "acme/shop"
IMAGE = "ghcr.io/acme/shop"
BRANCH = "gitops-promote/prod/shop"
POLICY = """\
version: 1
environments:
  dev: {mode: push}
  test: {mode: push, after: dev}
  prod:
    mode: pull-request
    after: test
    allow-override: true
    reviewers: [hubot]
    labels: [production]
    gates: ["Scan=https://scan.example.com"]
apps:
  shop:
    images: [ghcr.io/acme/shop]
    targets: ["apps/shop/overlays/{environment}"]
    source-repository: acme/shop
"""
READ: Mapping[str, Access] = {"contents": "read", "pull_requests": "read"}
WRITE: Mapping[str, Access] = {"contents": "write", "pull_requests": "write", "issues": "write"}
NAMES = ("dev", "test", "prod")


def overlay(environment: str) -> str:
    """The file that says what an environment runs."""
    return f"apps/shop/overlays/{environment}/kustomization.yaml"


def inputs(environment: str, **more: str) -> dict[str, str]:
    """What a step says of an environment, with `_` for `-`."""
    usual = {
        "config_repository": DEPLOY,
        "app": "shop",
        "environment": environment,
        "token": "${{ secrets.DEPLOY_TOKEN }}",
    }
    return {**usual, **more}


def promoting(environment: str, before: str = "") -> dict[str, Any]:
    """A job that promotes to an environment, by its outputs says what it did, and hands that on.

    `before` is the environment whose version it takes, and the job that it waits for.
    """
    more = {"promote_from": before} if before else {}
    given = {name.replace("_", "-"): text for name, text in inputs(environment, **more).items()}
    outputs = f"steps.{environment}.outputs"
    values = {
        "VERSION": f"{outputs}.version",
        "CHANGED": f"{outputs}.changed",
        "PULL": f"{outputs}.pull-request-number || 'none'",
        "WHY": f"fromJSON({outputs}.json).reason || 'all is well'",
        "BEFORE": f"needs.{before}.outputs.version || 'the build'" if before else "'the build'",
    }
    say = {
        "env": {name: f"${{{{ {value} }}}}" for name, value in values.items()},
        "run": f'echo "{environment}: $VERSION after $BEFORE, $CHANGED, $PULL, $WHY"',
    }
    return {
        "outputs": {"version": f"${{{{ {outputs}.version }}}}"},
        "steps": [{"id": environment, "uses": PROMOTION, "with": given}, say],
        **({"needs": before} if before else {}),
    }


WORKFLOW = {
    "dev": promoting("dev"),
    "test": promoting("test", "dev"),
    "prod": promoting("prod", "test"),
}


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A package index with what the action installs alone, so that its many steps don't wait."""
    folder = tmp_path_factory.mktemp("index")
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    lock = ROOT / "action" / "requirements.txt"
    pip = [sys.executable, "-m", "pip", "download", *options]
    subprocess.run([*pip, "--dest", folder, "--requirement", lock], check=True)
    for wheel in folder.glob("*.whl"):
        name = wheel.name.partition("-")[0].lower().replace("_", "-").replace(".", "-")
        (folder / name).mkdir()
        page = f'<a href="../{wheel.name}">{wheel.name}</a>'
        (folder / name / "index.html").write_text(page)
    return folder.as_uri()


class Place:
    """A GitHub with an app and a config repository, and a runner for the app's workflow."""

    def __init__(self, github: GitHub, runner: Runner, index: str) -> None:
        self.github = github
        self.runner = runner
        files = {**FILES, ".gitops-promote.yaml": POLICY}
        files.update({overlay(name): OVERLAY for name in NAMES})
        contents = {name: content.encode() for name, content in files.items()}
        self.bare = github.add_repository(DEPLOY, contents)
        self.source = github.add_repository(SHOP, {})
        github.add_user("hubot", "Hubot")
        github.add_collaborator(DEPLOY, "hubot")
        self.token = github.add_token("octocat", {DEPLOY: WRITE, SHOP: READ})
        runner.secrets = {"DEPLOY_TOKEN": self.token}
        runner.server = {**github.environ, "PIP_INDEX_URL": index}
        runner.job_token = github.add_token("github-actions[bot]", {SHOP: READ})
        self.commit("v1.0.0")

    def commit(self, tag: str, workflow: Mapping[str, Mapping[str, Any]] = WORKFLOW) -> str:
        """Commit what the app is at a tag, with its workflow, and push it."""
        app = self.runner.app
        self.runner.write_workflow(workflow)
        (app / "shop.txt").write_text(f"{tag}\n")
        self.runner.commit(app)
        self.runner.git("tag", tag, cwd=app)
        git("--git-dir", self.source, "fetch", "--quiet", "--tags", app, "+main:main")
        return self.runner.git("rev-parse", "HEAD", cwd=app).strip()

    def release(self, tag: str, run_id: int = 1) -> Job:
        """Run the workflow as the push of a version tag does."""
        return self.runner.run_at(tag, f"refs/tags/{tag}", run_id)

    def bring(self, tag: str, run_id: int) -> None:
        """Bring a release everywhere as the workflow does, but without its runner."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.runner.home),
            **self.github.environ,
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": SHOP,
            "GITHUB_REF": f"refs/tags/{tag}",
            "GITHUB_SHA": self.runner.git("rev-parse", tag, cwd=self.runner.app).strip(),
            "GITHUB_RUN_ID": str(run_id),
            "GITOPS_PROMOTE_TOKEN": self.token,
        }
        for name, before in (("dev", ""), ("test", "dev"), ("prod", "test")):
            wanted = ["--app", "shop", "--environment", name, "--promote-from", before]
            assert main(["promote", "--config-repository", DEPLOY, *wanted], environ) == 0
        self.merge()

    def merge(self) -> PullRequest:
        """Merge the newest pull request, as it stands."""
        pull = self.github.pulls(DEPLOY)[-1]
        self.github.merge(DEPLOY, pull.number, "squash")
        return pull

    def subjects(self) -> list[str]:
        """What was committed to the config repository's branch, but for its start."""
        shown = git("--git-dir", self.bare, "log", "--reverse", "--format=%s", "main")
        return shown.decode().splitlines()[1:]

    def branches(self) -> list[str]:
        """The branches of the config repository."""
        shown = git("--git-dir", self.bare, "for-each-ref", "--format=%(refname:strip=2)")
        return shown.decode().split()

    def versions(self) -> list[str]:
        """What dev, test and prod run."""
        texts = (file_of(self.bare, overlay(name)).decode() for name in NAMES)
        return [text.partition('newTag: "')[2].partition('"')[0] for text in texts]


@pytest.fixture
def place(
    tmp_path: Path,
    tool: Callable[[str], str],
    action: Path,
    index: str,
    record_property: Callable[[str, object], None],
) -> Iterator[Place]:
    if os.name == "nt":
        pytest.skip("act runs no bash steps on a Windows host")
    with GitHub(tmp_path) as github:
        record_property("counts:checked by GitHub's own descriptions", github.checked)
        yield Place(github, Runner(tmp_path / "runner", tool("act"), action), index)


def said(job: Job, environment: str) -> str:
    """What a job said of its own outputs."""
    (line,) = re.findall(rf"\| {environment}: (.*)", job.log)
    return str(line)


def changed(job: Job) -> dict[str, str]:
    """Whether each step of the action changed something."""
    steps = ((step, job.outputs_of(step)) for step in job.steps)
    return {step: outputs["changed"] for step, outputs in steps if outputs}


def reason(job: Job, step: str) -> str:
    """Why a step changed nothing."""
    return str(json.loads(job.outputs_of(step)["json"])["reason"])


def test_a_release_goes_from_one_to_the_next_and_a_late_one_changes_nothing(place: Place) -> None:
    place.commit("v1.1.0")
    commit = place.commit("v1.2.0")

    release = place.release("v1.2.0", run_id=12)

    assert release.status == 0, release.log
    assert [release.outcome(name) for name in NAMES] == ["success"] * 3
    assert said(release, "dev") == "1.2.0 after the build, true, none, all is well"
    assert said(release, "test") == "1.2.0 after 1.2.0, true, none, all is well"
    assert said(release, "prod") == "1.2.0 after 1.2.0, true, 1, all is well"
    assert place.subjects() == ["Promote shop to 1.2.0 in dev", "Promote shop to 1.2.0 in test"]
    assert place.versions() == ["1.2.0", "1.2.0", "1.0.0"]
    (pull,) = place.github.pulls(DEPLOY)
    assert (pull.state, pull.head, pull.title) == ("open", BRANCH, "Promote shop to 1.2.0 in prod")
    assert (pull.labels, pull.reviewers) == (["production"], ["hubot"])
    assert "as it runs in **test**" in pull.body
    assert "- [ ] [Scan](https://scan.example.com)" in pull.body
    assert "· 2 commits ·" in pull.body
    message = git("--git-dir", place.bare, "log", "-1", "--format=%B", BRANCH).decode()
    assert "\nPromoted-From: test\n" in message
    assert f"\nSource-Commit: {place.github.url}/acme/shop/commit/{commit}\n" in message
    for name, summary in zip(NAMES, release.summaries, strict=True):
        assert summary.partition("\n")[0].endswith(f"Promote shop to 1.2.0 in {name}")

    place.merge()
    head = head_of(place.bare)
    late = place.release("v1.1.0", run_id=13)

    assert late.status == 0, late.log
    assert changed(late) == dict.fromkeys(NAMES, "false")
    older = "dev has `1.2.0`, and `1.1.0` is older by semantic versioning."
    assert reason(late, "dev").startswith(older)
    assert said(late, "dev").startswith(f"1.1.0 after the build, false, none, {older}")
    (notice,) = late.annotated("notice")
    assert older in notice
    assert len(late.summaries) == 3
    assert late.summaries[0].startswith(f"### Not promoted\n\n{older}")
    assert "prod already has ghcr.io/acme/shop:1.2.0." in late.summaries[2]
    assert place.versions() == ["1.2.0"] * 3
    assert head_of(place.bare) == head
    assert [pull.state for pull in place.github.pulls(DEPLOY)] == ["closed"]
    assert place.token not in release.log + late.log


def test_a_rollback_holds_until_a_newer_version_is_released(place: Place) -> None:
    place.commit("v1.2.0")
    place.commit("v1.2.1")
    place.bring("v1.2.0", run_id=12)
    before = place.versions()

    back = place.runner.run_steps(
        {name: (PROMOTION, inputs(name, rollback="true")) for name in ("dev", "prod")}
    )
    pull = place.merge()
    held_versions, head = place.versions(), head_of(place.bare)

    assert before == ["1.2.0"] * 3
    assert back.status == 0, back.log
    assert changed(back) == {"dev": "true", "prod": "true"}
    assert back.outputs_of("dev")["version"] == back.outputs_of("prod")["version"] == "1.0.0"
    assert back.outputs_of("dev")["pull-request-number"] == ""
    assert back.outputs_of("prod")["pull-request-number"] == "2"
    assert pull.title == "Roll back shop to 1.0.0 in prod"
    assert "#### What is undone\n\n- `1.2.0` of `ghcr.io/acme/shop`, built from [" in pull.body
    assert (pull.labels, pull.reviewers) == (["production"], ["hubot"])
    assert place.subjects()[-2:] == [
        "Roll back shop to 1.0.0 in dev",
        "Roll back shop to 1.0.0 in prod (#2)",
    ]
    assert held_versions == ["1.0.0", "1.2.0", "1.0.0"]

    again = place.release("v1.2.0", run_id=12)

    assert again.status == 0, again.log
    assert changed(again) == dict.fromkeys(NAMES, "false")
    for name in ("dev", "prod"):
        held = f"{name} was rolled back from `1.2.0` to `1.0.0`, and that is what this brings."
        assert reason(again, name).startswith(held)
    # What dev went back to is no newer version for test.
    assert reason(again, "test").startswith("test has `1.2.0`, and `1.0.0` is older")
    assert head_of(place.bare) == head

    newer = place.release("v1.2.1", run_id=14)
    place.merge()

    assert newer.status == 0, newer.log
    assert changed(newer) == dict.fromkeys(NAMES, "true")
    assert place.versions() == ["1.2.1"] * 3


def test_a_workflow_skips_no_environment_but_for_a_reason(place: Place) -> None:
    start = head_of(place.bare)
    place.commit("v1.2.0", {"dev": promoting("dev"), "prod": promoting("prod", "dev")})

    skip = place.release("v1.2.0")
    after = place.versions()
    pulls = place.github.pulls(DEPLOY)

    assert skip.status == 1
    assert (skip.outcome("dev"), skip.outcome("prod")) == ("success", "failure")
    assert not any(skip.outputs_of("prod").values())
    (error,) = skip.annotated("error")
    where, _, what = error.partition("title=GitOps Promote::")[2].partition(": ")
    assert where == ".gitops-promote.yaml:7:12"
    assert what == (
        "prod takes a version of `ghcr.io/acme/shop` only from test, which runs `1.0.0` and not "
        "`1.2.0`. Promote it to test first. To skip that, give the reason in `override`."
    )
    assert skip.summaries[-1].startswith(f"### Nothing was promoted\n\n`{where}`: prod takes")
    assert "Traceback" not in skip.log
    assert after == ["1.2.0", "1.0.0", "1.0.0"]
    assert git("--git-dir", place.bare, "rev-parse", "main~1").decode().strip() == start
    assert pulls == []
    assert place.branches() == ["main"]

    urgent = {"images": f"{IMAGE}:1.3.0", "override": "The shop is down, see INC-42"}
    steps = {
        "test": (PROMOTION, inputs("test", **urgent)),
        "push": (PROMOTION, inputs("prod", **urgent, promotion_mode="push")),
        "prod": (PROMOTION, inputs("prod", **urgent)),
    }
    override = place.runner.run_steps(steps, may_fail=("test", "push"))
    (pull,) = place.github.pulls(DEPLOY)

    assert override.status == 0, override.log
    assert [override.outcome(step) for step in steps] == ["failure", "failure", "success"]
    not_here, no_push = override.annotated("error")
    assert ".gitops-promote.yaml:4:29: test takes a version of `" in not_here
    assert "The policy doesn't let this be skipped" in not_here
    assert ".gitops-promote.yaml:6:11: prod takes pull requests alone" in no_push
    assert json.loads(override.outputs_of("prod")["json"])["override"] == urgent["override"]
    assert "**Order skipped:** The shop is down, see INC-42" in pull.body
    assert "**Order skipped:** The shop is down, see INC-42" in override.summaries[-1]
    message = git("--git-dir", place.bare, "log", "-1", "--format=%B", BRANCH).decode()
    assert "\nPromotion-Override: The shop is down, see INC-42\n" in message
    assert place.versions() == after


def test_a_late_build_of_an_older_commit_changes_nothing(place: Place) -> None:
    workflow = {"dev": promoting("dev")}
    older, newer = place.commit("one", workflow), place.commit("two", workflow)

    first = place.runner.run_at(newer, "refs/heads/main", run_id=20)
    head = head_of(place.bare)
    # It was started again, so its run is the newer one.
    late = place.runner.run_at(older, "refs/heads/main", run_id=21)

    assert first.status == late.status == 0, first.log + late.log
    assert (changed(first), changed(late)) == ({"dev": "true"}, {"dev": "false"})
    version, old = f"{newer[:12]}-20", f"{older[:12]}-21"
    why = f"dev has `{version}`, and `{old}` is older by the commits that they were built from."
    assert reason(late, "dev").startswith(why)
    assert json.loads(late.outputs_of("dev")["images"]) == {IMAGE: f"{IMAGE}:{version}"}
    assert head_of(place.bare) == head
