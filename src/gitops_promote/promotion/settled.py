"""A call as the policy and the config repository settle it, for one try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.effects.config_repository import NewCommit

if TYPE_CHECKING:
    from gitops_promote.core.plan import Plan
    from gitops_promote.core.request import Request
    from gitops_promote.core.review.gates import Gate
    from gitops_promote.effects.config_repository import Head
    from gitops_promote.inputs import PullRequestInputs
    from gitops_promote.promotion.call import Call


@dataclass(frozen=True, slots=True)
class Settled:
    """What a try is to do: bring `plan` to `base`, by `mode`.

    `pull_request` is what the inputs and the policy ask of a pull request together, `policy_gates`
    what the policy alone puts on its checklist. `stale` says why nothing is done though something
    else runs there; it is empty where the plan counts.
    """

    call: Call
    request: Request
    mode: str
    pull_request: PullRequestInputs
    policy_gates: tuple[Gate, ...]
    base: Head
    plan: Plan
    stale: str = ""

    def new_commit(self, plan: Plan) -> NewCommit:
        """The commit of a plan.

        Args:
            plan: The plan.

        Returns:
            The commit.
        """
        return NewCommit(plan.files, plan.message, self.call.author, self.call.committer)
