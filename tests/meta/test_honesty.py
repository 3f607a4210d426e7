"""A5, A6, A7, A11: probabilities near the known ones, nothing leaks, nothing is certified or accused by chance.

The simulators are those of the unit tests, with as many rows and years as settle the rates.
"""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ModelError
from core.estimators.xgboost import XGBoost
from core.results.rows import week_of
from core.schema import FloatArray
from core.training.calibrate import fit_calibrator
from core.training.dataset import Dataset
from core.training.fit import FitRules, fit_model
from core.training.splits import EMBARGO_MS, GAP_MS, WEEK_MS, k_fold, walk_forward
from core.training.tune import TuneRules, tune
from tests.drifting import drift_rates
from tests.label_worlds import GEOMETRY_COLUMNS, label_world
from tests.meta.bars import opened, sizes
from tests.meta_worlds import Place, Walked, in_parallel, walked
from tests.tuning_years import edge_rates, null_rates

POINTS = [(edge, seed) for edge in (0.0, 0.8) for seed in (21, 22, 23, 24)]
RMSE = {0.0: 0.025, 0.8: 0.065}
ECE_ABOVE_FLOOR = 0.015


@pytest.mark.accept
def test_probabilities_are_near_the_known_ones() -> None:
    with opened("A5") as bars:
        found = np.array(list(in_parallel(_errors, POINTS, "A5")))
        for edge, words in ((0.0, "no edge"), (0.8, "an edge")):
            own = found[[point[0] == edge for point in POINTS]]
            bars.most(f"{words}, n = 10 000: RMSE, worst of {len(own)} seeds", own[:, 0].max(), RMSE[edge])
            bars.most(f"{words}: ECE above that of the truth, worst seed", own[:, 1].max(), ECE_ABOVE_FLOOR)


def _errors(point: tuple[float, int]) -> tuple[float, float]:
    edge, seed = point
    world = label_world(10_000, seed, edge, columns=50)
    data = Dataset.of(world.rows, world.vectors, world.columns, GEOMETRY_COLUMNS)
    p, won = fit_model(data, XGBoost(), FitRules()).inner["p"].to_numpy(), world.rows["won"].to_numpy()
    return float(np.sqrt(np.mean((p - world.true_p) ** 2))), _ece(p, won) - _ece(world.true_p, won)


def _ece(p: FloatArray, won: FloatArray, bins: int = 10) -> float:
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return sum(len(part) * abs(float(p[part].mean() - won[part].mean())) for part in parts) / len(p)


SMALL = Place("fat", seed=1, days=365, symbols=2, block_ms=16 * WEEK_MS)


@sizes("place", SMALL, Place("fat", seed=1))
def test_what_had_seen_its_outcome_teaches_neither_calibrator_nor_tuner(place: Place) -> None:
    with opened("A6") as bars:
        told, rng = walked(place), np.random.default_rng(1)
        rows = told.rows
        poisoned = rng.choice(len(rows), len(rows) // 3, replace=False)
        spoiled = rows.copy()
        for name, value in {"net_r": 2.0, "won": 1.0, "ev_r": 3.0, "p": 0.9, "p_raw": 0.9}.items():
            spoiled.loc[poisoned, name] = value
        spoiled.loc[poisoned, "train_max_t1"] = spoiled.loc[poisoned, "decided_ms"] + rng.integers(0, 2, len(poisoned))
        honest = tune(rows.drop(poisoned).reset_index(drop=True), told.end_ms, TuneRules())
        found = tune(spoiled, told.end_ms, TuneRules())
        recent = spoiled.loc[poisoned, "decided_ms"] >= told.end_ms - 365 * 86_400_000
        bars.holds("tuner: what it finds is what it finds without them", str(found.evidence) == str(honest.evidence))
        bars.holds("tuner: says how many it refused", f"refused {int(recent.sum())} rows" in found.report[1])
        bars.holds("calibrator: refuses them all", _refused(told, spoiled["train_max_t1"].to_numpy(np.int64)))
        one = rows["train_max_t1"].to_numpy(np.int64).copy()
        one[7] = rows["decided_ms"].iloc[7]
        bars.holds("calibrator: refuses a single one", _refused(told, one))
        bars.holds("calibrator: takes the honest ones", not _refused(told, rows["train_max_t1"].to_numpy(np.int64)))


def _refused(told: Walked, train_max_t1: np.ndarray) -> bool:
    decided = told.rows["decided_ms"].to_numpy(np.int64)
    parts = [told.floats(name) for name in ("p_geo", "p_raw", "won", "uniqueness")]
    try:
        fit_calibrator(*parts, week_of(decided), "auto", train_max_t1, decided)
    except ModelError:
        return True
    return False


@pytest.mark.accept
def test_splits_are_what_a_brute_force_over_pairs_says() -> None:
    with opened("A6") as bars:
        rng, wrong, rows = np.random.default_rng(2), 0, 0
        for _ in range(400):
            n = int(rng.integers(2, 120))
            t0 = rng.integers(0, 400, n) * 3_600_000
            t1 = t0 + rng.integers(1, 90, n) * 1_800_000
            for split in k_fold(t0, t1, int(rng.integers(2, 7))):
                meets = (t0[:, None] <= t1[split.test] + EMBARGO_MS) & (t1[:, None] >= t0[split.test])
                wrong += int(np.sum(_mask(~meets.any(axis=1), split.test) != _mask_of(split.train, n)))
                rows += n
            for split in walk_forward(t0, t1, int(rng.integers(20, 200)) * 3_600_000):
                wrong += int(np.sum((t1 < split.start_ms - GAP_MS) != _mask_of(split.train, n)))
                rows += n
        bars.most(f"splits: rows on the wrong side, of {rows}", wrong, 0, "{:.0f}")


def _mask(allowed: np.ndarray, test: np.ndarray) -> np.ndarray:
    allowed[test] = False
    return allowed


def _mask_of(positions: np.ndarray, n: int) -> np.ndarray:
    mask = np.zeros(n, dtype=np.bool_)
    mask[positions] = True
    return mask


YEARS = 400
NULLS = {
    "a growing window": {},
    "rare large losses": {"win_r": 0.4},
    "a moving window": {"first": 53},
    "a moving window, rare large losses": {"first": 53, "win_r": 0.4},
}


@pytest.mark.accept
def test_noise_is_hardly_ever_certified_and_a_real_edge_nearly_always() -> None:
    with opened("A7") as bars:
        for words, rates in zip(NULLS, in_parallel(_null_rates, list(NULLS.values()), "A7"), strict=True):
            bars.most(f"noise, {words}: anything certified at one tuning", rates.at_one_tuning, 0.05, "{:.1%}")
            bars.most(f"noise, {words}: at any time in a year", rates.in_a_year, 0.10, "{:.1%}")
            bars.most(f"noise, {words}: a regime at any time", rates.worst_regime, 0.10, "{:.1%}")
        pool, pairs = edge_rates(YEARS, mean_r=0.2)
        bars.least("an edge of 0.2 R: the pool certified", pool, 0.80, "{:.1%}")
        bars.least("an edge of 0.2 R: pairs whose slice is certified", pairs, 0.80, "{:.1%}")


def _null_rates(world: dict[str, float]) -> object:
    return null_rates(YEARS, **world)


DRIFTS = {
    "3 a day": {"per_day": 3.0},
    "3 a day, alike": {"per_day": 3.0, "alike_day": 0.1},
    "8 a day": {"per_day": 8.0},
    "8 a day, alike": {"per_day": 8.0, "alike_day": 0.2},
    "8 a day, weeks alike": {"per_day": 8.0, "alike_week": 0.02},
    "20 a day": {"per_day": 20.0},
}


@pytest.mark.accept
def test_drift_is_noticed_soon_and_seldom_by_mistake() -> None:
    with opened("A11") as bars:
        for words, world in DRIFTS.items():
            rates = drift_rates(100, **world)
            bars.most(
                f"{words}: outcomes until 15 points less are noticed", rates.outcomes_until_noticed, 200, "{:.0f}"
            )
            bars.most(f"{words}: alarms in 2500 honest outcomes", rates.false_alarms, 1.0, "{:.2f}")
