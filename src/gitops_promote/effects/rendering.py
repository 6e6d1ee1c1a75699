"""What a promotion changes in the cluster, by the tools that render: kustomize and Helm.

The content is not trusted: a tool sees the files that it needs, in a private folder, and nothing
of the environment. It reaches no network and starts no other program.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename, dirname
from tempfile import TemporaryDirectory
from threading import Timer

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.kinds.closure import ClosureError, closure
from gitops_promote.core.kinds.kustomize import FILE_NAMES
from gitops_promote.core.plan import Plan
from gitops_promote.core.review.rendered import Rendered, UnreadableError, compare
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import Mapping as MappingNode
from gitops_promote.core.yaml.tree import text_of
from gitops_promote.effects.programs import find_program

#: Seconds that a tool may take for one overlay or values file, ...
_MOST_SECONDS = 15
#: ... and all of them together: those that remain then are not rendered.
_MOST_SECONDS_IN_ALL = 60
_MOST_FILES = 2000
_MOST_BYTES = 20_000_000
_MOST_OUTPUT = 10_000_000
_MOST_MEMORY = 4 << 30
_MOST_MESSAGES = 100_000
_LONGEST_MESSAGE = 300
_BEFORE, _AFTER = "before", "after"
_SIDES = (_BEFORE, _AFTER)
#: The kinds whose files a tool renders.
_RENDERED = ("kustomize", "helm")
_CHART = "Chart.yaml"
#: A release's name is a part of the names of objects, and Helm takes no more than this.
_RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,51}[a-z0-9])?")
#: What Windows would take for another place, and no system for a name.
_BAD_PATH = re.compile(r"(?:^|/)(?:\.{0,2})(?:/|$)|[\\:\0]")


#: A tool's arguments for one of the sides.
_Arguments = Callable[[str], tuple[str, ...]]


class _NoRenderingError(Exception):
    """There is no rendering; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class _Tool:
    """A tool as people call it, and its program with the first argument."""

    name: str
    command: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a tool said, and how it ended."""

    output: bytes
    messages: bytes
    status: int
    late: bool


def render(snapshot: Snapshot, plan: Plan, environ: Mapping[str, str]) -> tuple[Rendered, ...]:
    """Render each overlay and values file that a plan changes, before and after.

    Args:
        snapshot: The config repository that the plan was made on.
        plan: The plan.
        environ: The caller's environment, in whose `PATH` the tools are looked for.

    Returns:
        What was rendered, or why not; nothing where there is a tool for none of the files.
    """
    tools, kinds = _tools(environ), _rendered_kinds(plan)
    if not any(kind in tools for kind in kinds.values()):
        return ()
    folders = (environ.get(name, "") for name in ("TMPDIR", "RUNNER_TEMP"))
    parent = next((folder for folder in folders if folder and Path(folder).is_dir()), None)
    with TemporaryDirectory(
        prefix="gitops-promote-", dir=parent, ignore_cleanup_errors=True
    ) as folder:
        renderer = _Renderer(snapshot, plan, Path(folder).resolve(), environ)
        return tuple(renderer.render(path, kind, tools.get(kind)) for path, kind in kinds.items())


def _tools(environ: Mapping[str, str]) -> dict[str, _Tool]:
    """The tool of each kind: where there are two, the one that is named last here."""
    found = {}
    for kind, name, program, command in (
        ("helm", "helm template", "helm", "template"),
        ("kustomize", "kubectl kustomize", "kubectl", "kustomize"),
        ("kustomize", "kustomize", "kustomize", "build"),
    ):
        path = find_program(program, environ)
        if path:
            found[kind] = _Tool(name, (path, command))
    return found


def _rendered_kinds(plan: Plan) -> dict[str, str]:
    """The files that a tool makes something else of; all others are what the cluster gets."""
    kinds = {place.path: place.kind for place in plan.places if place.kind in _RENDERED}
    return {path: kinds[path] for path in plan.files if path in kinds}


class _Renderer:
    """Renders in a folder that holds the repository's files twice: before and after."""

    def __init__(
        self, snapshot: Snapshot, plan: Plan, folder: Path, environ: Mapping[str, str]
    ) -> None:
        self.snapshot = snapshot
        self.plan = plan
        self.folder = folder
        self.environment = _environment(folder, environ)
        self.contents: dict[str, bytes] = {}
        self.written: set[str] = set()
        self.size = 0
        self.deadline = time.monotonic() + _MOST_SECONDS_IN_ALL

    def render(self, path: str, kind: str, tool: _Tool | None) -> Rendered:
        """Render one file's overlay or chart."""
        shown = (dirname(path) or ".") if kind == "kustomize" else path
        if tool is None:
            return Rendered(shown, "", problem=f"there is no `{kind}` on this runner.")
        name = tool.name
        if time.monotonic() > self.deadline:
            return Rendered(shown, name, problem="The others left no time to render it.")
        try:
            arguments = self._overlay(path) if kind == "kustomize" else self._chart(path)
            before, after = self._run([(*tool.command, *arguments(side)) for side in _SIDES], name)
            objects = compare(before, after, self.plan.changes)
        except (_NoRenderingError, ClosureError, UnreadableError) as problem:
            return Rendered(shown, name, problem=str(problem))
        except (PromoteError, OSError, KeyError, ValueError) as error:
            # Nothing of this is worth a failure of the promotion itself.
            what = error.what if isinstance(error, PromoteError) else f"{type(error).__name__}."
            return Rendered(shown, name, problem=f"It can't be rendered here: {what}")
        return Rendered(shown, name, objects)

    def _overlay(self, path: str) -> _Arguments:
        root = Document.parse(self.plan.files[path], path).root
        if isinstance(root, MappingNode) and text_of(root, "kind") == "Component":
            raise _NoRenderingError("It is a component, which shows only in what it is added to.")
        self._write(closure(path, self.snapshot, self._versions))
        folder = dirname(path)
        return lambda side: (str(self.folder / side / folder),)

    def _chart(self, path: str) -> _Arguments:
        root = Document.parse(self.plan.files[path], path).root
        if isinstance(root, MappingNode) and text_of(root, "apiVersion") and text_of(root, "kind"):
            raise _NoRenderingError(
                f"It is a kustomization, but kustomize builds only one named `{FILE_NAMES[0]}`."
            )
        chart = self._chart_of(path)
        start = f"{chart}/" if chart else ""
        inside = (name for name in self.snapshot.paths() if name.startswith(start))
        self._write([name for name in inside if self.snapshot.kind(name) == "file"])
        for side, content in zip(_SIDES, self._versions(path, both=True), strict=True):
            # Helm would part a path at commas, and take each part for a file or a URL.
            (self.folder / f"{side}.yaml").write_bytes(content)
        name = basename(chart)
        release = name if _RELEASE.fullmatch(name) else "release"
        return lambda side: (release, str(self.folder / side / chart), "--values", f"{side}.yaml")

    def _chart_of(self, path: str) -> str:
        folder = path
        while folder:
            folder = dirname(folder)
            if self.snapshot.kind(f"{folder}/{_CHART}" if folder else _CHART) == "file":
                return folder
        raise _NoRenderingError("It lies in no chart of this repository.")

    def _versions(self, path: str, *, both: bool = False) -> list[bytes]:
        """A file before and after; once where it stays as it is."""
        versions = [self._read(path), self.plan.files.get(path, self._read(path))]
        return versions if both else list(dict.fromkeys(versions))

    def _read(self, path: str) -> bytes:
        if path not in self.contents:
            if len(self.contents) == _MOST_FILES:
                raise _too_many()
            self.contents[path] = content = self.snapshot.read(path)
            self.size += len(content)
            if self.size > _MOST_BYTES:
                raise _NoRenderingError(
                    f"It takes more than {_MOST_BYTES // 1_000_000} MB, with those before it."
                )
        return self.contents[path]

    def _write(self, paths: list[str]) -> None:
        if len({*self.contents, *paths}) > _MOST_FILES:
            raise _too_many()
        for path in paths:
            if path in self.written:
                continue
            if _BAD_PATH.search(path):
                raise _NoRenderingError("The name of one of its files is none on every system.")
            for side, content in zip(_SIDES, self._versions(path, both=True), strict=True):
                file = self.folder / side / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            self.written.add(path)

    def _run(self, commands: list[tuple[str, ...]], name: str) -> list[bytes]:
        answers = _run_together(commands, self.folder, self.environment)
        for answer, when in zip(answers, ("as it is now", "with this promotion"), strict=True):
            if answer.late:
                raise _NoRenderingError(f"`{name}` took over {_MOST_SECONDS} seconds.")
            if len(answer.output) > _MOST_OUTPUT:
                most = _MOST_OUTPUT // 1_000_000
                raise _NoRenderingError(f"`{name}` printed more than {most} MB.")
            if answer.status:
                said = self._message(answer.messages)
                raise _NoRenderingError(f"`{name}` can't render it {when}: {said}")
        return [answer.output for answer in answers]

    def _message(self, messages: bytes) -> str:
        """The tool's own reason, on one line."""
        text = messages.decode("utf-8", "replace")
        # Warnings may stand before it. In backticks kustomize repeats the content, of Secrets, too.
        error = re.search(r"^error: (.*)", text, re.IGNORECASE | re.MULTILINE | re.DOTALL)
        text = re.sub(r"`[^`]*`", "…", error[1] if error else text)
        text = text.replace("Use --debug flag to render out invalid YAML", "")
        for place in (f"{self.folder / _BEFORE}{os.sep}", f"{self.folder / _AFTER}{os.sep}"):
            text = text.replace(place, "")
        text = text.replace(str(self.folder), "")
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        text = text or "it doesn't say why"
        # kustomize tells the whole way from the overlay to what is wrong, which comes last.
        cut = f"… {text[-_LONGEST_MESSAGE:]}" if len(text) > _LONGEST_MESSAGE else text
        return cut if cut.endswith(".") else f"{cut}."


def _too_many() -> _NoRenderingError:
    return _NoRenderingError(f"It takes more than {_MOST_FILES} files, with those before it.")


def _environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What a tool is told: nothing of the caller's but what Windows programs can't start without.

    No program is found on the `PATH`, such as git, and the proxy is a port where nobody listens:
    the content was searched for what would be fetched, and this is for what the search missed.
    """
    home = folder / "home"
    home.mkdir()
    places = (
        *("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "TMPDIR", "TMP", "TEMP"),
        *("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"),
        *("HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"),
    )
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return {
        **{name: environ[name] for name in ("SYSTEMROOT", "WINDIR") if name in environ},
        **dict.fromkeys(places, str(home)),
        **dict.fromkeys(proxies, "http://127.0.0.1:9"),
        "KUBECONFIG": str(home / "none"),
        "PATH": "",
    }


def _run_together(
    commands: list[tuple[str, ...]], folder: Path, environment: Mapping[str, str]
) -> list[_Answer]:
    """Run commands at the same time."""
    processes: list[subprocess.Popen[bytes]] = []
    logs = [folder / f"messages-{number}" for number in range(len(commands))]
    with ThreadPoolExecutor(len(commands)) as pool:
        try:
            for command, log in zip(commands, logs, strict=True):
                processes.append(_start(command, log, environment))
            return list(pool.map(_collect, processes, logs))
        except BaseException:
            for process in processes:
                _end(process)
            raise


def _start(
    command: tuple[str, ...], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with log.open("wb") as messages:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            start_new_session=True,  # one group to end
        )
    if sys.platform == "linux":
        import resource  # noqa: PLC0415  (there is none on Windows)

        # A template can ask for as much as it likes; the runner's memory is the job's, too.
        with suppress(OSError):
            for kind, most in (
                (resource.RLIMIT_AS, _MOST_MEMORY),
                (resource.RLIMIT_FSIZE, _MOST_OUTPUT),
            ):
                resource.prlimit(process.pid, kind, (most, most))
    return process


def _collect(process: subprocess.Popen[bytes], log: Path) -> _Answer:
    timer = Timer(_MOST_SECONDS, _end, [process])
    end = time.monotonic() + _MOST_SECONDS
    with process:
        timer.start()
        try:
            output = process.stdout.read(_MOST_OUTPUT + 1) if process.stdout else b""
            if len(output) > _MOST_OUTPUT:
                _end(process)
            status = process.wait()
        finally:
            timer.cancel()
    with log.open("rb") as messages:
        return _Answer(output, messages.read(_MOST_MESSAGES), status, time.monotonic() > end)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
