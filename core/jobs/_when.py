"""When something that was found out just now begins to hold.

The law: it holds for closes that nobody has decided yet, so that no close is judged twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from core.clock import MINUTE_MS, ceil_to, monotonic_s

__all__ = ["effective_ms", "not_before"]


def effective_ms(now_ms: int, began_s: float, live: bool) -> int:
    """Return from when on a finding is in force, UTC ms: the next minute but one, on a tape the next moment.

    Parameters
    ----------
    now_ms : int
        Market time at which the work began.
    began_s : float
        `clock.monotonic_s` then.
    live : bool
        Whether the market's time passed meanwhile; a tape waits, and has decided what closed at `now_ms`.
    """
    if not live:
        return now_ms + 1
    return ceil_to(now_ms + round((monotonic_s() - began_s) * 1000), MINUTE_MS) + MINUTE_MS


def not_before(since_ms: int, history_ms: Iterable[int]) -> int:
    """Return a moment, or the newest of a history where that lies behind it: what is put in force next follows it."""
    return max([since_ms, *history_ms])
