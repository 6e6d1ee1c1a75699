"""Git in a private folder: a bare repository that no setting of the caller's has a part in."""

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
    from collections.abc import Mapping

#: The oldest git whose options are used here and by those who build on this.
OLDEST_GIT = (2, 25)

#: The repository's name in the private folder.
FOLDER = "repository.git"


class PrivateRepository:
    """A remote repository, and the private folder that git works in to reach it.

    The folder, which also takes the private key, can only be read by this user. It is there from
    `_open` to `_close`.

    Args:
        url: What `resolve_url` gives.
        credentials: What opens it.
        environ: The caller's environment; None: that of this process.
        timeout: Seconds that one git command may take.

    Raises:
        UsageError: The URL has a form or transport that is not supported.
        PromoteError: The token may not be sent to this URL, or there is no git.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        environ: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> None:
        environ = os.environ if environ is None else environ
        self._remote = parse_url(url)
        self._credentials = credentials
        self._environment = git_environment(self._remote, credentials, environ)
        self._timeout = timeout
        # The runner empties its own temporary folder after the job, even one that was killed.
        folders = (environ.get(name, "") for name in ("TMPDIR", "RUNNER_TEMP"))
        self._parent_folder = next((f for f in folders if f and Path(f).is_dir()), None)
        self._git = find_git(environ)
        if not self._git:
            raise PromoteError("There is no git on this machine.", _install())

    def _open(self) -> None:
        # What can't be removed must not make a failure of a push that succeeded.
        self._temporary = TemporaryDirectory(
            prefix="gitops-promote-", dir=self._parent_folder, ignore_cleanup_errors=True
        )
        self._folder = Path(self._temporary.name)
        write_ssh_files(self._credentials, self._folder)

    def _close(self) -> None:
        self._temporary.cleanup()

    def _run(self, command: str, *rest: str, data: bytes = b"", inside: bool = True) -> str:
        where = (f"--git-dir={FOLDER}",) if inside else ()
        with subprocess.Popen(
            (self._git, *where, command, *rest),
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal to ask on; one group to end
        ) as process:
            try:
                output, messages = process.communicate(data, self._timeout)
            except subprocess.TimeoutExpired:
                _end(process)
                raise RetryableError(
                    f"git {command} of {self._remote.url} took over {self._timeout:g} seconds.",
                    "Run the job again; if it lasts, look at the network and the server.",
                ) from None
            except BaseException:
                _end(process)
                raise
        redact = self._credentials.redact
        text = output.decode("utf-8", "surrogateescape")
        if process.returncode:
            said = messages.decode("utf-8", "replace")
            raise GitError(command, redact(text), redact(said), process.returncode)
        return text

    def _explain(self, failure: GitError, branch: str) -> PromoteError:
        if failure.status == 129 and (version := self._old_version()):
            return PromoteError(f"git {version} is too old.", _install())
        remote, credentials = self._remote, self._credentials
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
            words = self._run("version", inside=False).split()
            version = words[2] if len(words) > 2 else ""
            numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
            return version if numbers < OLDEST_GIT else ""
        return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    # git's helpers, such as the one for https, would outlive git itself.
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _install() -> str:
    return "Install git {}.{} or newer on the runner.".format(*OLDEST_GIT)
