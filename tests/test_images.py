"""The items of `images` and the references that files hold."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import (
    KEEP,
    Image,
    Reference,
    canonical_name,
    desired,
    parse_image,
    split_reference,
    split_registry,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
NAMES = st.from_regex(
    r"([a-z0-9]{1,9}\.example(:[0-9]{2,5})?/)?[a-z0-9]+([._-][a-z0-9]+)*", fullmatch=True
)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)


@pytest.mark.parametrize(
    ("item", "image"),
    [
        ("nginx", Image("nginx")),
        ("nginx:1.2", Image("nginx", None, "1.2")),
        (f"nginx@{DIGEST}", Image("nginx", None, None, DIGEST)),
        (f"nginx:1.2@{DIGEST}", Image("nginx", None, "1.2", DIGEST)),
        ("localhost:5000/shop", Image("localhost:5000/shop")),
        ("localhost:5000/shop:1", Image("localhost:5000/shop", None, "1")),
        ("nginx=ghcr.io/acme/nginx", Image("nginx", "ghcr.io/acme/nginx")),
        (f"nginx=r.io:80/n:1@{DIGEST}", Image("nginx", "r.io:80/n", "1", DIGEST)),
        ("nginx=*:1", Image("nginx", KEEP, "1")),
        ("nginx=r.io/n:*", Image("nginx", "r.io/n", "*")),
        ("nginx=r.io/n@*", Image("nginx", "r.io/n", None, "*")),
        ("APP_IMAGE=r.io/n:1", Image("APP_IMAGE", "r.io/n", "1")),
        ("${IMAGE}=r.io/n:1", Image("${IMAGE}", "r.io/n", "1")),
        ("[::1]:5000/n", None),
    ],
)
def test_an_item(item: str, image: Image | None) -> None:
    if image is None:
        with pytest.raises(UsageError):
            parse_image(item)
    else:
        assert parse_image(item) == image


@given(NAMES, TAGS, st.booleans())
def test_an_item_is_read_as_its_parts(name: str, tag: str, pinned: bool) -> None:
    reference = Reference(name, tag, DIGEST if pinned else "")

    assert split_reference(str(reference)) == reference
    assert parse_image(str(reference)).target == reference


@given(st.text(max_size=60))
def test_any_other_item_is_refused_or_is_one_line(item: str) -> None:
    with suppress(UsageError):
        target = str(parse_image(item).target)
        assert re.fullmatch(r"[A-Za-z0-9._/:@${}=+-]+", target), target


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("shop:", "has an empty tag"),
        ("shop:" + "a" * 129, "has a tag of 129 characters"),
        ("shop:1+2", "has the tag `1\\+2`, which no registry accepts"),
        ("shop:-a", "which no registry accepts"),
        ("shop:1 2", "which no registry accepts"),
        ("shop:ü", "which no registry accepts"),
        ("shop@", "has the digest ``, which is malformed"),
        ("shop@sha256:abc", "malformed"),
        ("shop@" + DIGEST.upper(), "malformed"),
        ("shop@md5", "malformed"),
        (":1", "no valid image name"),
        ("", "no valid image name"),
        ("=x:1", "no valid image name"),
        ("a b:1", "no valid image name"),
        ("shop=", "new name"),
        ("shop=Acme/Shop:1", "has the new name `Acme/Shop`"),
        ("shop=https://ghcr.io/x:1", "which is not a repository|no registry accepts"),
        ("a=b=c:1", "new name"),
    ],
)
def test_a_malformed_item(item: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        parse_image(item)

    assert raised.value.fix.endswith(".")
    assert raised.value.exit_status == 2


def test_the_cases_that_kustomize_publishes_are_read(peers: Path) -> None:
    cases = json.loads((peers / "kustomize-set-image.json").read_text("utf-8"))
    cases = cases if isinstance(cases, list) else cases["cases"]
    for case in cases:
        for item in case.get("args") or []:
            if "@sha256:" in item and len(item.partition("@sha256:")[2]) != 64:
                continue  # kustomize judges no digest; registries do
            parse_image(item)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("acme/shop", "docker.io/acme/shop"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/nginx", "docker.io/library/nginx"),
        ("localhost/nginx", "localhost/nginx"),
        ("host:5000/nginx", "host:5000/nginx"),
        ("ghcr.io/acme/shop", "ghcr.io/acme/shop"),
    ],
)
def test_a_name_in_full(name: str, full: str) -> None:
    assert canonical_name(name) == canonical_name(full) == full


def test_a_name_is_parted_at_its_registry() -> None:
    assert split_registry("ghcr.io/acme/shop") == ("ghcr.io", "acme/shop")
    assert split_registry("acme/shop") == ("", "acme/shop")


@pytest.mark.parametrize(
    ("item", "outcome"),
    [
        ("shop:2", "mirror/shop:2"),
        (f"shop@{DIGEST}", f"mirror/shop@{DIGEST}"),
        (f"shop:2@{DIGEST}", f"mirror/shop:2@{DIGEST}"),
        ("shop=new/shop:2", "new/shop:2"),
        ("shop=new/shop", f"new/shop:1@{DIGEST}"),
        ("shop=*:2", "mirror/shop:2"),
        (f"shop=*:*@{DIGEST}", f"mirror/shop:1@{DIGEST}"),
        ("shop=*:2@*", f"mirror/shop:2@{DIGEST}"),
    ],
)
def test_what_is_to_run_where_another_runs(item: str, outcome: str) -> None:
    assert str(desired(parse_image(item), Reference("mirror/shop", "1", DIGEST))) == outcome


def test_the_computed_tag_is_for_items_without_a_version() -> None:
    assert parse_image("shop").with_default_tag("7").tag == "7"
    assert parse_image("shop:1").with_default_tag("7").tag == "1"
    assert parse_image(f"shop@{DIGEST}").with_default_tag("7").tag is None
