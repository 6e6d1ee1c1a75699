"""The promotion itself: read the config repository, plan, and deliver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops_promote.call import Call
from gitops_promote.core.errors import PromoteError, RetryableError, UsageError
from gitops_promote.core.images import Image
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.report import Outcome, Review
from gitops_promote.core.request import Request
from gitops_promote.core.source import Source
from gitops_promote.core.tags.mutable import refuse_mutable
from gitops_promote.core.targets import parse_target
from gitops_promote.effects.ci import GITHUB, identities, read_source
from gitops_promote.effects.config_repository import ConfigRepository, Head, UnsuitedError
from gitops_promote.effects.console import Console
from gitops_promote.effects.git.repository import Credentials, GitRepository, resolve_url
from gitops_promote.effects.github.place import Place, find_api
from gitops_promote.effects.retry import retry
from gitops_promote.inputs import PREFIX, Identity, Inputs

if TYPE_CHECKING:
    from gitops_promote.core.review.history import History
    from gitops_promote.core.review.proposal import Proposal
    from gitops_promote.effects.github.client import GitHub
    from gitops_promote.effects.github.pull_requests import PullRequests

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
    images, built_by = _images(inputs, source, environ, console)
    server = source.server_url or environ.get("GITHUB_SERVER_URL", GITHUB)
    url = resolve_url(inputs.config_repository, server, source.repository, ssh=bool(inputs.ssh_key))
    call = Call(
        inputs=inputs,
        request=_request(inputs, images, built_by, committer),
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
        self.place = self._find_place()
        self.histories: dict[tuple[str, str], History | None] = {}

    def run(self) -> Outcome:
        """Deliver; through the API where that is asked for and will do."""
        if place := self._place_for_api():
            try:
                return self._run_by_api(place)
            except UnsuitedError as error:
                self.call.console.note(f"{error.what} So git makes the commit.")
        return self._run_by_git()

    def _find_place(self) -> Place | None:
        inputs = self.call.inputs
        if inputs.promotion_mode != "pull-request" and inputs.commit_via == "git":
            return None
        return find_api(self.url, self.call.environ)

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
            pull_requests = self._pull_requests(github, place)
            find = pull_requests.find if pull_requests else None
            return self._deliver(repository, pull_requests, find)

    def _run_by_git(self) -> Outcome:
        call, place = self.call, self.place
        _check_known(call)
        with ExitStack() as stack:
            pull_requests = None
            if place and call.inputs.promotion_mode == "pull-request":
                github = stack.enter_context(self._github(place))
                pull_requests = self._pull_requests(github, place)
            repository = GitRepository(self.url, self.credentials, call.environ)
            stack.enter_context(repository)
            find = pull_requests.find if pull_requests else repository.proposal
            return self._deliver(repository, pull_requests, find)

    def _github(self, place: Place) -> GitHub:
        from gitops_promote.effects.github.client import GitHub  # noqa: PLC0415  (slow)

        token, own = self._token_for(place), bool(self.credentials.token_server)
        if not token:
            raise UsageError(
                f"There is no token for {place.name} of {urlsplit(place.api_url).hostname}.",
                "Give one in `token`: the job's own is for the job's GitHub server alone, and an "
                "ssh key opens no pull requests.",
            )
        return GitHub(place.api_url, token, own_token=own)

    def _pull_requests(self, github: GitHub, place: Place) -> PullRequests | None:
        if self.call.inputs.promotion_mode != "pull-request":
            return None
        from gitops_promote.effects.github.pull_requests import (  # noqa: PLC0415  (slow)
            PullRequests,
        )

        return PullRequests(github, place.name)

    def _deliver(
        self,
        repository: ConfigRepository,
        pull_requests: PullRequests | None,
        find: Callable[[str, Head], Proposal] | None,
    ) -> Outcome:
        call = retry(lambda: self.call.signed_for(repository), self._tell)
        if find and call.inputs.promotion_mode == "pull-request":
            return self._review(call, repository, pull_requests, find)
        base, plan, commit = retry(lambda: _push(call, repository), self._tell)
        return self._outcome(plan, base, commit)

    def _review(
        self,
        call: Call,
        repository: ConfigRepository,
        pull_requests: PullRequests | None,
        find: Callable[[str, Head], Proposal],
    ) -> Outcome:
        from gitops_promote.pull_request import Reviewing  # noqa: PLC0415  (start-up time)

        reviewing = Reviewing(call, repository, find, pull_requests, self._history)
        reviewed = retry(reviewing.attempt, self._tell)
        return self._outcome(reviewed.plan, reviewed.base, reviewed.commit, reviewed.review)

    def _tell(self, error: RetryableError, pause: float) -> None:
        console = self.call.console
        text = f"{error.what} Trying again in {pause:.1f} s …"
        console.show_untrusted(console.paint(text, "dim"))

    def _history(self, request: Request, old_version: str) -> History | None:
        """What the promotion adds to the app, as far as anyone tells."""
        source = request.source
        key = source.commit, old_version
        if key not in self.histories:
            self.histories[key] = self._read_history(request, old_version)
        return self.histories[key]

    def _read_history(self, request: Request, old_version: str) -> History | None:
        source, environ = request.source, self.call.environ
        place = find_api(f"{source.server_url}/{source.repository}", environ)
        if not (source.commit and source.server_url and place):
            return None
        own = environ.get(f"{PREFIX}JOB_TOKEN", "").strip()
        own = own if _is_at(place, self.call.server, environ) else ""
        same_server = self.place and place.api_url == self.place.api_url
        token = own or (self._token_for(place) if same_server else "")
        from gitops_promote.effects.github.client import GitHub  # noqa: PLC0415  (slow)
        from gitops_promote.effects.github.history import read_history  # noqa: PLC0415

        # It helps reviewers, and is no reason to promote nothing.
        with suppress(PromoteError), GitHub(place.api_url, token, own_token=bool(own)) as github:
            return read_history(github, source, old_version, request.app)
        return None

    def _outcome(
        self, plan: Plan, base: Head, commit: str, review: Review | None = None
    ) -> Outcome:
        call = self.call
        return Outcome(
            plan=plan,
            images=call.request.images,
            mode=call.inputs.promotion_mode,
            repository=call.repository,
            branch=base.branch,
            commit=commit,
            commit_url=_commit_url(self.url, call.server, commit),
            review=review,
            own_token=bool(self.credentials.token_server),
        )


def _is_at(place: Place, server: str, environ: Mapping[str, str]) -> bool:
    """Whether a place is on a server."""
    there = find_api(f"{server}/{place.name}", environ)
    return there is not None and there.api_url == place.api_url


def _push(call: Call, repository: ConfigRepository) -> tuple[Head, Plan, str]:
    """Plan on the newest head and push; the commit is empty where nothing was to be pushed."""
    head = repository.fetch(call.inputs.config_ref)
    plan = make_plan(repository.snapshot(head.commit), call.request)
    if call.inputs.promotion_mode == "dry-run" or not plan.files:
        return head, plan, ""
    return head, plan, repository.push(head, call.new_commit(plan))


def _request(
    inputs: Inputs, images: tuple[Image, ...], source: Source, committer: Identity
) -> Request:
    environments = inputs.environments or ("",)
    targets = [
        parse_target(line, environment, inputs.app)
        for environment in environments
        for line in inputs.targets
    ]
    return Request(
        images=images,
        targets=tuple(dict.fromkeys(targets)),
        environments=inputs.environments,
        app=inputs.app,
        source=source,
        message=inputs.commit_message,
        signoff=str(committer) if inputs.signoff else "",
    )


def _images(
    inputs: Inputs, source: Source, environ: Mapping[str, str], console: Console
) -> tuple[tuple[Image, ...], Source]:
    """The images with their tags, and the run that they were built by, as far as it is known."""
    images, better = inputs.images, ""
    known: dict[str, str | None] = {**inputs.mutable}
    if any(image.tag is None and image.digest is None for image in images):
        from gitops_promote.tags import better_tag, version_of  # noqa: PLC0415  (start-up time)

        computed = version_of(inputs.tags, source, environ, console)
        images = tuple(image.with_default_tag(computed.version) for image in images)
        known[computed.version] = computed.mutable
        better = better_tag(computed, source)
    elif not source.run_id:
        # The checkout that this happens to run in need not be what the image was built from.
        source = Source()
    if not inputs.allow_mutable_tag:
        refuse_mutable(images, source, inputs.environments, known, better)
    return images, source


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
