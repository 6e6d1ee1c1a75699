"""What a promotion changes in the cluster: the objects that a tool renders, before and after."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from gitops_promote.core.change import Change
from gitops_promote.core.diff import diff_file
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Reference, split_reference
from gitops_promote.core.review.secrets import TooDeepError, has_secret, write_blotted
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import (
    Alias,
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_value,
    is_null,
    text_of,
)

# Parsing takes a second for so much. Nobody reviews as much either.
_MOST_BYTES = 2_000_000
#: Lines before times lines after, over all objects, that are compared where lines come or go.
_MOST_COMPARED = 20_000_000
#: The longest name that Kubernetes takes.
_LONGEST_NAME = 253
_MARKER = re.compile(rb"^---(?:[ \t]*\r?\n|(?=[ \t])|\Z)", re.MULTILINE)

#: API version, kind, namespace and name.
_Identity = tuple[str, str, str, str]


class UnreadableError(Exception):
    """What a tool printed can't be compared; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object of the cluster that changes, comes or goes.

    `diff` has the form of git's. `only_image` says that the object differs in nothing but
    references of images that the promotion changes.
    """

    kind: str
    namespace: str
    name: str
    diff: str
    only_image: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one overlay or values file renders to, before and after.

    `path` is the overlay's folder or the values file, `tool` what rendered it. `problem` is a
    sentence that says why there is no rendering, empty where there is one.
    """

    path: str
    tool: str
    objects: tuple[ObjectChange, ...] = ()
    problem: str = ""

    @property
    def only_images(self) -> bool:
        """Whether nothing but images changes, as far as it is known: also where it isn't."""
        return all(change.only_image for change in self.objects)


def compare(before: bytes, after: bytes, changes: Iterable[Change]) -> tuple[ObjectChange, ...]:
    """Find the objects that differ between two renderings.

    The order of the objects doesn't matter, nor do comments. What a Secret holds is not shown.

    Args:
        before: The YAML stream that a tool printed before the promotion.
        after: The one after it.
        changes: What the promotion changes.

    Returns:
        The objects that differ: those that were there, then those that come.

    Raises:
        UnreadableError: The streams are no objects in YAML, or too many objects differ.
    """
    old_texts, new_texts = Counter(_documents(before)), Counter(_documents(after))
    gone, come = list((old_texts - new_texts).elements()), list((new_texts - old_texts).elements())
    if sum(map(len, gone)) + sum(map(len, come)) > _MOST_BYTES:
        raise UnreadableError(
            f"The objects that change have more than {_MOST_BYTES // 1_000_000} MB, "
            "which is too much to compare."
        )
    old, new = _by_identity(gone), _by_identity(come)
    comparison = _Comparison(changes)
    return tuple(
        change
        for identity in dict.fromkeys([*old, *new])
        for pair in zip_longest(old[identity], new[identity])
        for change in comparison.changes(identity, *pair)
    )


def _documents(stream: bytes) -> list[bytes]:
    return [part for part in _MARKER.split(stream) if part.strip()]


def _by_identity(documents: Iterable[bytes]) -> defaultdict[_Identity, list[Document]]:
    found: defaultdict[_Identity, list[Document]] = defaultdict(list)
    for content in documents:
        try:
            document = Document.parse(content, "")
        except PromoteError as error:
            raise UnreadableError(f"What was rendered can't be read: {error.what}") from None
        roots = [root for root in document.roots if root is not None and not is_null(root)]
        if not roots:
            continue
        root = document.root
        if len(document.roots) > 1 or not isinstance(root, Mapping):
            raise UnreadableError("What was rendered has a document that is no object.")
        found[_identity(root)].append(document)
    return found


def _identity(root: Mapping) -> _Identity:
    metadata = find_value(root, "metadata")
    names = ("namespace", "name")
    if not isinstance(metadata, Mapping):
        return text_of(root, "apiVersion"), text_of(root, "kind"), "", ""
    namespace, name = (text_of(metadata, key)[:_LONGEST_NAME] for key in names)
    return text_of(root, "apiVersion"), text_of(root, "kind")[:_LONGEST_NAME], namespace, name


class _Comparison:
    def __init__(self, changes: Iterable[Change]) -> None:
        self.pairs = list(dict.fromkeys((c.old, c.new) for c in changes if c.old != c.new))
        self.compared = 0

    def changes(
        self, identity: _Identity, old: Document | None, new: Document | None
    ) -> Iterator[ObjectChange]:
        """The change of an object, if there is one."""
        only_image = False
        if old and new and old.root and new.root:
            difference = self._difference(old.root, new.root)
            if difference == "none":
                return  # comments alone, which the cluster never sees
            only_image = difference == "images"
        _, kind, namespace, name = identity
        diff = self._diff(f"{kind}/{name}", *_texts(old, new))
        yield ObjectChange(kind, namespace, name, diff, only_image)

    def _diff(self, name: str, before: bytes, after: bytes) -> str:
        lines = before.count(b"\n"), after.count(b"\n")
        if lines[0] != lines[1]:
            self.compared += lines[0] * lines[1]
            if self.compared > _MOST_COMPARED:
                return f"{lines[0]} lines become {lines[1]}: too many to be compared.\n"
        return diff_file(name, before, after)

    def _difference(self, before: Node, after: Node) -> str:
        """What differs: "none", "images", or "more".

        Two objects are walked in step. An alias must stand for the partner of what the other's
        stands for, so no node is met twice, however often it is referred to.
        """
        found = "none"
        partners: dict[int, Node] = {}
        stack = [(before, after, False)]
        while stack:
            old, new, is_image = stack.pop()
            if isinstance(old, Alias) and isinstance(new, Alias):
                if partners.get(id(old.target)) is not new.target:
                    return "more"
                continue
            partners[id(old)] = new
            inside = _inside(old, new)
            if inside is not None:
                stack += reversed(inside)
            elif not (isinstance(old, Scalar) and isinstance(new, Scalar)):
                return "more"
            elif _said(old) != _said(new):
                # An alias elsewhere may stand for it, where it isn't an `image`.
                is_image = is_image and old.anchor is None and new.anchor is None
                if old.tag != new.tag or not self._is_promoted(old.value, new.value, is_image):
                    return "more"
                found = "images"
        return found

    def _is_promoted(self, before: str, after: str, is_image: bool) -> bool:  # noqa: FBT001
        if is_image:
            old, new = split_reference(before), split_reference(after)
            return any(_fits(old, new, *pair) for pair in self.pairs)
        return any(
            old.name and old.version and (before, after) == (str(old), str(new))
            for old, new in self.pairs
        )


def _inside(old: Node, new: Node) -> list[tuple[Node, Node, bool]] | None:
    """What stands in two collections of one shape, and whether it is an `image`; else None."""
    if old.tag != new.tag:
        return None
    if isinstance(old, Sequence) and isinstance(new, Sequence):
        if len(old.items) == len(new.items):
            return [(*pair, False) for pair in zip(old.items, new.items, strict=True)]
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [[_key(key) for key, _ in node.pairs] for node in (old, new)]
        if keys[0] == keys[1] and None not in keys[0]:
            values = zip(keys[0], old.pairs, new.pairs, strict=True)
            return [(one[1], other[1], key == ("image", None)) for key, one, other in values]
    return None


def _key(key: Node) -> tuple[str, str | None] | None:
    return (key.value, key.tag) if isinstance(key, Scalar) and key.anchor is None else None


def _said(scalar: Scalar) -> tuple[str, bool, str | None]:
    """What a scalar means: in quotes, `1` and `true` are texts."""
    return scalar.value, bool(scalar.style), scalar.tag


def _fits(before: Reference, after: Reference, old: Reference, new: Reference) -> bool:
    """Whether an `image` changes as a place of the promotion does.

    Such a place may hold the tag alone, or the name without its registry.
    """
    if not _is_named(before.name, old.name) or not _is_named(after.name, new.name):
        return False
    if new.name in ("", old.name) and before.name != after.name:
        return False
    if old.version and before.version != old.version:
        return False
    return after.version == (new.version or before.version)


def _is_named(name: str, expected: str) -> bool:
    return not expected or name == expected or name.endswith(f"/{expected}")


def _texts(old: Document | None, new: Document | None) -> tuple[bytes, bytes]:
    """The objects as they are shown, one that isn't there as nothing."""
    if not any(document and has_secret(document.root) for document in (old, new)):
        before, after = (document.encode() if document else b"" for document in (old, new))
        return before, after
    try:
        shown, held = write_blotted(old, {})
        return shown, write_blotted(new, held)[0]
    except TooDeepError:
        raise UnreadableError("A Secret nests too deep to be shown without its data.") from None
