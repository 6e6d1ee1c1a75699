"""The CI metadata of this call: from the job's environment, else from the git checkout."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gitops_promote.core.source import Source
from gitops_promote.effects.checkout import ask_checkout
from gitops_promote.effects.event import Event, is_commit, read_event
from gitops_promote.inputs import Identity

GITHUB = "https://github.com"

_BRANCHES, _TAGS, _ORIGIN = "refs/heads/", "refs/tags/", "refs/remotes/origin/"

#: The bot of GitHub Actions, as GitHub names it in its commits.
BOT = Identity("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


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
            all; elsewhere the checkout of the current folder is asked, if there is one: for the
            version tag of its commit, else the branch, or where it is on none whatever tag.
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
        return _actor(source), BOT
    author, committer = (_git_identity(who, environ) for who in ("AUTHOR", "COMMITTER"))
    return (author, committer) if author and committer else None


def _actor(source: Source) -> Identity:
    name = re.sub(r"[^A-Za-z0-9._\[\]-]", "", source.actor)
    if not name:
        return BOT
    prefix = f"{source.actor_id}+" if source.actor_id.isdigit() else ""
    return Identity(name, f"{prefix}{name}@users.noreply.{_host(source.server_url)}")


def _host(server_url: str) -> str:
    if server_url in ("", GITHUB):
        return "github.com"
    from urllib.parse import urlsplit  # noqa: PLC0415  (start-up time)

    return urlsplit(server_url).hostname or "github.com"


def _git_identity(who: str, environ: Mapping[str, str]) -> Identity | None:
    # Without this setting git makes one up of the login and the machine's name.
    line = ask_checkout(environ, "-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
    found = re.fullmatch(r"([^<>]*[^<>\s]) <([^<>\s]+)> \d+ [+-]\d+", line)
    return Identity(found[1], found[2]) if found else None


def _from_job(environ: Mapping[str, str]) -> Source:
    event = read_event(environ)
    ref, commit = _built(event, environ)
    return Source(
        commit=commit,
        ref=ref,
        repository=_told("GITHUB_REPOSITORY", environ),
        server_url=environ.get("GITHUB_SERVER_URL", GITHUB).rstrip("/"),
        run_id=_told("GITHUB_RUN_ID", environ),
        actor=_told("GITHUB_ACTOR", environ),
        actor_id=_told("GITHUB_ACTOR_ID", environ),
        run_number=_told("GITHUB_RUN_NUMBER", environ),
        run_attempt=_told("GITHUB_RUN_ATTEMPT", environ),
        event=_told("GITHUB_EVENT_NAME", environ),
        default_branch=event.default_branch or _scheduled_branch(ref, environ),
        base_ref=_base_ref(event, ref),
        commit_date=event.date_of(commit),
        description=event.description,
        license=event.license,
    )


def _told(name: str, environ: Mapping[str, str]) -> str:
    # A branch's name need not be Unicode; what isn't is shown as the runner shows it.
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", environ.get(name, ""))


def _built(event: Event, environ: Mapping[str, str]) -> tuple[str, str]:
    """The ref and the commit that the run is of."""
    name, ref = _told("GITHUB_EVENT_NAME", environ), _told("GITHUB_REF", environ)
    commit = _told("GITHUB_SHA", environ)
    commit = commit if is_commit(commit) else ""
    # The two rules of docker/metadata-action for pull requests, so that its tags come out.
    if "pull_request_target" in name and event.number:
        ref = f"refs/pull/{event.number}/merge"
    wants_head = "true" in environ.get("DOCKER_METADATA_PR_HEAD_SHA", "").lower()
    if wants_head and "pull_request" in name:
        commit = event.pull_request_head or commit
    return ref, commit


def _scheduled_branch(ref: str, environ: Mapping[str, str]) -> str:
    # The event of a schedule names no repository, and only the default branch has schedules.
    scheduled = environ.get("GITHUB_EVENT_NAME") == "schedule" and ref.startswith(_BRANCHES)
    return ref.removeprefix(_BRANCHES) if scheduled else ""


def _base_ref(event: Event, ref: str) -> str:
    if ref.startswith("refs/pull/"):
        return event.pull_request_base
    return event.pushed_from if ref.startswith(_TAGS) else ""


def _from_checkout(environ: Mapping[str, str], app: str) -> Source:
    commit = ask_checkout(environ, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return Source()
    # Empty where HEAD is detached, as after the checkout of a tag.
    branch = ask_checkout(environ, "symbolic-ref", "--quiet", "HEAD")
    tag = _version_tag(environ, app) or ("" if branch else _newest_tag(environ))
    ref = f"{_TAGS}{tag}" if tag else branch
    return Source(commit=commit, ref=ref, default_branch=_default_branch(environ))


def _version_tag(environ: Mapping[str, str], app: str) -> str:
    """The version tag of the checkout's commit: this app's, else any."""
    # The newest version last, and of one version the release behind its candidates.
    tags = _tags(environ, "--sort=version:refname")
    own = ""
    if app:
        # Not `shop-2/v1.0.0` for `shop`: that is another app's.
        own = _last(rf"(?:.*/)?{re.escape(app)}[/@-]v?[0-9]+(?:\.[0-9].*)?", tags)
    return own or _last("v?[0-9].*", tags)


def _newest_tag(environ: Mapping[str, str]) -> str:
    """Whatever tag of the checkout's commit was made last; of equals the highest by name."""
    return _last(".*", _tags(environ, "--sort=version:refname", "--sort=creatordate"))


def _tags(environ: Mapping[str, str], *order: str) -> list[str]:
    # Not git-tag(1): its output follows the user's settings, for columns and the like.
    question = ("for-each-ref", "--points-at=HEAD", "--format=%(refname:strip=2)", *order)
    return ask_checkout(environ, "-c", "versionsort.suffix=-", *question, "refs/tags").splitlines()


def _last(pattern: str, tags: list[str]) -> str:
    return next((tag for tag in reversed(tags) if re.fullmatch(pattern, tag)), "")


def _default_branch(environ: Mapping[str, str]) -> str:
    """The server's default branch, as a clone notes it."""
    # No more than a note: that it may be old is better than to ask the network.
    ref = ask_checkout(environ, "symbolic-ref", "--quiet", f"{_ORIGIN}HEAD")
    return ref.removeprefix(_ORIGIN) if ref.startswith(_ORIGIN) else ""
