"""Worlds made of labels alone: plans, outcomes and features whose truth is known, with no candles behind them.

The price is a random walk, so the plan's geometry alone fixes the chance of the first target before the stop,
``p = 1 / (1 + rr1)``, and every plan is worth 0 R before costs. Half the position leaves at the first target, the
rest at the second or at the entry. A planted `edge` moves the log-odds of the first target by ``edge * s`` with
``s`` the column ``edge_signal``, standard normal: a world of opportunities and traps, on average worth about nothing.

Outcomes of one week share their fate (a Gaussian copula, correlation `WEEK_CORRELATION`), which leaves each
candidate's chance exactly what `true_p` says. The other columns know nothing of the outcomes; every second one hardly
moves within a week, as regimes do, so that what overfits is found out. Everything follows from the seed.

    world = label_world(3000, seed=1, edge=0.8)
    world.rows       # schema.TRAINING_ROWS, ordered by decided_ms
    world.vectors    # float64 (n, 50); world.columns names them
    world.true_p     # P(won) of each row, given all that can be known
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from core.clock import timeframe_ms
from core.schema import FloatArray, frame_of
from core.schema.learning import TRAINING_ROWS

__all__ = ["EDGE_COLUMN", "GEOMETRY_COLUMNS", "START_MS", "WEEK_MS", "LabelWorld", "label_world"]

START_MS = 1_672_617_600_000  # Monday 2023-01-02
WEEK_MS = 7 * 86_400_000
GEOMETRY_COLUMNS = ("geo_rr1", "geo_rr2", "geo_cost_r", "geo_sl_atr")
EDGE_COLUMN = "edge_signal"
WEEK_CORRELATION = 0.02
SYMBOLS = ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")
TIMEFRAMES = {"15m": (0.6, 0.006), "1h": (0.3, 0.012), "4h": (0.1, 0.025)}  # share of the rows, usual stop distance
_HOLD_CANDLES = 10.0  # mean


class LabelWorld(NamedTuple):
    """A world, row by row."""

    rows: pd.DataFrame
    vectors: FloatArray
    columns: tuple[str, ...]
    true_p: FloatArray


def label_world(
    n: int, seed: int, edge: float = 0.0, columns: int = 50, start: int = START_MS, weeks: int = 104
) -> LabelWorld:
    """Return a world of `n` finished candidates.

    Parameters
    ----------
    n : int
        Rows.
    seed : int
    edge : float
        Log-odds of winning per unit of the column ``edge_signal``; 0 is a random walk.
    columns : int
        Width of the vectors, 6 or more: the geometry, ``edge_signal``, and the rest noise.
    start : int
        UTC ms of the first week's Monday.
    weeks : int
        The decisions are spread evenly over so many.
    """
    rng = np.random.default_rng(seed)
    decided = np.sort(start + rng.integers(0, weeks * WEEK_MS // 60_000, n) * 60_000)
    timeframe = rng.choice(list(TIMEFRAMES), n, p=[share for share, _ in TIMEFRAMES.values()])
    usual_stop = np.array([TIMEFRAMES[name][1] for name in timeframe])
    stop_frac = usual_stop * np.exp(rng.normal(0.0, 0.25, n))
    sl_atr = rng.uniform(0.8, 2.5, n)
    rr1 = rng.uniform(0.8, 2.5, n)
    rr2 = rr1 + rng.uniform(0.5, 1.5, n)
    cost_r = np.minimum(0.001 / stop_frac, 0.3)
    signal = rng.normal(size=n)
    true_p = 1.0 / (1.0 + rr1 * np.exp(-edge * signal))
    won = _fates(rng, (decided - start) // WEEK_MS) < true_p
    runs_on = rng.random(n) < rr1 / rr2  # from the first target, with the stop at the entry: a random walk again
    gross_r = np.where(won, 0.5 * rr1 + 0.5 * rr2 * runs_on, -1.0)
    candle_ms = np.array([timeframe_ms(name) for name in timeframe])
    opened = decided + 60_000 * rng.integers(1, 30, n)
    known = opened + 60_000 * np.maximum(1, (rng.exponential(_HOLD_CANDLES, n) * candle_ms / 60_000).astype(np.int64))
    paid_r = np.clip(0.0001 * (known - opened) / (8 * 3_600_000) / stop_frac, 0.0, 0.05)  # 0.01 % every 8 h
    direction = rng.choice(["long", "short"], n)
    funding_r = np.where(direction == "long", paid_r, -paid_r)
    rows = {
        "signal_id": np.arange(1, n + 1),
        "symbol": rng.choice(SYMBOLS, n),
        "timeframe": timeframe,
        "setup": "fibo_avwap",
        "direction": direction,
        "regime_trend": rng.choice(["trend", "range"], n),
        "regime_vol": rng.choice(["low", "normal", "high"], n),
        "decided_ms": decided,
        "opened_ms": opened,
        "known_ms": known,
        "stop_frac": stop_frac,
        "rr1": rr1,
        "rr2": rr2,
        "cost_r": cost_r,
        "won": won.astype(np.float64),
        "net_r": gross_r - cost_r - funding_r,
        "gross_r": gross_r,
        "funding_pct": 100.0 * funding_r * stop_frac,
    }
    noise = _noise(rng, (decided - start) // WEEK_MS, columns - len(GEOMETRY_COLUMNS) - 1)
    vectors = np.column_stack([rr1, rr2, cost_r, sl_atr, signal, noise])
    names = (*GEOMETRY_COLUMNS, EDGE_COLUMN, *(f"noise_{i:02d}" for i in range(noise.shape[1])))
    return LabelWorld(frame_of(rows, n, TRAINING_ROWS), vectors, names, true_p)


def _fates(rng: np.random.Generator, week: FloatArray) -> FloatArray:
    """Return uniform numbers that are alike within a week."""
    shared = rng.normal(size=int(week.max(initial=0)) + 1)[week]
    own = rng.normal(size=len(week))
    return ndtr(np.sqrt(WEEK_CORRELATION) * shared + np.sqrt(1.0 - WEEK_CORRELATION) * own)


def _noise(rng: np.random.Generator, week: FloatArray, k: int) -> FloatArray:
    """Return columns that know nothing; every second one is nearly constant within a week, a few values are NaN."""
    noise = rng.normal(size=(len(week), k))
    slow = np.cumsum(rng.normal(0.0, 0.3, size=(int(week.max(initial=0)) + 1, k)), axis=0)
    noise[:, ::2] = slow[week][:, ::2] + 0.1 * noise[:, ::2]
    noise[rng.random(noise.shape) < 0.01] = np.nan
    return noise
