"""The one execution kernel: what becomes of n orders over one run of base candles.

The law: a candle is played once, in order, and what it does depends on the state before it and on
nothing after it. Every result in the house (live, retro, labels, comparisons) comes out of `play_trades`.

Readings that the rules leave open, decided here:

- A short is the mirror of a long: prices are multiplied by ``sign`` (-1 for a short, exact in floating
  point), after which every comparison is that of a long.
- One fill or one exit step a candle, except that a fill and a stop may share one. An open beyond the
  target is that candle's step: its low is not looked at any more.
- ``next_ms`` moves with played candles only, so a run of missing minutes leaves the first candle first.
- `exit_at` times up to the fill candle's open are skipped; a time-out in the same candle gives the reason.
- Excursions cover the candles after the fill candle up to that of the last step, and the fill candle when
  stopped in it; of a candle left at its open only the open counts.
- A market that ends cancels a waiting order, after expiry has had its turn.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from core.clock import MINUTE_MS
from core.execution.tables import EVENT, Record, Table
from core.schema import IntArray

__all__ = ["KINDS", "ORDERS", "SOURCES", "STATUSES", "play_trades"]

# A word is its position in one of these tuples. They stand beside the kernel because its compiled copy on disk
# is renewed when this file changes, not when another does.
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
PCT_TRAIL = 2
NEVER_MS = np.iinfo(np.int64).max

Log = tuple[int, Table]  # how many events there are, and the table that holds them and grows


@njit(cache=True, nogil=True)
def _record(
    trade: Record, row: int, ts: int, kind: int, source: int, price: float, part: float, fee: float, log: Log
) -> Log:
    """Write one event of a trade behind the others; FUNDING adds its rate."""
    size, events = log
    if size == len(events):
        events = np.empty(2 * size, dtype=events.dtype)
        events[:size] = log[1]
    event = events[size]
    event.row, event.seq, event.ts_ms, event.kind, event.source = row, trade.n_events, ts, kind, source
    event.price, event.fraction, event.fee_pct, event.rate_pct = price, part, fee, np.nan
    trade.n_events += 1
    return size + 1, events


@njit(cache=True, nogil=True)
def _drop(trade: Record, row: int, ts: int, status: int, reason: int, price: float, log: Log) -> Log:
    """End an order that was never filled."""
    trade.status, trade.exit_reason, trade.closed_ms = status, reason, ts
    return _record(trade, row, ts, reason, NOBODY, price, 0.0, 0.0, log)


@njit(cache=True, nogil=True)
def _leave(
    trade: Record, row: int, ts: int, kind: int, price: float, part: float, sign: float, terms: Record, log: Log
) -> Log:
    """Book one exit leg at the normalised `price`; any kind but TARGET takes the rest and closes."""
    fill, held, resting = trade.fill_price, trade.remaining, kind in (TARGET, TP)
    paid = price if resting else price * (1.0 - sign * terms.slippage)
    part = part if kind == TARGET else held
    fee = (terms.resting_pct if resting else terms.crossing_pct) * part * abs(paid) / fill
    trade.gross_pct += 100.0 * part * (paid - sign * fill) / fill
    trade.fees_pct += fee
    trade.next_target += resting
    trade.remaining = held - part
    if kind != TARGET:
        trade.status, trade.exit_reason, trade.closed_ms = CLOSED, kind, ts
        # The mean over the legs follows from their summed gross: no further sum has to survive a restart.
        trade.exit_price = sign * paid if held == 1.0 else fill * (1.0 + sign * trade.gross_pct / 100.0)
    return _record(trade, row, ts, kind, MAKER if resting else TAKER, sign * paid, part, fee, log)


@njit(cache=True, nogil=True)
def _entry_step(
    order: int, first: bool, o: float, h: float, low: float, entry: float, sl: float, tp1: float, terms: Record
) -> tuple[int, float]:
    """Say what a candle does to a waiting order, and at which normalised price."""
    if first or order == STOP:
        if o <= sl:
            return GAPPED, o
        if o >= tp1:
            return MISSED, o
    if order == LIMIT:
        if first and o <= entry:
            return AT_OPEN, o
        if low < entry or (low == entry and not terms.through):
            return RESTING, entry
    elif order == MARKET:
        return AT_OPEN, o
    elif h >= entry:
        return (AT_OPEN, o) if o >= entry else (INSIDE, entry)
    if terms.cancel_if_missed and h >= tp1:
        return MISSED, tp1
    return WAIT, np.nan


@njit(cache=True, nogil=True)
def _fill(
    trade: Record, row: int, step: int, price: float, candle: Record, sign: float, terms: Record, log: Log
) -> Log:
    """Open the position in a candle, and stop it there where that candle also holds the stop."""
    resting, stop = step == RESTING, sign * trade.stop
    price = price if resting else price * (1.0 + sign * terms.slippage)
    fill, fee = sign * price, terms.resting_pct if resting else terms.crossing_pct
    trade.status, trade.opened_ms, trade.funded_ms = OPEN, candle.ts, candle.ts
    trade.fill_price, trade.extreme, trade.remaining, trade.fees_pct = fill, fill, 1.0, fee
    log = _record(trade, row, candle.ts, FILL, MAKER if resting else TAKER, fill, 1.0, fee, log)
    if candle.low > stop:
        return log
    if step == INSIDE:  # did price fall to the stop before it rose through the entry, or after?
        trade.ambiguous = 1
        if not terms.conservative:
            return log
    trade.mfe_pct = max(0.0, 100.0 * (candle.high - price) / fill)
    trade.mae_pct = min(0.0, 100.0 * (candle.low - price) / fill)
    return _leave(trade, row, candle.ts, SL, min(stop, candle.open), 1.0, sign, terms, log)


@njit(cache=True, nogil=True)
def _wait(trade: Record, row: int, j: int, plan: Record, candles: Table, terms: Record, log: Log) -> tuple[int, Log]:
    """Play a waiting order from candle j on; return the candle after the last one played."""
    sign, order, valid_ms = plan.sign, plan.order, plan.valid_until_ms
    entry, sl, tp1 = sign * plan.entry, sign * plan.sl, sign * plan.tp1
    first, step, price, n = trade.next_ms == plan.start_ms, WAIT, np.nan, len(candles)
    while step == WAIT and j < n and candles[j].ts < valid_ms:
        candle = candles[j]
        step, price = _entry_step(order, first, candle.open, candle.high, candle.low, entry, sl, tp1, terms)
        trade.next_ms = candle.ts + MINUTE_MS
        first = False
        j += 1
    if step in (MISSED, GAPPED):
        log = _drop(trade, row, candles[j - 1].ts, CANCELLED, step, sign * price, log)
    elif step != WAIT:
        log = _fill(trade, row, step, price, candles[j - 1], sign, terms, log)
    elif terms.frontier_ms >= valid_ms:
        log = _drop(trade, row, valid_ms, EXPIRED, TOO_LATE, np.nan, log)
    elif terms.delisted:
        last_ms, close = (candles[n - 1].ts, sign * candles[n - 1].close) if n else (plan.decided_ms, np.nan)
        log = _drop(trade, row, max(last_ms, plan.decided_ms), CANCELLED, DELISTED, close, log)
    return j, log


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _pay_funding(trade: Record, row: int, mark: int, ts: int, sign: float, marks: Table, log: Log) -> tuple[int, Log]:
    """Settle the marks up to `ts` with what is held; return the next one's position."""
    while mark < len(marks) and marks[mark].ts <= ts:
        due, held = marks[mark], trade.remaining
        trade.funding_pct += sign * held * due.rate_pct
        trade.funded_ms = due.ts
        log = _record(trade, row, due.ts, FUNDING, due.source, np.nan, held, 0.0, log)
        log[1][log[0] - 1].rate_pct = due.rate_pct
        mark += 1
    return mark, log


@njit(cache=True, nogil=True)
def _must_leave_ms(trade: Record, plan: Record, exit_at_ms: IntArray) -> tuple[int, int]:
    """Return when the position times out, and when it must leave for that or at its policy's word."""
    timeout_ms = trade.opened_ms + plan.hold_ms if plan.hold_ms > 0 else NEVER_MS
    exits_ms = exit_at_ms[plan.exit_from : plan.exit_to]
    k = np.searchsorted(exits_ms, trade.opened_ms, side="right")
    return timeout_ms, (min(timeout_ms, exits_ms[k]) if k < len(exits_ms) else timeout_ms)


@njit(cache=True, nogil=True)
def _due_ms(leave_ms: int, mark: int, marks: Table) -> int:
    """Return the next time at which a candle is more than its prices."""
    return min(leave_ms, marks[mark].ts) if mark < len(marks) else leave_ms


@njit(cache=True, nogil=True)
def _goal(plan: Record, targets: Table, k: int) -> tuple[float, float, float]:
    """Return target k, normalised, and the stop that moves meanwhile: ``extreme * factor - distance``."""
    target = plan.sign * targets[k].price if k < plan.n_targets else np.inf
    if plan.trail_kind == 0 or k <= plan.trail_after:
        return target, 1.0, np.inf
    if plan.trail_kind == PCT_TRAIL:
        return target, 1.0 - plan.sign * plan.trail_mult / 100.0, 0.0
    return target, 1.0, plan.trail_mult * plan.atr


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _hold(
    trade: Record,
    row: int,
    j: int,
    plan: Record,
    targets: Table,
    exit_at_ms: IntArray,
    candles: Table,
    marks: Table,
    terms: Record,
    log: Log,
) -> Log:
    """Play a held position from candle j on."""
    n, sign, fill, k = len(candles), plan.sign, trade.fill_price, trade.next_target
    timeout_ms, leave_ms = _must_leave_ms(trade, plan, exit_at_ms)
    mark = np.searchsorted(marks.ts, trade.funded_ms, side="right")
    due_ms, goal = _due_ms(leave_ms, mark, marks), _goal(plan, targets, k)
    stop, extreme, worst, last_open = sign * trade.stop, sign * trade.extreme, sign * fill, -np.inf
    while trade.status == OPEN:
        j, stop, extreme, worst = _pass_quiet(j, due_ms, stop, extreme, worst, goal, candles)
        if j == n:
            break
        candle = candles[j]
        if candle.ts >= due_ms:
            mark, log = _pay_funding(trade, row, mark, candle.ts, sign, marks, log)
            due_ms = _due_ms(leave_ms, mark, marks)
            if candle.ts < leave_ms:
                continue  # its prices are still to be looked at
            kind, last_open, worst = (
                TIMEOUT if candle.ts >= timeout_ms else POLICY,
                candle.open,
                min(worst, candle.open),
            )
            log = _leave(trade, row, candle.ts, kind, candle.open, 1.0, sign, terms, log)
        else:
            step, price, both = _exit_step(candle.open, candle.high, candle.low, stop, goal[0], terms.conservative)
            trade.ambiguous |= both
            worst = min(worst, candle.open if step == GAP_STOP else candle.low)
            extreme = extreme if step == GAP_STOP else max(extreme, candle.high)
            if step != HIT_TARGET:
                log = _leave(trade, row, candle.ts, SL if k == 0 else TP1_TRAIL, price, 1.0, sign, terms, log)
            else:
                kind = TP if k == plan.n_targets - 1 else TARGET
                log = _leave(trade, row, candle.ts, kind, price, targets[k].fraction, sign, terms, log)
                stop = max(stop, sign * fill) if k == plan.be_after else stop
                k += 1
                goal = _goal(plan, targets, k)
        j += 1
    if j > 0:
        trade.next_ms = max(trade.next_ms, candles[j - 1].ts + MINUTE_MS)
    trade.stop, trade.extreme = sign * stop, sign * extreme
    trade.mfe_pct = max(trade.mfe_pct, 100.0 * (max(extreme, last_open) - sign * fill) / fill)
    trade.mae_pct = min(trade.mae_pct, 100.0 * (worst - sign * fill) / fill)
    if terms.delisted and trade.status == OPEN and n > 0:
        last = candles[n - 1]
        log = _leave(trade, row, last.ts, DELISTED, last.close, 1.0, sign, terms, log)
    return log


@njit(cache=True, nogil=True)
def play_trades(
    trades: Table,
    plans: Table,
    targets: Table,
    exit_at_ms: IntArray,
    long: Table,
    short: Table,
    marks: Table,
    terms: Record,
) -> Log:
    """Play every unfinished trade over the candles it has not seen; `core.execution.book.play` is the way in.

    Parameters
    ----------
    trades : table of TRADE, shape (n,)
        **Written in place**: callers hand in a copy of their own.
    plans : table of PLAN, shape (n,)
    targets : table of TARGET, shape (n, m)
    exit_at_ms : int64 array
        Of all plans, one behind the other.
    long, short : table of CANDLE
        Base candles before the frontier, oldest first; the same mirrored.
    marks : table of MARK
        Oldest first.
    terms : record of TERMS

    Returns
    -------
    size : int
    events : table of EVENT
        The first `size` are in the order of the trades, and of time within a trade; those behind are unused.

    Notes
    -----
    O(candles played), plus one search a trade. Per exit leg of fraction ``w`` at ``p`` (after slippage), with
    fill price ``f``: ``gross += 100 * w * (p - f) / f`` and ``fees += rate * w * p / f``; per funding mark
    ``funding += w * rate`` for a long, with ``w`` the fraction still held; all in percent of entry notional.
    The sums grow in the state in order of time, so any slicing of the candles gives the same bits.
    """
    log = 0, np.empty(2 * len(trades) + 16, dtype=EVENT)
    for row in range(len(trades)):
        trade, plan = trades[row], plans[row]
        if trade.status > OPEN:
            continue
        candles = long if plan.sign > 0.0 else short
        j = np.searchsorted(candles.ts, trade.next_ms)
        if trade.status == PENDING:
            j, log = _wait(trade, row, j, plan, candles, terms, log)
        if trade.status == OPEN:
            log = _hold(trade, row, j, plan, targets[row], exit_at_ms, candles, marks, terms, log)
    return log
