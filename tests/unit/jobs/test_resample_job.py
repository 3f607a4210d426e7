"""Laws of stored derived candles: the same rows whenever, and in whatever steps, they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, floor_to, timeframe_ms
from core.errors import StoreError
from core.indicators.resample import resample
from core.jobs import resample as job
from core.jobs._desk import Desk, Report
from core.jobs._series import ask_for_rebuild
from core.schema import Candles
from tests.desks import BTC, ETH, EXCHANGE, end_of, feed, minutes, open_desk, same_candles, without
from tests.factories import START_MS

DERIVED = ["5m", "15m", "1h", "4h", "1d"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = open_desk(
        tmp_path,
        change={"timeframes": ["5m"], "data": {"derived_timeframes": DERIVED, "resample": {"lookback_minutes": 1440}}},
    )
    yield opened
    opened.writer.close()


def run(desk: Desk) -> Report:
    return asyncio.run(job.run(desk, 0))


def stored(desk: Desk, timeframe: str, symbol: str = BTC) -> Candles:
    return desk.reader.candles(EXCHANGE, symbol, timeframe)


def assert_lawful(desk: Desk, symbol: str = BTC) -> None:
    """Every whole bucket that has a minute is stored, and is what its stored minutes make."""
    base, frontier = stored(desk, "1m", symbol), desk.reader.frontier(EXCHANGE, symbol, "1m")
    assert frontier is not None
    for timeframe in DERIVED:
        step = timeframe_ms(timeframe)
        assert same_candles(stored(desk, timeframe, symbol), resample(base, step, 0, frontier)), timeframe
        reached = desk.reader.frontier(EXCHANGE, symbol, timeframe)
        assert (reached or START_MS) == floor_to(frontier, step)


def test_whole_buckets_up_to_the_frontier_are_stored_and_no_others(desk: Desk) -> None:
    candles = minutes(31.3)
    feed(desk, candles, end_of(candles))
    report = run(desk)
    assert report.counts["candles"] == 375 + 125 + 31 + 7 + 1
    assert_lawful(desk)


def test_a_bucket_waits_for_the_frontier_though_later_minutes_are_stored(desk: Desk) -> None:
    feed(desk, minutes(2), START_MS + HOUR_MS - MINUTE_MS)
    desk.writer.put_candles(EXCHANGE, BTC, "1m", minutes(2).between(START_MS + HOUR_MS), 0)
    run(desk)
    assert len(stored(desk, "1h")) == 0 and len(stored(desk, "5m")) == 11


def test_the_volumes_of_a_day_are_equal_across_timeframes(desk: Desk) -> None:
    candles = without(minutes(48), 7, 8, 9, 500, 1439, 1440)
    feed(desk, candles, START_MS + 2 * DAY_MS)
    run(desk)
    for day in range(2):
        span = (START_MS + day * DAY_MS, START_MS + (day + 1) * DAY_MS)
        volumes = [stored(desk, timeframe).between(*span).volume.sum() for timeframe in ["1m", *DERIVED]]
        assert np.allclose(volumes, volumes[0], rtol=1e-12)
        assert {int(stored(desk, name).between(*span).n_minutes.sum()) for name in DERIVED} == {(1435, 1439)[day]}


@pytest.mark.parametrize("seed", range(3))
def test_any_split_into_cycles_and_restarts_gives_the_same_rows(desk: Desk, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    candles = without(minutes(40), *rng.choice(2400, 60, replace=False).tolist())
    cuts = np.sort(rng.choice(2400, 25, replace=False)) * MINUTE_MS + START_MS
    before = START_MS
    for cut in [*cuts.tolist(), START_MS + 2400 * MINUTE_MS]:
        feed(desk, candles, cut, from_ms=before)
        if rng.random() < 0.7:  # sometimes a cycle fails before this stage
            run(desk)
        if rng.random() < 0.2:
            desk.memory.clear()
        before = cut
    run(desk)
    assert_lawful(desk)


@pytest.mark.parametrize("chunk_hours", [1, 7, 24])
def test_a_long_history_is_made_chunk_by_chunk_with_the_same_rows(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, chunk_hours: int
) -> None:
    candles = minutes(60)
    feed(desk, candles, end_of(candles))
    monkeypatch.setattr(job, "CHUNK_MS", chunk_hours * HOUR_MS)
    run(desk)
    assert_lawful(desk)


def test_a_bucket_with_missing_minutes_is_stored_with_their_count_and_an_empty_one_is_not(desk: Desk) -> None:
    feed(desk, without(minutes(1), 1, 3, *range(10, 15)), START_MS + HOUR_MS)
    run(desk)
    five = stored(desk, "5m")
    assert five.n_minutes.tolist() == [3, 5] + [5] * 9
    assert START_MS + 10 * MINUTE_MS not in five.ts
    assert stored(desk, "1h").n_minutes.tolist() == [53]
    assert desk.reader.frontier(EXCHANGE, BTC, "5m") == START_MS + HOUR_MS


def revise(desk: Desk, minute: int) -> None:
    """Store another close of one minute and ask for what was made of it to be made again, as sync does."""
    one = minutes(60).slice(minute, minute + 1)
    other = Candles.of(one.ts, one.open, one.high * 2, one.low, one.close, one.volume + 1.0)
    with desk.writer.transaction():
        put = desk.writer.put_candles(EXCHANGE, BTC, "1m", other, 0)
        assert put.revised_from_ms is not None
        ask_for_rebuild(desk, BTC, put.revised_from_ms)


@pytest.mark.parametrize("chunk_hours", [5, 24 * 32])
def test_a_revision_of_long_ago_is_carried_into_every_bucket_around_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, chunk_hours: int
) -> None:
    monkeypatch.setattr(job, "CHUNK_MS", chunk_hours * HOUR_MS)
    candles = minutes(60)
    feed(desk, candles, end_of(candles))
    run(desk)
    revise(desk, 123)
    report = run(desk)
    assert report.counts == {"candles": 0, "revised": 5}
    assert_lawful(desk)
    assert not desk.reader.meta(f"rebuild:{EXCHANGE}:{BTC}")
    assert run(desk).counts == {"candles": 0, "revised": 0}


def test_a_request_that_grew_older_meanwhile_is_kept(desk: Desk) -> None:
    candles = minutes(60)
    feed(desk, candles, end_of(candles))
    run(desk)
    revise(desk, 2000)
    parts = list(job._parts(desk, BTC, desk.reader.marks(EXCHANGE), desk.memory["resampled"]))
    revise(desk, 100)
    job._write(desk, parts, 0)
    assert desk.reader.meta(f"rebuild:{EXCHANGE}:{BTC}") == str(START_MS + 100 * MINUTE_MS)
    run(desk)
    assert_lawful(desk)


def test_what_a_failed_transaction_took_back_is_made_in_the_next_cycle(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    candles = minutes(6)
    feed(desk, candles, START_MS + 3 * HOUR_MS)
    run(desk)
    feed(desk, candles, START_MS + 6 * HOUR_MS)
    whole = desk.writer.transaction

    @contextmanager
    def full_disk() -> Iterator[None]:
        with whole():
            yield
            raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(desk.writer, "transaction", full_disk)
        with pytest.raises(StoreError):
            run(desk)
    assert len(stored(desk, "1h")) == 3
    run(desk)
    assert_lawful(desk)


def test_a_restart_mends_the_newest_buckets_without_being_asked(desk: Desk) -> None:
    candles = minutes(30)
    feed(desk, candles, end_of(candles))
    run(desk)
    one = candles.slice(1700, 1701)
    desk.writer.put_candles(
        EXCHANGE, BTC, "1m", Candles.of(one.ts, one.open, one.high * 2, one.low, one.close, [9.0]), 0
    )
    run(desk)
    with pytest.raises(AssertionError):
        assert_lawful(desk)
    desk.memory.clear()
    run(desk)
    assert_lawful(desk)


def test_every_symbol_goes_to_its_own_frontier_and_one_without_candles_is_left(desk: Desk) -> None:
    desk.symbols = [BTC, ETH, "SOL/USDT:USDT"]
    feed(desk, minutes(9), START_MS + 9 * HOUR_MS)
    feed(desk, minutes(9, seed=9), START_MS + 4 * HOUR_MS, symbol=ETH)
    run(desk)
    assert_lawful(desk)
    assert_lawful(desk, ETH)
    assert desk.reader.frontier(EXCHANGE, "SOL/USDT:USDT", "5m") is None


def test_an_older_stretch_that_was_added_is_made_too(desk: Desk) -> None:
    candles = minutes(60)
    feed(desk, candles, end_of(candles), from_ms=START_MS + 30 * HOUR_MS)
    run(desk)
    put = desk.writer.put_candles(EXCHANGE, BTC, "1m", candles.between(None, START_MS + 30 * HOUR_MS), 0)
    assert put.revised_from_ms == START_MS
    ask_for_rebuild(desk, BTC, START_MS)
    run(desk)
    assert_lawful(desk)
