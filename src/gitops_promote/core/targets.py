"""The `target` input: one line of it, and the globs in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from posixpath import basename, dirname

from gitops_promote.core.errors import UsageError
from gitops_promote.core.kinds.registry import BY_NAME
from gitops_promote.core.yaml.key_path import parse_key

_KINDS_LISTED = ", ".join(f"`{name}`" for name in BY_NAME)
_GLOB = re.compile(r"[*?\[]")
_GLOB_TOKEN = re.compile(r"(?:\*\*/)+|\*\*+|\*|\?|\[(?:!|(?!!))(?:\][^\]]*|[^\]]+)\]")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Target:
    """One line of `target`, its placeholders filled in. An empty kind is found from content."""

    text: str
    path: str
    key: str = ""
    kind: str = ""
    environment: str = ""

    @property
    def is_pattern(self) -> bool:
        """Whether the path is a glob, which takes what fits and leaves the rest."""
        return _GLOB.search(self.path) is not None

    def fits(self, path: str, kind: str = "") -> bool:
        """Whether the target leads to a file.

        Args:
            path: The file.
            kind: What the file is; a folder stands for its kustomization or chart.

        Returns:
            True where it is named, or matched.
        """
        stands = kind and basename(path) in BY_NAME[kind].file_names
        paths = [path, dirname(path)] if stands else [path]
        if self.is_pattern:
            return any(map(compile_glob(self.path).fullmatch, paths))
        return self.path in paths

    @property
    def folder(self) -> str:
        """The folder that all matches of a glob are below."""
        parts = self.path.split("/")[:-1]
        globs = (number for number, part in enumerate(parts) if _GLOB.search(part))
        return "/".join(parts[: next(globs, len(parts))])

    def spells(self, path: str) -> bool:
        """Whether a file's own name stands in the target, be its folder matched.

        Args:
            path: The file.

        Returns:
            True where no glob is at its end.
        """
        return basename(self.path) == basename(path)


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
    kind, colon, rest = place.strip().partition(":")
    if not colon:
        kind, rest = "", place
    elif kind not in BY_NAME:
        raise UsageError(
            f"Target `{line}` has the kind `{kind}`, which is unknown.",
            f"The kinds are {_KINDS_LISTED}; what stands before a `:` is one.",
        )
    path = _normal_path(rest, line)
    if key.strip():
        parse_key(key.strip())
    return Target(line, path, key.strip(), kind, environment)


@lru_cache(maxsize=256)
def compile_glob(path: str) -> re.Pattern[str]:
    """Make a regular expression of a glob.

    Args:
        path: The glob: `*` stays inside a name, `**` crosses folders.

    Returns:
        What a whole path is to fit.
    """
    pattern, position = "", 0
    simple = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    for found in _GLOB_TOKEN.finditer(path):
        pattern += re.escape(path[position : found.start()])
        position = found.end()
        token = found.group()
        if token.startswith("["):
            # `translate` puts a class between `(?s:` and `)`, with an anchor behind.
            pattern += f"(?!/){translate(token)[:-2]}"
        else:
            pattern += "(?:.*/)?" if token.endswith("/") else simple[token[:2]]
    return re.compile(pattern + re.escape(path[position:]), re.DOTALL)


def _fill(line: str, values: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise UsageError(
                f"Target `{line}` has the placeholder `{{{name}}}`, which is unknown.",
                f"The placeholders are {' and '.join(f'`{{{known}}}`' for known in values)}.",
            )
        if not values[name]:
            raise UsageError(
                f"Target `{line}` needs the input `{name}`, which is missing.",
                f"Set `{name}` (`--{name}`).",
            )
        return values[name]

    return _PLACEHOLDER.sub(value, line)


def _normal_path(path: str, line: str) -> str:
    path = path.strip()
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith(("/", "~")) or "\\" in path:
        problem = "is not a path inside the config repository"
    elif ".." in parts:
        problem = "leaves the config repository by `..`"
    elif re.search(r"[\x00-\x1f\x7f]", path):
        problem = "has a control character"
    elif not path:
        problem = "names no file"
    else:
        return "/".join(parts)
    raise UsageError(
        f"Target `{line}` {problem}.",
        "Write its path from the root of the config repository, such as `apps/shop/overlays/dev`.",
    )
