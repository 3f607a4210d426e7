"""Stage `sync`: new one-minute candles of every symbol, and another look at missing ones.

The law: what a cycle fetched is written in one transaction; one symbol's failure never stops the others; a symbol
that is gone for good is switched off, once, with the reason.

A series without candles is fetched from `backfill.start_date` on, as many pages a cycle as fit; the scan waits for
the frontier meanwhile. `download_data.py` does the same without waiting for the minute.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from core.clock import DAY_MS, MINUTE_MS, monotonic_s
from core.errors import MarketError, UnknownSymbol
from core.ingest.frontier import Series
from core.jobs._desk import Desk, Report, by_reason
from core.jobs._series import TRANSACTION_ROWS, Budget, Pulled, history_start, load_series, pull, write
from core.store.reader import Marks

__all__ = ["run"]

AT_ONCE = 32  # symbols under way at a time; the market's rate limiter paces the requests themselves
PAGES = 10  # of one symbol in a cycle, while it is behind
PAGING_S = 15.0  # after this long no symbol begins another page, so that the cycle ends within its minute
RELIST_MS = 15 * MINUTE_MS  # at least between two readings of the exchange's list
STALE_CYCLES = 10  # faults in a row after which the exchange's list of symbols is read again


@dataclass(slots=True)
class Memory:
    """What `sync` keeps between cycles; made again from the database after a start."""

    series: dict[str, Series] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    list_after_ms: int = 0
    relist_after_ms: int = 0


async def run(desk: Desk, now_ms: int) -> Report:
    """Bring every followed symbol forward to the newest closed candle.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Counts of candles inserted and revised, rows quarantined, minutes missing, symbols behind, waiting for
        their first candle and switched off; one line a problem.
    """
    memory: Memory = desk.memory.setdefault("sync", Memory())
    if not desk.symbols:
        return Report("sync")
    problems = await _read_listing(desk, memory, now_ms)
    pulls = await _pull_all(desk, memory, now_ms)
    # A fetch may have been cut short by an error; what came before it is whole and is written.
    written = write(desk, pulls, now_ms)
    gone, reasons = [], []
    for pulled in pulls:
        memory.series[pulled.symbol] = pulled.series
        reason = _problem(pulled)
        memory.faults[pulled.symbol] = memory.faults.get(pulled.symbol, 0) + 1 if reason else 0
        if reason:
            reasons.append((pulled.symbol, reason))
        if isinstance(pulled.error, UnknownSymbol):
            gone.append(pulled)
    for pulled in gone:
        _switch_off(desk, memory, pulled, now_ms)
    counts = {
        "candles": written.candles,
        "revised": written.revised,
        "quarantined": written.quarantined,
        "missing": written.gaps_open,
        "waiting": sum(pulled.is_waiting for pulled in pulls),
        "off": len(gone),
    }
    problems += by_reason(reasons)
    return Report("sync", not problems, counts, tuple(problems), MarketError.exit_code)


async def _pull_all(desk: Desk, memory: Memory, now_ms: int) -> list[Pulled]:
    start_ms = history_start(desk, now_ms)
    rows = max(TRANSACTION_ROWS // len(desk.symbols), desk.config.incremental.overlap_candles + 1)
    budget = Budget(PAGES, rows, monotonic_s() + PAGING_S)
    turnstile = asyncio.Semaphore(AT_ONCE)
    standing = _standing(desk, memory)

    async def one(symbol: str) -> Pulled:
        async with turnstile:
            return await pull(desk, symbol, standing[symbol], now_ms, start_ms, budget)

    return await asyncio.gather(*(one(symbol) for symbol in desk.symbols))


def _standing(desk: Desk, memory: Memory) -> dict[str, Series]:
    """Return where each series stands: as remembered, where nobody else has moved it on meanwhile."""
    base = desk.config.data.base_timeframe
    marks = desk.reader.marks(desk.exchange, base)
    standing = {}
    for symbol in desk.symbols:
        known = memory.series.get(symbol)
        is_current = known is not None and known.checkpoint_ms == marks.get((symbol, base), Marks()).checkpoint_ms
        standing[symbol] = known if known is not None and is_current else load_series(desk, symbol)
    return standing


async def _read_listing(desk: Desk, memory: Memory, now_ms: int) -> list[str]:
    """Store what the exchange says about the followed symbols: at the start, daily, and when one of them is stale."""
    is_stale = any(count >= STALE_CYCLES for count in memory.faults.values())
    is_lacking = not memory.listed.issuperset(desk.symbols)
    due_ms = memory.relist_after_ms if is_stale or is_lacking else memory.list_after_ms
    if now_ms < due_ms:
        return []
    memory.relist_after_ms = now_ms + RELIST_MS
    try:
        instruments = await desk.market.load_markets()
    except MarketError as error:
        return [f"list of symbols: {error}"]
    found = [instruments[symbol] for symbol in desk.symbols if symbol in instruments]
    desk.writer.put_instruments(found)
    desk.memory.pop("instruments", None)  # read again by whoever keeps them
    memory.listed = {instrument.symbol for instrument in found}
    memory.list_after_ms = now_ms + DAY_MS
    return []


def _problem(pulled: Pulled) -> str | None:
    told = pulled.error or pulled.fault
    if told:
        return str(told)
    rejected = [answer.rejected for answer in pulled.answers if len(answer.rejected)]
    if not rejected:
        return None
    first = rejected[0].iloc[0]
    count = sum(len(frame) for frame in rejected)
    return f"{count} candle(s) rejected, the first for '{first['reason']}': {first['detail']}"


def _switch_off(desk: Desk, memory: Memory, pulled: Pulled, now_ms: int) -> None:
    reason = str(pulled.error)
    desk.writer.set_symbol_off(desk.exchange, pulled.symbol, reason, now_ms)
    desk.symbols = [symbol for symbol in desk.symbols if symbol != pulled.symbol]
    memory.series.pop(pulled.symbol, None)
    memory.faults.pop(pulled.symbol, None)
    desk.log.warning("Symbol %s is switched off: %s. 'trader symbols' resumes it.", pulled.symbol, reason)
