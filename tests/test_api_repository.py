"""The config repository through GitHub's API, against the stand-in and beside the real git."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from github_double import GitHub as Server
from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.effects.config_repository import (
    ConfigRepository,
    Head,
    NewCommit,
    UnsuitedError,
)
from gitops_promote.effects.git.objects import parse_entries
from gitops_promote.effects.git.repository import Credentials, GitRepository
from gitops_promote.effects.github import config_repository, objects
from gitops_promote.effects.github.client import GitHub
from gitops_promote.effects.github.config_repository import ApiRepository
from gitops_promote.effects.github.errors import GitHubError
from gitops_promote.effects.github.objects import hash_object, tree_with
from gitops_promote.effects.retry import retry
from gitops_promote.effects.tree import Entry
from gitops_promote.inputs import Identity
from servers import commit_files, file_of, git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from github_double import Request

NAME = "acme/deploy"
BRANCH = "promote/shop-prod"
NEXT = f"{BRANCH}.next"
ANN = Identity("Ann Author", "ann@example.com")
MESSAGE = "Promote shop to 1.2.4\n\nWhy: so.\n\nPromoted-App: shop\nSource-Run: https://x/1\n"

LATIN = "# Größe\ntag: 1\n".encode("latin-1")
FILES = {
    "README.md": b"read me\n",
    "apps-old/values.yaml": b"tag: 0\n",
    "apps/shop/base/kustomization.yaml": b"resources: []\n",
    "apps/shop/prod/bom.yaml": b"\xef\xbb\xbftag: 1\n",
    "apps/shop/prod/crlf.yaml": b"tag: 1\r\nother: 2\r\n",
    "apps/shop/prod/empty.yaml": b"",
    "apps/shop/prod/gr\u00f6\u00dfe \u2603.yaml": b"tag: 1\n",
    "apps/shop/prod/kustomization.yaml": b"images: [] # \xf0\x9f\x9a\x80\n",
    "apps/shop/prod/latin.yaml": LATIN,
    "apps/shop/prod/large.yaml": b"# 600 kB\n" + b"- a line of them\n" * 36_000,
    "apps/shop/prod/logo.png": bytes(range(256)),
    "apps/shop/prod/no-newline.yaml": b"tag: 1",
    "apps/shop.yaml": b"tag: 0\n",
}
CHANGED = {
    path: content.replace(b"tag: 1", b"tag: 2") + (b"" if content.endswith(b"1") else b"# 2\n")
    for path, content in FILES.items()
    if "/prod/" in path
}

# Checked by mypy: both ways do what is asked of either.
_WAYS: tuple[type[ConfigRepository], ...] = (ApiRepository, GitRepository)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@pytest.fixture
def server(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server
    record_property("counts:checked by GitHub's own descriptions", server.checked)


@pytest.fixture
def bare(server: Server) -> Path:
    return server.add_repository(NAME, FILES)


@pytest.fixture
def token(server: Server, bare: Path) -> str:
    assert bare.is_dir()
    return server.add_token("octocat", {NAME: {"contents": "write"}})


@contextmanager
def opened(
    server: Server, token: str, name: str = NAME, *, own_token: bool = False
) -> Iterator[ApiRepository]:
    url = server.environ["GITHUB_API_URL"]
    with (
        GitHub(url, token, own_token=own_token, timeout=20) as github,
        ApiRepository(github, name) as repository,
    ):
        yield repository


@pytest.fixture
def repository(server: Server, token: str) -> Iterator[ApiRepository]:
    with opened(server, token) as repository:
        yield repository


@contextmanager
def by_git(server: Server, token: str, tmp_path: Path, name: str = NAME) -> Iterator[GitRepository]:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "RUNNER_TEMP": str(home)}
    url = f"{server.url}/{name}.git"
    with GitRepository(url, Credentials(token=token), environ) as repository:
        yield repository


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitops_promote.effects.retry._FIRST_PAUSE", 0.01)


def new_commit(files: Mapping[str, bytes] | None = None, message: str = MESSAGE) -> NewCommit:
    return NewCommit(files or {"README.md": b"new\n"}, message, ANN, ANN)


def mutation(name: str) -> Callable[[Request], bool]:
    return lambda request: request.query.strip().startswith("mutation") and name in request.query


def tree_of(bare: Path, commit: str) -> str:
    return git("--git-dir", bare, "rev-parse", f"{commit}^{{tree}}").decode().strip()


def parents_of(bare: Path, commit: str) -> list[str]:
    return git("--git-dir", bare, "rev-parse", f"{commit}^@").decode().split()


def message_of(bare: Path, commit: str) -> str:
    return git("--git-dir", bare, "show", "-s", "--format=%B", commit).decode().strip()


def branches_of(bare: Path) -> dict[str, str]:
    form = "--format=%(refname:lstrip=2) %(objectname)"
    lines = git("--git-dir", bare, "for-each-ref", form, "refs/heads/").decode().splitlines()
    return dict(line.split(" ") for line in lines)


def set_branch(bare: Path, branch: str, commit: str) -> str:
    git("--git-dir", bare, "update-ref", f"refs/heads/{branch}", commit)
    return commit


# --- both ways ---


def test_both_ways_show_the_same_tree(
    server: Server, repository: ApiRepository, bare: Path, token: str, tmp_path: Path
) -> None:
    modes = {"run.sh": "100755", "link": "120000", "module": "160000"}
    extra = {"run.sh": b"#!/bin/sh\n", "link": b"apps", "module": head_of(bare).encode()}
    commit_files(bare, extra, modes=modes)

    with by_git(server, token, tmp_path) as other:
        heads = repository.fetch(""), other.fetch("")
        here, there = (r.snapshot(heads[0].commit) for r in (repository, other))

        assert heads[0] == heads[1] == Head("main", head_of(bare))
        paths = list(there.paths())
        assert list(here.paths()) == paths
        assert [here.kind(path) for path in paths] == [there.kind(path) for path in paths]
        assert {here.kind(path) for path in paths} == {"file", "folder", "symlink", "submodule"}
        for path in (path for path in paths if here.kind(path) == "file"):
            assert here.read(path) == there.read(path), path
        assert (here.kind(""), here.kind("nothing")) == ("folder", None)


@pytest.mark.parametrize("path", ["nothing", "apps", "link", "module"])
def test_only_a_regular_file_can_be_read(repository: ApiRepository, bare: Path, path: str) -> None:
    content = {"link": b"apps", "module": head_of(bare).encode()}
    commit_files(bare, content, modes={"link": "120000", "module": "160000"})
    tree = repository.snapshot(repository.fetch("").commit)

    with pytest.raises(KeyError):
        tree.read(path)


@pytest.mark.parametrize(
    "files",
    [
        *({path: content} for path, content in CHANGED.items()),
        CHANGED,
        {"new/at/the depth/of.yaml": b"a: 1\n", "apps/new.yaml": b""},
        {"a": b"sorts before", "apps.": b"and", "apps0": b"after the folder"},
    ],
    ids=lambda files: next(iter(files)) + ("" if len(files) == 1 else " …"),
)
def test_both_ways_make_the_same_tree_and_message(
    server: Server, tmp_path: Path, files: dict[str, bytes]
) -> None:
    names = ("acme/by-api", "acme/by-git")
    bares = [server.add_repository(name, FILES) for name in names]
    token = server.add_token("octocat", {name: {"contents": "write"} for name in names})
    new = new_commit(files)

    with opened(server, token, names[0]) as one, by_git(server, token, tmp_path, names[1]) as two:
        commits = [other.push(other.fetch(""), new) for other in (one, two)]

    assert commits == [head_of(bare) for bare in bares]
    assert tree_of(bares[0], commits[0]) == tree_of(bares[1], commits[1])
    for path, content in files.items():
        assert file_of(bares[0], path) == content
    assert message_of(bares[0], commits[0]) == message_of(bares[1], commits[1]) == MESSAGE.strip()


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        "One line\n",
        "One line",
        "Two lines\nof a subject\n\nA: b\n",
        "Subject\n\n\n\nfar below\n",
        "\n\nSubject \U0001f680\n\nA: b\n\n",
    ],
)
def test_the_message_is_the_one_that_is_asked_for(
    server: Server, repository: ApiRepository, bare: Path, message: str
) -> None:
    commit = repository.push(repository.fetch(""), new_commit(message=message))

    whole = git("--git-dir", bare, "cat-file", "commit", commit).decode().partition("\n\n")[2]
    assert whole == message.strip("\n")
    assert commit in server.repository(NAME).signed


def test_the_trailers_can_be_read_again(repository: ApiRepository, bare: Path) -> None:
    commit = repository.push(repository.fetch(""), new_commit())

    form = "--format=%(trailers:only,unfold)"
    trailers = git("--git-dir", bare, "show", "-s", form, commit).decode().split("\n")
    assert trailers[:2] == ["Promoted-App: shop", "Source-Run: https://x/1"]


# --- reading ---


def test_many_files_come_in_one_request(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    many = {f"apps/a{n}/prod/kustomization.yaml": b"images: [] # %d\n" % n for n in range(40)}
    commit_files(bare, many)
    tree = repository.snapshot(repository.fetch("").commit)
    before = len(server.requests)
    tree.expect(many)

    for path, content in many.items():
        assert tree.read(path) == content

    assert len(server.requests) - before == 1


def test_a_file_of_another_commit_with_the_same_content_is_not_read_again(
    server: Server, repository: ApiRepository, bare: Path
) -> None:
    path = "apps/shop/prod/crlf.yaml"
    assert repository.snapshot(repository.fetch("").commit).read(path) == FILES[path]
    commit_files(bare, {"README.md": b"other\n"})
    tree = repository.snapshot(repository.fetch("").commit)
    assert path in tree.paths()
    before = len(server.requests)

    assert tree.read(path) == FILES[path]
    assert len(server.requests) == before


def test_what_comes_along_is_bounded(server: Server, repository: ApiRepository, bare: Path) -> None:
    many = {f"many/{n:03}.yaml": b"# %d\n" % n for n in range(200)}
    large = {f"large/{n}.yaml": b"# %d\n" % n + b"x" * 200_000 for n in range(8)}
    commit_files(bare, {**many, **large})
    tree = repository.snapshot(repository.fetch("").commit)
    paths = list(tree.paths())
    before = len(server.requests)

    for path, content in {**many, **large}.items():
        assert path in paths
        assert tree.read(path) == content

    asked = [request for request in server.requests[before:] if request.query]
    assert max(request.query.count("object(") for request in asked) == objects.MOST_FILES
    assert 4 <= len(asked) <= 9


def test_what_graphql_gives_as_other_bytes_is_read_by_rest(
    server: Server, repository: ApiRepository
) -> None:
    tree = repository.snapshot(repository.fetch("").commit)
    odd = [f"apps/shop/prod/{name}" for name in ("latin.yaml", "large.yaml", "logo.png")]
    for path, content in FILES.items():
        assert tree.read(path) == content

    blobs = [request.path for request in server.requests if "/git/blobs/" in request.path]
    assert sorted(path.rpartition("/")[2] for path in blobs) == sorted(
        hash_object("blob", FILES[path], 40) for path in odd
    )


def test_a_tree_that_the_api_cuts_is_left_to_git(server: Server, repository: ApiRepository) -> None:
    server.repository(NAME).tree_limit = 5

    with pytest.raises(UnsuitedError, match=r"100,000 entries") as raised:
        repository.snapshot(repository.fetch("").commit).paths()

    assert raised.value.fix == "Use `commit-via: git`."


def test_a_path_that_is_no_utf8_is_left_to_git(repository: ApiRepository, bare: Path) -> None:
    commit_files(bare, {os.fsdecode(b"gr\xf6\xdfe.yaml"): b"a: 1\n"})

    with pytest.raises(UnsuitedError, match="not UTF-8"):
        repository.snapshot(repository.fetch("").commit).paths()


def test_a_branch_is_found_by_its_name(repository: ApiRepository, bare: Path) -> None:
    commit = commit_files(bare, {"README.md": b"other\n"}, "release/1.x")

    assert repository.fetch("release/1.x") == Head("release/1.x", commit)
    assert repository.fetch("").branch == "main"


def test_a_branch_that_is_not_there_is_told_with_those_that_are(
    server: Server, repository: ApiRepository, bare: Path, token: str, tmp_path: Path
) -> None:
    for number in range(12):
        set_branch(bare, f"branch-{number:02}", head_of(bare))
    with pytest.raises(PromoteError) as raised:
        repository.fetch("mian")
    with by_git(server, token, tmp_path) as other, pytest.raises(PromoteError) as there:
        other.fetch("mian")

    assert raised.value.what == "acme/deploy has no branch mian."
    assert raised.value.fix.startswith("Name one of these in `config-ref`: main, branch-00, ")
    assert raised.value.fix == there.value.fix


@pytest.mark.parametrize("branch", ["", "main"])
def test_an_empty_repository_is_told(server: Server, branch: str) -> None:
    server.add_repository("acme/empty")
    token = server.add_token("octocat", {"acme/empty": {"contents": "write"}})

    with opened(server, token, "acme/empty") as repository, pytest.raises(PromoteError) as raised:
        repository.fetch(branch)

    assert raised.value.what == "acme/empty is empty: it has no commit yet."


def test_a_repository_that_is_hidden_is_told(server: Server) -> None:
    server.add_repository("acme/hidden", FILES)
    token = server.add_token("github-actions[bot]", {"acme/app": {"contents": "write"}})

    with (
        opened(server, token, "acme/hidden", own_token=True) as repository,
        pytest.raises(GitHubError, match="is hidden from this token") as raised,
    ):
        repository.fetch("")

    assert "a repository other than the job's, which its own token never reaches" in str(
        raised.value
    )


def test_a_repository_that_was_renamed_is_told_with_its_new_name(
    server: Server, bare: Path
) -> None:
    assert bare.is_dir()
    repositories = server.state.repositories
    repositories["acme/old"] = repositories[NAME]
    rights = {NAME: {"contents": "write"}, "acme/old": {"contents": "write"}}
    token = server.add_token("octocat", rights)  # type: ignore[arg-type]

    with opened(server, token, "acme/old") as repository, pytest.raises(PromoteError) as raised:
        repository.fetch("")

    assert raised.value.what == "acme/old was renamed or moved: it is acme/deploy now."
    del repositories["acme/old"]


# --- pushing ---


def test_a_head_that_moved_is_told_and_nothing_is_written(
    repository: ApiRepository, bare: Path
) -> None:
    head = repository.fetch("")
    other = commit_files(bare, {"README.md": b"other\n"})

    with pytest.raises(MovedHeadError, match="Branch main of acme/deploy moved"):
        repository.push(head, new_commit())

    assert head_of(bare) == other


def test_sixteen_at_once_all_land_once(server: Server, bare: Path, token: str) -> None:
    first, failures = head_of(bare), list[BaseException]()

    def run(number: int) -> None:
        def attempt(own: ApiRepository) -> str:
            head = own.fetch("")
            assert f"{number}.yaml" not in own.snapshot(head.commit).paths()
            new = new_commit({f"{number}.yaml": b"a: 1\n"}, f"Number {number}\n")
            return own.push(head, new)

        try:
            with opened(server, token) as own:
                retry(lambda: attempt(own))
        except BaseException as error:  # noqa: BLE001  (shown by the assertion)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    subjects = git("--git-dir", bare, "log", "--format=%s", f"{first}..main").decode().split("\n")
    assert sorted(subjects[:-1]) == sorted(f"Number {number}" for number in range(16))


@pytest.mark.parametrize("fault", ["drop-after", 502, "drop"])
def test_a_push_whose_answer_is_lost_lands_once(
    server: Server, repository: ApiRepository, bare: Path, fault: str
) -> None:
    first = head_of(bare)
    server.fail(mutation("createCommitOnBranch"), fault)  # type: ignore[arg-type]

    commit = retry(lambda: repository.push(repository.fetch(""), new_commit()))

    assert commit == head_of(bare)
    assert parents_of(bare, commit) == [first]


def test_a_lost_answer_is_noticed_in_the_same_try(
    server: Server, repository: ApiRepository, bare: Path
) -> None:
    head = repository.fetch("")
    server.fail(mutation("createCommitOnBranch"), "drop-after")
    # And where the network stays away for a moment.
    server.fail(lambda request: "history" in request.query, "drop", times=2)

    assert repository.push(head, new_commit()) == head_of(bare)


def test_a_lost_answer_is_noticed_below_the_commits_of_others(
    server: Server, repository: ApiRepository, bare: Path
) -> None:
    head = repository.fetch("")
    server.fail(mutation("createCommitOnBranch"), "drop-after")
    landed: list[str] = []

    def another(request: Request) -> bool:
        if "history" in request.query and not landed:
            landed.append(head_of(bare))
            commit_files(bare, {"other.yaml": b"a: 1\n"})
        return False

    server.fail(another, "drop")

    assert repository.push(head, new_commit()) == landed[0] != head_of(bare)


def test_a_request_that_a_proxy_sends_twice_lands_once(
    repository: ApiRepository, bare: Path
) -> None:
    head, new = repository.fetch(""), new_commit(CHANGED)
    commit = repository.push(head, new)

    assert repository.push(head, new) == commit == head_of(bare)


@pytest.mark.parametrize(
    "other",
    [
        new_commit({"README.md": b"newer\n"}),
        new_commit({"README.md": b"new\n", "more.yaml": b""}),
        new_commit(message="Another message\n"),
    ],
)
def test_a_commit_of_somebody_else_is_not_taken_for_ours(
    repository: ApiRepository, bare: Path, other: NewCommit
) -> None:
    head = repository.fetch("")
    theirs = repository.push(head, other)

    with pytest.raises(MovedHeadError):
        repository.push(head, new_commit())

    assert head_of(bare) == theirs


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"../out.yaml": b""}, "is no path of a file"),
        ({".git/config": b""}, "is no path of a file"),
        ({"apps": b""}, "is a folder"),
        ({"README.md/below": b""}, "is below a file"),
        ({"link": b""}, "is a symlink"),
        ({"module": b""}, "is a submodule"),
    ],
)
def test_a_path_that_leaves_the_tree_is_a_mistake_of_ours(
    repository: ApiRepository, bare: Path, files: dict[str, bytes], problem: str
) -> None:
    content = {"link": b"apps", "module": head_of(bare).encode()}
    commit = commit_files(bare, content, modes={"link": "120000", "module": "160000"})

    with pytest.raises(ValueError, match=problem):
        repository.push(repository.fetch(""), new_commit(files))

    assert head_of(bare) == commit


def test_a_file_of_another_mode_is_left_to_git(
    server: Server, repository: ApiRepository, bare: Path
) -> None:
    commit = commit_files(bare, {"run.sh": b"#!/bin/sh\n"}, modes={"run.sh": "100755"})

    with pytest.raises(UnsuitedError, match=r"`run\.sh` has the file mode 100755") as raised:
        repository.push(repository.fetch(""), new_commit({"run.sh": b"#!/bin/bash\n"}))

    assert raised.value.fix == "Use `commit-via: git`."
    assert head_of(bare) == commit
    # A file beside it keeps its mode.
    repository.push(repository.fetch(""), new_commit())
    assert git("--git-dir", bare, "ls-tree", "main", "run.sh").startswith(b"100755")
    assert not any(request.status >= 400 for request in server.requests)


def test_a_new_path_that_is_no_utf8_is_left_to_git(repository: ApiRepository) -> None:
    with pytest.raises(UnsuitedError, match="not UTF-8"):
        repository.push(repository.fetch(""), new_commit({os.fsdecode(b"\xf6.yaml"): b""}))


def test_a_change_that_is_too_large_is_left_to_git(
    repository: ApiRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_repository, "MOST_BYTES", 1 << 20)
    head = repository.fetch("")
    repository.push(head, new_commit({"a.yaml": b"x" * 700_000}))

    with pytest.raises(UnsuitedError, match="more than 1 MB"):
        repository.push(repository.fetch(""), new_commit({"b.yaml": b"x" * 800_000}))


@pytest.mark.parametrize(
    ("refusal", "what"),
    [
        (GitHubError("No.", status=413), "too much"),
        (GitHubError("No.", kinds=frozenset({"undefinedField"})), "too old"),
    ],
)
def test_what_the_server_can_not_do_is_left_to_git(
    repository: ApiRepository,
    monkeypatch: pytest.MonkeyPatch,
    refusal: GitHubError,
    what: str,
) -> None:
    head, graphql = repository.fetch(""), GitHub.graphql

    def refuse(self: GitHub, document: str, *arguments: object, **more: object) -> object:
        if "mutation" in document:
            raise refusal
        return graphql(self, document, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(GitHub, "graphql", refuse)
    for act in (
        lambda: repository.push(head, new_commit()),
        lambda: repository.reset(Head(BRANCH, ""), head, new_commit()),
        lambda: repository.delete(head),
    ):
        with pytest.raises(UnsuitedError, match=what):
            act()


def test_a_protected_branch_is_told(server: Server, repository: ApiRepository, bare: Path) -> None:
    server.protect(NAME)
    first = head_of(bare)

    with pytest.raises(GitHubError, match="A rule of the repository does not let") as raised:
        repository.push(repository.fetch(""), new_commit())

    assert "Changes must be made through a pull request." in raised.value.what
    assert head_of(bare) == first


def test_a_token_that_may_only_read_is_told(server: Server, bare: Path) -> None:
    assert bare.is_dir()
    token = server.add_token("octocat", {NAME: {"contents": "read"}})

    with opened(server, token) as repository, pytest.raises(GitHubError) as raised:
        repository.push(repository.fetch(""), new_commit())

    assert raised.value.what.startswith("This token may not commit to main of acme/deploy.")
    assert 'Give the token the permission "Contents: write"' in raised.value.fix


def test_an_archived_repository_is_told(server: Server, repository: ApiRepository) -> None:
    server.repository(NAME).archived = True

    with pytest.raises(GitHubError, match="is archived"):
        repository.push(repository.fetch(""), new_commit())


@pytest.mark.parametrize("fault", ["secondary", "primary"])
def test_a_limit_is_told_with_how_long_to_wait(
    server: Server, repository: ApiRepository, fault: str
) -> None:
    head = repository.fetch("")
    fault_of = {"secondary": "secondary", "primary": "primary"}[fault]
    server.fail(mutation(""), fault_of, retry_after=30)  # type: ignore[arg-type]
    before = len(server.requests)

    with pytest.raises(RetryableError, match="asks to wait") as raised:
        repository.push(head, new_commit())

    assert 28 <= raised.value.wait <= 31
    # A server that asks to be left alone is not asked what landed: it was a look and the commit.
    assert len(server.requests) - before == 2


# --- answers of another form ---


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"id": "R_1", "nameWithOwner": NAME},
        {"id": "R_1", "nameWithOwner": NAME, "branch": {"name": "main"}},
        {"id": "R_1", "nameWithOwner": NAME, "branch": "main"},
    ],
    ids=str,
)
def test_a_branch_in_a_form_that_is_not_known_is_told(
    server: Server, repository: ApiRepository, found: object
) -> None:
    server.fail(0, 200, answer={"data": {"repository": found}})

    with pytest.raises(GitHubError, match="read acme/deploy: its answer has a form that is not"):
        repository.fetch("")


def test_a_repository_without_a_name_for_its_branches_is_told(
    server: Server, repository: ApiRepository
) -> None:
    server.fail(
        lambda request: "refPrefix" in request.query, 200, answer={"data": {"repository": {}}}
    )

    with pytest.raises(GitHubError, match="a form that is not known here"):
        repository.fetch("none")


def test_who_owns_a_token_in_a_form_that_is_not_known_is_told(
    server: Server, repository: ApiRepository
) -> None:
    server.fail(0, 200, answer={"data": {"viewer": {"login": "octocat", "databaseId": "one"}}})

    with pytest.raises(GitHubError, match="who the token's owner is: its answer has a form"):
        repository.signer(ANN)


def test_a_commit_in_a_form_that_is_not_known_is_looked_for(
    server: Server, repository: ApiRepository, bare: Path
) -> None:
    head = repository.fetch("")
    server.fail(mutation(""), 200, answer={"data": {"createCommitOnBranch": None}})

    with pytest.raises(GitHubError, match="commit to acme/deploy: its answer has a form"):
        repository.push(head, new_commit())

    assert head_of(bare) == head.commit
    assert "history" in server.requests[-1].query


# --- a branch of our own ---


def check_reset(bare: Path, commit: str, base: str, files: Mapping[str, bytes]) -> None:
    assert branches_of(bare)[BRANCH] == commit
    assert NEXT not in branches_of(bare)
    assert parents_of(bare, commit) == [base]
    assert message_of(bare, commit) == MESSAGE.strip()
    changed = git("--git-dir", bare, "diff", "-z", "--name-only", base, commit).decode().split("\0")
    assert changed[:-1] == sorted(files)


def prepare(bare: Path, state: str) -> Head:
    """Bring the branch into a state, and give what it holds."""
    old = head_of(bare)
    main = commit_files(bare, {"README.md": b"newer\n"})
    if "absent" in state:
        commit = ""
    elif "at base" in state:
        commit = set_branch(bare, BRANCH, main)
    elif "behind" in state:
        commit = set_branch(bare, BRANCH, old)
    else:
        set_branch(bare, BRANCH, old)
        commit = commit_files(bare, {"a.yaml": b"old\n"}, BRANCH)
    if "leftover" in state:
        set_branch(bare, NEXT, old)
        commit_files(bare, {"b.yaml": b"of a run that was killed\n"}, NEXT)
    return Head(BRANCH, commit)


STATES = ["absent", "at base", "behind", "other", "behind, leftover", "other, leftover"]


@pytest.mark.parametrize("state", STATES)
def test_a_branch_is_the_base_and_one_commit_whatever_it_held(
    repository: ApiRepository, bare: Path, state: str
) -> None:
    branch, base = prepare(bare, state), repository.fetch("")

    commit = repository.reset(branch, base, new_commit(CHANGED))

    check_reset(bare, commit, base.commit, CHANGED)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("fault", ["drop", "drop-after"])
def test_a_reset_that_is_broken_off_at_any_request_is_made_good_by_the_next(
    server: Server, repository: ApiRepository, bare: Path, state: str, number: int, fault: str
) -> None:
    branch, base = prepare(bare, state), repository.fetch("")
    seen: list[Request] = []

    def at(request: Request) -> bool:
        if request.query.strip().startswith("mutation"):
            seen.append(request)
        return len(seen) == number + 1 and seen[-1] is request

    server.fail(at, fault)  # type: ignore[arg-type]

    def attempt() -> str:
        held = branches_of(bare).get(BRANCH, "")
        return repository.reset(Head(branch.branch, held), base, new_commit(CHANGED))

    commit = retry(attempt)

    check_reset(bare, commit, base.commit, CHANGED)


@pytest.mark.parametrize("state", STATES)
def test_a_server_that_sees_the_moved_branch_only_in_the_next_request_does_too(
    repository: ApiRepository, bare: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    both = config_repository._UPDATE_AND_COMMIT.strip().split("\n")
    turned = "\n".join([both[0], both[2], both[1], both[3]])
    monkeypatch.setattr(config_repository, "_UPDATE_AND_COMMIT", turned)
    branch, base = prepare(bare, state), repository.fetch("")

    commit = repository.reset(branch, base, new_commit(CHANGED))

    check_reset(bare, commit, base.commit, CHANGED)


@pytest.mark.parametrize("state", ["absent", "at base", "behind", "other"])
def test_a_branch_that_holds_something_else_by_now_stays(
    repository: ApiRepository, bare: Path, state: str
) -> None:
    branch, base = prepare(bare, state), repository.fetch("")
    if state == "absent":
        set_branch(bare, BRANCH, parents_of(bare, base.commit)[0])
    theirs = commit_files(bare, {"c.yaml": b"of a person\n"}, BRANCH)

    with pytest.raises(MovedHeadError, match=f"Branch {BRANCH} of acme/deploy moved"):
        repository.reset(branch, base, new_commit(CHANGED))

    assert branches_of(bare)[BRANCH] == theirs
    # And the next try, which has seen it, does what it is asked for.
    commit = repository.reset(Head(BRANCH, theirs), base, new_commit(CHANGED))
    check_reset(bare, commit, base.commit, CHANGED)


def test_a_branch_that_is_gone_by_now_is_not_made_again(
    repository: ApiRepository, bare: Path
) -> None:
    branch, base = prepare(bare, "other"), repository.fetch("")
    git("--git-dir", bare, "update-ref", "-d", f"refs/heads/{BRANCH}")

    with pytest.raises(MovedHeadError):
        repository.reset(branch, base, new_commit(CHANGED))

    assert BRANCH not in branches_of(bare)


def test_of_many_resets_at_once_one_stays_whole(server: Server, bare: Path, token: str) -> None:
    base = Head("main", head_of(bare))
    wanted = [new_commit({"a.yaml": b"%d\n" % n}, f"Number {n}\n") for n in range(8)]
    done: list[str] = []
    failures: list[BaseException] = []

    def run(new: NewCommit) -> None:
        def attempt(own: ApiRepository) -> str:
            held = branches_of(bare).get(BRANCH, "")
            return own.reset(Head(BRANCH, held), base, new)

        try:
            with opened(server, token) as own:
                done.append(retry(lambda: attempt(own)))
        except BaseException as error:  # noqa: BLE001  (shown by the assertion)
            failures.append(error)

    threads = [threading.Thread(target=run, args=(new,)) for new in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(set(done)) == 8
    last = branches_of(bare)[BRANCH]
    assert last in done
    assert parents_of(bare, last) == [base.commit]
    # No commit has the words of one and the files of another.
    for commit in done:
        number = message_of(bare, commit).removeprefix("Number ")
        assert git("--git-dir", bare, "show", f"{commit}:a.yaml").decode() == f"{number}\n"


@pytest.mark.parametrize("state", ["at base", "other", "other, leftover"])
@pytest.mark.parametrize("fault", [None, "drop-after"])
def test_a_branch_is_deleted_with_what_a_killed_run_left(
    server: Server, repository: ApiRepository, bare: Path, state: str, fault: str | None
) -> None:
    branch = prepare(bare, state)
    if fault:
        server.fail(mutation("updateRefs"), fault)  # type: ignore[arg-type]

    repository.delete(branch)

    assert list(branches_of(bare)) == ["main"]
    repository.delete(branch)


def test_what_a_killed_run_left_is_deleted_where_the_branch_is_gone(
    repository: ApiRepository, bare: Path
) -> None:
    prepare(bare, "absent, leftover")

    repository.delete(Head(BRANCH, "1" * 40))

    assert list(branches_of(bare)) == ["main"]


def test_a_branch_that_others_moved_is_not_deleted(
    server: Server, repository: ApiRepository, bare: Path
) -> None:
    branch = prepare(bare, "other")
    theirs = commit_files(bare, {"c.yaml": b"of a person\n"}, BRANCH)
    with pytest.raises(MovedHeadError):
        repository.delete(branch)

    def meanwhile(request: Request) -> bool:
        if mutation("updateRefs")(request):
            commit_files(bare, {"c.yaml": b"again\n"}, BRANCH)
        return False

    server.fail(meanwhile, "drop")
    with pytest.raises(MovedHeadError):
        repository.delete(Head(BRANCH, theirs))

    assert parents_of(bare, branches_of(bare)[BRANCH]) == [theirs]


def test_a_deletion_that_is_refused_is_told(
    server: Server, repository: ApiRepository, bare: Path
) -> None:
    branch = prepare(bare, "other")
    server.protect(NAME, BRANCH)

    with pytest.raises(GitHubError, match=f"delete branch {BRANCH} of acme/deploy"):
        repository.delete(branch)


# --- who signs ---


@pytest.mark.parametrize("login", ["octocat", "github-actions[bot]"])
def test_the_signer_is_who_stands_in_the_commit(server: Server, bare: Path, login: str) -> None:
    server.add_user("octocat", "Mona Lisa")
    token = server.add_token(login, {NAME: {"contents": "write"}})

    with opened(server, token) as repository:
        signer = repository.signer(ANN)
        commit = repository.push(repository.fetch(""), new_commit())

    form = "--format=%an <%ae>"
    author = git("--git-dir", bare, "show", "-s", form, commit).decode().strip()
    # The stand-in's addresses are those of github.com.
    assert author == str(signer).replace("127.0.0.1", "github.com")


# --- trees ---


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": b"new\n"},
        {"a": b"", "apps-": b"1", "apps.": b"2", "apps/x": b"3", "apps0": b"4"},
        {"new/at/the/depth.yaml": b"a: 1\n", "run.sh": b"#!/bin/bash\n"},
        {"apps/gr\u00f6\u00dfe.yaml": b""},
    ],
)
@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_the_tree_of_a_commit_is_known_before_it_is_made(
    tmp_path: Path, files: dict[str, bytes], form: str
) -> None:
    bare = make_bare(tmp_path / "r.git", {}) if form == "sha1" else tmp_path / "r.git"
    if form == "sha256":
        git("init", "--quiet", "--bare", "--template=", "--object-format=sha256", bare)
    modes = {"run.sh": "100755", "link": "120000"}
    start = {**FILES, "run.sh": b"#!/bin/sh\n", "link": b"apps"}
    commit_files(bare, start, modes=modes)
    listing = git("--git-dir", bare, "ls-tree", "-r", "-t", "-z", "main").decode()
    entries: dict[str, Entry] = dict(parse_entries(listing))
    commit = commit_files(bare, files, modes=modes)

    assert tree_with(entries, files, len(commit)) == tree_of(bare, commit)
