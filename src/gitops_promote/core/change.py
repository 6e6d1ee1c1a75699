"""What is found in a file: what an edit changed, and what runs."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_promote.core.images import Reference
from gitops_promote.core.yaml.document import Document


@dataclass(frozen=True, slots=True)
class Change:
    """One image in one place of one file, before and after.

    `line` counts from 1, in the edited file. `key` is the place in the file's data, such as
    `images[0]` or `web.image`. `old` and `new` are equal where there was nothing to do.
    """

    image: str
    path: str
    line: int
    key: str
    old: Reference
    new: Reference


@dataclass(frozen=True, slots=True)
class Edited:
    """A file after the promotion of one image."""

    document: Document
    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()


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
