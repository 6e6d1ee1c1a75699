"""The promotion itself: read the config repository, plan, and deliver."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from gitops_promote.core.errors import RetryableError, UsageError
from gitops_promote.core.images import Image
from gitops_promote.core.plan import Plan, Request, make_plan
from gitops_promote.core.report import Outcome
from gitops_promote.core.source import Source
from gitops_promote.core.tags.mutable import refuse_mutable
from gitops_promote.core.targets import parse_target
from gitops_promote.effects.ci import GITHUB, identities, read_source
from gitops_promote.effects.config_repository import ConfigRepository, Head, NewCommit
from gitops_promote.effects.console import Console
from gitops_promote.effects.git import Credentials, GitRepository, resolve_url
from gitops_promote.effects.retry import retry
from gitops_promote.inputs import PREFIX, Identity, Inputs

#: Stands for the author of a commit that isn't made.
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
    write = inputs.promotion_mode == "push"
    author, committer = _identities(inputs, source, environ, needed=write or inputs.signoff)
    images, built_by = _images(inputs, source, environ, console)
    request = _request(inputs, images, built_by, committer)
    server = source.server_url or environ.get("GITHUB_SERVER_URL", GITHUB)
    use_ssh = bool(inputs.ssh_key)
    url = resolve_url(inputs.config_repository, server, source.repository, ssh=use_ssh)
    with GitRepository(url, _credentials(inputs, environ, server), environ) as repository:
        delivery = _Delivery(repository, request, author, committer, console, inputs.config_ref)
        head, plan, commit = delivery.run(write=write)
    return Outcome(
        plan=plan,
        images=request.images,
        mode=inputs.promotion_mode,
        repository=inputs.config_repository or source.repository,
        branch=head.branch,
        commit=commit,
        commit_url=_commit_url(url, server, commit),
    )


class _Delivery:
    """Plans on the newest head and pushes, again and again while others are faster."""

    def __init__(
        self,
        repository: ConfigRepository,
        request: Request,
        author: Identity,
        committer: Identity,
        console: Console,
        branch: str,
    ) -> None:
        self.repository = repository
        self.request = request
        self.author = author
        self.committer = committer
        self.console = console
        self.branch = branch

    def run(self, *, write: bool) -> tuple[Head, Plan, str]:
        """Deliver; the commit is empty where nothing was to be pushed."""

        def tell(error: RetryableError, pause: float) -> None:
            text = f"{error.what} Trying again in {pause:.1f} s …"
            self.console.show_untrusted(self.console.paint(text, "dim"))

        return retry(lambda: self._attempt(write=write), tell)

    def _attempt(self, *, write: bool) -> tuple[Head, Plan, str]:
        head = self.repository.fetch(self.branch)
        plan = make_plan(self.repository.snapshot(head.commit), self.request)
        if not (write and plan.files):
            return head, plan, ""
        new = NewCommit(plan.files, plan.message, self.author, self.committer)
        return head, plan, self.repository.push(head, new)


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
    inputs: Inputs, source: Source, environ: Mapping[str, str], *, needed: bool
) -> tuple[Identity, Identity]:
    if inputs.author and inputs.committer:
        return inputs.author, inputs.committer
    known = identities(source, environ)
    if known is None:
        if needed:
            raise UsageError(
                "Nobody is known as the commit's author and committer.",
                "Set the inputs `author` and `committer` (`--author`, `--committer`), or "
                "`git config user.name` and `user.email`.",
            )
        known = _NOBODY, _NOBODY
    return inputs.author or known[0], inputs.committer or known[1]


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
