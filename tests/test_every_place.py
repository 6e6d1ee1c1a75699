"""An image in each place that a config repository keeps one in, by the whole program and git."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calls import PERSON, SHOP, Calls, Done
from github_double import GitHub
from hub import Hub
from memory import deployment
from runner import Runner
from servers import commit_files, git, make_bare

OVERLAY = f"""\
resources: [../../base]
images:
- name: {SHOP}
  newTag: 1.0.0 # set by CI
"""
PATCHED = f"""\
resources: [../../base]
patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {{name: shop}}
    spec:
      template:
        spec:
          containers:
          - name: c0
            image: {SHOP}:1.0.0 # canary
"""
VALUES = f"web:\n  image: {{repository: {SHOP}, tag: '1.0.0'}}\n"
APPLICATION = f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: shop}}
spec:
  source:
    repoURL: https://git.example.com/acme/app
    path: deploy
    kustomize:
      images:
      - {SHOP}:1.0.0   # set by CI
"""
APPLICATION_VALUES = f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: shop}}
spec:
  sources:
  - repoURL: https://git.example.com/acme/app
    path: chart
    helm:
      values: |
        # of the chart
        image:
          repository: {SHOP}
          tag: "1.0.0" # set by CI
"""
RELEASE = f"""\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {{name: shop}}
spec:
  values:
    image:
      repository: {SHOP}
      tag: 1.0.0
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: worker}}
spec:
  images:
  - name: {SHOP}
    newTag: 1.0.0
"""
MARKED = f"""\
apiVersion: tekton.dev/v1
kind: Task
metadata: {{name: smoke}}
spec:
  steps:
  - name: smoke
    image: {SHOP}:1.0.0 # {{"$imagepolicy": "flux-system:shop"}}
"""
SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: versions}
data:
  SHOP_VERSION: 1.0.0
"""
CHART = "apiVersion: v2\nname: shop\nversion: 0.3.1\nappVersion: 1.0.0\n"
HELMFILE = f"""\
releases:
- name: shop
  chart: ./charts/shop
  values:
  - image:
      repository: {SHOP}
      tag: 1.0.0
"""

FILES = {
    "base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "base/deployment.yaml": deployment(SHOP),
    "apps/overlay/dev/kustomization.yaml": OVERLAY.replace("../../base", "../../../base"),
    "apps/patched/dev/kustomization.yaml": PATCHED.replace("../../base", "../../../base"),
    "apps/values/dev.yaml": VALUES,
    "apps/argocd/dev.yaml": APPLICATION,
    "apps/argocd/dev-chart.yaml": APPLICATION_VALUES,
    "apps/flux/dev.yaml": RELEASE,
    "apps/flux/dev-task.yaml": MARKED,
    "apps/raw/dev.yaml": deployment(f"{SHOP}:1.0.0"),
    "apps/raw/dev-settings.yaml": SETTINGS,
    "apps/chart/Chart.yaml": CHART,
    "apps/helmfile/helmfile.yaml": HELMFILE,
    "apps/updater/kustomization.yaml": "resources: [../../base]\n",
}
TARGETS = """\
apps/overlay/{environment}
apps/patched/{environment}
apps/values/{environment}.yaml
apps/argocd/{environment}*.yaml
apps/flux/{environment}*.yaml
apps/raw/{environment}.yaml
apps/raw/{environment}-settings.yaml#data.SHOP_VERSION
apps/chart
apps/helmfile
apps/updater/.argocd-source-shop.yaml
"""
CREATED = "apps/updater/.argocd-source-shop.yaml"


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    (tmp_path / "calls").mkdir()
    made = Calls(tmp_path / "calls")
    made.bare = make_bare(
        tmp_path / "acme" / "places.git", {path: text.encode() for path, text in FILES.items()}
    )
    return made


@pytest.fixture
def runner(tmp_path: Path, tool: Callable[[str], str], action: Path) -> Runner:
    if os.name == "nt":
        pytest.skip("act runs no bash steps on a Windows host")
    (tmp_path / "runner").mkdir()
    return Runner(tmp_path / "runner", tool("act"), action)


def promote(calls: Calls, version: str, *arguments: str) -> Done:
    return calls.run(
        *("--images", f"{SHOP}:{version}", "--environment", "dev", "--target", TARGETS),
        *(*PERSON, "--chart-bump", "minor", "--format", "json", *arguments),
    )


def files_of(calls: Calls) -> dict[str, str]:
    names = git("--git-dir", calls.bare, "ls-tree", "-r", "--name-only", "main").decode().split()
    return {name: git("--git-dir", calls.bare, "show", f"main:{name}").decode() for name in names}


def expected(version: str) -> dict[str, str]:
    made = {
        path: text if path.startswith("base/") else text.replace("1.0.0", version)
        for path, text in FILES.items()
    }
    made["apps/chart/Chart.yaml"] = made["apps/chart/Chart.yaml"].replace("0.3.1", "0.4.0")
    made[CREATED] = f"kustomize:\n  images:\n  - {SHOP}:{version}\n"
    return made


def test_every_place_in_one_commit(calls: Calls) -> None:
    done = promote(calls, "1.1.0")

    assert done.status == 0, done.err
    assert files_of(calls) == expected("1.1.0")
    assert calls.log("%s") == f"Promote {SHOP.rpartition('/')[2]} to 1.1.0 in dev"
    assert len(done.json["changed-files"]) == 12


def test_the_same_again_changes_nothing(calls: Calls) -> None:
    assert promote(calls, "1.1.0").status == 0

    done = promote(calls, "1.1.0")

    assert done.status == 0, done.err
    assert done.json["changed"] is False
    assert files_of(calls) == expected("1.1.0")


def test_nothing_older_comes_over_something_newer(calls: Calls) -> None:
    assert promote(calls, "1.2.0").status == 0

    done = promote(calls, "1.1.0")

    assert done.status == 0, done.err
    assert done.json["changed"] is False
    assert "is older by semantic versioning" in done.json["reason"]
    assert files_of(calls) == expected("1.2.0")


def test_what_runs_is_copied_from_every_place(calls: Calls) -> None:
    test = {path.replace("dev", "test"): text for path, text in FILES.items() if "dev" in path}
    calls.bare = make_bare(
        calls.folder / "acme" / "both.git",
        {path: text.encode() for path, text in {**FILES, **test}.items()},
    )
    lines = "\n".join(line for line in TARGETS.splitlines() if "{environment}" in line)
    usual = (*PERSON, "--target", lines, "--format", "json")
    assert calls.run("--images", f"{SHOP}:1.1.0", "--environment", "dev", *usual).status == 0

    done = calls.run("--images", SHOP, "--environment", "test", "--promote-from", "dev", *usual)

    assert done.status == 0, done.err
    after = files_of(calls)
    for path in test:
        assert after[path] == FILES[path.replace("test", "dev")].replace("1.0.0", "1.1.0")


def test_every_place_by_the_action(runner: Runner, calls: Calls) -> None:
    job = runner.run(
        config_repository=str(calls.bare),
        environment="dev",
        images=f"{SHOP}:1.1.0",
        target=TARGETS,
        chart_bump="minor",
    )

    assert job.status == 0, job.log
    assert files_of(calls) == expected("1.1.0")


@pytest.fixture
def hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Hub]:
    (tmp_path / "hub").mkdir()
    with GitHub(tmp_path / "hub") as github:
        hub = Hub(github, tmp_path / "hub", capsys)
        commit_files(hub.bare, {path: text.encode() for path, text in FILES.items()})
        yield hub


@pytest.mark.skipif(os.name == "nt", reason="the test servers are for POSIX")
@pytest.mark.parametrize("mode", ["push", "pull-request"])
def test_every_place_through_the_api(hub: Hub, mode: str) -> None:
    request = ("--images", f"{SHOP}:1.1.0", "--environment", "dev", "--target", TARGETS)

    done = hub.run(
        "promote",
        *request,
        "--chart-bump",
        "minor",
        "--promotion-mode",
        mode,
        "--commit-via",
        "api",
    )

    branch = "main" if mode == "push" else done["pull-request-branch"]
    for path, text in expected("1.1.0").items():
        assert git("--git-dir", hub.bare, "show", f"{branch}:{path}").decode() == text
