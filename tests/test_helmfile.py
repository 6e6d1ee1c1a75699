"""Helmfiles: releases, what they set, their values, and what templates fill in."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gitops_promote.core.change import Edited
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import parse_image
from gitops_promote.core.kinds import helmfile
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.locate import kinds_of
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml.document import Document
from memory import Memory

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER_DIGEST = "sha256:" + "fedcba9876543210" * 4
IMAGE = "ghcr.io/acme/shop"
CHART = "ghcr.io/acme/charts/shop"
REPOSITORIES = """\
repositories:
- name: acme
  url: ghcr.io/acme/charts
  oci: true
- {name: stable, url: "https://user:secret@charts.acme.dev/stable/"}
"""


def edited(text: str, item: str, key: str = "") -> Edited:
    """What a promotion makes of a helmfile."""
    document = Document.parse(text.encode(), "helmfile.yaml")
    return helmfile.KIND.set_image(document, parse_image(item), key, Around())


def promote(text: str, item: str, key: str = "") -> str:
    """The text after a promotion."""
    return edited(text, item, key).document.encode().decode()


def there_and_back(text: str, name: str, old: str, new: str, key: str = "") -> str:
    """The text after a promotion, which leads back, and which changes nothing when repeated."""
    after = promote(text, f"{name}:{new}", key)
    assert promote(after, f"{name}:{new}", key) == after
    assert promote(after, f"{name}:{old}", key) == text
    return after


def running(text: str, *images: str, key: str = "") -> list[str]:
    """What is read of a helmfile."""
    document = Document.parse(text.encode(), "helmfile.yaml")
    return [str(found.reference) for found in helmfile.KIND.running(document, key, images)]


def plan_of(files: dict[str, str], *images: str, target: str = "helmfile.yaml") -> Plan:
    """The plan of a call."""
    request = Request(tuple(map(parse_image, images)), (parse_target(target),))
    return make_plan(Memory(files), request)


def release(*lines: str, name: str = "shop") -> str:
    """A release of a helmfile."""
    return f"releases:\n- name: {name}\n" + "".join(f"  {line}\n" for line in lines)


# Versions of charts.


@pytest.mark.parametrize(
    ("chart", "name"),
    [
        ("oci://ghcr.io/acme/charts/shop", CHART),
        ("oci://localhost:5000/shop", "localhost:5000/shop"),
        ("acme/shop", CHART),
        ("stable/shop", "charts.acme.dev/stable/shop"),
        ("acme/team/shop", "ghcr.io/acme/charts/team/shop"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_release_is_found_by_what_its_chart_is_called(
    chart: str, name: str, newline: str
) -> None:
    text = REPOSITORIES + release(f"chart: {chart}", "version: '1.2.2' # now", "namespace: web")
    text = text.replace("\n", newline)

    after = there_and_back(text, name, "1.2.2", "1.3.0")

    assert after == text.replace("'1.2.2' # now", "'1.3.0' # now")
    assert running(after, name) == running(after) == [f"{name}:1.3.0"]


@pytest.mark.parametrize("chart", ["./charts/shop", "other/shop", "../shop", "'{{ .Values.c }}'"])
def test_a_release_whose_chart_has_no_name_is_reached_by_a_key(chart: str) -> None:
    text = REPOSITORIES + release(f"chart: {chart}", "version: 1.2.2")

    after = there_and_back(text, "shop", "1.2.2", "1.3.0", "releases[name=shop].version")

    assert after == text.replace("1.2.2", "1.3.0")
    assert running(text) == []
    assert running(text, key="releases[name=shop].version") == [":1.2.2"]
    with pytest.raises(ImageNotFoundError, match="there is no image"):
        promote(text, f"{CHART}:1.3.0")


def test_repositories_and_releases_may_stand_in_parts_of_a_file() -> None:
    shop = release("chart: acme/shop", "version: 1.2.2")
    text = f"---\n{REPOSITORIES}---\nenvironments: {{dev: }}\n---\n{shop}"

    assert there_and_back(text, CHART, "1.2.2", "1.3.0") == text.replace("1.2.2", "1.3.0")
    assert promote(text, "shop:1.3.0", "releases[name=shop].version") == text.replace(
        "1.2.2", "1.3.0"
    )
    assert edited(text, f"{CHART}:1.3.0").changes[0].key == "[2].releases[0]"


def test_a_range_of_versions_gives_way_to_the_version() -> None:
    text = REPOSITORIES + release("chart: acme/shop", "version: ~1.2.0")

    assert promote(text, f"{CHART}:1.3.0") == text.replace("~1.2.0", "1.3.0")


def test_a_release_without_a_version_gets_one_behind_its_chart() -> None:
    text = REPOSITORIES + release("chart: acme/shop", "namespace: web")

    assert promote(text, f"{CHART}:1.3.0") == REPOSITORIES + release(
        "chart: acme/shop", "version: 1.3.0", "namespace: web"
    )


def test_a_chart_that_is_named_with_its_version_keeps_it_there() -> None:
    text = release("chart: oci://ghcr.io/acme/charts/shop:1.2.2 # now")

    assert there_and_back(text, CHART, "1.2.2", "1.3.0") == text.replace("1.2.2", "1.3.0")
    assert running(text) == [f"{CHART}:1.2.2"]
    with pytest.raises(PromoteError, match="`main` is no SemVer"):
        promote(text, f"{CHART}:main")


def test_a_chart_that_names_two_versions_is_refused() -> None:
    text = release("chart: oci://ghcr.io/acme/charts/shop:1.2.2", "version: 1.2.2")

    with pytest.raises(PromoteError, match="has a `version`, and `chart` names one, too"):
        promote(text, f"{CHART}:1.3.0")


def test_a_digest_goes_behind_a_version_where_there_is_one() -> None:
    text = release("chart: oci://ghcr.io/acme/charts/shop", f"version: 1.2.2@{DIGEST}")

    assert promote(text, f"{CHART}:1.3.0@{OTHER_DIGEST}") == text.replace(
        f"1.2.2@{DIGEST}", f"1.3.0@{OTHER_DIGEST}"
    )
    assert promote(text, f"{CHART}:1.3.0") == text.replace(f"1.2.2@{DIGEST}", "1.3.0")
    plain = promote(text, f"{CHART}:1.2.2")
    assert promote(plain, f"{CHART}:1.3.0@{DIGEST}") == plain.replace("1.2.2", "1.3.0")
    with pytest.raises(PromoteError, match="is no SemVer"):
        promote(text, f"{CHART}@{OTHER_DIGEST}")


def test_a_chart_that_a_release_adds_is_found_too() -> None:
    text = release(
        "chart: ./shop",
        "dependencies:",
        "- chart: oci://ghcr.io/acme/charts/web",
        "  version: 1.0.0",
    )

    assert promote(text, "ghcr.io/acme/charts/web:1.1.0") == text.replace("1.0.0", "1.1.0")


def test_a_template_of_releases_is_found_as_a_release_is() -> None:
    text = "templates:\n  default: &default\n"
    text += "    chart: oci://ghcr.io/acme/charts/shop\n    version: 1.2.2\n"
    inherits = text + "releases:\n- name: a\n  inherit: [{template: default}]\n"
    merges = text + "releases:\n- name: a\n  <<: *default\n- name: b\n  <<: *default\n"

    for before in (inherits, merges):
        assert there_and_back(before, CHART, "1.2.2", "1.3.0") == before.replace("1.2.2", "1.3.0")


def test_two_releases_of_one_chart_are_told_apart_by_a_key() -> None:
    item = "- {name: %s, chart: 'oci://ghcr.io/acme/charts/shop', version: 1.2.2}\n"
    text = "releases:\n" + item % "a" + item % "b"

    with pytest.raises(PromoteError, match="stands in 2 places") as refused:
        promote(text, f"{CHART}:1.3.0")

    assert "`#releases.*`" in refused.value.fix
    assert promote(text, f"{CHART}:1.3.0", "releases.*") == text.replace("1.2.2", "1.3.0")
    assert promote(text, f"{CHART}:1.3.0", "releases[name=b].version") == "releases:\n" + (
        item % "a" + (item % "b").replace("1.2.2", "1.3.0")
    )


# `set` and `setString`.


@pytest.mark.parametrize("listed", ["set", "setString"])
@pytest.mark.parametrize("prefix", ["", "image.", "web.main.image."])
def test_the_items_that_set_an_image_are_one_place(listed: str, prefix: str) -> None:
    text = release(
        "chart: ./shop",
        f"{listed}:",
        f"- {{name: {prefix}repository, value: acme/shop}}",
        f"- name: {prefix}tag",
        "  value: v1 # now",
        f"- {{name: {prefix}registry, value: ghcr.io}}",
        "- {name: replicas, value: 3}",
        "- {name: version, value: 3}",
    )

    assert there_and_back(text, IMAGE, "v1", "v2") == text.replace("v1", "v2")
    assert running(text) == [f"{IMAGE}:v1"]
    renamed = promote(text, f"{IMAGE}=quay.io/acme/web:v2")
    assert renamed == text.replace("v1", "v2").replace("acme/shop", "acme/web").replace(
        "ghcr.io", "quay.io"
    )


def test_an_image_may_be_set_in_two_lists_or_as_a_whole() -> None:
    two = release(
        "set:",
        f"- {{name: image.repository, value: {IMAGE}}}",
        "setString:",
        "- name: image.tag",
        "  value: 20261121",
    )
    whole = release("set:", "- name: worker.image", f"  value: {IMAGE}:v1")

    after = promote(two, f"{IMAGE}:20261122")
    assert after == two.replace("20261121", '"20261122"')
    assert there_and_back(whole, IMAGE, "v1", "v2") == whole.replace("v1", "v2")


def test_a_tag_without_a_name_is_reached_by_a_key() -> None:
    text = release("set:", "- name: image.tag", "  value: v1")
    key = "releases[name=shop].set[name=image.tag].value"

    assert there_and_back(text, IMAGE, "v1", "v2", key) == text.replace("v1", "v2")
    with pytest.raises(ImageNotFoundError, match="there is no image") as refused:
        promote(text, f"{IMAGE}:v2")
    assert "#releases[0].set[0].value" in refused.value.fix


@pytest.mark.parametrize(
    "name", [r"image\.tag", "a..b.tag", "a[b=c].tag", "tags", "", "policy.image"]
)
def test_other_items_are_no_images(name: str) -> None:
    text = release("set:", f"- {{name: '{name}', value: v1}}", "- {name: file.image.tag, file: a}")

    with pytest.raises(ImageNotFoundError, match="there is no image") as refused:
        promote(text, f"{IMAGE}:v2")

    assert refused.value.fix == "Name the image's block or tag with `#KEY`."


def test_a_digest_that_is_set_goes_along() -> None:
    text = release(
        "setString:",
        f"- {{name: image.repository, value: {IMAGE}}}",
        "- {name: image.tag, value: v1}",
        f"- {{name: image.digest, value: '{DIGEST}'}}",
    )
    alone = text.replace("  - {name: image.tag, value: v1}\n", "")
    none = text.replace(f"  - {{name: image.digest, value: '{DIGEST}'}}\n", "")

    assert promote(text, f"{IMAGE}:v2@{OTHER_DIGEST}") == text.replace("v1", "v2").replace(
        DIGEST, OTHER_DIGEST
    )
    assert promote(text, f"{IMAGE}:v2") == text.replace("v1", "v2").replace(DIGEST, "")
    assert promote(alone, f"{IMAGE}@{OTHER_DIGEST}") == alone.replace(DIGEST, OTHER_DIGEST)
    assert promote(none, f"{IMAGE}:v2@{DIGEST}") == none.replace("value: v1", f"value: v2@{DIGEST}")
    for before, item in ((alone, f"{IMAGE}:v2"), (none, f"{IMAGE}@{DIGEST}")):
        with pytest.raises(PromoteError, match="nothing beside"):
            promote(before, item)


def test_a_number_is_refused_in_set_and_taken_in_set_string() -> None:
    text = release("set:", "- {name: image.tag, value: v1}")
    key = "releases[0].set[0].value"

    with pytest.raises(PromoteError, match="takes `20261122` in `set` for a number") as refused:
        promote(text, f"{IMAGE}:20261122", key)

    assert (refused.value.line, "`setString`" in refused.value.fix) == (4, True)
    forced = text.replace("set:", "setString:")
    assert promote(forced, f"{IMAGE}:20261122", key.replace("set[", "setString[")) == (
        forced.replace("v1", '"20261122"')
    )


def test_helm_makes_a_text_of_every_tag_that_is_taken_in_set(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    tags = ["1.10", "v1", "20261122", "0", "007", "1e5", "0x1F", "1_0", "12345678901234567890"]
    tags += ["TRUE", "null", "False", "yes", "9223372036854775807", "main-1", "1.2.3", "0o7", "on"]
    folder = tmp_path / "shop"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (folder / "values.yaml").write_text("old: {}\n")
    (folder / "templates" / "a.yaml").write_text("v: {{ .Values.t | toJson }}\n")
    text = release("set:", "- {name: image.tag, value: old}")

    for tag in tags:
        command = [
            tool("helm"),
            "template",
            "shop",
            str(folder),
            "--set",
            ",".join([f"t.tag={tag}"]),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rendered = json.loads(done.stdout.partition("v: ")[2].strip())
        is_text = rendered == {"tag": tag}
        try:
            promote(text, f"{IMAGE}:{tag}", "releases[0].set[0].value")
        except PromoteError:
            assert not is_text, tag
        else:
            assert is_text, tag


def test_set_wins_over_the_values_of_its_release() -> None:
    text = release(
        "values:",
        f"- image: {{repository: {IMAGE}, tag: v0}}",
        "set:",
        "- {name: image.tag, value: v1}",
    )

    done = edited(text, f"{IMAGE}:v2")

    assert done.document.text == text.replace("v1", "v2")
    assert done.warnings == ("`releases[0].set[0].value` wins over `v0` in `values` (line 4).",)
    assert running(text) == [f"{IMAGE}:v1"]
    assert edited(text.replace(", tag: v0", ""), f"{IMAGE}:v2").warnings == ()


def test_a_digest_below_set_goes_along() -> None:
    text = release(
        "values:",
        f"- image: {{repository: {IMAGE}, digest: '{DIGEST}'}}",
        "set:",
        "- {name: image.tag, value: v1}",
    )

    assert promote(text, f"{IMAGE}:v2@{OTHER_DIGEST}") == text.replace("v1", "v2").replace(
        DIGEST, OTHER_DIGEST
    )
    with pytest.raises(PromoteError, match="stands in the release's `values`"):
        promote(text, f"{IMAGE}=quay.io/acme/shop:v2")


# What wins over values.

INLINE = ("values:", f"- image: {{repository: {IMAGE}, tag: v1}}")
OTHER = ("values:", "- image: {repository: other, tag: v1}")


@pytest.mark.parametrize(
    "key", ["", "releases[0].values[0].image", "releases[0].values[0].image.tag"]
)
@pytest.mark.parametrize(
    "lines",
    [
        ("set:", "- {name: image.tag, file: tag.txt}"),
        ("set:", "- {name: image.tag, env: TAG}"),
        ("setString:", "- {name: image.tag, values: [v0]}"),
        ("set:", "- {name: image, file: image.yaml}"),
        ("setTemplate:", "- {name: image.tag, value: '{{ .Release.Name }}'}"),
        ("setTemplate:", "- {name: image.repository, value: a}"),
        ("setStringTemplate:", "- {name: image.digest, value: a}"),
    ],
)
def test_values_that_something_of_elsewhere_wins_over_are_refused(
    lines: tuple[str, ...], key: str
) -> None:
    text = release(*INLINE, *lines)

    with pytest.raises(ImageNotFoundError, match="has no say") as refused:
        promote(text, f"{IMAGE}:v2", key)

    assert f"`{lines[0][:-1]}` (line 6)" in refused.value.what
    assert running(text) == []


def test_what_something_of_elsewhere_sets_of_other_things_is_no_matter() -> None:
    text = release(
        *INLINE,
        "set:",
        "- {name: db.image.tag, file: tag.txt}",
        "- {name: imagePullSecret, env: A}",
        "- {name: image.pullPolicy, env: B}",
        "- {name: '', file: x}",
        "- {name: 'a..b', file: x}",
        "- plain",
    )

    assert there_and_back(text, IMAGE, "v1", "v2") == text.replace("v1", "v2")


def test_a_template_without_quotes_in_set_is_refused() -> None:
    text = release(*INLINE, "set:", "- {name: image.tag, value: {{ .Values.tag }}}")

    with pytest.raises(PromoteError, match="which a template fills in") as refused:
        promote(text, f"{IMAGE}:v2")

    assert refused.value.line == 6
    assert running(text) == []


@pytest.mark.parametrize(
    "given",
    [
        "set: [{name: image.tag, value: v0}]",
        f"set: [{{name: image.repository, value: {IMAGE}}}]",
        f"values: [{{image: {{repository: {IMAGE}, tag: v0}}}}]",
        "setString: [{name: image.tag, file: a}]",
    ],
)
def test_an_image_that_a_release_and_its_template_speak_of_is_refused(given: str) -> None:
    text = f"templates:\n  default:\n    {given}\n"
    text += release("inherit: [{template: default}, {template: other}]", *INLINE)

    with pytest.raises(ImageNotFoundError, match="has no say, or none alone"):
        promote(text, f"{IMAGE}:v2")

    apart = text.replace("template: default", "template: web")
    key = "releases[0].values[0].image"
    assert promote(apart, f"{IMAGE}:v2", key) == text.replace("v1", "v2").replace(
        "template: default", "template: web"
    )


def test_a_value_that_is_read_from_elsewhere_is_refused() -> None:
    for tag in ("ref+vault://secret/shop#/tag", "ref+awsssm://shop/tag?region=eu"):
        text = release("values:", f"- image: {{repository: {IMAGE}, tag: '{tag}'}}")

        with pytest.raises(PromoteError, match="which is read from elsewhere"):
            promote(text, f"{IMAGE}:v2")

        assert running(text) == []


def test_a_name_beside_a_version_of_something_else_is_no_image() -> None:
    text = release(
        "set:", "- {name: db.name, value: postgres}", "- {name: db.version, value: '14.1'}"
    )

    with pytest.raises(ImageNotFoundError, match="there is no image"):
        promote(text, "postgres:15")

    assert running(text) == []


def test_a_digest_that_is_set_and_one_below_are_emptied_together() -> None:
    text = release(
        "values:",
        f"- image: {{repository: {IMAGE}, digest: '{DIGEST}'}}",
        "setString:",
        "- {name: image.tag, value: v1}",
        f"- {{name: image.digest, value: '{OTHER_DIGEST}'}}",
    )

    after = promote(text, f"{IMAGE}:v2")
    assert after == text.replace("v1", "v2").replace(DIGEST, "").replace(OTHER_DIGEST, "")
    assert promote(text, f"{IMAGE}:v2@{DIGEST}") == text.replace("v1", "v2").replace(
        OTHER_DIGEST, DIGEST
    )


def test_a_bare_sha_stays_bare() -> None:
    bare, other = DIGEST.partition(":")[2], OTHER_DIGEST.partition(":")[2]
    text = release(
        "setString:",
        f"- {{name: image.repository, value: {IMAGE}}}",
        "- {name: image.tag, value: v1}",
        f"- {{name: image.sha, value: '{bare}'}}",
    )

    assert running(text) == [f"{IMAGE}:v1@{DIGEST}"]
    after = promote(text, f"{IMAGE}:v2@{OTHER_DIGEST}")
    assert after == text.replace("v1", "v2").replace(bare, other)
    whole = text.replace(bare, DIGEST)
    assert running(whole) == [f"{IMAGE}:v1@{DIGEST}"]
    assert promote(whole, f"{IMAGE}:v2@{OTHER_DIGEST}") == whole.replace("v1", "v2").replace(
        DIGEST, OTHER_DIGEST
    )


def test_a_digest_that_is_set_over_a_tag_in_values_is_promoted_with_it() -> None:
    text = release(*INLINE, "set:", f"- {{name: image.digest, value: '{DIGEST}'}}")

    assert promote(text, f"{IMAGE}:v2@{OTHER_DIGEST}") == text.replace("v1", "v2").replace(
        DIGEST, OTHER_DIGEST
    )
    assert promote(text, f"{IMAGE}:v2") == text.replace("v1", "v2").replace(DIGEST, "")


def test_a_thousand_items_are_read_fast() -> None:
    images = range(500)
    lines = [f"- {{name: a{n}.image.repository, value: ghcr.io/acme/a{n}}}" for n in images]
    lines += [f"- {{name: a{n}.image.tag, value: v1}}" for n in images]
    text = release("set:", *lines)
    start = time.process_time()

    after = promote(text, "ghcr.io/acme/a400:v2")

    assert time.process_time() - start < 2
    assert after == text.replace("a400.image.tag, value: v1", "a400.image.tag, value: v2")


@pytest.mark.parametrize("lists", [("values", "values"), ("valuesTemplate", "values")])
def test_of_several_values_the_last_that_has_a_part_is_promoted(lists: tuple[str, str]) -> None:
    first, last = f"- image: {{repository: {IMAGE}, tag: v0}}", "- image: {tag: v1}"
    between = [] if lists[0] == lists[1] else ["values:"]
    text = release(f"{lists[0]}:", first, *between, last)

    done = edited(text, f"{IMAGE}:v2")

    assert there_and_back(text, IMAGE, "v1", "v2") == text.replace("v1", "v2")
    assert running(text) == [f"{IMAGE}:v1"]
    assert "wins over `v0` in `values` (line 4)" in "".join(done.warnings)
    with pytest.raises(ImageNotFoundError, match="has no say"):
        promote(text, f"{IMAGE}:v2", f"releases[0].{lists[0]}[0].image.tag")


def test_a_key_to_a_version_that_set_goes_before_is_refused() -> None:
    text = release("values:", "- image: {tag: v1}", "set:", "- {name: image.tag, value: v1}")

    with pytest.raises(ImageNotFoundError, match=r"`set` \(line 6\) gives `image.tag`"):
        promote(text, f"{IMAGE}:v2", "releases[0].values[0].image.tag")

    other = text.replace("name: image.tag", "name: image.pullPolicy")
    after = promote(other, f"{IMAGE}:v2", "releases[0].values[0].image.tag")
    assert after == other.replace("{tag: v1}", "{tag: v2}")


def test_values_that_later_ones_replace_as_a_whole_say_nothing() -> None:
    whole = release("values:", f"- image: {IMAGE}:v0", f"- image: {IMAGE}:v1")
    listed = release("values:", f"- pods: [image: '{IMAGE}:v0']", f"- pods: [image: '{IMAGE}:v1']")

    for text in (whole, listed):
        assert there_and_back(text, IMAGE, "v1", "v2") == text.replace("v1", "v2")
        assert running(text) == [f"{IMAGE}:v1"]


def test_set_may_name_an_image_whose_tag_stands_in_values() -> None:
    text = release(
        "values:",
        "- image: {repository: docker.io/library/old, tag: v1}",
        "set:",
        f"- {{name: image.repository, value: {IMAGE}}}",
    )

    assert there_and_back(text, IMAGE, "v1", "v2") == text.replace("v1", "v2")
    assert running(text) == [f"{IMAGE}:v1"]
    with pytest.raises(ImageNotFoundError, match="there is no image"):
        promote(text, "docker.io/library/old:v2")


def test_the_registry_of_all_images_counts_in_set_too() -> None:
    text = release(
        "values:",
        "- global: {imageRegistry: ghcr.io}",
        "set:",
        "- {name: image.repository, value: acme/shop}",
        "- {name: image.tag, value: v1}",
    )

    assert there_and_back(text, IMAGE, "v1", "v2") == text.replace("v1", "v2")
    assert running(text) == [f"{IMAGE}:v1"]


@pytest.mark.parametrize(
    "lines",
    [
        ("values: [values.yaml]", "set: [{name: image.tag, value: v0}]"),
        ("values: [values.yaml]", "set: [{name: image.tag, file: a}]"),
        ("values: [values.yaml, {image: {tag: v0}}]",),
    ],
)
def test_a_values_file_below_a_version_without_a_name_is_left(lines: tuple[str, ...]) -> None:
    values = f"image:\n  repository: {IMAGE}\n  tag: v1\n"
    files = {"helmfile.yaml": release(*lines), "values.yaml": values}
    above = release("values: [{image: {tag: v0}}, values.yaml]")

    with pytest.raises(PromoteError, match="there is no image"):
        plan_of(files, f"{IMAGE}:v2")

    plan = plan_of({"helmfile.yaml": above, "values.yaml": values}, f"{IMAGE}:v2")
    assert list(plan.files) == ["values.yaml"]


@pytest.mark.parametrize(
    "lines",
    [
        [*INLINE, "- image: {tag: v1}"],
        [*INLINE, "set:", "- {name: image.tag, value: v1}"],
        [*OTHER, "set:", f"- {{name: image.repository, value: {IMAGE}}}"],
        [*OTHER, "- {image: {tag: v1}}", "setString:", "- {name: image.repository, value: IT}"],
    ],
)
def test_helm_renders_what_was_promoted(
    tool: Callable[[str], str], tmp_path: Path, lines: list[str]
) -> None:
    folder = tmp_path / "shop"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (folder / "templates" / "a.yaml").write_text("v: {{ .Values.image | toJson }}\n")
    after = promote(release(*lines).replace("IT}", f"{IMAGE}}}"), f"{IMAGE}:v2")
    found = yaml.safe_load(after)["releases"][0]
    command = [tool("helm"), "template", "shop", str(folder)]
    for index, values in enumerate(found["values"]):
        (tmp_path / f"{index}.yaml").write_text(yaml.safe_dump(values))
        command += ["--values", str(tmp_path / f"{index}.yaml")]
    for listed, option in (("set", "--set"), ("setString", "--set-string")):
        for item in found.get(listed, []):
            command += [option, f"{item['name']}={item['value']}"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.partition("v: ")[2]) == {"repository": IMAGE, "tag": "v2"}


# Values.


def test_values_of_a_release_are_found_as_in_a_values_file() -> None:
    text = release(
        "values:",
        "- replicas: 2",
        "- web:",
        "    image:",
        f"      repository: {IMAGE} # theirs",
        '      tag: "v1"',
        "- values.yaml",
    )

    assert there_and_back(text, IMAGE, "v1", "v2") == text.replace("v1", "v2")
    assert promote(text, f"{IMAGE}:v2", "releases[name=shop].values[1].web.image") == text.replace(
        "v1", "v2"
    )
    assert promote(text, f"{IMAGE}:v2", "web.image.tag") == text.replace("v1", "v2")


def test_a_key_into_values_is_none_where_several_releases_have_some() -> None:
    text = release("values:", "- image: {tag: v1}") + (
        "- name: b\n  values:\n  - image: {tag: v1}\n"
    )

    with pytest.raises(PromoteError, match="there is no `image`"):
        promote(text, f"{IMAGE}:v2", "image.tag")


def test_an_image_in_two_environments_is_told_apart_by_a_key() -> None:
    item = f"  %s:\n    values:\n    - shop: {{image: {{repository: {IMAGE}, tag: v1}}}}\n"
    text = "environments:\n" + item % "dev" + item % "prod"

    with pytest.raises(PromoteError, match="stands in 2 places"):
        promote(text, f"{IMAGE}:v2")

    after = promote(text, f"{IMAGE}:v2", "environments.dev.values[0].shop.image")
    assert after == "environments:\n" + (item % "dev").replace("v1", "v2") + item % "prod"


def test_the_names_of_values_files_may_have_a_prefix() -> None:
    text = release("valuesPathPrefix: values/", "values: [shop.yaml, web/a.yaml]")

    document = Document.parse(text.encode(), "helmfile.yaml")

    assert helmfile.KIND.values_files(document) == ["values/shop.yaml", "values/web/a.yaml"]


def test_a_values_file_that_a_release_names_is_promoted_along() -> None:
    values = f"image:\n  repository: {IMAGE}\n  tag: v1\n"
    text = release(
        "values:",
        "- ../outside.yaml",
        "- values/shop.yaml",
        "- ./values/missing.yaml",
        "- values/{{ .Environment.Name }}.yaml",
        "- values/rendered.yaml.gotmpl",
        "- https://acme.dev/values/remote.yaml",
        "- git::https://acme.dev/r.git@values/git.yaml",
    )
    files = {
        "deploy/helmfile.yaml": text,
        "deploy/values/shop.yaml": values,
        "outside.yaml": values,
    }

    plan = plan_of(files, f"{IMAGE}:v2", target="deploy")

    assert {path: content.decode() for path, content in plan.files.items()} == {
        "deploy/values/shop.yaml": values.replace("v1", "v2")
    }
    document = Document.parse(text.encode(), "helmfile.yaml")
    assert helmfile.KIND.values_files(document) == [
        "../outside.yaml",
        "values/shop.yaml",
        "./values/missing.yaml",
    ]


# What a template fills in.


@pytest.mark.parametrize(
    ("lines", "item", "key"),
    [
        (
            ["chart: oci://ghcr.io/acme/charts/shop", "version: '{{ .Values.v }}'"],
            f"{CHART}:1.3.0",
            "",
        ),
        (
            ["chart: oci://ghcr.io/acme/charts/shop", "version: {{ .Values.v }}"],
            f"{CHART}:1.3.0",
            "",
        ),
        (["chart: ./shop", "version: '{{ .Values.v }}'"], "shop:1.3.0", "releases[0].version"),
        (["chart: ./shop", "version: {{ .Values.v }}"], "shop:1.3.0", "releases[0].version"),
        (
            [
                "set:",
                f"- {{name: image.repository, value: {IMAGE}}}",
                "- name: image.tag",
                '  value: "{{ .Values.v }}"',
            ],
            f"{IMAGE}:v2",
            "",
        ),
        (
            ["values:", "- image:", f"    repository: {IMAGE}", "    tag: '{{ .Values.v }}'"],
            f"{IMAGE}:v2",
            "",
        ),
        (
            ["values:", "- image:", f"    repository: {IMAGE}", "    tag: {{ .Values.v }}"],
            f"{IMAGE}:v2",
            "",
        ),
        (
            ["values:", "- image:", "    tag: {{ .Values.v }}"],
            f"{IMAGE}:v2",
            "releases[0].values[0].image.tag",
        ),
    ],
)
def test_what_a_template_fills_in_is_refused_and_not_read(
    lines: list[str], item: str, key: str
) -> None:
    text = release(*lines)

    with pytest.raises(PromoteError, match="which a template fills in") as refused:
        promote(text, item, key)

    assert "{{" in text.splitlines()[refused.value.line - 1]
    assert "of the environment" in refused.value.fix
    assert running(text) == []
    assert all("{" not in found for found in running(text, item.rpartition(":")[0], key=key))


@pytest.mark.parametrize("path", ["helmfile.yaml", "helmfile.d/10-shop.yaml"])
def test_a_helmfile_that_is_no_yaml_names_the_values_of_the_environment(path: str) -> None:
    text = (
        "releases:\n{{ if .Values.x }}\n- name: shop\n  chart: {{ .Values.c | quote }}\n{{ end }}\n"
    )

    with pytest.raises(PromoteError, match="not valid YAML") as refused:
        plan_of({path: text}, f"{IMAGE}:v2", target=path)

    assert "`environments.NAME.values`" in refused.value.fix
    assert (refused.value.path, refused.value.line > 0) == (path, True)


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("helmfile.yaml.gotmpl", "`environments.NAME.values`"),
        ("helmfile.d/shop.yaml.gotmpl", "`environments.NAME.values`"),
        ("values/shop.yaml.gotmpl", "in a values file that the template reads"),
    ],
)
def test_a_go_template_is_refused(path: str, fix: str) -> None:
    with pytest.raises(PromoteError, match="is a Go template") as refused:
        plan_of({path: "releases: []\n"}, f"{IMAGE}:v2", target=path)

    assert fix in refused.value.fix


# What a helmfile is.


@pytest.mark.parametrize(
    ("path", "text", "kinds"),
    [
        ("helmfile.yaml", "helmfiles: [a.yaml]\n", ["helmfile"]),
        ("helmfile.yml", "a: b\n", ["helmfile"]),
        ("helmfile.d/10-shop.yaml", release("chart: ./shop"), ["helmfile"]),
        ("any.yaml", "bases: [a]\n---\n" + release("chart: ./shop"), ["helmfile"]),
        ("values.yaml", release("image: a"), ["helm"]),
        ("values.yaml", "releases: {chart: a}\n", ["helm"]),
        ("values.yaml", "templates: {a: {chart: b}}\n", ["helm"]),
    ],
)
def test_a_helmfile_is_told_by_its_name_or_its_releases(
    path: str, text: str, kinds: list[str]
) -> None:
    assert kinds_of(path, Document.parse(text.encode(), path)) == kinds


def test_a_folder_stands_for_its_helmfile() -> None:
    text = REPOSITORIES + release("chart: acme/shop", "version: 1.2.2")

    plan = plan_of({"deploy/helmfile.yaml": text}, f"{CHART}:1.3.0", target="deploy")

    assert list(plan.files) == ["deploy/helmfile.yaml"]


# The lock.

LOCK = "version: 0.150.0\ndependencies:\n- name: shop\n  repository: oci://x\n  version: 1.2.2\n"


@pytest.mark.parametrize(
    ("path", "lock", "first", "warns"),
    [
        ("helmfile.yaml", "helmfile.lock", "chart: acme/shop", True),
        ("helmfile.d/web.yaml", "helmfile.d/web.lock", "chart: acme/shop", True),
        ("helmfile.yaml", "other.lock", "chart: acme/shop", False),
        ("helmfile.yaml", "helmfile.lock", "chart: oci://ghcr.io/acme/charts/shop", False),
    ],
)
def test_a_lock_that_has_another_version_is_told_of(
    path: str, lock: str, first: str, *, warns: bool
) -> None:
    text = REPOSITORIES + release(first, "version: 1.2.2")

    plan = plan_of({path: text, lock: LOCK}, f"{CHART}:1.3.0", target=path)
    same = plan_of({path: text, lock: LOCK}, f"{CHART}:1.2.2", target=path)
    locked = plan_of(
        {path: text, lock: LOCK.replace("1.2.2", "1.3.0")}, f"{CHART}:1.3.0", target=path
    )

    expected = "has shop 1.2.2, so that helmfile refuses 1.3.0: make it anew by `helmfile deps`."
    assert [expected in text for text in plan.warnings] == [True] * warns
    assert (same.warnings, locked.warnings) == ((), ())


def test_a_lock_may_stand_elsewhere() -> None:
    text = "lockFilePath: locks/shop.lock\n" + REPOSITORIES
    text += release("chart: acme/shop", "version: 1.2.2")

    plan = plan_of({"helmfile.yaml": text, "locks/shop.lock": LOCK}, f"{CHART}:1.3.0")

    assert "`locks/shop.lock` has shop 1.2.2" in "".join(plan.warnings)


@pytest.mark.parametrize("path", ["../shop.lock", "/shop.lock", "none.lock"])
def test_a_lock_outside_of_the_repository_is_none(path: str) -> None:
    text = f"lockFilePath: {path}\n" + REPOSITORIES
    text += release("chart: acme/shop", "version: 1.2.2")

    assert plan_of({"helmfile.yaml": text}, f"{CHART}:1.3.0").warnings == ()


# Several images, anchors.


def test_several_images_of_one_call_go_to_their_places() -> None:
    text = REPOSITORIES + release(
        "chart: acme/shop",
        "version: 1.2.2",
        "values:",
        f"- image: {{repository: {IMAGE}, tag: 1.2.2}}",
        "setString:",
        "- {name: proxy.image, value: 'docker.io/envoyproxy/envoy:v1.30'}",
    )

    plan = plan_of(
        {"helmfile.yaml": text},
        f"{CHART}:1.3.0",
        f"{IMAGE}:1.4.0",
        "docker.io/envoyproxy/envoy:v1.31",
    )

    assert plan.files["helmfile.yaml"].decode() == text.replace(
        "version: 1.2.2", "version: 1.3.0"
    ).replace("tag: 1.2.2", "tag: 1.4.0").replace("v1.30", "v1.31")
    assert len(plan.changes) == 3


def test_a_version_that_an_anchor_gives_to_another_release_is_refused() -> None:
    text = (
        "releases:\n- {name: a, chart: 'oci://ghcr.io/acme/charts/shop', version: &v 1.2.2}\n"
        "- {name: b, chart: 'oci://ghcr.io/acme/charts/web', version: *v}\n"
    )

    with pytest.raises(PromoteError, match="shares what it is given with"):
        promote(text, f"{CHART}:1.3.0")

    plan = plan_of({"helmfile.yaml": text}, f"{CHART}:1.3.0", "ghcr.io/acme/charts/web:1.3.0")
    assert plan.files["helmfile.yaml"].decode() == text.replace("1.2.2", "1.3.0")
