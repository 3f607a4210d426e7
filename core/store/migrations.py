"""Migrations: how a database file reaches the schema this program is written for.

The law: a step runs once, whole, in a transaction of its own that also records it; a database that holds
anything is copied aside before its first step, and one from the future is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from core.store._maintain import back_up
from core.store._steps import MIGRATIONS, SCHEMA_VERSION, Migration
from core.store.connection import open_writer, read_only, translated
from core.store.file import APPLICATION_ID, refuse_folder, schema_version

__all__ = ["MIGRATIONS", "SCHEMA_VERSION", "Migration", "MigrationReport", "migrate", "migrate_connection"]


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What was done, or would be.

    Parameters
    ----------
    from_version, to_version : int
        Schema before and after; 0 is an empty file.
    steps : tuple of str
        Names of the steps between them.
    backup : pathlib.Path or None
        The copy made before the first step; None where there was nothing to copy.
    dry_run : bool
        Nothing was done.
    """

    from_version: int
    to_version: int
    steps: tuple[str, ...]
    backup: Path | None
    dry_run: bool = False

    def __str__(self) -> str:
        if not self.steps:
            return f"schema {self.to_version}: up to date"
        heading = "would migrate" if self.dry_run else "migrated"
        lines = [f"{heading} from schema {self.from_version} to {self.to_version}"]
        lines += [f"  {number}: {name}" for number, name in enumerate(self.steps, self.from_version + 1)]
        if self.backup:
            lines.append(f"  copy of the database before: {self.backup}")
        return "\n".join(lines)


def migrate(path: Path, *, dry_run: bool = False, steps: Sequence[Migration] = MIGRATIONS) -> MigrationReport:
    """Bring the database at `path` to the newest schema, creating it where there is none.

    Parameters
    ----------
    path : pathlib.Path
        The database file.
    dry_run : bool
        Only say what would be done; no file is made or changed.
    steps : sequence of Migration
        All steps from an empty file on.

    Raises
    ------
    StoreError, DiskError
        The file is foreign, newer than this program, locked or cannot be written.
    """
    if dry_run and not path.exists():
        return MigrationReport(0, len(steps), tuple(step.name for step in steps), None, dry_run)
    refuse_folder(path)
    with translated(path):
        connection = read_only(path) if dry_run else open_writer(path, len(steps))
    try:
        with translated(path):
            return migrate_connection(connection, path, dry_run=dry_run, steps=steps)
    finally:
        connection.close()


def migrate_connection(
    connection: apsw.Connection, path: Path, *, dry_run: bool = False, steps: Sequence[Migration] = MIGRATIONS
) -> MigrationReport:
    """Do the work of `migrate` on an open connection to `path`."""
    found = schema_version(connection, path, len(steps))
    missing = tuple(step.name for step in steps[found:])
    backup = path.with_name(f"{path.name}.bak-v{found}") if missing and found else None
    if not dry_run:
        if backup:
            back_up(connection, backup)
        for version in range(found + 1, len(steps) + 1):
            _apply(connection, path, version, steps)
    return MigrationReport(found, len(steps), missing, backup, dry_run)


def _apply(connection: apsw.Connection, path: Path, version: int, steps: Sequence[Migration]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have taken this step while we waited for the lock.
        if schema_version(connection, path, len(steps)) < version:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations ("
                "version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_ms INTEGER NOT NULL) STRICT"
            )
            steps[version - 1].apply(connection)
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER))",
                (version, steps[version - 1].name),
            )
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", version)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
