"""What runs, read from every file of the corpus and from the forms that the corpus doesn't have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gitops_promote.core.change import Running
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Image, Reference, canonical_name
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.kinds.kustomize import entries
from gitops_promote.core.locate import Located, edit
from gitops_promote.core.running import find_places, in_effect, running
from gitops_promote.core.slots.values import slots
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import format_path
from memory import Memory

SHOP = "ghcr.io/acme/shop"
DIGEST = "sha256:" + "0123456789abcdef" * 4
NEW = "9.8.7-new"
Record = Callable[[str, object], None]


def read(text: str, *images: str, kind: str = "helm", key: str = "") -> tuple[Running, ...]:
    path = "kustomization.yaml" if kind == "kustomize" else "values.yaml"
    target = parse_target(f"{path}#{key}" if key else path)
    document = Document.parse(text.encode(), path)
    return running(Located(target, path, kind), document, images)


def versions(found: tuple[Running, ...]) -> list[str]:
    return [str(one.reference) for one in found]


# The corpus: what was promoted runs afterwards, and what was replaced ran before.


class Corpus:
    """Files of a kind, and each promotion that works on them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.counts: Counter[str] = Counter()

    def check(self, file: Path) -> None:
        try:
            document = Document.parse(file.read_bytes(), file.name)
            images = self.images(document)
        except PromoteError:
            self.counts["refused"] += 1
            return
        for name, key in images:
            self.check_image(document, name, key, frozenset(name for name, _ in images))
        self.check_whole(document)
        self.counts["files"] += 1

    def images(self, document: Document) -> list[tuple[str, str]]:
        """Names, each with a key where the name is not enough."""
        if self.kind == "kustomize":
            names = [name for e in entries(document) for name in (e.name, e.current.name)]
            return [(name, "") for name in dict.fromkeys(names)]
        found = [slot for slot in slots(document) if slot.current.name]
        places = Counter(canonical_name(slot.current.name) for slot in found)
        keyed = [
            (slot.current.name, format_path(slot.path))
            for slot in found
            if slot.path and places[canonical_name(slot.current.name)] > 1
        ]
        return list(dict.fromkeys([(slot.current.name, "") for slot in found] + keyed))

    def place(self, key: str) -> Located:
        return Located(parse_target(f"f.yaml#{key}" if key else "f.yaml"), "f.yaml", self.kind)

    def check_image(
        self, document: Document, name: str, key: str, together: frozenset[str]
    ) -> None:
        place = self.place(key)
        try:
            edited = edit(place, document, Image(name, None, NEW), Around(together))
        except PromoteError:
            self.counts["not promoted"] += 1
            return
        old = {change.key: (change.line, change.old) for change in edited.changes}
        new = {change.key: (change.line, change.new) for change in edited.changes}
        before = running(place, document, (name,))
        after = running(place, edited.document, (name,))
        # By aliases one mapping is several entries, and is told once.
        assert 0 < len(before) == len(after) <= len(new)
        assert [one.reference for one in before] == [old[one.key][1] for one in before]
        assert [(one.line, one.reference) for one in after] == [new[one.key] for one in after]
        assert all(one.reference.tag == NEW for one in after)
        self.counts["images"] += 1

    def check_whole(self, document: Document) -> None:
        """Without names there is all that has a version, each once."""
        found = running(self.place(""), document, ())
        places = [(one.key, one.reference) for one in found]
        if self.kind == "kustomize":
            known = {e.current for e in entries(document) if e.current.version}
        else:
            told = (slot for slot in slots(document) if not slot.filled)
            known = {slot.current for slot in told if slot.current.name and slot.current.version}
        assert len(set(places)) == len(places)
        assert {one.reference for one in found} == known
        self.counts["versions"] += len(found)


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("kind", ["kustomize", "helm"])
def test_what_was_promoted_runs_in_every_file_of_the_corpus(
    corpus: Path, kind: str, part: int, record_property: Record
) -> None:
    folder = corpus / {"kustomize": "kustomize-images", "helm": "helm-values"}[kind]
    checked = Corpus(kind)

    for file in sorted(folder.iterdir())[part::4]:
        checked.check(file)

    assert checked.counts["files"] > 80
    assert checked.counts["images"] > 80
    record_property(f"counts:running, {kind}", dict(checked.counts))


# The forms.

KUSTOMIZATION = f"""\
resources: [../../base]
images:
  - name: app
    newName: {SHOP}
    newTag: 1.2.3
  - name: redis
    digest: {DIGEST}
  - name: busybox
    newName: mirror/busybox
  - name: web
    newTag: "1@{DIGEST}"
"""


def test_the_entries_of_a_kustomization() -> None:
    assert read(KUSTOMIZATION, kind="kustomize") == (
        Running("app", "kustomization.yaml", 5, "images[0]", Reference(SHOP, "1.2.3")),
        Running("redis", "kustomization.yaml", 7, "images[1]", Reference("redis", "", DIGEST)),
        Running("web", "kustomization.yaml", 11, "images[3]", Reference("web", "1", DIGEST)),
    )


@pytest.mark.parametrize("names", [("app",), (SHOP,), (SHOP, "app"), ("nope", SHOP)])
def test_an_entry_is_found_by_its_name_or_its_new_one(names: tuple[str, ...]) -> None:
    assert versions(read(KUSTOMIZATION, *names, kind="kustomize")) == [f"{SHOP}:1.2.3"]


def test_names_are_told_in_the_order_of_the_file() -> None:
    found = read(KUSTOMIZATION, "web", "redis", "app", kind="kustomize")

    assert [one.image for one in found] == ["app", "redis", "web"]


def test_an_entry_that_is_asked_for_may_have_no_version() -> None:
    assert versions(read(KUSTOMIZATION, "busybox", kind="kustomize")) == ["mirror/busybox"]
    assert read(KUSTOMIZATION, "nope", kind="kustomize") == ()
    assert read("resources: [a]\n", kind="kustomize") == ()


def test_an_entry_by_an_alias_is_told_once_and_one_that_is_there_twice_twice() -> None:
    alias = "images:\n  - &a {name: a, newTag: '1'}\n  - *a\n"
    twice = "images:\n  - {name: a, newTag: '1'}\n  - {name: a, newTag: '2'}\n"

    assert versions(read(alias, kind="kustomize")) == ["a:1"]
    assert versions(read(twice, "a", kind="kustomize")) == ["a:1", "a:2"]


VALUES = f"""\
global: {{imageRegistry: ghcr.io}}
web:
  image: {{repository: acme/shop, tag: 1.2.3}}
worker:
  image:
    registry: docker.io
    repository: acme/worker
    tag: "2"
    digest: {DIGEST}
job:
  image: redis:7@{DIGEST}
cron:
  image: busybox
plain: {{repository: acme/none}}
version: 5.0.0
"""


def test_the_images_of_a_values_file() -> None:
    assert read(VALUES) == (
        Running(SHOP, "values.yaml", 3, "web.image", Reference(SHOP, "1.2.3")),
        Running(
            "docker.io/acme/worker",
            "values.yaml",
            8,
            "worker.image",
            Reference("docker.io/acme/worker", "2", DIGEST),
        ),
        Running("redis", "values.yaml", 11, "job.image", Reference("redis", "7", DIGEST)),
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (SHOP, f"{SHOP}:1.2.3"),
        ("acme/shop", f"{SHOP}:1.2.3"),
        ("acme/worker", f"docker.io/acme/worker:2@{DIGEST}"),
        ("docker.io/library/redis", f"redis:7@{DIGEST}"),
        ("ghcr.io/acme/none", "ghcr.io/acme/none"),
        ("busybox", None),
        ("nope", None),
    ],
)
def test_an_image_is_found_as_a_promotion_finds_it(name: str, found: str | None) -> None:
    assert versions(read(VALUES, name)) == ([found] if found else [])


def test_a_name_that_stands_in_two_places_is_ambiguous() -> None:
    text = "a:\n  image: {repository: x, tag: '1'}\nb:\n  image: {repository: x, tag: '2'}\n"

    with pytest.raises(PromoteError, match="`x` stands in 2 places"):
        read(text, "x")

    assert versions(read(text)) == ["x:1", "x:2"]
    assert versions(read(text, "x", key="b.image")) == ["x:2"]
    assert versions(read(text, "x", key="*.image")) == ["x:1", "x:2"]
    assert versions(read(text, key="*.image")) == ["x:1", "x:2"]


def test_what_is_there_again_by_an_anchor_is_told_once() -> None:
    alias = "a: &a {image: {repository: x, tag: '1'}}\nb: *a\n"
    merged = "a: &a {repository: x, tag: '1'}\nb: {<<: *a, repository: x}\n"
    shared = "a: {repository: x, tag: &v '1'}\nb: {repository: y, tag: *v}\n"

    assert versions(read(alias)) == ["x:1"]
    assert [one.key for one in read(merged)] == ["a"]
    assert versions(read(shared)) == ["x:1", "y:1"]


@pytest.mark.parametrize("names", [(), (SHOP,), ("nope", SHOP)])
@pytest.mark.parametrize("key", ["web.image", "web.image.tag", "web.image.repository", "*.image"])
def test_with_a_key_only_that_place_counts(key: str, names: tuple[str, ...]) -> None:
    found = read(VALUES, *names, key=key)

    assert found[0] == Running(SHOP, "values.yaml", 3, "web.image", Reference(SHOP, "1.2.3"))
    assert len(found) == (3 if "*" in key and not names else 1)


def test_a_place_that_names_no_image_is_called_as_it_is_asked_for() -> None:
    text = f"imageTag: 1.2.3\nshopDigest: {DIGEST}\n"

    assert versions(read(text, SHOP, "other", key="imageTag")) == [f"{SHOP}:1.2.3"]
    assert versions(read(text, SHOP, key="shopDigest")) == [f"{SHOP}@{DIGEST}"]
    assert versions(read(text, key="imageTag")) == [":1.2.3"]


def test_a_block_s_digest_alone_has_the_block_s_name() -> None:
    assert versions(read(VALUES, key="worker.image.digest")) == [f"docker.io/acme/worker@{DIGEST}"]


@pytest.mark.parametrize("names", [(), (SHOP,)])
@pytest.mark.parametrize("key", ["web.img", "nope.image", "cron", "plain.tag", "job[0]"])
def test_a_key_that_leads_to_no_version_finds_none(key: str, names: tuple[str, ...]) -> None:
    assert read(VALUES, *names, key=key) == ()


def test_another_image_is_not_what_a_key_is_for() -> None:
    assert read(VALUES, "acme/worker", key="web.image") == ()
    assert read(VALUES, "nope", key="*.image") == ()


def test_a_broken_file_is_an_error() -> None:
    with pytest.raises(PromoteError, match="must be a list"):
        read("images: x\n", kind="kustomize")
    with pytest.raises(PromoteError, match="is empty"):
        read("", "x", kind="kustomize")

    assert read("") == ()
    assert read("", "x", key="a.b") == ()


# The places.


def test_each_place_is_found_once_and_a_named_one_goes_before_a_match() -> None:
    memory = Memory(
        {
            "eu/dev/kustomization.yaml": KUSTOMIZATION,
            "us/dev/kustomization.yaml": KUSTOMIZATION,
            "values.yaml": VALUES,
        }
    )
    lines = ("*/dev", "eu/dev", "eu/dev/kustomization.yaml", "values.yaml#web", "values.yaml")
    targets = [parse_target(line) for line in lines]

    found = find_places(memory, targets)

    assert [(place.path, place.target.text) for place in found] == [
        ("eu/dev/kustomization.yaml", "eu/dev"),
        ("us/dev/kustomization.yaml", "*/dev"),
        ("values.yaml", "values.yaml#web"),
        ("values.yaml", "values.yaml"),
    ]


def test_a_file_that_is_read_already_is_not_read_again() -> None:
    memory = Memory({"dev/kustomization.yaml": KUSTOMIZATION})
    documents = {"dev/kustomization.yaml": memory.parse("dev/kustomization.yaml")}

    found = find_places(memory, [parse_target("dev")], documents.__getitem__)

    assert [place.kind for place in found] == ["kustomize"]
    assert memory.reads == []


def test_a_target_that_leads_nowhere_is_an_error() -> None:
    with pytest.raises(PromoteError, match="doesn't exist"):
        find_places(Memory({"a": ""}), [parse_target("nope")])


def test_what_a_values_file_says_in_vain_does_not_run() -> None:
    files = {
        "o/kustomization.yaml": "helmCharts: [{name: a, valuesFile: v.yaml}]\n"
        f"images: [{{name: {SHOP}, newTag: '2'}}]\n",
        "o/v.yaml": f"image: {{repository: {SHOP}, tag: '0'}}\nside: {{image: 'nginx:1'}}\n",
    }
    snapshot = Memory(files)
    places = find_places(snapshot, [parse_target("o")])

    found = [one for p in places for one in running(p, snapshot.parse(p.path), ())]

    assert versions(in_effect(places, found)) == [f"{SHOP}:2", "nginx:1"]
