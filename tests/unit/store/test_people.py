"""The journal and the mutes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from core.errors import StoreError
from core.store.reader import Reader
from core.store.writer import Writer
from tests.unit.store.samples import signals

ANN, BOB = 7, 8


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with Writer(tmp_path / "ohlcv.db") as opened:
        opened.put_signals(signals({}, {}))
        yield opened


def test_the_journal_keeps_each_change_of_mind_and_no_repetition(writer: Writer) -> None:
    assert writer.put_journal(1, ANN, "taken", 10, price=64250.0)
    assert not writer.put_journal(1, ANN, "taken", 11, price=64250.0)
    assert writer.put_journal(1, ANN, "taken", 12)
    assert not writer.put_journal(1, ANN, "taken", 13)
    assert writer.put_journal(1, ANN, "skipped", 14)
    assert writer.put_journal(1, BOB, "taken", 15)
    assert writer.put_journal(2, ANN, "skipped", 16)
    mine = writer.reader.journal(user_id=ANN)
    assert mine["action"].tolist() == ["taken", "taken", "skipped", "skipped"]
    assert mine["price"].tolist()[0] == 64250.0
    assert all(map(math.isnan, mine["price"].tolist()[1:]))
    assert writer.reader.journal([2])["said_ms"].tolist() == [16]
    assert writer.reader.journal([]).empty


def test_only_what_can_be_done_with_a_signal_on_record_is_written(writer: Writer) -> None:
    with pytest.raises(StoreError):
        writer.put_journal(99, ANN, "taken", 10)
    with pytest.raises(StoreError):
        writer.put_journal(1, ANN, "doubled", 10)
    assert writer.reader.journal().empty


@pytest.mark.parametrize("change", ["UPDATE journal SET action = 'skipped'", "DELETE FROM journal"])
def test_the_database_itself_keeps_the_journal(writer: Writer, change: str) -> None:
    writer.put_journal(1, ANN, "taken", 10)
    connection = apsw.Connection(str(writer.path))
    with pytest.raises(apsw.ConstraintError, match="what was said is never"):
        connection.execute(change)
    connection.close()


def test_a_mute_holds_until_its_end_on_its_channel(writer: Writer) -> None:
    writer.mute("telegram", "bitget", "BTC", 100, 200, ANN)
    writer.mute("telegram", "bitget", "ETH", 100, 300, BOB)
    writer.mute("console", "bitget", "BTC", 100, 300, ANN)
    told = Reader(writer.path).mutes(199, "telegram")
    assert told[["symbol", "since_ms", "until_ms", "user_id"]].values.tolist() == [
        ["BTC", 100, 200, ANN],
        ["ETH", 100, 300, BOB],
    ]
    assert writer.reader.mutes(200, "telegram")["symbol"].tolist() == ["ETH"]
    assert len(writer.reader.mutes(0)) == 3


def test_muting_again_moves_the_end_and_sweeps_what_is_over(writer: Writer) -> None:
    writer.mute("telegram", "bitget", "BTC", 100, 200, ANN)
    writer.mute("telegram", "bitget", "ETH", 100, 150, ANN)
    writer.mute("telegram", "bitget", "BTC", 160, 400, BOB)
    row = writer.reader.mutes(0).to_dict("records")
    assert [(one["symbol"], one["since_ms"], one["until_ms"], one["user_id"]) for one in row] == [
        ("BTC", 100, 400, BOB)
    ]


def test_unmuting_says_how_many_were_silenced(writer: Writer) -> None:
    for symbol in ("BTC", "ETH"):
        writer.mute("telegram", "bitget", symbol, 100, 200, ANN)
    writer.mute("telegram", "kraken", "BTC", 100, 200, ANN)
    assert writer.unmute("telegram", "bitget", "SOL") == 0
    assert writer.unmute("telegram", "bitget", "BTC") == 1
    assert writer.unmute("telegram", "bitget") == 1
    assert len(writer.reader.mutes(0)) == 1
