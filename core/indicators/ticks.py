"""Prices an exchange accepts: whole multiples of its tick.

The law: the caller says which way to round, a price already on the grid stays where it is, and the
result is the double nearest to the decimal number a person would write.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from core.jit import njit
from core.schema import FloatArray

__all__ = ["round_to_tick", "round_to_ticks"]

SIGNIFICANT_DIGITS = 6  # the grid where an exchange does not tell its tick
# A level computed in doubles may miss the grid by its own rounding: prices this near (in ticks) lie on it.
_SNAP_TICKS = 1e-6
_MAX_DECIMALS = 22  # 10**22 is the last power of ten a double holds exactly
_POWERS_OF_TEN = np.array([float(f"1e{power}") for power in range(_MAX_DECIMALS + 1)])


@njit
def _whole_ticks(ticks: float, up: bool) -> float:
    nearest = math.floor(ticks + 0.5)
    if abs(ticks - nearest) <= _SNAP_TICKS:
        return float(nearest)
    return float(math.ceil(ticks)) if up else float(math.floor(ticks))


@njit
def _round_to_digits(price: float, up: bool) -> float:
    exponent = math.floor(math.log10(abs(price)))
    decimals = SIGNIFICANT_DIGITS - 1 - exponent
    if decimals < 0:
        unit = _POWERS_OF_TEN[min(-decimals, _MAX_DECIMALS)]
        return float(_whole_ticks(price / unit, up) * unit)
    scale = _POWERS_OF_TEN[min(decimals, _MAX_DECIMALS)]
    return float(_whole_ticks(price * scale, up) / scale)


@njit
def round_to_tick(price: float, tick: float, up: bool) -> float:
    """Round a price to the exchange's grid in a stated direction.

    Parameters
    ----------
    price : float
        Price units; any sign.
    tick : float
        Smallest step of price; NaN or 0 where unknown: the price is then rounded to 6 significant digits.
    up : bool
        Towards plus infinity if True, towards minus infinity otherwise.

    Returns
    -------
    float
        The multiple of `tick`, as the double nearest to its decimal notation; NaN for a NaN price.

    Notes
    -----
    A price within 1e-6 ticks of the grid lies on it. The tick is written as ``m / 10**d`` with whole m, and
    the result as ``(ticks * m) / 10**d``: one correctly rounded division, so 3 ticks of 0.1 are 0.3 and not
    0.30000000000000004.

    Examples
    --------
    >>> round_to_tick(100.04, 0.1, True), round_to_tick(100.04, 0.1, False), round_to_tick(0.1 + 0.2, 0.1, True)
    (100.1, 100.0, 0.3)
    >>> round_to_tick(16543.2789, float("nan"), False)
    16543.2
    """
    if math.isnan(price) or math.isinf(price) or price == 0.0:
        return price
    if not tick > 0.0:
        return float(_round_to_digits(price, up))
    ticks = _whole_ticks(price / tick, up)
    for decimals in range(_MAX_DECIMALS + 1):
        scaled = tick * _POWERS_OF_TEN[decimals]
        whole = math.floor(scaled + 0.5)
        if whole >= 1.0 and abs(scaled - whole) <= 1e-9 * scaled:
            return float(ticks * whole / _POWERS_OF_TEN[decimals])
    return float(ticks * tick)


@njit
def _round_each(price: FloatArray, tick: FloatArray, up: npt.NDArray[np.bool_]) -> FloatArray:
    out = np.empty(len(price))
    for i in range(len(price)):
        out[i] = round_to_tick(price[i], tick[i], up[i])
    return out


def round_to_ticks(price: npt.ArrayLike, tick: npt.ArrayLike, up: npt.ArrayLike) -> FloatArray:
    """Round many prices, each to its own grid in its own direction.

    Parameters
    ----------
    price, tick : array-like of float
        As in `round_to_tick`; broadcast against each other.
    up : array-like of bool
        Broadcast likewise.

    Returns
    -------
    float64 array
        Of the broadcast shape.

    Examples
    --------
    >>> round_to_ticks([1.26, 1.26], 0.5, [True, False]).tolist()
    [1.5, 1.0]
    """
    prices, ticks, ups = np.broadcast_arrays(
        np.asarray(price, dtype=np.float64), np.asarray(tick, dtype=np.float64), np.asarray(up, dtype=np.bool_)
    )
    rounded: FloatArray = _round_each(prices.flatten(), ticks.flatten(), ups.flatten())
    return rounded.reshape(prices.shape)
