"""From an estimator's score to a probability that can be taken at its word.

The law: whatever the method, a probability leaves here within [0.02, 0.98], and NaN stays NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import ModelError, nearest
from core.schema import FloatArray

__all__ = ["CEILING", "FLOOR", "METHODS", "Calibrator", "logit"]

METHODS = ("platt", "isotonic", "none")

FLOOR, CEILING = 0.02, 0.98
"""No plan is surer than this either way: beyond it log-loss and Kelly-like sums hang on a handful of outcomes."""

_TINY = 1e-9  # keeps the logit finite


def logit(p: FloatArray) -> FloatArray:
    """Return the log-odds of probabilities; those of 0 and 1 are finite.

    Examples
    --------
    >>> logit(np.array([0.5, 0.8])).round(4).tolist()
    [0.0, 1.3863]
    """
    clipped = np.clip(p, _TINY, 1.0 - _TINY)
    odds: FloatArray = np.log(clipped / (1.0 - clipped))
    return odds


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A fitted map from scores to probabilities.

    Parameters
    ----------
    method : str
        ``platt`` (anchored at the geometry), ``isotonic`` or ``none``.
    a, b : float
        Platt: the share of the estimator's departure from the geometry that is believed, and a shift in log-odds.
    knots_x, knots_y : tuple of float
        Isotonic: scores, rising, and the probability at each.
    n_eff : float
        Effective out-of-sample rows it was fitted on.

    Examples
    --------
    >>> half = Calibrator("platt", a=0.5, b=0.0)
    >>> half.apply(np.array([0.5]), np.array([0.8])).round(6).tolist()
    [0.666667]
    """

    method: str = "none"
    a: float = 1.0
    b: float = 0.0
    knots_x: tuple[float, ...] = ()
    knots_y: tuple[float, ...] = ()
    n_eff: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ModelError(f"calibrator: method '{self.method}': {nearest(self.method, METHODS)}")
        if not np.isfinite((self.a, self.b, self.n_eff, *self.knots_x, *self.knots_y)).all():
            raise ModelError("calibrator: expected finite numbers")
        if self.method == "isotonic" and (
            not self.knots_x
            or len(self.knots_x) != len(self.knots_y)
            or np.any(np.diff(self.knots_x) <= 0)
            or np.any(np.diff(self.knots_y) < 0)
        ):
            raise ModelError("calibrator: expected as many probabilities as scores, both rising")

    def apply(self, p_geo: FloatArray, p_raw: FloatArray) -> FloatArray:
        """Return calibrated probabilities.

        Parameters
        ----------
        p_geo, p_raw : float64 array, shape (n,)
            Probability by the plan's geometry, and by the estimator.

        Returns
        -------
        float64 array, shape (n,)
            Within [0.02, 0.98]; NaN where the score is.

        Notes
        -----
        Platt: ``logit p = logit p_geo + a * (logit p_raw - logit p_geo) + b``. With ``a`` in [0, 1.2] an estimator
        without skill is drawn back to the geometry, not to the base rate. Isotonic: linear between knots, flat beyond.

        References
        ----------
        Platt (1999), Advances in Large Margin Classifiers, 61-74. Zadrozny and Elkan (2002), KDD, 694-699.
        """
        if self.method == "isotonic":
            p = np.interp(p_raw, self.knots_x, self.knots_y)
        elif self.method == "platt":
            geometry = logit(p_geo)
            p = 1.0 / (1.0 + np.exp(-(geometry + self.a * (logit(p_raw) - geometry) + self.b)))
        else:
            p = p_raw
        calibrated: FloatArray = np.clip(p, FLOOR, CEILING)
        return calibrated

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "method": self.method,
            "a": self.a,
            "b": self.b,
            "knots_x": list(self.knots_x),
            "knots_y": list(self.knots_y),
            "n_eff": self.n_eff,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibrator:
        """Return the calibrator that `to_json` wrote.

        Raises
        ------
        ModelError
            Something is missing, not a finite number, or not a rising map.
        """
        try:
            return cls(
                method=str(data["method"]),
                a=float(data["a"]),
                b=float(data["b"]),
                knots_x=tuple(float(x) for x in data["knots_x"]),
                knots_y=tuple(float(y) for y in data["knots_y"]),
                n_eff=float(data["n_eff"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"calibrator: {error!r}; expected method, a, b, knots_x, knots_y, n_eff") from error
