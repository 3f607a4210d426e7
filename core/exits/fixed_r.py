"""Exit policy `fixed_r`: one target at a multiple of the planned risk.

The law: the target is computed from the plan (entry and stop), never from the fill.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.exits._base import directions, same_for_all
from core.indicators.ticks import round_to_ticks
from core.ports import ExitPlan
from core.schema import FloatArray

__all__ = ["FixedR"]


class FixedR:
    """Leave everything at ``entry + r * |entry - sl|`` (a short: minus), or at the stop.

    Parameters
    ----------
    r : float
        Reward in units of the planned risk; more than 0.
    max_hold_candles : int
        Of the signal's timeframe; 0 = no limit.

    Raises
    ------
    ValueError
        A parameter is outside what is named above.

    Notes
    -----
    The target is rounded to the tick towards less profit, to 6 significant digits where the tick is unknown.

    References
    ----------
    V. K. Tharp (2006), *Trade Your Way to Financial Freedom*, 2nd ed., McGraw-Hill: R multiples.

    Examples
    --------
    >>> signals = pd.DataFrame({"direction": ["long", "short"], "entry": [100.0, 100.0], "sl": [99.7, 100.3]})
    >>> FixedR(r=1.5).plan(signals, np.array([0.1, np.nan])).target_price.tolist()
    [[100.4], [99.55]]
    """

    name = "fixed_r"

    def __init__(self, r: float = 2.0, max_hold_candles: int = 96) -> None:
        if not (np.isfinite(r) and r > 0.0):
            raise ValueError(f"r {r!r}: expected more than 0")
        if max_hold_candles != int(max_hold_candles) or max_hold_candles < 0:
            raise ValueError(f"max_hold_candles {max_hold_candles!r}: expected a whole number, 0 or more")
        self.r = float(r)
        self.max_hold_candles = int(max_hold_candles)

    def plan(self, signals: pd.DataFrame, tick: FloatArray) -> ExitPlan:
        """Return the exit plan of each signal; uses direction, entry, sl and the tick."""
        entry = signals["entry"].to_numpy(dtype="float64")
        risk = np.abs(entry - signals["sl"].to_numpy(dtype="float64"))
        sign = directions(signals)
        target = round_to_ticks(entry + sign * self.r * risk, tick, sign < 0.0)
        return same_for_all(target.reshape(-1, 1), [1.0], max_hold_candles=self.max_hold_candles)

    def params(self) -> dict[str, Any]:
        """Return the parameters that fix its plans, as plain JSON values."""
        return {"r": self.r, "max_hold_candles": self.max_hold_candles}
