"""The policy file, read: what it says where, and one error for each mistake."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import Image
from gitops_promote.core.policy.reading import read_policy
from gitops_promote.core.policy.values import After, Environment, Policy, Position
from gitops_promote.core.review.gates import Gate
from policies import FULL, HEAD, MALFORMED, VALID, of_app, of_dev

PATH = ".gitops-promote.yaml"


def read(text: str) -> Policy:
    """Read a policy's text."""
    return read_policy(text.encode(), PATH)


def refused(text: str | bytes) -> PromoteError:
    """The error of a policy."""
    with pytest.raises(PromoteError) as caught:
        read_policy(text.encode() if isinstance(text, str) else text, PATH)
    assert not isinstance(caught.value, UsageError)
    return caught.value


# What it says.


def test_environments_keep_their_order() -> None:
    assert list(read(FULL).environments) == ["dev", "test", "prod"]


def test_an_environment_has_what_the_defaults_say() -> None:
    dev = read(FULL).environments["dev"]

    assert dev == Environment(
        "dev",
        branch="main",
        labels=("promotion",),
        positions={"": Position(7, 3), "labels": Position(4, 11), "branch": Position(5, 11)},
    )


def test_an_environment_says_it_all() -> None:
    prod = read(FULL).environments["prod"]

    assert (prod.mode, prod.branch, prod.allow_override) == ("pull-request", "release/prod", True)
    assert prod.after == After("test", 36 * 3600)
    assert prod.paths == ("apps/*/overlays/prod/**", "clusters/eu/*.yaml")
    assert prod.reviewers == ("octocat", "renovate[bot]")
    assert prod.team_reviewers == ("platform",)
    assert (prod.assignees, prod.labels) == (("hubot",), ("production",))
    assert prod.gates == (Gate("Dashboard", "https://grafana.example.com/d/shop?orgId=1"),)
    assert prod.positions[""] == Position(9, 3)
    assert prod.positions["mode"] == Position(10, 11)
    assert prod.positions["labels"] == Position(18, 13)


def test_an_app() -> None:
    shop = read(FULL).apps["shop"]

    assert shop.images == (
        Image("ghcr.io/acme/shop"),
        Image("localhost:5000/shop-db", "ghcr.io/acme/shop-db"),
    )
    assert shop.source_repositories == ("acme/shop",)
    assert shop.positions["source-repository"] == Position(26, 24)
    assert shop.positions[""] == Position(21, 3)


def test_an_app_has_all_environments_as_they_are_for_it() -> None:
    policy = read(FULL)
    shop, prod = policy.apps["shop"], policy.environments["prod"]
    targets = ("apps/shop/overlays/{environment}", "helm:values/{app}.yaml#web.image")

    assert list(shop.environments) == ["dev", "test", "prod"]
    assert shop.environments["dev"].targets == ("dev/shop",)
    assert shop.environments["dev"].positions["targets"] == Position(29, 18)
    assert shop.environments["test"].targets == targets
    assert shop.environments["test"].positions["targets"] == Position(25, 14)
    assert shop.environments["test"].positions[""] == policy.environments["test"].positions[""]
    assert shop.environments["prod"].reviewers == ("hubot",)
    assert shop.environments["prod"].after == After("dev")
    assert shop.environments["prod"].positions[""] == Position(30, 7)
    assert shop.environments["prod"].labels == prod.labels
    assert "nowhere" not in shop.environments


def test_an_app_that_says_nothing_is_limited_by_nothing_of_its_own() -> None:
    policy = read(FULL)
    blog = policy.apps["blog"]

    assert (blog.images, blog.source_repositories) == ((), ())
    assert dict(blog.environments) == dict(policy.environments)


def test_what_is_merged_gives_way_to_what_is_said() -> None:
    policy = read(VALID[5])

    assert policy.environments["test"].mode == "push"
    assert policy.environments["prod"].mode == "pull-request"
    assert policy.environments["prod"].positions["mode"] == Position(5, 26)


def test_a_merge_key_gives_way_wherever_it_stands() -> None:
    text = HEAD + "  a: &a {mode: push, branch: x}\n  b: {mode: pull-request, <<: *a}\n"

    environment = read(text).environments["b"]

    assert (environment.mode, environment.branch) == ("pull-request", "x")
    assert environment.positions["branch"] == Position(3, 30)


def test_an_empty_list_takes_back_what_the_defaults_say() -> None:
    text = f"version: 1\ndefaults: {{labels: a}}\n{HEAD.partition('1')[2]}  dev: {{labels: []}}\n"

    assert read(text).environments["dev"].labels == ()


@pytest.mark.parametrize(
    ("soak", "seconds"),
    [("0s", 0), ("90s", 90), ("30m", 1800), ("24h", 86400), ("7d", 604800), ("2w", 1209600)],
)
def test_a_soak(soak: str, seconds: int) -> None:
    policy = read(HEAD + f"  test:\n  dev: {{after: {{environment: test, soak: {soak}}}}}\n")

    assert policy.environments["dev"].after == After("test", seconds)


@pytest.mark.parametrize("text", VALID)
def test_what_is_well_formed(text: str) -> None:
    assert read(text).environments


def test_other_encodings() -> None:
    assert read_policy(FULL.encode("utf-8-sig"), PATH) == read(FULL)
    assert read_policy(FULL.encode("utf-16"), PATH) == read(FULL)


# What is malformed.


@pytest.mark.parametrize(("text", "expected", "fix"), MALFORMED)
def test_a_mistake_has_one_error(text: str, expected: str, fix: str) -> None:
    error = refused(text)

    assert f"{error.where}: {error.what}".startswith(f"{PATH}:{expected}")
    assert fix in error.fix
    assert error.fix.endswith((".", "?"))
    assert len(str(error)) < 600


def test_no_text() -> None:
    assert refused(HEAD.encode() + b"  d\xe9v:\n").where == f"{PATH}:3"


def test_no_secret_is_shown() -> None:
    assert "hunter2" not in str(refused(of_dev("gates: 'a=https://me:hunter2@x.example'")))
    assert "hunter2" not in str(refused(of_dev("gates: me:hunter2@x.example")))


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n" * 300_000,
        "version: 1\nenvironments: " + "[" * 3_000 + "]" * 3_000,
        HEAD + "\n".join(f"{' ' * (n + 2)}a:" for n in range(1_000)),
        "a0: &a0 [x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)),
        HEAD
        + "  e0: &e0\n"
        + "".join(f"  e{n}: &e{n} {{<<: *e{n - 1}}}\n" for n in range(1, 3000)),
        HEAD + "".join(f"  e{n}: {{after: e{(n + 1) % 5000}}}\n" for n in range(5000)),
        HEAD + f"  dev: {{{'k' * 500}: 1}}\n",
        of_app(f"targets: '{'{' * 100_000}'"),
        of_app(f"images: '{'a:' * 100_000}'"),
        of_dev(f"gates: '{'a=' * 100_000}'"),
        of_dev(f"branch: '{'a/' * 100_000}'"),
    ],
    ids=range(11),
)
def test_a_hostile_policy_is_refused_in_time(text: str) -> None:
    start = time.monotonic()
    error = refused(text)

    assert time.monotonic() - start < 20
    assert len(str(error)) < 600


def test_what_aliases_share_is_read_once() -> None:
    people = ", ".join(f"x{n}" for n in range(5_000))
    lines = "".join(f"  e{n}: {{reviewers: *people}}\n" for n in range(2_000))
    start = time.monotonic()
    policy = read(f"{HEAD}  e: {{reviewers: &people [{people}]}}\n{lines}")

    assert time.monotonic() - start < 20
    assert policy.environments["e1999"].reviewers[-1] == "x4999"


def test_mappings_that_merge_one_another() -> None:
    chain = "".join(f"  e{n}: &e{n} {{<<: [*e{n - 1}, *e{n - 1}]}}\n" for n in range(1, 50))

    assert read(f"{HEAD}  e0: &e0 {{mode: push}}\n{chain}").environments["e49"].mode == "push"
    assert read(f"{HEAD}  dev: &a\n    <<: *a\n").environments["dev"].mode == ""


LINES = FULL.splitlines()
JUNK = st.sampled_from(
    ["", "~", "1.10", "yes", "[", "{}", "[]", "*a", "&a", "!x", "'", "|", "a: b", "<<: {}", "- a"]
) | st.text(max_size=8)


@given(st.data())
def test_a_policy_with_a_line_changed_reads_or_is_refused(data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        change = data.draw(st.sampled_from(["delete", "double", "retype", "indent", "cut", "swap"]))
        line = lines[at]
        key, colon, _ = line.partition(": ")
        lines[at : at + 1] = {
            "delete": [],
            "double": [line, line],
            "retype": [f"{key}{colon or ' '}{data.draw(JUNK)}"],
            "indent": [f"  {line}"],
            "cut": [line[: data.draw(st.integers(0, len(line)))]],
            "swap": [data.draw(st.sampled_from(LINES)), line],
        }[change]
    content = "\n".join(lines).encode("utf-8", "surrogatepass")

    with suppress(PromoteError):
        assert all(dict(app.environments) for app in read_policy(content, PATH).apps.values())


@given(st.binary(max_size=60))
def test_bytes_read_or_are_refused(content: bytes) -> None:
    with pytest.raises(PromoteError):
        read_policy(content, PATH)
