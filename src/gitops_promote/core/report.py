"""What a promotion reports: the outputs, and the summary for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gitops_promote.core.markdown import code, escape, fenced, prose
from gitops_promote.core.placeholders import common_version

if TYPE_CHECKING:
    from gitops_promote.core.change import Change
    from gitops_promote.core.errors import PromoteError
    from gitops_promote.core.images import Image
    from gitops_promote.core.plan import Plan

#: GitHub takes 1 MiB of summary and of an output. A diff of more bytes than this is cut, ...
MOST_DIFF = 200 * 1024
#: ... and so is a table of more rows.
MOST_ROWS = 300


@dataclass(frozen=True, slots=True)
class Review:
    """What stands for review after a call.

    `operation` is what the call did: `created`, `updated`, `closed` or `none`, and `reason` says
    why nothing else. Where the call gave way to something else, `stands` is what that promotes.
    `number` and `url` are the pull request's; `number` is 0 where there is none. `title` and `body`
    are its text where it was written, and `summary` the same with more room, in Markdown. Without
    `has_api` the host has no pull requests that we can open, and there is the branch alone.
    """

    operation: str
    branch: str
    number: int = 0
    url: str = ""
    title: str = ""
    body: str = ""
    summary: str = ""
    reason: str = ""
    stands: tuple[Image, ...] = ()
    has_api: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `commit` and `commit_url` are empty where nothing was written.

    `branch` is the one that is changed, or that the pull request goes to; `review` is None where
    the mode is none for reviewers. `stale` says why something older was not promoted, `override`
    for which reason the policy's order was skipped. `undone` has the versions that a rollback
    takes back, by image.
    """

    plan: Plan
    images: tuple[Image, ...]
    mode: str
    repository: str
    branch: str
    commit: str = ""
    commit_url: str = ""
    review: Review | None = None
    own_token: bool = False
    stale: str = ""
    override: str = ""
    undone: Mapping[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether the config repository is another one now; in a dry run: would be."""
        if self.review:
            return self.review.operation in ("created", "updated")
        return bool(self.plan.files)

    @property
    def reason(self) -> str:
        """Why nothing was changed; empty where something was."""
        if self.review and not self.changed:
            return self.review.reason
        return self.stale or self.plan.reason

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should look at, whatever became of the promotion."""
        skipped = (f"The order was skipped: {self.override}",) if self.override else ()
        return skipped + self.plan.warnings + (self.review.warnings if self.review else ())

    @property
    def headline(self) -> str:
        """One line that says how it ended."""
        subject = self.plan.message.split("\n", 1)[0]
        if self.review and self.review.operation != "none":
            return self._review_headline(self.review, subject)
        if not self.changed:
            gave_way = self.stale or (self.review and self.review.stands)
            return f"{'Not promoted' if gave_way else 'Nothing to promote'}: {self.reason}"
        return f"Dry run: {subject}" if self.mode == "dry-run" else subject

    def _review_headline(self, review: Review, subject: str) -> str:
        what = f"pull request #{review.number}" if review.number else f"branch {review.branch}"
        if review.operation == "closed":
            return f"{'Closed' if review.number else 'Deleted'} {what}: {review.reason}"
        opened = "Opened" if review.number else "Pushed"
        done = opened if review.operation == "created" else "Updated"
        return f"{done} {what}: {review.title or subject}"


def outputs(outcome: Outcome) -> dict[str, Any]:
    """The outputs of a call as data.

    Args:
        outcome: How it ended.

    Returns:
        Values by the outputs' names; those with several items are lists or objects.
    """
    plan = outcome.plan
    deployed = _deployed(outcome)
    return {
        "version": common_version(image.target for image in outcome.images),
        "tags": [str(image.target) for image in outcome.images if image.target.tag],
        "images": deployed,
        "changed": outcome.changed,
        "changed-files": sorted(plan.files),
        "diff": cut(plan.diff),
        "commit-sha": outcome.commit,
        "commit-url": outcome.commit_url,
        **_review_outputs(outcome.review),
    }


def output_texts(outcome: Outcome) -> dict[str, str]:
    """The outputs as a step sets them.

    Args:
        outcome: How it ended.

    Returns:
        Texts by the outputs' names: a list has one item a line, an object is JSON; `json` has
        all of them, the changes and the reason.
    """
    return {**{k: _text(v) for k, v in outputs(outcome).items()}, "json": to_json(outcome)}


def to_json(outcome: Outcome) -> str:
    """All that is known of a call, as one JSON object on one line.

    Args:
        outcome: How it ended.

    Returns:
        JSON, keyed by the names of the outputs.
    """
    changes = [_change(change) for change in outcome.plan.changes]
    return json.dumps(
        {
            **outputs(outcome),
            "changes": changes,
            "reason": outcome.reason,
            "override": outcome.override,
            "rolled-back-from": dict(outcome.undone),
            "warnings": list(outcome.warnings),
        },
        ensure_ascii=False,
    )


def to_markdown(outcome: Outcome) -> str:
    """The summary of a call.

    Args:
        outcome: How it ended.

    Returns:
        Markdown: a table old → new, where it went, the diff and the warnings.
    """
    plan = outcome.plan
    review = outcome.review
    parts = [f"### {escape(outcome.headline)}"]
    if outcome.stale:
        parts = ["### Not promoted", prose(outcome.stale)]
    if review and review.summary:
        parts += [*_whereto(outcome), review.summary.strip()]
        if not review.has_api:
            parts.insert(2, _text_to_copy(review, outcome.branch))
        parts += [f"> [!WARNING]\n> {prose(text)}" for text in review.warnings]
        return "\n\n".join(parts) + "\n"
    parts += [_table(plan.changes)] if plan.changes else []
    parts += _whereto(outcome)
    parts += [prose(holds)] if (holds := _holds(outcome)) else []
    if plan.diff:
        parts.append(fenced(cut(plan.diff), "diff"))
    # The reason is the headline already.
    warnings = [text for text in outcome.warnings if text != outcome.reason]
    parts += [f"> [!WARNING]\n> {prose(text)}" for text in warnings]
    return "\n\n".join(parts) + "\n"


def notice(outcome: Outcome) -> str:
    """What is left to do for somebody, though all went well.

    Args:
        outcome: How it ended.

    Returns:
        A sentence; empty where nothing is left.
    """
    review = outcome.review
    if outcome.stale:
        return outcome.stale
    if outcome.commit and outcome.undone and not review:
        return _holds(outcome)
    if review and review.stands and review.reason not in review.warnings:
        return review.reason
    if review and review.has_api and review.operation == "created" and outcome.own_token:
        return (
            f"Pull request #{review.number} was opened with the job's own token, so it starts no "
            "workflows. Where checks are required, give another one in `token`."
        )
    if review is None or review.has_api or not review.body:
        return ""
    return (
        f"{outcome.repository} is on no host whose pull requests can be opened here. Open one from "
        f"{review.branch} to {outcome.branch}: its title and body are on the summary and in the "
        "outputs."
    )


def _holds(outcome: Outcome) -> str:
    """What a rollback means for what comes next."""
    if not (outcome.changed and outcome.undone):
        return ""
    than = ", ".join(f"`{version}`" for version in dict.fromkeys(outcome.undone.values()))
    return f"This holds: what is not newer than {than} stays away, unless `allow-downgrade` is set."


def _whereto(outcome: Outcome) -> list[str]:
    review, repository = outcome.review, code(outcome.repository)
    if review and review.url:
        link = f"[#{review.number}]({review.url})"
        into = f"{code(review.branch)} → {code(outcome.branch)}"
        return [f"Pull request {link}, {into} of {repository}."]
    branch = review.branch if review else outcome.branch
    if outcome.commit:
        short = f"`{outcome.commit[:10]}`"
        link = f"[{short}]({outcome.commit_url})" if outcome.commit_url else short
        return [f"Commit {link} on {code(branch)} of {repository}."]
    if outcome.changed:
        return [f"Nothing was written to {code(branch)} of {repository}."]
    return []


def _text_to_copy(review: Review, base: str) -> str:
    return (
        f"> [!NOTE]\n> Open a pull request from {code(review.branch)} to {code(base)} "
        f"with the title {code(review.title)} and this body.\n\n"
        "<details><summary>The body, to copy</summary>\n\n"
        f"{fenced(review.body, 'markdown')}\n\n</details>"
    )


def error_markdown(error: PromoteError, title: str) -> str:
    """The summary of a call that failed.

    Args:
        error: Why.
        title: What that means.

    Returns:
        Markdown.
    """
    where = f"{code(error.where)}: " if error.where else ""
    lines = [f"### {title}\n\n{where}{prose(error.what)}", prose(error.fix)]
    return "\n\n".join(line for line in lines if line) + "\n"


def cut(diff: str) -> str:
    """A diff of a size that GitHub takes.

    Args:
        diff: The diff.

    Returns:
        The diff, or its first lines and a line that says so.
    """
    content = diff.encode("utf-8", "replace")
    if len(content) <= MOST_DIFF:
        return diff
    whole_lines = content[:MOST_DIFF].rpartition(b"\n")[0].decode("utf-8", "replace")
    return f"{whole_lines}\n… cut here\n"


def _deployed(outcome: Outcome) -> dict[str, str]:
    images = (outcome.review and outcome.review.stands) or outcome.images
    deployed = {image.name: str(image.target) for image in images}
    for change in outcome.plan.changes:
        if change.new.name:
            deployed[change.image] = str(change.new)
    return deployed


def _review_outputs(review: Review | None) -> dict[str, Any]:
    review = review or Review("none", "")
    return {
        "pull-request-number": review.number or None,
        "pull-request-url": review.url,
        "pull-request-operation": review.operation if review.has_api else "none",
        "pull-request-branch": review.branch,
        "pull-request-title": review.title,
        "pull-request-body": review.body,
    }


def _change(change: Change) -> dict[str, str | int]:
    return {
        "image": change.image,
        "file": change.path,
        "line": change.line,
        "key": change.key,
        "old": str(change.old) if change.old.name else change.old.version,
        "new": str(change.new) if change.new.name else change.new.version,
        "old-version": change.old.version,
        "new-version": change.new.version,
    }


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "\n".join(map(str, value))
    return str(value)


def _table(changes: Sequence[Change]) -> str:
    rows = ["| Image | Old | New | Where |", "|---|---|---|---|"]
    for change in changes[:MOST_ROWS]:
        old, new = map(code, versions(change))
        place = code(f"{change.path}:{change.line}")
        new = new if old == new else f"**{new}**"
        rows.append(f"| {code(change.image)} | {old} | {new} | {place} |")
    if len(changes) > MOST_ROWS:
        rows.append(f"| and {len(changes) - MOST_ROWS} more | | | |")
    return "\n".join(rows)


def versions(change: Change) -> tuple[str, str]:
    """Old and new version for people: with the names where a promotion changes the name.

    Args:
        change: One image in one place.

    Returns:
        The old and the new one.
    """
    old, new = change.old, change.new
    if old.name and old.name != new.name:
        return str(old), str(new)
    return old.version or "(none)", new.version or "(none)"
