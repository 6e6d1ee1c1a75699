"""A promotion by pull request: one open for each app and environment, and the newest in it.

Nothing is locked and nothing is kept between two runs: each try looks at what stands there, and
does what is missing. So a run that was killed is made good by the next, and of many at once the
one that comes too late finds out and looks again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.promoted import (
    Promoted,
    began_before,
    is_older,
    read_promotion,
)
from gitops_promote.core.report import Review
from gitops_promote.core.request import Request
from gitops_promote.core.review.branch import branch_name
from gitops_promote.core.review.proposal import fingerprint, marked, read_seal, seal
from gitops_promote.core.review.text import (
    PullRequestText,
    closing_comment,
)
from gitops_promote.effects.config_repository import Head
from gitops_promote.promotion.publishing import Publishing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_promote.core.order import Ancestry
    from gitops_promote.core.review.history import History
    from gitops_promote.core.review.proposal import BranchCommit, Proposal
    from gitops_promote.core.source import Source
    from gitops_promote.effects.config_repository import ConfigRepository
    from gitops_promote.effects.github.pull_requests import PullRequests
    from gitops_promote.promotion.settled import Settled

_MOST_NAMES = 5


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

    repository: ConfigRepository
    find: Callable[[str, Head], Proposal]
    pull_requests: PullRequests | None
    history: Callable[[Source, str, str], History | None]
    ancestry: Ancestry
    publishing: Publishing = field(init=False)
    settled: Settled = field(init=False)
    # By what the branch held, the files that our commit on it changes.
    made: dict[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.publishing = Publishing(self.repository, self.pull_requests, self.history)

    def attempt(self, settled: Settled) -> Reviewed:
        """Look at what stands there and do what is missing.

        Args:
            settled: What the call is to do on the base as it is now.

        Returns:
            How it ended.

        Raises:
            MovedHeadError: Somebody else changed it meanwhile: try again.
            RetryableError: The network or a server failed in a way that may pass.
            PromoteError: It was refused.
        """
        self.settled = self.publishing.settled = settled
        base, plan = settled.base, settled.plan
        branch = branch_name(settled.pull_request.branch, settled.request)
        if branch == base.branch:
            raise PromoteError(
                f"The pull request's branch and its base are both `{branch}`.",
                "Give another name in `branch`, or another base in `config-ref`.",
            )
        proposal = self.find(branch, base)
        self._check_is_for(base, proposal)
        if settled.stale:
            return self._done(base, plan, proposal, reason=settled.stale)
        if left := self._left_alone(base, plan, proposal):
            return left
        if not plan.files:
            return self._clear(base, plan, proposal)
        self._check_loses_nothing(base, plan, proposal)
        if self._has_all(plan, proposal):
            return self._publish(proposal, proposal.commit)
        head = Head(branch, proposal.commit)
        self.publishing.text(plan, settled.request)  # before anything is written: it may be refused
        message = seal(plan.message, branch, base.commit, plan.files)
        new = settled.new_commit(replace(plan, message=message))
        commit = self.repository.reset(head, base, new)
        if not self.pull_requests and self.publishing.operation == "none":
            self.publishing.operation = "updated" if proposal.commit else "created"
        return self._publish(proposal, commit)

    def _left_alone(self, base: Head, plan: Plan, proposal: Proposal) -> Reviewed | None:
        """End with what stands there where it isn't this call's to replace."""
        # What was merged or closed is kept by its pull request, whatever becomes of the branch.
        is_left = proposal.is_over and self._is_known(proposal)
        if proposal.strangers and not is_left:
            return self._leave_to(proposal.strangers, base, plan, proposal)
        if plan.files and (kept := self._reason_to_keep(plan, proposal)):
            self._repair(base, plan, proposal)
            return self._give_way(base, plan, proposal, kept)
        if not is_left and (files := self._foreign_files(proposal)):
            return self._leave_changed(files, base, plan, proposal)
        return None

    def _check_is_for(self, base: Head, proposal: Proposal) -> None:
        """Refuse to take what is meant for another branch, or is another branch itself."""
        pull = proposal.pull_request
        if pull and pull.base != base.branch:
            raise PromoteError(
                f"Pull request #{pull.number} of branch {proposal.branch} goes to {pull.base}, and "
                f"this call to {base.branch}.",
                "Give each a `branch` of its own.",
            )
        if proposal.commit and not (pull or proposal.commits or self._is_known(proposal)):
            raise PromoteError(
                f"There is a branch {proposal.branch} already, and it is no promotion's.",
                "Name another in `branch`; the base of a pull request is `config-ref`.",
            )

    def _is_known(self, proposal: Proposal) -> bool:
        """Whether a branch without a pull request was made for one of ours."""
        return proposal.is_ours or proposal.branch == branch_name("", self.settled.request)

    def _leave_to(
        self, strangers: Sequence[BranchCommit], base: Head, plan: Plan, proposal: Proposal
    ) -> Reviewed:
        who = ", ".join(dict.fromkeys(commit.author or "somebody" for commit in strangers))
        what = _named(proposal)
        way = "Merge or close it" if proposal.pull_request else "Delete it, or name another"
        reason = f"{what} has commits of {who}, so it was left as it is. {way}, and run this again."
        return self._leave(base, plan, proposal, reason)

    def _leave_changed(
        self, files: Sequence[str], base: Head, plan: Plan, proposal: Proposal
    ) -> Reviewed:
        reason = (
            f"{_named(proposal)} has changes to {_listed(files)} that no promotion made, so it was "
            "left as it is. Merge or close it, and run this again."
        )
        return self._leave(base, plan, proposal, reason)

    def _leave(self, base: Head, plan: Plan, proposal: Proposal, reason: str) -> Reviewed:
        if proposal.pull_request and proposal.pull_request.auto_merge:
            reason += " Its auto-merge is on."
        self.publishing.warnings[reason] = None
        return self._give_way(base, plan, proposal, reason)

    def _give_way(self, base: Head, plan: Plan, proposal: Proposal, reason: str) -> Reviewed:
        """End with what stands there as it is: nothing that the plan says will happen."""
        self.publishing.operation = "none"
        promoted, asked = proposal.promoted, self.settled.request.images
        taken = promoted.take_over(asked, plan.changes) if promoted else asked
        stands = tuple(
            there if there.target.version else image
            for there, image in zip(taken, asked, strict=True)
        )
        done = self._done(base, replace(plan, changes=()), proposal, reason=reason)
        return replace(done, review=replace(done.review, stands=stands))

    def _clear(self, base: Head, plan: Plan, proposal: Proposal) -> Reviewed:
        """Take away what has nothing left to propose: the base has what is asked for."""
        arrived = proposal.is_over or self._has_arrived(plan, proposal)
        if not (proposal.commit and arrived and not proposal.strangers):
            pull = proposal.pull_request
            stays = f" {_named(proposal)} stays open: it promotes something else." if pull else ""
            return self._done(base, plan, proposal, reason=f"{plan.reason}{stays}")
        pull, deletes = proposal.pull_request, self.settled.pull_request.delete_branch
        if pull and self.pull_requests:
            self.publishing.check_holds(self.pull_requests, proposal.branch, proposal.commit, pull)
            self.pull_requests.comment(pull, closing_comment(plan.reason))
        if deletes:
            # GitHub closes what loses its branch; and unlike a closing this can't hit a promotion
            # that has come meanwhile.
            self.repository.delete(Head(proposal.branch, proposal.commit))
        if pull or (deletes and not self.pull_requests):
            self.publishing.operation = "closed"
        if pull and self.pull_requests and not deletes:
            self.pull_requests.close(pull)
        return self._done(base, plan, proposal, reason=plan.reason)

    def _has_arrived(self, plan: Plan, proposal: Proposal) -> bool:
        """Whether the base, which has what is asked for, has what is proposed, or newer."""
        promoted = proposal.promoted
        if promoted is None:
            # What a killed run of ours began; a branch of somebody isn't called like that.
            return not proposal.commits and self._is_known(proposal)
        there = Promoted.of(plan.changes, self.settled.request)
        if promoted.versions.items() <= there.versions.items():
            return True
        # One that began later goes back on purpose.
        older = is_older(promoted, there, self.ancestry)
        return older and not began_before(there, promoted)

    def _reason_to_keep(self, plan: Plan, proposal: Proposal) -> str:
        """Why what stands there is not to be replaced; empty where it is."""
        promoted = proposal.promoted
        if promoted is None or proposal.is_over or proposal.commit == "":
            return ""
        mine = read_promotion(plan.message)
        if mine is None or self.settled.call.inputs.allow_downgrade:
            return ""
        if not is_older(mine, promoted, self.ancestry):
            return ""
        if promoted.undone:
            return (
                f"{_named(proposal)} goes back to {promoted.version}, and {mine.version} is not "
                "known to be newer than what that takes back."
            )
        close = "Close it" if proposal.pull_request else "Delete it"
        return (
            f"{_named(proposal)} already promotes {promoted.version}, which is newer than "
            f"{mine.version}. {close} to promote the older one."
        )

    def _check_loses_nothing(self, base: Head, plan: Plan, proposal: Proposal) -> None:
        """Refuse to replace a branch that promotes what this call doesn't."""
        promoted = proposal.promoted
        if proposal.is_over or promoted is None or not proposal.commits:
            return
        there = Promoted.of(plan.changes, self.settled.request)
        places = {change.path for change in plan.changes}
        snapshot = self.repository.snapshot(base.commit)
        # What the base has no longer is nothing to lose.
        files = [
            path for path in self._made(proposal) if snapshot.kind(path) and path not in places
        ]
        if lost := sorted(promoted.versions.keys() - there.versions.keys()) or sorted(files):
            raise PromoteError(
                f"{_named(proposal)} also promotes {_listed(lost)}, which this call would lose.",
                "Promote all images and targets of an app in one call, give each call a `branch` "
                "of its own, or close it to let this call take its place.",
            )

    def _made(self, proposal: Proposal) -> frozenset[str]:
        """The files that our commit on the branch changes; the branch is fetched for it, once."""
        ours = proposal.ours
        if ours is None:
            return frozenset()
        if proposal.commit not in self.made:
            self._fetch(proposal)
            head = Head(proposal.branch, ours.id)
            self.made[proposal.commit] = self.repository.differences(head, ours.parents[0])
        return self.made[proposal.commit]

    def _foreign_files(self, proposal: Proposal) -> list[str]:
        """The files that the branch changes in a way that our commit didn't."""
        ours = proposal.ours
        if ours is None:
            return []
        made, sealed = self._made(proposal), read_seal(ours.message)
        snapshot = self.repository.snapshot(ours.id)
        written = {path: snapshot.read(path) for path in made if snapshot.kind(path) == "file"}
        if len(written) != len(made) or not sealed or fingerprint(written) != sealed.files:
            return sorted(made)
        if proposal.commit == ours.id:
            return []
        # Behind merges of the base, its own changes in the same files are mixed with ours.
        head = Head(proposal.branch, proposal.commit)
        return sorted(self.repository.differences(head, proposal.base) - made)

    def _has_all(self, plan: Plan, proposal: Proposal) -> bool:
        """Whether the branch brings the base all that is asked for, and can be merged."""
        pull = proposal.pull_request
        if not proposal.commits or proposal.is_over or (pull and pull.is_conflicting):
            return False
        if not plan.files.keys() <= self._made(proposal):
            return False
        promoted = proposal.promoted
        # By what it says of itself a rollback holds later.
        request = self.settled.request
        if promoted is None or bool(promoted.undone) != bool(request.undone):
            return False
        if request.override and not promoted.override:
            return False
        there = self._planned(proposal.commit, self.settled.request)
        if there is None or there.files:
            return False
        wanted = {(change.path, change.key) for change in plan.changes if change.old != change.new}
        return wanted <= {(change.path, change.key) for change in there.changes}

    def _planned(self, commit: str, request: Request) -> Plan | None:
        """The plan on another commit; None where the targets aren't there as they are now."""
        snapshot = self.repository.snapshot(commit)
        try:
            return make_plan(snapshot, request)
        except RetryableError:
            raise
        except PromoteError:
            return None

    def _fetch(self, proposal: Proposal) -> None:
        """Fetch the branch, if it still is where it was found."""
        try:
            head = self.repository.fetch(proposal.branch)
        except RetryableError:
            raise
        except PromoteError:  # it was there a moment ago
            head = Head(proposal.branch, "")
        if head.commit != proposal.commit:
            raise MovedHeadError(f"Branch {proposal.branch} is being changed.")

    def _publish(self, proposal: Proposal, commit: str) -> Reviewed:
        """Make the pull request tell what its branch holds."""
        pull, text = self.publishing.publish(proposal, commit)
        base, plan = self.settled.base, self.settled.plan
        return self._done(base, plan, replace(proposal, pull_request=pull), commit, text=text)

    def _repair(self, base: Head, plan: Plan, proposal: Proposal) -> None:
        """Give a newer promotion its text back, where a late one of ours took its place."""
        pull, promoted = proposal.pull_request, proposal.promoted
        mine = read_promotion(plan.message)
        if not (pull and promoted and mine and self.pull_requests):
            return
        commit, _, told = marked(pull.body)
        # Of ours, and perhaps of a run that was killed. Any other is the newer one's to write.
        if commit == proposal.commit or told != mine.version:
            return
        images = promoted.take_over(self.settled.request.images, plan.changes)
        request = replace(
            self.settled.request,
            images=images,
            source=promoted.promoter or promoted.source,
            origin=promoted.source if promoted.promoter else None,
            undone=promoted.undone,
            copied_from=promoted.copied_from,
            override=promoted.override,
        )
        if newer := self._planned(base.commit, request):
            text, commit = self.publishing.text(newer, request), proposal.commit
            self.publishing.write(self.pull_requests, proposal, commit, text, newer)

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
        if self.publishing.operation == "none":
            reason = reason or f"{_named(proposal)} already has all of it."
            plan = replace(plan, files={}, diff="")
        review = Review(
            operation=self.publishing.operation,
            branch=proposal.branch,
            number=pull.number if pull else 0,
            url=pull.url if pull else "",
            title=text.title if text else "",
            body=text.body if text else "",
            summary=self.publishing.summary if text else "",
            reason=reason,
            has_api=self.pull_requests is not None,
            warnings=tuple(self.publishing.warnings),
        )
        written = commit if self.publishing.operation in ("created", "updated") else ""
        return Reviewed(base, plan, review, written)


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    return f"{listed} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else listed


def _named(proposal: Proposal) -> str:
    if proposal.pull_request:
        return f"Pull request #{proposal.pull_request.number}"
    return f"Branch {proposal.branch}"
