"""The target kind `manifest`: the containers of Kubernetes objects."""

from __future__ import annotations

from gitops_promote.core.kinds import argocd, flux
from gitops_promote.core.kinds.kind import SlotKind
from gitops_promote.core.kinds.objects import Object, objects
from gitops_promote.core.kinds.search import Form
from gitops_promote.core.kinds.slot import Slot
from gitops_promote.core.yaml.document import Document


def _owns(item: Object) -> bool:
    return not argocd.owns(item) and not flux.owns(item)


def _fits(_: str, document: Document) -> bool:
    return any(map(_owns, objects(document)))


def _slots(document: Document) -> list[Slot]:
    return []


KIND = SlotKind("manifest", _fits, Form(_slots, several=True))
