"""What the viewer keeps of the record equals what the database holds, whatever was written in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.dashboard._snapshot import snapshot_of
from core.dashboard._source_record import (
    HEAD_COLUMNS,
    Kept,
    heads_at,
    read_heads,
    read_taken,
    read_trades,
    rows_at,
    trades_at,
)
from core.results.rows import result_rows, taken_rows
from core.schema import DECISIONS, conform
from core.store.reader import Reader
from core.store.writer import Writer
from tests.factories import EXIT_POLICY, PLAN_HASH, START_MS, Story, signal_rows, trade_rows, write_database

EXCHANGE = "synthetic"
HOUR_MS = 3_600_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_database(tmp_path / "ohlcv.db", Story(days=6, every=8))


class Watched(Reader):
    """Says which questions were asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[str] = []

    def signals(self, **filters) -> pd.DataFrame:
        self.asked.append("signals")
        return super().signals(**filters)

    def policy_trades(self, exit_policy: str) -> pd.DataFrame:
        self.asked.append("policy_trades")
        return super().policy_trades(exit_policy)

    def taken_trades(self, exchange: str, exit_policy: str) -> pd.DataFrame:
        self.asked.append("taken_trades")
        return super().taken_trades(exchange, exit_policy)


def whole_heads(path: Path) -> pd.DataFrame:
    return Reader(path).signals(exchange=EXCHANGE, columns=HEAD_COLUMNS)


def whole_trades(path: Path) -> pd.DataFrame:
    return Reader(path).trades(exit_policy=EXIT_POLICY)


def whole_taken(path: Path) -> pd.DataFrame:
    return taken_rows(result_rows(whole_trades(path), whole_heads(path)))


def kept_of(path: Path) -> tuple[Kept, Kept, Kept]:
    reader = Reader(path)
    return (
        read_heads(reader, EXCHANGE, None),
        read_trades(reader, EXIT_POLICY, None),
        read_taken(reader, EXCHANGE, EXIT_POLICY, None),
    )


def read_on(path: Path, kept: tuple[Kept, Kept, Kept]) -> tuple[tuple[Kept, Kept, Kept], list[str]]:
    """Read on, check it against everything read anew, and return what was asked for as a whole."""
    reader = Watched(path)
    found = (
        read_heads(reader, EXCHANGE, kept[0]),
        read_trades(reader, EXIT_POLICY, kept[1]),
        read_taken(reader, EXCHANGE, EXIT_POLICY, kept[2]),
    )
    pd.testing.assert_frame_equal(found[0].frame, whole_heads(path))
    pd.testing.assert_frame_equal(found[1].frame, whole_trades(path))
    pd.testing.assert_frame_equal(found[2].frame, whole_taken(path))
    return found, reader.asked


def write_new(path: Path, decided_ms: int, taken: int = 1, status: str = "OPEN") -> int:
    with Writer(path) as writer, writer.transaction():
        rows = signal_rows([{"key": f"new-{decided_ms}", "decided_ms": decided_ms}])
        number = int(writer.put_signals(rows)["id"].iloc[0])
        times = {"closed_ms": 0, "known_ms": 0, "next_ms": decided_ms + HOUR_MS, "exit_reason": ""}
        writer.put_trades(trade_rows([{"signal_id": number, "taken": taken, "status": status, **times}]))
    return number


def test_what_is_read_first_is_everything(path: Path) -> None:
    kept = kept_of(path)
    pd.testing.assert_frame_equal(kept[0].frame, whole_heads(path))
    pd.testing.assert_frame_equal(kept[1].frame, whole_trades(path))
    pd.testing.assert_frame_equal(kept[2].frame, whole_taken(path))
    assert len(kept[2].frame) > 5


def test_where_nothing_was_written_the_same_frames_are_handed_out(path: Path) -> None:
    kept = kept_of(path)
    found, asked = read_on(path, kept)
    assert asked == []
    assert all(after.frame is before.frame for after, before in zip(found, kept, strict=True))


def test_a_new_signal_with_its_trade_is_read_alone(path: Path) -> None:
    kept = kept_of(path)
    number = write_new(path, START_MS + 30 * 24 * HOUR_MS)
    found, asked = read_on(path, kept)
    assert asked == ["signals"]  # of the new trade alone
    assert found[0].frame["id"].iloc[-1] == number
    assert len(found[1].frame) == len(kept[1].frame) + 1


def test_a_new_signal_of_an_earlier_close_takes_its_place_in_time(path: Path) -> None:
    kept = kept_of(path)
    number = write_new(path, START_MS + 2 * HOUR_MS, taken=0)
    found, _ = read_on(path, kept)
    assert found[0].frame["id"].iloc[-1] != number


def test_a_trade_under_way_that_moves_and_ends_is_read_again(path: Path) -> None:
    number = write_new(path, START_MS + 30 * 24 * HOUR_MS)
    kept = kept_of(path)
    with Writer(path) as writer:
        mine = Reader(path).trades(signal_ids=[number])
        writer.move_trades(mine.assign(next_ms=mine["next_ms"] + HOUR_MS))
    kept, asked = read_on(path, kept)
    assert asked == ["signals"]
    with Writer(path) as writer:
        ended = {"status": "CLOSED", "exit_reason": "SL", "closed_ms": 5, "known_ms": 6, "next_ms": 2**50}
        writer.put_trades(Reader(path).trades(signal_ids=[number]).assign(**ended))
    found, _ = read_on(path, kept)
    mine = found[1].frame.set_index("signal_id").loc[number]
    assert mine["status"] == "CLOSED"


def test_a_finished_trade_that_is_let_go_has_everything_read_again(path: Path) -> None:
    kept = kept_of(path)
    taken = whole_taken(path)
    let_go = taken[taken["status"] == "CLOSED"].iloc[[0]]
    with Writer(path) as writer:
        writer.set_taken(let_go[["signal_id", "exit_policy"]].assign(taken=0, blocked_by="MAX_OPEN"))
    found, asked = read_on(path, kept)
    assert "policy_trades" in asked
    assert len(found[2].frame) == len(kept[2].frame) - 1


def test_one_trade_taken_in_place_of_another_has_everything_read_again(path: Path) -> None:
    kept = kept_of(path)
    trades = whole_trades(path)
    gone = trades[trades["taken"] == 1].iloc[[0]]
    come = trades[(trades["taken"] == 0) & (trades["blocked_by"] == gone["blocked_by"].iloc[0])].iloc[[0]]
    with Writer(path) as writer:
        swapped = pd.concat([gone.assign(taken=0), come.assign(taken=1)])
        writer.set_taken(swapped[["signal_id", "exit_policy", "taken", "blocked_by"]])
    _, asked = read_on(path, kept)
    assert "policy_trades" in asked


def test_signals_decided_again_are_read_again(path: Path) -> None:
    kept = kept_of(path)
    first = int(whole_heads(path)["id"].iloc[0])
    row = {name: "" if dtype == "str" else np.nan if dtype == "float64" else 0 for name, dtype in DECISIONS.items()}
    row |= {"signal_id": first, "verdict": "ABSTAIN", "reason": "NO_DATA", "ml_p": 0.123, "in_sample": 1}
    with Writer(path) as writer:
        assert writer.decide_again(conform(pd.DataFrame([row]), {**DECISIONS, "in_sample": "int64"})) == 1
    found, asked = read_on(path, kept)
    assert "signals" in asked
    assert found[0].frame.set_index("id").loc[first, "verdict"] == "ABSTAIN"


def test_a_trade_filled_in_for_an_old_signal_is_read(path: Path) -> None:
    with Writer(path) as writer:
        number = int(writer.put_signals(signal_rows([{"key": "unplayed"}]))["id"].iloc[0])
    write_new(path, START_MS + 31 * 24 * HOUR_MS)
    kept = kept_of(path)
    with Writer(path) as writer:
        writer.put_trades(trade_rows([{"signal_id": number}]))
    read_on(path, kept)


def test_an_empty_record_is_kept_and_read_on(tmp_path: Path) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=1, every=0))
    kept = kept_of(path)
    assert all(one.frame.empty for one in kept)
    write_new(path, START_MS + 5 * HOUR_MS)
    found, _ = read_on(path, kept)
    assert [len(one.frame) for one in found] == [1, 1, 1]


def test_result_rows_are_joined_once_for_a_state_of_the_record(path: Path) -> None:
    snapshot = snapshot_of(path)
    rows = rows_at(snapshot, EXCHANGE, PLAN_HASH, EXIT_POLICY)
    pd.testing.assert_frame_equal(rows, result_rows(whole_trades(path), whole_heads(path)))
    assert rows_at(snapshot, EXCHANGE, PLAN_HASH, EXIT_POLICY) is rows
    write_new(path, START_MS + 30 * 24 * HOUR_MS)
    later = rows_at(snapshot_of(path), EXCHANGE, PLAN_HASH, EXIT_POLICY)
    assert len(later) == len(rows) + 1
    assert heads_at(snapshot_of(path), EXCHANGE) is heads_at(snapshot_of(path), EXCHANGE)
    assert len(trades_at(snapshot_of(path), EXIT_POLICY)) == len(later)
