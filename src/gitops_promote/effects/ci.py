"""The CI metadata of this call: from the job's environment, else from the git checkout."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from urllib.parse import urlsplit

from gitops_promote.core.source import Source
from gitops_promote.inputs import Identity

GITHUB = "https://github.com"

_BOT = Identity("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


def in_job(environ: Mapping[str, str]) -> bool:
    """Whether this runs as a step of a GitHub Actions job."""
    return environ.get("GITHUB_ACTIONS") == "true"


def read_source(environ: Mapping[str, str]) -> Source:
    """Find the commit and the run that a promotion comes from.

    Args:
        environ: The environment. In a job its `GITHUB_*` variables say it all; elsewhere the
            checkout of the current folder is asked, if there is one.

    Returns:
        What is known of them.
    """
    if not in_job(environ):
        return _from_checkout()
    return Source(
        commit=environ.get("GITHUB_SHA", ""),
        ref=environ.get("GITHUB_REF", ""),
        repository=environ.get("GITHUB_REPOSITORY", ""),
        server_url=environ.get("GITHUB_SERVER_URL", GITHUB).rstrip("/"),
        run_id=environ.get("GITHUB_RUN_ID", ""),
        actor=environ.get("GITHUB_ACTOR", ""),
        actor_id=environ.get("GITHUB_ACTOR_ID", ""),
    )


def identities(source: Source) -> tuple[Identity, Identity] | None:
    """The author and the committer of a commit, where the inputs don't name them.

    Args:
        source: The run.

    Returns:
        In a job who started it, and the bot of GitHub Actions, as GitHub writes the two; else
        the user that git is configured for, or None.
    """
    if source.run_id:
        host = urlsplit(source.server_url).hostname or "github.com"
        name = re.sub(r"[<>\x00-\x1f]", "", source.actor) or _BOT.name
        prefix = f"{source.actor_id}+" if source.actor_id else ""
        mail = f"{prefix}{re.sub(r'[^A-Za-z0-9._@+-]', '-', name)}@users.noreply.{host}"
        return Identity(name, mail.replace("@", "-", mail.count("@") - 1)), _BOT
    name, mail = _git("config", "user.name"), _git("config", "user.email")
    return (Identity(name, mail), Identity(name, mail)) if name and mail else None


def _from_checkout() -> Source:
    commit = _git("rev-parse", "--verify", "--quiet", "HEAD")
    tags = _git("tag", "--points-at", "HEAD", "--list", "v[0-9]*").splitlines() if commit else []
    branch = _git("symbolic-ref", "--quiet", "HEAD") if commit else ""
    return Source(commit=commit, ref=f"refs/tags/{tags[-1]}" if tags else branch)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
