"""The name of a pull request's branch."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import parse_image
from gitops_promote.core.request import Request
from gitops_promote.core.review.branch import branch_name, is_branch
from gitops_promote.core.targets import parse_target


def request(*images: str, environments: tuple[str, ...] = ("prod",), app: str = "") -> Request:
    items = tuple(parse_image(item) for item in images or ("ghcr.io/acme/shop:1.5.0",))
    targets = (parse_target("apps/shop/overlays/prod", "prod", app),)
    return Request(images=items, targets=targets, environments=environments, app=app)


def test_the_name_says_environment_and_app() -> None:
    assert branch_name("", request(app="store")) == "gitops-promote/prod/store"
    assert branch_name("", request()) == "gitops-promote/prod/shop"


def test_a_version_is_not_in_the_name() -> None:
    names = {branch_name("", request(f"ghcr.io/acme/shop:{tag}")) for tag in ("1.4.1", "1.5.0")}

    assert len(names) == 1


def test_without_an_environment_the_targets_tell_two_promotions_apart() -> None:
    name = branch_name("", request(environments=()))

    assert name.startswith("gitops-promote/apps-shop-overlays-prod-")
    assert name.endswith("/shop")


def test_several_are_all_in_the_name() -> None:
    asked = request("a/web:1", "a/worker:1", environments=("eu", "us"))

    assert branch_name("", asked) == "gitops-promote/eu+us/web+worker"


def test_in_whatever_order_they_are_listed() -> None:
    asked = request("a/worker:1", "a/web:1", environments=("us", "eu"))

    assert branch_name("", asked) == "gitops-promote/eu+us/web+worker"


@pytest.mark.parametrize(("one", "other"), [("eu.prod", "eu-prod"), ("eu/prod", "eu prod")])
def test_what_no_branch_may_be_called_is_still_another(one: str, other: str) -> None:
    names = {branch_name("", request(environments=(name,))) for name in (one, other)}

    assert len(names) == 2
    assert all(name.startswith("gitops-promote/eu-prod") for name in names)


def test_the_name_of_the_second_branch_is_kept_free() -> None:
    with pytest.raises(UsageError, match=r"no `\.next` at the end"):
        branch_name("deploy.next", request())


def test_what_is_too_long_is_cut_and_still_another() -> None:
    many = [f"eu-{number}" for number in range(40)]
    first = branch_name("", request(environments=(*many, "a")))
    second = branch_name("", request(environments=(*many, "b")))

    assert first != second
    assert len(first) < 100


def test_a_template() -> None:
    asked = request(app="store")

    assert branch_name("deploy/{environment}-{app}-{images}", asked) == "deploy/prod-store-shop"
    assert branch_name("refs/heads/x", asked) == "x"


def test_a_template_that_gives_no_branch() -> None:
    with pytest.raises(UsageError, match=r"gives `a\.\.b`, which is no name"):
        branch_name("a..b", request())


@given(
    st.text(min_size=1, max_size=12, alphabet=st.characters(codec="utf-8", exclude_characters="\0"))
)
def test_git_takes_what_is_called_a_branch(name: str) -> None:
    if is_branch(name):
        subprocess.run(
            ["git", "check-ref-format", "--branch", name], check=True, capture_output=True
        )
