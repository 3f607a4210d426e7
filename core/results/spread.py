"""How results spread: by size, by time held, and by how far price went against and in favour.

The law: every closed trade is in a bin; what lies beyond the last edge is in the last bin, which says so.
"""

from __future__ import annotations

import math
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.results.rows import closed_rows
from core.schema import FloatArray, FrameSpec, conform, empty_frame

__all__ = ["EXCURSIONS", "HELD", "SIZES", "excursions", "held", "planned_risk_pct", "sizes"]

SIZES: FrameSpec = MappingProxyType({"low": "float64", "high": "float64", "n": "int64"})  # R; ends may be infinite
HELD: FrameSpec = MappingProxyType({"from_ms": "int64", "to_ms": "int64", "won": "int64", "lost": "int64"})
EXCURSIONS: FrameSpec = MappingProxyType(
    {
        "signal_id": "int64",
        "mae_r": "float64",  # furthest against while open, >= 0
        "mfe_r": "float64",  # furthest in favour, >= 0
        "r": "float64",
        "won": "int64",
    }
)

_LEAST_R, _MOST_R = -3.0, 8.0  # what lies beyond is counted in the bins at the ends
_WIDTHS = (0.05, 0.1, 0.2, 0.25, 0.5)
_MOST_BINS = 60
_HELD_EDGES = tuple(
    [0]
    + [minutes * MINUTE_MS for minutes in (15, 30)]
    + [hours * HOUR_MS for hours in (1, 2, 4, 8, 16)]
    + [days * DAY_MS for days in (1, 2, 4, 8, 16, 32)]
)
_FOREVER_MS = 10**15


def planned_risk_pct(rows: pd.DataFrame) -> FloatArray:
    """Return the planned risk of each row, percent of the entry: what one R is."""
    entry = rows["entry"].to_numpy(np.float64)
    risk: FloatArray = 100.0 * np.abs(entry - rows["sl"].to_numpy(np.float64)) / entry
    return risk


def sizes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many closed trades made how many R.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.

    Returns
    -------
    pandas.DataFrame
        Columns `SIZES`, lowest first, without gaps; low is in, high is not. At most 60 bins of a round width.
    """
    r = closed_rows(rows)["r_multiple"].to_numpy(np.float64)
    if not len(r):
        return empty_frame(SIZES)
    inside = np.clip(r, _LEAST_R, _MOST_R)
    reach = float(inside.max() - inside.min())
    width = next((one for one in _WIDTHS if reach / one <= _MOST_BINS), _WIDTHS[-1])
    first = math.floor(inside.min() / width + 1e-9)
    place = np.floor(inside / width + 1e-9).astype(np.int64) - first
    n = np.bincount(place)
    low = width * (first + np.arange(len(n)))
    high = low + width
    low[0] = -np.inf if r.min() < _LEAST_R else low[0]
    high[-1] = np.inf if r.max() > _MOST_R else high[-1]
    return conform(pd.DataFrame({"low": low, "high": high, "n": n}), SIZES)


def held(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how long closed trades were held, won and lost apart; columns `HELD`, shortest first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    """
    done = closed_rows(rows)
    if done.empty:
        return empty_frame(HELD)
    place = np.searchsorted(_HELD_EDGES, (done["known_ms"] - done["opened_ms"]).to_numpy(np.int64), side="right") - 1
    won = done["pnl_pct"].to_numpy(np.float64) > 0
    count = len(_HELD_EDGES)
    frame = pd.DataFrame(
        {
            "from_ms": _HELD_EDGES,
            "to_ms": [*_HELD_EDGES[1:], _FOREVER_MS],
            "won": np.bincount(place[won], minlength=count),
            "lost": np.bincount(place[~won], minlength=count),
        }
    )
    filled = np.flatnonzero(frame["won"] + frame["lost"])
    return conform(frame.iloc[filled[0] : filled[-1] + 1], HELD)


def excursions(rows: pd.DataFrame, most: int = 4_000) -> pd.DataFrame:
    """Return how far price went against and in favour of each closed trade, in R, the newest.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    most : int
        How many at most.

    Returns
    -------
    pandas.DataFrame
        Columns `EXCURSIONS`.

    References
    ----------
    Sweeney (1997), Maximum Adverse Excursion, Wiley.
    """
    done = closed_rows(rows).tail(most)
    risk = planned_risk_pct(done)
    frame = pd.DataFrame(
        {
            "signal_id": done["signal_id"],
            "mae_r": -done["mae_pct"] / risk,
            "mfe_r": done["mfe_pct"] / risk,
            "r": done["r_multiple"],
            "won": (done["pnl_pct"] > 0).astype(np.int64),
        }
    )
    return conform(frame, EXCURSIONS)
