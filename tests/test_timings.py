"""Where a run's time goes: what is counted, by git and by the API, and how it is shown."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from calls import DEV, OVERLAY, PERSON, SHOP
from github_double import GitHub
from gitops_promote.effects.timings import FETCH, PLAN, PUSH, START, Timings
from hub import Hub
from memory import FILES
from servers import file_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@pytest.fixture
def hub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Hub]:
    with GitHub(tmp_path) as github:
        yield Hub(github, tmp_path, capsys)


def rows(text: str) -> dict[str, list[str]]:
    """The table's lines by their first word."""
    lines = [line.split() for line in text.splitlines()]
    start = next(n for n, line in enumerate(lines) if line[:2] == ["phase", "ms"])
    return {line[0]: line[1:] for line in lines[start + 1 :] if line}


def promoted(hub: Hub, *flags: str) -> dict[str, list[str]]:
    wanted = ("--images", f"{SHOP}:2.0.0", "--environment", "dev", "--target", OVERLAY)
    hub.github.requests.clear()
    assert hub.run("promote", *wanted, *flags, "--timings")["changed"]
    return rows(hub.err)


@pytest.mark.parametrize("via", ["git", "api"])
def test_every_request_is_counted(hub: Hub, via: str) -> None:
    table = promoted(hub, "--commit-via", via)

    counts = {name: int(cells[1]) for name, cells in table.items() if cells[1] != "-"}
    assert counts.pop("total") == len(hub.github.requests) == sum(counts.values())
    expected = {"git": {"fetch": 3, "history": 3, "read": 4, "push": 2}}
    assert counts == expected.get(via, {"fetch": 1, "push": 1})
    assert {"start", "plan", "fetch", "push"} <= table.keys()


def test_bytes_are_counted_as_they_are_sent(hub: Hub) -> None:
    table = promoted(hub, "--commit-via", "git")

    sent = sum(len(request.body) for request in hub.github.requests)
    shown = float(table["total"][4]) * 1000
    # The headers of ten requests come on top.
    assert sent < shown < sent + 10 * 600


def test_nothing_is_left_of_what_git_recorded(hub: Hub, tmp_path: Path) -> None:
    promoted(hub, "--commit-via", "git")

    assert not [path for path in tmp_path.rglob("*") if "trace-" in path.name]
    assert hub.token not in hub.err


def test_without_being_asked_nothing_is_shown(hub: Hub) -> None:
    wanted = ("--images", f"{SHOP}:2.0.0", "--environment", "dev", "--target", OVERLAY)

    hub.run("promote", *wanted)

    assert "phase" not in hub.err


def test_a_failure_has_its_timings_too(hub: Hub) -> None:
    wanted = ("--images", "none:1", "--environment", "dev", "--target", "none.yaml", "--timings")

    hub.run("promote", *wanted, status=1)

    assert "fetch" in rows(hub.err)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is full here")
def test_that_they_can_t_be_shown_hides_nothing(tmp_path: Path) -> None:
    bare = make_bare(tmp_path / "deploy.git", {p: t.encode() for p, t in FILES.items()})
    call = [sys.executable, "-m", "gitops_promote", "promote", *PERSON, "--timings"]
    call += ["--config-repository", str(bare), "--environment", "dev"]
    call += ["--images", f"{SHOP}:2.0.0", "--target", OVERLAY]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            call, stdout=full, stderr=subprocess.PIPE, env=environ, check=False, cwd=tmp_path
        )

    assert b"It is done, but can't be reported" in done.stderr
    assert b"2.0.0" in file_of(bare, DEV)


def test_time_counts_for_the_innermost_phase() -> None:
    timings, began = Timings(), time.perf_counter()

    with timings.phase(PUSH):
        with timings.phase(FETCH):
            time.sleep(0.05)
        time.sleep(0.02)
    timings.moved(1, 2000, 1_500_000)
    timings.moved(2, 0, 0, FETCH)

    table = rows(timings.table())
    whole = (time.perf_counter() - began) * 1000
    milliseconds = {name: float(cells[0]) for name, cells in table.items()}
    assert 50 <= milliseconds[FETCH] <= whole
    assert 20 <= milliseconds[PUSH] < milliseconds[FETCH] + 20
    rest = sum(milliseconds[name] for name in milliseconds if name not in (START, "total"))
    assert rest == pytest.approx(whole, abs=5)
    assert table[PLAN][1:6] == ["1", "2.0", "kB", "1,500.0", "kB"]
    assert table[FETCH][1:4] == ["2", "-", "-"]
