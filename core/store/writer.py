"""The writer: the one way to change the database.

The law: every change happens in a transaction, whole or not at all; a method joins the open one or makes its
own, several when there are more than `MAX_TRANSACTION_ROWS`. One writer a process, used from one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.schema import FloatArray, Instrument
from core.store import _write_market as market_writes
from core.store import _write_records as writes
from core.store._maintain import CheckpointReport
from core.store._write_candles import PutReport
from core.store._write_learning import LearningWriter
from core.store._write_models import ModelWriter
from core.store._write_people import PeopleWriter
from core.store._write_series import SeriesWriter
from core.store._write_upkeep import UpkeepWriter

__all__ = ["CheckpointReport", "PutReport", "Writer"]


class Writer(SeriesWriter, LearningWriter, ModelWriter, PeopleWriter, UpkeepWriter):
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
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Writer(Path(folder) / "ohlcv.db") as writer, writer.transaction():
    ...         writer.set_frontier("bitget", "BTC/USDT:USDT", "1m", 60_000)
    ...         writer.reader.frontier("bitget", "BTC/USDT:USDT", "1m")
    60000
    """

    def put_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Insert or replace what the exchange says about symbols."""
        with self.transaction():
            market_writes.put_instruments(self._connection, instruments)

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
            self._recent.forget_funding(exchange, symbol)

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

    def move_trades(self, frame: pd.DataFrame) -> None:
        """Move stored trades forward to which nothing happened, in fewer words than `put_trades`.

        Of the columns of `schema.TRADES` only next_ms, stop, extreme, mfe_pct and mae_pct are written: without an
        event no other one changes. A row is left alone as `put_trades` would leave it.
        """
        self._in_parts(frame, lambda part: writes.move_trades(self._connection, part))

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
        """Record a run of a job; the newest 25 000 of each are kept."""
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
