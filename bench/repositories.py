"""Config repositories of any size, with a history of promotions."""

from __future__ import annotations

import random
import shutil
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from values_files import values_text

from servers import git, make_bare

ENVIRONMENTS = ("dev", "prod")
FILES_OF_APP = 10
#: How many promotions a repository's history has, whatever its size ...
COMMITS = 1000
#: ... and how far back that of the first app lies.
LAST_PROMOTION = 100

_START = 1_700_000_000


@dataclass(frozen=True)
class App:
    """An app of a config repository."""

    number: int

    @property
    def name(self) -> str:
        """Its name."""
        return f"app-{self.number:04}"

    @property
    def image(self) -> str:
        """Its image."""
        return f"ghcr.io/acme/{self.name}"

    @property
    def folder(self) -> str:
        """Its folder."""
        return f"apps/{self.name}"

    def overlay(self, environment: str) -> str:
        """The folder of an overlay."""
        return f"{self.folder}/overlays/{environment}"

    def values(self, environment: str) -> str:
        """The path of a values file."""
        return f"{self.folder}/values-{environment}.yaml"


def make_repository(bare: Path, files: int) -> Path:
    """Make a bare repository of so many files, and a history of `COMMITS`.

    It is packed and lets anyone push; clients may leave out what they don't need, as on GitHub and
    GitLab.

    Args:
        bare: Where.
        files: How many.

    Returns:
        The repository.
    """
    make_bare(bare, {})
    here = ("--git-dir", bare)
    git(*here, "fast-import", "--quiet", data=b"".join(_history(files)))
    git(*here, "gc", "--quiet")
    for name in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        git(*here, "config", name, "true")
    # What the server would do some day must not fall on one of the runs.
    git(*here, "config", "receive.autogc", "false")
    return bare


def with_file(bare: Path, path: str, content: str) -> None:
    """Add a file to a repository by a commit of its own."""
    here = ("--git-dir", bare)
    head = git(*here, "rev-parse", "main").decode().strip()
    start = _commit(_START + 10**8, "Add a file", head)
    git(*here, "fast-import", "--quiet", data=start + _file(path, content))
    git(*here, "gc", "--quiet")


def copy(bare: Path, name: str) -> Path:
    """Copy a repository, beside it, so that no run finds what another one left."""
    target = bare.with_name(name)
    shutil.copytree(bare, target)
    return target


def landed(bare: Path, original: Path, paths: Collection[str], tag: str) -> int:
    """Count the files that were promoted as they should be.

    Args:
        bare: The repository.
        original: What it is a copy of.
        paths: The files.
        tag: The tag that each is to hold.

    Returns:
        How many hold it by exactly one commit.

    Raises:
        RuntimeError: Something else was changed.
    """
    head = git("--git-dir", original, "rev-parse", "main").decode().strip()
    new = f"{head}..main"
    changed = git("--git-dir", bare, "log", "--format=", "--name-only", new).decode().split()
    commits = Counter(changed)
    if set(commits) - set(paths):
        raise RuntimeError(f"{set(commits) - set(paths)} were changed, too")
    count = 0
    for path in paths:
        content = git("--git-dir", bare, "cat-file", "blob", f"main:{path}").decode()
        count += tag in content and commits[path] == 1
    return count


def _history(files: int) -> Iterator[bytes]:
    chance = random.Random(files)  # the same repository each time
    apps = [App(number) for number in range(files // FILES_OF_APP)]
    yield _commit(_START, "Start", "")
    for app in apps:
        for path, content in _files(app, chance):
            yield _file(path, content)
    for number, (app, environment) in enumerate(_promoted(apps), 1):
        version = f"1.0.{number}"
        subject = f"Promote {app.image} to {version} in {environment}"
        trailers = (
            f"Promoted-Image: {app.image} 1.0.0 -> {version}\n"
            f"Promoted-Environment: {environment}\nPromoted-App: {app.name}"
        )
        yield _commit(_START + 600 * number, f"{subject}\n\n{trailers}", "")
        overlay = f"{app.overlay(environment)}/kustomization.yaml"
        yield _file(overlay, overlay_text(app, environment, version))
        yield _file(app.values(environment), values_text(900, app.image, version))


def _promoted(apps: Sequence[App]) -> Iterator[tuple[App, str]]:
    """What each commit promotes: any app to any environment, and the first app once."""
    chance = random.Random(len(apps))
    first, *others = [(app, environment) for app in apps for environment in ENVIRONMENTS]
    for number in range(COMMITS):
        yield first if number == COMMITS - LAST_PROMOTION else chance.choice(others)


def _files(app: App, chance: random.Random) -> Iterator[tuple[str, str]]:
    def settings(count: int) -> str:
        lines = (f"    key-{n}: {chance.getrandbits(160):040x}\n" for n in range(count))
        return "".join(lines)

    def resource(version: str, kind: str) -> str:
        head = f"apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {app.name}\n"
        return f"{head}  annotations:\n{settings(20)}"

    base = f"{app.folder}/base"
    pod = f"containers: [{{name: {app.name}, image: {app.image}}}]"
    yield f"{app.folder}/README.md", f"# {app.name}\n\n{settings(20)}"
    yield f"{base}/kustomization.yaml", "resources:\n- deployment.yaml\n- service.yaml\n"
    deployment = resource("apps/v1", "Deployment")
    yield f"{base}/deployment.yaml", f"{deployment}spec:\n  template:\n    spec: {{{pod}}}\n"
    yield f"{base}/service.yaml", resource("v1", "Service")
    for environment in ENVIRONMENTS:
        yield f"{app.overlay(environment)}/config.yaml", resource("v1", "ConfigMap")
        yield (
            f"{app.overlay(environment)}/kustomization.yaml",
            overlay_text(app, environment, "1.0.0"),
        )
        yield app.values(environment), values_text(900, app.image, "1.0.0")


def overlay_text(app: App, environment: str, tag: str) -> str:
    """Make an app's overlay, of about half a kB."""
    return f"""\
# {app.name} in {environment}. Ask #team-{app.name} before you change replicas.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {app.name}-{environment}
resources:
- ../../base
- config.yaml
replicas:
- name: {app.name}
  count: 3 # enough until Black Friday
# CI writes the tag.
images:
- name: {app.image}
  newTag: {tag} # the version that runs
"""


def _commit(time: int, message: str, parent: str) -> bytes:
    who = f"Ann Author <ann@example.com> {time} +0000"
    data = message.encode()
    start = f"commit refs/heads/main\nauthor {who}\ncommitter {who}\ndata {len(data)}\n".encode()
    return start + data + b"\n" + (f"from {parent}\n".encode() if parent else b"")


def _file(path: str, content: str) -> bytes:
    data = content.encode()
    return b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(data), data)
