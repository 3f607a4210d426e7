"""A12: the same candles give the same verdicts, contributions add up, and the weekly training is quick."""

from __future__ import annotations

from time import process_time

import numpy as np
import pandas as pd
import pytest

from core.estimators.logistic import Logistic
from core.estimators.xgboost import XGBoost
from core.training.card import golden_rows, model_to_files
from core.training.dataset import Dataset
from core.training.fit import FitRules, fit_model
from core.training.promote import skill
from core.training.splits import WEEK_MS
from core.training.walk import walk_forward
from tests.label_worlds import GEOMETRY_COLUMNS, START_MS, label_world
from tests.meta.bars import opened, sizes
from tests.meta_worlds import Place, governed, make, walked

CONTRIBUTION_GAP = 1e-4
RETRAIN_S = 60.0
ROWS, WEEKS = 30_000, 156


@sizes(
    "place",
    Place("fat", seed=1, days=300, symbols=1, block_ms=24 * WEEK_MS),
    Place("edge", seed=1, days=365),
)
def test_the_same_world_gives_the_same_verdicts(place: Place) -> None:
    with opened("A12") as bars:
        once, twice = (_anew(place) for _ in range(2))
        for name, one, other in zip(("candidates", "trades", "verdicts"), once, twice, strict=True):
            bars.holds(f"{len(one)} {name} are the same again", _is_same(one, other))


def _anew(place: Place) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    make.cache_clear()
    walked.cache_clear()
    made = make(place)
    return made.signals, made.trades, governed(walked(place))


def _is_same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    try:
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return True


@sizes("place", Place("edge", seed=1, days=365, symbols=2), Place("edge", seed=1))
def test_contributions_add_up(place: Place) -> None:
    with opened("A12") as bars:
        data = make(place).dataset()
        for estimator in (XGBoost(), Logistic()):
            fitted = estimator.fit(data.sample(np.arange(len(data))))
            parts, p = fitted.contributions(data.vectors), fitted.score(data.vectors).p_raw
            gap = float(np.abs(parts.sum(axis=1) - np.log(p / (1.0 - p))).max())
            bars.most(
                f"{estimator.name}: largest gap to the logit of p, {len(data)} rows", gap, CONTRIBUTION_GAP, "{:.1e}"
            )


@pytest.mark.accept
def test_the_weekly_training_on_30_000_rows_is_quick() -> None:
    with opened("A12") as bars:
        world = label_world(ROWS, seed=41, edge=0.3, columns=55, weeks=WEEKS)
        data = Dataset.of(world.rows, world.vectors, world.columns, GEOMETRY_COLUMNS)
        before = data.ints("decided_ms") < START_MS + (WEEKS - 1) * WEEK_MS
        done = data.ints("signal_id")[before].tolist()
        began = process_time()
        walk = walk_forward(data, XGBoost(), FitRules(), done=done, block_ms=WEEK_MS)
        told = data.rows.merge(walk.predictions, on="signal_id")
        skill(
            *(told[name].to_numpy(np.float64) for name in ("won", "p", "p_geo")),
            *(told[name].to_numpy() for name in ("decided_ms", "known_ms")),
        )
        model = fit_model(data, XGBoost(), FitRules()).model("")
        model_to_files(model, XGBoost(), {"golden": golden_rows(model, data.vectors)})
        spent = process_time() - began
        bars.most(
            f"weekly training on {ROWS} rows, {len(walk.blocks)} new blocks: seconds of a core",
            spent,
            RETRAIN_S,
            "{:.1f}",
        )
