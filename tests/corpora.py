"""Reading the files of the corpus on their own terms, by another reader of YAML."""

from __future__ import annotations

import yaml


class TolerantLoader(yaml.SafeLoader):
    """Takes an anchor that is defined again, as go-yaml does and PyYAML doesn't."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if not self.check_event(yaml.AliasEvent):
            self.anchors.pop(self.peek_event().anchor, None)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)
