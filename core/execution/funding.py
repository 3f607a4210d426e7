"""Funding: the settlements of a perpetual that a position may meet, and how far they are known.

The law: a recorded rate is used where there is one; the default stands only where the record is silent,
and each mark says which of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.clock import HOUR_MS, MINUTE_MS, ceil_to
from core.schema import FloatArray, IntArray

__all__ = ["DEFAULT_INTERVAL_MS", "PATIENCE_MS", "FundingMarks", "funding_frontier", "funding_marks", "no_marks"]

DEFAULT_INTERVAL_MS = 8 * HOUR_MS  # 00, 08 and 16 UTC: the grid most exchanges settle on
PATIENCE_MS = 10 * MINUTE_MS  # how long a settlement is waited for before the default is frozen in


@dataclass(frozen=True, slots=True, eq=False)
class FundingMarks:
    """Settlements in order of time.

    Parameters
    ----------
    ts : int64 array
        UTC ms, strictly increasing.
    rate_pct : float64 array
        Percent of notional, paid by a long and received by a short.
    recorded : bool array
        True where the market's own rate is known, False where the default stands in.
    """

    ts: IntArray
    rate_pct: FloatArray
    recorded: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ts)


def no_marks() -> FundingMarks:
    """Return no settlements, as on spot."""
    return FundingMarks(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=np.bool_))


def funding_marks(recorded: FloatArray, start_ms: int, end_ms: int, default_rate_pct: float) -> FundingMarks:
    """Return the settlements with ``start_ms <= T < end_ms``.

    Parameters
    ----------
    recorded : float64 array, shape (n, 2)
        Time in UTC ms and rate as a fraction, in any order, from before `start_ms` on where there is more.
    start_ms, end_ms : int
        UTC ms.
    default_rate_pct : float
        Percent of notional at each settlement nothing is recorded of.

    Returns
    -------
    FundingMarks
        Inside the recorded span the recorded ones, and 00/08/16 UTC inside any hole larger than the usual
        interval; outside the span 00/08/16 UTC.

    Notes
    -----
    Exchanges stamp a settlement some milliseconds late (up to 47 in Binance's history), so times are rounded
    to the minute: a mark stamped 00:00:00.005 belongs to the candle of 00:00 and is not doubled by the grid.
    The usual interval is the median one; of two rates in a minute the later one holds.

    Examples
    --------
    >>> marks = funding_marks(np.array([[28_800_000.0, 0.0002]]), 0, 57_600_001, 0.01)
    >>> marks.ts.tolist(), marks.rate_pct.tolist(), marks.recorded.tolist()
    ([0, 28800000, 57600000], [0.01, 0.02, 0.01], [False, True, False])
    """
    known_ms, known_pct = _settlements(recorded)
    grid_ms = np.arange(ceil_to(start_ms, DEFAULT_INTERVAL_MS), end_ms, DEFAULT_INTERVAL_MS, dtype=np.int64)
    grid_ms = grid_ms[_is_silent(grid_ms, known_ms)]
    inside = (known_ms >= start_ms) & (known_ms < end_ms)
    ts = np.concatenate([known_ms[inside], grid_ms])
    rate_pct = np.concatenate([known_pct[inside], np.full(len(grid_ms), default_rate_pct)])
    is_recorded = np.concatenate([np.ones(int(inside.sum()), dtype=np.bool_), np.zeros(len(grid_ms), dtype=np.bool_)])
    order = np.argsort(ts, kind="stable")
    return FundingMarks(ts[order], rate_pct[order], is_recorded[order])


def funding_frontier(recorded: FloatArray, now_ms: int, candle_frontier_ms: int) -> int:
    """Return up to where a perpetual may be played: candles with ``ts`` before it.

    Parameters
    ----------
    recorded : float64 array, shape (n, 2)
        Settlements known so far: time in UTC ms and rate as a fraction.
    now_ms, candle_frontier_ms : int
        UTC ms, market time.

    Returns
    -------
    int
        The earlier of the candles' frontier and the next settlement nothing is recorded of, which is waited
        for until 10 minutes after its time; from then on the default holds for it.

    Notes
    -----
    The next settlement is the earlier of the 00/08/16 UTC grid and one usual interval after the last
    recorded one, so that a market that settles every four hours is waited for as well.

    Examples
    --------
    >>> last = np.array([[0.0, 0.0001]])
    >>> funding_frontier(last, 28_900_000, 28_860_000), funding_frontier(last, 29_400_000, 29_340_000)
    (28800000, 29340000)
    """
    known_ms, _ = _settlements(recorded)
    past_ms = now_ms - PATIENCE_MS
    if len(known_ms):
        last_ms = int(known_ms[-1])
        expected_ms = last_ms + _usual_interval_ms(known_ms)
        past_ms = max(past_ms, last_ms)
        if expected_ms > past_ms:
            candle_frontier_ms = min(candle_frontier_ms, expected_ms)
    return min(candle_frontier_ms, ceil_to(past_ms + 1, DEFAULT_INTERVAL_MS))


def _settlements(recorded: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return times on the minute, increasing, and rates in percent."""
    table = np.asarray(recorded, dtype=np.float64).reshape(-1, 2)
    table = table[np.argsort(table[:, 0], kind="stable")]
    ts = (table[:, 0].astype(np.int64) + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    last_of_minute = np.append(ts[1:] != ts[:-1], True)[: len(ts)]
    return ts[last_of_minute], 100.0 * table[last_of_minute, 1]


def _usual_interval_ms(known_ms: IntArray) -> int:
    return int(np.median(np.diff(known_ms))) if len(known_ms) > 1 else DEFAULT_INTERVAL_MS


def _is_silent(grid_ms: IntArray, known_ms: IntArray) -> npt.NDArray[np.bool_]:
    """Say of each grid time whether the record says nothing about it: outside the span, or inside a hole."""
    if not len(known_ms):
        return np.ones(len(grid_ms), dtype=np.bool_)
    after = np.searchsorted(known_ms, grid_ms)
    before = np.searchsorted(known_ms, grid_ms, side="right") - 1
    outside = (after == len(known_ms)) | (before < 0)
    width_ms = known_ms[np.minimum(after, len(known_ms) - 1)] - known_ms[np.maximum(before, 0)]
    silent: npt.NDArray[np.bool_] = outside | (width_ms > _usual_interval_ms(known_ms))
    return silent
