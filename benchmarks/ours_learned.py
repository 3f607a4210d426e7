"""Our side where something is learned: scoring candidates, judging them, learning anew.

The law: as in `benchmarks.ours`; the first round of a worker, which reads the model or compiled code, does not count.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from benchmarks import _data
from benchmarks._learned import WEEKS, made_rows
from benchmarks._measure import Round, Sample
from core.clock import WEEK_MS
from core.estimators.xgboost import XGBoost
from core.features import feature_set
from core.jobs._gating import Court, load_model, newest_champion
from core.training.fit import FitRules, fit_model
from core.training.walk import walk_forward

__all__ = ["gate", "learn", "score"]


def score(config: str, vectors: str) -> Round:
    """Score candidates by the model in force: the geometry's chance, the trees' chance, the payoff."""
    desk = _data.open_desk(Path(config))
    model = load_model(desk, newest_champion(desk))
    desk.writer.close()
    values = np.load(vectors)

    def once() -> Sample:
        began = perf_counter()
        scores = model.estimator.score(values)
        took = perf_counter() - began
        return {"s": took, "rows": len(values), "known": float(np.isfinite(scores.p_raw).mean())}

    return once
