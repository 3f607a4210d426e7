"""Rounding to the exchange's grid."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pytest

from core.indicators.ticks import round_to_tick, round_to_ticks

UNKNOWN = math.nan


@pytest.mark.parametrize(
    ("price", "tick", "up", "expected"),
    [
        (100.04, 0.1, True, 100.1),
        (100.04, 0.1, False, 100.0),
        (0.1 + 0.2, 0.1, True, 0.3),  # 0.30000000000000004 lies on the grid
        (0.7 - 0.4, 0.1, False, 0.3),  # and so does 0.29999999999999993
        (101.3, 0.25, True, 101.5),
        (101.3, 0.25, False, 101.25),
        (1234.0, 5.0, True, 1235.0),
        (1234.0, 5.0, False, 1230.0),
        (0.000012344, 0.000000001, True, 0.000012344),
        (0.0000123441, 0.000000001, True, 0.000012345),
        (-100.04, 0.1, True, -100.0),  # up is towards plus infinity, whatever the sign
        (-100.04, 0.1, False, -100.1),
        (16543.2789, UNKNOWN, True, 16543.3),
        (16543.2789, UNKNOWN, False, 16543.2),
        (0.00123456789, UNKNOWN, True, 0.00123457),
        (1234567.0, UNKNOWN, False, 1234560.0),
        (999999.6, UNKNOWN, True, 1000000.0),
        (16543.2, 0.0, True, 16543.2),  # a tick of zero is none
    ],
)
def test_a_price_is_rounded_to_the_decimal_a_person_would_write(
    price: float, tick: float, up: bool, expected: float
) -> None:
    assert round_to_tick(price, tick, up) == expected
    assert round_to_tick.py_func(price, tick, up) == expected


@pytest.mark.parametrize("tick", ["0.1", "0.01", "0.0001", "0.5", "0.25", "0.00000001", "1", "10", "0.02"])
def test_many_prices_agree_with_decimal_arithmetic(tick: str) -> None:
    rng = np.random.default_rng(7)
    step = Decimal(tick)
    for price in (float(tick) * rng.uniform(1, 1e6, 500)).tolist():
        for up, mode in ((True, ROUND_CEILING), (False, ROUND_FLOOR)):
            ticks = Decimal(price) / step
            nearest = ticks.quantize(Decimal(1))
            whole = nearest if abs(ticks - nearest) < Decimal("1e-6") else ticks.to_integral_value(mode)
            assert round_to_tick(price, float(tick), up) == float(whole * step)


@pytest.mark.parametrize("tick", [0.1, 0.01, 0.5, 1e-8, 10.0])
def test_rounding_again_changes_nothing(tick: float) -> None:
    rng = np.random.default_rng(8)
    for price in (tick * rng.uniform(1, 1e7, 300)).tolist():
        for up in (True, False):
            once = round_to_tick(price, tick, up)
            assert round_to_tick(once, tick, True) == once
            assert round_to_tick(once, tick, False) == once


@pytest.mark.parametrize("tick", [0.1, UNKNOWN])
def test_negating_the_price_turns_the_direction_round(tick: float) -> None:
    for price in np.random.default_rng(9).uniform(0.001, 1e5, 300).tolist():
        assert round_to_tick(-price, tick, True) == -round_to_tick(price, tick, False)


def test_what_is_no_price_stays_what_it_is() -> None:
    assert math.isnan(round_to_tick(math.nan, 0.1, True))
    assert round_to_tick(math.inf, 0.1, True) == math.inf
    assert round_to_tick(0.0, UNKNOWN, True) == 0.0


def test_arrays_are_rounded_element_by_element_and_broadcast() -> None:
    price = np.array([1.26, 1.26, np.nan])
    price.setflags(write=False)
    rounded = round_to_ticks(price, 0.5, [True, False, True])
    assert rounded[:2].tolist() == [1.5, 1.0]
    assert math.isnan(rounded[2])
    assert round_to_ticks(np.array([[1.2], [2.2]]), [1.0, 0.5], True).tolist() == [[2.0, 1.5], [3.0, 2.5]]
    assert round_to_ticks([], 0.1, True).tolist() == []
