"""Environments that take pull requests: what the policy adds to one, and what stands against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from calls import SHOP
from github_double import GitHub
from hub import DEPLOY, Hub
from memory import overlay
from servers import commit_files, file_of, git, head_of

if TYPE_CHECKING:
    from github_double.state import Method

POLICY = """\
version: 1
environments:
  dev: {mode: push}
  test: {mode: push, after: dev}
  prod:
    mode: pull-request
    after: test
    reviewers: [hubot]
    labels: [production]
    gates: ["Scan=https://scan.example.com"]
    allow-override: true
apps:
  shop:
    images: [ghcr.io/acme/shop]
    targets: ["apps/shop/overlays/{environment}"]
    source-repository: acme/shop
"""
PROD = "apps/shop/overlays/prod/kustomization.yaml"
BRANCH = "gitops-promote/prod/shop"
Told = dict[str, Any]
both = pytest.mark.parametrize("via", ["api", "git"])


@pytest.fixture
def hub(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> Iterator[Hub]:
    with GitHub(tmp_path) as github:
        record_property("counts:checked by GitHub's own descriptions", github.checked)
        hub = Hub(github, tmp_path, capsys)
        files = {".gitops-promote.yaml": POLICY}
        for name in ("dev", "test", "prod"):
            path = f"apps/shop/overlays/{name}/kustomization.yaml"
            files[path] = overlay(f"{SHOP}:1.0.0")
        commit_files(hub.bare, {path: text.encode() for path, text in files.items()})
        github.add_user("hubot", "Hubot")
        github.add_collaborator(DEPLOY, "hubot")
        yield hub


def promote(hub: Hub, environment: str, version: str, *flags: str, status: int = 0) -> Told:
    """Promote a version of the shop, as the policy has it."""
    given = ("--app", "shop", "--environment", environment)
    what = ("--images", f"{SHOP}:{version}") if version else ()
    return hub.run("promote", *given, *what, *flags, status=status)


def rollback(hub: Hub, *flags: str) -> Told:
    """Roll prod back."""
    return hub.run("rollback", "--app", "shop", "--environment", "prod", *flags)


def to_prod(hub: Hub, version: str, via: str, method: Method = "squash") -> None:
    """Bring a version to prod in order, and merge the pull request."""
    for name in ("dev", "test", "prod"):
        promote(hub, name, version, "--commit-via", via)
    hub.github.merge(DEPLOY, hub.pull.number, method)
    assert f'"{version}"'.encode() in file_of(hub.bare, PROD)


@both
def test_the_chain(hub: Hub, via: str) -> None:
    start = head_of(hub.bare)
    promote(hub, "dev", "1.1.0", "--commit-via", via)
    promote(hub, "test", "1.1.0", "--commit-via", via)
    told = promote(hub, "prod", "", "--promote-from", "test", "--commit-via", via)

    count = git("--git-dir", hub.bare, "rev-list", "--count", f"{start}..main")
    assert count.strip() == b"2"
    assert told["pull-request-operation"] == "created"
    assert (hub.pull.labels, hub.pull.reviewers) == (["production"], ["hubot"])
    assert "- [ ] [Scan](https://scan.example.com)" in hub.pull.body
    assert "as it runs in **test**" in hub.pull.body
    assert b'newTag: "1.1.0"' in file_of(hub.bare, PROD, BRANCH)


@both
def test_a_skip_opens_nothing(hub: Hub, via: str) -> None:
    promote(hub, "dev", "1.1.0", "--commit-via", via)
    promote(hub, "prod", "1.1.0", "--commit-via", via, status=1)

    assert "only from test, which runs `1.0.0` and not `1.1.0`" in hub.err
    assert hub.github.pulls(DEPLOY) == []
    assert hub.branches == set()


@both
def test_a_skip_with_a_reason_says_it_to_the_reviewer(hub: Hub, via: str) -> None:
    reason = "INC-42: <b>down</b> @octocat"
    promote(hub, "prod", "1.1.0", "--override", reason, "--commit-via", via)

    assert "**Order skipped:** INC-42: " in hub.pull.body
    assert "<b>down</b>" not in hub.pull.body
    message = git("--git-dir", hub.bare, "log", "-1", "--format=%B", BRANCH).decode()
    # Without the colon no line of it can be taken for a trailer of its own.
    assert "\nPromotion-Override: INC-42 <b>down</b> @octocat\n" in message


def test_a_body_of_the_call_hides_nothing_that_the_policy_tells(hub: Hub) -> None:
    gates = "Mine=https://mine.example.com"
    given = ("--override", "INC-42", "--gates", gates, "--body", "Hello")
    promote(hub, "prod", "1.1.0", *given)

    assert hub.pull.body.startswith(
        "> **Order skipped:** INC-42\n\nHello\n\n#### Before you approve\n\n"
        "- [ ] [Scan](https://scan.example.com)\n\n<!--"
    )


def test_a_push_is_refused(hub: Hub) -> None:
    before = head_of(hub.bare)
    promote(hub, "prod", "1.1.0", "--promotion-mode", "push", status=1)

    assert ".gitops-promote.yaml:6:11: prod takes pull requests alone" in hub.err
    assert head_of(hub.bare) == before


def test_what_the_call_asks_of_a_pull_request_comes_on_top(hub: Hub) -> None:
    promote(hub, "prod", "1.1.0", "--override", "x", "--labels", "mine,production")

    assert sorted(hub.pull.labels) == ["mine", "production"]


@both
@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_rollback_by_pull_request_holds_once_it_is_merged(
    hub: Hub, via: str, method: Method
) -> None:
    to_prod(hub, "1.1.0", via, method)
    told = rollback(hub, "--commit-via", via)

    assert told["pull-request-operation"] == "created"
    assert hub.pull.title == "Roll back shop to 1.0.0 in prod"
    assert hub.pull.body.startswith("Rolls back **shop** from `1.1.0` to **`1.0.0`** in **prod**.")
    assert "What is undone" in hub.pull.body
    hub.github.merge(DEPLOY, hub.pull.number, method)
    assert b'"1.0.0"' in file_of(hub.bare, PROD)

    again = promote(hub, "prod", "1.1.0", "--commit-via", via)
    assert (again["changed"], again["pull-request-operation"]) == (False, "none")
    assert "prod was rolled back from `1.1.0` to `1.0.0`" in again["reason"]
    for name in ("dev", "test", "prod"):
        newer = promote(hub, name, "1.1.1", "--commit-via", via)
    assert newer["pull-request-operation"] == "created"


@both
def test_an_open_rollback_is_not_undone_by_what_it_takes_back(hub: Hub, via: str) -> None:
    to_prod(hub, "1.1.0", via)
    rollback(hub, "--commit-via", via)
    before = hub.pull
    same = promote(hub, "prod", "1.1.0", "--commit-via", via)

    assert same["pull-request-operation"] == "none"
    assert hub.pull == before
    for name in ("dev", "test", "prod"):
        newer = promote(hub, name, "1.2.0", "--commit-via", via)
    assert newer["pull-request-operation"] == "updated"
    assert hub.pull.title == "Promote shop to 1.2.0 in prod"
    comment = "`1.2.0` takes the place of the rollback to `1.0.0`. Started by "
    assert [one.body.startswith(comment) for one in hub.pull.comments] == [True]
    number = hub.pull.number
    told = f"This takes the place of the rollback to `1.0.0` in pull request #{number}."
    assert told in newer["warnings"]
    again = promote(hub, "prod", "1.2.0", "--commit-via", via)
    assert (again["warnings"], len(hub.pull.comments)) == ([], 1)


@both
def test_a_rollback_takes_the_place_of_an_open_promotion(hub: Hub, via: str) -> None:
    to_prod(hub, "1.1.0", via)
    for name in ("dev", "test", "prod"):
        promote(hub, name, "1.2.0", "--commit-via", via)
    told = rollback(hub, "--commit-via", via)

    assert told["pull-request-operation"] == "updated"
    assert hub.pull.title == "Roll back shop to 1.0.0 in prod"
    assert hub.pull.comments[-1].body.startswith("`1.0.0` supersedes `1.2.0`. ")


def test_a_rollback_is_one_though_somebody_proposed_the_same(hub: Hub) -> None:
    to_prod(hub, "1.1.0", "api")
    promote(hub, "prod", "1.0.0", "--allow-downgrade", "--override", "by hand")
    told = rollback(hub)

    message = git("--git-dir", hub.bare, "log", "-1", "--format=%B", BRANCH).decode()
    assert told["pull-request-operation"] == "updated"
    assert "\nRolled-Back-From: ghcr.io/acme/shop 1.1.0 " in message


def test_a_reason_is_added_to_what_is_open(hub: Hub) -> None:
    for name in ("dev", "test"):
        promote(hub, name, "1.1.0")
    promote(hub, "prod", "1.1.0")
    for name in ("dev", "test"):
        promote(hub, name, "1.2.0")
    told = promote(hub, "prod", "1.1.0", "--override", "INC-7")

    assert told["pull-request-operation"] == "updated"
    assert "**Order skipped:** INC-7" in hub.pull.body


@both
def test_a_late_older_run_leaves_the_pull_request(hub: Hub, via: str) -> None:
    for version in ("1.1.0", "1.2.0"):
        for name in ("dev", "test"):
            promote(hub, name, version, "--commit-via", via)
    promote(hub, "prod", "1.2.0", "--commit-via", via)
    before = hub.pull
    told = promote(hub, "prod", "1.1.0", "--override", "x", "--commit-via", via)

    assert not told["changed"]
    assert "already promotes 1.2.0, which is newer than 1.1.0" in told["reason"]
    assert hub.pull == before


def test_a_rollback_holds_where_a_squash_takes_the_pull_request_s_text(hub: Hub) -> None:
    hub.github.repository(DEPLOY).squash_message = "PR_BODY"
    to_prod(hub, "1.1.0", "api")
    rollback(hub)
    hub.github.merge(DEPLOY, hub.pull.number, "squash")
    again = promote(hub, "prod", "1.1.0")

    assert "Rolled-Back-From" not in hub.pull.body.partition("<!--")[0]
    assert "prod was rolled back from `1.1.0` to `1.0.0`" in again["reason"]


def test_git_goes_on_where_the_server_is_too_old_to_tell_the_history(hub: Hub) -> None:
    hub.github.lacks.add("Commit.file")
    told = promote(hub, "dev", "1.1.0")

    assert told["changed"]
    assert "is too old to read acme/deploy through its API. So git makes the commit." in hub.err
