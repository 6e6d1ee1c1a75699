"""Environments in order: what each takes from the one before, what is stale, and going back."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, final

import pytest

from calls import JOB, PERSON
from gitops_promote.__main__ import main
from gitops_promote.effects.git.past import History
from gitops_promote.effects.git.repository import GitRepository
from memory import SHOP, deployment, overlay
from servers import commit_files, file_of, git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from _pytest.capture import CaptureFixture

    from gitops_promote.effects.config_repository import Head, NewCommit

POLICY = """\
version: 1
environments:
  dev: {mode: push}
  test: {mode: push, after: dev}
  prod:
    mode: push
    after: {environment: test, soak: 24h}
    allow-override: true
  strict: {after: test}
apps:
  shop:
    images: [ghcr.io/acme/shop]
    targets: ["apps/shop/overlays/{environment}"]
    source-repository: acme/shop
"""
HOUR = 3600


def kustomization(environment: str) -> str:
    """Where an environment's version is."""
    return f"apps/shop/overlays/{environment}/kustomization.yaml"


@final
class Place:
    """A config repository and jobs that promote to it, each run with a higher number."""

    def __init__(self, folder: Path, capsys: CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.folder = folder
        files = {
            ".gitops-promote.yaml": POLICY,
            "apps/shop/base/kustomization.yaml": "resources:\n  - deployment.yaml\n",
            "apps/shop/base/deployment.yaml": deployment(f"{SHOP}:0.0.0"),
        }
        for name in ("dev", "test", "prod", "strict"):
            files[kustomization(name)] = overlay(f"{SHOP}:1.0.0")
        self.bare = make_bare(folder / "deploy.git", {p: t.encode() for p, t in files.items()})
        self.run_id = 100
        self.last = ""

    def call(self, command: str, *arguments: str, **environ: str) -> dict[str, Any]:
        """Call the program; the answer has the status as `status`, and an error as `error`."""
        self.run_id += 1
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            **JOB,
            "GITHUB_RUN_ID": str(self.run_id),
            **environ,
        }
        where = ("--config-repository", str(self.bare), *PERSON, "--format", "json")
        self.capsys.readouterr()
        status = main([command, *where, *arguments], environment)
        out, err = self.capsys.readouterr()
        self.last = out + err
        answer: dict[str, Any] = json.loads(out) if status == 0 else {"error": err + out}
        return {**answer, "status": status}

    def promote(
        self, environment: str, version: str, *arguments: str, **environ: str
    ) -> dict[str, Any]:
        """Promote a version of the shop."""
        image = f"{SHOP}:{version}" if version else SHOP
        given = ("--app", "shop", "--environment", environment, "--images", image)
        return self.call("promote", *given, *arguments, **environ)

    def rollback(self, environment: str, *arguments: str, **environ: str) -> dict[str, Any]:
        """Roll the shop back."""
        return self.call(
            "rollback", "--app", "shop", "--environment", environment, *arguments, **environ
        )

    def version(self, environment: str) -> str:
        """What an environment runs."""
        text = file_of(self.bare, kustomization(environment)).decode()
        tag = re.search(r'newTag: "?([^"\n]*)', text)
        digest = re.search(r'digest: "?([^"\n]*)', text)
        return "@".join(found[1] for found in (tag, digest) if found)

    def message(self) -> str:
        """The newest commit's message."""
        return git("--git-dir", self.bare, "log", "-1", "--format=%B", "main").decode()

    def policy(self, old: str, new: str) -> None:
        """Change the policy."""
        text = file_of(self.bare, ".gitops-promote.yaml").decode()
        assert old in text
        commit_files(self.bare, {".gitops-promote.yaml": text.replace(old, new).encode()})

    def pass_time(self, seconds: int) -> None:
        """Make all of the history so much older."""
        history = git("--git-dir", self.bare, "fast-export", "--all")

        def earlier(line: re.Match[bytes]) -> bytes:
            return line[1] + str(int(line[2]) - seconds).encode()

        older = re.sub(rb"(?m)^((?:author|committer) .*> )(\d+)", earlier, history)
        git("--git-dir", self.bare, "fast-import", "--quiet", "--force", data=older)


@pytest.fixture
def place(tmp_path: Path, capsys: CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, capsys)


def test_in_order_and_late_enough_a_version_gets_everywhere(place: Place) -> None:
    assert place.promote("dev", "1.1.0")["changed"]
    assert place.promote("test", "1.1.0")["changed"]
    place.pass_time(24 * HOUR)
    assert place.promote("prod", "1.1.0")["changed"]

    assert [place.version(name) for name in ("dev", "test", "prod")] == ["1.1.0"] * 3


def test_an_environment_can_t_be_skipped(place: Place) -> None:
    place.promote("dev", "1.1.0")
    before = head_of(place.bare)
    done = place.promote("prod", "1.1.0")

    assert done["status"] == 1
    assert ".gitops-promote.yaml:7:12: prod takes a version of `ghcr.io/acme/shop`" in done["error"]
    assert "only from test, which runs `1.0.0` and not `1.1.0`." in done["error"]
    assert "Promote it to test first. To skip that, give the reason in `override`" in done["error"]
    assert head_of(place.bare) == before


def test_a_soak_that_is_too_short(place: Place) -> None:
    place.promote("dev", "1.1.0")
    place.promote("test", "1.1.0")
    place.pass_time(23 * HOUR + 1800)
    done = place.promote("prod", "1.1.0")

    assert done["status"] == 1
    assert re.search(r"test runs `1.1.0` for 23 h 30 min only, since \d{4}-", done["error"])
    assert "prod asks for 1 d" in done["error"]
    assert "Run this again after " in done["error"]
    assert place.version("prod") == "1.0.0"


def test_a_soak_begins_anew_where_the_version_came_back(place: Place) -> None:
    place.promote("dev", "1.1.0")
    place.promote("test", "1.1.0")
    place.pass_time(30 * HOUR)
    place.promote("dev", "1.2.0")
    place.promote("test", "1.2.0")
    place.pass_time(2 * HOUR)
    place.rollback("test")
    done = place.promote("prod", "1.1.0")

    assert place.version("test") == "1.1.0"
    assert done["status"] == 1
    assert "test runs `1.1.0` for " in done["error"]


def test_what_else_changes_in_a_file_doesn_t_end_a_soak(place: Place) -> None:
    place.promote("dev", "1.1.0")
    place.promote("test", "1.1.0")
    place.pass_time(25 * HOUR)
    path = kustomization("test")
    commit_files(place.bare, {path: b"# tidied\n" + file_of(place.bare, path)})

    assert place.promote("prod", "1.1.0")["changed"]


def test_an_override_skips_the_order_and_is_written_down(place: Place) -> None:
    done = place.promote("prod", "1.1.0", "--override", "the shop is\ndown: INC-42")

    assert done["changed"]
    assert done["override"] == "the shop is down: INC-42"
    assert "\nPromotion-Override: the shop is down: INC-42\n" in place.message()


def test_an_override_where_none_is_allowed(place: Place) -> None:
    done = place.promote("strict", "1.1.0", "--override", "in a hurry")

    assert done["status"] == 1
    assert "The policy doesn't let this be skipped" in done["error"]


def test_an_override_that_isn_t_needed_is_not_written_down(place: Place) -> None:
    done = place.promote("dev", "1.1.0", "--override", "in a hurry")

    assert done["changed"]
    assert "Override" not in place.message()


def test_promote_from_copies_what_the_other_environment_runs(place: Place) -> None:
    digest = f"sha256:{'a' * 64}"
    place.promote("dev", f"1.1.0@{digest}", GITHUB_SHA="b" * 40)
    given = ("--app", "shop", "--environment", "test", "--promote-from", "dev")
    done = place.call("promote", *given, GITHUB_SHA="c" * 40)

    assert done["changed"]
    assert place.version("test") == f"1.1.0@{digest}"
    message = place.message()
    assert "\nPromoted-From: dev\n" in message
    # Where it was built, not where it was copied.
    assert f"\nSource-Commit: https://github.com/acme/shop/commit/{'b' * 40}\n" in message
    assert "\nSource-Run: https://github.com/acme/shop/actions/runs/101\n" in message
    assert "\nPromotion-Run: https://github.com/acme/shop/actions/runs/102\n" in message


def test_promote_from_an_environment_of_another_kind(place: Place) -> None:
    """A chart's values run what an overlay runs, and the other way round."""
    values = f"image:\n  repository: {SHOP}\n  tag: '0.1.0' # set by the release\n".encode()
    commit_files(place.bare, {"charts/prod.yaml": values})
    place.policy(
        "source-repository: acme/shop\n",
        "environments: {prod: {after: {environment: test}, targets: charts/prod.yaml}}\n",
    )
    given = ("--app", "shop", "--environment", "prod", "--promote-from", "test")
    done = place.call("promote", *given)

    assert done["changed"]
    shown = file_of(place.bare, "charts/prod.yaml").decode()
    assert shown == f"image:\n  repository: {SHOP}\n  tag: '1.0.0' # set by the release\n"


def test_promote_from_copies_all_images_without_a_policy(place: Place) -> None:
    git("--git-dir", place.bare, "update-ref", "-d", "refs/heads/other")
    both = overlay(f"{SHOP}:2.0.0", "ghcr.io/acme/worker:3.0.0").encode()
    commit_files(place.bare, {kustomization("test"): both})
    commit_files(place.bare, {kustomization("prod"): overlay(f"{SHOP}:1.0.0").encode()})
    place.policy(POLICY, "version: 1\nenvironments: {test: , prod: }\n")
    given = ("--environment", "prod", "--promote-from", "test")
    done = place.call("promote", *given, "--target", "apps/shop/overlays/{environment}")

    assert done["changed"]
    assert file_of(place.bare, kustomization("prod")) == both


def test_promote_from_an_environment_that_runs_several_versions(place: Place) -> None:
    place.policy('["apps/shop/overlays/{environment}"]', '["clusters/*/{environment}"]')
    for cluster, version in (("eu", "1.1.0"), ("us", "1.2.0")):
        for name in ("dev", "test"):
            path = f"clusters/{cluster}/{name}/kustomization.yaml"
            commit_files(place.bare, {path: overlay(f"{SHOP}:{version}").encode()})
    given = ("--app", "shop", "--environment", "test", "--promote-from", "dev")
    done = place.call("promote", *given)

    assert done["status"] == 1
    assert "In dev there are several versions of `ghcr.io/acme/shop`" in done["error"]
    assert "`1.2.0` at clusters/us/dev/kustomization.yaml:5" in done["error"]


def test_a_late_older_run_changes_nothing(place: Place) -> None:
    place.promote("dev", "1.2.0")
    before = head_of(place.bare)
    done = place.promote("dev", "1.1.0")

    assert (done["status"], done["changed"]) == (0, False)
    assert done["reason"] == (
        "dev has `1.2.0`, and `1.1.0` is older by semantic versioning. To go back, roll back; or "
        "set `allow-downgrade`."
    )
    assert done["images"] == {SHOP: f"{SHOP}:1.2.0"}
    assert (done["changed-files"], done["diff"]) == ([], "")
    assert head_of(place.bare) == before


def test_a_downgrade_that_is_allowed(place: Place) -> None:
    place.promote("dev", "1.2.0")
    done = place.promote("dev", "1.1.0", "--allow-downgrade")

    assert done["changed"]
    assert place.version("dev") == "1.1.0"
    assert done["warnings"] == ["This goes back to an older version: `1.1.0` after `1.2.0`."]


def test_of_tags_without_a_version_the_run_decides(place: Place) -> None:
    place.promote("dev", "build-b", GITHUB_RUN_ID="500")
    late = place.promote("dev", "build-a", GITHUB_RUN_ID="400")
    newer = place.promote("dev", "build-c", GITHUB_RUN_ID="600")

    assert not late["changed"]
    assert "`build-a` is older by the runs that built them" in late["reason"]
    assert newer["changed"]
    assert newer["warnings"] == []


def test_of_tags_without_a_version_the_commits_decide(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    git("init", "--quiet", source)
    git("-C", source, "remote", "add", "origin", "https://github.com/acme/shop")
    commits = []
    for number in range(3):
        git("-C", source, "commit", "--quiet", "--allow-empty", "-m", f"{number}")
        commits.append(git("-C", source, "rev-parse", "HEAD").decode().strip())
    workspace = {"GITHUB_WORKSPACE": str(source)}
    place.promote("dev", "build-b", GITHUB_SHA=commits[1], GITHUB_RUN_ID="500", **workspace)
    # It began later, as one that is run again does, and is of an older commit.
    late = place.promote("dev", "x", GITHUB_SHA=commits[0], GITHUB_RUN_ID="600", **workspace)
    newer = place.promote("dev", "y", GITHUB_SHA=commits[2], GITHUB_RUN_ID="400", **workspace)

    assert "`x` is older by the commits that they were built from" in late["reason"]
    assert newer["changed"]


def test_what_nobody_can_compare_is_promoted_and_said(place: Place) -> None:
    done = place.promote("dev", "blue")

    assert done["changed"]
    assert done["warnings"] == [
        "Nothing tells whether `blue` is newer than `1.0.0`; it is taken to be."
    ]


def test_one_older_version_stops_a_call_for_several_environments(place: Place) -> None:
    place.promote("dev", "1.1.0")
    place.promote("test", "1.1.0")
    place.promote("dev", "1.2.0")
    # Of test it is the newer, of dev the older one.
    place.policy("after: dev", "")
    done = place.promote("dev\ntest", "1.1.5")

    assert not done["changed"]
    assert [place.version(name) for name in ("dev", "test")] == ["1.2.0", "1.1.0"]


def test_several_environments_are_one_commit(place: Place) -> None:
    place.policy("after: dev", "")
    before = head_of(place.bare)
    done = place.promote("dev\ntest", "1.1.0")

    count = git("--git-dir", place.bare, "rev-list", "--count", f"{before}..main")
    assert (done["changed"], count.strip()) == (True, b"1")
    assert "\nPromoted-Environment: dev\nPromoted-Environment: test\n" in place.message()


def test_a_rollback_goes_back_to_what_ran_before(place: Place) -> None:
    place.promote("dev", "1.1.0", GITHUB_SHA="a" * 40)
    place.promote("dev", "1.2.0", GITHUB_SHA="b" * 40)
    done = place.rollback("dev")

    assert done["changed"]
    assert place.version("dev") == "1.1.0"
    assert place.message() == (
        "Roll back shop to 1.1.0 in dev\n\n"
        "Promoted-Image: ghcr.io/acme/shop 1.2.0 -> 1.1.0\n"
        "Promoted-App: shop\n"
        "Promoted-Environment: dev\n"
        "Rolled-Back-From: ghcr.io/acme/shop 1.2.0 "
        f"https://github.com/acme/shop/commit/{'b' * 40} "
        "https://github.com/acme/shop/actions/runs/102\n"
        f"Source-Commit: https://github.com/acme/shop/commit/{'a' * 40}\n"
        "Source-Run: https://github.com/acme/shop/actions/runs/101\n"
        "Promotion-Run: https://github.com/acme/shop/actions/runs/103\n\n"
    )


def test_a_rollback_holds_until_something_newer_comes(place: Place) -> None:
    place.promote("dev", "1.1.0")
    place.promote("dev", "1.2.0")
    place.rollback("dev")
    again = place.promote("dev", "1.2.0")
    between = place.promote("dev", "1.1.5")

    assert again["reason"] == (
        "dev was rolled back from `1.2.0` to `1.1.0`, and that is what this brings. To bring it "
        "all the same, set `allow-downgrade`."
    )
    assert "`1.1.5` is not known to be newer" in between["reason"]
    assert not again["changed"]
    assert place.version("dev") == "1.1.0"
    assert place.promote("dev", "1.2.1")["changed"]


def test_a_rollback_of_builds_holds_by_their_runs(place: Place) -> None:
    place.promote("dev", "build-a", GITHUB_RUN_ID="500")
    place.promote("dev", "build-b", GITHUB_RUN_ID="600")
    place.rollback("dev", GITHUB_RUN_ID="900")
    older = place.promote("dev", "build-x", GITHUB_RUN_ID="550")

    assert not older["changed"]
    assert place.version("dev") == "build-a"
    assert place.promote("dev", "build-c", GITHUB_RUN_ID="700")["changed"]


def test_a_rollback_holds_no_longer_where_it_is_allowed(place: Place) -> None:
    place.promote("dev", "1.1.0")
    place.rollback("dev")

    assert place.promote("dev", "1.1.0", "--allow-downgrade")["changed"]
    # And from there on as ever.
    assert place.promote("dev", "1.1.1")["changed"]


def test_a_second_rollback_goes_further_back_and_holds_as_the_first(place: Place) -> None:
    place.promote("dev", "1.1.0")
    place.promote("dev", "1.2.0")
    place.rollback("dev")
    second = place.rollback("dev")

    assert place.version("dev") == "1.0.0"
    assert second["changed"]
    assert not place.promote("dev", "1.2.0")["changed"]
    assert not place.promote("dev", "1.1.0")["changed"]
    assert place.promote("dev", "1.3.0")["changed"]


def test_a_rollback_to_a_version(place: Place) -> None:
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        place.promote("dev", version)
    done = place.rollback("dev", "--to", "1.1.0")

    assert done["changed"]
    assert place.version("dev") == "1.1.0"
    assert not place.promote("dev", "1.2.0")["changed"]
    assert not place.rollback("dev", "--to", "1.1.0")["changed"]


def test_a_rollback_to_what_never_ran(place: Place) -> None:
    place.promote("dev", "1.1.0")
    before = head_of(place.bare)
    done = place.rollback("dev", "--to", "0.5.0")

    assert done["status"] == 1
    assert "dev never ran `0.5.0`, by the config repository's history." in done["error"]
    assert "These did, the newest first: `1.1.0`, `1.0.0`." in done["error"]
    assert head_of(place.bare) == before


def test_a_rollback_with_nothing_before(place: Place) -> None:
    done = place.rollback("dev")

    assert done["status"] == 1
    assert "dev has nothing to roll back to" in done["error"]


def test_a_rollback_brings_the_digest_back(place: Place) -> None:
    digest = f"sha256:{'d' * 64}"
    place.promote("dev", f"1.1.0@{digest}")
    place.promote("dev", "1.2.0")
    place.rollback("dev")

    assert place.version("dev") == f"1.1.0@{digest}"


def test_a_rollback_is_for_its_environment_alone(place: Place) -> None:
    for name in ("dev", "test"):
        place.promote(name, "1.1.0")
    place.rollback("dev")

    assert [place.version(name) for name in ("dev", "test")] == ["1.0.0", "1.1.0"]
    # That the first was rolled back holds nothing back in the second.
    assert place.promote("test", "1.1.1", "--override", "x")["status"] == 1
    place.policy("after: dev", "")
    assert place.promote("test", "1.1.1")["changed"]


def test_a_rollback_needs_no_order(place: Place) -> None:
    place.promote("prod", "1.1.0", "--override", "INC-1")

    assert place.rollback("prod")["changed"]
    assert place.version("prod") == "1.0.0"


def test_a_person_may_roll_back_without_a_job(place: Place) -> None:
    place.promote("dev", "1.1.0")
    nobody = dict.fromkeys(JOB, "")

    assert place.promote("dev", "1.2.0", **nobody)["status"] == 1
    assert place.rollback("dev", **nobody)["changed"]


def test_a_rollback_takes_no_versions(place: Place) -> None:
    done = place.rollback("dev", "--images", f"{SHOP}:1")

    assert done["status"] == 2
    assert "`rollback` is what decides of versions" in done["error"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mode: push}", "mode: psuh}", "psuh"),
        ("after: dev", "after: {environment: dev, soack: 1h}", "soack"),
        ("dev: {mode: push}", "dev: {mode: push, after: test}", "dev"),
        ("version: 1", "version: [1", ""),
    ],
)
def test_a_malformed_policy_is_one_error_and_nothing_is_written(
    place: Place, old: str, new: str, said: str
) -> None:
    place.policy(old, new)
    before = head_of(place.bare)
    done = place.promote("dev", "1.1.0")

    assert done["status"] == 1
    assert re.search(r"\.gitops-promote\.yaml:\d+", done["error"])
    assert said in done["error"]
    assert "Traceback" not in done["error"]
    assert head_of(place.bare) == before


def test_the_policy_is_that_of_the_default_branch(place: Place) -> None:
    """A branch of somebody's own, with another policy, opens nothing."""
    git("--git-dir", place.bare, "update-ref", "refs/heads/mine", "refs/heads/main")
    loose = file_of(place.bare, ".gitops-promote.yaml").replace(b"after: test", b"mode: push")
    commit_files(place.bare, {".gitops-promote.yaml": loose}, "mine")
    done = place.promote("strict", "1.1.0", "--config-ref", "mine")

    assert done["status"] == 1
    assert "strict is on branch main, and this call asks for mine." in done["error"]


def test_a_branch_that_the_policy_names(place: Place) -> None:
    place.policy("dev: {mode: push}", "dev: {mode: push, branch: live}")
    git("--git-dir", place.bare, "update-ref", "refs/heads/live", "refs/heads/main")
    main_before = head_of(place.bare)
    done = place.promote("dev", "1.1.0")

    assert done["changed"]
    assert head_of(place.bare) == main_before
    assert b"1.1.0" in file_of(place.bare, kustomization("dev"), "live")
    # What runs in dev is looked for where dev is.
    assert place.promote("test", "1.1.0")["changed"]


def test_another_policy_file_can_t_be_named(place: Place) -> None:
    commit_files(place.bare, {"loose.yaml": b"version: 1\nenvironments: {dev: }\n"})

    done = place.promote("dev", "1.1.0", "--policy-file", "loose.yaml")

    assert done["status"] == 1
    assert "Input `policy-file` names loose.yaml, and the policy is .gitops-" in done["error"]


def test_a_policy_file_that_isn_t_there(place: Place) -> None:
    text = file_of(place.bare, ".gitops-promote.yaml")
    git("--git-dir", place.bare, "update-ref", "-d", "refs/heads/main")
    files = {kustomization("dev"): overlay(f"{SHOP}:1.0.0").encode(), "ci/policy.yaml": text}
    commit_files(place.bare, files)

    assert (
        "has no policy.yaml"
        in place.promote("dev", "2.0.0", "--policy-file", "policy.yaml")["error"]
    )
    assert place.promote("dev", "2.0.0", "--policy-file", "ci/policy.yaml")["changed"]


def test_environments_that_differ_don_t_go_back_together(place: Place) -> None:
    place.policy("after: dev", "")
    place.promote("dev\ntest", "1.1.0")
    place.promote("dev", "1.2.0")
    done = place.rollback("dev\ntest")

    assert done["status"] == 1
    assert "In dev, test there are several versions of `ghcr.io/acme/shop`" in done["error"]
    assert "Name one environment or target" in done["error"]


def test_environments_that_are_alike_go_back_together(place: Place) -> None:
    place.policy("after: dev", "")
    place.promote("dev\ntest", "1.1.0")
    before = head_of(place.bare)
    place.rollback("dev\ntest")

    count = git("--git-dir", place.bare, "rev-list", "--count", f"{before}..main")
    assert count.strip() == b"1"
    assert [place.version(name) for name in ("dev", "test")] == ["1.0.0", "1.0.0"]


def refused(place: Place, said: str, *arguments: str, **environ: str) -> None:
    """Make sure that a call is refused, and that nothing is written."""
    before = head_of(place.bare)
    done = place.call("promote", "--app", "shop", *arguments, **environ)

    assert done["status"] == 1, done
    assert said in done["error"]
    assert "Traceback" not in done["error"]
    assert head_of(place.bare) == before


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("apps/shop/overlays/prod", "is no target of shop in dev"),
        ("helm:apps/shop/overlays/dev/kustomization.yaml#images[0].newTag", "is no target of shop"),
        ("helm:apps/shop/overlays/dev/values.yaml", "is no target of shop in dev"),
        (".gitops-promote.yaml", "The policy is no target of a promotion."),
        ("helm:.gitops-promote.yaml#environments.prod.mode", "The policy is no target"),
    ],
)
def test_a_target_that_the_policy_does_not_give(place: Place, target: str, said: str) -> None:
    values = f"image:\n  repository: {SHOP}\n  tag: '1'\n".encode()
    commit_files(place.bare, {"apps/shop/overlays/dev/values.yaml": values})
    given = ("--environment", "dev", "--images", f"{SHOP}:1.1.0")

    refused(place, said, *given, "--target", target)


def test_a_glob_passes_over_the_policy(place: Place) -> None:
    place.policy('    targets: ["apps/shop/overlays/{environment}"]\n', "")
    values = f"image:\n  repository: {SHOP}\n  tag: '1'\n".encode()
    commit_files(place.bare, {"values.yaml": values})

    assert place.promote("dev", "2", "--target", "helm:*.yaml")["changed"]
    assert file_of(place.bare, ".gitops-promote.yaml").startswith(b"version: 1\nenv")


def test_what_another_environment_or_app_has_is_not_this_one_s(place: Place) -> None:
    place.policy(
        '    targets: ["apps/shop/overlays/{environment}"]\n    source-repository: acme/shop\n',
        "    environments: {prod: {targets: apps/shop/overlays/prod}}\n  blog:\n",
    )
    prod = ("--target", "apps/shop/overlays/prod")
    said = "is a target of shop in prod, and not of"

    refused(place, said, "--environment", "dev", "--images", f"{SHOP}:2", *prod)
    refused(place, said, "--app", "blog", "--environment", "dev", "--images", f"{SHOP}:2", *prod)


def test_paths_bind_the_whole_program(place: Place) -> None:
    place.policy("dev: {mode: push}", 'dev: {mode: push, paths: ["clusters/**"]}')

    refused(
        place, "is outside of what dev may change", "--environment", "dev", "--images", f"{SHOP}:2"
    )


@pytest.mark.parametrize("anchored", [True, False])
def test_a_version_that_two_environments_share_is_changed_in_none(
    place: Place, anchored: bool
) -> None:
    place.policy('"apps/shop/overlays/{environment}"', '"values.yaml#{environment}.image"')
    own, other = ("&v 1.0.0", "*v") if anchored else ("1.0.0", "1.0.0")
    values = "".join(
        f"{name}:\n  image:\n    repository: {SHOP}\n    tag: {tag}\n"
        for name, tag in (("dev", own), ("test", other), ("prod", other), ("strict", other))
    )
    commit_files(place.bare, {"values.yaml": values.encode()})

    if anchored:
        said = "`values.yaml` is also a target of test, where this call would change what runs."
        refused(place, said, "--environment", "dev", "--images", f"{SHOP}:1.1.0")
    else:
        assert place.promote("dev", "1.1.0")["changed"]
        assert file_of(place.bare, "values.yaml").count(b"1.1.0") == 1


def test_a_values_file_that_two_environments_lead_to_is_changed_in_none(place: Place) -> None:
    place.policy('"apps/shop/overlays/{environment}"', '"helmfile-{environment}.yaml"')
    values = f"image: {{repository: {SHOP}, tag: 1.0.0}}\n".encode()
    files = {
        f"helmfile-{name}.yaml": f"releases: [{{chart: ./c, values: [values/{file}.yaml]}}]\n"
        for name, file in (("dev", "all"), ("test", "all"), ("prod", "own"), ("strict", "own"))
    }
    contents = {path: text.encode() for path, text in files.items()}
    commit_files(place.bare, {**contents, "values/all.yaml": values, "values/own.yaml": values})

    said = "`values/all.yaml` is also a target of test, where this call would change what runs."
    refused(place, said, "--environment", "dev", "--images", f"{SHOP}:1.1.0")


def test_a_digest_must_run_where_it_comes_from(place: Place) -> None:
    place.promote("dev", "1.1.0")
    pinned = f"{SHOP}:1.1.0@sha256:{'e' * 64}"

    refused(place, "only from dev", "--environment", "test", "--images", pinned)
    assert place.promote("dev", f"1.1.0@sha256:{'e' * 64}")["changed"]
    assert place.promote("test", f"1.1.0@sha256:{'e' * 64}")["changed"]


def test_another_repository_must_run_where_it_comes_from(place: Place) -> None:
    place.policy("    images: [ghcr.io/acme/shop]\n", "")
    place.promote("dev", "1.1.0")

    said = "only from dev, which runs `ghcr.io/acme/shop:1.1.0` and not `evil.io/shop:1.1.0`"
    image = f"{SHOP}=evil.io/shop:1.1.0"
    refused(place, said, "--environment", "test", "--images", image)


def test_each_environment_may_have_a_registry_of_its_own(place: Place) -> None:
    for name in ("dev", "test"):
        text = f"resources: [../../base]\nimages:\n- name: {SHOP}\n  newName: {name}.io/shop\n"
        commit_files(place.bare, {kustomization(name): f"{text}  newTag: 1.0.0\n".encode()})
    place.promote("dev", "1.1.0")

    assert place.promote("test", "1.1.0")["changed"]
    given = ("--app", "shop", "--environment", "test", "--promote-from", "dev")
    place.promote("dev", "1.2.0")
    assert place.call("promote", *given)["changed"]
    shown = file_of(place.bare, kustomization("test")).decode()
    assert "newName: test.io/shop\n  newTag: 1.2.0" in shown


def test_all_places_of_the_environment_before_must_have_it(place: Place) -> None:
    place.policy('["apps/shop/overlays/{environment}"]', '["clusters/*/{environment}"]')
    for cluster in ("eu", "us"):
        for name in ("dev", "test"):
            path = f"clusters/{cluster}/{name}/kustomization.yaml"
            commit_files(place.bare, {path: overlay(f"{SHOP}:1.0.0").encode()})
    place.promote("dev", "1.1.0")
    path = "clusters/us/dev/kustomization.yaml"
    commit_files(place.bare, {path: overlay(f"{SHOP}:1.0.0").encode()})

    said = "only from dev, which runs `1.1.0`, `1.0.0` and not `1.1.0`"
    refused(place, said, "--environment", "test", "--images", f"{SHOP}:1.1.0")


def test_an_override_is_for_where_it_is_allowed_alone(place: Place) -> None:
    given = ("--environment", "prod\nstrict", "--images", f"{SHOP}:1.1.0")

    refused(place, "strict takes a version", *given, "--override", "INC-1")


def test_targets_that_are_written_out_for_each_environment(place: Place) -> None:
    place.policy(
        '    targets: ["apps/shop/overlays/{environment}"]\n',
        "    environments:\n      dev: {targets: apps/shop/overlays/dev}\n"
        "      test: {targets: apps/shop/overlays/test}\n",
    )
    place.promote("dev", "1.1.0")
    given = ("--app", "shop", "--environment", "test", "--promote-from", "dev")

    assert place.call("promote", *given)["changed"]


def test_a_late_older_run_is_no_failure_where_there_is_an_order(place: Place) -> None:
    for version in ("1.1.0", "1.2.0"):
        for name in ("dev", "test"):
            place.promote(name, version)
    late = place.promote("test", "1.1.0")

    assert (late["status"], late["changed"]) == (0, False)
    assert "`1.1.0` is older by semantic versioning" in late["reason"]
    # What was asked for, and what is deployed.
    assert (late["version"], late["images"]) == ("1.1.0", {SHOP: f"{SHOP}:1.2.0"})


def test_a_policy_of_a_branch_of_one_s_own_opens_nothing(place: Place) -> None:
    git("--git-dir", place.bare, "update-ref", "refs/heads/mine", "refs/heads/main")
    mine = "version: 1\ndefaults: {branch: mine}\nenvironments: {strict: }\n"
    commit_files(place.bare, {".gitops-promote.yaml": mine.encode()}, "mine")

    said = "strict is on branch main, and this call asks for mine."
    given = ("--environment", "strict", "--images", f"{SHOP}:2.0.0", "--config-ref", "mine")
    refused(place, said, *given)


def test_a_policy_under_the_usual_name_goes_before_another_one_anywhere(place: Place) -> None:
    """The default branch has none of the usual name, and the branch that is changed has."""
    git("--git-dir", place.bare, "update-ref", "refs/heads/live", "refs/heads/main")
    loose = b"version: 1\nenvironments: {strict: {branch: live}}\n"
    git("--git-dir", place.bare, "update-ref", "-d", "refs/heads/main")
    commit_files(place.bare, {"loose.yaml": loose})
    given = ("--environment", "strict", "--images", f"{SHOP}:2.0.0", "--config-ref", "live")

    refused(
        place,
        "Input `policy-file` names loose.yaml, and the policy is .gitops-promote.yaml.",
        *given,
        *("--policy-file", "loose.yaml"),
    )


def test_a_branch_that_is_not_there(place: Place) -> None:
    place.policy("dev: {mode: push}", "dev: {mode: push, branch: nope}")
    given = ("--environment", "dev", "--images", f"{SHOP}:2.0.0")

    refused(place, "has no branch nope. Correct `branch`, or make the branch.", *given)


def test_a_rollback_never_goes_to_something_newer(place: Place) -> None:
    """Not after a rollback to an old version, nor after a revert by hand."""
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        place.promote("dev", version)
    place.rollback("dev", "--to", "1.1.0")
    place.rollback("dev")
    assert place.version("dev") == "1.0.0"

    before = file_of(place.bare, kustomization("dev"))
    place.promote("dev", "1.4.0")
    commit_files(place.bare, {kustomization("dev"): before})
    done = place.rollback("dev")
    assert (done["status"], place.version("dev")) == (1, "1.0.0")


def test_a_rollback_by_the_same_run_again_does_nothing_more(place: Place) -> None:
    for version in ("1.1.0", "1.2.0"):
        place.promote("dev", version)
    first = place.rollback("dev", GITHUB_RUN_ID="900")
    again = place.rollback("dev", GITHUB_RUN_ID="900")

    assert (first["changed"], again["changed"]) == (True, False)
    assert place.version("dev") == "1.1.0"


def test_a_rollback_to_something_newer_keeps_the_order(place: Place) -> None:
    place.promote("prod", "1.1.0", "--override", "INC-1")
    place.rollback("prod")
    forward = place.rollback("prod", "--to", "1.1.0")

    assert forward["status"] == 1
    assert "only from test" in forward["error"]
    assert place.version("prod") == "1.0.0"
    assert place.rollback("prod", "--to", "1.1.0", "--override", "INC-2")["changed"]
    assert "\nPromotion-Override: INC-2\n" in place.message()


def test_a_rollback_of_one_image_leaves_the_other(place: Place) -> None:
    """Both are called `app` in their overlays, by another new name."""
    place.policy("[ghcr.io/acme/shop]", "[a.io/shop, a.io/blog]")
    place.policy('["apps/shop/overlays/{environment}"]', '["apps/*/overlays/{environment}"]')
    for name in ("shop", "blog"):
        text = f"resources: [x.yaml]\nimages:\n- name: app\n  newName: a.io/{name}\n"
        path = f"apps/{name}/overlays/dev/kustomization.yaml"
        commit_files(place.bare, {path: f"{text}  newTag: 1.0.0\n".encode()})
    usual = ("--app", "shop", "--environment", "dev", "--images")
    assert place.call("promote", *usual, "a.io/shop:2.0.0\na.io/blog:7.0.0")["changed"]
    assert place.call("promote", *usual, "a.io/blog:7.1.0")["changed"]
    done = place.rollback("dev")

    assert done["changed"], done
    assert b"newTag: 2.0.0" in file_of(place.bare, "apps/shop/overlays/dev/kustomization.yaml")
    assert b"newTag: 7.0.0" in file_of(place.bare, "apps/blog/overlays/dev/kustomization.yaml")


def test_a_rollback_of_another_environment_holds_nothing_back(place: Place) -> None:
    place.policy('["apps/shop/overlays/{environment}"]', '["clusters/*/{environment}"]')
    place.policy("after: dev", "")
    for cluster in ("eu", "us"):
        for name in ("dev", "test"):
            path = f"clusters/{cluster}/{name}/kustomization.yaml"
            commit_files(place.bare, {path: overlay(f"{SHOP}:1.0.0").encode()})
    for version in ("1.1.0", "1.2.0"):
        place.promote("dev", version)
        place.promote("test", version)
    place.promote("dev", "9.0.0")
    place.rollback("dev")
    place.rollback("test")
    message = place.message()

    assert "Rolled-Back-From: ghcr.io/acme/shop 1.2.0 " in message
    assert "9.0.0" not in message
    assert place.promote("test", "1.3.0")["changed"]


def test_what_comes_back_from_a_rollback_is_compared_as_ever(place: Place) -> None:
    place.promote("dev", "2.0.0")
    place.promote("dev", "1.1.0", "--allow-downgrade")
    place.rollback("dev", "--to", "2.0.0")

    assert not place.promote("dev", "1.5.0")["changed"]
    assert place.version("dev") == "2.0.0"


def test_a_rollback_to_a_version_of_several_images_takes_all_that_had_it(place: Place) -> None:
    place.policy("[ghcr.io/acme/shop]", "[ghcr.io/acme/shop, ghcr.io/acme/worker]")
    both = overlay(f"{SHOP}:1.4.2", "ghcr.io/acme/worker:1.4.2").encode()
    commit_files(place.bare, {kustomization("dev"): both})
    place.promote("dev", "1.5.0")
    worker = ("--app", "shop", "--environment", "dev", "--images", "ghcr.io/acme/worker:1.5.0")
    place.call("promote", *worker)
    done = place.rollback("dev", "--to", "1.4.2")

    assert done["changed"]
    assert file_of(place.bare, kustomization("dev")) == both


def test_a_version_that_no_registry_takes_is_not_copied(place: Place) -> None:
    text = overlay(f"{SHOP}:1").replace('"1"', '"1\\n::error::evil\\e[2J"')
    commit_files(place.bare, {kustomization("dev"): text.encode()})
    given = ("--environment", "test", "--promote-from", "dev")

    refused(place, "which no registry accepts", *given)
    assert "\n::error::evil" not in place.last


def test_an_image_without_a_name_is_not_guessed(place: Place) -> None:
    place.policy(POLICY, "version: 1\nenvironments: {dev: , test: }\n")
    for name in ("dev", "test"):
        commit_files(place.bare, {f"values-{name}.yaml": b"image: {tag: '1'}\n"})
    given = ("--environment", "test", "--promote-from", "dev")
    done = place.call("promote", *given, "--target", "values-{environment}.yaml#image.tag")

    assert done["status"] == 1
    assert "Name the image in `images`" in done["error"]


def test_a_rollback_is_not_of_what_came_meanwhile(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.promote("dev", "1.1.0")
    push, rivals = GitRepository.push, [overlay(f"{SHOP}:1.2.0").encode()]

    def late(repository: GitRepository, head: Head, new: NewCommit) -> str:
        if rivals:
            commit_files(place.bare, {kustomization("dev"): rivals.pop()})
        return push(repository, head, new)

    monkeypatch.setattr(GitRepository, "push", late)
    done = place.rollback("dev")

    assert done["status"] == 1
    assert "What runs there was changed while it was about to be rolled back." in done["error"]
    assert place.version("dev") == "1.2.0"


def test_a_late_run_that_loses_a_race_is_stale_then(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.promote("dev", "1.1.0")
    push, rivals = GitRepository.push, [overlay(f"{SHOP}:1.3.0").encode()]

    def late(repository: GitRepository, head: Head, new: NewCommit) -> str:
        if rivals:
            commit_files(place.bare, {kustomization("dev"): rivals.pop()})
        return push(repository, head, new)

    monkeypatch.setattr(GitRepository, "push", late)
    done = place.promote("dev", "1.2.0")

    assert not done["changed"]
    assert place.version("dev") == "1.3.0"


def test_a_version_that_was_set_by_hand_costs_no_walk_through_history(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kustomization("dev")
    file = overlay(f"{SHOP}:1.0.0")
    stream = "reset refs/heads/main\nfrom refs/heads/main^0\n\n" + "".join(
        f"commit refs/heads/main\ncommitter A <a@example.com> {1_700_000_000 + n} +0000\n"
        f"data 1\nx\nM 100644 inline {path}\ndata <<END\n# {n}\n{file}END\n\n"
        for n in range(120)
    )
    git("--git-dir", place.bare, "fast-import", "--quiet", data=stream.encode())
    commit_files(place.bare, {path: overlay(f"{SHOP}:1.0.5").encode()})
    deeper: list[int] = []
    monkeypatch.setattr(History, "_fetch_deeper", lambda *given: deeper.append(given[-1]))

    assert place.promote("dev", "1.1.0")["changed"]
    assert deeper == []


@pytest.mark.parametrize(
    "key", ["#web.image", "#w\\eb.image", "#web.ima\\ge", "#web.image.tag", ""]
)
def test_no_spelling_of_a_key_skips_the_order(place: Place, key: str) -> None:
    place.policy(POLICY, "version: 1\nenvironments: {dev: , prod: {after: dev}}\n")
    values = f"web:\n  image:\n    repository: {SHOP}\n    tag: 1.0.0\n".encode()
    commit_files(place.bare, {"values-dev.yaml": values, "values-prod.yaml": values})
    given = ("--environment", "prod", "--images", f"{SHOP}:6.6.6")

    refused(place, "only from dev", *given, "--target", f"values-{{environment}}.yaml{key}")


def test_a_version_at_the_root_of_a_file_keeps_the_order(place: Place) -> None:
    place.policy('"apps/shop/overlays/{environment}"', '"values-{environment}.yaml#tag"')
    values = f"repository: {SHOP}\ntag: 1.0.0\n".encode()
    commit_files(
        place.bare, {f"values-{name}.yaml": values for name in ("dev", "test", "prod", "strict")}
    )

    refused(place, "only from dev", "--environment", "test", "--images", f"{SHOP}:6.6.6")
    place.promote("dev", "1.1.0")
    assert place.promote("test", "1.1.0")["changed"]


def test_a_branch_for_each_environment_with_the_same_files(place: Place) -> None:
    place.policy(
        POLICY,
        "version: 1\nenvironments: {dev: {branch: dev}, prod: {branch: prod, after: dev}}\n"
        "apps: {shop: {images: [ghcr.io/acme/shop], targets: [apps/shop/overlays/dev]}}\n",
    )
    for name in ("dev", "prod"):
        git("--git-dir", place.bare, "update-ref", f"refs/heads/{name}", "refs/heads/main")
    skipped = place.promote("prod", "1.1.0")

    assert "only from dev" in skipped["error"]
    assert place.promote("dev", "1.1.0")["changed"]
    assert place.promote("prod", "1.1.0")["changed"]


def test_another_app_s_overlay_is_not_taken_as_a_values_file(place: Place) -> None:
    place.policy("apps:\n", "apps:\n  blog: {images: [ghcr.io/acme/blog]}\n")
    line = "helm:apps/shop/overlays/prod/kustomization.yaml#images[0].newTag"
    given = ("--environment", "dev", "--images", "ghcr.io/acme/blog:6", "--target", line)

    refused(place, "is a target of shop in prod", "--app", "blog", *given)


@pytest.mark.parametrize("path", ["", "/kustomization.yaml"])
def test_a_kind_that_is_the_file_s_anyway_may_be_named(place: Place, path: str) -> None:
    line = f"kustomize:apps/shop/overlays/dev{path}"

    assert place.promote("dev", "1.1.0", "--target", line)["changed"]


def test_an_older_rollback_job_that_is_run_again_does_no_harm(place: Place) -> None:
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        place.promote("dev", version)
    place.rollback("dev", GITHUB_RUN_ID="900")
    place.rollback("dev", GITHUB_RUN_ID="901")
    place.promote("dev", "1.3.1")
    again = place.rollback("dev", GITHUB_RUN_ID="901")

    assert again["status"] == 1
    assert "This run rolled dev back already, and something else came since." in again["error"]
    assert place.rollback("dev", GITHUB_RUN_ID="900")["status"] == 1
    assert place.version("dev") == "1.3.1"


def test_what_was_taken_back_keeps_the_order_though_nothing_tells_its_age(place: Place) -> None:
    """Of the two images one was never promoted."""
    place.policy("[ghcr.io/acme/shop]", "[ghcr.io/acme/shop, ghcr.io/acme/worker]")
    both = overlay(f"{SHOP}:1.0.0", "ghcr.io/acme/worker:1.0.0").encode()
    commit_files(place.bare, {kustomization(name): both for name in ("dev", "test")})
    for version in ("blue", "green"):
        for name in ("dev", "test"):
            place.promote(name, version)
    for name in ("dev", "test"):
        place.rollback(name)
    assert "\nSource-Run: " in place.message()
    forward = place.rollback("test", "--to", "green")

    assert forward["status"] == 1
    assert "only from dev, which runs `blue` and not `green`" in forward["error"]


def test_what_was_taken_back_and_came_again_may_be_gone_back_to(place: Place) -> None:
    for version in ("1.1.0", "1.2.0"):
        place.promote("dev", version)
    place.rollback("dev")
    place.promote("dev", "1.2.0", "--allow-downgrade")
    place.promote("dev", "1.3.0")
    place.rollback("dev")

    assert place.version("dev") == "1.2.0"


def test_a_rollback_looks_no_further_back_than_it_goes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 9):
        place.promote("dev", f"1.{number}.0")
    read, commits = GitRepository.read, list[str]()

    def counted(
        repository: GitRepository, commit: str, paths: Collection[str]
    ) -> Mapping[str, bytes]:
        commits.append(commit)
        return read(repository, commit, paths)

    monkeypatch.setattr(GitRepository, "read", counted)
    place.rollback("dev", "--to", "1.7.0")

    assert place.version("dev") == "1.7.0"
    assert len(commits) <= 3
