"""The config repository over every transport, with the real git and real servers."""

from __future__ import annotations

import base64
import os
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError, UsageError
from gitops_promote.effects.git.errors import GitError, Place, explain
from gitops_promote.effects.git.remote import parse_url
from gitops_promote.effects.git.repository import Credentials, GitRepository, Head, resolve_url
from gitops_promote.inputs import Identity
from servers import (
    Fault,
    GitHttpServer,
    SshServer,
    add_hook,
    commit_files,
    file_of,
    git,
    head_of,
    make_bare,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN = "ghs_a-token-of-the-tests-0123456789"
AUTHOR = Identity("Ann Author", "ann@example.com")
COMMITTER = Identity("Committer [bot]", "bot@example.com")
FILES = {"apps/shop/values.yaml": b"tag: 1\r\n", "README.md": b"read me\n"}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A caller's environment of its own, whose temporary folder must be empty afterwards."""
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    yield {"PATH": os.environ["PATH"], "HOME": str(home), "RUNNER_TEMP": str(temporary)}
    assert list(temporary.iterdir()) == []


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return make_bare(tmp_path / "acme" / "deploy.git", FILES)


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    if reason := SshServer.missing():
        pytest.skip(reason)
    with SshServer(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def promote(
    url: str,
    environ: Mapping[str, str],
    credentials: Credentials | None = None,
    branch: str = "",
    files: Mapping[str, bytes] | None = None,
) -> str:
    """Fetch, commit and push, as a promotion does, and return the commit."""
    with GitRepository(url, credentials or Credentials(), environ) as repository:
        head = repository.fetch(branch)
        assert repository.snapshot(head.commit).read("README.md") == FILES["README.md"]
        new = files or {"apps/shop/values.yaml": b"tag: 2\r\n"}
        commit = repository.commit(head.commit, new, "Promote shop", AUTHOR, COMMITTER, when=1)
        repository.send(commit, head)
    return commit


def refused(
    url: str,
    environ: Mapping[str, str],
    credentials: Credentials | None = None,
    branch: str = "",
) -> PromoteError:
    """The error of a promotion, checked for what every error must be."""
    with pytest.raises(PromoteError) as caught:
        promote(url, environ, credentials, branch)
    error = caught.value
    assert error.what.endswith(".")
    assert error.fix.endswith(".")
    assert "\n" not in str(error)
    for secret in (credentials or Credentials()).secrets():
        assert secret not in str(error)
        assert secret not in repr(error.__context__)
    return error


@contextmanager
def spied(tmp_path: Path, environ: dict[str, str], before: str = "") -> Iterator[list[Path]]:
    """Run every git through a script first on the PATH, and collect what it saw of them.

    The files hold the environment and the trace of each process, helpers of git included.
    """
    log, tools = tmp_path / "log", tmp_path / "tools"
    log.mkdir()
    tools.mkdir()
    script = tools / "git"
    script.write_text(
        f'#!/bin/sh\nenv > "{log}/env.$$"\nfor word; do printf "%s\\n" "$word"; done '
        f'> "{log}/argv.$$"\n{before}\nGIT_TRACE2_EVENT="{log}" exec {shutil.which("git")} "$@"\n',
        encoding="utf-8",
    )
    script.chmod(0o755)
    seen: list[Path] = []
    path = environ["PATH"]
    environ["PATH"] = f"{tools}:{path}"
    yield seen
    environ["PATH"] = path
    seen += sorted(log.iterdir())


# --- every transport ---


def test_promotes_by_a_plain_path(bare: Path, environ: dict[str, str]) -> None:
    commit = promote(str(bare), environ)
    assert head_of(bare) == commit
    assert file_of(bare, "apps/shop/values.yaml") == b"tag: 2\r\n"
    shown = git("--git-dir", bare, "log", "-1", "--format=%an <%ae> %cn <%ce> %at %ct %B", commit)
    assert shown.decode().strip() == (
        "Ann Author <ann@example.com> Committer [bot] <bot@example.com> 1 1 Promote shop"
    )


def test_promotes_by_a_file_url(bare: Path, environ: dict[str, str]) -> None:
    assert promote(f"file://{bare}", environ) == head_of(bare)


def test_promotes_by_http_with_a_token(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent.parent, {TOKEN: "write"}) as server:
        commit = promote(f"{server.url}/acme/deploy.git", environ, Credentials(TOKEN))
    assert head_of(bare) == commit
    assert all(request.authorized for request in server.requests)
    assert not any(TOKEN in request.path for request in server.requests)


def test_promotes_by_http_without_any(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent.parent) as server:
        assert promote(f"{server.url}/acme/deploy.git", environ) == head_of(bare)
    assert not any(request.authorized for request in server.requests)


def test_large_files_go_in_chunks(bare: Path, environ: dict[str, str]) -> None:
    large = os.urandom(3 << 20)
    with GitHttpServer(bare.parent.parent, {TOKEN: "write"}) as server:
        url = f"{server.url}/acme/deploy.git"
        promote(url, environ, Credentials(TOKEN), files={"large": large})
    assert file_of(bare, "large") == large


def test_promotes_by_ssh(bare: Path, environ: dict[str, str], ssh: SshServer) -> None:
    credentials = Credentials(ssh_key=ssh.key, ssh_known_hosts=ssh.known_hosts)
    assert promote(ssh.url(bare), environ, credentials) == head_of(bare)


@pytest.mark.parametrize("damage", [str.rstrip, lambda key: key.replace("\n", "\r\n")])
def test_mends_keys_as_secrets_have_them(
    bare: Path, environ: dict[str, str], ssh: SshServer, damage: object
) -> None:
    assert callable(damage)
    key, known = damage(ssh.key), damage(ssh.known_hosts)
    assert key != ssh.key
    assert promote(ssh.url(bare), environ, Credentials(ssh_key=key, ssh_known_hosts=known))


def test_ssh_from_a_folder_with_an_odd_name(
    bare: Path, environ: dict[str, str], ssh: SshServer, tmp_path: Path
) -> None:
    folder = tmp_path / 'a runner\'s "100% $HOME" ${X}'
    folder.mkdir()
    environ["RUNNER_TEMP"] = str(folder)
    credentials = Credentials(ssh_key=ssh.key, ssh_known_hosts=ssh.known_hosts)
    assert promote(ssh.url(bare), environ, credentials) == head_of(bare)
    assert list(folder.iterdir()) == []


def test_a_new_ssh_host_is_accepted_once_seen(
    bare: Path, environ: dict[str, str], ssh: SshServer, tmp_path: Path
) -> None:
    # ssh finds known_hosts by the user's id, not by HOME: the script keeps the user's out of it.
    known, tools = tmp_path / "known", tmp_path / "tools"
    tools.mkdir()
    script = tools / "ssh"
    options = f'-F none -o "UserKnownHostsFile={known}"'
    script.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {options} "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    environ["PATH"] = f"{tools}:{environ['PATH']}"
    promote(ssh.url(bare), environ, Credentials(ssh_key=ssh.key))
    assert known.read_text(encoding="utf-8").split()[0] == f"[127.0.0.1]:{ssh.port}"


def test_the_callers_own_ssh_is_kept(
    bare: Path, environ: dict[str, str], ssh: SshServer, tmp_path: Path
) -> None:
    key, known = tmp_path / "key", tmp_path / "known"
    key.touch(mode=0o600)
    key.write_text(ssh.key, encoding="utf-8")
    known.write_text(ssh.known_hosts, encoding="utf-8")
    environ["GIT_SSH_COMMAND"] = f"ssh -F none -i {key} -o UserKnownHostsFile={known}"
    assert promote(ssh.url(bare), environ) == head_of(bare)


# --- reading ---


def test_the_default_branch_and_others(bare: Path, environ: dict[str, str]) -> None:
    other = commit_files(bare, {"README.md": b"other"}, "release/1")
    with GitRepository(str(bare), Credentials(), environ) as repository:
        assert repository.fetch("") == Head("main", head_of(bare))
        assert repository.fetch("release/1") == Head("release/1", other)
        moved = commit_files(bare, {"README.md": b"moved"})
        assert repository.fetch("") == Head("main", moved)
        assert repository.snapshot(moved).read("README.md") == b"moved"
        assert repository.snapshot(other).read("README.md") == b"other"


ODD_NAMES = ("a b", "é ü 漢", 'quo"te', "back\\slash", "new\nline", "tab\there", "-dash", "\udcff")


def test_snapshot_tells_what_is_where(bare: Path, environ: dict[str, str]) -> None:
    pointed = head_of(bare).encode()
    files = {f"odd/{name}": name.encode("utf-8", "surrogateescape") for name in ODD_NAMES}
    modes = {"run": "100755", "link": "120000", "module": "160000"}
    others = {"run": b"#!/bin/sh\n", "link": b"README.md", "module": pointed, "empty": b""}
    commit_files(bare, {**files, **others}, modes=modes)
    with GitRepository(str(bare), Credentials(), environ) as repository:
        snapshot = repository.snapshot(repository.fetch("").commit)
        assert snapshot.kind("") == "folder"
        assert snapshot.kind("apps/shop") == "folder"
        assert snapshot.kind("run") == "file"
        assert snapshot.kind("link") == "symlink"
        assert snapshot.kind("module") == "submodule"
        assert snapshot.kind("apps/") is None
        assert snapshot.kind("nothing") is None
        assert {name: snapshot.read(name) for name in files} == files
        assert snapshot.read("empty") == b""
        paths = list(snapshot.paths())
        assert set(paths) == {*files, *others, *FILES, "odd", "apps", "apps/shop"}
        assert paths.index("apps") < paths.index("apps/shop") < paths.index("apps/shop/values.yaml")
        for path in ("nothing", "", "apps", "link", "module"):
            with pytest.raises(KeyError):
                snapshot.read(path)


def test_a_repository_of_sha256(tmp_path: Path, environ: dict[str, str]) -> None:
    bare = tmp_path / "sha256.git"
    try:
        git("init", "--quiet", "--bare", "--object-format=sha256", bare)
    except AssertionError:
        pytest.skip("this git is older than 2.29")
    git("--git-dir", bare, "symbolic-ref", "HEAD", "refs/heads/main")
    commit_files(bare, FILES)
    commit = promote(str(bare), environ)
    assert commit == head_of(bare)
    assert len(commit) == 64


# --- committing ---


def test_a_commit_touches_nothing_else(bare: Path, environ: dict[str, str]) -> None:
    pointed = head_of(bare).encode()
    files = {"run": b"1", "apps/run": b"1", "link": b"README.md", "module": pointed}
    modes = {"run": "100755", "apps/run": "100755", "link": "120000", "module": "160000"}
    commit_files(bare, {**files, **{f"odd/{name}": b"1" for name in ODD_NAMES}}, modes=modes)
    before = git("--git-dir", bare, "ls-tree", "-r", "-z", "main").split(b"\0")
    new = {f"odd/{name}": f"2 {name}".encode("utf-8", "surrogateescape") for name in ODD_NAMES}
    new |= {"apps/run": b"2\r\n", "new/é/file": b""}
    promote(str(bare), environ, files=new)
    after = git("--git-dir", bare, "ls-tree", "-r", "-z", "main").split(b"\0")
    changed = {
        entry.split(b"\t", 1)[1].decode("utf-8", "surrogateescape")
        for entry in {*after} - {*before}
    }
    assert changed == set(new)
    assert len(after) == len(before) + 1
    assert any(entry.startswith(b"100755") and entry.endswith(b"\tapps/run") for entry in after)
    assert file_of(bare, "apps/run") == b"2\r\n"
    for name in ODD_NAMES:
        assert file_of(bare, f"odd/{name}") == new[f"odd/{name}"]
    git("--git-dir", bare, "fsck", "--strict")


def test_a_commit_is_the_same_for_the_same(bare: Path, environ: dict[str, str]) -> None:
    made = set()
    for _ in range(2):
        with GitRepository(str(bare), Credentials(), environ) as repository:
            head = repository.fetch("")
            files = {"b": b"1", "a": b"2"}
            made.add(repository.commit(head.commit, files, "M\n", AUTHOR, COMMITTER, when=9))
            made.add(
                repository.commit(
                    head.commit, dict(reversed(files.items())), "M", AUTHOR, COMMITTER, when=9
                )
            )
    assert len(made) == 1


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../x", "a//x", ".git/config", "link", "link/x", "apps", "README.md/x"]
)
def test_a_commit_stays_in_its_tree(bare: Path, environ: dict[str, str], path: str) -> None:
    commit_files(bare, {"link": b"apps"}, modes={"link": "120000"})
    with GitRepository(str(bare), Credentials(), environ) as repository:
        head = repository.fetch("")
        with pytest.raises(ValueError, match="is "):
            repository.commit(head.commit, {path: b""}, "M", AUTHOR, COMMITTER)


# --- a branch that moves ---


def test_a_moved_branch_loses_nothing(bare: Path, environ: dict[str, str]) -> None:
    with GitRepository(str(bare), Credentials(), environ) as repository:
        head = repository.fetch("")
        mine = repository.commit(head.commit, {"mine": b"1"}, "Mine", AUTHOR, COMMITTER)
        theirs = commit_files(bare, {"theirs": b"1"})
        with pytest.raises(MovedHeadError, match=r"Branch main of .* moved"):
            repository.send(mine, head)
        assert head_of(bare) == theirs

        again = repository.fetch(head.branch)
        assert again == Head("main", theirs)
        mine = repository.commit(again.commit, {"mine": b"1"}, "Mine", AUTHOR, COMMITTER)
        repository.send(mine, again)
    assert file_of(bare, "mine") == file_of(bare, "theirs") == b"1"


def test_a_branch_that_moves_during_the_push(bare: Path, environ: dict[str, str]) -> None:
    # The hook runs after git compared the branch and before it writes it.
    here = f"git --git-dir '{bare}'"
    clean = "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n"
    move = f"{here} update-ref refs/heads/main $({here} commit-tree main^{{tree}} -p main -m x)\n"
    identity = "export GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x GIT_AUTHOR_NAME=x"
    add_hook(bare, "pre-receive", f"{clean}{identity} GIT_AUTHOR_EMAIL=x\n{move}")
    before = head_of(bare)
    error = refused(str(bare), environ)
    assert isinstance(error, RetryableError)
    assert head_of(bare) != before
    assert git("--git-dir", bare, "rev-list", "--count", "main").strip() == b"2"


def test_an_answer_lost_on_its_way_is_no_failure(bare: Path, environ: dict[str, str]) -> None:
    with (
        GitHttpServer(bare.parent.parent) as server,
        GitRepository(f"{server.url}/acme/deploy.git", Credentials(), environ) as repository,
    ):
        head = repository.fetch("")
        commit = repository.commit(head.commit, {"a": b"1"}, "M", AUTHOR, COMMITTER)
        server.faults[len(server.requests) + 1] = "drop-after"
        repository.send(commit, head)
    assert head_of(bare) == commit


# --- refusals ---


def test_no_such_folder(tmp_path: Path, environ: dict[str, str]) -> None:
    error = refused(str(tmp_path / "nothing"), environ)
    assert "nothing was not found." in error.what


def test_a_folder_that_is_no_repository(tmp_path: Path, environ: dict[str, str]) -> None:
    error = refused(f"file://{tmp_path}", environ)
    assert "is not a git repository" in error.what


def test_no_such_repository_by_http(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent.parent, {TOKEN: "write"}) as server:
        error = refused(f"{server.url}/acme/other.git", environ, Credentials(TOKEN))
    assert "was not found, or is hidden from this token." in error.what
    assert "token" in error.fix


def test_an_unknown_host(environ: dict[str, str]) -> None:
    error = refused("https://gitops-promote.invalid/a/b.git", environ, Credentials(TOKEN))
    assert "gitops-promote.invalid" in error.what


def test_a_host_that_does_not_answer(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent) as server:
        url = f"{server.url}/deploy.git"
    error = refused(url, environ)
    assert isinstance(error, RetryableError)
    assert "127.0.0.1 can't be reached" in error.what


def test_a_wrong_token(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent, {"another": "write"}) as server:
        error = refused(f"{server.url}/deploy.git", environ, Credentials(TOKEN))
    assert "refused the credentials" in error.what
    assert error.fix == "Give `token` a token that may read it."


def test_no_token(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent, {TOKEN: "write"}) as server:
        error = refused(f"{server.url}/deploy.git", environ)
    assert "refused the credentials" in error.what


def test_a_token_that_may_only_read(bare: Path, environ: dict[str, str]) -> None:
    before = head_of(bare)
    with GitHttpServer(bare.parent, {TOKEN: "read"}) as server:
        error = refused(f"{server.url}/deploy.git", environ, Credentials(TOKEN))
    assert "does not let this token write to" in error.what
    assert "Write access to repository not granted." in error.what
    assert head_of(bare) == before


def test_a_repository_that_was_renamed(bare: Path, environ: dict[str, str]) -> None:
    with (
        GitHttpServer(bare.parent, {TOKEN: "write"}) as new,
        GitHttpServer(bare.parent, redirect=new.url) as old,
    ):
        error = refused(f"{old.url}/deploy.git", environ, Credentials(TOKEN))
    assert "renamed or moved" in error.what
    assert new.requests == []


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble(bare: Path, environ: dict[str, str], status: int) -> None:
    with GitHttpServer(bare.parent, faults=dict.fromkeys(range(9), status)) as server:
        error = refused(f"{server.url}/deploy.git", environ)
    assert isinstance(error, RetryableError)
    assert str(status) in error.what


@pytest.mark.parametrize("number", range(5))
def test_a_connection_that_breaks(bare: Path, environ: dict[str, str], number: int) -> None:
    before = head_of(bare)
    # Several, as curl itself tries once more on a connection that was used before.
    faults: dict[int, Fault] = {number + more: "drop" for more in range(5)}
    with GitHttpServer(bare.parent, faults=faults) as server:
        error = refused(f"{server.url}/deploy.git", environ)
    assert isinstance(error, RetryableError)
    assert head_of(bare) == before


def test_a_server_that_hangs(bare: Path, environ: dict[str, str]) -> None:
    add_hook(bare, "pre-receive", "sleep 60\n")
    started = time.monotonic()
    with GitRepository(str(bare), Credentials(), environ) as repository:
        head = repository.fetch("")
        commit = repository.commit(head.commit, {"a": b"1"}, "M", AUTHOR, COMMITTER)
        repository._private._timeout = 1
        with pytest.raises(RetryableError, match="took over 1 seconds"):
            repository.send(commit, head)
    assert time.monotonic() - started < 10


def test_a_server_that_hangs_when_it_has_the_commit(bare: Path, environ: dict[str, str]) -> None:
    add_hook(bare, "post-receive", "sleep 60\n")
    with GitRepository(str(bare), Credentials(), environ) as repository:
        head = repository.fetch("")
        commit = repository.commit(head.commit, {"a": b"1"}, "M", AUTHOR, COMMITTER)
        repository._private._timeout = 2
        repository.send(commit, head)
    assert head_of(bare) == commit


def test_a_missing_branch_names_the_others(bare: Path, environ: dict[str, str]) -> None:
    for branch in ("production", *(f"b{number}" for number in range(12))):
        commit_files(bare, FILES, branch)
    error = refused(str(bare), environ, branch="prodction")
    assert error.what == f"{bare} has no branch prodction."
    assert error.fix.startswith("Name one of these in `config-ref`: production, ")
    assert error.fix.endswith(" and 4 more.")


def test_a_tag_is_no_branch(bare: Path, environ: dict[str, str]) -> None:
    git("--git-dir", bare, "tag", "v1", "main")
    assert "has no branch v1" in refused(str(bare), environ, branch="v1").what


def test_a_branch_that_goes_away(bare: Path, environ: dict[str, str]) -> None:
    commit_files(bare, FILES, "other")
    with GitRepository(str(bare), Credentials(), environ) as repository:
        head = repository.fetch("other")
        git("--git-dir", bare, "update-ref", "-d", "refs/heads/other")
        with pytest.raises(PromoteError, match="has no branch other"):
            repository.fetch(head.branch)


@pytest.mark.parametrize("branch", ["", "main"])
def test_an_empty_repository(tmp_path: Path, environ: dict[str, str], branch: str) -> None:
    make_bare(tmp_path / "empty.git", {})
    error = refused(str(tmp_path / "empty.git"), environ, branch=branch)
    assert "is empty: it has no commit yet." in error.what


def test_a_default_branch_that_does_not_exist(bare: Path, environ: dict[str, str]) -> None:
    git("--git-dir", bare, "symbolic-ref", "HEAD", "refs/heads/gone")
    error = refused(str(bare), environ)
    assert "has no branch " in error.what  # old gits do not tell which
    assert "main" in error.fix


@pytest.mark.parametrize("transport", ["path", "http"])
def test_a_protected_branch(bare: Path, environ: dict[str, str], transport: str) -> None:
    before = head_of(bare)
    lines = "\n".join(
        f"echo '{line}' >&2"
        for line in ("error: GH006: Protected branch update failed.", "At least 1 review is needed")
    )
    add_hook(bare, "pre-receive", f"{lines}\nexit 1\n")
    with GitHttpServer(bare.parent) as server:
        url = str(bare) if transport == "path" else f"{server.url}/deploy.git"
        error = refused(url, environ)
    assert "is protected against this push: pre-receive hook declined." in error.what
    assert "GH006: Protected branch update failed. At least 1 review is needed." in error.what
    assert not isinstance(error, RetryableError)
    assert head_of(bare) == before


def test_a_hook_can_not_pass_for_something_else(bare: Path, environ: dict[str, str]) -> None:
    words = "fatal: Connection reset; Host key verification failed; \\033[31mfetch first\\033[0m"
    add_hook(bare, "pre-receive", f"printf '{words}\\n' >&2\nexit 1\n")
    error = refused(str(bare), environ)
    assert type(error) is PromoteError
    assert "is protected" in error.what
    assert "\x1b" not in error.what


def test_a_checked_out_branch(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = tmp_path / "checkout"
    git("init", "--quiet", folder)
    git("-C", folder, "symbolic-ref", "HEAD", "refs/heads/main")
    (folder / "README.md").write_bytes(FILES["README.md"])
    git("-C", folder, "add", ".")
    git("-C", folder, "commit", "--quiet", "--message=First")
    assert "is checked out" in refused(str(folder), environ).what


def test_a_refused_ssh_key(bare: Path, environ: dict[str, str], ssh: SshServer) -> None:
    other = ssh.make_key(f"other-{os.getpid()}")
    credentials = Credentials(ssh_key=other, ssh_known_hosts=ssh.known_hosts)
    error = refused(ssh.url(bare), environ, credentials)
    assert "refused the ssh key" in error.what
    assert "deploy key" in error.fix


def test_a_text_that_is_no_ssh_key(bare: Path, environ: dict[str, str], ssh: SshServer) -> None:
    body = "\n".join(ssh.key.splitlines()[:2])
    credentials = Credentials(ssh_key=body, ssh_known_hosts=ssh.known_hosts)
    assert "not a private key" in refused(ssh.url(bare), environ, credentials).what


def test_an_unknown_ssh_host(bare: Path, environ: dict[str, str], ssh: SshServer) -> None:
    public = ssh.known_hosts.replace(str(ssh.port), "1")
    credentials = Credentials(ssh_key=ssh.key, ssh_known_hosts=public)
    error = refused(ssh.url(bare), environ, credentials)
    assert "host key of 127.0.0.1 is not one that is trusted" in error.what
    assert "ssh-known-hosts" in error.fix


def test_no_such_repository_by_ssh(environ: dict[str, str], ssh: SshServer, tmp_path: Path) -> None:
    credentials = Credentials(ssh_key=ssh.key, ssh_known_hosts=ssh.known_hosts)
    error = refused(ssh.url(tmp_path / "nothing.git"), environ, credentials)
    assert "is not a git repository" in error.what


def test_an_ssh_server_that_does_not_answer(bare: Path, environ: dict[str, str]) -> None:
    if not shutil.which("ssh"):
        pytest.skip("OpenSSH's client is not installed")
    with GitHttpServer(bare.parent) as server:
        port = server.url.rpartition(":")[2]
    error = refused(f"ssh://git@127.0.0.1:{port}/x", environ, Credentials(ssh_known_hosts="x"))
    assert isinstance(error, RetryableError)


def test_no_git(bare: Path, environ: dict[str, str], tmp_path: Path) -> None:
    environ["PATH"] = str(tmp_path)
    error = refused(str(bare), environ)
    assert error.what == "There is no git on this machine."
    assert error.fix == "Install git 2.25 or newer on the runner."


def test_git_is_not_looked_for_in_the_current_folder(
    bare: Path, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "checkout", tmp_path / "checkout" / "bin"):
        folder.mkdir()
        (folder / "git").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (folder / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path / "checkout")
    real = environ["PATH"]
    environ["PATH"] = f":.:bin:./bin:../checkout:{real}"
    assert promote(str(bare), environ) == head_of(bare)
    environ["PATH"] = ":.:bin"
    assert refused(str(bare), environ).what == "There is no git on this machine."


@pytest.mark.parametrize("unfit", ["a folder", "no program"])
def test_what_only_has_the_name_of_git_is_passed_over(
    bare: Path, environ: dict[str, str], tmp_path: Path, unfit: str
) -> None:
    if unfit == "a folder":
        (tmp_path / "git").mkdir()
    else:
        (tmp_path / "git").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    environ["PATH"] = f"{tmp_path}:{environ['PATH']}"
    assert promote(str(bare), environ) == head_of(bare)


def test_an_old_git(bare: Path, environ: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "git"
    old = 'case "$1" in version) echo "git version 2.17.1";; *) exit 129;; esac\n'
    script.write_text(f"#!/bin/sh\n{old}", encoding="utf-8")
    script.chmod(0o755)
    environ["PATH"] = f"{tmp_path}:{environ['PATH']}"
    assert refused(str(bare), environ).what == "git 2.17.1 is too old."


@pytest.mark.parametrize(
    ("said", "command", "words", "kind"),
    [
        (
            (
                "ERROR: The key you are authenticating with has been marked as read only.\n"
                "fatal: Could not read from remote repository."
            ),
            "push",
            "The token may not write to URL. It says: The key you are",
            PromoteError,
        ),
        (
            "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
            "clone",
            "URL was not found, or is hidden from this token.",
            PromoteError,
        ),
        (
            (
                "remote: Permission to acme/deploy.git denied to octocat.\n"
                "fatal: unable to access 'URL': The requested URL returned error: 403"
            ),
            "push",
            "does not let this token write to URL. It says: Permission to acme/deploy.git denied",
            PromoteError,
        ),
        (
            "remote: Invalid username or password.\nfatal: Authentication failed for 'URL'",
            "clone",
            "refused the credentials for URL. It says: Invalid username or password.",
            PromoteError,
        ),
        (
            "fatal: write error: No space left on device",
            "clone",
            "There is no space left to read URL.",
            PromoteError,
        ),
        (
            "fatal: unable to access 'URL': server certificate verification failed. CAfile: none",
            "clone",
            "certificate that this machine does not trust",
            PromoteError,
        ),
        (
            "fatal: detected dubious ownership in repository at '/srv/x'",
            "clone",
            "belongs to another user",
            PromoteError,
        ),
        (
            (
                "error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502\n"
                "fatal: the remote end hung up unexpectedly"
            ),
            "push",
            "failed to answer",
            RetryableError,
        ),
        ("fatal: something new", "push", "git push of URL failed: something new.", PromoteError),
        ("", "push", "git push of URL failed: exit status 128.", PromoteError),
    ],
)
def test_what_hosts_say(said: str, command: str, words: str, kind: type[PromoteError]) -> None:
    place = Place("URL", "host.example", "main", "token", "Advice.")
    error = explain(GitError(command, "", said, 128), place)
    assert words in error.what
    assert type(error) is kind


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        ("[rejected] (fetch first)", "moved", MovedHeadError),
        ("[rejected] (non-fast-forward)", "moved", MovedHeadError),
        ("[rejected] (remote ref updated since checkout)", "moved", MovedHeadError),
        ("[remote rejected] (incorrect old value provided)", "moved", MovedHeadError),
        ("[remote rejected] (cannot lock ref 'refs/heads/main')", "just now", RetryableError),
        ("[remote rejected] (failed to update ref)", "just now", RetryableError),
        ("[remote rejected] (Internal Server Error)", "just now", RetryableError),
        ("[remote failure] (remote failed to report status)", "just now", RetryableError),
        ("[remote rejected] (unpacker error)", "could not store", PromoteError),
        ("[remote rejected] (protected branch hook declined)", "is protected", PromoteError),
        (
            "[remote rejected] (push declined due to repository rule violations)",
            "is protected",
            PromoteError,
        ),
    ],
)
def test_why_pushes_are_rejected(status: str, words: str, kind: type[PromoteError]) -> None:
    place = Place("URL", "host.example", "main", "token", "Advice.")
    output = f"To URL\n!\tabc:refs/heads/main\t{status}\nDone\n"
    error = explain(GitError("push", output, "remote: a word\nerror: failed to push", 1), place)
    assert words in error.what
    assert type(error) is kind


def test_a_branch_that_moved_while_the_server_set_it() -> None:
    place = Place("URL", "host.example", "main", "token", "Advice.")
    output = "To URL\n!\tabc:refs/heads/main\t[remote rejected] (failed to update ref)\nDone\n"
    said = "remote: error: cannot lock ref 'refs/heads/main': is at 1 but expected 2\n"
    error = explain(GitError("push", output, said, 1), place)
    assert type(error) is MovedHeadError


# --- secrets ---


@pytest.mark.parametrize("only", ["", "unset GIT_CONFIG_COUNT", "unset GIT_CONFIG_PARAMETERS"])
def test_no_process_shows_the_token(
    bare: Path, environ: dict[str, str], tmp_path: Path, only: str
) -> None:
    """Each of the two ways to configure git by its environment suffices, as old gits know one."""
    version = git("version").decode().split()[2].split(".")
    if "PARAMETERS" in only and (int(version[0]), int(version[1])) < (2, 31):
        pytest.skip("this git is older than 2.31")
    basic = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    environ |= {"GITOPS_PROMOTE_TOKEN": TOKEN, "INPUT_TOKEN": TOKEN, "OTHER": f"see {TOKEN}"}
    with (
        GitHttpServer(bare.parent, {TOKEN: "write"}) as server,
        spied(tmp_path, environ, only) as seen,
    ):
        promote(f"{server.url}/deploy.git", environ, Credentials(TOKEN))
    texts = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in seen}
    assert any("remote-http" in text for text in texts.values())
    for name, text in texts.items():
        assert TOKEN not in text
        for line in text.splitlines():
            if basic in line:
                assert name.startswith("env.")
                assert line.startswith(("GIT_CONFIG_VALUE_", "GIT_CONFIG_PARAMETERS="))


def test_no_process_shows_the_key(
    bare: Path, environ: dict[str, str], tmp_path: Path, ssh: SshServer
) -> None:
    environ["GITOPS_PROMOTE_SSH_KEY"] = ssh.key
    credentials = Credentials(ssh_key=ssh.key, ssh_known_hosts=ssh.known_hosts)
    with spied(tmp_path, environ) as seen:
        promote(ssh.url(bare), environ, credentials)
    secrets = list(credentials.secrets())
    assert len(secrets) > 3
    for path in seen:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not any(secret in text for secret in secrets)


def test_the_key_is_for_this_user_only(bare: Path, environ: dict[str, str], tmp_path: Path) -> None:
    with GitRepository(str(bare), Credentials(ssh_key="k" * 20), environ):
        (folder,) = (tmp_path / "temporary").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "ssh-key").stat().st_mode & 0o777 == 0o600


def test_a_server_that_repeats_the_token(bare: Path, environ: dict[str, str]) -> None:
    add_hook(bare, "pre-receive", f"echo 'you sent {TOKEN}' >&2\nexit 1\n")
    with GitHttpServer(bare.parent, {TOKEN: "write"}) as server:
        error = refused(f"{server.url}/deploy.git", environ, Credentials(TOKEN))
    assert "you sent ***" in error.what


def test_credentials_are_not_shown() -> None:
    credentials = Credentials(TOKEN, "a private key", "hosts")
    assert repr(credentials) == "Credentials(token_server='')"


def test_the_jobs_own_token_is_for_its_server_only(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent, {TOKEN: "write"}) as server:
        url = f"{server.url}/deploy.git"
        elsewhere = Credentials(TOKEN, token_server="https://github.example")
        error = refused(url, environ, elsewhere)
        assert not any(request.authorized for request in server.requests)
        assert "The job's own token is for its GitHub server only." in error.fix
        assert promote(url, environ, Credentials(TOKEN, token_server=server.url)) == head_of(bare)


@pytest.mark.parametrize(
    "url", ["http://git.example/a/b.git", "http://127.example.com/a", "http://localhost.example/a"]
)
def test_a_token_never_travels_in_the_clear(environ: dict[str, str], url: str) -> None:
    error = refused(url, environ, Credentials(TOKEN))
    assert "http is not encrypted" in error.what


def test_a_token_wins_over_headers_that_are_configured(bare: Path, environ: dict[str, str]) -> None:
    with GitHttpServer(bare.parent, {TOKEN: "write"}) as server:
        for key in ("http", f"http.{server.url}/", f"http.{server.url}/deploy.git"):
            config = str(Path(environ["HOME"]) / ".gitconfig")
            git("config", "--file", config, f"{key}.extraHeader", "Authorization: Basic eDp5")
            git("config", "--file", config, f"{key}.followRedirects", "true")
        assert promote(f"{server.url}/deploy.git", environ, Credentials(TOKEN)) == head_of(bare)


def test_a_path_with_an_equals_sign(tmp_path: Path, environ: dict[str, str]) -> None:
    bare = make_bare(tmp_path / "srv" / "a=b" / "c=d.git", FILES)
    with GitHttpServer(tmp_path / "srv", {TOKEN: "write"}) as server:
        assert promote(f"{server.url}/a=b/c=d.git", environ, Credentials(TOKEN)) == head_of(bare)


# --- a hostile caller ---


def test_nothing_of_the_caller_has_a_part(
    bare: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    marker = tmp_path / "hook-ran"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-push", "reference-transaction", "post-checkout", "pre-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{marker}'\nexit 1\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    template = tmp_path / "template"
    shutil.copytree(hooks, template / "hooks")
    settings = {
        "core.hooksPath": hooks,
        "core.autocrlf": "true",
        "core.attributesFile": tmp_path / "attributes",
        "core.fsmonitor": hooks / "pre-push",
        "filter.x.clean": "sed s/2/3/",
        "commit.gpgSign": "true",
        "push.gpgSign": "true",
        "push.followTags": "true",
        "push.pushOption": "x",
        "push.default": "matching",
        "push.recurseSubmodules": "check",
        "fetch.prune": "true",
        "submodule.recurse": "true",
        "init.templateDir": template,
        "init.defaultBranch": "other",
        "clone.defaultRemoteName": "other",
        "clone.rejectShallow": "true",
        "remote.origin.fetch": "+refs/pull/*:refs/remotes/origin/pull/*",
        "i18n.commitEncoding": "latin1",
        "user.useConfigOnly": "true",
        "safe.bareRepository": "explicit",
        "trace2.eventTarget": tmp_path / "trace",
        "trace2.configParams": "*",
    }
    (tmp_path / "attributes").write_text("* text eol=crlf filter=x ident\n", encoding="utf-8")
    config = Path(environ["HOME"]) / ".gitconfig"
    for key, value in settings.items():
        git("config", "--file", config, key, str(value))
    plain = promote(str(bare), {**environ, "HOME": str(tmp_path)})
    git("--git-dir", bare, "update-ref", "refs/heads/main", f"{plain}^")
    environ |= {
        "GIT_DIR": str(tmp_path / "no.git"),
        "GIT_WORK_TREE": str(tmp_path),
        "GIT_INDEX_FILE": str(tmp_path / "index"),
        "GIT_OBJECT_DIRECTORY": str(tmp_path / "objects"),
        "GIT_NAMESPACE": "other",
        "GIT_CONFIG_PARAMETERS": f"'core.hooksPath={hooks}' 'core.bare=false'",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(hooks),
        "GIT_CONFIG_GLOBAL": str(tmp_path / "attributes"),
        "GIT_TEMPLATE_DIR": str(template),
        "GIT_AUTHOR_DATE": "2001-01-01T00:00:00",
        "GIT_COMMITTER_NAME": "other",
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_TRACE2_EVENT": str(tmp_path / "trace"),
        "GIT_SSH_COMMAND": "false",
        "GIT_EDITOR": "false",
        "GIT_PROTOCOL": "version=0",
        "GIT_PUSH_OPTION_COUNT": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de",
    }
    # By http: a repository on this machine is opened with its user's own configuration.
    with GitHttpServer(bare.parent) as server:
        commit = promote(f"{server.url}/deploy.git", environ)
    assert commit == plain == head_of(bare)
    assert file_of(bare, "apps/shop/values.yaml") == b"tag: 2\r\n"
    assert not marker.exists()
    assert not (tmp_path / "trace").exists()


def test_a_rewritten_url_takes_no_odd_transport(bare: Path, environ: dict[str, str]) -> None:
    config = Path(environ["HOME"]) / ".gitconfig"
    git("config", "--file", config, "protocol.ext.allow", "always")
    git("config", "--file", config, "url.ext::sh -c true .insteadOf", str(bare.parent))
    error = refused(str(bare), environ)
    assert "rewritten by git's configuration" in error.what
    assert "`insteadOf`" in error.fix


# --- URLs ---


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("acme/deploy", "https://github.example/acme/deploy.git"),
        ("acme/deploy.git", "https://github.example/acme/deploy.git"),
        ("acme_corp/de.ploy-1_x", "https://github.example/acme_corp/de.ploy-1_x.git"),
        ("", "https://github.example/acme/app.git"),
        ("https://gitlab.example/group/sub/deploy.git", None),
        ("https://acme@dev.azure.example/acme/deploy/_git/deploy", None),
        ("HTTPS://Git.Example:8443/a/b", None),
        ("http://127.0.0.1:8080/a/b.git", None),
        ("http://[::1]:8080/a/b.git", None),
        ("ssh://git@git.example:2222/a/b.git", None),
        ("git@github.com:acme/deploy.git", None),
        ("git.example:deploy.git", None),
        ("file:///srv/git/deploy.git", None),
        ("/srv/git/deploy.git", None),
        ("./deploy.git", "/work/folder/deploy.git"),
        ("../deploy.git", "/work/deploy.git"),
        (".", "/work/folder"),
    ],
)
def test_urls_that_are_read(value: str, url: str | None) -> None:
    found = resolve_url(value, "https://github.example/", "acme/app", "/work/folder")
    assert found == (url or value)


def test_a_home_folder() -> None:
    assert resolve_url("~/deploy.git", "https://x", "") == str(Path("~/deploy.git").expanduser())


def test_a_local_folder_does_not_stand_in_for_a_repository(tmp_path: Path) -> None:
    make_bare(tmp_path / "acme" / "deploy", FILES)
    found = resolve_url("acme/deploy", "https://github.example", "", tmp_path)
    assert found == "https://github.example/acme/deploy.git"


def test_a_private_key_means_ssh() -> None:
    found = resolve_url("acme/deploy", "https://github.example", "", ssh=True)
    assert found == "git@github.example:acme/deploy.git"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is missing"),
        ("deploy", "names no repository"),
        ("acme/deploy/extra", "names no repository"),
        ("acme/..", "names no repository"),
        ("-oProxyCommand=x", "names no repository"),
        ("--upload-pack=x", "names no repository"),
        ("ssh://-oProxyCommand=x/y", "names no repository"),
        ("-oProxyCommand=x:y", "names no repository"),
        ("host:-oProxyCommand=x", "names no repository"),
        ("ext::sh -c id", "transport `ext`"),
        ("ext::sh", "transport `ext`"),
        ("fd::17", "transport `fd`"),
        ("git://git.example/a/b", "transport `git`"),
        ("ftp://git.example/a/b", "transport `ftp`"),
        ("https::https://git.example/a", "names no repository"),
        ("https://git.example", "names no repository"),
        ("https://git.example/a?private_token=c", "git would not read"),
        ("https://good.example\\@evil.example/a", "git would not read"),
        ("https://git.example/a\nb", "control character"),
        ("/srv/a\0b", "control character"),
        ("https://user:secret-word@git.example/a/b", "password or token"),
        ("https://ghp_secret-word@github.com/a/b", "password or token"),
        ("https://x-access-token:secret-word@github.com/a/b", "password or token"),
        ("https://:secret-word@github.com/a/b", "password or token"),
        ("ssh://git:secret-word@git.example/a/b", "password or token"),
        ("https://user:secret-word@git.example /a", "git would not read"),
        ("https://user:secret-word@@git.example/a", "git would not read"),
        ("user:secret-word@git.example/a", "git would not read"),
    ],
)
def test_urls_that_are_refused(value: str, words: str) -> None:
    with pytest.raises(UsageError, match="config-repository") as caught:
        resolve_url(value, "https://github.example", "")
    assert words in caught.value.what
    assert "secret-word" not in str(caught.value)


def test_two_writings_of_one_server() -> None:
    assert (
        parse_url("https://Git.Example/a").server == parse_url("https://git.example:443/b").server
    )
    assert parse_url("https://git.example/a").server != parse_url("http://git.example/a").server
