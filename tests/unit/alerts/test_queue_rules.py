"""Who is told what: the rows that go into the outbox, and those that do not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from core.clock import MINUTE_MS
from core.jobs._announce import event_rows, new_signal_rows, note_rows
from tests.unit.alerts.rows import DECIDED, POLICY, closed, event, events, settings, signal, signals, trade, trades

NOW = DECIDED + MINUTE_MS
CHANNELS = ["console", "telegram"]


def new(one: dict[str, Any], of: dict[str, Any] | None = None, config: Any = None, now_ms: int = NOW) -> list[str]:
    rows = new_signal_rows(signals(one), trades(of or trade()), config or settings(), CHANNELS, now_ms)
    return [row["key"] for row in rows]


def told(*happened: dict[str, Any], of: dict[str, Any] | None = None, config: Any = None, **changes: Any) -> list[str]:
    rows = event_rows(
        events(*happened), trades(of or trade()), signals(signal(**changes)), config or settings(), ["telegram"], NOW
    )
    return [f"{row['key']}" for row in rows]


def test_a_new_signal_is_queued_once_for_each_channel() -> None:
    rows = new_signal_rows(signals(signal()), trades(trade()), settings(), CHANNELS, NOW)
    assert [row["key"] for row in rows] == ["new:key123:console", "new:key123:telegram"]
    assert rows[0] == {
        "key": "new:key123:console",
        "channel": "console",
        "kind": "new_signal",
        "signal_id": 123,
        "exit_policy": "",
        "payload": '{"entry": 64250.0, "sl": 63100.0, "tp1": 66200.0, "tp2": 67800.0}',
        "created_ms": NOW,
        "next_try_ms": NOW,
    }


@pytest.mark.parametrize("verdict", ["FILTERED", "NO_EVIDENCE", "ABSTAIN"])
def test_a_refused_signal_is_not_announced(verdict: str) -> None:
    assert new(signal(verdict=verdict)) == []
    assert len(new(signal(verdict="PASS"))) == 2


def test_a_retro_signal_is_not_announced() -> None:
    assert new(signal(origin="retro")) == []


def test_a_signal_that_a_limit_blocked_is_not_announced() -> None:
    assert new(signal(), trade(taken=0, blocked_by="MAX_OPEN")) == []


def test_a_signal_without_a_trade_is_not_announced() -> None:
    assert new(signal(), trade(7)) == []


def test_a_late_signal_is_left_out_to_the_minute() -> None:
    assert len(new(signal(), now_ms=DECIDED + 10 * MINUTE_MS)) == 2
    assert new(signal(), now_ms=DECIDED + 10 * MINUTE_MS + 1) == []


def test_the_switch_for_new_signals_is_obeyed() -> None:
    assert new(signal(), config=settings(new_signal=False)) == []


def test_a_missing_target_leaves_the_payload_valid_json() -> None:
    (row, _) = new_signal_rows(signals(signal(tp2=np.nan)), trades(trade()), settings(), CHANNELS, NOW)
    assert "tp2" not in json.loads(row["payload"])
    assert "NaN" not in row["payload"]


def test_nothing_found_queues_nothing() -> None:
    assert new_signal_rows(signals(), trades(), settings(), CHANNELS, NOW) == []
    assert event_rows(events(), trades(), signals(), settings(), CHANNELS, NOW) == []


@pytest.mark.parametrize(
    "kind",
    ["FILL", "TARGET", "EXPIRED", "MISSED", "GAPPED", "SL", "TP1_TRAIL", "TP", "TIMEOUT", "POLICY", "DELISTED"],
)
def test_what_a_person_acts_on_is_told(kind: str) -> None:
    assert told(event(kind, seq=4)) == [f"event:key123:{POLICY}:4:telegram"]


def test_funding_is_not_told() -> None:
    assert told(event("FUNDING")) == []


def test_updates_and_closings_have_their_own_switches() -> None:
    happened = [event("FILL", seq=0, minutes=1), event("TARGET", seq=1, minutes=2), event("TP", seq=2, minutes=3)]
    assert [key.split(":")[-2] for key in told(*happened, config=settings(trade_update=False))] == ["2"]
    assert [key.split(":")[-2] for key in told(*happened, config=settings(closed_trade=False))] == ["0", "1"]


def test_events_of_trades_that_were_not_announced_are_left_out() -> None:
    assert told(event("FILL"), of=trade(taken=0, blocked_by="MAX_OPEN")) == []
    assert told(event("FILL"), origin="retro") == []
    assert told(event("FILL"), verdict="FILTERED") == []


def test_a_late_event_is_queued_all_the_same() -> None:
    rows = event_rows(
        events(event("SL")), trades(closed()), signals(signal()), settings(), ["telegram"], DECIDED + 10_000 * MINUTE_MS
    )
    assert len(rows) == 1


def test_only_the_taken_exit_policy_of_a_signal_is_told() -> None:
    other = trade(exit_policy="other@1", taken=0)
    happened = events(event("FILL"), event("FILL", exit_policy="other@1"))
    rows = event_rows(happened, trades(trade(), other), signals(signal()), settings(), ["telegram"], NOW)
    assert [row["exit_policy"] for row in rows] == [POLICY]


def test_events_are_queued_in_the_order_they_happened_whatever_order_they_come_in() -> None:
    happened = events(
        event("TP", 2, seq=1, minutes=9), event("FILL", 1, seq=0, minutes=5), event("FILL", 2, seq=0, minutes=3)
    )
    both = signals(signal(1), signal(2), signal(2))
    rows = event_rows(happened, trades(trade(1), trade(2)), both, settings(), ["telegram"], NOW)
    assert [(row["signal_id"], json.loads(row["payload"])["event"]) for row in rows] == [
        (2, "FILL"),
        (1, "FILL"),
        (2, "TP"),
    ]


def test_a_note_is_queued_under_its_own_key() -> None:
    (row,) = note_rows("weekly:2024-W18", "a good week", ["telegram"], NOW)
    assert (row["key"], row["kind"], row["signal_id"]) == ("note:weekly:2024-W18:telegram", "note", 0)
    assert json.loads(row["payload"]) == {"text": "a good week"}
