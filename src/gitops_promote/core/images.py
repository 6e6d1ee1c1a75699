"""Image names, tags and digests: the `images` input and the references that files hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gitops_promote.core.errors import UsageError

#: What kustomize takes as "leave what is there" in place of a new name, tag or digest.
KEEP = "*"

# The grammar of the OCI distribution specification and of distribution/reference.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,}", re.ASCII)
_DIGEST_LENGTHS = {"sha256": 64, "sha512": 128}
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
# The name that is looked for may be a placeholder in a base (`IMAGE`, `app-image`), so it is
# held only to what can stand in a reference at all.
_PLACEHOLDER = re.compile(r"(?!.*//)[A-Za-z0-9$_{][A-Za-z0-9._/:${}-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a file or a registry calls an image: `NAME[:TAG][@DIGEST]`."""

    name: str
    tag: str = ""
    digest: str = ""

    @property
    def version(self) -> str:
        """The part that changes with a promotion: `TAG`, `DIGEST` or `TAG@DIGEST`."""
        return "@".join(part for part in (self.tag, self.digest) if part)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


@dataclass(frozen=True, slots=True)
class Image:
    """One item of `images`: which image is promoted, and to what.

    `new_name`, `tag` and `digest` are None where the item is silent, and `KEEP` where it says
    that the file's own value stays.
    """

    name: str
    new_name: str | None = None
    tag: str | None = None
    digest: str | None = None

    def with_default_tag(self, tag: str) -> Image:
        """The same image with `tag` where the item names neither a tag nor a digest.

        Args:
            tag: The computed tag.

        Returns:
            The image, with a tag or a digest.
        """
        return replace(self, tag=tag) if self.tag is None and self.digest is None else self

    @property
    def deployed_name(self) -> str:
        """The repository that runs after the promotion, as far as the item says."""
        return self.new_name if self.new_name and self.new_name != KEEP else self.name

    @property
    def target(self) -> Reference:
        """What the item asks to run, `KEEP` and silence left out."""
        tag = self.tag if self.tag and self.tag != KEEP else ""
        digest = self.digest if self.digest and self.digest != KEEP else ""
        return Reference(self.deployed_name, tag, digest)


def desired(image: Image, current: Reference) -> Reference:
    """What is to run where `current` runs now.

    A tag without a digest takes an old digest's place and the other way round, as with
    `kustomize edit set image`; a name that the item doesn't change stays.

    Args:
        image: The image that is promoted.
        current: What the file says today; its parts are empty where it is silent.

    Returns:
        What the file is to say.
    """
    name = current.name if image.new_name in (None, KEEP) else image.new_name or current.name
    if image.tag is None and image.digest is None:
        return replace(current, name=name)
    tag = current.tag if image.tag == KEEP else image.tag or ""
    digest = current.digest if image.digest == KEEP else image.digest or ""
    return Reference(name, tag, digest)


def parse_image(item: str) -> Image:
    """Read one item of the `images` input.

    Args:
        item: `NAME[=NEW_NAME][:TAG][@DIGEST]`, each but NAME possibly `*`.
            The form is that of `kustomize edit set image`.

    Returns:
        The image with what the item says of it.

    Raises:
        UsageError: A part is empty, or holds what no registry accepts.
    """
    name, equals, rest = item.partition("=")
    value, tag, digest = _split(rest if equals else name)
    image = Image(name, value, tag, digest) if equals else Image(value, None, tag, digest)
    _check_names(image, item)
    if image.tag is not None and image.tag != KEEP:
        check_tag(image.tag, f"Item `{item}` of `images`")
    if image.digest is not None and image.digest != KEEP:
        check_digest(image.digest, f"Item `{item}` of `images`")
    return image


def split_reference(value: str) -> Reference:
    """Split a reference as kustomize does: a port is not a tag, and no part is judged.

    Args:
        value: `NAME[:TAG][@DIGEST]`.

    Returns:
        Its parts; an absent one is empty.
    """
    name, tag, digest = _split(value)
    return Reference(name, tag or "", digest or "")


def canonical_name(name: str) -> str:
    """The repository in full, so that two spellings of one repository compare equal.

    Args:
        name: A repository without tag or digest, such as `nginx` or `ghcr.io/acme/shop`.

    Returns:
        The name with Docker Hub's host and `library/` written out, as distribution/reference
        normalises names.
    """
    host, slash, path = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = "docker.io", name
    if host == "index.docker.io":
        host = "docker.io"
    if host == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{host}/{path}"


def split_registry(name: str) -> tuple[str, str]:
    """Part a repository's name at its registry.

    Args:
        name: A repository without tag or digest.

    Returns:
        The registry (empty where the name has none) and the path below it.
    """
    host, slash, path = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return host, path
    return "", name


def is_tag(text: str) -> bool:
    """Whether registries take a text as a tag.

    Args:
        text: The text.

    Returns:
        True where it has the form that the OCI distribution specification gives ("Pulling
        manifests").
    """
    return _TAG.fullmatch(text) is not None


def sanitised(text: str) -> str:
    """Make the characters of a text those of a tag, as docker/metadata-action does.

    Args:
        text: The text.

    Returns:
        The text with `-` for each run of other characters. It need not be a tag yet: it can be
        empty, too long, or begin with `-` or `.`.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)


def check_tag(tag: str, origin: str) -> None:
    """Refuse a tag that no registry accepts.

    Args:
        tag: The tag.
        origin: Where it comes from, for the message.

    Raises:
        UsageError: The tag is empty, over 128 characters, or has a character that is not allowed.
    """
    if is_tag(tag):
        return
    if not tag:
        problem, fix = "has an empty tag", "Give a tag after the colon, or leave both out."
    elif len(tag) > 128:
        problem, fix = (
            f"has a tag of {len(tag)} characters",
            "Registries allow at most 128: give a shorter one.",
        )
    else:
        problem = f"has the tag `{tag}`, which no registry accepts"
        fix = "Use letters, digits, `_`, `.` and `-`, and start with none of the last two."
    raise UsageError(f"{origin} {problem}.", fix)


def check_repository(name: str, origin: str) -> None:
    """Refuse a name that is no repository's in a registry.

    Args:
        name: The name.
        origin: Where it comes from, for the message.

    Raises:
        UsageError: It has a form that registries don't take.
    """
    if not _REPOSITORY.fullmatch(name):
        raise UsageError(
            f"{origin} `{name}`, which is not a repository.",
            "Write it like `ghcr.io/acme/shop`: in lower case, without tag or scheme.",
        )


def check_digest(digest: str, origin: str) -> None:
    """Refuse a digest that is not of the form `ALGORITHM:HEX`.

    Args:
        digest: The digest.
        origin: Where it comes from, for the message.

    Raises:
        UsageError: The digest is malformed, or of the wrong length for its algorithm.
    """
    algorithm, _, encoded = digest.partition(":")
    length = _DIGEST_LENGTHS.get(algorithm)
    hexadecimal = length is None or (
        len(encoded) == length and re.fullmatch(r"[0-9a-f]+", encoded) is not None
    )
    if _DIGEST.fullmatch(digest) and hexadecimal:
        return
    raise UsageError(
        f"{origin} has the digest `{digest}`, which is malformed.",
        "Write it as `sha256:` and 64 hexadecimal digits.",
    )


def _split(value: str) -> tuple[str, str | None, str | None]:
    rest, at, digest = value.partition("@")
    start = max(rest.rfind("/"), 0)
    colon = rest.find(":", start)
    if colon < 0:
        return rest, None, digest if at else None
    return rest[:colon], rest[colon + 1 :], digest if at else None


def _check_names(image: Image, item: str) -> None:
    if not _PLACEHOLDER.fullmatch(image.name):
        raise UsageError(
            f"Item `{item}` of `images` has no valid image name.",
            "Write it as `NAME[=NEW_NAME][:TAG][@DIGEST]`, such as `ghcr.io/acme/shop:1.2.3`.",
        )
    if image.new_name is not None and image.new_name != KEEP:
        check_repository(image.new_name, f"Item `{item}` of `images` has the new name")
