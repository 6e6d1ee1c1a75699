"""The text of what stands for review: written, brought up to date, about nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.core.promoted import read_promotion
from gitops_promote.core.review.proposal import mark, marked
from gitops_promote.core.review.text import (
    Facts,
    PullRequestText,
    compose,
    compose_summary,
    supersede_comment,
    with_trailers,
)
from gitops_promote.effects.config_repository import Head
from gitops_promote.effects.rendering import render

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_promote.core.plan import Plan
    from gitops_promote.core.request import Request
    from gitops_promote.core.review.history import History
    from gitops_promote.core.review.proposal import Proposal, PullRequest
    from gitops_promote.core.source import Source
    from gitops_promote.effects.config_repository import ConfigRepository
    from gitops_promote.effects.github.pull_requests import PullRequests
    from gitops_promote.inputs import PullRequestInputs
    from gitops_promote.promotion.settled import Settled


@dataclass
class Publishing:
    """Makes a pull request tell what its branch holds.

    `settled` is what the try is about. `pull_requests` is None where the host has no API for them
    that we speak: then there is the branch alone.
    """

    repository: ConfigRepository
    pull_requests: PullRequests | None
    history: Callable[[Source, str, str], History | None]
    settled: Settled = field(init=False)
    # What was done in tries that failed later on, so that it is told in the end.
    operation: str = "none"
    warnings: dict[str, None] = field(default_factory=dict)
    # The texts with their summaries, as to render may take its time, and the last one's summary.
    texts: dict[tuple[str, Request, PullRequestInputs], tuple[PullRequestText, str]] = field(
        default_factory=dict
    )
    summary: str = ""

    def publish(
        self, proposal: Proposal, commit: str
    ) -> tuple[PullRequest | None, PullRequestText | None]:
        """Make the pull request tell what its branch holds, and open it where there is none.

        Args:
            proposal: What stood there.
            commit: What the branch holds now.

        Returns:
            The pull request, and its text where it was written.

        Raises:
            MovedHeadError: The branch holds something else by now.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        plan, pull = self.settled.plan, proposal.pull_request
        text: PullRequestText | None = None
        rollback = "" if self.settled.request.undone else _rollback(proposal)
        if rollback:
            self.warn(
                [f"This takes the place of the rollback to `{rollback}` in {_where(proposal)}."]
            )
        if self.pull_requests is None:
            self.warn(self._unused())
            return pull, self.text(plan, self.settled.request)
        if pull is None or marked(pull.body)[:2] != (commit, self._wanted):
            text = self.text(plan, self.settled.request)
            if pull:
                self._announce(self.pull_requests, pull, plan, rollback)
            pull = self.write(self.pull_requests, proposal, commit, text, plan)
        if refused := self.pull_requests.merge_itself(pull, commit, self.settled.pull_request):
            self.check_holds(self.pull_requests, proposal.branch, commit, pull)
            self.warn(refused)
        return pull, text

    def text(self, plan: Plan, request: Request) -> PullRequestText:
        """Write the text of a plan, once for each base and what is asked of a pull request.

        Args:
            plan: The plan.
            request: What it is for.

        Returns:
            The text.

        Raises:
            PromoteError: A template is refused.
        """
        key = self.settled.base.commit, request, self.settled.pull_request
        if key not in self.texts:
            self.texts[key] = self._compose(plan, request)
        text, self.summary = self.texts[key]
        return text

    def write(
        self,
        pull_requests: PullRequests,
        proposal: Proposal,
        commit: str,
        text: PullRequestText,
        plan: Plan,
    ) -> PullRequest:
        """Bring the pull request up to date with a plan.

        Args:
            pull_requests: The API.
            proposal: What stood there.
            commit: What the branch holds now.
            text: The plan's text.
            plan: The plan.

        Returns:
            The pull request.

        Raises:
            PromoteError: As for `publish`.
        """
        wanted = self.settled.pull_request
        promoted = read_promotion(plan.message)
        version = promoted.version if promoted else ""
        pull, body = proposal.pull_request, with_trailers(text.body, plan.message)
        if pull is None:
            unfinished = replace(text, body=mark(body, "", version, self._wanted))
            pull = self._open(pull_requests, proposal, commit, unfinished)
        else:
            self.operation = "updated" if self.operation == "none" else self.operation
        self.warn(pull_requests.settle(pull, wanted))
        # Last, as it says that all is done; and only as long as it is about what is there.
        self.check_holds(pull_requests, proposal.branch, commit, pull)
        final = replace(text, body=mark(body, commit, version, self._wanted))
        pull_requests.rewrite(pull, self.settled.base.branch, final)
        self.check_holds(pull_requests, proposal.branch, commit, pull)
        return pull

    def check_holds(
        self, pull_requests: PullRequests, branch: str, commit: str, pull: PullRequest
    ) -> None:
        """Make sure that the pull request's branch is as it is thought to be.

        Args:
            pull_requests: The API.
            branch: The branch.
            commit: What it is to hold.
            pull: The pull request.

        Raises:
            MovedHeadError: It holds something else.
        """
        if not pull_requests.holds(branch, commit, pull):
            raise MovedHeadError(
                f"Branch {branch} of {self.settled.call.repository} moved meanwhile."
            )

    def warn(self, warnings: Sequence[str]) -> None:
        """Note what somebody should look at.

        Args:
            warnings: Sentences.
        """
        self.warnings.update(dict.fromkeys(warnings))

    def _announce(
        self, pull_requests: PullRequests, pull: PullRequest, plan: Plan, rollback: str
    ) -> None:
        """Say on a pull request that this promotion takes the place of another, or a rollback."""
        promoted = read_promotion(plan.message)
        old, new = rollback or marked(pull.body)[2], promoted.version if promoted else ""
        if old in ("", "-") or (old == new and not rollback):
            return
        source = self.settled.request.source
        comment = supersede_comment(old, new, source, ends_rollback=bool(rollback))
        try:
            pull_requests.comment(pull, comment)
        except RetryableError:
            raise
        except PromoteError as error:  # the title and the body say it, too
            self.warn([str(error)])

    def _open(
        self,
        pull_requests: PullRequests,
        proposal: Proposal,
        commit: str,
        text: PullRequestText,
    ) -> PullRequest:
        # Before, as it may be done though the answer is lost.
        before, self.operation = self.operation, "created"
        draft = self.settled.pull_request.draft
        try:
            return pull_requests.open(proposal.branch, self.settled.base.branch, text, draft=draft)
        except RetryableError as error:
            if isinstance(error, MovedHeadError):
                self.operation = before
            raise
        except PromoteError:
            if not proposal.commit:  # so the branch was made for this alone
                with suppress(PromoteError):
                    self.repository.delete(Head(proposal.branch, commit))
            raise

    def _compose(self, plan: Plan, request: Request) -> tuple[PullRequestText, str]:
        settled, wanted = self.settled, self.settled.pull_request
        rendered = render(self.repository.snapshot(settled.base.commit), plan, settled.call.environ)
        changes = [change for change in plan.changes if change.old != change.new]
        source, old = request.built_from, changes[0].old.version if changes else ""
        if request.undone:
            source = request.undone[0].build.source
            old = changes[0].new.version if changes else ""
        facts = Facts(
            request=request,
            plan=plan,
            repository=settled.call.repository,
            base=settled.base.branch,
            server_url=settled.call.server,
            history=self.history(source, old, request.app),
            gates=wanted.gates,
            policy_gates=settled.policy_gates,
            rendered=rendered,
        )
        return compose(facts, wanted.title, wanted.body), compose_summary(facts)

    @property
    def _wanted(self) -> str:
        """A word that is another one when the inputs ask for another text, or for other people."""
        wanted = replace(self.settled.pull_request, delete_branch=True, auto_merge="")
        return sha256(repr(wanted).encode("utf-8", "surrogatepass")).hexdigest()[:8]

    def _unused(self) -> list[str]:
        """What is asked for in vain where a host has no pull requests for us."""
        wanted = self.settled.pull_request
        given = {
            "labels": wanted.labels,
            "assignees": wanted.assignees,
            "reviewers": wanted.reviewers,
            "team-reviewers": wanted.team_reviewers,
            "milestone": wanted.milestone,
            "draft": wanted.draft,
            "auto-merge": wanted.auto_merge,
        }
        names = ", ".join(f"`{name}`" for name, value in given.items() if value)
        return [f"{names}: these are for pull requests on GitHub alone."] if names else []


def _rollback(proposal: Proposal) -> str:
    """The version that an open rollback goes back to; empty where there is none."""
    if proposal.is_over or not proposal.commits:
        return ""
    # The body is the last to be written: after a try that failed the branch is this promotion's.
    pull = proposal.pull_request
    stood = (proposal.promoted, read_promotion(pull.body) if pull else None)
    return next((one.version for one in stood if one and one.undone), "")


def _where(proposal: Proposal) -> str:
    """What stands there, for people."""
    pull = proposal.pull_request
    return f"pull request #{pull.number}" if pull else f"branch {proposal.branch}"
