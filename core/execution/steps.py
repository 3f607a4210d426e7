"""What one candle does to an order, and to a position.

The law: an answer depends on the candle and the levels alone; prices are as a long sees them.
"""

from __future__ import annotations

import numpy as np

from core.execution.codes import GAPPED, LIMIT, MARKET, MISSED, STOP
from core.execution.tables import Record
from core.jit import njit

__all__ = ["entry_step", "exit_step", "waits_between"]

WAIT, RESTING, AT_OPEN, INSIDE = -1, -2, -3, -4  # entry steps that are not events
GAP_STOP, HIT_STOP, HIT_TARGET = range(3)  # exit steps


@njit
def entry_step(first: bool, o: float, h: float, low: float, plan: Record, terms: Record) -> tuple[int, float]:
    """Say what a candle does to a waiting order, and at which price."""
    if first or plan.order == STOP:
        if o <= plan.sl:
            return GAPPED, o
        if o >= plan.tp1:
            return MISSED, o
    if plan.order == LIMIT:
        if first and o <= plan.entry:
            return AT_OPEN, o
        if low < plan.entry or (low == plan.entry and not terms.through):
            return RESTING, plan.entry
    elif plan.order == MARKET:
        return AT_OPEN, o
    elif h >= plan.entry:
        return (AT_OPEN, o) if o >= plan.entry else (INSIDE, plan.entry)
    if terms.cancel_if_missed and h >= plan.tp1:
        return MISSED, plan.tp1
    return WAIT, np.nan


@njit
def waits_between(plan: Record, terms: Record) -> tuple[float, float]:
    """Return the prices between which a candle, unless the first, leaves an order waiting."""
    if plan.order == LIMIT:
        return plan.entry, (plan.tp1 if terms.cancel_if_missed else np.inf)
    return (plan.sl, min(plan.entry, plan.tp1)) if plan.order == STOP else (np.inf, np.inf)


@njit
def exit_step(o: float, h: float, low: float, stop: float, target: float, safe: bool) -> tuple[int, float, bool]:
    """Say where a candle that touches stop or target leaves a position, and whether it is ambiguous."""
    if o <= stop:
        return GAP_STOP, o, False
    if o >= target:
        return HIT_TARGET, target, False
    both = low <= stop and h >= target
    if low <= stop and (safe or not both):
        return HIT_STOP, stop, both
    return HIT_TARGET, target, both
