"""Between SQL and frames: statement text from declared columns, rows from frames, frames from rows.

The law: values are always bound, never written into a statement; only column and table names of this
package's own declarations are.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
import numpy as np
import pandas as pd

from core.schema import FrameSpec

__all__ = [
    "IN_LIST",
    "fetch",
    "fetch_value",
    "frame_to_columns",
    "insert_columns",
    "listed",
    "rows_to_frame",
    "select",
    "where",
]

IN_LIST = "IN (SELECT value FROM json_each(?))"

_VALUES_A_STATEMENT = 4_000  # 400 candles, measured best between 50 and 800; SQLite binds 32 766 at most


def fetch(connection: apsw.Connection, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return every row of a question."""
    return list(connection.execute(statement, values))


def fetch_value(connection: apsw.Connection, statement: str, values: Sequence[Any] = ()) -> Any:
    """Return the first value of the first row, None where there is no row."""
    rows = fetch(connection, statement, values)
    return rows[0][0] if rows else None


def insert_columns(
    connection: apsw.Connection, table: str, columns: Mapping[str, Sequence[Any]], then: str = ""
) -> int:
    """Insert columns of equal length with multi-row ``VALUES``.

    Parameters
    ----------
    connection : apsw.Connection
        Inside a transaction.
    table : str
        Its name.
    columns : mapping of str to sequence
        Plain Python values by column name, all of one length.
    then : str
        The ``ON CONFLICT`` clause, if any.

    Returns
    -------
    int
        Rows inserted or updated.
    """
    width, n = len(columns), len(next(iter(columns.values())))
    flat: list[Any] = [None] * (width * n)
    for i, values in enumerate(columns.values()):
        flat[i::width] = values
    before = connection.total_changes()
    step = _VALUES_A_STATEMENT // width
    for lo in range(0, n, step):
        rows = min(step, n - lo)
        statement = _insert_statement(table, tuple(columns), rows, then)
        connection.execute(statement, flat[lo * width : (lo + rows) * width])
    return connection.total_changes() - before


@functools.lru_cache(maxsize=64)
def _insert_statement(table: str, names: tuple[str, ...], rows: int, then: str) -> str:
    if not all(map(str.isidentifier, (table, *names))):
        raise ValueError("the name of a table or column is none")
    # Without blanks: apsw keeps prepared only statements of less than 16 KB.
    places = ",".join(["(" + ",".join("?" * len(names)) + ")"] * rows)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {places} {then}"  # noqa: S608  declared names, bound values


def frame_to_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a frame's columns as plain Python values; NaN binds as NULL by itself."""
    return {str(name): frame[name].tolist() for name in frame.columns}


def rows_to_frame(rows: Sequence[Sequence[Any]], spec: FrameSpec) -> pd.DataFrame:
    """Build a frame of declared columns from rows; NULL becomes NaN, 0 or ``""`` by type."""
    values: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else ([] for _ in spec)
    columns: dict[str, Any] = {}
    for (name, dtype), column in zip(spec.items(), values, strict=True):
        if dtype == "float64":
            columns[name] = np.array(column, dtype=np.float64)
        elif dtype == "int64":
            columns[name] = np.array([value or 0 for value in column], dtype=np.int64)
        else:
            columns[name] = pd.array(["" if value is None else value for value in column], dtype="str")
    return pd.DataFrame(columns)


def select(spec: FrameSpec, source: str, prefix: str = "") -> str:
    """Return ``SELECT <the declared columns> FROM source``."""
    columns = ", ".join(prefix + name for name in spec)
    return f"SELECT {columns} FROM {source}"  # noqa: S608  declared names; values are bound


def listed(values: Iterable[Any] | None) -> str | None:
    """Return the value `IN_LIST` takes, however many there are; None where nothing is asked for."""
    return None if values is None else json.dumps([v.item() if isinstance(v, np.generic) else v for v in values])


def where(conditions: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Return a ``WHERE`` clause and its values from those conditions whose value is not None."""
    used = {text: value for text, value in conditions.items() if value is not None}
    return (" WHERE " + " AND ".join(used) if used else ""), list(used.values())
