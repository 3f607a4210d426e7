"""A scan of the past is judged as of then: by who was in force, else by who knew nothing later, else by nobody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS, HOUR_MS
from core.errors import TraderError
from core.estimators.logistic import Logistic
from core.jobs import retro, scan
from core.jobs._desk import Desk
from core.jobs._gating import load_model, newest_champion
from core.jobs._learning import ledger_of, publish
from core.results.rows import result_rows
from core.schema import PREDICTIONS, frame_of
from core.training.card import golden_rows
from tests.engine import differences
from tests.explained import BTC, CROWNED_MS, END_MS, EXCHANGE, LIVE_MS, TIMEFRAME, World, open_world, write_world
from tests.factories import START_MS
from tests.judged import decided_rows, fill_in, undecided

NUMBERS = ("p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, world: World) -> pd.DataFrame:
    """What one scan writes of the world."""
    with open_world(undecided(tmp_path_factory.mktemp("whole"), world)) as desk:
        assert fill_in(desk).ok
        rows = decided_rows(desk)
    assert len(rows) > 60
    return rows


def foretell(desk: Desk, until_ms: int) -> pd.DataFrame:
    """Put what a walk-forward said of the candidates decided before a time into the ledger."""
    signals = desk.reader.signals(end_ms=until_ms)
    n = len(signals)
    words = {"signal_id": signals["id"].to_numpy(), "ledger": ledger_of(desk), "model": "walk-forward 2024-01-01"}
    numbers = {name: np.linspace(0.1, 0.9, n) for name in NUMBERS}
    frame = frame_of({**words, "train_max_t1": START_MS - DAY_MS, **numbers}, n, PREDICTIONS)
    desk.writer.put_predictions(frame)
    return frame


def test_the_champion_of_then_judges_and_before_there_was_one_nobody_does(whole: pd.DataFrame, world: World) -> None:
    before = whole["decided_ms"] < CROWNED_MS
    assert before.sum() > 20 and (~before).sum() > 20
    assert set(whole.loc[before, "verdict"]) == {"UNGATED"} and set(whole.loc[before, "reason"]) == {"NO_MODEL"}
    assert set(whole.loc[~before, "model_version"]) == {world.version}
    assert {"PASS", "FILTERED"} <= set(whole.loc[~before, "verdict"])
    assert (whole["in_sample"] == 0).all() and (whole["times"] == 1).all()


def test_what_was_said_out_of_sample_judges_where_nobody_was_in_force(tmp_path: Path, world: World) -> None:
    with open_world(undecided(tmp_path, world)) as desk:
        fill_in(desk)
        told = foretell(desk, END_MS).set_index("signal_id")
        fill_in(desk)
        rows = decided_rows(desk)
        before = rows["decided_ms"] < CROWNED_MS
        mine = rows[before]
        assert set(mine["model_version"]) == {"walk-forward 2024-01-01"} and set(mine["times"]) == {2}
        assert set(rows.loc[~before, "times"]) == {1} and set(rows.loc[~before, "model_version"]) == {world.version}
        np.testing.assert_allclose(mine["ml_p"], told.loc[mine["id"], "p"], rtol=0, atol=1e-12)
        stop_pct = 100.0 * (mine["entry"] - mine["sl"]).abs() / mine["entry"]
        np.testing.assert_allclose(mine["ev_pct"], told.loc[mine["id"], "ev_r"].to_numpy() * stop_pct, atol=1e-9)
        decisions = desk.reader.decisions(mine["id"].tolist())
        assert decisions.groupby("signal_id")["seq"].apply(list).tolist() == [[0, 1]] * len(mine)
        assert set(decisions.loc[decisions["seq"] == 0, "verdict"]) == {"UNGATED"}


def test_a_second_scan_with_nothing_new_changes_nothing(tmp_path: Path, world: World, whole: pd.DataFrame) -> None:
    with open_world(undecided(tmp_path, world)) as desk:
        fill_in(desk)
        fill_in(desk)
        assert differences(decided_rows(desk), whole) == []
        foretell(desk, END_MS)
        fill_in(desk)
        once = decided_rows(desk)
        fill_in(desk)
        assert decided_rows(desk).equals(once)


def test_what_was_decided_live_stays_decided(tmp_path: Path, world: World) -> None:
    with open_world(undecided(tmp_path, world)) as desk:
        desk.writer.set_scanned(EXCHANGE, BTC, TIMEFRAME, LIVE_MS)
        asyncio.run(scan.run(desk, END_MS))
        live = decided_rows(desk)
        assert len(live) > 20 and set(live["origin"]) == {"live"}
        fill_in(desk, model=newest_champion(desk))
        foretell(desk, END_MS)
        fill_in(desk)
        rows = decided_rows(desk)
        assert differences(rows[rows["origin"] == "live"].reset_index(drop=True), live) == []
        assert (rows["origin"] == "retro").sum() > 20


def learned_to(desk: Desk, ms: int) -> str:
    """Put a model in force that has learned from outcomes up to a time."""
    model = replace(load_model(desk, newest_champion(desk)), train_max_t1=ms)
    assert desk.features is not None
    ids, vectors = desk.reader.features(desk.features.id)
    assert len(ids)
    facts = {"n": 1, "n_eff": 1.0, "golden": golden_rows(model, vectors)}
    version, _ = publish(desk, model, Logistic(l2=10.0, payoff_l2=10.0), facts, END_MS)
    desk.writer.crown(version, END_MS - HOUR_MS, "a test")
    return version


def test_the_model_of_today_judges_all_and_what_it_learned_from_is_marked(tmp_path: Path, world: World) -> None:
    with open_world(undecided(tmp_path, world)) as desk:
        fill_in(desk)
        before = decided_rows(desk)
        edge = int(before["decided_ms"].sort_values().iloc[len(before) // 2])
        version = learned_to(desk, edge)
        fill_in(desk, model="current")
        rows = decided_rows(desk)
        assert set(rows["model_version"]) == {version}
        assert rows["in_sample"].equals((rows["decided_ms"] <= edge).astype("int64")) and set(rows["in_sample"]) == {
            0,
            1,
        }
        shown = result_rows(desk.reader.trades(), desk.reader.signals())
        assert len(shown) == (rows["in_sample"] == 0).sum()

        fill_in(desk)  # and who was in force then judges again, after all
        names = [name for name in before if name != "times"]
        again = decided_rows(desk)
        newest = again["decided_ms"] < END_MS - HOUR_MS
        assert differences(again.loc[newest, names].reset_index(drop=True), before.loc[newest, names]) == []
        assert set(again["times"]) <= {1, 2, 3} and 3 in set(again["times"])


def test_a_model_named_judges_all_of_them(tmp_path: Path, world: World) -> None:
    with open_world(undecided(tmp_path, world, in_force=False)) as desk:
        fill_in(desk, model=world.version)
        assert set(decided_rows(desk)["model_version"]) == {world.version}


@pytest.mark.parametrize(
    ("model", "code", "words"), [("current", 1, "no model is in force"), ("m2024", 64, "is not on record")]
)
def test_who_cannot_be_asked_is_one_error_and_nothing_is_written(
    tmp_path: Path, world: World, model: str, code: int, words: str
) -> None:
    with open_world(undecided(tmp_path, world, in_force=False)) as desk:
        with pytest.raises(TraderError, match=words) as refusal:
            fill_in(desk, model=model)
        assert refusal.value.exit_code == code
        assert desk.reader.signals().empty


@pytest.mark.parametrize(("hours", "jobs"), [(19, 1), (31, 1), (5 * 24, 2)])
def test_neither_the_length_of_a_chunk_nor_who_computes_changes_a_verdict_or_a_vector(
    tmp_path: Path, world: World, whole: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, hours: int, jobs: int
) -> None:
    monkeypatch.setattr(retro, "CHUNK_MS", hours * HOUR_MS)
    with open_world(undecided(tmp_path, world)) as desk:
        fill_in(desk, jobs=jobs)
        assert differences(decided_rows(desk), whole) == []


def test_outcomes_of_earlier_candidates_are_those_known_by_then(tmp_path: Path, world: World) -> None:
    with open_world(undecided(tmp_path, world)) as desk:
        fill_in(desk)
        rows, trades = decided_rows(desk), desk.reader.trades().set_index("signal_id")
        closed = trades[trades["status"] == "CLOSED"].sort_values("known_ms", kind="stable")
        assert desk.features is not None
        columns = {name: f"f{desk.features.columns.index(name)}" for name in ("out_r_1", "out_r_5", "out_count")}
        for row in rows.to_dict("records"):
            known = closed[closed["known_ms"] <= row["decided_ms"]]
            lately = known["known_ms"] > row["decided_ms"] - 30 * DAY_MS
            assert row[columns["out_count"]] == lately.sum()
            for count in (1, 5):
                mean = known["r_multiple"].iloc[-count:].mean() if len(known) >= count else np.nan
                np.testing.assert_allclose(row[columns[f"out_r_{count}"]], mean, rtol=0, atol=1e-9)


def test_without_a_model_and_predictions_everything_is_ungated(tmp_path: Path, world: World) -> None:
    with open_world(undecided(tmp_path, world, in_force=False)) as desk:
        fill_in(desk)
        assert set(decided_rows(desk)["verdict"]) == {"UNGATED"}
