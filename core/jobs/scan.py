"""Stage `scan_signals`: decide every close that has become final since the last scan.

The law: what is due is what lies between a series' `scanned_ms` and its frontier, in order, each close
decided as of its own `decided_ms`. A stale series waits and writes nothing; lateness belongs to the alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from core.clock import timeframe_ms
from core.jobs._account import settle, settled_until
from core.jobs._announce import event_rows, new_signal_rows
from core.jobs._book import instrument_of, playable_to
from core.jobs._candidates import Stored, decide_range, scan_rules, store_candidates
from core.jobs._desk import Desk, Report
from core.pipeline import plan_hash
from core.risk.terms import Terms, terms_to_text

__all__ = ["run"]


async def run(desk: Desk, now_ms: int) -> Report:
    """Scan all symbols and timeframes whose newest close is not decided yet.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time; decides which alerts are late, and whether a first start has caught up.

    Returns
    -------
    Report
        Counts of closes decided and signals found.
    """
    due = list(_due(desk, now_ms))
    if not due:
        return Report("scan_signals")
    closes = count = 0
    decided = []
    for symbol, timeframe, done_ms, frontier_ms in due:
        for setup in desk.setups:
            signals, decisions, count = decide_range(desk, symbol, timeframe, setup, done_ms, frontier_ms)
            decided.append((symbol, signals, decisions))
        closes += count
    terms = _terms_in_force(desk, {symbol for symbol, *_ in due})
    with desk.writer.transaction():
        stored = [
            store_candidates(desk, signals, decisions, playable_to(desk, symbol, now_ms))
            for symbol, signals, decisions in decided
            if len(signals)
        ]
        for symbol, timeframe, done_ms, frontier_ms in due:
            desk.writer.note_live(desk.exchange, symbol, timeframe, done_ms, terms[symbol])
            desk.writer.set_scanned(desk.exchange, symbol, timeframe, frontier_ms)
        _take(desk, stored, now_ms)
    found = sum(len(new.signals) for new in stored)
    return Report("scan_signals", counts={"closes": closes, "signals": found})


def _take(desk: Desk, stored: list[Stored], now_ms: int) -> None:
    """Decide what the account takes since the last close whose outcomes were all known, and announce what is new."""
    mark = f"settled:{desk.exchange}"
    known = desk.reader.meta(mark)
    fresh = [new for new in stored if len(new.signals)]
    starts = [int(new.signals["decided_ms"].min()) for new in fresh] + ([int(known)] if known else [])
    from_ms = min(starts, default=now_ms)
    if fresh or len(desk.reader.signals(exchange=desk.exchange, start_ms=from_ms, limit=1, columns=["id"])):
        taken = settle(desk, from_ms).set_index(["signal_id", "exit_policy"])
        _announce(desk, fresh, taken, now_ms)
    desk.writer.set_meta(mark, str(settled_until(desk, now_ms)))


def _announce(desk: Desk, fresh: list[Stored], taken: pd.DataFrame, now_ms: int) -> None:
    channels = list(desk.notifiers)
    for new in fresh:
        told = taken.loc[pd.MultiIndex.from_frame(new.trades[["signal_id", "exit_policy"]])]
        trades = new.trades.assign(taken=told["taken"].to_numpy(), blocked_by=told["blocked_by"].to_numpy())
        desk.writer.queue(new_signal_rows(new.signals, trades, desk.config, channels, now_ms))
        desk.writer.queue(event_rows(new.events, trades, new.signals, desk.config, channels, now_ms))


def _terms_in_force(desk: Desk, symbols: Iterable[str]) -> dict[str, str]:
    """Return what decisions follow from now, by symbol: a check may want to make them again later."""
    rules = scan_rules(desk.config, desk.costs)
    plans = [plan_hash(setup, rules) for setup in desk.setups]
    return {
        symbol: terms_to_text(Terms(plans, rules.risk, rules.meta_enabled, instrument_of(desk, symbol)))
        for symbol in symbols
    }


def _due(desk: Desk, now_ms: int) -> Iterator[tuple[str, str, int, int]]:
    """Yield symbol, timeframe and the range ``(done, frontier]`` of each series with closes to decide.

    A first start decides the newest close and leaves the older ones to the retro scan. So does a first start
    while the history is still being fetched: it waits, lest years of old closes pass for live ones.
    """
    for symbol in desk.symbols:
        for timeframe in desk.config.timeframes:
            series = (desk.exchange, symbol, timeframe)
            frontier_ms, done_ms = desk.reader.frontier(*series), desk.reader.scanned(*series)
            step = timeframe_ms(timeframe)
            if frontier_ms is None or (done_ms is None and now_ms - frontier_ms >= 2 * step):
                continue
            if done_ms is None:
                done_ms = frontier_ms - step
            if done_ms < frontier_ms:
                yield symbol, timeframe, done_ms, frontier_ms
