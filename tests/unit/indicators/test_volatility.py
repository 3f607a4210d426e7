"""Wilder's ATR: by hand, against an independent library, and as plain Python."""

import numpy as np
import pandas as pd
import pytest
from ta.volatility import AverageTrueRange

from core.indicators.volatility import true_range, wilder_atr


def walk(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    spread = close * rng.uniform(0.0, 0.01, (2, n))
    return close + spread[0], close - spread[1], close


def test_true_range_includes_the_gap_from_the_close_before() -> None:
    high, low, close = np.array([10.0, 15.0, 9.0]), np.array([8.0, 13.0, 7.0]), np.array([9.0, 14.0, 8.0])
    # 10 - 8; 15 - 9 (gap up); 14 - 7 (gap down)
    assert true_range(high, low, close).tolist() == [2.0, 6.0, 7.0]


def test_atr_starts_with_a_mean_and_is_then_smoothed() -> None:
    high, low, close = np.array([10.0, 15.0, 9.0]), np.array([8.0, 13.0, 7.0]), np.array([9.0, 14.0, 8.0])
    # (2 + 6) / 2 = 4; (4 * 1 + 7) / 2 = 5.5
    assert wilder_atr(high, low, close, 2)[1:].tolist() == [4.0, 5.5]


@pytest.mark.parametrize("period", [5, 14, 30])
def test_atr_equals_the_reference_library_once_it_is_known(period: int) -> None:
    high, low, close = walk(1)
    columns = [pd.Series(values) for values in (high, low, close)]
    expected = AverageTrueRange(*columns, window=period).average_true_range().to_numpy()
    ours = wilder_atr(high, low, close, period)
    np.testing.assert_allclose(ours[period - 1 :], expected[period - 1 :], rtol=1e-12)


def test_atr_is_nan_until_its_period_is_full() -> None:
    high, low, close = walk(2, 40)
    assert np.isnan(wilder_atr(high, low, close, 14)[:13]).all()
    assert np.isfinite(wilder_atr(high, low, close, 14)[13:]).all()


@pytest.mark.parametrize("n", [0, 1, 13])
def test_atr_of_too_few_candles_is_all_nan(n: int) -> None:
    high, low, close = walk(3, n)
    atr = wilder_atr(high, low, close, 14)
    assert len(atr) == n
    assert np.isnan(atr).all()


def test_the_plain_python_text_gives_the_compiled_result_and_changes_no_input() -> None:
    columns = walk(4)
    before = [column.copy() for column in columns]
    for column in columns:
        column.setflags(write=False)
    np.testing.assert_array_equal(wilder_atr(*columns, 14), wilder_atr.py_func(*columns, 14))
    np.testing.assert_array_equal(true_range(*columns), true_range.py_func(*columns))
    for column, copy in zip(columns, before, strict=True):
        np.testing.assert_array_equal(column, copy)


def test_a_longer_history_only_adds_to_the_result() -> None:
    high, low, close = walk(5)
    whole = wilder_atr(high, low, close, 14)
    for k in (14, 100, 333):
        np.testing.assert_array_equal(wilder_atr(high[:k], low[:k], close[:k], 14), whole[:k])
