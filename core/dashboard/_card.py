"""The card of a chosen signal: its plan to copy, its size, its verdict, and its trade minute by minute.

The law: words for stored facts; a level is written with the digits it has, ready to be copied.
"""

from __future__ import annotations

import json
import math

import pandas as pd
import streamlit as st

from core.clock import format_duration, format_ms
from core.dashboard._columns import EVENT_COLUMNS
from core.dashboard._overlay import levels, price_text
from core.dashboard._shared import View
from core.dashboard._source import candles_of, events_of
from core.dashboard._why import why_section
from core.results._phrases import FILL_DIGITS, decimal, quote_currency
from core.results._plan import risk_words
from core.results.words import in_r, in_signed_percent, in_usd

__all__ = ["event_table", "signal_card"]

VERDICTS = {
    "PASS": "The gate let it pass.",
    "FILTERED": "The gate refused it.",
    "NO_EVIDENCE": "The gate refused it: nothing shows that such trades earn.",
    "ABSTAIN": "The gate did not judge it, and so let nothing pass.",
    "UNGATED": "No model was in force, so it was not judged.",
}
ORIGINS = {"live": "live, as it happened", "retro": "retro, found in stored candles afterwards"}
STATUSES = {
    "PENDING": "Waiting for the entry to fill.",
    "OPEN": "In the market.",
    "CLOSED": "Over.",
    "EXPIRED": "Never filled: its time ran out.",
    "CANCELLED": "Never filled: cancelled.",
}
ENDS = {
    "SL": "stopped before any target",
    "TP1_TRAIL": "first target hit, the rest left by the moved stop",
    "TP": "last target hit",
    "TIMEOUT": "held as long as allowed",
    "POLICY": "left by the exit policy",
    "DELISTED": "the market ended the symbol",
    "MISSED": "price reached the first target without filling the entry",
    "GAPPED": "price was beyond the stop before the entry could fill",
    "EXPIRED": "its time ran out",
}
HAPPENED = {
    "FILL": "Entry filled",
    "TARGET": "Target hit, part sold",
    "FUNDING": "Funding settled",
    **{name: f"Ended: {words}" for name, words in ENDS.items()},
}


def signal_card(view: View, signal: pd.Series, trades: pd.DataFrame, policy: str) -> None:
    """Draw what is known of one signal.

    Parameters
    ----------
    view : View
    signal : pandas.Series
        One row of `schema.SIGNALS`.
    trades : pandas.DataFrame
        Its trades, under every exit policy.
    policy : str
        The exit policy to show; ``""`` when there is no trade.
    """
    with st.container(border=True):
        _head(signal, view.source.zone)
        _levels(view, signal)
        plan, outcome = st.columns(2)
        with plan:
            _plan(signal, view.source.zone)
        with outcome:
            mine = trades[trades["exit_policy"] == policy] if policy else trades
            if mine.empty:
                st.markdown("**Trade**")
                st.write("Not played yet. The engine plays it with the next minutes; for old signals:")
                st.code("python retro_scan.py --start 2024-01-01", language=None)
            else:
                _trade(mine.iloc[0], str(signal["verdict"]), view.source.zone)
        why_section(view, signal)
        if policy:
            _events(view, signal, policy)
        if signal["plan"]:
            with st.expander("Measures behind the plan"):
                st.json(json.loads(str(signal["plan"])))


def _head(signal: pd.Series, zone: str) -> None:
    verdict = str(signal["verdict"])
    colour = {"PASS": "blue", "UNGATED": "gray"}.get(verdict, "orange")
    st.markdown(
        f"#### #{int(signal['id'])} {str(signal['direction']).upper()} {signal['symbol']} {signal['timeframe']} "
        f":{colour}-badge[{verdict}]"
    )
    reason = f" Reason: {signal['reason']}." if signal["reason"] and verdict != "UNGATED" else ""
    st.caption(
        f"{signal['setup']}, decided {format_ms(int(signal['decided_ms']), zone)}, "
        f"{ORIGINS.get(str(signal['origin']), signal['origin'])}. {VERDICTS.get(verdict, '')}{reason}"
    )
    if int(signal["in_sample"]):
        st.warning("In sample: the model that judged it had seen its outcome. Left out of Results.")


def _levels(view: View, signal: pd.Series) -> None:
    newest = candles_of(view.snapshot, str(signal["exchange"]), str(signal["symbol"]), "1m", 1)
    with st.container(horizontal=True):
        for name, price, _ in levels(signal):
            away = 100.0 * (price - float(signal["entry"])) / float(signal["entry"])
            with st.container(gap="xxsmall"):
                st.caption(name if name == "Entry" else f"{name} ({away:+.2f} %)")
                st.code(price_text(price), language=None)
        if len(newest):
            away = 100.0 * (float(newest.close[-1]) / float(signal["entry"]) - 1.0)
            with st.container(gap="xxsmall"):
                st.caption(f"Price now ({away:+.2f} %)")
                st.code(price_text(float(newest.close[-1])), language=None)


def _plan(signal: pd.Series, zone: str) -> None:
    entry, notional = float(signal["entry"]), float(signal["position_notional"])
    size, risk = "below the exchange's smallest order, not taken", "-"
    if notional > 0:
        units = price_text(float(f"{notional / entry:.8g}"))
        row = {str(name): value for name, value in signal.items()}
        size = f"{notional:,.2f} {quote_currency(row)} ({units} units)"
        risk = f"{risk_words(row)}, before costs"
    lines = [
        ("Order", f"{signal['order_type']} {signal['direction']}"),
        ("Size", size),
        ("Leverage", f"{float(signal['leverage']):g} x" if math.isfinite(float(signal["leverage"])) else "-"),
        ("Risk if stopped", risk),
        ("Valid until", format_ms(int(signal["valid_until_ms"]), zone)),
        ("Regime", f"{signal['regime_trend']}, volatility {signal['regime_vol']}"),
        ("Rule's own view", f"{float(signal['confidence']):.2f} of 1, not a probability"),
    ]
    if math.isfinite(float(signal["ml_p"])):
        lines.append(("Model", f"p(win) {float(signal['ml_p']):.2f}, EV {in_signed_percent(float(signal['ev_pct']))}"))
    st.markdown("**Plan**")
    _pairs(lines)
    if signal["rationale"]:
        st.caption(str(signal["rationale"]))


def _trade(trade: pd.Series, verdict: str, zone: str) -> None:
    status = str(trade["status"])
    lines = [("Status", f"{status}: {STATUSES[status]}")]
    if trade["exit_reason"]:
        lines.append(("Ended by", f"{trade['exit_reason']}: {ENDS.get(str(trade['exit_reason']), '')}"))
    lines.append(("Taken", _in_account(trade, verdict)))
    if int(trade["opened_ms"]):
        lines.append(("Filled", f"{_fill_text(trade['fill_price'])} at {format_ms(int(trade['opened_ms']), zone)}"))
        lines.append(("Result", _result(trade)))
        lines.append(("Costs", _costs(trade)))
        reach = f"best {in_signed_percent(float(trade['mfe_pct']))}, worst {in_signed_percent(float(trade['mae_pct']))}"
        lines.append(("Extremes", reach))
    if int(trade["closed_ms"]) and int(trade["opened_ms"]):
        held = format_duration(int(trade["known_ms"]) - int(trade["opened_ms"]))
        lines.append(("Left", f"{_fill_text(trade['exit_price'])} on average, after {held}"))
    if int(trade["ambiguous"]):
        lines.append(("Ambiguous", "one minute touched both stop and target; their order is not known"))
    st.markdown("**Trade**")
    _pairs(lines)


def _in_account(trade: pd.Series, verdict: str) -> str:
    if int(trade["taken"]):
        return "yes"
    if trade["blocked_by"]:
        return f"no, blocked by {trade['blocked_by']}"
    return "no" if verdict in ("PASS", "UNGATED") else "no, refused by the gate"


def _result(trade: pd.Series) -> str:
    told = f"{in_r(float(trade['r_multiple']))}, {in_signed_percent(float(trade['pnl_pct']))}"
    if trade["status"] == "OPEN":
        return f"{told} realised so far; what is still held is not counted"
    return f"{told}, {in_usd(float(trade['pnl_usd']))} at equal stakes"


def _costs(trade: pd.Series) -> str:
    gross, fees, funding = (float(trade[name]) for name in ("gross_pct", "fees_pct", "funding_pct"))
    return f"fees {fees:.3f} %, funding {funding:.3f} %; {in_signed_percent(gross)} before them"


def _fill_text(price: float) -> str:
    """Write a price that carries slippage, whose further digits mean nothing."""
    return decimal(float(price), FILL_DIGITS)


def _pairs(lines: list[tuple[str, str]]) -> None:
    # A unit never stands alone at the start of a line.
    st.table({name: told.replace(" %", "\u00a0%") for name, told in lines}, border="horizontal")


def event_table(events: pd.DataFrame) -> pd.DataFrame:
    """Return what happened to a trade in words, in order; settlements without anything between them are one line.

    Parameters
    ----------
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`.

    Returns
    -------
    pandas.DataFrame
        Columns time (UTC, of the first of a run), what, price, share (percent), fee, rate (percent, the sum of a run)
        and source.
    """
    settled = events["kind"] == "FUNDING"
    run = (~settled | (events["source"] != events["source"].shift()) | ~settled.shift(fill_value=False)).cumsum()
    lines = []
    for _, part in events.groupby(run, sort=True):
        first = part.iloc[0]
        funding = first["kind"] == "FUNDING"
        words = HAPPENED.get(str(first["kind"]), str(first["kind"]))
        lines.append(
            {
                "time": pd.Timestamp(int(first["ts_ms"]), unit="ms", tz="UTC"),
                "what": words if len(part) == 1 else f"{words}, {len(part)} times",
                "price": "" if funding else _fill_text(first["price"]),
                "share": 100.0 * float(first["fraction"]),
                "fee": math.nan if funding else float(first["fee_pct"]),
                "rate": float(part["rate_pct"].sum()) if funding else math.nan,
                "source": str(first["source"]),
            }
        )
    return pd.DataFrame(lines)


def _events(view: View, signal: pd.Series, policy: str) -> None:
    events = events_of(view.snapshot, int(signal["id"]), policy)
    st.markdown("**Minute by minute**")
    if events.empty:
        st.caption("Nothing has happened to it yet.")
        return
    st.dataframe(
        event_table(events),
        hide_index=True,
        placeholder="",
        column_config=EVENT_COLUMNS,
        height="content",
    )
    st.caption(f"Played on one-minute candles under exit policy `{policy}`.")
