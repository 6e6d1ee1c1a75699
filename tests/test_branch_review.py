"""Pull requests where the host has none that we can open: the branch, and the text to copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from calls import DEV, JOB, OVERLAY, SHOP, Calls, Done
from servers import commit_files, file_of, git, head_of

BRANCH = "gitops-promote/dev/shop"


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)


def propose(calls: Calls, version: str, *more: str, **environ: str) -> Done:
    usual = ("--images", f"{SHOP}:{version}", "--environment", "dev", "--target", OVERLAY)
    mode = ("--promotion-mode", "pull-request", "--format", "json")
    done = calls.run(*usual, *mode, *more, **{**JOB, **environ})
    assert "Traceback" not in done.err
    return done


def branches(calls: Calls) -> set[str]:
    shown = git("--git-dir", calls.bare, "for-each-ref", "--format=%(refname:strip=2)")
    return set(shown.decode().split())


def commits(calls: Calls) -> list[str]:
    """The subjects of the commits that the base doesn't have."""
    shown = git("--git-dir", calls.bare, "log", "--format=%s", f"main..{BRANCH}")
    return shown.decode().splitlines()


def test_the_branch_is_pushed_and_the_text_is_given(calls: Calls) -> None:
    done = propose(calls, "1.2.3")
    told = done.json

    assert (done.status, told["changed"]) == (0, True)
    assert head_of(calls.bare) == calls.start
    assert b'newTag: "1.2.3"' in file_of(calls.bare, DEV, BRANCH)
    assert told["commit-sha"] == head_of(calls.bare, BRANCH)
    assert told["pull-request-branch"] == BRANCH
    assert (told["pull-request-operation"], told["pull-request-number"]) == ("none", None)
    assert told["pull-request-title"] == "Promote shop to 1.2.3 in dev"
    assert "| `1.0.0` | **`1.2.3`** |" in told["pull-request-body"]
    assert "::notice title=GitOps Promote::" in done.err
    assert f"Open one from {BRANCH} to main" in done.err
    assert told["pull-request-body"] in done.summary


def test_the_same_version_again_does_nothing(calls: Calls) -> None:
    first = propose(calls, "1.2.3")
    again = propose(calls, "1.2.3", GITHUB_RUN_ID="43")

    assert (again.json["changed"], again.json["commit-sha"]) == (False, "")
    assert again.json["reason"] == f"Branch {BRANCH} already has all of it."
    assert head_of(calls.bare, BRANCH) == first.json["commit-sha"]
    assert again.json["pull-request-body"]


def test_a_newer_version_takes_its_place_on_the_newest_base(calls: Calls) -> None:
    propose(calls, "1.2.3")
    commit_files(calls.bare, {"other.yaml": b"a: 1\n"})
    done = propose(calls, "1.3.0")

    assert done.json["changed"] is True
    assert commits(calls) == ["Promote shop to 1.3.0 in dev"]
    assert file_of(calls.bare, "other.yaml", BRANCH) == b"a: 1\n"


def test_an_older_version_does_not(calls: Calls) -> None:
    propose(calls, "1.3.0")
    done = propose(calls, "1.2.9", GITHUB_RUN_ID="99")

    assert (done.status, done.json["changed"]) == (0, False)
    assert "already promotes 1.3.0, which is newer than 1.2.9" in done.json["reason"]
    assert commits(calls) == ["Promote shop to 1.3.0 in dev"]


def test_a_run_that_began_earlier_does_not_either(calls: Calls) -> None:
    propose(calls, "build-b", "--allow-mutable-tag", GITHUB_RUN_ID="7")
    done = propose(calls, "build-a", "--allow-mutable-tag", GITHUB_RUN_ID="6")

    assert "already promotes build-b, which is newer than build-a" in done.json["reason"]


def test_the_work_of_a_person_is_left_alone(calls: Calls) -> None:
    propose(calls, "1.2.3")
    commit_files(calls.bare, {"extra.yaml": b"b: 1\n"}, branch=BRANCH)
    mine = head_of(calls.bare, BRANCH)
    done = propose(calls, "1.3.0")

    assert (done.status, done.json["changed"]) == (0, False)
    assert "has commits of" in done.json["reason"]
    assert "::warning title=GitOps Promote::Branch" in done.err
    assert head_of(calls.bare, BRANCH) == mine


def test_a_change_that_came_another_way_takes_the_branch_away(calls: Calls) -> None:
    propose(calls, "1.2.3")
    promoted = file_of(calls.bare, DEV, BRANCH)
    commit_files(calls.bare, {DEV: promoted})
    done = propose(calls, "1.2.3")

    assert (done.status, done.json["changed"]) == (0, False)
    assert done.json["reason"] == f"dev already has {SHOP}:1.2.3."
    assert branches(calls) == {"main"}


def test_a_branch_that_is_to_stay_stays(calls: Calls) -> None:
    propose(calls, "1.2.3")
    commit_files(calls.bare, {DEV: file_of(calls.bare, DEV, BRANCH)})
    propose(calls, "1.2.3", "--delete-branch", "false")

    assert branches(calls) == {"main", BRANCH}


def test_what_is_proposed_stays_when_a_base_has_the_older_version_already(calls: Calls) -> None:
    propose(calls, "1.3.0")
    done = propose(calls, "1.0.0")

    assert done.json["reason"].startswith(f"dev already has {SHOP}:1.0.0.")
    assert commits(calls) == ["Promote shop to 1.3.0 in dev"]


def test_two_calls_for_other_images_of_an_app_lose_nothing(calls: Calls) -> None:
    propose(calls, "1.2.3", "--app", "shop")
    done = calls.run(
        *("--images", "acme/other:2", "--environment", "dev", "--target", OVERLAY),
        *("--promotion-mode", "pull-request", "--app", "shop"),
        **JOB,
    )

    assert done.status == 1
    assert f"also promotes `{SHOP}`, which this call would lose" in done.out
    assert commits(calls) == ["Promote shop to 1.2.3 in dev"]


def test_the_branch_is_not_the_base(calls: Calls) -> None:
    done = propose(calls, "1.2.3", "--branch", "main")

    assert done.status == 1
    assert "The pull request's branch and its base are both `main`." in done.err
    assert head_of(calls.bare) == calls.start


def test_templates(calls: Calls) -> None:
    done = propose(
        calls,
        "1.2.3",
        *("--title", "{environment}: {images} {old-version} to {version}"),
        *("--body", "Please.\n\n{table}\n\n{{braces}}"),
        *("--branch", "deploy/{environment}"),
    )

    assert done.json["pull-request-title"] == f"dev: {SHOP} 1.0.0 to 1.2.3"
    assert done.json["pull-request-body"].startswith("Please.")
    assert "\n\n| Image | Old | New |" in done.json["pull-request-body"]
    assert "{braces}" in done.json["pull-request-body"]
    assert branches(calls) == {"main", "deploy/dev"}
