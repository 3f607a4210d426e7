"""What a writer remembers of candles and settlements is what the table holds, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.clock import MINUTE_MS
from core.schema import Candles
from core.store import _recent
from core.store.reader import Marks, Reader
from core.store.writer import PutReport, Writer
from tests.unit.store.samples import BTC, START_MS, pick, same, scaled, signals, trades, walk

ETH = ("bitget", "ETH/USDT:USDT", "1m")
DAY = 1_440


def asked(reader: Reader) -> list[Candles]:
    """Ask in every way, of different reach."""
    middle = START_MS + 70 * MINUTE_MS
    return [
        reader.candles(*BTC, middle),
        reader.last_candles(*BTC, 30),
        reader.last_candles(*BTC, 30, middle),
        reader.candles(*BTC, START_MS - MINUTE_MS, middle),
        reader.last_candles(*BTC, 10_000),
        reader.candles(*BTC),
    ]


def assert_true(writer: Writer, reader: Reader) -> None:
    for remembered, read in zip(asked(writer.reader), asked(reader), strict=True):
        assert same(remembered, read)
        assert not remembered.close.flags.writeable


def append(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(5, 2, start_ms=START_MS + 100 * MINUTE_MS), START_MS)


def revise(writer: Writer) -> None:
    writer.put_candles(*BTC, scaled(walk(100).slice(40, 42), 2.0), START_MS)


def come_late(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(3, 4, start_ms=START_MS - 10 * MINUTE_MS), START_MS)


def revise_and_append(writer: Writer) -> None:
    writer.put_candles(*BTC, scaled(walk(110), 3.0).slice(95), START_MS)


def leave_a_hole(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(5, 2, start_ms=START_MS + 130 * MINUTE_MS), START_MS)


CHANGES = [append, revise, come_late, revise_and_append, leave_a_hole]


@pytest.mark.parametrize("change", CHANGES)
def test_memory_follows_what_its_own_writer_writes(
    writer: Writer, reader: Reader, change: Callable[[Writer], None]
) -> None:
    writer.put_candles(*BTC, walk(100), START_MS)
    assert_true(writer, reader)
    change(writer)
    assert_true(writer, reader)


@pytest.mark.parametrize("change", CHANGES)
def test_memory_gives_way_to_what_another_process_writes(
    writer: Writer, reader: Reader, path: Path, change: Callable[[Writer], None]
) -> None:
    writer.put_candles(*BTC, walk(100), START_MS)
    assert_true(writer, reader)
    with Writer(path) as other:
        change(other)
    assert_true(writer, reader)
    append(writer)
    assert_true(writer, reader)


@pytest.mark.parametrize("change", CHANGES)
def test_memory_forgets_what_was_taken_back(writer: Writer, reader: Reader, change: Callable[[Writer], None]) -> None:
    writer.put_candles(*BTC, walk(100), START_MS)
    assert_true(writer, reader)
    with pytest.raises(KeyboardInterrupt), writer.transaction():
        change(writer)
        assert len(writer.reader.candles(*BTC)) > 0
        raise KeyboardInterrupt
    assert_true(writer, reader)


def test_inside_a_transaction_memory_shows_what_is_not_committed_yet(writer: Writer) -> None:
    writer.put_candles(*BTC, walk(100), START_MS)
    asked(writer.reader)
    with writer.transaction():
        append(writer)
        assert len(writer.reader.last_candles(*BTC, 1_000)) == 105


def test_a_snapshot_does_not_see_what_another_process_commits_meanwhile(writer: Writer, path: Path) -> None:
    writer.put_candles(*BTC, walk(100), START_MS)
    with Writer(path) as other:
        with writer.reader.snapshot():
            assert len(writer.reader.candles(*BTC)) == 100
            append(other)
            assert len(writer.reader.candles(*BTC)) == 100
        assert len(writer.reader.candles(*BTC)) == 105


def test_a_series_that_grows_keeps_no_more_than_was_asked_for(
    writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_recent, "_ROOM", 7)
    candles = walk(400)
    writer.put_candles(*BTC, candles.slice(0, 100), START_MS)
    writer.reader.last_candles(*BTC, 20)
    for at in range(100, 400, 3):
        before = writer.reader.last_candles(*BTC, 20)
        kept = before.close.copy()
        writer.put_candles(*BTC, candles.slice(at, at + 3), START_MS)
        assert np.array_equal(before.close, kept)
        assert same(writer.reader.last_candles(*BTC, 20), candles.slice(at + 3 - 20, at + 3))
    assert writer._recent._runs[BTC].bits.shape[1] < 40
    assert_true(writer, reader)


def test_who_asks_for_years_is_answered_from_the_file(
    writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_recent, "_LONGEST", 50)
    writer.put_candles(*BTC, walk(100), START_MS)
    assert_true(writer, reader)
    assert len(writer._recent._runs[BTC].bits[0]) <= 50 + _recent._ROOM


def test_settlements_are_read_again_after_a_change(writer: Writer, path: Path) -> None:
    rows = np.array([[START_MS, 0.0001], [START_MS + 1_000, 0.0002]])
    writer.put_funding(*BTC[:2], rows)
    assert writer.reader.funding(*BTC[:2]).tolist() == rows.tolist()
    writer.put_funding(*BTC[:2], rows[1:] * [1.0, 2.0])
    assert writer.reader.funding(*BTC[:2], START_MS + 1).tolist() == [[START_MS + 1_000, 0.0004]]
    with Writer(path) as other:
        other.put_funding(*BTC[:2], rows[:1] * [1.0, 3.0])
    assert writer.reader.funding(*BTC[:2], None, START_MS + 1).tolist() == [[START_MS, 0.0001 * 3.0]]


def test_many_series_are_stored_as_one_by_one(tmp_path: Path) -> None:
    parts = [
        (BTC[1], "1m", walk(3_000)),
        (ETH[1], "1m", walk(DAY, 2)),
        (BTC[1], "5m", walk(20, 3, "5m")),
        (ETH[1], "1m", scaled(walk(DAY + 5, 2), 2.0).slice(DAY - 5)),
        (BTC[1], "1m", pick(walk(3_000), np.arange(3_000) % 7 == 0)),
        (ETH[1], "5m", Candles.empty()),
    ]
    with Writer(tmp_path / "many.db") as many, Writer(tmp_path / "single.db") as single:
        for writer in (many, single):
            writer.put_candles(*ETH, walk(10, 9), START_MS)
            writer.set_frontier(*ETH, START_MS + 10 * MINUTE_MS)
        together = many.put_many_candles("bitget", parts, START_MS)
        alone = [single.put_candles("bitget", *part, START_MS) for part in parts]
        assert together == alone
        assert together[3] == PutReport(inserted=5, revised=5)
        for symbol, timeframe, _ in parts:
            assert same(
                many.reader.candles("bitget", symbol, timeframe), single.reader.candles("bitget", symbol, timeframe)
            )
        tables = many.reader.summary().tables
        assert {name: n for name, n in tables.items() if name != "series"} == {
            name: n for name, n in single.reader.summary().tables.items() if name != "series"
        }


def test_a_part_that_no_series_can_hold_is_named_and_nothing_is_written(writer: Writer) -> None:
    wrong = walk(5, start_ms=START_MS + 1)
    with pytest.raises(Exception, match=r"bitget/ETH/USDT:USDT/1m: times must lie on the grid"):
        writer.put_many_candles("bitget", [(BTC[1], "1m", walk(5)), (ETH[1], "1m", wrong)], START_MS)
    assert not len(writer.reader.candles(*BTC))


def test_marks_are_told_and_set_for_many_series_at_once(writer: Writer, reader: Reader) -> None:
    writer.set_marks("bitget", {("A/B", "1m"): Marks(60_000, 120_000), ("A/B", "5m"): Marks(scanned_ms=300_000)})
    writer.set_marks("bitget", {("A/B", "1m"): Marks(frontier_ms=180_000)})
    told = {("A/B", "1m"): Marks(180_000, 120_000, None), ("A/B", "5m"): Marks(None, None, 300_000)}
    assert reader.marks("bitget") == told
    assert reader.marks("bitget", "5m") == {("A/B", "5m"): told["A/B", "5m"]}
    assert reader.marks("okx") == {}


def test_the_terms_of_many_series_are_noted_once(writer: Writer, reader: Reader) -> None:
    notes = [("A/B", "5m", 1, "x"), ("C/D", "5m", 2, "y")]
    writer.note_many_live("bitget", notes)
    writer.note_many_live("bitget", [("A/B", "5m", 3, "x"), ("C/D", "5m", 4, "z")])
    assert reader.live_terms("bitget", "A/B", "5m") == [(1, "x")]
    assert reader.live_terms("bitget", "C/D", "5m") == [(2, "y"), (4, "z")]


def test_a_moved_trade_is_the_one_that_was_put_whole_and_never_goes_back(tmp_path: Path) -> None:
    later = {"next_ms": START_MS + 60_000, "mfe_pct": 1.5, "stop": 99.0}
    rows = []
    for method in ("put_trades", "move_trades"):
        with Writer(tmp_path / f"{method}.db") as writer:
            writer.put_signals(signals({}, {}))
            writer.put_trades(trades({"status": "OPEN"}, {"signal_id": 2, "status": "CLOSED"}))
            getattr(writer, method)(trades({"status": "OPEN", **later}, {"signal_id": 2, "status": "CLOSED", **later}))
            getattr(writer, method)(trades({"status": "OPEN", "stop": 50.0}))
            rows.append(writer.reader.trades().to_dict("records"))
    assert str(rows[0]) == str(rows[1])
    assert rows[1][0]["stop"] == 99.0 and rows[1][1]["next_ms"] == START_MS
