"""Signals feed: every candidate, taken and refused, with what refused it and why.

The law: what is filtered out is counted in words above the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.clock import DAY_MS
from core.dashboard._parts import no_signals, table
from core.dashboard._shared import View, show
from core.dashboard._source import Snapshot, heads_of, newest_signals, policies_of
from core.dashboard._source_record import trades_at
from core.results.feed import FEED_SIGNALS, Filters, feed_rows, filtered
from core.store.reader import Reader

__all__ = ["page"]

_HOLD_S = 10.0
_FILTERS = 160  # pixels: about the height of the filters
_PERIODS = {"7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365, "Everything": 0}
_REFUSERS = {"Anybody or nobody": "", "The gate": "gate", "A limit": "limit"}
_TAKEN = {"Taken or not": "", "Taken": "yes", "Not taken": "no"}


def page() -> None:
    """Draw the page."""
    show("Signals feed", _body, _HOLD_S)


@st.cache_resource(ttl=600, max_entries=4, show_spinner=False)
def feed_of(snapshot: Snapshot, exchange: str, exit_policy: str, start_ms: int) -> pd.DataFrame:
    """Return the candidates decided from a time on beside their trades, columns `feed.FEED`; nobody may change it."""
    if not start_ms:
        return feed_rows(heads_of(snapshot, exchange), trades_at(snapshot, exit_policy))
    reader = Reader(Path(snapshot.path))
    signals = reader.signals(exchange=exchange, start_ms=start_ms, columns=FEED_SIGNALS)
    wanted = ["signal_id", "exit_policy", "taken", "blocked_by", "status", "exit_reason", "r_multiple"]
    ids = [int(number) for number in signals["id"]]
    trades = reader.trades(exchange=exchange, exit_policy=exit_policy, signal_ids=ids, columns=wanted)
    return feed_rows(signals, trades)


def _body(view: View) -> None:
    newest = newest_signals(view.snapshot, view.exchange, None, None, 1)
    if newest.empty:
        no_signals()
        return
    policies = policies_of(view.snapshot, view.exchange)
    days = _PERIODS[str(st.segmented_control("Period", list(_PERIODS), default="30 days", key="period", required=True))]
    start_ms = int(newest["decided_ms"].iloc[0]) - days * DAY_MS if days else 0
    with st.skeleton(height=_FILTERS):
        rows = feed_of(view.snapshot, view.exchange, policies[0] if policies else "", start_ms)
    chosen = filtered(rows, _asked(rows))
    _counts(rows, chosen)
    if chosen.empty:
        st.info("No candidate fits these filters; take one away.", icon=":material/filter_alt_off:")
        return
    shown = chosen.assign(
        open=[f"signals?signal={number}" for number in chosen["id"]],
        decided=pd.to_datetime(chosen["decided_ms"], unit="ms", utc=True),
    )
    table(
        shown,
        "signals-feed",
        _columns(view.source.zone),
        export=chosen,
        most=18,
        column_order=_order(chosen),
        lazy=True,
    )
    st.caption("Click an id to see the signal on its candles, with its plan and what became of it.")


def _asked(rows: pd.DataFrame) -> Filters:
    def options(column: str) -> list[str]:
        return sorted(str(value) for value in rows[column].unique() if value)

    with st.container(horizontal=True):
        text = st.text_input(
            "Search", key="feed_text", placeholder="id, pair, setup or reason", icon=":material/search:"
        )
        symbols = st.multiselect("Pair", options("symbol"), key="feed_symbols", placeholder="all")
        timeframes = st.multiselect("Timeframe", options("timeframe"), key="feed_timeframes", placeholder="all")
    with st.container(horizontal=True):
        directions = st.multiselect("Side", options("direction"), key="feed_sides", placeholder="both")
        verdicts = st.multiselect("Verdict", options("verdict"), key="feed_verdicts", placeholder="all")
        statuses = st.multiselect("Trade", options("status"), key="feed_statuses", placeholder="all")
        taken = st.selectbox("Taken", list(_TAKEN), key="feed_taken")
        refused = st.selectbox(
            "Refused by",
            list(_REFUSERS),
            key="feed_refused",
            help="The gate judges chance and worth; a limit caps how much is open or lost at a time.",
        )
    return Filters(
        symbols, timeframes, directions, verdicts, statuses, _TAKEN[str(taken)], _REFUSERS[str(refused)], text or ""
    )


def _counts(rows: pd.DataFrame, chosen: pd.DataFrame) -> None:
    refused = chosen["refused_by"].value_counts()
    st.markdown(
        f"**{len(chosen):,} of {len(rows):,} candidates**: {int((chosen['taken'] == 'yes').sum()):,} taken, "
        f"{int(refused.get('gate', 0)):,} refused by the gate, {int(refused.get('limit', 0)):,} by a limit."
    )


def _order(rows: pd.DataFrame) -> list[str]:
    order = [
        *("open", "decided", "symbol", "timeframe", "direction", "verdict", "taken", "why", "status", "exit_reason"),
        *("r_multiple", "ml_p", "ev_pct", "confidence", "entry", "sl", "tp1", "tp2", "regime_trend", "regime_vol"),
        *("setup", "origin"),
    ]
    return [name for name in order if name not in rows or not rows[name].isna().all()]


def _columns(zone: str) -> dict[str, Any]:
    level: dict[str, Any] = {"format": "%.7g", "width": 92}
    return {
        "open": st.column_config.LinkColumn("ID", display_text=r"signal=(\d+)", width=64),
        "decided": st.column_config.DatetimeColumn(
            f"Decided ({zone})", format="YYYY-MM-DD HH:mm", timezone=zone, width=142
        ),
        "symbol": "Pair",
        "timeframe": st.column_config.TextColumn("TF", help="Timeframe: length of the candles.", width=52),
        "direction": st.column_config.TextColumn("Side", width=60),
        "verdict": st.column_config.TextColumn("Verdict", help="What the gate said; UNGATED: no model was in force."),
        "taken": st.column_config.TextColumn("Taken", width=60, help="Counts in the paper account."),
        "why": st.column_config.TextColumn("Refused because", width=280, help="Empty where nothing refused it."),
        "status": st.column_config.TextColumn("Trade", help="Every candidate is played, taken or not."),
        "exit_reason": st.column_config.TextColumn("Ended by"),
        "r_multiple": st.column_config.NumberColumn(
            "R", format="%+.2f", width=64, help="Result after costs, in units of the planned risk."
        ),
        "ml_p": st.column_config.NumberColumn("p(win)", format="%.2f", width=64, help="Calibrated chance of a win."),
        "ev_pct": st.column_config.NumberColumn(
            "EV %", format="%+.2f", width=64, help="Expected value after costs, percent of the position."
        ),
        "confidence": st.column_config.NumberColumn(
            "Rule's view", format="%.2f", help="The rule's own opinion from 0 to 1. Not a probability."
        ),
        "entry": st.column_config.NumberColumn("Entry", **level),
        "sl": st.column_config.NumberColumn("Stop", **level),
        "tp1": st.column_config.NumberColumn("TP1", **level),
        "tp2": st.column_config.NumberColumn("TP2", **level),
        "regime_trend": st.column_config.TextColumn("Trend", help="Whether the market trended when it was decided."),
        "regime_vol": st.column_config.TextColumn("Volatility", help="Against its own past."),
        "setup": "Setup",
        "origin": st.column_config.TextColumn("Origin", help="live, or retro: found in stored candles afterwards."),
    }
