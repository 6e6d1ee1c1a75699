"""The version of a chart, where a file names the chart and the place that it comes from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitops_promote.core.images import Reference
from gitops_promote.core.kinds.slot import Slot
from gitops_promote.core.tags.versions import read_semver
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import Mapping, Node, find_pair, find_value, text_of

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


def chart_name(repository: str, chart: str) -> str:
    """What a chart is called as an image is: a chart in a registry is an artifact like any other.

    Args:
        repository: The chart repository: a URL, `oci://REGISTRY/PATH` or `REGISTRY/PATH`.
        chart: The chart's name there; empty where the repository names the chart.

    Returns:
        The two without the scheme, such as `ghcr.io/acme/charts/shop`; empty where there is no
        repository, or one on disk.
    """
    base = _SCHEME.sub("", repository).strip("/")
    if not base or repository.startswith(("file:", ".", "/", "@")):
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

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: It is no version of a chart, or another chart is asked for.
        """
        if read_semver(new.tag) is None:
            raise editor.document.error(
                f"`{self.label}` is the version of a chart, and `{new.version}` is no SemVer.",
                "Charts take versions such as `1.2.3`; name the image's own place instead.",
                self.version_node,
            )
        if new.name != self.current.name:
            raise editor.document.error(
                f"`{self.label}` names the chart `{self.current.name}`, which can't be renamed.",
                "Leave the new name out.",
                self.version_node,
            )
        value = find_value(self.node, self.version)
        if value is not None:
            editor.set(value, new.tag)
            return
        after = find_pair(self.node, self.chart) or find_pair(self.node, self.repository)
        editor.add_pair(self.node, (after or self.node.pairs[-1])[0], self.version, new.tag, "")
