"""What a release carries: release/bundle.py builds it, and action/run.py starts from it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from runner import OVERLAY, TAGS, Runner
from starts import Action, load_script, make_package, wait_for

TARGET = EXTENSION_SUFFIXES[0].strip(".").rpartition(".")[0]
CACHE_TAG = sys.implementation.cache_tag
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
NOWHERE = "http://127.0.0.1:9/simple"
# What e_machine, the 19th and 20th byte of an ELF file, says.
MACHINES = {"x86_64": b"\x3e\x00", "aarch64": b"\xb7\x00"}
PROBE = """\
import sys
sys.path += sys.argv[1:]
import cryptography.hazmat.bindings._rust, github, nacl.public, ruamel.yaml, _ruamel_yaml
from gitops_promote.effects.github import connection
nacl.public.SealedBox(nacl.public.PrivateKey.generate())
print("loaded")
"""


@pytest.fixture(scope="session")
def bundle() -> ModuleType:
    module = load_script("release/bundle.py")
    facts = module.Target(VERSION, os.uname().machine) if sys.platform == "linux" else None
    if facts is None or facts.name != TARGET or VERSION not in module.VERSIONS:
        pytest.skip(f"a release carries nothing for this Python ({TARGET})")
    return module


@pytest.fixture
def release(bundle: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Action:
    """A copy of the action with a bundle of its three tiny packages."""
    action = Action(tmp_path)
    build(bundle, action, monkeypatch)
    return action


def test_a_release_starts_from_its_bundle_without_an_index(release: Action) -> None:
    result = release.run(PIP_INDEX_URL=NOWHERE, GITOPS_PROMOTE_TOKEN="made-up")

    assert result.status == 0
    assert result.log == f"Using the release's bundle (CPython {VERSION}, {os.uname().machine})\n"
    assert result.facts["packages"] == ["alpha", "beta", "semver"]
    assert result.facts["argv"] == ["promote"]
    assert result.facts["flags"] == [1, 1]
    assert result.facts["token"] == "made-up"
    *library, folder, source = result.facts["path"]
    assert source == str(release.root / "src")
    assert folder == str(release.root / "bundle" / "all")
    assert not [path for path in library if "site-packages" in path or "dist-packages" in path]
    assert str(release.workspace) not in library
    assert Path(result.facts["temp"]).parent.parent == release.temp
    assert release.left() == []


def test_the_tags_step_starts_from_it_too(release: Action) -> None:
    result = release.run(sys.executable, "tags", PIP_INDEX_URL=NOWHERE)

    assert result.status == 0
    assert result.facts["argv"] == ["tags"]


@pytest.mark.parametrize("status", [1, 77])
def test_the_status_of_the_program_is_the_status_of_the_step(release: Action, status: int) -> None:
    assert release.run(STATUS=str(status)).status == status
    assert release.left() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_program_is_interrupted_and_leaves_nothing(
    release: Action, tool: Callable[[str], str], number: signal.Signals
) -> None:
    # A shell lets what runs in the background ignore an interrupt, which is then inherited.
    deaf = ["-c", 'trap "" INT; exec "$@"', "-", *release.command()]
    process = subprocess.Popen([tool("bash"), *deaf], env=release.environ({"SLEEP": "60"}))
    wait_for(release.facts.exists)
    process.send_signal(number)

    assert process.wait(20) == 130
    assert release.facts.read_text() == "interrupted"
    assert release.left() == []


def test_nothing_of_the_caller_shadows_it(release: Action) -> None:
    for name in ("alpha", "gitops_promote", "install", "json", "semver", "sitecustomize"):
        (release.workspace / f"{name}.py").write_text("raise SystemExit('shadowed')")
    here = str(release.workspace)

    result = release.run(PYTHONPATH=here, PYTHONHOME=here, PYTHONUSERBASE=here)

    assert "shadowed" not in result.log
    assert result.status == 0
    assert not [file for file in result.facts["files"] if file.startswith(here)]


def test_the_program_reads_nothing_of_the_step_s_input(release: Action) -> None:
    program = release.root / "src" / "gitops_promote" / "__main__.py"
    program.write_text("import sys\ndef run(): print(repr(sys.stdin.read()))\n")

    done = run(release.command(), release.environ({}), "x")

    assert done.stdout.splitlines()[1:] == ["''"]


def drop(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def convert(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    ("path", "damage", "notice"),
    [
        ("action/requirements.txt", convert, "it is of another lock"),
        ("bundle/requirements.txt", drop, f"{TARGET}.json or its lock can't be read"),
        (f"bundle/{TARGET}.json", cut, f"{TARGET}.json or its lock can't be read"),
        ("bundle/all/alpha.py", drop, "all/alpha.py is missing"),
        ("bundle/all/alpha-1.0.dist-info/METADATA", convert, "all/alpha-1.0.dist-info/METADATA"),
        (f"bundle/all/__pycache__/beta.{CACHE_TAG}.pyc", drop, "is missing"),
        (f"bundle/all/__pycache__/beta.{CACHE_TAG}.pyc", cut, "has another size"),
    ],
)
def test_a_damaged_bundle_gives_way_to_the_lock(
    release: Action, path: str, damage: Callable[[Path], None], notice: str
) -> None:
    damage(release.root / path)

    result = release.run()

    told, installed = result.log.splitlines()
    start = "::notice title=GitOps Promote::The release's bundle does not fit: "
    assert told.startswith(start)
    assert notice in told
    assert told.endswith("; the packages are installed from the lock instead.")
    assert installed.startswith("Installed 3 packages")
    assert result.status == 0
    assert str(release.root / "bundle" / "all") not in result.facts["path"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": [], "folders": []}', "\xff"])
def test_a_manifest_that_is_none_gives_way_to_the_lock(release: Action, content: str) -> None:
    (release.root / "bundle" / f"{TARGET}.json").write_text(content, "latin-1")

    result = release.run()

    assert "can't be read" in result.log
    assert result.facts["packages"] == ["alpha", "beta", "semver"]


def test_a_python_that_it_is_not_for_installs_from_the_lock(release: Action) -> None:
    (release.root / "bundle" / f"{TARGET}.json").unlink()

    result = release.run()

    told, installed = result.log.splitlines()
    assert told == f"The release's bundle has nothing for this Python ({TARGET})"
    assert installed.startswith("Installed 3 packages")
    assert result.status == 0


def raises(error: Exception) -> Callable[[str], str | None]:
    def answer(_: str) -> str | None:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        (lambda _: "glibc 2.39", True),
        (lambda _: "other 1.2", False),
        (lambda _: None, False),
        # musl's, and that of a system whose Python doesn't know the name.
        (raises(OSError(22, "Invalid argument")), False),
        (raises(ValueError("unrecognized configuration name")), False),
        (None, False),
    ],
)
def test_a_bundle_is_for_gnu_s_library_alone(
    release: Action,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Callable[[str], str | None] | None,
    fits: bool,
) -> None:
    start = script_of(release, monkeypatch)
    if answer:
        monkeypatch.setattr(os, "confstr", answer)
    else:
        monkeypatch.delattr(os, "confstr")

    folders = start.bundled()

    assert folders == ([release.root / "bundle" / "all"] if fits else [])
    told = f"The release's bundle has nothing for this Python ({TARGET})\n"
    assert (told in capsys.readouterr().out) is not fits


def test_a_python_that_loads_no_compiled_modules_installs_from_the_lock(
    release: Action, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = script_of(release, monkeypatch)
    monkeypatch.setattr(start, "EXTENSION_SUFFIXES", [])

    folders = start.bundled()

    assert folders == []
    told = "The release's bundle has nothing for this Python (which loads no compiled modules)\n"
    assert capsys.readouterr().out == told


def test_without_a_runner_s_folder_temporary_files_go_with_the_private_one(
    release: Action,
) -> None:
    result = release.run(RUNNER_TEMP="", TMPDIR=str(release.temp))

    assert result.log.startswith("Using the release's bundle")
    private, name = Path(result.facts["temp"]).parts[-2:]
    assert private.startswith("gitops-promote-")
    assert name == "tmp"
    assert Path(result.facts["temp"]).parent.parent == release.temp
    assert release.left() == []


def test_an_edited_source_is_what_runs(release: Action) -> None:
    program = release.root / "src" / "gitops_promote" / "__main__.py"
    assert [*program.parent.glob("__pycache__/__main__.*.pyc")]
    status = program.stat()
    text = program.read_text()
    program.write_text(text.replace('"argv": sys.argv', '"argv": sys.path'))
    os.utime(program, ns=(status.st_atime_ns, status.st_mtime_ns))

    result = release.run()

    assert len(text) == len(program.read_text())
    assert result.facts["argv"] == result.facts["path"][1:]


def test_the_bytecode_is_used(release: Action) -> None:
    command = release.command()
    command[1:1] = ["-v"]

    done = run(command, release.environ({}))

    for name in ("all/__pycache__/semver", "src/gitops_promote/__pycache__/__main__"):
        assert f"{name}.{CACHE_TAG}.pyc" in done.stdout, name


def test_two_builds_are_the_same_bytes(
    bundle: ModuleType, release: Action, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Action(tmp_path / "elsewhere")

    monkeypatch.setenv("PYTHONHASHSEED", "7")
    build(bundle, other, monkeypatch)

    assert digests(other.root) == digests(release.root)


def test_each_file_is_there_once(
    bundle: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processors = bundle.PROCESSORS
    action = Action(tmp_path)
    stable = {
        f"cp{version}-abi3-manylinux2014_{name}": {
            "stable/__init__.py": "",
            "stable/_it.abi3.so": f"{version} {name}",
        }
        for version in ("39", "311")
        for name in processors
    }
    each = {
        f"cp{version}-cp{version}-manylinux2014_{name}": {"it.so": f"{version} {name}"}
        for version in ("310", "311")
        for name in processors
    }
    lock = make_package(action.index, "stable", stable) + make_package(action.index, "each", each)
    with (action.root / "action" / "requirements.txt").open("a") as file:
        file.write(lock)
    this = Path(sys.executable)

    build(bundle, action, monkeypatch, *[bundle.Interpreter(this, v, v) for v in ("3.10", "3.11")])

    folder = action.root / "bundle"
    found = {path.name: path for path in folder.iterdir() if path.is_dir()}
    singles = {f"{version}-{name}" for version in ("3.10", "3.11") for name in processors}
    assert set(found) == {"all", *processors, *singles}
    assert (found["all"] / "alpha.py").is_file()
    for name in processors:
        assert (found[name] / "stable" / "_it.abi3.so").read_text() == f"39 {name}"
        assert (found[f"3.11-{name}"] / "it.so").read_text() == f"311 {name}"
        manifest = json.loads((folder / f"cpython-310-{name}-linux-gnu.json").read_text())
        assert manifest["folders"] == sorted(["all", name, f"3.10-{name}"])
    assert not [*folder.rglob("RECORD")]


def test_the_real_packages_start_offline(
    bundle: ModuleType, tmp_path: Path, tool: Callable[[str], str], action: Path
) -> None:
    # The copy of the action is shared by tests.
    tree = tmp_path / "release"
    shutil.copytree(action, tree)
    interpreter = bundle.find([sys.executable])
    bundle.build(tree, interpreter)
    runner = Runner(tmp_path, tool("act"), tree)
    manifests = {
        name: json.loads(
            (tree / "bundle" / f"{bundle.Target(VERSION, name).name}.json").read_text()
        )
        for name in bundle.PROCESSORS
    }

    for name, manifest in manifests.items():
        binaries = [tree / "bundle" / file for file in manifest["files"] if file.endswith(".so")]
        assert len(binaries) >= 4
        assert {file.read_bytes()[18:20] for file in binaries} == {MACHINES[name]}
    path = [str(tree / "bundle" / name) for name in manifests[os.uname().machine]["folders"]]
    probe = [sys.executable, "-I", "-S", "-B", "-c", PROBE, *path, str(tree / "src")]
    assert run(probe, {}).stdout == "loaded\n"

    done = run(
        [*offline(), tool("bash"), "-c", '. "$GITHUB_ACTION_PATH/action/start.sh" promote'],
        {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "GITHUB_ACTION_PATH": str(tree),
            "RUNNER_TEMP": str(runner.temp),
            "GITOPS_PROMOTE_AUTHOR": "A Person <person@example.com>",
            "GITOPS_PROMOTE_COMMITTER": "A Person <person@example.com>",
            "GITOPS_PROMOTE_CONFIG_REPOSITORY": str(runner.config),
            "GITOPS_PROMOTE_IMAGES": "ghcr.io/acme/shop:1.1.0",
            "GITOPS_PROMOTE_TARGET": "apps/shop/overlays/dev",
        },
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("Using the release's bundle (")
    file = "apps/shop/overlays/dev/kustomization.yaml"
    assert runner.read(file) == OVERLAY.replace("1.0.0", "1.1.0")
    assert list(runner.temp.iterdir()) == []

    job = runner.run_steps(
        {
            "tags": (TAGS, {"images": "ghcr.io/acme/shop", "tags": "type=raw,value=1.2.0"}),
            "promote": (
                "OWNER/gitops-promote@v1",
                {
                    "config_repository": str(runner.config),
                    "images": "${{ steps.tags.outputs.json }}",
                    "target": "apps/shop/overlays/dev",
                },
            ),
        },
        env={"PIP_INDEX_URL": NOWHERE},
    )
    assert job.status == 0, job.log
    assert job.log.count("Using the release's bundle") == 2
    assert "Installed" not in job.log
    assert runner.read(file) == OVERLAY.replace("1.0.0", "1.2.0")


def build(
    bundle: ModuleType, action: Action, monkeypatch: pytest.MonkeyPatch, *interpreters: object
) -> None:
    """Build the bundle of an action from its own index."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", action.index.as_uri())
    bundle.build(action.root, interpreters or bundle.find([sys.executable]))


def script_of(action: Action, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that starts a copy of the action, in this process."""
    start = load_script("action/run.py")
    monkeypatch.setattr(start, "LOCK", action.root / "action" / "requirements.txt")
    monkeypatch.setattr(start, "BUNDLE", action.root / "bundle")
    return start


def digests(root: Path) -> dict[str, str]:
    """The hashes of all files of a folder."""
    return {
        path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def offline() -> list[str]:
    """What starts a command without a network, where this user may."""
    command = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and not run([*command, "true"], os.environ).returncode
    return command if allowed else []


def run(
    command: Sequence[str], environ: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a command, with all that it says in `stdout`."""
    return subprocess.run(
        command,
        env=dict(environ),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
