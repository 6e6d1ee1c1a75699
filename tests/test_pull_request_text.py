"""The text of a pull request: what it says, what it never does, and that it always fits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops_promote.core.change import Change
from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Reference
from gitops_promote.core.message import compose as write_message
from gitops_promote.core.order import Build
from gitops_promote.core.placeholders import PLACEHOLDERS, SECTIONS
from gitops_promote.core.plan import Plan
from gitops_promote.core.promoted import read_promotion
from gitops_promote.core.request import Request, Undone
from gitops_promote.core.review.gates import Gate
from gitops_promote.core.review.history import History, SourceCommit
from gitops_promote.core.review.rendered import ObjectChange, Rendered
from gitops_promote.core.review.text import (
    MOST,
    Facts,
    closing_comment,
    compose,
    size,
    supersede_comment,
    with_trailers,
)
from gitops_promote.core.source import Source
from render import CHROMIUM, SHOP, STYLE, Read, example, page, screenshot
from test_markdown import HOSTILE
from yaml_texts import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

#: Where the links of a text may lead, but for those of the gates.
OURS = "https://github.com/"
TAGS = {
    *("p", "strong", "code", "pre", "a", "ul", "li", "input", "h4", "br", "div", "b", "sub"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}


def body(facts: Facts, template: str = "") -> str:
    return compose(facts, "", template).body


def rollback() -> Facts:
    """The way back from what the example promotes."""
    facts = example()
    changes = tuple(replace(c, old=c.new, new=c.old) for c in facts.plan.changes)
    built = replace(facts.request.source, run_number="", actor="")
    request = replace(
        facts.request,
        source=replace(
            built, repository="acme/deploy", run_id="99", run_number="12", actor="octocat"
        ),
        origin=Source(),
        undone=(Undone(SHOP, Build("1.5.0", built)), Undone(SHOP, Build("1.4.9"))),
    )
    plan = replace(facts.plan, changes=changes, message="Roll back shop to 1.4.1 in prod\n\nx")
    return replace(facts, request=request, plan=plan, gates=())


def section(text: str, heading: str) -> str:
    """What stands below a heading."""
    return text.partition(f"#### {heading}")[2].partition("\n#### ")[0]


def test_the_example_says_what_a_reviewer_asks() -> None:
    text = compose(example(), "", "")
    lines = text.body.split("\n")

    assert text.title == "Promote shop to 1.5.0 in prod"
    assert lines[0] == (
        "Promotes **shop** from `1.4.1` to **`1.5.0`** in **prod**. "
        "In the cluster **1 object changes, images only**."
    )
    assert lines[4] == (
        "| `ghcr.io/acme/shop` | `1.4.1` | **`1.5.0`** | `sha256:b5b2b2c507a0` | "
        "[`…/prod/kustomization.yaml:7`](https://github.com/acme/deploy/blob/main/apps/shop/"
        "overlays/prod/kustomization.yaml#L7) |"
    )
    assert re.findall(r"^#### (.*)$", text.body, re.MULTILINE) == [
        "What is new in [acme/shop](https://github.com/acme/shop)",
        "Before you approve",
        "What changes in the cluster",
        "What changes in the files",
        "Roll back",
    ]
    assert "6 commits · started by [octocat](https://github.com/octocat) in [run 318]" in text.body
    assert "/compare/1f0c2d3a1f0c2d3a1f0c2d3a1f0c2d3a1f0c2d3a...8c1f7a2e8c1f7a2e" in text.body
    assert section(text.body, "What is new").count("\n- [`") == 6
    assert section(text.body, "Before you approve").count("\n- [ ] [") == 3
    assert "<details><summary>" in section(text.body, "What changes in the cluster")
    assert "<details open><summary>1 file</summary>" in text.body
    assert (
        "or run `gitops-promote rollback`, as a step with these inputs:\n\n"
        "```yaml\nrollback: true\napp: shop\nenvironment: prod\n```\n\n"
        "A revert doesn't hold, as the next automatic run may bring this version again; "
        "`gitops-promote rollback` (`rollback: true`) does.\n"
    ) in section(text.body, "Roll back")
    assert "> [!WARNING]" not in text.body


def test_the_example_notifies_nobody() -> None:
    read = Read(body(example()))

    assert (read.references, read.unbalanced) == ([], [])
    assert set(read.tags) <= TAGS


def test_more_than_images_is_a_warning() -> None:
    facts = example()
    config = ObjectChange("ConfigMap", "shop", "settings", "+a: b\n", only_image=False)
    more = replace(facts.rendered[0], objects=(*facts.rendered[0].objects, config))

    text = body(replace(facts, rendered=(more,)))

    assert text.split("\n")[0].endswith("**2 objects change, more than images**.")
    assert (
        "> [!WARNING]\n> **More than images changes in the cluster:** `ConfigMap/settings`.\n"
    ) in text
    assert text.index("[!WARNING]") < text.index("#### What is new")
    assert "2 objects change: <code>Deployment&#47;shop</code>, <code>ConfigMap" in text
    assert "<b>more than images</b></summary>" in text


def test_what_the_plan_warns_of_is_a_warning() -> None:
    facts = example()
    warned = replace(facts.plan, warnings=("`a` is unused.", "\x1b", "b"))

    assert "> [!WARNING]\n> - `a` is unused.\n> - b\n" in body(replace(facts, plan=warned))


def test_going_back_is_a_warning() -> None:
    facts = example()
    history = replace(facts.history, commits=(), total=0, behind=3)  # type: ignore[type-var]

    text = body(replace(facts, history=history))

    assert "> **This goes back:** it takes 3 commits of `acme/shop` away.\n" in text


def test_what_is_not_rendered_says_why() -> None:
    facts = example()
    rendered = (Rendered("a", "kustomize", (), "The base is gone."), Rendered("b", "helm"))

    text = body(replace(facts, rendered=rendered))

    assert "`a` isn't rendered: The base is gone.\n\n`b`: no object changes." in text
    assert "In the cluster" not in text.split("\n")[0]


def test_little_is_known_outside_of_ci() -> None:
    facts = example()
    request = replace(facts.request, source=Source(), app="", environments=())
    bare = Facts(request, facts.plan, repository="/srv/deploy.git", base="main", server_url="")

    text = body(bare)

    assert text.startswith("Promotes **shop** from `1.4.1` to **`1.5.0`**.\n\n| Image |")
    assert "[`" not in text
    assert "Started" not in text
    assert re.findall(r"^#### (.*)$", text, re.MULTILINE) == [
        "What changes in the files",
        "Roll back",
    ]


def test_the_source_without_a_history() -> None:
    text = body(replace(example(), history=None))

    assert (
        "Built from [`8c1f7a2`](https://github.com/acme/shop/commit/8c1f7a2e8c1f7a2e8c1f7a2e"
        "8c1f7a2e8c1f7a2e) of [acme/shop](https://github.com/acme/shop). Started by [octocat]"
    ) in text


def test_the_same_commit_again() -> None:
    facts = example()
    history = History(OURS.rstrip("/"), "acme/shop", "a" * 40, "a" * 40)

    text = body(replace(facts, history=history))

    assert "the same commit, built again" in text
    assert "/compare/" not in text


def test_many_commits_are_counted() -> None:
    facts = example()
    commits = tuple(SourceCommit(f"{n:040x}", f"Commit {n}", "Ann") for n in range(250))
    history = History(OURS.rstrip("/"), "acme/shop", "a" * 40, "b" * 40, commits, 1300)

    text = section(body(replace(facts, history=history)), "What is new")

    assert text.count("\n- [`") == 20
    assert "1,300 commits" in text
    assert "- and [1280 more](https://github.com/acme/shop/compare/" in text


def test_the_author_of_a_run_may_be_an_app() -> None:
    facts = example()
    source = replace(facts.request.source, actor="renovate[bot]")

    text = body(replace(facts, request=replace(facts.request, source=source)))

    assert "[renovate\\[bot\\]](https://github.com/apps/renovate)" in text


def test_old_versions_that_differ_are_not_promoted_again() -> None:
    facts = example()
    change = facts.plan.changes[0]
    other = replace(change, path="b.yaml", old=Reference(SHOP, "1.3.0"))
    plan = replace(facts.plan, changes=(change, other))

    text = body(replace(facts, plan=plan))

    assert text.startswith("Promotes **shop** to **`1.5.0`** in **prod**.")
    assert section(text, "Roll back").startswith(
        "\n\n**Revert** this pull request after its merge, or `git revert` its commit. A revert "
        "doesn't hold, as the next automatic run may bring this version again; "
    )


def test_a_new_name_is_promoted_back_too() -> None:
    facts = example()
    change = replace(facts.plan.changes[0], old=Reference("docker.io/shop", "1"), image="shop")
    plan = replace(facts.plan, changes=(change,))
    request = replace(facts.request, environments=())

    text = body(replace(facts, plan=plan, request=request))

    assert "| `shop` | `docker.io/shop:1` | **`ghcr.io/acme/shop:1.5.0`** |" in text
    assert "\n  shop=docker.io/shop:1\n" in section(text, "Roll back")


def test_without_an_environment_the_old_version_is_promoted_again() -> None:
    facts = example()
    request = replace(facts.request, environments=())

    text = section(body(replace(facts, request=request)), "Roll back")

    assert "or promote the old version with these inputs:" in text
    assert "app: shop\nimages: |\n  ghcr.io/acme/shop:1.4.1@sha256:3f0d" in text


def test_a_rollback_says_what_is_undone() -> None:
    text = compose(rollback(), "", "")

    assert text.title == "Roll back shop to 1.4.1 in prod"
    assert text.body.startswith(
        "Rolls back **shop** from `1.5.0` to **`1.4.1`** in **prod**. In the cluster"
    )
    assert re.findall(r"^#### (.*)$", text.body, re.MULTILINE) == [
        "What is undone",
        "What changes in the cluster",
        "What changes in the files",
        "Go forward again",
    ]
    assert section(text.body, "What is undone").startswith(
        "\n\n- `1.5.0` of `ghcr.io/acme/shop`, built from [`8c1f7a2`](https://github.com/acme/shop/"
        f"commit/{'8c1f7a2e' * 5}) in [run 11870042117](https://github.com/acme/shop/actions/runs/"
        "11870042117)\n- `1.4.9` of `ghcr.io/acme/shop`\n\n[`1f0c2d3...8c1f7a2`](https://github.com/"
    )
    assert (
        ") of [acme/shop](https://github.com/acme/shop) · 6 commits · rolled back by [octocat]"
        "(https://github.com/octocat) in [run 12](https://github.com/acme/deploy/actions/runs/99)"
    ) in text.body
    assert section(text.body, "What is undone").count("\n- [`") == 6
    assert (
        "Promote a version that is newer than `1.5.0`, `1.4.9`. What isn't known to be newer "
        "changes nothing, so that no late run undoes this; the same version comes back only with "
        "`allow-downgrade: true`."
    ) in section(text.body, "Go forward again")
    assert "> [!WARNING]" not in text.body


def test_a_rollback_whose_commits_nobody_knows() -> None:
    text = section(body(replace(rollback(), history=None)), "What is undone")

    assert "\n- `1.4.9` of `ghcr.io/acme/shop`\n\nRolled back by [octocat]" in text
    assert "Built from" not in text


def test_a_rollback_of_many_versions() -> None:
    facts = rollback()
    digest = "sha256:" + "ab" * 32
    undone = tuple(Undone("a", Build(f"{n}.0.0")) for n in range(9))
    undone = (Undone("a", Build(digest)), Undone("a", Build(f"1@{digest}")), *undone)

    text = body(replace(facts, request=replace(facts.request, undone=undone)))

    assert "- `sha256:abababababab` of `a`\n- `1` of `a`\n" in text
    assert "\n- and 6 more, all in the commit\n" in text
    assert "newer than `sha256:abababababab`, `1`, `0.0.0`, `1.0.0`, `2.0.0` and 6 more." in text


def test_what_is_undone_links_nowhere_else() -> None:
    facts = rollback()
    evil = Source(commit="a" * 40, server_url="https://evil.example", repository="a/b", run_id="1")
    odd = replace(evil, server_url="https://github.com", repository="a/b/../c")
    undone = (Undone("a", Build("1", evil)), Undone("a", Build("2", odd)))
    request = replace(facts.request, undone=undone, origin=evil)

    for made in (request, replace(request, undone=())):
        text = body(replace(facts, request=made, history=None))

        assert all(url.startswith(OURS) for url in Read(text).links)
        assert "a/b" not in text

    assert "- `1` of `a`, built from `aaaaaaa`\n- `2` of `a`, built from `aaaaaaa`\n" in body(
        replace(facts, request=request)
    )


def test_a_copy_says_from_where() -> None:
    facts = example()
    source = Source(repository="acme/deploy", server_url="https://github.com", run_id="99")
    request = replace(facts.request, copied_from="test", source=source, origin=facts.request.source)

    text = body(replace(facts, request=request, history=None), "{source}\n{source-commit}")

    assert body(replace(facts, request=request)).startswith(
        "Promotes **shop** from `1.4.1` to **`1.5.0`** in **prod**, as it runs in **test**. In the"
    )
    assert text.startswith("Built from [`8c1f7a2`](https://github.com/acme/shop/commit/8c1f7a2e")
    assert "Started in [run 99](https://github.com/acme/deploy/actions/runs/99)." in text


def test_an_order_that_is_skipped_is_the_first_warning() -> None:
    facts = example()
    request = replace(facts.request, override="INC-7: *payments* fail,\n> @ops ok " + "x" * 999)
    plan = replace(facts.plan, warnings=("`a` is unused.",))

    text = body(replace(facts, request=request, plan=plan))

    assert (
        "> [!WARNING]\n> - **Order skipped:** INC-7: \\*payments\\* fail, \\> \\@\u200bops ok xxx"
    ) in text
    assert "x…\n> - `a` is unused.\n" in text


def test_a_long_difference_is_folded() -> None:
    facts = example()
    plan = replace(facts.plan, diff="+a\n" * 31)

    assert "<details><summary>1 file</summary>" in body(replace(facts, plan=plan))


def test_templates() -> None:
    text = compose(
        example(),
        "{environment}: {app} {version} [{{x}}]",
        "Please look, `{version}` replaces {old-version}.\n\n> {table}\n\n"
        "[Notes](https://example.com/{version})\n\n```\nget {source-commit}\n```\n{gates}",
    )

    assert text.title.startswith("prod: shop 1.5.0@sha256:b5b2b2c507a0")
    assert text.title.endswith("[{x}]")
    assert "`" + "{" not in text.body
    assert "<code>1&#46;5&#46;0&#64;" in text.body
    assert "> \n\n| Image | Old" in text.body
    assert "(https://example.com/1.5.0@sha256:b5b2" in text.body
    assert f"\nget {'8c1f7a2e' * 5}\n" in text.body
    assert "- [ ] [Vulnerability scan]" in text.body
    assert "Roll back" not in text.body


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{tabel}", "`{tabel}`, which is unknown"),
        ("`{diff}`", "`{diff}`, which is unknown"),
        ("```\n{diff}\n```", "`{diff}` within a block of code or a comment"),
        ("> ~~~\n> {rendered}", "`{rendered}` within a block of code or a comment"),
        ("<!-- {table} -->", "`{table}` within a block of code or a comment"),
        ("<!-- {{{table}}} -->", "`{table}` within a block of code or a comment"),
        ("x" * (MOST + 1), "too long"),
        ("{images}" * 10_000, "too long"),
    ],
)
def test_a_template_that_is_none(template: str, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)):
        body(example(), template)


POLICY_GATE = Gate("SLO *prod* @ops", "https://gate.example/slo")


def overridden() -> Facts:
    """The example out of order, where the policy asks for a gate too."""
    facts = example()
    request = replace(facts.request, override="INC-7: *payments*\n> @ops " + "x" * 999)
    gates = (*facts.gates, POLICY_GATE)
    return replace(facts, request=request, gates=gates, policy_gates=(POLICY_GATE,))


@pytest.mark.parametrize(
    "template",
    [
        "Hello\n",
        "# Hello {version}",
        "{{gates}} {{warnings}} {{{{warnings}}}}",
        "{diff}",
        "<details>{diff}</details>",
    ],
)
def test_a_template_hides_nothing_that_the_policy_tells(template: str) -> None:
    text = body(overridden(), template)

    first, second = text.split("\n")[:2]
    assert first.startswith("> **Order skipped:** INC-7: \\*payments\\* \\> \\@\u200bops xxx")
    assert (first[-1], second) == ("…", "")
    assert text.endswith(
        "\n\n#### Before you approve\n\n- [ ] [SLO \\*prod\\* \\@\u200bops](https://gate.example/slo)\n"
    )
    assert "Vulnerability scan" not in text


@pytest.mark.parametrize("template", ["{warnings} {gates}", "{{{warnings}}} {{x}}\n{{{gates}}}"])
def test_what_the_policy_tells_stands_where_a_template_has_it(template: str) -> None:
    text = body(overridden(), template)

    assert text.count("**Order skipped:**") == text.count("#### Before you approve") == 1
    assert text.count("- [ ] ") == 4
    assert not text.startswith("> **Order")


def test_without_a_policy_a_template_is_all_there_is() -> None:
    assert body(example(), "Hello") == "Hello\n"


@pytest.mark.parametrize("template", ["Hello <!-- ", "```\nHello", "<DETAILS>", "<?"])
def test_nothing_swallows_the_gates_of_the_policy(template: str) -> None:
    with pytest.raises(UsageError, match="ends within a block of code, a comment or an"):
        body(overridden(), template)

    assert body(example(), template) == f"{template.rstrip()}\n"


@pytest.mark.parametrize("template", ["", "{table}{diff}{rendered}"])
def test_the_trailers_of_many_overlays_have_room(template: str) -> None:
    facts = example()
    made = facts.plan.changes[0]
    changes = tuple(
        replace(
            made,
            path=f"apps/{n}.yaml",
            old=Reference(SHOP, f"1.0.{n}"),
            new=Reference(SHOP, "1.5.0"),
        )
        for n in range(300)
    )
    message = write_message(facts.request, changes)
    plan = replace(facts.plan, changes=changes, message=message, diff="+line\n" * 20_000)
    facts = replace(facts, plan=plan)

    text = body(facts, template)
    whole = with_trailers(text, message)

    assert "left out: see the files of this pull request" in text
    assert size(whole) <= MOST
    assert whole.startswith(text.rstrip())
    assert read_promotion(whole) == read_promotion(message)
    assert whole.count("Promoted-Image: ") == 300


def test_trailers_of_a_size_that_a_reviewer_would_miss_have_no_room() -> None:
    facts = example()
    changes = tuple(
        replace(facts.plan.changes[0], old=Reference(SHOP, f"{n:060}")) for n in range(300)
    )
    message = write_message(facts.request, changes)
    plan = replace(facts.plan, message=message)
    full = body(replace(facts, plan=replace(plan, diff="+line\n" * 20_000)))

    assert MOST - size(full) < 100
    assert with_trailers(full, message) == full
    # Where there is room anyway, they stay.
    assert read_promotion(with_trailers(body(replace(facts, plan=plan)), message))


def test_a_title_of_a_template_that_is_unknown() -> None:
    with pytest.raises(UsageError, match=r"`\{table\}`, which is unknown"):
        compose(example(), "{table}", "")


def test_a_long_title_is_cut() -> None:
    title = compose(example(), "😀" * 300, "").title

    assert len(title.encode("utf-16-le")) <= 2 * 256
    assert title.endswith("😀…")


def test_the_comments() -> None:
    source = example().request.source

    assert supersede_comment("1.4.9", "1.5.0", source) == (
        "`1.5.0` supersedes `1.4.9`. Started by [octocat](https://github.com/octocat) in "
        "[run 318](https://github.com/acme/shop/actions/runs/11870042117).\n"
    )
    assert supersede_comment("1.0.0", "1.2.0", Source(), ends_rollback=True) == (
        "`1.2.0` takes the place of the rollback to `1.0.0`.\n"
    )
    assert supersede_comment("1", "2", Source()) == "`2` supersedes `1`.\n"
    assert closing_comment("`main` has 1.5.0 already.") == "Closed: `main` has 1.5.0 already.\n"


@given(HOSTILE, HOSTILE, HOSTILE)
def test_a_comment_does_nothing_else(old: str, new: str, actor: str) -> None:
    source = replace(example().request.source, actor=actor)
    text = supersede_comment(old, new, source, ends_rollback=len(new) % 2 == 0)
    text += "\n" + closing_comment(f"x {old} `{new}`")
    read = Read(text)

    assert (read.references, read.unbalanced) == ([], [])
    assert [url for url in read.links if not url.startswith(OURS)] == []


@st.composite
def hostile_facts(draw: st.DrawFn) -> Facts:
    """Facts whose every text comes from somebody who means harm."""

    def text() -> str:
        return draw(HOSTILE)

    changes = tuple(
        Change(
            text(), text(), 1, text(), Reference(text(), text()), Reference(text(), text(), text())
        )
        for _ in range(draw(st.integers(0, 2)))
    )
    plan = Plan({text(): b""}, changes, text(), text(), (text(), text()))
    source = Source(
        commit=draw(st.sampled_from(["", "a" * 40])),
        repository="acme/shop",
        server_url="https://github.com",
        run_id="42",
        run_number=text(),
        actor=text(),
    )
    foreign = Source(
        commit="c" * 40, server_url="https://evil.example", repository=text(), run_id="1"
    )
    request = Request(
        (),
        (),
        tuple(text() for _ in range(draw(st.integers(0, 2)))),
        text(),
        source,
        draw(st.sampled_from([None, foreign, replace(foreign, server_url="https://github.com")])),
        copied_from=text(),
        override=text(),
        undone=tuple(
            Undone(text(), Build(text(), draw(st.sampled_from([source, foreign, Source()]))))
            for _ in range(draw(st.integers(0, 2)))
        ),
    )
    commits = tuple(SourceCommit("b" * 40, text(), text()) for _ in range(2))
    history = History("https://github.com", "acme/shop", "a" * 40, "b" * 40, commits, 5, 1)
    gate = Gate(text(), f"https://gate.example/{text()}")
    objects = tuple(
        ObjectChange(text(), text(), text(), text(), only_image=draw(st.booleans()))
        for _ in range(draw(st.integers(0, 2)))
    )
    return Facts(
        request,
        plan,
        repository="acme/deploy",
        base=text(),
        server_url="https://github.com",
        history=draw(st.sampled_from([None, history])),
        gates=(gate,),
        policy_gates=draw(st.sampled_from([(), (gate,)])),
        rendered=(Rendered(text(), text(), objects), Rendered(text(), text(), (), text())),
    )


ALL = "\n".join(
    [
        *(f"{{{name}}} `{{{name}}}` <https://github.com/{{{name}}}>" for name in PLACEHOLDERS),
        "```",
        *(f"{{{name}}}" for name in PLACEHOLDERS),
        "```",
        *(f"{{{name}}}" for name in SECTIONS),
    ]
)


#: Without what the policy tells.
PARTLY = "{app}\n{rollback}"


@given(hostile_facts(), st.sampled_from(["", ALL, PARTLY]))
def test_nothing_from_outside_does_anything(facts: Facts, template: str) -> None:
    text = compose(facts, template and "{version} {app} {environment} {images}", template)
    read = Read(text.body)

    assert (read.references, read.unbalanced) == ([], []), text.body
    assert set(read.tags) <= TAGS | ({"blockquote"} if template == PARTLY else set()), text.body
    foreign = [url for url in read.links if not url.startswith((OURS, "https://gate.example/"))]
    assert foreign == []
    assert not re.search(r"(?<!\w)@\w|(?<!\w)#\d|\n", text.title)
    assert section(text.body, "Go forward again" if facts.request.undone else "Roll back")


SIZES = st.sampled_from([0, 1, 3, 40, 1600])
LONG = st.sampled_from(
    ["x", "é" * 30, "😀" * 100, "`" * 5000, "a|b\\", "@a " * 400, "\n" * 50, "+a\n" * 9_000]
)


@settings(max_examples=EXAMPLES // 5)
@given(
    st.tuples(*[SIZES] * 5),
    st.lists(LONG, min_size=7, max_size=7),
    st.booleans(),
    st.sampled_from(["", ALL, "{diff}{diff}{rendered}{rendered}{table}{gates}{rollback}"]),
)
def test_a_text_always_fits(
    counts: tuple[int, ...], long: list[str], back: bool, template: str
) -> None:
    rows, commits, gates, overlays, warnings = counts
    change = Change(
        long[0], long[1], 3, "k", Reference(SHOP, long[2]), Reference(SHOP, "2", long[3])
    )
    base = example()
    history = History(
        "https://github.com",
        "acme/shop",
        "a" * 40,
        "b" * 40,
        (SourceCommit("c" * 40, long[4], long[5]),) * commits,
        commits,
    )
    obj = ObjectChange("Deployment", "shop", long[5], long[6], only_image=False)
    facts = replace(
        base,
        request=replace(
            base.request,
            environments=(long[0],) * rows,
            copied_from=long[1],
            override=long[2],
            undone=(Undone(long[3], Build(long[4], base.request.source)),) * (rows if back else 0),
        ),
        plan=replace(
            base.plan,
            changes=(change,) * rows,
            diff=long[6] * min(commits + 1, 40),
            warnings=(long[4],) * warnings,
        ),
        history=history,
        gates=(Gate(long[2][:100], f"https://x.example/{long[3][:480]}"),) * min(gates, 50),
        rendered=(Rendered(long[1], "kustomize", (obj,) * min(overlays, 7)),) * min(overlays, 90),
    )

    text = body(facts, template)
    read = Read(text)

    assert size(text) <= MOST
    assert max(len(text), len(text.encode()), len(text.encode("utf-16-le")) // 2) < 65_536
    assert (read.unbalanced, read.references) == ([], [])
    assert read.tags["table"] >= 1
    assert ("#### Before you approve" in text) == bool(gates)
    assert ("#### Go forward again" if facts.request.undone else "#### Roll back") in text


def test_what_is_left_out_is_said() -> None:
    facts = example()
    obj = replace(facts.rendered[0].objects[0], diff="+rendered line\n" * 9000)
    facts = replace(
        facts,
        plan=replace(facts.plan, diff="+line\n" * 20_000),
        rendered=(replace(facts.rendered[0], objects=(obj,)),),
    )

    text = body(facts)

    assert re.search(
        r"… 8,\d{3} lines left out: see the summary of \[the run\]\(https://github.com", text
    )
    assert re.search(r"… [\d,]+ lines left out: see the files of this pull request", text)
    assert MOST - size(text) < 100
    assert section(text, "What is new").count("\n- [`") == 6


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
@pytest.mark.skipif(not STYLE.exists(), reason="needs `npm ci` in tests/oracle")
def test_the_picture_of_the_documents_can_be_made(tmp_path: Path) -> None:
    text = compose(example(), "", "")

    screenshot(page(text.title, text.body), tmp_path / "page.png", scale=1)

    picture = (tmp_path / "page.png").read_bytes()
    width, height = int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    assert picture.startswith(b"\x89PNG")
    assert width == 880
    assert height > 900
    assert len(picture) > 50_000
