"""Tables and words of results."""

from __future__ import annotations

import pandas as pd
import pytest

from core.errors import UsageError
from core.results.equity import account_curve
from core.results.metrics import NOT_ENOUGH, account_metrics, conclusion, counted, metrics
from core.results.rows import result_rows, taken_rows
from core.results.statistics import summarize
from core.results.tables import BREAKDOWNS, breakdown, exit_reason_table, trades_table
from tests.factories import START_MS, signal_rows, trade_rows

WEEK_MS = 7 * 24 * 3_600_000
WIN = {"pnl_pct": 4.0, "pnl_usd": 4.0, "r_multiple": 2.0, "exit_reason": "TP"}


def many(n: int, wins_every: int, **signal: object) -> pd.DataFrame:
    trades = [{**(WIN if i % wins_every == 0 else {}), "taken": int(i % 5 == 0)} for i in range(n)]
    signals = [{"decided_ms": START_MS + i * WEEK_MS // 6, **signal} for i in range(n)]
    return result_rows(trade_rows(trades), signal_rows(signals))


def test_exit_reasons_cover_all_that_is_over_and_shares_add_up() -> None:
    unfilled = {"status": "CANCELLED", "exit_reason": "MISSED", "opened_ms": 0}
    rows = result_rows(trade_rows([WIN, {}, {}, unfilled, {"status": "OPEN"}]), signal_rows([{} for _ in range(5)]))
    table = exit_reason_table(rows)
    assert table[["exit_reason", "n"]].values.tolist() == [["SL", 2], ["MISSED", 1], ["TP", 1]]
    assert table["share"].sum() == pytest.approx(1.0)
    assert pd.isna(table.loc[1, "win_rate"])


@pytest.mark.parametrize("by", list(BREAKDOWNS))
def test_every_split_has_all_closed_trades_in_it(by: str) -> None:
    rows = many(60, 3)
    assert breakdown(rows, by)["n"].sum() == 60


def test_a_group_with_few_trades_says_so() -> None:
    rows = pd.concat([many(60, 3), many(5, 2, symbol="TON/USDT").assign(signal_id=range(100, 105))])
    table = breakdown(rows, "symbol").set_index("group")
    assert table.loc["BTC/USDT:USDT", "enough"] == 1
    assert table.loc["TON/USDT", "enough"] == 0


def test_an_unknown_split_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'timeframe'"):
        breakdown(many(3, 2), "timefram")


def test_the_trades_table_is_newest_first_with_missing_times_where_nothing_happened() -> None:
    pending = {"status": "PENDING", "opened_ms": 0, "closed_ms": 0, "known_ms": 0}
    table = trades_table(result_rows(trade_rows([{}, pending]), signal_rows([{}, {}])))
    assert table["signal_id"].tolist() == [2, 1]
    assert pd.isna(table.loc[0, "opened"])
    assert table.loc[1, "hold_hours"] == pytest.approx(1 + 1 / 60)


def test_only_a_closed_trade_has_a_result_in_the_trades_table() -> None:
    unfilled = {"status": "PENDING", "opened_ms": 0, "closed_ms": 0, "known_ms": 0}
    rows = result_rows(trade_rows([{}, {"status": "OPEN"}, unfilled]), signal_rows([{}, {}, {}]))
    table = trades_table(rows).set_index("signal_id")
    for column in ("r_multiple", "pnl_pct", "pnl_usd", "gross_pct", "costs_pct"):
        assert table[column].notna().to_dict() == {3: False, 2: False, 1: True}
    assert table["mfe_pct"].notna().to_dict() == {3: False, 2: True, 1: True}


def test_a_rate_below_enough_trades_is_words_and_not_a_figure() -> None:
    shown = {metric.label: metric for metric in metrics(summarize(many(29, 3)))}
    for label in ("Win rate", "Expectancy", "Profit factor", "Break-even rate", "Costs, share of gross profit"):
        assert shown[label].value == NOT_ENOUGH
        assert not shown[label].enough
    assert shown["Win rate"].detail == "29 closed, 30 needed"


def test_a_rate_with_enough_trades_carries_interval_and_count() -> None:
    shown = {metric.label: metric for metric in metrics(summarize(many(90, 3)))}
    assert shown["Win rate"].value == "33.3 %"
    assert shown["Win rate"].detail.startswith("95 %: ")
    assert shown["Win rate"].detail.endswith("n = 90")


def test_trades_of_a_single_week_are_not_enough_however_many() -> None:
    trades = [WIN if i % 3 == 0 else {} for i in range(60)]
    rows = result_rows(trade_rows(trades), signal_rows([{"decided_ms": START_MS + i} for i in range(60)]))
    shown = {metric.label: metric for metric in metrics(summarize(rows))}
    assert shown["Expectancy"].value == NOT_ENOUGH
    assert shown["Expectancy"].detail == "60 closed in 1 week, 2 weeks needed"


def test_all_and_taken_can_stand_side_by_side() -> None:
    rows = many(60, 3)
    one, other = metrics(summarize(rows)), metrics(summarize(taken_rows(rows)))
    assert [metric.label for metric in one] == [metric.label for metric in other]
    assert all(metric.explanation for metric in one)


@pytest.mark.parametrize(
    ("n", "wins_every", "said"),
    [(20, 2, "Not enough data"), (90, 1, "earned"), (90, 3, "No evidence of an edge"), (200, 20, "lost")],
)
def test_the_conclusion_says_only_what_the_interval_allows(n: int, wins_every: int, said: str) -> None:
    assert said in conclusion(summarize(many(n, wins_every)))


def test_what_was_left_out_is_said() -> None:
    assert "3 judged by a model that had seen their outcome" in counted(summarize(many(40, 3)), 3)
    assert "left out" not in counted(summarize(many(40, 3)), 0)


def test_the_account_is_told_with_its_deepest_fall() -> None:
    shown = account_metrics(account_curve(many(40, 3), 10_000.0))
    assert [metric.label for metric in shown] == ["Account", "Deepest fall, account"]
    assert "from 10,000.00 USD" in shown[0].detail
