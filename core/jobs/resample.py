"""Stage `resample`: derived timeframes from stored one-minute candles, up to the frontier.

The law: this job alone writes derived candles. A bucket is written once the base series' frontier has
passed its end, and again when a candle inside it was revised, however long ago.
"""

from __future__ import annotations

from core.clock import MINUTE_MS, floor_to, timeframe_ms
from core.indicators.resample import resample
from core.jobs._desk import Desk, Report

__all__ = ["run"]


async def run(desk: Desk, now_ms: int) -> Report:
    """Bring every derived series of every symbol up to its base frontier.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time; recorded as the time the candles were first seen.

    Returns
    -------
    Report
        Counts of candles written and revised.
    """
    written = revised = 0
    with desk.writer.transaction():
        for symbol in desk.symbols:
            inserted, changed = resample_symbol(desk, symbol, now_ms)
            written += inserted
            revised += changed
    return Report("resample", counts={"candles": written, "revised": revised})


def resample_symbol(desk: Desk, symbol: str, now_ms: int) -> tuple[int, int]:
    """Bring the derived series of one symbol up to date; return candles inserted and revised.

    After a start the last `data.resample.lookback_minutes` are made again without being asked, which
    mends what a crash between two stages may have left; unchanged rows are not written.
    """
    base = desk.config.data.base_timeframe
    frontier = desk.reader.frontier(desk.exchange, symbol, base)
    if frontier is None:
        return 0, 0
    mark_name = f"rebuild:{desk.exchange}:{symbol}"
    marked = desk.reader.meta(mark_name)
    rebuild_ms = int(marked) if marked else None
    seen: dict[tuple[str, str], int] = desk.memory.setdefault("resampled", {})
    starts: dict[str, tuple[int, int]] = {}
    for timeframe in desk.config.data.derived_timeframes:
        step = timeframe_ms(timeframe)
        end = floor_to(frontier, step)
        done = seen.get((symbol, timeframe))
        if done is None:
            stored = desk.reader.frontier(desk.exchange, symbol, timeframe)
            healed = desk.config.data.resample.lookback_minutes * MINUTE_MS
            done = 0 if stored is None else max(0, stored - healed)
        start = done if rebuild_ms is None else min(done, rebuild_ms)
        if floor_to(start, step) < end:
            starts[timeframe] = (floor_to(start, step), end)
        seen[symbol, timeframe] = end
    inserted = changed = 0
    if starts:
        first = min(start for start, _ in starts.values())
        candles = desk.reader.candles(desk.exchange, symbol, base, first, frontier)
        for timeframe, (start, end) in starts.items():
            derived = resample(candles, timeframe_ms(timeframe), start, end)
            put = desk.writer.put_candles(desk.exchange, symbol, timeframe, derived, now_ms)
            desk.writer.set_frontier(desk.exchange, symbol, timeframe, end)
            inserted += put.inserted
            changed += put.revised
    if rebuild_ms is not None:
        desk.writer.set_meta(mark_name, "")
    return inserted, changed
