"""The commit's message: a subject for people, trailers for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gitops_promote.core.placeholders import fill, names, one_line, values

if TYPE_CHECKING:
    from gitops_promote.core.change import Change
    from gitops_promote.core.request import Request, Undone

# Lines that end a message for git-am(1), git-interpret-trailers(1) and git-commit(1), and those by
# which `git merge --squash` begins another one.
_END_OF_MESSAGE = re.compile(
    r"^(?:---(?=\s|$)|\S -{24} >8 -{24}$|commit (?=[0-9a-f]{40}))", re.MULTILINE
)
_MOST_NAMES = 3
# What could be a trailer if somebody wrapped the lines anew.
_TRAILER = re.compile(r"(\w-[\w-]*)[\s:]*:")


def compose(request: Request, changes: Sequence[Change]) -> str:
    """Write a commit message.

    Args:
        request: What is asked for; its `message` is the template, empty for our own subject.
        changes: What the commit changes.

    Returns:
        The message. Its trailers (git-interpret-trailers(1)) are `Promoted-Image: NAME OLD ->
        NEW` for each image, `Promoted-App`, `Promoted-Environment`, `Promoted-From`,
        `Promotion-Override`, `Rolled-Back-From: NAME VERSION COMMIT RUN` for each version that is
        taken back (`-` for what is unknown), `Source-Commit` and `Source-Run` of what was built,
        `Promotion-Run` where another run promotes that, and `Signed-off-by`, each where it is
        known.

    Raises:
        UsageError: The template has a placeholder that is none of ours.
    """
    known = values(request, changes)
    text = fill(request.message, known, "commit-message").strip()
    text = text or _subject(request, changes, known["version"])
    text = _END_OF_MESSAGE.sub(r" \g<0>", text)
    trailers = "\n".join(map(one_line, _trailers(request, changes)))
    return f"{text}\n\n{trailers}\n"


def _subject(request: Request, changes: Sequence[Change], version: str) -> str:
    short = list(dict.fromkeys(name.rsplit("/", 1)[-1] for name in names(changes)))
    more = len(short) - _MOST_NAMES
    listed = ", ".join(short[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    to = f" to {_short_version(version)}" if version else ""
    where = f" in {', '.join(request.environments)}" if request.environments else ""
    return one_line(f"{'Roll back' if request.undone else 'Promote'} {listed}{to}{where}")


def _short_version(version: str) -> str:
    """A version that fits on a subject line: the digest cut to what tells it apart."""
    tag, at, _ = version.partition("@")
    if at:
        return tag
    return version[:19] if ":" in version else version


def _trailers(request: Request, changes: Sequence[Change]) -> Iterator[str]:
    for text in dict.fromkeys(_promoted(change) for change in changes):
        yield f"Promoted-Image: {text}"
    if request.app:
        yield f"Promoted-App: {_free(request.app)}"
    for name in request.environments:
        yield f"Promoted-Environment: {_free(name)}"
    if request.copied_from:
        yield f"Promoted-From: {_free(request.copied_from)}"
    if request.override:
        yield f"Promotion-Override: {_free(request.override)}"
    for undone in dict.fromkeys(request.undone):
        yield f"Rolled-Back-From: {_undone(undone)}"
    built = request.built_from
    if built.commit_url:
        yield f"Source-Commit: {built.commit_url}"
    if built.run_url:
        yield f"Source-Run: {built.run_url}"
    if request.origin is not None and request.source.run_url:
        yield f"Promotion-Run: {request.source.run_url}"
    if request.signoff:
        yield f"Signed-off-by: {request.signoff}"


def _promoted(change: Change) -> str:
    old, new = change.old, change.new
    name = new.name or change.image
    if old.name and old.name != name:
        return f"{name} {old} -> {new}"
    return f"{name} {old.version or '(none)'} -> {new.version or '(none)'}"


def _undone(undone: Undone) -> str:
    source = undone.build.source
    parts = (undone.image, undone.build.version, source.commit_url, source.run_url)
    return " ".join(re.sub(r"\s+", "_", one_line(part)) or "-" for part in parts)


def _free(text: str) -> str:
    """A text of somebody that makes no trailer where its line is broken in two, at a space."""
    text = one_line(text).strip()
    return _TRAILER.sub(r"\1", text) if re.search(r"\s", text) else text
