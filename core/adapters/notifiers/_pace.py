"""Pacing: how fast messages may leave for one chat.

The law: real time only, from the monotonic clock; a tape's clock says nothing about what a messenger bears.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from core.clock import monotonic_s

__all__ = ["Pace"]


class Pace:
    """Lets one message leave at a time, an interval apart and never more than so many a minute.

    Parameters
    ----------
    interval_s : float
        Seconds between two messages.
    per_minute : int, optional
        Messages within any sixty seconds; no such limit when not given.
    clock : callable
        Seconds of a clock that never steps back.
    sleep : callable
        Waits that many seconds.
    """

    def __init__(
        self,
        interval_s: float,
        per_minute: int | None = None,
        clock: Callable[[], float] = monotonic_s,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval_s = interval_s
        self._per_minute = per_minute
        self._clock = clock
        self._sleep = sleep
        self._sent: deque[float] = deque(maxlen=per_minute or 1)
        self._resume_at = 0.0

    async def turn(self) -> None:
        """Wait until a message may leave, and count it."""
        while (wait_s := self._wait_s()) > 0:
            await self._sleep(wait_s)
        self._sent.append(self._clock())

    def rest(self, seconds: float) -> None:
        """Note that the other side asked to be left alone."""
        self._resume_at = self._clock() + seconds

    def resting_s(self) -> float:
        """Return the seconds for which the other side still asked to be left alone."""
        return max(0.0, self._resume_at - self._clock())

    def _wait_s(self) -> float:
        if not self._sent:
            return 0.0
        now = self._clock()
        wait = self._sent[-1] + self._interval_s - now
        if self._per_minute and len(self._sent) == self._per_minute:
            wait = max(wait, self._sent[0] + 60.0 - now)
        return wait
