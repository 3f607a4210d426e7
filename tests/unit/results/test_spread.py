"""How results spread: every closed trade is in a bin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.results.rows import result_rows
from core.results.spread import excursions, held, planned_risk_pct, sizes
from tests.factories import START_MS, signal_rows, trade_rows


def rows(trades: list[dict[str, object]], **plan: object) -> pd.DataFrame:
    return result_rows(trade_rows(trades), signal_rows([dict(plan) for _ in trades]))


def test_results_are_counted_in_bins_of_a_round_width() -> None:
    found = sizes(rows([{"r_multiple": r} for r in (-1.04, -1.01, 0.0, 1.99)]))
    assert (found["high"] - found["low"]).round(9).unique().tolist() == [0.1]
    assert found["n"].sum() == 4
    assert found.loc[found["n"] > 0, "low"].round(2).tolist() == [-1.1, 0.0, 1.9]
    assert found["n"].iloc[0] == 2


def test_what_lies_beyond_is_in_the_last_bin_which_says_so() -> None:
    found = sizes(rows([{"r_multiple": r} for r in (-50.0, 0.0, 90.0)]))
    assert found["n"].sum() == 3
    assert np.isinf(found["low"].iloc[0])
    assert np.isinf(found["high"].iloc[-1])
    assert len(found) <= 60


def test_times_held_are_counted_won_and_lost_apart() -> None:
    made = [
        {"opened_ms": START_MS, "closed_ms": START_MS + 19 * MINUTE_MS, "pnl_pct": 1.0},
        {"opened_ms": START_MS, "closed_ms": START_MS + 90 * MINUTE_MS, "pnl_pct": -1.0},
        {"opened_ms": START_MS, "closed_ms": START_MS + 900 * 24 * HOUR_MS, "pnl_pct": -1.0},
    ]
    found = held(rows(made))
    assert found["from_ms"].iloc[0] == 15 * MINUTE_MS
    assert (found["won"].sum(), found["lost"].sum()) == (1, 2)
    assert found["won"].iloc[0] == 1
    assert found["lost"].iloc[-1] == 1


def test_excursions_are_in_planned_risk_and_the_newest_come() -> None:
    made = rows(
        [{"mae_pct": -1.0, "mfe_pct": 3.0, "pnl_pct": 2.0}, {"mae_pct": -2.0, "mfe_pct": 0.0}], entry=100, sl=98
    )
    assert planned_risk_pct(made).tolist() == pytest.approx([2.0, 2.0])
    found = excursions(made)
    assert found["mae_r"].tolist() == [0.5, 1.0]
    assert found["mfe_r"].tolist() == [1.5, 0.0]
    assert found["won"].tolist() == [1, 0]
    assert excursions(made, most=1)["signal_id"].tolist() == [2]


def test_without_closed_trades_there_is_nothing() -> None:
    nothing = rows([{"status": "OPEN"}])
    assert sizes(nothing).empty
    assert held(nothing).empty
    assert excursions(nothing).empty
