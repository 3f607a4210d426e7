"""Whether anything looks ahead: what is said of the past must not depend on the future.

The law: take the future away, or put another in its place, and every value known up to the cut stays as it was.

A cut just after a row was said is the sharpest: whatever needed one more candle to be known is not there yet. So half
of the cuts are made there, and half anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.checks._compare import ROW, Compute, Difference, choose_cuts, first_differences, said_to_frame
from core.schema import Candles, FloatArray, IntArray

__all__ = ["Leak", "find_leaks", "other_future"]

OTHER_FUTURE = 500  # candles of the other future
STRONGEST = 3.0  # so many times as far may its candles move as those they are made of

AHEAD, REMOVED, CHANGED = "ahead of its candle", "future removed", "another future"


@dataclass(frozen=True, slots=True)
class Leak:
    """A value of the past that the future has changed.

    Parameters
    ----------
    how : str
        ``future removed``, ``another future``, or ``ahead of its candle`` for a row that says it was known at a
        candle that is not there yet.
    cut_ms : int
        Open of the last candle before the cut, UTC milliseconds.
    field : str
        The column; ``row`` where a whole row came or went.
    ts_ms : int
        Open of the candle whose value changed.
    whole, cut : object
        The value with the whole history, and with the history up to the cut.
    candidate : str
        What the row is about, where it is about a candidate.
    """

    how: str
    cut_ms: int
    field: str
    ts_ms: int
    whole: object
    cut: object
    candidate: str = ""


def find_leaks(compute: Compute, candles: Candles, cuts: int, rng: np.random.Generator) -> list[Leak]:
    """Recompute at cuts, without the future and with another one, and compare all that is said up to the cut.

    Parameters
    ----------
    compute : callable
        Candles in; out come rows with `ts_ms`, the candle at whose close each was known, or arrays by name with one
        value a candle. It is called twice a cut and once more, and must accept any number of candles.
    candles : Candles
        The whole history.
    cuts : int
        How many.
    rng : numpy.random.Generator
        Chooses the cuts and makes the other futures; the same generator finds the same leaks.

    Returns
    -------
    list of Leak
        The earliest of each column, for each cut and each way; empty where nothing looks ahead.

    Raises
    ------
    ValueError
        `compute` returns arrays of another length than the candles, or rows without `ts_ms`.

    Notes
    -----
    A value agrees if it is equal or, for a number, within 1e-9 of itself; NaN agrees with NaN. Values before the cut
    are all compared, the oldest too: a negative index that wraps around shows at the beginning.

    Examples
    --------
    >>> steps = np.arange(50.0)
    >>> candles = Candles.of(60_000 * np.arange(50), steps + 1, steps + 2, steps + 1, steps + 2, steps)
    >>> honest = lambda run: {"change": np.diff(run.close, prepend=np.nan)}
    >>> ahead = lambda run: {"change": np.diff(run.close, append=np.nan)}
    >>> len(find_leaks(honest, candles, 5, np.random.default_rng(1)))
    0
    >>> find_leaks(ahead, candles, 5, np.random.default_rng(1))[0].field
    'change'
    """
    whole = said_to_frame(compute(candles), candles)
    leaks = _ahead(whole, candles)
    behind_rows = np.searchsorted(candles.ts, whole["ts_ms"].to_numpy(), side="right")
    for k in choose_cuts(behind_rows, len(candles), cuts, rng):
        past = candles.slice(0, k)
        known = whole[whole["ts_ms"].to_numpy() <= past.ts[-1]]
        for how, run in ((REMOVED, past), (CHANGED, Candles.concat([past, other_future(candles, k, rng)]))):
            said = said_to_frame(compute(run), run)
            leaks += _ahead(said, run)
            said = said[said["ts_ms"].to_numpy() <= past.ts[-1]]
            leaks += [_to_leak(how, int(past.ts[-1]), difference) for difference in first_differences(known, said)]
    return leaks


def other_future(candles: Candles, k: int, rng: np.random.Generator) -> Candles:
    """Return candles that might have followed the first `k`, and did not.

    Parameters
    ----------
    candles : Candles
        A run of at least two.
    k : int
        They go on from the close of candle ``k - 1``.
    rng : numpy.random.Generator

    Notes
    -----
    Candles of the run in random order, each as it is or upside down, all stretched by one factor of 1 to 3, with
    volumes of their own. No candle is missing.
    """
    picked = rng.integers(1, len(candles), OTHER_FUTURE)
    sign = rng.choice([-1.0, 1.0], OTHER_FUTURE)
    stretch = sign * rng.uniform(1.0, STRONGEST)
    before = candles.close[picked - 1]
    moves = [stretch * np.log(column[picked] / before) for column in _prices(candles)]
    start = np.log(candles.close[k - 1]) + np.cumsum(moves[3]) - moves[3]
    opens, tops, bottoms, closes = (np.exp(start + move) for move in moves)
    step_ms = int(np.diff(candles.ts).min())
    return Candles.of(
        candles.ts[k - 1] + step_ms * np.arange(1, OTHER_FUTURE + 1),
        opens,
        np.where(sign > 0, tops, bottoms),
        np.where(sign > 0, bottoms, tops),
        closes,
        rng.permutation(candles.volume[picked]) * rng.uniform(0.1, 5.0),
        candles.taker_volume[picked],
        candles.n_minutes[picked],
    )


def _prices(candles: Candles) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    return candles.open, candles.high, candles.low, candles.close


def _ahead(said: pd.DataFrame, candles: Candles) -> list[Leak]:
    """Return the first row that says it was known at a candle that is not there yet."""
    last_ms = int(candles.ts[-1]) if len(candles) else -1
    ts: IntArray = said["ts_ms"].to_numpy(dtype="int64")
    early = ts[ts > last_ms]
    return [Leak(AHEAD, last_ms, ROW, int(early.min()), "absent", "present")] if len(early) else []


def _to_leak(how: str, cut_ms: int, found: Difference) -> Leak:
    return Leak(how, cut_ms, found.field, found.ts_ms, found.expected, found.found, found.candidate)
