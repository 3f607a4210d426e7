"""The market's time as cycles meet it: when the next one is due, and at what time it decides.

The law: a live market's minutes come on the monotonic clock, a tape's as fast as they are played; a cycle does not
decide at an earlier time than the one before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from core.clock import ceil_to
from core.jobs._clocks import Clocks
from core.jobs._desk import Desk
from core.ports import Market

__all__ = ["SETTLE_MS", "Minutes"]

SETTLE_MS = 3_000
"""A candle is asked for this long after its close: exchanges publish it a moment late."""

ADVANCE_SECONDS = 20  # for a live market to say its time; after that its estimate is taken
LIFE_SECONDS = 1.0

T = TypeVar("T")


class Minutes:
    """Says when the next cycle is due and what time it is then.

    Parameters
    ----------
    done : asyncio.Event
        Set when nobody waits for a further cycle.
    clocks : Clocks
    show_life : callable
        Called again and again while a tape takes its time: nothing hangs then.
    """

    def __init__(self, done: asyncio.Event, clocks: Clocks, show_life: Callable[[], None]) -> None:
        self.clocks = clocks
        self._done, self._show_life = done, show_life
        self._last_ms = 0

    async def next(self, market: Market) -> int | None:
        """Return the market's next moment; None when it has ended, or when asked to stop before it comes."""
        if self._done.is_set():
            return None
        advancing = asyncio.ensure_future(market.advance())
        stopping = asyncio.ensure_future(self._done.wait())
        either = asyncio.wait(
            (advancing, stopping),
            timeout=ADVANCE_SECONDS if market.live else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        try:
            await self.patiently(market, either)
            if advancing.done():
                return advancing.result()
            return None if stopping.done() else market.now_ms()
        finally:
            advancing.cancel()
            stopping.cancel()

    async def patiently(self, market: Market, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something that may take as long as it likes on a tape, and show life meanwhile."""
        if market.live:
            return await work
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait((task,), timeout=LIFE_SECONDS))[0]:
                self._show_life()
            return task.result()
        finally:
            task.cancel()

    def forward(self, desk: Desk, now_ms: int) -> tuple[int, int]:
        """Return the time of the next cycle and how many live minutes were left out; say what is wrong with a clock.

        Parameters
        ----------
        desk : Desk
        now_ms : int
            What its market says, UTC milliseconds.
        """
        at_ms, told = self.clocks.forward(now_ms)
        is_live = desk.market.live
        for line in (told, self.clocks.skew(now_ms) if is_live else None):
            if line:
                desk.log.warning("%s", line)
        last_ms, self._last_ms = self._last_ms, at_ms
        left_out = (at_ms - last_ms + _step_ms(desk) // 2) // _step_ms(desk) - 1 if last_ms and is_live else 0
        return at_ms, max(0, left_out)

    def wait_s(self, desk: Desk, has_stepped: bool = False) -> float:
        """Return how long to wait for the next cycle: until a little after the next close; on a tape not at all.

        Parameters
        ----------
        desk : Desk
        has_stepped : bool
            The wall clock has just moved: where it went a minute or more forward, the machine has slept, the market's
            time may be an old one, and a cycle is due.
        """
        if not desk.market.live or (has_stepped and self.clocks.step_ms >= _step_ms(desk)):
            return 0.0
        now_ms = desk.market.now_ms()
        return (ceil_to(now_ms - SETTLE_MS + 1, _step_ms(desk)) + SETTLE_MS - now_ms) / 1000


def _step_ms(desk: Desk) -> int:
    return desk.config.incremental.run_seconds * 1000
