"""What each type of rule gives on a run, before prefix, suffix and sanitising.

The types mean what docker/metadata-action's README says of them ("tags input"). Beyond it: where a
git tag is no version, but the version of an app (`shop/v1.2.3`, `shop-v1.2.3`), it counts for that
app.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.core.tags.versions import Version, read_pep440, read_semver

if TYPE_CHECKING:
    from gitops_promote.core.source import Source
    from gitops_promote.core.tags.context import Context
    from gitops_promote.core.tags.rules import Rule
    from gitops_promote.core.tags.template import Expression, Template

_Reader = Callable[[str], Version | None]


class NoTagError(Exception):
    """A rule gives no tag on this run, which is nothing wrong; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule gives.

    `origin` says what it was made of, and `moves` why another build gives the same; empty where
    none does. `release` makes it count for `latest`.
    """

    value: str
    origin: str
    release: bool = False
    moves: str = ""


def find(rule: Rule, context: Context) -> Found:
    """Say what a rule gives.

    Args:
        rule: The rule.
        context: The run.

    Returns:
        Its value and where that is from.

    Raises:
        NoTagError: It gives nothing on this run.
        CommitDateNeededError: The commit's date is needed and not in the context.
    """
    return _FINDERS[rule.type](rule, context)


def _schedule(rule: Rule, context: Context) -> Found:
    event = context.source.event
    if "schedule" not in event:
        started = f"`{event}`" if event else "no event"
        raise NoTagError(f"the run was started by {started}, not by a schedule")
    moves = "" if rule.pattern.expressions else "each scheduled run takes it"
    return Found(context.render(rule.pattern), "a scheduled run", moves=moves)


def _semver(rule: Rule, context: Context) -> Found:
    return _version(rule, context, read_semver, "no semantic version")


def _pep440(rule: Rule, context: Context) -> Found:
    return _version(rule, context, read_pep440, "no version by PEP 440")


def _version(rule: Rule, context: Context, read: _Reader, wrong: str) -> Found:
    text, origin = _subject(rule, context)
    if rule.match:
        found = rule.match.find(text)
        if found and found[1] is not None:
            text = found[1]
        else:
            wrong = f"{wrong}, and `match` doesn't match it"
    version = read(text.replace("/", "-"))
    if version is None and not rule.match:
        app, version = _app_version(text, context.app_name, read)
        if version is not None and app != context.app_name:
            raise NoTagError(
                f"{origin} is a version of `{app}`; if that is the app, name it in `app`"
            )
    if version is None:
        raise NoTagError(f"{origin} is {wrong}")
    found_version = _written(rule, version, origin)
    return replace(found_version, moves=found_version.moves or _moves(rule.value, context))


def _app_version(text: str, app: str, read: _Reader) -> tuple[str, Version | None]:
    """Take a text for the version tag of an app: the app's name and the version.

    The app that is asked for goes first; else the first mark with a version behind it decides.
    """
    found: tuple[str, Version | None] = ("", None)
    for mark in re.finditer("[/@-]", text):
        version = read(text[mark.end() :].replace("/", "-"))
        name = text[: mark.start()]
        if version is None or not name:
            continue
        # `services/shop/v1.2.3` is of `services/shop`, which `shop` is short for.
        if app in {name, name.rpartition("/")[2]}:
            return app, version
        if not found[0]:
            found = name, version
    return found


def _written(rule: Rule, version: Version, origin: str) -> Found:
    def value(expression: Expression) -> str:
        return version.fields[expression.name]

    names = rule.pattern.names
    if version.is_prerelease:
        # Nobody is to get a pre-release by `1.2` or `1`, so the whole version is written.
        raw = names == {"raw"} and len(rule.pattern.parts) == 1
        whole = names == {"version"} and len(rule.pattern.parts) == 1
        note = "" if raw or whole else "; of a pre-release the whole version is written"
        return Found(version.fields["raw" if raw else "version"], origin + note)
    whole = bool(names & {"raw", "version"}) or {"major", "minor", "patch"} <= names
    moves = "" if whole else "each release of it takes it"
    return Found(rule.pattern.render(value), origin, release=True, moves=moves)


def _match(rule: Rule, context: Context) -> Found:
    text, origin = _subject(rule, context)
    groups = rule.search.find(text) if rule.search else None
    if groups is None:
        raise NoTagError(f"`pattern` doesn't match {origin}")
    value = groups[rule.group] if rule.group < len(groups) else None
    if value is None:
        raise NoTagError(f"`pattern` matches {origin}, but has no group {rule.group} there")
    # `2.0` of `v2.0.8` is that of `v2.0.9`, too.
    rest = text.rpartition(value)[2] if value else ""
    part = f"it is a part of {origin} that another one can have, too"
    moves = part if re.search(r"\d", rest) else _moves(rule.value, context)
    return Found(value, f"from {origin}", release=True, moves=moves)


def _edge(rule: Rule, context: Context) -> Found:
    source = context.source
    branch = rule.branch or source.default_branch
    if not source.branch:
        raise NoTagError(f"{_ref(source)} is no branch")
    if not branch:
        raise NoTagError("the default branch isn't known here; name it in `branch`")
    if branch != source.branch:
        raise NoTagError(f"the branch is `{source.branch}`, not `{branch}`")
    return Found("edge", f"the branch `{branch}`", moves=f"each build of `{branch}` takes it")


def _of_ref(rule: Rule, context: Context) -> Found:
    source = context.source
    name, kind = {
        "branch": (source.branch, "branch"),
        "tag": (source.tag, "git tag"),
        "pr": (source.pull_request, "pull request"),
    }[rule.event]
    if not name:
        raise NoTagError(f"{_ref(source)} is no {kind}")
    moves = "" if rule.event == "tag" else f"each build of the {kind} takes it"
    return Found(name, f"the {kind} `{name}`", release=rule.event == "tag", moves=moves)


def _raw(rule: Rule, context: Context) -> Found:
    origin = "its expressions filled in" if rule.value.names else "as it is written"
    return Found(context.render(rule.value), origin, moves=_moves(rule.value, context))


def _sha(rule: Rule, context: Context) -> Found:
    commit = context.source.commit
    if not commit:
        raise NoTagError("no commit is known")
    return Found(context.short_commit if rule.format == "short" else commit, "the commit")


_FINDERS = {
    "schedule": _schedule,
    "semver": _semver,
    "pep440": _pep440,
    "match": _match,
    "edge": _edge,
    "ref": _of_ref,
    "raw": _raw,
    "sha": _sha,
}


def _moves(value: Template, context: Context) -> str:
    """Why another build has the same value; nothing is said of one without expressions."""
    if context.is_unique(value):
        return ""
    if value.names & {"branch", "base_ref"}:
        return "each build of the branch takes it"
    if value.names & {"date", "commit_date"}:
        return "another build of the same day or hour takes it"
    return ""


def _subject(rule: Rule, context: Context) -> tuple[str, str]:
    """What a rule looks for a version in, and how to call it."""
    if not rule.value.is_empty:
        text = context.render(rule.value)
        return text, f"the value `{text}`"
    if not context.source.tag:
        raise NoTagError(f"{_ref(context.source)} is no git tag")
    return context.source.tag, f"the git tag `{context.source.tag}`"


def _ref(source: Source) -> str:
    return f"`{source.ref}`" if source.ref else "what is built"
