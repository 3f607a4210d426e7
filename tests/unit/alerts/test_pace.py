"""Messages leave at the pace the messenger allows, by a clock that never steps back."""

from __future__ import annotations

from itertools import pairwise

from core.adapters.notifiers._pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def _times(pace: Pace, clock: Clock, n: int) -> list[float]:
    times = []
    for _ in range(n):
        await pace.turn()
        times.append(round(clock.now - 1_000.0, 6))
    return times


async def test_a_chat_gets_one_message_a_second() -> None:
    clock = Clock()
    assert await _times(Pace(1.0, None, clock, clock.sleep), clock, 4) == [0.0, 1.0, 2.0, 3.0]


async def test_a_message_after_a_quiet_time_leaves_at_once() -> None:
    clock = Clock()
    pace = Pace(1.0, None, clock, clock.sleep)
    await pace.turn()
    clock.now += 30.0
    assert await _times(pace, clock, 1) == [30.0]


async def test_a_group_gets_twenty_in_any_minute() -> None:
    clock = Clock()
    times = await _times(Pace(1.0, 20, clock, clock.sleep), clock, 61)
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))
    assert all(later - earlier >= 60.0 for earlier, later in zip(times, times[20:], strict=False))
    assert times[19] == 19.0
    assert times[20] == 60.0


async def test_a_pause_asked_for_runs_out() -> None:
    clock = Clock()
    pace = Pace(1.0, None, clock, clock.sleep)
    assert pace.resting_s() == 0.0
    pace.rest(30.0)
    assert pace.resting_s() == 30.0
    clock.now += 31.0
    assert pace.resting_s() == 0.0
