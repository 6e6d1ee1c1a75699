"""Finding the files that targets lead to, and what each of them is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from posixpath import basename, dirname, normpath

from gitops_promote.core.change import Edited
from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.core.images import Image
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.kinds.overlay import resources
from gitops_promote.core.kinds.registry import BY_NAME, KINDS
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.targets import Target, compile_glob
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import Mapping, text_of

#: Reads a file of the snapshot.
Reader = Callable[[str], Document]

_MOST_COMPARED = 2000
_TEMPLATES = (".gotmpl", ".tpl", ".tmpl")
_HELMFILE_FIX = (
    "Keep the version in a values file of the environment (`environments.NAME.values`), which the "
    "helmfile's template reads as `.Values`, and name that file."
)


class _NotATargetError(PromoteError):
    """A file that no kind takes; a glob passes over it."""


@dataclass(frozen=True, slots=True)
class Located:
    """A file that a target leads to.

    `natural` is the kind that its content says, which the target's may differ from. `led_by` is
    the file of the target that names this one, as an overlay does with a chart's values file.
    """

    target: Target
    path: str
    kind: str
    natural: str = ""
    led_by: str = ""


def locate(snapshot: Snapshot, target: Target, read: Reader) -> list[Located]:
    """Find the files that a target leads to.

    Args:
        snapshot: The config repository.
        target: The target.
        read: Reads a file of the snapshot.

    Returns:
        The files, at least one, in the order of the snapshot.

    Raises:
        PromoteError: Nothing fits, or what fits can't be edited.
    """
    if not target.is_pattern:
        return _locate_path(snapshot, target, target.path, read)
    pattern = compile_glob(target.path)
    paths = [path for path in snapshot.paths(target.folder) if pattern.fullmatch(path)]
    snapshot.expect(_likely([path for path in paths if _may_be_read(snapshot, target, path)]))
    found = [place for path in paths for place in _locate_match(snapshot, target, path, read)]
    if not found:
        raise PromoteError(
            f"Target `{target.text}` matches nothing that can be edited.",
            _built(snapshot, paths, read) or _nearest(snapshot, target.path),
        )
    return found


def likely_files(targets: Iterable[Target]) -> list[str]:
    """List what is read of a config repository for targets, as far as their names tell.

    Args:
        targets: The targets.

    Returns:
        Paths, some of which stand for files that aren't there; none for globs.
    """
    return _likely([target.path for target in targets if not target.is_pattern])


def distinct(places: Iterable[Located]) -> list[Located]:
    """Leave out what several targets lead to.

    Args:
        places: The places.

    Returns:
        Each once; one that is named goes before a glob's match.
    """
    found: dict[tuple[str, str, str], Located] = {}
    for place in places:
        identity = (place.path, place.target.key, place.kind)
        known = found.get(identity)
        if known is None or known.target.is_pattern or (known.led_by and not place.led_by):
            found[identity] = place
    return list(found.values())


def edit(place: Located, document: Document, image: Image, around: Around) -> Edited:
    """Promote an image in a located file.

    Args:
        place: The file and its kind.
        document: The file as it is by now.
        image: The image.
        around: What else counts.

    Returns:
        The edited file and what changed.

    Raises:
        PromoteError: See `Kind.set_image`.
    """
    return BY_NAME[place.kind].set_image(document, image, place.target.key, around)


def kinds_of(path: str, document: Document, key: str = "") -> list[str]:
    """Tell what a file is.

    Args:
        path: Its path.
        document: Its content.
        key: A `#KEY` that is looked for in it.

    Returns:
        The kinds, of which a file with several documents may be several; with a key the first one.
    """
    own = (kind.name for kind in KINDS if kind.file_names and kind.fits(path, document))
    found = list(islice(own, 1))
    if not found:
        others = (kind for kind in KINDS if not kind.file_names)
        found = [kind.name for kind in others if kind.fits(path, document)]
    # A values file is what nothing else is; with Flux's markers in it, they say what is promoted.
    found = [name for name in found if name != "helm"] or found
    if not key:
        return found
    return [name for name in found if BY_NAME[name].answers(document, key)][:1] or found[-1:]


def _likely(paths: Sequence[str]) -> list[str]:
    """The paths, and the kustomizations in them should they be folders."""
    folders = (f"{path}/" if path else "" for path in paths if not path.endswith((".yaml", ".yml")))
    names = BY_NAME["kustomize"].file_names
    return [*paths, *(folder + name for folder in folders for name in names)]


def _locate_match(snapshot: Snapshot, target: Target, path: str, read: Reader) -> list[Located]:
    """A glob's match, if it is something to edit."""
    kind = snapshot.kind(path)
    if kind == "folder":
        file = _file_of(snapshot, target, path)
        if not file:
            return []
        path = file
    elif not _may_be_read(snapshot, target, path):
        return []
    if _is_own_version(path) and not (target.kind or target.spells(path)):
        return []
    try:
        found = _locate_path(snapshot, target, path, read)
    except _NotATargetError:
        return []
    if target.kind or target.key or target.spells(path):
        return found
    return [p for p in found if p.kind != "manifest" or not _is_resource(snapshot, path, read)]


def _is_resource(snapshot: Snapshot, path: str, read: Reader) -> bool:
    """Whether a kustomization beside a manifest or above builds it, and so sets its images.

    Who names a base's folder by a glob means the overlays: a version in the base would reach all.
    """
    folder = path
    while folder:
        folder = dirname(folder)
        prefix = f"{folder}/" if folder else ""
        for name in BY_NAME["kustomize"].file_names:
            file = prefix + name
            if snapshot.kind(file) == "file" and path[len(prefix) :] in _resources(file, read):
                return True
    return False


def _resources(path: str, read: Reader) -> frozenset[str]:
    try:
        return resources(read(path))
    except RetryableError:
        raise
    except PromoteError:
        return frozenset()  # nobody named it, and it builds nothing as it is


def _built(snapshot: Snapshot, paths: Sequence[str], read: Reader) -> str:
    """What to do where all that a glob matches is built by kustomizations; else nothing."""
    files = [path for path in paths if snapshot.kind(path) == "file"]
    built = [path for path in files if _is_resource(snapshot, path, read)]
    if not built:
        return ""
    return (
        f"`{built[0]}` is built by a kustomization, whose overlays set its images: name those, or "
        "have it edited all the same as `manifest:PATH`."
    )


def _is_own_version(path: str) -> bool:
    """Whether a file has a version of no image by name, so that it takes any: a chart's."""
    return basename(path) in BY_NAME["chart"].file_names


def _may_be_read(snapshot: Snapshot, target: Target, path: str) -> bool:
    """Whether a glob's match may be edited, by what its name tells."""
    kind = snapshot.kind(path)
    is_named = path.endswith((".yaml", ".yml")) or any(
        basename(path) in kind.file_names for kind in KINDS
    )
    return kind == "folder" or (kind == "file" and bool(target.kind or is_named))


def _locate_path(snapshot: Snapshot, target: Target, path: str, read: Reader) -> list[Located]:
    _check_links(snapshot, target, path)
    kind = snapshot.kind(path)
    if kind is None:
        return [_to_create(snapshot, target, path)]
    if kind == "folder":
        file = _file_of(snapshot, target, path)
        if not file:
            raise _no_file_for(snapshot, target, path)
        path = file
    natural = _kinds_of(snapshot, target, path, read)
    if target.kind and target.kind not in natural:
        if target.is_pattern and BY_NAME[target.kind].file_names:
            # Who names one file knows what it is.
            raise _NotATargetError(f"this file is no {target.kind}.", "Name another.", path=path)
        natural = natural[:1]
    elif target.kind:
        natural = [target.kind]
    places = [Located(target, path, target.kind or one, one) for one in natural]
    return [*places, *_led_to(snapshot, places[0], read)]


def _no_file_for(snapshot: Snapshot, target: Target, folder: str) -> PromoteError:
    """A folder that stands for no file of the target's kind."""
    names = BY_NAME[target.kind].file_names if target.kind else ()
    if target.kind and not names:
        what = f"a folder, and what is `{target.kind}` is a file"
    elif target.kind in ("", "kustomize"):
        what = "a folder without a kustomization" + ("" if target.kind else ", chart or helmfile")
    else:
        what = f"a folder without a `{names[0]}`"
    fix, glob = _files_in(snapshot, folder), f"{folder}/*.yaml" if folder else "*.yaml"
    if not names and any(name.endswith(".yaml") for name in _names_in(snapshot, folder)):
        fix += f" `{glob}` is all of its files."
    return PromoteError(f"Target `{target.text}` is {what}.", fix)


def _to_create(snapshot: Snapshot, target: Target, path: str) -> Located:
    """A file that isn't there, of a kind that makes its files."""
    makers = [kind.name for kind in KINDS if kind.creates(path)]
    if makers and target.kind in ("", makers[0]) and snapshot.kind(dirname(path)) == "folder":
        return Located(target, path, makers[0], makers[0])
    filled = "" if target.text == path else f": there is no `{path}`"
    raise PromoteError(
        f"Target `{target.text}` doesn't exist in the config repository{filled}.",
        _nearest(snapshot, path),
    )


def _led_to(snapshot: Snapshot, place: Located, read: Reader) -> list[Located]:
    """The values files that a file names, as far as they lie beside it or below."""
    if place.target.key:
        return []
    folder, found = dirname(place.path), []
    for name in BY_NAME[place.kind].values_files(read(place.path)):
        path = normpath(f"{folder}/{name}" if folder else name)
        inside = path.startswith(f"{folder}/" if folder else "") and not path.startswith("../")
        if inside and not name.startswith("/") and snapshot.kind(path) == "file":
            found.append(Located(place.target, path, "helm", "helm", place.path))
    return found


def _check_version(document: Document) -> None:
    root = document.root
    if version := text_of(root, "apiVersion") if isinstance(root, Mapping) else "":
        raise _NotATargetError(
            f"this file is of {version}, so it is no kustomization of kustomize's.",
            "Name an overlay's folder or a values file.",
            path=document.path,
        )


def _check_links(snapshot: Snapshot, target: Target, path: str) -> None:
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        part = "/".join(parts[:end])
        kind = snapshot.kind(part)
        if kind in ("symlink", "submodule"):
            raise PromoteError(
                f"Target `{target.text}` goes through `{part}`, which is a {kind}.",
                "Name the file itself, by its own path in the repository that holds it.",
            )


def _file_of(snapshot: Snapshot, target: Target, folder: str) -> str:
    """The file that a folder stands for: its kustomization, or a chart's."""
    kinds = [kind for kind in KINDS if target.kind in ("", kind.name)]
    prefix = f"{folder}/" if folder else ""
    for kind in kinds:
        found = [prefix + name for name in kind.file_names]
        found = [path for path in found if snapshot.kind(path) == "file"]
        if len(found) > 1 and kind.name == "kustomize":
            raise PromoteError(
                f"`{folder or '/'}` has {len(found)} kustomizations: "
                f"{', '.join(f'`{basename(path)}`' for path in found)}.",
                "kustomize refuses that: keep one of them.",
            )
        if found:
            return found[0]
    return ""


def _kinds_of(snapshot: Snapshot, target: Target, path: str, read: Reader) -> list[str]:
    if path.endswith(_TEMPLATES):
        raise _NotATargetError(
            "this file is a Go template, which is YAML only once it is rendered.",
            _HELMFILE_FIX
            if _is_of_helmfile(path)
            else "Keep the version in a values file that the template reads, and name that.",
            path=path,
        )
    try:
        document = read(path)
    except PromoteError as error:
        if b"{{" not in snapshot.read(path):
            raise
        # A chart's template, which a glob passes over.
        fix = _HELMFILE_FIX if _is_of_helmfile(path) else error.fix
        raise _NotATargetError(error.what, fix, path=path, line=error.line) from None
    found = kinds_of(path, document, target.key)
    is_named = basename(path) in BY_NAME["kustomize"].file_names and found == ["helm"]
    if is_named or (target.kind == "kustomize" and "kustomize" not in found):
        _check_version(document)
    if not found and not target.kind:
        raise _NotATargetError(
            "this file holds no mapping, so it is none that a version stands in.",
            "Name an overlay's folder, a values file or a manifest.",
            path=path,
        )
    return found or [target.kind]


def _is_of_helmfile(path: str) -> bool:
    return basename(path).startswith("helmfile.") or "helmfile.d" in path.split("/")[:-1]


def _nearest(snapshot: Snapshot, path: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  (slow to import, rarely needed)

    paths = [name for name in snapshot.paths() if snapshot.kind(name) in ("file", "folder")]
    known = [name for name in paths if basename(name) == basename(path)]
    known = known or [name for name in paths if dirname(name) == dirname(path)]
    near = get_close_matches(path, known[:_MOST_COMPARED], n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(f'`{name}`' for name in near)}?"
    folder = dirname(path)
    while folder and snapshot.kind(folder) != "folder":
        folder = dirname(folder)
    return _files_in(snapshot, folder)


def _files_in(snapshot: Snapshot, folder: str) -> str:
    names = list(_names_in(snapshot, folder))
    listed = ", ".join(f"`{name}`" for name in names[:8]) + (", …" if len(names) > 8 else "")
    return (
        f"`{folder or '/'}` has {listed}: name what to edit in it."
        if names
        else "The config repository is empty."
    )


def _names_in(snapshot: Snapshot, folder: str) -> Iterator[str]:
    for path in snapshot.paths(folder):
        if dirname(path) == folder:
            yield basename(path) + ("/" if snapshot.kind(path) == "folder" else "")
