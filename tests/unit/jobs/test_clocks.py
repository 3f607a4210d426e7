"""What the three clocks say of each other is said once."""

from __future__ import annotations

import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.jobs._clocks import BELIEVED_AFTER_S, Clocks
from tests.factories import START_MS


class Machine:
    """The machine's two clocks."""

    def __init__(self) -> None:
        self.wall_ms, self.ticks_s = START_MS, 50.0

    def goes_on(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.ticks_s += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clocks(machine: Machine) -> Clocks:
    return Clocks(lambda: machine.wall_ms, lambda: machine.ticks_s)


def test_a_wall_clock_that_goes_with_the_other_is_not_mentioned(machine: Machine, clocks: Clocks) -> None:
    for seconds in (1.0, 1.0, 3_600.0, 0.0):
        machine.goes_on(seconds)
        machine.wall_ms += 500  # corrected by and by
        assert clocks.look() is None


@pytest.mark.parametrize(
    ("step_ms", "told"),
    [
        (-HOUR_MS, "the machine's clock went back by 1h (it was set); cycles keep their pace"),
        (
            2 * HOUR_MS,
            "the machine's clock went forward by 2h (it was set, or the machine slept); cycles keep their pace",
        ),
        (-HOUR_MS + 1, "the machine's clock went back by 1h (it was set); cycles keep their pace"),
        (-5_000, "the machine's clock went back by 5.0 s (it was set); cycles keep their pace"),
    ],
)
def test_a_wall_clock_that_is_set_is_told_of_once(machine: Machine, clocks: Clocks, step_ms: int, told: str) -> None:
    machine.goes_on(1.0)
    machine.wall_ms += step_ms
    assert clocks.look() == told and clocks.step_ms == step_ms
    machine.goes_on(1.0)
    assert clocks.look() is None


def test_the_difference_to_the_market_is_told_when_it_is_large_and_when_it_changes(
    machine: Machine, clocks: Clocks
) -> None:
    assert clocks.skew(machine.wall_ms + 1_900) is None
    behind = clocks.skew(machine.wall_ms + 3_000)
    assert behind == "the machine's clock is 3.0 s behind the market's; decisions follow the market's"
    assert clocks.skew(machine.wall_ms + 4_500) is None
    assert clocks.skew(machine.wall_ms - HOUR_MS) == (
        "the machine's clock is 1h ahead of the market's; decisions follow the market's"
    )
    assert clocks.skew(machine.wall_ms + 100) == "the machine's clock agrees with the market's again"
    assert clocks.skew(machine.wall_ms) is None


def test_a_market_that_goes_back_never_takes_a_cycle_with_it(machine: Machine, clocks: Clocks) -> None:
    assert clocks.forward(START_MS) == (START_MS, None)
    assert clocks.forward(START_MS - HOUR_MS) == (
        START_MS,
        "the market's time went back by 1h; cycles keep the time they had",
    )
    machine.goes_on(60.0)
    assert clocks.forward(START_MS - HOUR_MS + MINUTE_MS) == (START_MS, None)
    assert clocks.forward(START_MS + 1) == (START_MS + 1, "the market's time has caught up")
    assert clocks.forward(START_MS + 2) == (START_MS + 2, None)


def test_a_single_answer_from_the_future_does_not_hold_the_engine_until_it_comes(
    machine: Machine, clocks: Clocks
) -> None:
    future = START_MS + 365 * 24 * HOUR_MS
    assert clocks.forward(future)[0] == future
    assert clocks.forward(START_MS)[0] == future
    machine.goes_on(BELIEVED_AFTER_S - 1)
    assert clocks.forward(START_MS)[0] == future
    machine.goes_on(2.0)
    now_ms, told = clocks.forward(START_MS + 15 * MINUTE_MS)
    assert now_ms == START_MS + 15 * MINUTE_MS and told is not None and "taken as right from now on" in told
