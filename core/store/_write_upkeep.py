"""Upkeep through the writing connection: the log, unused pages, the planner's figures, what is old.

The law: each call holds the write lock for a moment only; whoever has more to do calls again.
"""

from __future__ import annotations

from pathlib import Path

from core.store import _maintain as upkeep
from core.store._holders import Holder, reading
from core.store._maintain import CheckpointReport
from core.store._writing import Writing
from core.store.connection import translated
from core.store.retention import Keep, forget_some

__all__ = ["UpkeepWriter"]

_ROWS_AT_ONCE = 2_000  # of each table: milliseconds


class UpkeepWriter(Writing):
    """Care of the file."""

    def checkpoint(self) -> CheckpointReport:
        """Move the write-ahead log into the file and empty it; nobody waits longer than a fifth of a second."""
        with translated(self.path):
            return upkeep.checkpoint(self._connection, self._patience)

    def log_bytes(self) -> int:
        """Return the size of the write-ahead log."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return log.stat().st_size if log.exists() else 0

    def readers(self) -> list[Holder]:
        """Return the other processes that have a question open, where the system tells."""
        return reading(self.path)

    def incremental_vacuum(self, pages: int = 4_096) -> int:
        """Give up to `pages` unused pages (of 8 KB) back to the file system; return how many were."""
        with translated(self.path):
            return upkeep.incremental_vacuum(self._connection, pages)

    def optimize(self) -> None:
        """Let SQLite look again at how many rows its tables hold, where that has changed much."""
        with translated(self.path):
            upkeep.optimize(self._connection)

    def forget(self, keep: Keep, now_ms: int, rows: int = _ROWS_AT_ONCE) -> dict[str, int]:
        """Delete up to so many rows of each table that have outlived their rule; return how many, by table.

        Parameters
        ----------
        keep : Keep
        now_ms : int
            Market time.
        rows : int
            Of each table; where fewer were deleted nothing is left to delete.
        """
        with self.transaction():
            return forget_some(self._connection, keep, now_ms, rows)

    def back_up(self, target: Path) -> None:
        """Write a whole, consistent copy of the database to `target`, replacing an older copy."""
        with translated(target):
            upkeep.back_up(self._connection, target)
