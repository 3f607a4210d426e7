"""Volatility: how far price moves in a candle, Wilder's way.

The law: a value at candle i is made of candles 0..i alone, and is NaN until its period is full.
"""

from __future__ import annotations

import numpy as np

from core.jit import njit
from core.schema import FloatArray

__all__ = ["WILDER_MEMORY", "true_range", "wilder_atr"]

WILDER_MEMORY = 30  # periods after which Wilder's average owes less than exp(-30), 1e-13, to where it began


@njit
def true_range(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Measure each candle's range including the gap from the close before.

    Parameters
    ----------
    high, low, close : float64 array, shape (n,)
        Closed candles, price units.

    Returns
    -------
    float64 array, shape (n,)
        Price units. The first candle has no close before it: its range is ``high - low``.

    Notes
    -----
    ``TR[i] = max(high[i], close[i-1]) - min(low[i], close[i-1])``.

    References
    ----------
    Wilder, J. W. (1978). New Concepts in Technical Trading Systems, p. 21.

    Examples
    --------
    >>> import numpy as np
    >>> true_range(np.array([2.0, 5.0]), np.array([1.0, 4.0]), np.array([2.0, 4.5])).tolist()
    [1.0, 3.0]
    """
    n = len(high)
    out = np.empty(n)
    for i in range(n):
        top, bottom = high[i], low[i]
        if i > 0:
            top = max(top, close[i - 1])
            bottom = min(bottom, close[i - 1])
        out[i] = top - bottom
    return out


@njit
def wilder_atr(high: FloatArray, low: FloatArray, close: FloatArray, period: int) -> FloatArray:
    """Smooth the true range with Wilder's average.

    Parameters
    ----------
    high, low, close : float64 array, shape (n,)
        Closed candles, price units.
    period : int
        Candles, at least 1.

    Returns
    -------
    float64 array, shape (n,)
        Price units; NaN for the first ``period - 1`` candles.

    Notes
    -----
    The first value is the mean of the first `period` true ranges, then
    ``ATR[i] = (ATR[i-1] * (period - 1) + TR[i]) / period``. Where the data starts is forgotten by a
    factor of ``1 - 1/period`` a candle: see `WILDER_MEMORY`.

    References
    ----------
    Wilder, J. W. (1978). New Concepts in Technical Trading Systems, pp. 21-23.

    Examples
    --------
    >>> import numpy as np
    >>> high, low = np.array([2.0, 4.0, 5.0]), np.array([1.0, 2.0, 4.0])
    >>> wilder_atr(high, low, low, 2).tolist()
    [nan, 2.0, 2.5]
    """
    ranges = true_range(high, low, close)
    n = len(ranges)
    out = np.full(n, np.nan)
    if n < period:
        return out
    total = 0.0
    for i in range(period):
        total += ranges[i]
    out[period - 1] = total / period
    for i in range(period, n):
        out[i] = (out[i - 1] * (period - 1) + ranges[i]) / period
    return out
