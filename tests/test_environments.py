"""Environments in order: what each takes from the one before, what is stale, and going back."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, final

import pytest

from calls import JOB, PERSON
from gitops_promote.__main__ import main
from memory import SHOP, deployment, overlay
from servers import commit_files, file_of, git, head_of, make_bare

if TYPE_CHECKING:
    from pathlib import Path

    from _pytest.capture import CaptureFixture

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
    assert "These did, the newest first: `1.0.0`." in done["error"]
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
