"""What git says, as one sentence and what to do next.

The patterns are the English messages of git, curl and OpenSSH, and those that GitHub and GitLab
send through them. Lines of `remote:` are free text that anyone's hook may print: they are shown,
and only told apart by where git itself says that the server refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.core.errors import BusyError, MovedHeadError, PromoteError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Sequence


class GitError(Exception):
    """A git command that failed; its texts hold no secret.

    Args:
        command: The subcommand, such as `push`.
        output: Its standard output.
        messages: Its standard error.
        status: Its exit status.
    """

    def __init__(self, command: str, output: str, messages: str, status: int) -> None:
        self.command = command
        self.output = output
        self.messages = messages
        self.status = status
        super().__init__(f"git {command} exited with {status}: {messages.strip()}")

    @property
    def own(self) -> str:
        """What git and ssh say themselves."""
        # Only these two end a line for git, which then says again whose the next one is: a hook
        # may print what Python takes for the end of one.
        lines = re.split("[\r\n]", self.messages)
        return "\n".join(line for line in lines if not line.startswith(("remote:", "hint:")))

    @property
    def said(self) -> str:
        """What the server says, on one line."""
        lines = re.findall(r"^(?:remote:|ERROR:)(.*)$", self.messages, re.MULTILINE)
        plain = (re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f]", "", line) for line in lines)
        text = " ".join(line.strip() for line in plain if re.search(r"\w", line))
        return text if len(text) <= 600 else text[:600] + "…"

    @property
    def rejection(self) -> str:
        """Why the branch was not updated, as `git push --porcelain` gives it (git-push(1))."""
        match = re.search(
            r"^!\t[^\t]*\t\[(?:remote )?(?:rejected|failure)\] \((.*)\)$", self.output, re.MULTILINE
        )
        return match[1] if match else ""

    @property
    def is_unsent(self) -> bool:
        """Whether a push was given up before anything was sent: the branch isn't where it was."""
        return bool(re.search(r"^!\t[^\t]*\t\[rejected\]", self.output, re.MULTILINE))

    @property
    def last(self) -> str:
        """The line that says most where nothing is known about the failure."""
        lines = [line.strip() for line in self.own.splitlines() if line.strip()]
        grave = [line for line in lines if line.startswith(("fatal:", "error:"))]
        line = (grave or lines or [f"exit status {self.status}"])[-1 if not grave else 0]
        return re.sub(r"^(?:fatal|error): ", "", line).rstrip(".")


@dataclass(frozen=True, slots=True)
class Place:
    """What a failed command was about.

    Attributes:
        url: The repository, as the user knows it.
        host: Its host; empty for a local one.
        branch: The branch; empty for the default one.
        credential: The credential in use, as a user may call it: `token`, `ssh-key`, or empty.
        advice: What to do about credentials that are missing or do not suffice.
    """

    url: str
    host: str
    branch: str
    credential: str
    advice: str


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: str
    what: str
    fix: str
    error: type[PromoteError] = PromoteError
    said: str = ""


_AGAIN = "Run the job again; if it lasts, look at the status of {host}."

_LOCKED = "Branch {branch} of {url} is locked, as another push changes it."
_UNLOCK = (
    "Run the job again; if it lasts, a git that was ended on the server left its lock behind.{said}"
)

#: What tells, of a branch that could not be set, that another run was faster.
_OVERTAKEN = (
    r"is at \w+ but expected|reference already exists|reference does not exist|"
    r"unable to resolve reference"
)

#: On the reason that `git push --porcelain` gives. What may pass is known by the whole of it, as
#: some servers let their hooks give one.
_REJECTIONS: Sequence[_Rule] = (
    _Rule(
        r"^(?:fetch first|non-fast-forward|stale info|remote ref updated since checkout|"
        r"incorrect old value provided|reference already exists|reference does not exist)$|"
        rf"^cannot lock ref '[^']*': (?:{_OVERTAKEN})",
        "Branch {branch} of {url} moved while the change was made.",
        "Run the job again.",
        MovedHeadError,
    ),
    _Rule(
        # The reason alone doesn't tell why: the server's own git does, on another line. No hook
        # has refused then.
        r"^failed to update ref$",
        "Branch {branch} of {url} moved while the change was made.",
        "Run the job again.",
        MovedHeadError,
        said=rf"cannot lock ref '[^']*': (?:{_OVERTAKEN})",
    ),
    _Rule(
        r"^cannot lock ref '[^']*': Unable to create .*: File exists|"
        r"reference is already locked$",
        _LOCKED,
        _UNLOCK,
        BusyError,
    ),
    _Rule(
        r"^failed to update ref$",
        _LOCKED,
        _UNLOCK,
        BusyError,
        said=r"cannot lock ref '[^']*': Unable to create .*: File exists",
    ),
    _Rule(
        r"^(?:failed to update ref|failure|remote failed to report status)$|"
        r"^(?:cannot lock ref|unable to lock|failed to lock|lock error)\b|"
        r"^[Ii]nternal [Ss]erver [Ee]rror\b",
        "{url} could not update branch {branch} just now: {reason}.{said}",
        "Run the job again.",
        RetryableError,
    ),
    _Rule(
        r"branch is currently checked out",
        "Branch {branch} is checked out in {url}, so git does not let a push change it.",
        "Name a bare repository, or set receive.denyCurrentBranch to updateInstead there.",
    ),
    _Rule(
        r"unpacker error",
        "{url} could not store the change: {last}.{said}",
        "Look at the free space, quota and file permissions of the repository.",
    ),
    _Rule(
        r"",
        "Branch {branch} of {url} is protected against this push: {reason}.{said}",
        "Let this token or key push to the branch, or name another one in `config-ref` (in "
        "`branch`, if it is a pull request's).",
    ),
)

#: On what git itself says, the telling before the vague.
_MESSAGES: Sequence[_Rule] = (
    _Rule(
        r"returned error: 429|HTTP 429\b",
        "{host} says that it is asked too often: {last}.{said}",
        "Run the job again later.",
        BusyError,
    ),
    _Rule(
        r"returned error: (?:5\d\d|408)|HTTP (?:5\d\d|408)\b",
        "{host} failed to answer for {url}: {last}.{said}",
        _AGAIN,
        RetryableError,
    ),
    _Rule(
        r"returned error: 30\d|unable to update url base from redirection",
        "{url} redirects elsewhere: the repository was renamed or moved.",
        "Give its new name or URL in `config-repository`.",
    ),
    _Rule(
        r"marked as read.only|Permission to \S+ denied|Write access to repository not granted",
        "The {credential} may not {access} {url}.{said}",
        "{advice}",
    ),
    _Rule(
        r"returned error: 403",
        "{host} does not let this {credential} {access} {url}.{said}",
        "{advice}",
    ),
    _Rule(
        r"returned error: 401|could not read (?:Username|Password)|Authentication failed",
        "{host} refused the credentials for {url}.{said}",
        "{advice}",
    ),
    _Rule(
        r"Load key .*(?:invalid format|error in libcrypto|incorrect passphrase)",
        "Input ssh-key is not a private key that ssh can read.",
        "Give the whole private key, from its BEGIN to its END line, without a passphrase.",
    ),
    _Rule(
        r"Host key verification failed|HOST IDENTIFICATION HAS CHANGED|host key is known",
        "The host key of {host} is not one that is trusted, so nothing was sent.",
        "Compare it with the key that the host publishes, and give that in `ssh-known-hosts`.",
    ),
    _Rule(
        r"Permission denied \(|Too many authentication failures",
        "{host} refused the ssh key for {url}.",
        "{advice}",
    ),
    _Rule(
        r"[Cc]ould not resolve (?:host|proxy)",
        "Host {host} of {url} is unknown to this machine's name service.",
        "Check the host's name in `config-repository`, and the runner's network and proxy.",
        RetryableError,
    ),
    _Rule(
        r"Could ?n.t connect to server|Failed to connect to|Connection refused|"
        r"[Nn]o route to host|Network is unreachable|Connection timed out",
        "{host} can't be reached for {url}: {last}.",
        "Check the host's name and port in `config-repository`, and the runner's network.",
        RetryableError,
    ),
    _Rule(
        r"SSL certificate|certificate verif|unable to get local issuer|CAfile",
        "{host} shows a certificate that this machine does not trust.",
        "Tell git of its authority: `git config --global http.sslCAInfo FILE` on the runner.",
    ),
    _Rule(
        r"dubious ownership",
        "{url} belongs to another user, so git does not open it.",
        "Run `git config --global --add safe.directory PATH` with its path.",
    ),
    _Rule(
        r"No space left on device|[Qq]uota exceeded",
        "There is no space left to {access} {url}.",
        "Free some on the runner, or in the repository if it is local.",
    ),
    _Rule(
        r"ot valid: is this a git repository|does not appear to be a git repository",
        "{url} is not a git repository.{said}",
        "Check `config-repository`.",
    ),
    _Rule(
        r"^fatal: repository .* (?:not found|does not exist)|Repository not found|"
        r"could not be found or you don.t have permission",
        "{url} was not found{hidden}.",
        "Check `config-repository`. {advice}",
    ),
    _Rule(
        r"transport '.*' not allowed",
        "{url} is rewritten by git's configuration to a transport that is not supported: {last}.",
        "Look for `insteadOf` in `git config --show-origin --list`.",
    ),
    _Rule(
        r"cannot run ssh|ssh: (?:command )?not found",
        "There is no ssh on this machine to reach {url}.",
        "Install OpenSSH's client, or use an https URL with `token`.",
    ),
    _Rule(
        r"aborted by hook",
        "A hook did not let git {access} {url}: {last}.{said}",
        "Look at the hooks of the repository, and at `core.hooksPath` of its host.",
    ),
    _Rule(
        r"hung up unexpectedly|early EOF|Empty reply|[Cc]onnection (?:was )?reset|Broken pipe|"
        r"closed by (?:remote|UNKNOWN|\S+ port)|RPC failed|Operation (?:too slow|timed out)|"
        r"recv error|Recv failure|Send failure|transfer closed|not closed cleanly|"
        r"unexpected disconnect|SSL_ERROR_SYSCALL|invalid server response",
        "The connection to {where} broke: {last}.{said}",
        _AGAIN,
        RetryableError,
    ),
    _Rule(
        r"",
        "git {command} of {url} failed: {last}.{said}",
        "Try the same command by hand from this machine.",
    ),
)


def explain(failure: GitError, place: Place) -> PromoteError:
    """Say what a failed command means.

    Args:
        failure: The command and what it printed.
        place: What it was about.

    Returns:
        The error to raise: a `RetryableError` where another try may succeed, `MovedHeadError` where
        another commit came first, `BusyError` where others keep the server from it.
    """
    rules = _REJECTIONS if failure.rejection else _MESSAGES
    text = failure.rejection or failure.own
    fitting = (rule for rule in rules if re.search(rule.pattern, text, re.MULTILINE))
    rule = next(rule for rule in fitting if re.search(rule.said, failure.said))
    fields = {
        "url": place.url,
        "host": place.host or "the repository",
        "where": place.host or place.url,
        "branch": place.branch,
        "credential": place.credential or "job",
        "advice": place.advice,
        "hidden": f", or is hidden from this {place.credential}" if place.credential else "",
        "command": failure.command,
        "access": "write to" if failure.command == "push" else "read",
        "reason": failure.rejection,
        "said": f" It says: {failure.said.rstrip('.')}." if failure.said else "",
        "last": failure.last,
    }
    return rule.error(rule.what.format(**fields), rule.fix.format(**fields).strip())
