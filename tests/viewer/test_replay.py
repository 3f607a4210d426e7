"""The replay: nothing later than its moment, and buttons that move from where it is."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.dashboard._stage import earned_chart, stage_chart
from core.dashboard._theme import DARK
from core.results.replaying import earned_until, known_at
from tests.factories import START_MS, Story, event_rows, resampled, signal_rows, trade_rows, walk, write_database

REPOSITORY = Path(__file__).parents[2]
STEP_MS = 900_000
CANDLES = resampled(walk(2), "15m")


def told(at: int) -> pd.DataFrame:
    signals = signal_rows([{"id": 1, "decided_ms": 100}, {"id": 2, "decided_ms": 200}, {"id": 3, "decided_ms": 300}])
    trades = trade_rows(
        [
            {
                "signal_id": 1,
                "opened_ms": 150,
                "closed_ms": 390,
                "known_ms": 400,
                "r_multiple": 1.5,
                "exit_reason": "TP",
            },
            {"signal_id": 2, "opened_ms": 0, "closed_ms": 240, "known_ms": 250, "status": "EXPIRED"},
        ]
    )
    return known_at(signals, trades, at).set_index("signal_id")


def test_a_state_is_that_of_the_moment() -> None:
    assert list(told(99).index) == []
    assert told(150).loc[1, "state"] == "waiting"
    assert told(151).loc[1, "state"] == "open"
    assert told(399).loc[1, "state"] == "open"
    assert told(400).loc[1, "state"] == "closed"
    assert (told(249).loc[2, "state"], told(250).loc[2, "state"]) == ("waiting", "unfilled")
    assert told(300).loc[3, "state"] == ""


def test_what_became_of_a_trade_is_not_told_before_it_was_known() -> None:
    assert math.isnan(told(399).loc[1, "result_r"])
    assert told(399).loc[1, "ended_by"] == ""
    assert told(400).loc[1, "result_r"] == 1.5
    assert told(400).loc[1, "ended_by"] == "TP"


def test_results_add_up_as_they_become_known() -> None:
    trades = trade_rows(
        [{"signal_id": 1, "known_ms": 300, "r_multiple": -1.0}, {"signal_id": 2, "known_ms": 100, "r_multiple": 2.0}]
    )
    assert earned_until(trades, 299).total_r.tolist() == [2.0]
    assert earned_until(trades, 300).total_r.tolist() == [2.0, 1.0]
    assert earned_chart(earned_until(trades, 50), 50, 0, 400, DARK)["series"][0]["data"] == [[0, 0.0], [50, 0.0]]


def test_nothing_after_the_moment_is_drawn() -> None:
    at = START_MS + 100 * STEP_MS + 60_000
    price = float(CANDLES.close[50])
    plan = {"ts_ms": START_MS + 50 * STEP_MS, "entry": price, "sl": price * 0.99, "tp1": price * 1.02}
    plans = signal_rows([plan]).assign(state="open")
    events = event_rows(
        [
            {"signal_id": 1, "seq": 0, "ts_ms": at - 60_000, "kind": "FILL", "price": 1.0, "fraction": 1.0},
            {"signal_id": 1, "seq": 1, "ts_ms": at + STEP_MS, "kind": "SL", "price": 1.0, "fraction": 1.0},
        ]
    )
    option = stage_chart(CANDLES, "15m", at, plans, events, DARK)
    frame = option["dataset"]["source"]
    assert frame["time"][frame["close"].notna()].iloc[-1] == "2024-01-02 00:45"
    names = [series["name"] for series in option["series"]]
    assert "Filled" in names
    assert "Left" not in names
    option["dataset"] = {}
    assert json.loads(json.dumps(option, allow_nan=False)) == option


def app() -> None:
    from core.dashboard.replay import page

    page()


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("TRADER_DB", str(write_database(tmp_path / "ohlcv.db", Story(days=9, every=8))))
    monkeypatch.setenv("TRADER_CONFIG", str(REPOSITORY / "config.yaml"))
    monkeypatch.delenv("TRADER_PROFILE", raising=False)
    return AppTest.from_function(app, default_timeout=30).run()


def press(at: AppTest, label: str) -> None:
    next(button for button in at.button if button.label == label).click()
    at.run()
    assert not at.exception, at.exception


def test_a_step_is_one_candle_and_back_returns(replay: AppTest) -> None:
    begin = replay.session_state["replay_at"]
    press(replay, "Step")
    press(replay, "Step")
    assert replay.session_state["replay_at"] == begin + 2 * STEP_MS
    press(replay, "Back")
    assert replay.session_state["replay_at"] == begin + STEP_MS
    press(replay, "Start again")
    assert replay.session_state["replay_at"] == begin


def test_play_goes_on_from_where_it_is_and_pause_stays_there(replay: AppTest) -> None:
    press(replay, "Play")
    began = replay.session_state["replay_at"]
    replay.run()
    moved = replay.session_state["replay_at"]
    assert moved > began
    press(replay, "Pause")
    assert replay.session_state["replay_at"] == moved
    assert not replay.session_state["replay_playing"]


def test_another_period_starts_at_its_beginning(replay: AppTest) -> None:
    press(replay, "Step")
    replay.number_input(key="replay_days").set_value(2)
    replay.run()
    assert not replay.exception
    assert replay.session_state["replay_at"] == replay.session_state["replay_period"].start_ms


def test_before_the_record_begins_there_is_nothing_to_see_yet(replay: AppTest) -> None:
    replay.number_input(key="replay_days").set_value(30)
    replay.date_input(key="replay_start").set_value(date(2023, 12, 20))
    replay.run()
    assert not replay.exception
    assert any("begins later" in info.value for info in replay.info)
