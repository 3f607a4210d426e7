"""Stage `scan_signals`: decide every close that has become final since the last scan.

The law: what is due is what lies between a series' `scanned_ms` and its frontier, in order, each close
decided as of its own `decided_ms`. A stale series waits and writes nothing; lateness belongs to the alert.
"""

from __future__ import annotations

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
        Market time; decides which alerts are late, and nothing else.

    Returns
    -------
    Report
        Counts of closes decided and signals found.
    """
    closes = found = 0
    for symbol in desk.symbols:
        for timeframe in desk.config.timeframes:
            decided, signals = _scan_series(desk, symbol, timeframe, now_ms)
            closes += decided
            found += signals
    return Report("scan_signals", counts={"closes": closes, "signals": found})


def _scan_series(desk: Desk, symbol: str, timeframe: str, now_ms: int) -> tuple[int, int]:
    """Decide the due closes of one series in one transaction; return closes decided and signals new."""
    series = (desk.exchange, symbol, timeframe)
    frontier = desk.reader.frontier(*series)
    if frontier is None:
        return 0, 0
    done = desk.reader.scanned(*series)
    if done is None:
        done = frontier - timeframe_ms(timeframe)  # a first start decides the newest close, retro the older ones
    if done >= frontier:
        return 0, 0
    closes = new = 0
    with desk.writer.transaction():
        for setup in desk.setups:
            signals, decisions, closes = decide_range(desk, symbol, timeframe, setup, done, frontier)
            new += store_candidates(desk, signals, decisions, "live", now_ms, playable_to(desk, symbol, now_ms))
        desk.writer.set_scanned(*series, frontier)
    return closes, new
