"""The versions that a call promotes: computed from the run, or copied from an environment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import Image, Reference, check_digest, check_tag
from gitops_promote.core.placeholders import one_line
from gitops_promote.core.request import Undone
from gitops_promote.core.source import Source
from gitops_promote.core.tags.mutable import refuse_mutable
from gitops_promote.promotion.past import called

if TYPE_CHECKING:
    from gitops_promote.core.change import Running
    from gitops_promote.core.policy.rules import Ruling
    from gitops_promote.promotion.call import Call
    from gitops_promote.promotion.past import Timeline

_MOST_PLACES = 5


@dataclass(frozen=True, slots=True)
class Chosen:
    """Images with their versions, and what is known of where these come from.

    `source` is the run that promotes, `origin` what the images were built from where that was
    another one. Of a rollback, `undone` is what it takes back.
    """

    images: tuple[Image, ...]
    source: Source
    origin: Source | None = None
    undone: tuple[Undone, ...] = ()


def computed(call: Call, ruling: Ruling) -> Chosen:
    """Give each image that has none the tag that is computed from the run.

    Args:
        call: The call.
        ruling: What the policy made of it.

    Returns:
        The images.

    Raises:
        PromoteError: No image is named, no tag can be computed, or one is mutable.
    """
    inputs, source, images, better = call.inputs, call.source, ruling.images, ""
    if not images:
        raise UsageError(
            "Input `images` (`--images`) is missing, and the policy names none.",
            "Name the image to promote, such as `ghcr.io/acme/shop`.",
        )
    known: dict[str, str | None] = {**inputs.mutable}
    if any(image.tag is None and image.digest is None for image in images):
        from gitops_promote.tags import better_tag, version_of  # noqa: PLC0415  (start-up time)

        names = tuple(image.deployed_name for image in images)
        rules = replace(inputs.tags, images=names, app=ruling.app)
        version = version_of(rules, source, call.environ, call.console)
        images = tuple(image.with_default_tag(version.version) for image in images)
        known[version.version] = version.mutable
        better = better_tag(version, source)
    elif not source.run_id:
        # The checkout that this happens to run in need not be what the image was built from.
        source = Source()
    if not inputs.allow_mutable_tag:
        refuse_mutable(images, source, inputs.environments, known, better)
    return Chosen(images, source)


def copied(call: Call, ruling: Ruling, there: Timeline, here: Timeline) -> Chosen:
    """Take the versions that another environment runs.

    Args:
        call: The call.
        ruling: What the policy made of it.
        there: The places of the other environment.
        here: The places of the environments that are promoted to.

    Returns:
        The images.

    Raises:
        PromoteError: An image doesn't run there, or in several versions, or in a mutable one.
    """
    where = call.inputs.promote_from
    asked = [names_of(image) for image in ruling.images]
    found = [one for names in asked or [()] for one in _found(there, names, where)]
    images = []
    for name, group in by_image(found).items():
        reference = one_version(group, where).reference
        own = [names for names in asked if {name, *(one.image for one in group)} & {*names}]
        known = [*(own[0] if own else ()), name, *(one.image for one in group)]
        here_called = next((one for one in known if here.now((one,))), known[0])
        images.append(image_of(here_called, reference))
    if not call.inputs.allow_mutable_tag:
        refuse_mutable(images, call.source, call.inputs.environments, {})
    pairs = ((called(one), one.reference.version) for one in found)
    return Chosen(tuple(images), call.source, origin_of(pairs, there))


def names_of(image: Image) -> tuple[str, ...]:
    """List what files may call an image.

    Args:
        image: The image.

    Returns:
        Its name, and the new one where it has one.
    """
    return tuple(dict.fromkeys((image.name, image.deployed_name)))


def image_of(name: str, reference: Reference) -> Image:
    """Ask for a version that was read from a file.

    Args:
        name: The image's name.
        reference: The version.

    Returns:
        The image.

    Raises:
        PromoteError: The file has what no registry takes, or doesn't name the image.
    """
    if not name:
        raise PromoteError(
            f"What `{one_line(reference.version)}` is a version of stands nowhere.",
            "Name the image in `images`, or give the app its images in the policy file.",
        )
    try:
        if reference.tag:
            check_tag(reference.tag, f"`{name}`")
        if reference.digest:
            check_digest(reference.digest, f"`{name}`")
    except UsageError as error:
        raise PromoteError(one_line(error.what), "Correct it in the config repository.") from None
    return Image(name, None, reference.tag or None, reference.digest or None)


def by_image(found: Iterable[Running]) -> dict[str, list[Running]]:
    """Group what runs by the image that it is.

    Args:
        found: What runs.

    Returns:
        By what promotions call the image, where it runs.
    """
    groups: dict[str, list[Running]] = {}
    for one in found:
        groups.setdefault(called(one), []).append(one)
    return groups


def origin_of(versions: Iterable[tuple[str, str]], timeline: Timeline) -> Source:
    """Find what versions were built from.

    Args:
        versions: Images, by the names that promotions give them, and their versions.
        timeline: The history of the places where they ran.

    Returns:
        The commit and the run that promotions tell, as far as they agree.

    Raises:
        PromoteError: The history can't be read.
    """
    made = [timeline.made_by(*pair) for pair in dict.fromkeys(versions)]
    sources = {one.source for one in made if one}
    return sources.pop() if len(sources) == 1 and all(made) else Source()


def _found(there: Timeline, names: tuple[str, ...], where: str) -> list[Running]:
    found = [one for one in there.now(names) if one.reference.version]
    if not found:
        what = f"`{names[0]}`" if names else "any image"
        paths = ", ".join(f"`{path}`" for path in dict.fromkeys(p.path for p in there.places))
        raise PromoteError(
            f"There is no version of {what} in {where} to copy.",
            f"Look at {paths}: it must set a tag or a digest.",
        )
    return found


def one_version(group: Sequence[Running], where: str) -> Running:
    """Hold all places of an image to one version.

    Args:
        group: Where the image runs.
        where: The environments, for the message.

    Returns:
        One of the places.

    Raises:
        PromoteError: They run several versions.
    """
    versions = {one.reference.version: one for one in group}
    if len(versions) > 1:
        places = [
            f"`{one_line(version)}` at {one.path}:{one.line}"
            for version, one in list(versions.items())[:_MOST_PLACES]
        ]
        raise PromoteError(
            f"In {where} there are several versions of `{called(group[0])}`: {', '.join(places)}.",
            "Name one environment or target, or bring all of them to one version first.",
        )
    return group[0]
