"""Getting through candles fast leads where one candle after the other does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import MINUTE_MS
from core.execution.passage import STRETCH, begins_stretch, first_from, to_stretches
from core.execution.tables import CANDLE, Table, table

NEVER_MS = int(np.iinfo(np.int64).max)


def candles_at(minutes: list[int]) -> Table:
    n = len(minutes)
    rng = np.random.default_rng(n)
    low = rng.normal(size=n)
    return table(CANDLE, n, ts=np.array(minutes, dtype=np.int64) * MINUTE_MS, low=low, high=low + rng.random(n))


@settings(deadline=None)  # the first call compiles
@given(st.sets(st.integers(0, 60), max_size=40), st.data())
def test_a_time_is_found_among_candles_with_any_holes_as_a_search_finds_it(
    minutes: set[int], data: st.DataObject
) -> None:
    candles = candles_at(sorted(minutes))
    lo = data.draw(st.integers(0, len(candles)))
    hi = data.draw(st.integers(lo, len(candles)))
    ts = data.draw(st.integers(-2 * MINUTE_MS, 63 * MINUTE_MS) | st.just(NEVER_MS))
    expected = lo + int(np.searchsorted(candles.ts[lo:hi], ts))
    assert first_from.py_func(ts, lo, hi, candles) == expected
    assert first_from(ts, lo, hi, candles) == expected


@pytest.mark.parametrize("n", [0, 1, STRETCH - 1, STRETCH, 3 * STRETCH + 5])
def test_a_stretch_holds_the_highest_high_and_the_lowest_low_of_its_candles(n: int) -> None:
    candles = candles_at(list(range(n)))
    stretches = to_stretches(candles)
    assert len(stretches) == n // STRETCH
    for k, stretch in enumerate(stretches):
        part = candles[k * STRETCH : (k + 1) * STRETCH]
        assert (stretch["high"], stretch["low"]) == (part.high.max(), part.low.min())
    assert to_stretches.py_func(candles).tobytes() == stretches.tobytes()


def test_a_stretch_is_passed_only_where_a_candle_opens_behind_it_before_something_is_due() -> None:
    n = 2 * STRETCH + 1
    candles = candles_at(list(range(n)))
    assert begins_stretch(0, n, NEVER_MS, candles) and begins_stretch(STRETCH, n, NEVER_MS, candles)
    assert not begins_stretch(1, n, NEVER_MS, candles)
    assert not begins_stretch(STRETCH, n - 1, NEVER_MS, candles)
    assert not begins_stretch(0, n, STRETCH * MINUTE_MS, candles)
    assert begins_stretch(0, n, STRETCH * MINUTE_MS + 1, candles)
