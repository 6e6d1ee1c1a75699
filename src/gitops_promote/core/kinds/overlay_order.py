"""Which of several places decides what runs: kustomize's order.

kustomize inflates charts, then applies patches field by field, then `images`, then `replacements`
("kustomize/api/internal/target": `configureBuiltinTransformers`).
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

from gitops_promote.core.kinds.overlay_places import PatchSlot, places
from gitops_promote.core.slots.entry import Entry
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import ValueSlot
from gitops_promote.core.yaml.document import Document


@dataclass(frozen=True)
class Judged:
    """Places besides `images:`: those that decide what runs, and those that another overrides.

    `lost` has the latter, each with the entry or the place that comes after it.
    """

    effective: list[Slot]
    lost: list[tuple[Slot, Entry | Slot]]


def judge(
    document: Document, slots: Seq[Slot], known: Seq[Entry], promoted: Seq[Entry] = ()
) -> Judged:
    """Tell which places decide what runs.

    Args:
        document: A kustomization file.
        slots: Places of it.
        known: Its entries of `images:`.
        promoted: Those of them that are to have a version.

    Returns:
        The places.
    """
    judged = Judged([], [])
    for slot in slots:
        winner = acting(slot, known, promoted)[0] or _overriding(document, slot)
        if isinstance(winner, Entry) and winner not in promoted and not winner.current.version:
            continue  # its `tagSuffix` makes another version of this one
        if winner:
            judged.lost.append((slot, winner))
        else:
            judged.effective.append(slot)
    return judged


def acting(slot: Slot, known: Seq[Entry], promoted: Seq[Entry] = ()) -> tuple[Entry | None, str]:
    """What `images:` makes of what a chart or a patch sets.

    Args:
        slot: The place.
        known: The entries of `images:`.
        promoted: Those of them that are to have a version.

    Returns:
        The entry that gives it another version, if one does, and the name that it ends up with.
    """
    in_reach = slot.in_reach if isinstance(slot, PatchSlot) else isinstance(slot, ValueSlot)
    name, found = slot.current.name, None
    keys = [entry.key for entry in promoted]
    for entry in known if in_reach else ():
        if entry.name == name:
            if entry.current.version or entry.text("tagSuffix") or entry.key in keys:
                found = entry
            name = entry.text("newName") or name
    return found, name


def _overriding(document: Document, slot: Slot) -> Slot | None:
    """The last patch of the same container, where that is another one."""
    if not isinstance(slot, PatchSlot):
        return None
    known = [other for other in places(document) if isinstance(other, PatchSlot)]
    last = [other for other in known if other.container == slot.container][-1]
    return None if last.path == slot.path else last


def lost(document: Document, judged: Judged) -> list[str]:
    """Say of places that what they set has no effect.

    Args:
        document: The kustomization file.
        judged: What was found.

    Returns:
        A sentence for each that is overridden, with what overrides it.
    """
    return [_lost(document, slot, by) for slot, by in judged.lost]


def _lost(document: Document, slot: Slot, by: Entry | Slot) -> str:
    if isinstance(by, Entry):
        winner = f"`{by.key}` (line {document.line(by.node)})"
    else:
        winner = f"`{by.label}` (line {by.line}, `{by.current}`)"
    return (
        f"`{slot.label}` (line {slot.line}) sets `{slot.current}` without effect: kustomize "
        f"applies {winner} after it."
    )


def written_over(found: Seq[Entry], slots: Seq[Slot]) -> list[str]:
    """Say of what `replacements` write that it comes after all else, which was promoted too.

    Args:
        found: The entries that were promoted.
        slots: The places that were.

    Returns:
        A sentence for each place whose value `replacements` write.
    """
    last = [s for s in slots if s.path[0] in ("configMapGenerator", "replacements")]
    if not last or (not found and len(last) == len(slots)):
        return []
    return [
        f"`{slot.label}` (line {slot.line}) wins where `replacements` write it: kustomize applies "
        "them after `images` and patches. All were set."
        for slot in last
    ]
