"""The few questions a health check asks, over a connection of its own and without a library of weight.

The law: it reads only, in one snapshot, and closes at once; it answers within a moment, also while the engine writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from core.errors import StoreError
from core.results.health import RECENT_MS, HealthFacts, JobState
from core.store._steps import SCHEMA_VERSION
from core.store.file import at_schema, refuse_missing, told

__all__ = ["LAST_STAGE", "read_vitals"]

LAST_STAGE = "scan_signals"
"""The job a cycle ends with."""

_BUSY_MS = 500
_WAITING = (
    "SELECT count(*), coalesce(min(created_ms), 0) FROM outbox "
    "WHERE state = 'queued' AND channel IN (SELECT value FROM json_each(?))"
)
_REFUSED = "SELECT count(*) FROM outbox WHERE state = 'failed' AND marked_ms >= ?"
_RUNS = 20  # of a job, newest first: enough to say how often in a row it failed


def read_vitals(
    path: Path, exchange: str, timeframe: str, channels: Sequence[str], now_ms: int, symbols: Sequence[str] = ()
) -> HealthFacts:
    """Ask the database what `core.results.health` judges by.

    Parameters
    ----------
    path : Path
    exchange, timeframe : str
        Whose frontiers.
    channels : sequence of str
        Whose waiting messages are counted.
    now_ms : int
        Market time, UTC milliseconds.
    symbols : sequence of str
        Those that are looked at; all that have a series where none is named.

    Raises
    ------
    StoreError, DiskError
        It cannot be read, or is not one of ours, or of another schema.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        refuse_missing(path)
        connection = apsw.Connection(
            f"{path.absolute().as_uri()}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            connection.set_busy_timeout(_BUSY_MS)
            connection.execute("BEGIN")
            at_schema(connection, path, SCHEMA_VERSION)
            waiting, oldest_ms = _one(connection, _WAITING, json.dumps(list(channels)))
            (refused,) = _one(connection, _REFUSED, now_ms - RECENT_MS)
            frontiers, off = _frontiers(connection, exchange, timeframe), _off(connection, exchange)
            jobs = _jobs(connection)
        finally:
            connection.close()
        wal_bytes = log.stat().st_size if log.exists() else 0
    except apsw.Error as error:
        raise told(error, path) from error
    except OSError as error:
        line = f"cannot be read ({error.strerror or error}); check permissions and the disk"
        raise StoreError(f"database {path}: {line}") from error
    looked_at = list(symbols) or list(frontiers)
    return HealthFacts(
        now_ms=now_ms,
        last_cycle_ms=jobs[LAST_STAGE].last_ms if LAST_STAGE in jobs else 0,
        frontiers={name: frontiers.get(name) or None for name in looked_at if name not in off},
        off={name: off[name] for name in looked_at if name in off},
        jobs=jobs,
        waiting=waiting,
        oldest_waiting_ms=oldest_ms,
        refused=refused,
        wal_bytes=wal_bytes,
    )


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


def _jobs(connection: apsw.Connection) -> dict[str, JobState]:
    statement = "SELECT status, started_ms, detail FROM job_runs WHERE job = ? ORDER BY id DESC LIMIT ?"
    found = {}
    for (job,) in _rows(connection, "SELECT DISTINCT job FROM job_runs ORDER BY job"):
        rows = _rows(connection, statement, job, _RUNS)
        failed = next((k for k, (status, _, _) in enumerate(rows) if status != "failed"), len(rows))
        found[str(job)] = JobState(int(rows[0][1]), failed, str(rows[0][2]))
    return found
