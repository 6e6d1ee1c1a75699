"""Argo CD's objects: every image of the corpus, and the forms that the corpus doesn't have."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from conftest import shared
from gitops_promote.core.change import Edited
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import parse_image
from gitops_promote.core.kinds import argocd
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.locate import kinds_of
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml.document import Document
from memory import SHOP, Memory, deployment

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER_DIGEST = "sha256:" + "fedcba9876543210" * 4
OVERRIDE = "apps/shop/.argocd-source-shop.yaml"

# What a file of the corpus is refused for, all of it: each is a template of a chart.
TEMPLATES = (
    "alphagov__govuk-helm-charts__charts__app-config__templates__govuk-application.yaml",
    "alphagov__govuk-helm-charts__charts__app-config__templates__rds-parquet-exports.yaml",
    "lsst-sqre__phalanx__environments__templates__applications__rubin__weatherbroadcaster.yaml",
    "lsst-sqre__phalanx__environments__templates__applications__telescope__csc-versions.yaml",
    "renovatebot__renovate__lib__modules__manager__argocd____fixtures____validApplication.yml",
    "traPtitech__manifest__.common__preview-ui__templates__staging-application.yaml",
)


def application(source: str, kind: str = "Application") -> str:
    """An Application with what stands below `spec.source`, indented by nothing."""
    indented = "".join(f"    {line}\n" for line in source.splitlines())
    return (
        f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata:\n  name: shop\nspec:\n"
        "  project: default\n  destination: {namespace: shop}\n"
        f"  source:\n    repoURL: https://git.example.com/shop\n    path: deploy\n{indented}"
    )


def parameters(*pairs: str) -> str:
    """`helm.parameters`, each NAME=VALUE, with `!` behind for `forceString`."""
    text = "helm:\n  parameters:\n"
    for pair in pairs:
        name, _, value = pair.rstrip("!").partition("=")
        text += f"  - name: {name}\n    value: {value}\n"
        text += "    forceString: true\n" if pair.endswith("!") else ""
    return text


def edit(text: str, item: str, key: str = "", path: str = "app.yaml") -> Edited:
    """What a promotion makes of a file."""
    document = Document.parse(text.encode(), path)
    return argocd.KIND.set_image(document, parse_image(item), key, Around())


def promote(text: str, item: str, key: str = "") -> str:
    """The text after a promotion."""
    return edit(text, item, key).document.text


def new_lines(before: str, after: str) -> list[str]:
    """The lines that are not in the text before."""
    old = Counter(before.splitlines())
    return [line.strip() for line in (Counter(after.splitlines()) - old).elements()]


def running(text: str, *images: str, key: str = "") -> list[tuple[str, str]]:
    """What runs: key and reference."""
    document = Document.parse(text.encode(), "app.yaml")
    found = argocd.KIND.running(document, key, images)
    return [(one.key, str(one.reference)) for one in found]


def plan(images: str, targets: str, files: dict[str, str]) -> Plan:
    """The plan of a promotion."""
    lines = tuple(parse_target(line) for line in targets.split())
    return make_plan(Memory(files), Request(tuple(map(parse_image, images.split())), lines, ()))


# The corpus. Its images are found here by PyYAML and on their own terms, so that what the code
# under test doesn't find is missed.


@dataclass(frozen=True)
class Found:
    """An image: what it is called, the scalar of its version, and what Argo CD ignores it for."""

    name: str
    version: yaml.ScalarNode
    prefix: str = ""
    is_chart: bool = False
    ignored: bool = False


def child(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """What stands below keys, where there is such."""
    for key in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in pairs if name.value == key), None)
    return node


def text(node: yaml.Node | None, *keys: str) -> str:
    """The text below keys."""
    found = child(node, *keys)
    return found.value if isinstance(found, yaml.ScalarNode) else ""


def items(node: yaml.Node | None, *keys: str) -> list[yaml.Node]:
    """The items below keys."""
    found = child(node, *keys)
    return found.value if isinstance(found, yaml.SequenceNode) else []


def specs(node: yaml.Node | None) -> Iterator[yaml.Node]:
    """What has sources, in Applications, ApplicationSets and lists of them."""
    for item in items(node, "items"):
        yield from specs(item)
    if text(node, "apiVersion").startswith("argoproj.io/"):
        way = {"Application": ("spec",), "ApplicationSet": ("spec", "template", "spec")}
        found = child(node, *way.get(text(node, "kind"), ("none",)))
        if found:
            yield found


def images_of(source: yaml.Node, *, ignored: bool) -> Iterator[Found]:
    """Every image of a source that says its version."""
    chart, revision = text(source, "chart"), child(source, "targetRevision")
    # Where a template says the chart, nothing names it.
    if chart and "{{" not in chart and isinstance(revision, yaml.ScalarNode):
        host = text(source, "repoURL").split("://")[-1].rstrip("/")
        yield Found(f"{host}/{chart}", revision, "", is_chart=True, ignored=ignored)
    for item in items(source, "kustomize", "images"):
        assert isinstance(item, yaml.ScalarNode)
        name, equals, rest = item.value.rpartition("=")
        deployed, colon, _ = rest.rpartition(":")
        if colon:
            yield Found(deployed, item, f"{name}{equals}{deployed}:", ignored=ignored)
    given = {text(p, "name"): child(p, "value") for p in items(source, "helm", "parameters")}
    for name, value in given.items():
        group, _, last = name.rpartition(".")
        repository = given.get(f"{group}.repository")
        if last == "tag" and isinstance(value, yaml.ScalarNode) and repository:
            registry = given.get(f"{group}.registry")
            host = f"{registry.value}/" if registry else ""
            yield Found(f"{host}{repository.value}", value, ignored=ignored)
    # None of the corpus has images in its values: were there one, this is where it is missed.
    values = yaml.compose(text(source, "helm", "values") or "{}")
    for tree in (values, child(source, "helm", "valuesObject")):
        assert not [key for key in keys_of(tree) if key in ("image", "repository", "tag")]


def keys_of(node: yaml.Node | None) -> Iterator[str]:
    """All keys of a tree."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key.value
            yield from keys_of(value)
    for item in items(node) if isinstance(node, yaml.SequenceNode) else ():
        yield from keys_of(item)


def found_in(content: str) -> list[Found]:
    """Every image of a file."""
    found = []
    for root in yaml.compose_all(content):
        for spec in specs(root):
            several = items(spec, "sources")
            source = child(spec, "source")
            if source:
                found += list(images_of(source, ignored=bool(several)))
            for one in several:
                found += list(images_of(one, ignored=False))
    return found


def check_image(
    document: Document, found: Found, others: list[Found], counts: Counter[str]
) -> None:
    """Promote an image there and back: exactly its version changes."""
    old = found.version.value.removeprefix(found.prefix)
    new = "99.1.0" if found.is_chart else "v9.9.9-test"
    same = [other for other in others if other.name == found.name]
    key = ""
    if len(same) > 1:
        with pytest.raises(PromoteError, match=f"stands in {len(same)} places") as caught:
            argocd.KIND.set_image(document, parse_image(f"{found.name}:{new}"), "", Around())
        key = str(caught.value).split("`#")[1 + same.index(found)].split("`")[0]
    if found.ignored:
        with pytest.raises(ImageNotFoundError, match=r"ignores `sources?` beside `source"):
            argocd.KIND.set_image(document, parse_image(f"{found.name}:{new}"), key, Around())
        counts["ignored by Argo CD"] += 1
        return

    there = argocd.KIND.set_image(document, parse_image(f"{found.name}:{new}"), key, Around())
    back = argocd.KIND.set_image(there.document, parse_image(f"{found.name}:{old}"), key, Around())

    start, end = found.version.start_mark.index, found.version.end_mark.index
    edited = document.text[start:end].replace(found.prefix + old, found.prefix + new)
    assert there.document.text == document.text[:start] + edited + document.text[end:]
    assert back.document.encode() == document.encode()
    names = [] if key else [found.name]
    read = argocd.KIND.running(there.document, key, names)
    assert [one.reference.version for one in read] == [new]
    counts["charts" if found.is_chart else "images"] += 1


def test_every_image_of_the_corpus_is_promoted_there_and_back(
    corpus: Path, record_property: Callable[[str, object], None]
) -> None:
    counts: Counter[str] = Counter()

    for file in sorted((corpus / "argocd").iterdir()):
        raw = file.read_bytes()
        if file.name in TEMPLATES:
            with pytest.raises(PromoteError, match=r"not valid YAML.*looks like a template"):
                Document.parse(raw, file.name)
            counts["refused as templates"] += 1
            continue
        document = Document.parse(raw, file.name)
        images = found_in(raw.decode())
        counts["files"] += 1
        for found in images:
            assert "argocd" in kinds_of(file.name, document)
            check_image(document, found, images, counts)

    assert counts["images"] >= 5
    assert counts["charts"] >= 10
    assert counts["refused as templates"] == len(TEMPLATES)
    record_property("counts:Argo CD corpus", dict(counts))


# `kustomize.images`.


@pytest.mark.parametrize(
    ("item", "promoted", "expected"),
    [
        (f"{SHOP}:1.0.0", f"{SHOP}:2.0.0", f"{SHOP}:2.0.0"),
        (f"{SHOP}", f"{SHOP}:2.0.0", f"{SHOP}:2.0.0"),
        (f"{SHOP}:1.0.0@{DIGEST}", f"{SHOP}:2.0.0@{OTHER_DIGEST}", f"{SHOP}:2.0.0@{OTHER_DIGEST}"),
        (f"{SHOP}@{DIGEST}", f"{SHOP}:2.0.0", f"{SHOP}:2.0.0"),
        (f"{SHOP}:1.0.0", f"{SHOP}@{DIGEST}", f"{SHOP}@{DIGEST}"),
        (f"shop={SHOP}:1.0.0", f"{SHOP}:2.0.0", f"shop={SHOP}:2.0.0"),
        (f"shop={SHOP}:1.0.0", "shop:2.0.0", f"shop={SHOP}:2.0.0"),
        (f"shop={SHOP}:1.0.0", "shop=ghcr.io/x/shop:2.0.0", "shop=ghcr.io/x/shop:2.0.0"),
        (f"{SHOP}:1.0.0", f"{SHOP}=ghcr.io/x/shop:2.0.0", f"{SHOP}=ghcr.io/x/shop:2.0.0"),
        ("'shop=*:1.0.0'", "shop:2.0.0", "'shop=*:2.0.0'"),
        ("shop=*:1.0.0", f"shop={SHOP}:2.0.0", f"shop={SHOP}:2.0.0"),
        ("reg:5000/shop:1.0.0", "reg:5000/shop:2.0.0", "reg:5000/shop:2.0.0"),
        ("nginx:1.0.0", "docker.io/library/nginx:2.0.0", "nginx:2.0.0"),
        (f"'{SHOP}:1.0.0' # by CI", f"{SHOP}:2.0.0", f"'{SHOP}:2.0.0' # by CI"),
        (f'"shop={SHOP}:1.0.0"', "shop:2.0.0", f'"shop={SHOP}:2.0.0"'),
    ],
)
def test_an_item_of_kustomize_images_keeps_its_form(
    item: str, promoted: str, expected: str
) -> None:
    before = application(f"kustomize:\n  images:\n  - other:1\n  - {item}\n  - last:2\n")

    after = promote(before, promoted)

    assert after == before.replace(f"- {item}\n", f"- {expected}\n")


def test_of_two_items_for_one_image_the_last_one_counts() -> None:
    before = application(f"kustomize:\n  images: [{SHOP}:1.0.0, {SHOP}:1.1.0]\n")

    found = edit(before, f"{SHOP}:2.0.0")

    assert found.document.text == before.replace("1.1.0", "2.0.0")
    (warning,) = found.warnings
    assert warning.startswith("`#spec.source.kustomize.images[0]` (line 12, 1.0.0) says the image")
    assert "Argo CD takes `#spec.source.kustomize.images[1]`" in warning


def test_a_new_name_that_two_items_deploy_is_ambiguous() -> None:
    before = application(f"kustomize:\n  images:\n  - a={SHOP}:1\n  - b={SHOP}:1\n")

    with pytest.raises(PromoteError, match=r"stands in 2 places: `#spec.source.kustomize.images"):
        promote(before, f"{SHOP}:2")

    assert promote(before, "b:2") == before.replace(f"b={SHOP}:1", f"b={SHOP}:2")


# `helm.parameters`.


@pytest.mark.parametrize(
    ("given", "promoted", "lines"),
    [
        (["image.repository=NAME", "image.tag=1.0.0"], "NAME:2.0.0", ["value: 2.0.0"]),
        (["image.name=NAME", "image.tag=1.0.0"], "NAME:2.0.0", ["value: 2.0.0"]),
        (["web.image.repository=NAME", "web.image.tag=1.0.0"], "NAME:2.0.0", ["value: 2.0.0"]),
        (["a\\.b.repository=NAME", "a\\.b.tag=1.0.0"], "NAME:2.0.0", ["value: 2.0.0"]),
        (["pods[0].image.repository=NAME", "pods[0].image.tag=1"], "NAME:v2", ["value: v2"]),
        (
            ["image.registry=ghcr.io", "image.repository=acme/shop", "image.tag=1.0.0"],
            "NAME:2.0.0",
            ["value: 2.0.0"],
        ),
        (
            ["image.registry=ghcr.io", "image.repository=acme/shop", "image.tag=1.0.0"],
            "NAME=quay.io/b/shop:2.0.0",
            ["value: quay.io", "value: b/shop", "value: 2.0.0"],
        ),
        (
            ["image.repository=NAME", "image.tag=1.0.0", f"image.digest={DIGEST}"],
            f"NAME:2.0.0@{OTHER_DIGEST}",
            ["value: 2.0.0", f"value: {OTHER_DIGEST}"],
        ),
        (
            ["image.repository=NAME", "image.tag=1.0.0"],
            f"NAME:2.0.0@{DIGEST}",
            [f"value: 2.0.0@{DIGEST}"],
        ),
        (["image=NAME:1.0.0"], "NAME:2.0.0", ["value: NAME:2.0.0"]),
        (["global.imageRegistry=ghcr.io", "image.repository=acme/shop", "image.tag=1.0.0"],
         "NAME:2.0.0", ["value: 2.0.0"]),
        (["image.repository=NAME"], "NAME:2.0.0", ["- name: image.tag", "value: 2.0.0"]),
    ],
)  # fmt: skip
def test_parameters_with_one_prefix_are_one_image(
    given: list[str], promoted: str, lines: list[str]
) -> None:
    before = application(parameters("other=1", *(g.replace("NAME", SHOP) for g in given)))

    after = promote(before, promoted.replace("NAME", SHOP))

    assert new_lines(before, after) == [line.replace("NAME", SHOP) for line in lines]
    assert promote(after, promoted.replace("NAME", SHOP)) == after


@pytest.mark.parametrize(
    "key",
    [
        "image.tag",
        "image",
        "spec.source.helm.parameters[name=image.tag]",
        r"spec.source.helm.parameters[name=image\.tag].value",
        "spec.source.helm.parameters[1]",
        "spec.source.helm.parameters[1].value",
    ],
)
def test_a_parameter_without_a_name_is_meant_by_its_own(key: str) -> None:
    before = application(parameters("other=1", "image.tag=1.0.0"))

    found = edit(before, f"{SHOP}:1234567", key)

    assert new_lines(before, found.document.text) == ['value: "1234567"', "forceString: true"]
    assert found.changes[0].key == "spec.source.helm.parameters[name=image.tag]"
    assert running(found.document.text, SHOP, key=key) == [
        (found.changes[0].key, f"{SHOP}:1234567")
    ]


def test_without_a_key_the_error_names_the_parameter_that_no_image_is_named_for() -> None:
    before = application(parameters("image.tag=1.0.0"))

    with pytest.raises(ImageNotFoundError) as caught:
        promote(before, f"{SHOP}:2.0.0")

    assert "`#spec.source.helm.parameters[name=image.tag]` (line 14)" in caught.value.fix


@pytest.mark.parametrize(
    ("given", "version", "lines"),
    [
        ("image.digest={old}", f"@{DIGEST}", [f"value: {DIGEST}"]),
        ("shopDigest={old}", f":2.0.0@{DIGEST}", [f"value: {DIGEST}"]),
        ("shopTag=1.0.0", ":2.0.0", ["value: 2.0.0"]),
        ("shopTag=1.0.0", f":2.0.0@{DIGEST}", [f"value: 2.0.0@{DIGEST}"]),
        ("app.version=1.0.0", ":2.0.0", ["value: 2.0.0"]),
    ],
)
def test_a_parameter_alone_holds_a_tag_or_a_digest(
    given: str, version: str, lines: list[str]
) -> None:
    before = application(parameters(given.format(old=OTHER_DIGEST)))
    key = given.partition("=")[0]

    assert new_lines(before, promote(before, SHOP + version, key)) == lines


@pytest.mark.parametrize(("name", "version"), [("shopDigest", ":2.0.0"), ("shopTag", f"@{DIGEST}")])
def test_a_parameter_takes_no_part_that_it_does_not_hold(name: str, version: str) -> None:
    before = application(parameters(f"{name}={OTHER_DIGEST}"))

    with pytest.raises(PromoteError, match=r"holds a digest, and the call|no place for a digest"):
        promote(before, SHOP + version, name)


def test_a_digest_without_a_tag_is_refused_where_a_parameter_has_a_tag() -> None:
    before = application(parameters(f"image.repository={SHOP}", "image.tag=1.0.0"))

    with pytest.raises(PromoteError, match="no place for a digest alone"):
        promote(before, f"{SHOP}@{DIGEST}")


FORCED = [
    ("1234567", True),
    ("1.10", True),
    ("1e5", True),
    ("true", True),
    ("FALSE", True),
    ("null", True),
    ("0", True),
    ("0123", True),
    ("1_000", True),
    ("1.2.3", False),
    ("v1", False),
    ("abcdef0", False),
]


@pytest.mark.parametrize(("tag", "forced"), FORCED)
def test_a_tag_that_helm_could_type_is_forced_to_be_a_string(tag: str, *, forced: bool) -> None:
    before = application(parameters(f"image.repository={SHOP}", "image.tag=x"))

    after = promote(before, f"{SHOP}:{tag}")

    item = yaml.safe_load(after)["spec"]["source"]["helm"]["parameters"][1]
    flag = {"forceString": True} if forced else {}
    assert item == {"name": "image.tag", "value": tag, **flag}


@pytest.mark.parametrize("old", ["forceString: false", 'forceString: "false"', "forceString: true"])
def test_a_flag_that_is_there_is_raised_and_never_lowered(old: str) -> None:
    before = application(
        "helm:\n  parameters:\n"
        f"  - name: image.repository\n    value: {SHOP}\n"
        f"  - {{name: image.tag, value: '1.0.0', {old}}} # kept\n"
    )

    raised = promote(before, f"{SHOP}:1.10")
    back = promote(raised, f"{SHOP}:1.0.0")

    raised_line = "- {name: image.tag, value: '1.10', forceString: true} # kept"
    assert new_lines(before, raised) == [raised_line]
    assert back == raised.replace("'1.10'", "'1.0.0'")


@pytest.mark.parametrize(("tag", "forced"), FORCED)
def test_helm_takes_the_tag_for_the_string_that_was_promoted(
    tag: str, tool: Callable[[str], str], tmp_path: Path, *, forced: bool
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    template = "out: {{ list (kindOf .Values.image.tag) .Values.image.tag | toJson }}\n"
    (chart / "templates" / "out.yaml").write_text(template)
    before = application(parameters(f"image.repository={SHOP}", "image.tag=x"))

    after = promote(before, f"{SHOP}:{tag}")

    arguments = [tool("helm"), "template", str(chart)]
    for item in yaml.safe_load(after)["spec"]["source"]["helm"]["parameters"]:
        flag = "--set-string" if item.get("forceString") else "--set"
        arguments += [flag, f"{item['name']}={item['value']}"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["out"] == ["string", tag]
    assert ("--set-string" in arguments) == forced


def test_of_two_parameters_of_one_name_the_one_that_helm_takes_is_promoted() -> None:
    pairs = ["image.tag=1.0.0!", "image.tag=1.1.0"]
    before = application(parameters(f"image.repository={SHOP}", *pairs))

    assert promote(before, f"{SHOP}:2.0.0") == before.replace("1.0.0", "2.0.0")


@pytest.mark.parametrize(
    "given",
    [
        parameters(f"image.repository={SHOP}", "image.tag=1.0.0"),
        f"helm:\n  valuesObject: {{image: {{repository: {SHOP}, tag: 1.0.0}}}}\n",
    ],
)
def test_a_file_for_a_parameter_goes_before_all(given: str) -> None:
    before = application(given + "  fileParameters: [{name: image.tag, path: tag.txt}]\n")

    with pytest.raises(ImageNotFoundError, match="in vain: Argo CD takes a file of `fileParam"):
        promote(before, f"{SHOP}:2.0.0")

    assert running(before, SHOP) == []


def test_what_is_no_parameter_is_passed_over() -> None:
    before = application(
        "helm:\n  parameters:\n  - no\n  - {value: x}\n  - {name: 'a..b', value: x}\n"
        f"  - {{name: image.tag}}\n  - {{name: image, value: '{SHOP}:1.0.0'}}\n"
    )

    assert promote(before, f"{SHOP}:2.0.0") == before.replace("1.0.0", "2.0.0")


def test_what_stands_in_two_images_by_an_anchor_is_promoted_together() -> None:
    before = application(
        "helm:\n  parameters:\n"
        f"  - {{name: a.repository, value: {SHOP}}}\n  - {{name: a.tag, value: &v 1.0.0}}\n"
        "  - {name: b.repository, value: other}\n  - {name: b.tag, value: *v}\n"
    )

    with pytest.raises(PromoteError, match="by an anchor or a merge key"):
        promote(before, f"{SHOP}:2.0.0")

    found = plan(f"{SHOP}:2.0.0 other:2.0.0", "app.yaml", {"app.yaml": before})
    assert found.files["app.yaml"].decode() == before.replace("1.0.0", "2.0.0")


# `helm.values` and `helm.valuesObject`.

OF_PARAMETERS = parameters("image.tag=1.1.0").removeprefix("helm:\n")
VALUES = f"""\
helm:
  values: |
    # of the chart
    image:
      repository: {SHOP}   # where it is
      tag: "1.0.0" # by CI
    sidecar:
      image: ghcr.io/acme/proxy:3
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_values_are_edited_inside_their_block(newline: str) -> None:
    before = application(VALUES).replace("\n", newline)

    after = promote(before, f"{SHOP}:2.0.0")

    assert after == before.replace("1.0.0", "2.0.0")
    assert promote(after, f"{SHOP}:1.0.0") == before
    assert promote(before, "ghcr.io/acme/proxy:4") == before.replace("proxy:3", "proxy:4")


@pytest.mark.parametrize("key", ["image.tag", "image", "spec.source.helm.values.image.tag"])
def test_values_have_keys_of_their_own(key: str) -> None:
    before = application(VALUES)

    found = edit(before, f"{SHOP}:2.0.0", key)

    assert found.document.text == before.replace("1.0.0", "2.0.0")
    assert found.changes[0].line == 16
    assert running(before, key=key) == [("spec.source.helm.values.image", f"{SHOP}:1.0.0")]


def test_values_in_quotes_are_edited_there() -> None:
    line = rf'helm: {{values: "image:\n  repository: {SHOP}\n  tag: v1\n"}}'
    before = application(line)

    assert promote(before, f"{SHOP}:v2") == before.replace("tag: v1", "tag: v2")


@pytest.mark.parametrize(
    "tree",
    [
        f"image: {{repository: {SHOP}, tag: '1.0.0'}}",
        f"image:\n      repository: {SHOP}\n      tag: '1.0.0' # by CI",
        f"shop: {{image: '{SHOP}:1.0.0'}}",
        f'"image": {{"repository": "{SHOP}", "tag": "1.0.0"}}',
    ],
)
def test_values_as_an_object_are_a_tree_of_the_file(tree: str) -> None:
    before = application(f"helm:\n  valuesObject:\n    {tree}\n")

    assert promote(before, f"{SHOP}:2.0.0") == before.replace("1.0.0", "2.0.0")


BOTH = f"""\
helm:
  values: |
    image: {{repository: {SHOP}, tag: 1.0.0}}
  valuesObject:
    image: {{repository: {SHOP}, tag: 1.1.0}}
"""


def test_values_beside_an_object_say_an_image_in_vain() -> None:
    before = application(BOTH)

    found = edit(before, f"{SHOP}:2.0.0")

    assert found.document.text == before.replace("1.1.0", "2.0.0")
    (warning,) = found.warnings
    assert warning == (
        "`#spec.source.helm.values.image` (line 13, 1.0.0) says the image too, in vain: "
        "Argo CD ignores `values` beside `valuesObject`."
    )
    assert running(before, SHOP) == [("spec.source.helm.valuesObject.image", f"{SHOP}:1.1.0")]


def test_what_only_ignored_values_have_is_refused() -> None:
    before = application(BOTH.replace("valuesObject:\n    image", "valuesObject:\n    other"))
    before = before.replace(f"{SHOP}, tag: 1.1.0", "ghcr.io/acme/other, tag: 1.1.0")

    with pytest.raises(ImageNotFoundError, match="in vain: Argo CD ignores `values` beside"):
        promote(before, f"{SHOP}:2.0.0")

    (warning,) = edit(before, f"{SHOP}:2.0.0", "spec.source.helm.values.image").warnings
    assert "has no effect: Argo CD ignores `values`" in warning


def test_a_null_object_leaves_the_values_in_force() -> None:
    before = application(VALUES + "  valuesObject:\n")

    assert promote(before, f"{SHOP}:2.0.0") == before.replace("1.0.0", "2.0.0")


def test_a_parameter_goes_before_values_and_takes_their_name() -> None:
    before = application(VALUES + parameters("image.tag=1.1.0").removeprefix("helm:\n"))

    found = edit(before, f"{SHOP}:2.0.0")

    assert found.document.text == before.replace("1.1.0", "2.0.0")
    (warning,) = found.warnings
    assert warning == (
        "`#spec.source.helm.values.image` (line 16, 1.0.0) says the image too, in vain: "
        "Argo CD takes `#spec.source.helm.parameters[name=image.tag]`."
    )
    assert running(before, SHOP) == [
        ("spec.source.helm.parameters[name=image.tag]", f"{SHOP}:1.1.0")
    ]
    (warning,) = edit(before, f"{SHOP}:2.0.0", "spec.source.helm.values.image.tag").warnings
    assert warning.startswith("`#spec.source.helm.values.image` has no effect")


def test_a_reference_in_values_loses_to_a_parameter_below_it() -> None:
    before = application(f"helm:\n  valuesObject: {{image: '{SHOP}:1.0.0'}}\n" + OF_PARAMETERS)

    with pytest.raises(ImageNotFoundError, match=r"in vain: Argo CD takes `#.*\[name=image.tag\]`"):
        promote(before, f"{SHOP}:2.0.0")


def test_a_name_from_a_parameter_and_a_tag_from_values_are_one_image() -> None:
    mirror = "mirror.example.com/shop"
    before = application(VALUES + parameters(f"image.repository={mirror}")[6:])

    after = promote(before, f"{mirror}:1234567")

    assert after == before.replace('"1.0.0"', '"1234567"')
    assert running(after, mirror)[0][1] == f"{mirror}:1234567"
    with pytest.raises(ImageNotFoundError):
        promote(before, f"{SHOP}:2.0.0")


IN_FORCE = {
    "values": VALUES,
    "object": BOTH,
    "parameter over values": VALUES + OF_PARAMETERS,
    "parameter over object": BOTH + OF_PARAMETERS,
    "name over values": VALUES + OF_PARAMETERS.replace("tag", "repository").replace("1.1.0", SHOP),
    "parameters alone": parameters(f"image.repository={SHOP}", "image.tag=1.0.0"),
    "forced, then not": parameters(
        f"image.repository={SHOP}", "image.tag=1.0.0!", "image.tag=1.1.0"
    ),
    "not forced, then forced": parameters(
        f"image.repository={SHOP}", "image.tag=1.0.0", "image.tag=1.1.0!"
    ),
    "twice": parameters(f"image.repository={SHOP}", "image.tag=1.0.0", "image.tag=1.1.0"),
    "no tag": parameters(f"image.repository={SHOP}"),
}


@pytest.mark.parametrize("tag", ["2.0.0", "1234567"])
@pytest.mark.parametrize("form", IN_FORCE)
def test_what_is_promoted_is_what_helm_renders(
    form: str, tag: str, tool: Callable[[str], str], tmp_path: Path
) -> None:
    before = application(IN_FORCE[form])

    after = promote(before, f"{SHOP}:{tag}")

    assert rendered(after, tool("helm"), tmp_path) == f"{SHOP}:{tag}"
    (read,) = [one for _, one in running(after, SHOP)]
    assert read == f"{SHOP}:{tag}"


def rendered(text: str, helm: str, folder: Path) -> str:
    """The image that Helm makes of a source, called as Argo CD calls it."""
    chart = folder / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text("image: {repository: none, tag: none}\n")
    template = 'image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag }}\n'
    (chart / "templates" / "image.yaml").write_text(template)
    given = yaml.safe_load(text)["spec"]["source"]["helm"]
    values = yaml.safe_dump(given["valuesObject"]) if "valuesObject" in given else ""
    (folder / "values.yaml").write_text(values or given.get("values", ""))
    named: dict[str, dict[str, str]] = {"--set": {}, "--set-string": {}}
    for item in given.get("parameters", []):
        flag = "--set-string" if item.get("forceString") else "--set"
        named[flag][item["name"]] = item["value"]
    arguments = [helm, "template", str(chart), "--values", str(folder / "values.yaml")]
    for flag, pairs in named.items():
        for name, value in pairs.items():
            arguments += [flag, f"{name}={value}"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return str(yaml.safe_load(done.stdout)["image"])


# Sources, charts and forms of files.


def test_every_source_counts_and_one_image_in_two_is_ambiguous() -> None:
    source = "  - repoURL: https://git.example.com/x\n    helm: {{values: '{}'}}\n"
    values = f"image: {{repository: {SHOP}, tag: v1}}"
    before = application("")[: application("").index("  source:")] + "  sources:\n"
    before += source.format(values) + source.format(values.replace("v1", "v2"))

    with pytest.raises(PromoteError, match="stands in 2 places") as caught:
        promote(before, f"{SHOP}:v3")
    with pytest.raises(PromoteError, match=r"`#image\.tag` leads to 2 places") as by_key:
        promote(before, f"{SHOP}:v3", "image.tag")

    key = "spec.sources[1].helm.values.image"
    assert f"`#{key}`" in caught.value.what
    assert f"`#{key}.tag`" in by_key.value.fix
    assert promote(before, f"{SHOP}:v3", key) == before.replace("v2", "v3")
    every = promote(before, f"{SHOP}:v3", "spec.sources[*].helm.values.image")
    assert every == before.replace("v1}", "v3}").replace("v2", "v3")


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("https://charts.example.com/stable", "charts.example.com/stable/shop"),
        ("ghcr.io/acme/charts", "ghcr.io/acme/charts/shop"),
        ("oci://ghcr.io/acme/charts", "ghcr.io/acme/charts/shop"),
    ],
)
def test_a_chart_of_a_registry_is_promoted_like_an_image(repository: str, name: str) -> None:
    before = application("chart: shop\ntargetRevision: 1.0.0 # by CI")
    before = before.replace("https://git.example.com/shop", repository)

    after = promote(before, f"{name}:1.1.0")

    assert after == before.replace("1.0.0", "1.1.0")
    assert running(after) == [("spec.source", f"{name}:1.1.0")]
    with pytest.raises(PromoteError, match=r"no SemVer"):
        promote(before, f"{name}:main")


def test_a_chart_that_its_repository_names_is_one_too() -> None:
    before = application("targetRevision: 1.0.0")
    before = before.replace("https://git.example.com/shop", "oci://ghcr.io/acme/charts/shop")

    after = promote(before, "ghcr.io/acme/charts/shop:1.1.0")

    assert after == before.replace("1.0.0", "1.1.0")


def test_what_a_git_source_follows_is_no_image() -> None:
    assert running(application("targetRevision: main")) == []


@pytest.mark.parametrize("form", ["list", "documents", "flow", "bom"])
def test_applications_are_found_in_every_form_of_a_file(form: str) -> None:
    one = application(f"kustomize: {{images: ['{SHOP}:v1']}}")
    other = one.replace(SHOP, "ghcr.io/acme/other")
    files = {
        "list": json.dumps(
            {"apiVersion": "v1", "kind": "List", "items": list(map(yaml.safe_load, (other, one)))}
        ),
        "documents": f"# first\n{other}---\n{one}",
        "flow": json.dumps(yaml.safe_load(one)),
        "bom": f"\ufeff{one}",
    }
    before = files[form]

    after = promote(before, f"{SHOP}:v2")

    expected = before.removeprefix("\ufeff").replace(f"{SHOP}:v1", f"{SHOP}:v2")
    assert after == expected
    assert kinds_of("app.yaml", Document.parse(before.encode(), "app.yaml")) == ["argocd"]


def test_an_application_beside_a_deployment_leaves_it_alone() -> None:
    before = application(f"kustomize: {{images: ['{SHOP}:v1']}}") + (
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: a, image: '{SHOP}:v1'}}]}}}}}}\n"
    )

    after = promote(before, f"{SHOP}:v2")

    assert after == before.replace(f"images: ['{SHOP}:v1", f"images: ['{SHOP}:v2")
    document = Document.parse(before.encode(), "app.yaml")
    assert kinds_of("app.yaml", document) == ["argocd", "manifest"]


def test_a_key_of_the_values_is_argo_cds_in_a_file_of_several_kinds() -> None:
    config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
    before = application(VALUES) + config

    found = plan(f"{SHOP}:2.0.0", "app.yaml#image.tag", {"app.yaml": before})

    assert found.files["app.yaml"].decode() == before.replace("1.0.0", "2.0.0")


def test_no_change_is_no_change() -> None:
    before = application(VALUES)

    found = edit(before, f"{SHOP}:1.0.0")

    assert found.document.text == before
    assert found.changes[0].old == found.changes[0].new


@pytest.mark.parametrize("value", ["$ARGOCD_APP_REVISION", "${ARGOCD_APP_REVISION}"])
def test_what_argo_cd_fills_in_from_its_build_environment_is_refused(value: str) -> None:
    given = parameters(f"image.repository={SHOP}", f"image.tag={value}")
    images = f"kustomize:\n  images:\n  - {SHOP}:{value}\n"

    for before in (application(given), application(images)):
        with pytest.raises(PromoteError, match="fills in from its build environment"):
            promote(before, f"{SHOP}:2.0.0")
        assert running(before) == []


def test_a_template_in_an_application_is_refused() -> None:
    before = application(f"kustomize:\n  images:\n  - '{SHOP}:{{{{ .Values.tag }}}}'\n")

    with pytest.raises(PromoteError, match="which a template fills in"):
        promote(before, f"{SHOP}:2.0.0")


# ApplicationSets.


def application_set(template: str, generators: str) -> str:
    """An ApplicationSet: below `source`, and its generators."""
    source = "".join(f"        {line}\n" for line in template.splitlines())
    listed = "".join(f"  {line}\n" for line in generators.splitlines())
    return (
        "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: shop}\nspec:\n"
        f"  goTemplate: true\n  generators:\n{listed}"
        "  template:\n    metadata: {name: 'shop-{{.cluster}}'}\n    spec:\n"
        "      project: default\n      destination: {namespace: shop}\n"
        f"      source:\n        repoURL: https://git.example.com/shop\n{source}"
    )


ELEMENTS = """\
- list:
    elements:
    - cluster: dev
      tag: 1.1.0
    - {cluster: prod, tag: 1.0.0}
"""
TEMPLATES_OF_A_TAG = [
    f"kustomize:\n  images: ['{SHOP}:{{{{.tag}}}}']",
    f"kustomize:\n  images: ['{SHOP}:{{{{ tag }}}}']",
    parameters(f"image.repository={SHOP}", "image.tag='{{ .tag }}'"),
    parameters(f"image='{SHOP}:{{{{.tag}}}}'"),
    f"helm:\n  valuesObject:\n    image: {{repository: {SHOP}, tag: '{{{{.tag}}}}'}}",
    f"helm:\n  valuesObject: {{shop: {{image: '{SHOP}:{{{{ .tag | quote }}}}'}}}}",
    f"helm:\n  values: |\n    image:\n      repository: {SHOP}\n      tag: {{{{.tag}}}}",
    f"helm:\n  values: |\n    image:\n      repository: {SHOP}\n      tag: '{{{{.tag}}}}'",
    f"helm:\n  values: |\n    {{{{- if .tag }}}}\n    image: {SHOP}:{{{{.tag}}}}\n    {{{{end}}}}",
]


@pytest.mark.parametrize("template", TEMPLATES_OF_A_TAG)
def test_a_template_is_refused_with_the_key_of_its_value(template: str) -> None:
    before = application_set(template, ELEMENTS)

    with pytest.raises(PromoteError) as caught:
        promote(before, f"{SHOP}:2.0.0")

    assert "which the ApplicationSet's generators fill in." in caught.value.what
    dev, prod = (f"spec.generators[0].list.elements[cluster={c}].tag" for c in ("dev", "prod"))
    assert caught.value.fix.endswith(f"element: name `#{dev}` or `#{prod}`.")
    assert running(before) == []
    assert promote(before, f"{SHOP}:2.0.0", dev) == before.replace("1.1.0", "2.0.0")
    assert promote(before, f"{SHOP}:1.10", prod) == before.replace("1.0.0", '"1.10"')
    assert running(before, SHOP, key=prod)[0][1] == f"{SHOP}:1.0.0"


def test_a_glob_passes_over_a_template_of_an_image_that_is_elsewhere() -> None:
    files = {
        "apps/a.yaml": application_set(TEMPLATES_OF_A_TAG[0], ELEMENTS),
        "apps/b.yaml": application(VALUES),
    }

    found = plan(f"{SHOP}:2.0.0", "apps/*.yaml", files)

    assert list(found.files) == ["apps/b.yaml"]
    with pytest.raises(PromoteError, match="generators fill in"):
        plan(f"{SHOP}:2.0.0", "apps/a.yaml apps/b.yaml", files)


def test_a_template_whose_value_no_element_has_is_refused() -> None:
    before = application_set(TEMPLATES_OF_A_TAG[0], "- git: {repoURL: x}\n")

    with pytest.raises(PromoteError) as caught:
        promote(before, f"{SHOP}:2.0.0")

    assert caught.value.fix == "The value lives in a generator's element: name it by its `#KEY`."


def test_a_template_that_a_key_leads_to_is_refused_too() -> None:
    before = application_set(
        "helm:\n  valuesObject: {image: {tag: '{{.tag}}'}, other: '{{ .other }}'}", ELEMENTS
    )

    for key in ("image.tag", "image", "spec.template.spec.source.helm.valuesObject.image.tag"):
        with pytest.raises(PromoteError, match="fill"):
            promote(before, f"{SHOP}:2.0.0", key)


def test_the_images_of_a_template_without_parameters_are_edited() -> None:
    before = application_set(f"kustomize:\n  images: ['{SHOP}:1.0.0']", "- clusters: {}\n")

    found = edit(before, f"{SHOP}:2.0.0")

    assert found.document.text == before.replace("1.0.0", "2.0.0")
    assert found.changes[0].key == "spec.template.spec.source.kustomize.images[0]"


WITH_IMAGES = f"""\
- list:
    elements:
    - cluster: dev
      region: eu
      image: {{repository: {SHOP}, tag: 1.1.0}}
    - cluster: prod
      region: eu
      image: {{repository: {SHOP}, tag: 1.0.0}}
"""
NESTED = {
    "list": ("{}", "spec.generators[0].list.elements"),
    "matrix": (
        "- matrix:\n    generators:\n    - git: {{revision: main}}\n    {}",
        "spec.generators[0].matrix.generators[1].list.elements",
    ),
    "merge": (
        "- merge:\n    mergeKeys: [cluster]\n    generators:\n    {}",
        "spec.generators[0].merge.generators[0].list.elements",
    ),
}


@pytest.mark.parametrize("nesting", NESTED)
def test_an_image_in_several_elements_is_named_by_what_tells_them_apart(nesting: str) -> None:
    form, path = NESTED[nesting]
    indent = "" if nesting == "list" else "    "
    generators = form.format(WITH_IMAGES.replace("\n", f"\n{indent}").rstrip(" "))
    before = application_set("path: '{{.cluster}}'", generators)

    with pytest.raises(PromoteError) as caught:
        promote(before, f"{SHOP}:2.0.0")

    for cluster, old in (("dev", "1.1.0"), ("prod", "1.0.0")):
        key = f"{path}[cluster={cluster}].image"
        assert f"`#{key}`" in caught.value.what
        found = edit(before, f"{SHOP}:2.0.0", key)
        assert found.document.text == before.replace(old, "2.0.0")
        assert found.changes[0].key == key
    every = promote(before, f"{SHOP}:2.0.0", f"{path}[*].image")
    assert every == before.replace("1.1.0", "2.0.0").replace("tag: 1.0.0", "tag: 2.0.0")


def test_the_image_of_the_only_element_is_meant_by_its_name() -> None:
    element = f"- list: {{elements: [{{name: dev, image: '{SHOP}:1.0.0'}}]}}\n"
    before = application_set("helm:\n  valuesObject: {image: '{{.image}}'}", element)

    assert promote(before, f"{SHOP}:2.0.0") == before.replace("1.0.0", "2.0.0")


def test_a_template_of_the_whole_image_takes_nothing_from_the_element() -> None:
    element = f"- list: {{elements: [{{env: dev, image: {{repository: {SHOP}, tag: '1.0.0'}}}}]}}\n"
    template = (
        f"helm:\n  valuesObject: {{image: {{repository: {SHOP}, tag: '{{{{.image.tag}}}}'}}}}"
    )
    before = application_set(template, element)

    assert promote(before, f"{SHOP}:2.0.0") == before.replace("1.0.0", "2.0.0")


def test_an_element_is_no_image_for_its_name_and_tag() -> None:
    before = application_set("path: x", "- list: {elements: [{name: dev, tag: 1.0.0}]}\n")

    assert running(before) == []


def test_the_template_and_values_of_a_generator_count() -> None:
    generators = f"""\
- clusters:
    values: {{image: '{SHOP}:1.0.0'}}
    template:
      metadata: {{name: x}}
      spec:
        project: default
        destination: {{namespace: x}}
        source:
          repoURL: https://git.example.com/shop
          kustomize: {{images: ['ghcr.io/acme/other:1.1.0']}}
"""
    before = application_set("path: x", generators)

    assert promote(before, f"{SHOP}:2.0.0") == before.replace("1.0.0", "2.0.0")
    assert promote(before, "ghcr.io/acme/other:2.0.0") == before.replace("1.1.0", "2.0.0")


def test_a_patch_of_the_template_is_warned_of() -> None:
    before = application_set(f"kustomize:\n  images: ['{SHOP}:1.0.0']", "- clusters: {}\n")
    before += "  templatePatch: |\n    spec: {source: {helm: {}}}\n"

    assert edit(before, f"{SHOP}:2.0.0").warnings == (
        "`spec.templatePatch` has sources too, which go before the template's.",
    )


# The schema.


@pytest.mark.parametrize(
    "before",
    [
        application(parameters(f"image.repository={SHOP}")),
        application(parameters(f"image.repository={SHOP}", "image.tag=1.0.0")),
        application(f"kustomize: {{images: ['{SHOP}:1.0.0']}}"),
        application(VALUES),
        application(BOTH),
    ],
)
@pytest.mark.parametrize("tag", ["2.0.0", "1234567", "true"])
def test_an_edited_application_fits_argo_cds_schema(
    before: str, tag: str, validator: jsonschema.Draft202012Validator
) -> None:
    after = yaml.safe_load(promote(before, f"{SHOP}:{tag}"))

    validator.validate(after)
    assert tag in json.dumps(after)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """What holds an Application against Argo CD's schema, whose free objects take anything."""
    definitions = json.loads((shared("peers") / "argocd-swagger.json").read_text())["definitions"]
    definitions["runtimeRawExtension"] = {}
    for name in ("v1alpha1HelmParameter", "v1alpha1ApplicationSourceKustomize"):
        definitions[name]["additionalProperties"] = False
    return jsonschema.Draft202012Validator(
        {"$ref": "#/definitions/v1alpha1Application", "definitions": definitions}
    )


# `.argocd-source-NAME.yaml`.

CHART = {
    "apps/shop/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    "apps/shop/values.yaml": f"web:\n  image:\n    repository: {SHOP}\n    tag: latest\n",
}
OVERLAY = {"apps/shop/kustomization.yaml": "resources: [https://example.com/base]\n"}


@pytest.mark.parametrize("name", [".argocd-source.yaml", ".argocd-source-shop.yaml"])
def test_a_file_that_overrides_a_source_is_told_by_its_name(name: str) -> None:
    document = Document.parse(b"helm: {parameters: []}\n", f"apps/shop/{name}")

    assert kinds_of(document.path, document) == ["argocd"]
    assert argocd.KIND.creates(document.path)
    assert not argocd.KIND.creates("apps/shop/argocd-source.yaml")


def test_an_override_of_an_overlay_is_begun() -> None:
    found = plan(f"{SHOP}:1.2.3 proxy=ghcr.io/acme/proxy:1.10", OVERRIDE, OVERLAY)

    assert found.files[OVERRIDE].decode() == (
        f"kustomize:\n  images:\n  - {SHOP}:1.2.3\n  - proxy=ghcr.io/acme/proxy:1.10\n"
    )
    assert [(change.key, str(change.new)) for change in found.changes] == [
        ("kustomize.images[0]", f"{SHOP}:1.2.3"),
        ("kustomize.images[1]", "ghcr.io/acme/proxy:1.10"),
    ]
    (warning,) = found.warnings
    assert warning.endswith("this file's `kustomize.images` in place of the Application's own.")


def test_an_override_of_a_chart_is_begun_as_image_updater_has_it() -> None:
    found = plan(f"{SHOP}:1234567", OVERRIDE, CHART)

    assert found.files[OVERRIDE].decode() == (
        "helm:\n  parameters:\n"
        f"  - name: web.image.repository\n    value: {SHOP}\n    forcestring: true\n"
        '  - name: web.image.tag\n    value: "1234567"\n    forcestring: true\n'
    )
    again = {**CHART, OVERRIDE: found.files[OVERRIDE].decode()}
    assert plan(f"{SHOP}:1234567", OVERRIDE, again).files == {}
    next_one = plan(f"{SHOP}:1.2.4", OVERRIDE, again).files[OVERRIDE].decode()
    assert next_one == again[OVERRIDE].replace("1234567", "1.2.4")
    assert running_in(next_one, SHOP) == [f"{SHOP}:1.2.4"]


def running_in(content: str, *images: str) -> list[str]:
    """What runs by a file that overrides a source."""
    document = Document.parse(content.encode(), OVERRIDE)
    return [str(one.reference) for one in argocd.KIND.running(document, "", images)]


@pytest.mark.parametrize(
    ("values", "item", "expected"),
    [
        (
            f"image:\n  repository: {SHOP}\n  tag: x\n  digest: ''\n",
            f"{SHOP}:1.2.3@{DIGEST}",
            {"image.repository": SHOP, "image.tag": "1.2.3", "image.digest": DIGEST},
        ),
        (
            f"image:\n  repository: {SHOP}\n  tag: x\n",
            f"{SHOP}:1.2.3@{DIGEST}",
            {"image.repository": SHOP, "image.tag": f"1.2.3@{DIGEST}"},
        ),
        (
            "image: {registry: ghcr.io, name: acme/shop, imageTag: x}\n",
            f"{SHOP}:1.2.3",
            {"image.registry": "ghcr.io", "image.name": "acme/shop", "image.imageTag": "1.2.3"},
        ),
        (f"image: {SHOP}:x\n", f"{SHOP}:1.2.3", {"image": f"{SHOP}:1.2.3"}),
        (
            "global: {imageRegistry: ghcr.io}\nimage: {repository: acme/shop, tag: x}\n",
            f"{SHOP}:1.2.3",
            {
                "global.imageRegistry": "ghcr.io",
                "image.repository": "acme/shop",
                "image.tag": "1.2.3",
            },
        ),
        (
            f"a.b: {{image: {{repository: {SHOP}}}}}\n",
            f"{SHOP}=ghcr.io/x/shop:1.2.3",
            {r"a\.b.image.repository": "ghcr.io/x/shop", r"a\.b.image.tag": "1.2.3"},
        ),
    ],
)
def test_the_charts_values_tell_the_parameters(
    values: str, item: str, expected: dict[str, str]
) -> None:
    found = plan(item, OVERRIDE, {**CHART, "apps/shop/values.yaml": values})

    written = yaml.safe_load(found.files[OVERRIDE])["helm"]["parameters"]
    assert {one["name"]: one["value"] for one in written} == expected
    assert all(one["forcestring"] is True for one in written)


def test_a_key_names_the_parameter_where_nothing_else_tells() -> None:
    files = {"apps/shop/README.md": "# Shop\n"}

    found = plan(f"{SHOP}:1.10", f"{OVERRIDE}#web.image.tag", files)

    assert found.files[OVERRIDE].decode() == (
        'helm:\n  parameters:\n  - name: web.image.tag\n    value: "1.10"\n    forcestring: true\n'
    )
    again = {**files, OVERRIDE: found.files[OVERRIDE].decode()}
    assert plan(f"{SHOP}:1.10", f"{OVERRIDE}#web.image.tag", again).files == {}


def test_a_parameter_without_a_name_is_found_by_the_charts_values() -> None:
    known = "helm:\n  parameters:\n  - {name: web.image.tag, value: 1.0.0, forceString: true}\n"

    found = plan(f"{SHOP}:1.2.3", OVERRIDE, {**CHART, OVERRIDE: known})

    text = found.files[OVERRIDE].decode()
    assert text.startswith(known.replace("1.0.0", "1.2.3"))
    assert f"- name: web.image.repository\n    value: {SHOP}\n" in text
    document = Document.parse(text.encode(), OVERRIDE)
    (running,) = argocd.KIND.running(document, "", (SHOP,))
    assert str(running.reference) == f"{SHOP}:1.2.3"


@pytest.mark.parametrize("key", ["digest: sha256:aaa", "sha: aaa"])
def test_a_charts_own_digest_does_not_stay_in_force(
    tool: Callable[[str], str], tmp_path: Path, key: str
) -> None:
    values = f"image: {{repository: {SHOP}, tag: '1', {key}}}\n"

    found = plan(f"{SHOP}:2.0.0", OVERRIDE, {**CHART, "apps/shop/values.yaml": values})

    parameters = yaml.safe_load(found.files[OVERRIDE])["helm"]["parameters"]
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: a\nversion: 1.0.0\n")
    (tmp_path / "values.yaml").write_text(values)
    (tmp_path / "templates" / "a.yaml").write_text(
        "a: '{{ .Values.image.tag }}@{{ .Values.image.digest }}{{ .Values.image.sha }}'\n"
    )
    sets = [f"{one['name']}={one['value']}" for one in parameters]
    flags = [word for pair in sets for word in ("--set-string", pair)]
    done = subprocess.run(
        [tool("helm"), "template", str(tmp_path), *flags], capture_output=True, check=True
    )
    assert b"a: '2.0.0@'" in done.stdout


def test_what_holds_itself_ends() -> None:
    head = "apiVersion: argoproj.io/v1alpha1\n"
    texts = [
        head + "kind: Application\nspec:\n  source: &s\n    kustomize: *s\n",
        head + "kind: ApplicationSet\nspec:\n  generators: &g [{matrix: {generators: *g}}]\n",
        head + "kind: ApplicationSet\nspec:\n  template: {spec: {source: {a: '"
        f"{'{' * 60_000}'"
        "}}}\n",
    ]
    start = time.monotonic()

    for text in texts:
        with pytest.raises(ImageNotFoundError):
            plan(f"{SHOP}:2", "a.yaml", {"a.yaml": text})

    assert time.monotonic() - start < 20


def test_a_hydrators_source_goes_before_all_others() -> None:
    source = f"{{path: a, repoURL: x, kustomize: {{images: ['{SHOP}:1']}}}}"
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n"
        f"  sourceHydrator: {{drySource: {source}}}\n  sources:\n  - {source}\n"
    )

    found = plan(f"{SHOP}:2", "a.yaml", {"a.yaml": text})

    assert found.files["a.yaml"].decode() == text.replace(f"{SHOP}:1", f"{SHOP}:2", 1)


@pytest.mark.parametrize(
    ("known", "files", "added"),
    [
        (
            "kustomize:\n    images:\n      - 'other:1' # first\n    namePrefix: x\n",
            OVERLAY,
            [f"- '{SHOP}:1.2.3'"],
        ),
        ("kustomize: {images: []}\n", OVERLAY, [f"kustomize: {{images: [{SHOP}:1.2.3]}}"]),
        (
            "helm:\n  parameters:\n  - name: replicas\n    value: '3'\n",
            CHART,
            [
                "- name: web.image.repository",
                f"value: '{SHOP}'",
                "forcestring: true",
                "- name: web.image.tag",
                "value: '1.2.3'",
                "forcestring: true",
            ],
        ),
    ],
)
def test_an_override_without_the_image_gets_it_at_its_end(
    known: str, files: dict[str, str], added: list[str]
) -> None:
    found = plan(f"{SHOP}:1.2.3", OVERRIDE, {**files, OVERRIDE: known})

    after = found.files[OVERRIDE].decode()
    assert sorted(new_lines(known, after)) == sorted(added)
    assert running_in(after, SHOP) == [f"{SHOP}:1.2.3"]
    assert found.warnings == ()


def test_an_override_with_only_comments_keeps_them() -> None:
    files = {**OVERLAY, OVERRIDE: "# by hand\r\n# two"}

    found = plan(f"{SHOP}:1.2.3", OVERRIDE, files)

    expected = f"# by hand\r\n# two\r\nkustomize:\r\n  images:\r\n  - {SHOP}:1.2.3\r\n"
    assert found.files[OVERRIDE].decode() == expected


def test_an_override_that_image_updater_wrote_is_edited() -> None:
    known = (
        "helm:\n  parameters:\n"
        f"  - name: image.name\n    value: {SHOP}\n    forcestring: true\n"
        "  - name: image.tag\n    value: 1.0.0\n    forcestring: false\n"
    )

    found = plan(f"{SHOP}:1.10", OVERRIDE, {**CHART, OVERRIDE: known})

    expected = known.replace("1.0.0", '"1.10"').replace("forcestring: false", "forcestring: true")
    assert found.files[OVERRIDE].decode() == expected


@pytest.mark.parametrize(
    ("item", "target", "files", "message"),
    [
        (f"{SHOP}:1", OVERRIDE, {"apps/shop/x.yaml": ""}, "neither a chart nor a kustomization"),
        (f"{SHOP}:1", OVERRIDE, {**CHART, **OVERLAY}, "both a chart and a kustomization"),
        ("other:1", OVERRIDE, CHART, "the values of the chart beside this file don't have"),
        (f"{SHOP}:1", f"{OVERRIDE}#image", OVERLAY, "nothing tells what the parameter `image`"),
        (f"{SHOP}=b:1", f"{OVERRIDE}#image.tag", OVERLAY, "nothing tells what the parameter"),
        (f"{SHOP}@{DIGEST}", OVERRIDE, CHART, "no place for a digest alone"),
        (SHOP, OVERRIDE, OVERLAY, "nothing here says a version"),
        (
            f"{SHOP}:1",
            OVERRIDE,
            {**OVERLAY, OVERRIDE: "kustomize: {namePrefix: x}\n"},
            "has no list `kustomize.images`",
        ),
        (
            f"{SHOP}:1",
            OVERRIDE,
            {
                **CHART,
                "apps/shop/values.yaml": f"a: {{image: '{SHOP}:1'}}\nb: {{image: '{SHOP}:1'}}\n",
            },
            r"in 2 places of its values: `#a.image`, `#b.image`",
        ),
        (
            f"{SHOP}:1",
            OVERRIDE,
            {**CHART, "apps/shop/values.yaml": f"pods: [{{image: '{SHOP}:1'}}]\n"},
            "a parameter for an item takes the place of the whole list",
        ),
    ],
)
def test_what_can_t_be_told_of_an_override_is_refused(
    item: str, target: str, files: dict[str, str], message: str
) -> None:
    with pytest.raises(PromoteError, match=message):
        plan(item, target, files)


def test_an_override_gets_only_the_images_that_its_overlay_uses() -> None:
    files = {"apps/base/kustomization.yaml": "resources: [x.yaml]\n"}
    targets = []
    for name in ("shop", "proxy"):
        files[f"apps/{name}/kustomization.yaml"] = "resources: [x.yaml]\n"
        files[f"apps/{name}/x.yaml"] = deployment(f"ghcr.io/acme/{name}:0")
        targets.append(f"apps/{name}/.argocd-source.yaml")

    found = plan(f"{SHOP}:1.2.3 ghcr.io/acme/proxy:1.2.3", " ".join(targets), files)

    assert {path: content.decode() for path, content in found.files.items()} == {
        f"apps/{name}/.argocd-source.yaml": (
            f"kustomize:\n  images:\n  - ghcr.io/acme/{name}:1.2.3\n"
        )
        for name in ("shop", "proxy")
    }


def test_a_glob_adds_no_image_to_an_override() -> None:
    known = {**OVERLAY, OVERRIDE: "kustomize: {images: [other:1]}\n"}

    with pytest.raises(ImageNotFoundError, match="nor in the overlay beside this file"):
        plan(f"{SHOP}:1.2.3", "apps/shop/.argocd-source-*.yaml", known)

    assert plan(f"{SHOP}:1.2.3", OVERRIDE, known).files
