"""Transactions: one at a time, nested by joining, whole or not at all.

The law: only the outermost commits, and only when nothing inside failed, even if the failure was caught there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from core.errors import StoreError

__all__ = ["Transaction"]


class Transaction:
    """The transactions of one writing connection.

    Parameters
    ----------
    connection : apsw.Connection
        Used from the thread that makes this object, and no other.
    path : pathlib.Path
        The database, for messages.
    """

    def __init__(self, connection: apsw.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._thread = threading.get_ident()
        self._depth = 0
        self._failed = False

    @contextmanager
    def begin(self) -> Iterator[None]:
        """Begin one, or join the open one."""
        if threading.get_ident() != self._thread:
            raise StoreError(f"database {self._path}: its writer was opened in another thread; use it there")
        if self._depth:
            yield from self._join()
        else:
            yield from self._own()

    def _join(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        except BaseException:
            self._failed = True
            raise
        finally:
            self._depth -= 1

    def _own(self) -> Iterator[None]:
        # IMMEDIATE: a transaction that starts by reading cannot wait for the write lock later, it fails at once.
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth, self._failed = 1, False
        try:
            yield
            if self._failed:
                raise StoreError(f"database {self._path}: a part of the transaction failed, so none of it was written")
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk makes SQLite roll back by itself; nothing is open then.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self._depth = 0
