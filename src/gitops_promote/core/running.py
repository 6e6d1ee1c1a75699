"""What runs in an environment: the versions that its targets have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitops_promote.core.images import Reference
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.targets import Located, Target
from gitops_promote.core.yaml.document import Document


@dataclass(frozen=True, slots=True)
class Running:
    """An image in one place of one file.

    `image` is what the file calls it (of a kustomization the entry's `name`, which may be a
    placeholder), `reference` what runs, in full. `line` counts from 1, `key` is as in `Change`.
    """

    image: str
    path: str
    line: int
    key: str
    reference: Reference


def find_places(snapshot: Snapshot, targets: Sequence[Target]) -> tuple[Located, ...]:
    """Find the files that an environment's targets lead to.

    Args:
        snapshot: The config repository.
        targets: The targets.

    Returns:
        The places, each once.

    Raises:
        PromoteError: As `targets.locate`.
    """
    raise NotImplementedError


def running(place: Located, document: Document, images: Sequence[str]) -> tuple[Running, ...]:
    """Read what runs in a file.

    Args:
        place: The file, its kind, and the target whose key counts.
        document: The file, now or as it once was.
        images: The names of the images that are meant, old or deployed ones, as `Image.name` is
            matched. Empty: all that the file has.

    Returns:
        The images in the order of the file; none where the file has none of them.

    Raises:
        PromoteError: The file is broken, or a name is ambiguous in it.
    """
    raise NotImplementedError
