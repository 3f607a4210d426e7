"""Blocks hold what their rows hold, whatever happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import MINUTE_MS
from core.errors import StoreError
from core.schema import Candles
from core.store._read_candles import read_rows, series_id
from core.store.blocks import BLOCK_CANDLES, BlockError, decode_into, encode
from core.store.writer import Writer
from tests.unit.store.samples import BTC, COLUMNS, START_MS, pick, same, scaled, walk

DAY_MS = BLOCK_CANDLES * MINUTE_MS


def decoded(data: bytes, n: int) -> Candles:
    table = np.zeros((len(COLUMNS), n), dtype=np.int64)
    assert decode_into(data, table, 0) == n
    return Candles.of(*(row.view(getattr(walk(1), name).dtype) for name, row in zip(COLUMNS, table, strict=True)))


def with_minutes(candles: Candles, minutes: Any) -> Candles:
    return Candles.of(*(getattr(candles, name) for name in COLUMNS[:-1]), n_minutes=minutes)


@pytest.mark.parametrize(
    "candles",
    [
        walk(BLOCK_CANDLES),
        walk(BLOCK_CANDLES, taker=True),
        walk(1),
        pick(walk(BLOCK_CANDLES, taker=True), np.arange(BLOCK_CANDLES) % 7 != 3),
        with_minutes(walk(100, timeframe="5m"), np.full(100, 5)),
        with_minutes(walk(100, timeframe="5m"), np.arange(100) % 5 + 1),
    ],
    ids=["whole", "with taker volume", "one", "with holes", "five minutes each", "minutes differ"],
)
def test_a_block_holds_what_went_into_it(candles: Candles) -> None:
    assert same(decoded(encode(candles), len(candles)), candles)


def test_what_the_header_can_tell_takes_no_room() -> None:
    assert len(encode(walk(BLOCK_CANDLES))) == 32 + 5 * 8 * BLOCK_CANDLES
    assert len(encode(walk(BLOCK_CANDLES, taker=True))) == 32 + 6 * 8 * BLOCK_CANDLES


@pytest.mark.parametrize("data", [b"", b"CB", b"XX" + bytes(40), encode(walk(9))[:-1], encode(walk(9)) + b"\0"])
def test_bytes_that_are_no_block_are_refused(data: bytes) -> None:
    with pytest.raises(BlockError):
        decoded(data, 9)


def test_a_block_of_another_version_is_refused() -> None:
    data = bytearray(encode(walk(9)))
    data[2] = 2
    with pytest.raises(BlockError, match="of this version"):
        decoded(bytes(data), 9)


def blocks(writer: Writer) -> int:
    return int(writer.reader.summary().series["blocks"].sum())


def test_a_whole_day_handed_in_at_once_is_a_block_at_once(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(3 * BLOCK_CANDLES - 1), START_MS)
    assert blocks(writer) == 2


def test_a_day_that_came_in_pieces_is_a_block_when_the_frontier_passes_it(writer: Writer) -> None:
    candles = walk(2 * BLOCK_CANDLES)
    for lo in range(0, len(candles), 200):
        writer.put_candles(*BTC, candles.slice(lo, lo + 200), START_MS)
    assert blocks(writer) == 0
    writer.set_frontier(*BTC, START_MS + DAY_MS - MINUTE_MS)
    assert blocks(writer) == 0
    writer.set_frontier(*BTC, START_MS + DAY_MS)
    assert blocks(writer) == 1
    writer.set_frontier(*BTC, START_MS + 2 * DAY_MS)
    assert blocks(writer) == 2
    assert same(writer.reader.candles(*BTC), candles)


def test_a_day_with_a_confirmed_gap_is_a_block_of_what_there_is(writer: Writer) -> None:
    candles = pick(walk(BLOCK_CANDLES), np.arange(BLOCK_CANDLES) != 700)
    writer.put_candles(*BTC, candles, START_MS)
    writer.set_frontier(*BTC, START_MS + DAY_MS)
    assert blocks(writer) == 1
    assert same(writer.reader.candles(*BTC), candles)


def test_a_day_without_candles_has_no_block(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(10), START_MS)
    writer.put_candles(*BTC, walk(10, start_ms=START_MS + 2 * DAY_MS), START_MS)
    writer.set_frontier(*BTC, START_MS + 3 * DAY_MS)
    assert blocks(writer) == 2
    assert len(writer.reader.candles(*BTC)) == 20


def test_a_late_revision_is_in_the_block(writer: Writer) -> None:
    candles = walk(2 * BLOCK_CANDLES)
    writer.put_candles(*BTC, candles, START_MS)
    writer.set_frontier(*BTC, START_MS + 2 * DAY_MS)
    late = scaled(candles.slice(100, 103), 1.01)
    writer.put_candles(*BTC, late, START_MS)
    assert blocks(writer) == 2
    assert same(writer.reader.candles(*BTC).slice(100, 103), late)


def test_a_revision_ahead_of_the_frontier_drops_the_block_until_the_day_is_complete(writer: Writer) -> None:
    candles = walk(BLOCK_CANDLES)
    writer.put_candles(*BTC, candles, START_MS)
    writer.put_candles(*BTC, scaled(candles.slice(5, 6), 2.0), START_MS)
    assert blocks(writer) == 0
    writer.set_frontier(*BTC, START_MS + DAY_MS)
    assert blocks(writer) == 1
    assert writer.reader.candles(*BTC).open[5] == candles.open[5] * 2.0


def test_larger_timeframes_have_blocks_of_as_many_candles(writer: Writer) -> None:
    key = ("bitget", "BTC/USDT:USDT", "1h")
    first = START_MS - START_MS % (BLOCK_CANDLES * 60 * MINUTE_MS)
    candles = with_minutes(walk(2 * BLOCK_CANDLES, timeframe="1h", start_ms=first), np.full(2 * BLOCK_CANDLES, 60))
    writer.put_candles(*key, candles.slice(0, 1_500), START_MS)
    writer.put_candles(*key, candles.slice(1_500), START_MS)
    writer.set_frontier(*key, int(candles.ts[-1]) + 60 * MINUTE_MS)
    assert blocks(writer) == 2
    assert same(writer.reader.candles(*key), candles)


def test_a_damaged_block_is_an_error_and_no_candles(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(BLOCK_CANDLES), START_MS)
    writer._connection.execute("UPDATE candle_block SET data = x'00'")
    with pytest.raises(StoreError, match="damaged"):
        writer.reader.candles(*BTC)


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "frontier"]),
        st.integers(0, 3 * BLOCK_CANDLES - 1),
        st.integers(1, 2 * BLOCK_CANDLES),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


@given(steps)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_blocks_equal_rows_after_any_history(tmp_path_factory: pytest.TempPathFactory, history: list[Any]) -> None:
    # The last two differ in taker volume alone.
    variants = [
        walk(3 * BLOCK_CANDLES, seed, taker=taker) for seed, taker in ((1, False), (2, True), (3, True), (3, False))
    ]
    expected: dict[int, tuple[Any, ...]] = {}
    with Writer(Path(tmp_path_factory.mktemp("history")) / "ohlcv.db") as writer:
        for kind, at, n, seed in history:
            if kind == "frontier":
                writer.set_frontier(*BTC, START_MS + at * MINUTE_MS)
                continue
            part = variants[seed].slice(at, at + n)
            part = pick(part, np.arange(len(part)) % (seed + 5) != 4)
            writer.put_candles(*BTC, part, START_MS)
            for row in zip(*(getattr(part, name).tolist() for name in COLUMNS), strict=True):
                before = expected.get(row[0])
                silent = before is not None and row[:6] == before[:6] and np.isnan(row[6])
                expected[row[0]] = before if silent and before else row
        read = writer.reader.candles(*BTC)
        number = series_id(writer._connection, BTC)
        rows = read_rows(writer._connection, number or 0, 0, 2**60)
        assert same(read, rows)
        wanted = (
            Candles.of(*zip(*(expected[ts] for ts in sorted(expected)), strict=True)) if expected else Candles.empty()
        )
        assert same(read, wanted)
        assert len(read) == writer.reader.summary().tables["candle"]
