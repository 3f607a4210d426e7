"""A model in force: what scores candidates, calibrates the score and prices the plan, in one value.

The law: a model judges only the columns it learned from, in their order, and says which required one is missing;
it never guesses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import ModelError
from core.gate.calibrator import Calibrator
from core.gate.value import Payoff, expected_value
from core.ports import FittedEstimator
from core.schema import FloatArray

__all__ = ["Judged", "Model"]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a model says of candidates; each a float64 array, shape (n,).

    Parameters
    ----------
    p_geo, p_raw, p
        Probability of winning: by the plan's geometry, by the estimator, calibrated.
    payoff
        The estimator's result before costs in R, not shrunk.
    ev_payoff_r, ev_p_r, ev_r
        Expected value in R by payoff, by probability, and the lower of both.
    """

    p_geo: FloatArray
    p_raw: FloatArray
    p: FloatArray
    payoff: FloatArray
    ev_payoff_r: FloatArray
    ev_p_r: FloatArray
    ev_r: FloatArray

    def __len__(self) -> int:
        return len(self.p)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A fitted estimator with its calibrator, its payoff and what it was learned from.

    Parameters
    ----------
    version : str
        Its name in the registry.
    estimator : FittedEstimator
    calibrator : Calibrator
    payoff : Payoff
    columns : tuple of str
        Features in the order of a vector.
    required : tuple of str
        Those of them without which it does not judge.
    feature_set, plan_hash, exit_policy : str
        Identities of the features, plans and exits it learned from.
    train_max_t1 : int
        Newest outcome it has learned from, UTC ms.
    skill : bool
        Whether its log-loss is shown to be better than the geometry's; without it nothing is certified.

    Raises
    ------
    ModelError
        The estimator learned other columns, or a required one is not among them.
    """

    version: str
    estimator: FittedEstimator
    calibrator: Calibrator
    payoff: Payoff
    columns: tuple[str, ...]
    required: tuple[str, ...]
    feature_set: str
    plan_hash: str
    exit_policy: str
    train_max_t1: int
    skill: bool = False

    def __post_init__(self) -> None:
        if tuple(self.estimator.columns) != tuple(self.columns):
            raise ModelError(f"model {self.version}: its estimator learned other columns than its card lists")
        unknown = [name for name in self.required if name not in self.columns]
        if unknown:
            raise ModelError(f"model {self.version}: required feature '{unknown[0]}' is not among its columns")

    def missing(self, vectors: FloatArray) -> npt.NDArray[np.object_]:
        """Return the first required feature each candidate lacks, ``""`` where it has all.

        Parameters
        ----------
        vectors : float64 array, shape (n, k)
        """
        where = [self.columns.index(name) for name in self.required]
        names = np.array([*self.required, ""], dtype=object)
        lacks = np.concatenate((~np.isfinite(vectors[:, where]), np.ones((len(vectors), 1), dtype=np.bool_)), axis=1)
        first: npt.NDArray[np.object_] = names[lacks.argmax(axis=1)]
        return first

    def judge(
        self,
        vectors: FloatArray,
        stop_frac: FloatArray,
        rr1: FloatArray,
        rr2: FloatArray,
        cost_r: FloatArray,
        timeframe: npt.ArrayLike,
        direction: npt.ArrayLike,
    ) -> Judged:
        """Judge candidates.

        Parameters
        ----------
        vectors : float64 array, shape (n, k)
            Features, in the order of `columns`.
        stop_frac, rr1, rr2, cost_r : float64 array, shape (n,)
            The plans, see `value.expected_value`.
        timeframe, direction : array-like of str, shape (n,) or one for all

        Returns
        -------
        Judged

        Raises
        ------
        ModelError
            The vectors have another number of columns.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.columns):
            raise ModelError(
                f"model {self.version}: vectors of shape {vectors.shape}; expected {len(self.columns)} columns"
            )
        scores = self.estimator.score(vectors)
        p = self.calibrator.apply(scores.p_geo, scores.p_raw)
        value = expected_value(self.payoff, p, scores.payoff, stop_frac, rr1, rr2, cost_r, timeframe, direction)
        return Judged(scores.p_geo, scores.p_raw, p, scores.payoff, *value)
