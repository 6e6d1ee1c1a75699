"""What the expressions of a rule stand for on one run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from gitops_promote.core.source import Source
    from gitops_promote.core.tags.template import Expression, Template

#: How many digits of a commit `{{sha}}` and `type=sha` hold, as docker/metadata-action has it.
COMMIT_DIGITS = 7
# Events that, to docker/metadata-action, always run on the default branch.
_DEFAULT_BRANCH_EVENTS = re.compile("create|discussion|issues|schedule")
# Expressions that no other commit and no other run has the same value for.
_UNIQUE = {"sha", "run_id", "run_number", "tag"}


class CommitDateNeededError(Exception):
    """A rule writes the commit's date, which the context doesn't tell: find it, and try again."""


@dataclass(frozen=True, slots=True)
class Context:
    """What tags are computed from.

    `now` is aware. `app` is what `{{app}}` stands for, and `version_app` the app whose version tags
    (`shop/v1.2.3`) count; empty where none do. `commit_digits` is the length of a short commit.
    """

    source: Source
    now: datetime
    app: str = ""
    version_app: str = ""
    commit_digits: int = COMMIT_DIGITS

    @property
    def short_commit(self) -> str:
        """The first digits of the commit."""
        return self.source.commit[: self.commit_digits]

    def render(self, template: Template) -> str:
        """Fill in the expressions of a template.

        Args:
            template: One that names what `rules.GLOBAL` allows, and nothing else.

        Returns:
            The text.

        Raises:
            CommitDateNeededError: The commit's date is needed and not in `source`.
        """
        return template.render(self._value)

    def is_unique(self, template: Template) -> bool:
        """Whether a template gives another text on each commit or run.

        Args:
            template: As for `render`.

        Returns:
            True where one of its expressions does: a commit, a run, a git tag, or a date to the
            minute.
        """
        return any(
            expression.format.tells("minute")
            if expression.format
            else expression.name in _UNIQUE and bool(self._value(expression))
            for expression in template.expressions
        )

    def empty(self, template: Template) -> list[str]:
        """Say what comes out empty in a template.

        Args:
            template: As for `render`.

        Returns:
            The expressions, as they are written.
        """
        return [part.text for part in template.expressions if not self._value(part)]

    def _value(self, expression: Expression) -> str:
        if expression.format:
            return expression.format.render(self._when(expression).astimezone(expression.zone))
        source = self.source
        values = {
            "branch": source.branch,
            "tag": source.tag,
            "sha": self.short_commit,
            "base_ref": source.base_ref,
            "is_default_branch": str(self._is_default_branch).lower(),
            "is_not_default_branch": str(not self._is_default_branch).lower(),
            "run_id": source.run_id,
            "run_number": source.run_number,
            "run_attempt": source.run_attempt,
            "app": self.app,
        }
        return values[expression.name]

    def _when(self, expression: Expression) -> datetime:
        if expression.name == "date":
            return self.now
        if self.source.commit_date is None:
            raise CommitDateNeededError
        return self.source.commit_date

    @property
    def _is_default_branch(self) -> bool:
        source = self.source
        if not source.ref:
            return False
        on_it = bool(source.branch) and source.branch == source.default_branch
        return on_it or bool(_DEFAULT_BRANCH_EVENTS.search(source.event))
