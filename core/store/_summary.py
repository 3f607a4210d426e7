"""What a database holds, counted: for people and for health checks.

The law: counting never walks through candles that a block has counted already.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apsw
import pandas as pd

from core.clock import format_ms
from core.store._frames import fetch, fetch_value, select
from core.store._read_candles import count_candles, series_id
from core.store._read_records import series

__all__ = ["Summary", "summarise"]

_COUNTS = {
    "blocks": "SELECT count(*) FROM candle_block WHERE series_id = ?",
    "open_gaps": "SELECT count(*) FROM gaps WHERE series_id = ? AND state = 'open'",
    "confirmed_gaps": "SELECT count(*) FROM gaps WHERE series_id = ? AND state = 'confirmed'",
}


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """What a database holds; its text is what a person wants to see.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    sqlite_version : str
        Of the library that reads it.
    schema_version : int
        Of the file.
    file_bytes, wal_bytes, free_bytes : int
        Size of the file, of its write-ahead log, and of the pages in the file that nothing uses.
    tables : dict of str to int
        Rows by table, ordered by name.
    series : pandas.DataFrame
        The columns of `Reader.series` and candles, blocks, open_gaps, confirmed_gaps.
    """

    path: Path
    sqlite_version: str
    schema_version: int
    file_bytes: int
    wal_bytes: int
    free_bytes: int
    tables: dict[str, int]
    series: pd.DataFrame

    def __str__(self) -> str:
        sizes = [("file", self.file_bytes), ("write-ahead log", self.wal_bytes), ("unused", self.free_bytes)]
        lines = [
            f"{self.path}: schema {self.schema_version}, SQLite {self.sqlite_version}",
            ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes),
            "",
            *(f"{name:<18}{rows:>12,}" for name, rows in self.tables.items()),
        ]
        if len(self.series):
            lines += ["", _series_table(self.series)]
        return "\n".join(lines)


def _series_table(frame: pd.DataFrame) -> str:
    shown = frame[["exchange", "symbol", "timeframe", "candles"]].copy()
    for name, column in (("first", "first_ms"), ("last", "last_ms"), ("frontier", "frontier_ms")):
        shown[name] = [format_ms(ms) if ms else "-" for ms in frame[column]]
    shown[["blocks", "open gaps", "confirmed"]] = frame[["blocks", "open_gaps", "confirmed_gaps"]]
    return str(shown.to_string(index=False))


def summarise(connection: apsw.Connection, path: Path) -> Summary:
    """Count and measure the database behind an open connection."""
    wal = path.with_name(path.name + "-wal")
    counted = _counted_series(connection)
    return Summary(
        path=path,
        sqlite_version=apsw.sqlite_lib_version(),
        schema_version=int(connection.pragma("user_version")),
        file_bytes=path.stat().st_size,
        wal_bytes=wal.stat().st_size if wal.exists() else 0,
        free_bytes=int(connection.pragma("freelist_count")) * int(connection.pragma("page_size")),
        tables=_rows_by_table(connection, int(counted["candles"].sum())),
        series=counted,
    )


def _counted_series(connection: apsw.Connection) -> pd.DataFrame:
    frame = series(connection)
    keys = list(zip(frame["exchange"], frame["symbol"], frame["timeframe"], strict=True))
    ids = [series_id(connection, key) or 0 for key in keys]
    frame["candles"] = [count_candles(connection, i, key[2]) for i, key in zip(ids, keys, strict=True)]
    for name, statement in _COUNTS.items():
        frame[name] = [int(fetch_value(connection, statement, (i,))) for i in ids]
    return frame.astype(dict.fromkeys(("candles", *_COUNTS), "int64"))


def _rows_by_table(connection: apsw.Connection, candles: int) -> dict[str, int]:
    ours = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    names = fetch(connection, ours)
    rows = {}
    for (name,) in names:
        known = candles if name == "candle" else fetch_value(connection, select({"count(*)": "int64"}, str(name)))
        rows[str(name)] = int(known)
    return rows
