"""The gate: what becomes of a candidate, and the machine-readable reason.

The law: every candidate gets a verdict, and the verdict is never about anything known after its close.
No model is in force in this version, so each verdict is UNGATED: the rule alone proposed it, nothing
filtered it, and whoever shows it must say so.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.schema import DECISIONS, frame_of

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
    unknown = dict.fromkeys(("p_geo", "ml_p_raw", "ml_p", "ev_payoff_r", "ev_p_r", "ev_pct", "threshold"), np.nan)
    words = {"verdict": "UNGATED", "reason": NO_MODEL if enabled else DISABLED}
    nothing = {"signal_id": 0, "seq": 0, "threshold_source": "", "model_version": ""}
    return frame_of({**unknown, **words, **nothing}, n, DECISIONS)
