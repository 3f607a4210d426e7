"""How much is traded, when in the leg, and who takes.

The law: volume is compared with volume of the same series only; where it is not known, nothing is said.
"""

from __future__ import annotations

import numpy as np

from core.features._base import NOT_THERE, REACH, View, ratio, table
from core.indicators.volume import mean_between, taker_imbalance, z_score
from core.schema import FloatArray

__all__ = ["Volume"]

USUAL_WINDOW = 96
TAKER_WINDOW = 16


class Volume:
    """Compare the volume of candle, leg and pullback, and weigh takers' buying against their selling.

    Columns
    -------
    volume_z : standard deviations
        Volume of the last candle against the mean of the last 96 [1]_.
    volume_leg_ratio : ln ratio
        Mean volume of the leg's candles, its first left out, over that of the candles since its end [2]_.
    volume_taker : -1 to 1
        Takers' buying less their selling over the volume of the last 16 candles, in the direction of the trade
        [3]_.

    Notes
    -----
    All optional: a market may not say who took, a plan may have no leg, and a volume that does not vary has no score.
    NaN where a candle of the span is not known, where one of the two volumes is 0, and for legs that began more than
    600 candles ago.

    References
    ----------
    .. [1] Karpoff, J. M. (1987). The relation between price changes and trading volume, Journal of Financial and
       Quantitative Analysis 22(1), 109-126.
    .. [2] Hamilton, W. P. (1922). The Stock Market Barometer, Harper: volume goes with the trend.
    .. [3] Easley, D., Lopez de Prado, M., O'Hara, M. (2012). Flow toxicity and liquidity in a high-frequency world,
       Review of Financial Studies 25(5), 1457-1493: order imbalance.

    Examples
    --------
    >>> Volume().required
    ()
    """

    name = "volume"
    columns = ("volume_z", "volume_leg_ratio", "volume_taker")
    required: tuple[str, ...] = ()
    warmup = REACH
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        candles, at = view.candles, view.at
        taken = taker_imbalance(candles.volume, candles.taker_volume, at, TAKER_WINDOW)
        values = {
            "volume_z": z_score(candles.volume, at, USUAL_WINDOW),
            "volume_leg_ratio": _leg_ratio(view),
            "volume_taker": view.plans.side * taken,
        }
        return table(self.columns, values, len(at))


def _leg_ratio(view: View) -> FloatArray:
    volume, has_leg = view.candles.volume, (view.anchor_a >= 0) & (view.anchor_b >= 0)
    leg = mean_between(volume, np.where(has_leg, view.anchor_a + 1, NOT_THERE), view.anchor_b)
    since = mean_between(volume, np.where(has_leg, view.anchor_b + 1, NOT_THERE), view.at)
    times = ratio(leg, since)
    return np.log(np.where(times > 0.0, times, np.nan))
