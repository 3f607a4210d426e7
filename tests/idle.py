"""Time for tests of patience: a running event loop that has nothing to do but wait does not wait.

The law: only the loop's own clock moves; what asks the monotonic clock itself sees no time pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["skipping_idle_time"]


@contextmanager
def skipping_idle_time() -> Iterator[None]:
    """Have the running loop jump to the next timer instead of sleeping until it is due."""
    loop: Any = asyncio.get_running_loop()
    selector, time = loop._selector, loop.time
    select, skipped = selector.select, [0.0]

    def jump(timeout: float | None = None) -> Any:
        events = select(0)
        if not events and timeout:
            skipped[0] += timeout
        return events

    selector.select, loop.time = jump, lambda: time() + skipped[0]
    try:
        yield
    finally:
        selector.select = select
        loop.time = lambda: time() + skipped[0]  # a clock does not go back
