"""SIGINT and SIGTERM, handed to the loop that is to end.

The law: handlers are put back as they were found.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["signals_to"]


@contextlib.contextmanager
def signals_to(stop: Callable[[], None], at_once: Callable[[], None]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a call while inside.

    Parameters
    ----------
    stop : callable
        Called in the loop that runs now, as soon as it is free.
    at_once : callable
        Called before, wherever the main thread is: the loop may be busy for as long as a stage computes.
    """
    loop = asyncio.get_running_loop()

    def asked(_number: int, _frame: FrameType | None) -> None:
        at_once()
        loop.call_soon_threadsafe(stop)

    wanted = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in wanted}
    for number in wanted:  # signal.signal works on Windows too, add_signal_handler does not
        signal.signal(number, asked)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
