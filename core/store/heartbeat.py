"""The heartbeat: a small file beside the database that says how the engine was when its last cycle ended.

The law: it is replaced whole, and a reader needs nothing but the file: no database, no network, no module of weight.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from core.errors import DiskError

__all__ = ["Heartbeat", "heartbeat_path", "read_heartbeat", "write_heartbeat"]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How the engine was.

    Parameters
    ----------
    pid, host : int, str
        Its process, and the machine or container that knows it by this number.
    version : str
        Of the program.
    exchange : str
        Rows are recorded under it.
    mode : str
        ``live``, ``replay`` or ``synthetic``.
    machine_ms, market_ms : int
        The machine's wall clock and the market's time when it was written, UTC milliseconds.
    cycle : int
        Cycles since the start of the process.
    took_ms : int
        How long the last one took.
    limit_s : float
        Silence for longer than this is a fault, seconds.
    failing : tuple of str
        Jobs that fail again and again.
    state : str
        ``running``, or ``ended`` where the process ended in order.
    """

    pid: int
    host: str
    version: str
    exchange: str
    mode: str
    machine_ms: int
    market_ms: int
    cycle: int
    took_ms: int
    limit_s: float
    failing: tuple[str, ...] = ()
    state: str = "running"


def heartbeat_path(database: Path) -> Path:
    """Return where the heartbeat of the engine on a database lies.

    Examples
    --------
    >>> heartbeat_path(Path("data/ohlcv.db")).name
    'ohlcv.db.heartbeat.json'
    """
    return database.with_name(f"{database.name}.heartbeat.json")


def write_heartbeat(path: Path, beat: Heartbeat) -> None:
    """Replace the file.

    It is not synced: after a power cut an older one, or none, tells as much.

    Raises
    ------
    DiskError
        It cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.write_text(json.dumps(asdict(beat)), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise DiskError(f"{path}: the heartbeat cannot be written ({error.strerror or error})") from error


def read_heartbeat(path: Path) -> Heartbeat | None:
    """Return the last heartbeat; None where there is none that can be read."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        values = {item.name: told[item.name] for item in fields(Heartbeat)}
        return Heartbeat(**{**values, "failing": tuple(values["failing"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
