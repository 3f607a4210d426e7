"""Rolling rates: the estimates a reader of that moment would have had."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.clock import DAY_MS
from core.results.intervals import clustered_mean, clustered_share
from core.results.rolling import rolling
from core.results.rows import closed_rows, result_rows, week_of
from tests.factories import START_MS, signal_rows, trade_rows


def rows(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    at = [START_MS + k * DAY_MS for k in range(n)]
    r = rng.choice([-1.0, 1.5], n).tolist()
    trades = [{"opened_ms": ms + 1, "r_multiple": value, "pnl_pct": value} for ms, value in zip(at, r, strict=True)]
    return result_rows(trade_rows(trades), signal_rows([{"decided_ms": ms} for ms in at]))


def test_each_point_is_the_estimate_of_its_window() -> None:
    made = rows(60)
    found, done = rolling(made, 50), closed_rows(made)
    assert len(found) == 11
    last = done.tail(50)
    mean = clustered_mean(last["r_multiple"], week_of(last["decided_ms"]))
    share = clustered_share(last["pnl_pct"] > 0, week_of(last["decided_ms"]))
    row = found.iloc[-1]
    assert (row["r"], row["r_low"], row["r_high"]) == (mean.value, mean.low, mean.high)
    assert (row["win"], row["win_low"], row["win_high"]) == (share.value, share.low, share.high)
    assert row["known_ms"] == done["known_ms"].iloc[-1]
    assert row["n"] == 50


def test_what_comes_later_changes_no_earlier_point() -> None:
    made = rows(60)
    known = made["known_ms"].sort_values()
    early = made[made["known_ms"] <= known.iloc[54]]
    pd.testing.assert_frame_equal(rolling(made, 50).head(6), rolling(early, 50))


def test_a_window_that_is_not_full_gives_no_point() -> None:
    assert rolling(rows(49), 50).empty
    assert len(rolling(rows(50), 50)) == 1


def test_points_are_bounded_and_the_newest_is_there() -> None:
    made = rows(120)
    found = rolling(made, 20, most=7)
    assert len(found) == 7
    assert found["known_ms"].iloc[-1] == made["known_ms"].max()
