"""The writer: the one way to change the database.

The law: every change happens in a transaction, whole or not at all; a method joins the open one or makes its
own, several when there are more than `MAX_TRANSACTION_ROWS`. One writer a process, used from one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pandas as pd

from core.schema import Candles, FloatArray, Instrument
from core.store import _maintain as upkeep
from core.store import _write_candles as candle_writes
from core.store import _write_market as market_writes
from core.store import _write_records as writes
from core.store._maintain import CheckpointReport
from core.store._transaction import Transaction
from core.store._write_candles import PutReport
from core.store.blocks import BLOCK_CANDLES
from core.store.connection import MAX_TRANSACTION_ROWS, open_writer, translated
from core.store.migrations import SCHEMA_VERSION, migrate_connection
from core.store.reader import Reader

_Result = TypeVar("_Result")

__all__ = ["CheckpointReport", "PutReport", "Writer"]


class Writer:
    """Open the database for writing, bring it to the newest schema, and change it.

    Parameters
    ----------
    path : pathlib.Path
        The database file, created with its folder when missing.

    Raises
    ------
    StoreError
        The file is foreign, newer than this program, damaged or locked for 30 s.
    DiskError
        No space, or no permission to write.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Writer(Path(folder) / "ohlcv.db") as writer, writer.transaction():
    ...         writer.set_frontier("bitget", "BTC/USDT:USDT", "1m", 60_000)
    ...         writer.reader.frontier("bitget", "BTC/USDT:USDT", "1m")
    60000
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = open_writer(path, SCHEMA_VERSION)
        try:
            with translated(path):
                migrate_connection(self._connection, path)
        except BaseException:
            self._connection.close()
            raise
        self._transaction = Transaction(self._connection, path)
        self.reader = Reader.over(self._connection, path)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside happen whole or not at all; may be nested, the outermost decides.

        Raises
        ------
        StoreError
            A part failed inside and its error was swallowed: nothing was written.
        """
        with translated(self.path), self._transaction.begin():
            yield

    def _in_parts(self, frame: pd.DataFrame, write: Callable[[pd.DataFrame], _Result]) -> list[_Result]:
        """Write a frame piece by piece: each a transaction of bounded size, unless one is open to join."""
        results = []
        for lo in range(0, max(1, len(frame)), MAX_TRANSACTION_ROWS):
            with self.transaction():
                results.append(write(frame.iloc[lo : lo + MAX_TRANSACTION_ROWS]))
        return results

    def put_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Insert or replace what the exchange says about symbols."""
        with self.transaction():
            market_writes.put_instruments(self._connection, instruments)

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
        key = (exchange, symbol, timeframe)
        candle_writes.validate(key, candles)
        reports = []
        for part in candle_writes.chunks(candles, timeframe, MAX_TRANSACTION_ROWS):
            with self.transaction():
                reports.append(candle_writes.put_candles(self._connection, key, part, seen_ms))
        return PutReport.total(reports)

    def set_frontier(self, exchange: str, symbol: str, timeframe: str, frontier_ms: int) -> None:
        """Say that every candle before `frontier_ms` is stored or a confirmed gap; completes blocks."""
        key = (exchange, symbol, timeframe)
        with translated(self.path):
            starts = candle_writes.missing_blocks(self._connection, key, frontier_ms)
        step = MAX_TRANSACTION_ROWS // BLOCK_CANDLES
        for lo in range(0, len(starts), step):
            with self.transaction():
                candle_writes.build_blocks(self._connection, key, starts[lo : lo + step])
        self._mark("frontier_ms", key, frontier_ms)

    def set_scanned(self, exchange: str, symbol: str, timeframe: str, scanned_ms: int) -> None:
        """Say that every close up to `scanned_ms` was scanned."""
        self._mark("scanned_ms", (exchange, symbol, timeframe), scanned_ms)

    def note_live(self, exchange: str, symbol: str, timeframe: str, from_ms: int, terms: str) -> None:
        """Say that closes after `from_ms` are decided live, and under which terms; terms that go on are noted once."""
        with self.transaction():
            writes.note_live(self._connection, (exchange, symbol, timeframe), from_ms, terms)

    def set_checkpoint(self, exchange: str, symbol: str, timeframe: str, checkpoint_ms: int) -> None:
        """Say that the market was asked about everything before `checkpoint_ms`, and answered."""
        self._mark("checkpoint_ms", (exchange, symbol, timeframe), checkpoint_ms)

    def _mark(self, name: str, key: tuple[str, str, str], ms: int) -> None:
        with self.transaction():
            market_writes.set_mark(self._connection, name, key, ms)

    def put_gaps(self, exchange: str, symbol: str, timeframe: str, frame: pd.DataFrame) -> None:
        """Insert or replace missing minutes: ts_ms, state (open, confirmed, filled), first_missed_ms, tries,
        next_try_ms."""
        key = (exchange, symbol, timeframe)
        self._in_parts(frame, lambda part: market_writes.put_gaps(self._connection, key, part))

    def put_quarantine(self, exchange: str, symbol: str, timeframe: str, frame: pd.DataFrame, seen_ms: int) -> None:
        """Record refused candles: ts_ms, reason, detail."""
        key = (exchange, symbol, timeframe)
        self._in_parts(frame, lambda part: market_writes.put_quarantine(self._connection, key, part, seen_ms))

    def put_funding(self, exchange: str, symbol: str, rows: FloatArray) -> None:
        """Insert or replace settlements, shape (n, 2): time in ms and rate as a fraction."""
        with self.transaction():
            market_writes.put_funding(self._connection, exchange, symbol, rows)

    def put_signals(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Insert signals whose key is new; those there stay as they are.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns `schema.SIGNALS` without id.

        Returns
        -------
        pandas.DataFrame
            key, id (int64) and new (bool), row by row as handed in.
        """
        return pd.concat(
            self._in_parts(frame, lambda part: writes.put_signals(self._connection, part)), ignore_index=True
        )

    def put_decisions(self, frame: pd.DataFrame) -> None:
        """Insert decisions, columns `schema.DECISIONS`; an existing (signal_id, seq) stays as it is."""
        self._in_parts(frame, lambda part: writes.put_decisions(self._connection, part))

    def put_exit_policy(self, exit_policy: str, name: str, params_json: str) -> None:
        """Record what the identity of an exit policy stands for."""
        with self.transaction():
            writes.put_exit_policy(self._connection, exit_policy, name, params_json)

    def put_trades(self, frame: pd.DataFrame) -> int:
        """Insert trades or move them forward, columns `schema.TRADES`; return how many rows were written.

        A row is left alone when the stored trade is finished or was played further. Of a trade that is there,
        taken and blocked_by are left alone too: `set_taken` alone changes them.
        """
        return sum(self._in_parts(frame, lambda part: writes.put_trades(self._connection, part)))

    def put_events(self, frame: pd.DataFrame) -> None:
        """Insert events of trades, columns `schema.TRADE_EVENTS`; existing ones stay as they are."""
        self._in_parts(frame, lambda part: writes.put_events(self._connection, part))

    def set_taken(self, frame: pd.DataFrame) -> int:
        """Set taken and blocked_by of trades by signal_id and exit_policy; return how many rows changed."""
        return sum(self._in_parts(frame, lambda part: writes.set_taken(self._connection, part)))

    def queue(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Queue messages whose key is new; return how many were.

        Parameters
        ----------
        rows : sequence of mapping
            key, channel, kind, payload (JSON text), created_ms, next_try_ms, and where they apply signal_id and
            exit_policy. Call it in the transaction of what is announced.
        """
        with self.transaction():
            return writes.queue(self._connection, rows)

    def mark_outbox(
        self,
        id: int,
        state: str,
        now_ms: int,
        remote_id: str | None = None,
        error: str | None = None,
        next_try_ms: int | None = None,
    ) -> None:
        """Write down an attempt to deliver: the new state (a queued row starts as ``queued``) and what came of it."""
        with self.transaction():
            writes.mark_outbox(self._connection, id, state, now_ms, remote_id, error, next_try_ms)

    def put_job_run(self, job: str, started_ms: int, finished_ms: int, status: str, detail: str) -> None:
        """Record a run of a job; the newest 1 000 of each are kept."""
        with self.transaction():
            writes.put_job_run(self._connection, job, started_ms, finished_ms, status, detail)

    def set_meta(self, key: str, value: str) -> None:
        """Keep a note under a key, replacing the one before."""
        with self.transaction():
            writes.set_meta(self._connection, key, value)

    def set_symbol_off(self, exchange: str, symbol: str, reason: str, since_ms: int) -> None:
        """Switch a symbol off; one that is off keeps its first reason and time."""
        with self.transaction():
            market_writes.set_symbol_off(self._connection, exchange, symbol, reason, since_ms)

    def clear_symbol_off(self, exchange: str, symbol: str) -> None:
        """Switch a symbol on again."""
        with self.transaction():
            market_writes.clear_symbol_off(self._connection, exchange, symbol)

    def checkpoint(self) -> CheckpointReport:
        """Move the write-ahead log into the file and empty it, without waiting for anybody."""
        with translated(self.path):
            return upkeep.checkpoint(self._connection)

    def incremental_vacuum(self, pages: int = 4_096) -> int:
        """Give up to `pages` unused pages (of 8 KB) back to the file system; return how many were."""
        with translated(self.path):
            return upkeep.incremental_vacuum(self._connection, pages)

    def back_up(self, target: Path) -> None:
        """Write a whole, consistent copy of the database to `target`, replacing an older copy."""
        with translated(target):
            upkeep.back_up(self._connection, target)
