"""What runs in an environment: the versions that its targets have."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gitops_promote.core.change import Running
from gitops_promote.core.kinds.registry import BY_NAME
from gitops_promote.core.locate import Located, Reader, distinct, likely_files, locate
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.targets import Target
from gitops_promote.core.yaml.document import Document


def find_places(
    snapshot: Snapshot, targets: Sequence[Target], read: Reader | None = None
) -> tuple[Located, ...]:
    """Find the files that an environment's targets lead to.

    Args:
        snapshot: The config repository.
        targets: The targets.
        read: Reads a file of it, for who keeps what is read; by default each is read anew.

    Returns:
        The places, each once; one that is named goes before a glob's match.

    Raises:
        PromoteError: As `locate.locate`.
    """
    snapshot.expect(likely_files(targets))
    # A file is asked for several times in a row.
    read = read or lru_cache(maxsize=4)(lambda path: Document.parse(snapshot.read(path), path))
    return tuple(distinct(place for one in targets for place in locate(snapshot, one, read)))


def in_effect(places: Sequence[Located], found: Sequence[Running]) -> tuple[Running, ...]:
    """Leave out what a values file says in vain: the file that gives it to a chart goes before it.

    Args:
        places: The places.
        found: What runs, as they say.

    Returns:
        What runs.
    """
    leaders = {place.path: place.led_by for place in places if place.led_by}
    versioned = [one for one in found if leaders and one.reference.version]
    known = {(one.path, name) for one in versioned for name in (one.image, one.reference.name)}
    return tuple(one for one in found if (leaders.get(one.path, ""), one.image) not in known)


def running(place: Located, document: Document, images: Sequence[str]) -> tuple[Running, ...]:
    """Read what runs in a file.

    Args:
        place: The file, its kind, and the target whose key counts.
        document: The file, now or as it once was.
        images: The names of the images that are meant, old or deployed ones, as `Image.name` is
            matched. Empty: all that the file has.

    Returns:
        The images in the order of the file, one for each place; none where the file has none of
        them, or has nothing where the key leads. One that is meant by its name may have no version
        there, and where the file doesn't name it, it is called as in `images`.

    Raises:
        PromoteError: The file is broken, or a name is ambiguous in it.
    """
    return BY_NAME[place.kind].running(document, place.target.key, images)
