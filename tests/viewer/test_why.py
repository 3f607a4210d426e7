"""Why a signal was let through or refused, on its card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.dashboard._theme import DARK
from core.dashboard._why import waterfall
from core.results._plan import size_line
from core.store.reader import Reader
from tests.explained import World, write_world
from tests.viewer.test_pages import said


def app() -> None:
    from core.dashboard.signals_candles import page

    page()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


def card(world: World, number: int, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("TRADER_CONFIG", str(world.config))
    monkeypatch.delenv("TRADER_DB", raising=False)
    monkeypatch.delenv("TRADER_PROFILE", raising=False)
    at = AppTest.from_function(app, default_timeout=60)
    at.query_params["signal"] = str(number)
    at.run()
    assert not at.exception, at.exception
    return at


def test_a_judged_signal_shows_chance_worth_evidence_and_what_moved_the_model(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals = Reader(Path(world.database)).signals()
    judged = signals[signals["model_version"] == world.version]
    text = said(card(world, int(judged["id"].iloc[0]), monkeypatch))
    for word in ("**Why**", "Geometry alone", "Calibrated", "Worth by payoff", "Needed", "Evidence", world.version):
        assert word in text
    assert "From the chance of the plan's geometry alone" in text


def test_the_card_says_what_is_risked_in_the_words_of_the_alert(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Reader(Path(world.database)).signals()
    chosen = signals[signals["position_notional"] > 0].iloc[0]
    told = said(card(world, int(chosen["id"]), monkeypatch)).replace("\u00a0", " ")
    risked = size_line(chosen.to_dict()).partition(", risk ")[2]
    assert "(at most 0.5 % of capital)" in risked
    assert f"{risked}, before costs" in told


def test_a_signal_nobody_judged_has_no_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Reader(Path(world.database)).signals()
    free = signals[signals["verdict"] == "UNGATED"]
    assert len(free)
    assert "**Why**" not in said(card(world, int(free["id"].iloc[0]), monkeypatch))


def test_the_bars_lead_from_the_geometrys_chance_to_the_models() -> None:
    option = waterfall(0.0, {"volume": 1.0, "trend": -0.5}, DARK)
    bottoms, bars = (series["data"] for series in option["series"])
    assert option["xAxis"]["data"] == ["geometry", "volume", "trend", "model"]
    assert bars[0]["value"] == 50.0
    assert bars[1]["value"] == pytest.approx(73.1059 - 50.0, abs=1e-3)
    assert bottoms[2] + bars[2]["value"] == pytest.approx(73.1059, abs=1e-3)
    assert bars[3]["value"] == pytest.approx(bottoms[2], abs=1e-3)
    assert json.loads(json.dumps(option, allow_nan=False)) == option
