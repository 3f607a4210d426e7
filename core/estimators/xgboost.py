"""Shallow boosted trees that learn how far a candidate departs from its geometry.

The law: classifier and base margin live in one value; the trees alone are no probability, and nothing here hands
them out as one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import ModelError
from core.estimators._base import COST, Geometry, checked, judged_rows, sigmoid, winsorised
from core.estimators._files import sealed, unsealed
from core.estimators._light import light_xgboost
from core.ports import FittedEstimator, Sample, Scores
from core.schema import FloatArray

__all__ = ["XGBoost"]

_NAME = "xgboost"
_CLASSIFIER, _PAYOFF = "classifier.ubj", "payoff.ubj"
_EVEN = 0.5  # base score without effect on the log-odds


class XGBoost:
    """Gradient-boosted trees, anchored at the plan's geometry.

    Parameters
    ----------
    trees : int
        Rounds of boosting, for p(win) and for the payoff.
    depth : int
        Of a tree.
    learning_rate : float
        Share of each tree that is taken over.
    min_child_weight : float
        Least sum of second derivatives in a leaf: with 25, about 100 effective candidates for p(win).
    l2 : float
        Penalty on leaf values (``lambda``).
    seed : int

    Raises
    ------
    ValueError
        A parameter is outside what makes sense.

    Notes
    -----
    The classifier's ``base_margin`` is the logit of the geometry, so that trees without skill leave the geometry as it
    is; the payoff regressor starts from 0 R and learns results drawn in to [-1.5, 3] R. Both are constrained not to
    rise with ``geo_cost_r``. Rows weigh what they are unique. One thread and a fixed seed: the same sample gives the
    same bytes.

    References
    ----------
    Chen and Guestrin (2016), XGBoost, KDD, 785-794.

    Examples
    --------
    >>> XGBoost(trees=100).params()["trees"]
    100
    """

    name = _NAME

    def __init__(
        self,
        trees: int = 120,
        depth: int = 3,
        learning_rate: float = 0.04,
        min_child_weight: float = 25.0,
        l2: float = 10.0,
        seed: int = 1729,
    ) -> None:
        for label, whole, low in (("trees", trees, 1), ("depth", depth, 1), ("seed", seed, 0)):
            if not isinstance(whole, int) or isinstance(whole, bool) or whole < low:
                raise ValueError(f"{label}: {whole!r} is not a whole number of at least {low}")
        for label, number in (("min_child_weight", min_child_weight), ("l2", l2)):
            if not (math.isfinite(number) and number >= 0.0):
                raise ValueError(f"{label}: {number!r} is not a finite number of at least 0")
        if not 0.0 < learning_rate <= 1.0:
            raise ValueError(f"learning_rate: {learning_rate!r} is not above 0 and at most 1")
        self._params = {
            "trees": trees,
            "depth": depth,
            "learning_rate": float(learning_rate),
            "min_child_weight": float(min_child_weight),
            "l2": float(l2),
            "seed": seed,
        }

    def params(self) -> dict[str, Any]:
        """Return the parameters it learns with, as plain JSON values."""
        return dict(self._params)

    def fit(self, sample: Sample) -> FittedEstimator:
        """Learn from a sample.

        Raises
        ------
        ModelError
            The geometry is missing from the columns or from a row.
        """
        geometry = Geometry.of(sample)
        classifier = self._boost(sample, sample.won, geometry.log_odds(sample.vectors), objective="binary:logistic")
        payoff = self._boost(sample, winsorised(sample.gross_r), None, objective="reg:squarederror", base_score=0.0)
        return _Fitted(sample.columns, geometry, classifier, payoff)

    def load(self, columns: tuple[str, ...], files: Mapping[str, bytes]) -> FittedEstimator:
        """Return the estimator that `files` describe.

        Raises
        ------
        ModelError
            The files are damaged, missing or another estimator's, or it learned from other columns.
        """
        body = unsealed(_NAME, columns, files, (_CLASSIFIER, _PAYOFF))
        boosters = (_loaded(columns, name, files[name]) for name in (_CLASSIFIER, _PAYOFF))
        return _Fitted(columns, Geometry.from_json(body["geometry"], columns), *boosters)

    def _boost(
        self, sample: Sample, target: FloatArray, margin: FloatArray | None, objective: str, base_score: float = _EVEN
    ) -> Any:
        xgboost, own = light_xgboost(), self._params
        falling = ",".join("-1" if name == COST else "0" for name in sample.columns)
        settings = {
            "objective": objective,
            "base_score": base_score,
            "tree_method": "hist",
            "max_depth": own["depth"],
            "learning_rate": own["learning_rate"],
            "min_child_weight": own["min_child_weight"],
            "reg_lambda": own["l2"],
            "monotone_constraints": f"({falling})",
            "nthread": 1,
            "seed": own["seed"],
            "verbosity": 0,
        }
        data = xgboost.QuantileDMatrix(
            sample.vectors,
            label=target,
            weight=sample.weights,
            base_margin=margin,
            feature_names=list(sample.columns),
            nthread=1,
        )
        return xgboost.train(settings, data, num_boost_round=own["trees"])


@dataclass(slots=True, eq=False)
class _Fitted:
    """Geometry, the trees that depart from it, and the trees that predict results in R."""

    columns: tuple[str, ...]
    geometry: Geometry
    classifier: Any
    regressor: Any
    name: str = _NAME

    def score(self, vectors: FloatArray) -> Scores:
        """Score candidates; NaN where the geometry is not known or a feature is infinite."""
        values = checked(vectors, self.columns)
        anchor = self.geometry.log_odds(values)
        anchor = anchor + judged_rows(anchor, values)
        if not len(values):
            return Scores(anchor, anchor, anchor)
        known = np.isfinite(anchor)
        own = values if known.all() else np.where(known[:, None], values, np.nan)
        payoff = np.where(known, _margin(self.regressor, own), np.nan)
        return Scores(sigmoid(anchor), sigmoid(anchor + _margin(self.classifier, own)), payoff)

    def contributions(self, vectors: FloatArray) -> FloatArray:
        """Return log-odds by column, the last one what every candidate starts from (exact tree SHAP values)."""
        values = checked(vectors, self.columns)
        anchor = self.geometry.log_odds(values)
        anchor = anchor + judged_rows(anchor, values)
        if not len(values):
            return np.empty((0, len(self.columns) + 1))
        known = np.isfinite(anchor)
        data = light_xgboost().DMatrix(
            np.where(known[:, None], values, np.nan), feature_names=list(self.columns), nthread=1
        )
        parts: FloatArray = self.classifier.predict(data, pred_contribs=True).astype(np.float64)
        parts[:, -1] += anchor
        parts[~known] = np.nan
        return parts

    def files(self) -> dict[str, bytes]:
        """Return boosters as UBJ and the rest as JSON."""
        blobs = {
            _CLASSIFIER: bytes(self.classifier.save_raw("ubj")),
            _PAYOFF: bytes(self.regressor.save_raw("ubj")),
        }
        return sealed(_NAME, self.columns, {"geometry": self.geometry.to_json()}, blobs)


def _margin(booster: Any, values: FloatArray) -> FloatArray:
    """Return the sum over the trees. The geometry is added in double precision by whoever asks."""
    margin: FloatArray = booster.inplace_predict(values, predict_type="margin").astype(np.float64)
    return margin


def _loaded(columns: tuple[str, ...], name: str, data: bytes) -> Any:
    xgboost = light_xgboost()
    try:
        booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(data))
    except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
        raise ModelError(f"estimator {_NAME}: {name} cannot be read by XGBoost {xgboost.__version__}") from error
    if tuple(booster.feature_names or ()) != columns:
        raise ModelError(f"estimator {_NAME}: {name} learned from other columns than its card lists")
    return booster
