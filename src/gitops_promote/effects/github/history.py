"""The commits between two versions, as GitHub knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.review.history import History, SourceCommit, old_candidates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_promote.core.source import Source
    from gitops_promote.effects.github.client import GitHub

_PERMISSION = "contents=read"


def read_history(github: GitHub, source: Source, old_version: str, app: str) -> History | None:
    """Find what lies between the version that runs and the commit that is promoted.

    That is a help for reviewers: where it can't be found out, nobody is stopped.

    Args:
        github: The API of the server that has the app's repository.
        source: The commit that is promoted, and its repository.
        old_version: What runs, as a file says it: `TAG`, `TAG@DIGEST` or `DIGEST`.
        app: The app's name; empty where it has none.

    Returns:
        The history: without commits where the two are known and their difference isn't. None
        where the old version's commit is unknown, or the repository can't be read.
    """
    owner, _, name = source.repository.partition("/")
    names = old_candidates(old_version, app)
    if not (source.commit and owner and name and names):
        return None
    doing = f"read the commits of {source.repository}"
    try:
        old = _resolve(github, (owner, name), names, doing)
    except PromoteError:
        return None
    if not old:
        return None
    history = History(source.server_url, source.repository, old, source.commit)
    path = f"/repos/{quote(owner)}/{quote(name)}/compare/{old}...{quote(source.commit)}"
    try:
        found = github.rest("GET", path, doing)
        with github.reading(doing):
            return _compared(history, found)
    except PromoteError:
        return history


def _resolve(github: GitHub, repository: tuple[str, str], names: Sequence[str], doing: str) -> str:
    """The commit of the first name that has one; empty where none does."""
    numbers = range(len(names))
    declared = "".join(f", $name{n}: String!" for n in numbers)
    objects = " ".join(f"name{n}: object(expression: $name{n}) {{ ...commit }}" for n in numbers)
    document = f"""
        query ($owner: String!, $name: String!{declared}) {{
          repository(owner: $owner, name: $name) {{ {objects} }}
        }}
        fragment commit on GitObject {{
          oid
          __typename
          ... on Tag {{ target {{ oid __typename ... on Tag {{ target {{ oid __typename }} }} }} }}
        }}
    """
    variables = {f"name{n}": name for n, name in enumerate(names)}
    variables |= {"owner": repository[0], "name": repository[1]}
    data = github.graphql(document, variables, doing, needs=_PERMISSION)
    with github.reading(doing):
        found = data["repository"]
        commits = (_commit(found[f"name{n}"]) for n in numbers) if found else ()
        return next(filter(None, commits), "")


def _commit(found: Mapping[str, Any] | None) -> str:
    """The id of a commit, or of the one that an annotated tag is for."""
    while found and found["__typename"] == "Tag":
        found = found.get("target")
    return str(found["oid"]) if found and found["__typename"] == "Commit" else ""


def _compared(history: History, found: Mapping[str, Any]) -> History:
    # Without parameters of paging, the answer's last commit is the newest of all, and the list
    # begins later where there are over 250 ("Compare two commits").
    newest_first = found["commits"][::-1]
    own = [commit for commit in newest_first if len(commit["parents"]) < 2] or newest_first
    return History(
        history.server_url,
        history.repository,
        history.old,
        history.new,
        tuple(map(_source_commit, own)),
        # Merges that aren't shown aren't counted, as far as they are known.
        total=found["total_commits"] - len(newest_first) + len(own),
        behind=found["behind_by"],
    )


def _source_commit(found: Mapping[str, Any]) -> SourceCommit:
    commit = found["commit"]
    author = (commit["author"] or {}).get("name") or ""
    return SourceCommit(found["sha"], commit["message"].split("\n", 1)[0], author)
