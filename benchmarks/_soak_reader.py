"""Who reads the database meanwhile: a viewer that asks again and again, and a reader that hangs once.

The law: they are processes of their own and read as the viewer does, through `Reader`; only the one that hangs keeps a
snapshot open, which the house's own readers never do.
"""

from __future__ import annotations

import contextlib
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from time import perf_counter
from typing import Any

from core.errors import TraderError
from core.store.connection import open_reader
from core.store.migrations import SCHEMA_VERSION
from core.store.reader import Reader

__all__ = ["hang", "look_on"]

_EVERY_S = 0.25
_CANDLES = 500


def look_on(path: str, exchange: str, symbols: list[str], timeframe: str, stop: Event, door: Connection) -> None:
    """Ask what a page of the viewer asks, several times a second, until told to stop; say how it went."""
    reader, polls, slowest_s, total_s = Reader(Path(path)), 0, 0.0, 0.0
    errors: dict[str, int] = {}
    while not stop.wait(_EVERY_S):
        began = perf_counter()
        try:
            _page(reader, exchange, symbols[polls % len(symbols)], timeframe)
        except TraderError as error:
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
        took = perf_counter() - began
        polls, slowest_s, total_s = polls + 1, max(slowest_s, took), total_s + took
    told: dict[str, Any] = {"polls": polls, "slowest_ms": slowest_s * 1000, "errors": errors}
    told["mean_ms"] = total_s * 1000 / max(polls, 1)
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        door.send(told)


def _page(reader: Reader, exchange: str, symbol: str, timeframe: str) -> None:
    newest = reader.signals(exchange=exchange, limit=200)
    reader.trades(exchange=exchange, status=["PENDING", "OPEN"])
    reader.last_candles(exchange, symbol, timeframe, _CANDLES)
    reader.job_runs(limit=50)
    if len(newest):
        reader.decisions([int(newest["id"].iloc[0])])


def hang(path: str, begun: Event, release: Event) -> None:
    """Open a snapshot and keep it until released."""
    with open_reader(Path(path), SCHEMA_VERSION) as connection:
        list(connection.execute("SELECT count(*) FROM series"))
        begun.set()
        release.wait()
