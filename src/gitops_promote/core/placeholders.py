"""What the templates for messages, titles and branches may have filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gitops_promote.core.errors import UsageError

if TYPE_CHECKING:
    from gitops_promote.core.change import Change
    from gitops_promote.core.images import Reference
    from gitops_promote.core.request import Request

#: The placeholders of `commit-message`, `title`, `body` and `branch`.
PLACEHOLDERS = (
    "app",
    "environment",
    "images",
    "version",
    "old-version",
    "source-commit",
    "source-repository",
)

#: Those that a pull request's `body` may have besides: the parts of our own text.
SECTIONS = ("table", "source", "gates", "warnings", "rendered", "diff", "rollback")

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def values(request: Request, changes: Sequence[Change]) -> dict[str, str]:
    """Find what the placeholders stand for.

    Args:
        request: What is asked for.
        changes: What is changed.

    Returns:
        A text on one line for each of `PLACEHOLDERS`, empty where nothing is known.
    """
    found = {
        "app": request.app,
        "environment": ", ".join(request.environments),
        "images": ", ".join(names(changes)),
        "version": common_version(change.new for change in changes),
        "old-version": common_version(change.old for change in changes),
        "source-commit": request.built_from.commit,
        "source-repository": request.built_from.repository,
    }
    return {name: one_line(value) for name, value in found.items()}


def fill(template: str, known: Mapping[str, str], name: str) -> str:
    """Fill in a template.

    Args:
        template: A text with `{placeholder}`s; a brace itself is written twice.
        known: The value of each placeholder.
        name: The input that the template is, for the message.

    Returns:
        The text.

    Raises:
        UsageError: The template has a placeholder that isn't known.
    """

    def value(found: re.Match[str]) -> str:
        key = found[1]
        if key is None:
            return found[0][0]
        if key not in known:
            raise UsageError(
                f"Input `{name}` has the placeholder `{{{key}}}`, which is unknown.",
                f"The placeholders are {', '.join(f'`{{{one}}}`' for one in known)}; "
                "a brace itself is written twice.",
            )
        return known[key]

    return _PLACEHOLDER.sub(value, template)


def names(changes: Sequence[Change]) -> list[str]:
    """List what is promoted.

    Args:
        changes: What is changed.

    Returns:
        The repository of each image, once, in order.
    """
    return list(dict.fromkeys(change.new.name or change.image for change in changes))


def common_version(references: Iterable[Reference]) -> str:
    """The version that all references have, empty where they differ.

    Args:
        references: The references.

    Returns:
        `TAG`, `DIGEST`, `TAG@DIGEST` or an empty text.
    """
    versions = {reference.version for reference in references}
    return versions.pop() if len(versions) == 1 else ""


def one_line(text: str) -> str:
    """Put a text on one line.

    Args:
        text: The text.

    Returns:
        The text with a space for each run of control characters and line ends.
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text)
