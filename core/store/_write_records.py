"""Writing the record: signals, decisions, trades, their events, alerts and runs of jobs.

The law: what was decided stays; a trade only moves forward; what is announced is queued in the transaction
that makes it true.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import numpy as np
import pandas as pd

from core.schema import DECISIONS, SIGNALS, TRADE_EVENTS, TRADES, FrameSpec, conform
from core.store._frames import IN_LIST, fetch, frame_to_columns, insert_columns, listed, select, where
from core.store._read_candles import SeriesKey
from core.store._read_records import live_terms_key

__all__ = [
    "MOVED",
    "mark_outbox",
    "move_trades",
    "note_live",
    "put_decisions",
    "put_events",
    "put_exit_policy",
    "put_job_run",
    "put_signals",
    "put_trades",
    "queue",
    "set_meta",
    "set_taken",
]

_RUNS_KEPT = 25_000  # of each job: more than a fortnight of minutes
_RUNS_BETWEEN_TRIMS = 53  # a prime: jobs that take turns would else never be the one that is looked at
_OUTBOX_DEFAULTS: Mapping[str, Any] = {"signal_id": 0, "exit_policy": ""}

_NEW_SIGNALS: FrameSpec = {name: dtype for name, dtype in SIGNALS.items() if name != "id"}
# Whether a trade is taken is decided by the limits alone; playing it on must not undo that.
_PLAYED = [name for name in TRADES if name not in ("signal_id", "exit_policy", "taken", "blocked_by")]
MOVED = ("next_ms", "stop", "extreme", "mfe_pct", "mae_pct")
"""What playing changes of a trade to which nothing happens."""

# What every played minute moves is compared first: one difference is enough.
_COMPARED = sorted(_PLAYED, key=lambda name: name != "next_ms")
_FORWARD = (
    "ON CONFLICT (signal_id, exit_policy) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _PLAYED)
    + ", updated_ms = excluded.updated_ms"
    + " WHERE trades.status IN ('PENDING', 'OPEN') AND excluded.next_ms >= trades.next_ms AND ("
    + " OR ".join(f"trades.{name} IS NOT excluded.{name}" for name in _COMPARED)
    + ")"
)


def put_signals(connection: apsw.Connection, frame: pd.DataFrame) -> pd.DataFrame:
    """Insert signals whose key is not there yet; return key, id and whether it is new, in the frame's order."""
    signals = conform(frame, _NEW_SIGNALS)
    keys = signals["key"].tolist()
    ids = _ids_of(connection, keys)
    fresh = np.array([key not in ids for key in keys], dtype=bool) & ~signals["key"].duplicated().to_numpy()
    n = int(fresh.sum())
    if n:
        insert_columns(connection, "signals", frame_to_columns(signals if n == len(signals) else signals[fresh]))
        last = connection.last_insert_rowid()  # SQLite numbers rows one by one
        ids.update(zip(signals["key"][fresh].tolist(), range(last - n + 1, last + 1), strict=True))
    columns = {"key": signals["key"], "id": np.array([ids[key] for key in keys], dtype=np.int64), "new": fresh}
    return pd.DataFrame(columns, copy=False)


def _ids_of(connection: apsw.Connection, keys: Sequence[str]) -> dict[str, int]:
    rows = fetch(
        connection,
        "SELECT key, id FROM signals WHERE key IN (SELECT value FROM json_each(?))",
        (json.dumps(list(keys)),),
    )
    return {str(key): int(number) for key, number in rows}


def put_decisions(connection: apsw.Connection, frame: pd.DataFrame) -> int:
    """Insert decisions; an existing (signal_id, seq) stays as it is."""
    columns = frame_to_columns(conform(frame, DECISIONS))
    return insert_columns(connection, "decisions", columns, "ON CONFLICT (signal_id, seq) DO NOTHING")


def put_exit_policy(connection: apsw.Connection, exit_policy: str, name: str, params_json: str) -> None:
    """Record what an exit policy's identity stands for; a known one stays as it is."""
    connection.execute(
        "INSERT INTO exit_policies (exit_policy, name, params) VALUES (?, ?, ?) ON CONFLICT (exit_policy) DO NOTHING",
        (exit_policy, name, params_json),
    )


def put_trades(connection: apsw.Connection, frame: pd.DataFrame) -> int:
    """Insert trades or move them forward; return how many rows were written."""
    return insert_columns(connection, "trades", frame_to_columns(conform(frame, TRADES)), _FORWARD)


def move_trades(connection: apsw.Connection, frame: pd.DataFrame) -> None:
    """Move on trades to which nothing happened."""
    columns = [frame[name].tolist() for name in (*MOVED, "signal_id", "exit_policy")]
    connection.executemany(
        "UPDATE trades SET next_ms = ?1, stop = ?2, extreme = ?3, mfe_pct = ?4, mae_pct = ?5,"
        " updated_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER)"
        " WHERE signal_id = ?6 AND exit_policy = ?7 AND status IN ('PENDING', 'OPEN') AND next_ms < ?1",
        zip(*columns, strict=True),
    )


def put_events(connection: apsw.Connection, frame: pd.DataFrame) -> int:
    """Insert events of trades; an existing (signal_id, exit_policy, seq) stays as it is."""
    columns = frame_to_columns(conform(frame, TRADE_EVENTS))
    then = "ON CONFLICT (signal_id, exit_policy, seq) DO NOTHING"
    return insert_columns(connection, "trade_events", columns, then)


def set_taken(connection: apsw.Connection, frame: pd.DataFrame) -> int:
    """Set taken and blocked_by of existing trades; return how many rows changed."""
    names = ("taken", "blocked_by", "signal_id", "exit_policy")
    before = connection.total_changes()
    connection.executemany(
        "UPDATE trades SET taken = ?1, blocked_by = ?2 WHERE signal_id = ?3 AND exit_policy = ?4"
        " AND (taken, blocked_by) <> (?1, ?2)",
        zip(*(frame[name].tolist() for name in names), strict=True),
    )
    return connection.total_changes() - before


def queue(connection: apsw.Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Queue messages whose key is not there yet; return how many were new."""
    names = ("key", "channel", "kind", "signal_id", "exit_policy", "payload", "created_ms", "next_try_ms")
    full = [{**_OUTBOX_DEFAULTS, **row} for row in rows]
    columns = {name: [row[name] for row in full] for name in names}
    return insert_columns(connection, "outbox", columns, "ON CONFLICT (key) DO NOTHING")


def mark_outbox(
    connection: apsw.Connection,
    number: int,
    state: str,
    now_ms: int,
    remote_id: str | None,
    error: str | None,
    next_try_ms: int | None,
) -> None:
    """Write down what became of an attempt to deliver a message."""
    connection.execute(
        "UPDATE outbox SET state = ?, marked_ms = ?, tries = tries + 1, remote_id = ifnull(?, remote_id),"
        " error = ifnull(?, ''), next_try_ms = ifnull(?, next_try_ms) WHERE id = ?",
        (state, now_ms, remote_id, error, next_try_ms, number),
    )


def put_job_run(
    connection: apsw.Connection, job: str, started_ms: int, finished_ms: int, status: str, detail: str
) -> None:
    """Record a run of a job, and now and then forget all but its newest; age is looked after daily."""
    connection.execute(
        "INSERT INTO job_runs (job, started_ms, finished_ms, status, detail) VALUES (?, ?, ?, ?, ?)",
        (job, started_ms, finished_ms, status, detail),
    )
    if connection.last_insert_rowid() % _RUNS_BETWEEN_TRIMS == 0:
        connection.execute(
            "DELETE FROM job_runs WHERE job = ?1 AND id <="
            " (SELECT id FROM job_runs WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (job, _RUNS_KEPT),
        )


def note_live(connection: apsw.Connection, notes: Sequence[tuple[SeriesKey, int, str]]) -> None:
    """Append the terms of series, each named once, where they are other than the last ones."""
    names = [live_terms_key(key) for key, *_ in notes]
    clause, values = where({"key " + IN_LIST: listed(names)})
    known = dict(fetch(connection, select({"key": "str", "value": "str"}, "meta" + clause), values))
    for name, (_, from_ms, terms) in zip(names, notes, strict=True):
        before = json.loads(known.get(name, "[]"))
        if not before or before[-1][1] != terms:
            set_meta(connection, name, json.dumps([*before, (from_ms, terms)]))


def set_meta(connection: apsw.Connection, key: str, value: str) -> None:
    """Keep a note under a key; the same note is not written again."""
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
        (key, value),
    )
