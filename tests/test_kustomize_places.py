"""Kustomizations beyond `images:`; the real kustomize says what an edit comes to."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import shared
from gitops_promote.core.errors import PromoteError, RetryableError
from gitops_promote.core.images import parse_image
from gitops_promote.core.kinds import kustomize
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.kinds.overlay_layers import Layers
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml.document import Document
from memory import SHOP, Memory, deployment

DIGEST = "sha256:" + "0123456789abcdef" * 4
OVERLAY = "o/kustomization.yaml"
CONTAINER_0 = "/spec/template/spec/containers/0"
BASE = {
    "b/kustomization.yaml": "resources: [d.yaml]\n",
    "b/d.yaml": deployment(f"{SHOP}:0", "side:0"),
}
HEAD = "resources:\n- ../b\n"

Record = Callable[[str, object], None]
Build = Callable[[Mapping[str, bytes]], str]


def files_of(text: str, **more: str) -> dict[str, bytes]:
    """A base, an overlay with this text, and more files."""
    named = {name.replace("__", "/") + ".yaml": content for name, content in more.items()}
    files = {**BASE, OVERLAY: text, **named}
    return {path: content.encode() for path, content in files.items()}


def plan(files: Mapping[str, bytes], item: str, target: str = "o") -> Plan:
    """The plan for one image and one target."""
    targets = tuple(parse_target(line) for line in target.split())
    return make_plan(Memory(files), Request((parse_image(item),), targets))


def promote(text: str, item: str, key: str = "") -> str:
    """The overlay's text after a promotion."""
    found = plan(files_of(text), item, f"o#{key}" if key else "o")
    return {**files_of(text), **found.files}[OVERLAY].decode()


def runs(text: str, key: str = "", *images: str) -> list[str]:
    """What runs by a kustomization, each with its place."""
    document = Document.parse(text.encode(), OVERLAY)
    found = kustomize.KIND.running(document, key, images)
    return [f"{one.key} {one.reference} {one.line}" for one in found]


@pytest.fixture
def build(tool: Callable[[str], str], tmp_path: Path) -> Build:
    """Build the overlay `o` of some files with the real kustomize."""
    kubectl = tool("kubectl")

    def run(files: Mapping[str, bytes]) -> str:
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        command = [kubectl, "kustomize", str(tmp_path / "o")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
        return done.stdout

    return run


def differences(before: str, after: str) -> list[tuple[str, str]]:
    """The lines in which two outputs differ, without the hash behind a ConfigMap's name."""
    lines = [
        re.sub(r"(?m)(name: \S+)-[a-z0-9]{10}$", r"\1", text).split("\n")
        for text in (before, after)
    ]
    pairs = zip(*lines, strict=True)
    return [(old.strip(" -"), new.strip(" -")) for old, new in pairs if old != new]


MERGE = f"""\
patches:
- patch: |-
    # ours
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: shop
    spec:
      template:
        spec:
          containers:
          - name: c0
            image: "{SHOP}:1.0" # set by CI
"""
MERGE_TARGET = MERGE.replace("- patch: |-", "- target: {kind: Deployment}\n  patch: |-", 1)
OLD_MERGE = MERGE.replace("patches:\n- patch: |-", "patchesStrategicMerge:\n- |-").replace(
    "\n    ", "\n  "
)
JSON = f"""\
patches:
- target: {{kind: Deployment, name: shop}}
  patch: |
    - op: replace
      path: {CONTAINER_0}/image
      value: {SHOP}:1.0
"""
IN_JSON = f'[{{"op": "replace", "path": "{CONTAINER_0}/image", "value": "{SHOP}:1.0"}}]'
JSON_TEXT = f"patches:\n- target: {{kind: Deployment, name: shop}}\n  patch: '{IN_JSON}'\n"
JSON_QUOTED = JSON_TEXT.replace('"', r"\"").replace("'", '"')
OLD_JSON = f"""\
patchesJson6902:
- target: {{group: apps, version: v1, kind: Deployment, name: shop}}
  patch: |-
    - op: add
      path: /spec/template/spec/initContainers
      value:
      - name: init
        image: {SHOP}:1.0
"""
JSON_CONTAINER = f"""\
patches:
- target: {{kind: Deployment}}
  patch: |-
    - op: add
      path: /spec/template/spec/containers/-
      value: {{name: more, image: "{SHOP}:1.0"}}
    - op: add
      path: /metadata/labels
      value: {{image: "x"}}
"""
TWO_DOCUMENTS = MERGE.replace(f"{SHOP}:1.0", "side:1").replace("c0", "c1") + MERGE.partition(
    "# ours\n"
)[2].join(["    ---\n", ""])
EPHEMERAL = MERGE.replace("containers:", "ephemeralContainers:").replace("c0", "debug")
CRLF = MERGE.replace("\n", "\r\n")
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"

PATCHES = {
    "merge": MERGE,
    "merge with a target": MERGE_TARGET,
    "patchesStrategicMerge": OLD_MERGE,
    "json": JSON,
    "json text": JSON_TEXT,
    "json text in double quotes": JSON_QUOTED,
    "patchesJson6902, a list of containers": OLD_JSON,
    "json, a container": JSON_CONTAINER,
    "the second of two documents": TWO_DOCUMENTS,
    "ephemeral containers": EPHEMERAL,
    "CRLF": CRLF,
}


@pytest.mark.parametrize("name", PATCHES)
def test_an_inline_patch_is_edited_where_it_sets_the_image(name: str, build: Build) -> None:
    text = HEAD + PATCHES[name]

    edited = promote(text, f"{SHOP}:1.10")

    assert edited == text.replace(f"{SHOP}:1.0", f"{SHOP}:1.10")
    assert promote(edited, f"{SHOP}:1.0") == text
    changed = differences(build(files_of(text)), build(files_of(edited)))
    assert changed == [(f"image: {SHOP}:1.0", f"image: {SHOP}:1.10")]


@pytest.mark.parametrize("name", PATCHES)
def test_what_a_patch_sets_is_what_runs(name: str) -> None:
    text = HEAD + PATCHES[name]

    (found,) = runs(text, "", SHOP)

    key, reference, line = found.split()
    assert reference == f"{SHOP}:1.0"
    assert f"{SHOP}:1.0" in text.splitlines()[int(line) - 1]
    assert runs(text, key) == [found]
    assert promote(text, f"{SHOP}:2", key) == text.replace(f"{SHOP}:1.0", f"{SHOP}:2")


# Several places: kustomize's order decides.

ENTRY = f"images:\n- name: {SHOP}\n  newTag: e1\n"
SECOND = MERGE.replace("patches:\n", "").replace("1.0", "1.1")
OTHER_KIND = SECOND.replace("name: c0", "name: c1")
LITERAL = f"configMapGenerator:\n- name: versions\n  literals:\n  - IMAGE={SHOP}:l1\n  - TAG=l1\n"
REPLACED = """\
replacements:
- source: {kind: ConfigMap, name: versions, fieldPath: data.IMAGE}
  targets:
  - select: {kind: Deployment, name: shop}
    fieldPaths: ["spec.template.spec.containers.[name=c0].image"]
"""
REPLACED_TAG = (
    REPLACED.replace("data.IMAGE", "data.TAG") + '    options: {delimiter: ":", index: 1}\n'
)

# The overlay, what changes in it, what then runs in the two containers, and what is said.
WINS: dict[str, tuple[str, list[str], list[str], str]] = {
    "images over a patch": (
        HEAD + MERGE + ENTRY,
        ["newTag: NEW"],
        [f"{SHOP}:NEW", "side:0"],
        (
            "`patches[0].patch.spec.template.spec.containers[0].image` (line 15) sets "
            f"`{SHOP}:1.0` without effect: kustomize applies `images[0]` (line 17) after it."
        ),
    ),
    "images over a JSON patch": (
        HEAD + JSON + ENTRY,
        ["newTag: NEW"],
        [f"{SHOP}:NEW", "side:0"],
        (
            f"`patches[0].patch[0].value` (line 8) sets `{SHOP}:1.0` without effect: "
            "kustomize applies `images[0]` (line 10) after it."
        ),
    ),
    "images that only rename get the version": (
        HEAD + MERGE + f"images:\n- name: {SHOP}\n  newName: moved\n",
        ["newTag: NEW"],
        ["moved:NEW", "side:0"],
        (
            "`patches[0].patch.spec.template.spec.containers[0].image` (line 15) sets "
            f"`{SHOP}:1.0` without effect: kustomize applies `images[0]` (line 17) after it."
        ),
    ),
    "images of another name, and a patch": (
        HEAD
        + OTHER_KIND.join(["patches:\n", ""])
        + f"images:\n- name: other\n  newName: {SHOP}\n  newTag: e1\n",
        [f'image: "{SHOP}:NEW" # set by CI', "newTag: NEW"],
        # A merge puts the container that it is about first.
        [f"{SHOP}:NEW", f"{SHOP}:0"],
        (
            "no resource of this overlay uses `other`, so kustomize ignores its entry. The "
            f"images of its resources: `{SHOP}`, `side`."
        ),
    ),
    "the later of two patches of one container": (
        HEAD + MERGE + SECOND,
        [f'image: "{SHOP}:NEW" # set by CI'],
        [f"{SHOP}:NEW", "side:0"],
        (
            "`patches[0].patch.spec.template.spec.containers[0].image` (line 15) sets "
            f"`{SHOP}:1.0` without effect: kustomize applies "
            "`patches[1].patch.spec.template.spec.containers[0].image` (line 27, "
            f"`{SHOP}:1.1`) after it."
        ),
    ),
    "patches over patchesStrategicMerge": (
        HEAD + MERGE + OLD_MERGE,
        [f'image: "{SHOP}:NEW" # set by CI'],
        [f"{SHOP}:NEW", "side:0"],
        (
            "`patchesStrategicMerge[0].spec.template.spec.containers[0].image` (line 28) sets "
            f"`{SHOP}:1.0` without effect: kustomize applies "
            "`patches[0].patch.spec.template.spec.containers[0].image` (line 15, "
            f"`{SHOP}:1.0`) after it."
        ),
    ),
    "a patch of another image over it": (
        HEAD + MERGE + SECOND.replace(SHOP, "other"),
        [f"- name: {SHOP}", "newTag: NEW", "images:"],
        ["other:1.1", "side:0"],
        (
            "`patches[0].patch.spec.template.spec.containers[0].image` (line 15) sets "
            f"`{SHOP}:1.0` without effect: kustomize applies "
            "`patches[1].patch.spec.template.spec.containers[0].image` (line 27, "
            "`other:1.1`) after it."
        ),
    ),
    "patches of two containers": (
        HEAD + MERGE + OTHER_KIND,
        [f'image: "{SHOP}:NEW" # set by CI'] * 2,
        [f"{SHOP}:NEW", f"{SHOP}:NEW"],
        "",
    ),
    "a reference that a replacement writes": (
        HEAD + LITERAL + REPLACED + ENTRY,
        [f"- IMAGE={SHOP}:NEW", "newTag: NEW"],
        [f"{SHOP}:NEW", "side:0"],
        (
            "`configMapGenerator[0].literals[0]` (line 6) wins where `replacements` write it: "
            "kustomize applies them after `images` and patches. All were set."
        ),
    ),
    "a tag that a replacement writes": (
        HEAD + LITERAL + REPLACED_TAG + ENTRY,
        ["newTag: NEW"],
        [f"{SHOP}:l1", "side:0"],
        (
            "`replacements[0]` (line 12) writes "
            "`spec.template.spec.containers.[name=c0].image` "
            "of Deployment `shop` from `#configMapGenerator[0].literals[1]` after all else, so "
            "that the promotion has no effect there. Promote "
            "`#configMapGenerator[0].literals[1]` with it."
        ),
    ),
    "a tag that a replacement writes to another container": (
        HEAD + LITERAL + REPLACED_TAG.replace("c0", "c1") + ENTRY,
        ["newTag: NEW"],
        [f"{SHOP}:NEW", "side:l1"],
        "",
    ),
}


def images_in(output: str) -> list[str]:
    """The images of a build's containers."""
    return re.findall(r"(?m)^\s+(?:- )?image: (\S+)$", output)


@pytest.mark.parametrize("name", WINS)
def test_what_wins_is_edited_and_the_rest_is_said(name: str, build: Build) -> None:
    text, lines, images, said = WINS[name]
    files = files_of(text)

    found = plan(files, f"{SHOP}:NEW")

    edited = {**files, **found.files}
    after = edited[OVERLAY].decode().splitlines()
    assert sorted(
        (Counter(map(str.strip, after)) - Counter(map(str.strip, text.splitlines()))).elements()
    ) == sorted(lines)
    assert list(found.warnings) == ([f"{OVERLAY}: {said}"] if said else [])
    assert images_in(build(edited)) == images
    for change in found.changes:
        assert "NEW" in after[change.line - 1]


@pytest.mark.parametrize("name", WINS)
def test_what_runs_is_what_was_built(name: str, build: Build) -> None:
    text = WINS[name][0]

    found = {line.split()[1] for line in runs(text, "", SHOP)}

    built = {image for image in images_in(build(files_of(text))) if not image.endswith(":0")}
    # Of a tag alone that is written over an image nothing says whose it is.
    ours = {image for image in built if image.startswith((f"{SHOP}:", "moved:"))}
    assert ours <= found or name.startswith("a tag that")
    if name.startswith(("images over", "the later", "patches")):
        assert found == ours


RENAMED = f"images:\n- name: {SHOP}\n  newName: moved\n  newTag: c1\n"


@pytest.mark.parametrize(
    ("below", "entry", "images", "said"),
    [
        (
            ENTRY,
            ENTRY,
            [f"{SHOP}:NEW", "side:0"],
            "sets `SHOP:e1` without effect: kustomize applies this overlay's `images` after it.",
        ),
        (
            MERGE,
            ENTRY,
            [f"{SHOP}:NEW", "side:0"],
            "sets `SHOP:1.0` without effect: kustomize applies this overlay's `images` after it.",
        ),
        (
            ENTRY,
            "",
            [f"{SHOP}:NEW", "side:0"],
            "sets `SHOP:e1` without effect: kustomize applies this overlay's `images` after it.",
        ),
        (
            ENTRY,
            MERGE,
            [f"{SHOP}:NEW", "side:0"],
            "sets `SHOP:e1`, which counts where this overlay's patches and values don't set it.",
        ),
        (
            RENAMED,
            ENTRY,
            ["moved:c1", "side:0"],
            (
                "no resource of this overlay uses `SHOP`, so kustomize ignores its entry. The "
                "images of its resources: `moved`, `side`."
            ),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["component", "base"])
def test_what_is_set_below_an_overlay(
    kind: str, below: str, entry: str, images: list[str], said: str, build: Build
) -> None:
    if kind == "component":
        text = f"{HEAD}components: [../c]\n{entry}"
        files = files_of(text, c__kustomization=COMPONENT + below)
    else:
        text = f"resources: [../c]\n{entry}"
        files = files_of(text, c__kustomization=HEAD + below)

    found = plan(files, f"{SHOP}:NEW")

    (warning,) = found.warnings
    assert said.replace("SHOP", SHOP) in warning
    assert images_in(build({**files, **found.files})) == images


def test_a_component_is_a_target_of_its_own(build: Build) -> None:
    files = files_of(f"{HEAD}components: [../c]\n", c__kustomization=COMPONENT + MERGE)
    empty = files_of(f"{HEAD}components: [../c]\n", c__kustomization=COMPONENT)

    patched, added = plan(files, f"{SHOP}:NEW", "c"), plan(empty, f"{SHOP}:NEW", "c")

    for found, of in ((patched, files), (added, empty)):
        assert not found.warnings
        assert images_in(build({**of, **found.files})) == [f"{SHOP}:NEW", "side:0"]
    assert b"images:" not in patched.files["c/kustomization.yaml"]


# `tagSuffix` (kustomize since 5.1).


@pytest.mark.parametrize(
    ("entry", "item", "image", "warns"),
    [
        ("  tagSuffix: -alpine\n", "NEW", f"{SHOP}:NEW", True),
        ("  tagSuffix: -alpine\n", f"@{DIGEST}", f"{SHOP}@{DIGEST}", True),
        ("  newTag: e1\n  tagSuffix: -alpine\n", "NEW", f"{SHOP}:NEW", False),
        ("  newName: moved\n  tagSuffix: -alpine\n", "NEW", "moved:NEW", True),
        ("  tagSuffix: -alpine\n", "=moved:*", "moved:0-alpine", False),
    ],
)
def test_a_tag_suffix_never_changes_what_was_promoted(
    entry: str, item: str, image: str, warns: bool, build: Build
) -> None:
    files = files_of(f"{HEAD}images:\n- name: {SHOP}\n{entry}")
    text = SHOP + (item if item[0] in "@=" else f":{item}")

    found = plan(files, text)

    assert images_in(build({**files, **found.files})) == [image, "side:0"]
    assert any("`tagSuffix`" in warning for warning in found.warnings) is warns


# `#KEY`.

KEYED = (
    HEAD
    + LITERAL
    + '  - QUOTED="1.0"\n  - DIGEST=sha256:'
    + "0" * 64
    + "\n  - EMPTY=\n  - URL=https://x.example/?a=b\n"
    + "secretGenerator:\n- name: s\n  literals: [PASSWORD=hunter2]\n"
    + ENTRY
    + "- name: side\n  newName: ghcr.io/acme/side\n"
    + MERGE.replace(
        "            image", "            env: [{name: V, value: e0}]\n            image"
    )
    + "commonAnnotations:\n  version: a0\n  app.kubernetes.io/v: '1.0'\n"
    + "labels:\n- pairs: {version: l0}\n"
)


@pytest.mark.parametrize(
    ("key", "item", "old", "new"),
    [
        ("configMapGenerator[name=versions].literals.TAG", f"{SHOP}:1.10", "TAG=l1", "TAG=1.10"),
        ("configMapGenerator[0].literals[1]", f"{SHOP}:1.10", "TAG=l1", "TAG=1.10"),
        ("configMapGenerator[0].literals.IMAGE", f"{SHOP}:2", f"={SHOP}:l1", f"={SHOP}:2"),
        ("configMapGenerator[0].literals.QUOTED", f"{SHOP}:2", 'QUOTED="1.0"', 'QUOTED="2"'),
        ("configMapGenerator[0].literals.DIGEST", f"{SHOP}@{DIGEST}", "sha256:" + "0" * 64, DIGEST),
        ("configMapGenerator[0].literals.EMPTY", f"{SHOP}:2", "EMPTY=", "EMPTY=2"),
        ("images[0]", f"{SHOP}:v2", "newTag: e1", "newTag: v2"),
        ("images[0].newTag", f"{SHOP}@{DIGEST}", "newTag: e1", f"digest: {DIGEST}"),
        (f"images[name={SHOP}].newTag", f"{SHOP}:v2", "newTag: e1", "newTag: v2"),
        ("images[*].newTag", f"{SHOP}:v2", "newTag: e1", "newTag: v2"),
        ("images[1].newName", "side:v2", "acme/side\n", "acme/side\n  newTag: v2\n"),
        (
            "patches[0].patch.spec.template.spec.containers[name=c0].image",
            f"{SHOP}:v2",
            f"{SHOP}:1.0",
            f"{SHOP}:v2",
        ),
        (
            "patches[0].patch.spec.template.spec.containers[0].env[name=V].value",
            f"{SHOP}:v2",
            "value: e0",
            "value: v2",
        ),
        ("commonAnnotations.version", f"{SHOP}:v2", "version: a0", "version: v2"),
        ("commonAnnotations.app\\.kubernetes\\.io/v", f"{SHOP}:v2", "v: '1.0'", "v: 'v2'"),
        ("labels[0].pairs.version", f"{SHOP}:2@{DIGEST}", "version: l0", 'version: "2"'),
    ],
)
def test_a_key_names_any_scalar(key: str, item: str, old: str, new: str, build: Build) -> None:
    (before,) = [
        line.split()[1] for line in runs(KEYED, key, item.partition(":")[0].partition("@")[0])
    ] or [""]

    edited = promote(KEYED, item, key)

    assert KEYED.count(old) == 1
    assert edited == KEYED.replace(old, new)
    build(files_of(edited))
    if "EMPTY" not in key and "newName" not in key and "@" not in item:
        assert (
            promote(edited, f"{item.partition(':')[0]}:{before.rpartition(':')[2]}", key) == KEYED
        )


@pytest.mark.parametrize(
    ("key", "item", "error"),
    [
        ("secretGenerator[0].literals.PASSWORD", f"{SHOP}:2", "leads to a secret"),
        ("secretGenerator[*].literals[*]", f"{SHOP}:2", "leads to a secret"),
        ("secret*[0].literals[0]", f"{SHOP}:2", "leads to a secret"),
        ("images[1]", f"{SHOP}:2", "holds `ghcr.io/acme/side`, not"),
        ("images[7]", f"{SHOP}:2", "there is no `7`"),
        ("images", f"{SHOP}:2", "holds no image"),
        ("resources[0]", f"{SHOP}:2", "`resources[0]` holds"),
        ("configMapGenerator[0].literals.NONE", f"{SHOP}:2", "there is no `NONE`"),
        ("configMapGenerator[0].literals.URL", f"{SHOP}:2", "holds `https://x.example/?a=b`"),
        ("configMapGenerator[0].literals.DIGEST", f"{SHOP}:2", "holds a digest, and the call"),
        ("configMapGenerator[0].literals.TAG", f"{SHOP}@{DIGEST}", "holds a tag, and the call"),
        ("labels[0].pairs.version", f"{SHOP}:{'1' * 64}", "is a label, and"),
        ("labels[0].pairs.version", f"{SHOP}@{DIGEST}", "is a label, and"),
    ],
)
def test_a_key_that_can_not_be_promoted(key: str, item: str, error: str) -> None:
    with pytest.raises(PromoteError) as raised:
        promote(KEYED, item, key)

    assert error in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_secret_is_not_read() -> None:
    for key in ("secretGenerator[0].literals[0]", "*[0].literals.*", "*[0].*[0]"):
        assert not any("hunter2" in line for line in runs(KEYED, key))


def test_a_promoted_literal_is_what_a_replacement_writes(build: Build) -> None:
    text = HEAD + LITERAL + REPLACED_TAG

    edited = promote(text, f"{SHOP}:1.10", "configMapGenerator[name=versions].literals.TAG")

    assert differences(build(files_of(text)), build(files_of(edited))) == [
        ("TAG: l1", 'TAG: "1.10"'),
        (f"image: {SHOP}:l1", f"image: {SHOP}:1.10"),
    ]


@pytest.mark.parametrize(
    ("value", "options", "item", "new"),
    [
        (f"{SHOP}:1", "", f"{SHOP}:2", f"{SHOP}:2"),
        ("v1", '    options: {delimiter: ":", index: 1}\n', f"{SHOP}:v2", "v2"),
    ],
)
def test_the_value_of_a_replacement(
    value: str, options: str, item: str, new: str, build: Build
) -> None:
    source = "source: {kind: ConfigMap, name: versions, fieldPath: data.IMAGE}"
    text = HEAD + REPLACED.replace(source, f"sourceValue: {value} # ours") + options

    edited = promote(text, item, "replacements[0].sourceValue")

    assert edited == text.replace(value, new)
    assert images_in(build(files_of(edited))) == [item, "side:0"]


# Charts that kustomize inflates.

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  containers:
  - name: c0
    image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
"""
CHART = {
    "o/charts/shop-1.0.0/shop/Chart.yaml": b"apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    "o/charts/shop-1.0.0/shop/values.yaml": b"image: {repository: shop, tag: c0}\n",
    "o/charts/shop-1.0.0/shop/templates/pod.yaml": POD.encode(),
}
VALUES = f"image:\n  repository: {SHOP} # ours\n  tag: v0\n"
CHARTS = """\
helmCharts:
- name: shop
  repo: https://charts.acme.io/stable
  version: 1.0.0
  releaseName: shop
"""
INLINE = f"{CHARTS}  valuesInline:\n    image: {{repository: {SHOP}, tag: v0}}\n"
OLD_INLINE = f"""\
helmChartInflationGenerator:
- chartName: shop
  chartVersion: 1.0.0
  chartRepoUrl: oci://charts.acme.io/stable
  releaseName: shop
  valuesLocal: {{image: {{repository: {SHOP}, tag: v0}}}}
"""
FROM_FILE = f"{CHARTS}  valuesFile: values.yaml\n"
FROM_FILES = f"{CHARTS}  additionalValuesFiles: [env/values.yaml, missing.yaml, ../up.yaml]\n"


@pytest.fixture
def inflate(tool: Callable[[str], str], tmp_path: Path) -> Build:
    """Build the overlay `o` with the chart that lies in it."""
    kubectl, helm = tool("kubectl"), tool("helm")

    def run(files: Mapping[str, bytes]) -> str:
        for path, content in {**CHART, **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        command = [kubectl, "kustomize", "--enable-helm", "--helm-command", helm, "o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert not done.returncode, done.stderr
        return done.stdout

    return run


# The overlay, the values file beside it, what changes where, what then runs, and what is said.
INFLATED: dict[str, tuple[str, str, dict[str, tuple[str, str]], str, str]] = {
    "valuesInline": (INLINE, "", {OVERLAY: ("tag: v0", "tag: NEW")}, f"{SHOP}:NEW", ""),
    "valuesLocal": (OLD_INLINE, "", {OVERLAY: ("tag: v0", "tag: NEW")}, f"{SHOP}:NEW", ""),
    "valuesFile": (
        FROM_FILE,
        VALUES,
        {"o/values.yaml": ("tag: v0", "tag: NEW")},
        f"{SHOP}:NEW",
        "",
    ),
    "images over valuesInline": (
        INLINE + ENTRY,
        "",
        {OVERLAY: ("newTag: e1", "newTag: NEW")},
        f"{SHOP}:NEW",
        (
            f"{OVERLAY}: `helmCharts[0].valuesInline.image` (line 7) sets `{SHOP}:v0` without "
            "effect: kustomize applies `images[0]` (line 9) after it."
        ),
    ),
    "images over valuesFile": (
        FROM_FILE + ENTRY,
        VALUES,
        {OVERLAY: ("newTag: e1", "newTag: NEW")},
        f"{SHOP}:NEW",
        (
            f"o/values.yaml: line 3 sets `{SHOP}:v0` without effect: kustomize applies "
            f"`images[0]` of {OVERLAY} after it."
        ),
    ),
    "an image that stands nowhere": (
        FROM_FILE,
        "replicas: 1\n",
        {OVERLAY: ("values.yaml\n", f"values.yaml\nimages:\n- name: {SHOP}\n  newTag: NEW\n")},
        "shop:c0",
        "",
    ),
}


@pytest.mark.parametrize("name", INFLATED)
def test_an_image_of_a_chart(name: str, inflate: Build) -> None:
    text, values, changes, image, said = INFLATED[name]
    files = {OVERLAY: text.encode(), "o/values.yaml": values.encode()}

    found = plan(files, f"{SHOP}:NEW")

    expected = {path: files[path].decode().replace(*pair) for path, pair in changes.items()}
    assert {path: content.decode() for path, content in found.files.items()} == expected
    assert images_in(inflate({**files, **found.files})) == [image]
    assert list(found.warnings) == ([said] if said else [])


@pytest.mark.parametrize("name", INFLATED)
def test_a_glob_leads_to_the_same(name: str) -> None:
    text, values, changes, _, _ = INFLATED[name]
    files = {OVERLAY: text.encode(), "o/values.yaml": values.encode()}

    for target in ("**/kustomization.yaml", "kustomize:o", "*"):
        assert set(plan(files, f"{SHOP}:NEW", target).files) == set(changes), target


def test_further_values_files_beside_an_overlay() -> None:
    files = {
        OVERLAY: FROM_FILES.encode(),
        "o/env/values.yaml": VALUES.encode(),
        "up.yaml": VALUES.encode(),
    }

    found = plan(files, f"{SHOP}:NEW")

    assert list(found.files) == ["o/env/values.yaml"]
    assert kustomize.KIND.values_files(Document.parse(FROM_FILES.encode(), OVERLAY)) == [
        "env/values.yaml",
        "missing.yaml",
        "../up.yaml",
    ]


def test_one_image_in_a_values_file_and_another_nowhere() -> None:
    files = {OVERLAY: FROM_FILE.encode(), "o/values.yaml": VALUES.encode()}
    images = (parse_image(f"{SHOP}:NEW"), parse_image("side:NEW"))

    found = make_plan(Memory(files), Request(images, (parse_target("o"),)))

    assert found.files["o/values.yaml"] == VALUES.replace("v0", "NEW").encode()
    assert yaml.safe_load(found.files[OVERLAY])["images"] == [{"name": "side", "newTag": "NEW"}]


@pytest.mark.parametrize(
    ("text", "item", "key", "new"),
    [
        (INLINE, "charts.acme.io/stable/shop:1.10.0", "", "version: 1.10.0"),
        (OLD_INLINE, "charts.acme.io/stable/shop:1.10.0", "", "chartVersion: 1.10.0"),
        (
            INLINE,
            "charts.acme.io/stable/shop:1.10.0",
            "helmCharts[name=shop].version",
            "version: 1.10.0",
        ),
        (INLINE, "charts.acme.io/stable/shop:1.10.0", "helmCharts[0]", "version: 1.10.0"),
        (INLINE, f"{SHOP}:2", "helmCharts[0].valuesInline.image.tag", 'tag: "2"'),
        (INLINE, f"{SHOP}:2", "helmCharts[0].valuesInline.image", 'tag: "2"'),
        (INLINE, f"{SHOP}:2", "image.tag", 'tag: "2"'),
        (OLD_INLINE, f"{SHOP}:2", "image", 'tag: "2"'),
    ],
)
def test_a_chart_and_its_values(text: str, item: str, key: str, new: str) -> None:
    found = plan({OVERLAY: text.encode()}, item, f"o#{key}" if key else "o")

    old = re.sub(r"1\.10\.0", "1.0.0", new).replace('"2"', "v0")
    assert text.count(old) == 1
    assert found.files[OVERLAY].decode() == text.replace(old, new)
    name, _, version = item.rpartition(":")
    (line,) = runs(found.files[OVERLAY].decode(), key, name)
    assert line.split()[1].endswith(f":{version}")


@pytest.mark.parametrize(
    ("text", "item", "key", "error"),
    [
        (INLINE, "charts.acme.io/stable/shop:latest", "", "is no SemVer"),
        (INLINE + INLINE.partition("\n")[2], f"{SHOP}:2", "image.tag", "there is no `image`"),
        (HEAD + MERGE.replace("1.0", "${TAG}"), f"{SHOP}:2", "", "a variable that another program"),
        (
            HEAD + JSON.replace("|\n", ">\n").replace("path:", "  path:", 0),
            f"{SHOP}:2",
            "",
            "folded",
        ),
    ],
)
def test_what_is_never_edited_by_guess(text: str, item: str, key: str, error: str) -> None:
    with pytest.raises(PromoteError, match=re.escape(error)):
        plan(files_of(text), item, f"o#{key}" if key else "o")


def test_all_that_runs_by_a_kustomization() -> None:
    text = (
        HEAD
        + INLINE
        + MERGE
        + OTHER_KIND.replace(SHOP, "side")
        + "images:\n- name: side\n  newTag: e1\n"
    )

    found = [line.split()[:2] for line in runs(text)]

    assert found == [
        ["helmCharts[0].valuesInline.image", f"{SHOP}:v0"],
        ["patches[0].patch.spec.template.spec.containers[0].image", f"{SHOP}:1.0"],
        ["images[0]", "side:e1"],
    ]


# The corpus. What is in it is found here by PyYAML and on its own terms, so that what the code
# under test doesn't find is missed.

VERSION = re.compile(
    r"v?\d+(\.\d+)+[\w.-]*|[\w./-]+(:\d+/[\w./-]+)?:[\w.-]*\d[\w.-]*(@sha256:\w{64})?"
)
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True)
class Known:
    """A place of a kustomization that names a version, as PyYAML sees it."""

    key: str
    text: str

    @property
    def name(self) -> str:
        """The image, without its version."""
        return re.sub(r"(:[^:/@]*)?(@sha256:\w+)?$", "", self.text)


@cache
def kustomizations() -> list[tuple[str, bytes, dict[str, Any]]]:
    """The files of the corpus that are YAML and may have such places, with their data."""
    return list(_kustomizations())


def _kustomizations() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    for folder in ("kustomize-images", "kustomize-noimages"):
        for file in sorted((shared("corpus") / folder).iterdir()):
            content = file.read_bytes()
            if not re.search(rb"patch|helmChart|literals", content):
                continue
            try:
                data = next(iter(yaml.safe_load_all(content.decode().replace("\t", " "))))
            except yaml.YAMLError:
                continue
            yield f"{folder}/{file.name}", content, data


def patched(data: dict[str, Any]) -> Iterator[Known]:
    """The images of inline patches."""
    for field in ("patches", "patchesStrategicMerge", "patchesJson6902"):
        for number, item in enumerate(data.get(field) or []):
            text = item if isinstance(item, str) else item.get("patch")
            key = f"{field}[{number}]" + ("" if isinstance(item, str) else ".patch")
            if not isinstance(text, str) or (isinstance(item, str) and "\n" not in text):
                continue
            for found in yaml.safe_load_all(text):
                for operation in found if isinstance(found, list) else []:
                    value = operation.get("value")
                    if operation["op"] != "test" and operation["path"].endswith("/image"):
                        yield Known(key, value)
                    elif isinstance(value, dict) and "image" in value:
                        yield Known(key, value["image"])
                yield from (Known(key, image) for image in container_images(found))


def container_images(data: object) -> Iterator[str]:
    """The images of containers at any depth."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name in CONTAINERS and isinstance(value, list):
                yield from (item["image"] for item in value if item.get("image"))
            yield from container_images(value)
    elif isinstance(data, list):
        for item in data:
            yield from container_images(item)


def named_by_values(data: object, key: str) -> Iterator[Known]:
    """The blocks of a repository and a tag in a chart's values."""
    if isinstance(data, dict):
        name, tag = (data.get("repository"), data.get("tag"))
        if isinstance(name, str) and isinstance(tag, str):
            registry = f"{data['registry']}/" if data.get("registry") else ""
            yield Known(f"{key}.tag", f"{registry}{name}:{tag}")
        for inner, value in data.items():
            escaped = inner.replace(".", "\\.")
            if inner == "image" and isinstance(value, str) and ":" in value:
                yield Known(f"{key}.image", value)
            yield from named_by_values(value, f"{key}.{escaped}")
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from named_by_values(value, f"{key}[{number}]")


def set_in(content: bytes, item: str, key: str = "") -> bytes:
    """The bytes of a file after a promotion."""
    document = Document.parse(content, OVERLAY)
    return kustomize.KIND.set_image(document, parse_image(item), key, Around()).document.encode()


def test_every_image_of_an_inline_patch_in_the_corpus(record_property: Record) -> None:
    counts: Counter[str] = Counter()
    for name, content, data in kustomizations():
        entries = [entry["name"] for entry in data.get("images") or []]
        for image in dict.fromkeys(known.name for known in patched(data)):
            texts = [known.text for known in patched(data) if known.name == image]
            if image in entries:
                counts["images that an entry overrides"] += 1
                continue
            if set(texts) == {image}:
                counts["images without a version, which get an entry"] += 1
                assert b"images" in set_in(content, f"{image}:v9.9.9-test")
                continue
            edited = set_in(content, f"{image}:v9.9.9-test")
            expected = content
            for text in texts:
                expected = expected.replace(text.encode(), f"{image}:v9.9.9-test".encode())
            assert edited == expected != content, (name, image)
            (text,) = set(texts)
            assert set_in(edited, text) == content
            counts["images"] += 1
    record_property("counts:inline patches", dict(counts))
    assert counts["images"] >= 1


def test_every_chart_in_the_corpus(record_property: Record) -> None:
    counts: Counter[str] = Counter()
    for name, content, data in kustomizations():
        for number, chart in enumerate(data.get("helmCharts") or []):
            counts["charts"] += 1
            key = f"helmCharts[{number}]"
            repository = chart.get("repo", "").partition("://")[2].strip("/")
            chart_of = f"{repository}/{chart['name']}" if repository else chart["name"]
            if "version" in chart:
                edited = set_in(content, f"{chart_of}:99.0.0", f"{key}.version")
                assert edited.count(b"99.0.0") == 1, name
                back = set_in(edited, f"{chart_of}:{chart['version']}", f"{key}.version")
                assert back == content, name
                assert not repository or b"99.0.0" in set_in(content, f"{chart_of}:99.0.0")
                counts["versions of charts"] += 1
            for known in named_by_values(chart.get("valuesInline"), f"{key}.valuesInline"):
                image, version = known.name, known.text.removeprefix(f"{known.name}:")
                edited = set_in(content, f"{image}:v9.9.9-test", known.key)
                assert edited.count(b"v9.9.9-test") == 1, (name, known)
                assert set_in(edited, f"{image}:{version}", known.key) == content
                counts["images in valuesInline"] += 1
    record_property("counts:helmCharts", dict(counts))
    assert counts["charts"] >= 1


def test_every_literal_of_the_corpus_that_is_a_version(record_property: Record) -> None:
    counts: Counter[str] = Counter()
    for name, content, data in kustomizations():
        for number, generator in enumerate(data.get("configMapGenerator") or []):
            for item, literal in enumerate(generator.get("literals") or []):
                value = str(literal).partition("=")[2]
                if not VERSION.fullmatch(value):
                    counts["other literals"] += 1
                    continue
                key = f"configMapGenerator[{number}].literals[{item}]"
                known = Known(key, value)
                image = known.name if known.name != value else "shop"
                old = value.removeprefix(f"{image}:")
                edited = set_in(content, f"{image}:v9.9.9-test", key)
                assert edited.count(b"v9.9.9-test") == 1, (name, literal)
                assert set_in(edited, f"{image}:{old}", key) == content, (name, literal)
                counts["versions"] += 1
    record_property("counts:literals", dict(counts))


def test_every_file_of_the_corpus_says_what_runs(record_property: Record) -> None:
    counts: Counter[str] = Counter()
    for name, content, data in kustomizations():
        try:
            found = kustomize.KIND.running(Document.parse(content, OVERLAY), "", ())
        except PromoteError:
            counts["refused"] += 1
            continue
        texts = {str(one.reference) for one in found}
        entries = {entry["name"] for entry in data.get("images") or []}
        for known in patched(data):
            if known.name != known.text and known.name not in entries:
                assert known.text in texts, (name, known)
                counts["images of patches"] += 1
        counts["files"] += 1
    record_property("counts:running", dict(counts))


# What stands beside an overlay.


IN_FILE = "\n".join(line[4:] for line in MERGE.partition("# ours\n")[2].split("\n"))
FILE, INLINE_PATCH = "- path: p.yaml\n", SECOND.replace("1.1", "p1")
LABEL = "patch.spec.template.spec.containers[0].image"


@pytest.mark.parametrize(
    ("patches", "patch", "images", "said"),
    [
        (FILE, IN_FILE, [f"{SHOP}:NEW", "side:0"], "without effect: kustomize applies this"),
        (INLINE_PATCH + FILE, IN_FILE, [f"{SHOP}:1.0", "side:0"], f"after `patches[0].{LABEL}` ("),
        (
            INLINE_PATCH + FILE,
            IN_FILE.replace(SHOP, "other"),
            ["other:1.0", "side:0"],
            f"after `patches[0].{LABEL}` (line 15), which has no effect there.",
        ),
        (
            FILE + INLINE_PATCH,
            IN_FILE,
            [f"{SHOP}:NEW", "side:0"],
            f"without effect: kustomize applies `patches[1].{LABEL}` after it.",
        ),
        (
            FILE + INLINE_PATCH,
            IN_FILE.replace("c0", "c1"),
            [f"{SHOP}:NEW", f"{SHOP}:1.0"],
            "too, and was left as it is.",
        ),
    ],
)
def test_a_file_of_patches(
    patches: str, patch: str, images: list[str], said: str, build: Build
) -> None:
    files = files_of(f"{HEAD}patches:\n{patches}", o__p=patch)

    found = plan(files, f"{SHOP}:NEW")

    assert images_in(build({**files, **found.files})) == images
    (warning,) = found.warnings
    assert warning.startswith(f"{OVERLAY}: o/p.yaml (line 10) sets `")
    assert said in warning


def test_a_file_of_replacements_over_images(build: Build) -> None:
    files = files_of(
        f"{HEAD}{LITERAL}replacements:\n- path: r.yaml\n{ENTRY}",
        o__r=REPLACED_TAG.removeprefix("replacements:\n"),
    )

    found = plan(files, f"{SHOP}:NEW")

    assert images_in(build({**files, **found.files})) == [f"{SHOP}:l1", "side:0"]
    (warning,) = found.warnings
    assert warning.startswith(f"{OVERLAY}: `o/r.yaml` (line 4) writes")
    assert warning.endswith("Promote `#configMapGenerator[0].literals[1]` with it.")


def test_what_a_replacement_has_from_elsewhere() -> None:
    text = HEAD + REPLACED.replace("ConfigMap", "Secret").replace("c0", "c7") + ENTRY

    (warning,) = plan(files_of(text), f"{SHOP}:NEW").warnings

    assert "from what it reads elsewhere" in warning
    assert f"which counts if that is `{SHOP}`" in warning


def test_a_label_that_goes_into_selectors() -> None:
    found = plan(
        files_of(f"{HEAD}commonLabels: {{version: v1}}\n"), f"{SHOP}:v2", "o#commonLabels.version"
    )

    (warning,) = found.warnings
    assert "selectors" in warning


def test_a_server_that_fails_is_not_taken_for_a_file_that_is_missing() -> None:
    text = f"{HEAD}components: [../c]\n{ENTRY}"
    snapshot = Memory(files_of(text, c__kustomization=COMPONENT))

    def read(path: str) -> Document:
        if path.startswith("c/"):
            raise RetryableError("The server is gone.")
        return snapshot.parse(path)

    with pytest.raises(RetryableError):
        Layers(snapshot, read).warnings(OVERLAY, read(OVERLAY), parse_image(f"{SHOP}:2"))


JOBS = """\
- patch: |
    apiVersion: kubeflow.org/v1
    kind: PyTorchJob
    metadata: {name: train}
    spec:
      Master: {template: {spec: {containers: [{name: pytorch, image: "SHOP:0"}]}}}
      Worker: {template: {spec: {containers: [{name: pytorch, image: "SHOP:0"}]}}}
""".replace("SHOP", SHOP)
JOB = """\
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: train}
spec: {image: none}
"""


def test_containers_of_one_name_in_two_lists_are_two(build: Build) -> None:
    text = f"resources: [job.yaml]\npatches:\n{JOBS}"
    files = files_of(text, o__job=JOB)

    found = plan(files, f"{SHOP}:2")

    assert found.files[OVERLAY].decode() == text.replace(f"{SHOP}:0", f"{SHOP}:2")
    assert build({**files, **found.files}).count(f"image: {SHOP}:2") == 2
    assert found.warnings == ()


def test_a_field_that_images_does_not_reach_is_promoted_itself(build: Build) -> None:
    entry = f"images:\n- name: {SHOP}\n  newTag: '0'\n"
    patch = f"patches:\n- target: {{kind: PyTorchJob}}\n  patch: |\n    - op: replace\n      path: /spec/image\n      value: {SHOP}:0\n"  # noqa: E501
    files = files_of(f"resources: [job.yaml]\n{entry}{patch}", o__job=JOB)

    found = plan(files, f"{SHOP}:2")

    assert f"image: {SHOP}:2" in build({**files, **found.files})
    assert "without effect" not in " ".join(found.warnings)


def test_an_empty_literal_gets_no_tag_for_a_name() -> None:
    text = HEAD + "configMapGenerator:\n- name: c\n  literals: [IMAGE=]\n"

    with pytest.raises(PromoteError, match="holds a literal"):
        promote(text, f"{SHOP}:2", "configMapGenerator[0].literals.IMAGE")


def test_hundreds_of_replacements_take_no_time() -> None:
    generators = "".join(f"- {{name: c{n}, literals: [TAG=1]}}\n" for n in range(400))
    replacements = "".join(
        f"- source: {{kind: ConfigMap, name: c{n}, fieldPath: data.TAG}}\n"
        "  targets: [{select: {kind: Deployment}, fieldPaths: [spec.image]}]\n"
        for n in range(400)
    )
    text = f"{HEAD}configMapGenerator:\n{generators}replacements:\n{replacements}"
    start = time.monotonic()

    promote(text, f"{SHOP}:2")

    assert time.monotonic() - start < 20
