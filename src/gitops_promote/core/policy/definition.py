"""The one definition of the policy file: its reader, its JSON Schema and its table follow it.

Patterns are such as Python and JavaScript read alike, without anchors: a whole text has to fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import KEEP, Image, parse_image
from gitops_promote.core.kinds.registry import BY_NAME
from gitops_promote.core.names import LOGIN, NAME, login_of, team_of
from gitops_promote.core.review.branch import NO_BRANCH
from gitops_promote.core.review.gates import MOST_GATES, Gate, parse_gates
from gitops_promote.core.targets import parse_target

#: The one version of the format.
VERSION = 1


def _same(value: object) -> object:
    return value


@dataclass(frozen=True, slots=True)
class Text:
    """A text. `problem` says what one is that doesn't fit `pattern`, or fits `refused` somewhere.

    `fix` says what to do then, where the key's example doesn't. `read` makes a value of it, and may
    raise a `UsageError`. Two values are the same if `identity` makes the same of them.
    """

    problem: str = "which is empty, or has blanks around it"
    fix: str = ""
    pattern: str = r"\S(?:.*\S)?"
    refused: str = ""
    read: Callable[[str], object] = str
    identity: Callable[[Any], object] = _same

    def fits(self, text: str) -> bool:
        """Whether a text has the form.

        Args:
            text: The text.

        Returns:
            True where it has.
        """
        if self.refused and re.search(self.refused, text):
            return False
        return re.fullmatch(self.pattern, text) is not None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few texts."""

    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""


@dataclass(frozen=True, slots=True)
class Version:
    """The number of the format's version. It is read before all else: a later one may differ."""

    number: int


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts, each once; or one text alone. `most` is 0 where any number may be."""

    item: Text
    most: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping of certain keys. `what` it is, follows "a key of".

    Where `short`, a text stands for a mapping with the first key alone.
    """

    what: str
    keys: tuple[Key, ...]
    short: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping of names to records."""

    name: Text
    entry: Record
    may_be_empty: bool = True


Form = Text | Choice | Flag | Version | Texts | Record | Table


@dataclass(frozen=True, slots=True)
class Key:
    """A key, as users see it. `default` is said in words; `example` is data."""

    name: str
    form: Form
    help: str
    default: str
    example: Any
    required: bool = False


def _image(text: str) -> Image:
    image = parse_image(text)
    if image.tag is not None or image.digest is not None or image.new_name == KEEP:
        raise UsageError(
            f"Item `{text}` of `images` has more than names.",
            "Leave tag and digest out: a promotion brings them.",
        )
    return image


def _target(text: str) -> str:
    # Names have no part that begins with a dot, so what is right with one is with each.
    parse_target(text, "environment", "app")
    return text


def _gate(text: str) -> Gate:
    (gate,) = parse_gates([text if text.strip() else "="], "`gates`")
    return gate


_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile("([0-9]{1,8})([wdhms])")


def seconds_of(text: str) -> int:
    """Read a duration.

    Args:
        text: Numbers with units, such as `24h` or `1d12h`.

    Returns:
        Its seconds.
    """
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


_NAME = Text(
    "which can't be a name",
    "Use letters, digits, spaces, `_`, `.`, `-` and `/`, and start with a letter or digit, also "
    "after `/`.",
    NAME,
    r"/\.| $",
)
_BRANCH = Text("which is no branch's name", pattern=".+", refused=NO_BRANCH.pattern)
_SOAK = Text(
    "which is no duration",
    "Write whole numbers with the units w, d, h, m and s, the longest first: `24h`, `1d12h`.",
    "(?=[0-9])(?:[0-9]{1,3}w)?(?:[0-9]{1,4}d)?(?:[0-9]{1,5}h)?(?:[0-9]{1,6}m)?(?:[0-9]{1,8}s)?",
    read=seconds_of,
)
_PATH = Text(
    "which is no glob of files in the config repository",
    "Write it from the repository's root, with `/` and without `..`: `apps/shop/**` is a folder's "
    "files.",
    refused=r"^~|\\|(?:^|/)\.{0,2}(?:/|$)",
)
_PERSON = Text("which is nobody's login", pattern=f"@?{LOGIN}", read=login_of)
_TEAM = Text("which is no team's name", pattern=f"@?(?:[^/]*/)?{LOGIN}", read=team_of)
_REPOSITORY = Text(
    "which is no repository's name",
    pattern=r"[A-Za-z0-9_][A-Za-z0-9_-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+",
    identity=lambda name: str(name).lower(),
)
# The parsers of these judge more closely than a pattern could.
_GATE = Text(
    pattern=r"\s*\S.*?=\s*[Hh][Tt][Tt][Pp][Ss]?://[^/\\?#\s@]+(?:[/\\?#]\S*)?\s*", read=_gate
)
_IMAGE = Text(
    pattern=r"[A-Za-z0-9$_{](?:[A-Za-z0-9._/${}-]|:(?=[^=]*/))*"
    r"(?:=[A-Za-z0-9\[](?:[A-Za-z0-9._/\[\]-]|:(?=.*[/\]]))*)?",
    refused="//",
    read=_image,
    identity=lambda image: image.name,
)
_TARGET = Text(
    pattern=rf"\s*(?:(?:{'|'.join(BY_NAME)}):(?!\s*[/~])[^#\\]+|(?!\s*[/~])[^#\\:]+)(?:#.*)?",
    refused=r"^[^#]*(?:^|[:/])\s*\.\.\s*(?:[/#]|$)|\{(?!(?:environment|app)\})[^{}]*\}",
    read=_target,
)

_AFTER = Key(
    "after",
    Record(
        "`after`",
        (
            Key(
                "environment",
                _NAME,
                "The environment that a version must run in first.",
                "",
                "test",
                required=True,
            ),
            Key(
                "soak",
                _SOAK,
                "For how long a version must have run there, without a break: `90s`, `30m`, `24h`, "
                "`7d`, `2w`, or joined, `1d12h`.",
                "at once",
                "24h",
            ),
        ),
        short=True,
    ),
    "The environment that a version must run in before it may come here: its name, or a mapping "
    "of `environment` and `soak`.",
    "any version may come",
    {"environment": "test", "soak": "24h"},
)
#: The keys of an environment.
SETTINGS = (
    Key(
        "mode",
        Choice(("push", "pull-request")),
        "How a promotion is delivered: by a direct `push`, or as a `pull-request` for reviewers. "
        "Where it says `pull-request`, no workflow can push.",
        "what the workflow says, else `push`",
        "pull-request",
    ),
    _AFTER,
    Key(
        "allow-override",
        Flag(),
        "Whether a workflow may go past `after`, by the input `override` with a reason.",
        "`false`",
        True,  # noqa: FBT003  (data)
    ),
    Key(
        "branch",
        _BRANCH,
        "The branch that the environment stands on, or that its pull requests go to.",
        "the default branch",
        "main",
    ),
    Key(
        "paths",
        Texts(_PATH),
        "Globs of the files that a promotion may change, from the repository's root: `*` stays in "
        "a folder, `**` crosses folders.",
        "any file",
        ["apps/*/overlays/prod/**"],
    ),
    Key(
        "reviewers",
        Texts(_PERSON),
        "Logins of those who are asked to review the pull request.",
        "",
        ["octocat"],
    ),
    Key(
        "team-reviewers",
        Texts(_TEAM),
        "Teams of the organisation that are asked to review the pull request.",
        "",
        ["platform"],
    ),
    Key(
        "assignees",
        Texts(_PERSON),
        "Logins of those whom the pull request is assigned to.",
        "",
        ["octocat"],
    ),
    Key("labels", Texts(Text()), "Labels of the pull request.", "", ["production"]),
    Key(
        "gates",
        Texts(_GATE, most=MOST_GATES),
        "Links of the pull request's checklist, `NAME=URL` each.",
        "",
        ["Dashboard=https://grafana.example.com/d/shop"],
    ),
)
TARGETS = Key(
    "targets",
    Texts(_TARGET),
    "What a promotion edits, in the form of the input `target`: `[KIND:]PATH[#KEY]`. "
    "`{environment}` and `{app}` are filled in. A workflow may name some of them, and no others.",
    "what the workflow says",
    ["apps/shop/overlays/{environment}"],
)
#: The keys of an app.
APP = (
    Key(
        "images",
        Texts(_IMAGE),
        "Its images, `NAME` or `NAME=NEW_NAME`, without tags. A workflow may promote some of "
        "them, and no others.",
        "what the workflow says",
        ["ghcr.io/acme/shop"],
    ),
    TARGETS,
    Key(
        "source-repository",
        Texts(_REPOSITORY),
        "The repository, `OWNER/NAME`, whose workflows may promote the app; or several.",
        "any that has the token",
        ["acme/shop"],
    ),
    Key(
        "environments",
        Table(_NAME, Record("an app's environment", (*SETTINGS, TARGETS), may_be_empty=True)),
        "What is different for this app, by environment: the keys of an environment, and "
        "`targets`.",
        "nothing",
        {"prod": {"reviewers": ["hubot"]}},
    ),
)
#: The keys of the file.
POLICY = Record(
    "a policy",
    (
        Key("version", Version(VERSION), "The version of this format: 1.", "", VERSION, True),  # noqa: FBT003
        Key(
            "defaults",
            Record(
                "`defaults`", tuple(key for key in SETTINGS if key is not _AFTER), may_be_empty=True
            ),
            "What holds in each environment that says nothing else: the keys of an environment, "
            "without `after`.",
            "nothing",
            {"labels": ["promotion"]},
        ),
        Key(
            "environments",
            Table(_NAME, Record("an environment", SETTINGS, may_be_empty=True), may_be_empty=False),
            "The environments by name, in the order in which a version goes through them.",
            "",
            {"dev": {"mode": "push"}, "prod": {"mode": "pull-request", "after": "dev"}},
            required=True,
        ),
        Key(
            "apps",
            Table(_NAME, Record("an app", APP, may_be_empty=True)),
            "The apps by name, as the input `app` names them. Where there are any, no other app "
            "is promoted.",
            "any app",
            {"shop": {"images": ["ghcr.io/acme/shop"]}},
        ),
    ),
)
#: The keys that stand in several places.
SHARED = (*SETTINGS, TARGETS)
#: The names of all keys but those of `after`.
NAMES = frozenset(key.name for key in (*POLICY.keys, *SETTINGS, *APP))
