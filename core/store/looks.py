"""Looking at a database from outside, for diagnoses: the library, the file's soundness, its log and who holds it.

The law: nothing is changed, and the engine beside it does not notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apsw

from core.store._frames import fetch
from core.store._holders import Holder, connected, reading
from core.store.connection import open_reader
from core.store.migrations import SCHEMA_VERSION

__all__ = ["Log", "log_of", "sqlite_version", "unsound"]

_MOST_FAULTS = 5


@dataclass(frozen=True, slots=True)
class Log:
    """The write-ahead log of a database.

    Parameters
    ----------
    bytes : int
    readers, users : tuple of Holder
        Other processes that have a question open, and that have the file open at all; as far as the system tells.
    """

    bytes: int
    readers: tuple[Holder, ...]
    users: tuple[Holder, ...]


def sqlite_version() -> str:
    """Return the version of the SQLite library the engine uses."""
    return apsw.sqlite_lib_version()


def unsound(path: Path, deep: bool = False) -> list[str]:
    """Return what SQLite finds wrong with a file, at most a few lines; empty when it is sound.

    Parameters
    ----------
    path : pathlib.Path
        The database.
    deep : bool
        Also compare every index with its table, which takes several times as long.

    Raises
    ------
    StoreError
        It is missing, foreign, of another schema or cannot be opened.
    """
    with open_reader(path, SCHEMA_VERSION) as connection:
        connection.authorizer = None  # the argument of a check is not among the questions a reader may ask
        check = "integrity_check" if deep else "quick_check"
        found = [str(row[0]) for row in fetch(connection, f"PRAGMA {check}({_MOST_FAULTS})")]
    return [] if found == ["ok"] else found


def log_of(path: Path) -> Log:
    """Return the log of a database; of size 0 where there is none."""
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    return Log(size, tuple(reading(path)), tuple(connected(path)))
