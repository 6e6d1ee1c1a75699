"""The inputs: what they are, and how they are read."""

from gitops_promote.inputs.definition import (
    INPUTS,
    PREFIX,
    PROMOTE_INPUTS,
    ROLLBACK_INPUTS,
    TAGS_INPUTS,
    Input,
)
from gitops_promote.inputs.reading import load, load_tags
from gitops_promote.inputs.values import Identity, Inputs, PullRequestInputs, TagsInputs

__all__ = [
    "INPUTS",
    "PREFIX",
    "PROMOTE_INPUTS",
    "ROLLBACK_INPUTS",
    "TAGS_INPUTS",
    "Identity",
    "Input",
    "Inputs",
    "PullRequestInputs",
    "TagsInputs",
    "load",
    "load_tags",
]
