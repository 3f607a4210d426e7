"""Exit policy `tp1_be_trail`: part out at the first target, then break-even and a trailing stop.

The law: what it does is fixed at the decision; the plan's own targets, never recomputed.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.errors import nearest
from core.exits._base import NEVER, same_for_all
from core.ports import ExitPlan
from core.schema import FloatArray

__all__ = ["Tp1BeTrail"]

_METHODS = ("atr", "pct")


class Tp1BeTrail:
    """Leave a fraction at TP1 and the rest at TP2, at the trailing stop or at break-even.

    Parameters
    ----------
    tp1_fraction : float
        Part of the position that leaves at TP1, in (0, 1]; at 1 there is no second target.
    move_sl_to_be_on_tp1 : bool
        Move the stop to the fill price once TP1 is reached.
    trail_use : bool
        Trail the stop behind the best price once TP1 is reached.
    trail_method : str
        ``atr``: `trail_mult` ATRs of the signal; ``pct``: `trail_mult` percent of the best price.
    trail_mult : float
        ATRs or percent; more than 0.
    max_hold_candles : int
        Of the signal's timeframe; 0 = no limit.

    Raises
    ------
    ValueError
        A parameter is outside what is named above.

    Notes
    -----
    For a long, with ``H`` the best of the fill price and the closed highs after it: ``stop = max(stop, fill,
    H - trail_mult * atr)``, or ``H * (1 - trail_mult / 100)``, from the candle after TP1 on. A signal without a
    second target (NaN) leaves its rest to the stop and the time limit.

    References
    ----------
    A. Elder (2002), *Come Into My Trading Room*, Wiley: the chandelier exit of C. LeBeau, a stop that hangs a
    multiple of ATR below the best price.

    Examples
    --------
    >>> import numpy as np
    >>> plan = Tp1BeTrail(tp1_fraction=0.5).plan(pd.DataFrame({"tp1": [110.0], "tp2": [120.0]}), np.array([0.1]))
    >>> plan.target_price.tolist(), plan.target_fraction.tolist(), plan.be_after.tolist()
    ([[110.0, 120.0]], [[0.5, 0.5]], [0])
    """

    name = "tp1_be_trail"

    def __init__(
        self,
        tp1_fraction: float = 0.5,
        move_sl_to_be_on_tp1: bool = True,
        trail_use: bool = True,
        trail_method: str = "atr",
        trail_mult: float = 1.0,
        max_hold_candles: int = 96,
    ) -> None:
        if not 0.0 < tp1_fraction <= 1.0:
            raise ValueError(f"tp1_fraction {tp1_fraction!r}: expected more than 0 and at most 1")
        if trail_method not in _METHODS:
            raise ValueError(f"trail_method {trail_method!r}: {nearest(str(trail_method), _METHODS)}")
        if not trail_mult > 0.0:
            raise ValueError(f"trail_mult {trail_mult!r}: expected more than 0")
        if max_hold_candles != int(max_hold_candles) or max_hold_candles < 0:
            raise ValueError(f"max_hold_candles {max_hold_candles!r}: expected a whole number, 0 or more")
        self.tp1_fraction = float(tp1_fraction)
        self.move_sl_to_be_on_tp1 = bool(move_sl_to_be_on_tp1)
        self.trail_use = bool(trail_use)
        self.trail_method = trail_method
        self.trail_mult = float(trail_mult)
        self.max_hold_candles = int(max_hold_candles)

    def plan(self, signals: pd.DataFrame, tick: FloatArray) -> ExitPlan:  # noqa: ARG002  the targets are on the tick
        """Return the exit plan of each signal; uses ``tp1`` and ``tp2``, which the setup has rounded."""
        columns, fractions = ["tp1", "tp2"], [self.tp1_fraction, 1.0 - self.tp1_fraction]
        if self.tp1_fraction == 1.0:
            columns, fractions = columns[:1], fractions[:1]
        return same_for_all(
            signals[columns].to_numpy(dtype="float64"),
            fractions,
            max_hold_candles=self.max_hold_candles,
            be_after=0 if self.move_sl_to_be_on_tp1 else NEVER,
            trail=self.trail_method if self.trail_use else "none",
            trail_mult=self.trail_mult,
            trail_after=0,
        )

    def params(self) -> dict[str, Any]:
        """Return the parameters that fix its plans, as plain JSON values."""
        return {
            "tp1_fraction": self.tp1_fraction,
            "move_sl_to_be_on_tp1": self.move_sl_to_be_on_tp1,
            "trail_use": self.trail_use,
            "trail_method": self.trail_method,
            "trail_mult": self.trail_mult,
            "max_hold_candles": self.max_hold_candles,
        }
