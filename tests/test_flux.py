"""Flux's objects and markers: every image of the corpus, and the forms that it doesn't have."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from gitops_promote.core.change import Edited
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, canonical_name, parse_image, split_reference
from gitops_promote.core.kinds import flux
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.locate import kinds_of
from gitops_promote.core.plan import make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import format_path
from memory import SHOP, Memory, deployment

DIGEST = "sha256:" + "0123456789abcdef" * 4
OLD_DIGEST = "sha256:" + "fedcba9876543210" * 4
NEW = "9.9.9-test"


def edit(text: str, item: str, key: str = "") -> Edited:
    """What a promotion makes of a file."""
    document = Document.parse(text.encode(), "apps/shop.yaml")
    return flux.KIND.set_image(document, parse_image(item), key, Around())


def promote(text: str, item: str, key: str = "") -> str:
    """The text after a promotion."""
    return edit(text, item, key).document.text


def refused(text: str, item: str, key: str = "") -> str:
    """Why a promotion is refused."""
    with pytest.raises(PromoteError) as caught:
        edit(text, item, key)
    assert caught.value.fix.endswith(".")
    return str(caught.value)


def running(text: str, *images: str, key: str = "") -> list[tuple[str, str, int]]:
    """What runs in a file: the place, the reference and the line."""
    document = Document.parse(text.encode(), "apps/shop.yaml")
    found = flux.KIND.running(document, key, images)
    return [(one.key, str(one.reference), one.line) for one in found]


def marker(name: str) -> str:
    """A marker as Flux's guide writes it."""
    return f'# {{"$imagepolicy": "{name}"}}'


# The corpus. Its images are found here by PyYAML and on their own terms, so that what the code
# under test doesn't find is missed.


# What no reader of YAML takes.
TEMPLATES = (
    "renovatebot__renovate@3172eb53__lib__modules__manager__flux____fixtures____helmRelease.yaml",
)


@dataclass(frozen=True)
class Found:
    """An image of a file: its place, and the scalars of its version."""

    path: tuple[str | int, ...]
    kind: str
    name: str
    version: yaml.ScalarNode
    digest: yaml.ScalarNode | None = None
    whole: bool = False

    @property
    def old(self) -> tuple[str, str]:
        """The tag and the digest."""
        if self.whole:
            reference = split_reference(self.version.value)
            return reference.tag, reference.digest
        if self.version.value.startswith("sha256:"):
            return "", self.version.value
        tag, _, digest = self.version.value.partition("@")
        return tag, digest or (self.digest.value if self.digest else "")


def keys(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """The pairs of a mapping, by their keys."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: value for key, value in pairs}


def text(node: yaml.Node | None, *path: str) -> str:
    """The text at a path, empty where there is none."""
    node = at(node, *path)
    return node.value if isinstance(node, yaml.ScalarNode) else ""


def at(node: yaml.Node | None, *path: str) -> yaml.Node | None:
    """The node at a path."""
    for key in path:
        node = keys(node).get(key)
    return node


def scalar(node: yaml.Node | None, *path: str) -> yaml.ScalarNode | None:
    """The scalar at a path that isn't empty."""
    found = at(node, *path)
    return found if isinstance(found, yaml.ScalarNode) and found.value else None


def images_of(file: str) -> Iterator[Found]:
    """Every image of a file of Flux's that says which version it has."""
    documents = list(yaml.compose_all(file, yaml.SafeLoader))
    for number, node in enumerate(documents):
        start = (number,) if len(documents) > 1 else ()
        group, kind = text(node, "apiVersion").split(".")[0], text(node, "kind")
        if (group, kind) == ("helm", "HelmRelease"):
            yield from values_of(at(node, "spec", "values"), (*start, "spec", "values"))
            yield from chart_of(node, start, documents)
        elif (group, kind) == ("kustomize", "Kustomization"):
            yield from entries_of(at(node, "spec", "images"), (*start, "spec", "images"))
        elif (group, kind) == ("source", "OCIRepository"):
            version = scalar(node, "spec", "ref", "tag")
            if version:
                name = text(node, "spec", "url").removeprefix("oci://")
                digest = scalar(node, "spec", "ref", "digest")
                yield Found((*start, "spec"), kind, name, version, digest)


def values_of(node: yaml.Node | None, path: tuple[str | int, ...]) -> Iterator[Found]:
    """The images of a chart's values."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from values_of(item, (*path, index))
    version = scalar(node, "tag")
    if version and scalar(node, "repository"):
        registry = f"{text(node, 'registry')}/" if scalar(node, "registry") else ""
        name = registry + text(node, "repository")
        yield Found(path, "HelmRelease", name, version, scalar(node, "digest"))
    for key, value in keys(node).items():
        reference = r"[a-z0-9][\w./-]*(:\d+/[\w./-]+)?:[\w.-]+(@sha256:[0-9a-f]{64})?"
        if (
            isinstance(value, yaml.ScalarNode)
            and key.lower().endswith("image")
            and re.fullmatch(reference, value.value)
        ):
            name = split_reference(value.value).name
            yield Found((*path, key), "HelmRelease", name, value, whole=True)
        yield from values_of(value, (*path, key))


def chart_of(
    node: yaml.Node, start: tuple[int, ...], documents: list[yaml.Node]
) -> Iterator[Found]:
    """The chart of a release, where its repository is in the file."""
    chart = at(node, "spec", "chart", "spec")
    version = scalar(chart, "version")
    for other in documents:
        same = text(other, "metadata", "name") == text(chart, "sourceRef", "name")
        if version and same and text(other, "kind") == "HelmRepository":
            host = text(other, "spec", "url").partition("://")[2].strip("/")
            name = f"{host}/{text(chart, 'chart')}"
            yield Found((*start, "spec", "chart", "spec"), "HelmRelease", name, version)


def entries_of(node: yaml.Node | None, path: tuple[str | int, ...]) -> Iterator[Found]:
    """The entries of a Kustomization of Flux's."""
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    for index, item in enumerate(items):
        version = scalar(item, "newTag") or scalar(item, "digest")
        name = text(item, "newName") or text(item, "name")
        if version:
            yield Found((*path, index), "Kustomization", name, version)


class CorpusFile:
    """A file of the corpus, and the promotion of each of its images there and back."""

    def __init__(self, file: Path) -> None:
        self.raw = file.read_bytes()
        self.text = self.raw.decode("utf-8-sig")
        self.document = Document.parse(self.raw, file.name)
        self.images = list(images_of(self.text))

    def check(self, found: Found) -> str:
        """Exactly the scalars meant change, and change back; tells what was done."""
        tag, digest = found.old
        new = Image(found.name, None, NEW if tag else None, DIGEST if digest else None)
        edited = self.promote(found, new, self.document)
        self.check_bytes(found, edited.text)
        runs = self.running(found, edited)
        assert runs == (NEW if tag else "", DIGEST if digest else ""), found

        again = self.promote(found, new, edited)
        assert again is edited

        back = Image(found.name, None, tag or None, digest or None)
        after = self.promote(found, back, edited)
        is_string = found.version.style or found.version.tag == "tag:yaml.org,2002:str"
        if is_string:
            assert after.encode() == self.raw, found
            return "there and back"
        assert after.text == self.promote(found, back, self.document).text != self.text
        return "was no string, comes back quoted"

    def promote(self, found: Found, image: Image, document: Document) -> Document:
        """By the name where it is alone, else by the key; never by guess."""
        alike = [f for f in self.images if canonical_name(f.name) == canonical_name(found.name)]
        key = format_path(found.path) if len(alike) > 1 else ""
        if key:
            with pytest.raises(PromoteError, match=r"stands in \d+ places"):
                flux.KIND.set_image(document, image, "", Around())
        return flux.KIND.set_image(document, image, key, Around()).document

    def running(self, found: Found, document: Document) -> tuple[str, str]:
        """The version that is read there."""
        runs = flux.KIND.running(document, format_path(found.path), ())
        assert [one.reference.name for one in runs] == [found.name]
        return runs[0].reference.tag, runs[0].reference.digest

    def check_bytes(self, found: Found, after: str) -> None:
        """Nothing but the scalars' spans differs, and they hold the new version."""
        nodes = [node for node in (found.version, found.digest) if node]
        spans = sorted((node.start_mark.index, node.end_mark.index) for node in nodes)
        pattern, position = "", 0
        for start, end in spans:
            pattern += re.escape(self.text[position:start]) + r"([^\r\n]+)"
            position = end
        match = re.fullmatch(pattern + re.escape(self.text[position:]), after)
        assert match, (found.path, found.version.value)
        values = {yaml.safe_load(value) for value in match.groups()}
        name = f"{found.name}:" if found.whole else ""
        allowed = {name + NEW, DIGEST, f"{name}{NEW}@{DIGEST}"}
        assert values <= allowed, (found, values)


@pytest.mark.parametrize("part", range(4))
def test_every_image_of_the_corpus(
    corpus: Path, part: int, record_property: Callable[[str, object], None]
) -> None:
    counts: Counter[str] = Counter()
    for file in sorted((corpus / "flux").iterdir())[part::4]:
        if file.name in TEMPLATES:
            with pytest.raises(PromoteError, match="It looks like a template; name the values"):
                CorpusFile(file)
            counts["templates, refused"] += 1
            continue
        checked = CorpusFile(file)
        assert kinds_of(file.name, checked.document) == ["flux"]
        for found in checked.images:
            counts[checked.check(found)] += 1
            counts[found.kind] += 1
        counts["files"] += 1
        known = {slot.path for slot in flux.KIND.form.slots(checked.document) if slot.current.name}
        assert {found.path for found in checked.images} <= known
    assert counts["files"] > 15
    assert counts["there and back"] > 5
    record_property("counts:flux", dict(counts))


def test_what_the_corpus_has_of_markers(corpus: Path) -> None:
    files = [file for file in corpus.rglob("*.yaml") if b'"$imagepolicy"' in file.read_bytes()]
    assert len(files) == 2
    for file in files:
        before = file.read_text()
        assert before.count("newTag: app #") == 1

        after = promote(before, "nginx:2")

        assert after == before.replace("newTag: app #", 'newTag: "2" #')
        assert promote(after, "nginx:app") == before.replace("newTag: app #", 'newTag: "app" #')


# HelmRelease.

RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: shop
  namespace: apps
spec:
  interval: 5m
  chart:
    spec:
      chart: shop
      version: "1.0.0" # the chart's
      sourceRef:
        kind: HelmRepository
        name: acme
  values:
    image:
      repository: ghcr.io/acme/shop # the shop
      tag: '1.0.0'
    worker:
      image: ghcr.io/acme/worker:1.0.0
  postRenderers:
    - kustomize:
        images:
          - name: docker.io/library/redis
            newTag: 7.0.0
"""
REPOSITORY = """\
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata:
  name: acme
  namespace: apps
spec:
  type: oci
  url: oci://ghcr.io/acme/charts
"""


@pytest.mark.parametrize("version", ["v2", "v2beta1", "v2beta2", "v3"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("item", "old", "new"),
    [
        (f"{SHOP}:1.1.0", "tag: '1.0.0'", "tag: '1.1.0'"),
        ("ghcr.io/acme/worker:1.1.0", "worker:1.0.0", "worker:1.1.0"),
        ("redis:7", "newTag: 7.0.0", 'newTag: "7"'),
        ("redis=quay.io/redis:7.1.0", "newTag: 7.0.0", None),
        ("ghcr.io/acme/charts/shop:1.1.0", 'version: "1.0.0"', 'version: "1.1.0"'),
    ],
)
def test_release_by_name(version: str, newline: str, item: str, old: str, new: str | None) -> None:
    before = (RELEASE + REPOSITORY).replace("toolkit.fluxcd.io/v2", f"toolkit.fluxcd.io/{version}")
    before = before.replace("\n", newline)
    lines = "newName: quay.io/redis\n            newTag: 7.1.0".replace("\n", newline)
    after = promote(before, item)
    assert before.count(old) == 1
    assert after == before.replace(old, new or lines)


@pytest.mark.parametrize(
    ("key", "item", "old", "new"),
    [
        ("image.tag", f"{SHOP}:2", "tag: '1.0.0'", "tag: '2'"),
        ("image", f"{SHOP}:2", "tag: '1.0.0'", "tag: '2'"),
        ("spec.values.image", f"{SHOP}:2", "tag: '1.0.0'", "tag: '2'"),
        ("worker.image", "ghcr.io/acme/worker:v2", "worker:1.0.0", "worker:v2"),
        ("spec.chart.spec.version", "charts/shop:2.0.0", '"1.0.0"', '"2.0.0"'),
        ("spec.chart.spec", "charts/shop:2.0.0", '"1.0.0"', '"2.0.0"'),
        ("spec.postRenderers[0].kustomize.images[0]", "redis:v8", "newTag: 7.0.0", "newTag: v8"),
    ],
)
def test_release_by_key(key: str, item: str, old: str, new: str) -> None:
    assert RELEASE.count(old) == 1
    assert promote(RELEASE, item, key) == RELEASE.replace(old, new)


def test_a_path_into_values_of_several_releases_must_be_whole() -> None:
    both = f"{RELEASE}---\n{RELEASE}"
    assert "there is no `image`" in refused(both, f"{SHOP}:2", "image.tag")
    after = promote(both, f"{SHOP}:2", "[1].spec.values.image.tag")
    assert after == f"{RELEASE}---\n" + RELEASE.replace("tag: '1.0.0'", "tag: '2'")


def test_an_image_of_two_releases_is_ambiguous() -> None:
    error = refused(f"{RELEASE}---\n{RELEASE}", f"{SHOP}:2")
    assert "stands in 2 places here: `#[0].spec.values.image` (line 18, 1.0.0)" in error
    assert "`#[1].spec.values.image` (line 44, 1.0.0)" in error


def test_an_image_of_a_release_and_of_a_kustomization_is_promoted_in_both() -> None:
    both = f"{RELEASE}---\n" + KUSTOMIZATION.replace("podinfo", SHOP)
    after = promote(both, f"{SHOP}:1.2.0")
    assert after == both.replace("'1.0.0'", "'1.2.0'").replace("newTag: v1", "newTag: 1.2.0")
    assert [line for *_, line in running(both, SHOP)] == [18, 34]


@pytest.mark.parametrize("change", ["elsewhere", "namespace", "GitRepository"])
def test_a_chart_of_a_repository_that_is_not_here_has_no_name(change: str) -> None:
    before = RELEASE + REPOSITORY
    if change == "elsewhere":
        before = RELEASE
    elif change == "namespace":
        before = RELEASE.replace("name: acme", "name: acme\n        namespace: flux") + REPOSITORY
    else:
        before = before.replace(
            "kind: HelmRepository\n        name", "kind: GitRepository\n        name"
        )
    error = refused(before, "ghcr.io/acme/charts/shop:1.1.0")
    assert "there is no image" in error
    if change != "GitRepository":
        assert "spec.chart.spec` (line 11)" in error


def test_a_chart_takes_no_version_but_semver() -> None:
    error = refused(RELEASE + REPOSITORY, "ghcr.io/acme/charts/shop:latest")
    assert "is the version of a chart, and `latest` is no SemVer" in error


def test_a_helm_chart_is_an_object_too() -> None:
    chart = (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmChart\nmetadata: {namespace: apps}\n"
        "spec:\n  chart: shop\n  version: 1.0.0\n"
        "  sourceRef: {kind: HelmRepository, name: acme}\n"
    )
    after = promote(chart + REPOSITORY, "ghcr.io/acme/charts/shop:1.1.0")
    assert after == chart.replace("version: 1.0.0", "version: 1.1.0") + REPOSITORY


def test_objects_in_a_list() -> None:
    indented = "".join(f"    {line}\n" for line in RELEASE.splitlines()).replace(
        "    a", "  - a", 1
    )
    both = f"apiVersion: v1\nkind: List\nitems:\n{indented}"
    after = promote(both, f"{SHOP}:1.1.0")
    assert after == both.replace("tag: '1.0.0'", "tag: '1.1.0'")
    assert running(both, SHOP)[0][0] == "items[0].spec.values.image"


VARIABLE = "Name the place that gives the variable its value, such as a Flux Kustomization's"


@pytest.mark.parametrize(
    ("old", "new", "item", "key"),
    [
        ("tag: '1.0.0'", "tag: ${TAG}", f"{SHOP}:2", ""),
        ("tag: '1.0.0'", "tag: ${TAG:=1.0.0}", f"{SHOP}:2", "image"),
        ("tag: '1.0.0'", "tag: ${TAG}", f"{SHOP}:2", "image.tag"),
        ("worker:1.0.0", "worker:${TAG:=1.0.0}", "ghcr.io/acme/worker:2", ""),
        ("worker:1.0.0", "worker:${TAG}", "ghcr.io/acme/worker:2", "worker.image"),
        ("newTag: 7.0.0", "newTag: ${TAG}", "redis:7", ""),
        ('"1.0.0"', '"${TAG}"', "ghcr.io/acme/charts/shop:1.1.0", ""),
        ("tag: '1.0.0'", f"tag: ${{TAG}} {marker('a:b:tag')}", f"{SHOP}:2", ""),
        ("tag: '1.0.0'", f"tag: ${{TAG}} {marker('a:b:tag')}", f"{SHOP}:2", "a:b"),
        ("tag: '1.0.0'", "tag: 1.0.0\n      digest: ${D}\n", f"{SHOP}:2@{DIGEST}", ""),
    ],
)
def test_what_flux_substitutes_is_not_overwritten(old: str, new: str, item: str, key: str) -> None:
    before = RELEASE.replace(old, new) + ("" if key else REPOSITORY)
    error = refused(before, item, key)
    assert VARIABLE in error
    assert "postBuild.substitute" in error


def test_what_flux_substitutes_is_not_said_to_run() -> None:
    before = RELEASE.replace("worker:1.0.0", "worker:${TAG}").replace("'1.0.0'", "${TAG:=1.0.0}")

    assert [reference for _, reference, _ in running(before)] == ["docker.io/library/redis:7.0.0"]
    assert running(before, SHOP, "ghcr.io/acme/worker") == []
    assert running(before, key="image.tag") == running(before, SHOP, key="image") == []


# Kustomization.

KUSTOMIZATION = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: shop}
spec:
  path: ./deploy
  images:
  - name: podinfo # by CI
    newTag: v1
"""


@pytest.mark.parametrize(
    ("item", "lines"),
    [
        ("podinfo:v2", "    newTag: v2\n"),
        ("podinfo:2.0", '    newTag: "2.0"\n'),
        (f"podinfo@{DIGEST}", f"    digest: {DIGEST}\n"),
        (f"podinfo:v2@{DIGEST}", f"    newTag: v2\n    digest: {DIGEST}\n"),
        ("podinfo=acme/podinfo:v2", "    newName: acme/podinfo\n    newTag: v2\n"),
    ],
)
def test_kustomization(item: str, lines: str) -> None:
    after = promote(KUSTOMIZATION, item)
    assert after == KUSTOMIZATION.replace("    newTag: v1\n", lines)
    if "=" not in item:
        assert promote(after, "podinfo:v1") in (KUSTOMIZATION, after.replace("2.0", "v1"))


@pytest.mark.parametrize("text", [KUSTOMIZATION, KUSTOMIZATION.partition("  images")[0]])
def test_kustomization_gets_no_entry(text: str) -> None:
    with pytest.raises(ImageNotFoundError, match=f"there is no image `{SHOP}` here"):
        edit(text, f"{SHOP}:1.1.0")


# OCIRepository.

ARTIFACT = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata:
  name: shop
spec:
  url: oci://ghcr.io/acme/deploy/shop # pushed by CI
  interval: 5m
  ref: # what runs
    tag: "1.0.0"
"""
NAME = "ghcr.io/acme/deploy/shop"
TAG = '    tag: "1.0.0"\n'


@pytest.mark.parametrize(
    ("ref", "item", "after"),
    [
        (TAG, "2.0", '    tag: "2.0"\n'),
        (TAG, f"2.0@{DIGEST}", f'    tag: "2.0"\n    digest: "{DIGEST}"\n'),
        (TAG, f"@{DIGEST}", f'    digest: "{DIGEST}"\n'),
        (f"    digest: {OLD_DIGEST}\n", "v2", "    tag: v2\n"),
        (f"    digest: {OLD_DIGEST}\n{TAG}", "v2", '    tag: "v2"\n'),
        (
            f"{TAG}    digest: {OLD_DIGEST}\n",
            f"v2@{DIGEST}",
            f'    tag: "v2"\n    digest: {DIGEST}\n',
        ),
        (f"    tag: 1.0@{OLD_DIGEST}\n", f"v2@{DIGEST}", f"    tag: v2@{DIGEST}\n"),
        (f"    tag: 1.0@{OLD_DIGEST}\n", "v2", "    tag: v2\n"),
        (
            "    semver: 1.x\n",
            f"v2@{DIGEST}",
            f"    semver: 1.x\n    tag: v2\n    digest: {DIGEST}\n",
        ),
    ],
)
def test_artifact(ref: str, item: str, after: str) -> None:
    before = ARTIFACT.replace(TAG, ref)
    item = f"{NAME}{'' if item.startswith('@') else ':'}{item}"
    edited = edit(before, item)
    assert edited.document.text == ARTIFACT.replace(TAG, after)
    assert [str(change.new) for change in edited.changes] == [item]
    assert [reference for _, reference, _ in running(edited.document.text)] == [item]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_artifact_without_a_ref_gets_one(newline: str) -> None:
    before = ARTIFACT.partition("  ref:")[0].replace("\n", newline)
    after = promote(before, f"{NAME}:2.0@{DIGEST}")
    head, url, rest = before.partition("# pushed by CI")
    lines = f'\n  ref:\n    tag: "2.0"\n    digest: {DIGEST}'.replace("\n", newline)
    assert after == head + url + lines + rest


def test_an_artifact_in_flow_style_gets_a_ref() -> None:
    before = ARTIFACT.partition("spec:")[0] + f"spec: {{url: 'oci://{NAME}', interval: 5m}}\n"
    after = promote(before, f"{NAME}:v2")
    assert after == before.replace(f"'oci://{NAME}'", f"'oci://{NAME}', ref: {{tag: v2}}")


@pytest.mark.parametrize("empty", ["", " {}", " null"])
def test_an_artifact_with_an_empty_ref(empty: str) -> None:
    before = ARTIFACT.partition("  ref:")[0] + f"  ref:{empty}\n"
    assert "`spec.ref` is empty" in refused(before, f"{NAME}:v2")


def test_a_range_goes_before_a_tag() -> None:
    before = ARTIFACT.replace(TAG, f"{TAG}    semver: '>=1.0.0'\n")
    error = refused(before, f"{NAME}:2.0.0")
    assert "has a `semver` range, which goes before any tag" in error
    assert "Remove `semver`" in error
    assert error.startswith("apps/shop.yaml:10: ")


def test_an_artifact_is_not_renamed() -> None:
    assert "can't be renamed" in refused(ARTIFACT, f"{NAME}=ghcr.io/acme/other:2.0.0")


# Markers.


@pytest.mark.parametrize(
    ("before", "item", "after"),
    [
        ("image: {}:1.0.0 # M", "1.1.0", "image: {}:1.1.0 # M"),
        ("image: '{}:1.0.0'   # M", "1.1.0", "image: '{}:1.1.0'   # M"),
        ('image: "{}:1.0.0" # M', "2", 'image: "{}:2" # M'),
        ("- {}:1.0.0 # M", "1.1.0", "- {}:1.1.0 # M"),
        ("image: &a {}:1.0.0 # M", "1.1.0", "image: &a {}:1.1.0 # M"),
        ("image: {} # M", "1.1.0", "image: {}:1.1.0 # M"),
        ("image: {}:1.0.0 # M", f"2@{DIGEST}", f"image: {{}}:2@{DIGEST} # M"),
        (f"image: {{}}:1.0.0@{OLD_DIGEST} # M", "2", "image: {}:2 # M"),
        ("a: [\n  {}:1.0.0, # M\n  other ]", "2", "a: [\n  {}:2, # M\n  other ]"),
        (
            "a: [\n  x, {}:1.0.0 ] # M\nb: {}:1.0.0 # M",
            "2",
            "a: [\n  x, {}:1.0.0 ] # M\nb: {}:2 # M",
        ),
        ("a: {{image: {}:1, # M\n  b: c}}", "2", "a: {{image: {}:2, # M\n  b: c}}"),
        ("a: {}:1 # M\nb:\n- x: {}:2 # M", "3", "a: {}:3 # M\nb:\n- x: {}:3 # M"),
        ("a: {}:1 # M\n---\nb: {}:1 # M", "3", "a: {}:3 # M\n---\nb: {}:3 # M"),
        ("a: {}:1 # other\nb: {}:1 # M", "3", "a: {}:1 # other\nb: {}:3 # M"),
        ("a: {}:1 # MX\nb: other:1 # N", "3", "a: {}:1 # MX\nb: other:1 # N"),
        ("text: |\n  image: {}:1 # M\nb: {}:1 # M", "3", "text: |\n  image: {}:1 # M\nb: {}:3 # M"),
        ("b: {}:1 ## M", "3", "b: {}:3 ## M"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_whole_reference(before: str, item: str, after: str, newline: str) -> None:
    texts = [
        t.format(*[SHOP] * 3).replace("# M", marker("apps:shop")).replace("\n", newline) + newline
        for t in (before, after)
    ]
    if before == after:
        assert "is none that Flux reads" in refused(texts[0], f"{SHOP}:{item}")
        return
    edited = edit(texts[0], f"{SHOP}:{item}")
    assert edited.document.text == texts[1]
    assert {change.new.version for change in edited.changes} == {item}
    assert edit(texts[1], f"{SHOP}:{item}").document.text == texts[1]


@pytest.mark.parametrize(
    ("comment", "policy"),
    [
        ('#{"$imagepolicy":"apps:shop"}', "apps:shop"),
        ('#   { "$imagepolicy" : "apps:shop" }  ', "apps:shop"),
        ('# {"$imagepolicy": "apps:shop", "why": "because"}', "apps:shop"),
        ('# {"$imagepolicy": "apps:my.shop"}', "apps:my.shop"),
        ('# {"$imagepolicy": "\\u0061pps:shop"}', "apps:shop"),
        ('# {"$imagepolicy": "apps:shop"} by CI', ""),
        ('# by CI {"$imagepolicy": "apps:shop"}', ""),
        ("# {'$imagepolicy': 'apps:shop'}", ""),
        ('# {"$imagepolicy": "apps:shop"', ""),
        ('# {"$imagepolicy": "shop"}', ""),
        ('# {"$imagepolicy": "apps:Shop"}', ""),
        ('# {"$imagepolicy": "apps:\\u001b[2J"}', ""),
        ('# {"$imagepolicy": "apps:shop:sha"}', ""),
        ('# {"$imagepolicy": "apps:shop:tag:tag"}', ""),
        ('# {"$imagepolicy": ["apps:shop"]}', ""),
        ('# {"$imagepolicy": "apps:shop", "n": 1}', ""),
        ('# {"$imagePolicy": "apps:shop"}', ""),
        ('# ["$imagepolicy"]', ""),
        ('# {"$imagepolicy": ' + "[" * 20000, ""),
    ],
)
def test_a_marker_is_read_as_flux_reads_it(comment: str, policy: str) -> None:
    before = f"spec:\n  image: {SHOP}:1.0.0 {comment}\n"
    if policy:
        assert promote(before, f"{SHOP}:2", policy) == before.replace(":1.0.0", ":2")
    else:
        document = Document.parse(before.encode(), "shop.yaml")
        assert not flux.KIND.answers(document, "apps:shop")
        assert kinds_of("shop.yaml", document) == ["helm"]


def test_a_marker_behind_the_sign_of_a_block_is_not_missed() -> None:
    before = f"image: >- {marker('apps:shop')}\n  {SHOP}:1.0.0\n"
    assert "Write it on one line" in refused(before, f"{SHOP}:2")


def test_a_comment_that_flux_does_not_read_is_named() -> None:
    before = f"x: y\nimage:\n  {marker('apps:shop')}\n  name: {SHOP}\n"
    error = refused(before, "ghcr.io/acme/other:2")
    assert "The image policy in line 3 is none that Flux reads" in error


PARTS = f"""\
spec:
  name: {SHOP} {marker("apps:shop:name")}
  version: 1.0.0 {marker("apps:shop:tag")}
  hash: {OLD_DIGEST} {marker("apps:shop:digest")}
"""
TAG_AND_NAME = "".join(PARTS.splitlines(keepends=True)[:3])


def test_the_parts_of_an_image() -> None:
    after = promote(PARTS, f"{SHOP}:2.0@{DIGEST}")
    assert after == PARTS.replace("1.0.0", '"2.0"').replace(OLD_DIGEST, DIGEST)
    assert running(after) == [("spec.version", f"{SHOP}:2.0@{DIGEST}", 3)]


def test_the_name_is_edited_where_the_call_renames() -> None:
    edited = edit(PARTS, f"{SHOP}=quay.io/acme/shop:2.0.0@{DIGEST}")
    after = PARTS.replace(SHOP, "quay.io/acme/shop").replace("1.0.0", "2.0.0")
    assert edited.document.text == after.replace(OLD_DIGEST, DIGEST)
    assert str(edited.changes[0].new) == f"quay.io/acme/shop:2.0.0@{DIGEST}"
    assert promote(edited.document.text, f"quay.io/acme/shop={SHOP}:1.0.0@{OLD_DIGEST}") == PARTS


def test_an_old_digest_would_stay() -> None:
    error = refused(PARTS, f"{SHOP}:2.0.0")
    assert (
        "has a digest that follows the image policy `apps:shop`, and the call gives none" in error
    )
    assert "Give the image its digest" in error


def test_an_old_tag_would_stay() -> None:
    assert "holds a tag, and the call gives none" in refused(PARTS, f"{SHOP}@{DIGEST}")


def test_a_tag_takes_the_digest_where_nothing_else_does() -> None:
    after = promote(TAG_AND_NAME, f"{SHOP}:2.0.0@{DIGEST}")
    assert after == TAG_AND_NAME.replace("1.0.0", f"2.0.0@{DIGEST}")
    assert promote(after, f"{SHOP}:1.0.0") == TAG_AND_NAME


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
@pytest.mark.parametrize("key", ["", "a.b", "apps:shop"])
def test_a_file_of_nothing_has_no_image(text: str, key: str) -> None:
    assert "there is no " in refused(text, f"{SHOP}:2", key)
    assert running(text, SHOP, key=key) == []


def test_a_tag_without_a_name_takes_a_key() -> None:
    before = f"data:\n  SHOP: 1.0.0 {marker('apps:shop:tag')}\n"
    assert "nothing says the image of `#data.SHOP` (line 2)" in refused(before, f"{SHOP}:2.0.0")
    for key in ("apps:shop", "apps:shop:tag", "data.SHOP"):
        assert promote(before, f"{SHOP}:2.0.0", key) == before.replace("1.0.0", "2.0.0")
    assert running(before, SHOP, key="apps:shop") == [("data.SHOP", f"{SHOP}:1.0.0", 2)]


def test_several_tags_of_a_policy_beside_each_other() -> None:
    before = (
        f"data:\n  WEB: 1.0.0 {marker('apps:shop:tag')}\n  JOB: 0.9.0 {marker('apps:shop:tag')}\n"
        f"  NAME: {SHOP} {marker('apps:shop:name')}\n  CACHE: 7.0.0 {marker('apps:redis:tag')}\n"
    )
    after = promote(before, f"{SHOP}:1.1.0")
    assert after == before.replace("1.0.0", "1.1.0").replace("0.9.0", "1.1.0")
    assert [reference for _, reference, _ in running(before, SHOP)] == [
        f"{SHOP}:1.0.0",
        f"{SHOP}:0.9.0",
    ]


POLICIES = f"""\
dev:
  image: {SHOP}:1.1.0 {marker("apps:shop-dev")}
prod:
  image: {SHOP}:1.0.0 {marker("apps:shop-prod")}
  task: {SHOP}:1.0.0 {marker("apps:shop-prod")}
"""


def test_two_policies_of_an_image_are_never_promoted_together() -> None:
    error = refused(POLICIES, f"{SHOP}:1.2.0")
    assert "follows 2 image policies here: `#apps:shop-dev` (line 2, 1.1.0), " in error
    assert "`#apps:shop-prod` (line 4, 1.0.0)" in error
    with pytest.raises(PromoteError, match="follows 2 image policies"):
        running(POLICIES, SHOP)


def test_a_policy_is_a_key() -> None:
    head, prod = POLICIES.split("prod:")
    after = promote(POLICIES, f"{SHOP}:1.2.0", "apps:shop-prod")
    assert after == head + "prod:" + prod.replace("1.0.0", "1.2.0")
    after = promote(POLICIES, f"{SHOP}:1.2.0", "apps:shop-dev")
    assert after == head.replace("1.1.0", "1.2.0") + "prod:" + prod
    assert running(POLICIES, SHOP, key="apps:shop-dev") == [("dev.image", f"{SHOP}:1.1.0", 2)]


def test_a_policy_of_another_image_is_refused() -> None:
    error = refused(POLICIES, "ghcr.io/acme/other:2", "apps:shop-dev")
    assert f"`dev.image` holds `{SHOP}`, not `ghcr.io/acme/other`" in error


BLOCK = f"""\
image:
  repository: {SHOP} {marker("apps:shop:name")}
  tag: "1.0.0" {marker("apps:shop:tag")}
  pullPolicy: Always
sidecar:
  image:
    repository: {SHOP}
    tag: 0.9.0 {marker("apps:shop:tag")}
"""


def test_markers_in_blocks_of_a_values_file() -> None:
    edited = edit(BLOCK, f"{SHOP}:1.1.0")
    assert edited.document.text == BLOCK.replace("1.0.0", "1.1.0").replace("0.9.0", "1.1.0")
    assert [change.key for change in edited.changes] == ["image", "sidecar.image"]
    assert [change.old.tag for change in edited.changes] == ["1.0.0", "0.9.0"]


def test_a_digest_beside_a_marked_tag_does_not_stay() -> None:
    before = BLOCK.replace("  pullPolicy: Always", f"  digest: {OLD_DIGEST}")
    after = promote(before, f"{SHOP}:1.1.0")
    assert after == before.replace("1.0.0", "1.1.0").replace("0.9.0", "1.1.0").replace(
        OLD_DIGEST, '""'
    )
    marked = before.replace(OLD_DIGEST, f"{OLD_DIGEST} {marker('apps:shop:digest')}")
    assert "the old one would stay" in refused(marked, f"{SHOP}:1.1.0")


def test_a_block_with_a_marker_and_one_without_are_ambiguous() -> None:
    before = BLOCK.replace(f"0.9.0 {marker('apps:shop:tag')}", "0.9.0")
    error = refused(before, f"{SHOP}:1.1.0")
    assert (
        "stands in 2 places here: `#apps:shop` (line 3, 1.0.0), `#sidecar.image` (line 8, 0.9.0)"
        in error
    )
    assert promote(before, f"{SHOP}:1.1.0", "apps:shop") == before.replace("1.0.0", "1.1.0")
    assert promote(before, f"{SHOP}:1.1.0", "sidecar.image") == before.replace("0.9.0", "1.1.0")


def test_a_marker_in_a_release_is_of_one_place() -> None:
    before = RELEASE.replace("'1.0.0'", f"'1.0.0' {marker('apps:shop:tag')}")
    edited = edit(before, f"{SHOP}:1.1.0")
    assert edited.document.text == before.replace("'1.0.0'", "'1.1.0'")
    assert [change.key for change in edited.changes] == ["spec.values.image"]
    assert len(running(before, SHOP)) == 1


@pytest.mark.parametrize("entry", ["newName", ""])
def test_markers_in_a_kustomization_of_kustomize(entry: str) -> None:
    name = f"  newName: {SHOP} {marker('apps:shop:name')}\n" if entry else ""
    named = "shop" if entry else SHOP
    before = f"images:\n- name: {named}\n{name}  newTag: v1 {marker('apps:shop:tag')}\n"
    snapshot = Memory({"app/kustomization.yaml": before})
    target = parse_target("flux:app/kustomization.yaml")
    plan = make_plan(snapshot, Request(images=(parse_image(f"{SHOP}:v2"),), targets=(target,)))
    assert plan.files["app/kustomization.yaml"].decode() == before.replace("v1", "v2")


def test_the_digest_of_an_artifact_follows_its_policy() -> None:
    before = ARTIFACT.replace(
        TAG,
        f"    tag: 1.0.0 {marker('apps:shop:tag')}\n"
        f"    digest: {OLD_DIGEST} {marker('apps:shop:digest')}\n",
    )
    after = promote(before, f"{NAME}:2.0.0@{DIGEST}")
    assert after == before.replace("1.0.0", "2.0.0").replace(OLD_DIGEST, DIGEST)
    assert "the old one would stay" in refused(before, f"{NAME}:2.0.0")


# Not one that kustomize would build: each part of an entry has a policy, and one name has two.
MIXED = f"""\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
images:
  - name: shop
    newName: {SHOP} {marker("apps:shop:name")}
    newTag: v1 {marker("apps:shop:tag")}
    newDigest: {OLD_DIGEST} {marker("apps:task:digest")}
patches:
  - patch: |
      - op: replace
        path: /spec/image
        value: {SHOP}:v1 {marker("apps:shop")}
    target:
      image: ghcr.io/acme/task {marker("apps:task")}
"""


def test_only_what_follows_the_policy_is_edited() -> None:
    assert promote(MIXED, f"{SHOP}:v2") == MIXED.replace("newTag: v1", "newTag: v2")
    renamed = promote(MIXED, f"{SHOP}=quay.io/shop:v2")
    assert renamed == MIXED.replace("newTag: v1", "newTag: v2").replace(
        f"newName: {SHOP}", "newName: quay.io/shop"
    )
    pinned = promote(MIXED, f"ghcr.io/acme/task@{DIGEST}")
    assert pinned == MIXED.replace(OLD_DIGEST, DIGEST).replace("task #", f"task@{DIGEST} #")


def test_policies_of_one_name_in_other_namespaces_are_others() -> None:
    before = f"a: {SHOP}:1 {marker('apps:shop')}\nb: {SHOP}:1 {marker('test:shop')}\n"
    assert "follows 2 image policies" in refused(before, f"{SHOP}:v2")
    assert promote(before, f"{SHOP}:v2", "test:shop") == before.replace(
        '1 # {"$imagepolicy": "t', 'v2 # {"$imagepolicy": "t'
    )


def test_places_of_a_policy_that_differ_are_all_seen() -> None:
    before = (
        f"a: {SHOP}:1.0.0 {marker('apps:shop')}\nb: mirror.io/shop:2.0.0 {marker('apps:shop')}\n"
    )
    assert [reference for _, reference, _ in running(before, SHOP)] == [
        f"{SHOP}:1.0.0",
        "mirror.io/shop:2.0.0",
    ]
    assert promote(before, f"{SHOP}:2.1.0") == before.replace("1.0.0", "2.1.0").replace(
        "2.0.0", "2.1.0"
    )


# The whole: which kind a file is, and what a plan says.


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (RELEASE, ["flux"]),
        (BLOCK, ["flux"]),
        (BLOCK.replace("imagepolicy", "policy"), ["helm"]),
        (f"{RELEASE}---\n{deployment(f'{SHOP}:1.0.0')}", ["flux", "manifest"]),
        (deployment(f"{SHOP}:1.0.0 {marker('apps:shop')}"), ["flux", "manifest"]),
    ],
)
def test_what_a_file_is(text: str, kinds: list[str]) -> None:
    assert kinds_of("apps/shop.yaml", Document.parse(text.encode(), "apps/shop.yaml")) == kinds


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("image.tag", "flux"),
        ("[0].spec.values.worker.image", "flux"),
        ("[0].spec.interval", "flux"),
        ("[1].spec.template.spec.containers[0].image", "manifest"),
        ("[1].metadata.name", "manifest"),
    ],
)
def test_a_key_says_which_kind_is_meant(key: str, kind: str) -> None:
    text = f"{RELEASE}---\n{deployment(f'{SHOP}:1.0.0')}"
    document = Document.parse(text.encode(), "apps/shop.yaml")
    assert kinds_of("apps/shop.yaml", document, key) == [kind]


def test_a_marked_container_is_reported_once() -> None:
    before = deployment(f"{SHOP}:1.0.0 {marker('apps:shop')}")
    snapshot = Memory({"apps/shop.yaml": before})
    request = Request(
        images=(parse_image(f"{SHOP}:1.1.0"),), targets=(parse_target("apps/shop.yaml"),)
    )
    plan = make_plan(snapshot, request)
    assert plan.files["apps/shop.yaml"].decode() == before.replace("1.0.0", "1.1.0")
    assert [change.key for change in plan.changes] == ["spec.template.spec.containers[0].image"]


def test_of_two_containers_the_key_s_policy_is_promoted() -> None:
    before = deployment(
        f"{SHOP}:1.0.0 {marker('apps:shop-dev')}", f"{SHOP}:1.0.0 {marker('apps:shop-prod')}"
    )
    snapshot = Memory({"apps/shop.yaml": before})
    images = (parse_image(f"{SHOP}:1.1.0"),)
    plan = make_plan(
        snapshot, Request(images=images, targets=(parse_target("apps/shop.yaml#apps:shop-dev"),))
    )
    assert plan.files["apps/shop.yaml"].decode() == before.replace("1.0.0", "1.1.0", 1)
    with pytest.raises(PromoteError, match="follows 2 image policies"):
        make_plan(snapshot, Request(images=images, targets=(parse_target("apps/shop.yaml"),)))


def test_the_values_of_a_release_render_with_the_new_image(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "templates" / "pods.yaml").write_text(
        "kind: Pod\nspec:\n  containers:\n"
        '  - image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n'
        "  - image: {{ .Values.worker.image }}\n"
    )

    def rendered(text: str) -> str:
        (tmp_path / "values.yaml").write_text(
            json.dumps(next(iter(yaml.safe_load_all(text)))["spec"]["values"])
        )
        command = [tool("helm"), "template", str(chart), "--values", str(tmp_path / "values.yaml")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    before = rendered(RELEASE)
    assert rendered(promote(RELEASE, f"{SHOP}:1e5")) == before.replace(
        f'"{SHOP}:1.0.0"', f'"{SHOP}:1e5"'
    )
    assert rendered(promote(RELEASE, "ghcr.io/acme/worker:1.1.0")) == before.replace(
        "worker:1.0.0", "worker:1.1.0"
    )
