"""What differs between two renderings, and whether it is images alone."""

from __future__ import annotations

import time
from collections.abc import Iterable
from random import Random
from typing import Any, TypeAlias

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.change import Change
from gitops_promote.core.images import Reference
from gitops_promote.core.review.rendered import ObjectChange, Rendered, UnreadableError, compare

SHOP = "ghcr.io/acme/shop"


def change(old: Reference, new: Reference) -> Change:
    return Change("shop", "kustomization.yaml", 1, "images[0]", old, new)


ONE = change(Reference(SHOP, "1.0"), Reference(SHOP, "2.0"))


def deployment(image: str, name: str = "shop", extra: str = "") -> str:
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n"
        f"  name: {name}\n  namespace: prod\n{extra}spec:\n  template:\n    spec:\n"
        f"      containers:\n      - image: {image}\n        name: web\n"
    )


def found(before: str, after: str, *changes: Change) -> tuple[ObjectChange, ...]:
    streams = [text.encode("utf-8", "replace") for text in (before, after)]
    return compare(streams[0], streams[1], changes or (ONE,))


def test_an_image_alone() -> None:
    (only,) = found(deployment(f"{SHOP}:1.0"), deployment(f"{SHOP}:2.0"))

    assert (only.kind, only.namespace, only.name) == ("Deployment", "prod", "shop")
    assert only.only_image
    assert only.diff.startswith("diff --git a/Deployment/shop b/Deployment/shop\n")
    assert f"-      - image: {SHOP}:1.0\n+      - image: {SHOP}:2.0\n" in only.diff


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{SHOP}:1.0", f"{SHOP}:3.0"),
        (f"{SHOP}:0.9", f"{SHOP}:2.0"),
        ("ghcr.io/acme/other:1.0", "ghcr.io/acme/other:2.0"),
        (f"{SHOP}:1.0", "evil.example/shop:2.0"),
        (f"evil.example/{SHOP}:1.0", f"{SHOP}:2.0"),
        (f"{SHOP}:1.0", f"{SHOP}:2.0@sha256:{'0' * 64}"),
        (f"{SHOP}:1.0", f"{{name: {SHOP}, tag: '2.0'}}"),
    ],
)
def test_an_image_that_is_not_the_promotion_s(before: str, after: str) -> None:
    (other,) = found(deployment(before), deployment(after))

    assert not other.only_image


@pytest.mark.parametrize(
    ("promoted", "before", "after"),
    [
        # An overlay without an entry gets one; what ran is the base's.
        (change(Reference(SHOP), Reference(SHOP, "2.0")), f"{SHOP}:0.0", f"{SHOP}:2.0"),
        # A values file that names the tag alone, ...
        (change(Reference("", "1"), Reference("", "2")), f"{SHOP}:1", f"{SHOP}:2"),
        # ... or the name without its registry.
        (
            change(Reference("acme/shop", "1"), Reference("acme/shop", "2")),
            f"{SHOP}:1",
            f"{SHOP}:2",
        ),
        # A new name, of the version that the base has.
        (change(Reference("shop"), Reference("new/shop")), "shop:1", "new/shop:1"),
        (
            change(Reference("shop", "1"), Reference("shop", "", f"sha256:{'a' * 64}")),
            "shop:1",
            f"shop@sha256:{'a' * 64}",
        ),
    ],
)
def test_what_a_place_doesn_t_say_stays(promoted: Change, before: str, after: str) -> None:
    (only,) = found(deployment(before), deployment(after), promoted)

    assert only.only_image


@pytest.mark.parametrize(
    "extra",
    ["  labels: {app.kubernetes.io/version: '%s'}\n", "  annotations: {checksum/config: a%s}\n"],
)
def test_a_label_with_the_version_is_more_than_an_image(extra: str) -> None:
    before = deployment(f"{SHOP}:1.0", extra=extra % "1.0")
    after = deployment(f"{SHOP}:2.0", extra=extra % "2.0")

    (more,) = found(before, after)

    assert not more.only_image


def test_a_whole_reference_counts_anywhere_and_a_part_of_one_nowhere() -> None:
    extra = "  annotations: {image-of-job: '%s'}\n"
    texts = [f"{SHOP}:1.0", f"{SHOP}:2.0"]
    whole = [deployment("a", extra=extra % text) for text in texts]
    part = [deployment("a", extra=extra % f"run {text}") for text in texts]

    assert [c.only_image for c in found(whole[0], whole[1])] == [True]
    assert [c.only_image for c in found(part[0], part[1])] == [False]


def test_a_line_that_only_looks_like_an_image() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  f: |\n    image: %s\n"

    (more,) = found(text % f"{SHOP}:1.0", text % f"{SHOP}:2.0")

    assert not more.only_image


def test_an_image_that_an_anchor_takes_elsewhere() -> None:
    extra = "  labels: {version: *v}\n"
    one, two = (
        deployment("x")
        .replace("kind:", f"image: &v {text}\nkind:")
        .replace("spec:", extra + "spec:", 1)
        for text in ("shop:1", "shop:2")
    )

    (more,) = found(one, two, change(Reference("", "1"), Reference("", "2")))

    assert not more.only_image


@pytest.mark.parametrize(
    ("before", "after"),
    [("1", "'1'"), ("!!str 1", "1"), ("[a]", "{a: }"), ("[a]", "[a, a]"), ("&x a", "b")],
)
def test_other_types_are_other_values(before: str, after: str) -> None:
    text = "kind: A\nspec: {v: %s}\n"

    assert [c.only_image for c in found(text % before, text % after)] == [False]


def test_an_alias_that_stands_for_something_else() -> None:
    text = "kind: A\nx: &x 1\ny: &y 2\nz: *%s\n"

    assert [c.only_image for c in found(text % "x", text % "y")] == [False]


def test_objects_come_and_go() -> None:
    old = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings-a1}\ndata: {a: '1'}\n"
    new = old.replace("a1", "b2").replace("'1'", "'2'")

    gone, come = found(old, new)

    assert (gone.name, come.name) == ("settings-a1", "settings-b2")
    assert not gone.only_image
    assert not come.only_image
    assert [line[0] for line in gone.diff.splitlines()[4:]] == ["-"] * 4
    assert [line[0] for line in come.diff.splitlines()[4:]] == ["+"] * 4


def test_order_comments_and_empty_documents_are_no_difference() -> None:
    a, b = deployment("a:1", "a"), deployment("b:1", "b")
    before = f"---\n# Source: a.yaml\n{a}---\n{b}"
    after = f"---\n{b}---\n# nothing\n---\n\n---  \n# Source: version 2\n{a}--- # end\n"

    assert found(before, after) == ()


def test_objects_of_one_name_are_matched_in_order() -> None:
    a, b, c = (deployment(f"{SHOP}:1.0", extra=f"  labels: {{n: {n}}}\n") for n in "abc")
    after = f"{a}---\n{b}---\n{c}".replace("1.0", "2.0")

    assert [c.only_image for c in found(f"{a}---\n{b}---\n{c}", after)] == [True] * 3
    assert [c.only_image for c in found(f"{a}---\n{b}", after)] == [True, True, False]


def test_what_a_secret_holds_is_never_shown() -> None:
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n  labels: {v: '%s'}\n"
        "data:\n  # is hunter1\n  same: aHVudGVyMQ==\n  other: %s  # hunter1\n"
        "stringData: {deep: {er: %s}, text: &t hunter1, again: *t}\n"
    )
    before = text % ("1.0", "aHVudGVyMQ==", "hunter1")
    after = text % ("2.0", "!!binary |\n    aHVudGVyMg==", "hunter2") + "# hunter2\n"

    (secret,) = found(before, after)

    assert "hunter" not in secret.diff
    assert "aHVu" not in secret.diff
    assert not secret.only_image
    lines = secret.diff.splitlines()
    assert lines[lines.index("   labels:") + 1 :] == [
        '-    v: "1.0"',
        '+    v: "2.0"',
        " data:",
        "   same: (hidden)",
        "-  other: (hidden)",
        "+  other: (hidden, another value than before)",
        " stringData:",
        "-  deep: (hidden)",
        "+  deep: (hidden, another value than before)",
        "   text: (hidden)",
        "   again: (hidden)",
    ]


@pytest.mark.parametrize(
    "held",
    [
        "data: {p: hunter1}",
        "data: hunter1",
        "data: [hunter1]",
        "'data':\n  ? p\n  : |\n    hunter1\n    hunter1",
        "stringData: {p: |-}\n".replace("|-", '"hunter1\\\n\n    x"'),
        "Data: {p: hunter1}",
        "<<: {data: {p: hunter1}}",
        "data: &d {p: hunter1}\nmetadata: {name: s, annotations: *d}",
        "data: {}\ndata: {p: hunter1}",
    ],
)
@pytest.mark.parametrize("form", ["%s", "kind: List\nitems:\n- - a\n- %s"])
def test_a_secret_in_any_form(held: str, form: str) -> None:
    secret = f"kind: Secret\n{held}\nx: ["
    inner = form % (secret.replace("\n", "\n  ") if form != "%s" else secret)

    (come,) = found("", f"{inner}]\n")
    (gone,) = found(f"{inner}]\n", "")
    (changed,) = found(f"{inner}1]\n", f"{inner}2]\n")

    assert "hunter" not in come.diff + gone.diff + changed.diff
    assert "Secret" in come.diff
    assert "(hidden)" in come.diff


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: [", "not valid YAML"),
        ("kind: *nothing", "no anchor"),
        ("- a", "no object"),
        ("text", "no object"),
        ("kind: A\n...\nkind: B", "not valid YAML"),
        ("kind: A\r---\rkind: B", "no object"),
        ("kind: \x1b[31m", "not valid YAML"),
        ("kind: Secret\nx: " + "[" * 100 + "]" * 100, "too deep"),
    ],
)
def test_what_is_no_object_is_told(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        found("kind: A", text)


def test_what_is_not_text_is_told() -> None:
    with pytest.raises(UnreadableError, match="not UTF-8"):
        compare(b"kind: \xff", b"", ())


def test_names_that_would_break_the_diff_are_quoted() -> None:
    (come,) = found(
        "", 'kind: "A\\n+++ b/x"\nmetadata: {name: "\\e[31m", namespace: "%s"}' % ("n" * 999)
    )

    assert "\x1b" not in come.diff.splitlines()[0]
    assert '"a/A\\n+++ b/x/\\033[31m"' in come.diff
    assert len(come.namespace) == 253


def test_an_alias_bomb_takes_no_time() -> None:
    bomb = "kind: A\na0: &a0 [%s]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 60)
    )
    start = time.monotonic()

    (more,) = found(bomb % "1", bomb % "2")

    assert time.monotonic() - start < 5
    assert not more.only_image


def test_a_deep_nest_takes_no_time() -> None:
    deep = "kind: A\nx: " + "[" * 5000 + "%s" + "]" * 5000

    assert [c.only_image for c in found(deep % "1", deep % "2")] == [False]


def test_five_megabytes_take_no_time() -> None:
    extra = "  annotations:\n" + "".join(
        f"    note-{n}: some text that is long\n" for n in range(90)
    )
    names = [f"shop-{n}" for n in range(1500)]
    before = "---\n".join(deployment(f"{SHOP}:1.0", name, extra) for name in names)
    after = "---\n".join(
        deployment(f"{SHOP}:{1 + n % 2}.0", name, extra)
        for n, name in reversed([*enumerate(names)])
    )
    start = time.monotonic()

    # Most of it is alike; where too much differs, that is what there is to tell.
    few = found(before, after.replace(":2.0", ":1.0", 700))
    with pytest.raises(UnreadableError, match="too much"):
        found(before, after)

    assert len(before) > 5_000_000
    assert [c.only_image for c in few] == [True] * 50
    assert time.monotonic() - start < 5


def test_lines_that_come_and_go_are_compared_up_to_a_bound() -> None:
    config = "kind: ConfigMap\nmetadata: {name: %s}\ndata:\n  f: |\n%s"
    lines = "".join(f"    {n % 50}\n" for n in range(9000))
    start = time.monotonic()

    changes = found(
        "---\n".join(config % (n, lines) for n in range(4)),
        "---\n".join(config % (n, f"    new\n{lines}    new\n") for n in range(4)),
    )

    assert time.monotonic() - start < 20
    assert "too many to be compared" in changes[-1].diff


# Objects as data, compared by an oracle that is nothing but Python's own equality.

Data: TypeAlias = Any
WORDS = st.sampled_from(["a", "1", "image", f"{SHOP}:1.0", f"{SHOP}:2.0", "other:1.0", "true"])
VALUES = st.recursive(
    WORDS | st.integers(0, 2) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.builds(
    lambda kind, name, spec: {"kind": kind, "metadata": {"name": name}, "spec": spec},
    st.sampled_from(["Deployment", "Service", "Secret"]),
    st.sampled_from(["a", "b", "c"]),
    VALUES,
)
UNIQUE = st.lists(OBJECTS, unique_by=lambda item: (item["kind"], item["metadata"]["name"]))


def dump(objects: Iterable[object]) -> bytes:
    text: bytes = yaml.safe_dump_all(objects, encoding="utf-8", sort_keys=True)
    return text


def promoted(value: Data) -> Data:
    """Data after the promotion of every reference in it."""
    if isinstance(value, dict):
        return {key: promoted(held) for key, held in value.items()}
    if isinstance(value, list):
        return [promoted(item) for item in value]
    return f"{SHOP}:2.0" if value == f"{SHOP}:1.0" else value


def keyed(objects: Iterable[Any]) -> dict[tuple[str, str], Any]:
    return {(item["kind"], item["metadata"]["name"]): item for item in objects}


@given(UNIQUE, UNIQUE, st.randoms())
def test_objects_that_differ_are_those_whose_data_differ(
    before: list[Any], after: list[Any], chance: Random
) -> None:
    old, new = keyed(before), keyed(after)
    shuffled = list(after)
    chance.shuffle(shuffled)

    changes = compare(dump(before), dump(shuffled), (ONE,))

    differing = {key for key in {*old, *new} if repr(old.get(key)) != repr(new.get(key))}
    assert {(c.kind, c.name) for c in changes} == differing
    for one in changes:
        key = one.kind, one.name
        if one.only_image:
            # Some references were promoted, others may have been so before.
            assert promoted(old[key]) == promoted(new[key])


@given(UNIQUE)
def test_a_promotion_of_references_is_images_only(before: list[Any]) -> None:
    after = [promoted(item) for item in before]

    changes = compare(dump(before), dump(after), (ONE,))

    assert all(one.only_image for one in changes)
    assert len(changes) == sum(one != other for one, other in zip(before, after, strict=True))


LINES = st.sampled_from(
    [
        *(
            "---",
            "--- a",
            "...",
            "%YAML 1.1",
            "kind: Secret",
            "kind: &a A",
            "metadata:",
            "  name: x",
        ),
        *(
            "data: *a",
            "data:",
            "  p: hunter",
            "  <<: *a",
            "- b",
            "{",
            "}",
            "|",
            "  - |",
            "\t",
            "# c",
        ),
        *(
            "? a",
            ": b",
            "!!str",
            "x: 'y",
            "'",
            "image: a:1",
            "\ufeff",
            "\x85",
            "metadata: [a]",
            "? [a]",
        ),
    ]
)
STREAMS = st.lists(LINES, max_size=12).map("\n".join) | st.text(max_size=30)


@given(STREAMS, STREAMS)
def test_anything_else_is_an_answer_or_a_problem(before: str, after: str) -> None:
    try:
        changes = found(before, after)
    except UnreadableError as problem:
        assert str(problem).endswith(".")  # noqa: PT017
    else:
        assert all(change.diff for change in changes)


def test_a_rendering_is_of_images_only_where_each_object_is() -> None:
    image = ObjectChange("Deployment", "", "a", "-", only_image=True)
    more = ObjectChange("Deployment", "", "b", "-", only_image=False)

    assert Rendered("a", "kustomize", (image, image)).only_images
    assert not Rendered("a", "kustomize", (image, more)).only_images
    assert Rendered("a", "kustomize", problem="It can't be built.").only_images
