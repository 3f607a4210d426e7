"""How price has moved lately, and how its last candle looks.

The law: a return is a difference of closes in ATRs, positive where it went the way of the trade.
"""

from __future__ import annotations

import numpy as np

from core.features._base import ATR_PERIOD, View, table
from core.indicators.momentum import change_over, wilder_rsi
from core.indicators.volatility import WILDER_MEMORY
from core.schema import FloatArray

__all__ = ["Momentum"]

RETURNS = (1, 4, 16, 96)  # candles


class Momentum:
    """Measure RSI, returns over several spans, and the last candle's close and body.

    Columns
    -------
    mom_rsi : -1 to 1
        Wilder's RSI over 14 candles, as ``(RSI - 50) / 50`` [1]_.
    mom_ret_1 : ATR
        Change of the close over the last candle [2]_.
    mom_ret_4 : ATR
        Change of the close over the last 4 candles [2]_.
    mom_ret_16 : ATR
        Change of the close over the last 16 candles [2]_.
    mom_ret_96 : ATR
        Change of the close over the last 96 candles [2]_.
    mom_close_location : -1 to 1
        Where the last candle closed between its extremes: 1 at the one on the target's side; 0 for a candle without
        a range, which closed in its middle [3]_.
    mom_body : ATR
        Close less open of the last candle [4]_.

    Notes
    -----
    All are signed: positive with the trade. Spans count the candles there are. The ATR is Wilder's over 14 candles.

    References
    ----------
    .. [1] Wilder, J. W. (1978). New Concepts in Technical Trading Systems, pp. 63-70: RSI.
    .. [2] Jegadeesh, N., Titman, S. (1993). Returns to buying winners and selling losers, Journal of Finance 48(1),
       65-91.
    .. [3] Colby, R. W. (2003). The Encyclopedia of Technical Market Indicators, McGraw-Hill: close location value.
    .. [4] Nison, S. (1991). Japanese Candlestick Charting Techniques, New York Institute of Finance: bodies.

    Examples
    --------
    >>> Momentum().warmup
    420
    """

    name = "momentum"
    columns = ("mom_rsi", *(f"mom_ret_{steps}" for steps in RETURNS), "mom_close_location", "mom_body")
    required = columns
    warmup = WILDER_MEMORY * ATR_PERIOD
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        candles, at, side = view.candles, view.at, view.plans.side
        high, low = candles.high[at], candles.low[at]
        span = high - low
        within = np.divide(2.0 * view.close - high - low, span, out=np.zeros(len(at)), where=span > 0.0)
        values = {
            "mom_rsi": side * (wilder_rsi(candles.close, ATR_PERIOD)[at] - 50.0) / 50.0,
            **{f"mom_ret_{steps}": view.signed_atr(change_over(candles.close, at, steps)) for steps in RETURNS},
            "mom_close_location": side * within,
            "mom_body": view.signed_atr(view.close - candles.open[at]),
        }
        return table(self.columns, values, len(at))
