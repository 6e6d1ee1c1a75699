"""Pull requests on GitHub: found, opened, rewritten, closed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gitops_promote.core.errors import MovedHeadError, PromoteError, RetryableError
from gitops_promote.core.review.proposal import BranchCommit, Proposal, PullRequest
from gitops_promote.effects.github.errors import GitHubError

if TYPE_CHECKING:
    from gitops_promote.core.review.text import PullRequestText
    from gitops_promote.effects.config_repository import Head
    from gitops_promote.effects.github.client import GitHub
    from gitops_promote.inputs import PullRequestInputs

#: So many commits of a branch are looked at. Ours has one, and merges of the base.
MOST_COMMITS = 30

#: GitHub assigns no more people than that ("Add assignees to an issue").
MOST_ASSIGNEES = 10

_COMMIT = """
fragment commit on Commit { oid message author { name } parents(first: 2) { nodes { oid } } }
"""
# By the branch and not by its name, which the branches of any number of forks may have, too.
_REF = """
    ref(qualifiedName: $ref) {
      target { ...commit }
      open: associatedPullRequests(states: [OPEN], first: 100) {
        nodes {
          id number url body isCrossRepository baseRefName mergeable
          autoMergeRequest { mergeMethod }
          labels(first: 100) { nodes { name } }
          assignees(first: 100) { nodes { login } }
          comments(last: 50) { nodes { body } }
        }
      }
      over: associatedPullRequests(
        states: [CLOSED, MERGED], first: 50, orderBy: {field: UPDATED_AT, direction: DESC}
      ) {
        nodes { headRefOid isCrossRepository }
      }
    }
"""
_FIND = f"""
query(
  $owner: String!, $name: String!, $ref: String!, $base: String!, $branch: String!, $most: Int!
) {{
  repository(owner: $owner, name: $name, followRenames: false) {{{_REF}
    base: ref(qualifiedName: $base) {{
      compare(headRef: $branch) {{
        aheadBy
        commits(last: $most) {{ nodes {{ ...commit }} }}
      }}
    }}
  }}
}}
{_COMMIT}
"""
_FIND_ALONE = f"""
query($owner: String!, $name: String!, $ref: String!) {{
  repository(owner: $owner, name: $name, followRenames: false) {{{_REF}  }}
}}
{_COMMIT}
"""
_HOLDS = """
query($owner: String!, $name: String!, $ref: String!, $number: Int!) {
  repository(owner: $owner, name: $name, followRenames: false) {
    ref(qualifiedName: $ref) { target { oid } }
    pullRequest(number: $number) { state }
  }
}
"""
_REWRITE = """
mutation($input: UpdatePullRequestInput!) {
  updatePullRequest(input: $input) {
    pullRequest { state headRef { name target { oid } } }
  }
}
"""
_AUTO_MERGE = """
mutation($pull: ID!, $method: PullRequestMergeMethod!, $commit: GitObjectID!) {
  enablePullRequestAutoMerge(
    input: {pullRequestId: $pull, mergeMethod: $method, expectedHeadOid: $commit}
  ) { clientMutationId }
}
"""
#: What GitHub says of a pull request that it won't merge by itself, and what that means.
_NO_AUTO_MERGE = {
    r"auto.?merge is not allowed": (
        "the repository doesn't allow it. Turn on Settings > General > Allow auto-merge in the "
        "config repository."
    ),
    r"\b(?:merge commits|squash merg\w+|rebase merg\w+) are not allowed": (
        "the repository doesn't allow the method `{method}`. Turn it on in Settings > General > "
        "Pull Requests of the config repository, or name another in `auto-merge`."
    ),
    r"clean status|rules not configured": (
        "there is nothing to wait for. Merge it, or require reviews or checks on its base by a "
        "branch rule."
    ),
    r"unstable status": (
        "no check that runs or has failed is required, so there is nothing to wait for. Merge it, "
        "or require the checks on its base by a branch rule."
    ),
    r"\bdraft\b": "it is a draft. Mark it as ready for review, and run this again.",
}


class PullRequests:
    """The pull requests of a repository.

    Args:
        github: The way there.
        repository: Its `owner/name`.
    """

    def __init__(self, github: GitHub, repository: str) -> None:
        self._github = github
        self._repository = repository
        self._doing = f"find the pull requests of {repository}"
        owner, _, name = repository.partition("/")
        self._names = {"owner": owner, "name": name}
        # What the last answer said: a branch, its commit, and the open pull request that has it.
        self._seen: tuple[str, str, int] | None = None

    def find(self, branch: str, base: Head) -> Proposal:
        """Find what stands for review on a branch.

        Args:
            branch: The branch's name.
            base: The branch that it goes to.

        Returns:
            The branch and its open pull request, as far as there are any.

        Raises:
            MovedHeadError: The branch moved while it was looked at.
            RetryableError: GitHub failed in a way that may pass.
            PromoteError: GitHub refused.
        """
        found = self._ask_for(branch, base)
        with self._github.reading(self._doing):
            ref = found["ref"]
            if not ref:
                return Proposal(branch)
            head = _commit(ref["target"])
            pulls = [_pull_request(node) for node in _own(ref["open"])]
            left = [node["headRefOid"] for node in _own(ref["over"])]
        # Of several, which only people can open, the one to our base is ours.
        pulls.sort(key=lambda pull: (pull.base != base.branch, pull.number))
        commits, is_whole = self._commits(branch, head, found["base"])
        return Proposal(
            branch=branch,
            commit=head.id,
            commits=commits,
            is_whole=is_whole,
            is_over=not pulls and head.id in left,
            pull_request=pulls[0] if pulls else None,
            message=head.message,
        )

    def holds(self, branch: str, commit: str, pull: PullRequest) -> bool:
        """Whether a branch holds a commit for an open pull request, asked anew.

        Args:
            branch: The branch's name.
            commit: The commit.
            pull: The pull request.

        Returns:
            True where the commit is the branch's newest, and nobody merged or closed the pull
            request.

        Raises:
            RetryableError: GitHub failed in a way that may pass.
            PromoteError: GitHub refused.
        """
        seen, self._seen = self._seen, None
        if seen == (branch, commit, pull.number):
            return True  # by the last answer: nothing was asked since
        # By its number, as lists of what was just opened may be late.
        try:
            found = self._ask(_HOLDS, ref=f"refs/heads/{branch}", number=pull.number)
        except GitHubError as error:
            # For a moment that may be so of what was just opened.
            if "NOT_FOUND" in error.kinds and "to a PullRequest" in error.said:
                return False
            raise
        with self._github.reading(self._doing):
            is_open = bool(found["pullRequest"]) and found["pullRequest"]["state"] == "OPEN"
            return is_open and bool(found["ref"]) and found["ref"]["target"]["oid"] == commit

    def open(self, branch: str, base: str, text: PullRequestText, *, draft: bool) -> PullRequest:
        """Open a pull request.

        Args:
            branch: Its branch.
            base: The branch that it goes to.
            text: Its title and body.
            draft: Whether it is a draft.

        Returns:
            The pull request.

        Raises:
            MovedHeadError: Somebody else opened one meanwhile.
            RetryableError: GitHub failed in a way that may pass.
            PromoteError: GitHub refused.
        """
        doing = f"open a pull request in {self._repository}"
        values = {"title": text.title, "body": text.body, "head": branch, "base": base}
        path = f"/repos/{self._repository}/pulls"
        try:
            made = self._rest("POST", path, doing, {**values, "draft": draft})
        except GitHubError as error:
            raise self._not_opened(branch, error) from None
        with self._github.reading(doing):
            if made["state"] == "open":
                self._seen = (made["head"]["ref"], made["head"]["sha"], made["number"])
            return PullRequest(
                number=made["number"],
                url=made["html_url"],
                body=text.body,
                base=base,
                node=made["node_id"],
            )

    def rewrite(self, pull: PullRequest, base: str, text: PullRequestText) -> None:
        """Give a pull request another title, body and base.

        Args:
            pull: The pull request.
            base: The branch that it is to go to.
            text: Title and body.

        Raises:
            RetryableError: GitHub failed in a way that may pass.
            PromoteError: GitHub refused.
        """
        values = {"pullRequestId": pull.node, "title": text.title, "body": text.body}
        values |= {"baseRefName": base} if base != pull.base else {}
        doing = f"change pull request #{pull.number}"
        found = self._graphql(_REWRITE, {"input": values}, doing)
        with self._github.reading(doing):
            now = found["updatePullRequest"]["pullRequest"]
            ref = now["headRef"]
            if ref and now["state"] == "OPEN":
                self._seen = (ref["name"], ref["target"]["oid"], pull.number)

    def comment(self, pull: PullRequest, body: str) -> None:
        """Comment on a pull request, unless the same was said already.

        Args:
            pull: The pull request.
            body: What to say.

        Raises:
            RetryableError: GitHub failed in a way that may pass.
            PromoteError: GitHub refused.
        """
        if body.strip() in (said.replace("\r", "").strip() for said in pull.comments):
            return
        path = f"/repos/{self._repository}/issues/{pull.number}/comments"
        doing = f"comment on pull request #{pull.number}"
        self._rest("POST", path, doing, {"body": body})

    def close(self, pull: PullRequest) -> None:
        """Close a pull request.

        Args:
            pull: The pull request.

        Raises:
            RetryableError: GitHub failed in a way that may pass.
            PromoteError: GitHub refused.
        """
        path = f"/repos/{self._repository}/pulls/{pull.number}"
        doing = f"close pull request #{pull.number}"
        self._rest("PATCH", path, doing, {"state": "closed"})

    def settle(self, pull: PullRequest, wanted: PullRequestInputs) -> list[str]:
        """Set labels, people and the milestone; what is there already stays.

        Args:
            pull: The pull request.
            wanted: What is asked for.

        Returns:
            A warning for each thing that could not be set.

        Raises:
            RetryableError: GitHub failed in a way that may pass.
        """
        warnings = []
        for step in (self._label, self._assign, self._request_reviews, self._set_milestone):
            try:
                warnings += step(pull, wanted)
            except GitHubError as error:
                warnings.append(str(error))
        return warnings

    def merge_itself(self, pull: PullRequest, commit: str, wanted: PullRequestInputs) -> list[str]:
        """Let GitHub merge a pull request as soon as its rules are met, where that is asked for.

        Args:
            pull: The pull request.
            commit: The newest commit of its branch, the only one that may be merged.
            wanted: What is asked for.

        Returns:
            A warning where that could not be set.

        Raises:
            RetryableError: GitHub failed in a way that may pass.
        """
        method = wanted.auto_merge.upper()
        if not method or pull.auto_merge == method:
            return []
        variables = {"pull": pull.node, "method": method, "commit": commit}
        doing = f"let pull request #{pull.number} merge itself"
        try:
            self._graphql(_AUTO_MERGE, variables, doing)
        except GitHubError as error:
            return [_no_auto_merge(pull, wanted.auto_merge, error)]
        return []

    def _label(self, pull: PullRequest, wanted: PullRequestInputs) -> list[str]:
        # Label names are the same whatever their case.
        known = {name.lower() for name in pull.labels}
        missing = [name for name in wanted.labels if name.lower() not in known]
        if missing:
            self._post(
                pull,
                "issues",
                "labels",
                f"set the `labels` of pull request #{pull.number}",
                {"labels": missing},
            )
        return []

    def _assign(self, pull: PullRequest, wanted: PullRequestInputs) -> list[str]:
        missing = _without(wanted.assignees, pull.assignees)
        room = max(MOST_ASSIGNEES - len(pull.assignees), 0)
        asked, too_many = missing[:room], missing[room:]
        left = self._left_out(pull, asked) if asked else []
        warnings = [
            f"GitHub did not assign `{login}` to pull request #{pull.number}: check the name, that "
            f"it is a member or collaborator with access to {self._repository}, and that the "
            "token's owner may push there."
            for login in left
        ]
        if too_many:
            names = ", ".join(f"`{login}`" for login in too_many)
            warnings.append(
                f"GitHub takes at most {MOST_ASSIGNEES} assignees, so pull request #{pull.number} "
                f"is not assigned to {names}. Shorten `assignees`."
            )
        return warnings

    def _left_out(self, pull: PullRequest, asked: list[str]) -> list[str]:
        """Assign people, and give those that GitHub leaves out, as it does without a word."""
        doing = "assign it"
        answer = self._post(pull, "issues", "assignees", doing, {"assignees": asked})
        with self._github.reading(doing):
            return _without(asked, frozenset(who["login"] for who in answer["assignees"] or ()))

    def _request_reviews(self, pull: PullRequest, wanted: PullRequestInputs) -> list[str]:
        asked = [("reviewers", login) for login in wanted.reviewers]
        asked += [("team_reviewers", slug) for slug in wanted.team_reviewers]
        if not asked:
            return []
        try:
            self._ask_for_review(pull, asked)
        except GitHubError as error:
            # One who can't be asked keeps all others from being asked.
            if len(asked) > 1:
                return self._ask_each(pull, asked)
            return [self._no_review(pull, *asked[0], error)]
        return []

    def _ask_each(self, pull: PullRequest, asked: list[tuple[str, str]]) -> list[str]:
        warnings = []
        for kind, name in asked:
            try:
                self._ask_for_review(pull, [(kind, name)])
            except GitHubError as error:
                warnings.append(self._no_review(pull, kind, name, error))
        return warnings

    def _no_review(self, pull: PullRequest, kind: str, name: str, error: GitHubError) -> str:
        if error.status != 422:
            return str(error)
        what = f"`{name}` can't be asked to review pull request #{pull.number}"
        # What it says of a team that it knows, to a token that may not.
        if kind == "team_reviewers" and "node with the global id" in error.said:
            return (
                f"{what}: this token may not see the organisation's teams. Give one in `token` "
                'that has the permission "Members: read" of the organisation, or the scope '
                "`read:org` of a classic one; the job's own token never has it."
            )
        return (
            f"{what}. GitHub says: {error.said} Name in `reviewers` and `team-reviewers` who can "
            f"read {self._repository}, except who opened it."
        )

    def _ask_for_review(self, pull: PullRequest, asked: list[tuple[str, str]]) -> None:
        kinds = ("reviewers", "team_reviewers")
        lists = {kind: [name for of, name in asked if of == kind] for kind in kinds}
        names = ", ".join(f"`{name}`" for _, name in asked)
        doing = f"ask {names} to review it"
        present = {kind: names for kind, names in lists.items() if names}
        self._post(pull, "pulls", "requested_reviewers", doing, present)

    def _set_milestone(self, pull: PullRequest, wanted: PullRequestInputs) -> list[str]:
        if wanted.milestone:
            path = f"/repos/{self._repository}/issues/{pull.number}"
            doing = f"set milestone {wanted.milestone} of pull request #{pull.number}"
            try:
                self._rest("PATCH", path, doing, {"milestone": wanted.milestone})
            except GitHubError as error:
                if error.status != 422:
                    raise
                text = (
                    f"{self._repository} has no milestone with the number {wanted.milestone}, so "
                )
                return [f"{text}pull request #{pull.number} has none. Correct `milestone`."]
        return []

    def _post(
        self, pull: PullRequest, kind: str, what: str, doing: str, values: Mapping[str, Any]
    ) -> Any:  # noqa: ANN401  (what GitHub answers)
        path = f"/repos/{self._repository}/{kind}/{pull.number}/{what}"
        return self._rest("POST", path, doing, values)

    def _not_opened(self, branch: str, error: GitHubError) -> PromoteError:
        """What it means that a pull request was not opened; GitHub has texts for it, no codes."""
        moved = MovedHeadError(f"{branch} of {self._repository} is being changed.")
        if error.status != 422:
            return error
        if "already exists" in error.said:
            return moved
        # The branch was there a moment ago. Beside this it may say that there are no commits.
        if re.search(
            r"\bhead(?: invalid| sha can.t be blank|_sha missing)", error.said, re.IGNORECASE
        ):
            return RetryableError(
                f"GitHub does not know of the new commit on {branch} of {self._repository} yet.",
                "Run the job again.",
            )
        return moved if "No commits between" in error.said else error

    def _ask_for(self, branch: str, base: Head) -> dict[str, Any]:
        """Ask for a branch, its pull requests, and what it has that the base has not."""
        variables = {"ref": f"refs/heads/{branch}", "base": f"refs/heads/{base.branch}"}
        try:
            return self._ask(_FIND, **variables, branch=branch, most=MOST_COMMITS)
        except GitHubError as error:
            # A server may say so of a branch that isn't there, instead of comparing nothing.
            if "NOT_FOUND" not in error.kinds:
                raise
            found = self._ask(_FIND_ALONE, ref=variables["ref"])
            if found.get("ref"):
                raise error from None
            return found

    def _commits(
        self, branch: str, head: BranchCommit, base: Mapping[str, Any] | None
    ) -> tuple[tuple[BranchCommit, ...], bool]:
        moved = MovedHeadError(f"{branch} of {self._repository} is being changed.")
        with self._github.reading(self._doing):
            if not base:
                raise moved
            compared = base["compare"]
            if not compared:  # they have nothing in common
                return (head,), False
            commits = _newest_first(map(_commit, compared["commits"]["nodes"]), head.id)
            is_whole = len(commits) == compared["aheadBy"]
        if is_whole and commits and commits[0].id != head.id:
            raise moved
        return commits, is_whole

    def _ask(self, query: str, **variables: object) -> dict[str, Any]:
        # To look needs less, but who looks here is about to write.
        data = self._graphql(query, {**self._names, **variables}, self._doing)
        with self._github.reading(self._doing):
            return {**data["repository"]}

    def _graphql(self, document: str, variables: Mapping[str, Any], doing: str) -> dict[str, Any]:
        self._seen = None
        return self._github.graphql(document, variables, doing, needs="pull_requests=write")

    def _rest(self, verb: str, path: str, doing: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401  (what GitHub answers)
        self._seen = None
        return self._github.rest(verb, path, doing, input=dict(values))


def _no_auto_merge(pull: PullRequest, method: str, error: GitHubError) -> str:
    denied = error.kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES", "NOT_FOUND"}
    if denied or error.status >= 400 or not error.said:
        return str(error)
    why = f"GitHub says: {error.said} Look at its page: {pull.url}"
    for pattern, reason in _NO_AUTO_MERGE.items():
        if re.search(pattern, error.said, re.IGNORECASE):
            why = reason.format(method=method)
            break
    return f"Pull request #{pull.number} won't merge itself: {why}"


def _own(found: Mapping[str, Any]) -> list[Any]:
    """The pull requests of a list, but for those from or to another repository of the network."""
    return [node for node in found["nodes"] if node and not node["isCrossRepository"]]


def _pull_request(node: Mapping[str, Any]) -> PullRequest:
    return PullRequest(
        number=node["number"],
        url=node["url"],
        body=node["body"],
        base=node["baseRefName"],
        node=node["id"],
        is_conflicting=node["mergeable"] == "CONFLICTING",
        auto_merge=(node["autoMergeRequest"] or {}).get("mergeMethod", ""),
        labels=frozenset(label["name"] for label in (node["labels"] or {}).get("nodes", ())),
        assignees=frozenset(person["login"] for person in node["assignees"]["nodes"]),
        comments=tuple(comment["body"] for comment in node["comments"]["nodes"]),
    )


def _commit(node: Mapping[str, Any]) -> BranchCommit:
    return BranchCommit(
        id=node["oid"],
        message=node["message"],
        author=(node["author"] or {}).get("name") or "",
        parents=tuple(parent["oid"] for parent in node["parents"]["nodes"]),
    )


def _newest_first(commits: Iterable[BranchCommit], head: str) -> tuple[BranchCommit, ...]:
    """Commits from a branch's newest on; GitHub promises no order, and gives the oldest first."""
    known = {commit.id: commit for commit in commits}
    order, todo = dict[str, None](), [head]
    for name in todo:  # grows
        if name in known and name not in order:
            order[name] = None
            todo += known[name].parents
    order.update(dict.fromkeys(reversed(known)))
    return tuple(known[name] for name in order)


def _without(names: tuple[str, ...] | list[str], known: frozenset[str]) -> list[str]:
    # Logins are the same whatever their case.
    lower = {name.lower() for name in known}
    return [name for name in names if name.lower() not in lower]
