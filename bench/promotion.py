"""Time one promotion, and many at once, against the shell pipeline that people use instead.

Both work on copies of one repository, behind git's own http server, in turns. What isn't installed
is built into build/tools where Go is on the machine, and else left out. The step that a runner
starts is that of --action, the folder of a released action; without it, that of this folder where
it has a bundle.

Usage: promotion.py [--files N,..] [--delay MS,..] [--runs N,..] [--sizes KB,..]
           [--values FILE#KEY ..] [--rounds N] [--action FOLDER] [--quick] [--write]
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import document
from http_backend import HttpBackend
from repositories import FILES_OF_APP, App, make_repository, with_file
from tools import find_tools, machine
from values_files import ValuesFile, generated, given
from ways import Job, Kind, Taken, Way, best, job_of, program, run, shell, step

ROOT = Path(__file__).resolve().parent.parent
KINDS: tuple[Kind, ...] = ("overlay", "values file")
LARGE = "platform/monitoring/values.yaml"


@dataclass
class Bench:
    """What was asked for, and what was measured.

    Attributes:
        files: Sizes of repositories, in files.
        delays: Milliseconds that each request waits.
        runs: How many runs go at once, where more than one.
        values: Values files to change.
        rounds: How often a single run is timed.
        action: The folder of a released action, with its bundle; None: there is none.
        singles: What a single run took, by files, delay, and way.
        many: What several took at once, by files, delay, runs, and the way's name.
        large: What a run took by the values file's name, delay, and way.
    """

    files: list[int]
    delays: list[int]
    runs: list[int]
    values: list[ValuesFile]
    rounds: int
    action: Path | None
    singles: dict[tuple[int, int, Way], Taken] = field(default_factory=dict)
    many: dict[tuple[int, int, int], dict[str, Taken]] = field(default_factory=dict)
    large: dict[tuple[str, int, Way], Taken] = field(default_factory=dict)

    def ways(self, kind: Kind) -> list[Way]:
        """The ways to change a kind of file that can run here, the shell's first."""
        ours = [program(kind), *([step(kind, self.action)] if self.action else [])]
        return [*([shell(kind)] if shell(kind).tool in find_tools() else []), *ours]

    def measure(self) -> None:
        """Run everything."""
        find_tools()  # not in the midst of it
        with tempfile.TemporaryDirectory() as folder, HttpBackend(Path(folder)) as server:
            for files in self.files:
                _tell(f"making a repository of {files:,} files")
                bare = make_repository(Path(folder) / f"{files}.git", files)
                for delay in self.delays:
                    server.delay = delay / 1000
                    _tell(f"{files:,} files, {delay} ms: one run")
                    self._measure_single(server, bare, files, delay)
                    for runs in self.runs:
                        if files // FILES_OF_APP >= runs:
                            _tell(f"{files:,} files, {delay} ms: {runs} runs at once")
                            self._measure_many(server, bare, runs, (files, delay, runs))
            self._measure_large(server, Path(folder))

    def _measure_single(self, server: HttpBackend, bare: Path, files: int, delay: int) -> None:
        ways = [way for kind in KINDS for way in self.ways(kind)]
        for way, taken in self._in_turns(server, bare, ways, None):
            self.singles[files, delay, way] = taken

    def _measure_many(
        self, server: HttpBackend, bare: Path, runs: int, key: tuple[int, int, int]
    ) -> None:
        # What is edited makes no difference to who comes first.
        kind: Kind = "overlay"
        jobs = [job_of(kind, App(number)) for number in range(runs)]
        ours = program(kind)
        takings = {f"{ours.name}, one after another": run(ours, server, bare, jobs, at_once=False)}
        takings[ours.name] = run(ours, server, bare, jobs)
        if "kustomize" in find_tools():
            for way in (shell(kind), shell(kind, pause=True)):
                takings[way.name] = run(way, server, bare, jobs)
        self.many[key] = takings

    def _measure_large(self, server: HttpBackend, folder: Path) -> None:
        for number, file in enumerate(self.values):
            _tell(f"a values file, {file.name}")
            bare = make_repository(folder / f"large-{number}.git", 100)
            with_file(bare, LARGE, file.text)
            job = Job("monitoring", file.image, LARGE, file.key)
            for delay in self.delays:
                server.delay = delay / 1000
                for way, taken in self._in_turns(server, bare, self.ways("values file"), job):
                    self.large[file.name, delay, way] = taken

    def _in_turns(
        self, server: HttpBackend, bare: Path, ways: Sequence[Way], job: Job | None
    ) -> Iterator[tuple[Way, Taken]]:
        takings: dict[Way, list[Taken]] = {way: [] for way in ways}
        for _ in range(self.rounds):
            for way in ways:
                taken = run(way, server, bare, [job or job_of(way.kind, App(0))])
                if taken.landed != 1:
                    raise RuntimeError(f"{way.name} changed nothing")
                takings[way].append(taken)
        for way in ways:
            yield way, best(takings[way])


def main(arguments: Sequence[str]) -> None:
    """Measure and print.

    Args:
        arguments: The command line.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    add = parser.add_argument
    add("--files", type=_numbers, default=[100, 2000, 20000], help="files of a repository")
    add("--delay", type=_numbers, default=[0, 30], help="milliseconds that each request waits")
    add("--runs", type=_numbers, default=[1, 8, 64], help="how many go at once")
    add("--sizes", type=_numbers, default=[1, 50, 365], help="kB of generated values files")
    add("--values", action="append", default=[], metavar="FILE#KEY", help="a values file")
    add("--rounds", type=int, default=5, help="how often one run is timed; the best counts")
    bundled = ROOT if (ROOT / "bundle").is_dir() else None
    add("--action", type=Path, default=bundled, help="the folder of a released action")
    add("--quick", action="store_true", help="a look, in a minute")
    add("--write", action="store_true", help="write the tables of docs/performance.md")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.files, asked.delay, asked.runs = [100], [0], [1, 8]
        asked.sizes, asked.rounds = [50], 1
    many = [number for number in asked.runs if number > 1]
    action = asked.action.resolve() if asked.action else None
    values = [*map(generated, asked.sizes), *map(given, asked.values)]
    bench = Bench(asked.files, asked.delay, many, values, asked.rounds, action)
    bench.measure()
    command = shlex.join(["python", "bench/promotion.py", *document.shown(arguments)])
    texts = {"promotion-targets": targets(bench), "promotion": tables(bench, command)}
    texts["scripts"] = scripts(bench)
    for name, text in texts.items():
        print(f"\n{text}")
        if asked.write:
            document.write(name, text)


def tables(bench: Bench, command: str) -> str:
    """All that was measured, in Markdown.

    Args:
        bench: What was measured.
        command: The command that did.

    Returns:
        The text.
    """
    parts = [f"`{command}`: {machine()}.", f"One run, best of {bench.rounds}:"]
    parts.append(_single_table(bench))
    if bench.many:
        parts += ["Several runs at once, each of another app, once:", _many_table(bench)]
    if bench.large:
        parts.append(f"One run that changes a larger values file, best of {bench.rounds}:")
        parts.append(_large_table(bench))
    if not bench.action:
        parts.append(
            "The whole step, as a runner starts it, was not run: here is no release's bundle."
        )
    return "\n\n".join(parts)


def targets(bench: Bench) -> str:
    """What was aimed at, and what came out.

    Args:
        bench: What was measured.

    Returns:
        The text.
    """
    rows = [
        [target, measured, "yes" if met else "**no**"]
        for target, measured, met in (*_single_targets(bench), *_many_targets(bench))
    ]
    return document.table(["target", "measured", "met"], *rows)


def scripts(bench: Bench) -> str:
    """What each way runs.

    Args:
        bench: What was measured.

    Returns:
        The text.
    """
    ways = [*(way for kind in KINDS for way in bench.ways(kind)), shell("overlay", pause=True)]
    named = {way.script: way.name for way in ways}
    parts = [f"{name}:\n\n```sh\n{script.strip()}\n```" for script, name in named.items()]
    return "\n\n".join(parts)


def _single_targets(bench: Bench) -> Iterator[tuple[str, str, bool]]:
    ours = [way for way in bench.ways("overlay") if way.ours]
    found, usual = bench.singles, shell("overlay")
    for delay in bench.delays:
        for way in ours:
            where = f"{way.name}, {delay} ms"
            small, large = found.get((100, delay, way)), found.get((20000, delay, way))
            usual_small, usual_large = (found.get((files, delay, usual)) for files in (100, 20000))
            if small and usual_small:
                ratio = small.seconds / usual_small.seconds
                times = f"{_seconds(small)} to {_seconds(usual_small)}: {ratio:.2f}"
                yield f"100 files: at most 1.2x the shell's time ({where})", times, ratio <= 1.2
            if large and usual_large:
                part = usual_large.seconds / large.seconds
                times = f"{_seconds(large)} to {_seconds(usual_large)}: 1/{part:.1f}"
                yield f"20,000 files: a tenth of the shell's time ({where})", times, part >= 10
                part = usual_large.moved / large.moved
                moved = f"{_size(large)} to {_size(usual_large)}: 1/{part:.0f}"
                yield f"20,000 files: a twentieth of its bytes ({where})", moved, part >= 20
            if small and large:
                ratio = large.seconds / small.seconds
                yield (
                    f"growth from 100 to 20,000 files under 1.5x ({where})",
                    (f"{_seconds(small)} to {_seconds(large)}: {ratio:.2f}"),
                    ratio < 1.5,
                )


def _many_targets(bench: Bench) -> Iterator[tuple[str, str, bool]]:
    ours = program("overlay").name
    for (files, delay, runs), takings in bench.many.items():
        if runs == 64:
            at_once, one_by_one = takings[ours], takings[f"{ours}, one after another"]
            ratio = at_once.seconds / one_by_one.seconds
            target = "64 at once: all land, in at most 3x the time of one after another"
            times = f"{_seconds(at_once)} to {_seconds(one_by_one)}: {ratio:.2f}"
            met = at_once.landed == runs and ratio <= 3
            where = f"({files:,} files, {delay} ms)"
            yield f"{target} {where}", f"{at_once.landed} landed; {times}", met


def _single_table(bench: Bench) -> str:
    head = ["files", "changes", "way"]
    for delay in bench.delays:
        head += [f"{delay} ms", "x shell"]
    rows = [[*head, "requests", "moved", "x shell"]]
    for files in bench.files:
        for kind in KINDS:
            for way in bench.ways(kind):
                found = [bench.singles[files, delay, way] for delay in bench.delays]
                usual = [bench.singles.get((files, d, shell(kind))) for d in bench.delays]
                rows.append([f"{files:,}", f"{kind}", way.name, *_cells(found, usual)])
    return document.table(*rows)


def _large_table(bench: Bench) -> str:
    head = ["values file", "way"]
    for delay in bench.delays:
        head += [f"{delay} ms", "x shell"]
    rows = [[*head, "requests", "moved", "x shell"]]
    for file in bench.values:
        for way in bench.ways("values file"):
            found = [bench.large[file.name, delay, way] for delay in bench.delays]
            usual = [bench.large.get((file.name, d, shell("values file"))) for d in bench.delays]
            rows.append([file.name, way.name, *_cells(found, usual)])
    return document.table(*rows)


def _cells(found: Sequence[Taken], usual: Sequence[Taken | None]) -> Iterator[str]:
    for taken, other in zip(found, usual, strict=True):
        yield _seconds(taken)
        yield f"{taken.seconds / other.seconds:.2f}" if other else "-"
    yield f"{found[0].requests}"
    yield _size(found[0])
    yield f"{found[0].moved / usual[0].moved:.3f}" if usual[0] else "-"


def _many_table(bench: Bench) -> str:
    head = ["files", "delay", "runs", "way", "landed", "lost", "failed", "seconds", "each landed"]
    rows = [[*head, "requests", "moved"]]
    for (files, delay, runs), takings in bench.many.items():
        for name, taken in takings.items():
            row = [f"{files:,}", f"{delay} ms", f"{runs}", name, *_landed(taken)]
            rows.append([*row, f"{taken.requests}", _size(taken)])
    return document.table(*rows)


def _landed(taken: Taken) -> Iterator[str]:
    lost = taken.runs - taken.landed
    yield f"{taken.landed}"
    yield f"**{lost}**" if lost else "0"
    yield f"{taken.failed}"
    yield _seconds(taken)
    yield f"{taken.seconds / taken.landed:.2f} s" if taken.landed else "-"


def _seconds(taken: Taken) -> str:
    return f"{taken.seconds:.2f} s"


def _size(taken: Taken) -> str:
    kilobytes = taken.moved / 1000
    return f"{kilobytes / 1000:.1f} MB" if kilobytes >= 1000 else f"{kilobytes:.1f} kB"


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def _tell(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
