"""How much to buy: size and leverage of a plan.

The law: the distance to the stop fixes both. A stop costs the risk money and no more, and the liquidation
price lies beyond the stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.indicators.ticks import round_to_ticks
from core.schema import FloatArray

__all__ = ["RiskRules", "Sizes", "size_positions"]


@dataclass(frozen=True, slots=True)
class RiskRules:
    """What may be risked.

    Parameters
    ----------
    capital_usd : float
        The account, quote currency.
    risk_pct : float
        Percent of it lost at most if a position is stopped at its stop, before costs.
    max_leverage : float
        Highest leverage, at least 1.
    liquidation_buffer : float
        How much further away than the stop the liquidation price lies, as a share of the stop's distance.
    maintenance_margin_pct : float
        Margin at which the exchange liquidates, percent of notional.
    """

    capital_usd: float
    risk_pct: float
    max_leverage: float
    liquidation_buffer: float
    maintenance_margin_pct: float


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """What to order, one element per plan.

    Parameters
    ----------
    leverage : float64 array
        Whole, 1 to the rules' maximum.
    notional : float64 array
        What the quantity is worth at the entry, quote currency; 0 where too small.
    quantity : float64 array
        Base units, a multiple of the lot; 0 where too small.
    too_small : bool array
        The exchange would refuse the order: no whole lot, or less than its minimum notional.
    """

    leverage: FloatArray
    notional: FloatArray
    quantity: FloatArray
    too_small: npt.NDArray[np.bool_]


def size_positions(
    entry: npt.ArrayLike,
    sl: npt.ArrayLike,
    risk: RiskRules,
    lot: npt.ArrayLike | None = None,
    min_notional: npt.ArrayLike | None = None,
) -> Sizes:
    """Size positions so that a stop costs the risk money.

    Parameters
    ----------
    entry, sl : array-like of float, shape (n,)
        Price units; never equal.
    risk : RiskRules
        What may be risked.
    lot : array-like of float, optional
        Smallest step of quantity, base units; None or NaN where unknown (the quantity is then not rounded).
    min_notional : array-like of float, optional
        Smallest order, quote currency; None or NaN where unknown.

    Returns
    -------
    Sizes
        Arrays of shape (n,).

    Notes
    -----
    ``stop_frac = |entry - sl| / entry``; ``notional = capital * risk_pct / 100 / stop_frac``, at most
    ``capital * max_leverage``, then down to whole lots;
    ``leverage = min(max_leverage, floor(1 / ((1 + liquidation_buffer) * stop_frac + mmr)))``, at least 1, with
    ``mmr = maintenance_margin_pct / 100``. A position of leverage l is liquidated about ``1 / l - mmr`` from its
    entry, so beyond the stop by the buffer wherever leverage is above 1.

    Examples
    --------
    >>> sizes = size_positions([100.0], [98.0], RiskRules(10_000, 0.5, 10, 0.5, 0.5), lot=0.1, min_notional=5)
    >>> sizes.notional.tolist(), sizes.quantity.tolist(), sizes.leverage.tolist()
    ([2500.0], [25.0], [10.0])
    """
    entries, stops, lots, minima = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (entry, sl, lot, min_notional))
    )
    stop_frac = np.abs(entries - stops) / entries
    wanted = np.minimum(risk.capital_usd * risk.risk_pct / 100.0 / stop_frac, risk.capital_usd * risk.max_leverage)
    quantity = wanted / entries
    has_lot = lots > 0.0
    quantity = np.where(has_lot, round_to_ticks(quantity, lots, False), quantity)
    notional = quantity * entries
    too_small = (quantity <= 0.0) | (notional < minima)
    margin = (1.0 + risk.liquidation_buffer) * stop_frac + risk.maintenance_margin_pct / 100.0
    # A quotient that is whole but for the rounding of doubles keeps its last step.
    leverage = np.clip(np.floor(1.0 / margin + 1e-9), 1.0, np.floor(risk.max_leverage))
    return Sizes(leverage, np.where(too_small, 0.0, notional), np.where(too_small, 0.0, quantity), too_small)
