"""The overview in its states: nothing taken, one signal, many, an open trade, and a stale market."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.dashboard._positions import progress_chart
from core.dashboard._theme import DARK
from core.results.positions import POSITIONS
from core.schema import conform
from core.store.reader import Reader
from core.store.writer import Writer
from tests.factories import Story, write_database

REPOSITORY = Path(__file__).parents[2]


def app() -> None:
    from core.dashboard.overview import page

    page()


@pytest.fixture
def overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that draws the overview of a story's database, perhaps changed."""

    def of(story: Story, change: Callable[[Path], None] = lambda _: None) -> AppTest:
        database = write_database(tmp_path / "ohlcv.db", story)
        change(database)
        monkeypatch.setenv("TRADER_DB", str(database))
        monkeypatch.setenv("TRADER_CONFIG", str(REPOSITORY / "config.yaml"))
        monkeypatch.delenv("TRADER_PROFILE", raising=False)
        at = AppTest.from_function(app, default_timeout=30).run()
        assert not at.exception, at.exception
        return at

    return of


def figures(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def test_many_trades_show_every_figure_with_what_it_rests_on(overview) -> None:
    at = overview(Story(days=45, symbols=("BTC/USDT:USDT", "ETH/USDT:USDT"), every=6))
    told = figures(at)
    assert list(told)[:8] == [
        *("BTC/USDT", "Open positions", "Today's result", "Account"),
        *("Win rate", "Profit factor", "Expectancy", "Evidence"),
    ]
    assert told["Win rate"].endswith(" %")
    assert told["Evidence"] == "None"
    assert len(at.dataframe[0].value) == 8


def test_a_single_signal_is_not_enough_for_a_rate(overview) -> None:
    at = overview(Story(days=3, timeframes=("15m",), limit=1))
    assert figures(at)["Win rate"] in ("-", "not enough data")
    assert len(at.dataframe[0].value) == 1


def test_candles_alone_have_a_price_and_name_the_command_that_scans_them(overview) -> None:
    at = overview(Story(days=1, every=0))
    assert figures(at)["BTC/USDT"] != "-"
    assert figures(at)["Win rate"] == "-"
    assert any("retro_scan.py" in code.value for code in at.code)


def test_a_live_market_that_stands_still_is_stale(overview) -> None:
    at = overview(Story(days=1, every=0, synthetic=False, exchange="bitget"))
    assert any("Stale" in warning.value for warning in at.warning)


def test_an_open_position_counts_with_what_a_target_brought(overview) -> None:
    def half_out(database: Path) -> None:
        (close,) = Reader(database).last_candles("synthetic", "BTC/USDT:USDT", "1m", 1).close
        newest = "(SELECT max(signal_id) FROM trades WHERE taken = 1)"
        half = f"status = 'OPEN', remaining = 0.5, r_multiple = 0.75, fill_price = {float(close)}"
        with Writer(database) as writer, writer.transaction():
            writer._connection.execute(f"UPDATE trades SET {half} WHERE signal_id = {newest}")

    at = overview(Story(), half_out)
    (tile,) = (metric for metric in at.metric if metric.label == "Open positions")
    assert (tile.value, tile.delta) == ("1", "+0.75 R")


def test_an_open_trade_stands_between_its_stop_and_its_targets() -> None:
    one = {"signal_id": 7, "symbol": "BTC/USDT:USDT", "timeframe": "1h", "direction": "long", "status": "OPEN"}
    levels = {"price_r": 0.4, "stop_r": -1.0, "tp1_r": 1.5, "tp2_r": float("nan"), "tp1_hit": 0, "since_ms": 0}
    rows = pd.DataFrame([{**dict.fromkeys(POSITIONS, 0.0), **one, **levels}])
    chart = progress_chart(conform(rows, POSITIONS), DARK)
    name = "#7 BTC/USDT 1h long"
    drawn = {series["name"]: series["data"] for series in chart["series"]}
    assert drawn["Price now"] == [[0.4, name]]
    assert drawn["Target"] == [[1.5, name]]
    assert drawn["At risk"][:2] == [[-1.0, name], [0.0, name]]
