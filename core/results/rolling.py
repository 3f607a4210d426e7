"""Win rate and expectancy over the last so many trades, as time went on.

The law: each point is the estimate, with its interval, that a reader of that moment would have had; a window that is
not full gives no point.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pandas as pd

from core.results.intervals import clustered_mean, clustered_share
from core.results.rows import closed_rows, week_of
from core.schema import FrameSpec, conform, empty_frame

__all__ = ["ROLLING", "rolling"]

ROLLING: FrameSpec = MappingProxyType(
    {
        "known_ms": "int64",  # when the newest outcome of the window was known
        "n": "int64",
        "weeks": "int64",
        "win": "float64",
        "win_low": "float64",  # 95 %
        "win_high": "float64",
        "r": "float64",
        "r_low": "float64",
        "r_high": "float64",
    }
)


def rolling(rows: pd.DataFrame, window: int, most: int = 240) -> pd.DataFrame:
    """Return win rate and expectancy over the last `window` closed trades.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    window : int
        Trades.
    most : int
        Points at most, evenly spaced over the trades; the newest is always there.

    Returns
    -------
    pandas.DataFrame
        Columns `ROLLING`, oldest first; empty while there are fewer trades than the window takes.
    """
    done = closed_rows(rows)
    n = len(done)
    if n < window:
        return empty_frame(ROLLING)
    ends = np.unique(np.linspace(window, n, min(most, n - window + 1)).round().astype(np.int64))
    known = done["known_ms"].to_numpy(np.int64)
    r, won = done["r_multiple"].to_numpy(np.float64), done["pnl_pct"].to_numpy(np.float64) > 0
    weeks = week_of(done["decided_ms"])
    found = []
    for end in ends.tolist():
        part = slice(end - window, end)
        win, mean = clustered_share(won[part], weeks[part]), clustered_mean(r[part], weeks[part])
        rates = {"win": win.value, "win_low": win.low, "win_high": win.high}
        means = {"r": mean.value, "r_low": mean.low, "r_high": mean.high}
        found.append({"known_ms": int(known[end - 1]), "n": mean.n, "weeks": mean.weeks, **rates, **means})
    return conform(pd.DataFrame(found), ROLLING)
