"""Three clocks and what they say of each other: the machine's monotonic one, its wall clock, the market's.

The law: the monotonic clock paces, the market's decides and does not run back for a cycle, the wall clock is only
watched; what is wrong with a clock is said once, and again when it changes.
"""

from __future__ import annotations

from collections.abc import Callable

from core.clock import MINUTE_MS, format_duration, monotonic_s, wall_now_ms

__all__ = ["Clocks"]

STEP_MS = 2_000
"""A wall clock that moved by more than this against the monotonic one was set, or the machine slept."""

SKEW_MS = 2_000
"""The market's time may differ from the machine's by this much without a word."""


BELIEVED_AFTER_S = 900.0
"""A market's time that went back and stays there is taken as right after so long."""


class Clocks:
    """Watches the clocks of one process; every answer is a line to log, or None where there is nothing new to say.

    Parameters
    ----------
    wall_ms, ticks_s : callable
        The machine's clocks: wall time in ms, and seconds that only go forward.

    Attributes
    ----------
    step_ms : int
        How far the wall clock went at its last step, negative where back.
    """

    def __init__(self, wall_ms: Callable[[], int] = wall_now_ms, ticks_s: Callable[[], float] = monotonic_s) -> None:
        self._read_wall_ms, self._read_s = wall_ms, ticks_s
        self._wall_ms, self._ticks_s = wall_ms(), ticks_s()
        self._told_skew_ms = 0
        self._last_ms: int | None = None
        self._back_s: float | None = None
        self.step_ms = 0

    def look(self) -> str | None:
        """Compare the wall clock with the monotonic one since the last look."""
        wall_ms, ticks_s = self._read_wall_ms(), self._read_s()
        step_ms = (wall_ms - self._wall_ms) - round((ticks_s - self._ticks_s) * 1000)
        self._wall_ms, self._ticks_s = wall_ms, ticks_s
        if abs(step_ms) <= STEP_MS:
            return None
        self.step_ms = step_ms
        way, why = ("forward", "it was set, or the machine slept") if step_ms > 0 else ("back", "it was set")
        return f"the machine's clock went {way} by {_length(step_ms)} ({why}); cycles keep their pace"

    def skew(self, market_ms: int) -> str | None:
        """Compare the market's time with the machine's wall clock.

        Parameters
        ----------
        market_ms : int
            What a live market says now, UTC milliseconds.
        """
        skew_ms = market_ms - self._read_wall_ms()
        if abs(skew_ms - self._told_skew_ms) <= SKEW_MS:
            return None
        self._told_skew_ms = skew_ms if abs(skew_ms) > SKEW_MS else 0
        if not self._told_skew_ms:
            return "the machine's clock agrees with the market's again"
        way = "behind" if skew_ms > 0 else "ahead of"
        return f"the machine's clock is {_length(skew_ms)} {way} the market's; decisions follow the market's"

    def forward(self, now_ms: int) -> tuple[int, str | None]:
        """Return the time of the next cycle: the market's, but not earlier than the last cycle's.

        Parameters
        ----------
        now_ms : int
            What the market says, UTC milliseconds.

        Notes
        -----
        A market that has said the earlier time for a quarter of an hour was wrong before, and is believed from then on:
        a single answer from the future would else hold the engine until the future comes.
        """
        last_ms, back_s = self._last_ms, self._back_s
        if last_ms is None or now_ms >= last_ms:
            self._last_ms, self._back_s = now_ms, None
            return now_ms, None if back_s is None else "the market's time has caught up"
        if back_s is None:
            self._back_s = self._read_s()
            return last_ms, f"the market's time went back by {_length(now_ms - last_ms)}; cycles keep the time they had"
        if self._read_s() - back_s < BELIEVED_AFTER_S:
            return last_ms, None
        self._last_ms, self._back_s = now_ms, None
        return (
            now_ms,
            f"the market still says a time {_length(now_ms - last_ms)} back; it is taken as right from now on",
        )


def _length(ms: int) -> str:
    nearest_ms = round(abs(ms) / MINUTE_MS) * MINUTE_MS  # an hour less a millisecond is an hour
    return format_duration(nearest_ms) if abs(ms) >= MINUTE_MS else f"{abs(ms) / 1000:.1f} s"
