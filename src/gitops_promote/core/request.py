"""What a call asks for, whatever the config repository holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gitops_promote.core.source import Source

if TYPE_CHECKING:
    from gitops_promote.core.images import Image
    from gitops_promote.core.order import Build
    from gitops_promote.core.targets import Target


@dataclass(frozen=True, slots=True)
class Undone:
    """A version that a rollback takes back, of the image that the config repository calls so."""

    image: str
    build: Build


@dataclass(frozen=True, slots=True)
class Request:
    """What a call asks for, whatever the config repository holds.

    Every image has a tag, a digest or a new name. `source` is the run that asks, and `origin` what
    the images were built from where that was another run, as of versions that are copied or rolled
    back to. `message` is the commit message's template and `signoff` whom to sign off for.
    `copied_from` is the environment whose versions are copied, `override` the reason for which the
    policy's order is skipped; of a rollback, `undone` has what it takes back. `chart_bump` is the
    part of a chart's own version that a new `appVersion` raises, or empty.
    """

    images: tuple[Image, ...]
    targets: tuple[Target, ...]
    environments: tuple[str, ...] = ()
    app: str = ""
    source: Source = field(default_factory=Source)
    origin: Source | None = None
    message: str = ""
    signoff: str = ""
    copied_from: str = ""
    override: str = ""
    undone: tuple[Undone, ...] = ()
    chart_bump: str = ""

    @property
    def built_from(self) -> Source:
        """The commit and the run that the images were built from."""
        return self.source if self.origin is None else self.origin
