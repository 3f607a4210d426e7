"""Signals & Candles: the newest signals, and the chosen one on its candles with everything that became of it.

The law: what is shown of a signal is what is stored of it; nothing is computed again here.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.clock import format_ms, timeframe_ms
from core.dashboard._candles_view import PICK, draw_candles, let_go
from core.dashboard._card import signal_card
from core.dashboard._columns import SIGNAL_COLUMNS, yes_or_no
from core.dashboard._parts import no_signals
from core.dashboard._shared import View, show
from core.dashboard._source import newest_signals, recorded_policies, series_of, signal_of, trades_of
from core.results.rows import newest_policy

__all__ = ["page"]

_HOLD_S = 5.0
_WINDOWS = [300, 600, 1500, 3000, 10_000, 30_000, 100_000]
_LISTED = 200  # newest signals in the table and in the choice
_NONE = 0


def page() -> None:
    """Draw the page."""
    let_go()  # who comes to the page sees the newest candle
    show("Signals & Candles", _body, _HOLD_S)


def _body(view: View) -> None:
    picked = _picked(view)
    _follow(picked)
    symbol, timeframe, window = _controls(view)
    if picked is not None and (picked["symbol"], picked["timeframe"]) != (symbol, timeframe):
        picked = None
    listed = _list_and_choice(view, symbol, timeframe, picked)
    policy = ""
    trades = pd.DataFrame()
    if picked is not None:
        trades = trades_of(view.snapshot, (int(picked["id"]),))
        policy = _choose_policy(trades, recorded_policies(view.snapshot))
    draw_candles(view, symbol, timeframe, window, picked, trades, policy)
    if picked is None:
        st.caption("Choose a signal above to see its levels, the leg it came from and what became of it.")
    else:
        signal_card(view, picked, trades, policy)
    _table(view, listed, picked)


def _picked(view: View) -> pd.Series | None:
    """Return the signal that was chosen, by hand or in the address."""
    if PICK not in st.session_state:
        asked = st.query_params.get("signal", "")
        st.session_state[PICK] = int(asked) if asked.isdigit() and len(asked) < 16 else _NONE
    number = int(st.session_state[PICK] or _NONE)
    found = signal_of(view.snapshot, number) if number else pd.DataFrame()
    if found.empty or found["exchange"].iloc[0] != view.exchange:
        st.session_state[PICK] = _NONE
        return None
    return found.iloc[0]


def _follow(picked: pd.Series | None) -> None:
    """Show the series of a signal that has just been chosen."""
    number = _NONE if picked is None else int(picked["id"])
    if number != st.session_state.get("followed", _NONE):
        st.session_state["followed"] = number
        if picked is not None:
            st.session_state["symbol"], st.session_state["timeframe"] = picked["symbol"], picked["timeframe"]


def _controls(view: View) -> tuple[str, str, int]:
    series = series_of(view.snapshot)
    series = series[series["exchange"] == view.exchange]
    newest = newest_signals(view.snapshot, view.exchange, None, None, 1)
    symbols = sorted(series["symbol"].unique())
    first = newest["symbol"].iloc[0] if len(newest) else symbols[0]
    row = st.container(horizontal=True)
    _remember("symbol", symbols, first if first in symbols else symbols[0])
    symbol = row.selectbox("Symbol", symbols, key="symbol", on_change=_let_go)
    timeframes = sorted(series.loc[series["symbol"] == symbol, "timeframe"].unique(), key=timeframe_ms)
    wanted = newest["timeframe"].iloc[0] if len(newest) else "15m"
    _remember("timeframe", timeframes, wanted if wanted in timeframes else timeframes[-1])
    timeframe = row.selectbox("Timeframe", timeframes, key="timeframe", on_change=_let_go)
    window = row.selectbox("Candles", _WINDOWS, index=1, key="window", help="How many of the newest are read.")
    st.query_params["symbol"], st.query_params["timeframe"] = str(symbol), str(timeframe)
    return str(symbol), str(timeframe), int(window)


def _remember(key: str, options: list[str], fallback: str) -> None:
    """Give a choice its value: what it was, else what the address says, else `fallback`."""
    if st.session_state.get(key) not in options:
        asked = st.query_params.get(key)
        st.session_state[key] = asked if asked in options else fallback


def _let_go() -> None:
    st.session_state[PICK] = _NONE


def _label(signals: dict[int, Any], number: int, zone: str) -> str:
    if number == _NONE:
        return "None: the newest candles"
    signal = signals[number]
    return f"#{number}  {signal['direction']}  {format_ms(int(signal['decided_ms']), zone)}  {signal['verdict']}"


def _list_and_choice(view: View, symbol: str, timeframe: str, picked: pd.Series | None) -> pd.DataFrame:
    listed = newest_signals(view.snapshot, view.exchange, symbol, timeframe, _LISTED)
    signals: dict[int, Any] = {int(row["id"]): row for row in listed.to_dict("records")}
    if picked is not None:
        signals.setdefault(int(picked["id"]), picked)
    st.selectbox(
        f"Signal of {symbol} {timeframe}",
        [_NONE, *signals],
        key=PICK,
        format_func=lambda number: _label(signals, number, view.source.zone),
        help="A signal is a plan the rules proposed: entry, stop and targets. Every one is kept, taken or not.",
    )
    chosen = int(st.session_state[PICK])
    if chosen != _NONE:
        st.query_params["signal"] = str(chosen)
    elif "signal" in st.query_params:
        del st.query_params["signal"]
    return listed


def _choose_policy(trades: pd.DataFrame, recorded: list[str]) -> str:
    policies = sorted(trades["exit_policy"].unique())
    if len(policies) < 2:
        return policies[0] if policies else ""
    newest = policies.index(newest_policy(trades, recorded))
    return str(st.selectbox("Played under exit policy", policies, index=newest, key="card_policy"))


def _take_row(ids: list[int], key: str) -> None:
    rows = st.session_state[key]["selection"]["rows"]
    st.session_state[PICK] = ids[rows[0]] if rows else _NONE


def _table(view: View, listed: pd.DataFrame, picked: pd.Series | None) -> None:
    st.subheader("Newest signals", anchor=False)
    scope = st.segmented_control(
        "Signals of", ["This series", "All series"], default="This series", key="scope", label_visibility="collapsed"
    )
    if scope == "All series":
        listed = newest_signals(view.snapshot, view.exchange, None, None, _LISTED)
    if listed.empty:
        no_signals("No candidate of the rules is on record here.")
        return
    ids = [int(number) for number in listed["id"]]
    trades = trades_of(view.snapshot, tuple(ids))
    number = _NONE if picked is None else int(picked["id"])
    rows = [ids.index(number)] if number in ids else []
    key = f"table-{scope}-{number}-{ids[0]}"
    st.dataframe(
        _lines(listed, trades, recorded_policies(view.snapshot)),
        hide_index=True,
        key=key,
        on_select=lambda: _take_row(ids, key),
        selection_mode="single-row",
        selection_default={"selection": {"rows": rows}},
        column_config=SIGNAL_COLUMNS,
        column_order=_shown_columns(listed, scope == "All series"),
        placeholder="",
        height=min(420, 38 + 35 * len(listed)),
    )
    st.caption(f"The newest {len(listed)}, by the time of decision. Choose a row to see it on the chart.")


def _shown_columns(listed: pd.DataFrame, every_series: bool) -> list[str]:
    """Leave out what says the same in every row: the series of a single one, a model's view where there is none."""
    same = set() if every_series else {"symbol", "timeframe"}
    same |= {name for name in ("ml_p", "ev_pct") if listed[name].isna().all()}
    return [name for name in SIGNAL_COLUMNS if name not in same]


def _lines(listed: pd.DataFrame, trades: pd.DataFrame, recorded: list[str]) -> pd.DataFrame:
    mine = trades[trades["exit_policy"] == newest_policy(trades, recorded)]
    joined = listed.merge(mine, left_on="id", right_on="signal_id", how="left")
    return pd.DataFrame(
        {
            "id": joined["id"],
            "decided": pd.to_datetime(joined["decided_ms"], unit="ms", utc=True),
            "symbol": joined["symbol"],
            "timeframe": joined["timeframe"],
            "direction": joined["direction"],
            "verdict": joined["verdict"],
            "taken": yes_or_no(joined["taken"] == 1),
            "status": joined["status"],
            "exit_reason": joined["exit_reason"],
            "r_multiple": joined["r_multiple"].where(joined["status"] == "CLOSED"),
            "confidence": joined["confidence"],
            "ml_p": joined["ml_p"],
            "ev_pct": joined["ev_pct"],
        }
    )
