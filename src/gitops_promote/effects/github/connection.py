"""PyGithub's connections, which go where they are told and nowhere else.

Importing this imports PyGithub, which takes a third of a second.
"""

from __future__ import annotations

from github.Auth import Token
from github.Requester import (
    HTTPRequestsConnectionClass,
    HTTPSRequestsConnectionClass,
    Requester,
    RequestsResponse,
)

from gitops_promote import __version__


class RedirectedError(Exception):
    """The server sends elsewhere, as it does for a repository that was renamed or moved.

    PyGithub would follow, with the token, and other clients would change a POST to a GET.
    """


class _Https(HTTPSRequestsConnectionClass):
    def getresponse(self) -> RequestsResponse:
        return _checked(super().getresponse())


class _Http(HTTPRequestsConnectionClass):
    def getresponse(self) -> RequestsResponse:
        return _checked(super().getresponse())


def _checked(answer: RequestsResponse) -> RequestsResponse:
    if answer.status in (301, 302, 303, 307, 308):
        raise RedirectedError
    # JSON is UTF-8; without a charset in the header requests would guess.
    answer.response.encoding = "utf-8"
    return answer


def connect(api_url: str, token: str, timeout: float) -> Requester:
    """Prepare requests to an API. Nothing is sent yet.

    Nothing is repeated here, nor slowed down: both belong to who knows the whole.

    Args:
        api_url: Its URL.
        token: What goes into the `Authorization` header.
        timeout: The seconds that a connection, and a silence after it, may take.

    Returns:
        PyGithub's maker of requests.
    """

    class Own(Requester):
        """A class of its own, so that its connections are those of no other client."""

    Own.injectConnectionClasses(_Http, _Https)
    requester = Own(
        auth=Token(token),
        base_url=api_url,
        timeout=timeout,  # type: ignore[arg-type]  # requests takes a fraction too
        user_agent=f"gitops-promote/{__version__}",
        per_page=100,
        verify=True,
        retry=None,
        pool_size=None,
        lazy=True,
    )
    # The instance keeps its classes; what is undone is that connections would be used only once.
    Own.resetConnectionClasses()
    return requester
