"""Promotions by pull request, from call to call, on GitHub as its stand-in plays it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from calls import DEV, SHOP
from github_double import GitHub
from hub import BRANCH, DEPLOY, WRITES, Hub
from servers import commit_files, file_of, git, head_of

if TYPE_CHECKING:
    pass


@pytest.fixture
def hub(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> Iterator[Hub]:
    with GitHub(tmp_path) as github:
        record_property("counts:checked by GitHub's own descriptions", github.checked)
        yield Hub(github, tmp_path, capsys)


both = pytest.mark.parametrize("via", ["api", "git"])


@both
def test_a_pull_request_is_opened(hub: Hub, via: str) -> None:
    told = hub.call("1.2.3", "--commit-via", via, "--labels", "dev", "--gates", "Scan=https://s.io")

    pull = hub.pull
    assert (pull.title, pull.base, pull.head) == ("Promote shop to 1.2.3 in dev", "main", BRANCH)
    assert pull.labels == ["dev"]
    assert "- [ ] [Scan](https://s.io)" in pull.body
    assert hub.commits() == ["Promote shop to 1.2.3 in dev"]
    assert b'newTag: "1.2.3"' in file_of(hub.bare, DEV, BRANCH)
    assert told["pull-request-number"] == pull.number == 1
    assert told["pull-request-url"].endswith("/acme/deploy/pull/1")
    assert (told["pull-request-operation"], told["changed"]) == ("created", True)
    assert told["commit-sha"] == pull.head_sha == head_of(hub.bare, BRANCH)
    assert hub.branches == {BRANCH}


@both
def test_the_same_version_does_nothing(hub: Hub, via: str) -> None:
    hub.call("1.2.3", "--commit-via", via)
    before = hub.pull
    told = hub.call("1.2.3", "--commit-via", via)

    assert hub.pull == before
    assert (told["pull-request-operation"], told["changed"]) == ("none", False)
    assert told["reason"] == "Pull request #1 already has all of it."
    assert told["pull-request-number"] == 1


@both
def test_a_newer_version_updates_it(hub: Hub, via: str) -> None:
    hub.call("1.2.3", "--commit-via", via)
    commit_files(hub.bare, {"other.yaml": b"a: 1\n"})
    told = hub.call("1.3.0", "--commit-via", via)

    pull = hub.pull
    assert (told["pull-request-operation"], told["pull-request-number"]) == ("updated", 1)
    assert pull.title == "Promote shop to 1.3.0 in dev"
    assert "**`1.3.0`**" in pull.body
    assert "1.2.3" not in pull.body
    assert ["`1.3.0` supersedes `1.2.3`" in comment.body for comment in pull.comments] == [True]
    assert hub.commits() == ["Promote shop to 1.3.0 in dev"]
    assert file_of(hub.bare, "other.yaml", BRANCH) == b"a: 1\n"
    assert hub.branches == {BRANCH}


@both
def test_what_came_another_way_closes_it(hub: Hub, via: str) -> None:
    hub.call("1.2.3", "--commit-via", via)
    commit_files(hub.bare, {DEV: file_of(hub.bare, DEV, BRANCH)})
    told = hub.call("1.2.3", "--commit-via", via)

    assert (told["pull-request-operation"], told["changed"]) == ("closed", False)
    assert (hub.pull.state, hub.pull.merged) == ("closed", False)
    assert "already has" in hub.pull.comments[-1].body
    assert hub.branches == set()


def test_both_ways_of_committing_take_over_from_each_other(hub: Hub) -> None:
    for version, via in (("1.0.1", "git"), ("1.0.2", "api"), ("1.0.3", "git"), ("1.0.4", "api")):
        told = hub.call(version, "--commit-via", via)

        assert told["pull-request-number"] == 1
        assert hub.commits() == [f"Promote shop to {version} in dev"]


def test_an_older_version_changes_nothing(hub: Hub) -> None:
    hub.call("1.3.0")
    before = hub.pull
    told = hub.call("1.2.3")

    assert told["reason"].startswith("Pull request #1 already promotes 1.3.0, which is newer")
    assert told["images"] == {SHOP: f"{SHOP}:1.3.0"}
    assert (told["diff"], told["changed-files"], told["changes"]) == ("", [], [])
    assert hub.pull == before


def test_the_version_that_the_base_has_doesnt_close_a_newer_one(hub: Hub) -> None:
    hub.call("1.3.0")
    told = hub.call("1.0.0")

    assert (told["pull-request-operation"], hub.pull.state) == ("none", "open")
    assert "Pull request #1 stays open" in told["reason"]


def test_an_outdated_one_is_closed_when_the_base_goes_past_it(hub: Hub) -> None:
    hub.call("1.2.3")
    newer = file_of(hub.bare, DEV).replace(b'"1.0.0"', b'"1.3.0"')
    commit_files(hub.bare, {DEV: newer})
    hub.call("1.3.0")

    assert hub.pull.state == "closed"


def test_the_work_of_a_person_is_reported(hub: Hub) -> None:
    hub.call("1.2.3")
    commit_files(hub.bare, {"extra.yaml": b"b: 1\n"}, branch=BRANCH)
    mine = head_of(hub.bare, BRANCH)
    told = hub.call("1.3.0")

    assert head_of(hub.bare, BRANCH) == mine
    assert told["reason"].startswith("Pull request #1 has commits of ")
    assert told["warnings"] == [told["reason"]]
    assert "::warning" in hub.err


def test_neither_is_it_closed_then(hub: Hub) -> None:
    hub.call("1.2.3")
    promoted = file_of(hub.bare, DEV, BRANCH)
    commit_files(hub.bare, {"extra.yaml": b"b: 1\n"}, branch=BRANCH)
    commit_files(hub.bare, {DEV: promoted})
    hub.call("1.2.3")

    assert hub.pull.state == "open"
    assert hub.branches == {BRANCH}


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_after_its_merge_the_next_is_another_one(
    hub: Hub, method: Literal["merge", "squash", "rebase"]
) -> None:
    hub.call("1.2.3")
    hub.github.merge(DEPLOY, 1, method=method)
    told = hub.call("1.3.0")

    assert (told["pull-request-operation"], told["pull-request-number"]) == ("created", 2)
    assert hub.commits() == ["Promote shop to 1.3.0 in dev"]
    assert hub.pull.comments == []


def test_the_branch_that_a_merge_left_is_deleted(hub: Hub) -> None:
    hub.call("1.2.3")
    hub.github.merge(DEPLOY, 1, method="squash")
    told = hub.call("1.2.3")

    assert (told["changed"], told["pull-request-operation"]) == (False, "none")
    assert hub.branches == set()


def test_one_that_somebody_closed_is_no_hindrance(hub: Hub) -> None:
    hub.call("1.3.0")
    hub.github.close(DEPLOY, 1)
    told = hub.call("1.2.3")

    assert (told["pull-request-operation"], told["pull-request-number"]) == ("created", 2)
    assert hub.commits() == ["Promote shop to 1.2.3 in dev"]


def test_one_that_conflicts_is_made_anew(hub: Hub) -> None:
    hub.call("1.2.3")
    commit_files(hub.bare, {DEV: file_of(hub.bare, DEV).replace(b'"1.0.0"', b'"1.1.0"')})
    told = hub.call("1.2.3")

    assert told["pull-request-operation"] == "updated"
    assert hub.pull.comments == []
    assert "| `1.1.0` | **`1.2.3`** |" in hub.pull.body
    assert hub.commits() == ["Promote shop to 1.2.3 in dev"]


def test_what_a_person_wrote_into_the_body_stays_until_there_is_something_to_say(hub: Hub) -> None:
    hub.call("1.2.3")
    note = hub.pull.body.replace("#### Roll back", "Mind the cache.\n\n#### Roll back")
    repository = hub.github.repository(DEPLOY)
    repository.edit_pull(repository.pull(1), {"body": note})
    hub.call("1.2.3")
    kept = hub.pull.body
    hub.call("1.3.0")

    assert "Mind the cache." in kept
    assert "Mind the cache." not in hub.pull.body


def test_two_environments_have_a_pull_request_each(hub: Hub) -> None:
    hub.call("1.2.3")
    overlay = DEV.replace("dev", "prod")
    commit_files(hub.bare, {overlay: file_of(hub.bare, DEV)})
    told = hub.call("1.2.3", environment="prod")

    assert told["pull-request-number"] == 2
    assert hub.branches == {BRANCH, "gitops-promote/prod/shop"}


def test_people_labels_and_milestone(hub: Hub) -> None:
    hub.github.add_collaborator(DEPLOY, "hubot")
    hub.github.add_team(DEPLOY, "platform")
    number = hub.github.add_milestone(DEPLOY, "Autumn")
    hub.call(
        "1.2.3",
        *("--labels", "prod,Urgent", "--assignees", "hubot,nobody-here"),
        *("--reviewers", "hubot,stranger", "--team-reviewers", "acme/platform"),
        *("--milestone", str(number), "--draft"),
    )

    pull = hub.pull
    assert pull.draft
    assert pull.labels == ["prod", "Urgent"]
    assert pull.assignees == ["hubot"]
    assert (pull.reviewers, pull.team_reviewers) == (["hubot"], ["platform"])
    assert pull.milestone == number
    assert "GitHub did not assign `nobody-here`" in hub.err
    assert "stranger" in hub.err
    assert hub.err.count("::warning") == 2


def test_a_milestone_that_isnt_there_is_a_warning(hub: Hub) -> None:
    told = hub.call("1.2.3", "--milestone", "9")

    assert told["pull-request-operation"] == "created"
    assert "acme/deploy has no milestone with the number 9" in hub.err


def test_auto_merge_waits_for_the_checks(hub: Hub) -> None:
    hub.github.repository(DEPLOY).allow_auto_merge = True
    hub.github.protect(DEPLOY, "main", checks=("ci",))
    hub.call("1.2.3", "--auto-merge", "squash")
    waiting = (hub.pull.auto_merge, hub.pull.state)
    hub.github.pass_checks(DEPLOY, 1)

    assert waiting == ("squash", "open")
    assert hub.pull.merged
    assert b'newTag: "1.2.3"' in file_of(hub.bare, DEV)


@pytest.mark.parametrize(
    ("allowed", "why"), [(False, "the repository doesn't allow it"), (True, "nothing to wait for")]
)
def test_auto_merge_that_github_refuses_is_a_warning(hub: Hub, allowed: bool, why: str) -> None:
    hub.github.repository(DEPLOY).allow_auto_merge = allowed
    told = hub.call("1.2.3", "--auto-merge", "merge")

    assert told["pull-request-operation"] == "created"
    assert hub.err.count("::warning") == 1
    assert "Pull request #1 won't merge itself" in hub.err
    assert why in hub.err


def test_an_executable_file_is_left_to_git(hub: Hub) -> None:
    commit_files(hub.bare, {DEV: file_of(hub.bare, DEV)}, modes={DEV: "100755"})
    told = hub.call("1.2.3", "--commit-via", "api")

    assert told["pull-request-operation"] == "created"
    assert "So git makes the commit." in hub.err
    mode = git("--git-dir", hub.bare, "ls-tree", BRANCH, DEV).decode().split()[0]
    assert mode == "100755"


@both
def test_a_signoff_names_who_stands_in_the_commit(hub: Hub, via: str) -> None:
    hub.call("1.2.3", "--commit-via", via, "--signoff")
    form = "%cn <%ce>" if via == "git" else "%an <%ae>"
    shown = git("--git-dir", hub.bare, "log", "-1", f"--format={form}%n%B", BRANCH).decode()
    # A server of one's own has no-reply addresses of its own.
    person, message = shown.replace("127.0.0.1", "github.com").split("\n", 1)

    assert f"Signed-off-by: {person}\n" in message


def test_auto_is_the_api_and_what_only_git_does_is_git(hub: Hub) -> None:
    hub.call("1.2.3")
    by_api = any("git-upload-pack" in request.path for request in hub.github.requests)
    person = "Ann <ann@example.com>"
    hub.call("1.3.0", "--author", person)
    shown = git("--git-dir", hub.bare, "log", "-1", "--format=%an <%ae>", BRANCH).decode()

    assert not by_api
    assert shown.strip() == person


@both
def test_a_push_through_either(hub: Hub, via: str) -> None:
    told = hub.call("1.2.3", "--commit-via", via, "--promotion-mode", "push")

    assert told["commit-sha"] == head_of(hub.bare)
    assert b'newTag: "1.2.3"' in file_of(hub.bare, DEV)
    assert hub.github.pulls(DEPLOY) == []


def test_a_dry_run_writes_nothing(hub: Hub) -> None:
    start = head_of(hub.bare)
    told = hub.call("1.2.3", "--promotion-mode", "dry-run")

    assert (told["changed"], told["commit-sha"]) == (True, "")
    assert head_of(hub.bare) == start
    assert hub.branches == set()


def test_a_token_that_may_not_open_pull_requests(hub: Hub) -> None:
    reader = hub.github.add_token("octocat", {DEPLOY: {"contents": "write"}})
    hub.call("1.2.3", status=1, GITOPS_PROMOTE_TOKEN=reader)

    assert "Pull requests: write" in hub.err
    assert "This token may not open a pull request in acme/deploy" in hub.err
    assert hub.branches == set()


def test_the_jobs_own_token_for_another_repository(hub: Hub) -> None:
    own = hub.github.add_token("github-actions[bot]", {})
    hub.call("1.2.3", status=1, GITOPS_PROMOTE_TOKEN=own, GITOPS_PROMOTE_JOB_TOKEN=own)

    assert "its own token never reaches" in hub.err


def test_the_commits_of_the_app_are_in_the_body(hub: Hub) -> None:
    source = hub.github.add_repository("acme/shop", {"a": b"0"})
    old = head_of(source)
    git("--git-dir", source, "tag", "v1.0.0", old)
    commit_files(source, {"a": b"1"})
    commit_files(source, {"a": b"2"})
    own = hub.github.add_token("github-actions[bot]", {"acme/shop": {"contents": "read"}})
    hub.call("1.2.3", GITHUB_SHA=head_of(source), GITOPS_PROMOTE_JOB_TOKEN=own)

    assert f"/acme/shop/compare/{old}...{head_of(source)}" in hub.pull.body
    assert "2 commits" in hub.pull.body


def test_a_branch_that_somebody_made_is_not_taken(hub: Hub) -> None:
    commit_files(hub.bare, {"mine.yaml": b"a: 1\n"}, branch="feature")
    told = hub.call("1.2.3", "--branch", "feature")

    assert told["reason"].startswith("Branch feature has commits of ")
    assert hub.github.pulls(DEPLOY) == []


def test_the_jobs_own_token_starts_no_workflows(hub: Hub) -> None:
    own = hub.github.add_token("github-actions[bot]", {DEPLOY: WRITES})
    hub.call("1.2.3", GITOPS_PROMOTE_TOKEN=own, GITOPS_PROMOTE_JOB_TOKEN=own)

    assert "::notice title=GitOps Promote::Pull request #1 was opened with the job's own" in hub.err


def test_actions_may_be_forbidden_to_open_any(hub: Hub) -> None:
    hub.github.repository(DEPLOY).allow_actions_pull_requests = False
    own = hub.github.add_token("github-actions[bot]", {DEPLOY: WRITES})
    hub.call("1.2.3", status=1, GITOPS_PROMOTE_TOKEN=own, GITOPS_PROMOTE_JOB_TOKEN=own)

    assert "Allow GitHub Actions to create and approve pull requests" in hub.err


def test_the_jobs_own_token_goes_to_no_other_server(hub: Hub) -> None:
    own = {"GITOPS_PROMOTE_TOKEN": hub.token, "GITOPS_PROMOTE_JOB_TOKEN": hub.token}
    elsewhere = ("--config-repository", "https://github.com/acme/deploy")
    for via in ("api", "git"):
        hub.call("1.2.3", *elsewhere, "--commit-via", via, status=2, **own)

        assert "There is no token for acme/deploy of api.github.com" in hub.err
    assert hub.github.requests == []


def test_the_work_of_a_person_that_was_merged_is_no_hindrance(hub: Hub) -> None:
    hub.call("1.2.3")
    commit_files(hub.bare, {"extra.yaml": b"b: 1\n"}, branch=BRANCH)
    hub.github.merge(DEPLOY, 1, method="squash")
    told = hub.call("1.3.0")

    assert told["pull-request-number"] == 2
    assert hub.commits() == ["Promote shop to 1.3.0 in dev"]


@both
@pytest.mark.parametrize("is_merge", [False, True])
def test_a_change_under_our_message_is_found(hub: Hub, via: str, is_merge: bool) -> None:
    hub.call("1.2.3", "--commit-via", via)
    message = git("--git-dir", hub.bare, "log", "-1", "--format=%B", BRANCH).decode()
    ours, base = head_of(hub.bare, BRANCH), head_of(hub.bare)
    commit_files(hub.bare, {"evil.yaml": b"a: 1\n"}, branch=BRANCH)
    tree = git("--git-dir", hub.bare, "rev-parse", f"{BRANCH}^{{tree}}").decode().strip()
    parents = ("-p", ours, "-p", base) if is_merge else ("-p", base)
    made = git("--git-dir", hub.bare, "commit-tree", tree, *parents, "-m", message)
    git("--git-dir", hub.bare, "update-ref", f"refs/heads/{BRANCH}", made.decode().strip())
    told = hub.call("1.3.0", "--commit-via", via)

    assert "Pull request #1 has changes to " in told["reason"]
    assert "`evil.yaml`" in told["reason"]
    assert "::warning" in hub.err
    assert "1.3.0" not in hub.pull.body


def test_other_targets_of_the_same_app_lose_nothing(hub: Hub) -> None:
    values = b"image:\n  repository: ghcr.io/acme/shop\n  tag: 1.0.0\n"
    commit_files(hub.bare, {"values.yaml": values})
    hub.call("1.2.3")
    hub.call("1.2.3", "--target", "values.yaml")
    both_targets = hub.commits()
    hub.call("1.2.3", status=1)

    assert both_targets == ["Promote shop to 1.2.3 in dev"]
    assert "also promotes `values.yaml`, which this call would lose" in hub.err


def test_another_base_has_a_branch_of_its_own(hub: Hub) -> None:
    git("--git-dir", hub.bare, "update-ref", "refs/heads/release", "refs/heads/main")
    hub.call("1.2.3", "--config-ref", "release")
    hub.call("1.2.3", status=1)

    assert "goes to release, and this call to main" in hub.err
    assert (hub.pull.base, hub.pull.state) == ("release", "open")


def test_a_branch_that_is_there_already_is_not_taken(hub: Hub) -> None:
    git("--git-dir", hub.bare, "update-ref", "refs/heads/release", "refs/heads/main")
    start = head_of(hub.bare, "release")
    hub.call("1.2.3", "--branch", "release", status=1)

    assert "There is a branch release already, and it is no promotion's" in hub.err
    assert head_of(hub.bare, "release") == start


def test_neither_is_one_that_is_promoted_to_by_push(hub: Hub) -> None:
    git("--git-dir", hub.bare, "update-ref", "refs/heads/release", "refs/heads/main")
    hub.call("1.2.3", "--promotion-mode", "push", "--config-ref", "release")
    git("--git-dir", hub.bare, "update-ref", "refs/heads/main", "refs/heads/release")
    hub.call("1.3.0", "--branch", "release", status=1)

    assert "There is a branch release already" in hub.err
    assert b'newTag: "1.2.3"' in file_of(hub.bare, DEV, "release")


def test_neither_is_one_that_was_merged_by_people(hub: Hub) -> None:
    git("--git-dir", hub.bare, "update-ref", "refs/heads/release", "refs/heads/main")
    commit_files(hub.bare, {"mine.yaml": b"a: 1\n"}, branch="release")
    start = head_of(hub.bare, "release")
    user = hub.github.state.user("octocat")
    hub.github.repository(DEPLOY).create_pull("Release", "", ("release", "main"), user, draft=False)
    hub.github.merge(DEPLOY, 1, method="squash")
    hub.call("1.2.3", "--branch", "release")

    assert head_of(hub.bare, "release") == start


def test_corrected_inputs_count_for_the_same_version(hub: Hub) -> None:
    hub.github.add_collaborator(DEPLOY, "hubot")
    hub.call("1.2.3", "--reviewers", "hubott")
    told = hub.call("1.2.3", "--reviewers", "hubot", "--gates", "Scan=https://s.io")
    again = hub.call("1.2.3", "--reviewers", "hubot", "--gates", "Scan=https://s.io")

    assert (told["pull-request-operation"], again["pull-request-operation"]) == ("updated", "none")
    assert hub.pull.reviewers == ["hubot"]
    assert "[Scan](https://s.io)" in hub.pull.body
    assert hub.pull.comments == []


def test_going_back_is_said(hub: Hub) -> None:
    stale = hub.call("0.9.0")
    told = hub.call("0.9.0", "--allow-downgrade")

    assert "`0.9.0` is older by semantic versioning" in stale["reason"]
    assert (stale["changed"], stale["pull-request-operation"]) == (False, "none")
    assert told["warnings"] == ["This goes back to an older version: `0.9.0` after `1.0.0`."]
    assert "> [!WARNING]" in hub.pull.body


def test_a_body_that_cannot_be_written_leaves_nothing_behind(hub: Hub) -> None:
    for body in ("```\n{diff}\n```", "x" * 66_000):
        hub.call("1.2.3", "--body", body, status=2)

        assert hub.branches == set()


def test_nobody_has_to_be_known_for_the_api(hub: Hub) -> None:
    told = hub.call("1.2.3", GITHUB_ACTIONS="false")

    assert told["pull-request-operation"] == "created"


def test_a_comment_that_is_refused_keeps_nothing_up(hub: Hub) -> None:
    hub.call("1.2.3")
    hub.github.fail(lambda request: request.path.endswith("/comments"), 403)
    told = hub.call("1.3.0")

    assert told["pull-request-operation"] == "updated"
    assert hub.pull.title == "Promote shop to 1.3.0 in dev"
    assert "comment on pull request #1" in hub.err


def test_of_several_images_those_that_change_are_looked_at(hub: Hub) -> None:
    values = b"image: {repository: acme/web, tag: 2.0.0}\n"
    commit_files(hub.bare, {"values.yaml": values})
    two = ("--images", "acme/web:2.0.0", "--target", "values.yaml", "--app", "shop")
    hub.call("1.2.3", *two)
    updated = hub.call("1.3.0", *two)
    commit_files(hub.bare, {"evil.yaml": b"a: 1\n"}, branch=BRANCH)
    message = git("--git-dir", hub.bare, "log", "-1", "--format=%B", f"{BRANCH}^").decode()
    tree = git("--git-dir", hub.bare, "rev-parse", f"{BRANCH}^{{tree}}").decode().strip()
    made = git("--git-dir", hub.bare, "commit-tree", tree, "-p", "main", "-m", message)
    git("--git-dir", hub.bare, "update-ref", f"refs/heads/{BRANCH}", made.decode().strip())
    told = hub.call("1.4.0", *two)

    assert updated["pull-request-operation"] == "updated"
    assert "`evil.yaml`" in told["reason"]


@both
def test_a_merge_of_the_base_may_be_replaced(hub: Hub, via: str) -> None:
    hub.call("1.2.3", "--commit-via", via)
    commit_files(hub.bare, {"other.yaml": b"a: 1\n"})
    parents = ("-p", head_of(hub.bare, BRANCH), "-p", head_of(hub.bare))
    merged = git("--git-dir", hub.bare, "merge-tree", "--write-tree", BRANCH, "main")
    tree = merged.decode().split()[0]
    made = git("--git-dir", hub.bare, "commit-tree", tree, *parents, "-m", "Merge branch 'main'")
    git("--git-dir", hub.bare, "update-ref", f"refs/heads/{BRANCH}", made.decode().strip())
    told = hub.call("1.3.0", "--commit-via", via)

    assert told["pull-request-operation"] == "updated"
    assert hub.commits() == ["Promote shop to 1.3.0 in dev"]


def test_a_branch_ahead_of_the_base_that_is_promoted_to_by_push(hub: Hub) -> None:
    git("--git-dir", hub.bare, "update-ref", "refs/heads/release", "refs/heads/main")
    hub.call("1.2.3", "--promotion-mode", "push", "--config-ref", "release")
    start = head_of(hub.bare, "release")
    told = hub.call("1.3.0", "--branch", "release")

    assert told["reason"].startswith("Branch release has commits of ")
    assert head_of(hub.bare, "release") == start


def test_a_name_that_the_file_spells_otherwise(hub: Hub) -> None:
    overlay = b"images:\n- name: shop\n  newName: ghcr.io/acme/shop\n  newTag: 1.0.0\n"
    commit_files(hub.bare, {"o/kustomization.yaml": overlay})
    hub.call("1.2.3", environment="x", target="o", images="shop:1.2.3")
    older = hub.call("1.2.2", environment="x", target="o", images="shop:1.2.2")
    hub.call("1.3.0", environment="x", target="o", images="shop:1.3.0")
    promoted = file_of(hub.bare, "o/kustomization.yaml", "gitops-promote/x/shop")
    commit_files(hub.bare, {"o/kustomization.yaml": promoted})
    told = hub.call("1.3.0", environment="x", target="o", images="shop:1.3.0")

    assert older["images"] == {"shop": "shop:1.2.3"}
    assert told["pull-request-operation"] == "closed"


def test_a_place_that_the_base_got_meanwhile_is_promoted_too(hub: Hub) -> None:
    glob = "apps/*/overlays/{environment}"
    hub.call("1.2.3", target=glob)
    late = "apps/late/overlays/dev/kustomization.yaml"
    commit_files(hub.bare, {late: file_of(hub.bare, DEV)})
    told = hub.call("1.2.3", target=glob)

    assert told["pull-request-operation"] == "updated"
    assert b'"1.2.3"' in file_of(hub.bare, late, BRANCH)
