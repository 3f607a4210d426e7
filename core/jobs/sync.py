"""Stage `sync`: new one-minute candles of every symbol, and another look at missing ones.

The law: what a cycle fetched is written in one transaction; one symbol's failure never stops the others, and delays
them by less than a cycle; a symbol that is gone for good is switched off, once, with the reason.

A series without candles is fetched from `backfill.start_date` on, as many pages a cycle as fit; the scan waits for
the frontier meanwhile. `download_data.py` does the same without waiting for the minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from core.clock import format_duration, format_ms, monotonic_s
from core.errors import MarketError, UnknownSymbol
from core.ingest.breaker import Board, breakers_key, first_wave, judge, second_wave
from core.ingest.frontier import Series
from core.ingest.traffic import counts_of
from core.jobs._desk import Desk, Report, by_reason
from core.jobs._listing import Listing, read_listing, switch_off
from core.jobs._series import TRANSACTION_ROWS, Budget, Pulled, history_start, load_series, pull, write
from core.ports import Metered
from core.store.reader import Marks

__all__ = ["run"]

AT_ONCE = 32  # symbols under way at a time; the market's rate limiter paces the requests themselves
SUSPECTS_AT_ONCE = 8  # of those that failed last time, in a lane of their own, so that they keep nobody waiting
PAGES = 10  # of one symbol in a cycle, while it is behind
PAGING_S = 15.0  # after this long no symbol begins another page, so that the cycle ends within its minute
SYMBOL_S = 20.0  # for one symbol, from its turn on
SUSPECT_S = 8.0  # for one that failed last time: it has kept everybody waiting before
BEGIN_S = 25.0  # after this long nobody else is begun with; the next cycle goes on with them
END_S = 40.0  # after this long nobody is waited for: what the others brought is to be written within the stage's time


@dataclass(slots=True)
class Memory:
    """What `sync` keeps between cycles; made again from the database after a start."""

    board: Board
    series: dict[str, Series] = field(default_factory=dict)
    listing: Listing = field(default_factory=Listing)


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
        their first candle, left alone for a while and switched off, and of what was asked of the exchange; one line
        a problem.
    """
    memory = _memory(desk)
    if not desk.symbols:
        return Report("sync")
    began_s = monotonic_s()
    standing, followed = _standing(desk, memory), len(desk.symbols)
    problems: list[str] = []
    if memory.board.down_since_ms is None:
        problems += await read_listing(desk, memory.listing, standing, now_ms)
    pulls = await _pull_waves(desk, memory.board, standing, now_ms, began_s)
    # A fetch may have been cut short by an error; what came before it is whole and is written.
    written = write(desk, pulls, now_ms)
    problems += _judge(desk, memory, pulls, now_ms)
    unknown = [pulled for pulled in pulls if isinstance(pulled.error, UnknownSymbol)]
    memory.listing.suspect(unknown, now_ms)
    never_seen = {pulled.symbol: str(pulled.error) for pulled in unknown if pulled.series.checkpoint_ms is None}
    gone = {**never_seen, **memory.listing.ended(desk, memory.series)}
    switch_off(desk, gone, now_ms)
    for symbol in gone:
        memory.series.pop(symbol, None)
    counts = {
        "candles": written.candles,
        "revised": written.revised,
        "quarantined": written.quarantined,
        "missing": written.gaps_open,
        "waiting": sum(pulled.is_waiting for pulled in pulls),
        "resting": followed - len(pulls),
        "off": len(gone),
        **(counts_of(desk.market.traffic()) if isinstance(desk.market, Metered) else {}),
    }
    return Report("sync", not problems, counts, tuple(problems), MarketError.exit_code)


def _memory(desk: Desk) -> Memory:
    known: Memory | None = desk.memory.get("sync")
    if known is None:
        known = desk.memory["sync"] = Memory(Board.from_text(desk.reader.meta(breakers_key(desk.exchange))))
    return known


async def _pull_waves(
    desk: Desk, board: Board, standing: dict[str, Series], now_ms: int, began_s: float
) -> list[Pulled]:
    """Ask whoever is due; where that shows that an outage is over, those as well who were left alone because of it."""
    first = first_wave(board, desk.symbols, now_ms, _cycle_ms(desk))
    pulls = await _pull_all(desk, board, first, standing, now_ms, began_s)
    answered = [pulled.symbol for pulled in pulls if _is_answered(pulled)]
    then = second_wave(board, desk.symbols, first, answered, now_ms)
    return pulls + (await _pull_all(desk, board, then, standing, now_ms, began_s) if then else [])


def _is_answered(pulled: Pulled) -> bool:
    """Whether the exchange speaks: not to know a symbol is an answer too."""
    return isinstance(pulled.error, UnknownSymbol) or (pulled.error is None and bool(pulled.answers))


def _cycle_ms(desk: Desk) -> int:
    return desk.config.incremental.run_seconds * 1000


async def _pull_all(
    desk: Desk, board: Board, symbols: Sequence[str], standing: dict[str, Series], now_ms: int, began_s: float
) -> list[Pulled]:
    start_ms = history_start(desk, now_ms)
    rows = max(TRANSACTION_ROWS // len(desk.symbols), desk.config.incremental.overlap_candles + 1)
    turnstile, lane = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(SUSPECTS_AT_ONCE)

    async def one(symbol: str) -> Pulled | None:
        is_suspect = symbol in board.failing
        async with lane if is_suspect else turnstile:
            elapsed_s = monotonic_s() - began_s
            if elapsed_s > BEGIN_S:
                return None
            patience_s = min(SUSPECT_S if is_suspect else SYMBOL_S, END_S - elapsed_s)
            budget = Budget(PAGES, rows, began_s + PAGING_S, patience_s)
            return await pull(desk, symbol, standing[symbol], now_ms, start_ms, budget)

    # Those that are nearly level first: a long way to go is not gone before them.
    order = sorted(symbols, key=lambda symbol: -(standing[symbol].checkpoint_ms or 0))
    found = await asyncio.gather(*(one(symbol) for symbol in order))
    by_symbol = {pulled.symbol: pulled for pulled in found if pulled is not None}
    return [by_symbol[symbol] for symbol in symbols if symbol in by_symbol]


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


def _judge(desk: Desk, memory: Memory, pulls: Sequence[Pulled], now_ms: int) -> list[str]:
    """Remember where each series stands and who failed; return what is to be said."""
    reasons: list[tuple[str, str]] = []
    outcomes: dict[str, str | None] = {}
    for pulled in pulls:
        memory.series[pulled.symbol] = pulled.series
        reason = _problem(pulled)
        memory.listing.count(pulled.symbol, bool(reason))
        if reason:
            reasons.append((pulled.symbol, reason))
        if pulled.error is not None or pulled.answers:  # else there was nothing to ask
            outcomes[pulled.symbol] = None if pulled.error is None else str(pulled.error)
    before, is_heard = memory.board, any(_is_answered(pulled) for pulled in pulls)
    told = judge(before, desk.symbols, outcomes, is_heard, now_ms, _cycle_ms(desk))
    if told.board != before:
        desk.writer.set_meta(breakers_key(desk.exchange), told.board.to_text())
    memory.board = told.board
    _tell(desk, before, told.board, told.opened, told.closed, now_ms)
    problems = by_reason(reasons)
    down_ms = told.board.down_since_ms
    if down_ms is not None and down_ms != now_ms:
        return [
            f"{desk.exchange} answers for no symbol since {format_ms(down_ms)}; tried with {one}" for one in problems
        ]
    return problems


def _tell(desk: Desk, before: Board, after: Board, opened: Iterable[str], closed: Iterable[str], now_ms: int) -> None:
    """Log what began and what ended: each once."""
    for symbol in opened:
        desk.log.warning("Symbol %s fails cycle after cycle and is asked less often from now on.", symbol)
    for symbol in closed:
        lasted = format_duration(now_ms - before.failing[symbol].since_ms)
        desk.log.info("Symbol %s is answered for again, after %s.", symbol, lasted)
    if before.down_since_ms is not None and after.down_since_ms is None:
        desk.log.info("%s answers again, after %s.", desk.exchange, format_duration(now_ms - before.down_since_ms))


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
