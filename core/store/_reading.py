"""How a question reaches the database: a connection of its own and one snapshot, or a writer's.

The law: a question opens the file, fetches everything and closes, so that no reader ever holds back a writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import apsw

from core.store._recent import Recent
from core.store.connection import open_reader, translated
from core.store.migrations import SCHEMA_VERSION

__all__ = ["Reading"]


class Reading:
    """What every group of questions builds on.

    Parameters
    ----------
    path : pathlib.Path
        The database file. It is looked at when a question is asked, not before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shared: apsw.Connection | None = None
        self._recent: Recent | None = None

    @classmethod
    def over(cls, connection: apsw.Connection, path: Path, recent: Recent) -> Self:
        """Return a reader that asks through a writer's connection and so sees its open transaction."""
        reader = cls(path)
        reader._shared, reader._recent = connection, recent
        return reader

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Make all questions asked inside see one state, where they go through a writer's connection.

        Only questions may be asked inside. They are quicker than each by itself.
        """
        if self._shared is None:
            yield
        else:
            with translated(self.path), _snapshot(self._shared):
                yield

    @contextmanager
    def _connection(self) -> Iterator[apsw.Connection]:
        if self._shared is not None and self._shared.in_transaction:
            with translated(self.path):
                yield self._shared
        elif self._shared is not None:
            with translated(self.path), _snapshot(self._shared):
                yield self._shared
        else:
            with open_reader(self.path, SCHEMA_VERSION) as connection:
                yield connection


@contextmanager
def _snapshot(connection: apsw.Connection) -> Iterator[None]:
    """Make several statements see one state, inside a writer's transaction or between two."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
