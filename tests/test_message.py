"""The commit's message, read back by git."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.change import Change
from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Reference
from gitops_promote.core.message import compose
from gitops_promote.core.source import Source

SOURCE = Source(
    commit="0123456789abcdef0123456789abcdef01234567",
    repository="acme/shop",
    server_url="https://github.com",
    run_id="42",
)
DIGEST = "sha256:" + "0123456789abcdef" * 4
PAGE = "https://github.com/acme/shop"


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
    message = compose("", [change("1.0.0", "1.2.3")], ["dev"], "shop", SOURCE, "Ann <a@b.c>")

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
    assert compose("", changes, ["dev"], "", Source(), "").splitlines()[0] == subject


def test_a_template() -> None:
    template = "Deploy {app} {version} (was {old-version}) to {environment}\n\n"
    template += "{{{images}}} {source-commit}"
    message = compose(template, [change("1", "2")], ["dev", "prod"], "shop", SOURCE, "")

    assert message.startswith(
        f"Deploy shop 2 (was 1) to dev, prod\n\n{{ghcr.io/acme/shop}} {SOURCE.commit}\n\nPromoted-"
    )


def test_an_image_that_takes_another_s_place() -> None:
    renamed = Change("a", "f", 1, "k", Reference("x/a", "1"), Reference("y/a", "2"))

    assert trailers(compose("", [renamed], [], "", Source(), "")) == [
        "Promoted-Image: y/a x/a:1 -> y/a:2"
    ]


def test_an_image_that_had_no_version() -> None:
    assert trailers(compose("", [change("", "2")], [], "", Source(), "")) == [
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
    message = compose(template, [change(old, "2")], ["dev"], app, SOURCE, "Ann <a@b.c>")
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
    found = trailers(compose(template, [change("1", "2")], ["dev"], "", Source(), ""))

    assert found == ["Promoted-Image: ghcr.io/acme/shop 1 -> 2", "Promoted-Environment: dev"]


def test_a_value_of_a_file_adds_no_line() -> None:
    message = compose("{old-version}", [change("1\n\nReviewed-by: Eve", "2")], [], "", Source(), "")

    assert message.splitlines()[0] == "1 Reviewed-by: Eve"
    assert trailers(message) == ["Promoted-Image: ghcr.io/acme/shop 1 Reviewed-by: Eve -> 2"]


def test_an_unknown_placeholder() -> None:
    with pytest.raises(UsageError, match=r"placeholder `\{nope\}`"):
        compose("{nope}", [change("1", "2")], [], "", Source(), "")
