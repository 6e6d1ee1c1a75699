"""Settling a call: the policy is read, the versions are chosen, the plan is made and judged."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.policy.places import check_others, check_places
from gitops_promote.core.policy.rules import (
    Asked,
    Ruling,
    branch_of,
    no_such_branch,
    rule,
    targets_of,
)
from gitops_promote.core.request import Request
from gitops_promote.core.snapshot import Without
from gitops_promote.effects.config_repository import NoBranchError
from gitops_promote.promotion.chosen import Chosen, computed, copied, names_of
from gitops_promote.promotion.past import Timeline, called
from gitops_promote.promotion.settled import Settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gitops_promote.core.images import Image
    from gitops_promote.core.order import Ancestry
    from gitops_promote.core.policy.values import Environment, Policy
    from gitops_promote.core.snapshot import Snapshot
    from gitops_promote.core.targets import Target
    from gitops_promote.effects.config_repository import ConfigRepository, Head
    from gitops_promote.inputs import PullRequestInputs
    from gitops_promote.promotion.call import Call

_Item = TypeVar("_Item")

#: Where a policy binds every call, named or not.
POLICY_FILE = ".gitops-promote.yaml"


@dataclass
class Settling:
    """Settles one call, at each try anew: a policy may change, too."""

    call: Call
    repository: ConfigRepository
    ancestry: Ancestry
    # What doesn't change with the config repository.
    _computed: dict[tuple[str, tuple[Image, ...]], Chosen] = field(default_factory=dict)
    _signer: str | None = None
    # What ran when a rollback was first looked into.
    _running: frozenset[tuple[str, str]] | None = None

    def settle(self) -> Settled:
        """Find out what is to be done.

        Returns:
            The plan on the newest commit of the branch, and all that it rests on.

        Raises:
            RetryableError: The network or a server failed in a way that may pass.
            PromoteError: It was refused.
        """
        inputs, asked = self.call.inputs, self._asked()
        self._expect(asked)
        main, base = self._heads()
        policy = self._policy(main, base)
        ruling = rule(policy, asked, main.branch if main else base.branch)
        if ruling.branch != base.branch:
            base = self._base(ruling, main)
        sight = _Sight(self.repository, ruling, asked, main or base, base)
        request = self._request(ruling, self._chosen(ruling, sight))
        plan = make_plan(sight.snapshot(base), request)
        check_places(ruling, plan.places)
        stale = ""
        if plan.files:
            check_others(ruling, sight.snapshot(base), plan.files)
            plan, stale = self._guarded(sight, request, plan)
        if plan.files and self._needs_order(sight, request, plan):
            request, plan = self._in_order(sight, request, plan)
        return Settled(
            call=self.call,
            request=request,
            mode=ruling.mode,
            pull_request=_pull_request(inputs.pull_request, ruling.environments),
            policy_gates=tuple(gate for one in ruling.environments for gate in one.gates),
            base=base,
            plan=plan,
            stale=stale,
        )

    def _expect(self, asked: Asked) -> None:
        """Say what is looked at, as far as the call itself tells; a policy may tell more."""
        paths = [POLICY_FILE, self.call.inputs.policy_file]
        # What is wrong with the call is told when the policy is known.
        with suppress(PromoteError):
            targets = rule(None, asked, "").targets if asked.targets else ()
            paths += [target.path for target in targets if not target.is_pattern]
        self.repository.expect(tuple(dict.fromkeys(paths)))

    def _heads(self) -> tuple[Head | None, Head]:
        """The default branch, whose policy goes before any other, and the one that is asked for."""
        wanted = self.call.inputs.config_ref
        try:
            main = self.repository.fetch("")
        except NoBranchError:
            if not wanted:
                raise
            return None, self.repository.fetch(wanted)
        return main, self._head(wanted, main)

    def _base(self, ruling: Ruling, main: Head | None) -> Head:
        try:
            return self._head(ruling.branch, main)
        except NoBranchError as error:
            raise no_such_branch(ruling, error.what) from None

    def _head(self, branch: str, main: Head | None) -> Head:
        if main and branch in ("", main.branch):
            return main
        return self.repository.fetch(branch)

    def _policy(self, main: Head | None, base: Head) -> Policy | None:
        named = self.call.inputs.policy_file
        heads = [main, base] if main and main != base else [base]
        # Wherever the one stands that binds all, no other counts.
        for path in dict.fromkeys((POLICY_FILE, named)):
            for head in heads:
                snapshot = self.repository.snapshot(head.commit)
                if snapshot.kind(path) is not None:
                    return _read_policy(snapshot, path, named)
        if named != POLICY_FILE:
            raise PromoteError(
                f"The config repository has no {named}, which `policy-file` names.",
                "Correct the path, or leave it out.",
            )
        return None

    def _asked(self) -> Asked:
        inputs, source = self.call.inputs, self.call.source
        return Asked(
            environments=inputs.environments,
            app=inputs.app,
            images=inputs.images,
            targets=inputs.targets,
            mode=inputs.promotion_mode,
            branch=inputs.config_ref,
            repository=source.repository,
            is_by_hand=inputs.rollback and not source.run_id,
        )

    def _chosen(self, ruling: Ruling, sight: _Sight) -> Chosen:
        inputs = self.call.inputs
        if inputs.rollback:
            names = tuple(name for image in ruling.images for name in names_of(image))
            return self._rolled_back(sight.timeline(ruling.targets, sight.base), names)
        if inputs.promote_from:
            here = sight.timeline(ruling.targets, sight.base)
            return copied(self.call, ruling, sight.other(inputs.promote_from), here)
        key = ruling.app, ruling.images
        if key not in self._computed:
            self._computed[key] = computed(self.call, ruling)
        return self._computed[key]

    def _rolled_back(self, timeline: Timeline, names: tuple[str, ...]) -> Chosen:
        from gitops_promote.promotion.rollback import Rollback  # noqa: PLC0415  (rarely needed)

        running = frozenset((called(one), one.reference.version) for one in timeline.now(names))
        if self._running not in (None, running):
            raise PromoteError(
                "What runs there was changed while it was about to be rolled back.",
                "Look at it, and roll back again if that is still needed.",
            )
        self._running = running
        return Rollback(self.call, timeline, names, self.ancestry).choose()

    def _request(self, ruling: Ruling, chosen: Chosen) -> Request:
        inputs = self.call.inputs
        return Request(
            images=chosen.images,
            targets=ruling.targets,
            environments=inputs.environments,
            app=ruling.app,
            source=chosen.source,
            origin=chosen.origin,
            message=inputs.commit_message,
            signoff=self._signoff() if inputs.signoff else "",
            copied_from=inputs.promote_from,
            undone=chosen.undone,
            chart_bump=inputs.chart_bump,
        )

    def _signoff(self) -> str:
        if self._signer is None:
            self._signer = str(self.repository.signer(self.call.committer))
        return self._signer

    def _guarded(self, sight: _Sight, request: Request, plan: Plan) -> tuple[Plan, str]:
        from gitops_promote.promotion.guard import guard, kept, warned  # noqa: PLC0415  (start-up)

        if self.call.inputs.rollback:
            return plan, ""
        if self.call.inputs.allow_downgrade:
            return warned(plan), ""
        plan, stale = guard(plan, request, sight.changed(plan), self.ancestry)
        return (kept(plan) if stale else plan), stale

    def _needs_order(self, sight: _Sight, request: Request, plan: Plan) -> bool:
        if not any(environment.after for environment in sight.ruling.environments):
            return False
        from gitops_promote.promotion.guard import goes_forward  # noqa: PLC0415  (start-up time)

        # What ran there before may always come again, but not as a way to something newer.
        back = self.call.inputs.rollback
        return not back or goes_forward(plan, request, sight.changed(plan), self.ancestry)

    def _in_order(self, sight: _Sight, request: Request, plan: Plan) -> tuple[Request, Plan]:
        from gitops_promote.promotion.after import check_order  # noqa: PLC0415  (start-up time)

        override = self.call.inputs.override
        reason = check_order(sight.ruling, plan, sight.other, override, time.time())
        if not reason:
            return request, plan
        request = replace(request, override=reason)
        again = make_plan(sight.snapshot(sight.base), request)
        return request, replace(again, warnings=plan.warnings)


@dataclass(frozen=True)
class _Sight:
    """What a call may look at: the app's environments on their branches."""

    repository: ConfigRepository
    ruling: Ruling
    asked: Asked
    main: Head
    base: Head
    heads: dict[str, Head] = field(default_factory=dict)
    others: dict[str, Timeline] = field(default_factory=dict)

    def snapshot(self, head: Head) -> Snapshot:
        """A branch's files, but for the policy, which no glob means."""
        policy = self.ruling.policy
        return Without(self.repository.snapshot(head.commit), policy.path if policy else "")

    def other(self, environment: str) -> Timeline:
        """The history of another environment of the app."""
        if environment not in self.others:
            targets = targets_of(self.ruling, self.asked, environment)
            head = self._head(branch_of(self.ruling, environment))
            self.others[environment] = self.timeline(targets, head)
        return self.others[environment]

    def _head(self, branch: str) -> Head:
        """A branch's head: the same one, however often it is asked for."""
        for head in (self.base, self.main):
            if branch == head.branch:
                return head
        if branch not in self.heads:
            self.heads[branch] = self.repository.fetch(branch)
        return self.heads[branch]

    def timeline(self, targets: Sequence[Target], head: Head) -> Timeline:
        """The history of some targets."""
        from gitops_promote.core.running import find_places  # noqa: PLC0415  (rarely needed)

        places = find_places(self.snapshot(head), targets)
        return Timeline(self.repository, head, places, self.ruling.app)

    def changed(self, plan: Plan) -> Timeline:
        """The history of the places that a plan changes."""
        places = [place for place in plan.places if place.path in plan.files]
        return Timeline(self.repository, self.base, places, self.ruling.app)


def _read_policy(snapshot: Snapshot, path: str, named: str) -> Policy:
    from gitops_promote.core.policy.reading import read_policy  # noqa: PLC0415  (start-up time)

    kind = snapshot.kind(path)
    if kind != "file":
        raise PromoteError(f"The policy, {path}, is a {kind}.", "Make it a file.", path=path)
    if path != named:
        raise PromoteError(
            f"Input `policy-file` names {named}, and the policy is {path}.", "Leave it out."
        )
    return read_policy(snapshot.read(path), path)


def _pull_request(
    wanted: PullRequestInputs, environments: Sequence[Environment]
) -> PullRequestInputs:
    """What the call asks of a pull request, and what the policy adds to it."""

    def both(own: Iterable[_Item], name: str) -> tuple[_Item, ...]:
        added = (item for one in environments for item in getattr(one, name))
        return tuple(dict.fromkeys((*own, *added)))

    return replace(
        wanted,
        labels=both(wanted.labels, "labels"),
        assignees=both(wanted.assignees, "assignees"),
        reviewers=both(wanted.reviewers, "reviewers"),
        team_reviewers=both(wanted.team_reviewers, "team_reviewers"),
        gates=both(wanted.gates, "gates"),
    )
