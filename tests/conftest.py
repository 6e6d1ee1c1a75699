"""What the tests share: where things are, the tools they run, and the rule about skips."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("GITOPS_PROMOTE_SHARED") or ROOT.parent / "shared")

# Examples differ widely in size and machines in speed, so no example has a time limit.
settings.register_profile("gitops-promote", deadline=None)
settings.load_profile("gitops-promote")


def find_tool(name: str) -> str | None:
    """The path of a program, looked for beside this Python first."""
    beside = str(Path(sys.executable).parent)
    usual = ["/usr/sbin", "/sbin"]  # sshd is there, and not on everyone's PATH
    return shutil.which(name, path=os.pathsep.join([beside, os.environ["PATH"], *usual]))


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Find a program by name; the test skips where there is none."""

    def find(name: str) -> str:
        return find_tool(name) or pytest.skip(f"{name} is not installed")

    return find


@pytest.fixture(scope="session")
def oracle(tool: Callable[[str], str]) -> Callable[[list[list[Any]]], list[Any]]:
    """Ask docker/metadata-action's own libraries; one process answers a list of questions."""
    folder, node = ROOT / "tests" / "oracle", tool("node")
    if not (folder / "node_modules").is_dir():
        pytest.skip("tests/oracle has no node_modules: npm ci --prefix tests/oracle")

    def ask(questions: list[list[Any]]) -> list[Any]:
        done = subprocess.run(
            [node, str(folder / "oracle.mjs")],
            input=json.dumps(questions),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TZ": "UTC"},
        )
        answers: list[Any] = json.loads(done.stdout)
        return answers

    return ask


@pytest.fixture(scope="session")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a runner checks out, as the working tree has it."""
    folder = tmp_path_factory.mktemp("action")
    shutil.copy(ROOT / "action.yml", folder)
    for name in ("action", "src", "tags"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    return folder


def generated(strategy: SearchStrategy[T], count: int) -> list[T]:
    """Draw values at once where judging them one by one would start a process each."""
    found = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real files; a user's clone has none."""
    return shared("corpus")


@pytest.fixture(scope="session")
def peers() -> Path:
    """The folder of cases that other tools publish; a user's clone has none."""
    return shared("peers")


def shared(name: str) -> Path:
    """A folder of material that isn't the project's; the test skips where it is not there."""
    folder = SHARED / name
    return folder if folder.is_dir() else pytest.skip(f"{folder} is not there")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With GITOPS_PROMOTE_NO_SKIPS, a skipped test (a missing tool) fails the run."""
    if _skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded, and which were skipped where none may be.

    A test records a line by `record_property("figure", LINE)`, and numbers to be added up over all
    tests by `record_property("counts:TOPIC", {WHAT: NUMBER})`.
    """
    lines, totals = [], defaultdict[str, Counter[str]](Counter)
    for test in terminalreporter.stats.get("passed", []):
        for name, value in test.user_properties:
            if name == "figure":
                lines.append(value)
            elif name.startswith("counts:"):
                totals[name.removeprefix("counts:")].update(value)
    for topic, counts in totals.items():
        lines.append(f"{topic}: " + ", ".join(f"{what}: {n}" for what, n in counts.items()))
    if lines:
        terminalreporter.section("figures")
    for line in sorted(lines):
        terminalreporter.write_line(line)
    skips = _skips(terminalreporter.config)
    if skips:
        terminalreporter.section("skipped, with GITOPS_PROMOTE_NO_SKIPS set", red=True)
    for skip in skips:
        reason = skip.longrepr[2] if isinstance(skip.longrepr, tuple) else skip.longrepr
        terminalreporter.write_line(f"{skip.nodeid}: {reason}")


def _skips(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("GITOPS_PROMOTE_NO_SKIPS") or reporter is None:
        return []
    return list(reporter.stats.get("skipped", []))
