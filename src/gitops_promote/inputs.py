"""The inputs: the one definition that `action.yml`, the command line and the README follow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Image, check_repository, parse_image
from gitops_promote.core.placeholders import PLACEHOLDERS, fill
from gitops_promote.core.tags.metadata import Built, is_json, parse_json

if TYPE_CHECKING:
    from gitops_promote.core.tags.flavor import Flavor
    from gitops_promote.core.tags.rules import Rule

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


_FLAVOR = Input(
    "flavor",
    "what",
    "What holds for all computed tags: `latest`, `prefix` and `suffix`, as in "
    "docker/metadata-action.",
    many=True,
)
#: The inputs of a promotion.
INPUTS = (
    Input(
        "images",
        "what",
        "The images to promote, one a line: `NAME[=NEW_NAME][:TAG][@DIGEST]`, as "
        "`kustomize edit set image` takes it. Without a tag or digest: the computed tag. Or the "
        "`json` output of the step that made the tags.",
        many=True,
        commas=True,
    ),
    Input(
        "tags",
        "what",
        "The rules that the tag is computed by, one a line, in docker/metadata-action's grammar; "
        "what the first one gives is deployed. Or the `json` output of the step that made the "
        "tags.",
        default_text="the version of a version tag, else commit and run",
        many=True,
    ),
    _FLAVOR,
    Input(
        "app",
        "what",
        "The app's name; fills `{app}` in `target` and the commit message, and tells which version "
        "tags are its own (`shop/v1.2.3`, `shop-v1.2.3`).",
    ),
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
        "allow-mutable-tag",
        "guards",
        "Promote `latest`, a branch's name and other tags that name another image tomorrow, even "
        "without a digest.",
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

#: The inputs of the step that computes tags alone.
TAGS_INPUTS = (
    Input(
        "images",
        "what",
        "The names of the images, one a line, without tags. Without any: the tags alone.",
        many=True,
    ),
    Input(
        "tags",
        "what",
        "The rules, one a line, in docker/metadata-action's grammar; what the first one gives is "
        "the version.",
        default_text="the version of a version tag, and commit and run",
        many=True,
    ),
    _FLAVOR,
    Input(
        "app",
        "what",
        "The app's name; fills `{{app}}`, and tells which version tags are its own "
        "(`shop/v1.2.3`, `shop-v1.2.3`).",
        default_text="the last part of the image's name, where there is one image",
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
class TagsInputs:
    """What tags are computed by; `images` are names.

    `rules` is empty, `flavor` None and `commit_digits` 0 where nobody asked for any.
    """

    images: tuple[str, ...]
    rules: tuple[Rule, ...]
    flavor: Flavor | None
    app: str
    commit_digits: int

    @property
    def image_app(self) -> str:
        """The last part of the image's name, where there is one image."""
        return self.images[0].rpartition("/")[2] if len(self.images) == 1 else ""

    @property
    def version_app(self) -> str:
        """The app whose version tags (`shop/v1.2.3`) count; empty where none do."""
        # docker/metadata-action knows no such tags, and rules mean here what they mean there.
        return self.app or ("" if self.rules else self.image_app)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one call, checked and typed. An empty text or tuple means: not given.

    `mutable` says why a pasted tag is mutable, by the tag.
    """

    images: tuple[Image, ...]
    tags: TagsInputs
    mutable: Mapping[str, str]
    warnings: tuple[str, ...]
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
    allow_mutable_tag: bool
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
    fill(values["commit-message"], dict.fromkeys(PLACEHOLDERS, ""), "commit-message")
    built = {
        name: parse_json(name, values[name]) for name in ("images", "tags") if is_json(values[name])
    }
    images = _built_images(built["images"]) if "images" in built else _images(lists["images"])
    unused = _unused(images, values)
    if "tags" in built:
        images = tuple(image.with_default_tag(built["tags"].version) for image in images)
        values = {**values, "tags": ""}
    app = _plain_name("app", values["app"])
    return Inputs(
        images=images,
        tags=_tags_inputs(values, tuple(image.deployed_name for image in images), app, environ),
        mutable={found.version: found.mutable for found in built.values()},
        warnings=unused,
        app=app,
        config_repository=values["config-repository"].strip(),
        config_ref=_branch(values["config-ref"].strip()),
        environments=tuple(_plain_name("environment", name) for name in lists["environment"]),
        targets=tuple(lists["target"]),
        promotion_mode=values["promotion-mode"],
        commit_message=values["commit-message"].strip(),
        author=_identity("author", values["author"]),
        committer=_identity("committer", values["committer"]),
        signoff=values["signoff"] == "true",
        allow_mutable_tag=values["allow-mutable-tag"] == "true",
        token=values["token"].strip(),
        ssh_key=values["ssh-key"],
        ssh_known_hosts=values["ssh-known-hosts"],
    )


def load_tags(environ: Mapping[str, str]) -> TagsInputs:
    """Read and check the inputs of the step that computes tags alone.

    Args:
        environ: As for `load`.

    Returns:
        The inputs, typed.

    Raises:
        UsageError: An input has a form that is not allowed.
    """
    from gitops_promote.core.tags.names import parse_names  # noqa: PLC0415  (start-up time)

    values = {item.name: _value(item, environ) for item in TAGS_INPUTS}
    app = _plain_name("app", values["app"])
    return _tags_inputs(values, parse_names(values["images"]), app, environ)


def _tags_inputs(
    values: Mapping[str, str], images: tuple[str, ...], app: str, environ: Mapping[str, str]
) -> TagsInputs:
    return TagsInputs(
        images=images,
        rules=_rules(values["tags"]),
        flavor=_flavor(values["flavor"]),
        app=app,
        commit_digits=_commit_digits(environ),
    )


def _rules(text: str) -> tuple[Rule, ...]:
    if not text:
        return ()
    from gitops_promote.core.tags.rules import parse_rules  # noqa: PLC0415  (start-up time)

    return parse_rules(text)


def _flavor(text: str) -> Flavor | None:
    if not text:
        return None
    from gitops_promote.core.tags.flavor import parse_flavor  # noqa: PLC0415  (start-up time)

    return parse_flavor(text)


def _commit_digits(environ: Mapping[str, str]) -> int:
    name = "DOCKER_METADATA_SHORT_SHA_LENGTH"
    text = environ.get(name, "").strip()
    if text and not (re.fullmatch(r"\d{1,3}", text, re.ASCII) and int(text) >= 4):
        raise UsageError(
            f"The environment variable {name} is `{text}`.",
            "It must be the number of a commit's digits in a tag, at least 4, such as 12.",
        )
    return int(text or 0)


def _built_images(built: Built) -> tuple[Image, ...]:
    if not built.images:
        raise UsageError(
            "Input `images` holds the JSON output of a step that named no image.",
            "Name the image in `images`, and paste the output into `tags` instead.",
        )
    for name in built.images:
        check_repository(name, "Input `images` has, in its JSON, the name")
    return tuple(Image(name, tag=built.version) for name in built.images)


def _unused(images: tuple[Image, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    given = [name for name in ("tags", "flavor") if values[name].strip()]
    if not given or any(image.tag is None and image.digest is None for image in images):
        return ()
    names = " and ".join(f"`{name}`" for name in given)
    return (f"Nothing needs {names}: each item of `images` has a tag or a digest.",)


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
    if "null" in items:
        # What `toJSON` makes of an output that is not there.
        raise UsageError("Input `images` is `null`.", "Look at the step whose output it takes.")
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
