"""The state of a market in two words: does it trend, and how much does it move.

The law: words are for stored rows and people; they are made of closed candles of one timeframe alone,
and say `unknown` rather than guess.
"""

from __future__ import annotations

import numpy as np

from core.indicators.averages import window_rank
from core.indicators.volatility import true_range, wilder_atr
from core.jit import njit
from core.schema import Candles, FloatArray, IntArray

__all__ = ["WARMUP", "regime_at", "wilder_adx"]

PERIOD = 14  # Wilder's own choice for ADX, DI and ATR
TREND_ADX = 25.0  # at and above this ADX the market trends
VOLATILITY_WINDOW = 500  # candles whose ATR% are ranked
VOLATILITY_NEEDS = 100  # of them known, or the volatility is unknown
WARMUP = VOLATILITY_WINDOW + 400  # by then the smoothing behind the window's first value has forgotten its start


@njit
def _smoothed_di(ranges: FloatArray, high: FloatArray, low: FloatArray, period: int) -> tuple[FloatArray, FloatArray]:
    n = len(ranges)
    plus_di, minus_di = np.full(n, np.nan), np.full(n, np.nan)
    span, plus, minus = 0.0, 0.0, 0.0
    for i in range(1, n):
        up, down = high[i] - high[i - 1], low[i - 1] - low[i]
        plus_move = up if up > down and up > 0.0 else 0.0
        minus_move = down if down > up and down > 0.0 else 0.0
        forgotten = 1.0 / period if i > period else 0.0  # the first `period` moves are summed whole
        span += ranges[i] - span * forgotten
        plus += plus_move - plus * forgotten
        minus += minus_move - minus * forgotten
        if i >= period:
            plus_di[i] = 100.0 * plus / span if span > 0.0 else 0.0
            minus_di[i] = 100.0 * minus / span if span > 0.0 else 0.0
    return plus_di, minus_di


@njit
def wilder_adx(
    high: FloatArray, low: FloatArray, close: FloatArray, period: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measure the strength and the direction of a trend.

    Parameters
    ----------
    high, low, close : float64 array, shape (n,)
        Closed candles, price units.
    period : int
        Candles, at least 1.

    Returns
    -------
    adx, plus_di, minus_di : float64 array, shape (n,)
        0 to 100. The DI are NaN for the first `period` candles, ADX for the first ``2 * period - 1``.

    Notes
    -----
    ``+DM = up if up > down and up > 0``, likewise ``-DM``; sums over `period` candles smoothed by
    ``S[i] = S[i-1] - S[i-1] / period + x[i]``; ``DI = 100 * S(DM) / S(TR)``,
    ``DX = 100 * |+DI - -DI| / (+DI + -DI)`` (0 in a market that stands still), and ADX is Wilder's average of DX
    beginning with the mean of the first `period` of them.

    References
    ----------
    Wilder, J. W. (1978). New Concepts in Technical Trading Systems, pp. 35-48.

    Examples
    --------
    >>> import numpy as np
    >>> rising = np.arange(1.0, 7.0)
    >>> adx, plus_di, minus_di = wilder_adx(rising + 1.0, rising, rising, 2)
    >>> adx.tolist(), plus_di.tolist()[-1], minus_di.tolist()[-1]
    ([nan, nan, nan, 100.0, 100.0, 100.0], 50.0, 0.0)
    """
    plus_di, minus_di = _smoothed_di(true_range(high, low, close), high, low, period)
    n = len(high)
    adx = np.full(n, np.nan)
    total, average = 0.0, 0.0
    for i in range(period, n):
        both = plus_di[i] + minus_di[i]
        dx = 100.0 * abs(plus_di[i] - minus_di[i]) / both if both > 0.0 else 0.0
        if i < 2 * period:
            total += dx
            average = total / period
        else:
            average = (average * (period - 1) + dx) / period
        if i >= 2 * period - 1:
            adx[i] = average
    return adx, plus_di, minus_di


def regime_at(candles: Candles, positions: IntArray) -> tuple[list[str], list[str]]:
    """Name the regime at some candles.

    Parameters
    ----------
    candles : Candles
        Closed candles of one timeframe; `WARMUP` of them before a position make its answer independent of
        where they begin.
    positions : int64 array, shape (m,)
        Candles asked about.

    Returns
    -------
    trend : list of str
        ``trend`` if Wilder's ADX(14) is at least 25, else ``range``; ``unknown`` while ADX is NaN.
    volatility : list of str
        ``low``, ``normal`` or ``high``: the third of the trailing 500 candles into which the candle's ATR(14) in
        percent of its close falls by rank, the candle included; ``unknown`` with fewer than 100.

    Notes
    -----
    The rank is ``(below + equal / 2) / known``; under 1/3 is low, over 2/3 high.

    Examples
    --------
    >>> regime_at(Candles.of([0], [1], [1], [1], [1], [1]), np.array([0]))
    (['unknown'], ['unknown'])
    """
    adx, _, _ = wilder_adx(candles.high, candles.low, candles.close, PERIOD)
    atr_pct = 100.0 * wilder_atr(candles.high, candles.low, candles.close, PERIOD) / candles.close
    at = adx[positions]
    ranks = window_rank(atr_pct, positions, VOLATILITY_WINDOW, VOLATILITY_NEEDS)
    trend = np.where(np.isnan(at), "unknown", np.where(at >= TREND_ADX, "trend", "range"))
    middle = np.where(ranks > 2.0 / 3.0, "high", "normal")
    volatility = np.where(np.isnan(ranks), "unknown", np.where(ranks < 1.0 / 3.0, "low", middle))
    return [str(word) for word in trend], [str(word) for word in volatility]
