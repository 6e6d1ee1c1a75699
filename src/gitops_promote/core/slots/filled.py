"""Values that another program fills in: templates and variables, which are never overwritten."""

from __future__ import annotations

import re

from gitops_promote.core.errors import FilledError
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.tree import Mapping, Node, Scalar

# `${NAME}` and `$NAME` (Flux, OpenShift's Template, envsubst) and `$(NAME)` (kustomize, Tekton).
_VARIABLE = re.compile(r"\$[({A-Za-z_]")
# What helmfile has its `vals` read from elsewhere: `ref+SCHEME://…`.
_REF = re.compile(r"\bref\+[A-Za-z][A-Za-z0-9+.-]*://")
_SHOWN = 60


def filled_by(document: Document, node: Node) -> str:
    """What another program fills in where a value stands.

    Args:
        document: The document that the value is of.
        node: The value, no alias.

    Returns:
        `template`, `variable` or `reference`; empty where the value is one of its own.
    """
    # Without quotes, `{{ .Values.image }}` is a mapping to YAML, with a mapping as its key.
    if isinstance(node, Mapping):
        return "template" if node.flow and document.text.startswith("{{", node.start) else ""
    text = node.value if isinstance(node, Scalar) else ""
    if "{{" in text:
        return "template"
    if _REF.search(text):
        return "reference"
    return "variable" if _VARIABLE.search(text) else ""


def refusal(document: Document, label: str, node: Node) -> FilledError:
    """Why a value that is filled in is not edited.

    Args:
        document: The document that the value is of.
        label: What the place is called.
        node: The value, for which `filled_by` has an answer.

    Returns:
        The error, which says where the value should live.
    """
    text = node.value if isinstance(node, Scalar) else document.text[node.start : node.end]
    text = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
    by = filled_by(document, node)
    if by == "reference":
        what = f"`{label}` holds `{text}`, which is read from elsewhere."
        fix = "Change the version there, or write it out here in the config repository first."
    elif by == "template":
        what = f"`{label}` holds `{text}`, which a template fills in."
        fix = (
            "Name the file that the template reads it from, such as a values file of the chart or "
            "of the environment."
        )
    else:
        what = f"`{label}` holds `{text}`, a variable that another program fills in."
        fix = (
            "Name the place that gives the variable its value, such as a Flux Kustomization's "
            "`postBuild.substitute` or a Template's `parameters`."
        )
    return FilledError(what, fix, path=document.path, line=document.line(node))
