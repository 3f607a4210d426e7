"""The gate: what becomes of a candidate, and the machine-readable reason.

The law: every candidate gets a verdict, and the verdict is never about anything known after its close.
No model is in force in this version, so each verdict is UNGATED: the rule alone proposed it, nothing
filtered it, and whoever shows it must say so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.schema import DECISIONS, conform

__all__ = ["PASSED", "decide"]

PASSED = frozenset({"PASS", "UNGATED"})  # verdicts that let a candidate through to the limits

NO_MODEL = "NO_MODEL"
DISABLED = "DISABLED"


def decide(n: int, enabled: bool) -> pd.DataFrame:
    """Decide `n` candidates for which no model is in force.

    Parameters
    ----------
    n : int
        How many.
    enabled : bool
        `models.meta.enabled`: names the reason, ``NO_MODEL`` or ``DISABLED``.

    Returns
    -------
    pandas.DataFrame
        Columns `schema.DECISIONS`, one row a candidate in order; `signal_id` is 0 until it is stored.
    """
    unknown = np.full(n, np.nan)
    return conform(
        pd.DataFrame(
            {
                "signal_id": np.zeros(n, dtype=np.int64),
                "seq": np.zeros(n, dtype=np.int64),
                "verdict": ["UNGATED"] * n,
                "reason": [NO_MODEL if enabled else DISABLED] * n,
                "p_geo": unknown,
                "ml_p_raw": unknown,
                "ml_p": unknown,
                "ev_payoff_r": unknown,
                "ev_p_r": unknown,
                "ev_pct": unknown,
                "threshold": unknown,
                "threshold_source": [""] * n,
                "model_version": [""] * n,
            }
        ),
        DECISIONS,
    )
