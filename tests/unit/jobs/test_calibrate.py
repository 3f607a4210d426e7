"""The calibrator changes where that is worth something, on what was said out of sample; the model stays the same."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS
from core.errors import StoreError, TraderError
from core.estimators.logistic import Logistic
from core.gate import Calibrator
from core.jobs import calibrate, train
from core.jobs._desk import Desk, Report
from core.jobs._gating import load_model, newest_champion
from core.jobs._learning import dataset_of, estimator_of, ledger_of, publish, tuning_rows
from core.schema import PREDICTIONS, frame_of
from core.training.card import card_of, golden_rows
from tests.engine import trader
from tests.learned import END_MS, learnable, on_desk


def fit(desk: Desk, dry_run: bool = False) -> Report:
    return asyncio.run(calibrate.run(desk, END_MS, dry_run=dry_run))


def crown_badly_calibrated(desk: Desk, **change: Any) -> str:
    """Put the model under a map that is far off in force."""
    champion = load_model(desk, newest_champion(desk))
    other = replace(champion, calibrator=Calibrator("platt", a=0.2, b=0.8, n_eff=300.0), **change)
    golden = golden_rows(other, dataset_of(desk, END_MS).vectors)
    version, _ = publish(desk, other, estimator_of(desk), {"n": 1, "n_eff": 1.0, "golden": golden}, END_MS)
    desk.writer.crown(version, END_MS + 1, "a test")
    return version


def registry(desk: Desk) -> tuple[pd.DataFrame, pd.DataFrame]:
    return desk.reader.models(), desk.reader.reigns()


def test_no_model_is_nothing_to_calibrate(untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trader(untrained, "calibrate-meta") == 1
    assert capsys.readouterr().err.startswith("error: no model is in force")


def test_without_a_gain_nothing_changes(trained: Path) -> None:
    with on_desk(trained) as desk:
        before = registry(desk)
        report = fit(desk)
        assert report.ok and report.counts["changed"] == 0 and "everything stays as it is" in report.text
        assert all(one.equals(other) for one, other in zip(before, registry(desk), strict=True))


def test_a_better_calibrator_makes_a_new_version_and_the_old_one_stays(trained: Path) -> None:
    with on_desk(trained) as desk:
        before = crown_badly_calibrated(desk, train_max_t1=END_MS - 56 * DAY_MS)
        report = fit(desk)
        version = newest_champion(desk)
        assert report.counts["changed"] == 1 and version != before and f"{version} is in force" in report.text
        old, new = load_model(desk, before), load_model(desk, version)
        assert old.estimator.files() == new.estimator.files()
        learned_of = tuning_rows(desk, dataset_of(desk, END_MS), ledger_of(desk))["known_ms"]
        assert old.train_max_t1 < new.train_max_t1 == learned_of.max()
        assert old.calibrator != new.calibrator
        states = desk.reader.models().set_index("version")["state"]
        assert (states[before], states[version]) == ("previous", "champion")
        assert card_of(desk.reader.model_card(version) or "")["calibrated"] == before
        assert int(desk.reader.reigns()["since_ms"].iloc[-1]) == END_MS + 1
        assert fit(desk).counts["changed"] == 0


def test_a_dry_run_tells_and_changes_nothing(trained: Path) -> None:
    with on_desk(trained) as desk:
        crown_badly_calibrated(desk)
        before = registry(desk)
        files = sorted(path.name for path in desk.config.models.meta.model_path.iterdir())
        report = fit(desk, dry_run=True)
        assert "would make a new version" in report.text and report.counts["changed"] == 0
        assert all(one.equals(other) for one, other in zip(before, registry(desk), strict=True))
        assert sorted(path.name for path in desk.config.models.meta.model_path.iterdir()) == files


def test_a_prediction_that_knew_its_outcome_cannot_be_calibrated_on(trained: Path) -> None:
    with on_desk(trained) as desk:
        ledger = ledger_of(desk)
        told = set(desk.reader.predictions(ledger)["signal_id"])
        signals = desk.reader.signals()
        (early,) = signals[~signals["id"].isin(told)].head(1).to_dict("records")
        numbers = dict.fromkeys(("p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r"), 0.99)
        row = {"signal_id": early["id"], "ledger": ledger, "model": "m", "train_max_t1": early["decided_ms"], **numbers}
        with pytest.raises(StoreError, match="learned from"):
            desk.writer.put_predictions(frame_of(row, 1, PREDICTIONS))
        assert set(desk.reader.predictions(ledger)["signal_id"]) == told


def test_a_retro_verdict_of_hindsight_changes_nothing_that_is_calibrated_on(trained: Path) -> None:
    with on_desk(trained) as desk:
        plain = fit(desk).text
        decisions = desk.reader.signals()[["id"]].rename(columns={"id": "signal_id"})
        everything = {"ml_p": 0.99, "ml_p_raw": 0.99, "ev_pct": 9.0, "verdict": "PASS", "reason": "CERTIFIED"}
        numbers = dict.fromkeys(("p_geo", "ev_payoff_r", "ev_p_r", "threshold"), 0.5)
        words = {"threshold_source": "general", "model_version": "m", "seq": 0, "in_sample": 1}
        desk.writer.decide_again(decisions.assign(**everything, **numbers, **words))
        assert (desk.reader.signals()["in_sample"] == 1).all()
        assert fit(desk).text == plain


@pytest.mark.parametrize("method", ["none", "isotonic"])
def test_the_method_asked_for_is_the_one_used(tmp_path: Path, method: str) -> None:
    config = learnable(tmp_path, n=320, change={"models": {"meta": {"calibration": {"method": method}}}})
    with on_desk(config) as desk:
        asyncio.run(train.run(desk, END_MS))
        crown_badly_calibrated(desk)
        report = fit(desk)
        assert f"calibrator: {method}" in report.text and report.counts["changed"] == 1
        assert load_model(desk, newest_champion(desk)).calibrator.method == method


def test_a_model_that_the_ledger_does_not_speak_for_is_left_alone(trained: Path) -> None:
    text = trained.read_text(encoding="utf-8")
    trained.write_text(text.replace("estimator: logistic", "estimator: xgboost"), encoding="utf-8")
    with on_desk(trained) as desk, pytest.raises(TraderError, match="made with other estimator than those in force"):
        fit(desk)


def test_nothing_said_out_of_sample_is_nothing_to_calibrate_on(untrained: Path) -> None:
    with on_desk(untrained) as desk:
        model = _anything(desk)
        desk.writer.crown(model, END_MS, "a test")
        with pytest.raises(TraderError, match="no out-of-sample prediction has an outcome yet"):
            fit(desk)


def _anything(desk: Desk) -> str:
    from core.jobs._book import policy_id
    from core.jobs._learning import fit_rules, plans_of
    from core.training.fit import fit_model

    dataset, features = dataset_of(desk, END_MS), desk.features
    assert features is not None
    model = fit_model(dataset, estimator_of(desk), fit_rules(desk)).model(
        "", features.required, features.id, ",".join(plans_of(desk)), policy_id(desk)
    )
    golden = golden_rows(model, dataset.vectors)
    assert np.isfinite([row["p"] for row in golden]).all()
    return publish(desk, model, Logistic(), {"n": 1, "n_eff": 1.0, "golden": golden}, END_MS)[0]
