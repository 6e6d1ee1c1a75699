"""Make a release's commit and tags.

    tag.py check VERSION      may this commit be released as VERSION?
    tag.py notes VERSION      print what CHANGELOG.md says of it
    tag.py commit VERSION     commit the built bundle on top of HEAD, and tag that vVERSION
    tag.py verify VERSION     is the tag vVERSION what was built here?
    tag.py push VERSION       push the tag, and move vX and vX.Y to it
    tag.py is-newest VERSION  print whether no newer version is released: true or false

The branches stay as they are, as does the work tree. A commit is made of HEAD, the bundle and
nothing else (its date is that of HEAD), so whoever builds the same bundle gets the same commit.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bundle import PROCESSORS, VERSIONS, Target

NAME = "github-actions[bot]"
EMAIL = "41898282+github-actions[bot]@users.noreply.github.com"
PLAIN = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
# What a release adds to main, and of what kind: a file, never a link or a submodule.
ADDED = re.compile(r"bundle/.+|src/(?:.+/)?__pycache__/[^/]+\.pyc")
FILES = ("100644", "100755")


def check(version: str) -> None:
    """Judge whether this commit may be released.

    Args:
        version: As what.

    Raises:
        SystemExit: It may not be; the message says why.
    """
    source = Path("src/gitops_promote/__init__.py").read_text("utf-8")
    if f'__version__ = "{version}"\n' not in source:
        sys.exit(f"src/gitops_promote/__init__.py doesn't say {version}.")
    notes(version)
    if "Unreleased" in _sections() and _sections()["Unreleased"]:
        sys.exit("CHANGELOG.md has entries under Unreleased; move them to the version.")
    if _git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("The work tree has changes that no commit has.")
    _require_main()
    if version in _released():
        sys.exit(f"v{version} is released already.")


def notes(version: str) -> str:
    """Read what is told of a version.

    Args:
        version: The version.

    Returns:
        Its section of CHANGELOG.md.

    Raises:
        SystemExit: There is none.
    """
    return _sections().get(version) or sys.exit(f"CHANGELOG.md has nothing on {version}.")


def commit(version: str) -> str:
    """Commit HEAD with the bundle that is built in the work tree.

    Args:
        version: The version.

    Returns:
        The commit.

    Raises:
        SystemExit: The bundle isn't complete.
    """
    targets = [Target(each, processor).name for each in VERSIONS for processor in PROCESSORS]
    missing = [name for name in targets if not Path("bundle", f"{name}.json").is_file()]
    if missing:
        sys.exit(f"The bundle has nothing for {', '.join(missing)}: `make bundle` says why.")
    date = _git("log", "-1", "--format=%ct +0000")
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "GIT_INDEX_FILE": str(Path(folder, "index")),
            **{f"GIT_{who}_NAME": NAME for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": EMAIL for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_DATE": date for who in ("AUTHOR", "COMMITTER")},
        }
        _git("read-tree", "HEAD", environ=environ)
        compiled = ":(glob)src/**/__pycache__/*.pyc"
        _git("add", "--force", "bundle", compiled, environ=environ)
        tree = _git("write-tree", environ=environ)
        message = f"Release v{version} with its packages"
        return _git("commit-tree", tree, "-p", "HEAD", "-m", message, environ=environ)


def verify(version: str) -> None:
    """Compare a release's tag with what was built here.

    Args:
        version: The version.

    Raises:
        SystemExit: They differ, in the files that were shown; or what it was built from was never
            on main, so that the same bytes would say nothing.
    """
    _require_main()
    built, tagged = commit(version), _git("rev-parse", f"refs/tags/v{version}^{{commit}}")
    if built != tagged:
        print(_git("diff", "--stat", built, tagged))
        sys.exit(f"v{version} is {tagged}, and what was built here is {built}.")
    print(f"v{version} is what was built here: {built}")


def push(version: str) -> None:
    """Push a release's tag, and move the tags of its major and minor version.

    Those stay where they are if there is a newer version of theirs, as after a late fix.

    Args:
        version: The version.

    Raises:
        SystemExit: The tag is something else than HEAD with a bundle; nothing is pushed then.
    """
    made = _release_on_head(version)
    refs = [f"{made}:refs/tags/v{version}"]
    for length in (1, 2):
        if is_newest(version, length):
            line = ".".join(version.split(".")[:length])
            refs.append(f"+{made}:refs/tags/v{line}")
    _git("push", "--quiet", "--atomic", "origin", *refs)
    print("\n".join(refs))


def is_newest(version: str, length: int = 0) -> bool:
    """Tell whether no newer version is released.

    Args:
        version: The version.
        length: Of how many numbers only those versions count that begin with the same: with 1, of
            its major version; with 2, of its minor version.

    Returns:
        Whether it is so.
    """
    number = _parts(version)
    others = [_parts(each) for each in _released()]
    return all(number >= each for each in others if each[:length] == number[:length])


def main(arguments: list[str]) -> None:
    """Do one of the commands.

    Args:
        arguments: The command and the version.

    Raises:
        SystemExit: The command line is wrong, or the command can't be done.
    """
    if len(arguments) != 2 or not PLAIN.fullmatch(arguments[1]):
        sys.exit(f"{__doc__}\nVERSION is X.Y.Z.")
    command, version = arguments
    if command == "check":
        check(version)
    elif command == "notes":
        print(notes(version))
    elif command == "commit":
        _git("tag", "--no-sign", f"v{version}", commit(version))
    elif command == "verify":
        verify(version)
    elif command == "push":
        push(version)
    elif command == "is-newest":
        print("true" if is_newest(version) else "false")
    else:
        sys.exit(__doc__)


def _require_main() -> None:
    _git("fetch", "--quiet", "origin", "refs/heads/main")
    if _git("rev-list", "--max-count=1", "HEAD", "--not", "FETCH_HEAD"):
        sys.exit("This commit is not on main.")


def _release_on_head(version: str) -> str:
    # Who may push gets the commit from elsewhere, made by what had all packages in its hands.
    name, tag = f"v{version}", f"refs/tags/v{version}"
    made = _git("rev-parse", "--verify", tag)
    if _git("cat-file", "-t", made) != "commit":
        sys.exit(f"{name} is not the tag of a commit itself.")
    if _git("rev-parse", f"{made}^@").split() != [_git("rev-parse", "HEAD")]:
        sys.exit(f"{name} is not one commit on top of the one that is checked out.")
    # By turns what happened to a file (`:OLDMODE MODE OLDHASH HASH STATUS`), and its path.
    fields = _git("diff-tree", "-r", "--no-renames", "-z", "HEAD", made).split("\0")
    for what, path in zip(fields[:-1:2], fields[1::2], strict=True):
        _, mode, _, _, status = what.split(" ")
        if status != "A" or mode not in FILES or not ADDED.fullmatch(path):
            sys.exit(f"{name} does more than to add packages and bytecode: see {path!r}.")
    return made


def _sections() -> dict[str, str]:
    text = Path("CHANGELOG.md").read_text("utf-8")
    parts = re.split(r"^## \[?([^\]\s]+)\]?.*$", text, flags=re.MULTILINE)[1:]
    return {name: part.strip() for name, part in zip(parts[::2], parts[1::2], strict=True)}


def _released() -> list[str]:
    names = re.findall(r"\trefs/tags/v(\S+)$", _git("ls-remote", "--tags", "origin"), re.MULTILINE)
    return [name for name in names if PLAIN.fullmatch(name)]


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _git(*arguments: str, environ: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        ["git", *arguments],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"git {arguments[0]} failed (see above).")
    return done.stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
