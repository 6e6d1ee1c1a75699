"""Where a promotion comes from: the commit that was built, and the run that built it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A commit of the app's repository and a run of its CI; what is not known is empty.

    `commit` is the full hash, `ref` the full ref (`refs/heads/main`, `refs/tags/v1.2.3`),
    `repository` the `owner/name` below `server_url`.
    """

    commit: str = ""
    ref: str = ""
    repository: str = ""
    server_url: str = ""
    run_id: str = ""
    actor: str = ""
    actor_id: str = ""

    @property
    def commit_url(self) -> str:
        """The commit's page; the bare hash where there is none."""
        return self._page("commit", self.commit) or self.commit

    @property
    def run_url(self) -> str:
        """The run's page, empty outside of CI."""
        return self._page("actions/runs", self.run_id)

    def _page(self, kind: str, name: str) -> str:
        if not (self.server_url and self.repository and name):
            return ""
        return f"{self.server_url}/{self.repository}/{kind}/{name}"
