"""A4: an edge is found, shown, and worth what it says; one that is worth nothing is not certified."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from core.gate import Evidence
from core.schema import FloatArray, IntArray
from core.training.splits import WEEK_MS
from tests.meta.bars import opened, sizes
from tests.meta_worlds import Place, governed, in_parallel, shown, tuned, walked

CERTIFIED_SHARE = 3 / 5
PASSED_R, ABOVE_R = 0.10, 0.30
DEVIATE_95 = 1.645  # one-sided


class Found(NamedTuple):
    """What a world came to."""

    certified: bool  # pool, a timeframe or a pair, by the last tuning
    high: bool  # and the high-volatility regime
    skill: bool
    certified_passes: float
    sure: FloatArray  # net R of what the gate passed with evidence
    passed: FloatArray  # net R of what the gate passed
    week: IntArray  # of each
    all_r: FloatArray


def _found(place: Place) -> Found:
    told = walked(place)
    evidence, decisions = tuned(told).evidence, governed(told)
    passed = (decisions["verdict"] == "PASS").to_numpy()
    sure = passed & (decisions["reason"] == "CERTIFIED").to_numpy()
    net_r, week = told.floats("net_r"), told.rows["decided_ms"].to_numpy(np.int64) // WEEK_MS
    return Found(
        _is_certified(evidence),
        "vol_high" in evidence.slices and evidence.slices["vol_high"].certified,
        shown(told).shown,
        float(sure.mean()),
        net_r[sure],
        net_r[passed],
        place.seed * 1_000_000 + week[passed],
        net_r,
    )


def _is_certified(evidence: Evidence) -> bool:
    return any(one.certified for one in evidence.slices.values() if not one.name.startswith("vol_"))


def _lower_bound(net_r: FloatArray, week: IntArray) -> float:
    """Return the mean less 1.645 standard errors clustered by week."""
    _, of_week = np.unique(week, return_inverse=True)
    aside = np.bincount(of_week, weights=net_r - net_r.mean())
    return float(net_r.mean() - DEVIATE_95 * math.sqrt(float(aside @ aside)) / len(net_r))


@sizes("seeds", [4], [1, 2, 3, 4, 5])
def test_a_planted_edge_is_found(seeds: list[int]) -> None:
    whole = len(seeds) > 1
    with opened("A4") as bars:
        places = [Place("edge", seed) if whole else Place("edge", seed, block_ms=24 * WEEK_MS) for seed in seeds]
        found = list(in_parallel(_found, places, "A4 edge"))
        passed, week = (np.concatenate([getattr(one, name) for one in found]) for name in ("passed", "week"))
        usual = float(np.concatenate([one.all_r for one in found]).mean())
        mean = float(passed.mean())
        if whole:
            bars.least(
                f"p* = 0.8: seeds certified, of {len(found)} ({sum(one.skill for one in found)} show skill)",
                sum(one.certified for one in found),
                CERTIFIED_SHARE * len(found),
                "{:.0f}",
            )
            sure = np.concatenate([one.sure for one in found])
            of_sure = f"p* = 0.8: mean of the {len(sure)} passed with evidence less mean of all, R"
            bars.least(of_sure, float(sure.mean()) - usual, ABOVE_R, "{:+.3f}")
            bars.least("p* = 0.8: mean of passed less mean of all, R", mean - usual, ABOVE_R, "{:+.3f}")
        else:
            bars.least("p* = 0.8: mean of passed less mean of all, R", mean - usual, PASSED_R, "{:+.3f}")
        bars.least(f"p* = 0.8: mean of the {len(passed)} passed, R", mean, PASSED_R, "{:+.3f}")
        bars.least("p* = 0.8: its 95 % lower bound, R", _lower_bound(passed, week), 0.0, "{:+.3f}")
        bars.most("p* = 0.8: seeds with high volatility certified", sum(one.high for one in found), 0, "{:.0f}")


@sizes("seeds", [1], [1, 2, 3, 4, 5])
def test_an_edge_that_is_worth_nothing_is_not_certified(seeds: list[int]) -> None:
    small = {"days": 365, "symbols": 2, "block_ms": 16 * WEEK_MS} if len(seeds) == 1 else {}
    with opened("A4") as bars:
        places = [Place("edge", seed, p_star=0.5, **small) for seed in seeds]
        found = list(in_parallel(_found, places, "A4 p* = 0.5"))
        bars.most(f"p* = 0.5: seeds certified, of {len(found)}", sum(one.certified for one in found), 0, "{:.0f}")
        bars.most("p* = 0.5: certified passes", max(one.certified_passes for one in found), 0.005, "{:.2%}")
