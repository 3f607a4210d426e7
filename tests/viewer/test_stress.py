"""The part of Results that plays the trades again under other assumptions."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.jobs.stress import StressRequest, stress_text
from core.results.variants import VARIANTS
from core.store.reader import Reader
from core.store.writer import Writer
from tests.factories import Story, write_database
from tests.scanned import scanned_tape


def results_app() -> None:
    from core.dashboard.results import page

    page()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = scanned_tape(tmp_path)
    monkeypatch.setenv("TRADER_CONFIG", str(path))
    monkeypatch.delenv("TRADER_DB", raising=False)
    monkeypatch.delenv("TRADER_PROFILE", raising=False)
    return path


def opened() -> AppTest:
    at = AppTest.from_function(results_app, default_timeout=60)
    at.query_params["part"] = "Stress"
    return at.run()


def pressed(at: AppTest) -> AppTest:
    (button,) = [one for one in at.button if one.label == "Play them again"]
    button.click().run()
    assert not at.exception, at.exception
    return at


def captions(at: AppTest) -> str:
    return "\n".join(str(one.value) for one in at.caption)


def tables(at: AppTest) -> list[list[list[str]]]:
    shown = [one.value for one in at.dataframe if "Assumption" in one.value.columns]
    return [table.to_numpy().tolist() for table in shown]


def test_nothing_is_played_before_it_is_asked_for(config: Path) -> None:
    at = opened()
    assert not at.exception
    assert "about a second for each symbol and year" in captions(at)
    assert tables(at) == []


def test_the_page_shows_what_the_command_prints(config: Path) -> None:
    at = pressed(opened())
    printed = stress_text(Reader(config.parent / "ohlcv.db"), StressRequest())
    results, changes = tables(at)
    assert [row[0] for row in results] == ["as played", *VARIANTS]
    assert [row[0] for row in changes] == list(VARIANTS)
    for row in [*results, *changes]:
        assert any(line.split("  ")[0] == row[0] and all(cell in line for cell in row) for line in printed.splitlines())
    assert "Took " in captions(at)
    assert "database has changed" not in captions(at)


def test_a_table_older_than_the_database_says_so(config: Path) -> None:
    at = pressed(opened())
    before = tables(at)
    with Writer(config.parent / "ohlcv.db") as writer:
        writer.set_meta("touched", "1")
    at.session_state["snapshot Results"] = (-1e9, None)  # as if a minute had passed
    at.run()
    assert not at.exception
    assert tables(at) == before
    assert "The database has changed since" in captions(at)
    assert "database has changed" not in captions(pressed(at))


def test_trades_whose_parameters_cannot_be_read_are_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADER_DB", str(write_database(tmp_path / "ohlcv.db", Story(days=3))))
    at = pressed(opened())
    assert any("stored exit policy" in str(error.value) for error in at.error)
    assert "Under other assumptions" in [one.value for one in at.subheader]
