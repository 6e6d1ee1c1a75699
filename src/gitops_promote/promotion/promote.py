"""The promotion itself: read the config repository, plan, and deliver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError, RetryableError, UsageError
from gitops_promote.core.source import Source
from gitops_promote.effects.ancestry import SourceAncestry
from gitops_promote.effects.ci import GITHUB, identities, read_source
from gitops_promote.effects.config_repository import ConfigRepository, Head, UnsuitedError
from gitops_promote.effects.console import Console
from gitops_promote.effects.git.repository import Credentials, GitRepository, resolve_url
from gitops_promote.effects.github.place import Place, find_api
from gitops_promote.effects.retry import retry
from gitops_promote.inputs import PREFIX, Identity, Inputs
from gitops_promote.promotion.call import Call

if TYPE_CHECKING:
    from gitops_promote.core.report import Outcome, Review
    from gitops_promote.core.review.history import History
    from gitops_promote.core.review.proposal import Proposal
    from gitops_promote.effects.github.client import GitHub
    from gitops_promote.effects.github.pull_requests import PullRequests
    from gitops_promote.effects.timings import Timings
    from gitops_promote.promotion.review import Reviewing
    from gitops_promote.promotion.settled import Settled

#: Stands for the author of a commit that isn't made, or not by git.
_NOBODY = Identity("", "")


def promote(inputs: Inputs, environ: Mapping[str, str], console: Console) -> Outcome:
    """Promote the images of a call.

    Args:
        inputs: What is asked for.
        environ: The environment, for the CI metadata.
        console: Where to say what takes long.

    Returns:
        How it ended.

    Raises:
        PromoteError: Nothing was written, and why.
    """
    for text in inputs.warnings:
        console.warn(text)
    source = read_source(environ, inputs.tags.version_app)
    author, committer = _identities(inputs, source, environ)
    server = source.server_url or environ.get("GITHUB_SERVER_URL", GITHUB)
    url = resolve_url(inputs.config_repository, server, source.repository, ssh=bool(inputs.ssh_key))
    call = Call(
        inputs=inputs,
        source=source,
        author=author,
        committer=committer,
        environ=environ,
        console=console,
        server=server,
        repository=inputs.config_repository or source.repository,
    )
    return _Promotion(call, url).run()


class _Promotion:
    """One promotion: through the API or by git, as a push or for review."""

    def __init__(self, call: Call, url: str) -> None:
        self.call = call
        self.url = url
        self.credentials = _credentials(call.inputs, call.environ, call.server)
        self.place = find_api(url, call.environ)
        self.ancestry = SourceAncestry(call.environ, self._open_api)
        self.histories: dict[tuple[Source, str, str], History | None] = {}
        self.timings = _timings() if call.inputs.timings else None

    def run(self) -> Outcome:
        """Deliver, and say what that took where somebody asks."""
        try:
            return self._run()
        finally:
            if self.timings:
                # That it can't be shown must not hide how it ended.
                with suppress(OSError):
                    self.call.console.say(self.timings.table() + "\n")

    def _run(self) -> Outcome:
        """Deliver; through the API where that is asked for and will do."""
        if place := self._place_for_api():
            try:
                return self._run_by_api(place)
            except UnsuitedError as error:
                self.call.console.note(f"{error.what} So git makes the commit.")
        return self._run_by_git()

    def _place_for_api(self) -> Place | None:
        """Where the API is, if it is to make the commit."""
        inputs, place = self.call.inputs, self.place
        if inputs.commit_via == "git":
            return None
        if inputs.commit_via == "api" and place is None:
            raise UsageError(
                f"Input `commit-via` is `api`, and {self.url} is on no GitHub that is known here.",
                "Set `commit-via` to `git`, or GITHUB_SERVER_URL and GITHUB_API_URL to those of "
                "your GitHub Enterprise Server.",
            )
        if inputs.commit_via == "api" or place is None:
            return place
        # What git alone can do, or the way in that was given.
        by_git = inputs.ssh_key or inputs.author or inputs.committer
        return place if self._token_for(place) and not by_git else None

    def _token_for(self, place: Place) -> str:
        """The token, where it may go there: the job's own is for the job's server alone."""
        server = self.credentials.token_server
        if server and not _is_at(place, server, self.call.environ):
            return ""
        return self.credentials.token

    def _run_by_api(self, place: Place) -> Outcome:
        from gitops_promote.effects.github.config_repository import (  # noqa: PLC0415  (slow)
            ApiRepository,
        )

        with self._github(place) as github, ApiRepository(github, place.name) as repository:
            return self._deliver(repository, lambda: _pull_requests(github, place))

    def _run_by_git(self) -> Outcome:
        call, place = self.call, self.place
        _check_known(call)
        with ExitStack() as stack:
            repository = stack.enter_context(
                GitRepository(
                    self.url,
                    self.credentials,
                    call.environ,
                    tell=self._tell_dimly,
                    meter=self.timings.moved if self.timings else None,
                )
            )
            repository.begin()

            def pull_requests() -> PullRequests | None:
                if place is None:
                    return None
                return _pull_requests(stack.enter_context(self._github(place)), place)

            return self._deliver(repository, pull_requests, repository.proposal)

    def _github(self, place: Place) -> GitHub:
        from gitops_promote.effects.github.client import GitHub  # noqa: PLC0415  (slow)

        token, own = self._token_for(place), bool(self.credentials.token_server)
        if not token:
            from urllib.parse import urlsplit  # noqa: PLC0415  (only for this)

            raise UsageError(
                f"There is no token for {place.name} of {urlsplit(place.api_url).hostname}.",
                "Give one in `token`: the job's own is for the job's GitHub server alone, and an "
                "ssh key opens no pull requests.",
            )
        github = GitHub(place.api_url, token, own_token=own)
        github.meter = self.timings.moved if self.timings else None
        return github

    def _deliver(
        self,
        repository: ConfigRepository,
        open_pull_requests: Callable[[], PullRequests | None],
        find_branch: Callable[[str, Head], Proposal] | None = None,
    ) -> Outcome:
        """Settle and deliver, again where others were faster."""
        if self.timings:
            repository = _timed(repository, self.timings)
        from gitops_promote.promotion.settle import Settling  # noqa: PLC0415  (while git fetches)

        settling = Settling(self.call, repository, self.ancestry)
        reviewing: Reviewing | None = None

        def for_review() -> Reviewing:
            nonlocal reviewing
            if reviewing is None:
                reviewing = self._reviewing(repository, open_pull_requests(), find_branch)
            return reviewing

        def attempt() -> Outcome:
            settled = settling.settle()
            if settled.mode == "pull-request":
                return self._reviewed(settled, for_review())
            return self._outcome(settled, _push(settled, repository))

        if self.call.inputs.promotion_mode == "pull-request":
            for_review()  # what is missing for that is said before anything is fetched

        return retry(attempt, self._tell)

    def _reviewing(
        self,
        repository: ConfigRepository,
        pull_requests: PullRequests | None,
        find_branch: Callable[[str, Head], Proposal] | None,
    ) -> Reviewing:
        from gitops_promote.promotion.review import Reviewing  # noqa: PLC0415  (start-up time)

        find = pull_requests.find if pull_requests else find_branch
        if find is None:
            raise TypeError("where there are no pull requests, something must find branches")
        return Reviewing(repository, find, pull_requests, self._history, self.ancestry)

    def _reviewed(self, settled: Settled, reviewing: Reviewing) -> Outcome:
        with self.timings.phase("review") if self.timings else nullcontext():
            reviewed = reviewing.attempt(settled)
        settled = replace(settled, plan=reviewed.plan)
        return self._outcome(settled, reviewed.commit, reviewed.review)

    def _tell(self, error: RetryableError, pause: float) -> None:
        self._tell_dimly(f"{error.what} Trying again in {pause:.1f} s …")

    def _tell_dimly(self, text: str) -> None:
        console = self.call.console
        console.show_untrusted(console.paint(text, "dim"))

    def _open_api(self, source: Source) -> GitHub | None:
        """The API that has an app's repository."""
        from gitops_promote.effects.github.history import open_api  # noqa: PLC0415  (slow)

        place, call = self.place, self.call
        token = self._token_for(place) if place else ""
        return open_api(source, call.environ, call.server, place, token)

    def _history(self, source: Source, old_version: str, app: str) -> History | None:
        """What lies between a version and a commit, as far as anyone tells."""
        key = source, old_version, app
        if key not in self.histories:
            self.histories[key] = self._read_history(source, old_version, app)
        return self.histories[key]

    def _read_history(self, source: Source, old_version: str, app: str) -> History | None:
        from gitops_promote.effects.github.history import read_history  # noqa: PLC0415  (slow)

        # It helps reviewers, and is no reason to promote nothing.
        with suppress(PromoteError):
            api = self._open_api(source) if source.commit else None
            if api:
                with api as github:
                    return read_history(github, source, old_version, app)
        return None

    def _outcome(self, settled: Settled, commit: str, review: Review | None = None) -> Outcome:
        from gitops_promote.core.report import Outcome  # noqa: PLC0415  (start-up time)

        call = self.call
        return Outcome(
            plan=settled.plan,
            images=settled.request.images,
            mode=settled.mode,
            repository=call.repository,
            branch=settled.base.branch,
            commit=commit,
            commit_url=_commit_url(self.url, call.server, commit),
            review=review,
            own_token=bool(self.credentials.token_server),
            stale=settled.stale,
            override=settled.request.override,
            undone={one.image: one.build.version for one in reversed(settled.request.undone)},
        )


def _timings() -> Timings:
    from gitops_promote.effects.timings import Timings  # noqa: PLC0415  (rarely asked for)

    return Timings()


def _timed(repository: ConfigRepository, timings: Timings) -> ConfigRepository:
    from gitops_promote.effects.timings import TimedRepository  # noqa: PLC0415  (rarely asked for)

    return TimedRepository(repository, timings)


def _is_at(place: Place, server: str, environ: Mapping[str, str]) -> bool:
    """Whether a place is on a server."""
    there = find_api(f"{server}/{place.name}", environ)
    return there is not None and there.api_url == place.api_url


def _push(settled: Settled, repository: ConfigRepository) -> str:
    """Push what is to be pushed; the commit is empty where nothing is."""
    plan = settled.plan
    if settled.mode == "dry-run" or not plan.files:
        return ""
    return repository.push(settled.base, settled.new_commit(plan))


def _pull_requests(github: GitHub, place: Place) -> PullRequests:
    from gitops_promote.effects.github.pull_requests import (  # noqa: PLC0415  (slow)
        PullRequests,
    )

    return PullRequests(github, place.name)


def _identities(
    inputs: Inputs, source: Source, environ: Mapping[str, str]
) -> tuple[Identity, Identity]:
    """Author and committer of the commit, as far as they are known."""
    if inputs.author and inputs.committer:
        return inputs.author, inputs.committer
    known = identities(source, environ) or (_NOBODY, _NOBODY)
    return inputs.author or known[0], inputs.committer or known[1]


def _check_known(call: Call) -> None:
    """Refuse to let git commit for nobody. GitHub's API needs no names."""
    write = call.inputs.promotion_mode != "dry-run"
    if (write or call.inputs.signoff) and _NOBODY in (call.author, call.committer):
        raise UsageError(
            "Nobody is known as the commit's author and committer.",
            "Set the inputs `author` and `committer` (`--author`, `--committer`), or "
            "`git config user.name` and `user.email`.",
        )


def _credentials(inputs: Inputs, environ: Mapping[str, str], server: str) -> Credentials:
    # The job's own token is a default that nobody chose: it goes to the job's server or nowhere.
    own = inputs.token == environ.get(f"{PREFIX}JOB_TOKEN", "")
    return Credentials(
        token=inputs.token,
        ssh_key=inputs.ssh_key,
        ssh_known_hosts=inputs.ssh_known_hosts,
        token_server=server if own else "",
    )


def _commit_url(url: str, server: str, commit: str) -> str:
    """The commit's page, where the repository is on the job's GitHub server."""
    from urllib.parse import urlsplit  # noqa: PLC0415  (start-up time)

    place, web = urlsplit(url), urlsplit(server)
    if url.startswith("git@"):
        host, _, path = url.removeprefix("git@").partition(":")
        known = host == web.hostname
    else:
        path = place.path
        # Another port of the host is another server, but ssh has its own port.
        known = bool(place.hostname) and place.hostname == web.hostname
        known = known and (place.scheme == "ssh" or place.port == web.port)
    if not commit or not known:
        return ""
    return f"{server.rstrip('/')}/{path.strip('/').removesuffix('.git')}/commit/{commit}"
