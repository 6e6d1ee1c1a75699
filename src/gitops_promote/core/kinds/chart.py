"""The target kind `chart`: a chart's own version, its `appVersion` and its dependencies."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import basename, dirname

from gitops_promote.core.change import Edited
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Image, Reference
from gitops_promote.core.kinds.kind import Around, SlotKind
from gitops_promote.core.slots import edit
from gitops_promote.core.slots.chart_version import ChartSlot, check_version
from gitops_promote.core.slots.search import Form
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Place
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    find_value,
    is_null,
    resolve,
    text_of,
)

_FILE_NAMES = ("Chart.yaml",)
# The file that had the dependencies of a chart of `apiVersion: v1`. Its folder is named by the
# chart itself, and other tools have files of this name.
_OLD_DEPENDENCIES = "requirements.yaml"
_LOCKS = {"Chart.yaml": "Chart.lock", _OLD_DEPENDENCIES: "requirements.lock"}
_VERSION = "version"


@dataclass(frozen=True)
class AppVersionSlot(Slot):
    """`appVersion`: the version of what the chart deploys, whatever it is called.

    `node` is the value, or the mapping that has none yet.
    """

    node: Scalar | Mapping

    @property
    def current(self) -> Reference:
        """The version, of no image by name."""
        return Reference("", _text(self.node))

    @property
    def is_open(self) -> bool:
        """As `Slot.is_open` says: it is."""
        return True

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says; there is no room for a digest."""
        return self.current.tag == new.tag

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: There is no tag.
        """
        if new.name and new.tag == self.current.tag:
            raise editor.document.error(
                f"`{self.label}` names no image, so there is nothing to rename.",
                "Leave the new name out, or name the chart's values file.",
                self.node,
            )
        if not new.tag:
            raise editor.document.error(
                f"`{self.label}` has room for a tag only, and the call gives none.",
                "Give the image a tag; name a values file for its digest.",
                self.node,
            )
        if isinstance(self.node, Scalar):
            editor.set(self.node, new.tag)
            return
        after = find_pair(self.node, _VERSION) or self.node.pairs[-1]
        editor.add_pair(self.node, after[0], self.label, new.tag, "")


@dataclass(frozen=True)
class VersionSlot(Slot):
    """The chart's own version, which is of no image: only `#version` means it."""

    node: Scalar

    @property
    def current(self) -> Reference:
        """The version, of no image by name."""
        return Reference("", _text(self.node))

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says; there is no room for a digest."""
        return self.current.tag == new.tag

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: It is no version of a chart.
        """
        check_version(self, new.tag or new.version)
        editor.set(self.node, new.tag)


def _text(node: Node) -> str:
    return node.value if isinstance(node, Scalar) and not is_null(node) else ""


def _fits(path: str, document: Document) -> bool:
    name = basename(path)
    return name in _FILE_NAMES or (name == _OLD_DEPENDENCIES and any(_dependencies(document)))


def _slots(document: Document) -> list[Slot]:
    return [*_dependencies(document), *_own(document)]


def _dependencies(document: Document) -> Iterator[Slot]:
    root = document.root
    items = find_value(root, "dependencies") if isinstance(root, Mapping) else None
    for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
        node = resolve(item)
        if isinstance(node, Mapping) and text_of(node, "name"):
            yield ChartSlot(document, ("dependencies", index), node)


def _own(document: Document) -> Iterator[Slot]:
    """The chart's version and its `appVersion`."""
    root = document.root
    if not isinstance(root, Mapping) or not _is_chart(document.path, root):
        return
    version, app_version = find_value(root, _VERSION), find_value(root, "appVersion")
    if isinstance(version, Scalar):
        yield VersionSlot(document, (_VERSION,), version)
    if isinstance(app_version, Scalar) or (app_version is None and root.pairs):
        yield AppVersionSlot(document, ("appVersion",), app_version or root)


def _roots(document: Document) -> list[Place]:
    # Helm reads the first document of a file and no other.
    return [Place(document, (), None, document.root)]


@dataclass(frozen=True)
class Chart(SlotKind):
    """The kind `chart`. What changes a chart may raise its own version, and outdates its lock."""

    def set_image(self, document: Document, image: Image, key: str, around: Around) -> Edited:
        """As `Kind.set_image` says."""
        edited = edit.set_image(self.form, document, image, key, around.together)
        changed = [change for change in edited.changes if change.old != change.new]
        if not changed:
            return edited
        warnings = [*edited.warnings, *_stale_lock(document, edited, around)]
        after, follow = self._raised(around.original or document, edited.document, around.bump)
        _check_own(document, after)
        return Edited(after, edited.changes, (*warnings, *follow))

    def _raised(
        self, original: Document, edited: Document, bump: str
    ) -> tuple[Document, tuple[str, ...]]:
        """Raise a chart's own version, once from what it was before the call."""
        root = original.root
        if not bump or not isinstance(root, Mapping) or not _is_chart(original.path, root):
            return edited, ()
        version = _version_of(original)
        if version != _version_of(edited):
            return edited, ()
        image = Image("the chart", tag=_next(original, version, bump))
        done = edit.set_image(self.form, edited, image, _VERSION, frozenset())
        return done.document, done.warnings


def _is_chart(path: str, root: Mapping) -> bool:
    """Whether a file that a target calls a chart's is one: any mapping could take a version."""
    named = text_of(root, "name") and text_of(root, _VERSION)
    return basename(path) in _FILE_NAMES or bool(named)


def _version_of(document: Document) -> str:
    return text_of(document.root, _VERSION) if isinstance(document.root, Mapping) else ""


def _next(document: Document, version: str, bump: str) -> str:
    """The next version, as node-semver's `inc` counts: `1.3.0-rc.1` goes before `1.3.0`."""
    import semver  # noqa: PLC0415  (most runs read none)

    from gitops_promote.core.tags.versions import read_semver  # noqa: PLC0415  (start-up time)

    node = find_value(document.root, _VERSION) if isinstance(document.root, Mapping) else None
    if read_semver(version) is None:
        raise document.error(
            f"the chart's own `version` is `{version}`, which is no SemVer: it has no next {bump}."
            if version
            else f"this chart has no `version`: there is no next {bump}.",
            "Write it like `1.2.3`, or leave `chart-bump` out.",
            node,
        )
    bare = version.strip().removeprefix("v")
    lead = "v" if version.strip().startswith("v") else ""
    return lead + str(semver.Version.parse(bare).replace(build=None).next_version(bump))


def _check_own(before: Document, after: Document) -> None:
    """See that a chart's own version is one, should an anchor have changed it, too."""
    version = _version_of(after)
    if version != _version_of(before):
        for slot in _own(after):
            if isinstance(slot, VersionSlot):
                check_version(slot, version)


def _stale_lock(before: Document, edited: Edited, around: Around) -> Iterator[str]:
    """Tell of a lock file that was made for other dependencies.

    Helm keeps a checksum of what `dependencies` says, so that any change makes the lock stale.
    """
    known = {slot.label for slot in _dependencies(before)}
    changed = any(change.old != change.new and change.key in known for change in edited.changes)
    name = _LOCKS.get(basename(before.path), "")
    if name and changed and _is_beside(around, name):
        folder = shlex.quote(dirname(before.path) or ".")
        yield (
            f"`{name}` was made for other versions of the dependencies, and Helm refuses to build "
            f"from it: make it anew by `helm dependency update {folder}`."
        )


def _is_beside(around: Around, name: str) -> bool:
    """Whether there is a file of a name, a broken one included: it is to be replaced."""
    try:
        return around.beside(name) is not None
    except PromoteError:
        return True


KIND = Chart("chart", _fits, Form(_slots, _roots), _FILE_NAMES)
