"""Results by month, by day, and by the hour and day of the week of the decision.

The law: a result belongs to the day on which its outcome became known, on the reader's calendar; sums are shown as they
are, a mean of few trades is not shown as a figure.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pandas as pd

from core.results.intervals import clustered_mean
from core.results.rows import closed_rows, week_of
from core.schema import FrameSpec, conform, empty_frame

__all__ = ["DAYS", "HOURS", "MONTHS", "daily", "hourly", "monthly"]

_SUMS = {
    "n": "int64",  # closed trades
    "won": "int64",
    "r": "float64",  # sum, after costs
    "usd": "float64",  # sum at the planned sizes
}
MONTHS: FrameSpec = MappingProxyType({"year": "int64", "month": "int64", **_SUMS})
DAYS: FrameSpec = MappingProxyType({"day": "str", **_SUMS})  # 2024-01-31
HOURS: FrameSpec = MappingProxyType(
    {
        "weekday": "int64",  # 0 is Monday
        "hour": "int64",  # the first of the step
        "n": "int64",
        "weeks": "int64",
        "r": "float64",  # mean
        "low": "float64",  # its 95 % interval
        "high": "float64",
        "enough": "int64",
    }
)


def _moments(ms: pd.Series, zone: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(ms.to_numpy(np.int64), unit="ms", utc=True)).tz_convert(zone)


def _sums(done: pd.DataFrame, keys: dict[str, object]) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            **keys,
            "n": 1,
            "won": (done["pnl_pct"] > 0).astype(np.int64),
            "r": done["r_multiple"],
            "usd": done["pnl_pct"] / 100.0 * done["position_notional"],
        }
    )
    return frame.groupby(list(keys), sort=True).sum().reset_index()


def monthly(rows: pd.DataFrame, zone: str = "UTC") -> pd.DataFrame:
    """Return the sums of each month that has a closed trade, oldest first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    zone : str
        Whose calendar.

    Returns
    -------
    pandas.DataFrame
        Columns `MONTHS`.
    """
    done = closed_rows(rows)
    if done.empty:
        return empty_frame(MONTHS)
    at = _moments(done["known_ms"], zone)
    return conform(_sums(done, {"year": at.year, "month": at.month}), MONTHS)


def daily(rows: pd.DataFrame, zone: str = "UTC") -> pd.DataFrame:
    """Return the sums of each day that has a closed trade, oldest first; columns `DAYS`.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    zone : str
        Whose calendar.
    """
    done = closed_rows(rows)
    if done.empty:
        return empty_frame(DAYS)
    return conform(_sums(done, {"day": _moments(done["known_ms"], zone).strftime("%Y-%m-%d")}), DAYS)


def hourly(rows: pd.DataFrame, zone: str = "UTC", step: int = 1) -> pd.DataFrame:
    """Return the mean result by day of the week and hour of the decision.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    zone : str
        Whose calendar.
    step : int
        Hours counted together, a divisor of 24.

    Returns
    -------
    pandas.DataFrame
        Columns `HOURS`, those with a closed trade, Monday first.

    Notes
    -----
    The intervals are for one hour looked at by itself: of 42 without any edge, about two lie outside theirs.
    """
    done = closed_rows(rows)
    if done.empty:
        return empty_frame(HOURS)
    at = _moments(done["decided_ms"], zone)
    frame = pd.DataFrame(
        {
            "weekday": at.day_of_week,
            "hour": at.hour // step * step,
            "week": week_of(done["decided_ms"]),
            "r": done["r_multiple"].to_numpy(),
        }
    )
    found = []
    for (weekday, hour), part in frame.groupby(["weekday", "hour"], sort=True):
        mean = clustered_mean(part["r"].to_numpy(), part["week"].to_numpy())
        figures = {"n": mean.n, "weeks": mean.weeks, "r": mean.value, "low": mean.low, "high": mean.high}
        found.append({"weekday": weekday, "hour": hour, **figures, "enough": int(mean.enough)})
    return conform(pd.DataFrame(found), HOURS)
