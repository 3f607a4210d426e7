"""Trades: one line each, the newest first.

The law: only the rows in view travel to the browser, whatever their number.
"""

from __future__ import annotations

import streamlit as st

from core.dashboard._columns import TRADE_COLUMNS, yes_or_no
from core.dashboard._parts import section
from core.dashboard._shared import View
from core.dashboard._source_results import Choice, rows_chosen
from core.results.rows import closed_rows, taken_rows
from core.results.tables import trades_table

__all__ = ["by_trade"]


def by_trade(_view: View, choice: Choice) -> None:
    """Draw the part."""
    rows = rows_chosen(choice)
    section("Trades")
    only = st.segmented_control(
        "Trades", ["All", "Taken", "Closed"], default="All", key="only", label_visibility="collapsed", required=True
    )
    chosen = {"All": lambda: rows, "Taken": lambda: taken_rows(rows), "Closed": lambda: closed_rows(rows)}[str(only)]()
    found = trades_table(chosen)
    shown = [name for name in TRADE_COLUMNS if name != "blocked_by" or (found["blocked_by"] != "").any()]
    told = found.assign(taken=yes_or_no(found["taken"]), ambiguous=yes_or_no(found["ambiguous"]))
    st.caption(f"{len(found):,} of {len(rows):,}.")
    st.dataframe(
        told,
        hide_index=True,
        placeholder="",
        height=520,
        column_config=TRADE_COLUMNS,
        column_order=shown,
        lazy=True,
    )
    st.download_button(
        "Trades as CSV",
        data=lambda: found.to_csv(index=False),
        file_name="trades.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
