"""What GitHub's API says, as one sentence and what to do next.

Status, headers and texts are those of GitHub's documentation: "Rate limits for the REST API",
"Rate limits and query limits for the GraphQL API", "Troubleshooting the REST API" and "Permissions
required for fine-grained personal access tokens". The texts are anyone's: shown on one line, cut,
and only told apart where no status does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitops_promote.core.errors import PromoteError, RetryableError

#: For how many seconds who met a secondary limit keeps away, where the server doesn't say
#: ("Rate limits for the REST API": at least one minute).
USUAL_WAIT = 60.0

_LONGEST_TEXT = 600
_LIMIT = r"rate limit|abuse detection|retry your request again later|wait a few minutes"
#: Of writes that follow each other too fast, which is no fault of a value in spite of its status.
_HASTE = r"submitted too quickly"
_DENIED = (
    r"not accessible by|not granted the required scopes|[Mm]ust have (?:push|admin|write)|"
    r"does not have (?:the correct )?permission"
)
_PASSING = r"[Ss]omething went wrong|[Tt]imed? ?out|[Ii]nternal (?:server )?error|[Uu]nicorn"

#: What no status tells: a pattern of the server's text, what it means, and what to do next.
_TOLD: Sequence[tuple[str, str, str]] = (
    (
        r"not permitted to (?:create|approve)",
        "A setting forbids GitHub Actions to {doing}.",
        (
            'Turn on "Allow GitHub Actions to create and approve pull requests" in the '
            "repository's Settings > Actions > General > Workflow permissions, or give another "
            "token in `token`."
        ),
    ),
    (
        r"\barchived\b",
        "{host} did not {doing}: the repository is archived, so nothing may change it.",
        "Unarchive it in its Settings, or name another in `config-repository`.",
    ),
    (
        (
            r"rule violations?|[Pp]rotected branch|branch protection|GH0(?:06|13)|"
            r"made through a pull request|[Rr]equired status check|"
            r"Cannot (?:force.push|delete this branch)"
        ),
        "A rule of the repository does not let this token {doing}.{says}",
        (
            "Let the token's owner pass it in the repository's Settings > Rules or Branches, or "
            "use `promotion-mode: pull-request`, with a `branch` that no rule is about."
        ),
    ),
)

#: What a server of an older version says of a field or type that it lacks.
UNKNOWN = frozenset({"undefinedField", "undefinedType", "variableRequiresValidType"})


class GitHubError(PromoteError):
    """A request that GitHub refused and will refuse again.

    Args:
        what: As for `PromoteError`.
        fix: As for `PromoteError`.
        status: The status of the answer; 200 where GraphQL tells of the error in its own way.
        kinds: The types of GraphQL's errors, such as `NOT_FOUND`.
        said: What the server says, on one line.
    """

    def __init__(
        self,
        what: str,
        fix: str = "",
        *,
        status: int = 0,
        kinds: frozenset[str] = frozenset(),
        said: str = "",
    ) -> None:
        self.status = status
        self.kinds = kinds
        self.said = said
        super().__init__(what, fix)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request was for.

    Attributes:
        doing: As it follows "may not": "open a pull request in acme/deploy".
        host: Whom it went to.
        own_token: Whether it went with the job's own token.
        needs: The permission that it needs, as `contents=write`, where the answer may not say so.
    """

    doing: str
    host: str
    own_token: bool = False
    needs: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that tells of a failure.

    Attributes:
        status: Its status.
        headers: Its headers, by their names in small letters.
        body: Its JSON.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def errors(self) -> list[Any]:
        """What REST and GraphQL list as `errors`."""
        found = self.body.get("errors") if isinstance(self.body, dict) else None
        return found if isinstance(found, list) else []

    @property
    def kinds(self) -> frozenset[str]:
        """The types of GraphQL's errors; for its own errors in a document their codes."""
        found = set()
        for error in self.errors:
            if isinstance(error, dict):
                extensions = error.get("extensions")
                code = extensions.get("code") if isinstance(extensions, dict) else None
                found.add(str(error.get("type") or code or ""))
        return frozenset(found - {""})

    @property
    def said(self) -> str:
        """What the server says, on one line."""
        body = self.body if isinstance(self.body, dict) else {}
        texts = [body.get("message"), *map(_text, self.errors)]
        lines = (one_line(text) for text in texts if isinstance(text, str))
        return cut(" ".join(dict.fromkeys(line.rstrip(".") + "." for line in lines if line)))


def explain(answer: Answer, asked: Asked, now: float) -> PromoteError:
    """Say what an answer means.

    Args:
        answer: The answer.
        asked: What was asked for.
        now: The seconds since 1970, by the server's clock where it shows it.

    Returns:
        The error to raise: a `RetryableError` where another try may succeed, else a `GitHubError`.
    """
    if answer.status >= 500 or answer.status == 408 or _is_passing(answer):
        return _failed(answer, asked, now)
    wait = _wait(answer, now)
    if wait is not None:
        return _limited(wait, asked)
    what, fix = _refusal(answer, asked)
    return GitHubError(what, fix, status=answer.status, kinds=answer.kinds, said=answer.said)


def one_line(text: str) -> str:
    """A text from outside without what moves a terminal's cursor or hides what is there.

    Args:
        text: The text.

    Returns:
        The text on one line.
    """
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    hidden = r"\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    return re.sub(rf"[{hidden}]+", " ", text).strip()


def cut(text: str) -> str:
    """A text of a length that a log takes.

    Args:
        text: The text.

    Returns:
        The text, or its beginning.
    """
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def duration(seconds: float) -> str:
    """A time to wait, as people say it.

    Args:
        seconds: Its length.

    Returns:
        Such as `42 minutes`; never less than what was meant.
    """
    whole = -int(-seconds // 1)
    if whole <= 120:
        return "1 second" if whole == 1 else f"{whole} seconds"
    return f"{-(-whole // 60)} minutes"


def _text(error: object) -> str:
    """An item of `errors`: a sentence, or the field that REST finds fault with and why."""
    if not isinstance(error, dict):
        return error if isinstance(error, str) else ""
    if isinstance(error.get("message"), str):
        return str(error["message"])
    return " ".join(str(error[name]) for name in ("field", "code") if error.get(name))


def _says(answer: Answer) -> str:
    said = answer.said
    return f" It says: {said}" if said not in ("", "Not Found.") else ""


def _wait(answer: Answer, now: float) -> float | None:
    """For how long the server asks to be left alone; None where it doesn't."""
    spent = answer.headers.get("x-ratelimit-remaining", "").strip() == "0"
    asks = answer.headers.get("retry-after", "")
    named = bool(re.search(_LIMIT, answer.said, re.IGNORECASE))
    limited = answer.status == 429 or bool({"RATE_LIMITED", "RATE_LIMIT"} & answer.kinds)
    if answer.status == 403:
        limited = named or bool(asks) or (spent and not re.search(_DENIED, answer.said))
    if answer.status in (200, 422):
        limited |= bool(re.search(_HASTE, answer.said, re.IGNORECASE))
    if not (limited or (answer.status < 400 and named)):
        return None
    told = _seconds(asks, now)
    if told is None and spent:
        told = _seconds(answer.headers.get("x-ratelimit-reset", ""), now, is_moment=True)
    return USUAL_WAIT if told is None else told


def _seconds(value: str, now: float, *, is_moment: bool = False) -> float | None:
    """A header's time in seconds from now, at least one."""
    if re.fullmatch(r"\s*\d{1,12}(?:\.\d*)?\s*", value):
        found = float(value) - (now if is_moment else 0)
    elif (moment := moment_of(value)) is not None:
        found = moment - now
    else:
        return None
    return max(found, 1.0)


def moment_of(date: str) -> float | None:
    """Read a date of HTTP.

    Args:
        date: A header's value.

    Returns:
        The seconds since 1970, or None where it is no date.
    """
    from email.utils import mktime_tz, parsedate_tz  # noqa: PLC0415  (only after a failure)

    parts = parsedate_tz(date)
    try:
        return float(mktime_tz(parts)) if parts else None
    except (ValueError, OverflowError):
        return None


def _failed(answer: Answer, asked: Asked, now: float) -> RetryableError:
    status = f"status {answer.status}" if answer.status >= 400 else "an error of its own"
    wait = _seconds(answer.headers.get("retry-after", ""), now) or 0
    asks = f", and asks to wait {duration(wait)}" if wait else ""
    return RetryableError(
        f"{asked.host} failed to {asked.doing}: {status}{asks}.{_says(answer)}",
        f"Run the job again; if it lasts, look at the status of {asked.host}.",
        wait=wait,
    )


def _limited(wait: float, asked: Asked) -> RetryableError:
    whose = "the job's own token" if asked.own_token else "the owner of this token"
    return RetryableError(
        f"{asked.host} limits how much {whose} may ask of it, and asks to wait {duration(wait)} "
        f"before it is asked again to {asked.doing}.",
        "Run the job again later, or give `token` one whose limit is not used up.",
        wait=wait,
    )


def _is_passing(answer: Answer) -> bool:
    """Whether GraphQL tells, with the status of a success, of a fault of its own."""
    return answer.status < 400 and not answer.kinds and bool(re.search(_PASSING, answer.said))


def _refusal(answer: Answer, asked: Asked) -> tuple[str, str]:
    if answer.status == 401:
        return _bad_token(answer, asked)
    if "SAML" in answer.said or "x-github-sso" in answer.headers:
        what = f"The organisation lets a token {asked.doing} only after single sign-on."
        return what, _single_sign_on(answer, asked)
    for pattern, what, fix in _TOLD:
        if re.search(pattern, answer.said):
            return what.format(host=asked.host, doing=asked.doing, says=_says(answer)), fix
    if answer.status == 403 or answer.kinds & {"FORBIDDEN", "INSUFFICIENT_SCOPES"}:
        return f"This token may not {asked.doing}.{_says(answer)}", _permission(answer, asked)
    if answer.status == 404 or "NOT_FOUND" in answer.kinds:
        hidden = "it isn't there, or is hidden from this token"
        what = f"{asked.host} can't {asked.doing}: {hidden}.{_says(answer)}"
        return what, f"Check the names in the inputs. {_permission(answer, asked)}"
    status = f" (status {answer.status})" if answer.status >= 400 else ""
    return f"{asked.host} did not {asked.doing}{status}.{_says(answer)}", "Correct what it names."


def _bad_token(answer: Answer, asked: Asked) -> tuple[str, str]:
    what = f"{asked.host} refused the token to {asked.doing}.{_says(answer)}"
    if asked.own_token:
        return what, "The job's own token ends with its job: run the job again."
    return what, "It is mistyped, expired or revoked: give a valid one in `token`."


def _single_sign_on(answer: Answer, asked: Asked) -> str:
    header = answer.headers.get("x-github-sso", "")
    found = re.search(r"\burl=(https://([\w.-]+)/[\w./?=&%~+-]*)", header)
    # Nobody is sent to another place to log in.
    if found and found[2] == asked.host:
        return f"Authorise the token at {found[1]}."
    return "Authorise the token for the organisation, by `Configure SSO` in the list of tokens."


def _permission(answer: Answer, asked: Asked) -> str:
    """Which permission is missing, and where it is set.

    The header lists sets, any of which will do, parted by semicolons ("Troubleshooting the REST
    API", "Resource not accessible").
    """
    header = answer.headers.get("x-accepted-github-permissions", "").partition(";")[0]
    pairs = re.findall(r"\b([a-z][a-z_]{2,40})=(read|write|admin)\b", header or asked.needs)
    if asked.own_token:
        wanted = ", ".join(f"`{name.replace('_', '-')}: {level}`" for name, level in pairs[:5])
        return (
            f"Set {wanted or 'the permission'} under `permissions` of the job in its workflow; for "
            "a repository other than the job's, which its own token never reaches, give another "
            "token in `token`."
        )
    wanted = " and ".join(
        f'"{name.replace("_", " ").capitalize()}: {level}"' for name, level in pairs[:5]
    )
    classic = ", or the scope `repo` of a classic one" if wanted else ""
    return (
        f"Give the token {'the permission ' + wanted if wanted else 'access'} for this repository "
        f"in its settings (fine-grained token or GitHub App){classic}."
    )
