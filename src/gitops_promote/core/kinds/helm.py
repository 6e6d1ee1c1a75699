"""The target kind `helm`: the images of a chart's values file."""

from __future__ import annotations

from gitops_promote.core.kinds.kind import SlotKind
from gitops_promote.core.slots.search import Form
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import slots
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Place
from gitops_promote.core.yaml.tree import Mapping, text_of


def _fits(_: str, document: Document) -> bool:
    root = document.root
    if not isinstance(root, Mapping):
        return False
    return not (text_of(root, "apiVersion") and text_of(root, "kind"))


def _slots(document: Document) -> list[Slot]:
    return list(slots(document))


def _roots(document: Document) -> list[Place]:
    # Helm reads the first document of a file and no other.
    return [Place(document, (), None, document.root)]


KIND = SlotKind("helm", _fits, Form(_slots, _roots))
