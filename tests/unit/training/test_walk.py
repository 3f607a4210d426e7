"""Walking forward: nothing known too early, nothing asked twice, the same answer whenever it is asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import ModelError
from core.estimators.logistic import Logistic
from core.estimators.xgboost import XGBoost
from core.results.rows import week_of
from core.schema.learning import PREDICTIONS
from core.training.calibrate import fit_calibrator
from core.training.dataset import Candidates, Dataset
from core.training.fit import FitRules
from core.training.splits import GAP_MS, WEEK_MS
from core.training.walk import Walk, walk_forward
from tests.label_worlds import GEOMETRY_COLUMNS, LabelWorld, label_world

RULES = FitRules()
WORLD = label_world(1500, seed=8, edge=0.8, columns=10, weeks=40)


def dataset(world: LabelWorld = WORLD, until_ms: int | None = None) -> Dataset:
    data = Dataset.of(world.rows, world.vectors, world.columns, GEOMETRY_COLUMNS)
    return data if until_ms is None else data.take(np.flatnonzero(data.ints("known_ms") <= until_ms))


@pytest.fixture(scope="module")
def walk() -> Walk:
    return walk_forward(dataset(), Logistic(), RULES, ledger="L")


def with_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions.merge(WORLD.rows, on="signal_id", validate="one_to_one")


def test_each_prediction_comes_from_a_model_that_knew_nothing_of_its_block(walk: Walk) -> None:
    assert {name: str(dtype) for name, dtype in walk.predictions.dtypes.items()} == dict(PREDICTIONS)
    told = with_rows(walk.predictions)
    start = told["model"].map(walk.blocks.set_index("model")["start_ms"])
    assert (told["train_max_t1"] < start - GAP_MS).all()
    assert (start <= told["decided_ms"]).all()
    assert (told["decided_ms"] < start + 4 * WEEK_MS).all()
    assert set(told["ledger"]) == {"L"}
    assert (told["ev_r"] == np.minimum(told["ev_payoff_r"], told["ev_p_r"])).all()


def test_blocks_before_which_too_little_is_known_are_left_out_and_all_others_are_whole(walk: Walk) -> None:
    first = walk.blocks["start_ms"].min()
    assert set(walk.predictions["signal_id"]) == set(WORLD.rows.loc[WORLD.rows["decided_ms"] >= first, "signal_id"])
    assert (walk.blocks["n_eff_train"] >= 200.0).all()
    assert 0 < len(walk.predictions) < len(WORLD.rows)


def test_what_comes_later_changes_nothing(walk: Walk) -> None:
    cut = int(walk.blocks["start_ms"].iloc[3])
    early = walk_forward(dataset(until_ms=cut), Logistic(), RULES, ledger="L")
    both = walk.predictions[walk.predictions["signal_id"].isin(early.predictions["signal_id"])]
    pd.testing.assert_frame_equal(early.predictions, both.reset_index(drop=True))
    assert len(both) > 200


def test_filling_in_week_by_week_on_the_same_grid_gives_what_one_go_gives() -> None:
    weeks = int(WORLD.rows["known_ms"].max() // WEEK_MS)
    parts: list[pd.DataFrame] = []
    done: list[int] = []
    for end in range(weeks - 5, weeks + 2):
        part = walk_forward(dataset(until_ms=end * WEEK_MS), Logistic(), RULES, done=done, block_ms=WEEK_MS)
        parts.append(part.predictions)
        done.extend(part.predictions["signal_id"].tolist())
    whole = walk_forward(dataset(), Logistic(), RULES, block_ms=WEEK_MS).predictions
    together = pd.concat(parts).sort_values("signal_id", ignore_index=True)
    pd.testing.assert_frame_equal(together, whole.sort_values("signal_id", ignore_index=True), rtol=1e-12)
    assert all(len(part) > 0 for part in parts[:-1])


def test_asking_again_when_all_is_told_fits_nothing(walk: Walk) -> None:
    told: list[tuple[int, int]] = []
    done = WORLD.rows["signal_id"].tolist()
    again = walk_forward(dataset(), Logistic(), RULES, done=done, progress=lambda *step: told.append(step))
    assert again.predictions.empty
    assert again.blocks.empty
    assert list(again.predictions.columns) == list(PREDICTIONS)
    assert told == []
    assert not walk.predictions.empty


def test_progress_is_told_block_by_block() -> None:
    told: list[tuple[int, int]] = []
    walk_forward(dataset(), Logistic(), RULES, progress=lambda *step: told.append(step))
    assert told == [(i + 1, len(told)) for i in range(len(told))]
    assert len(told) >= 10


def test_candidates_that_never_filled_are_judged_by_the_same_models(walk: Walk) -> None:
    everyone = dataset().candidates()
    twins = Candidates(everyone.rows.assign(signal_id=everyone.rows["signal_id"] + 10_000), everyone.vectors)
    judged = walk_forward(dataset(), Logistic(), RULES, ledger="L", asked=twins)
    expected = walk.predictions.assign(signal_id=walk.predictions["signal_id"] + 10_000)
    pd.testing.assert_frame_equal(judged.predictions, expected)
    assert (judged.blocks["n_closed"] == 0).all()
    assert judged.blocks["log_loss"].isna().all()


def test_a_candidate_that_cannot_be_judged_has_no_prediction(walk: Walk) -> None:
    everyone = dataset().candidates()
    vectors = everyone.vectors.copy()
    vectors[-1, 0] = np.nan
    told = walk_forward(dataset(), Logistic(), RULES, asked=Candidates(everyone.rows, vectors)).predictions
    assert set(walk.predictions["signal_id"]) - set(told["signal_id"]) == {1500}


def test_the_challengers_loss_stands_beside_it(walk: Walk) -> None:
    np.testing.assert_allclose(walk.blocks["log_loss"], walk.blocks["log_loss_challenger"])
    trees = walk_forward(dataset(), XGBoost(trees=20), RULES, block_ms=20 * WEEK_MS).blocks
    assert trees[["log_loss", "log_loss_geometry", "log_loss_challenger"]].notna().all().all()
    assert (trees["log_loss"] != trees["log_loss_challenger"]).all()
    weights = walk.blocks["n_closed"] / walk.blocks["n_closed"].sum()
    assert float(weights @ walk.blocks["log_loss"]) < float(weights @ walk.blocks["log_loss_geometry"])


def test_a_ledger_calibrates_and_a_poisoned_one_does_not(walk: Walk) -> None:
    told = with_rows(walk.predictions)
    parts = [told[name].to_numpy() for name in ("p_geo", "p_raw", "won")]
    weights, week = np.ones(len(told)), week_of(told["decided_ms"])
    decided, known = told["decided_ms"].to_numpy(), told["train_max_t1"].to_numpy().copy()
    calibrator, _ = fit_calibrator(*parts, weights, week, "auto", known, decided)
    assert calibrator.a > 0.3
    known[5] = decided[5]
    with pytest.raises(ModelError, match=f"1 of {len(told)} predictions"):
        fit_calibrator(*parts, weights, week, "auto", known, decided)
