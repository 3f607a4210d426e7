"""Candles and how far each series has come: what every minute writes, of one series or of many at once.

The law: many series are written as one is, in fewer statements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.schema import Candles
from core.store import _write_market as market_writes
from core.store import _write_records as writes
from core.store._batch import Batch, groups, validate
from core.store._read_series import Marks
from core.store._write_blocks import build_blocks, missing_blocks
from core.store._write_candles import PutReport, put_candles
from core.store._writing import Writing
from core.store.blocks import BLOCK_CANDLES
from core.store.connection import MAX_TRANSACTION_ROWS, translated

__all__ = ["SeriesWriter"]


class SeriesWriter(Writing):
    """Changes of candles and of the marks of their series."""

    def put_candles(self, exchange: str, symbol: str, timeframe: str, candles: Candles, seen_ms: int) -> PutReport:
        """Store closed candles: new ones inserted, different ones replaced and recorded, equal ones left alone.

        Parameters
        ----------
        exchange, symbol, timeframe : str
            The series; made when new.
        candles : Candles
            Of that timeframe, closed and clean.
        seen_ms : int
            When they were received; kept of the first time.

        Returns
        -------
        PutReport
            How many were new, different and equal, and from where derived candles are to be made again.

        Raises
        ------
        StoreError
            Times off the grid or out of order, or numbers that are not finite.
        """
        return self.put_many_candles(exchange, [(symbol, timeframe, candles)], seen_ms)[0]

    def put_many_candles(
        self, exchange: str, parts: Sequence[tuple[str, str, Candles]], seen_ms: int
    ) -> list[PutReport]:
        """Store candles of several series as `put_candles` does, each (symbol, timeframe, candles); one report each."""
        keyed = [((exchange, symbol, timeframe), candles) for symbol, timeframe, candles in parts]
        validate(Batch.of(keyed))
        reports: list[list[PutReport]] = [[] for _ in parts]
        for group in groups(keyed, MAX_TRANSACTION_ROWS):
            with self.transaction():
                pieces = [(keyed[position][0], candles) for position, candles in group]
                told = put_candles(self._connection, self._recent, pieces, seen_ms)
            for (position, _), report in zip(group, told, strict=True):
                reports[position].append(report)
        return [PutReport.total(told) for told in reports]

    def set_frontier(self, exchange: str, symbol: str, timeframe: str, frontier_ms: int) -> None:
        """Say that every candle before `frontier_ms` is stored or a confirmed gap; completes blocks."""
        self.set_marks(exchange, {(symbol, timeframe): Marks(frontier_ms=frontier_ms)})

    def set_checkpoint(self, exchange: str, symbol: str, timeframe: str, checkpoint_ms: int) -> None:
        """Say that the market was asked about everything before `checkpoint_ms`, and answered."""
        self.set_marks(exchange, {(symbol, timeframe): Marks(checkpoint_ms=checkpoint_ms)})

    def set_scanned(self, exchange: str, symbol: str, timeframe: str, scanned_ms: int) -> None:
        """Say that every close up to `scanned_ms` was scanned."""
        self.set_marks(exchange, {(symbol, timeframe): Marks(scanned_ms=scanned_ms)})

    def set_marks(self, exchange: str, marks: Mapping[tuple[str, str], Marks]) -> None:
        """Say how far series have come, by symbol and timeframe; what is None stays as it is."""
        keyed = [((exchange, *name), marked) for name, marked in marks.items()]
        self._complete_blocks([(key, marked.frontier_ms) for key, marked in keyed if marked.frontier_ms is not None])
        with self.transaction():
            for column in Marks._fields:
                told = [(key, ms) for key, marked in keyed if (ms := getattr(marked, column)) is not None]
                market_writes.set_marks(self._connection, self._recent, column, told)

    def _complete_blocks(self, frontiers: Sequence[tuple[tuple[str, str, str], int]]) -> None:
        with translated(self.path):
            missing = [(key, start) for key, ms in frontiers for start in missing_blocks(self._connection, key, ms)]
        step = MAX_TRANSACTION_ROWS // BLOCK_CANDLES
        for lo in range(0, len(missing), step):
            with self.transaction():
                build_blocks(self._connection, self._recent, missing[lo : lo + step])

    def note_live(self, exchange: str, symbol: str, timeframe: str, from_ms: int, terms: str) -> None:
        """Say that closes after `from_ms` are decided live, and under which terms; terms that go on are noted once."""
        self.note_many_live(exchange, [(symbol, timeframe, from_ms, terms)])

    def note_many_live(self, exchange: str, notes: Sequence[tuple[str, str, int, str]]) -> None:
        """Note several series, each once, as `note_live` does: symbol, timeframe, from_ms, terms."""
        with self.transaction():
            keyed = [((exchange, symbol, timeframe), ms, terms) for symbol, timeframe, ms, terms in notes]
            writes.note_live(self._connection, keyed)
