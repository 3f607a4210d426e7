"""Drift is looked for once a day among what was said live; an alarm is one row, and ends where a tuning ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.clock import DAY_MS
from core.jobs import watch
from core.jobs._book import policy_id
from core.jobs._desk import Desk, Report
from core.jobs._gating import Court
from core.jobs._learning import plans_of
from core.schema import DECISIONS, frame_of
from tests.factories import signal_rows, trade_rows
from tests.label_worlds import START_MS
from tests.learned import learnable, on_desk

NOW = START_MS + 40 * DAY_MS + 1


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with on_desk(learnable(tmp_path, n=0), NOW) as opened:
        yield opened


def say(desk: Desk, p: float, won: np.ndarray, origin: str = "live", first: int = 0) -> None:
    """Store candidates with what was said of them live, eight a day, and how they ended a few hours later."""
    n = len(won)
    decided = START_MS + (first + np.arange(n)) * DAY_MS // 8
    words = {"exchange": desk.exchange, "plan_hash": plans_of(desk)[0], "origin": origin, "ml_p": p, "ml_p_raw": p}
    rows = [{**words, "key": f"{origin}-{i}", "decided_ms": int(ms), "verdict": "PASS"} for i, ms in enumerate(decided)]
    net_r = np.where(won, 1.5, -1.0)
    ended = {"exit_policy": policy_id(desk), "known_ms": decided + DAY_MS // 8, "pnl_pct": net_r, "r_multiple": net_r}
    played = pd.DataFrame({"signal_id": np.arange(n), "opened_ms": decided + 60_000, **ended})
    with desk.writer.transaction():
        ids = desk.writer.put_signals(signal_rows(rows))["id"].to_numpy()
        trades = trade_rows([{str(name): value for name, value in row.items()} for row in played.to_dict("records")])
        desk.writer.put_trades(trades.assign(signal_id=ids))
        numbers = dict.fromkeys(("p_geo", "ml_p_raw", "ml_p", "ev_pct", "threshold"), p)
        told = {"verdict": "PASS", "reason": "CERTIFIED", "threshold_source": "general", "model_version": "m", "seq": 0}
        values = {"signal_id": ids, "ev_payoff_r": 2.5 * p - 1.0, "ev_p_r": 2.5 * p - 1.0, **numbers, **told}
        desk.writer.put_decisions(frame_of(values, n, DECISIONS))


def look(desk: Desk, now_ms: int = NOW) -> Report:
    return asyncio.run(watch.run(desk, now_ms))


def outcomes(share: float, n: int = 300) -> np.ndarray:
    return np.random.default_rng(1).random(n) < share


def test_what_comes_true_raises_no_alarm(desk: Desk) -> None:
    say(desk, 0.5, outcomes(0.5))
    assert look(desk) == Report("watch_drift", counts={"alarms": 0})
    assert desk.reader.drift().empty


def test_fewer_won_than_said_is_an_alarm_in_words_from_now_on(desk: Desk) -> None:
    say(desk, 0.5, outcomes(0.2))
    report = look(desk)
    rows = desk.reader.drift()
    assert report.counts["alarms"] == 2 and set(rows["statistic"]) == {"p", "ev"} and set(rows["ms"]) == {NOW}
    assert any(line.startswith("drift of p: -0.") for line in report.problems)
    assert [Court(desk).terms_at(ms)[2] for ms in (NOW - 1, NOW)] == [False, True]


def test_it_looks_once_a_day_and_an_alarm_that_stands_is_not_told_again(desk: Desk) -> None:
    say(desk, 0.5, outcomes(0.2))
    look(desk)
    assert look(desk, NOW + 60_000).counts == {}
    again = look(desk, NOW + DAY_MS)
    assert again.counts == {"alarms": 0} and again.problems == () and len(desk.reader.drift()) == 2


def test_started_anew_it_does_not_tell_an_alarm_again(desk: Desk) -> None:
    say(desk, 0.5, outcomes(0.2))
    look(desk)
    desk.memory.clear()
    assert look(desk, NOW + 60_000).counts == {"alarms": 0}


def test_what_a_retro_scan_says_raises_no_alarm(desk: Desk) -> None:
    say(desk, 0.5, outcomes(0.1), origin="retro")
    assert look(desk).counts == {"alarms": 0} and desk.reader.drift().empty


def test_an_outcome_of_today_counts_from_tomorrow_on(desk: Desk) -> None:
    say(desk, 0.5, outcomes(0.2, 160))
    noticed = [day for day in range(1, 25) if look(desk, START_MS + day * DAY_MS + 1).counts["alarms"]]
    assert noticed
    desk.memory.clear()
    first = int(desk.reader.drift()["ms"].min())
    known = START_MS + np.arange(160) * DAY_MS // 8 + DAY_MS // 8
    assert (known < first).sum() > 20 and first % DAY_MS == 1


def test_after_a_tuning_that_ended_it_the_same_outcomes_raise_it_no_more(desk: Desk) -> None:
    say(desk, 0.5, outcomes(0.2))
    look(desk)
    desk.writer.put_thresholds(NOW + 10, "{}", "{}", "tune", "a test")
    for series in ("p", "ev"):
        desk.writer.put_drift(NOW + 10, series, "clear", np.nan, 0)
    assert look(desk, NOW + DAY_MS).counts == {"alarms": 0}
    assert set(desk.reader.drift()["state"].tail(2)) == {"clear"}
