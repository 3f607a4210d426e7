"""Signals stay, trades move forward only, events are written once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import StoreError
from core.schema import DECISIONS, SIGNALS, TRADE_EVENTS, TRADES, empty_frame
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import START_MS, decisions, events, signals, trades


def assert_frames_equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


def test_signals_come_back_as_they_went_in(writer: Writer, reader: Reader) -> None:
    frame = signals({"ml_p": 0.41}, {"tp2": np.nan, "direction": "short", "rationale": "quote ' and \u2713"})
    placed = writer.put_signals(frame)
    assert placed["id"].tolist() == [1, 2]
    assert placed["new"].tolist() == [True, True]
    read = reader.signals()
    assert list(read.columns) == list(SIGNALS)
    assert_frames_equal(read.drop(columns="id"), frame)
    assert_frames_equal(read, pd.concat([pd.DataFrame({"id": np.array([1, 2])}), frame], axis=1))


def test_a_known_key_keeps_its_row_and_its_id(writer: Writer, reader: Reader) -> None:
    first = signals({"key": "a"}, {"key": "b"})
    writer.put_signals(first)
    again = signals({"key": "c"}, {"key": "b", "verdict": "PASS", "entry": 1.0}, {"key": "c", "entry": 2.0})
    placed = writer.put_signals(again)
    assert placed.values.tolist() == [["c", 3, True], ["b", 2, False], ["c", 3, False]]
    read = reader.signals()
    assert read["entry"].tolist() == [100.0, 100.0, 100.0]
    assert read["verdict"].tolist() == ["UNGATED"] * 3


def test_a_live_signal_can_neither_be_changed_nor_deleted(writer: Writer) -> None:
    writer.put_signals(signals({"origin": "live"}, {"origin": "retro"}))
    for statement in ("UPDATE signals SET verdict = 'PASS' WHERE id = 1", "DELETE FROM signals WHERE id = 1"):
        with pytest.raises(Exception, match="a live signal is never"):
            writer._connection.execute(statement)
    writer._connection.execute("UPDATE signals SET verdict = 'PASS' WHERE id = 2")


def test_signals_are_found_by_any_filter(writer: Writer, reader: Reader) -> None:
    writer.put_signals(
        signals(
            {"symbol": "ETH/USDT:USDT", "decided_ms": START_MS + 5},
            {"exchange": "binance", "decided_ms": START_MS + 1},
            {"timeframe": "1h", "decided_ms": START_MS + 4, "origin": "retro"},
            {"setup": "other", "decided_ms": START_MS + 2},
            {"plan_hash": "plan0002", "decided_ms": START_MS + 3},
        )
    )

    def ids(**filters: object) -> list[int]:
        return reader.signals(**filters)["id"].tolist()  # type: ignore[arg-type]

    assert ids() == [2, 4, 5, 3, 1]
    assert ids(symbol="ETH/USDT:USDT") == [1]
    assert ids(exchange="binance") == [2]
    assert ids(timeframe="1h", origin="retro") == [3]
    assert ids(setup="other") == [4]
    assert ids(plan_hash="plan0002") == [5]
    assert ids(ids=[5, 1]) == [5, 1]
    assert ids(ids=np.array([3])) == [3]
    assert ids(ids=[]) == []
    assert ids(start_ms=START_MS + 2, end_ms=START_MS + 4) == [4, 5]
    assert ids(limit=2) == [1, 3]
    assert reader.signal_ids("bitget", "BTC/USDT:USDT", "15m", "plan0001") == {"key-3": 4}


def test_a_filter_takes_more_ids_than_a_statement_takes_values(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    assert reader.signals(ids=range(100_000))["id"].tolist() == [1, 2]


def test_decisions_are_kept_beside_each_other(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}))
    writer.put_decisions(decisions({"seq": 0, "ml_p": 0.4}))
    writer.put_decisions(decisions({"seq": 0, "ml_p": 0.9}, {"seq": 1, "ml_p": 0.5}))
    read = reader.decisions([1])
    assert list(read.columns) == list(DECISIONS)
    assert read["ml_p"].tolist() == [0.4, 0.5]
    assert np.isnan(read["threshold"]).all()


def test_a_decision_or_trade_needs_its_signal(writer: Writer) -> None:
    for write, frame in ((writer.put_decisions, decisions({})), (writer.put_trades, trades({}))):
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            write(frame)


def test_trades_come_back_as_they_went_in(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    frame = trades({"signal_id": 1, "fill_price": 1 / 3}, {"signal_id": 2, "status": "OPEN", "stop": 98.0})
    assert writer.put_trades(frame) == 2
    read = reader.trades()
    assert list(read.columns) == list(TRADES)
    assert_frames_equal(read, frame)


def test_a_trade_moves_forward(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}))
    writer.put_trades(trades({"next_ms": START_MS}))
    assert writer.put_trades(trades({"next_ms": START_MS + 60_000, "status": "OPEN", "fill_price": 100.0})) == 1
    row = reader.trades().iloc[0]
    assert (row["status"], row["next_ms"], row["fill_price"]) == ("OPEN", START_MS + 60_000, 100.0)


def test_a_trade_never_goes_back(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}))
    writer.put_trades(trades({"next_ms": START_MS + 60_000, "status": "OPEN"}))
    assert writer.put_trades(trades({"next_ms": START_MS, "status": "PENDING"})) == 0
    assert reader.trades()["status"].tolist() == ["OPEN"]


@pytest.mark.parametrize("status", ["CLOSED", "EXPIRED", "CANCELLED"])
def test_a_finished_trade_stays_as_it_is(writer: Writer, reader: Reader, status: str) -> None:
    writer.put_signals(signals({}))
    writer.put_trades(trades({"status": status, "pnl_pct": 1.0}))
    assert writer.put_trades(trades({"status": "CLOSED", "pnl_pct": 9.0, "next_ms": START_MS + 60_000})) == 0
    assert reader.trades()[["status", "pnl_pct"]].values.tolist() == [[status, 1.0]]


def test_the_same_trade_again_is_not_written(writer: Writer) -> None:
    writer.put_signals(signals({}))
    writer.put_trades(trades({"fill_price": np.nan}))
    log = writer.path.with_name("ohlcv.db-wal")
    size = log.stat().st_size
    assert writer.put_trades(trades({"fill_price": np.nan})) == 0
    assert log.stat().st_size == size


def test_whether_a_trade_is_taken_is_not_undone_by_playing_it_on(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    writer.put_trades(trades({"signal_id": 1}, {"signal_id": 2}))
    verdicts = trades({"signal_id": 1, "taken": 1}, {"signal_id": 2, "blocked_by": "max_open"})
    columns = ["signal_id", "exit_policy", "taken", "blocked_by"]
    assert writer.set_taken(verdicts[columns]) == 2
    assert writer.set_taken(verdicts[columns]) == 0
    writer.put_trades(trades({"signal_id": 1, "next_ms": START_MS + 60_000, "taken": 0, "status": "OPEN"}))
    assert reader.trades()[["status", "taken", "blocked_by"]].values.tolist() == [
        ["OPEN", 1, ""],
        ["PENDING", 0, "max_open"],
    ]


def test_trades_are_found_by_any_filter(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {"symbol": "ETH/USDT:USDT"}, {"exchange": "binance", "timeframe": "1h"}))
    writer.put_trades(
        trades(
            {"signal_id": 1, "status": "OPEN"},
            {"signal_id": 1, "exit_policy": "fixed@2"},
            {"signal_id": 2, "status": "CLOSED"},
            {"signal_id": 3, "status": "EXPIRED"},
        )
    )

    def found(**filters: object) -> list[tuple[int, str]]:
        frame = reader.trades(**filters)  # type: ignore[arg-type]
        return list(zip(frame["signal_id"], frame["exit_policy"], strict=True))

    assert found() == [(1, "fixed@2"), (1, "tp1@1"), (2, "tp1@1"), (3, "tp1@1")]
    assert found(signal_ids=[2, 3]) == [(2, "tp1@1"), (3, "tp1@1")]
    assert found(exit_policy="fixed@2") == [(1, "fixed@2")]
    assert found(status=["PENDING", "OPEN"]) == [(1, "fixed@2"), (1, "tp1@1")]
    assert found(status="CLOSED") == [(2, "tp1@1")]
    assert found(exchange="bitget", symbol="ETH/USDT:USDT") == [(2, "tp1@1")]
    assert found(timeframe="1h") == [(3, "tp1@1")]


def test_events_are_written_once(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    writer.put_trades(trades({"signal_id": 1}, {"signal_id": 2}))
    writer.put_events(events({"kind": "FILL"}))
    writer.put_events(events({"kind": "SL", "price": 1.0}, {"kind": "FUNDING", "price": np.nan, "rate_pct": 0.01}))
    writer.put_events(events({"signal_id": 2}))
    read = reader.events(1)
    assert list(read.columns) == list(TRADE_EVENTS)
    assert read["kind"].tolist() == ["FILL", "FUNDING"]
    assert np.isnan(read["price"].iloc[1])
    assert reader.events([2, 1])["signal_id"].tolist() == [1, 1, 2]
    assert reader.events(exit_policy="other").empty
    assert len(reader.events(np.int64(2))) == 1  # type: ignore[arg-type]


def test_empty_frames_go_in_and_come_out_with_their_columns(writer: Writer, reader: Reader) -> None:
    new = writer.put_signals(empty_frame(SIGNALS).drop(columns="id"))
    assert new.empty
    assert list(new.columns) == ["key", "id", "new"]
    writer.put_decisions(empty_frame(DECISIONS))
    assert writer.put_trades(empty_frame(TRADES)) == 0
    writer.put_events(empty_frame(TRADE_EVENTS))
    pairs = ((reader.signals(), SIGNALS), (reader.trades(), TRADES), (reader.events(), TRADE_EVENTS))
    for frame, spec in (*pairs, (reader.decisions(), DECISIONS)):
        assert frame.empty
        assert_frames_equal(frame, empty_frame(spec))


def test_a_word_outside_the_vocabulary_is_refused(writer: Writer) -> None:
    for row in ({"verdict": "MAYBE"}, {"direction": "up"}, {"origin": "test"}, {"entry": np.nan}):
        with pytest.raises(StoreError, match="constraint failed"):
            writer.put_signals(signals(row))


def test_exit_policies_are_recorded_once(writer: Writer, reader: Reader) -> None:
    writer.put_exit_policy("tp1@1", "tp1", '{"a": 1}')
    writer.put_exit_policy("tp1@1", "other", "{}")
    assert reader.exit_policies() == {"tp1@1": ("tp1", '{"a": 1}')}


def test_exit_policies_come_in_the_order_in_which_they_were_recorded(writer: Writer, reader: Reader) -> None:
    writer.put_exit_policy("z@1", "z", "{}")
    writer.put_exit_policy("a@2", "a", "{}")
    writer._connection.execute("UPDATE exit_policies SET created_ms = created_ms + 1 WHERE name = 'a'")
    assert list(reader.exit_policies()) == ["z@1", "a@2"]


def test_only_the_asked_columns_are_read(writer: Writer, reader: Reader) -> None:
    writer.put_signals(signals({}, {}))
    writer.put_trades(trades({"signal_id": 1}))
    assert_frames_equal(reader.signals(columns=["id", "symbol"]), reader.signals()[["id", "symbol"]])
    assert_frames_equal(reader.trades(columns=["exit_policy"]), reader.trades()[["exit_policy"]])


def test_a_column_that_is_not_declared_never_reaches_the_database(reader: Reader) -> None:
    with pytest.raises(KeyError, match="1; --"):
        reader.signals(columns=["1; --"])
