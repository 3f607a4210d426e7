"""One candidate in words: what is said first, what a number is made of, and what is left out where nobody knows it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest

from core.gate import REASONS as GATE_REASONS
from core.gate import VERDICTS as GATE_VERDICTS
from core.pipeline._play import BELOW_MINIMUM
from core.ports import NoCandidate
from core.results._verdicts import (
    BLOCKED,
    REASONS,
    VERDICTS,
    blocked_words,
    reason_words,
    threshold_words,
    verdict_words,
)
from core.results.explain import Moment, signal_words, to_plain
from core.results.why import Course, Facts, Judgement, Moved, judged_lines, why_words
from core.results.whynot import Looked, Silence, whynot_words
from core.risk.limits import LIMITS
from tests.unit.alerts.rows import DECIDED, closed, event, opened, signal, trade

NOW = Moment(DECIDED + 86_400_000)
JUDGED = {
    "verdict": "PASS",
    "reason": "CERTIFIED",
    "ml_p": 0.427,
    "ml_p_raw": 0.441,
    "ev_pct": 0.0895,
    "model_version": "m20240501-1a2b3c4d",
}
JUDGEMENT = Judgement(
    use_ev=True,
    evidence="certified: n = 412, +0.14 R, lower bound +0.03 R",
    cost_r=0.04,
    funding_r=0.01,
    win_r=1.52,
    loss_r=-1.04,
    moved=(Moved("trend", 4.12), Moved("volume", -1.0), Moved("outcomes", 0.01)),
)


def decision(**changes: Any) -> dict[str, Any]:
    numbers = {"p_geo": 0.385, "ev_payoff_r": 0.05, "ev_p_r": 0.07, "threshold": 0.02, "threshold_source": "general"}
    return {"signal_id": 123, "seq": 0, **JUDGED, **numbers, **changes}


def nobody(**changes: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(("p_geo", "ml_p_raw", "ml_p", "ev_payoff_r", "ev_p_r", "ev_pct", "threshold"), math.nan)
    words = {"verdict": "UNGATED", "reason": "NO_MODEL", "threshold_source": "", "model_version": ""}
    return {"signal_id": 123, "seq": 0, **unknown, **words, **changes}


def told(facts: Facts, moment: Moment = NOW) -> str:
    return to_plain(why_words(facts, moment))


def judged(**changes: Any) -> Facts:
    return Facts(signal(**JUDGED), [decision()], replace(JUDGEMENT, **changes), [])


def test_a_passed_candidate_is_explained_in_these_words() -> None:
    events = [
        event("FILL"),
        event("FUNDING", seq=1, minutes=60, price=math.nan, fee_pct=0.0, rate_pct=0.01, source="recorded"),
        event("TARGET", seq=2, minutes=100, price=66200.0, fraction=0.5),
        event("TP1_TRAIL", seq=3, minutes=300, price=65425.0, fraction=0.5, source="taker"),
    ]
    words = told(Facts(signal(**JUDGED), [decision()], JUDGEMENT, [Course(closed(mfe_pct=3.2, mae_pct=-0.4), events)]))
    assert words.splitlines() == [
        "#123 LONG BTC/USDT:USDT 15m",
        "PASS: a model judged it and let it through. Its evidence: candidates like it have earned after costs out of "
        "sample, with statistical evidence.",
        "",
        "The plan (fibo_avwap, decided at the close of 2024-05-01 12:00 UTC)",
        "pullback",
        "Entry: 64250 (limit)",
        "Stop: 63100 (-1.79 %)",
        "TP1: 66200 (+3.04 %, R:R 1.70)",
        "TP2: 67800 (+5.53 %, R:R 3.09)",
        "1 R is what the stop costs: 1.79 % of the position, before fees.",
        "Size: 2793.48 USDT notional, leverage 10x, risk 50.00 USDT (at most 0.5 % of capital)",
        "Was valid until 2024-05-02 03:00 UTC: do not place it any more",
        "Rule's opinion: 0.62 of 1 (not a probability)",
        "",
        "How likely",
        "p(win) is the chance that the trade, once filled, ends above zero after all costs.",
        "By the plan's geometry alone, the distances of stop and targets: 38.5 %",
        "By m20240501-1a2b3c4d, calibrated: 42.7 % (before calibration 44.1 %). Of 100 trades of this figure about 43 "
        "should win.",
        "What moved it (p(win) with each less p(win) without it; they overlap and need not add up):",
        "  trend +4.1 points of p(win)",
        "  volume -1.0 points of p(win)",
        "  hardly: outcomes",
        "",
        "What it is worth",
        "Expected value (EV) is the mean result after costs that candidates like it should have, given a fill.",
        "By the size of results: +0.05 R = +0.10 R before costs, less 0.04 R of fees and slippage, less 0.01 R of "
        "expected funding",
        "By the chance of winning: +0.07 R = 42.7 % of +1.52 R and 57.3 % of -1.04 R",
        "The lower of the two counts: +0.05 R, +0.09 % of the position.",
        "Needed: at least +0.02 % of the position (the general threshold, models.meta.gating.min_ev_pct)",
        "Evidence: certified: n = 412, +0.14 R, lower bound +0.03 R",
        "",
        "What became of it",
        "Taken: the paper account holds it.",
        "2024-05-01 12:29 UTC  filled at 64250 (a resting order, fee 0.020 %)",
        "2024-05-01 13:00 UTC  funding settled on 100 % at a rate of +0.0100 % (recorded)",
        "2024-05-01 13:40 UTC  target 1 reached: 50 % closed at 66200 (a resting order, fee 0.020 %)",
        "2024-05-01 17:00 UTC  the moved stop was hit after a target: 50 % closed at 65425 (an order that takes, fee "
        "0.020 %)",
        "Result: won, +1.31 R, +2.34 % of the position after costs, held 4h 32m",
        "(before costs +2.43 %, fees 0.08 %, funding +0.01 %).",
        "On the way: +3.20 % at best, -0.40 % at worst.",
        "",
        "Research, not financial advice; you can lose all you stake.",
    ]


def test_each_reason_verdict_and_limit_of_the_engine_has_its_words() -> None:
    assert set(REASONS) == set(GATE_REASONS)
    assert set(VERDICTS) == set(GATE_VERDICTS)
    assert set(BLOCKED) == {*LIMITS, BELOW_MINIMUM}


@pytest.mark.parametrize("reason", GATE_REASONS)
def test_a_reason_is_told_in_words_and_names_its_feature(reason: str) -> None:
    about = f"{reason}:trend_adx" if "FEATURE" in reason else reason
    words = verdict_words("FILTERED", about)
    assert ("trend_adx" in words) == ("FEATURE" in reason)
    assert "{" not in words
    assert reason not in words


def test_words_of_another_version_are_shown_as_they_are() -> None:
    assert reason_words("SOMETHING<new>") == "SOMETHING&lt;new&gt;"
    assert blocked_words("A_LIMIT") == "A_LIMIT"
    assert "a verdict of another version" in verdict_words("MAYBE", "")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("general", "the general threshold, models.meta.gating.min_ev_pct"),
        ("per_pair_tf BTC/USDT:USDT 1h", "the threshold of BTC/USDT:USDT 1h, models.meta.gating.per_pair_tf"),
        ("per_regime vol_high", "the threshold of the regime vol_high, models.meta.gating.per_regime"),
        ("floors", "the floor no threshold goes below, models.meta.gating.floors.min_ev_pct"),
    ],
)
def test_a_threshold_says_where_it_came_from(source: str, words: str) -> None:
    assert threshold_words(decision(threshold_source=source), use_ev=True) == (
        f"at least +0.02 % of the position ({words})"
    )


def test_a_threshold_of_the_probability_is_told_as_one_and_none_is_no_line() -> None:
    assert threshold_words(decision(threshold=0.45), use_ev=False).startswith("at least p(win) 45.0 % (the general")
    assert threshold_words(nobody(), use_ev=True) == ""


def test_a_candidate_nobody_judged_says_ungated_first_and_shows_no_number() -> None:
    words = told(Facts(signal(), [nobody()], Judgement(), [Course(trade(), [])]))
    assert words.splitlines()[1] == "UNGATED: no model was in force: the rule proposed it, nothing filtered it."
    assert "How likely" not in words
    assert "What it is worth" not in words
    assert "The order waits: played up to" in words


def test_synthetic_and_in_sample_stand_before_anything_else() -> None:
    made = replace(NOW, synthetic=True)
    lines = told(Facts(signal(in_sample=1, origin="retro"), [nobody()], Judgement(), []), made).splitlines()
    assert lines[0].startswith("SYNTHETIC #123")
    assert lines[1].startswith("IN SAMPLE: ")
    assert "nobody was told" in lines[2]


def test_what_a_model_whose_files_are_gone_cannot_tell_is_said_and_the_rest_is_shown() -> None:
    silent = replace(JUDGEMENT, funding_r=math.nan, win_r=math.nan, loss_r=math.nan, moved=(), silent="files <gone>")
    words = told(Facts(signal(**JUDGED), [decision()], silent, []))
    assert "What moved p(win) cannot be told: files <gone>." in words
    assert (
        "By the size of results: +0.05 R, after 0.04 R of expected fees and slippage and the expected funding" in words
    )
    assert "By the chance of winning: +0.07 R\n" in words
    assert " nan" not in words.lower()


def test_costs_of_another_configuration_are_not_taken_for_those_of_its_time() -> None:
    words = told(judged(cost_r=math.nan, win_r=math.nan, loss_r=math.nan, funding_r=math.nan))
    assert "By the size of results: +0.05 R\n" in words
    assert "left out: it was decided under other parameters than those configured now." in words
    assert "left out" not in told(judged())


def test_funding_that_is_received_is_added() -> None:
    assert "= +0.08 R before costs, less 0.04 R of fees and slippage, plus 0.01 R of" in told(judged(funding_r=-0.01))


def test_families_that_hardly_matter_are_told_so() -> None:
    assert "No family of features moved p(win)" in told(judged(moved=(Moved("trend", 0.0),)))


def test_a_candidate_decided_more_than_once_lists_each_decision() -> None:
    facts = Facts(signal(**JUDGED), [nobody(), decision(seq=1)], JUDGEMENT, [])
    words = told(facts)
    assert "Decided 2 times, the newest shows" in words
    assert "1. UNGATED: no model was in force" in words
    assert "2. PASS: " in words
    assert "(p(win) 42.7 %, EV +0.09 %, by m20240501-1a2b3c4d)" in words
    assert "Decided" not in told(judged()).replace("decided", "")


@pytest.mark.parametrize(
    ("row", "verdict", "words"),
    [
        ({"taken": 1}, "PASS", "Taken: the paper account holds it."),
        ({"taken": 0, "blocked_by": "COOLDOWN"}, "PASS", "Not taken: its symbol and timeframe rested after a stop"),
        ({"taken": 0}, "FILTERED", "Not taken: the gate refused it."),
        ({"taken": 0}, "PASS", "Not taken: the account has not decided on it yet."),
    ],
)
def test_whether_it_was_taken_and_what_kept_it_from_it(row: dict[str, Any], verdict: str, words: str) -> None:
    facts = Facts(signal(verdict=verdict, reason=""), [], Judgement(), [Course(trade(**row), [])])
    assert words in told(facts)


def test_a_void_order_is_neither_won_nor_lost_and_an_open_one_says_how_far_it_was_played() -> None:
    void = Course(trade(status="CANCELLED", taken=0), [event("MISSED", price=math.nan)])
    words = told(Facts(signal(), [], Judgement(), [void]))
    assert "order void: price reached the first target before the entry" in words
    assert "neither won nor lost" in words
    held = told(Facts(signal(), [], Judgement(), [Course(opened(), [event("FILL")])]))
    assert "Open with 100 % of the position, stop at 63100: played up to 2024-05-01 12:01 UTC." in held
    assert "It has no trade on record yet." in told(Facts(signal(), [], Judgement(), []))


def test_trades_under_several_exit_policies_are_told_apart() -> None:
    other = Course(closed(exit_policy="fixed_r@00000000", ambiguous=1), [])
    words = told(Facts(signal(), [], Judgement(), [Course(closed(), []), other]))
    assert "Under tp1_be_trail@0a1b2c3d:" in words
    assert "Under fixed_r@00000000, an exit policy of other parameters:" in words
    assert words.count("which came first is not known") == 1


def test_what_comes_from_data_is_escaped_and_only_two_tags_are_used() -> None:
    odd = signal(**{**JUDGED, "rationale": "<i>a & b</i>", "setup": "<u>", "reason": "<x>", "model_version": "<m>"})
    strange = replace(JUDGEMENT, evidence="<e>", moved=(Moved("<f>", 2.0),))
    course = Course(closed(exit_policy="<p>", blocked_by="<b2>", taken=0), [event("<k>")])
    facts = Facts(odd, [decision(model_version="<m>", threshold_source="<t>", reason="<x>")] * 2, strange, [course] * 2)
    html = why_words(facts, NOW)
    assert set(re.findall(r"<[^>]*>", html)) == {"<b>", "</b>", "<code>", "</code>"}
    assert "<i>a & b</i>" in to_plain(html)


def test_an_alert_of_a_passed_signal_may_show_threshold_and_evidence() -> None:
    lines = judged_lines(decision(), JUDGEMENT)
    words = signal_words(signal(**JUDGED), Moment(DECIDED), judged=lines)
    assert to_plain(words).splitlines()[1:5] == [
        "PASS (CERTIFIED), p(win) 43 %, EV +0.09 % of notional after costs",
        "Needed: at least +0.02 % of the position (the general threshold, models.meta.gating.min_ev_pct)",
        "Evidence: certified: n = 412, +0.14 R, lower bound +0.03 R",
        "",
    ]
    assert signal_words(signal(**JUDGED), Moment(DECIDED)) in (words.replace("\n".join(lines) + "\n", ""),)
    assert judged_lines(nobody(), Judgement()) == []


def test_a_close_without_a_candidate_names_obstacles_and_then_what_each_leg_lacked() -> None:
    leg = NoCandidate("up leg from 1 to 2", "long", 1, 2, ("it is small", "it is <old>"))
    silence = Silence("BTC/USDT:USDT", "1h", DECIDED, ("Not scanned yet: `do this`.",), (Looked("fibo_avwap", (leg,)),))
    assert to_plain(whynot_words(silence, NOW)).splitlines() == [
        "BTC/USDT:USDT 1h, close of 2024-05-01 12:00 UTC: no signal",
        "Not scanned yet: `do this`.",
        "",
        "fibo_avwap found nothing:",
        "  up leg from 1 to 2: it is small; it is <old>.",
    ]
    assert "&lt;old&gt;" in whynot_words(silence, NOW)


def test_a_setup_that_cannot_say_why_and_one_that_found_something_say_so() -> None:
    looked = (Looked("plain", None), Looked("fibo_avwap", (), ("Long at the pullback.",)))
    words = whynot_words(Silence("BTC/USDT:USDT", "1h", 0, (), looked), replace(NOW, synthetic=True))
    assert words.startswith("SYNTHETIC <b>BTC/USDT:USDT 1h: no signal</b>")
    assert "plain found nothing, and cannot say why." in words
    assert "fibo_avwap finds a candidate here that is not on record: Long at the pullback." in words
    assert "plain finds" not in words
