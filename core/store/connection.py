"""Connections: how the database file is opened, and what its failures are called.

The law: apsw is the only SQLite in the process. A process has one writing connection, in WAL mode with
``synchronous=FULL``; a reading connection cannot change anything and lives as long as one question.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from core.clock import monotonic_s
from core.errors import DiskError, StoreError
from core.store.blocks import BlockError
from core.store.file import at_schema, refuse_folder, refuse_missing, schema_version, told

__all__ = ["MAX_TRANSACTION_ROWS", "Patience", "open_reader", "open_writer", "read_only", "translated"]

MAX_TRANSACTION_ROWS = 20_000  # keeps the write lock short and the WAL small

_PAGE_BYTES = 8_192  # a block of candles has half as many overflow pages as with 4 096
_WRITER_CACHE_KB = 32 * 1024  # the ends of some hundred series and the trades under way; SQLite's own is 2 MB
_WRITER_BUSY_S = 30.0
_WRITER_HURRIED_S = 1.0
_WRITER_POLL_S = 0.001
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


_PLAIN = frozenset({int, float, bool, str, bytes, type(None)})


class Connection(apsw.Connection):
    """A connection that binds numpy's scalars as the numbers they are.

    Notes
    -----
    apsw takes an ``np.int64`` for a buffer and binds its eight bytes as a BLOB: a question then finds nothing. Here
    is the one place every value passes on its way into a statement.
    """

    def execute(self, statements: str, bindings: Any = None, **options: Any) -> apsw.Cursor:
        """Execute a statement as apsw does, numpy's scalars bound as numbers."""
        return super().execute(statements, _plain(bindings), **options)

    def executemany(self, statements: str, sequenceofbindings: Iterable[Any], **options: Any) -> apsw.Cursor:
        """Execute a statement for each row of values, numpy's scalars bound as numbers."""
        return super().executemany(statements, map(_plain, sequenceofbindings), **options)


def _plain(values: Any) -> Any:
    if values is None:
        return None
    if isinstance(values, Mapping):
        return {name: _number(value) for name, value in values.items()}
    # Bulk writes hand in plain values by the thousand: looking at their types is all they pay.
    return values if _PLAIN.issuperset(map(type, values)) else tuple(map(_number, values))


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn failures of SQLite and of blocks into `StoreError` or `DiskError`: one line that names the file."""
    try:
        yield
    except apsw.Error as error:
        raise told(error, path) from error
    except BlockError as error:
        raise StoreError(f"database {path}: damaged ({error}); restore a back-up") from error


def read_only(path: Path, *, at_rest: bool = False) -> apsw.Connection:
    """Open an existing file in a way that cannot change it; `at_rest`, without a lock: nobody else may have it open."""
    asked = "mode=ro&immutable=1" if at_rest else "mode=ro"
    connection = Connection(
        f"{path.absolute().as_uri()}?{asked}", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    )
    _distrust(connection)
    return connection


def _distrust(connection: apsw.Connection) -> None:
    """Let nothing that stands in the file itself (a view, a trigger) run what reaches outside, or change its schema."""
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)


def _make_private(path: Path) -> None:
    """Create the file where there is none, for nobody but its owner; its log and index take its rights from it."""
    with contextlib.suppress(OSError):  # what cannot be created is refused by SQLite, in its words
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


class Patience:
    """How long one writer waits for another process's transaction: 30 s, or a second once its own process is to end.

    Parameters
    ----------
    read_s : callable
        Seconds that only go forward.

    Notes
    -----
    SQLite's own busy timeout backs off to 100 ms between tries. Beside a process that commits without pause a
    single write waited up to 5.9 s; asking every millisecond, 0.5 to 1.2 s.
    """

    def __init__(self, read_s: Callable[[], float] = monotonic_s) -> None:
        self._read_s = read_s
        self._began_s = 0.0
        self._longest_s = _WRITER_BUSY_S

    def __call__(self, tries: int) -> bool:
        """Wait a moment, as SQLite's busy handler; return False when that was long enough."""
        if not tries:
            self._began_s = self._read_s()
        time.sleep(_WRITER_POLL_S)
        return self._read_s() - self._began_s < self._longest_s

    def hurry(self) -> None:
        """Wait for a second at most from now on, also where somebody waits already; may be called by a signal."""
        self._longest_s = _WRITER_HURRIED_S


def open_writer(path: Path, known_version: int, patience: Patience | None = None) -> apsw.Connection:
    """Open the database for writing, creating the file where there is none.

    Parameters
    ----------
    path : pathlib.Path
        The database file; its folder is created when missing.
    known_version : int
        The latest schema this program knows.
    patience : Patience, optional
        How long to wait for another process's transaction.

    Returns
    -------
    apsw.Connection
        In WAL mode with ``synchronous=FULL`` and foreign keys on, its schema still as it was found.

    Raises
    ------
    StoreError, DiskError
        The file is foreign, newer, locked, not a file, or cannot be written.
    """
    refuse_folder(path)
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DiskError(f"database {path}: its folder cannot be created ({error.strerror})") from error
    _make_private(path)
    with translated(path):
        connection = Connection(str(path))
        try:
            _distrust(connection)
            connection.set_busy_handler(patience or Patience())
            schema_version(connection, path, known_version)  # before anything is changed in another's file
            _prepare_writer(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare_writer(connection: apsw.Connection) -> None:
    # Both only take effect while the file is empty, so they come before anything is written.
    connection.pragma("page_size", _PAGE_BYTES)
    connection.pragma("auto_vacuum", "INCREMENTAL")
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "FULL")
    connection.pragma("foreign_keys", 1)
    connection.pragma("cache_size", -_WRITER_CACHE_KB)
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
    refuse_missing(path)
    with translated(path):
        connection = read_only(path)
        try:
            connection.set_busy_timeout(_READER_BUSY_MS)
            connection.execute("BEGIN")
            at_schema(connection, path, expected_version)
            connection.authorizer = _only_questions
            yield connection
        finally:
            connection.authorizer = None
            connection.close()


def _only_questions(
    operation: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> int:
    allowed = (
        operation in (apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_RECURSIVE)
        or (operation == apsw.SQLITE_FUNCTION and second in _SAFE_FUNCTIONS)
        or (operation == apsw.SQLITE_PRAGMA and second is None and first in _READABLE_PRAGMAS)
    )
    return apsw.SQLITE_OK if allowed else apsw.SQLITE_DENY
