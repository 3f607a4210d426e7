"""A live engine's writing beside the viewer: a minute of every symbol at a time, as fast as it goes, with the log kept
as the engine keeps it; and readers that ask what pages ask.

The law: the log is looked at after each minute, where it is largest; readers are processes of their own, and look
several times a second, where a page does twice a minute.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from core.clock import MINUTE_MS
from core.errors import TraderError
from core.jobs.schedule import MAINTAIN_MINUTES
from core.schema import Candles
from core.store.reader import Reader
from core.store.writer import Writer

__all__ = ["Log", "MinuteWriter", "kept_small", "look_on", "readers"]

_EVERY_S = 0.25
_ENDS_S = 60.0


@dataclass(frozen=True, slots=True)
class Log:
    """What a run of minutes beside readers came to.

    Parameters
    ----------
    minutes, looks, failed : int
        Written, how often the readers looked, and how often they could not.
    peak_bytes : int
        Of the write-ahead log.
    seconds : float
    slowest_ms : float
        Of the minutes written.
    """

    minutes: int
    looks: int
    failed: int
    peak_bytes: int
    seconds: float
    slowest_ms: float


class MinuteWriter:
    """Writes the minutes that follow a database's newest ones.

    Parameters
    ----------
    writer : Writer
    exchange : str
    """

    def __init__(self, writer: Writer, exchange: str) -> None:
        self._writer, self._exchange = writer, exchange
        series = writer.reader.series()
        mine = series[(series["exchange"] == exchange) & (series["timeframe"] == "1m")]
        self._at_ms = int(mine["frontier_ms"].max())
        last = {str(symbol): writer.reader.last_candles(exchange, str(symbol), "1m", 1) for symbol in mine["symbol"]}
        self._close = {symbol: float(found.close[-1]) for symbol, found in last.items() if len(found)}
        self._rng = np.random.default_rng(7)

    def write(self) -> None:
        """Write the next minute: a candle of every symbol, trades under way moved on, what the jobs said."""
        at_ms, now_ms = self._at_ms, self._at_ms + MINUTE_MS
        with self._writer.transaction():
            for symbol, before in self._close.items():
                close = before * float(np.exp(self._rng.normal(0.0, 0.0007)))
                one = Candles.of([at_ms], [before], [max(before, close)], [min(before, close)], [close], [10.0])
                self._writer.put_candles(self._exchange, symbol, "1m", one, now_ms)
                self._writer.set_frontier(self._exchange, symbol, "1m", now_ms)
                self._close[symbol] = close
        under_way = self._writer.reader.trades(exchange=self._exchange, status=["PENDING", "OPEN"])
        if len(under_way):
            self._writer.move_trades(under_way.assign(next_ms=now_ms))
        for job in ("incremental_sync", "resample", "execute_trades", "scan_signals"):
            self._writer.put_job_run(job, now_ms, now_ms + 40, "ok", f"{job}: done 10")
        self._at_ms = now_ms


def look_on(path: str, exchange: str, stop: Event, looks: Synchronized[int], failed: Synchronized[int]) -> None:
    """Ask what the pages ask, again and again, until told to stop."""
    reader = Reader(Path(path))
    while not stop.wait(_EVERY_S):
        count = looks
        try:
            _look(reader, exchange)
        except TraderError:
            count = failed
        with count.get_lock():
            count.value += 1


def _look(reader: Reader, exchange: str) -> None:
    series = reader.series()
    symbol = str(series.loc[series["exchange"] == exchange, "symbol"].iloc[0])
    policies = reader.policies_on(exchange)
    newest = reader.signals(exchange=exchange, limit=200)
    reader.last_candles(exchange, symbol, "1m", 1_441)
    reader.last_candles(exchange, symbol, "15m", 600)
    reader.job_runs(limit=6_000)
    reader.signals_mark(exchange)
    if policies and len(newest):
        mark = reader.trades_mark(policies[0])
        reader.changed_trades(policies[0], mark[0], newest["id"].tolist())
        reader.ledger_rows(exchange, policies[0])


@contextmanager
def readers(path: Path, exchange: str, count: int) -> Iterator[tuple[Synchronized[int], Synchronized[int]]]:
    """Run readers in processes of their own; yield how often they have looked, together, and could not."""
    context = multiprocessing.get_context("spawn")
    stop, looks, failed = context.Event(), context.Value("q", 0), context.Value("q", 0)
    given = (str(path), exchange, stop, looks, failed)
    processes = [context.Process(target=look_on, args=given) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield looks, failed
    finally:
        stop.set()
        for process in processes:
            process.join(_ENDS_S)
            if process.is_alive():
                process.kill()


def kept_small(path: Path, exchange: str, minutes: int, count: int) -> Log:
    """Write minutes beside readers, checkpointing as the engine does; return how large the log became."""
    peak, slowest, began = 0, 0.0, perf_counter()
    with Writer(path) as writer, readers(path, exchange, count) as (looks, failed):
        desk = MinuteWriter(writer, exchange)
        while looks.value < count:
            if perf_counter() - began > _ENDS_S:
                raise RuntimeError("the readers did not begin")
            sleep(0.05)
        began = perf_counter()
        for minute in range(1, minutes + 1):
            start = perf_counter()
            desk.write()
            slowest = max(slowest, perf_counter() - start)
            peak = max(peak, writer.log_bytes())
            if minute % MAINTAIN_MINUTES == 0:
                writer.checkpoint()
        took, seen, missed = perf_counter() - began, int(looks.value), int(failed.value)
    return Log(minutes, seen, missed, peak, took, slowest * 1000)
