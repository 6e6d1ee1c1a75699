"""The tags of an image: docker/metadata-action's own cases, what goes beyond, and any ref."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import SHARED
from gitops_promote.core.errors import UsageError
from gitops_promote.core.source import Source
from gitops_promote.core.tags.compute import Computed, compute
from gitops_promote.core.tags.context import CommitDateNeededError, Context
from gitops_promote.core.tags.flavor import parse_flavor
from gitops_promote.core.tags.names import parse_names
from gitops_promote.core.tags.report import Tags
from gitops_promote.core.tags.rules import default_rules, parse_rules
from gitops_promote.effects.ci import read_source
from yaml_texts import EXAMPLES

COMMIT = "860c1904a1ce19322e91ac35af1ab07466440c37"
NOW = datetime(2020, 1, 10, 0, 30, tzinfo=timezone.utc)
# What docker/metadata-action does without `tags`; the default here is another one.
PEER_DEFAULT = "type=schedule\ntype=ref,event=branch\ntype=ref,event=tag\ntype=ref,event=pr"
PEERS = SHARED / "peers" / "metadata-tags.json"


def peer_cases() -> list[Any]:
    if not PEERS.is_file():
        skip = pytest.mark.skip(reason=f"{PEERS} is not there")
        return [pytest.param({}, {}, marks=skip, id="metadata-action")]
    data = json.loads(PEERS.read_text("utf-8"))
    return [
        pytest.param(case, data, id=f"{case['suite']}-{case['case']}") for case in data["cases"]
    ]


@pytest.mark.parametrize(("case", "data"), peer_cases())
def test_a_case_of_metadata_action(
    case: dict[str, Any],
    data: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.chdir(tmp_path)  # some cases are of no job; this is no checkout either
    environ = dict(data["env"][case["event_env"]])
    if case["event_payload"]:
        event = tmp_path / "event.json"
        event.write_text(json.dumps(data["payloads"][case["event_payload"]]), "utf-8")
        environ["GITHUB_EVENT_PATH"] = str(event)
    if case["pr_head_sha"]:
        environ["DOCKER_METADATA_PR_HEAD_SHA"] = "true"
    now = datetime.fromisoformat(data["frozen_time"].replace("Z", "+00:00"))
    source = read_source(environ)
    # Their cases hold the clock still for the commit's date, too, and ask a made-up API.
    branch = source.default_branch or data["default_branch"]
    source = replace(source, commit_date=now, default_branch=branch)
    inputs = {name: "\n".join(lines) for name, lines in case["inputs"].items()}
    images = parse_names(inputs["images"])

    computed = compute(
        parse_rules(inputs.get("tags", PEER_DEFAULT)),
        parse_flavor(inputs.get("flavor", "")),
        Context(source, now),
    )

    expected = case["expected_version"]
    assert computed.version == expected.get("main", "")
    assert list(computed.partial) == expected["partial"]
    assert bool(computed.latest) == expected["latest"]
    assert Tags(computed, images, source, now).references == case["expected_tags"]
    record_property("counts:docker/metadata-action's cases", {"same version and tags": 1})


def tags_of(
    rules: str,
    ref: str = "refs/heads/main",
    flavor: str = "",
    app: str = "",
    **source: Any,  # noqa: ANN401
) -> Computed:
    """The tags of a run for a commit of a branch or a tag."""
    usual = {"commit": COMMIT, "run_id": "42", "default_branch": "main", "event": "push"}
    context = Context(Source(ref=ref, **{**usual, **source}), NOW, app, app)
    return compute(parse_rules(rules), parse_flavor(flavor), context)


@pytest.mark.parametrize(
    ("rule", "tag"),
    [
        ("type=raw,value={{run_id}}", "42"),
        ("type=raw,value={{run_number}}.{{run_attempt}}", "7.2"),
        ("type=raw,value={{app}}-{{sha}}", "shop-860c190"),
        ("type=sha,prefix={{branch}}-", "main-860c190"),
        ("type=raw,value={{branch}},suffix=-{{run_number}}", "main-7"),
        ("type=raw,value={{#if a}}", None),
        ("stable", "stable"),
        ("# a comment\n\n  type=raw , value = a ", "a"),
        ('type=match,"pattern=\\d{1,2}",value=v123', "12"),
        ('"type=match,""pattern=\\d{1,2}""",value=v123', None),
        ('"type=match,""pattern=\\d{1,2}"",value=v123"', "12"),
        ("type=raw,value=a b/c#ü", "a-b-c-"),
        ("type=raw,value={{branch}}", "main"),
        ("type=raw,value={{date 'YYYYMMDD-HHmm' tz='Asia/Tokyo'}}", "20200110-0930"),
        ("type=raw,value={{ date 'YYYY' }}-{{~ branch ~}} -x", "2020-main-x"),
    ],
)
def test_a_rule(rule: str, tag: str | None) -> None:
    def computed() -> str:
        return tags_of(rule, app="shop", run_number="7", run_attempt="2").version

    if tag is None:
        with pytest.raises(UsageError):
            computed()
    else:
        assert computed() == tag


def test_values_in_two_braces_are_escaped_as_handlebars_does() -> None:
    ref = "refs/heads/a&b=c'd"

    assert tags_of("type=raw,value={{branch}}", ref).version == "a-amp-b-x3D-c-x27-d"
    assert tags_of("type=raw,value={{{branch}}}", ref).version == "a-b-c-d"
    assert tags_of("type=raw,value={{&branch}}", ref).version == "a-b-c-d"
    assert tags_of("type=ref,event=branch", ref).version == "a-b-c-d"


@pytest.mark.parametrize(
    ("tag", "app", "version"),
    [
        ("v1.2.3", "shop", "1.2.3"),
        ("shop/v1.2.3", "shop", "1.2.3"),
        ("shop-v1.2.3", "shop", "1.2.3"),
        ("shop-1.2.3", "shop", "1.2.3"),
        ("shop@1.2.3", "shop", "1.2.3"),
        ("services/shop/v1.2.3-rc.1", "shop", "1.2.3-rc.1"),
        ("services/shop/v1.2.3", "services/shop", "1.2.3"),
        ("@acme/shop@1.2.3", "shop", "1.2.3"),
        ("web-shop-v1.2.3", "web-shop", "1.2.3"),
        ("web-shop-v1.2.3", "shop", ""),
        ("shop/v1.2.3", "api", ""),
        ("shop/v1.2.3", "", ""),
        ("shop/-v1.2.3", "", ""),
        ("shop-v1.2", "shop", ""),
        ("shop", "shop", ""),
        ("shopv1.2.3", "shop", ""),
    ],
)
def test_a_version_tag_of_a_monorepo(tag: str, app: str, version: str) -> None:
    computed = tags_of("type=semver,pattern={{version}}", f"refs/tags/{tag}", app=app)

    assert computed.version == version


def test_another_apps_version_is_told() -> None:
    (result,) = tags_of(
        "type=semver,pattern={{version}}", "refs/tags/shop/v1.2.3", app="api"
    ).results

    assert result.why == (
        "the git tag `shop/v1.2.3` is a version of `shop`: if that is the app, name it in `app`; "
        "else take the version out by `match=shop.(.*)`"
    )


@pytest.mark.parametrize(
    ("rule", "ref", "why"),
    [
        ("type=schedule", "refs/heads/main", "the run was started by `push`, not by a schedule"),
        ("type=edge", "refs/heads/dev", "the branch is `dev`, not `main`"),
        ("type=edge", "refs/tags/v1", "`refs/tags/v1` is no branch"),
        ("type=ref,event=tag", "refs/heads/main", "`refs/heads/main` is no git tag"),
        ("type=ref,event=pr", "refs/heads/main", "`refs/heads/main` is no pull request"),
        ("type=semver,pattern={{version}}", "refs/heads/x", "`refs/heads/x` is no git tag"),
        (
            "type=pep440,pattern={{version}}",
            "refs/tags/x",
            "the git tag `x` is no version by PEP 440",
        ),
        (
            "type=semver,pattern={{version}},match=a(.*)",
            "refs/tags/v1",
            "the git tag `v1` (which `match` doesn't match) is no semantic version",
        ),
        ("type=match,pattern=x", "refs/tags/v1", "`pattern` doesn't match the git tag `v1`"),
        (
            "type=match,pattern=v,group=2",
            "refs/tags/v1",
            "`pattern` matches the git tag `v1`, but has no group 2 there",
        ),
        ("type=raw,value=a,enable=false", "refs/heads/main", "`enable` is false"),
        ("type=raw,value=", "refs/heads/main", "it comes out empty"),
        ("type=raw,value={{tag}}", "refs/heads/main", "it comes out empty"),
        (
            "type=raw,value=-x",
            "refs/heads/main",
            "`-x` begins with `-`, which no registry takes",
        ),
        (
            "type=raw,value={{tag}}-{{sha}}",
            "refs/heads/main",
            "`-860c190` begins with `-`, which no registry takes (`{{tag}}` is empty here)",
        ),
        (
            "type=ref,event=branch",
            "refs/heads/" + "a" * 129,
            f"`{'a' * 40}…` has 129 characters; registries take 128",
        ),
    ],
)
def test_why_a_rule_gives_no_tag(rule: str, ref: str, why: str) -> None:
    computed = tags_of(rule, ref)

    assert not computed.tags
    assert [result.why for result in computed.results] == [why]


def test_edge_without_a_known_default_branch() -> None:
    (result,) = tags_of("type=edge", default_branch="").results

    assert result.why == "the default branch isn't known here; name it in `branch`"
    assert tags_of("type=edge,branch=main", default_branch="").version == "edge"


def test_tags_stand_once_and_by_priority() -> None:
    rules = (
        "type=sha\ntype=semver,pattern={{major}}.{{minor}}\ntype=semver,pattern={{version}}\n"
        "type=raw,value=latest\ntype=raw,value=1.2\ntype=ref,event=tag,priority=950"
    )

    computed = tags_of(rules, "refs/tags/v1.2.3")

    assert computed.tags == ("v1.2.3", "1.2", "1.2.3", "latest", "sha-860c190")


def test_latest_with_prefix_and_suffix() -> None:
    flavor = "latest=true\nprefix={{app}}-,onlatest=true,suffix=-x"

    computed = tags_of("type=sha", flavor=flavor, app="shop")

    assert computed.tags == ("sha-860c190-x", "shop-latest")


def test_the_commits_date_is_asked_for_only_where_a_rule_that_counts_writes_it() -> None:
    rules = "type=schedule,pattern={{commit_date 'YYYY'}}\ntype=raw,value={{commit_date 'YYYY'}}"

    with pytest.raises(CommitDateNeededError):
        tags_of(rules)
    assert tags_of(f"{rules},enable=false").tags == ()
    assert tags_of(rules, commit_date=NOW).tags == ("2020",)


@pytest.mark.parametrize(
    ("rule", "ref", "moves"),
    [
        ("type=edge", "refs/heads/main", "each build of `main` takes it"),
        ("type=edge,suffix=-{{sha}}", "refs/heads/main", ""),
        ("type=ref,event=branch", "refs/heads/main", "each build of the branch takes it"),
        ("type=ref,event=branch,suffix=-{{run_id}}", "refs/heads/main", ""),
        (
            "type=ref,event=branch,suffix=-{{run_attempt}}",
            "refs/heads/main",
            "each build of the branch",
        ),
        (
            "type=ref,event=branch,suffix=-{{date 'HHmm'}}",
            "refs/heads/main",
            "each build of the branch",
        ),
        ("type=ref,event=branch,suffix=-{{date 'YYYYMMDDHHmm'}}", "refs/heads/main", ""),
        ("type=ref,event=branch,prefix={{sha}}-", "refs/heads/main", ""),
        (
            "type=ref,event=branch,suffix=-{{date 'YYYY'}}",
            "refs/heads/main",
            "each build of the branch",
        ),
        ("type=ref,event=pr", "refs/pull/7/merge", "each build of the pull request takes it"),
        ("type=ref,event=tag", "refs/tags/v1", ""),
        ("type=sha", "refs/heads/main", ""),
        ("type=semver,pattern={{version}}", "refs/tags/v1.2.3", ""),
        ("type=semver,pattern={{raw}}", "refs/tags/v1.2.3", ""),
        ("type=semver,pattern={{major}}.{{minor}}.{{patch}}", "refs/tags/v1.2.3", ""),
        ("type=semver,pattern={{major}}.{{minor}}", "refs/tags/v1.2.3", "each release of it"),
        ("type=semver,pattern={{major}}", "refs/tags/v1.2.3-rc.1", ""),
        ("type=pep440,pattern={{major}}", "refs/tags/1.2", "each release of it"),
        (r"type=match,pattern=v(.*),group=1", "refs/tags/v1.2.3", ""),
        (r"type=match,pattern=\d\.\d", "refs/tags/v1.2.3", "it is a part of the git tag"),
        (r"type=match,pattern=\d{8}", "refs/tags/20200110-RC2", "it is a part of the git tag"),
        ("type=raw,value={{branch}}", "refs/heads/main", "each build of the branch takes it"),
        ("type=raw,value={{branch}}-{{sha}}", "refs/heads/main", ""),
        ("type=raw,value={{date 'YYYYMMDD'}}", "refs/heads/main", "another build can have"),
        ("type=raw,value={{date 'YYYYmmDD'}}", "refs/heads/main", "another build can have"),
        ("type=raw,value=x{{run_attempt}}", "refs/heads/main", "nothing in it is of one"),
        ("type=raw,value=x-{{tag}}", "refs/heads/main", "nothing in it is of one"),
        ("type=raw,value=x-{{tag}}", "refs/tags/v1", ""),
        ("type=raw,value=x{{base_ref}}", "refs/tags/v1", "each build of the branch"),
        (r"type=match,pattern=\d", "refs/tags/v2.1.2", "it is a part of the git tag"),
        (r"type=match,pattern=\d+\.\d+\.\d+", "refs/tags/v1.2.3-alpha", "it is a part of"),
        (r"type=match,pattern=\d+\.\d+\.\d+", "refs/tags/v1.2.3-linux", ""),
        (
            r"type=semver,pattern={{version}},match=v(\d+\.\d+\.\d+)",
            "refs/tags/v1.2.3-rc.1",
            "it is a part of",
        ),
        ("type=semver,pattern={{version}},value={{branch}}", "refs/heads/1.2.3", "each build of"),
        ("type=semver,pattern={{version}},value=1.2.3", "refs/heads/1.2.3", ""),
        ("type=pep440,pattern={{major}}.{{minor}}.{{patch}}", "refs/tags/1.2.3.4", "each release"),
        ("type=pep440,pattern={{major}}.{{minor}}.{{patch}}", "refs/tags/1.2", ""),
        ("type=raw,value={{date 'x'}}", "refs/heads/main", ""),
        ("type=raw,value=1.2.3", "refs/heads/main", ""),
        ("type=match,pattern=.*,value={{branch}}", "refs/heads/main", "each build of the branch"),
    ],
)
def test_why_a_tag_moves(rule: str, ref: str, moves: str) -> None:
    found = tags_of(rule, ref).mutable or ""

    assert found.startswith(moves)
    assert bool(found) == bool(moves)


def test_a_nightly_moves_and_a_dated_one_does_not() -> None:
    nightly = tags_of("type=schedule", event="schedule")
    dated = tags_of("type=schedule,pattern={{date 'YYYYMMDD'}}", event="schedule")

    assert (nightly.version, nightly.mutable) == ("nightly", "each scheduled run takes it")
    assert (dated.version, dated.mutable) == ("20200110", None)


def default_tag(source: Source) -> str:
    rules = default_rules(in_run=bool(source.run_id))
    return compute(
        rules, parse_flavor("latest=false"), Context(source, NOW, commit_digits=12)
    ).version


@pytest.mark.parametrize(
    ("ref", "tag"),
    [
        ("refs/tags/v1.2.3", "1.2.3"),
        ("refs/tags/1.2.3", "1.2.3"),
        ("refs/tags/v1.2.3-rc.1", "1.2.3-rc.1"),
        ("refs/tags/v1.2.3+build.5", "1.2.3"),
        ("refs/tags/v1.2", "860c1904a1ce-42"),
        ("refs/tags/v01.2.3", "860c1904a1ce-42"),
        ("refs/tags/latest", "860c1904a1ce-42"),
        ("refs/tags/vv1.2.3", "860c1904a1ce-42"),
        ("refs/tags/v1.0.0-" + "a" * 130, "860c1904a1ce-42"),
        ("refs/heads/v1.2.3", "860c1904a1ce-42"),
        ("refs/pull/7/merge", "860c1904a1ce-42"),
        ("", "860c1904a1ce-42"),
    ],
)
def test_the_default_tag(ref: str, tag: str) -> None:
    assert default_tag(Source(commit=COMMIT, ref=ref, run_id="42")) == tag


def test_the_default_tag_outside_of_a_run_is_the_commit_alone() -> None:
    assert default_tag(Source(commit=COMMIT)) == "860c1904a1ce"
    assert default_tag(Source()) == ""


# Every rule there is, and templates with every expression.
ALL_RULES = r"""
type=schedule
type=schedule,pattern={{date 'YYYYMMDD'}}
type=semver,pattern={{version}}
type=semver,pattern={{raw}}
type=semver,pattern={{major}}.{{minor}}
type=semver,pattern={{version}},value={{branch}},match=(\d.*)
type=pep440,pattern={{version}}
type=pep440,pattern={{raw}}{{patch}}
type=match,pattern=v?(.+),group=1
type=match,pattern=/[^a-z]*/gi
type=edge
type=ref,event=branch
type=ref,event=tag
type=ref,event=pr
type=raw,value={{branch}}{{tag}}{{base_ref}}
type=raw,value={{{branch}}}-{{{tag}}}
type=raw,value={{app}}-{{run_id}}-{{run_number}}-{{run_attempt}},prefix={{sha}}
type=raw,value={{date 'dddd'}},suffix={{tag}},enable={{is_not_default_branch}}
type=sha
type=sha,format=long,prefix={{branch}},enable={{is_default_branch}}
"""
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


def ref_names() -> st.SearchStrategy[str]:
    """Names that git-check-ref-format(1) lets a branch or a tag have."""
    forbidden = re.compile(
        r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|^\.|/\.|\.$|\.lock(?:/|$)|^@$|^-"
    )
    alphabet = st.characters(codec="utf-8")
    likely = st.text(st.sampled_from("av10.-_/@+&=#ü\u0661"), min_size=1, max_size=40)
    versions = st.from_regex(r"(shop[/@-])?v?\d{1,3}\.\d{1,3}(\.\d{1,3})?([-+][a-z0-9.]{1,140})?")
    some = st.one_of(st.text(alphabet, min_size=1, max_size=200), likely, versions)
    return some.map(str.strip).filter(lambda name: bool(name) and not forbidden.search(name))


@settings(max_examples=EXAMPLES)
@given(
    ref=st.sampled_from(["refs/heads/{}", "refs/tags/{}", "refs/pull/7/merge"]),
    name=ref_names(),
    base=ref_names(),
    event=st.sampled_from(["push", "schedule", "pull_request", "workflow_dispatch"]),
    flavor=st.sampled_from(["", "latest=true,prefix={{branch}}-", "suffix={{tag}},onlatest=true"]),
)
def test_any_ref_gives_tags_that_registries_take_and_twice_the_same(
    ref: str, name: str, base: str, event: str, flavor: str
) -> None:
    source = Source(
        COMMIT, ref.format(name), run_id="42", event=event, base_ref=base, default_branch=base
    )

    def computed() -> Computed:
        return compute(
            parse_rules(ALL_RULES), parse_flavor(flavor), Context(source, NOW, "shop", "shop")
        )

    assert all(TAG.fullmatch(tag) for tag in computed().tags)
    first, second = computed(), computed()
    assert first.tags == second.tags
    assert [result.why for result in first.results] == [result.why for result in second.results]
    assert TAG.fullmatch(default_tag(source))
