"""Candles as they were stored at an earlier time.

The law: what is not recorded is not guessed: revisions are undone by their recorded old values, candles that came
later are left out, and a candle that is gone without a word is named, not invented.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.checks._findings import LATE, MISSING, REVISED
from core.clock import MINUTE_MS, format_ms, timeframe_ms
from core.indicators.resample import resample
from core.schema import Candles, FloatArray, IntArray
from core.store.reader import Reader

__all__ = ["History"]

_COLUMNS = ("open", "high", "low", "close", "volume", "taker_volume", "n_minutes")
_FOLLOWING = 100  # candles after one that are looked at for having come before it


@dataclass(slots=True, eq=False)
class History:
    """What is known about the past of one series.

    Parameters
    ----------
    reader : Reader
    exchange, symbol, timeframe : str
    base : str
        The timeframe of the candles that the exchange gave.
    """

    reader: Reader
    exchange: str
    symbol: str
    timeframe: str
    base: str
    _revisions: pd.DataFrame | None = field(default=None, init=False)

    def revisions(self, start_ms: int, end_ms: int) -> pd.DataFrame:
        """Return the revisions of candles in ``[start_ms, end_ms)``, newest first."""
        if self._revisions is None:
            self._revisions = self.reader.revisions(self.exchange, self.symbol, self.timeframe, limit=sys.maxsize)
        frame = self._revisions
        return frame[(frame["ts_ms"] >= start_ms) & (frame["ts_ms"] < end_ms)]

    def first_seen(self, candles: Candles) -> IntArray:
        """Return when each of some stored candles first came."""
        if not len(candles):
            return np.empty(0, dtype=np.int64)
        start_ms, end_ms = int(candles.ts[0]), int(candles.ts[-1]) + 1
        rows = self.reader.first_seen(self.exchange, self.symbol, self.timeframe, start_ms, end_ms)
        places = np.minimum(np.searchsorted(rows[:, 0], candles.ts), max(len(rows) - 1, 0))
        if not len(rows):
            return np.zeros(len(candles), dtype=np.int64)
        found: IntArray = np.where(rows[places, 0] == candles.ts, rows[places, 1], 0)
        return found

    def as_of(self, candles: Candles, moment_ms: int, seen_ms: IntArray | None = None) -> Candles:
        """Return stored candles as they were at a moment.

        Parameters
        ----------
        candles : Candles
            As they are now.
        moment_ms : int
            What came or changed after it is undone.
        seen_ms : int64 array, optional
            When each first came; where not given only fillings of missing minutes count as late.
        """
        if not len(candles):
            return candles
        columns = {name: np.array(getattr(candles, name)) for name in _COLUMNS}
        keep = np.ones(len(candles), dtype=np.bool_) if seen_ms is None else seen_ms <= moment_ms
        later = self.revisions(int(candles.ts[0]), int(candles.ts[-1]) + 1)
        for row in later[later["seen_ms"] > moment_ms].to_dict("records"):  # newest first: undone in that order
            at = int(np.searchsorted(candles.ts, row["ts_ms"]))
            if at == len(candles) or candles.ts[at] != row["ts_ms"]:
                continue
            if np.isnan(row["old_open"]):
                keep[at] = False
                continue
            for name in _COLUMNS:
                columns[name][at] = row[f"old_{name}"]
        return Candles.of(candles.ts[keep], *(columns[name][keep] for name in _COLUMNS))

    def earlier(self, now: Candles, since_ms: int) -> Iterator[Candles]:
        """Yield the states of some stored candles from a moment on, oldest first, the present one left out."""
        if not len(now):
            return
        seen_ms = self.first_seen(now)
        changed_ms = self.revisions(int(now.ts[0]), int(now.ts[-1]) + 1)["seen_ms"].to_numpy()
        moments = np.unique(np.concatenate([seen_ms, changed_ms, [since_ms]]))
        for moment_ms in moments[moments >= since_ms]:
            then = self.as_of(now, int(moment_ms), seen_ms)
            if not _same(then, now):
                yield then

    def came_after_later_ones(self, now: Candles) -> bool:
        """Say whether the last of some candles was first seen after one that follows it."""
        last_ms, step = int(now.ts[-1]), timeframe_ms(self.timeframe)
        following = self.reader.candles(
            self.exchange, self.symbol, self.timeframe, last_ms + step, last_ms + _FOLLOWING * step
        )
        return bool(len(following)) and int(self.first_seen(following).min()) < int(self.first_seen(now)[-1])

    def late(self, ts_ms: int) -> tuple[str, str]:
        """Return the cause and the candle where one came late."""
        return LATE, self._named(ts_ms)

    def difference(self, then: Candles, now: Candles) -> tuple[str, str]:
        """Return the cause and the first candle that was other at an earlier time."""
        shared, at_then, at_now = np.intersect1d(then.ts, now.ts, return_indices=True)
        changed = np.zeros(len(shared), dtype=np.bool_)
        for name in _COLUMNS:
            changed |= _unequal(getattr(then, name)[at_then], getattr(now, name)[at_now])
        if changed.any():
            return REVISED, self._named(int(shared[changed][0]))
        return LATE, self._named(int(np.setdiff1d(now.ts, then.ts)[0]))

    def missing(self, candles: Candles, end_ms: int) -> tuple[str, str] | None:
        """Return the cause and the first candle before `end_ms` that is neither stored nor known to be missing."""
        lost = self._lost(candles, end_ms)
        return (MISSING, self._named(lost[0])) if lost else None

    def rebuilt(self, candles: Candles, end_ms: int) -> Candles:
        """Return candles with those that are gone made again from the minutes, where these are still there."""
        made = [candles]
        for ts_ms in self._lost(candles, end_ms) if self.timeframe != self.base else ():
            step_ms = timeframe_ms(self.timeframe)
            minutes = self.reader.candles(self.exchange, self.symbol, self.base, ts_ms, ts_ms + step_ms)
            made.append(resample(minutes, step_ms, ts_ms, ts_ms + step_ms))
        joined = Candles.concat(made)
        order = np.argsort(joined.ts, kind="stable")
        return Candles.of(joined.ts[order], *(getattr(joined, name)[order] for name in _COLUMNS))

    def _lost(self, candles: Candles, end_ms: int) -> list[int]:
        """Return opens, oldest first, of candles that should be stored by what is known of the minutes, and are not."""
        if not len(candles):
            return []
        step_ms = timeframe_ms(self.timeframe)
        holes = np.setdiff1d(np.arange(candles.ts[0], end_ms, step_ms, dtype=np.int64), candles.ts).tolist()
        if not holes:
            return []
        gaps = self.reader.gaps(self.exchange, self.symbol, self.base)["ts_ms"]
        minutes_each = step_ms // MINUTE_MS
        return [ts_ms for ts_ms in holes if int(gaps.between(ts_ms, ts_ms + step_ms - 1).sum()) < minutes_each]

    def _named(self, ts_ms: int) -> str:
        return f"{self.timeframe} {format_ms(ts_ms)}"


def _unequal(a: FloatArray | IntArray, b: FloatArray | IntArray) -> npt.NDArray[np.bool_]:
    unequal: npt.NDArray[np.bool_] = (a != b) & ~((a != a) & (b != b))
    return unequal


def _same(one: Candles, other: Candles) -> bool:
    if len(one) != len(other):
        return False
    return not any(_unequal(getattr(one, name), getattr(other, name)).any() for name in ("ts", *_COLUMNS))
