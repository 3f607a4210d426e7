"""How much the market moves, against what it did before.

The law: every column is a share or a ratio, so that a quiet and a wild market are read on one scale.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.features._base import View, ratio, table
from core.indicators.averages import window_mean, window_rank, window_std
from core.schema import FloatArray

__all__ = ["Volatility"]

RANK_WINDOW = 500  # candles whose ATR% are ranked, as for the regime's word
RANK_NEEDS = 100
SLOW_WINDOW = 200
FAST_RETURNS, SLOW_RETURNS = 16, 96
BAND_WINDOW, BAND_DEVIATIONS = 20, 2.0  # Bollinger's own choice
REGIME_CODES = {"low": 0.0, "normal": 1.0, "high": 2.0}


class Volatility:
    """Rank and compare ATR, realised volatility and band width.

    Columns
    -------
    vol_atr_pct : percent of the close
        ATR [1]_.
    vol_atr_rank : 0 to 1
        Share of the last 500 candles whose ATR in percent of the close was lower, ties counted half [1]_.
    vol_atr_ratio : ratio
        ATR over the mean true range of the last 200 candles [1]_.
    vol_realised_ratio : ratio
        Standard deviation of the last 16 log returns over that of the last 96 [2]_.
    vol_band_atr : ATR
        Width of the Bollinger bands (20 closes, two standard deviations on each side); small in a squeeze [3]_.
    vol_regime : 0, 1 or 2
        The signal's volatility regime: low, normal, high; NaN where it is unknown [4]_.

    Notes
    -----
    The ATR is Wilder's over 14 candles. Not signed: movement has no side.

    References
    ----------
    .. [1] Wilder, J. W. (1978). New Concepts in Technical Trading Systems, pp. 21-23: ATR.
    .. [2] Andersen, T. G., Bollerslev, T. (1998). Answering the skeptics, International Economic Review 39(4),
       885-905: realised volatility.
    .. [3] Bollinger, J. (2001). Bollinger on Bollinger Bands, McGraw-Hill: band width and squeeze.
    .. [4] The regime of the signal, `core.indicators.regime`.

    Examples
    --------
    >>> Volatility().warmup
    900
    """

    name = "volatility"
    columns = ("vol_atr_pct", "vol_atr_rank", "vol_atr_ratio", "vol_realised_ratio", "vol_band_atr", "vol_regime")
    required = columns[:5]
    warmup = RANK_WINDOW + 400  # by then the window's first ATR has forgotten its start
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        close, at = view.candles.close, view.at
        returns = np.diff(np.log(close), prepend=np.nan)  # the first candle has none
        fast, slow = (window_std(returns, at, window) for window in (FAST_RETURNS, SLOW_RETURNS))
        bands = 2.0 * BAND_DEVIATIONS * window_std(close, at, BAND_WINDOW)
        values: dict[str, npt.ArrayLike] = {
            "vol_atr_pct": 100.0 * ratio(view.atr, view.close),
            "vol_atr_rank": window_rank(view.atrs / close, at, RANK_WINDOW, RANK_NEEDS),
            "vol_atr_ratio": ratio(view.atr, window_mean(view.ranges, at, SLOW_WINDOW)),
            "vol_realised_ratio": ratio(fast, slow),
            "vol_band_atr": ratio(bands, view.atr),
            "vol_regime": [REGIME_CODES.get(word, np.nan) for word in view.plans.regime_vol.tolist()],
        }
        return table(self.columns, values, len(at))
