"""Answers of the bot in words: lists of signals and trades, what is open, the account.

The law: a line a thing, its id first, so that the next command can name it; every text from data is escaped, and what
is synthetic says so before anything else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from core.clock import format_duration, format_ms
from core.results._phrases import Moment, Row, code, escaped, name, stamp
from core.results.equity import Curve
from core.results.explain import DISCLAIMER
from core.results.metrics import Metric, account_metrics
from core.results.words import in_r, in_signed_percent

__all__ = ["account_words", "metric_lines", "open_words", "signals_words", "titled", "trades_words"]

_SAID = {"taken": "you took it", "skipped": "you skipped it"}


def titled(title: str, lines: Sequence[str], moment: Moment) -> str:
    """Return lines of HTML under a title."""
    return "\n".join([f"{stamp(moment)}<b>{escaped(title)}</b>", *lines])


def signals_words(signals: Sequence[Row], trades: Mapping[int, Row], said: Mapping[int, Row], moment: Moment) -> str:
    """List signals, the newest first.

    Parameters
    ----------
    signals : sequence of mapping
        Rows of `schema.SIGNALS`.
    trades : mapping of int to mapping
        Their trades, by signal.
    said : mapping of int to mapping
        What the reader said they did, by signal.
    moment : Moment
    """
    if not signals:
        return titled("No signals yet", ["Nothing passed since the engine runs; /funnel says where they stop."], moment)
    lines = []
    for signal in signals:
        when = format_ms(int(signal["decided_ms"]), moment.zone)
        lines.append(f"<b>{name(signal)}</b> {escaped(signal['verdict'])}, {when}")
        state = _state(trades.get(int(signal["id"])))
        lines.append(f"entry {code(signal['entry'])} stop {code(signal['sl'])}: {state}{_by_hand(signal, said)}")
    return titled(f"{len(signals)} newest signals" if len(signals) > 1 else "The newest signal", lines, moment)


def open_words(rows: Sequence[Row], said: Mapping[int, Row], moment: Moment) -> str:
    """List positions and orders of the paper account.

    Parameters
    ----------
    rows : sequence of mapping
        Taken trades that are pending or open, with their signals' columns, oldest first; price, the newest one, and
        worth_r, what they are worth at it (`positions.worth_r`).
    said : mapping of int to mapping
        What the reader said they did, by signal.
    moment : Moment
    """
    if not rows:
        return titled("Nothing is open", ["No position is held and no order waits."], moment)
    lines = []
    held = [row for row in rows if row["status"] == "OPEN"]
    for row in [*held, *(row for row in rows if row["status"] != "OPEN")]:
        lines.append(f"<b>{name({**row, 'id': row['signal_id']})}</b>{_by_hand({**row, 'id': row['signal_id']}, said)}")
        lines.append(_held(row, moment) if row["status"] == "OPEN" else _waiting(row, moment))
    return titled(f"{len(held)} open, {len(rows) - len(held)} waiting to be filled", lines, moment)


def trades_words(rows: Sequence[Row], said: Mapping[int, Row], moment: Moment) -> str:
    """List finished trades of the paper account, the newest first."""
    if not rows:
        return titled("No finished trades yet", ["What is open: /open"], moment)
    lines = []
    for row in rows:
        ended = format_ms(int(row["known_ms"]), moment.zone)
        result = f"{in_r(row['r_multiple'])}, {in_signed_percent(row['pnl_pct'])}"
        told = result if row["status"] == "CLOSED" else f"{str(row['status']).lower()}, never filled"
        whole = {**row, "id": row["signal_id"]}
        reason = f" ({escaped(row['exit_reason'])})" if row["exit_reason"] else ""
        lines.append(f"<b>{name(whole)}</b> {told}{reason}, {ended}{_by_hand(whole, said)}")
    return titled(
        f"{len(rows)} newest finished trades" if len(rows) > 1 else "The newest finished trade", lines, moment
    )


def account_words(curve: Curve, at_stake_usd: float, n_open: int, moment: Moment) -> str:
    """Say how the paper account stands.

    Parameters
    ----------
    curve : Curve
        Of the taken trades, `equity.account_curve`.
    at_stake_usd : float
        What the open positions and waiting orders would lose at their first stops.
    n_open : int
        How many those are.
    moment : Moment
    """
    lines = metric_lines(account_metrics(curve))
    lines.append(f"At stake: {at_stake_usd:,.2f} USD in {n_open} open or waiting, were all stopped at the first stop")
    return titled("Paper account", [*lines, "", "Simulated; no order is ever sent. " + DISCLAIMER], moment)


def metric_lines(shown: Sequence[Metric]) -> list[str]:
    """Return figures, a line each, with what stands beside them."""
    return [f"{escaped(one.label)}: {escaped(one.value)} ({escaped(one.detail)})" for one in shown]


def _by_hand(signal: Row, said: Mapping[int, Row]) -> str:
    """Return what the reader said they did with a signal, or nothing."""
    found = said.get(int(signal["id"]))
    if found is None:
        return ""
    at = f" at {code(found['price'])}" if math.isfinite(found["price"]) else ""
    return f" ({_SAID[str(found['action'])]}{at})"


def _state(trade: Row | None) -> str:
    if trade is None:
        return "not played yet"
    status = str(trade["status"])
    told = {"PENDING": "waits to be filled", "OPEN": "open", "EXPIRED": "expired", "CANCELLED": "cancelled"}.get(
        status, f"closed {in_r(trade['r_multiple'])}"
    )
    return told if trade["taken"] else f"{told}, not taken{_blocked(trade)}"


def _blocked(trade: Row) -> str:
    return f" ({escaped(trade['blocked_by'])})" if trade["blocked_by"] else ""


def _held(row: Row, moment: Moment) -> str:
    held = format_duration(moment.now_ms - int(row["opened_ms"]))
    left = f", {100 * row['remaining']:.0f} % left" if row["remaining"] < 1.0 else ""
    return (
        f"in at {code(row['fill_price'], 7)}{left}, now {code(row['price'])} "
        f"({in_r(row['worth_r'])} in all, before the cost of leaving), stop {code(row['stop'], 7)}, held {held}"
    )


def _waiting(row: Row, moment: Moment) -> str:
    price = row["price"]
    away = 100.0 * (row["entry"] / price - 1.0) if price else math.nan
    until = format_ms(int(row["valid_until_ms"]), moment.zone)
    return f"order at {code(row['entry'])}, {in_signed_percent(away)} from {code(price)}, valid until {until}"
