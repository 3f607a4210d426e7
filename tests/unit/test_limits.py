"""Risk limits: slots, rest after a stop, pause after many, and the loss of a day, in the order of decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, floor_to, timeframe_ms
from core.risk.limits import NEVER_MS, Account, LimitRules, Outcome

WIDE = LimitRules(
    capital_usd=10_000,
    max_open=100,
    max_open_per_symbol=100,
    cooldown_candles=0,
    guard_stops=100,
    guard_window_hours=24,
    guard_pause_hours=12,
    max_daily_loss_pct=100,
)
T0 = 20_000 * DAY_MS


def trade(
    at_h: float, ends_h: float | None, symbol: str = "BTC/USDT", stopped: bool = False, usd: float = 0.0
) -> Outcome:
    frees_ms = NEVER_MS if ends_h is None else T0 + int(ends_h * HOUR_MS)
    return Outcome(symbol, "15m", T0 + int(at_h * HOUR_MS), frees_ms, stopped, usd)


def asked(rules: LimitRules, *candidates: Outcome) -> list[str]:
    """Ask about candidates one after the other; the ones not refused are taken."""
    account = Account(rules)
    answers = []
    for candidate in candidates:
        answers.append(account.refuses(candidate))
        if not answers[-1]:
            account.takes(candidate)
    return answers


def test_a_slot_is_held_until_the_outcome_is_known_and_free_at_that_moment() -> None:
    rules = replace(WIDE, max_open=1)
    assert asked(rules, trade(0, 2), trade(1, 3), trade(2, 4)) == ["", "MAX_OPEN", ""]


def test_an_open_position_holds_its_slot_for_ever() -> None:
    assert asked(replace(WIDE, max_open=1), trade(0, None), trade(10_000, None)) == ["", "MAX_OPEN"]


def test_a_refused_candidate_holds_no_slot() -> None:
    rules = replace(WIDE, max_open=1)
    assert asked(rules, trade(0, 2), trade(1, 50), trade(2, 3), trade(3, 4)) == ["", "MAX_OPEN", "", ""]


def test_one_symbol_may_not_take_all_slots() -> None:
    rules = replace(WIDE, max_open=3, max_open_per_symbol=1)
    candidates = (trade(0, 9), trade(1, 9), trade(1, 9, "ETH/USDT"), trade(9, 10))
    assert asked(rules, *candidates) == ["", "MAX_OPEN_PER_SYMBOL", "", ""]


def test_after_a_stop_a_symbol_rests_so_many_candles_of_that_timeframe() -> None:
    rules = replace(WIDE, cooldown_candles=2)
    stop = trade(0, 1, stopped=True)
    other_timeframe = replace(trade(1.25, 9), timeframe="1h")
    answers = asked(rules, stop, trade(1, 9), other_timeframe, trade(1.25, 9, "ETH/USDT"), trade(1.5, 9))
    assert answers == ["", "COOLDOWN", "", "", ""]


def test_a_stop_counts_from_the_moment_it_is_known() -> None:
    rules = replace(WIDE, cooldown_candles=100)
    assert asked(rules, trade(0, 5, stopped=True), trade(4.9, 9), trade(5, 9)) == ["", "", "COOLDOWN"]


def test_many_stops_inside_the_window_pause_everything_for_a_while() -> None:
    rules = replace(WIDE, guard_stops=2, guard_window_hours=3, guard_pause_hours=4)
    stops = (trade(0, 1, stopped=True), trade(0, 2, "ETH/USDT", stopped=True))
    assert asked(rules, *stops, trade(1.9, 50), trade(2, 50), trade(5.9, 50), trade(6, 50)) == [
        "", "", "", "STOP_GUARD", "STOP_GUARD", "",
    ]  # fmt: skip


def test_stops_further_apart_than_the_window_pause_nothing() -> None:
    rules = replace(WIDE, guard_stops=2, guard_window_hours=3, guard_pause_hours=4)
    assert asked(rules, trade(0, 1, stopped=True), trade(0, 4, stopped=True), trade(4, 50)) == ["", "", ""]


def test_the_loss_of_a_day_ends_that_day_and_no_other() -> None:
    rules = replace(WIDE, max_daily_loss_pct=3)
    candidates = (
        trade(0, 1, usd=-200),
        trade(0, 2, usd=-100),
        trade(1.5, 50),
        trade(2, 50),
        trade(23.9, 50),
        trade(24, 50),
    )
    assert asked(rules, *candidates) == ["", "", "", "DAILY_LOSS", "DAILY_LOSS", ""]


def test_gains_of_the_day_are_set_off_against_its_losses() -> None:
    rules = replace(WIDE, max_daily_loss_pct=3)
    assert asked(rules, trade(0, 1, usd=-400), trade(0, 2, usd=150), trade(1, 9), trade(2, 9)) == [
        "",
        "",
        "DAILY_LOSS",
        "",
    ]


def slow(rules: LimitRules, candidates: list[Outcome]) -> list[str]:
    """The rules once more, looking through everything taken for each candidate."""
    taken: list[Outcome] = []
    answers = []
    for c in candidates:
        now = c.decided_ms
        held = [t for t in taken if t.frees_ms > now]
        ended = sorted((t for t in taken if t.frees_ms <= now), key=lambda t: t.frees_ms)
        stops = [t.frees_ms for t in ended if t.stopped]
        window, pause = rules.guard_window_hours * HOUR_MS, rules.guard_pause_hours * HOUR_MS
        full = [s for s in stops if sum(s - window < other <= s for other in stops) >= rules.guard_stops]
        rest = [
            t.frees_ms + rules.cooldown_candles * timeframe_ms(t.timeframe)
            for t in ended
            if t.stopped and (t.symbol, t.timeframe) == (c.symbol, c.timeframe)
        ]
        today = [t.pnl_usd for t in ended if floor_to(t.frees_ms, DAY_MS) == floor_to(now, DAY_MS)]
        if len(held) >= rules.max_open:
            answer = "MAX_OPEN"
        elif sum(t.symbol == c.symbol for t in held) >= rules.max_open_per_symbol:
            answer = "MAX_OPEN_PER_SYMBOL"
        elif rest and now < max(rest):
            answer = "COOLDOWN"
        elif any(now < s + pause for s in full):
            answer = "STOP_GUARD"
        elif today and sum(today) <= -rules.max_daily_loss_pct / 100 * rules.capital_usd:
            answer = "DAILY_LOSS"
        else:
            answer = ""
            taken.append(c)
        answers.append(answer)
    return answers


@pytest.mark.parametrize("seed", range(6))
def test_the_account_answers_like_a_slow_reading_of_the_rules(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rules = LimitRules(10_000, 4, 2, 3, 3, 10, 5, 1.0)
    minutes = np.sort(rng.integers(0, 30 * 24 * 60, 1500))
    candidates = [
        Outcome(
            symbol=str(rng.choice(["BTC", "ETH", "SOL"])),
            timeframe=str(rng.choice(["15m", "1h"])),
            decided_ms=T0 + int(at) * MINUTE_MS,
            frees_ms=T0 + int(at + rng.integers(1, 900)) * MINUTE_MS,
            stopped=bool(rng.random() < 0.5),
            pnl_usd=float(rng.integers(-60, 70)),
        )
        for at in minutes
    ]
    answers = asked(rules, *candidates)
    assert answers == slow(rules, candidates)
    assert set(answers) == {"", "MAX_OPEN", "MAX_OPEN_PER_SYMBOL", "COOLDOWN", "STOP_GUARD", "DAILY_LOSS"}
