"""The plan: which files a promotion changes, and how, on a given state of the config repository.

A plan is a pure function of what it is given. A push that loses a race is therefore planned again
on the new head, not merged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from posixpath import dirname, normpath

from gitops_promote.core.change import Change, Running
from gitops_promote.core.diff import diff_file
from gitops_promote.core.errors import FilledError, ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.kinds.kustomize import FILE_NAMES, knows, matching
from gitops_promote.core.kinds.overlay import Overlays
from gitops_promote.core.kinds.overlay_layers import Layers
from gitops_promote.core.locate import Located, distinct, edit, likely_files, locate
from gitops_promote.core.message import compose
from gitops_promote.core.request import Request
from gitops_promote.core.running import running
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.yaml.document import Document


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the new content of each file that changes, and the commit's message.

    `changes` also has the places that stay as they are, and `places` is all that the targets lead
    to. `reason` says why nothing changes, and is empty where something does.
    """

    files: Mapping[str, bytes]
    changes: tuple[Change, ...]
    diff: str
    message: str
    warnings: tuple[str, ...] = ()
    reason: str = ""
    places: tuple[Located, ...] = ()


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
        self.originals: dict[str, Document] = {}
        self.documents: dict[str, Document] = {}
        self.changes: list[Change] = []
        self.warnings: dict[str, None] = {}
        self.overlays = Overlays(snapshot, self._original)
        self.layers = Layers(snapshot, self._original)
        self.edited: list[tuple[Located, Image]] = []
        self.touched: set[Located] = set()
        self.reported: set[tuple[str, str, str]] = set()
        self.missed: list[tuple[Located, Image, PromoteError]] = []
        self.located: list[Located] = []

    def run(self) -> None:
        """Promote each image where it is known; where it is known nowhere, add it or refuse."""
        places = self._places()
        images = self.request.images
        for place in places:
            for image in images:
                if self._is_overridden(place, image):
                    continue
                if not _is_overlay(place) or self._is_known(place, image):
                    self._edit(place, image)
        for place in places:
            # An overlay that is named, and of which nothing else can be told, is meant.
            named = _is_overlay(place) and not place.target.is_pattern
            if named and not self._is_touched(place) and self._used(place) is None:
                for image in images:
                    self._edit(place, image)
        for image in images:
            if not any(done is image for _, done in self.edited):
                self._introduce(places, image)
        for place in places:
            self._check_touched(place)
        self._settle()

    def plan(self) -> Plan:
        """Put the outcome together."""
        before = {path: self.originals[path].encode() for path in self.documents}
        after = {path: document.encode() for path, document in self.documents.items()}
        files = {path: after[path] for path in sorted(after) if after[path] != before[path]}
        changed = [change for change in self.changes if change.old != change.new]
        return Plan(
            files=files,
            changes=tuple(self.changes),
            diff="".join(diff_file(path, self._before(path), files[path]) for path in files),
            message=compose(self.request, changed or self.changes),
            warnings=tuple(self.warnings),
            reason="" if files else self._reason(),
            places=tuple(self.located),
        )

    def _before(self, path: str) -> bytes | None:
        return self.originals[path].encode() if self.snapshot.kind(path) else None

    def _places(self) -> list[Located]:
        """The places of all targets, each once; one that is named goes before a glob's match."""
        self.snapshot.expect(likely_files(self.request.targets))
        for target in self.request.targets:
            self.located += locate(self.snapshot, target, self._original)
        return distinct(self.located)

    def _original(self, path: str) -> Document:
        if path not in self.originals:
            # What isn't there is to be created.
            is_there = self.snapshot.kind(path) is not None
            content = self.snapshot.read(path) if is_there else b""
            self.originals[path] = Document.parse(content, path)
        return self.originals[path]

    def _document(self, path: str) -> Document:
        return self.documents.get(path) or self._original(path)

    def _is_known(self, place: Located, image: Image) -> bool:
        """Whether an overlay has the image, or is seen to use it."""
        if knows(self._document(place.path), image):
            return True
        return image.name in (self._used(place) or ())

    def _is_overridden(self, place: Located, image: Image) -> bool:
        """Whether the overlay that gives a chart its values file has an entry for the image."""
        if not place.led_by or not _is_kustomization(self.located, place.led_by):
            return False
        found = matching(self._document(place.led_by), image)
        named = [entry for entry in found if entry.name == image.name]
        if not named:
            return False
        for one in self._running(place, image):
            self.warnings[
                f"{place.path}: line {one.line} sets `{one.reference}` without effect: kustomize "
                f"applies `{named[-1].key}` of {place.led_by} after it."
            ] = None
        return True

    def _running(self, place: Located, image: Image) -> tuple[Running, ...]:
        try:
            return running(place, self._document(place.path), [image.name])
        except PromoteError:
            return ()

    def _used(self, place: Located) -> frozenset[str] | None:
        return self.overlays.images_used(place.path)

    def _edit(self, place: Located, image: Image) -> None:
        document = self._document(place.path)
        try:
            edited = edit(place, document, image, self._around(place, image))
        except (ImageNotFoundError, FilledError) as error:
            if isinstance(error, FilledError) and not place.target.is_pattern:
                raise
            self.missed.append((place, image, error))
            return
        changes = edited.changes
        if document is not self._original(place.path) and "&" in document.text:
            changes = self._as_found(place, image, changes)
        self.documents[place.path] = edited.document
        self.edited.append((place, image))
        self.touched.add(place)
        # A place that two targets lead to is reported once.
        new = [change for change in changes if _identity(change) not in self.reported]
        self.changes += new
        self.reported.update(map(_identity, new))
        warnings = [f"{place.path}: {text}" for text in edited.warnings]
        if _is_overlay(place):
            warnings += self._unused(place, image)
            found = self.layers.warnings(place.path, edited.document, image)
            warnings += [f"{place.path}: {text}" for text in found]
        self.warnings.update(dict.fromkeys(warnings))

    def _as_found(
        self, place: Located, image: Image, changes: tuple[Change, ...]
    ) -> tuple[Change, ...]:
        """The changes with what was there before the call: an anchor may have gone ahead."""
        try:
            first = edit(place, self._original(place.path), image, self._around(place, image))
        except PromoteError:
            return changes
        old = {change.key: change.old for change in first.changes}
        return tuple(replace(change, old=old.get(change.key, change.old)) for change in changes)

    def _around(self, place: Located, image: Image) -> Around:
        folder = dirname(place.path)

        def beside(name: str) -> Document | None:
            path = normpath(f"{folder}/{name}" if folder else name)
            outside = path.startswith(("../", "/"))
            is_file = not outside and self.snapshot.kind(path) == "file"
            return self._original(path) if is_file else None

        def used() -> frozenset[str] | None:
            paths = (f"{folder}/{name}" if folder else name for name in FILE_NAMES)
            found = [path for path in paths if self.snapshot.kind(path) == "file"]
            return self.overlays.images_used(found[0]) if found else None

        return Around(
            self._together(image),
            beside,
            self.request.chart_bump,
            self._original(place.path),
            used,
            not place.target.is_pattern,
        )

    def _together(self, image: Image) -> frozenset[str]:
        """The names of the images that get the same version as this one."""
        same = [other for other in self.request.images if other.target.version]
        same = [other for other in same if other.target.version == image.target.version]
        return frozenset(name for other in same for name in (other.name, other.deployed_name))

    def _unused(self, place: Located, image: Image) -> list[str]:
        path, used = place.path, self._used(place)
        names = [entry.name for entry in matching(self._document(path), image)]
        if used is None or not names or used & set(names):
            return []
        listed = ", ".join(f"`{name}`" for name in sorted(used)[:5]) or "none"
        text = (
            f"{path}: no resource of this overlay uses `{names[0]}`, so kustomize ignores its "
            f"entry. The images of its resources: {listed}."
        )
        return [text]

    def _introduce(self, places: list[Located], image: Image) -> None:
        """Give overlays an entry for an image that none has or uses."""
        overlays = [place for place in places if _is_overlay(place)]
        named = [place for place in overlays if not place.target.is_pattern]
        if not named and len([place for place in places if not place.led_by]) > 1:
            raise _found_nowhere(image, places)
        if not overlays:
            raise next(error for _, of, error in self.missed if of is image)
        for place in named or overlays:
            self._edit(place, image)
        if not any(done is image for _, done in self.edited):
            raise next(error for _, of, error in self.missed if of is image)

    def _check_touched(self, place: Located) -> None:
        """Tell where a target that is named, not only matched, was left as it is."""
        if place.target.is_pattern or place.led_by or self._is_touched(place):
            return
        for missed, _, error in self.missed:
            if missed is place:
                raise error
        self.warnings[
            f"{place.path}: this overlay uses none of the images; nothing was changed there."
        ] = None

    def _is_touched(self, place: Located) -> bool:
        """Whether an image was promoted in a place, or in what it leads to."""
        return any(
            done.target is place.target and place.path in (done.path, done.led_by)
            for done in self.touched
        )

    def _settle(self) -> None:
        """Make sure that every image has what it asked for, and take the lines as they are now.

        What one image was given, another of the same call can take away, and its new lines move
        those of the others.
        """
        lines = {}
        edits = Counter(place.path for place, _ in self.edited)
        for place, image in self.edited:
            if edits[place.path] == 1:
                continue
            document = self.documents[place.path]
            again = edit(place, document, image, self._around(place, image))
            if again.document.text != document.text:
                raise PromoteError(
                    f"`{image.name}` and another image of this call are meant for one place here.",
                    "Promote them in a call each.",
                    path=place.path,
                    line=again.changes[0].line,
                )
            lines.update({_identity(change): change.line for change in again.changes})
        self.changes = [
            replace(change, line=lines.get(_identity(change), change.line))
            for change in self.changes
        ]

    def _reason(self) -> str:
        where = ", ".join(self.request.environments) or ", ".join(
            dict.fromkeys(dirname(change.path) or change.path for change in self.changes)
        )
        parts = dict.fromkeys(
            str(change.new) if change.new.name else f"{change.image} {change.new.version}"
            for change in self.changes
        )
        return f"{where} already has {', '.join(parts)}."


def _is_overlay(place: Located) -> bool:
    """Whether a place is an overlay as a whole, to which an image can be added."""
    return place.kind == "kustomize" and not place.target.key


def _is_kustomization(places: list[Located], path: str) -> bool:
    return any(place.path == path and place.kind == "kustomize" for place in places)


def _identity(change: Change) -> tuple[str, str, str]:
    """What tells a change from all others of a plan."""
    return change.image, change.path, change.key


def _found_nowhere(image: Image, places: list[Located]) -> PromoteError:
    paths = list(dict.fromkeys(place.path for place in places))
    listed = ", ".join(f"`{path}`" for path in paths[:5]) + (", …" if len(paths) > 5 else "")
    return PromoteError(
        f"None of the {len(paths)} files that the targets lead to has the image `{image.name}`: "
        f"{listed}.",
        "Correct `images` or `target`. To add the image to an overlay, name it without a glob.",
    )
