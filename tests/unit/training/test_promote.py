"""Promotion: who may take the champion's place, and what counts as skill."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS
from core.training.promote import compare, skill
from tests.label_worlds import START_MS, WEEK_MS, label_world

COLUMNS = 12


def _logistic(x: np.ndarray, won: np.ndarray, ridge: float) -> np.ndarray:
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ beta))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + ridge * np.eye(x.shape[1])
        beta += np.linalg.solve(hessian, x.T @ (won - p) - ridge * beta)
    return beta


class World:
    """A champion, challengers, and eight weeks both were asked about; all candidates, whatever passed."""

    def __init__(self, seed: int) -> None:
        world = label_world(7_000, seed, edge=0.7, columns=COLUMNS)
        self.x = np.column_stack([np.ones(7_000), np.log(world.rows["rr1"]), np.nan_to_num(world.vectors)])
        self.won = world.rows["won"].to_numpy()
        self.t0 = world.rows["decided_ms"].to_numpy()
        self.now_ms = START_MS + 104 * WEEK_MS
        self.last = self.t0 >= self.now_ms - 8 * WEEK_MS
        self.before = self.t0 < self.now_ms - 8 * WEEK_MS
        self.old = self.t0 < self.now_ms - 12 * WEEK_MS
        self.edge = world.vectors[:, 4]

    def said(self, rows: np.ndarray, ridge: float = 50.0) -> np.ndarray:
        return 1 / (1 + np.exp(-self.x @ _logistic(self.x[rows], self.won[rows], ridge)))

    def against_the_champion(self, challenger: np.ndarray, golden: bool = True):
        return compare(self.won, self.said(self.old), challenger, self.t0, self.now_ms, golden)


SEEDS = 20


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [World(seed) for seed in range(SEEDS)]


def _reasons(worlds: list[World], challenger: Callable[[World], np.ndarray]) -> list[str]:
    return [world.against_the_champion(challenger(world)).reason for world in worlds]


def _what_the_gate_passed(world: World) -> np.ndarray:
    return world.before & (world.said(world.old) > 0.55) & (world.edge > 0)


def test_an_honest_retrain_is_promoted_nearly_always(worlds: list[World]):
    assert _reasons(worlds, lambda world: world.said(world.before)).count("PROMOTED") >= 0.85 * SEEDS


def test_a_sign_flipped_challenger_is_refused(worlds: list[World]):
    assert _reasons(worlds, lambda world: 1.0 - world.said(world.before)) == ["WORSE"] * SEEDS


def test_an_overfit_challenger_is_refused(worlds: list[World]):
    few = 60
    reasons = _reasons(worlds, lambda world: world.said(np.flatnonzero(world.before)[-few:], ridge=1e-3))
    assert reasons == ["WORSE"] * SEEDS


def test_a_challenger_that_learned_only_from_what_the_gate_passed_is_refused(worlds: list[World]):
    assert _reasons(worlds, lambda world: world.said(_what_the_gate_passed(world))) == ["WORSE"] * SEEDS


def test_challengers_are_judged_on_every_candidate_whatever_passed(worlds: list[World]):
    world = worlds[0]
    assert world.against_the_champion(world.said(world.before)).n == world.last.sum()


def test_golden_rows_that_do_not_come_back_refuse_even_the_best():
    world = World(1)
    found = world.against_the_champion(world.said(world.before), golden=False)
    assert (found.promoted, found.reason) == (False, "GOLDEN_ROWS")


def test_too_few_results_promote_nobody():
    world = World(1)
    champion, better = world.said(world.old), world.said(world.before)
    one_week = world.t0 >= world.now_ms - 2 * WEEK_MS
    found = compare(world.won, np.where(one_week, champion, np.nan), better, world.t0, world.now_ms)
    assert (found.promoted, found.reason) == (False, "TOO_FEW_RESULTS") and found.weeks <= 3
    none = compare(world.won[:0], champion[:0], better[:0], world.t0[:0], world.now_ms)
    assert (none.n, none.reason) == (0, "TOO_FEW_RESULTS")


def test_only_the_last_eight_weeks_count():
    world = World(2)
    champion, challenger = world.said(world.old), world.said(world.before)
    spoiled = np.where(world.t0 < world.now_ms - 56 * DAY_MS, 0.999, challenger)
    first = compare(world.won, champion, challenger, world.t0, world.now_ms)
    assert compare(world.won, champion, spoiled, world.t0, world.now_ms) == first


def test_skill_is_shown_where_there_is_an_edge():
    world = label_world(4_000, 1, edge=0.5, columns=6)
    rows = world.rows
    p_geo, (decided, known) = 1 / (1 + rows["rr1"].to_numpy()), times(rows)
    found = skill(rows["won"].to_numpy(), world.true_p, p_geo, decided, known)
    assert found.shown and found.low_pct > 0 and found.gain_pct > 1.0


def test_noise_around_the_geometry_is_no_skill():
    shown = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows = label_world(2_000, seed, edge=0.0, columns=6).rows
        p_geo = 1 / (1 + rows["rr1"].to_numpy())
        p = 1 / (1 + (1 - p_geo) / p_geo * np.exp(rng.normal(0.0, 0.1, 2_000)))
        shown.append(skill(rows["won"].to_numpy(), p, p_geo, *times(rows)).shown)
    assert np.mean(shown) <= 0.05


def test_a_gain_too_small_to_be_of_use_is_no_skill():
    n = 200_000
    rng = np.random.default_rng(1)
    p = rng.uniform(0.48, 0.52, n)
    won = (rng.random(n) < p).astype(float)
    weeks = START_MS + WEEK_MS * rng.integers(0, 50, n)
    found = skill(won, p, np.full(n, 0.5), weeks, weeks + WEEK_MS)
    assert found.low_pct > 0 and found.gain_pct < 0.1 and not found.shown


def test_nothing_to_judge_shows_nothing():
    assert not skill(*(np.empty(0),) * 3, *(np.empty(0, dtype=np.int64),) * 2).shown


def test_who_only_beats_a_bad_geometry_shows_no_skill():
    """Where plans hardly differ, saying the share won so far beats a geometry that has fitted noise."""
    rng = np.random.default_rng(3)
    n = 4_000
    decided = START_MS + np.sort(rng.integers(0, 50 * WEEK_MS, n))
    won = (rng.random(n) < 0.39).astype(float)
    noisy = np.clip(0.39 + rng.normal(0.0, 0.06, n), 0.05, 0.95)
    found = skill(won, np.full(n, 0.39), noisy, decided, decided + 3_600_000)
    assert found.low_pct > 0 and found.gain_pct > 0.1
    assert not found.shown
    assert abs(found.so_far_pct) < 0.1


def times(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return rows["decided_ms"].to_numpy(), rows["known_ms"].to_numpy()
