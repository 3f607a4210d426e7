"""The page of the model: without one, with one in force, and with files that do not verify."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.clock import DAY_MS
from core.dashboard._model_charts import bar_chart, bins_chart, drift_chart
from core.dashboard._theme import DARK
from core.results.calibration import ev_bins, p_bins
from core.results.intervals import wilson_interval
from core.training.drift import LIMIT, Alarm, Course
from tests.explained import write_world
from tests.factories import Story, write_database
from tests.viewer.test_pages import said

REPOSITORY = Path(__file__).parents[2]


def app() -> None:
    from core.dashboard.model import page

    page()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch):
    """Return a function that draws the page for a configuration and perhaps another database."""

    def of(config: Path, database: Path | None = None) -> AppTest:
        monkeypatch.setenv("TRADER_CONFIG", str(config))
        monkeypatch.delenv("TRADER_PROFILE", raising=False)
        monkeypatch.delenv("TRADER_DB", raising=False)
        if database is not None:
            monkeypatch.setenv("TRADER_DB", str(database))
        at = AppTest.from_function(app, default_timeout=60).run()
        assert not at.exception, at.exception
        return at

    return of


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    return write_world(tmp_path_factory.mktemp("world"))


def test_without_a_model_the_command_that_learns_one_is_named(drawn, tmp_path: Path) -> None:
    database = write_database(tmp_path / "ohlcv.db", Story(days=2))
    assert "python train_meta.py" in said(drawn(REPOSITORY / "config.yaml", database))


def test_a_model_in_force_is_shown_with_its_evidence_and_importance(drawn, world) -> None:
    at = drawn(world.config)
    labels = {metric.label: metric.value for metric in at.metric}
    assert labels["In force"] not in ("none", "")
    assert {"Skill over the geometry", "Calibration slope", "Realised less expected"} <= labels.keys()
    titles = [heading.value for heading in at.subheader]
    assert titles == ["Said and come", "Evidence", "Drift", "What it looks at", "Registry"]
    assert any("champion" in table.value.to_string() for table in at.dataframe)


def test_files_that_do_not_verify_are_said_and_the_rest_is_shown(drawn, world, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(world.config.parent, folder)
    text = world.config.read_text().replace(str(world.config.parent), str(folder))
    (folder / world.config.name).write_text(text)
    for words in folder.rglob("words.json"):
        words.write_text("{}")
    at = drawn(folder / world.config.name)
    assert any("model" in warning.value for warning in at.warning)
    assert "Registry" in [heading.value for heading in at.subheader]


def test_bins_hold_every_outcome_and_their_interval() -> None:
    rng = np.random.default_rng(3)
    p = pd.Series(rng.uniform(0.2, 0.6, 500))
    won = pd.Series((rng.uniform(size=500) < p).astype(float))
    decided = pd.Series(range(500)) * DAY_MS
    bins = p_bins(p, won, decided)
    assert bins["n"].sum() == 500
    assert bins["said"].is_monotonic_increasing
    assert ((bins["low"] <= bins["came"]) & (bins["came"] <= bins["high"])).all()
    assert p_bins(p[:29], won[:29], decided[:29]).empty
    assert p_bins(pd.Series([np.nan] * 40), pd.Series([1.0] * 40), decided[:40]).empty


def test_a_bin_whose_weeks_move_together_counts_weeks_not_outcomes() -> None:
    weeks = pd.Series(np.repeat(np.arange(20), 10))
    won = (weeks % 2).astype(float)  # all of a week win, or all lose
    p = pd.Series(np.tile([0.3, 0.5], 100))
    (lower, *_), alone = p_bins(p, won, weeks * 7 * DAY_MS).to_dict("records"), wilson_interval(16, 33)
    assert lower["high"] - lower["low"] > 1.5 * (alone[1] - alone[0])


def test_bins_of_a_single_week_are_drawn_without_an_interval() -> None:
    p, won = pd.Series([0.3] * 30 + [0.5] * 30), pd.Series([0.0, 1.0] * 30)
    bins = p_bins(p, won, pd.Series(range(60)))
    assert bins["came"].tolist() == [0.5, 0.5]
    assert bins[["low", "high"]].isna().all(axis=None)
    _, bars, points = bins_chart([("Calibrated", bins)], ("Said", "Came"), "{value}", DARK)["series"]
    assert (bars["data"], len(points["data"])) == ([], 2)


def test_expected_values_stand_beside_the_mean_result_of_their_bin() -> None:
    told = ev_bins(pd.Series([0.1] * 30 + [0.3] * 30), pd.Series([0.0] * 30 + [1.0] * 30), pd.Series(range(60)))
    assert told["said"].round(6).tolist() == [0.1, 0.3]
    assert told["came"].tolist() == [0.0, 1.0]


def test_charts_are_plain_json() -> None:
    told = ev_bins(pd.Series([0.1] * 60), pd.Series([0.5] * 60), pd.Series(range(60)))
    course = Course("p", np.array([1, 2]), np.array([0.5, LIMIT + 1]), (Alarm(2, "p", LIMIT + 1, 9, -0.1),))
    for option in (
        bins_chart([("Mean result", told)], ("Expected", "Realised"), "{value}", DARK),
        drift_chart([course], DARK),
        bar_chart(["a", "b"], [2.0, 1.0], "By family", DARK),
    ):
        assert json.loads(json.dumps(option, allow_nan=False)) == option


def test_the_alarm_level_stands_on_the_drift_chart() -> None:
    course = Course("ev", np.array([1, 2]), np.array([0.0, 3.0]), ())
    (line,) = drift_chart([course], DARK)["series"]
    assert line["markLine"]["data"] == [{"yAxis": LIMIT}]
    assert line["name"] == "Less earned than said"
