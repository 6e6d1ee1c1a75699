"""The target kind `flux`: what Flux's objects keep of images, and its markers in any file."""

from __future__ import annotations

from gitops_promote.core.kinds.kind import SlotKind
from gitops_promote.core.kinds.objects import Object, objects
from gitops_promote.core.kinds.search import Form
from gitops_promote.core.kinds.slot import Slot
from gitops_promote.core.yaml.document import Document


def owns(item: Object) -> bool:
    """Whether an object is one of Flux's.

    Args:
        item: The object.

    Returns:
        True where it is.
    """
    return item.group.endswith(".toolkit.fluxcd.io")


def _fits(_: str, document: Document) -> bool:
    return any(map(owns, objects(document)))


def _slots(document: Document) -> list[Slot]:
    return []


KIND = SlotKind("flux", _fits, Form(_slots))
