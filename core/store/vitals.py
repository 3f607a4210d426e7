"""The few questions a health check asks, over a connection of its own and without a library of weight.

The law: it reads only, in one snapshot, and closes at once; it answers within a moment, also while the engine writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from core.errors import StoreError

__all__ = ["Run", "Vitals", "read_vitals"]

_BUSY_MS = 500
_WAITING = (
    "SELECT count(*), coalesce(min(created_ms), 0) FROM outbox "
    "WHERE state = 'queued' AND channel IN (SELECT value FROM json_each(?))"
)
_REFUSED = "SELECT count(*) FROM outbox WHERE state = 'failed' AND marked_ms >= ?"
_RUNS = 20  # of a job, newest first: enough to say how often in a row it failed


@dataclass(frozen=True, slots=True)
class Run:
    """The newest runs of a job: when the last began, how many failed in a row up to it, what it said."""

    last_ms: int
    failed_in_a_row: int
    detail: str


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the database says of the engine's state.

    Parameters
    ----------
    frontiers : dict of str to int
        By symbol, up to when the base candles of the exchange are complete, UTC milliseconds.
    off : dict of str to str
        Switched-off symbols and why.
    runs : dict of str to Run
        By job.
    waiting : int
        Messages not delivered yet.
    oldest_waiting_ms : int
        When the oldest of them was queued; 0 where none waits.
    refused : int
        Messages refused for good lately.
    wal_bytes : int
        Size of the write-ahead log.
    """

    frontiers: dict[str, int]
    off: dict[str, str]
    runs: dict[str, Run]
    waiting: int
    oldest_waiting_ms: int
    refused: int
    wal_bytes: int


def read_vitals(path: Path, exchange: str, timeframe: str, channels: Sequence[str], refused_from_ms: int) -> Vitals:
    """Ask the database.

    Parameters
    ----------
    path : Path
    exchange, timeframe : str
        Whose frontiers.
    channels : sequence of str
        Whose waiting messages are counted.
    refused_from_ms : int
        Messages refused before are not counted.

    Raises
    ------
    StoreError
        It cannot be read, or is not one of ours.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        connection = apsw.Connection(
            f"{path.absolute().as_uri()}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            connection.set_busy_timeout(_BUSY_MS)
            connection.execute("BEGIN")
            waiting, oldest_ms = _one(connection, _WAITING, json.dumps(list(channels)))
            (refused,) = _one(connection, _REFUSED, refused_from_ms)
            return Vitals(
                frontiers=_frontiers(connection, exchange, timeframe),
                off=_off(connection, exchange),
                runs=_runs(connection),
                waiting=waiting,
                oldest_waiting_ms=oldest_ms,
                refused=refused,
                wal_bytes=log.stat().st_size if log.exists() else 0,
            )
        finally:
            connection.close()
    except (apsw.Error, OSError) as error:
        raise StoreError(f"database {path}: cannot be read ({error})") from error


def _rows(connection: apsw.Connection, statement: str, *values: int | str) -> list[tuple[Any, ...]]:
    return list(connection.execute(statement, values))


def _one(connection: apsw.Connection, statement: str, *values: int | str) -> tuple[int, ...]:
    (row,) = _rows(connection, statement, *values)
    return tuple(int(value) for value in row)


def _frontiers(connection: apsw.Connection, exchange: str, timeframe: str) -> dict[str, int]:
    statement = "SELECT symbol, coalesce(frontier_ms, 0) FROM series WHERE exchange = ? AND timeframe = ?"
    return {str(symbol): int(ms) for symbol, ms in _rows(connection, statement, exchange, timeframe)}


def _off(connection: apsw.Connection, exchange: str) -> dict[str, str]:
    rows = _rows(connection, "SELECT symbol, reason FROM symbols_off WHERE exchange = ?", exchange)
    return {str(symbol): str(reason) for symbol, reason in rows}


def _runs(connection: apsw.Connection) -> dict[str, Run]:
    statement = "SELECT status, started_ms, detail FROM job_runs WHERE job = ? ORDER BY id DESC LIMIT ?"
    found = {}
    for (job,) in _rows(connection, "SELECT DISTINCT job FROM job_runs ORDER BY job"):
        rows = _rows(connection, statement, job, _RUNS)
        failed = next((k for k, (status, _, _) in enumerate(rows) if status != "failed"), len(rows))
        found[str(job)] = Run(int(rows[0][1]), failed, str(rows[0][2]))
    return found
