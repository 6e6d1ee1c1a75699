"""What a step that computes tags reports: the outputs, and the reasons for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gitops_promote.core.markdown import code, prose
from gitops_promote.core.tags.metadata import to_metadata
from gitops_promote.core.tags.mutable import why_mutable

if TYPE_CHECKING:
    from datetime import datetime

    from gitops_promote.core.source import Source
    from gitops_promote.core.tags.compute import Computed, Result


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a build: what was computed, the images' names, the run, and the time (aware)."""

    computed: Computed
    images: tuple[str, ...]
    source: Source
    now: datetime

    @property
    def references(self) -> list[str]:
        """Each image with each tag; without images the mere tags."""
        tags = self.computed.tags
        return [f"{image}:{tag}" for image in self.images for tag in tags] or list(tags)

    @property
    def warnings(self) -> list[str]:
        """What the user should look at."""
        found = notes(self.computed)
        if not self.computed.version:
            found.append("No rule gave a tag on this run.")
        return found

    @property
    def mutable(self) -> str:
        """Why a promotion would refuse the version; empty where it wouldn't."""
        main = self.computed.main
        if main is None or main.mutable is None:
            return ""
        return main.mutable or why_mutable(main.tag, self.source, ())


def notes(computed: Computed) -> list[str]:
    """What in the rules has no effect, or another one than it seems.

    Args:
        computed: What became of them.

    Returns:
        Sentences.
    """
    return [
        f"Input `tags`: `{result.rule.text}`: {note}."
        for result in computed.results
        for note in result.rule.notes
    ]


def outputs(tags: Tags) -> dict[str, Any]:
    """The outputs as data.

    Args:
        tags: What was computed.

    Returns:
        Values by the outputs' names, `json` left out.
    """
    metadata = to_metadata(tags.references, tags.computed.tags, tags.source, tags.now)
    return {"version": tags.computed.version, **metadata}


def output_texts(tags: Tags) -> dict[str, str]:
    """The outputs as a step sets them.

    Args:
        tags: What was computed.

    Returns:
        Texts by the outputs' names; a list has one item a line. `json` is what
        docker/metadata-action gives by that name.
    """
    data = outputs(tags)
    version = data.pop("version")
    labels = [f"{key}={value}" for key, value in data["labels"].items()]
    lists = {**data, "labels": labels}
    texts = {name: "\n".join(items) for name, items in lists.items()}
    return {"version": version, **texts, "json": json.dumps(data, ensure_ascii=False)}


def to_json(tags: Tags) -> str:
    """All that is known, as one JSON object on one line.

    Args:
        tags: What was computed.

    Returns:
        JSON, keyed by the names of the outputs, with the `rules` and what became of them.
    """
    rules = [
        {
            "rule": result.rule.text,
            "tag": result.tag,
            "reason": result.why,
            "mutable": result.mutable or "",
        }
        for result in tags.computed.results
    ]
    more = {"rules": rules, "mutable": tags.mutable, "warnings": tags.warnings}
    return json.dumps({**outputs(tags), **more}, ensure_ascii=False)


def to_markdown(tags: Tags) -> str:
    """The tags and the reasons for people.

    Args:
        tags: What was computed.

    Returns:
        Markdown: the version, and a table of the rules.
    """
    version = tags.computed.version
    parts = [f"### Version {code(version)}" if version else "### No tag"]
    rows = ["| Rule | Tag | Why |", "|---|---|---|", *map(_row, tags.computed.results)]
    if tags.computed.latest_why:
        latest = code(tags.computed.latest) if tags.computed.latest else "-"
        rows.append(f"| `flavor` | {latest} | {prose(tags.computed.latest_why)} |")
    parts.append("\n".join(rows))
    if tags.mutable:
        parts.append(f"> [!NOTE]\n> {prose(refusal(tags))}")
    parts += [f"> [!WARNING]\n> {prose(text)}" for text in tags.warnings]
    return "\n\n".join(parts) + "\n"


def refusal(tags: Tags) -> str:
    """What a promotion would say to a mutable version.

    Args:
        tags: What was computed.

    Returns:
        A sentence.
    """
    return (
        f"A promotion refuses the version `{tags.computed.version}` without a digest: "
        f"{tags.mutable}."
    )


def _row(result: Result) -> str:
    tag = f"**{code(result.tag)}**" if result.tag else "-"
    return f"| {code(result.rule.text)} | {tag} | {prose(result.why)} |"
