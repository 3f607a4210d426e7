"""Writing candles: what changed, what it was before, and the blocks that follow from it.

The law: a row that is the same is not written, so asking an exchange again costs nothing; a row that was
different is recorded before it is replaced; a block is never older than its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import numpy as np
import numpy.typing as npt

from core.clock import floor_to, timeframe_ms
from core.errors import StoreError
from core.schema import Candles
from core.store._frames import fetch, fetch_value, insert_columns
from core.store._read_candles import SeriesKey, block_span, read_candles, read_rows, series_id
from core.store.blocks import BLOCK_CANDLES, encode

__all__ = [
    "PutReport",
    "build_blocks",
    "chunks",
    "missing_blocks",
    "open_series",
    "put_candles",
    "validate",
]

_REVISIONS_KEPT = 100_000
_VALUES = ("open", "high", "low", "close", "volume", "taker_volume", "n_minutes")
_REPLACE = "ON CONFLICT (series_id, ts_ms) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in _VALUES)


@dataclass(frozen=True, slots=True)
class PutReport:
    """What became of the candles handed in.

    Parameters
    ----------
    inserted, revised, unchanged : int
        Candles that were new, stored with other values before, or stored just so.
    revised_from_ms : int or None
        Earliest candle behind the frontier that was revised or came late: whatever was derived from there on
        is to be made again.
    """

    inserted: int = 0
    revised: int = 0
    unchanged: int = 0
    revised_from_ms: int | None = None

    @classmethod
    def total(cls, parts: Sequence[PutReport]) -> PutReport:
        """Add up reports of successive parts."""
        late = [part.revised_from_ms for part in parts if part.revised_from_ms is not None]
        return cls(
            sum(part.inserted for part in parts),
            sum(part.revised for part in parts),
            sum(part.unchanged for part in parts),
            min(late, default=None),
        )


def open_series(connection: apsw.Connection, key: SeriesKey) -> int:
    """Return the id of a series, making its row the first time."""
    found = series_id(connection, key)
    if found is None:
        connection.execute(
            "INSERT INTO series (exchange, symbol, timeframe, timeframe_ms) VALUES (?, ?, ?, ?)",
            (*key, timeframe_ms(key[2])),
        )
        found = connection.last_insert_rowid()
    return found


def validate(key: SeriesKey, candles: Candles) -> None:
    """Refuse candles that no series can hold.

    Raises
    ------
    StoreError
        Times not increasing or off the grid, or a price or volume that is not a finite number.
    """
    name, step = "/".join(key), timeframe_ms(key[2])
    if (np.diff(candles.ts) <= 0).any():
        raise StoreError(f"candles of {name}: times must be strictly increasing")
    if (candles.ts % step != 0).any() or (len(candles) and candles.ts[0] < 0):
        raise StoreError(f"candles of {name}: times must lie on the grid of {key[2]} from 1970 on")
    for column in ("open", "high", "low", "close", "volume"):
        if not np.isfinite(getattr(candles, column)).all():
            raise StoreError(f"candles of {name}: {column} must be finite numbers")
    if np.isinf(candles.taker_volume).any():
        raise StoreError(f"candles of {name}: taker_volume must be finite numbers or NaN")


def chunks(candles: Candles, timeframe: str, rows: int) -> Iterator[Candles]:
    """Cut candles into parts of at most `rows`, at the ends of blocks where that is possible."""
    span, at = block_span(timeframe), 0
    while at < len(candles):
        end = min(at + rows, len(candles))
        if end < len(candles):
            border = int(np.searchsorted(candles.ts, floor_to(int(candles.ts[end]), span)))
            end = border if border > at else end
        yield candles.slice(at, end)
        at = end


def put_candles(connection: apsw.Connection, key: SeriesKey, candles: Candles, seen_ms: int) -> PutReport:
    """Store candles inside the open transaction.

    Notes
    -----
    A candle whose only news is that `taker_volume` is not known counts as unchanged: another source of the same
    minute takes nothing away.
    """
    if len(candles) == 0:
        return PutReport()
    series = open_series(connection, key)
    stored = read_candles(connection, key, int(candles.ts[0]), int(candles.ts[-1]) + 1)
    place = np.searchsorted(stored.ts, candles.ts)
    known = np.zeros(len(candles), dtype=bool)
    inside = place < len(stored)
    known[inside] = stored.ts[place[inside]] == candles.ts[inside]
    changed = known.copy()
    changed[known] = ~_same(_take(candles, known), _take(stored, place[known]))
    fresh = ~known
    report = PutReport(
        int(fresh.sum()),
        int(changed.sum()),
        int((known & ~changed).sum()),
        _late_from(connection, series, candles.ts[fresh | changed]),
    )
    if report.inserted or report.revised:
        _record_revisions(connection, series, stored, candles, changed, fresh, seen_ms)
        # Two statements: a plain insert is quicker than one that is ready to replace.
        _write_rows(connection, series, _take(candles, fresh), seen_ms)
        _write_rows(connection, series, _take(candles, changed), seen_ms, _REPLACE)
        _follow(connection, series, key[2], candles, fresh | changed)
    return report


def _take(candles: Candles, which: npt.NDArray[Any]) -> Candles:
    if which.dtype == np.bool_ and which.all():
        return candles
    return Candles.of(candles.ts[which], *(getattr(candles, name)[which] for name in _VALUES))


def _same(new: Candles, old: Candles) -> npt.NDArray[np.bool_]:
    equal = new.n_minutes == old.n_minutes
    for name in _VALUES[:5]:
        equal &= getattr(new, name) == getattr(old, name)
    silent = np.isnan(new.taker_volume) & (np.isnan(old.taker_volume) | (new.n_minutes == 1))
    result: npt.NDArray[np.bool_] = equal & (silent | (new.taker_volume == old.taker_volume))
    return result


def _frontier(connection: apsw.Connection, series: int) -> int | None:
    found = fetch_value(connection, "SELECT frontier_ms FROM series WHERE id = ?", (series,))
    return None if found is None else int(found)


def _late_from(connection: apsw.Connection, series: int, ts: npt.NDArray[np.int64]) -> int | None:
    frontier = _frontier(connection, series)
    if frontier is None or len(ts) == 0 or ts[0] >= frontier:
        return None
    return int(ts[0])


def _record_revisions(
    connection: apsw.Connection,
    series: int,
    stored: Candles,
    candles: Candles,
    changed: npt.NDArray[np.bool_],
    fresh: npt.NDArray[np.bool_],
    seen_ms: int,
) -> None:
    late = fresh & np.isin(candles.ts, _given_up(connection, series, candles))
    either = changed | late
    n = int(either.sum())
    if n == 0:
        return
    ts = candles.ts[either]
    place = np.minimum(np.searchsorted(stored.ts, ts), max(len(stored) - 1, 0))
    was_there = changed[either].tolist()
    columns: dict[str, list[Any]] = {"series_id": [series] * n, "ts_ms": ts.tolist(), "seen_ms": [seen_ms] * n}
    for name in _VALUES:
        before = getattr(stored, name)[place].tolist() if len(stored) else [None] * n
        columns[f"old_{name}"] = [value if there else None for value, there in zip(before, was_there, strict=True)]
    for name in _VALUES:
        columns[f"new_{name}"] = getattr(candles, name)[either].tolist()
    insert_columns(connection, "candle_revisions", columns)
    connection.execute(
        "DELETE FROM candle_revisions WHERE id <= (SELECT max(id) FROM candle_revisions) - ?", (_REVISIONS_KEPT,)
    )


def _given_up(connection: apsw.Connection, series: int, candles: Candles) -> npt.NDArray[np.int64]:
    """Return the gaps in the range of `candles` that the frontier has passed, which it does once they are confirmed."""
    rows = fetch(
        connection,
        "SELECT g.ts_ms FROM gaps g JOIN series s ON s.id = g.series_id"
        " WHERE g.series_id = ? AND g.ts_ms BETWEEN ? AND ? AND g.ts_ms < s.frontier_ms",
        (series, int(candles.ts[0]), int(candles.ts[-1])),
    )
    return np.array([row[0] for row in rows], dtype=np.int64)


def _write_rows(connection: apsw.Connection, series: int, candles: Candles, seen_ms: int, then: str = "") -> None:
    n = len(candles)
    columns: dict[str, list[Any]] = {"series_id": [series] * n, "ts_ms": candles.ts.tolist()}
    columns |= {name: getattr(candles, name).tolist() for name in _VALUES}
    columns["first_seen_ms"] = [seen_ms] * n
    insert_columns(connection, "candle", columns, then)


def _follow(
    connection: apsw.Connection, series: int, timeframe: str, candles: Candles, touched: npt.NDArray[np.bool_]
) -> None:
    """Bring the blocks of the touched candles up to date: written where complete, dropped elsewhere."""
    span = block_span(timeframe)
    frontier = _frontier(connection, series)
    for start in np.unique(candles.ts[touched] // span * span).tolist():
        lo, hi = np.searchsorted(candles.ts, (start, start + span)).tolist()
        whole = hi - lo == BLOCK_CANDLES
        if whole and touched[lo:hi].all():
            # Every row of the span was written just now, so none need be read back.
            _write_block(connection, series, start, candles.slice(lo, hi))
        elif whole or (frontier is not None and start + span <= frontier):
            _write_block(connection, series, start, read_rows(connection, series, start, start + span))
        else:
            connection.execute("DELETE FROM candle_block WHERE series_id = ? AND start_ms = ?", (series, start))


def _write_block(connection: apsw.Connection, series: int, start_ms: int, candles: Candles) -> None:
    connection.execute(
        "INSERT INTO candle_block (series_id, start_ms, n, data) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (series_id, start_ms) DO UPDATE SET n = excluded.n, data = excluded.data",
        (series, start_ms, len(candles), encode(candles)),
    )


def missing_blocks(connection: apsw.Connection, key: SeriesKey, frontier_ms: int) -> list[int]:
    """Return the starts of the blocks that a frontier completes and that are not there."""
    series, span = series_id(connection, key), block_span(key[2])
    if series is None:
        return []
    before = _frontier(connection, series)
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


def build_blocks(connection: apsw.Connection, key: SeriesKey, starts: Sequence[int]) -> None:
    """Write the blocks with these starts from the rows; a span without candles gets none."""
    series, span = open_series(connection, key), block_span(key[2])
    for start in starts:
        candles = read_rows(connection, series, start, start + span)
        if len(candles):
            _write_block(connection, series, start, candles)
