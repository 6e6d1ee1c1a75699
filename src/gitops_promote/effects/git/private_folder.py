"""Git in a private folder, where no setting of the caller's has a part in what it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.effects.git.errors import GitError, Place, explain
from gitops_promote.effects.git.remote import (
    Credentials,
    git_environment,
    parse_url,
    write_ssh_files,
)
from gitops_promote.effects.programs import find_git

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gitops_promote.effects.git.traffic import Traffic

#: The oldest git whose options are used here and by those who build on this.
OLDEST_GIT = (2, 25)

#: What asks the server.
_MOVING = frozenset({"clone", "fetch", "ls-remote", "push"})


class PrivateFolder:
    """The folder that git works in to reach a remote repository, which only this user can read.

    It is there from `open` to `close`, and takes the private key, too.

    Args:
        url: What `resolve_url` gives.
        credentials: What opens it.
        environ: The caller's environment; None: that of this process.
        timeout: Seconds that one git command may take.

    Attributes:
        remote: The remote repository.
        path: The folder.
        git: The program.
        environment: What it runs in.
        meter: Is told what each command moved: the subcommand, the repository, and how much.

    Raises:
        UsageError: The URL has a form or transport that is not supported.
        PromoteError: The token may not be sent to this URL, or there is no git.
    """

    path: Path
    meter: Callable[[str, str, Traffic], None] | None = None

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        environ: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> None:
        environ = os.environ if environ is None else environ
        self.remote = parse_url(url)
        self._credentials = credentials
        self.environment = git_environment(self.remote, credentials, environ)
        self._timeout = timeout
        # The runner empties its own temporary folder after the job, even one that was killed.
        folders = (environ.get(name, "") for name in ("TMPDIR", "RUNNER_TEMP"))
        self._parent_folder = next((f for f in folders if f and Path(f).is_dir()), None)
        self._running: dict[subprocess.Popen[bytes], str] = {}
        self._stopped: set[str] = set()
        self.git = find_git(environ)
        if not self.git:
            raise PromoteError("There is no git on this machine.", _install())

    @property
    def may_ask(self) -> bool:
        """Whether git or ssh may ask somebody for a password, or to touch a key."""
        is_ssh = self.remote.scheme == "ssh"
        return (is_ssh and not self._credentials.ssh_key) or bool(
            self.environment.get("GIT_ASKPASS")
        )

    def open(self) -> None:
        """Make the folder, and write the private key into it."""
        # What can't be removed must not make a failure of a push that succeeded.
        self._temporary = TemporaryDirectory(
            prefix="gitops-promote-", dir=self._parent_folder, ignore_cleanup_errors=True
        )
        self.path = Path(self._temporary.name)
        write_ssh_files(self._credentials, self.path)

    def stop(self, *repositories: str) -> None:
        """End what runs, and what is about to.

        Args:
            *repositories: In which repositories; without any, in all.
        """
        self._stopped.update(repositories or ("",))
        for process, where in tuple(self._running.items()):
            if self._is_stopped(where):
                _end(process)

    def close(self) -> None:
        """Remove the folder, in which nothing may run any more."""
        self.stop()
        self._temporary.cleanup()

    def _is_stopped(self, repository: str) -> bool:
        return not self._stopped.isdisjoint(("", repository))

    def run(
        self, *command: str, repository: str = "", data: bytes = b"", settings: Sequence[str] = ()
    ) -> str:
        """Run git.

        Args:
            *command: The subcommand and its arguments.
            repository: Which repository in the folder it is about; empty for none.
            data: Its standard input.
            settings: Configuration for this command alone, as `NAME=VALUE`.

        Returns:
            What it prints.

        Raises:
            GitError: It failed.
            RetryableError: It took too long.
        """
        return self.run_telling(*command, repository=repository, data=data, settings=settings)[0]

    def run_telling(
        self, *command: str, repository: str = "", data: bytes = b"", settings: Sequence[str] = ()
    ) -> tuple[str, str]:
        """Run git, for what it says beside its result.

        Args:
            *command: As for `run`.
            repository: As for `run`.
            data: As for `run`.
            settings: As for `run`.

        Returns:
            What it prints, and its messages.

        Raises:
            GitError: As for `run`.
            RetryableError: As for `run`.
        """
        if not (self.meter and command[0] in _MOVING):
            return self._run(command, repository, data, settings, self.environment)
        from gitops_promote.effects.git.traffic import Trace  # noqa: PLC0415  (rarely asked for)

        trace = Trace(self.path)
        try:
            environment = {**self.environment, **trace.environment}
            settings = (*settings, *trace.settings)
            return self._run(command, repository, data, settings, environment)
        finally:
            self.meter(command[0], _about(command, repository), trace.read())

    def _run(
        self,
        command: Sequence[str],
        repository: str,
        data: bytes,
        settings: Sequence[str],
        environment: Mapping[str, str],
    ) -> tuple[str, str]:
        where = (f"--git-dir={repository}",) if repository else ()
        options = (word for setting in settings for word in ("-c", setting))
        with subprocess.Popen(
            (self.git, *where, *options, *command),
            cwd=self.path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal to ask on; one group to end
        ) as process:
            about = _about(command, repository)
            self._running[process] = about
            if self._is_stopped(about):
                _end(process)
            try:
                output, messages = process.communicate(data, self._timeout)
            except subprocess.TimeoutExpired:
                _end(process)
                raise RetryableError(
                    f"git {command[0]} of {self.remote.url} took over {self._timeout:g} seconds.",
                    "Run the job again; if it lasts, look at the network and the server.",
                ) from None
            except BaseException:
                _end(process)
                raise
            finally:
                self._running.pop(process, None)
        redact = self._credentials.redact
        text, said = output.decode("utf-8", "surrogateescape"), messages.decode("utf-8", "replace")
        if process.returncode:
            raise GitError(command[0], redact(text), redact(said), process.returncode)
        return text, redact(said)

    def explain(self, failure: GitError, branch: str) -> PromoteError:
        """Say what a failed command means.

        Args:
            failure: The command.
            branch: The branch that it was about; empty for the default one.

        Returns:
            The error to raise.
        """
        if failure.status == 129 and (version := self._old_version()):
            return PromoteError(f"git {version} is too old.", _install())
        remote, credentials = self.remote, self._credentials
        credential, advice = "", ""
        if remote.scheme == "ssh":
            credential = "ssh-key" if credentials.ssh_key else "ssh client"
            advice = "Give `ssh-key` a private key that may {0} it, such as a deploy key's."
        elif remote.scheme != "file" and remote.takes_token(credentials):
            credential = "token"
            advice = "Give `token` a token that may {0} it."
            if credentials.token_server:
                advice = (
                    "The job's own token reaches the job's own repository alone, and may do there "
                    f"what `permissions` of the job say. {advice}"
                )
        elif remote.scheme != "file":
            advice = f"Give `token` a token of {remote.host} that may {{0}} it."
            if credentials.token:
                advice += " The job's own token is for its GitHub server only."
        access = "write to" if failure.command == "push" else "read"
        place = Place(remote.url, remote.host, branch, credential, advice.format(access))
        return explain(failure, place)

    def _old_version(self) -> str:
        with suppress(GitError):
            words = self.run("version").split()
            version = words[2] if len(words) > 2 else ""
            numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
            return version if numbers < OLDEST_GIT else ""
        return ""


def _about(command: Sequence[str], repository: str) -> str:
    """The repository that a command is about: a clone runs in none, and makes one."""
    return command[-1] if command[0] == "clone" else repository


def _end(process: subprocess.Popen[bytes]) -> None:
    # git's helpers, such as the one for https, would outlive git itself.
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _install() -> str:
    return "Install git {}.{} or newer on the runner.".format(*OLDEST_GIT)
