"""The volume-weighted average price since an anchor.

The law: the sums run forward from the anchor itself, so the value does not depend on where the data starts.
"""

from __future__ import annotations

import numpy as np

from core.jit import njit
from core.schema import FloatArray

__all__ = ["add_to_vwap", "anchored_vwap"]


@njit
def add_to_vwap(
    turnover: float, traded: float, high: float, low: float, close: float, volume: float
) -> tuple[float, float]:
    """Add one candle to the sums of a volume-weighted average price.

    Parameters
    ----------
    turnover, traded : float
        Sums so far: typical price x volume, and volume.
    high, low, close, volume : float
        The candle.

    Returns
    -------
    tuple of float
        The new sums; their quotient is the average.

    Examples
    --------
    >>> add_to_vwap(0.0, 0.0, 3.0, 1.0, 2.0, 10.0)
    (20.0, 10.0)
    """
    return turnover + (high + low + close) / 3.0 * volume, traded + volume


@njit
def anchored_vwap(high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray, anchor: int) -> FloatArray:
    """Average the typical price since a candle, weighted by volume.

    Parameters
    ----------
    high, low, close : float64 array, shape (n,)
        Closed candles, price units.
    volume : float64 array, shape (n,)
        Base units.
    anchor : int
        Position of the first candle that counts.

    Returns
    -------
    float64 array, shape (n,)
        Price units; NaN before the anchor and until something has traded since.

    Notes
    -----
    ``AVWAP[t] = sum(typical * volume) / sum(volume)`` over ``anchor..t``, with ``typical = (high + low + close) / 3``.

    References
    ----------
    Shannon, B. (2023). Maximum Trading Gains with Anchored VWAP, Alphatrends.

    Examples
    --------
    >>> import numpy as np
    >>> price, volume = np.array([9.0, 1.0, 2.0]), np.array([5.0, 3.0, 1.0])
    >>> anchored_vwap(price, price, price, volume, 1).tolist()
    [nan, 1.0, 1.25]
    """
    n = len(close)
    out = np.full(n, np.nan)
    turnover, traded = 0.0, 0.0
    for i in range(anchor, n):
        turnover, traded = add_to_vwap(turnover, traded, high[i], low[i], close[i], volume[i])
        if traded > 0.0:
            out[i] = turnover / traded
    return out
