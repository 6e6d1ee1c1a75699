"""Plain manifests: every image of the corpus, every kind of object, and what a `#KEY` reaches."""

from __future__ import annotations

import difflib
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from corpora import TolerantLoader
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, parse_image, split_reference
from gitops_promote.core.kinds import manifest
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.plan import Plan, make_plan
from gitops_promote.core.request import Request
from gitops_promote.core.slots.search import find
from gitops_promote.core.targets import parse_target
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import format_path
from gitops_promote.core.yaml.quoting import needs_quotes
from gitops_promote.core.yaml.splice import Editor
from memory import SHOP, Memory, deployment

NEW = "v9.9.9-test"
DIGEST = "sha256:" + "0123456789abcdef" * 4
LISTS = ("containers", "initContainers", "ephemeralContainers")


def parse(text: str) -> Document:
    """A manifest."""
    return Document.parse(text.encode(), "app.yaml")


def promote(text: str, item: str, key: str = "") -> str:
    """The text after a promotion."""
    return manifest.KIND.set_image(parse(text), parse_image(item), key, Around()).document.text


def plan(files: dict[str, str], item: str, *targets: str) -> Plan:
    """What a promotion does to a config repository."""
    return make_plan(
        Memory(files), Request((parse_image(item),), tuple(parse_target(line) for line in targets))
    )


# The corpus. Its images are found here by PyYAML and on their own terms, so that what the code
# under test doesn't find is missed.


@dataclass(frozen=True)
class Found:
    """A text below a key `image`: where it stands, and whether that is a container's."""

    path: tuple[str | int, ...]
    node: yaml.ScalarNode

    @property
    def key(self) -> str:
        return format_path(self.path)

    @property
    def name(self) -> str:
        return split_reference(self.node.value).name.removeprefix("docker.io/")

    @property
    def in_container(self) -> bool:
        return len(self.path) > 2 and self.path[-3] in LISTS

    @property
    def is_filled(self) -> bool:
        return "{{" in self.node.value or "$" in self.node.value


def documents(text: str) -> list[yaml.Node]:
    """The documents that aren't empty, by PyYAML."""
    try:
        found: list[yaml.Node | None] = list(yaml.compose_all(text, yaml.CSafeLoader))
    except yaml.composer.ComposerError:
        found = list(yaml.compose_all(text, TolerantLoader))
    return [node for node in found if node is not None]


def images_of(node: yaml.Node, path: tuple[str | int, ...]) -> Iterator[Found]:
    """Every text below a key `image`, schemas of CustomResourceDefinitions left out."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from images_of(item, (*path, index))
    if not isinstance(node, yaml.MappingNode):
        return
    pairs = {k.value: v for k, v in node.value if isinstance(k, yaml.ScalarNode)}
    if "kind" in pairs and pairs["kind"].value == "CustomResourceDefinition":
        return
    for key, value in pairs.items():
        if key == "image" and isinstance(value, yaml.ScalarNode) and value.value:
            yield Found((*path, key), value)
        yield from images_of(value, (*path, key))


class CorpusFile:
    """A file of the corpus, and the promotion of each of its images there and back."""

    def __init__(self, file: Path, counts: Counter[str]) -> None:
        self.raw = file.read_bytes()
        self.text = self.raw.decode("utf-8-sig")
        self.document = Document.parse(self.raw, file.name)
        roots = documents(self.text)
        prefixes = [(number,) if len(roots) > 1 else () for number in range(len(roots))]
        pairs = zip(prefixes, roots, strict=True)
        self.images = [found for prefix, root in pairs for found in images_of(root, prefix)]
        self.counts = counts

    def check(self) -> None:
        """Promote each name once, and what stands elsewhere by its key."""
        own = [f for f in self.images if f.in_container and not f.is_filled]
        for name in dict.fromkeys(found.name for found in own):
            self.check_name([found for found in own if found.name == name])
        for found in self.images:
            if found.is_filled:
                self.check_refused(found)
            elif not found.in_container:
                self.check_edit([found], found.key)
                self.counts["by a key"] += 1
        self.check_running(own)

    def check_name(self, places: list[Found]) -> None:
        """All containers of an image change in one edit, and no other."""
        self.check_edit(places, "")
        self.counts["containers"] += len(places)
        self.counts["images"] += 1
        if len(places) > 1:
            self.check_edit(places[:1], places[0].key)

    def check_edit(self, places: list[Found], key: str) -> None:
        """Exactly the texts meant change, and change back."""
        name = split_reference(places[0].node.value).name
        edited = self.promote(self.document, Image(name, None, NEW), key)
        assert edited.text == self.expected(places), (places, key)
        for found in places:
            old = split_reference(found.node.value)
            if old.version:
                image = Image(name, None, old.tag or None, old.digest or None)
                edited = self.promote(edited, image, found.key)
            else:
                edited = self.bare(edited, found)
                self.counts["had no tag"] += 1
        assert edited.encode() == self.raw, (places, key)

    def expected(self, places: list[Found]) -> str:
        """The file with other versions in the texts of some nodes."""
        text = self.text
        for node in sorted({f.node for f in places}, key=lambda n: -n.start_mark.index):
            start, end = node.start_mark.index, node.end_mark.index
            source, new = text[start:end], f"{split_reference(node.value).name}:{NEW}"
            assert source.count(node.value) == 1
            text = text[:start] + source.replace(node.value, new) + text[end:]
        return text

    def bare(self, edited: Document, found: Found) -> Document:
        """What had no tag can't be promoted back to none; the editor does it."""
        slot = find(manifest.KIND.form, edited, Image(found.name), found.key)[0]
        editor = Editor(edited)
        editor.set(slot.version_node, found.node.value)
        return editor.apply()

    def check_refused(self, found: Found) -> None:
        image = Image("ghcr.io/acme/shop", None, NEW)
        with pytest.raises(PromoteError, match="which a template fills in") as raised:
            manifest.KIND.set_image(self.document, image, found.key, Around())
        assert raised.value.line == found.node.start_mark.line + 1
        self.counts["filled in by a template, refused"] += 1

    def check_running(self, own: list[Found]) -> None:
        """What is read is what stands there."""
        read = manifest.KIND.running(self.document, "", ())
        meant = [f for f in own if split_reference(f.node.value).version]
        assert [(r.key, str(r.reference), r.line) for r in read] == [
            (f.key, f.node.value, f.node.start_mark.line + 1) for f in meant
        ]

    def promote(self, document: Document, image: Image, key: str) -> Document:
        return manifest.KIND.set_image(document, image, key, Around()).document


@pytest.mark.parametrize("part", range(4))
def test_every_image_of_the_corpus(
    corpus: Path, part: int, record_property: Callable[[str, object], None]
) -> None:
    counts: Counter[str] = Counter()
    for file in sorted((corpus / "raw").iterdir())[part::4]:
        if file.name in TEMPLATES:
            counts["refused"] += 1
            continue
        CorpusFile(file, counts).check()
        counts["files"] += 1
    assert counts["files"] > 30
    assert counts["images"] > 30
    record_property("counts:raw", dict(counts))


# Each is a template, so that neither we nor any reader of YAML can say what it holds. A chart's
# stand in its folder `templates`.
TEMPLATES = (
    "2i2c-org__infrastructure__helm-charts__basehub__templates__home-space-reporter.yaml",
    "2i2c-org__infrastructure__helm-charts__support__templates__disable-coredumps.yaml",
    "akuity__kargo__charts__kargo__templates__external-webhooks-server__deployment.yaml",
    "akuity__kargo__charts__kargo__templates__management-controller__deployment.yaml",
    "alphagov__govuk-helm-charts__charts__generic-govuk-app__templates__assets-upload-job.yaml",
    "alphagov__govuk-helm-charts__charts__generic-govuk-app__templates__dbmigration-notify-job.yaml",
    "argoproj-labs__gitops-promoter__cmd__demo__helm-guestbook__templates__deployment.yaml",
    (
        "cds-snc__notification-manifests__helmfile__charts__aws-cloudwatch__templates"
        "__cwagent-daemonset.yaml"
    ),
    (
        "cds-snc__notification-manifests__helmfile__charts__notify-database__templates"
        "__run-database-job.yaml"
    ),
    (
        "kubeflow__manifests__experimental__helm__charts__model-registry__templates__controller"
        "__deployment.yaml"
    ),
    "lsst-sqre__phalanx__applications__butler__templates__deployment.yaml",
    "lsst-sqre__phalanx__applications__rapid-analysis__templates__squid-deployment.yaml",
    "openstack__openstack-helm__cinder__templates__deployment-volume.yaml",
    "openstack__openstack-helm__postgresql__templates__pod-test.yaml",
    "renovatebot__renovate__lib__modules__manager__kubernetes____fixtures____complex.yaml",
)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_refused_with_where_the_value_lives(
    corpus: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    content = (corpus / "raw" / name).read_bytes()
    path = name.replace("____", "/_").replace("__", "/")
    chart, is_below, _ = path.partition("/templates/")
    where = f"a chart's template; name its values file instead, such as `{chart}/values.yaml`"

    with pytest.raises(PromoteError) as raised:
        plan({path: content.decode()}, f"{SHOP}:2", path)

    assert (where if is_below else "looks like a template; name the values file") in str(
        raised.value
    )
    assert b"{{" in content
    with pytest.raises(yaml.YAMLError):
        list(yaml.compose_all(content, yaml.CSafeLoader))
    record_property("figure", f"refused {name}: {raised.value.what} {raised.value.fix}")


# Objects of every kind.

POD = ["containers:", "- name: app", f"  image: {SHOP}:1.0.0 # ours", "- {name: b, image: b:1}"]
OBJECTS = [
    ("v1", "Pod", "spec"),
    ("v1", "PodTemplate", "template.spec"),
    ("v1", "ReplicationController", "spec.template.spec"),
    ("apps/v1", "Deployment", "spec.template.spec"),
    ("apps/v1", "StatefulSet", "spec.template.spec"),
    ("apps/v1", "DaemonSet", "spec.template.spec"),
    ("apps/v1", "ReplicaSet", "spec.template.spec"),
    ("batch/v1", "Job", "spec.template.spec"),
    ("batch/v1", "CronJob", "spec.jobTemplate.spec.template.spec"),
    ("argoproj.io/v1alpha1", "Rollout", "spec.template.spec"),
    ("serving.knative.dev/v1", "Service", "spec.template.spec"),
    ("serving.knative.dev/v1", "Configuration", "spec.template.spec"),
    ("serving.knative.dev/v1", "Revision", "spec"),
    ("apps.openshift.io/v1", "DeploymentConfig", "spec.template.spec"),
    ("apps.kruise.io/v1alpha1", "CloneSet", "spec.template.spec"),
    ("operators.coreos.com/v1alpha1", "ClusterServiceVersion", "spec.install.a.b.c.d"),
]


def nested(version: str, kind: str, path: str, pod: list[str]) -> str:
    """An object with a pod's spec at a path."""
    lines, indent = [f"apiVersion: {version}", f"kind: {kind}"], ""
    for key in path.split("."):
        lines.append(f"{indent}{key}:")
        indent += "  "
    return "\n".join([*lines, *(indent + line for line in pod)]) + "\n"


@pytest.mark.parametrize(("version", "kind", "path"), OBJECTS)
@pytest.mark.parametrize("name", LISTS)
def test_an_object_of_each_kind(version: str, kind: str, path: str, name: str) -> None:
    text = nested(version, kind, path, [f"{name}:", *POD[1:]])

    done = plan({"app.yaml": text}, f"{SHOP}:1.1.0", "app.yaml")

    assert done.files == {"app.yaml": text.replace("shop:1.0.0", "shop:1.1.0").encode()}
    assert [change.key for change in done.changes] == [f"{path}.{name}[0].image"]


def test_an_image_volume() -> None:
    text = nested(
        "v1", "Pod", "spec", ["volumes:", "- name: v", f"  image: {{reference: {SHOP}:1}}"]
    )

    assert promote(text, f"{SHOP}:2") == text.replace("shop:1", "shop:2")
    assert promote(text, f"{SHOP}:2", "spec.volumes[name=v].image.reference") != text


@pytest.mark.parametrize(
    ("before", "item", "after"),
    [
        ("nginx", "nginx:1.2", "nginx:1.2"),
        ("nginx:1.1", "docker.io/library/nginx:1.2", "nginx:1.2"),
        ("docker.io/library/nginx:1.1", "nginx:1.2", "docker.io/library/nginx:1.2"),
        ("index.docker.io/a/b:1", "a/b:1.2", "index.docker.io/a/b:1.2"),
        ("nginx:1.1", "nginx=ghcr.io/acme/nginx:1.2", "ghcr.io/acme/nginx:1.2"),
        ("ghcr.io/acme/nginx:1.1", "nginx=ghcr.io/acme/nginx:1.2", "ghcr.io/acme/nginx:1.2"),
        ("nginx:1.1", f"nginx@{DIGEST}", f"nginx@{DIGEST}"),
        ("nginx:1.1", f"nginx:*@{DIGEST}", f"nginx:1.1@{DIGEST}"),
        (f"nginx:1.1@{DIGEST}", "nginx:1.2", "nginx:1.2"),
        ("localhost:5000/a:1", "localhost:5000/a:2", "localhost:5000/a:2"),
        ('"nginx:1.1"', "nginx:1e5", '"nginx:1e5"'),
        ("'nginx:1.1'", "nginx:0x10", "'nginx:0x10'"),
        ("nginx:1.1", "nginx:0123", "nginx:0123"),
        ("!!str nginx:1.1", "nginx:2", "!!str nginx:2"),
        ("&a nginx:1.1", "nginx:2", "&a nginx:2"),
        ("nginx:1.1   # why\t", "nginx:2", "nginx:2   # why\t"),
        (">-\n          nginx:1.1", "nginx:2", ">-\n          nginx:2"),
    ],
)
def test_the_spellings_of_an_image(before: str, item: str, after: str) -> None:
    text = deployment("other:1", before, "last:1")

    assert promote(text, item) == text.replace(f"image: {before}\n", f"image: {after}\n")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_stay(newline: str, bom: str) -> None:
    text = bom + f"# shop\n---\n{deployment(f'{SHOP}:1.0.0')}# end".replace("\n", newline)

    assert promote(text, f"{SHOP}:2").encode() == text.replace(":1.0.0", ":2")[len(bom) :].encode()
    assert plan({"a.yaml": text}, f"{SHOP}:2", "a.yaml").files == {
        "a.yaml": text.replace(":1.0.0", ":2").encode()
    }


@pytest.mark.parametrize(
    "pod",
    [
        '{containers: [{name: a, "image": "acme/a:1"}, {image: b}]}',
        "{containers: [{name: a, image:\tacme/a:1\t}]}",
        "{\n  containers: [\n    {name: a,\n     image: acme/a:1,\n    } # here\n  ]}",
    ],
)
def test_flow_style(pod: str) -> None:
    text = f"apiVersion: v1\nkind: Pod\nspec: {pod}\n"

    assert promote(text, "acme/a:2.0") == text.replace("acme/a:1", "acme/a:2.0")


def test_json() -> None:
    text = '{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"acme/a:1"}]}}'

    assert promote(text, "acme/a:2.0") == text.replace("acme/a:1", "acme/a:2.0")


def test_all_containers_of_an_image_are_set_in_one_edit() -> None:
    text = "---\n".join(
        [
            nested(
                "apps/v1", "Deployment", "spec.template.spec", ["initContainers:", *POD[1:], *POD]
            ),
            "# nothing\n",
            nested("batch/v1", "CronJob", "spec.jobTemplate.spec.template.spec", POD),
            (
                "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    containers:\n    - image: "
                f"{SHOP}:1.0.0\n"
            ),
        ]
    )

    done = plan({"app.yaml": text}, f"{SHOP}:1.1.0", "app.yaml")

    assert done.files["app.yaml"].decode() == text.replace("1.0.0 # ours", "1.1.0 # ours")
    assert [change.key for change in done.changes] == [
        "[0].spec.template.spec.initContainers[0].image",
        "[0].spec.template.spec.containers[0].image",
        "[2].spec.jobTemplate.spec.template.spec.containers[0].image",
    ]


def test_lists_in_lists_and_objects_without_a_name() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: v1\n  kind: PodList\n  items:\n"
        "  - apiVersion: v1\n    kind: Pod\n    spec: {containers: [{image: acme/a:1}]}\n"
        "- apiVersion: v1\n  kind: Pod\n  spec: {containers: [{image: acme/a:1}]}\n"
    )

    done = plan({"app.yaml": text}, "acme/a:2", "app.yaml")

    assert done.files["app.yaml"].decode() == text.replace("acme/a:1", "acme/a:2")
    assert [c.key for c in done.changes] == [
        "items[0].items[0].spec.containers[0].image",
        "items[1].spec.containers[0].image",
    ]


def test_what_is_no_image_stays() -> None:
    text = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "spec: {default: {containers: [{image: acme/a:1}]}}\n---\n"
        "apiVersion: example.com/v1\nkind: Job\nmetadata:\n  annotations:\n"
        '    last-applied: \'{"containers": [{"image": "acme/a:1"}]}\'\n'
        "spec:\n  image: acme/a:1\n  containers: {image: acme/a:1}\n"
        "  initContainers: [acme/a:1, {image: ''}, {image: ~}, {image: []}, {image: acme/a:1 x}]\n"
        "  ephemeralContainers:\n  - image: |\n      acme/a:1\n"
        "status: {containerStatuses: [{image: acme/a:1}]}\n"
    )

    with pytest.raises(ImageNotFoundError, match="there is no image `acme/a` here"):
        promote(text, "acme/a:2")
    assert manifest.KIND.running(parse(text), "", ()) == ()


def test_containers_may_share_an_anchor_and_merge_keys() -> None:
    pod = [
        "containers:",
        "- &app",
        "  name: a",
        "  image: &image acme/a:1",
        "- {<<: *app, name: b}",
        "- {name: c, image: *image}",
        "- {<<: *app, name: d, image: acme/d:1}",
        "initContainers: &more",
        "- {name: e, image: acme/a:1}",
        "ephemeralContainers: *more",
    ]
    text = nested("v1", "Pod", "spec", pod)

    assert promote(text, "acme/a:2") == text.replace("acme/a:1", "acme/a:2")
    assert promote(text, "acme/d:2") == text.replace("acme/d:1", "acme/d:2")


def test_containers_may_be_written_elsewhere() -> None:
    text = (
        "apiVersion: v1\nkind: Pod\nx-all: &all\n- {name: a, image: acme/a:1}\n"
        "spec: {containers: *all}\n"
    )

    assert promote(text, "acme/a:2") == text.replace("a:1", "a:2")
    assert promote(text, "acme/a:2", "spec.containers[name=a].image") != text


def test_what_else_follows_an_anchor_is_told() -> None:
    pod = ["containers:", "- image: &image acme/a:1", "  env: [{name: A, value: *image}]"]
    text = "apiVersion: v1\nkind: Service\n---\n" + nested("v1", "Pod", "spec", pod)

    done = plan({"a.yaml": text}, "acme/a:2", "a.yaml")

    assert done.warnings == ("a.yaml: the anchor `&image` also changes: `value` (line 9).",)


def test_aliases_that_multiply_are_read_once() -> None:
    levels = "".join(f"  x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 40))
    text = f"apiVersion: v1\nkind: Pod\nspec:\n  containers: &x0 [{{image: acme/a:1}}]\n{levels}"

    assert promote(text, "acme/a:2") == text.replace("acme/a:1", "acme/a:2")


# What another program fills in.


@pytest.mark.parametrize(
    ("value", "by", "where"),
    [
        ('"{{ .Values.image }}"', "which a template fills in", "such as a values file"),
        ("{{ .Values.image }}", "which a template fills in", "such as a values file"),
        ("'{{inputs.parameters.image}}'", "which a template fills in", "that the template reads"),
        ('"acme/a:{{ .tag }}"', "which a template fills in", "that the template reads"),
        ("$(params.image)", "a variable that another program", "place that gives the variable"),
        ("acme/a:${TAG}", "a variable that another program", "`postBuild.substitute`"),
        ("$IMAGE", "a variable that another program", "a Template's `parameters`"),
        ("${REGISTRY}/a:1", "a variable that another program", "place that gives the variable"),
    ],
)
def test_what_is_filled_in_is_refused(value: str, by: str, where: str) -> None:
    text = deployment("acme/b:1", value)
    container = "spec.template.spec.containers[name=c1].image"

    with pytest.raises(PromoteError, match=by) as raised:
        promote(text, "acme/a:2", container)
    with pytest.raises(ImageNotFoundError) as missing:
        promote(text, "acme/a:2")

    assert where in raised.value.fix
    assert raised.value.line == 16
    assert "`acme/b`" in missing.value.fix
    assert "fills in `#spec.template.spec.containers[1].image` (line 16)" in missing.value.fix
    assert manifest.KIND.running(parse(text), container, ()) == ()


def test_what_is_filled_in_is_refused_by_its_key_in_any_field() -> None:
    text = (
        "apiVersion: tekton.dev/v1\nkind: Task\n"
        "spec:\n  steps: [{image: $(params.image)}]\n  image: {{ .Values.image }}\n"
    )

    with pytest.raises(
        PromoteError, match=r"`spec\.steps\[0\]\.image` holds `\$\(params\.image\)`"
    ):
        promote(text, "acme/a:2", "spec.steps[0].image")
    with pytest.raises(
        PromoteError, match=r"holds `{{ \.Values\.image }}`, which a template fills in"
    ):
        promote(text, "acme/a:2", "spec.image")


def test_a_variable_does_not_keep_a_glob_from_the_other_files() -> None:
    files = {"a/x.yaml": deployment("acme/a:${TAG}"), "b/x.yaml": deployment("acme/a:1")}

    assert list(plan(files, "acme/a:2", "*/x.yaml").files) == ["b/x.yaml"]


def test_a_parameter_that_fills_in_an_image_is_reached_by_its_key() -> None:
    text = (
        "apiVersion: template.openshift.io/v1\nkind: Template\nobjects:\n"
        "- apiVersion: v1\n  kind: Pod\n  spec:\n    containers:\n    - image: ${IMAGE}:${TAG}\n"
        "    - image: acme/b:1\nparameters:\n- {name: TAG, value: '1.0'}\n"
    )

    assert promote(text, "acme/a:2", "parameters[name=TAG].value") == text.replace("1.0", "2")
    assert promote(text, "acme/b:2") == text.replace("b:1", "b:2")
    with pytest.raises(PromoteError, match="a variable that another program fills in"):
        promote(text, "acme/a:2", "objects[0].spec.containers[0].image")


@pytest.mark.parametrize(
    ("value", "quotes"),
    [("--image=a:1", False), ("--tag=1.0", False), ("---", True), ("--", True), ("-a", True)],
)
def test_an_argument_needs_no_quotes(value: str, quotes: bool) -> None:
    assert needs_quotes(value) == quotes
    assert quotes or yaml.safe_load(f"[{value}, a]") == yaml.safe_load(f"- {value}\n- a")


# Keys.

MANY = """\
apiVersion: v1
kind: ServiceAccount
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      containers:
      - name: app
        image: acme/app:1.0
        args:
        - --reloader=acme/reloader:v1
        - --tag=1.0
        env:
        - {name: SIDECAR, value: 'acme/side:1.0'}
        - {name: TAG, value: "1.0"}
---
apiVersion: v1
kind: ConfigMap
data:
  image: acme/run:1.0
  values.yaml: |
    image:
      repository: acme/inner # in a text
      tag: "1.0"
  script: |
    pull acme/run:1.0
    run
---
apiVersion: apps/v1
kind: StatefulSet
spec:
  template:
    spec:
      containers:
      - {name: app, image: acme/app:1.0}
      - {name: other, image: acme/other:1.0}
---
apiVersion: example.com/v1
kind: Thing
spec: {version: 2.7, image: acme/thing:1.0, sub: {repository: acme/sub, tag: v1}}
---
apiVersion: example.com/v1
kind: Thing
spec: {version: 2.8, image: acme/thing:1.0}
---
apiVersion: tekton.dev/v1
kind: Task
spec:
  steps:
  - {name: lint, image: acme/lint}
"""
CONTAINERS = "spec.template.spec.containers"


@pytest.mark.parametrize(
    ("item", "key", "lines"),
    [
        ("acme/app:2", f"[1].{CONTAINERS}[name=app].image", {12: "image: acme/app:2"}),
        ("acme/app:2", f"[3].{CONTAINERS}[0].image", {38: "image: acme/app:2}"}),
        ("acme/other:2", f"{CONTAINERS}[name=other].image", {39: "image: acme/other:2}"}),
        ("acme/other:2", f"{CONTAINERS}[1].image", {39: "image: acme/other:2}"}),
        ("acme/other=a/b:2", f"{CONTAINERS}[1].image", {39: "image: a/b:2}"}),
        # The same image in several documents is what a key without a document means.
        ("acme/app:2", f"{CONTAINERS}[name=app].image", {12: "app:2", 38: "app:2}"}),
        ("acme/app:2", f"*.template.spec.{'containers'}[*].image", {12: "app:2", 38: "app:2}"}),
        ("acme/thing:2", "spec.image", {43: "acme/thing:2,", 47: "acme/thing:2}"}),
        ("acme/thing:2", "[4].spec.image", {43: "acme/thing:2,"}),
        ("acme/thing:3", "[4].spec.version", {43: 'version: "3",'}),
        ("acme/sub:v2", "spec.sub", {43: "tag: v2}"}),
        ("acme/sub:v2", "spec.sub.tag", {43: "tag: v2}"}),
        ("acme/side:2", f"{CONTAINERS}[0].env[name=SIDECAR].value", {17: "'acme/side:2'"}),
        ("acme/app:2", f"{CONTAINERS}[0].env[name=TAG].value", {18: 'value: "2"'}),
        ("acme/reloader:v2", f"{CONTAINERS}[0].args[0]", {14: "- --reloader=acme/reloader:v2"}),
        ("acme/reloader:v2", f"{CONTAINERS}[0].args.--reloader", {14: "=acme/reloader:v2"}),
        ("acme/reloader=a/b:v2", f"{CONTAINERS}[0].args.--reloader", {14: "- --reloader=a/b:v2"}),
        ("acme/app:2.0", f"{CONTAINERS}[0].args.--tag", {15: "- --tag=2.0"}),
        ("acme/run:2", "data.image", {23: "image: acme/run:2"}),
        ("acme/inner:2", r"data.values\.yaml.image.tag", {27: 'tag: "2"'}),
        ("acme/inner:2", r"data.values\.yaml.image", {27: 'tag: "2"'}),
        ("acme/inner=a/b:2", r"data.*.image", {26: "repository: a/b #", 27: 'tag: "2"'}),
        ("acme/lint:2", "spec.steps[name=lint].image", {53: "image: acme/lint:2}"}),
        ("acme/lint:2", "spec.steps[*].image", {53: "image: acme/lint:2}"}),
    ],
)
def test_a_key_reaches_any_field(item: str, key: str, lines: dict[int, str]) -> None:
    done = plan({"app.yaml": MANY}, item, f"app.yaml#{key}")

    after = done.files["app.yaml"].decode().splitlines()
    before = MANY.splitlines()
    changed = {n + 1: line for n, line in enumerate(after) if line != before[n]}
    assert len(after) == len(before)
    assert list(changed) == list(lines)
    assert all(text in changed[number] for number, text in lines.items())
    assert {change.line for change in done.changes} <= set(lines)
    name = parse_image(item).deployed_name
    assert manifest.KIND.running(parse(done.files["app.yaml"].decode()), key, (name,))


@pytest.mark.parametrize(
    ("item", "key", "message"),
    [
        (
            "acme/thing:3",
            "spec.version",
            (
                "`#spec.version` leads to 2 places, and not all hold `acme/thing`: "
                "`#[4].spec.version` (line 43), `#[5].spec.version` (line 47). "
                "Name one of them, or several with a target line each."
            ),
        ),
        ("acme/app:2", f"{CONTAINERS}[0]", "leads to 2 places"),
        ("acme/new:2", "spec.image", "leads to 2 places, and not all hold `acme/new`"),
        ("acme/app:2", f"[3].{CONTAINERS}[1].image", "holds `acme/other`, not `acme/app`"),
        ("acme/app:2", f"[1].{CONTAINERS}[0]", "Did you mean `#[1].spec.template.spec.containers"),
        ("acme/app:2", "data.script", "`[2].data.script` holds no image"),
        (
            "acme/app:2",
            "spce.image",
            "there is no `spce` in `[1]` (from `#spce.image`). Did you mean",
        ),
        ("acme/app:2", "data.imag", "Did you mean `image`?"),
        ("acme/app:2", f"{CONTAINERS}[name=web].image", "there is no `[name=web]`"),
        ("acme/nope:2", f"{CONTAINERS}[*].image", "no place that"),
        ("acme/app:2", "[9].spec", "there is no `9`"),
    ],
)
def test_a_key_that_means_nothing_certain_is_refused(item: str, key: str, message: str) -> None:
    with pytest.raises(PromoteError, match=re.escape(message)):
        plan({"app.yaml": MANY}, item, f"app.yaml#{key}")


def test_a_patch_of_json_by_its_key() -> None:
    text = "- op: replace\n  path: /spec/template/spec/containers/0/image\n  value: acme/a:1\n"

    done = plan({"patch.yaml": text}, "acme/a:2", "manifest:patch.yaml#[0].value")

    assert done.files["patch.yaml"].decode() == text.replace("a:1", "a:2")


def test_what_a_manifest_runs() -> None:
    found = manifest.KIND.running(parse(MANY), "", ())

    assert [(one.image, one.reference.version, one.line, one.key) for one in found] == [
        ("acme/app", "1.0", 12, f"[1].{CONTAINERS}[0].image"),
        ("acme/app", "1.0", 38, f"[3].{CONTAINERS}[0].image"),
        ("acme/other", "1.0", 39, f"[3].{CONTAINERS}[1].image"),
    ]
    named = manifest.KIND.running(parse(MANY), "", ("docker.io/acme/app", "acme/nope"))
    assert [one.line for one in named] == [12, 38]


# The truth of what is rendered.


def test_kustomize_builds_the_new_image_and_no_other_difference(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    template = "{{metadata: {{labels: {{app: a}}}}, spec: {{containers: [{}]}}}}"
    container = "{name: app, image: 'acme/app:1.0'}, {name: b, image: acme/b}"
    named = "metadata: {name: a}\n"
    text = "---\n".join(
        [
            (
                f"apiVersion: apps/v1\nkind: Deployment\n{named}"
                f"spec:\n  template: {template.format(container)}\n"
            ),
            (
                f"apiVersion: batch/v1\nkind: CronJob\n{named}spec:\n  schedule: '@daily'\n"
                f"  jobTemplate: {{spec: {{template: {template.format(container)}}}}}\n"
            ),
            f"apiVersion: v1\nkind: ConfigMap\n{named}data: {{image: 'acme/app:1.0'}}\n",
        ]
    )
    (tmp_path / "kustomization.yaml").write_text("resources: [app.yaml]\n")
    after = promote(promote(text, "acme/app:2.0"), f"acme/b:1@{DIGEST}")

    built = []
    for content in (text, after):
        (tmp_path / "app.yaml").write_text(content)
        run = subprocess.run(
            [tool("kubectl"), "kustomize", str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        built.append(run.stdout.splitlines())

    difference = [d for d in difflib.ndiff(built[0], built[1]) if d[0] in "+-"]
    assert sorted(" ".join(line.split()) for line in difference) == sorted(
        [
            *["- - image: acme/app:1.0", "+ - image: acme/app:2.0"] * 2,
            *["- - image: acme/b", f"+ - image: acme/b:1@{DIGEST}"] * 2,
        ]
    )


# A repository with files of several kinds.


def test_a_glob_promotes_an_image_wherever_it_stands() -> None:
    files = {
        "apps/a/values.yaml": f"image: {{repository: {SHOP}, tag: 1.0.0}}\n",
        "apps/a/Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\nappVersion: 1.0.0\n",
        "apps/a/templates/d.yaml": "{{ if .Values.a }}\na: 1.0.0\n{{ end }}\n",
        "apps/b/deployment.yaml": deployment(f"{SHOP}:1.0.0", "nginx:1"),
        "apps/b/service.yaml": "apiVersion: v1\nkind: Service\n",
        "apps/b/notes.yaml": "- 1.0.0\n",
        "apps/c/application.yaml": (
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n"
            f"    kustomize: {{images: ['{SHOP}:1.0.0']}}\n"
        ),
        "apps/d/release.yaml": (
            "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  values:\n"
            f"    image: {{repository: {SHOP}, tag: 1.0.0}}\n"
        ),
        "apps/e/app.yaml": deployment(f"{SHOP}:1.0.0"),
        "apps/e/kustomization.yaml": (
            f"resources: [app.yaml]\nimages:\n- name: {SHOP}\n  newTag: 1.0.0\n"
        ),
        "apps/f/all.yaml": f"{deployment(f'{SHOP}:1.0.0')}---\napiVersion: argoproj.io/v1alpha1\n"
        "kind: Application\nspec:\n  source:\n    helm:\n      parameters:\n"
        f"      - {{name: image.repository, value: {SHOP}}}\n"
        "      - {name: image.tag, value: 1.0.0}\n",
    }
    kept = ("Chart.yaml", "templates/d.yaml", "service.yaml", "notes.yaml", "e/app.yaml")
    meant = {path: text for path, text in files.items() if not path.endswith(kept)}

    done = plan(files, f"{SHOP}:1.1.0", "apps/**/*.yaml")

    assert {path: content.decode() for path, content in done.files.items()} == {
        path: text.replace("1.0.0", "1.1.0") for path, text in meant.items()
    }
    assert done.warnings == ()


def test_a_list_that_holds_itself_ends() -> None:
    itself = "&a\napiVersion: v1\nkind: List\nitems:\n- *a\n"
    files = {"b.yaml": itself, "a.yaml": deployment(f"{SHOP}:1")}

    assert list(plan(files, f"{SHOP}:2", "*.yaml").files) == ["a.yaml"]


@pytest.mark.parametrize(
    ("text", "key", "edited"),
    [
        (
            "web: {fullnameOverride: nginx, image: 'nginx:1', other: nginx}\n",
            "web.*",
            "web: {fullnameOverride: nginx, image: 'nginx:2', other: nginx}\n",
        ),
        (
            "spec: {containers: [{name: nginx, image: nginx}]}\n",
            "spec.containers[0].*",
            "spec: {containers: [{name: nginx, image: 'nginx:2'}]}\n",
        ),
    ],
)
def test_a_pattern_leaves_names_that_are_no_image(text: str, key: str, edited: str) -> None:
    head = "apiVersion: v1\nkind: Pod\n"

    assert yaml.safe_load(promote(head + text, "nginx:2", key)) == yaml.safe_load(head + edited)


def test_an_empty_image_gets_no_tag_for_a_name() -> None:
    text = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, image: ''}]}\n"

    with pytest.raises(PromoteError, match="holds no image"):
        promote(text, f"{SHOP}:2", "spec.containers[0].image")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("s.yaml", "s.yaml#stringData.token"),
        ("s.yaml", "helm:s.yaml#stringData.token"),
        ("o/kustomization.yaml", "helm:o/kustomization.yaml#secretGenerator[0].literals.TOKEN"),
        ("o/kustomization.yaml", "o#patches[0].patch.stringData.token"),
    ],
)
def test_a_secret_is_neither_written_nor_shown(path: str, target: str) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {token: hunter2}\n"
    inline = "".join(f"    {line}\n" for line in secret.splitlines())
    files = {
        "s.yaml": secret,
        "o/kustomization.yaml": f"patches:\n- patch: |\n{inline}"
        "secretGenerator:\n- {name: t, literals: [TOKEN=hunter2]}\n",
    }

    with pytest.raises(PromoteError, match="leads to a secret") as caught:
        plan(files, f"{SHOP}:2", target)

    assert caught.value.path == path
    assert "hunter2" not in str(caught.value)


def test_a_glob_passes_over_what_is_filled_in() -> None:
    files = {
        "a.yaml": deployment(f"{SHOP}:1"),
        "v.yaml": f"image: {{repository: {SHOP}, tag: '${{TAG}}'}}\n",
    }

    assert list(plan(files, f"{SHOP}:2", "*.yaml").files) == ["a.yaml"]
    with pytest.raises(PromoteError, match="a variable that another program fills in"):
        plan(files, f"{SHOP}:2", "*.yaml", "v.yaml")
    with pytest.raises(PromoteError, match="a variable that another program fills in"):
        plan({"v.yaml": files["v.yaml"]}, f"{SHOP}:2", "*.yaml")
