"""The one cost model: fees and slippage of a fill, wherever a fill is priced.

The law: the simulator, the labels, the setups' net-target rule and the gate all take their costs from
here; nobody multiplies a fee rate of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core.schema import FloatArray

__all__ = ["CostModel"]

Price = TypeVar("Price", float, FloatArray)


@dataclass(frozen=True, slots=True)
class CostModel:
    """Fee rates and slippage, in percent of the notional of a fill.

    Parameters
    ----------
    maker_pct, taker_pct : float
        The exchange's rates, percent.
    slippage_pct : float
        How much worse than its price a taker order fills, percent.
    mode : str
        ``auto``: maker for resting limits (entry, targets), taker for everything else; ``maker`` or
        ``taker``: that rate on every fill. Slippage follows the kind of order, whatever the mode.
    funding_rate_pct : float
        Percent per settlement where no recorded rate exists; perpetuals only.

    Examples
    --------
    >>> CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02).resting_pct
    0.02
    """

    maker_pct: float
    taker_pct: float
    slippage_pct: float
    mode: str = "auto"
    funding_rate_pct: float = 0.01

    @property
    def resting_pct(self) -> float:
        """Fee rate of a fill by a resting limit order, percent."""
        return self.taker_pct if self.mode == "taker" else self.maker_pct

    @property
    def crossing_pct(self) -> float:
        """Fee rate of a fill that takes liquidity, percent."""
        return self.maker_pct if self.mode == "maker" else self.taker_pct

    def resting_round_trip_pct(self, entry: Price, target: Price) -> Price:
        """Return the fees of entering and leaving by resting limits, percent of entry notional; of one or of many."""
        return self.resting_pct * (1.0 + target / entry)

    def expected_round_trip_pct(self, rests: npt.NDArray[np.bool_]) -> FloatArray:
        """Return what entering and leaving is expected to cost before anything is known, percent of entry notional.

        Parameters
        ----------
        rests : bool array, shape (n,)
            Whether the entry is a resting limit order.

        Returns
        -------
        float64 array, shape (n,)
            The entry's fee, with slippage unless it rests, and the mean of leaving by a resting target and of
            leaving by a stop: ``(resting + crossing + slippage) / 2``.

        Examples
        --------
        >>> costs = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
        >>> costs.expected_round_trip_pct(np.array([True, False])).round(6).tolist()
        [0.07, 0.13]
        """
        entry = np.where(rests, self.resting_pct, self.crossing_pct + self.slippage_pct)
        return entry + (self.resting_pct + self.crossing_pct + self.slippage_pct) / 2.0

    def params(self) -> dict[str, float | str]:
        """Return the parameters as plain JSON values, for identities."""
        return {
            "maker_pct": self.maker_pct,
            "taker_pct": self.taker_pct,
            "slippage_pct": self.slippage_pct,
            "mode": self.mode,
            "funding_rate_pct": self.funding_rate_pct,
        }
