"""A job's files and commands: outputs, the summary, annotations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def write_outputs(outputs: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Set the step's outputs.

    Args:
        outputs: Name to value; a value may have several lines.
        environ: The job's environment, which names the file.

    Raises:
        OSError: The file can't be written.
    """
    text = ""
    for name, value in outputs.items():
        # A delimiter that nobody can guess, so that no value can set another output.
        end = f"END-{_unguessable()}"
        text += f"{name}<<{end}\n{value}\n{end}\n"
    _append(environ.get("GITHUB_OUTPUT", ""), text)


def write_summary(markdown: str, environ: Mapping[str, str]) -> None:
    """Add to the job's summary.

    Args:
        markdown: What to add.
        environ: The job's environment, which names the file.

    Raises:
        OSError: The file can't be written.
    """
    _append(environ.get("GITHUB_STEP_SUMMARY", ""), markdown.rstrip() + "\n")


def annotation(level: str, title: str, message: str) -> str:
    """A workflow command that puts a message on the run's page.

    Args:
        level: `error`, `warning` or `notice`.
        title: Its heading.
        message: Its text.

    Returns:
        The line to print.
    """
    return f"::{level} title={_property(title)}::{_data(message)}"


def untrusted(text: str) -> str:
    """A text that the runner shows and doesn't obey.

    Args:
        text: What comes from outside, such as a diff: any of its lines could be a command.

    Returns:
        The text between commands that switch all others off and on again.
    """
    token = _unguessable()
    return f"::stop-commands::{token}\n{text}\n::{token}::"


def _unguessable() -> str:
    return os.urandom(16).hex()


def _append(path: str, text: str) -> None:
    if path:
        # A file's name need not be Unicode; what isn't shows as `?`.
        with Path(path).open("a", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
