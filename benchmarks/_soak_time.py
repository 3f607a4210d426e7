"""Market time: weekly jobs a tape does not wait for, and jobs that are due by the market's clock.

The law: the scheduler sees a market like any other. A market day lasts less than a minute here, so what production
runs every so often by the clock on the wall is run by the market's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

from benchmarks._soak_watch import Gauges
from core.clock import MINUTE_MS
from core.errors import TraderError
from core.jobs import maintain
from core.jobs._desk import Desk, Report
from core.jobs.weekly import Weekly
from core.ports import Market
from core.schema import Instrument

__all__ = ["BUSY_MINUTE_S", "BY_MARKET_TIME", "Beside", "Flowing", "Timetable"]

Job = Callable[[Desk, int], Awaitable[Report]]

BY_MARKET_TIME: tuple[tuple[str, Job, int], ...] = (("maintain", maintain.run, 30 * MINUTE_MS),)
"""Jobs that the scheduler runs every so often on the wall's clock."""

BUSY_MINUTE_S = 1.0
"""How long a market minute lasts while upkeep runs, seconds: still sixty times as fast as on a market."""


class Beside(Weekly):
    """Weekly jobs that a tape does not wait for, as a live market does not."""

    async def look(self, desk: Desk, now_ms: int) -> None:
        """Start what is due."""
        await Weekly.look(self, replace(desk, market=Flowing(desk.market)), now_ms)

    @property
    def is_busy(self) -> bool:
        return self._running is not None and not self._running.done()

    async def ended(self) -> None:
        """Wait for what runs."""
        if self._running is not None:
            await self._running


class Flowing:
    """A tape that passes for a live market: time goes on, whoever is at work."""

    live = True

    def __init__(self, inner: Market) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Timetable:
    """A market between whose moments jobs are run that are due by its time; the scheduler sees only the market.

    Parameters
    ----------
    inner : Market
    gauges : Gauges
    """

    def __init__(self, inner: Market, gauges: Gauges) -> None:
        self._inner, self._gauges = inner, gauges
        self.exchange, self.synthetic, self.live = inner.exchange, inner.synthetic, inner.live
        self._next_ms = {name: inner.now_ms() + every for name, _, every in BY_MARKET_TIME}
        self.desk: Desk | None = None
        self.weekly: Beside | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self.took_ms: dict[str, list[float]] = {name: [] for name, *_ in BY_MARKET_TIME}

    def now_ms(self) -> int:
        """Return the market's time."""
        return self._inner.now_ms()

    async def advance(self) -> int | None:
        """Start what is due, and move on; at the end wait for what still runs."""
        self._start_due()
        await asyncio.sleep(0)  # what was started, and the alerts, have their turn
        if self._running:  # a back-up lasts seconds of the market's time too: not the hours that fly by here meanwhile
            await asyncio.wait(self._running.values(), timeout=BUSY_MINUTE_S)
        moment = await self._inner.advance()
        if moment is not None:
            self._gauges.begin(self.weekly is not None and self.weekly.is_busy, bool(self._running))
            return moment
        await asyncio.gather(*self._running.values())
        if self.weekly is not None:
            await self.weekly.ended()
        return None

    async def load_markets(self) -> dict[str, Instrument]:
        """Return the list."""
        return await self._inner.load_markets()

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Any:
        """Return candles."""
        return await self._inner.fetch_ohlcv(symbol, timeframe, since_ms, limit)

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> Any:
        """Return settlements."""
        return await self._inner.fetch_funding(symbol, since_ms, limit)

    async def close(self) -> None:
        """Release connections."""
        await self._inner.close()

    def _start_due(self) -> None:
        for name in [name for name, task in self._running.items() if task.done()]:
            self._running.pop(name).result()  # what nobody has named ends the soak
        now_ms = self.now_ms()
        for name, job, every in BY_MARKET_TIME:
            if self.desk is not None and now_ms >= self._next_ms[name] and name not in self._running:
                self._next_ms[name] = now_ms + every
                desk = replace(self.desk, market=Flowing(self.desk.market))  # a tape is not backed up
                self._running[name] = asyncio.create_task(self._run(name, job, desk, now_ms))

    async def _run(self, name: str, job: Job, desk: Desk, now_ms: int) -> None:
        began = perf_counter()
        try:
            problems = (await job(desk, now_ms)).problems
        except TraderError as error:
            problems = (str(error),)
        self.took_ms[name].append((perf_counter() - began) * 1000)
        for line in problems:
            desk.log.warning("%s: %s", name, line)
