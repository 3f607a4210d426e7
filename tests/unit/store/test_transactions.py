"""Whole or not at all, however it is nested."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import numpy as np
import pandas as pd
import pytest

from core.errors import StoreError
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import BTC, START_MS, same, signals, trades, walk


def test_nothing_of_a_failed_transaction_is_written(writer: Writer) -> None:
    with pytest.raises(RuntimeError), writer.transaction():
        writer.put_candles(*BTC, walk(2_000), START_MS)
        writer.set_frontier(*BTC, START_MS + 86_400_000)
        writer.set_meta("k", "v")
        raise RuntimeError("half way")
    assert len(writer.reader.candles(*BTC)) == 0
    assert writer.reader.meta("k") is None
    assert writer.reader.series().empty


def test_a_nested_transaction_joins_the_outer_one(writer: Writer, reader: Reader) -> None:
    with writer.transaction():
        with writer.transaction():
            writer.set_meta("k", "v")
        assert reader.meta("k") is None
        assert writer.reader.meta("k") == "v"
    assert reader.meta("k") == "v"


def test_an_error_swallowed_inside_still_undoes_everything(writer: Writer) -> None:
    with pytest.raises(StoreError, match="none of it was written"), writer.transaction():
        writer.set_meta("k", "v")
        with pytest.raises(StoreError):
            writer.put_trades(trades({"signal_id": 99}))
    assert writer.reader.meta("k") is None
    writer.set_meta("k", "v")


def test_a_failed_transaction_does_not_spoil_the_next(writer: Writer) -> None:
    for _ in range(3):
        with pytest.raises(KeyError), writer.transaction(), writer.transaction():
            raise KeyError("x")
        writer.set_meta("k", "v")
    assert writer.reader.meta("k") == "v"


def test_a_writer_serves_the_thread_that_opened_it(writer: Writer) -> None:
    caught: list[BaseException] = []

    def use() -> None:
        try:
            writer.set_meta("k", "v")
        except StoreError as error:
            caught.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "another thread" in str(caught[0])


def count_commits(writer: Writer) -> list[int]:
    commits = [0]

    def hook() -> bool:
        commits[0] += 1
        return False

    writer._connection.set_commit_hook(hook)
    return commits


def test_a_long_write_is_cut_into_transactions_of_bounded_size(writer: Writer) -> None:
    commits = count_commits(writer)
    writer.put_candles(*BTC, walk(50_000), START_MS)
    assert commits[0] == 3
    assert len(writer.reader.candles(*BTC)) == 50_000


def test_a_long_write_inside_a_transaction_is_one(writer: Writer) -> None:
    commits = count_commits(writer)
    with writer.transaction():
        writer.put_candles(*BTC, walk(50_000), START_MS)
        gaps = {"ts_ms": START_MS + 60_000 * np.arange(25_000), "state": "open"}
        writer.put_gaps(*BTC, pd.DataFrame(gaps).assign(first_missed_ms=1, tries=1, next_try_ms=1))
    assert commits[0] == 1


def test_a_long_frame_keeps_its_order_when_it_is_cut(writer: Writer) -> None:
    frame = signals({}).iloc[np.zeros(20_500, dtype=int)].reset_index(drop=True)
    frame["key"] = [f"k{i}" for i in range(len(frame))]
    placed = writer.put_signals(frame)
    assert placed["key"].tolist() == frame["key"].tolist()
    assert placed["id"].tolist() == list(range(1, 20_501))
    assert placed["new"].all()


def test_a_reader_sees_the_state_before_while_a_transaction_is_open(writer: Writer, reader: Reader) -> None:
    writer.put_candles(*BTC, walk(100), START_MS)
    with writer.transaction():
        writer.put_candles(*BTC, walk(200), START_MS)
        assert len(reader.candles(*BTC)) == 100
    assert len(reader.candles(*BTC)) == 200


def test_one_question_sees_one_state_although_it_takes_several_statements(writer: Writer, path: Path) -> None:
    candles = walk(3_000)
    writer.put_candles(*BTC, candles, START_MS)

    def change_meanwhile(_cursor: object, statement: str, _values: object) -> bool:
        if statement.startswith("SELECT data"):
            other = apsw.Connection(str(path))
            other.execute("DELETE FROM candle_block")
            other.close()
        return True

    writer._connection.exec_trace = change_meanwhile
    assert same(writer.reader.candles(*BTC), candles)
    writer._connection.exec_trace = None
    assert same(writer.reader.candles(*BTC), candles)


def test_a_closed_writer_undoes_what_was_open(writer: Writer, reader: Reader) -> None:
    with pytest.raises((StoreError, apsw.ConnectionClosedError)), writer.transaction():
        writer.set_meta("k", "v")
        writer.close()
    assert reader.meta("k") is None
