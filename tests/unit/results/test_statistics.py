"""Statistics of trades: counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.results.rows import result_rows
from core.results.statistics import exposure, summarize
from tests.factories import START_MS, signal_rows, trade_rows

HOUR_MS = 3_600_000
WIN = {"gross_pct": 4.08, "pnl_pct": 4.0, "pnl_usd": 4.0, "r_multiple": 2.0, "exit_reason": "TP"}
LOSS = {"gross_pct": -1.92, "pnl_pct": -2.0, "pnl_usd": -2.0, "r_multiple": -1.0, "exit_reason": "SL"}


def rows_of(*trades: dict) -> pd.DataFrame:
    return result_rows(trade_rows(list(trades)), signal_rows([{} for _ in trades]))


def test_statuses_are_counted_and_every_status_is_present() -> None:
    rows = rows_of(WIN, LOSS, {"status": "EXPIRED", "opened_ms": 0}, {"status": "PENDING", "opened_ms": 0})
    assert summarize(rows).counts == {"PENDING": 1, "OPEN": 0, "CLOSED": 2, "EXPIRED": 1, "CANCELLED": 0}


def test_expectancy_and_win_rate_are_over_closed_trades_alone() -> None:
    unfilled = {"status": "CANCELLED", "exit_reason": "MISSED", "opened_ms": 0, "r_multiple": 0.0, "pnl_pct": 0.0}
    running = {**WIN, "status": "OPEN", "r_multiple": 9.0}
    found = summarize(rows_of(WIN, LOSS, LOSS, unfilled, running))
    assert found.expectancy_r.value == pytest.approx(0.0)
    assert found.win_rate.value == pytest.approx(1 / 3)
    assert found.win_rate.n == found.n_closed == 3


def test_a_trade_that_costs_ate_up_is_lost() -> None:
    flat = {"gross_pct": 0.05, "pnl_pct": -0.03, "pnl_usd": -0.03, "r_multiple": -0.015}
    assert summarize(rows_of(flat)).win_rate.value == 0.0


def test_wins_losses_profit_factor_and_break_even_belong_together() -> None:
    found = summarize(rows_of(WIN, LOSS, LOSS, LOSS))
    assert found.win_r.value == 2.0
    assert found.loss_r.value == -1.0
    assert found.profit_factor.value == pytest.approx(4.0 / 6.0)
    assert found.break_even == pytest.approx(1 / 3)


def test_fill_rate_leaves_out_what_is_still_waiting() -> None:
    waiting = {"status": "PENDING", "opened_ms": 0}
    found = summarize(rows_of(WIN, LOSS, {"status": "EXPIRED", "opened_ms": 0}, waiting))
    assert found.fill_rate.value == pytest.approx(2 / 3)
    assert found.fill_rate.n == 3


def test_costs_are_in_planned_risk_and_as_a_share_of_gross_profit() -> None:
    found = summarize(rows_of(WIN, LOSS))
    assert found.costs_r.value == pytest.approx(0.08 / 2.0)  # 0.08 % on a planned risk of 2 %
    assert found.cost_share == pytest.approx(0.16 / 4.08)


def test_ambiguous_trades_are_a_share_with_its_count() -> None:
    found = summarize(rows_of({**WIN, "ambiguous": 1}, LOSS, LOSS, LOSS)).ambiguous
    assert (found.value, found.n) == (0.25, 4)


def test_the_deepest_fall_is_measured_in_the_order_of_outcomes() -> None:
    found = summarize(rows_of(WIN, LOSS, LOSS, WIN))
    assert found.max_drawdown_usd == pytest.approx(-4.0)
    assert found.total_usd == pytest.approx(4.0)


def test_durations_are_medians_over_closed_trades() -> None:
    signals = signal_rows([{"decided_ms": START_MS}])
    trade = {**WIN, "opened_ms": START_MS + HOUR_MS, "closed_ms": START_MS + 3 * HOUR_MS}
    found = summarize(result_rows(trade_rows([trade]), signals)).durations
    assert found.wait_ms == HOUR_MS
    assert found.hold_ms == 2 * HOUR_MS + 60_000


def test_exposure_is_the_union_of_positions_over_the_whole_time() -> None:
    share, mean_open = exposure(np.array([0, 2, 20]), np.array([10, 4, 40]))
    assert share == pytest.approx(30 / 40)
    assert mean_open == pytest.approx(32 / 40)


def test_exposure_does_not_depend_on_order() -> None:
    start, end = np.array([20, 0, 2]), np.array([40, 10, 4])
    assert exposure(start, end) == exposure(np.sort(start), np.array([10, 4, 40]))


def test_an_open_trade_is_in_the_market_as_far_as_it_was_played() -> None:
    trade = {
        **WIN,
        "status": "OPEN",
        "opened_ms": START_MS,
        "closed_ms": 0,
        "known_ms": 0,
        "next_ms": START_MS + HOUR_MS,
    }
    found = summarize(rows_of(trade))
    assert (found.exposure, found.mean_open) == (1.0, 1.0)


def test_nothing_to_count_is_all_unknown() -> None:
    found = summarize(rows_of())
    assert found.n_closed == 0
    assert math.isnan(found.win_rate.value)
    assert math.isnan(found.break_even)
    assert found.max_drawdown_usd == 0.0


def test_the_order_of_rows_changes_nothing() -> None:
    rows = rows_of(WIN, LOSS, LOSS, WIN, {"status": "EXPIRED", "opened_ms": 0})
    assert summarize(rows) == summarize(rows.iloc[::-1].reset_index(drop=True))
