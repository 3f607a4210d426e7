"""What XGBoost itself takes for what a model asks of it.

The law: as in `benchmarks.plain`; the trees are read from the model's files, the engine's own modules are not imported.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import xgboost

from benchmarks._measure import Round, Sample

__all__ = ["score"]

FILES = ("estimator-classifier.ubj", "estimator-payoff.ubj")


def score(model: str, vectors: str) -> Round:
    """Predict with both boosters in the folder of a model, straight from the array."""
    boosters = [xgboost.Booster({"nthread": 1}, model_file=Path(model) / name) for name in FILES]
    values = np.load(vectors)

    def once() -> Sample:
        began = perf_counter()
        _, payoff = (booster.inplace_predict(values) for booster in boosters)
        return {"s": perf_counter() - began, "rows": len(values), "sum": float(payoff.astype(np.float64).sum())}

    return once
