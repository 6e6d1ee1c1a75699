"""The REST API of the stand-in for GitHub, as far as it is used."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final
from urllib.parse import quote, unquote

from github_double.objects import Changed
from github_double.state import RefusalError, invalid, node_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from github_double.objects import Actor
    from github_double.state import Access, Comment, Json, PullRequest, Repository, Session

#: The links of a repository and of a user that are made of their names alone.
_REPOSITORY_LINKS = """
archive assignees blobs branches collaborators comments commits compare contents contributors
deployments downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events
issues keys labels languages merges milestones notifications pulls releases stargazers statuses
subscribers subscription tags teams trees
"""
_USER_LINKS = """
followers following gists organizations received_events repos starred subscriptions events
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with; `links` are pages, by their relation."""

    status: int
    json: Json
    links: Mapping[str, str] | None = None


@final
class Rest:
    """Answers one request."""

    def __init__(
        self, session: Session, values: Mapping[str, str], query: Mapping[str, str]
    ) -> None:
        self.session, self.values, self.query = session, values, query
        self.api = f"{session.url}/api/v3"

    @property
    def repository(self) -> Repository:
        return self.session.repository(f"{self.values['owner']}/{self.values['repo']}")

    def _open(self, access: Access, *permissions: str) -> Repository:
        repository = self.repository
        self.session.need(repository, access, *permissions)
        repository.sync()
        return repository

    def get_user(self, _: Json) -> Answer:
        user = self.session.user
        if user.bot:
            raise RefusalError("Resource not accessible by integration", "FORBIDDEN")
        more = dict.fromkeys(("bio", "blog", "company", "email", "hireable", "location"))
        counts = dict.fromkeys(("followers", "following", "public_gists", "public_repos"), 0)
        seen = {"created_at": _time(0), "updated_at": _time(0), "user_view_type": "public"}
        return Answer(200, {**self._user(user.login), **more, **counts, **seen, "name": user.name})

    def get_repository(self, _: Json) -> Answer:
        return Answer(200, self._repository(self._open("read", "metadata")))

    def get_tree(self, _: Json) -> Answer:
        repository = self._open("read", "contents")
        objects, name = repository.objects, self.values["tree_sha"]
        found = objects.find(objects.commit_id(name) or name)
        tree = objects.commit(found[0]).tree if found and found[1] == "commit" else ""
        tree = tree or (found[0] if found and found[1] == "tree" else "")
        if not tree:
            raise RefusalError("Not Found", "NOT_FOUND")
        entries = objects.tree(tree, recursive="recursive" in self.query)
        url = f"{self._url(repository)}/git"
        lines = []
        for entry in entries[: repository.tree_limit]:
            line: dict[str, Any] = {"path": entry.path, "mode": entry.mode, "type": entry.type}
            line["sha"] = entry.oid
            if entry.type != "commit":
                line["url"] = f"{url}/{entry.type}s/{entry.oid}"
            if entry.type == "blob":
                line["size"] = entry.size
            lines.append(line)
        cut = len(entries) > repository.tree_limit
        answer = {"sha": tree, "url": f"{url}/trees/{tree}", "tree": lines, "truncated": cut}
        return Answer(200, answer)

    def get_blob(self, _: Json) -> Answer:
        repository = self._open("read", "contents")
        oid = self.values["file_sha"]
        found = repository.objects.find(oid) if re.fullmatch(r"[0-9a-f]{40}", oid) else None
        if not found or found[1] != "blob":
            raise RefusalError("Not Found", "NOT_FOUND")
        content = base64.encodebytes(found[2]).decode()
        answer = {
            "sha": oid,
            "node_id": node_id("B", repository.full_name, oid),
            "size": len(found[2]),
        }
        url = f"{self._url(repository)}/git/blobs/{oid}"
        return Answer(200, {**answer, "url": url, "content": content, "encoding": "base64"})

    def compare(self, _: Json) -> Answer:
        repository = self._open("read", "contents")
        objects = repository.objects
        names = self.values["basehead"].split("...")
        owner = f"{repository.owner.lower()}:"
        short = [name[len(owner) :] if name.lower().startswith(owner) else name for name in names]
        commits = [objects.commit_id(name) for name in short]
        if len(commits) != 2 or not all(commits):
            raise RefusalError("Not Found", "NOT_FOUND")
        base, head = commits
        found = objects.compare(base, head)
        if not found.merge_base:
            words = "No common ancestor between {} and {}."
            raise RefusalError(words.format(*names), "NOT_FOUND")
        ahead, links = self._page(found.ahead, 250)
        if not {"page", "per_page"} & self.query.keys():
            # Without paging, the last one is the newest of all.
            ahead = found.ahead[-250:]
        html = f"{self.session.url}/{repository.full_name}/compare/{'...'.join(names)}"
        answer = {
            "url": f"{self._url(repository)}/compare/{'...'.join(names)}",
            "html_url": html,
            "permalink_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "base_commit": self._commit(repository, base),
            "merge_base_commit": self._commit(repository, found.merge_base),
            "status": found.status,
            "ahead_by": len(found.ahead),
            "behind_by": found.behind,
            "total_commits": len(found.ahead),
            "commits": [self._commit(repository, commit) for commit in ahead],
        }
        if self.query.get("page", "1") == "1":
            answer["files"] = self._compared(repository, found.merge_base, head)
        return Answer(200, answer, links)

    def _compared(self, repository: Repository, base: str, head: str) -> list[dict[str, Any]]:
        """The files that a comparison names: no more than 300."""
        url, html = self._url(repository), f"{self.session.url}/{repository.full_name}"
        found = []
        for change in repository.objects.files_changed(base, head)[:300]:
            path = quote(change.path)
            one = {
                "sha": change.oid,
                "filename": change.path,
                "status": change.status,
                "additions": 0,
                "deletions": 0,
                "changes": 0,
                "blob_url": f"{html}/blob/{head}/{path}",
                "raw_url": f"{html}/raw/{head}/{path}",
                "contents_url": f"{url}/contents/{path}?ref={head}",
            }
            found.append({**one, "previous_filename": change.before} if change.before else one)
        return found

    def get_commit(self, _: Json) -> Answer:
        repository = self._open("read", "contents")
        name = self.values["ref"]
        oid = repository.objects.commit_id(name)
        if not oid:
            raise RefusalError(f"No commit found for SHA: {name}")
        return Answer(200, self._commit(repository, oid))

    def get_ref(self, _: Json) -> Answer:
        repository = self._open("read", "contents")
        return self._ref_answer(200, repository, f"refs/{self.values['ref']}")

    def create_ref(self, body: Json) -> Answer:
        repository = self._open("write", "contents")
        ref, oid = _given(body, "ref"), _given(body, "sha")
        if not re.fullmatch(r"refs/[^/]+/.+", ref):
            raise RefusalError("Reference name is not valid")
        self._new(repository, ref, oid)
        with repository.changing():
            if not repository.objects.update_refs([f"create {ref} {oid}"]):
                raise RefusalError("Reference already exists")
        return self._ref_answer(201, repository, ref)

    def update_ref(self, body: Json) -> Answer:
        repository = self._open("write", "contents")
        objects, oid = repository.objects, _given(body, "sha")
        ref = f"refs/{self.values['ref']}"
        old = objects.ref(ref)
        if not old:
            raise RefusalError("Reference does not exist")
        self._new(repository, ref, oid)
        if not body.get("force", False) and objects.compare(old, oid).behind:
            raise RefusalError("Update is not a fast forward")
        with repository.changing():
            if not objects.update_refs([f"update {ref} {oid} {old}"]):
                raise RefusalError("Reference update failed")
        return self._ref_answer(200, repository, ref)

    def _new(self, repository: Repository, ref: str, oid: str) -> None:
        found = repository.objects.find(oid) if re.fullmatch(r"[0-9a-f]{40}", oid) else None
        if not found or found[1] != "commit":
            raise RefusalError("Object does not exist")
        repository.check_protection(ref.removeprefix("refs/heads/"), self.session.user)

    def delete_ref(self, _: Json) -> Answer:
        repository = self._open("write", "contents")
        ref = f"refs/{self.values['ref']}"
        repository.check_protection(ref.removeprefix("refs/heads/"), self.session.user)
        old = repository.objects.ref(ref)
        with repository.changing():
            if not old or not repository.objects.update_refs([f"delete {ref} {old}"]):
                raise RefusalError("Reference does not exist")
        return Answer(204, None)

    def list_pulls(self, _: Json) -> Answer:
        repository = self._open("read", "pull_requests")
        state = self.query.get("state", "open")
        owner, _, head = self.query.get("head", "").partition(":")
        base = self.query.get("base")
        found = [
            pull
            for pull in repository.pulls
            if state in {pull.state, "all"}
            and (
                not head
                or (owner.lower(), head) == ((pull.fork or repository.owner).lower(), pull.head)
            )
            and base in {None, pull.base}
        ]
        key = "updated" if self.query.get("sort") == "updated" else "created"
        falls = self.query.get("direction", "asc" if "sort" in self.query else "desc") == "desc"
        found.sort(key=lambda pull: (getattr(pull, key), pull.number), reverse=falls)
        page, links = self._page(found, 30)
        return Answer(200, [self._pull(repository, pull) for pull in page], links)

    def create_pull(self, body: Json) -> Answer:
        repository = self.repository
        owner, colon, head = _given(body, "head").rpartition(":")
        if colon and owner.lower() != repository.owner.lower():
            raise invalid("PullRequest", "head")
        texts = (body.get("title") or "", body.get("body") or "")
        branches = (head, _given(body, "base"))
        draft = bool(body.get("draft"))
        pull = self.session.create_pull(repository, texts, branches, draft=draft)
        return Answer(201, self._whole_pull(repository, pull))

    def get_pull(self, _: Json) -> Answer:
        repository = self._open("read", "pull_requests")
        return Answer(200, self._whole_pull(repository, self._asked(repository)))

    def edit_pull(self, body: Json) -> Answer:
        repository = self._open("write", "pull_requests")
        pull = self._asked(repository)
        with repository.changing():
            repository.edit_pull(pull, body)
        return Answer(200, self._whole_pull(repository, pull))

    def request_reviewers(self, body: Json) -> Answer:
        repository = self._open("write", "pull_requests")
        pull = self._asked(repository)
        with repository.changing():
            people, teams = body.get("reviewers") or [], body.get("team_reviewers") or []
            repository.request_reviews(pull, people, teams)
        return Answer(201, self._pull(repository, pull))

    def get_issue(self, _: Json) -> Answer:
        repository = self._open("read", "issues", "pull_requests")
        return Answer(200, self._issue(repository, self._asked(repository)))

    def edit_issue(self, body: Json) -> Answer:
        repository = self._open("write", "issues", "pull_requests")
        pull = self._asked(repository)
        with repository.changing():
            if "milestone" in body:
                # GitHub takes an empty string too, which is how PyGithub says none.
                repository.set_milestone(pull, body["milestone"] or None)
            if "labels" in body:
                pull.labels.clear()
                repository.add_labels(pull, _names(body["labels"]))
            if "assignees" in body:
                pull.assignees.clear()
                repository.add_assignees(pull, body["assignees"])
            repository.edit_pull(pull, body)
        return Answer(200, self._issue(repository, pull))

    def get_milestone(self, _: Json) -> Answer:
        repository = self._open("read", "issues", "pull_requests")
        number = self.values["milestone_number"]
        found = self._milestone(repository, int(number) if number.isdigit() else 0)
        if not found:
            raise RefusalError("Not Found", "NOT_FOUND")
        return Answer(200, found)

    def add_labels(self, body: Json) -> Answer:
        repository = self._open("write", "issues", "pull_requests")
        pull = self._asked(repository)
        names = body.get("labels", []) if isinstance(body, dict) else body
        with repository.changing():
            repository.add_labels(pull, _names(names))
        return Answer(200, [self._label(repository, name) for name in pull.labels])

    def list_labels(self, _: Json) -> Answer:
        repository = self._open("read", "issues", "pull_requests")
        page, links = self._page(self._asked(repository).labels, 30)
        return Answer(200, [self._label(repository, name) for name in page], links)

    def add_assignees(self, body: Json) -> Answer:
        repository = self._open("write", "issues", "pull_requests")
        pull = self._asked(repository)
        with repository.changing():
            repository.add_assignees(pull, body.get("assignees") or [])
        return Answer(201, self._issue(repository, pull))

    def add_comment(self, body: Json) -> Answer:
        repository = self._open("write", "issues", "pull_requests")
        pull = self._asked(repository)
        with repository.changing():
            comment = repository.comment(pull, _given(body, "body"), self.session.user)
        return Answer(201, self._comment(repository, pull, comment))

    def list_comments(self, _: Json) -> Answer:
        repository = self._open("read", "issues", "pull_requests")
        pull = self._asked(repository)
        page, links = self._page(pull.comments, 30)
        return Answer(200, [self._comment(repository, pull, one) for one in page], links)

    def _asked(self, repository: Repository) -> PullRequest:
        number = self.values.get("pull_number") or self.values["issue_number"]
        return repository.pull(int(number) if number.isdigit() else 0)

    def _page(self, items: Sequence[Any], usual: int) -> tuple[Sequence[Any], dict[str, str]]:
        size = min(int(self.query.get("per_page", usual)), max(100, usual)) or usual
        page = max(int(self.query.get("page", 1)), 1)
        last = max(-(-len(items) // size), 1)
        numbers = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        wanted = {"prev", "first"} if page > 1 else set()
        wanted |= {"next", "last"} if page < last else set()
        links = {name: str(number) for name, number in numbers.items() if name in wanted}
        return items[(page - 1) * size : page * size], links

    def _url(self, repository: Repository) -> str:
        return f"{self.api}/repos/{repository.full_name}"

    def _user(self, login: str) -> dict[str, Any]:
        user, url = self.session.state.user(login), f"{self.api}/users/{login}"
        return {
            "login": login,
            "id": user.id,
            "node_id": f"U_{user.id}",
            "avatar_url": f"{self.session.url}/avatars/u/{user.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.session.url}/{login}",
            **{f"{name}_url": f"{url}/{name}" for name in _USER_LINKS.split()},
            "type": "Bot" if user.bot else "User",
            "site_admin": False,
        }

    def _repository(self, repository: Repository) -> dict[str, Any]:
        url, html = self._url(repository), f"{self.session.url}/{repository.full_name}"
        counts = (
            "forks_count stargazers_count watchers_count size open_issues_count subscribers_count"
            " network_count forks open_issues watchers"
        )
        has = ("issues", "projects", "wiki", "pages", "discussions", "downloads")
        rights = {
            "admin": False,
            "pull": self.session.may(repository, "contents", "read"),
            "push": self.session.may(repository, "contents", "write"),
        }
        return {
            "id": repository.id,
            "node_id": node_id("R", repository.full_name),
            "name": repository.name,
            "full_name": repository.full_name,
            "owner": self._user(repository.owner),
            "private": repository.private,
            "visibility": "private" if repository.private else "public",
            "html_url": html,
            "url": url,
            "description": None,
            "homepage": None,
            "language": None,
            "license": None,
            "mirror_url": None,
            "fork": False,
            "archived": repository.archived,
            "disabled": False,
            **{f"{name}_url": f"{url}/{name}" for name in _REPOSITORY_LINKS.split()},
            "git_url": f"{html}.git",
            "ssh_url": f"{html}.git",
            "clone_url": f"{html}.git",
            "svn_url": html,
            **dict.fromkeys(counts.split(), 0),
            **{f"has_{name}": name == "issues" for name in has},
            "default_branch": repository.default_branch,
            "pushed_at": _time(0),
            "created_at": _time(0),
            "updated_at": _time(0),
            "permissions": rights,
            "allow_auto_merge": repository.allow_auto_merge,
            "allow_merge_commit": repository.allow["merge"],
            "allow_squash_merge": repository.allow["squash"],
            "allow_rebase_merge": repository.allow["rebase"],
            "delete_branch_on_merge": repository.delete_branch_on_merge,
        }

    def _commit(self, repository: Repository, oid: str) -> dict[str, Any]:
        commit = repository.objects.commit(oid)
        url = f"{self._url(repository)}/commits/{oid}"
        signed = oid in repository.signed
        tree = f"{self._url(repository)}/git/trees/{commit.tree}"
        parents = [{"sha": one, "url": url.replace(oid, one)} for one in commit.parents]
        return {
            "sha": oid,
            "node_id": node_id("C", repository.full_name, oid),
            "url": url,
            "html_url": f"{self.session.url}/{repository.full_name}/commit/{oid}",
            "comments_url": f"{url}/comments",
            "commit": {
                "url": url.replace("/commits/", "/git/commits/"),
                "author": _actor(commit.author),
                "committer": _actor(commit.committer),
                "message": commit.message,
                "comment_count": 0,
                "tree": {"sha": commit.tree, "url": tree},
                "verification": {
                    "verified": signed,
                    "reason": "valid" if signed else "unsigned",
                    "signature": "-----BEGIN PGP SIGNATURE-----" if signed else None,
                    "payload": "" if signed else None,
                    "verified_at": _time(commit.committer.when) if signed else None,
                },
            },
            "author": self._known(commit.author),
            "committer": self._known(commit.committer),
            "parents": parents,
        }

    def _known(self, actor: Actor) -> dict[str, Any] | None:
        user = self.session.state.user_of_email(actor.email)
        return self._user(user.login) if user else None

    def _ref_answer(self, status: int, repository: Repository, ref: str) -> Answer:
        oid = repository.objects.ref(ref)
        if not oid:
            raise RefusalError("Not Found", "NOT_FOUND")
        url = f"{self._url(repository)}/git"
        held = {"type": "commit", "sha": oid, "url": f"{url}/commits/{oid}"}
        answer = {
            "ref": ref,
            "node_id": node_id("REF", repository.full_name, ref),
            "url": f"{url}/{ref}",
            "object": held,
        }
        return Answer(status, answer)

    def _label(self, repository: Repository, name: str) -> dict[str, Any]:
        number = repository.labels.index(name) + 1
        url = f"{self._url(repository)}/labels/{name}"
        plain = {"description": "", "color": "ededed", "default": False}
        return {
            "id": number,
            "node_id": node_id("LA", repository.full_name, name),
            "url": url,
            "name": name,
            **plain,
        }

    def _milestone(self, repository: Repository, number: int | None) -> dict[str, Any] | None:
        found = [stone for stone in repository.milestones if stone.number == number]
        if not found:
            return None
        url = f"{self._url(repository)}/milestones/{number}"
        return {
            "url": url,
            "html_url": f"{self.session.url}/{repository.full_name}/milestone/{number}",
            "labels_url": f"{url}/labels",
            "id": repository.id + found[0].number,
            "node_id": node_id("MI", repository.full_name, number),
            "number": number,
            "state": "open",
            "title": found[0].title,
            **dict.fromkeys(("description", "due_on", "closed_at")),
            "creator": self._user(repository.owner),
            "open_issues": 0,
            "closed_issues": 0,
            "created_at": _time(0),
            "updated_at": _time(0),
        }

    def _team(self, repository: Repository, slug: str) -> dict[str, Any]:
        url = f"{self.api}/teams/{slug}"
        return {
            "id": repository.id,
            "node_id": node_id("T", repository.owner, slug),
            "url": url,
            "html_url": f"{self.session.url}/orgs/{repository.owner}/teams/{slug}",
            "members_url": f"{url}/members{{/member}}",
            "repositories_url": f"{url}/repos",
            "name": slug,
            "slug": slug,
            "description": None,
            "permission": "push",
            "parent": None,
            "type": "organization",
        }

    def _shared(self, repository: Repository, pull: PullRequest) -> dict[str, Any]:
        people = [self._user(login) for login in pull.assignees]
        return {
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "body": pull.body or None,
            "user": self._user(pull.author),
            "labels": [self._label(repository, name) for name in pull.labels],
            "milestone": self._milestone(repository, pull.milestone),
            "assignees": people,
            "assignee": people[0] if people else None,
            "author_association": "COLLABORATOR",
            "draft": pull.draft,
            "created_at": _time(pull.created),
            "updated_at": _time(pull.updated),
            "closed_at": None if pull.closed is None else _time(pull.closed),
        }

    def _issue(self, repository: Repository, pull: PullRequest) -> dict[str, Any]:
        url = f"{self._url(repository)}/issues/{pull.number}"
        return {
            **self._shared(repository, pull),
            "id": repository.id + pull.number,
            "node_id": node_id("PR", repository.full_name, pull.number),
            "url": url,
            "repository_url": self._url(repository),
            "html_url": f"{self.session.url}/{repository.full_name}/pull/{pull.number}",
            **{f"{name}_url": f"{url}/{name}" for name in ("labels", "comments", "events")},
            "comments": len(pull.comments),
        }

    def _pull(self, repository: Repository, pull: PullRequest) -> dict[str, Any]:
        url = f"{self._url(repository)}/pulls/{pull.number}"
        issue = f"{self._url(repository)}/issues/{pull.number}"
        html = f"{self.session.url}/{repository.full_name}/pull/{pull.number}"
        links = {
            "self": url,
            "html": html,
            "issue": issue,
            "comments": f"{issue}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": f"{self._url(repository)}/pulls/comments{{/number}}",
            "commits": f"{url}/commits",
            "statuses": f"{self._url(repository)}/statuses/{pull.head_sha}",
        }
        urls = {name: link for name, link in links.items() if name not in {"self", "html"}}
        auto = None
        if pull.auto_merge:
            auto = {
                "enabled_by": self._user(pull.auto_merge_by),
                "merge_method": pull.auto_merge,
                "commit_title": pull.auto_merge_title or "",
                "commit_message": pull.auto_merge_message or "",
            }
        return {
            **self._shared(repository, pull),
            "id": repository.id + pull.number,
            "node_id": node_id("PR", repository.full_name, pull.number),
            "url": url,
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            **{f"{name}_url": link for name, link in urls.items()},
            "merged_at": _time(pull.closed) if pull.merged and pull.closed else None,
            "merge_commit_sha": pull.merge_sha or None,
            "requested_reviewers": [self._user(login) for login in pull.reviewers],
            "requested_teams": [self._team(repository, slug) for slug in pull.team_reviewers],
            "head": self._side(repository, pull.head, pull.head_sha, pull.fork),
            "base": self._side(repository, pull.base, pull.base_sha),
            "_links": {name: {"href": link} for name, link in links.items()},
            "auto_merge": auto,
        }

    def _side(
        self, repository: Repository, branch: str, sha: str, fork: str = ""
    ) -> dict[str, Any]:
        who, whole = self._user(fork or repository.owner), self._repository(repository)
        label = f"{fork or repository.owner}:{branch}"
        return {"label": label, "ref": branch, "sha": sha, "user": who, "repo": whole}

    def _whole_pull(self, repository: Repository, pull: PullRequest) -> dict[str, Any]:
        objects = repository.objects
        found = objects.compare(pull.base_sha, pull.head_sha)
        changed = Changed(0, 0, 0)
        if found.merge_base:
            changed = objects.changed(found.merge_base, pull.head_sha)
        known = pull.state == "open" and repository.knows_mergeable
        return {
            **self._pull(repository, pull),
            "merged": pull.merged,
            "mergeable": repository.mergeable(pull) if known else None,
            "mergeable_state": repository.status(pull) if known else "unknown",
            "rebaseable": None,
            "merged_by": self._user(pull.merged_by) if pull.merged_by else None,
            "comments": len(pull.comments),
            "review_comments": 0,
            "maintainer_can_modify": False,
            "commits": len(found.ahead),
            "additions": changed.additions,
            "deletions": changed.deletions,
            "changed_files": changed.files,
        }

    def _comment(self, repository: Repository, pull: PullRequest, one: Comment) -> dict[str, Any]:
        html = f"{self.session.url}/{repository.full_name}/pull/{pull.number}"
        return {
            "id": one.id,
            "node_id": node_id("IC", one.id),
            "url": f"{self._url(repository)}/issues/comments/{one.id}",
            "html_url": f"{html}#issuecomment-{one.id}",
            "issue_url": f"{self._url(repository)}/issues/{pull.number}",
            "user": self._user(one.author),
            "body": one.body,
            "author_association": "COLLABORATOR",
            "created_at": _time(one.created),
            "updated_at": _time(one.created),
        }


def _given(body: Json, name: str) -> str:
    """A field that has to be there."""
    if not isinstance(body, dict) or not isinstance(body.get(name), str):
        raise RefusalError(f'Invalid request.\n\n"{name}" wasn\'t supplied.')
    return str(body[name])


def _names(labels: Sequence[Any]) -> list[str]:
    return [one["name"] if isinstance(one, dict) else one for one in labels]


def _actor(actor: Actor) -> dict[str, str]:
    return {"name": actor.name, "email": actor.email, "date": _time(actor.when)}


def _time(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


_REPO = "/repos/{owner}/{repo}"
_ISSUE = f"{_REPO}/issues/{{issue_number}}"
#: The operations, by the path as GitHub's description spells it.
OPERATIONS: dict[tuple[str, str], Callable[[Rest, Any], Answer]] = {
    ("GET", "/user"): Rest.get_user,
    ("GET", _REPO): Rest.get_repository,
    ("GET", f"{_REPO}/git/trees/{{tree_sha}}"): Rest.get_tree,
    ("GET", f"{_REPO}/git/blobs/{{file_sha}}"): Rest.get_blob,
    ("GET", f"{_REPO}/git/ref/{{ref}}"): Rest.get_ref,
    ("POST", f"{_REPO}/git/refs"): Rest.create_ref,
    ("PATCH", f"{_REPO}/git/refs/{{ref}}"): Rest.update_ref,
    ("DELETE", f"{_REPO}/git/refs/{{ref}}"): Rest.delete_ref,
    ("GET", f"{_REPO}/commits/{{ref}}"): Rest.get_commit,
    ("GET", f"{_REPO}/compare/{{basehead}}"): Rest.compare,
    ("GET", f"{_REPO}/pulls"): Rest.list_pulls,
    ("POST", f"{_REPO}/pulls"): Rest.create_pull,
    ("GET", f"{_REPO}/pulls/{{pull_number}}"): Rest.get_pull,
    ("PATCH", f"{_REPO}/pulls/{{pull_number}}"): Rest.edit_pull,
    ("POST", f"{_REPO}/pulls/{{pull_number}}/requested_reviewers"): Rest.request_reviewers,
    ("GET", _ISSUE): Rest.get_issue,
    ("PATCH", _ISSUE): Rest.edit_issue,
    ("GET", f"{_REPO}/milestones/{{milestone_number}}"): Rest.get_milestone,
    ("GET", f"{_ISSUE}/labels"): Rest.list_labels,
    ("POST", f"{_ISSUE}/labels"): Rest.add_labels,
    ("POST", f"{_ISSUE}/assignees"): Rest.add_assignees,
    ("GET", f"{_ISSUE}/comments"): Rest.list_comments,
    ("POST", f"{_ISSUE}/comments"): Rest.add_comment,
}


def _pattern(template: str) -> re.Pattern[str]:
    """A path's pattern. The names of refs may hold slashes, and stand last."""
    names = re.sub(r"\{(ref|basehead)\}", r"(?P<\1>.+)", template)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", names))


_PATTERNS = [(*key, _pattern(key[1])) for key in OPERATIONS]


def find_operation(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """The template of a path and the values in it; None: there is no such operation here."""
    for known, template, pattern in _PATTERNS:
        found = pattern.fullmatch(path) if known == method else None
        if found:
            return template, {name: unquote(value) for name, value in found.groupdict().items()}
    return None


def parsed(body: bytes) -> Json:
    """The JSON of a request; that of a request without any is an empty object."""
    try:
        return json.loads(body) if body else {}
    except ValueError:
        raise RefusalError("Problems parsing JSON", "BAD_REQUEST") from None
