"""What a model costs: to score and judge candidates with it, and to learn it anew every week.

The law: the model that is asked is a real one, fitted beforehand on the candidates of the same candles.
"""

from __future__ import annotations

import numpy as np

from benchmarks._learned import learned
from benchmarks._measure import Side, interleaved, median
from benchmarks._stage import Stage
from benchmarks.results import Bar, Row, duration
from core.store import artefacts

__all__ = ["gate", "learn"]


def gate(stage: Stage, rows: int = 20_000, candidates: int = 250) -> list[Row]:
    """Score many candidates, and judge as many as a busy close has."""
    made, _ = learned(stage)
    vectors = stage.folder / "vectors.npy"
    np.save(vectors, made.vectors[np.random.default_rng(7).integers(0, len(made.vectors), rows)])
    models, config = made.config.with_name("models"), str(made.config)
    (version,) = artefacts.versions(models)
    sides = {
        "ours": Side("benchmarks.ours_learned:score", {"config": config, "vectors": str(vectors)}),
        "plain": Side("benchmarks.plain_trees:score", {"model": str(models / version), "vectors": str(vectors)}),
    }
    told = interleaved(sides, 15)
    mine, theirs = median(told["ours"]), median(told["plain"])
    differ = abs(median(told["ours"], "sum") - median(told["plain"], "sum"))
    judged = interleaved(
        {"ours": Side("benchmarks.ours_learned:gate", {"config": config, "candidates": candidates})}, 15
    )
    took, n = median(judged["ours"]), median(judged["ours"], "rows")
    return [
        Row(
            f"p(win) and payoff of {rows:,} candidates",
            f"{duration(mine)} against {duration(theirs)} (inplace_predict of the same trees)",
            mine / theirs,
            Bar(1.2, at_least=False),
            {"ours_s": mine, "plain_s": theirs, "differ_r": differ},
        ),
        Row(
            f"{n:.0f} candidates through the gate",
            f"{duration(took)}: who is in force, probability, value, evidence, verdict",
            1e3 * took,
            Bar(50.0, at_least=False, unit=" ms"),
            {"s": took, "judged": median(judged["ours"], "judged")},
        ),
    ]


def learn(_stage: Stage, rows: int = 30_000) -> list[Row]:
    """Learn as once a week; a minute, so it is done once."""
    told = interleaved({"ours": Side("benchmarks.ours_learned:learn", {"rows": rows})}, 1, warm=0)["ours"][0]
    shown = (
        f"{duration(told['s'])} ({duration(told['cpu_s'])} of processor): a week judged, a model fitted, twice 6 fits"
    )
    work = f"weekly retrain on {rows:,} rows x {told['columns']:.0f} columns, one core"
    return [Row(work, shown, told["s"], Bar(60.0, at_least=False, unit=" s"), told)]
