"""Stage `funding`: recorded funding rates of perpetuals, after each settlement.

The law: between two settlements it does nothing and asks nobody, nor while the exchange answers for no symbol; one
that does not answer delays the minute by seconds. What an exchange has no history of is left to
`execution.funding_rate_pct`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.clock import HOUR_MS, MINUTE_MS, monotonic_s
from core.errors import CredentialsError, MarketError
from core.execution.funding import next_settlement
from core.ingest.breaker import Board, breakers_key
from core.jobs._desk import Desk, Report, by_reason
from core.jobs._series import history_start
from core.schema import FloatArray, perpetual

__all__ = ["run"]

LONGEST_MS = 8 * HOUR_MS  # after a settlement; a market that settles more rarely is asked in vain
PAGE = 1_000
ASK_AGAIN_MS = (MINUTE_MS, MINUTE_MS, 5 * MINUTE_MS, 2 * MINUTE_MS, HOUR_MS)  # while one is not out; trades wait ten
FAILURES_A_MINUTE = 15  # in a row, one a cycle; then as rarely as one that is not out yet
AT_ONCE = 16  # symbols under way at a time
BEGIN_S = 8.0  # after this long nobody else is begun with; the next cycle goes on with them
SYMBOL_S = 8.0  # for one symbol, in a minute that others wait for


@dataclass(slots=True)
class Memory:
    """What `funding` keeps between runs; made again from the database after a start."""

    last_ms: dict[str, int] = field(default_factory=dict)
    due_ms: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)


async def run(desk: Desk, now_ms: int) -> Report:
    """Store the settlements that have become known.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Count of settlements; one line a reason why symbols failed.
    """
    memory: Memory = desk.memory.setdefault("funding", Memory())
    resting = _resting(desk, now_ms)
    due = [
        symbol
        for symbol in desk.symbols
        if symbol not in resting and perpetual(symbol) and _is_due(desk, memory, symbol, now_ms)
    ]
    if not due:
        return Report("funding")
    start_ms = history_start(desk, now_ms)
    found = await _fetch_all(desk, memory, due, start_ms)
    problems: list[tuple[str, str]] = []
    count = 0
    with desk.writer.transaction():
        for symbol, rows in found:
            if isinstance(rows, np.ndarray) and len(rows):
                desk.writer.put_funding(desk.exchange, symbol, rows)
                count += len(rows)
    for symbol, rows in found:
        if isinstance(rows, str):
            problems.append((symbol, rows))
            _fail(desk, memory, symbol, now_ms)
        elif rows is None:
            memory.without.add(symbol)
        elif not len(rows):
            _put_off(desk, memory, symbol, now_ms)
        else:
            _settle(desk, memory, symbol)
    lines = tuple(by_reason(problems))
    return Report("funding", not lines, {"settlements": count}, lines, MarketError.exit_code)


def _resting(desk: Desk, now_ms: int) -> Collection[str]:
    """Return the symbols `sync` leaves alone just now."""
    board = Board.from_text(desk.reader.meta(breakers_key(desk.exchange)))
    if board.down_since_ms is not None:
        return desk.symbols
    return {symbol for symbol, failing in board.failing.items() if failing.is_resting(now_ms)}


def _is_due(desk: Desk, memory: Memory, symbol: str, now_ms: int) -> bool:
    if symbol in memory.without:
        return False
    if symbol not in memory.due_ms:
        _settle(desk, memory, symbol)
    due_ms = memory.due_ms[symbol]
    # A settlement planned further ahead than any was planned by a clock that was wrong.
    return now_ms >= due_ms or due_ms > now_ms + 2 * LONGEST_MS


async def _fetch_all(
    desk: Desk, memory: Memory, symbols: Sequence[str], start_ms: int
) -> list[tuple[str, FloatArray | str | None]]:
    """Fetch for as many symbols as there is time for; see `_fetch`."""
    began_s, turnstile = monotonic_s(), asyncio.Semaphore(AT_ONCE)

    async def one(symbol: str) -> list[tuple[str, FloatArray | str | None]]:
        async with turnstile:
            if desk.market.live and monotonic_s() - began_s > BEGIN_S:
                return []
            return [(symbol, await _fetch(desk, memory, symbol, start_ms))]

    return [told for rows in await asyncio.gather(*(one(symbol) for symbol in symbols)) for told in rows]


async def _fetch(desk: Desk, memory: Memory, symbol: str, start_ms: int) -> FloatArray | str | None:
    """Settlements after the last stored one; None where the market keeps no history; text where it failed."""
    since_ms = memory.last_ms.get(symbol, start_ms - 1) + 1
    try:
        async with asyncio.timeout(SYMBOL_S):
            rows = await desk.market.fetch_funding(symbol, since_ms, PAGE)
    except (MarketError, CredentialsError) as error:
        return str(error)
    except TimeoutError:
        return f"{desk.exchange} funding: no useful answer within {SYMBOL_S:.0f} s"
    return None if rows is None else rows[(rows[:, 0] >= since_ms) & np.isfinite(rows).all(axis=1)]


def _settle(desk: Desk, memory: Memory, symbol: str) -> None:
    """Set the next settlement by the rhythm of the record; one that is past already is asked for at once."""
    known = desk.reader.funding(desk.exchange, symbol)
    memory.due_ms[symbol] = memory.asked[symbol] = memory.failed[symbol] = 0
    if len(known):
        last_ms = memory.last_ms[symbol] = int(known[-1, 0])
        memory.due_ms[symbol] = min(next_settlement(known, last_ms), last_ms + LONGEST_MS)


def _fail(desk: Desk, memory: Memory, symbol: str, now_ms: int) -> None:
    """Ask again the next cycle for a while: trades wait for a settlement, and what failed may be out already."""
    memory.failed[symbol] = memory.failed.get(symbol, 0) + 1
    if memory.failed[symbol] > FAILURES_A_MINUTE:
        _put_off(desk, memory, symbol, now_ms)


def _put_off(desk: Desk, memory: Memory, symbol: str, now_ms: int) -> None:
    """Ask ever more rarely, until the next settlement is due: trades wait for that one as for the first."""
    tries = memory.asked.get(symbol, 0)
    again_ms = now_ms + ASK_AGAIN_MS[min(tries, len(ASK_AGAIN_MS) - 1)]
    expected_ms = next_settlement(desk.reader.funding(desk.exchange, symbol), now_ms)
    memory.asked[symbol] = tries + 1 if again_ms < expected_ms else 0
    memory.due_ms[symbol] = min(again_ms, expected_ms)
