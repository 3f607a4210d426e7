"""Drift: noticed soon, seldom by mistake, and the same whenever it is asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS
from core.training.drift import Alarm, alarms, cusum, feature_shift, stands
from tests.drifting import FOREVER_MS, drift_rates, drifting_rows

SEEDS = 20


@pytest.mark.parametrize(
    "world",
    [
        {"per_day": 3.0},
        {"per_day": 3.0, "alike_day": 0.1},
        {"per_day": 8.0},
        {"per_day": 8.0, "alike_day": 0.2},
        {"per_day": 8.0, "alike_week": 0.02},
        {"per_day": 20.0},
    ],
)
def test_fifteen_points_less_are_noticed_within_200_outcomes_and_honesty_is_hardly_ever_accused(
    world: dict[str, float],
):
    rates = drift_rates(SEEDS, **world)
    assert rates.outcomes_until_noticed <= 200.0
    assert rates.false_alarms <= 1.0


def test_twenty_outcomes_a_day_that_are_alike_do_not_raise_more_alarms():
    assert drift_rates(SEEDS, per_day=20.0, alike_day=0.2).false_alarms <= 1.0


def test_the_cusum_by_hand():
    # one outcome a day, each one standard deviation below what was said
    found = cusum(-np.ones(5), -0.5 * np.ones(5), np.arange(5), "p", allowance=0.2, limit=2.0).alarms
    assert list(found) == [Alarm(3 * DAY_MS, "p", pytest.approx(2.4, abs=0.01), 3, -0.5)]


def test_a_day_of_outcomes_all_alike_counts_once():
    rng = np.random.default_rng(1)
    fates = rng.normal(size=600)
    alike, day = np.repeat(fates, 10), np.repeat(np.arange(600), 10)
    single = len(cusum(fates, fates, np.arange(600), "p").alarms)
    assert len(cusum(alike, alike, day, "p").alarms) <= single + 1


def test_what_is_better_than_said_is_no_alarm():
    assert alarms(drifting_rows(1, 2_500, per_day=8.0, change_at=0, change=0.2), FOREVER_MS) == []


def test_the_state_of_a_moment_does_not_change_with_what_came_later():
    rows = drifting_rows(3, 2_500, per_day=8.0, change_at=900, alike_week=0.02)
    everything = alarms(rows, FOREVER_MS)
    assert everything
    for now_ms in (everything[0].at_ms - 1, everything[0].at_ms, everything[-1].at_ms + DAY_MS // 2):
        then = [one for one in everything if one.at_ms <= now_ms]
        assert alarms(rows, now_ms) == then
        assert alarms(rows[rows["known_ms"] <= now_ms].sample(frac=1.0, random_state=1), now_ms) == then


def test_an_alarm_stands_until_the_next_tuning():
    found = [Alarm(100, "p", 20.0, 50, -0.1)]
    assert not stands(found, 0, 99)
    assert stands(found, 0, 100)
    assert not stands(found, 100, 200)
    assert not stands([], 0, 100)


def test_results_that_fall_short_of_their_expected_value_raise_an_alarm_though_as_many_are_won():
    rows = drifting_rows(4, 2_500, per_day=8.0)
    rows.loc[1_200:, "net_r"] -= 0.5
    assert {one.series for one in alarms(rows, FOREVER_MS)} == {"ev"}


def test_rows_with_a_number_missing_are_left_out_and_no_rows_are_no_alarm():
    rows = drifting_rows(5, 1_500, per_day=8.0, change_at=500)
    holes = rows.copy()
    holes.loc[len(rows)] = [DAY_MS, 1.0, 1.0, np.nan, 0.0]
    assert alarms(holes, FOREVER_MS) == alarms(rows, FOREVER_MS) != []
    assert alarms(rows.iloc[:0], FOREVER_MS) == []


def test_the_shift_of_a_feature_is_nothing_for_the_same_and_large_for_another():
    rng = np.random.default_rng(6)
    reference = np.column_stack([rng.normal(size=5_000), rng.normal(size=5_000), np.full(5_000, np.nan)])
    current = np.column_stack([rng.normal(size=2_000), rng.normal(1.0, 1.0, 2_000), np.full(2_000, np.nan)])
    current[:800, 0] = np.nan
    shift = feature_shift(reference, current)
    assert shift[0] > 0.25 and shift[1] > 0.25 and shift[2] == pytest.approx(0.0, abs=1e-3)
    assert feature_shift(reference, reference).tolist() == [0.0, 0.0, 0.0]
    assert feature_shift(reference[:, :1], rng.normal(size=(2_000, 1)))[0] < 0.05
    assert np.isnan(feature_shift(reference, current[:0])).all()


def test_inputs_are_left_as_they_are():
    rows = drifting_rows(7, 800, per_day=8.0)
    before = rows.copy()
    alarms(rows, FOREVER_MS)
    pd.testing.assert_frame_equal(rows, before)
