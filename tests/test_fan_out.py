"""One promotion to very many files: one commit, and each file costs what any other does."""

from __future__ import annotations

import json
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pytest

from calls import PERSON, Calls
from clusters import ENVIRONMENTS, OLD, TARGETS, Kind, clusters, make_clusters
from gitops_promote.core import plan as planning
from gitops_promote.core.images import parse_image
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml import document, tree
from memory import SHOP, Memory
from servers import git, head_of
from test_workflow import read_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import FrameType

P = ParamSpec("P")
T = TypeVar("T")

NEW = "1.5.0"
KINDS: tuple[Kind, ...] = ("kustomize", "helm")


def promote(snapshot: Memory, kind: Kind, tag: str = NEW) -> Plan:
    """Plan the shop's promotion to all clusters."""
    targets = tuple(parse_target(TARGETS[kind], name, "shop") for name in ENVIRONMENTS)
    return make_plan(snapshot, Request((parse_image(f"{SHOP}:{tag}"),), targets, ENVIRONMENTS))


def counted(done: Counter[str], name: str, function: Callable[P, T]) -> Callable[P, T]:
    """The same function, whose calls are counted."""

    def call(*arguments: P.args, **more: P.kwargs) -> T:
        done[name] += 1
        return function(*arguments, **more)

    return call


def lines_run(call: Callable[[], object]) -> int:
    """How many lines of the package a call runs; a loop's line counts each time."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401  (itself)
        nonlocal count
        if "gitops_promote" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_ten_more_files_are_as_much_work_beside_100_as_beside_10(kind: Kind) -> None:
    # Anything that looks at all files for each file shows at 100 of them, to the line.
    snapshots = {count: Memory(clusters(kind, count)) for count in (10, 20, 100, 110)}
    promote(snapshots[10], kind)  # what is imported late is no part of it

    lines = {
        count: lines_run(partial(promote, snapshot, kind)) for count, snapshot in snapshots.items()
    }

    assert lines[20] - lines[10] == lines[110] - lines[100]


@pytest.mark.parametrize("count", [10, 1000])
@pytest.mark.parametrize(("kind", "shared"), [("kustomize", 2), ("helm", 0)])
def test_each_file_is_read_once_and_parsed_before_and_after(
    kind: Kind, shared: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: Counter[str] = Counter()
    snapshot = Memory(clusters(kind, count))
    for module, name in ((document, "parse"), (planning, "edit"), (planning, "diff_file")):
        monkeypatch.setattr(module, name, counted(done, name, getattr(module, name)))

    found = promote(snapshot, kind)

    assert len(found.files) == len(found.changes) == count
    assert done == {"parse": 2 * count + shared, "edit": count, "diff_file": count}
    # The base, that all overlays share, too.
    assert len(snapshot.reads) == len(set(snapshot.reads)) == count + shared


def test_a_file_that_is_not_changed_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: Counter[str] = Counter()
    monkeypatch.setattr(document, "parse", counted(done, "parse", tree.parse))

    found = promote(Memory(clusters("helm", 20)), "helm", OLD)

    assert (found.files, len(found.changes), done["parse"]) == ({}, 20, 20)


def _numstat(bare: Path, start: str) -> Mapping[str, list[str]]:
    shown = git("--git-dir", bare, "diff", "--numstat", start, "main").decode()
    return {path: counts for *counts, path in map(str.split, shown.splitlines())}


@pytest.mark.skipif(sys.platform == "win32", reason="the calls are for POSIX")
@pytest.mark.parametrize("kind", KINDS)
def test_1000_files_are_one_commit_of_one_line_each(kind: Kind, tmp_path: Path) -> None:
    calls, files = Calls(tmp_path), clusters(kind, 1000)
    bare = make_clusters(tmp_path / "acme" / "clusters.git", files)
    start = head_of(bare)
    what = ("--images", f"{SHOP}:{NEW}", "--environment", ",".join(ENVIRONMENTS))
    usual = (*what, "--target", TARGETS[kind], *PERSON, "--format", "json")

    done = calls.run(*usual, repository=str(bare))

    assert (done.status, done.err) == (0, "")
    assert git("--git-dir", bare, "rev-list", f"{start}..main").decode().split() == [
        done.json["commit-sha"]
    ]
    changed = sorted(path for path in files if path.startswith("clusters/"))
    assert _numstat(bare, start) == {path: ["1", "1"] for path in changed}
    assert done.json["changed-files"] == changed
    assert sorted(change["file"] for change in done.json["changes"]) == changed
    assert {change["new-version"] for change in done.json["changes"]} == {NEW}
    message = git("--git-dir", bare, "log", "-1", "--format=%B", "main").decode()
    assert message.count("\n") < 20
    # GitHub takes 1 MiB of a step's summary, and of what a job hands on in UTF-16.
    assert len(done.summary.encode()) < 2**20
    assert "and 700 more" in done.summary
    outputs = read_outputs(done.output)
    assert max(len(value.encode("utf-16")) for value in outputs.values()) < 2**20
    assert json.loads(outputs["json"]) == done.json

    again = calls.run(*usual, repository=str(bare))

    assert (again.status, again.json["changed"]) == (0, False)
    assert head_of(bare) == done.json["commit-sha"]
