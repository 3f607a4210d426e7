"""The verdict table, cell by cell, and what stands above it."""

from __future__ import annotations

import itertools
import pickle
import time

import numpy as np
import pytest

from core.gate import (
    PASSED,
    REASONS,
    VERDICTS,
    Evidence,
    GateRules,
    Judged,
    Override,
    Payoff,
    Slice,
    Where,
    abstained,
    decide,
    first_out_of_range,
    refuse,
    ungated,
)
from core.schema import DECISIONS

BTC = "BTC/USDT:USDT"
STOP = 0.01  # so that EV in R is EV in percent of notional


def judged(ev_r: list[float], p: float = 0.6) -> Judged:
    ev = np.array(ev_r)
    same = np.full(len(ev), p)
    return Judged(0.4 * np.ones(len(ev)), same, same, ev, ev + 0.01, ev, ev)


def where(n: int, vol: str = "low", at: int = 0) -> Where:
    words = (np.array([word] * n, dtype=object) for word in (BTC, "1h", "trend", vol))
    return Where(*words, np.full(n, STOP), np.full(n, at, dtype=np.int64))


def evidence(certified: bool = True, mode: str = "ev", threshold: float = 0.0) -> Evidence:
    figures = (100, 80.0, 20, 0.1, 0.02, 0.55, 0.5, threshold, certified, True, 1_000)
    return Evidence(mode, 1, {name: Slice(name, *figures) for name in ("all", "vol_low")})


CERTIFIED, NONE, EXPIRED, DRIFT = "certified", "none", "expired", "drift"

TABLE = {
    # state: {evidence: (above the threshold, below it)}, each verdict and reason
    CERTIFIED: {
        "off": ("PASS EVIDENCE_OFF", "FILTERED EV_BELOW"),
        "show": ("PASS CERTIFIED", "FILTERED EV_BELOW"),
        "require": ("PASS CERTIFIED", "FILTERED EV_BELOW"),
    },
    NONE: {
        "off": ("PASS EVIDENCE_OFF", "FILTERED EV_BELOW"),
        "show": ("PASS NOT_CERTIFIED", "FILTERED EV_BELOW"),
        "require": ("NO_EVIDENCE NOT_CERTIFIED", "NO_EVIDENCE NOT_CERTIFIED"),
    },
    EXPIRED: {
        "off": ("PASS EVIDENCE_OFF", "FILTERED EV_BELOW"),
        "show": ("PASS EXPIRED", "FILTERED EV_BELOW"),
        "require": ("NO_EVIDENCE EXPIRED", "NO_EVIDENCE EXPIRED"),
    },
    DRIFT: {
        "off": ("PASS DRIFT", "FILTERED EV_BELOW"),
        "show": ("NO_EVIDENCE DRIFT", "NO_EVIDENCE DRIFT"),
        "require": ("NO_EVIDENCE DRIFT", "NO_EVIDENCE DRIFT"),
    },
}


@pytest.mark.parametrize(("state", "mode"), list(itertools.product(TABLE, ("off", "show", "require"))))
def test_every_cell_of_the_evidence_table(state: str, mode: str):
    rules = GateRules(min_ev_pct=0.1, evidence=mode)
    found = decide(
        judged([0.3, 0.05]),
        ["", ""],
        where(2, at=1_000 if state == EXPIRED else 0),
        rules,
        evidence(certified=state != NONE),
        alarm=state == DRIFT,
        model_version="v1",
    )
    assert tuple(found["verdict"] + " " + found["reason"]) == TABLE[state][mode]
    assert list(found.columns) == list(DECISIONS)


def test_the_numbers_behind_a_decision_are_kept():
    pairs = {BTC: {"1h": Override(min_ev_pct=0.25)}}
    found = decide(judged([0.3]), [""], where(1), GateRules(per_pair_tf=pairs), evidence(), False, "v1").iloc[0]
    assert found["ev_pct"] == pytest.approx(0.3) and found["ev_payoff_r"] == pytest.approx(0.31)
    assert (found["threshold"], found["threshold_source"]) == (0.25, f"per_pair_tf {BTC} 1h")
    assert (found["p_geo"], found["ml_p_raw"], found["ml_p"], found["model_version"]) == (0.4, 0.6, 0.6, "v1")


@pytest.mark.parametrize(("p", "verdict", "reason"), [(0.6, "PASS", "CERTIFIED"), (0.44, "FILTERED", "P_BELOW")])
def test_by_probability_the_expected_value_does_not_count(p: float, verdict: str, reason: str):
    rules = GateRules(use_ev=False)
    found = decide(judged([-1.0], p), [""], where(1), rules, evidence(mode="p"), False, "v1").iloc[0]
    assert (found["verdict"], found["reason"], found["threshold"]) == (verdict, reason, 0.45)


def test_evidence_of_another_mode_certifies_nothing():
    found = decide(judged([0.5]), [""], where(1), GateRules(evidence="require"), evidence(mode="p"), False, "v1").iloc[
        0
    ]
    assert (found["verdict"], found["reason"]) == ("NO_EVIDENCE", "NOT_CERTIFIED")


def test_what_passes_the_rule_below_the_certified_score_has_no_evidence():
    table = evidence(threshold=0.2)
    for mode, expected in (("show", "PASS NOT_CERTIFIED"), ("require", "NO_EVIDENCE NOT_CERTIFIED")):
        found = decide(judged([0.1]), [""], where(1), GateRules(evidence=mode), table, False, "v1").iloc[0]
        assert f"{found['verdict']} {found['reason']}" == expected


@pytest.mark.parametrize("mode", ["off", "show", "require"])
@pytest.mark.parametrize("alarm", [False, True])
def test_what_the_model_cannot_judge_is_never_passed(mode: str, alarm: bool):
    rules = GateRules(evidence=mode)
    found = decide(judged([9.0, np.nan]), ["volume_z", ""], where(2), rules, evidence(), alarm, "v1")
    assert found["verdict"].tolist() == ["ABSTAIN", "ABSTAIN"]
    assert found["reason"].tolist() == ["MISSING_FEATURE:volume_z", "NO_NUMBER"]
    assert np.isnan(found.loc[0, ["ml_p", "ev_pct", "ev_p_r"]].to_numpy(dtype=float)).all()


@pytest.mark.parametrize(("enabled", "reason"), [(True, "NO_MODEL"), (False, "DISABLED")])
def test_without_a_model_every_candidate_is_ungated(enabled: bool, reason: str):
    found = ungated(2, enabled)
    assert found["verdict"].tolist() == ["UNGATED"] * 2 and found["reason"].tolist() == [reason] * 2


def test_a_model_that_cannot_be_read_abstains():
    found = abstained(2, "v1")
    assert set(zip(found["verdict"], found["reason"], found["model_version"], strict=True)) == {
        ("ABSTAIN", "MODEL_UNREADABLE", "v1")
    }


def test_hard_filters_refuse_whatever_the_model_said():
    vectors = np.array([[30.0, 0.1], [15.0, 0.1], [30.0, np.nan], [25.0, 0.5]])
    names = first_out_of_range(vectors, ("trend_adx", "atr_pct"), {"atr_pct": (0.0, 0.5), "trend_adx": (20.0, np.inf)})
    assert names.tolist() == ["", "trend_adx", "atr_pct", ""]
    found = refuse(ungated(4, True), names)
    assert found["verdict"].tolist() == ["UNGATED", "FILTERED", "FILTERED", "UNGATED"]
    assert found["reason"].tolist() == [
        "NO_MODEL",
        "FEATURE_OUT_OF_RANGE:trend_adx",
        "FEATURE_OUT_OF_RANGE:atr_pct",
        "NO_MODEL",
    ]


def test_only_a_pass_or_no_model_at_all_lets_a_candidate_through():
    assert frozenset({"PASS", "UNGATED"}) == PASSED
    said = {word for cells in TABLE.values() for pair in cells.values() for cell in pair for word in cell.split()}
    assert said <= {*VERDICTS, *REASONS}


def test_no_candidates_are_no_rows_and_many_are_decided_in_milliseconds():
    assert len(decide(judged([]), [], where(0), GateRules(), evidence(), False, "v1")) == 0
    many, place = judged([0.1] * 250), where(250)
    taken = []
    for _ in range(5):
        begun = time.perf_counter()
        decide(many, [""] * 250, place, GateRules(), evidence(), False, "v1")
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.05  # about 2 ms; the margin is for busy machines


def test_what_a_worker_process_is_given_can_be_sent_to_it():
    rules = GateRules(per_pair_tf={BTC: {"1h": Override(min_ev_pct=0.25)}})
    payoff = Payoff(0.0, 0.5, (1.0, 0.0, 0.0, -1.0), (-1.0, 0.0, 0.0, -1.0), {"1h|long": 0.01})
    for value in (rules, GateRules(), payoff, evidence(), Evidence()):
        assert pickle.loads(pickle.dumps(value)) == value
