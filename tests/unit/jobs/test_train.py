"""Training learns from what is finished; what it finds comes in force where it may, and else nothing has happened."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.errors import ConfigError, ModelError, TraderError
from core.estimators.logistic import Logistic
from core.gate import Calibrator, Model
from core.jobs import train
from core.jobs._desk import Desk, Report
from core.jobs._gating import load_model, newest_champion
from core.jobs._learning import dataset_of, ledger_of, publish
from core.schema import PREDICTIONS, frame_of
from core.store import artefacts
from core.store.writer import Writer
from core.training.card import GOLDEN_ROWS, card_of, golden_rows
from tests.engine import ROOT, trader
from tests.label_worlds import START_MS, WEEK_MS, label_world
from tests.learned import END_MS, copied, learnable, on_desk, put_world

TABLES = ("models", "reigns", "predictions", "thresholds")


def learn(desk: Desk, now_ms: int = END_MS) -> Report:
    return asyncio.run(train.run(desk, now_ms))


def registry(desk: Desk) -> dict[str, pd.DataFrame]:
    return {name: getattr(desk.reader, name)() for name in TABLES}


def assert_unchanged(before: dict[str, pd.DataFrame], desk: Desk) -> None:
    for name, frame in registry(desk).items():
        assert frame.equals(before[name]), name


def crown_another(desk: Desk, since_ms: int, **change: Any) -> str:
    """Put the model in force under other words in force from a time on, as the only one there ever was."""
    champion = load_model(desk, newest_champion(desk))
    other = replace(champion, **change)
    golden = golden_rows(other, dataset_of(desk, END_MS).vectors)
    version, _ = publish(desk, other, Logistic(), {"n": 1, "n_eff": 1.0, "golden": golden}, END_MS)
    desk.writer.crown(version, since_ms, "a test")
    return version


def test_the_first_model_is_put_in_force_from_the_next_moment_on(learned: Path) -> None:
    with on_desk(learned) as desk:
        (reign,) = desk.reader.reigns().to_dict("records")
        (model,) = desk.reader.models().to_dict("records")
        assert (reign["version"], reign["since_ms"], reign["reason"]) == (model["version"], END_MS + 1, "the first")
        assert model["state"] == "champion" and model["train_max_t1"] <= END_MS
        assert load_model(desk, model["version"]).skill


def test_while_the_market_goes_on_a_model_waits_for_closes_nobody_has_decided(untrained: Path) -> None:
    with on_desk(untrained) as desk:
        asyncio.run(train.run(desk, END_MS + 1_000, live=True))
        since = int(desk.reader.reigns()["since_ms"].iloc[0])
        assert since > END_MS + MINUTE_MS and since % MINUTE_MS == 0


def test_predictions_are_stored_and_none_knew_its_outcome(learned: Path) -> None:
    with on_desk(learned) as desk:
        told = desk.reader.predictions(ledger_of(desk))
        signals = desk.reader.signals().set_index("id")
        assert len(told) > 200 and told["signal_id"].is_unique
        assert (told["train_max_t1"] < signals.loc[told["signal_id"], "decided_ms"].to_numpy()).all()


def test_a_card_keeps_golden_rows_and_the_model_says_them_again(learned: Path) -> None:
    with on_desk(learned) as desk:
        version = newest_champion(desk)
        card = card_of(desk.reader.model_card(version) or "")
        assert len(card["golden"]) == GOLDEN_ROWS
        vectors = np.array([row["vector"] for row in card["golden"]], dtype=np.float64)
        model = load_model(desk, version)
        scores = model.estimator.score(vectors)
        said = model.calibrator.apply(scores.p_geo, scores.p_raw)
        np.testing.assert_allclose(said, [row["p"] for row in card["golden"]], rtol=0, atol=1e-9)


def test_training_again_on_the_same_data_changes_nothing(trained: Path) -> None:
    with on_desk(trained) as desk:
        before = registry(desk)
        report = learn(desk)
        assert report.ok and report.counts["promoted"] == 0
        assert_unchanged(before, desk)


@pytest.mark.parametrize("estimator", ["logistic", "xgboost"])
def test_the_same_data_gives_the_same_model_to_the_bit(tmp_path: Path, estimator: str) -> None:
    change = {"models": {"meta": {"estimator": estimator}}}
    one = learnable(tmp_path / "one", n=260, change=change)
    other = copied(one, tmp_path / "other")
    files, told = [], []
    for config in (one, other):
        with on_desk(config) as desk:
            assert learn(desk).counts["promoted"] == 1
            (model,) = desk.reader.models().to_dict("records")
            folder = desk.config.models.meta.model_path
            files.append(artefacts.load(folder, model["version"], model["sha256"]))
            told.append(desk.reader.predictions())
    assert files[0] == files[1]
    assert told[0].equals(told[1])


def one_sided(config: Path) -> None:
    with on_desk(config) as desk:
        world = label_world(400, seed=9, columns=6, weeks=20)
        world.rows["signal_id"] += 10_000
        world.rows["won"], world.rows["net_r"] = 1.0, 1.0
        put_world(desk, world)


def infinite(config: Path) -> None:
    with on_desk(config) as desk:
        world = label_world(30, seed=8, columns=6, weeks=4, start=START_MS + 20 * WEEK_MS)
        world.rows["signal_id"] += 10_000
        world.vectors[3, 0] = np.inf
        put_world(desk, world)


POOR: dict[str, tuple[dict[str, Any], str]] = {
    "too few": ({"models": {"meta": {"min_signals_for_training": 5_000}}}, "expected at least 5000 effective"),
    "other plans": ({"signals": {"fibo": {"entry_level": 0.5}}}, "no finished candidate has features"),
}


@pytest.mark.parametrize("case", POOR)
def test_too_little_is_one_line_and_everything_stays(
    tmp_path: Path, learned: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = POOR[case]
    config = copied(learned, tmp_path / "world")
    with on_desk(config) as desk:
        before = registry(desk)
    learnable(tmp_path / "other", n=1, change=change)
    text = (tmp_path / "other" / "config.yaml").read_text(encoding="utf-8")
    config.write_text(text.replace(str(tmp_path / "other"), str(config.parent)), encoding="utf-8")
    capsys.readouterr()
    assert trader(config, "train-meta") == 1
    told = [line for line in capsys.readouterr().err.splitlines() if "training:" not in line]
    assert len(told) == 1 and words in told[0]
    with on_desk(config) as desk:
        assert_unchanged(before, desk)


def test_outcomes_of_one_kind_teach_nothing(tmp_path: Path) -> None:
    config = learnable(tmp_path, n=0)
    one_sided(config)
    with on_desk(config) as desk, pytest.raises(TraderError, match="expected winners and losers") as caught:
        learn(desk)
    assert caught.value.exit_code == 1


def test_an_infinite_feature_is_named_and_everything_stays(trained: Path) -> None:
    infinite(trained)
    with on_desk(trained) as desk:
        before = registry(desk)
        with pytest.raises(ModelError, match="geo_rr1 is infinite"):
            learn(desk)
        assert_unchanged(before, desk)


def test_with_models_switched_off_there_is_nothing_to_learn_from(trained: Path) -> None:
    text = trained.read_text(encoding="utf-8")
    at = text.index("  meta:\n")
    trained.write_text(text[:at] + text[at:].replace("enabled: true", "enabled: false", 1), encoding="utf-8")
    with on_desk(trained) as desk, pytest.raises(ConfigError, match=r"models\.meta\.enabled is false"):
        learn(desk)


def with_rival(config: Path) -> None:
    """Have the estimator learn otherwise, so that a training makes another model and another ledger."""
    text = config.read_text(encoding="utf-8")
    assert "      xgboost:\n" in text
    config.write_text(text.replace("      xgboost:\n", "      logistic:\n        l2: 3.0\n      xgboost:\n"), "utf-8")


def foretold(desk: Desk, turned: bool) -> None:
    """Put into the ledger what knows the outcomes of the last eight weeks, or their opposite."""
    signals, trades = desk.reader.signals(start_ms=END_MS - 8 * WEEK_MS), desk.reader.trades().set_index("signal_id")
    won = (trades.loc[signals["id"], "pnl_pct"] > 0).to_numpy()
    p = np.where(won != turned, 0.9, 0.1)
    numbers = dict.fromkeys(("p_geo", "payoff", "ev_payoff_r", "ev_p_r", "ev_r"), 0.5)
    ids = signals["id"].to_numpy()
    columns = {"signal_id": ids, "ledger": ledger_of(desk), "model": "m", "train_max_t1": START_MS, **numbers}
    desk.writer.put_predictions(frame_of({**columns, "p": p, "p_raw": p}, len(ids), PREDICTIONS))


@pytest.mark.parametrize("turned", [True, False], ids=["worse", "better"])
def test_a_challenger_comes_in_force_only_where_its_like_was_not_worse(trained: Path, turned: bool) -> None:
    with on_desk(trained) as desk:  # one whose reign covers the weeks they are compared on
        champion = reigning_since(desk, END_MS - 9 * WEEK_MS)
    with_rival(trained)
    with on_desk(trained) as desk:
        foretold(desk, turned)
        report = learn(desk)
        models = desk.reader.models().set_index("version")["state"]
        (challenger,) = (version for version in models.index if version != champion)
        assert report.counts["promoted"] == int(not turned)
        assert newest_champion(desk) == (champion if turned else challenger)
        assert models[champion] == ("champion" if turned else "previous")
        assert models[challenger] == ("retired" if turned else "champion")
        assert ("no worse than the champion" in report.text) != turned
        assert len(desk.reader.predictions(ledger_of(desk))) > 300


def reigning_since(desk: Desk, since_ms: int) -> str:
    """Have the one model been in force from an earlier time on."""
    (model,) = desk.reader.models().to_dict("records")
    connection = desk.writer._connection
    connection.execute("DROP TRIGGER reigns_stay")
    connection.execute("UPDATE reigns SET since_ms = ?", (since_ms,))
    return str(model["version"])


@pytest.mark.parametrize("other", ["plan_hash", "exit_policy"])
def test_a_champion_that_cannot_judge_the_candidates_of_today_does_not_stay_for_ever(trained: Path, other: str) -> None:
    with on_desk(trained) as desk:
        foreign = crown_another(desk, END_MS + 1, calibrator=Calibrator("none"), **{other: "of-other-trades"})
    with_rival(trained)
    with on_desk(trained) as desk:
        assert learn(desk).counts["promoted"] == 1
        reigns = desk.reader.reigns()
        assert reigns["reason"].iloc[-1] == f"{foreign} cannot judge the candidates of today"


def test_a_champion_whose_files_are_gone_is_replaced(trained: Path) -> None:
    with on_desk(trained) as desk:
        gone = newest_champion(desk)
        shutil.rmtree(Path(desk.config.models.meta.model_path) / gone)
    with_rival(trained)
    with on_desk(trained) as desk:
        assert learn(desk).counts["promoted"] == 1
        assert newest_champion(desk) != gone


def test_a_folder_of_models_that_another_database_made_is_left_alone(trained: Path) -> None:
    with_rival(trained)
    with on_desk(trained) as desk:
        folder = Path(desk.config.models.meta.model_path)
        artefacts.publish(folder, "of-another-database", {"a.json": b"{}"})
        learn(desk)
        assert "of-another-database" in artefacts.versions(folder)


class Spoils(Writer):
    """A disk that does not keep what is written to it."""

    models: Path

    def put_model(self, version: str, card_json: str, **named: Any) -> None:
        super().put_model(version, card_json, **named)
        (self.models / version / "words.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("first", [True, False])
def test_a_model_that_cannot_be_read_back_is_not_put_in_force(
    request: pytest.FixtureRequest, first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    config: Path = request.getfixturevalue("untrained" if first else "trained")
    with_rival(config)
    with on_desk(config) as desk, Spoils(desk.writer.path) as writer:
        champion = newest_champion(desk)
        writer.models = Path(desk.config.models.meta.model_path)
        report = learn(replace(desk, writer=writer, reader=writer.reader))
        assert report.counts["promoted"] == 0 and newest_champion(desk) == champion
        assert desk.reader.models()["state"].tolist().count("retired") == 1
        assert "not as it was published" in caplog.text


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from core.jobs import train
from core.store.writer import Writer
from tests.learned import END_MS, on_desk

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

Writer.crown = killed
Writer.retire = killed
with on_desk(Path(sys.argv[1])) as desk:
    asyncio.run(train.run(desk, END_MS))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_killed_before_it_is_put_in_force_a_model_is_by_the_next_run(untrained: Path) -> None:
    alike = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", KILLED, str(untrained)]
    ended = subprocess.run(command, cwd=ROOT, env=alike, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    with on_desk(untrained) as desk:
        assert desk.reader.models()["state"].tolist() == ["candidate"] and desk.reader.reigns().empty
        assert learn(desk).counts["promoted"] == 1
        assert desk.reader.models()["state"].tolist() == ["champion"]


def test_a_model_on_record_is_its_card_and_cannot_be_another(learned: Path) -> None:
    with on_desk(learned) as desk:
        version = newest_champion(desk)
        card = json.loads(desk.reader.model_card(version) or "")
        model: Model = load_model(desk, version)
        assert card["columns"] == list(model.columns) and card["train_max_t1"] == model.train_max_t1
        assert card["from_ms"] < card["to_ms"] < END_MS + HOUR_MS
        assert card["skill_over_geometry"]["low_pct"] > 0
