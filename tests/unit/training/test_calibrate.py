"""Calibration: what is refused, what is found again where it is known, and what noise cannot talk it into."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.errors import ModelError, TraderError
from core.schema import FloatArray, IntArray
from core.training.calibrate import fit_calibrator, log_losses


def logit(p: FloatArray) -> FloatArray:
    return np.log(p / (1.0 - p))


def sigmoid(x: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-x))


def scored(n: int, seed: int = 0, believed: float = 0.5, shift: float = 0.0) -> dict[str, Any]:
    """Scores whose departure from the geometry is true by the share `believed`, and the chance behind them."""
    rng = np.random.default_rng(seed)
    p_geo = 1.0 / (1.0 + rng.uniform(0.8, 2.5, n))
    departure = rng.normal(0.0, 0.6, n)
    p = sigmoid(logit(p_geo) + believed * departure + shift)
    return {
        "p_geo": p_geo,
        "p_raw": sigmoid(logit(p_geo) + departure),
        "won": (rng.random(n) < p).astype(float),
        "weights": np.ones(n),
        "week": np.arange(n) // 100,
        "true_p": p,
    }


def fitted(parts: dict[str, Any], **more: Any) -> Any:
    return fit_calibrator(**{name: part for name, part in parts.items() if name != "true_p"}, **more)


@pytest.mark.parametrize(("believed", "shift"), [(0.5, 0.0), (1.0, -0.2), (0.0, 0.1)])
def test_platt_finds_the_share_to_believe_and_the_shift(believed: float, shift: float) -> None:
    calibrator, report = fitted(scored(20_000, 1, believed, shift), method="platt")
    assert calibrator.a == pytest.approx(believed, abs=0.08)
    assert calibrator.b == pytest.approx(shift, abs=0.05)
    assert report.method == "platt"
    assert report.log_loss <= min(report.log_loss_raw, report.log_loss_geometry) + 1e-12


@pytest.mark.parametrize(("believed", "bound"), [(-0.8, 0.0), (2.0, 1.2)])
def test_the_share_stays_within_its_bounds_and_the_shift_is_fitted_again(believed: float, bound: float) -> None:
    parts = scored(20_000, 2, believed)
    calibrator, _ = fitted(parts, method="platt")
    assert calibrator.a == bound
    p = calibrator.apply(parts["p_geo"], parts["p_raw"])
    assert float(np.mean(p) - np.mean(parts["won"])) == pytest.approx(0.0, abs=1e-6)


def test_an_estimator_that_is_its_geometry_needs_no_slope() -> None:
    parts = scored(500)
    calibrator, _ = fitted({**parts, "p_raw": parts["p_geo"]}, method="platt")
    assert np.isfinite((calibrator.a, calibrator.b)).all()


def test_weights_count() -> None:
    parts = scored(4000, 3, 0.5)
    half = (np.arange(4000) % 2).astype(float)
    spoiled = {**parts, "weights": half, "won": np.where(half > 0, parts["won"], 1.0)}
    kept = {name: part[half > 0] for name, part in parts.items()}
    once, twice = fitted(spoiled, method="platt")[0], fitted(kept, method="platt")[0]
    assert (once.a, once.b) == pytest.approx((twice.a, twice.b), abs=1e-6)


@pytest.mark.parametrize("method", ["platt", "isotonic", "none"])
def test_each_method_can_be_had_and_stays_within_its_limits(method: str) -> None:
    parts = scored(1500, 4, 1.0)
    calibrator, report = fitted(parts, method=method)
    assert calibrator.method == report.method == method
    p = calibrator.apply(np.array([1e-9, 0.5, 1 - 1e-9]), np.array([1e-9, 0.5, 1 - 1e-9]))
    assert ((p >= 0.02) & (p <= 0.98)).all()
    assert (np.diff(p) >= 0.0).all()
    assert calibrator.n_eff == 1500.0


def test_auto_takes_platt_where_samples_are_few_however_bent_the_truth() -> None:
    assert fitted(bent(2500), method="auto")[0].method == "platt"


def test_auto_takes_isotonic_only_where_it_wins_by_more_than_chance() -> None:
    calibrator, report = fitted(bent(20_000), method="auto")
    assert calibrator.method == "isotonic"
    assert report.isotonic_gain > report.isotonic_gain_se > 0.0
    calibrator, report = fitted(scored(20_000, 6, 0.5), method="auto")
    assert calibrator.method == "platt"
    assert np.isfinite(report.isotonic_gain)


def bent(n: int) -> dict[str, Any]:
    """Scores of which only those above a half mean anything."""
    rng = np.random.default_rng(5)
    p_raw = rng.uniform(0.2, 0.8, n)
    p = np.where(p_raw > 0.5, 0.75, 0.35)
    won = (rng.random(n) < p).astype(float)
    return {"p_geo": np.full(n, 0.45), "p_raw": p_raw, "won": won, "weights": np.ones(n), "week": np.arange(n) // 100}


def test_two_fits_are_equal() -> None:
    parts = bent(6000)
    assert fitted(parts)[0] == fitted(parts)[0]


@pytest.mark.parametrize("late", [0, 1, 500])
def test_a_prediction_by_a_model_that_knew_a_later_outcome_is_refused(late: int) -> None:
    parts, decided = scored(1000), np.arange(1000, dtype=np.int64) * 1000
    known = decided - 1
    fitted(parts, train_max_t1=known, decided_ms=decided)
    poisoned: IntArray = known.copy()
    poisoned[17] = decided[17] + late
    with pytest.raises(ModelError, match=r"1 of 1000 predictions come from a model that had learned") as refusal:
        fitted(parts, train_max_t1=poisoned, decided_ms=decided)
    assert "\n" not in str(refusal.value)
    with pytest.raises(ModelError, match="given together"):
        fitted(parts, decided_ms=decided)


def test_scores_that_are_no_numbers_one_outcome_and_too_few_rows_are_refused() -> None:
    parts = scored(300)
    for name in ("p_geo", "p_raw", "won", "weights"):
        spoiled = parts[name].copy()
        spoiled[3] = np.nan
        with pytest.raises(ModelError, match=f"{name} is not a finite number"):
            fitted({**parts, name: spoiled})
    with pytest.raises(TraderError, match="all 300 closed trades ended alike"):
        fitted({**parts, "won": np.ones(300)})
    with pytest.raises(TraderError, match="300 closed trades, 30 effective; expected at least 60"):
        fitted({**parts, "weights": np.full(300, 0.1)})
    with pytest.raises(ModelError, match="did you mean 'platt'"):
        fitted(parts, method="plat")
    with pytest.raises(TraderError, match="expected at least 60"):
        fitted({name: part[:0] for name, part in parts.items()})


def test_the_report_goes_into_json_without_nan() -> None:
    report = fitted(scored(300), method="platt")[1].to_json()
    assert report["isotonic_gain"] is None
    assert report["n"] == 300


def test_log_losses_of_certain_predictions_are_finite() -> None:
    assert np.isfinite(log_losses(np.array([0.0, 1.0]), np.array([1.0, 0.0]))).all()
