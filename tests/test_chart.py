"""Charts: `appVersion`, dependencies, a chart's own version, and what Helm makes of the outcome."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gitops_promote.core.change import Running
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Reference, parse_image
from gitops_promote.core.kinds import chart
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.slots.chart_version import chart_name
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml.document import Document
from memory import Memory, overlay

DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGE = "ghcr.io/acme/shop"
WEB = "ghcr.io/acme/charts/web"
CHART = """\
# The shop.
apiVersion: v2
name: shop
version: 1.2.3   # ours
appVersion: "1.2.2"
dependencies:
  - name: redis
    version: ^18.0.0
    repository: oci://registry-1.docker.io/bitnamicharts
  - {name: web, version: '1.2.2', repository: oci://ghcr.io/acme/charts}
  - name: postgresql
    repository: https://charts.acme.dev/stable/
    version: 12.0.0
    alias: db
  - name: lib
    version: 0.1.0
    repository: file://../lib
  - name: tools
    version: 0.1.0
    repository: "@acme"
"""
LOCK = "dependencies:\n- name: web\n  repository: oci://ghcr.io/acme/charts\n  version: 1.2.2\n"


def promote(text: str, item: str, key: str = "", bump: str = "", path: str = "Chart.yaml") -> str:
    """The text after a promotion."""
    document = Document.parse(text.encode(), path)
    around = Around(bump=bump)
    return chart.KIND.set_image(document, parse_image(item), key, around).document.encode().decode()


def plan_of(
    files: dict[str, str], *images: str, target: str = "charts/shop", bump: str = ""
) -> Plan:
    """The plan of a call."""
    targets = tuple(map(parse_target, target.split()))
    request = Request(tuple(map(parse_image, images)), targets, chart_bump=bump)
    return make_plan(Memory(files), request)


def running(text: str, *images: str, key: str = "") -> list[Reference]:
    """What is read of a file."""
    document = Document.parse(text.encode(), "Chart.yaml")
    return [found.reference for found in chart.KIND.running(document, key, images)]


def test_the_app_version_takes_the_image_that_is_promoted() -> None:
    after = promote(CHART, f"{IMAGE}:1.3.0")

    assert after == CHART.replace('"1.2.2"', '"1.3.0"')
    assert promote(after, f"{IMAGE}:1.2.2") == CHART
    assert running(CHART, IMAGE) == [Reference(IMAGE, "1.2.2")]


@pytest.mark.parametrize(
    ("before", "tag", "after"),
    [
        ("appVersion: 1.2.2", "1.3.0", "appVersion: 1.3.0"),
        ("appVersion: 1.2.2", "1.10", 'appVersion: "1.10"'),
        ("appVersion: 1.0", "1.0", 'appVersion: "1.0"'),
        ("appVersion: '1.2.2' # now", "main-7f3a", "appVersion: 'main-7f3a' # now"),
        ("appVersion:", "1e5", 'appVersion: "1e5"'),
        ("appVersion: &v 1.2.2", "1.3.0", "appVersion: &v 1.3.0"),
        ("type: application", "1.3.0", "type: application"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_app_version_keeps_its_form_and_stays_a_text(
    before: str, tag: str, after: str, newline: str
) -> None:
    text = f"\ufeffname: shop\nversion: 1.0.0 # ours\n{before}\nicon: i\n".replace("\n", newline)
    lines = ["\ufeffname: shop", "version: 1.0.0 # ours", after, "icon: i", ""]
    if "appVersion" not in before:
        lines.insert(2, f"appVersion: {tag}")

    assert promote(text, f"{IMAGE}:{tag}") == newline.join(lines)


def test_an_app_version_that_is_not_there_is_put_behind_the_version() -> None:
    assert promote("{version: 1.0.0, name: shop}", f"{IMAGE}:2") == (
        '{version: 1.0.0, appVersion: "2", name: shop}'
    )
    assert promote("name: shop\nversion: 1.0.0", f"{IMAGE}:v2") == (
        "name: shop\nversion: 1.0.0\nappVersion: v2"
    )


def test_of_a_tag_and_a_digest_only_the_tag_goes_into_the_app_version() -> None:
    assert promote(CHART, f"{IMAGE}:1.3.0@{DIGEST}") == CHART.replace('"1.2.2"', '"1.3.0"')
    with pytest.raises(PromoteError, match="has room for a tag only") as refused:
        promote(CHART, f"{IMAGE}@{DIGEST}")

    assert refused.value.line == 5
    assert "values file" in refused.value.fix


@pytest.mark.parametrize(
    ("item", "old", "new"),
    [
        ("registry-1.docker.io/bitnamicharts/redis:18.1.0", "^18.0.0", "18.1.0"),
        (f"{WEB}:1.3.0-rc.1", "'1.2.2'", "'1.3.0-rc.1'"),
        ("charts.acme.dev/stable/postgresql:12.1.0", "12.0.0", "12.1.0"),
    ],
)
def test_a_dependency_is_found_by_its_repository_and_name(item: str, old: str, new: str) -> None:
    after = promote(CHART, item)

    assert after == CHART.replace(old, new)
    assert running(after, item.rpartition(":")[0]) == [Reference(*item.rsplit(":", 1))]
    assert promote(after, f"{item.rpartition(':')[0]}:9.9.9") == CHART.replace(
        old, new.replace(item.rpartition(":")[2], "9.9.9")
    )


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("dependencies[name=lib].version", 16),
        ("dependencies[name=tools]", 19),
        ("dependencies[3].version", 16),
        ("dependencies[alias=db].version", 13),
        ("appVersion", 5),
        ("version", 4),
    ],
)
def test_a_key_leads_to_what_has_no_name(key: str, line: int) -> None:
    item = "charts.acme.dev/stable/postgresql" if "alias" in key else "lib"
    document = Document.parse(CHART.encode(), "Chart.yaml")

    edited = chart.KIND.set_image(document, parse_image(f"{item}:7.7.7"), key, Around())

    (change,) = edited.changes
    before, after = CHART.split("\n"), edited.document.text.split("\n")
    changed = [n for n, (a, b) in enumerate(zip(before, after, strict=True), 1) if a != b]
    assert changed == [change.line] == [line]
    assert [found.tag for found in running(edited.document.text, key=key)] == ["7.7.7"]


@pytest.mark.parametrize("key", ["version", "dependencies[name=lib].version"])
def test_a_version_of_a_chart_must_be_semver(key: str) -> None:
    with pytest.raises(PromoteError, match="`main` is no SemVer") as refused:
        promote(CHART, "lib:main", key)

    assert refused.value.line


def test_a_dependency_without_a_version_gets_one() -> None:
    text = "dependencies:\n- name: web\n  repository: oci://ghcr.io/acme/charts\n"

    assert promote(text, f"{WEB}:1.3.0") == (
        "dependencies:\n- name: web\n  version: 1.3.0\n  repository: oci://ghcr.io/acme/charts\n"
    )


def test_a_dependency_that_is_there_twice_is_named_by_its_alias() -> None:
    item = "- {name: web, version: 1.0.0, repository: oci://ghcr.io/acme/charts, alias: %s}\n"
    text = "dependencies:\n" + item % "a" + item % "b"

    with pytest.raises(PromoteError, match="stands in 2 places"):
        promote(text, f"{WEB}:1.3.0")

    assert promote(text, f"{WEB}:1.3.0", "dependencies[alias=b].version") == (
        "dependencies:\n" + item % "a" + (item % "b").replace("1.0.0", "1.3.0")
    )
    assert promote(text, f"{WEB}:1.3.0", "dependencies[*].version") == text.replace(
        "1.0.0", "1.3.0"
    )


def test_a_chart_cannot_be_renamed_where_it_is_a_dependency() -> None:
    with pytest.raises(PromoteError, match="can't be renamed"):
        promote(CHART, f"{WEB}=ghcr.io/acme/charts/other:1.3.0")


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("oci://ghcr.io/acme/charts/", "ghcr.io/acme/charts/shop"),
        ("https://user:secret@charts.acme.dev", "charts.acme.dev/shop"),
        ("ghcr.io/acme/charts", "ghcr.io/acme/charts/shop"),
        ("file://../shop", ""),
        ("@acme", ""),
        ("alias:acme", ""),
        ("", ""),
    ],
)
def test_a_chart_is_called_as_its_repository_says(repository: str, name: str) -> None:
    assert chart_name(repository, "shop") == name


def test_without_a_name_all_that_names_an_image_is_read() -> None:
    names = [found.name for found in running(CHART)]

    assert names == [
        "registry-1.docker.io/bitnamicharts/redis",
        WEB,
        "charts.acme.dev/stable/postgresql",
    ]


def test_the_old_file_of_dependencies_has_no_app_version() -> None:
    text = CHART[CHART.index("dependencies:") :]
    files = {"charts/shop/requirements.yaml": text, "charts/shop/requirements.lock": LOCK}

    plan = plan_of(files, f"{WEB}:1.3.0", target="charts/shop/requirements.yaml", bump="minor")

    assert plan.files["charts/shop/requirements.yaml"].decode() == text.replace("1.2.2", "1.3.0")
    assert "`requirements.lock` was made for other versions" in "".join(plan.warnings)
    with pytest.raises(ImageNotFoundError):
        plan_of(files, f"{IMAGE}:1.3.0", target="charts/shop/requirements.yaml")


def test_a_file_of_ansible_is_no_charts() -> None:
    text = "collections:\n  - name: community.docker\n    version: 1.0.0\n"

    document = Document.parse(text.encode(), "requirements.yaml")

    assert not chart.KIND.fits("requirements.yaml", document)


@pytest.mark.parametrize("target", ["charts/shop", "chart:charts/shop", "charts/shop/Chart.yaml"])
def test_a_target_names_the_chart_or_its_folder(target: str) -> None:
    plan = plan_of({"charts/shop/Chart.yaml": CHART}, f"{IMAGE}:1.3.0", target=target)

    assert list(plan.files) == ["charts/shop/Chart.yaml"]


def test_a_folder_with_a_kustomization_is_one_unless_it_is_said_to_be_a_chart() -> None:
    files = {
        "charts/shop/Chart.yaml": CHART,
        "charts/shop/kustomization.yaml": overlay(f"{IMAGE}:1.0.0", resources=()),
    }

    as_overlay = plan_of(files, f"{IMAGE}:1.3.0")
    as_chart = plan_of(files, f"{IMAGE}:1.3.0", target="chart:charts/shop")

    assert list(as_overlay.files) == ["charts/shop/kustomization.yaml"]
    assert list(as_chart.files) == ["charts/shop/Chart.yaml"]


def test_a_glob_takes_a_charts_app_version_only_where_it_spells_the_chart() -> None:
    values = f"image:\n  repository: {IMAGE}\n  tag: 1.0.0\n"
    files = {"charts/shop/Chart.yaml": CHART, "charts/shop/values.yaml": values}

    all_files = plan_of(files, f"{IMAGE}:1.3.0", target="charts/**/*.yaml")
    charts = plan_of(files, f"{IMAGE}:1.3.0", target="charts/*/Chart.yaml")

    assert list(all_files.files) == ["charts/shop/values.yaml"]
    assert list(charts.files) == ["charts/shop/Chart.yaml"]


def test_a_file_that_is_only_called_a_chart_gets_no_app_version() -> None:
    with pytest.raises(ImageNotFoundError):
        plan_of({"values.yaml": "a: b\n"}, f"{IMAGE}:1.3.0", target="chart:values.yaml")


# The chart's own version. The table is node-semver's.
@pytest.mark.parametrize(
    ("version", "patch", "minor", "major"),
    [
        ("1.2.3", "1.2.4", "1.3.0", "2.0.0"),
        ("0.0.0", "0.0.1", "0.1.0", "1.0.0"),
        ("1.2.3-rc.1", "1.2.3", "1.3.0", "2.0.0"),
        ("1.2.0-rc.1", "1.2.0", "1.2.0", "2.0.0"),
        ("2.0.0-rc.1", "2.0.0", "2.0.0", "2.0.0"),
        ("1.0.0-0", "1.0.0", "1.0.0", "1.0.0"),
        ("1.2.3+build.5", "1.2.4", "1.3.0", "2.0.0"),
        ("v1.2.3", "v1.2.4", "v1.3.0", "v2.0.0"),
        ("1.9.99", "1.9.100", "1.10.0", "2.0.0"),
    ],
)
def test_a_chart_is_raised_by_the_part_that_is_asked_for(
    version: str, patch: str, minor: str, major: str
) -> None:
    text = f"name: shop\nversion: '{version}' # ours\nappVersion: 1.0.0\n"

    for bump, after in (("patch", patch), ("minor", minor), ("major", major)):
        assert promote(text, f"{IMAGE}:1.1.0", bump=bump) == (
            f"name: shop\nversion: '{after}' # ours\nappVersion: 1.1.0\n"
        )


def test_a_chart_that_does_not_change_keeps_its_version() -> None:
    once = plan_of({"charts/shop/Chart.yaml": CHART}, f"{IMAGE}:1.3.0", bump="patch")
    text = once.files["charts/shop/Chart.yaml"].decode()
    again = plan_of({"charts/shop/Chart.yaml": text}, f"{IMAGE}:1.3.0", bump="patch")

    assert text == CHART.replace('"1.2.2"', '"1.3.0"').replace("1.2.3 ", "1.2.4 ")
    assert (again.files, again.changes[0].old) == ({}, again.changes[0].new)
    assert again.reason


def test_without_a_bump_a_chart_keeps_its_version() -> None:
    assert "version: 1.2.3   # ours" in promote(CHART, f"{IMAGE}:1.3.0")


def test_two_images_of_one_call_raise_a_chart_once() -> None:
    images = (f"{WEB}:1.3.0", "registry-1.docker.io/bitnamicharts/redis:18.1.0")

    plan = plan_of({"charts/shop/Chart.yaml": CHART}, *images, bump="minor")

    after = plan.files["charts/shop/Chart.yaml"].decode()
    expected = CHART.replace("'1.2.2'", "'1.3.0'").replace("^18.0.0", "18.1.0")
    assert after == expected.replace("1.2.3 ", "1.3.0 ")
    assert [change.image for change in plan.changes] == [
        "ghcr.io/acme/charts/web",
        "registry-1.docker.io/bitnamicharts/redis",
    ]


def test_of_two_images_one_that_stays_raises_nothing_more() -> None:
    images = (f"{WEB}:1.2.2", "registry-1.docker.io/bitnamicharts/redis:18.1.0")

    plan = plan_of({"charts/shop/Chart.yaml": CHART}, *images, bump="patch")

    after = plan.files["charts/shop/Chart.yaml"].decode()
    assert after == CHART.replace("^18.0.0", "18.1.0").replace("1.2.3 ", "1.2.4 ")


def test_a_version_that_the_call_gives_is_not_raised() -> None:
    target = "charts/shop#appVersion charts/shop#version"

    plan = plan_of({"charts/shop/Chart.yaml": CHART}, f"{IMAGE}:2.0.0", target=target, bump="major")
    other = " ".join(reversed(target.split()))
    turned = plan_of(
        {"charts/shop/Chart.yaml": CHART}, f"{IMAGE}:2.0.0", target=other, bump="major"
    )

    after = CHART.replace('"1.2.2"', '"2.0.0"').replace("1.2.3 ", "2.0.0 ")
    assert plan.files["charts/shop/Chart.yaml"].decode() == after
    assert turned.files["charts/shop/Chart.yaml"].decode() == after


def test_a_charts_own_version_is_no_image_that_a_message_or_a_report_names() -> None:
    plan = plan_of({"charts/shop/Chart.yaml": CHART}, f"{IMAGE}:1.3.0", bump="patch")

    assert [change.key for change in plan.changes] == ["appVersion"]
    assert f"Promoted-Image: {IMAGE} 1.2.2 -> 1.3.0\n" in plan.message
    assert "1.2.4" not in plan.message
    assert "+version: 1.2.4" in plan.diff
    assert plan.warnings == ()


@pytest.mark.parametrize("version", ["'1.2'", "latest", "1.2.3.4", "01.2.3"])
def test_a_version_that_has_no_next_one_is_refused(version: str) -> None:
    text = f"name: shop\nversion: {version}\nappVersion: 1.0.0\n"

    with pytest.raises(PromoteError, match="is no SemVer: it has no next patch") as refused:
        promote(text, f"{IMAGE}:1.1.0", bump="patch")

    assert refused.value.line == 2
    assert "chart-bump" in refused.value.fix
    assert promote(text, f"{IMAGE}:1.0.0", bump="patch") == text


def test_a_chart_without_a_version_has_no_next_one() -> None:
    with pytest.raises(PromoteError, match="this chart has no `version`"):
        promote("name: shop\nappVersion: 1.0.0\n", f"{IMAGE}:1.1.0", bump="patch")


def test_a_version_and_an_app_version_of_one_anchor_rise_together() -> None:
    text = "name: shop\nversion: &v 1.0.0\nappVersion: *v\n"

    plan = plan_of({"charts/shop/Chart.yaml": text}, f"{IMAGE}:1.1.0", bump="patch")

    assert plan.files["charts/shop/Chart.yaml"].decode() == text.replace("1.0.0", "1.1.0")
    assert plan.warnings == (
        "charts/shop/Chart.yaml: `appVersion` is the version of `version` too.",
    )
    with pytest.raises(PromoteError, match="`main` is no SemVer"):
        promote(text, f"{IMAGE}:main")


def test_what_a_raised_version_carries_along_is_told() -> None:
    text = "name: shop\nversion: &v 1.0.0\nappVersion: 1.0.0\nannotations: {release: *v}\n"

    document = Document.parse(text.encode(), "Chart.yaml")
    edited = chart.KIND.set_image(document, parse_image(f"{IMAGE}:1.1.0"), "", Around(bump="patch"))

    assert edited.warnings == ("the anchor `&v` also changes: `release` (line 4).",)


def test_a_version_that_an_anchor_shares_with_a_dependency_is_refused() -> None:
    text = (
        "name: shop\nversion: &v 1.0.0\n"
        "dependencies: [{name: web, version: *v, repository: oci://ghcr.io/acme/charts}]\n"
    )

    with pytest.raises(PromoteError, match="shares what it is given with `version`"):
        promote(text, f"{WEB}:1.1.0", bump="patch")


def test_only_the_first_document_is_a_chart() -> None:
    text = "name: shop\nversion: 1.0.0\n---\nname: other\nversion: 1.0.0\n"

    assert promote(text, f"{IMAGE}:v2", bump="patch") == text.replace(
        "1.0.0\n---", "1.0.1\nappVersion: v2\n---"
    )


# The lock.


def test_a_lock_is_called_stale_once_and_with_the_command_that_makes_it_anew() -> None:
    files = {"charts/the shop/Chart.yaml": CHART, "charts/the shop/Chart.lock": LOCK}
    images = (f"{WEB}:1.3.0", "registry-1.docker.io/bitnamicharts/redis:18.1.0")

    plan = plan_of(files, *images, target="charts/*/Chart.yaml")

    (warning,) = plan.warnings
    assert "`Chart.lock` was made for other versions of the dependencies" in warning
    assert "`helm dependency update 'charts/the shop'`" in warning
    assert list(plan.files) == ["charts/the shop/Chart.yaml"]


@pytest.mark.parametrize("item", [f"{IMAGE}:1.3.0", f"{WEB}:1.2.2"])
def test_a_lock_of_dependencies_that_stay_is_not_stale(item: str) -> None:
    files = {"charts/shop/Chart.yaml": CHART, "charts/shop/Chart.lock": LOCK}

    assert plan_of(files, item).warnings == ()


def test_without_a_lock_there_is_nothing_to_tell() -> None:
    assert plan_of({"charts/shop/Chart.yaml": CHART}, f"{WEB}:1.3.0").warnings == ()


def test_a_broken_lock_is_stale_too() -> None:
    files = {"Chart.yaml": CHART, "Chart.lock": "a: [\n"}

    (warning,) = plan_of(files, f"{WEB}:1.3.0", target="Chart.yaml").warnings

    assert "`helm dependency update .`" in warning


# What Helm makes of it.

TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels:
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
data:
  kind: {{ kindOf .Chart.AppVersion }}
  name: {{ .Chart.Name }}
"""


@pytest.fixture
def helm(tool: Callable[[str], str]) -> Callable[..., str]:
    """Run Helm, and give back what it says."""
    program = tool("helm")

    def run(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def write_chart(folder: Path, text: str) -> Path:
    """A chart on disk."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(text)
    (folder / "values.yaml").write_text("")
    (folder / "templates" / "a.yaml").write_text(TEMPLATE)
    return folder


@pytest.mark.parametrize("tag", ["1.3.0", "1.10", "20261122", "0x1F", "1e5", "null", "on", "v2"])
def test_helm_renders_the_new_app_version_as_a_text_and_nothing_else_anew(
    helm: Callable[..., str], tmp_path: Path, tag: str
) -> None:
    text = "apiVersion: v2\nname: shop\nversion: 1.0.0\nappVersion: 1.2.2\n"
    folder = write_chart(tmp_path / "shop", text)
    before = yaml.safe_load(helm("template", "r", str(folder)))

    (folder / "Chart.yaml").write_text(promote(text, f"{IMAGE}:{tag}", bump="minor"))

    after = yaml.safe_load(helm("template", "r", str(folder)))
    assert after["metadata"]["labels"] == {"app.kubernetes.io/version": tag}
    assert after["data"]["kind"] == "string"
    after["metadata"]["labels"]["app.kubernetes.io/version"] = "1.2.2"
    assert after == before
    helm("lint", str(folder))
    shown = yaml.safe_load(helm("show", "chart", str(folder)))
    assert (shown["version"], shown["appVersion"]) == ("1.1.0", tag)


@pytest.mark.parametrize("old", ["1.2.2", "^1.2.0"])
def test_helm_refuses_a_lock_that_is_called_stale_until_it_is_made_anew(
    helm: Callable[..., str], tool: Callable[[str], str], tmp_path: Path, old: str
) -> None:
    library = write_chart(tmp_path / "lib", "apiVersion: v2\nname: lib\nversion: 1.2.2\n")
    text = (
        "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
        f"dependencies:\n- name: lib\n  version: {old}\n  repository: file://../lib\n"
    )
    folder = write_chart(tmp_path / "shop", text)
    helm("dependency", "update", str(folder))
    helm("dependency", "build", str(folder))
    # A range that the lock fulfils may become the very version that it has: stale all the same.
    new = "1.2.2" if old.startswith("^") else "1.2.3"
    (library / "Chart.yaml").write_text(f"apiVersion: v2\nname: lib\nversion: {new}\n")
    files = {path.name: path.read_text() for path in folder.glob("Chart.*")}

    key = "Chart.yaml#dependencies[name=lib].version"
    plan = plan_of(files, f"lib:{new}", target=key, bump="patch")

    assert "`Chart.lock` was made for other versions" in "".join(plan.warnings)
    (folder / "Chart.yaml").write_bytes(plan.files["Chart.yaml"])
    stale = subprocess.run(
        [tool("helm"), "dependency", "build", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "out of sync" in stale.stderr
    helm("dependency", "update", str(folder))
    helm("dependency", "build", str(folder))
    assert "ok" in helm("dependency", "list", str(folder)).splitlines()[1]


def test_what_runs_is_told_with_its_place() -> None:
    document = Document.parse(CHART.encode(), "Chart.yaml")

    (found,) = chart.KIND.running(document, "", [WEB])

    assert found == Running(WEB, "Chart.yaml", 10, "dependencies[1]", Reference(WEB, "1.2.2"))
    assert chart.KIND.running(document, "dependencies[name=none]", [WEB]) == ()


def test_a_chart_of_nothing_has_no_image() -> None:
    with pytest.raises(PromoteError, match="no image"):
        chart.KIND.set_image(
            Document.parse(b"{}\n", "Chart.yaml"), parse_image("acme/a:1"), "", Around()
        )


def test_a_chart_is_renamed_by_nobody() -> None:
    text = b"apiVersion: v2\nname: a\nversion: 1.0.0\nappVersion: 1.0\n"

    with pytest.raises(PromoteError, match="nothing to rename"):
        chart.KIND.set_image(
            Document.parse(text, "Chart.yaml"), parse_image("acme/a=acme/b"), "", Around()
        )
