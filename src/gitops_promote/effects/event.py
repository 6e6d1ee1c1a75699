"""The event that started a run, as GitHub describes it in a file for its jobs.

Whoever opens a pull request writes a part of that file. So what doesn't have the form that the
documentation of webhooks gives it counts as not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from datetime import datetime

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# Control characters, and halves of pairs that are no characters.
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_LARGEST_NUMBER = 2**63


def is_commit(text: str) -> bool:
    """Tell whether a text is the full hash of a commit.

    Args:
        text: The text.

    Returns:
        True for a SHA-1 or SHA-256 in lower-case digits.
    """
    return bool(_COMMIT.fullmatch(text))


@final
@dataclass(frozen=True, slots=True)
class Event:
    """What is told of an event; what is not there, or is not as it should be, is empty."""

    payload: Mapping[str, object] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The number of the pull request; 0 without one."""
        number = self.payload.get("number")
        # To Python, true is a number too.
        if not isinstance(number, int) or isinstance(number, bool):
            return 0
        return number if 0 < number < _LARGEST_NUMBER else 0

    @property
    def default_branch(self) -> str:
        """The default branch of the repository."""
        return _name(self._find("repository", "default_branch"))

    @property
    def description(self) -> str:
        """The repository's description, on one line."""
        text = self._find("repository", "description")
        return _NO_TEXT.sub(" ", text).strip() if isinstance(text, str) else ""

    @property
    def license(self) -> str:
        """The id that SPDX has for the repository's license."""
        return _name(self._find("repository", "license", "spdx_id"))

    @property
    def pushed_from(self) -> str:
        """The branch that a pushed tag was made from."""
        return _name(self._find("base_ref")).removeprefix("refs/heads/")

    @property
    def pull_request_base(self) -> str:
        """The branch that a pull request goes to."""
        return _name(self._find("pull_request", "base", "ref"))

    @property
    def pull_request_head(self) -> str:
        """The newest commit of a pull request's own branch."""
        commit = _name(self._find("pull_request", "head", "sha"))
        return commit if is_commit(commit) else ""

    def date_of(self, commit: str) -> datetime | None:
        """Find the date of a commit that was pushed.

        Args:
            commit: Its full hash.

        Returns:
            Its date, with a time zone; None where the event doesn't tell.
        """
        from gitops_promote.effects.moments import parse_timestamp  # noqa: PLC0415  (start-up time)

        found = (told for told in self._commits() if told.get("id") == commit)
        dates = (parse_timestamp(told.get("timestamp")) for told in found)
        return next(filter(None, dates), None) if commit else None

    def _commits(self) -> Iterator[Mapping[str, object]]:
        commits = self.payload.get("commits")
        listed = commits if isinstance(commits, list) else []
        for commit in (*listed, self.payload.get("head_commit")):
            if isinstance(commit, dict):
                yield commit

    def _find(self, *keys: str) -> object:
        found: object = self.payload
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found


def read_event(environ: Mapping[str, str]) -> Event:
    """Read the event of a job.

    Args:
        environ: The job's environment, which names the file.

    Returns:
        The event; an empty one where the file is not there, or holds no JSON object.
    """
    path = environ.get("GITHUB_EVENT_PATH", "")
    if not path:
        return Event()
    try:
        payload = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return Event()
    return Event(payload if isinstance(payload, dict) else {})


def _name(value: object) -> str:
    return value if isinstance(value, str) and not _NO_TEXT.search(value) else ""
