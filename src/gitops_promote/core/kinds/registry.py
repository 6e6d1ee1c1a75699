"""The target kinds, in the order in which they are tried on a file's content."""

from __future__ import annotations

from gitops_promote.core.kinds import argocd, chart, flux, helm, helmfile, kustomize, manifest
from gitops_promote.core.kinds.kind import Kind

KINDS: tuple[Kind, ...] = (
    kustomize.KIND,
    chart.KIND,
    helmfile.KIND,
    argocd.KIND,
    flux.KIND,
    manifest.KIND,
    helm.KIND,
)
BY_NAME = {kind.name: kind for kind in KINDS}
