"""What every estimator on the shelf promises: anchored, monotone in cost, exact, pure, sealed, documented."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
from dataclasses import replace

import numpy as np
import pytest

from core.errors import ModelError
from core.plugins import build, parameters, shelf
from core.ports import Estimator, FittedEstimator, Sample
from core.schema import FloatArray
from tests.label_worlds import GEOMETRY_COLUMNS, label_world

PACKAGE = "core.estimators"
NAMES = shelf(PACKAGE)
WORLD = label_world(3000, seed=5, edge=0.8, columns=20)
OTHER = label_world(500, seed=6, edge=0.8, columns=20)
COST = GEOMETRY_COLUMNS.index("geo_cost_r")


def a_sample() -> Sample:
    rows = WORLD.rows
    weights = np.random.default_rng(0).uniform(0.3, 1.0, len(rows))
    return Sample(WORLD.vectors, WORLD.columns, rows["won"].to_numpy(), rows["gross_r"].to_numpy(), weights)


@pytest.fixture(params=NAMES, scope="module")
def estimator(request: pytest.FixtureRequest) -> Estimator:
    built: Estimator = build(PACKAGE, request.param, {}, "models.meta")
    return built


@pytest.fixture(scope="module")
def fitted(estimator: Estimator) -> FittedEstimator:
    return estimator.fit(a_sample())


def logit(p: FloatArray) -> FloatArray:
    return np.log(p / (1.0 - p))


def test_it_keeps_the_protocol(estimator: Estimator, fitted: FittedEstimator) -> None:
    assert estimator.name == fitted.name
    assert estimator.name in NAMES
    assert fitted.columns == WORLD.columns
    assert json.loads(json.dumps(estimator.params())) == estimator.params()
    said = fitted.score(OTHER.vectors)
    for part in (said.p_geo, said.p_raw, said.payoff):
        assert part.dtype == np.float64
        assert part.shape == (len(OTHER.vectors),)
        assert np.isfinite(part).all()
    assert ((said.p_raw > 0.0) & (said.p_raw < 1.0)).all()


def test_it_learns_an_edge_the_geometry_cannot_see(fitted: FittedEstimator) -> None:
    said = fitted.score(OTHER.vectors)
    assert np.mean((said.p_raw - OTHER.true_p) ** 2) < 0.7 * np.mean((said.p_geo - OTHER.true_p) ** 2)
    assert np.corrcoef(said.payoff, OTHER.true_p)[0, 1] > 0.5


def test_neither_probability_nor_payoff_rises_with_a_fee(fitted: FittedEstimator) -> None:
    before = fitted.score(OTHER.vectors)
    for more in (0.001, 0.02, 0.1, 1.0):
        dearer = OTHER.vectors.copy()
        dearer[:, COST] += more
        after = fitted.score(dearer)
        assert (after.p_geo <= before.p_geo).all()
        assert (after.p_raw <= before.p_raw).all()
        assert (after.payoff <= before.payoff).all()


def test_contributions_add_up_to_the_log_odds(fitted: FittedEstimator) -> None:
    parts = fitted.contributions(OTHER.vectors)
    assert parts.shape == (len(OTHER.vectors), len(WORLD.columns) + 1)
    np.testing.assert_allclose(parts.sum(axis=1), logit(fitted.score(OTHER.vectors).p_raw), atol=1e-4)


def test_the_same_sample_gives_the_same_bytes(estimator: Estimator, fitted: FittedEstimator) -> None:
    assert estimator.fit(a_sample()).files() == fitted.files()


def test_loaded_from_its_files_it_says_the_same_and_writes_the_same(
    estimator: Estimator, fitted: FittedEstimator
) -> None:
    files = fitted.files()
    again = estimator.load(WORLD.columns, files)
    assert again.columns == fitted.columns
    assert again.files() == files
    for said, expected in zip(vars_of(again.score(OTHER.vectors)), vars_of(fitted.score(OTHER.vectors)), strict=True):
        np.testing.assert_array_equal(said, expected)
    np.testing.assert_array_equal(again.contributions(OTHER.vectors), fitted.contributions(OTHER.vectors))
    assert not any(data.startswith(b"\x80") for data in files.values()), "a pickle"


def vars_of(scores: object) -> list[FloatArray]:
    return [getattr(scores, name) for name in ("p_geo", "p_raw", "payoff")]


def test_pure_inputs_stay_and_read_only_strided_and_single_rows_say_the_same(fitted: FittedEstimator) -> None:
    vectors = OTHER.vectors.copy()
    vectors.setflags(write=False)
    whole = fitted.score(vectors)
    np.testing.assert_array_equal(vectors, OTHER.vectors)
    strided = fitted.score(np.asfortranarray(vectors))
    single = fitted.score(vectors[7:8])
    for part, by_columns, alone in zip(vars_of(whole), vars_of(strided), vars_of(single), strict=True):
        np.testing.assert_allclose(by_columns, part, rtol=1e-12)
        np.testing.assert_allclose(alone, part[7:8], rtol=1e-12)


def test_no_rows_give_no_scores(fitted: FittedEstimator) -> None:
    empty = np.empty((0, len(WORLD.columns)))
    assert [len(part) for part in vars_of(fitted.score(empty))] == [0, 0, 0]
    assert fitted.contributions(empty).shape == (0, len(WORLD.columns) + 1)


@pytest.mark.parametrize(("column", "value"), [(0, np.nan), (0, -1.0), (2, np.nan), (3, np.inf), (9, -np.inf)])
def test_a_row_that_cannot_be_judged_is_nan_and_the_others_are_not(
    fitted: FittedEstimator, column: int, value: float
) -> None:
    vectors = OTHER.vectors[:20].copy()
    vectors[3, column] = value
    expected = fitted.score(OTHER.vectors[:20])
    parts = fitted.contributions(vectors)
    for part, whole in zip(vars_of(fitted.score(vectors)), vars_of(expected), strict=True):
        assert np.isnan(part[3])
        np.testing.assert_allclose(np.delete(part, 3), np.delete(whole, 3), rtol=1e-12)
    assert np.isnan(parts[3]).all()
    assert np.isfinite(np.delete(parts, 3, axis=0)).all()


def test_an_optional_feature_may_be_unknown(fitted: FittedEstimator) -> None:
    vectors = OTHER.vectors.copy()
    vectors[:, 4:] = np.nan
    said = fitted.score(vectors)
    assert np.isfinite(said.p_raw).all()
    np.testing.assert_allclose(fitted.contributions(vectors).sum(axis=1), logit(said.p_raw), atol=1e-4)


def test_vectors_of_another_width_are_refused(fitted: FittedEstimator) -> None:
    with pytest.raises(ModelError, match=r"expected rows of 20 columns"):
        fitted.score(OTHER.vectors[:, :-1])


def test_columns_without_the_geometry_are_refused(estimator: Estimator) -> None:
    renamed = ("x", *WORLD.columns[1:])
    with pytest.raises(ModelError, match=r"'geo_rr1' is missing"):
        estimator.fit(replace(a_sample(), columns=renamed))


def test_a_sample_without_known_geometry_is_refused(estimator: Estimator) -> None:
    vectors = WORLD.vectors.copy()
    vectors[5, 1] = np.nan
    with pytest.raises(ModelError, match=r"geo_rr2 is not known in each"):
        estimator.fit(replace(a_sample(), vectors=vectors))


def test_renamed_and_reordered_columns_are_refused(estimator: Estimator, fitted: FittedEstimator) -> None:
    files, columns = fitted.files(), WORLD.columns
    for other in (
        (*columns[:-1], "renamed"),
        (columns[1], columns[0], *columns[2:]),
        columns[:-1],
        (*columns, "one_more"),
    ):
        with pytest.raises(ModelError) as refusal:
            estimator.load(other, files)
        assert "\n" not in str(refusal.value)


def test_missing_truncated_and_corrupt_files_are_refused(estimator: Estimator, fitted: FittedEstimator) -> None:
    files = fitted.files()
    for name, data in files.items():
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        for damaged in (b"", data[:1], data[:middle], data[:-1], flipped, b"\x00" * len(data), b"[]", b'"x"', b"{}"):
            with pytest.raises(ModelError) as refusal:
                estimator.load(WORLD.columns, {**files, name: damaged})
            assert "\n" not in str(refusal.value)
        with pytest.raises(ModelError, match="is missing"):
            estimator.load(WORLD.columns, {other: kept for other, kept in files.items() if other != name})


def test_another_estimators_files_are_refused(estimator: Estimator) -> None:
    for name in NAMES:
        if name != estimator.name:
            foreign = build(PACKAGE, name, {}, "models.meta").fit(a_sample()).files()
            with pytest.raises(ModelError, match=r"missing|written by"):
                estimator.load(WORLD.columns, foreign)


@pytest.mark.parametrize("name", NAMES)
def test_documented_with_every_parameter_a_source_and_an_example_that_runs(name: str) -> None:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    (public,) = module.__all__
    text = inspect.getdoc(getattr(module, public)) or ""
    assert text.splitlines()[0].endswith(".")
    for section in ("Parameters", "Notes", "References", "Examples"):
        assert f"\n{section}\n---" in text, section
    described = text.split("\nNotes\n")[0]
    for parameter in parameters(PACKAGE, name):
        assert parameter in described, parameter
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
    assert build(PACKAGE, name, {}, "x").params().keys() == set(parameters(PACKAGE, name))
