"""The tags of a build: read the run's metadata, and compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.source import Source
from gitops_promote.core.tags.compute import Computed, compute
from gitops_promote.core.tags.context import COMMIT_DIGITS, CommitDateNeededError, Context
from gitops_promote.core.tags.flavor import Flavor
from gitops_promote.core.tags.report import Tags
from gitops_promote.core.tags.rules import default_rules
from gitops_promote.effects.ci import read_source
from gitops_promote.inputs import TagsInputs

#: How many digits of a commit the default tag has: 7 collide in large repositories.
DEPLOYED_COMMIT_DIGITS = 12


def tags(inputs: TagsInputs, environ: Mapping[str, str]) -> Tags:
    """Compute the tags of a build.

    Args:
        inputs: What is asked for.
        environ: The environment, for the CI metadata.

    Returns:
        The tags, and what became of each rule.

    Raises:
        PromoteError: A rule can't be computed, and why.
    """
    source = read_source(environ, inputs.app)
    now = datetime.now(timezone.utc)
    return Tags(compute_tags(inputs, source, environ, now), inputs.images, source, now)


def compute_tags(
    inputs: TagsInputs,
    source: Source,
    environ: Mapping[str, str],
    now: datetime | None = None,
) -> Computed:
    """Compute tags for a run that is known.

    Args:
        inputs: What is asked for.
        source: The run.
        environ: The environment, where the commit's date has to be looked up.
        now: The time, aware; without it, that of the clock.

    Returns:
        The tags, and what became of each rule.

    Raises:
        PromoteError: A rule can't be computed, and why.
    """
    now = now or datetime.now(timezone.utc)
    rules, flavor, digits = inputs.rules, inputs.flavor or Flavor(), COMMIT_DIGITS
    if not rules:
        rules, digits = default_rules(in_run=bool(source.run_id)), DEPLOYED_COMMIT_DIGITS
        # A promotion has no use for `latest`.
        flavor = replace(flavor, latest=flavor.latest or "false")
    digits = inputs.commit_digits or digits
    context = Context(source, now, inputs.app, inputs.images, digits)
    try:
        return compute(rules, flavor, context)
    except CommitDateNeededError:
        from gitops_promote.effects.source_repository import (  # noqa: PLC0415  (rarely needed)
            commit_date,
        )

        dated = replace(source, commit_date=commit_date(source, environ))
        return compute(rules, flavor, replace(context, source=dated))


def no_tag(computed: Computed, source: Source) -> PromoteError:
    """The error for a promotion whose tag no rule gave.

    Args:
        computed: What became of the rules.
        source: The run.

    Returns:
        An error that says so of each rule.
    """
    if not source.commit and not source.ref:
        return UsageError(
            "There is no commit here to name the image's tag after.",
            "Give the tag in `images`, such as `ghcr.io/acme/shop:1.2.3`.",
        )
    reasons = "; ".join(f"`{step.rule.text}`: {step.why}" for step in computed.steps)
    return PromoteError(
        f"No rule of `tags` gives a tag on this run: {reasons}.",
        "Add a rule that does, such as `type=sha`, or give the tag in `images`.",
    )
