"""What is asked about a commit: what stands at some paths, and what was said of them.

`Commit.file` gives a path's `TreeEntry`, or nothing where nothing stands there; one query may have
many of them. Values stand in variables, so that a path may have any name.

GitHub bounds what a query may cost: 500,000 nodes, as its connections ask for, and time and work
in ways that it doesn't publish ("Rate limits and query limits for the GraphQL API"). So a question
has few connections, and what comes along only in case is left out where that is too much: `lean`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from posixpath import basename, commonpath, dirname

from gitops_promote.core.kinds.kustomize import FILE_NAMES

#: How many commits that changed a path come with a question about it.
WINDOW = 16
#: Up to so many paths have a history each; of more, all have one together.
_MOST_HISTORIES = 4
#: So many folders are looked into that an overlay's base may be.
_MOST_BASES = 8

_ENDINGS = (".yaml", ".yml", ".json")


class Look(Enum):
    """How much of what stands at a path is asked for; the value is what GraphQL calls it."""

    #: What it is, and how large.
    KIND = "kind"
    #: And its text, if it is a file.
    TEXT = "text"
    #: And if it is a folder, what is in it, with the texts of the files.
    LIST = "list"


_SIZE = "object { ... on Blob { byteSize } }"
_TEXT = "object { ... on Blob { byteSize text } }"
_FRAGMENTS = {
    Look.KIND: f"fragment kind on TreeEntry {{ mode oid {_SIZE} }}",
    Look.TEXT: f"fragment text on TreeEntry {{ mode oid {_TEXT} }}",
    Look.LIST: (
        "fragment list on TreeEntry { mode oid object { ... on Blob { byteSize text } "
        f"... on Tree {{ entries {{ name mode oid {_TEXT} }} }} }} }}"
    ),
}
_PAST = """
fragment past on Commit { oid message committedDate parents(first: 2) { nodes { oid } } }
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a commit.

    Attributes:
        looks: The paths, and how much of each.
        histories: The paths whose last changes come, too.
    """

    looks: Mapping[str, Look]
    histories: tuple[str, ...] = ()

    def lean(self) -> Question:
        """Leave out all that may be asked for later, when its size is known.

        Returns:
            The question about the same paths, and for each folder about its kustomization.
        """
        looks = dict.fromkeys(self.looks, Look.KIND)
        lists = [path for path, look in self.looks.items() if look is Look.LIST]
        inside = (path for folder in lists for path in kustomizations(folder))
        return Question(looks | dict.fromkeys(inside, Look.KIND))

    @property
    def variables(self) -> dict[str, str]:
        """The values of the document's variables."""
        files = {f"f{n}": path for n, path in enumerate(self.looks)}
        return files | {f"h{n}": path for n, path in enumerate(self.histories)}

    @property
    def declared(self) -> str:
        """How the document declares them, behind others."""
        return "".join(f", ${name}: String!" for name in self.variables)

    @property
    def fields(self) -> str:
        """What is selected of the `Commit`."""
        files = [
            f"f{n}: file(path: $f{n}) {{ ...{look.value} }}"
            for n, look in enumerate(self.looks.values())
        ]
        histories = [
            f"h{n}: history(first: {WINDOW}, path: $h{n}) "
            "{ nodes { ...past } pageInfo { hasNextPage } }"
            for n in range(len(self.histories))
        ]
        return " ".join((*files, *histories))

    @property
    def fragments(self) -> str:
        """The fragments that the fields use, and no others: GraphQL refuses those."""
        used = [text for look, text in _FRAGMENTS.items() if look in self.looks.values()]
        return " ".join([*used, _PAST] if self.histories else used)


def about(paths: Iterable[str], look: Look) -> Question:
    """Ask about some paths.

    Args:
        paths: The paths.
        look: How much of each.

    Returns:
        The question, which also asks what the folders are that lead to them.
    """
    return Question(_with_folders(dict.fromkeys(paths, look)))


def about_expected(paths: Collection[str]) -> Question:
    """Ask about what a promotion is going to look at.

    An overlay is looked at with all that is in its folder, and in those where its base usually is:
    it is seen there whether the overlay uses an image.

    Args:
        paths: Files and folders; a folder stands for its kustomization.

    Returns:
        The question.
    """
    folders = dict.fromkeys(_overlay(path) for path in paths if not _is_values(path))
    lists = dict.fromkeys(filter(None, folders), Look.LIST)
    # Their kustomizations come with them.
    named = [path for path in paths if path not in lists and dirname(path) not in lists]
    bases = dict.fromkeys(_bases(folders), Look.LIST)
    looks = bases | dict.fromkeys(named, Look.TEXT) | lists
    return Question(_with_folders(looks), _histories([*named, *lists]))


def about_folder(folder: str, path: str) -> Question:
    """Ask about a path, and all that is beside it.

    Args:
        folder: The folder.
        path: The path.

    Returns:
        The question.
    """
    return Question(_with_folders({path: Look.TEXT, folder: Look.LIST}))


def kustomizations(folder: str) -> list[str]:
    """Name the files that may be a folder's kustomization.

    Args:
        folder: The folder; empty for the root.

    Returns:
        Their paths.
    """
    return [f"{folder}/{name}".lstrip("/") for name in FILE_NAMES]


def _is_values(path: str) -> bool:
    """Whether a path is a file's and no kustomization's, by its name."""
    return path.endswith(_ENDINGS) and basename(path) not in FILE_NAMES


def _overlay(path: str) -> str:
    return dirname(path) if basename(path) in FILE_NAMES else path


def _bases(folders: Iterable[str]) -> list[str]:
    """Where the bases of overlays usually are: `../base` and `../../base`."""
    above = [place for folder in folders for place in (dirname(folder), dirname(dirname(folder)))]
    found = [f"{place}/base".lstrip("/") for place in dict.fromkeys(above)]
    return found[:_MOST_BASES]


def _histories(paths: Iterable[str]) -> tuple[str, ...]:
    """Whose histories are likely to be asked for: those of what a promotion may change."""
    # What begins with a dot is a policy or a tool's, and no target.
    meant = [path for path in paths if path and not path.startswith(".")]
    if not meant:
        return ()
    found = meant if len(meant) <= _MOST_HISTORIES else []
    if len(meant) > 1:
        folders = [dirname(path) if _is_values(path) else _overlay(path) for path in meant]
        found = [*found, commonpath(folders)]
    return tuple(dict.fromkeys(filter(None, found)))


def _with_folders(looks: Mapping[str, Look]) -> dict[str, Look]:
    """Ask of each folder on the way, too, what it is."""
    found = dict(looks)
    for path in looks:
        folder = dirname(path)
        while folder:
            found.setdefault(folder, Look.KIND)
            folder = dirname(folder)
    return found
