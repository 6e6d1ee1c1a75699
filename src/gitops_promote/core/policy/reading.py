"""Reading a policy file: each mistake is one error with its line and column."""

from __future__ import annotations

from gitops_promote.core.policy.values import Policy


def read_policy(content: bytes, path: str) -> Policy:
    """Read and check a policy file.

    Args:
        content: Its bytes.
        path: Where it stands in the config repository, for messages.

    Returns:
        The policy, with defaults and per-app overrides worked in.

    Raises:
        PromoteError: It is malformed, has an unknown key or environment, or a cycle in `after`.
    """
    raise NotImplementedError
