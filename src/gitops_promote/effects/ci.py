"""The CI metadata of this call: from the job's environment, else from the git checkout."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from urllib.parse import urlsplit

from gitops_promote.core.source import Source
from gitops_promote.inputs import PREFIX, Identity

GITHUB = "https://github.com"

_BOT = Identity("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


def in_job(environ: Mapping[str, str]) -> bool:
    """Whether this runs as a step of a GitHub Actions job.

    Args:
        environ: The environment.

    Returns:
        True in a job.
    """
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
        return _from_checkout(environ)
    return Source(
        commit=environ.get("GITHUB_SHA", ""),
        ref=environ.get("GITHUB_REF", ""),
        repository=environ.get("GITHUB_REPOSITORY", ""),
        server_url=environ.get("GITHUB_SERVER_URL", GITHUB).rstrip("/"),
        run_id=environ.get("GITHUB_RUN_ID", ""),
        actor=environ.get("GITHUB_ACTOR", ""),
        actor_id=environ.get("GITHUB_ACTOR_ID", ""),
    )


def identities(source: Source, environ: Mapping[str, str]) -> tuple[Identity, Identity] | None:
    """The author and the committer of a commit, where the inputs don't name them.

    Args:
        source: The run.
        environ: The environment.

    Returns:
        In a job who started it, and the bot of GitHub Actions, as GitHub writes the two; else
        the two that git itself would take, or None where it isn't told any.
    """
    if in_job(environ):
        return _actor(source), _BOT
    author, committer = (_git_identity(who, environ) for who in ("AUTHOR", "COMMITTER"))
    return (author, committer) if author and committer else None


def _actor(source: Source) -> Identity:
    name = re.sub(r"[^A-Za-z0-9._\[\]-]", "", source.actor)
    if not name:
        return _BOT
    prefix = f"{source.actor_id}+" if source.actor_id.isdigit() else ""
    host = urlsplit(source.server_url).hostname or "github.com"
    return Identity(name, f"{prefix}{name}@users.noreply.{host}")


def _git_identity(who: str, environ: Mapping[str, str]) -> Identity | None:
    # Without this setting git makes one up of the login and the machine's name.
    line = _git(environ, "-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
    found = re.fullmatch(r"([^<>]*[^<>\s]) <([^<>\s]+)> \d+ [+-]\d+", line)
    return Identity(found[1], found[2]) if found else None


def _from_checkout(environ: Mapping[str, str]) -> Source:
    commit = _git(environ, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return Source()
    # The newest version last, and of one version the release behind its candidates.
    newest_last = ("-c", "versionsort.suffix=-", "tag", "--sort=version:refname")
    here = ("--points-at", "HEAD", "--list", "v[0-9]*", "[0-9]*")
    tags = _git(environ, *newest_last, *here).splitlines()
    ref = f"refs/tags/{tags[-1]}" if tags else _git(environ, "symbolic-ref", "--quiet", "HEAD")
    return Source(commit=commit, ref=ref)


def _git(environ: Mapping[str, str], *arguments: str) -> str:
    # The inputs stay here: the checkout's own configuration can make git run programs.
    env = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=10,
            env=env,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
