"""What the engine shows to the outside of being alive: a heartbeat file, and an address that is asked.

The law: neither ever delays or fails a cycle; what cannot be shown is logged once.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.clock import monotonic_s, wall_now_ms
from core.errors import DiskError
from core.jobs._desk import Desk
from core.store.heartbeat import Heartbeat, heartbeat_path, write_heartbeat

__all__ = ["Ping", "Pulse"]

WRITE_EVERY_S = 1.0  # of machine time: a fast replay has hundreds of cycles in it
PING_EVERY_S = 55.0  # cycles come once a minute, give or take a moment

Ping = Callable[[str, bool], None]
"""Given an address and whether all is well, asks it without making anybody wait."""


@dataclass(slots=True)
class Pulse:
    """Shows how the engine is after each cycle.

    Parameters
    ----------
    database : Path
        The heartbeat lies beside it.
    limit_s : float
        Silence for longer than this is a fault, seconds.
    ping : callable, optional
        What asks `app.ping_url`.
    read_s : callable, optional
        A clock that only goes forward, seconds.
    """

    database: Path
    limit_s: float
    ping: Ping | None = None
    read_s: Callable[[], float] = monotonic_s
    _last: Heartbeat | None = field(default=None, init=False)
    _written_s: float = field(default=float("-inf"), init=False)
    _pinged_s: float = field(default=float("-inf"), init=False)
    _trouble: str = field(default="", init=False)
    _version: str = field(default="", init=False)

    def beat(
        self, desk: Desk, now_ms: int, cycle: int, took_ms: int, is_well: bool, failing: tuple[str, ...] = ()
    ) -> None:
        """Show that a cycle has ended.

        Parameters
        ----------
        desk : Desk
        now_ms : int
            Market time of the cycle.
        cycle : int
            Its number since the start.
        took_ms : int
        is_well : bool
            Whether every stage went well.
        failing : tuple of str
            Jobs that fail again and again.
        """
        mode = "synthetic" if desk.market.synthetic else "live" if desk.market.live else "replay"
        self._version = self._version or _program_version()
        who = (os.getpid(), socket.gethostname(), self._version, desk.exchange, mode)
        self._last = Heartbeat(*who, wall_now_ms(), now_ms, cycle, took_ms, self.limit_s, failing)
        self._write(desk)
        self._ask(desk, is_well)

    def touch(self, desk: Desk) -> None:
        """Show that the engine waits for a tape, and that nothing else is the matter."""
        if self._last is not None:
            self._last = replace(self._last, machine_ms=wall_now_ms())
            self._write(desk)

    def end(self, desk: Desk) -> None:
        """Show that the process ends in order."""
        if self._last is not None:
            self._last = replace(self._last, machine_ms=wall_now_ms(), state="ended")
            self._written_s = float("-inf")
            self._write(desk)

    def _write(self, desk: Desk) -> None:
        if self._last is None or self.read_s() - self._written_s < WRITE_EVERY_S:
            return
        self._written_s = self.read_s()
        try:
            write_heartbeat(heartbeat_path(self.database), self._last)
        except DiskError as error:
            if str(error) != self._trouble:
                desk.log.warning("%s", error)
            self._trouble = str(error)
        else:
            self._trouble = ""

    def _ask(self, desk: Desk, is_well: bool) -> None:
        url = desk.config.app.ping_url.get_secret_value()
        if self.ping is None or not url or self.read_s() - self._pinged_s < PING_EVERY_S:
            return
        self._pinged_s = self.read_s()
        self.ping(url, is_well)


def _program_version() -> str:
    try:
        return version("trader-ai")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"
