"""Open, confirmed, filled."""

from __future__ import annotations

import numpy as np
import pytest

from core.ingest.gaps import CONFIRM_AFTER_MS, NEVER_MS, RETRY_AFTER_MS, Gaps, Look, look

MINUTE = 60_000
NOW = 100 * MINUTE


def minutes(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64) * MINUTE


def seen(known: Gaps, present: np.ndarray, now_ms: int = NOW, start: int = 0, fresh: int = 0) -> Look:
    return look(known, present, start * MINUTE, int(present[-1]), fresh * MINUTE, now_ms, MINUTE)


def test_a_minute_missing_before_a_later_candle_opens_a_gap() -> None:
    told = seen(Gaps.none(), minutes(0, 1, 4))
    assert told.gaps.ts.tolist() == minutes(2, 3).tolist()
    assert not told.gaps.confirmed.any()
    assert told.gaps.first_missed_ms.tolist() == [NOW, NOW]
    assert told.changed is not None and told.changed["state"].tolist() == ["open", "open"]


def test_minutes_behind_the_last_candle_are_not_missing() -> None:
    assert len(seen(Gaps.none(), minutes(0, 1, 2)).gaps) == 0
    assert seen(Gaps.none(), minutes(0, 1, 2)).changed is None


def test_a_stored_minute_that_an_answer_leaves_out_is_no_gap() -> None:
    assert len(seen(Gaps.none(), minutes(0, 3), fresh=3).gaps) == 0


def test_a_second_answer_some_seconds_later_confirms() -> None:
    first = seen(Gaps.none(), minutes(0, 2))
    too_soon = seen(first.gaps, minutes(0, 2), NOW + CONFIRM_AFTER_MS - 1, fresh=3)
    assert not too_soon.gaps.confirmed.any() and too_soon.changed is None
    second = seen(first.gaps, minutes(0, 2), NOW + CONFIRM_AFTER_MS, fresh=3)
    assert second.gaps.confirmed.all()
    assert second.gaps.tries.tolist() == [2]
    assert second.changed is not None and second.changed["state"].tolist() == ["confirmed"]


def test_an_answer_that_does_not_reach_behind_the_gap_proves_nothing() -> None:
    first = seen(Gaps.none(), minutes(0, 2))
    short = look(first.gaps, minutes(0), 0, 0, 3 * MINUTE, NOW + MINUTE, MINUTE)
    assert short.changed is None and not short.gaps.confirmed.any()


def test_an_answer_that_begins_behind_the_gap_proves_nothing() -> None:
    first = seen(Gaps.none(), minutes(0, 2))
    late = seen(first.gaps, minutes(2, 3), NOW + MINUTE, start=2, fresh=3)
    assert late.changed is None and not late.gaps.confirmed.any()


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_a_minute_that_comes_after_all_fills_its_gap(is_confirmed: bool) -> None:
    known = seen(Gaps.none(), minutes(0, 3)).gaps
    if is_confirmed:
        known = seen(known, minutes(0, 3), NOW + MINUTE, fresh=4).gaps
    told = seen(known, minutes(0, 1, 3), NOW + 2 * MINUTE, fresh=4)
    assert told.gaps.ts.tolist() == minutes(2).tolist()
    assert told.filled.tolist() == minutes(1).tolist()
    assert told.changed is not None
    assert dict(zip(told.changed["ts_ms"], told.changed["state"], strict=True))[MINUTE] == "filled"


def test_confirmed_gaps_are_tried_ever_more_rarely_and_then_given_up() -> None:
    known, now = seen(Gaps.none(), minutes(0, 2)).gaps, NOW
    waits = []
    while known.next_try_ms[0] != NEVER_MS:
        waits.append(int(known.next_try_ms[0]) - now)
        now = int(known.next_try_ms[0])
        known = seen(known, minutes(0, 2), now, fresh=3).gaps
    assert waits == list(RETRY_AFTER_MS)
    assert waits == sorted(waits)
    assert not known.due(now + 10**12).any() and not known.due(0).any()


def test_a_look_planned_by_a_clock_that_was_far_ahead_is_due_now() -> None:
    known = seen(Gaps.none(), minutes(0, 2), NOW + 10 * RETRY_AFTER_MS[-1]).gaps
    assert known.due(NOW).all()
    assert seen(known, minutes(0, 2), NOW, fresh=3).gaps.confirmed.all()


def test_the_oldest_open_gap_is_known() -> None:
    known = seen(Gaps.none(), minutes(0, 2, 5)).gaps
    assert known.first_open_ms() == MINUTE
    confirmed = seen(known, minutes(0, 2), NOW + MINUTE, fresh=6).gaps
    assert confirmed.first_open_ms() == 3 * MINUTE
    assert Gaps.none().first_open_ms() is None


def test_gaps_survive_the_way_through_a_frame() -> None:
    known = seen(seen(Gaps.none(), minutes(0, 2, 5)).gaps, minutes(0, 2), NOW + MINUTE, fresh=6).gaps
    frame = known.to_frame()
    again = Gaps.of_frame(frame.iloc[::-1])
    for name in Gaps.__slots__:
        assert np.array_equal(getattr(again, name), getattr(known, name))
    frame.loc[0, "state"] = "filled"
    assert len(Gaps.of_frame(frame)) == len(known) - 1


def test_what_was_known_is_left_as_it_was() -> None:
    known = seen(Gaps.none(), minutes(0, 2, 5)).gaps
    for name in Gaps.__slots__:
        getattr(known, name).setflags(write=False)
    before = known.to_frame()
    seen(known, minutes(0, 1, 2), NOW + MINUTE, fresh=6)
    assert known.to_frame().equals(before)
