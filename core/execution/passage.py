"""Getting through candles fast: where a time stands among them, and which of them can be passed as one.

The law: whoever passes a stretch ends where one candle after the other would have led, bit by bit.
"""

from __future__ import annotations

import numpy as np

from core.clock import MINUTE_MS
from core.execution.tables import RANGE, Table
from core.jit import inlined, njit

__all__ = ["STRETCH", "begins_stretch", "first_from", "to_stretches"]

STRETCH = 16
"""Candles in a stretch: of 8, 12, 16 and 32 the fastest for trades that last some hours."""


@njit
def to_stretches(candles: Table) -> Table:
    """Return the range of each whole stretch, from the first candle on."""
    stretches = np.empty(len(candles) // STRETCH, dtype=RANGE)
    top, bottom = -np.inf, np.inf
    for j in range(STRETCH * len(stretches)):
        top, bottom = max(top, candles[j].high), min(bottom, candles[j].low)
        if j % STRETCH == STRETCH - 1:
            stretches[j // STRETCH].high, stretches[j // STRETCH].low = top, bottom
            top, bottom = -np.inf, np.inf
    return stretches


@inlined
def begins_stretch(j: int, n: int, due_ms: int, candles: Table) -> bool:
    """Say whether a stretch begins at candle j, of n, behind which a candle opens before something is due."""
    return j % STRETCH == 0 and j + STRETCH < n and candles[j + STRETCH].ts < due_ms


@inlined
def first_from(ts: int, lo: int, hi: int, candles: Table) -> int:
    """Return the first of the one-minute candles ``lo`` to ``hi - 1`` that opens at `ts` or later, `hi` if none does.

    Notes
    -----
    It stands as many places behind the first as minutes have passed, less those that are missing. Only where some
    are does it take a search, in ``O(log(missing))``.
    """
    if lo >= hi or candles[lo].ts >= ts:
        return lo
    places = (ts - candles[lo].ts - 1) // MINUTE_MS + 1
    missing = (candles[hi - 1].ts - candles[lo].ts) // MINUTE_MS + 1 - (hi - lo)
    first, last = max(lo + places - missing, lo), min(lo + places, hi)
    found: int = first + np.searchsorted(candles.ts[first:last], ts) if first < last else last
    return found
