"""The plan: which files a promotion changes, and how, on a given state of the config repository.

A plan is a pure function of what it is given. A push that loses a race is therefore planned again
on the new head, not merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import dirname

from gitops_promote.core.change import Change
from gitops_promote.core.diff import diff_file
from gitops_promote.core.errors import ImageNotFoundError
from gitops_promote.core.images import Image
from gitops_promote.core.kustomize import matching
from gitops_promote.core.message import compose
from gitops_promote.core.overlay import images_used
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.source import Source
from gitops_promote.core.splice import Document
from gitops_promote.core.targets import Located, Target, edit, locate


@dataclass(frozen=True, slots=True)
class Request:
    """What a call asks for, whatever the config repository holds.

    Every image has a tag, a digest or a new name. `message` is the commit message's template and
    `signoff` whom to sign off for.
    """

    images: tuple[Image, ...]
    targets: tuple[Target, ...]
    environments: tuple[str, ...] = ()
    app: str = ""
    source: Source = field(default_factory=Source)
    message: str = ""
    signoff: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the new content of each file that changes, and the commit's message.

    `changes` also has the places that stay as they are. `reason` says why nothing changes, and
    is empty where something does.
    """

    files: Mapping[str, bytes]
    changes: tuple[Change, ...]
    diff: str
    message: str
    warnings: tuple[str, ...] = ()
    reason: str = ""


def make_plan(snapshot: Snapshot, request: Request) -> Plan:
    """Decide what a promotion changes.

    Args:
        snapshot: The config repository as it is.
        request: What is asked for.

    Returns:
        The plan.

    Raises:
        PromoteError: A target or an image isn't there, is ambiguous, or can't be edited safely.
    """
    planner = _Planner(snapshot, request)
    planner.run()
    return planner.plan()


class _Planner:
    def __init__(self, snapshot: Snapshot, request: Request) -> None:
        self.snapshot = snapshot
        self.request = request
        self.documents: dict[str, Document] = {}
        self.before: dict[str, bytes] = {}
        self.changes: list[Change] = []
        self.warnings: dict[str, None] = {}
        self.used: dict[str, frozenset[str] | None] = {}
        self.missed: list[tuple[Located, Image, ImageNotFoundError]] = []

    def run(self) -> None:
        """Promote each image where it is known; where it is known nowhere, add it or refuse."""
        places = [place for target in self.request.targets for place in self._locate(target)]
        places = list({(place.path, place.target.key): place for place in places}.values())
        for place in places:
            for image in self.request.images:
                if place.kind == "helm" or self._is_known(place, image):
                    self._edit(place, image)
        for image in self.request.images:
            if not any(change.image == image.name for change in self.changes):
                self._introduce(places, image)
        for place in places:
            self._check_touched(place)

    def plan(self) -> Plan:
        """Put the outcome together."""
        request = self.request
        files = {p: d.encode() for p, d in self.documents.items() if d.encode() != self.before[p]}
        touched = [change for change in self.changes if change.path in files]
        message = compose(
            request.message,
            [change for change in touched if change.old != change.new] or touched or self.changes,
            request.environments,
            request.app,
            request.source,
            request.signoff,
        )
        return Plan(
            files=files,
            changes=tuple(self.changes),
            diff="".join(diff_file(p, self.before[p], files[p]) for p in sorted(files)),
            message=message,
            warnings=tuple(self.warnings),
            reason="" if files else self._reason(),
        )

    def _locate(self, target: Target) -> list[Located]:
        return locate(self.snapshot, target)

    def _document(self, path: str) -> Document:
        if path not in self.documents:
            self.before[path] = self.snapshot.read(path)
            self.documents[path] = Document.parse(self.before[path], path)
        return self.documents[path]

    def _is_known(self, place: Located, image: Image) -> bool:
        """Whether an overlay has an entry for the image, or may need one."""
        if matching(self._document(place.path), image):
            return True
        used = self._used(place.path)
        return used is None or image.name in used

    def _used(self, path: str) -> frozenset[str] | None:
        if path not in self.used:
            self.used[path] = images_used(self.snapshot, path)
        return self.used[path]

    def _edit(self, place: Located, image: Image) -> None:
        document = self._document(place.path)
        try:
            edited = edit(place, document, image, self._together(image))
        except ImageNotFoundError as error:
            self.missed.append((place, image, error))
            return
        self.documents[place.path] = edited.document
        self.changes.extend(edited.changes)
        warnings = [f"{place.path}: {text}" for text in edited.warnings]
        if place.kind == "kustomize":
            warnings += self._unused(place.path, image)
        self.warnings.update(dict.fromkeys(warnings))

    def _together(self, image: Image) -> frozenset[str]:
        """The names of the images that get the same version as this one."""
        same = [other for other in self.request.images if other.target.version]
        same = [other for other in same if other.target.version == image.target.version]
        return frozenset(name for other in same for name in (other.name, other.deployed_name))

    def _unused(self, path: str, image: Image) -> list[str]:
        used = self._used(path)
        names = [entry.name for entry in matching(self._document(path), image)]
        if used is None or used & set(names):
            return []
        listed = ", ".join(f"`{name}`" for name in sorted(used)[:5]) or "none"
        return [
            f"{path}: no resource of this overlay uses `{names[0]}`, so kustomize ignores its "
            f"entry. The overlay's images: {listed}."
        ]

    def _introduce(self, places: list[Located], image: Image) -> None:
        overlays = [place for place in places if place.kind == "kustomize"]
        overlays = [place for place in overlays if not place.target.is_pattern] or overlays
        if not overlays:
            raise next(error for _, missed, error in self.missed if missed is image)
        for place in overlays:
            self._edit(place, image)

    def _check_touched(self, place: Located) -> None:
        if place.target.is_pattern or any(change.path == place.path for change in self.changes):
            return
        for missed, _, error in self.missed:
            if missed is place:
                raise error
        self.warnings[
            f"{place.path}: this overlay uses none of the images; nothing was changed there."
        ] = None

    def _reason(self) -> str:
        where = ", ".join(self.request.environments) or ", ".join(
            dict.fromkeys(dirname(change.path) or change.path for change in self.changes)
        )
        names = ", ".join(dict.fromkeys(str(change.new) for change in self.changes))
        return f"{where} already has {names}."

