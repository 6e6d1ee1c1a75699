"""Which images an overlay's resources use; the real kustomize is the judge."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gitops_promote.core.errors import RetryableError
from gitops_promote.core.kinds.overlay import Overlays
from gitops_promote.core.yaml.document import Document
from memory import FILES, SHOP, Memory, deployment, overlay


def used(files: dict[str, str], path: str = "o/kustomization.yaml") -> set[str] | None:
    """The images that an overlay uses."""
    snapshot = Memory(files)
    found = Overlays(snapshot, snapshot.parse).images_used(path)
    return None if found is None else set(found)


def layers(text: str, **more: str) -> dict[str, str]:
    """A base with one image, and an overlay with this text."""
    base = {"b/kustomization.yaml": "resources: [d.yaml]\n", "b/d.yaml": deployment("app:1")}
    files = {name.replace("__", "/") + ".yaml": content for name, content in more.items()}
    return {**base, "o/kustomization.yaml": text, **files}


RENAME = "images:\n  - name: app\n    newName: moved\n    newTag: '2'\n"
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
PATCH = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\n"
CASES = {
    "base": (layers("resources: [../b]\n"), {"app"}),
    "own resource": (
        layers(
            "resources: [../b, d.yaml]\n",
            o__d=deployment("x/y:1", f"z@sha256:{'0' * 64}").replace("name: shop", "name: other"),
        ),
        {"app", "x/y", "z"},
    ),
    "base that renames": (
        layers("resources: [../b]\n", b__kustomization="resources: [d.yaml]\n" + RENAME),
        {"moved"},
    ),
    "component that renames": (
        layers("resources: [../b]\ncomponents: [../c]\n", c__kustomization=COMPONENT + RENAME),
        {"moved"},
    ),
    "component with a patch": (
        layers(
            "resources: [../b]\ncomponents: [../c]\n",
            c__kustomization=COMPONENT + "patches: [{path: p.yaml}]\n",
            c__p=PATCH + "spec: {template: {spec: {containers: [{name: c0, image: patched:1}]}}}\n",
        ),
        {"app", "patched"},
    ),
    "inline patch": (
        layers(
            "resources: [../b]\npatches:\n  - target: {kind: Deployment}\n    patch: |-\n"
            "      - op: replace\n        path: /spec/template/spec/containers/0/image\n"
            "        value: patched:1\n"
        ),
        {"app", "patched"},
    ),
    "alias": (
        layers("commonAnnotations: {a: &b ../b}\nresources: [*b]\n"),
        {"app"},
    ),
    "image volume": (
        layers(
            "resources: [d.yaml]\n",
            o__d=deployment("a:1") + "      volumes: [{name: m, image: {reference: 'x/m:1'}}]\n",
        ),
        {"a", "x/m"},
    ),
    "init container": (
        layers(
            "resources: [d.yaml]\n",
            o__d=deployment("i:1").replace("  containers", "  initContainers"),
        ),
        {"i"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_an_overlay_uses(name: str) -> None:
    files, names = CASES[name]

    assert used(files) == names


@pytest.mark.parametrize("name", CASES)
def test_kustomize_says_so_too(name: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    """An entry of a used name changes what kustomize builds, and one of another name doesn't."""
    kubectl = tool("kubectl")
    files, names = CASES[name]
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content, "utf-8")
    target = tmp_path / "o" / "kustomization.yaml"

    def build(image: str) -> str:
        entry = f"images:\n  - name: {image}\n    newTag: marked\n"
        target.write_text(files["o/kustomization.yaml"] + entry, "utf-8")
        command = [kubectl, "kustomize", str(target.parent)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    # An image that a patch takes away may be called used; one that is used may not be missing.
    assert any(f"{image}:marked" in build(image) for image in names)
    for image in {"app", "moved", "patched", "other"} - names:
        assert "marked" not in build(image)


@pytest.mark.parametrize(
    "text",
    [
        "resources: [https://github.com/acme/x//base?ref=v1]\n",
        "resources: [../missing]\n",
        "resources: [../../outside]\n",
        "resources: [/absolute]\n",
        "resources: [broken.yaml]\n",
        "resources: [../o]\n",
        "resources: [../b]\ncomponents: [https://github.com/acme/x]\n",
        "resources: [../b]\npatches: [{path: missing.yaml}]\n",
        "resources: [../b]\nhelmCharts: [{name: x}]\n",
        "resources: [../b]\ngenerators: [x.yaml]\n",
        "resources: [../b]\nreplacements: [{path: x.yaml}]\n",
        "resources: [../p]\n",
        "- a\n",
        "",
    ],
)
def test_what_nobody_can_tell(text: str) -> None:
    pattern = "resources: [../b]\nimages: [{name: 'a.*', newName: x}]\n"

    assert used(layers(text, o__broken="image: [\n", p__kustomization=pattern)) is None


def test_bases_that_include_each_other() -> None:
    files = {
        "a/kustomization.yaml": overlay(resources=["../b"]),
        "b/kustomization.yaml": overlay(resources=["../a"]),
    }

    assert used(files, "a/kustomization.yaml") is None
    assert used(files, "b/kustomization.yaml") is None


def test_a_base_is_read_once_for_all_overlays() -> None:
    snapshot = Memory(FILES)
    overlays = Overlays(snapshot, snapshot.parse)

    for name in ("dev", "test", "prod"):
        names = overlays.images_used(f"apps/shop/overlays/{name}/kustomization.yaml")
        assert names == frozenset({SHOP})
    assert snapshot.reads == ["apps/shop/base/deployment.yaml"]


def test_a_huge_resource_is_read_too() -> None:
    huge = "# padding\n" * 200_000 + "a: {image: big}\n"

    assert used(layers("resources: [../b, huge.yaml]\n", o__huge=huge)) == {"app", "big"}


def test_a_server_that_fails_is_no_reason_to_know_less() -> None:
    snapshot = Memory(layers("resources: [../b]\n"))

    def read(path: str) -> Document:
        if path.startswith("b/"):
            raise RetryableError("The server is gone.")
        return snapshot.parse(path)

    overlays = Overlays(snapshot, read)
    for _ in range(2):
        with pytest.raises(RetryableError):
            overlays.images_used("o/kustomization.yaml")


def test_what_an_overlay_leads_to_is_asked_for_together() -> None:
    snapshot = Memory(layers("resources: [../b, d.yaml]\n", o__d=deployment("x:1")))

    Overlays(snapshot, snapshot.parse).images_used("o/kustomization.yaml")

    assert {"b/kustomization.yaml", "o/d.yaml", "b/d.yaml"} <= snapshot.expected
