"""Orders to simulate and candidates to describe: the same for both sides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.adapters.markets.synthetic import instrument_of
from core.clock import HOUR_MS, MINUTE_MS, timeframe_ms
from core.execution.costs import CostModel
from core.indicators.resample import resample
from core.schema import SIGNALS, Candles, conform
from core.setups.fibo_avwap import FiboAvwap

__all__ = ["made_candidates", "made_signals"]

COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
STOP_PCT, TARGET_PCT, NEAR_PCT, ATR_PCT = 0.75, 0.75, 0.02, 0.4


def made_signals(candles: Candles, n: int) -> pd.DataFrame:
    """Return `n` limit orders spread evenly over candles, each over after about 130 of them.

    Parameters
    ----------
    candles : Candles
        One-minute candles.
    n : int
        How many.
    """
    at = np.linspace(10, len(candles) - 5_000, n).astype(np.int64)
    side = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    close = candles.close[at]
    entry = close * (1.0 - side * NEAR_PCT / 100.0)
    decided = candles.ts[at] + MINUTE_MS
    texts = {name: "" for name, dtype in SIGNALS.items() if dtype == "str"}
    numbers = {name: 0 for name, dtype in SIGNALS.items() if dtype != "str"}
    columns = {
        "id": np.arange(1, n + 1),
        "ts_ms": candles.ts[at],
        "decided_ms": decided,
        "valid_until_ms": decided + 60 * 15 * MINUTE_MS,
        "timeframe": "15m",
        "direction": np.where(side > 0, "long", "short"),
        "order_type": "limit",
        "entry": entry,
        "sl": entry * (1.0 - side * STOP_PCT / 100.0),
        "tp1": entry * (1.0 + side * TARGET_PCT / 100.0),
        "tp2": entry * (1.0 + side * 2.0 * TARGET_PCT / 100.0),
        "atr": entry * ATR_PCT / 100.0,
    }
    return conform(pd.DataFrame({**texts, **numbers, **columns}, index=range(n)), SIGNALS)


def made_candidates(candles: Candles, timeframe: str) -> dict[str, Any]:
    """Return the plans the setup finds in a run, made-up funding and outcomes, as plain arrays by name.

    Parameters
    ----------
    candles : Candles
        One-minute candles.
    timeframe : str
        Of the plans.
    """
    start_ms, end_ms = int(candles.ts[0]), int(candles.ts[-1]) + MINUTE_MS
    longer, setup = resample(candles, timeframe_ms(timeframe), start_ms, end_ms), FiboAvwap(costs=COSTS)
    found = setup.find(longer, instrument_of("BTC/USDT:USDT"), timeframe, first=setup.warmup)
    texts = ("direction", "order_type", "regime_vol", "plan")
    numbers = ("ts_ms", "decided_ms", "entry", "sl", "tp1", "tp2", "atr")
    settled = np.arange(start_ms, end_ms, 8 * HOUR_MS)
    rng = np.random.default_rng(7)
    return {
        **{name: found[name].to_numpy(str) for name in texts},
        **{name: found[name].to_numpy() for name in numbers},
        "setup": np.full(len(found), setup.name),
        "known_ms": np.sort(found["decided_ms"].to_numpy() + rng.integers(1, 48, len(found)) * HOUR_MS),
        "r": rng.normal(size=len(found)),
        "funding": np.column_stack([settled, rng.normal(0.0, 1e-4, len(settled))]),
    }
