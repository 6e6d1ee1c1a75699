"""The GraphQL API of the stand-in for GitHub: graphql-core on a part of GitHub's schema."""

from __future__ import annotations

import base64
import binascii
import re
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from graphql import (
    GraphQLError,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    execute_sync,
    parse,
    validate,
    visit,
)

from github_double.objects import ZERO, BadPathError, Commit
from github_double.state import RefusalError, User, node_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from graphql import DocumentNode, FieldNode, GraphQLResolveInfo, GraphQLSchema

    from github_double.checks import Checks
    from github_double.objects import Actor, Entry
    from github_double.state import Comment, Json, Method, PullRequest, Repository, Session

SCHEMA = Path(__file__).parent / "schema.graphql"
_TEXT_LIMIT = 512_000
_OID = re.compile(r"[0-9a-f]{40}")


@cache
def schema() -> GraphQLSchema:
    """Our part of GitHub's schema."""
    return build_schema(SCHEMA.read_text(encoding="utf-8"))


@cache
def _document(text: str) -> DocumentNode | tuple[GraphQLError, ...]:
    """A document, or what is wrong with it."""
    try:
        document = parse(text)
    except GraphQLError as error:
        return (error,)
    return tuple(validate(schema(), document)) or document


def answer(
    session: Session, request: Json, checks: Checks, lacks: AbstractSet[str]
) -> dict[str, Any]:
    """Answer a request, the way GitHub words errors.

    `lacks` are the fields that a server of an older version has not: `Mutation.updateRefs`.
    """
    document = _document(str(request.get("query", "")))
    if isinstance(document, tuple):
        for error in document:
            checks.add(f"a GraphQL document: {error.message}")
        return {"errors": [_worded(error) for error in document]}
    checks.graphql()
    if missing := _missing(document, lacks):
        return {"errors": missing}
    result = execute_sync(
        schema(),
        document,
        root_value=Root(session),
        variable_values=request.get("variables") or {},
        operation_name=request.get("operationName"),
        field_resolver=_resolve,
        type_resolver=lambda value, *_: value.kind,
    )
    for error in result.errors or ():
        cause = error.original_error
        if cause and not isinstance(cause, RefusalError):
            raise cause
        if not cause:  # a variable's value that is not of its type
            checks.add(f"GraphQL variables: {error.message}")
    found: dict[str, Any] = {"data": result.data}
    if result.errors:
        found["errors"] = [_worded(error) for error in result.errors]
    return found


def _missing(document: DocumentNode, lacks: AbstractSet[str]) -> list[dict[str, Any]]:
    """The errors for the fields of a document that a server lacks."""
    if not lacks:
        return []
    info, found = TypeInfo(schema()), []

    class Finder(Visitor):
        def enter_field(self, node: FieldNode, *_: Json) -> None:
            kind, name = str(info.get_parent_type()), node.name.value
            if f"{kind}.{name}" in lacks:
                code = {"code": "undefinedField", "typeName": kind, "fieldName": name}
                words = f"Field '{name}' doesn't exist on type '{kind}'"
                found.append({"path": [name], "extensions": code, "message": words})

    visit(document, TypeInfoVisitor(info, Finder()))
    return found


def _worded(error: GraphQLError) -> dict[str, Any]:
    places = [{"line": place.line, "column": place.column} for place in error.locations or ()]
    found: dict[str, Any] = {"message": error.message, "locations": places}
    if isinstance(error.original_error, RefusalError):
        refusal = error.original_error
        errors = [detail for detail in refusal.errors if not isinstance(detail, str)]
        details = [detail["message"] for detail in errors if "message" in detail]
        found["message"] = ", ".join(details) or refusal.message
        found = {"type": refusal.kind, "path": error.path, **found}
        if refusal.kind == "FORBIDDEN":
            found["extensions"] = {"saml_failure": False}
    return found


def _resolve(source: Json, info: GraphQLResolveInfo[Json], **arguments: Json) -> Json:
    name = _snake(info.field_name)
    value = source.get(name) if isinstance(source, dict) else getattr(source, name)
    if not callable(value):
        return value
    return value(**{_snake(key): argument for key, argument in arguments.items()})


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: f"_{found[1].lower()}", name)


def _connection(
    name: str,
    items: Sequence[Any],
    make: Callable[[Any], Any],
    *,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    before: str | None = None,
) -> dict[str, Any]:
    """A page of a list, by GitHub's rules."""
    if first is None and last is None:
        words = f"You must provide a `first` or `last` value to properly paginate the `{name}`"
        raise RefusalError(f"{words} connection.", "MISSING_PAGINATION_BOUNDARIES")
    for which, size in (("first", first), ("last", last)):
        if size is not None and not 0 <= size <= 100:
            words = f"Requesting {size} records on the `{name}` connection exceeds the `{which}`"
            raise RefusalError(f"{words} limit of 100 records.", "EXCESSIVE_PAGINATION")
    start = int(after) if after else 0
    end = int(before) - 1 if before else len(items)
    if first is not None:
        end = min(end, start + first)
    if last is not None:
        start = max(start, end - last)
    page = {
        "start_cursor": str(start + 1) if end > start else None,
        "end_cursor": str(end) if end > start else None,
        "has_next_page": end < len(items),
        "has_previous_page": start > 0,
    }
    nodes = [make(item) for item in items[start:end]]
    return {"total_count": len(items), "nodes": nodes, "page_info": page}


def _parts(node: str) -> tuple[str, list[str]]:
    kind, _, text = node.partition("_")
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    return kind, decoded.split(" ")


def _time(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


@final
class Root:
    """The queries and mutations."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def viewer(self) -> UserNode:
        return UserNode(self.session, self.session.user, viewer=True)

    def rate_limit(self, *, dry_run: bool) -> dict[str, Any]:
        del dry_run
        reset = {"reset_at": _time(time.time() + 3600)}
        return {"cost": 1, "limit": 5000, "node_count": 0, "remaining": 4999, "used": 1, **reset}

    def repository(self, owner: str, name: str, *, follow_renames: bool) -> RepositoryNode:
        found = self._named(f"{owner}/{name}", follow_renames=follow_renames)
        found.sync()
        return RepositoryNode(self.session, found)

    def node(self, id: str) -> Node:  # noqa: A002  (GraphQL's name)
        kind, parts = _parts(id)
        if kind == "R":
            return RepositoryNode(self.session, self._repository(id))
        if kind == "PR":
            return self._node(self._pull(id))
        if kind == "REF":
            repository = self._repository(id)
            return RefNode(self.session, repository, " ".join(parts[1:]))
        raise _unknown_node(id)

    def _named(self, full_name: str, *, follow_renames: bool = True) -> Repository:
        found = None
        with suppress(RefusalError):
            found = self.session.repository(full_name)
        if not found or not (follow_renames or found.key == full_name.lower()):
            words = f"Could not resolve to a Repository with the name '{full_name}'."
            raise RefusalError(words, "NOT_FOUND")
        return found

    def _repository(self, node: str) -> Repository:
        try:
            return self.session.repository(_parts(node)[1][0])
        except RefusalError:
            raise _unknown_node(node) from None

    def _pull(self, node: str) -> tuple[Repository, PullRequest]:
        repository, parts = self._repository(node), _parts(node)[1]
        if len(parts) != 2 or not parts[1].isdigit() or not node.startswith("PR_"):
            raise _unknown_node(node)
        return repository, repository.pull(int(parts[1]))

    def _node(self, found: tuple[Repository, PullRequest]) -> PullRequestNode:
        return PullRequestNode(self.session, *found)

    def _writable(self, node: str, *more: str) -> tuple[Repository, PullRequest]:
        repository, pull = self._pull(node)
        for permission in ("pull_requests", *more):
            self.session.need(repository, "write", permission)
        repository.sync()
        return repository, pull

    def _payload(
        self, given: Mapping[str, Any], found: tuple[Repository, PullRequest]
    ) -> dict[str, Any]:
        actor = UserNode(self.session, self.session.user)
        return {**_echo(given), "pull_request": self._node(found), "actor": actor}

    def create_commit_on_branch(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        repository, branch = self._branch(input["branch"])
        self.session.need(repository, "write", "contents")
        objects, expected = repository.objects, input["expectedHeadOid"]
        repository.check_protection(branch, self.session.user)
        head = objects.branch(branch)
        if not head:
            words = f'The specified branch "{branch}" could not be found.'
            raise RefusalError(words, "NOT_FOUND")
        if head != expected:
            raise _stale(head, expected)
        oid = self._commit(repository, head, input)
        with repository.changing():
            if not objects.update_refs([f"update refs/heads/{branch} {oid} {head}"]):
                raise _stale(objects.branch(branch), expected)
            repository.signed.add(oid)
        commit = CommitNode(self.session, repository, oid)
        ref = RefNode(self.session, repository, f"refs/heads/{branch}")
        return {**_echo(input), "commit": commit, "ref": ref}

    def _branch(self, given: Mapping[str, Any]) -> tuple[Repository, str]:
        if given.get("id"):
            repository, parts = self._repository(given["id"]), _parts(given["id"])[1]
            return repository, " ".join(parts[1:]).removeprefix("refs/heads/")
        full_name, branch = given.get("repositoryNameWithOwner"), given.get("branchName")
        if not full_name or not branch:
            raise RefusalError("A branch is named by its id, or by its repository and name.")
        return self._named(full_name), branch.removeprefix("refs/heads/")

    def _commit(self, repository: Repository, head: str, given: Mapping[str, Any]) -> str:
        changes = given.get("fileChanges") or {}
        message = given["message"]["headline"]
        if given["message"].get("body"):
            message += f"\n\n{given['message']['body']}"
        author = self.session.user.actor()
        commit = Commit("", "", (head,), author, repository.web.actor(), message)
        try:
            files = {
                one["path"]: base64.b64decode(one["contents"], validate=True)
                for one in changes.get("additions") or ()
            }
        except binascii.Error:
            raise RefusalError("The contents of a file are not Base64.") from None
        gone = [one["path"] for one in changes.get("deletions") or ()]
        try:
            oid = repository.objects.commit_files(commit, files, gone)
        except BadPathError as error:
            raise RefusalError(f"A path was provided that is not valid: {error}") from None
        if not oid:
            words = "A path was requested for deletion which does not exist as of commit oid"
            raise RefusalError(f"{words} `{head}`")
        return oid

    def update_refs(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        repository = self._repository(input["repositoryId"])
        self.session.need(repository, "write", "contents")
        commands = [self._command(repository, update) for update in input["refUpdates"]]
        with repository.changing():
            if not repository.objects.update_refs(commands):
                raise _not_updated()
        return _echo(input)

    def _command(self, repository: Repository, update: Mapping[str, Any]) -> str:
        objects, name = repository.objects, update["name"]
        before, after = update.get("beforeOid"), update["afterOid"]
        if not re.fullmatch(r"refs/(heads|tags)/[^\s\\^~:?*\[]+", name):
            raise RefusalError(f"{name} is not a qualified ref name.")
        repository.check_protection(name.removeprefix("refs/heads/"), self.session.user)
        old = objects.ref(name)
        if before is not None and before != (old or ZERO):
            raise _not_updated()
        if after == ZERO:
            if not old:
                raise _not_updated()
            return f"delete {name} {before or ''}".rstrip()
        found = objects.find(after) if _OID.fullmatch(after) else None
        if not found or found[1] != "commit":
            raise _not_updated()
        if update.get("force"):
            return f"update {name} {after} {before or ''}".rstrip()
        if old and objects.compare(old, after).behind:
            raise _not_updated()
        # What was compared must still be there.
        return f"update {name} {after} {old or ZERO}"

    def enable_pull_request_auto_merge(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        found = repository, pull = self._writable(input["pullRequestId"], "contents")
        method: Method = input["mergeMethod"].lower()
        texts = (input.get("commitHeadline"), input.get("commitBody"))
        with repository.changing():
            if input.get("expectedHeadOid") not in {None, pull.head_sha}:
                raise RefusalError("Head sha didn't match expected head sha.")
            repository.enable_auto_merge(pull, method, self.session.user, texts)
        return self._payload(input, found)

    def disable_pull_request_auto_merge(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        found = repository, pull = self._writable(input["pullRequestId"], "contents")
        with repository.changing():
            if not pull.auto_merge:
                words = "Can't disable auto-merge for this pull request."
                raise RefusalError(words)
            pull.auto_merge = ""
        return self._payload(input, found)

    def convert_pull_request_to_draft(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        return self._drafted(input, draft=True)

    def mark_pull_request_ready_for_review(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        return self._drafted(input, draft=False)

    def _drafted(self, given: Mapping[str, Any], *, draft: bool) -> dict[str, Any]:
        found = repository, pull = self._writable(given["pullRequestId"])
        with repository.changing():
            pull.draft = draft
        return self._payload(given, found)

    def close_pull_request(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        found = repository, pull = self._writable(input["pullRequestId"])
        with repository.changing():
            repository.close(pull)
        return self._payload(input, found)

    def reopen_pull_request(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        found = repository, pull = self._writable(input["pullRequestId"])
        with repository.changing():
            repository.reopen(pull)
        return self._payload(input, found)

    def update_pull_request(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        found = repository, pull = self._writable(input["pullRequestId"])
        changes = {name: input.get(name) for name in ("title", "body")}
        changes["base"] = input.get("baseRefName")
        changes["state"] = (input.get("state") or "").lower()
        with repository.changing():
            repository.edit_pull(pull, changes)
        return self._payload(input, found)

    def add_comment(self, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        found = repository, pull = self._pull(input["subjectId"])
        self.session.need(repository, "write", "issues", "pull_requests")
        with repository.changing():
            comment = repository.comment(pull, input["body"], self.session.user)
        edge = {"node": CommentNode(self.session, repository, pull, comment)}
        return {**_echo(input), "comment_edge": edge, "subject": self._node(found)}


def _echo(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"client_mutation_id": given.get("clientMutationId")}


def _unknown_node(node: str) -> RefusalError:
    return RefusalError(f"Could not resolve to a node with the global id of '{node}'", "NOT_FOUND")


def _stale(head: str, expected: str) -> RefusalError:
    del head
    words = f'Expected branch to point to "{expected}" but it did not. Pull and try again.'
    return RefusalError(words, "STALE_DATA")


def _not_updated() -> RefusalError:
    # GitHub publishes no words for this; what is real is that nothing was changed.
    return RefusalError("Reference update failed")


class Node:
    """What stands for something of a repository. `kind` is its type in the schema."""

    kind = ""

    def __init__(self, session: Session, repository: Repository) -> None:
        self.session, self.held = session, repository

    def repository(self) -> RepositoryNode:
        return RepositoryNode(self.session, self.held)

    @property
    def html(self) -> str:
        return f"{self.session.url}/{self.held.full_name}"


class UserNode:
    """A person or a bot. A bot's name has no `[bot]` but where it is the viewer, as on GitHub."""

    def __init__(self, session: Session, user: User, *, viewer: bool = False) -> None:
        self.kind = "Bot" if user.bot and not viewer else "User"
        self.login = user.login if viewer else user.login.removesuffix("[bot]")
        self.id, self.database_id = f"U_{user.id}", user.id
        self.name, self.email = user.name, ""
        self.resource_path = f"/{user.login}"
        self.url = f"{session.url}/{user.login}"
        self._avatar = f"{session.url}/avatars/u/{user.id}"

    def avatar_url(self, size: int | None = None) -> str:
        return f"{self._avatar}?s={size}" if size else self._avatar


@final
class RepositoryNode(Node):
    """A repository."""

    kind = "Repository"

    def __init__(self, session: Session, repository: Repository) -> None:
        super().__init__(session, repository)
        self.id = node_id("R", repository.full_name)
        self.database_id, self.name = repository.id, repository.name
        self.name_with_owner, self.url = repository.full_name, self.html
        self.is_archived, self.is_private = repository.archived, repository.private
        self.auto_merge_allowed = repository.allow_auto_merge
        self.squash_merge_allowed = repository.allow["squash"]
        self.merge_commit_allowed = repository.allow["merge"]
        self.rebase_merge_allowed = repository.allow["rebase"]
        self.delete_branch_on_merge = repository.delete_branch_on_merge
        self.viewer_default_merge_method = "MERGE"
        self.viewer_permission = session.permission(repository)

    def owner(self) -> UserNode:
        return UserNode(self.session, self.session.state.user(self.held.owner))

    def default_branch_ref(self) -> RefNode | None:
        return self.ref(f"refs/heads/{self.held.default_branch}")

    def ref(self, qualified_name: str) -> RefNode | None:
        self.session.need(self.held, "read", "contents")
        names = [qualified_name]
        if not qualified_name.startswith("refs/"):
            names = [f"refs/heads/{qualified_name}", f"refs/tags/{qualified_name}"]
        found = [name for name in names if self.held.objects.ref(name)]
        return RefNode(self.session, self.held, found[0]) if found else None

    def refs(self, ref_prefix: str, **page: Json) -> dict[str, Any]:
        self.session.need(self.held, "read", "contents")

        def make(ref: str) -> RefNode:
            return RefNode(self.session, self.held, ref)

        return _connection("refs", self.held.objects.refs(ref_prefix), make, **page)

    def object(self, expression: str | None = None, oid: str | None = None) -> ObjectNode | None:
        self.session.need(self.held, "read", "contents")
        name = oid if oid is not None else expression or ""
        if oid is not None and not _OID.fullmatch(oid):
            return None
        found = self.held.objects.find(name)
        return _object(self.session, self.held, found[0]) if found else None

    def pull_request(self, number: int) -> PullRequestNode:
        self.session.need(self.held, "read", "pull_requests")
        try:
            return PullRequestNode(self.session, self.held, self.held.pull(number))
        except RefusalError:
            words = f"Could not resolve to a PullRequest with the number of {number}."
            raise RefusalError(words, "NOT_FOUND") from None

    def pull_requests(
        self,
        head_ref_name: str | None = None,
        base_ref_name: str | None = None,
        states: Sequence[str] | None = None,
        order_by: Mapping[str, str] | None = None,
        *,
        forks: bool = True,
        **page: Json,
    ) -> dict[str, Any]:
        self.session.need(self.held, "read", "pull_requests")
        found = [
            pull
            for pull in self.held.pulls
            if (forks or not pull.fork)
            and head_ref_name in {None, pull.head}
            and base_ref_name in {None, pull.base}
            and (states is None or _state(pull) in states)
        ]
        order = order_by or {"field": "CREATED_AT", "direction": "ASC"}
        key = {"CREATED_AT": "created", "UPDATED_AT": "updated"}.get(order["field"], "number")
        falls = order["direction"] == "DESC"
        found.sort(key=lambda pull: (getattr(pull, key), pull.number), reverse=falls)

        def make(pull: PullRequest) -> PullRequestNode:
            return PullRequestNode(self.session, self.held, pull)

        return _connection("pullRequests", found, make, **page)


def _object(session: Session, repository: Repository, oid: str) -> ObjectNode:
    found = repository.objects.find(oid)
    assert found, oid
    kinds = {"commit": CommitNode, "tree": TreeNode, "blob": BlobNode, "tag": TagNode}
    return kinds[found[1]](session, repository, oid)


@final
class RefNode(Node):
    """A branch or tag."""

    kind = "Ref"

    def __init__(self, session: Session, repository: Repository, ref: str) -> None:
        super().__init__(session, repository)
        self.id = node_id("REF", repository.full_name, ref)
        _, kind, self.name = ref.split("/", 2)
        self.prefix, self._ref = f"refs/{kind}/", ref

    def target(self) -> ObjectNode | None:
        oid = self.held.objects.ref(self._ref)
        return _object(self.session, self.held, oid) if oid else None

    def compare(self, head_ref: str) -> ComparisonNode | None:
        objects = self.held.objects
        commits = objects.ref(self._ref), objects.commit_id(head_ref)
        if not all(commits) or not objects.compare(*commits).merge_base:
            return None
        return ComparisonNode(self.session, self.held, *commits)

    def associated_pull_requests(
        self, head_ref_name: str | None = None, **arguments: Json
    ) -> dict[str, Any]:
        name = self.name if head_ref_name in {None, self.name} else ""
        return self.repository().pull_requests(head_ref_name=name, forks=False, **arguments)


@final
class ComparisonNode(Node):
    """Two commits, compared."""

    kind = "Comparison"

    def __init__(self, session: Session, repository: Repository, base: str, head: str) -> None:
        super().__init__(session, repository)
        self.id = node_id("CMP", repository.full_name, base, head)
        self._pair, found = (base, head), repository.objects.compare(base, head)
        self._ahead, self.ahead_by, self.behind_by = found.ahead, len(found.ahead), found.behind
        self.status = found.status.upper()

    def base_target(self) -> ObjectNode:
        return _object(self.session, self.held, self._pair[0])

    def head_target(self) -> ObjectNode:
        return _object(self.session, self.held, self._pair[1])

    def commits(self, **page: Json) -> dict[str, Any]:
        return _commits(self, "commits", self._ahead, page)


def _commits(node: Node, name: str, oids: Sequence[str], page: Mapping[str, Any]) -> dict[str, Any]:
    def make(oid: str) -> CommitNode:
        return CommitNode(node.session, node.held, oid)

    return _connection(name, oids, make, **page)


class ObjectNode(Node):
    """A git object."""

    def __init__(self, session: Session, repository: Repository, oid: str) -> None:
        super().__init__(session, repository)
        self.id = node_id(self.kind[0], repository.full_name, oid)
        self.oid, self.abbreviated_oid = oid, oid[:7]


@final
class CommitNode(ObjectNode):
    """A commit."""

    kind = "Commit"

    def __init__(self, session: Session, repository: Repository, oid: str) -> None:
        super().__init__(session, repository, oid)
        self._commit = commit = repository.objects.commit(oid)
        self.message = commit.message
        self.message_headline, _, rest = commit.message.partition("\n")
        self.message_body = rest.strip("\n")
        self.url = f"{self.html}/commit/{oid}"
        self.committed_date = _time(commit.committer.when)
        self.authored_date = _time(commit.author.when)

    def author(self) -> dict[str, Any]:
        return self._actor(self._commit.author)

    def committer(self) -> dict[str, Any]:
        return self._actor(self._commit.committer)

    def _actor(self, actor: Actor) -> dict[str, Any]:
        user = self.session.state.user_of_email(actor.email)
        node = UserNode(self.session, user, viewer=True) if user else None
        plain = {"name": actor.name, "email": actor.email, "date": _time(actor.when)}
        return {**plain, "user": node}

    def parents(self, **page: Json) -> dict[str, Any]:
        return _commits(self, "parents", self._commit.parents, page)

    def history(self, path: str | None = None, **page: Json) -> dict[str, Any]:
        return _commits(self, "history", self.held.objects.history(self.oid, path or ""), page)

    def signature(self) -> SignatureNode | None:
        return SignatureNode() if self.oid in self.held.signed else None

    def tree(self) -> TreeNode:
        return TreeNode(self.session, self.held, self._commit.tree)

    def file(self, path: str) -> EntryNode | None:
        # Part by part: git's own way to name a file knows no line breaks in it.
        *folders, name = path.split("/")
        tree = self._commit.tree
        for folder in folders:
            entry = self._entry(tree, folder)
            if not entry or entry.type != "tree":
                return None
            tree = entry.oid
        entry = self._entry(tree, name)
        return EntryNode(self.session, self.held, entry, "/".join(folders)) if entry else None

    def _entry(self, tree: str, name: str) -> Entry | None:
        entries = self.held.objects.tree(tree)
        return next((entry for entry in entries if entry.path == name), None)


@final
class SignatureNode:
    """GitHub's own signature."""

    kind = "GpgSignature"
    is_valid = True
    was_signed_by_git_hub = True
    email = "noreply@github.com"


@final
class TreeNode(ObjectNode):
    """A folder."""

    kind = "Tree"

    def entries(self) -> list[EntryNode]:
        # GitHub tells the path from the root; a tree alone knows none, so it is the name.
        entries = self.held.objects.tree(self.oid)
        return [EntryNode(self.session, self.held, entry, "") for entry in entries]


@final
class EntryNode(Node):
    """A line of a folder."""

    kind = "TreeEntry"

    def __init__(self, session: Session, held: Repository, entry: Entry, parent: str) -> None:
        super().__init__(session, held)
        self.name, self.type, self.oid = entry.path, entry.type, entry.oid
        self.mode, self.size = int(entry.mode, 8), entry.size
        self.path = f"{parent}/{entry.path}" if parent else entry.path

    def object(self) -> ObjectNode | None:
        return None if self.type == "commit" else _object(self.session, self.held, self.oid)


@final
class TagNode(ObjectNode):
    """An annotated tag."""

    kind = "Tag"

    def __init__(self, session: Session, repository: Repository, oid: str) -> None:
        super().__init__(session, repository, oid)
        found = repository.objects.find(oid)
        assert found
        head = found[2].decode(errors="replace").partition("\n\n")[0]
        self._lines = dict(line.split(" ", 1) for line in head.split("\n"))
        self.name = self._lines["tag"]

    def target(self) -> ObjectNode:
        return _object(self.session, self.held, self._lines["object"])


@final
class BlobNode(ObjectNode):
    """A file's content. Its text is cut where it is long, and none where it is binary."""

    kind = "Blob"

    def __init__(self, session: Session, repository: Repository, oid: str) -> None:
        super().__init__(session, repository, oid)
        found = repository.objects.find(oid)
        assert found
        content = found[2]
        self.byte_size, self.is_binary = len(content), b"\0" in content[:8000]
        self.is_truncated = len(content) > _TEXT_LIMIT
        cut = content[:_TEXT_LIMIT].decode(errors="replace")
        self.text = None if self.is_binary else cut


def _state(pull: PullRequest) -> str:
    return "MERGED" if pull.merged else pull.state.upper()


@final
class PullRequestNode(Node):
    """A pull request."""

    kind = "PullRequest"

    def __init__(self, session: Session, repository: Repository, pull: PullRequest) -> None:
        super().__init__(session, repository)
        session.need(repository, "read", "pull_requests")
        self._pull = pull
        self.id = node_id("PR", repository.full_name, pull.number)
        self.database_id = repository.id % 1_000_000 * 1000 + pull.number
        self.number, self.title, self.body = pull.number, pull.title, pull.body
        self.url = f"{self.html}/pull/{pull.number}"
        self.state, self.is_draft = _state(pull), pull.draft
        self.merged, self.closed = pull.merged, pull.state == "closed"
        self._known = repository.knows_mergeable and not self.closed
        self.is_cross_repository, self.maintainer_can_modify = bool(pull.fork), False
        self.head_ref_name, self.head_ref_oid = pull.head, pull.head_sha
        self.base_ref_name, self.base_ref_oid = pull.base, pull.base_sha
        self.created_at, self.updated_at = _time(pull.created), _time(pull.updated)

    def author(self) -> UserNode:
        return self._user(self._pull.author)

    def _user(self, login: str) -> UserNode:
        return UserNode(self.session, self.session.state.user(login))

    def head_ref(self) -> RefNode | None:
        return None if self._pull.fork else self.repository().ref(f"refs/heads/{self._pull.head}")

    def base_ref(self) -> RefNode | None:
        return self.repository().ref(f"refs/heads/{self._pull.base}")

    def head_repository(self) -> RepositoryNode | None:
        return None if self._pull.fork else self.repository()

    def mergeable(self) -> str:
        if not self._known:
            return "UNKNOWN"
        return "MERGEABLE" if self.held.mergeable(self._pull) else "CONFLICTING"

    def merge_state_status(self) -> str:
        return self.held.status(self._pull).upper() if self._known else "UNKNOWN"

    def labels(self, **page: Json) -> dict[str, Any]:
        def make(name: str) -> dict[str, Any]:
            return {"id": node_id("LA", self.held.full_name, name), "name": name}

        return _connection("labels", self._pull.labels, make, **page)

    def assignees(self, **page: Json) -> dict[str, Any]:
        return _connection("assignees", self._pull.assignees, self._user, **page)

    def review_requests(self, **page: Json) -> dict[str, Any]:
        people = [self._user(login) for login in self._pull.reviewers]
        teams = [TeamNode(self.held, slug) for slug in self._pull.team_reviewers]

        def make(who: UserNode | TeamNode) -> dict[str, Any]:
            return {"id": node_id("RR", self.number, who.id), "requested_reviewer": who}

        return _connection("reviewRequests", [*people, *teams], make, **page)

    def milestone(self) -> dict[str, Any] | None:
        number = self._pull.milestone
        found = next((one for one in self.held.milestones if one.number == number), None)
        node = node_id("MI", self.held.full_name, number)
        return {"id": node, "number": number, "title": found.title} if found else None

    def auto_merge_request(self) -> dict[str, Any] | None:
        pull = self._pull
        if not pull.auto_merge:
            return None
        texts = {"commit_headline": pull.auto_merge_title, "commit_body": pull.auto_merge_message}
        who = self._user(pull.auto_merge_by)
        return {"merge_method": pull.auto_merge.upper(), "enabled_by": who, **texts}

    def comments(self, **page: Json) -> dict[str, Any]:
        def make(comment: Comment) -> CommentNode:
            return CommentNode(self.session, self.held, self._pull, comment)

        return _connection("comments", self._pull.comments, make, **page)

    def commits(self, **page: Json) -> dict[str, Any]:
        pull = self._pull
        oids = self.held.objects.compare(pull.base_sha, pull.head_sha).ahead

        def make(oid: str) -> dict[str, Any]:
            commit = CommitNode(self.session, self.held, oid)
            return {"id": node_id("PRC", oid), "commit": commit, "url": f"{self.url}/{oid}"}

        return _connection("commits", oids, make, **page)


@final
class TeamNode:
    """A team."""

    kind = "Team"

    def __init__(self, repository: Repository, slug: str) -> None:
        self.id = node_id("T", repository.owner, slug)
        self.name = self.slug = slug


@final
class CommentNode(Node):
    """A comment on a pull request."""

    kind = "IssueComment"

    def __init__(
        self, session: Session, repository: Repository, pull: PullRequest, comment: Comment
    ) -> None:
        super().__init__(session, repository)
        self.id, self.database_id = node_id("IC", comment.id), comment.id
        self.body, self.created_at = comment.body, _time(comment.created)
        self.url = f"{self.html}/pull/{pull.number}#issuecomment-{comment.id}"
        self._author = comment.author

    def author(self) -> UserNode:
        return UserNode(self.session, self.session.state.user(self._author))
