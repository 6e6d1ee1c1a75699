"""The stand-in for GitHub: as GitHub publishes itself, and with GitHub's rules."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import github as pygithub
import pytest
import requests
from graphql import build_schema

from github_double import GitHub, checks, graphql
from github_double.checks import Checks, Exchange
from github_double.objects import ZERO
from github_double.rest import OPERATIONS
from servers import commit_files, file_of, git, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from github_double import Request
    from github_double.state import Access, Json, Method

DEPLOY = "acme/deploy"
PULLS = f"/repos/{DEPLOY}/pulls"
OPEN = {"title": "Promote", "head": "promote", "base": "main"}
ALL: dict[str, Access] = {"contents": "write", "pull_requests": "write"}
PULL = "pullRequest(number: 1) { id }"
COMMIT = """
mutation ($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) {
    commit {
      oid
      author { name email user { login } }
      committer { name email }
      signature { isValid wasSignedByGitHub }
    }
  }
}
"""
AUTO_MERGE = """
mutation ($id: ID!) {
  enablePullRequestAutoMerge(input: {pullRequestId: $id, mergeMethod: SQUASH}) {
    pullRequest { autoMergeRequest { mergeMethod } }
  }
}
"""
UPDATE_REFS = "mutation ($input: UpdateRefsInput!) { updateRefs(input: $input) { __typename } }"


class Client:
    """A user of the double: a token, and the words to send."""

    def __init__(self, github: GitHub, token: str) -> None:
        self.github, self.token = github, token
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def rest(self, method: str, path: str, body: object = None) -> requests.Response:
        url = self.github.environ["GITHUB_API_URL"] + path
        return self.session.request(method, url, json=body)

    def graphql(self, query: str, **variables: object) -> Json:
        body = {"query": query, "variables": variables}
        return self.session.post(self.github.environ["GITHUB_GRAPHQL_URL"], json=body).json()

    def error(self, query: str, **variables: object) -> tuple[str, str]:
        """The type and the message of the one error."""
        (error,) = self.graphql(query, **variables)["errors"]
        return error["type"], error["message"]

    def commit(self, expected: str, files: dict[str, bytes], branch: str = "promote") -> Json:
        added = [
            {"path": path, "contents": base64.b64encode(content).decode()}
            for path, content in files.items()
        ]
        where = {"repositoryNameWithOwner": DEPLOY, "branchName": branch}
        message = {"headline": "Promote", "body": "Why."}
        given = {"branch": where, "expectedHeadOid": expected, "message": message}
        return self.graphql(COMMIT, input={**given, "fileChanges": {"additions": added}})

    def node(self, what: str = "") -> str:
        """The id of the repository, or of its pull request."""
        query = f'{{ repository(owner: "acme", name: "deploy") {{ id {what} }} }}'
        found = self.graphql(query)["data"]["repository"]
        return str(found["pullRequest"]["id"] if what else found["id"])

    def update_refs(self, *updates: tuple[str, str, str]) -> Json:
        names = ("name", "beforeOid", "afterOid")
        given = {
            "repositoryId": self.node(),
            "refUpdates": [dict(zip(names, update, strict=True)) for update in updates],
        }
        return self.graphql(UPDATE_REFS, input=given)


@pytest.fixture
def github(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[GitHub]:
    with GitHub(tmp_path) as github:
        github.add_repository(DEPLOY, {"apps/x.yaml": b"a: 1\n", "run.sh": b"#!/bin/sh\n"})
        record_property("counts:checked by GitHub's own descriptions", github.checked)
        yield github


@pytest.fixture
def bare(github: GitHub) -> Path:
    return github.repository(DEPLOY).bare


@pytest.fixture
def client(github: GitHub) -> Client:
    return Client(github, github.add_token("octocat", {DEPLOY: ALL}))


@pytest.fixture
def pull(client: Client, bare: Path) -> int:
    git("--git-dir", bare, "branch", "promote", "main")
    commit_files(bare, {"apps/x.yaml": b"a: 2\n"}, "promote")
    number: int = client.rest("POST", PULLS, OPEN).json()["number"]
    return number


@pytest.fixture
def published() -> None:
    if checks.missing():
        pytest.skip(checks.missing())


@pytest.mark.usefixtures("published")
def test_the_schema_is_a_part_of_the_published_one() -> None:
    found = checks.differences(graphql.schema(), checks.real_schema())

    assert found == []


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("autoMergeAllowed: Boolean!", "autoMergeAllowed: Boolean", "Repository.autoMergeAllowed"),
        ("  aheadBy: Int!", "  ahead: Int!", "Comparison.ahead"),
        ("  SQUASH\n", "", "PullRequestMergeMethod"),
        ("  expectedHeadOid: GitObjectID!\n", "", "CreateCommitOnBranchInput.expectedHeadOid"),
        ("force: Boolean = false", "force: Boolean = true", "RefUpdate.force"),
        ("ref(qualifiedName: String!)", "ref(qualifiedName: String)", "Repository.ref"),
        ("ref(qualifiedName: String!)", "ref", "Repository.ref"),
        ("RequestedReviewer = User", "RequestedReviewer = Label | User", "RequestedReviewer"),
        ("Blob implements GitObject", "Blob implements Actor & GitObject", "Blob"),
        ("scalar GitRefname", "enum GitRefname { MAIN }", "GitRefname"),
    ],
)
def test_a_schema_that_is_no_part_of_the_published_one_is_seen(
    old: str, new: str, found: str
) -> None:
    text = graphql.SCHEMA.read_text(encoding="utf-8")
    assert old in text

    other = build_schema(text.replace(old, new, 1), assume_valid=True)

    assert any(words.startswith(found) for words in checks.differences(other, checks.real_schema()))


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("body", "answer", "found"),
    [
        (b'{"body": "Hello"}', b"{}", "the answer 201: : 'id' is a required property"),
        (b'{"body": "Hello", "colour": "red"}', b"{}", "GitHub describes no field colour"),
        (b'{"body": 1}', b"{}", "the request: body: 1 is not of type 'string'"),
    ],
)
def test_what_does_not_fit_the_published_description_is_seen(
    body: bytes, answer: bytes, found: str
) -> None:
    template = "/repos/{owner}/{repo}/issues/{issue_number}/comments"
    values = {"owner": "acme", "repo": "deploy", "issue_number": "1"}
    tested = Checks([template])

    tested.rest(Exchange("POST", template, values, {}, body, 201, answer))

    assert any(found in violation for violation in tested.violations)


def test_a_violation_fails_the_test_that_used_the_double(tmp_path: Path) -> None:
    def use() -> None:
        with GitHub(tmp_path) as github:
            client = Client(github, github.add_token("octocat", {}))
            client.graphql("{ viewer { nonsense } }")

    with pytest.raises(AssertionError, match="nonsense"):
        use()


def test_without_the_published_data_nothing_is_checked_and_all_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "OPENAPI", tmp_path / "missing.json")

    with GitHub(tmp_path) as github:
        github.add_repository(DEPLOY, {})
        client = Client(github, github.add_token("octocat", {DEPLOY: ALL}))
        answer = client.rest("GET", f"/repos/{DEPLOY}")

    assert answer.json()["full_name"] == DEPLOY
    assert github.checked == {}


def test_every_operation_answers_as_published(github: GitHub, bare: Path, pull: int) -> None:
    token = github.add_token("octocat", {DEPLOY: ALL})
    github.add_collaborator(DEPLOY, "ann")
    github.add_team(DEPLOY, "ops")
    number = github.add_milestone(DEPLOY, "One")
    url, auth = github.environ["GITHUB_API_URL"], pygithub.Auth.Token(token)
    hub = pygithub.Github(
        base_url=url,
        auth=auth,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
    )

    repository = hub.get_repo(DEPLOY)
    found = repository.get_pull(pull)
    found.edit(title="Promote it", body="To prod.")
    found.add_to_labels("deploy", "bug")
    found.add_to_assignees("octocat", "nobody")
    found.create_review_request(["ann"], ["ops"])
    found.create_issue_comment("Hello")
    found.as_issue().edit(milestone=repository.get_milestone(number))
    reference = repository.create_git_ref("refs/heads/other", head_of(bare))
    reference.edit(head_of(bare, "promote"))
    reference.delete()

    github.repository(DEPLOY).allow_auto_merge = True
    github.protect(DEPLOY, checks=["ci"])
    found.enable_automerge("SQUASH")
    found.convert_to_draft()
    found.mark_ready_for_review()

    assert hub.get_user().login == "octocat"
    assert found.update()
    assert found.raw_data["auto_merge"]["merge_method"] == "squash"
    assert [label.name for label in found.get_labels()] == ["deploy", "bug"]
    assert [comment.body for comment in found.get_issue_comments()] == ["Hello"]
    assert [one.number for one in repository.get_pulls(head="acme:promote", base="main")] == [1]
    assert repository.compare("main", "promote").ahead_by == 1
    assert repository.get_git_ref("heads/main").object.sha == head_of(bare)
    tree = repository.get_git_tree(repository.get_commit("main").sha, recursive=True)
    assert [entry.path for entry in tree.tree] == ["apps", "apps/x.yaml", "run.sh"]
    blob = repository.get_git_blob(tree.tree[1].sha)
    assert base64.b64decode(blob.content) == b"a: 1\n"
    state = github.pull(DEPLOY)
    assert (state.title, state.body, state.milestone) == ("Promote it", "To prod.", number)
    assert (state.assignees, state.reviewers, state.team_reviewers) == (
        ["octocat"],
        ["ann"],
        ["ops"],
    )
    called = {(one.method, one.path.partition("?")[0]) for one in github.requests}
    assert len(called) >= len(OPERATIONS) - 2
    assert github.unknown == []


def test_a_commit_by_api_is_the_owners_and_signed_by_github(
    client: Client, bare: Path, pull: int
) -> None:
    del pull
    git("--git-dir", bare, "update-ref", "refs/heads/promote", "main")
    commit_files(bare, {"tool": b"x"}, "promote", {"tool": "100755"})

    answer = client.commit(head_of(bare, "promote"), {"run.sh": b"echo\n", 'a "b" ü': b"\n\n"})

    commit = answer["data"]["createCommitOnBranch"]["commit"]
    email = "583231+octocat@users.noreply.github.com"
    assert commit == {
        "oid": head_of(bare, "promote"),
        "author": {"name": "octocat", "email": email, "user": {"login": "octocat"}},
        "committer": {"name": "GitHub", "email": "noreply@github.com"},
        "signature": {"isValid": True, "wasSignedByGitHub": True},
    }
    assert file_of(bare, 'a "b" ü', "promote") == b"\n\n"
    message = git("--git-dir", bare, "log", "-1", "--format=%B", "promote")
    assert message == b"Promote\n\nWhy.\n"


def test_a_commit_by_api_gives_its_files_the_common_mode(client: Client, bare: Path) -> None:
    commit_files(bare, {"one": b"", "two": b""}, "promote", dict.fromkeys(("one", "two"), "100755"))

    client.commit(head_of(bare, "promote"), {"one": b"1"})

    modes = git("--git-dir", bare, "ls-tree", "promote", "--format=%(objectmode)").split()
    assert modes == [b"100644", b"100755"]


def test_a_commit_by_api_needs_the_branch_where_it_was(client: Client, bare: Path) -> None:
    old = head_of(bare)
    new = commit_files(bare, {"a": b""})

    answer = client.commit(old, {"b": b""}, "main")

    (error,) = answer["errors"]
    words = f'Expected branch to point to "{old}" but it did not. Pull and try again.'
    assert (error["type"], error["message"]) == ("STALE_DATA", words)
    assert error["path"] == ["createCommitOnBranch"]
    assert head_of(bare) == new


def test_of_commits_at_once_on_one_head_one_gets_in(
    github: GitHub, client: Client, bare: Path
) -> None:
    head = head_of(bare)

    def commit(number: int) -> Json:
        own = Client(github, client.token)
        return own.commit(head, {f"{number}": b""}, "main")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(commit, range(16)))

    failed = [answer["errors"][0]["type"] for answer in answers if "errors" in answer]
    assert failed == ["STALE_DATA"] * 15
    assert git("--git-dir", bare, "rev-list", "--count", "main") == b"2\n"


@pytest.mark.parametrize("wrong", ["exists", "gone", "moved", "unknown"])
def test_refs_are_updated_all_or_none(client: Client, bare: Path, wrong: str) -> None:
    head = head_of(bare)
    new = commit_files(bare, {"a": b""}, "new")
    bad = {
        "exists": ("refs/heads/new", ZERO, head),
        "gone": ("refs/heads/gone", head, ZERO),
        "moved": ("refs/heads/main", new, new),
        "unknown": ("refs/heads/main", head, "1" * 40),
    }

    refused = client.update_refs(("refs/heads/fresh", ZERO, head), bad[wrong])
    before = git("--git-dir", bare, "for-each-ref", "--format=%(refname)").split()
    done = client.update_refs(
        ("refs/heads/fresh", ZERO, head),
        ("refs/heads/main", head, head),
        ("refs/heads/new", new, ZERO),
    )

    assert refused["errors"][0]["type"] == "UNPROCESSABLE"
    assert before == [b"refs/heads/main", b"refs/heads/new"]
    assert "errors" not in done
    after = git("--git-dir", bare, "for-each-ref", "--format=%(refname)").split()
    assert after == [b"refs/heads/fresh", b"refs/heads/main"]


def test_a_forced_update_may_leave_open_what_the_ref_held(client: Client, bare: Path) -> None:
    old = head_of(bare)
    commit_files(bare, {"a": b""})
    given = {"repositoryId": client.node(), "refUpdates": []}

    def update(name: str, after: str) -> Json:
        change = {"name": f"refs/heads/{name}", "afterOid": after, "force": True}
        return client.graphql(UPDATE_REFS, input={**given, "refUpdates": [change]})

    answers = [update("main", old), update("new", old), update("new", ZERO), update("new", ZERO)]

    assert [answer.get("errors", []) == [] for answer in answers] == [True, True, True, False]
    assert git("--git-dir", bare, "for-each-ref", "--format=%(objectname)").decode().split() == [
        old
    ]


def test_a_ref_goes_back_by_force_only(client: Client, bare: Path) -> None:
    old = head_of(bare)
    new = commit_files(bare, {"a": b""})
    path = f"/repos/{DEPLOY}/git/refs/heads/main"

    answers = [client.rest("PATCH", path, {"sha": old, "force": force}) for force in (False, True)]

    assert [answer.status_code for answer in answers] == [422, 200]
    assert answers[0].json()["message"] == "Update is not a fast forward"
    assert "errors" in client.update_refs(("refs/heads/main", new, new))


@pytest.mark.parametrize(
    ("commands", "state"),
    [
        ([("update-ref", "-d", "refs/heads/promote")], ("closed", False)),
        ([("update-ref", "refs/heads/promote", "main")], ("closed", False)),
        ([("update-ref", "refs/heads/main", "promote")], ("closed", True)),
        ([("update-ref", "refs/heads/else", "main")], ("open", False)),
    ],
)
def test_a_pull_request_follows_its_branches(
    github: GitHub, bare: Path, pull: int, commands: list[tuple[str, ...]], state: tuple[str, bool]
) -> None:
    for command in commands:
        git("--git-dir", bare, *command)

    found = github.pull(DEPLOY, pull)

    assert (found.state, found.merged) == state


def test_a_push_to_the_head_is_the_new_head(
    github: GitHub, client: Client, bare: Path, tmp_path: Path, pull: int
) -> None:
    folder, url = clone(github, client, tmp_path)
    git("-C", folder, "commit", "--quiet", "--allow-empty", "-m", "More")

    git("-C", folder, "push", "--quiet", url, "HEAD:promote")

    found = github.pull(DEPLOY, pull)
    assert found.head_sha == head_of(bare, "promote")
    assert client.rest("GET", f"{PULLS}/{pull}").json()["commits"] == 2


def clone(github: GitHub, client: Client, folder: Path) -> tuple[Path, str]:
    url = f"{github.url.replace('://', f'://x:{client.token}@')}/{DEPLOY}"
    git("clone", "--quiet", "--branch", "promote", url, folder / "clone")
    return folder / "clone", url


def test_of_equal_pull_requests_at_once_one_is_made(
    github: GitHub, client: Client, bare: Path
) -> None:
    commit_files(bare, {"a": b""}, "promote")
    git(
        "--git-dir",
        bare,
        "update-ref",
        "refs/heads/promote",
        commit_files(bare, {"b": b""}, "main"),
    )
    commit_files(bare, {"c": b""}, "promote")

    def create(_: int) -> requests.Response:
        return Client(github, client.token).rest("POST", PULLS, OPEN)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(create, range(32)))

    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 31
    refused = next(answer.json() for answer in answers if answer.status_code == 422)
    words = "A pull request already exists for acme:promote."
    assert (refused["message"], refused["errors"][0]["message"]) == ("Validation Failed", words)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"head": "same"}, {"code": "custom", "message": "No commits between main and same"}),
        ({"head": "none"}, {"code": "invalid", "field": "head"}),
        ({"base": "none"}, {"code": "invalid", "field": "base"}),
        ({"title": " "}, {"code": "missing_field", "field": "title"}),
        (
            {"body": "x" * 65_537},
            {"field": "body", "message": "body is too long (maximum is 65536 characters)"},
        ),
    ],
)
def test_a_pull_request_that_cannot_be_is_refused(
    client: Client, bare: Path, change: dict[str, str], error: dict[str, str]
) -> None:
    git("--git-dir", bare, "branch", "same", "main")
    git("--git-dir", bare, "branch", "promote", "main")
    commit_files(bare, {"a": b""}, "promote")

    answer = client.rest("POST", PULLS, {**OPEN, **change})

    assert answer.status_code == 422
    assert error.items() <= answer.json()["errors"][0].items()


@pytest.mark.parametrize(
    ("lacking", "call", "needed"),
    [
        ("pull_requests", ("POST", PULLS, OPEN), "pull_requests=write"),
        ("contents", ("GET", f"/repos/{DEPLOY}/git/trees/main", None), "contents=read"),
        (
            "pull_requests",
            ("POST", f"/repos/{DEPLOY}/issues/1/labels", {"labels": ["a"]}),
            "issues=write; pull_requests=write",
        ),
    ],
)
@pytest.mark.parametrize(
    ("login", "what"),
    [("octocat", "personal access token"), ("github-actions[bot]", "integration")],
)
def test_a_permission_that_is_lacking_is_named(
    github: GitHub, lacking: str, call: tuple[str, str, object], needed: str, login: str, what: str
) -> None:
    rights = {name: right for name, right in ALL.items() if name != lacking}
    client = Client(github, github.add_token(login, {DEPLOY: rights}))

    answer = client.rest(*call)

    assert answer.status_code == 403
    assert answer.json()["message"] == f"Resource not accessible by {what}"
    assert answer.headers["X-Accepted-GitHub-Permissions"] == needed


def test_graphql_says_what_is_not_allowed(github: GitHub, client: Client, bare: Path) -> None:
    reader = Client(github, github.add_token("octocat", {DEPLOY: {"contents": "read"}}))
    query = (
        '{ repository(owner: "acme", name: "%s") { id pullRequests(first: %d) { totalCount } } }'
    )

    refused = reader.commit(head_of(bare), {"a": b""}, "main")["errors"][0]
    found = [reader.error(query % given) for given in (("deploy", 1), ("other", 1))]
    bounds = client.error(query % ("deploy", 101))
    page = client.error(
        '{ repository(owner: "acme", name: "deploy") { pullRequests { __typename } } }'
    )

    words = "Resource not accessible by personal access token"
    assert (refused["type"], refused["message"]) == ("FORBIDDEN", words)
    unseen = "Could not resolve to a Repository with the name 'acme/other'."
    assert found == [("FORBIDDEN", words), ("NOT_FOUND", unseen)]
    assert bounds[0] == "EXCESSIVE_PAGINATION"
    assert page[0] == "MISSING_PAGINATION_BOUNDARIES"


def test_strangers_see_nothing(github: GitHub) -> None:
    stranger = Client(github, "ghp_unknown")
    outsider = Client(github, github.add_token("eve", {"acme/other": {"contents": "read"}}))

    answers = [one.rest("GET", f"/repos/{DEPLOY}") for one in (stranger, outsider)]

    assert [answer.status_code for answer in answers] == [401, 404]
    assert [answer.json()["message"] for answer in answers] == ["Bad credentials", "Not Found"]
    assert github.unknown == [f"GET /api/v3/repos/{DEPLOY}"]


def test_a_bot_has_its_name_of_github(github: GitHub, bare: Path) -> None:
    login = "github-actions[bot]"
    bot = Client(github, github.add_token(login, {DEPLOY: ALL}))
    git("--git-dir", bare, "branch", "promote", "main")
    commit_files(bare, {"a": b""}, "promote")
    github.repository(DEPLOY).allow_actions_pull_requests = False

    refused = bot.rest("POST", PULLS, OPEN)
    github.repository(DEPLOY).allow_actions_pull_requests = True
    opened = bot.rest("POST", PULLS, OPEN).json()
    query = (
        '{ viewer { login databaseId } node(id: "%s") { ... on PullRequest { author { login } } } }'
    )
    data = bot.graphql(query % bot.node(PULL))["data"]

    words = "GitHub Actions is not permitted to create or approve pull requests."
    assert (refused.status_code, refused.json()["message"]) == (403, words)
    assert opened["user"]["login"] == login
    assert data["viewer"] == {"login": login, "databaseId": 41898282}
    assert data["node"]["author"]["login"] == "github-actions"
    assert bot.rest("GET", "/user").status_code == 403


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"reviewers": ["ann", "eve"]}, "users you specified is not a collaborator"),
        ({"reviewers": ["ann"], "team_reviewers": ["x"]}, "teams you specified"),
        ({"reviewers": ["octocat"]}, "cannot be requested from pull request author"),
    ],
)
def test_a_reviewer_who_cannot_be_asked_is_refused(
    github: GitHub, client: Client, pull: int, body: dict[str, list[str]], words: str
) -> None:
    github.add_collaborator(DEPLOY, "ann")

    answer = client.rest("POST", f"{PULLS}/{pull}/requested_reviewers", body)

    assert answer.status_code == 422
    assert words in answer.json()["message"]
    assert github.pull(DEPLOY).reviewers == []


def test_a_team_is_hidden_from_a_token_without_members_read(
    github: GitHub, client: Client, pull: int
) -> None:
    github.add_team(DEPLOY, "ops")
    github.repository(DEPLOY).shows_teams = False

    body = {"team_reviewers": ["ops"]}
    answer = client.rest("POST", f"{PULLS}/{pull}/requested_reviewers", body)

    assert answer.status_code == 422
    assert answer.json()["message"] == "Validation Failed"
    assert "Could not resolve to a node with the global id of" in answer.json()["errors"][0]


def test_a_pull_request_of_a_fork_is_found_by_the_name_and_not_by_the_branch(
    github: GitHub, client: Client, bare: Path, pull: int
) -> None:
    number = github.open_from_fork(DEPLOY, "promote", "eve")
    query = """{ repository(owner: "acme", name: "deploy") {
      pullRequests(headRefName: "promote", first: 9) { nodes { number isCrossRepository } }
      ref(qualifiedName: "promote") { associatedPullRequests(first: 9) { nodes { number } } }
    } }"""

    found = client.graphql(query)["data"]["repository"]
    listed = [client.rest("GET", f"{PULLS}?head={who}:promote").json() for who in ("acme", "eve")]
    commit_files(bare, {"b": b"1"})

    nodes = [(node["number"], node["isCrossRepository"]) for node in found["pullRequests"]["nodes"]]
    assert nodes == [(pull, False), (number, True)]
    assert found["ref"]["associatedPullRequests"]["nodes"] == [{"number": pull}]
    assert [[one["number"] for one in each] for each in listed] == [[pull], [number]]
    assert listed[1][0]["head"]["label"] == "eve:promote"
    assert [one.state for one in github.pulls(DEPLOY)] == ["open", "open"]


def test_branches_that_have_nothing_in_common_are_not_compared(client: Client, bare: Path) -> None:
    commit_files(bare, {"other": b"1"}, "other")
    compare = 'ref(qualifiedName: "main") { compare(headRef: "other") { aheadBy } }'

    found = client.graphql(f'{{ repository(owner: "acme", name: "deploy") {{ {compare} }} }}')

    assert found == {"data": {"repository": {"ref": {"compare": None}}}}


def test_the_address_that_github_commits_by_may_be_another(
    github: GitHub, client: Client, bare: Path, pull: int
) -> None:
    github.web.address = "web@ghe.example.com"

    made = client.commit(head_of(bare, "promote"), {"b": b"1"})["data"]["createCommitOnBranch"]
    github.merge(DEPLOY, pull)

    assert made["commit"]["committer"] == {"name": "GitHub", "email": "web@ghe.example.com"}
    shown = git("--git-dir", bare, "log", "-1", "--format=%ce", "main")
    assert shown.strip() == b"web@ghe.example.com"


def test_an_unknown_milestone_is_refused(client: Client, pull: int) -> None:
    answer = client.rest("PATCH", f"/repos/{DEPLOY}/issues/{pull}", {"milestone": 7})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "milestone"


@pytest.mark.parametrize(
    ("method", "parents", "subject"),
    [
        ("merge", 2, b"Merge pull request #1 from acme/promote"),
        ("squash", 1, b"A commit (#1)"),
        ("rebase", 1, b"A commit"),
    ],
)
def test_a_merge_is_gits(
    github: GitHub, bare: Path, pull: int, method: Method, parents: int, subject: bytes
) -> None:
    old = commit_files(bare, {"other": b"1"})

    new = github.merge(DEPLOY, pull, method)

    assert new == head_of(bare)
    shown = git("--git-dir", bare, "log", "-1", "--format=%P%n%s", "main").splitlines()
    assert len(shown[0].split()) == parents
    assert shown[0].startswith(old.encode())
    assert shown[1] == subject
    assert (file_of(bare, "apps/x.yaml"), file_of(bare, "other")) == (b"a: 2\n", b"1")
    assert github.pull(DEPLOY).merged


def test_a_conflict_is_seen_once_it_is_computed(
    github: GitHub, client: Client, bare: Path, pull: int
) -> None:
    commit_files(bare, {"apps/x.yaml": b"a: 3\n"})

    known = client.rest("GET", f"{PULLS}/{pull}").json()
    github.repository(DEPLOY).knows_mergeable = False
    unknown = client.rest("GET", f"{PULLS}/{pull}").json()

    assert (known["mergeable"], known["mergeable_state"]) == (False, "dirty")
    assert (unknown["mergeable"], unknown["mergeable_state"]) == (None, "unknown")


def test_auto_merge_waits_for_what_is_required(
    github: GitHub, client: Client, bare: Path, pull: int
) -> None:
    node = client.node(PULL)

    refused = [client.error(AUTO_MERGE, id=node)]
    github.repository(DEPLOY).allow_auto_merge = True
    refused.append(client.error(AUTO_MERGE, id=node))
    github.protect(DEPLOY, "main", checks=["ci"], reviews=1)
    client.graphql(AUTO_MERGE, id=node)
    github.pass_checks(DEPLOY, pull)
    waiting = github.pull(DEPLOY, pull)
    github.approve(DEPLOY, pull)

    assert refused == [
        ("UNPROCESSABLE", "Auto merge is not allowed for this repository"),
        ("UNPROCESSABLE", "Pull request Pull request is in clean status"),
    ]
    assert (waiting.state, waiting.auto_merge) == ("open", "squash")
    assert github.pull(DEPLOY).merged
    assert file_of(bare, "apps/x.yaml") == b"a: 2\n"


def test_mutations_change_a_pull_request(github: GitHub, client: Client, pull: int) -> None:
    node = client.node(PULL)
    mutation = "mutation { %s(input: {%s: %s}) { __typename } }"
    quoted = f'"{node}"'

    client.graphql(mutation % ("convertPullRequestToDraft", "pullRequestId", quoted))
    draft = github.pull(DEPLOY, pull).draft
    client.graphql(mutation % ("markPullRequestReadyForReview", "pullRequestId", quoted))
    client.graphql(mutation % ("updatePullRequest", "pullRequestId", f'{quoted}, title: "New"'))
    client.graphql(mutation % ("addComment", "subjectId", f'{quoted}, body: "Hello"'))
    client.graphql(mutation % ("closePullRequest", "pullRequestId", quoted))

    found = github.pull(DEPLOY, pull)
    assert draft
    assert (found.draft, found.title, found.state) == (False, "New", "closed")
    assert [comment.body for comment in found.comments] == ["Hello"]


def test_a_protected_branch_takes_no_direct_change(
    github: GitHub, client: Client, bare: Path, tmp_path: Path, pull: int
) -> None:
    del pull
    github.protect(DEPLOY, "main")
    folder, url = clone(github, client, tmp_path)

    error = client.commit(head_of(bare), {"a": b""}, "main")["errors"][0]
    with pytest.raises(AssertionError, match="GH006: Protected branch update failed"):
        git("-C", folder, "push", url, "HEAD:main")
    github.protect(DEPLOY, "main", bypass=["octocat"])
    git("-C", folder, "push", "--quiet", url, "HEAD:main")

    assert error["type"] == "BRANCH_PROTECTION_RULE_VIOLATION"
    assert error["message"] == "Changes must be made through a pull request."
    assert head_of(bare) == head_of(bare, "promote")


def test_git_asks_for_a_token_that_may(github: GitHub, pull: int, tmp_path: Path) -> None:
    del pull
    reader = Client(github, github.add_token("ann", {DEPLOY: {"contents": "read"}}))
    folder, url = clone(github, reader, tmp_path)
    outsider = github.add_token("eve", {"acme/other": {"contents": "write"}})

    with pytest.raises(AssertionError, match="403"):
        git("-C", folder, "push", url, "HEAD:new")
    with pytest.raises(AssertionError, match="not found"):
        git("ls-remote", url.replace(reader.token, outsider))
    with pytest.raises(AssertionError, match="Authentication failed"):
        git("ls-remote", url.replace(reader.token, "x"), env={"GIT_TERMINAL_PROMPT": "0"})


def test_faults_come_when_asked_for(github: GitHub, client: Client, bare: Path) -> None:
    def creates(request: Request) -> bool:
        return "createCommitOnBranch" in request.query

    head = head_of(bare)
    github.fail(0, 502)
    github.fail(creates, "drop")
    github.fail(creates, "drop-after")

    first = client.rest("GET", "/user").status_code
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            client.commit(head, {"a": b""}, "main")
    answer = client.commit(head, {"a": b""}, "main")

    assert first == 502
    assert answer["errors"][0]["type"] == "STALE_DATA"
    assert git("--git-dir", bare, "rev-list", "--count", "main") == b"2\n"
    assert [one.status for one in github.requests] == [502, 0, 0, 200]


def test_limits_are_said_as_github_says_them(github: GitHub, client: Client) -> None:
    github.fail(0, "secondary", retry_after=7)
    github.fail(1, "primary", retry_after=60)
    github.fail(2, "primary", retry_after=60)

    secondary, primary = (client.rest("GET", "/user") for _ in range(2))
    error = client.error("{ viewer { login } }")
    left = [client.rest("GET", "/user").headers["X-RateLimit-Remaining"] for _ in range(2)]

    assert (secondary.status_code, secondary.headers["Retry-After"]) == (403, "7")
    assert "You have exceeded a secondary rate limit" in secondary.json()["message"]
    assert (primary.status_code, primary.headers["X-RateLimit-Remaining"]) == (403, "0")
    assert 50 < int(primary.headers["X-RateLimit-Reset"]) - time.time() < 61
    assert (error[0], error[1][:42]) == (
        "RATE_LIMITED",
        "API rate limit exceeded for user ID 583231",
    )
    assert int(left[0]) - int(left[1]) == 1


def test_every_request_takes_the_latency(github: GitHub, client: Client) -> None:
    github.latency = 0.05
    start = time.monotonic()

    client.rest("GET", "/user")

    assert time.monotonic() - start >= 0.05


def test_a_long_tree_is_cut_and_says_so(github: GitHub, client: Client) -> None:
    github.repository(DEPLOY).tree_limit = 2

    answer = client.rest("GET", f"/repos/{DEPLOY}/git/trees/main?recursive=1").json()

    assert (answer["truncated"], len(answer["tree"])) == (True, 2)


def test_binary_and_long_blobs_have_no_whole_text(client: Client, bare: Path) -> None:
    commit_files(bare, {"long": b"x" * 600_000, "binary": b"\0"})
    fields = "... on Blob { byteSize isBinary isTruncated text }"
    parts = " ".join(
        f'{name}: object(expression: "main:{name}") {{ {fields} }}' for name in ("long", "binary")
    )

    data = client.graphql(f'{{ repository(owner: "acme", name: "deploy") {{ {parts} }} }}')

    found = data["data"]["repository"]
    assert (found["long"]["isTruncated"], len(found["long"]["text"])) == (True, 512_000)
    assert (found["binary"]["isBinary"], found["binary"]["text"]) == (True, None)


def test_a_renamed_repository_is_led_to(github: GitHub, client: Client, bare: Path) -> None:
    github.rename(DEPLOY, "acme/config")
    new = Client(github, github.add_token("octocat", {"acme/config": ALL}))
    query = '{ repository(owner: "acme", name: "deploy"%s) { nameWithOwner } }'

    url = github.environ["GITHUB_API_URL"] + f"/repos/{DEPLOY}"
    moved = new.session.get(url, allow_redirects=False)
    followed = new.graphql(query % "")["data"]["repository"]["nameWithOwner"]
    kind, _ = new.error(query % ", followRenames: false")
    address = f"{github.url.replace('://', f'://x:{new.token}@')}/{DEPLOY}"
    refs = git("ls-remote", address)

    assert (moved.status_code, followed, kind) == (301, "acme/config", "NOT_FOUND")
    assert refs.startswith(head_of(bare).encode())
    assert client.rest("GET", "/repos/acme/config").status_code == 404


def test_an_older_server_lacks_fields(github: GitHub, client: Client) -> None:
    github.lacks.add("Repository.autoMergeAllowed")

    answer = client.graphql('{ repository(owner: "acme", name: "deploy") { autoMergeAllowed } }')

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "undefinedField"
    assert error["message"] == "Field 'autoMergeAllowed' doesn't exist on type 'Repository'"


def test_what_is_not_here_is_recorded(github: GitHub, client: Client) -> None:
    answer = client.rest("PUT", f"{PULLS}/1/merge", {})

    assert answer.status_code == 404
    assert github.unknown == [f"PUT /api/v3{PULLS}/1/merge"]


def test_a_tokens_text_is_nowhere(github: GitHub, client: Client) -> None:
    client.rest("GET", "/user")

    assert client.token not in repr(github.requests) + repr(vars(github.state))
