"""Which files of the config repository an overlay is built from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from posixpath import dirname, normpath

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.kinds.kustomize import FILE_NAMES
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import Mapping, Node, Scalar, Sequence, is_null, resolve

# Fields whose texts are never paths, in lower case: kustomize takes any. All others may be one, as
# a remote place in a field that is not known here must be found, too.
_FREE = frozenset(
    (
        *("apiversion", "kind", "metadata", "name", "namespace", "nameprefix", "namesuffix"),
        *("prefix", "suffix", "commonlabels", "commonannotations", "labels", "annotations"),
        *("images", "imagetags", "replicas", "vars", "literals", "options", "generatoroptions"),
        *("patch", "target", "targets", "source", "buildmetadata", "sortoptions"),
    )
)
# Fields that name files of settings, which name further files.
_SETTINGS = ("generators", "transformers", "validators")
# Fields that name nothing but files and folders.
_NEEDED = ("resources", "bases", "components")
_REMOTE = re.compile(
    r"://|::|\?|^[^/@]*@[^/]*[:/]|^(?:gh|git):|(?:^|/)github\.com[:/]|\.git(?:/|$)|/_git/",
    re.IGNORECASE,
)
_LONGEST = 4096

#: Every content that a file has here: before and after.
Versions = Callable[[str], Iterable[bytes]]
#: A file that is to be read; the folder that its paths start at; whether its items are settings.
_Item = tuple[str, str, bool]


class ClosureError(Exception):
    """An overlay can't be built from this repository alone; the text is a sentence."""


def closure(path: str, snapshot: Snapshot, versions: Versions) -> list[str]:
    """Find what an overlay refers to, and what that refers to.

    A text that may be a path counts as one where such a file or folder exists.

    Args:
        path: The overlay's kustomization.
        snapshot: The config repository.
        versions: Reads a file, in each version that will be built.

    Returns:
        The paths of files.

    Raises:
        ClosureError: It refers to another repository, to something outside of this one, to a
            symlink or to nothing, or a kustomization can't be read.
    """
    walk = _Walk(snapshot, versions)
    walk.run(path)
    return list(walk.found)


class _Walk:
    def __init__(self, snapshot: Snapshot, versions: Versions) -> None:
        self.snapshot = snapshot
        self.versions = versions
        self.found: dict[str, None] = {}
        self.todo: list[_Item] = []
        self.seen: set[_Item] = set()

    def run(self, path: str) -> None:
        """Read a kustomization and all that it leads to."""
        self._add((path, dirname(path), False))
        while self.todo:
            item = self.todo.pop()
            for content in self.versions(item[0]):
                self._scan(content, item)

    def _add(self, item: _Item) -> None:
        self.found[item[0]] = None
        if item not in self.seen:
            self.seen.add(item)
            self.todo.append(item)

    def _scan(self, content: bytes, item: _Item, *, is_file: bool = True) -> None:
        file, _, inherited = item
        try:
            roots = Document.parse(content, file).roots
        except PromoteError as error:
            raise ClosureError(f"`{file}` can't be read: {error.what}") from None
        for field, text in (pair for root in roots for pair in _texts(root)):
            settings = inherited or field in _SETTINGS
            if "\n" not in text.strip():
                # A generator's file may be `KEY=PATH`.
                self._refer(text.partition("=")[2].strip(), item, settings=settings)
                found = self._refer(text.strip(), item, settings=settings)
                if field in _NEEDED and not found:
                    raise _missing(file, text.strip())
            elif field in _SETTINGS and is_file:
                settings_text = text.encode("utf-8", "replace")
                self._scan(settings_text, (file, item[1], True), is_file=False)
            # Else it is the text of a patch.

    def _refer(self, text: str, item: _Item, *, settings: bool) -> bool:
        """Take what a text names; False where there is nothing to build or read."""
        file, folder, _ = item
        if not text or len(text) > _LONGEST:
            return False
        if _REMOTE.search(text):
            # The place itself is not shown, as it may carry a password.
            raise ClosureError(f"`{file}` refers to another repository, and nothing is fetched.")
        path = normpath("/".join(part for part in (folder, text.replace("\\", "/")) if part))
        if path == ".." or path.startswith("../"):
            raise ClosureError(f"`{file}` refers to a place outside of the config repository.")
        path = "" if path == "." else path
        kind = self.snapshot.kind(path)
        if kind in ("symlink", "submodule"):
            raise ClosureError(f"`{file}` refers to `{path}`, which is a {kind}.")
        if kind == "folder":
            names = [f"{path}/{name}" if path else name for name in FILE_NAMES]
            inner = [name for name in names if self.snapshot.kind(name) == "file"]
            for name in inner:
                self._add((name, path, settings))
            return bool(inner)
        if kind == "file" and settings:
            self._add((path, folder, settings))
        elif kind == "file":
            self.found[path] = None
        return kind == "file"


def _missing(file: str, text: str) -> ClosureError:
    return ClosureError(f"`{file}` refers to `{text}`, which is no file or kustomization here.")


def _texts(root: Node | None) -> Iterator[tuple[str, str]]:
    """Each text that may be a path, and the outermost field that it stands in."""
    stack: list[tuple[str, Node]] = [("", root)] if root else []
    seen: set[tuple[str, int]] = set()
    while stack:
        field, node = stack.pop()
        node = resolve(node)
        if (field, id(node)) in seen:
            continue
        seen.add((field, id(node)))
        if isinstance(node, Scalar) and not is_null(node):
            yield field, node.value
        elif isinstance(node, Sequence):
            stack += [(field, item) for item in node.items]
        elif isinstance(node, Mapping):
            pairs = [(resolve(key), value) for key, value in node.pairs]
            names = [key.value.lower() if isinstance(key, Scalar) else "" for key, _ in pairs]
            values = zip(names, (value for _, value in pairs), strict=True)
            stack += [(field or name, value) for name, value in values if name not in _FREE]
