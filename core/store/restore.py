"""Restoring: another file becomes the database, and the one before is kept.

The law: whatever moment the process is killed at, the database's name leads to the old one or to the new one, whole;
a write-ahead log is never left beside a file it does not belong to.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import apsw

from core.durable import sync_folder
from core.errors import DiskError, InputFileError, ModelError, StoreError, TraderError
from core.store import artefacts
from core.store._frames import fetch
from core.store._holders import connected
from core.store._maintain import content_bytes, copy_to, require_room
from core.store.archives import CONFIG_NAME, models_in, opened_archive, unpacked
from core.store.connection import Connection, translated
from core.store.copying import check_copy, opened_copy
from core.store.file import CREATE_COMMAND, refuse_folder
from core.store.migrations import MigrationReport, migrate

__all__ = ["Restored", "restore"]

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done.

    Parameters
    ----------
    source, database : pathlib.Path
    kept : pathlib.Path or None
        The database of before; None where there was none.
    rows : dict of str to int
        Rows by table, as counted in the file that was restored.
    models : tuple of str
        Models that were missing and came from the archive.
    problems : tuple of str
        One line for each thing that failed once the database was back, such as a model that could not be.
    migration : MigrationReport or None
        What brought the file to this program's schema; None where that failed.
    """

    source: Path
    database: Path
    kept: Path | None
    rows: dict[str, int]
    models: tuple[str, ...]
    problems: tuple[str, ...]
    migration: MigrationReport | None

    def __str__(self) -> str:
        told = ", ".join(f"{table} {rows:,}" for table, rows in self.rows.items() if rows) or "no rows"
        lines = [f"restored {self.database} from {self.source}: {told}"]
        if self.migration and self.migration.steps:
            lines.append(str(self.migration))
        lines += [f"model {version}: brought back from the archive" for version in self.models]
        lines += self.problems
        archive = self.source.with_suffix(".zip")
        if archive.is_file():
            lines.append(f"the configuration of that time is {CONFIG_NAME} in {archive}; yours was left as it is")
        if self.kept:
            lines += [
                f"the database of before is {self.kept}; delete it when you no longer need it",
                f"to take this back: `trader restore {self.kept}`",
            ]
        return "\n".join(lines)


def restore(source: Path, database: Path, models: Path, now_ms: int, *, force: bool = False) -> Restored:
    """Put a copy of `source` in the place of the database; whoever calls holds the scheduler's lock.

    Parameters
    ----------
    source : pathlib.Path
        A back-up, or any whole database of this program; it stays as it is.
    database : pathlib.Path
        What it takes the place of; kept beside it under another name.
    models : pathlib.Path
        The folder of model versions; those that are missing there come from the archive beside `source`.
    now_ms : int
        What the database of before is named after.
    force : bool
        Go on although another process has the database open.

    Raises
    ------
    InputFileError
        `source` is missing, foreign, damaged, or the database itself.
    StoreError
        `source` is newer than this program, or the database is in use.
    DiskError
        No room, or no permission.

    Notes
    -----
    All of these come before the names change. What fails afterwards is a line of `problems`, so that the way back is
    always told.
    """
    refuse_folder(database)
    if database.exists() and source.exists() and source.samefile(database):
        raise InputFileError(f"restore {source}: that is the database itself; name a back-up")
    rows = check_copy(source)
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        fresh = _copied(source, database, rows)
        try:
            kept = _kept_name(database, now_ms) if database.exists() else None
            with translated(database), _held(database, force):
                _swap(fresh, database, kept)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(
            f"restore {database}: {error.strerror or error}; end whatever uses it, check space and permissions"
        ) from error
    migration, failed = _settled(database)
    brought, lost = _bring_models(source.with_suffix(".zip"), database, models)
    return Restored(source, database, kept, rows, brought, failed + lost, migration)


def _copied(source: Path, database: Path, rows: dict[str, int]) -> Path:
    """Return a sound copy beside the database, with all its rows."""
    fresh = database.with_name(f"{database.name}.restoring")
    with opened_copy(source) as connection, translated(fresh):
        require_room(database.parent, content_bytes(connection), f"restore {source}")
        copy_to(connection, fresh)
    try:
        if check_copy(fresh) != rows:
            raise StoreError(f"restore {source}: somebody writes to it; make a back-up of it and restore that one")
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return fresh


def _kept_name(database: Path, now_ms: int) -> Path:
    while True:
        stamp = datetime.fromtimestamp(now_ms / 1000, tz=UTC).strftime(_STAMP)
        kept = database.with_name(f"{database.name}.before-restore-{stamp}")
        if not kept.exists():
            return kept
        now_ms += 1000


@contextlib.contextmanager
def _held(database: Path, force: bool) -> Iterator[None]:
    """Hold the database alone with an empty log; with `force`, or where it is damaged, go on without.

    Notes
    -----
    A connection that is exclusive before it reads for the first time uses no -shm file, and is refused while anybody
    else has the file open: that is how we know, on any system. It keeps its log on closing, as the log's name may
    then be another file's; what it removes is the old one's, by its handle.
    """
    if not database.exists():
        yield
        return
    connection = Connection(str(database))
    try:
        keep = ctypes.c_int(1)
        connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(keep))
        connection.pragma("locking_mode", "NORMAL" if force else "EXCLUSIVE")
        fetch(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
        if not force:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")  # what is locked stays locked
    except (apsw.BusyError, apsw.LockedError) as error:
        connection.close()
        if not force:
            told = ", ".join(map(str, connected(database))) or "another process, such as a viewer or a retro scan,"
            raise StoreError(
                f"restore {database}: {told} has it open; end it, or add --force: what it writes then is in the file "
                "that is put aside"
            ) from error
    except (apsw.NotADBError, apsw.CorruptError, apsw.IOError):
        connection.close()  # damaged: that is why somebody restores
    try:
        if os.name == "nt":
            connection.close()  # a file that is open has no other name there
        yield
    finally:
        connection.close()


def _swap(fresh: Path, database: Path, kept: Path | None) -> None:
    """Let the database's name lead to the new file, and another one to the old."""
    if kept is not None:
        _also_called(database, kept)
        log = database.with_name(f"{database.name}-wal")
        if log.exists() and log.stat().st_size:  # damaged, or in use: what it holds belongs to the old file
            _also_called(log, kept.with_name(f"{kept.name}-wal"))
        sync_folder(database.parent)
    for ending in ("-wal", "-shm"):
        database.with_name(f"{database.name}{ending}").unlink(missing_ok=True)
    fresh.replace(database)


def _also_called(path: Path, other: Path) -> None:
    """Give a file a second name; a copy, where the disk knows no second names."""
    try:
        other.hardlink_to(path)
    except OSError:
        partial = other.with_name(f"{other.name}.part")
        shutil.copyfile(path, partial)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(other)


def _settled(database: Path) -> tuple[MigrationReport | None, tuple[str, ...]]:
    """Let the new name last, and bring the file to this program's schema."""
    try:
        sync_folder(database.parent)
        return migrate(database), ()
    except (TraderError, OSError) as error:
        return None, (f"not brought up to date: {error}; then run `{CREATE_COMMAND}`",)


def _bring_models(archive: Path, database: Path, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Publish the archive's models that are missing in the folder, where the database knows and vouches for them."""
    if not archive.is_file():
        return (), ()
    try:
        known, packed = _known_models(database), opened_archive(archive)
    except TraderError as error:
        return (), (f"{error}; models that are missing have to be trained anew",)
    brought, problems = [], []
    with packed:
        for version, members in sorted(models_in(packed).items()):
            try:
                if version in known and not (folder / version).exists():
                    _publish(folder, version, unpacked(packed, version, members), known[version])
                    brought.append(version)
            except ModelError as error:
                problems.append(str(error))
            except (DiskError, OSError) as error:
                problems.append(f"model {version}: not brought back; {error}")
    return tuple(brought), tuple(problems)


def _known_models(database: Path) -> dict[str, str]:
    """Return the sha256 of each model on record."""
    with opened_copy(database) as connection:
        if not fetch(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'models'"):
            return {}  # a schema from before there were models, that could not be brought up to date
        return dict(fetch(connection, "SELECT version, sha256 FROM models"))


def _publish(folder: Path, version: str, files: dict[str, bytes], sha256: str) -> None:
    """Write a model's files when they are the ones the database vouches for."""
    with tempfile.TemporaryDirectory() as aside:
        if artefacts.publish(Path(aside), version, files) != sha256:
            raise ModelError(f"model {version}: the archive's files are not those the database knows; train anew")
    artefacts.publish(folder, version, files)
