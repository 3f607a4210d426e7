"""Writing what surrounds the candles: instruments, marks of progress, gaps, refused candles, funding.

The law: what is the same is not written again, so that a quiet minute leaves the file untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import numpy as np
import pandas as pd

from core.schema import FloatArray, Instrument
from core.store._frames import insert_columns
from core.store._read_candles import SeriesKey, open_series
from core.store._recent import Recent

__all__ = [
    "clear_symbol_off",
    "put_funding",
    "put_gaps",
    "put_instruments",
    "put_quarantine",
    "set_marks",
    "set_symbol_off",
]

_QUARANTINE_KEPT = 20_000
_MARKS = {
    "frontier_ms": "UPDATE series SET frontier_ms = ?1 WHERE id = ?2 AND frontier_ms IS NOT ?1",
    "scanned_ms": "UPDATE series SET scanned_ms = ?1 WHERE id = ?2 AND scanned_ms IS NOT ?1",
    "checkpoint_ms": "INSERT INTO sync_checkpoint (series_id, checkpoint_ms) VALUES (?2, ?1) ON CONFLICT (series_id)"
    " DO UPDATE SET checkpoint_ms = excluded.checkpoint_ms WHERE checkpoint_ms <> excluded.checkpoint_ms",
}


def set_marks(connection: apsw.Connection, recent: Recent, name: str, marks: Sequence[tuple[SeriesKey, int]]) -> None:
    """Set frontier_ms, scanned_ms or checkpoint_ms of series; the same value is not written again."""
    recent.verify(connection)
    connection.executemany(_MARKS[name], [(ms, recent.open_series(connection, key)) for key, ms in marks])


def put_instruments(connection: apsw.Connection, instruments: Sequence[Instrument]) -> int:
    """Insert or replace instruments; those that are the same are not written."""
    names = ("exchange", "symbol", "tick", "lot", "min_notional", "active")
    columns = {name: [getattr(item, name) for item in instruments] for name in names}
    columns["active"] = [int(item.active) for item in instruments]
    return insert_columns(
        connection,
        "instruments",
        columns,
        "ON CONFLICT (exchange, symbol) DO UPDATE SET tick = excluded.tick, lot = excluded.lot,"
        " min_notional = excluded.min_notional, active = excluded.active"
        " WHERE (tick, lot, min_notional, active)"
        " IS NOT (excluded.tick, excluded.lot, excluded.min_notional, excluded.active)",
    )


def set_symbol_off(connection: apsw.Connection, exchange: str, symbol: str, reason: str, since_ms: int) -> None:
    """Switch a symbol off; one that is off keeps its first reason and time."""
    connection.execute(
        "INSERT INTO symbols_off (exchange, symbol, reason, since_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (exchange, symbol) DO NOTHING",
        (exchange, symbol, reason, since_ms),
    )


def clear_symbol_off(connection: apsw.Connection, exchange: str, symbol: str) -> None:
    """Switch a symbol on again."""
    connection.execute("DELETE FROM symbols_off WHERE exchange = ? AND symbol = ?", (exchange, symbol))


def put_gaps(connection: apsw.Connection, key: SeriesKey, frame: pd.DataFrame) -> int:
    """Insert or replace gaps by ts_ms; rows that are the same are not written."""
    names = ("ts_ms", "state", "first_missed_ms", "tries", "next_try_ms")
    columns: dict[str, list[Any]] = {name: frame[name].tolist() for name in names}
    columns["series_id"] = [open_series(connection, key)] * len(frame)
    return insert_columns(
        connection,
        "gaps",
        columns,
        "ON CONFLICT (series_id, ts_ms) DO UPDATE SET state = excluded.state, tries = excluded.tries,"
        " first_missed_ms = excluded.first_missed_ms, next_try_ms = excluded.next_try_ms"
        " WHERE (state, tries, first_missed_ms, next_try_ms)"
        " <> (excluded.state, excluded.tries, excluded.first_missed_ms, excluded.next_try_ms)",
    )


def put_quarantine(connection: apsw.Connection, key: SeriesKey, frame: pd.DataFrame, seen_ms: int) -> None:
    """Record refused candles; the same one again raises its count."""
    n = len(frame)
    columns: dict[str, list[Any]] = {name: frame[name].tolist() for name in ("ts_ms", "reason", "detail")}
    columns["series_id"] = [open_series(connection, key)] * n
    columns |= {"first_seen_ms": [seen_ms] * n, "last_seen_ms": [seen_ms] * n, "times": [1] * n}
    insert_columns(
        connection,
        "quarantine",
        columns,
        "ON CONFLICT (series_id, ts_ms, reason) DO UPDATE SET times = times + 1,"
        " last_seen_ms = excluded.last_seen_ms, detail = excluded.detail",
    )
    connection.execute("DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (_QUARANTINE_KEPT,))


def put_funding(connection: apsw.Connection, exchange: str, symbol: str, rows: FloatArray) -> int:
    """Insert or replace settlements by time; rows that are the same are not written."""
    n = len(rows)
    columns: dict[str, list[Any]] = {
        "exchange": [exchange] * n,
        "symbol": [symbol] * n,
        "ts_ms": rows[:, 0].astype(np.int64).tolist(),
        "rate": rows[:, 1].tolist(),
    }
    return insert_columns(
        connection,
        "funding_rates",
        columns,
        "ON CONFLICT (exchange, symbol, ts_ms) DO UPDATE SET rate = excluded.rate WHERE rate <> excluded.rate",
    )
