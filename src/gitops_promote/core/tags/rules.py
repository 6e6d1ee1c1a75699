"""The rules of the input `tags`: docker/metadata-action's grammar, read and checked.

What a rule may hold, and what it means, is told in that action's README ("tags input"). Unlike
there, a rule that can't work is an error on every run, not on the one that first needs it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitops_promote.core.errors import MalformedError
from gitops_promote.core.tags.metadata import is_json
from gitops_promote.core.tags.patterns import Pattern, parse_pattern
from gitops_promote.core.tags.records import BOOLEANS, allowed, choice, fields, read_records
from gitops_promote.core.tags.template import DATES, EMPTY, GLOBAL, Template, attribute_template

_SEMVER = ("raw", "version", "major", "minor", "patch", "prerelease", "build")
_PEP440 = _SEMVER[:5]
_COMMON = ("type", "enable", "priority", "prefix", "suffix")
_EVENTS = ("branch", "tag", "pr")
_FORMATS = ("short", "long")


@dataclass(frozen=True, slots=True)
class _Type:
    priority: int
    attributes: tuple[str, ...]
    required: str = ""
    names: tuple[str, ...] = ()


#: The types of rules.
TYPES = {
    "schedule": _Type(1000, ("pattern",), names=DATES),
    "semver": _Type(900, ("pattern", "value", "match"), "pattern", _SEMVER),
    "pep440": _Type(900, ("pattern", "value", "match"), "pattern", _PEP440),
    "match": _Type(800, ("pattern", "group", "value"), "pattern"),
    "edge": _Type(700, ("branch",)),
    "ref": _Type(600, ("event",), "event"),
    "raw": _Type(200, ("value",), "value"),
    "sha": _Type(100, ("format",)),
}
_ATTRIBUTES = tuple(dict.fromkeys(name for kind in TYPES.values() for name in kind.attributes))
_ATTRIBUTES_OF_OTHERS = {*_ATTRIBUTES} - {"value"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of `tags`. What its type has no use for, or what it doesn't say, is None or empty.

    `pattern` is what a version or a schedule is written as, `search` the regular expression of
    `type=match`, and `match` that of a version. `notes` are for the user: what has no effect.
    """

    text: str
    type: str
    priority: float
    enable: Template
    prefix: Template | None = None
    suffix: Template | None = None
    pattern: Template = EMPTY
    search: Pattern | None = None
    group: int = 0
    value: Template = EMPTY
    match: Pattern | None = None
    branch: str = ""
    event: str = ""
    format: str = "short"
    notes: tuple[str, ...] = ()


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read the input `tags`.

    Args:
        text: One rule a line, each a record of comma-separated `ATTRIBUTE=VALUE`; a line that
            begins with `#` is a comment.

    Returns:
        The rules, in the order in which they count: by priority, then as written.

    Raises:
        UsageError: A rule is malformed. It quotes the rule and names the attribute.
    """
    return tuple(sorted(read_records("tags", text, _rule), key=lambda rule: -rule.priority))


def default_rules(*, in_run: bool) -> tuple[Rule, ...]:
    """The rules that hold where the input `tags` is empty: no two builds give the same tag.

    Args:
        in_run: Whether there is a run of CI, whose id tells two builds of a commit apart.

    Returns:
        The version of a version tag; else the commit and the run.
    """
    commit = "{{sha}}-{{run_id}}" if in_run else "{{sha}}"
    return parse_rules(f"type=semver,pattern={{{{version}}}}\ntype=raw,value={commit}")


def _rule(record: str) -> Rule:
    if is_json(record):
        raise MalformedError(
            "is no rule",
            "Of a step that made tags, give all of the `json` output to the promotion.",
        )
    values, notes = _attributes(record)
    kind = values.get("type", "raw")
    if kind not in TYPES:
        listed = allowed("type", kind, TYPES)
        if kind in _EVENTS:
            listed = f"Did you mean `type=ref,event={kind}`? {listed}"
        raise MalformedError(f"has the unknown type `{kind}`", listed)
    if "type" not in values and "value" not in values and _ATTRIBUTES_OF_OTHERS & values.keys():
        raise MalformedError("has no `type`", allowed("type", "", TYPES))
    if record in TYPES:
        notes.append(f"this is the tag `{record}`; the rule is written `type={record}`")
    for name in values:
        names = (*_COMMON, *TYPES[kind].attributes)
        if name not in names and name not in _ATTRIBUTES:
            listed = allowed(f"attribute of `type={kind}`", name, names)
            raise MalformedError(f"has the unknown attribute `{name}`", listed)
        if name not in names:
            notes.append(f"`{name}` has no effect on `type={kind}`")
    required = TYPES[kind].required
    if required and (required not in values or (required != "value" and not values[required])):
        raise MalformedError(f"has no `{required}`, which `type={kind}` needs", _example(kind))
    return _typed(record, kind, values, tuple(notes))


def _attributes(record: str) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    notes, bare = [], ""
    for text in fields(record):
        name, equals, value = text.partition("=")
        if not equals:
            name, value, bare = "value", text, text
        name = name.strip().lower()
        if name in values:
            notes.append(f"`{name}` stands there twice; the last one counts")
        values[name] = value.strip()
    if bare and values.get("type", "raw") in set(TYPES) - {"raw"}:
        # Most likely the rest of a regular expression, such as `\d{1,3}`.
        raise MalformedError(
            f"has `{bare}` without an attribute's name",
            "An attribute that has a comma in it needs quotes around it, as in "
            '`type=match,"pattern=\\d{1,3}"`.',
        )
    return values, notes


def _typed(record: str, kind: str, values: Mapping[str, str], notes: tuple[str, ...]) -> Rule:
    """A rule of values that its type knows, and possibly others, which count for nothing."""
    known = {name: values[name] for name in TYPES[kind].attributes if name in values}
    names = TYPES[kind].names
    pattern = known.get("pattern", "nightly" if kind == "schedule" else "")
    prefix, suffix = values.get("prefix", _default_prefix(kind, values)), values.get("suffix")
    value = _value(kind, known.get("value", ""))
    written = attribute_template("pattern", pattern, names) if names else EMPTY
    return Rule(
        text=record,
        type=kind,
        priority=_priority(values.get("priority", str(TYPES[kind].priority))),
        enable=_enable(values.get("enable", "true")),
        prefix=None if prefix is None else attribute_template("prefix", prefix, GLOBAL),
        suffix=None if suffix is None else attribute_template("suffix", suffix, GLOBAL),
        pattern=written,
        search=_regex("pattern", pattern, slashes=True) if kind == "match" else None,
        group=_group(known.get("group", "0")),
        value=value,
        match=_version_match(known.get("match", "")),
        branch=known.get("branch", ""),
        event=choice("event", known["event"], _EVENTS) if "event" in known else "",
        format=choice("format", known.get("format", "short"), _FORMATS),
        notes=(*notes, *written.notes, *value.notes),
    )


def _enable(text: str) -> Template:
    template = attribute_template("enable", text, GLOBAL)
    if not template.expressions:
        choice("enable", text, (*BOOLEANS, "{{is_default_branch}}", "{{is_not_default_branch}}"))
    return template


def _default_prefix(kind: str, values: Mapping[str, str]) -> str | None:
    if kind == "sha":
        return "sha-"
    return "pr-" if kind == "ref" and values.get("event") == "pr" else None


def _value(kind: str, text: str) -> Template:
    # A tag's characters don't tell a pasted reference from a name; its colon does.
    if kind == "raw" and re.fullmatch(r"[\w.-]+(?::\d+)?(?:/[\w.-]+)+:[\w.-]+", text):
        raise MalformedError(
            "has an image's name in `value`, of which a tag would be made as it stands",
            "Write the tag alone; or, to take the tags of an earlier step, paste its `json` "
            "output here, or its `version`.",
        )
    return attribute_template("value", text, GLOBAL)


def _regex(attribute: str, text: str, *, slashes: bool) -> Pattern:
    try:
        return parse_pattern(text, slashes=slashes)
    except MalformedError as error:
        raise MalformedError(f"{error.problem}, in `{attribute}`", error.allowed) from None


def _version_match(text: str) -> Pattern | None:
    if not text:
        return None
    pattern = _regex("match", text, slashes=False)
    if not pattern.groups:
        raise MalformedError(
            f"has no group in `match`: `{text}`",
            r"Put the version in parentheses, as in `match=shop-v(\d.*)`.",
        )
    return pattern


def _priority(text: str) -> float:
    if not re.fullmatch(r"-?\d{1,9}(?:\.\d{1,9})?", text, re.ASCII):
        raise MalformedError(
            f"has the `priority` `{text}`", "It must be a number; the highest comes first."
        )
    return float(text)


def _group(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise MalformedError(
            f"has the `group` `{text}`",
            "It must be the number of a group in parentheses; 0 is the whole match.",
        )
    return int(text)


def _example(kind: str) -> str:
    examples = {
        "semver": "`type=semver,pattern={{version}}`",
        "pep440": "`type=pep440,pattern={{version}}`",
        "match": r"`type=match,pattern=v(.*),group=1`",
        "ref": "`type=ref,event=branch`; allowed as event: `branch`, `tag`, `pr`",
        "raw": "`type=raw,value=stable`",
    }
    return f"Write it like {examples[kind]}."
