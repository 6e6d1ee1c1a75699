"""A job's files and commands, read as the runner reads them."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import PromoteError
from gitops_promote.effects.console import Console
from gitops_promote.effects.workflow import annotation, untrusted, write_outputs, write_summary


def read_outputs(content: str) -> dict[str, str]:
    """The runner's reading of GITHUB_OUTPUT (actions/runner, FileCommandManager.cs)."""
    found: dict[str, str] = {}
    lines = re.findall(r"[^\n]*\n|[^\n]+", content)
    position = 0
    while position < len(lines):
        line = lines[position].rstrip("\r\n")
        position += 1
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if heredoc < 0 or 0 <= equals < heredoc:
            assert equals > 0, line
            found[line[:equals]] = line[equals + 1 :]
            continue
        name, delimiter = line[:heredoc], line[heredoc + 2 :]
        assert name
        assert delimiter
        value: list[str] = []
        while lines[position].rstrip("\r\n") != delimiter:
            value.append(lines[position])
            position += 1
        position += 1
        found[name] = "".join(value)[:-1]
    return found


VALUES = st.text(alphabet=st.sampled_from("ab<=\n:%END-\u2028\udcff"), max_size=40)


@given(st.dictionaries(st.sampled_from(["version", "diff", "json", "changed"]), VALUES))
def test_outputs_are_read_as_they_were_set(
    tmp_path_factory: pytest.TempPathFactory, values: Mapping[str, str]
) -> None:
    file = tmp_path_factory.mktemp("out") / "output"
    file.write_text("before=1\n", "utf-8")

    write_outputs(values, {"GITHUB_OUTPUT": str(file)})

    expected = {name: value.replace("\udcff", "?") for name, value in values.items()}
    assert read_outputs(file.read_bytes().decode()) == {"before": "1", **expected}


@pytest.mark.parametrize(
    "value", ["x\nEND-0\nchanged=true", "x\nchanged<<EOF\ntrue\nEOF", "a\r\nb", "", "\n", "a\n"]
)
def test_no_value_sets_another_output(tmp_path: Path, value: str) -> None:
    file = tmp_path / "output"
    write_outputs({"diff": value, "changed": "false"}, {"GITHUB_OUTPUT": str(file)})

    assert read_outputs(file.read_bytes().decode()) == {"diff": value, "changed": "false"}


def test_outside_of_a_job_nothing_is_written() -> None:
    write_outputs({"a": "b"}, {})
    write_summary("x", {})


def test_a_summary_is_added_to(tmp_path: Path) -> None:
    for text in ("one\n\n", "two"):
        write_summary(text, {"GITHUB_STEP_SUMMARY": str(tmp_path / "s")})

    assert (tmp_path / "s").read_text("utf-8") == "one\ntwo\n"


def test_an_annotation_is_one_line() -> None:
    line = annotation("error", "A: b, c", "100 %\r\n::warning::x")

    assert line == "::error title=A%3A b%2C c::100 %25%0D%0A::warning::x"


def obeyed(log: str) -> list[str]:
    """The commands that a runner obeys in a log."""
    found, stop = [], ""
    for line in re.split(r"\r?\n", log):
        text = line.strip()
        if stop:
            stop = "" if text == f"::{stop}::" else stop
        elif text.startswith("::stop-commands::"):
            stop = text.removeprefix("::stop-commands::")
        elif text.startswith("::") or "##[" in text:
            found.append(text)
    assert not stop
    return found


@given(st.text(alphabet="ab:\n\r#[]", max_size=40))
def test_a_text_from_outside_is_not_obeyed(text: str) -> None:
    log = f"::a::\n{untrusted(text + '::error::x' + chr(10) + '::stop-commands::t')}\n::b::"

    assert obeyed(log) == ["::a::", "::b::"]


def console(*, colour: bool = False, job: bool = False) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(stream, colour, job), stream


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    screen, stream = console()
    screen.warn("a\x1b[2Jb\x07\u202ec\r\nd\x9b1m")

    assert stream.getvalue() == "warning: a\ufffd[2Jb\ufffd\ufffdc\ufffd\ufffdd\ufffd1m\n"


def test_a_difference_in_colour() -> None:
    screen, _ = console(colour=True)
    lines = screen.diff_lines("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\x1b[0m\r\n+b\n c\n")

    assert lines == [
        "\x1b[1m--- a/f\x1b[0m",
        "\x1b[1m+++ b/f\x1b[0m",
        "\x1b[36m@@ -1 +1 @@\x1b[0m",
        "\x1b[31m-a\ufffd[0m\x1b[0m",
        "\x1b[32m+b\x1b[0m",
        " c",
    ]


def test_an_error_in_a_job_is_an_annotation() -> None:
    screen, stream = console(job=True)
    screen.fail(PromoteError("Two\nlines.", "Fix it.", path="a.yaml", line=3))

    assert stream.getvalue() == "::error title=GitOps Promote::a.yaml:3: Two%0Alines. Fix it.\n"


def test_an_error_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    screen, stream = console()
    screen.fail(PromoteError("It is wrong.", "Fix it.", path="a.yaml", line=3))

    assert stream.getvalue() == ""
    assert capsys.readouterr().err == "error: a.yaml:3: It is wrong.\n       Fix it.\n"


@pytest.mark.parametrize(
    ("environ", "quiet", "colour", "job"),
    [
        ({}, False, False, False),
        ({"GITHUB_ACTIONS": "true"}, False, True, True),
        ({"GITHUB_ACTIONS": "true", "NO_COLOR": "1"}, False, False, True),
        ({"GITHUB_ACTIONS": "true"}, True, False, True),
    ],
)
def test_where_there_is_colour(
    environ: dict[str, str], quiet: bool, colour: bool, job: bool
) -> None:
    found = Console.for_environment(environ, quiet=quiet)

    assert (found.colour, found.job) == (colour, job)
