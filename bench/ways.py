"""Ways to promote one app, each as a job would run it, and what a run of them takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from http_backend import HttpBackend
from repositories import App, copy, landed

Kind = Literal["overlay", "values file"]

ENVIRONMENT = "dev"
TAG = "99.0.0"
PERSON = "Ann Author <ann@example.com>"
PROGRAM = Path(sys.executable).with_name("gitops-promote")

_SHELL = """\
git clone --quiet --depth 1 "$URL" work
cd work
{edit}
git commit --quiet --all --message "Promote $APP to $TAG"
for try in 1 2 3 4 5; do
  if git push --quiet; then exit 0; fi
  {pause}git pull --quiet --rebase
done
exit 1
"""
_KUSTOMIZE = '(cd "$(dirname "$FILE")" && kustomize edit set image "$IMAGE=$IMAGE:$TAG")'
_YQ = """yq -i ".$KEY.tag = strenv(TAG)" "$FILE\""""
_PROGRAM = """\
gitops-promote promote --config-repository "$URL" --environment dev --app "$APP" \\
  --images "$IMAGE:$TAG" --target "$TARGET" --author "$PERSON" --committer "$PERSON" \\
  --commit-via git --format json
"""
# As a runner starts the step of action.yml.
_STEP = '. "$GITHUB_ACTION_PATH/action/start.sh" promote\n'

_numbers = count(1)


@dataclass(frozen=True)
class Way:
    """A way to promote, as a shell's script.

    Attributes:
        name: What tables call it.
        kind: What it edits.
        script: The script, which starts in an empty folder.
        tool: What it needs on the PATH.
        ours: Whether it is this project's.
        action: The folder of the action that the script starts; None where it starts none.
    """

    name: str
    kind: Kind
    script: str
    tool: str
    ours: bool = False
    action: Path | None = None


@dataclass(frozen=True)
class Job:
    """What to promote, and where.

    Attributes:
        app: The app's name.
        image: Its image.
        file: The file that holds the tag.
        key: Where in a values file.
    """

    app: str
    image: str
    file: str
    key: str = "web.image"


@dataclass(frozen=True)
class Taken:
    """What one or more runs took.

    Attributes:
        seconds: From the start of the first to the end of the last.
        requests: Requests to the server.
        moved: The bytes of their bodies and of the answers'.
        runs: How many ran.
        landed: Of how many the change is there, by one commit.
        failed: How many ended with an error.
    """

    seconds: float
    requests: int
    moved: int
    runs: int
    landed: int
    failed: int


def shell(kind: Kind, *, pause: bool = False) -> Way:
    """The usual pipeline; with a pause it waits before each further try."""
    name, edit = ("kustomize", _KUSTOMIZE) if kind == "overlay" else ("yq", _YQ)
    script = _SHELL.format(edit=edit, pause="sleep $((RANDOM % 5 + 1)); " if pause else "")
    more = ", pausing 1 to 5 s" if pause else ""
    return Way(f"shell: clone, `{name}`, push{more}", kind, script, name)


def program(kind: Kind) -> Way:
    """The installed command."""
    return Way("gitops-promote, installed", kind, _PROGRAM, "git", ours=True)


def step(kind: Kind, action: Path) -> Way:
    """The action's step, start-up included."""
    return Way("gitops-promote, the whole step", kind, _STEP, "git", ours=True, action=action)


def job_of(kind: Kind, app: App) -> Job:
    """The promotion of an app."""
    if kind == "overlay":
        return Job(app.name, app.image, f"{app.overlay(ENVIRONMENT)}/kustomization.yaml")
    return Job(app.name, app.image, app.values(ENVIRONMENT))


def run(
    way: Way, server: HttpBackend, bare: Path, jobs: Sequence[Job], *, at_once: bool = True
) -> Taken:
    """Run jobs, each on its own, on a fresh copy of a repository.

    Args:
        way: How.
        server: What serves the copy.
        bare: The repository.
        jobs: The jobs, each of another app.
        at_once: Whether all start together, or one after another.

    Returns:
        What it took.
    """
    copied = copy(bare, f"{bare.stem}-{next(_numbers)}.git")
    folder = tempfile.mkdtemp()
    try:
        url = f"{server.url}/{copied.name}"
        starts = [_Start(way, _environ(way, url, job), Path(folder, job.app)) for job in jobs]
        for one in starts:
            one.home.mkdir()
        start = time.perf_counter()
        statuses = (_all_at_once if at_once else _one_by_one)(starts)
        seconds = time.perf_counter() - start
        failures = [one.said() for one, status in zip(starts, statuses, strict=True) if status]
    finally:
        # A million files of 64 clones take Python minutes.
        subprocess.run(["rm", "-rf", folder], check=True)
    if failures and (way.ours or len(failures) == len(jobs)):
        # The shell's loop is expected to lose some; ours never is.
        print(f"{len(failures)} of {way.name}, the first:\n{failures[0]}", file=sys.stderr)
    traffic = server.traffic(copied.name)
    there = landed(copied, bare, [job.file for job in jobs], TAG)
    shutil.rmtree(copied)
    moved = traffic["up"] + traffic["down"]
    return Taken(seconds, traffic["requests"], moved, len(jobs), there, len(failures))


def best(takings: Collection[Taken]) -> Taken:
    """The fastest, as what else the machine does only adds."""
    return min(takings, key=lambda taken: taken.seconds)


@dataclass(frozen=True)
class _Start:
    way: Way
    environ: Mapping[str, str]
    home: Path

    def begin(self) -> subprocess.Popen[bytes]:
        environ = {**self.environ, "HOME": str(self.home), "TMPDIR": str(self.home)}
        if self.way.action:
            environ |= {"RUNNER_TEMP": str(self.home)}
            for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
                environ[name] = str(self.home / name)
                Path(environ[name]).touch()
        with Path(self.home, "log").open("wb") as log:
            return subprocess.Popen(
                ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", self.way.script],
                cwd=self.home,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return Path(self.home, "log").read_text(encoding="utf-8", errors="replace")


def _all_at_once(starts: Sequence[_Start]) -> list[int]:
    running: list[subprocess.Popen[bytes]] = []
    try:
        running.extend(start.begin() for start in starts)
        return [process.wait() for process in running]
    finally:
        # All have ended, unless somebody stops the benchmark.
        for process in running:
            process.kill()


def _one_by_one(starts: Sequence[_Start]) -> list[int]:
    return [status for start in starts for status in _all_at_once([start])]


def _environ(way: Way, url: str, job: Job) -> dict[str, str]:
    target = str(Path(job.file).parent) if way.kind == "overlay" else job.file
    # The runner's Python is none of a virtual environment; the installed command is one's.
    folder = Path(sys.base_prefix, "bin") if way.action else PROGRAM.parent
    environ = {
        "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    if "PYTHONPATH" in os.environ:  # another version of the program is to be timed
        environ["PYTHONPATH"] = os.environ["PYTHONPATH"]
    if way.action:
        inputs = {
            "CONFIG_REPOSITORY": url,
            "ENVIRONMENT": ENVIRONMENT,
            "APP": job.app,
            "IMAGES": f"{job.image}:{TAG}",
            "TARGET": target,
            "AUTHOR": PERSON,
            "COMMITTER": PERSON,
            "COMMIT_VIA": "git",
            "PYTHON_PATH": "",
        }
        return {
            **environ,
            **{f"GITOPS_PROMOTE_{name}": value for name, value in inputs.items()},
            "GITHUB_ACTION_PATH": str(way.action),
            "GITHUB_ACTIONS": "true",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_RUN_ID": "1",
        }
    who = {f"GIT_{who}_NAME": "Ann Author" for who in ("AUTHOR", "COMMITTER")}
    where = {f"GIT_{who}_EMAIL": "ann@example.com" for who in ("AUTHOR", "COMMITTER")}
    names = {"URL": url, "APP": job.app, "IMAGE": job.image, "TAG": TAG, "PERSON": PERSON}
    return {**environ, **who, **where, **names, "FILE": job.file, "TARGET": target, "KEY": job.key}
