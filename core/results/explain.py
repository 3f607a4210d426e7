"""A signal and what became of it, in words a person acts on.

The law: words are derived from stored facts whenever they are asked for, never stored; every text that comes
from data is escaped; what is synthetic, late or unfiltered says so before anything else.

The texts are HTML with ``<b>`` and ``<code>`` only (levels are ``<code>``: one tap copies them);
`to_plain` gives the same words for a console, the command line or a log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from core.clock import MINUTE_MS, format_duration, format_ms
from core.results._phrases import (
    FILL_DIGITS,
    Moment,
    Quote,
    Row,
    code,
    decimal,
    escaped,
    late_by_ms,
    late_line,
    name,
    quote_currency,
    stamp,
    to_plain,
)
from core.results._plan import level_lines, size_line, validity_line
from core.results._verdicts import blocked_words
from core.results.words import in_r, in_signed_percent

__all__ = [
    "CLOSINGS",
    "DISCLAIMER",
    "UNFILLED",
    "Moment",
    "Quote",
    "decimal",
    "digest_words",
    "escaped",
    "event_known_ms",
    "event_words",
    "late_by_ms",
    "note_words",
    "signal_words",
    "to_plain",
]

DISCLAIMER = "Research, not financial advice; you can lose all you stake."

UNGATED = "UNGATED: no model in force: {} not filtered."

CLOSINGS: Mapping[str, str] = MappingProxyType(
    {
        "SL": "stopped out before any target",
        "TP1_TRAIL": "the moved stop was hit after a target",
        "TP": "the last target was reached",
        "TIMEOUT": "held for as long as allowed",
        "POLICY": "the exit rule said so",
        "DELISTED": "the exchange ended the symbol",
    }
)
"""Events that close a position, with their reasons in words."""

UNFILLED: Mapping[str, str] = MappingProxyType(
    {
        "EXPIRED": "the entry was not reached in time",
        "MISSED": "price reached the first target before the entry",
        "GAPPED": "price opened beyond the stop before the entry could fill",
    }
)
"""Events that end an order without a position, with their reasons in words."""


def event_known_ms(event: Row) -> int:
    """Return when a trade event could be known: at the close of its candle; an order expires on the minute."""
    return int(event["ts_ms"]) + (0 if event["kind"] == "EXPIRED" else MINUTE_MS)


def signal_words(signal: Row, moment: Moment, quote: Quote | None = None, judged: Sequence[str] = ()) -> str:
    """Announce a signal.

    Parameters
    ----------
    signal : mapping
        A row of `schema.SIGNALS`, stored (its id is the name a person uses).
    moment : Moment
    quote : Quote, optional
        The newest price, for the distance to the entry.
    judged : sequence of str
        What stands behind the verdict, HTML, a line each: the threshold and the evidence (`why.judged_lines`).

    Returns
    -------
    str
        HTML.
    """
    lines = [
        f"{stamp(moment)}<b>{name(signal)}</b>",
        *late_line(int(signal["decided_ms"]), moment),
        _verdict(signal),
        *judged,
        "",
        *level_lines(signal),
        "",
        size_line(signal),
        validity_line(signal, moment),
        *([_price_now(signal, quote, moment)] if quote else []),
        f"Rule's opinion: {signal['confidence']:.2f} of 1 (not a probability)",
        "",
        DISCLAIMER,
    ]
    return "\n".join(lines)


def event_words(event: Row, trade: Row, signal: Row, moment: Moment, targets_hit: int = 1) -> str:
    """Say what happened to an announced signal and what there is to do.

    Parameters
    ----------
    event : mapping
        A row of `schema.TRADE_EVENTS`.
    trade : mapping
        The trade as it stands now, a row of `schema.TRADES`.
    signal : mapping
        Its signal.
    moment : Moment
    targets_hit : int
        For a TARGET: which one it was, counted from 1.

    Returns
    -------
    str
        HTML.
    """
    kind = str(event["kind"])
    if kind == "FILL":
        title, lines = "filled", _filled(event, trade, signal, moment)
    elif kind == "TARGET":
        title, lines = f"target {targets_hit} hit", _target(event, trade, signal)
    elif kind in UNFILLED:
        title = "expired" if kind == "EXPIRED" else "cancelled"
        lines = [f"Reason: {UNFILLED[kind]}.", f"Remove your order at {code(signal['entry'])}."]
    elif kind in CLOSINGS and trade["status"] == "CANCELLED":  # the market ended before the order filled
        title, lines = "cancelled", [f"Reason: {CLOSINGS[kind]}.", f"Remove your order at {code(signal['entry'])}."]
    elif kind in CLOSINGS:
        title = f"closed {in_signed_percent(trade['pnl_pct'])}, {in_r(trade['r_multiple'])}"
        lines = _closed(kind, trade, signal)
    else:
        raise ValueError(f"event {kind}: no words; expected FILL, TARGET or the end of a trade")
    head = f"{stamp(moment)}<b>{name(signal)}: {title}</b>"
    return "\n".join([head, *late_line(event_known_ms(event), moment), *lines, *_decided_again(trade)])


def digest_words(signals: Sequence[Row], moment: Moment) -> str:
    """Announce many signals in one message, two lines each; twenty fit into 4096 characters."""
    lines = [f"{stamp(moment)}<b>{len(signals)} new signals</b>"]
    for signal in signals:
        late_ms = late_by_ms(int(signal["decided_ms"]), moment)
        lines.append(
            f"<b>{name(signal)}</b> {signal['verdict']}" + (f", late by {late_ms // MINUTE_MS} min" * (late_ms > 0))
        )
        levels = " / ".join(code(signal[column]) for column in ("tp1", "tp2") if math.isfinite(signal[column]))
        until = format_ms(int(signal["valid_until_ms"]), moment.zone)
        lines.append(f"entry {code(signal['entry'])} stop {code(signal['sl'])} TP {levels}, until {until}")
    if any(signal["verdict"] == "UNGATED" for signal in signals):
        lines.append(UNGATED.format("these signals were"))
    return "\n".join([*lines, DISCLAIMER])


def note_words(text: str, moment: Moment) -> str:
    """Wrap a message of the engine itself (a summary, a warning), given as plain text."""
    return stamp(moment) + escaped(text)


def _decided_again(trade: Row) -> list[str]:
    """Say that a trade that was announced is not the account's any more."""
    if trade["taken"] or not trade["blocked_by"]:
        return []
    return [f"Left out of the paper account since: {blocked_words(trade['blocked_by'])}."]


def _filled(event: Row, trade: Row, signal: Row, moment: Moment) -> list[str]:
    after = format_duration(event_known_ms(event) - int(signal["decided_ms"]))
    when = format_ms(int(event["ts_ms"]), moment.zone)
    lines = [f"Filled at {code(event['price'], FILL_DIGITS)}, {when}, {after} after the signal."]
    if trade["status"] == "OPEN":
        lines.append(f"Stop: {code(trade['stop'])}. First target: {code(signal['tp1'])}.")
    return lines


def _target(event: Row, trade: Row, signal: Row) -> list[str]:
    lines = [f"{100 * event['fraction']:.0f} % of the position closed at {code(event['price'])}."]
    if trade["status"] != "OPEN":
        return [*lines, "The rest has been closed since."]
    if trade["stop"] == signal["sl"]:
        return [*lines, f"The stop stays at {code(trade['stop'])}."]
    level = " (break-even)" if math.isclose(trade["stop"], trade["fill_price"], rel_tol=1e-9) else ""
    return [*lines, f"Move the stop to {code(trade['stop'], FILL_DIGITS)}{level}."]


def _closed(kind: str, trade: Row, signal: Row) -> list[str]:
    held = format_duration(int(trade["known_ms"]) - int(trade["opened_ms"]))
    way_in, way_out = (code(trade[column], FILL_DIGITS) for column in ("fill_price", "exit_price"))
    own = f"{trade['pnl_pct'] / 100 * signal['position_notional']:+.2f} {quote_currency(signal)}"
    lines = [
        f"Reason: {CLOSINGS[kind]}.",
        f"In at {way_in}, out at {way_out}, held {held}.",
        f"After costs: {in_signed_percent(trade['pnl_pct'])} of notional, {own} at its size "
        f"(gross {in_signed_percent(trade['gross_pct'])}, fees {trade['fees_pct']:.2f} %, "
        f"funding {trade['funding_pct']:.2f} %).",
    ]
    if trade["ambiguous"]:
        lines.append("One candle touched both stop and target; which came first is not known.")
    return lines


def _verdict(signal: Row) -> str:
    if signal["verdict"] == "UNGATED":
        return UNGATED.format("this signal was")
    reason = f" ({escaped(signal['reason'])})" if signal["reason"] else ""
    numbers = [
        f"p(win) {100 * signal['ml_p']:.0f} %" if math.isfinite(signal["ml_p"]) else "",
        f"EV {in_signed_percent(signal['ev_pct'])} of notional after costs" if math.isfinite(signal["ev_pct"]) else "",
    ]
    return ", ".join(part for part in (f"{signal['verdict']}{reason}", *numbers) if part)


def _price_now(signal: Row, quote: Quote, moment: Moment) -> str:
    off_pct = 100 * (quote.price / signal["entry"] - 1)
    side = f"{abs(off_pct):.2f} % {'above' if off_pct > 0 else 'below'} the entry"
    distance = side if round(abs(off_pct), 2) else "at the entry"
    return f"Price now: {code(quote.price)}, {distance} ({format_ms(quote.at_ms, moment.zone)})"
