"""The board of jobs: when each last ran, how long it takes, how often it fails, when it is due next.

The law: counted from the runs on record; what was never run is not on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.schema import FrameSpec, IntArray, conform

__all__ = ["BOARD", "WEEKDAYS", "job_board", "next_weekly_ms"]

BOARD: FrameSpec = MappingProxyType(
    {
        "job": "str",
        "last_ms": "int64",
        "status": "str",
        "took_ms": "float64",  # of the last run
        "median_ms": "float64",
        "p99_ms": "float64",
        "runs": "int64",  # on record, of those handed in
        "failed": "int64",
        "failed_in_a_row": "int64",  # up to the last one
        "detail": "str",
        "next_ms": "int64",  # 0 where it is not due at a known time
    }
)

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


def job_board(runs: pd.DataFrame, due_ms: Mapping[str, int]) -> pd.DataFrame:
    """Return a line for each job, the one that ran last first.

    Parameters
    ----------
    runs : pandas.DataFrame
        Columns job, started_ms, finished_ms, status, detail; newest first.
    due_ms : mapping of str to int
        When a job is due next, where that is known.

    Returns
    -------
    pandas.DataFrame
        Columns `BOARD`.
    """
    lines = []
    for job, mine in runs.groupby("job", sort=True):
        took: IntArray = (mine["finished_ms"] - mine["started_ms"]).to_numpy(np.int64)
        failed = (mine["status"] != "ok").to_numpy()
        lines.append(
            {
                "job": job,
                "last_ms": int(mine["started_ms"].iloc[0]),
                "status": mine["status"].iloc[0],
                "took_ms": float(took[0]),
                "median_ms": float(np.median(took)),
                "p99_ms": float(np.quantile(took, 0.99)),
                "runs": len(mine),
                "failed": int(failed.sum()),
                "failed_in_a_row": int(np.argmin(failed)) if not failed.all() else len(failed),
                "detail": mine["detail"].iloc[0],
                "next_ms": due_ms.get(str(job), 0),
            }
        )
    table = conform(pd.DataFrame(lines, columns=list(BOARD)), BOARD)
    return table.sort_values(["last_ms", "job"], ascending=[False, True], kind="stable", ignore_index=True)


def next_weekly_ms(now_ms: int, day_of_week: str, hour_utc: int, minute: int) -> int:
    """Return the next time a weekly job is due, UTC milliseconds, later than `now_ms`.

    Examples
    --------
    >>> next_weekly_ms(0, "sun", 21, 0) // 3_600_000  # 1970-01-01 was a Thursday
    93
    """
    week = 7 * DAY_MS
    into = WEEKDAYS.index(day_of_week) * DAY_MS + hour_utc * HOUR_MS + minute * MINUTE_MS
    weeks = (now_ms - _MONDAY_MS - into) // week + 1
    return _MONDAY_MS + into + weeks * week
