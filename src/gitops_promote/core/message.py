"""The commit's message: a subject for people, trailers for programs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gitops_promote.core.change import Change
from gitops_promote.core.placeholders import fill, names, one_line, values
from gitops_promote.core.source import Source

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
    known = values(changes, environments, app, source)
    short = list(dict.fromkeys(map(_short, names(changes))))
    text = fill(template, known, "commit-message").strip()
    text = text or _subject(short, known["version"], environments)
    text = _END_OF_MESSAGE.sub(r" \g<0>", text)
    return f"{text}\n\n{_trailers(changes, environments, app, source, signoff)}\n"


def _subject(short: list[str], version: str, environments: Sequence[str]) -> str:
    more = len(short) - _MOST_NAMES
    listed = ", ".join(short[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    to = f" to {_short_version(version)}" if version else ""
    where = f" in {', '.join(environments)}" if environments else ""
    return one_line(f"Promote {listed}{to}{where}")


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _short_version(version: str) -> str:
    """A version that fits on a subject line: the digest cut to what tells it apart."""
    tag, at, _ = version.partition("@")
    if at:
        return tag
    return version[:19] if ":" in version else version


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
    return "\n".join(map(one_line, lines))


def _promoted(change: Change) -> str:
    old, new = change.old, change.new
    name = new.name or change.image
    if old.name and old.name != name:
        return f"{name} {old} -> {new}"
    return f"{name} {old.version or '(none)'} -> {new.version or '(none)'}"
