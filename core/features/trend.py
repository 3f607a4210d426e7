"""Where the market is going, on its own timeframe and on the next longer one.

The law: of the longer timeframe only bars that had closed by the decision count, made here of the candles in view.
"""

from __future__ import annotations

import numpy as np

from core.clock import timeframe_ms
from core.features._base import ATR_PERIOD, View, last_at, ratio, table
from core.indicators.averages import EMA_MEMORY, ema, window_extremes, window_mean
from core.indicators.momentum import change_over, efficiency_ratio
from core.indicators.regime import wilder_adx
from core.indicators.resample import resample
from core.indicators.volatility import true_range
from core.schema import FloatArray

__all__ = ["Trend"]

FAST_EMA, SLOW_EMA = 20, 50
SLOPE_STEPS = 4
EFFICIENCY_WINDOW = 32
RANGE_WINDOW = 96  # candles in which support and resistance are looked for
LONGER = {
    "1m": "5m",
    "3m": "15m",
    "5m": "15m",
    "15m": "1h",
    "30m": "2h",
    "1h": "4h",
    "2h": "8h",
    "4h": "1d",
    "6h": "1d",
    "8h": "1d",
    "12h": "2d",
    "1d": "1w",
}
OTHERWISE = 4  # how many candles of another timeframe make a longer bar
HTF_FAST, HTF_MIDDLE, HTF_SLOW = 10, 20, 30  # bars of the longer timeframe


class Trend:
    """Measure distances from averages and extremes, their slopes, ADX, DI, efficiency, and the longer timeframe.

    Columns
    -------
    trend_ema_20_atr : ATR
        Close beyond the EMA of 20 closes [1]_.
    trend_ema_50_atr : ATR
        Close beyond the EMA of 50 closes [1]_.
    trend_ema_20_slope : ATR a candle
        Change of the EMA of 20 closes over the last four candles [1]_.
    trend_ema_50_slope : ATR a candle
        Change of the EMA of 50 closes over the last four candles [1]_.
    trend_adx : 0 to 100
        Strength of the trend, whichever its way: Wilder's ADX over 14 candles [2]_.
    trend_di : -100 to 100
        Wilder's +DI less -DI over 14 candles [2]_.
    trend_efficiency : -1 to 1
        Net way of the last 32 closes over the way gone [3]_.
    trend_behind_atr : ATR
        Distance from the close to the extreme of the last 96 candles on the stop's side; at least 0 [4]_.
    trend_ahead_atr : ATR
        Distance from the close to the extreme of the last 96 candles on the target's side; at least 0 [4]_.
    trend_htf_atr : ATR of the longer bars
        Close of the last closed longer bar beyond the mean of the last 20 such closes [5]_.
    trend_htf_bias : ATR of the longer bars
        Mean of the last 10 longer closes beyond that of the last 30 [5]_.
    trend_htf_efficiency : -1 to 1
        Net way of the last 20 longer closes over the way gone [3]_ [5]_.

    Notes
    -----
    All but ADX and the distances from extremes are signed: positive with the trade. The ATR is Wilder's over 14
    candles; that of the longer bars is their mean true range over 14 of them. The longer timeframe of 1m is 5m; of 3m
    and 5m 15m; of 15m 1h; of 30m 2h; of 1h 4h; of 2h 8h; of 4h, 6h and 8h 1d; of 12h 2d; of 1d 1w; otherwise four
    times the own, all on the UTC grid. A bar of which candles are missing is made of the others; one that begins before
    the candles in view is left out.

    References
    ----------
    .. [1] Hunter, J. S. (1986). The exponentially weighted moving average, Journal of Quality Technology 18(4),
       203-210.
    .. [2] Wilder, J. W. (1978). New Concepts in Technical Trading Systems, pp. 35-48: ADX and DI.
    .. [3] Kaufman, P. J. (1995). Smarter Trading, McGraw-Hill: the efficiency ratio.
    .. [4] Donchian, R. D. (1960). Commodities: high finance in copper, Financial Analysts Journal 16(6), 133-142:
       the extremes of a channel.
    .. [5] Elder, A. (1993). Trading for a Living, Wiley: reading the next longer timeframe first.

    Examples
    --------
    >>> Trend().warmup
    871
    """

    name = "trend"
    columns = (
        "trend_ema_20_atr",
        "trend_ema_50_atr",
        "trend_ema_20_slope",
        "trend_ema_50_slope",
        "trend_adx",
        "trend_di",
        "trend_efficiency",
        "trend_behind_atr",
        "trend_ahead_atr",
        "trend_htf_atr",
        "trend_htf_bias",
        "trend_htf_efficiency",
    )
    required = columns
    warmup = EMA_MEMORY * (SLOW_EMA + 1) + SLOPE_STEPS
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        candles, at, side = view.candles, view.at, view.plans.side
        fast, slow = ema(candles.close, FAST_EMA), ema(candles.close, SLOW_EMA)
        adx, plus_di, minus_di = wilder_adx(candles.high, candles.low, candles.close, ATR_PERIOD)
        lowest, highest = window_extremes(candles.high, candles.low, at, RANGE_WINDOW)
        values = {
            "trend_ema_20_atr": view.from_close(fast[at]),
            "trend_ema_50_atr": view.from_close(slow[at]),
            "trend_ema_20_slope": view.signed_atr(change_over(fast, at, SLOPE_STEPS)) / SLOPE_STEPS,
            "trend_ema_50_slope": view.signed_atr(change_over(slow, at, SLOPE_STEPS)) / SLOPE_STEPS,
            "trend_adx": adx[at],
            "trend_di": side * (plus_di - minus_di)[at],
            "trend_efficiency": side * efficiency_ratio(candles.close, at, EFFICIENCY_WINDOW),
            "trend_behind_atr": view.from_close(np.where(side > 0, lowest, highest)),
            "trend_ahead_atr": -view.from_close(np.where(side > 0, highest, lowest)),
            **_longer(view),
        }
        return table(self.columns, values, len(at))


def _longer(view: View) -> dict[str, FloatArray]:
    bar_ms = timeframe_ms(LONGER[view.timeframe]) if view.timeframe in LONGER else OTHERWISE * view.step_ms
    ts = view.candles.ts
    bars = resample(view.candles, bar_ms, int(ts[0]), int(ts[-1]) + view.step_ms)
    at = last_at(bars.ts, view.plans.decided_ms - bar_ms)  # opened so long before the decision: closed by then
    unit = window_mean(true_range(bars.high, bars.low, bars.close), at, ATR_PERIOD)
    fast, middle, slow = (window_mean(bars.close, at, window) for window in (HTF_FAST, HTF_MIDDLE, HTF_SLOW))
    side, last = view.plans.side, window_mean(bars.close, at, 1)
    return {
        "trend_htf_atr": ratio(side * (last - middle), unit),
        "trend_htf_bias": ratio(side * (fast - slow), unit),
        "trend_htf_efficiency": side * efficiency_ratio(bars.close, at, HTF_MIDDLE),
    }
