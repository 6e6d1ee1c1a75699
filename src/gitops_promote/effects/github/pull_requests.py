"""Pull requests on GitHub: found, opened, rewritten, closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gitops_promote.core.errors import MovedHeadError
from gitops_promote.core.proposal import BranchCommit, Proposal, PullRequest
from gitops_promote.effects.github.errors import GitHubError

if TYPE_CHECKING:
    from gitops_promote.core.pull_request import PullRequestText
    from gitops_promote.effects.config_repository import Head
    from gitops_promote.effects.github.client import GitHub
    from gitops_promote.inputs import PullRequestInputs

#: So many commits of a branch are looked at. Ours has one, and merges of the base.
MOST_COMMITS = 30

_FIND = """
query($owner: String!, $name: String!, $branch: String!, $ref: String!) {
  repository(owner: $owner, name: $name, followRenames: false) {
    ref(qualifiedName: $ref) { target { oid } }
    open: pullRequests(headRefName: $branch, states: [OPEN], first: 20) {
      nodes {
        id number url title body isDraft isCrossRepository baseRefName mergeable
        autoMergeRequest { mergeMethod }
        labels(first: 100) { nodes { name } }
        assignees(first: 100) { nodes { login } }
        comments(last: 50) { nodes { body } }
      }
    }
    over: pullRequests(headRefName: $branch, states: [CLOSED, MERGED], last: 5) {
      nodes { headRefOid isCrossRepository }
    }
  }
}
"""
_HOLDS = """
query($owner: String!, $name: String!, $ref: String!, $number: Int!) {
  repository(owner: $owner, name: $name, followRenames: false) {
    ref(qualifiedName: $ref) { target { oid } }
    pullRequest(number: $number) { state }
  }
}
"""
_COMPARE = """
query($owner: String!, $name: String!, $base: String!, $branch: String!, $most: Int!) {
  repository(owner: $owner, name: $name, followRenames: false) {
    ref(qualifiedName: $base) {
      compare(headRef: $branch) {
        aheadBy
        commits(last: $most) {
          nodes {
            oid message author { name } committer { email } parents(first: 2) { totalCount }
          }
        }
      }
    }
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
        found = self._ask(_FIND, branch=branch, ref=f"refs/heads/{branch}")
        nodes = [node for node in found["open"]["nodes"] if not node["isCrossRepository"]]
        # Of several, which only people can open, the one to our base is ours.
        nodes.sort(key=lambda node: (node["baseRefName"] != base.branch, node["number"]))
        pull = _pull_request(nodes[0]) if nodes else None
        if not found["ref"]:
            return Proposal(branch)
        commit = found["ref"]["target"]["oid"]
        commits, is_whole = self._commits(branch, base, commit)
        left = [node["headRefOid"] for node in found["over"]["nodes"]]
        is_over = pull is None and commit in left
        return Proposal(branch, commit, commits, is_whole, is_over, pull)

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
        # By its number, as lists of what was just opened may be late.
        found = self._ask(_HOLDS, ref=f"refs/heads/{branch}", number=pull.number)
        is_open = found["pullRequest"]["state"] == "OPEN"
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
        repository = self._github.repository(self._repository)
        try:
            with self._github.explaining(f"open a pull request in {self._repository}"):
                made = repository.create_pull(
                    base, branch, title=text.title, body=text.body, draft=draft
                )
        except GitHubError as error:
            # GitHub has a text for these, and no code.
            if "already exists" in error.said or "No commits between" in error.said:
                raise MovedHeadError(f"{branch} of {self._repository} is being changed.") from None
            raise
        return PullRequest(
            number=made.number,
            url=made.html_url,
            title=made.title,
            body=text.body,
            base=base,
            node=made.node_id,
            is_draft=draft,
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
        values = {"title": text.title, "body": text.body}
        values |= {"base": base} if base != pull.base else {}
        path = f"/repos/{self._repository}/pulls/{pull.number}"
        self._github.rest("PATCH", path, f"change pull request #{pull.number}", input=values)

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
        self._github.rest("POST", path, doing, input={"body": body})

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
        self._github.rest("PATCH", path, doing, input={"state": "closed"})

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
            self._github.graphql(_AUTO_MERGE, variables, doing, needs="pull_requests=write")
        except GitHubError as error:
            return [_no_auto_merge(pull, error)]
        return []

    def _label(self, pull: PullRequest, wanted: PullRequestInputs) -> list[str]:
        # Label names are the same whatever their case.
        known = {name.lower() for name in pull.labels}
        missing = [name for name in wanted.labels if name.lower() not in known]
        if missing:
            self._post(pull, "issues", "labels", "label it", {"labels": missing})
        return []

    def _assign(self, pull: PullRequest, wanted: PullRequestInputs) -> list[str]:
        missing = _without(wanted.assignees, pull.assignees)
        if not missing:
            return []
        answer = self._post(pull, "issues", "assignees", "assign it", {"assignees": missing})
        # Those that it may not be assigned to, GitHub leaves out without a word.
        left = _without(missing, frozenset(person["login"] for person in answer["assignees"]))
        return [
            f"Pull request #{pull.number} can't be assigned to `{login}`, who may not write to "
            f"{self._repository}."
            for login in left
        ]

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
            return [self._no_review(pull, asked[0][1], error)]
        return []

    def _ask_each(self, pull: PullRequest, asked: list[tuple[str, str]]) -> list[str]:
        warnings = []
        for kind, name in asked:
            try:
                self._ask_for_review(pull, [(kind, name)])
            except GitHubError as error:
                warnings.append(self._no_review(pull, name, error))
        return warnings

    def _no_review(self, pull: PullRequest, name: str, error: GitHubError) -> str:
        if error.status != 422:
            return str(error)
        return (
            f"`{name}` can't be asked to review pull request #{pull.number}. Name in `reviewers` "
            f"and `team-reviewers` who can read {self._repository}, except who opened it."
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
                self._github.rest("PATCH", path, doing, input={"milestone": wanted.milestone})
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
        return self._github.rest("POST", path, doing, input=dict(values))

    def _commits(
        self, branch: str, base: Head, commit: str
    ) -> tuple[tuple[BranchCommit, ...], bool]:
        found = self._ask(
            _COMPARE, base=f"refs/heads/{base.branch}", branch=branch, most=MOST_COMMITS
        )
        compared = found["ref"] and found["ref"]["compare"]
        if not compared:
            raise MovedHeadError(f"{branch} of {self._repository} is being changed.")
        commits = tuple(map(_commit, reversed(compared["commits"]["nodes"])))
        if commits and commits[0].id != commit:
            raise MovedHeadError(f"{branch} of {self._repository} is being changed.")
        return commits, len(commits) == compared["aheadBy"]

    def _ask(self, query: str, **variables: object) -> Any:  # noqa: ANN401  (what GitHub answers)
        names = {**self._names, **variables}
        # To look needs less, but who looks here is about to write.
        data = self._github.graphql(query, names, self._doing, needs="pull_requests=write")
        return data["repository"]


def _no_auto_merge(pull: PullRequest, error: GitHubError) -> str:
    what = f"Pull request #{pull.number} won't merge itself"
    if "not allowed" in error.said:
        return (
            f"{what}: the repository doesn't allow it. Turn on Settings > General > Allow "
            "auto-merge in the config repository."
        )
    if "clean status" in error.said:
        return (
            f"{what}: there is nothing to wait for. Merge it, or require reviews or checks on its "
            "base by a branch rule."
        )
    return str(error)


def _pull_request(node: Mapping[str, Any]) -> PullRequest:
    return PullRequest(
        number=node["number"],
        url=node["url"],
        title=node["title"],
        body=node["body"],
        base=node["baseRefName"],
        node=node["id"],
        is_draft=node["isDraft"],
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
        committer=(node["committer"] or {}).get("email") or "",
        is_merge=node["parents"]["totalCount"] > 1,
    )


def _without(names: tuple[str, ...] | list[str], known: frozenset[str]) -> list[str]:
    # Logins are the same whatever their case.
    lower = {name.lower() for name in known}
    return [name for name in names if name.lower() not in lower]
