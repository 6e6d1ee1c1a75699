"""What is known of a run: from the job's environment and event, else from the checkout."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import COMMIT, JOB
from gitops_promote.core.source import Source
from gitops_promote.effects.ci import read_source
from gitops_promote.effects.event import Event
from servers import git, make_bare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OTHER = "f" * 40
SHA256 = "0123456789abcdef" * 4
WHEN = "2024-05-06T07:08:09+02:00"
MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2)))
REPOSITORY = {"default_branch": "main", "description": "A shop", "license": {"spdx_id": "MIT"}}
PULL_REQUEST = {
    "number": 7,
    "pull_request": {"base": {"ref": "release/1.x"}, "head": {"sha": OTHER}},
    "repository": REPOSITORY,
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Source]:
    """Read the source of a job with this event; bytes are the file as it is."""

    def call(payload: object = None, **environ: str) -> Source:
        file = tmp_path / "event.json"
        file.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        return read_source({**JOB, "GITHUB_EVENT_PATH": str(file), **environ})

    return call


# --- a job ---


def test_the_environment_of_a_job() -> None:
    numbers = {"GITHUB_RUN_NUMBER": "11", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_EVENT_NAME": "push"}

    assert read_source({**JOB, **numbers}) == Source(
        commit=COMMIT,
        ref="refs/heads/main",
        repository="acme/shop",
        server_url="https://github.com",
        run_id="42",
        actor="octocat",
        actor_id="583231",
        run_number="11",
        run_attempt="2",
        event="push",
    )


def test_what_the_event_says_of_the_repository(read: Callable[..., Source]) -> None:
    source = read({"repository": REPOSITORY})

    assert (source.default_branch, source.description, source.license) == ("main", "A shop", "MIT")


def test_a_schedule_runs_on_the_default_branch(read: Callable[..., Source]) -> None:
    payload = {"schedule": "0 3 * * *"}

    assert read(payload, GITHUB_EVENT_NAME="schedule").default_branch == "main"
    assert read(payload, GITHUB_EVENT_NAME="push").default_branch == ""
    named = {**payload, "repository": {"default_branch": "trunk"}}
    assert read(named, GITHUB_EVENT_NAME="schedule").default_branch == "trunk"


@pytest.mark.parametrize(
    ("ref", "base"),
    [
        ("refs/tags/v1.0.0", "main"),
        ("refs/pull/7/merge", "release/1.x"),
        ("refs/heads/main", ""),
    ],
)
def test_the_base_ref_is_of_tags_and_pull_requests(
    read: Callable[..., Source], ref: str, base: str
) -> None:
    payload = {**PULL_REQUEST, "base_ref": "refs/heads/main"}

    assert read(payload, GITHUB_REF=ref).base_ref == base


def test_a_pull_request_target_has_the_ref_of_its_pull_request(
    read: Callable[..., Source],
) -> None:
    source = read(PULL_REQUEST, GITHUB_EVENT_NAME="pull_request_target")

    assert source.ref == "refs/pull/7/merge"
    assert source.pull_request == "7"
    assert source.base_ref == "release/1.x"
    assert source.commit == COMMIT
    assert read(PULL_REQUEST, GITHUB_EVENT_NAME="pull_request").ref == JOB["GITHUB_REF"]


@pytest.mark.parametrize("number", [None, "7", 7.0, True, 0, -7, 10**30, "7/../../heads/main"])
def test_a_pull_request_without_a_number_keeps_its_ref(
    read: Callable[..., Source], number: object
) -> None:
    source = read({**PULL_REQUEST, "number": number}, GITHUB_EVENT_NAME="pull_request_target")

    assert source.ref == JOB["GITHUB_REF"]


@pytest.mark.parametrize(
    ("event", "setting", "commit"),
    [
        ("pull_request", "true", OTHER),
        ("pull_request_target", "TRUE", OTHER),
        ("pull_request_review", "is true", OTHER),
        ("pull_request", "false", COMMIT),
        ("pull_request", "", COMMIT),
        ("push", "true", COMMIT),
    ],
)
def test_the_head_of_a_pull_request_where_it_is_wanted(
    read: Callable[..., Source], event: str, setting: str, commit: str
) -> None:
    found = read(PULL_REQUEST, GITHUB_EVENT_NAME=event, DOCKER_METADATA_PR_HEAD_SHA=setting)

    assert found.commit == commit


@pytest.mark.parametrize("head", [None, 7, "", "main", OTHER[1:], OTHER + "\n", "--upload-pack=x"])
def test_a_head_that_is_no_hash_is_none(read: Callable[..., Source], head: object) -> None:
    payload = {"pull_request": {"head": {"sha": head}}}
    wanted = {"GITHUB_EVENT_NAME": "pull_request", "DOCKER_METADATA_PR_HEAD_SHA": "true"}

    assert read(payload, **wanted).commit == COMMIT


@pytest.mark.parametrize(
    ("commit", "found"), [(SHA256, SHA256), ("HEAD", ""), ("-x", ""), (COMMIT.upper(), "")]
)
def test_the_commit_of_a_job_is_a_hash(
    read: Callable[..., Source], commit: str, found: str
) -> None:
    assert read(GITHUB_SHA=commit).commit == found


# --- the commit's date ---


@pytest.mark.parametrize(
    "payload",
    [
        {"head_commit": {"id": COMMIT, "timestamp": WHEN}},
        {"commits": [{"id": OTHER, "timestamp": "x"}, {"id": COMMIT, "timestamp": WHEN}]},
        {
            "commits": [None, {"id": COMMIT}, {"id": COMMIT, "timestamp": WHEN}],
            "head_commit": {"id": COMMIT, "timestamp": "2001-01-01T00:00:00Z"},
        },
        {"commits": {"id": COMMIT}, "head_commit": {"id": COMMIT, "timestamp": WHEN}},
    ],
)
def test_the_date_of_a_commit_that_was_pushed(
    read: Callable[..., Source], payload: Mapping[str, object]
) -> None:
    date = read(payload).commit_date

    assert date == MOMENT
    assert date is not None
    assert date.utcoffset() == timedelta(hours=2)


def test_the_date_is_of_no_other_commit(read: Callable[..., Source]) -> None:
    told = {"id": OTHER, "timestamp": WHEN}

    assert read({"commits": [told], "head_commit": told}).commit_date is None
    assert read({"head_commit": {"id": "", "timestamp": WHEN}}, GITHUB_SHA="").commit_date is None


@pytest.mark.parametrize(
    ("timestamp", "utc"),
    [
        ("2024-05-06T07:08:09Z", "2024-05-06T07:08:09"),
        ("2024-05-06T07:08:09.1234567Z", "2024-05-06T07:08:09"),
        ("2024-05-06T07:08:09-12:00", "2024-05-06T19:08:09"),
        ("2024-05-06 07:08:09+05:45", "2024-05-06T01:23:09"),
        ("2024-05-06T07:08:09", None),
        ("2024-05-06", None),
        ("2024-13-06T07:08:09Z", None),
        ("2024-05-06T07:08:09+99:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("٢٠٢٤-05-06T07:08:09Z", None),
        ("2024-05-06T07:08:09Z\n", None),
        (1714979289, None),
        (None, None),
    ],
)
def test_the_forms_of_a_timestamp(timestamp: object, utc: str | None) -> None:
    date = Event({"head_commit": {"id": COMMIT, "timestamp": timestamp}}).date_of(COMMIT)

    assert (date and date.astimezone(timezone.utc).isoformat()) == (utc and f"{utc}+00:00")


# --- hostile events ---


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b"[]", b'"text"', b"{", b"\xff\xfe", b'{"a": \xe9}', b"NaN"),
        *(b"[" * 100_000, b'{"number": ' + b"9" * 5_000 + b"}"),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_file_that_holds_no_event(read: Callable[..., Source], content: bytes) -> None:
    assert read(content) == read_source(JOB)


@pytest.mark.parametrize("path", ["", "/nowhere/event.json", "/", "\0"])
def test_a_file_that_is_not_there(path: str) -> None:
    assert read_source({**JOB, "GITHUB_EVENT_PATH": path}) == read_source(JOB)


@pytest.mark.parametrize("wrong", [None, 7, True, [], {}, ["main"], {"ref": "x"}])
def test_wrong_types_count_as_absent(read: Callable[..., Source], wrong: object) -> None:
    keys = ("repository", "pull_request", "base_ref", "number", "commits", "head_commit")
    inner = {
        "repository": {"default_branch": wrong, "description": wrong, "license": wrong},
        "pull_request": {"base": {"ref": wrong}, "head": {"sha": wrong}},
        "commits": [wrong, {"id": COMMIT, "timestamp": wrong}],
    }
    environ = {"GITHUB_EVENT_NAME": "pull_request_target", "DOCKER_METADATA_PR_HEAD_SHA": "true"}
    expected = read_source({**JOB, **environ})
    if wrong == 7:
        wrong = -7  # as a number it is right

    assert read(dict.fromkeys(keys, wrong), **environ) == expected
    assert read(inner, **environ) == expected


@pytest.mark.parametrize("bad", ["\ud800", "\n", "\0", "\x1b[2J", "\x85"])
def test_text_that_is_none_is_left_out(read: Callable[..., Source], bad: str) -> None:
    name = f"a{bad}b"
    repository = {"default_branch": name, "description": f" {name} ", "license": {"spdx_id": name}}
    payload = {"base_ref": name, "repository": repository}
    source = read(payload, GITHUB_REF="refs/tags/v1")

    assert (source.default_branch, source.license, source.base_ref) == ("", "", "")
    assert re.fullmatch(r"a [^\x00-\x1f]*b", source.description)


def test_a_ref_that_is_no_text() -> None:
    # As Python has the byte E9 of an environment.
    source = read_source({**JOB, "GITHUB_REF": "refs/heads/caf\udce9"})

    assert source.branch == "caf\N{REPLACEMENT CHARACTER}"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["repository", "license", "base", "ref", "id", "timestamp", "spdx_id"]),
            inner,
        )
    ),
)
_KEYS = ["repository", "pull_request", "base_ref", "number", "commits", "head_commit"]


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON))
def test_no_event_fails(payload: dict[str, Any]) -> None:
    event = Event(payload)
    texts = [event.default_branch, event.description, event.license, event.pushed_from]

    for text in [*texts, event.pull_request_base, event.pull_request_head]:
        assert text.encode() is not None
        assert not re.search(r"[\x00-\x1f\x7f]", text)
    assert event.number >= 0
    assert event.date_of(COMMIT) is None


# --- events of real runs ---


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "push_dev",
            Source(
                ref="refs/heads/dev",
                event="push",
                run_number="15",
                commit="860c1904a1ce19322e91ac35af1ab07466440c37",
                commit_date=datetime(2022, 4, 19, 9, 27, 24, tzinfo=timezone.utc),
            ),
        ),
        (
            "tag_v1.1.1",
            Source(
                ref="refs/tags/v1.1.1",
                event="push",
                run_number="21",
                base_ref="master",
                commit="860c1904a1ce19322e91ac35af1ab07466440c37",
                commit_date=datetime(2022, 4, 19, 9, 39, 35, tzinfo=timezone.utc),
            ),
        ),
        (
            "pull_request",
            Source(
                ref="refs/pull/15/merge",
                event="pull_request",
                run_number="11",
                base_ref="master",
                commit="a9c8c5828b91be19d9728548b24759e352367ef1",
            ),
        ),
        (
            "pull_request_target",
            Source(
                ref="refs/pull/15/merge",
                event="pull_request_target",
                run_number="10",
                base_ref="master",
                commit="266574110acf203503badf966df2ea24b5d732d7",
            ),
        ),
        (
            "schedule",
            Source(
                ref="refs/heads/master",
                event="schedule",
                run_number="24",
                commit="860c1904a1ce19322e91ac35af1ab07466440c37",
            ),
        ),
        (
            "workflow_dispatch",
            Source(
                ref="refs/heads/master",
                event="workflow_dispatch",
                run_number="23",
                commit="860c1904a1ce19322e91ac35af1ab07466440c37",
            ),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_events_of_real_runs(
    read: Callable[..., Source], peers: Path, name: str, expected: Source
) -> None:
    cases = json.loads((peers / "metadata-tags.json").read_text("utf-8"))
    source = read(cases["payloads"][f"event_{name}.json"], **cases["env"][f"event_{name}.env"])
    fields = ("commit", "ref", "event", "run_number", "base_ref", "commit_date")

    assert [getattr(source, key) for key in fields] == [getattr(expected, key) for key in fields]
    assert source.default_branch == cases["default_branch"]
    assert source.run_attempt == "1"
    assert source.repository == "docker/test-docker-action"
    if name != "schedule":
        assert source.license == "MIT"
        assert source.description == 'Test "Docker" Actions'


# --- a checkout ---


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Read the source of a checkout with these tags at its commit."""

    def call(*tags: str, app: str = "") -> Source:
        git("init", "--quiet", "--template=", tmp_path)
        git("-C", tmp_path, "symbolic-ref", "HEAD", "refs/heads/main")
        git("-C", tmp_path, "commit", "--quiet", "--allow-empty", "-m", "x")
        for tag in tags:
            git("-C", tmp_path, "tag", tag)
        monkeypatch.chdir(tmp_path)
        return read_source({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, app)

    return call


@pytest.fixture
def here(tmp_path: Path) -> Callable[..., Source]:
    """Read the source of the current folder as it is now."""

    def call(app: str = "") -> Source:
        return read_source({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, app)

    return call


def test_a_checkout_tells_its_commit_and_branch(checkout: Callable[..., Source]) -> None:
    source = checkout()

    assert re.fullmatch("[0-9a-f]{40}", source.commit)
    assert source == Source(commit=source.commit, ref="refs/heads/main")


def test_where_there_is_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"PATH": os.environ["PATH"], "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}

    assert read_source(environ) == Source()
    assert read_source({"PATH": ""}, "shop") == Source()


@pytest.mark.parametrize(
    ("app", "tags", "tag"),
    [
        ("", ["v1.9.0", "v1.10.0"], "v1.10.0"),
        ("", ["v2.0.0-rc.1", "v2.0.0"], "v2.0.0"),
        ("", ["3.1.4", "nightly"], "3.1.4"),
        ("", ["shop/v1.0.0", "shop-v1.0.0"], ""),
        ("shop", ["shop/v1.0.0", "v9.0.0"], "shop/v1.0.0"),
        ("shop", ["shop-v1.0.0", "v9.0.0"], "shop-v1.0.0"),
        ("shop", ["shop@1.0.0", "v9.0.0"], "shop@1.0.0"),
        ("shop", ["shop@v1.0.0", "9.0.0"], "shop@v1.0.0"),
        ("shop", ["shop/1.0.0", "v9.0.0"], "shop/1.0.0"),
        ("shop", ["services/eu/shop/v1.0.0", "v9.0.0"], "services/eu/shop/v1.0.0"),
        ("eu/shop", ["services/eu/shop/v1.0.0", "v9.0.0"], "services/eu/shop/v1.0.0"),
        ("shop", ["shop/v1.9.0", "shop/v1.10.0", "v9.0.0"], "shop/v1.10.0"),
        ("shop", ["shop-v2.0.0-rc.1", "shop-v2.0.0"], "shop-v2.0.0"),
        ("shop", ["shop/v2"], "shop/v2"),
        ("shop", ["v9.0.0"], "v9.0.0"),
        ("shop", ["workshop/v1.0.0", "shop-2/v1.0.0", "shop-2-v1.0.0", "shop/latest"], ""),
        ("shop", ["shop/v1.0.0", "shop-api/v2.0.0", "shop-2/v3.0.0"], "shop/v1.0.0"),
        ("s.op", ["shop/v1.0.0"], ""),
        ("s*", ["shop/v1.0.0"], ""),
        ("[shop", ["v1.0.0"], "v1.0.0"),
    ],
)
def test_the_version_tags_of_a_checkout(
    checkout: Callable[..., Source], app: str, tags: list[str], tag: str
) -> None:
    assert checkout(*tags, app=app).tag == tag


def test_a_tag_of_another_commit_does_not_count(
    checkout: Callable[..., Source], here: Callable[..., Source], tmp_path: Path
) -> None:
    checkout("shop/v1.0.0", "nightly")
    git("-C", tmp_path, "commit", "--quiet", "--allow-empty", "-m", "y")

    assert here("shop").ref == "refs/heads/main"
    git("-C", tmp_path, "checkout", "--quiet", "--detach")
    assert here("shop").ref == ""


@pytest.mark.parametrize(
    ("tags", "branch", "detached"),
    [
        (["nightly"], "refs/heads/main", "refs/tags/nightly"),
        (["build-9", "build-10"], "refs/heads/main", "refs/tags/build-10"),
        (["v1.0.0", "nightly"], "refs/tags/v1.0.0", "refs/tags/v1.0.0"),
        ([], "refs/heads/main", ""),
    ],
)
def test_any_tag_counts_where_head_is_on_no_branch(
    checkout: Callable[..., Source],
    here: Callable[..., Source],
    tmp_path: Path,
    tags: list[str],
    branch: str,
    detached: str,
) -> None:
    assert checkout(*tags).ref == branch
    git("-C", tmp_path, "checkout", "--quiet", *(tags[-1:] or ["--detach"]))
    assert here().ref == detached


def test_the_tag_that_was_made_last(
    checkout: Callable[..., Source], here: Callable[..., Source], tmp_path: Path
) -> None:
    checkout("z-light")
    for name, year in (("b", 2041), ("a", 2042), ("c", 2040)):
        when = {"GIT_COMMITTER_DATE": f"{year}-01-01T00:00:00Z"}
        git("-C", tmp_path, "tag", "-a", "-m", "x", name, env=when)
    git("-C", tmp_path, "checkout", "--quiet", "--detach")

    assert here().tag == "a"


def test_settings_for_lists_change_no_tag(
    checkout: Callable[..., Source], here: Callable[..., Source], tmp_path: Path
) -> None:
    checkout("v1.9.0", "v1.10.0")
    for key, value in (("column.ui", "always"), ("tag.sort", "-refname"), ("color.ui", "always")):
        git("-C", tmp_path, "config", key, value)

    assert here().tag == "v1.10.0"


def test_the_default_branch_as_the_clone_notes_it(
    checkout: Callable[..., Source], here: Callable[..., Source], tmp_path: Path
) -> None:
    checkout()
    noted = "refs/remotes/origin/HEAD"
    git("-C", tmp_path, "symbolic-ref", noted, "refs/remotes/origin/release/1.x")

    assert here().default_branch == "release/1.x"
    git("-C", tmp_path, "checkout", "--quiet", "--detach")
    assert here().default_branch == "release/1.x"
    git("-C", tmp_path, "symbolic-ref", noted, "refs/heads/main")
    assert here().default_branch == ""


def test_a_clone_is_on_the_default_branch(
    here: Callable[..., Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = make_bare(tmp_path / "origin", {"x": b""}, "trunk")
    git("clone", "--quiet", bare, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    source = here()

    assert (source.branch, source.default_branch) == ("trunk", "trunk")


@pytest.mark.parametrize("path", [":{}", ".:{}", "bin:{}", "./bin:{}"])
@pytest.mark.skipif(sys.platform == "win32", reason="the program is a script for POSIX")
def test_no_git_of_the_checkout_runs(
    checkout: Callable[..., Source], tmp_path: Path, path: str
) -> None:
    expected = checkout()
    marker = tmp_path / "ran"
    for folder in (tmp_path, tmp_path / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "git").write_text(f"#!/bin/sh\ntouch '{marker}'\n", encoding="utf-8")
        (folder / "git").chmod(0o755)
    environ = {"PATH": path.replace("{}", os.environ["PATH"]), "HOME": str(tmp_path)}

    assert read_source(environ) == expected
    assert not marker.exists()
