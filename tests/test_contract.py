"""What users see is one definition: action.yml, the code and the README hold to each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from gitops_promote.inputs import INPUTS, PREFIX, Input

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
# Of the action alone: the command line is run by the Python that the user chose.
PYTHON_PATH = "python-path"


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file as data."""
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return data


ACTION = load(ROOT / "action.yml")
(STEP,) = ACTION["runs"]["steps"]


def words(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def rows(heading: str) -> list[list[str]]:
    """The rows, without head and ruler, of the tables under a heading of the README."""
    readme = (ROOT / "README.md").read_text("utf-8")
    match = re.search(rf"^(#+) {heading}\n(.*?)(?=^#{{1,2}} |\Z)", readme, re.MULTILINE | re.DOTALL)
    assert match, f"README.md has no heading {heading}"
    lines = [line for line in match[2].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in map(pad, lines)]


def pad(line: str) -> str:
    """An empty cell as one that stands between spaces."""
    return re.sub(r"\|\s+\|", "|   |", line)


def shown_default(item: Input) -> str:
    """How the README shows an input's default."""
    return item.default_text or (f"`{item.default}`" if item.default else "")


def test_the_action_has_the_inputs_in_their_order() -> None:
    assert list(ACTION["inputs"]) == [*(item.name for item in INPUTS), PYTHON_PATH]


@pytest.mark.parametrize("item", INPUTS, ids=lambda item: item.name)
def test_an_input_of_the_action(item: Input) -> None:
    declared = ACTION["inputs"][item.name]

    assert words(declared["description"]) == words(item.help)
    if item.name == "token":
        assert declared["default"] == item.default_text.strip("`") == "${{ github.token }}"
    else:
        assert declared["default"] == item.default
    assert set(declared) == {"description", "default"}


def test_every_input_reaches_the_program_as_its_variable() -> None:
    expected = {item.variable: f"${{{{ inputs.{item.name} }}}}" for item in INPUTS}
    expected[f"{PREFIX}PYTHON_PATH"] = f"${{{{ inputs.{PYTHON_PATH} }}}}"
    expected[f"{PREFIX}JOB_TOKEN"] = "${{ github.token }}"

    assert dict(STEP["env"]) == expected


def test_every_output_is_the_steps_own() -> None:
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.{STEP['id']}.outputs.{name} }}}}"
        assert output["description"].strip().endswith(".")


def test_the_action_is_one_script_of_its_own() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert STEP["shell"] == "bash"
    assert "uses" not in STEP
    assert not EXPRESSION.search(STEP["run"])


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=str)
def test_a_workflow_of_this_repository(path: Path) -> None:
    for job in load(path)["jobs"].values():
        for step in job["steps"]:
            assert not EXPRESSION.search(step.get("run", ""))
            uses = step.get("uses", "./")
            assert uses == "./" or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", uses)


def test_the_readme_has_the_inputs_in_their_order() -> None:
    expected = [[f"`{item.name}`", shown_default(item), words(item.help)] for item in INPUTS]
    python = ACTION["inputs"][PYTHON_PATH]

    *ours, last = rows("Inputs")

    assert ours == expected
    assert last == [f"`{PYTHON_PATH}`", "the runner's `python3`", words(python["description"])]


def test_the_readme_has_the_outputs_in_their_order() -> None:
    expected = [
        [f"`{name}`", words(output["description"])] for name, output in ACTION["outputs"].items()
    ]

    assert rows("Outputs") == expected


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
