"""The commits between two versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from github_double import GitHub as Service
from gitops_promote.core.review.history import History
from gitops_promote.core.source import Source
from gitops_promote.effects.github.client import GitHub
from gitops_promote.effects.github.history import read_history
from servers import git, head_of


def test_a_history_has_a_page() -> None:
    history = History("https://github.com", "acme/shop", "a" * 40, "b" * 40)

    assert history.compare_url == (f"https://github.com/acme/shop/compare/{'a' * 40}...{'b' * 40}")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Service(tmp_path) as service:
        yield Shop(service, service.add_repository("acme/shop", {"a": b"0"}))


@dataclass
class Shop:
    """The app's repository on a server."""

    service: Service
    bare: Path

    @property
    def head(self) -> str:
        return head_of(self.bare)

    def commit(self, *subjects: str) -> list[str]:
        """Commit something; the ids of the commits."""
        made = []
        for subject in subjects:
            git("--git-dir", self.bare, "update-ref", "refs/heads/main", self._made(subject))
            made.append(self.head)
        return made

    def merge(self, other: str) -> None:
        merged = self._made("Merge branch 'x'", other)
        git("--git-dir", self.bare, "update-ref", "refs/heads/main", merged)

    def tag(self, name: str, *options: str) -> None:
        git("--git-dir", self.bare, "tag", *options, name, self.head)

    def read(self, old: str, new: str, app: str = "", **access: Literal["read"]) -> History | None:
        rights: Mapping[str, Literal["read"]] = access or {"contents": "read"}
        token = self.service.add_token("octocat", {"acme/shop": rights})
        url = self.service.environ["GITHUB_API_URL"]
        source = Source(commit=new, repository="acme/shop", server_url=self.service.url)
        with GitHub(url, token, own_token=False) as github:
            return read_history(github, source, old, app)

    def _made(self, subject: str, *parents: str) -> str:
        head = self.head
        chosen = [option for parent in (head, *parents) for option in ("-p", parent)]
        message = f"{subject}\n\nMore of it.\n".encode()
        made = git("--git-dir", self.bare, "commit-tree", f"{head}^{{tree}}", *chosen, data=message)
        return made.decode().strip()


def subjects(history: History | None) -> list[str]:
    assert history
    return [commit.subject for commit in history.commits]


def test_the_commits_since_a_version_tag(shop: Shop) -> None:
    shop.tag("v1.4.1")
    old = shop.head
    made = shop.commit("One", "Two @octocat")

    history = shop.read("1.4.1@sha256:abc", made[-1])

    assert history
    assert (history.old, history.new, history.total, history.behind) == (old, made[-1], 2, 0)
    assert subjects(history) == ["Two @octocat", "One"]
    assert [commit.id for commit in history.commits] == made[::-1]
    assert history.commits[0].author


def test_the_commits_since_an_annotated_tag_of_an_app(shop: Shop) -> None:
    old = shop.head
    shop.tag("shop/v1.4.1", "-a", "-m", "Release")
    made = shop.commit("One")
    shop.tag("v1.4.1")

    history = shop.read("1.4.1", made[-1], "shop")

    assert history
    assert history.old == old
    assert subjects(history) == ["One"]


def test_the_commits_since_a_commit_in_a_tag(shop: Shop) -> None:
    old = shop.head
    made = shop.commit("One")

    history = shop.read(f"{old[:7]}-11870042117", made[-1])

    assert history
    assert history.old == old
    assert subjects(history) == ["One"]


def test_merges_are_left_out(shop: Shop) -> None:
    old = shop.head
    made = shop.commit("One", "Two")
    shop.merge(made[0])

    history = shop.read(old[:12], shop.head)

    assert history
    assert (subjects(history), history.total) == (["Two", "One"], 2)


def test_an_older_version_goes_back(shop: Shop) -> None:
    old = shop.head
    made = shop.commit("One", "Two")

    history = shop.read(made[-1], old)

    assert history
    assert (history.commits, history.total, history.behind) == ((), 0, 2)


def test_a_new_commit_that_is_not_there_leaves_the_link(shop: Shop) -> None:
    history = shop.read(shop.head, "1" * 40)

    assert history == History(shop.service.url, "acme/shop", shop.head, "1" * 40)


@pytest.mark.parametrize("old", ["1.4.1", "0123456", "latest", ""])
def test_an_old_version_that_is_not_there(shop: Shop, old: str) -> None:
    assert shop.read(old, shop.head) is None


def test_a_repository_that_the_token_may_not_read(shop: Shop) -> None:
    assert shop.read(shop.head, shop.head, metadata="read") is None


def test_a_server_that_fails_stops_nobody(shop: Shop) -> None:
    shop.service.fail(0, 502)

    assert shop.read(shop.head, shop.head) is None


def test_an_answer_of_another_form_stops_nobody(shop: Shop) -> None:
    shop.service.fail(0, 200, answer={"data": {"repository": {"name0": {"oid": 1}}}})
    shop.service.fail(2, 200, answer={"commits": None})

    assert shop.read(shop.head, shop.head) is None
    assert shop.read(shop.head, shop.head) == History(
        shop.service.url, "acme/shop", shop.head, shop.head
    )


def test_without_a_commit_nothing_is_asked(shop: Shop) -> None:
    assert shop.read(shop.head, "") is None
    assert not shop.service.requests
