"""The viewer's pages in every state a database can be in."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.store.writer import Writer
from tests.factories import Story, write_database

REPOSITORY = Path(__file__).parents[2]
SYMBOL = "BTC/USDT:USDT"


def signals_app() -> None:
    from core.dashboard.signals_candles import page

    page()


def results_app() -> None:
    from core.dashboard.results import page

    page()


def overview_app() -> None:
    from core.dashboard.overview import page

    page()


def feed_app() -> None:
    from core.dashboard.feed import page

    page()


APPS = {"overview": overview_app, "feed": feed_app, "signals": signals_app, "results": results_app}


@pytest.fixture
def point_at(monkeypatch: pytest.MonkeyPatch):
    """Return a function that points the viewer at a database and hands back a page to run."""

    def to(path: Path, page: str) -> AppTest:
        monkeypatch.setenv("TRADER_DB", str(path))
        monkeypatch.setenv("TRADER_CONFIG", str(REPOSITORY / "config.yaml"))
        monkeypatch.delenv("TRADER_PROFILE", raising=False)
        return AppTest.from_function(APPS[page], default_timeout=30)

    return to


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    story = Story(days=21, symbols=(SYMBOL, "ETH/USDT:USDT"), every=20)
    return write_database(tmp_path_factory.mktemp("many") / "ohlcv.db", story)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    story = Story(days=3, timeframes=("15m",), limit=1)
    return write_database(tmp_path_factory.mktemp("one") / "ohlcv.db", story)


def said(at: AppTest) -> str:
    """Return everything a page says in words."""
    kinds = (at.title, at.subheader, at.markdown, at.caption, at.warning, at.info, at.error, at.code)
    words = [str(element.value) for kind in kinds for element in kind]
    return "\n".join([*words, *(table.value.to_string() for table in at.table)])


def sound(at: AppTest) -> AppTest:
    at.run()
    assert not at.exception, at.exception
    return at


@pytest.mark.parametrize("page", APPS)
def test_without_a_database_the_commands_that_make_one_are_named(page: str, tmp_path: Path, point_at) -> None:
    text = said(sound(point_at(tmp_path / "none.db", page)))
    assert "No database yet" in text
    assert "none.db" in text
    for command in ("python init_db.py", "python download_data.py", "make demo"):
        assert command in text


@pytest.mark.parametrize("page", APPS)
def test_an_empty_database_asks_for_candles(page: str, tmp_path: Path, point_at) -> None:
    Writer(tmp_path / "ohlcv.db").close()
    text = said(sound(point_at(tmp_path / "ohlcv.db", page)))
    assert "The database is empty" in text
    assert "python download_data.py" in text


@pytest.mark.parametrize("page", APPS)
def test_candles_without_signals_ask_for_a_retro_scan(page: str, tmp_path: Path, point_at) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=1, every=0))
    text = said(sound(point_at(path, page)))
    assert "No signals yet" in text
    assert "python retro_scan.py --start 2024-01-01" in text


def test_signals_without_trades_say_that_they_were_not_played(tmp_path: Path, point_at) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=2, trades=False))
    assert "No trades yet" in said(sound(point_at(path, "results")))


@pytest.mark.parametrize("page", APPS)
def test_a_file_that_is_no_database_is_one_clear_line(page: str, tmp_path: Path, point_at) -> None:
    path = tmp_path / "ohlcv.db"
    path.write_text("this is not a database, but long enough to be looked at as one" * 100)
    at = sound(point_at(path, page))
    (error,) = at.error
    assert "ohlcv.db" in error.value
    assert "\n" not in error.value


@pytest.mark.parametrize("page", APPS)
def test_a_database_of_another_schema_is_one_clear_line(page: str, tmp_path: Path, point_at) -> None:
    import apsw

    path = write_database(tmp_path / "ohlcv.db", Story(days=1, every=0))
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 999)
    connection.close()
    (error,) = sound(point_at(path, page)).error
    assert "schema 999 is newer" in error.value


def test_a_single_trade_is_not_enough_for_any_rate(one: Path, point_at) -> None:
    text = said(sound(point_at(one, "results")))
    assert "Not enough data to judge" in text
    assert "not enough data" in text
    assert "30 needed" in text


def test_a_single_signal_can_be_looked_at(one: Path, point_at) -> None:
    at = point_at(one, "signals")
    at.query_params["signal"] = "1"
    text = said(sound(at))
    assert f"#1 SHORT {SYMBOL} 15m" in text or f"#1 LONG {SYMBOL} 15m" in text
    assert "Minute by minute" in text


def test_results_show_all_and_taken_side_by_side(many: Path, point_at) -> None:
    at = sound(point_at(many, "results"))
    text = said(at)
    for heading in ("All candidates", "Taken", "Equity", "Worst falls"):
        assert heading in text
    assert "95 %: " in text
    assert "no financial advice" in text
    assert len(at.dataframe) == 2  # every figure, and the worst falls: other parts are drawn when looked at


def test_generated_candles_are_announced_on_every_page(many: Path, point_at) -> None:
    for page in APPS:
        assert "SYNTHETIC MARKET: every figure here is made of generated candles." in said(sound(point_at(many, page)))


def test_a_real_market_is_not_called_synthetic_and_its_age_is_told(tmp_path: Path, point_at) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=1, every=0, synthetic=False, exchange="bitget"))
    text = said(sound(point_at(path, "signals")))
    assert "SYNTHETIC" not in text
    assert "Stale: the newest candle of bitget closed 2024-01-02 00:00 UTC" in text
    assert "python scheduler_run.py" in text


def test_signals_nobody_judged_are_announced(tmp_path: Path, point_at) -> None:
    path = write_database(tmp_path / "ohlcv.db", Story(days=2, verdict="UNGATED"))
    for page in APPS:
        assert "UNGATED: no model is in force" in said(sound(point_at(path, page)))


def test_choosing_a_signal_shows_its_levels_and_what_became_of_it(many: Path, point_at) -> None:
    at = sound(point_at(many, "signals"))
    assert "Choose a signal above" in said(at)
    number = at.selectbox(key="signal_pick").options[1].split()[0].lstrip("#")
    at.selectbox(key="signal_pick").set_value(int(number)).run()
    assert not at.exception
    text = said(at)
    assert f"#{number} " in text
    assert at.query_params["signal"] in ([number], number)
    assert len(at.code) >= 4  # entry, stop and both targets, each to be copied
    assert "Valid until" in text


def test_the_address_chooses_symbol_timeframe_and_signal(many: Path, point_at) -> None:
    at = point_at(many, "signals")
    at.query_params["symbol"], at.query_params["timeframe"] = "ETH/USDT:USDT", "1h"
    sound(at)
    assert at.selectbox(key="symbol").value == "ETH/USDT:USDT"
    assert at.selectbox(key="timeframe").value == "1h"


def test_an_address_that_names_nothing_known_shows_the_newest(many: Path, point_at) -> None:
    at = point_at(many, "signals")
    at.query_params["symbol"], at.query_params["signal"] = "NO/SUCH", "999999999"
    sound(at)
    assert at.selectbox(key="symbol").value in (SYMBOL, "ETH/USDT:USDT")
    assert "Choose a signal above" in said(at)


def test_another_symbol_lets_go_of_the_chosen_signal(many: Path, point_at) -> None:
    at = point_at(many, "signals")
    at.query_params["signal"] = "1"
    sound(at)
    assert at.selectbox(key="symbol").value == SYMBOL
    at.selectbox(key="symbol").set_value("ETH/USDT:USDT").run()
    assert not at.exception
    assert "Choose a signal above" in said(at)


def test_the_viewer_cannot_write(many: Path, point_at) -> None:
    before = many.read_bytes()
    for page in APPS:
        sound(point_at(many, page))
    assert many.read_bytes() == before


def test_without_configuration_and_database_the_configuration_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TRADER_DB", raising=False)
    monkeypatch.setenv("TRADER_CONFIG", str(tmp_path / "config.yaml"))
    (error,) = sound(AppTest.from_function(results_app, default_timeout=30)).error
    assert "config.yaml" in error.value


def test_the_account_is_left_out_when_no_configuration_says_its_capital(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, many: Path
) -> None:
    monkeypatch.setenv("TRADER_DB", str(many))
    monkeypatch.setenv("TRADER_CONFIG", str(tmp_path / "config.yaml"))
    assert "The account needs the configuration" in said(sound(AppTest.from_function(results_app, default_timeout=30)))


def test_the_feed_says_how_many_of_how_many_it_shows(many: Path, point_at) -> None:
    at = sound(point_at(many, "feed"))
    everything = len(at.dataframe[0].value)
    assert f"{everything:,} of {everything:,} candidates" in said(at)
    at.selectbox(key="feed_taken").select("Taken").run()
    assert not at.exception
    assert 0 < len(at.dataframe[0].value) < everything
    at.text_input(key="feed_text").input("no such thing").run()
    assert any("No candidate fits" in info.value for info in at.info)
