"""Which of two commits is older: as clones in the workspace and GitHub know it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from github_double import GitHub as Service
from gitops_promote.core.order import Build, Comparison, compare
from gitops_promote.core.source import Source
from gitops_promote.effects.ancestry import SourceAncestry
from gitops_promote.effects.github.client import GitHub
from gitops_promote.effects.github.history import open_api
from gitops_promote.effects.github.place import Place
from servers import git

MISSING = "1" * 40

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@dataclass
class Shop:
    """The app's repository on a server, with a clone in the workspace or without.

    The line `first`, `second`, `third` is `main`, `other` has parted after `first`, and `alone`
    has nothing in common with them.
    """

    service: Service
    bare: Path
    environ: dict[str, str]
    commits: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, parent in (
            ("first", ""),
            ("second", "first"),
            ("third", "second"),
            ("other", "first"),
            ("alone", ""),
        ):
            parents = ("-p", self.commits[parent]) if parent else ()
            made = self.git("commit-tree", "main^{tree}", *parents, "-m", name)
            self.commits[name] = made
            self.git("update-ref", f"refs/heads/{name}", made)
        self.git("update-ref", "refs/heads/main", self.commits["third"])
        token = self.service.add_token("octocat", {"acme/shop": {"contents": "read"}})
        self.environ["GITOPS_PROMOTE_JOB_TOKEN"] = token

    @property
    def source(self) -> Source:
        return Source(repository="acme/shop", server_url=self.service.url)

    @property
    def workspace(self) -> Path:
        return Path(self.environ["GITHUB_WORKSPACE"])

    def git(self, *arguments: str) -> str:
        return git("--git-dir", self.bare, *arguments).decode().strip()

    def tag(self, tag: str, name: str, *options: str) -> None:
        self.git("tag", *options, tag, self.commits[name])

    def clone(self, *options: str, origin: str = "") -> None:
        """Check `main` out in the workspace, as from this server or from `origin`."""
        git("clone", "--quiet", *options, self.bare.as_uri(), self.workspace)
        url = origin or f"{self.service.url}/acme/shop"
        git("-C", self.workspace, "remote", "set-url", "origin", url)

    def ancestry(self) -> SourceAncestry:
        return SourceAncestry(self.environ, self.open)

    def open(self, source: Source) -> GitHub | None:
        return open_api(source, self.environ, self.service.url, None, "")

    def ask(self, one: str, other: str) -> int | None:
        """Compare two commits, by their own names here or what else git has for them."""
        pair = ([self.commits.get(name, name)] for name in (one, other))
        return self.ancestry()(self.source, *pair)

    def in_clone(self, one: str, other: str) -> int | None:
        """The same, for what the clone is to know."""
        answer = self.ask(one, other)
        assert self.service.requests == []
        return answer


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with Service(tmp_path) as service:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            "GIT_CEILING_DIRECTORIES": str(tmp_path),
            "GITHUB_WORKSPACE": str(tmp_path / "workspace"),
            **service.environ,
        }
        yield Shop(service, service.add_repository("acme/shop", {"a": b"0"}), environ)


PAIRS = pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("first", "third", -1),
        ("third", "first", 1),
        ("second", "second", 0),
        ("second", "other", None),
        ("first", "other", -1),
        ("alone", "first", None),
    ],
)


# --- the clone ---


@PAIRS
def test_a_clone_knows(shop: Shop, one: str, other: str, order: int | None) -> None:
    shop.clone()

    assert shop.in_clone(one, other) == order


@pytest.mark.parametrize("options", [("--bare",), ("--filter=tree:0", "--no-checkout")])
def test_a_clone_of_any_kind_knows(shop: Shop, options: tuple[str, ...]) -> None:
    shop.git("config", "uploadpack.allowFilter", "true")
    shop.clone(*options)

    assert shop.in_clone("first", "third") == -1
    assert shop.in_clone("second", "other") is None


def test_the_current_folder_may_be_the_clone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.clone()
    folder = shop.workspace / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    del shop.environ["GITHUB_WORKSPACE"]

    assert shop.in_clone("first", "third") == -1


@pytest.mark.parametrize("options", [(), ("-a", "-m", "Release")])
def test_a_clone_knows_tags(shop: Shop, options: tuple[str, ...]) -> None:
    shop.tag("v1.0.0", "first", *options)
    shop.tag("v1.1.0", "third", *options)
    shop.clone()

    assert shop.in_clone("refs/tags/v1.0.0", "refs/tags/v1.1.0") == -1
    assert shop.in_clone("refs/tags/v1.1.0", "second") == 1
    assert shop.in_clone("refs/tags/v1.1.0", "third") == 0


@pytest.mark.parametrize(
    "origin", ["git@127.0.0.1:acme/shop.git", "ssh://git@127.0.0.1/Acme/shop", ""]
)
def test_a_clone_knows_short_names(shop: Shop, origin: str) -> None:
    shop.clone(origin=origin)

    assert shop.in_clone(shop.commits["third"][:7], shop.commits["first"][:9]) == 1


def test_a_shallow_clone_knows_what_is_in_it(shop: Shop) -> None:
    shop.clone("--depth=2")

    assert shop.in_clone("second", "third") == -1
    assert shop.in_clone("third", "second") == 1


def test_a_shallow_clone_knows_of_no_parting(shop: Shop) -> None:
    # Both are here, and not what the one has in common with the other.
    parents = [option for name in ("third", "other") for option in ("-p", shop.commits[name])]
    late = shop.git("commit-tree", "main^{tree}", *parents, "-m", "Merge")
    shop.git("update-ref", "refs/heads/main", late)
    shop.clone("--depth=2")
    here = git("-C", shop.workspace, "rev-list", "HEAD").decode().split()
    assert set(here) == {late, shop.commits["third"], shop.commits["other"]}

    assert shop.in_clone("other", late) == -1
    assert shop.ask("other", "third") is None
    assert len(shop.service.requests) == 2


@pytest.mark.parametrize("depth", [1, 2])
def test_github_knows_what_a_shallow_clone_does_not(shop: Shop, depth: int) -> None:
    shop.clone(f"--depth={depth}")

    assert shop.ask("first", "third") == -1
    assert shop.ask("third", "first") == 1


def test_names_that_another_repository_has_too_are_none_of_the_app_s(shop: Shop) -> None:
    shop.tag("v1.0.0", "first")
    shop.tag("v1.1.0", "second")
    shop.clone(origin=f"{shop.service.url}/acme/deploy")
    git("-C", shop.workspace, "tag", "--force", "v1.0.0", shop.commits["third"])

    assert shop.in_clone("first", "second") == -1
    assert shop.ask("refs/tags/v1.0.0", "refs/tags/v1.1.0") == -1
    assert shop.ask(shop.commits["first"][:7], "second") == -1
    assert len(shop.service.requests) == 4


@pytest.mark.parametrize("origin", ["https://github.com/acme/shop", "/srv/shop", "x::y", "a b"])
def test_another_server_has_another_repository(shop: Shop, origin: str) -> None:
    shop.clone(origin=origin)

    assert shop.in_clone("first", "third") == -1
    assert shop.ask(shop.commits["first"][:7], "third") == -1
    assert len(shop.service.requests) == 2


def test_a_clone_without_an_origin_knows_full_names(shop: Shop) -> None:
    shop.clone()
    git("-C", shop.workspace, "remote", "remove", "origin")

    assert shop.in_clone("first", "third") == -1
    assert shop.ask(shop.commits["first"][:7], "third") == -1
    assert len(shop.service.requests) == 2


def test_outside_of_ci_a_clone_is_known_by_its_commits(shop: Shop) -> None:
    shop.clone(origin="/srv/shop")
    shop.tag("v1.0.0", "first")
    git("-C", shop.workspace, "fetch", "--quiet", "--tags", shop.bare.as_uri())
    ancestry, third = shop.ancestry(), shop.commits["third"]

    assert ancestry(Source(), ["refs/tags/v1.0.0"], [third]) == -1
    assert ancestry(Source(), [third[:7]], ["refs/tags/v1.0.0"]) is None
    assert ancestry(Source(), ["refs/tags/v1.0.0"], [MISSING]) is None
    assert not shop.service.requests


def test_a_moved_tag_is_not_taken_for_a_commit_that_is_missing_here(shop: Shop) -> None:
    shop.tag("v1.0.0", "third")
    shop.clone("--depth=1")
    names = [shop.commits["first"], "refs/tags/v1.0.0"]

    assert shop.ancestry()(shop.source, names, [shop.commits["third"]]) == -1
    assert shop.service.requests


@pytest.mark.parametrize("kind", ["branch", "tag"])
def test_what_is_called_like_a_hash_is_no_commit(shop: Shop, kind: str) -> None:
    git("--git-dir", shop.bare, kind, "20240501", shop.commits["first"])
    shop.clone()
    git("-C", shop.workspace, kind, "20240502", shop.commits["first"])

    assert shop.ask("20240502", "third") is None
    assert shop.ask("20240501", "third") is None


def test_the_first_name_that_is_there_counts(shop: Shop) -> None:
    shop.tag("v1.0.0", "first")
    shop.tag("1.0.0", "third")
    shop.clone()
    names = ["20240501", "refs/tags/shop/v1.0.0", "refs/tags/v1.0.0", "refs/tags/1.0.0"]

    assert shop.ancestry()(shop.source, names, [shop.commits["second"]]) == -1
    assert not shop.service.requests


def test_replaced_commits_count_as_they_were(shop: Shop) -> None:
    shop.clone()
    git("-C", shop.workspace, "replace", shop.commits["third"], shop.commits["alone"])

    assert shop.in_clone("first", "third") == -1


@pytest.mark.parametrize(
    "name",
    [
        *("--all", "HEAD", "main", "refs/heads/main", "refs/tags/x..y", "refs/tags/x^", ""),
        *("refs/tags/-x", "refs/tags/a:b", "refs/tags/@{1}", "abc", "refs/tags/a\nb"),
    ],
)
def test_what_is_no_name_of_a_commit_is_not_asked_for(shop: Shop, name: str) -> None:
    shop.clone()

    assert shop.in_clone(name, "third") is None
    assert shop.in_clone("third", name) is None


def test_without_git_github_is_asked(shop: Shop) -> None:
    shop.clone()
    shop.environ["PATH"] = ""

    assert shop.ask("first", "third") == -1
    assert shop.service.requests


# --- GitHub ---


@PAIRS
def test_github_knows(shop: Shop, one: str, other: str, order: int | None) -> None:
    assert shop.ask(one, other) == order


def test_github_is_asked_twice_at_most(shop: Shop) -> None:
    shop.tag("v1.0.0", "first", "-a", "-m", "Release")
    ancestry = shop.ancestry()
    one = ["20240501", "refs/tags/v1.0.0"]
    other = [MISSING, shop.commits["third"][:7], "refs/tags/v1.0.0"]

    assert [ancestry(shop.source, one, other) for _ in range(3)] == [-1, -1, -1]
    path = f"compare/{shop.commits['first']}...{shop.commits['third']}"
    assert [request.path.split("?")[0].split("shop/")[-1] for request in shop.service.requests] == [
        "/api/graphql",
        path,
    ]


def test_github_knows_one_commit_by_two_names(shop: Shop) -> None:
    shop.tag("v1.0.0", "first")

    assert shop.ask("refs/tags/v1.0.0", "first") == 0
    assert len(shop.service.requests) == 1


@pytest.mark.parametrize("other", [MISSING, "refs/tags/v9.9.9", "abcdef0"])
def test_github_does_not_know_what_it_has_not(shop: Shop, other: str) -> None:
    assert shop.ask("first", other) is None
    assert len(shop.service.requests) == 1


@pytest.mark.parametrize("fault", ["drop", "primary", "secondary", 401, 403, 404, 500, 502])
@pytest.mark.parametrize("number", [0, 1])
def test_a_failure_is_no_error_and_is_not_asked_for_again(
    shop: Shop, fault: int | Literal["drop", "primary", "secondary"], number: int
) -> None:
    shop.service.fail(number, fault)
    ancestry = shop.ancestry()
    names = [shop.commits["first"]], [shop.commits["third"]]

    assert ancestry(shop.source, *names) is None
    asked = len(shop.service.requests)
    assert ancestry(shop.source, *names) is None
    assert len(shop.service.requests) == asked == number + 1


@pytest.mark.parametrize("answer", [{}, [], {"status": []}, {"status": "new"}, "<html>"])
def test_an_answer_of_another_form_is_no_error(shop: Shop, answer: object) -> None:
    shop.service.fail(1, 200, answer=answer)

    assert shop.ask("first", "third") is None


def test_a_repository_that_may_not_be_read(shop: Shop) -> None:
    token = shop.service.add_token("github-actions[bot]", {"acme/shop": {"metadata": "read"}})
    shop.environ["GITOPS_PROMOTE_JOB_TOKEN"] = token

    assert shop.ask("first", "third") is None


@pytest.mark.parametrize("name", ["", "shop", "acme/none", "acme/shop/x", "../shop", "acme/.."])
def test_a_repository_that_is_none(shop: Shop, name: str) -> None:
    names = [shop.commits["first"]], [shop.commits["third"]]

    source = Source(repository=name, server_url=shop.service.url)
    assert shop.ancestry()(source, *names) is None


# --- the place and the token ---


def opened(shop: Shop, server_url: str = "", config: Place | None = None) -> GitHub | None:
    source = Source(repository="acme/shop", server_url=server_url or shop.service.url)
    return open_api(source, shop.environ, shop.service.url, config, "token-of-config")


def test_the_jobs_own_token_goes_first(shop: Shop) -> None:
    api_url = shop.environ["GITHUB_API_URL"]
    github = opened(shop, config=Place(api_url, "acme/deploy"))

    assert github
    assert (github.api_url, github.own_token) == (api_url, True)


def test_without_the_jobs_own_that_of_the_config_repository_goes_to_its_server(shop: Shop) -> None:
    shop.environ["GITOPS_PROMOTE_JOB_TOKEN"] = " "
    api_url = shop.environ["GITHUB_API_URL"]
    github = opened(shop, config=Place(api_url, "acme/deploy"))

    assert github
    assert (github.api_url, github.own_token) == (api_url, False)
    assert opened(shop, config=Place("https://api.github.com", "acme/deploy")) is None
    assert opened(shop) is None


def test_a_commit_that_names_another_server_gets_no_token(shop: Shop) -> None:
    here = Place(shop.environ["GITHUB_API_URL"], "acme/deploy")

    for server_url in ("https://github.com", "https://acme.ghe.com", "https://evil.example", "/"):
        assert opened(shop, server_url, here) is None


def test_a_build_and_what_runs_are_compared(shop: Shop) -> None:
    new = Build("main", Source(commit=shop.commits["third"], server_url=shop.service.url))
    old = Build(f"{shop.commits['second'][:7]}@sha256:abc", shop.source)

    found = compare(new, old, shop.ancestry())

    assert found == Comparison(1, "by the commits that they were built from")
