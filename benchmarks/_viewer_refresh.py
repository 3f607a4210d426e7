"""What a page costs to draw again by itself: questions asked and processor seconds, when nothing is new and when a
minute is.

The law: the page's own function draws, in this process and without a browser; a question is a connection opened.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from benchmarks._viewer_browser import PAGES
from benchmarks._viewer_minutes import MinuteWriter
from core.store.writer import Writer

__all__ = ["Cost", "refreshes"]

_FILES = {"signals": "signals_candles"}
_WITHIN_S = 300


@dataclass(frozen=True, slots=True)
class Cost:
    """What drawing a page took.

    Parameters
    ----------
    questions : int
        Connections opened.
    cpu_s : float
        Of this process.
    """

    questions: int
    cpu_s: float


class _Count:
    """Counts connections as they are opened."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, _connection: apsw.Connection) -> None:
        self.n += 1


def refreshes(config: Path, database: Path, exchange: str, rounds: int) -> dict[str, tuple[Cost, Cost]]:
    """Return by page what drawing it again costs when nothing is new, and when a minute is; medians of some rounds."""
    os.environ["TRADER_CONFIG"] = str(config)
    for name in ("TRADER_DB", "TRADER_PROFILE"):
        os.environ.pop(name, None)
    quiet = logging.getLogger("streamlit")  # it misses a server, which is as it should be here
    before, program = quiet.level, sys.modules["__main__"]
    quiet.setLevel(logging.ERROR)
    count, found = _Count(), {}
    apsw.connection_hooks.append(count)
    try:
        with Writer(database) as writer:
            minutes = MinuteWriter(writer, exchange)
            for page in PAGES:
                found[page] = _page(page, minutes, count, rounds)
    finally:
        apsw.connection_hooks.remove(count)
        quiet.setLevel(before)
        sys.modules["__main__"] = program  # a page takes its place, and a process started later would run it
    return found


def _page(page: str, minutes: MinuteWriter, count: _Count, rounds: int) -> tuple[Cost, Cost]:
    file = _FILES.get(page, page)
    from streamlit.testing.v1 import AppTest  # here, so that the readers' processes do without it

    at = AppTest.from_string(f"from core.dashboard.{file} import page\npage()\n", default_timeout=_WITHIN_S)
    at.run()

    def drawn() -> None:
        at.run()
        if at.exception:
            raise RuntimeError(f"{page}: {at.exception[0].message}")

    def looked_anew() -> None:
        # A page looks at the database again only after a while; here that while is over.
        del at.session_state[f"snapshot {PAGES[page]}"]

    same, later = [], []
    for _ in range(rounds):
        same.append(_cost(drawn, count))
        minutes.write()
        looked_anew()
        later.append(_cost(drawn, count))
    return _median(same), _median(later)


def _cost(work: Callable[[], None], count: _Count) -> Cost:
    asked, began = count.n, time.process_time()
    work()
    return Cost(count.n - asked, time.process_time() - began)


def _median(costs: list[Cost]) -> Cost:
    return Cost(round(statistics.median(one.questions for one in costs)), statistics.median(one.cpu_s for one in costs))
