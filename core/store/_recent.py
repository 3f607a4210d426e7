"""The newest candles of series, kept in memory by a writing connection: a minute of many series reads nothing twice.

The law: what is remembered is what the connection would read from the table. It follows what the connection itself
writes, and is forgotten, all of it, once another connection has committed or a transaction of our own was taken back.
"""

from __future__ import annotations

import apsw
import numpy as np

from core.schema import Candles, FloatArray, IntArray
from core.store._frames import fetch_value
from core.store._read_candles import SeriesKey, last_start, open_series, read_candles, series_id
from core.store._read_records import funding

__all__ = ["Recent", "candles_between", "candles_to_bits", "last_candles"]

_LONGEST = 4_096  # candles of a series at most; who asks for more is reading history
_ROOM = 256  # candles that may follow before older ones make way


class _Run:
    """All stored candles of a series from a time on, with room behind them."""

    __slots__ = ("bits", "from_ms", "kept", "size")

    def __init__(self, candles: Candles, from_ms: int) -> None:
        self.kept = self.size = len(candles)
        self.bits = np.empty((8, self.size + _ROOM), dtype=np.int64)
        self.bits[:, : self.size] = candles_to_bits(candles)
        self.from_ms = from_ms

    def append(self, bits: IntArray) -> None:
        """Put candles behind the newest; older than were ever asked for make way."""
        end = self.size + bits.shape[1]
        if end > self.bits.shape[1]:
            # A fresh table: candles that were handed out are views of the old one.
            old = self.bits[:, max(0, end - max(self.kept, bits.shape[1])) : self.size]
            if old.shape[1] < self.size:
                self.from_ms = int(old[0, 0]) if old.shape[1] else int(bits[0, 0])
            self.size, end = old.shape[1], old.shape[1] + bits.shape[1]
            self.bits = np.empty((8, end + _ROOM), dtype=np.int64)
            self.bits[:, : self.size] = old
        self.bits[:, self.size : end] = bits
        self.size = end

    def place(self, ms: int) -> int:
        """Return the position of the first candle at or after a time."""
        return int(np.searchsorted(self.bits[0, : self.size], ms))

    def slice(self, lo: int, hi: int) -> Candles:
        """Return candles by position, as read-only views."""
        part = self.bits[:, lo : max(lo, hi)]
        part.flags.writeable = False
        floats = part.view(np.float64)
        return Candles(part[0], floats[1], floats[2], floats[3], floats[4], floats[5], floats[6], part[7])


class Recent:
    """What is remembered of each series."""

    def __init__(self) -> None:
        self._runs: dict[SeriesKey, _Run] = {}
        self._funding: dict[tuple[str, str], FloatArray] = {}
        self._ids: dict[SeriesKey, int] = {}
        self._version = -1

    def verify(self, connection: apsw.Connection) -> None:
        """Forget everything where another connection has committed since; ask before anything else."""
        version = int(connection.pragma("data_version"))
        if version != self._version:
            self.forget()
            self._version = version

    def forget(self, key: SeriesKey | None = None) -> None:
        """Forget a series, or all."""
        if key is None:
            self._runs.clear()
            self._funding.clear()
            self._ids.clear()
        else:
            self._runs.pop(key, None)

    def open_series(self, connection: apsw.Connection, key: SeriesKey) -> int:
        """Return the id of a series, making its row the first time; inside a transaction, after `verify`."""
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = open_series(connection, key)
        return found

    def forget_funding(self, exchange: str, symbol: str) -> None:
        """Forget the settlements of a symbol."""
        self._funding.pop((exchange, symbol), None)

    def settlements(self, connection: apsw.Connection, exchange: str, symbol: str) -> FloatArray:
        """Return all settlements of a symbol, read the first time they are asked for."""
        known = self._funding.get((exchange, symbol))
        if known is None:
            known = self._funding[exchange, symbol] = funding(connection, exchange, symbol, None, None)
            known.flags.writeable = False
        return known

    def between(self, key: SeriesKey, start_ms: int, end_ms: int | None) -> Candles | None:
        """Return the stored candles with ``start_ms <= ts < end_ms``; None where that is not known."""
        run = self._runs.get(key)
        if run is None or start_ms < run.from_ms:
            return None
        return run.slice(run.place(start_ms), run.size if end_ms is None else run.place(end_ms))

    def last(self, key: SeriesKey, n: int, end_ms: int | None) -> Candles | None:
        """Return the last `n` stored candles with ``ts < end_ms``; None where that is not known."""
        run = self._runs.get(key)
        if run is None:
            return None
        end = run.size if end_ms is None else run.place(end_ms)
        if end < n and run.from_ms > 0:
            return None
        return run.slice(max(0, end - n), end)

    def learn(self, key: SeriesKey, candles: Candles, from_ms: int) -> None:
        """Remember all candles stored from a time on."""
        self._runs[key] = _Run(candles, from_ms)

    def follow(self, key: SeriesKey, bits: IntArray, is_new: bool) -> None:
        """Keep up with candles just written: those behind the newest are added, anything else is read again."""
        run = self._runs.get(key)
        if run is None:
            return
        newest_ms = int(run.bits[0, run.size - 1]) if run.size else run.from_ms - 1
        if is_new and bits.shape[1] <= _LONGEST and int(bits[0, 0]) > newest_ms:
            run.append(bits)
        else:
            self.forget(key)


def candles_to_bits(candles: Candles) -> IntArray:
    """Return the bits of the eight columns as one table."""
    bits = np.empty((8, len(candles)), dtype=np.int64)
    floats = bits[1:7].view(np.float64)
    bits[0], bits[7] = candles.ts, candles.n_minutes
    floats[0], floats[1], floats[2], floats[3] = candles.open, candles.high, candles.low, candles.close
    floats[4], floats[5] = candles.volume, candles.taker_volume
    return bits


def candles_between(
    connection: apsw.Connection, recent: Recent, key: SeriesKey, start_ms: int | None, end_ms: int | None
) -> Candles:
    """Return the stored candles with ``start_ms <= ts < end_ms``, from memory where they are or can be kept there."""
    recent.verify(connection)
    start = 0 if start_ms is None else max(0, start_ms)
    found = recent.between(key, start, end_ms)
    if found is None and _learn(connection, recent, key, start):
        found = recent.between(key, start, end_ms)
    return read_candles(connection, key, start_ms, end_ms) if found is None else found


def last_candles(connection: apsw.Connection, recent: Recent, key: SeriesKey, n: int, end_ms: int | None) -> Candles:
    """Return the last `n` stored candles with ``ts < end_ms``, from memory where they are or can be kept there."""
    recent.verify(connection)
    found = recent.last(key, n, end_ms) if n > 0 else Candles.empty()
    if found is not None:
        return found
    start = last_start(connection, key, n, end_ms)
    if _learn(connection, recent, key, 0 if start is None else start):
        found = recent.last(key, n, end_ms)
    return read_candles(connection, key, start, end_ms) if found is None else found


def _learn(connection: apsw.Connection, recent: Recent, key: SeriesKey, start_ms: int) -> bool:
    """Remember a series from a time on, where that is not too much."""
    series = series_id(connection, key)
    if series is None:
        return False
    statement = "SELECT count(*) FROM (SELECT 1 FROM candle WHERE series_id = ? AND ts_ms >= ? LIMIT ?)"
    if fetch_value(connection, statement, (series, start_ms, _LONGEST + 1)) > _LONGEST:
        return False
    recent.learn(key, read_candles(connection, key, start_ms), start_ms)
    return True
