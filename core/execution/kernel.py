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
from core.execution.codes import (
    CANCELLED,
    DELISTED,
    EXPIRED,
    FILL,
    GAPPED,
    MAKER,
    MISSED,
    OPEN,
    PENDING,
    POLICY,
    SL,
    TAKER,
    TARGET,
    TIMEOUT,
    TOO_LATE,
    TP,
    TP1_TRAIL,
)  # fmt: skip
from core.execution.ledger import drop, leave, make_room, pay_funding, record
from core.execution.passage import STRETCH, begins_stretch, first_from, to_stretches
from core.execution.steps import (
    GAP_STOP,
    HIT_TARGET,
    INSIDE,
    RESTING,
    WAIT,
    entry_step,
    exit_step,
    waits_between,
)  # fmt: skip
from core.execution.tables import Record, Table
from core.jit import inlined, njit
from core.schema import IntArray

__all__ = ["play_trades"]

NEVER_MS = np.iinfo(np.int64).max


@inlined
def _fill(trade: Record, step: int, price: float, candle: Record, terms: Record, events: Table, first: int) -> None:
    """Open the position in a candle, and stop it there where that candle also holds the stop."""
    resting = step == RESTING
    fill = price if resting else price + terms.slippage * abs(price)
    fee = terms.resting_pct if resting else terms.crossing_pct
    trade.status, trade.opened_ms, trade.funded_ms = OPEN, candle.ts, candle.ts
    trade.fill_price, trade.extreme, trade.remaining, trade.fees_pct = fill, fill, 1.0, fee
    record(trade, candle.ts, FILL, MAKER if resting else TAKER, fill, 1.0, fee, events, first)
    if candle.low > trade.stop:
        return
    if step == INSIDE:  # did price fall to the stop before it rose through the entry, or after?
        trade.ambiguous = 1
        if not terms.conservative:
            return
    trade.mfe_pct = max(0.0, 100.0 * (candle.high - fill) / abs(fill))
    trade.mae_pct = min(0.0, 100.0 * (candle.low - fill) / abs(fill))
    leave(trade, candle.ts, SL, min(trade.stop, candle.open), 1.0, terms, events, first)


@inlined
def _wait(
    trade: Record, j: int, plan: Record, candles: Table, stretches: Table, terms: Record, events: Table, first: int
) -> int:
    """Play a waiting order from candle j on; return the candle after the last one played."""
    is_first, step, price, begin, n = trade.next_ms == plan.start_ms, WAIT, np.nan, plan.run_from, plan.run_to
    floor, roof = waits_between(plan, terms)
    while step == WAIT and j < n and candles[j].ts < plan.valid_until_ms:
        if not is_first and begins_stretch(j, n, plan.valid_until_ms, candles):
            stretch = stretches[j // STRETCH]
            if stretch.low > floor and stretch.high < roof:
                j += STRETCH
                continue
        candle = candles[j]
        step, price = entry_step(is_first, candle.open, candle.high, candle.low, plan, terms)
        is_first = False
        j += 1
    if j > begin:
        trade.next_ms = max(trade.next_ms, candles[j - 1].ts + MINUTE_MS)
    if step in (MISSED, GAPPED):
        drop(trade, candles[j - 1].ts, CANCELLED, step, price, events, first)
    elif step != WAIT:
        _fill(trade, step, price, candles[j - 1], terms, events, first)
    elif plan.frontier_ms >= plan.valid_until_ms:
        drop(trade, plan.valid_until_ms, EXPIRED, TOO_LATE, np.nan, events, first)
    elif plan.delisted:
        last_ms, close = (candles[n - 1].ts, candles[n - 1].close) if n > begin else (plan.decided_ms, np.nan)
        drop(trade, max(last_ms, plan.decided_ms), CANCELLED, DELISTED, close, events, first)
    return j


@inlined
def _must_leave_ms(trade: Record, plan: Record, exits: IntArray) -> tuple[int, int]:
    """Return when the position times out, and when it must leave for that or at its policy's word."""
    timeout_ms = trade.opened_ms + plan.hold_ms if plan.hold_ms > 0 else NEVER_MS
    k = plan.exit_from
    if k < plan.exit_to:
        k += np.searchsorted(exits[k : plan.exit_to], trade.opened_ms, side="right")
    return timeout_ms, (min(timeout_ms, exits[k]) if k < plan.exit_to else timeout_ms)


@inlined
def _due_ms(leave_ms: int, mark: int, last_mark: int, marks: Table) -> int:
    """Return the next time at which a candle is more than its prices."""
    return min(leave_ms, marks[mark].ts) if mark < last_mark else leave_ms


@inlined
def _goal(plan: Record, row: int, targets: Table, k: int) -> tuple[float, float, float]:
    """Return target k, and factor and distance of the stop that moves meanwhile: infinitely far while at rest."""
    target = targets[row, k].price if k < plan.n_targets else np.inf
    return target, plan.trail_factor, (plan.trail_distance if k > plan.trail_after else np.inf)


@inlined
def _pass_quiet(
    j: int,
    n: int,
    due_ms: int,
    stop: float,
    extreme: float,
    worst: float,
    goal: tuple[float, float, float],
    candles: Table,
    stretches: Table,
) -> tuple[int, float, float, float]:
    """Return the next candle in which something is due or touched, with the stop it meets, extreme and worst."""
    target, factor, distance = goal
    while j < n and candles[j].ts < due_ms:
        if factor > 0.0 and begins_stretch(j, n, due_ms, candles):
            stretch = stretches[j // STRETCH]
            top = max(extreme, stretch.high)
            # A higher extreme means a higher stop: none on the way is above what the candle behind raises it to.
            if stretch.low > max(stop, top * factor - distance) and stretch.high < target:
                extreme, worst = top, min(worst, stretch.low)
                j += STRETCH
                continue
        candle = candles[j]
        stop = max(stop, extreme * factor - distance)
        if candle.low <= stop or candle.high >= target:
            break
        extreme, worst = max(extreme, candle.high), min(worst, candle.low)
        j += 1
    return j, stop, extreme, worst


@inlined
def _hold(
    trade: Record,
    j: int,
    plan: Record,
    targets: Table,
    exits: IntArray,
    candles: Table,
    stretches: Table,
    marks: Table,
    terms: Record,
    events: Table,
    first: int,
) -> None:
    """Play a held position from candle j on."""
    begin, n, fill, k = plan.run_from, plan.run_to, trade.fill_price, trade.next_target
    timeout_ms, leave_ms = _must_leave_ms(trade, plan, exits)
    mark = plan.mark_from
    if mark < plan.mark_to:
        mark += np.searchsorted(marks.ts[mark : plan.mark_to], trade.funded_ms, side="right")
    due_ms, goal = _due_ms(leave_ms, mark, plan.mark_to, marks), _goal(plan, trade.row, targets, k)
    stop, extreme, worst, last_open = trade.stop, trade.extreme, fill, -np.inf
    while trade.status == OPEN:
        j, stop, extreme, worst = _pass_quiet(j, n, due_ms, stop, extreme, worst, goal, candles, stretches)
        if j == n:
            break
        ts, o, h, low = candles[j].ts, candles[j].open, candles[j].high, candles[j].low
        if ts >= due_ms:
            mark = pay_funding(trade, mark, ts, plan, marks, events, first)
            due_ms = _due_ms(leave_ms, mark, plan.mark_to, marks)
            if ts < leave_ms:
                continue  # its prices are still to be looked at
            last_open, worst = o, min(worst, o)
            leave(trade, ts, TIMEOUT if ts >= timeout_ms else POLICY, o, 1.0, terms, events, first)
        else:
            step, price, both = exit_step(o, h, low, stop, goal[0], terms.conservative)
            trade.ambiguous |= both
            worst = min(worst, o if step == GAP_STOP else low)
            extreme = extreme if step == GAP_STOP else max(extreme, h)
            if step != HIT_TARGET:
                leave(trade, ts, SL if k == 0 else TP1_TRAIL, price, 1.0, terms, events, first)
            else:
                kind = TP if k == plan.n_targets - 1 else TARGET
                leave(trade, ts, kind, price, targets[trade.row, k].fraction, terms, events, first)
                stop = max(stop, fill) if k == plan.be_after else stop
                k += 1
                goal = _goal(plan, trade.row, targets, k)
        j += 1
    if j > begin:
        trade.next_ms = max(trade.next_ms, candles[j - 1].ts + MINUTE_MS)
    trade.stop, trade.extreme = stop, extreme
    trade.mfe_pct = max(trade.mfe_pct, 100.0 * (max(extreme, last_open) - fill) / abs(fill))
    trade.mae_pct = min(trade.mae_pct, 100.0 * (worst - fill) / abs(fill))
    if plan.delisted and trade.status == OPEN and n > begin:
        leave(trade, candles[n - 1].ts, DELISTED, candles[n - 1].close, 1.0, terms, events, first)


@njit
def play_trades(
    trades: Table,
    plans: Table,
    targets: Table,
    exits: IntArray,
    long: Table,
    short: Table,
    marks: Table,
    terms: Record,
    events: Table,
) -> tuple[int, Table]:
    """Play every unfinished trade over the candles it has not seen; `core.execution.book.play` is the way in.

    Parameters
    ----------
    trades : table of TRADE, shape (n,)
        **Written in place**: callers hand in a copy of their own.
    plans, targets, exits : tables of PLAN, shape (n,), and TARGET, shape (n, m); ``exit_at_ms`` of all plans
    long, short : tables of CANDLE, run behind run, each before its frontier and oldest first; the same mirrored
    marks, terms : table of MARK, those of a run oldest first; record of TERMS
    events : table of EVENT
        Room to write in; where it does not do, a larger table is returned.

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
    size, long_stretches, short_stretches = 0, to_stretches(long), to_stretches(short)
    for row in range(len(trades)):
        trade, plan = trades[row], plans[row]
        if trade.status > OPEN:
            continue
        events = make_room(events, size, plan.n_targets + plan.mark_to - plan.mark_from + 3)
        candles, stretches = (long, long_stretches) if plan.sign > 0.0 else (short, short_stretches)
        first = size - trade.n_events
        j = first_from(trade.next_ms, plan.run_from, plan.run_to, candles)
        if trade.status == PENDING:
            j = _wait(trade, j, plan, candles, stretches, terms, events, first)
        if trade.status == OPEN:
            _hold(trade, j, plan, targets, exits, candles, stretches, marks, terms, events, first)
        size = first + trade.n_events
    return size, events
