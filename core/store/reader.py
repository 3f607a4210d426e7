"""The reader: every question that may be asked of the database.

The law: a question opens the file, takes one snapshot, fetches everything and closes, so that no reader ever
holds back a writer; nothing can be changed through it.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from core.schema import Instrument, IntArray
from core.store import _read_candles as candle_questions
from core.store import _read_records as questions
from core.store._frames import fetch
from core.store._read_account import account_rows
from core.store._read_changes import ChangesReader, Mark
from core.store._read_learning import LearningReader
from core.store._read_models import ModelReader
from core.store._read_people import PeopleReader
from core.store._read_results import crossed
from core.store._read_series import Marks, SeriesReader
from core.store._summary import Summary, summarise

__all__ = ["Mark", "Marks", "Reader", "Summary"]


class Reader(SeriesReader, LearningReader, ModelReader, PeopleReader, ChangesReader):
    """Ask the database, never change it.

    Parameters
    ----------
    path : pathlib.Path
        The database file. It is looked at when a question is asked, not before.

    Raises
    ------
    StoreError
        By every method: the file is missing, foreign, locked, damaged or of another schema.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from core.store.migrations import migrate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "ohlcv.db"
    ...     _ = migrate(path)
    ...     len(Reader(path).candles("bitget", "BTC/USDT:USDT", "1m"))
    0
    """

    def frontier(self, exchange: str, symbol: str, timeframe: str) -> int | None:
        """Return the time before which a series is complete; None where it was never set."""
        with self._connection() as connection:
            return questions.mark(connection, "frontier_ms", (exchange, symbol, timeframe))

    def checkpoint(self, exchange: str, symbol: str, timeframe: str) -> int | None:
        """Return the time up to which the market was asked and answered; None where it never was."""
        with self._connection() as connection:
            return questions.mark(connection, "checkpoint_ms", (exchange, symbol, timeframe))

    def scanned(self, exchange: str, symbol: str, timeframe: str) -> int | None:
        """Return the last close that was scanned; None where none was."""
        with self._connection() as connection:
            return questions.mark(connection, "scanned_ms", (exchange, symbol, timeframe))

    def series(self) -> pd.DataFrame:
        """Return every series: exchange, symbol, timeframe, frontier_ms, checkpoint_ms, scanned_ms, first_ms,
        last_ms; 0 where a time is not known."""
        with self._connection() as connection:
            return questions.series(connection)

    def first_seen(self, exchange: str, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> IntArray:
        """Return when candles of ``[start_ms, end_ms)`` first came: int64 (n, 2), open and time of coming, 0 where it
        is not known."""
        with self._connection() as connection:
            return candle_questions.first_seen(connection, (exchange, symbol, timeframe), start_ms, end_ms)

    def live_terms(self, exchange: str, symbol: str, timeframe: str) -> list[tuple[int, str]]:
        """Return (time, terms), oldest first: live closes after the time were decided under the terms."""
        with self._connection() as connection:
            return questions.live_terms(connection, (exchange, symbol, timeframe))

    def instruments(self, exchange: str) -> dict[str, Instrument]:
        """Return what the exchange said about its symbols, by symbol."""
        with self._connection() as connection:
            return questions.instruments(connection, exchange)

    def gaps(self, exchange: str, symbol: str, timeframe: str, state: str | None = None) -> pd.DataFrame:
        """Return missing minutes, oldest first: ts_ms, state (open, confirmed, filled), first_missed_ms, tries,
        next_try_ms."""
        with self._connection() as connection:
            return questions.gaps(connection, (exchange, symbol, timeframe), state)

    def gap_counts(self) -> pd.DataFrame:
        """Return how many minutes each series misses: exchange, symbol, timeframe, state, n."""
        with self._connection() as connection:
            return questions.gap_counts(connection)

    def signals(
        self,
        *,
        ids: Iterable[int] | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        setup: str | None = None,
        plan_hash: str | None = None,
        origin: str | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return signals, those decided in ``[start_ms, end_ms)``, with `columns` of `schema.SIGNALS` or all.

        Oldest first; with a `limit` the newest that many, newest first. Without the long texts `rationale` and
        `plan` many rows are read several times faster.
        """
        filters = (ids, exchange, symbol, timeframe, setup, plan_hash, origin, start_ms, end_ms, limit, columns)
        with self._connection() as connection:
            return questions.signals(connection, *filters)

    def signal_ids(self, exchange: str, symbol: str, timeframe: str, plan_hash: str) -> dict[str, int]:
        """Return the ids of the signals of a series under a plan, by key."""
        with self._connection() as connection:
            return questions.signal_ids(connection, (exchange, symbol, timeframe), plan_hash)

    def decisions(self, signal_ids: Iterable[int] | None = None) -> pd.DataFrame:
        """Return decisions, columns `schema.DECISIONS`, by signal and sequence."""
        with self._connection() as connection:
            return questions.decisions(connection, signal_ids)

    def trades(
        self,
        *,
        signal_ids: Iterable[int] | None = None,
        exit_policy: str | None = None,
        status: str | Iterable[str] | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Return trades by signal and exit policy, with `columns` of `schema.TRADES` or all.

        `status` is one or several.
        """
        filters = (signal_ids, exit_policy, status, exchange, symbol, timeframe, columns)
        with self._connection() as connection:
            return questions.trades(connection, *filters)

    def ids_without_trade(self, exchange: str, symbol: str, exit_policy: str, start_ms: int, end_ms: int) -> list[int]:
        """Return signals decided in ``(start_ms, end_ms]`` without a trade under an exit policy, oldest first."""
        with self._connection() as connection:
            return questions.ids_without_trade(connection, exchange, symbol, exit_policy, start_ms, end_ms)

    def account_rows(
        self,
        exchange: str,
        exit_policy: str,
        plan_hashes: Iterable[str],
        from_ms: int,
        context_ms: int,
        keep_live: bool = False,
        until_ms: int | None = None,
    ) -> pd.DataFrame:
        """Return what an account's decisions from a time on depend on, columns `schema.ACCOUNT_ROWS`.

        Parameters
        ----------
        exchange, exit_policy, plan_hashes
            Whose candidates, played how, planned how.
        from_ms : int
            Candidates decided from here on are to be decided; earlier ones that were taken come along as settled
            while they are unfinished or ended after `context_ms`.
        context_ms : int
        keep_live : bool
            Candidates of origin live come as settled, whenever they were decided.
        until_ms : int, optional
            Candidates decided from here on are left out.
        """
        asked = (exchange, exit_policy, plan_hashes, from_ms, context_ms, keep_live, until_ms)
        with self._connection() as connection:
            return account_rows(connection, *asked)

    def last_decided(self, exchange: str) -> int | None:
        """Return the close of the newest signal of an exchange; None where there is none."""
        with self._connection() as connection:
            return questions.last_decided(connection, exchange)

    def first_ms(self, exchange: str, symbol: str, timeframe: str) -> int | None:
        """Return the open of the oldest stored candle of a series; None where nothing is stored."""
        with self._connection() as connection:
            return questions.first_ms(connection, (exchange, symbol, timeframe))

    def events(self, signal_id: int | Iterable[int] | None = None, exit_policy: str | None = None) -> pd.DataFrame:
        """Return events of trades, columns `schema.TRADE_EVENTS`, by signal, exit policy and sequence."""
        with self._connection() as connection:
            return questions.events(connection, signal_id, exit_policy)

    def crossed(self, exchange: str, plan_hash: str, exit_policy: str) -> pd.DataFrame:
        """Return of each trade that took liquidity: signal_id, entered (1 where the entry did), left (the sum of
        fraction times price over the exits that did)."""
        with self._connection() as connection:
            return crossed(connection, exchange, plan_hash, exit_policy)

    def exit_policies(self) -> dict[str, tuple[str, str]]:
        """Return (name, parameters as JSON) by exit policy, the first recorded first."""
        with self._connection() as connection:
            return questions.exit_policies(connection)

    def outbox(
        self,
        state: str | None = None,
        due_ms: int | None = None,
        limit: int | None = None,
        signal_ids: Iterable[int] | None = None,
    ) -> pd.DataFrame:
        """Return messages in order of queueing; `due_ms` keeps those whose next try is due by then."""
        with self._connection() as connection:
            return questions.outbox(connection, state, due_ms, limit, signal_ids)

    def job_runs(self, job: str | None = None, limit: int = 100) -> pd.DataFrame:
        """Return runs of jobs, newest first: id, job, started_ms, finished_ms, status, detail."""
        with self._connection() as connection:
            return questions.job_runs(connection, job, limit)

    def meta(self, key: str) -> str | None:
        """Return a note of the engine to itself."""
        with self._connection() as connection:
            return questions.meta(connection, key)

    def symbols_off(self, exchange: str) -> pd.DataFrame:
        """Return switched-off symbols: symbol, reason, since_ms."""
        with self._connection() as connection:
            return questions.symbols_off(connection, exchange)

    def quarantine(
        self,
        exchange: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        limit: int = 1_000,
    ) -> pd.DataFrame:
        """Return refused candles with reason, detail, first and last time seen and how often, newest first."""
        with self._connection() as connection:
            return questions.quarantine(connection, exchange, symbol, timeframe, limit)

    def revisions(
        self,
        exchange: str | None = None,
        symbol: str | None = None,
        timeframe: str | None = None,
        limit: int = 1_000,
    ) -> pd.DataFrame:
        """Return changed candles with their values before (old_*) and after (new_*), newest first."""
        with self._connection() as connection:
            return questions.revisions(connection, exchange, symbol, timeframe, limit)

    def integrity(self) -> list[str]:
        """Return what SQLite finds wrong with the file; empty when it is sound."""
        with self._connection() as connection:
            found = [str(row[0]) for row in fetch(connection, "PRAGMA integrity_check")]
            return [] if found == ["ok"] else found

    def summary(self) -> Summary:
        """Return sizes, rows by table, and for each series its range, blocks and gaps."""
        with self._connection() as connection:
            return summarise(connection, self.path)
