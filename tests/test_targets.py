"""The `target` input: which files it leads to, and as what."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.locate import distinct, locate
from gitops_promote.core.targets import Target, parse_target
from memory import FILES, Memory, deployment, overlay


def paths(line: str, files: dict[str, str] | None = None, **values: str) -> list[tuple[str, str]]:
    """The files that a target leads to, and their kinds."""
    snapshot = Memory(FILES if files is None else files)
    found = locate(snapshot, parse_target(line, **values), snapshot.parse)
    return [(place.path, place.kind) for place in found]


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("a/b", ("a/b", "", "")),
        (" kustomize: a/b/ ", ("a/b", "", "kustomize")),
        ("helm:./a//b.yaml#web.image", ("a/b.yaml", "web.image", "helm")),
        ("a.yaml#", ("a.yaml", "", "")),
        (".", ("", "", "")),
        ("a/{environment}/{app}.yaml#{app}.image", ("a/dev/shop.yaml", "shop.image", "")),
    ],
)
def test_a_line(line: str, target: tuple[str, str, str]) -> None:
    found = parse_target(line, "dev", "shop")

    assert (found.path, found.key, found.kind) == target


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../x", "leaves the config repository by `..`"),
        ("a/../../x", "leaves the config repository by `..`"),
        ("a/..", "leaves the config repository by `..`"),
        ("/etc/passwd", "is not a path inside the config repository"),
        ("kustomize:/etc", "is not a path inside the config repository"),
        ("~/x", "is not a path inside the config repository"),
        ("a\\b", "is not a path inside the config repository"),
        ("a\0b", "has a control character"),
        ("a\x1bb", "has a control character"),
        ("helm:", "names no file"),
        ("#web.image", "names no file"),
        (
            "docker:x",
            "has the kind `docker`, which is unknown. The kinds are `kustomize`, `chart`,",
        ),
        ("C:/x", "has the kind `C`"),
        ("https://x/y", "has the kind `https`"),
        ("a/{env}", "placeholder `{env}`, which is unknown"),
        ("a/{environment}", "needs the input `environment`"),
        ("a/{app}", "needs the input `app`"),
    ],
)
def test_a_wrong_line(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as raised:
        parse_target(line)

    assert f"`{line}`" in raised.value.what
    assert raised.value.fix.endswith(".")


@given(st.text(alphabet="ab/.*?[]!-^#:{}\\~ ", max_size=15))
def test_any_line_is_a_path_inside_or_refused(line: str) -> None:
    try:
        target = parse_target(line)
    except UsageError:
        return
    parts = target.path.split("/")
    assert not {"..", "."} & set(parts)
    assert target.path == "" or "" not in parts


DEV = "apps/shop/overlays/dev/kustomization.yaml"
TEST, PROD = DEV.replace("dev", "test"), DEV.replace("dev", "prod")
BASE, VALUES = "apps/shop/base/kustomization.yaml", "charts/shop/values-dev.yaml"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("apps/shop/overlays/dev", [(DEV, "kustomize")]),
        (DEV, [(DEV, "kustomize")]),
        (f"kustomize:{DEV}", [(DEV, "kustomize")]),
        (VALUES, [(VALUES, "helm")]),
        (f"helm:{VALUES}#image", [(VALUES, "helm")]),
        ("apps/*/overlays/*", [(p, "kustomize") for p in (DEV, PROD, TEST)]),
        ("apps/**/kustomization.yaml", [(p, "kustomize") for p in (BASE, DEV, PROD, TEST)]),
        ("**/overlays/?e[r-t]*", [(TEST, "kustomize")]),
        ("apps/shop/overlays/[!dp]*", [(TEST, "kustomize")]),
        ("charts/**", [(VALUES, "helm")]),
        ("helm:charts/*/values-*.yaml", [(VALUES, "helm")]),
        ("apps/shop/base/deployment.yaml", [("apps/shop/base/deployment.yaml", "manifest")]),
        ("apps/*/base/*.yaml", [(BASE, "kustomize")]),
        ("apps/*/base/deployment.yaml", [("apps/shop/base/deployment.yaml", "manifest")]),
        ("manifest:apps/*/base/[!k]*", [("apps/shop/base/deployment.yaml", "manifest")]),
        (f"{DEV}#images", [(DEV, "kustomize")]),
        ("apps/shop/overlays/*#images", [(p, "kustomize") for p in (DEV, PROD, TEST)]),
    ],
)
def test_files_that_a_target_leads_to(line: str, found: list[tuple[str, str]]) -> None:
    assert list(dict.fromkeys(paths(line))) == found


FLUX = "apiVersion: kustomize.toolkit.fluxcd.io/v1\n"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "kustomize"),
        ("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n", "kustomize"),
        ("image: a:1\n", "helm"),
        ("apiVersion: v2\nname: chart\n", "helm"),
        ("apiVersion: v1\nkind: Pod\n", "manifest"),
        ("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Pod}]\n", "manifest"),
        ("apiVersion: example.com/v1\nkind: Anything\n", "manifest"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\n", "manifest"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Application\n", "argocd"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\n", "argocd"),
        ("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n", "flux"),
        (f"{FLUX}kind: Kustomization\n", "flux"),
    ],
)
def test_a_kind_is_found_from_the_content(content: str, kind: str) -> None:
    assert paths("any.yaml", {"any.yaml": content}) == [("any.yaml", kind)]


def test_a_kustomization_of_flux_is_one_whatever_its_file_is_called() -> None:
    files = {"sync/kustomization.yaml": f"{FLUX}kind: Kustomization\n"}

    assert paths("sync", files) == [("sync/kustomization.yaml", "flux")]


def test_a_file_with_objects_of_several_kinds_is_of_each() -> None:
    files = {
        "all.yaml": "---\n".join(
            [
                "apiVersion: argoproj.io/v1alpha1\nkind: Application\n",
                deployment("a:1"),
                "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n",
            ]
        )
    }
    container = "[1].spec.template.spec.containers[0].image"

    assert paths("all.yaml", files) == [
        ("all.yaml", "argocd"),
        ("all.yaml", "flux"),
        ("all.yaml", "manifest"),
    ]
    assert paths(f"all.yaml#{container}", files) == [("all.yaml", "manifest")]
    assert paths("argocd:all.yaml", files) == [("all.yaml", "argocd")]


@pytest.mark.parametrize(
    ("line", "files", "found"),
    [
        ("c", ["c/Chart.yaml", "c/values.yaml"], ("c/Chart.yaml", "chart")),
        ("chart:c", ["c/Chart.yaml", "c/kustomization.yaml"], ("c/Chart.yaml", "chart")),
        ("c", ["c/Chart.yaml", "c/kustomization.yaml"], ("c/kustomization.yaml", "kustomize")),
        ("d", ["d/helmfile.yaml", "d/a.yaml"], ("d/helmfile.yaml", "helmfile")),
        ("?", ["d/helmfile.yaml", "d/a.yaml"], ("d/helmfile.yaml", "helmfile")),
        ("chart:*", ["d/Chart.yaml", "e/kustomization.yaml"], ("d/Chart.yaml", "chart")),
    ],
)
def test_a_folder_stands_for_its_chart_or_helmfile(
    line: str, files: list[str], found: tuple[str, str]
) -> None:
    contents = dict.fromkeys(files, "name: x\nversion: 1.0.0\n")

    assert paths(line, contents) == [found]


@pytest.mark.parametrize(
    ("line", "files", "message"),
    [
        ("apps/shop/overlay/dev", FILES, "Did you mean `apps/shop/overlays/dev`?"),
        ("apps/shop/overlays/dve", FILES, "Did you mean `apps/shop/overlays/dev` or"),
        ("nope/x", FILES, "`/` has `README.md`, `apps/`, `charts/`: name what to edit in it."),
        ("x", {}, "The config repository is empty."),
        (
            "apps/shop/overlays",
            FILES,
            "a folder without a kustomization, chart or helmfile. `apps/shop/overlays` has `dev/`",
        ),
        (
            "kustomize:charts/shop",
            FILES,
            "a folder without a kustomization. `charts/shop` has `values-dev.yaml`: name what",
        ),
        (
            "helm:apps/shop/overlays/dev",
            FILES,
            "is a folder, and what is `helm` is a file. `apps/shop/overlays/dev` has `kust",
        ),
        ("manifest:apps/shop/base", FILES, "is a folder, and what is `manifest` is a file."),
        (
            "apps/web",
            {"apps/web/deployment.yaml": deployment("a:1")},
            "`deployment.yaml`: name what to edit in it. `apps/web/*.yaml` is all of its files.",
        ),
        ("chart:charts/shop", FILES, "is a folder without a `Chart.yaml`. `charts/shop` has"),
        ("README.md", FILES, "README.md"),
        ("apps/[z-a]", FILES, "matches nothing that can be edited"),
        ("apps/*/base/d*", FILES, "`apps/shop/base/deployment.yaml` is built by a kustomization"),
        ("apps/*/nope", FILES, "matches nothing that can be edited. `apps` has `shop/`:"),
        ("l.yaml", {"l.yaml": "- a\n"}, "l.yaml: this file holds no mapping"),
        ("l.yaml", {"l.yaml": "a: [\n"}, "l.yaml:"),
        ("t.yaml", {"t.yaml": "a: {{ b }}\n  c\n"}, "looks like a template"),
        (
            "kustomization.yaml",
            {"kustomization.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\n"},
            "is no kustomization of kustomize's",
        ),
        (
            "kustomize:sync.yaml",
            {"sync.yaml": f"{FLUX}kind: Kustomization\n"},
            "is no kustomization of kustomize's",
        ),
        ("values.yaml.gotmpl", {"values.yaml.gotmpl": "a: {{ b }}\n"}, "is a Go template"),
        (
            "helmfile.d/web.yaml.gotmpl",
            {"helmfile.d/web.yaml.gotmpl": "a: 1\n"},
            "is a Go template",
        ),
        (
            "charts/web/templates/deployment.yaml",
            {"charts/web/templates/deployment.yaml": "a: {{ b }}\n  c\n"},
            "a chart's template; name its values file instead, such as `charts/web/values.yaml`",
        ),
        (
            "templates/x/deployment.yaml",
            {"templates/x/deployment.yaml": "{{- if b }}\n"},
            "name its values file instead, such as `values.yaml`",
        ),
        (
            "o",
            {"o/kustomization.yaml": overlay(), "o/Kustomization": overlay()},
            "`o` has 2 kustomizations: `kustomization.yaml`, `Kustomization`. kustomize refuses",
        ),
    ],
)
def test_a_target_that_leads_nowhere(line: str, files: dict[str, str], message: str) -> None:
    with pytest.raises(PromoteError, match=re.escape(message)):
        paths(line, files)


@pytest.mark.parametrize("kind", ["symlink", "submodule"])
@pytest.mark.parametrize("line", ["link", "link/values.yaml", "helm:link/a/b.yaml#x"])
def test_links_are_not_followed(line: str, kind: str) -> None:
    snapshot = Memory(FILES, {"link": kind})  # type: ignore[dict-item]
    with pytest.raises(PromoteError, match=f"goes through `link`, which is a {kind}"):
        locate(snapshot, parse_target(line), snapshot.parse)


def test_a_glob_passes_over_what_is_nothing_to_edit() -> None:
    files = {
        "c/values.yaml": "image: a:1\n",
        "c/templates/x.yaml": "{{- if .Values.x }}\na: [\n{{ end }}\n",
        "c/list.yaml": "- a\n",
        "c/values.yaml.gotmpl": "image: {{ .Values.image }}\n",
        "c/note.txt": "image: a:1\n",
        "c/flux/kustomization.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\n",
    }
    snapshot = Memory(files, {"c/link.yaml": "symlink", "c/sub": "submodule"})

    found = locate(snapshot, parse_target("c/**"), snapshot.parse)

    assert [place.path for place in found] == ["c/values.yaml"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("c/**", [("c/values.yaml", "helm")]),
        ("*", []),
        ("*/Chart.yaml", [("c/Chart.yaml", "chart")]),
        ("chart:**", [("c/Chart.yaml", "chart")]),
        ("chart:*", [("c/Chart.yaml", "chart")]),
    ],
)
def test_a_glob_takes_a_chart_s_own_version_only_where_it_says_so(
    line: str, found: list[tuple[str, str]]
) -> None:
    files = {"c/Chart.yaml": "name: c\nappVersion: 1.0.0\n", "c/values.yaml": "image: a:1\n"}

    if found:
        assert list(dict.fromkeys(paths(line, files))) == found
    else:
        with pytest.raises(PromoteError, match="matches nothing that can be edited"):
            paths(line, files)


def test_a_glob_does_not_pass_over_a_broken_file() -> None:
    with pytest.raises(PromoteError, match="not valid YAML"):
        paths("*/values.yaml", {"a/values.yaml": "a: [\n", "b/values.yaml": "a: 1\n"})


@given(
    st.text(alphabet="ab*?[]!-", min_size=1, max_size=8).filter(lambda t: "**" not in t),
    st.text(alphabet="ab-!]^", min_size=1, max_size=6),
)
def test_a_glob_inside_a_name_is_the_shell_s(glob: str, name: str) -> None:
    try:
        target = parse_target(glob)
    except UsageError:
        return
    if not target.is_pattern:
        return
    snapshot = Memory({name + ".yaml": "a: 1\n", "a/b.yaml": "a: 1\n"})
    try:
        found = locate(snapshot, Target(glob, glob + ".yaml"), snapshot.parse)
    except PromoteError:
        found = []

    assert bool(found) == fnmatch.fnmatchcase(name, glob)


def test_a_forced_kind_reads_any_file_name() -> None:
    assert paths("helm:v.txt", {"v.txt": "image: a:1\n"}) == [("v.txt", "helm")]
    assert paths("kustomize:k.yaml", {"k.yaml": "resources: []\n"}) == [("k.yaml", "kustomize")]


def test_what_an_overlay_leads_to_lies_beside_it() -> None:
    chart = "helmCharts: [{name: a, valuesFile: %s}]\n"
    files = {
        "o/kustomization.yaml": chart % "v.yaml",
        "o/v.yaml": "a: 1\n",
        "p/kustomization.yaml": chart % "/v.yaml",
        "p/v.yaml": "a: 1\n",
        "q/kustomization.yaml": chart % "../v.yaml",
        "v.yaml": "a: 1\n",
    }

    assert paths("o", files) == [("o/kustomization.yaml", "kustomize"), ("o/v.yaml", "helm")]
    assert paths("p", files) == [("p/kustomization.yaml", "kustomize")]
    assert paths("q", files) == [("q/kustomization.yaml", "kustomize")]


def test_a_values_file_that_is_named_is_no_overlay_s() -> None:
    files = {
        "o/kustomization.yaml": "helmCharts: [{name: a, valuesFile: v.yaml}]\n",
        "o/v.yaml": "a: 1\n",
    }
    snapshot = Memory(files)
    lines = [parse_target(line) for line in ("o", "o/v.yaml")]

    found = distinct(place for line in lines for place in locate(snapshot, line, snapshot.parse))

    assert [(place.path, place.led_by) for place in found] == [
        ("o/kustomization.yaml", ""),
        ("o/v.yaml", ""),
    ]


@pytest.mark.parametrize("key", ["resources", "Resources"])
def test_a_base_s_manifest_is_left_whatever_the_key_s_case(key: str) -> None:
    files = {"a/kustomization.yaml": f"{key}: [d.yaml]\n", "a/d.yaml": deployment("a:1")}

    assert paths("a/*.yaml", files) == [("a/kustomization.yaml", "kustomize")]


def test_a_broken_kustomization_that_nobody_named_is_no_reason_to_fail() -> None:
    files = {"kustomization.yaml": "resources: [\n", "a/d.yaml": deployment("a:1")}

    assert paths("a/*.yaml", files) == [("a/d.yaml", "manifest")]
