"""Scan and take: pure, with rows that say exactly what was decided and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.execution.costs import CostModel
from core.gate import Evidence, GateRules
from core.pipeline import ScanRules, decided, judge, nobody, plan_hash, scan, take
from core.risk.limits import LimitRules
from core.risk.sizing import RiskRules
from core.schema import DECISIONS, SIGNALS, Candles, Instrument
from tests.desks import BTC, ETH, EveryNth
from tests.factories import resampled, walk

CANDLES = resampled(walk(1), "5m")
INSTRUMENT = Instrument("bitget", BTC, tick=0.01, lot=0.001, min_notional=5.0)
RULES = ScanRules(
    costs=CostModel(0.02, 0.06, 0.02),
    risk=RiskRules(10_000.0, 0.5, 10.0, 1.5, 0.5),
    validity_candles=60,
)


def found(
    setup: EveryNth | None = None,
    candles: Candles = CANDLES,
    instrument: Instrument = INSTRUMENT,
    timeframe: str = "5m",
    rules: ScanRules = RULES,
    first: int = 0,
) -> pd.DataFrame:
    return scan(candles, instrument, timeframe, setup or EveryNth(), rules, first)


def test_rows_have_the_declared_columns() -> None:
    signals = found()
    assert len(signals) == 96
    assert dict(signals.dtypes.astype(str)) == dict(SIGNALS)
    assert (signals["decided_ms"] == signals["ts_ms"] + 300_000).all()
    assert (signals["valid_until_ms"] == signals["decided_ms"] + 60 * 300_000).all()
    assert (signals["id"] == 0).all() and (signals["origin"] == "").all()


def test_nothing_found_gives_an_empty_frame_with_the_declared_columns() -> None:
    signals = found(candles=Candles.empty())
    assert dict(signals.dtypes.astype(str)) == dict(SIGNALS)
    assert len(signals) == 0


@pytest.mark.parametrize(("enabled", "reason"), [(True, "NO_MODEL"), (False, "DISABLED")])
def test_without_a_model_every_candidate_is_ungated_and_says_why(enabled: bool, reason: str) -> None:
    signals = found()
    decisions = judge(signals, nobody(len(signals)), GateRules(), Evidence(), alarm=False, enabled=enabled)
    assert dict(decisions.dtypes.astype(str)) == dict(DECISIONS)
    for frame in (decided(signals, decisions), decisions):
        assert set(frame["verdict"]) == {"UNGATED"} and set(frame["reason"]) == {reason}
        assert frame["ml_p"].isna().all() and frame["ev_pct"].isna().all() and set(frame["model_version"]) == {""}


def test_keys_are_unique_and_the_same_for_the_same_input() -> None:
    signals = found()
    assert signals["key"].is_unique
    pd.testing.assert_frame_equal(signals, found())


def test_a_later_first_candle_gives_the_later_rows_and_no_others() -> None:
    whole = found()
    late = found(first=100)
    assert (late["ts_ms"] >= CANDLES.ts[100]).all() and 0 < len(late) < len(whole)
    pd.testing.assert_frame_equal(late, whole.iloc[-len(late) :].reset_index(drop=True))


@pytest.mark.parametrize(
    "other",
    [
        {"instrument": replace(INSTRUMENT, exchange="binance")},
        {"instrument": replace(INSTRUMENT, symbol=ETH)},
        {"timeframe": "15m"},
        {"setup": EveryNth(stop_pct=0.4)},
        {"setup": EveryNth(name="another")},
        {"rules": replace(RULES, costs=CostModel(0.02, 0.05, 0.02))},
        {"rules": replace(RULES, validity_candles=61)},
    ],
)
def test_keys_differ_by_series_and_by_what_fixes_the_plan(other: dict[str, object]) -> None:
    assert not set(found()["key"]) & set(found(**other)["key"])  # type: ignore[arg-type]


def test_capital_is_no_part_of_the_plan() -> None:
    richer = replace(RULES, risk=replace(RULES.risk, capital_usd=20_000.0))
    assert plan_hash(EveryNth(), richer) == plan_hash(EveryNth(), RULES)
    assert found(rules=richer)["key"].tolist() == found()["key"].tolist()


def test_a_size_risks_the_agreed_part_of_the_capital_to_within_a_lot() -> None:
    signals = found()
    loss = signals["position_notional"] * (signals["entry"] - signals["sl"]).abs() / signals["entry"]
    lot_loss = INSTRUMENT.lot * (signals["entry"] - signals["sl"]).abs()  # type: ignore[operator]
    assert (loss <= 50.0 + 1e-9).all() and (loss >= 50.0 - lot_loss - 1e-9).all()
    assert (signals["leverage"] <= 10.0).all() and (signals["risk_pct"] == 0.5).all()


def test_an_order_below_the_exchanges_minimum_has_no_size() -> None:
    signals = found(instrument=replace(INSTRUMENT, min_notional=1e9))
    assert (signals["position_notional"] == 0.0).all()


def rows(n: int = 6, **columns: object) -> pd.DataFrame:
    plain = {
        "signal_id": np.arange(1, n + 1),
        "exit_policy": "p@1",
        "key": [f"k{i}" for i in range(n)],
        "decided_ms": np.arange(n) // 2 * 60_000,
        "symbol": BTC,
        "timeframe": "5m",
        "verdict": "UNGATED",
        "position_notional": 100.0,
        "valid_until_ms": 10**9,
        "status": "CLOSED",
        "known_ms": 0,
        "exit_reason": "",
        "pnl_pct": 0.0,
        "taken": 0,
        "blocked_by": "",
        "settled": 0,
    }
    return pd.DataFrame({**plain, **columns})


def slots(most: int) -> LimitRules:
    """No limit but the number of slots."""
    return LimitRules(10_000, most, 100, 0, 100, 24, 12, 100)


def test_candidates_are_taken_in_the_order_of_decision_then_symbol_timeframe_and_key() -> None:
    frame = rows(
        5,
        decided_ms=[60_000, 0, 0, 0, 0],
        symbol=[BTC, ETH, BTC, BTC, BTC],
        timeframe=["5m", "5m", "5m", "15m", "15m"],
        key=["a", "a", "a", "c", "b"],
    )
    assert take(frame)["signal_id"].tolist() == [5, 4, 3, 2, 1]


def test_passed_and_sized_candidates_are_taken_and_a_missing_size_is_named() -> None:
    frame = rows(
        4, decided_ms=[0, 1, 2, 3], verdict=["UNGATED", "PASS", "FILTERED", "ABSTAIN"], position_notional=[0, 9, 9, 0]
    )
    result = take(frame)
    assert result["taken"].tolist() == [0, 1, 0, 0]
    assert result["blocked_by"].tolist() == ["MIN_NOTIONAL", "", "", ""]


def test_a_slot_is_held_from_the_decision_until_the_outcome_is_known() -> None:
    frame = rows(4, decided_ms=[0, 60_000, 120_000, 180_000], known_ms=[120_000, 999_999, 999_999, 999_999])
    result = take(frame, slots(1))
    assert result["taken"].tolist() == [1, 0, 1, 0]
    assert result["blocked_by"].tolist() == ["", "MAX_OPEN", "", "MAX_OPEN"]


def test_a_waiting_order_holds_its_slot_until_it_expires_and_an_open_position_for_ever() -> None:
    times = {"decided_ms": [0, 60_000, 120_000], "valid_until_ms": 120_000}
    assert take(rows(3, **times, status="PENDING"), slots(1))["taken"].tolist() == [1, 0, 1]
    assert take(rows(3, **times, status="OPEN"), slots(1))["taken"].tolist() == [1, 0, 0]


def test_limits_are_not_asked_about_what_the_gate_or_the_size_refused() -> None:
    frame = rows(3, decided_ms=[0, 1, 2], verdict=["FILTERED", "PASS", "PASS"], position_notional=[1, 0, 1])
    result = take(frame.assign(status="OPEN"), slots(1))
    assert result["taken"].tolist() == [0, 0, 1]
    assert result["blocked_by"].tolist() == ["", "MIN_NOTIONAL", ""]


def test_a_settled_row_keeps_what_was_decided_and_holds_its_slot() -> None:
    frame = rows(
        3, decided_ms=[0, 1, 2], settled=[1, 1, 0], taken=[1, 0, 0], blocked_by=["", "COOLDOWN", ""], status="OPEN"
    )
    result = take(frame, slots(1))
    assert result["taken"].tolist() == [1, 0, 0]
    assert result["blocked_by"].tolist() == ["", "COOLDOWN", "MAX_OPEN"]


def test_a_loss_counts_with_the_size_of_its_trade() -> None:
    rules = replace(slots(9), max_daily_loss_pct=1.0)
    frame = rows(
        3, decided_ms=[0, 0, 60_000], known_ms=[60_000, 60_000, 0], pnl_pct=-1.0, position_notional=[6_000, 4_000, 1]
    )
    assert take(frame, rules)["blocked_by"].tolist() == ["", "", "DAILY_LOSS"]
    assert take(frame.assign(position_notional=[6_000, 3_900, 1]), rules)["blocked_by"].tolist() == ["", "", ""]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_rows_handed_in_does_not_matter(seed: int) -> None:
    frame = pd.concat([rows(12, known_ms=150_000), rows(12, known_ms=90_000, exit_policy="q@2")], ignore_index=True)
    shuffled = frame.sample(frac=1.0, random_state=seed)
    pd.testing.assert_frame_equal(take(frame, slots(3)), take(shuffled, slots(3)))


def test_taking_changes_nothing_in_the_rows_handed_in() -> None:
    frame = rows()
    before = frame.copy()
    take(frame, slots(1))
    pd.testing.assert_frame_equal(frame, before)


def test_no_rows_give_no_rows() -> None:
    assert take(rows().iloc[:0], slots(1)).empty
