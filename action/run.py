"""Start an action: find its packages, run the program, clean up.

A release carries its packages in `bundle/`, as release/bundle.py made them. Where that isn't there,
or isn't for this Python, install.py installs the locked packages in a private folder.

Only the standard library is used, and only it is importable: `start.sh` starts this file with
`-I -S`, so that no folder of the caller (workspace, PYTHONPATH, site-packages) is on the path of
a process that holds the job's secrets. Python compiles this file at every start and a job waits for
every import, so here stands only what a start from the bundle needs.

Usage: run.py COMMAND
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "action" / "requirements.txt"
BUNDLE = ROOT / "bundle"
COMMANDS = ("promote", "tags")


def main(arguments: Sequence[str], environ: MutableMapping[str, str]) -> int:
    """Run a command, and clean up.

    Args:
        arguments: The command line: one of `COMMANDS`.
        environ: The environment of the step, and of this process.

    Returns:
        The exit status of the program, 1 where it could not be started, 130 where it was stopped,
        or 2 for a wrong command line.
    """
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        _annotate("error", f"run.py takes one command: {' or '.join(COMMANDS)}.")
        return 2
    folder = _choose_folder(environ)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if not _make_folder(folder, environ):
            return 1
        packages = bundled()
        if packages:
            return _run_here(arguments[0], packages)
        return _install_and_run(arguments[0], folder, environ)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _remove(folder)


def bundled() -> list[Path]:
    """The folders of the release's bundle that hold the packages for this Python.

    Returns:
        The folders; none where there is no bundle, or it can't be used, of which the log tells.
    """
    if not BUNDLE.is_dir():
        return []
    # The name that compiled modules have for this Python, its processor and its C library:
    # `cpython-312-x86_64-linux-gnu`. That of a debug or free-threaded Python is another.
    # One that loads no compiled modules at all has none.
    target = next(iter(EXTENSION_SUFFIXES), "").strip(".").rpartition(".")[0]
    manifest = BUNDLE / f"{target}.json"
    if not target or not manifest.is_file() or not _has_gnu_library():
        told = target or "which loads no compiled modules"
        print(f"The release's bundle has nothing for this Python ({told})", flush=True)
        return []
    try:
        known = json.loads(manifest.read_text("utf-8"))
        folders = [BUNDLE / name for name in known["folders"]]
        problem = _misfit(known["files"])
    except (AttributeError, LookupError, OSError, TypeError, ValueError):
        problem = f"{manifest.name} or its lock can't be read"
    if problem:
        ending = "the packages are installed from the lock instead."
        _annotate("notice", f"The release's bundle does not fit: {problem}; {ending}")
        return []
    version, processor = ".".join(map(str, sys.version_info[:2])), target.split("-")[2]
    print(f"Using the release's bundle (CPython {version}, {processor})", flush=True)
    return folders


def _has_gnu_library() -> bool:
    # Some Pythons are named like those for GNU's C library and are for another. musl has a name
    # for the question, too, and no answer.
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, OSError, ValueError):
        return False


def _misfit(files: Mapping[str, int]) -> str:
    # git and the archives that runners download have checksums of their own. What those don't see
    # is a copy of the action with another lock, with other line ends, or without what is usually
    # ignored (`*.so`, `__pycache__`). The lock and the sizes tell, in four milliseconds. Of our own
    # source, Python passes over a compiled module that carries the hash of another text. All this
    # finds accidents and old copies. Who can write to the copy can write what passes, such as other
    # code under the right hash, as they could write another run.py.
    if LOCK.read_bytes() != (BUNDLE / LOCK.name).read_bytes():
        return "it is of another lock"
    for name, size in files.items():
        try:
            found = os.stat(f"{BUNDLE}/{name}").st_size  # noqa: PTH116  (of a thousand files)
        except OSError:
            return f"{name} is missing"
        if found != size:
            return f"{name} has another size"
    return ""


def _run_here(command: str, packages: Sequence[Path]) -> int:
    # In this process: there is nothing to remove that it has open, and a second one costs time.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    # Last on the path come the packages and the program: neither can shadow the other's names or
    # the standard library's.
    sys.path += map(str, [*packages, ROOT / "src"])
    sys.argv = ["gitops-promote", command]
    gc.disable()  # what is imported stays, and to search it for cycles takes up to 8 ms
    from gitops_promote.__main__ import run  # noqa: PLC0415  (it is importable now)

    gc.enable()
    run()
    return 0


def _install_and_run(command: str, folder: Path, environ: Mapping[str, str]) -> int:
    sys.path.append(str(ROOT / "action"))
    import install  # noqa: PLC0415  (not needed with a bundle)

    try:
        return install.run(command, folder, environ)
    except install.BootstrapError as error:
        _annotate("error", str(error))
        return 1


def _choose_folder(environ: Mapping[str, str]) -> Path:
    # Only a name, so that it is known what to remove before there is anything. It isn't by mkdtemp,
    # whose module takes ten milliseconds.
    parent = environ.get("RUNNER_TEMP", "")
    if not os.path.isdir(parent):  # noqa: PTH112  (Path's raises where it may not look)
        import tempfile  # noqa: PLC0415  (on a runner there is a folder)

        try:
            parent = tempfile.gettempdir()
        except OSError:
            # It has tried this as well: to make the folder there says what is wrong.
            parent = os.curdir
        # It remembers its answer, and the program is to get another.
        tempfile.tempdir = None
    return Path(parent, f"gitops-promote-{os.urandom(8).hex()}")


def _make_folder(folder: Path, environ: MutableMapping[str, str]) -> bool:
    temp = folder / "tmp"
    try:
        folder.mkdir(0o700)
        temp.mkdir()
    except OSError as error:
        _annotate("error", f"No private folder can be made: {error}")
        return False
    # What a killed process leaves behind is removed with the folder, too.
    environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temp)))
    return True


def _remove(folder: Path) -> None:
    try:
        (folder / "tmp").rmdir()
        folder.rmdir()
    except OSError:
        if os.path.lexists(folder):
            _remove_all(folder)


def _remove_all(folder: Path) -> None:
    import shutil  # noqa: PLC0415  (as a rule all is gone already)

    def writable(function: Callable[..., object], path: str, _: object) -> None:
        # git's objects are read-only, and Windows removes no such file.
        Path(path).chmod(0o700)
        function(path)

    try:
        shutil.rmtree(folder, onerror=writable)
    except OSError as error:
        _annotate("warning", f"Left {folder} behind: {error}")


def _annotate(kind: str, message: str) -> None:
    text = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{kind} title=GitOps Promote::{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
