"""A config repository of many clusters: an overlay, or a values file, for each environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from memory import SHOP, deployment
from servers import git, make_bare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Kind = Literal["kustomize", "helm"]

ENVIRONMENTS = ("dev", "test", "qa", "staging", "prod")
OLD = "1.4.1"
TARGETS: Mapping[Kind, str] = {
    "kustomize": "clusters/*/{environment}",
    "helm": "clusters/*/{environment}/values.yaml",
}

_OVERLAY = """\
# The shop in {environment} of {cluster}. Ask #team-shop before you change replicas.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization

namespace: shop-{environment}

resources:
  - ../../../apps/shop/base

labels:
  - pairs:
      cluster: {cluster}
      environment: {environment}

replicas:
  - name: shop
    count: 3   # enough until Black Friday

# CI writes the tag.
images:
  - name: ghcr.io/acme/shop
    newTag: "{tag}"   # the version that runs

configMapGenerator:
  - name: shop
    literals:
      - LOG_LEVEL=info
"""

_VALUES = """\
# The shop in {environment} of {cluster}. Ask #team-shop before you change replicas.
global:
  cluster: {cluster}

web:
  replicas: 3          # enough until Black Friday
  image:
    repository: ghcr.io/acme/shop
    tag: "{tag}"   # the version that runs
    pullPolicy: IfNotPresent
  resources:
    requests:
      cpu: 100m
      memory: 128Mi

ingress:
  enabled: true
  hosts:
    - shop.{environment}.{cluster}.example.com

# Only where a cluster has one of its own.
database:
  host: db.{cluster}.internal
  port: 5432
"""


def path_of(kind: Kind, number: int) -> str:
    """The path of a file: each cluster has all environments."""
    name = "kustomization.yaml" if kind == "kustomize" else "values.yaml"
    cluster, environment = divmod(number, len(ENVIRONMENTS))
    return f"clusters/c{cluster:03}/{ENVIRONMENTS[environment]}/{name}"


def clusters(kind: Kind, count: int, tag: str = OLD) -> dict[str, str]:
    """The files of a config repository with so many overlays, or values files."""
    files = {
        "README.md": "# Deploy\n",
        "apps/shop/base/kustomization.yaml": "resources:\n  - deployment.yaml\n",
        "apps/shop/base/deployment.yaml": deployment(SHOP),
    }
    text = _OVERLAY if kind == "kustomize" else _VALUES
    for number in range(count):
        path = path_of(kind, number)
        _, cluster, environment, _ = path.split("/")
        files[path] = text.format(cluster=cluster, environment=environment, tag=tag)
    return files


def make_clusters(bare: Path, files: Mapping[str, str]) -> Path:
    """Make a bare repository of many files, by one command for all of them."""
    make_bare(bare, {})
    stream = "commit refs/heads/main\ncommitter Test <test@example.com> 0 +0000\ndata 0\n"
    for path, text in files.items():
        stream += f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n"
    git("--git-dir", bare, "fast-import", "--quiet", data=stream.encode())
    return bare
