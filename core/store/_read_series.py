"""Candles and how far each series has come: what every minute asks first.

The law: the answer is the table's, whether it is read or remembered.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from core.schema import Candles, FloatArray
from core.store import _read_candles as candle_questions
from core.store import _recent as remembered
from core.store._frames import fetch, where
from core.store._read_records import funding
from core.store._reading import Reading

__all__ = ["Marks", "SeriesReader"]


_MARKS = (
    "SELECT s.symbol, s.timeframe, s.frontier_ms, c.checkpoint_ms, s.scanned_ms"
    " FROM series s LEFT JOIN sync_checkpoint c ON c.series_id = s.id"
)


class Marks(NamedTuple):
    """How far a series has come, UTC milliseconds; None where it was never said.

    Parameters
    ----------
    frontier_ms : int or None
        Every earlier candle is stored or a confirmed gap.
    checkpoint_ms : int or None
        The market was asked about everything before, and answered.
    scanned_ms : int or None
        Every close up to here was scanned.
    """

    frontier_ms: int | None = None
    checkpoint_ms: int | None = None
    scanned_ms: int | None = None


class SeriesReader(Reading):
    """Questions about candles, settlements and the marks of their series."""

    def candles(
        self, exchange: str, symbol: str, timeframe: str, start_ms: int | None = None, end_ms: int | None = None
    ) -> Candles:
        """Return stored candles with ``start_ms <= ts < end_ms``, oldest first, as read-only arrays."""
        key = (exchange, symbol, timeframe)
        with self._connection() as connection:
            if self._recent is None:
                return candle_questions.read_candles(connection, key, start_ms, end_ms)
            return remembered.candles_between(connection, self._recent, key, start_ms, end_ms)

    def last_candles(self, exchange: str, symbol: str, timeframe: str, n: int, end_ms: int | None = None) -> Candles:
        """Return the last `n` stored candles with ``ts < end_ms``, oldest first."""
        key = (exchange, symbol, timeframe)
        with self._connection() as connection:
            if self._recent is None:
                return candle_questions.last_candles(connection, key, n, end_ms)
            return remembered.last_candles(connection, self._recent, key, n, end_ms)

    def funding(self, exchange: str, symbol: str, start_ms: int | None = None, end_ms: int | None = None) -> FloatArray:
        """Return settlements with ``start_ms <= time < end_ms``: float64 (n, 2), time in ms and rate as a fraction."""
        with self._connection() as connection:
            if self._recent is None:
                return funding(connection, exchange, symbol, start_ms, end_ms)
            self._recent.verify(connection)
            known = self._recent.settlements(connection, exchange, symbol)
        lo = 0 if start_ms is None else int(np.searchsorted(known[:, 0], start_ms))
        hi = len(known) if end_ms is None else int(np.searchsorted(known[:, 0], end_ms))
        return known[lo : max(lo, hi)]

    def marks(self, exchange: str, timeframe: str | None = None) -> dict[tuple[str, str], Marks]:
        """Return how far the series of an exchange have come, by symbol and timeframe."""
        clause, values = where({"s.exchange = ?": exchange, "s.timeframe = ?": timeframe})
        with self._connection() as connection:
            return {(row[0], row[1]): Marks(*row[2:]) for row in fetch(connection, _MARKS + clause, values)}
