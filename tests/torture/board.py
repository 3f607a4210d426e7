"""What outlives a killed process: counters in shared memory, and the places where a process may be made to die.

The law: a place is counted before anything happens there, so that a restarted process does not die of the same blow
again; what a dead process knew is only what stands on the board, in its files and in the database.
"""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable

import numpy as np

__all__ = ["CUT", "KILL", "NOTHING", "POINTS", "TERM", "Board"]

POINTS = (
    "cycle.before",
    "cycle.after",
    "sync.answer",
    "writer.commit.before",
    "writer.commit.after",
    "notifier.send.before",
    "notifier.send.after",
    "notifier.send.before_mark",
    "checkpoint.before",
    "checkpoint.after",
    "config.replace.before",
    "config.replace.after",
    "vfs.write",
    "vfs.sync",
)
"""Where a process may die."""

NOTHING, KILL, CUT, TERM = range(4)

_NAMES = (
    *("tick", "extra_ms", "calm_from", "acked", "sends", "unmarked", "ready"),
    *("death", "at_tick", "at_point", "at_count", "died"),
)
_PATIENCE = 12  # ticks after which a process dies at the next place of any kind
_ANY = -1


class Board:
    """Counters that a forked child and its parent share.

    Attributes
    ----------
    tick : int
        How often the market has moved; its clock goes on while no engine runs.
    acked : int
        The newest transaction whose commit was answered.
    sends : int
        Messages handed to the messenger so far.
    unmarked : int
        Marks of delivered messages that could not be written, the disk being full.
    calm_from : int
        Nothing dies from this tick on; 0: at any tick.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8 * (len(_NAMES) + len(POINTS)))
        self._values = np.frombuffer(self._memory, dtype=np.int64)
        self.cut: Callable[[], None] = lambda: None
        self.settle: Callable[[], None] = lambda: None

    def __getitem__(self, name: str) -> int:
        return int(self._values[_NAMES.index(name)])

    def __setitem__(self, name: str, value: int) -> None:
        self._values[_NAMES.index(name)] = value

    def reached(self, point: str) -> int:
        """Return how often a place was reached."""
        return int(self._values[len(_NAMES) + POINTS.index(point)])

    def arm(self, death: int, at_tick: int, point: str = "", count: int = 1) -> None:
        """Say how the next process dies: at the n-th visit of a place from a tick on; ``""`` is any place."""
        self["at_tick"], self["at_count"], self["died"] = at_tick, count, 0
        self["at_point"] = POINTS.index(point) if point else _ANY
        self["death"] = death

    def reach(self, point: str) -> None:
        """Count a visit, and die here where that was drawn."""
        number = POINTS.index(point)
        self._values[len(_NAMES) + number] += 1
        death, tick = self["death"], self["tick"]
        if death == NOTHING or tick < self["at_tick"] or 0 < self["calm_from"] <= tick:
            return
        if death == TERM and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            return  # nobody listens yet: that is a kill, not a request
        is_late = tick > self["at_tick"] + _PATIENCE
        if self["at_point"] not in (_ANY, number) and not is_late:
            return
        self["at_count"] -= 1
        if self["at_count"] <= 0 or is_late:
            self._die(death, number)

    def _die(self, death: int, number: int) -> None:
        self["death"], self["died"] = NOTHING, number + 1
        if death == TERM:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        # A killed process leaves what it wrote with the operating system; a power cut does not.
        (self.cut if death == CUT else self.settle)()
        os.kill(os.getpid(), signal.SIGKILL)
