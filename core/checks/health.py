"""Is the engine alive and well: what its heartbeat, its database and its disk say, for a person and for a supervisor.

The law: no network, nothing heavier than SQLite is loaded, and the engine is not disturbed; who asks while it works
and who asks after it has died get the same answer.
"""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.clock import format_duration, format_ms, wall_now_ms
from core.errors import TraderError
from core.results.health import Finding, health_of, health_words
from core.store.heartbeat import Heartbeat, heartbeat_path, read_heartbeat
from core.store.lock import is_held
from core.store.vitals import read_vitals

__all__ = ["LEAST_FREE_BYTES", "HealthRequest", "Verdict", "check_health"]

LEAST_FREE_BYTES = 200_000_000
"""Less space than this on the database's disk is a finding: a day of candles and its back-up would no longer fit."""

_START = "start it: `python scheduler_run.py`"
_FIRST = "its first cycle is under way"


@dataclass(frozen=True, slots=True)
class HealthRequest:
    """What to look at.

    Parameters
    ----------
    database : Path
    symbols : tuple of str
        Those configured.
    base_timeframe : str
        Whose frontier says how far the candles are.
    channels : tuple of str
        Messengers that are switched on: what waits for another one waits for nobody.
    zone : str
        Time zone of the reader.
    """

    database: Path
    symbols: tuple[str, ...]
    base_timeframe: str = "1m"
    channels: tuple[str, ...] = ()
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Parameters
    ----------
    findings : tuple of Finding
        Always in the same order.
    heartbeat : Heartbeat or None
        The last one; None where there is none.
    """

    findings: tuple[Finding, ...]
    heartbeat: Heartbeat | None

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.ok for finding in self.findings)

    def lines(self) -> list[str]:
        """Return the findings as text, what is wrong first."""
        return health_words(self.findings)

    def values(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        beat = self.heartbeat
        return {
            "ok": self.is_well,
            "findings": [asdict(finding) for finding in self.findings],
            "heartbeat": None if beat is None else asdict(beat),
        }


def check_health(request: HealthRequest, now_ms: int | None = None) -> Verdict:
    """Look at everything.

    Parameters
    ----------
    request : HealthRequest
    now_ms : int, optional
        The machine's time, UTC milliseconds.
    """
    at_ms = wall_now_ms() if now_ms is None else now_ms
    beat = read_heartbeat(heartbeat_path(request.database))
    findings = [_engine(beat, at_ms, request)]
    if beat is not None:
        findings += _stored(request, beat, at_ms)
    return Verdict((*findings, _disk(request.database)), beat)


def _engine(beat: Heartbeat | None, at_ms: int, request: HealthRequest) -> Finding:
    if beat is None:
        return Finding("engine", False, _unheard(request.database))
    age_ms = max(0, at_ms - beat.machine_ms)
    ago = f"{age_ms / 1000:.0f} s" if age_ms < 120_000 else format_duration(age_ms)
    cycle = f"cycle {beat.cycle} of {format_ms(beat.market_ms, request.zone)} ended {ago} ago, took {beat.took_ms} ms"
    who = f"{beat.mode} on {beat.exchange}, version {beat.version}, process {beat.pid}"
    is_gone = beat.host == socket.gethostname() and not _may_run(beat.pid)
    if (beat.state == "ended" or is_gone) and _is_starting(request.database):
        return Finding("engine", False, f"{_FIRST}; before that: {cycle} ({who})")
    if beat.state == "ended":
        return Finding("engine", False, f"it was ended in order {ago} ago; {_START} ({who})")
    if is_gone:
        return Finding("engine", False, f"its process {beat.pid} is gone; {cycle} ({who})")
    if age_ms > beat.limit_s * 1000:
        return Finding("engine", False, f"it stands still: {cycle}, limit {beat.limit_s:.0f} s ({who})")
    return Finding("engine", True, f"{cycle} ({who})")


def _unheard(database: Path) -> str:
    """Say why there is no heartbeat."""
    try:
        if is_held(database):
            return _FIRST
        what = "" if database.exists() else f" (and there is no database {database})"
    except OSError as error:
        return f"{error.filename or database}: {error.strerror or error}; check permissions and the disk"
    return f"it has never run on this database; {_START}{what}"


def _is_starting(database: Path) -> bool:
    """Say whether another engine holds the lock already; where that cannot be told, none does."""
    try:
        return is_held(database)
    except OSError:
        return False


def _stored(request: HealthRequest, beat: Heartbeat, at_ms: int) -> list[Finding]:
    """Return what the database says, at the market's time now: a tape's stands still between cycles."""
    now_ms = beat.market_ms + (max(0, at_ms - beat.machine_ms) if beat.mode == "live" else 0)
    try:
        asked = (beat.exchange, request.base_timeframe, request.channels, now_ms, request.symbols)
        facts = read_vitals(request.database, *asked)
    except TraderError as error:
        return [Finding("database", False, str(error))]
    # Whether cycles end is the engine's own finding: it knows the limit that holds for it.
    return [found for found in health_of(facts, request.zone) if found.name != "cycle"]


def _disk(database: Path) -> Finding:
    folder = database.absolute().parent
    try:
        folder = next((one for one in database.absolute().parents if one.exists()), folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("disk", False, f"{folder}: {error.strerror or error}")
    told = f"{free / 1e9:.1f} GB free, {LEAST_FREE_BYTES / 1e9:.1f} GB at least"
    return Finding("disk", free >= LEAST_FREE_BYTES, told)


def _may_run(pid: int) -> bool:
    """Say whether a process may exist; where the system does not tell, it may."""
    if os.name == "nt" or pid <= 0:
        return True  # signal 0 would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True
