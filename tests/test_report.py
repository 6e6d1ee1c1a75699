"""The outputs and the summary, with contents that try to be more than that."""

from __future__ import annotations

import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.change import Change
from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Reference, parse_image
from gitops_promote.core.markdown import code
from gitops_promote.core.plan import Plan
from gitops_promote.core.report import (
    MOST_DIFF,
    MOST_ROWS,
    Outcome,
    cut,
    error_markdown,
    output_texts,
    outputs,
    to_json,
    to_markdown,
)

SHOP = "ghcr.io/acme/shop"
HOSTILE = st.text(
    alphabet=st.sampled_from("`|\\<>&@#*_[]()!~\n\r$: ab\u2028"), min_size=1, max_size=20
)


def outcome(
    old: str = "1.0.0",
    new: str = "1.2.3",
    path: str = "values.yaml",
    diff: str = "-a\n+b\n",
    mode: str = "push",
    warnings: tuple[str, ...] = (),
) -> Outcome:
    """The outcome of one change."""
    change = Change(SHOP, path, 3, "image", Reference(SHOP, old), Reference(SHOP, new))
    plan = Plan({path: b"b\n"}, (change,), diff, "Promote shop to 1.2.3\n\nx", warnings)
    commit = "0123456789abcdef" if mode == "push" else ""
    url = "https://github.com/acme/deploy/commit/0123456789abcdef" if commit else ""
    return Outcome(plan, (parse_image(f"{SHOP}:1.2.3"),), mode, "acme/deploy", "main", commit, url)


def test_the_outputs() -> None:
    assert outputs(outcome()) == {
        "version": "1.2.3",
        "tags": [f"{SHOP}:1.2.3"],
        "images": {SHOP: f"{SHOP}:1.2.3"},
        "changed": True,
        "changed-files": ["values.yaml"],
        "diff": "-a\n+b\n",
        "commit-sha": "0123456789abcdef",
        "commit-url": "https://github.com/acme/deploy/commit/0123456789abcdef",
        "pull-request-number": None,
        "pull-request-url": "",
        "pull-request-operation": "none",
        "pull-request-branch": "",
        "pull-request-title": "",
        "pull-request-body": "",
    }


def test_the_outputs_as_texts() -> None:
    texts = output_texts(outcome())
    data = json.loads(texts.pop("json"))

    assert texts["changed"] == "true"
    assert texts["tags"] == f"{SHOP}:1.2.3"
    assert json.loads(texts["images"]) == {SHOP: f"{SHOP}:1.2.3"}
    assert {name: data[name] for name in outputs(outcome())} == outputs(outcome())
    assert data["changes"] == [
        {
            "image": SHOP,
            "file": "values.yaml",
            "line": 3,
            "key": "image",
            "old": f"{SHOP}:1.0.0",
            "new": f"{SHOP}:1.2.3",
            "old-version": "1.0.0",
            "new-version": "1.2.3",
        }
    ]
    assert (data["reason"], data["warnings"]) == ("", [])


def test_images_of_different_versions_have_no_common_one() -> None:
    base = outcome()
    two = Outcome(base.plan, (parse_image("a:1"), parse_image("b:2")), "push", "r", "main")

    assert outputs(two)["version"] == ""
    assert outputs(two)["tags"] == ["a:1", "b:2"]


def test_the_summary() -> None:
    assert to_markdown(outcome(warnings=("f: no resource uses `x`.",))) == (
        "### Promote shop to 1.2.3\n\n"
        "| Image | Old | New | Where |\n|---|---|---|---|\n"
        f"| `{SHOP}` | `1.0.0` | **`1.2.3`** | `values.yaml:3` |\n\n"
        "Commit [`0123456789`](https://github.com/acme/deploy/commit/0123456789abcdef) on `main` "
        "of `acme/deploy`.\n\n"
        "```diff\n-a\n+b\n```\n\n"
        "> [!WARNING]\n> f: no resource uses `x`.\n"
    )


def test_the_summary_of_a_dry_run() -> None:
    text = to_markdown(outcome(mode="dry-run"))

    assert text.startswith("### Dry run: Promote shop to 1.2.3\n")
    assert "Nothing was written to `main` of `acme/deploy`." in text


def cells(row: str) -> list[str]:
    """The cells of a table's row, as GitHub parts them."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def plain(cell: str) -> str:
    """What a cell of code shows."""
    # A comment shows nothing; it keeps GitHub from finding an address.
    cell = cell.removeprefix("**").removesuffix("**").replace("<!-- -->", "")
    found = re.fullmatch(r"`([^`]+)`|<code>((?:[\w\s./:-]|[^\x00-\x7f]|&#\d+;)+)</code>", cell)
    assert found, cell
    return html.unescape(found[1] or found[2])


@given(HOSTILE, HOSTILE, HOSTILE)
def test_a_cell_holds_what_it_shows(old: str, new: str, path: str) -> None:
    def clean(text: str) -> str:
        return re.sub(r"[\n\r\u2028]+", " ", text)

    table = to_markdown(outcome(old, new, path)).split("\n\n")[1].split("\n")
    row = cells(table[2])

    assert len(table) == 3
    assert [plain(cell) for cell in row[1:]] == [clean(old), clean(new), clean(f"{path}:3")]


@given(st.text(alphabet="`+-\n\r|<a", max_size=40))
def test_a_diff_does_not_leave_its_fence(diff: str) -> None:
    text = to_markdown(outcome(diff=f"+{diff}\n"))
    found = re.search(r"(?ms)^(`{3,})diff\n(.*)\n\1$", text)

    assert found
    assert found[2] == f"+{diff}"
    assert found[1] not in found[2]


@given(HOSTILE)
def test_a_sentence_has_no_markup_of_a_value(value: str) -> None:
    text = error_markdown(PromoteError(f"Input images is `{value}`.", f"See {value}."), "No")
    body = text.partition("\n\n")[2]
    outside = re.sub(r"\\[!-/:-@\[-`{-~]|`[^`\n]*`|<code>[^<]*</code>|<!-- -->", "", body)
    if "`" not in value:
        assert code(value) in text

    assert not re.search(r"[<>|\[\]*_~]|@\w|#\w", outside), text


@pytest.mark.parametrize("value", ["a`(www.evil.example`b", "a`https://evil.example`b", "``WWW.x"])
def test_a_value_with_backticks_makes_no_link(value: str) -> None:
    text = error_markdown(PromoteError(f"The branch is `{value}`.", "Look."), "No")

    outside = re.sub(r"`[^`\n]*`|<code>[^<]*</code>", "", text)
    assert not re.search(r"www\.|://", outside, re.IGNORECASE)


@pytest.mark.parametrize("value", ["<img src=x>", "@octocat", "[x](https://evil)", "#1", "**b**"])
def test_a_headline_is_only_text(value: str) -> None:
    base = outcome()
    plan = Plan(base.plan.files, base.plan.changes, "", f"{value}\n\nx")
    text = to_markdown(Outcome(plan, base.images, "push", "r", "main")).split("\n")[0]

    assert value not in text
    assert not re.search(r"(?<!\\)[<\[*](?!!-- -->)|@\w|#\w", text)


def test_a_long_diff_is_cut_at_a_line() -> None:
    short = cut("+ü\n" * MOST_DIFF)

    assert len(short.encode()) <= MOST_DIFF + 20
    assert short.endswith("+ü\n… cut here\n")
    assert cut("+a\n") == "+a\n"


def test_a_long_table_is_cut() -> None:
    base = outcome()
    plan = Plan({}, base.plan.changes * (MOST_ROWS + 5), "", "x", (), "a reason")
    text = to_markdown(Outcome(plan, base.images, "push", "r", "main"))

    assert text.count(f"`{SHOP}`") == MOST_ROWS
    assert "| and 5 more |" in text


def test_a_reason_is_the_headline_of_no_change() -> None:
    base = outcome()
    plan = Plan({}, base.plan.changes, "", "x", (), "dev already has a:1.")
    same = Outcome(plan, base.images, "push", "r", "main")

    assert same.headline == "Nothing to promote: dev already has a:1."
    assert json.loads(to_json(same))["changed"] is False
    assert output_texts(same)["changed"] == "false"
    assert output_texts(same)["diff"] == ""
