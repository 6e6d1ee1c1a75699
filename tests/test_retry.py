"""Other tries, by a clock that goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops_promote.core.errors import MovedHeadError, RetryableError
from gitops_promote.effects.retry import LONGEST_WAIT, PATIENCE, TRIES, retry

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Stands for time's module in the retry: a pause passes at once, and is noted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("gitops_promote.effects.retry.time", clock)
    return clock


def failing(*errors: RetryableError) -> Callable[[], str]:
    left = list(errors)

    def action() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return action


@pytest.mark.parametrize("asked", [1, 7.5, 60, 250])
def test_a_server_is_left_alone_for_as_long_as_it_asks(clock: Clock, asked: float) -> None:
    assert retry(failing(RetryableError("Later.", wait=asked))) == "done"

    assert len(clock.pauses) == 1
    assert asked <= clock.pauses[0] <= 1.1 * asked + 1


def test_those_who_wait_for_the_same_moment_come_back_apart(clock: Clock) -> None:
    for _ in range(20):
        retry(failing(RetryableError("Later.", wait=60)))

    assert len({round(pause, 3) for pause in clock.pauses}) > 10
    assert max(clock.pauses) - min(clock.pauses) > 1


def test_a_server_that_asks_for_too_long_is_not_waited_for(clock: Clock) -> None:
    told: list[RetryableError] = []
    error = RetryableError("It asks to wait 42 minutes.", wait=42 * 60)

    with pytest.raises(RetryableError, match="42 minutes") as raised:
        retry(failing(error), lambda failed, _: told.append(failed))

    assert raised.value is error
    assert (told, clock.pauses) == ([], [])


def test_all_waiting_that_is_asked_for_has_one_bound(clock: Clock) -> None:
    errors = [RetryableError(f"{number}.", wait=120) for number in range(10)]

    with pytest.raises(RetryableError, match=r"2\."):
        retry(failing(*errors))

    assert len(clock.pauses) == 2
    assert 240 <= clock.now <= LONGEST_WAIT


def test_waiting_that_is_asked_for_takes_nothing_from_the_patience_with_rivals(
    clock: Clock,
) -> None:
    moved = [MovedHeadError("Moved.") for _ in range(1000)]

    with pytest.raises(MovedHeadError):
        retry(failing(RetryableError("Later.", wait=200), *moved))

    assert 200 + PATIENCE - 10 <= clock.now <= 200 + 22 + PATIENCE


def test_who_asks_to_wait_each_time_gets_no_more_tries_than_who_fails(clock: Clock) -> None:
    errors = [RetryableError(f"{number}.", wait=1) for number in range(10)]

    with pytest.raises(RetryableError, match=f"{TRIES - 1}"):
        retry(failing(*errors))

    assert len(clock.pauses) == TRIES - 1


def test_what_is_waited_for_is_told_before_the_pause(clock: Clock) -> None:
    told: list[tuple[str, float, int]] = []
    error = RetryableError("It asks to wait 5 seconds.", wait=5)

    retry(failing(error), lambda e, pause: told.append((e.what, pause, len(clock.pauses))))

    assert told == [("It asks to wait 5 seconds.", clock.pauses[0], 0)]
