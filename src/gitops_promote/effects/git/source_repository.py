"""The date of the commit that is built, where no event tells it: from checkout or server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, final

from gitops_promote.core.errors import PromoteError, RetryableError, UsageError
from gitops_promote.effects.checkout import ask_checkout
from gitops_promote.effects.event import is_commit
from gitops_promote.effects.git.errors import GitError
from gitops_promote.effects.git.private_folder import PrivateFolder
from gitops_promote.effects.git.remote import Credentials
from gitops_promote.effects.moments import parse_seconds
from gitops_promote.effects.retry import retry
from gitops_promote.inputs import PREFIX

if TYPE_CHECKING:
    from datetime import datetime

    from gitops_promote.core.source import Source

#: How many commits of a branch are looked through where the server gives none by its hash.
DEPTH = 50

_FOLDER = "source.git"
_REF = "refs/promotion/source"
# Of what git-check-ref-format(1) lets a ref have; a colon or an asterisk is another refspec.
_PLAIN_REF = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")


def commit_date(source: Source, environ: Mapping[str, str]) -> datetime:
    """Find when the commit was made, by the checkout or else the job's server.

    It is never guessed: a tag with another date in it names an image that doesn't exist.

    Args:
        source: The commit, and the repository that has it. A date in there is not looked at.
        environ: The environment, for the checkout's place and the job's own token. The token goes
            to the job's server only.

    Returns:
        The commit's date, with a time zone.

    Raises:
        PromoteError: Nobody tells the date, and why.
    """
    if not is_commit(source.commit):
        raise PromoteError(
            "The commit's date isn't known, because no commit is.",
            "Run this in a git checkout that has a commit.",
        )
    if found := _from_checkout(source.commit, environ):
        return found
    missing = f"The date of commit {source.commit[:12]} isn't known: no checkout here has it"
    if not (source.server_url and source.repository):
        raise PromoteError(f"{missing}.", "Run this in a git checkout that has the commit.")
    try:
        return _from_server(source, environ)
    except PromoteError as error:
        wrong = error.what.rstrip(".")
        if isinstance(error, UsageError):
            wrong = f"`{_url(source)}` is no URL that git reads"
        raise PromoteError(
            f"{missing}, and asking the server failed: {wrong}.",
            "Check out the repository with actions/checkout in an earlier step, or give the job "
            "`permissions: contents: read`.",
        ) from None


def _from_checkout(commit: str, environ: Mapping[str, str]) -> datetime | None:
    # As git-rev-list(1) prints it, and not git-show: no setting makes it run another program.
    question = ("--no-replace-objects", "rev-list", "--max-count=1", "--format=%ct", commit)
    for folder in dict.fromkeys((environ.get("GITHUB_WORKSPACE", ""), "")):
        lines = ask_checkout(environ, *question, "--", folder=folder).splitlines()
        if lines and (found := parse_seconds(lines[-1])):
            return found
    return None


def _from_server(source: Source, environ: Mapping[str, str]) -> datetime:
    token = environ.get(f"{PREFIX}JOB_TOKEN", "").strip()
    credentials = Credentials(token=token, token_server=source.server_url)

    def ask() -> datetime:
        with _SourceRepository(_url(source), credentials, environ) as repository:
            return repository.date(source.commit, source.ref)

    # Nobody is told: all pauses together take two seconds.
    return retry(ask)


def _url(source: Source) -> str:
    return f"{source.server_url}/{source.repository}"


@final
class _SourceRepository(PrivateFolder):
    """The app's repository, of which commits are fetched without any file."""

    def __enter__(self) -> _SourceRepository:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def date(self, commit: str, ref: str) -> datetime:
        """Find a commit's date; `ref` is where to look if the server gives none by its hash."""
        try:
            self._make(commit)
            return self._find(commit, ref)
        except GitError as failure:
            raise self.explain(failure, ref) from None

    def _make(self, commit: str) -> None:
        options = ["--quiet", "--bare", "--template="]
        options += ["--object-format=sha256"] if len(commit) == 64 else []
        self.run("init", *options, _FOLDER)
        # Before 2.28, git leaves files out only for a remote that has promised to have them.
        self.run("config", "remote.source.promisor", "true", repository=_FOLDER)

    def _find(self, commit: str, ref: str) -> datetime:
        try:
            found = self._fetch(commit, 1)
        except GitError as failure:
            error = self.explain(failure, ref)
            refused = "not our ref" in failure.own or "unadvertised object" in failure.own
            if isinstance(error, RetryableError) and not refused:
                raise error from None
            if not _PLAIN_REF.fullmatch(ref):
                raise
        else:
            # What has this hash may be an annotated tag: then its commit is the one here.
            return self._the(next(iter(found.values()), None))
        found = self._fetch(ref, DEPTH)
        if commit not in found:
            raise PromoteError(
                f"{self.remote.url} gives no commit by its hash, or doesn't have this one, and it "
                f"is none of the newest of {ref}.",
                "Check out the repository.",
            )
        return self._the(found[commit])

    def _the(self, date: datetime | None) -> datetime:
        if date is None:
            raise PromoteError(
                f"The commit of {self.remote.url} has a date out of all bounds.",
                "Build another commit.",
            )
        return date

    def _fetch(self, what: str, depth: int) -> dict[str, datetime | None]:
        """Fetch commits, from a hash or ref on, and give their dates."""
        # A server that knows no filters sends the files, too; git says so and goes on.
        options = ["--quiet", "--no-tags", f"--depth={depth}", "--filter=tree:0"]
        self.run("fetch", *options, "--", self.remote.url, f"+{what}:{_REF}", repository=_FOLDER)
        listing = self.run("rev-list", "--format=%H %ct", _REF, "--", repository=_FOLDER)
        pairs = (line.split(" ") for line in listing.splitlines() if line[:7] != "commit ")
        return {pair[0]: parse_seconds(pair[1]) for pair in pairs if len(pair) == 2}
