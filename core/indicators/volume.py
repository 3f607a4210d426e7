"""Volume: how much is traded against what is usual, and who takes.

The law: a value at candle i is made of candles up to i alone; what the market does not say is NaN.
"""

from __future__ import annotations

import numpy as np

from core.indicators.averages import window_mean, window_std
from core.jit import njit
from core.schema import FloatArray, IntArray

__all__ = ["mean_between", "taker_imbalance", "z_score"]


@njit
def mean_between(values: FloatArray, first: IntArray, last: IntArray) -> FloatArray:
    """Average values from one position to another, both included.

    Parameters
    ----------
    values : float64 array, shape (n,)
    first, last : int64 array, shape (m,)
        Positions; `first` below 0 is not known.

    Returns
    -------
    float64 array, shape (m,)
        In the unit of `values`; NaN where `first` is not known or lies behind `last`.

    Examples
    --------
    >>> mean_between(np.array([1.0, 2.0, 6.0]), np.array([1, -1]), np.array([2, 2])).tolist()
    [4.0, nan]
    """
    out = np.full(len(first), np.nan)
    for k in range(len(first)):
        if first[k] < 0 or first[k] > last[k]:
            continue
        total = 0.0
        for i in range(first[k], last[k] + 1):
            total += values[i]
        out[k] = total / (last[k] - first[k] + 1)
    return out


@njit
def z_score(values: FloatArray, positions: IntArray, window: int) -> FloatArray:
    """Compare values with the last `window` of them, themselves included.

    Parameters
    ----------
    values : float64 array, shape (n,)
    positions : int64 array, shape (m,)
        Values that are compared.
    window : int
        At least 2.

    Returns
    -------
    float64 array, shape (m,)
        Standard deviations from the mean; NaN where the window is not full or does not vary.

    Notes
    -----
    ``(x - mean) / std``, the standard deviation divided by `window`: at most ``sqrt(window - 1)``.

    Examples
    --------
    >>> z_score(np.array([5.0, 1.0, 3.0]), np.array([1, 2]), 2).tolist()
    [-1.0, 1.0]
    """
    mean, std = window_mean(values, positions, window), window_std(values, positions, window)
    out = np.full(len(positions), np.nan)
    for k in range(len(positions)):
        if std[k] > 0.0:
            out[k] = (values[positions[k]] - mean[k]) / std[k]
    return out


@njit
def taker_imbalance(volume: FloatArray, taker: FloatArray, positions: IntArray, window: int) -> FloatArray:
    """Weigh what takers bought against what they sold over the last `window` candles.

    Parameters
    ----------
    volume, taker : float64 array, shape (n,)
        All volume, and the part bought by takers, base units; `taker` is NaN where the market does not say.
    positions : int64 array, shape (m,)
        Last candle of each window.
    window : int
        At least 1.

    Returns
    -------
    float64 array, shape (m,)
        -1 (takers only sold) to 1 (only bought); NaN where the window is not full, nothing traded, or one of its
        candles is not known.

    Notes
    -----
    ``2 * sum(taker) / sum(volume) - 1``.

    References
    ----------
    Easley, D., Lopez de Prado, M., O'Hara, M. (2012). Flow toxicity and liquidity in a high-frequency world, Review of
    Financial Studies 25(5), 1457-1493: order imbalance.

    Examples
    --------
    >>> taker_imbalance(np.array([2.0, 2.0]), np.array([2.0, 1.0]), np.array([0, 1]), 2).tolist()
    [nan, 0.5]
    """
    out = np.full(len(positions), np.nan)
    for k in range(len(positions)):
        last = positions[k]
        if last < window - 1:
            continue
        traded, bought = 0.0, 0.0
        for i in range(last - window + 1, last + 1):
            traded += volume[i]
            bought += taker[i]
        if traded > 0.0:
            out[k] = 2.0 * bought / traded - 1.0
    return out
