"""Candles from files: a finished record joined to what is stored, without an unknown stretch between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.adapters.markets import files
from core.clock import HOUR_MS, MINUTE_MS
from core.errors import InputFileError
from core.indicators.resample import resample as longer
from core.jobs import resample
from core.jobs._desk import Desk
from core.jobs.transfer import ImportReport, import_rows
from core.schema import Candles
from tests.desks import BTC, EXCHANGE, StoppedClock, minutes, open_desk, rows_of, same_candles, without
from tests.factories import START_MS

KEY = (EXCHANGE, BTC, "1m")
CANDLES = minutes(24)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = open_desk(tmp_path, StoppedClock(START_MS + 48 * HOUR_MS))
    yield opened
    opened.writer.close()


def at(hours: float) -> int:
    return START_MS + int(hours * HOUR_MS)


def bring(desk: Desk, rows: np.ndarray | Candles, pieces: int = 3) -> ImportReport:
    table = rows_of(rows) if isinstance(rows, Candles) else rows
    return import_rows(desk, BTC, lambda: np.array_split(table, pieces), "a file")


def hours(start: float, end: float) -> Candles:
    return CANDLES.between(at(start), at(end))


def marks(desk: Desk) -> tuple[int | None, int | None]:
    return desk.reader.frontier(*KEY), desk.reader.checkpoint(*KEY)


def gaps(desk: Desk, state: str) -> list[int]:
    return [(ts - START_MS) // MINUTE_MS for ts in desk.reader.gaps(*KEY, state)["ts_ms"].tolist()]


def test_a_file_is_stored_up_to_its_last_candle(desk: Desk) -> None:
    report = bring(desk, hours(0, 6))
    assert (report.inserted, report.first_ms, report.end_ms, report.missing) == (360, at(0), at(6), 0)
    assert same_candles(desk.reader.candles(*KEY), hours(0, 6)) and marks(desk) == (at(6), at(6))


def test_again_it_is_unchanged(desk: Desk) -> None:
    holed = without(hours(0, 6), 5, 6)
    bring(desk, holed)
    before = desk.reader.gaps(*KEY)
    desk.market.now += HOUR_MS  # type: ignore[attr-defined]
    report = bring(desk, holed)
    assert (report.inserted, report.revised, report.unchanged, report.missing) == (0, 0, 358, 2)
    pd.testing.assert_frame_equal(desk.reader.gaps(*KEY), before)
    assert not desk.reader.meta(f"rebuild:{EXCHANGE}:{BTC}") and desk.reader.revisions().empty


def test_files_that_overlap_join(desk: Desk) -> None:
    bring(desk, hours(0, 6))
    report = bring(desk, hours(4, 9))
    assert (report.inserted, report.unchanged) == (180, 120)
    assert same_candles(desk.reader.candles(*KEY), hours(0, 9)) and marks(desk) == (at(9), at(9))


def test_a_file_inside_what_is_stored_moves_no_mark(desk: Desk) -> None:
    bring(desk, hours(0, 9))
    bring(desk, hours(2, 3))
    assert marks(desk) == (at(9), at(9))


@pytest.mark.parametrize("span", [(7, 9), (0, 1.9)])
def test_a_hole_to_what_is_stored_is_refused_and_nothing_written(desk: Desk, span: tuple[float, float]) -> None:
    bring(desk, hours(2, 6))
    with pytest.raises(InputFileError, match=r"expected a file that touches it") as caught:
        bring(desk, hours(*span))
    assert "\n" not in str(caught.value) and "a file" in str(caught.value)
    assert same_candles(desk.reader.candles(*KEY), hours(2, 6)) and marks(desk) == (at(6), at(6))
    assert desk.reader.gaps(*KEY).empty


def derived(desk: Desk) -> Candles:
    asyncio.run(resample.run(desk, 0))
    return desk.reader.candles(EXCHANGE, BTC, "1h")


def test_an_earlier_file_that_touches_is_put_before_and_longer_candles_follow(desk: Desk) -> None:
    bring(desk, hours(5.5, 10))
    assert derived(desk).n_minutes.tolist() == [30, 60, 60, 60, 60]
    bring(desk, without(hours(0, 5.5), 100))
    assert marks(desk) == (at(10), at(10)) and gaps(desk, "confirmed") == [100]
    assert same_candles(derived(desk), longer(desk.reader.candles(*KEY), HOUR_MS, at(0), at(10)))
    assert len(derived(desk)) == 10


def test_other_values_are_revisions_and_longer_candles_follow(desk: Desk) -> None:
    bring(desk, hours(0, 6))
    derived(desk)
    rows = rows_of(hours(0, 6))
    rows[70, 5] += 1.0
    assert bring(desk, rows).revised == 1
    assert len(desk.reader.revisions()) == 1
    assert same_candles(derived(desk), longer(desk.reader.candles(*KEY), HOUR_MS, at(0), at(6)))


def test_an_older_request_to_rebuild_is_kept(desk: Desk) -> None:
    bring(desk, hours(0, 6))
    desk.writer.set_meta(f"rebuild:{EXCHANGE}:{BTC}", str(at(1)))
    rows = rows_of(hours(0, 6))
    rows[200, 5] += 1.0
    bring(desk, rows)
    assert desk.reader.meta(f"rebuild:{EXCHANGE}:{BTC}") == str(at(1))


def test_unusable_rows_are_quarantined_counted_and_their_minutes_missing(desk: Desk) -> None:
    rows = rows_of(hours(0, 2))
    rows[10, 2] = 0.0
    rows[20, 1] = np.nan
    rows[30, 5] = -1.0
    report = bring(desk, rows)
    assert (report.inserted, report.rejected, report.missing) == (117, 3, 3)
    assert gaps(desk, "confirmed") == [10, 20, 30] and len(desk.reader.quarantine()) == 3
    assert sum(report.reasons.values()) == 3 and "3 minutes missing" in str(report)
    assert marks(desk) == (at(2), at(2))


def test_a_minute_that_was_missing_and_is_in_the_file_is_missing_no_more(desk: Desk) -> None:
    bring(desk, without(hours(0, 6), 30, 31, 40))
    derived(desk)
    report = bring(desk, without(hours(0, 6), 31))
    assert (report.inserted, report.missing) == (2, 1)
    assert gaps(desk, "confirmed") == [31] and gaps(desk, "filled") == [30, 40]
    assert derived(desk).n_minutes.tolist()[0] == 59


def open_gaps(desk: Desk, *positions: int) -> None:
    desk.writer.put_gaps(
        *KEY,
        pd.DataFrame(
            {
                "ts_ms": [START_MS + k * MINUTE_MS for k in positions],
                "state": "open",
                "first_missed_ms": at(6),
                "tries": 1,
                "next_try_ms": at(7),
            }
        ),
    )


def test_open_minutes_inside_the_file_are_settled_and_those_behind_it_hold_the_frontier(desk: Desk) -> None:
    desk.writer.put_candles(*KEY, without(hours(0, 6), 60, 61, 300), 0)
    open_gaps(desk, 60, 61, 300)
    desk.writer.set_checkpoint(*KEY, at(6))
    desk.writer.set_frontier(*KEY, at(1))
    bring(desk, without(hours(0, 4), 61))
    assert gaps(desk, "filled") == [60] and gaps(desk, "confirmed") == [61] and gaps(desk, "open") == [300]
    assert marks(desk) == (at(5), at(6))


def test_a_file_without_a_usable_candle_is_refused(desk: Desk) -> None:
    with pytest.raises(InputFileError, match="holds no usable one-minute candle"):
        bring(desk, np.array([[at(1), -1.0, 1.0, 1.0, 1.0, 1.0]]), 1)
    assert desk.reader.series().empty and desk.reader.quarantine().empty


def test_candles_of_the_future_are_not_believed(desk: Desk) -> None:
    desk.market.now = at(3)  # type: ignore[attr-defined]
    assert bring(desk, hours(0, 6)).inserted == 180
    assert marks(desk) == (at(3), at(3))


def test_an_import_that_ends_in_the_middle_is_made_good_by_the_next(desk: Desk) -> None:
    bring(desk, hours(12, 18))
    pieces = np.array_split(rows_of(without(hours(0, 12), 500)), 4)
    turn = 0

    def broken() -> Iterator[np.ndarray]:
        nonlocal turn
        turn += 1
        for number, piece in enumerate(pieces):
            if turn == 2 and number == 2:
                raise KeyboardInterrupt
            yield piece

    with pytest.raises(KeyboardInterrupt):
        import_rows(desk, BTC, broken, "a file")
    import_rows(desk, BTC, lambda: iter(pieces), "a file")
    assert same_candles(desk.reader.candles(*KEY), without(hours(0, 18), 500))
    assert gaps(desk, "confirmed") == [500] and marks(desk) == (at(18), at(18))
    assert same_candles(derived(desk), longer(desk.reader.candles(*KEY), HOUR_MS, at(0), at(18)))


@pytest.mark.parametrize("taker", [False, True])
def test_written_to_a_file_and_read_back_candles_are_equal_bit_by_bit(desk: Desk, tmp_path: Path, taker: bool) -> None:
    candles = without(hours(0, 3), 17)
    if taker:
        columns = [getattr(candles, name) for name in Candles.__slots__[:6]]
        candles = Candles.of(*columns, taker_volume=candles.volume / 3.0)
    desk.writer.put_candles(*KEY, candles, 0)
    path = tmp_path / "candles.parquet"
    files.write_candles(path, desk.reader.candles(*KEY))
    other = open_desk(tmp_path / "other", StoppedClock(at(48)))
    import_rows(other, BTC, lambda: files.iter_rows(path), str(path))
    again = other.reader.candles(*KEY)
    other.writer.close()
    assert same_candles(again, candles)
