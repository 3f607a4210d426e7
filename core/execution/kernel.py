"""The one execution kernel: what becomes of n orders, each over its own run of base candles.

The law: a candle is played once, in order, and what it does depends on the state before it and on
nothing after it. Every result in the house (live, retro, labels, comparisons) comes out of `play_trades`.

Readings that the rules leave open, decided here:

- One fill or one exit step a candle, except that a fill and a stop may share one. An open beyond the
  target is that candle's step: its low is not looked at any more.
- ``next_ms`` moves with played candles only, so a run of missing minutes leaves the first candle first.
- `exit_at` times up to the fill candle's open are skipped; a time-out in the same candle goes first.
- Excursions cover the candles after the fill candle up to that of the last step, and the fill candle when
  stopped in it; of a candle left at its open only the open counts.
- A market that ends cancels a waiting order, after expiry has had its turn.
"""

from __future__ import annotations

import numpy as np

from core.clock import MINUTE_MS
from core.execution.tables import EVENT, Record, Table
from core.jit import njit
from core.schema import IntArray

__all__ = ["KINDS", "ORDERS", "SOURCES", "STATUSES", "play_trades"]

# A word is its position in one of these. They stand here because only a change of this file renews the compiled copy.
STATUSES = ("PENDING", "OPEN", "CLOSED", "EXPIRED", "CANCELLED")
PENDING, OPEN, CLOSED, EXPIRED, CANCELLED = range(5)
ORDERS = ("limit", "market", "stop")
LIMIT, MARKET, STOP = range(3)
_ENDS = ("SL", "TP1_TRAIL", "TP", "TIMEOUT", "POLICY", "DELISTED", "EXPIRED", "MISSED", "GAPPED")
KINDS = ("", "FILL", "TARGET", "FUNDING", *_ENDS)
NONE, FILL, TARGET, FUNDING, SL, TP1_TRAIL, TP, TIMEOUT, POLICY, DELISTED, TOO_LATE, MISSED, GAPPED = range(13)
SOURCES = ("", "maker", "taker", "recorded", "default")
NOBODY, MAKER, TAKER, RECORDED, DEFAULT = range(5)
WAIT, RESTING, AT_OPEN, INSIDE = -1, -2, -3, -4  # entry steps that are not events
GAP_STOP, HIT_STOP, HIT_TARGET = range(3)  # exit steps
NEVER_MS = np.iinfo(np.int64).max

Log = tuple[int, Table]  # how many events there are, and the table that holds them and grows


@njit
def _record(trade: Record, ts: int, kind: int, source: int, price: float, part: float, fee: float, log: Log) -> Log:
    """Write one event of a trade behind the others."""
    size, events = log
    if size == len(events):
        events = np.empty(2 * size, dtype=events.dtype)
        events[:size] = log[1]
    event = events[size]
    event.row, event.seq, event.ts_ms, event.kind, event.source = trade.row, trade.n_events, ts, kind, source
    event.price, event.fraction, event.fee_pct, event.rate_pct = price, part, fee, np.nan
    trade.n_events += 1
    return size + 1, events


@njit
def _drop(trade: Record, ts: int, status: int, reason: int, price: float, log: Log) -> Log:
    """End an order that was never filled."""
    trade.status, trade.exit_reason, trade.closed_ms = status, reason, ts
    return _record(trade, ts, reason, NOBODY, price, 0.0, 0.0, log)


@njit
def _leave(trade: Record, ts: int, kind: int, price: float, part: float, terms: Record, log: Log) -> Log:
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
    return _record(trade, ts, kind, MAKER if resting else TAKER, paid, part, fee, log)


@njit
def _entry_step(first: bool, o: float, h: float, low: float, plan: Record, terms: Record) -> tuple[int, float]:
    """Say what a candle does to a waiting order, and at which price."""
    if first or plan.order == STOP:
        if o <= plan.sl:
            return GAPPED, o
        if o >= plan.tp1:
            return MISSED, o
    if plan.order == LIMIT:
        if first and o <= plan.entry:
            return AT_OPEN, o
        if low < plan.entry or (low == plan.entry and not terms.through):
            return RESTING, plan.entry
    elif plan.order == MARKET:
        return AT_OPEN, o
    elif h >= plan.entry:
        return (AT_OPEN, o) if o >= plan.entry else (INSIDE, plan.entry)
    if terms.cancel_if_missed and h >= plan.tp1:
        return MISSED, plan.tp1
    return WAIT, np.nan


@njit
def _fill(trade: Record, step: int, price: float, candle: Record, terms: Record, log: Log) -> Log:
    """Open the position in a candle, and stop it there where that candle also holds the stop."""
    resting = step == RESTING
    fill = price if resting else price + terms.slippage * abs(price)
    fee = terms.resting_pct if resting else terms.crossing_pct
    trade.status, trade.opened_ms, trade.funded_ms = OPEN, candle.ts, candle.ts
    trade.fill_price, trade.extreme, trade.remaining, trade.fees_pct = fill, fill, 1.0, fee
    log = _record(trade, candle.ts, FILL, MAKER if resting else TAKER, fill, 1.0, fee, log)
    if candle.low > trade.stop:
        return log
    if step == INSIDE:  # did price fall to the stop before it rose through the entry, or after?
        trade.ambiguous = 1
        if not terms.conservative:
            return log
    trade.mfe_pct = max(0.0, 100.0 * (candle.high - fill) / abs(fill))
    trade.mae_pct = min(0.0, 100.0 * (candle.low - fill) / abs(fill))
    return _leave(trade, candle.ts, SL, min(trade.stop, candle.open), 1.0, terms, log)


@njit
def _wait(trade: Record, j: int, plan: Record, candles: Table, terms: Record, log: Log) -> tuple[int, Log]:
    """Play a waiting order from candle j on; return the candle after the last one played."""
    first, step, price, n = trade.next_ms == plan.start_ms, WAIT, np.nan, len(candles)
    while step == WAIT and j < n and candles[j].ts < plan.valid_until_ms:
        candle = candles[j]
        step, price = _entry_step(first, candle.open, candle.high, candle.low, plan, terms)
        trade.next_ms = candle.ts + MINUTE_MS
        first = False
        j += 1
    if step in (MISSED, GAPPED):
        log = _drop(trade, candles[j - 1].ts, CANCELLED, step, price, log)
    elif step != WAIT:
        log = _fill(trade, step, price, candles[j - 1], terms, log)
    elif plan.frontier_ms >= plan.valid_until_ms:
        log = _drop(trade, plan.valid_until_ms, EXPIRED, TOO_LATE, np.nan, log)
    elif plan.delisted:
        last_ms, close = (candles[n - 1].ts, candles[n - 1].close) if n else (plan.decided_ms, np.nan)
        log = _drop(trade, max(last_ms, plan.decided_ms), CANCELLED, DELISTED, close, log)
    return j, log


@njit
def _exit_step(o: float, h: float, low: float, stop: float, target: float, safe: bool) -> tuple[int, float, bool]:
    """Say where a candle that touches stop or target leaves a position, and whether it is ambiguous."""
    if o <= stop:
        return GAP_STOP, o, False
    if o >= target:
        return HIT_TARGET, target, False
    both = low <= stop and h >= target
    if low <= stop and (safe or not both):
        return HIT_STOP, stop, both
    return HIT_TARGET, target, both


@njit
def _pay_funding(trade: Record, mark: int, ts: int, sign: float, marks: Table, log: Log) -> tuple[int, Log]:
    """Settle the marks up to `ts` with what is held; return the next one's position."""
    while mark < len(marks) and marks[mark].ts <= ts:
        due = marks[mark]
        trade.funding_pct += sign * trade.remaining * due.rate_pct
        trade.funded_ms = due.ts
        log = _record(trade, due.ts, FUNDING, due.source, np.nan, trade.remaining, 0.0, log)
        log[1][log[0] - 1].rate_pct = due.rate_pct
        mark += 1
    return mark, log


@njit
def _must_leave_ms(trade: Record, plan: Record, exits: IntArray) -> tuple[int, int]:
    """Return when the position times out, and when it must leave for that or at its policy's word."""
    timeout_ms = trade.opened_ms + plan.hold_ms if plan.hold_ms > 0 else NEVER_MS
    k = np.searchsorted(exits, trade.opened_ms, side="right")
    return timeout_ms, (min(timeout_ms, exits[k]) if k < len(exits) else timeout_ms)


@njit
def _due_ms(leave_ms: int, mark: int, marks: Table) -> int:
    """Return the next time at which a candle is more than its prices."""
    return min(leave_ms, marks[mark].ts) if mark < len(marks) else leave_ms


@njit
def _goal(plan: Record, targets: Table, k: int) -> tuple[float, float, float]:
    """Return target k, and factor and distance of the stop that moves meanwhile: infinitely far while at rest."""
    target = targets[k].price if k < plan.n_targets else np.inf
    return target, plan.trail_factor, (plan.trail_distance if k > plan.trail_after else np.inf)


@njit
def _pass_quiet(
    j: int, due_ms: int, stop: float, extreme: float, worst: float, goal: tuple[float, float, float], candles: Table
) -> tuple[int, float, float, float]:
    """Return the next candle in which something is due or touched, with the stop it meets, extreme and worst."""
    target, factor, distance = goal
    while j < len(candles) and candles[j].ts < due_ms:
        candle, raised = candles[j], extreme * factor - distance
        if raised > stop:
            stop = raised
        if candle.low <= stop or candle.high >= target:
            break
        extreme, worst = max(extreme, candle.high), min(worst, candle.low)
        j += 1
    return j, stop, extreme, worst


@njit
def _hold(
    trade: Record, j: int, plan: Record, legs: Table, exits: IntArray, run: Table, marks: Table, terms: Record, log: Log
) -> Log:
    """Play a held position from candle j of the run on."""
    n, fill, k = len(run), trade.fill_price, trade.next_target
    timeout_ms, leave_ms = _must_leave_ms(trade, plan, exits)
    mark = np.searchsorted(marks.ts, trade.funded_ms, side="right")
    due_ms, goal = _due_ms(leave_ms, mark, marks), _goal(plan, legs, k)
    stop, extreme, worst, last_open = trade.stop, trade.extreme, fill, -np.inf
    while trade.status == OPEN:
        j, stop, extreme, worst = _pass_quiet(j, due_ms, stop, extreme, worst, goal, run)
        if j == n:
            break
        ts, o, h, low = run[j].ts, run[j].open, run[j].high, run[j].low
        if ts >= due_ms:
            mark, log = _pay_funding(trade, mark, ts, plan.sign, marks, log)
            due_ms = _due_ms(leave_ms, mark, marks)
            if ts < leave_ms:
                continue  # its prices are still to be looked at
            last_open, worst = o, min(worst, o)
            log = _leave(trade, ts, TIMEOUT if ts >= timeout_ms else POLICY, o, 1.0, terms, log)
        else:
            step, price, both = _exit_step(o, h, low, stop, goal[0], terms.conservative)
            trade.ambiguous |= both
            worst = min(worst, o if step == GAP_STOP else low)
            extreme = extreme if step == GAP_STOP else max(extreme, h)
            if step != HIT_TARGET:
                log = _leave(trade, ts, SL if k == 0 else TP1_TRAIL, price, 1.0, terms, log)
            else:
                kind = TP if k == plan.n_targets - 1 else TARGET
                log = _leave(trade, ts, kind, price, legs[k].fraction, terms, log)
                stop = max(stop, fill) if k == plan.be_after else stop
                k += 1
                goal = _goal(plan, legs, k)
        j += 1
    if j > 0:
        trade.next_ms = max(trade.next_ms, run[j - 1].ts + MINUTE_MS)
    trade.stop, trade.extreme = stop, extreme
    trade.mfe_pct = max(trade.mfe_pct, 100.0 * (max(extreme, last_open) - fill) / abs(fill))
    trade.mae_pct = min(trade.mae_pct, 100.0 * (worst - fill) / abs(fill))
    if plan.delisted and trade.status == OPEN and n > 0:
        log = _leave(trade, run[n - 1].ts, DELISTED, run[n - 1].close, 1.0, terms, log)
    return log


@njit
def play_trades(
    trades: Table, plans: Table, targets: Table, exits: IntArray, long: Table, short: Table, marks: Table, terms: Record
) -> Log:
    """Play every unfinished trade over the candles it has not seen; `core.execution.book.play` is the way in.

    Parameters
    ----------
    trades : table of TRADE, shape (n,)
        **Written in place**: callers hand in a copy of their own.
    plans, targets, exits : tables of PLAN, shape (n,), and TARGET, shape (n, m); ``exit_at_ms`` of all plans
    long, short : tables of CANDLE, run behind run, each before its frontier and oldest first; the same mirrored
    marks, terms : table of MARK, those of a run oldest first; record of TERMS

    Returns
    -------
    size : int
    events : table of EVENT
        The first `size` are in the order of the trades, and of time within a trade; those behind are unused.

    Notes
    -----
    O(candles played). Per exit leg of fraction ``w`` at ``p`` (after slippage), with fill price ``f``: ``gross +=
    100 * w * (p - f) / f`` and ``fees += rate * w * p / f``; per funding mark ``funding += w * rate`` for a long;
    percent of entry notional. The sums grow in order of time, so any slicing of the candles gives the same bits.
    """
    log = 0, np.empty(2 * len(trades) + 16, dtype=EVENT)
    for row in range(len(trades)):
        trade, plan = trades[row], plans[row]
        if trade.status > OPEN:
            continue
        run = (long if plan.sign > 0.0 else short)[plan.run_from : plan.run_to]
        due = marks[plan.mark_from : plan.mark_to]
        j = np.searchsorted(run.ts, trade.next_ms)
        if trade.status == PENDING:
            j, log = _wait(trade, j, plan, run, terms, log)
        if trade.status == OPEN:
            log = _hold(trade, j, plan, targets[row], exits[plan.exit_from : plan.exit_to], run, due, terms, log)
    return log
