"""The commit's message: a subject for people, trailers for programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gitops_promote.core.change import Change
from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Reference
from gitops_promote.core.source import Source

#: What a `commit-message` may have filled in.
PLACEHOLDERS = (
    "app",
    "environment",
    "images",
    "version",
    "old-version",
    "source-commit",
    "source-repository",
)

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
# Lines that end a message for git-am(1), git-interpret-trailers(1) and git-commit(1).
_END_OF_MESSAGE = re.compile(r"^(?:---(?=\s|$)|\S -{24} >8 -{24}$)", re.MULTILINE)
_MOST_NAMES = 3


def compose(
    template: str,
    changes: Sequence[Change],
    environments: Sequence[str],
    app: str,
    source: Source,
    signoff: str,
) -> str:
    """Write a commit message.

    Args:
        template: The `commit-message` input; empty for our own subject.
        changes: What the commit changes.
        environments: The environments it is for.
        app: The app's name.
        source: The commit and the run behind it.
        signoff: Whom to sign off for, as `Name <email>`; empty for nobody.

    Returns:
        The message. Its trailers (git-interpret-trailers(1)) are `Promoted-Image: NAME OLD ->
        NEW` for each image, `Promoted-App`, `Promoted-Environment`, `Source-Commit`,
        `Source-Run` and `Signed-off-by`, each where it is known.

    Raises:
        UsageError: The template has a placeholder that is none of ours.
    """
    full_names = dict.fromkeys(change.new.name or change.image for change in changes)
    version = common_version(change.new for change in changes)
    values = {
        "app": app,
        "environment": ", ".join(environments),
        "images": ", ".join(full_names),
        "version": version,
        "old-version": common_version(change.old for change in changes),
        "source-commit": source.commit,
        "source-repository": source.repository,
    }
    names = list(dict.fromkeys(map(_short, full_names)))
    text = _fill(template, values).strip() or _subject(names, version, environments)
    text = _END_OF_MESSAGE.sub(r" \g<0>", text)
    return f"{text}\n\n{_trailers(changes, environments, app, source, signoff)}\n"


def check_template(template: str) -> None:
    """Refuse a `commit-message` that can't be filled in.

    Args:
        template: The input.

    Raises:
        UsageError: It has a placeholder that is none of ours.
    """
    _fill(template, dict.fromkeys(PLACEHOLDERS, ""))


def common_version(references: Iterable[Reference]) -> str:
    """The version that all references have, empty where they differ.

    Args:
        references: The references.

    Returns:
        `TAG`, `DIGEST`, `TAG@DIGEST` or an empty text.
    """
    versions = {reference.version for reference in references}
    return versions.pop() if len(versions) == 1 else ""


def _subject(names: list[str], version: str, environments: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    listed = ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    to = f" to {_short_version(version)}" if version else ""
    where = f" in {', '.join(environments)}" if environments else ""
    return _one_line(f"Promote {listed}{to}{where}")


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _short_version(version: str) -> str:
    """A version that fits on a subject line: the digest cut to what tells it apart."""
    tag, at, _ = version.partition("@")
    if at:
        return tag
    return version[:19] if ":" in version else version


def _fill(template: str, values: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0][0]
        if name not in values:
            raise UsageError(
                f"Input `commit-message` has the placeholder `{{{name}}}`, which is unknown.",
                f"The placeholders are {', '.join(f'`{{{known}}}`' for known in PLACEHOLDERS)}; "
                "a brace itself is written twice.",
            )
        return _one_line(values[name])

    return _PLACEHOLDER.sub(value, template)


def _trailers(
    changes: Sequence[Change],
    environments: Sequence[str],
    app: str,
    source: Source,
    signoff: str,
) -> str:
    promoted = dict.fromkeys(_promoted(change) for change in changes)
    lines = [f"Promoted-Image: {text}" for text in promoted]
    lines += [f"Promoted-App: {app}"] if app else []
    lines += [f"Promoted-Environment: {name}" for name in environments]
    lines += [f"Source-Commit: {source.commit_url}"] if source.commit_url else []
    lines += [f"Source-Run: {source.run_url}"] if source.run_url else []
    lines += [f"Signed-off-by: {signoff}"] if signoff else []
    return "\n".join(map(_one_line, lines))


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)


def _promoted(change: Change) -> str:
    old, new = change.old, change.new
    name = new.name or change.image
    if old.name and old.name != name:
        return f"{name} {old} -> {new}"
    return f"{name} {old.version or '(none)'} -> {new.version or '(none)'}"
