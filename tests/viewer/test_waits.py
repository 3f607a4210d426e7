"""What open viewers cost: the log stays small beside them, and a page drawn again asks for what is new alone."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import viewer
from benchmarks._viewer_browser import PAGES, Wheel
from benchmarks._viewer_minutes import MinuteWriter, kept_small
from benchmarks._viewer_refresh import Cost, refreshes
from core.clock import MINUTE_MS
from core.store.reader import Reader
from core.store.writer import Writer
from tests.engine import write_config
from tests.factories import Story, write_database

EXCHANGE = "synthetic"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_database(tmp_path / "ohlcv.db", Story(days=4, symbols=("BTC/USDT:USDT", "ETH/USDT:USDT"), every=8))


def test_an_hour_of_minutes_beside_open_viewers_leaves_the_log_small(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A page drawn before has left its script behind as the main module, which a new process would run.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    before = int(Reader(path).series()["frontier_ms"].max())
    log = kept_small(path, EXCHANGE, minutes=60, count=2)
    assert (log.minutes, log.failed, log.looks >= 2) == (60, 0, True)
    assert 0 < log.peak_bytes < viewer.LOG_MB * 1e6
    assert int(Reader(path).series()["frontier_ms"].max()) == before + 60 * MINUTE_MS


def test_a_written_minute_moves_every_symbol_and_every_trade_under_way(path: Path) -> None:
    with Writer(path) as writer:
        minutes = MinuteWriter(writer, EXCHANGE)
        minutes.write()
        minutes.write()
    reader = Reader(path)
    series = reader.series()
    end_ms = int(series["frontier_ms"].max())
    assert (series.loc[series["timeframe"] == "1m", "frontier_ms"] == end_ms).all()
    assert (reader.trades(status=["PENDING", "OPEN"])["next_ms"] == end_ms).all()
    last = reader.last_candles(EXCHANGE, "ETH/USDT:USDT", "1m", 2)
    assert last.open[1] == last.close[0]


def test_a_page_drawn_again_asks_nothing_when_nothing_is_new_and_little_after_a_minute(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRADER_CONFIG", "TRADER_DB", "TRADER_PROFILE"):
        monkeypatch.setenv(name, "")  # taken back afterwards
    plain = {"exchange": {"id": EXCHANGE}, "symbols": ["BTC/USDT:USDT"], "app": {"db_path": str(path)}}
    costs = refreshes(write_config(tmp_path, plain), path, EXCHANGE, 1)
    assert list(costs) == list(PAGES)
    for page, (same, later) in costs.items():
        assert same.questions <= (3 if page == "health" else 0), page  # that of health tells what is so now
        assert 0 < later.questions < 40, page


def test_rows_hold_the_slowest_page_against_the_bar() -> None:
    row = viewer._seen_row("first figure", {"overview": [1.0, 3.0, 1.2], "health": [0.5, 0.6, 0.4]}, 2.0)
    assert (row.value, row.met) == (1.2, True)
    assert row.measured == "Overview 1.2 s, Health 500 ms"
    assert row.figures["overview fastest"] == 1.0


def test_the_longest_task_of_a_turn_of_the_wheel_is_judged() -> None:
    chart, wheel = viewer._chart_rows([2.0, 3.0], [Wheel([20.0, 90.0], [210.0], [30.0]), Wheel([40.0], [], [50.0])])
    assert (chart.value, chart.met) == (2.5, True)
    assert (wheel.value, wheel.met) == (105.0, True)
    assert "worst 90 ms" in wheel.measured


def test_what_a_page_costs_to_draw_again_is_told_by_page() -> None:
    same, later = viewer._refresh_rows({"overview": (Cost(0, 0.02), Cost(12, 0.2))})
    assert "Overview 0 questions, 20 ms" in same.measured
    assert "Overview 12 questions, 200 ms" in later.measured
