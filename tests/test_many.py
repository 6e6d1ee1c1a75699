"""Many runs at once on one branch: none is lost, the newest wins, and it takes no age.

GITOPS_PROMOTE_REPETITIONS says how often the runs of one app are started anew.
"""

from __future__ import annotations

import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, final

import pytest

from calls import JOB, PERSON
from conftest import find_tool
from forks import Forks
from gitops_promote.core.errors import BusyError, MovedHeadError, PromoteError, RetryableError
from gitops_promote.effects.config_repository import NewCommit
from gitops_promote.effects.git.errors import GitError, Place, explain
from gitops_promote.effects.git.repository import Credentials, GitRepository
from gitops_promote.inputs import Identity
from memory import overlay
from servers import GitHttpServer, add_hook, commit_files, file_of, git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LOCK = "cannot lock ref 'refs/heads/main': "
LOCKED = f"{LOCK}Unable to create '/srv/deploy.git/./refs/heads/main.lock': File exists."
#: What git and its servers print where many push at once, by the reason that `--porcelain` gives:
#: seen with git 2.39 in storms of 64, by path and by http, and told of newer ones and of GitHub.
STORM = [
    ("[rejected] (non-fast-forward)", "", MovedHeadError),
    ("[rejected] (fetch first)", "", MovedHeadError),
    ("[rejected] (stale info)", "", MovedHeadError),
    *(
        ("[remote rejected] (failed to update ref)", f"remote: error: {LOCK}{why}", MovedHeadError)
        for why in (
            "is at 1a2b3c but expected 4d5e6f        ",
            "reference already exists        ",
            "unable to resolve reference 'refs/heads/main'        ",
        )
    ),
    ("[remote rejected] (failed to update ref)", f"remote: error: {LOCKED}        ", BusyError),
    ("[remote rejected] (incorrect old value provided)", "", MovedHeadError),
    ("[remote rejected] (reference already exists)", "", MovedHeadError),
    ("[remote rejected] (reference does not exist)", "", MovedHeadError),
    (f"[remote rejected] ({LOCK}is at 1a2b3c but expected 4d5e6f)", "", MovedHeadError),
    (f"[remote rejected] ({LOCK}reference already exists)", "", MovedHeadError),
    (f"[remote rejected] ({LOCKED})", "", BusyError),
    ("[remote rejected] (failure)", "remote: fatal error in commit_refs", RetryableError),
    (
        "[remote rejected] (failed to update ref)",
        f"remote: error: {LOCK}Unable to create '/srv/main.lock': Permission denied",
        RetryableError,
    ),
]
#: The same words where somebody is free to choose them.
FREE = [
    "pre-receive hook declined",
    "hook declined",
    "protected branch hook declined",
    "declined: fetch first, then try again",
    "not on Fridays (failed to update ref)",
    f"denied, as {LOCK}is at 1 but expected 2",
    "this is no failure",
]

MANY = 64
REPETITIONS = int(os.environ.get("GITOPS_PROMOTE_REPETITIONS") or 1)
#: So many times as long as one after another may all at once take.
MOST = 3.0


@final
class Field:
    """A config repository of many apps, and runs that promote them."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        folder.mkdir()
        self.forks = forks
        self._folder = folder
        self._count = 0
        self.bare = make_bare(
            folder / "deploy.git",
            {_file(app): overlay(f"{_image(app)}:1.0.0").encode() for app in range(MANY)},
        )
        tools = folder / "tools"
        tools.mkdir()
        (tools / "git").symlink_to(find_tool("git") or "git")

    def promote(self, url: str, calls: Sequence[tuple[int, str, int]]) -> list[tuple[int, str]]:
        """Promote versions of apps by a run each, all at once: status and log of each."""
        runs = [self._start(url, *call) for call in calls]
        return [(run.wait(), log.read_text("utf-8")) for run, log in runs]

    def _start(self, url: str, app: int, version: str, number: int) -> tuple[Any, Path]:
        self._count += 1
        home = self._folder / f"home-{self._count}"
        home.mkdir()
        environ = {
            **JOB,
            "GITHUB_REPOSITORY": f"acme/app-{app}",
            "GITHUB_RUN_ID": str(number),
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(home),
            "TMPDIR": str(home),
            "PATH": str(self._folder / "tools"),
        }
        where = ("--config-repository", url, "--environment", "dev", "--commit-via", "git")
        what = (
            "--images",
            f"{_image(app)}:{version}",
            "--target",
            f"apps/app-{app}/{{environment}}",
        )
        log = home / "log"
        return self.forks.start(["promote", *where, *what, *PERSON], environ, str(log)), log

    def subjects(self, since: str) -> list[str]:
        """The commits since one, the oldest first; each is on the one before it."""
        here = ("--git-dir", self.bare, "log", "--reverse")
        lines = git(*here, "--format=%P %s", f"{since}..main").decode().splitlines()
        ids = git(*here, "--format=%H", f"{since}..main").decode().split()
        assert [line.split()[0] for line in lines] == [since, *ids][:-1]
        return [line.partition(" ")[2] for line in lines]

    def tags(self) -> list[str]:
        """What each app has."""
        listing = (file_of(self.bare, _file(app)).decode() for app in range(MANY))
        return [re.findall(r'newTag: "(.*)"', text)[0] for text in listing]


def _file(app: int) -> str:
    return f"apps/app-{app}/dev/kustomization.yaml"


def _image(app: int) -> str:
    return f"ghcr.io/acme/app-{app}"


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as forks:
        yield forks


@pytest.fixture
def field(tmp_path: Path, forks: Forks) -> Field:
    return Field(tmp_path / "field", forks)


def test_of_many_apps_promoted_at_once_each_lands_once_and_soon(
    field: Field, record_property: Callable[[str, object], None]
) -> None:
    order = list(range(MANY))
    random.shuffle(order)
    some = order[: MANY // 4]
    with GitHttpServer(field.bare.parent) as server:
        url = f"{server.url}/deploy.git"
        alone = _seconds(lambda: [field.promote(url, [(app, "1.1.0", 1)]) for app in some])
        start = head_of(field.bare)
        before, began = len(server.requests), time.monotonic()
        ends = field.promote(url, [(app, "1.2.0", 2) for app in order])
        together = time.monotonic() - began
        requests = len(server.requests) - before
        # Whatever else the machine does, it did during both.
        alone += _seconds(lambda: [field.promote(url, [(app, "1.3.0", 3)]) for app in some])
    alone *= MANY / len(some) / 2

    assert [log for status, log in ends if status] == []
    landed = field.subjects(start)[:MANY]
    assert sorted(landed) == sorted(f"Promote app-{app} to 1.2.0 in dev" for app in order)
    assert field.tags() == ["1.3.0" if app in some else "1.2.0" for app in range(MANY)]
    tries = [log.count("Trying again") + 1 for _, log in ends]
    record_property(
        "figure",
        f"{MANY} apps at once: {together:.1f} s, {together / alone:.2f} times the {alone:.1f} s of "
        f"one after another, {sum(tries)} tries, {max(tries)} at most, {requests} requests",
    )
    assert together <= MOST * alone


def _seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


@pytest.mark.parametrize("form", ["1.0.{n}", "abc1234-{run}"], ids=["versions", "runs"])
@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_of_many_versions_of_an_app_at_once_the_newest_wins(
    form: str, repetition: int, field: Field, record_property: Callable[[str, object], None]
) -> None:
    order = list(range(1, MANY + 1))
    random.Random(f"{form} {repetition}").shuffle(order)
    start = head_of(field.bare)

    with GitHttpServer(field.bare.parent) as server:
        began = time.monotonic()
        calls = [(0, form.format(n=n, run=1000 + n), 1000 + n) for n in order]
        ends = field.promote(f"{server.url}/deploy.git", calls)
        seconds = time.monotonic() - began

    newest = form.format(n=MANY, run=1000 + MANY)
    assert [log for status, log in ends if status] == []
    assert field.tags() == [newest, *["1.0.0"] * (MANY - 1)]
    landed = [int(re.findall(r"(\d+) in dev$", line)[0]) % 1000 for line in field.subjects(start)]
    # No version ever went back.
    assert landed == sorted(set(landed))
    record_property(
        "figure",
        f"{MANY} versions of an app at once, {form}, {repetition + 1}. time: {seconds:.1f} s, "
        f"{len(landed)} landed on the way to the newest",
    )


def _pushed(status: str, messages: str) -> PromoteError:
    place = Place("URL", "host.example", "main", "token", "Advice.")
    output = f"To URL\n!\tabc:refs/heads/main\t{status}\nDone\n"
    words = f"{messages}\nerror: failed to push some refs to 'URL'\n"
    return explain(GitError("push", output, words, 1), place)


@pytest.mark.parametrize(("status", "messages", "kind"), STORM)
def test_what_a_storm_makes_servers_say_is_known(
    status: str, messages: str, kind: type[PromoteError]
) -> None:
    assert type(_pushed(status, messages)) is kind


@pytest.mark.parametrize("reason", FREE)
def test_what_a_hook_says_is_no_storm(reason: str) -> None:
    error = _pushed(f"[remote rejected] ({reason})", f"remote: error: {LOCK}is at 1 but expected 2")

    assert type(error) is PromoteError
    assert reason in error.what
    assert "is at 1 but expected 2" in error.what


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_a_hook_speaks_for_nobody_else(end: str) -> None:
    said = f"remote: a{end}" + "remote: " * (end == "\r") + "fatal: returned error: 503\n"
    place = Place("URL", "host.example", "main", "token", "Advice.")

    error = explain(GitError("push", "", f"{said}fatal: returned error: 403\n", 1), place)

    assert type(error) is PromoteError


def test_who_asks_too_often_is_a_rival() -> None:
    said = "fatal: unable to access 'URL': The requested URL returned error: 429\n"
    place = Place("URL", "host.example", "main", "token", "Advice.")
    error = explain(GitError("fetch", "", said, 128), place)
    assert type(error) is BusyError
    assert "host.example says that it is asked too often" in error.what


def test_those_whom_a_lock_of_the_server_stops_wait_and_land(field: Field) -> None:
    # Who is sent away finds the lock, as its holder keeps it for longer than git waits.
    git("--git-dir", field.bare, "config", "core.filesRefLockTimeout", "0")
    slow = 'PATH=/bin:/usr/bin\n[ "$1" != prepared ] || sleep 0.2\n'
    add_hook(field.bare, "reference-transaction", slow)
    start = head_of(field.bare)

    ends = field.promote(str(field.bare), [(app, "1.2.0", 2) for app in range(6)])

    assert [log for status, log in ends if status] == []
    assert len(field.subjects(start)) == 6
    assert any("is locked, as another push changes it. Trying again" in log for _, log in ends)


def test_a_lock_that_was_left_behind_is_told(field: Field) -> None:
    lock = field.bare / "refs" / "heads" / "main.lock"
    lock.touch()
    with ThreadPoolExecutor(1) as pool:
        (run, log) = field._start(str(field.bare), 0, "1.2.0", 2)
        ended = pool.submit(run.wait)
        while "Trying again" not in (log.read_text("utf-8") if log.exists() else ""):
            time.sleep(0.05)
            assert not ended.done()
        assert "is locked, as another push changes it" in log.read_text("utf-8")
        lock.unlink()
        assert ended.result() == 0


def test_a_hook_that_declines_is_heard_once(field: Field) -> None:
    said = (
        "error: cannot lock ref 'refs/heads/main': is at 1 but expected 2; fetch first, try again"
    )
    add_hook(
        field.bare,
        "pre-receive",
        f'echo "{said}" >&2; echo "No promotions on Fridays." >&2; exit 1\n',
    )
    start = head_of(field.bare)

    ((status, log),) = field.promote(str(field.bare), [(0, "1.2.0", 2)])

    assert status == 1
    assert "pre-receive hook declined" in log
    assert "No promotions on Fridays." in log
    assert "Trying again" not in log
    assert head_of(field.bare) == start


@pytest.mark.parametrize("what", ["rewound", "deleted"])
def test_what_is_taken_back_meanwhile_is_not_brought_back(what: str, field: Field) -> None:
    older = head_of(field.bare)
    newer = commit_files(field.bare, {"README.md": b"newer"})
    someone = Identity("Ann", "ann@example.com")
    new = NewCommit({_file(0): b"new"}, "New", someone, someone)
    ref = "refs/heads/main"

    with GitRepository(str(field.bare), Credentials(), {**os.environ}) as repository:
        head = repository.fetch("main")
        repository.snapshot(head.commit)
        how = (ref, older) if what == "rewound" else ("-d", ref)
        git("--git-dir", field.bare, "update-ref", *how)
        with pytest.raises(MovedHeadError):
            repository.push(head, new)

    refs = git("--git-dir", field.bare, "for-each-ref", "--format=%(objectname)").decode()
    assert head.commit == newer
    assert refs.split() == ([older] if what == "rewound" else [])
