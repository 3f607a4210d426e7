"""A2 and A3: where there is no edge, candles to verdicts find none."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from core.training.splits import WEEK_MS
from tests.meta.bars import opened, sizes
from tests.meta_worlds import Place, governed, in_parallel, make, shown, walked

MEAN_R = 0.02
PASSES_MEAN, PASSES_WORST, CERTIFIED = 0.02, 0.06, 0.005
SKILL_IN = 1 / 20


@sizes("seeds", 2, 28)
def test_a_random_walk_without_costs_is_worth_nothing(seeds: int) -> None:
    with opened("A2") as bars:
        places = [Place("walk", seed=100 + number) for number in range(seeds)]
        results = pd.concat(in_parallel(_results, places, "A2"), ignore_index=True)
        by_week = results.groupby("week")["net_r"].agg(["sum", "count"])
        mean, n = float(results["net_r"].mean()), len(results)
        aside = (by_week["sum"] - by_week["count"] * mean).to_numpy()
        se = math.sqrt(float(aside @ aside)) / n
        if seeds > 2:
            bars.least("filled candidates", n, 100_000, "{:.0f}")
            bars.most(f"|mean R| (standard error {se:.4f})", abs(mean), MEAN_R, "{:.4f}")
        else:  # so few leave room for chance
            bars.most(f"|mean R| of {n}, less two standard errors of {se:.3f}", abs(mean) - 2.0 * se, MEAN_R, "{:.3f}")
        bars.most("largest |R| that no price explains", float(results["r_unexplained"].abs().max()), 1e-9, "{:.1e}")


def _results(place: Place) -> pd.DataFrame:
    made = make(place, free=True, described=False)
    closed = (made.trades["status"] == "CLOSED").to_numpy()
    signals, trades = made.signals[closed], made.trades[closed]
    side = np.where(signals["direction"] == "long", 1.0, -1.0)
    moved = side * (trades["exit_price"] - trades["fill_price"]).to_numpy()
    risk = np.abs(signals["entry"] - signals["sl"]).to_numpy() / signals["entry"].to_numpy()
    explained = moved / trades["fill_price"].to_numpy() / risk
    return pd.DataFrame(
        {
            "week": place.seed * 1_000_000 + signals["decided_ms"].to_numpy() // WEEK_MS,
            "net_r": trades["r_multiple"].to_numpy(),
            "r_unexplained": trades["r_multiple"].to_numpy() - explained,
        }
    )


SMALL = [Place(world, seed=1, days=365, symbols=2, block_ms=16 * WEEK_MS) for world in ("walk", "fat")]
WHOLE = [Place(world, seed) for world in ("walk", "fat") for seed in range(1, 11)]


@sizes("places", SMALL, WHOLE)
def test_where_there_is_no_edge_the_gate_stays_shut(places: list[Place]) -> None:
    with opened("A3") as bars:
        found = pd.DataFrame(in_parallel(_found, places, "A3"))
        for world, own in found.groupby("world"):
            bars.most(f"{world}, {len(own)} seeds: EV passes, mean", own["passed"].mean(), PASSES_MEAN, "{:.2%}")
            bars.most(f"{world}: EV passes, worst seed", own["passed"].max(), PASSES_WORST, "{:.2%}")
            bars.most(f"{world}: certified passes, mean", own["certified"].mean(), CERTIFIED, "{:.2%}")
        most = max(1, math.floor(SKILL_IN * len(found)))
        bars.most(f"models that show skill, of {len(found)}", int(found["skill"].sum()), most, "{:.0f}")


def _found(place: Place) -> dict[str, object]:
    told = walked(place)
    decisions = governed(told)
    passed = (decisions["verdict"] == "PASS").to_numpy()
    certified = passed & (decisions["reason"] == "CERTIFIED").to_numpy()
    return {
        "world": place.world,
        "passed": float((told.floats("ev_r") > 0.0).mean()),
        "certified": float(certified.mean()),
        "skill": shown(told).shown,
    }
