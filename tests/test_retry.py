"""Other tries, by a clock that goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops_promote.core.errors import BusyError, MovedHeadError, PromoteError, RetryableError
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


def failing(
    *errors: PromoteError, seconds: float = 0, clock: Clock | None = None
) -> Callable[[], int]:
    """An action that fails so, one error a try, and then gives how often it was tried."""
    left = list(errors)

    def action() -> int:
        if clock:
            clock.now += seconds
        if left:
            raise left.pop(0)
        return len(errors) + 1

    return action


def test_what_fails_for_a_moment_is_tried_again(clock: Clock) -> None:
    told: list[tuple[str, float]] = []
    errors = [RetryableError(f"{number}.") for number in range(1, TRIES)]

    found = retry(failing(*errors), lambda error, pause: told.append((error.what, pause)))

    assert found == TRIES
    assert [what for what, _ in told] == [error.what for error in errors]
    assert [pause for _, pause in told] == clock.pauses
    for number, pause in enumerate(clock.pauses):
        assert 0.1 * 2**number <= pause <= 0.3 * 2**number


def test_the_last_failure_is_the_error(clock: Clock) -> None:
    errors = [RetryableError(f"{number}.") for number in range(1, TRIES + 1)]

    with pytest.raises(RetryableError, match=errors[-1].what):
        retry(failing(*errors))
    assert len(clock.pauses) == TRIES - 1


def test_what_will_not_pass_is_not_tried_again(clock: Clock) -> None:
    with pytest.raises(PromoteError, match="no"):
        retry(failing(PromoteError("no.")))
    assert clock.pauses == []


@pytest.mark.parametrize("rivals", [MovedHeadError, BusyError])
def test_rivals_are_met_until_patience_ends(rivals: type[RetryableError], clock: Clock) -> None:
    with pytest.raises(rivals):
        retry(failing(*[rivals("Moved.")] * 10_000, seconds=0.5, clock=clock))

    # Tries come closer together at the end, and the last one begins before it.
    assert PATIENCE <= clock.now <= PATIENCE + 0.5
    assert len(clock.pauses) > 10


def test_rivals_leave_a_server_all_of_its_tries(clock: Clock) -> None:
    moved, lost = [MovedHeadError("Moved.")] * 5, [RetryableError("Lost.")] * (TRIES - 1)

    assert retry(failing(*moved, *lost, *moved, *lost, MovedHeadError("Moved."), *lost)) == 21
    assert len(clock.pauses) == 20


@pytest.mark.parametrize("seconds", [0.01, 0.1, 1.0])
def test_rivals_part_by_what_a_try_takes_and_how_many_were_lost(
    seconds: float, clock: Clock
) -> None:
    longest: dict[int, float] = {}
    for _ in range(300):
        clock.now, clock.pauses = 0.0, []
        retry(failing(*[MovedHeadError("Moved.")] * 6, seconds=seconds, clock=clock))
        for lost, pause in enumerate(clock.pauses, 1):
            longest[lost] = max(longest.get(lost, 0), pause)

    for lost, pause in longest.items():
        bound = max(2.5 * lost * seconds, 0.2)
        assert 0.9 * bound <= pause <= bound


def test_pauses_part_rivals(clock: Clock) -> None:
    for _ in range(20):
        retry(failing(RetryableError("Lost.")))
    assert len(set(clock.pauses)) > 1


def test_what_took_too_long_is_not_tried_again(clock: Clock) -> None:
    slow = failing(RetryableError("Slow."), seconds=PATIENCE, clock=clock)
    with pytest.raises(RetryableError):
        retry(slow)
    assert clock.pauses == []


@pytest.mark.parametrize("asked", [1, 7.5, 60, 250])
def test_a_server_is_left_alone_for_as_long_as_it_asks(clock: Clock, asked: float) -> None:
    assert retry(failing(RetryableError("Later.", wait=asked))) == 2

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
        retry(failing(RetryableError("Later.", wait=200), *moved, seconds=1, clock=clock))

    assert 200 + PATIENCE <= clock.now <= 200 + 22 + PATIENCE + 2


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
