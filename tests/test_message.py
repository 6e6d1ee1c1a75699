"""The commit's message, read back by git."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.change import Change
from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Reference
from gitops_promote.core.message import compose
from gitops_promote.core.order import Build
from gitops_promote.core.promoted import read_promotion
from gitops_promote.core.request import Request, Undone
from gitops_promote.core.source import Source

SOURCE = Source(
    commit="0123456789abcdef0123456789abcdef01234567",
    repository="acme/shop",
    server_url="https://github.com",
    run_id="42",
)
DIGEST = "sha256:" + "0123456789abcdef" * 4
PAGE = "https://github.com/acme/shop"
PLATFORM = Source(repository="acme/deploy", server_url="https://github.com", run_id="77")


def asked(
    environments: Sequence[str] = (),
    source: Source = SOURCE,
    **more: Any,  # noqa: ANN401  (the other fields of a request)
) -> Request:
    return Request((), (), tuple(environments), source=source, **more)


def change(old: str, new: str, name: str = "ghcr.io/acme/shop") -> Change:
    """A change of a version; with a `/` in them, of the name, too."""

    def reference(text: str) -> Reference:
        tag, _, digest = text.partition("@")
        return Reference(name, tag, digest)

    return Change(name, "f", 1, "k", reference(old), reference(new))


def trailers(message: str) -> list[str]:
    """What git finds at the end of a message."""
    command = ["git", "interpret-trailers", "--parse"]
    done = subprocess.run(command, input=message.encode(), capture_output=True, check=True)
    return done.stdout.decode().splitlines()


def test_the_message_that_is_ours() -> None:
    request = asked(["dev"], app="shop", signoff="Ann <a@b.c>")
    message = compose(request, [change("1.0.0", "1.2.3")])

    assert message.startswith("Promote shop to 1.2.3 in dev\n\n")
    assert trailers(message) == [
        "Promoted-Image: ghcr.io/acme/shop 1.0.0 -> 1.2.3",
        "Promoted-App: shop",
        "Promoted-Environment: dev",
        f"Source-Commit: {PAGE}/commit/{SOURCE.commit}",
        f"Source-Run: {PAGE}/actions/runs/42",
        "Signed-off-by: Ann <a@b.c>",
    ]


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ([change("1", "2", "a"), change("1", "2", "x/b")], "Promote a, b to 2 in dev"),
        ([change("1", "2", "a"), change("1", "3", "b")], "Promote a, b in dev"),
        ([change("1", "2", n) for n in "abcde"], "Promote a, b, c and 2 more to 2 in dev"),
        ([change("1", f"2@{DIGEST}", "a")], "Promote a to 2 in dev"),
        ([change("1", f"@{DIGEST}", "a")], "Promote a to sha256:0123456789ab in dev"),
    ],
)
def test_its_subject(changes: list[Change], subject: str) -> None:
    assert compose(asked(["dev"]), changes).splitlines()[0] == subject


def test_a_template() -> None:
    template = "Deploy {app} {version} (was {old-version}) to {environment}\n\n"
    template += "{{{images}}} {source-commit}"
    request = asked(["dev", "prod"], app="shop", message=template)
    message = compose(request, [change("1", "2")])

    assert message.startswith(
        f"Deploy shop 2 (was 1) to dev, prod\n\n{{ghcr.io/acme/shop}} {SOURCE.commit}\n\nPromoted-"
    )


def test_an_image_that_takes_another_s_place() -> None:
    renamed = Change("a", "f", 1, "k", Reference("x/a", "1"), Reference("y/a", "2"))

    assert trailers(compose(asked(source=Source()), [renamed])) == [
        "Promoted-Image: y/a x/a:1 -> y/a:2"
    ]


def test_an_image_that_had_no_version() -> None:
    assert trailers(compose(asked(source=Source()), [change("", "2")])) == [
        "Promoted-Image: ghcr.io/acme/shop (none) -> 2"
    ]


@given(
    st.text(alphabet=st.sampled_from('a:-#{}\n \r>8\t"=\\`'), max_size=40),
    st.text(max_size=20),
    st.text(alphabet="ab\n:-# ", max_size=20),
)
def test_git_reads_the_trailers_whatever_the_rest_holds(template: str, old: str, app: str) -> None:
    template = template.replace("{", "{{").replace("}", "}}")
    old = old.encode("utf-8", "replace").decode()
    request = asked(["dev"], app=app, message=template, signoff="Ann <a@b.c>")
    message = compose(request, [change(old, "2")])
    found = trailers(message)

    assert message.strip().split("\n")[0].strip()
    assert len(found) == 5 + bool(app)
    assert found[0].startswith("Promoted-Image: ghcr.io/acme/shop ")
    assert found[-1] == "Signed-off-by: Ann <a@b.c>"


@pytest.mark.parametrize(
    "template",
    [
        "{app}",
        "---\nx",
        "a\n---\nb",
        "a\n\nSigned-off-by: Eve <e@v.e>",
        "# x",
        "a\n\nConflicts:\n\tx",
        "a\n# ------------------------ >8 ------------------------\nb",
        "{{",
    ],
)
def test_a_template_that_git_could_take_for_something_else(template: str) -> None:
    request = asked(["dev"], Source(), message=template)
    found = trailers(compose(request, [change("1", "2")]))

    assert found == ["Promoted-Image: ghcr.io/acme/shop 1 -> 2", "Promoted-Environment: dev"]


def test_a_value_of_a_file_adds_no_line() -> None:
    request = asked(source=Source(), message="{old-version}")
    message = compose(request, [change("1\n\nReviewed-by: Eve", "2")])

    assert message.splitlines()[0] == "1 Reviewed-by: Eve"
    assert trailers(message) == ["Promoted-Image: ghcr.io/acme/shop 1 Reviewed-by: Eve -> 2"]


def test_an_unknown_placeholder() -> None:
    with pytest.raises(UsageError, match=r"placeholder `\{nope\}`"):
        compose(asked(message="{nope}"), [change("1", "2")])


def test_a_rollback() -> None:
    undone = (
        Undone("ghcr.io/acme/shop", Build(f"1.3.0@{DIGEST}", SOURCE)),
        Undone("ghcr.io/acme/shop", Build("1.2.9")),
    )
    built = Source(repository="acme/shop", server_url="https://github.com", run_id="40")
    request = asked(["prod"], PLATFORM, app="shop", origin=built, undone=undone)
    message = compose(request, [change("1.3.0", "1.2.0")])

    assert message.startswith("Roll back shop to 1.2.0 in prod\n\n")
    assert trailers(message) == [
        "Promoted-Image: ghcr.io/acme/shop 1.3.0 -> 1.2.0",
        "Promoted-App: shop",
        "Promoted-Environment: prod",
        f"Rolled-Back-From: ghcr.io/acme/shop 1.3.0@{DIGEST} {SOURCE.commit_url} {SOURCE.run_url}",
        "Rolled-Back-From: ghcr.io/acme/shop 1.2.9 - -",
        f"Source-Run: {PAGE}/actions/runs/40",
        "Promotion-Run: https://github.com/acme/deploy/actions/runs/77",
    ]


def test_a_template_goes_before_the_subject_of_a_rollback() -> None:
    undone = (Undone("ghcr.io/acme/shop", Build("2")),)
    message = compose(asked(message="Back to {version}", undone=undone), [change("2", "1")])

    assert message.startswith("Back to 1\n\nPromoted-Image: ")


def test_a_copy_that_skips_the_order() -> None:
    request = asked(
        ["prod"],
        PLATFORM,
        origin=SOURCE,
        copied_from="dev",
        override="Payments are down,\nINC-7",
        message="Copy {source-commit} of {source-repository}",
    )
    message = compose(request, [change("1", "2")])

    assert message.startswith(f"Copy {SOURCE.commit} of acme/shop\n")
    assert trailers(message)[1:] == [
        "Promoted-Environment: prod",
        "Promoted-From: dev",
        "Promotion-Override: Payments are down, INC-7",
        f"Source-Commit: {PAGE}/commit/{SOURCE.commit}",
        f"Source-Run: {PAGE}/actions/runs/42",
        "Promotion-Run: https://github.com/acme/deploy/actions/runs/77",
    ]


FORGED = st.sampled_from(
    [
        *("x", " ", "\n", "\r", "\x0b", "\u2028", "\x85", "::", " : "),
        "Promoted-Image: evil 1 -> 9",
        "Promoted-Environment:prod",
        "Rolled-Back-From : a b - -",
        "Signed-off-by: Eve <e@v.e>",
        "Source-Commit: " + "f" * 40,
    ]
)


@given(*[st.lists(FORGED, max_size=6).map("".join)] * 5)
def test_no_text_of_somebody_makes_a_trailer(
    reason: str, environment: str, app: str, copied_from: str, name: str
) -> None:
    undone = (Undone(name, Build(reason)),)
    request = asked([environment], app=app, copied_from=copied_from, override=reason, undone=undone)
    message = compose(request, [change("1", "2")])
    found = trailers(message)

    assert sum(line.startswith("Promoted-Image:") for line in found) == 1
    assert not any(line.startswith("Signed-off-by") for line in found)
    # As somebody's tool may wrap it, each word in a place where it does the most harm.
    for text in (message, re.sub(r" (?=[A-Z])", "\n", message)):
        read = read_promotion(text)

        assert read is not None
        assert read.versions == {"ghcr.io/acme/shop": "2"}
        assert read.source == SOURCE
        assert len(read.environments) <= 1
        assert len(read.undone) <= 1
