"""The `target` input: which files of the config repository a promotion edits, and as what."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from posixpath import basename, dirname

from gitops_promote.core import helm, kustomize
from gitops_promote.core.change import Edited
from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import Image
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.splice import Document
from gitops_promote.core.yaml_tree import Mapping, Scalar, find_value

KINDS = ("kustomize", "helm")

_GLOB = re.compile(r"[*?\[]")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


class _NotATargetError(PromoteError):
    """A file that no kind takes; a glob passes over it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of `target`, its placeholders filled in. An empty kind is found from content."""

    text: str
    path: str
    key: str = ""
    kind: str = ""

    @property
    def is_pattern(self) -> bool:
        """Whether the path is a glob, which takes what fits and leaves the rest."""
        return _GLOB.search(self.path) is not None


@dataclass(frozen=True, slots=True)
class Located:
    """A file that a target leads to."""

    target: Target
    path: str
    kind: str


def parse_target(line: str, environment: str = "", app: str = "") -> Target:
    """Read one line of the `target` input.

    Args:
        line: `[KIND:]PATH[#KEY]`, with `{environment}` and `{app}` to be filled in.
        environment: The environment's name.
        app: The app's name.

    Returns:
        The target.

    Raises:
        UsageError: The line names an unknown kind or placeholder, a placeholder's input is
            missing, or the path leaves the repository.
    """
    filled = _fill(line, {"environment": environment, "app": app})
    place, _, key = filled.partition("#")
    kind, colon, rest = place.partition(":")
    if not colon:
        kind, rest = "", place
    elif kind not in KINDS:
        raise UsageError(
            f"Target `{line}` has the kind `{kind}`.", f"The kinds are {' and '.join(KINDS)}."
        )
    return Target(line, _normal_path(rest, line), key.strip(), kind)


def locate(snapshot: Snapshot, target: Target) -> list[Located]:
    """Find the files that a target leads to.

    Args:
        snapshot: The config repository.
        target: The target.

    Returns:
        The files, at least one, in the order of their paths.

    Raises:
        PromoteError: Nothing fits, or what fits can't be edited.
    """
    if not target.is_pattern:
        return [_locate_path(snapshot, target, target.path)]
    pattern = _compile_glob(target.path)
    paths = [p for p in snapshot.paths() if pattern.fullmatch(p)]
    found = [place for path in paths if (place := _locate_match(snapshot, target, path))]
    if not found:
        raise PromoteError(
            f"Target `{target.text}` matches nothing that can be edited.",
            _nearest(snapshot, target.path),
        )
    return found


def edit(
    place: Located, document: Document, image: Image, together: frozenset[str]
) -> Edited:
    """Promote an image in a located file.

    Args:
        place: The file and its kind.
        document: The file as it is by now.
        image: The image.
        together: The names of all images that this call gives the same version.

    Returns:
        The edited file and what changed.

    Raises:
        PromoteError: See `kustomize.set_image` and `helm.set_image`.
    """
    if place.kind == "kustomize":
        return kustomize.set_image(document, image, together)
    return helm.set_image(document, image, place.target.key, together)


def _fill(line: str, values: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise UsageError(
                f"Target `{line}` has the placeholder `{{{name}}}`.",
                f"There are {' and '.join(f'`{{{known}}}`' for known in values)}.",
            )
        if not values[name]:
            raise UsageError(f"Target `{line}` needs the input {name}.", f"Set {name}.")
        return values[name]

    return _PLACEHOLDER.sub(value, line)


def _normal_path(path: str, line: str) -> str:
    path = path.strip()
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path) or "\\" in path:
        problem = "is not a path inside the config repository"
    elif ".." in parts:
        problem = "leaves the config repository by `..`"
    elif re.search(r"[\x00-\x1f\x7f]", path):
        problem = "has a control character"
    else:
        return "/".join(parts)
    raise UsageError(
        f"Target `{line}` {problem}.", "Name it from the root of the config repository, by `/`."
    )


def _locate_match(snapshot: Snapshot, target: Target, path: str) -> Located | None:
    """A glob's match, if it is something to edit."""
    kind = snapshot.kind(path)
    if kind == "folder":
        file = _kustomization(snapshot, path)
        return Located(target, file, "kustomize") if file and target.kind != "helm" else None
    if kind != "file" or not (target.kind or path.endswith((".yaml", ".yml"))):
        return None
    try:
        return _locate_path(snapshot, target, path)
    except _NotATargetError:
        return None


def _locate_path(snapshot: Snapshot, target: Target, path: str) -> Located:
    _check_links(snapshot, target, path)
    kind = snapshot.kind(path)
    if kind is None:
        raise PromoteError(
            f"Target `{target.text}` doesn't exist: there is no `{path}`.",
            _nearest(snapshot, path),
        )
    if kind == "folder":
        file = _kustomization(snapshot, path)
        if target.kind == "helm" or not file:
            raise PromoteError(
                f"Target `{target.text}` is a folder without a kustomization.",
                _files_in(snapshot, path),
            )
        return Located(target, file, "kustomize")
    return Located(target, path, target.kind or _kind_of(snapshot, path))


def _check_links(snapshot: Snapshot, target: Target, path: str) -> None:
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        part = "/".join(parts[:end])
        kind = snapshot.kind(part)
        if kind in ("symlink", "submodule"):
            raise PromoteError(
                f"Target `{target.text}` goes through `{part}`, which is a {kind}.",
                "Name the file itself, in the repository that holds it.",
            )


def _kustomization(snapshot: Snapshot, folder: str) -> str:
    prefix = f"{folder}/" if folder else ""
    found = [prefix + name for name in kustomize.FILE_NAMES]
    found = [path for path in found if snapshot.kind(path) == "file"]
    if len(found) > 1:
        raise PromoteError(
            f"`{folder}` has {len(found)} kustomizations: {', '.join(map(basename, found))}.",
            "kustomize refuses that; keep one.",
        )
    return found[0] if found else ""


def _kind_of(snapshot: Snapshot, path: str) -> str:
    if basename(path) in kustomize.FILE_NAMES:
        return "kustomize"
    root = Document.parse(snapshot.read(path), path).root
    if not isinstance(root, Mapping):
        raise _NotATargetError(
            "this file holds no mapping, so it is neither a kustomization nor a values file.",
            "Name another target.",
            path=path,
        )
    text = partial(_text, root)
    if text("apiVersion").startswith("kustomize.config.k8s.io/"):
        return "kustomize"
    if text("apiVersion") and text("kind"):
        raise _NotATargetError(
            f"this file is a {text('kind')} of {text('apiVersion')}, which can't be edited yet.",
            f"The kinds are {' and '.join(KINDS)}; name an overlay's folder or a values file.",
            path=path,
        )
    return "helm"


def _text(root: Mapping, key: str) -> str:
    value = find_value(root, key)
    return value.value if isinstance(value, Scalar) else ""


def _compile_glob(path: str) -> re.Pattern[str]:
    """A glob as a regular expression: `*` stays inside a name, `**` crosses folders."""
    pattern, position = "", 0
    for found in re.finditer(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]", path):
        pattern += re.escape(path[position : found.start()])
        position = found.end()
        token = found.group()
        simple = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        pattern += simple.get(token) or _character_class(token)
    return re.compile(pattern + re.escape(path[position:]), re.DOTALL)


def _character_class(token: str) -> str:
    negated = token.startswith("[!")
    body = token[2 if negated else 1 : -1].replace("\\", r"\\").replace("[", r"\[")
    return f"(?!/)[{'^' if negated else ''}{body.replace('^', chr(92) + '^')}]"


def _nearest(snapshot: Snapshot, path: str) -> str:
    known = list(snapshot.paths())
    near = get_close_matches(path, known, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(f'`{name}`' for name in near)}?"
    folder = dirname(path)
    while folder and (_GLOB.search(folder) or snapshot.kind(folder) != "folder"):
        folder = dirname(folder)
    return _files_in(snapshot, folder)


def _files_in(snapshot: Snapshot, folder: str) -> str:
    names = list(_names_in(snapshot, folder))
    listed = ", ".join(f"`{name}`" for name in names[:8]) + (", …" if len(names) > 8 else "")
    return f"`{folder or '/'}` has {listed}." if names else "The config repository is empty."


def _names_in(snapshot: Snapshot, folder: str) -> Iterator[str]:
    for path in snapshot.paths():
        if dirname(path) == folder:
            yield basename(path) + ("/" if snapshot.kind(path) == "folder" else "")
