"""The target kind `chart`: a chart's own version, its `appVersion` and its dependencies."""

from __future__ import annotations

from posixpath import basename

from gitops_promote.core.kinds.kind import SlotKind
from gitops_promote.core.kinds.search import Form
from gitops_promote.core.kinds.slot import Slot
from gitops_promote.core.yaml.document import Document

_FILE_NAMES = ("Chart.yaml",)


def _fits(path: str, _: Document) -> bool:
    return basename(path) in _FILE_NAMES


def _slots(document: Document) -> list[Slot]:
    return []


KIND = SlotKind("chart", _fits, Form(_slots), _FILE_NAMES)
