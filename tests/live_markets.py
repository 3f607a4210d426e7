"""Markets that follow a clock, for tests of the process: their minutes are short, and they hang where told to."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from core.clock import MINUTE_MS
from core.jobs._minutes import SETTLE_MS
from core.schema import Instrument
from tests.factories import START_MS

__all__ = ["BLOCKS", "WAITS", "LiveMarket"]

WAITS, BLOCKS = "waits", "blocks"


class LiveMarket:
    """A live market of which a minute is over whenever the schedule has waited for a moment.

    Parameters
    ----------
    pause_ms : int
        Real milliseconds between two cycles.
    hangs : str
        ``waits``: an answer never comes; ``blocks``: the whole process waits for it; else answers are empty.
    hangs_from : int
        The cycle from which on.
    """

    exchange, synthetic, live = "fake", False, True

    def __init__(self, pause_ms: int = 20, hangs: str = "", hangs_from: int = 1) -> None:
        self.pause_ms, self.hangs, self.hangs_from = pause_ms, hangs, hangs_from
        self.cycle = 0
        self.shift_ms = 0
        self.cancelled = 0

    def now_ms(self) -> int:
        """Return a time a moment before the next cycle is due."""
        return START_MS + self.shift_ms + (self.cycle + 1) * MINUTE_MS + SETTLE_MS - self.pause_ms

    async def advance(self) -> int | None:
        self.cycle += 1
        return START_MS + self.shift_ms + self.cycle * MINUTE_MS + SETTLE_MS

    async def load_markets(self) -> dict[str, Instrument]:
        await self._answer()
        return {}

    async def fetch_ohlcv(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> np.ndarray:
        await self._answer()
        return np.empty((0, 6))

    async def fetch_funding(self, symbol: str, since_ms: int, limit: int) -> np.ndarray | None:
        return None

    async def close(self) -> None:
        """Nothing is held."""

    async def _answer(self) -> None:
        if self.cycle < self.hangs_from:
            return
        if self.hangs == BLOCKS:
            time.sleep(3_600)
        if self.hangs == WAITS:
            try:
                await asyncio.sleep(3_600)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
