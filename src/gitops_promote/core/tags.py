"""The tag of a freshly built image, from CI metadata."""

from __future__ import annotations

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import check_tag
from gitops_promote.core.source import Source

#: How much of a commit's hash a tag holds: the usual 7 digits collide in large repositories.
COMMIT_DIGITS = 12


def immutable_tag(source: Source) -> str:
    """The tag of what a run built from a commit, which no other commit or run takes over.

    Args:
        source: The commit and the run.

    Returns:
        Of a version tag (`v1.2.3`) the version; else the commit and the run,
        `0123456789ab-42`; outside of CI the commit alone.

    Raises:
        UsageError: No commit is known.
    """
    version = _version(source.ref)
    if version:
        return version
    if not source.commit:
        raise UsageError(
            "There is no commit here to name the image's tag after.",
            "Give the tag in `images`, such as `ghcr.io/acme/shop:1.2.3`.",
        )
    tag = "-".join(part for part in (source.commit[:COMMIT_DIGITS], source.run_id) if part)
    check_tag(tag, "The computed version")
    return tag


def _version(ref: str) -> str:
    """The version that a tag's ref names, as docker/metadata-action writes it; else nothing."""
    if not ref.startswith("refs/tags/"):
        return ""
    from semver import Version  # noqa: PLC0415  (start-up time)

    name = ref.removeprefix("refs/tags/").removeprefix("v")
    if not Version.is_valid(name):
        return ""
    version = name.replace("+", "-")  # a registry takes no `+`
    check_tag(version, f"The version tag `{ref.removeprefix('refs/tags/')}`")
    return version
