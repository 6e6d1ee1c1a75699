"""Tags from end to end: the command of its own, and a promotion that computes or is given them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from calls import COMMIT, DEV, JOB, OVERLAY, PERSON, SHOP, Calls, Done
from gitops_promote.core.tags.metadata import parse_json
from servers import git

RELEASE = {**JOB, "GITHUB_REF": "refs/tags/v1.5.0", "GITHUB_EVENT_NAME": "push"}
RULES = (
    "type=semver,pattern={{version}}\ntype=semver,pattern={{major}}\ntype=ref,event=pr\ntype=sha"
)


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)


def outputs(done: Done) -> dict[str, str]:
    """The outputs that a step has set."""
    found = re.findall(r"^([a-z-]+)<<(END-\w+)\n(.*?)\n\2$", done.output, re.MULTILINE | re.DOTALL)
    return {name: value for name, _, value in found}


def promote(calls: Calls, *arguments: str, **environ: str) -> Done:
    where = ("--environment", "dev", "--target", OVERLAY)
    return calls.run(*where, *PERSON, *arguments, **environ)


def deployed(calls: Calls) -> str:
    """The shop's tag in the config repository."""
    text = git("--git-dir", calls.bare, "show", f"main:{DEV}").decode()
    match = re.search(r"newTag: (.*)", text)
    assert match
    return match[1].partition("#")[0].strip().strip('"')


def test_the_outputs_are_those_of_metadata_action(calls: Calls) -> None:
    done = calls.call("tags", "--images", f"{SHOP}\nacme/shop", "--tags", RULES, **RELEASE)

    assert done.status == 0
    assert not done.summary
    found = outputs(done)
    names = ["1.5.0", "1", f"sha-{COMMIT[:7]}", "latest"]
    tags = [f"{image}:{name}" for image in (SHOP, "acme/shop") for name in names]
    assert found["version"] == "1.5.0"
    assert found["tag-names"].split("\n") == names
    assert found["tags"].split("\n") == tags
    data = json.loads(found["json"])
    assert list(data) == ["tags", "tag-names", "labels", "annotations"]
    assert (data["tags"], data["tag-names"]) == (tags, names)
    assert found["labels"].split("\n") == [f"{key}={data['labels'][key]}" for key in data["labels"]]
    assert found["annotations"].split("\n") == data["annotations"]
    assert data["labels"]["org.opencontainers.image.revision"] == COMMIT
    assert parse_json("images", found["json"]).images == (SHOP, "acme/shop")
    assert set(found) == {"version", "tags", "tag-names", "labels", "annotations", "json"}


def test_each_rule_is_explained(calls: Calls) -> None:
    text = calls.call("tags", "--images", SHOP, "--tags", RULES, **RELEASE, NO_COLOR="1").out

    assert "Version 1.5.0\n" in text
    assert "✓ type=semver,pattern={{major}} → 1\n      the git tag `v1.5.0`\n" in text
    assert "· type=ref,event=pr\n      `refs/tags/v1.5.0` is no pull request\n" in text
    assert "✓ flavor → latest\n" in text
    assert f"\n{SHOP}:1.5.0\n" in text


def test_the_formats_for_programs_and_for_people(calls: Calls) -> None:
    call = ("tags", "--tags", "type=edge\ntype=raw,value=a|b,suffix={{branch}}", "--format")
    usual = {**JOB, "GITHUB_EVENT_NAME": "push"}
    data = calls.call(*call, "json", **usual).json
    markdown = calls.call(*call, "markdown", **usual).out

    assert data["version"] == "a-bmain"
    assert data["tags"] == data["tag-names"] == ["a-bmain"]
    assert [(rule["tag"], rule["reason"]) for rule in data["rules"]] == [
        ("", "the default branch isn't known here; name it in `branch`"),
        ("a-bmain", "as it is written"),
    ]
    assert markdown.startswith("### Version `a-bmain`\n\n| Rule | Tag | Why |\n|---|---|---|\n")
    assert (
        "| `type=edge` | - | the default branch isn't known here; name it in `branch` |" in markdown
    )
    assert "<code>type&#61;raw&#44;value&#61;a&#124;b" in markdown


def test_without_a_tag_the_outputs_are_empty(calls: Calls) -> None:
    done = calls.call("tags", "--tags", "type=ref,event=pr", **RELEASE)

    assert done.status == 0
    assert outputs(done)["tags"] == outputs(done)["version"] == ""
    assert "::warning title=GitOps Promote::No rule gave a tag on this run." in done.out


def test_a_malformed_rule_ends_either_command_and_writes_nothing(calls: Calls) -> None:
    rules = ("--tags", "type=sha\ntype=semver,pattern={{versoin}}")
    both = [calls.call("tags", *rules, **JOB), promote(calls, "--images", SHOP, *rules, **JOB)]

    for done, title in zip(both, ("No tags were computed", "Nothing was promoted"), strict=True):
        assert done.status == 2
        assert done.out.count("::error ") == 1
        assert "line 2: `type=semver,pattern={{versoin}}` has the unknown expression" in done.out
        assert "Did you mean `{{version}}`? Allowed there: " in done.out
        assert done.summary.startswith(f"### {title}\n\nInput `tags`, line 2: ")
    assert not both[1].output
    assert calls.is_untouched


def test_a_malformed_rule_is_an_error_even_where_no_tag_is_needed(calls: Calls) -> None:
    done = promote(calls, "--images", f"{SHOP}:1.2.3", "--tags", "type=x", **JOB)

    assert done.status == 2
    assert calls.is_untouched


def test_a_promotion_and_the_command_compute_the_same(calls: Calls) -> None:
    rules = ("--tags", "type=ref,event=branch,suffix=-{{sha}}-{{run_number}}", "--app", "shop")
    version = calls.call("tags", *rules, **JOB, GITHUB_RUN_NUMBER="7").output
    done = promote(calls, "--images", SHOP, *rules, **JOB, GITHUB_RUN_NUMBER="7")

    assert done.status == 0
    assert deployed(calls) == f"main-{COMMIT[:7]}-7"
    assert f"\nmain-{COMMIT[:7]}-7\n" in version


@pytest.mark.parametrize("name", ["images", "tags"])
def test_the_output_of_the_step_can_be_pasted(calls: Calls, name: str) -> None:
    built = outputs(calls.call("tags", "--images", SHOP, "--tags", RULES, **RELEASE))["json"]
    images = () if name == "images" else ("--images", SHOP)

    # It is another run, of a branch, that promotes what was built.
    done = promote(calls, *images, f"--{name}", built, **JOB)

    assert done.status == 0
    assert deployed(calls) == "1.5.0"
    assert outputs(done)["tags"] == f"{SHOP}:1.5.0"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--images", f"{SHOP}:latest"], "it is whatever was built last"),
        (["--images", f"{SHOP}:main"], "it is a branch's name"),
        (["--images", f"{SHOP}:dev"], "it is an environment's name"),
        (["--images", f"{SHOP}:pr-3"], "it is the newest build of a pull request"),
        (
            ["--images", SHOP, "--tags", "type=ref,event=branch"],
            "each build of the branch takes it",
        ),
        (["--images", SHOP, "--tags", "type=edge,branch=main"], "each build of `main` takes it"),
        (["--images", SHOP, "--tags", '{"tags": ["x:edge"]}'], "it names a channel"),
        (["--images", '{"tags": ["ghcr.io/acme/shop:pr-1"]}'], "newest build of a pull request"),
    ],
)
def test_a_mutable_tag_is_refused(calls: Calls, arguments: list[str], reason: str) -> None:
    done = promote(calls, *arguments, **JOB)

    assert done.status == 1
    assert f"::error title=GitOps Promote::`{SHOP}:" in done.out
    assert reason in done.out
    assert "allow-mutable-tag" in done.out
    assert calls.is_untouched


def test_a_mutable_tag_that_is_wanted_or_pinned(calls: Calls) -> None:
    digest = "sha256:" + "0" * 64

    wanted = promote(calls, "--images", f"{SHOP}:latest", "--allow-mutable-tag", **JOB)
    assert (wanted.status, deployed(calls)) == (0, "latest")
    pinned = promote(calls, "--images", f"{SHOP}:edge@{digest}", **JOB)
    assert (pinned.status, deployed(calls)) == (0, "edge")


def test_no_rule_gives_a_tag(calls: Calls) -> None:
    rules = "type=semver,pattern={{version}}\ntype=ref,event=pr"
    done = promote(calls, "--images", SHOP, "--tags", rules, **JOB)

    assert done.status == 1
    branch = "`refs/heads/main`"
    assert (
        "No rule of `tags` gives a tag on this run: `type=semver,pattern={{version}}`: "
        f"{branch} is no git tag; `type=ref,event=pr`: {branch} is no pull request."
    ) in done.out
    assert calls.is_untouched


def test_a_version_tag_of_a_monorepo(calls: Calls) -> None:
    ref = {**JOB, "GITHUB_REF": "refs/tags/services/shop/v2.0.0"}

    other = calls.call("tags", "--app", "api", **ref)
    own = promote(calls, "--images", SHOP, "--app", "shop", **ref)

    assert outputs(other)["version"] == f"{COMMIT[:12]}-42"
    assert (own.status, deployed(calls)) == (0, "2.0.0")


def test_the_length_of_a_short_commit(calls: Calls) -> None:
    def version(**environ: str) -> str:
        return outputs(calls.call("tags", "--tags", "{{sha}}", **JOB, **environ))["version"]

    assert version() == COMMIT[:7]
    assert version(DOCKER_METADATA_SHORT_SHA_LENGTH="10") == COMMIT[:10]
    done = calls.call("tags", **JOB, DOCKER_METADATA_SHORT_SHA_LENGTH="ten")
    assert done.status == 2
    assert "DOCKER_METADATA_SHORT_SHA_LENGTH is `ten`" in done.out


def test_the_commits_date_of_the_event(calls: Calls) -> None:
    event = calls.folder / "event.json"
    commit = {"id": COMMIT, "timestamp": "2022-04-19T23:30:00+02:00"}
    event.write_text(json.dumps({"head_commit": commit}), "utf-8")
    rules = "type=raw,value={{commit_date 'YYYYMMDD-HHmm' tz='Asia/Tokyo'}}"

    done = calls.call("tags", "--tags", rules, **JOB, GITHUB_EVENT_PATH=str(event))

    assert outputs(done)["version"] == "20220420-0630"


def test_a_commits_date_that_nobody_tells(calls: Calls) -> None:
    server = {**JOB, "GITHUB_SERVER_URL": "http://localhost:1"}
    done = calls.call("tags", "--tags", "{{commit_date 'YYYY'}}", **server)

    assert done.status == 1
    assert f"The date of commit {COMMIT[:12]} isn't known" in done.out
    assert "contents: read" in done.out


def test_two_runs_of_one_event_give_the_same(calls: Calls) -> None:
    rules = f"{RULES}\ntype=raw,value={{{{app}}}}-{{{{run_id}}}}"
    first, second = (
        outputs(calls.call("tags", "--images", SHOP, "--tags", rules, **RELEASE)) for _ in "12"
    )

    assert first["tags"] == second["tags"]
    assert first["version"] == second["version"] == "1.5.0"


def test_the_default_gives_no_latest(calls: Calls) -> None:
    found = outputs(calls.call("tags", "--images", SHOP, **RELEASE))

    assert found["tag-names"].split("\n") == ["1.5.0", f"{COMMIT[:12]}-42"]
    wanted = outputs(calls.call("tags", "--flavor", "latest=auto", **RELEASE))
    assert wanted["tag-names"].split("\n") == ["1.5.0", f"{COMMIT[:12]}-42", "latest"]


def test_the_images_own_version_tag_counts_by_default_alone(calls: Calls) -> None:
    ref = {**JOB, "GITHUB_REF": "refs/tags/shop/v2.0.0"}
    rules = ("--tags", "type=semver,pattern={{version}}\ntype=sha")

    def version(*arguments: str) -> str:
        return outputs(calls.call("tags", *arguments, **ref))["version"]

    assert version("--images", SHOP) == "2.0.0"
    assert version("--images", f"{SHOP}\nacme/api") == f"{COMMIT[:12]}-42"
    # docker/metadata-action, which may have built by the same rules, knows no such tags.
    assert version("--images", SHOP, *rules) == f"sha-{COMMIT[:7]}"
    assert version("--images", SHOP, *rules, "--app", "shop") == "2.0.0"
    assert version("--images", SHOP, "--tags", "{{app}}") == "shop"


def test_a_promotion_says_which_rule_gave_the_tag(calls: Calls) -> None:
    rules = "type=ref,event=tag\ntype=sha,event=x"
    text = promote(calls, "--images", SHOP, "--tags", rules, **JOB, NO_COLOR="1").out

    assert "No tag by type=ref,event=tag: `refs/heads/main` is no git tag\n" in text
    assert f"Tag sha-{COMMIT[:7]} by type=sha,event=x: the commit\n" in text
    assert (
        "::warning title=GitOps Promote::Input `tags`: `type=sha,event=x`: `event` has no" in text
    )


def test_only_what_is_deployed_must_not_be_mutable(calls: Calls) -> None:
    rules = "type=ref,event=branch\ntype=sha"

    done = promote(calls, "--images", SHOP, "--tags", f"{rules},priority=2000", **JOB)
    assert (done.status, deployed(calls)) == (0, f"sha-{COMMIT[:7]}")
    refused = promote(calls, "--images", SHOP, "--tags", rules, **JOB)
    assert refused.status == 1
    better = f"`type=sha` gives `sha-{COMMIT[:7]}` on this run: put it first by `priority=2000`."
    assert better in refused.out


def test_rules_that_nothing_needs(calls: Calls) -> None:
    done = promote(calls, "--images", f"{SHOP}:1.2.3", "--tags", "type=sha", **JOB)

    assert (done.status, deployed(calls)) == (0, "1.2.3")
    warning = "Nothing needs `tags`: each item of `images` has a tag or a digest."
    assert f"::warning title=GitOps Promote::{warning}" in done.out


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        ("null", "Input `images` is `null`."),
        ('{"tags": ["acme/shop=evil.example/x:1.0"]}', "`acme/shop=evil.example/x`"),
        ('{"tags": ["*:1.0"]}', "the name `*`, which is not a repository"),
        ('{"tags": ["1.0"]}', "that named no image"),
    ],
)
def test_images_that_are_none(calls: Calls, images: str, problem: str) -> None:
    done = promote(calls, "--images", images, **JOB)

    assert done.status == 2
    assert problem in done.out
    assert calls.is_untouched


def test_a_pasted_floating_version_is_refused(calls: Calls) -> None:
    built = {**RELEASE}
    rules = ("--tags", "type=semver,pattern={{major}}.{{minor}}\ntype=semver,pattern={{version}}")
    pasted = outputs(calls.call("tags", "--images", SHOP, *rules, **built))["json"]

    done = promote(calls, "--images", pasted, **JOB)

    assert done.status == 1
    assert "`1.5.0` goes with it, so it is that of the next one, too" in done.out
    assert calls.is_untouched
