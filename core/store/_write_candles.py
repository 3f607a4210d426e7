"""Writing candles: what changed, and what it was before.

The law: a row that is the same is not written, so asking an exchange again costs nothing; a row that was
different is recorded before it is replaced; blocks and memory follow in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import apsw
import numpy as np
import numpy.typing as npt

from core.schema import Candles, IntArray
from core.store._batch import Batch, Part
from core.store._frames import fetch, insert_columns
from core.store._read_candles import frontier, read_candles
from core.store._recent import Recent, candles_to_bits
from core.store._write_blocks import follow_candles

__all__ = ["PutReport", "put_candles"]

_REVISIONS_KEPT = 100_000
_VALUES = ("open", "high", "low", "close", "volume", "taker_volume", "n_minutes")
_REPLACE = "ON CONFLICT (series_id, ts_ms) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in _VALUES)

BoolArray = npt.NDArray[np.bool_]


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


def put_candles(connection: apsw.Connection, recent: Recent, parts: Sequence[Part], seen_ms: int) -> list[PutReport]:
    """Store candles of several series, each named once, inside the open transaction.

    Notes
    -----
    A candle whose only news is that `taker_volume` is not known counts as unchanged: another source of the same
    minute takes nothing away.
    """
    recent.verify(connection)
    series = [recent.open_series(connection, key) for key, _ in parts]
    frontier_ms = [frontier(connection, number) or 0 for number in series]
    new, old = Batch.of(parts), Batch.of([_stored(connection, recent, part) for part in parts])
    known, changed, old_place = _compare(new, old)
    touched = ~known | changed
    is_late = touched & (new.candles.ts < np.array(frontier_ms, dtype=np.int64)[new.owner])
    late_from = _first_of_each(new, is_late)
    if touched.any():
        _record_revisions(connection, new, old, old_place, changed, is_late & ~known, series, seen_ms)
        # Two statements: a plain insert is quicker than one that is ready to replace.
        _write_rows(connection, series, new, ~known, seen_ms)
        _write_rows(connection, series, new, changed, seen_ms, _REPLACE)
        _remember(recent, new, touched, changed)
        follow_candles(connection, recent, new, touched, series, frontier_ms)
    counts = (_count(new, ~known), _count(new, changed), _count(new, known & ~changed))
    return [PutReport(*row, late_from.get(i)) for i, row in enumerate(zip(*counts, strict=True))]


def _stored(connection: apsw.Connection, recent: Recent, part: Part) -> Part:
    """Return what is there in the range of a part."""
    key, candles = part
    if not len(candles):
        return part
    start, end = int(candles.ts[0]), int(candles.ts[-1]) + 1
    found = recent.between(key, start, end)
    return key, read_candles(connection, key, start, end) if found is None else found


def _compare(new: Batch, old: Batch) -> tuple[BoolArray, BoolArray, IntArray]:
    """Say which candles are there already, which of them differ, and where the old ones are."""
    if not len(old.candles):
        nowhere = np.zeros(len(new.candles), dtype=np.int64)
        return nowhere != 0, nowhere != 0, nowhere
    place, there = new.place, old.place
    at = np.minimum(np.searchsorted(there, place), len(there) - 1)
    known = there[at] == place
    changed = known.copy()
    changed[known] = ~_same(_take(new.candles, known), _take(old.candles, at[known]))
    return known, changed, at


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


def _count(batch: Batch, which: BoolArray) -> list[int]:
    counts: list[int] = np.bincount(batch.owner[which], minlength=len(batch.keys)).tolist()
    return counts


def _first_of_each(batch: Batch, which: BoolArray) -> dict[int, int]:
    """Return the first time of those, by series."""
    positions = np.flatnonzero(which)[::-1]
    return dict(zip(batch.owner[positions].tolist(), batch.candles.ts[positions].tolist(), strict=True))


def _record_revisions(
    connection: apsw.Connection,
    new: Batch,
    old: Batch,
    old_place: IntArray,
    changed: BoolArray,
    late: BoolArray,
    series: Sequence[int],
    seen_ms: int,
) -> None:
    """Write down what is replaced, and what fills a gap that was given up."""
    either = changed | _given_up(connection, new, late, series)
    n = int(either.sum())
    if n == 0:
        return
    was_there = changed[either].tolist()
    columns: dict[str, list[Any]] = {
        "series_id": [series[i] for i in new.owner[either].tolist()],
        "ts_ms": new.candles.ts[either].tolist(),
        "seen_ms": [seen_ms] * n,
    }
    for name in _VALUES:
        before = getattr(old.candles, name)[old_place[either]].tolist() if len(old.candles) else [None] * n
        columns[f"old_{name}"] = [value if there else None for value, there in zip(before, was_there, strict=True)]
    for name in _VALUES:
        columns[f"new_{name}"] = getattr(new.candles, name)[either].tolist()
    insert_columns(connection, "candle_revisions", columns)
    connection.execute(
        "DELETE FROM candle_revisions WHERE id <= (SELECT max(id) FROM candle_revisions) - ?", (_REVISIONS_KEPT,)
    )


def _given_up(connection: apsw.Connection, new: Batch, late: BoolArray, series: Sequence[int]) -> BoolArray:
    """Say which of the late candles fill a gap: the frontier has passed it, which it does once a gap is confirmed."""
    result = np.zeros_like(late)
    for i in np.unique(new.owner[late]).tolist():
        mine = np.flatnonzero(late & (new.owner == i))
        ts = new.candles.ts[mine]
        rows = fetch(
            connection,
            "SELECT ts_ms FROM gaps WHERE series_id = ? AND ts_ms BETWEEN ? AND ?",
            (series[i], int(ts[0]), int(ts[-1])),
        )
        result[mine] = np.isin(ts, np.array([row[0] for row in rows], dtype=np.int64))
    return result


def _write_rows(
    connection: apsw.Connection, series: Sequence[int], batch: Batch, which: BoolArray, seen_ms: int, then: str = ""
) -> None:
    n = int(which.sum())
    if n == 0:
        return
    owner, candles = batch.owner[which], _take(batch.candles, which)
    columns: dict[str, list[Any]] = {
        "series_id": np.array(series, dtype=np.int64)[owner].tolist(),
        "ts_ms": candles.ts.tolist(),
    }
    columns |= {name: getattr(candles, name).tolist() for name in _VALUES}
    columns["first_seen_ms"] = [seen_ms] * n
    insert_columns(connection, "candle", columns, then)


def _remember(recent: Recent, batch: Batch, touched: BoolArray, changed: BoolArray) -> None:
    """Let memory follow what was written."""
    bits, owner = candles_to_bits(_take(batch.candles, touched)), batch.owner[touched]
    replaced = set(batch.owner[changed].tolist())
    bounds = np.searchsorted(owner, np.arange(len(batch.keys) + 1)).tolist()
    for i, (lo, hi) in enumerate(pairwise(bounds)):
        if lo < hi:
            recent.follow(batch.keys[i], bits[:, lo:hi], is_new=i not in replaced)
