"""The target kind `helmfile`: the releases of a helmfile.

What a helmfile means is as helmfile's documentation has it ("Configuration Reference", "Values
Merging and Data Flow"), and its `pkg/state` where that is silent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from posixpath import basename

from gitops_promote.core.change import Edited
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, Reference, split_reference
from gitops_promote.core.kinds.helmfile_set import (
    VALUES,
    Untold,
    given,
    has_nameless_version,
    inline_values,
    parameters_of,
    says_nameless_version,
    untold_of,
)
from gitops_promote.core.kinds.kind import Around, SlotKind
from gitops_promote.core.slots import edit
from gitops_promote.core.slots.block import DIGEST_KEYS, TAG_KEYS, first_of
from gitops_promote.core.slots.chart_version import ChartSlot, chart_name, check_version
from gitops_promote.core.slots.parameters import PARTS, ParameterSlot, keys_of, mapping_at
from gitops_promote.core.slots.search import Form, find, is_named
from gitops_promote.core.slots.slot import ReferenceSlot, Slot
from gitops_promote.core.slots.values import tree_slots
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, Place, format_path, node_at, roots
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    resolve,
    text_of,
)

_FILE_NAMES = ("helmfile.yaml", "helmfile.yml")
_VALUE_PATHS = [(key,) for key in VALUES]
_OCI = "oci://"
_ELSEWHERE = re.compile(r"\{\{|::|://|^/|\.gotmpl$")


@dataclass(frozen=True)
class ReleaseSlot(ChartSlot):
    """A release, or a chart that it depends on, and its version; `called` is the chart's name."""

    repository: str = "name"
    chart: str = "chart"
    called: str = ""

    @property
    def current(self) -> Reference:
        """The chart as an image; its version may carry a digest (`VERSION@DIGEST`)."""
        tag, _, digest = text_of(self.node, self.version).partition("@")
        return Reference(self.called, tag, digest)

    def text(self, new: Reference) -> str:
        """As `ChartSlot.text` says; a digest is written where one is."""
        return new.version if self.current.digest else new.tag

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: It is no version of a chart, or the chart's URL names another.
        """
        if _chart_reference(self.node).version:
            raise editor.document.error(
                f"`{self.label}` has a `version`, and `chart` names one, too.",
                "Keep the version in one of them.",
                self.version_node,
            )
        super().write(editor, new)


@dataclass(frozen=True)
class ChartUrlSlot(ReferenceSlot):
    """A chart that is named with its version: `oci://REGISTRY/PATH/CHART:VERSION`."""

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: It is no version of a chart.
        """
        check_version(self, new.tag or new.version)
        super().write(editor, new)


@dataclass(frozen=True)
class _Release:
    """A release or a template of releases, and where it stands."""

    document: Document
    path: Path
    node: Mapping

    def items(self, key: str) -> Iterator[tuple[Path, Node]]:
        """The items of a list that it has.

        Args:
            key: The list's key.

        Yields:
            The path and the node of each item, no alias.
        """
        listed = find_value(self.node, key)
        for index, item in enumerate(listed.items if isinstance(listed, Sequence) else ()):
            yield (*self.path, key, index), resolve(item)

    def trees(self) -> Iterator[Place]:
        """The values that stand here, in the order in which Helm is given them."""
        return inline_values(self.document, self.path, self.node)


def _releases(document: Document) -> Iterator[_Release]:
    """The releases of all parts of a helmfile, and the templates that releases inherit."""
    for root in roots(document):
        node = resolve(root.node) if root.node else None
        if not isinstance(node, Mapping):
            continue
        whole = _Release(document, root.path, node)
        for path, item in whole.items("releases"):
            if isinstance(item, Mapping):
                yield _Release(document, path, item)
        yield from _named(whole, "templates")


def _named(whole: _Release, key: str) -> Iterator[_Release]:
    """What a mapping of names holds: templates, or environments."""
    named = find_value(whole.node, key)
    for name, value in named.pairs if isinstance(named, Mapping) else ():
        known, node = resolve(name), resolve(value)
        if isinstance(known, Scalar) and isinstance(node, Mapping):
            yield _Release(whole.document, (*whole.path, key, known.value), node)


def _fits(path: str, document: Document) -> bool:
    if basename(path) in _FILE_NAMES:
        return True
    root = document.root
    if isinstance(root, Mapping) and text_of(root, "apiVersion"):
        return False
    # `releases` is the last path but one of a release's, and no template's.
    found = [one for one in _releases(document) if one.path[-2:-1] == ("releases",)]
    return any(text_of(release.node, "chart") for release in found)


# An edit looks at a file's places several times, before and after it.
@lru_cache(maxsize=4)
def _known(document: Document) -> list[Slot]:
    urls = _repositories(document)
    found: list[Slot] = []
    for release in _releases(document):
        dependencies = (
            _chart_slot(document, path, node, urls)
            for path, node in release.items("dependencies")
            if isinstance(node, Mapping)
        )
        found += filter(None, (_chart_slot(document, release.path, release.node, urls),))
        found += filter(None, dependencies)
        found += given(document, release.path, release.node).slots
    found += (slot for tree in _state_trees(document) for slot in tree_slots(tree))
    return found


def _slots(document: Document) -> list[Slot]:
    joined = _with_inherited(document)
    return [slot for slot in _known(document) if _winner(slot, joined) is None]


def _winner(slot: Slot, joined: list[tuple[_Release, list[Untold]]]) -> Untold | None:
    """What wins over an image in the lists of a release and doesn't stand there, if anything."""
    for release, others in joined:
        start = len(release.path)
        if slot.path[:start] == release.path and slot.path[start + 1 :]:
            keys = _keys(slot, start)
            return next((one for one in others if keys and _touches(one.keys, keys)), None)
    return None


def _own_winner(slot: Slot) -> Untold | None:
    """What of the same release wins over a version in its values that a key leads to."""
    for release in _releases(slot.document):
        start = len(release.path)
        inside = slot.path[:start] == release.path and slot.path[start:][:1] in _VALUE_PATHS
        if inside and not isinstance(slot, ParameterSlot):
            return _later(slot, release)
    return None


def _later(slot: Slot, release: _Release) -> Untold | None:
    """What a release gives behind one of its values: by `set`, or by other values."""
    keys = _keys(slot, len(release.path))
    versions = {keys, *((*keys, end) for end in (*TAG_KEYS, *DIGEST_KEYS))}
    for item in parameters_of(release.path, release.node):
        if item.keys in versions:
            return Untold(item.keys, item.value, str(item.path[-2]))
    start = len(release.path) + 2
    trees = list(release.trees())
    later = next((n for n, t in enumerate(trees) if t.path == slot.path[:start]), len(trees)) + 1
    for tree in trees[later:]:
        for path in sorted(versions, key=len):
            block = mapping_at(tree, path[:-1])
            node = find_value(block, str(path[-1])) if block else None
            whole = isinstance(slot.node, Mapping) and isinstance(node, Mapping)
            if node is not None and not whole:
                return Untold(path, node, format_path(tree.path))
    return None


@lru_cache(maxsize=4)
def _with_inherited(document: Document) -> list[tuple[_Release, list[Untold]]]:
    """The releases and templates, and what wins over their values that doesn't stand there.

    How the lists of a release and of a template that it inherits are joined isn't gone into: what
    one of them says of an image and the other too is refused.
    """
    known = list(_releases(document))
    templates = {str(one.path[-1]): one for one in known if one.path[-2:-1] == ("templates",)}
    others = {one.path: list(untold_of(one.node)) for one in known}
    for one in known:
        names = [text_of(n, "template") for _, n in one.items("inherit") if isinstance(n, Mapping)]
        for inherited in [templates[name] for name in names if name in templates]:
            others[one.path] += _said(inherited)
            others[inherited.path] += _said(one)
    return [(one, others[one.path]) for one in known]


def _said(release: _Release) -> Iterator[Untold]:
    """What a release says of images in its lists, as seen from one that is joined with it."""
    yield from untold_of(release.node)
    for item in parameters_of(release.path, release.node):
        yield Untold(item.keys, item.value, format_path(item.path[:-1]))
    for tree in release.trees():
        for slot in tree_slots(tree):
            if isinstance(slot.node, Mapping):
                yield Untold(slot.path[len(tree.path) :], slot.node, format_path(tree.path))


def _keys(slot: Slot, start: int) -> Path:
    """The place of an image in a chart's values; `start` is where its path leaves the release."""
    if isinstance(slot, ParameterSlot):
        return slot.keys
    if slot.path[start] in VALUES:
        return slot.path[start + 2 :]
    item = node_at(slot.document, slot.path).parent
    return keys_of(text_of(item, "name")) if isinstance(item, Mapping) else ()


def _touches(one: Path, image: Path) -> bool:
    """Whether what sets a value says something of an image: of a part, of all, or of more."""
    above = bool(one) and image[: len(one)] == one
    return above or (one[:-1] == image and bool(one) and one[-1] in PARTS)


def _check_winner(slots: list[Slot]) -> None:
    """Refuse images whose values count for nothing beside what stands elsewhere."""
    for slot in slots:
        winner = _winner(slot, _with_inherited(slot.document)) or _own_winner(slot)
        if winner:
            line = slot.document.line(winner.node)
            raise ImageNotFoundError(
                f"`{slot.label}` has no say, or none alone: `{winner.listed}` (line {line}) gives "
                f"`{format_path(winner.keys)}`, too.",
                "Keep the version in one of them, as a plain text.",
                path=slot.document.path,
                line=slot.line,
            )


def _chart_slot(document: Document, path: Path, node: Mapping, urls: dict[str, str]) -> Slot | None:
    """The place of a release's version: `version`, or the chart's URL."""
    chart, version = find_value(node, "chart"), find_value(node, "version")
    inside = _chart_reference(node)
    if version is None and inside.version and isinstance(chart, Scalar):
        return ChartUrlSlot(document, (*path, "chart"), chart, _OCI)
    called = inside.name or _called(text_of(node, "chart"), urls)
    if version is None and not called:
        return None
    return ReleaseSlot(document, path, node, called=called)


def _chart_reference(release: Mapping) -> Reference:
    """The chart of a release as an image, where it is an artifact of a registry."""
    chart = text_of(release, "chart")
    if not chart.startswith(_OCI) or "{{" in chart:
        return Reference("")
    return split_reference(chart.removeprefix(_OCI))


def _called(chart: str, urls: dict[str, str]) -> str:
    """What `REPOSITORY/CHART` is called as an image, by the repositories of the same file."""
    name, slash, rest = chart.partition("/")
    return chart_name(urls[name], rest) if slash and name in urls and "{{" not in chart else ""


def _repositories(document: Document) -> dict[str, str]:
    """The URLs of a file's repositories by their names."""
    found: dict[str, str] = {}
    for root in roots(document):
        node = resolve(root.node) if root.node else None
        if isinstance(node, Mapping):
            items = _Release(document, root.path, node).items("repositories")
            known = [item for _, item in items if isinstance(item, Mapping)]
            found |= {text_of(item, "name"): text_of(item, "url") for item in known}
    return found


def _state_trees(document: Document) -> Iterator[Place]:
    """The values that templates read: of the helmfile, and of its environments."""
    for root in roots(document):
        node = resolve(root.node) if root.node else None
        if isinstance(node, Mapping):
            whole = _Release(document, root.path, node)
            for one in (whole, *_named(whole, "environments")):
                yield from one.trees()


def _trees(document: Document) -> list[Place]:
    """The values of a file's release, the winning ones first; of several nothing says which."""
    found = [list(release.trees()) for release in _releases(document)]
    found = [trees for trees in found if trees]
    return found[0][::-1] if len(found) == 1 else []


def _values_files(document: Document) -> list[str]:
    """The files of values that a release gives its chart.

    Which images a file has isn't known here. One that stands below a version whose image nothing
    names, in `set` or in values, is left to a target of its own: that version may be the one that
    counts.
    """
    found: list[str] = []
    for release in _releases(document):
        items = [node for key in VALUES for _, node in release.items(key)]
        if has_nameless_version(release.document, release.path, release.node):
            items = []
        below = [n for n, node in enumerate(items) if says_nameless_version(node)]
        items = items[below[-1] + 1 :] if below else items
        prefix = text_of(release.node, "valuesPathPrefix")
        names = [prefix + node.value for node in items if isinstance(node, Scalar) and node.value]
        found += (name for name in names if not _ELSEWHERE.search(name))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Helmfile(SlotKind):
    """The kind `helmfile`. What a template fills in is refused, and a stale lock is told of."""

    def set_image(self, document: Document, image: Image, key: str, around: Around) -> Edited:
        """As `Kind.set_image` says."""
        try:
            found = find(self.form, document, image, key)
        except ImageNotFoundError:
            if not key:
                _check_winner([slot for slot in _known(document) if is_named(slot, image)])
            raise
        _check_winner(found)
        edited = edit.set_image(self.form, document, image, key, around.together)
        warnings = [text for slot in found for text in _in_vain(slot)]
        if edited.document is not document:
            warnings += (
                text for slot in found for text in _stale_lock(document, slot, edited, around)
            )
        return replace(edited, warnings=(*edited.warnings, *dict.fromkeys(warnings)))


def _in_vain(slot: Slot) -> Iterator[str]:
    """Tell of a release's values that give an image a version, too, which others win over."""
    if not isinstance(slot, ParameterSlot):
        return
    node = slot.version_node
    for release in _releases(slot.document):
        own = slot.path[: len(release.path)] == release.path
        blocks = [mapping_at(tree, slot.keys) for tree in release.trees()] if own else []
        versions = [first_of(block, TAG_KEYS) for block in blocks if block]
        for version in versions:
            if version is not None and version.value and version is not node:
                line = slot.document.line(version)
                yield f"`{slot.label}` wins over `{version.value}` in `values` (line {line})."


def _stale_lock(document: Document, slot: Slot, edited: Edited, around: Around) -> Iterator[str]:
    """Tell of a lock file that helmfile finds no version in that fits a release."""
    if not isinstance(slot, ReleaseSlot):
        return
    chart = text_of(slot.node, "chart")
    new = next((change.new.tag for change in edited.changes if change.key == slot.label), "")
    # helmfile locks what it has by `repositories` and no other.
    if not new or chart.startswith(_OCI) or not slot.current.name:
        return
    name = _lock_name(document)
    try:
        lock = around.beside(name)
    except PromoteError:
        return  # helmfile says so itself.
    versions = _locked_versions(lock, basename(chart))
    if lock is not None and new not in versions:
        has = f" has {basename(chart)} {versions[0]}" if versions else f" lacks {basename(chart)}"
        yield f"`{name}`{has}, so that helmfile refuses {new}: make it anew by `helmfile deps`."


def _locked_versions(lock: Document | None, chart: str) -> list[str]:
    """The versions that a lock file has of a chart."""
    root = lock.root if lock else None
    items = find_value(root, "dependencies") if isinstance(root, Mapping) else None
    nodes = [resolve(item) for item in items.items] if isinstance(items, Sequence) else []
    named = [n for n in nodes if isinstance(n, Mapping) and text_of(n, "name") == chart]
    return [text_of(node, "version") for node in named]


def _lock_name(document: Document) -> str:
    named = (
        text_of(r.node, "lockFilePath") for r in roots(document) if isinstance(r.node, Mapping)
    )
    return next(filter(None, named), re.sub(r"\.ya?ml$", "", basename(document.path)) + ".lock")


KIND = Helmfile("helmfile", _fits, Form(_slots, trees=_trees), _FILE_NAMES, _values_files)
