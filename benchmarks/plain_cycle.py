"""The live minute as a plain pandas program does it: rows in, resample, play, look at what has closed.

The law: it is spared what it can be. It reads each window once, makes only the candles of the minutes it is
configured to look back at, and computes indicators only for series whose candle has just closed.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._measure import Round, Sample
from benchmarks.plain import AGGREGATE, connect

__all__ = ["cycle"]

MINUTE_MS = 60_000
LOOKBACK_MINUTES = 720  # resampled anew each minute
WINDOW = 300  # candles indicators are computed of
COLUMNS = "ts_ms, open, high, low, close, volume"


def cycle(
    folder: str, candles: list[str], symbols: list[str], timeframes: dict[str, int], start_ms: int, trades: str
) -> Round:
    """Run the pandas minute, minute after minute; `timeframes` are lengths in minutes, `trades` those unfinished."""
    tape = {symbol: _frame(path) for symbol, path in zip(symbols, candles, strict=True)}
    connection = _prepared(Path(folder) / "plain.db", tape, timeframes, start_ms, trades)
    now_ms = start_ms

    def once() -> Sample:
        nonlocal now_ms
        now_ms += MINUTE_MS
        began = perf_counter()
        plans = 0
        for symbol, frame in tape.items():
            _sync(connection, symbol, frame, now_ms)
            _resample(connection, symbol, timeframes, now_ms)
        _execute(connection, now_ms)
        for symbol in tape:
            for timeframe, length in timeframes.items():
                if now_ms % (length * MINUTE_MS) == 0:
                    plans += _scan(connection, symbol, timeframe)
        return {"s": perf_counter() - began, "minute": now_ms // MINUTE_MS % 1_440, "plans": plans}

    return once


def _frame(path: str) -> pd.DataFrame:
    with np.load(path) as stored:
        return pd.DataFrame({"ts_ms": stored["ts"], **{name: stored[name] for name in AGGREGATE}})


def _prepared(
    path: Path, tape: dict[str, pd.DataFrame], timeframes: dict[str, int], start_ms: int, trades: str
) -> sqlite3.Connection:
    connection = connect(path)
    connection.execute(
        "CREATE TABLE ohlcv (symbol TEXT, timeframe TEXT, ts_ms INTEGER, open REAL, high REAL, low REAL, close REAL,"
        " volume REAL, PRIMARY KEY (symbol, timeframe, ts_ms)) WITHOUT ROWID"
    )
    with connection:
        pd.read_json(trades, orient="records").to_sql("trades", connection, index=False)
        for symbol, frame in tape.items():
            past = frame[frame["ts_ms"] < start_ms]
            _put(connection, symbol, "1m", past.tail(3 * 1_440))
            for timeframe, length in timeframes.items():
                _put(connection, symbol, timeframe, _longer(past, length, start_ms).tail(WINDOW))
    return connection


def _put(connection: sqlite3.Connection, symbol: str, timeframe: str, frame: pd.DataFrame) -> None:
    columns = [frame[name].tolist() for name in ("ts_ms", *AGGREGATE)]
    rows = [(symbol, timeframe, *row) for row in zip(*columns, strict=True)]
    connection.executemany("INSERT OR REPLACE INTO ohlcv VALUES (?,?,?,?,?,?,?,?)", rows)


def _last(connection: sqlite3.Connection, symbol: str, timeframe: str, n: int) -> pd.DataFrame:
    question = f"SELECT {COLUMNS} FROM ohlcv WHERE symbol = ? AND timeframe = ? ORDER BY ts_ms DESC LIMIT ?"
    return pd.read_sql(question, connection, params=(symbol, timeframe, n)).iloc[::-1].reset_index(drop=True)


def _sync(connection: sqlite3.Connection, symbol: str, frame: pd.DataFrame, now_ms: int) -> None:
    end = int(np.searchsorted(frame["ts_ms"].to_numpy(), now_ms))
    with connection:
        _put(connection, symbol, "1m", frame.iloc[max(0, end - 4) : end])


def _longer(minutes: pd.DataFrame, length: int, now_ms: int) -> pd.DataFrame:
    indexed = minutes.set_index(pd.to_datetime(minutes["ts_ms"], unit="ms"))
    made = indexed.resample(f"{length}min").agg(AGGREGATE).dropna()
    made.insert(0, "ts_ms", made.index.astype("datetime64[ms]").astype("int64"))
    return made[made["ts_ms"] + length * MINUTE_MS <= now_ms]


def _resample(connection: sqlite3.Connection, symbol: str, timeframes: dict[str, int], now_ms: int) -> None:
    minutes = _last(connection, symbol, "1m", LOOKBACK_MINUTES)
    with connection:
        for timeframe, length in timeframes.items():
            made = _longer(minutes, length, now_ms)
            whole = made[made["ts_ms"] >= minutes["ts_ms"].iloc[0]]
            _put(connection, symbol, timeframe, whole)


def _execute(connection: sqlite3.Connection, now_ms: int) -> None:
    open_trades = pd.read_sql("SELECT * FROM trades WHERE status IN ('PENDING', 'OPEN')", connection)
    changes: list[tuple[Any, ...]] = []
    for symbol, part in open_trades.groupby("symbol"):
        candle = _last(connection, str(symbol), "1m", 1).iloc[-1]
        for _, trade in part.iterrows():
            side = 1.0 if trade["direction"] == "long" else -1.0
            best, worst = (candle["high"], candle["low"]) if side > 0 else (-candle["low"], -candle["high"])
            entry, stop, target = side * trade["entry"], side * trade["stop"], side * trade["tp1"]
            if trade["status"] == "PENDING" and worst <= entry:
                changes.append(("OPEN", trade["stop"], trade["signal_id"]))
            elif trade["status"] == "OPEN" and worst <= stop:
                changes.append(("CLOSED", trade["stop"], trade["signal_id"]))
            elif trade["status"] == "OPEN" and best >= target:
                changes.append(("OPEN", trade["entry"], trade["signal_id"]))
    with connection:
        connection.executemany("UPDATE trades SET status = ?, stop = ? WHERE signal_id = ?", changes)
        connection.execute("UPDATE trades SET next_ms = ? WHERE status IN ('PENDING', 'OPEN')", (now_ms,))


def _scan(connection: sqlite3.Connection, symbol: str, timeframe: str) -> int:
    """Compute the indicators of a window with `ta` and pandas; return how many legs give a plan at its end."""
    from ta.trend import ADXIndicator
    from ta.volatility import AverageTrueRange

    frame = _last(connection, symbol, timeframe, WINDOW)
    if len(frame) < 50:
        return 0
    high, low, close = frame["high"], frame["low"], frame["close"]
    frame["atr"] = AverageTrueRange(high, low, close, window=14).average_true_range()
    frame["adx"] = ADXIndicator(high, low, close, window=14).adx()
    frame["top"] = high == high.rolling(11, center=True).max()
    frame["bottom"] = low == low.rolling(11, center=True).min()
    typical = (high + low + close) / 3.0 * frame["volume"]
    pivots: list[tuple[int, int]] = []
    for i in frame.index[frame["top"] | frame["bottom"]].tolist():
        row = frame.iloc[i]
        side = 1 if row["top"] else -1
        if pivots and pivots[-1][1] == side:
            last = frame.iloc[pivots[-1][0]]
            if (row["high"] > last["high"]) if side > 0 else (row["low"] < last["low"]):
                pivots[-1] = (i, side)
        else:
            pivots.append((i, side))
    legs = list(zip(pivots[-4:-1], pivots[-3:], strict=True)) if len(pivots) > 3 else []
    return sum(_plans(frame, typical, a, b, side) for (a, _), (b, side) in legs)


def _plans(frame: pd.DataFrame, typical: pd.Series, a: int, b: int, side: int) -> bool:
    up = side > 0
    origin = frame["low"].iloc[a] if up else -frame["high"].iloc[a]
    end = frame["high"].iloc[b] if up else -frame["low"].iloc[b]
    size, atr = end - origin, frame["atr"].iloc[-1]
    if size < 3.0 * frame["atr"].iloc[b]:
        return False
    entry, tp1, sl = end - 0.618 * size, end + 0.272 * size, origin - 0.75 * atr
    since = frame.iloc[b + 1 :]
    bottom, top = (since["low"].min(), since["high"].max()) if up else (-since["high"].max(), -since["low"].min())
    if bottom <= entry or top > tp1:
        return False
    avwap = typical.iloc[a:].sum() / frame["volume"].iloc[a:].sum()
    close = frame["close"].iloc[-1]
    distance = side * close - entry
    near = 0.0 <= distance <= 3.0 * atr
    return bool(near and (tp1 - entry) / (entry - sl) >= 1.0 and side * (close - avwap) > 0.0)
