"""What the overview reads: unfinished trades, newest prices, and how alike the open symbols move.

The law: bounded questions; whatever the record's length, a day of minutes and a month of hours are all it reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.clock import DAY_MS, HOUR_MS
from core.dashboard._snapshot import Snapshot
from core.dashboard._source_record import taken_at
from core.gate import Evidence
from core.results.equity import account_curve
from core.results.metrics import Metric, account_metrics, metrics
from core.results.positions import correlations, positions
from core.results.rows import closed_rows
from core.results.statistics import summarize
from core.schema import FloatArray
from core.store.reader import Reader

__all__ = ["Book", "Price", "alike_of", "book_of", "evidence_of", "open_positions", "price_of"]

_MONTH = 30 * 24  # hours
_SIGNAL_COLUMNS = [
    *("id", "symbol", "timeframe", "direction", "entry", "sl", "tp1", "tp2", "decided_ms", "position_notional")
]

_COURSE = 60  # points of the account's course

Price = tuple[float, float, list[float]]  # newest close, change over a day in percent, its course


@dataclass(frozen=True, slots=True)
class Book:
    """What the taken trades made.

    Parameters
    ----------
    n : int
        How many there are, finished or not.
    figures : dict of str to Metric
        By label.
    today_n : int
        Those that ended on the UTC day of the newest candle.
    today_usd, today_r : float
        What they made.
    balance, fall : Metric or None
        The account and its deepest fall; None where no capital is configured.
    change_pct : float
        Of the account since its start.
    course : list of float
        Of the account, oldest first.
    """

    n: int
    figures: dict[str, Metric]
    today_n: int = 0
    today_usd: float = 0.0
    today_r: float = 0.0
    balance: Metric | None = None
    fall: Metric | None = None
    change_pct: float = 0.0
    course: list[float] = field(default_factory=list)


@st.cache_data(ttl=600, max_entries=4, show_spinner=False)
def book_of(snapshot: Snapshot, exchange: str, exit_policy: str, capital_usd: float | None, now_ms: int) -> Book:
    """Return what the taken trades of the newest plan made, counted once for each state of the database."""
    rows = taken_at(snapshot, exchange, exit_policy)
    if rows.empty:
        return Book(0, {})
    done = closed_rows(rows)
    today = done[done["known_ms"] >= now_ms // DAY_MS * DAY_MS]
    told = Book(
        n=len(rows),
        figures={metric.label: metric for metric in metrics(summarize(rows))},
        today_n=len(today),
        today_usd=float((today["pnl_pct"] / 100.0 * today["position_notional"]).sum()),
        today_r=float(today["r_multiple"].sum()),
    )
    if capital_usd is None:
        return told
    curve = account_curve(rows, capital_usd)
    balance, fall = account_metrics(curve)
    course = np.concatenate([[curve.start], curve.balance])
    return replace(
        told,
        balance=balance,
        fall=fall,
        change_pct=100.0 * (curve.end / curve.start - 1.0),
        course=course[:: max(1, len(course) // _COURSE)].tolist(),
    )


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
