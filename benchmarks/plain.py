"""The other side of each comparison: the same work as a plain Python program does it.

The law: no side is made slower than its plain form needs to be, and none imports the engine's store: standard
`sqlite3` and ours never meet in one process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from benchmarks._measure import Round, Sample

__all__ = ["AGGREGATE", "connect", "ingest", "load", "resample", "scan", "simulate"]

SERIES = 1
NARROW = ("series_id", "ts_ms", "open", "high", "low", "close", "volume")
WIDE = (*NARROW, "taker_volume", "n_minutes", "first_seen_ms")
AGGREGATE = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


def connect(path: Path) -> sqlite3.Connection:
    """Open a database as a careful script does: a write-ahead log, everything else as it comes."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    return connection


def _create(path: Path, columns: tuple[str, ...]) -> sqlite3.Connection:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    connection = connect(path)
    kinds = [f"{name} {'REAL' if name in AGGREGATE or 'volume' in name else 'INTEGER'}" for name in columns]
    connection.execute(f"CREATE TABLE candle ({', '.join(kinds)}, PRIMARY KEY (series_id, ts_ms)) WITHOUT ROWID")
    return connection


def _rows(candles: str, columns: tuple[str, ...]) -> list[np.ndarray[Any, Any]]:
    with np.load(candles) as year:
        stored = {**year, "ts_ms": year["ts"]}
    constant = {"series_id": SERIES, "first_seen_ms": 0}
    n = len(stored["ts"])
    return [stored[name] if name in stored else np.full(n, constant[name]) for name in columns]


def _insert(connection: sqlite3.Connection, columns: tuple[str, ...], values: list[np.ndarray[Any, Any]]) -> None:
    places = ",".join("?" * len(columns))
    rows = zip(*(value.tolist() for value in values), strict=True)
    connection.executemany(f"INSERT INTO candle ({', '.join(columns)}) VALUES ({places})", rows)


def ingest(candles: str, folder: str, wide: bool) -> Round:
    """Insert a year of minutes into an empty table with one `executemany`: our columns, or prices and volume only."""
    columns = WIDE if wide else NARROW
    values, path = _rows(candles, columns), Path(folder) / "plain.db"

    def once() -> Sample:
        connection = _create(path, columns)
        began = perf_counter()
        with connection:
            _insert(connection, columns, values)
        took = perf_counter() - began
        connection.close()
        return {"s": took}

    return once


def load(candles: str, folder: str) -> Round:
    """Read a year of minutes with `pandas.read_sql`: prices and volume, from the narrowest table that holds them."""
    connection = _create(Path(folder) / "plain.db", NARROW)
    with connection:
        _insert(connection, NARROW, _rows(candles, NARROW))

    def once() -> Sample:
        began = perf_counter()
        frame = _read(connection)
        return {"s": perf_counter() - began, "rows": len(frame)}

    return once


def _read(connection: sqlite3.Connection) -> pd.DataFrame:
    columns = ", ".join(NARROW[1:])
    question = f"SELECT {columns} FROM candle WHERE series_id = ? ORDER BY ts_ms"
    return pd.read_sql(question, connection, params=(SERIES,))


def resample(candles: str, folder: str, minutes: list[int]) -> Round:
    """Read a year, resample it with pandas to some lengths, insert each with `executemany`."""
    path, values = Path(folder) / "plain.db", _rows(candles, NARROW)

    def once() -> Sample:
        connection = _create(path, NARROW)
        with connection:
            _insert(connection, NARROW, values)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        began, n = perf_counter(), 0
        frame = _read(connection)
        frame.index = pd.to_datetime(frame["ts_ms"], unit="ms")
        for series, length in enumerate(minutes, SERIES + 1):
            longer = frame.resample(f"{length}min").agg(AGGREGATE).dropna()
            ts = longer.index.astype("datetime64[ms]").astype("int64").to_numpy()
            columns = [np.full(len(ts), series), ts, *(longer[name].to_numpy() for name in AGGREGATE)]
            with connection:
                _insert(connection, NARROW, columns)
            n += len(longer)
        took = perf_counter() - began
        connection.close()
        return {"s": took, "rows": n}

    return once


def scan(candles: str, minutes: int, atr: str, sample: int) -> Round:
    """Decide closes one by one, each from a window of the last 300 candles; `atr` is ``lfilter`` or ``ta``."""
    with np.load(candles) as year:
        n = len(year["ts"]) // minutes
        h, low, c, v = (year[name][: n * minutes].reshape(n, minutes) for name in ("high", "low", "close", "volume"))
    high, lows, close, volume = h.max(axis=1), low.min(axis=1), c[:, -1].copy(), v.sum(axis=1)
    closes = np.linspace(1_000, n - 1, sample).astype(np.int64)
    smooth = _ta_atr if atr == "ta" else _filtered_atr

    def once() -> Sample:
        began, plans = perf_counter(), 0
        for t in closes:
            part = slice(t - 299, t + 1)
            plans += decide_window(high[part], lows[part], close[part], volume[part], smooth)
        took = perf_counter() - began
        return {"s": took, "us": 1e6 * took / sample, "plans": plans}

    return once


Window = np.ndarray[Any, np.dtype[np.float64]]


def _filtered_atr(high: Window, low: Window, close: Window) -> Window:
    """Wilder's average by SciPy's filter, a loop in C as TA-Lib's is."""
    before = np.concatenate((close[:1], close[:-1]))
    true_range = np.maximum(high, before) - np.minimum(low, before)
    out, _ = lfilter([1.0 / 14], [1.0, -13.0 / 14], true_range, zi=[true_range[:14].mean() * 13.0 / 14])
    return np.asarray(out)


def _ta_atr(high: Window, low: Window, close: Window) -> Window:
    from ta.volatility import AverageTrueRange

    found = AverageTrueRange(pd.Series(high), pd.Series(low), pd.Series(close), window=14)
    return found.average_true_range().to_numpy()


def decide_window(
    high: Window, low: Window, close: Window, volume: Window, smooth: Callable[[Window, Window, Window], Window]
) -> int:
    """Look for a pullback plan at the last candle of a window; return how many legs give one."""
    atr, w = smooth(high, low, close), 5
    tops = np.lib.stride_tricks.sliding_window_view(high, 2 * w + 1).max(axis=1) == high[w:-w]
    bottoms = np.lib.stride_tricks.sliding_window_view(low, 2 * w + 1).min(axis=1) == low[w:-w]
    at = np.flatnonzero(tops | bottoms)
    pivots: list[tuple[int, int]] = []
    for i, top in zip((at + w).tolist(), tops[at].tolist(), strict=True):
        if pivots and (pivots[-1][1] > 0) == top:
            last = pivots[-1][0]
            if (high[i] > high[last]) if top else (low[i] < low[last]):
                pivots[-1] = (i, pivots[-1][1])
        else:
            pivots.append((i, 1 if top else -1))
    turnover, traded = np.cumsum((high + low + close) / 3.0 * volume), np.cumsum(volume)
    legs = list(zip(pivots[-4:-1], pivots[-3:], strict=True))
    return sum(_has_plan(a, b, side, high, low, close, atr, turnover, traded) for (a, _), (b, side) in legs)


def _has_plan(
    a: int, b: int, side: int, high: Window, low: Window, close: Window, atr: Window, turnover: Window, traded: Window
) -> bool:
    up = side > 0
    origin, end = (low[a], high[b]) if up else (-high[a], -low[b])
    size = end - origin
    if size < 3.0 * atr[b]:
        return False
    entry, tp1, sl = end - 0.618 * size, end + 0.272 * size, origin - 0.75 * atr[-1]
    bottom, top = (low[b + 1 :], high[b + 1 :]) if up else (-high[b + 1 :], -low[b + 1 :])
    if bottom.min() <= entry or top.max() > tp1 or (side * close[a + 1 :]).min() < origin:
        return False
    before = (turnover[a - 1], traded[a - 1]) if a else (0.0, 0.0)
    avwap = (turnover[-1] - before[0]) / (traded[-1] - before[1])
    distance = side * close[-1] - entry
    near = 0.0 <= distance <= 3.0 * atr[-1]
    return bool(near and (tp1 - entry) / (entry - sl) >= 1.0 and side * (close[-1] - avwap) > 0.0)


def simulate(candles: str, orders: str, sample: int) -> Round:
    """Play orders one by one, looking for fill, stop and targets in slices of the candles."""
    with np.load(candles) as year:
        ts, o, h, low = (year[name] for name in ("ts", "open", "high", "low"))
    sides = {1: (o, h, low), -1: (-o, -low, -h)}
    with np.load(orders) as stored:
        plans = list(zip(*(stored[name][:sample].tolist() for name in ORDER), strict=True))

    def once() -> Sample:
        began, outcomes = perf_counter(), []
        for side, decided, *levels in plans:
            first = int(np.searchsorted(ts, decided + 60_000))
            outcomes.append(play_order(*sides[side], first, *(side * level for level in levels[:4]), levels[4]))
        took = perf_counter() - began
        net, best, worst = np.array(outcomes).sum(axis=0).tolist()
        return {"s": took, "us": 1e6 * took / len(plans), "sum_pct": net, "best_pct": best, "worst_pct": worst}

    return once


ORDER = ("side", "decided_ms", "entry", "sl", "tp1", "tp2", "atr")
MAKER_PCT, TAKER_PCT, SLIPPAGE, VALID, HOLD = 0.02, 0.06, 0.0002, 900, 1_440


Outcome = tuple[float, float, float]
"""What is left of a trade after costs, and how far it went for and against it: percent of the fill price."""


def play_order(
    o: Window, h: Window, low: Window, first: int, entry: float, sl: float, tp1: float, tp2: float, atr: float
) -> Outcome:
    """Play one limit order as a long sees it: half out at the first target, then break-even and a trail."""
    if o[first] <= sl or o[first] >= tp1:
        return 0.0, 0.0, 0.0
    end = first + VALID - 1  # the order is there a minute after the decision
    touched, missed = low[first:end] <= entry, h[first:end] >= tp1
    at = int(touched.argmax()) if touched.any() else VALID
    if at == VALID or (missed.any() and int(missed.argmax()) < at):
        return 0.0, 0.0, 0.0
    crossing = at == 0 and o[first] <= entry
    fill = o[first] + SLIPPAGE * abs(o[first]) if crossing else entry
    fees, k = (TAKER_PCT if crossing else MAKER_PCT), first + at
    if low[k] <= sl:
        return _left(min(sl, o[k]), fill, 1.0) - fees, *_reach(fill, h[k], low[k])
    last = k + HOLD
    down, up = low[k + 1 : last] <= sl, h[k + 1 : last] >= tp1
    stopped = int(down.argmax()) if down.any() else HOLD
    reached = int(up.argmax()) if up.any() else HOLD
    if stopped == reached == HOLD:
        return _left(o[last], fill, 1.0) - fees, *_between(o, h, low, k, last, fill, o[last])
    j = k + 1 + min(stopped, reached)
    if stopped < reached or (stopped == reached and o[j] < tp1):
        net = _left(min(sl, o[j]), fill, 1.0) - fees
        return net, *_between(o, h, low, k, j, fill, fill if o[j] <= sl else None)
    net = 0.5 * 100.0 * (tp1 - fill) / abs(fill) - MAKER_PCT * 0.5 * abs(tp1 / fill) - fees
    best = np.maximum.accumulate(h[k + 1 : last])
    stops = np.maximum(max(sl, fill), np.maximum(best[j - k - 1 : -1], fill) - atr)
    rest = slice(j + 1, last)
    hit = (low[rest] <= stops) | (h[rest] >= tp2)
    if not hit.any():
        return net + _left(o[last], fill, 0.5), *_between(o, h, low, k, last, fill, o[last])
    i = int(hit.argmax())
    j, stop = j + 1 + i, stops[i]
    if o[j] <= stop or (o[j] < tp2 and low[j] <= stop):
        net += _left(min(stop, o[j]), fill, 0.5)
        return net, *_between(o, h, low, k, j, fill, fill if o[j] <= stop else None)
    net += 0.5 * 100.0 * (tp2 - fill) / abs(fill) - MAKER_PCT * 0.5 * abs(tp2 / fill)
    return net, *_between(o, h, low, k, j, fill, None)


def _between(
    o: Window, h: Window, low: Window, k: int, j: int, fill: float, at_open: float | None
) -> tuple[float, float]:
    """Return the excursions after candle k up to candle j; of a candle left at its open only that price counts."""
    end = j + 1 if at_open is None else j
    best, worst = h[k + 1 : end].max(initial=fill), low[k + 1 : end].min(initial=fill)
    if at_open is not None:
        best, worst = max(best, at_open), min(worst, o[j])
    return _reach(fill, best, worst)


def _reach(fill: float, best: float, worst: float) -> tuple[float, float]:
    return max(0.0, 100.0 * (best - fill) / abs(fill)), min(0.0, 100.0 * (worst - fill) / abs(fill))


def _left(price: float, fill: float, part: float) -> float:
    paid = price - SLIPPAGE * abs(price)
    return part * 100.0 * (paid - fill) / abs(fill) - TAKER_PCT * part * abs(paid / fill)
