"""Averages, and the statistics of a trailing window.

The law: a value at candle i is made of candles up to i alone, and is NaN where a window is not full. What looks at a
window is computed anew at each position asked about, so that where the data starts does not show in its rounding.
"""

from __future__ import annotations

import numpy as np

from core.indicators.avwap import add_to_vwap
from core.jit import njit
from core.schema import FloatArray, IntArray

__all__ = [
    "EMA_MEMORY",
    "ema",
    "vwap_between",
    "window_extremes",
    "window_mean",
    "window_rank",
    "window_std",
]

EMA_MEMORY = 17  # spans after which an exponential average owes less than exp(-34), 2e-15, to where it began


@njit
def ema(values: FloatArray, span: int) -> FloatArray:
    """Average exponentially.

    Parameters
    ----------
    values : float64 array, shape (n,)
        Without NaN.
    span : int
        Candles, at least 1.

    Returns
    -------
    float64 array, shape (n,)
        In the unit of `values`; NaN for the first ``span - 1``.

    Notes
    -----
    ``EMA[0] = x[0]``, ``EMA[i] = EMA[i-1] + 2 / (span + 1) * (x[i] - EMA[i-1])``. Where the data starts is forgotten by
    a factor of ``1 - 2 / (span + 1)`` a candle: see `EMA_MEMORY`.

    References
    ----------
    Hunter, J. S. (1986). The exponentially weighted moving average, Journal of Quality Technology 18(4), 203-210.

    Examples
    --------
    >>> ema(np.array([1.0, 3.0, 3.0]), 3)[1:].tolist()
    [nan, 2.5]
    """
    n = len(values)
    out = np.full(n, np.nan)
    weight = 2.0 / (span + 1.0)
    average = values[0] if n > 0 else np.nan
    for i in range(n):
        average += weight * (values[i] - average)
        if i >= span - 1:
            out[i] = average
    return out


@njit
def window_mean(values: FloatArray, positions: IntArray, window: int) -> FloatArray:
    """Average the last `window` values at some positions.

    Parameters
    ----------
    values : float64 array, shape (n,)
    positions : int64 array, shape (m,)
        Last value of each window; a position below 0 is none.
    window : int
        At least 1.

    Returns
    -------
    float64 array, shape (m,)
        In the unit of `values`; NaN where the window is not full or holds a NaN.

    Examples
    --------
    >>> window_mean(np.array([1.0, 2.0, 6.0]), np.array([0, 1, 2]), 2).tolist()
    [nan, 1.5, 4.0]
    """
    out = np.full(len(positions), np.nan)
    for k in range(len(positions)):
        last = positions[k]
        if last < window - 1:
            continue
        total = 0.0
        for i in range(last - window + 1, last + 1):
            total += values[i]
        out[k] = total / window
    return out


@njit
def window_std(values: FloatArray, positions: IntArray, window: int) -> FloatArray:
    """Measure the spread of the last `window` values at some positions.

    Parameters
    ----------
    values : float64 array, shape (n,)
    positions : int64 array, shape (m,)
        Last value of each window; a position below 0 is none.
    window : int
        At least 1.

    Returns
    -------
    float64 array, shape (m,)
        Standard deviation of the window itself (divided by `window`), in the unit of `values`; NaN where it is not
        full or holds a NaN. Exactly 0 for equal values.

    Examples
    --------
    >>> window_std(np.array([0.1, 0.1, 0.3]), np.array([1, 2]), 2).round(6).tolist()
    [0.0, 0.1]
    """
    out = np.full(len(positions), np.nan)
    for k in range(len(positions)):
        last = positions[k]
        if last < window - 1:
            continue
        now = values[last]  # counted from here, equal values leave no rounding behind
        total, squares = 0.0, 0.0
        for i in range(last - window + 1, last + 1):
            total += values[i] - now
        mean = total / window
        for i in range(last - window + 1, last + 1):
            squares += (values[i] - now - mean) ** 2
        out[k] = np.sqrt(squares / window)
    return out


@njit
def window_rank(values: FloatArray, positions: IntArray, window: int, needs: int) -> FloatArray:
    """Rank values among the last `window` of them, themselves included.

    Parameters
    ----------
    values : float64 array, shape (n,)
        NaN is not known and does not count.
    positions : int64 array, shape (m,)
        Values that are ranked.
    window : int
        At least 1.
    needs : int
        How many of the window must be known.

    Returns
    -------
    float64 array, shape (m,)
        Share of the known values below, ties counted half, 0 to 1; NaN with fewer than `needs`.

    Notes
    -----
    ``(below + equal / 2) / known``.

    Examples
    --------
    >>> window_rank(np.array([3.0, 1.0, 2.0]), np.array([1, 2]), 3, 3).tolist()
    [nan, 0.5]
    """
    out = np.full(len(positions), np.nan)
    for k in range(len(positions)):
        now = values[positions[k]]
        if np.isnan(now):
            continue
        known, below = 0, 0.0
        for i in range(max(0, positions[k] - window + 1), positions[k] + 1):
            if values[i] == values[i]:
                known += 1
                if values[i] < now:
                    below += 1.0
                elif values[i] == now:
                    below += 0.5
        if known >= needs:
            out[k] = below / known
    return out


@njit
def window_extremes(
    high: FloatArray, low: FloatArray, positions: IntArray, window: int
) -> tuple[FloatArray, FloatArray]:
    """Find the lowest low and the highest high of the last `window` candles at some positions.

    Parameters
    ----------
    high, low : float64 array, shape (n,)
        Closed candles, price units.
    positions : int64 array, shape (m,)
        Last candle of each window; a position below 0 is none.
    window : int
        At least 1.

    Returns
    -------
    lowest, highest : float64 array, shape (m,)
        Price units; NaN where the window is not full.

    Examples
    --------
    >>> lowest, highest = window_extremes(np.array([3.0, 2.0]), np.array([2.0, 1.0]), np.array([0, 1]), 2)
    >>> lowest.tolist(), highest.tolist()
    ([nan, 1.0], [nan, 3.0])
    """
    lowest, highest = np.full(len(positions), np.nan), np.full(len(positions), np.nan)
    for k in range(len(positions)):
        last = positions[k]
        if last < window - 1:
            continue
        bottom, top = low[last], high[last]
        for i in range(last - window + 1, last):
            bottom, top = min(bottom, low[i]), max(top, high[i])
        lowest[k], highest[k] = bottom, top
    return lowest, highest


@njit
def vwap_between(
    high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, first: IntArray, last: IntArray
) -> FloatArray:
    """Average the typical price from one candle to another, both included, weighted by volume.

    Parameters
    ----------
    high, low, close : float64 array, shape (n,)
        Closed candles, price units.
    volume : float64 array, shape (n,)
        Base units.
    first, last : int64 array, shape (m,)
        Positions; `first` below 0 is not known.

    Returns
    -------
    float64 array, shape (m,)
        Price units; NaN where `first` is not known or lies behind `last`, or nothing has traded between.

    Notes
    -----
    The value `core.indicators.avwap.anchored_vwap` has at `last` when anchored at `first`, for many anchors at once.

    References
    ----------
    Shannon, B. (2023). Maximum Trading Gains with Anchored VWAP, Alphatrends.

    Examples
    --------
    >>> price, volume = np.array([9.0, 1.0, 2.0]), np.array([5.0, 3.0, 1.0])
    >>> vwap_between(price, price, price, volume, np.array([1, -1]), np.array([2, 2])).tolist()
    [1.25, nan]
    """
    out = np.full(len(first), np.nan)
    for k in range(len(first)):
        if first[k] < 0:
            continue
        turnover, traded = 0.0, 0.0
        for i in range(first[k], last[k] + 1):
            turnover, traded = add_to_vwap(turnover, traded, high[i], low[i], close[i], volume[i])
        if traded > 0.0:
            out[k] = turnover / traded
    return out
