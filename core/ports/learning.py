"""What an estimator is, what it learns from, and what it says.

The law: stages and jobs know these names, never a concrete class; `app` alone chooses one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from core.schema import FloatArray

__all__ = ["Estimator", "FittedEstimator", "Sample", "Scores"]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What an estimator learns from: finished candidates, one row each.

    Parameters
    ----------
    vectors : float64 array, shape (n, k)
        Features; NaN where an optional one is not known.
    columns : tuple of str
        Their names, in order.
    won : float64 array, shape (n,)
        1 where the result after all costs was above 0, else 0.
    gross_r : float64 array, shape (n,)
        Result before costs, in R.
    weights : float64 array, shape (n,)
        Uniqueness of each row.
    """

    vectors: FloatArray
    columns: tuple[str, ...]
    won: FloatArray
    gross_r: FloatArray
    weights: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What an estimator says of candidates.

    Parameters
    ----------
    p_geo : float64 array, shape (n,)
        Probability of winning as the plan's geometry alone gives it.
    p_raw : float64 array, shape (n,)
        The estimator's own, not calibrated.
    payoff : float64 array, shape (n,)
        Predicted result before costs in R, not shrunk.
    """

    p_geo: FloatArray
    p_raw: FloatArray
    payoff: FloatArray


class FittedEstimator(Protocol):
    """An estimator that has learned."""

    name: str
    columns: tuple[str, ...]

    def score(self, vectors: FloatArray) -> Scores:
        """Score candidates; `vectors` has shape (n, k) with the columns learned from, in their order."""
        ...

    def contributions(self, vectors: FloatArray) -> FloatArray:
        """Return log-odds of `p_raw` by column, shape (n, k + 1); the last one is what every candidate starts from:
        the logit of the geometry with the bias. Each row adds up to the logit of `p_raw`."""
        ...

    def files(self) -> dict[str, bytes]:
        """Return all it knows as files by name; none of them is code."""
        ...


class Estimator(Protocol):
    """Learns p(win) and payoff from finished candidates. One file each in `core/estimators`."""

    name: str

    def params(self) -> dict[str, Any]:
        """Return the parameters it learns with, as plain JSON values."""
        ...

    def fit(self, sample: Sample) -> FittedEstimator:
        """Learn from a sample."""
        ...

    def load(self, columns: tuple[str, ...], files: Mapping[str, bytes]) -> FittedEstimator:
        """Return the estimator that `files` describe.

        Raises
        ------
        ModelError
            The files are not what `FittedEstimator.files` writes.
        """
        ...
