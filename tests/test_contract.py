"""What users see is one definition: action.yml, the code and the README hold to each other."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from gitops_promote.cli import COMMANDS
from gitops_promote.core.source import Source
from gitops_promote.core.tags.compute import Computed
from gitops_promote.core.tags.report import Tags, output_texts
from gitops_promote.inputs import INPUTS, PREFIX, TAGS_INPUTS, Input

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
# Of the action alone: the command line is run by the Python that the user chose.
PYTHON_PATH = "python-path"


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file as data."""
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return data


@dataclass(frozen=True)
class Action:
    """An action of this repository: its command, its inputs, and the README's headings for it."""

    command: str
    path: str
    inputs: tuple[Input, ...]
    inputs_heading: str
    outputs_heading: str

    def __str__(self) -> str:
        return self.command

    @property
    def data(self) -> dict[str, Any]:
        """What its file says."""
        return load(ROOT / self.path)

    @property
    def step(self) -> dict[str, Any]:
        """Its one step."""
        (step,) = self.data["runs"]["steps"]
        data: dict[str, Any] = step
        return data


PROMOTE = Action("promote", "action.yml", INPUTS, "Inputs", "Outputs")
TAGS = Action(
    "tags",
    "tags/action.yml",
    TAGS_INPUTS,
    "Inputs of the tags step",
    "Outputs of the tags step",
)
ACTIONS = (PROMOTE, TAGS)
OF_ACTIONS = [(action, item) for action in ACTIONS for item in action.inputs]
both = pytest.mark.parametrize("action", ACTIONS, ids=str)


def words(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def rows(heading: str) -> list[list[str]]:
    """The rows, without head and ruler, of the tables under a heading of the README."""
    readme = (ROOT / "README.md").read_text("utf-8")
    match = re.search(rf"^(#+) {heading}\n", readme, re.MULTILINE)
    assert match, f"README.md has no heading {heading}"
    below = re.split(rf"^#{{1,{len(match[1])}}} ", readme[match.end() :], flags=re.MULTILINE)[0]
    lines = [line for line in below.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in map(pad, lines)]


def pad(line: str) -> str:
    """An empty cell as one that stands between spaces."""
    return re.sub(r"\|\s+\|", "|   |", line)


def shown_default(item: Input) -> str:
    """How the README shows an input's default."""
    return item.default_text or (f"`{item.default}`" if item.default else "")


def test_every_command_is_an_action() -> None:
    own = {name: set(inputs) for name, inputs in COMMANDS.items()}
    # Going back is an input of the action, and a command of its own, with its own words.
    back = {"rollback", "to"}
    own["promote"] |= {item for item in PROMOTE.inputs if item.name in back}
    going_back = {item.variable for item in own.pop("rollback")}

    assert {action.command: set(action.inputs) for action in ACTIONS} == own
    assert going_back <= {item.variable for item in PROMOTE.inputs}
    assert {item.name for item in COMMANDS["promote"]}.isdisjoint(back)
    assert "to" in {item.name for item in COMMANDS["rollback"]}


@both
def test_the_action_has_the_inputs_in_their_order(action: Action) -> None:
    names = [item.name for item in action.inputs]

    assert list(action.data["inputs"]) == [*names, PYTHON_PATH]


@pytest.mark.parametrize(
    ("action", "item"), OF_ACTIONS, ids=[f"{action}-{item.name}" for action, item in OF_ACTIONS]
)
def test_an_input_of_the_action(action: Action, item: Input) -> None:
    declared = action.data["inputs"][item.name]

    assert words(declared["description"]) == words(item.help)
    if item.name == "token":
        assert declared["default"] == item.default_text.strip("`") == "${{ github.token }}"
    else:
        assert declared["default"] == item.default
    assert set(declared) == {"description", "default"}


@both
def test_every_input_reaches_the_program_as_its_variable(action: Action) -> None:
    expected = {item.variable: f"${{{{ inputs.{item.name} }}}}" for item in action.inputs}
    expected[f"{PREFIX}PYTHON_PATH"] = f"${{{{ inputs.{PYTHON_PATH} }}}}"
    expected[f"{PREFIX}JOB_TOKEN"] = "${{ github.token }}"

    assert dict(action.step["env"]) == expected


@both
def test_every_output_is_the_steps_own(action: Action) -> None:
    for name, output in action.data["outputs"].items():
        assert output["value"] == f"${{{{ steps.{action.step['id']}.outputs.{name} }}}}"
        assert output["description"].strip().endswith(".")


def test_the_tags_step_gives_what_it_computes() -> None:
    now = datetime(2026, 1, 2, tzinfo=timezone.utc)

    given = output_texts(Tags(Computed(()), (), Source(), now))

    assert set(TAGS.data["outputs"]) == set(given)


@both
def test_the_action_is_one_script_of_its_own(action: Action) -> None:
    assert action.data["runs"]["using"] == "composite"
    assert action.step["shell"] == "bash"
    assert "uses" not in action.step
    assert not EXPRESSION.search(action.step["run"])


@both
def test_the_actions_start_alike(action: Action) -> None:
    dot, script, *arguments = shlex.split(action.step["run"])

    assert dot == "."
    folder = str((ROOT / action.path).parent)
    found = Path(script.replace("$GITHUB_ACTION_PATH", folder))
    assert found.resolve() == ROOT / "action" / "start.sh"
    assert arguments == [action.command]


def test_the_actions_say_the_same_of_the_same() -> None:
    assert TAGS.data["inputs"][PYTHON_PATH] == PROMOTE.data["inputs"][PYTHON_PATH]
    assert {name for name in TAGS.step["env"] if name not in PROMOTE.step["env"]} == set()


def test_the_start_is_isolated_and_takes_the_place_of_the_shell() -> None:
    script = (ROOT / "action" / "start.sh").read_bytes()
    calls = [line.strip() for line in script.decode().splitlines() if '"$python"' in line]

    assert b"\r" not in script  # which bash can't read
    looking, starting = calls
    assert looking.startswith('if "$python" -I -S -c ')
    assert starting == ('exec "$python" -I -S -B -X utf8 "${BASH_SOURCE[0]%/*}/run.py" "$command"')


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=str)
def test_a_workflow_of_this_repository(path: Path) -> None:
    for job in load(path)["jobs"].values():
        for step in job["steps"]:
            assert not EXPRESSION.search(step.get("run", ""))
            uses = step.get("uses", "./")
            assert uses in {"./", "./tags"} or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", uses)


@both
def test_the_readme_has_the_inputs_in_their_order(action: Action) -> None:
    expected = [[f"`{item.name}`", shown_default(item), words(item.help)] for item in action.inputs]
    python = action.data["inputs"][PYTHON_PATH]

    *ours, last = rows(action.inputs_heading)

    assert ours == expected
    assert last == [f"`{PYTHON_PATH}`", "the runner's `python3`", words(python["description"])]


@both
def test_the_readme_has_the_outputs_in_their_order(action: Action) -> None:
    expected = [
        [f"`{name}`", words(output["description"])]
        for name, output in action.data["outputs"].items()
    ]

    assert rows(action.outputs_heading) == expected


@pytest.mark.parametrize("name", ["action/requirements.txt", "requirements/dev.txt"])
def test_a_lock_has_hashes_and_names_no_place(name: str) -> None:
    lock = (ROOT / name).read_text("utf-8")

    assert "make lock" in lock.splitlines()[1]
    assert "://" not in lock
    assert not [line for line in lock.splitlines() if re.match(r"--?[a-z]|/", line)]
    packages = re.findall(r"^[a-z].*\n(?: .*\n)*", lock, re.MULTILINE)
    assert all("--hash=sha256:" in package for package in packages)


def test_what_is_tested_is_what_is_shipped() -> None:
    def pins(name: str) -> set[str]:
        return set(
            re.findall(r"^[a-z][^ ]*==[^ ]+", (ROOT / name).read_text("utf-8"), re.MULTILINE)
        )

    assert pins("action/requirements.txt") <= pins("requirements/dev.txt")


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("no_skips", "status"), [("", 0), ("1", 1)])
def test_a_skipped_test_fails_the_run_where_none_may_be(
    tmp_path: Path, workers: str, no_skips: str, status: int
) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_two.py").write_text(
        "def test_one(tool): tool('no-such-tool')\ndef test_two(): pass\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, tmp_path],
        env={**clean, "GITOPS_PROMOTE_NO_SKIPS": no_skips},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == status, done.stdout
    assert ("test_one: Skipped: no-such-tool is not installed" in done.stdout) == bool(status)
    assert "1 passed, 1 skipped in" in done.stdout.splitlines()[-1]
