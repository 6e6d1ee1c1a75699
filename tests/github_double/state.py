"""What the stand-in for GitHub knows: users, tokens, repositories, pull requests, their rules."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import zlib
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

from github_double.objects import Actor, Commit, Objects
from servers import add_hook, make_bare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Access = Literal["read", "write"]
#: What came as JSON or goes as such: GitHub's own descriptions say what is in it.
Json: TypeAlias = Any
Method = Literal["merge", "squash", "rebase"]

#: GitHub's limits, in characters.
BODY_LIMIT = 65_536
TITLE_LIMIT = 256

#: Ids that anybody can look up; other users get one made of the name.
_IDS = {"octocat": 583231, "github-actions[bot]": 41898282, "web-flow": 19864447}
_NOREPLY = "users.noreply.github.com"

#: Protected branches take no push. The two files are written by `Repository.protect`.
_UPDATE_HOOK = """\
grep -qxF -e "$1" protected || exit 0
grep -qxF -e "$1 $REMOTE_USER" bypass && exit 0
echo "error: GH006: Protected branch update failed for $1." >&2
echo "error: Changes must be made through a pull request." >&2
exit 1
"""


class RefusalError(Exception):
    """What GitHub answers instead of doing it.

    Attributes:
        message: GitHub's words.
        kind: The type of an error of GraphQL.
        errors: The details of a REST answer of the status 422.
        permissions: What the token lacks, as in `X-Accepted-GitHub-Permissions`.
    """

    def __init__(
        self,
        message: str,
        kind: str = "UNPROCESSABLE",
        errors: Sequence[Mapping[str, Any] | str] = (),
        permissions: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.errors = list(errors)
        self.permissions = permissions


def invalid(resource: str, name: str, message: str = "", **more: object) -> RefusalError:
    """The refusal of a field's value."""
    detail: dict[str, object] = {**more, "resource": resource, "code": "invalid"}
    if name:
        detail["field"] = name
    if message:
        detail |= {"code": "custom", "message": message}
    return RefusalError("Validation Failed", errors=[detail])


@dataclass(frozen=True, slots=True)
class User:
    """A person or a bot."""

    login: str
    name: str | None = None

    @property
    def id(self) -> int:
        return _IDS.get(self.login) or zlib.crc32(self.login.encode()) % 90_000_000 + 10_000_000

    @property
    def bot(self) -> bool:
        return self.login.endswith("[bot]")

    @property
    def email(self) -> str:
        return f"{self.id}+{self.login}@{_NOREPLY}"

    def actor(self) -> Actor:
        """The user in a commit that is made now."""
        return Actor(self.name or self.login, self.email, int(time.time()), "+0000")


WEB_FLOW = User("web-flow", "GitHub")


@dataclass
class Web:
    """Who commits what is committed on GitHub's pages or through its API.

    On a GitHub Enterprise Server its owner chooses the address.
    """

    address: str = "noreply@github.com"

    def actor(self) -> Actor:
        """The committer of what GitHub itself commits now."""
        return Actor("GitHub", self.address, int(time.time()), "+0000")


@dataclass(frozen=True, slots=True)
class Token:
    """A fine-grained token: whose it is, and what it may do. Its text is nowhere."""

    user: User
    permissions: Mapping[str, Mapping[str, Access]]
    key: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a pull request."""

    id: int
    author: str
    body: str
    created: float


@dataclass(frozen=True, slots=True)
class Milestone:
    """A milestone of a repository."""

    number: int
    title: str


@dataclass(frozen=True, slots=True)
class Protection:
    """What a branch asks for before anything gets on it, and who is exempt."""

    checks: tuple[str, ...] = ()
    reviews: int = 0
    bypass: tuple[str, ...] = ()


@dataclass
class PullRequest:
    """A pull request. `auto_merge` is the method, in small letters; empty: off.

    `fork` is the owner of the fork that its branch is in; empty: it is in the repository itself.
    """

    number: int
    title: str
    body: str
    head: str
    head_sha: str
    base: str
    base_sha: str
    author: str
    draft: bool = False
    fork: str = ""
    state: Literal["open", "closed"] = "open"
    merged: bool = False
    merge_sha: str = ""
    merged_by: str = ""
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    reviewers: list[str] = field(default_factory=list)
    team_reviewers: list[str] = field(default_factory=list)
    milestone: int | None = None
    auto_merge: Method | Literal[""] = ""
    auto_merge_by: str = ""
    auto_merge_title: str | None = None
    auto_merge_message: str | None = None
    approvals: int = 0
    comments: list[Comment] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    closed: float | None = None


@final
class Repository:
    """A repository of the stand-in. Tests may set what an owner would in its settings.

    Attributes:
        allow_auto_merge: Off, as in a new repository of GitHub.
        allow_actions_pull_requests: "Allow GitHub Actions to create and approve pull requests".
        shows_teams: Off: tokens may not see the organisation's teams, for lack of *Members: read*.
        knows_mergeable: Off: GitHub is still computing whether pull requests can be merged.
        tree_limit: How many entries a recursive tree has before it is cut.
        bare: The bare repository.
    """

    def __init__(self, owner: str, name: str, bare: Path, web: Web, *, private: bool) -> None:
        self.owner, self.name, self.bare, self.private = owner, name, bare, private
        self.web = web
        self.objects = Objects(bare)
        self.lock = threading.RLock()
        self.archived = False
        self.allow_auto_merge = False
        self.allow_actions_pull_requests = True
        self.allow: dict[str, bool] = {"merge": True, "squash": True, "rebase": True}
        self.delete_branch_on_merge = False
        self.squash_message: Literal["COMMIT_MESSAGES", "PR_BODY"] = "COMMIT_MESSAGES"
        self.shows_teams = True
        self.knows_mergeable = True
        self.tree_limit = 100_000
        self.default_branch = "main"
        self.collaborators: dict[str, str] = {}
        self.teams: set[str] = set()
        self.labels: list[str] = ["bug", "documentation"]
        self.milestones: list[Milestone] = []
        self.pulls: list[PullRequest] = []
        self.protections: dict[str, Protection] = {}
        self.passed: set[str] = set()
        self.signed: set[str] = set()

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def id(self) -> int:
        return zlib.crc32(self.full_name.lower().encode())

    @property
    def key(self) -> str:
        """The name, whose case does not count."""
        return self.full_name.lower()

    def pull(self, number: int) -> PullRequest:
        """A pull request by its number."""
        if not 0 < number <= len(self.pulls):
            raise RefusalError("Not Found", "NOT_FOUND")
        return self.pulls[number - 1]

    def protect(self, branch: str, protection: Protection) -> None:
        """Protect a branch."""
        with self.lock:
            self.protections[branch] = protection
            refs = {f"refs/heads/{name}": rule for name, rule in self.protections.items()}
            exempt = [f"{ref} {login}\n" for ref, rule in refs.items() for login in rule.bypass]
            (self.bare / "protected").write_text("".join(f"{ref}\n" for ref in refs))
            (self.bare / "bypass").write_text("".join(exempt))
            add_hook(self.bare, "update", _UPDATE_HOOK)

    def check_protection(self, branch: str, user: User) -> None:
        """Refuse what may not be put on a branch directly."""
        rule = self.protections.get(branch)
        if rule and user.login not in rule.bypass:
            words = "Changes must be made through a pull request."
            raise RefusalError(words, "BRANCH_PROTECTION_RULE_VIOLATION")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the state still; what pushes have changed is taken in before and after."""
        with self.lock:
            self.sync()
            try:
                yield
            finally:
                self.sync()

    def sync(self) -> None:
        """Bring the open pull requests up to their branches, and merge what is due."""
        with self.lock:
            for pull in self.pulls:
                if pull.state == "open":
                    self._follow(pull)
            for pull in self.pulls:
                if pull.state == "open" and pull.auto_merge and self.status(pull) == "clean":
                    self.merge(pull, pull.auto_merge, User(pull.auto_merge_by))

    def _follow(self, pull: PullRequest) -> None:
        if pull.fork:
            return  # what becomes of the fork is not played
        head, base = self.objects.branch(pull.head), self.objects.branch(pull.base)
        if not head or not base:
            self.close(pull)
            return
        if (head, base) == (pull.head_sha, pull.base_sha):
            return
        moved = head != pull.head_sha
        if moved:
            pull.updated, pull.approvals = time.time(), 0
        pull.head_sha, pull.base_sha = head, base
        if not self.objects.compare(base, head).ahead:
            # A base that took the head's commits has merged it; a head reset to the base has not.
            pull.merged, pull.merge_sha = not moved, "" if moved else base
            self.close(pull)

    def close(self, pull: PullRequest) -> None:
        """Close a pull request."""
        if pull.state == "open":
            pull.state, pull.auto_merge, pull.closed = "closed", "", time.time()
            pull.updated = pull.closed

    def reopen(self, pull: PullRequest) -> None:
        """Open a closed pull request again."""
        if pull.state == "open":
            return
        if pull.merged or not self.objects.branch(pull.head):
            raise invalid("PullRequest", "state", "state cannot be changed.")
        self._check_pair(pull.head, pull.base)
        pull.state, pull.closed, pull.updated = "open", None, time.time()

    def status(self, pull: PullRequest) -> Literal["dirty", "draft", "blocked", "clean"]:
        """Whether it can be merged, in the words of `mergeable_state`."""
        if not self.mergeable(pull):
            return "dirty"
        if pull.draft:
            return "draft"
        rule = self.protections.get(pull.base, Protection())
        if rule.checks and pull.head_sha not in self.passed:
            return "blocked"
        return "blocked" if pull.approvals < rule.reviews else "clean"

    def mergeable(self, pull: PullRequest) -> bool:
        """Whether git merges it without a conflict."""
        return bool(self.objects.merge_tree(pull.base_sha, pull.head_sha))

    def create_pull(
        self, title: str, body: str, branches: tuple[str, str], user: User, *, draft: bool
    ) -> PullRequest:
        """Open a pull request; `branches` are its head and base."""
        check_texts(title, body)
        head, base = branches
        heads = {
            name: self.objects.branch(value)
            for name, value in zip(("head", "base"), branches, strict=True)
        }
        for name, commit in heads.items():
            if not commit:
                raise invalid("PullRequest", name)
        self._check_pair(head, base)
        number = len(self.pulls) + 1
        pull = PullRequest(
            number, title, body, head, heads["head"], base, heads["base"], user.login, draft
        )
        self.pulls.append(pull)
        return pull

    def create_pull_from_fork(self, fork: str, head: str) -> PullRequest:
        """Open a pull request with the default branch's commit on a branch of somebody's fork."""
        tip, number = self.objects.branch(self.default_branch), len(self.pulls) + 1
        pull = PullRequest(
            number, "Theirs", "", head, tip, self.default_branch, tip, fork, fork=fork
        )
        self.pulls.append(pull)
        return pull

    def _check_pair(self, head: str, base: str) -> None:
        own = [pull for pull in self.pulls if not pull.fork]
        if any((pull.head, pull.base, pull.state) == (head, base, "open") for pull in own):
            words = f"A pull request already exists for {self.owner}:{head}."
            raise invalid("PullRequest", "", words)
        pair = self.objects.branch(base), self.objects.branch(head)
        if not self.objects.compare(*pair).ahead:
            raise invalid("PullRequest", "", f"No commits between {base} and {head}")

    def edit_pull(self, pull: PullRequest, changes: Mapping[str, Any]) -> None:
        """Change the title, body, base or state of a pull request."""
        title, body = changes.get("title"), changes.get("body")
        check_texts(pull.title if title is None else title, body or "")
        base = changes.get("base")
        if base and base != pull.base:
            if not self.objects.branch(base):
                raise invalid("PullRequest", "base")
            self._check_pair(pull.head, base)
            pull.base, pull.base_sha = base, self.objects.branch(base)
        pull.title = pull.title if title is None else title
        pull.body = pull.body if body is None else body
        pull.updated = time.time()
        if changes.get("state") == "closed":
            self.close(pull)
        elif changes.get("state") == "open":
            self.reopen(pull)

    def comment(self, pull: PullRequest, body: str, user: User) -> Comment:
        """Comment on a pull request."""
        if not body.strip():
            raise invalid("IssueComment", "data", "Body cannot be blank")
        if len(body) > BODY_LIMIT:
            words = f"Body is too long (maximum is {BODY_LIMIT} characters)"
            detail = {"resource": "IssueComment", "code": "unprocessable", "field": "data"}
            raise RefusalError("Validation Failed", errors=[{**detail, "message": words}])
        number = sum(len(other.comments) for other in self.pulls) + 1
        comment = Comment(self.id * 1000 + number, user.login, body, time.time())
        pull.comments.append(comment)
        return comment

    def add_labels(self, pull: PullRequest, names: Sequence[str]) -> None:
        """Put labels on a pull request; those that the repository lacks are made."""
        for name in names:
            known = next((label for label in self.labels if label.lower() == name.lower()), "")
            if not known:
                if not name.strip() or len(name) > 50:
                    raise invalid("Label", "name")
                self.labels.append(name)
            if (known or name) not in pull.labels:
                pull.labels.append(known or name)

    def add_assignees(self, pull: PullRequest, logins: Sequence[str]) -> None:
        """Assign people; those who can't be are left out, as GitHub does, without a word."""
        for login in logins:
            who = self.collaborator(login)
            if who and who not in pull.assignees and len(pull.assignees) < 10:
                pull.assignees.append(who)

    def request_reviews(
        self, pull: PullRequest, logins: Sequence[str], teams: Sequence[str]
    ) -> None:
        """Ask for reviews: of all or of none."""
        if pull.author.lower() in [login.lower() for login in logins]:
            raise RefusalError("Review cannot be requested from pull request author.")
        people = [self.collaborator(login) for login in logins]
        if teams and not self.shows_teams and self.teams.issuperset(teams):
            node = node_id("T", self.owner, teams[0])
            words = f"Could not resolve to a node with the global id of '{node}'."
            raise RefusalError("Validation Failed", errors=[words])
        if not all(people) or not self.teams.issuperset(teams):
            which = "teams" if all(people) else "users" if not teams else "users or teams"
            words = "Reviews may only be requested from collaborators. One or more of the"
            raise RefusalError(
                f"{words} {which} you specified is not a collaborator of the {self.full_name} "
                "repository."
            )
        pull.reviewers += [who for who in people if who not in pull.reviewers]
        pull.team_reviewers += [team for team in teams if team not in pull.team_reviewers]

    def collaborator(self, login: str) -> str:
        """A collaborator's name as it is spelled; empty where there is none of the name."""
        found = (name for name in self.collaborators if name.lower() == login.lower())
        return next(found, "")

    def set_milestone(self, pull: PullRequest, number: int | None) -> None:
        """Put a pull request under a milestone, or under none."""
        if number is not None and number not in [stone.number for stone in self.milestones]:
            raise invalid("Issue", "milestone", value=number)
        pull.milestone = number

    def enable_auto_merge(
        self, pull: PullRequest, method: Method, user: User, texts: Sequence[str | None]
    ) -> None:
        """Have a pull request merged once nothing is in its way."""
        if not self.allow_auto_merge:
            raise RefusalError("Auto merge is not allowed for this repository")
        if not self.allow[method]:
            name = {"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}
            raise RefusalError(f"{name[method]} are not allowed on this repository.")
        if pull.state == "closed":
            raise RefusalError("Pull request is closed")
        status = self.status(pull)
        if status in {"clean", "draft"}:
            raise RefusalError(f"Pull request Pull request is in {status} status")
        pull.auto_merge, pull.auto_merge_by = method, user.login
        pull.auto_merge_title, pull.auto_merge_message = texts

    def merge(self, pull: PullRequest, method: Method, user: User) -> str:
        """Merge a pull request for real, whatever the rules, and return the new tip of the base."""
        base, head = pull.base_sha, pull.head_sha
        if pull.state == "closed" or not self.mergeable(pull):
            raise RefusalError("Pull Request is not mergeable")
        merged = self._merged(pull, method, user)
        if not self.objects.update_refs([f"update refs/heads/{pull.base} {merged} {base}"]):
            raise RefusalError("Base branch was modified. Review and try the merge again.")
        pull.merged, pull.merge_sha, pull.merged_by = True, merged, user.login
        self.close(pull)
        if self.delete_branch_on_merge:
            self.objects.update_refs([f"delete refs/heads/{pull.head} {head}"])
        return merged

    def _merged(self, pull: PullRequest, method: Method, user: User) -> str:
        base, head = pull.base_sha, pull.head_sha
        author, committer = user.actor(), self.web.actor()
        if method == "rebase":
            tip = base
            for oid in self.objects.compare(base, head).ahead:
                tip = self._picked(self.objects.commit(oid), tip, committer)
            return tip
        tree = self.objects.merge_tree(base, head)
        message, parents = self._squashed(pull), [base]
        if method == "merge":
            message = f"Merge pull request #{pull.number} from {self.owner}/{pull.head}\n"
            message += f"\n{pull.title}\n"
            parents.append(head)
        commit = self.objects.commit_tree(tree, parents, message, author, committer)
        self.signed.add(commit)
        return commit

    def _squashed(self, pull: PullRequest) -> str:
        """The message of a squash merge ("About pull request merges")."""
        if self.squash_message == "PR_BODY":
            return f"{pull.title} (#{pull.number})\n\n{pull.body}"
        commits = self.objects.compare(pull.base_sha, pull.head_sha).ahead
        messages = [self.objects.commit(oid).message.strip() for oid in commits]
        if len(messages) > 1:
            listed = "\n\n".join(f"* {message}" for message in messages)
            return f"{pull.title} (#{pull.number})\n\n{listed}\n"
        title, _, body = messages[0].partition("\n\n")
        return f"{title} (#{pull.number})\n\n{body}\n"

    def _picked(self, commit: Commit, onto: str, committer: Actor) -> str:
        # GitHub makes each anew, even where git would leave it ("About pull request merges").
        objects, who = self.objects, commit.author
        # Git picks a commit by a merge; it finds the merge base from the parents that are given.
        root = objects.commit_tree(objects.commit(commit.parents[0]).tree, [], "", who, who)
        ours = objects.commit_tree(objects.commit(onto).tree, [root], "", who, who)
        theirs = objects.commit_tree(commit.tree, [root], "", who, who)
        tree = objects.merge_tree(ours, theirs)
        if not tree:
            raise RefusalError("This branch can't be rebased")
        return objects.commit_tree(tree, [onto], commit.message, who, committer)


def check_texts(title: str, body: str) -> None:
    """Refuse a title or body of a pull request that GitHub would."""
    if not title.strip():
        raise RefusalError(
            "Validation Failed",
            errors=[{"resource": "PullRequest", "code": "missing_field", "field": "title"}],
        )
    for name, text, limit in (("title", title, TITLE_LIMIT), ("body", body, BODY_LIMIT)):
        if len(text) > limit:
            words = f"{name} is too long (maximum is {limit} characters)"
            raise invalid("Issue", name, words)


@final
class State:
    """All repositories, users and tokens."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.web = Web()
        self.lock = threading.Lock()
        self.repositories: dict[str, Repository] = {}
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}

    def add_repository(
        self, full_name: str, files: Mapping[str, bytes], branch: str, *, private: bool
    ) -> Repository:
        """Make a repository with one commit of files on its default branch."""
        owner, _, name = full_name.partition("/")
        (self.root / owner).mkdir(parents=True, exist_ok=True)
        bare = make_bare(self.root / owner / f"{name}.git", files, branch)
        repository = Repository(owner, name, bare, self.web, private=private)
        repository.default_branch = branch
        self.repositories[full_name.lower()] = repository
        return repository

    def rename(self, old: str, new: str) -> None:
        """Rename a repository; its old name leads to it."""
        repository = self.repository(old)
        repository.owner, _, repository.name = new.partition("/")
        self.repositories[new.lower()] = repository

    def repository(self, full_name: str) -> Repository:
        """A repository, whoever asks."""
        return self.repositories[full_name.lower()]

    def user(self, login: str) -> User:
        """A user, known from now on."""
        with self.lock:
            return self.users.setdefault(login.lower(), User(login))

    def add_user(self, login: str, name: str | None) -> None:
        """Make a user known by a full name."""
        with self.lock:
            self.users[login.lower()] = User(login, name)

    def user_of_email(self, email: str) -> User | None:
        """Whose address it is."""
        if email == self.web.address:
            return WEB_FLOW
        with self.lock:
            return next((user for user in self.users.values() if user.email == email), None)

    def add_token(
        self, token: str, login: str, permissions: Mapping[str, Mapping[str, Access]]
    ) -> None:
        """Let a token in. Only its hash is kept."""
        allowed = {name.lower(): {**rights} for name, rights in permissions.items()}
        key = hashlib.sha256(token.encode()).hexdigest()
        self.tokens[key] = Token(self.user(login), allowed, key)

    def token(self, text: str) -> Token | None:
        """Look a token up."""
        return self.tokens.get(hashlib.sha256(text.encode()).hexdigest())


@final
class Session:
    """One request: who sent it, and what that one may see and do."""

    def __init__(self, state: State, token: Token, url: str) -> None:
        self.state, self.token, self.url = state, token, url

    @property
    def user(self) -> User:
        return self.token.user

    def repository(self, full_name: str) -> Repository:
        """A repository, where the token sees it."""
        found = self.state.repositories.get(full_name.lower())
        # A repository that was renamed is found by its old name too.
        allowed = found and (not found.private or found.key in self.token.permissions)
        if not found or not allowed:
            raise RefusalError("Not Found", "NOT_FOUND")
        return found

    def may(self, repository: Repository, permission: str, access: Access) -> bool:
        """Whether the token has a permission for a repository."""
        rights = self.token.permissions.get(repository.key, {})
        held = rights.get(permission)
        if access == "read":
            return permission == "metadata" or bool(held) or not repository.private
        return held == "write"

    def need(self, repository: Repository, access: Access, *permissions: str) -> None:
        """Refuse where the token has none of some permissions."""
        if access == "write" and repository.archived:
            raise RefusalError("Repository was archived so is read-only.", "FORBIDDEN")
        if not any(self.may(repository, name, access) for name in permissions):
            what = "integration" if self.user.bot else "personal access token"
            raise RefusalError(
                f"Resource not accessible by {what}",
                "FORBIDDEN",
                permissions="; ".join(f"{name}={access}" for name in permissions),
            )

    def permission(self, repository: Repository) -> str:
        """GraphQL's name of what the token may do to a repository."""
        if self.may(repository, "administration", "write"):
            return "ADMIN"
        return "WRITE" if self.may(repository, "contents", "write") else "READ"

    def create_pull(
        self, repository: Repository, texts: tuple[str, str], branches: tuple[str, str], *,
        draft: bool,
    ) -> PullRequest:  # fmt: skip
        """Open a pull request as the token's owner."""
        self.need(repository, "write", "pull_requests")
        actions = self.user.login == "github-actions[bot]"
        if actions and not repository.allow_actions_pull_requests:
            words = "GitHub Actions is not permitted to create or approve pull requests."
            raise RefusalError(words, "FORBIDDEN")
        with repository.changing():
            return repository.create_pull(*texts, branches, self.user, draft=draft)


def node_id(kind: str, *parts: object) -> str:
    """The id that both APIs know something by."""
    text = " ".join(map(str, parts)).encode()
    return f"{kind}_{base64.urlsafe_b64encode(text).decode().rstrip('=')}"


def copy_of(pull: PullRequest) -> PullRequest:
    """A pull request as it is now, for a test to look at."""
    return deepcopy(pull)
