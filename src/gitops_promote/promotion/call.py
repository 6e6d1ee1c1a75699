"""What stays the same however often a call is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitops_promote.core.source import Source
    from gitops_promote.effects.console import Console
    from gitops_promote.inputs import Identity, Inputs


@dataclass(frozen=True, slots=True)
class Call:
    """A call: what is asked for, by whom, and from which run.

    `server` is the URL of the job's GitHub server, `repository` the config repository's name as
    the user knows it.
    """

    inputs: Inputs
    source: Source
    author: Identity
    committer: Identity
    environ: Mapping[str, str]
    console: Console
    server: str
    repository: str
