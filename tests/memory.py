"""A config repository that is nothing but data, for tests of what is planned on one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

from gitops_promote.core.yaml.document import Document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@final
class Memory:
    """A `Snapshot` of files by their paths; `links` are symlinks and submodules."""

    def __init__(
        self,
        files: Mapping[str, str | bytes],
        links: Mapping[str, Literal["symlink", "submodule"]] | None = None,
    ) -> None:
        self.files = {
            path: content.encode() if isinstance(content, str) else content
            for path, content in files.items()
        }
        self.kinds: dict[str, Literal["file", "folder", "symlink", "submodule"]] = {}
        self.reads: list[str] = []
        self.expected: set[str] = set()
        for path in sorted([*files, *(links or {})]):
            parts = path.split("/")
            for end in range(1, len(parts)):
                self.kinds["/".join(parts[:end])] = "folder"
            self.kinds[path] = "file"
        self.kinds.update(links or {})

    def kind(self, path: str) -> Literal["file", "folder", "symlink", "submodule"] | None:
        return self.kinds.get(path) if path else "folder"

    def paths(self, below: str = "") -> Iterable[str]:
        return [path for path in self.kinds if not below or path.startswith(f"{below}/")]

    def expect(self, paths: Iterable[str]) -> None:
        self.expected.update(paths)

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        return self.files[path]

    def parse(self, path: str) -> Document:
        """The file as a document."""
        return Document.parse(self.files[path], path)


def deployment(*images: str) -> str:
    """A resource that runs images."""
    containers = "".join(f"      - name: c{n}\n        image: {i}\n" for n, i in enumerate(images))
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: shop\nspec:\n"
        "  selector:\n    matchLabels: {app: shop}\n  template:\n"
        "    metadata:\n      labels: {app: shop}\n    spec:\n      containers:\n" + containers
    )


def overlay(*entries: str, resources: Iterable[str] = ("../../base",)) -> str:
    """A kustomization with `images:` entries, each `NAME:TAG`."""
    text = "resources:\n" + "".join(f"  - {name}\n" for name in resources)
    if entries:
        text += "images:\n"
    for entry in entries:
        name, _, tag = entry.rpartition(":")
        text += f'  - name: {name}\n    newTag: "{tag}"\n'
    return text


SHOP = "ghcr.io/acme/shop"

#: A base, an overlay for each of three environments, and a chart's values.
FILES = {
    "apps/shop/base/kustomization.yaml": "resources:\n  - deployment.yaml\n",
    "apps/shop/base/deployment.yaml": deployment(f"{SHOP}:0.0.0"),
    "apps/shop/overlays/dev/kustomization.yaml": overlay(f"{SHOP}:1.0.0"),
    "apps/shop/overlays/test/kustomization.yaml": overlay(f"{SHOP}:0.9.0"),
    "apps/shop/overlays/prod/kustomization.yaml": overlay(f"{SHOP}:0.8.0"),
    "charts/shop/values-dev.yaml": f"image:\n  repository: {SHOP}\n  tag: 1.0.0\n",
    "README.md": "# Deploy\n",
}
