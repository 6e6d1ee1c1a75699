"""The command line: its flags are the inputs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitops_promote.cli import COMMANDS, environment, parse_arguments
from gitops_promote.inputs import INPUTS


def variables(*arguments: str, **environ: str) -> dict[str, str]:
    """The variables that flags set."""
    merged = environment(parse_arguments(["promote", *arguments]), environ)
    return {name.removeprefix("GITOPS_PROMOTE_"): value for name, value in merged.items()}


def test_a_flag_is_an_input() -> None:
    assert variables("--config-repository", "a/b", "--app=x") == {
        "CONFIG_REPOSITORY": "a/b",
        "APP": "x",
    }


def test_a_list_s_flag_may_repeat() -> None:
    assert variables("--images", "a:1\nb:2", "--images", "c:3") == {"IMAGES": "a:1\nb:2\nc:3"}


@pytest.mark.parametrize(
    ("arguments", "value"), [(["--signoff"], "true"), (["--signoff=false"], "false")]
)
def test_a_switch(arguments: list[str], value: str) -> None:
    assert variables(*arguments) == {"SIGNOFF": value}


def test_a_flag_goes_before_a_variable() -> None:
    given = {"GITOPS_PROMOTE_APP": "old", "GITOPS_PROMOTE_ENVIRONMENT": "dev"}

    assert variables("--app", "new", **given) == {"APP": "new", "ENVIRONMENT": "dev"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_input_is_in_the_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments([command, "--help"])

    shown = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0
    assert [item.name for item in COMMANDS[command] if item.flag not in shown] == []


def test_a_rollback_is_told_by_its_command() -> None:
    merged = environment(parse_arguments(["rollback", "--environment", "prod", "--to=1"]), {})

    assert merged == {
        "GITOPS_PROMOTE_ENVIRONMENT": "prod",
        "GITOPS_PROMOTE_TO": "1",
        "GITOPS_PROMOTE_ROLLBACK": "true",
    }


def test_a_rollback_differs_from_a_promotion_in_words_alone() -> None:
    inputs = {item.name: item for item in INPUTS}

    for item in COMMANDS["rollback"]:
        known = inputs[item.name]
        assert replace(item, help=known.help, default_text=known.default_text) == known


def test_the_help_of_a_rollback_speaks_of_no_promotion(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["rollback", "--help"])

    shown = " ".join(capsys.readouterr().out.split()).partition(" what: ")[2]
    assert "by their names alone" in shown
    assert "Roll back NAMES to VERSION in ENVIRONMENT" in shown
    for other in ("Promote NAMES", "omputed tag", "@DIGEST", "version tags", "With rollback"):
        assert other not in shown


def test_a_secret_has_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    for item in INPUTS:
        if item.secret:
            with pytest.raises(SystemExit):
                parse_arguments(["promote", f"--{item.name}", "x"])
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["promote", "--env", "dev"],
        ["promote", "--promotion-mode", "x"],
        ["promote", "--format", "xml"],
        ["promote", "--images"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments(arguments)

    assert stop.value.code == 2
    assert "usage: gitops-promote" in capsys.readouterr().err
