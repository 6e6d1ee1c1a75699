"""A promotion by pull request: one open for each app and environment, and the newest in it.

Nothing is locked and nothing is kept between two runs: each try looks at what stands there, and
does what is missing. So a run that was killed is made good by the next, and of many at once the
one that comes too late finds out and looks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gitops_promote.core.branch import branch_name
from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.core.plan import Plan, Request, make_plan
from gitops_promote.core.promoted import Promoted, is_older, read_promotion
from gitops_promote.core.proposal import mark, marked
from gitops_promote.core.pull_request import (
    Facts,
    PullRequestText,
    closing_comment,
    compose,
    compose_summary,
    supersede_comment,
)
from gitops_promote.core.report import Review
from gitops_promote.effects.ci import BOT
from gitops_promote.effects.config_repository import Head
from gitops_promote.effects.rendering import render

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_promote.call import Call
    from gitops_promote.core.history import History
    from gitops_promote.core.proposal import BranchCommit, Proposal, PullRequest
    from gitops_promote.effects.config_repository import ConfigRepository
    from gitops_promote.effects.github.pull_requests import PullRequests


@dataclass(frozen=True, slots=True)
class Reviewed:
    """How a try ended: the base, the plan for it, and what stands for review now."""

    base: Head
    plan: Plan
    review: Review
    commit: str = ""


@dataclass
class Reviewing:
    """Brings what stands for review to what a call asks for.

    `find` tells what stands there. `pull_requests` is None where the host has no API for them
    that we speak: then there is the branch alone.
    """

    call: Call
    repository: ConfigRepository
    find: Callable[[str, Head], Proposal]
    pull_requests: PullRequests | None
    history: Callable[[Request, str], History | None]
    # What was done in tries that failed later on, so that it is told in the end.
    operation: str = "none"
    warnings: dict[str, None] = field(default_factory=dict)

    def attempt(self) -> Reviewed:
        """Look at what stands there and do what is missing.

        Returns:
            How it ended.

        Raises:
            MovedHeadError: Somebody else changed it meanwhile: try again.
            RetryableError: The network or a server failed in a way that may pass.
            PromoteError: It was refused.
        """
        call = self.call
        branch = branch_name(call.inputs.pull_request.branch, call.request)
        base = self.repository.fetch(call.inputs.config_ref)
        if branch == base.branch:
            raise PromoteError(
                f"The pull request's branch and its base are both `{branch}`.",
                "Give another name in `branch`, or another base in `config-ref`.",
            )
        plan = make_plan(self.repository.snapshot(base.commit), call.request)
        proposal = self.find(branch, base)
        if strangers := proposal.strangers(self._machines()):
            return self._leave_to(strangers, base, plan, proposal)
        if not plan.files:
            return self._clear(base, plan, proposal)
        if kept := self._reason_to_keep(plan, proposal):
            self._repair(base, plan, proposal)
            return self._give_way(base, plan, proposal, kept)
        self._check_same_images(plan, proposal)
        if self._has_all(proposal):
            return self._publish(base, plan, proposal, proposal.commit)
        head = Head(branch, proposal.commit)
        commit = self.repository.reset(head, base, call.new_commit(plan))
        if not self.pull_requests and self.operation == "none":
            self.operation = "updated" if proposal.commit else "created"
        return self._publish(base, plan, proposal, commit)

    def _machines(self) -> frozenset[str]:
        """The addresses that commits of ours, and merges by a button, are committed by."""
        from urllib.parse import urlsplit  # noqa: PLC0415  (loaded already)

        host = urlsplit(self.call.server).hostname or "github.com"
        web = {f"noreply@{name}" for name in ("github.com", host)}
        return frozenset({*web, BOT.email, self.call.committer.email})

    def _leave_to(
        self, strangers: Sequence[BranchCommit], base: Head, plan: Plan, proposal: Proposal
    ) -> Reviewed:
        who = ", ".join(dict.fromkeys(commit.author or "somebody" for commit in strangers))
        what = _named(proposal)
        reason = (
            f"{what} has commits of {who}, so it was left as it is. Merge or close it"
            f"{'' if proposal.pull_request else ' by deleting the branch'}, and run this again."
        )
        self.warnings[reason] = None
        return self._give_way(base, plan, proposal, reason)

    def _give_way(self, base: Head, plan: Plan, proposal: Proposal, reason: str) -> Reviewed:
        """End with what stands there as it is: nothing that the plan says will happen."""
        self.operation = "none"
        promoted, asked = proposal.promoted, self.call.request.images
        stands = (promoted.take_over(asked) if promoted else None) or asked
        done = self._done(base, replace(plan, changes=()), proposal, reason=reason)
        return replace(done, review=replace(done.review, stands=stands))

    def _clear(self, base: Head, plan: Plan, proposal: Proposal) -> Reviewed:
        """Take away what has nothing left to propose: the base has what is asked for."""
        call = self.call
        if not (proposal.commit and (proposal.is_over or self._has_arrived(base, proposal))):
            pull = proposal.pull_request
            stays = f" {_named(proposal)} stays open: it promotes something else." if pull else ""
            return self._done(base, plan, proposal, reason=f"{plan.reason}{stays}")
        pull, deletes = proposal.pull_request, call.inputs.pull_request.delete_branch
        if pull and self.pull_requests:
            self._check_holds(self.pull_requests, proposal.branch, proposal.commit, pull)
            self.pull_requests.comment(pull, closing_comment(plan.reason))
        if deletes:
            # GitHub closes what loses its branch; and unlike a closing this can't hit a promotion
            # that has come meanwhile.
            self.repository.delete(Head(proposal.branch, proposal.commit))
        if pull or (deletes and not self.pull_requests):
            self.operation = "closed"
        if pull and self.pull_requests and not deletes:
            self.pull_requests.close(pull)
        return self._done(base, plan, proposal, reason=plan.reason)

    def _has_arrived(self, base: Head, proposal: Proposal) -> bool:
        """Whether the base has what is proposed, or something newer."""
        call, promoted = self.call, proposal.promoted
        if promoted is None:
            return not proposal.commits
        images = promoted.take_over(call.request.images)
        if images is None:
            return False
        request = replace(call.request, images=images)
        snapshot = self.repository.snapshot(base.commit)
        if not make_plan(snapshot, request).files:
            return True
        return is_older(promoted, Promoted.of(call.request.images, call.request.source))

    def _reason_to_keep(self, plan: Plan, proposal: Proposal) -> str:
        """Why what stands there is not to be replaced; empty where it is."""
        promoted = proposal.promoted
        if promoted is None or proposal.is_over or proposal.commit == "":
            return ""
        mine = read_promotion(plan.message)
        if mine is None or not is_older(mine, promoted):
            return ""
        close = "Close it" if proposal.pull_request else "Delete it"
        return (
            f"{_named(proposal)} already promotes {promoted.version}, which is newer than "
            f"{mine.version}. {close} to promote the older one."
        )

    def _check_same_images(self, plan: Plan, proposal: Proposal) -> None:
        promoted = None if proposal.is_over else proposal.promoted
        ours = {change.new.name or change.image for change in plan.changes}
        others = set(promoted.versions) - ours if promoted else set()
        if others:
            listed = ", ".join(f"`{name}`" for name in sorted(others))
            raise PromoteError(
                f"{_named(proposal)} promotes {listed}, too, which this call would lose.",
                "Promote them in one call, or give each call a `branch` of its own.",
            )

    def _has_all(self, proposal: Proposal) -> bool:
        """Whether the branch has what is asked for already, and can be merged."""
        pull = proposal.pull_request
        if not proposal.commits or proposal.is_over or (pull and pull.is_conflicting):
            return False
        head = self._fetch(proposal.branch)
        if head.commit != proposal.commit:
            raise MovedHeadError(f"Branch {proposal.branch} is being changed.")
        snapshot = self.repository.snapshot(head.commit)
        try:
            plan = make_plan(snapshot, self.call.request)
        except RetryableError:
            raise
        except PromoteError:
            return False  # it is of a time when the targets weren't there yet
        return not plan.files

    def _fetch(self, branch: str) -> Head:
        try:
            return self.repository.fetch(branch)
        except RetryableError:
            raise
        except PromoteError:  # it was there a moment ago
            raise MovedHeadError(f"Branch {branch} is being changed.") from None

    def _publish(self, base: Head, plan: Plan, proposal: Proposal, commit: str) -> Reviewed:
        """Make the pull request tell what its branch holds."""
        pull = proposal.pull_request
        text: PullRequestText | None = None
        if self.pull_requests is None:
            text = self._text(base, plan, self.call.request)
            return self._done(base, plan, proposal, commit, text=text)
        if pull is None or marked(pull.body)[0] != commit:
            text = self._text(base, plan, self.call.request)
            if pull:
                self._announce(self.pull_requests, pull, plan)
            pull = self._write(self.pull_requests, base, proposal, commit, text, plan)
        if refused := self.pull_requests.merge_itself(pull, commit, self.call.inputs.pull_request):
            self._check_holds(self.pull_requests, proposal.branch, commit, pull)
            self._warn(refused)
        return self._done(base, plan, replace(proposal, pull_request=pull), commit, text=text)

    def _write(
        self,
        pull_requests: PullRequests,
        base: Head,
        proposal: Proposal,
        commit: str,
        text: PullRequestText,
        plan: Plan,
    ) -> PullRequest:
        wanted = self.call.inputs.pull_request
        promoted = read_promotion(plan.message)
        version = promoted.version if promoted else ""
        pull = proposal.pull_request
        if pull is None:
            unfinished = replace(text, body=mark(text.body, "", version))
            pull = self._open(pull_requests, base, proposal, unfinished)
        else:
            self.operation = "updated" if self.operation == "none" else self.operation
        self._warn(pull_requests.settle(pull, wanted))
        # Last, as it says that all is done; and only as long as it is about what is there.
        self._check_holds(pull_requests, proposal.branch, commit, pull)
        final = replace(text, body=mark(text.body, commit, version))
        pull_requests.rewrite(pull, base.branch, final)
        self._check_holds(pull_requests, proposal.branch, commit, pull)
        return pull

    def _announce(self, pull_requests: PullRequests, pull: PullRequest, plan: Plan) -> None:
        """Say on a pull request that this promotion takes the place of another."""
        promoted = read_promotion(plan.message)
        old, new = marked(pull.body)[1], promoted.version if promoted else ""
        if old not in ("", "-", new):
            pull_requests.comment(pull, supersede_comment(old, new, self.call.request.source))

    def _open(
        self, pull_requests: PullRequests, base: Head, proposal: Proposal, text: PullRequestText
    ) -> PullRequest:
        # Before, as it may be done though the answer is lost.
        before, self.operation = self.operation, "created"
        draft = self.call.inputs.pull_request.draft
        try:
            return pull_requests.open(proposal.branch, base.branch, text, draft=draft)
        except MovedHeadError:
            self.operation = before
            raise

    def _check_holds(
        self, pull_requests: PullRequests, branch: str, commit: str, pull: PullRequest
    ) -> None:
        if not pull_requests.holds(branch, commit, pull):
            raise MovedHeadError(f"Branch {branch} of {self.call.repository} moved meanwhile.")

    def _repair(self, base: Head, plan: Plan, proposal: Proposal) -> None:
        """Give a newer promotion its text back, where a late one of ours took its place."""
        pull, promoted = proposal.pull_request, proposal.promoted
        mine = read_promotion(plan.message)
        if not (pull and promoted and mine and self.pull_requests):
            return
        commit, told = marked(pull.body)
        images = promoted.take_over(self.call.request.images)
        # Of ours, and perhaps of a run that was killed. Any other is the newer one's to write.
        if images is None or commit == proposal.commit or told != mine.version:
            return
        request = replace(self.call.request, images=images, source=promoted.source)
        plan = make_plan(self.repository.snapshot(base.commit), request)
        text = self._text(base, plan, request)
        self._write(self.pull_requests, base, proposal, proposal.commit, text, plan)

    def _text(self, base: Head, plan: Plan, request: Request) -> PullRequestText:
        wanted = self.call.inputs.pull_request
        rendered = render(self.repository.snapshot(base.commit), plan, self.call.environ)
        old = next((change.old.version for change in plan.changes if change.old != change.new), "")
        facts = Facts(
            request=request,
            plan=plan,
            repository=self.call.repository,
            base=base.branch,
            server_url=self.call.server,
            history=self.history(request, old),
            gates=wanted.gates,
            rendered=rendered,
        )
        self.summary = compose_summary(facts)
        return compose(facts, wanted.title, wanted.body)

    def _warn(self, warnings: Sequence[str]) -> None:
        self.warnings.update(dict.fromkeys(warnings))

    def _done(
        self,
        base: Head,
        plan: Plan,
        proposal: Proposal,
        commit: str = "",
        *,
        reason: str = "",
        text: PullRequestText | None = None,
    ) -> Reviewed:
        pull = proposal.pull_request
        if self.operation == "none":
            reason = reason or f"{_named(proposal)} already has all of it."
            plan = replace(plan, files={}, diff="")
        review = Review(
            operation=self.operation,
            branch=proposal.branch,
            number=pull.number if pull else 0,
            url=pull.url if pull else "",
            title=text.title if text else "",
            body=text.body if text else "",
            summary=self.summary if text else "",
            reason=reason,
            has_api=self.pull_requests is not None,
            warnings=tuple(self.warnings),
        )
        written = commit if self.operation in ("created", "updated") else ""
        return Reviewed(base, plan, review, written)


def _named(proposal: Proposal) -> str:
    if proposal.pull_request:
        return f"Pull request #{proposal.pull_request.number}"
    return f"Branch {proposal.branch}"
