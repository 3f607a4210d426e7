"""Where price stands to the volume-weighted averages anchored at the leg and at the newest swings.

The law: an anchor counts from the close at which it is known, and a pivot is known some candles after it was made.
"""

from __future__ import annotations

import numpy as np

from core.features._base import NOT_THERE, REACH, View, last_at, ratio, table
from core.indicators.averages import vwap_between
from core.indicators.swings import SWING_HIGH, SWING_LOW, swing_pivots
from core.schema import FloatArray, IntArray

__all__ = ["Avwap"]

PIVOT_WINDOW = 5  # candles on each side that a swing pivot stands out from
SLOPE_STEPS = 4  # candles over which a slope is taken
NO_CONFLUENCE_ATR = 3.0  # distance of the entry from the AVWAP at which they have nothing to do with each other


class Avwap:
    """Measure distances from anchored VWAPs, their confluence with the entry, and their slope.

    Columns
    -------
    avwap_a_atr : ATR
        Close beyond the AVWAP anchored at the leg's first candle [1]_.
    avwap_b_atr : ATR
        Close beyond the AVWAP anchored at the leg's last candle [1]_.
    avwap_behind_atr : ATR
        Close beyond the AVWAP anchored at the newest swing on the stop's side: a low for a long, a high for a short
        [1]_ [2]_.
    avwap_ahead_atr : ATR
        Close beyond the AVWAP anchored at the newest swing on the target's side [1]_ [2]_.
    avwap_confluence : 0 to 1
        How near the entry lies to the AVWAP of the leg's first candle: 1 upon it, 0 from three ATRs on [1]_.
    avwap_slope : ATR a candle
        Change of the AVWAP of the leg's first candle over the last four, in the direction of the trade [1]_.

    Notes
    -----
    Beyond is in the direction of the trade. ``AVWAP = sum(typical * volume) / sum(volume)`` from the anchor to the
    candidate's candle. A swing stands out from five candles on each side and is known five candles later. NaN where
    nothing has traded since, or the anchor is more than 600 candles old. The ATR is Wilder's over 14 candles.

    References
    ----------
    .. [1] Shannon, B. (2023). Maximum Trading Gains with Anchored VWAP, Alphatrends.
    .. [2] Williams, B. (1995). Trading Chaos, Wiley: swings as fractals.

    Examples
    --------
    >>> Avwap().required
    ()
    """

    name = "avwap"
    columns = (
        "avwap_a_atr",
        "avwap_b_atr",
        "avwap_behind_atr",
        "avwap_ahead_atr",
        "avwap_confluence",
        "avwap_slope",
    )
    required: tuple[str, ...] = ()
    warmup = REACH + PIVOT_WINDOW
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        of_leg = _vwaps(view, view.anchor_a, view.at)
        earlier = np.where(view.anchor_a <= view.at - SLOPE_STEPS, view.anchor_a, NOT_THERE)
        before = _vwaps(view, earlier, view.at - SLOPE_STEPS)
        behind, ahead = _newest_swings(view)
        values = {
            "avwap_a_atr": view.from_close(of_leg),
            "avwap_b_atr": view.from_close(_vwaps(view, view.anchor_b, view.at)),
            "avwap_behind_atr": view.from_close(_vwaps(view, behind, view.at)),
            "avwap_ahead_atr": view.from_close(_vwaps(view, ahead, view.at)),
            "avwap_confluence": _confluence(ratio(np.abs(view.plans.entry - of_leg), view.atr)),
            "avwap_slope": view.signed_atr(of_leg - before) / SLOPE_STEPS,
        }
        return table(self.columns, values, len(view.at))


def _confluence(distance_atr: FloatArray) -> FloatArray:
    return np.clip(1.0 - distance_atr / NO_CONFLUENCE_ATR, 0.0, 1.0)


def _vwaps(view: View, first: IntArray, last: IntArray) -> FloatArray:
    candles = view.candles
    return vwap_between(candles.high, candles.low, candles.close, candles.volume, first, last)


def _newest_swings(view: View) -> tuple[IntArray, IntArray]:
    """Return the newest known swing on the stop's and on the target's side of each candidate; -1 where none."""
    pivots, kinds = swing_pivots(view.candles.high, view.candles.low, PIVOT_WINDOW)
    low, high = (_newest(pivots[kinds == kind], view.at) for kind in (SWING_LOW, SWING_HIGH))
    long = view.plans.side > 0
    return np.where(long, low, high), np.where(long, high, low)


def _newest(pivots: IntArray, at: IntArray) -> IntArray:
    padded = np.append(pivots, NOT_THERE)  # what position -1 finds
    newest = padded[last_at(pivots, at - PIVOT_WINDOW)]
    return np.where(at - newest <= REACH, newest, NOT_THERE)
