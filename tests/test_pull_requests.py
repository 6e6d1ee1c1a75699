"""Pull requests on GitHub, one request at a time, against the stand-in."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from github_double import GitHub as Server
from gitops_promote.core.errors import MovedHeadError, RetryableError
from gitops_promote.core.review.proposal import PullRequest, seal
from gitops_promote.core.review.text import PullRequestText
from gitops_promote.effects.config_repository import Head, NewCommit
from gitops_promote.effects.github.client import GitHub
from gitops_promote.effects.github.config_repository import ApiRepository
from gitops_promote.effects.github.errors import GitHubError
from gitops_promote.effects.github.pull_requests import MOST_COMMITS, PullRequests
from gitops_promote.inputs import Identity, PullRequestInputs
from servers import commit_files, git, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from github_double import Request

NAME = "acme/deploy"
BRANCH = "gitops-promote/dev/shop"
TEXT = PullRequestText("Promote shop", "To dev.")
OURS = "Promote shop to {0} in dev\n\nPromoted-Image: ghcr.io/acme/shop 1.0.0 -> {0}\n"
ANN = Identity("Ann", "ann@example.com")
NOTHING = PullRequestInputs(
    branch="",
    title="",
    body="",
    labels=(),
    assignees=(),
    reviewers=(),
    team_reviewers=(),
    milestone=0,
    draft=False,
    delete_branch=True,
    auto_merge="",
    gates=(),
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@pytest.fixture
def server(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[Server]:
    with Server(tmp_path) as server:
        server.add_repository(NAME, {"a.yaml": b"tag: 1\n"})
        yield server
    record_property("counts:checked by GitHub's own descriptions", server.checked)


@pytest.fixture
def bare(server: Server) -> Path:
    return server.repository(NAME).bare


@pytest.fixture
def github(server: Server) -> Iterator[GitHub]:
    token = server.add_token("octocat", {NAME: {"contents": "write", "pull_requests": "write"}})
    with GitHub(server.environ["GITHUB_API_URL"], token, own_token=False, timeout=20) as github:
        yield github


@pytest.fixture
def pulls(github: GitHub) -> PullRequests:
    return PullRequests(github, NAME)


@pytest.fixture
def base(bare: Path) -> Head:
    return Head("main", head_of(bare))


@pytest.fixture
def branch(bare: Path, base: Head) -> str:
    git("--git-dir", bare, "branch", BRANCH, base.branch)
    return commit_files(bare, {"a.yaml": b"tag: 2\n"}, BRANCH)


@pytest.fixture
def pull(pulls: PullRequests, branch: str) -> PullRequest:
    assert branch
    return pulls.open(BRANCH, "main", TEXT, draft=False)


def posts(path: str) -> Callable[[Request], bool]:
    return lambda request: request.method == "POST" and request.path.endswith(path)


def asks(word: str) -> Callable[[Request], bool]:
    return lambda request: word in request.query


def invalid(*errors: object) -> dict[str, object]:
    """The answer to what GitHub refuses for its values."""
    return {"message": "Validation Failed", "errors": list(errors)}


def custom(message: str) -> dict[str, str]:
    return {"resource": "PullRequest", "code": "custom", "message": message}


# --- finding ---


def test_a_pull_request_is_found_with_its_branch(
    pulls: PullRequests, pull: PullRequest, base: Head, branch: str
) -> None:
    found = pulls.find(BRANCH, base)

    assert found.pull_request == pull
    assert (found.commit, found.message.strip()) == (branch, "A commit")
    assert [commit.parents for commit in found.commits] == [(base.commit,)]
    assert (found.is_whole, found.is_over) == (True, False)


def test_where_there_is_no_branch_there_is_nothing(pulls: PullRequests, base: Head) -> None:
    assert pulls.find(BRANCH, base).commit == ""


def test_branches_of_forks_hide_nothing(
    server: Server, pulls: PullRequests, base: Head, branch: str
) -> None:
    for number in range(25):
        server.open_from_fork(NAME, BRANCH, f"stranger{number}")
    opened = pulls.open(BRANCH, "main", TEXT, draft=False)
    one = pulls.find(BRANCH, base)
    server.close(NAME, opened.number)
    for number in range(25):
        server.close(NAME, server.open_from_fork(NAME, BRANCH, f"late{number}"))
    other = pulls.find(BRANCH, base)

    assert one.pull_request == opened
    assert (other.pull_request, other.is_over, other.commit) == (None, True, branch)


def test_a_closed_one_from_a_fork_is_not_ours(
    server: Server, pulls: PullRequests, bare: Path, base: Head
) -> None:
    git("--git-dir", bare, "branch", BRANCH, "main")
    # It has the very commit that the branch is at.
    server.close(NAME, server.open_from_fork(NAME, BRANCH))

    assert pulls.find(BRANCH, base).is_over is False


def test_one_that_is_from_another_repository_is_never_taken(
    server: Server, pulls: PullRequests, base: Head, branch: str
) -> None:
    pull = {"id": "PR_1", "number": 7, "isCrossRepository": True}
    over = {"headRefOid": branch, "isCrossRepository": True}
    ref = {"target": node(branch), "open": {"nodes": [pull]}, "over": {"nodes": [over, None]}}
    found_there = {"ref": ref, "base": {"compare": None}}
    server.fail(asks("over:"), 200, answer={"data": {"repository": found_there}})

    found = pulls.find(BRANCH, base)

    assert (found.pull_request, found.is_over) == (None, False)


def test_what_has_nothing_in_common_with_the_base_is_not_ours(
    pulls: PullRequests, bare: Path, base: Head
) -> None:
    commit = commit_files(bare, {"other.yaml": b"a: 1\n"}, BRANCH)

    found = pulls.find(BRANCH, base)

    assert ([one.id for one in found.commits], found.is_whole) == ([commit], False)
    assert [one.id for one in found.strangers] == [commit]


def test_a_branch_that_moves_while_it_is_looked_at_is_looked_at_again(
    server: Server, pulls: PullRequests, base: Head, branch: str
) -> None:
    ahead = {"aheadBy": 1, "commits": {"nodes": [node("f" * 40)]}}
    for base_there in (None, {"compare": ahead}):
        found = {"ref": there(branch), "base": base_there}
        server.fail(asks("compare("), 200, answer={"data": {"repository": found}})

        with pytest.raises(MovedHeadError):
            pulls.find(BRANCH, base)

    assert pulls.find(BRANCH, base).commit == branch


def there(oid: str) -> dict[str, Any]:
    return {"target": node(oid), "open": {"nodes": []}, "over": {"nodes": []}}


def node(oid: str, *parents: str) -> dict[str, Any]:
    names = [{"oid": parent} for parent in parents]
    return {"oid": oid, "message": "m", "author": None, "parents": {"nodes": names}}


@pytest.mark.parametrize("order", ["012", "210", "102"])
def test_commits_are_newest_first_in_whatever_order_they_come(
    server: Server, pulls: PullRequests, bare: Path, base: Head, order: str
) -> None:
    git("--git-dir", bare, "branch", BRANCH, "main")
    made = [commit_files(bare, {"b": b"%d" % number}, BRANCH) for number in range(3)]
    nodes = [
        node(commit, parent) for commit, parent in zip(made, [base.commit, *made[:-1]], strict=True)
    ]
    ahead = {"aheadBy": 3, "commits": {"nodes": [nodes[int(place)] for place in order]}}
    found = {"ref": there(made[-1]), "base": {"compare": ahead}}
    server.fail(asks("compare("), 200, answer={"data": {"repository": found}})

    proposal = pulls.find(BRANCH, base)

    assert [commit.id for commit in proposal.commits] == made[::-1]
    assert proposal.base == made[1]


def test_a_merge_of_the_base_is_newest(pulls: PullRequests, bare: Path, base: Head) -> None:
    git("--git-dir", bare, "branch", BRANCH, "main")
    ours = commit_files(bare, {"b": b"1"}, BRANCH)
    theirs = commit_files(bare, {"c": b"1"})
    tree = f"{BRANCH}^{{tree}}"
    merged = git("--git-dir", bare, "commit-tree", tree, "-p", ours, "-p", theirs, "-m", "Merge")
    git("--git-dir", bare, "update-ref", f"refs/heads/{BRANCH}", merged.decode().strip())

    found = pulls.find(BRANCH, replace(base, commit=theirs))

    assert [commit.id for commit in found.commits] == [merged.decode().strip(), ours]
    assert found.commits[0].is_merge
    assert found.base == theirs


def test_more_commits_than_are_looked_at_are_not_whole(
    pulls: PullRequests, bare: Path, base: Head
) -> None:
    git("--git-dir", bare, "branch", BRANCH, "main")
    made = [commit_files(bare, {"b": b"%d" % n}, BRANCH) for n in range(MOST_COMMITS + 2)]

    found = pulls.find(BRANCH, base)

    assert not found.is_whole
    assert [commit.id for commit in found.commits] == made[:1:-1]


def test_commits_of_the_api_are_ours_whatever_address_the_server_commits_by(
    server: Server, github: GitHub, pulls: PullRequests, bare: Path
) -> None:
    server.web.address = "web@ghe.example.com"

    with ApiRepository(github, NAME) as repository:
        for version in ("1.1.0", "1.2.0"):
            base = repository.fetch("main")
            found = pulls.find(BRANCH, base)
            files = {"a.yaml": f"tag: {version}\n".encode()}
            message = seal(OURS.format(version), BRANCH, base.commit, files)
            new = NewCommit(files, message, ANN, ANN)
            commit = repository.reset(Head(BRANCH, found.commit), base, new)
            assert found.strangers == []
    now = pulls.find(BRANCH, base)

    shown = git("--git-dir", bare, "log", "-1", "--format=%ce", BRANCH).decode().strip()
    assert shown == "web@ghe.example.com"
    assert (now.commit, now.strangers) == (commit, [])
    assert now.promoted is not None
    assert now.promoted.version == "1.2.0"


# --- whether it holds ---


def test_a_branch_holds_a_commit_for_an_open_pull_request(
    server: Server, pulls: PullRequests, pull: PullRequest, branch: str, base: Head
) -> None:
    held = pulls.holds(BRANCH, branch, pull), pulls.holds(BRANCH, base.commit, pull)
    server.close(NAME)

    assert held == (True, False)
    assert not pulls.holds(BRANCH, branch, pull)


def test_one_that_github_does_not_know_yet_is_not_held(
    server: Server, pulls: PullRequests, pull: PullRequest, branch: str
) -> None:
    assert pulls.holds(BRANCH, branch, pull)  # by what it was opened with
    empty = {"ref": {"target": {"oid": branch}}, "pullRequest": None}
    server.fail(asks("pullRequest("), 200, answer={"data": {"repository": empty}})

    assert not pulls.holds(BRANCH, branch, pull)
    # And as the stand-in has no such pull request, with GitHub's words.
    assert not pulls.holds(BRANCH, branch, replace(pull, number=9))


def test_what_the_last_answer_told_is_not_asked_again(
    server: Server, pulls: PullRequests, pull: PullRequest, branch: str
) -> None:
    opened = len(server.requests)
    assert pulls.holds(BRANCH, branch, pull)
    assert len(server.requests) == opened
    assert pulls.holds(BRANCH, branch, pull)
    assert len(server.requests) == opened + 1

    pulls.rewrite(pull, "main", TEXT)
    assert pulls.holds(BRANCH, branch, pull)
    assert len(server.requests) == opened + 2

    pulls.rewrite(pull, "main", TEXT)
    pulls.comment(pull, "In between")
    assert pulls.holds(BRANCH, branch, pull)
    assert len(server.requests) == opened + 5


@pytest.mark.parametrize("change", ["moved", "deleted", "closed"])
def test_a_change_before_the_text_is_written_is_seen_by_the_answer(
    server: Server, pulls: PullRequests, bare: Path, pull: PullRequest, branch: str, change: str
) -> None:
    if change == "moved":
        commit_files(bare, {"c": b"1"}, BRANCH)
    elif change == "deleted":
        git("--git-dir", bare, "update-ref", "-d", f"refs/heads/{BRANCH}")
    else:
        server.close(NAME)

    pulls.rewrite(pull, "main", TEXT)

    assert not pulls.holds(BRANCH, branch, pull)


def test_a_server_that_has_nothing_to_compare_with_may_say_so(
    server: Server, pulls: PullRequests, base: Head
) -> None:
    said = {"type": "NOT_FOUND", "message": "Could not resolve to a ref."}
    nothing = {"repository": {"ref": None, "base": {"compare": None}}}
    server.fail(asks("compare("), 200, answer={"data": nothing, "errors": [said]})

    assert pulls.find(BRANCH, base).commit == ""


def test_a_branch_that_is_there_and_can_t_be_compared_is_an_error(
    server: Server, pulls: PullRequests, base: Head, branch: str
) -> None:
    assert branch
    said = {"type": "NOT_FOUND", "message": "Could not resolve to a ref."}
    server.fail(asks("compare("), 200, answer={"data": None, "errors": [said]})

    with pytest.raises(GitHubError, match="resolve to a ref"):
        pulls.find(BRANCH, base)


def test_a_repository_that_is_not_there_is_another_matter(github: GitHub) -> None:
    with pytest.raises(GitHubError, match="to a Repository"):
        PullRequests(github, "acme/none").holds(BRANCH, "1", PullRequest(1, "", "", "main"))


# --- opening ---


def test_it_is_opened_as_it_is_to_be(server: Server, pulls: PullRequests, branch: str) -> None:
    pull = pulls.open(BRANCH, "main", TEXT, draft=True)

    made = server.pull(NAME)
    assert (pull.number, pull.base, pull.body) == (1, "main", TEXT.body)
    assert pull.url == f"{server.url}/{NAME}/pull/1"
    assert (made.title, made.body, made.draft, made.head_sha) == (
        "Promote shop",
        "To dev.",
        True,
        branch,
    )


@pytest.mark.parametrize(
    "errors",
    [
        [{"resource": "PullRequest", "field": "head", "code": "invalid"}],
        [{"resource": "PullRequest", "field": "head_sha", "code": "missing_field"}],
        [
            custom(text)
            for text in (
                "Head sha can't be blank",
                "Base sha can't be blank",
                "No commits between main and gitops-promote/dev/shop",
                "Head ref must be a branch",
            )
        ],
    ],
    ids=["invalid", "missing", "blank"],
)
def test_a_branch_that_github_does_not_know_yet_is_waited_for(
    server: Server, pulls: PullRequests, branch: str, errors: list[object]
) -> None:
    server.fail(posts("/pulls"), 422, answer=invalid(*errors))

    with pytest.raises(RetryableError, match="does not know of the new commit") as raised:
        pulls.open(BRANCH, "main", TEXT, draft=False)

    assert not isinstance(raised.value, MovedHeadError)
    assert pulls.open(BRANCH, "main", TEXT, draft=False).number == 1
    assert server.pull(NAME).head_sha == branch


def test_who_was_faster_is_looked_for(
    server: Server, pulls: PullRequests, pull: PullRequest
) -> None:
    with pytest.raises(MovedHeadError):
        pulls.open(BRANCH, "main", TEXT, draft=False)
    server.fail(posts("/pulls"), 422, answer=invalid(custom("No commits between main and x")))
    with pytest.raises(MovedHeadError):
        pulls.open(BRANCH, "main", TEXT, draft=False)

    assert [one.number for one in server.pulls(NAME)] == [pull.number]


def test_a_base_that_is_not_there_is_told(pulls: PullRequests, branch: str) -> None:
    assert branch
    with pytest.raises(GitHubError, match="base invalid"):
        pulls.open(BRANCH, "none", TEXT, draft=False)


def test_an_answer_of_another_form_is_told(
    server: Server, pulls: PullRequests, base: Head, branch: str
) -> None:
    assert branch
    server.fail(posts("/pulls"), 201, answer={"number": 1})
    server.fail(asks("over:"), 200, answer={"data": {"repository": {"ref": {"target": None}}}})

    with pytest.raises(GitHubError, match=r"open a pull request .* form that is not known"):
        pulls.open(BRANCH, "main", TEXT, draft=False)
    with pytest.raises(GitHubError, match=r"find the pull requests .* form that is not known"):
        pulls.find(BRANCH, base)


# --- people ---


def test_who_is_not_assigned_is_named(
    server: Server, pulls: PullRequests, pull: PullRequest
) -> None:
    wanted = replace(NOTHING, assignees=("octocat", "stranger"))

    warnings = pulls.settle(pull, wanted)

    assert server.pull(NAME).assignees == ["octocat"]
    assert len(warnings) == 1
    assert warnings[0].startswith("GitHub did not assign `stranger` to pull request #1: ")
    assert "member or collaborator with access to acme/deploy" in warnings[0]


def test_an_answer_without_assignees_is_one(
    server: Server, pulls: PullRequests, pull: PullRequest
) -> None:
    server.fail(posts("/assignees"), 201, answer={"assignees": None})

    warnings = pulls.settle(pull, replace(NOTHING, assignees=("octocat",)))

    assert ["did not assign `octocat`" in warning for warning in warnings] == [True]


def test_no_more_people_are_assigned_than_github_takes(
    server: Server, pulls: PullRequests, pull: PullRequest
) -> None:
    names = tuple(f"ann{number}" for number in range(12))
    for name in names:
        server.add_collaborator(NAME, name)
    pulls.settle(pull, replace(NOTHING, assignees=names[:1]))
    there = replace(pull, assignees=frozenset(names[:1]))
    sent = len(server.requests)

    warnings = pulls.settle(there, replace(NOTHING, assignees=names))

    assert server.requests[sent].body == {"assignees": list(names[1:10])}
    assert server.pull(NAME).assignees == list(names[:10])
    told = "so pull request #1 is not assigned to `ann10`, `ann11`. Shorten `assignees`."
    assert warnings == [f"GitHub takes at most 10 assignees, {told}"]


def test_a_token_that_may_not_see_teams_is_told(
    server: Server, pulls: PullRequests, pull: PullRequest
) -> None:
    server.add_team(NAME, "ops")
    server.repository(NAME).shows_teams = False
    wanted = replace(NOTHING, reviewers=("ann",), team_reviewers=("ops",))
    server.add_collaborator(NAME, "ann")

    warnings = pulls.settle(pull, wanted)

    assert server.pull(NAME).reviewers == ["ann"]
    assert len(warnings) == 1
    assert warnings[0].startswith("`ops` can't be asked to review pull request #1: this token may")
    assert '"Members: read" of the organisation' in warnings[0]
    assert "the job's own token never" in warnings[0]


def test_why_a_reviewer_cannot_be_asked_is_said(pulls: PullRequests, pull: PullRequest) -> None:
    warnings = pulls.settle(pull, replace(NOTHING, reviewers=("octocat",)))

    assert len(warnings) == 1
    assert "GitHub says: Review cannot be requested from pull request author. Name" in warnings[0]


# --- auto-merge ---


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Auto merge is not allowed for this repository", "Turn on Settings > General > Allow"),
        ("Auto-merge is not allowed for this repository", "Turn on Settings > General > Allow"),
        ("Pull request Auto merge is not allowed for this repository", "Allow auto-merge"),
        ("Pull request Pull request is in clean status", "there is nothing to wait for. Merge"),
        (
            "Pull request Protected branch rules not configured for this branch",
            "there is nothing to wait for. Merge",
        ),
        ("Pull request Pull request is in unstable status", "no check that runs or has failed"),
        ("Pull request Pull request is in draft status", "it is a draft."),
        ("Merge commits are not allowed on this repository.", "the method `squash`"),
        ("Squash merges are not allowed on this repository.", "the method `squash`"),
        ("Rebase merges are not allowed on this repository.", "the method `squash`"),
        (
            "Merging is not allowed on Sundays {method}",
            "GitHub says: Merging is not allowed on Sundays {method}. Look at its page: http",
        ),
    ],
)
def test_why_github_will_not_merge_is_told(
    server: Server, pulls: PullRequests, pull: PullRequest, branch: str, said: str, why: str
) -> None:
    error = {"type": "UNPROCESSABLE", "path": ["enablePullRequestAutoMerge"], "message": said}
    answer = {"data": {"enablePullRequestAutoMerge": None}, "errors": [error]}
    server.fail(asks("enablePullRequestAutoMerge"), 200, answer=answer)

    warnings = pulls.merge_itself(pull, branch, replace(NOTHING, auto_merge="squash"))

    assert len(warnings) == 1
    assert warnings[0].startswith("Pull request #1 won't merge itself: ")
    assert why in warnings[0]
    assert "A rule of the repository" not in warnings[0]


def test_a_method_that_is_off_is_named(
    server: Server, pulls: PullRequests, pull: PullRequest, branch: str
) -> None:
    repository = server.repository(NAME)
    repository.allow_auto_merge, repository.allow["rebase"] = True, False

    warnings = pulls.merge_itself(pull, branch, replace(NOTHING, auto_merge="rebase"))

    assert "doesn't allow the method `rebase`" in warnings[0]


def test_a_token_that_may_not_merge_is_told(server: Server, pull: PullRequest, branch: str) -> None:
    token = server.add_token("octocat", {NAME: {"contents": "read", "pull_requests": "write"}})
    server.repository(NAME).allow_auto_merge = True

    with GitHub(server.environ["GITHUB_API_URL"], token, own_token=False) as github:
        pulls = PullRequests(github, NAME)
        warnings = pulls.merge_itself(pull, branch, replace(NOTHING, auto_merge="squash"))

    assert warnings[0].startswith("This token may not let pull request #1 merge itself.")
