"""Swing pivots: who stands out, ties, and when it can be known."""

import numpy as np
import pytest

from core.indicators.swings import swing_pivots


def pivots(high: list[float], low: list[float], window: int) -> list[tuple[int, int]]:
    positions, kinds = swing_pivots(np.array(high, dtype=float), np.array(low, dtype=float), window)
    return list(zip(positions.tolist(), kinds.tolist(), strict=True))


def test_a_high_above_its_neighbours_is_a_swing_high() -> None:
    assert pivots([1, 2, 5, 2, 1], [0, 0, 0, 0, 0], 2) == [(2, 1)]


def test_a_low_below_its_neighbours_is_a_swing_low() -> None:
    assert pivots([9, 9, 9, 9, 9], [5, 4, 1, 4, 5], 2) == [(2, -1)]


def test_of_equal_highs_the_earliest_is_the_pivot() -> None:
    assert pivots([1, 2, 5, 5, 2, 1], [0] * 6, 2) == [(2, 1)]


def test_of_equal_lows_the_earliest_is_the_pivot() -> None:
    assert pivots([9] * 6, [5, 4, 1, 1, 4, 5], 2) == [(2, -1)]


def test_a_candle_that_is_both_is_neither() -> None:
    assert pivots([2, 3, 9, 3, 2], [2, 2, 0, 2, 2], 2) == []


def test_a_pivot_is_not_known_before_its_window_has_closed() -> None:
    high, low = [1, 2, 5, 2, 1, 1], [0, 0, 0, 0, 0, 0]
    assert pivots(high[:4], low[:4], 2) == []
    assert pivots(high[:5], low[:5], 2) == [(2, 1)]


def test_the_first_candles_have_no_neighbours_to_stand_out_from() -> None:
    assert pivots([9, 1, 1, 1, 1], [1, 1, 1, 1, 1], 2) == []


@pytest.mark.parametrize("n", [0, 1, 4])
def test_too_few_candles_hold_no_pivot(n: int) -> None:
    assert pivots([1.0] * n, [1.0] * n, 2) == []


@pytest.mark.parametrize("window", [1, 3, 5])
def test_many_random_candles_agree_with_the_definition_read_aloud(window: int) -> None:
    rng = np.random.default_rng(window)
    high = rng.integers(0, 12, 500).astype(float)  # few distinct prices: many ties
    low = high - rng.integers(0, 6, 500)
    expected = []
    for i in range(window, 500 - window):
        before, after = slice(i - window, i), slice(i + 1, i + window + 1)
        is_high = (high[before] < high[i]).all() and (high[after] <= high[i]).all()
        is_low = (low[before] > low[i]).all() and (low[after] >= low[i]).all()
        if is_high and not is_low:
            expected.append((i, 1))
        if is_low and not is_high:
            expected.append((i, -1))
    assert len(expected) > 20
    assert pivots(high.tolist(), low.tolist(), window) == expected
    plain = swing_pivots.py_func(high, low, window)
    assert list(zip(plain[0].tolist(), plain[1].tolist(), strict=True)) == expected
