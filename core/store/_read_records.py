"""Reading everything but candles, as frames with declared columns.

The law: a question has one answer whatever the order of writing; rows come in the order of time or identity.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import numpy as np
import pandas as pd

from core.schema import DECISIONS, SIGNALS, TRADE_EVENTS, TRADES, FloatArray, FrameSpec, Instrument
from core.store._columns import FUNDING, GAP_COUNTS, GAPS, JOB_RUNS, OUTBOX, QUARANTINE, REVISIONS, SERIES, SYMBOLS_OFF
from core.store._frames import IN_LIST, fetch, fetch_value, listed, rows_to_frame, select, where
from core.store._read_candles import SeriesKey, series_id

__all__ = [
    "decisions",
    "events",
    "exit_policies",
    "funding",
    "gap_counts",
    "gaps",
    "instruments",
    "job_runs",
    "live_terms",
    "live_terms_key",
    "mark",
    "meta",
    "outbox",
    "quarantine",
    "revisions",
    "series",
    "signal_ids",
    "signals",
    "symbols_off",
    "trades",
]

_MARKS = {
    "frontier_ms": "SELECT frontier_ms FROM series",
    "scanned_ms": "SELECT scanned_ms FROM series",
    "checkpoint_ms": "SELECT checkpoint_ms FROM sync_checkpoint JOIN series ON id = series_id",
}


def _frame(connection: apsw.Connection, spec: FrameSpec, statement: str, values: Sequence[Any] = ()) -> pd.DataFrame:
    return rows_to_frame(fetch(connection, statement, values), spec)


def _part(spec: FrameSpec, columns: Iterable[str] | None) -> FrameSpec:
    """Return the asked columns of a frame; only declared names ever reach a statement."""
    return spec if columns is None else {name: spec[name] for name in columns}


def series(connection: apsw.Connection) -> pd.DataFrame:
    """Return every series with its marks and range, ordered by name."""
    return _frame(
        connection,
        SERIES,
        "SELECT s.exchange, s.symbol, s.timeframe, s.frontier_ms, c.checkpoint_ms, s.scanned_ms,"
        " (SELECT min(ts_ms) FROM candle WHERE series_id = s.id),"
        " (SELECT max(ts_ms) FROM candle WHERE series_id = s.id)"
        " FROM series s LEFT JOIN sync_checkpoint c ON c.series_id = s.id"
        " ORDER BY s.exchange, s.symbol, s.timeframe_ms",
    )


def instruments(connection: apsw.Connection, exchange: str) -> dict[str, Instrument]:
    """Return an exchange's instruments by symbol."""
    rows = fetch(
        connection,
        "SELECT symbol, tick, lot, min_notional, active FROM instruments WHERE exchange = ? ORDER BY symbol",
        (exchange,),
    )
    return {row[0]: Instrument(exchange, row[0], row[1], row[2], row[3], bool(row[4])) for row in rows}


def gaps(connection: apsw.Connection, key: SeriesKey, state: str | None = None) -> pd.DataFrame:
    """Return the missing minutes of a series, oldest first."""
    clause, values = where(
        {"s.exchange = ?": key[0], "s.symbol = ?": key[1], "s.timeframe = ?": key[2], "g.state = ?": state}
    )
    source = "gaps g JOIN series s ON s.id = g.series_id" + clause + " ORDER BY g.ts_ms"
    return _frame(connection, GAPS, select(GAPS, source, "g."), values)


def gap_counts(connection: apsw.Connection) -> pd.DataFrame:
    """Return how many minutes each series misses, by state."""
    statement = (
        "SELECT s.exchange, s.symbol, s.timeframe, g.state, count(*) FROM gaps g JOIN series s ON s.id = g.series_id"
        " GROUP BY s.id, g.state ORDER BY s.exchange, s.symbol, s.timeframe, g.state"
    )
    return rows_to_frame(fetch(connection, statement, ()), GAP_COUNTS)


def funding(
    connection: apsw.Connection, exchange: str, symbol: str, start_ms: int | None, end_ms: int | None
) -> FloatArray:
    """Return settlements with ``start_ms <= time < end_ms``, shape (n, 2)."""
    clause, values = where(
        {"exchange = ?": exchange, "symbol = ?": symbol, "ts_ms >= ?": start_ms, "ts_ms < ?": end_ms}
    )
    rows = fetch(connection, select(FUNDING, "funding_rates" + clause + " ORDER BY ts_ms"), values)
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def signals(
    connection: apsw.Connection,
    ids: Iterable[int] | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    setup: str | None = None,
    plan_hash: str | None = None,
    origin: str | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int | None = None,
    columns: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Return signals; see `Reader.signals`."""
    spec = _part(SIGNALS, columns)
    clause, values = where(
        {
            "id " + IN_LIST: listed(ids),
            "exchange = ?": exchange,
            "symbol = ?": symbol,
            "timeframe = ?": timeframe,
            "setup = ?": setup,
            "plan_hash = ?": plan_hash,
            "origin = ?": origin,
            "decided_ms >= ?": start_ms,
            "decided_ms < ?": end_ms,
        }
    )
    order = " ORDER BY decided_ms, id" if limit is None else " ORDER BY decided_ms DESC, id DESC LIMIT ?"
    return _frame(
        connection,
        spec,
        select(spec, "signals" + clause + order),
        values if limit is None else [*values, limit],
    )


def signal_ids(connection: apsw.Connection, key: SeriesKey, plan_hash: str) -> dict[str, int]:
    """Return the ids of the signals of a series under a plan, by key."""
    rows = fetch(
        connection,
        "SELECT key, id FROM signals WHERE exchange = ? AND symbol = ? AND timeframe = ? AND plan_hash = ? ORDER BY id",
        (*key, plan_hash),
    )
    return {str(name): int(number) for name, number in rows}


def decisions(connection: apsw.Connection, signal_ids: Iterable[int] | None = None) -> pd.DataFrame:
    """Return decisions in order of signal and sequence."""
    clause, values = where({"signal_id " + IN_LIST: listed(signal_ids)})
    return _frame(connection, DECISIONS, select(DECISIONS, "decisions" + clause + " ORDER BY signal_id, seq"), values)


def trades(
    connection: apsw.Connection,
    signal_ids: Iterable[int] | None = None,
    exit_policy: str | None = None,
    status: str | Iterable[str] | None = None,
    exchange: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    columns: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Return trades; see `Reader.trades`."""
    spec = _part(TRADES, columns)
    wanted = [status] if isinstance(status, str) else None if status is None else list(status)
    # What is unfinished is little beside the record: without a word SQLite would walk through all signals.
    is_little = signal_ids is not None or (wanted is not None and {"PENDING", "OPEN"}.issuperset(wanted))
    clause, values = where(
        {
            "t.signal_id " + IN_LIST: listed(signal_ids),
            "t.exit_policy = ?": exit_policy,
            "t.status " + IN_LIST: listed(wanted),
            "s.exchange = ?": exchange,
            "s.symbol = ?": symbol,
            "s.timeframe = ?": timeframe,
        }
    )
    join = "CROSS JOIN" if is_little else "JOIN"
    source = f"trades t {join} signals s ON s.id = t.signal_id{clause} ORDER BY t.signal_id, t.exit_policy"
    return _frame(connection, spec, select(spec, source, "t."), values)


def ids_without_trade(
    connection: apsw.Connection, exchange: str, symbol: str, exit_policy: str, start_ms: int, end_ms: int
) -> list[int]:
    """Return signals decided in ``(start_ms, end_ms]`` that have no trade under an exit policy, oldest first."""
    statement = """
        SELECT s.id FROM signals s
        WHERE s.exchange = ? AND s.symbol = ? AND s.decided_ms > ? AND s.decided_ms <= ?
          AND NOT EXISTS (SELECT 1 FROM trades t WHERE t.signal_id = s.id AND t.exit_policy = ?)
        ORDER BY s.decided_ms, s.id"""
    found = fetch(connection, statement, (exchange, symbol, start_ms, end_ms, exit_policy))
    return [row[0] for row in found]


def first_ms(connection: apsw.Connection, key: SeriesKey) -> int | None:
    """Return the open of the oldest stored candle."""
    series = series_id(connection, key)
    if series is None:
        return None
    found: int | None = fetch_value(connection, "SELECT min(ts_ms) FROM candle WHERE series_id = ?", (series,))
    return found


def last_decided(connection: apsw.Connection, exchange: str) -> int | None:
    """Return the close of an exchange's newest signal."""
    found: int | None = fetch_value(connection, "SELECT max(decided_ms) FROM signals WHERE exchange = ?", (exchange,))
    return found


def events(connection: apsw.Connection, signal_id: int | Iterable[int] | None, exit_policy: str | None) -> pd.DataFrame:
    """Return events of trades in order of signal, exit policy and sequence."""
    ids = [signal_id] if isinstance(signal_id, (int, np.integer)) else signal_id
    clause, values = where({"signal_id " + IN_LIST: listed(ids), "exit_policy = ?": exit_policy})
    source = "trade_events" + clause + " ORDER BY signal_id, exit_policy, seq"
    return _frame(connection, TRADE_EVENTS, select(TRADE_EVENTS, source), values)


def outbox(
    connection: apsw.Connection,
    state: str | None,
    due_ms: int | None,
    limit: int | None,
    signal_ids: Iterable[int] | None,
) -> pd.DataFrame:
    """Return messages in order of queueing."""
    clause, values = where({"state = ?": state, "next_try_ms <= ?": due_ms, "signal_id " + IN_LIST: listed(signal_ids)})
    source = "outbox" + clause + " ORDER BY id LIMIT ?"
    return _frame(connection, OUTBOX, select(OUTBOX, source), [*values, -1 if limit is None else limit])


def job_runs(connection: apsw.Connection, job: str | None, limit: int) -> pd.DataFrame:
    """Return runs of jobs, newest first."""
    clause, values = where({"job = ?": job})
    source = "job_runs" + clause + " ORDER BY id DESC LIMIT ?"
    return _frame(connection, JOB_RUNS, select(JOB_RUNS, source), [*values, limit])


def symbols_off(connection: apsw.Connection, exchange: str) -> pd.DataFrame:
    """Return the symbols of an exchange that are switched off, and why."""
    source = "symbols_off WHERE exchange = ? ORDER BY symbol"
    return _frame(connection, SYMBOLS_OFF, select(SYMBOLS_OFF, source), [exchange])


def quarantine(
    connection: apsw.Connection, exchange: str | None, symbol: str | None, timeframe: str | None, limit: int
) -> pd.DataFrame:
    """Return refused candles, the last seen first."""
    clause, values = where({"exchange = ?": exchange, "symbol = ?": symbol, "timeframe = ?": timeframe})
    source = "quarantine JOIN series s ON s.id = series_id" + clause + " ORDER BY last_seen_ms DESC, ts_ms DESC LIMIT ?"
    return _frame(connection, QUARANTINE, select(QUARANTINE, source), [*values, limit])


def revisions(
    connection: apsw.Connection, exchange: str | None, symbol: str | None, timeframe: str | None, limit: int
) -> pd.DataFrame:
    """Return changes of stored candles, newest first."""
    clause, values = where({"exchange = ?": exchange, "symbol = ?": symbol, "timeframe = ?": timeframe})
    source = "candle_revisions r JOIN series s ON s.id = r.series_id" + clause + " ORDER BY r.id DESC LIMIT ?"
    return _frame(connection, REVISIONS, select(REVISIONS, source), [*values, limit])


def mark(connection: apsw.Connection, name: str, key: SeriesKey) -> int | None:
    """Return frontier_ms, scanned_ms or checkpoint_ms of a series; None where not set."""
    statement = _MARKS[name] + " WHERE exchange = ? AND symbol = ? AND timeframe = ?"
    found = fetch_value(connection, statement, key)
    return None if found is None else int(found)


def exit_policies(connection: apsw.Connection) -> dict[str, tuple[str, str]]:
    """Return (name, parameters as JSON) by exit policy, the first recorded first."""
    rows = fetch(connection, "SELECT exit_policy, name, params FROM exit_policies ORDER BY created_ms, exit_policy")
    return {row[0]: (row[1], row[2]) for row in rows}


def meta(connection: apsw.Connection, key: str) -> str | None:
    """Return a value of the table meta."""
    found = fetch_value(connection, "SELECT value FROM meta WHERE key = ?", (key,))
    return None if found is None else str(found)


def live_terms(connection: apsw.Connection, key: SeriesKey) -> list[tuple[int, str]]:
    """Return (time, terms) of a series, oldest first: closes after the time were decided under the terms."""
    text = meta(connection, live_terms_key(key))
    return [] if text is None else [(int(from_ms), str(terms)) for from_ms, terms in json.loads(text)]


def live_terms_key(key: SeriesKey) -> str:
    """Return the note a series' terms are kept under."""
    return "live:" + ":".join(key)
