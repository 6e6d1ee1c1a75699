"""A rollback: the version that ran before, by the config repository's own history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.images import Reference
from gitops_promote.core.order import Build, compare
from gitops_promote.core.request import Undone
from gitops_promote.promotion.chosen import Chosen, by_image, image_of, one_version, origin_of

if TYPE_CHECKING:
    from gitops_promote.core.change import Running
    from gitops_promote.core.order import Ancestry
    from gitops_promote.core.promoted import Promoted
    from gitops_promote.core.source import Source
    from gitops_promote.promotion.call import Call
    from gitops_promote.promotion.past import Timeline

_MOST_VERSIONS = 10
#: A run that is run again finds what it did among so many commits of its files.
_MOST_COMMITS = 50

#: What runs of each image, by its name.
_Versions = dict[str, Reference]


@dataclass(frozen=True)
class Rollback:
    """A rollback of the images that are called `names`, in the places of a timeline."""

    call: Call
    timeline: Timeline
    names: tuple[str, ...]
    ancestry: Ancestry

    def choose(self) -> Chosen:
        """Find what ran before, or the version that the input `to` names.

        What an earlier rollback took back is passed over, and so is what is newer than what runs:
        nobody wants that by going back. `to` may name it.

        Returns:
            The images with the versions to go back to, and what is undone by that.

        Raises:
            PromoteError: Nothing else ran before, or the named version never did.
        """
        found = self.timeline.now(self.names)
        if not any(one.reference.version for one in found):
            raise PromoteError(
                "There is no version here to roll back from.", "Look at `target`, and at `images`."
            )
        if self.call.inputs.to:
            return self._chosen(found, self._named(found))
        if self._is_done(found):
            return self._chosen(found, _versions(found))
        for group in by_image(found).values():
            one_version(group, self._where)
        return self._chosen(found, self._last_good(_versions(found)))

    def _is_done(self, found: Sequence[Running]) -> bool:
        """Whether this very run rolled back already, and is only run again."""
        run, now = self.call.source, _versions(found)
        steps = islice(self.timeline.steps(), _MOST_COMMITS if run.run_id else 0)
        for promoted in (one for _, promotions in steps for one in promotions):
            by, names = promoted.promoter, promoted.versions.keys() & now.keys()
            if not (promoted.undone and names and by and by.run_id == run.run_id):
                continue
            if by.server_url != run.server_url:
                continue
            if any(promoted.versions[name] != now[name].version for name in names):
                raise PromoteError(
                    f"This run rolled {self._where} back already, and something else came since.",
                    "To roll that back, start another run.",
                )
            return True
        return False

    def _states(self) -> Iterator[tuple[tuple[Running, ...], tuple[Promoted, ...]]]:
        """What ran before each commit, the newest first, and the promotions in that commit."""
        for past, promotions in self.timeline.steps():
            yield self.timeline.state(past.parent, self.names) if past.parent else (), promotions

    def _last_good(self, now: _Versions) -> _Versions:
        seen: dict[str, None] = {}
        # By rollbacks that came after: what was taken back and brought again later may come again.
        taken = set[tuple[str, str]]()
        for then, promotions in self._states():
            taken.update((u.image, u.build.version) for one in promotions for u in one.undone)
            before = {name: there for name, there in _versions(then).items() if name in now}
            differing = [name for name, there in before.items() if there != now[name]]
            seen.update(dict.fromkeys(before[name].version for name in differing))
            is_bad = any(
                (name, before[name].version) in taken
                or self._is_newer(name, before[name], now[name])
                for name in differing
            )
            if differing and not is_bad:
                return before
        raise self._nothing(list(seen))

    def _is_newer(self, name: str, before: Reference, now: Reference) -> bool:
        app = self.timeline.app
        order = compare(Build(before.version), Build(now.version), _nobody, app).order
        if order is None:
            old, new = self._build(name, before.version), self._build(name, now.version)
            order = compare(old, new, self.ancestry, app).order
        return order == 1

    def _named(self, found: Sequence[Running]) -> _Versions:
        """The version that the input names, of as many images as ever had it at once."""
        best, seen = _Versions(), dict[str, None]()
        count = len(by_image(found))
        for then in chain((found,), (state for state, _ in self._states())):
            there = {
                name: one.reference
                for name, group in by_image(then).items()
                for one in group
                if self._is_wanted(name, one.reference)
            }
            if len(there) > len(best):
                best = there
            if len(best) == count or (best and not there):
                return best
            seen.update((one.reference.version, None) for one in then if one.reference.version)
        if best:
            return best
        raise self._nothing(list(seen))

    def _is_wanted(self, name: str, there: Reference) -> bool:
        wanted, version = self.call.inputs.to, there.version
        names = (version, there.tag, there.digest, f"{name}:{version}", f"{name}@{version}")
        return wanted in names

    def _chosen(self, found: Sequence[Running], versions: _Versions) -> Chosen:
        undone = dict.fromkeys(
            one
            for name, group in by_image(found).items()
            if name in versions
            for now in dict.fromkeys(one.reference.version for one in group)
            if now not in ("", versions[name].version)
            for one in self._undone(name, now, versions[name].version)
        )
        changing = {one.image for one in undone}
        pairs = ((name, there.version) for name, there in versions.items() if name in changing)
        return Chosen(
            tuple(image_of(name, there) for name, there in versions.items()),
            self.call.source,
            origin_of(pairs, self.timeline) if undone else None,
            tuple(undone),
        )

    def _undone(self, name: str, now: str, target: str) -> list[Undone]:
        """A version that is taken back, and those that had been before it was gone back to."""
        made = self.timeline.made_by(name, now)
        earlier = made.undone if made else ()
        same = [one for one in earlier if one.image == name and one.build.version != target]
        return [Undone(name, self._build(name, now)), *same]

    def _build(self, name: str, version: str) -> Build:
        made = self.timeline.made_by(name, version)
        return made.build(name) if made else Build(version)

    def _nothing(self, seen: Sequence[str]) -> PromoteError:
        listed = ", ".join(f"`{version}`" for version in seen[:_MOST_VERSIONS])
        fix = f"These did, the newest first: {listed}." if listed else ""
        if self.call.inputs.to:
            return PromoteError(
                f"{self._where} never ran `{self.call.inputs.to}`, by the config repository's "
                "history.",
                fix or "To bring it there for the first time, promote it.",
            )
        return PromoteError(
            f"{self._where} has nothing to roll back to: by the config repository's history no "
            "older version ran there that wasn't rolled back itself.",
            f"{fix} Name one in `to`." if fix else "Promote another version.",
        )

    @property
    def _where(self) -> str:
        return ", ".join(self.call.inputs.environments) or "this target"


def _versions(found: Sequence[Running]) -> _Versions:
    """What runs of each image that has one version alone."""
    versions = {}
    for name, group in by_image(found).items():
        alike = {one.reference.version: one.reference for one in group}
        if len(alike) == 1 and "" not in alike:
            versions[name] = next(iter(alike.values()))
    return versions


def _nobody(repository: Source, one: Sequence[str], other: Sequence[str]) -> None:
    """Knows no commits: fulfils `Ancestry`."""
