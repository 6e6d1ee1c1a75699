"""Promotions by pull request at once, killed, and on a GitHub that fails: the end is the same."""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

import pytest

from calls import DEV, JOB, OVERLAY, SHOP
from conftest import find_tool
from forks import Forks
from github_double import GitHub
from gitops_promote.core.errors import MovedHeadError
from gitops_promote.core.review.proposal import marked
from gitops_promote.effects.config_repository import Head, NewCommit
from gitops_promote.effects.git.repository import Credentials, GitRepository
from gitops_promote.effects.retry import PATIENCE
from gitops_promote.inputs import Identity
from memory import FILES, overlay
from servers import commit_files, git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from forks import Run
    from github_double.server import Fault, Request

NAME = "acme/deploy"
BRANCH = "gitops-promote/dev/shop"
MANY = 32
#: Seconds after which a run gives up where others always get ahead of it.

WANTED = (
    *("--labels", "promotion", "--assignees", "ann", "--reviewers", "ann\nben"),
    *("--team-reviewers", "ops", "--milestone", "1", "--auto-merge", "squash"),
)
#: What nobody is stopped by: it is told, or done without.
_HELPFUL = re.compile(r"/labels$|/assignees$|/requested_reviewers$|/issues/\d+$|AutoMerge|\$name0")

Via = Literal["api", "git"]
Story = Literal["create", "update", "keep", "close"]

STORIES: tuple[Story, ...] = ("create", "update", "close")
VIAS: tuple[Via, ...] = ("api", "git")
#: Faults that pass, and where each is tried: a lost question and a lost answer differ only where
#: something is to be changed.
PASSING: tuple[tuple[Fault, Story, Via], ...] = (
    *((502, "update", via) for via in VIAS),
    (502, "keep", "api"),
    ("drop", "update", "api"),
    *(("drop-after", story, via) for story in STORIES for via in VIAS),
    ("secondary", "update", "api"),
)
#: Faults that last.
LASTING: tuple[tuple[Fault, Story, Via], ...] = (
    ("primary", "update", "api"),
    ("primary", "close", "git"),
    (401, "update", "git"),
    (403, "close", "api"),
)


@dataclass
class Ended:
    """How a run ended."""

    status: int
    log: str
    json: dict[str, Any]
    seconds: float

    @property
    def operation(self) -> str:
        return str(self.json.get("pull-request-operation", ""))


@final
class Started:
    """A run that goes on."""

    def __init__(self, run: Run, home: Path) -> None:
        self.run, self._home, self._began = run, home, time.monotonic()

    def end(self) -> Ended:
        status = self.run.wait()
        seconds = time.monotonic() - self._began
        names = ("log", "output")
        log, output = (
            (self._home / name).read_text("utf-8") if (self._home / name).exists() else ""
            for name in names
        )
        found = re.search(r"^json<<(\S+)\n(.*)\n\1$", output, re.MULTILINE)
        return Ended(status, log, json.loads(found[2]) if found else {}, seconds)


@final
class Scene:
    """A GitHub with a config repository, and runs that promote the shop to dev."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        folder.mkdir()
        self.github = GitHub(folder / "github")
        self._folder, self._forks = folder, forks
        self._count = 0

    def __enter__(self) -> Scene:
        github = self.github.__enter__()
        self.bare = github.add_repository(NAME, {k: v.encode() for k, v in FILES.items()})
        self._source = head_of(github.add_repository("acme/shop", {"a": b"1"}))
        for login in ("ann", "ben"):
            github.add_collaborator(NAME, login)
        github.add_team(NAME, "ops")
        github.add_milestone(NAME, "Next")
        github.protect(NAME, checks=("ci",))
        github.repository(NAME).allow_auto_merge = True
        self._token = github.add_token(
            "octocat",
            {
                NAME: {"contents": "write", "pull_requests": "write"},
                "acme/shop": {"contents": "read"},
            },
        )
        self.main = head_of(self.bare)
        # No kubectl: what is rendered is another test's matter, and takes its time.
        tools = self._folder / "tools"
        tools.mkdir()
        (tools / "git").symlink_to(find_tool("git") or "git")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.github.__exit__(kind, error, trace)

    def start(self, version: str, via: Via, number: int = 42) -> Started:
        """Start a run that promotes a version, from a run of Actions of this number."""
        self._count += 1
        home = self._folder / f"run-{self._count}"
        home.mkdir()
        environ = {
            **JOB,
            **self.github.environ,
            "GITHUB_SHA": self._source,
            "GITHUB_RUN_ID": str(number),
            "GITOPS_PROMOTE_TOKEN": self._token,
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(home),
            "TMPDIR": str(home),
            "PATH": str(self._folder / "tools"),
            "GITHUB_OUTPUT": str(home / "output"),
        }
        where = ("--config-repository", NAME, "--environment", "dev", "--target", OVERLAY)
        how = ("--promotion-mode", "pull-request", "--commit-via", via, *WANTED)
        arguments = ["promote", *where, *how, "--images", f"{SHOP}:{version}"]
        return Started(self._forks.start(arguments, environ, str(home / "log")), home)

    def promote(self, version: str, via: Via) -> Ended:
        """Promote a version and wait for the end."""
        return self.start(version, via).end()

    def prepare(self, story: Story, via: Via) -> None:
        """Bring about what comes before the run that a story is about."""
        if story == "create":
            return
        version = "1.2.2" if story == "update" else "1.2.3"
        assert self.promote(version, via).status == 0
        if story == "close":
            text = FILES[DEV].replace("1.0.0", "1.2.3")
            commit_files(self.bare, {DEV: text.encode()})

    def branches(self) -> dict[str, str]:
        """The branches and their commits."""
        form = "--format=%(refname:lstrip=2) %(objectname)"
        lines = git("--git-dir", self.bare, "for-each-ref", form, "refs/heads").decode()
        return dict(line.split() for line in lines.splitlines())

    def end_state(self) -> dict[str, Any]:
        """All that is there, but for the ids that each time are others."""
        branches = self.branches()
        form = "--format=%T %an %ae %cn %ce%n%B"
        commits = {
            name: git("--git-dir", self.bare, "log", form, f"main..{commit}").decode()
            for name, commit in branches.items()
        }
        known = {commit: f"<{name}>" for name, commit in branches.items()}
        known |= {self.github.url: "<url>", self._source: "<source>", self._source[:7]: "<short>"}
        pulls = []
        for pull in self.github.pulls(NAME):
            fields = (pull.number, pull.state, pull.merged, pull.draft, pull.head, pull.base)
            people = sorted(pull.assignees), sorted(pull.reviewers), pull.team_reviewers
            more = (pull.labels, pull.milestone, pull.auto_merge)
            texts = (pull.title, pull.body, *(comment.body for comment in pull.comments))
            pulls.append((fields, people, more, [_same(text, known) for text in texts]))
        text = {name: _same(commit, known) for name, commit in commits.items()}
        return {"pulls": pulls, "branches": text}


def _same(text: str, known: dict[str, str]) -> str:
    for value, name in known.items():
        text = text.replace(value, name)
    # A closed pull request's text is about a commit that no branch has any more.
    return re.sub(r"(?<=<!-- gitops-promote: )[0-9a-f]{40}", "<gone>", text)


@final
class Scenes:
    """Makes scenes, and keeps how stories end that nothing disturbs."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        self._folder, self._forks = folder, forks
        self._count = 0
        self._lock = threading.Lock()
        self._usual: dict[tuple[Story, Via], tuple[dict[str, Any], Ended, list[Request]]] = {}

    def new(self) -> Scene:
        with self._lock:
            self._count += 1
            return Scene(self._folder / str(self._count), self._forks)

    def usual(self, story: Story, via: Via) -> tuple[dict[str, Any], Ended, list[Request]]:
        """The end state, the run's end and its requests."""
        if (story, via) not in self._usual:
            with self.new() as scene:
                scene.prepare(story, via)
                first = len(scene.github.requests)
                ended = scene.promote("1.2.3", via)
                assert ended.status == 0, ended.log
                requests = scene.github.requests[first:]
                self._usual[story, via] = scene.end_state(), ended, requests
        return self._usual[story, via]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    with Forks() as forks:
        yield Scenes(tmp_path_factory.mktemp("scenes"), forks)


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("form", ["2.0.{n}", "abc1234-{run}"], ids=["versions", "runs"])
def test_of_many_runs_at_once_the_newest_version_is_in_the_one_pull_request(
    form: str, via: Via, scenes: Scenes, record_property: Callable[[str, object], None]
) -> None:
    order = list(range(MANY))
    random.Random(f"{form} {via}").shuffle(order)

    with scenes.new() as scene:
        began = time.monotonic()
        started = [scene.start(form.format(n=n, run=100 + n), via, 100 + n) for n in order]
        runs = [run.end() for run in started]
        seconds = time.monotonic() - began
        pulls, branches = scene.github.pulls(NAME), scene.branches()
        commits = git("--git-dir", scene.bare, "log", "--format=%P %B", f"main..{BRANCH}").decode()
        content = git("--git-dir", scene.bare, "show", f"{BRANCH}:{DEV}").decode()

    newest = form.format(n=MANY - 1, run=100 + MANY - 1)
    assert [run.log for run in runs if run.status] == []
    assert set(branches) == {"main", BRANCH}
    assert branches["main"] == scene.main
    assert content == overlay(f"{SHOP}:{newest}")
    assert commits.startswith(f"{scene.main} Promote shop to {newest} in dev\n")
    assert commits.count("Promoted-Image:") == 1
    (pull,) = pulls
    assert pull.state == "open"
    assert pull.title == f"Promote shop to {newest} in dev"
    assert pull.body.startswith(f"Promotes **shop** from `1.0.0` to **`{newest}`**")
    assert (marked(pull.body)[0], marked(pull.body)[2]) == (branches[BRANCH], newest)
    assert f"run {100 + MANY - 1}]" in pull.body
    assert (pull.labels, pull.assignees, pull.auto_merge) == (["promotion"], ["ann"], "squash")
    said = Counter(comment.body.partition(". ")[0] for comment in pull.comments)
    assert max(said.values(), default=1) == 1
    for comment in pull.comments:
        new, old, run = re.findall(r"(\d+)(?:`|\]\()", comment.body)
        assert int(old) % 100 < int(new) % 100 == int(run) % 100
    slowest = max(run.seconds for run in runs)
    assert slowest < PATIENCE
    record_property(
        "figure",
        f"{MANY} promotions at once into one pull request, commit-via {via}, {form}: "
        f"{seconds:.1f} s in all, {len(scene.github.requests)} requests, the slowest run "
        f"{slowest:.1f} s",
    )


def _changes(request: Request) -> bool:
    if request.query:
        return "mutation" in request.query
    if "/api/v3/" in request.path:
        return request.method != "GET"
    return request.path.endswith("/git-receive-pack")


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("story", STORIES)
def test_a_run_that_is_killed_leaves_what_the_next_makes_good(
    story: Story, via: Via, scenes: Scenes
) -> None:
    wanted, _, requests = scenes.usual(story, via)
    # What only reads leaves the server as it was.
    points = [n for n, request in enumerate(requests) if _changes(request)]

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda n: _killed(scenes, story, via, n), points))

    assert {n: end for n, end in zip(points, ends, strict=True) if end != wanted} == {}
    assert len(points) >= 2


def _killed(scenes: Scenes, story: Story, via: Via, point: int) -> dict[str, Any]:
    """Kill a run as its request of this number is carried out, run again, and look."""
    with scenes.new() as scene:
        scene.prepare(story, via)
        number = len(scene.github.requests) + point
        known = threading.Event()

        def kill(request: Request) -> bool:
            if request.number == number:
                known.wait()
                started.run.kill()
            return False

        scene.github.fail(kill, "drop")
        started = scene.start("1.2.3", via)
        known.set()
        killed = started.end()
        assert killed.status < 0, killed.log
        while not scene.github.requests[number].status:
            time.sleep(0.01)
        again = scene.promote("1.2.3", via)
        assert again.status == 0, again.log
        return scene.end_state()


@pytest.mark.parametrize(("fault", "story", "via"), PASSING)
def test_a_fault_that_passes_changes_nothing_of_the_end(
    story: Story, via: Via, fault: Fault, scenes: Scenes
) -> None:
    wanted, usual, requests = scenes.usual(story, via)
    points = [n for n, request in enumerate(requests) if fault == 502 or _changes(request)]

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda n: _disturbed(scenes, story, via, n, fault, 1), points))

    failed = {
        n: (_named(requests[n]), ended.status, ended.operation, ended.log[-800:], state)
        for n, (ended, state) in zip(points, ends, strict=True)
        if (ended.status, ended.operation, state) != (0, usual.operation, wanted)
    }
    assert failed == {}


@pytest.mark.parametrize(("fault", "story", "via"), LASTING)
def test_a_fault_that_lasts_is_told_at_once_and_made_good_by_the_next_run(
    story: Story, via: Via, fault: Fault, scenes: Scenes
) -> None:
    wanted, _, requests = scenes.usual(story, via)
    helpful = re.compile(f"{_HELPFUL.pattern}|/comments$") if story == "update" else _HELPFUL
    points = [n for n, request in enumerate(requests) if not helpful.search(_named(request))]

    def ends(point: int) -> tuple[Ended, dict[str, Any]]:
        return _disturbed(scenes, story, via, point, fault, 3600, again=True)

    with ThreadPoolExecutor(3) as pool:
        found = dict(zip(points, pool.map(ends, points), strict=True))

    refused = {n: ended for n, (ended, _) in found.items() if ended.status}
    assert {n: found[n] for n in points if found[n][1] != wanted} == {}
    # What was there a moment ago is looked for once more.
    assert {n for n in points if _changes(requests[n])} <= set(refused)
    assert len(refused) > len(points) / 2
    assert {n: end.log for n, end in refused.items() if "::error title=" not in end.log} == {}
    if fault == "primary":
        told = {n: end.log for n, end in refused.items() if "/api/" in requests[n].path}
        assert {n: log for n, log in told.items() if "asks to wait 60 minutes" not in log} == {}


def _named(request: Request) -> str:
    return request.query or request.path


def _disturbed(
    scenes: Scenes,
    story: Story,
    via: Via,
    point: int,
    fault: Fault,
    wait: float,
    *,
    again: bool = False,
) -> tuple[Ended, dict[str, Any]]:
    with scenes.new() as scene:
        scene.prepare(story, via)
        limited = fault in ("primary", "secondary")
        number = len(scene.github.requests) + point
        scene.github.fail(number, fault, retry_after=wait if limited else None)
        ended = scene.promote("1.2.3", via)
        if again:
            assert ended.seconds < PATIENCE / 4
            after = scene.promote("1.2.3", via)
            assert after.status == 0, after.log
        return ended, scene.end_state()


def test_a_reset_by_git_replaces_nothing_that_came_meanwhile(tmp_path: Path) -> None:
    files = {path: text.encode() for path, text in FILES.items()}
    bare = make_bare(tmp_path / "deploy.git", files)
    seen = commit_files(bare, {"a": b"seen"}, BRANCH)
    someone = Identity("Ann", "ann@example.com")
    new = NewCommit({DEV: b"new"}, "New", someone, someone)
    with GitRepository(str(bare), Credentials(), {**os.environ}) as repository:
        base = repository.fetch("main")
        theirs = commit_files(bare, {"a": b"theirs"}, BRANCH)

        for held in (seen, ""):
            with pytest.raises(MovedHeadError):
                repository.reset(Head(BRANCH, held), base, new)

    assert head_of(bare, BRANCH) == theirs


@pytest.mark.parametrize("via", VIAS)
def test_what_is_merged_while_it_is_updated_gets_a_pull_request_of_its_own(
    via: Via, scenes: Scenes
) -> None:
    with scenes.new() as scene:
        scene.prepare("update", via)

        def merge(request: Request) -> bool:
            if _changes(request) and scene.github.pull(NAME).state == "open":
                scene.github.merge(NAME)
            return False

        scene.github.fail(merge, "drop")
        ended = scene.promote("1.2.3", via)
        pulls, branches = scene.github.pulls(NAME), scene.branches()

    assert (ended.status, ended.operation) == (0, "created"), ended.log
    first, second = pulls
    assert (first.merged, first.title) == (True, "Promote shop to 1.2.2 in dev")
    assert (second.state, second.title) == ("open", "Promote shop to 1.2.3 in dev")
    assert second.head_sha == branches[BRANCH]
    assert set(branches) == {"main", BRANCH}


@pytest.mark.parametrize("via", VIAS)
def test_a_newer_promotion_that_comes_while_an_older_is_cleared_away_stays(
    via: Via, scenes: Scenes
) -> None:
    message = f"Promote shop to 1.2.4 in dev\n\nPromoted-Image: {SHOP} 1.0.0 -> 1.2.4\n"
    with scenes.new() as scene:
        scene.prepare("close", via)
        here = ("--git-dir", scene.bare)
        spare = commit_files(scene.bare, {DEV: overlay(f"{SHOP}:1.2.4").encode()}, "spare")
        made = ("commit-tree", f"{spare}^{{tree}}", "-p", scene.main, "-m", message)
        web = {"GIT_COMMITTER_EMAIL": "noreply@github.com"}
        newer = git(*here, *made, env=web).decode().strip()
        git(*here, "branch", "-D", "spare")

        def come(request: Request) -> bool:
            if request.path.endswith("/comments"):
                git(*here, "update-ref", f"refs/heads/{BRANCH}", newer)
            return False

        scene.github.fail(come, "drop")
        ended = scene.promote("1.2.3", via)
        pull, branches = scene.github.pull(NAME), scene.branches()

    assert (ended.status, ended.operation) == (0, "none"), ended.log
    assert (pull.state, pull.head_sha, branches[BRANCH]) == ("open", newer, newer)


def runs(body: str) -> list[str]:
    """The runs that a body names."""
    return re.findall(r"\brun (\d+)\]", body)


@pytest.mark.parametrize("via", VIAS)
def test_a_text_that_a_killed_older_run_left_is_put_right_by_its_next(
    via: Via, scenes: Scenes
) -> None:
    with scenes.new() as scene:
        scene.prepare("update", via)
        older = scene.github.pull(NAME)
        assert scene.promote("1.2.3", via).status == 0
        wanted = scene.github.pull(NAME)
        repository = scene.github.repository(NAME)
        repository.edit_pull(repository.pull(1), {"title": older.title, "body": older.body})

        ended = scene.start("1.2.2", via, number=41).end()
        pull = scene.github.pull(NAME)

    assert (ended.status, ended.operation) == (0, "none"), ended.log
    assert (pull.title, pull.head_sha) == (wanted.title, wanted.head_sha)
    assert marked(pull.body) == marked(wanted.body)
    # By the run that promotes it, not by the one that puts it right.
    assert runs(pull.body) == runs(wanted.body) != []
    assert len(pull.comments) == 1
