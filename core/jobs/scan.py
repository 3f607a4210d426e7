"""Stage `scan_signals`: decide every close that has become final since the last scan.

The law: what is due is what lies between a series' `scanned_ms` and its frontier, in order, each close
decided as of its own `decided_ms`. A stale series waits and writes nothing; lateness belongs to the alert.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.clock import timeframe_ms
from core.jobs._book import playable_to
from core.jobs._candidates import decide_range, store_candidates
from core.jobs._desk import Desk, Report

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
    closes = found = count = 0
    decided = []
    for symbol, timeframe, done_ms, frontier_ms in due:
        for setup in desk.setups:
            signals, decisions, count = decide_range(desk, symbol, timeframe, setup, done_ms, frontier_ms)
            decided.append((symbol, signals, decisions))
        closes += count
    with desk.writer.transaction():
        for symbol, signals, decisions in decided:
            if len(signals):
                to_ms = playable_to(desk, symbol, now_ms)
                found += store_candidates(desk, signals, decisions, "live", now_ms, to_ms)
        for symbol, timeframe, _, frontier_ms in due:
            desk.writer.set_scanned(desk.exchange, symbol, timeframe, frontier_ms)
    return Report("scan_signals", counts={"closes": closes, "signals": found})


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
