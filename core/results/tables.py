"""Tables of results: by exit reason, by group, and trade by trade.

The law: a row of a table is a count first; its rates come with their intervals and with `enough`, which says
whether there is enough behind them to be read as figures.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pandas as pd

from core.errors import UsageError, nearest
from core.results.intervals import clustered_mean, clustered_share
from core.results.rows import closed_rows, week_of
from core.schema import FrameSpec, conform, empty_frame

__all__ = ["BREAKDOWN", "BREAKDOWNS", "EXIT_REASONS", "breakdown", "exit_reason_table", "trades_table"]

BREAKDOWNS = MappingProxyType(
    {
        "symbol": "Symbol",
        "timeframe": "Timeframe",
        "pair": "Symbol and timeframe",
        "direction": "Direction",
        "regime_trend": "Trend regime",
        "regime_vol": "Volatility regime",
        "exit_reason": "Exit reason",
        "setup": "Setup",
        "verdict": "Verdict of the gate",
        "taken": "Taken or not",
    }
)
"""What results can be split by, and how each is called."""

EXIT_REASONS: FrameSpec = MappingProxyType(
    {
        "exit_reason": "str",
        "n": "int64",
        "share": "float64",  # of all trades that are over
        "win_rate": "float64",  # NaN for candidates that were never filled
        "expectancy_r": "float64",
        "total_r": "float64",
        "pnl_usd": "float64",
    }
)

BREAKDOWN: FrameSpec = MappingProxyType(
    {
        "group": "str",
        "n": "int64",  # closed trades
        "weeks": "int64",
        "win_rate": "float64",
        "win_low": "float64",
        "win_high": "float64",
        "expectancy_r": "float64",
        "r_low": "float64",
        "r_high": "float64",
        "pnl_usd": "float64",
        "enough": "int64",
    }
)


def exit_reason_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how the trades that are over ended, most frequent first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.

    Returns
    -------
    pandas.DataFrame
        Columns `EXIT_REASONS`.
    """
    over = rows[rows["status"].isin(["CLOSED", "EXPIRED", "CANCELLED"])]
    if over.empty:
        return empty_frame(EXIT_REASONS)
    found = []
    for reason, part in over.groupby("exit_reason", sort=True):
        filled = part[part["status"] == "CLOSED"]
        found.append(
            {
                "exit_reason": reason,
                "n": len(part),
                "share": len(part) / len(over),
                "win_rate": float((filled["pnl_pct"] > 0).mean()) if len(filled) else np.nan,
                "expectancy_r": float(filled["r_multiple"].mean()) if len(filled) else np.nan,
                "total_r": float(filled["r_multiple"].sum()),
                "pnl_usd": float(filled["pnl_usd"].sum()),
            }
        )
    table = pd.DataFrame(found).sort_values(["n", "exit_reason"], ascending=[False, True], kind="stable")
    return conform(table, EXIT_REASONS)


def breakdown(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the closed trades split by one column, largest group first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.
    by : str
        One of `BREAKDOWNS`.

    Returns
    -------
    pandas.DataFrame
        Columns `BREAKDOWN`.

    Raises
    ------
    UsageError
        `by` is not one of them.

    Notes
    -----
    The intervals are for one group looked at by itself. Among many groups the best one looks good by chance: one of
    twenty lies outside a 95 % interval where nothing is there.
    """
    if by not in BREAKDOWNS:
        raise UsageError(f"breakdown by '{by}': {nearest(by, BREAKDOWNS)}")
    done = closed_rows(rows)
    if done.empty:
        return empty_frame(BREAKDOWN)
    found = []
    for group, part in done.groupby(_groups(done, by), sort=True):
        weeks = week_of(part["decided_ms"].to_numpy())
        win = clustered_share((part["pnl_pct"] > 0).to_numpy(), weeks)
        r = clustered_mean(part["r_multiple"].to_numpy(), weeks)
        found.append(
            {
                "group": group,
                "n": win.n,
                "weeks": win.weeks,
                "win_rate": win.value,
                "win_low": win.low,
                "win_high": win.high,
                "expectancy_r": r.value,
                "r_low": r.low,
                "r_high": r.high,
                "pnl_usd": float(part["pnl_usd"].sum()),
                "enough": int(r.enough),
            }
        )
    table = pd.DataFrame(found).sort_values(["n", "group"], ascending=[False, True], kind="stable")
    return conform(table, BREAKDOWN)


def _groups(done: pd.DataFrame, by: str) -> pd.Series:
    """Return the group each closed trade belongs to."""
    if by == "pair":
        return done["symbol"] + " " + done["timeframe"]
    return done[by].map({1: "taken", 0: "not taken"}) if by == "taken" else done[by]


def _moments(ms: pd.Series) -> pd.Series:
    return pd.to_datetime(ms.where(ms > 0), unit="ms", utc=True)


def trades_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one readable line a trade, newest decision first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`.

    Returns
    -------
    pandas.DataFrame
        Times are UTC datetimes; what has not happened is missing, as is the result of a trade that is not closed (while
        it is open only what was realised is known). Percents are of entry notional, after slippage.
    """
    newest = rows.sort_values(["decided_ms", "signal_id"], ascending=False, kind="stable").reset_index(drop=True)
    hold = (newest["known_ms"] - newest["opened_ms"]).where((newest["opened_ms"] > 0) & (newest["known_ms"] > 0))
    results = ["gross_pct", "fees_pct", "funding_pct", "pnl_pct", "r_multiple", "pnl_usd"]
    newest[results] = newest[results].where(newest["status"] == "CLOSED")
    moves = newest[["mfe_pct", "mae_pct"]].where(newest["opened_ms"] > 0)
    costs = newest["fees_pct"] + newest["funding_pct"]
    return pd.DataFrame(
        {
            "signal_id": newest["signal_id"],
            "decided": _moments(newest["decided_ms"]),
            "symbol": newest["symbol"],
            "timeframe": newest["timeframe"],
            "direction": newest["direction"],
            "verdict": newest["verdict"],
            "taken": newest["taken"] == 1,
            "blocked_by": newest["blocked_by"],
            "status": newest["status"],
            "exit_reason": newest["exit_reason"],
            "opened": _moments(newest["opened_ms"]),
            "closed": _moments(newest["closed_ms"]),
            "fill_price": newest["fill_price"],
            "exit_price": newest["exit_price"],
            "gross_pct": newest["gross_pct"],
            "costs_pct": costs,
            "pnl_pct": newest["pnl_pct"],
            "r_multiple": newest["r_multiple"],
            "pnl_usd": newest["pnl_usd"],
            "mfe_pct": moves["mfe_pct"],
            "mae_pct": moves["mae_pct"],
            "hold_hours": hold / 3_600_000,
            "ambiguous": newest["ambiguous"] == 1,
        }
    )
