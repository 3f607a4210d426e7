"""Result rows: what may stand beside what."""

from __future__ import annotations

import pytest

from core.results.rows import closed_rows, newest_policy, plan_table, result_rows, taken_rows, week_of
from tests.factories import START_MS, signal_rows, trade_rows

HOUR_MS = 3_600_000


def test_a_trade_stands_beside_its_own_signal() -> None:
    signals = signal_rows([{"symbol": "A/USDT"}, {"symbol": "B/USDT"}])
    rows = result_rows(trade_rows([{"signal_id": 2}, {"signal_id": 1}]), signals)
    assert rows[["signal_id", "symbol"]].values.tolist() == [[1, "A/USDT"], [2, "B/USDT"]]


def test_signals_judged_in_sample_are_left_out() -> None:
    signals = signal_rows([{"in_sample": 1}, {}])
    rows = result_rows(trade_rows([{}, {}]), signals)
    assert rows["signal_id"].tolist() == [2]
    assert len(result_rows(trade_rows([{}, {}]), signals, keep_in_sample=True)) == 2


def test_two_exit_policies_are_refused() -> None:
    trades = trade_rows([{"exit_policy": "a@1"}, {"exit_policy": "b@2"}])
    with pytest.raises(ValueError, match="one exit_policy at a time, got a@1, b@2"):
        result_rows(trades, signal_rows([{}, {}]))


def test_two_plans_are_refused() -> None:
    signals = signal_rows([{"plan_hash": "p1"}, {"plan_hash": "p2"}])
    with pytest.raises(ValueError, match="one plan_hash at a time"):
        result_rows(trade_rows([{}, {}]), signals)


def test_generated_and_real_markets_are_not_mixed() -> None:
    signals = signal_rows([{"exchange": "bitget"}, {"exchange": "synthetic"}])
    with pytest.raises(ValueError, match="one exchange at a time"):
        result_rows(trade_rows([{}, {}]), signals)


def test_nothing_joined_with_nothing_is_an_empty_table_with_all_columns() -> None:
    rows = result_rows(trade_rows([]), signal_rows([]))
    assert rows.empty
    assert {"r_multiple", "symbol", "known_ms"} <= set(rows.columns)


def test_closed_trades_come_in_the_order_in_which_they_became_known() -> None:
    trades = trade_rows(
        [{"closed_ms": START_MS + 9 * HOUR_MS}, {"closed_ms": START_MS + 5 * HOUR_MS}, {"status": "OPEN"}]
    )
    rows = closed_rows(result_rows(trades, signal_rows([{}, {}, {}])))
    assert rows["signal_id"].tolist() == [2, 1]


def test_taken_trades_are_those_marked_so() -> None:
    rows = result_rows(trade_rows([{"taken": 1}, {}]), signal_rows([{}, {}]))
    assert taken_rows(rows)["signal_id"].tolist() == [1]


def test_a_week_begins_on_monday() -> None:
    sunday_night, monday = START_MS - 1, START_MS
    assert week_of([monday])[0] == week_of([sunday_night])[0] + 1
    assert week_of([monday])[0] == week_of([monday + 7 * 24 * HOUR_MS - 1])[0]


def test_the_plan_written_last_comes_first() -> None:
    signals = signal_rows(
        [{"plan_hash": "old", "decided_ms": START_MS + 99}, {"plan_hash": "new", "decided_ms": START_MS}]
    )
    plans = plan_table(signals)
    assert plans.index.tolist() == ["new", "old"]
    assert plans.loc["old", "last_ms"] == START_MS + 99


def test_the_newest_policy_is_that_of_the_newest_signal() -> None:
    trades = trade_rows([{"exit_policy": "z@1"}, {"exit_policy": "a@2"}])
    assert newest_policy(trades, ["a@2", "z@1"]) == "a@2"
    assert newest_policy(trade_rows([]), ["a@2"]) == ""


def test_of_several_policies_of_one_signal_the_one_recorded_last_is_the_newest() -> None:
    trades = trade_rows([{"signal_id": 1, "exit_policy": name} for name in ("z@1", "a@2", "m@3")])
    assert newest_policy(trades, ["z@1", "m@3", "a@2"]) == "a@2"
