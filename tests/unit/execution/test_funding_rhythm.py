"""Which settlements are expected, and that whoever plays on as they become known meets those of the full record."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS
from core.execution.book import new_trades, play
from core.execution.costs import CostModel
from core.execution.funding import PATIENCE_MS, FundingMarks, funding_frontier, funding_marks, next_settlement
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from tests.unit.execution.playing import T0, candles, exit_plan, signals

DEFAULT_PCT = 0.01
RECORDED, DEFAULT = "recorded", "default"


def at(*hours: float) -> np.ndarray:
    """Return a record of settlements at some hours since T0."""
    return np.array([[T0 + hour * HOUR_MS, 1e-6 * (k + 1)] for k, hour in enumerate(hours)]).reshape(-1, 2)


def told(marks: FundingMarks) -> list[tuple[float, str]]:
    hours = ((marks.ts - T0) / HOUR_MS).tolist()
    return [(hour, RECORDED if known else DEFAULT) for hour, known in zip(hours, marks.recorded, strict=True)]


def between(record: np.ndarray, from_hour: float, to_hour: float) -> list[tuple[float, str]]:
    span = int(T0 + from_hour * HOUR_MS), int(T0 + to_hour * HOUR_MS)
    return told(funding_marks(record, *span, DEFAULT_PCT))


@pytest.mark.parametrize("offset", [1, 4, 7.5])
@pytest.mark.parametrize("interval", [1, 2, 4, 8])
def test_silence_after_the_record_is_filled_at_the_markets_own_times(interval: int, offset: float) -> None:
    times = [offset + interval * k for k in range(12)]
    wanted = [(hour, RECORDED if k < 8 else DEFAULT) for k, hour in enumerate(times)]
    assert between(at(*times[:8]), times[4], times[-1] + 0.1) == wanted[4:]


def test_behind_a_single_settlement_eight_hours_are_usual() -> None:
    assert between(at(4), 5, 29) == [(12, DEFAULT), (20, DEFAULT), (28, DEFAULT)]
    assert next_settlement(at(4), T0 + 5 * HOUR_MS) == T0 + 12 * HOUR_MS


def test_before_the_first_settlement_the_grid_stands() -> None:
    assert between(at(20, 28), 0, 21) == [(0, DEFAULT), (8, DEFAULT), (16, DEFAULT), (20 + 1 / 6, RECORDED)]


def test_a_hole_is_filled_at_the_markets_own_times_and_does_not_change_its_rhythm() -> None:
    record = at(4, 12, 20, 44, 52)
    wanted = [(20, RECORDED), (28, DEFAULT), (36, DEFAULT), (44, RECORDED), (52, RECORDED), (60, DEFAULT)]
    assert between(record, 20, 61) == wanted
    assert next_settlement(record[:4], T0 + 44 * HOUR_MS) == T0 + 52 * HOUR_MS


def test_a_settlement_nobody_expected_is_paid_when_it_is_known() -> None:
    later = PATIENCE_MS / HOUR_MS
    record = at(0, 8, 16, 20, 24, 28, 32)  # from eight hours to four
    wanted = [(16, RECORDED), (20 + later, RECORDED), (24 + later, RECORDED), (28, RECORDED), (32, RECORDED)]
    assert between(record, 16, 33) == wanted


def test_a_market_that_settles_more_rarely_is_believed_at_the_second_time() -> None:
    record = at(0, 4, 8, 12, 20, 28, 36)
    wanted = [(12, RECORDED), (16, DEFAULT), (20, RECORDED), (24, DEFAULT), (28, RECORDED), (36, RECORDED)]
    assert between(record, 12, 37) == wanted


def test_a_market_that_moves_its_hours_pays_no_settlement_twice() -> None:
    assert between(at(0, 8, 16, 24, 28, 36, 44), 25, 45) == [
        (28 + PATIENCE_MS / HOUR_MS, RECORDED),
        (36, RECORDED),
        (44, RECORDED),
    ]


@pytest.mark.parametrize(("late", "paid"), [(0, 12), (9, 12), (-1, 12 - 1 / 60 + 1 / 6)])
def test_a_rate_stamped_within_the_wait_is_the_expected_settlements(late: int, paid: float) -> None:
    assert between(at(4, 12 + late / 60), 5, 13) == [(pytest.approx(paid), RECORDED)]


def test_what_is_expected_at_a_time_does_not_depend_on_what_comes_after_it() -> None:
    rng = np.random.default_rng(5)
    record = at(*np.cumsum(rng.choice([1, 2, 4, 8, 16], 60)).tolist())
    for hour in range(0, 200, 7):
        moment_ms = T0 + hour * HOUR_MS
        known = record[record[:, 0] <= moment_ms]
        assert between(known, 0, hour) == between(record, 0, hour)


@st.composite
def markets(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Return a record with changes of interval, holes and late stamps, and when each settlement becomes visible."""
    hours: list[float] = [draw(st.integers(-16, 24)) + draw(st.sampled_from([0.0, 0.0, 0.5]))]
    for interval, count in draw(st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]), st.integers(1, 8)), max_size=4)):
        hours += [hours[-1] + interval * (k + 1) for k in range(count)]
    kept = draw(st.lists(st.sampled_from([True] * 6 + [False]), min_size=len(hours), max_size=len(hours)))
    record = at(*[hour for hour, there in zip(hours, kept, strict=True) if there])
    n = len(record)
    record[:, 0] += draw(st.lists(st.integers(0, 47), min_size=n, max_size=n))
    delay_ms = st.integers(0, PATIENCE_MS - MINUTE_MS)
    return record, record[:, 0] + np.array(draw(st.lists(delay_ms, min_size=n, max_size=n)), dtype=np.float64)


STEPS = st.lists(st.sampled_from([1, 1, 2, 5, 9, 11, 30, 200, 700]), min_size=1, max_size=12)


@given(market=markets(), steps=STEPS, start_min=st.integers(-60, 12 * 60))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_played_on_in_steps_the_settlements_are_those_of_the_full_record(
    market: tuple[np.ndarray, np.ndarray], steps: list[int], start_min: int
) -> None:
    record, visible_ms = market
    now_ms = begin_ms = reached_ms = T0 + start_min * MINUTE_MS
    met: list[tuple[float, str, float]] = []
    k = 0
    while now_ms < begin_ms + 2 * DAY_MS:
        now_ms += steps[k % len(steps)] * MINUTE_MS
        k += 1
        known = record[visible_ms <= now_ms]
        to_ms = max(reached_ms, funding_frontier(known, now_ms, now_ms // MINUTE_MS * MINUTE_MS))
        marks = funding_marks(known, reached_ms, to_ms, DEFAULT_PCT)
        met += [(*one, rate) for one, rate in zip(told(marks), marks.rate_pct.tolist(), strict=True)]
        reached_ms = to_ms
    whole = funding_marks(record, begin_ms, reached_ms, DEFAULT_PCT)
    assert met == [(*one, rate) for one, rate in zip(told(whole), whole.rate_pct.tolist(), strict=True)]


def played(record: np.ndarray, visible_ms: np.ndarray, moments: Iterable[int]) -> tuple[pd.Series, pd.DataFrame]:
    """Play a position of a day, moment by moment, on what is visible then."""
    rest = (100.0, 100.1, 99.9, 100.0)
    run = candles([rest] * (30 * 60), first=5 * 60)
    begin_ms, end_ms = int(run.ts[0]), int(run.ts[-1]) + MINUTE_MS
    plan = {"decided_ms": begin_ms, "valid_until_ms": begin_ms + HOUR_MS, "timeframe": "1h", "order_type": "market"}
    rules, costs = ExecutionRules(entry_delay_candles=0), CostModel(0.02, 0.06, 0.02)
    orders = signals([plan])
    trades, parts = new_trades(orders, "held@00000000", rules), []
    for now_ms in moments:
        known = record[visible_ms <= now_ms]
        to_ms = funding_frontier(known, now_ms, min(now_ms // MINUTE_MS * MINUTE_MS, end_ms))
        from_ms = int(trades["next_ms"].iloc[0])
        marks = funding_marks(known, from_ms - MINUTE_MS, to_ms, DEFAULT_PCT)
        exits = exit_plan([[(110.0, 1.0)]], hold=24)
        trades, events = play(trades, orders, exits, [Run(run, to_ms, marks)], 0, rules, costs)
        parts.append(events)
    return trades.iloc[0], pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("offset", [0, 4, 7])
@pytest.mark.parametrize("interval", [1, 4, 8])
@pytest.mark.parametrize("last_hour", [9, 99], ids=["record-ends-early", "full-record"])
def test_a_day_held_pays_the_same_minute_by_minute_and_at_once(interval: int, offset: int, last_hour: int) -> None:
    record = at(*range(offset - 48, min(72, last_hour), interval))
    visible_ms = record[:, 0] + 4 * MINUTE_MS + 7_000
    minutes = range(T0 + 5 * HOUR_MS + 3_000, T0 + 36 * HOUR_MS, 7 * MINUTE_MS)
    stepwise, events = played(record, visible_ms, minutes)
    at_once, all_events = played(record, visible_ms, [T0 + 99 * HOUR_MS])
    pd.testing.assert_series_equal(stepwise, at_once, check_exact=True)
    pd.testing.assert_frame_equal(events, all_events, check_exact=True)
    paid = all_events[all_events["kind"] == "FUNDING"]
    held = [hour for hour in range(offset - 48, 72, interval) if 5 < hour <= 29]
    assert ((paid["ts_ms"] - T0) / HOUR_MS).tolist() == held
    assert (paid["source"] == RECORDED).tolist() == [hour < last_hour for hour in held]
