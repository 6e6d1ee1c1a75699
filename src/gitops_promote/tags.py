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
from gitops_promote.core.tags.mutable import why_mutable
from gitops_promote.core.tags.report import Tags, notes
from gitops_promote.core.tags.rules import default_rules
from gitops_promote.effects.ci import read_source
from gitops_promote.effects.console import Console
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
    source = read_source(environ, inputs.version_app)
    now = datetime.now(timezone.utc)
    return Tags(compute_tags(inputs, source, environ, now), inputs.images, source, now)


def compute_tags(
    inputs: TagsInputs,
    source: Source,
    environ: Mapping[str, str],
    now: datetime,
) -> Computed:
    """Compute tags for a run that is known.

    Args:
        inputs: What is asked for.
        source: The run.
        environ: The environment, where the commit's date has to be looked up.
        now: The time, aware.

    Returns:
        The tags, and what became of each rule.

    Raises:
        PromoteError: A rule can't be computed, and why.
    """
    rules, flavor, digits = inputs.rules, inputs.flavor or Flavor(), COMMIT_DIGITS
    if not rules:
        rules, digits = default_rules(in_run=bool(source.run_id)), DEPLOYED_COMMIT_DIGITS
        # A promotion has no use for `latest`.
        flavor = replace(flavor, latest=flavor.latest or "false")
    digits = inputs.commit_digits or digits
    context = Context(source, now, inputs.app or inputs.image_app, inputs.version_app, digits)
    try:
        return compute(rules, flavor, context)
    except CommitDateNeededError:
        from gitops_promote.effects.git.source_repository import (  # noqa: PLC0415  (rarely needed)
            commit_date,
        )

        dated = replace(source, commit_date=commit_date(source, environ))
        return compute(rules, flavor, replace(context, source=dated))


def version_of(
    inputs: TagsInputs, source: Source, environ: Mapping[str, str], console: Console
) -> Computed:
    """Compute the version that is deployed, and say which rule gave it.

    Args:
        inputs: What is asked for.
        source: The run.
        environ: The environment, where the commit's date has to be looked up.
        console: Where to say it.

    Returns:
        The tags, with a version.

    Raises:
        PromoteError: No rule gives a tag, and why; or one can't be computed.
    """
    computed = compute_tags(inputs, source, environ, datetime.now(timezone.utc))
    for text in notes(computed):
        console.warn(text)
    if computed.main is None:
        raise _no_tag(computed, source)
    # The rules that gave nothing and come before the one that did may be a surprise.
    passed = computed.results[: computed.results.index(computed.main)]
    lines = [f"No tag by {result.rule.text}: {result.why}" for result in passed]
    lines.append(f"Tag {computed.version} by {computed.main.rule.text}: {computed.main.why}")
    console.show_untrusted("\n".join(console.paint(line, "dim") for line in lines))
    return computed


def _no_tag(computed: Computed, source: Source) -> PromoteError:
    if not source.commit and not source.ref:
        return UsageError(
            "There is no commit here to name the image's tag after.",
            "Give the tag in `images`, such as `ghcr.io/acme/shop:1.2.3`.",
        )
    reasons = "; ".join(f"`{result.rule.text}`: {result.why}" for result in computed.results)
    return PromoteError(
        f"No rule of `tags` gives a tag on this run: {reasons}.",
        "Add a rule that does, such as `type=sha`, or give the tag in `images`.",
    )


def better_tag(computed: Computed, source: Source) -> str:
    """Advise a user whose version is mutable, from the other rules.

    Args:
        computed: What became of the rules.
        source: The run.

    Returns:
        A sentence; empty where no other rule gives a better tag.
    """
    for result in computed.results:
        if not result.tag or result.mutable or why_mutable(result.tag, source, ()):
            continue
        return (
            f"`{result.rule.text}` gives `{result.tag}` on this run: put it first by "
            "`priority=2000`."
        )
    return ""
