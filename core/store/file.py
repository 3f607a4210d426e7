"""What a file has to be to be our database, and what SQLite's failures with it are called.

The law: it loads nothing but SQLite, so that a health check answers at once and in the words of every other question.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from core.errors import DiskError, StoreError, TraderError

__all__ = ["APPLICATION_ID", "CREATE_COMMAND", "at_schema", "refuse_folder", "refuse_missing", "schema_version", "told"]

APPLICATION_ID = 0x54524149  # "TRAI", in the file's header: tells our database from any other
CREATE_COMMAND = "python init_db.py"


def told(error: apsw.Error, path: Path) -> TraderError:
    """Return what SQLite raised as an error of the house."""
    text = str(error)
    if isinstance(error, apsw.FullError):
        return DiskError(f"database {path}: the disk is full; free some space and start again")
    if isinstance(error, apsw.ReadOnlyError):
        return DiskError(f"database {path}: the file or its folder is read-only; make both writable for this user")
    if isinstance(error, apsw.IOError):
        return DiskError(f"database {path}: reading or writing failed ({text}); check the disk")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreError(f"database {path}: locked by another process; try again, or end that process")
    if isinstance(error, apsw.NotADBError):
        return StoreError(f"database {path}: not an SQLite database; move it away and run `{CREATE_COMMAND}`")
    if isinstance(error, apsw.CorruptError):
        return StoreError(f"database {path}: damaged ({text}); restore a back-up or run `{CREATE_COMMAND}` anew")
    if isinstance(error, apsw.CantOpenError):
        return StoreError(f"database {path}: cannot be opened; check the permissions of the file and its folder")
    if isinstance(error, apsw.AuthError):
        return StoreError(f"database {path}: opened for reading only, and the statement is not a plain question")
    return StoreError(f"database {path}: {text}")


def refuse_folder(path: Path) -> None:
    """Raise `StoreError` where the path names a folder."""
    if path.is_dir():
        raise StoreError(f"database {path}: is a folder; app.db_path must name a file, such as data/ohlcv.db")


def refuse_missing(path: Path) -> None:
    """Raise `StoreError` where the path names no file."""
    refuse_folder(path)
    if not path.exists():
        raise StoreError(f"database {path} does not exist; create it with `{CREATE_COMMAND}`")


def schema_version(connection: apsw.Connection, path: Path, known: int) -> int:
    """Return the schema of a database of ours, 0 when it is empty.

    Raises
    ------
    StoreError
        Another program's database, or a schema later than the `known` one.
    """
    application, found = connection.pragma("application_id"), int(connection.pragma("user_version"))
    if application == 0 and found == 0 and not list(connection.execute("SELECT 1 FROM sqlite_schema")):
        return 0
    if application != APPLICATION_ID:
        raise StoreError(f"database {path}: was not made by this program; name another file in app.db_path")
    if found > known:
        line = f"schema {found} is newer than this program's {known}; update the program, then run `make install`"
        raise StoreError(f"database {path}: {line}")
    return found


def at_schema(connection: apsw.Connection, path: Path, expected: int) -> None:
    """Raise `StoreError` unless a database is ours and of the expected schema."""
    found = schema_version(connection, path, expected)
    if found < expected:
        what = f"schema {found}, expected {expected}" if found else "is empty"
        raise StoreError(f"database {path}: {what}; bring it up to date with `{CREATE_COMMAND}`")
