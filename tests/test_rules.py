"""Malformed rules: one error each that quotes the rule, names the attribute, lists what may be."""

from __future__ import annotations

import time

import pytest

from gitops_promote.core.errors import UsageError
from gitops_promote.core.tags.flavor import parse_flavor
from gitops_promote.core.tags.names import parse_names
from gitops_promote.core.tags.rules import TYPES, parse_rules
from gitops_promote.core.tags.template import GLOBAL

TYPE_NAMES = "`schedule`, `semver`, `pep440`, `match`, `edge`, `ref`, `raw`, `sha`"
COMMON = "`type`, `enable`, `priority`, `prefix`, `suffix`"
GLOBALS = ", ".join(
    f"`{{{{{name} 'FORMAT'}}}}`" if name.endswith("date") else f"`{{{{{name}}}}}`"
    for name in GLOBAL
)


@pytest.mark.parametrize(
    ("rule", "problem", "fix"),
    [
        (
            "type=semvar,pattern=x",
            "unknown type `semvar`",
            f"Did you mean `semver`? Allowed as type: {TYPE_NAMES}.",
        ),
        ("type=", "unknown type ``", f"Allowed as type: {TYPE_NAMES}."),
        ("type=tag", "unknown type `tag`", "Did you mean `type=ref,event=tag`? Allowed as type"),
        ("pattern={{version}}", "has no `type`", TYPE_NAMES),
        ("type=RAW,value=x", "unknown type `RAW`", "Did you mean `raw`?"),
        (
            "type=raw,value=x,prefx=a",
            "unknown attribute `prefx`",
            f"Did you mean `prefix`? Allowed as attribute of `type=raw`: {COMMON}, `value`.",
        ),
        ("type=sha,fromat=long", "unknown attribute `fromat`", "Did you mean `format`?"),
        ("a=b", "unknown attribute `a`", COMMON),
        (
            "type=semver",
            "has no `pattern`, which `type=semver` needs",
            "`type=semver,pattern={{version}}`",
        ),
        ("type=pep440,pattern=", "has no `pattern`", "`type=pep440,pattern={{version}}`"),
        ("type=match", "has no `pattern`", "`type=match,pattern=v(.*),group=1`"),
        ("type=ref", "has no `event`", "`branch`, `tag`, `pr`"),
        ("type=raw", "has no `value`", "`type=raw,value=stable`"),
        (
            "type=ref,event=brunch",
            "has the event `brunch`",
            "Did you mean `branch`? Allowed as event: `branch`, `tag`, `pr`.",
        ),
        ("type=sha,format=Long", "has the format `Long`", "Allowed as format: `short`, `long`."),
        (
            "type=sha,enable=yes",
            "has the enable `yes`",
            "Allowed as enable: `true`, `false`, `{{is_default_branch}}`",
        ),
        ("type=sha,priority=high", "has the `priority` `high`", "It must be a number"),
        ("type=match,pattern=a,group=x", "has the `group` `x`", "number of a group"),
        ("type=match,pattern=a,group=-1", "has the `group` `-1`", "number of a group"),
        ("type=match,pattern=(", "in `pattern`", ""),
        ("type=semver,pattern={{version}},match=v", "has no group in `match`: `v`", "parentheses"),
        ("type=semver,pattern={{version}},match=(", "in `match`", ""),
        (
            "type=semver,pattern={{versoin}}",
            "unknown expression `{{versoin}}`, in `pattern`",
            (
                "Did you mean `{{version}}`? Allowed there: `{{raw}}`, `{{version}}`, `{{major}}`, "
                "`{{minor}}`, `{{patch}}`, `{{prerelease}}`, `{{build}}`."
            ),
        ),
        (
            "type=pep440,pattern={{build}}",
            "unknown expression `{{build}}`, in `pattern`",
            "Allowed there: `{{raw}}`, `{{version}}`, `{{major}}`, `{{minor}}`, `{{patch}}`.",
        ),
        (
            "type=semver,pattern={{version}}-{{sha}}",
            "unknown expression `{{sha}}`, in `pattern`",
            "Allowed there",
        ),
        (
            "type=schedule,pattern={{branch}}",
            "unknown expression `{{branch}}`, in `pattern`",
            "Allowed there: `{{date 'FORMAT'}}`, `{{commit_date 'FORMAT'}}`.",
        ),
        (
            "type=raw,value={{brunch}}",
            "unknown expression `{{brunch}}`, in `value`",
            f"Did you mean `{{{{branch}}}}`? Allowed there: {GLOBALS}.",
        ),
        ("type=sha,prefix={{x}}", "unknown expression `{{x}}`, in `prefix`", GLOBALS),
        ("type=sha,suffix={{x}}", "unknown expression `{{x}}`, in `suffix`", GLOBALS),
        ("type=sha,enable={{x}}", "unknown expression `{{x}}`, in `enable`", GLOBALS),
        (
            "type=raw,value={{branch",
            "an expression that isn't closed: `{{branch`, in `value`",
            "two braces",
        ),
        ("type=raw,value={{branch}", "an expression that isn't closed", "two braces"),
        ("type=raw,value={{{branch}}", "the malformed expression `{{{branch}}`", GLOBALS),
        ("type=raw,value={{}}", "the malformed expression `{{}}`", GLOBALS),
        ("type=raw,value={{'a'}}", "the malformed expression", GLOBALS),
        (
            "type=raw,value={{#if tag}}x{{/if}}",
            "has `{{#if tag}}`, which tags are not written with",
            GLOBALS,
        ),
        ("type=raw,value={{> a}}", "has `{{> a}}`", GLOBALS),
        ("type=raw,value={{sha 12}}", "has `{{sha 12}}`, but `sha` takes no argument", "`{{sha}}`"),
        (
            "type=raw,value={{date}}",
            "has `{{date}}` without one quoted date format, in `value`",
            "{{date 'YYYYMMDD-HHmmss' tz='Europe/Paris'}}",
        ),
        ("type=raw,value={{date 2020}}", "without one quoted date format", "YYYYMMDD"),
        ("type=raw,value={{date 'YYYY' 'MM'}}", "without one quoted date format", "YYYYMMDD"),
        (
            "type=raw,value={{date 'YYYY' zone='UTC'}}",
            "has `zone=UTC` in `{{date 'YYYY' zone='UTC'}}`",
            "tz=",
        ),
        ("type=raw,value={{date 'YYYYRR'}}", "date token `R`, in `value`", " YYYY "),
        ("type=raw,value={{date 'YYYY' tz='Europe/Pris'}}", "`Europe/Pris`", "Europe/Paris"),
        ('type=raw,value=a"b', 'a quote in the wrong place, at `value=a"b`', "double a quote"),
        ('type=raw,"value=a', "a quote in the wrong place", "double a quote"),
        (
            r"type=match,pattern=\d{1,3}",
            "has `3}` without an attribute's name",
            r'`type=match,"pattern=\d{1,3}"`',
        ),
        ("ghcr.io/acme/shop:1.2.3", "has an image's name in `value`", "`json`"),
        ("type=raw,value=localhost:5000/a:1", "has an image's name in `value`", "`json`"),
        ("{'tags': []}", "is no rule", "all of the `json` output to the promotion"),
    ],
)
def test_a_malformed_rule(rule: str, problem: str, fix: str) -> None:
    text = f"type=sha\n# a comment\n{rule}\n"

    with pytest.raises(UsageError) as caught:
        parse_rules(text)

    error = caught.value
    assert error.what.startswith(f"Input `tags`, line 3: `{rule}` ")
    assert problem in error.what
    assert error.what.endswith(".")
    assert fix in error.fix
    assert error.fix.endswith(".")


def test_a_single_rule_needs_no_line_number() -> None:
    with pytest.raises(UsageError, match=r"^Input `tags`: `type=x` has the unknown type `x`"):
        parse_rules("type=x")


@pytest.mark.parametrize(
    ("entry", "problem", "fix"),
    [
        ("latest=maybe", "has the latest `maybe`", "Allowed as latest: `auto`, `true`, `false`."),
        ("latest", "has `latest`, which is no attribute and one value", "`latest=VALUE`"),
        ("latest=true=x", "has `latest=true=x`", "`latest=VALUE`"),
        (
            "sufix=-x",
            "unknown attribute `sufix`",
            (
                "Did you mean `suffix`? Allowed as attribute: `latest`, `prefix`, `suffix`, "
                "`onlatest`."
            ),
        ),
        ("suffix=-x,onlatest=1", "has the onlatest `1`", "Allowed as onlatest: `true`, `false`."),
        ("onlatest=true,prefix=x", "`onlatest` with nothing before it", "`prefix=v,onlatest=true`"),
        ("prefix={{x}}", "unknown expression `{{x}}`, in `prefix`", GLOBALS),
        ('"prefix=a', "a quote in the wrong place", "double a quote"),
    ],
)
def test_a_malformed_flavor(entry: str, problem: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_flavor(f"latest=auto\n{entry}")

    assert caught.value.what.startswith(f"Input `flavor`, line 2: `{entry}` ")
    assert problem in caught.value.what
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("acme/shop", ("acme/shop",)),
        ("acme/shop,ghcr.io/acme/shop", ("acme/shop", "ghcr.io/acme/shop")),
        ("# none\nAcme/Shop\nname=acme/shop\n", ("acme/shop",)),
        ("name=acme/shop,enable=false\nacme/api,enable=true", ("acme/api",)),
        ("localhost:5000/shop", ("localhost:5000/shop",)),
    ],
)
def test_the_names_of_images(text: str, names: tuple[str, ...]) -> None:
    assert parse_names(text) == names


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("acme/shop:1.2.3", "`acme/shop:1.2.3` has a tag or a digest already"),
        ("acme/shop@sha256:" + "0" * 64, "has a tag or a digest"),
        ("name=acme/shop,enable=no", "has the enable `no`"),
        ('{"tags": ["a:1"]}', "is no image's name"),
        ("nam=acme/shop", "unknown attribute `nam`"),
        ("acme//shop", "acme//shop"),
        ("name=", "no valid image name"),
    ],
)
def test_a_malformed_name_of_an_image(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_names(text)

    assert problem in caught.value.what
    assert caught.value.fix


def test_what_has_no_effect_is_noted() -> None:
    (rule,) = parse_rules("type=sha,event=branch,format=long,format=short")

    assert rule.format == "short"
    assert rule.notes == (
        "`format` stands there twice; the last one counts",
        "`event` has no effect on `type=sha`",
    )


def test_a_types_name_alone_is_a_tag_and_noted() -> None:
    (rule,) = parse_rules("sha")

    assert (rule.type, rule.notes) == (
        "raw",
        ("this is the tag `sha`; the rule is written `type=sha`",),
    )


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x0b", "\x1c"])
def test_only_a_line_end_ends_a_rule(mark: str) -> None:
    (rule,) = parse_rules(f"type=raw,value=x{mark}type=raw,value=y")

    assert rule.type == "raw"


@pytest.mark.parametrize(
    "text", ["{{" + "'" * 4000, "{{!--" * 3000, "{{! " * 3000, " " * 20000 + '"', "{{a=b " * 3000]
)
def test_a_hostile_rule_takes_no_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(UsageError):
        parse_rules(f"type=raw,value={text}")

    # Before it was mended each of them took minutes.
    assert time.process_time() - start < 5


def test_a_date_format_without_quotes_is_noted() -> None:
    rules = parse_rules(
        "type=raw,value={{date YYYY tz='UTC'}}\ntype=schedule,pattern={{commit_date YYYY}}\n"
        "type=raw,value={{date 'YYYY'}}{{sha}}"
    )

    assert [rule.notes for rule in rules] == [
        ("the format in `{{commit_date YYYY}}` has no quotes, so ISO 8601 is written",),
        ("the format in `{{date YYYY tz='UTC'}}` has no quotes, so ISO 8601 is written",),
        (),
    ]


def test_rules_count_by_priority_and_then_as_written() -> None:
    rules = parse_rules("a\nb\ntype=sha\ntype=edge,priority=-1\ntype=schedule\nc,priority=100.5")

    assert [rule.text for rule in rules] == [
        *("type=schedule", "a", "b", "c,priority=100.5", "type=sha", "type=edge,priority=-1"),
    ]


def test_every_type_has_a_priority_of_its_own_as_documented() -> None:
    assert {name: kind.priority for name, kind in TYPES.items()} == {
        "schedule": 1000,
        "semver": 900,
        "pep440": 900,
        "match": 800,
        "edge": 700,
        "ref": 600,
        "raw": 200,
        "sha": 100,
    }
