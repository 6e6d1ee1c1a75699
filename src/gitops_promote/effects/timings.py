"""Where a run's time goes, and what it moves over the network: for `--timings`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from gitops_promote.core.snapshot import Kind, Snapshot
    from gitops_promote.effects.config_repository import ConfigRepository, Head, NewCommit, Past
    from gitops_promote.inputs import Identity

#: What was moved: requests, bytes received, bytes sent. The phase is named where it is not the one
#: that the program is in.
Meter = Callable[[int, int, int, str], None]

START, FETCH, READ, HISTORY, PLAN, PUSH, REVIEW = (
    "start",
    "fetch",
    "read",
    "history",
    "plan",
    "push",
    "review",
)
#: The phases as the table shows them, and what each is about.
_PHASES = {
    START: "until the program asks for anything",
    FETCH: "the newest commits",
    READ: "folders and files",
    HISTORY: "what was promoted before",
    PLAN: "policy, edit and checks",
    REVIEW: "the pull request",
    PUSH: "the commit",
}


@dataclass(slots=True)
class _Phase:
    seconds: float = 0.0
    requests: int = 0
    received: int = 0
    sent: int = 0


@final
class Timings:
    """Counts by phases. Time counts for the innermost phase alone, so the sum is the whole."""

    def __init__(self) -> None:
        self._phases: dict[str, _Phase] = {name: _Phase() for name in _PHASES}
        self._names = [PLAN]
        self._lock = Lock()
        self._since = time.perf_counter()
        self._phases[START].seconds = _age()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens in the block for a phase.

        Args:
            name: The phase.

        Yields:
            Nothing.
        """
        self._turn()
        self._names.append(name)
        try:
            yield
        finally:
            self._turn()
            self._names.pop()

    def moved(self, requests: int, received: int, sent: int, phase: str = "") -> None:
        """Count what was moved: a `Meter`.

        Args:
            requests: How many requests.
            received: How many bytes of answers.
            sent: How many bytes of requests.
            phase: For which phase; empty for the one that the program is in.
        """
        with self._lock:  # git is run by several threads
            counted = self._phases[phase or self._names[-1]]
            counted.requests += requests
            counted.received += received
            counted.sent += sent

    def table(self) -> str:
        """The figures, for people.

        Returns:
            A table in plain text.
        """
        self._turn()
        whole = _Phase()
        lines = [("phase", "ms", "requests", "received", "sent", "")]
        for name, phase in self._phases.items():
            if phase.seconds or phase.requests:
                lines.append((name, *_cells(phase), _PHASES[name]))
            whole.seconds += phase.seconds
            whole.requests += phase.requests
            whole.received += phase.received
            whole.sent += phase.sent
        lines.append(("total", *_cells(whole), ""))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if number in (0, 5) else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def _turn(self) -> None:
        now = time.perf_counter()
        self._phases[self._names[-1]].seconds += now - self._since
        self._since = now


def _cells(phase: _Phase) -> tuple[str, str, str, str]:
    sizes = (_size(phase.received), _size(phase.sent))
    return f"{phase.seconds * 1000:.0f}", str(phase.requests or "-"), *sizes


def _size(count: int) -> str:
    return f"{count / 1000:,.1f} kB" if count else "-"


def _age() -> float:
    """For how many seconds this process runs, where the system tells (proc(5)); else 0."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


@final
class TimedRepository:
    """A `ConfigRepository` whose work is counted.

    Args:
        repository: The repository.
        timings: Where to count.
    """

    def __init__(self, repository: ConfigRepository, timings: Timings) -> None:
        self._repository = repository
        self._timings = timings

    def expect(self, paths: Collection[str]) -> None:
        """As `ConfigRepository.expect` says."""
        self._repository.expect(paths)

    def fetch(self, branch: str) -> Head:
        """As `ConfigRepository.fetch` says."""
        with self._timings.phase(FETCH):
            return self._repository.fetch(branch)

    def snapshot(self, commit: str) -> Snapshot:
        """As `ConfigRepository.snapshot` says."""
        with self._timings.phase(READ):
            return _TimedSnapshot(self._repository.snapshot(commit), self._timings)

    def push(self, head: Head, new: NewCommit) -> str:
        """As `ConfigRepository.push` says."""
        with self._timings.phase(PUSH):
            return self._repository.push(head, new)

    def reset(self, branch: Head, base: Head, new: NewCommit) -> str:
        """As `ConfigRepository.reset` says."""
        with self._timings.phase(PUSH):
            return self._repository.reset(branch, base, new)

    def delete(self, branch: Head) -> None:
        """As `ConfigRepository.delete` says."""
        with self._timings.phase(PUSH):
            self._repository.delete(branch)

    def differences(self, branch: Head, since: str) -> frozenset[str]:
        """As `ConfigRepository.differences` says."""
        with self._timings.phase(READ):
            return self._repository.differences(branch, since)

    def log(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.log` says."""
        return self._each(self._repository.log, head, path)

    def messages(self, head: Head, path: str) -> Iterator[Past]:
        """As `ConfigRepository.messages` says."""
        return self._each(self._repository.messages, head, path)

    def read(self, commit: str, paths: Collection[str]) -> Mapping[str, bytes]:
        """As `ConfigRepository.read` says."""
        with self._timings.phase(HISTORY):
            return self._repository.read(commit, paths)

    def signer(self, committer: Identity) -> Identity:
        """As `ConfigRepository.signer` says."""
        with self._timings.phase(READ):
            return self._repository.signer(committer)

    def _each(
        self, listed: Callable[[Head, str], Iterator[Past]], head: Head, path: str
    ) -> Iterator[Past]:
        with self._timings.phase(HISTORY):
            found = iter(listed(head, path))
        while True:
            with self._timings.phase(HISTORY):
                past = next(found, None)
            if past is None:
                return
            yield past


class _TimedSnapshot:
    def __init__(self, snapshot: Snapshot, timings: Timings) -> None:
        self._snapshot = snapshot
        self._timings = timings

    def kind(self, path: str) -> Kind | None:
        with self._timings.phase(READ):
            return self._snapshot.kind(path)

    def paths(self, below: str = "") -> Iterable[str]:
        with self._timings.phase(READ):
            return list(self._snapshot.paths(below))

    def read(self, path: str) -> bytes:
        with self._timings.phase(READ):
            return self._snapshot.read(path)

    def expect(self, paths: Iterable[str]) -> None:
        with self._timings.phase(READ):
            self._snapshot.expect(paths)
