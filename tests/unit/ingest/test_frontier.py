"""Plans, checkpoints and the frontier."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.ingest.frontier import Series, absorb, frontier
from core.ingest.gaps import Gaps, look
from core.ingest.plan import Window, gap_window, next_window

MINUTE = 60_000
NONE = Series(None, None, Gaps.none())


def rows(*minutes: int) -> np.ndarray:
    return np.array([[minute * MINUTE, 10, 11, 9, 10.5, 3] for minute in minutes], dtype=float).reshape(-1, 6)


def test_a_window_reaches_from_the_overlap_to_the_forming_candle() -> None:
    assert next_window(10 * MINUTE, 12 * MINUTE + 5, MINUTE, 3, 200) == Window(7 * MINUTE, 6)


def test_a_window_is_never_longer_than_a_page() -> None:
    assert next_window(10 * MINUTE, 900 * MINUTE, MINUTE, 3, 200) == Window(7 * MINUTE, 200)


def test_nothing_is_asked_for_when_every_closed_candle_was() -> None:
    assert next_window(10 * MINUTE, 10 * MINUTE + 59_999, MINUTE, 3, 200) is None


def test_a_page_always_brings_something_new_however_long_the_overlap() -> None:
    assert next_window(100 * MINUTE, 900 * MINUTE, MINUTE, 50, 10) == Window(91 * MINUTE, 10)


def test_nothing_before_the_start_is_asked_for() -> None:
    assert next_window(10 * MINUTE, 12 * MINUTE, MINUTE, 3, 200, start_ms=9 * MINUTE) == Window(9 * MINUTE, 4)
    assert next_window(10 * MINUTE, 12 * MINUTE, MINUTE, 3, 200, start_ms=99 * MINUTE) == Window(10 * MINUTE, 3)


def test_open_gaps_are_looked_at_before_confirmed_ones() -> None:
    known = look(Gaps.none(), np.array([0, 2, 4]) * MINUTE, 0, 4 * MINUTE, 0, 0, MINUTE).gaps
    half = look(known, np.array([0, 2]) * MINUTE, 0, 2 * MINUTE, 5 * MINUTE, MINUTE, MINUTE).gaps
    assert half.confirmed.tolist() == [True, False]
    assert gap_window(half, 10 * MINUTE, 200) == Window(3 * MINUTE, 200)
    assert gap_window(half, 0, 200) is None
    assert gap_window(Gaps.none(), 10 * MINUTE, 200) is None


def test_a_series_begins_at_its_first_candle() -> None:
    answer = absorb(NONE, rows(5, 6), 0, 10 * MINUTE, MINUTE, 100)
    assert answer.series.checkpoint_ms == answer.series.frontier_ms == 7 * MINUTE
    assert len(answer.series.gaps) == 0 and answer.is_later


def test_an_answer_without_a_later_candle_moves_nothing() -> None:
    series = Series(0, 7 * MINUTE, Gaps.none())
    for empty in (rows(), rows(5, 6)):
        answer = absorb(series, empty, 4 * MINUTE, 10 * MINUTE, MINUTE, 100)
        assert not answer.is_later
        assert answer.series.checkpoint_ms == 7 * MINUTE


def test_the_forming_candle_proves_nothing() -> None:
    answer = absorb(Series(0, 7 * MINUTE, Gaps.none()), rows(6, 10), 4 * MINUTE, 10 * MINUTE + 30_000, MINUTE, 100)
    assert not answer.is_later and len(answer.series.gaps) == 0


def test_the_frontier_waits_at_an_open_gap_and_passes_a_confirmed_one() -> None:
    first = absorb(Series(0, 5 * MINUTE, Gaps.none()), rows(5, 7), 5 * MINUTE, 10 * MINUTE, MINUTE, 100)
    assert first.series.checkpoint_ms == 8 * MINUTE
    assert first.series.frontier_ms == 6 * MINUTE
    second = absorb(first.series, rows(5, 7, 8), 5 * MINUTE, 11 * MINUTE, MINUTE, 100)
    assert second.series.frontier_ms == second.series.checkpoint_ms == 9 * MINUTE


def test_candles_before_the_beginning_of_a_series_are_left_to_backfill() -> None:
    begun = absorb(NONE, rows(5), 0, 10 * MINUTE, MINUTE, 100).series
    answer = absorb(begun, rows(3, 5, 6), 2 * MINUTE, 10 * MINUTE, MINUTE, 100)
    assert answer.candles.ts.tolist() == [5 * MINUTE, 6 * MINUTE]
    assert len(answer.series.gaps) == 0


def test_a_rejected_candle_leaves_its_minute_missing() -> None:
    bad = rows(5, 6, 7)
    bad[1, 2] = 1.0
    answer = absorb(Series(0, 5 * MINUTE, Gaps.none()), bad, 5 * MINUTE, 10 * MINUTE, MINUTE, 100)
    assert answer.series.gaps.ts.tolist() == [6 * MINUTE]
    assert answer.rejected["reason"].tolist() == ["high"]


def test_rows_before_what_was_asked_for_are_ignored() -> None:
    answer = absorb(Series(0, 5 * MINUTE, Gaps.none()), rows(1, 5), 5 * MINUTE, 10 * MINUTE, MINUTE, 100)
    assert answer.candles.ts.tolist() == [5 * MINUTE]


def test_a_hole_longer_than_the_room_is_opened_in_parts() -> None:
    series, parts = Series(0, 5 * MINUTE, Gaps.none()), 0
    answer = absorb(series, rows(5, 500, 501), 5 * MINUTE, 600 * MINUTE, MINUTE, 100)
    while answer.is_later:
        parts += 1
        assert answer.gaps_changed is None or len(answer.gaps_changed) <= 100
        series = answer.series
        answer = absorb(series, rows(500, 501), series.checkpoint_ms or 0, 600 * MINUTE, MINUTE, 100)
    assert parts == 5
    assert series.checkpoint_ms == 502 * MINUTE
    assert series.gaps.ts.tolist() == [minute * MINUTE for minute in range(6, 500)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 40), max_size=30), min_size=1, max_size=12),
    st.integers(1, 40),
    st.integers(1, 8),
)
def test_every_minute_before_the_checkpoint_is_stored_or_missing_and_before_the_frontier_none_is_open(
    answers: list[set[int]], room: int, overlap: int
) -> None:
    series, stored = NONE, set[int]()
    for number, minutes in enumerate(answers):
        now = (41 + number) * MINUTE
        since = 0 if series.checkpoint_ms is None else max(0, series.checkpoint_ms - overlap * MINUTE)
        answer = absorb(series, rows(*sorted(minutes)), since, now, MINUTE, room)
        stored |= set((answer.candles.ts // MINUTE).tolist())
        series = answer.series
        if series.checkpoint_ms is None:
            continue
        missing = dict(zip((series.gaps.ts // MINUTE).tolist(), series.gaps.confirmed.tolist(), strict=True))
        begin, end = min(stored), series.checkpoint_ms // MINUTE
        assert stored | set(missing) == set(range(begin, end))
        assert not stored & set(missing)
        assert series.frontier_ms is not None
        assert all(is_confirmed for minute, is_confirmed in missing.items() if minute * MINUTE < series.frontier_ms)
        assert series.frontier_ms == frontier(series.checkpoint_ms, series.gaps)


def test_series_and_rows_are_left_as_they_were() -> None:
    series, given_rows = Series(0, 5 * MINUTE, Gaps.none()), rows(7, 5)
    given_rows.setflags(write=False)
    absorb(series, given_rows, 5 * MINUTE, 10 * MINUTE, MINUTE, 100)
    assert series.checkpoint_ms == 5 * MINUTE and len(series.gaps) == 0
