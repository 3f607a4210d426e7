"""Our side where something has been learned: scoring candidates, judging them, learning anew.

The law: as in `benchmarks.ours`. What is read once a start (the model, compiled code) is read in the round that does
not count.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from benchmarks import _data
from benchmarks._learned import made_rows
from benchmarks._measure import Round, Sample
from core.estimators.xgboost import XGBoost
from core.features import feature_set
from core.jobs._gating import Court, load_model, newest_champion
from core.jobs._learning import features_of
from core.training.fit import FitRules, fit_model
from core.training.splits import WEEK_MS
from core.training.walk import walk_forward

__all__ = ["gate", "learn", "score"]


def score(config: str, vectors: str) -> Round:
    """Score candidates by the model in force: the geometry's chance, the trees' chance, the payoff."""
    desk, values = _data.open_desk(Path(config)), np.load(vectors)
    model = load_model(desk, newest_champion(desk))
    desk.writer.close()

    def once() -> Sample:
        began = perf_counter()
        scores = model.estimator.score(values)
        return {"s": perf_counter() - began, "rows": len(values), "sum": float(np.nansum(scores.payoff))}

    return once


def gate(config: str, candidates: int) -> Round:
    """Judge the newest candidates on record, as the live scan does: who is in force, what it says, the verdict."""
    desk = _data.open_desk(Path(config))
    signals = desk.reader.signals(exchange=desk.exchange, limit=candidates).sort_values("id", ignore_index=True)
    _, vectors = desk.reader.features(features_of(desk).id, signals["id"].tolist())

    def once() -> Sample:
        began = perf_counter()
        decisions = Court(desk).judge(signals, vectors)
        took = perf_counter() - began
        return {"s": took, "rows": len(decisions), "judged": float((decisions["ml_p"] > 0).sum())}

    return once


def learn(rows: int) -> Round:
    """Learn as a week later: judge the newest week by a model that did not know it, then fit the next one; one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    dataset = made_rows(rows, feature_set())
    decided = dataset.ints("decided_ms")
    newest_week = (decided - decided[0]) // WEEK_MS == (decided[-1] - decided[0]) // WEEK_MS
    done = dataset.ints("signal_id")[~newest_week].tolist()

    def once() -> Sample:
        began, busy = perf_counter(), process_time()
        walk = walk_forward(dataset, XGBoost(), FitRules(), "measured", done, block_ms=WEEK_MS)
        fitted = fit_model(dataset, XGBoost(), FitRules())
        told = {"s": perf_counter() - began, "cpu_s": process_time() - busy, "columns": len(dataset.columns)}
        return {**told, "rows": fitted.n, "blocks": len(walk.blocks), "predictions": len(walk.predictions)}

    return once
