"""The arithmetic and the measurements of docs/setups/fibo_avwap.md."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.adapters.markets.files import read_candles
from core.clock import MINUTE_MS, timeframe_ms
from core.indicators.legs import LegRules, LegWindow, Prices, empty_window, follow, learn
from core.indicators.resample import resample
from core.indicators.swings import swing_pivots
from core.indicators.volatility import wilder_atr
from core.results.rows import result_rows
from core.results.statistics import summarize
from core.schema import Candles, Instrument
from core.setups.fibo_avwap import STOP_BUFFER, FiboAvwap
from core.store.reader import Reader
from core.store.writer import Writer
from tests.docs.pages import table_after, text_of
from tests.engine import trader, write_config

PAGE = text_of("docs/setups/fibo_avwap.md")
SETUP = FiboAvwap()
SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
TICK = 0.01  # the price step of these three markets in 2023
realdata = pytest.mark.realdata
needs_candles = pytest.mark.skipif("TRADER_REALDATA" not in os.environ, reason="TRADER_REALDATA names no folder")


def reward_to_risk(leg_atr: float) -> float:
    """Reward to risk at TP1 of a leg, ATRs, from the setup's own parameters."""
    reward = (SETUP.entry_level + SETUP.tp1_ext - 1.0) * leg_atr
    risk = (1.0 - SETUP.entry_level) * leg_atr + STOP_BUFFER * SETUP.atr_mult_sl
    return reward / risk


def test_reward_to_risk_follows_from_the_size_of_the_leg() -> None:
    for leg, told in table_after(PAGE, "<!-- reward to risk -->"):
        assert f"{reward_to_risk(float(leg)):.2f}" == told


def test_the_win_rate_of_the_geometry_and_break_even_are_computed_right() -> None:
    odds = 1.7
    assert f"of 1.7 that is {1 / (1 + odds):.2f}." in PAGE
    assert f"With 0.1 R of costs, about what 15-minute trades paid, break-even is {1.1 / (1 + odds):.2f}." in PAGE
    assert 0.60 - 1 / (1 + odds) > 0.20  # more than 20 points over chance


def test_a_walk_without_direction_reaches_the_target_first_as_often_as_the_formula_says() -> None:
    rng = np.random.default_rng(7)
    tp, sl, walks = 17, 10, 4_000
    place, wins, running = np.zeros(walks, dtype=np.int64), 0, walks
    while running:
        place = place + rng.choice((-1, 1), len(place))
        wins += int((place >= tp).sum())
        place = place[(place < tp) & (place > -sl)]
        running = len(place)
    expected = sl / (sl + tp)
    assert abs(wins / walks - expected) < 4 * math.sqrt(expected * (1 - expected) / walks)


def test_the_warm_up_on_the_page_is_the_setups() -> None:
    assert f"It needs {SETUP.warmup} candles" in PAGE


# -- measured on recorded candles


def recorded() -> Iterator[tuple[str, Path]]:
    folder = Path(os.environ["TRADER_REALDATA"]) / "candles"
    for symbol in SYMBOLS:
        yield symbol, next(folder.glob(f"binance_{symbol.replace('/', '')}_1m_2023*"))


def large_and_late(candles: Candles) -> tuple[int, int]:
    """Count the large enough legs, and those whose entry was touched before their end was known."""
    atr = wilder_atr(candles.high, candles.low, candles.close, SETUP.atr_period)
    prices = Prices(candles.high, candles.low, candles.close, candles.volume, atr)
    rules = LegRules(
        SETUP.anchors_to_consider, SETUP.min_leg_atr, SETUP.entry_level, SETUP.tp1_ext, SETUP.tp2_ext, TICK
    )
    pivots, sides = swing_pivots(candles.high, candles.low, SETUP.piv_window)
    window: LegWindow = empty_window(rules)
    rows = large = late = upcoming = 0
    for t in range(len(candles)):
        follow(window, rows, prices, t)
        if upcoming == len(pivots) or pivots[upcoming] + SETUP.piv_window != t:
            continue
        b = int(pivots[upcoming])
        rows = learn(window, rows, b, sides[upcoming], prices, t, rules)
        upcoming += 1
        leg, anchor = window[rows - 1], window[rows - 2]
        size = leg["end"] - leg["origin"]
        if rows < 2 or leg["position"] != b or not anchor["may_anchor"] or not size >= rules.min_leg_atr * atr[b]:
            continue
        large += 1
        after = slice(b + 1, t + 1)
        lows = candles.low[after] if leg["side"] > 0 else -candles.high[after]
        late += bool((lows <= leg["entry"]).any())
    return large, late


@realdata
@needs_candles
def test_the_share_of_legs_that_come_too_late_is_the_one_measured() -> None:
    minutes = {symbol: read_candles(path) for symbol, path in recorded()}
    for timeframe, told_legs, told_share in table_after(PAGE, "<!-- late legs -->"):
        step = timeframe_ms(timeframe)
        found = [
            large_and_late(resample(run, step, int(run.ts[0]), int(run.ts[-1]) + MINUTE_MS)) for run in minutes.values()
        ]
        large, late = (sum(column) for column in zip(*found, strict=True))
        assert (str(large), f"{100 * late / large:.1f} %") == (told_legs, told_share), timeframe


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The result rows of the recorded year, all candidates."""
    folder = tmp_path_factory.mktemp("year")
    config = write_config(folder, {"symbols": list(SYMBOLS), "exchange": {"id": "binance"}})
    for symbol, path in recorded():
        assert trader(config, "download-data", "--import", str(path), "--symbol", symbol) == 0
    with Writer(folder / "ohlcv.db") as writer:
        writer.put_instruments([Instrument("binance", symbol, tick=TICK) for symbol in SYMBOLS])
    assert trader(config, "retro-scan") == 0
    reader = Reader(folder / "ohlcv.db")
    return result_rows(reader.trades(), reader.signals())


@realdata
@needs_candles
def test_the_results_of_the_year_are_the_ones_measured(year: pd.DataFrame) -> None:
    words = re.sub(r"\s+", " ", PAGE)
    found = summarize(year)
    win, r = found.win_rate, found.expectancy_r
    interval = f"{win.low:.3f} to {win.high:.3f}"
    assert f"was {win.value:.2f} over {found.n_closed:,} closed trades (95 % interval {interval})" in words
    assert f"Break-even was {found.break_even:.2f} there" in words
    assert f"the mean result was {r.value:.2f} R a trade ({r.low:.2f} to {r.high:.2f})" in words
    assert "lost money" in words
    assert r.high < 0


@realdata
@needs_candles
def test_win_rate_and_costs_of_the_year_stand_to_the_geometry_as_the_page_says(year: pd.DataFrame) -> None:
    closed = year[year["status"] == "CLOSED"]
    timed_out = closed[closed["exit_reason"] == "TIMEOUT"]
    assert (timed_out["pnl_pct"] > 0).mean() == pytest.approx(2 / 3, abs=0.01)
    assert timed_out["r_multiple"].mean() < 0.5
    quarter_hours = closed[closed["timeframe"] == "15m"]
    risk_pct = 100 * (quarter_hours["entry"] - quarter_hours["sl"]).abs() / quarter_hours["entry"]
    assert (quarter_hours["fees_pct"] / risk_pct).mean() == pytest.approx(0.1, abs=0.01)
