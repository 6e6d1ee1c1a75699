"""What a commit of ours promotes, read back; and which of two is the older."""

from __future__ import annotations

import pytest

from gitops_promote.core.change import Change
from gitops_promote.core.images import Reference, parse_image
from gitops_promote.core.message import compose
from gitops_promote.core.promoted import Promoted, is_older, read_promotion
from gitops_promote.core.source import Source

SHOP = "ghcr.io/acme/shop"
DIGEST = "sha256:" + "0" * 64
SERVER = "https://github.example.com"
SOURCE = Source(commit="a" * 40, repository="acme/shop", server_url=SERVER, run_id="42")


def message(*changes: tuple[Reference, Reference], source: Source = SOURCE) -> str:
    made = [Change(new.name, "f.yaml", 1, "k", old, new) for old, new in changes]
    return compose("", made, ("prod",), "shop", source, "Ann <ann@example.com>")


def promoted(
    version: str, run: str = "", repository: str = "acme/shop", name: str = SHOP
) -> Promoted:
    return Promoted({name: version}, Source(server_url=SERVER, repository=repository, run_id=run))


def test_what_is_written_is_read() -> None:
    text = message((Reference(SHOP, "1.4.1"), Reference(SHOP, "1.5.0")))

    assert read_promotion(text) == Promoted({SHOP: "1.5.0"}, SOURCE)


@pytest.mark.parametrize(
    "new", [Reference(SHOP, "1", DIGEST), Reference(SHOP, "", DIGEST), Reference(SHOP, "1")]
)
@pytest.mark.parametrize("old_name", [SHOP, "docker.io/old/shop", ""])
def test_every_form_of_a_version_is_read(new: Reference, old_name: str) -> None:
    read = read_promotion(message((Reference(old_name, "0"), new)))

    assert read is not None
    assert read.versions == {SHOP: new.version}


def test_several_images() -> None:
    web, worker = Reference("a/web", "2"), Reference("a/worker", "3")
    read = read_promotion(message((Reference("a/web"), web), (Reference("a/worker", "2"), worker)))

    assert read is not None
    assert read.versions == {"a/web": "2", "a/worker": "3"}
    assert read.version == "web 2, worker 3"


def test_a_commit_of_somebody_promotes_nothing() -> None:
    assert read_promotion("Fix it\n\nThe Promoted-Image: a b -> c\n") is None
    assert read_promotion("Promoted-Image: a 1 -> 2\n\nand more\n") is None
    assert read_promotion("") is None


def test_the_same_images_with_other_versions() -> None:
    images = (parse_image(f"shop={SHOP}:2"),)
    changes = [Change("shop", "f.yaml", 1, "k", Reference(SHOP, "0"), Reference(SHOP, "2"))]

    for version, form in (("1", ":1"), (DIGEST, f"@{DIGEST}"), (f"1@{DIGEST}", f":1@{DIGEST}")):
        taken = promoted(version).take_over(images, changes)

        assert taken == (parse_image(f"shop={SHOP}{form}"),)


def test_an_image_is_found_by_the_name_that_the_file_has() -> None:
    images = (parse_image("shop:2"),)
    changes = [Change("shop", "f.yaml", 1, "k", Reference(SHOP, "0"), Reference(SHOP, "2"))]

    assert promoted("1").take_over(images, changes) == (parse_image("shop:1"),)


def test_a_commit_names_only_the_images_that_it_changes() -> None:
    images = (parse_image("a/web:2"), parse_image("a/worker:2"))
    changes = [
        Change(name, "f.yaml", 1, "k", Reference(name, "0"), Reference(name, "2"))
        for name in ("a/web", "a/worker")
    ]
    taken = promoted("1", name="a/web").take_over(images, changes)

    assert [str(image.target) for image in taken] == ["a/web:1", "a/worker"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.4.1", "1.5.0"),
        ("v1.9.0", "1.10.0"),
        ("1.0.0-rc.1", "1.0.0"),
        ("1.0.0", "1.0.1@" + DIGEST),
    ],
)
def test_semantic_versions_tell(one: str, other: str) -> None:
    # The run that began later isn't asked: it builds an older version.
    assert is_older(promoted(one, "9"), promoted(other, "1"))
    assert not is_older(promoted(other, "1"), promoted(one, "9"))


def test_else_the_run_tells() -> None:
    assert is_older(promoted("abc1234-9", "9"), promoted("def5678-10", "10"))
    assert not is_older(promoted("def5678-10", "10"), promoted("abc1234-9", "9"))


def test_what_nobody_knows_is_not_called_older() -> None:
    assert not is_older(promoted("abc"), promoted("def"))
    assert not is_older(promoted("abc", "9"), promoted("def", "10", repository="acme/other"))
    assert not is_older(promoted("1.5.0", "9"), promoted("1.5.0", "10"))


def test_of_several_images_one_that_is_newer_is_enough() -> None:
    source = Source(server_url=SERVER, repository="acme/shop")
    low = Promoted({"a": "1.0.0", "b": "1.0.0"}, source)
    mixed = Promoted({"a": "1.1.0", "b": "0.9.0"}, source)

    assert is_older(low, Promoted({"a": "1.0.0", "b": "2.0.0"}, source))
    assert not is_older(low, mixed)
    assert not is_older(mixed, low)
