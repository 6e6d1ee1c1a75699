"""What stays the same however often a call is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.effects.config_repository import NewCommit

if TYPE_CHECKING:
    from gitops_promote.core.plan import Plan
    from gitops_promote.core.request import Request
    from gitops_promote.effects.config_repository import ConfigRepository
    from gitops_promote.effects.console import Console
    from gitops_promote.inputs import Identity, Inputs


@dataclass(frozen=True, slots=True)
class Call:
    """A promotion that is asked for, and by whom.

    `server` is the URL of the job's GitHub server, `repository` the config repository's name as
    the user knows it.
    """

    inputs: Inputs
    request: Request
    author: Identity
    committer: Identity
    environ: Mapping[str, str]
    console: Console
    server: str
    repository: str

    def new_commit(self, plan: Plan) -> NewCommit:
        """The commit of a plan.

        Args:
            plan: The plan.

        Returns:
            The commit.
        """
        return NewCommit(plan.files, plan.message, self.author, self.committer)

    def signed_for(self, repository: ConfigRepository) -> Call:
        """The call, signed off for whom the repository's commits will be by.

        Args:
            repository: The config repository.

        Returns:
            The call.

        Raises:
            PromoteError: It can't be found out who that is.
        """
        if not self.inputs.signoff:
            return self
        signer = repository.signer(self.committer)
        return replace(self, request=replace(self.request, signoff=str(signer)))
