"""Columns of the viewer's tables: headings, formats, and a word on each term.

The law: a term is explained where it first appears; times are UTC.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

__all__ = ["EVENT_COLUMNS", "EXIT_COLUMNS", "GROUP_COLUMNS", "SIGNAL_COLUMNS", "TRADE_COLUMNS", "yes_or_no"]

Columns = dict[str, Any]


def yes_or_no(flags: pd.Series) -> pd.Series:
    """Return flags as words: a greyed-out check box is hard to tell from an empty one."""
    return flags.map({True: "yes", False: "no"})


def _time_column(name: str) -> Any:
    # A width of its own: left alone, a column that is empty in its first rows is cut to its heading.
    return st.column_config.DatetimeColumn(name, format="YYYY-MM-DD HH:mm", timezone="UTC", width=142)


SIGNAL_COLUMNS: Columns = {
    "id": st.column_config.NumberColumn("ID", format="%d", width=64),
    "decided": _time_column("Decided (UTC)"),
    "symbol": "Symbol",
    "timeframe": st.column_config.TextColumn("TF", help="Timeframe: length of the candles", width=56),
    "direction": st.column_config.TextColumn("Side", width=60),
    "r_multiple": st.column_config.NumberColumn(
        "R", help="Result of a closed trade after costs, in units of the planned risk.", format="%+.2f", width=64
    ),
    "status": st.column_config.TextColumn(
        "Status", help="Where its trade stands. Every signal is played, taken or not."
    ),
    "exit_reason": st.column_config.TextColumn("Ended by"),
    "taken": st.column_config.TextColumn(
        "Taken", help="Passed the gate, the size rule and the risk limits, so it counts in the account.", width="small"
    ),
    "verdict": st.column_config.TextColumn(
        "Verdict",
        help="What the gate said: PASS, FILTERED, NO_EVIDENCE, ABSTAIN, or UNGATED where no model was in force.",
    ),
    "confidence": st.column_config.NumberColumn(
        "Rule's view", help="The rule's own opinion from 0 to 1. Not a probability.", format="%.2f"
    ),
    "ml_p": st.column_config.NumberColumn(
        "p(win)", help="The model's calibrated probability of a win after costs.", format="%.2f"
    ),
    "ev_pct": st.column_config.NumberColumn(
        "EV %", help="Expected value after costs, percent of the position.", format="%+.2f"
    ),
}


EVENT_COLUMNS: Columns = {
    "time": _time_column("Minute (UTC)"),
    "what": "What happened",
    "price": st.column_config.TextColumn("Price", help="After slippage", alignment="right"),
    "share": st.column_config.NumberColumn("Of the position", format="%.0f %%"),
    "fee": st.column_config.NumberColumn("Fee", format="%.3f %%", help="Percent of the entry's notional"),
    "rate": st.column_config.NumberColumn("Funding", format="%+.4f %%", help="Rate, the sum over the settlements"),
    "source": st.column_config.TextColumn("Kind", help="maker or taker; for funding: recorded or default rate"),
}

EXIT_COLUMNS: Columns = {
    "exit_reason": st.column_config.TextColumn(
        "Reason",
        help="SL: stopped before any target. TP1_TRAIL: first target hit, rest left by the moved stop. "
        "TP: last target. TIMEOUT: held as long as allowed. MISSED, GAPPED, EXPIRED: never filled.",
    ),
    "n": st.column_config.NumberColumn("Count", format="localized"),
    "share": st.column_config.ProgressColumn("Share", format="%.1f %%", min_value=0.0, max_value=100.0),
    "win_rate": st.column_config.NumberColumn("Won", format="%.1f %%", help="Share that earned after costs"),
    "expectancy_r": st.column_config.NumberColumn("Mean R", format="%+.2f"),
    "total_r": st.column_config.NumberColumn("Sum of R", format="%+.1f"),
    "pnl_usd": st.column_config.NumberColumn("USD, equal stakes", format="%+.2f"),
}

GROUP_COLUMNS: Columns = {
    "group": "Group",
    "n": st.column_config.NumberColumn("Closed", format="localized"),
    "weeks": st.column_config.NumberColumn("Weeks"),
    "win_rate": st.column_config.TextColumn("Win rate", alignment="right"),
    "win_span": st.column_config.TextColumn("95 %", alignment="right"),
    "expectancy_r": st.column_config.TextColumn("Expectancy", alignment="right"),
    "r_span": st.column_config.TextColumn("95 %", alignment="right"),
    "pnl_usd": st.column_config.NumberColumn("USD, equal stakes", format="%+.2f"),
}


TRADE_COLUMNS: Columns = {
    "signal_id": st.column_config.NumberColumn("ID", format="%d"),
    "decided": _time_column("Decided (UTC)"),
    "symbol": "Symbol",
    "timeframe": "TF",
    "direction": "Side",
    "r_multiple": st.column_config.NumberColumn("R", format="%+.2f", help="Net result in units of the planned risk"),
    "pnl_pct": st.column_config.NumberColumn("Net %", format="%+.2f"),
    "pnl_usd": st.column_config.NumberColumn("USD", format="%+.2f", help="At equal stakes"),
    "status": "Status",
    "exit_reason": "Ended by",
    "taken": "Taken",
    "blocked_by": st.column_config.TextColumn(
        "Blocked by", help="The limit that refused a candidate the gate passed", width=180
    ),
    "verdict": "Verdict",
    "opened": _time_column("Filled (UTC)"),
    "closed": _time_column("Left (UTC)"),
    "fill_price": st.column_config.NumberColumn("Fill", format="%.7g", width=96, help="After slippage"),
    "exit_price": st.column_config.NumberColumn(
        "Exit", format="%.7g", width=96, help="Mean over the parts, after slippage"
    ),
    "gross_pct": st.column_config.NumberColumn("Gross %", format="%+.2f"),
    "costs_pct": st.column_config.NumberColumn("Costs %", format="%.3f", help="Fees and funding"),
    "mfe_pct": st.column_config.NumberColumn("Best %", format="%+.2f", help="Furthest move in favour while open"),
    "mae_pct": st.column_config.NumberColumn("Worst %", format="%+.2f", help="Furthest move against while open"),
    "hold_hours": st.column_config.NumberColumn("Held, h", format="%.1f"),
    "ambiguous": st.column_config.TextColumn("Ambiguous", help="One minute touched both stop and target"),
}
