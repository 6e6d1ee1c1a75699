"""The target kind `helmfile`: the releases of a helmfile."""

from __future__ import annotations

from posixpath import basename

from gitops_promote.core.kinds.kind import SlotKind
from gitops_promote.core.kinds.search import Form
from gitops_promote.core.kinds.slot import Slot
from gitops_promote.core.yaml.document import Document

_FILE_NAMES = ("helmfile.yaml", "helmfile.yml")


def _fits(path: str, _: Document) -> bool:
    return basename(path) in _FILE_NAMES


def _slots(document: Document) -> list[Slot]:
    return []


KIND = SlotKind("helmfile", _fits, Form(_slots), _FILE_NAMES)
