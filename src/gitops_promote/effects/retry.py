"""Another try of what failed in a way that may pass, after a pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from gitops_promote.core.errors import BusyError, MovedHeadError, RetryableError

#: How often in a row a server that can't be reached, or fails, is tried. Rivals don't count: where
#: they move a branch, keep its lock or make a server ask for less, the server works.
TRIES = 4
#: Seconds after which no other try begins, those not counted that a server asked to wait. Enough
#: for 64 rivals of which each keeps the whole server busy for a second.
PATIENCE = 300.0
#: Seconds that are waited in all because a server asks to: five minutes of a job that is paid for.
LONGEST_WAIT = 300.0

#: The pause after a failure, on the average; then it doubles.
_FIRST_PAUSE = 0.2
#: Who lost to a rival waits for up to so many times what a try takes, for each try that was lost:
#: then about as many are under way at a time as the server has room for.
_ROOM = 2.5
#: The least bound of such a pause: a try that takes no time tells nothing.
_LEAST_ROOM = 0.2

_Result = TypeVar("_Result")


def retry(
    action: Callable[[], _Result], tell: Callable[[RetryableError, float], None] | None = None
) -> _Result:
    """Do something, and again where it fails in a way that may pass.

    Who lost to rivals waits for any time up to a bound, which grows with what a try takes (long
    where rivals keep the server busy) and with how many tries were lost. It doesn't double, or who
    came first would give way to all who come later. Nothing else bounds it but what is left of the
    patience: with a shorter one all would be back before the server is done with them.
    A server that asks to be left alone is left alone for at least as long.

    Args:
        action: What to do. It starts anew each time.
        tell: Gets what failed, and for how many seconds is waited; called before each pause.

    Returns:
        What the action gives.

    Raises:
        RetryableError: The last try's: after `TRIES` failures in a row, where `PATIENCE` is over,
            or at once where the server asks to wait for longer than what is left of `LONGEST_WAIT`.
        PromoteError: The action's, at once where it is no `RetryableError`.
    """
    deadline = time.monotonic() + PATIENCE
    lost, failures, waited = 0, 0, 0.0
    while True:
        began = time.monotonic()
        try:
            return action()
        except RetryableError as error:
            from random import uniform  # noqa: PLC0415  (slow to import, rarely needed)

            now = time.monotonic()
            if isinstance(error, (MovedHeadError, BusyError)):
                lost, failures = lost + 1, 0
                room = max(_ROOM * lost * (now - began), _LEAST_ROOM)
                pause = uniform(0, min(room, max(deadline - now, 0)))  # noqa: S311
            else:
                failures += 1
                pause = _FIRST_PAUSE * 2 ** (failures - 1) * uniform(0.5, 1.5)  # noqa: S311
            if error.wait:
                # And a tenth, as all who were sent away would come back at the same moment.
                pause += error.wait * uniform(1, 1.1)  # noqa: S311
                waited += pause
                deadline += pause
            late = now >= deadline or now + pause > deadline or waited > LONGEST_WAIT
            if failures == TRIES or late:
                raise
            if tell:
                tell(error, pause)
            time.sleep(pause)
