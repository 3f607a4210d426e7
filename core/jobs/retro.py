"""Job `retro_scan`: back-fill the record over stored candles.

The law: it is the live scan's fill-in for older closes. It writes only what is missing (the signal, its
decision, its trade), so running it again, or stopping and resuming it, changes nothing. Whoever computes, this
process alone reads and writes the database, in one order; memory depends on the length of a chunk, not of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from core.clock import DAY_MS, floor_to, timeframe_ms
from core.jobs import _workers
from core.jobs._account import settle
from core.jobs._announce import queue_events
from core.jobs._book import ended, instrument_of, join_signals, play_on, playable_to, policy_id, run_of
from core.jobs._candidates import closes_between, find_range, scan_rules
from core.jobs._describe import surroundings
from core.jobs._desk import Desk, Report
from core.jobs._fill import ALL, Filled, FillRules, Series, Stretch, fill, kept
from core.jobs._hearing import Heard, Hearing
from core.pipeline import Surroundings
from core.schema import SIGNALS, Candles, empty_frame
from core.store.connection import MAX_TRANSACTION_ROWS

__all__ = ["RetroRequest", "run"]

CHUNK_MS = 64 * DAY_MS
TRANSACTION_ROWS = MAX_TRANSACTION_ROWS
BATCH = 2_000  # unfinished trades moved on in a transaction, each with a few events
WORTH_A_PROCESS = 2_500_000
"""Minutes that must be there for each process, or starting it takes longer than what it saves."""

Progress = Callable[[int, int, str], None]
Chunk = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RetroRequest:
    """What to fill in, and who computes.

    Parameters
    ----------
    start_ms, end_ms : int
        Closes in ``(start_ms, end_ms]`` are decided.
    symbols, timeframes : sequence of str
    stride : int
        Keep candidates of every `stride`-th candle of the grid that starts at the epoch; 1 keeps all.
    limit_per_pair : int
        Keep the newest so many per symbol and timeframe; 0 keeps all.
    jobs : int
        Processes at once; 0 uses up to `compute.jobs`, as many as the work is worth.
    cluster : str
        Address of a Dask scheduler whose workers compute; ``""`` leaves it to `compute.backend`.
    model : str
        Who judges: a version, ``current`` for the model in force now, ``""`` for who was in force then.
    """

    start_ms: int
    end_ms: int
    symbols: Sequence[str]
    timeframes: Sequence[str]
    stride: int = 1
    limit_per_pair: int = 0
    jobs: int = 0
    cluster: str = ""
    model: str = ""


async def run(desk: Desk, now_ms: int, request: RetroRequest, progress: Progress | None = None) -> Report:
    """Fill in signals, decisions and trades over a range of closes.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.
    request : RetroRequest
    progress : callable, optional
        Called with minutes of candles done, those in all, and the symbol that was worked on.

    Returns
    -------
    Report
        Counts of closes decided, signals new and trades begun or moved on for signals that were there.

    Raises
    ------
    TraderError
        Somebody who computes has failed; what was written until then stays.
    """
    hearing = Hearing(desk, request.model)
    fills = [_Fill(desk, symbol, request, now_ms, hearing) for symbol in request.symbols]
    base_ms = timeframe_ms(desk.config.data.base_timeframe)
    total = sum(end - start for one in fills for start, end in one.chunks) // base_ms
    counts = {"closes": 0, "signals": 0, "trades": 0}
    done = 0
    tasks = (((one, chunk), one.stretch(chunk)) for one in fills for chunk in one.chunks)
    with _computed_by(desk, request, total) as workers:
        for (one, chunk), filled in _workers.in_order(workers, fill, tasks):
            counts["closes"] += filled.closes
            counts["signals"] += one.store(filled)
            counts["trades"] += len(filled.trades) - len(filled.signals)
            counts["trades"] += one.carry_on(one.playable_ms if chunk == one.chunks[-1] else chunk[1] + CHUNK_MS)
            done += (chunk[1] - chunk[0]) // base_ms
            if progress:
                progress(done, total, one.symbol)
    _settle(desk, fills)
    problems = tuple(f"{one.symbol}: no candles in this range" for one in fills if not one.chunks)
    return Report("retro_scan", ok=not problems, counts=counts, problems=problems)


def _computed_by(desk: Desk, request: RetroRequest, minutes: int) -> AbstractContextManager[_workers.Workers]:
    """Return who computes: the cluster asked for, as many processes, or what the configuration says."""
    compute = desk.config.compute
    if request.cluster or (compute.backend == "dask" and not request.jobs):
        return _workers.dask_cluster(request.cluster, compute.jobs)
    count = request.jobs or min(compute.jobs, minutes // WORTH_A_PROCESS)
    return _workers.processes(count, "core.arrowless", fill.__module__) if count > 1 else _workers.alone()


def _settle(desk: Desk, fills: Sequence[_Fill]) -> None:
    """Decide what is taken, from the first close looked at on, one chunk after the other."""
    starts = [one.chunks[0][0] for one in fills if one.chunks]
    if not starts:
        return
    start_ms, last_ms = min(starts), desk.reader.last_decided(desk.exchange) or 0
    while start_ms <= last_ms:
        end_ms = floor_to(start_ms, CHUNK_MS) + CHUNK_MS
        with desk.writer.transaction():
            settle(desk, start_ms, keep_live=True, until_ms=end_ms)
        start_ms = end_ms


class _Fill:
    """Fills in one symbol, chunk after chunk."""

    def __init__(self, desk: Desk, symbol: str, request: RetroRequest, now_ms: int, hearing: Hearing) -> None:
        self.desk, self.symbol, self.request, self.hearing = desk, symbol, request, hearing
        self.now_ms, self.playable_ms = now_ms, playable_to(desk, symbol, now_ms)
        self.gone = ended(desk, {symbol: self.playable_ms})
        self.chunks = list(self._chunks())

    def _chunks(self) -> Iterator[Chunk]:
        """Yield the parts of the range that may hold candles, in order."""
        base = (self.desk.exchange, self.symbol, self.desk.config.data.base_timeframe)
        first, frontier = self.desk.reader.first_ms(*base), self.desk.reader.frontier(*base)
        if frontier is None or first is None:
            return
        start, stop = max(self.request.start_ms, first), min(self.request.end_ms, frontier)
        while start < stop:
            end = min(floor_to(start, CHUNK_MS) + CHUNK_MS, stop)
            yield start, end
            start = end

    def stretch(self, chunk: Chunk) -> Stretch:
        """Read what it takes to fill a chunk in."""
        start_ms, end_ms = chunk
        desk, rules = self.desk, self._rules
        series = tuple(
            self._series(timeframe, start_ms, end_ms, since)
            for timeframe, since in self._since.items()
            if since[0] <= end_ms
        )
        lacking = self._lacking(chunk)
        reach_ms = end_ms + self._reach_ms if series or len(lacking) else start_ms  # what nobody plays is not read
        to_ms = min(reach_ms, self.playable_ms)
        is_last = bool(self.gone) and to_ms == self.playable_ms
        run = run_of(desk, self.symbol, start_ms, to_ms, rules.costs, is_last)
        return Stretch(rules, instrument_of(desk, self.symbol), series, run, lacking)

    def _series(self, timeframe: str, start_ms: int, end_ms: int, since: tuple[int, str]) -> Series:
        features = self.desk.features
        needed = [0 if features is None else features.warmup, *(setup.warmup for setup in self.desk.setups)]
        candles, first = closes_between(self.desk, self.symbol, timeframe, max(needed), start_ms, end_ms)
        around = Surroundings(Candles.empty(), np.empty((0, 2)))
        if features is not None and len(candles):
            around = surroundings(self.desk, self.symbol, timeframe, int(candles.ts[0]), end_ms)
        return Series(timeframe, candles, first, around, since)

    @cached_property
    def _rules(self) -> FillRules:
        desk = self.desk
        return FillRules(
            setups=tuple(desk.setups),
            scan=scan_rules(desk.config, desk.costs),
            exit_policy=desk.exit_policy,
            policy_id=policy_id(desk),
            execution=desk.rules,
            costs=desk.costs,
            features=desk.features,
            stride=self.request.stride,
        )

    @property
    def _reach_ms(self) -> int:
        """How far beyond a chunk its trades are played at once, lest its candles be read again to finish them."""
        hold = int(self.desk.exit_policy.params().get("max_hold_candles", 0))
        longest_ms = max((timeframe_ms(timeframe) for timeframe in self.request.timeframes), default=0)
        candles = self.desk.config.signals.validity_candles + hold + 2
        return min(candles * longest_ms, CHUNK_MS)

    def _lacking(self, chunk: Chunk) -> pd.DataFrame:
        """Return the candidates of a chunk that have no trade under the exit policy in force."""
        ids = self.desk.reader.ids_without_trade(self.desk.exchange, self.symbol, policy_id(self.desk), *chunk)
        if not ids:
            return empty_frame(SIGNALS)
        signals = self.desk.reader.signals(ids=ids)
        return signals[signals["timeframe"].isin(list(self.request.timeframes))].reset_index(drop=True)

    def store(self, filled: Filled) -> int:
        """Write what is new of a chunk, in transactions of bounded size; return how many signals are."""
        trades, new = filled.trades, 0
        heard = self.hearing.hear(filled)
        begun = len(trades) - len(filled.signals)
        # A signal, its decision, its trade, and what happened to it.
        rows = np.cumsum(3 + trades["n_events"].to_numpy())
        events = np.concatenate([[0], np.cumsum(trades["n_events"].to_numpy())])
        lo = 0
        while lo < len(trades):
            room = TRANSACTION_ROWS + (rows[lo - 1] if lo else 0)
            hi = max(lo + 1, int(np.searchsorted(rows, room, side="right")))
            hi = min(hi, begun) if lo < begun else hi
            happened = filled.events.iloc[events[lo] : events[hi]]
            with self.desk.writer.transaction():
                if lo < begun:
                    self.desk.writer.put_trades(trades.iloc[lo:hi])
                    self.desk.writer.put_events(happened)
                else:
                    new += self._store(heard.slice(lo - begun, hi - begun), trades.iloc[lo:hi], happened)
            lo = hi
        return new

    def _store(self, heard: Heard, trades: pd.DataFrame, events: pd.DataFrame) -> int:
        """Write candidates that are not there yet, under the ids they get, and what is new of the others."""
        writer, first = self.desk.writer, -int(heard.signals["id"].iloc[0])
        put = writer.put_signals(heard.signals.assign(origin="retro"))
        ids, is_new = put["id"].to_numpy(), put["new"].to_numpy(dtype=bool)
        self.hearing.write(heard, ids, is_new)
        if not is_new.any():
            return 0
        happened = -events["signal_id"].to_numpy() - first
        if not is_new.all():
            trades, events = trades[is_new], events[is_new[happened]]
            happened = happened[is_new[happened]]
        writer.put_trades(trades.assign(signal_id=ids[is_new]))
        writer.put_events(events.assign(signal_id=ids[happened]))
        return int(is_new.sum())

    def carry_on(self, to_ms: int) -> int:
        """Play what is unfinished to a time or the end of the candles, no more than a chunk's length at once."""
        moved, until_ms, end_ms = 0, 0, min(to_ms, self.playable_ms)
        while until_ms < end_ms:
            unfinished = self.desk.reader.trades(
                exchange=self.desk.exchange, symbol=self.symbol, status=["PENDING", "OPEN"]
            )
            is_last = bool(self.gone) and end_ms == self.playable_ms
            due = unfinished[(unfinished["next_ms"] < end_ms) | is_last].reset_index(drop=True)
            if due.empty:
                break
            until_ms = min(max(int(due["next_ms"].min()), until_ms) + CHUNK_MS, end_ms)
            for lo in range(0, len(due), BATCH):
                moved += self._play(due.iloc[lo : lo + BATCH].reset_index(drop=True), until_ms)
        return moved

    def _play(self, trades: pd.DataFrame, until_ms: int) -> int:
        gone = self.gone if until_ms == self.playable_ms else ()
        signals = join_signals(self.desk, trades)
        after, events = play_on(self.desk, trades, signals, {self.symbol: until_ms}, gone)
        with self.desk.writer.transaction():
            self.desk.writer.put_trades(after)
            self.desk.writer.put_events(events)
            # What became of live signals is told, whoever found it out: `execute` finds nothing left to do.
            queue_events(self.desk, events, after, signals, self.now_ms)
        return len(after)

    @cached_property
    def _since(self) -> dict[str, tuple[int, str]]:
        """From which candidate on each timeframe's are kept."""
        limited = self.request.limit_per_pair > 0
        return {timeframe: self._newest(timeframe) if limited else ALL for timeframe in self.request.timeframes}

    def _newest(self, timeframe: str) -> tuple[int, str]:
        """Return decided_ms and key of the oldest of the newest `limit_per_pair` candidates."""
        found: list[tuple[int, str]] = []
        for start, end in reversed(self.chunks):
            for setup in self.desk.setups:
                signals = find_range(self.desk, self.symbol, timeframe, setup, start, end).signals
                signals = signals[kept(signals, timeframe, self.request.stride, ALL)]
                found += list(zip(signals["decided_ms"].tolist(), signals["key"].tolist(), strict=True))
            if len(found) >= self.request.limit_per_pair:
                break
        return sorted(found)[-self.request.limit_per_pair :][0] if found else ALL
