"""The tuner: what is certified by chance, what is certified when it is real, and what is refused."""

from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from core.clock import DAY_MS
from core.training._certify import boundary, ladder_of, levels_of, student_bound, student_z, year_p
from core.training._offsets import offsets
from core.training._slices import slices_of
from core.training.tune import TUNING_ROWS, TuneRules, find, tune
from tests.label_worlds import label_world
from tests.tuning_years import certified_pairs, edge_rates, null_rates, tuned_each_week, year_of_outcomes

YEARS = int(os.environ.get("TRADER_ACCEPT_YEARS", "40"))
"""Simulated years of each kind; 400 settle the rates to a percent or two and take some minutes."""

MARGIN = 2.0 * math.sqrt(0.10 * 0.90 / YEARS)  # two standard errors of a rate of 10 %


def predicted(n: int = 4_000, seed: int = 1, edge: float = 1.0) -> pd.DataFrame:
    """Outcomes of a world with predictions that know the truth."""
    world = label_world(n, seed, edge=edge, columns=6)
    rows = world.rows.copy()
    win_r = 0.5 * rows["rr1"] + 0.5 * rows["rr1"]
    rows["p"] = world.true_p
    rows["ev_r"] = world.true_p * win_r - (1.0 - world.true_p) - rows["cost_r"]
    rows["uniqueness"] = 0.7
    rows["train_max_t1"] = rows["decided_ms"] - DAY_MS
    return rows


def at_the_end(rows: pd.DataFrame) -> int:
    return int(rows["known_ms"].max()) + 1


@pytest.mark.parametrize(
    "world",
    [{}, {"win_r": 0.4}, {"first": 53}, {"first": 53, "win_r": 0.4}],
    ids=["a growing window", "rare large losses", "a moving window", "a moving window, rare large losses"],
)
def test_worthless_slices_are_not_certified_in_a_year_of_weekly_tunings(world: dict[str, float]):
    rates = null_rates(YEARS, **world)
    assert rates.at_one_tuning <= 0.05 + MARGIN / 2
    assert rates.in_a_year <= 0.10 + MARGIN / 2
    assert rates.worst_regime <= 0.10 + MARGIN


def test_a_real_pooled_edge_is_certified():
    pool, pairs = edge_rates(YEARS, mean_r=0.2)
    assert pool >= 0.80
    assert pairs >= 0.80


def test_an_edge_of_strict_scores_alone_is_certified_from_a_strict_score_on():
    year = year_of_outcomes(3, mean_r=0.0, slope_r=1.6, weeks=104)
    rung = tuned_each_week(year, 104, window=104)[0].levels.rung[0]
    assert rung > 0


def test_a_regime_without_an_edge_is_not_certified_by_the_others():
    ever = []
    for seed in range(YEARS // 2):
        year = year_of_outcomes(seed, mean_r=0.3, worthless_regime="high")
        at = year.slices.names.index("vol_high")
        ever.append(any(found.levels.rung[at] >= 0 for found in tuned_each_week(year, 6)))
    assert np.mean(ever) <= 0.10 + MARGIN


def test_a_large_pair_without_an_edge_is_not_certified_by_the_pool():
    dead, covered = ("ETH/USDT:USDT", "15m"), []
    for seed in range(YEARS // 2):
        year = year_of_outcomes(seed, mean_r=0.35, worthless_pair=dead)
        covered.append(certified_pairs(year, tuned_each_week(year, 52)[-1])[dead])
    assert np.mean(covered) <= 0.10 + MARGIN


def test_rows_whose_model_had_seen_the_outcome_are_refused():
    rows = predicted(edge=0.0)
    poisoned = rows.sample(frac=0.5, random_state=1).index
    rows.loc[poisoned, ["net_r", "won", "ev_r"]] = [2.0, 1.0, 3.0]
    rows.loc[poisoned, "train_max_t1"] = rows.loc[poisoned, "decided_ms"]
    now_ms = at_the_end(rows)
    found, honest = tune(rows, now_ms, TuneRules()), tune(rows.drop(poisoned), now_ms, TuneRules())
    assert str(found.evidence.slices) == str(honest.evidence.slices)
    assert not found.evidence.slices["all"].certified
    inside = rows.loc[poisoned, "decided_ms"] >= now_ms - 365 * DAY_MS
    assert f"refused {inside.sum()} rows" in found.report[1]


def test_outcomes_not_known_yet_and_older_than_the_window_do_not_count():
    rows = predicted()
    now_ms = int(rows["decided_ms"].iloc[-500])
    inside = (rows["known_ms"] <= now_ms) & (rows["decided_ms"] >= now_ms - 90 * DAY_MS)
    rules = TuneRules(window_days=90)
    assert str(tune(rows, now_ms, rules)) == str(tune(rows[inside], now_ms, rules))
    assert tune(rows, now_ms, rules).report[0] == f"{inside.sum()} out-of-sample results of the last 90 days"


def test_an_edge_is_written_as_thresholds_with_an_end_and_its_evidence():
    rows = predicted()
    found = tune(rows, at_the_end(rows), TuneRules())
    pool = found.evidence.slices["all"]
    assert pool.certified and pool.speaks and pool.lower_r > 0 and pool.why == ""
    assert pool.expires_ms == at_the_end(rows) + 28 * DAY_MS
    one = found.per_pair_tf["BTC/USDT:USDT"]["15m"]
    assert one.min_ev_pct >= 0.0 and one.threshold is None and one.expires_ms == pool.expires_ms
    assert any(line.startswith("all: certified from EV 0 %: n = ") for line in found.report)


def test_certified_is_where_the_lower_bound_is_above_the_target():
    for rules in (TuneRules(), TuneRules(mode="p", floor=0.4, target_winrate=0.5)):
        for seed in range(4):
            rows = predicted(seed=seed)
            slices = tune(rows, at_the_end(rows), rules).evidence.slices.values()
            assert any(one.certified for one in slices)
            for one in slices:
                lower = one.lower_r if rules.mode == "ev" else one.lower_win - 0.5
                assert one.certified == (lower > 0) or one.why.startswith("not at the strictest"), one


def test_by_probability_the_win_rate_is_what_is_shown():
    rows = predicted()
    found = tune(rows, at_the_end(rows), TuneRules(mode="p", floor=0.4, target_winrate=0.6))
    pool = found.evidence.slices["all"]
    assert pool.certified and pool.win_rate > 0.6 and pool.threshold >= 0.4
    overrides = [one for of_symbol in found.per_pair_tf.values() for one in of_symbol.values()]
    assert overrides and all(one.threshold >= 0.4 and one.min_ev_pct is None for one in overrides)
    sure = tune(rows, at_the_end(rows), TuneRules(mode="p", floor=0.4, target_winrate=0.95))
    assert not sure.per_pair_tf and not any(one.certified for one in sure.evidence.slices.values())


def test_without_evidence_no_threshold_is_written():
    rows = predicted(edge=0.0)
    rows["ev_r"] = np.random.default_rng(1).normal(size=len(rows))
    found = tune(rows, at_the_end(rows), TuneRules())
    assert not found.per_pair_tf
    pool = found.evidence.slices["all"]
    assert (pool.certified, pool.why) == (False, "the lower bound is not above 0 R") and pool.n_eff > 60


def test_a_model_without_skill_certifies_nothing():
    rows = predicted()
    found = tune(rows, at_the_end(rows), TuneRules(skill=False))
    assert not found.per_pair_tf and not any(one.certified for one in found.evidence.slices.values())
    assert found.evidence.slices["all"].why == "the model shows no skill over the plans' geometry"


def test_too_few_results_or_weeks_are_said_to_be_so():
    rows = predicted()
    few = tune(rows.iloc[-60:], at_the_end(rows), TuneRules()).evidence.slices["all"]
    assert not few.speaks and few.why.endswith("effective results, 60 are needed")
    dense = rows.iloc[:300].copy()
    dense["decided_ms"] = rows["decided_ms"].iloc[0] + 60_000 * np.arange(300)
    dense["ev_r"], dense["train_max_t1"] = 1.0, 0
    hasty = tune(dense, at_the_end(dense), TuneRules()).evidence.slices["all"]
    assert not hasty.speaks and hasty.why.endswith("weeks, 6 are needed")


def test_nothing_to_tune_on_is_no_evidence():
    found = tune(predicted().iloc[:0], 0, TuneRules())
    assert list(found.evidence.slices) == ["all"] and not found.per_pair_tf
    assert found.report == (
        "0 out-of-sample results of the last 365 days",
        "all: not certified: 0 effective results, 60 are needed",
    )


def test_rows_come_in_any_order_and_are_left_as_they_are():
    rows = predicted()[list(TUNING_ROWS)]
    before = rows.copy()
    first = tune(rows, at_the_end(rows), TuneRules())
    assert str(first) == str(tune(rows.sample(frac=1.0, random_state=2), at_the_end(rows), TuneRules()))
    pd.testing.assert_frame_equal(rows, before)


def test_the_moving_boundary_is_the_textbook_one():
    for alpha in (0.1, 0.05, 0.01):
        z = boundary(alpha, 1.0)
        q, density = stats.norm.sf(z), stats.norm.pdf(z)
        assert 1 - (1 - q) ** 2 + z * density * (1 - q) + density**2 == pytest.approx(alpha, abs=1e-4)
        assert year_p(z, 1.0) == pytest.approx(alpha)
    assert TuneRules(window_days=90).spans == pytest.approx(365 / 90)
    assert TuneRules().spans == pytest.approx(1.081, abs=1e-3)


@pytest.mark.parametrize("df", [5.0, 8.0, 20.0, 51.0])
def test_a_student_t_becomes_the_normal_deviate_as_unlikely(df: float):
    for t in (-1.0, 0.5, 1.5, 3.0, 4.5):
        exact = stats.norm.isf(stats.t.sf(t, df))
        assert student_z(np.array([t]), np.array([df]))[0] == pytest.approx(exact, abs=0.03)
    assert student_z(np.array([student_bound(2.5, df)]), np.array([df]))[0] == pytest.approx(2.5)


def test_a_ladder_by_hand():
    # two weeks, two thresholds: one result below the upper one in week 0, two above it, one in each week
    rows = pd.DataFrame({"symbol": "A/B", "timeframe": "1h", "regime_vol": "low"}, index=range(3))
    cells = slices_of(rows).cells(
        np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1.0, 2.0, 6.0]), np.array([1.0, 0.5, 0.5]), 2
    )
    ladder = ladder_of(cells)
    assert ladder.n[0].tolist() == [3.0, 2.0] and ladder.n_eff[0].tolist() == [2.0, 1.0]
    assert ladder.mean[0].tolist() == [3.0, 4.0]
    # clustered: weeks' sums are off by -3 and +3: sqrt(2 * 18) / 3; independent: sqrt(7 / 2)
    assert ladder.se[0, 0] == pytest.approx(max(math.sqrt(36.0) / 3, math.sqrt(7.0 / 2)))


def test_parts_of_alpha_are_handed_on_only_by_what_is_certified_to_the_end():
    year = year_of_outcomes(5, mean_r=0.6)
    ladder = ladder_of(year.cells)
    weights = year.slices.weights
    together = levels_of(ladder, weights, 60.0, 6, 0.10, 1.08)
    for one in np.flatnonzero(weights > 0):
        if math.isfinite(together.z[one]):
            alone = boundary(0.10, 1.08)
            share = boundary(0.10 * weights[one] / weights.sum() / 2.0, 1.08)
            assert alone <= together.z[one] + 1e-6 <= share + 1e-5
    assert (together.rung[:4] == 0).sum() >= 2


def test_offsets_are_drawn_to_nothing_where_chance_explains_them():
    rng = np.random.default_rng(4)
    group, week = np.repeat(np.arange(6), 300), np.tile(np.arange(300) // 6, 6)
    shift = np.array([0.6, -0.6, 0.3, 0.0, 0.0, 0.0])
    gap = rng.normal(size=1_800) + shift[group]
    found = offsets(gap, group, 6, week, np.full(1_800, 0.8))
    raw = np.bincount(group, weights=gap) / 300
    assert (np.abs(found) < np.abs(raw)).all() and found[:2].tolist() == pytest.approx([0.6, -0.6], abs=0.15)
    chance = offsets(rng.normal(size=1_800), group, 6, week, np.full(1_800, 0.8))
    assert np.abs(chance).max() < 0.05
    assert offsets(gap, group, 6, week, np.full(1_800, 0.1)).tolist() == [0.0] * 6


def test_a_pair_that_does_better_than_predicted_gets_a_lower_threshold_but_never_below_the_floor():
    rows = predicted(n=6_000)
    lucky = (rows["symbol"] == "BTC/USDT:USDT") & (rows["timeframe"] == "15m")
    rows.loc[lucky, "ev_r"] -= 0.6
    unlucky = (rows["symbol"] == "ETH/USDT:USDT") & (rows["timeframe"] == "15m")
    rows.loc[unlucky, "ev_r"] += 0.3
    rules = replace(TuneRules(), floor=-0.05)
    found = tune(rows, at_the_end(rows), rules).per_pair_tf
    assert found["BTC/USDT:USDT"]["15m"].min_ev_pct == -0.05
    other = found.get("ETH/USDT:USDT", {}).get("15m")
    assert other is None or other.min_ev_pct > -0.05


def test_only_slices_that_share_alpha_have_a_part():
    year = year_of_outcomes(1)
    slices = year.slices
    assert slices.n_regimes == 3 and slices.weights.sum() == pytest.approx(1.0)
    assert (slices.weights[-3:] == 0).all()
    assert find(slices, ladder_of(year.cells), TuneRules()).levels.rung.shape == (len(slices.names),)
