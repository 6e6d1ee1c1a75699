"""The start of the action from the lock, with packages and an index made for each test."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from conftest import ROOT
from gitops_promote.cli import COMMANDS
from servers import git, make_bare
from starts import Action, load_script, wait_for

SHADOWS = ["alpha", "beta", "gitops_promote", "json", "pip", "semver", "sitecustomize", "yaml"]
LOCK = ROOT / "action" / "requirements.txt"
# The file of each action, and its command.
STEPS = {"action.yml": "promote", "tags/action.yml": "tags"}
both_steps = pytest.mark.parametrize("step", STEPS)
# Of every type and with every expression that reads something, so that whatever is imported for
# one of them is.
TAG_RULES = [
    "type=semver,pattern={{version}}",
    "type=pep440,pattern={{version}}",
    "type=match,pattern=v(.*),group=1",
    "type=ref,event=tag,suffix=-{{date 'YYYYMMDD' tz='Europe/Paris'}}",
    "type=raw,value={{commit_date 'X'}}-{{sha}}-{{app}}",
    "type=sha,format=long,enable={{is_not_default_branch}}",
    "type=sha\ntype=edge\ntype=schedule,pattern={{date 'gggg[w]ww'}}",
]
# A start that is stopped as soon as it has made a folder.
STOPPED_AT_ONCE = """\
import os, pathlib, runpy, signal, sys
real = pathlib.Path.mkdir
def mkdir(self, *arguments, **options):
    real(self, *arguments, **options)
    os.kill(os.getpid(), signal.SIGTERM)
pathlib.Path.mkdir = mkdir
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
posix = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")


@pytest.fixture
def action(tmp_path: Path) -> Action:
    return Action(tmp_path)


@pytest.fixture(scope="session")
def bootstrap() -> ModuleType:
    return load_script("action/install.py")


def test_the_program_sees_the_standard_library_the_packages_and_itself(action: Action) -> None:
    result = action.run(GITOPS_PROMOTE_TOKEN="made-up")

    assert result.status == 0
    assert re.fullmatch(r"Installed 3 packages in \d+\.\d s\n", result.log)
    assert result.facts["packages"] == ["alpha", "beta", "semver"]
    assert result.facts["argv"] == ["promote"]
    assert result.facts["flags"] == [1, 1]
    assert result.facts["token"] == "made-up"
    *library, one, two, source = result.facts["path"]
    assert source == str(action.root / "src")
    assert Path(one).parent == Path(two).parent
    assert Path(one).parent.parent == action.temp
    assert not [path for path in library if "site-packages" in path or "dist-packages" in path]
    assert str(action.workspace) not in library


def test_the_tags_step_gets_the_packages_that_it_uses(action: Action) -> None:
    result = action.run(sys.executable, "tags")

    assert result.status == 0
    assert re.fullmatch(r"Installed 1 packages in \d+\.\d s\n", result.log)
    assert result.facts["packages"] == ["semver"]
    assert result.facts["argv"] == ["tags"]


@pytest.mark.parametrize("arguments", [["nope"], ["promote", "tags"], ["promote", "--help"], [""]])
def test_another_command_is_refused(action: Action, arguments: list[str]) -> None:
    result = action.run(sys.executable, *arguments)

    assert result.status == 2
    assert result.log == (
        "::error title=GitOps Promote::run.py takes one command: promote or tags.\n"
    )
    assert result.facts == {}
    assert action.left() == []


@pytest.mark.parametrize("status", [1, 2, 77])
def test_the_status_of_the_program_is_the_status_of_the_step(action: Action, status: int) -> None:
    assert action.run(STATUS=str(status)).status == status
    assert action.left() == []


def test_nothing_of_the_caller_shadows_the_action(action: Action) -> None:
    for name in SHADOWS:
        (action.workspace / f"{name}.py").write_text("raise SystemExit('shadowed')")
    (action.workspace / "pip.conf").write_text("[global]\nno-index = true\ntarget = elsewhere\n")
    (action.workspace / "pyvenv.cfg").write_text("home = elsewhere\n")
    here = str(action.workspace)

    result = action.run(
        PYTHONPATH=here,
        PYTHONSTARTUP=str(action.workspace / "json.py"),
        PYTHONHOME=here,
        PYTHONUSERBASE=here,
        PYTHONINSPECT="1",
        PIP_CONFIG_FILE=str(action.workspace / "pip.conf"),
        PIP_DRY_RUN="1",
        PIP_NO_BINARY=":all:",
        PIP_NO_INDEX="1",
        PIP_PREFIX=here,
        PIP_PYTHON="/nowhere/python",
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_TARGET=here,
        PIP_USER="1",
    )

    assert "shadowed" not in result.log
    assert result.status == 0
    assert not [file for file in result.facts["files"] if file.startswith(here)]
    assert {path.stem for path in action.workspace.iterdir()} == {*SHADOWS, "pip", "pyvenv"}


def test_the_users_own_pip_configuration_is_passed_over(action: Action, tmp_path: Path) -> None:
    content = "[global]\nno-index = true\nuser = true\n"
    for place in (".config/pip/pip.conf", ".pip/pip.conf", "pip/pip.ini"):
        (tmp_path / "home" / place).parent.mkdir(parents=True)
        (tmp_path / "home" / place).write_text(content)
    home = str(tmp_path / "home")

    assert action.run(HOME=home, USERPROFILE=home, APPDATA=home).status == 0


def test_pip_gets_no_secret_and_no_setting_of_python(bootstrap: ModuleType, tmp_path: Path) -> None:
    secrets = ["GITOPS_PROMOTE_TOKEN", "GITOPS_PROMOTE_SSH_KEY", "GITOPS_PROMOTE_JOB_TOKEN"]
    others = ["GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AWS_SECRET_ACCESS_KEY"]
    wanted = {
        "HTTPS_PROXY": "http://proxy.example:3128",
        "PIP_CERT": "/etc/ssl/ca.pem",
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "SSL_CERT_FILE": "/etc/ssl/ca.pem",
    }

    environ = bootstrap.pip_environ(
        tmp_path, {**dict.fromkeys([*secrets, *others, "PYTHONPATH", "PIP_TARGET"], "x"), **wanted}
    )

    assert not [name for name, value in environ.items() if value == "x"]
    assert wanted.items() <= environ.items()


def test_a_package_that_is_not_the_locked_one_is_refused(action: Action) -> None:
    wheel = next(action.index.glob("beta/*.whl"))
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("extra.py", "")

    result = action.run()

    assert result.status == 1
    assert "pip | " in result.log
    assert "HASHES" in result.log
    assert result.facts == {}
    assert action.left() == []


def test_an_index_that_cannot_be_reached_says_what_to_do(action: Action) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://someone:made-up-password@127.0.0.1:{closed.getsockname()[1]}/simple"
        result = action.run(PIP_INDEX_URL=url, PIP_RETRIES="0")

    assert result.status == 1
    *shown, annotation = result.log.splitlines()
    assert annotation.startswith("::error title=GitOps Promote::pip could not install")
    assert "PIP_INDEX_URL" in annotation
    assert shown
    assert all(line.startswith("pip | ") for line in shown)
    assert "made-up-password" not in result.log


def test_temporary_files_go_with_the_private_folder(action: Action) -> None:
    result = action.run()

    assert Path(result.facts["temp"]).parent.parent == action.temp
    assert action.left() == []


@posix
def test_a_private_folder_that_cannot_be_made_is_an_error(action: Action) -> None:
    # Not even root makes a folder there.
    result = action.run(RUNNER_TEMP="/dev/fd")

    assert result.status == 1
    assert re.fullmatch(
        r"::error title=GitOps Promote::No private folder can be made: .*gitops-promote-.*\n",
        result.log,
    )
    assert result.facts == {}


@posix
def test_a_start_that_is_stopped_while_it_makes_its_folder_leaves_nothing(action: Action) -> None:
    python, *options, script, command = action.command()

    done = subprocess.run(
        [python, *options, "-c", STOPPED_AT_ONCE, script, command],
        env=action.environ({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (130, "")
    assert action.left() == []
    assert not action.facts.exists()


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_program_is_interrupted_and_leaves_nothing(
    action: Action, number: signal.Signals
) -> None:
    process = subprocess.Popen(action.command(), env=action.environ({"SLEEP": "60"}))
    wait_for(action.facts.exists)
    process.send_signal(number)

    assert process.wait(20) == 130
    assert action.facts.read_text() == "interrupted"
    assert action.left() == []


@posix
def test_a_cancelled_install_leaves_nothing(action: Action) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        process = subprocess.Popen(action.command(), env=action.environ({"PIP_INDEX_URL": url}))
        silent.settimeout(30)
        connections = [silent.accept(), silent.accept()]
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)
        for connection, _ in connections:
            connection.close()

    assert status == 130
    assert action.left() == []


def test_a_python_without_pip_makes_itself_one(action: Action, tmp_path: Path) -> None:
    if not importlib.util.find_spec("ensurepip"):
        pytest.skip("ensurepip is not installed")
    python = bare_python(tmp_path)

    result = action.run(str(python))

    assert "has no pip" in result.log
    assert "Installed 3 packages" in result.log
    assert result.status == 0
    assert action.left() == []


@posix
def test_a_python_with_neither_pip_nor_ensurepip_says_what_to_install(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named $3"\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    processes = bootstrap.Processes()

    with pytest.raises(bootstrap.BootstrapError, match=r"python3-venv .* python-path"):
        bootstrap.install(bootstrap.NEEDS["promote"], tmp_path, os.environ, processes)
    processes.stop()


def test_a_long_wait_says_what_it_waits_for(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "PATIENCE", 0.05)
    sleep = [sys.executable, "-c", "import time; time.sleep(0.5)"]

    assert bootstrap._wait(bootstrap.Processes().start(sleep, os.environ), "a nap") == 0
    assert "Waiting for a nap ..." in capfd.readouterr().out


def test_the_lock_is_dealt_out_whole(bootstrap: ModuleType) -> None:
    lock = LOCK.read_text("utf-8")
    names = locked(lock)

    parts = bootstrap.requirements(lock, bootstrap.NEEDS["promote"])

    assert len(parts) == 2
    assert sorted(locked(parts[0]) + locked(parts[1])) == sorted(names)
    assert sum(part.count("--hash=sha256:") for part in parts) == lock.count("--hash=sha256:")
    assert {"pygithub", "ruamel-yaml", "ruamel-yaml-clib", "semver", "requests"} <= set(names)


def test_the_tags_step_has_a_part_of_the_lock(bootstrap: ModuleType) -> None:
    needs = bootstrap.NEEDS["tags"]

    (part,) = bootstrap.requirements(LOCK.read_text("utf-8"), needs)

    assert set(locked(part)) == needs.packages
    assert all(f"\n{line}\n" in f"\n{LOCK.read_text('utf-8')}" for line in part.splitlines())


def test_each_command_of_the_program_is_one_of_the_action(bootstrap: ModuleType) -> None:
    # Going back is an input of the action.
    assert set(bootstrap.NEEDS) == set(COMMANDS) - {"rollback"}
    assert set(load_script("action/run.py").COMMANDS) == set(bootstrap.NEEDS)


@pytest.mark.parametrize("rules", ["", *TAG_RULES])
def test_the_tags_step_needs_no_other_package(
    bootstrap: ModuleType, tmp_path: Path, rules: str
) -> None:
    packages = tmp_path / "packages"
    for name in bootstrap.NEEDS["tags"].packages:
        # On most systems tzdata isn't there, nor needed.
        if spec := importlib.util.find_spec(name):
            assert spec.origin
            shutil.copytree(Path(spec.origin).parent, packages / name)
    app = make_bare(tmp_path / "app.git", {"a": b""})
    program = [sys.executable, "-I", "-S", "-B", "-c", bootstrap._PROGRAM, "tags"]
    environ = {
        **{name: value for name, value in os.environ.items() if name[:7] != "GITHUB_"},
        # What a job has without a checkout: the commit's date is then asked of the server.
        "GITHUB_ACTIONS": "true",
        "GITHUB_REF": "refs/tags/v1.2.3",
        "GITHUB_REPOSITORY": app.name,
        "GITHUB_SERVER_URL": tmp_path.as_uri(),
        "GITHUB_SHA": git("--git-dir", app, "rev-parse", "main").decode().strip(),
        "GITHUB_WORKSPACE": "",
        "GITOPS_PROMOTE_IMAGES": "ghcr.io/acme/shop",
        "GITOPS_PROMOTE_TAGS": rules,
    }
    done = subprocess.run(
        [*program, str(packages), str(ROOT / "src")],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "Version" in done.stdout


@both_steps
def test_an_older_python_is_passed_over(
    action: Action, tmp_path: Path, tool: Callable[[str], str], step: str
) -> None:
    folder = pythons(tmp_path, {"python3": "#!/bin/sh\nexit 1\n", "python": real_python()})

    done = run_step(tool("bash"), action, folder, step)

    assert done.returncode == 0, done.stdout
    facts = json.loads(action.facts.read_text())
    assert facts["argv"] == [STEPS[step]]
    assert facts["flags"] == [1, 1]


@both_steps
@pytest.mark.parametrize(
    ("python_path", "problem"),
    [
        ("", "This runner has no Python of at least 3.10 on its PATH. Install one"),
        ("/nowhere/python3", "The input python-path names no Python of at least 3.10 that runs."),
    ],
)
def test_without_a_python_the_step_says_what_to_do(
    action: Action,
    tmp_path: Path,
    tool: Callable[[str], str],
    step: str,
    python_path: str,
    problem: str,
) -> None:
    folder = pythons(tmp_path, {"python3": "#!/bin/sh\nexit 1\n"})

    done = run_step(tool("bash"), action, folder, step, python_path)

    assert done.returncode == 1
    assert done.stdout.startswith(f"::error title=GitOps Promote::{problem}")


@both_steps
def test_the_input_python_path_is_the_python_that_runs(
    action: Action, tmp_path: Path, tool: Callable[[str], str], step: str
) -> None:
    folder = pythons(tmp_path, {"mine": real_python(), "python3": "#!/bin/sh\nexit 1\n"})

    done = run_step(tool("bash"), action, folder, step, str(folder / "mine"))

    assert done.returncode == 0, done.stdout


@posix
@both_steps
def test_the_runner_s_signal_reaches_the_program(
    action: Action, tmp_path: Path, tool: Callable[[str], str], step: str
) -> None:
    folder = pythons(tmp_path, {"python3": real_python()})
    command, environ = step_call(tool("bash"), action, folder, step)
    process = subprocess.Popen(command, env={**environ, "SLEEP": "60"})
    wait_for(action.facts.exists)
    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 130
    assert action.facts.read_text() == "interrupted"
    assert action.left() == []


def locked(lock: str) -> list[str]:
    """The names of a lock's packages."""
    return re.findall(r"^([a-z][^=\s]*)==", lock, re.MULTILINE)


def bare_python(folder: Path) -> Path:
    """A Python without pip."""
    venv = folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def real_python() -> str:
    """A script that is this Python under another name."""
    return f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'


def pythons(folder: Path, scripts: Mapping[str, str]) -> Path:
    """A folder of programs."""
    path = folder / "pythons"
    path.mkdir()
    for name, script in scripts.items():
        (path / name).write_text(script)
        (path / name).chmod(0o755)
    return path


def run_step(
    bash: str, action: Action, path: Path, step: str, python_path: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run an action's step with nothing but one folder on the PATH."""
    command, environ = step_call(bash, action, path, step)
    return subprocess.run(
        command,
        env={**environ, "GITOPS_PROMOTE_PYTHON_PATH": python_path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )


def step_call(bash: str, action: Action, path: Path, step: str) -> tuple[list[str], dict[str, str]]:
    """The script of an action's step as a runner calls it, and its environment."""
    script = (ROOT / step).read_text().split("      run: ")[1]
    extra = {
        "PATH": str(path),
        "GITHUB_ACTION_PATH": str((action.root / step).parent),
        "GITOPS_PROMOTE_PYTHON_PATH": "",
    }
    return [bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", script], action.environ(extra)
