"""The geometry of the plan: what its levels alone say about reward, risk and cost.

The law: it is made of the plan and the close that made it, never of anything around them.
"""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np

from core.clock import MINUTE_MS
from core.features._base import NOT_THERE, View, ratio, table
from core.schema import FloatArray

__all__ = ["Geometry"]


class Geometry:
    """Measure the plan: its leg, its distances, its reward to risk and what it costs.

    Columns
    -------
    geo_level : share of the leg
        Retracement at which the entry lies: 0 is the leg's end, 1 its origin [1]_.
    geo_retracement : share of the leg
        Retracement the close has reached [1]_.
    geo_leg_atr : ATR
        Size of the leg, from end to end [3]_.
    geo_leg_age : candles
        Time since the leg's last candle [4]_.
    geo_leg_slope : ATR a candle
        Size of the leg over its length in time [3]_.
    geo_sl_atr : ATR
        Distance from entry to stop [3]_.
    geo_stop_frac : fraction of the entry
        Distance from entry to stop [4]_.
    geo_tp1_atr : ATR
        Distance from entry to the first target [3]_.
    geo_tp2_atr : ATR
        Distance from entry to the second target [3]_.
    geo_rr1 : R
        Reward to risk at the first target [2]_.
    geo_rr2 : R
        Reward to risk at the second target [2]_.
    geo_cost_r : R
        Expected costs of entering and leaving over the distance to the stop [2]_.
    geo_entry_atr : ATR
        Distance from the close back to the entry [3]_.
    geo_setup : number in [0, 1)
        Stands for the setup's name; the same name has the same number everywhere, the order means nothing [4]_.
    geo_timeframe : ln minutes
        Length of the candle [4]_.
    geo_side : 1 or -1
        Long or short [4]_.

    Notes
    -----
    Distances are positive towards the side they are meant for. The ATR is the plan's own. Leg columns are NaN where the
    plan names no leg. A plan without a second target counts its first one twice.

    References
    ----------
    .. [1] Pesavento, L. (1997). Fibonacci Ratios with Pattern Recognition, Traders Press: legs and retracements.
    .. [2] Tharp, V. K. (2006). Trade Your Way to Financial Freedom, McGraw-Hill: R, reward to risk.
    .. [3] Wilder, J. W. (1978). New Concepts in Technical Trading Systems, pp. 21-23: ATR as the unit of distance.
    .. [4] The plan itself, as `core.schema.CANDIDATES` declares it.

    Examples
    --------
    >>> Geometry().warmup
    0
    """

    name = "geometry"
    columns = (
        "geo_level",
        "geo_retracement",
        "geo_leg_atr",
        "geo_leg_age",
        "geo_leg_slope",
        "geo_sl_atr",
        "geo_stop_frac",
        "geo_tp1_atr",
        "geo_tp2_atr",
        "geo_rr1",
        "geo_rr2",
        "geo_cost_r",
        "geo_entry_atr",
        "geo_setup",
        "geo_timeframe",
        "geo_side",
    )
    required = columns[5:]
    warmup = 0
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        plans = view.plans
        risk = plans.side * (plans.entry - plans.sl)
        second = np.where(np.isnan(plans.tp2), plans.tp1, plans.tp2)
        reward1, reward2 = (plans.side * (target - plans.entry) for target in (plans.tp1, second))
        stop_frac = ratio(risk, plans.entry)
        cost_pct = view.costs.expected_round_trip_pct(np.asarray(plans.order_type == "limit", dtype=np.bool_))
        values = {
            **self._leg(view),
            "geo_sl_atr": ratio(risk, plans.atr),
            "geo_stop_frac": stop_frac,
            "geo_tp1_atr": ratio(reward1, plans.atr),
            "geo_tp2_atr": ratio(reward2, plans.atr),
            "geo_rr1": ratio(reward1, risk),
            "geo_rr2": ratio(reward2, risk),
            "geo_cost_r": ratio(cost_pct, 100.0 * stop_frac),
            "geo_entry_atr": ratio(plans.side * (view.close - plans.entry), plans.atr),
            "geo_setup": [_number_of(name) for name in plans.setup.tolist()],
            "geo_timeframe": np.log(view.step_ms / MINUTE_MS),
            "geo_side": plans.side,
        }
        return table(self.columns, values, len(plans))

    def _leg(self, view: View) -> dict[str, FloatArray]:
        plans = view.plans
        size = plans.side * (plans.b_price - plans.a_price)
        size_atr = ratio(size, plans.atr)
        known = plans.anchor_b_ms != NOT_THERE
        age_ms = plans.decided_ms - view.step_ms - plans.anchor_b_ms
        length_ms = plans.anchor_b_ms - plans.anchor_a_ms
        return {
            "geo_level": ratio(plans.side * (plans.b_price - plans.entry), size),
            "geo_retracement": ratio(plans.side * (plans.b_price - view.close), size),
            "geo_leg_atr": size_atr,
            "geo_leg_age": np.where(known, age_ms / view.step_ms, np.nan),
            "geo_leg_slope": ratio(size_atr, length_ms / view.step_ms),
        }


@cache
def _number_of(name: str) -> float:
    return zlib.crc32(name.encode()) / 2.0**32
