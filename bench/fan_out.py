"""Time one promotion to many overlays in one call against a shell's loop over the same files.

All work on the same config repository, behind git's own http server: clone, change a line of each
file, commit, push. kustomize and yq are built where they are missing and Go is on the machine.

Usage: fan_out.py [ROUNDS [FILES ...]]
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from tools import find_tools

from clusters import ENVIRONMENTS, OLD, TARGETS, Kind, clusters, make_clusters
from memory import SHOP
from servers import GitHttpServer, git

NEW = "1.5.0"
PROGRAM = Path(sys.executable).with_name("gitops-promote")
PERSON = "Ann Author <ann@example.com>"
COUNTS = (10, 100, 1000)


@dataclass(frozen=True)
class Way:
    """A way to promote: a shell's script, which starts in an empty folder."""

    name: str
    kind: Kind
    script: str


def ways() -> Iterator[Way]:
    """The ways that this machine has the tools for, ours first."""
    yield Way("one call of gitops-promote, overlays", "kustomize", _ours("kustomize"))
    yield Way("one call of gitops-promote, values files", "helm", _ours("helm"))
    overlays, values = "clusters/*/*/kustomization.yaml", "clusters/*/*/values.yaml"
    line = f'sed -i \'s/newTag: "{OLD}"/newTag: "{NEW}"/\' {overlays}'
    yield Way("git and one `sed -i` for all, overlays", "kustomize", _by_hand(line))
    if "kustomize" in find_tools():
        edit = f'(cd "$folder" && kustomize edit set image {SHOP}={SHOP}:{NEW})'
        loop = f"for folder in clusters/*/*/; do {edit}; done"
        yield Way("git and a loop of `kustomize edit set image`", "kustomize", _by_hand(loop))
    if "yq" in find_tools():
        change = f'(.images[] | select(.name == "{SHOP}") | .newTag) = "{NEW}"'
        loop = f"for file in {overlays}; do yq -i '{change}' \"$file\"; done"
        yield Way("git and a loop of `yq -i`, overlays", "kustomize", _by_hand(loop))
        loop = f'for file in {values}; do yq -i \'.web.image.tag = "{NEW}"\' "$file"; done'
        yield Way("git and a loop of `yq -i`, values files", "helm", _by_hand(loop))


def main(rounds: int, counts: tuple[int, ...]) -> None:
    """Time every way and print a table.

    Args:
        rounds: How often each is timed, five times as often for up to 10 files; the best counts,
            as all else on the machine only adds.
        counts: The numbers of files.
    """
    times: dict[tuple[str, int], float] = {}
    found = list(ways())
    with tempfile.TemporaryDirectory() as folder, GitHttpServer(Path(folder)) as server:
        for kind in dict.fromkeys(way.kind for way in found):
            for count in (1, *counts):
                bare = make_clusters(Path(folder) / f"{kind}-{count}.git", clusters(kind, count))
                for way in (way for way in found if way.kind == kind):
                    # What a few files add is little beside what else a machine does.
                    tries = rounds * (5 if count <= 10 else 1)
                    taken = [_time(way, bare, server.url, count) for _ in range(tries)]
                    times[way.name, count] = min(taken)
    version = ".".join(map(str, sys.version_info[:3]))
    print(
        f"Python {version}, {os.cpu_count()} cores, best of {rounds}. Times ours are in brackets;"
    )
    print("a file's time is what it adds to a call for one file.\n")
    print("| way | 1 file |" + "".join(f" {n:,} files | each |" for n in counts))
    print("|---|" + "---|" * (1 + 2 * len(counts)))
    ours = {way.kind: way.name for way in reversed(found) if way.script == _ours(way.kind)}
    for way in found:
        alone = times[way.name, 1]
        row = f"| {way.name} | {alone:.2f} s |"
        for count in counts:
            seconds, best = times[way.name, count], times[ours[way.kind], count]
            row += f" {seconds:.2f} s ({seconds / best:.1f}) |"
            row += f" {(seconds - alone) / (count - 1) * 1000:.2f} ms |"
        print(row)


def _ours(kind: Kind) -> str:
    images, target = ("--images", f"{SHOP}:{NEW}"), ("--target", TARGETS[kind])
    more = (*images, *target, "--author", PERSON, "--committer", PERSON, "--format", "json")
    where = '--config-repository "$URL" --environment "$ENVIRONMENTS"'
    return f"{shlex.quote(str(PROGRAM))} promote {where} {shlex.join(more)} > done.json"


def _by_hand(change: str) -> str:
    return "\n".join(
        [
            'git clone --quiet --depth=1 "$URL" work',
            "cd work",
            change,
            f"git commit --quiet --all --message='Promote shop to {NEW}'",
            "git push --quiet",
        ]
    )


def _time(way: Way, bare: Path, url: str, count: int) -> float:
    before = git("--git-dir", bare, "rev-parse", "main").decode().strip()
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "URL": f"{url}/{bare.name}",
            "ENVIRONMENTS": ",".join(ENVIRONMENTS[:count]),
            **{f"GIT_{who}_NAME": "Ann Author" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ann@example.com" for who in ("AUTHOR", "COMMITTER")},
        }
        if "PYTHONPATH" in os.environ:
            environ["PYTHONPATH"] = os.environ["PYTHONPATH"]
        start = time.perf_counter()
        subprocess.run(["sh", "-e", "-c", way.script], check=True, cwd=folder, env=environ)
        taken = time.perf_counter() - start
    changed = git("--git-dir", bare, "diff", "--name-only", before, "main").decode().split()
    if len(changed) != count:
        raise RuntimeError(f"{way.name} changed {len(changed)} files of {count}")
    git("--git-dir", bare, "update-ref", "refs/heads/main", before)
    return taken


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 3,
        tuple(map(int, sys.argv[2:])) or COUNTS,
    )
