"""What happened on a branch, and files as they were then: by git, by the API, and by the whole."""

from __future__ import annotations

import os
import random
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from github_double import GitHub as Server
from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.effects.config_repository import ConfigRepository, Head, Past, UnsuitedError
from gitops_promote.effects.git.repository import Credentials, GitRepository
from gitops_promote.effects.github.client import GitHub
from gitops_promote.effects.github.config_repository import ApiRepository
from gitops_promote.effects.mainline import BELOW, MOST_BROUGHT
from servers import Fault, GitHttpServer, commit_files, git, head_of, make_bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from github_double.state import Access, Method

NAME = "acme/deploy"
FILE = "apps/shop/values.yaml"
START = 1_700_000_000

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")


@dataclass
class Story:
    """A repository's history, told to git in one go."""

    bare: Path
    trees: dict[int, dict[str, bytes]] = field(default_factory=dict)
    tips: dict[str, int] = field(default_factory=dict)
    stream: list[bytes] = field(default_factory=list)

    def commit(
        self,
        branch: str,
        files: Mapping[str, bytes | None],
        *,
        merge: str = "",
        when: str = "",
        message: str = "",
    ) -> int:
        """Commit to a branch; a file of None is deleted."""
        mark = len(self.trees) + 1
        parent = self.tips.get(branch)
        tree = {**self.trees.get(parent or 0, {})}
        date = when or f"{START + 60 * mark} +0000"
        text = (message or f"Commit {mark} of {branch}\n\nWith a body: {mark}\n").encode()
        lines = [f"commit refs/heads/{branch}\nmark :{mark}\n".encode()]
        lines += [f"committer Test <test@example.com> {date}\n".encode()]
        lines += [b"data %d\n%b\n" % (len(text), text)]
        lines += [f"from :{parent}\n".encode()] if parent else []
        lines += [f"merge :{self.tips[merge]}\n".encode()] if merge else []
        for path, content in files.items():
            if content is None:
                tree.pop(path)
                lines.append(b"D %b\n" % quoted(path))
            else:
                tree[path] = content
                lines.append(b"M 100644 inline %b\n" % quoted(path))
                lines.append(b"data %d\n%b\n" % (len(content), content))
        self.stream += lines
        self.trees[mark], self.tips[branch] = tree, mark
        return mark

    def branch(self, name: str, start: str) -> None:
        """Put a branch where another one is."""
        self.tips[name] = self.tips[start]
        self.stream.append(f"reset refs/heads/{name}\nfrom :{self.tips[name]}\n\n".encode())

    def tell(self) -> None:
        """Write it into the repository."""
        data = b"".join(self.stream)
        git("--git-dir", self.bare, "fast-import", "--quiet", "--force", data=data)
        self.stream = []


def quoted(path: str) -> bytes:
    plain = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{plain}"'.encode("utf-8", "surrogateescape")


def straight(bare: Path, count: int, changes: Sequence[int], path: str = FILE) -> None:
    """A history of so many commits; the file is changed by those with these numbers, from 1 on."""
    story = Story(bare)
    for number in range(1, count + 1):
        files = {"other.txt": b"%d" % number}
        if number in changes:
            files[path] = b"tag: %d\n" % number
        story.commit("main", files)
    story.tell()


def message_of(bare: Path, commit: str) -> str:
    message = git("--git-dir", bare, "log", "-1", "--format=%B", commit)
    return message.decode("utf-8", "surrogateescape").strip("\n")


def whole(bare: Path, path: str, branch: str = "main") -> list[Past]:
    """What a whole clone says."""
    here = ("--git-dir", bare)
    form = "--format=%H %ct %P"
    lines = git(*here, "log", "--first-parent", form, branch).decode().splitlines()
    line = [one.split(" ", 2) for one in lines]
    where = ("--", f":(literal){path}") if path else ("--",)
    touched = git(*here, "log", "--first-parent", "-m", "--format=%H", branch, *where).split()
    found = []
    for number, (commit, _, parents) in enumerate(line):
        if commit.encode() not in touched:
            continue
        time = max(int(below[1]) for below in line[number : number + BELOW + 1])
        names = [commit]
        if " " in parents:
            own = git(*here, "rev-list", "--topo-order", f"{commit}^1..{commit}").decode().split()
            names += own[1 : MOST_BROUGHT + 1]
        messages = tuple(message_of(bare, name) for name in names)
        found.append(Past(commit, time, messages, parents.split(" ")[0]))
    return found


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    yield {"PATH": os.environ["PATH"], "HOME": str(home), "RUNNER_TEMP": str(temporary)}
    assert list(temporary.iterdir()) == []


@pytest.fixture
def server(tmp_path: Path, record_property: Callable[[str, object], None]) -> Iterator[Server]:
    with Server(tmp_path) as server:
        yield server
    record_property("counts:checked by GitHub's own descriptions", server.checked)


@pytest.fixture
def bare(server: Server) -> Path:
    return server.add_repository(NAME, {})


@pytest.fixture
def token(server: Server, bare: Path) -> str:
    assert bare.is_dir()
    rights: dict[str, Access] = {"contents": "write", "pull_requests": "write"}
    return server.add_token("octocat", {NAME: rights})


@contextmanager
def by_api(server: Server, token: str) -> Iterator[ApiRepository]:
    url = server.environ["GITHUB_API_URL"]
    with (
        GitHub(url, token, own_token=False, timeout=60) as github,
        ApiRepository(github, NAME) as repository,
    ):
        yield repository


@contextmanager
def by_git(server: Server, token: str, environ: Mapping[str, str]) -> Iterator[GitRepository]:
    url = f"{server.url}/{NAME}.git"
    with GitRepository(url, Credentials(token=token), environ) as repository:
        yield repository


@pytest.fixture
def repository(server: Server, token: str, environ: Mapping[str, str]) -> Iterator[GitRepository]:
    with by_git(server, token, environ) as repository:
        yield repository


@pytest.fixture
def api(server: Server, token: str) -> Iterator[ApiRepository]:
    with by_api(server, token) as repository:
        yield repository


@pytest.fixture(params=["git", "git-without-filters", "api"])
def either(request: pytest.FixtureRequest, bare: Path) -> ConfigRepository:
    if request.param == "git-without-filters":
        git("--git-dir", bare, "config", "uploadpack.allowFilter", "false")
    name = "api" if request.param == "api" else "repository"
    found: ConfigRepository = request.getfixturevalue(name)
    return found


def log(repository: ConfigRepository, path: str = FILE, branch: str = "main") -> list[Past]:
    return list(repository.log(repository.fetch(branch), path))


PATHS = ["apps/a.yaml", "apps/b.yaml", "apps", "c.yaml", "", "none.yaml"]


def random_story(bare: Path, seed: int) -> None:
    chance = random.Random(seed)
    story = Story(bare)
    story.commit("main", {"apps/a.yaml": b"0", "c.yaml": b"0"})
    names = ["apps/a.yaml", "apps/b.yaml", "c.yaml", "apps", "d.yaml"]
    for _ in range(chance.choice([10, 40, 80])):
        branch = chance.choice(["main", "main", "side", "other"])
        if branch not in story.tips or (chance.random() < 0.2 and branch != "main"):
            story.branch(branch, "main")
        tree = story.trees[story.tips[branch]]
        when = f"{START + chance.randrange(-3000, 3000)} +0200" if chance.random() < 0.3 else ""
        what = chance.random()
        sides = [name for name in story.tips if name != branch]
        if what < 0.45 and sides:
            side = chance.choice(sides)
            theirs = story.trees[story.tips[side]]
            taken = {path: theirs[path] for path in theirs if chance.random() < 0.6}
            gone = {path: None for path in tree if path not in theirs and chance.random() < 0.3}
            if chance.random() < 0.2:
                story.branch(branch, side)
            else:
                merge = side if chance.random() < 0.8 else ""
                story.commit(branch, apart(tree, {**taken, **gone}), merge=merge, when=when)
        else:
            path = chance.choice(names)
            content = (
                None if path in tree and chance.random() < 0.3 else b"%d" % chance.randrange(3)
            )
            story.commit(branch, apart(tree, {path: content}), when=when)
    story.tell()


def apart(tree: Mapping[str, bytes], files: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """Changes by which no file comes to stand where a folder does."""
    found: dict[str, bytes | None] = {}
    for path, content in files.items():
        now = {one for one in tree if found.get(one, b"") is not None} | {
            one for one, text in found.items() if text is not None
        }
        if content is not None:
            for one in now:
                if one.startswith(f"{path}/") or path.startswith(f"{one}/"):
                    found[one] = None
        if content is not None or path in now:
            found[path] = content
    return {path: text for path, text in found.items() if text is not None or path in tree}


@pytest.mark.parametrize("seed", range(12))
def test_each_way_says_what_the_whole_history_does(
    bare: Path,
    repository: GitRepository,
    api: ApiRepository,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gitops_promote.effects.git.past.DEPTHS", (3, 8, 20, 2**31 - 1))
    monkeypatch.setattr("gitops_promote.effects.github.past._WINDOWS", (11, 12, 15))
    monkeypatch.setattr("gitops_promote.effects.git.repository.DEPTHS", (3, 8, 20, 2**31 - 1))
    random_story(bare, seed)

    found = {path: (log(repository, path), log(api, path)) for path in PATHS}

    for path in PATHS:
        expected = whole(bare, path)
        assert found[path][0] == expected, path
        assert found[path][1] == expected, path


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_a_pull_request_that_github_merged_is_what_the_branch_got(
    server: Server, bare: Path, repository: GitRepository, api: ApiRepository, method: Method
) -> None:
    straight(bare, 2, [1])
    pushed = []
    for number in (1, 2, 3):
        branch, base = f"change-{number}", head_of(bare)
        git("--git-dir", bare, "update-ref", f"refs/heads/{branch}", base)
        for text in (b"a", b"b"):
            commit_files(bare, {FILE: b"%d%b" % (number, text)}, branch)
        pushed.append(commit_files(bare, {f"new-{number}.txt": b"direct"}))
        open_pull(server, branch)
        server.merge(NAME, number, method=method)

    found = log(repository), log(api)

    assert found == (whole(bare, FILE),) * 2
    assert [len(past.messages) for past in found[0]] == {
        "merge": [3, 3, 3, 1],
        "squash": [1, 1, 1, 1],
        "rebase": [1] * 7,
    }[method]
    if method != "rebase":
        assert [past.parent for past in found[0]][:3] == pushed[::-1]


def open_pull(server: Server, branch: str) -> None:
    repository = server.repository(NAME)
    with repository.changing():
        user = server.state.user("octocat")
        repository.create_pull("A change", "", (branch, "main"), user, draft=False)


def test_a_merge_that_takes_back_what_came_between_hides_nothing(
    bare: Path, either: ConfigRepository
) -> None:
    story = Story(bare)
    story.commit("main", {FILE: b"old"})
    story.branch("side", "main")
    story.commit("side", {"other.txt": b"x"})
    for number in range(20):
        story.commit("main", {FILE: b"new"} if number == 3 else {"other.txt": b"%d" % number})
    story.commit("side", {"other.txt": b"y"}, merge="main")  # and so it keeps its old file
    story.commit("side", {FILE: b"old"})
    story.commit("main", {FILE: b"old", "other.txt": b"y"}, merge="side")
    for number in range(60):
        story.commit("main", {"other.txt": b"later %d" % number})
    story.tell()

    found = log(either)

    assert found == whole(bare, FILE)
    assert len(found) == 3


@pytest.mark.parametrize("count", [1, 49, 50, 51, 60, 600])
def test_the_first_commit_is_found_however_far_it_is_behind(
    bare: Path, either: ConfigRepository, count: int
) -> None:
    straight(bare, count, [1])

    found = log(either)

    assert found == whole(bare, FILE)
    assert [past.parent for past in found] == [""]


@pytest.mark.parametrize("at", [1, 38, 39, 40, 41, 48, 49, 50, 51, 52])
def test_a_commit_where_history_is_cut_off_has_not_made_all_files(
    bare: Path, either: ConfigRepository, at: int
) -> None:
    straight(bare, 100, [3, 101 - at])

    found = log(either)

    assert found == whole(bare, FILE)
    assert len(found) == 2


@pytest.mark.parametrize("seed", range(4))
def test_on_a_straight_branch_with_any_dates_nothing_is_skipped(
    bare: Path, api: ApiRepository, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops_promote.effects.github.past._WINDOWS", (11, 12, 15))
    chance, story = random.Random(seed), Story(bare)
    story.commit("main", {FILE: b"first"})
    for number in range(120):
        files = {FILE if chance.random() < 0.05 else "other.txt": b"%d" % number}
        when = f"{START + chance.randrange(9000)} +0000"
        story.commit("main", dict(files), when=when)
    story.tell()

    assert log(api) == whole(bare, FILE)


def test_a_file_that_never_was_has_no_history(bare: Path, either: ConfigRepository) -> None:
    straight(bare, 120, [1])

    assert log(either, "apps/shop") == whole(bare, "apps/shop") != []
    assert log(either, "apps/sho") == log(either, f"{FILE}/more") == []
    assert len(log(either, "")) == 120


def test_who_wants_the_newest_change_alone_waits_for_no_more(
    server: Server, bare: Path, either: ConfigRepository
) -> None:
    straight(bare, 600, [1, 300, 595])
    head = either.fetch("main")
    before = len(server.requests)

    found = next(either.log(head, FILE))

    assert found == whole(bare, FILE)[0]
    assert len(server.requests) - before <= 3


def test_an_old_change_on_a_straight_branch_takes_few_requests(
    server: Server, bare: Path, api: ApiRepository
) -> None:
    straight(bare, 600, [2, 100])
    head = api.fetch("main")
    before = len(server.requests)
    listed = api.log(head, FILE)

    assert next(listed) == whole(bare, FILE)[0]
    assert len(server.requests) - before == 2
    assert list(listed) == whole(bare, FILE)[1:]
    assert len(server.requests) - before == 3
    assert list(api.log(head, "none.txt")) == []
    assert len(server.requests) - before == 5


def test_an_old_change_behind_merges_takes_a_request_for_some_hundred_commits(
    server: Server, bare: Path, api: ApiRepository
) -> None:
    story = Story(bare)
    story.commit("main", {FILE: b"old"})
    for number in range(300):
        story.branch("side", "main")
        story.commit("side", {"other.txt": b"%d" % number})
        story.commit("main", {"other.txt": b"%d" % number}, merge="side")
    story.tell()
    head = api.fetch("main")
    before = len(server.requests)

    found = list(api.log(head, FILE))

    assert found == whole(bare, FILE)
    assert len(server.requests) - before == 3


def test_messages_of_a_merge_are_not_those_of_the_branch_from_before_the_cut(
    bare: Path, either: ConfigRepository
) -> None:
    story = Story(bare)
    for number in range(80):
        story.commit("main", {"other.txt": b"%d" % number})
        if number == 10:
            story.branch("stale", "main")
    story.commit("stale", {FILE: b"stale"}, message="Stale")
    story.commit("main", {FILE: b"stale"}, merge="stale", message="Merge")
    story.commit("main", {"other.txt": b"last"})
    story.tell()

    found = log(either)

    assert [past.messages for past in found] == [("Merge", "Stale")]


def test_messages_of_a_merge_are_its_own_where_another_merge_leads_behind_the_cut(
    bare: Path, either: ConfigRepository
) -> None:
    story = Story(bare)
    for number in range(80):
        story.commit("main", {"other.txt": b"%d" % number})
        if number in (20, 25):
            story.branch({20: "side", 25: "stale"}[number], "main")
    story.commit("side", {"side.txt": b"1"})
    story.commit("main", {"side.txt": b"1"}, merge="side")
    story.commit("stale", {FILE: b"stale"}, message="Stale")
    story.commit("main", {FILE: b"stale"}, merge="stale", message="Merge")
    story.tell()

    found = log(either)

    assert [past.messages for past in found] == [("Merge", "Stale")]


def test_a_cut_at_a_merge_hides_nothing_of_it(bare: Path, repository: GitRepository) -> None:
    story = Story(bare)
    story.commit("main", {FILE: b"0"})
    story.branch("side", "main")
    story.commit("side", {FILE: b"1"}, message="Side")
    story.commit("main", {FILE: b"1"}, merge="side", message="Merge")
    story.commit("main", {FILE: b"2"})
    story.tell()
    head = repository.fetch("main")
    listed = repository.log(head, FILE)
    first = next(listed)

    repository._done.clone.fetch(first.parent, "refs/test", 1)

    assert [first, *listed] == whole(bare, FILE)


def test_a_merge_of_very_many_commits_says_the_newest(bare: Path, either: ConfigRepository) -> None:
    story = Story(bare)
    story.commit("main", {"other.txt": b"0"})
    story.branch("side", "main")
    for number in range(300):
        story.commit("side", {FILE: b"%d" % number}, message=f"Side {number}")
    story.commit("main", {FILE: b"299"}, merge="side", message="Merge")
    story.tell()

    found = log(either)

    newest = [f"Side {number}" for number in range(299, 299 - MOST_BROUGHT, -1)]
    assert [past.messages for past in found] == [("Merge", *newest)]


def test_a_merge_of_another_history_is_told_apart(bare: Path, either: ConfigRepository) -> None:
    story = Story(bare)
    story.commit("main", {"other.txt": b"0"})
    story.commit("import", {FILE: b"1"}, message="Imported")
    story.commit("main", {FILE: b"1"}, merge="import", message="Merge")
    story.tell()

    found = log(either)

    assert [past.messages[0] for past in found] == ["Merge"]
    assert found[0].parent == found[0].parent.strip() != ""


def test_a_commit_with_an_old_date_looks_no_older_than_what_it_is_on(
    bare: Path, either: ConfigRepository
) -> None:
    story = Story(bare)
    for number in range(30):
        old = "1000000000 +0000" if number in (20, 21, 22) else ""
        story.commit("main", {FILE: b"%d" % number}, when=old)
    story.commit("main", {FILE: b"future"}, when="4000000000 +0000")
    for number in range(40, 60):
        story.commit("main", {FILE: b"%d" % number})
    story.tell()

    times = [past.time for past in log(either)][::-1]

    assert times[:20] == [START + 60 * number for number in range(1, 21)]
    assert times[20:23] == [times[19]] * 3
    assert times[30:41] == [4_000_000_000] * (BELOW + 1)
    assert times[41:] == [START + 60 * number for number in range(42, 52)]


ODD_PATHS = [
    "a b.yaml",
    "-n",
    "--all",
    ":(glob)*",
    "*",
    "dir/new\nline.yaml",
    'q"u\\o\te.yaml',
    "gr\u00f6\u00dfe \u2603/x",
    "!x",
    "HEAD",
    "^main",
]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_a_path_is_only_a_path(bare: Path, either: ConfigRepository, path: str) -> None:
    straight(bare, 70, [2, 60], path)

    found = log(either, path)

    assert found == whole(bare, path)
    assert len(found) == 2
    assert either.read(found[1].id, [path, "other.txt"]) == {path: b"tag: 2\n", "other.txt": b"2"}


def test_a_path_that_is_no_text_is_for_git_alone(
    bare: Path, repository: GitRepository, api: ApiRepository
) -> None:
    path = os.fsdecode(b"apps/\xe9\xff.yaml")
    straight(bare, 70, [2, 60], path)

    found = log(repository, path)

    assert found == whole(bare, path)
    assert repository.read(found[0].id, [path]) == {path: b"tag: 60\n"}
    with pytest.raises(UnsuitedError, match="is not UTF-8"):
        log(api, path)
    with pytest.raises(UnsuitedError, match="is not UTF-8"):
        api.read(found[0].id, [path])


def test_a_branch_that_moved_on_is_listed_from_where_it_was(
    bare: Path, either: ConfigRepository
) -> None:
    straight(bare, 200, [1, 3, 190])
    head, expected = either.fetch("main"), whole(bare, FILE)
    listed = either.log(head, FILE)
    first = next(listed)

    straight_on(bare, 70)

    assert [first, *listed] == expected


def test_a_branch_that_was_moved_back_is_still_listed_where_the_server_has_it(
    bare: Path, either: ConfigRepository
) -> None:
    straight(bare, 200, [1, 3, 190])
    head, expected = either.fetch("main"), whole(bare, FILE)

    git("--git-dir", bare, "update-ref", "refs/heads/main", f"{head.commit}~150")

    assert list(either.log(head, FILE)) == expected


def test_a_commit_that_is_nowhere_means_that_the_branch_was_moved(
    bare: Path, either: ConfigRepository
) -> None:
    straight(bare, 100, [1])
    either.fetch("main")

    with pytest.raises(MovedHeadError, match=r"Branch main of .* moved back"):
        list(either.log(Head("main", "1" * 40), FILE))
    with pytest.raises(MovedHeadError, match=r"Branch gone of .* moved back"):
        list(either.log(Head("gone", "1" * 40), FILE))
    with pytest.raises(PromoteError):
        either.read("1" * 40, [FILE])


@pytest.mark.parametrize("old", [False, True])
def test_a_server_that_gives_no_commit_by_its_id_is_asked_for_the_branch(
    tmp_path: Path, environ: dict[str, str], old: bool
) -> None:
    bare = make_bare(tmp_path / "git" / "deploy.git", {})
    straight(bare, 700, [1, 3, 190])

    with (
        GitHttpServer(tmp_path / "git", old=old) as server,
        GitRepository(f"{server.url}/deploy.git", Credentials(), environ) as repository,
    ):
        head, expected = repository.fetch("main"), whole(bare, FILE)
        straight_on(bare, 60)

        assert list(repository.log(head, FILE)) == expected
        assert repository.read(expected[2].id, [FILE]) == {FILE: b"tag: 1\n"}


def straight_on(bare: Path, count: int) -> None:
    """Let others change the file so many times."""
    data = b""
    for number in range(count):
        start = b"from refs/heads/main^0\n" if number == 0 else b""
        data += b"commit refs/heads/main\ncommitter Test <test@example.com> 1800000000 +0000\n"
        data += b"data 1\nx\n%bM 100644 inline %b\ndata 2\n%02d\n" % (start, FILE.encode(), number)
    git("--git-dir", bare, "fast-import", "--quiet", data=data)


@pytest.mark.parametrize("old", [False, True])
def test_a_branch_that_was_moved_back_for_good_is_planned_anew(
    tmp_path: Path, environ: dict[str, str], old: bool
) -> None:
    bare = make_bare(tmp_path / "git" / "deploy.git", {})
    straight(bare, 200, [1])

    with (
        GitHttpServer(tmp_path / "git", old=old) as server,
        GitRepository(f"{server.url}/deploy.git", Credentials(), environ) as repository,
    ):
        head = repository.fetch("main")
        git("--git-dir", bare, "update-ref", "refs/heads/main", f"{head.commit}~150")
        git("--git-dir", bare, "gc", "--quiet", "--prune=now")

        with pytest.raises(MovedHeadError, match="moved back"):
            list(repository.log(head, FILE))

        assert list(repository.log(repository.fetch("main"), FILE)) == whole(bare, FILE)


def test_other_fetches_cut_nothing_off(bare: Path, repository: GitRepository) -> None:
    straight(bare, 300, [1, 100, 250, 299])
    git("--git-dir", bare, "update-ref", "refs/heads/prod", "refs/heads/main~120")
    git("--git-dir", bare, "update-ref", "refs/heads/promote/x", "refs/heads/main~5")
    commit_files(bare, {FILE: b"proposed"}, "promote/x")
    expected, prod = whole(bare, FILE), whole(bare, FILE, "prod")
    head = repository.fetch("main")
    listed = repository.log(head, FILE)
    first = next(listed)

    assert repository.proposal("promote/x", head).commit == head_of(bare, "promote/x")
    assert repository.fetch("main") == head
    second = next(listed)
    other = repository.fetch("prod")
    assert list(repository.log(other, FILE)) == prod
    tip = Head("promote/x", head_of(bare, "promote/x"))
    assert repository.differences(tip, head_of(bare, "prod")) >= {FILE}
    third = next(listed)
    repository.fetch("main")
    repository.fetch("promote/x")

    assert [first, second, third, *listed] == expected == list(repository.log(head, FILE))
    assert list(repository.log(other, FILE)) == prod


def test_a_cut_anywhere_is_mended(bare: Path, repository: GitRepository) -> None:
    straight(bare, 60, [1, 30, 55, 58])
    expected, head = whole(bare, FILE), repository.fetch("main")
    repository._done.ensure(head)
    for depth in (1, 3, 20):
        commit = git("--git-dir", bare, "rev-parse", f"main~{depth}").decode().strip()
        repository._done.clone.fetch(commit, "refs/test", 1)

        assert list(repository.log(head, FILE)) == expected

    repository._done.clone.fetch("refs/heads/main", "refs/test", 1)
    assert next(repository.log(head, FILE)) == expected[0]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("fault", [502, "drop", "drop-after"])
def test_a_server_that_fails_meanwhile_may_be_asked_again(
    server: Server, bare: Path, either: ConfigRepository, fault: Fault, number: int
) -> None:
    straight(bare, 300, [1, 100, 200, 295])
    expected, head = whole(bare, FILE), either.fetch("main")
    later = len(server.requests) + number
    server.fail(lambda request: request.number >= later, fault, times=9)

    with pytest.raises(RetryableError):
        list(either.log(head, FILE))
    server._planned.clear()

    assert list(either.log(head, FILE)) == expected


def test_what_a_fetch_that_was_ended_has_left_is_in_nobodys_way(
    bare: Path, repository: GitRepository
) -> None:
    straight(bare, 300, [1])
    head = repository.fetch("main")
    repository._done.clone.clone("main", 50)
    (repository._private.path / "history.git" / "shallow.lock").touch()

    assert list(repository.log(head, FILE)) == whole(bare, FILE)


SETTINGS = """
[log]
showSignature = true
follow = true
showRoot = false
date = human
mailmap = true
[i18n]
logOutputEncoding = latin-1
commitEncoding = latin-1
[core]
abbrev = 7
quotePath = true
[diff]
ignoreSubmodules = all
renames = copies
[format]
pretty = oneline
[color]
ui = always
[fetch]
writeCommitGraph = true
prune = true
"""


def test_no_setting_of_the_user_changes_what_is_read(
    bare: Path, repository: GitRepository, environ: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "home" / ".gitconfig").write_text(SETTINGS)
    straight(bare, 55, [1, 40])
    said = "Gr\u00f6\u00dfe\n\nbody"
    name = commit_message(bare, said.encode())

    found = log(repository)

    assert found == whole(bare, FILE)
    assert found[0] == Past(name, found[0].time, (said,), found[0].parent)
    assert environ["HOME"] == str(tmp_path / "home")


def commit_message(bare: Path, message: bytes, head: bytes = b"", date: str = "") -> str:
    """Put a commit with a change and any message on main, and return it."""
    commit_files(bare, {FILE: message})
    here = ("--git-dir", bare)
    old = git(*here, "cat-file", "commit", "main")
    lines = old.partition(b"\n\n")[0].split(b"\n")
    if date:
        whose = lines[-1].rpartition(b"> ")[0]
        lines[-1] = b"%b> %b" % (whose, date.encode())
    text = b"\n".join(lines) + head + b"\n\n" + message
    options = ("-t", "commit", "-w", "--literally", "--stdin")
    name = git(*here, "hash-object", *options, data=text).decode().strip()
    git(*here, "update-ref", "refs/heads/main", name)
    return name


@pytest.mark.parametrize(
    ("message", "head", "said"),
    [
        (b"", b"", ""),
        (b"\n\n", b"", ""),
        (b"Caf\xe9\n", b"\nencoding ISO-8859-1", "Caf\u00e9"),
        (b"Bytes \xff\n", b"", "Bytes \udcff"),
        (b"Lines\r\n\r\ncommit 1234\n\x1b[31m\n", b"", "Lines\r\n\r\ncommit 1234\n\x1b[31m"),
        (b"commit " + b"1" * 40 + b"\nparent x", b"", "commit " + "1" * 40 + "\nparent x"),
    ],
)
def test_any_message_is_read(
    bare: Path, repository: GitRepository, message: bytes, head: bytes, said: str
) -> None:
    straight(bare, 3, [1])
    commit_message(bare, message, head)

    found = log(repository)

    assert found[0].messages == (said,)
    assert len(found) == 2


ODD_DATES = [
    "99999999999 +0000",
    "18446744073709551615 +0000",
    "99999999999999999999999 +0000",
    "-5 +0000",
    "5 +9999",
    "0 +0000",
    "",
    "x",
]


@pytest.mark.parametrize("date", ODD_DATES)
def test_an_odd_date_breaks_nothing(bare: Path, repository: GitRepository, date: str) -> None:
    straight(bare, 3, [1])
    name = commit_message(bare, b"Odd", date=date or " ")

    found = log(repository)

    assert found[0].id == name
    assert found[0].time >= found[1].time == START + 60


def test_files_are_read_as_they_were(bare: Path, either: ConfigRepository) -> None:
    odd = {
        "bytes.bin": bytes(range(256)),
        "crlf.yaml": b"a: 1\r\n",
        "bom.yaml": b"\xef\xbb\xbfa: 1",
        "empty": b"",
        "latin.yaml": "Gr\u00f6\u00dfe".encode("latin-1"),
        "large.yaml": b"- a line\n" * 80_000,
    }
    many = {f"many/{number}.yaml": b"n: %d\n" % number for number in range(200)}
    submodule = commit_files(bare, {**odd, **many})
    special = {"link": b"bom.yaml", "tool.sh": b"#!/bin/sh\n", "sub": submodule.encode()}
    modes = {"link": "120000", "tool.sh": "100755", "sub": "160000"}
    commit_files(bare, special, modes=modes)
    commit_files(bare, {"bom.yaml": b"newer"})
    head = either.fetch("main")
    before = next(either.log(head, "bom.yaml")).parent
    none = ["many", "link", "sub", "no", "bom.yaml/x", "", "/", "..", "../x", "many/"]
    none += ["./empty", "many//1.yaml", "/empty"]

    found = either.read(before, [*odd, *none, "tool.sh"])

    assert found == {**odd, "tool.sh": b"#!/bin/sh\n"}
    assert either.read(before, [*many, *none]) == many
    assert either.read(before, []) == either.read(before, none) == {}
    assert either.read(head.commit, ["bom.yaml"]) == {"bom.yaml": b"newer"}


def test_files_of_one_commit_come_in_one_request(
    server: Server, bare: Path, api: ApiRepository
) -> None:
    files = {f"apps/{number}.yaml": b"n: %d\n" % number for number in range(64)}
    commit = commit_files(bare, files)
    before = len(server.requests)

    assert api.read(commit, files) == files

    assert len(server.requests) - before == 1


def test_every_commit_and_parent_that_is_listed_can_be_read(
    bare: Path, either: ConfigRepository
) -> None:
    straight(bare, 130, list(range(1, 131, 3)))
    head = either.fetch("main")

    for past in either.log(head, FILE):
        number = int(either.read(past.id, ["other.txt"])["other.txt"])
        assert either.read(past.id, [FILE]) == {FILE: b"tag: %d\n" % number}
        if past.parent:
            assert either.read(past.parent, ["other.txt"]) == {"other.txt": b"%d" % (number - 1)}


def test_a_commit_behind_the_cut_is_fetched_to_be_read(
    bare: Path, repository: GitRepository
) -> None:
    straight(bare, 200, [1, 3])
    head = repository.fetch("main")
    old = git("--git-dir", bare, "rev-parse", "main~100").decode().strip()

    assert repository.read(old, [FILE]) == {FILE: b"tag: 3\n"}
    assert list(repository.log(head, FILE)) == whole(bare, FILE)
