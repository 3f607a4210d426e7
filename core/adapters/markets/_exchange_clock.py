"""The exchange's time, measured over the round trip and carried on by the monotonic clock in between.

The law: measuring never stops anything. What cannot be measured now is measured later, meanwhile the estimate runs on;
what is far from the estimate must be said twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.clock import monotonic_s, wall_now_ms

__all__ = ["ExchangeClock", "Reading"]

_STEP_MS = 1_000
_DRIFT_MS = 50.0  # of a machine's clock between two measurements, with room
_HOLD_MS = 5_000
_MEASURE_EVERY_S = 600.0
_MEASURE_AGAIN_S = 60.0
_FIRST_AGAIN_S = 5.0
_READINGS = 4
# A cycle waits for a measurement: briefly while there is an estimate, longer while nothing can be done without one.
_PATIENCE_S = 5.0
_FIRST_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What an exchange said.

    Parameters
    ----------
    said_ms : int
        UTC milliseconds.
    asked_s, answered_s : float
        Monotonic seconds at both ends of the round trip; the time was said somewhere in between.
    """

    said_ms: int
    asked_s: float
    answered_s: float

    @property
    def doubt_ms(self) -> float:
        """How far it may be from the truth: half a round trip."""
        return (self.answered_s - self.asked_s) * 500.0

    def at(self, now_s: float) -> float:
        """Return the exchange's time at a monotonic second, milliseconds."""
        return self.said_ms + (now_s - (self.asked_s + self.answered_s) / 2) * 1000.0


class ExchangeClock:
    """The exchange's time.

    Until the first measurement it is the machine's wall clock. A measurement is due at the start, every ten minutes,
    and when the wall clock was set or the machine slept, which shows as a difference between the two clocks.

    Parameters
    ----------
    wall_ms, ticks_s : callable
        The machine's clocks: wall time in ms, and seconds that only go forward.

    Attributes
    ----------
    is_measured : bool
        Whether the exchange ever told its time.
    """

    def __init__(self, wall_ms: Callable[[], int] = wall_now_ms, ticks_s: Callable[[], float] = monotonic_s) -> None:
        self._read_wall_ms, self._read_s = wall_ms, ticks_s
        self.is_measured = False
        self._not_before_s = float("-inf")
        self._last_ms, self._doubt_ms = 0, 0.0
        self._anchor(wall_ms())

    def now_ms(self) -> int:
        """Return the exchange's time, UTC milliseconds; small corrections never make it go back."""
        now = self._at_ms + round((self._read_s() - self._at_s) * 1000)
        if 0 < self._last_ms - now < _HOLD_MS:
            return self._last_ms
        self._last_ms = now
        return now

    def is_due(self) -> bool:
        """Say whether it is to be measured."""
        elapsed_s = self._read_s() - self._at_s
        has_stepped = abs(self._read_wall_ms() - self._wall_ms - elapsed_s * 1000) > _STEP_MS
        is_wanted = not self.is_measured or elapsed_s > _MEASURE_EVERY_S or has_stepped
        return is_wanted and self._read_s() >= self._not_before_s

    async def measure(self, read: Callable[[], Awaitable[Reading | None]]) -> None:
        """Take over what the exchange says, as far as it can be believed; put it off otherwise.

        Parameters
        ----------
        read : callable
            Asks the exchange once; None where it did not say.

        Notes
        -----
        A reading of more doubt than the estimate, and not at odds with it, tells nothing new, so one slow answer
        shifts nothing. Any other within a second is taken over. What is further off must be said by two readings that
        agree with each other; the one with the shorter round trip counts.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S if self.is_measured else _FIRST_PATIENCE_S):
                if await self._measure(read):
                    return
        except TimeoutError:
            pass
        self.put_off()

    async def _measure(self, read: Callable[[], Awaitable[Reading | None]]) -> bool:
        heard: list[Reading] = []
        for _ in range(_READINGS):
            reading = await read()
            if reading is None:
                continue
            now_s = self._read_s()
            off_ms = abs(reading.at(now_s) - self._estimate_ms(now_s))
            own_ms = self._doubt_ms + _DRIFT_MS
            if self.is_measured and own_ms < reading.doubt_ms and off_ms <= own_ms + reading.doubt_ms:
                self.set(round(self._estimate_ms(now_s)), own_ms)
                return True
            if off_ms <= _STEP_MS:
                self.set(round(reading.at(now_s)), reading.doubt_ms)
                return True
            like = [one for one in heard if _agree(one, reading, now_s)]
            if like:
                best = min(*like, reading, key=lambda one: one.doubt_ms)
                self.set(round(best.at(now_s)), best.doubt_ms)
                return True
            heard.append(reading)
        return False

    def set(self, told_ms: int, doubt_ms: float = 0.0) -> None:
        """Take over a measurement, made now; `doubt_ms` is how far it may be from the truth."""
        self._anchor(told_ms)
        self._doubt_ms = doubt_ms
        self.is_measured = True

    def set_to_wall(self) -> None:
        """Take the machine's time, for an exchange that does not tell its own."""
        self.set(self._read_wall_ms())

    def put_off(self) -> None:
        """Go on with the estimate for a while: the exchange did not say."""
        self._not_before_s = self._read_s() + (_MEASURE_AGAIN_S if self.is_measured else _FIRST_AGAIN_S)

    def _estimate_ms(self, now_s: float) -> float:
        return self._at_ms + (now_s - self._at_s) * 1000.0

    def _anchor(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._at_s = self._read_s()
        self._wall_ms = self._read_wall_ms()


def _agree(one: Reading, other: Reading, now_s: float) -> bool:
    return abs(one.at(now_s) - other.at(now_s)) <= _STEP_MS + one.doubt_ms + other.doubt_ms
