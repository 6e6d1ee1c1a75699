"""The version of a chart, where a file names the chart and the place that it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitops_promote.core.images import Reference
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    find_pair,
    find_value,
    text_of,
)

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
# A name and a password in a URL are no part of what a chart is called, and are nobody's to see.
_USER = re.compile(r"[^/@]*@")
# What stands for a repository without saying where it is: a path, or a name that Helm was given.
_NAMELESS = ("file:", ".", "/", "@", "alias:")


def chart_name(repository: str, chart: str) -> str:
    """What a chart is called as an image is: a chart in a registry is an artifact like any other.

    Args:
        repository: The chart repository: a URL, `oci://REGISTRY/PATH` or `REGISTRY/PATH`.
        chart: The chart's name there; empty where the repository names the chart.

    Returns:
        The two without the scheme, such as `ghcr.io/acme/charts/shop`; empty where there is no
        repository, one on disk, or one by its local name.
    """
    base = _USER.sub("", _SCHEME.sub("", repository, count=1), count=1).strip("/")
    if not base or repository.startswith(_NAMELESS):
        return ""
    return f"{base}/{chart}" if chart else base


@dataclass(frozen=True)
class ChartSlot(Slot):
    """A mapping that names a chart (`chart` by `repository`) and its version (`version`)."""

    node: Mapping
    repository: str = "repository"
    chart: str = "name"
    version: str = "version"

    @property
    def current(self) -> Reference:
        """The chart as an image: its version is the tag, a range of versions included."""
        chart = text_of(self.node, self.chart) if self.chart else ""
        name = chart_name(text_of(self.node, self.repository), chart)
        return Reference(name, text_of(self.node, self.version))

    @property
    def version_node(self) -> Node:
        """The version, or the mapping that will hold it."""
        return find_value(self.node, self.version) or self.node

    def shows(self, new: Reference) -> bool:
        """As `Slot.shows` says; there is no room for a digest."""
        return self.current.tag == new.tag

    def text(self, new: Reference) -> str:
        """The version as it is written here.

        Args:
            new: What is meant.

        Returns:
            Its tag: there is no room for a digest.
        """
        return new.tag

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: It is no version of a chart, or another chart is asked for.
        """
        if new.name != self.current.name:
            raise editor.document.error(
                f"`{self.label}` names the chart `{self.current.name}`, which can't be renamed.",
                "Leave the new name out.",
                self.version_node,
            )
        check_version(self, new.version if not new.tag else new.tag)
        value = find_value(self.node, self.version)
        if value is not None:
            editor.set(value, self.text(new))
            return
        after = find_pair(self.node, self.chart) or find_pair(self.node, self.repository)
        after = after or self.node.pairs[-1]
        editor.add_pair(self.node, after[0], self.version, self.text(new), "")


def check_version(slot: Slot, version: str) -> None:
    """Refuse for a chart what Helm takes for no version of one.

    Args:
        slot: Where it is to stand.
        version: What is to stand there.

    Raises:
        PromoteError: It is no SemVer.
    """
    from gitops_promote.core.tags.versions import read_semver  # noqa: PLC0415  (start-up time)

    if read_semver(version) is None:
        raise slot.document.error(
            f"`{slot.label}` is the version of a chart, and `{version}` is no SemVer.",
            "Charts take versions such as `1.2.3`; name the image's own place instead.",
            slot.version_node,
        )
