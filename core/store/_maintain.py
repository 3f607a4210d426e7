"""Upkeep of the file: moving the log, giving space back, copying.

The law: upkeep never makes anybody wait longer than a moment, and a copy is whole or has no name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import apsw

from core.store._frames import fetch
from core.store.connection import wait_for_lock

__all__ = ["CheckpointReport", "back_up", "checkpoint", "incremental_vacuum"]


@dataclass(frozen=True, slots=True)
class CheckpointReport:
    """What moving the write-ahead log into the file achieved.

    Parameters
    ----------
    complete : bool
        Everything was moved and the log is empty; False when a reader or another writer was in the way.
    log_pages, checkpointed : int
        Pages the log held, and how many of them are in the file now; both 0 when the log could not be looked at.
    """

    complete: bool
    log_pages: int
    checkpointed: int

    def __str__(self) -> str:
        outcome = "log empty" if self.complete else "log still in use"
        return f"{outcome}; {self.checkpointed} of its {self.log_pages} pages are in the file"


def checkpoint(connection: apsw.Connection) -> CheckpointReport:
    """Move the write-ahead log into the file and empty it, without waiting for anybody.

    Notes
    -----
    PASSIVE first: it moves what it can while others write. TRUNCATE holds the write lock while it waits for readers,
    so it must not wait at all; and it reports being hindered in its result row only.
    """
    connection.set_busy_handler(None)
    try:
        ((_, log, moved),) = fetch(connection, "PRAGMA wal_checkpoint(PASSIVE)")
        ((hindered, _, _),) = fetch(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    except apsw.BusyError:
        return CheckpointReport(False, 0, 0)
    finally:
        connection.set_busy_handler(wait_for_lock)
    return CheckpointReport(not hindered, max(log, 0), max(moved, 0))


def incremental_vacuum(connection: apsw.Connection, pages: int) -> int:
    """Give up to `pages` unused pages back to the file system; return how many were."""
    before: int = connection.pragma("freelist_count")
    connection.pragma("incremental_vacuum", pages)
    after: int = connection.pragma("freelist_count")
    return before - after


def back_up(connection: apsw.Connection, target: Path) -> None:
    """Write a whole, consistent copy of the database to `target`, replacing an older copy.

    Notes
    -----
    ``VACUUM INTO`` a temporary name, synced, then renamed: a half-written copy never carries the name.
    """
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(partial),))
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(target)
