"""Connections: how the database file is opened, and what its failures are called.

The law: apsw is the only SQLite in the process. A process has one writing connection, in WAL mode with
``synchronous=FULL``; a reading connection cannot change anything and lives as long as one question.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from core.errors import DiskError, StoreError, TraderError

__all__ = ["APPLICATION_ID", "CREATE_COMMAND", "MAX_TRANSACTION_ROWS", "open_reader", "open_writer", "translated"]

APPLICATION_ID = 0x54524149  # "TRAI", in the file's header: tells our database from any other
CREATE_COMMAND = "python init_db.py"
MAX_TRANSACTION_ROWS = 20_000  # keeps the write lock short and the WAL small

_PAGE_BYTES = 8_192  # a block of candles has half as many overflow pages as with 4 096
_WRITER_BUSY_MS = 30_000
_READER_BUSY_MS = 5_000
_AUTOCHECKPOINT_PAGES = 2_000  # 16 MB: the log of a file without a scheduler stays bounded too
_WAL_KEPT_BYTES = 32 * 1024 * 1024

_READABLE_PRAGMAS = frozenset(
    {
        "application_id",
        "auto_vacuum",
        "data_version",
        "freelist_count",
        "integrity_check",
        "journal_mode",
        "page_count",
        "page_size",
        "quick_check",
        "user_version",
    }
)
_SAFE_FUNCTIONS = frozenset(
    {
        "abs", "avg", "coalesce", "count", "glob", "group_concat", "ifnull", "iif", "instr", "json_each",
        "json_extract", "length", "like", "lower", "max", "min", "nullif", "printf", "replace", "round",
        "substr", "sum", "total", "trim", "typeof", "unixepoch", "upper",
    }
)  # fmt: skip


def _store_error(error: apsw.Error, path: Path) -> TraderError:
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


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's exceptions into `StoreError` or `DiskError` with one line that names the file."""
    try:
        yield
    except apsw.Error as error:
        raise _store_error(error, path) from error


def _refuse_what_is_no_file(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"database {path}: is a folder; app.db_path must name a file, such as data/ohlcv.db")


def open_writer(path: Path) -> apsw.Connection:
    """Open the database for writing, creating the file where there is none.

    Parameters
    ----------
    path : pathlib.Path
        The database file; its folder is created when missing.

    Returns
    -------
    apsw.Connection
        In WAL mode with ``synchronous=FULL`` and foreign keys on. The schema is not looked at.

    Raises
    ------
    StoreError, DiskError
        The file is foreign, locked, not a file, or cannot be written.
    """
    _refuse_what_is_no_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"database {path}: its folder cannot be created ({error.strerror})") from error
    with translated(path):
        connection = apsw.Connection(str(path))
        try:
            _prepare_writer(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare_writer(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(_WRITER_BUSY_MS)
    # Both only take effect while the file is empty, so they come before anything is written.
    connection.pragma("page_size", _PAGE_BYTES)
    connection.pragma("auto_vacuum", "INCREMENTAL")
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "FULL")
    connection.pragma("foreign_keys", 1)
    connection.pragma("journal_size_limit", _WAL_KEPT_BYTES)
    connection.wal_autocheckpoint(_AUTOCHECKPOINT_PAGES)
    # Without the -wal and -shm files a reader with no right to create them cannot open the database.
    keep = ctypes.c_int(1)
    connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(keep))


@contextmanager
def open_reader(path: Path, expected_version: int) -> Iterator[apsw.Connection]:
    """Open the database for one question, within one snapshot, and close it again.

    Parameters
    ----------
    path : pathlib.Path
        The database file.
    expected_version : int
        The schema the questions are written for.

    Raises
    ------
    StoreError
        The file is missing, foreign, locked, or of another schema.
    """
    _refuse_what_is_no_file(path)
    if not path.exists():
        raise StoreError(f"database {path} does not exist; create it with `{CREATE_COMMAND}`")
    with translated(path):
        connection = apsw.Connection(
            f"{path.absolute().as_uri()}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        )
        try:
            connection.set_busy_timeout(_READER_BUSY_MS)
            connection.execute("BEGIN")
            _check_version(connection, path, expected_version)
            connection.authorizer = _only_questions
            yield connection
        finally:
            connection.authorizer = None
            connection.close()


def _check_version(connection: apsw.Connection, path: Path, expected: int) -> None:
    application, found = connection.pragma("application_id"), connection.pragma("user_version")
    if application != APPLICATION_ID:
        empty = application == 0 and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        what = "is empty" if empty else "was not made by this program"
        raise StoreError(f"database {path} {what}; create one with `{CREATE_COMMAND}`")
    if found < expected:
        raise StoreError(f"database {path}: schema {found}, expected {expected}; migrate it with `{CREATE_COMMAND}`")
    if found > expected:
        raise StoreError(f"database {path}: schema {found} is newer than this program's {expected}; update the program")


@functools.cache
def _verdict(operation: int, name: str | None, argument: str | None) -> int:
    if operation in (apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_RECURSIVE):
        return apsw.SQLITE_OK
    if operation == apsw.SQLITE_FUNCTION and argument in _SAFE_FUNCTIONS:
        return apsw.SQLITE_OK
    if operation == apsw.SQLITE_PRAGMA and argument is None and name in _READABLE_PRAGMAS:
        return apsw.SQLITE_OK
    return apsw.SQLITE_DENY


def _only_questions(
    operation: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> int:
    # Columns are many and unbounded in number; only what can be refused is worth remembering.
    if operation in (apsw.SQLITE_SELECT, apsw.SQLITE_READ):
        return apsw.SQLITE_OK
    return _verdict(operation, first, second)
