"""Stage `resample`: derived timeframes from stored one-minute candles, up to the frontier.

The law: this job alone writes derived candles. A bucket is written once the base series' frontier has
passed its end, and again when a candle inside it was revised, however long ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.clock import DAY_MS, MINUTE_MS, floor_to, timeframe_ms
from core.indicators.resample import resample
from core.jobs._desk import Desk, Report
from core.schema import Candles
from core.store.reader import Marks

__all__ = ["run"]

CHUNK_MS = 32 * DAY_MS  # of minutes a transaction: under 20 000 derived candles, and memory that stays flat

AllMarks = Mapping[tuple[str, str], Marks]  # by symbol and timeframe


@dataclass(frozen=True, slots=True)
class _Part:
    """One symbol's derived candles of a stretch of time: by timeframe, from and to."""

    symbol: str
    buckets: dict[str, tuple[int, int]]
    until_ms: int
    mark: str | None  # the request to rebuild that was found, and what is left of it afterwards
    mark_after: str

    @property
    def from_ms(self) -> int:
        return min((start for start, _ in self.buckets.values()), default=self.until_ms)


async def run(desk: Desk, now_ms: int) -> Report:
    """Bring every derived series of every symbol up to its base frontier.

    After a start the last `data.resample.lookback_minutes` are made again without being asked, which
    mends what a crash between two stages may have left; unchanged rows are not written.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time; recorded as the time the candles were first seen.

    Returns
    -------
    Report
        Counts of candles written and revised.
    """
    done: dict[tuple[str, str], int] = desk.memory.setdefault("resampled", {})
    written = revised = 0
    with desk.reader.snapshot():
        marks = desk.reader.marks(desk.exchange)
        due = [part for symbol in desk.symbols for part in _parts(desk, symbol, marks, done)]
    for parts in _transactions(due):
        inserted, changed = _write(desk, parts, now_ms)
        written += inserted
        revised += changed
        # Only now: what a failed transaction took back is due again.
        done.update({(part.symbol, timeframe): end for part in parts for timeframe, (_, end) in part.buckets.items()})
    return Report("resample", counts={"candles": written, "revised": revised})


def _transactions(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    """Group parts, so that a minute of all symbols is one transaction and a year of one is several."""
    group: list[_Part] = []
    length_ms = 0
    for part in parts:
        if group and length_ms + part.until_ms - part.from_ms > CHUNK_MS:
            yield group
            group, length_ms = [], 0
        group.append(part)
        length_ms += part.until_ms - part.from_ms
    if group:
        yield group


def _parts(desk: Desk, symbol: str, marks: AllMarks, done: dict[tuple[str, str], int]) -> Iterator[_Part]:
    """Yield what is due of one symbol, in order of time."""
    base = desk.config.data.base_timeframe
    frontier, mark = _frontier(marks, symbol, base), desk.reader.meta(_mark_name(desk, symbol))
    at = {
        timeframe: _first_due(desk, symbol, timeframe, marks, done, mark)
        for timeframe in desk.config.data.derived_timeframes
    }
    is_due = any(start + timeframe_ms(timeframe) <= frontier for timeframe, start in at.items())
    if frontier == 0 or not (is_due or mark):
        return
    oldest = desk.reader.first_ms(desk.exchange, symbol, base) or 0
    at = {timeframe: max(start, floor_to(oldest, timeframe_ms(timeframe))) for timeframe, start in at.items()}
    until = min(at.values(), default=frontier)
    while until < frontier or mark:
        until = min(until + CHUNK_MS, frontier)
        ends = {timeframe: floor_to(until, timeframe_ms(timeframe)) for timeframe in at}
        left = str(until) if mark and until < frontier else ""
        yield _Part(symbol, {name: (at[name], ends[name]) for name in at if at[name] < ends[name]}, until, mark, left)
        at = {timeframe: max(start, ends[timeframe]) for timeframe, start in at.items()}
        mark = left


def _frontier(marks: AllMarks, symbol: str, timeframe: str) -> int:
    found = marks.get((symbol, timeframe))
    return (found.frontier_ms or 0) if found else 0


def _first_due(
    desk: Desk, symbol: str, timeframe: str, marks: AllMarks, done: dict[tuple[str, str], int], mark: str | None
) -> int:
    """Return the bucket from which a derived series is to be made."""
    start = done.get((symbol, timeframe))
    if start is None:
        stored = _frontier(marks, symbol, timeframe)
        start = max(0, stored - desk.config.data.resample.lookback_minutes * MINUTE_MS)
    return floor_to(min(start, int(mark)) if mark else start, timeframe_ms(timeframe))


def _write(desk: Desk, parts: Sequence[_Part], now_ms: int) -> tuple[int, int]:
    """Make and store the candles of some parts; return how many are new and how many changed."""
    with desk.writer.transaction():
        made = list(_made(desk, parts))
        puts = desk.writer.put_many_candles(desk.exchange, made, now_ms)
        desk.writer.set_marks(desk.exchange, _moved_on(desk, parts))
        for part in parts:
            name = _mark_name(desk, part.symbol)
            if part.mark and desk.reader.meta(name) == part.mark:  # else somebody has asked for more meanwhile
                desk.writer.set_meta(name, part.mark_after)
    return sum(put.inserted for put in puts), sum(put.revised for put in puts)


def _made(desk: Desk, parts: Iterable[_Part]) -> Iterator[tuple[str, str, Candles]]:
    base = desk.config.data.base_timeframe
    for part in parts:
        candles = desk.reader.candles(desk.exchange, part.symbol, base, part.from_ms, part.until_ms)
        for timeframe, (start, end) in part.buckets.items():
            yield part.symbol, timeframe, resample(candles, timeframe_ms(timeframe), start, end)


def _moved_on(desk: Desk, parts: Iterable[_Part]) -> dict[tuple[str, str], Marks]:
    """Return the derived series that reach further than they did."""
    marks, moved = desk.reader.marks(desk.exchange), {}
    for part in parts:  # in order of time: the last one counts
        for timeframe, (_, end) in part.buckets.items():
            if end > _frontier(marks, part.symbol, timeframe):
                moved[part.symbol, timeframe] = Marks(frontier_ms=end)
    return moved


def _mark_name(desk: Desk, symbol: str) -> str:
    return f"rebuild:{desk.exchange}:{symbol}"
