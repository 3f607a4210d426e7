"""What thresholds keep, against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.clock import DAY_MS
from core.results.coverage import chances, coverage
from core.results.intervals import clustered_mean
from core.results.rows import week_of
from tests.factories import START_MS


def test_each_threshold_keeps_what_is_at_or_above_it() -> None:
    score, won = [0.1, 0.2, 0.2, 0.4, np.nan], [0, 1, 0, 1, 1]
    r, at = [-1.0, 2.0, -1.0, 2.0, 9.0], [START_MS + k * 7 * DAY_MS for k in range(5)]
    found = coverage(score, won, r, at, live=0.3, points=2)
    assert found["threshold"].tolist() == [0.1, 0.2, 0.3]
    assert found["n"].tolist() == [4, 3, 1]
    assert found["share"].tolist() == [1.0, 0.75, 0.25]
    assert found["win"].tolist() == pytest.approx([0.5, 2 / 3, 1.0])
    assert found["r"].tolist() == [0.5, 1.0, 2.0]
    assert found["enough"].tolist() == [0, 0, 0]


def test_intervals_are_those_of_the_kept_ones_clustered_by_week() -> None:
    rng = np.random.default_rng(3)
    score, r = rng.normal(size=400), rng.normal(size=400)
    at = START_MS + rng.integers(0, 100, 400) * DAY_MS
    found = coverage(score, r > 0, r, at)
    row = found.iloc[20]
    kept = score >= row["threshold"]
    mean = clustered_mean(r[kept], week_of(at[kept]))
    assert row["n"] == kept.sum()
    assert (row["r"], row["r_low"], row["r_high"]) == pytest.approx((mean.value, mean.low, mean.high))
    assert row["enough"] == 1
    assert found["n"].is_monotonic_decreasing


def test_a_threshold_nobody_reaches_is_left_out() -> None:
    assert coverage([0.1], [1], [1.0], [START_MS], live=5.0)["n"].tolist() == [1]
    assert coverage([np.nan], [1], [1.0], [START_MS]).empty


def test_chances_are_counted_in_bins_without_gaps() -> None:
    found = chances([0.40, 0.419, 0.46, np.nan], [True, False, True, True])
    assert found["low"].round(2).tolist() == [0.40, 0.42, 0.44, 0.46]
    assert found["n"].tolist() == [2, 0, 0, 1]
    assert found["passed"].tolist() == [1, 0, 0, 1]
    assert chances([np.nan], [False]).empty
