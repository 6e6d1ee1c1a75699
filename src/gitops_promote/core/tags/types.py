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

    `origin` says what it was made of, and `release` makes it count for `latest`. `mutable` is why
    another build gives the same; None where none does, and empty where the rule doesn't tell.
    """

    value: str
    origin: str
    release: bool = False
    mutable: str | None = ""


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
    # A schedule is of a day, unlike a push.
    dated = any(date.format and date.format.tells("day") for date in rule.pattern.expressions)
    mutable = None if dated else "each scheduled run takes it"
    return Found(context.render(rule.pattern), "a scheduled run", mutable=mutable)


def _semver(rule: Rule, context: Context) -> Found:
    return _version(rule, context, read_semver, "no semantic version")


def _pep440(rule: Rule, context: Context) -> Found:
    return _version(rule, context, read_pep440, "no version by PEP 440")


def _version(rule: Rule, context: Context, read: _Reader, wrong: str) -> Found:
    text, origin = _subject(rule, context)
    rest = ""
    if rule.match:
        found = rule.match.find(text)
        if found and found[1] is not None:
            rest, text = rule.match.rest(text, 1), found[1]
        else:
            origin = f"{origin} (which `match` doesn't match)"
    version = read(text.replace("/", "-"))
    if version is None and not rule.match:
        version = _app_version(text, origin, context.version_app, read)
    if version is None:
        raise NoTagError(f"{origin} is {wrong}")
    written = _written(rule, version, origin)
    mutable = written.mutable or _cut_short(rest, origin) or _why_mutable(rule.value, context)
    return replace(written, mutable=mutable or None)


def _app_version(text: str, origin: str, app: str, read: _Reader) -> Version | None:
    """Read the version tag of an app, such as `shop/v1.2.3`."""
    other = ""
    for mark in re.finditer("[/@-]", text):
        version = read(text[mark.end() :].replace("/", "-"))
        name = text[: mark.start()]
        if version is None or not name:
            continue
        # `services/shop/v1.2.3` is of `services/shop`, which `shop` is short for.
        if app and app in {name, name.rpartition("/")[2]}:
            return version
        other = other or name
    if other:
        raise NoTagError(
            f"{origin} is a version of `{other}`: if that is the app, name it in `app`; else take "
            f"the version out by `match={other}.(.*)`"
        )
    return None


def _written(rule: Rule, version: Version, origin: str) -> Found:
    def value(expression: Expression) -> str:
        return version.fields[expression.name]

    names = rule.pattern.names
    if version.is_prerelease:
        # Nobody is to get a pre-release by `1.2` or `1`, so the whole version is written.
        raw = names == {"raw"} and len(rule.pattern.parts) == 1
        as_asked = raw or (names == {"version"} and len(rule.pattern.parts) == 1)
        note = "" if as_asked else "; of a pre-release the whole version is written"
        return Found(version.fields["raw" if raw else "version"], origin + note)
    # By PEP 440 a version can have more than three numbers, and what comes before and after them.
    is_plain = re.fullmatch(r"\d+(\.\d+){0,2}", version.fields["version"])
    whole = names & {"raw", "version"} or (is_plain and {"major", "minor", "patch"} <= names)
    mutable = "" if whole else "each release of it takes it"
    return Found(rule.pattern.render(value), origin, release=True, mutable=mutable)


def _match(rule: Rule, context: Context) -> Found:
    text, origin = _subject(rule, context)
    groups = rule.search.find(text) if rule.search else None
    if groups is None:
        raise NoTagError(f"`pattern` doesn't match {origin}")
    value = groups[rule.group] if rule.group < len(groups) else None
    if value is None:
        raise NoTagError(f"`pattern` matches {origin}, but has no group {rule.group} there")
    rest = rule.search.rest(text, rule.group) if rule.search else ""
    mutable = _cut_short(rest, origin) or _why_mutable(rule.value, context)
    return Found(value, f"from {origin}", release=True, mutable=mutable)


def _cut_short(rest: str, origin: str) -> str:
    """Why a part of a git tag is mutable, by what of the tag comes after it."""
    # `2.0` of `v2.0.8` is that of `v2.0.9`, too, and `1.2.3` of `v1.2.3-beta` that of `v1.2.3`.
    if re.search(r"\d|alpha|beta|rc|pre|dev|snapshot", rest, re.IGNORECASE):
        return f"it is a part of {origin} that another one can have, too"
    return ""


def _edge(rule: Rule, context: Context) -> Found:
    source = context.source
    branch = rule.branch or source.default_branch
    if not source.branch:
        raise NoTagError(f"{_ref(source)} is no branch")
    if not branch:
        raise NoTagError("the default branch isn't known here; name it in `branch`")
    if branch != source.branch:
        raise NoTagError(f"the branch is `{source.branch}`, not `{branch}`")
    return Found("edge", f"the branch `{branch}`", mutable=f"each build of `{branch}` takes it")


def _of_ref(rule: Rule, context: Context) -> Found:
    source = context.source
    name, kind = {
        "branch": (source.branch, "branch"),
        "tag": (source.tag, "git tag"),
        "pr": (source.pull_request, "pull request"),
    }[rule.event]
    if not name:
        raise NoTagError(f"{_ref(source)} is no {kind}")
    mutable = "" if rule.event == "tag" else f"each build of the {kind} takes it"
    return Found(name, f"the {kind} `{name}`", release=rule.event == "tag", mutable=mutable)


def _raw(rule: Rule, context: Context) -> Found:
    origin = "its expressions filled in" if rule.value.names else "as it is written"
    mutable = None if context.is_unique(rule.value) else _why_mutable(rule.value, context)
    return Found(context.render(rule.value), origin, mutable=mutable)


def _sha(rule: Rule, context: Context) -> Found:
    commit = context.source.commit
    if not commit:
        raise NoTagError("no commit is known")
    short = context.short_commit if rule.format == "short" else commit
    return Found(short, "the commit", mutable=None)


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


def _why_mutable(value: Template, context: Context) -> str:
    """Why another build has the same value; nothing is said of one without expressions."""
    if not value.names or context.is_unique(value):
        return ""
    if value.names & {"branch", "base_ref"}:
        return "each build of the branch takes it"
    if value.names & {"date", "commit_date"}:
        return "another build can have the same date"
    return "nothing in it is of one build alone"


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
