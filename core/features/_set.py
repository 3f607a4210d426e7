"""All families of the shelf as one table of features.

The law: the same families, columns and versions have the same identity, and a vector is stored under it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.execution.costs import CostModel
from core.features._base import Family, Outcomes, Plans, View
from core.plugins import build, shelf
from core.schema import Candles, FloatArray

__all__ = ["OUTCOMES", "FeatureSet", "feature_set"]

PACKAGE = "core.features"
OUTCOMES = "outcomes"  # the one family that looks at no candles
NO_COSTS = CostModel(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class FeatureSet:
    """Families in order, and the columns they make together.

    Parameters
    ----------
    families : tuple of Family
    """

    families: tuple[Family, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column for family in self.families for column in family.columns)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Columns without which no candidate is judged, in order."""
        return tuple(column for family in self.families for column in family.required)

    @cached_property
    def warmup(self) -> int:
        """Candles before a candidate's own after which nothing depends on where the data begins."""
        return max((family.warmup for family in self.families), default=0)

    @cached_property
    def family_of(self) -> dict[str, str]:
        """The name of each column's family."""
        return {column: family.name for family in self.families for column in family.columns}

    def by_family(self, columns: Sequence[str], amounts: Sequence[float]) -> dict[str, float]:
        """Add amounts by column up to amounts by family; a column no family has now counts for the one it names.

        Examples
        --------
        >>> feature_set().by_family(["geo_rr1", "old_column", "geo_rr2"], [0.5, 1.0, 0.25])
        {'geometry': 0.75, 'old': 1.0}
        """
        total: dict[str, float] = {}
        for column, amount in zip(columns, amounts, strict=True):
            family = self.family_of.get(column, column.partition("_")[0])
            total[family] = total.get(family, 0.0) + amount
        return total

    @cached_property
    def id(self) -> str:
        """``fs-`` and ten digits over families, columns and versions."""
        told = [[family.name, family.version, list(family.columns)] for family in self.families]
        return f"fs-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:10]}"

    def compute(self, view: View) -> FloatArray:
        """Return the vectors of the candidates in view.

        Parameters
        ----------
        view : View

        Returns
        -------
        float64 array, shape (n, k)
            One row a candidate, one column each of `columns`; NaN where one is not known.
        """
        if len(view.at) == 0:
            return np.empty((0, len(self.columns)))
        return np.concatenate([family.compute(view) for family in self.families], axis=1)

    def with_outcomes(self, vectors: FloatArray, plans: Plans, outcomes: Outcomes) -> FloatArray:
        """Return vectors with the columns that follow from earlier outcomes computed anew; the others stay.

        Parameters
        ----------
        vectors : float64 array, shape (n, k)
            As `compute` gives them, whatever outcomes it was shown.
        plans : Plans
            Row by row beside `vectors`.
        outcomes : Outcomes
        """
        (family,) = (family for family in self.families if family.name == OUTCOMES)
        where = [self.columns.index(name) for name in family.columns]
        nowhere = np.zeros(len(vectors), dtype=np.int64)
        told = vectors.copy()
        told[:, where] = family.compute(View(Candles.empty(), nowhere, plans, "1m", NO_COSTS, outcomes=outcomes))
        return told


def feature_set() -> FeatureSet:
    """Return the set of all families on the shelf, by name.

    Examples
    --------
    >>> "geo_rr1" in feature_set().required
    True
    """
    return FeatureSet(tuple(build(PACKAGE, name, {}, PACKAGE) for name in shelf(PACKAGE)))
