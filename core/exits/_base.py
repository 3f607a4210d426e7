"""What exit policies share: the columns of an exit plan that one set of parameters fills alike.

The law: a policy states what differs from row to row; everything else is one number for all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.ports import ExitPlan
from core.schema import FloatArray, IntArray

__all__ = ["NEVER", "TRAILS", "directions", "same_for_all"]

NEVER = -1
TRAILS = {"none": 0, "atr": 1, "pct": 2}  # ExitPlan.trail_kind


def directions(signals: pd.DataFrame) -> FloatArray:
    """Return 1 for each long and -1 for each short."""
    return np.where(signals["direction"].to_numpy() == "short", -1.0, 1.0)


def same_for_all(
    target_price: FloatArray,
    fractions: npt.ArrayLike,
    *,
    max_hold_candles: int,
    be_after: int = NEVER,
    trail: str = "none",
    trail_mult: float = 0.0,
    trail_after: int = NEVER,
) -> ExitPlan:
    """Return the plan of n positions that differ in their target prices only.

    Parameters
    ----------
    target_price : float64 array, shape (n, m)
    fractions : array-like of float, shape (m,)
        Of the position; the last target takes the rest.
    max_hold_candles, be_after, trail, trail_mult, trail_after
        As in `core.ports.ExitPlan`; `trail` by name.
    """
    n, m = target_price.shape

    def column(value: int) -> IntArray:
        return np.full(n, value, dtype=np.int64)

    return ExitPlan(
        target_price=target_price,
        target_fraction=np.tile(np.asarray(fractions, dtype=np.float64), (n, 1)),
        n_targets=column(m),
        be_after=column(be_after),
        trail_kind=column(TRAILS[trail]),
        trail_mult=np.full(n, trail_mult),
        trail_after=column(trail_after),
        max_hold_candles=column(max_hold_candles),
        exit_at_ms=np.empty(0, dtype=np.int64),
        exit_at_from=np.zeros(n + 1, dtype=np.int64),
    )
