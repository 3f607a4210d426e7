"""Making a back-up: a whole copy of the database, with the models it judges by and the configuration.

The law: a file under a back-up's name was copied whole, synced and found sound before it got the name, and it is never
overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
from filelock import FileLock, Timeout

from core.durable import sync_folder
from core.errors import DiskError, InputFileError, ModelError, StoreError
from core.store import artefacts
from core.store._frames import fetch, fetch_value
from core.store._maintain import content_bytes, copy_to, require_room
from core.store.archives import pack
from core.store.backups import Backup, is_ours, name_of
from core.store.connection import read_only, translated
from core.store.file import APPLICATION_ID, refuse_folder, schema_version
from core.store.migrations import SCHEMA_VERSION

__all__ = ["Taken", "check_copy", "opened_copy", "take"]

# Rows of these are only ever added while a copy is made: it holds no fewer than before it, and no more than after it.
_ONLY_GROW = ("series", "candle", "signals", "decisions", "trades", "trade_events", "features", "predictions", "models")


@dataclass(frozen=True, slots=True)
class Taken:
    """A back-up that was made.

    Parameters
    ----------
    backup : Backup
    models : int
        Models in its archive.
    left_out : tuple of str
        One line for each model that did not verify.
    """

    backup: Backup
    models: int
    left_out: tuple[str, ...]


def take(database: Path, folder: Path, models: Path, config_text: str, now_ms: int) -> Taken:
    """Copy the database and what it judges by into a folder, whole and checked.

    Parameters
    ----------
    database : pathlib.Path
        It may be in use; nobody waits for this.
    folder : pathlib.Path
        Made when missing.
    models : pathlib.Path
        The folder of model versions; those that were ever in force come along.
    config_text : str
        The configuration without its secrets.
    now_ms : int
        What the back-up is named after; the next second where that name is taken.

    Raises
    ------
    StoreError
        There is no database, it is damaged, or another back-up is being made in that folder.
    DiskError
        There is no room, or no permission.
    """
    refuse_folder(database)
    if not database.exists():
        raise StoreError(f"database {database} does not exist; there is nothing to back up")
    with _alone(folder):
        _clear(folder, database)
        while (target := folder / name_of(database, now_ms)).exists() or target.with_suffix(".zip").exists():
            now_ms += 1000
        with translated(database):
            connection = read_only(database)
        try:
            versions, left_out = _copy(connection, database, target, models, config_text)
        finally:
            connection.close()
    archive = target.with_suffix(".zip")
    size = target.stat().st_size + archive.stat().st_size
    return Taken(Backup(target, now_ms - now_ms % 1000, size), versions, left_out)


def _clear(folder: Path, database: Path) -> None:
    """Remove what a killed process left; whoever holds the folder is alone, so nobody is working on it."""
    for item in folder.glob(f"{database.stem}-*"):
        halves = item.name.removesuffix(".part"), item.name.removesuffix(".zip") + database.suffix
        is_alone = item.suffix == ".zip" and not (folder / halves[1]).exists()
        if is_ours(halves[0], database) and (item.suffix == ".part" or is_alone):
            item.unlink()


def _copy(
    connection: apsw.Connection, database: Path, target: Path, models: Path, config_text: str
) -> tuple[int, tuple[str, ...]]:
    """Write both files under names of their own and rename them once they are sound, the database last."""
    partial, archive = target.with_name(f"{target.name}.part"), target.with_suffix(".zip")
    packed = archive.with_name(f"{archive.name}.part")
    try:
        with translated(database):
            if schema_version(connection, database, SCHEMA_VERSION) == 0:
                raise StoreError(f"database {database}: is empty; there is nothing to back up")
            require_room(target.parent, content_bytes(connection), f"back-up {target}")
            before = _counted(connection)
        copied = _copy_whole(connection, database, partial)
        with translated(database):
            after = _counted(connection)
        for table, rows in copied.items():
            if not before.get(table, 0) <= rows <= after.get(table, 0):
                raise StoreError(f"back-up {target}: {table} has {rows} rows, expected {before.get(table, 0)} or more")
        found, left_out = _models_of(partial, models)
        pack(packed, found, config_text)
        packed.replace(archive)
        partial.replace(target)
        sync_folder(target.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        packed.unlink(missing_ok=True)
        if not target.exists():
            archive.unlink(missing_ok=True)
        raise
    return len(found), left_out


def _copy_whole(connection: apsw.Connection, database: Path, partial: Path) -> dict[str, int]:
    """Write the copy of the database and return its rows; one that is not sound tells of damage in the original."""
    with translated(partial):
        try:
            copy_to(connection, partial)
            return check_copy(partial)
        except (apsw.CorruptError, InputFileError) as error:
            told = f"database {database}: damaged, no copy of it is whole; `trader maintain --check` says where"
            raise StoreError(f"{told}, `trader restore` puts a back-up in its place") from error


def check_copy(path: Path) -> dict[str, int]:
    """Return the rows of the tables that only grow, once a file nobody has open was found sound.

    Raises
    ------
    InputFileError
        It is missing, not this program's, or damaged.
    StoreError
        It is newer than this program.
    """
    with opened_copy(path) as connection:
        found = [str(row[0]) for row in fetch(connection, "PRAGMA quick_check(3)")]
        if found != ["ok"]:
            raise _unfit(path, "; ".join(found))
        return _counted(connection)


@contextmanager
def opened_copy(path: Path) -> Iterator[apsw.Connection]:
    """Open a file for reading, without a word written beside it where nobody has it open."""
    if path.is_dir():
        raise _unfit(path, "a folder")
    if not path.is_file():
        raise InputFileError(f"back-up {path}: there is no such file; `trader backup --list` shows what there is")
    log = path.with_name(f"{path.name}-wal")
    with translated(path):
        # A live file, or one that was left behind, has a log that belongs to it.
        connection = read_only(path, at_rest=not (log.exists() and log.stat().st_size))
        try:
            if connection.pragma("application_id") != APPLICATION_ID:
                raise _unfit(path, "without its mark" if path.stat().st_size else "empty")
            schema_version(connection, path, SCHEMA_VERSION)
            yield connection
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise _unfit(path, str(error)) from error
        finally:
            connection.close()


def _unfit(path: Path, why: str) -> InputFileError:
    told = f"back-up {path}: not one of this program, or damaged ({why}); `trader backup --list` shows others"
    return InputFileError(told)


def _counted(connection: apsw.Connection) -> dict[str, int]:
    there = {str(name) for (name,) in fetch(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    tables = [table for table in _ONLY_GROW if table in there]
    counted = (fetch_value(connection, f"SELECT count(*) FROM {table}") for table in tables)  # noqa: S608  own names
    return dict(zip(tables, map(int, counted), strict=True))


def _models_of(copy: Path, folder: Path) -> tuple[Mapping[str, Mapping[str, bytes]], tuple[str, ...]]:
    """Return the files of every model that was ever in force, by version, and a line for each that does not verify."""
    with opened_copy(copy) as connection:
        if not fetch(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'reigns'"):
            return {}, ()  # a schema from before there were models
        asked = "SELECT version, sha256 FROM models WHERE version IN (SELECT version FROM reigns) ORDER BY version"
        wanted = fetch(connection, asked)
    found, left_out = {}, []
    for version, sha256 in wanted:
        try:
            manifest = {artefacts.MANIFEST: (folder / version / artefacts.MANIFEST).read_bytes()}
            found[str(version)] = {**artefacts.load(folder, version, sha256), **manifest}
        except OSError as error:
            left_out.append(f"model {version}: not in the back-up ({error.strerror})")
        except ModelError as error:
            left_out.append(f"not in the back-up: {error}")
    return found, tuple(left_out)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder of back-ups, so that one process never takes another's work for a leftover."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise StoreError(f"back-ups {folder}: another one is being made there; try again when it is done") from error
    except OSError as error:
        told = f"back-ups {folder}: cannot be written ({error.strerror}); check space and permissions"
        raise DiskError(told) from error
