"""The tags of an image: what becomes of each rule on one run, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import is_tag, sanitised
from gitops_promote.core.tags.types import Found, NoTagError, find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_promote.core.tags.context import Context
    from gitops_promote.core.tags.flavor import Flavor
    from gitops_promote.core.tags.rules import Rule


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a rule: its tag, or none, and why.

    `mutable` says why another build takes the tag, too; None where none does, and empty where the
    rule doesn't tell.
    """

    rule: Rule
    tag: str
    why: str
    mutable: str | None = ""


@dataclass(frozen=True, slots=True)
class Computed:
    """The tags of an image.

    `version` is the main one, which is deployed, and `partial` the others; both are empty where
    no rule gave any. `latest` is that tag in full (`latest-alpine`), where there is one.
    """

    results: tuple[Result, ...]
    version: str = ""
    partial: tuple[str, ...] = ()
    latest: str = ""
    latest_why: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags, the version first, each once."""
        tags = (self.version, *self.partial, self.latest)
        return tuple(dict.fromkeys(tag for tag in tags if tag))

    @property
    def main(self) -> Result | None:
        """The result that gave the version."""
        return next((result for result in self.results if result.tag), None)

    @property
    def mutable(self) -> str | None:
        """Why another build takes the version, too; as in `Result`."""
        return self.main.mutable if self.main else ""


def compute(rules: Sequence[Rule], flavor: Flavor, context: Context) -> Computed:
    """Compute the tags.

    Args:
        rules: The rules, in the order in which they count.
        flavor: What holds for all of them.
        context: The run.

    Returns:
        What became of each rule, and the tags.

    Raises:
        UsageError: An `enable` comes out as neither `true` nor `false`.
        CommitDateNeededError: The commit's date is needed and not in the context.
    """
    results: list[Result] = []
    latest = ("", "")
    for rule in rules:
        first = not any(result.tag for result in results)
        try:
            found = _found(rule, context)
            results.append(_result(rule, found, flavor, context))
        except NoTagError as none:
            results.append(Result(rule, "", str(none)))
            continue
        if first:
            latest = _latest(rule, found, flavor, context)
    tags = list(dict.fromkeys(result.tag for result in results if result.tag))
    return Computed(tuple(results), *_split(tags), *latest)


def _split(tags: list[str]) -> tuple[str, tuple[str, ...]]:
    return (tags[0], tuple(tags[1:])) if tags else ("", ())


def _found(rule: Rule, context: Context) -> Found:
    enable = context.render(rule.enable)
    if enable not in {"true", "false"}:
        raise UsageError(
            f"Input `tags`: `{rule.text}`: `enable` comes out as `{enable}`.",
            "It must come out as `true` or `false`, as `{{is_default_branch}}` does.",
        )
    if enable == "false":
        raise NoTagError("`enable` is false")
    return find(rule, context)


def _result(rule: Rule, found: Found, flavor: Flavor, context: Context) -> Result:
    prefix = flavor.prefix if rule.prefix is None else rule.prefix
    suffix = flavor.suffix if rule.suffix is None else rule.suffix
    text = context.render(prefix) + found.value + context.render(suffix)
    if not text:
        raise NoTagError("it comes out empty")
    unique = context.is_unique(prefix) or context.is_unique(suffix)
    try:
        tag = _tag(text)
    except NoTagError as none:
        empty = [e for part in (prefix, rule.value, suffix) for e in context.empty(part)]
        note = f" ({', '.join(f'`{text}`' for text in empty)} is empty here)" if empty else ""
        raise NoTagError(f"{none}{note}") from None
    return Result(rule, tag, found.origin, None if unique else found.mutable)


def _latest(rule: Rule, found: Found, flavor: Flavor, context: Context) -> tuple[str, str]:
    """The tag `latest` in full, or nothing, and why."""
    setting = flavor.latest or "auto"
    why = f"`latest={setting}`"
    wanted = setting == "true"
    if setting == "auto":
        wanted = found.release
        why += f", and `type={rule.type}` came first, with {'a' if wanted else 'no'} release"
    if not wanted:
        return "", why
    prefix = context.render(flavor.prefix) if flavor.prefix_latest else ""
    suffix = context.render(flavor.suffix) if flavor.suffix_latest else ""
    try:
        return _tag(f"{prefix}latest{suffix}"), why
    except NoTagError as none:
        return "", str(none)


def _tag(text: str) -> str:
    """A text as a tag, as docker/metadata-action makes it one."""
    tag = sanitised(text)
    if len(tag) > 128:
        raise NoTagError(f"`{tag[:40]}…` has {len(tag)} characters; registries take 128")
    if not is_tag(tag):
        raise NoTagError(f"`{tag}` begins with `{tag[0]}`, which no registry takes")
    return tag
