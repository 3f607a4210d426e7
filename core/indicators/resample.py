"""Longer candles from one-minute candles.

The law: a bucket is aligned to the UTC epoch, made of its own minutes alone and summed in their order, so
the same minutes give the same row whenever and in whatever chunks they are resampled.
"""

from __future__ import annotations

import numpy as np

from core.clock import MINUTE_MS, ceil_to, floor_to
from core.jit import njit
from core.schema import Candles, FloatArray, IntArray

__all__ = ["resample"]

_Columns = tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, IntArray]


@njit
def _buckets(
    ts: IntArray,
    open_: FloatArray,
    high: FloatArray,
    low: FloatArray,
    close: FloatArray,
    volume: FloatArray,
    taker: FloatArray,
    target_ms: int,
    capacity: int,
) -> _Columns:
    starts = np.empty(capacity, dtype=np.int64)
    opens, highs, lows = np.empty(capacity), np.empty(capacity), np.empty(capacity)
    closes, volumes, takers = np.empty(capacity), np.empty(capacity), np.empty(capacity)
    minutes = np.empty(capacity, dtype=np.int64)
    k = -1
    end = np.int64(-1) << 62
    for i in range(len(ts)):
        if ts[i] >= end:
            k += 1
            starts[k] = ts[i] - ts[i] % target_ms
            end = starts[k] + target_ms
            opens[k], highs[k], lows[k] = open_[i], high[i], low[i]
            volumes[k], takers[k], minutes[k] = 0.0, 0.0, 0
        highs[k] = max(highs[k], high[i])
        lows[k] = min(lows[k], low[i])
        closes[k] = close[i]
        volumes[k] += volume[i]
        takers[k] += taker[i]  # one unknown minute makes the sum unknown
        minutes[k] += 1
    n = k + 1
    return starts[:n], opens[:n], highs[:n], lows[:n], closes[:n], volumes[:n], takers[:n], minutes[:n]


def resample(candles: Candles, target_ms: int, start_ms: int, end_ms: int) -> Candles:
    """Make the candles of a longer timeframe that lie wholly inside a span.

    Parameters
    ----------
    candles : Candles
        One-minute candles; those outside the span are not looked at.
    target_ms : int
        Length of the longer timeframe, a multiple of a minute, milliseconds.
    start_ms, end_ms : int
        UTC milliseconds. A bucket is made if ``start_ms <= bucket`` and ``bucket + target_ms <= end_ms``; give
        the frontier as `end_ms`, so that every earlier minute is stored or known to be missing.

    Returns
    -------
    Candles
        Stamped with the bucket's open. `n_minutes` counts the minutes it was made of; a bucket without any is
        absent. `taker_volume` is NaN if that of any minute is.

    Raises
    ------
    ValueError
        `target_ms` is not a positive multiple of a minute.

    Notes
    -----
    First open, highest high, lowest low, last close, volumes added from the first minute to the last.

    Examples
    --------
    >>> minutes = Candles.of([0, 60_000, 120_000], [1, 2, 3], [2, 4, 3], [1, 2, 2], [2, 3, 2], [5, 6, 7])
    >>> pairs = resample(minutes, 120_000, 0, 180_000)
    >>> pairs.ts.tolist(), pairs.high.tolist(), pairs.volume.tolist(), pairs.n_minutes.tolist()
    ([0], [4.0], [11.0], [2])
    """
    if target_ms <= 0 or target_ms % MINUTE_MS:
        raise ValueError(f"resample: {target_ms} ms is not a positive multiple of a minute ({MINUTE_MS} ms)")
    first, last = ceil_to(start_ms, target_ms), floor_to(end_ms, target_ms)
    inside = candles.between(first, last)
    if first >= last or len(inside) == 0:
        return Candles.empty()
    capacity = min(len(inside), int(inside.ts[-1] - inside.ts[0]) // target_ms + 2)
    return Candles.of(
        *_buckets(
            inside.ts,
            inside.open,
            inside.high,
            inside.low,
            inside.close,
            inside.volume,
            inside.taker_volume,
            target_ms,
            capacity,
        )
    )
