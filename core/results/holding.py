"""Buying and holding: what the same money would have become in the market over the same time.

The law: bought once at the close the period begins with and never touched; the mean over several symbols buys each for
the same amount. It pays no costs, so that nothing is made to look better than it by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.schema import FloatArray, IntArray

__all__ = ["Closes", "Held", "hold"]

Closes = tuple[IntArray, FloatArray]
"""When candles closed, ascending, and at what price."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What one unit of money became.

    Parameters
    ----------
    symbols : tuple of str
        Those that were there at the start.
    left_out : tuple of str
        Those that came later.
    ts_ms : int64 array
        Ascending; the first is the start.
    factor : float64 array
        Value over the value at the start; the first is 1.
    """

    symbols: tuple[str, ...]
    left_out: tuple[str, ...]
    ts_ms: IntArray
    factor: FloatArray


def hold(closes: Mapping[str, Closes], start_ms: int, end_ms: int, points: int = 400) -> Held | None:
    """Return what holding would have made of one unit of money.

    Parameters
    ----------
    closes : mapping of str to Closes
        By symbol.
    start_ms, end_ms : int
        When it is bought, and the last moment looked at.
    points : int
        How many moments, evenly spaced.

    Returns
    -------
    Held or None
        None where no symbol had a price at the start.

    Notes
    -----
    At each moment the last close known by then counts.

    Examples
    --------
    >>> held = hold({"BTC": (np.array([0, 10]), np.array([100.0, 150.0]))}, 0, 10, points=2)
    >>> held.factor.tolist()
    [1.0, 1.5]
    """
    known = {name: (ts, price) for name, (ts, price) in closes.items() if len(ts) and ts[0] <= start_ms}
    if not known or end_ms <= start_ms:
        return None
    moments = np.linspace(start_ms, end_ms, points).round().astype(np.int64)
    paths = []
    for ts, price in known.values():
        path = price[np.searchsorted(ts, moments, side="right") - 1]
        paths.append(path / path[0])
    factor: FloatArray = np.mean(paths, axis=0)
    return Held(tuple(known), tuple(name for name in closes if name not in known), moments, factor)
