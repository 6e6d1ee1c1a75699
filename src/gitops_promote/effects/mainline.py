"""The line of commits that a branch went along, and what it says of a file, however it is read."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gitops_promote.effects.config_repository import Past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: A commit is dated no earlier than so many below it on the branch: a clock that is wrong for some
#: commits makes none of them look older than the branch was. It is bounded, so that one commit
#: from the future doesn't date all that follow.
BELOW = 10
#: Of the commits that a merge brought, the newest so many are read.
MOST_BROUGHT = 50


@dataclass(frozen=True, slots=True)
class Step:
    """A commit of the line that leads from a branch's newest one by each one's first parent.

    Attributes:
        id: Its id.
        time: Its committer's date, as it stands there, in seconds since 1970.
        parents: Its parents, that on the branch first.
        touched: Whether the file that is asked for differs from that of the first parent.
        message: Its message, where it came along.
    """

    id: str
    time: int
    parents: tuple[str, ...]
    touched: bool
    message: str = ""


def to_past(
    steps: Iterable[Step], messages: Callable[[Step], Sequence[str]], *, sure: bool = True
) -> Iterator[Past]:
    """Give the steps that touched what is asked for, with the times that can be believed.

    Args:
        steps: The steps, the newest first; no more than `BELOW` are taken ahead.
        messages: Reads what a step says: its own message, and those of the commits it brought.
        sure: Whether it was looked at what a step touched.

    Yields:
        The commits.
    """
    waiting: deque[Step] = deque()
    for step in steps:
        waiting.append(step)
        if len(waiting) > BELOW:
            yield from _first(waiting, messages, sure=sure)
    while waiting:
        yield from _first(waiting, messages, sure=sure)


def _first(
    waiting: deque[Step], messages: Callable[[Step], Sequence[str]], *, sure: bool
) -> Iterator[Past]:
    time = max(step.time for step in waiting)
    step = waiting.popleft()
    if step.touched:
        said = tuple(message.strip("\n") for message in messages(step))
        yield Past(step.id, time, said, step.parents[0] if step.parents else "", sure)
