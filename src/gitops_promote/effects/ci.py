"""The CI metadata of this call: from the job's environment, else from the git checkout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from gitops_promote.core.source import Source
from gitops_promote.effects.checkout import ask_checkout
from gitops_promote.effects.event import is_commit, read_event
from gitops_promote.inputs import Identity

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


def read_source(environ: Mapping[str, str], app: str = "") -> Source:
    """Find the commit and the run that are built or promoted.

    Args:
        environ: The environment. In a job its `GITHUB_*` variables and the event's file say it
            all; elsewhere the checkout of the current folder is asked, if there is one.
        app: The app's name: outside of a job, version tags of this app go before others.

    Returns:
        What is known of them.
    """
    return _from_job(environ) if in_job(environ) else _from_checkout(environ, app)


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
    line = ask_checkout(environ, "-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
    found = re.fullmatch(r"([^<>]*[^<>\s]) <([^<>\s]+)> \d+ [+-]\d+", line)
    return Identity(found[1], found[2]) if found else None


def _from_job(environ: Mapping[str, str]) -> Source:
    def told(name: str) -> str:
        # A branch's name need not be Unicode; what isn't is shown as the runner shows it.
        return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", environ.get(name, ""))

    event = read_event(environ)
    name, ref, commit = told("GITHUB_EVENT_NAME"), told("GITHUB_REF"), told("GITHUB_SHA")
    commit = commit if is_commit(commit) else ""
    # The two rules of docker/metadata-action for pull requests, so that its tags come out.
    if "pull_request_target" in name and event.number:
        ref = f"refs/pull/{event.number}/merge"
    wants_head = "true" in environ.get("DOCKER_METADATA_PR_HEAD_SHA", "").lower()
    if wants_head and "pull_request" in name:
        commit = event.pull_request_head or commit
    default_branch = event.default_branch
    if name == "schedule" and ref.startswith("refs/heads/"):
        # Its event names no repository, and only the default branch has schedules.
        default_branch = default_branch or ref.removeprefix("refs/heads/")
    base_ref = event.pushed_from if ref.startswith("refs/tags/") else ""
    return Source(
        commit=commit,
        ref=ref,
        repository=told("GITHUB_REPOSITORY"),
        server_url=environ.get("GITHUB_SERVER_URL", GITHUB).rstrip("/"),
        run_id=told("GITHUB_RUN_ID"),
        actor=told("GITHUB_ACTOR"),
        actor_id=told("GITHUB_ACTOR_ID"),
        run_number=told("GITHUB_RUN_NUMBER"),
        run_attempt=told("GITHUB_RUN_ATTEMPT"),
        event=name,
        default_branch=default_branch,
        base_ref=event.pull_request_base if ref.startswith("refs/pull/") else base_ref,
        commit_date=event.date_of(commit),
        description=event.description,
        license=event.license,
    )


def _from_checkout(environ: Mapping[str, str], app: str) -> Source:
    commit = ask_checkout(environ, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return Source()
    # The newest version last, and of one version the release behind its candidates.
    newest_last = ("-c", "versionsort.suffix=-", "tag", "--sort=version:refname")
    tags = ask_checkout(environ, *newest_last, "--points-at", "HEAD").splitlines()
    tag = _newest("v?[0-9].*", tags)
    if app:
        # Not `shop-2/v1.0.0` for `shop`: that is another app's.
        tag = _newest(rf"(?:.*/)?{re.escape(app)}[/@-]v?[0-9]+(?:\.[0-9].*)?", tags) or tag
    ref = f"refs/tags/{tag}" if tag else ask_checkout(environ, "symbolic-ref", "--quiet", "HEAD")
    return Source(commit=commit, ref=ref)


def _newest(pattern: str, tags: list[str]) -> str:
    return next((tag for tag in reversed(tags) if re.fullmatch(pattern, tag)), "")
