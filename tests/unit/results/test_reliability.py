"""The reliability ledger: an honest model is found honest, an overconfident one is not, and little data says so."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.errors import UsageError
from core.results.metrics import NOT_ENOUGH
from core.results.reliability import (
    LEDGER_ROWS,
    LEDGER_SPLITS,
    RELIABILITY,
    reliability,
    reliability_lines,
    reliability_table,
)
from tests.label_worlds import label_world


def ledger(n: int = 4_000, seed: int = 1, edge: float = 0.8) -> pd.DataFrame:
    """Outcomes with predictions that are exactly right."""
    world = label_world(n, seed, edge=edge, columns=6)
    rows = world.rows.copy()
    rows["p_geo"] = 1 / (1 + rows["rr1"])
    rows["p"], rows["model"] = world.true_p, "m20240101-0badcafe"
    rows["ev_r"] = world.true_p * rows["rr1"] * 1.5 - 1 + world.true_p - rows["cost_r"]
    return rows


def _stretched(p: pd.Series, by: float) -> pd.Series:
    return 1 / (1 + (1 / p - 1) ** by)


def test_an_honest_model_has_skill_a_slope_of_one_and_no_more_error_than_a_perfect_one():
    found = reliability(ledger())
    assert found.log_loss_skill.low > 0 and found.brier_skill.low > 0
    assert found.slope.low < 1.0 < found.slope.high
    assert found.ece < found.ece_floor + 0.015
    assert found.gap_p.low < 0.0 < found.gap_p.high


def test_an_overconfident_model_is_found_out():
    rows = ledger()
    found = reliability(rows.assign(p=_stretched(rows["p"], 2.0)))
    assert found.slope.value == pytest.approx(0.5, abs=0.05) and found.slope.high < 1.0
    assert found.ece > found.ece_floor + 0.03


def test_the_geometry_itself_has_no_skill():
    rows = ledger(edge=0.0)
    found = reliability(rows.assign(p=rows["p_geo"]))
    assert found.log_loss_skill.value == 0.0 and found.brier_skill.value == 0.0


def test_losses_by_hand():
    rows = ledger(n=60)
    rows[["won", "p", "p_geo"]] = [[1.0, 0.8, 0.5]] * 30 + [[0.0, 0.4, 0.5]] * 30
    found = reliability(rows)
    assert found.log_loss_skill.value == pytest.approx(1 + (math.log(0.8) + math.log(0.6)) / 2 / math.log(2))
    assert found.brier_skill.value == pytest.approx(1 - (0.04 + 0.16) / 2 / 0.25)
    assert found.win_rate.value == 0.5 and found.gap_p.value == pytest.approx(0.5 - 0.6)
    # six bins of ten, each all won (0.2 off) or all lost (0.4 off)
    assert found.ece == pytest.approx(0.3)


def test_realised_is_set_against_expected():
    rows = ledger()
    rows["ev_r"] = rows["net_r"] + 0.25
    found = reliability(rows)
    assert (found.gap_r.value, found.gap_r.low) == pytest.approx((-0.25, -0.25))
    assert found.expected_r.value == pytest.approx(found.realised_r.value + 0.25)


def test_the_floor_of_the_calibration_error_is_what_a_perfect_model_has():
    rng = np.random.default_rng(3)
    rows = ledger(n=600)
    errors, floor = [], math.nan
    for _ in range(300):
        rows["won"] = (rng.random(600) < rows["p"]).astype(float)
        found = reliability(rows)
        errors.append(found.ece)
        floor = found.ece_floor
    assert np.mean(errors) == pytest.approx(floor, rel=0.03)


def test_intervals_of_the_slope_cover_the_truth():
    inside = []
    for seed in range(120):
        slope = reliability(ledger(n=600, seed=seed)).slope
        inside.append(slope.low < 1.0 < slope.high)
    assert np.mean(inside) > 0.90


@pytest.mark.parametrize("by", list(LEDGER_SPLITS))
def test_it_can_be_split(by: str):
    rows = ledger()
    table = reliability_table(rows, by)
    assert list(table.columns) == list(RELIABILITY) and table["n"].sum() == len(rows)
    assert table["n"].is_monotonic_decreasing
    expected = {"symbol": 3, "pair": 9, "timeframe": 3, "regime_trend": 2, "regime_vol": 3, "setup": 1, "model": 1}
    assert len(table) == expected.get(by, 24)


def test_months_and_pairs_are_named():
    rows = ledger()
    assert "2023-02" in reliability_table(rows, "month")["group"].tolist()
    assert "BTC/USDT:USDT 15m" in reliability_table(rows, "pair")["group"].tolist()


def test_an_unknown_split_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="regime_vol"):
        reliability_table(ledger(n=100), "regim_vol")


def test_where_there_is_not_enough_no_figure_is_given():
    few = ledger().iloc[:20]
    found = reliability(few)
    assert not found.enough
    assert reliability_lines(found) == [f"Reliability: {NOT_ENOUGH} (20 closed predictions in 1 week)"]
    table = reliability_table(few, "setup")
    assert table["enough"].tolist() == [0] and table["n"].tolist() == [20]
    assert table.drop(columns=["group", "n", "weeks", "enough"]).isna().all(axis=None)


def test_predictions_all_alike_have_no_slope():
    found = reliability(ledger().assign(p=0.4))
    assert math.isnan(found.slope.value) and found.enough
    assert f"Calibration slope: {NOT_ENOUGH}" in "\n".join(reliability_lines(found))


def test_no_rows_and_rows_with_a_number_missing():
    rows = ledger(n=200)
    assert reliability(rows.iloc[:0]).n == 0 and reliability_table(rows.iloc[:0], "model").empty
    holes = rows.copy()
    holes.loc[:9, "ev_r"] = np.nan
    assert reliability(holes) == reliability(rows.iloc[10:])


def test_the_ledger_in_words():
    lines = reliability_lines(reliability(ledger()[list(LEDGER_ROWS)]))
    assert len(lines) == 7 and all(NOT_ENOUGH not in line for line in lines)
    assert lines[0].startswith("Predictions: 4,000 closed, made before their outcome, in 104 weeks")
    assert "1 is honest" in lines[3]
