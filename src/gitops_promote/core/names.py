"""Names of environments, apps and people, as the inputs and the policy file take them."""

from __future__ import annotations

#: A name of an environment or an app. Paths, branches and trailers of commits are made of it.
NAME = r"[A-Za-z0-9_][A-Za-z0-9._/ -]*"

#: Somebody's login, or a team's name.
LOGIN = r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:\[bot\])?"


def login_of(text: str) -> str:
    """Take what people write before a login off.

    Args:
        text: A login, perhaps with an `@`.

    Returns:
        The login.
    """
    return text.removeprefix("@")


def team_of(text: str) -> str:
    """Take what people write before a team's name off.

    Args:
        text: A team, perhaps with an `@` and its organisation, which is always the repository's.

    Returns:
        The team's own name.
    """
    name = login_of(text)
    return name.partition("/")[2] if "/" in name else name
