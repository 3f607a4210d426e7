"""ADX, DI and the words made of them."""

import numpy as np
import pandas as pd
import pytest
from ta.trend import ADXIndicator

from core.indicators.regime import WARMUP, regime_at, wilder_adx
from core.schema import Candles


def walk(seed: int, n: int = 1500, drift: float = 0.0) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(drift, 0.01, n)))
    spread = close * rng.uniform(0.0, 0.01, (2, n))
    return Candles.of(np.arange(n) * 60_000, close, close + spread[0], close - spread[1], close, np.ones(n))


def with_ranges(ranges: np.ndarray) -> Candles:
    """Candles around 100 whose true range is given."""
    n = len(ranges)
    flat = np.full(n, 100.0)
    return Candles.of(np.arange(n) * 60_000, flat, flat + ranges / 2, flat - ranges / 2, flat, np.ones(n))


@pytest.mark.parametrize("period", [7, 14])
def test_adx_and_di_equal_the_reference_library_once_they_are_known(period: int) -> None:
    candles = walk(1, 600)
    reference = ADXIndicator(*(pd.Series(c) for c in (candles.high, candles.low, candles.close)), window=period)
    adx, plus_di, minus_di = wilder_adx(candles.high, candles.low, candles.close, period)
    np.testing.assert_allclose(adx[2 * period - 1 :], reference.adx().to_numpy()[2 * period - 1 :], rtol=1e-9)
    np.testing.assert_allclose(plus_di[period + 1 :], reference.adx_pos().to_numpy()[period + 1 :], rtol=1e-9)
    np.testing.assert_allclose(minus_di[period + 1 :], reference.adx_neg().to_numpy()[period + 1 :], rtol=1e-9)


def test_adx_is_nan_until_it_is_known() -> None:
    candles = walk(2, 60)
    adx, plus_di, minus_di = wilder_adx(candles.high, candles.low, candles.close, 14)
    assert np.isnan(adx[:27]).all()
    assert np.isfinite(adx[27:]).all()
    assert np.isnan(plus_di[:14]).all()
    assert np.isfinite(minus_di[14:]).all()


def test_a_market_that_stands_still_has_no_direction() -> None:
    flat = np.full(60, 5.0)
    adx, plus_di, minus_di = wilder_adx(flat, flat, flat, 14)
    assert adx[-1] == plus_di[-1] == minus_di[-1] == 0.0


def test_the_plain_python_text_gives_the_compiled_result() -> None:
    candles = walk(3, 200)
    columns = (candles.high, candles.low, candles.close, 14)
    for ours, plain in zip(wilder_adx(*columns), wilder_adx.py_func(*columns), strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_a_steady_rise_trends_and_a_still_market_ranges() -> None:
    rising = np.arange(1.0, 201.0)
    candles = Candles.of(np.arange(200), rising, rising + 1, rising - 1, rising, np.ones(200))
    assert regime_at(candles, np.array([199]))[0] == ["trend"]
    assert regime_at(with_ranges(np.full(200, 1.0)), np.array([199]))[0] == ["range"]


def test_what_is_not_known_yet_is_called_unknown() -> None:
    candles = walk(4, 200)
    trend, volatility = regime_at(candles, np.array([26, 27, 111, 112]))
    # ADX(14) is known from candle 27; ATR(14) from candle 13, so candle 112 is the first with a hundred of them
    assert trend[0] == "unknown"
    assert trend[1] in ("trend", "range")
    assert volatility[:3] == ["unknown"] * 3
    assert volatility[3] in ("low", "normal", "high")


def test_volatility_is_the_third_of_the_window_by_rank() -> None:
    rising = with_ranges(np.linspace(1.0, 2.0, 700))
    falling = with_ranges(np.linspace(2.0, 1.0, 700))
    still = with_ranges(np.full(700, 1.0))
    last = np.array([699])
    assert regime_at(rising, last)[1] == ["high"]
    assert regime_at(falling, last)[1] == ["low"]
    assert regime_at(still, last)[1] == ["normal"]


def test_only_the_trailing_window_counts() -> None:
    # calmer than all of the last 500 candles, but not than the 600 before them
    candles = with_ranges(np.concatenate([np.full(600, 1.0), np.linspace(3.0, 2.0, 600)]))
    assert regime_at(candles, np.array([1199]))[1] == ["low"]


def test_the_words_do_not_depend_on_the_future_or_on_older_candles_than_the_warmup() -> None:
    candles = walk(5)
    positions = np.arange(WARMUP, 1500, 7)
    whole = regime_at(candles, positions)
    for i, position in enumerate(positions[::20]):
        cut = candles.slice(int(position) - WARMUP, int(position) + 1)
        trend, volatility = regime_at(cut, np.array([WARMUP]))
        assert (trend[0], volatility[0]) == (whole[0][i * 20], whole[1][i * 20])


def test_no_positions_give_no_words() -> None:
    assert regime_at(Candles.empty(), np.empty(0, dtype=np.int64)) == ([], [])
