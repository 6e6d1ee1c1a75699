"""release/tag.py: a release's commit and tags, in real repositories."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import ROOT
from servers import git
from starts import load_script

CHANGELOG = """\
# Changelog

## Unreleased

## {version} - 2026-01-02

### Added

- This.

## [0.1.0]

- That.
"""
COMPILED = "src/gitops_promote/__pycache__/__init__.cpython-312.pyc"


class Clone(NamedTuple):
    """A maintainer's clone, and the repository that it is of."""

    path: Path
    origin: Path

    def git(self, *arguments: str | Path) -> str:
        """Run git in the clone."""
        return git("-C", self.path, *arguments).decode().strip()

    def tag(self, command: str, version: str) -> subprocess.CompletedProcess[str]:
        """Run release/tag.py."""
        return subprocess.run(
            [sys.executable, "release/tag.py", command, version],
            cwd=self.path,
            env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def do(self, *commands: str, version: str) -> str:
        """Run its commands, all of which succeed."""
        said = ""
        for command in commands:
            done = self.tag(command, version)
            assert done.returncode == 0, done.stdout
            said += done.stdout
        return said

    def prepare(self, version: str) -> str:
        """Commit a version to main, push it and build a bundle; gives the commit."""
        (self.path / "src/gitops_promote/__init__.py").write_text(f'__version__ = "{version}"\n')
        (self.path / "CHANGELOG.md").write_text(CHANGELOG.format(version=version))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"Prepare {version}")
        self.git("push", "--quiet", "origin", "HEAD:main")
        self.build()
        return self.git("rev-parse", "HEAD")

    def build(self, content: str = "\x7fELF\r\n") -> None:
        """Write something that looks like a bundle."""
        module = load_script("release/bundle.py")
        targets = [module.Target(v, name) for v in module.VERSIONS for name in module.PROCESSORS]
        for path in ["bundle/all/x.so", *(f"bundle/{target.name}.json" for target in targets)]:
            (self.path / path).parent.mkdir(parents=True, exist_ok=True)
            (self.path / path).write_bytes(content.encode())
        (self.path / COMPILED).parent.mkdir(exist_ok=True)
        (self.path / COMPILED).write_bytes(b"bytecode")

    def tags(self) -> dict[str, str]:
        """The tags of the repository that it is of, with their commits."""
        lines = git("ls-remote", "--tags", self.origin).decode().splitlines()
        return {line.split("refs/tags/")[1]: line.split("\t")[0] for line in lines}

    def branches(self) -> dict[str, str]:
        """Its branches, likewise."""
        lines = git("ls-remote", "--heads", self.origin).decode().splitlines()
        return {line.split("refs/heads/")[1]: line.split("\t")[0] for line in lines}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    origin, path = tmp_path / "origin.git", tmp_path / "clone"
    git("init", "--quiet", "--bare", "--initial-branch=main", origin)
    git("clone", "--quiet", origin, path)
    (path / "src" / "gitops_promote").mkdir(parents=True)
    for name in (".gitignore", ".gitattributes"):
        shutil.copy(ROOT / name, path)
    shutil.copytree(ROOT / "release", path / "release")
    return Clone(path, origin)


def test_a_release_is_main_with_its_packages_on_tags_alone(clone: Clone) -> None:
    head = clone.prepare("1.2.3")

    said = clone.do("check", "notes", "commit", "push", version="1.2.3")

    assert "- This." in said
    assert "- That." not in said
    (commit,) = set(clone.tags().values())
    assert set(clone.tags()) == {"v1.2.3", "v1.2", "v1"}
    assert clone.branches() == {"main": head}
    assert clone.git("rev-parse", f"{commit}^") == head
    added = clone.git("diff", "--name-status", head, commit).splitlines()
    assert all(line.startswith("A\t") for line in added)
    names = {line.split("\t")[1] for line in added}
    assert {"bundle/all/x.so", COMPILED} < names
    assert {name for name in names if not name.startswith("bundle/")} == {COMPILED}
    blob = git("-C", clone.path, "cat-file", "blob", f"{commit}:bundle/all/x.so")
    assert blob == b"\x7fELF\r\n"
    assert clone.git("rev-parse", "HEAD") == head
    assert clone.git("status", "--porcelain") == ""


def test_the_moving_tags_follow_the_newest(clone: Clone) -> None:
    for version in ("1.2.9", "1.10.0", "2.0.0", "1.2.10"):
        clone.prepare(version)
        clone.do("check", "commit", "push", version=version)

    tags = clone.tags()

    assert {name: tags[name] for name in ("v1", "v1.2", "v1.10", "v2", "v2.0")} == {
        "v1": tags["v1.10.0"],
        "v1.2": tags["v1.2.10"],
        "v1.10": tags["v1.10.0"],
        "v2": tags["v2.0.0"],
        "v2.0": tags["v2.0.0"],
    }


def other_version(clone: Clone) -> None:
    path = clone.path / "src/gitops_promote/__init__.py"
    path.write_text('__version__ = "1.2.30"\n')


def no_notes(clone: Clone) -> None:
    (clone.path / "CHANGELOG.md").write_text(CHANGELOG.format(version="1.2.30"))


def entries_left(clone: Clone) -> None:
    text = CHANGELOG.format(version="1.2.3").replace("## Unreleased\n", "## Unreleased\n\n- More\n")
    (clone.path / "CHANGELOG.md").write_text(text)


def uncommitted(clone: Clone) -> None:
    (clone.path / ".gitignore").write_text("")


def not_on_main(clone: Clone) -> None:
    clone.git("commit", "--quiet", "--allow-empty", "--message", "Mine")


def released(clone: Clone) -> None:
    clone.do("commit", "push", version="1.2.3")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_version, "__init__.py doesn't say 1.2.3"),
        (no_notes, "CHANGELOG.md has nothing on 1.2.3"),
        (entries_left, "CHANGELOG.md has entries under Unreleased"),
        (uncommitted, "The work tree has changes that no commit has"),
        (not_on_main, "This commit is not on main"),
        (released, "v1.2.3 is released already"),
    ],
)
def test_what_may_not_be_released_is_refused(
    clone: Clone, change: Callable[[Clone], None], reason: str
) -> None:
    clone.prepare("1.2.3")
    change(clone)

    done = clone.tag("check", "1.2.3")

    assert done.returncode == 1
    assert reason in done.stdout


def annotated(clone: Clone) -> None:
    clone.git("tag", "--force", "--annotate", "--message", "Mine", "v1.2.3", "v1.2.3")


def another_parent(clone: Clone) -> None:
    retag(clone, "v1.2.3^{tree}", "HEAD^")


def two_parents(clone: Clone) -> None:
    retag(clone, "v1.2.3^{tree}", "HEAD", "HEAD^")


def no_parent(clone: Clone) -> None:
    retag(clone, "v1.2.3^{tree}")


def changed_source(clone: Clone) -> None:
    path = clone.path / "src/gitops_promote/__init__.py"
    path.write_text("import evil\n")
    retag_with(clone, ["add", path])


def added_source(clone: Clone) -> None:
    path = clone.path / "src/gitops_promote/evil.py"
    path.write_text("")
    retag_with(clone, ["add", path])


def bytecode_beside_its_source(clone: Clone) -> None:
    path = clone.path / "src/gitops_promote/evil.pyc"
    path.write_text("")
    retag_with(clone, ["add", "--force", path])


def deleted_file(clone: Clone) -> None:
    retag_with(clone, ["rm", "--cached", "CHANGELOG.md"])


def moved_file(clone: Clone) -> None:
    shutil.copy(clone.path / "CHANGELOG.md", clone.path / "bundle/CHANGELOG.md")
    add = ["add", "--force", "bundle/CHANGELOG.md"]
    retag_with(clone, ["rm", "--cached", "CHANGELOG.md"], add)


def link(clone: Clone) -> None:
    (clone.path / "bundle/link").symlink_to("/etc")
    retag_with(clone, ["add", "--force", "bundle/link"])


def submodule(clone: Clone) -> None:
    commit = clone.git("rev-parse", "HEAD")
    add = ["update-index", "--add", "--cacheinfo", f"160000,{commit},bundle/submodule"]
    retag_with(clone, add)


def a_name_of_two_lines(clone: Clone) -> None:
    blob = clone.git("rev-parse", "HEAD:CHANGELOG.md")
    retag_with(clone, ["update-index", "--add", "--cacheinfo", f"100644,{blob},bundle/a\nb"])


def retag(clone: Clone, tree: str, *parents: str) -> None:
    """Make another commit the release's."""
    options = [option for parent in parents for option in ("-p", parent)]
    commit = clone.git("commit-tree", clone.git("rev-parse", tree), *options, "-m", "Release")
    clone.git("tag", "--force", "v1.2.3", commit)


def retag_with(clone: Clone, *commands: Sequence[str | Path]) -> None:
    """Make it a commit that does something more."""
    clone.git("read-tree", "v1.2.3")
    for command in commands:
        clone.git(*command)
    retag(clone, clone.git("write-tree"), "HEAD")
    clone.git("read-tree", "HEAD")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (annotated, "is not the tag of a commit itself"),
        (another_parent, "is not one commit on top"),
        (two_parents, "is not one commit on top"),
        (no_parent, "is not one commit on top"),
        (changed_source, "see 'src/gitops_promote/__init__.py'"),
        (added_source, "see 'src/gitops_promote/evil.py'"),
        (bytecode_beside_its_source, "see 'src/gitops_promote/evil.pyc'"),
        (deleted_file, "see 'CHANGELOG.md'"),
        (moved_file, "see 'CHANGELOG.md'"),
        (link, "see 'bundle/link'"),
        (submodule, "see 'bundle/submodule'"),
        (a_name_of_two_lines, r"see 'bundle/a\nb'"),
    ],
)
def test_nothing_but_main_with_a_bundle_is_pushed(
    clone: Clone, change: Callable[[Clone], None], reason: str
) -> None:
    clone.prepare("1.2.2")
    clone.prepare("1.2.3")
    clone.do("commit", version="1.2.3")
    change(clone)

    done = clone.tag("push", "1.2.3")

    assert done.returncode == 1
    assert done.stdout.startswith("v1.2.3 ")
    assert reason in done.stdout
    assert clone.tags() == {}


def test_a_push_can_be_done_again(clone: Clone) -> None:
    clone.prepare("1.2.3")
    clone.do("commit", "push", version="1.2.3")
    tags = clone.tags()

    clone.do("push", version="1.2.3")

    assert clone.tags() == tags


def test_a_late_fix_is_not_the_newest(clone: Clone) -> None:
    for version in ("1.9.0", "1.10.0"):
        clone.prepare(version)
        clone.do("commit", "push", version=version)

    said = {
        version: clone.do("is-newest", version=version)
        for version in ("1.9.1", "1.10.0", "1.10.1", "2.0.0")
    }

    assert said == {
        "1.9.1": "false\n",
        "1.10.0": "true\n",
        "1.10.1": "true\n",
        "2.0.0": "true\n",
    }


@pytest.mark.parametrize("version", ["v1.2.3", "1.2", "1.2.3-rc.1", "01.2.3", "1.2.3;x", ""])
def test_a_version_has_three_numbers(clone: Clone, version: str) -> None:
    done = clone.tag("check", version)

    assert done.returncode == 1
    assert "VERSION is X.Y.Z." in done.stdout


def test_a_bundle_that_lacks_a_python_is_not_released(clone: Clone) -> None:
    clone.prepare("1.2.3")
    (clone.path / "bundle" / "cpython-314-aarch64-linux-gnu.json").unlink()

    done = clone.tag("commit", "1.2.3")

    assert done.returncode == 1
    assert "The bundle has nothing for cpython-314-aarch64-linux-gnu" in done.stdout
    assert clone.git("tag") == ""


def test_anyone_can_verify_a_release(clone: Clone, tmp_path: Path) -> None:
    clone.prepare("1.2.3")
    clone.do("commit", "push", version="1.2.3")
    git("clone", "--quiet", clone.origin, tmp_path / "other")
    other = Clone(tmp_path / "other", clone.origin)

    other.build()
    same = other.tag("verify", "1.2.3")
    other.build("\x7fELF\n")
    different = other.tag("verify", "1.2.3")

    assert same.returncode == 0
    assert same.stdout.startswith("v1.2.3 is what was built here: ")
    assert different.returncode == 1
    assert "bundle/all/x.so" in different.stdout


def test_what_was_never_on_main_verifies_nothing(clone: Clone) -> None:
    clone.prepare("1.2.3")
    clone.git("commit", "--quiet", "--allow-empty", "--message", "Mine")
    clone.do("commit", version="1.2.3")

    done = clone.tag("verify", "1.2.3")

    assert done.returncode == 1
    assert done.stdout == "This commit is not on main.\n"


def test_the_project_s_own_changelog_is_understood() -> None:
    done = subprocess.run(
        [sys.executable, "release/tag.py", "notes", "0.0.99"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert done.stderr == "CHANGELOG.md has nothing on 0.0.99.\n"
