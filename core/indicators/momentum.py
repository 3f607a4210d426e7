"""Momentum: how one-sided the way of a price has been.

The law: a value at candle i is made of candles up to i alone, and is NaN until its period is full.
"""

from __future__ import annotations

import numpy as np

from core.jit import njit
from core.schema import FloatArray, IntArray

__all__ = ["change_over", "efficiency_ratio", "wilder_rsi"]


@njit
def wilder_rsi(close: FloatArray, period: int) -> FloatArray:
    """Weigh rises against falls with Wilder's average.

    Parameters
    ----------
    close : float64 array, shape (n,)
        Closed candles, price units.
    period : int
        Candles, at least 1.

    Returns
    -------
    float64 array, shape (n,)
        0 to 100; NaN for the first ``period - 1`` candles. 50 in a market that has never moved.

    Notes
    -----
    ``RSI = 100 * U / (U + D)`` with U and D the averages of rises and falls from close to close,
    ``A[0] = 0``, ``A[i] = A[i-1] + (x[i] - A[i-1]) / period``. Where the data starts is forgotten as in
    `core.indicators.volatility.WILDER_MEMORY`.

    References
    ----------
    Wilder, J. W. (1978). New Concepts in Technical Trading Systems, pp. 63-70.

    Examples
    --------
    >>> wilder_rsi(np.array([1.0, 2.0, 1.0, 3.0]), 2).round(4).tolist()
    [nan, 100.0, 33.3333, 81.8182]
    """
    n = len(close)
    out = np.full(n, np.nan)
    up, down = 0.0, 0.0
    for i in range(n):
        change = close[i] - close[i - 1] if i > 0 else 0.0
        up += (max(change, 0.0) - up) / period
        down += (max(-change, 0.0) - down) / period
        if i >= period - 1:
            both = up + down
            out[i] = 100.0 * up / both if both > 0.0 else 50.0
    return out


@njit
def efficiency_ratio(close: FloatArray, positions: IntArray, window: int) -> FloatArray:
    """Divide the way price has come by the way it has gone, at some positions.

    Parameters
    ----------
    close : float64 array, shape (n,)
        Closed candles, price units.
    positions : int64 array, shape (m,)
        Last candle of each window; a position below 0 is none.
    window : int
        Steps from close to close, at least 1.

    Returns
    -------
    float64 array, shape (m,)
        -1 (straight down) to 1 (straight up); 0 where price has not moved; NaN with fewer than ``window + 1`` candles.

    Notes
    -----
    ``ER[t] = (close[t] - close[t-window]) / sum(|close[i] - close[i-1]|)``, with the sign that Kaufman's ratio drops.

    References
    ----------
    Kaufman, P. J. (1995). Smarter Trading, McGraw-Hill: the efficiency ratio.

    Examples
    --------
    >>> efficiency_ratio(np.array([1.0, 3.0, 2.0]), np.array([1, 2]), 2).round(4).tolist()
    [nan, 0.3333]
    """
    out = np.full(len(positions), np.nan)
    for k in range(len(positions)):
        last = positions[k]
        if last < window:
            continue
        gone = 0.0
        for i in range(last - window + 1, last + 1):
            gone += abs(close[i] - close[i - 1])
        come = close[last] - close[last - window]
        out[k] = come / gone if gone > 0.0 else 0.0
    return out


@njit
def change_over(values: FloatArray, positions: IntArray, steps: int) -> FloatArray:
    """Subtract the value `steps` candles earlier, at some positions.

    Parameters
    ----------
    values : float64 array, shape (n,)
    positions : int64 array, shape (m,)
        Candles asked about; a position below 0 is none.
    steps : int
        At least 0.

    Returns
    -------
    float64 array, shape (m,)
        In the unit of `values`; NaN where the data does not reach so far back.

    Examples
    --------
    >>> change_over(np.array([1.0, 3.0, 2.0]), np.array([1, 2]), 2).tolist()
    [nan, 1.0]
    """
    out = np.full(len(positions), np.nan)
    for k in range(len(positions)):
        if positions[k] >= steps:
            out[k] = values[positions[k]] - values[positions[k] - steps]
    return out
