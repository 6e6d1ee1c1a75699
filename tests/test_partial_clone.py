"""What of a config repository comes over the network, and that it is right whatever comes."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.effects.config_repository import NewCommit
from gitops_promote.effects.git.repository import Credentials, GitRepository
from gitops_promote.inputs import Identity
from servers import Fault, GitHttpServer, commit_files, file_of, git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gitops_promote.core.snapshot import Snapshot

ANN = Identity("Ann", "ann@example.com")
OVERLAY = "apps/shop/overlays/dev/kustomization.yaml"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")

#: Servers that give as little as they are asked for, and those that don't.
SERVERS: dict[str, dict[str, str]] = {
    "all-filters": {},
    "no-filter-of-trees": {"uploadpackfilter.tree.allow": "false"},
    "trees-of-no-depth": {"uploadpackfilter.tree.maxDepth": "0"},
    "filters-forbidden": {"uploadpackfilter.allow": "false"},
    "no-limit-of-files": {"uploadpackfilter.blob:limit.allow": "false"},
    "no-filters": {"uploadpack.allowFilter": "false"},
}


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    yield {"PATH": os.environ["PATH"], "HOME": str(home), "RUNNER_TEMP": str(temporary)}
    assert list(temporary.iterdir()) == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHttpServer]:
    (tmp_path / "served").mkdir()
    with GitHttpServer(tmp_path / "served") as server:
        yield server


def serve(server: GitHttpServer, files: Mapping[str, bytes], kind: str = "all-filters") -> Path:
    bare = make_bare(server.root / "deploy.git", files)
    for key, value in SERVERS[kind].items():
        git("--git-dir", bare, "config", key, value)
    return bare


def opened(server: GitHttpServer, environ: Mapping[str, str]) -> GitRepository:
    return GitRepository(f"{server.url}/deploy.git", Credentials(), environ)


def new(path: str, content: bytes) -> NewCommit:
    return NewCommit({path: content}, "Promote", ANN, ANN)


def many(count: int) -> dict[str, bytes]:
    """A config repository of about so many files, ten for an app."""
    files = {"README.md": b"# Deploy\n", OVERLAY: b"images: []\n"}
    for number in range(count // 10):
        for name in ("base", "overlays/dev", "overlays/test", "overlays/prod", "docs"):
            folder = f"apps/app-{number}/{name}"
            chance = random.Random(f"{number}{name}")
            files[f"{folder}/kustomization.yaml"] = b"# %d\n" % number
            files[f"{folder}/config.yaml"] = chance.randbytes(300).hex().encode()
    return files


def promoted(server: GitHttpServer, environ: Mapping[str, str]) -> tuple[int, int]:
    """Change the overlay; gives the number of requests, and the bytes of the answers."""
    server.requests.clear()
    server.sent = 0
    with opened(server, environ) as repository:
        head = repository.fetch("")
        content = repository.snapshot(head.commit).read(OVERLAY)
        repository.push(head, new(OVERLAY, content + b"# more\n"))
        list(repository.messages(head, OVERLAY))
    return len(server.requests), server.sent


def test_a_large_repository_costs_hardly_more_than_a_small_one(
    server: GitHttpServer, environ: dict[str, str], tmp_path: Path
) -> None:
    small, large = many(100), many(3000)
    serve(server, small)
    requests, sent = promoted(server, environ)
    (server.root / "deploy.git").rename(tmp_path / "small.git")
    bare = serve(server, large)
    whole = sum(map(len, large.values()))

    then_requests, then_sent = promoted(server, environ)

    assert file_of(bare, OVERLAY) == b"images: []\n# more\n"
    assert requests == then_requests == 10
    # The folder of all apps has an entry for each.
    assert then_sent < sent + 300 * 40
    assert then_sent < whole / 40


@pytest.mark.parametrize("kind", SERVERS)
def test_every_server_gives_what_is_there(
    server: GitHttpServer, environ: dict[str, str], kind: str
) -> None:
    files = {
        "README.md": b"# Deploy\n",
        ".gitops-promote.yaml": b"version: 1\n",
        "dev/values.yaml": b"tag: 1\n",
        OVERLAY: b"images: []\n",
        "apps/shop/overlays/test/kustomization.yaml": b"images: []\n",
        "apps/shop/base/deployment.yaml": b"kind: Deployment\n",
        "apps/large/values.yaml": b"#" * 1_200_000,
        "apps/cart/\xc3\xa9 x.yaml".encode().decode("latin-1"): b"x",
    }
    bare = serve(server, files, kind)
    commit_files(bare, {"link": b"dev"}, modes={"link": "120000"})
    submodule = head_of(bare).encode()
    commit_files(bare, {"apps/module": submodule}, modes={"apps/module": "160000"})
    listing = git("--git-dir", bare, "ls-tree", "-r", "-t", "-z", "--name-only", "main")
    paths = listing.decode("utf-8", "surrogateescape").split("\0")[:-1]

    with opened(server, environ) as repository:
        snapshot = repository.snapshot(repository.fetch("main").commit)
        _looks_right(snapshot, files)
        assert list(snapshot.paths("apps/shop")) == [
            path for path in paths if path.startswith("apps/shop/")
        ]
        assert list(snapshot.paths()) == paths
        assert list(snapshot.paths("apps/none")) == list(snapshot.paths("README.md")) == []
        _looks_right(snapshot, files)


def _looks_right(snapshot: Snapshot, files: Mapping[str, bytes]) -> None:
    kinds = {"link": "symlink", "apps/module": "submodule", "apps/shop": "folder", "": "folder"}
    assert {path: snapshot.kind(path) for path in kinds} == kinds
    for path in ("none", "apps/none/x", "README.md/x", "link/values.yaml", "apps/module/x"):
        assert snapshot.kind(path) is None
        with pytest.raises(KeyError):
            snapshot.read(path)
    for path, content in files.items():
        assert snapshot.kind(path) == "file"
        assert snapshot.read(path) == content


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_in_pieces_is_the_whole(
    server: GitHttpServer, environ: dict[str, str], seed: int
) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "c.yaml", "kustomization.yaml"]
    files: dict[str, bytes] = {}
    for _ in range(40):
        path = "/".join(chance.choice(names) for _ in range(chance.randint(1, 6)))
        if not any(f"{one}/".startswith(f"{path}/") or path.startswith(f"{one}/") for one in files):
            files[path] = chance.randbytes(chance.choice([0, 3, 3000]))
    serve(server, files, chance.choice(list(SERVERS)))
    asked = [*files, *(f"{path}/x" for path in files), *(f"x/{path}" for path in files)]
    chance.shuffle(asked)

    with opened(server, environ) as repository:
        snapshot = repository.snapshot(repository.fetch("").commit)
        for path in asked:
            if chance.random() < 0.2:
                snapshot.expect(chance.sample(asked, 5))
            if chance.random() < 0.1:
                folder = path.rpartition("/")[0]
                prefix = f"{folder}/" if folder else ""
                found = [name for name in snapshot.paths(folder) if snapshot.kind(name) == "file"]
                assert sorted(found) == sorted(one for one in files if one.startswith(prefix))
            assert snapshot.kind(path) == ("file" if path in files else None)
            if path in files:
                assert snapshot.read(path) == files[path]


def test_an_old_server_gives_everything(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "served").mkdir()
    with GitHttpServer(tmp_path / "served", old=True) as server:
        bare = serve(server, many(100))

        promoted(server, environ)

    assert file_of(bare, OVERLAY) == b"images: []\n# more\n"


def test_the_files_of_a_glob_come_together(server: GitHttpServer, environ: dict[str, str]) -> None:
    files = many(1000)
    serve(server, files)
    wanted = [path for path in files if path.endswith("dev/kustomization.yaml")]

    with opened(server, environ) as repository:
        snapshot = repository.snapshot(repository.fetch("").commit)
        server.requests.clear()
        assert set(wanted) < set(snapshot.paths("apps"))
        snapshot.expect(wanted)
        assert [snapshot.read(path) for path in wanted] == [files[path] for path in wanted]

    assert len(server.requests) == 4


def test_who_reads_many_files_one_by_one_gets_the_rest_at_once(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    files = many(1000)
    serve(server, files)

    with opened(server, environ) as repository:
        snapshot = repository.snapshot(repository.fetch("").commit)
        server.requests.clear()
        assert len(list(snapshot.paths())) > len(files)
        assert {path: snapshot.read(path) for path in files} == files

    assert len(server.requests) < 30


def test_the_folders_of_many_targets_come_together(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    files = {f"clusters/c{n}/apps/shop/kustomization.yaml": b"# %d\n" % n for n in range(40)}
    serve(server, files)

    with opened(server, environ) as repository:
        snapshot = repository.snapshot(repository.fetch("").commit)
        server.requests.clear()
        snapshot.expect(files)
        assert {path: snapshot.read(path) for path in files} == files

    assert len(server.requests) == 2


def test_a_large_folder_on_the_way_is_not_fetched_whole(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    files = {f"k8s/{path}": content for path, content in many(2000).items()}
    files["k8s/clusters/x.yaml"] = b"x"
    serve(server, files)

    with opened(server, environ) as repository:
        snapshot = repository.snapshot(repository.fetch("").commit)
        server.sent = 0
        server.requests.clear()
        assert snapshot.read(f"k8s/{OVERLAY}") == b"images: []\n"

    # With a list of what each app has, but for the one without what is in there.
    assert server.sent < sum(map(len, files.values())) / 6
    assert len(server.requests) == 4


@pytest.mark.parametrize("kind", ["all-filters", "no-filter-of-trees", "no-limit-of-files"])
def test_another_branch_is_read_as_the_first_one(
    server: GitHttpServer, environ: dict[str, str], kind: str
) -> None:
    bare = serve(server, many(300), kind)
    commit_files(bare, {OVERLAY: b"images: [] # prod\n", **many(300)}, "prod")
    files = [path for path in many(300) if path.endswith("config.yaml")]

    with opened(server, environ) as repository:
        repository.fetch("")
        head = repository.fetch("prod")
        commit_files(bare, {"new.txt": b"x"})
        snapshot = repository.snapshot(head.commit)
        for path in files[:20]:
            assert snapshot.read(path) == many(300)[path]
        assert repository.snapshot(head.commit).kind("new.txt") is None


def test_an_end_does_not_wait_for_what_was_begun(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    serve(server, many(100))
    server.delay = 5
    began = time.monotonic()

    with opened(server, environ) as repository:
        repository._said.begin("")
        repository._said.stop()
        repository.begin()

    assert time.monotonic() - began < 4


def test_a_missing_repository_is_told_of_at_once(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    with GitRepository(f"{server.url}/none.git", Credentials(), environ) as repository:
        repository.begin()
        with pytest.raises(PromoteError, match="was not found"):
            repository.fetch("")

    assert len(server.requests) <= 2


def test_a_branch_that_is_moved_back_meanwhile_is_told_of(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    bare = serve(server, many(100))
    before = head_of(bare)
    commit_files(bare, {OVERLAY: b"images: [] # new\n"})

    with opened(server, environ) as repository:
        snapshot = repository.snapshot(repository.fetch("").commit)
        git("--git-dir", bare, "update-ref", "refs/heads/main", before)
        git("--git-dir", bare, "reflog", "expire", "--expire=now", "--all")
        git("--git-dir", bare, "prune", "--expire=now")

        with pytest.raises(MovedHeadError):
            snapshot.read(OVERLAY)
        again = repository.snapshot(repository.fetch("main").commit)
        assert again.read(OVERLAY) == b"images: []\n"


@pytest.mark.parametrize("fault", [502, "drop"])
@pytest.mark.parametrize("number", range(0, 6, 2))
def test_what_fails_in_the_background_is_told_once_and_done_again(
    server: GitHttpServer, environ: dict[str, str], fault: Fault, number: int
) -> None:
    bare = serve(server, many(100))
    commit_files(bare, {OVERLAY: b"images: [] # new\n"})

    with opened(server, environ) as repository:
        server.faults = {number: fault}
        repository.begin()
        try:
            head = repository.fetch("")
        except RetryableError:
            head = repository.fetch("")
        server.faults = {}
        assert repository.snapshot(head.commit).read(OVERLAY) == b"images: [] # new\n"
        assert len(list(repository.messages(head, OVERLAY))) == 2


def test_what_is_begun_and_not_needed_is_ended(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    bare = serve(server, many(100))

    with opened(server, environ) as repository:
        repository.begin()
        with pytest.raises(PromoteError):
            repository.fetch("none")

    with opened(server, environ) as repository:
        repository.begin()
    assert git("--git-dir", bare, "fsck", "--strict") == b""


def test_after_a_lost_race_the_new_commit_is_read(
    server: GitHttpServer, environ: dict[str, str]
) -> None:
    bare = serve(server, many(100))

    with opened(server, environ) as repository:
        head = repository.fetch("")
        commit_files(bare, {OVERLAY: b"images: [] # theirs\n"})
        with pytest.raises(MovedHeadError):
            repository.push(head, new(OVERLAY, b"mine\n"))
        head = repository.fetch("")
        content = repository.snapshot(head.commit).read(OVERLAY)
        said = [past.id for past in repository.messages(head, OVERLAY)]
        repository.push(head, new(OVERLAY, content + b"# mine\n"))

    assert said == [
        head.commit,
        *git("--git-dir", bare, "rev-list", f"{head.commit}^").decode().split(),
    ]
    assert file_of(bare, OVERLAY) == b"images: [] # theirs\n# mine\n"
