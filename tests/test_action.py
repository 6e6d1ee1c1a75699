"""The action for real: `uses:` in a workflow that nektos/act runs on the host, with real git."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from gitops_promote.inputs import PREFIX
from runner import OUTPUTS, OVERLAY, PROMOTION, TAGS, VALUES, Runner

TAG_OUTPUTS = {"version", "tags", "tag-names", "labels", "annotations", "json"}
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
