"""Reading candles: whole blocks where there are some, rows for the rest.

The law: what is returned equals the rows of the table, whichever way it came.
"""

from __future__ import annotations

import sys
from itertools import chain

import apsw
import numpy as np

from core.clock import timeframe_ms
from core.schema import Candles, FloatArray, IntArray
from core.store._frames import fetch, fetch_value
from core.store.blocks import BLOCK_CANDLES, decode_into

__all__ = [
    "SeriesKey",
    "block_span",
    "count_candles",
    "first_seen",
    "frontier",
    "last_candles",
    "last_start",
    "open_series",
    "read_candles",
    "read_rows",
    "series_id",
]

SeriesKey = tuple[str, str, str]  # exchange, symbol, timeframe
Columns = tuple[IntArray | FloatArray, ...]

_ROWS_BETWEEN = (  # infinity stands for NULL on the way
    "SELECT ts_ms, open, high, low, close, volume, ifnull(taker_volume, 9e999), n_minutes"
    " FROM candle WHERE series_id = ? AND ts_ms >= ? AND ts_ms < ? ORDER BY ts_ms"
)
_ROWS_AT_ONCE = 8_192


def series_id(connection: apsw.Connection, key: SeriesKey) -> int | None:
    """Return the id of a series, None where nothing was ever stored of it."""
    found = fetch_value(connection, "SELECT id FROM series WHERE exchange = ? AND symbol = ? AND timeframe = ?", key)
    return None if found is None else int(found)


def open_series(connection: apsw.Connection, key: SeriesKey) -> int:
    """Return the id of a series, making its row the first time; inside a transaction."""
    found = series_id(connection, key)
    if found is None:
        connection.execute(
            "INSERT INTO series (exchange, symbol, timeframe, timeframe_ms) VALUES (?, ?, ?, ?)",
            (*key, timeframe_ms(key[2])),
        )
        found = connection.last_insert_rowid()
    return found


def frontier(connection: apsw.Connection, series: int) -> int | None:
    """Return the frontier of a series; None where it was never set."""
    found: int | None = fetch_value(connection, "SELECT frontier_ms FROM series WHERE id = ?", (series,))
    return found


def block_span(timeframe: str) -> int:
    """Return how long a block of a timeframe is, milliseconds."""
    return BLOCK_CANDLES * timeframe_ms(timeframe)


def read_candles(
    connection: apsw.Connection, key: SeriesKey, start_ms: int | None = None, end_ms: int | None = None
) -> Candles:
    """Return the stored candles with ``start_ms <= ts < end_ms``, oldest first.

    Notes
    -----
    All columns are allocated at once at their full length and filled block by block, so that the peak is the
    result and little more. One large piece of memory takes fewer page faults than eight, a third of the time.
    """
    series, span = series_id(connection, key), block_span(key[2])
    if series is None:
        return Candles.empty()
    lo = 0 if start_ms is None else start_ms
    hi = sys.maxsize if end_ms is None else end_ms
    blocks = _blocks(connection, series, lo, hi, span)
    pieces = _pieces(connection, series, blocks, lo, hi, span)
    table = _allocate(sum(n for *_, n in pieces))
    at = 0
    data = connection.execute(
        "SELECT data FROM candle_block WHERE series_id = ? AND start_ms > ? AND start_ms < ? ORDER BY start_ms",
        (series, lo - span, hi),
    )
    for is_block, first, last, n in pieces:
        if is_block:
            at = decode_into(next(data)[0], table, at)
        else:
            at = _fill_from_rows(connection, table, at, n, (series, first, last))
    data.close()
    return _freeze(table, at).between(start_ms, end_ms)


def read_rows(connection: apsw.Connection, series: int, start_ms: int, end_ms: int) -> Candles:
    """Return candles from the table of rows alone."""
    n = _count_rows(connection, series, start_ms, end_ms)
    table = _allocate(n)
    _fill_from_rows(connection, table, 0, n, (series, start_ms, end_ms))
    return _freeze(table, n)


def last_candles(connection: apsw.Connection, key: SeriesKey, n: int, end_ms: int | None = None) -> Candles:
    """Return the last `n` stored candles with ``ts < end_ms``, oldest first."""
    if n <= 0:
        return Candles.empty()
    return read_candles(connection, key, last_start(connection, key, n, end_ms), end_ms)


def last_start(connection: apsw.Connection, key: SeriesKey, n: int, end_ms: int | None) -> int | None:
    """Return the open of the `n`-th last stored candle with ``ts < end_ms``; None where there are fewer."""
    found: int | None = fetch_value(
        connection,
        "SELECT ts_ms FROM candle WHERE series_id = ? AND ts_ms < ? ORDER BY ts_ms DESC LIMIT 1 OFFSET ?",
        (series_id(connection, key), sys.maxsize if end_ms is None else end_ms, n - 1),
    )
    return found


def first_seen(connection: apsw.Connection, key: SeriesKey, start_ms: int, end_ms: int) -> IntArray:
    """Return open and first arrival of the candles with ``start_ms <= ts < end_ms``, shape (n, 2)."""
    rows = fetch(
        connection,
        "SELECT ts_ms, ifnull(first_seen_ms, 0) FROM candle"
        " WHERE series_id = ? AND ts_ms >= ? AND ts_ms < ? ORDER BY ts_ms",
        (series_id(connection, key), start_ms, end_ms),
    )
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def count_candles(connection: apsw.Connection, series: int, timeframe: str) -> int:
    """Return how many candles a series has, without walking through those in blocks."""
    span = block_span(timeframe)
    blocks = _blocks(connection, series, 0, sys.maxsize, span)
    return sum(n for *_, n in _pieces(connection, series, blocks, 0, sys.maxsize, span))


def _blocks(connection: apsw.Connection, series: int, lo: int, hi: int, span: int) -> list[tuple[int, int]]:
    return fetch(
        connection,
        "SELECT start_ms, n FROM candle_block WHERE series_id = ? AND start_ms > ? AND start_ms < ? ORDER BY start_ms",
        (series, lo - span, hi),
    )


def _pieces(
    connection: apsw.Connection, series: int, blocks: list[tuple[int, int]], lo: int, hi: int, span: int
) -> list[tuple[bool, int, int, int]]:
    """Cut ``[lo, hi)`` into blocks and the stretches of rows between them: (is block, first, last, candles)."""
    pieces: list[tuple[bool, int, int, int]] = []
    at = lo
    for start, n in blocks:
        if start > at:
            pieces.append((False, at, start, _count_rows(connection, series, at, start)))
        pieces.append((True, start, start + span, n))
        at = start + span
    if at < hi:
        pieces.append((False, at, hi, _count_rows(connection, series, at, hi)))
    return pieces


def _count_rows(connection: apsw.Connection, series: int, lo: int, hi: int) -> int:
    statement = "SELECT count(*) FROM candle WHERE series_id = ? AND ts_ms >= ? AND ts_ms < ?"
    return int(fetch_value(connection, statement, (series, lo, hi)))


def _allocate(n: int) -> IntArray:
    """Return room for the bits of eight columns, as `core.store.blocks.decode_into` fills it."""
    return np.empty((8, n), dtype=np.int64)


def _columns(table: IntArray) -> Columns:
    """Return the columns of a table as what they are."""
    return (table[0], *table[1:7].view(np.float64), table[7])


def _fill_from_rows(connection: apsw.Connection, table: IntArray, at: int, n: int, bounds: tuple[int, int, int]) -> int:
    if n == 0:
        return at
    columns = _columns(table)
    values = chain.from_iterable(connection.execute(_ROWS_BETWEEN, bounds))
    end = at + n
    while at < end:
        m = min(_ROWS_AT_ONCE, end - at)
        # Milliseconds and counts stay below 2**53, so they pass through a float unchanged.
        rows = np.fromiter(values, dtype=np.float64, count=m * len(columns)).reshape(m, len(columns))
        for i, column in enumerate(columns):
            column[at : at + m] = rows[:, i]
        taker = columns[6][at : at + m]
        taker[np.isinf(taker)] = np.nan
        at += m
    return at


def _freeze(table: IntArray, n: int) -> Candles:
    table.setflags(write=False)
    return Candles(*_columns(table[:, :n]))  # type: ignore[arg-type]
