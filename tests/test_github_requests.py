"""How many requests a promotion through GitHub's API takes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from calls import SHOP
from github_double import GitHub
from hub import DEPLOY, Hub
from memory import deployment, overlay
from servers import commit_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from github_double import Request

TARGET = ("--target", "apps/shop/overlays/{environment}")
POLICY = """\
version: 1
environments:
  dev: {mode: push}
  prod: {mode: pull-request}
apps:
  shop:
    images: [ghcr.io/acme/shop]
    targets: ["apps/shop/overlays/{environment}"]
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@pytest.fixture
def hub(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> Iterator[Hub]:
    with GitHub(tmp_path) as github:
        record_property("counts:checked by GitHub's own descriptions", github.checked)
        hub = Hub(github, tmp_path, capsys)
        files = {
            "apps/shop/base/kustomization.yaml": "resources:\n  - deployment.yaml\n",
            "apps/shop/base/deployment.yaml": deployment(f"{SHOP}:0.0.0"),
        }
        for name in ("dev", "prod"):
            files[f"apps/shop/overlays/{name}/kustomization.yaml"] = overlay(f"{SHOP}:1.0.0")
        commit_files(hub.bare, {path: text.encode() for path, text in files.items()})
        yield hub


def add_policy(hub: Hub) -> None:
    commit_files(hub.bare, {".gitops-promote.yaml": POLICY.encode()})


def add_files(hub: Hub, count: int) -> None:
    names = (f"apps/other-{n}/overlays/dev/kustomization.yaml" for n in range(count))
    commit_files(hub.bare, dict.fromkeys(names, b"images: []\n"))


def promote(hub: Hub, version: str, *flags: str) -> int:
    """Promote a version, and count the requests for the config repository."""
    return counted(hub, "promote", "--images", f"{SHOP}:{version}", *flags)[1]


def counted(hub: Hub, command: str, *flags: str) -> tuple[dict[str, Any], int]:
    before = len(hub.github.requests)
    given = () if "--environment" in flags else ("--environment", "dev")
    told = hub.run(command, "--app", "shop", *given, *flags)
    asked = [request for request in hub.github.requests[before:] if _is_for_config(request)]
    return told, len(asked)


def _is_for_config(request: Request) -> bool:
    """Whether a request isn't about the app's own commits, as for a pull request's text."""
    return not request.query or request.body["variables"].get("name") != "shop"


@pytest.mark.parametrize("count", [3, 3000])
def test_a_push_takes_two_requests_whatever_the_repository_has(hub: Hub, count: int) -> None:
    add_files(hub, count)

    assert promote(hub, "1.1.0", *TARGET) == 2
    assert promote(hub, "1.2.0", *TARGET) == 2


def test_a_push_takes_two_requests_with_a_policy_and_a_target(hub: Hub) -> None:
    add_policy(hub)

    assert promote(hub, "1.1.0", *TARGET) == 2


def test_where_the_policy_names_the_target_it_takes_one_more(hub: Hub) -> None:
    add_policy(hub)

    assert promote(hub, "1.1.0") == 3


def test_where_nothing_is_to_be_done_it_takes_one(hub: Hub) -> None:
    assert promote(hub, "1.1.0", *TARGET) == 2

    assert promote(hub, "1.1.0", *TARGET) == 1
    assert promote(hub, "1.0.1", *TARGET) == 1  # it is older


@pytest.mark.parametrize("policy", [False, True])
def test_a_lost_race_is_made_good_by_three(hub: Hub, policy: bool) -> None:
    if policy:
        add_policy(hub)
    assert promote(hub, "1.1.0", *(() if policy else TARGET))
    lost: list[str] = []

    def meanwhile(request: Request) -> bool:
        if "createCommitOnBranch" in request.query and not lost:
            lost.append(commit_files(hub.bare, {"other.txt": b"1"}))
        return False

    hub.github.fail(meanwhile, "drop")

    # One looks whether it landed all the same, one fetches, one commits.
    assert promote(hub, "1.2.0", *(() if policy else TARGET)) == (6 if policy else 5)


@pytest.mark.parametrize("policy", [False, True])
def test_a_pull_request_takes_few_requests(hub: Hub, policy: bool) -> None:
    if policy:
        add_policy(hub)
    given = () if policy else (*TARGET, "--promotion-mode", "pull-request")
    flags = ("--environment", "prod", *given)
    more = int(policy)

    # Fetch, find, commit, open, and say that all is done.
    assert promote(hub, "1.1.0", *flags) == 5 + more
    # Fetch, find, fetch and compare its branch, commit, put it in place, comment, look, rewrite.
    assert promote(hub, "1.2.0", *flags) == 9 + more
    assert promote(hub, "1.2.0", *flags) == 4 + more
    assert promote(hub, "1.1.0", *flags) == 2 + more
    assert len(hub.github.pulls(DEPLOY)) == 1


def test_a_rollback_takes_few_requests(hub: Hub) -> None:
    promote(hub, "1.1.0", *TARGET)
    promote(hub, "1.2.0", *TARGET)

    told, asked = counted(hub, "rollback", "--images", SHOP, *TARGET)

    assert told["version"] == "1.1.0"
    assert asked == 4
