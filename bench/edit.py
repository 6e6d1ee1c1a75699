"""Time the edit of one file alone: ours against `yq` and `kustomize edit`.

Usage: edit.py [--sizes KB,..] [--rounds N] [--values FILE#KEY ..] [--write]
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import document
from repositories import App, overlay_text
from tools import find_tools, machine
from values_files import ValuesFile, generated, given

from gitops_promote.core.images import parse_image
from gitops_promote.core.kinds import helm, kustomize
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.yaml.document import Document

TAG = "99.0.0"
OVERLAY = "kustomization.yaml"

# The same edit as a program of its own, which looks after memory as ours does: the time that Python
# and its imports take is in it.
_PROGRAM = """\
import gc, sys
from pathlib import Path
from gitops_promote.core.images import parse_image
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.kinds.{kind} import KIND
from gitops_promote.core.yaml.document import Document
gc.set_threshold(100_000)
def edit(path, image):
    document = Document.parse(path.read_bytes(), path.name)
    edited = KIND.set_image(document, image, "", Around())
    path.write_bytes(edited.document.encode())
edit(Path(sys.argv[1]), parse_image(sys.argv[2]))
"""


@dataclass(frozen=True)
class Case:
    """A file to edit, and where."""

    name: str
    content: bytes
    image: str
    key: str

    @property
    def is_overlay(self) -> bool:
        """Whether kustomize edits it."""
        return not self.key


def main(arguments: Sequence[str]) -> None:
    """Measure and print.

    Args:
        arguments: The command line.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    add = parser.add_argument
    add("--sizes", default="1,50,365", help="kB of generated values files")
    add("--rounds", type=int, default=15, help="how often each is timed; the best counts")
    add("--values", action="append", default=[], metavar="FILE#KEY", help="a values file")
    add("--write", action="store_true", help="write the tables of docs/performance.md")
    asked = parser.parse_args(arguments)
    cases = [_overlay(), *(_of(generated(int(size))) for size in asked.sizes.split(",") if size)]
    cases += [_of(given(item)) for item in asked.values]
    head = ["file", "bytes", "tool", "nothing", "edit", "ours as a process", "x tool"]
    rows = [[*head, "ours in a process that runs", "x tool"]]
    targets = [["target", "measured", "met"]]
    for case in cases:
        tool = "kustomize" if case.is_overlay else "yq"
        if tool not in find_tools():
            continue
        nothing, theirs, process, inside = measure(case, asked.rounds)
        row = [case.name, f"{len(case.content):,}", _tool_words(case), _ms(nothing), _ms(theirs)]
        row += [_ms(process), f"{process / theirs:.2f}", _ms(inside), f"{inside / theirs:.2f}"]
        rows.append(row)
        if case.name == "values, 365 kB":
            for words, ours in (("in a process that runs", inside), ("as a process", process)):
                measured = f"{_ms(ours)} to {_ms(theirs)}: {ours / theirs:.2f}"
                met = "yes" if ours <= 3 * theirs else "**no**"
                targets.append([f"365 kB: within 3x of `yq` ({words})", measured, met])
    command = shlex.join(["python", "bench/edit.py", *document.shown(arguments)])
    how = f"`{command}`: {machine()}. Best of {asked.rounds}."
    texts = {
        "edit-targets": document.table(*targets),
        "edit": f"{how}\n\n{document.table(*rows)}",
    }
    for name, text in texts.items():
        print(f"\n{text}")
        if asked.write:
            document.write(name, text)


def measure(case: Case, rounds: int) -> tuple[float, float, float, float]:
    """Time the ways to edit a file, in turns.

    Args:
        case: The file.
        rounds: How often; the best counts.

    Returns:
        Seconds: the tool's start and end without an edit, the tool's edit, ours as a process of
        its own, and ours in a process that runs.

    Raises:
        RuntimeError: Two ways mean another text.
    """
    tool = ["kustomize", "version"] if case.is_overlay else ["yq", "--version"]
    ways: list[Callable[[Path], None]] = [
        lambda _: _run(tool, Path()),
        lambda path: _run(_tool_command(case), path.parent),
        lambda path: _run(_own_command(case, path), path.parent),
        lambda path: _edit(case, path),
    ]
    times: list[list[float]] = [[] for _ in ways]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, OVERLAY if case.is_overlay else "values.yaml")
        for _ in range(rounds):
            for way, taken in zip(ways, times, strict=True):
                path.write_bytes(case.content)
                start = time.perf_counter()
                way(path)
                taken.append(time.perf_counter() - start)
                if way is not ways[0] and TAG.encode() not in path.read_bytes():
                    raise RuntimeError(f"{case.name} was not edited")
    nothing, theirs, process, inside = map(min, times)
    return nothing, theirs, process, inside


def _edit(case: Case, path: Path) -> None:
    """Parse, splice, and parse again to hold the outcome against what was meant."""
    image = parse_image(f"{case.image}:{TAG}")
    parsed = Document.parse(path.read_bytes(), path.name)
    if case.is_overlay:
        edited = kustomize.KIND.set_image(parsed, image, "", Around())
    else:
        edited = helm.KIND.set_image(parsed, image, "", Around())
    path.write_bytes(edited.document.encode())


def _own_command(case: Case, path: Path) -> list[str]:
    program = _PROGRAM.format(kind="kustomize" if case.is_overlay else "helm")
    return [sys.executable, "-c", program, str(path), f"{case.image}:{TAG}"]


def _tool_command(case: Case) -> list[str]:
    if case.is_overlay:
        return ["kustomize", "edit", "set", "image", f"{case.image}={case.image}:{TAG}"]
    return ["yq", "-i", f'.{case.key}.tag = "{TAG}"', "values.yaml"]


def _tool_words(case: Case) -> str:
    return "`kustomize edit set image`" if case.is_overlay else "`yq -i`"


def _run(command: Sequence[str], folder: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    null = subprocess.DEVNULL
    subprocess.run(command, check=True, cwd=folder, env=environ, stdout=null)


def _overlay() -> Case:
    app = App(0)
    return Case("overlay", overlay_text(app, "dev", "1.0.0").encode(), app.image, "")


def _of(file: ValuesFile) -> Case:
    return Case(f"values, {file.name}", file.text.encode(), file.image, file.key)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    main(sys.argv[1:])
