"""What a commit has, looked up through GitHub's API: how little is asked, and that it is right."""

from __future__ import annotations

import os
import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from github_double import GitHub as Server
from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.core.images import Image
from gitops_promote.core.plan import make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.targets import parse_target
from gitops_promote.effects.config_repository import Head, NewCommit, UnsuitedError
from gitops_promote.effects.github.client import GitHub
from gitops_promote.effects.github.config_repository import ApiRepository
from gitops_promote.effects.github.errors import GitHubError
from gitops_promote.effects.github.question import WINDOW
from gitops_promote.effects.retry import retry
from gitops_promote.inputs import Identity
from gitops_promote.promotion.past import common_path
from memory import SHOP, deployment, overlay
from servers import commit_files, git, head_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from github_double import Request as Sent

NAME = "acme/deploy"
ANN = Identity("Ann Author", "ann@example.com")
POLICY = ".gitops-promote.yaml"
OVERLAY = "apps/shop/overlays/prod"
TEST = "apps/shop/overlays/test"
KUSTOMIZATION = f"{OVERLAY}/kustomization.yaml"
VALUES = "apps/cart/values.yaml"
FILES = {
    "README.md": b"read me\n",
    "apps/shop/base/kustomization.yaml": b"resources:\n  - deployment.yaml\n",
    "apps/shop/base/deployment.yaml": deployment(f"{SHOP}:0.0.0").encode(),
    KUSTOMIZATION: overlay(f"{SHOP}:1.0.0").encode(),
    "apps/shop/overlays/test/kustomization.yaml": overlay(f"{SHOP}:1.0.0").encode(),
    VALUES: f"image:\n  repository: {SHOP}\n  tag: 1.0.0\n".encode(),
}

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
def opened(server: Server, token: str) -> Iterator[ApiRepository]:
    url = server.environ["GITHUB_API_URL"]
    with (
        GitHub(url, token, own_token=False, timeout=20) as github,
        ApiRepository(github, NAME) as repository,
    ):
        yield repository


@pytest.fixture
def repository(server: Server, token: str) -> Iterator[ApiRepository]:
    with opened(server, token) as repository:
        yield repository


def new_commit(files: dict[str, bytes], message: str = "Promote\n") -> NewCommit:
    return NewCommit(files, message, ANN, ANN)


def promoted(version: str) -> str:
    return f"Promote shop to {version}\n\nPromoted-Image: {SHOP} 0 -> {version}\n"


def wanted(version: str, *targets: str) -> Request:
    image = Image(SHOP, tag=version)
    return Request(images=(image,), targets=tuple(map(parse_target, targets)))


def commit(
    bare: Path, files: dict[str, bytes], message: str, *, branch: str = "main", merge: str = ""
) -> str:
    """Commit to a branch, with a message or as a merge."""
    here, ref = ("--git-dir", bare), f"refs/heads/{branch}"
    old = git(*here, "rev-parse", ref).decode().strip()
    made = commit_files(bare, files, branch)
    parents = ["-p", old, *(("-p", f"refs/heads/{merge}") if merge else ())]
    made = git(*here, "commit-tree", f"{made}^{{tree}}", *parents, data=message.encode()).decode()
    git(*here, "update-ref", ref, made.strip())
    return made.strip()


def begin(bare: Path, branch: str) -> None:
    git("--git-dir", bare, "update-ref", f"refs/heads/{branch}", head_of(bare))


# --- the usual promotion ---


def promote(repository: ApiRepository, version: str, *targets: str) -> str:
    """Do what a promotion does, and give its commit; empty where nothing is to be done."""
    repository.expect([POLICY, *targets])
    head = repository.fetch("")
    snapshot = repository.snapshot(head.commit)
    snapshot.kind(POLICY)
    plan = make_plan(snapshot, wanted(version, *targets))
    assert plan.warnings == ()
    if not plan.files:
        return ""
    next(repository.messages(head, common_path(list(plan.files))))
    return repository.push(head, new_commit(dict(plan.files), promoted(version)))


@pytest.mark.parametrize(
    ("count", "targets", "policy"),
    [
        (3, [OVERLAY], {}),
        (3000, [OVERLAY], {}),
        (3000, [VALUES], {POLICY: b"version: 1\n"}),
        (3, [VALUES], {}),
        (3, [KUSTOMIZATION], {POLICY: b"version: 1\n"}),
        (3, [OVERLAY, TEST], {}),
    ],
)
def test_a_usual_promotion_takes_two_requests_however_many_files_there_are(
    server: Server,
    bare: Path,
    repository: ApiRepository,
    count: int,
    targets: list[str],
    policy: dict[str, bytes],
) -> None:
    others = {f"apps/other-{n}/overlays/prod/kustomization.yaml": b"a: 1\n" for n in range(count)}
    commit_files(bare, {**others, **policy})

    made = promote(repository, "1.1.0", *targets)

    assert made == head_of(bare)
    assert len(server.requests) == 2
    changed = git("--git-dir", bare, "diff", "--name-only", f"{made}~", made).decode().split()
    assert len(changed) == len(targets)
    # And what that promotion says of itself comes with the next one, which has nothing to do.
    assert promote(repository, "1.1.0", *targets) == ""
    assert len(server.requests) == 3
    head = Head("main", made)
    past = next(repository.messages(head, common_path(changed)))
    assert (past.id, past.messages) == (made, (promoted("1.1.0").strip(),))
    assert len(server.requests) == 3


def test_a_promotion_that_lost_a_race_fetches_and_commits_once_more(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    def meanwhile(request: Sent) -> bool:
        if request.query.startswith("\nmutation") and request.number == 1:
            commit_files(bare, {"other.txt": b"1"})
        return False

    server.fail(meanwhile, "drop")
    with pytest.raises(MovedHeadError):
        promote(repository, "1.1.0", OVERLAY)
    lost = len(server.requests)

    assert promote(repository, "1.1.0", OVERLAY) == head_of(bare)
    # To look whether it landed after all takes one.
    assert lost == 3
    assert len(server.requests) - lost == 2


# --- look-ups ---


def kinds_of(bare: Path, name: str = "main") -> dict[str, str]:
    names = {"040000": "folder", "120000": "symlink", "160000": "submodule"}
    listing = git("--git-dir", bare, "ls-tree", "-r", "-t", "-z", name).decode().split("\0")
    pairs = (line.split("\t") for line in listing[:-1])
    return {path: names.get(entry[:6], "file") for entry, path in pairs}


@pytest.mark.parametrize("seed", range(8))
def test_what_is_looked_up_in_any_order_is_what_git_has(
    bare: Path, repository: ApiRepository, seed: int
) -> None:
    chance = random.Random(seed)
    names = ["a", "b.yaml", "base", "kustomization.yaml", "Kustomization", "gr\u00f6\u00dfe.yml"]
    files, modes = {"link": b"apps"}, {"link": "120000", "module": "160000"}
    files["module"] = head_of(bare).encode()
    for number in range(30):
        path = "/".join(chance.choices(names, k=chance.randint(1, 4)))
        if not any(f"{path}/".startswith(f"{one}/") or one.startswith(f"{path}/") for one in files):
            files[path] = b"# %d\n" % number
    commit_files(bare, files, modes=modes)
    truth = kinds_of(bare)
    asked = ["/".join(chance.choices(names, k=chance.randint(1, 4))) for _ in range(60)]
    asked += chance.sample(sorted(truth), 20)
    asked += ["link/shop", "module/x", "apps//shop", "a/../a"]
    chance.shuffle(asked)

    repository.expect(chance.sample(asked, 5) if seed % 2 else [])
    snapshot = repository.snapshot(repository.fetch("").commit)
    for number, path in enumerate(asked):
        if number == 20:
            snapshot.expect(chance.sample(asked, 10))
        if number == 40:
            folder = chance.choice(["apps", "base", "nothing", "a"])
            expected = [one for one in truth if one.startswith(f"{folder}/")]
            assert list(snapshot.paths(folder)) == expected
        assert snapshot.kind(path) == truth.get(path), path
        if truth.get(path) == "file":
            content = git("--git-dir", bare, "cat-file", "blob", f"main:{path}")
            assert snapshot.read(path) == content
        else:
            with pytest.raises(KeyError):
                snapshot.read(path)


def test_a_folder_is_listed_by_its_own_tree(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    snapshot = repository.snapshot(repository.fetch("").commit)

    paths = list(snapshot.paths("apps/shop"))

    assert paths == [path for path in kinds_of(bare) if path.startswith("apps/shop/")]
    tree = git("--git-dir", bare, "rev-parse", "main:apps/shop").decode().strip()
    listed = [request.path for request in server.requests if "/git/trees/" in request.path]
    assert [path.partition("/git/trees/")[2].partition("?")[0] for path in listed] == [tree]
    before = len(server.requests)
    assert list(snapshot.paths("apps/shop/overlays")) == [
        path for path in paths if path.startswith("apps/shop/overlays/")
    ]
    assert snapshot.kind("apps/shop/none/at/all") is None
    assert list(snapshot.paths("README.md")) == []
    assert len(server.requests) == before + 1


def test_files_that_are_listed_and_expected_come_together(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    many = {f"many/{n}/values.yaml": b"tag: %d\n" % n for n in range(100)}
    commit_files(bare, many)
    snapshot = repository.snapshot(repository.fetch("").commit)
    found = [path for path in snapshot.paths("many") if snapshot.kind(path) == "file"]
    before = len(server.requests)

    snapshot.expect(found)

    assert len(server.requests) - before == 2
    assert {path: snapshot.read(path) for path in found} == many
    assert len(server.requests) - before == 2


def test_a_file_too_long_for_a_text_is_read_byte_for_byte(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    large = b"image:\n  tag: 1.0.0\n" + b"# \xf0\x9f\x9a\x80 of five megabytes\n" * 200_000
    commit_files(bare, {VALUES: large})
    repository.expect([VALUES])

    snapshot = repository.snapshot(repository.fetch("").commit)

    assert snapshot.read(VALUES) == large
    assert len(server.requests) == 2


def test_what_is_too_much_for_the_server_is_asked_in_pieces(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    said = {"type": "RESOURCE_LIMITS_EXCEEDED", "message": "Resource limits for this query."}
    server.fail(
        lambda request: "text" in request.query or "history" in request.query,
        200,
        answer={"data": {"repository": {"id": "R"}}, "errors": [said]},
    )

    assert promote(repository, "1.1.0", OVERLAY) == head_of(bare)


def test_who_failed_is_asked_for_less(server: Server, repository: ApiRepository) -> None:
    repository.expect([OVERLAY])
    server.fail(0, 502)
    with pytest.raises(RetryableError):
        repository.fetch("")

    snapshot = repository.snapshot(repository.fetch("").commit)

    assert "text" not in server.requests[1].query
    assert snapshot.read(KUSTOMIZATION) == FILES[KUSTOMIZATION]


@pytest.mark.parametrize("kind", ["NOT_FOUND", "INTERNAL", "RESOURCE_LIMITS_EXCEEDED"])
def test_an_error_is_never_taken_for_a_file_that_is_not_there(
    server: Server, repository: ApiRepository, kind: str
) -> None:
    snapshot = repository.snapshot(repository.fetch("").commit)
    said = {"type": kind, "message": "No."}
    empty = {"repository": {"object": {f"f{n}": None for n in range(9)}}}
    times = 2 if kind == "RESOURCE_LIMITS_EXCEEDED" else 1
    server.fail(lambda _: True, 200, times=times, answer={"data": empty, "errors": [said]})

    with pytest.raises(GitHubError):
        snapshot.kind(KUSTOMIZATION)

    assert snapshot.kind(KUSTOMIZATION) == "file"


def test_a_folder_that_the_server_does_not_list_is_not_taken_for_empty(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    commit_files(bare, {f"{OVERLAY}/Kustomization": b"a: 1\n"})
    snapshot = repository.snapshot(repository.fetch("").commit)
    folder = {"mode": 0o40000, "oid": "1" * 40, "object": {"entries": None}}
    blob = {"byteSize": 0, "text": None}
    file = {"mode": 0o100644, "oid": "2" * 40, "object": blob}
    found = {f"f{n}": file if n == 0 else folder for n in range(5)}
    server.fail(lambda _: True, 200, answer={"data": {"repository": {"object": found}}})

    assert snapshot.kind(KUSTOMIZATION) == "file"
    assert snapshot.kind(f"{OVERLAY}/Kustomization") == "file"
    assert snapshot.kind(f"{OVERLAY}/kustomization.yml") is None


def test_what_was_expected_of_one_commit_comes_with_the_next(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    repository.expect([POLICY])
    repository.snapshot(repository.fetch("").commit).expect([OVERLAY])
    assert len(server.requests) == 2
    commit_files(bare, {"other.txt": b"1"})

    snapshot = repository.snapshot(repository.fetch("").commit)

    assert snapshot.read(KUSTOMIZATION) == FILES[KUSTOMIZATION]
    assert snapshot.kind("apps/shop/base/deployment.yaml") == "file"
    assert len(server.requests) == 3


def test_a_commit_that_is_not_there_is_no_empty_one(repository: ApiRepository) -> None:
    with pytest.raises(RetryableError, match=f"{NAME} does not show commit 111111111111 yet"):
        repository.snapshot("1" * 40).kind("README.md")


def test_a_server_that_is_behind_is_asked_again_for_no_less(
    server: Server, repository: ApiRepository
) -> None:
    snapshot = repository.snapshot(repository.fetch("").commit)
    server.fail(lambda _: True, 200, answer={"data": {"repository": {"object": None}}})

    assert retry(lambda: snapshot.read(KUSTOMIZATION)) == FILES[KUSTOMIZATION]
    assert len(server.requests) == 3


def test_a_repository_that_is_hidden_by_now_is_told(
    server: Server, repository: ApiRepository
) -> None:
    snapshot = repository.snapshot(repository.fetch("").commit)
    server.fail(lambda _: True, 200, answer={"data": {"repository": None}})

    with pytest.raises(PromoteError, match=f"{NAME} was not found on 127") as raised:
        snapshot.kind(KUSTOMIZATION)

    assert not isinstance(raised.value, RetryableError)


def test_a_server_that_is_too_old_is_left_to_git(server: Server, repository: ApiRepository) -> None:
    server.lacks = {"Commit.file"}
    repository.expect([OVERLAY])

    with pytest.raises(UnsuitedError, match="too old to read acme/deploy"):
        repository.fetch("")


def test_a_name_beside_that_is_no_utf8_hides_nothing(bare: Path, repository: ApiRepository) -> None:
    other = os.fsdecode(f"{OVERLAY}/gr".encode() + b"\xf6\xdfe.yaml")
    commit_files(bare, {other: b"a: 1\n", f"{OVERLAY}/patch.yaml": b"a: 2\n"})
    repository.expect([OVERLAY])

    snapshot = repository.snapshot(repository.fetch("").commit)

    assert snapshot.read(f"{OVERLAY}/patch.yaml") == b"a: 2\n"
    assert snapshot.kind(f"{OVERLAY}/other.yaml") is None
    for name in (other, f"{OVERLAY}/gr\ufffd\ufffde.yaml"):
        with pytest.raises(UnsuitedError, match="not UTF-8"):
            snapshot.kind(name)


def test_what_may_be_written_is_known_without_the_whole_tree(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    head = repository.fetch("")
    many = {f"{place}/values.yaml": b"a: 1\n" for place in ("one", "two/three", "apps/shop")}

    repository.push(head, new_commit(many))

    assert [request.path for request in server.requests] == ["/api/graphql"] * 3
    assert git("--git-dir", bare, "show", "main:two/three/values.yaml") == b"a: 1\n"


@pytest.mark.parametrize("fault", ["drop-after", 502])
def test_a_commit_is_known_again_without_the_whole_tree(
    server: Server, bare: Path, repository: ApiRepository, fault: str
) -> None:
    head = repository.fetch("")
    server.fail(lambda request: "createCommitOnBranch" in request.query, fault)  # type: ignore[arg-type]

    def push() -> str:
        return repository.push(head, new_commit({"apps/new/x.yaml": b"x: 1\n", VALUES: b"y: 1\n"}))

    assert (push() if fault == "drop-after" else retry(push)) == head_of(bare)
    assert not [request for request in server.requests if "/git/trees/" in request.path]


# --- what was said ---


def said(repository: ApiRepository, path: str, *expected: str) -> list[str]:
    repository.expect(expected or [path])
    head = repository.fetch("main")
    return [
        one.partition("\n")[0] for past in repository.messages(head, path) for one in past.messages
    ]


def test_messages_of_a_straight_branch_come_with_it_however_far_back(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    for number in (1, 2):
        commit(bare, {VALUES: b"tag: %d\n" % number}, f"Number {number}")
    for number in range(40):
        commit_files(bare, {"other.txt": b"%d" % number})

    found = said(repository, VALUES)

    assert found[:2] == ["Number 2", "Number 1"]
    assert len(found) == 3
    assert len(server.requests) == 1


def test_messages_of_a_folder_may_be_about_another_file(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    commit(bare, {KUSTOMIZATION: b"a: 1\n"}, "Of the file")
    commit(bare, {f"{OVERLAY}/patch.yaml": b"a: 1\n"}, "Of another")
    repository.expect([OVERLAY])
    head = repository.fetch("")

    pasts = list(repository.messages(head, KUSTOMIZATION))

    assert [past.messages[0] for past in pasts][:2] == ["Of another", "Of the file"]
    assert not any(past.sure for past in pasts)
    assert len(server.requests) == 1


def test_messages_go_on_where_those_that_came_along_end(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    for number in range(WINDOW + 4):
        commit(bare, {VALUES: b"tag: %d\n" % number}, f"Number {number}")

    found = said(repository, VALUES)

    assert found[:-1] == [f"Number {number}" for number in reversed(range(WINDOW + 4))]
    assert len(server.requests) == 2


def test_messages_that_all_came_along_take_no_other_request(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    for number in range(WINDOW - 1):
        commit(bare, {VALUES: b"tag: %d\n" % number}, f"Number {number}")

    assert len(said(repository, VALUES)) == WINDOW
    assert len(server.requests) == 1


def test_messages_go_on_where_a_server_gives_fewer_than_it_was_asked_for(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    made = commit(bare, {VALUES: b"tag: 2\n"}, "Number 2")
    page = {"nodes": [], "pageInfo": {"hasNextPage": True}}
    found = {"oid": made, **{f"f{n}": None for n in range(3)}, "h0": page}
    branch = {"name": "main", "target": found}
    answer = {"id": "R_1", "nameWithOwner": NAME, "branch": branch}
    server.fail(lambda _: True, 200, answer={"data": {"repository": answer}})

    messages = said(repository, VALUES)

    assert messages[0] == "Number 2"
    assert len(messages) == 2


@pytest.mark.parametrize("crossing", [False, True])
def test_messages_of_what_was_merged_are_found(
    server: Server, bare: Path, repository: ApiRepository, crossing: bool
) -> None:
    begin(bare, "side")
    commit(bare, {VALUES: b"side: 1\n"}, "On the side", branch="side")
    if crossing:
        commit(bare, {VALUES: b"main: 1\n"}, "On main")
    commit(
        bare, {VALUES: b"side: 1\nmain: 1\n" if crossing else b"side: 1\n"}, "Merge", merge="side"
    )

    found = said(repository, VALUES)

    assert "On the side" in found
    assert ("On main" in found) == crossing
    # A merge of two changes is looked at as `log` does.
    assert len(server.requests) == (3 if crossing else 1)


def test_messages_of_what_was_not_expected_are_those_of_log(
    bare: Path, repository: ApiRepository
) -> None:
    commit(bare, {VALUES: b"tag: 2\n"}, "Number 2")
    head = repository.fetch("")

    assert list(repository.messages(head, VALUES)) == list(repository.log(head, VALUES))
    assert list(repository.messages(head, "")) == list(repository.log(head, ""))


# --- differences ---


@pytest.mark.parametrize("status", [404, 422, 500])
def test_what_a_server_can_not_compare_is_compared_here(
    server: Server, bare: Path, repository: ApiRepository, status: int
) -> None:
    begin(bare, "branch")
    commit_files(bare, {VALUES: b"a: 1\n"}, "branch")
    server.fail(lambda request: "/compare/" in request.path, status)

    assert differing(bare, repository) == {VALUES}


def test_a_server_that_asks_to_wait_is_asked_for_nothing_more(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    begin(bare, "branch")
    server.fail(lambda request: "/compare/" in request.path, "secondary", retry_after=9)

    with pytest.raises(RetryableError, match="asks to wait"):
        differing(bare, repository)

    assert "/compare/" in server.requests[-1].path


def differing(bare: Path, repository: ApiRepository) -> frozenset[str]:
    head = repository.fetch("branch")
    since = git("--git-dir", bare, "rev-parse", "main").decode().strip()
    return repository.differences(head, since)


def test_a_few_differences_take_one_request(
    server: Server, bare: Path, repository: ApiRepository
) -> None:
    commit_files(bare, {"old.txt": FILES["README.md"] * 9})
    begin(bare, "branch")
    blob = git("--git-dir", bare, "rev-parse", "main:README.md").decode().strip()
    lines = [
        "commit refs/heads/branch",
        "committer Ann <ann@example.com> 1700000000 +0000",
        "data 4\nMove",
        "from refs/heads/branch^0",
        "R old.txt new.txt",
        f"M 100755 {blob} README.md",
    ]
    stream = "\n".join((*lines, "")).encode()
    git("--git-dir", bare, "fast-import", "--quiet", data=stream)

    assert differing(bare, repository) == {"old.txt", "new.txt", "README.md"}
    assert len(server.requests) == 2


@pytest.mark.parametrize("count", [299, 300, 320])
def test_more_differences_than_a_comparison_names_are_all_found(
    bare: Path, repository: ApiRepository, count: int
) -> None:
    begin(bare, "branch")
    many = {f"many/{number}.txt": b"1" for number in range(count)}
    commit_files(bare, many, "branch")

    assert differing(bare, repository) == many.keys()


def test_a_path_that_differs_and_is_no_utf8_is_left_to_git(
    bare: Path, repository: ApiRepository
) -> None:
    begin(bare, "branch")
    commit_files(bare, {os.fsdecode(b"\xf6.txt"): b"1"}, "branch")

    with pytest.raises(UnsuitedError, match="not UTF-8"):
        differing(bare, repository)
