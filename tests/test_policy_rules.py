"""Each rule of a policy, broken and kept: what a call may do, and what is filled in for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import Image, parse_image
from gitops_promote.core.locate import Located
from gitops_promote.core.policy.places import check_places
from gitops_promote.core.policy.reading import read_policy
from gitops_promote.core.policy.rules import (
    Asked,
    Ruling,
    branch_of,
    rule,
    targets_of,
)
from gitops_promote.core.policy.values import Policy
from gitops_promote.core.targets import parse_target

PATH = ".gitops-promote.yaml"
POLICY = """\
version: 1
environments:
  dev: {mode: push}
  test: {mode: push, after: dev}
  prod:
    mode: pull-request
    after: {environment: test, soak: 24h}
    branch: live
    paths: ["apps/*/overlays/prod/**"]
apps:
  shop:
    images: [ghcr.io/acme/shop, app-image=ghcr.io/acme/shop-worker]
    targets: ["apps/shop/overlays/{environment}"]
    source-repository: acme/shop
  web:
    images: [ghcr.io/acme/web]
    targets: ["values/web-*.yaml#web.image"]
    environments:
      prod: {mode: push, branch: main, paths: []}
"""
SHOP = Asked(environments=("dev",), app="shop", repository="acme/shop")


def policy(text: str = POLICY) -> Policy:
    """A policy."""
    return read_policy(text.encode(), PATH)


def ruled(asked: Asked = SHOP, text: str = POLICY, **changes: Any) -> Ruling:  # noqa: ANN401
    """What the policy makes of a call."""
    return rule(policy(text), replace(asked, **changes), "main")


def refused(asked: Asked = SHOP, text: str = POLICY, **changes: Any) -> str:  # noqa: ANN401
    """Why the policy refuses a call."""
    with pytest.raises(PromoteError) as error:
        ruled(asked, text, **changes)
    return str(error.value)


def images(*items: str) -> tuple[Image, ...]:
    """Images as the input has them."""
    return tuple(map(parse_image, items))


def places(ruling: Ruling, *found: tuple[str, str]) -> list[Located]:
    """Files, each with the line of `target` that led there."""
    environment = ruling.environments[0].name
    return [
        Located(
            parse_target(line, environment, ruling.app),
            path,
            "kustomize" if path.endswith("kustomization.yaml") else "helm",
        )
        for path, line in found
    ]


def test_without_a_policy_all_is_as_asked() -> None:
    asked = Asked(("dev",), "x", images("a/b:1"), ("apps/{app}/{environment}",), "", "next")
    ruling = rule(None, asked, "main")

    assert [target.path for target in ruling.targets] == ["apps/x/dev"]
    assert (ruling.mode, ruling.branch, ruling.app) == ("push", "next", "x")
    assert ruling.images == images("a/b:1")


def test_an_app_brings_its_images_and_targets() -> None:
    ruling = ruled()

    assert [image.name for image in ruling.images] == ["ghcr.io/acme/shop", "app-image"]
    assert [target.path for target in ruling.targets] == ["apps/shop/overlays/dev"]
    assert (ruling.mode, ruling.branch) == ("push", "main")


def test_an_environment_must_be_one_of_the_policy() -> None:
    assert refused(environments=("prd",)) == (
        f"{PATH}: The policy has no environment `prd`. Did you mean `prod`? "
        "It has `dev`, `test`, `prod`."
    )


def test_an_environment_must_be_named() -> None:
    with pytest.raises(UsageError, match="Input `environment`"):
        ruled(environments=())


def test_an_app_must_be_one_of_the_policy() -> None:
    assert "The policy has no app `shoop`. Did you mean `shop`?" in refused(app="shoop")


def test_a_call_without_an_app_is_that_of_its_images() -> None:
    ruling = ruled(app="", images=images("ghcr.io/acme/shop:1"))

    assert ruling.app == "shop"


@pytest.mark.parametrize("items", [[], ["ghcr.io/acme/other:1"]])
def test_a_call_that_can_be_no_app_s_or_several_ones(items: list[str]) -> None:
    text = POLICY.replace("[ghcr.io/acme/web]", "[ghcr.io/acme/web, ghcr.io/acme/shop]")

    assert "Input `app` (`--app`) is missing" in refused(app="", images=images(*items))
    both = refused(text=text, app="", images=images("ghcr.io/acme/shop:1"))
    assert "several apps with `ghcr.io/acme/shop`" in both


def test_where_the_policy_has_no_apps_any_will_do() -> None:
    text = POLICY[: POLICY.index("apps:")]
    asked = Asked(("dev",), "any", images("a/b:1"), ("x.yaml",))

    assert ruled(asked, text).app == "any"


@pytest.mark.parametrize(
    "item",
    [
        "ghcr.io/acme/shop:1",
        "app-image:1",
        "ghcr.io/acme/shop-worker:1",
        "app-image=ghcr.io/acme/shop-worker:1",
    ],
)
def test_an_image_of_the_app(item: str) -> None:
    assert ruled(images=images(item)).images == images(item)


@pytest.mark.parametrize(
    "item",
    [
        "ghcr.io/acme/web:1",
        "ghcr.io/acme/shop=ghcr.io/evil/shop:1",
        "ghcr.io/acme/web=ghcr.io/acme/shop:1",
        "app-image=app-image:1",
        "ghcr.io/acme/shop=ghcr.io/acme/shop-worker:1",
        "app-image=ghcr.io/acme/shop:1",
    ],
)
def test_an_image_that_is_not_the_app_s(item: str) -> None:
    said = refused(images=images("ghcr.io/acme/shop:1", item))

    assert said.startswith(f"{PATH}:12:")
    assert "is no image of shop" in said


def test_a_spelling_of_docker_hub_is_the_same_image() -> None:
    text = POLICY.replace("[ghcr.io/acme/web]", "[nginx]")

    ruling = ruled(text=text, app="web", images=images("docker.io/library/nginx:1"))

    assert ruling.app == "web"


@pytest.mark.parametrize("repository", ["acme/shop", "Acme/Shop"])
def test_the_source_repository_of_the_app(repository: str) -> None:
    assert ruled(repository=repository).app == "shop"


@pytest.mark.parametrize("repository", ["evil/shop", "acme/shop-2", ""])
def test_another_source_repository(repository: str) -> None:
    said = refused(repository=repository)

    assert said.startswith(f"{PATH}:14:")
    assert "not" in said.lower() or "no job" in said.lower()


def test_a_person_who_rolls_back_needs_no_source_repository() -> None:
    assert ruled(repository="", is_by_hand=True).app == "shop"


def test_a_push_where_the_policy_says_pull_request() -> None:
    said = refused(environments=("prod",), mode="push")

    assert said == (
        f"{PATH}:6:11: prod takes pull requests alone, and this call asks to push. "
        "Leave `promotion-mode` out, or set it to `pull-request`."
    )


@pytest.mark.parametrize(
    ("environment", "asked", "mode"),
    [
        ("prod", "", "pull-request"),
        ("prod", "pull-request", "pull-request"),
        ("prod", "dry-run", "dry-run"),
        ("dev", "", "push"),
        ("dev", "push", "push"),
        ("dev", "pull-request", "pull-request"),
    ],
)
def test_a_mode_that_the_policy_allows(environment: str, asked: str, mode: str) -> None:
    assert ruled(environments=(environment,), mode=asked).mode == mode


def test_the_strictest_mode_counts_for_all() -> None:
    text = POLICY.replace("    branch: live\n", "")

    assert ruled(text=text, environments=("dev", "prod")).mode == "pull-request"
    assert "prod takes pull requests alone" in refused(
        text=text, environments=("dev", "prod"), mode="push"
    )


def test_what_the_policy_says_of_an_app_goes_before() -> None:
    ruling = ruled(app="web", environments=("prod",))

    assert (ruling.mode, ruling.branch) == ("push", "main")


@pytest.mark.parametrize("asked", ["", "live"])
def test_the_branch_of_an_environment(asked: str) -> None:
    assert ruled(environments=("prod",), branch=asked).branch == "live"


@pytest.mark.parametrize(
    ("environment", "asked", "own"), [("prod", "main", "live"), ("dev", "live", "main")]
)
def test_another_branch(environment: str, asked: str, own: str) -> None:
    said = refused(environments=(environment,), branch=asked)

    assert f"{environment} is on branch {own}, and this call asks for {asked}." in said


def test_environments_on_several_branches() -> None:
    assert "One call changes one branch: dev is on main, prod is on live." in refused(
        environments=("dev", "prod")
    )


def test_a_file_that_is_the_app_s() -> None:
    ruling = ruled()
    own = "apps/shop/overlays/dev"

    check_places(ruling, places(ruling, (f"{own}/kustomization.yaml", own)))
    check_places(ruling, places(ruling, (f"{own}/kustomization.yaml", "apps/*/overlays/dev")))


@pytest.mark.parametrize(
    "path",
    [
        "apps/web/overlays/dev/kustomization.yaml",
        "apps/shop/overlays/prod/kustomization.yaml",
        "apps/shop/overlays/dev/sub/kustomization.yaml",
        "apps/shop/overlays/dev-2/kustomization.yaml",
    ],
)
def test_a_file_that_is_not_the_app_s(path: str) -> None:
    ruling = ruled(targets=("apps/**",))

    with pytest.raises(PromoteError) as error:
        check_places(ruling, places(ruling, (path, "apps/**")))

    assert str(error.value).startswith(f"{PATH}:13:")
    assert f"`{path}` is no target of shop in dev." in str(error.value)


def test_a_key_of_the_policy_s_target_counts() -> None:
    ruling = ruled(app="web")

    check_places(ruling, places(ruling, ("values/web-1.yaml", "values/web-1.yaml#web.image")))
    for line in ("values/web-1.yaml", "values/web-1.yaml#billing.image"):
        with pytest.raises(PromoteError, match="is no target of web in dev"):
            check_places(ruling, places(ruling, ("values/web-1.yaml", line)))


def test_paths_of_an_environment() -> None:
    text = POLICY.replace('    targets: ["apps/shop/overlays/{environment}"]\n', "")
    ruling = ruled(text=text, environments=("prod",), targets=("apps/**",))

    check_places(ruling, places(ruling, ("apps/shop/overlays/prod/values.yaml", "apps/**")))
    with pytest.raises(PromoteError) as error:
        check_places(ruling, places(ruling, ("apps/shop/base/values.yaml", "apps/**")))
    assert str(error.value).startswith(f"{PATH}:9:")
    assert "`apps/shop/base/values.yaml` is outside of what prod may change." in str(error.value)


def test_a_call_without_targets_where_the_policy_has_none() -> None:
    text = POLICY.replace('    targets: ["apps/shop/overlays/{environment}"]\n', "")

    with pytest.raises(UsageError, match="Input `target`"):
        ruled(text=text)


def test_where_another_environment_is() -> None:
    ruling = ruled(environments=("test",))

    assert [target.path for target in targets_of(ruling, SHOP, "dev")] == ["apps/shop/overlays/dev"]
    assert (branch_of(ruling, "dev"), branch_of(ruling, "prod")) == ("main", "live")


def test_where_another_environment_is_by_the_call_alone() -> None:
    asked = Asked(("prod",), targets=("apps/{environment}",))
    ruling = rule(None, asked, "main")

    assert [target.path for target in targets_of(ruling, asked, "test")] == ["apps/test"]
    # What is the same in both tells nothing of the other.
    fixed = replace(asked, targets=("apps/{environment}", "apps/prod"))
    with pytest.raises(PromoteError, match="Nobody tells what test consists of"):
        targets_of(rule(None, fixed, "main"), fixed, "test")
