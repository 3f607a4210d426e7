"""Training rows: which trades become one, what their numbers mean, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import ModelError, TraderError
from core.execution.costs import CostModel
from core.schema import SIGNALS, TRADES, conform
from core.schema.learning import TRAINING_ROWS
from core.training.dataset import PLAN_ROWS, Dataset, plan_rows, require_enough, training_rows
from tests.label_worlds import GEOMETRY_COLUMNS, label_world

COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
HOUR_MS = 3_600_000


def signals(*rows: dict[str, Any]) -> pd.DataFrame:
    blank = {name: "" if dtype == "str" else 0.0 for name, dtype in SIGNALS.items()}
    plan = {
        "symbol": "BTC/USDT:USDT",
        "timeframe": "1h",
        "setup": "fibo_avwap",
        "direction": "long",
        "order_type": "limit",
        "entry": 100.0,
        "sl": 99.0,
        "tp1": 101.5,
        "tp2": 103.0,
        "decided_ms": HOUR_MS,
    }
    return conform(pd.DataFrame([{**blank, **plan, "id": i + 1, **row} for i, row in enumerate(rows)]), SIGNALS)


def trades(*rows: dict[str, Any]) -> pd.DataFrame:
    blank = {name: "" if dtype == "str" else 0.0 for name, dtype in TRADES.items()}
    done = {
        "exit_policy": "tp1_be_trail@00000000",
        "status": "CLOSED",
        "fill_price": 100.0,
        "opened_ms": 2 * HOUR_MS,
        "known_ms": 5 * HOUR_MS,
        "exit_reason": "TP",
    }
    return conform(pd.DataFrame([{**blank, **done, "signal_id": i + 1, **row} for i, row in enumerate(rows)]), TRADES)


def test_a_closed_trade_becomes_a_row_worked_out_by_hand() -> None:
    rows = training_rows(
        signals({}), trades({"pnl_pct": 1.43, "r_multiple": 1.43, "funding_pct": 0.01, "gross_pct": 1.5}), COSTS
    )
    assert {name: str(dtype) for name, dtype in rows.dtypes.items()} == dict(TRAINING_ROWS)
    row = rows.iloc[0]
    assert row["stop_frac"] == pytest.approx(0.01)
    assert (row["rr1"], row["rr2"]) == pytest.approx((1.5, 3.0))
    assert row["cost_r"] == pytest.approx(0.07)  # 0.02 + (0.02 + 0.06 + 0.02) / 2 percent, of 1 % risked
    assert row["won"] == 1.0
    assert row["net_r"] == 1.43
    assert row["gross_r"] == pytest.approx(1.43 + 0.07 + 0.01)
    assert (row["opened_ms"], row["known_ms"]) == (2 * HOUR_MS, 5 * HOUR_MS)


def test_a_short_by_market_order_is_mirrored_and_pays_for_its_entry() -> None:
    plan = {"direction": "short", "order_type": "market", "sl": 102.0, "tp1": 97.0, "tp2": 95.0}
    rows = training_rows(signals(plan), trades({"pnl_pct": -2.1, "r_multiple": -1.05}), COSTS)
    row = rows.iloc[0]
    assert (row["stop_frac"], row["rr1"], row["rr2"]) == pytest.approx((0.02, 1.5, 2.5))
    assert row["cost_r"] == pytest.approx(0.13 / 2.0)
    assert row["won"] == 0.0


def test_only_what_filled_and_is_finished_teaches_and_every_reason_to_leave_counts() -> None:
    states = [
        *({"exit_reason": reason} for reason in ("SL", "TP1_TRAIL", "TP", "TIMEOUT", "POLICY", "DELISTED")),
        {"status": "PENDING", "fill_price": np.nan},
        {"status": "OPEN"},
        {"status": "EXPIRED", "fill_price": np.nan},
        {"status": "CANCELLED", "fill_price": np.nan},
    ]
    rows = training_rows(signals(*({} for _ in states)), trades(*states), COSTS)
    assert rows["signal_id"].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_result_of_exactly_nothing_is_no_win() -> None:
    assert training_rows(signals({}), trades({"pnl_pct": 0.0}), COSTS)["won"].tolist() == [0.0]


def test_trades_find_their_signals_whatever_the_order_and_strangers_are_left_out() -> None:
    plans = signals({"id": 7, "decided_ms": 3 * HOUR_MS}, {"id": 5, "symbol": "ETH/USDT:USDT"})
    done = trades({"signal_id": 5}, {"signal_id": 6}, {"signal_id": 7})
    rows = training_rows(plans, done, COSTS)
    assert rows["signal_id"].tolist() == [5, 7]
    assert rows["symbol"].tolist() == ["ETH/USDT:USDT", "BTC/USDT:USDT"]


def test_no_trades_give_no_rows_and_two_exit_policies_are_refused() -> None:
    assert training_rows(signals({}).iloc[:0], trades({}).iloc[:0], COSTS).empty
    with pytest.raises(ModelError, match=r"2 exit policies \(a@1, b@2\); expected one"):
        training_rows(signals({}, {}), trades({"exit_policy": "b@2"}, {"exit_policy": "a@1"}), COSTS)


def test_plans_that_never_filled_can_be_judged_too() -> None:
    frame = plan_rows(signals({}, {"direction": "short", "sl": 101.0, "tp1": 98.0, "tp2": 97.0}), COSTS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(PLAN_ROWS)
    np.testing.assert_allclose(frame["rr1"], [1.5, 2.0])


def test_a_dataset_is_in_order_of_decision_and_weighs_its_rows() -> None:
    world = label_world(400, seed=1, columns=6)
    shuffled = np.random.default_rng(0).permutation(400)
    data = Dataset.of(world.rows.iloc[shuffled], world.vectors[shuffled], world.columns, GEOMETRY_COLUMNS)
    pd.testing.assert_frame_equal(data.rows, world.rows)
    np.testing.assert_array_equal(data.vectors, world.vectors)
    assert data.n_eff == pytest.approx(data.weights.sum())
    assert 0 < data.n_eff <= 400
    sample = data.sample(np.array([3, 5]))
    np.testing.assert_array_equal(sample.vectors, world.vectors[[3, 5]])
    np.testing.assert_array_equal(sample.won, world.rows["won"].to_numpy()[[3, 5]])
    np.testing.assert_array_equal(sample.weights, data.weights[[3, 5]])


def test_a_part_of_a_dataset_knows_of_no_other_row() -> None:
    world = label_world(3000, seed=1, columns=6, weeks=4)
    data = Dataset.of(world.rows, world.vectors, world.columns)
    part = data.take(np.arange(0, 3000, 10))
    alone = Dataset.of(part.rows, part.vectors, part.columns)
    np.testing.assert_array_equal(part.weights, alone.weights)
    assert part.n_eff > data.weights[::10].sum()


def test_a_row_without_a_required_feature_is_left_out_and_one_without_an_optional_is_not() -> None:
    world = label_world(50, seed=2, columns=8)
    vectors = world.vectors.copy()
    vectors[4, 1] = np.nan
    vectors[6, 7] = np.nan
    kept = Dataset.of(world.rows, vectors, world.columns, GEOMETRY_COLUMNS)
    assert len(kept) == 49
    assert 5 not in kept.rows["signal_id"].tolist()


def refusal(**changes: Any) -> str:
    world = label_world(50, seed=2, columns=8)
    given = {"rows": world.rows, "vectors": world.vectors, "columns": world.columns, "required": GEOMETRY_COLUMNS}
    with pytest.raises(ModelError) as error:
        Dataset.of(**{**given, **changes})
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_learned_from_is_refused_in_one_line() -> None:
    world = label_world(50, seed=2, columns=8)
    infinite = world.vectors.copy()
    infinite[3, 6] = np.inf
    assert "noise_01 is infinite" in refusal(vectors=infinite)
    assert "shape (50, 7); expected (50, 8)" in refusal(vectors=world.vectors[:, :7])
    assert "shape (49, 8); expected (50, 8)" in refusal(vectors=world.vectors[:49])
    assert "required feature 'vol_rank' is not among" in refusal(required=("vol_rank",))
    assert "column 'geo_rr1' is there twice" in refusal(columns=("geo_rr1", *world.columns[:7]))
    assert "net_r is not a finite number" in refusal(rows=world.rows.assign(net_r=np.nan))


def test_too_few_rows_and_outcomes_all_alike_are_refused() -> None:
    world = label_world(300, seed=3, columns=6)
    data = Dataset.of(world.rows, world.vectors, world.columns)
    require_enough(data, 200.0)
    with pytest.raises(TraderError, match=r"300 closed trades, \d+ effective; expected at least 5000"):
        require_enough(data, 5000.0)
    with pytest.raises(TraderError, match=r"all 300 closed trades won"):
        require_enough(Dataset.of(world.rows.assign(won=1.0), world.vectors, world.columns), 200.0)
    with pytest.raises(TraderError, match=r"0 closed trades"):
        require_enough(data.take(np.empty(0, dtype=np.int64)), 200.0)


def test_crowded_rows_count_for_less_than_their_number() -> None:
    world = label_world(300, seed=3, columns=6)
    same = world.rows.assign(symbol="A", timeframe="1h", opened_ms=0, known_ms=HOUR_MS)
    assert Dataset.of(same, world.vectors, world.columns).n_eff == pytest.approx(1.0)
