"""What a commit of ours promotes, read back; and which of two is the older."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from gitops_promote.core.change import Change
from gitops_promote.core.images import Reference, parse_image
from gitops_promote.core.message import compose
from gitops_promote.core.order import Build
from gitops_promote.core.promoted import (
    Promoted,
    began_before,
    goes_back,
    held_back,
    is_older,
    read_promotion,
)
from gitops_promote.core.request import Request, Undone
from gitops_promote.core.source import Source

SHOP = "ghcr.io/acme/shop"
DIGEST = "sha256:" + "0" * 64
SERVER = "https://github.example.com"
SOURCE = Source(commit="a" * 40, repository="acme/shop", server_url=SERVER, run_id="42")


def asked(**more: Any) -> Request:  # noqa: ANN401  (the fields of a request)
    given = {"environments": ("prod",), "app": "shop", "source": SOURCE, **more}
    return Request((), (), signoff="Ann <ann@example.com>", **given)


def change(old: Reference, new: Reference) -> Change:
    return Change(new.name, "f.yaml", 1, "k", old, new)


def message(*changes: tuple[Reference, Reference], **more: Any) -> str:  # noqa: ANN401  (as above)
    return compose(asked(**more), [change(*pair) for pair in changes])


def nobody(repository: Source, one: Sequence[str], other: Sequence[str]) -> None:
    """Knows no commit."""


def line(repository: Source, one: Sequence[str], other: Sequence[str]) -> int | None:
    """Knows a line of commits, of which the first has the hash `0…`, the next one `1…`."""
    if repository.repository != "acme/shop":
        return None
    mine, theirs = one[0][0], other[0][0]
    return (mine > theirs) - (mine < theirs)


def promoted(
    version: str, run: str = "", repository: str = "acme/shop", name: str = SHOP
) -> Promoted:
    return Promoted({name: version}, Source(server_url=SERVER, repository=repository, run_id=run))


PLATFORM = Source(repository="acme/deploy", server_url=SERVER, run_id="77")
BUILT = Source(commit="b" * 40, repository="acme/shop", server_url=SERVER, run_id="40")
BACK = (Reference(SHOP, "1.5.0"), Reference(SHOP, "1.4.1"))
UNDONE = (
    Undone(SHOP, Build("1.5.0", SOURCE)),
    Undone(SHOP, Build(DIGEST, Source(commit="c" * 40))),
    Undone("b", Build("")),
)
ROLLBACKS = [
    asked(source=PLATFORM, origin=BUILT, undone=UNDONE),
    asked(source=Source(), origin=BUILT, undone=UNDONE),
    asked(source=Source(), origin=Source(), copied_from="test", override="Why not?"),
]
ROLLBACK_MESSAGE = message(
    BACK,
    environments=("eu", "us"),
    source=PLATFORM,
    origin=BUILT,
    undone=UNDONE,
    override="It: fails",
)
ROLLBACK = read_promotion(ROLLBACK_MESSAGE)
COPY = read_promotion(message(BACK, source=Source(), origin=BUILT, copied_from="test"))


def test_what_is_written_is_read() -> None:
    text = message((Reference(SHOP, "1.4.1"), Reference(SHOP, "1.5.0")))

    assert read_promotion(text) == Promoted({SHOP: "1.5.0"}, SOURCE, frozenset({"prod"}), "shop")
    assert (
        Promoted(
            {SHOP: "1.4.1"},
            BUILT,
            frozenset({"eu", "us"}),
            "shop",
            (
                Undone(SHOP, Build("1.5.0", SOURCE)),
                Undone(SHOP, Build(DIGEST, Source(commit="c" * 40))),
                Undone("b", Build("")),
            ),
            override="It: fails",
            promoter=PLATFORM,
        )
        == ROLLBACK
    )
    assert (
        Promoted({SHOP: "1.4.1"}, BUILT, frozenset({"prod"}), "shop", (), "test", promoter=Source())
        == COPY
    )
    assert COPY.build(SHOP) == Build("1.4.1", BUILT)
    assert COPY.build("b") == Build("", BUILT)


@pytest.mark.parametrize("request_", [asked(), asked(environments=()), *ROLLBACKS])
def test_what_a_call_promotes_is_what_its_commit_will_tell(request_: Request) -> None:
    changes = [change(Reference(SHOP, "1"), Reference(SHOP, "2"))]

    assert Promoted.of(changes, request_) == read_promotion(compose(request_, changes))


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
    assert read_promotion("Promoted-Image: a 1 2\n") is None
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


PLAIN = message((Reference(SHOP, "1.4.1"), Reference(SHOP, "1.5.0", DIGEST)))
BEGIN = f"commit {'a' * 40}\nAuthor: A <a@b.c>"
CO_AUTHORS = "Co-authored-by: Ann <ann@example.com>\nCo-authored-by: Bob <b@example.com>"


def wrapped(text: str, width: int) -> str:
    """A text as GitHub wraps the lines of a squash merge."""
    wrap = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    return "\n".join("\n".join(wrap.wrap(one)) for one in text.split("\n"))


@pytest.mark.parametrize("text", [PLAIN, ROLLBACK_MESSAGE])
@pytest.mark.parametrize(
    "squash",
    [
        lambda text: f"{text}\n{CO_AUTHORS}\n",
        lambda text: f"{text}\n\n---------\n\n{CO_AUTHORS}\n",
        lambda text: f"Shop 1.5.0 (#7)\n\n* {text}\n\n* Fix a comment\n\nSee: #8\n\n{CO_AUTHORS}",
        lambda text: f"* {message((Reference(SHOP), Reference(SHOP, '0')))}\n\n* {text}\n* Fix it",
        lambda text: wrapped(text, 72),
        lambda text: wrapped(text, 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: re.sub(r"(Promotion-Override: \S+) ", r"\1\n  ", text),
        lambda text: f"{text}Promotion-Branch: b {'0' * 40} {'1' * 32}\nIt was ours.\n",
        lambda text: f"{text}\n```\nPromoted-Image: a 1 -> 2\n```\n",
        lambda text: f"{text}\n> Promoted-Image: a 1 -> 2\n\n+Promoted-Image: a 1 -> 2\n",
        lambda text: f"{text}\n Promoted-Image: a 1 -> 2\n\n    Promoted-Image: a 1 -> 2\n",
    ],
)
def test_a_message_that_became_part_of_another(squash: Any, text: str) -> None:  # noqa: ANN401
    assert read_promotion(squash(text)) == read_promotion(text) != None  # noqa: E711


def test_of_what_git_squashes_the_newest_promotion_counts(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "Begin")
    git("switch", "-q", "-c", "ours")
    for number, text in enumerate((message(BACK), ROLLBACK_MESSAGE, "Fix it\n")):
        (tmp_path / "f").write_text(str(number))
        git("add", "f")
        git("commit", "-q", "-m", text)
    git("switch", "-q", "main")
    git("merge", "-q", "--squash", "ours")

    assert read_promotion((tmp_path / ".git/SQUASH_MSG").read_text()) == ROLLBACK


@pytest.mark.parametrize(
    "template",
    [
        "x\n\nPromoted-Image: a 1 -> 2",
        "x\n\n{a}\n\n    Promoted-Image: a 1 -> 2\n\n{a}".replace("{a}", BEGIN),
        "x\n\n```\nPromoted-Image: a 1 -> 2",
        "~~~",
    ],
)
def test_a_template_promotes_nothing(template: str) -> None:
    assert read_promotion(message(BACK, source=BUILT, message=template)) == read_promotion(
        message(BACK, source=BUILT)
    )


@pytest.mark.parametrize(
    "hostile",
    ["```x\n", "x" * 8, "Promoted-Image: a 1\n", "Promotion-Override: a\n\n", "\n", "a\n"],
)
def test_a_long_message_takes_no_long_time(hostile: str) -> None:
    start = monotonic()
    read_promotion("Promoted-Image: a 1 ->\n" + hostile * 30_000)

    assert monotonic() - start < 2


def test_a_revert_promotes_nothing() -> None:
    subject = PLAIN.split("\n", 1)[0]

    assert read_promotion(f'Revert "{subject}"\n\nThis reverts commit {"a" * 40}.\n') is None


def test_a_version_that_nobody_knows() -> None:
    read = read_promotion(
        message((Reference("a", "1 x"), Reference("b/c")), (Reference("d", "1 y"), Reference("d")))
    )

    assert read is not None
    assert read.versions == {"b/c": "", "d": ""}


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
    assert is_older(promoted(one, "9"), promoted(other, "1"), nobody)
    assert not is_older(promoted(other, "1"), promoted(one, "9"), nobody)


def test_else_the_run_tells() -> None:
    assert is_older(promoted("abc1234-9", "9"), promoted("def5678-10", "10"), nobody)
    assert not is_older(promoted("def5678-10", "10"), promoted("abc1234-9", "9"), nobody)


def test_what_nobody_knows_is_not_called_older() -> None:
    assert not is_older(promoted("abc"), promoted("def"), nobody)
    assert not is_older(
        promoted("abc", "9"), promoted("def", "10", repository="acme/other"), nobody
    )
    assert not is_older(promoted("1.5.0", "9"), promoted("1.5.0", "10"), nobody)


def test_of_several_images_one_that_is_newer_is_enough() -> None:
    source = Source(server_url=SERVER, repository="acme/shop")
    low = Promoted({"a": "1.0.0", "b": "1.0.0"}, source)
    mixed = Promoted({"a": "1.1.0", "b": "0.9.0"}, source)

    assert is_older(low, Promoted({"a": "1.0.0", "b": "2.0.0"}, source), nobody)
    assert not is_older(low, mixed, nobody)
    assert not is_older(mixed, low, nobody)


def test_commits_tell_where_versions_do_not() -> None:
    def built(commit: str, run: str) -> Promoted:
        source = replace(SOURCE, commit=commit * 40, run_id=run)
        return Promoted({SHOP: f"main-{run}"}, source)

    assert is_older(built("1", "9"), built("2", "3"), line)
    assert not is_older(built("2", "3"), built("1", "9"), line)


def rolled_back(*undone: str, to: str = "1.2.0") -> Promoted:
    return replace(promoted(to), undone=tuple(Undone(SHOP, Build(one)) for one in undone))


@pytest.mark.parametrize(
    ("version", "held"),
    [
        ("1.3.0", "1.3.0"),
        ("1.2.5", "1.3.0"),
        ("1.1.0", "1.3.0"),
        ("1.3.1", "1.4.0"),
        ("whatever", "1.3.0"),
        ("1.4.1", ""),
        ("1.2.0", ""),
    ],
)
def test_a_rollback_holds_until_a_newer_version(version: str, held: str) -> None:
    rollback = rolled_back("1.3.0", "1.4.0")
    found = held_back(Build(version), rollback, SHOP, nobody)

    assert (found.version if found else "") == held
    assert is_older(promoted(version), rollback, nobody) == bool(held)


@pytest.mark.parametrize(
    ("version", "run", "repository", "is_held"),
    [
        ("main-b", "51", "acme/shop", False),
        ("main-b", "51", "acme/other", False),
        ("fedcba9-51", "60", "acme/shop", False),
        # Built before, and maybe deployed since.
        ("main-b", "50", "acme/shop", True),
        ("main-b", "49", "acme/shop", True),
        ("fedcba9-49", "60", "acme/shop", True),
        ("main-b", "", "acme/shop", True),
        ("main-b", "\u0667\u0667", "acme/shop", True),
        # The same version, or what is known to be older.
        ("main-a", "51", "acme/shop", True),
        (f"1.3.0@{DIGEST}", "51", "acme/shop", True),
        ("1.2.5", "51", "acme/shop", True),
    ],
)
def test_where_nothing_else_tells_what_is_built_after_a_rollback_is_newer(
    version: str, run: str, repository: str, *, is_held: bool
) -> None:
    undone = "1.3.0" if version.startswith("1.") else "main-a"
    rollback = replace(rolled_back(undone), promoter=replace(PLATFORM, run_id="50"))
    new = promoted(version, run, repository)

    assert (held_back(new.build(SHOP), rollback, SHOP, nobody) is not None) == is_held
    assert is_older(new, rollback, nobody) == is_held


@pytest.mark.parametrize(
    "promoter", [None, Source(), Source(server_url=SERVER), Source(run_id="50")]
)
def test_a_rollback_by_a_run_that_nobody_knows_holds(promoter: Source | None) -> None:
    rollback = replace(rolled_back("main-a"), promoter=promoter)

    assert held_back(promoted("main-b", "51").build(SHOP), rollback, SHOP, nobody)


@pytest.mark.parametrize("server", ["", "https://github.com"])
def test_runs_of_two_servers_have_no_order(server: str) -> None:
    rollback = replace(rolled_back("main-a"), promoter=replace(PLATFORM, run_id="50"))
    new = Build("main-b", Source(run_id="51", repository="acme/shop", server_url=server))

    assert held_back(new, rollback, SHOP, nobody)
    assert held_back(new, replace(rollback, promoter=Source(run_id="50")), SHOP, nobody)


def test_of_several_images_one_that_is_held_back_is_enough() -> None:
    source = Source(server_url=SERVER, repository="acme/shop")
    undone = tuple(Undone(name, Build("1.3.0")) for name in ("a", "b"))
    rollback = Promoted({"a": "1.2.0", "b": "1.2.0"}, source, undone=undone)

    assert is_older(Promoted({"a": "1.3.0", "b": "1.4.0"}, source), rollback, nobody)
    assert is_older(Promoted({"a": "1.4.0", "b": "1.3.0"}, source), rollback, nobody)
    assert not is_older(Promoted({"a": "1.4.0", "b": "1.4.0"}, source), rollback, nobody)
    assert not is_older(Promoted({"a": "1.2.0", "b": "1.4.0"}, source), rollback, nobody)


def test_a_rollback_holds_its_own_images_only() -> None:
    rollback = rolled_back("1.3.0")

    assert held_back(Build("1"), rollback, "ghcr.io/acme/other", nobody) is None
    assert held_back(Build("1"), promoted("1.3.0"), SHOP, nobody) is None
    docker = replace(rollback, undone=(Undone("docker.io/library/shop", Build("2")),))
    assert held_back(Build("1"), docker, "shop", nobody) == Build("2")


def test_a_rollback_is_never_older() -> None:
    rollback = rolled_back("1.3.0")

    assert not is_older(rollback, promoted("1.3.0"), nobody)
    assert not is_older(rollback, rolled_back("1.2.0", to="1.1.0"), nobody)


def test_the_run_that_promotes_is_the_one_that_began() -> None:
    late = replace(promoted("1.2.0", "3"), promoter=promoted("", "50").source)
    unknown = replace(promoted("1.2.0", "3"), promoter=Source())

    assert not began_before(late, promoted("1.3.0", "9"))
    assert began_before(promoted("1.3.0", "9"), late)
    assert not began_before(unknown, promoted("1.3.0", "9"))


def test_going_back_is_said() -> None:
    def back(old: str, new: str) -> str:
        return goes_back([change(Reference(SHOP, old), Reference(SHOP, new))])

    assert back("1.3.0", "v1.2.0") == "This goes back to an older version: `v1.2.0` after `1.3.0`."
    assert back("1.3.0", "1.4.0") == ""
    assert back("main-1", "main-2") == ""
    assert back("", "1.0.0") == ""
