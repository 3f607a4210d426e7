"""Candles go in once, changes are kept with both values, and come out as they are."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.clock import MINUTE_MS
from core.errors import StoreError
from core.schema import Candles
from core.store.reader import Reader
from core.store.writer import PutReport, Writer
from tests.unit.store.samples import BTC, COLUMNS, START_MS, pick, same, scaled, walk

DAY_MS = 1_440 * MINUTE_MS


def confirm(writer: Writer, *ts_ms: int, state: str = "confirmed") -> None:
    frame = pd.DataFrame({"ts_ms": list(ts_ms), "state": state, "first_missed_ms": 1, "tries": 2, "next_try_ms": 3})
    writer.put_gaps(*BTC, frame)


def test_new_candles_are_inserted_and_read_back(writer: Writer, reader: Reader) -> None:
    candles = walk(2_000, taker=True)
    assert writer.put_candles(*BTC, candles, START_MS) == PutReport(inserted=2_000)
    assert same(reader.candles(*BTC), candles)


def test_what_is_read_is_read_only(writer: Writer, reader: Reader) -> None:
    writer.put_candles(*BTC, walk(2_000), START_MS)
    candles = reader.candles(*BTC, START_MS + 10 * MINUTE_MS)
    assert not any(getattr(candles, name).flags.writeable for name in COLUMNS)


def test_ranges_are_half_open_and_may_cut_blocks(writer: Writer, reader: Reader) -> None:
    candles = walk(4_000)
    writer.put_candles(*BTC, candles, START_MS)
    for lo, hi in [(0, 4_000), (1, 1_440), (1_440, 2_880), (1_439, 2_881), (100, 100), (3_000, 3_999), (-50, 5_000)]:
        read = reader.candles(*BTC, START_MS + lo * MINUTE_MS, START_MS + hi * MINUTE_MS)
        assert same(read, candles.slice(max(lo, 0), hi)), (lo, hi)
    assert same(reader.candles(*BTC, end_ms=START_MS + 90 * MINUTE_MS), candles.slice(0, 90))
    assert same(reader.candles(*BTC, START_MS + 3_990 * MINUTE_MS), candles.slice(3_990))
    assert len(reader.candles(*BTC, START_MS + 10, START_MS + 5)) == 0


def test_a_series_that_was_never_stored_is_empty(reader: Reader) -> None:
    assert len(reader.candles(*BTC)) == 0
    assert len(reader.last_candles(*BTC, 5)) == 0
    assert reader.frontier(*BTC) is None


def test_series_do_not_see_each_other(writer: Writer, reader: Reader) -> None:
    other = ("bitget", "ETH/USDT:USDT", "1m")
    writer.put_candles(*BTC, walk(1_500, 1), START_MS)
    writer.put_candles(*other, walk(1_500, 2), START_MS)
    assert same(reader.candles(*BTC), walk(1_500, 1))
    assert same(reader.candles(*other), walk(1_500, 2))


@pytest.mark.parametrize("n", [1, 300, 1_440, 2_900, 9_999])
def test_the_last_candles_before_a_moment(writer: Writer, reader: Reader, n: int) -> None:
    candles = walk(3_000)
    writer.put_candles(*BTC, candles, START_MS)
    assert same(reader.last_candles(*BTC, n), candles.slice(max(0, 3_000 - n)))
    end = 2_000
    read = reader.last_candles(*BTC, n, START_MS + end * MINUTE_MS)
    assert same(read, candles.slice(max(0, end - n), end))


def test_no_candles_is_nothing_to_do(writer: Writer, reader: Reader) -> None:
    assert writer.put_candles(*BTC, Candles.empty(), START_MS) == PutReport()
    assert reader.series().empty
    assert len(reader.last_candles(*BTC, 0)) == 0


def test_the_same_candles_again_leave_the_log_untouched(writer: Writer, path: Path) -> None:
    candles = walk(3_000)
    writer.put_candles(*BTC, candles, START_MS)
    writer.set_frontier(*BTC, START_MS + 2 * DAY_MS)
    writer.checkpoint()
    log = path.with_name("ohlcv.db-wal")
    assert log.stat().st_size == 0
    assert writer.put_candles(*BTC, candles, START_MS + 1) == PutReport(unchanged=3_000)
    writer.set_frontier(*BTC, START_MS + 2 * DAY_MS)
    writer.set_meta("k", "v")
    size = log.stat().st_size
    writer.set_meta("k", "v")
    writer.put_candles(*BTC, candles.slice(10, 400), START_MS + 2)
    assert log.stat().st_size == size


def test_a_changed_candle_is_replaced_and_both_values_are_kept(writer: Writer, reader: Reader) -> None:
    candles = walk(10, taker=True)
    writer.put_candles(*BTC, candles, START_MS)
    writer.set_frontier(*BTC, START_MS + 10 * MINUTE_MS)
    changed = scaled(candles.slice(4, 6), 1.5)
    report = writer.put_candles(*BTC, changed, START_MS + 777)
    assert report == PutReport(revised=2, revised_from_ms=int(candles.ts[4]))
    assert same(reader.candles(*BTC).slice(4, 6), changed)
    kept = reader.revisions(*BTC).sort_values("ts_ms")
    assert kept["ts_ms"].tolist() == candles.ts[4:6].tolist()
    assert kept["seen_ms"].tolist() == [START_MS + 777] * 2
    assert kept["old_open"].tolist() == candles.open[4:6].tolist()
    assert kept["new_open"].tolist() == changed.open.tolist()
    assert kept["old_taker_volume"].tolist() == candles.taker_volume[4:6].tolist()


def test_a_mixed_batch_is_counted_by_kind(writer: Writer) -> None:
    candles = walk(20)
    writer.put_candles(*BTC, candles.slice(0, 10), START_MS)
    batch = Candles.concat([candles.slice(5, 8), scaled(candles.slice(8, 10), 2.0), candles.slice(10, 20)])
    assert writer.put_candles(*BTC, batch, START_MS) == PutReport(inserted=10, revised=2, unchanged=3)


def test_when_a_candle_was_first_seen_stays(writer: Writer) -> None:
    candles = walk(3)
    writer.put_candles(*BTC, candles, 111)
    writer.put_candles(*BTC, scaled(candles, 2.0), 222)
    assert list(writer._connection.execute("SELECT DISTINCT first_seen_ms FROM candle")) == [(111,)]


@pytest.mark.parametrize("column", COLUMNS[1:])
def test_a_change_of_any_column_is_a_revision(writer: Writer, column: str) -> None:
    candles = walk(3, taker=True)
    writer.put_candles(*BTC, candles, START_MS)
    values: dict[str, Any] = {name: getattr(candles, name) for name in COLUMNS}
    values[column] = values[column] + 1
    assert writer.put_candles(*BTC, Candles.of(**values), START_MS).revised == 3


def test_a_source_without_taker_volume_takes_none_away(writer: Writer, reader: Reader) -> None:
    writer.put_candles(*BTC, walk(10, taker=True), START_MS)
    assert writer.put_candles(*BTC, walk(10), START_MS) == PutReport(unchanged=10)
    assert same(reader.candles(*BTC), walk(10, taker=True))


def test_a_day_without_taker_volume_and_one_new_candle_keeps_what_was_known_in_its_block(
    writer: Writer, reader: Reader
) -> None:
    known, silent = walk(1_440, taker=True), walk(1_440)
    writer.put_candles(*BTC, known.slice(0, 1_439), START_MS)
    assert writer.put_candles(*BTC, silent, START_MS) == PutReport(inserted=1, unchanged=1_439)
    assert same(reader.candles(*BTC), Candles.concat([known.slice(0, 1_439), silent.slice(1_439)]))


def test_taker_volume_that_becomes_known_is_a_revision(writer: Writer, reader: Reader) -> None:
    writer.put_candles(*BTC, walk(10), START_MS)
    assert writer.put_candles(*BTC, walk(10, taker=True), START_MS).revised == 10
    assert same(reader.candles(*BTC), walk(10, taker=True))


def test_a_confirmed_gap_that_is_filled_is_a_revision_without_old_values(writer: Writer, reader: Reader) -> None:
    candles = walk(10)
    writer.put_candles(*BTC, pick(candles, np.arange(10) != 4), START_MS)
    confirm(writer, int(candles.ts[4]))
    writer.set_frontier(*BTC, START_MS + 10 * MINUTE_MS)
    report = writer.put_candles(*BTC, candles.slice(4, 5), START_MS)
    assert report == PutReport(inserted=1, revised_from_ms=int(candles.ts[4]))
    kept = reader.revisions(*BTC)
    assert kept["new_open"].tolist() == [candles.open[4]]
    assert kept["old_open"].isna().all()
    assert same(reader.candles(*BTC), candles)


def test_an_open_gap_that_is_filled_is_no_revision(writer: Writer, reader: Reader) -> None:
    candles = walk(10)
    writer.put_candles(*BTC, pick(candles, np.arange(10) != 4), START_MS)
    confirm(writer, int(candles.ts[4]), state="open")
    writer.set_frontier(*BTC, int(candles.ts[4]))
    assert writer.put_candles(*BTC, candles.slice(4, 5), START_MS) == PutReport(inserted=1)
    assert reader.revisions(*BTC).empty


def test_history_added_before_the_beginning_says_from_where_to_derive_and_is_no_revision(writer: Writer) -> None:
    candles = walk(100)
    writer.put_candles(*BTC, candles.slice(50), START_MS)
    writer.set_frontier(*BTC, START_MS + 100 * MINUTE_MS)
    report = writer.put_candles(*BTC, candles.slice(0, 50), START_MS)
    assert report == PutReport(inserted=50, revised_from_ms=START_MS)
    assert writer.reader.revisions().empty


def test_old_revisions_are_forgotten_beyond_the_newest_hundred_thousand(writer: Writer) -> None:
    candles = walk(40_000)
    for factor in (1.0, 2.0, 3.0, 4.0):
        with writer.transaction():
            writer.put_candles(*BTC, scaled(candles, factor), START_MS)
    assert writer.reader.summary().tables["candle_revisions"] == 100_000


@pytest.mark.parametrize(
    ("candles", "message"),
    [
        (pick(walk(3), [1, 0, 2]), "increasing"),
        (pick(walk(3), [0, 0, 1]), "increasing"),
        (Candles.of(walk(3).ts + 1, *[np.ones(3)] * 5), "grid of 1m"),
        (Candles.of([-60_000], *[[1.0]] * 5), "grid of 1m"),
        (Candles.of([START_MS], [np.nan], *[[1.0]] * 4), "open must be finite"),
        (Candles.of([START_MS], *[[1.0]] * 4, [np.inf]), "volume must be finite"),
        (Candles.of([START_MS], *[[1.0]] * 5, [np.inf]), "taker_volume must be finite"),
    ],
)
def test_candles_no_series_can_hold_are_refused_at_the_door(writer: Writer, candles: Candles, message: str) -> None:
    with pytest.raises(StoreError, match=f"bitget/BTC/USDT:USDT/1m: .*{message}"):
        writer.put_candles(*BTC, candles, START_MS)
    assert writer.reader.series().empty


def test_marks_of_progress_are_kept_apart(writer: Writer, reader: Reader) -> None:
    writer.set_frontier(*BTC, 10)
    writer.set_checkpoint(*BTC, 20)
    writer.set_scanned(*BTC, 30)
    assert (reader.frontier(*BTC), reader.checkpoint(*BTC), reader.scanned(*BTC)) == (10, 20, 30)
    writer.set_frontier(*BTC, 5)
    assert reader.frontier(*BTC) == 5
    row = reader.series().iloc[0]
    assert (row["frontier_ms"], row["checkpoint_ms"], row["scanned_ms"]) == (5, 20, 30)


def test_a_range_is_read_in_little_more_than_its_own_memory(writer: Writer, reader: Reader) -> None:
    candles = walk(60 * 1_440, taker=True)
    writer.put_candles(*BTC, candles, START_MS)
    reader.candles(*BTC)
    tracemalloc.start()
    read = reader.candles(*BTC)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * len(read) * 8 * len(COLUMNS)


def test_rows_without_blocks_are_read_in_half_as_much_memory_again(writer: Writer, reader: Reader) -> None:
    candles = pick(walk(60 * 1_440), np.arange(60 * 1_440) % 1_440 != 7)
    writer.put_candles(*BTC, candles, START_MS)
    assert writer.reader.summary().tables["candle_block"] == 0
    tracemalloc.start()
    read = reader.candles(*BTC)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert same(read, candles)
    assert peak < 1.5 * len(read) * 8 * len(COLUMNS)


def test_a_back_fill_keeps_the_log_small(writer: Writer, path: Path) -> None:
    candles, log, largest = walk(200_000), path.with_name("ohlcv.db-wal"), 0
    for lo in range(0, len(candles), 1_000):
        with writer.transaction():
            writer.put_candles(*BTC, candles.slice(lo, lo + 1_000), START_MS)
            writer.set_frontier(*BTC, START_MS + (lo + 1_000) * MINUTE_MS)
        largest = max(largest, log.stat().st_size)
    assert largest < 32 * 1024 * 1024
    assert same(writer.reader.candles(*BTC), candles)
