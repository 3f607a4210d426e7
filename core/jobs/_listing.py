"""What the exchange lists: read at the start, daily, and when something is amiss; and symbols that are gone for good.

The law: a symbol is gone only when several readings, some time apart, lack it while they hold others of its kind, and
no candle of it came in between. One empty or cut answer ends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from core.clock import DAY_MS, MINUTE_MS
from core.errors import MarketError
from core.ingest.frontier import Series
from core.jobs._announce import note_rows
from core.jobs._book import DELISTED
from core.jobs._desk import Desk
from core.jobs._series import Pulled

__all__ = ["Listing", "read_listing", "switch_off"]

RELIST_MS = 15 * MINUTE_MS  # at least between two readings of the exchange's list
STALE_CYCLES = 10  # faults in a row after which the exchange's list of symbols is read again
GONE_LOOKS = 3  # readings in a row that must lack a symbol, `RELIST_MS` apart
LIST_S = 12.0  # for one reading: nobody is asked for candles meanwhile


@dataclass(slots=True)
class _Absence:
    """A followed symbol that the list lacks."""

    looks: int
    checkpoint_ms: int | None


@dataclass(slots=True)
class Listing:
    """What is remembered of the list; counted anew after a start."""

    known: set[str] = field(default_factory=set)
    faults: dict[str, int] = field(default_factory=dict)
    absent: dict[str, _Absence] = field(default_factory=dict)
    due_ms: int = 0
    earliest_ms: int = 0

    def count(self, symbol: str, is_faulty: bool) -> None:
        """Count the cycles in a row in which something was wrong with a symbol."""
        self.faults[symbol] = self.faults.get(symbol, 0) + 1 if is_faulty else 0

    def suspect(self, unknown: Iterable[Pulled], now_ms: int) -> None:
        """Read the list again soon where the exchange does not know a symbol that it listed when last read."""
        if any(pulled.symbol in self.known for pulled in unknown):
            self.due_ms = max(now_ms, self.earliest_ms)

    def is_due(self, symbols: Iterable[str], now_ms: int) -> bool:
        """Say whether the list is to be read; a reading planned further ahead than any is due too."""
        is_amiss = any(count >= STALE_CYCLES for count in self.faults.values())
        is_lacking = not self.known.issuperset(symbols)
        due_ms = self.earliest_ms if is_amiss or is_lacking else self.due_ms
        return now_ms >= due_ms or due_ms > now_ms + DAY_MS

    def note(self, symbols: Iterable[str], listed: Iterable[str], series: Mapping[str, Series], now_ms: int) -> None:
        """Take in a reading."""
        found = set(listed)
        kinds = {_kind(symbol) for symbol in found}
        absent: dict[str, _Absence] = {}
        for symbol in symbols:
            if symbol in found or _kind(symbol) not in kinds:
                continue  # an answer without one symbol of a kind says nothing about that kind
            before, reached_ms = self.absent.get(symbol), _reached(series, symbol)
            is_same = before is not None and before.checkpoint_ms == reached_ms
            absent[symbol] = _Absence(before.looks + 1 if before is not None and is_same else 1, reached_ms)
        self.absent, self.known = absent, found
        self.due_ms = now_ms + DAY_MS

    def ended(self, desk: Desk, series: Mapping[str, Series]) -> dict[str, str]:
        """Return the followed symbols that are gone for good, with the reason."""
        return {
            symbol: DELISTED
            for symbol, absence in self.absent.items()
            if symbol in desk.symbols
            and absence.looks >= GONE_LOOKS
            and absence.checkpoint_ms is not None
            and absence.checkpoint_ms == _reached(series, symbol)
        }


async def read_listing(desk: Desk, listing: Listing, series: Mapping[str, Series], now_ms: int) -> list[str]:
    """Store what the exchange says about the followed symbols, where that is due; return what went wrong."""
    if not listing.is_due(desk.symbols, now_ms):
        return []
    listing.earliest_ms = now_ms + RELIST_MS
    try:
        async with asyncio.timeout(LIST_S):
            instruments = await desk.market.load_markets()
    except MarketError as error:
        return [f"list of symbols: {error}"]
    except TimeoutError:
        return [f"list of symbols: {desk.exchange} did not answer within {LIST_S:.0f} s"]
    desk.writer.put_instruments([instruments[symbol] for symbol in desk.symbols if symbol in instruments])
    desk.memory.pop("instruments", None)  # read again by whoever keeps them
    listing.note(desk.symbols, instruments, series, now_ms)
    return []


def switch_off(desk: Desk, gone: Mapping[str, str], now_ms: int) -> None:
    """Follow symbols no longer, and say so."""
    for symbol, reason in gone.items():
        what = f"{desk.exchange} has ended it, and its trades with it" if reason == DELISTED else reason
        text = f"Symbol {symbol} is switched off: {what}. 'trader symbols resume {symbol}' takes it up again."
        with desk.writer.transaction():
            desk.writer.set_symbol_off(desk.exchange, symbol, reason, now_ms)
            desk.writer.queue(note_rows(f"off:{desk.exchange}:{symbol}:{now_ms}", text, list(desk.notifiers), now_ms))
        desk.symbols = [other for other in desk.symbols if other != symbol]
        desk.log.warning("%s", text)


def _kind(symbol: str) -> str:
    """What follows the base currency: spot and each sort of contract come in lists of their own."""
    return symbol.partition("/")[2]


def _reached(series: Mapping[str, Series], symbol: str) -> int | None:
    return series[symbol].checkpoint_ms if symbol in series else None
