"""Every page in every state of the database: it says what is missing, names the command, and shows what there is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.clock import MINUTE_MS
from core.schema import Candles
from core.store.migrations import SCHEMA_VERSION
from core.store.reader import Reader
from core.store.writer import Writer

PAGES = ("overview", "signals", "feed", "results", "model", "replay", "health")
TITLES = ("Overview", "Signals & Candles", "Signals feed", "Results", "Model", "Replay", "Health")
Drawn = Callable[..., AppTest]

pytestmark = pytest.mark.parametrize("place", PAGES)

WITHOUT_SIGNALS = {
    "overview": ("No signals yet", "python retro_scan.py --start 2024-01-01"),
    "signals": ("No signals yet", "python retro_scan.py --start 2024-01-01"),
    "feed": ("No signals yet", "python scheduler_run.py"),
    "results": ("No signals yet", "python retro_scan.py --start 2024-01-01"),
    "model": ("No model yet", "python train_meta.py"),
    "replay": ("0 signals so far",),
    "health": ("The engine has never run on this database", "python scheduler_run.py"),
}
WITH_ONE = {
    "overview": ("Newest signals",),
    "signals": ("The newest 1, by the time of decision.",),
    "feed": ("1 of 1 candidates",),
    "results": ("Not enough data to judge",),
    "model": ("No model yet",),
    "replay": ("signals so far",),
    "health": ("Findings", "Series"),
}
WITH_MANY = WITH_ONE | {
    "overview": ("Newest signals", "Open trades"),
    "signals": ("Choose a signal above", "The newest 200, by the time of decision."),
    "feed": (" candidates**: ", " taken, "),
    "results": ("All candidates", "Taken", "no financial advice"),
}


class TakenBackError(Exception):
    """Ends a transaction without leaving anything of it."""


def told(at: AppTest) -> str:
    """Return everything a page says in words."""
    kinds = (at.title, at.subheader, at.markdown, at.caption, at.warning, at.info, at.error, at.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def one_line(at: AppTest) -> str:
    """Return the one error a page shows, which stands on one line below its title."""
    (error,) = at.error
    assert "\n" not in error.value
    assert at.title[0].value in TITLES
    return str(error.value)


def test_without_a_database_the_commands_that_make_one_are_named(place: str, drawn: Drawn, databases) -> None:
    words = told(drawn(place, databases("none")))
    assert "No database yet" in words
    for command in ("python init_db.py", "python download_data.py", "make demo"):
        assert command in words


def test_an_empty_database_asks_for_candles(place: str, drawn: Drawn, databases) -> None:
    words = told(drawn(place, databases("empty")))
    assert "The database is empty" in words
    assert "python download_data.py" in words


def test_candles_without_signals_name_what_comes_next(place: str, drawn: Drawn, databases) -> None:
    words = told(drawn(place, databases("candles")))
    for expected in WITHOUT_SIGNALS[place]:
        assert expected in words


def test_a_single_trade_is_shown_and_judged_by_nobody(place: str, drawn: Drawn, databases) -> None:
    at = drawn(place, databases("one"))
    for expected in WITH_ONE[place]:
        assert expected in told(at)
    rates = [metric.value for metric in at.metric if metric.label in ("Win rate", "Profit factor", "Expectancy")]
    assert not any(value.endswith(("%", " R")) for value in rates)


def test_many_trades_are_shown(place: str, drawn: Drawn, databases) -> None:
    at = drawn(place, databases("many"))
    assert not at.error
    for expected in WITH_MANY[place]:
        assert expected in told(at)


def test_a_live_market_that_stands_still_is_stale(place: str, drawn: Drawn, databases) -> None:
    at = drawn(place, databases("stale"))
    (warning,) = [element.value for element in at.warning if element.value.startswith("Stale:")]
    assert "`python scheduler_run.py`" in warning
    assert "SYNTHETIC" not in told(at)


def test_a_writer_in_the_middle_of_a_transaction_keeps_nobody_out(place: str, drawn: Drawn, databases) -> None:
    path = databases("many")
    frontier = int(Reader(path).series()["frontier_ms"].max())
    with Writer(path) as writer, contextlib.suppress(TakenBackError), writer.transaction():
        one = Candles.of([frontier], [1.0], [1.0], [1.0], [1.0], [1.0])
        writer.put_candles("synthetic", "BTC/USDT:USDT", "1m", one, frontier + MINUTE_MS)
        at = drawn(place, path)
        raise TakenBackError
    assert not at.error
    for expected in WITH_MANY[place]:
        assert expected in told(at)


def test_a_database_of_an_older_schema_names_the_command_that_brings_it_up_to_date(
    place: str, drawn: Drawn, databases
) -> None:
    line = one_line(drawn(place, databases("older")))
    assert f"schema {SCHEMA_VERSION - 1}, expected {SCHEMA_VERSION}" in line
    assert "`python init_db.py`" in line


def test_a_database_of_a_newer_schema_asks_for_a_newer_program(place: str, drawn: Drawn, databases) -> None:
    line = one_line(drawn(place, databases("newer")))
    assert f"schema {SCHEMA_VERSION + 1} is newer than this program's {SCHEMA_VERSION}" in line
    assert "`make install`" in line


def test_a_broken_configuration_is_one_line_that_names_the_place(place: str, drawn: Drawn, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("symbols: [BTC/USDT:USDT]\ntimeframes: [1 quarter]\n")
    line = one_line(drawn(place, None, config))
    assert "config.yaml:2: timeframes" in line


def test_a_database_is_shown_without_its_configuration_and_that_is_said(
    place: str, drawn: Drawn, databases, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("timeframes: [\n")
    at = drawn(place, databases("many"), config)
    assert not at.error
    assert "Without configuration: config.yaml" in told(at)
