"""How much better or worse than predicted each slice does, once chance has been taken out.

The law: a slice moves away from what holds for all only as far as its own results force it to.
"""

from __future__ import annotations

import numpy as np

from core.schema import FloatArray, IntArray
from core.training._certify import ladder_of
from core.training._slices import since_first, sums_by_cell

__all__ = ["MIN_N_EFF", "offsets"]

MIN_N_EFF = 60.0  # fewer effective rows move nothing


def offsets(gap: FloatArray, group: IntArray, groups: int, week: IntArray, weight: FloatArray) -> FloatArray:
    """Return each group's mean gap, drawn towards 0.

    Parameters
    ----------
    gap : float64 array, shape (n,)
        Realised less predicted.
    group : int64 array, shape (n,)
        Which of the `groups` each row is of.
    week : int64 array, shape (n,)
    weight : float64 array, shape (n,)
        Uniqueness of each row.

    Returns
    -------
    float64 array, shape (groups,)
        0 below `MIN_N_EFF` effective rows.

    Notes
    -----
    ``d = tau^2 / (tau^2 + v) * mean(gap)``, with v the variance of the mean, clustered by week and at least
    ``s^2 / n_eff``, and ``tau^2 = max(0, (sum(mean^2 / v) - k) / sum(1 / v))`` over the k groups that have enough: by
    moments, with the centre known to be 0.

    References
    ----------
    DerSimonian and Laird (1986), Controlled Clinical Trials 7, 177-188. Efron and Morris (1973), JASA 68, 117-130.
    """
    weeks = since_first(week)
    shape = (groups, 1, int(weeks.max(initial=-1)) + 1)
    ladder = ladder_of(sums_by_cell(group, np.zeros_like(group), weeks, gap, weight, shape))
    mean, variance = ladder.mean[:, 0], ladder.se[:, 0] ** 2
    offset = np.zeros(groups)
    enough = (ladder.n_eff[:, 0] >= MIN_N_EFF) & (variance > 0.0)
    if enough.any():
        x, v = mean[enough], variance[enough]
        tau2 = max(0.0, float((np.sum(x * x / v) - len(x)) / np.sum(1.0 / v)))
        offset[enough] = tau2 / (tau2 + v) * x
    return offset
