"""Questions of who keeps rows and reads on: what is newest, what is new, and marks that change with the rest."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.results.rows import newest_policy
from core.store.reader import Reader
from core.store.writer import Writer
from tests.factories import EXIT_POLICY, signal_rows, trade_rows

HERE, THERE = "synthetic", "bitget"
OTHER = "time_stop@12345678"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Five signals here and one elsewhere; the first four played, the fourth under two policies, one of them taken."""
    signals = signal_rows(
        [
            *({"key": f"here-{number}", "plan_hash": "old" if number < 4 else "new"} for number in range(5)),
            {"key": "there", "exchange": THERE, "plan_hash": "theirs"},
        ]
    )
    with Writer(tmp_path / "ohlcv.db") as writer:
        writer.put_exit_policy(EXIT_POLICY, "tp1_be_trail", "{}")
        writer.put_exit_policy(OTHER, "time_stop", "{}")
        ids = writer.put_signals(signals)["id"].tolist()
        played = [{"signal_id": number, "taken": int(number == ids[1])} for number in ids[:4]]
        writer.put_trades(trade_rows([*played, {"signal_id": ids[3], "exit_policy": OTHER, "blocked_by": "MAX_OPEN"}]))
    return tmp_path / "ohlcv.db"


def test_the_newest_plan_is_that_of_the_signal_written_last(path: Path) -> None:
    reader = Reader(path)
    assert [reader.newest_plan(name) for name in (HERE, THERE, "nowhere")] == ["new", "theirs", ""]


def test_policies_come_with_that_of_the_newest_trade_first(path: Path) -> None:
    reader = Reader(path)
    trades = reader.trades(exchange=HERE)
    newest = newest_policy(trades, reader.exit_policies())
    assert reader.policies_on(HERE) == [newest, *sorted(set(trades["exit_policy"]) - {newest})]
    assert reader.policies_on(THERE) == []


def test_a_policy_without_a_trade_on_the_exchange_is_left_out(path: Path) -> None:
    with Writer(path) as writer:
        writer.put_exit_policy("unused@00000000", "unused", "{}")
        writer.put_trades(trade_rows([{"signal_id": 6, "exit_policy": "elsewhere@00000001", "status": "EXPIRED"}]))
    assert set(Reader(path).policies_on(HERE)) == {EXIT_POLICY, OTHER}
    assert Reader(path).policies_on(THERE) == ["elsewhere@00000001"]


def test_new_signals_are_those_written_after_one_and_not_after_another(path: Path) -> None:
    found = Reader(path).new_signals(HERE, 2, 4, ["id", "plan_hash"])
    assert found["id"].tolist() == [3, 4]
    assert list(found) == ["id", "plan_hash"]
    assert Reader(path).new_signals(THERE, 0, 99, ["id"])["id"].tolist() == [6]


def test_changed_trades_are_new_ones_and_those_asked_for(path: Path) -> None:
    reader = Reader(path)
    assert reader.changed_trades(EXIT_POLICY, 3, [1, 2])["signal_id"].tolist() == [1, 2, 4]
    assert reader.changed_trades(OTHER, 99, [])["signal_id"].tolist() == []
    assert reader.policy_trades(OTHER)["signal_id"].tolist() == [4]
    pd.testing.assert_frame_equal(reader.policy_trades(EXIT_POLICY), reader.trades(exit_policy=EXIT_POLICY))


def test_taken_trades_are_those_of_the_exchange_and_policy(path: Path) -> None:
    reader = Reader(path)
    assert reader.taken_trades(HERE, EXIT_POLICY)["signal_id"].tolist() == [2]
    assert reader.taken_trades(HERE, OTHER).empty
    assert reader.taken_trades(THERE, EXIT_POLICY).empty


def test_marks_up_to_a_signal_stay_while_newer_ones_come(path: Path) -> None:
    reader = Reader(path)
    signals, trades = reader.signals_mark(HERE), reader.trades_mark(EXIT_POLICY)
    with Writer(path) as writer:
        number = int(writer.put_signals(signal_rows([{"key": "later"}]))["id"].iloc[0])
        writer.put_trades(trade_rows([{"signal_id": number}]))
    assert reader.signals_mark(HERE, signals[0]) == signals != reader.signals_mark(HERE)
    assert reader.trades_mark(EXIT_POLICY, trades[0]) == trades != reader.trades_mark(EXIT_POLICY)


def test_a_mark_changes_when_a_trade_is_taken_or_let_go(path: Path) -> None:
    reader = Reader(path)
    before = reader.trades_mark(EXIT_POLICY)
    with Writer(path) as writer:
        one = pd.DataFrame({"signal_id": [1], "exit_policy": [EXIT_POLICY], "taken": [0], "blocked_by": ["COOLDOWN"]})
        assert writer.set_taken(one) == 1
    assert reader.trades_mark(EXIT_POLICY) != before


def test_the_mark_of_a_ledger_changes_when_a_trade_ends(path: Path) -> None:
    reader = Reader(path)
    before = reader.ledger_mark(HERE, EXIT_POLICY)
    with Writer(path) as writer:
        writer.put_trades(trade_rows([{"signal_id": 5, "status": "OPEN", "closed_ms": 0, "next_ms": 1}]))
    assert reader.ledger_mark(HERE, EXIT_POLICY) == before
    with Writer(path) as writer:
        writer.put_trades(trade_rows([{"signal_id": 5}]))
    assert reader.ledger_mark(HERE, EXIT_POLICY) != before
