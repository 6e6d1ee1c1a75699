"""The commits of an app's repository, as GitHub knows them: which is older, what lies between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gitops_promote.core.commits import TAGS, commit_names
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.review.history import History, SourceCommit
from gitops_promote.effects.github.place import find_api
from gitops_promote.inputs import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_promote.core.source import Source
    from gitops_promote.effects.github.client import GitHub
    from gitops_promote.effects.github.place import Place

_PERMISSION = "contents=read"
# Of "Compare two commits", as seen from the second of them.
_ORDERS = {"ahead": -1, "identical": 0, "behind": 1}


def open_api(
    source: Source, environ: Mapping[str, str], server: str, config: Place | None, token: str
) -> GitHub | None:
    """Open the API of the server that has an app's repository.

    The repository's name may be one that a commit gives: no token goes to another server than it
    is for.

    Args:
        source: `server_url` and `repository` tell which one.
        environ: The environment, with the job's own token, which goes before the other.
        server: The job's server, which that one is for.
        config: Where the API of the config repository is, if it has one.
        token: The config repository's token, for that server; empty where there is none.

    Returns:
        The API, to be used in a `with`; None where the repository is on no GitHub that is known,
        or no token is for it.

    Raises:
        PromoteError: A URL is none, or the token can't be sent.
    """
    if not (source.server_url and source.repository):
        return None
    place = find_api(f"{source.server_url}/{source.repository}", environ)
    if not place:
        return None
    own = environ.get(f"{PREFIX}JOB_TOKEN", "").strip()
    if find_api(f"{server}/{place.name}", environ) != place:
        own = ""
    if config is None or config.api_url != place.api_url:
        token = ""
    if not (own or token):
        return None
    from gitops_promote.effects.github.client import GitHub  # noqa: PLC0415  (slow)

    return GitHub(place.api_url, own or token, own_token=bool(own))


def compare_commits(
    github: GitHub, source: Source, one: Sequence[str], other: Sequence[str]
) -> int | None:
    """Find which of two commits is behind the other.

    Args:
        github: The API of the server that has the app's repository.
        source: The repository.
        one: What the one may be called, the likeliest first: hashes, and `refs/tags/NAME`.
        other: The same for the other.

    Returns:
        -1 where the one is behind, 1 where the other is, 0 where they are the same, None where
        they have parted or one isn't there.

    Raises:
        PromoteError: The repository can't be read, or the two have nothing in common.
    """
    doing = f"compare commits of {source.repository}"
    first, second = _resolve(github, source, (one, other), doing)
    if not (first and second):
        return None
    if first == second:
        return 0
    # The second page names no changed files, which are most of the answer.
    parameters = {"per_page": 1, "page": 2}
    found = github.rest("GET", _comparison(source, first, second), doing, parameters=parameters)
    with github.reading(doing):
        return _ORDERS.get(found["status"])


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
    names = commit_names(old_version, app)
    if not (source.commit and names):
        return None
    doing = f"read the commits of {source.repository}"
    try:
        (old,) = _resolve(github, source, (names,), doing)
    except PromoteError:
        return None
    if not old:
        return None
    history = History(source.server_url, source.repository, old, source.commit)
    try:
        found = github.rest("GET", _comparison(source, old, source.commit), doing)
        with github.reading(doing):
            return _compared(history, found)
    except PromoteError:
        return history


def _comparison(source: Source, base: str, head: str) -> str:
    return f"/repos/{quote(source.repository)}/compare/{quote(base)}...{quote(head)}"


def _resolve(
    github: GitHub, source: Source, commits: Sequence[Sequence[str]], doing: str
) -> list[str]:
    """Of each commit, the hash of the first of its names that there is; empty where none is."""
    owner, _, repository = source.repository.partition("/")
    names = list(dict.fromkeys(name for each in commits for name in each))
    if not (owner and repository and names):
        return ["" for _ in commits]
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
    variables |= {"owner": owner, "name": repository}
    data = github.graphql(document, variables, doing, needs=_PERMISSION)
    with github.reading(doing):
        found = data["repository"] or {}
        ids = {name: _commit(name, found.get(f"name{n}")) for n, name in enumerate(names)}
        return [next(filter(None, (ids[name] for name in each)), "") for each in commits]


def _commit(name: str, found: Mapping[str, Any] | None) -> str:
    """The id of a commit, or of the one that an annotated tag is for."""
    while found and found["__typename"] == "Tag":
        found = found.get("target")
    commit = str(found["oid"]) if found and found["__typename"] == "Commit" else ""
    # What looks like a hash may be the name of a branch.
    return commit if name.startswith(TAGS) or commit.startswith(name) else ""


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
