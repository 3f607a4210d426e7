"""Orders to simulate: the same for both sides."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.clock import MINUTE_MS
from core.schema import SIGNALS, Candles, conform

__all__ = ["made_signals"]

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
