"""The newest impulse legs of a market, and what has happened to each, candle by candle.

The law: a leg is known when its last pivot is, it is followed from the candle after its end, and what has
ended it never un-happens. Sums start at the leg's own anchor, so the start of the data does not show in them.

The state is a short window over the alternating swing pivots (a run of one kind is reduced to its most
extreme, the earliest of equals): one record per pivot, holding also the leg that ends there and begins at
the pivot before. Shorts are longs on negated prices: with `side` 1 for an up leg and -1 for a down leg,
every level below is ``side * price`` and every rule is written once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from core.indicators.avwap import add_to_vwap
from core.indicators.swings import SWING_HIGH
from core.indicators.ticks import round_to_tick
from core.jit import njit
from core.schema import FloatArray

__all__ = ["LegRules", "LegWindow", "Prices", "empty_window", "follow", "learn"]

LegWindow = npt.NDArray[np.void]

_RECORD = np.dtype(
    [
        # the pivot
        ("position", np.int64),
        ("side", np.int64),  # of the leg that ends here: 1 for a swing high, -1 for a swing low
        ("price", np.float64),
        ("turnover", np.float64),  # sums of the VWAP anchored here
        ("traded", np.float64),
        ("passed", np.bool_),  # a later close went beyond the pivot
        ("may_anchor", np.bool_),
        # the leg that ends at the pivot; levels are side * price
        ("alive", np.bool_),
        ("origin", np.float64),
        ("end", np.float64),
        ("entry", np.float64),
        ("tp1", np.float64),
        ("tp2", np.float64),
    ]
)


class Prices(NamedTuple):
    """What the kernels read of closed candles: price units, volume in base units, ATR NaN while not known."""

    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    atr: FloatArray


class LegRules(NamedTuple):
    """The numbers that draw a leg.

    Parameters
    ----------
    legs : int
        How many of the newest legs are alive.
    min_leg_atr : float
        Smallest leg, in ATRs at its end.
    entry_level, tp1_ext, tp2_ext : float
        Retracement of the entry and extensions of the targets, as multiples of the leg.
    tick : float
        Smallest step of price; NaN where unknown.
    """

    legs: int
    min_leg_atr: float
    entry_level: float
    tp1_ext: float
    tp2_ext: float
    tick: float


def empty_window(rules: LegRules) -> LegWindow:
    """Return the state before the first pivot: room for the pivots of `rules.legs` legs.

    Examples
    --------
    >>> len(empty_window(LegRules(3, 3.0, 0.618, 1.272, 1.618, 0.1)))
    4
    """
    return np.zeros(rules.legs + 1, dtype=_RECORD)


@njit
def _follow_pivot(window: LegWindow, row: int, prices: Prices, t: int) -> None:
    pivot = window[row]
    pivot["turnover"], pivot["traded"] = add_to_vwap(
        pivot["turnover"], pivot["traded"], prices.high[t], prices.low[t], prices.close[t], prices.volume[t]
    )
    if pivot["side"] * (prices.close[t] - pivot["price"]) > 0.0:
        pivot["passed"] = True


@njit
def _follow_leg(window: LegWindow, row: int, prices: Prices, t: int) -> None:
    leg = window[row]
    up = leg["side"] > 0
    top = prices.high[t] if up else -prices.low[t]
    bottom = prices.low[t] if up else -prices.high[t]
    if bottom <= leg["entry"] or top > leg["tp1"]:
        leg["alive"] = False


@njit
def follow(window: LegWindow, rows: int, prices: Prices, t: int) -> None:
    """Carry the first `rows` pivots, and the legs that end at them, over candle t.

    Parameters
    ----------
    window : LegWindow
        Changed in place: it is the caller's state.
    rows : int
        Pivots in use.
    prices : Prices
        Closed candles.
    t : int
        The candle that has just closed.

    Notes
    -----
    A leg dies when price touches its entry or trades beyond its first target.

    Examples
    --------
    >>> one = np.ones(1)
    >>> window = empty_window(LegRules(3, 3.0, 0.618, 1.272, 1.618, 0.1))
    >>> follow(window, 0, Prices(one, one, one, one, one), 0)
    """
    for row in range(rows):
        _follow_pivot(window, row, prices, t)
        if window[row]["alive"]:
            _follow_leg(window, row, prices, t)


@njit
def _draw(window: LegWindow, row: int, prices: Prices, rules: LegRules) -> None:
    anchor, leg = window[row - 1], window[row]
    leg["origin"] = leg["side"] * anchor["price"]
    leg["end"] = leg["side"] * leg["price"]
    size = leg["end"] - leg["origin"]
    # On negated prices up is down, so rounding towards less profit is one call for both sides.
    leg["entry"] = round_to_tick(leg["end"] - rules.entry_level * size, rules.tick, True)
    leg["tp1"] = round_to_tick(leg["end"] + (rules.tp1_ext - 1.0) * size, rules.tick, False)
    leg["tp2"] = round_to_tick(leg["end"] + (rules.tp2_ext - 1.0) * size, rules.tick, False)
    large = size > 0.0 and size >= rules.min_leg_atr * prices.atr[leg["position"]]
    leg["alive"] = large and anchor["may_anchor"]


@njit
def learn(window: LegWindow, rows: int, pivot: int, side: int, prices: Prices, t: int, rules: LegRules) -> int:
    """Take in the pivot that became known at the close of candle t.

    Parameters
    ----------
    window : LegWindow
        Changed in place: it is the caller's state, already carried over candle t.
    rows : int
        Pivots in use before.
    pivot, side : int
        Its position and kind.
    prices : Prices
        Closed candles.
    t : int
        The candle that has just closed.
    rules : LegRules
        How to draw the leg that ends there.

    Returns
    -------
    int
        Pivots in use now.

    Notes
    -----
    A pivot of the newest pivot's kind replaces it if it is more extreme, and so makes a new leg; otherwise it
    is ignored. A pivot of the other kind is appended, and the oldest leaves when the window is full. The
    first run of the data may have begun before the data did: it never anchors a leg.

    Examples
    --------
    >>> ramp = np.arange(1.0, 6.0)
    >>> prices, rules = Prices(ramp, ramp, ramp, ramp, ramp), LegRules(3, 3.0, 0.618, 1.272, 1.618, 0.1)
    >>> learn(empty_window(rules), 0, 2, 1, prices, 4, rules)
    1
    """
    price = prices.high[pivot] if side == SWING_HIGH else prices.low[pivot]
    may_anchor = rows > 0
    if rows > 0 and window[rows - 1]["side"] == side:
        newest = window[rows - 1]
        if side * (price - newest["price"]) <= 0.0:
            return rows
        may_anchor = newest["may_anchor"]
    elif rows == len(window):
        for row in range(rows - 1):
            window[row] = window[row + 1]
    else:
        rows += 1
    record = window[rows - 1]
    record["position"], record["side"], record["price"] = pivot, side, price
    record["turnover"], record["traded"] = 0.0, 0.0
    record["passed"], record["may_anchor"], record["alive"] = False, may_anchor, False
    if rows > 1:
        _draw(window, rows - 1, prices, rules)
    for j in range(pivot, t + 1):
        _follow_pivot(window, rows - 1, prices, j)
        if j > pivot and record["alive"]:
            _follow_leg(window, rows - 1, prices, j)
    return rows
