"""What is read off the engine while it runs: times, sizes, and the kinds of problems it warned of.

The law: what measures keeps no more than it laid out before the first minute.
"""

from __future__ import annotations

import logging
import re
from array import array
from collections import Counter
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks._soak_gauges import descriptors, file_bytes, resident_bytes, threads
from benchmarks._soak_stage import Plan
from core.clock import DAY_MS, HOUR_MS

__all__ = ["Gauges", "Kinds", "kind_of"]

_KINDS = 60  # different problems that are told apart
_SYMBOL = re.compile(r"\b[A-Z0-9]+/USDT:USDT\b")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?(?: UTC)?)?")
_NUMBER = re.compile(r"\b\d[\d.,:]*\b")


def kind_of(text: str) -> str:
    """Return what several lines about the same kind of problem have in common.

    Examples
    --------
    >>> kind_of("sync: S03/USDT:USDT and 4 more: no candle later than 2023-01-23 10:04 UTC where one is due")
    'sync: SYMBOL and N more: no candle later than TIME where one is due'
    """
    return _NUMBER.sub("N", _DATE.sub("TIME", _SYMBOL.sub("SYMBOL", text)))[:120]


class Kinds(logging.Handler):
    """Counts what the engine warns of, by kind, and forgets the words."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Count one line."""
        kind = kind_of(record.getMessage())
        self.counts[kind if kind in self.counts or len(self.counts) < _KINDS else "of other kinds"] += 1


class Gauges:
    """What is read off the engine each minute and each hour; its memory is laid out at the start.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._wal = plan.database.with_name(plan.database.name + "-wal")
        n = int((plan.end_ms - plan.start_ms) // plan.step_ms) + 1
        self.cycle_ms = np.full(n, np.nan, dtype=np.float32)  # `full` touches every page, `empty` would not
        self.beside = np.full(n, 0, dtype=np.int8)  # 1 a weekly job ran, 2 upkeep did
        self.cycles, self.wal_peak, self.wal_peak_ms, self.wal_stuck, self.wal_after = 0, 0, 0, 0, 0
        self.hours: dict[str, array[float]] = {
            name: array("d") for name in ("day", "rss", "fds", "threads", "wal", "db")
        }
        self._began, self._next_hour_ms = 0.0, plan.start_ms

    def begin(self, trains: bool, upkeep: bool) -> None:
        """Start the clock of a minute."""
        self._began = perf_counter()
        if self.cycles < len(self.beside):
            self.beside[self.cycles] = int(trains) + 2 * int(upkeep)

    def end(self, now_ms: int) -> bool:
        """Stop it; say whether an hour was read off."""
        if self.cycles < len(self.cycle_ms):
            self.cycle_ms[self.cycles] = (perf_counter() - self._began) * 1000
        self.cycles += 1
        wal = self._read_log(now_ms)
        if now_ms < self._next_hour_ms:
            return False
        self._next_hour_ms = now_ms + HOUR_MS
        for name, value in (
            ("day", (now_ms - self.plan.start_ms) / DAY_MS),
            ("rss", resident_bytes()),
            ("fds", descriptors()),
            ("threads", threads()),
            ("wal", wal),
            ("db", file_bytes(self.plan.database)),
        ):
            self.hours[name].append(np.nan if value is None else float(value))
        return True

    def _read_log(self, now_ms: int) -> int:
        """Look at the log's size: while a reader hangs and for an hour after it, it is another story."""
        wal, (from_ms, to_ms) = file_bytes(self._wal), self.plan.stuck_ms
        if from_ms <= now_ms < to_ms + HOUR_MS:
            self.wal_stuck = max(self.wal_stuck, wal)
        elif wal > self.wal_peak:
            self.wal_peak, self.wal_peak_ms = wal, now_ms
        if now_ms < to_ms + 2 * HOUR_MS:
            self.wal_after = wal
        return wal

    def told(self) -> dict[str, Any]:
        """Return what was measured, in plain values."""
        n = min(self.cycles, len(self.cycle_ms))
        return {
            "cycles": self.cycles,
            "cycle_ms": self.cycle_ms[:n].tolist(),
            "beside": self.beside[:n].tolist(),
            "wal_peak": self.wal_peak,
            "wal_stuck": self.wal_stuck,
            "wal_after": self.wal_after,
            "wal_peak_day": (self.wal_peak_ms - self.plan.start_ms) / DAY_MS,
            "hours": {name: list(values) for name, values in self.hours.items()},
        }
