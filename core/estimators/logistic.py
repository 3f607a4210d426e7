"""A ridge logistic regression on top of the geometry: the challenger that trees have to beat.

The law: the same anchor and the same limits as any estimator, and nothing that cannot be read off a coefficient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import ModelError
from core.estimators._base import (
    COST,
    Geometry,
    Scale,
    checked,
    judged_rows,
    ridge,
    ridge_logistic,
    sigmoid,
    winsorised,
)
from core.estimators._files import sealed, unsealed
from core.ports import FittedEstimator, Sample, Scores
from core.schema import FloatArray

__all__ = ["Logistic"]

_NAME = "logistic"


class Logistic:
    """Ridge logistic regression anchored at the plan's geometry; its payoff is a ridge regression.

    Parameters
    ----------
    l2 : float
        Penalty on the log-odds per standard deviation of a feature: 100 is a prior standard deviation of 0.1.
    payoff_l2 : float
        Penalty on the R per standard deviation of a feature, the mean result included.

    Raises
    ------
    ValueError
        A penalty is not above 0.

    Notes
    -----
    Features are standardised and drawn in to four standard deviations; one that is not known counts as average.
    Neither p(win) nor payoff rises with ``geo_cost_r``.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, 3.4.1 and 4.4.4.

    Examples
    --------
    >>> Logistic(l2=50.0).params()
    {'l2': 50.0, 'payoff_l2': 100.0}
    """

    name = _NAME

    def __init__(self, l2: float = 100.0, payoff_l2: float = 100.0) -> None:
        for label, number in (("l2", l2), ("payoff_l2", payoff_l2)):
            if not (math.isfinite(number) and number > 0.0):
                raise ValueError(f"{label}: {number!r} is not a finite number above 0")
        self._l2, self._payoff_l2 = float(l2), float(payoff_l2)

    def params(self) -> dict[str, Any]:
        """Return the parameters it learns with, as plain JSON values."""
        return {"l2": self._l2, "payoff_l2": self._payoff_l2}

    def fit(self, sample: Sample) -> FittedEstimator:
        """Learn from a sample.

        Raises
        ------
        ModelError
            The geometry is missing from the columns or from a row.
        """
        geometry = Geometry.of(sample)
        scale = Scale.of(sample.vectors, sample.weights)
        x, cost = _known(scale.apply(sample.vectors)), sample.columns.index(COST)
        anchor = geometry.log_odds(sample.vectors)
        coef, intercept = ridge_logistic(x, sample.won, sample.weights, anchor, self._l2, cost)
        with_mean = np.column_stack([x, np.ones(len(x))])
        payoff = ridge(with_mean, winsorised(sample.gross_r), sample.weights, self._payoff_l2, cost)
        return _Fitted(sample.columns, geometry, scale, coef, intercept, payoff)

    def load(self, columns: tuple[str, ...], files: Mapping[str, bytes]) -> FittedEstimator:
        """Return the estimator that `files` describe.

        Raises
        ------
        ModelError
            The files are damaged, missing or another estimator's, or it learned from other columns.
        """
        body = unsealed(_NAME, columns, files, ())
        coef, payoff = np.array(body["coef"], dtype=np.float64), np.array(body["payoff"], dtype=np.float64)
        if coef.shape != (len(columns),) or payoff.shape != (len(columns) + 1,):
            raise ModelError(f"estimator {_NAME}: {len(coef)} coefficients; expected one per column, {len(columns)}")
        geometry, scale = Geometry.from_json(body["geometry"], columns), Scale.from_json(body["scale"])
        return _Fitted(columns, geometry, scale, coef, float(body["intercept"]), payoff)


@dataclass(slots=True, eq=False)
class _Fitted:
    """Geometry, and coefficients over standardised features; the payoff's last one is its constant."""

    columns: tuple[str, ...]
    geometry: Geometry
    scale: Scale
    coef: FloatArray
    intercept: float
    payoff: FloatArray
    name: str = _NAME

    def score(self, vectors: FloatArray) -> Scores:
        """Score candidates; NaN where the geometry is not known or a feature is infinite."""
        anchor, x = self._read(vectors)
        payoff = x @ self.payoff[:-1] + self.payoff[-1] + 0.0 * anchor
        return Scores(sigmoid(anchor), sigmoid(anchor + x @ self.coef + self.intercept), payoff)

    def contributions(self, vectors: FloatArray) -> FloatArray:
        """Return log-odds by column, the last one what every candidate starts from."""
        anchor, x = self._read(vectors)
        return np.column_stack([x * self.coef + 0.0 * anchor[:, None], anchor + self.intercept])

    def files(self) -> dict[str, bytes]:
        """Return all it knows as JSON."""
        body = {
            "geometry": self.geometry.to_json(),
            "scale": self.scale.to_json(),
            "coef": self.coef.tolist(),
            "intercept": self.intercept,
            "payoff": self.payoff.tolist(),
        }
        return sealed(_NAME, self.columns, body, {})

    def _read(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the geometry's log-odds, NaN where a candidate cannot be judged, and standardised features."""
        values = checked(vectors, self.columns)
        anchor = self.geometry.log_odds(values)
        return anchor + judged_rows(anchor, values), _known(self.scale.apply(values))


def _known(x: FloatArray) -> FloatArray:
    return np.where(np.isfinite(x), x, 0.0)
