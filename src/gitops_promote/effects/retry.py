"""Another try of what failed in a way that may pass, after a pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from gitops_promote.core.errors import MovedHeadError, RetryableError

#: How often a server that can't be reached, or fails, is tried in all. A branch that others moved
#: doesn't count: there the server works, and each time somebody got ahead.
TRIES = 4
#: Seconds after which no other try begins, those not counted that a server asked to wait.
PATIENCE = 120.0
#: Seconds that are waited in all because a server asks to: five minutes of a job that is paid for.
LONGEST_WAIT = 300.0

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0

_Result = TypeVar("_Result")


def retry(
    action: Callable[[], _Result], tell: Callable[[RetryableError, float], None] | None = None
) -> _Result:
    """Do something, and again where it fails in a way that may pass.

    A server that asks to be left alone is left alone for at least as long.

    Args:
        action: What to do. It starts anew each time.
        tell: Gets what failed, and for how many seconds is waited; called before each pause.

    Returns:
        What the action gives.

    Raises:
        RetryableError: The last try's: after `TRIES` failures, where `PATIENCE` is over, or at once
            where the server asks to wait for longer than what is left of `LONGEST_WAIT`.
        PromoteError: The action's, at once where it is no `RetryableError`.
    """
    deadline = time.monotonic() + PATIENCE
    failures, usual, waited = 0, _FIRST_PAUSE, 0.0
    while True:
        try:
            return action()
        except RetryableError as error:
            from random import uniform  # noqa: PLC0415  (slow to import, rarely needed)

            failures += not isinstance(error, MovedHeadError)
            # Half to one and a half of a pause that doubles, so that rivals part.
            pause = usual * uniform(0.5, 1.5)  # noqa: S311
            if error.wait:
                # And a tenth, as all who were sent away would come back at the same moment.
                pause += error.wait * uniform(1, 1.1)  # noqa: S311
                waited += pause
                deadline += pause
            late = time.monotonic() + pause > deadline or waited > LONGEST_WAIT
            if failures == TRIES or late:
                raise
            if tell:
                tell(error, pause)
            time.sleep(pause)
            usual = min(2 * usual, _LONGEST_PAUSE)
