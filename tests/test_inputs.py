"""The inputs: read from the environment, checked and typed."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Image
from gitops_promote.inputs import INPUTS, PREFIX, Identity, Inputs, load

NEEDED = {"images": "ghcr.io/acme/shop:1", "target": "values.yaml"}


def read(**values: str) -> Inputs:
    """The inputs by their names, `_` for `-`."""
    merged = {**NEEDED, **values}
    return load({f"{PREFIX}{name.upper()}": value for name, value in merged.items()})


def test_what_is_not_given_has_its_default() -> None:
    inputs = read()

    assert inputs.images == (Image("ghcr.io/acme/shop", None, "1"),)
    assert inputs.targets == ("values.yaml",)
    assert (inputs.promotion_mode, inputs.signoff) == ("", False)
    assert (inputs.app, inputs.config_ref, inputs.environments) == ("", "", ())
    assert (inputs.author, inputs.committer) == (None, None)


def test_what_a_pull_request_is_like() -> None:
    wanted = read(
        labels="prod,urgent",
        reviewers="@octocat\nrenovate[bot]",
        team_reviewers="@acme/platform",
        milestone="7",
        auto_merge="squash",
        delete_branch="false",
    ).pull_request

    assert wanted.labels == ("prod", "urgent")
    assert wanted.reviewers == ("octocat", "renovate[bot]")
    assert wanted.team_reviewers == ("platform",)
    assert (wanted.milestone, wanted.auto_merge) == (7, "squash")
    assert (wanted.draft, wanted.delete_branch) == (False, False)


@pytest.mark.parametrize("name", ["author", "committer", "ssh_key"])
def test_the_api_takes_nothing_that_only_git_does(name: str) -> None:
    with pytest.raises(UsageError, match="Input `commit-via` is `api`, which takes no"):
        read(commit_via="api", **{name: "Ann <ann@example.com>"})


def test_an_input_of_blanks_is_not_given() -> None:
    blanks = {item.name.replace("-", "_"): " \n " for item in INPUTS if item.name not in NEEDED}

    assert read(**blanks) == read()


def test_lists_are_one_item_a_line() -> None:
    inputs = read(images="a:1\r\n  b:2,c:3,\n\na:1", environment="dev, prod\ntest", target="a,b\nc")

    assert [image.name for image in inputs.images] == ["a", "b", "c"]
    assert inputs.environments == ("dev", "prod", "test")
    assert inputs.targets == ("a,b", "c")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("images", "", r"Input `images` \(`--images`\) is missing"),
        ("target", "\n", r"Input `target` \(`--target`\) is missing"),
        ("images", "a:1\na:2", "names `a` 2 times"),
        ("promotion_mode", "merge", "Input `promotion-mode` is `merge`"),
        ("commit_via", "svn", "Input `commit-via` is `svn`"),
        ("title", "Deploy {what}", "Input `title` has the placeholder `{what}`"),
        ("body", "{tables}", "Input `body` has the placeholder `{tables}`"),
        ("body", "```\n{diff}\n```", "within a block of code"),
        ("branch", "deploy/{version}", "Input `branch` has the placeholder `{version}`"),
        ("reviewers", "octo cat", "Input `reviewers` has `octo cat`"),
        ("assignees", "a@example.com", "Input `assignees`"),
        ("team_reviewers", "acme/", "Input `team-reviewers`"),
        ("milestone", "v1", "Input `milestone` is `v1`"),
        ("milestone", "0", "Input `milestone` is `0`"),
        ("auto_merge", "true", "Input `auto-merge` is `true`"),
        ("gates", "Scan", "Input `gates`"),
        ("signoff", "yes", "Input `signoff` is `yes`"),
        ("environment", "../prod", "Input `environment`"),
        ("environment", "a#b", "Input `environment`"),
        ("environment", "*", "Input `environment`"),
        ("environment", "$(id)", "Input `environment`"),
        ("environment", "a:b", "Input `environment`"),
        ("app", "x\ny", "Input `app`"),
        ("app", "{environment}", "Input `app`"),
        ("author", "Ann", "Input `author`"),
        ("author", "<a@b.c>", "Input `author`"),
        ("author", "Ann <a b>", "Input `author`"),
        ("committer", "A <a@b.c>\ncommitter B <b@b.c>", "Input `committer`"),
        ("committer", "A\nB <a@b.c>", "Input `committer`"),
        ("commit_message", "Deploy {what}", "placeholder `{what}`"),
    ],
)
def test_a_wrong_input(name: str, value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read(**{name: value})

    assert raised.value.fix.endswith(".")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": "", "target": "", "app": "x"}, "Input `environment`"),
        ({"images": "", "target": "", "rollback": "true"}, "Input `environment`"),
        ({"to": "1.2.3"}, "`to` without `rollback`"),
        (
            {"images": "a", "rollback": "true", "promote_from": "dev"},
            "`promote-from` and `rollback`",
        ),
        ({"rollback": "true"}, "says more of `[^`]*` than its name, and `rollback`"),
        ({"promote_from": "dev"}, "says more of `[^`]*` than its name, and `promote-from`"),
        (
            {"images": "a", "promote_from": "dev", "environment": "dev"},
            "Input `promote-from` is `dev`, and so is `environment`",
        ),
        ({"promote_from": "../dev"}, "Input `promote-from` has the name"),
        ({"policy_file": "../policy.yaml"}, "Input `policy-file`"),
        ({"policy_file": "/policy.yaml"}, "Input `policy-file`"),
        ({"policy_file": "a//b.yaml"}, "Input `policy-file`"),
    ],
)
def test_inputs_that_don_t_go_together(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        read(**given)

    assert raised.value.fix.endswith(".")


@pytest.mark.parametrize("given", [{"app": "x"}, {"promote_from": "dev"}, {"rollback": "true"}])
def test_what_a_policy_may_fill_in(given: dict[str, str]) -> None:
    inputs = read(images="", target="", environment="prod", **given)

    assert (inputs.images, inputs.targets) == ((), ())


def test_a_person() -> None:
    assert read(author=" Ann B. <ann@example.com> ").author == Identity("Ann B.", "ann@example.com")
    assert str(Identity("Ann", "a@b.c")) == "Ann <a@b.c>"


@given(st.text(alphabet="ab/.-@{~^:?*[\\ \x7f\0_A", min_size=1, max_size=12))
def test_a_branch_is_one_that_git_takes(value: str) -> None:
    try:
        branch = read(config_ref=value).config_ref
    except UsageError:
        return
    if branch:
        check = ["git", "check-ref-format", "--branch", branch]
        assert subprocess.run(check, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "value", ["--upload-pack=touch x", "-c", "refs/tags/v1", "a..b", "main:main", "@", "x.lock"]
)
def test_what_is_no_branch(value: str) -> None:
    with pytest.raises(UsageError, match="Input `config-ref` is"):
        read(config_ref=value)


def test_a_branch_by_its_full_name() -> None:
    assert read(config_ref="refs/heads/feature/x").config_ref == "feature/x"
