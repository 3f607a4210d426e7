"""Funding: the settlements of a perpetual that a position may meet, and how far they are known.

The law: a recorded rate is used where there is one; the default stands only where the record is silent at a time its
own rhythm names, and each mark says which of the two it is. What is expected follows from the settlements before it
alone: whoever plays minute by minute, each settlement known within ten minutes, meets the marks of the full record.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from core.clock import HOUR_MS, MINUTE_MS, floor_to
from core.schema import FloatArray, IntArray

__all__ = [
    "DEFAULT_INTERVAL_MS",
    "PATIENCE_MS",
    "FundingMarks",
    "funding_frontier",
    "funding_marks",
    "next_settlement",
    "no_marks",
]

DEFAULT_INTERVAL_MS = 8 * HOUR_MS  # 00, 08 and 16 UTC: the grid most exchanges settle on
PATIENCE_MS = 10 * MINUTE_MS  # how long a settlement is waited for before the default is frozen in

_RHYTHM = 3  # intervals the usual one is judged from: a hole is outvoted, a market that changed is soon followed
_CONTEXT = 2 * (_RHYTHM + 1)  # rows that hold those settlements, were each of them stored twice
_NEVER_MS = 2**62


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
        The recorded ones, and the default at each time that was expected and stayed silent.

    Notes
    -----
    After a settlement the next ones are expected at steps of the usual interval, the median of the last three (the
    lower one of two; eight hours where there is only one settlement); before the first, at 00/08/16 UTC. One that
    is recorded at an expected time or less than ten minutes after it stands at that time. Any other came unasked:
    candles may have been played by the time it was known, so it stands ten minutes after its own time, when it is.

    Exchanges stamp a settlement some milliseconds late (up to 47 in Binance's history), so times are rounded
    to the minute: a mark stamped 00:00:00.005 belongs to the candle of 00:00. Of two rates in a minute the later
    one holds.

    Examples
    --------
    >>> marks = funding_marks(np.array([[28_800_000.0, 0.0002]]), 0, 57_600_001, 0.01)
    >>> marks.ts.tolist(), marks.rate_pct.tolist(), marks.recorded.tolist()
    ([0, 28800000, 57600000], [0.01, 0.02, 0.01], [False, True, False])
    """
    known_ms, known_pct = _settlements(recorded, start_ms, end_ms)
    first_ms = min([start_ms, *known_ms[:1].tolist()])
    from_ms = np.append(floor_to(first_ms - 1, DEFAULT_INTERVAL_MS), known_ms)  # what the next ones are counted from
    step_ms = np.append(DEFAULT_INTERVAL_MS, _usual_intervals_ms(known_ms))
    steps, late_ms = np.divmod(known_ms - from_ms[:-1], step_ms[:-1])
    is_expected = (steps > 0) & (late_ms < PATIENCE_MS)
    paid_ms = np.where(is_expected, known_ms - late_ms, known_ms + PATIENCE_MS)
    silent = np.append(steps - is_expected, max(0, end_ms - 1 - int(from_ms[-1])) // step_ms[-1])
    silent_ms = _steps_on(from_ms, step_ms, silent, start_ms)
    # Of two at the same time the recorded one comes first here, and holds.
    ts, place = np.unique(np.concatenate([paid_ms, silent_ms]), return_index=True)
    inside = (ts >= start_ms) & (ts < end_ms)
    ts, place = ts[inside], place[inside]
    rate_pct = np.append(known_pct, np.full(len(silent_ms), default_rate_pct))
    return FundingMarks(ts, rate_pct[place], place < len(known_ms))


def next_settlement(recorded: FloatArray, after_ms: int) -> int:
    """Return the first settlement after a time that nothing is recorded of and that is to be expected, UTC ms.

    Parameters
    ----------
    recorded : float64 array, shape (n, 2)
        Settlements known so far: time in UTC ms and rate as a fraction.
    after_ms : int
        UTC ms.

    Examples
    --------
    >>> next_settlement(np.array([[14_400_000.0, 0.0001]]), 50_000_000)
    72000000
    """
    known_ms, _ = _settlements(recorded, _NEVER_MS, _NEVER_MS)
    from_ms, step_ms = 0, DEFAULT_INTERVAL_MS
    if len(known_ms):
        from_ms, step_ms = int(known_ms[-1]), int(_usual_intervals_ms(known_ms)[-1])
    return from_ms + (max(after_ms - from_ms, 0) // step_ms + 1) * step_ms


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
        The earlier of the candles' frontier and the next settlement that is expected, which is waited for until
        10 minutes after its time; from then on the default holds for it.

    Examples
    --------
    >>> last = np.array([[0.0, 0.0001]])
    >>> funding_frontier(last, 28_900_000, 28_860_000), funding_frontier(last, 29_400_000, 29_340_000)
    (28800000, 29340000)
    """
    return min(candle_frontier_ms, next_settlement(recorded, now_ms - PATIENCE_MS))


def _settlements(recorded: FloatArray, start_ms: int, end_ms: int) -> tuple[IntArray, FloatArray]:
    """Return times on the minute, increasing, and rates in percent: those that bear on a stretch, or more."""
    table = np.asarray(recorded, dtype=np.float64).reshape(-1, 2)
    if (table[1:, 0] < table[:-1, 0]).any():
        table = table[np.argsort(table[:, 0], kind="stable")]
    reach_ms = PATIENCE_MS + MINUTE_MS
    first, last = np.searchsorted(table[:, 0], [start_ms - reach_ms, end_ms + reach_ms])
    table = table[max(0, first - _CONTEXT) : last]
    ts = (table[:, 0].astype(np.int64) + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS
    last_of_minute = np.append(ts[1:] != ts[:-1], True)[: len(ts)]
    return ts[last_of_minute], 100.0 * table[last_of_minute, 1]


def _usual_intervals_ms(known_ms: IntArray) -> IntArray:
    """Return the usual interval as of each settlement."""
    # Put before the first, these make the median of one interval that one, of two the lower, of none the default.
    intervals = np.concatenate([[DEFAULT_INTERVAL_MS, _NEVER_MS, 0], np.diff(known_ms)])
    usual: IntArray = np.sort(sliding_window_view(intervals, _RHYTHM), axis=1)[: len(known_ms), _RHYTHM // 2]
    return usual


def _steps_on(from_ms: IntArray, step_ms: IntArray, last: IntArray, start_ms: int) -> IntArray:
    """Return the times from `start_ms` on that lie one to `last` steps behind each of `from_ms`."""
    first = np.maximum(1, -((from_ms - start_ms) // step_ms))
    count = np.maximum(0, last - first + 1)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    times: IntArray = np.repeat(from_ms + first * step_ms, count) + within * np.repeat(step_ms, count)
    return times
