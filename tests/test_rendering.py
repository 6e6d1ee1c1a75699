"""The rendered difference, by the real kubectl and Helm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import yaml

from conftest import shared
from gitops_promote.core.errors import RetryableError
from gitops_promote.core.images import Image, parse_image
from gitops_promote.core.locate import Located
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.review.rendered import Rendered
from gitops_promote.core.snapshot import Snapshot
from gitops_promote.core.targets import parse_target
from gitops_promote.effects import rendering
from gitops_promote.effects.rendering import render
from memory import FILES, SHOP, Memory, deployment, overlay

Files = Mapping[str, str | bytes]
Show = Callable[..., Rendered]
Record = Callable[[str, object], None]

PROD = "apps/shop/overlays/prod"
BASE = "apps/shop/base"
VALUES = "charts/shop/values-dev.yaml"
CHART = {
    "charts/shop/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    "charts/shop/values.yaml": "image: {tag: latest}\n",
    VALUES: f"image:\n  repository: {SHOP}\n  tag: 1.0.0\n",
    "charts/shop/templates/deployment.yaml": deployment(
        '"{{ .Values.image.repository }}:{{ .Values.image.tag }}"'
    ),
}


def plan_of(files: Files, *targets: str) -> tuple[Memory, Plan]:
    snapshot = Memory(files)
    request = Request((parse_image(f"{SHOP}:2.0.0"),), tuple(map(parse_target, targets)))
    return snapshot, make_plan(snapshot, request)


def changed(files: Files, path: str) -> tuple[Memory, Plan]:
    """A plan for what can't be planned in earnest: one file with another end."""
    snapshot = Memory(files)
    return snapshot, plan_to_write(snapshot, path, b"\n# after\n")


def plan_to_write(snapshot: Memory, path: str, end: bytes) -> Plan:
    kind = "kustomize" if "kustomization" in path else "helm"
    place = Located(parse_target(path), path, kind)
    return Plan({path: snapshot.files[path] + end}, (), "", "", places=(place,))


@pytest.fixture
def environ(tool: Callable[[str], str], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    return {
        "PATH": str(Path(tool("kubectl")).parent),
        "TMPDIR": str(tmp_path / "tmp"),
        "INPUT_TOKEN": "secret",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }


@pytest.fixture
def helm(tool: Callable[[str], str], tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(Path(tool("helm")).parent), "TMPDIR": str(tmp_path)}


@pytest.fixture
def fake(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Put a program of a few lines in the place of kustomize."""
    if sys.platform == "win32":
        pytest.skip("scripts are no programs on Windows")

    def make(text: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "kustomize"
        program.write_text(f"#!{sys.executable} -I\n{text}\n")
        program.chmod(0o755)
        return {"PATH": str(folder), "TMPDIR": str(tmp_path), "GITOPS_PROMOTE_TOKEN": "secret"}

    return make


def only(results: tuple[Rendered, ...]) -> Rendered:
    (result,) = results
    return result


def test_every_overlay_that_changes(environ: dict[str, str]) -> None:
    snapshot, plan = plan_of(FILES, "apps/shop/overlays/*")

    results = render(snapshot, plan, environ)

    assert [result.path.rpartition("/")[2] for result in results] == ["dev", "prod", "test"]
    for result in results:
        assert (result.tool, result.problem, result.only_images) == ("kubectl kustomize", "", True)
        (change,) = result.objects
        assert (change.kind, change.name) == ("Deployment", "shop")
        assert f"+      - image: {SHOP}:2.0.0\n" in change.diff


def test_a_folder_at_the_root(environ: dict[str, str]) -> None:
    files = {
        "kustomization.yaml": overlay(f"{SHOP}:1.0.0", resources=["d.yaml"]),
        "d.yaml": deployment(SHOP),
    }

    result = only(render(*plan_of(files, "kustomization.yaml"), environ))

    assert (result.path, result.problem, len(result.objects)) == (".", "", 1)


def test_only_what_an_overlay_needs_is_read(environ: dict[str, str]) -> None:
    files = {
        **FILES,
        f"{BASE}/kustomization.yaml": (
            "resources: [deployment.yaml]\ncomponents: [../component]\n"
            "configMapGenerator:\n- name: c\n  files: [key=settings/a.txt, b.txt]\n"
            "  envs: [c.env]\n  literals: ['URL=https://example.com/']\n"
            "generatorOptions: {disableNameSuffixHash: true}\n"
            "patches:\n- path: patch.yaml\n- target: {kind: Deployment}\n  patch: |\n"
            "    - {op: add, path: /metadata/annotations, value: {u: 'https://example.com'}}\n"
            "commonAnnotations: {docs: https://example.com/}\n"
            "transformers:\n- labels.yaml\n- |\n  apiVersion: builtin\n"
            "  kind: PatchTransformer\n  metadata: {name: x}\n  path: other/patch.yaml\n"
        ),
        "apps/shop/component/kustomization.yaml": (
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [c.yaml]\n"
        ),
        "apps/shop/component/c.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n",
        f"{BASE}/settings/a.txt": "a",
        f"{BASE}/b.txt": "b",
        f"{BASE}/c.env": "C=c\n",
        f"{BASE}/unused/big.bin": "x",
        f"{BASE}/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop}\n",
        f"{BASE}/other/patch.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n",
        f"{BASE}/labels.yaml": (
            "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: y}\npath: third.yaml\n"
        ),
        f"{BASE}/third.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n",
    }
    snapshot, plan = plan_of(files, PROD)
    snapshot.reads.clear()

    result = only(render(snapshot, plan, environ))

    assert (result.problem, result.only_images) == ("", True)
    unread = set(files) - set(snapshot.reads)
    assert {path for path in unread if "overlays" not in path} == {
        f"{BASE}/unused/big.bin",
        VALUES,
        "README.md",
    }
    assert len(snapshot.reads) == len(set(snapshot.reads))


def test_more_than_images_by_kustomize(environ: dict[str, str]) -> None:
    text = "resources: [../../base]\n%simages: [{name: %s, newTag: &v '1.0'}]\n"
    generated = "configMapGenerator: [{name: settings, files: [kustomization.yaml]}]\n"
    file = f"{PROD}/kustomization.yaml"
    files = {**FILES, file: text % (generated, SHOP)}

    result = only(render(*plan_of(files, PROD), environ))

    kinds = [(change.kind, change.name[:9], change.only_image) for change in result.objects]
    assert result.problem == ""
    assert kinds == [
        ("ConfigMap", "settings-", False),
        ("Deployment", "shop", True),
        ("ConfigMap", "settings-", False),
    ]
    assert not result.only_images


def test_an_entry_that_nothing_uses_changes_nothing(environ: dict[str, str]) -> None:
    files = {**FILES, f"{BASE}/deployment.yaml": deployment("other")}

    result = only(render(*plan_of(files, PROD), environ))

    assert (result.problem, result.objects) == ("", ())


REMOTE = [
    "https://example.com/base",
    "HTTP://example.com/base",
    "github.com/acme/base?ref=v1",
    "git@github.com:acme/base",
    "user@host.example:base",
    "git::https://example.com/base",
    "ssh://git@example.com/base.git//x",
    "file:///etc",
    "example.com/acme/base.git//deploy",
    "base?version=1",
    "gh:acme/base",
]


@pytest.mark.parametrize("place", REMOTE)
@pytest.mark.parametrize(
    "form",
    [
        'resources: ["%s"]',
        'Resources: ["%s"]',
        'x-a: &a "%s"\nresources: [*a]',
        'bases: ["%s"]',
        'components: ["%s"]',
        'patches: [{path: "%s"}]',
        'configMapGenerator: [{name: c, files: ["k=%s"]}]',
        'transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  path: "%s"',
        'generators: [../settings.yaml]\nx: "%s"',
        'field-of-tomorrow: {deep: [{er: "%s"}]}',
    ],
)
def test_what_refers_to_another_repository_is_not_rendered(
    fake: Callable[[str], dict[str, str]], place: str, form: str
) -> None:
    files = {
        **FILES,
        f"{BASE}/kustomization.yaml": form % place.replace(":", "\\x3A"),
        f"{BASE}/{place}/kustomization.yaml": "resources: []\n",
    }
    snapshot = Memory(files)
    path = f"{PROD}/kustomization.yaml"
    plan = plan_to_write(snapshot, path, b"\n")

    result = only(render(snapshot, plan, fake("raise SystemExit('was run')")))

    assert "refers to another repository" in result.problem
    assert "example.com" not in result.problem


def test_settings_in_files_are_searched_too(fake: Callable[[str], dict[str, str]]) -> None:
    files = {
        **FILES,
        f"{BASE}/kustomization.yaml": "transformers: [more]\n",
        f"{BASE}/more/kustomization.yaml": "resources: [t.yaml]\n",
        f"{BASE}/more/t.yaml": "kind: A\n---\nkind: PatchTransformer\npath: https://example.com/\n",
    }

    result = only(render(*changed(files, f"{PROD}/kustomization.yaml"), fake("print('was run')")))

    assert f"`{BASE}/more/t.yaml` refers to another repository" in result.problem


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("resources: [../../../../../../../../tmp]", "outside of the config repository"),
        ("resources: [..\\..\\..\\..\\tmp]", "outside of the config repository"),
        ("resources: [link.yaml]", "which is a symlink"),
        ("resources: [module]", "which is a submodule"),
        ("resources: [nothing]", "`nothing`, which is no file or kustomization"),
        ("resources: [empty]", "`empty`, which is no file or kustomization"),
        ("resources: [/etc]", "`/etc`, which is no file or kustomization"),
        ("resources: [", "not valid YAML"),
        ("resources: [.]", "can't render it as it is now: .*cycle"),
        ("unknown: 1", "can't render it as it is now: .*unknown"),
        ("helmCharts: [{name: x}]", "can't render it as it is now: .*enable-helm"),
        ("patches: [{path: ../deployment.yaml}]", "can't render it as it is now: .*security"),
        ("transformers: [plugin.yaml]", "can't render it as it is now: .*plugin"),
    ],
)
def test_why_an_overlay_is_not_rendered(environ: dict[str, str], text: str, reason: str) -> None:
    files = {
        "a/b/kustomization.yaml": text,
        "a/b/empty/file": "",
        "a/deployment.yaml": deployment("a"),
        "a/b/plugin.yaml": (
            "apiVersion: v1\nkind: Evil\nmetadata:\n  name: x\n  annotations:\n"
            "    config.kubernetes.io/function: |\n      exec: {path: ./run.sh}\n"
        ),
        "a/b/run.sh": "#!/bin/sh\ntouch /tmp/was-run\n",
    }
    snapshot = Memory(files, {"a/b/link.yaml": "symlink", "a/b/module": "submodule"})
    path = "a/b/kustomization.yaml"

    result = only(render(snapshot, plan_to_write(snapshot, path, b"\n"), environ))

    assert result.objects == ()
    assert result.only_images
    assert result.problem.isprintable()
    assert len(result.problem) < 500
    assert result.problem.endswith(".")
    assert environ["TMPDIR"] not in result.problem
    assert re.search(reason, result.problem), result.problem


def test_a_component_is_told_apart(environ: dict[str, str]) -> None:
    files = {"c/kustomization.yaml": "kind: Component\nimages: [{name: a, newTag: '1'}]\n"}

    result = only(render(*changed(files, "c/kustomization.yaml"), environ))

    assert "component" in result.problem


def test_a_kustomization_by_another_name(helm: dict[str, str]) -> None:
    files = {"c/other.yaml": "apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\n"}

    result = only(render(*changed(files, "c/other.yaml"), helm))

    assert "`kustomization.yaml`" in result.problem


def test_a_chart(helm: dict[str, str]) -> None:
    result = only(render(*plan_of(CHART, VALUES), helm))

    assert (result.path, result.tool, result.problem) == (VALUES, "helm template", "")
    assert [(c.kind, c.name, c.only_image) for c in result.objects] == [
        ("Deployment", "shop", True)
    ]


@pytest.mark.parametrize(
    "path", ["charts/shop/envs/dev/values,evil.yaml", "charts/shop/values.yaml"]
)
def test_a_values_file_anywhere_below_a_chart(helm: dict[str, str], path: str) -> None:
    files = {**CHART, path: CHART[VALUES]}
    files.pop(VALUES)

    result = only(render(*plan_of(files, path), helm))

    assert (result.problem, len(result.objects)) == ("", 1)


@pytest.mark.parametrize(
    "extra",
    [
        "  labels: {app.kubernetes.io/version: '{{ .Values.image.tag }}'}\n",
        "  annotations:\n    checksum/config: {{ toYaml .Values | sha256sum }}\n",
        "  annotations:\n    at: {{ randAlphaNum 20 }}\n",
    ],
)
def test_more_than_images_by_helm(helm: dict[str, str], extra: str) -> None:
    template = CHART["charts/shop/templates/deployment.yaml"]
    template = template.replace("spec:\n", f"{extra}spec:\n", 1)
    files = {**CHART, "charts/shop/templates/deployment.yaml": template}

    result = only(render(*plan_of(files, VALUES), helm))

    assert result.problem == ""
    assert [change.only_image for change in result.objects] == [False]


def test_a_secret_of_a_chart_is_not_shown(helm: dict[str, str]) -> None:
    secret = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
        "stringData:\n  v: {{ .Values.image.tag }}-hunter\n"
    )
    files = {**CHART, "charts/shop/templates/secret.yaml": secret}

    result = only(render(*plan_of(files, VALUES), helm))

    shown = "".join(change.diff for change in result.objects)
    assert [change.kind for change in result.objects] == ["Secret", "Deployment"]
    assert "hunter" not in shown
    assert "(hidden, another value than before)" in shown


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("templates/x.yaml", "{{ fail .Values.image.tag }}", "1.0.0"),
        ("templates/x.yaml", "{{ include .Values }}", "x.yaml"),
        ("templates/x.yaml", "a: [", "x.yaml"),
        ("templates/x.yaml", "- a\n", "x.yaml"),
        ("Chart.yaml", "name: [", "Chart.yaml"),
        (
            "Chart.yaml",
            "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies:\n- {name: redis}\n",
            "missing in charts/ directory: redis",
        ),
        ("Chart.yaml", "apiVersion: v2\nname: a\nversion: 1.0.0\ntype: library\n", "library"),
    ],
)
def test_why_a_chart_is_not_rendered(
    helm: dict[str, str], path: str, text: str, reason: str
) -> None:
    files = {**CHART, f"charts/shop/{path}": text}

    result = only(render(*plan_of(files, VALUES), helm))

    assert reason in result.problem
    assert "`helm template` can't render it as it is now: " in result.problem
    assert helm["TMPDIR"] not in result.problem


def test_a_chart_sees_nothing_of_the_machine(
    helm: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELM_NAMESPACE", "secret-namespace")
    template = (
        "apiVersion: v1\nkind: A\nmetadata: {name: a}\n"
        "v: {{ .Values.image.tag }}\n"
        'secrets: {{ .Release.Namespace }}{{ .Files.Get "../../../outside" }}'
        '{{ (lookup "v1" "Secret" "" "") }}{{ getHostByName "localhost" }}\n'
    )
    (tmp_path / "outside").write_text("secret-file")
    files = {**CHART, "charts/shop/templates/x.yaml": template}

    result = only(render(*plan_of(files, VALUES), helm))

    assert result.problem == ""
    assert " secrets: defaultmap[]\n" in result.objects[-1].diff


def test_values_outside_of_a_chart(helm: dict[str, str]) -> None:
    files = {"values/dev.yaml": CHART[VALUES], **CHART}

    result = only(render(*plan_of(files, "values/dev.yaml"), helm))

    assert result.problem == "It lies in no chart of this repository."


def test_without_a_tool_there_is_nothing_to_say(environ: dict[str, str], tmp_path: Path) -> None:
    files = {**CHART, **FILES}
    snapshot, plan = plan_of(files, PROD, VALUES)

    assert render(snapshot, plan, {"PATH": str(tmp_path)}) == ()
    assert render(snapshot, Plan({}, (), "", ""), environ) == ()
    assert PROD in [result.path for result in render(snapshot, plan, environ)]


def test_a_tool_of_the_current_folder_is_not_run(
    fake: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake("print('was run')")["PATH"]
    monkeypatch.chdir(folder)
    snapshot, plan = plan_of(FILES, PROD)

    assert render(snapshot, plan, {"PATH": f".{os.pathsep}{os.pathsep}"}) == ()
    assert render(snapshot, plan, {"PATH": folder}) != ()


def test_kustomize_goes_before_kubectl(
    fake: Callable[[str], dict[str, str]], environ: dict[str, str]
) -> None:
    ours = fake("print('kind: A')")
    snapshot, plan = plan_of(FILES, PROD)

    result = only(render(snapshot, plan, {"PATH": f"{environ['PATH']}{os.pathsep}{ours['PATH']}"}))

    assert (result.tool, result.problem) == ("kustomize", "")


def test_a_tool_is_told_nothing(fake: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    environ = fake(
        "import os, sys\nprint('kind: ConfigMap\\ndata:', dict(os.environ, side=sys.argv[2]))"
    )

    result = only(render(*plan_of(FILES, PROD), environ))

    assert "secret" not in result.objects[0].diff
    assert "'PATH': ''" in result.objects[0].diff
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import time; time.sleep(60)", "took over 1 seconds"),
        ("import os, time; os.fork(); time.sleep(60)", "took over 1 seconds"),
        ("while True: print('a' * 1000)", "printed more than 10 MB"),
        ("import sys\nwhile True: sys.stderr.write('a' * 1000)", "can't render it as it is now"),
        ("raise SystemExit(3)", "can't render it as it is now: it doesn't say why."),
        ("raise SystemExit('Error: \\x1b[31m\\u202e @all\\n#1')", "can't render it as it is now"),
        ("x = bytearray(8 << 30)", "MemoryError"),
        ("import sys; raise SystemExit('after' in sys.argv[2])", "with this promotion"),
        ("import sys; sys.stdout.buffer.write(b'\\xff' + sys.argv[2].encode())", "not UTF-8"),
        ("print('- a')", ""),
        ("import sys; print('-', sys.argv[2])", "no object"),
    ],
)
def test_a_tool_that_misbehaves(
    fake: Callable[[str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    reason: str,
) -> None:
    monkeypatch.setattr(rendering, "_MOST_SECONDS", 1 if "sleep" in program else 15)
    start = time.monotonic()

    result = only(render(*plan_of(FILES, PROD), fake(program)))

    assert reason in result.problem
    assert bool(result.problem) == bool(reason)
    assert time.monotonic() - start < 10


def test_nothing_that_was_started_is_left(
    fake: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_MOST_SECONDS", 1)
    mark = f"3141{os.getpid()}"

    render(*plan_of(FILES, PROD), fake(f"import os, time; os.fork(); time.sleep({mark})"))

    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "bin/kustomize build" not in listing.stdout


def test_what_remains_when_the_time_is_over(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "_MOST_SECONDS_IN_ALL", -1)

    result = only(render(*plan_of(FILES, PROD), environ))

    assert result.problem == "The others left no time to render it."


@pytest.mark.parametrize(
    ("count", "size", "reason"),
    [(1000, 1, ""), (2001, 1, "more than 2000 files"), (30, 1_000_000, "more than 20 MB")],
)
def test_a_chart_may_have_so_many_files(
    helm: dict[str, str], count: int, size: int, reason: str
) -> None:
    more = {f"charts/shop/more/{n}": "x" * size for n in range(count)}

    result = only(render(*plan_of({**CHART, **more}, VALUES), helm))

    assert bool(result.problem) == bool(reason)
    assert reason in result.problem


@pytest.mark.parametrize("name", ["../../escaped", "a\\..\\b", "C:x", "x/./y", "n" * 300])
def test_a_name_that_is_no_name_is_not_written(
    helm: dict[str, str], tmp_path: Path, name: str
) -> None:
    result = only(render(*plan_of({**CHART, f"charts/shop/{name}": "x"}, VALUES), helm))

    assert result.problem
    assert list(tmp_path.iterdir()) == []


class Broken:
    """A snapshot whose server went away."""

    def __init__(self, inner: Snapshot, error: Exception) -> None:
        self.kind, self.paths, self.expect = inner.kind, inner.paths, inner.expect
        self.error = error

    def read(self, _: str) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    "error", [RetryableError("The server is gone."), KeyError("x"), OSError(5)]
)
def test_a_repository_that_can_t_be_read_is_a_problem(
    environ: dict[str, str], error: Exception
) -> None:
    snapshot, plan = plan_of(FILES, PROD)

    result = only(render(Broken(snapshot, error), plan, environ))

    assert result.problem.startswith("It can't be rendered here: ")


def completed(kustomization: dict[str, object], names: Iterable[str]) -> Files:
    """A real kustomization's images, on a resource that uses them all."""
    kept = ("images", "namespace", "namePrefix", "nameSuffix", "commonLabels", "replicas")
    root = {key: value for key, value in kustomization.items() if key in kept}
    return {
        "kustomization.yaml": yaml.safe_dump({"resources": ["d.yaml"], **root}),
        "d.yaml": deployment(*names),
    }


def test_real_kustomizations(environ: dict[str, str], record_property: Record) -> None:
    counts: Counter[str] = Counter()
    for file in sorted((shared("corpus") / "kustomize-images").iterdir())[::8]:
        try:
            kustomization = yaml.safe_load(file.read_bytes())
            names = [entry["name"] for entry in kustomization["images"]]
        except (yaml.YAMLError, KeyError, TypeError):
            continue
        snapshot = Memory(completed(kustomization, names))
        request = Request((Image(names[0], tag="v9.9.9"),), (parse_target("kustomization.yaml"),))
        plan = make_plan(snapshot, request)
        (result,) = render(snapshot, plan, environ)
        kind = "images only" if result.only_images else "more"
        counts["problem" if result.problem else kind if result.objects else "nothing"] += 1
        # A `newName` with a tag in it makes `NAME:latest:v9.9.9`, which is no image.
        assert result.only_images or ":latest" in plan.changes[0].new.name, file.name

    assert counts["images only"] > 40
    record_property("counts:rendered kustomize-images", dict(counts))
