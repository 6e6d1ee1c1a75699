"""The `target` input: which files it leads to, and as what."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.targets import Target, locate, parse_target
from memory import FILES, Memory, overlay


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
        ("argocd:x", "has the kind `argocd`, which is unknown"),
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
    ],
)
def test_files_that_a_target_leads_to(line: str, found: list[tuple[str, str]]) -> None:
    assert list(dict.fromkeys(paths(line))) == found


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "kustomize"),
        ("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n", "kustomize"),
        ("image: a:1\n", "helm"),
        ("apiVersion: v2\nname: chart\n", "helm"),
    ],
)
def test_a_kind_is_found_from_the_content(content: str, kind: str) -> None:
    assert paths("any.yaml", {"any.yaml": content}) == [("any.yaml", kind)]


@pytest.mark.parametrize(
    ("line", "files", "message"),
    [
        ("apps/shop/overlay/dev", FILES, "Did you mean `apps/shop/overlays/dev`?"),
        ("apps/shop/overlays/dve", FILES, "Did you mean `apps/shop/overlays/dev` or"),
        ("nope/x", FILES, "`/` has `README.md`, `apps/`, `charts/`: name what to edit in it."),
        ("x", {}, "The config repository is empty."),
        ("apps/shop/overlays", FILES, "a folder without a kustomization. `apps/shop/overlays` has"),
        ("helm:apps/shop/overlays/dev", FILES, "is a folder, not a values file"),
        ("README.md", FILES, "README.md"),
        (
            "apps/shop/base/deployment.yaml",
            FILES,
            "is a Deployment of apps/v1, which can't be edited",
        ),
        ("apps/[z-a]", FILES, "matches nothing that can be edited"),
        ("apps/*/nope", FILES, "matches nothing that can be edited. `apps` has `shop/`:"),
        (f"{DEV}#images", FILES, "names a key, but"),
        ("apps/shop/overlays/*#images", FILES, "names a key, but"),
        ("l.yaml", {"l.yaml": "- a\n"}, "l.yaml: this file holds no mapping"),
        ("l.yaml", {"l.yaml": "a: [\n"}, "l.yaml:"),
        ("t.yaml", {"t.yaml": "a: {{ b }}\n  c\n"}, "looks like a template"),
        (
            "kustomization.yaml",
            {"kustomization.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\n"},
            "is no kustomization of kustomize's",
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
        "c/deployment.yaml": "apiVersion: v1\nkind: Pod\n",
        "c/note.txt": "image: a:1\n",
        "c/flux/kustomization.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\n",
    }
    snapshot = Memory(files, {"c/link.yaml": "symlink", "c/sub": "submodule"})

    found = locate(snapshot, parse_target("c/**"), snapshot.parse)

    assert [place.path for place in found] == ["c/values.yaml"]


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
