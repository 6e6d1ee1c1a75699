"""GitHub's API: where it is, what its failures mean, and that the token goes nowhere else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from github_double import GitHub as Server
from gitops_promote.core.errors import PromoteError, RetryableError, UsageError
from gitops_promote.effects.git.repository import resolve_url
from gitops_promote.effects.github.client import GitHub
from gitops_promote.effects.github.errors import (
    USUAL_WAIT,
    Answer,
    Asked,
    GitHubError,
    duration,
    explain,
)
from gitops_promote.effects.github.place import Place, find_api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from github_double import Fault

TOKEN = "ghs_a-token-of-the-tests-0123456789"
NOW = 1_700_000_000.0

# --- where the API is ---

DOTCOM = "https://api.github.com"
JOB = {
    "GITHUB_SERVER_URL": "https://ghes.example:8443",
    "GITHUB_API_URL": "https://ghes.example:8443/api/v3",
}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://github.com/acme/deploy.git", Place(DOTCOM, "acme/deploy")),
        ("https://github.com/acme/deploy", Place(DOTCOM, "acme/deploy")),
        ("https://ann@GitHub.com/acme/deploy.io/", Place(DOTCOM, "acme/deploy.io")),
        ("git@github.com:acme/deploy.git", Place(DOTCOM, "acme/deploy")),
        ("git@github.com:/acme/deploy.git", Place(DOTCOM, "acme/deploy")),
        ("ssh://git@github.com/acme/deploy.git", Place(DOTCOM, "acme/deploy")),
        ("ssh://git@ssh.github.com:443/acme/deploy.git", Place(DOTCOM, "acme/deploy")),
        (
            "https://acme.ghe.com/acme/deploy.git",
            Place("https://api.acme.ghe.com", "acme/deploy"),
        ),
        ("https://gitlab.com/acme/deploy.git", None),
        ("https://github.com.evil.example/acme/deploy.git", None),
        ("https://github.com:444/acme/deploy.git", None),
        ("http://github.com/acme/deploy.git", None),
        ("https://gist.github.com/acme/deploy.git", None),
        ("https://a.b.ghe.com/acme/deploy.git", None),
        ("https://github.com/acme/group/deploy.git", None),
        ("https://github.com/acme", None),
        ("git@github.com:acme/group/deploy.git", None),
        ("/srv/acme/deploy.git", None),
        ("file:///srv/acme/deploy.git", None),
    ],
)
@pytest.mark.parametrize("environ", [{}, JOB], ids=["no job", "job"])
def test_a_repository_on_githubs_own_hosts_has_their_api(
    url: str, place: Place | None, environ: dict[str, str]
) -> None:
    assert find_api(url, environ) == place


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://ghes.example:8443/acme/deploy.git", True),
        ("https://GHES.example:8443/acme/deploy", True),
        ("git@ghes.example:acme/deploy.git", True),
        ("ssh://git@ghes.example:122/acme/deploy.git", True),
        ("https://ghes.example/acme/deploy.git", False),
        ("http://ghes.example:8443/acme/deploy.git", False),
        ("https://other.example:8443/acme/deploy.git", False),
        ("git@other.example:acme/deploy.git", False),
    ],
)
def test_a_repository_on_the_jobs_server_has_the_jobs_api(url: str, *, found: bool) -> None:
    place = Place("https://ghes.example:8443/api/v3", "acme/deploy")

    assert find_api(url, JOB) == (place if found else None)
    assert find_api(url, {"GITHUB_SERVER_URL": JOB["GITHUB_SERVER_URL"]}) == (
        place if found else None
    )


def test_an_api_that_the_job_does_not_name_is_derived() -> None:
    for server, api in [
        ("https://github.com", DOTCOM),
        ("https://acme.ghe.com/", "https://api.acme.ghe.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v3"),
    ]:
        url = resolve_url("acme/deploy", server, "")

        assert find_api(url, {"GITHUB_SERVER_URL": server}) == Place(api, "acme/deploy")


# --- what may be sent where ---


@pytest.mark.parametrize(
    "url", ["", "github.com", "ftp://github.com", "https://", "https://ann@h/", "https://[::1/"]
)
def test_what_is_no_url_of_an_api_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no URL of an API"):
        GitHub(url, TOKEN, own_token=False)


@pytest.mark.parametrize("token", ["", "two words", f"{TOKEN}\n", "tökén"])
def test_what_can_be_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(UsageError) as raised:
        GitHub(DOTCOM, token, own_token=False)

    assert not token or token.strip() not in str(raised.value)


def test_the_token_is_sent_unencrypted_to_this_machine_alone() -> None:
    with pytest.raises(PromoteError, match="http is not encrypted"):
        GitHub("http://ghes.example/api/v3", TOKEN, own_token=False)

    for url in ("http://127.0.0.1:1/api/v3", "http://localhost:1", "http://[::1]:1"):
        GitHub(url, TOKEN, own_token=False).close()


def test_pygithub_is_loaded_when_it_is_needed() -> None:
    program = (
        "import sys, gitops_promote.effects.github.client as client,"
        " gitops_promote.effects.github.config_repository;"
        "before = 'github' in sys.modules;"
        "client.GitHub('https://api.github.com', 'secret', own_token=False);"
        "print(before, 'github' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["False", "True"]


def test_pygithub_is_loaded_as_a_whole_where_no_part_of_it_can_be(tmp_path: Path) -> None:
    spec = find_spec("github")
    assert spec
    assert spec.submodule_search_locations
    other = shutil.copytree(spec.submodule_search_locations[0], tmp_path / "github")
    text = (other / "Requester.py").read_text(encoding="utf-8")
    line = "\nimport github.Consts as Consts\n"
    assert line in text
    text = text.replace(line, "\nfrom . import Consts\n")
    (other / "Requester.py").write_text(text, encoding="utf-8")
    program = (
        "import sys;"
        "from gitops_promote.effects.github.connection import Requester, connect;"
        "from github import Github, Requester as module;"
        "assert module.Requester is Requester;"
        "print(connect('https://api.github.com', 'secret', 1).graphql_url, module.__file__)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split(maxsplit=1) == [
        "https://api.github.com/graphql",
        f"{other / 'Requester.py'}\n",
    ]


# --- what failures mean ---

ASKED = Asked("commit to main of acme/deploy", "github.com", needs="contents=write")
OWN = Asked(ASKED.doing, ASKED.host, own_token=True, needs=ASKED.needs)


def failure(
    status: int, message: str = "", *, asked: Asked = ASKED, body: object = None, **headers: str
) -> PromoteError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return explain(Answer(status, names, body or {"message": message}), asked, NOW)


def graphql(kind: str, message: str, asked: Asked = ASKED) -> PromoteError:
    error = {"type": kind, "message": message, "path": ["createCommitOnBranch"]}
    return failure(200, asked=asked, body={"data": None, "errors": [error]})


@pytest.mark.parametrize(
    ("status", "message", "headers", "wait"),
    [
        (
            403,
            "API rate limit exceeded for user ID 1.",
            {"x_ratelimit_remaining": "0", "x_ratelimit_reset": f"{NOW + 2500:.0f}"},
            2500,
        ),
        (429, "", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": f"{NOW + 9:.0f}"}, 9),
        (429, "", {"x_ratelimit_remaining": "0", "x_ratelimit_reset": f"{NOW - 9:.0f}"}, 1),
        (403, "You have exceeded a secondary rate limit.", {"retry_after": "17"}, 17),
        (403, "You have exceeded a secondary rate limit.", {}, USUAL_WAIT),
        (403, "You have triggered an abuse detection mechanism.", {}, USUAL_WAIT),
        (403, "", {"retry_after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60),
        (429, "", {"retry_after": "soon"}, USUAL_WAIT),
        (429, "", {"retry_after": "-5"}, USUAL_WAIT),
        (200, "API rate limit exceeded", {}, USUAL_WAIT),
        (422, "Validation Failed. was submitted too quickly", {}, USUAL_WAIT),
        (422, "was submitted too quickly", {"retry_after": "9"}, 9),
        (503, "", {"retry_after": "5"}, 5),
    ],
)
def test_a_limit_is_waited_for_as_its_headers_say(
    status: int, message: str, headers: dict[str, str], wait: float
) -> None:
    error = failure(status, message, **headers)  # type: ignore[arg-type]

    assert isinstance(error, RetryableError)
    assert error.wait == wait
    assert f"asks to wait {duration(wait)}" in error.what


def test_a_limit_of_graphql_is_one_too() -> None:
    error = graphql("RATE_LIMITED", "API rate limit already exceeded for user ID 1.")

    assert isinstance(error, RetryableError)
    assert error.wait == USUAL_WAIT


def test_writes_that_come_too_fast_are_a_limit_of_both_apis() -> None:
    detail = {"resource": "IssueComment", "code": "custom", "message": "was submitted too quickly"}
    by_rest = failure(422, body={"message": "Validation Failed", "errors": [detail]})
    by_graphql = graphql("UNPROCESSABLE", "was submitted too quickly")

    for error in (by_rest, by_graphql):
        assert isinstance(error, RetryableError)
        assert error.wait == USUAL_WAIT


def test_a_value_that_is_called_like_a_limit_is_none() -> None:
    error = failure(422, "The label `rate limit` is invalid")

    assert isinstance(error, GitHubError)


def test_a_permission_that_lacks_at_the_end_of_the_limit_is_no_limit() -> None:
    error = failure(403, "Resource not accessible by integration", x_ratelimit_remaining="0")

    assert isinstance(error, GitHubError)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1 second"), (0.2, "1 second"), (60, "60 seconds"), (2500, "42 minutes")],
)
def test_a_wait_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    "error",
    [
        failure(500),
        failure(502, "Server Error"),
        failure(503),
        failure(408),
        failure(504, body="<html>"),
        failure(
            200,
            body={
                "errors": [{"message": "Something went wrong while executing your query. …"}],
            },
        ),
    ],
    ids=str,
)
def test_a_fault_of_the_server_may_pass(error: PromoteError) -> None:
    assert isinstance(error, RetryableError)
    assert error.wait == 0
    assert "commit to main of acme/deploy" in error.what
    assert "status of github.com" in error.fix


#: Status, message and headers or GraphQL's type; then texts of the sentence and of what to do next.
REFUSALS: list[tuple[PromoteError, str, str]] = [
    (failure(401, "Bad credentials"), "refused the token", "expired or revoked"),
    (failure(401, "Bad credentials", asked=OWN), "refused the token", "ends with its job"),
    (
        failure(403, "Resource not accessible by personal access token"),
        "This token may not commit to main of acme/deploy",
        '"Contents: write" for this repository',
    ),
    (
        failure(
            403,
            "Resource not accessible by integration",
            x_accepted_github_permissions="pull_requests=write,contents=read; issues=write",
        ),
        "This token may not",
        '"Pull requests: write" and "Contents: read"',
    ),
    (
        failure(403, "Resource not accessible by integration", asked=OWN),
        "may not",
        "Set `contents: write` under `permissions` of the job in its workflow",
    ),
    (
        graphql("FORBIDDEN", "Resource not accessible by integration", OWN),
        "may not",
        "a repository other than the job's, which its own token never reaches",
    ),
    (failure(404, "Not Found"), "isn't there, or is hidden from this token.", "Check the names"),
    (
        graphql("NOT_FOUND", "Could not resolve to a Repository with the name 'acme/deploy'."),
        "It says: Could not resolve to a Repository",
        "Give the token",
    ),
    (
        failure(
            403, "GitHub Actions is not permitted to create or approve pull requests.", asked=OWN
        ),
        "A setting forbids GitHub Actions",
        "Settings > Actions > General > Workflow permissions",
    ),
    (
        failure(
            403,
            "Resource protected by organization SAML enforcement.",
            x_github_sso="required; url=https://github.com/orgs/acme/sso?authorization_request=A1",
        ),
        "only after single sign-on",
        "Authorise the token at https://github.com/orgs/acme/sso?authorization_request=A1.",
    ),
    (
        failure(403, "SAML", x_github_sso="required; url=https://evil.example/login"),
        "only after single sign-on",
        "Authorise the token for the organisation",
    ),
    (
        failure(403, "Repository was archived so is read-only."),
        "the repository is archived",
        "Unarchive it",
    ),
    (
        graphql(
            "UNPROCESSABLE",
            "Repository rule violations found\n\nChanges must be made through a pull request.\n\n",
        ),
        (
            "A rule of the repository does not let this token commit to main of acme/deploy. It "
            "says: Repository rule violations found Changes must be made through a pull request."
        ),
        "`promotion-mode: pull-request`",
    ),
    (
        failure(
            422,
            body={
                "message": "Validation Failed",
                "errors": [
                    {"resource": "PullRequest", "code": "custom", "message": "No commits."},
                    {"resource": "PullRequest", "field": "base", "code": "invalid"},
                    "Odd",
                ],
            },
        ),
        "(status 422). It says: Validation Failed. No commits. base invalid. Odd.",
        "Correct",
    ),
]


@pytest.mark.parametrize(("error", "what", "fix"), REFUSALS, ids=range(len(REFUSALS)))
def test_a_refusal_says_what_is_missing_and_where_to_set_it(
    error: PromoteError, what: str, fix: str
) -> None:
    assert isinstance(error, GitHubError)
    assert what in error.what
    assert fix in error.fix
    assert error.what.endswith(".")
    assert "\n" not in str(error)


def test_a_refusal_keeps_what_callers_tell_it_by() -> None:
    error = graphql("STALE_DATA", "Expected branch to point to it. Pull and try again.")

    assert isinstance(error, GitHubError)
    assert (error.status, error.kinds) == (200, frozenset({"STALE_DATA"}))
    assert error.said == "Expected branch to point to it. Pull and try again."


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b[1;1Hall is well", "a\r\nb\x07", "\u202egnp.exe\u200b", "x" * 100_000]
)
def test_a_hostile_text_is_one_line_that_does_nothing(text: str) -> None:
    what = failure(422, text).what

    assert what.isprintable()
    assert len(what) < 1000


@pytest.mark.parametrize(
    "body",
    [None, [], "text", 7, {"message": 7}, {"errors": "no"}, {"errors": [None, 7, {"message": {}}]}],
    ids=str,
)
@pytest.mark.parametrize("status", [200, 403, 422, 500])
def test_a_body_of_any_form_is_explained(status: int, body: object) -> None:
    error = explain(Answer(status, {}, body), ASKED, NOW)

    assert "commit to main of acme/deploy" in error.what


# --- over the wire ---

FILES = {"README.md": b"read me\n"}
PULLS = "/repos/acme/deploy/pulls"

posix = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@pytest.fixture
def server(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[Server]:
    with Server(tmp_path) as server:
        server.add_repository("acme/deploy", FILES)
        yield server
    record_property("counts:checked by GitHub's own descriptions", server.checked)


@pytest.fixture
def github(server: Server) -> Iterator[GitHub]:
    rights = {"contents": "write", "pull_requests": "write"}
    token = server.add_token("octocat", {"acme/deploy": rights})  # type: ignore[dict-item]
    with GitHub(f"{server.url}/api/v3", token, own_token=False, timeout=10) as github:
        yield github


def by_graphql(github: GitHub) -> object:
    return github.graphql("query { viewer { login } }", {}, "look around")


def by_rest(github: GitHub) -> object:
    return github.rest("GET", f"{PULLS}/1", "look around")


WAYS = pytest.mark.parametrize("ask", [by_graphql, by_rest])


@posix
def test_rest_and_graphql_reach_one_server(server: Server, github: GitHub) -> None:
    found = by_graphql(github)
    pulls = github.rest("GET", PULLS, "list", parameters={"state": "open", "per_page": 5})

    assert (found, pulls) == ({"viewer": {"login": "octocat"}}, [])
    paths = [request.path for request in server.requests]
    assert paths == ["/api/graphql", f"/api/v3{PULLS}?per_page=5&state=open"]


@posix
@WAYS
@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (500, "failed to look around: status 500"),
        (502, "failed to look around: status 502"),
        ("drop", "The connection to 127.0.0.1 broke while it was asked to look around: "),
        ("drop-after", "The connection to 127.0.0.1 broke while it was asked to look around: "),
        ("secondary", "asks to wait 7 seconds before it is asked again to look around"),
        ("primary", "asks to wait "),
    ],
)
def test_what_may_pass_is_told_and_not_repeated_here(
    server: Server, github: GitHub, ask: Callable[[GitHub], object], fault: Fault, what: str
) -> None:
    wait = 7 if what.startswith("asks") else None
    server.fail(0, fault, retry_after=wait)

    with pytest.raises(RetryableError) as raised:
        ask(github)

    assert what in raised.value.what
    assert raised.value.wait <= 8
    assert bool(raised.value.wait) == bool(wait)
    assert len(server.requests) == 1


@posix
@WAYS
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirection_is_followed(
    server: Server, github: GitHub, ask: Callable[[GitHub], object], status: int
) -> None:
    server.fail(0, status)

    with pytest.raises(GitHubError) as raised:
        ask(github)

    assert raised.value.what.endswith("the repository was renamed or moved.")
    assert raised.value.fix == "Give its new name in `config-repository`."
    assert len(server.requests) == 1


@posix
@WAYS
def test_a_token_that_is_wrong_is_told(server: Server, ask: Callable[[GitHub], object]) -> None:
    with (
        GitHub(f"{server.url}/api/v3", TOKEN, own_token=False) as github,
        pytest.raises(GitHubError) as raised,
    ):
        ask(github)

    assert raised.value.status == 401
    assert "127.0.0.1 refused the token to look around" in raised.value.what
    assert TOKEN not in str(raised.value)


@posix
def test_what_lacks_is_told_by_the_headers_of_the_answer(server: Server) -> None:
    token = server.add_token("github-actions[bot]", {"acme/deploy": {"contents": "read"}})
    body = {"title": "t", "head": "a", "base": "main"}

    with (
        GitHub(f"{server.url}/api/v3", token, own_token=True) as github,
        pytest.raises(GitHubError) as raised,
    ):
        github.rest("POST", PULLS, "open a pull request in acme/deploy", input=body)

    assert raised.value.what == (
        "This token may not open a pull request in acme/deploy. "
        "It says: Resource not accessible by integration."
    )
    assert "Set `pull-requests: write` under `permissions`" in raised.value.fix


@posix
@WAYS
def test_an_answer_that_takes_too_long_is_told(
    server: Server, ask: Callable[[GitHub], object]
) -> None:
    server.latency = 0.5
    token = server.add_token("octocat", {})

    with (
        GitHub(f"{server.url}/api/v3", token, own_token=False, timeout=0.1) as github,
        pytest.raises(RetryableError, match=r"127\.0\.0\.1 took too long to look around"),
    ):
        ask(github)


@WAYS
def test_a_server_that_is_not_there_is_told(ask: Callable[[GitHub], object]) -> None:
    with (
        GitHub("http://127.0.0.1:1/api/v3", TOKEN, own_token=False) as github,
        pytest.raises(RetryableError, match=r"Connection refused|actively refused") as raised,
    ):
        ask(github)

    assert TOKEN not in str(raised.value)
    assert "object at" not in str(raised.value)


def set_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if url:
        monkeypatch.setenv("HTTPS_PROXY", url)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:s3cr#et@proxy.example:8080",
        "http://user:s3cr/et@proxy.example:8080",
        "http://user:s3cret@proxy.example:80800",
        "http://user:[s3cret@proxy.example:8080",
        "http://user:s3cr€t@proxy.example:8080",
        "user:s3cret@proxy.example:8080",
        "ftp://user:s3cret@proxy.example:8080",
    ],
)
@WAYS
def test_a_proxy_that_is_no_url_is_told_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[GitHub], object], proxy: str
) -> None:
    set_proxy(monkeypatch, proxy)

    with (
        GitHub(DOTCOM, TOKEN, own_token=False) as github,
        pytest.raises(PromoteError, match="HTTPS_PROXY or GITHUB_API_URL is no URL") as raised,
    ):
        ask(github)

    assert not isinstance(raised.value, RetryableError)
    assert not re.search("user|s3cr|et@|proxy.example", str(raised.value))
    assert raised.value.__suppress_context__


def test_an_api_whose_host_can_be_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    set_proxy(monkeypatch, "")

    with (
        GitHub(f"https://{'a' * 64}.example/api/v3", TOKEN, own_token=False) as github,
        pytest.raises(PromoteError, match="HTTPS_PROXY or GITHUB_API_URL is no URL") as raised,
    ):
        by_rest(github)

    assert not isinstance(raised.value, RetryableError)


@posix
def test_the_token_is_in_no_address_and_no_body(server: Server) -> None:
    token = server.add_token("octocat", {"acme/deploy": {"contents": "write"}})

    with GitHub(f"{server.url}/api/v3", token, own_token=False) as github:
        by_graphql(github)
        with pytest.raises(GitHubError):
            by_rest(github)

    assert all(request.authorized for request in server.requests)
    assert all(token not in f"{request.path} {request.body}" for request in server.requests)


@posix
def test_what_is_no_answer_of_the_api_is_told(server: Server) -> None:
    # A page of the server where the API should be.
    token = server.add_token("octocat", {"acme/deploy": {"contents": "write"}})
    git = f"{server.url}/acme/deploy.git"

    with (
        GitHub(git, token, own_token=False) as github,
        pytest.raises(GitHubError, match="its answer is no JSON"),
    ):
        github.rest("GET", "/info/refs", "look around", parameters={"service": "git-upload-pack"})


@posix
def test_a_token_that_a_server_repeats_is_shown_nowhere(server: Server) -> None:
    token = server.add_token("octocat", {"acme/deploy": {"contents": "write"}})
    server.fail(0, 422, answer={"message": f"What is {token}?"})

    with (
        GitHub(f"{server.url}/api/v3", token, own_token=False) as github,
        pytest.raises(GitHubError, match=r"What is \*\*\*\?") as raised,
    ):
        by_rest(github)

    assert raised.value.said == "What is ***?."


@pytest.mark.parametrize("answer", [{}, {"number": None}, {"number": "one"}, [], None, "text"])
def test_an_answer_of_another_form_is_told(answer: Any) -> None:  # noqa: ANN401  (any JSON)
    github = GitHub(DOTCOM, TOKEN, own_token=False)

    with pytest.raises(GitHubError) as raised, github.reading("open a pull request"):
        int(answer["number"])

    assert raised.value.what == (
        "github.com failed to open a pull request: its answer has a form that is not known here."
    )
    assert "newer version" in raised.value.fix


def test_a_refusal_is_not_taken_for_an_answer_of_another_form() -> None:
    github = GitHub(DOTCOM, TOKEN, own_token=False)

    with pytest.raises(RetryableError, match="moved"), github.reading("look around"):
        raise RetryableError("It moved.")
    with pytest.raises(AssertionError), github.reading("look around"):
        raise AssertionError


def test_a_mistake_of_ours_is_not_explained_away() -> None:
    github = GitHub(DOTCOM, TOKEN, own_token=False)

    with pytest.raises(AssertionError):
        github.rest("TAKE", PULLS, "look around")
    with pytest.raises(TypeError, match="serializable"):
        github.rest("POST", PULLS, "look around", input={"a": object()})


def test_what_is_moved_is_counted(server: Server, github: GitHub) -> None:
    counted: list[tuple[int, int, int, str]] = []
    github.meter = lambda *counts: counted.append(counts)
    sent = json.dumps({"query": "query { viewer { login } }", "variables": {}})

    github.rest("GET", "/user", "see who it is")
    github.graphql("query { viewer { login } }", {}, "see who it is")

    assert [(one[0], one[3]) for one in counted] == [(1, ""), (1, "")]
    assert [one[2] for one in counted] == [0, len(sent)]
    assert counted[1][1] == len('{"data": {"viewer": {"login": "octocat"}}}')
    assert len(server.requests) == 2
