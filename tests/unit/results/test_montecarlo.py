"""The block bootstrap: whole weeks, the same seed, falls exact to the trade."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS, HOUR_MS
from core.results.montecarlo import FAN, MIN_BLOCKS, fan, fan_table
from core.results.rows import result_rows
from tests.factories import START_MS, signal_rows, trade_rows

WEEK_MS = 7 * DAY_MS


def rows(weeks: list[list[float]]) -> pd.DataFrame:
    """Return trades by the week in which their outcome became known; START_MS is a Monday."""
    placed = [
        (START_MS + k * WEEK_MS + (place + 1) * HOUR_MS, r)
        for k, week in enumerate(weeks)
        for place, r in enumerate(week)
    ]
    trades = [{"opened_ms": at - HOUR_MS, "closed_ms": at, "r_multiple": r, "pnl_pct": r} for at, r in placed]
    return result_rows(trade_rows(trades), signal_rows([{"decided_ms": at - 2 * HOUR_MS} for at, _ in placed]))


def brute_fall(r: list[float]) -> float:
    path = np.concatenate([[0.0], np.cumsum(r)])
    return float((np.maximum.accumulate(path) - path).max())


def test_the_realised_curve_is_the_sum_of_r_week_by_week_with_its_exact_fall() -> None:
    rng = np.random.default_rng(4)
    weeks = [rng.normal(0.1, 1.0, 3).tolist() for _ in range(14)]
    weeks[5] = []
    found = fan(rows(weeks), draws=10)
    assert found is not None
    assert (found.n, found.weeks) == (39, 14)
    assert found.realised.tolist() == pytest.approx(np.cumsum([sum(week) for week in weeks]).tolist())
    assert found.realised_fall == pytest.approx(brute_fall([r for week in weeks for r in week]))
    assert found.end_ms[0] == START_MS + WEEK_MS


def test_drawn_falls_are_those_of_the_trades_not_of_week_ends() -> None:
    # Each week goes down 2 and up 2: at week ends nothing ever happens.
    found = fan(rows([[-1.0, -1.0, 2.0]] * MIN_BLOCKS), draws=20)
    assert found is not None
    assert set(found.final.tolist()) == {0.0}
    assert found.fall.tolist() == pytest.approx([2.0] * 20)


def test_whole_weeks_are_drawn() -> None:
    # A week is +3 or -3 as a whole, so that every drawn sum is a multiple of 6 away from the extreme.
    weeks = [[1.0, 1.0, 1.0] if k % 2 else [-1.0, -1.0, -1.0] for k in range(12)]
    found = fan(rows(weeks), draws=200)
    assert found is not None
    assert {round(float(end) + 36) % 6 for end in found.final} == {0}
    assert found.final.std() == pytest.approx(3 * np.sqrt(12), rel=0.2)


def test_the_same_seed_gives_the_same_figures_and_quantiles_are_in_order() -> None:
    rng = np.random.default_rng(5)
    made = rows([rng.normal(0.0, 1.0, 4).tolist() for _ in range(20)])
    one, again, other = fan(made, draws=300), fan(made, draws=300), fan(made, draws=300, seed=2)
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.final.tolist() == again.final.tolist()
    assert one.final.tolist() != other.final.tolist()
    assert np.all(np.diff(one.quantiles, axis=0) >= 0)
    assert one.loss_share == float(np.mean(one.final < 0))
    table = fan_table(one)
    assert list(table) == list(FAN)
    assert len(table) == 20


def test_few_trades_or_few_weeks_give_no_band() -> None:
    assert fan(rows([[1.0, -1.0]] * 14)) is None
    assert fan(rows([[0.1] * 10] * (MIN_BLOCKS - 1))) is None
    assert fan(rows([])) is None
