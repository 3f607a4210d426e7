"""What trading cost: from the result before any cost to what was left.

The law: fees and funding are those that were booked; slippage is in the prices and is taken out of them again with the
rate they were made with, leg by leg. The parts add up to the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.results.intervals import Estimate, clustered_mean
from core.results.rows import closed_rows, week_of
from core.results.spread import planned_risk_pct
from core.schema import FloatArray

__all__ = ["CostSplit", "split_costs"]


@dataclass(frozen=True, slots=True)
class CostSplit:
    """Means a closed trade in R.

    Parameters
    ----------
    gross : Estimate
        Before every cost; after slippage where that is not known.
    slippage : Estimate or None
        None where the rate the trades were played with is not on record.
    fees, funding : Estimate
        Funding below 0 was received.
    net : Estimate
        ``gross - slippage - fees - funding``.
    """

    gross: Estimate
    slippage: Estimate | None
    fees: Estimate
    funding: Estimate
    net: Estimate


def split_costs(rows: pd.DataFrame, legs: pd.DataFrame, slippage_pct: float | None) -> CostSplit:
    """Return what a trade made before costs and what each cost took, on average.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    legs : pandas.DataFrame
        Of each trade that crossed the spread: signal_id, entered (1 where the entry did) and left, the sum of fraction
        times price over the exits that did. Trades that never did are not in it.
    slippage_pct : float or None
        Rate the trades were played with, percent of the price of a crossing order.

    Notes
    -----
    A buy that crosses is filled at ``p (1 + s)``, a sale at ``p (1 - s)``. Filled at `q`, it was ``q s / (1 + s)`` and
    ``q s / (1 - s)`` worse than the price; over the entry's fill it is the share of notional.
    """
    done = closed_rows(rows)
    weeks, risk = week_of(done["decided_ms"]), planned_risk_pct(done)

    def mean(pct: pd.Series | FloatArray) -> Estimate:
        return clustered_mean(np.asarray(pct, dtype=np.float64) / risk, weeks)

    fees, funding, gross = mean(done["fees_pct"]), mean(done["funding_pct"]), done["gross_pct"].to_numpy(np.float64)
    net = clustered_mean(done["r_multiple"].to_numpy(np.float64), weeks)
    if slippage_pct is None:
        return CostSplit(mean(gross), None, fees, funding, net)
    slipped = _slipped_pct(done, legs, slippage_pct / 100.0)
    return CostSplit(mean(gross + slipped), mean(slipped), fees, funding, net)


def _slipped_pct(done: pd.DataFrame, legs: pd.DataFrame, s: float) -> FloatArray:
    of = legs.set_index("signal_id").reindex(done["signal_id"])
    entered, left = (of[name].fillna(0.0).to_numpy(np.float64) for name in ("entered", "left"))
    is_long = (done["direction"] == "long").to_numpy()
    bought, sold = s / (1.0 + s), s / (1.0 - s)
    way_in, way_out = np.where(is_long, bought, sold), np.where(is_long, sold, bought)
    slipped: FloatArray = 100.0 * (entered * way_in + left / done["fill_price"].to_numpy(np.float64) * way_out)
    return slipped
