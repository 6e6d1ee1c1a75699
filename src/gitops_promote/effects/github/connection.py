"""PyGithub's connections, which go where they are told and nowhere else.

Importing this imports what PyGithub's `Requester` needs. PyGithub itself imports its classes for
all that GitHub has, some 160 modules and two libraries for keys, which takes two thirds of the
time, and none of which is used here.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

from gitops_promote import __version__

if TYPE_CHECKING:
    from github.Auth import Auth


def _leave_out_the_rest() -> None:
    """Let modules of PyGithub be imported without all that its package imports first.

    Who asks the package for anything still gets it: then it does what it puts off here. Where that
    is needed for `Requester` already, as its imports may be another time, nothing is put off.
    """
    spec = None if "github" in sys.modules else find_spec("github")
    if spec is None or spec.loader is None:
        return
    loader, package = spec.loader, module_from_spec(spec)

    def load(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        # Another thread may be here, too.
        package.__dict__.pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = load
    sys.modules["github"] = package
    try:
        import_module("github.Requester")
    except (AttributeError, ImportError):
        for name in list(sys.modules):
            if name == "github" or name.startswith("github."):
                sys.modules.pop(name, None)


_leave_out_the_rest()

from github.Requester import (  # noqa: E402  (not before the line above)
    HTTPRequestsConnectionClass,
    HTTPSRequestsConnectionClass,
    Requester,
    RequestsResponse,
)


class RedirectedError(Exception):
    """The server sends elsewhere, as it does for a repository that was renamed or moved.

    PyGithub would follow, with the token, and other clients would change a POST to a GET.
    """


class _Token:
    """Does what `github.Auth.Token` does, whose module imports the libraries for keys."""

    def __init__(self, token: str) -> None:
        self._token = token

    def authentication(self, headers: dict[str, str]) -> None:
        """Put the token into the headers of a request."""
        headers["Authorization"] = f"token {self._token}"

    def mask_authentication(self, headers: dict[str, str]) -> None:
        """Take it out of those that are logged."""
        headers["Authorization"] = "token (removed)"


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
    auth: Auth = _Token(token)  # type: ignore[assignment]  # what a `Requester` uses of one
    requester = Own(
        auth=auth,
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
