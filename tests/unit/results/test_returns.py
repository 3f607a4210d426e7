"""Results on a calendar: each on the day its outcome became known, on the reader's clock."""

from __future__ import annotations

import pandas as pd
import pytest

from core.clock import DAY_MS, HOUR_MS, parse_time
from core.results.returns import daily, hourly, monthly
from core.results.rows import result_rows
from tests.factories import signal_rows, trade_rows

MONDAY = parse_time("2024-01-01")


def rows(*known: tuple[str, float], notional: float = 1_000.0) -> pd.DataFrame:
    """Return closed trades whose outcome became known a minute after these moments, with their R; 1 R is 2 %."""
    trades = [
        {"opened_ms": parse_time(at) - HOUR_MS, "closed_ms": parse_time(at), "r_multiple": r, "pnl_pct": 2.0 * r}
        for at, r in known
    ]
    signals = [{"decided_ms": parse_time(at) - 2 * HOUR_MS, "position_notional": notional} for at, _ in known]
    return result_rows(trade_rows(trades), signal_rows(signals))


def test_months_hold_sums_and_counts() -> None:
    found = monthly(rows(("2024-01-31T10:00", 1.0), ("2024-01-02T10:00", -0.5), ("2024-03-01T10:00", -1.0)))
    assert found[["year", "month", "n", "won"]].to_numpy().tolist() == [[2024, 1, 2, 1], [2024, 3, 1, 0]]
    assert found["r"].tolist() == [0.5, -1.0]
    assert found["usd"].tolist() == pytest.approx([10.0, -20.0])


def test_the_day_is_that_of_the_readers_calendar() -> None:
    late = rows(("2024-01-31T23:30", 1.0))
    assert daily(late)["day"].tolist() == ["2024-01-31"]
    assert daily(late, "Europe/Zurich")["day"].tolist() == ["2024-02-01"]
    assert monthly(late, "Europe/Zurich")["month"].tolist() == [2]


def test_hours_of_the_week_are_those_of_the_decision_and_few_trades_are_not_enough() -> None:
    found = hourly(rows(("2024-01-01T11:00", 1.0), ("2024-01-08T11:00", 0.0), ("2024-01-02T02:00", -1.0)), step=4)
    assert found[["weekday", "hour", "n", "weeks"]].to_numpy().tolist() == [[0, 8, 2, 2], [1, 0, 1, 1]]
    assert found["r"].tolist() == [0.5, -1.0]
    assert found["enough"].tolist() == [0, 0]


def test_an_hour_with_enough_trades_carries_its_interval() -> None:
    known = [(pd.Timestamp(MONDAY + 7 * k * DAY_MS + 11 * HOUR_MS, unit="ms").isoformat(), k % 2) for k in range(30)]
    (row,) = hourly(rows(*known)).to_dict("records")
    assert (row["weekday"], row["hour"], row["n"], row["enough"]) == (0, 9, 30, 1)
    assert row["low"] < 0.5 < row["high"]


def test_open_trades_are_on_no_calendar() -> None:
    trades = trade_rows([{"status": "OPEN", "closed_ms": 0}])
    only = result_rows(trades, signal_rows([{}]))
    assert monthly(only).empty
    assert daily(only).empty
    assert hourly(only).empty
