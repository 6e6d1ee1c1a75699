"""The commit's date where no event tells it: by checkout or the job's server; never guessed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.source import Source
from gitops_promote.effects.git.source_repository import DEPTH, commit_date
from gitops_promote.effects.retry import TRIES
from servers import GitHttpServer, git, make_bare

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "ghs_a-token-of-the-tests-0123456789"
SECONDS = 1715000000
MOMENT = datetime.fromtimestamp(SECONDS, timezone.utc)
LARGE = os.urandom(200_000)
MISSING = "1" * 40

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is in no checkout."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A job's environment, whose temporary folder must be empty afterwards."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    yield {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "RUNNER_TEMP": str(temporary),
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "GITHUB_ACTIONS": "true",
        "GITOPS_PROMOTE_JOB_TOKEN": TOKEN,
    }
    assert list(temporary.iterdir()) == []


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The app's repository; as GitHub's server does, it leaves out what isn't asked for."""
    bare = make_bare(tmp_path / "srv" / "acme" / "shop", {"large": LARGE})
    git("--git-dir", bare, "config", "uploadpack.allowFilter", "true")
    return bare


def add_commit(bare: Path, parent: str = "", ref: str = "", date: str = f"{SECONDS} +0000") -> str:
    """Commit the tree of `main` again; without `ref` nothing points to it."""
    parents = ("-p", parent) if parent else ()
    # The two dates differ, as after a rebase.
    dates = {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": f"{SECONDS - 999} +0000"}
    here = ("--git-dir", bare)
    made = git(*here, "commit-tree", "main^{tree}", *parents, "-m", "x", env=dates)
    commit = made.decode().strip()
    if ref:
        git(*here, "update-ref", ref, commit)
    return commit


def refused(source: Source, environ: dict[str, str]) -> PromoteError:
    """The error where no date is found, checked for what every error must be."""
    with pytest.raises(PromoteError) as caught:
        commit_date(source, environ)
    error = caught.value
    assert error.what.endswith(".")
    assert ".." not in error.what
    assert error.fix.endswith(".")
    assert "\n" not in str(error)
    assert "config-repository" not in str(error)
    assert TOKEN not in str(error)
    return error


def job(server: GitHttpServer, commit: str, ref: str = "refs/heads/main") -> Source:
    return Source(commit=commit, ref=ref, repository="acme/shop", server_url=server.url)


def serve(bare: Path) -> GitHttpServer:
    return GitHttpServer(bare.parent.parent, {TOKEN: "read"})


@pytest.mark.parametrize("commit", ["", "HEAD", "--all"])
def test_without_a_commit_there_is_no_date(environ: dict[str, str], commit: str) -> None:
    error = refused(Source(commit=commit, repository="acme/shop", server_url="https://x"), environ)
    assert "no commit is" in error.what


# --- the checkout ---


@pytest.mark.parametrize("workspace", ["", "/", "/nowhere", None])
def test_the_checkout_tells(
    bare: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, workspace: str | None
) -> None:
    commit = add_commit(bare)
    if workspace is None:
        environ["GITHUB_WORKSPACE"] = str(bare)
    else:
        environ["GITHUB_WORKSPACE"] = workspace
        monkeypatch.chdir(bare)
    with serve(bare) as server:
        date = commit_date(job(server, commit), environ)

    assert date == MOMENT
    assert date.tzinfo is not None
    assert server.requests == []


def test_outside_of_a_job_only_the_checkout_is_asked(bare: Path, environ: dict[str, str]) -> None:
    error = refused(Source(commit=MISSING), environ)
    assert "no checkout here has it" in error.what
    assert "git checkout that has the commit" in error.fix
    environ["GITHUB_WORKSPACE"] = str(bare)
    assert commit_date(Source(commit=add_commit(bare)), environ) == MOMENT
    assert "no checkout here has it" in refused(Source(commit=MISSING), environ).what


def test_nothing_of_the_checkout_has_a_part(
    bare: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    commit, other = add_commit(bare), add_commit(bare, date="@1 +0000")
    git("--git-dir", bare, "replace", commit, other)
    marker = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{marker}'\n", encoding="utf-8")
    program.chmod(0o755)
    for key in ("gpg.program", "core.pager", "core.fsmonitor", "core.sshCommand"):
        git("--git-dir", bare, "config", key, program)
    for key in ("log.showSignature", "log.mailmap"):
        git("--git-dir", bare, "config", key, "true")
    environ["GITHUB_WORKSPACE"] = str(bare)

    assert commit_date(Source(commit=commit), environ) == MOMENT
    assert not marker.exists()


def test_a_partial_checkout_fetches_nothing(
    bare: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    commit = add_commit(bare)
    with GitHttpServer(bare.parent.parent) as server:
        clone = tmp_path / "clone"
        url = f"{server.url}/acme/shop"
        git("clone", "--quiet", "--bare", "--filter=blob:none", url, clone)
        server.requests.clear()
        environ["GITHUB_WORKSPACE"] = str(clone)
        assert "no checkout here has it" in refused(Source(commit=commit), environ).what
        assert server.requests == []


# --- the server ---


def test_the_server_tells_and_sends_no_file(bare: Path, environ: dict[str, str]) -> None:
    # Nothing points to the commit, as to that of a pull request that was pushed to again.
    commit = add_commit(bare, parent=add_commit(bare, ref="refs/heads/main"))
    with serve(bare) as server:
        date = commit_date(job(server, commit, "refs/pull/7/merge"), environ)

    assert date == MOMENT
    assert date.tzinfo is not None
    assert all(request.authorized for request in server.requests)
    assert len(server.requests) == 2
    assert server.sent < 1_000


def test_a_public_repository_needs_no_token(bare: Path, environ: dict[str, str]) -> None:
    del environ["GITOPS_PROMOTE_JOB_TOKEN"]
    with GitHttpServer(bare.parent.parent) as server:
        assert commit_date(job(server, add_commit(bare)), environ) == MOMENT
    assert not any(request.authorized for request in server.requests)


def test_a_server_without_filters(bare: Path, environ: dict[str, str]) -> None:
    git("--git-dir", bare, "config", "uploadpack.allowFilter", "false")
    with serve(bare) as server:
        assert commit_date(job(server, add_commit(bare)), environ) == MOMENT
    assert server.sent > len(LARGE)


@pytest.mark.parametrize("later", [0, 1, DEPTH - 1])
@pytest.mark.parametrize("filters", ["true", "false"])
def test_a_server_that_gives_branches_only(
    bare: Path, environ: dict[str, str], later: int, filters: str
) -> None:
    git("--git-dir", bare, "config", "uploadpack.allowFilter", filters)
    commit = tip = add_commit(bare)
    for number in range(later):
        tip = add_commit(bare, tip, date=f"{SECONDS + number} +0100")
    git("--git-dir", bare, "update-ref", "refs/heads/main", tip)
    with serve(bare) as server:
        server.old = True
        assert commit_date(job(server, commit), environ) == MOMENT


def test_a_tag_of_a_server_that_gives_refs_only(bare: Path, environ: dict[str, str]) -> None:
    commit = add_commit(bare)
    add_commit(bare, parent=commit, ref="refs/heads/main", date="@1 +0000")
    git("--git-dir", bare, "tag", "-a", "v1.0.0", "-m", "x", commit)
    with serve(bare) as server:
        server.old = True
        assert commit_date(job(server, commit, "refs/tags/v1.0.0"), environ) == MOMENT


def test_a_tag_object_in_place_of_a_commit(bare: Path, environ: dict[str, str]) -> None:
    git("--git-dir", bare, "tag", "-a", "v1.0.0", "-m", "x", add_commit(bare))
    tag = git("--git-dir", bare, "rev-parse", "v1.0.0").decode().strip()
    with serve(bare) as server:
        assert commit_date(job(server, tag, "refs/tags/v1.0.0"), environ) == MOMENT


@pytest.mark.parametrize("old", [False, True])
def test_a_commit_that_the_server_does_not_have(
    bare: Path, environ: dict[str, str], old: bool
) -> None:
    with serve(bare) as server:
        server.old = old
        error = refused(job(server, MISSING), environ)
    assert f"commit {MISSING[:12]} isn't known" in error.what
    assert "none of the newest of refs/heads/main" in error.what
    assert "actions/checkout" in error.fix


def test_a_refusal_that_looks_like_a_broken_connection(
    bare: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    # Some gits say so too, when the server ends the connection after its refusal.
    script = tmp_path / "git"
    script.write_text(
        f'#!/bin/sh\n{shutil.which("git")} "$@" && exit\n'
        'echo "fatal: the remote end hung up unexpectedly" >&2\nexit 128\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    environ["PATH"] = f"{tmp_path}:{environ['PATH']}"
    with serve(bare) as server:
        error = refused(job(server, MISSING), environ)
    assert "none of the newest of refs/heads/main" in error.what


@pytest.mark.parametrize("ref", ["", "refs/heads/*", "refs/heads/a:refs/heads/b", "--all"])
def test_an_odd_ref_is_not_asked_for(bare: Path, environ: dict[str, str], ref: str) -> None:
    with serve(bare) as server:
        assert "failed" in refused(job(server, MISSING, ref), environ).what
    assert len(server.requests) <= 3


def test_a_repository_of_sha256(environ: dict[str, str], tmp_path: Path) -> None:
    bare = tmp_path / "srv" / "acme" / "shop"
    try:
        git("init", "--quiet", "--bare", "--template=", "--object-format=sha256", bare)
    except AssertionError:
        pytest.skip("this git has no sha256")
    git("--git-dir", bare, "symbolic-ref", "HEAD", "refs/heads/main")
    tree = git("--git-dir", bare, "hash-object", "-t", "tree", "-w", "--stdin").decode().strip()
    dates = {"GIT_COMMITTER_DATE": f"{SECONDS} +0000"}
    made = git("--git-dir", bare, "commit-tree", tree, "-m", "x", env=dates)
    with serve(bare) as server:
        assert commit_date(job(server, made.decode().strip()), environ) == MOMENT


def test_a_zone_that_there_is_not(bare: Path, environ: dict[str, str]) -> None:
    raw = git("--git-dir", bare, "cat-file", "commit", add_commit(bare))
    raw = raw.replace(b"+0000", b"+5180")
    options = ("-t", "commit", "-w", "--stdin", "--literally")
    commit = git("--git-dir", bare, "hash-object", *options, data=raw).decode().strip()
    with serve(bare) as server:
        assert commit_date(job(server, commit), environ) == MOMENT


@pytest.mark.parametrize("seconds", [253402300799, 99999999999999])
def test_a_date_out_of_all_bounds(bare: Path, environ: dict[str, str], seconds: int) -> None:
    commit = add_commit(bare, date=f"@{seconds} +0000")
    with serve(bare) as server:
        assert "out of all bounds" in refused(job(server, commit), environ).what


# --- failures ---


def test_the_wrong_token(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent.parent, {"another": "read"}) as server:
        error = refused(job(server, add_commit(bare)), environ)
    assert "no checkout here has it" in error.what
    assert "refused the credentials" in error.what
    assert "`permissions: contents: read`" in error.fix


def test_a_repository_that_is_not_there(bare: Path, environ: dict[str, str]) -> None:
    with serve(bare) as server:
        source = Source(commit=MISSING, repository="acme/other", server_url=server.url)
        assert "was not found, or is hidden" in refused(source, environ).what


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("http://git.example", "http is not encrypted"),
        ("ftp://git.example", "`ftp://git.example/acme/shop` is no URL"),
        ("https://git.example/\n", "is no URL"),
        ("-x", "is no URL"),
    ],
)
def test_a_server_that_gets_no_token(environ: dict[str, str], server: str, words: str) -> None:
    source = Source(commit=MISSING, repository="acme/shop", server_url=server)
    with pytest.raises(PromoteError) as caught:
        commit_date(source, environ)
    assert words in caught.value.what


def test_a_redirect_gets_no_token(bare: Path, environ: dict[str, str]) -> None:
    with serve(bare) as other, GitHttpServer(bare.parent.parent, redirect=other.url) as server:
        assert "redirects elsewhere" in refused(job(server, add_commit(bare)), environ).what
    assert other.requests == []


def test_a_server_that_fails_for_a_moment(bare: Path, environ: dict[str, str]) -> None:
    with serve(bare) as server:
        server.faults = {0: 503}
        assert commit_date(job(server, add_commit(bare)), environ) == MOMENT
    assert len(server.requests) == 3


def test_a_server_that_fails_for_long(
    bare: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append)
    monkeypatch.setattr("gitops_promote.effects.retry.time", clock)
    with serve(bare) as server:
        server.faults = dict.fromkeys(range(9), "drop")
        assert "broke" in refused(job(server, add_commit(bare)), environ).what
    assert len(server.requests) == TRIES
    assert len(pauses) == TRIES - 1
    assert sum(pauses) < 3  # nobody is told of them


def test_without_git(bare: Path, environ: dict[str, str]) -> None:
    environ["PATH"] = ""
    with serve(bare) as server:
        assert "There is no git" in refused(job(server, MISSING), environ).what


# --- secrets and settings ---


def test_no_command_line_shows_the_token(
    bare: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    log, tools = tmp_path / "log", tmp_path / "tools"
    log.mkdir()
    tools.mkdir()
    script = tools / "git"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{log}/argv.$$"\nenv > "{log}/env.$$"\n'
        f'exec {shutil.which("git")} "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    environ |= {"PATH": f"{tools}:{environ['PATH']}", "GITOPS_PROMOTE_TOKEN": "another-secret"}
    environ["GITHUB_WORKSPACE"] = str(tmp_path / "elsewhere")
    with serve(bare) as server:
        assert commit_date(job(server, add_commit(bare)), environ) == MOMENT

    texts = [path.read_text(encoding="utf-8") for path in sorted(log.iterdir())]
    assert any("fetch" in text for text in texts)
    assert any("GITHUB_WORKSPACE" in text for text in texts)
    for text in texts:
        assert TOKEN not in text
        assert "another-secret" not in text


def test_nothing_of_the_user_has_a_part(
    bare: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    marker, home = tmp_path / "ran", tmp_path / "home"
    hooks = home / "hooks"
    hooks.mkdir(parents=True)
    for name in ("reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{marker}'\nexit 1\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    settings = {
        "core.hooksPath": str(hooks),
        "init.templateDir": str(home),
        "init.defaultBranch": "other",
        "fetch.prune": "true",
        "log.showSignature": "true",
        "safe.bareRepository": "explicit",
        "core.logAllRefUpdates": "always",
    }
    for key, value in settings.items():
        git("config", "--file", home / ".gitconfig", key, value)
    environ["GIT_DIR"] = str(tmp_path / "no.git")
    with serve(bare) as server:
        assert commit_date(job(server, add_commit(bare)), environ) == MOMENT
    assert not marker.exists()
