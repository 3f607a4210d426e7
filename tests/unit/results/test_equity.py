"""Equity curves: every result enters when it was known, with the right size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.results.equity import EQUITY_COLUMNS, account_curve, equal_stake_curve, equity_frame
from core.results.rows import result_rows
from tests.factories import START_MS, signal_rows, trade_rows

HOUR_MS = 3_600_000


def rows() -> pd.DataFrame:
    trades = [
        {"pnl_pct": 4.0, "pnl_usd": 4.0, "taken": 1, "closed_ms": START_MS + 8 * HOUR_MS},
        {"pnl_pct": -2.0, "pnl_usd": -2.0, "taken": 1, "closed_ms": START_MS + 5 * HOUR_MS},
        {"pnl_pct": -3.0, "pnl_usd": -3.0, "taken": 0, "closed_ms": START_MS + 9 * HOUR_MS},
        {"status": "OPEN", "pnl_usd": 50.0, "taken": 1},
        {"status": "CANCELLED", "opened_ms": 0, "pnl_usd": 0.0},
    ]
    signals = [{"position_notional": 1_000.0}, {"position_notional": 5_000.0}, {}, {}, {}]
    return result_rows(trade_rows(trades), signal_rows(signals))


def test_equal_stakes_sum_every_closed_trade_in_the_order_of_outcomes() -> None:
    curve = equal_stake_curve(rows())
    assert curve.balance.tolist() == [-2.0, 2.0, -1.0]
    assert np.all(np.diff(curve.ts_ms) > 0)


def test_the_account_holds_taken_trades_with_their_own_size() -> None:
    curve = account_curve(rows(), 10_000.0)
    assert curve.balance.tolist() == [9_900.0, 9_940.0]
    assert curve.end == 9_940.0


def test_a_drawdown_counts_from_the_start_when_the_first_trade_loses() -> None:
    curve = account_curve(rows(), 10_000.0)
    assert curve.drawdown.tolist() == [-100.0, -60.0]
    assert curve.max_drawdown_pct == pytest.approx(-1.0)


def test_no_trades_leave_the_start() -> None:
    empty = result_rows(trade_rows([]), signal_rows([]))
    curve = account_curve(empty, 10_000.0)
    assert (curve.end, curve.max_drawdown, curve.max_drawdown_pct) == (10_000.0, 0.0, 0.0)


def test_the_table_holds_both_curves_row_by_row() -> None:
    frame = equity_frame(rows(), 10_000.0)
    assert list(frame.columns) == list(EQUITY_COLUMNS)
    assert frame["signal_id"].tolist() == [2, 1, 3]
    assert frame["account_usd"].tolist() == [9_900.0, 9_940.0, 9_940.0]
    assert frame["account_pnl_usd"].tolist() == [-100.0, 40.0, 0.0]
    assert frame["equal_stake_usd"].tolist() == [-2.0, 2.0, -1.0]
    assert frame["known_utc"].iloc[0] == "2024-01-01T05:01Z"


def test_without_capital_the_accounts_columns_are_unknown() -> None:
    frame = equity_frame(rows(), None)
    assert frame["account_usd"].isna().all()
    assert frame["equal_stake_usd"].notna().all()


def test_every_column_of_the_file_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    section = page.split("## The equity file")[1].split("\n## ")[0]
    assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == list(EQUITY_COLUMNS)
