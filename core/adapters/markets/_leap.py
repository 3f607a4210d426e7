"""Across a stretch without candles that is longer than a page, by days and hours.

The law: it goes to the first minute that may hold a candle and no further, so no candle is passed over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import numpy as np

from core.clock import floor_to, timeframe_ms
from core.schema import FloatArray

__all__ = ["leap"]

_LEAPS = 8
_COARSE = (("1d", 90), ("1h", 200))

Fetch = Callable[[str, int, int], Awaitable[FloatArray]]
"""Given timeframe, first time and limit, returns candles."""


async def leap(
    fetch: Fetch, known: Collection[str], timeframe: str, since_ms: int, page: int, now_ms: Callable[[], int]
) -> FloatArray:
    """Return the first candles at or after a moment where a page from there on holds none.

    Parameters
    ----------
    fetch : callable
        See `Fetch`.
    known : collection of str
        Timeframes the exchange knows.
    timeframe : str
    since_ms : int
    page : int
        Candles wanted.
    now_ms : callable
        The exchange's time.
    """
    at = since_ms
    for _ in range(_LEAPS):
        for coarse, limit in _COARSE:
            if coarse in known:
                found = await _first_bucket(fetch, coarse, at, limit, now_ms)
                if found is None:
                    return np.empty((0, 6))
                at = found
        rows = await fetch(timeframe, at, page)
        if len(rows):
            return rows
        at += page * timeframe_ms(timeframe)
    return np.empty((0, 6))


async def _first_bucket(fetch: Fetch, coarse: str, at_ms: int, limit: int, now_ms: Callable[[], int]) -> int | None:
    """The first moment from `at_ms` on that a candle of a coarse timeframe covers; None up to now."""
    step = timeframe_ms(coarse)
    since = floor_to(at_ms, step)
    while since < now_ms():
        rows = await fetch(coarse, since, limit)
        rows = rows[rows[:, 0] >= since]
        if len(rows):
            return max(at_ms, int(rows[0, 0]))
        since += limit * step
    return None
