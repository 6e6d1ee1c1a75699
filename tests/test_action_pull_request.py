"""The action for real, for reviewers: `uses:` under act, against the stand-in for GitHub."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from github_double import GitHub
from github_double.state import Access
from runner import FILES, OUTPUTS, OVERLAY, PROMOTION, Job, Runner
from servers import commit_files, file_of, git, head_of

REPOSITORY = "acme/deploy"
DEV, STAGING = (f"apps/shop/overlays/{name}/kustomization.yaml" for name in ("dev", "staging"))
BRANCH = "gitops-promote/dev/shop"
GATES = "Scan=https://scan.example/report/1\nTests=https://ci.example/tests/2"
READ: Mapping[str, Access] = {"contents": "read", "pull_requests": "read"}
WRITE: Mapping[str, Access] = {"contents": "write", "pull_requests": "write", "issues": "write"}


class Server:
    """A GitHub with an app's repository and its config repository, and the job's two tokens."""

    def __init__(self, github: GitHub) -> None:
        self.github = github
        files = {**FILES, STAGING: OVERLAY}
        contents = {name: content.encode() for name, content in files.items()}
        self.bare = github.add_repository(REPOSITORY, contents)
        github.add_repository("acme/shop", {"README.md": b"A shop.\n"})
        self.token = github.add_token("octocat", {REPOSITORY: WRITE})
        self.job_token = github.add_token("github-actions[bot]", {"acme/shop": READ})

    def promote(self, version: str, **inputs: str) -> tuple[str, dict[str, str]]:
        """A step that promotes the app by pull request, to dev."""
        usual = {
            "config_repository": REPOSITORY,
            "environment": "dev",
            "images": f"ghcr.io/acme/shop:{version}",
            "promotion_mode": "pull-request",
            "target": "apps/shop/overlays/{environment}",
            "token": self.token,
        }
        return PROMOTION, {**usual, **inputs}

    def check_secrets(self, *jobs: Job) -> None:
        """No token is in what anybody can read."""
        seen = [job.log + json.dumps(dict(job.steps)) for job in jobs]
        seen += [f"{request.path} {request.body}" for request in self.github.requests]
        seen.append(git("--git-dir", self.bare, "log", "--all", "--format=%B").decode())
        for token in (self.token, self.job_token):
            basic = b64encode(f"x-access-token:{token}".encode()).decode()
            assert not any(token in text or basic in text for text in seen)

    def read(self, path: str, branch: str = "main") -> str:
        """A file of the config repository."""
        return file_of(self.bare, path, branch).decode()

    def message(self, branch: str) -> str:
        """The message of a branch's newest commit."""
        return git("--git-dir", self.bare, "log", "-1", "--format=%B", branch).decode()

    def ahead(self, branch: str) -> list[str]:
        """The commits of a branch that the base doesn't have."""
        return git("--git-dir", self.bare, "rev-list", f"main..{branch}").decode().split()

    def branches(self) -> list[str]:
        """The branches of the config repository."""
        shown = git("--git-dir", self.bare, "for-each-ref", "--format=%(refname:strip=2)")
        return shown.decode().split()

    def git_requests(self) -> list[str]:
        """The requests that git made."""
        paths = (request.path for request in self.github.requests)
        return [path for path in paths if not path.startswith("/api/")]


@pytest.fixture
def server(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[Server]:
    with GitHub(tmp_path) as github:
        yield Server(github)
    record_property("counts:checked by GitHub's own descriptions", github.checked)


@pytest.fixture
def runner(tmp_path: Path, tool: Callable[[str], str], action: Path, server: Server) -> Runner:
    if os.name == "nt":
        pytest.skip("act runs no bash steps on a Windows host")
    made = Runner(tmp_path / "runner", tool("act"), action)
    made.server, made.job_token = server.github.environ, server.job_token
    return made


@pytest.mark.parametrize("via", ["api", "git"])
def test_it_is_opened_updated_and_closed(runner: Runner, server: Server, via: str) -> None:
    github, start = server.github, head_of(server.bare)
    github.add_collaborator(REPOSITORY, "reviewer")
    github.add_team(REPOSITORY, "platform")
    people = {"reviewers": "reviewer\nstranger", "team_reviewers": "platform"}
    texts = {"gates": GATES, "labels": "promotion", "assignees": "octocat", **people}

    job = runner.run_steps(
        {
            "created": server.promote("1.1.0", commit_via=via, **texts),
            "newer": server.promote("1.2.0", commit_via=via),
        }
    )
    (pull,) = github.pulls(REPOSITORY)

    assert job.status == 0, job.log
    assert operations(job) == {
        "created": ("created", "true", "1"),
        "newer": ("updated", "true", "1"),
    }
    created, newer = job.outputs_of("created"), job.outputs_of("newer")
    assert created["pull-request-url"] == f"{github.url}/{REPOSITORY}/pull/1"
    assert created["pull-request-branch"] == pull.head == BRANCH
    assert created["pull-request-title"] == "Promote shop to 1.1.0 in dev"
    assert "| `ghcr.io/acme/shop` | `1.0.0` | **`1.1.0`** |" in created["pull-request-body"]
    assert "- [ ] [Scan](https://scan.example/report/1)" in created["pull-request-body"]
    assert created["commit-url"] == f"{github.url}/{REPOSITORY}/commit/{created['commit-sha']}"
    assert json.loads(created["json"])["pull-request-number"] == 1
    (warning,) = job.annotated("warning")
    assert "`stranger`" in warning

    assert (pull.state, pull.author) == ("open", "octocat")
    assert pull.title == newer["pull-request-title"] == "Promote shop to 1.2.0 in dev"
    assert pull.body.startswith(newer["pull-request-body"].rstrip())
    assert "| `ghcr.io/acme/shop` | `1.0.0` | **`1.2.0`** |" in pull.body
    assert (pull.labels, pull.assignees) == (["promotion"], ["octocat"])
    assert (pull.reviewers, pull.team_reviewers) == (["reviewer"], ["platform"])
    (comment,) = pull.comments
    assert comment.body.startswith("`1.2.0` supersedes `1.1.0`. Started by ")
    assert server.ahead(BRANCH) == [pull.head_sha] == [newer["commit-sha"]]
    assert server.read(DEV, BRANCH) == OVERLAY.replace("1.0.0", "1.2.0")
    assert head_of(server.bare) == start
    # GitHub signs what it commits itself.
    assert (pull.head_sha in github.repository(REPOSITORY).signed) == (via == "api")
    assert bool(server.git_requests()) == (via == "git")

    arrived = commit_files(server.bare, {DEV: OVERLAY.replace("1.0.0", "1.2.0").encode()})
    later = runner.run_steps({"arrived": server.promote("1.2.0", commit_via=via)})
    (pull,) = github.pulls(REPOSITORY)

    assert later.status == 0, later.log
    assert operations(later) == {"arrived": ("closed", "false", "1")}
    assert (pull.state, pull.merged) == ("closed", False)
    assert pull.comments[-1].body.startswith("Closed: ")
    assert server.branches() == ["main"]
    assert head_of(server.bare) == arrived
    server.check_secrets(job, later)


def test_it_stays_for_the_same_and_an_older_version_and_where_a_person_works_on_it(
    runner: Runner, server: Server
) -> None:
    job = runner.run_steps(
        {
            "created": server.promote("1.2.0"),
            "again": server.promote("1.2.0"),
            "older": server.promote("1.1.0"),
        }
    )
    (pull,) = server.github.pulls(REPOSITORY)
    commit = commit_files(server.bare, {"notes.txt": b"Mine.\n"}, BRANCH)
    later = runner.run_steps({"newer": server.promote("2.0.0")})
    (touched,) = server.github.pulls(REPOSITORY)

    assert job.status == 0, job.log
    assert operations(job) == {
        "created": ("created", "true", "1"),
        "again": ("none", "false", "1"),
        "older": ("none", "false", "1"),
    }
    assert "Pull request #1 already has all of it." in reason(job, "again")
    assert "#1 already promotes 1.2.0, which is newer than 1.1.0." in reason(job, "older")
    assert job.outputs_of("again")["commit-sha"] == job.outputs_of("older")["commit-sha"] == ""
    assert pull.head_sha == job.outputs_of("created")["commit-sha"]
    assert not job.annotated("warning")

    assert later.status == 0, later.log
    assert operations(later) == {"newer": ("none", "false", "1")}
    (warning,) = later.annotated("warning")
    assert "Pull request #1 has commits of " in warning
    assert "Pull request #1 has commits of " in reason(later, "newer")
    assert (touched.state, touched.head_sha) == ("open", commit)
    assert (touched.title, touched.body, touched.comments) == (pull.title, pull.body, [])
    server.check_secrets(job, later)


def test_auto_merge_waits_for_its_checks_and_a_draft_for_people(
    runner: Runner, server: Server
) -> None:
    github = server.github
    github.repository(REPOSITORY).allow_auto_merge = True
    github.protect(REPOSITORY, checks=("ci",))
    start, milestone = head_of(server.bare), github.add_milestone(REPOSITORY, "Summer")
    texts = {
        "app": "shop",
        "body": "{table}\n\nAsk @platform.",
        "branch": "ship/{app}/{environment}",
        "commit_message": "Ship {app} {version}",
        "title": "{app}: {old-version} to {version}",
    }

    job = runner.run_steps(
        {
            "auto": server.promote("1.1.0", auto_merge="squash"),
            "draft": server.promote(
                "1.1.0",
                environment="staging",
                draft="true",
                milestone=str(milestone),
                signoff="true",
                **texts,
            ),
        }
    )
    pull, draft = github.pulls(REPOSITORY)
    before = head_of(server.bare)
    github.pass_checks(REPOSITORY)

    assert job.status == 0, job.log
    assert not job.annotated("warning")
    assert operations(job) == {"auto": ("created", "true", "1"), "draft": ("created", "true", "2")}
    assert (pull.auto_merge, pull.state, pull.draft) == ("squash", "open", False)
    assert before == start
    assert github.pull(REPOSITORY).merged
    assert server.read(DEV) == OVERLAY.replace("1.0.0", "1.1.0")
    assert (draft.draft, draft.milestone, draft.auto_merge) == (True, milestone, "")
    assert draft.title == job.outputs_of("draft")["pull-request-title"] == "shop: 1.0.0 to 1.1.0"
    assert draft.head == job.outputs_of("draft")["pull-request-branch"] == "ship/shop/staging"
    assert "**`1.1.0`**" in draft.body
    assert "Ask @platform." in draft.body
    message = server.message(draft.head)
    assert message.startswith("Ship shop 1.1.0\n")
    assert "\nSigned-off-by: octocat <" in message
    # `auto` is the API here.
    assert {draft.head_sha, pull.head_sha} <= github.repository(REPOSITORY).signed
    assert not server.git_requests()
    server.check_secrets(job)


def test_a_push_by_the_api_and_a_branch_where_there_is_no_api(
    runner: Runner, server: Server
) -> None:
    start, plain = head_of(server.bare), head_of(runner.config)

    job = runner.run_steps(
        {
            "push": server.promote("1.1.0", promotion_mode="push", commit_via="api"),
            "plain": server.promote("1.1.0", config_repository=str(runner.config)),
        }
    )

    assert job.status == 0, job.log
    assert operations(job) == {"push": ("none", "true", ""), "plain": ("none", "true", "")}
    head = head_of(server.bare)
    assert job.outputs_of("push")["commit-sha"] == head
    assert git("--git-dir", server.bare, "rev-parse", "main~1").decode().strip() == start
    assert head in server.github.repository(REPOSITORY).signed
    assert server.read(DEV) == OVERLAY.replace("1.0.0", "1.1.0")
    assert not server.git_requests()
    assert not server.github.pulls(REPOSITORY)

    outputs = job.outputs_of("plain")
    assert outputs["pull-request-branch"] == BRANCH
    assert outputs["pull-request-url"] == ""
    assert outputs["pull-request-title"] == "Promote shop to 1.1.0 in dev"
    assert "**`1.1.0`**" in outputs["pull-request-body"]
    assert outputs["commit-sha"] == head_of(runner.config, BRANCH)
    assert head_of(runner.config) == plain
    (notice,) = job.annotated("notice")
    assert f"Open one from {BRANCH} to main" in notice
    summary = job.log[job.log.rindex("Summary - ") :]
    assert "> Open a pull request from " in summary
    assert "**Revert** this pull request after its merge" in summary
    server.check_secrets(job)


def test_what_a_token_may_not_do_is_named(runner: Runner, server: Server) -> None:
    reader = server.github.add_token("octocat", {REPOSITORY: READ})
    pusher = server.github.add_token("octocat", {REPOSITORY: {**READ, "contents": "write"}})
    start = head_of(server.bare)
    steps = {
        "reader": server.promote("1.1.0", token=reader),
        "pusher": server.promote("1.1.0", token=pusher),
        "own": server.promote("1.1.0", token="${{ github.token }}"),
        "wrong": server.promote("1.1.0", token="github_pat_made_up"),
    }

    job = runner.run_steps(steps, may_fail=steps)

    assert {job.outcome(step) for step in steps} == {"failure"}
    assert not any(value for step in steps for value in job.outputs_of(step).values())
    contents, pull_requests, own, wrong = job.annotated("error")
    assert 'Give the token the permission "Contents: write"' in contents
    assert "This token may not open a pull request in acme/deploy." in pull_requests
    assert 'Give the token the permission "Pull requests: write"' in pull_requests
    assert "for a repository other than the job's, which its own token never reaches" in own
    assert "It is mistyped, expired or revoked" in wrong
    assert "Traceback" not in job.log
    assert head_of(server.bare) == start
    assert not server.github.pulls(REPOSITORY)
    server.check_secrets(job)
    assert not any(token in job.log for token in (reader, pusher, "github_pat_made_up"))


def test_the_job_s_own_token_serves_its_own_repository(runner: Runner, server: Server) -> None:
    github, app = server.github, runner.app
    for name, content in FILES.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(content)
    runner.commit(app)
    runner.git("tag", "v1.0.0", cwd=app)
    bare = github.repository("acme/shop").bare
    git("--git-dir", bare, "fetch", "--quiet", app, "+main:main", "v1.0.0:refs/tags/v1.0.0")
    # So that the run's commit, which is made for the run, is on the server too.
    (bare / "objects" / "info" / "alternates").write_text(f"{app / '.git' / 'objects'}\n")
    server.job_token = github.add_token("github-actions[bot]", {"acme/shop": WRITE})
    runner.job_token = server.job_token
    own = {"token": "${{ github.token }}", "config_repository": ""}

    job = runner.run_steps({"promote": server.promote("1.1.0", **own)})
    (pull,) = github.pulls("acme/shop")

    assert job.status == 0, job.log
    assert operations(job) == {"promote": ("created", "true", "1")}
    assert (pull.author, pull.title) == ("github-actions[bot]", "Promote shop to 1.1.0 in dev")
    old, new = runner.git("rev-parse", "v1.0.0", "main", cwd=app).split()
    assert "#### What is new in [acme/shop]" in pull.body
    assert f"]({github.url}/acme/shop/compare/{old}...{new}) · 1 commit" in pull.body
    assert f"- [`{new[:7]}`]({github.url}/acme/shop/commit/{new}) Work — A Person\n" in pull.body
    (notice,) = job.annotated("notice")
    assert "was opened with the job's own token, so it starts no workflows." in notice
    server.check_secrets(job)


def operations(job: Job) -> dict[str, tuple[str, str, str]]:
    """What each step did to a pull request, whether that changed anything, and its number."""
    names = ("pull-request-operation", "changed", "pull-request-number")
    found = {}
    for step in job.steps:
        outputs = job.outputs_of(step)
        if not outputs:
            continue  # the step that reads the others
        assert set(outputs) == OUTPUTS
        operation, changed, number = (outputs[name] for name in names)
        found[step] = operation, changed, number
    return found


def reason(job: Job, step: str) -> str:
    """Why a step changed nothing."""
    return str(json.loads(job.outputs_of(step)["json"])["reason"])
