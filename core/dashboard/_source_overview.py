"""What the overview reads: unfinished trades, newest prices, and how alike the open symbols move.

The law: bounded questions; whatever the record's length, a day of minutes and a month of hours are all it reads.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.clock import DAY_MS, HOUR_MS
from core.dashboard._source import Snapshot
from core.gate import Evidence
from core.results.positions import correlations, positions
from core.schema import FloatArray
from core.store.reader import Reader

__all__ = ["Price", "alike_of", "evidence_of", "open_positions", "price_of"]

_MONTH = 30 * 24  # hours
_SIGNAL_COLUMNS = [
    *("id", "symbol", "timeframe", "direction", "entry", "sl", "tp1", "tp2", "decided_ms", "position_notional")
]

Price = tuple[float, float, list[float]]  # newest close, change over a day in percent, its course


@st.cache_data(ttl=600, max_entries=8, show_spinner=False)
def price_of(snapshot: Snapshot, exchange: str, symbol: str) -> Price | None:
    """Return the newest close of a symbol, its change over 24 hours and its course; None without a candle."""
    minutes = Reader(Path(snapshot.path)).last_candles(exchange, symbol, "1m", 1441)
    if not len(minutes):
        return None
    day = minutes.close[minutes.ts >= minutes.ts[-1] - DAY_MS]
    course = day[:: max(1, len(day) // 48)]
    return float(day[-1]), 100.0 * (float(day[-1]) / float(day[0]) - 1.0), [float(close) for close in course]


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def open_positions(snapshot: Snapshot, exchange: str, exit_policy: str) -> pd.DataFrame:
    """Return the unfinished trades of the account beside the newest prices, columns `positions.POSITIONS`."""
    reader = Reader(Path(snapshot.path))
    trades = reader.trades(exchange=exchange, exit_policy=exit_policy, status=["PENDING", "OPEN"])
    trades = trades[trades["taken"] == 1]
    signals = reader.signals(ids=[int(number) for number in trades["signal_id"]], columns=_SIGNAL_COLUMNS)
    prices: dict[str, float] = {}
    for symbol in signals["symbol"].unique():
        newest = reader.last_candles(exchange, symbol, "1m", 1)
        if len(newest):
            prices[symbol] = float(newest.close[-1])
    return positions(trades, signals, prices)


@st.cache_data(ttl=3600, max_entries=8, show_spinner=False)
def alike_of(path: str, hour: int, exchange: str, symbols: tuple[str, ...]) -> pd.DataFrame:
    """Return the correlations of hourly log returns over the 30 days before an hour since 1970; kept for that hour."""
    reader = Reader(Path(path))
    end_ms = hour * HOUR_MS
    closes: dict[str, FloatArray] = {}
    for symbol in symbols:
        found = reader.candles(exchange, symbol, "1h", end_ms - _MONTH * HOUR_MS, end_ms)
        row = np.full(_MONTH, np.nan)
        row[(found.ts - (end_ms - _MONTH * HOUR_MS)) // HOUR_MS] = found.close
        closes[symbol] = row
    return correlations(closes)


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def evidence_of(snapshot: Snapshot) -> tuple[str, Evidence | None]:
    """Return the model in force, ``""`` for none, and the newest evidence of a tuning, None where there was none."""
    reader = Reader(Path(snapshot.path))
    reigns, rows = reader.reigns(), reader.thresholds(limit=1)
    version = str(reigns["version"].iloc[-1]) if len(reigns) else ""
    return version, Evidence.from_json(json.loads(rows["evidence"].iloc[0])) if len(rows) else None
