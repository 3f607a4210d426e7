"""Volatility, trend and momentum, computed by hand. The ATR is 2 where nothing else is said."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from core.clock import timeframe_ms
from core.features._base import View
from core.features.momentum import Momentum
from core.features.trend import LONGER, Trend
from core.features.volatility import Volatility
from core.indicators.regime import regime_at
from core.schema import Candles
from tests.unit.features.worlds import START_MS, at_end_of, candles_of, told_of, value_of, view_of, walk

Steady = Callable[..., Candles]


def with_ranges(ranges: np.ndarray) -> Candles:
    """Return candles around 100 whose true range is given."""
    return candles_of([(100.0, 100.0 + span / 2.0, 100.0 - span / 2.0, 100.0) for span in ranges.tolist()])


def of_last(candles: Candles, side: int = 1) -> View:
    return at_end_of(candles, side)


# -- volatility


def test_a_market_that_never_changes_its_pace(steady: Steady) -> None:
    found = value_of(Volatility(), of_last(steady([100.0, 101.0] * 300)))
    assert found["vol_atr_pct"] == pytest.approx(100.0 * 2.0 / 101.0)
    assert found["vol_atr_ratio"] == pytest.approx(1.0)
    assert found["vol_realised_ratio"] == pytest.approx(1.0)
    assert found["vol_band_atr"] == pytest.approx(1.0)  # closes half a point from their mean: 4 * 0.5 / 2


def test_the_largest_atr_of_the_window_ranks_first_and_the_smallest_last() -> None:
    rising, falling = np.linspace(1.0, 2.0, 700), np.linspace(2.0, 1.0, 700)
    assert value_of(Volatility(), of_last(with_ranges(rising)))["vol_atr_rank"] == pytest.approx(499.5 / 500)
    assert value_of(Volatility(), of_last(with_ranges(falling)))["vol_atr_rank"] == pytest.approx(0.5 / 500)


def test_the_ratio_compares_the_atr_with_the_last_two_hundred_ranges() -> None:
    found = value_of(Volatility(), of_last(with_ranges(np.concatenate([np.full(300, 9.0), np.full(200, 3.0)]))))
    assert found["vol_atr_ratio"] == pytest.approx(1.0, abs=1e-6)
    jump = np.concatenate([np.full(400, 2.0), [16.0]])
    # ATR = (2 * 13 + 16) / 14 = 3; the mean of 199 twos and a sixteen is 2.07
    assert value_of(Volatility(), of_last(with_ranges(jump)))["vol_atr_ratio"] == pytest.approx(3.0 / 2.07)


def test_realised_volatility_compares_the_last_sixteen_returns_with_ninety_six() -> None:
    steps = np.array([0.01, -0.01] * 40 + [0.02, -0.02] * 8 + [0.0])[:-1]
    closes = 100.0 * np.exp(np.cumsum(np.concatenate([[0.0], steps])))
    candles = candles_of([(close, close * 1.01, close * 0.99, close) for close in closes.tolist()])
    expected = 2.0 / math.sqrt((80.0 + 16.0 * 4.0) / 96.0)
    assert value_of(Volatility(), of_last(candles))["vol_realised_ratio"] == pytest.approx(expected)


def test_the_rank_and_the_regimes_word_say_the_same() -> None:
    candles = walk(1, 1_500)
    view = view_of(candles, range(900, len(candles), 3))
    ranks = Volatility().compute(view)[:, Volatility.columns.index("vol_atr_rank")]
    words = np.array(regime_at(candles, view.at)[1])
    assert set(words[ranks < 1 / 3]) == {"low"}
    assert set(words[(ranks > 1 / 3) & (ranks < 2 / 3)]) == {"normal"}
    assert set(words[ranks > 2 / 3]) == {"high"}


@pytest.mark.parametrize(("word", "code"), [("low", 0.0), ("normal", 1.0), ("high", 2.0), ("unknown", math.nan)])
def test_the_regime_is_a_code(steady: Steady, word: str, code: float) -> None:
    found = value_of(Volatility(), at_end_of(steady([100.0] * 3), plan={"regime_vol": word}))
    assert found["vol_regime"] == pytest.approx(code, nan_ok=True)


# -- trend


@pytest.fixture
def rise(steady: Steady) -> Candles:
    """A close one higher every hour, for whole days."""
    return steady([1_000.0 + step for step in range(960)])


def test_a_straight_rise(rise: Candles) -> None:
    found = value_of(Trend(), of_last(rise))
    # an average of the last n closes of a straight line lags it by (n - 1) / 2 steps, an exponential one too
    expected = {
        "trend_ema_20_atr": 9.5 / 2.0,
        "trend_ema_50_atr": 24.5 / 2.0,
        "trend_ema_20_slope": 0.5,
        "trend_ema_50_slope": 0.5,
        "trend_adx": 100.0,
        "trend_di": 50.0,  # a rise of 1 in a range of 2
        "trend_efficiency": 1.0,
        "trend_behind_atr": 96.0 / 2.0,  # the low of 95 candles ago
        "trend_ahead_atr": 0.5,
        # bars of four hours: 4 apart, a range of 5
        "trend_htf_atr": 9.5 * 4.0 / 5.0,
        "trend_htf_bias": 10.0 * 4.0 / 5.0,
        "trend_htf_efficiency": 1.0,
    }
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_short_in_a_rise_trades_against_it(rise: Candles) -> None:
    long, short = (value_of(Trend(), of_last(rise, side)) for side in (1, -1))
    assert short.pop("trend_adx") == long.pop("trend_adx")
    assert (short.pop("trend_behind_atr"), short.pop("trend_ahead_atr")) == (0.5, 48.0)
    del long["trend_behind_atr"], long["trend_ahead_atr"]
    assert short == pytest.approx({name: -value for name, value in long.items()})


def test_of_the_longer_timeframe_only_closed_bars_count(rise: Candles) -> None:
    def longer(n: int, scale: float) -> list[float]:
        lifted = rise.close.copy()
        lifted[n - 1] *= scale
        candles = replace(rise, close=lifted, high=np.maximum(rise.high, lifted + 1.0)).slice(0, n)
        return Trend().compute(of_last(candles))[0, -3:].tolist()

    for open_hours in (1, 2, 3):  # the last candle belongs to a bar that is still open
        assert longer(800 + open_hours, 1.5) == longer(800 + open_hours, 1.0) == longer(800, 1.0)
    assert longer(804, 1.5) != longer(804, 1.0)  # and here it closes one


def test_a_bar_that_began_before_the_data_is_left_out(rise: Candles) -> None:
    # thirty whole bars are needed; the first three hours make none
    assert math.isfinite(value_of(Trend(), of_last(rise.slice(1, 124)))["trend_htf_bias"])
    assert math.isnan(value_of(Trend(), of_last(rise.slice(5, 124)))["trend_htf_bias"])


def test_a_bar_with_missing_candles_is_made_of_the_others(rise: Candles) -> None:
    there = np.ones(len(rise), dtype=bool)
    there[-3:-1] = False
    columns = (rise.ts, rise.open, rise.high, rise.low, rise.close, rise.volume)
    candles = Candles.of(*(column[there] for column in columns))
    assert value_of(Trend(), of_last(candles))["trend_htf_efficiency"] == 1.0


def test_the_longer_timeframe_is_a_multiple_and_named_in_words() -> None:
    told = (Trend.__doc__ or "").replace("\n   ", "")
    for own, longer in LONGER.items():
        assert timeframe_ms(longer) % timeframe_ms(own) == 0
        assert longer in told
        assert own in told
    assert set(told_of(Trend())) == set(Trend.columns)


def test_a_timeframe_of_no_special_kind_has_a_longer_one_too() -> None:
    candles = walk(2, 900, "10m", missing=0.0)
    assert np.isfinite(Trend().compute(view_of(candles, [890], "10m"))).all()


# -- momentum


def test_returns_and_rsi_of_a_straight_rise(rise: Candles) -> None:
    found = value_of(Momentum(), of_last(rise))
    expected = {"mom_rsi": 1.0, "mom_ret_1": 0.5, "mom_ret_4": 2.0, "mom_ret_16": 8.0, "mom_ret_96": 48.0}
    expected |= {"mom_close_location": 0.0, "mom_body": 0.5}
    assert found == pytest.approx(expected)
    short = value_of(Momentum(), of_last(rise, -1))
    assert short == pytest.approx({name: -value for name, value in expected.items()})


def test_close_location_and_body_of_the_last_candle() -> None:
    quiet = [(100.0, 101.0, 99.0, 100.0)] * 400
    candles = candles_of([*quiet, (100.5, 102.0, 98.0, 101.0)])
    found = value_of(Momentum(), of_last(candles))
    atr = (13 * 2.0 + 4.0) / 14.0
    assert found["mom_close_location"] == pytest.approx(0.5)  # three quarters of the way up
    assert found["mom_body"] == pytest.approx(0.5 / atr)


def test_a_candle_without_a_range_closed_in_its_middle() -> None:
    candles = candles_of([(100.0, 101.0, 99.0, 100.0)] * 20 + [(100.0, 100.0, 100.0, 100.0)])
    assert value_of(Momentum(), of_last(candles))["mom_close_location"] == 0.0


def test_in_a_market_that_never_moved_nothing_is_measured_in_atrs() -> None:
    found = value_of(Momentum(), of_last(candles_of([(5.0, 5.0, 5.0, 5.0)] * 500)))
    assert found["mom_rsi"] == 0.0
    assert math.isnan(found["mom_ret_1"])
    assert math.isnan(found["mom_body"])


def test_an_atr_that_is_only_rounding_is_no_movement() -> None:
    candles = candles_of([(5.0, 6.0, 5.0, 5.0), *[(5.0, 5.0, 5.0, 5.0)] * 600, (5.0, 5.0, 5.0, 5.0)])
    assert math.isnan(value_of(Momentum(), of_last(candles))["mom_ret_1"])


def test_returns_count_the_candles_there_are() -> None:
    candles = walk(3, 600, missing=0.2)
    view = view_of(candles, [len(candles) - 1])
    assert int(candles.ts[-1]) - START_MS > 500 * 900_000
    move = (candles.close[-1] - candles.close[-17]) / view.atr[0]
    assert value_of(Momentum(), view)["mom_ret_16"] == pytest.approx(move)
