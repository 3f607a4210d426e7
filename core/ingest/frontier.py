"""Where a series stands, and how one answer moves it on.

The law: every minute before the checkpoint is stored, an open gap or a confirmed gap; hence the frontier, before
which nothing is open, is the oldest open gap, or the checkpoint where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.ingest.clean import clean
from core.ingest.gaps import Gaps, look
from core.schema import Candles, FloatArray, IntArray

__all__ = ["Answer", "Series", "absorb", "frontier"]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """How far a series has come.

    Parameters
    ----------
    begin_ms : int or None
        Its first candle; what was before it is not missing. None for a series without candles.
    checkpoint_ms : int or None
        End of what has been asked for and answered; None for a series without candles.
    gaps : Gaps
        Minutes before the checkpoint that are not stored.
    """

    begin_ms: int | None
    checkpoint_ms: int | None
    gaps: Gaps

    @property
    def frontier_ms(self) -> int | None:
        """Every earlier minute is stored or a confirmed gap."""
        return None if self.checkpoint_ms is None else frontier(self.checkpoint_ms, self.gaps)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one answer of a market brought.

    Parameters
    ----------
    series : Series
        Where the series stands now.
    candles : Candles
        Closed and clean.
    rejected : pandas.DataFrame
        Columns `clean.REJECTED`.
    gaps_changed : pandas.DataFrame or None
        Rows of missing minutes to write.
    filled : int64 array
        Missing minutes that came after all.
    is_later : bool
        Whether it moved the checkpoint. Where a closed candle was due and this is False, the answer is a fault.
    """

    series: Series
    candles: Candles
    rejected: pd.DataFrame
    gaps_changed: pd.DataFrame | None
    filled: IntArray
    is_later: bool


def frontier(checkpoint_ms: int, gaps: Gaps) -> int:
    """Return the frontier: every earlier minute is stored or a confirmed gap.

    Examples
    --------
    >>> frontier(600_000, Gaps.none())
    600000
    """
    first_open = gaps.first_open_ms() if len(gaps) else None
    return checkpoint_ms if first_open is None else min(first_open, checkpoint_ms)


def absorb(series: Series, rows: FloatArray, since_ms: int, now_ms: int, step_ms: int, room: int) -> Answer:
    """Take in one answer.

    Parameters
    ----------
    series : Series
        Unchanged.
    rows : float64 array, shape (n, 6) or (n, 7)
        As the market gave them.
    since_ms : int
        First minute asked for; at or before the checkpoint.
    now_ms : int
        Exchange time.
    step_ms : int
        Length of a candle, milliseconds.
    room : int
        Most missing minutes to open at once. Of a longer hole the rest waits for the next answer, and so do the
        candles behind it.

    Returns
    -------
    Answer

    Notes
    -----
    The forming candle proves nothing about the minutes before it: it is not a candle yet.
    """
    candles, rejected = clean(rows, step_ms, now_ms)
    candles = candles.between(since_ms if series.begin_ms is None else max(since_ms, series.begin_ms))
    if not len(candles):
        return Answer(series, candles, rejected, None, np.empty(0, np.int64), False)
    begin_ms = int(candles.ts[0]) if series.begin_ms is None else series.begin_ms
    checkpoint_ms = begin_ms if series.checkpoint_ms is None else series.checkpoint_ms
    end_ms = _proven_end(candles.ts, checkpoint_ms, step_ms, room)
    candles = candles.between(None, end_ms + step_ms)
    told = look(series.gaps, candles.ts, since_ms, end_ms, checkpoint_ms, now_ms, step_ms)
    is_kept = len(candles) and int(candles.ts[-1]) == end_ms
    reached_ms = max(checkpoint_ms, end_ms + step_ms if is_kept else end_ms)
    return Answer(
        Series(begin_ms, reached_ms, told.gaps),
        candles,
        rejected,
        told.changed,
        told.filled,
        series.checkpoint_ms is None or reached_ms > series.checkpoint_ms,
    )


def _proven_end(ts: IntArray, checkpoint_ms: int, step_ms: int, room: int) -> int:
    """The last candle of the answer, or an earlier minute where more than `room` are missing before it."""
    last_ms = int(ts[-1])
    new = ts[np.searchsorted(ts, checkpoint_ms) :]
    missing = (last_ms + step_ms - checkpoint_ms) // step_ms - len(new)
    if missing <= room:
        return last_ms
    # missing_before[i]: how many minutes are missing between the checkpoint and new candle i
    missing_before = (new - checkpoint_ms) // step_ms - np.arange(len(new))
    first_too_far = int(np.searchsorted(missing_before, room, side="right"))
    return checkpoint_ms + (room + first_too_far) * step_ms
