"""Swing pivots: candles that stand out from their neighbours on both sides.

The law: a pivot at candle i is known at the close of candle ``i + window``, and nobody uses it earlier.
"""

from __future__ import annotations

import numpy as np

from core.jit import njit
from core.schema import FloatArray, IntArray

__all__ = ["SWING_HIGH", "SWING_LOW", "swing_pivots"]

SWING_HIGH = 1
SWING_LOW = -1


@njit
def _stands_out(values: FloatArray, i: int, window: int) -> bool:
    # Strict to the left, not to the right: of equal extremes the earliest is the pivot.
    for j in range(1, window + 1):  # noqa: SIM110 - a generator does not compile
        if values[i] <= values[i - j] or values[i] < values[i + j]:
            return False
    return True


@njit
def swing_pivots(high: FloatArray, low: FloatArray, window: int) -> tuple[IntArray, IntArray]:
    """Find the swing highs and lows of a run of candles.

    Parameters
    ----------
    high, low : float64 array, shape (n,)
        Closed candles, price units.
    window : int
        Candles on each side that a pivot stands out from, at least 1.

    Returns
    -------
    positions : int64 array, shape (m,)
        Candles that are pivots, ascending; ``positions[p] + window`` is when pivot p is known.
    kinds : int64 array, shape (m,)
        ``SWING_HIGH`` (1) or ``SWING_LOW`` (-1).

    Notes
    -----
    Candle i is a swing high if ``high[i] > high[j]`` for ``i - window <= j < i`` and
    ``high[i] >= high[j]`` for ``i < j <= i + window``; a swing low likewise with lows mirrored. A candle
    that is both is neither. Candles without `window` neighbours on a side are not pivots (yet).

    References
    ----------
    Williams, B. (1995). Trading Chaos, Wiley: fractals, here with any number of neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> price = np.array([1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0])
    >>> positions, kinds = swing_pivots(price, price, 2)
    >>> positions.tolist(), kinds.tolist()
    ([2, 4], [1, -1])
    """
    n = len(high)
    positions = np.empty(n, dtype=np.int64)
    kinds = np.empty(n, dtype=np.int64)
    depths = -low
    found = 0
    for i in range(window, n - window):
        is_high = _stands_out(high, i, window)
        is_low = _stands_out(depths, i, window)
        if is_high != is_low:
            positions[found] = i
            kinds[found] = SWING_HIGH if is_high else SWING_LOW
            found += 1
    return positions[:found].copy(), kinds[:found].copy()
