"""Trees and their anchor: what becomes of one without the other, how fast they judge, and how light they start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigError, ModelError
from core.estimators._base import sigmoid
from core.estimators._files import HEAD, sealed
from core.estimators._light import light_xgboost
from core.estimators.xgboost import XGBoost
from core.plugins import build
from core.ports import Sample
from tests.label_worlds import LabelWorld, label_world

ROOT = Path(__file__).resolve().parents[3]


def a_sample(world: LabelWorld) -> Sample:
    rows = world.rows
    weights = np.ones(len(rows))
    return Sample(world.vectors, world.columns, rows["won"].to_numpy(), rows["gross_r"].to_numpy(), weights)


@pytest.fixture(scope="module")
def world() -> LabelWorld:
    return label_world(4000, seed=1, edge=0.5, columns=12)


def test_without_its_base_margin_the_booster_says_something_else_without_a_word(world: LabelWorld) -> None:
    xgboost = light_xgboost()
    fitted = XGBoost().fit(a_sample(world))
    booster = xgboost.Booster(model_file=bytearray(fitted.files()["classifier.ubj"]))
    said = fitted.score(world.vectors)
    bare = booster.inplace_predict(world.vectors)
    assert np.max(np.abs(bare - said.p_raw)) > 0.1
    margin = np.log(said.p_geo / (1.0 - said.p_geo))
    with_margin = booster.inplace_predict(world.vectors, base_margin=margin)
    np.testing.assert_allclose(with_margin, said.p_raw, atol=1e-6)


def test_trees_that_may_not_split_leave_the_geometry_as_it_is(world: LabelWorld) -> None:
    said = XGBoost(min_child_weight=1e9).fit(a_sample(world)).score(world.vectors)
    np.testing.assert_allclose(said.p_raw, said.p_geo, atol=0.01)


def test_a_single_huge_winner_does_not_steer_the_payoff(world: LabelWorld) -> None:
    sample = a_sample(world)
    wild = sample.gross_r.copy()
    wild[np.argmax(wild)] = 1e6
    calm = XGBoost().fit(sample).score(world.vectors).payoff
    np.testing.assert_allclose(
        XGBoost()
        .fit(Sample(sample.vectors, sample.columns, sample.won, wild, sample.weights))
        .score(world.vectors)
        .payoff,
        calm,
        atol=1e-6,
    )


def test_rows_of_weight_zero_teach_nothing(world: LabelWorld) -> None:
    sample = a_sample(world)
    half = np.arange(len(sample.won)) < 2000
    muted = Sample(sample.vectors, sample.columns, sample.won, sample.gross_r, half.astype(float))
    other = np.where(half, sample.won, 1.0 - sample.won)
    flipped = Sample(sample.vectors, sample.columns, other, sample.gross_r, half.astype(float))
    once, twice = (XGBoost(trees=20).fit(part).score(world.vectors).p_raw for part in (muted, flipped))
    np.testing.assert_array_equal(once, twice)


def test_a_booster_of_other_columns_under_a_right_seal_is_refused(world: LabelWorld) -> None:
    files = XGBoost(trees=3).fit(a_sample(world)).files()
    renamed = (*world.columns[:-1], "renamed")
    blobs = {name: data for name, data in files.items() if name != HEAD}
    with pytest.raises(ModelError, match="learned from other columns"):
        XGBoost().load(renamed, sealed("xgboost", renamed, {"geometry": GEOMETRY}, blobs))


def test_bytes_that_are_no_booster_under_a_right_seal_are_refused(world: LabelWorld) -> None:
    blobs = {"classifier.ubj": b"{no booster}", "payoff.ubj": b""}
    with pytest.raises(ModelError, match="cannot be read by XGBoost"):
        XGBoost().load(world.columns, sealed("xgboost", world.columns, {"geometry": GEOMETRY}, blobs))


GEOMETRY = {"scale": {"mean": [0.0] * 4, "spread": [1.0] * 4}, "coef": [0.0] * 4, "intercept": 0.0}


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"trees": 0}, "trees: 0"),
        ({"depth": 1.5}, "depth: 1.5"),
        ({"learning_rate": 0.0}, "learning_rate: 0"),
        ({"l2": float("nan")}, "l2: nan"),
        ({"tree": 3}, "did you mean 'trees'"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build("core.estimators", "xgboost", params, "models.meta.estimator")


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_judging_never_imports_scikit_learn_and_leaves_it_importable() -> None:
    code = (
        "import sys, numpy as np\n"
        "from core.estimators._light import light_xgboost\n"
        "from core.estimators.xgboost import XGBoost\n"
        "assert 'xgboost' not in sys.modules\n"
        "xgboost = light_xgboost()\n"
        "assert 'sklearn' not in sys.modules\n"
        "assert light_xgboost() is xgboost\n"
        "import sklearn.isotonic\n"
        "assert light_xgboost() is xgboost\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_where_scikit_learn_is_loaded_already_nothing_is_hidden() -> None:
    code = (
        "import sklearn.base, sys\n"
        "from core.estimators._light import light_xgboost\n"
        "assert light_xgboost().XGBClassifier().get_params()\n"
        "assert sys.modules['sklearn'] is not None\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_probabilities_are_the_anchor_plus_the_sum_of_the_trees(world: LabelWorld) -> None:
    fitted = XGBoost(trees=5).fit(a_sample(world))
    said = fitted.score(world.vectors)
    trees = fitted.contributions(world.vectors)[:, :-1].sum(axis=1)
    bias = fitted.contributions(world.vectors)[:, -1] - np.log(said.p_geo / (1.0 - said.p_geo))
    np.testing.assert_allclose(bias, bias[0], atol=1e-6)
    np.testing.assert_allclose(sigmoid(np.log(said.p_geo / (1 - said.p_geo)) + bias + trees), said.p_raw, atol=1e-6)
