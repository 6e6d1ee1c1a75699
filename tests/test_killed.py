"""Runs that are killed at any moment: the repository is as before or after, and the next goes on.

GITOPS_PROMOTE_KILLS says how often each mode is killed, GITOPS_PROMOTE_SEED at which moments.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, cast, final

import pytest

from calls import DEV, JOB, OVERLAY, PERSON, SHOP
from conftest import find_tool
from forks import Forks
from github_double import GitHub
from memory import FILES, overlay
from servers import GitHttpServer, git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forks import Run

KILLS = int(os.environ.get("GITOPS_PROMOTE_KILLS") or 6)
SEED = os.environ.get("GITOPS_PROMOTE_SEED") or "6"

KEY = "-----BEGIN OPENSSH PRIVATE KEY----- of no one"
BRANCH = "gitops-promote/dev/shop"
STAGING = f"{BRANCH}.next"

#: How a run promotes: as what, by what, and whether there is a GitHub to ask.
Mode = Literal[
    "push git",
    "push api",
    "pull-request git",
    "pull-request api",
    "pull-request git, no GitHub",
    "dry-run git",
    "dry-run api",
]
MODES: tuple[Mode, ...] = (
    "push git",
    "push api",
    "pull-request git",
    "pull-request api",
    "pull-request git, no GitHub",
    "dry-run git",
    "dry-run api",
)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="the processes of a run are known by /proc alone"
)


@dataclass
class Place:
    """A config repository of its own, and how runs reach it."""

    bare: Path
    home: Path
    url: str
    environ: dict[str, str]
    start: str = ""
    logs: list[str] = field(default_factory=list)

    def refs(self) -> dict[str, str]:
        """All refs and their commits."""
        form = "--format=%(refname:lstrip=2) %(objectname)"
        lines = git("--git-dir", self.bare, "for-each-ref", form).decode().splitlines()
        return dict(line.split() for line in lines)

    def show(self, form: str, *revisions: str) -> list[str]:
        """A line for each commit."""
        lines = git("--git-dir", self.bare, "log", f"--format={form}", *revisions).decode()
        return lines.splitlines()

    def check_whole(self) -> None:
        """Every object that a ref leads to is there, and no lock is left."""
        end = time.monotonic() + 30
        # The server may not be done yet with what a killed run asked of it.
        while locks := self._locks():
            assert time.monotonic() < end, locks
            time.sleep(0.01)
        git("--git-dir", self.bare, "fsck", "--strict", "--connectivity-only", "--no-dangling")

    def _locks(self) -> list[str]:
        # Not by `rglob`, which fails where a folder goes that the server puts a push into at first.
        folders = os.walk(self.bare)
        return [name for _, _, names in folders for name in names if name.endswith(".lock")]


@final
class Places:
    """Makes places, each on its server."""

    def __init__(self, folder: Path, forks: Forks, stack: ExitStack) -> None:
        self.forks = forks
        self._folder = folder
        self._count, self._lock = 0, Lock()
        self.github = stack.enter_context(GitHub(folder))
        (folder / "git").mkdir()
        self._http = stack.enter_context(GitHttpServer(folder / "git"))
        # No kubectl: what is rendered is another test's matter, and takes its time.
        tools = folder / "tools"
        tools.mkdir()
        (tools / "git").symlink_to(find_tool("git") or "git")
        self._environ = {**JOB, "GIT_CONFIG_NOSYSTEM": "1", "PATH": str(tools)}

    def new(self, mode: Mode) -> Place:
        with self._lock:
            self._count += 1
            number = self._count
        home = self._folder / f"home-{number}"
        (home / "temporary").mkdir(parents=True)
        environ = {**self._environ, "HOME": str(home), "TMPDIR": str(home / "temporary")}
        files = {path: text.encode() for path, text in FILES.items() if "/shop/" in path}
        name = f"deploy-{number}"
        if mode in ("push git", "dry-run git", "pull-request git, no GitHub"):
            bare = make_bare(self._folder / "git" / f"{name}.git", files)
            url = f"{self._http.url}/{name}.git"
            # Nothing asks for it there, but it is kept as where something does.
            environ["GITOPS_PROMOTE_SSH_KEY"] = f"{KEY}\n"
        else:
            bare, url = self.github.add_repository(f"acme/{name}", files), f"acme/{name}"
            environ |= self.github.environ
            environ["GITOPS_PROMOTE_TOKEN"] = self.github.add_token(
                "octocat", {url: {"contents": "write", "pull_requests": "write"}}
            )
        place = Place(bare, home, url, environ)
        place.start = head_of(bare)
        return place

    def start(self, place: Place, mode: Mode, version: str = "1.2.3") -> Run:
        """Start a run that promotes the shop."""
        what, via = mode.partition(",")[0].split()
        place.logs.append(str(place.home / f"log-{len(place.logs)}"))
        return self.forks.start(
            [
                *("promote", "--config-repository", place.url, "--environment", "dev"),
                *("--promotion-mode", what, "--commit-via", via, "--target", OVERLAY),
                *("--images", f"{SHOP}:{version}", *(PERSON if via == "git" else ())),
            ],
            place.environ,
            place.logs[-1],
        )

    def promote(self, place: Place, mode: Mode, version: str = "1.2.3") -> str:
        """Promote the shop, and wait for what is said."""
        status = self.start(place, mode, version).wait()
        log = Path(place.logs[-1]).read_text("utf-8")
        assert status == 0, log
        return log


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("killed")
        yield Places(folder, stack.enter_context(Forks()), stack)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_that_is_killed_at_any_moment_leaves_all_or_nothing_and_the_next_goes_on(
    mode: Mode, places: Places, record_property: Callable[[str, object], None]
) -> None:
    moments = random.Random(f"{SEED} {mode}")
    began = time.monotonic()
    usual = _usual(places, mode)
    trials = [(moments.uniform(0, 1.5 * usual), n) for n in range(KILLS)]

    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda trial: _trial(places, mode, *trial), trials))

    count = {end: ends.count(end) for end in sorted(set(ends))}
    record_property(
        "figure",
        f"killed at {KILLS} moments of a run of {usual:.2f} s, {mode}, seed {SEED}: {count}, "
        f"{time.monotonic() - began:.0f} s",
    )


def _usual(places: Places, mode: Mode) -> float:
    """The seconds of an undisturbed run, beside another one."""

    def take(_: int) -> float:
        place = _prepared(places, mode, older=False)
        began = time.monotonic()
        places.promote(place, mode)
        return time.monotonic() - began

    with ThreadPoolExecutor(2) as pool:
        return max(pool.map(take, range(2)))


def _prepared(places: Places, mode: Mode, *, older: bool) -> Place:
    """A place; with an older version that waits in a pull request, where that is the mode."""
    place = places.new(mode)
    if older and mode.startswith("pull-request"):
        places.promote(place, mode, "1.2.2")
    return place


def _trial(places: Places, mode: Mode, seconds: float, number: int) -> str:
    """Kill a run after so many seconds, look, and run again."""
    place = _prepared(places, mode, older=number % 2 == 1)
    before = place.refs()

    run = places.start(place, mode)
    time.sleep(seconds)
    _kill(run, alone=number % 4 < 2)

    about = f"{mode}, trial {number}, after {seconds:.3f} s: {place.url}"
    after = place.refs()
    place.check_whole()
    _check_between(place, mode, before, after, about)
    _check_left(place, about)
    # Of a dry run the next is the real one.
    mode = cast("Mode", mode.replace("dry-run", "push"))
    places.promote(place, mode)
    settled = place.refs()
    _check_end(places, place, mode, about)
    assert "Nothing to promote" in places.promote(place, mode), about
    assert place.refs() == settled, about
    _check_end(places, place, mode, about)
    place.check_whole()
    shutil.rmtree(place.home)
    return "as before" if before == after else "changed"


def _check_between(
    place: Place, mode: Mode, before: dict[str, str], after: dict[str, str], about: str
) -> None:
    """What a killed run leaves: each branch is as it was, or has the one whole commit."""
    allowed = {"main"}
    if mode.startswith("pull-request"):
        allowed |= {BRANCH, STAGING} if "api" in mode else {BRANCH}
    assert set(after) <= allowed, about
    for name, commit in after.items():
        if commit in (before.get(name), place.start):
            continue
        assert name != "main" or mode.startswith("push"), about
        _check_commit(place, commit, about)


def _check_commit(place: Place, commit: str, about: str) -> None:
    """A commit is on the start and has the whole change, and nothing else."""
    assert place.show("%P", "-1", commit) == [place.start], about
    names = git("--git-dir", place.bare, "diff", "--name-only", place.start, commit).decode()
    assert names.split() == [DEV], about
    content = git("--git-dir", place.bare, "show", f"{commit}:{DEV}").decode()
    assert content == overlay(f"{SHOP}:1.2.3"), about


def _check_left(place: Place, about: str) -> None:
    """A killed run leaves nothing on the machine but its private folder."""
    for path in (place.home / "temporary").iterdir():
        assert re.fullmatch(r"gitops-promote-\w+", path.name), (about, path)
        assert path.stat().st_mode & 0o777 == 0o700, (about, path)
        for key in path.glob("ssh-key"):
            assert key.stat().st_mode & 0o777 == 0o600, (about, key)
        shutil.rmtree(path)


def _check_end(places: Places, place: Place, mode: Mode, about: str) -> None:
    """The next run has brought about what the killed one was to, once."""
    refs = place.refs()
    assert list((place.home / "temporary").iterdir()) == [], about
    if mode.startswith("push"):
        assert set(refs) == {"main"}, about
        _check_commit(place, refs["main"], about)
    else:
        assert set(refs) == {"main", BRANCH}, about
        assert refs["main"] == place.start, about
        _check_commit(place, refs[BRANCH], about)
        if place.url.startswith("acme/"):
            (pull,) = places.github.pulls(place.url)
            assert (pull.state, pull.head_sha) == ("open", refs[BRANCH]), about
            assert pull.title == "Promote shop to 1.2.3 in dev", about


def _kill(run: Run, *, alone: bool) -> None:
    """Kill a run, alone or with the gits that it has started, and wait until all have ended."""
    with suppress(ProcessLookupError):
        # It starts no more of them from now on.
        os.kill(run.pid, signal.SIGSTOP)
    children = {pid for pid, parent, _ in _processes() if parent == run.pid}
    if not alone:
        for pid in children:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(run.pid, signal.SIGKILL)
    run.wait()
    # Each git leads a session, which its helpers are in.
    end = time.monotonic() + 60
    while any(session in children for _, _, session in _processes()):
        assert time.monotonic() < end, "a git of a killed run does not end"
        time.sleep(0.01)


def _processes() -> Iterator[tuple[int, int, int]]:
    """Each process that has not ended: itself, its parent and its session."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                if fields[0] != "Z":
                    yield int(folder.name), int(fields[1]), int(fields[3])
