"""Kustomizations: every image of the corpus, kustomize's own cases, and kustomize itself."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import SHARED, shared
from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import Image, parse_image
from gitops_promote.core.kinds import kustomize
from gitops_promote.core.yaml.document import Document

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER_DIGEST = "sha256:" + "fedcba9876543210" * 4
NEW = "v9.9.9-test"
ALONE: frozenset[str] = frozenset()
PARTS = 8

Record = Callable[[str, object], None]
Kustomize = Callable[[Path], str]


def promote(text: str, item: str) -> str:
    """The text after a promotion."""
    document = Document.parse(text.encode(), "kustomization.yaml")
    return kustomize.set_image(document, parse_image(item), ALONE).document.text


def edit(content: bytes, image: Image) -> bytes:
    """The bytes of a file after a promotion."""
    document = Document.parse(content, "kustomization.yaml")
    return kustomize.set_image(document, image, ALONE).document.encode()


@pytest.fixture
def build(tool: Callable[[str], str], tmp_path: Path) -> Kustomize:
    """Run the real kustomize on a folder; what comes back is its output and its error."""
    kubectl = tool("kubectl")
    # Remote resources of real files are not to be fetched: no git is found, no proxy answers.
    offline = {"PATH": "", "HOME": str(tmp_path)} | dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
    )

    def run(folder: Path) -> str:
        result = subprocess.run(
            [kubectl, "kustomize", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env=offline,
        )
        return result.stdout + result.stderr

    return run


# The corpus. Its images are found here by PyYAML and on their own terms, so that what the code
# under test doesn't find is missed.


@dataclass(frozen=True)
class Found:
    """All entries of one name: their scalars by key, and what the first of them say."""

    name: str
    scalars: list[dict[str, yaml.ScalarNode]]

    @property
    def values(self) -> dict[str, str]:
        """The keys that are promoted, with what they hold."""
        held = {key: node.value for key, node in self.scalars[0].items() if node.value}
        versions = {key: value for key, value in held.items() if key in ("newTag", "digest")}
        return versions or {key: value for key, value in held.items() if key == "newName"}

    def image(self, values: dict[str, str]) -> Image:
        """The promotion that writes these values."""
        tag, _, digest = values.get("newTag", "").partition("@")
        return Image(
            self.name,
            values.get("newName"),
            tag or None,
            digest or values.get("digest") or None,
        )

    def new_values(self) -> dict[str, str]:
        """Others, of the same shape."""
        combined = "@" in self.values.get("newTag", "")
        new = {
            "newTag": f"{NEW}@{DIGEST}" if combined else NEW,
            "digest": DIGEST,
            "newName": "ghcr.io/acme/new-name",
        }
        return {key: new[key] for key in self.values}


def scalars_of(item: yaml.Node) -> dict[str, yaml.ScalarNode]:
    """The scalars of an entry; of a duplicate key the last counts."""
    pairs = item.value if isinstance(item, yaml.MappingNode) else []
    return {key.value: value for key, value in pairs if isinstance(value, yaml.ScalarNode)}


def images_of(text: str) -> Iterator[Found]:
    """The images of a kustomization, as PyYAML reads it."""
    # PyYAML refuses tabs that parted tokens; go-yaml takes them.
    root = next(iter(yaml.compose_all(text.replace("\t", " "))))
    assert isinstance(root, yaml.MappingNode)
    # `imageTags` is the old name of `images`; kustomize takes both, and of each the last.
    lists = {key.value: value for key, value in root.value if key.value in ("images", "imageTags")}
    items = [item for images in lists.values() for item in images.value]
    entries = sorted(
        (scalars for item in items if "name" in (scalars := scalars_of(item))),
        key=lambda scalars: str(scalars["name"].value),
    )
    for name, group in groupby(entries, key=lambda scalars: str(scalars["name"].value)):
        yield Found(name, list(group))


def is_number(node: yaml.ScalarNode) -> bool:
    """Whether some reader takes a scalar for a number; Python reads `8e29825` as go-yaml does."""
    if node.style:
        return False
    try:
        float(node.value)
    except ValueError:
        return bool(node.tag != "tag:yaml.org,2002:str")
    return True


def check_bytes(before: str, after: str, found: Found, new: dict[str, str]) -> None:
    """Nothing but the scalars' spans differs, and they hold the new values."""
    nodes = [(scalars[key], new[key]) for scalars in found.scalars for key in new]
    nodes.sort(key=lambda pair: pair[0].start_mark.index)
    pattern, position = "", 0
    for node, _ in nodes:
        pattern += re.escape(before[position : node.start_mark.index]) + r"([^\r\n]+)"
        position = node.end_mark.index
    match = re.fullmatch(pattern + re.escape(before[position:]), after)
    assert match, found.name
    assert [yaml.safe_load(text) for text in match.groups()] == [value for _, value in nodes]
    quotes = [node.style or "" for node, _ in nodes]
    assert [text[0] if text[0] in "'\"" else "" for text in match.groups()] == quotes


def check_added(content: bytes, found: Found) -> None:
    """An entry that sets nothing yet gets a version, and nothing else changes."""
    edited = edit(content, Image(found.name, tag=NEW))
    (after,) = (other for other in images_of(edited.decode()) if other.name == found.name)
    assert [scalars["newTag"].value for scalars in after.scalars] == [NEW] * len(found.scalars)
    assert len(found.scalars) > 1 or is_one_insertion(content, edited)


def check_there_and_back(content: bytes, found: Found, counts: Counter[str]) -> None:
    """Promote an image, and promote it back."""
    new = found.new_values()
    if not new:
        check_added(content, found)
        counts["images without a version, added"] += 1
        return
    edited = edit(content, found.image(new))
    check_bytes(content.decode(), edited.decode(), found, new)
    back = edit(edited, found.image(found.values))
    scalars = [scalars[key] for scalars in found.scalars for key in new]
    if any(map(is_number, scalars)):
        # kustomize refuses a number; a version is always written as a string.
        assert back == edit(content, found.image(found.values)) != content
        counts["was no string, comes back quoted"] += 1
    else:
        assert back == content, found.name
    counts["images"] += 1
    counts["entries"] += len(found.scalars)
    counts["scalars"] += len(scalars)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_image_of_the_corpus(part: int, record_property: Record) -> None:
    counts: Counter[str] = Counter()
    for file in sorted((shared("corpus") / "kustomize-images").iterdir())[part::PARTS]:
        content = file.read_bytes()
        try:
            images = list(images_of(content.decode()))
        except yaml.YAMLError:
            counts["refused"] += 1
            continue
        if refusal(content):
            # `test_refuses_a_file_only_where_kustomize_does` says why.
            counts["refused"] += 1
            continue
        for found in images:
            check_there_and_back(content, found, counts)
        counts["files"] += 1
    assert counts["files"] > 40
    record_property("counts:kustomize-images", dict(counts))


def refusal(content: bytes) -> PromoteError | None:
    """Why a file, or an image in it, is refused."""
    try:
        for entry in kustomize.entries(Document.parse(content, "kustomization.yaml")):
            edit(content, Image(entry.name, tag=NEW))
    except PromoteError as error:
        return error
    return None


def test_refuses_a_file_only_where_kustomize_does(
    build: Kustomize, tmp_path: Path, record_property: Record
) -> None:
    refused = 0
    for file in sorted((shared("corpus") / "kustomize-images").iterdir()):
        content = file.read_bytes()
        error = refusal(content)
        if error is None:
            continue
        (tmp_path / "kustomization.yaml").write_bytes(content)
        theirs = build(tmp_path).strip()
        # The file itself, not a resource of it that isn't here.
        reasons = r"error: invalid Kustomization: (yaml:|json: cannot unmarshal .*newTag)"
        assert re.match(reasons, theirs), (file.name, theirs)
        record_property("figure", f"refused {file.name}:{error.line}: {error.what} {theirs}")
        refused += 1
    assert refused == 6


def test_lists_what_comes_back_quoted(record_property: Record) -> None:
    for file in sorted((shared("corpus") / "kustomize-images").iterdir()):
        try:
            images = list(images_of(file.read_text("utf-8")))
        except yaml.YAMLError:
            continue
        numbers = [
            f"{found.name} {key}: {scalars[key].value}"
            for found in images
            for scalars in found.scalars
            for key in found.values
            if is_number(scalars[key])
        ]
        if numbers:
            record_property("figure", f"comes back quoted in {file.name}: {', '.join(numbers)}")


@pytest.mark.parametrize("part", range(PARTS))
def test_every_file_without_images_gets_them(
    part: int, build: Kustomize, tmp_path: Path, record_property: Record
) -> None:
    counts: Counter[str] = Counter()
    image = Image("ghcr.io/acme/shop", tag="1.10")
    for file in sorted((shared("corpus") / "kustomize-noimages").iterdir())[part::PARTS]:
        content = file.read_bytes()
        (tmp_path / "kustomization.yaml").write_bytes(content)
        before = build(tmp_path)
        counts["files"] += 1
        try:
            edited = edit(content, image)
        except PromoteError as error:
            assert "invalid Kustomization" in before or "empty" in before, (file.name, before)
            counts["refused, as by kustomize"] += 1
            record_property(
                "figure", f"refused {file.name}:{error.line}: {error.what} {before.strip()}"
            )
            continue
        assert is_one_insertion(content, edited), file.name
        data = first_document(edited)
        assert data.pop("images") == [{"name": "ghcr.io/acme/shop", "newTag": "1.10"}]
        assert data == first_document(content)
        (tmp_path / "kustomization.yaml").write_bytes(edited)
        assert build(tmp_path) == before, file.name
        counts["read by kustomize as before" if "invalid" in before else "accepted"] += 1
    record_property("counts:kustomize-noimages", dict(counts))


def first_document(content: bytes) -> dict[str, Any]:
    """The data that kustomize reads of a file."""
    data: dict[str, Any] = next(iter(yaml.safe_load_all(content.decode().replace("\t", " "))))
    return data


def is_one_insertion(before: bytes, after: bytes) -> bool:
    """Whether one text is another with something put in at one place."""
    start = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before)
    )
    return len(after) > len(before) and after.endswith(before[start:])


# kustomize's own cases.


def peer_cases() -> list[dict[str, Any]]:
    """The published cases of `kustomize edit set image`; none in a clone without them."""
    file = SHARED / "peers" / "kustomize-set-image.json"
    cases: list[dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.is_file() else []
    return cases


def by_name(text: str) -> dict[str, dict[str, str]]:
    """The images of a kustomization, as data."""
    images = yaml.safe_load(text)["images"]
    return {image["name"]: image for image in images}


@pytest.mark.parametrize("case", peer_cases(), ids=lambda case: case["description"])
def test_peers_cases(case: dict[str, Any]) -> None:
    text = "\n".join(case["images_before"] or ["resources: []"]) + "\n"
    if case["error"]:
        # `no args` is an empty `images`, which the inputs refuse; the other has nothing to set.
        with pytest.raises((PromoteError, UsageError)):
            promote(text, (case["args"] or [""])[0])
        return
    for item in case["args"]:
        text = promote(text, item)
    assert by_name(text) == by_name("\n".join(case["expected_images"]))


def test_peers_cases_are_there() -> None:
    shared("peers")
    assert len(peer_cases()) == 25


# The forms, one by one, each built by kustomize.

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  template:
    spec:
      containers:
      - name: shop
        image: shop:old
      - name: side
        image: side:old
"""
HEAD = "resources:\n- deployment.yaml\n"
TAGGED = f"{HEAD}images:\n- name: shop\n  newTag: v1 # set by CI\n- name: side\n  newTag: s1\n"
DIGESTED = f"{HEAD}images:\n# ours\n- name: shop\n  digest: {OTHER_DIGEST}\n"
BOTH = f"{HEAD}images:\n- name: shop\n  newTag: v1\n  digest: {OTHER_DIGEST} # pinned\n"
BOTH_FIRST = f"{HEAD}images:\n- digest: {OTHER_DIGEST}\n  name: shop\n  newTag: v1\n"
FLOW = f"{HEAD}images: [{{name: side, newTag: s1}}, {{name: shop, newTag: v1}}] # all\n"
JSON = """\
{
  "resources": ["deployment.yaml"],
  "images": [
    {
      "name": "shop",
      "newTag": "v1"
    }
  ]
}
"""
NO_IMAGES = f"{HEAD}# the end\n"

FORMS = {
    "tag": (TAGGED, "shop:v2", TAGGED.replace("v1", "v2"), "shop:v2"),
    "tag to digest": (
        TAGGED,
        f"shop@{DIGEST}",
        TAGGED.replace("newTag: v1", f"digest: {DIGEST}"),
        f"shop@{DIGEST}",
    ),
    "tag to both": (
        TAGGED,
        f"shop:v2@{DIGEST}",
        TAGGED.replace("v1 # set by CI", f"v2 # set by CI\n  digest: {DIGEST}"),
        f"shop:v2@{DIGEST}",
    ),
    "digest to tag": (
        DIGESTED,
        "shop:v2",
        DIGESTED.replace(f"digest: {OTHER_DIGEST}", "newTag: v2"),
        "shop:v2",
    ),
    "digest": (
        DIGESTED,
        f"shop@{DIGEST}",
        DIGESTED.replace(OTHER_DIGEST, DIGEST),
        f"shop@{DIGEST}",
    ),
    "both to tag": (
        BOTH,
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: v2\n",
        "shop:v2",
    ),
    "both to tag, digest first": (
        BOTH_FIRST,
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: v2\n",
        "shop:v2",
    ),
    "both to tag, no final newline": (
        BOTH.rstrip("\n"),
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: v2",
        "shop:v2",
    ),
    "both to digest": (
        BOTH,
        f"shop@{DIGEST}",
        f"{HEAD}images:\n- name: shop\n  digest: {DIGEST} # pinned\n",
        f"shop@{DIGEST}",
    ),
    "digest first, new name, to tag, no final newline": (
        f"{HEAD}images:\n- newTag: v1\n  name: shop\n  digest: {OTHER_DIGEST}",
        "shop=other:v2",
        f"{HEAD}images:\n- newTag: v2\n  name: shop\n  newName: other",
        "other:v2",
    ),
    "a tag that carries the digest": (
        f"{HEAD}images:\n- name: shop\n  newTag: v1@{OTHER_DIGEST}\n",
        f"shop:v2@{DIGEST}",
        f"{HEAD}images:\n- name: shop\n  newTag: v2@{DIGEST}\n",
        f"shop:v2@{DIGEST}",
    ),
    "a tag that carries the digest, to a digest": (
        f"{HEAD}images:\n- name: shop\n  newTag: v1@{OTHER_DIGEST}\n",
        f"shop@{DIGEST}",
        f"{HEAD}images:\n- name: shop\n  digest: {DIGEST}\n",
        f"shop@{DIGEST}",
    ),
    "new name": (
        TAGGED,
        "shop=ghcr.io/acme/shop:v2",
        TAGGED.replace("- name: shop\n", "- name: shop\n  newName: ghcr.io/acme/shop\n").replace(
            "v1", "v2"
        ),
        "ghcr.io/acme/shop:v2",
    ),
    "a tag that reads as a number": (
        TAGGED,
        "shop:1.10",
        TAGGED.replace("v1", '"1.10"'),
        "shop:1.10",
    ),
    "single quotes": (
        TAGGED.replace("v1", "'v1'"),
        "shop:v2",
        TAGGED.replace("v1", "'v2'"),
        "shop:v2",
    ),
    "flow style": (FLOW, "shop:v2", FLOW.replace("v1", "v2"), "shop:v2"),
    "flow style, tag to both": (
        FLOW,
        f"shop:v2@{DIGEST}",
        FLOW.replace("v1", f"v2, digest: {DIGEST}"),
        f"shop:v2@{DIGEST}",
    ),
    "flow style, both to tag": (
        FLOW.replace("v1", f"v1, digest: {DIGEST}"),
        "shop:v2",
        FLOW.replace("v1", "v2"),
        "shop:v2",
    ),
    "flow style, added": (
        FLOW.replace(", {name: shop, newTag: v1}", ""),
        "shop:v2",
        FLOW.replace("v1", "v2"),
        "shop:v2",
    ),
    "flow style, one line each": (
        f"{HEAD}images: [\n  {{name: a, newTag: v1}}, # one\n  {{name: side, newTag: s1}},\n]\n",
        "shop:v2",
        (
            f"{HEAD}images: [\n  {{name: a, newTag: v1}}, # one\n  {{name: side, newTag: s1}}, "
            "{name: shop, newTag: v2},\n]\n"
        ),
        "shop:v2",
    ),
    "JSON": (JSON, "shop:v2", JSON.replace("v1", "v2"), "shop:v2"),
    "JSON, tag to both": (
        JSON,
        f"shop:v2@{DIGEST}",
        JSON.replace('"v1"', f'"v2",\n      "digest": "{DIGEST}"'),
        f"shop:v2@{DIGEST}",
    ),
    "JSON, added": (
        JSON.replace("shop", "side"),
        "shop:v2",
        JSON.replace("shop", "side").replace(
            "    }\n", '    }, {"name": "shop", "newTag": "v2"}\n'
        ),
        "shop:v2",
    ),
    "JSON, no images": (
        '{"resources": ["deployment.yaml"]}',
        "shop:v2",
        '{"resources": ["deployment.yaml"], "images": [{"name": "shop", "newTag": "v2"}]}',
        "shop:v2",
    ),
    "added": (
        TAGGED.replace("name: shop", "name: other"),
        "shop:v2",
        TAGGED.replace("name: shop", "name: other") + "- name: shop\n  newTag: v2\n",
        "shop:v2",
    ),
    "added in the entries' style": (
        (
            f"{HEAD}images:\n  -  newTag: 'v1'\n     name: other\n\n  -  newTag: 's1'\n"
            "     name: side # last\n\n# the end\n"
        ),
        "shop:v2",
        (
            f"{HEAD}images:\n  -  newTag: 'v1'\n     name: other\n\n  -  newTag: 's1'\n"
            "     name: side # last\n\n  -  newTag: 'v2'\n     name: shop\n\n# the end\n"
        ),
        "shop:v2",
    ),
    "no images": (
        NO_IMAGES,
        f"shop=other:v2@{DIGEST}",
        f"{NO_IMAGES}images:\n- name: shop\n  newName: other\n  newTag: v2\n  digest: {DIGEST}\n",
        f"other:v2@{DIGEST}",
    ),
    "no images, indented lists": (
        "resources:\n  - deployment.yaml",
        "shop:v2",
        "resources:\n  - deployment.yaml\nimages:\n  - name: shop\n    newTag: v2",
        "shop:v2",
    ),
    "no images, a later document": (
        f"---\n{HEAD}\n---\nimages: []\n...\n",
        "shop:v2",
        f"---\n{HEAD}\nimages:\n- name: shop\n  newTag: v2\n---\nimages: []\n...\n",
        "shop:v2",
    ),
    "images null": (
        f"images: # none yet\n{HEAD}",
        "shop:v2",
        f"images: # none yet\n- name: shop\n  newTag: v2\n{HEAD}",
        "shop:v2",
    ),
    "images ~": (
        f"images: ~ # none yet\n{HEAD}",
        "shop:v2",
        f"images: # none yet\n- name: shop\n  newTag: v2\n{HEAD}",
        "shop:v2",
    ),
    "images []": (
        f"{HEAD}images: []",
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: v2",
        "shop:v2",
    ),
    "images [] in lines": (
        f"{HEAD}images: [ # none\n]\n",
        "shop:v2",
        f"{HEAD}images: [{{name: shop, newTag: v2}} # none\n]\n",
        "shop:v2",
    ),
    "images null, by an anchor": (
        f"{HEAD}images: &none\n",
        "shop:v2",
        f"{HEAD}images: &none [{{name: shop, newTag: v2}}]\n",
        "shop:v2",
    ),
    "images null, in JSON": (
        '{"images":null,"resources":["deployment.yaml"]}',
        "shop:v2",
        '{"images": [{"name": "shop", "newTag": "v2"}],"resources":["deployment.yaml"]}',
        "shop:v2",
    ),
    "images null, in another case": (
        f"Images: null\n{HEAD}",
        "shop:v2",
        f"Images:\n- name: shop\n  newTag: v2\n{HEAD}",
        "shop:v2",
    ),
    "an entry that is null": (
        f"{HEAD}images:\n-\n- name: shop\n  newTag: v1\n",
        "shop:v2",
        f"{HEAD}images:\n-\n- name: shop\n  newTag: v2\n",
        "shop:v2",
    ),
    "keys in another case": (
        f"{HEAD}Images:\n- Name: shop\n  newtag: v1\n",
        "shop:v2",
        f"{HEAD}Images:\n- Name: shop\n  newtag: v2\n",
        "shop:v2",
    ),
    "one key in two cases": (
        f"{HEAD}images:\n- newtag: v1\n  newTag: v0\n  name: shop\n",
        "shop:v2",
        f"{HEAD}images:\n- newtag: v2\n  newTag: v0\n  name: shop\n",
        "shop:v2",
    ),
    "the old name of images": (
        TAGGED.replace("images:", "imageTags:"),
        "shop:v2",
        TAGGED.replace("images:", "imageTags:").replace("v1", "v2"),
        "shop:v2",
    ),
    "images by both names": (
        f"{TAGGED}imageTags:\n- name: shop\n  newTag: v1\n",
        "shop:v2",
        f"{TAGGED}imageTags:\n- name: shop\n  newTag: v1\n".replace("v1", "v2"),
        "shop:v2",
    ),
    "images twice": (
        f"{TAGGED}images:\n- name: shop\n  newTag: v3\n",
        "shop:v2",
        f"{TAGGED}images:\n- name: shop\n  newTag: v2\n",
        "shop:v2",
    ),
    "newTag twice": (
        f"{HEAD}images:\n- name: shop\n  newTag: v0\n  newTag: v1\n",
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: v0\n  newTag: v2\n",
        "shop:v2",
    ),
    "an image twice": (
        f"{HEAD}images:\n- name: shop\n  newTag: v0\n- name: shop\n  newTag: v1\n",
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: v2\n- name: shop\n  newTag: v2\n",
        "shop:v2",
    ),
    "an image twice, by one anchor": (
        f"{HEAD}images:\n- name: shop\n  newTag: &v v0\n- name: shop\n  newTag: *v\n",
        "shop:v2.0.0",
        f"{HEAD}images:\n- name: shop\n  newTag: &v v2.0.0\n- name: shop\n  newTag: *v\n",
        "shop:v2.0.0",
    ),
    "one entry twice, by an alias": (
        f"{HEAD}images:\n- &a\n  name: shop\n  newTag: v0\n- *a\n",
        f"shop:v2@{DIGEST}",
        f"{HEAD}images:\n- &a\n  name: shop\n  newTag: v2\n  digest: {DIGEST}\n- *a\n",
        f"shop:v2@{DIGEST}",
    ),
    "found by its new name": (
        f"{HEAD}images:\n- name: shop\n  newName: ghcr.io/acme/shop\n  newTag: v1\n",
        "ghcr.io/acme/shop:v2",
        f"{HEAD}images:\n- name: shop\n  newName: ghcr.io/acme/shop\n  newTag: v2\n",
        "ghcr.io/acme/shop:v2",
    ),
    "a merge key": (
        f"{HEAD}images:\n- &base\n  name: side\n  newTag: v1\n- <<: *base\n  name: shop\n",
        "shop:v2",
        (
            f"{HEAD}images:\n- &base\n  name: side\n  newTag: v1\n- <<: *base\n  name: shop\n"
            "  newTag: v2\n"
        ),
        "shop:v2",
    ),
    "a list by an alias": (
        f"{HEAD}imageTags: &all\n- name: shop\n  newTag: v1\nimages: *all\n",
        "shop:v2",
        f"{HEAD}imageTags: &all\n- name: shop\n  newTag: v2\nimages: *all\n",
        "shop:v2",
    ),
    "tabs": (
        f"{HEAD}images:\n- name:\tshop\t# the shop\n  newTag:\tv1\t# set\n",
        "shop:v2",
        f"{HEAD}images:\n- name:\tshop\t# the shop\n  newTag:\tv2\t# set\n",
        "shop:v2",
    ),
    "tags": (
        f"{HEAD}images: !!seq\n- !!map\n  name: !!str shop\n  newTag: !!str 1.1\n",
        "shop:v2",
        f"{HEAD}images: !!seq\n- !!map\n  name: !!str shop\n  newTag: !!str v2\n",
        "shop:v2",
    ),
    "a block scalar": (
        f"{HEAD}images:\n- name: shop\n  newTag: >-\n    v1\n",
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: >-\n    v2\n",
        "shop:v2",
    ),
    "a null tag": (
        f"{HEAD}images:\n- name: shop\n  newTag: # to be set\n",
        "shop:v2",
        f"{HEAD}images:\n- name: shop\n  newTag: v2 # to be set\n",
        "shop:v2",
    ),
}


def overlay(folder: Path, content: bytes) -> Path:
    """An overlay with a Deployment of the images."""
    (folder / "deployment.yaml").write_text(DEPLOYMENT)
    (folder / "kustomization.yaml").write_bytes(content)
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str, build: Kustomize, tmp_path: Path) -> None:
    before, item, after, runs = FORMS[form]
    assert promote(before, item) == after
    assert f"image: {runs}\n" in build(overlay(tmp_path, after.encode()))
    assert promote(after, item) == after


@pytest.mark.parametrize(
    ("newline", "bom", "encoding"),
    [
        ("\r\n", "", "utf-8"),
        ("\r", "", "utf-8"),
        ("\n", "\ufeff", "utf-8"),
        ("\r\n", "\ufeff", "utf-16-le"),
        ("\n", "\ufeff", "utf-16-be"),
    ],
)
@pytest.mark.parametrize("form", ["tag", "tag to both", "both to tag", "added", "no images"])
def test_encodings_and_line_ends(
    form: str, newline: str, bom: str, encoding: str, build: Kustomize, tmp_path: Path
) -> None:
    before, item, after, runs = FORMS[form]
    content, meant = (
        (bom + text.replace("\n", newline)).encode(encoding) for text in (before, after)
    )
    edited = edit(content, parse_image(item))
    assert edited == meant
    assert f"image: {runs}\n" in build(overlay(tmp_path, edited))


# What kustomize runs would not be what was meant, or other images would change along.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{HEAD}images:\n- name: side\n  newTag: &v v1\n- name: shop\n  newTag: *v\n", "`side`"),
        (f"{HEAD}images:\n- name: shop\n  newTag: &v v1\n- name: side\n  newTag: *v\n", "`side`"),
        (
            f"{HEAD}images:\n- &shop\n  name: shop\n  newTag: v1\n- <<: *shop\n  name: side\n",
            "`side`",
        ),
        (
            (
                f"{HEAD}images:\n- &side\n  name: side\n  newTag: v1\n"
                "- name: shop\n  newTag: v1\n  <<: *side\n  name: shop\n"
            ),
            "merge key",
        ),
        (
            (
                f"{HEAD}images:\n- &side\n  name: side\n  digest: {DIGEST}\n"
                "- <<: *side\n  name: shop\n  newTag: v1\n"
            ),
            "merge key",
        ),
        (f"{HEAD}images:\n- name: shop\n  newTag: [v1]\n", "this is a sequence"),
        (f"{HEAD}images:\n- name: shop\n  newTag: !!float 1.1\n", "this is a tag:yaml.org"),
        (f"{HEAD}images:\n- name: shop\n  newTag: |\n    v1\n    v1\n", "several lines"),
        (f"{HEAD}images:\n- shop\n", "must be a mapping"),
        (f"{HEAD}images: shop\n", "must be a list"),
        (f"{HEAD}images: {{shop: v1}}\n", "must be a list"),
        ("# nothing\n", "empty"),
        ("", "empty"),
        ("---\n---\nimages: []\n", "empty"),
        ("- images\n", "empty"),
        ("images: [\n", "not valid YAML"),
    ],
)
def test_refusals_name_the_file_and_say_why(text: str, reason: str) -> None:
    with pytest.raises(PromoteError, match=re.escape(reason)) as caught:
        promote(text, "shop:v2")
    assert caught.value.where.startswith("kustomization.yaml")
    assert caught.value.fix


def test_images_that_share_a_tag_are_promoted_together() -> None:
    text = f"{HEAD}images:\n- name: shop\n  newTag: &v v1\n- name: side\n  newTag: *v\n"
    document = Document.parse(text.encode(), "kustomization.yaml")
    edited = kustomize.set_image(document, parse_image("shop:v2"), frozenset({"shop", "side"}))
    assert edited.document.text == text.replace("v1", "v2")


def test_an_anchor_before_a_digest_is_not_replaced() -> None:
    text = f"{HEAD}images:\n- name: shop\n  newTag: &v v1\n"
    with pytest.raises(PromoteError, match="an alias or an anchor"):
        promote(text, f"shop@{DIGEST}")


def test_reports_what_changed() -> None:
    document = Document.parse(TAGGED.encode(), "kustomization.yaml")
    (change,) = kustomize.set_image(document, parse_image("side:s2"), ALONE).changes
    assert (change.key, change.line, str(change.old), str(change.new)) == (
        "images[1]",
        7,
        "side:s1",
        "side:s2",
    )


def test_warns_of_an_image_that_has_two_entries() -> None:
    text = f"{HEAD}images:\n- name: shop\n  newTag: v0\n- name: shop\n  newTag: v1\n"
    document = Document.parse(text.encode(), "kustomization.yaml")
    (warning,) = kustomize.set_image(document, parse_image("shop:v2"), ALONE).warnings
    assert "2 entries named `shop`" in warning


def test_an_anchor_that_ties_a_name_to_its_new_name() -> None:
    text = "images:\n- {name: &n shop, newName: *n, newTag: v1}\n"
    document = Document.parse(text.encode(), "kustomization.yaml")
    with pytest.raises(PromoteError, match="ties `shop` to another value"):
        kustomize.set_image(document, parse_image("shop=x/shop:v2"), frozenset())


def test_an_anchor_outside_of_images_is_warned_of() -> None:
    text = "namePrefix: &v v1\nimages:\n- {name: shop, newTag: *v}\n"
    document = Document.parse(text.encode(), "kustomization.yaml")
    edited = kustomize.set_image(document, parse_image("shop:v2"), frozenset())
    assert edited.document.text == text.replace("v1", "v2")
    assert edited.warnings == ("the anchor `&v` also changes: `namePrefix` (line 1).",)
