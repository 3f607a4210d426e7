"""Missing minutes: open until two answers, some seconds apart, both held a later candle and not this one.

The law: a minute is never invented. It is stored, an open gap, or a confirmed gap, and only a later candle in the
same answer proves anything about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.schema import IntArray

__all__ = ["CONFIRM_AFTER_MS", "NEVER_MS", "RETRY_AFTER_MS", "Gaps", "Look", "look"]

CONFIRM_AFTER_MS = 5_000
"""Least market time between the two answers that confirm a gap."""

RETRY_AFTER_MS = (CONFIRM_AFTER_MS, 300_000, 1_800_000, 10_800_000, 86_400_000)
"""Wait before the next look, by looks so far: the second confirms, four more are spread over a good day."""

NEVER_MS = 0
"""`next_try_ms` of a gap that is not asked for again."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """The missing minutes of a series, oldest first, as arrays of one length.

    Parameters
    ----------
    ts : int64 array
        Open times, UTC milliseconds.
    confirmed : bool array
        False while open.
    first_missed_ms : int64 array
        Market time of the first answer without it.
    tries : int64 array
        Answers that proved it missing.
    next_try_ms : int64 array
        Market time from which the next look counts; `NEVER_MS` when given up.
    """

    ts: IntArray
    confirmed: BoolArray
    first_missed_ms: IntArray
    tries: IntArray
    next_try_ms: IntArray

    @classmethod
    def none(cls) -> Gaps:
        """Return no gaps."""
        return cls(np.empty(0, np.int64), np.empty(0, np.bool_), *(np.empty(0, np.int64) for _ in range(3)))

    @classmethod
    def of_frame(cls, frame: pd.DataFrame) -> Gaps:
        """Read a frame with ts_ms, state, first_missed_ms, tries, next_try_ms; filled gaps are left out."""
        frame = frame[frame["state"] != "filled"].sort_values("ts_ms")
        return cls(
            frame["ts_ms"].to_numpy(np.int64),
            (frame["state"] == "confirmed").to_numpy(np.bool_),
            *(frame[name].to_numpy(np.int64) for name in ("first_missed_ms", "tries", "next_try_ms")),
        )

    def __len__(self) -> int:
        return len(self.ts)

    def to_frame(self) -> pd.DataFrame:
        """Write the frame that `of_frame` reads."""
        return pd.DataFrame(
            {
                "ts_ms": self.ts,
                "state": np.where(self.confirmed, "confirmed", "open"),
                "first_missed_ms": self.first_missed_ms,
                "tries": self.tries,
                "next_try_ms": self.next_try_ms,
            }
        )

    def first_open_ms(self) -> int | None:
        """Return the oldest open gap."""
        waiting = np.flatnonzero(~self.confirmed)
        return int(self.ts[waiting[0]]) if len(waiting) else None

    def due(self, now_ms: int) -> BoolArray:
        """Say which gaps may be looked at now."""
        is_wanted: BoolArray = self.next_try_ms != NEVER_MS
        # A look planned further ahead than any wait was planned by a clock that was wrong.
        return is_wanted & ((self.next_try_ms <= now_ms) | (self.next_try_ms > now_ms + RETRY_AFTER_MS[-1]))

    def pick(self, which: BoolArray) -> Gaps:
        """Return some of them."""
        return Gaps(*(getattr(self, name)[which] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one answer said about the gaps of a series.

    Parameters
    ----------
    gaps : Gaps
        All that are missing now.
    changed : pandas.DataFrame or None
        Rows that are new, were tried or were filled; None where nothing changed.
    filled : int64 array
        Gaps that are none any more.
    """

    gaps: Gaps
    changed: pd.DataFrame | None
    filled: IntArray


def look(known: Gaps, present: IntArray, start_ms: int, end_ms: int, fresh_ms: int, now_ms: int, step_ms: int) -> Look:
    """Compare an answer with what is known to be missing.

    Parameters
    ----------
    known : Gaps
        Unchanged.
    present : int64 array
        Times of the closed candles of the answer, sorted.
    start_ms, end_ms : int
        The stretch the answer covers: from the first minute asked for to its last candle (exclusive), so that
        every minute in between has a later candle.
    fresh_ms : int
        Minutes from here on have not been in an answer before; earlier ones are stored unless known to be missing.
    now_ms : int
        Market time of the answer.
    step_ms : int
        Length of a candle, milliseconds.

    Returns
    -------
    Look

    Examples
    --------
    >>> told = look(Gaps.none(), np.array([0, 120_000]), 0, 120_000, 0, 180_000, 60_000)
    >>> told.gaps.ts.tolist(), told.gaps.confirmed.tolist()
    ([60000], [False])
    """
    nothing = np.empty(0, np.int64)
    lo, hi = np.searchsorted(known.ts, (start_ms, end_ms + step_ms))
    if lo == hi and _is_whole(present, max(start_ms, fresh_ms), end_ms, step_ms):
        return Look(known, None, nothing)
    is_here = np.isin(known.ts, present, assume_unique=True)
    is_missed = ~is_here & (known.ts >= start_ms) & (known.ts < end_ms) & known.due(now_ms)
    grid = np.arange(max(start_ms, fresh_ms), end_ms, step_ms, dtype=np.int64)
    fresh = np.setdiff1d(np.setdiff1d(grid, present, assume_unique=True), known.ts, assume_unique=True)
    if not (is_here.any() or is_missed.any() or len(fresh)):
        return Look(known, None, nothing)
    tries = known.tries + is_missed
    kept = Gaps(
        known.ts,
        known.confirmed | is_missed,
        known.first_missed_ms,
        tries,
        np.where(is_missed, _next_try(tries, now_ms), known.next_try_ms),
    )
    ones = np.ones(len(fresh), np.int64)
    opened = Gaps(fresh, ones == 0, ones * now_ms, ones, _next_try(ones, now_ms))
    filled = kept.pick(is_here)
    frames = [opened.to_frame(), kept.pick(is_missed).to_frame(), filled.to_frame().assign(state="filled")]
    changed = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    left = kept.pick(~is_here)
    return Look(_merge(left, opened), changed, filled.ts)


def _is_whole(present: IntArray, start_ms: int, end_ms: int, step_ms: int) -> bool:
    """Whether every minute of the stretch is there."""
    here = int(np.searchsorted(present, end_ms)) - int(np.searchsorted(present, start_ms))
    return here * step_ms >= end_ms - start_ms


def _next_try(tries: IntArray, now_ms: int) -> IntArray:
    waits = np.array((*RETRY_AFTER_MS, 0), dtype=np.int64)[np.clip(tries - 1, 0, len(RETRY_AFTER_MS))]
    return np.where(waits > 0, now_ms + waits, NEVER_MS)


def _merge(left: Gaps, right: Gaps) -> Gaps:
    if not len(right):
        return left
    columns = [np.concatenate((getattr(left, name), getattr(right, name))) for name in Gaps.__slots__]
    order = np.argsort(columns[0], kind="stable")
    return Gaps(*(column[order] for column in columns))
