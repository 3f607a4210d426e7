"""How candidates of the same series have ended lately.

The law: an outcome counts from the moment it was known. These are no columns of candles: how many outcomes there are
depends on how long candidates have been played, not on a warm-up.
"""

from __future__ import annotations

import numpy as np

from core.clock import DAY_MS
from core.features._base import View, last_at, table
from core.indicators.averages import window_mean
from core.schema import FloatArray

__all__ = ["Lagged"]

COUNTS = (1, 5, 20)  # outcomes
COUNT_DAYS = 30


class Lagged:
    """Average the newest results of the series' finished candidates, and count them.

    Columns
    -------
    out_r_1 : R
        Result of the newest finished candidate [1]_.
    out_r_5 : R
        Mean result of the newest 5 [1]_.
    out_r_20 : R
        Mean result of the newest 20 [1]_.
    out_count : candidates
        How many finished in the 30 days before the decision [1]_.

    Notes
    -----
    Every candidate of the same symbol and timeframe counts, long or short, taken or not, whose outcome was known at the
    decision or earlier. A mean is NaN until there are as many.

    References
    ----------
    .. [1] Lopez de Prado, M. (2018). Advances in Financial Machine Learning, Wiley, ch. 3: learning from a rule's
       own record.

    Examples
    --------
    >>> Lagged().warmup
    0
    """

    name = "outcomes"
    columns = (*(f"out_r_{count}" for count in COUNTS), "out_count")
    required: tuple[str, ...] = ()
    warmup = 0
    version = 1

    def compute(self, view: View) -> FloatArray:
        """Return the columns of each candidate."""
        known_ms, decided = view.outcomes.known_ms, view.plans.decided_ms
        newest = last_at(known_ms, decided)
        recent = newest - last_at(known_ms, decided - COUNT_DAYS * DAY_MS)
        values = {
            **{f"out_r_{count}": window_mean(view.outcomes.r, newest, count) for count in COUNTS},
            "out_count": recent.astype(np.float64),
        }
        return table(self.columns, values, len(decided))
