"""Build what a release carries: the locked packages and bytecode, for each platform and Python.

    bundle.py TREE [PYTHON ...]

TREE is a folder with the action, as it is checked out. Written are TREE/bundle and the bytecode of
TREE/src. PYTHONs are the interpreters that compile; without any, those on the PATH. A version
without an interpreter is left out, and the action then installs from the lock there.

The same lock, source and interpreters give the same bytes, whoever builds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PROCESSORS = ("x86_64", "aarch64")

# Of an installation, what tells of itself and not of the package, and what would start from it.
_LEFT_OUT = (
    *("bin", ".lock"),
    *("*.dist-info/INSTALLER", "*.dist-info/RECORD", "*.dist-info/REQUESTED"),
    *("*.dist-info/direct_url.json", "*.dist-info/uv_cache.json"),
)
_FACTS = (
    "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2],"
    " '.'.join(map(str, sys.version_info[:3])), sys.implementation.cache_tag)"
)


class Target(NamedTuple):
    """A Python on a processor."""

    version: str
    processor: str

    @property
    def tag(self) -> str:
        """What the names of its bytecode have."""
        return f"cpython-{self.version.replace('.', '')}"

    @property
    def name(self) -> str:
        """What the names of its compiled modules have, and run.py looks for."""
        return f"{self.tag}-{self.processor}-linux-gnu"


class Interpreter(NamedTuple):
    """A CPython that compiles."""

    path: Path
    version: str
    release: str


# What has one content for some targets: an entry of an installation's folder by its name and hash.
Shared = dict[tuple[str, str], list[Target]]


def build(tree: Path, interpreters: Sequence[Interpreter]) -> list[Target]:
    """Write the bundle.

    Args:
        tree: The folder of the action.
        interpreters: What compiles, one for a version.

    Returns:
        The targets that it is for.
    """
    targets = [Target(each.version, name) for each in interpreters for name in PROCESSORS]
    bundle = tree / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    shutil.copyfile(tree / "action" / "requirements.txt", bundle / "requirements.txt")
    with tempfile.TemporaryDirectory() as work:
        sites = {target: Path(work, target.name) for target in targets}
        for target, site in sites.items():
            install(bundle / "requirements.txt", target, site)
        for processor in PROCESSORS:
            _share_stable([site for target, site in sites.items() if target.processor == processor])
        for site in sites.values():
            _prune(site)
        folders = _deal_out(sites, bundle)
    for interpreter in interpreters:
        own = [Target(interpreter.version, processor) for processor in PROCESSORS]
        used = [bundle / name for name, users in folders.items() if {*own} & {*users}]
        compile_all(interpreter, used, "unchecked-hash")
    _compile_source(tree / "src", interpreters)
    releases = {interpreter.version: interpreter.release for interpreter in interpreters}
    for target in targets:
        names = sorted(name for name, users in folders.items() if target in users)
        manifest = {
            "python": releases[target.version],
            "folders": names,
            "files": dict(_files(bundle, names, target)),
        }
        _write(bundle / f"{target.name}.json", json.dumps(manifest, indent=0) + "\n")
    return targets


def install(lock: Path, target: Target, site: Path) -> None:
    """Install the locked packages for a target, which needn't be this machine.

    Args:
        lock: The lock.
        target: For what.
        site: The folder, which is made.

    Raises:
        SystemExit: uv is missing or failed; it has said why.
    """
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    uv = shutil.which("uv", path=beside)
    if uv is None:
        sys.exit("uv is needed: make bundle installs it.")
    done = subprocess.run(
        [
            *(uv, "pip", "install", "--quiet", "--no-config", "--link-mode=copy"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:", f"--requirement={lock}"),
            *(f"--python={sys.executable}", f"--python-version={target.version}"),
            *(f"--python-platform={target.processor}-manylinux2014", f"--target={site}"),
        ],
        check=False,
    )
    if done.returncode:
        sys.exit(f"uv could not install the locked packages for {target.name} (see above).")


def compile_all(interpreter: Interpreter, folders: Sequence[Path], mode: str) -> None:
    """Write the bytecode of all modules in some folders.

    Args:
        interpreter: What compiles.
        folders: The folders.
        mode: How Python is to tell whether it is that of the source: `checked-hash` or
            `unchecked-hash`. A checkout keeps no times.

    Raises:
        SystemExit: A module has an error.
    """
    # A file of bytecode has in it the module's path, and the elements of a set in their hashes'
    # order. In an empty folder nothing of the packages can be imported.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    options = ["-q", "-f", "--invalidation-mode", mode, "-s"]
    with tempfile.TemporaryDirectory() as empty:
        for folder in folders:
            done = subprocess.run(
                [interpreter.path, "-s", "-S", "-m", "compileall", *options, folder, folder],
                cwd=empty,
                env={**kept, "PYTHONHASHSEED": "0"},
                check=False,
            )
            if done.returncode:
                sys.exit(f"Python {interpreter.release} could not compile {folder} (see above).")


def find(paths: Iterable[str]) -> list[Interpreter]:
    """Find an interpreter for each version.

    Args:
        paths: Programs. Those that aren't CPython of one of `VERSIONS` are passed over.

    Returns:
        The first of each version, by version.
    """
    found: dict[str, Interpreter] = {}
    for path in paths:
        try:
            done = subprocess.run(
                [path, "-I", "-S", "-c", _FACTS], capture_output=True, text=True, check=False
            )
        except OSError:
            continue
        kind, version, release, tag = (done.stdout.split() or [""] * 4)[:4]
        if kind == "cpython" and version in VERSIONS and tag == Target(version, "").tag:
            found.setdefault(version, Interpreter(Path(path), version, release))
    return [found[version] for version in VERSIONS if version in found]


def main() -> None:
    """Build, and say what it is for and how large it is."""
    parser = argparse.ArgumentParser(description="Build what a release carries.")
    parser.add_argument("tree", type=Path)
    parser.add_argument("python", nargs="*")
    arguments = parser.parse_args()
    names = arguments.python or [f"python{version}" for version in VERSIONS]
    interpreters = find(shutil.which(name) or name for name in names)
    tree = arguments.tree.resolve()
    build(tree, interpreters)
    sizes = [path.stat().st_size for path in (tree / "bundle").rglob("*") if path.is_file()]
    releases = ", ".join(interpreter.release for interpreter in interpreters)
    print(f"Built {tree / 'bundle'}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB")
    print(f"CPython {releases}; {' and '.join(PROCESSORS)}")
    missing = [each for each in VERSIONS if each not in {one.version for one in interpreters}]
    if missing:
        print(f"No interpreter for {', '.join(missing)}: left out")


def _share_stable(sites: Sequence[Path]) -> None:
    # A wheel for the stable ABI of the oldest Python serves all; a newer one may have another, of
    # the same source, which would be carried besides.
    oldest, *newer = sites
    for info in oldest.glob("*.dist-info"):
        if "-abi3-" not in (info / "WHEEL").read_text("utf-8"):
            continue
        for site in newer:
            if (site / info.name).is_dir():
                for name in (info.name, *_top_levels(oldest, info)):
                    shutil.rmtree(site / name)
                    shutil.copytree(oldest / name, site / name)


def _top_levels(site: Path, info: Path) -> set[str]:
    lines = (info / "RECORD").read_text("utf-8").splitlines()
    first = {line.split(",")[0].split("/")[0] for line in lines}
    return {name for name in first if name != info.name and (site / name).is_dir()} - {"bin"}


def _prune(site: Path) -> None:
    for pattern in _LEFT_OUT:
        for path in site.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _deal_out(sites: Mapping[Target, Path], bundle: Path) -> dict[str, list[Target]]:
    # What is the same for the same targets comes into one folder, so that each file is there once.
    shared: Shared = defaultdict(list)
    for target, site in sites.items():
        for entry in sorted(site.iterdir()):
            shared[entry.name, _digest(entry)].append(target)
    folders: dict[str, list[Target]] = {}
    for (name, _), targets in shared.items():
        folder = _folder_name(targets, sites)
        folders[folder] = targets
        source, copy = sites[targets[0]] / name, bundle / folder / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    return folders


def _folder_name(targets: Sequence[Target], everyone: Iterable[Target]) -> str:
    if set(targets) == set(everyone):
        return "all"
    versions, processors = (sorted(set(parts)) for parts in zip(*targets, strict=True))
    if len(versions) * len(processors) != len(targets):
        return "+".join(sorted(target.name for target in targets))
    is_any = set(versions) == {target.version for target in everyone}
    return "-".join([*([] if is_any else versions), *processors])


def _compile_source(source: Path, interpreters: Iterable[Interpreter]) -> None:
    for cache in list(source.rglob("__pycache__")):
        shutil.rmtree(cache)
    for interpreter in interpreters:
        compile_all(interpreter, [source], "checked-hash")


def _files(bundle: Path, folders: Iterable[str], target: Target) -> Iterator[tuple[str, int]]:
    for folder in folders:
        for path in sorted((bundle / folder).rglob("*")):
            others = path.suffix == ".pyc" and f".{target.tag}." not in path.name
            if path.is_file() and not others:
                yield path.relative_to(bundle).as_posix(), path.stat().st_size


def _digest(entry: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([entry, *entry.rglob("*")]):
        if path.is_file():
            digest.update(f"{path.relative_to(entry.parent).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _write(path: Path, content: str) -> None:
    path.write_bytes(content.encode())


if __name__ == "__main__":
    main()
