"""docs/method.md: worked examples computed again by the functions they are about, constants held to the code."""

from __future__ import annotations

import math
import os
import re

import numpy as np
import pytest

from core.config import load_config
from core.estimators import _base
from core.estimators.xgboost import XGBoost
from core.gate import Calibrator, Payoff, expected_value
from core.gate.calibrator import CEILING, FLOOR
from core.jobs.calibrate import LEAST_GAIN
from core.results.intervals import wilson_interval
from core.training import _certify, _offsets, _slices, calibrate, drift, fit, payoff, promote, splits, tune
from tests import tuning_years
from tests.docs.pages import ROOT, table_after, text_of

PAGE = " ".join(text_of("docs/method.md").split())
YEARS = int(os.environ.get("TRADER_ACCEPT_YEARS", "40"))
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def one(value: float) -> np.ndarray:
    return np.array([value])


def says(*phrases: str) -> None:
    """Hold the page to saying all of it."""
    assert [phrase for phrase in phrases if phrase not in PAGE] == []


# -- worked examples


def test_the_chance_of_the_distances_and_break_even() -> None:
    rr1, cost_r = 1.6, 0.07
    says(f"1 / (1 + {rr1}) = {100 / (1 + rr1):.1f} %")
    says(f"(1.53 + 1.07) = 1.07 / 2.6 = {100 * (1 + cost_r) / (1 + rr1):.1f} %")
    says(f"ten times nearer than the stop is hit {100 * 1 / (1 + 0.1):.0f} % of the time")


def test_the_calibrated_figure_of_the_example() -> None:
    told = Calibrator("platt", a=0.25).apply(one(0.385), one(0.60))[0]
    none = Calibrator("platt", a=0.0).apply(one(0.385), one(0.60))[0]
    says(f"p(win) is {100 * told:.1f} %. If none has, p(win) is {100 * none:.1f} %, the geometry's")


def test_the_reliability_table_adds_up() -> None:
    for said, trades, expected, _won in table_after(text_of("docs/method.md"), "| said | trades |"):
        assert float(said.split()[0]) / 100 * int(trades) == int(expected)


def test_the_two_estimates_of_ev_and_the_lower() -> None:
    learned = Payoff(-0.02, 0.30, (1.40, 0.0, 0.0, 0.0), (-1.07, 0.0, 0.0, 0.0), {"1h|long": 0.01})
    plan = {"stop_frac": one(0.01), "rr1": one(1.6), "rr2": one(2.3), "cost_r": one(0.07)}
    worth = expected_value(learned, one(0.47), one(0.50), **plan, timeframe="1h", direction="long")
    says(f"0.47 x 1.40 R - 0.53 x 1.07 R = 0.658 R - 0.567 R = {worth.ev_p_r[0]:+.2f} R")
    says(f"-0.02 R + 0.30 x 0.50 R - 0.07 R - 0.01 R = {worth.ev_payoff_r[0]:+.2f} R")
    says(f"EV = {worth.ev_r[0]:+.2f} R, which is {100 * worth.ev_r[0] * 0.01:+.2f} % of the position")


def test_how_much_evidence_takes() -> None:
    spans, alpha = tune.TuneRules().spans, tune.ALPHA * _slices._POOL
    alone, shared = (_certify.boundary(part, spans) for part in (alpha, alpha / 2.0))
    se = 1.2 / math.sqrt(200)
    says(f"sqrt(200) = {se:.3f} R", f"is {alone:.1f} to {shared:.1f} such uncertainties")
    says(f"a mean of {alone * se:+.2f} to {shared * se:+.2f} R over 200 results")
    low, high = (round((z * 1.2 / 0.10) ** 2, -1) for z in (alone, shared))
    says(f"would need about {low:,.0f} to {high:,.0f}")


def test_what_overlapping_trades_weigh() -> None:
    unique = splits.uniqueness(["A", "A"], ["1h"] * 2, [0, 5], [10, 15])
    assert unique.tolist() == [0.75, 0.75]
    says("Two trades held over [0, 10) and [5, 15) weigh 0.75 each")


def test_what_is_left_of_an_uncertain_slope() -> None:
    b, se = 0.8, 0.5
    share = payoff._PRIOR_B / (payoff._PRIOR_B + se**2)
    sd = se * math.sqrt(share)
    says(f"b_post is {b * share:.2f}, sd {sd:.3f}, and b_lcb {b * share - sd:.3f}")
    says("sd = se * sqrt(.25 / (.25 + se^2))", "a0 = a * .0009 / (.0009 + se_a^2)")
    priors = [payoff._PRIOR_B, payoff._PRIOR_A, payoff._HIGH_B]
    assert priors == pytest.approx([0.25, 0.0009, 1.2])


def test_the_deviates_of_a_year_and_of_one_look() -> None:
    spans = tune.TuneRules().spans
    says(f"ln(365 / 42) / 2 = {spans:.2f}")
    asked = [f"{_certify.boundary(alpha, spans):.2f}" for alpha in (0.10, 0.05, 0.025)]
    says(f"At 0.10 that asks z = {asked[0]}, at 0.05 {asked[1]}, at 0.025 {asked[2]}, instead of 1.28, 1.64 and 1.96")


def test_how_long_a_drift_takes() -> None:
    residual = 0.15 / math.sqrt(0.40 * 0.60)
    after = drift.LIMIT / (residual - drift.ALLOWANCE)
    says(f"{drift.LIMIT:.0f} / ({residual:.3f} - {drift.ALLOWANCE}) = {after:.0f}")
    says("alarm where S > h, k = 0.12, h = 18")


# -- constants


def test_splits_are_as_long_as_the_page_says() -> None:
    assert (splits.BLOCK_MS, splits.WEEK_MS) == (28 * DAY_MS, 7 * DAY_MS)
    assert (splits.GAP_MS, splits.EMBARGO_MS, fit.FitRules().folds) == (HOUR_MS, 6 * HOUR_MS, 5)
    says("four-week blocks that begin on Mondays", "`t1 < block start - 1 h`", "5 folds by time", "`[t0, t1 + 6 h]`")


def test_estimators_and_calibrator_have_the_parameters_of_the_page() -> None:
    own = XGBoost().params()
    says(f"{own['trees']} trees of depth {own['depth']}, learning rate {own['learning_rate']}")
    says(f"`min_child_weight` {own['min_child_weight']:.0f}, `lambda` {own['l2']:.0f}")
    says(f"drawn in to [{_base._FLOOR_R}, {_base._ROOF_R:.0f}]", f"penalty {_base._GEOMETRY_L2:.0f}, coefficient")
    says(
        f"drawn in to {_base._FARTHEST:.0f} standard deviations", f"a <= {calibrate._HIGH_A}, p in [{FLOOR}, {CEILING}]"
    )
    says(f"mean of {calibrate._BAGS} fits", f"from {calibrate._ISOTONIC_N_EFF:.0f} effective rows on")
    says(f"Fewer than {calibrate.MIN_N_EFF:.0f} effective rows", f"more than {LEAST_GAIN} nats")
    says(f"(penalty {payoff._MEANS_L2:.0f} effective rows)", f"with {payoff._FUNDING_ROWS:.0f} effective rows of zero")


def test_evidence_is_asked_for_as_the_page_says() -> None:
    gating = load_config(ROOT / "config.yaml", {}).models.meta.gating
    says(f"each of {len(tune.EV_STEPS)} thresholds on EV", f"alpha = {tune.ALPHA:.2f}")
    says(f"needs {gating.min_closed_samples} effective results and {tune.MIN_WEEKS} weeks")
    assert (_slices._POOL, _slices._TIMEFRAMES, _slices._PAIRS) == (0.5, 0.25, 0.25)
    assert (tune.VALID_MS, gating.window_days, gating.evidence) == (28 * DAY_MS, 365, "show")
    says("hold 1/2, 1/4 and 1/4", "lapses after four weeks", f"more than {tune._NINE_IN_TEN:.2f} standard errors")
    says(f"0 below {_offsets.MIN_N_EFF:.0f} effective results")


def test_skill_and_promotion_are_as_the_page_says() -> None:
    says(f"lower by more than {100 * promote.SKILL_SHARE:.1f} %", f"of {promote._DRAWS} draws of whole weeks")
    says(
        f"the last {promote.SPAN_MS // DAY_MS} days ({promote.MIN_ROWS} of them in {promote.MIN_WEEKS} weeks at least)"
    )
    says(f"is above -{promote.MARGIN_NATS} nats")


def test_the_weekly_jobs_are_due_when_the_page_says() -> None:
    auto = load_config(ROOT / "config.yaml", {}).auto
    jobs = {"train": auto.weekly_train, "calibrate": auto.weekly_calibrate, "tune": auto.weekly_tune}
    for number, (name, job) in enumerate(jobs.items(), 1):
        assert job.day_of_week == "sun"
        says(f"{number}. **{job.hour_utc}:{job.minute:02d}, {name}.**")


# -- simulated years

WORLDS: dict[str, dict[str, float]] = {
    "growing window": {},
    "growing window, rare large losses (wins of 0.4 R, losses of 1 R)": {"win_r": 0.4},
    "moving window": {"first": 53},
    "moving window, rare large losses": {"first": 53, "win_r": 0.4},
}


def simulated() -> dict[str, list[str]]:
    return {world: rest for world, *rest in table_after(text_of("docs/method.md"), "<!-- years -->")}


def test_the_intervals_of_the_simulated_rates_are_wilsons() -> None:
    for years, rate, told in simulated().values():
        n, share = int(years), float(rate.split()[0]) / 100
        low, high = wilson_interval(share * n, n)
        assert told == f"{100 * low:.1f} to {100 * high:.1f} %"


@pytest.mark.skipif(YEARS < 400, reason="TRADER_ACCEPT_YEARS=400 simulates them again")
@pytest.mark.parametrize("world", WORLDS)
def test_the_simulated_rates_come_out_again(world: str) -> None:
    years, rate, _ = simulated()[world]
    found = tuning_years.null_rates(int(years), **WORLDS[world])  # type: ignore[arg-type]
    assert 100 * found.in_a_year == pytest.approx(float(rate.split()[0]))


@pytest.mark.skipif(YEARS < 400, reason="TRADER_ACCEPT_YEARS=400 simulates them again")
def test_the_simulated_power_comes_out_again() -> None:
    told = re.search(r"\+0\.15 R is certified after a year in (\d+) % of the years, one of \+0\.2 R in (\d+) %", PAGE)
    assert told
    for mean_r, share in zip((0.15, 0.20), told.groups(), strict=True):
        assert round(100 * tuning_years.edge_rates(400, mean_r=mean_r)[0]) == int(share)
