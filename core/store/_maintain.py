"""Upkeep of the file: moving the log, giving space back, copying.

The law: upkeep never makes anybody wait longer than a fifth of a second, and a copy is whole or has no name.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import apsw

from core.durable import sync_folder
from core.errors import DiskError
from core.store._frames import fetch
from core.store.connection import Patience

__all__ = [
    "CheckpointReport",
    "back_up",
    "checkpoint",
    "content_bytes",
    "copy_to",
    "incremental_vacuum",
    "optimize",
    "require_room",
]

_ANALYSED_ROWS = 1_000  # of an index, for the planner's figures: a few milliseconds whatever the size of a table
_RESERVE_BYTES = 64_000_000  # what the write-ahead log may need meanwhile
_LARGE_LOG_BYTES = 32_000_000  # half of what a log may come to
_PATIENCE_MS = 200


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


def checkpoint(connection: apsw.Connection, patience: Patience) -> CheckpointReport:
    """Move the write-ahead log into the file and empty it; a log that has become large is worth a moment's wait.

    Parameters
    ----------
    connection : apsw.Connection
    patience : Patience
        What the connection waits for others with otherwise; in force again afterwards.

    Notes
    -----
    PASSIVE first: it moves what it can while others write. TRUNCATE holds the write lock while it waits for readers,
    so it does not wait, or at most 200 ms: readers that take turns without a pause never leave the log alone by
    themselves, but those that come while TRUNCATE waits read the file. It reports being hindered in its result row
    only.
    """
    connection.set_busy_handler(None)
    try:
        ((_, log, moved),) = fetch(connection, "PRAGMA wal_checkpoint(PASSIVE)")
        if log * int(connection.pragma("page_size")) > _LARGE_LOG_BYTES:
            connection.set_busy_timeout(_PATIENCE_MS)
        ((hindered, _, _),) = fetch(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
    except apsw.BusyError:
        return CheckpointReport(False, 0, 0)
    finally:
        connection.set_busy_handler(patience)
    return CheckpointReport(not hindered, max(log, 0), max(moved, 0))


def incremental_vacuum(connection: apsw.Connection, pages: int) -> int:
    """Give up to `pages` unused pages back to the file system; return how many were."""
    before: int = connection.pragma("freelist_count")
    connection.pragma("incremental_vacuum", pages)
    after: int = connection.pragma("freelist_count")
    return before - after


def optimize(connection: apsw.Connection) -> None:
    """Let SQLite look again at how many rows its tables hold, where that has changed much since it last did."""
    connection.pragma("analysis_limit", _ANALYSED_ROWS)
    connection.pragma("optimize")


def content_bytes(connection: apsw.Connection) -> int:
    """Return how large a copy will be: the pages in use."""
    pages = int(connection.pragma("page_count")) - int(connection.pragma("freelist_count"))
    return pages * int(connection.pragma("page_size"))


def require_room(folder: Path, needed: int, what: str) -> None:
    """Raise `DiskError` where a folder's disk has no room for so many bytes, and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE_BYTES:
        raise DiskError(
            f"{what}: {(needed + _RESERVE_BYTES) / 1e6:,.0f} MB are needed on the disk of {folder}, "
            f"{free / 1e6:,.0f} MB are free; make room there"
        )


def back_up(connection: apsw.Connection, target: Path) -> None:
    """Write a whole, consistent copy of the database to `target`, replacing an older copy.

    Raises
    ------
    DiskError
        The disk has no room for it.
    """
    require_room(target.parent, content_bytes(connection), f"back-up {target}")
    partial = target.with_name(f"{target.name}.part")
    copy_to(connection, partial)
    partial.replace(target)
    sync_folder(target.parent)


def copy_to(connection: apsw.Connection, partial: Path) -> None:
    """Write a whole, consistent copy under a name that nobody takes for one, and sync it; a failure leaves nothing.

    Notes
    -----
    ``VACUUM INTO``: a reader's work. It makes no writer wait, and keeps the log from being emptied while it lasts.
    """
    partial.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(partial),))
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
