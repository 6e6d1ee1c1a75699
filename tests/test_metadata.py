"""docker/metadata-action's `json`: pasted into an input, and written by our own step."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.images import parse_image
from gitops_promote.core.source import Source
from gitops_promote.core.tags.metadata import is_json, parse_json, to_metadata
from gitops_promote.core.tags.mutable import refuse_mutable, why_mutable

NOW = datetime(2020, 1, 10, 0, 30, tzinfo=timezone.utc)
COMMIT = "860c1904a1ce19322e91ac35af1ab07466440c37"
SHOP = "ghcr.io/acme/shop"
SOURCE = Source(
    COMMIT, "refs/heads/feat/x#1", "acme/shop", "https://github.com", default_branch="live"
)


def test_what_is_written_is_read_again() -> None:
    references = [f"{SHOP}:1.2.3", f"{SHOP}:latest", "acme/shop:1.2.3", "acme/shop:latest"]
    written = to_metadata(references, ["1.2.3", "latest"], SOURCE, NOW)

    built = parse_json("images", json.dumps(written))

    assert built.version == "1.2.3"
    assert built.images == (SHOP, "acme/shop")
    assert list(written) == ["tags", "tag-names", "labels", "annotations"]
    assert written["labels"] == {
        "org.opencontainers.image.created": "2020-01-10T00:30:00.000Z",
        "org.opencontainers.image.description": "",
        "org.opencontainers.image.licenses": "",
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.source": "https://github.com/acme/shop",
        "org.opencontainers.image.title": "shop",
        "org.opencontainers.image.url": "https://github.com/acme/shop",
        "org.opencontainers.image.version": "1.2.3",
    }
    assert written["annotations"][0] == (
        "manifest:org.opencontainers.image.created=2020-01-10T00:30:00.000Z"
    )


@pytest.mark.parametrize(
    ("data", "version", "names"),
    [
        ({"tags": ["localhost:5000/a:1"]}, "1", ("localhost:5000/a",)),
        ({"tags": ["a:1", "a:2", "b/c:1", "b/c:2"], "labels": {}}, "1", ("a", "b/c")),
        ({"tags": ["1.2.3", "1.2"], "tag-names": ["1.2.3", "1.2"]}, "1.2.3", ()),
        ({"tags": ["1.2.3"]}, "1.2.3", ()),
        ({"tag-names": ["x"]}, "x", ()),
    ],
)
def test_a_pasted_output(data: dict[str, Any], version: str, names: tuple[str, ...]) -> None:
    built = parse_json("tags", json.dumps(data))

    assert (built.version, built.images) == (version, names)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "begins like JSON, but isn't"),
        ("{" * 100_000, "begins like JSON, but isn't"),
        ("{}", "is JSON without `tags`"),
        ('{"labels": {}}', "is JSON without `tags`"),
        ('{"tags": []}', "gave no tag"),
        ('{"tags": [], "tag-names": []}', "gave no tag"),
        ('{"tags": "a:1"}', "`tags` is no list of texts"),
        ('{"tags": ["a:1", 2]}', "`tags` is no list of texts"),
        ('{"tags": ["a:1"], "tag-names": [null]}', "`tag-names` is no list of texts"),
        ('{"tags": ["a:$(id)"]}', "with what no registry takes: `$(id)`"),
        ('{"tags": ["a:1"], "tag-names": ["-x"]}', "with what no registry takes: `-x`, `1`"),
        ('{"tags": ["b:7", "a:3"]}', "without one tag for all images: `3`, `7`"),
        ('{"tags": ["a:1@sha256:00"]}', "has a digest"),
    ],
)
def test_a_pasted_output_that_is_none(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_json("images", text)

    assert caught.value.what.startswith("Input `images` ")
    assert problem in caught.value.what
    fixes = ("steps.ID.outputs.json", "step's log", "NAME:TAG@DIGEST")
    assert any(fix in caught.value.fix for fix in fixes)


def test_a_pasted_version_that_others_have_too() -> None:
    built = parse_json("images", '{"tags": ["a:1.2", "a:1.2.3", "a:latest"]}')

    assert built.mutable == "`1.2.3` goes with it, so it is that of the next one, too"
    assert not parse_json("images", '{"tags": ["a:1.2.3", "a:1.2"]}').mutable


def test_what_is_meant_as_json() -> None:
    assert is_json(' \n{"tags": []}')
    assert not is_json("type=raw,value={{branch}}")
    assert not is_json("")
    assert not is_json("{IMAGE}=ghcr.io/acme/shop:1.2.3")
    assert is_json("{'tags': []}")


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("latest", "it is whatever was built last"),
        ("feat-latest-posts-860c190", ""),
        ("latest-alpine", "it is whatever was built last"),
        ("shop-Latest", "it is whatever was built last"),
        ("pr-15", "it is the newest build of a pull request"),
        ("edge", "it names a channel, and its newest build"),
        ("nightly", "it names a channel, and its newest build"),
        ("main", "it is a branch's usual name"),
        ("Master", "it is a branch's usual name"),
        ("feat-x-1", "it is a branch's name, and the branch's newest build"),
        ("live", "it is a branch's name, and the branch's newest build"),
        ("eu-1", "it is an environment's name"),
        ("1.2.3", ""),
        ("1.2.3-SNAPSHOT", "it is the newest build before a release"),
        ("1.2", ""),
        ("v1", ""),
        ("42", ""),
        ("860c190", ""),
        ("main-860c190-42", ""),
        ("platest", ""),
        ("pr-15-860c190", ""),
        ("relatest.1", ""),
    ],
)
def test_a_mutable_tag(tag: str, reason: str) -> None:
    assert why_mutable(tag, SOURCE, ("eu-1",)) == reason


@pytest.mark.parametrize(
    ("item", "refused"),
    [
        (f"{SHOP}:latest", True),
        (f"{SHOP}:latest@*", True),
        (f"shop={SHOP}:edge", True),
        (f"{SHOP}:moving", True),
        (f"{SHOP}:latest@sha256:{'0' * 64}", False),
        (f"{SHOP}@sha256:{'0' * 64}", False),
        (f"{SHOP}:1.2.3", False),
        (f"shop={SHOP}:*", False),
    ],
)
def test_a_promotion_by_a_mutable_tag_is_refused(item: str, *, refused: bool) -> None:
    images = [parse_image(f"{SHOP}-api:1.0.0"), parse_image(item)]

    def check() -> None:
        refuse_mutable(images, SOURCE, (), {"moving": "each build takes it"})

    if not refused:
        check()
        return
    with pytest.raises(PromoteError, match=f"^`{SHOP}:.*` doesn't name one image for good: ") as e:
        check()
    assert e.value.exit_status == 1
    assert f"`{SHOP}:{images[1].tag}@sha256:…`" in e.value.fix
    assert "`allow-mutable-tag`" in e.value.fix
