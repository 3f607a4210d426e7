"""What is written down when something happens to a trade: an event, and what it earned or cost.

The law: a trade's events stand one behind the other from ``first + n_events`` on; the caller has made room for them.
"""

from __future__ import annotations

import numpy as np

from core.execution.codes import CLOSED, FUNDING, MAKER, NOBODY, TAKER, TARGET, TP
from core.execution.tables import Record, Table
from core.jit import inlined

__all__ = ["drop", "leave", "make_room", "pay_funding", "record"]


@inlined
def record(
    trade: Record, ts: int, kind: int, source: int, price: float, part: float, fee: float, events: Table, first: int
) -> Record:
    """Write one event of a trade behind its others."""
    event = events[first + trade.n_events]
    event.row, event.seq, event.ts_ms, event.kind, event.source = trade.row, trade.n_events, ts, kind, source
    event.price, event.fraction, event.fee_pct, event.rate_pct = price, part, fee, np.nan
    trade.n_events += 1
    return event


@inlined
def drop(trade: Record, ts: int, status: int, reason: int, price: float, events: Table, first: int) -> None:
    """End an order that was never filled."""
    trade.status, trade.exit_reason, trade.closed_ms = status, reason, ts
    record(trade, ts, reason, NOBODY, price, 0.0, 0.0, events, first)


@inlined
def leave(
    trade: Record, ts: int, kind: int, price: float, part: float, terms: Record, events: Table, first: int
) -> None:
    """Book one exit leg; any kind but TARGET takes the rest and closes."""
    fill, held, resting = trade.fill_price, trade.remaining, kind in (TARGET, TP)
    paid = price if resting else price - terms.slippage * abs(price)
    part = part if kind == TARGET else held
    fee = (terms.resting_pct if resting else terms.crossing_pct) * part * abs(paid / fill)
    trade.gross_pct += 100.0 * part * (paid - fill) / abs(fill)
    trade.fees_pct += fee
    trade.next_target += resting
    trade.remaining = held - part
    if kind != TARGET:
        trade.status, trade.exit_reason, trade.closed_ms = CLOSED, kind, ts
        # The mean over the legs follows from their summed gross: no further sum has to survive a restart.
        trade.exit_price = paid if held == 1.0 else fill + abs(fill) * trade.gross_pct / 100.0
    record(trade, ts, kind, MAKER if resting else TAKER, paid, part, fee, events, first)


@inlined
def pay_funding(trade: Record, mark: int, ts: int, plan: Record, marks: Table, events: Table, first: int) -> int:
    """Settle the marks up to `ts` with what is held; return the next one's position."""
    while mark < plan.mark_to and marks[mark].ts <= ts:
        due = marks[mark]
        trade.funding_pct += plan.sign * trade.remaining * due.rate_pct
        trade.funded_ms = due.ts
        event = record(trade, due.ts, FUNDING, due.source, np.nan, trade.remaining, 0.0, events, first)
        event.rate_pct = due.rate_pct
        mark += 1
    return mark


@inlined
def make_room(events: Table, size: int, more: int) -> Table:
    """Return a table with the first events and room for more behind them."""
    if size + more <= len(events):
        return events
    larger = np.empty(max(2 * len(events), size + more), dtype=events.dtype)
    larger[:size] = events[:size]
    return larger
