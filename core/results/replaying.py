"""The past as it looked at a moment: which plans were known, where each trade stood, what had been earned.

The law: a trade's state follows from times up to that moment; what became of it later is not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.schema import FloatArray, FrameSpec, IntArray, conform

__all__ = ["KNOWN_THEN", "Earned", "earned_until", "known_at"]

KNOWN_THEN: FrameSpec = MappingProxyType(
    {
        "signal_id": "int64",
        "decided_ms": "int64",
        "symbol": "str",
        "timeframe": "str",
        "direction": "str",
        "verdict": "str",
        "taken": "int64",
        "state": "str",  # waiting, open, closed, unfilled; "" where it was never played
        "result_r": "float64",  # NaN until its outcome was known
        "ended_by": "str",
    }
)

WAITING, OPEN, CLOSED, UNFILLED = "waiting", "open", "closed", "unfilled"


@dataclass(frozen=True, slots=True, eq=False)
class Earned:
    """A running sum of results.

    Parameters
    ----------
    ts_ms : int64 array
        When each outcome was known.
    total_r : float64 array
        Sum of the results in R so far.
    """

    ts_ms: IntArray
    total_r: FloatArray


def known_at(signals: pd.DataFrame, trades: pd.DataFrame, at_ms: int) -> pd.DataFrame:
    """Return the plans decided by a moment with the state of their trades then, the newest first.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns id, decided_ms, symbol, timeframe, direction, verdict.
    trades : pandas.DataFrame
        Columns `schema.TRADES`, of one exit policy.
    at_ms : int

    Returns
    -------
    pandas.DataFrame
        Columns `KNOWN_THEN`.
    """
    decided = signals[signals["decided_ms"] <= at_ms]
    kept = ["signal_id", "taken", "opened_ms", "closed_ms", "known_ms", "r_multiple", "exit_reason"]
    rows = decided.merge(trades[kept], left_on="id", right_on="signal_id", how="left")
    played = rows["signal_id"].notna().to_numpy()
    opened, known = (rows[name].fillna(0).to_numpy(dtype=np.int64) for name in ("opened_ms", "known_ms"))
    filled = (opened > 0) & (opened < at_ms)
    over = (known > 0) & (known <= at_ms)
    state = np.select([~played, over & (opened > 0), over, filled], ["", CLOSED, UNFILLED, OPEN], default=WAITING)
    told = decided.reset_index(drop=True).assign(
        signal_id=rows["id"],
        taken=rows["taken"].fillna(0),
        state=state,
        result_r=rows["r_multiple"].where(state == CLOSED),
        ended_by=rows["exit_reason"].where(over, "").fillna(""),
    )
    told = told.sort_values(["decided_ms", "signal_id"], ascending=False, ignore_index=True)
    return conform(told[list(KNOWN_THEN)], KNOWN_THEN)


def earned_until(trades: pd.DataFrame, at_ms: int) -> Earned:
    """Return the running sum of the results known by a moment.

    Parameters
    ----------
    trades : pandas.DataFrame
        Columns `schema.TRADES`, of one exit policy.
    at_ms : int
    """
    done = trades[(trades["status"] == "CLOSED") & (trades["known_ms"] <= at_ms)]
    done = done.sort_values(["known_ms", "signal_id"], kind="stable")
    return Earned(done["known_ms"].to_numpy(np.int64), np.cumsum(done["r_multiple"].to_numpy(np.float64)))
