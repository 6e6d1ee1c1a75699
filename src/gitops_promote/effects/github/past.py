"""What happened on a branch, as GitHub's API knows it.

`Commit.history` lists what `git log` does: the commits of merged branches instead of the merges,
and not those that a merge has undone. But `object(expression:)` takes what git-rev-parse(1) does,
so that `ID~3` is the commit three steps back on the branch itself. Some dozens of these come with
one request, each with what it has at the path. That is exact, whatever was merged how.

Where none of them changed it, `Commit.history` may lead further: the number of commits behind
two of them tells whether there is any merge between. Where there is none, nothing is hidden, and
the newest commit that it lists for the path is the next on the branch. So a file that was changed
thousands of commits ago takes two requests. Where merges are between, all are looked at, with more
of them in each request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from gitops_promote.core.errors import MovedHeadError
from gitops_promote.effects.config_repository import UnsuitedError
from gitops_promote.effects.github.errors import UNKNOWN, GitHubError
from gitops_promote.effects.github.objects import object_id, refuse_other_bytes, repository_in
from gitops_promote.effects.mainline import BELOW, MOST_BROUGHT, Step, to_past
from gitops_promote.effects.moments import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gitops_promote.effects.config_repository import Head, Past
    from gitops_promote.effects.github.client import GitHub

#: How many commits of the branch come with the first request, the second, and each later one.
_WINDOWS = (32, 100, 250)

_STEP = """
fragment step on Commit {
  oid message committedDate parents(first: 2) { nodes { oid } } %s
}
"""
_FILE = "file(path: $path) { oid mode }"
_COUNT = "history(first: 1) { totalCount }"
_NEAR = f"near: history(first: 1, path: $path) {{ nodes {{ oid {_COUNT} }} }}"


@dataclass(frozen=True, slots=True)
class _Jump:
    """Where the branch is changed next, if there are only plain commits up to it.

    Attributes:
        start: The commit to jump from.
        count: So many steps further ...
        target: ... must be this commit. Empty: any one, the first of all, and nothing was changed.
    """

    start: str
    count: int
    target: str


@dataclass(frozen=True, slots=True)
class _Window:
    """Some steps of the branch, the one after them (empty where it ends), and what may come."""

    steps: list[Step]
    after: str
    jump: _Jump | None


@final
class Line:
    """The line of commits that a branch went along.

    Args:
        github: The API.
        name: The repository, `owner/name`.
        head: The branch, as fetched.
        path: The file or folder; empty for all.
    """

    def __init__(self, github: GitHub, name: str, head: Head, path: str) -> None:
        self._github = github
        self._name = name
        self._head = head
        self._path = path.strip("/")
        self._doing = f"read the history of {name}"

    def past(self) -> Iterator[Past]:
        """List what happened, as `ConfigRepository.log` says.

        Yields:
            The commits.

        Raises:
            UnsuitedError: The path is no UTF-8, or the server is too old.
            MovedHeadError: The server no longer has the branch's commit.
            RetryableError: The network or the server failed in a way that may pass.
            PromoteError: It was refused.
        """
        refuse_other_bytes(self._path)
        yield from to_past(self._steps(), self._messages)

    def _steps(self) -> Iterator[Step]:
        start, number = object_id(self._head.commit), 0
        while start:
            window = self._window(start, _WINDOWS[min(number, len(_WINDOWS) - 1)])
            number += 1
            while window:
                yield from window.steps
                # No gap may follow a step that is dated by those below it.
                quiet = not any(step.touched for step in window.steps[-BELOW:])
                start, jump = window.after, window.jump
                window = self._jumped(jump) if jump and quiet else None

    def _jumped(self, jump: _Jump) -> _Window | None:
        """The steps from a jump's target on; None where there are merges up to it."""
        if jump.target:
            return self._window(jump.target, _WINDOWS[0], jump)
        document = f'there: object(expression: "{jump.start}~{jump.count}") {{ oid }}'
        return _Window([], "", None) if self._ask(document)["there"] else None

    def _window(self, start: str, size: int, jump: _Jump | None = None) -> _Window | None:
        """Read steps from one on; None where it is not where a jump must lead."""
        numbers = range(size + 1)
        fields = [f'c{n}: object(expression: "{start}~{n}") {{ ...step }}' for n in numbers]
        if jump:
            fields.append(f'there: object(expression: "{jump.start}~{jump.count}") {{ oid }}')
        if self._path:
            for name, n, more in (("from", 0, ""), ("to", size, _NEAR)):
                selection = f"{{ ... on Commit {{ {_COUNT} {more} }} }}"
                fields.append(f'{name}: object(expression: "{start}~{n}") {selection}')
        found = self._ask(" ".join(fields), _STEP % (_FILE if self._path else ""))
        with self._github.reading(self._doing):
            if jump and (found["there"] or {}).get("oid") != jump.target:
                return None
            nodes = [found[f"c{n}"] for n in numbers]
            nodes = nodes[: nodes.index(None)] if None in nodes else nodes
            if not nodes:
                raise _gone(self._head, self._name)
            steps = [self._step(*pair) for pair in zip(nodes, [*nodes[1:], {}], strict=True)]
            after = object_id(nodes[-1]["oid"]) if len(nodes) > size else ""
            near = self._jump(found, after, size) if after and self._path else None
            return _Window(steps[:size], after, near)

    def _jump(self, found: Mapping[str, Any], after: str, size: int) -> _Jump | None:
        """Where to look next: nowhere special where the window itself has merges."""
        count = int(found["to"]["history"]["totalCount"])
        if int(found["from"]["history"]["totalCount"]) - count != size:
            return None
        near = found["to"]["near"]["nodes"]
        if not near:
            return _Jump(after, count - 1, "")
        count -= int(near[0]["history"]["totalCount"])
        return _Jump(after, count, object_id(near[0]["oid"])) if count > size else None

    def _step(self, node: Mapping[str, Any], below: Mapping[str, Any]) -> Step:
        moment = parse_timestamp(node["committedDate"])
        return Step(
            object_id(node["oid"]),
            int(moment.timestamp()) if moment else 0,
            tuple(object_id(one["oid"]) for one in node["parents"]["nodes"]),
            not self._path or node["file"] != below.get("file"),
            str(node["message"]),
        )

    def _messages(self, step: Step) -> Sequence[str]:
        if len(step.parents) < 2:
            return [step.message]
        path = f"/repos/{self._name}/compare/{step.parents[0]}...{step.id}"
        try:
            found = self._github.rest("GET", path, self._doing)
        except GitHubError as error:
            if error.status != 404:
                raise
            # The two have nothing in common, so there is no comparison.
            return [step.message]
        with self._github.reading(self._doing):
            # Without parameters of paging, the last one is the newest of all, and the list begins
            # later where there are over 250 ("Compare two commits").
            newest_first = found["commits"][::-1]
            own = [one["commit"]["message"] for one in newest_first if one["sha"] != step.id]
            return [step.message, *map(str, own[:MOST_BROUGHT])]

    def _ask(self, fields: str, fragments: str = "") -> Mapping[str, Any]:
        owner, _, name = self._name.partition("/")
        variables = {"owner": owner, "name": name}
        declared = "$owner: String!, $name: String!"
        if "$path" in fields + fragments:
            variables["path"], declared = self._path, f"{declared}, $path: String!"
        document = (
            f"query({declared}) {{ repository(owner: $owner, name: $name) {{ {fields} }} }}"
            + fragments
        )
        try:
            data = self._github.graphql(document, variables, self._doing, needs="contents=read")
        except GitHubError as error:
            if not error.kinds & UNKNOWN:
                raise
            what = f"{self._github.host} is too old to {self._doing} through its API."
            raise UnsuitedError(what, "Use `commit-via: git`.") from None
        return repository_in(data, self._name, self._github.host)


def _gone(head: Head, name: str) -> MovedHeadError:
    return MovedHeadError(
        f"Branch {head.branch} of {name} moved back while its history was read.",
        "Run the job again.",
    )
