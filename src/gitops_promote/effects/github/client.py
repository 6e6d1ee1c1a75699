"""GitHub's API through PyGithub: REST and GraphQL, with every failure explained.

Nothing is repeated here: who asks knows what may be asked twice.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit

from gitops_promote.core.errors import PromoteError, RetryableError, UsageError
from gitops_promote.effects.git.remote import Credentials, Remote
from gitops_promote.effects.github.errors import (
    Answer,
    Asked,
    GitHubError,
    cut,
    explain,
    moment_of,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@final
class GitHub:
    """A GitHub server's API, for one token.

    Args:
        api_url: Its URL, such as `https://api.github.com` or `https://HOST/api/v3`.
        token: The token. It goes into the `Authorization` header and nowhere else.
        own_token: Whether it is the job's own, which reaches the job's repository alone.
        timeout: The seconds that a connection, and a silence after it, may take.

    Raises:
        UsageError: The URL is none of an API, or the token can't be one.
        PromoteError: The token may not be sent to this URL.

    Attributes:
        meter: Told of what was moved, as `effects.timings.Meter` is: requests, bytes of answers,
            bytes of requests, headers not counted, and no phase.
    """

    meter: Callable[[int, int, int, str], None] | None = None

    def __init__(self, api_url: str, token: str, *, own_token: bool, timeout: float = 30) -> None:
        self.api_url = api_url.rstrip("/")
        self.own_token = own_token
        self.host = _check(self.api_url, token)
        self._token = token

        from gitops_promote.effects.github.connection import connect  # noqa: PLC0415  (slow)

        self._requester = connect(self.api_url, token, timeout)

    def __enter__(self) -> GitHub:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Another request opens them again."""
        self._requester.close()

    def graphql(
        self, document: str, variables: Mapping[str, Any], doing: str, *, needs: str = ""
    ) -> dict[str, Any]:
        """Send a query or a mutation.

        Args:
            document: The document; values stand in the variables.
            variables: The variables.
            doing: What for, as it follows "may not": "open a pull request in acme/deploy".
            needs: The permission that it needs, such as `contents=write`: GraphQL doesn't say.

        Returns:
            The answer's `data`.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            GitHubError: It was refused: there are errors in the answer, beside data or not.
        """
        asked = self._asked(doing, needs)
        body = {"query": document, "variables": dict(variables)}
        found, answer = self._send("POST", self._requester.graphql_url, asked, None, body)
        if not isinstance(found, dict) or found.get("errors"):
            raise self._explain(answer, asked)
        data = found.get("data")
        if not isinstance(data, dict):
            raise self._explain(answer, asked)
        return data

    def rest(
        self,
        verb: str,
        path: str,
        doing: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        input: Mapping[str, Any] | None = None,  # noqa: A002  (as PyGithub calls it)
    ) -> Any:  # noqa: ANN401  (any JSON)
        """Send a request of the REST API.

        Args:
            verb: Such as `GET`.
            path: The path below the API's URL, its parts quoted.
            doing: What for, as for `graphql`.
            parameters: What stands behind the `?`.
            input: The body.

        Returns:
            The answer's JSON; None where it is empty.

        Raises:
            RetryableError: The network or the server failed in a way that may pass.
            GitHubError: It was refused.
        """
        return self._send(verb, path, self._asked(doing), parameters, input)[0]

    @contextmanager
    def reading(self, doing: str) -> Iterator[None]:
        """Explain an answer of another form than GitHub publishes. The block does nothing but read.

        Args:
            doing: What was asked for, as for `graphql`.

        Yields:
            Nothing.

        Raises:
            GitHubError: Something is missing in the answer, or is of another type.
        """
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise GitHubError(
                f"{self.host} failed to {doing}: its answer has a form that is not known here.",
                f"Check that {self.api_url} is the API of a GitHub, and use a newer version of "
                "this action.",
            ) from error

    @contextmanager
    def _explaining(self, asked: Asked) -> Iterator[None]:
        """Explain what keeps a request from being answered."""
        from requests import RequestException  # noqa: PLC0415  (slow)
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        from gitops_promote.effects.github.connection import RedirectedError  # noqa: PLC0415

        try:
            yield
        except RedirectedError:
            raise GitHubError(
                f"{self.host} can't {asked.doing}: the repository was renamed or moved.",
                "Give its new name in `config-repository`.",
                status=301,
            ) from None
        except (RequestException, HTTPError, ValueError) as error:
            raise self._unreached(error, asked) from None

    def _send(
        self,
        verb: str,
        path: str,
        asked: Asked,
        parameters: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
    ) -> tuple[Any, Answer]:
        with self._explaining(asked):
            status, headers, text = self._requester.requestJson(
                verb, path, dict(parameters or {}), None, body
            )
        if self.meter:
            # Of an answer that was packed the header tells how much came.
            size = str(headers.get("content-length", ""))
            received = int(size) if size.isdecimal() else len(text.encode())
            self.meter(1, received, len(json.dumps(body)) if body is not None else 0, "")
        try:
            found = json.loads(text) if text else None
        except ValueError:
            if status < 400:
                raise self._no_json(asked) from None
            found = None  # a gateway's page
        answer = Answer(status, headers, found)
        if status >= 400:
            raise self._explain(answer, asked)
        return found, answer

    def _asked(self, doing: str, needs: str = "") -> Asked:
        return Asked(doing, self.host, self.own_token, needs)

    def _explain(self, answer: Answer, asked: Asked) -> PromoteError:
        # The difference to the server's own clock is what counts.
        now = moment_of(answer.headers.get("date", "")) or time.time()
        error = explain(answer, asked, now)
        error.what = error.what.replace(self._token, "***")
        if isinstance(error, GitHubError):
            error.said = error.said.replace(self._token, "***")
        return error

    def _no_json(self, asked: Asked) -> PromoteError:
        return GitHubError(
            f"{self.host} failed to {asked.doing}: its answer is no JSON.",
            f"Check that {self.api_url} is the server's API, and the runner's proxy.",
        )

    def _unreached(self, error: Exception, asked: Asked) -> PromoteError:
        from requests import exceptions  # noqa: PLC0415  (loaded already)

        # `InvalidURL` and `LocationParseError` are that, too. What they say may be of a password.
        if isinstance(error, ValueError):
            return PromoteError(
                "HTTPS_PROXY or GITHUB_API_URL is no URL of http or https.",
                "Quote special characters of a password as %23, %2F and so on.",
            )
        if isinstance(error, exceptions.SSLError):
            return PromoteError(
                f"{self.host} shows a certificate that this machine does not trust.",
                "Name a file with its authority in the environment variable REQUESTS_CA_BUNDLE.",
            )
        again = f"Run the job again; if it lasts, look at the status of {self.host}."
        if isinstance(error, exceptions.Timeout):
            return RetryableError(f"{self.host} took too long to {asked.doing}.", again)
        if isinstance(error, exceptions.ProxyError):
            return RetryableError(
                f"The proxy did not let the runner reach {self.host} to {asked.doing}: "
                f"{_reason(error)}.",
                "Check HTTPS_PROXY and NO_PROXY on the runner.",
            )
        return RetryableError(
            f"The connection to {self.host} broke while it was asked to {asked.doing}: "
            f"{_reason(error)}.",
            again,
        )


def _check(api_url: str, token: str) -> str:
    """Refuse what a token can't be sent with or to, and give the host as people know it."""
    try:
        parts = urlsplit(api_url)
        host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("https", "http") or parts.username or parts.query:
        raise UsageError("GITHUB_API_URL is no URL of an API.", "Give it as `https://HOST/api/v3`.")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UsageError(
            "There is no `token` for GitHub's API."
            if not token
            else "Input token has a character that no token has.",
            "Give a token in `token`, or use `commit-via: git`.",
        )
    shown = f"[{host}]" if ":" in host else host
    remote = Remote(api_url, "http" if parts.scheme == "http" else "https", shown, port, parts.path)
    remote.takes_token(Credentials(token=token))
    return shown.removeprefix("api.")


def _reason(error: BaseException) -> str:
    """What the innermost cause says; the outer ones repeat it with the addresses of objects."""
    seen = {id(error)}
    while True:
        inner = error.__cause__ or error.__context__
        nested = [part for part in (*error.args, inner) if isinstance(part, BaseException)]
        nested = [part for part in nested if id(part) not in seen]
        if not nested:
            break
        error = nested[0]
        seen.add(id(error))
    said = error.strerror if isinstance(error, OSError) and error.strerror else ""
    said = said or next((part for part in error.args if isinstance(part, str)), "")
    return (
        cut(one_line(re.sub(r"<[^>]* object at [^>]*>:?", "", said))).rstrip(".")
        or type(error).__name__
    )
