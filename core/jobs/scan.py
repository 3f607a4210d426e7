"""Stage `scan_signals`: decide every close that has become final since the last scan.

The law: what is due is what lies between a series' `scanned_ms` and its frontier, in order, each close
decided as of its own `decided_ms`. A stale series waits and writes nothing; lateness belongs to the alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from core.clock import DAY_MS, MINUTE_MS, timeframe_ms
from core.jobs._account import settle, settled_until
from core.jobs._announce import new_signal_rows, queue_events
from core.jobs._book import instrument_of, playable
from core.jobs._candidates import Stored, find_range, scan_rules, store_candidates
from core.jobs._describe import benchmark_of, describe_live
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court
from core.pipeline import decided, plan_hash
from core.risk.terms import Judging, Terms, terms_to_text
from core.schema import DECISIONS, SIGNALS, FloatArray, empty_frame
from core.store.reader import Marks

__all__ = ["run"]

Due = tuple[str, str, int, int]  # symbol, timeframe, and the range ``(done, frontier]`` of closes to decide


async def run(desk: Desk, now_ms: int) -> Report:
    """Scan all symbols and timeframes whose newest close is not decided yet.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time; decides which alerts are late, and whether a first start has caught up.

    Returns
    -------
    Report
        Counts of closes decided and signals found.
    """
    due = list(_due(desk, now_ms))
    report = _scan(desk, due, now_ms) if due else Report("scan_signals")
    _read_ahead(desk)
    return report


def _scan(desk: Desk, due: Sequence[Due], now_ms: int) -> Report:
    signals, vectors, closes = _find(desk, due, now_ms)
    decisions = Court(desk).judge(signals, vectors) if len(signals) else empty_frame(DECISIONS)
    symbols = list(dict.fromkeys(symbol for symbol, *_ in due))
    to_ms, terms = playable(desk, symbols, now_ms), _terms_in_force(desk, symbols)
    with desk.writer.transaction():
        new = store_candidates(desk, decided(signals, decisions), decisions, vectors, to_ms)
        noted = [(symbol, timeframe, done_ms, terms[symbol]) for symbol, timeframe, done_ms, _ in due]
        desk.writer.note_many_live(desk.exchange, noted)
        marks = {(symbol, timeframe): Marks(scanned_ms=frontier_ms) for symbol, timeframe, _, frontier_ms in due}
        desk.writer.set_marks(desk.exchange, marks)
        _take(desk, new, now_ms)
    return Report("scan_signals", counts={"closes": closes, "signals": len(new.signals)})


def _find(desk: Desk, due: Sequence[Due], now_ms: int) -> tuple[pd.DataFrame, FloatArray, int]:
    """Return the candidates of all closes that are due, their vectors, and how many closes there were."""
    found, closes = [], 0
    with desk.reader.snapshot():
        for symbol, timeframe, done_ms, frontier_ms in due:
            count = 0
            for setup in desk.setups:
                one = find_range(desk, symbol, timeframe, setup, done_ms, frontier_ms)
                if len(one.signals):
                    found.append(one)
                count = one.closes
            closes += count
    if not found:
        return empty_frame(SIGNALS), np.empty((0, 0)), closes
    vectors = [describe_live(desk, one.signals, one.candles, now_ms) for one in found]
    return pd.concat([one.signals for one in found], ignore_index=True), np.concatenate(vectors), closes


def _take(desk: Desk, new: Stored, now_ms: int) -> None:
    """Decide what the account takes since the last close whose outcomes were all known, and announce what is new."""
    mark = f"settled:{desk.exchange}"
    known = desk.reader.meta(mark)
    starts = [int(known)] if known else []
    if len(new.signals):
        starts.append(int(new.signals["decided_ms"].min()))
    from_ms = min(starts, default=now_ms)
    if len(new.signals) or len(desk.reader.signals(exchange=desk.exchange, start_ms=from_ms, limit=1, columns=["id"])):
        taken = settle(desk, from_ms)
        if len(new.signals):
            _announce(desk, new, taken.set_index(["signal_id", "exit_policy"]), now_ms)
    desk.writer.set_meta(mark, str(settled_until(desk, now_ms)))


def _announce(desk: Desk, new: Stored, taken: pd.DataFrame, now_ms: int) -> None:
    told = taken.loc[pd.MultiIndex.from_frame(new.trades[["signal_id", "exit_policy"]])]
    trades = new.trades.assign(taken=told["taken"].to_numpy(), blocked_by=told["blocked_by"].to_numpy())
    desk.writer.queue(new_signal_rows(new.signals, trades, desk.config, list(desk.notifiers), now_ms))
    queue_events(desk, new.events, trades, new.signals, now_ms)


def _terms_in_force(desk: Desk, symbols: Iterable[str]) -> dict[str, str]:
    """Return what decisions follow from now, by symbol: a check may want to make them again later."""
    rules = scan_rules(desk.config, desk.costs)
    plans = [plan_hash(setup, rules) for setup in desk.setups]
    judging = Judging(
        feature_set="" if desk.features is None else desk.features.id,
        benchmark=benchmark_of(desk),
        exit_policy=desk.exits,
        filters={name: (one.min, one.max) for name, one in desk.config.signals.filters.items()},
    )
    enabled = desk.config.models.meta.enabled
    return {
        symbol: terms_to_text(Terms(plans, rules.risk, enabled, instrument_of(desk, symbol), judging))
        for symbol in symbols
    }


def _due(desk: Desk, now_ms: int) -> Iterator[Due]:
    """Yield the series with closes to decide.

    A first start decides the newest close and leaves the older ones to the retro scan. So does a first start
    while the history is still being fetched: it waits, lest years of old closes pass for live ones.
    """
    marks, nothing = desk.reader.marks(desk.exchange), Marks()
    for symbol in desk.symbols:
        for timeframe in desk.config.timeframes:
            frontier_ms, _, done_ms = marks.get((symbol, timeframe), nothing)
            step = timeframe_ms(timeframe)
            if frontier_ms is None or (done_ms is None and now_ms - frontier_ms >= 2 * step):
                continue
            if done_ms is None:
                done_ms = frontier_ms - step
            if done_ms < frontier_ms:
                yield symbol, timeframe, done_ms, frontier_ms


def _read_ahead(desk: Desk) -> None:
    """Have the store remember what closes are decided with: once after a start, when nobody waits for it."""
    if desk.memory.setdefault("read_ahead", False):
        return
    desk.memory["read_ahead"] = True
    described = 0 if desk.features is None else desk.features.warmup
    needed = max([described, *(setup.warmup for setup in desk.setups)])
    wanted = dict.fromkeys(desk.config.timeframes, needed)
    wanted.setdefault(desk.config.data.base_timeframe, DAY_MS // MINUTE_MS)
    with desk.reader.snapshot():
        for symbol in desk.symbols:
            for timeframe, n in wanted.items():
                desk.reader.last_candles(desk.exchange, symbol, timeframe, n)
