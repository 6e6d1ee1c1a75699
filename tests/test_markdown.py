"""Values from outside in Markdown, judged by GitHub's own reader of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitops_promote.core.markdown import (
    code,
    code_element,
    encoded,
    escape,
    fenced,
    link,
    one_line,
    plain,
    prose,
)
from render import Read

#: What notifies, links, formats, hides or ends something, where it is let.
DANGEROUS = (
    *("@octocat", "@acme/team", "#1", "closes #12", "GH-7", "acme/shop#3", "acme/shop@1234567"),
    *("0123456789abcdef0123456789abcdef01234567", "fixes GH-1", "https://evil.example/x", "://"),
    *("www.evil.example", "ftp://evil.example", "mail@evil.example", "mailto:a@b.example", "xmpp:"),
    *(
        "<img src=x onerror=y>",
        "<script>",
        "</details>",
        "</summary>",
        "<!--",
        "-->",
        "<b>",
        "</b>",
    ),
    *("<a href=//evil.example>", "[x](https://evil.example)", "![x](//evil.example)", "[x]: /y"),
    *(
        "```",
        "~~~",
        "`",
        "``",
        "|",
        "\\",
        "\\|",
        "**",
        "__",
        "_",
        "~~",
        "*",
        "- ",
        "+ ",
        "1. ",
        "2) ",
    ),
    *(
        "# ",
        "> ",
        "---",
        "===",
        "    ",
        "\t",
        "\n",
        "\n\n",
        "\r",
        "\u2028",
        "\x00",
        "\x1b[31m",
        "$x$",
    ),
    *("[skip ci]", "[ci skip]", "[no ci]", "skip-checks: true", "&amp;", "&#64;", "&lt;b&gt;"),
    *("\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad", "\ud800", "{{", "{diff}", "[^1]", ":+1:"),
    *("a", "b", "shop", "1", " ", ".", ":", "/", "(", ")", "é", "日本", "😀", "<", ">", "@", "#"),
)
HOSTILE = st.lists(st.sampled_from(DANGEROUS) | st.text(max_size=3), max_size=8).map("".join)
_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def seen(text: str) -> str:
    """What is left of a text, what only parts it taken away."""
    return re.sub(r"\s+", " ", text.replace("\u200b", "")).strip()


@given(HOSTILE)
@example("\\@octocat")
@example("1. @octocat")
@example("    @octocat")
@example("mail@evil.example")
def test_a_text_is_only_text(value: str) -> None:
    read = Read(f"{escape(value)}\n\n- {escape(value)}\n\n| {escape(value)} |\n|---|\n")

    assert (read.links, read.references, read.unbalanced, read.codes) == ([], [], [], [])
    assert set(read.tags) <= {"p", "ul", "li", "table", "thead", "tr", "th"}
    assert seen(read.text) == seen(" ".join([one_line(value)] * 3))


@given(HOSTILE)
@example("`[skip ci]")
def test_code_shows_what_it_is_given(value: str) -> None:
    read = Read(f"x {code(value)}\n\n| {code(value)} |\n|---|\n\n<p>{code_element(value)}</p>\n")

    shown = [seen(text) for text in read.codes]
    assert shown == [seen(one_line(value))] * 3
    assert (read.links, read.references, read.unbalanced) == ([], [], [])
    assert set(read.tags) <= {"p", "code", "table", "thead", "tr", "th"}


@given(HOSTILE)
def test_a_sentence_with_a_value_links_nothing(value: str) -> None:
    read = Read(f"{prose(f'The tag is `{value}`.')}\n\n{prose(f'See {value}.')}\n")

    assert (read.links, read.references, read.unbalanced) == ([], [], [])
    assert set(read.tags) <= {"p", "code"}


@given(HOSTILE)
def test_a_fence_holds_all_of_a_text(value: str) -> None:
    read = Read(f"{fenced(value, 'diff')}\n\nafter\n")

    assert (read.links, read.references, read.unbalanced) == ([], [], [])
    assert read.tags == {"pre": 1, "code": 1, "p": 1}
    assert read.text.strip() == "after"
    assert not set(read.codes[0]) & set(_BIDIRECTIONAL)


@given(HOSTILE)
def test_an_address_stays_one(value: str) -> None:
    read = Read(f"- {link(escape(value) or 'x', f'https://scan.example/{value}')} |after\n")

    assert [url.partition(".example/")[0] for url in read.links] == ["https://scan"]
    assert (read.references, read.unbalanced) == ([], [])
    assert read.text.strip().endswith("|after")


def test_what_is_encoded_in_an_address() -> None:
    assert encoded("https://a.example/b?c=d&e=%20#f") == "https://a.example/b?c=d&amp;e=%20#f"
    assert encoded("https://a.example/(x) <y>`é") == "https://a.example/%28x%29%20%3Cy%3E%60%C3%A9"
    assert link("`x`", "") == "`x`"


def test_hidden_characters_are_shown() -> None:
    assert one_line("a\u202eb\ud800\u2060") == "a⟨U+202E⟩b\ufffd⟨U+2060⟩"
    assert code("\u2066x") == "`⟨U+2066⟩x`"
    assert one_line(one_line("[skip ci]")) == one_line("[skip ci]") == "[\u200bskip ci]"
    assert "⟨U+202E⟩" in fenced("+ \u202e\n", "diff")
    assert "\x1b" not in fenced("\x1b[31m", "")


def test_a_usual_text_stays_as_it_is() -> None:
    for text in ("Show the price with tax", "renovate: 4.2 (minor)", "日本語 — ✓", "a👩\u200d💻b"):
        assert escape(text) == text
    assert plain("Promote shop to 1.5.0@sha256:abc in prod") == (
        "Promote shop to 1.5.0@sha256:abc in prod"
    )


@given(HOSTILE)
def test_a_title_notifies_nobody_and_skips_nothing(value: str) -> None:
    text = plain(value)

    assert "\n" not in text
    assert not re.search(r"(?<!\w)(?:@\w|#\d|gh-\d)", text, re.IGNORECASE)
    assert not re.search(r"\[(?:skip|no|ci) (?:ci|skip)\]", text)
    assert not set(text) & set(_BIDIRECTIONAL)


@pytest.mark.parametrize("text", ["[skip ci]", "[CI SKIP]", "[no ci]", "[actions skip]"])
def test_a_commit_that_takes_the_text_still_starts_workflows(text: str) -> None:
    made = [escape(text), code(text), fenced(text, ""), plain(text), prose(f"`{text}`")]

    assert not [one for one in made if text in one]
