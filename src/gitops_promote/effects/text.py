"""How a command ended, as lines for a terminal or a job's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_promote.core.report import versions

if TYPE_CHECKING:
    from gitops_promote.core.report import Outcome
    from gitops_promote.core.tags.report import Tags
    from gitops_promote.effects.console import Console


def promotion_text(outcome: Outcome, console: Console) -> str:
    """Say how a promotion ended.

    Args:
        outcome: How it ended.
        console: What paints.

    Returns:
        A line for each image and place, the diff, and where it went.
    """
    paint = console.paint
    lines = [paint(outcome.headline, "bold")]
    for change in outcome.plan.changes:
        old, new = versions(change)
        arrow = f"{paint(old, 'red')} → {paint(new, 'green')}"
        shown = arrow if old != new else paint(f"{new} (unchanged)", "dim")
        place = paint(f"{change.path}:{change.line}", "dim")
        lines.append(f"  {paint(change.image)}  {shown}  {place}")
    if outcome.plan.diff:
        lines += [" ", *console.diff_lines(outcome.plan.diff), " "]
    lines.append(_whereto(outcome, console))
    return "\n".join(filter(None, lines))


def _whereto(outcome: Outcome, console: Console) -> str:
    paint, review = console.paint, outcome.review
    if review and review.url:
        text = f"Pull request #{review.number}: {review.url}"
        return paint(f"✓ {text}", "green") if outcome.changed else paint(text)
    place = f"{review.branch if review else outcome.branch} of {outcome.repository}"
    if outcome.commit:
        where = f" {outcome.commit_url}" if outcome.commit_url else ""
        return paint(f"✓ Pushed {outcome.commit[:10]} to {place}.{where}", "green")
    return paint(f"Nothing was written to {place}.") if outcome.changed else ""


def tags_text(tags: Tags, console: Console) -> str:
    """Say what became of each rule.

    Args:
        tags: What was computed.
        console: What paints.

    Returns:
        The version, two lines for each rule (its tag, and why), and the tags.
    """
    from gitops_promote.core.tags.report import refusal  # noqa: PLC0415  (not for a promotion)

    paint, computed = console.paint, tags.computed
    entries = [(result.rule.text, result.tag, result.why) for result in computed.results]
    if computed.latest_why:
        entries.append(("flavor", computed.latest, computed.latest_why))
    source = tags.source
    built = " at ".join(part for part in (source.ref, source.commit[:12]) if part)
    lines = [paint(f"Version {computed.version}" if computed.version else "No tag", "bold")]
    lines += [paint(f"of {built}", "dim")] if built else []
    lines.append("")
    for rule, tag, why in entries:
        shown = f"{paint('✓', 'green')} {paint(rule)} → {paint(tag, 'green')}"
        lines.append(f"  {shown if tag else paint(f'· {rule}', 'dim')}")
        lines.append(f"      {paint(why, 'dim')}")
    if tags.references:
        lines += ["", *(paint(reference) for reference in tags.references)]
    if tags.mutable:
        lines += ["", paint(refusal(tags), "yellow")]
    return "\n".join(lines)
