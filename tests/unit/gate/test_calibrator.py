"""Calibrators: by hand, clipped, and back from JSON."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.errors import ModelError
from core.gate import Calibrator

GRID = np.linspace(0.001, 0.999, 97)


def _logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_platt_moves_from_the_geometry_towards_the_score():
    p_geo, p_raw = np.array([0.4, 0.4]), np.array([0.4, 0.7])
    p = Calibrator("platt", a=0.3, b=0.1).apply(p_geo, p_raw)
    by_hand = _logit(p_geo) + 0.3 * (_logit(p_raw) - _logit(p_geo)) + 0.1
    assert _logit(p).tolist() == pytest.approx(by_hand.tolist())


def test_without_belief_in_the_score_the_geometry_is_left():
    assert Calibrator("platt", a=0.0, b=0.0).apply(np.full(97, 0.37), GRID).tolist() == pytest.approx([0.37] * 97)


def test_isotonic_is_linear_between_its_knots_and_flat_beyond():
    p = Calibrator("isotonic", knots_x=(0.3, 0.5), knots_y=(0.2, 0.6)).apply(GRID, np.array([0.1, 0.4, 0.9]))
    assert p.tolist() == pytest.approx([0.2, 0.4, 0.6])


@pytest.mark.parametrize(
    "calibrator",
    [Calibrator(), Calibrator("platt", a=1.2, b=3.0), Calibrator("isotonic", knots_x=(0.0, 1.0), knots_y=(0.0, 1.0))],
)
def test_probabilities_are_clipped_and_never_fall_with_the_score(calibrator: Calibrator):
    p = calibrator.apply(np.full(97, 0.5), GRID)
    assert p.min() >= 0.02 and p.max() <= 0.98
    assert (np.diff(p) >= 0).all()
    assert math.isnan(calibrator.apply(np.array([0.5]), np.array([math.nan]))[0])


@pytest.mark.parametrize(
    "calibrator",
    [
        Calibrator(),
        Calibrator("platt", 0.4, -0.1, n_eff=812.5),
        Calibrator("isotonic", 1.0, 0.0, (0.1, 0.6), (0.2, 0.5)),
    ],
)
def test_a_calibrator_survives_json(calibrator: Calibrator):
    assert Calibrator.from_json(calibrator.to_json()) == calibrator


@pytest.mark.parametrize(
    "broken",
    [
        {"method": "plat"},
        {"a": math.nan},
        {"method": "isotonic"},
        {"method": "isotonic", "knots_x": [0.1, 0.1], "knots_y": [0.2, 0.3]},
        {"method": "isotonic", "knots_x": [0.1, 0.2], "knots_y": [0.5, 0.3]},
        {"knots_x": 3},
    ],
)
def test_a_broken_calibrator_is_refused(broken: dict[str, object]):
    with pytest.raises(ModelError, match="calibrator"):
        Calibrator.from_json({**Calibrator().to_json(), **broken})
