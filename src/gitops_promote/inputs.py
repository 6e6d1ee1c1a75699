"""The inputs: the one definition that `action.yml`, the command line and the README follow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Image, parse_image
from gitops_promote.core.message import check_template

#: Every input reaches the program as an environment variable of this prefix.
PREFIX = "GITOPS_PROMOTE_"


@dataclass(frozen=True, slots=True)
class Input:
    """One input, as users see it.

    `many` inputs are lists, one item a line, and with `commas` also parted by commas. `secret`
    inputs have no flag: a command line is visible to every process of the machine.
    """

    name: str
    group: str
    help: str
    default: str = ""
    default_text: str = ""
    many: bool = False
    commas: bool = False
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that carries the input."""
        return PREFIX + self.name.upper().replace("-", "_")

    @property
    def flag(self) -> str:
        """What gives the input on a command line: a flag, or of a secret the variable."""
        return self.variable if self.secret else f"--{self.name}"


INPUTS = (
    Input(
        "images",
        "what",
        "The images to promote, one a line: `NAME[=NEW_NAME][:TAG][@DIGEST]`, as "
        "`kustomize edit set image` takes it. Without a tag or digest: the computed tag.",
        many=True,
        commas=True,
    ),
    Input("app", "what", "The app's name; fills `{app}` in `target` and the commit message."),
    Input(
        "config-repository",
        "where",
        "The repository to change: `owner/name` on this GitHub server, any git URL, or a local "
        "path.",
        default_text="this repository",
    ),
    Input(
        "config-ref",
        "where",
        "The branch to change.",
        default_text="its default branch",
    ),
    Input(
        "environment",
        "where",
        "The environment, or several, one a line; fills `{environment}` in `target`.",
        many=True,
        commas=True,
    ),
    Input(
        "target",
        "where",
        "What to edit, one a line: `[KIND:]PATH[#KEY]`. `{environment}` and `{app}` are filled "
        "in, globs are allowed. KIND is `kustomize` or `helm`, and found from the content.",
        many=True,
    ),
    Input(
        "promotion-mode",
        "how",
        "How the change is delivered: `push` to the branch, or `dry-run` to only show it.",
        default="push",
        choices=("push", "dry-run"),
    ),
    Input(
        "commit-message",
        "how",
        "The commit message, trailers excepted; `{app}`, `{environment}`, `{images}`, "
        "`{version}`, `{old-version}`, `{source-commit}` and `{source-repository}` are filled in.",
        default_text="`Promote NAMES to VERSION in ENVIRONMENT`",
    ),
    Input(
        "author",
        "how",
        "The commit's author: `Name <email@example.com>`.",
        default_text="who started the run",
    ),
    Input(
        "committer",
        "how",
        "The commit's committer: `Name <email@example.com>`.",
        default_text="`github-actions[bot]`",
    ),
    Input(
        "signoff",
        "how",
        "Add a `Signed-off-by` trailer of the committer.",
        default="false",
        choices=("true", "false"),
    ),
    Input(
        "token",
        "auth",
        "The token that may write to the config repository over https. The default one can "
        "write to this repository only.",
        default_text="`${{ github.token }}`",
        secret=True,
    ),
    Input(
        "ssh-key",
        "auth",
        "The private key that may write to the config repository over ssh, such as a deploy key.",
        secret=True,
    ),
    Input(
        "ssh-known-hosts",
        "auth",
        "Host keys to accept over ssh, in the form of a known_hosts file; others are refused.",
        default_text="the runner's own, and a new host on first use",
    ),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A name and an email address, as git writes them."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one call, checked and typed. An empty text or tuple means: not given."""

    images: tuple[Image, ...]
    app: str
    config_repository: str
    config_ref: str
    environments: tuple[str, ...]
    targets: tuple[str, ...]
    promotion_mode: str
    commit_message: str
    author: Identity | None
    committer: Identity | None
    signoff: bool
    token: str
    ssh_key: str
    ssh_known_hosts: str


def load(environ: Mapping[str, str]) -> Inputs:
    """Read and check the inputs.

    Args:
        environ: Environment variables; those of the inputs are named by `Input.variable`. An
            empty one counts as not given, as an action's unset input is.

    Returns:
        The inputs, typed.

    Raises:
        UsageError: A required input is missing, or one has a form that is not allowed.
    """
    values = {item.name: _value(item, environ) for item in INPUTS}
    lists = {item.name: _items(item, values[item.name]) for item in INPUTS if item.many}
    _require(lists["images"], "images", "Name the image to promote, such as `ghcr.io/acme/shop`.")
    _require(lists["target"], "target", "Name what to edit, such as `apps/shop/overlays/dev`.")
    check_template(values["commit-message"])
    return Inputs(
        images=_images(lists["images"]),
        app=_plain_name("app", values["app"]),
        config_repository=values["config-repository"].strip(),
        config_ref=_branch(values["config-ref"].strip()),
        environments=tuple(_plain_name("environment", name) for name in lists["environment"]),
        targets=tuple(lists["target"]),
        promotion_mode=values["promotion-mode"],
        commit_message=values["commit-message"].strip(),
        author=_identity("author", values["author"]),
        committer=_identity("committer", values["committer"]),
        signoff=values["signoff"] == "true",
        token=values["token"].strip(),
        ssh_key=values["ssh-key"],
        ssh_known_hosts=values["ssh-known-hosts"],
    )


def _value(item: Input, environ: Mapping[str, str]) -> str:
    value = environ.get(item.variable, "")
    if not value.strip():
        return item.default
    if any("\ud800" <= character <= "\udfff" for character in value):
        # What Python makes of bytes that are no text; no value is shown, it may be a secret.
        raise UsageError(f"Input `{item.name}` is not UTF-8 text.", "Encode it as UTF-8.")
    if item.choices:
        value = value.strip()
        if value not in item.choices:
            allowed = " or ".join(f"`{choice}`" for choice in item.choices)
            raise UsageError(f"Input `{item.name}` is `{value}`.", f"It must be {allowed}.")
    return value


def _items(item: Input, value: str) -> list[str]:
    parts = re.split(r"[\n,]" if item.commas else r"\n", value)
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _require(items: list[str], name: str, fix: str) -> None:
    if not items:
        raise UsageError(f"Input `{name}` (`--{name}`) is missing.", fix)


def _images(items: list[str]) -> tuple[Image, ...]:
    images = [parse_image(item) for item in items]
    names = [image.name for image in images]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"Input `images` names `{name}` {names.count(name)} times.",
                "Name each image once.",
            )
    return tuple(images)


def _plain_name(name: str, value: str) -> str:
    value = value.strip()
    if value and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._/ -]*", value):
        raise UsageError(
            f"Input `{name}` has the name `{value}`.",
            "Use letters, digits, spaces, `_`, `.`, `-` and `/`, and start with a letter or digit.",
        )
    return value


def _branch(value: str) -> str:
    # The rules of git-check-ref-format that a branch's name can break.
    branch = value.removeprefix("refs/heads/")
    wrong = re.search(
        r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|[./]$|(?:^|/)\.|\.lock(?:/|$)", branch
    )
    if branch and (wrong or branch == "@" or branch.startswith("refs/")):
        raise UsageError(
            f"Input `config-ref` is `{value}`, which is no branch's name.",
            "Name a branch, such as `main`; empty, it is the repository's default branch.",
        )
    return branch


def _identity(name: str, value: str) -> Identity | None:
    if not value.strip():
        return None
    match = re.fullmatch(r"\s*([^<>\x00-\x1f]*[^<>\s\x00-\x1f])\s*<([^<>\s]+@[^<>\s]+)>\s*", value)
    if not match:
        raise UsageError(
            f"Input `{name}` is `{value.strip()}`, which git can't take for a person.",
            "Write it as `Name <email@example.com>`.",
        )
    return Identity(match[1], match[2])
