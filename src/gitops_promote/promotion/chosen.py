"""The versions that a call promotes: computed from the run, or copied from an environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import Image
from gitops_promote.core.request import Undone
from gitops_promote.core.source import Source
from gitops_promote.core.tags.mutable import refuse_mutable

if TYPE_CHECKING:
    from gitops_promote.core.policy.rules import Ruling
    from gitops_promote.core.running import Running
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


def copied(call: Call, timeline: Timeline, is_known: Callable[[str], bool]) -> Chosen:
    """Take the versions that another environment runs.

    Args:
        call: The call.
        timeline: The places of the other environment, and the images that are asked for.
        is_known: Tells whether the environment that is promoted to knows an image by a name.

    Returns:
        The images.

    Raises:
        PromoteError: An image doesn't run there, or in several versions, or in a mutable one.
    """
    inputs = call.inputs
    where = inputs.promote_from
    names = timeline.images
    found = timeline.state(timeline.head.commit)
    _check_complete(timeline, where)
    images = []
    for group in by_image(found).values():
        reference = one_version(group, where).reference
        called = [*(one.image for one in group), reference.name]
        called = [name for name in names if name in called] + called
        name = next(filter(is_known, called), called[0])
        images.append(Image(name, None, reference.tag or None, reference.digest or None))
    if not inputs.allow_mutable_tag:
        refuse_mutable(images, call.source, inputs.environments, {})
    pairs = ((one.reference.name, one.reference.version) for one in found)
    return Chosen(tuple(images), call.source, origin_of(pairs, timeline))


def by_image(found: Sequence[Running]) -> dict[str, list[Running]]:
    """Group what runs by the image that it is.

    Args:
        found: What runs.

    Returns:
        By the name that is deployed, where it runs.
    """
    groups: dict[str, list[Running]] = {}
    for one in found:
        groups.setdefault(one.reference.name, []).append(one)
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


def _check_complete(timeline: Timeline, where: str) -> None:
    commit = timeline.head.commit
    names = timeline.images or ("",)
    missing = [name for name in names if not timeline.state(commit, (name,) if name else ())]
    if missing:
        what = f"`{missing[0]}`" if missing[0] else "any image"
        paths = ", ".join(f"`{path}`" for path in dict.fromkeys(p.path for p in timeline.places))
        raise PromoteError(
            f"There is no version of {what} in {where} to copy.",
            f"Look at {paths}: it must set a tag or a digest.",
        )


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
            f"`{version}` at {one.path}:{one.line}"
            for version, one in list(versions.items())[:_MOST_PLACES]
        ]
        raise PromoteError(
            f"In {where} there are several versions of `{group[0].reference.name}`: "
            f"{', '.join(places)}.",
            "Name one environment or target, or bring all of them to one version first.",
        )
    return group[0]
