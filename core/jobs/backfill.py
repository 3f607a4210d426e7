"""Job `backfill`: history of every symbol from a date until now, without waiting for the minute.

The law: it does what sync does, in larger steps; stopped at any point, it goes on from there the next time. Missing
minutes are asked for again before it calls them gaps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.clock import MINUTE_MS, floor_to, format_ms, monotonic_s, timeframe_ms
from core.errors import CredentialsError, MarketError, UnknownSymbol
from core.ingest.clean import clean
from core.ingest.frontier import Series
from core.ingest.gaps import CONFIRM_AFTER_MS, NEVER_MS
from core.jobs._desk import Desk, Report
from core.jobs._series import (
    TRANSACTION_ROWS,
    Budget,
    Pulled,
    ask_for_rebuild,
    first_stored,
    history_start,
    load_series,
    pull,
    write,
)
from core.schema import Candles, IntArray

__all__ = ["Progress", "run"]

Progress = Callable[[int, int, float], None]
"""Called with minutes done, minutes in all and candles a second."""

AT_ONCE = 4
PAGES = 5  # a transaction
FAILURES = 6  # in a row, before a symbol is left for the next time
LONGEST_PAUSE_S = 60.0
GAPS_TOLD = 20  # stretches a symbol in the closing report


@dataclass(slots=True)
class _Meter:
    """Counts what is done, and tells."""

    total: int
    tell: Progress | None
    began_s: float
    done: int = 0
    candles: int = 0

    def add(self, minutes: int, candles: int) -> None:
        self.done = min(self.total, self.done + max(0, minutes))
        self.candles += candles
        if self.tell is not None:
            seconds = max(monotonic_s() - self.began_s, 1e-3)
            self.tell(self.done, self.total, self.candles / seconds)


async def run(desk: Desk, now_ms: int, start_ms: int | None = None, progress: Progress | None = None) -> Report:
    """Fetch history until `now_ms`.

    Parameters
    ----------
    desk : Desk
        `desk.symbols` are fetched.
    now_ms : int
        Market time at the start; candles that close later are left to sync.
    start_ms : int, optional
        Instead of `backfill.start_date`. Earlier than the first stored candle: what is before that is added.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    Report
        Counts of candles, symbols and minutes missing; one line a failure and a stretch that is missing. Missing
        minutes the market confirmed do not make it fail.

    Raises
    ------
    MarketError
        The market's list of symbols cannot be had, so there is no point in asking for candles.
    """
    step = timeframe_ms(desk.config.data.base_timeframe)
    instruments = await desk.market.load_markets()
    # Only now is the exchange's own time known: a machine's clock that is ahead of it must not be waited for.
    now_ms = min(now_ms, desk.market.now_ms())
    first_ms = floor_to(history_start(desk, now_ms) if start_ms is None else start_ms, step)
    end_ms = floor_to(now_ms, step)
    desk.writer.put_instruments([instruments[symbol] for symbol in desk.symbols if symbol in instruments])
    symbols = list(desk.symbols)
    heads = {symbol: first_stored(desk, symbol) for symbol in symbols}
    meter = _Meter(_minutes_to_do(desk, symbols, heads, first_ms, end_ms), progress, monotonic_s())
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(symbol: str) -> str | None:
        async with turnstile:
            try:
                await _fill_before(desk, symbol, first_ms, heads[symbol], meter)
            except (MarketError, CredentialsError) as error:
                return f"{symbol}: {error}"
            return await _fill_forward(desk, symbol, first_ms, end_ms, meter)

    told = await asyncio.gather(*(one(symbol) for symbol in symbols))
    failures = [line for line in told if line]
    missing = [_missing(desk, symbol) for symbol in symbols]
    lines = [line for _, found in missing for line in found]
    counts = {"candles": meter.candles, "symbols": len(symbols), "missing": sum(count for count, _ in missing)}
    return Report("backfill", not failures, counts, (*failures, *lines), MarketError.exit_code)


async def _fill_forward(desk: Desk, symbol: str, first_ms: int, end_ms: int, meter: _Meter) -> str | None:
    """Bring a series to `end_ms` with nothing open before it; return why not, where it could not be done."""
    series = load_series(desk, symbol)
    failures = 0
    while True:
        now_ms = desk.market.now_ms()
        end_ms = min(end_ms, floor_to(now_ms, timeframe_ms(desk.config.data.base_timeframe)))
        pulled = await pull(desk, symbol, series, now_ms, first_ms, Budget(PAGES, TRANSACTION_ROWS))
        written = write(desk, [pulled], now_ms)
        minutes = _reached(pulled.series, first_ms, end_ms) - _reached(series, first_ms, end_ms)
        meter.add(minutes // MINUTE_MS, written.candles)
        series = pulled.series
        if _reached(series, first_ms, end_ms) >= end_ms and pulled.error is None:
            wait_ms = _confirmation_due(series, end_ms, now_ms)
            if wait_ms is None:
                return None
            if not desk.market.live:
                return f"{symbol}: minutes not confirmed missing, because this market's time stands still"
            await asyncio.sleep(wait_ms / 1000)
            continue
        told = _failure(pulled)
        failures = failures + 1 if told else 0
        if told and (isinstance(pulled.error, UnknownSymbol) or pulled.is_waiting or failures >= FAILURES):
            return f"{symbol}: {told}"
        if told:
            await asyncio.sleep(min(2.0 ** (failures - 1), LONGEST_PAUSE_S))


def _failure(pulled: Pulled) -> str | None:
    if pulled.error is not None:
        return str(pulled.error)
    return "the market shows no candle of it" if pulled.is_waiting else pulled.fault


def _reached(series: Series, first_ms: int, end_ms: int) -> int:
    return min(first_ms if series.checkpoint_ms is None else series.checkpoint_ms, end_ms)


def _confirmation_due(series: Series, end_ms: int, now_ms: int) -> int | None:
    """Milliseconds until the next open gap may be looked at; None when nothing is open."""
    waiting = ~series.gaps.confirmed & (series.gaps.ts < end_ms) & (series.gaps.next_try_ms != NEVER_MS)
    if not waiting.any():
        return None
    return max(0, int(series.gaps.next_try_ms[waiting].min()) - now_ms)


async def _fill_before(desk: Desk, symbol: str, first_ms: int, head_ms: int | None, meter: _Meter) -> None:
    """Add what lies before the first stored candle, page by page backwards, so that a stop loses nothing."""
    if head_ms is None or first_ms >= head_ms:
        return
    base = desk.config.data.base_timeframe
    step = timeframe_ms(base)
    rows = await desk.market.fetch_ohlcv(symbol, base, first_ms, 2)
    oldest, _ = clean(rows, step, desk.market.now_ms())
    if not len(oldest):
        return
    stop_ms = int(oldest.ts[0])
    meter.add((min(stop_ms, head_ms) - first_ms) // MINUTE_MS, 0)
    while head_ms > stop_ms:
        since_ms = max(stop_ms, head_ms - desk.config.backfill.batch_limit * step)
        candles, rejected = await _page_before(desk, symbol, since_ms, head_ms)
        missing = np.setdiff1d(np.arange(since_ms, head_ms, step), candles.ts)
        key, seen_ms = (desk.exchange, symbol, base), desk.market.now_ms()
        with desk.writer.transaction():
            put = desk.writer.put_candles(*key, candles, seen_ms)
            if put.revised_from_ms is not None:
                ask_for_rebuild(desk, symbol, put.revised_from_ms)
            if len(rejected):
                desk.writer.put_quarantine(*key, rejected, seen_ms)
            if len(missing):
                desk.writer.put_gaps(*key, _confirmed(missing, seen_ms))
        meter.add((head_ms - since_ms) // MINUTE_MS, put.inserted)
        head_ms = since_ms


async def _page_before(desk: Desk, symbol: str, since_ms: int, end_ms: int) -> tuple[Candles, pd.DataFrame]:
    """One page of old candles; where some are missing, what two answers some seconds apart hold together."""
    base = desk.config.data.base_timeframe
    step = timeframe_ms(base)
    limit = (end_ms - since_ms) // step
    rows = await desk.market.fetch_ohlcv(symbol, base, since_ms, limit)
    candles, rejected = clean(rows, step, desk.market.now_ms())
    if len(candles.between(since_ms, end_ms)) < limit:
        await asyncio.sleep(CONFIRM_AFTER_MS / 1000)
        again = await desk.market.fetch_ohlcv(symbol, base, since_ms, limit)
        if again.shape[1] == rows.shape[1]:
            rows = np.concatenate((rows, again))
        candles, rejected = clean(rows, step, desk.market.now_ms())
    return candles.between(since_ms, end_ms), rejected


def _confirmed(missing: IntArray, now_ms: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ts_ms": missing,
            "state": "confirmed",
            "first_missed_ms": now_ms - CONFIRM_AFTER_MS,
            "tries": 2,
            "next_try_ms": NEVER_MS,
        }
    )


def _minutes_to_do(desk: Desk, symbols: Sequence[str], heads: dict[str, int | None], first_ms: int, end_ms: int) -> int:
    total = 0
    for symbol in symbols:
        series, head_ms = load_series(desk, symbol), heads[symbol]
        total += end_ms - _reached(series, first_ms, end_ms)
        total += max(0, head_ms - first_ms) if head_ms is not None else 0
    return total // MINUTE_MS


def _missing(desk: Desk, symbol: str) -> tuple[int, list[str]]:
    """How many minutes are missing, and the stretches in words."""
    gaps = desk.reader.gaps(desk.exchange, symbol, desk.config.data.base_timeframe)
    gaps = gaps[gaps["state"] != "filled"].sort_values("ts_ms")
    if gaps.empty:
        return 0, []
    ts = gaps["ts_ms"].to_numpy(np.int64)
    step = timeframe_ms(desk.config.data.base_timeframe)
    runs = np.split(np.arange(len(ts)), np.flatnonzero(np.diff(ts) != step) + 1)
    lines = []
    for run_ in runs[:GAPS_TOLD]:
        states = " and ".join(sorted(set(gaps["state"].iloc[run_])))
        first, last = format_ms(int(ts[run_[0]])), format_ms(int(ts[run_[-1]]))
        lines.append(f"{symbol}: {len(run_)} minute(s) missing, {first} to {last} ({states})")
    if len(runs) > GAPS_TOLD:
        lines.append(f"{symbol}: and {len(runs) - GAPS_TOLD} more stretches")
    return len(ts), lines
