"""The plan: which files a promotion changes, on a given state of the config repository."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import parse_image
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.targets import parse_target
from memory import FILES, SHOP, Memory, deployment, overlay

DIGEST = "sha256:" + "0123456789abcdef" * 4


def request(images: str, targets: str, environments: str = "dev", **more: str) -> Request:
    """A request; its lists are parted by blanks."""
    names = tuple(environments.split())
    found = [
        parse_target(line, name, "shop") for name in names or ("",) for line in targets.split()
    ]
    return Request(tuple(map(parse_image, images.split())), tuple(found), names, **more)  # type: ignore[arg-type]


def plan(
    images: str,
    targets: str,
    environments: str = "dev",
    files: Mapping[str, str | bytes] = FILES,
) -> Plan:
    """The plan for a request."""
    return make_plan(Memory(files), request(images, targets, environments))


def edits(found: Plan, files: Mapping[str, str | bytes] = FILES) -> dict[str, list[str]]:
    """The lines that a plan adds, by file."""
    return {
        path: [
            line
            for line in content.decode().splitlines()
            if line not in str(files[path]).splitlines()
        ]
        for path, content in found.files.items()
    }


OVERLAYS = "apps/{app}/overlays/{environment}"
DEV, TEST, PROD = (
    f"apps/shop/overlays/{name}/kustomization.yaml" for name in ("dev", "test", "prod")
)
BASE = "apps/shop/base/kustomization.yaml"
VALUES = "charts/shop/values-dev.yaml"


def test_one_image_in_one_overlay() -> None:
    found = plan(f"{SHOP}:1.2.3", OVERLAYS)

    assert edits(found) == {DEV: ['    newTag: "1.2.3"']}
    assert [(c.image, c.path, c.line, c.key, str(c.old), str(c.new)) for c in found.changes] == [
        (SHOP, DEV, 5, "images[0]", f"{SHOP}:1.0.0", f"{SHOP}:1.2.3")
    ]
    assert found.message.startswith("Promote shop to 1.2.3 in dev\n\nPromoted-Image: ")
    assert (found.warnings, found.reason) == ((), "")
    assert '-    newTag: "1.0.0"\n+    newTag: "1.2.3"\n' in found.diff


def test_several_environments_are_one_plan() -> None:
    found = plan(f"{SHOP}:1.2.3", OVERLAYS, "dev test prod")

    assert list(found.files) == sorted([DEV, TEST, PROD])
    assert [change.path for change in found.changes] == [DEV, TEST, PROD]
    assert "in dev, test, prod\n" in found.message


@pytest.mark.parametrize(
    ("targets", "paths"),
    [
        ("apps/*/overlays/*", [DEV, PROD, TEST]),
        ("apps/**", [BASE, DEV, PROD, TEST]),
        ("apps/shop/overlays/[dt]*", [DEV, TEST]),
        ("**/dev", [DEV]),
        ("apps/shop/overlays/???", [DEV]),
        ("apps/shop/overlays/* apps/shop/overlays/dev/kustomization.yaml", [DEV, PROD, TEST]),
        (f"apps/shop/overlays/dev {VALUES}", [DEV, VALUES]),
        (f"{VALUES} helm:{VALUES}#image", [VALUES]),
        ("**", [BASE, DEV, PROD, TEST, VALUES]),
    ],
)
def test_globs_and_several_targets(targets: str, paths: list[str]) -> None:
    found = plan(f"{SHOP}:1.2.3", targets)

    assert list(found.files) == paths
    assert not found.warnings


def test_the_same_request_gives_the_same_plan_in_any_order() -> None:
    targets = ["apps/shop/overlays/dev", "apps/shop/overlays/prod", VALUES, "apps/*/overlays/t*"]
    plans = [plan(f"{SHOP}:2", " ".join(order)) for order in itertools.permutations(targets)]

    assert all(found.files == plans[0].files and found.diff == plans[0].diff for found in plans)
    assert plan(f"{SHOP}:2", " ".join(targets)) == plans[0]


def test_an_empty_change_has_a_reason() -> None:
    found = plan(f"{SHOP}:1.0.0", f"{OVERLAYS} {VALUES}")

    assert (found.files, found.diff) == ({}, "")
    assert found.reason == f"dev already has {SHOP}:1.0.0."
    assert len(found.changes) == 2


@pytest.mark.parametrize("key", ["image", "image.tag", ""])
def test_an_old_digest_never_stays_beside_a_new_tag(key: str) -> None:
    files = {"v.yaml": f"image:\n  repository: {SHOP}\n  tag: '1'\n  digest: {DIGEST}\n"}
    found = plan(f"{SHOP}:2", f"v.yaml#{key}", files=files)

    assert found.files["v.yaml"].decode().splitlines()[2:] == ["  tag: '2'", '  digest: ""']
    assert plan(f"{SHOP}:2", f"v.yaml#{key}", files=found.files).reason


def test_a_second_promotion_changes_nothing() -> None:
    first = plan(f"{SHOP}=mirror.io/shop:2@{DIGEST}", f"apps/*/overlays/* {VALUES}")
    second = plan(
        f"{SHOP}=mirror.io/shop:2@{DIGEST}",
        f"apps/*/overlays/* {VALUES}",
        files={**FILES, **first.files},
    )

    assert first.files
    assert not second.files
    assert second.reason


TWO = {
    **FILES,
    "apps/web/kustomization.yaml": overlay("acme/web:1", resources=["d.yaml"]),
    "apps/web/d.yaml": deployment("acme/web:0"),
    "apps/both/kustomization.yaml": overlay(resources=["d.yaml"]),
    "apps/both/d.yaml": deployment("acme/web:0", f"{SHOP}:0"),
    "values.yaml": f"web:\n  image: {{repository: acme/web, tag: '1'}}\nshop:\n  image: {SHOP}:1\n",
}


def test_each_image_goes_where_it_is_used() -> None:
    found = plan(
        f"{SHOP}:2 acme/web:3", "apps/shop/overlays/dev apps/web apps/both values.yaml", files=TWO
    )

    assert edits(found, TWO) == {
        DEV: ['    newTag: "2"'],
        "apps/both/kustomization.yaml": [
            "images:",
            f"  - name: {SHOP}",
            '    newTag: "2"',
            "  - name: acme/web",
            '    newTag: "3"',
        ],
        "apps/web/kustomization.yaml": ['    newTag: "3"'],
        "values.yaml": ["  image: {repository: acme/web, tag: '3'}", f"  image: {SHOP}:2"],
    }
    assert not found.warnings


def test_lines_are_those_of_the_edited_file() -> None:
    files = {
        **TWO,
        "apps/web/kustomization.yaml": overlay("acme/web:1", "acme/two:1", resources=["d.yaml"]),
    }
    found = plan("acme/two:2 acme/web=r.io/web:2", "apps/web", files=files)
    text = found.files["apps/web/kustomization.yaml"].decode().splitlines()

    assert [change.image for change in found.changes] == ["acme/two", "acme/web"]
    for change in found.changes:
        assert '"2"' in text[change.line - 1]
        before = "\n".join(text[: change.line])
        assert before.rindex(f"name: {change.image}") > before.rfind("newTag", 0, -20)


def test_an_entry_that_nothing_uses_is_added_with_a_warning() -> None:
    found = plan("acme/other:2", OVERLAYS)

    assert edits(found) == {DEV: ["  - name: acme/other", '    newTag: "2"']}
    (warning,) = found.warnings
    assert warning.startswith(f"{DEV}: no resource of this overlay uses `acme/other`")
    assert SHOP in warning


def test_an_entry_for_an_unknown_base_is_added_without_a_warning() -> None:
    files = {"kustomization.yaml": overlay(resources=["https://github.com/acme/base?ref=v1"])}
    found = plan("acme/other:2", ".", files=files)

    assert found.files
    assert not found.warnings


def test_an_overlay_that_has_nothing_to_change_is_told_of() -> None:
    found = plan(f"{SHOP}:2", "apps/shop/overlays/dev apps/web", files=TWO)

    assert list(found.files) == [DEV]
    (warning,) = found.warnings
    assert warning.startswith("apps/web/kustomization.yaml: this overlay uses none of the images")


REMOTE = overlay(resources=["https://github.com/acme/base?ref=v1"])


def test_an_unreadable_overlay_that_has_one_image_is_not_given_the_others() -> None:
    files = {
        "a/kustomization.yaml": REMOTE + "images: [{name: acme/a, newTag: '1'}]\n",
        "b/kustomization.yaml": REMOTE + "images: [{name: acme/b, newTag: '1'}]\n",
    }
    found = plan("acme/a:2 acme/b:2", "a b", files=files)

    assert [(change.image, change.path) for change in found.changes] == [
        ("acme/a", "a/kustomization.yaml"),
        ("acme/b", "b/kustomization.yaml"),
    ]


def test_an_unreadable_overlay_without_an_entry_is_given_one_where_it_is_named() -> None:
    files = {**FILES, PROD: REMOTE}

    assert list(plan(f"{SHOP}:2", OVERLAYS, "dev prod", files).files) == [DEV, PROD]
    assert list(plan(f"{SHOP}:2", "apps/shop/overlays/*", files=files).files) == [DEV, TEST]


def test_a_glob_adds_an_unknown_image_to_no_overlay() -> None:
    with pytest.raises(PromoteError, match=r"None of the 3 files .* has the image"):
        plan("acme/nope:1", "apps/shop/overlays/*")


def test_a_glob_that_fits_one_overlay_is_as_good_as_its_name() -> None:
    assert list(plan("acme/new:1", "apps/*/overlays/dev").files) == [DEV]


def test_a_glob_leaves_what_does_not_fit() -> None:
    found = plan("acme/web:9", "apps/** values.yaml", files=TWO)

    assert list(found.files) == [
        "apps/both/kustomization.yaml",
        "apps/web/kustomization.yaml",
        "values.yaml",
    ]
    assert not found.warnings


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        ("acme/nope:1", "values.yaml", "there is no image `acme/nope` here"),
        (
            "acme/nope:1",
            f"values.yaml {VALUES}",
            "None of the 2 files .* has the image `acme/nope`",
        ),
        ("acme/web:1", f"values.yaml {VALUES}", "there is no image `acme/web` here"),
        (f"{SHOP}:1 acme/nope:1", "values.yaml", "acme/nope"),
        (f"{SHOP}:1", "values.yaml#shop.image values.yaml#web.image", "holds `acme/web`, not"),
        (f"{SHOP}:1", "values.yaml#shpo.image", "there is no `shpo`"),
        ("acme/web:1", "values.yaml apps/shop/overlays/nope", "Target .* doesn't exist"),
    ],
)
def test_all_or_nothing(images: str, targets: str, message: str) -> None:
    with pytest.raises(PromoteError, match=message):
        plan(images, targets, files=TWO)


def test_what_is_named_and_missing_is_an_error_of_its_file() -> None:
    with pytest.raises(ImageNotFoundError) as raised:
        plan("acme/web:1", f"values.yaml {VALUES}", files=TWO)

    assert raised.value.path == VALUES


def test_two_images_for_one_place() -> None:
    files = {"values.yaml": "image:\n  repository: a/b\n  tag: '1'\n"}
    with pytest.raises(PromoteError, match="another image of this call are meant for one place"):
        plan("a/b=c/d:1 c/d:2", "values.yaml", files=files)


@pytest.mark.parametrize(
    ("image", "lines"),
    [
        (f"{SHOP}:1.10", ['    newTag: "1.10"']),
        (f"{SHOP}@{DIGEST}", [f'    digest: "{DIGEST}"']),
        (f"{SHOP}:2@{DIGEST}", ['    newTag: "2"', f'    digest: "{DIGEST}"']),
        (f"{SHOP}=r.io/shop:2", ["    newName: r.io/shop", '    newTag: "2"']),
        (f"{SHOP}=r.io/shop:*", ["    newName: r.io/shop"]),
    ],
)
def test_forms_of_an_image(image: str, lines: list[str]) -> None:
    assert edits(plan(image, OVERLAYS)) == {DEV: lines}


def test_line_ends_and_marks_stay() -> None:
    text = b"\xef\xbb\xbf" + FILES[DEV].replace("\n", "\r\n").rstrip().encode()
    files: dict[str, str | bytes] = {**FILES, DEV: text}
    found = plan(f"{SHOP}:2", OVERLAYS, files=files)

    assert found.files[DEV] == text.replace(b"1.0.0", b"2")
    assert "\\ No newline at end of file" in found.diff


def test_a_plan_only_reads() -> None:
    snapshot = Memory(FILES)
    before = dict(snapshot.files)
    asked = request(f"{SHOP}:2", "**")

    assert make_plan(snapshot, asked) == make_plan(snapshot, asked)
    assert snapshot.files == before
    assert set(snapshot.reads) <= set(FILES)


def test_a_template_and_a_signature() -> None:
    asked = replace(
        request(f"{SHOP}:2", OVERLAYS), message="{app}: {version}", app="shop", signoff="A <a@b.c>"
    )
    found = make_plan(Memory(FILES), asked)

    assert found.message.startswith("shop: 2\n\n")
    assert found.message.endswith("\nSigned-off-by: A <a@b.c>\n")


# Those that need no quotes: what was added without them keeps those that it was given since.
TAGS = st.from_regex(r"v[A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(
    TAGS, TAGS, st.permutations(["apps/both", "apps/web", "values.yaml", "apps/shop/overlays/*"])
)
def test_there_and_back_again(one: str, two: str, order: list[str]) -> None:
    start: dict[str, str | bytes] = {
        **TWO,
        **plan(f"{SHOP}:{one} acme/web:{one}", " ".join(order), files=TWO).files,
    }
    there = plan(f"{SHOP}:{two} acme/web:{one}", " ".join(order), files=start)
    back = plan(f"{SHOP}:{one} acme/web:{one}", " ".join(order), files={**start, **there.files})

    assert bool(there.files) == (one != two)
    for path, content in back.files.items():
        expected = start[path]
        assert content == (expected if isinstance(expected, bytes) else expected.encode())
    assert len(re.findall(r"(?m)^\+(?!\+\+)", there.diff)) in (0, 5)


def test_kustomize_builds_what_was_planned(tmp_path: Path, tool: Callable[[str], str]) -> None:
    kubectl = tool("kubectl")
    found = plan(
        f"{SHOP}:2 acme/web=r.io/web:3@{DIGEST}",
        "apps/both apps/web apps/shop/overlays/dev",
        files=TWO,
    )
    built_from: dict[str, str | bytes] = {**TWO, **found.files}
    for path, content in built_from.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    def images(folder: str) -> set[str]:
        command = [kubectl, "kustomize", str(tmp_path / folder)]
        built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"image: (.*)", built))

    assert images("apps/both") == {f"{SHOP}:2", f"r.io/web:3@{DIGEST}"}
    assert images("apps/web") == {f"r.io/web:3@{DIGEST}"}
    assert images("apps/shop/overlays/dev") == {f"{SHOP}:2"}
    assert images("apps/shop/overlays/prod") == {f"{SHOP}:0.8.0"}


def test_images_that_share_an_anchor_are_each_reported_as_they_were() -> None:
    text = "images:\n- name: acme/shop\n  newTag: &v v1\n- name: acme/worker\n  newTag: *v\n"
    files = {"kustomization.yaml": text}

    found = plan("acme/shop:v2 acme/worker:v2", "kustomization.yaml", files=files)

    assert found.files == {"kustomization.yaml": text.replace("v1", "v2").encode()}
    assert [(c.image, c.old.version, c.new.version) for c in found.changes] == [
        ("acme/shop", "v1", "v2"),
        ("acme/worker", "v1", "v2"),
    ]
