"""Explaining what is stored: facts of the decision's own time, words that agree with the record, nothing written."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import UsageError
from core.gate import Evidence
from core.jobs import funnel, reliability, why, whynot
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court, gating_text, load_model
from core.results.explain import to_plain
from core.schema import PREDICTIONS, frame_of
from tests.explained import (
    BTC,
    DAYS,
    END_MS,
    ETH,
    EXCHANGE,
    LIVE_MS,
    STEP_MS,
    TIMEFRAME,
    World,
    open_world,
    write_world,
)
from tests.factories import START_MS

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("explained"))


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    """A desk on a copy, so that a test may change it."""
    shutil.copytree(world.config.parent, tmp_path / "copy")
    config = tmp_path / "copy" / "config.yaml"
    text = config.read_text(encoding="utf-8").replace(str(world.config.parent), str(tmp_path / "copy"))
    config.write_text(text, encoding="utf-8")
    with open_world(config) as opened:
        yield opened


def explained(desk: Desk, number: int) -> str:
    return to_plain(why.why_html(desk, END_MS, number))


def asked(desk: Desk, symbol: str = BTC, timeframe: str = TIMEFRAME, at_ms: int | None = None, **more: Any) -> str:
    return to_plain(whynot.whynot_html(desk, more.get("now_ms", END_MS), symbol, timeframe, at_ms))


def ids_of(desk: Desk, **wanted: str) -> list[int]:
    signals = desk.reader.signals()
    for column, value in wanted.items():
        signals = signals[signals[column] == value]
    return signals["id"].tolist()


def text_of(report: Any) -> str:
    done: Report = asyncio.run(report)
    assert done.ok
    return done.text


def test_every_candidate_of_the_record_can_be_explained(desk: Desk) -> None:
    signals = desk.reader.signals()
    assert set(signals["verdict"]) >= {"PASS", "FILTERED", "UNGATED"}
    for row in signals.to_dict("records"):
        words = explained(desk, row["id"])
        assert words.startswith(f"SYNTHETIC #{row['id']} ")
        assert f"\n{row['verdict']}: " in words
        assert " nan" not in words
        assert ("How likely" in words) == bool(np.isfinite(row["ml_p"]))
        assert ("nobody was told" in words) == (row["origin"] == "retro")


def test_the_parts_of_an_expected_value_add_up(desk: Desk) -> None:
    number = r"([+-]?\d+\.\d+)"
    for one in ids_of(desk, verdict="FILTERED"):
        words = explained(desk, one)
        payoff = re.search(rf"size of results: {number} R = {number} R .* less {number} R .*, (\w+) {number} R", words)
        by_p = re.search(
            rf"chance of winning: {number} R = {number} % of {number} R and {number} % of {number} R", words
        )
        assert payoff and by_p
        total, before, costs, funding = (float(payoff[k]) for k in (1, 2, 3, 5))
        assert total == pytest.approx(before - costs - funding * (1 if payoff[4] == "less" else -1), abs=0.021)
        value, p, win, q, loss = (float(part) for part in by_p.groups())
        assert value == pytest.approx((p * win + q * loss) / 100.0, abs=0.02)


def test_under_other_costs_the_parts_are_left_out(desk: Desk) -> None:
    number = ids_of(desk, verdict="PASS")[0]
    before = explained(desk, number)
    desk.costs = replace(desk.costs, taker_pct=0.5)
    words = explained(desk, number)
    assert "it was decided under other parameters than those configured now" in words
    assert " before costs, less " not in words
    assert "The lower of the two counts" in words
    assert [line for line in words.splitlines() if "points of p(win)" in line] == [
        line for line in before.splitlines() if "points of p(win)" in line
    ]


def test_what_moved_p_is_that_of_the_model_and_the_stored_vector(desk: Desk) -> None:
    number = ids_of(desk, verdict="PASS")[0]
    (facts,) = why.facts_of(desk, desk.reader.signals(ids=[number]), Court(desk))
    assert desk.features is not None
    model = load_model(desk, facts.decisions[-1]["model_version"])
    _, vectors = desk.reader.features(desk.features.id, [number])
    assert {one.family for one in facts.judgement.moved} == set(desk.features.family_of.values())
    log_odds = model.estimator.contributions(vectors)[0]
    scores = model.estimator.score(vectors)
    for one in facts.judgement.moved:
        mine = [desk.features.family_of[name] == one.family for name in model.columns]
        without = 1.0 / (1.0 + np.exp(log_odds[:-1][mine].sum() - log_odds.sum()))
        p = model.calibrator.apply(scores.p_geo, np.array([without]))[0]
        assert one.points == pytest.approx(100.0 * (facts.signal["ml_p"] - p), abs=1e-6)
    sizes = [abs(one.points) for one in facts.judgement.moved]
    assert sizes == sorted(sizes, reverse=True)


def test_evidence_is_that_of_the_decisions_own_time(desk: Desk) -> None:
    number = ids_of(desk, reason="CERTIFIED")[0]
    before = explained(desk, number)
    assert "Evidence: certified: n = 412, +0.14 R, lower bound +0.03 R" in before
    gating = gating_text(desk.config.models.meta.gating)
    desk.writer.put_thresholds(END_MS, gating, pd.Series(Evidence().to_json()).to_json(), "user", "later")
    assert explained(desk, number) == before


def test_what_is_told_of_the_evidence_agrees_with_the_verdict(desk: Desk) -> None:
    for row in desk.reader.signals().to_dict("records"):
        (line,) = re.findall(r"^Evidence: (.*)$", explained(desk, row["id"]), re.MULTILINE) or [""]
        if row["reason"] in ("CERTIFIED", "NOT_CERTIFIED"):
            assert line.startswith("certified: ") == (row["reason"] == "CERTIFIED"), row["id"]
        assert bool(line) == bool(np.isfinite(row["ml_p"]))


def test_an_alert_is_given_threshold_and_evidence_of_a_judged_signal_and_nothing_of_another(desk: Desk) -> None:
    passed = why.judged_lines_of(desk, desk.reader.signals(ids=ids_of(desk, reason="CERTIFIED")[:1]))
    assert [line.partition(":")[0] for line in passed] == ["Needed", "Evidence"]
    assert why.judged_lines_of(desk, desk.reader.signals(ids=ids_of(desk, verdict="UNGATED")[:1])) == []


def test_a_gate_that_decides_by_the_probability_is_told_as_one(tmp_path: Path) -> None:
    gating = {"use_ev": False, "threshold": 0.5}
    made = write_world(tmp_path, {"models": {"meta": {"gating": gating}}})
    with open_world(made.config) as desk:
        words = explained(desk, ids_of(desk, verdict="PASS")[0])
        assert "Needed: at least p(win) 50.0 % (the general threshold, models.meta.gating.threshold)" in words
        assert "Evidence: not certified: no results were examined" in words  # it was tuned for expected value
        assert "its p(win) is below the threshold" in explained(desk, ids_of(desk, reason="P_BELOW")[0])


def test_without_the_models_files_the_rest_is_shown(desk: Desk) -> None:
    number = ids_of(desk, verdict="PASS")[0]
    whole = explained(desk, number)
    shutil.rmtree(desk.config.models.meta.model_path)
    desk.memory.clear()  # as in a process of its own
    words = explained(desk, number)
    assert "What moved p(win) cannot be told: model m2024" in words
    assert "By the size of results: " in words
    assert "Evidence: " in words
    assert [line for line in whole.splitlines() if line.startswith(("PASS", "Entry", "Result"))] == [
        line for line in words.splitlines() if line.startswith(("PASS", "Entry", "Result"))
    ]


def test_a_verdict_of_a_walk_forward_says_that_its_model_is_not_kept(desk: Desk) -> None:
    number = ids_of(desk, origin="retro", verdict="UNGATED")[0]
    again = desk.reader.decisions([number]).assign(
        verdict="FILTERED", reason="EV_BELOW", p_geo=0.4, ml_p_raw=0.4, ml_p=0.41, ev_payoff_r=-0.1, ev_p_r=-0.2,
        ev_pct=-0.2, threshold=0.0, threshold_source="general", model_version="walk-forward 2024-01-01", in_sample=0,
    )  # fmt: skip
    assert desk.writer.decide_again(again) == 1
    words = explained(desk, number)
    assert "models of a walk-forward (walk-forward 2024-01-01) are not kept" in words
    assert "Decided 2 times" in words


def test_a_signal_that_is_not_there_is_answered_with_the_newest(desk: Desk) -> None:
    with pytest.raises(UsageError, match=r"signal #999 is not on record; the newest is #\d+$"):
        explained(desk, 999)


def test_explaining_writes_nothing(desk: Desk) -> None:
    def content() -> str:
        frames = (desk.reader.signals(), desk.reader.decisions(), desk.reader.trades(), desk.reader.events())
        told = "".join(frame.to_csv() for frame in frames) + str(desk.reader.exit_policies())
        return hashlib.sha256(told.encode()).hexdigest()

    before = content()
    explained(desk, 1)
    asked(desk)
    text_of(funnel.run(desk, funnel.FunnelRequest()))
    text_of(reliability.run(desk, "pair"))
    assert content() == before


def test_a_close_with_a_candidate_is_explained_as_that_candidate(desk: Desk) -> None:
    row = desk.reader.signals().iloc[-1]
    words = asked(desk, at_ms=int(row["decided_ms"]) + STEP_MS - 1)
    assert words.startswith("SYNTHETIC There was a candidate at the close of ")
    assert f"#{row['id']} {row['direction'].upper()} {BTC} {TIMEFRAME}" in words


def test_a_close_without_one_agrees_with_what_the_setup_says(desk: Desk) -> None:
    decided = set(desk.reader.signals()["decided_ms"])
    closes = [close for close in range(LIVE_MS, END_MS, 7 * STEP_MS) if close not in decided][:20]
    for close_ms in closes:
        words = asked(desk, at_ms=close_ms)
        assert ": no signal\n" in words
        assert "fibo_avwap found nothing:" in words
        assert "not on record" not in words


def test_the_newest_close_is_asked_about_without_a_time(desk: Desk) -> None:
    assert asked(desk) == asked(desk, at_ms=END_MS)


def test_a_symbol_that_is_switched_off_and_a_timeframe_that_is_not_scanned_are_answers(desk: Desk) -> None:
    desk.writer.set_symbol_off(EXCHANGE, BTC, "paused by hand", END_MS)
    words = asked(desk)
    assert "is switched off since 2024-01-25 00:00 UTC (paused by hand): `trader symbols resume BTC/USDT:USDT`" in words
    assert "1m is not scanned: add it to `timeframes` in the configuration." in asked(desk, timeframe="1m")
    assert "2h is not scanned: add it to `timeframes` and to `data.derived_timeframes`" in asked(desk, timeframe="2h")
    assert "No candles of ETH/USDT:USDT are stored" in asked(desk, symbol=ETH)


def test_a_close_that_waits_for_its_scan_says_so_and_a_stale_series_too(desk: Desk) -> None:
    desk.writer.set_scanned(EXCHANGE, BTC, TIMEFRAME, END_MS - STEP_MS)
    assert "This close is not scanned yet: `python scan_signals.py` decides it." in asked(desk)
    assert "not scanned yet" not in asked(desk, timeframe="1m")  # which no scan decides
    late = asked(desk, now_ms=END_MS + HOUR_MS)
    assert "The series is stale: it is complete up to 2024-01-25 00:00 UTC, 4 closes behind" in late
    ahead = asked(desk, at_ms=END_MS + 2 * STEP_MS, now_ms=END_MS + HOUR_MS)
    assert "The series is stale" in ahead
    assert "found nothing" not in ahead


def test_a_close_without_a_candle_says_that_it_is_missing(desk: Desk) -> None:
    frame = pd.DataFrame({"ts_ms": [END_MS, END_MS + 60_000], "state": "confirmed", "first_missed_ms": END_MS})
    desk.writer.put_gaps(EXCHANGE, BTC, "1m", frame.assign(tries=5, next_try_ms=0))
    for timeframe in ("1m", TIMEFRAME):
        desk.writer.set_frontier(EXCHANGE, BTC, timeframe, END_MS + STEP_MS)
    words = asked(desk, now_ms=END_MS + STEP_MS)
    assert "There is no candle of this close: 2 of its minutes are missing at the exchange, given up" in words


def test_a_candidate_that_no_scan_has_stored_is_shown_with_what_to_do(desk: Desk) -> None:
    early = desk.reader.signals().iloc[0]
    candles = desk.reader.candles(EXCHANGE, BTC, TIMEFRAME)
    found = desk.setups[0].find(candles, desk.reader.instruments(EXCHANGE)[BTC], TIMEFRAME, 300)
    missed = found[found["decided_ms"] < early["decided_ms"]].iloc[-1]
    words = asked(desk, at_ms=int(missed["decided_ms"]))
    assert f"fibo_avwap finds a candidate here that is not on record: {missed['rationale']}" in words
    assert "`python retro_scan.py` decides closes of the past" in words


@pytest.mark.parametrize(
    ("symbol", "timeframe", "at_ms", "message"),
    [
        (
            "BTC/USDT",
            TIMEFRAME,
            None,
            "symbol 'BTC/USDT' is neither configured nor stored; did you mean 'BTC/USDT:USDT'?",
        ),
        (BTC, "15x", None, "timeframe '15x': expected a number and m, h, d or w"),
        (BTC, TIMEFRAME, END_MS + 1, "time 2024-01-25 00:00 UTC lies ahead"),
        (
            BTC,
            TIMEFRAME,
            START_MS - HOUR_MS,
            "lies before the candles of BTC/USDT:USDT 15m: the first one closes at 2024",
        ),
    ],
)
def test_what_cannot_be_asked_is_answered_in_one_line(
    desk: Desk, symbol: str, timeframe: str, at_ms: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as error:
        asked(desk, symbol, timeframe, at_ms)
    assert "\n" not in str(error.value)


def numbers_of(text: str) -> dict[str, int]:
    """Return the funnel's counts of its last column."""
    lines = text.split("\n\n")[1].splitlines()[1:]
    return {" ".join(line.split()[:-1]): int(line.split()[-1].replace(",", "")) for line in lines}


def test_the_funnel_counts_what_is_on_record(desk: Desk) -> None:
    signals = desk.reader.signals()
    trades = desk.reader.trades().merge(signals[["id", "verdict"]], left_on="signal_id", right_on="id")
    counts = numbers_of(text_of(funnel.run(desk, funnel.FunnelRequest())))
    passed = signals["verdict"].isin(["PASS", "UNGATED"])
    taken = trades[trades["taken"] == 1]
    assert counts["Candidates"] == len(signals)
    assert counts["Let through"] == passed.sum()
    assert counts["blocked by MAX_OPEN"] == (trades["blocked_by"] == "MAX_OPEN").sum()
    assert counts["Taken"] == len(taken)
    assert counts["filled"] == (taken["opened_ms"] > 0).sum()
    assert counts["won"] == ((taken["status"] == "CLOSED") & (taken["pnl_pct"] > 0)).sum()
    assert counts["PASS CERTIFIED"] == ((signals["verdict"] == "PASS") & (signals["reason"] == "CERTIFIED")).sum()
    first = int(signals["decided_ms"].min())
    assert counts["Closes looked at"] == (END_MS - first) // STEP_MS + 1


def test_the_funnel_shows_rates_only_where_there_is_enough_behind_them(desk: Desk) -> None:
    text = text_of(funnel.run(desk, funnel.FunnelRequest()))
    assert re.search(r"Passed, of those a model judged\n  15m  +\S+ %  \(95 %: .*, n = 3\d\)", text)
    assert "not enough data  (" in text
    assert text.startswith("SYNTHETIC MARKET")


def test_the_funnel_leaves_out_what_was_judged_in_sample_and_what_was_not_asked_for(desk: Desk) -> None:
    retro = desk.reader.decisions(ids_of(desk, origin="retro", verdict="UNGATED")[:3])
    desk.writer.decide_again(retro.assign(verdict="FILTERED", reason="EV_BELOW", in_sample=1))
    text = text_of(funnel.run(desk, funnel.FunnelRequest()))
    assert "3 judged in sample are left out" in text
    assert numbers_of(text)["Candidates"] == len(desk.reader.signals()) - 3
    live = text_of(funnel.run(desk, funnel.FunnelRequest(start_ms=LIVE_MS, symbols=[BTC], timeframes=[TIMEFRAME])))
    assert numbers_of(live)["Candidates"] == len(ids_of(desk, origin="live"))
    assert "No candidate is on record" in text_of(funnel.run(desk, funnel.FunnelRequest(symbols=[ETH])))


def test_reliability_counts_each_candidate_once_and_what_was_said_live_first(desk: Desk) -> None:
    closed = set(desk.reader.trades(status="CLOSED")["signal_id"])
    live = [number for number in ids_of(desk, origin="live") if number in closed]
    retro = [number for number in ids_of(desk, origin="retro") if number in closed]
    said = {"ledger": reliability.ledger_of(desk), "model": "walk-forward 2024-01-01", "train_max_t1": START_MS}
    numbers = dict.fromkeys(("p_geo", "p_raw", "p", "payoff", "ev_payoff_r", "ev_p_r", "ev_r"), 0.4)
    ids = [*live[:2], *retro]
    desk.writer.put_predictions(frame_of({**said, **numbers, "signal_id": ids}, len(ids), PREDICTIONS))
    text = text_of(reliability.run(desk, "regime"))
    assert f"Stated: {len(live)} live, {len(retro)} out of sample by a walk-forward" in text
    assert f"{len(live) + len(retro)} closed predictions" in text
    assert "By trend regime" in text
    assert "By volatility regime" in text


@pytest.mark.parametrize("by", sorted(reliability.SPLITS))
def test_reliability_splits_by_whatever_can_be_asked_for(desk: Desk, by: str) -> None:
    assert "By " in text_of(reliability.run(desk, by))


def test_reliability_without_predictions_says_how_to_get_some(desk: Desk) -> None:
    desk.exchange = "nowhere"
    assert "python train_meta.py" in text_of(reliability.run(desk))
    with pytest.raises(UsageError, match=r"--by pairs: did you mean 'pair'\?"):
        text_of(reliability.run(desk, "pairs"))


def test_the_world_of_these_tests_is_as_long_as_it_says(desk: Desk) -> None:
    assert len(desk.reader.candles(EXCHANGE, BTC, "1m")) == DAYS * 1440
