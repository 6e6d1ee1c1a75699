"""Where a promotion comes from: the commit that was built, and the run that built it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Source:
    """A commit of the app's repository and a run of its CI; what is not known is empty.

    `commit` is the full hash, `ref` the full ref (`refs/heads/main`, `refs/tags/v1.2.3`,
    `refs/pull/7/merge`), `repository` the `owner/name` below `server_url`. `event` is the name of
    what started the run (`push`), `base_ref` the branch that a pull request goes to, or that a
    pushed tag came from where the event says so, both without `refs/heads/`. `description` and
    `license` (an SPDX id) are the repository's.
    """

    commit: str = ""
    ref: str = ""
    repository: str = ""
    server_url: str = ""
    run_id: str = ""
    actor: str = ""
    actor_id: str = ""
    run_number: str = ""
    run_attempt: str = ""
    event: str = ""
    default_branch: str = ""
    base_ref: str = ""
    commit_date: datetime | None = None
    description: str = ""
    license: str = ""

    @property
    def branch(self) -> str:
        """The branch's name, where `ref` is a branch."""
        return self._below("refs/heads/")

    @property
    def tag(self) -> str:
        """The git tag's name, where `ref` is a tag."""
        return self._below("refs/tags/")

    @property
    def pull_request(self) -> str:
        """The pull request's number, where `ref` is one's."""
        return self._below("refs/pull/").removesuffix("/merge")

    @property
    def commit_url(self) -> str:
        """The commit's page; the bare hash where there is none."""
        return self._page("commit", self.commit) or self.commit

    @property
    def run_url(self) -> str:
        """The run's page, empty outside of CI."""
        return self._page("actions/runs", self.run_id)

    def _below(self, prefix: str) -> str:
        return self.ref.removeprefix(prefix) if self.ref.startswith(prefix) else ""

    def _page(self, kind: str, name: str) -> str:
        if not (self.server_url and self.repository and name):
            return ""
        return f"{self.server_url}/{self.repository}/{kind}/{name}"
