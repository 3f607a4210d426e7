"""Writing blocks: what follows from candles that were written, and from a frontier that moved on.

The law: a block is never older than its rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import numpy as np
import numpy.typing as npt

from core.clock import floor_to
from core.schema import Candles
from core.store._batch import TS_BITS, Batch
from core.store._frames import fetch, fetch_value
from core.store._read_candles import SeriesKey, block_span, frontier, open_series, read_rows, series_id
from core.store._recent import Recent
from core.store.blocks import BLOCK_CANDLES, encode

__all__ = ["build_blocks", "follow_candles", "missing_blocks"]


def follow_candles(
    connection: apsw.Connection,
    recent: Recent,
    batch: Batch,
    touched: npt.NDArray[np.bool_],
    series: Sequence[int],
    frontier_ms: Sequence[int],
) -> None:
    """Bring the blocks of the touched candles up to date: written where complete, dropped elsewhere.

    Parameters
    ----------
    connection : apsw.Connection
    recent : Recent
        It has followed the candles already.
    batch : Batch
    touched : bool array
        Which of its candles were written.
    series, frontier_ms : sequence of int
        Ids and frontiers of the batch's series.
    """
    place = batch.place
    spans = np.array([block_span(key[2]) for key in batch.keys], dtype=np.int64)
    owner = batch.owner[touched]
    starts = batch.candles.ts[touched] // spans[owner] * spans[owner]
    first = np.unique((owner << TS_BITS) + starts)
    owner, starts = first >> TS_BITS, first & ((1 << TS_BITS) - 1)
    lo, hi = np.searchsorted(place, first), np.searchsorted(place, first + spans[owner])
    dropped: list[tuple[int, int]] = []
    for i, start, begin, end in zip(*(column.tolist() for column in (owner, starts, lo, hi)), strict=True):
        key, until = batch.keys[i], start + int(spans[i])
        is_whole = end - begin == BLOCK_CANDLES
        if is_whole and touched[begin:end].all():
            # Every row of the span was written just now, so none need be read back.
            _write_block(connection, series[i], start, batch.candles.slice(begin, end))
        elif is_whole or until <= frontier_ms[i]:
            _write_block(connection, series[i], start, _stored(connection, recent, key, series[i], start, until))
        else:
            dropped.append((series[i], start))
    if dropped:
        connection.executemany("DELETE FROM candle_block WHERE series_id = ? AND start_ms = ?", dropped)


def missing_blocks(connection: apsw.Connection, key: SeriesKey, frontier_ms: int) -> list[int]:
    """Return the starts of the blocks that a frontier completes and that are not there."""
    series, span = series_id(connection, key), block_span(key[2])
    if series is None:
        return []
    before = frontier(connection, series)
    if before is not None and floor_to(before, span) == floor_to(frontier_ms, span):
        return []
    oldest = fetch_value(connection, "SELECT min(ts_ms) FROM candle WHERE series_id = ?", (series,))
    if oldest is None:
        return []
    first = floor_to(oldest if before is None else max(oldest, before), span)
    there = fetch(
        connection, "SELECT start_ms FROM candle_block WHERE series_id = ? AND start_ms >= ?", (series, first)
    )
    return sorted(set(range(first, floor_to(frontier_ms, span), span)) - {row[0] for row in there})


def build_blocks(connection: apsw.Connection, recent: Recent, blocks: Sequence[tuple[SeriesKey, int]]) -> None:
    """Write blocks, each named by its series and start, from the rows; a span without candles gets none."""
    recent.verify(connection)
    for key, start in blocks:
        series = open_series(connection, key)
        candles = _stored(connection, recent, key, series, start, start + block_span(key[2]))
        if len(candles):
            _write_block(connection, series, start, candles)


def _stored(
    connection: apsw.Connection, recent: Recent, key: SeriesKey, series: int, start_ms: int, end_ms: int
) -> Candles:
    found = recent.between(key, start_ms, end_ms)
    return read_rows(connection, series, start_ms, end_ms) if found is None else found


def _write_block(connection: apsw.Connection, series: int, start_ms: int, candles: Candles) -> None:
    connection.execute(
        "INSERT INTO candle_block (series_id, start_ms, n, data) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (series_id, start_ms) DO UPDATE SET n = excluded.n, data = excluded.data",
        (series, start_ms, len(candles), encode(candles)),
    )
