"""Result rows: every trade beside the signal it came from, ready to be counted.

The law: one exit policy and one plan at a time, and no in-sample row; whoever mixes them compares
things that were not played by the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import DAY_MS
from core.schema import TRADES, FrameSpec, IntArray, conform

__all__ = [
    "RESULT_ROWS",
    "SIGNAL_COLUMNS",
    "closed_rows",
    "newest_policy",
    "plan_table",
    "result_rows",
    "taken_rows",
    "week_of",
]

SIGNAL_COLUMNS: FrameSpec = MappingProxyType(
    {
        "decided_ms": "int64",
        "exchange": "str",
        "symbol": "str",
        "timeframe": "str",
        "setup": "str",
        "direction": "str",
        "entry": "float64",
        "sl": "float64",
        "position_notional": "float64",
        "plan_hash": "str",
        "regime_trend": "str",
        "regime_vol": "str",
        "verdict": "str",
        "origin": "str",
        "in_sample": "int64",
    }
)
RESULT_ROWS: FrameSpec = MappingProxyType({**TRADES, **SIGNAL_COLUMNS})

# The first Monday after 1970-01-01 (a Thursday) is four days in; weeks are counted from Mondays.
_MONDAY_MS = 4 * DAY_MS
_WEEK_MS = 7 * DAY_MS


def result_rows(trades: pd.DataFrame, signals: pd.DataFrame, keep_in_sample: bool = False) -> pd.DataFrame:
    """Join trades with their signals, oldest decision first.

    Parameters
    ----------
    trades : pandas.DataFrame
        Columns `schema.TRADES`.
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`; signals without a trade are left out, as are trades without a signal.
    keep_in_sample : bool
        Keep rows whose verdict came from a model that had seen their outcome. Off: they prove nothing.

    Returns
    -------
    pandas.DataFrame
        Columns `RESULT_ROWS`, ordered by decided_ms, then signal_id.

    Raises
    ------
    ValueError
        The trades were played under more than one exit policy, or the signals that have one of these trades
        come from more than one plan or exchange.
    """
    right = signals[["id", *SIGNAL_COLUMNS]].rename(columns={"id": "signal_id"})
    rows = conform(trades.merge(right, on="signal_id", how="inner"), RESULT_ROWS)
    for column in ("exit_policy", "plan_hash", "exchange"):
        found = sorted(rows[column].unique())
        if len(found) > 1:
            raise ValueError(f"result rows: one {column} at a time, got {', '.join(found)}")
    if not keep_in_sample:
        rows = rows[rows["in_sample"] == 0]
    return rows.sort_values(["decided_ms", "signal_id"], kind="stable").reset_index(drop=True)


def closed_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the trades that were filled and are over, in the order in which their outcomes became known."""
    done = rows[rows["status"] == "CLOSED"]
    return done.sort_values(["known_ms", "signal_id"], kind="stable").reset_index(drop=True)


def taken_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the trades that passed the gate, the size rule and the risk limits."""
    return rows[rows["taken"] == 1].reset_index(drop=True)


def plan_table(signals: pd.DataFrame) -> pd.DataFrame:
    """Return the plans on record, the one of the signal that was written last first.

    Parameters
    ----------
    signals : pandas.DataFrame
        With id, plan_hash and decided_ms.

    Returns
    -------
    pandas.DataFrame
        Index plan_hash; n signals, and last_ms, the newest decision.
    """
    plans = signals.groupby("plan_hash").agg(n=("id", "size"), last_ms=("decided_ms", "max"), newest_id=("id", "max"))
    return plans.sort_values("newest_id", ascending=False)[["n", "last_ms"]]


def newest_policy(trades: pd.DataFrame, recorded: Iterable[str]) -> str:
    """Return the exit policy that was given to the newest signal; ``""`` without trades.

    Parameters
    ----------
    trades : pandas.DataFrame
        With signal_id and exit_policy.
    recorded : iterable of str
        Exit policies in the order in which they were first recorded, such as `Reader.exit_policies` returns. Where the
        newest signal is played under several, the one recorded last is meant.

    Examples
    --------
    >>> trades = pd.DataFrame({"signal_id": [7, 7], "exit_policy": ["b@1", "a@2"]})
    >>> newest_policy(trades, ["b@1", "a@2"])
    'a@2'
    """
    if trades.empty:
        return ""
    order = {name: place for place, name in enumerate(recorded)}
    newest = trades.loc[trades["signal_id"] == trades["signal_id"].max(), "exit_policy"]
    return max((str(name) for name in newest), key=lambda name: (order.get(name, -1), name))


def week_of(ms: npt.ArrayLike) -> IntArray:
    """Return the number of the UTC week (Monday to Sunday) that holds each moment.

    Parameters
    ----------
    ms : array-like of int
        UTC milliseconds.

    Examples
    --------
    >>> week_of([1704067200000, 1704067200000 - 1]).tolist()  # Monday 2024-01-01, and just before it
    [2817, 2816]
    """
    stamps = np.asarray(ms, dtype=np.int64)
    weeks: IntArray = (stamps - _MONDAY_MS) // _WEEK_MS
    return weeks
