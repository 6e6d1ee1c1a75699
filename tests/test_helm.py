"""Values files: every image of the corpus, and the forms that the corpus doesn't have."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from corpora import TolerantLoader
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, parse_image, split_reference
from gitops_promote.core.kinds import helm
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.slots.search import find
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import format_path
from gitops_promote.core.yaml.splice import Editor

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER_DIGEST = "sha256:" + "fedcba9876543210" * 4
NEW = "v9.9.9-test"
ALONE: frozenset[str] = frozenset()

# The ways in which a reader of YAML, and so Helm, refuses a file of the corpus.
REFUSALS = ("merge conflict's marker", "found a tab character that violates indentation")


def promote(text: str, item: str, key: str = "") -> str:
    """The text after a promotion."""
    document = Document.parse(text.encode(), "values.yaml")
    return helm.KIND.set_image(document, parse_image(item), key, Around(ALONE)).document.text


# The corpus. Its images are found here by PyYAML and on their own terms, so that what the code
# under test doesn't find is missed.


@dataclass(frozen=True)
class Found:
    """An image of a values file: its scalars, and what they hold of it."""

    path: tuple[str | int, ...]
    name: str
    whole: bool
    version: yaml.ScalarNode
    digest: yaml.ScalarNode | None


def compose(text: str) -> yaml.Node | None:
    """The first document, by PyYAML."""
    try:
        return next(iter(yaml.compose_all(text, yaml.CSafeLoader)), None)
    except yaml.composer.ComposerError:
        return next(iter(yaml.compose_all(text, TolerantLoader)), None)


def images_of(node: yaml.Node | None, path: tuple[str | int, ...] = ()) -> Iterator[Found]:
    """Every image of a values file that says which version it has."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from images_of(item, (*path, index))
    if not isinstance(node, yaml.MappingNode):
        return
    pairs = {k.value: v for k, v in node.value if isinstance(k, yaml.ScalarNode)}
    texts = {k: v.value for k, v in pairs.items() if isinstance(v, yaml.ScalarNode)}
    name_key = next((k for k in ("repository", "image", "name") if texts.get(k)), "")
    bare = ":" not in texts.get(name_key, "").rsplit("/", 1)[-1]
    if name_key and bare and "tag" in texts:
        registry = f"{texts['registry']}/" if texts.get("registry") else ""
        digest = pairs["digest"] if texts.get("digest") else None
        yield Found(path, registry + texts[name_key], False, pairs["tag"], digest)
    for key, value in pairs.items():
        speaks = key == "image" or path[-2:] == ("images", "tags") or path[-1:] == ("images",)
        reference = r"[a-z0-9][\w./-]*(:\d+/[\w./-]+)?:[\w.-]+(@sha256:[0-9a-f]{64})?"
        if speaks and key in texts and re.fullmatch(reference, texts[key]):
            yield Found((*path, key), split_reference(texts[key]).name, True, value, None)
        yield from images_of(value, (*path, key))


def full(name: str) -> str:
    """A name without what may be left out of it."""
    return name.removeprefix("docker.io/").removeprefix("library/")


def span(text: str, node: yaml.ScalarNode) -> tuple[int, int]:
    """Where a scalar's content stands, its anchor left out."""
    start, end = node.start_mark.index, node.end_mark.index
    anchor = re.match(r"(?:&\S+\s+)+", text[start:end])
    return start + (anchor.end() if anchor else 0), end


def versions(found: Found) -> tuple[str, str]:
    """The tag and the digest that an image has."""
    if found.whole:
        reference = split_reference(found.version.value)
        return reference.tag, reference.digest
    tag, _, digest = found.version.value.partition("@")
    return tag, digest or (found.digest.value if found.digest else "")


class CorpusFile:
    """A file of the corpus, and the promotion of each of its images there and back."""

    def __init__(self, file: Path, counts: Counter[str]) -> None:
        self.raw = file.read_bytes()
        self.text = self.raw.decode("utf-8-sig")
        self.document = Document.parse(self.raw, file.name)
        self.images = list(images_of(compose(self.text)))
        self.counts = counts

    def check(self) -> None:
        """Promote every image, one call each; those that share a version in one call."""
        for found in self.images:
            sharing = [f for f in self.images if f.version is found.version and not f.whole]
            names = frozenset(other.name for other in sharing)
            if len(names) > 1:
                with pytest.raises(PromoteError, match="by an anchor or a merge key"):
                    self.promote(found, NEW, ALONE)
                self.counts["only together, by an anchor"] += 1
            self.check_one(found, names)

    def check_one(self, found: Found, names: frozenset[str]) -> None:
        """Exactly the scalars meant change, and change back."""
        tag, digest = versions(found)
        edited = self.promote(found, NEW, names, DIGEST if digest else None)
        self.check_bytes(found, edited.text)
        self.counts["images"] += 1
        if found.version.value == "" and not found.version.style:
            self.counts["had no value to go back to"] += 1
            return
        if not tag:
            self.check_empty(found, edited)
            return
        back = self.promote(found, tag, names, digest or None, edited)
        if found.version.style or resolves_to_string(found.version):
            assert back.encode() == self.raw, found.path
        else:
            # A number can't come back as one: a version is always written as a string.
            healed = self.promote(found, tag, names, digest or None)
            assert back.text == healed.text != self.text, found.path
            self.counts["was no string, comes back quoted"] += 1

    def promote(
        self,
        found: Found,
        tag: str,
        names: frozenset[str],
        digest: str | None = None,
        document: Document | None = None,
    ) -> Document:
        """By the name where it is alone, else by the key; never by guess."""
        document = document or self.document
        image = Image(found.name, None, tag, digest)
        alike = [f for f in self.images if full(f.name) == full(found.name)]
        alike = [f for f in alike if f.version is not found.version]
        key = format_path(found.path) if alike else ""
        if alike:
            with pytest.raises(PromoteError, match=r"stands in \d+ places"):
                helm.KIND.set_image(document, image, "", Around(names))
        return helm.KIND.set_image(document, image, key, Around(names)).document

    def check_bytes(self, found: Found, after: str) -> None:
        """Nothing but the scalars' spans differs, and they hold the new version."""
        nodes = [node for node in (found.version, found.digest) if node]
        spans = sorted(span(self.text, node) for node in nodes)
        pattern, position = "", 0
        for start, end in spans:
            pattern += re.escape(self.text[position:start]) + r"([^\r\n]+)"
            position = end
        match = re.fullmatch(pattern + re.escape(self.text[position:]), after)
        assert match, (found.path, found.version.value)
        values = [yaml.safe_load(text) for text in match.groups()]
        if found.whole:
            suffix = f"@{DIGEST}" if versions(found)[1] else ""
            assert values == [f"{found.name}:{NEW}{suffix}"]
        else:
            assert NEW in values or f"{NEW}@{DIGEST}" in values
            assert found.digest is None or DIGEST in values

    def check_empty(self, found: Found, edited: Document) -> None:
        """An empty string isn't a version that one could promote; the editor goes back to it."""
        image = Image(found.name, None, NEW)
        slot = find(helm.KIND.form, edited, image, format_path(found.path))[0]
        editor = Editor(edited)
        editor.set(slot.version_node, "")
        assert editor.apply().encode() == self.raw
        self.counts["had an empty version"] += 1


def resolves_to_string(node: yaml.ScalarNode) -> bool:
    """Whether YAML 1.1 takes a plain scalar for a string."""
    return bool(node.tag == "tag:yaml.org,2002:str")


@pytest.mark.parametrize("part", range(8))
def test_every_image_of_the_corpus(
    corpus: Path, part: int, record_property: Callable[[str, object], None]
) -> None:
    counts: Counter[str] = Counter()
    for file in sorted((corpus / "helm-values").iterdir())[part::8]:
        try:
            checked = CorpusFile(file, counts)
        except PromoteError as error:
            counts["refused"] += 1
            if not any(reason in str(error) for reason in REFUSALS):
                raise
            continue
        checked.check()
        counts["files"] += 1
    assert counts["files"] > 40
    assert counts["images"] > 40
    record_property("counts:helm-values", dict(counts))


def test_refuses_a_file_only_where_helm_does(
    corpus: Path,
    tool: Callable[[str], str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: empty\nversion: 1.0.0\n")
    refused = list(refusals(corpus / "helm-values"))
    for file, error in refused:
        run = subprocess.run(
            [tool("helm"), "template", str(tmp_path), "--values", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode != 0, f"Helm takes {file.name}, and we say: {error}"
        reason = ": ".join(run.stderr.strip().splitlines()[-1].rsplit(": ", 2)[-2:])
        record_property("figure", f"refused {file.name}:{error.line}: {error.what} Helm: {reason}")
    assert len(refused) == 9


def refusals(folder: Path) -> Iterator[tuple[Path, PromoteError]]:
    """The files that are refused, and why."""
    for file in sorted(folder.iterdir()):
        try:
            Document.parse(file.read_bytes(), file.name)
        except PromoteError as error:
            yield file, error


# The forms, one by one.

UMBRELLA = """\
# all of the shop
global:
  env: prod
web:
  image:
    registry: ghcr.io
    repository: acme/web # the shop window
    tag: "1.0.0"
worker:
  image: ghcr.io/acme/worker:1.0.0 # runs at night
migrate:
  image: {repository: ghcr.io/acme/migrate, tag: 1.0.0}
"""


@pytest.mark.parametrize(
    ("item", "old", "new"),
    [
        ("ghcr.io/acme/web:1.1.0", 'tag: "1.0.0"', 'tag: "1.1.0"'),
        ("ghcr.io/acme/worker:1.1.0", "worker:1.0.0 #", "worker:1.1.0 #"),
        ("ghcr.io/acme/migrate:1.1.0", "tag: 1.0.0}", "tag: 1.1.0}"),
        ("ghcr.io/acme/migrate:1e5", "tag: 1.0.0}", 'tag: "1e5"}'),
        (f"ghcr.io/acme/worker:1.1.0@{DIGEST}", "worker:1.0.0", f"worker:1.1.0@{DIGEST}"),
        (f"ghcr.io/acme/web:1.1.0@{DIGEST}", '"1.0.0"', f'"1.1.0@{DIGEST}"'),
    ],
)
def test_umbrella_chart_by_name(item: str, old: str, new: str) -> None:
    assert UMBRELLA.count(old) == 1
    assert promote(UMBRELLA, item) == UMBRELLA.replace(old, new)


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("web.image", 'tag: "1.0.0"', 'tag: "2"'),
        ("web.image.tag", 'tag: "1.0.0"', 'tag: "2"'),
    ],
)
def test_key_to_block_and_to_scalar(key: str, old: str, new: str) -> None:
    assert promote(UMBRELLA, "ghcr.io/acme/web:2", key) == UMBRELLA.replace(old, new)


def test_new_name_is_parted_at_its_registry() -> None:
    after = promote(UMBRELLA, "ghcr.io/acme/web=quay.io/acme/shop-web:2.0.0")
    assert after == UMBRELLA.replace("registry: ghcr.io", "registry: quay.io").replace(
        "acme/web #", "acme/shop-web #"
    ).replace('"1.0.0"', '"2.0.0"')


def test_name_is_found_under_its_old_and_its_new_name() -> None:
    text = "image:\n  repository: quay.io/acme/shop\n  tag: 1.0.0\n"
    after = promote(text, "ghcr.io/acme/shop=quay.io/acme/shop:2.0.0")
    assert after == text.replace("1.0.0", "2.0.0")


@pytest.mark.parametrize(
    "text",
    [
        "image:\n  repository: nginx\n  tag: 1.0.0\n",
        "image:\n  repository: docker.io/library/nginx\n  tag: 1.0.0\n",
        "image:\n  registry: docker.io\n  repository: library/nginx\n  tag: 1.0.0\n",
        "image: nginx:1.0.0\n",
        "global:\n  imageRegistry: docker.io\nimage:\n  repository: nginx\n  tag: 1.0.0\n",
        "image:\n  repo: nginx\n  tag: 1.0.0\n",
        "image: nginx\ntag: 1.0.0\n",
        "image:\n  repository: nginx\n  version: 1.0.0\n",
    ],
)
def test_spellings_of_one_repository(text: str) -> None:
    assert promote(text, "nginx:2.0.0") == text.replace("1.0.0", "2.0.0")


def test_registry_of_all_images() -> None:
    text = "global:\n  imageRegistry: ghcr.io\nimage:\n  repository: acme/shop\n  tag: 1\n"
    assert promote(text, "ghcr.io/acme/shop:v2") == text.replace("tag: 1", "tag: v2")


def test_digest_key_takes_the_digest() -> None:
    text = f"image:\n  repository: acme/shop\n  tag: 1.0.0\n  digest: {OTHER_DIGEST}\n"
    after = promote(text, f"acme/shop:2.0.0@{DIGEST}")
    assert after == text.replace("1.0.0", "2.0.0").replace(OTHER_DIGEST, DIGEST)


def test_an_old_digest_does_not_stay_beside_a_new_tag() -> None:
    text = f"image:\n  repository: acme/shop\n  tag: 1.0.0\n  digest: {OTHER_DIGEST}\n"
    after = promote(text, "acme/shop:2.0.0")
    assert after == text.replace("1.0.0", "2.0.0").replace(OTHER_DIGEST, '""')


def test_bare_sha_stays_bare() -> None:
    text = f"image:\n  repository: acme/shop\n  tag: 1.0.0\n  sha: {OTHER_DIGEST[7:]}\n"
    after = promote(text, f"acme/shop:2.0.0@{DIGEST}")
    assert after == text.replace("1.0.0", "2.0.0").replace(OTHER_DIGEST[7:], DIGEST[7:])


def test_tag_that_is_missing_is_added_in_the_file_s_style() -> None:
    text = "a:\n  repository: acme/a\n  tag: 'v1'\nb:\n  repository: acme/b # no tag\n  pull: x\n"
    after = promote(text, "acme/b:v2")
    assert after == text.replace("# no tag\n", "# no tag\n  tag: 'v2'\n")


@pytest.mark.parametrize("empty", ["", " ~", ' ""', " # as the chart says"])
def test_empty_tag_is_filled(empty: str) -> None:
    text = f"image:\n  repository: acme/shop\n  tag:{empty}\n  pull: x\n"
    filled = {"": " v2", " ~": " v2", ' ""': ' "v2"'}.get(empty, " v2 # as the chart says")
    assert promote(text, "acme/shop:v2") == text.replace(f"tag:{empty}\n", f"tag:{filled}\n")


TWO = """\
web:
  image:
    repository: acme/shop
    tag: v1
worker:
  image:
    repository: acme/shop
    tag: v1
"""


def test_several_blocks_with_one_image_are_ambiguous() -> None:
    with pytest.raises(PromoteError) as caught:
        promote(TWO, "acme/shop:v2")
    assert caught.value.line == 3
    assert "`#web.image` (line 3, v1), `#worker.image` (line 7, v1)" in caught.value.what
    assert "`#*.image`" in caught.value.fix


def test_a_pattern_names_several_blocks() -> None:
    assert promote(TWO, "acme/shop:v2", "*.image") == TWO.replace("v1", "v2")


def test_a_pattern_takes_only_the_blocks_of_the_image() -> None:
    text = TWO + "db:\n  image:\n    repository: acme/db\n    tag: v1\n"
    after = promote(text, "acme/shop:v2", "*.image")
    assert after == TWO.replace("v1", "v2") + text.removeprefix(TWO)


def test_a_pattern_takes_only_places_that_name_the_image() -> None:
    text = TWO + "replicas: 2\nlogLevel: info\nrival:\n  repository: x/acme/shop\n  tag: v1\n"
    assert promote(text, "acme/shop:v2", "*.image") == TWO.replace("v1", "v2") + text[len(TWO) :]
    with pytest.raises(ImageNotFoundError, match="no place that `#\\*` matches names"):
        promote(text, "acme/shop:v2", "*")


def test_a_pattern_may_lead_to_the_tags() -> None:
    assert promote(TWO, "acme/shop:v2", "*.image.tag") == TWO.replace("v1", "v2")


def test_no_pattern_is_named_where_none_fits_all() -> None:
    with pytest.raises(PromoteError) as caught:
        promote(
            TWO + "deep: {er: {image: 'acme/shop:v1'}}\nimage: 'acme/shop:v1'\n", "acme/shop:v2"
        )
    assert "pattern" not in caught.value.fix


@pytest.mark.parametrize("key", ["image.pullPolicy", "image.registry", "replicas", "debug"])
def test_a_key_that_holds_no_version_is_refused(key: str) -> None:
    text = "image: {registry: r.io, repository: x/a, tag: v1, pullPolicy: Always}\n"
    with pytest.raises(PromoteError, match="holds no image"):
        promote(text + "replicas: 2\ndebug: true\n", "x/a:v2", key)


def test_the_key_of_a_block_s_repository_means_the_block() -> None:
    text = "image: {repository: x/a, tag: v1}\n"
    assert promote(text, "x/a:v2", "image.repository") == text.replace("v1", "v2")


def test_key_in_a_list() -> None:
    text = "jobs:\n- name: a\n  image: acme/shop:v1\n- name: b\n  image: acme/shop:v1\n"
    after = promote(text, "acme/shop:v2", "jobs[1].image")
    assert after == "jobs:\n- name: a\n  image: acme/shop:v1\n- name: b\n  image: acme/shop:v2\n"


def test_key_with_a_dot() -> None:
    text = "images:\n  shop.web: acme/shop:v1\n"
    assert promote(text, "acme/shop:v2", r"images.shop\.web") == text.replace("v1", "v2")


def test_scalar_that_stands_alone() -> None:
    text = "shopVersion: v1 # of ghcr.io/acme/shop\n"
    assert promote(text, "ghcr.io/acme/shop:v2", "shopVersion") == text.replace("v1", "v2")


def test_image_without_a_tag_is_only_changed_by_its_key() -> None:
    text = "image: acme/shop\n"
    with pytest.raises(ImageNotFoundError, match="without a tag"):
        promote(text, "acme/shop:v2")
    assert promote(text, "acme/shop:v2", "image") == "image: acme/shop:v2\n"


# Anchors, aliases and merge keys: the right place, or none.


def test_alias_of_a_whole_block() -> None:
    text = "common: &c\n  repository: acme/shop\n  tag: v1\nweb:\n  image: *c\n"
    after = text.replace("v1", "v2")
    assert promote(text, "acme/shop:v2") == after
    assert promote(text, "acme/shop:v2", "web.image") == after


def test_version_by_an_alias_changes_its_anchor() -> None:
    text = "version: &v v1\nimage:\n  repository: acme/shop\n  tag: *v\nenv:\n  RELEASE: *v\n"
    assert promote(text, "acme/shop:v2") == text.replace("&v v1", "&v v2")


def test_anchor_shared_with_another_image() -> None:
    text = (
        "a:\n  repository: acme/a\n  tag: &v v1\nb:\n  repository: acme/b\n  tag: *v\nversion: *v\n"
    )
    with pytest.raises(PromoteError, match="with `acme/a`, by an anchor") as caught:
        promote(text, "acme/b:v2")
    assert caught.value.line == 3
    document = Document.parse(text.encode(), "values.yaml")
    edited = helm.KIND.set_image(
        document, parse_image("acme/b:v2"), "", Around(frozenset({"acme/a"}))
    )
    assert edited.document.text == text.replace("v1", "v2")


@pytest.mark.parametrize(
    ("text", "item"),
    [
        (
            (
                "d: &d {tag: v1}\na: {image: {<<: *d, repository: x/a}}\n"
                "b: {image: {<<: *d, repository: x/b}}\n"
            ),
            "x/a:v2",
        ),
        (
            (
                f"a: {{repository: x/a, tag: v1, digest: &d '{DIGEST}'}}\n"
                "b: {repository: x/b, tag: v1, digest: *d}\n"
            ),
            "x/a:v2",
        ),
        ("a: &s\n  repository: x/a\nb:\n  <<: *s\n  repository: x/b\n", "x/a:v2"),
        (
            (
                "a: {image: {registry: &r ghcr.io, repository: x/a, tag: v1}}\n"
                "b: {image: {registry: *r, repository: x/b, tag: v1}}\n"
            ),
            "ghcr.io/x/a=quay.io/x/a:v2",
        ),
    ],
)
def test_nothing_of_another_image_changes(text: str, item: str) -> None:
    with pytest.raises(PromoteError, match=r"shares what it is given with `(ghcr\.io/)?x/b`"):
        promote(text, item)


def test_what_else_has_an_anchored_version_is_warned_of() -> None:
    text = "image:\n  repository: x/a\n  tag: &v v1\nlabels:\n  release: *v\n"
    document = Document.parse(text.encode(), "values.yaml")
    edited = helm.KIND.set_image(document, parse_image("x/a:v2"), "", Around(ALONE))
    assert edited.document.text == text.replace("v1", "v2")
    assert edited.warnings == ("the anchor `&v` also changes: `release` (line 5).",)


def test_an_anchor_in_a_block_is_not_named_for_other_blocks() -> None:
    text = "a: {repository: x/a, tag: &v v1}\nb: {repository: x/b, tag: *v}\n"
    with pytest.raises(PromoteError, match="shares what it is given with `x/b`"):
        promote(text, "x/a:v2", "a.tag")


def test_a_key_that_is_an_alias_says_what_it_changes() -> None:
    text = "web: {tag: &v v1}\nworker: {tag: *v}\n"
    document = Document.parse(text.encode(), "values.yaml")
    edited = helm.KIND.set_image(document, parse_image("x/a:v2"), "worker.tag", Around(ALONE))
    assert edited.document.text == text.replace("v1", "v2")
    assert edited.warnings == ("the anchor `&v` also changes: `tag` (line 1).",)


def test_a_name_that_two_places_share_by_an_anchor() -> None:
    text = "a: {repository: &r x/a, tag: v1}\nb: {repository: *r, tag: v1}\n"
    with pytest.raises(PromoteError, match="shares what it is given with `x/a`"):
        promote(text, "x/a=x/c:v2", "a")


def test_registry_of_all_images_stays_out_of_a_new_name() -> None:
    text = "global: {imageRegistry: ghcr.io}\nimage: {repository: a/b, tag: v1}\n"
    after = promote(text, "ghcr.io/a/b=ghcr.io/a/c:v2")
    assert after == text.replace("a/b", "a/c").replace("v1", "v2")
    with pytest.raises(PromoteError, match="the registry of all images here is"):
        promote(text, "ghcr.io/a/b=quay.io/a/c:v2")


def test_registry_with_a_port_is_no_image() -> None:
    text = "image: {registry: 'localhost:5000', repository: a/b, tag: v1}\n"
    after = promote(text, "localhost:5000/a/b=quay.io/a/b:v2")
    assert after == text.replace("localhost:5000", "quay.io").replace("v1", "v2")


def test_anchored_version_can_be_named_itself() -> None:
    text = "version: &v v1\na:\n  repository: acme/a\n  tag: *v\nb:\n  repository: b\n  tag: *v\n"
    document = Document.parse(text.encode(), "values.yaml")
    edited = helm.KIND.set_image(document, parse_image("acme/a:v2"), "version", Around(ALONE))
    assert edited.document.text == text.replace("v1", "v2")
    assert edited.warnings == ("`version` is the version of `b` too.",)


def test_own_tag_beside_a_merge_key() -> None:
    text = (
        "base: &base\n  repository: acme/base\n  tag: v1\n"
        "web:\n  <<: *base\n  repository: acme/web\n  tag: v5\n"
    )
    assert promote(text, "acme/web:v6") == text.replace("v5", "v6")
    assert promote(text, "acme/base:v2") == text.replace("v1", "v2")


def test_duplicate_key_changes_the_one_that_counts() -> None:
    text = "image:\n  repository: acme/shop\n  tag: v0\n  tag: v1\n"
    assert promote(text, "acme/shop:v2") == text.replace("tag: v1", "tag: v2")


# Errors: one sentence, the place, what to do next.


@pytest.mark.parametrize(
    ("text", "item", "key", "line", "message"),
    [
        (UMBRELLA, "ghcr.io/acme/wbe:2", "", 0, "no image `ghcr.io/acme/wbe` here"),
        (UMBRELLA, "ghcr.io/acme/web:2", "wbe.image", 2, "there is no `wbe`"),
        (UMBRELLA, "ghcr.io/acme/web:2", "web", 5, "Did you mean `#web.image`?"),
        (UMBRELLA, "ghcr.io/acme/web:2", "worker.image", 10, "holds `ghcr.io/acme/worker`, not"),
        (UMBRELLA, "ghcr.io/acme/web:2", "web..image", 0, "is malformed"),
        (UMBRELLA, f"ghcr.io/acme/web@{DIGEST}", "", 6, "no place for a digest alone"),
        (
            "image: {repository: acme/shop, tag: {a: 1}}\n",
            "acme/shop:2",
            "image.tag",
            1,
            "no image",
        ),
        ("- a\n", "acme/shop:2", "", 0, "no image `acme/shop` here"),
    ],
)
def test_errors(text: str, item: str, key: str, line: int, message: str) -> None:
    with pytest.raises(PromoteError) as caught:
        promote(text, item, key)
    assert message in str(caught.value)
    assert caught.value.fix
    assert caught.value.line == line


def test_unknown_image_lists_what_is_near() -> None:
    with pytest.raises(ImageNotFoundError, match=r"The file has `ghcr\.io/acme/web`"):
        promote(UMBRELLA, "ghcr.io/acme/wbe:2")


@pytest.mark.parametrize("key", ["digest: null", "digest: ~", "sha: null", "digest:"])
def test_a_digest_that_is_null_is_none(key: str) -> None:
    text = f"image:\n  repository: acme/a\n  tag: '1'\n  {key}\n"
    document = Document.parse(text.encode(), "values.yaml")

    (running,) = helm.KIND.running(document, "", ())

    assert str(running.reference) == "acme/a:1"
    assert promote(text, "acme/a=acme/b") == text.replace("acme/a", "acme/b")
