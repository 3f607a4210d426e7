"""The worst falls of a balance: from which high, how deep, and when it was made up for.

The law: a fall begins at a high and ends when that high is reached again; one that has not ended says so.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pandas as pd

from core.results.equity import Curve
from core.schema import FrameSpec, conform, empty_frame

__all__ = ["DRAWDOWNS", "drawdowns"]

DRAWDOWNS: FrameSpec = MappingProxyType(
    {
        "from_ms": "int64",  # when the high was reached; of the first trade where the start was the high
        "bottom_ms": "int64",
        "back_ms": "int64",  # when the high was reached again; 0 while it has not been
        "depth": "float64",  # <= 0, money
        "depth_pct": "float64",  # <= 0, percent of the high; NaN where that was not above 0
        "length_ms": "int64",  # from the high until it was reached again, or until the newest trade
        "trades": "int64",  # from the first below the high to the one that reached it again
    }
)


def drawdowns(curve: Curve, most: int = 5) -> pd.DataFrame:
    """Return the deepest falls of a balance, the deepest first.

    Parameters
    ----------
    curve : Curve
    most : int
        How many at most.

    Returns
    -------
    pandas.DataFrame
        Columns `DRAWDOWNS`; falls do not overlap.

    Examples
    --------
    >>> fall = np.array([0.0, -2.0, 0.0])
    >>> curve = Curve(0.0, np.array([1, 2, 3]), np.array([4.0, 2.0, 5.0]), fall, 100 * fall / 4.0)
    >>> drawdowns(curve)[["from_ms", "bottom_ms", "back_ms", "depth_pct"]].to_numpy().tolist()
    [[1.0, 2.0, 3.0, -50.0]]
    """
    below = curve.drawdown < 0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], below, [False]]).astype(np.int8)))
    found = []
    for first, end in edges.reshape(-1, 2).tolist():
        bottom = first + int(np.argmin(curve.drawdown[first:end]))
        is_over = end < len(below)
        from_ms = int(curve.ts_ms[max(first - 1, 0)])
        until_ms = int(curve.ts_ms[end if is_over else -1])
        found.append(
            {
                "from_ms": from_ms,
                "bottom_ms": int(curve.ts_ms[bottom]),
                "back_ms": until_ms if is_over else 0,
                "depth": float(curve.drawdown[bottom]),
                "depth_pct": float(curve.drawdown_pct[bottom]),
                "length_ms": until_ms - from_ms,
                "trades": end - first + int(is_over),
            }
        )
    if not found:
        return empty_frame(DRAWDOWNS)
    return conform(pd.DataFrame(found).sort_values(["depth", "from_ms"], kind="stable").head(most), DRAWDOWNS)
