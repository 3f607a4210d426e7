"""How a change reaches the database: one connection, and transactions of bounded size.

The law: a change happens in a transaction, whole or not at all; it joins the open one or makes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import pandas as pd

from core.store._recent import Recent
from core.store._transaction import Transaction
from core.store.connection import MAX_TRANSACTION_ROWS, Patience, open_writer, translated
from core.store.migrations import SCHEMA_VERSION, migrate_connection
from core.store.reader import Reader

__all__ = ["Writing"]

_Result = TypeVar("_Result")


class Writing:
    """What every group of changes builds on.

    Parameters
    ----------
    path : pathlib.Path
        The database file, created with its folder when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._patience = Patience()
        self._connection = open_writer(path, SCHEMA_VERSION, self._patience)
        try:
            with translated(path):
                migrate_connection(self._connection, path)
        except BaseException:
            self._connection.close()
            raise
        self._transaction = Transaction(self._connection, path)
        self._recent = Recent()
        self.reader = Reader.over(self._connection, path, self._recent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._connection.close()

    def hurry(self) -> None:
        """Wait a second at most for other processes from now on: this one is to end. Safe within a signal's handler."""
        self._patience.hurry()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside happen whole or not at all; may be nested, the outermost decides.

        Raises
        ------
        StoreError
            A part failed inside and its error was swallowed: nothing was written.
        """
        try:
            with translated(self.path), self._transaction.begin():
                yield
        except BaseException:
            self._recent.forget()  # it had followed what is taken back now
            raise

    def _in_parts(
        self, frame: pd.DataFrame, write: Callable[[pd.DataFrame], _Result], rows: int = MAX_TRANSACTION_ROWS
    ) -> list[_Result]:
        """Write a frame piece by piece: each a transaction of bounded size, unless one is open to join."""
        results = []
        for lo in range(0, max(1, len(frame)), rows):
            with self.transaction():
                results.append(write(frame.iloc[lo : lo + rows]))
        return results
