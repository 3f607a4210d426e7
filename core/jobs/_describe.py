"""Feature vectors of candidates: what the store holds around them, and nothing known later.

The law: live and retro describe a candidate from the same candles, settlements and outcomes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.clock import DAY_MS
from core.features import Outcomes
from core.jobs._book import begin, play_on, playable_to
from core.jobs._desk import Desk
from core.pipeline import Surroundings, describe
from core.schema import TRADES, Candles, FloatArray, empty_frame

__all__ = ["OUTCOMES_READ", "benchmark_of", "describe_live", "outcomes_with", "surroundings"]

LEADER = "BTC"  # whose pairs the rest of the market follows
OUTCOMES_READ = 1_000
"""Newest outcomes of a series that are looked at; features need twenty, and those of thirty days."""

_FUNDING_MS = 7 * DAY_MS


def benchmark_of(desk: Desk) -> str:
    """Return the followed symbol the market is measured by; ``""`` where it is not among them."""
    return next((symbol for symbol in desk.config.symbols if symbol.split("/")[0] == LEADER), "")


def surroundings(desk: Desk, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Surroundings:
    """Return what lies around a symbol's candles of ``[start_ms, end_ms)``."""
    leader = benchmark_of(desk)
    candles = desk.reader.candles(desk.exchange, leader, timeframe, start_ms, end_ms) if leader else Candles.empty()
    return Surroundings(candles, desk.reader.funding(desk.exchange, symbol, start_ms - _FUNDING_MS, end_ms))


def outcomes_with(desk: Desk, series: tuple[str, str, str], from_ms: int, own: pd.DataFrame) -> Outcomes:
    """Return how the newest candidates of a series ended: stored ones decided before a time, and later ones at hand.

    Parameters
    ----------
    desk : Desk
    series : (str, str, str)
        Symbol, timeframe and plan_hash.
    from_ms : int
        When the first of `own` was decided.
    own : pandas.DataFrame
        Columns `schema.TRADES`: candidates decided from then on, whether they are stored already or not.
    """
    symbol, timeframe, plan_hash = series
    asked = (desk.exchange, symbol, timeframe, desk.exits, plan_hash)
    known, r = desk.reader.outcomes(*asked, limit=OUTCOMES_READ, decided_before_ms=from_ms)
    closed = own[own["status"] == "CLOSED"]
    known = np.concatenate([known, closed["known_ms"].to_numpy(np.int64)])
    order = np.argsort(known, kind="stable")
    return Outcomes(known[order], np.concatenate([r, closed["r_multiple"].to_numpy(np.float64)])[order])


def describe_live(desk: Desk, signals: pd.DataFrame, candles: Candles, now_ms: int) -> FloatArray:
    """Return the vectors of one series' new candidates of one setup; without columns where features are off.

    Parameters
    ----------
    desk : Desk
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, at least one row.
    candles : Candles
        Of the series, with the warm-up of the features before the first candidate's.
    now_ms : int
        Market time.
    """
    if desk.features is None:
        return np.empty((len(signals), 0))
    symbol, timeframe, plan_hash = (str(signals[name].iloc[0]) for name in ("symbol", "timeframe", "plan_hash"))
    around = surroundings(desk, symbol, timeframe, int(candles.ts[0]), int(signals["decided_ms"].max()))
    own = _played(desk, signals, symbol, now_ms)
    outcomes = outcomes_with(desk, (symbol, timeframe, plan_hash), int(signals["decided_ms"].min()), own)
    return describe(signals, candles, timeframe, desk.features, desk.costs, around, outcomes)


def _played(desk: Desk, signals: pd.DataFrame, symbol: str, now_ms: int) -> pd.DataFrame:
    """Return the trades of candidates of several closes: what came of the first is known at the last."""
    if signals["decided_ms"].nunique() == 1:
        return empty_frame(TRADES)
    numbered = signals.assign(id=-1 - np.arange(len(signals), dtype=np.int64))
    trades, _ = play_on(desk, begin(desk, numbered), numbered, {symbol: playable_to(desk, symbol, now_ms)})
    return trades
