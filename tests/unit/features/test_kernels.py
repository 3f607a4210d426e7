"""The kernels behind the features: against an independent library, by brute force, and as plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ta.momentum import KAMAIndicator, RSIIndicator
from ta.trend import EMAIndicator, SMAIndicator
from ta.volatility import BollingerBands, DonchianChannel
from ta.volume import VolumeWeightedAveragePrice

from core.indicators import averages, momentum, volume
from core.indicators.avwap import anchored_vwap
from core.schema import Candles
from tests.unit.features.worlds import walk

N = 400
LAST = np.arange(N)


@pytest.fixture(scope="module")
def run() -> Candles:
    return walk(1, N, missing=0.0)


@pytest.mark.parametrize("span", [1, 5, 50])
def test_the_exponential_average_equals_the_reference_library(run: Candles, span: int) -> None:
    expected = EMAIndicator(pd.Series(run.close), span).ema_indicator().to_numpy()
    np.testing.assert_allclose(averages.ema(run.close, span), expected, rtol=1e-12)


@pytest.mark.parametrize("period", [2, 14])
def test_rsi_equals_the_reference_library(run: Candles, period: int) -> None:
    expected = RSIIndicator(pd.Series(run.close), period).rsi().to_numpy()
    np.testing.assert_allclose(momentum.wilder_rsi(run.close, period), expected, rtol=1e-10)


def test_mean_and_spread_of_a_window_equal_the_reference_library(run: Candles) -> None:
    mean = SMAIndicator(pd.Series(run.close), 20).sma_indicator().to_numpy()
    bands = BollingerBands(pd.Series(run.close), 20, 2)
    width = (bands.bollinger_hband() - bands.bollinger_lband()).to_numpy()
    np.testing.assert_allclose(averages.window_mean(run.close, LAST, 20), mean, rtol=1e-12)
    np.testing.assert_allclose(4.0 * averages.window_std(run.close, LAST, 20), width, rtol=1e-8)


def test_the_extremes_of_a_window_equal_the_reference_library(run: Candles) -> None:
    channel = DonchianChannel(*(pd.Series(column) for column in (run.high, run.low, run.close)), window=20)
    lowest, highest = averages.window_extremes(run.high, run.low, LAST, 20)
    np.testing.assert_array_equal(lowest, channel.donchian_channel_lband())
    np.testing.assert_array_equal(highest, channel.donchian_channel_hband())


def test_the_averages_from_an_anchor_equal_the_reference_library_and_the_anchored_kernel(run: Candles) -> None:
    columns = (run.high, run.low, run.close, run.volume)
    window = VolumeWeightedAveragePrice(*(pd.Series(column) for column in columns), window=30)
    found = averages.vwap_between(*columns, LAST - 29, LAST)
    np.testing.assert_allclose(found, window.volume_weighted_average_price(), rtol=1e-12)
    whole = anchored_vwap(*columns, 100)
    from_there = averages.vwap_between(*columns, np.full(N - 100, 100), LAST[100:])
    np.testing.assert_array_equal(from_there, whole[100:])


def test_efficiency_is_the_one_behind_kaufmans_average(run: Candles) -> None:
    found = momentum.efficiency_ratio(run.close, LAST, 10)
    kama = KAMAIndicator(pd.Series(run.close), 10, 2, 30).kama().to_numpy()
    smooth = (np.abs(found) * (2 / 3 - 2 / 31) + 2 / 31) ** 2
    stepped = kama[:-1] + smooth[1:] * (run.close[1:] - kama[:-1])
    np.testing.assert_allclose(stepped[20:], kama[21:], rtol=1e-12)
    steps = np.sign(run.close[10:] - run.close[:-10])
    np.testing.assert_array_equal(np.sign(found[10:]), steps)


def test_scores_and_ranks_equal_pandas(run: Candles) -> None:
    traded = pd.Series(run.volume)
    score = (traded - traded.rolling(30).mean()) / traded.rolling(30).std(ddof=0)
    np.testing.assert_allclose(volume.z_score(run.volume, LAST, 30), score, rtol=1e-8)
    coarse = np.round(run.close)
    rank = pd.Series(coarse).rolling(50).rank(pct=True) - 0.5 / 50
    np.testing.assert_allclose(averages.window_rank(coarse, LAST, 50, 50), rank, rtol=1e-12)
    share = 2.0 * pd.Series(run.taker_volume).rolling(16).sum() / traded.rolling(16).sum() - 1.0
    np.testing.assert_allclose(volume.taker_imbalance(run.volume, run.taker_volume, LAST, 16), share, rtol=1e-8)


def test_a_rank_needs_so_many_known_values() -> None:
    values = np.array([np.nan, 3.0, np.nan, 1.0, 2.0])
    assert averages.window_rank(values, np.array([4]), 5, 3).tolist() == [0.5]
    assert np.isnan(averages.window_rank(values, np.array([4]), 5, 4)).all()
    assert np.isnan(averages.window_rank(values, np.array([2]), 5, 1)).all()


def test_a_window_that_is_not_full_or_not_known_says_nothing() -> None:
    values = np.array([np.nan, 1.0, 2.0, 4.0])
    positions = np.array([-1, 0, 1, 2, 3])
    for kernel in (averages.window_mean, averages.window_std, volume.z_score, momentum.efficiency_ratio):
        found = kernel(values, positions, 2)
        assert np.isnan(found[:3]).all()
        assert np.isfinite(found[4])


def test_equal_values_have_no_spread_at_all() -> None:
    values = np.full(200, 0.1)
    assert (averages.window_std(values, np.array([150, 199]), 96) == 0.0).all()
    assert np.isnan(volume.z_score(values, np.array([199]), 96)).all()


def test_no_values_give_none() -> None:
    none, nowhere = np.empty(0), np.empty(0, dtype=np.int64)
    assert len(averages.ema(none, 5)) == len(momentum.wilder_rsi(none, 5)) == 0
    assert len(averages.window_mean(none, nowhere, 5)) == 0
    assert np.isnan(averages.window_mean(none, np.array([-1]), 5)).all()


def test_the_exponential_average_forgets_where_it_began(run: Candles) -> None:
    memory = averages.EMA_MEMORY * (5 + 1)
    other = run.close.copy()
    other[: N - memory] *= 3.0
    assert averages.ema(other, 5)[-1] == pytest.approx(averages.ema(run.close, 5)[-1], rel=1e-13)


def calls(run: Candles) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    at = np.array([-1, 3, 57, 210, N - 1])
    first = np.array([-1, 0, 30, 211, 300])
    of_prices = (run.high, run.low, run.close, run.volume)
    return {
        "ema": (averages.ema, (run.close, 20)),
        "window_mean": (averages.window_mean, (run.close, at, 20)),
        "window_std": (averages.window_std, (run.close, at, 20)),
        "window_rank": (averages.window_rank, (run.close, at[1:], 100, 50)),
        "window_extremes": (averages.window_extremes, (run.high, run.low, at, 20)),
        "mean_between": (volume.mean_between, (run.volume, first, at)),
        "vwap_between": (averages.vwap_between, (*of_prices, first, at)),
        "wilder_rsi": (momentum.wilder_rsi, (run.close, 14)),
        "efficiency_ratio": (momentum.efficiency_ratio, (run.close, at, 20)),
        "change_over": (momentum.change_over, (run.close, at, 20)),
        "z_score": (volume.z_score, (run.volume, at, 20)),
        "taker_imbalance": (volume.taker_imbalance, (run.volume, run.taker_volume, at, 20)),
    }


def test_every_kernel_is_compared_with_its_plain_text(run: Candles) -> None:
    written = {name for module in (averages, momentum, volume) for name in module.__all__ if name.islower()}
    assert set(calls(run)) == written


@pytest.mark.parametrize("name", sorted(calls(walk(1, N, missing=0.0))))
def test_the_plain_python_text_gives_the_compiled_result_and_changes_no_input(name: str, run: Candles) -> None:
    kernel, given = calls(run)[name]
    arrays = [value for value in given if isinstance(value, np.ndarray)]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    # sums over many terms may be taken in another order by the compiler
    np.testing.assert_allclose(kernel(*given), kernel.py_func(*given), rtol=1e-12)  # type: ignore[attr-defined]
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
