"""GitHub for the tests and the demo: real HTTP, real git, and its rules as far as they matter."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, final
from urllib.parse import parse_qsl, unquote, urlencode

from github_double import graphql
from github_double.checks import Checks, Exchange
from github_double.rest import OPERATIONS, Answer, Rest, find_operation, parsed
from github_double.state import (
    Milestone,
    Protection,
    PullRequest,
    RefusalError,
    Repository,
    Session,
    State,
    copy_of,
)
from servers import GitHandler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from github_double.state import Access, Json, Method, Token, Web

#: An HTTP status; the connection's end, before the request is carried out or after; a limit.
Fault = int | Literal["drop", "drop-after", "secondary", "primary"]

_STATUSES = {"NOT_FOUND": 404, "FORBIDDEN": 403, "BAD_REQUEST": 400}
_DOCS = "https://docs.github.com/rest"
_LIMIT = 5000
_SERVER_ERRORS = {
    503: "No server is currently available to service your request. Sorry about that. Please try"
    " resubmitting your request and contact us if the problem persists.",
}
_SECONDARY = (
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If"
    " you reach out to GitHub Support for help, please include the request ID {id}."
)
_PRIMARY = (
    "API rate limit exceeded for user ID {user}. If you reach out to GitHub Support for help,"
    " please include the request ID {id}."
)


@dataclass(slots=True)
class Request:
    """A request that came in, without its token. `body` is JSON where it is any, else bytes.

    `login` is whose token it had; empty where it had none that is known. `status` is 0 until it
    is answered, and where the connection was dropped.
    """

    number: int
    method: str
    path: str
    body: Any
    authorized: bool
    login: str
    status: int = 0

    @property
    def query(self) -> str:
        """The GraphQL document; empty where it is no such request."""
        graphql_body = self.path == "/api/graphql" and isinstance(self.body, dict)
        return str(self.body.get("query", "")) if graphql_body else ""


@dataclass(slots=True)
class _Planned:
    which: int | Callable[[Request], bool]
    fault: Fault
    times: int
    retry_after: float | None
    answer: object

    def meets(self, request: Request) -> bool:
        if isinstance(self.which, int):
            return request.number == self.which
        return self.which(request)


@final
class GitHub:
    """A GitHub of its own on a port of this machine, while a `with` block lasts.

    Attributes:
        latency: The seconds that every request takes longer.
        lacks: The fields of GraphQL that this server is too old for, such as `Mutation.updateRefs`.
        requests: The requests, in the order of their coming.
        violations: What was not as GitHub publishes it; the block ends with an error if there is
            any.
    """

    def __init__(self, root: Path) -> None:
        self.state = State(root / "github")
        self.latency = 0.0
        self.lacks: set[str] = set()
        self.requests: list[Request] = []
        self.checks = Checks(template for _, template in OPERATIONS)
        self._planned: list[_Planned] = []
        self._used: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> GitHub:
        handler = type("Handler", (_Handler,), {"github": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for repository in self.state.repositories.values():
            repository.objects.close()
        # An error of the test's own tells more.
        if self.violations and kind is None:
            raise AssertionError("not as GitHub has published:\n" + "\n".join(self.violations))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def web(self) -> Web:
        """Who commits what GitHub itself commits; its address may be changed."""
        return self.state.web

    @property
    def environ(self) -> dict[str, str]:
        """What a job has in its environment on this GitHub."""
        return {
            "GITHUB_SERVER_URL": self.url,
            "GITHUB_API_URL": f"{self.url}/api/v3",
            "GITHUB_GRAPHQL_URL": f"{self.url}/api/graphql",
        }

    @property
    def violations(self) -> list[str]:
        return self.checks.violations

    @property
    def checked(self) -> dict[str, int]:
        """How much was checked against what GitHub publishes; empty where nothing can be.

        It goes on counting, so that a fixture can record it before its test runs.
        """
        return self.checks.counts

    @property
    def unknown(self) -> list[str]:
        """The requests for what is not here, or not seen by the token."""
        found = [request for request in self.requests if request.status == 404]
        return [f"{request.method} {request.path}" for request in found]

    def add_repository(
        self,
        full_name: str,
        files: Mapping[str, bytes] = {},
        branch: str = "main",
        *,
        private: bool = True,
    ) -> Path:
        """Make a repository with one commit of files, or none without any.

        The owner is a collaborator, and `octocat` is.

        Returns:
            The bare repository.
        """
        made = self.state.add_repository(full_name, files, branch, private=private)
        for login in (made.owner, "octocat"):
            self.add_collaborator(full_name, login)
        return made.bare

    def rename(self, old: str, new: str) -> None:
        """Rename a repository. Its old name leads to it, as on GitHub."""
        self.state.rename(old, new)

    def repository(self, full_name: str) -> Repository:
        """A repository, with the settings that its owner could change."""
        return self.state.repository(full_name)

    def add_user(self, login: str, name: str | None = None) -> None:
        """Make a user known, by a full name."""
        self.state.add_user(login, name)

    def add_token(self, login: str, permissions: Mapping[str, Mapping[str, Access]]) -> str:
        """Make a fine-grained token of a user or a bot: its permissions, by repository."""
        kind = "ghs_" if login.endswith("[bot]") else "github_pat_"
        token = kind + secrets.token_hex(18)
        self.state.add_token(token, login, permissions)
        return token

    def add_collaborator(self, full_name: str, login: str, permission: str = "push") -> None:
        """Let a user be asked for reviews of a repository, and be assigned."""
        self.state.user(login)
        self.repository(full_name).collaborators[login] = permission

    def add_team(self, full_name: str, slug: str) -> None:
        """Let a team be asked for reviews of a repository."""
        self.repository(full_name).teams.add(slug)

    def add_milestone(self, full_name: str, title: str) -> int:
        """Make a milestone and return its number."""
        milestones = self.repository(full_name).milestones
        milestones.append(Milestone(len(milestones) + 1, title))
        return len(milestones)

    def protect(
        self,
        full_name: str,
        branch: str = "main",
        *,
        checks: Sequence[str] = (),
        reviews: int = 0,
        bypass: Sequence[str] = (),
    ) -> None:
        """Protect a branch: it changes by pull requests only, once checks and reviews are there.

        Those whose logins are in `bypass` may push to it.
        """
        rule = Protection(tuple(checks), reviews, tuple(bypass))
        self.repository(full_name).protect(branch, rule)

    def pulls(self, full_name: str) -> list[PullRequest]:
        """The pull requests of a repository as they are now, the oldest first."""
        repository = self.repository(full_name)
        with repository.changing():
            return [copy_of(pull) for pull in repository.pulls]

    def pull(self, full_name: str, number: int = 1) -> PullRequest:
        """One pull request, as it is now."""
        return self.pulls(full_name)[number - 1]

    def merge(
        self, full_name: str, number: int = 1, method: Method = "merge", by: str = "octocat"
    ) -> str:
        """Merge a pull request as an owner would, whatever the rules, and return the new commit."""
        repository = self.repository(full_name)
        with repository.changing():
            return repository.merge(repository.pull(number), method, self.state.user(by))

    def open_from_fork(self, full_name: str, head: str, fork: str = "stranger") -> int:
        """Open a pull request from a branch of somebody's fork, and return its number."""
        repository = self.repository(full_name)
        with repository.changing():
            return repository.create_pull_from_fork(self.state.user(fork).login, head).number

    def close(self, full_name: str, number: int = 1) -> None:
        """Close a pull request."""
        repository = self.repository(full_name)
        with repository.changing():
            repository.close(repository.pull(number))

    def approve(self, full_name: str, number: int = 1) -> None:
        """Approve a pull request, as one more reviewer."""
        repository = self.repository(full_name)
        with repository.changing():
            repository.pull(number).approvals += 1

    def pass_checks(self, full_name: str, number: int = 1) -> None:
        """Let all checks of a pull request's head pass; auto-merge then merges."""
        repository = self.repository(full_name)
        with repository.changing():
            repository.passed.add(repository.pull(number).head_sha)

    def fail(
        self,
        which: int | Callable[[Request], bool],
        fault: Fault,
        *,
        times: int = 1,
        retry_after: float | None = None,
        answer: object = None,
    ) -> None:
        """Plan a fault.

        Args:
            which: The number of the request, from 0, or what tells whether it is one to fail.
            fault: A status; "drop" the connection before the request is carried out, or
                "drop-after"; the "secondary" or the "primary" rate limit.
            times: How many requests it meets.
            retry_after: The seconds that the answer asks to wait.
            answer: What is answered with a status: JSON, or the text of a page.
        """
        with self._lock:
            self._planned.append(_Planned(which, fault, times, retry_after, answer))

    def arrived(
        self, method: str, path: str, body: Json, token: Token | None
    ) -> tuple[Request, _Planned | None]:
        """Keep a request, and find the fault that is planned for it."""
        with self._lock:
            login = token.user.login if token else ""
            number = len(self.requests)
            request = Request(number, method, path, body, token is not None, login)
            self.requests.append(request)
            for planned in self._planned:
                if planned.times and planned.meets(request):
                    planned.times -= 1
                    return request, planned
        return request, None

    def used(self, token: Token, resource: str) -> int:
        """Count a request against a token's limit."""
        with self._lock:
            self._used[token.key, resource] += 1
            return self._used[token.key, resource]


@final
class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that have gone."""


class _Handler(GitHandler):
    github: GitHub

    def serve(self) -> None:
        body = self.read_body()
        self._token = self._authorized()
        self._id = secrets.token_hex(8).upper()
        kept = _json(body) if self.path.startswith("/api/") else body
        self._request, planned = self.github.arrived(self.command, self.path, kept, self._token)
        if self.github.latency:
            time.sleep(self.github.latency)
        fault = planned.fault if planned else None
        if fault == "drop":
            self.drop()
            return
        if planned and fault != "drop-after":
            status, headers, answer = self._fault(planned)
        else:
            status, headers, answer = self._carried_out(body)
        if fault == "drop-after":
            self.drop()
            return
        self._request.status = status
        self.answer(status, headers, answer)

    def _authorized(self) -> Token | None:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                value = base64.b64decode(value).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                value = ""
        return self.github.state.token(value.strip())

    def _carried_out(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            if self.path.startswith("/api/v3/"):
                return self._rest(body)
            if self.path == "/api/graphql":
                return self._graphql(body)
            return self._git(body)
        except Exception as error:  # noqa: BLE001  (the test must hear of it)
            self.github.checks.add(f"{self.command} {self.path}: {type(error).__name__}: {error}")
            return self._spoken(500, {"message": "Server Error"})

    def _spoken(
        self, status: int, answer: Json, more: Mapping[str, str] = {}, *, resource: str = "core"
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-GitHub-Request-Id": self._id,
            "X-GitHub-Media-Type": "github.v3; format=json",
        }
        if self._token:
            used = self.github.used(self._token, resource)
            headers |= {
                "X-RateLimit-Limit": str(_LIMIT),
                "X-RateLimit-Remaining": str(max(_LIMIT - used, 0)),
                "X-RateLimit-Used": str(used),
                "X-RateLimit-Reset": str(int(time.time()) + 3600),
                "X-RateLimit-Resource": resource,
            }
        headers |= more
        return status, headers, b"" if answer is None else json.dumps(answer).encode()

    def _fault(self, planned: _Planned) -> tuple[int, dict[str, str], bytes]:
        more: dict[str, str] = {}
        seconds = planned.retry_after
        if seconds is not None:
            more["Retry-After"] = f"{seconds:g}"
        if planned.fault == "primary":
            return self._primary(seconds or 0)
        if planned.fault == "secondary":
            about = "overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
            url = f"https://docs.github.com/free-pro-team@latest/rest/{about}"
            words = _SECONDARY.format(id=self._id)
            return self._spoken(403, {"documentation_url": url, "message": words}, more)
        assert isinstance(planned.fault, int)
        if isinstance(planned.answer, str):
            headers = {"Content-Type": "text/html; charset=utf-8", **more}
            return planned.fault, headers, planned.answer.encode()
        words = _SERVER_ERRORS.get(planned.fault, "Server Error")
        return self._spoken(planned.fault, planned.answer or {"message": words}, more)

    def _primary(self, seconds: float) -> tuple[int, dict[str, str], bytes]:
        more = {
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Used": str(_LIMIT),
            "X-RateLimit-Reset": str(int(time.time() + seconds)),
        }
        user = self._token.user.id if self._token else 0
        words = _PRIMARY.format(user=user, id=self._id)
        if self.path == "/api/graphql":
            error = {"type": "RATE_LIMITED", "message": words}
            return self._spoken(200, {"errors": [error]}, more, resource="graphql")
        about = "using-the-rest-api/rate-limits-for-the-rest-api"
        return self._spoken(403, {"message": words, "documentation_url": f"{_DOCS}/{about}"}, more)

    def _rest(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path, _, query = self.path.removeprefix("/api/v3").partition("?")
        found = find_operation(self.command, path)
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        template, values = found or ("", {})
        status, headers, answer = self._operate(template, values, pairs, body)
        if found:
            self.github.checks.rest(
                Exchange(self.command, template, values, pairs, body, status, answer)
            )
        return status, headers, answer

    def _operate(
        self, template: str, values: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if not self._token:
            words = (
                "Bad credentials" if "Authorization" in self.headers else "Requires authentication"
            )
            return self._spoken(401, _error(401, words))
        if not template:
            return self._spoken(404, _error(404, "Not Found"))
        session = Session(self.github.state, self._token, self.github.url)
        moved = self._moved(session, values)
        if moved:
            said = {"message": "Moved Permanently", "url": moved, "documentation_url": _DOCS}
            return self._spoken(301, said, {"Location": moved})
        try:
            given = parsed(body)
            done = OPERATIONS[self.command, template](Rest(session, values, query), given)
        except RefusalError as refusal:
            status = _STATUSES.get(refusal.kind, 422)
            permissions = refusal.permissions
            more = {"X-Accepted-GitHub-Permissions": permissions} if permissions else {}
            return self._spoken(status, _error(status, refusal.message, refusal.errors), more)
        return self._spoken(done.status, done.json, self._links(done, query))

    def _moved(self, session: Session, values: Mapping[str, str]) -> str:
        """Where a request for a repository that was renamed is sent."""
        asked = f"{values.get('owner')}/{values.get('repo')}"
        found = None
        with suppress(RefusalError):
            found = session.repository(asked)
        if not found or found.key == asked.lower():
            return ""
        rest = self.path.removeprefix(f"/api/v3/repos/{asked}")
        return f"{self.github.url}/api/v3/repositories/{found.id}{rest}"

    def _links(self, done: Answer, query: Mapping[str, str]) -> dict[str, str]:
        address = self.github.url + self.path.partition("?")[0]
        links = [
            f'<{address}?{urlencode({**query, "page": page})}>; rel="{name}"'
            for name, page in (done.links or {}).items()
        ]
        return {"Link": ", ".join(links)} if links else {}

    def _graphql(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not self._token:
            words = (
                "Bad credentials" if "Authorization" in self.headers else "Requires authentication"
            )
            return self._spoken(401, _error(401, words))
        given = _json(body)
        if not isinstance(given, dict) or not given.get("query"):
            words = "A query attribute must be specified and must be a string."
            return self._spoken(400, _error(400, words))
        session = Session(self.github.state, self._token, self.github.url)
        answer = graphql.answer(session, given, self.github.checks, self.github.lacks)
        return self._spoken(200, answer, resource="graphql")

    def _git(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path, mark, query = self.path.partition("?")
        parts = unquote(path).strip("/").split("/", 2)
        full_name = "/".join(parts[:2]).removesuffix(".git").lower()
        repository = self.github.state.repositories.get(full_name)
        writes = "git-receive-pack" in self.path
        plain = {"Content-Type": "text/plain; charset=utf-8"}
        if not self._token and (writes or not repository or repository.private):
            asks = {"WWW-Authenticate": 'Basic realm="GitHub"', **plain}
            return 401, asks, b"Invalid username or token.\n"
        session = Session(self.github.state, self._token, self.github.url) if self._token else None
        rights = session.token.permissions if session else {}
        hidden = repository and repository.private and repository.key not in rights
        if not repository or hidden or len(parts) < 3:
            return 404, plain, b"Repository not found.\n"
        if repository.key != full_name:
            there = f"{self.github.url}/{repository.full_name}.git/{parts[2]}{mark}{query}"
            return 301, {"Location": there}, b""
        needed: Access = "write" if writes else "read"
        if session and not session.may(repository, "contents", needed):
            return 403, plain, b"Write access to repository not granted.\n"
        login = session.user.login if session else ""
        inner = f"/{repository.bare.relative_to(self.github.state.root)}/{parts[2]}{mark}{query}"
        repository.sync()
        result = self.run_backend(self.github.state.root, inner, body, login)
        if writes:
            repository.sync()
        return result


def _json(body: bytes) -> Json:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _error(status: int, message: str, errors: Sequence[Any] = ()) -> dict[str, Any]:
    answer: dict[str, Any] = {"message": message, "documentation_url": _DOCS, "status": str(status)}
    if errors:
        answer["errors"] = list(errors)
    return answer
