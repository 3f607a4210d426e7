"""Splits that leak nothing: by label intervals, not by row counts.

The law: a row whose outcome was not known before a test begins, or that shares a moment with a test row, does not
teach the model that is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.clock import DAY_MS
from core.schema import FloatArray, IntArray

__all__ = ["BLOCK_MS", "EMBARGO_MS", "GAP_MS", "WEEK_MS", "Split", "k_fold", "n_eff", "uniqueness", "walk_forward"]

_HOUR_MS = 3_600_000
WEEK_MS = 7 * DAY_MS
BLOCK_MS = 4 * WEEK_MS
GAP_MS = _HOUR_MS
EMBARGO_MS = 6 * _HOUR_MS

_MONDAY_MS = 4 * DAY_MS  # 1970-01-05; blocks begin on Mondays


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to learn from and rows to be tested on.

    Parameters
    ----------
    start_ms, end_ms : int
        The test's decisions lie in ``[start_ms, end_ms)``.
    train, test : int64 array
        Positions of the rows, rising.
    """

    start_ms: int
    end_ms: int
    train: IntArray
    test: IntArray


def walk_forward(
    t0: npt.ArrayLike, t1: npt.ArrayLike, block_ms: int = BLOCK_MS, gap_ms: int = GAP_MS
) -> Iterator[Split]:
    """Yield one split per block of time that holds a decision, oldest first.

    Parameters
    ----------
    t0, t1 : int array-like, shape (n,)
        When each row was decided, and when its outcome was known; UTC ms, in any order.
    block_ms : int
        Length of a block. Blocks lie on a fixed grid from Monday, 1970-01-05, so that the same row is always in the
        same block.
    gap_ms : int
        A training row has ``t1 < start_ms - gap_ms``.

    Examples
    --------
    >>> decided, known = [0, 5, 12], [3, 15, 14]
    >>> for split in walk_forward(decided, known, block_ms=10, gap_ms=1):
    ...     print(split.start_ms, split.train.tolist(), split.test.tolist())
    0 [] [0, 1]
    10 [0] [2]
    """
    decided, known = np.asarray(t0, dtype=np.int64), np.asarray(t1, dtype=np.int64)
    block = (decided - _MONDAY_MS) // block_ms
    for number in np.unique(block):
        start_ms = int(number) * block_ms + _MONDAY_MS
        train = np.flatnonzero(known < start_ms - gap_ms)
        yield Split(start_ms, start_ms + block_ms, train, np.flatnonzero(block == number))


def k_fold(t0: npt.ArrayLike, t1: npt.ArrayLike, k: int = 5, embargo_ms: int = EMBARGO_MS) -> Iterator[Split]:
    """Yield `k` splits whose tests are stretches of time with about as many rows each, oldest first.

    Parameters
    ----------
    t0, t1 : int array-like, shape (n,)
        When each row was decided, and when its outcome was known; UTC ms, in any order.
    k : int
        Folds; rows decided at one moment stay together, so that there can be fewer.
    embargo_ms : int
        How long after the last test outcome the next training row may be decided.

    Notes
    -----
    A row is left out of training when its interval ``[t0, t1]`` meets ``[t0, t1 + embargo]`` of any test row.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, 7.4.
    """
    decided, known = np.asarray(t0, dtype=np.int64), np.asarray(t1, dtype=np.int64)
    ordered = np.sort(decided)
    cuts = np.unique(ordered[(np.arange(k) * len(ordered)) // k]) if len(ordered) else ordered
    fold = np.searchsorted(cuts, decided, side="right") - 1
    for number in range(len(cuts)):
        test = np.flatnonzero(fold == number)
        first, last = int(decided[test].min()), int(known[test].max())
        apart = (known < first) | (decided > last + embargo_ms)
        end_ms = int(cuts[number + 1]) if number + 1 < len(cuts) else int(ordered[-1]) + 1
        yield Split(int(cuts[number]), end_ms, np.flatnonzero(apart & (fold != number)), test)


def uniqueness(
    symbol: npt.ArrayLike, timeframe: npt.ArrayLike, opened: npt.ArrayLike, known: npt.ArrayLike
) -> FloatArray:
    """Return how much of its own each row says, in (0, 1].

    Parameters
    ----------
    symbol, timeframe : array-like of str, shape (n,)
        Only rows of the same symbol and timeframe overlap.
    opened, known : int array-like, shape (n,)
        A position is held over ``[opened, known)``, UTC ms.

    Returns
    -------
    float64 array, shape (n,)
        Average over the time it is held of ``1 / (rows held then)``.

    Notes
    -----
    O(n log n): the number of rows held is constant between two events, and its reciprocal is summed up over time once.

    References
    ----------
    Lopez de Prado (2018), Advances in Financial Machine Learning, 4.3-4.4.

    Examples
    --------
    >>> uniqueness(["BTC", "BTC", "ETH"], ["1h"] * 3, [0, 5, 0], [10, 15, 10]).tolist()
    [0.75, 0.75, 1.0]
    """
    starts = np.asarray(opened, dtype=np.int64)
    ends = np.maximum(np.asarray(known, dtype=np.int64), starts + 1)
    series = _groups(np.asarray(symbol, dtype=object), np.asarray(timeframe, dtype=object))
    unique = np.empty(len(starts))
    order = np.argsort(series, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(series[order])) + 1):
        unique[rows] = _alone(starts[rows], ends[rows])
    return unique


def n_eff(weights: FloatArray) -> float:
    """Return the effective number of rows: the sum of their uniqueness."""
    return float(np.sum(weights))


def _groups(symbol: npt.NDArray[np.object_], timeframe: npt.NDArray[np.object_]) -> IntArray:
    """Return a number for each pair of words."""
    _, of_symbol = np.unique(symbol.astype(str), return_inverse=True)
    names, of_timeframe = np.unique(timeframe.astype(str), return_inverse=True)
    return np.asarray(of_symbol * max(1, len(names)) + of_timeframe, dtype=np.int64)


def _alone(starts: IntArray, ends: IntArray) -> FloatArray:
    times, where = np.unique(np.concatenate([starts, ends]), return_inverse=True)
    n = len(starts)
    change = np.bincount(where[:n], minlength=len(times)) - np.bincount(where[n:], minlength=len(times))
    held = np.cumsum(change)[:-1]
    share = np.diff(times) / np.maximum(held, 1)
    until = np.concatenate([[0.0], np.cumsum(share)])
    alone: FloatArray = (until[where[n:]] - until[where[:n]]) / (ends - starts)
    return alone
