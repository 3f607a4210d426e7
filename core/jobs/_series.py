"""Bringing one-minute series forward: ask, take in, write. Shared by sync and back-fill.

The law: what a series knows between two runs is what the database says of it; memory is put forward only after the
transaction that wrote it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from core.clock import floor_to, format_ms, monotonic_s, timeframe_ms
from core.errors import CredentialsError, MarketError, MarketUnavailable
from core.ingest.frontier import Answer, Series, absorb
from core.ingest.gaps import Gaps
from core.ingest.plan import Window, gap_window, next_window
from core.jobs._desk import Desk
from core.schema import Candles, FloatArray
from core.store.reader import Marks

__all__ = [
    "TRANSACTION_ROWS",
    "Budget",
    "Pulled",
    "Written",
    "ask_for_rebuild",
    "first_stored",
    "history_start",
    "load_series",
    "pull",
    "write",
]

TRANSACTION_ROWS = 20_000
"""Most rows a transaction holds, so that other writers are never kept waiting for long."""

_PUBLISHED_AFTER_S = 1.0
"""A live exchange that does not show a closed candle yet is asked once more after this long."""

_NO_CANDLES = Candles.empty()


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one pull may take on.

    Parameters
    ----------
    pages : int
        Most requests that move the series forward.
    rows : int
        Most candles and missing minutes.
    stop_s : float
        Monotonic second after which no further page is begun.
    patience_s : float or None
        Seconds after which the pull is cut short; None where whoever asks has time.
    """

    pages: int
    rows: int
    stop_s: float = float("inf")
    patience_s: float | None = None


@dataclass(slots=True)
class Pulled:
    """What was fetched for one symbol and is not written yet.

    Parameters
    ----------
    symbol : str
    before, series : Series
        Where it stood and stands.
    answers : list of Answer
        In the order they came.
    fault : str or None
        Why the series is behind although the market answered.
    error : MarketError, CredentialsError or None
        Why the market did not answer.
    is_waiting : bool
        The market has never shown a candle of it.
    """

    symbol: str
    before: Series
    series: Series
    answers: list[Answer] = field(default_factory=list)
    fault: str | None = None
    error: MarketError | CredentialsError | None = None
    is_waiting: bool = False

    def take(self, answer: Answer, candles: Candles | None = None) -> None:
        """Keep an answer; of its candles only `candles`, where given."""
        self.series = answer.series
        self.answers.append(answer if candles is None else replace(answer, candles=candles))


@dataclass(slots=True)
class Written:
    """How many rows a write changed."""

    candles: int = 0
    revised: int = 0
    quarantined: int = 0
    gaps_open: int = 0


def history_start(desk: Desk, now_ms: int) -> int:
    """Return the first minute a series without candles is asked for.

    It is `backfill.start_date`, on the grid. A market whose time lies before that date, a tape, is asked from its
    beginning.
    """
    start_ms = floor_to(desk.config.backfill.start_ms, timeframe_ms(desk.config.data.base_timeframe))
    return start_ms if start_ms < now_ms else 0


def load_series(desk: Desk, symbol: str) -> Series:
    """Read where a series stands."""
    key = (desk.exchange, symbol, desk.config.data.base_timeframe)
    checkpoint_ms = desk.reader.checkpoint(*key)
    if checkpoint_ms is None:
        checkpoint_ms = desk.reader.frontier(*key)
    return Series(first_stored(desk, symbol), checkpoint_ms, Gaps.of_frame(desk.reader.gaps(*key)))


def first_stored(desk: Desk, symbol: str) -> int | None:
    """Open time of the first stored candle, by bisection."""
    key = (desk.exchange, symbol, desk.config.data.base_timeframe)
    found = desk.reader.last_candles(*key, 1)
    if not len(found):
        return None
    lo, hi = 0, int(found.ts[0])
    while lo < hi:
        middle = (lo + hi) // 2
        before = desk.reader.last_candles(*key, 1, middle)
        if len(before):
            hi = int(before.ts[0])
        else:
            lo = middle + 1 if middle + 1 < hi else hi
    return hi


async def pull(desk: Desk, symbol: str, series: Series, now_ms: int, start_ms: int, budget: Budget) -> Pulled:
    """Fetch what is due of one symbol: new candles first, then one look at missing minutes.

    Parameters
    ----------
    desk : Desk
    symbol : str
    series : Series
        Where it stands.
    now_ms : int
        Market time.
    start_ms : int
        First minute wanted of a series without candles.
    budget : Budget

    Returns
    -------
    Pulled
        Also when the market failed half-way: what came before is kept.
    """
    pulled = Pulled(symbol, series, series)
    # Cycles keep their time where the market's goes back; what has closed is for the market to say.
    now_ms = min(now_ms, desk.market.now_ms())
    try:
        async with asyncio.timeout(budget.patience_s):
            await _go_forward(desk, pulled, now_ms, start_ms, budget)
            await _look_again(desk, pulled, now_ms)
    except (MarketError, CredentialsError) as error:
        pulled.error = error
    except TimeoutError:
        pulled.error = MarketUnavailable(f"{desk.exchange}: no useful answer within {budget.patience_s:.0f} s")
    return pulled


async def _go_forward(desk: Desk, pulled: Pulled, now_ms: int, start_ms: int, budget: Budget) -> None:
    step = timeframe_ms(desk.config.data.base_timeframe)
    overlap, room = desk.config.incremental.overlap_candles, budget.rows
    pages = 0
    while pages < budget.pages and room > 0 and not (pages and monotonic_s() > budget.stop_s):
        known_ms = pulled.series.checkpoint_ms
        page = min(desk.config.backfill.batch_limit, room)
        begin_ms = start_ms if pulled.series.begin_ms is None else pulled.series.begin_ms
        window = next_window(start_ms if known_ms is None else known_ms, now_ms, step, overlap, page, begin_ms)
        if window is None:
            return
        rows = await _fetch(desk, pulled.symbol, window)
        if known_ms is None:
            rows = await _with_second_answer(desk, pulled.symbol, window, rows)
        elif not len(rows) and _holds_candles(pulled.series, window.since_ms, known_ms, step):
            # An answer without what is stored is none. To go on without the overlap would give up a revision in it.
            if desk.market.live:
                await asyncio.sleep(_PUBLISHED_AFTER_S)
            rows = await _fetch(desk, pulled.symbol, window)
            if not len(rows):
                pulled.fault = _nothing_later(known_ms, step)
                return
        answer = absorb(pulled.series, rows, window.since_ms, now_ms, step, room)
        pulled.take(answer)
        if answer.is_later:
            pages += 1
            room -= len(answer.candles) + (0 if answer.gaps_changed is None else len(answer.gaps_changed))
            overlap = 0
        elif known_ms is not None and window.since_ms < known_ms:
            # Nothing new behind the overlap: it is late, or a hole is longer than the page. Ask without overlap.
            if desk.market.live:
                await asyncio.sleep(_PUBLISHED_AFTER_S)
            overlap = 0
        elif known_ms is None:
            pulled.is_waiting = True
            return
        else:
            pulled.fault = _nothing_later(known_ms, step)
            return


def _nothing_later(known_ms: int, step: int) -> str:
    return f"no candle later than {format_ms(known_ms - step)} where one is due"


def _holds_candles(series: Series, start_ms: int, end_ms: int, step: int) -> bool:
    """Say whether a candle of ``[start_ms, end_ms)`` is known: minutes up to the checkpoint are candles or gaps."""
    begin_ms = max(start_ms, end_ms if series.begin_ms is None else series.begin_ms)
    missing = int(((series.gaps.ts >= begin_ms) & (series.gaps.ts < end_ms)).sum())
    return (end_ms - begin_ms) // step > missing


async def _look_again(desk: Desk, pulled: Pulled, now_ms: int) -> None:
    window = gap_window(pulled.series.gaps, now_ms, desk.config.backfill.batch_limit)
    if window is None:
        return
    rows = await _fetch(desk, pulled.symbol, window)
    step = timeframe_ms(desk.config.data.base_timeframe)
    known_ms = pulled.series.checkpoint_ms or 0
    answer = absorb(pulled.series, rows, window.since_ms, now_ms, step, TRANSACTION_ROWS)
    found = answer.candles
    is_news = np.isin(found.ts, answer.filled) | (found.ts >= known_ms)
    pulled.take(answer, _some(found, np.flatnonzero(is_news)))


def _some(candles: Candles, positions: npt.NDArray[np.intp]) -> Candles:
    if not len(positions):
        return _NO_CANDLES
    return Candles.of(*(getattr(candles, name)[positions] for name in Candles.__slots__))


async def _fetch(desk: Desk, symbol: str, window: Window) -> FloatArray:
    return await desk.market.fetch_ohlcv(symbol, desk.config.data.base_timeframe, window.since_ms, window.limit)


async def _with_second_answer(desk: Desk, symbol: str, window: Window, rows: FloatArray) -> FloatArray:
    """Where a series would begin later than asked for, ask twice: its beginning is never looked at again."""
    if not len(rows) or rows[:, 0].min() <= window.since_ms:
        return rows
    again = await _fetch(desk, symbol, window)
    return np.concatenate((again, rows)) if len(again) and again.shape[1] == rows.shape[1] else rows


def write(desk: Desk, pulls: Sequence[Pulled], now_ms: int) -> Written:
    """Write what was fetched, all of it in one transaction; `now_ms` is recorded as when candles were first seen."""
    written = Written()
    if not any(pulled.answers for pulled in pulls):
        return written
    with desk.writer.transaction():
        _write_candles(desk, pulls, now_ms, written)
        for pulled in pulls:
            _write_findings(desk, pulled, now_ms, written)
        desk.writer.set_marks(desk.exchange, _marks(desk, pulls))
    return written


def _write_candles(desk: Desk, pulls: Sequence[Pulled], now_ms: int, written: Written) -> None:
    base = desk.config.data.base_timeframe
    parts = [
        (pulled.symbol, base, answer.candles) for pulled in pulls for answer in pulled.answers if len(answer.candles)
    ]
    for (symbol, *_), put in zip(parts, desk.writer.put_many_candles(desk.exchange, parts, now_ms), strict=True):
        written.candles += put.inserted
        written.revised += put.revised
        if put.revised_from_ms is not None:
            ask_for_rebuild(desk, symbol, put.revised_from_ms)


def _write_findings(desk: Desk, pulled: Pulled, now_ms: int, written: Written) -> None:
    """Write what an answer told beside candles: after them, so that one that fills a given-up gap is a revision."""
    key = (desk.exchange, pulled.symbol, desk.config.data.base_timeframe)
    for answer in pulled.answers:
        if len(answer.rejected):
            desk.writer.put_quarantine(*key, answer.rejected, now_ms)
            written.quarantined += len(answer.rejected)
        if answer.gaps_changed is not None:
            desk.writer.put_gaps(*key, answer.gaps_changed)
    if len(pulled.series.gaps):
        written.gaps_open += int((~pulled.series.gaps.confirmed).sum())


def _marks(desk: Desk, pulls: Sequence[Pulled]) -> dict[tuple[str, str], Marks]:
    """Return how far the series have come that came further."""
    base = desk.config.data.base_timeframe
    moved: dict[tuple[str, str], Marks] = {}
    for pulled in pulls:
        before, now = pulled.before, pulled.series
        pairs = (now.frontier_ms, before.frontier_ms), (now.checkpoint_ms, before.checkpoint_ms)
        marks = Marks(*(None if reached == stood else reached for reached, stood in pairs))
        if marks != Marks():
            moved[pulled.symbol, base] = marks
    return moved


def ask_for_rebuild(desk: Desk, symbol: str, from_ms: int) -> None:
    """Mark from where derived candles are out of date; the oldest mark not yet served stays."""
    name = f"rebuild:{desk.exchange}:{symbol}"
    marked = desk.reader.meta(name)
    desk.writer.set_meta(name, str(min(from_ms, int(marked)) if marked else from_ms))
