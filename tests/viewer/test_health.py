"""The page of health: never run, running, stopped, failing, behind."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.clock import DAY_MS, wall_now_ms
from core.dashboard._theme import DARK
from core.dashboard.health import answers_chart
from core.results.board import job_board, next_weekly_ms
from core.store.heartbeat import Heartbeat, heartbeat_path, write_heartbeat
from core.store.writer import Writer
from tests.factories import START_MS, Story, write_database
from tests.viewer.test_pages import said

REPOSITORY = Path(__file__).parents[2]
SYNC = "sync: candles 3, requests 10, failures 2, answer_ms 120, slowest_ms 900"


def app() -> None:
    from core.dashboard.health import page

    page()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = write_database(tmp_path / "ohlcv.db", Story(days=2))
    with Writer(path) as writer:
        for minute in range(4):
            at = START_MS + DAY_MS + minute * 60_000
            writer.put_job_run("incremental_sync", at, at + 50, "ok", SYNC)
            writer.put_job_run("scan_signals", at, at + 20, "failed", "database is locked")
    return path


@pytest.fixture
def health(database: Path, monkeypatch: pytest.MonkeyPatch):
    def drawn() -> AppTest:
        monkeypatch.setenv("TRADER_DB", str(database))
        monkeypatch.setenv("TRADER_CONFIG", str(REPOSITORY / "config.yaml"))
        monkeypatch.delenv("TRADER_PROFILE", raising=False)
        at = AppTest.from_function(app, default_timeout=30).run()
        assert not at.exception, at.exception
        return at

    return drawn


def beat(age_ms: int, state: str = "running") -> Heartbeat:
    at = wall_now_ms() - age_ms
    return Heartbeat(7, "here", "0.1.0", "synthetic", "synthetic", at, at, 12, 40, 180.0, (), state)


def engine(at: AppTest) -> str:
    return next(metric.value for metric in at.metric if metric.label == "Engine")


def test_a_database_the_engine_never_ran_on_names_the_command_that_starts_it(health) -> None:
    at = health()
    assert engine(at) == "never run"
    assert "python scheduler_run.py" in said(at)


@pytest.mark.parametrize(("age_ms", "state", "told"), [(0, "running", "running"), (600_000, "running", "stopped")])
def test_the_engine_runs_while_its_heartbeat_is_young(health, database: Path, age_ms, state, told) -> None:
    write_heartbeat(heartbeat_path(database), beat(age_ms, state))
    assert engine(health()) == told


def test_an_engine_that_was_ended_is_stopped(health, database: Path) -> None:
    write_heartbeat(heartbeat_path(database), beat(0, "ended"))
    assert engine(health()) == "stopped"


def test_a_job_that_fails_again_and_again_is_wrong_and_its_words_are_shown(health) -> None:
    at = health()
    assert any("scan_signals failed 4 times in a row" in line.value for line in at.markdown)
    assert any("database is locked" in table.value.to_string() for table in at.dataframe)


def test_the_exchanges_answers_are_added_up(health) -> None:
    assert "40 requests on record, 20.0 % failed" in said(health())


def test_the_board_counts_failures_up_to_the_last_run() -> None:
    rows = [("a", 3, 5, "failed"), ("a", 2, 3, "failed"), ("a", 1, 2, "ok"), ("b", 9, 10, "ok")]
    runs = pd.DataFrame(rows, columns=["job", "started_ms", "finished_ms", "status"]).assign(detail="")
    board = job_board(runs, {"a": 77}).set_index("job")
    assert list(board.index) == ["b", "a"]
    assert board.loc["a", ["runs", "failed", "failed_in_a_row", "next_ms", "took_ms"]].tolist() == [3, 2, 2, 77, 2.0]
    assert job_board(runs.iloc[:2], {}).loc[0, "failed_in_a_row"] == 2
    assert job_board(runs.iloc[:0], {}).empty


def test_a_weekly_job_is_due_at_its_hour_and_then_a_week_later() -> None:
    due = next_weekly_ms(START_MS, "sun", 21, 30)
    assert pd.Timestamp(due, unit="ms").strftime("%a %H:%M") == "Sun 21:30"
    assert START_MS < due <= START_MS + 7 * DAY_MS
    assert next_weekly_ms(due, "sun", 21, 30) == due + 7 * DAY_MS
    assert next_weekly_ms(due - 1, "sun", 21, 30) == due


def test_the_chart_of_answers_is_plain_json() -> None:
    told = pd.DataFrame({"ts_ms": [1, 2], "answer_ms": [1.5, 2.0], "slowest_ms": [3, 4], "error": [0.0, 0.5]})
    option = answers_chart(told, DARK)
    assert json.loads(json.dumps(option, allow_nan=False)) == option
