"""Intervals: checked against scipy, brute force and coverage in simulated worlds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from core.results.intervals import (
    MIN_CLOSED,
    Estimate,
    clustered_mean,
    clustered_ratio,
    clustered_share,
    student_t_quantile,
    wilson_interval,
)


@pytest.mark.parametrize("df", [1, 2, 3, 5, 10, 30, 200])
def test_the_t_quantile_is_within_half_a_percent_of_the_exact_one(df: int) -> None:
    assert student_t_quantile(0.975, df) == pytest.approx(student.ppf(0.975, df), rel=5e-3)


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 and 15 of 148, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_wilson_of_nothing_is_unknown() -> None:
    assert all(math.isnan(end) for end in wilson_interval(0, 0))


def test_wilson_stays_inside_zero_and_one() -> None:
    assert wilson_interval(0, 10)[0] == pytest.approx(0.0, abs=1e-15)
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0, abs=1e-15)


def test_the_clustered_mean_equals_the_formula_written_out() -> None:
    values, weeks = np.array([1.0, 2.0, -4.0, 2.5, 3.0]), np.array([7, 7, 8, 9, 9])
    mean = values.mean()
    sums = [sum(values[weeks == week] - mean) for week in (7, 8, 9)]
    half = student.ppf(0.975, 2) * math.sqrt(3 / 2 * sum(x * x for x in sums) / 25)
    found = clustered_mean(values, weeks)
    assert (found.value, found.n, found.weeks) == (pytest.approx(mean), 5, 3)
    assert (found.low, found.high) == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_weeks_that_look_alike_make_no_interval_narrower_than_independent_trades_would() -> None:
    values, weeks = np.tile([2.0, -1.0, -1.0], 30), np.repeat(np.arange(30), 3)
    found = clustered_mean(values, weeks)
    alone = student.ppf(0.975, 29) * values.std(ddof=1) / math.sqrt(len(values))
    assert found.high - found.value == pytest.approx(alone)


def test_one_week_has_no_interval() -> None:
    for estimate in (clustered_mean, clustered_share):
        found = estimate(np.ones(100), np.zeros(100, dtype=int))
        assert (found.value, found.n, found.weeks) == (1.0, 100, 1)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert not found.enough


def test_no_trades_give_an_unknown_and_not_a_zero() -> None:
    for found in (clustered_mean([], []), clustered_share([], []), clustered_ratio([], [], [])):
        assert math.isnan(found.value)
        assert found.n == 0
        assert not found.enough


def test_enough_begins_at_the_documented_number_of_trades() -> None:
    assert not Estimate(0.1, 0.0, 0.2, MIN_CLOSED - 1, 10).enough
    assert Estimate(0.1, 0.0, 0.2, MIN_CLOSED, 10).enough


def test_a_share_of_independent_trades_has_wilsons_own_interval() -> None:
    hits = np.tile([True, False], 50)
    found = clustered_share(hits, np.repeat(np.arange(50), 2))
    assert (found.low, found.high) == pytest.approx(wilson_interval(50, 100))


def test_a_share_whose_weeks_move_together_counts_weeks_not_trades() -> None:
    weeks = np.repeat(np.arange(20), 10)
    hits = weeks % 2 == 0  # all trades of a week win, or all lose
    found = clustered_share(hits, weeks)
    alone = wilson_interval(100, 200)
    assert found.high - found.low > 2.5 * (alone[1] - alone[0])


def test_intervals_cover_the_truth_when_trades_of_a_week_are_correlated() -> None:
    rng = np.random.default_rng(3)
    weeks = np.repeat(np.arange(26), 12)
    inside = naive = 0
    for _ in range(300):
        values = rng.normal(0.0, 1.0, 26)[weeks] + rng.normal(0.0, 1.0, len(weeks))
        found = clustered_mean(values, weeks)
        inside += found.low <= 0.0 <= found.high
        naive += abs(values.mean()) <= 1.96 * values.std() / math.sqrt(len(values))
    assert inside / 300 >= 0.92
    assert naive / 300 < 0.75  # what an interval that ignores weeks would have claimed as 95 %


def test_the_profit_factor_is_gains_over_losses() -> None:
    found = clustered_ratio([3.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [1, 1, 2, 2])
    assert found.value == 2.0
    assert found.low < 2.0 < found.high


def test_the_profit_factor_without_a_loss_is_unbounded_and_has_no_interval() -> None:
    found = clustered_ratio([1.0, 2.0], [0.0, 0.0], [1, 2])
    assert found.value == math.inf
    assert math.isnan(found.high)


def test_swapping_gains_and_losses_inverts_the_profit_factor_and_its_interval() -> None:
    rng = np.random.default_rng(5)
    pnl, weeks = rng.normal(0.2, 1.0, 200), np.repeat(np.arange(20), 10)
    one = clustered_ratio(np.maximum(pnl, 0), np.maximum(-pnl, 0), weeks)
    other = clustered_ratio(np.maximum(-pnl, 0), np.maximum(pnl, 0), weeks)
    assert one.low == pytest.approx(1.0 / other.high)
    assert one.value == pytest.approx(1.0 / other.value)


def test_inputs_are_left_as_they_were() -> None:
    values, weeks = np.array([1.0, -1.0, 2.0]), np.array([1, 2, 3])
    for array in (values, weeks):
        array.setflags(write=False)
    assert clustered_mean(values, weeks) == clustered_mean(values, weeks)
    assert values.tolist() == [1.0, -1.0, 2.0]
