"""Job `retro_scan`: back-fill the record over stored candles.

The law: it is the live scan's fill-in for older closes. It writes only what is missing (the signal, its
decision, its trade), so running it again, or stopping and resuming it, changes nothing. Memory depends on
the length of one chunk, not of the range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import DAY_MS, floor_to, timeframe_ms
from core.jobs._account import settle
from core.jobs._book import begin, join_signals, play_on, playable_to, policy_id
from core.jobs._candidates import decide_range, store_candidates
from core.jobs._desk import Desk, Report
from core.schema import Candles

__all__ = ["RetroRequest", "run"]

CHUNK_MS = 128 * DAY_MS
BATCH = 1_500  # candidates a transaction: with decision, trade and about six events each, under 20 000 rows

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class RetroRequest:
    """What to fill in.

    Parameters
    ----------
    start_ms, end_ms : int
        Closes in ``(start_ms, end_ms]`` are decided.
    symbols, timeframes : sequence of str
    stride : int
        Keep candidates of every `stride`-th candle of the grid that starts at the epoch; 1 keeps all.
    limit_per_pair : int
        Keep the newest so many per symbol and timeframe; 0 keeps all.
    """

    start_ms: int
    end_ms: int
    symbols: Sequence[str]
    timeframes: Sequence[str]
    stride: int = 1
    limit_per_pair: int = 0


async def run(desk: Desk, now_ms: int, request: RetroRequest, progress: Progress | None = None) -> Report:
    """Fill in signals, decisions and trades over a range of closes.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.
    request : RetroRequest
    progress : callable, optional
        Called with steps done, steps in all and the symbol of the step.

    Returns
    -------
    Report
        Counts of closes decided, signals new and trades moved on.
    """
    chunks = {symbol: list(_chunks(desk, symbol, request)) for symbol in request.symbols}
    total = sum(len(parts) for parts in chunks.values())
    counts = {"closes": 0, "signals": 0, "trades": 0}
    step = 0
    for symbol, parts in chunks.items():
        if not parts:
            continue
        fill = _Fill(desk, symbol, request, now_ms)
        counts["trades"] += fill.carry_on(parts[0][0])
        for start, end in parts:
            for name, count in fill.chunk(start, end).items():
                counts[name] += count
            step += 1
            if progress:
                progress(step, total, symbol)
        counts["trades"] += fill.carry_on(fill.playable_ms)
    starts = [parts[0][0] for parts in chunks.values() if parts]
    if starts:
        with desk.writer.transaction():
            settle(desk, min(starts), keep_live=True)
    problems = tuple(f"{symbol}: no candles in this range" for symbol, parts in chunks.items() if not parts)
    return Report("retro_scan", ok=not problems, counts=counts, problems=problems)


def _chunks(desk: Desk, symbol: str, request: RetroRequest) -> Iterator[tuple[int, int]]:
    """Yield the parts of the range that may hold candles, in order."""
    base = (desk.exchange, symbol, desk.config.data.base_timeframe)
    first, frontier = desk.reader.first_ms(*base), desk.reader.frontier(*base)
    if frontier is None or first is None:
        return
    start, stop = max(request.start_ms, first), min(request.end_ms, frontier)
    while start < stop:
        end = min(floor_to(start, CHUNK_MS) + CHUNK_MS, stop)
        yield start, end
        start = end


class _Fill:
    """Fills in one symbol, chunk after chunk."""

    def __init__(self, desk: Desk, symbol: str, request: RetroRequest, now_ms: int) -> None:
        self.desk, self.symbol, self.request = desk, symbol, request
        self.playable_ms = playable_to(desk, symbol, now_ms)
        self.since = {
            timeframe: self._newest(timeframe) if request.limit_per_pair else (0, "")
            for timeframe in request.timeframes
        }

    def carry_on(self, to_ms: int) -> int:
        """Play what is unfinished up to a time, no more than a chunk's length at once; return how many moved."""
        moved, until_ms = 0, 0
        while until_ms < to_ms:
            unfinished = self._unfinished()
            due = unfinished[unfinished["next_ms"] < to_ms].reset_index(drop=True)
            if due.empty:
                break
            until_ms = min(max(int(due["next_ms"].min()), until_ms) + CHUNK_MS, to_ms)
            moved += self._play(due, join_signals(self.desk, due), until_ms)
        return moved

    def chunk(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """Decide the closes of a chunk and play everything to its end."""
        to_ms = min(end_ms, self.playable_ms)
        base = self.desk.config.data.base_timeframe
        candles = self.desk.reader.candles(self.desk.exchange, self.symbol, base, start_ms, to_ms)
        counts = {"trades": self._play_stored(start_ms, end_ms, to_ms, candles), "closes": 0, "signals": 0}
        for timeframe in self.request.timeframes:
            for setup in self.desk.setups:
                signals, decisions, closes = decide_range(self.desk, self.symbol, timeframe, setup, start_ms, end_ms)
                kept = self._kept(signals, timeframe, self.since[timeframe])
                counts["closes"] += closes
                counts["signals"] += self._store(signals[kept], decisions[kept], to_ms, candles)
        return counts

    def _store(self, signals: pd.DataFrame, decisions: pd.DataFrame, to_ms: int, candles: Candles) -> int:
        new = 0
        for lo in range(0, len(signals), BATCH):
            part = [frame.iloc[lo : lo + BATCH].reset_index(drop=True) for frame in (signals, decisions)]
            new += len(store_candidates(self.desk, part[0], part[1], "retro", to_ms, candles).signals)
        return new

    def _play_stored(self, start_ms: int, end_ms: int, to_ms: int, candles: Candles) -> int:
        """Move on what earlier runs left unfinished, and begin what the exit policy in force lacks."""
        desk = self.desk
        moved = 0
        unfinished = self._unfinished()
        lacking = desk.reader.ids_without_trade(desk.exchange, self.symbol, policy_id(desk), start_ms, end_ms)
        for lo in range(0, len(lacking), BATCH):
            signals = desk.reader.signals(ids=lacking[lo : lo + BATCH])
            signals = signals[signals["timeframe"].isin(list(self.request.timeframes))].reset_index(drop=True)
            with desk.writer.transaction():
                fresh = begin(desk, signals)
                desk.writer.put_trades(fresh)
                moved += self._play(fresh, signals, to_ms, candles)
        if len(unfinished):
            moved += self._play(unfinished, join_signals(desk, unfinished), to_ms, candles)
        return moved

    def _unfinished(self) -> pd.DataFrame:
        desk = self.desk
        return desk.reader.trades(exchange=desk.exchange, symbol=self.symbol, status=["PENDING", "OPEN"])

    def _play(self, trades: pd.DataFrame, signals: pd.DataFrame, to_ms: int, candles: Candles | None = None) -> int:
        given = None if candles is None else {self.symbol: candles}
        after, events = play_on(self.desk, trades, signals, {self.symbol: to_ms}, given)
        with self.desk.writer.transaction():
            self.desk.writer.put_trades(after)
            self.desk.writer.put_events(events)
        return len(after)

    def _kept(self, signals: pd.DataFrame, timeframe: str, since: tuple[int, str]) -> npt.NDArray[np.bool_]:
        """Say which candidates the stride and the limit leave."""
        on_grid = (signals["ts_ms"] // timeframe_ms(timeframe)) % self.request.stride == 0
        decided, key = since
        newer = (signals["decided_ms"] > decided) | ((signals["decided_ms"] == decided) & (signals["key"] >= key))
        return (on_grid & newer).to_numpy(dtype=bool)

    def _newest(self, timeframe: str) -> tuple[int, str]:
        """Return decided_ms and key of the oldest of the newest `limit_per_pair` candidates."""
        found: list[tuple[int, str]] = []
        for start, end in reversed(list(_chunks(self.desk, self.symbol, self.request))):
            for setup in self.desk.setups:
                signals, _, _ = decide_range(self.desk, self.symbol, timeframe, setup, start, end)
                signals = signals[self._kept(signals, timeframe, (0, ""))]
                found += list(zip(signals["decided_ms"].tolist(), signals["key"].tolist(), strict=True))
            if len(found) >= self.request.limit_per_pair:
                break
        return sorted(found)[-self.request.limit_per_pair :][0] if found else (0, "")
