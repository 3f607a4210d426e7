"""Trades played again under other assumptions: what each may change, and what none may."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import plugins
from core.clock import MINUTE_MS
from core.errors import UsageError
from core.execution.book import new_trades
from core.execution.costs import CostModel
from core.execution.funding import funding_marks
from core.execution.identity import exit_policy_params
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.pipeline import simulate
from core.results._replay import Replay, read_material, replay
from core.results.intervals import MIN_CLOSED, Estimate, wilson_interval
from core.results.stress import Stress, stress
from core.results.stress_words import change_cells, result_cells, told, verdict
from core.results.variants import VARIANTS, variants
from core.schema import Candles, Instrument
from tests.unit.execution.playing import T0, signals
from tests.unit.execution.worlds import GRID, walk

SYMBOL, EXCHANGE, POLICY = "BTC/USDT:USDT", "fake", "policy@00000000"
COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
DAY = 1440


@dataclass
class FakeRecord:
    """A record of candidates of one symbol, played once under its own rules."""

    signals_: pd.DataFrame
    candles_: Candles
    policy: Any
    rules: ExecutionRules = field(default_factory=ExecutionRules)
    costs: CostModel = COSTS
    played_to_ms: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.played_to_ms = self.played_to_ms or int(self.candles_.ts[-1]) + MINUTE_MS
        self.rates = np.array([[T0 + k * 8 * 60 * MINUTE_MS, 0.0003 * (-1) ** k] for k in range(20)], dtype=float)
        marks = funding_marks(self.rates, T0, self.played_to_ms, self.costs.funding_rate_pct)
        run = Run(self.candles_.between(None, self.played_to_ms), self.played_to_ms, marks)
        begun = new_trades(self.signals_, POLICY, self.rules)
        tick = np.full(len(begun), GRID)
        self.trades_, self.events = simulate(begun, self.signals_, self.policy, [run], 0, tick, self.rules, self.costs)

    def exit_policies(self) -> dict[str, tuple[str, str]]:
        return {POLICY: (self.policy.name, exit_policy_params(self.policy, self.rules, self.costs))}

    def instruments(self, exchange: str) -> dict[str, Instrument]:
        return {SYMBOL: Instrument(exchange, SYMBOL, GRID, None, None)}

    def funding(self, exchange: str, symbol: str) -> np.ndarray:
        return self.rates

    def candles(self, exchange: str, symbol: str, timeframe: str, start_ms: int | None, end_ms: int | None) -> Candles:
        assert (exchange, symbol, timeframe) == (EXCHANGE, SYMBOL, "1m")
        self.asked.append((start_ms or 0, end_ms or 0))
        return self.candles_.between(start_ms, end_ms)

    def signals(
        self,
        *,
        ids: Iterable[int] | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame:
        found = self.signals_ if ids is None else self.signals_[self.signals_["id"].isin(list(ids))]
        return found if columns is None else found[list(columns)]

    def trades(self, *, exchange: str, symbol: str, exit_policy: str) -> pd.DataFrame:
        return self.trades_

    @property
    def heads(self) -> pd.DataFrame:
        return self.signals_[["id", "symbol", "timeframe", "decided_ms", "in_sample"]]

    def stress(self, names: Iterable[str] = VARIANTS) -> Stress:
        return stress(self, EXCHANGE, POLICY, self.heads, simulate, list(names))

    def play(self, name: str, chunk_ms: int = 2**50) -> tuple[Replay, pd.DataFrame]:
        """Play one variant again; return the candidates and what happened to them."""
        happened: list[pd.DataFrame] = []

        def watched(*arguments: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
            trades, events = simulate(*arguments)
            happened.append(events)
            return trades, events

        variant = variants([name], self.rules, self.costs)[-1]
        material = read_material(self, EXCHANGE, SYMBOL, POLICY, self.signals_["id"].tolist(), self.rules)
        (found,) = replay(material, [variant.terms], self.policy, watched, None, chunk_ms)
        events = pd.concat(happened).sort_values(["signal_id", "seq"]).reset_index(drop=True)
        return found, events


def candidates(rng: np.random.Generator, n: int, candles: Candles, orders: tuple[str, ...], reach: int) -> pd.DataFrame:
    at = np.sort(rng.integers(0, len(candles) - 200, n))
    sign = rng.choice([-1.0, 1.0], n)
    order = rng.choice(list(orders), n)
    away = GRID * rng.integers(-2, 40, n) * np.where(order == "stop", -1.0, 1.0)
    entry = candles.close[at] - sign * np.where(order == "market", 0.0, away)
    risk, reward = GRID * rng.integers(3, max(4, reach // 3), n), GRID * rng.integers(3, reach, n)
    second = reward + GRID * rng.integers(1, 20, n)
    decided = candles.ts[at] + MINUTE_MS
    return signals(
        [
            {
                "id": k + 1,
                "decided_ms": int(decided[k]),
                "direction": "long" if sign[k] > 0 else "short",
                "order_type": str(order[k]),
                "entry": entry[k],
                "sl": entry[k] - sign[k] * risk[k],
                "tp1": entry[k] + sign[k] * reward[k],
                "tp2": entry[k] + sign[k] * second[k],
                "atr": GRID * int(rng.integers(2, 12)),
                "timeframe": "15m",
                "valid_until_ms": int(decided[k]) + MINUTE_MS * int(rng.integers(2, 60)),
            }
            for k in range(n)
        ]
    )


def world(
    seed: int,
    policy: str = "tp1_be_trail",
    orders: tuple[str, ...] = ("limit", "limit", "stop", "market"),
    n: int = 400,
    days: int = 15,
    reach: int = 60,
    **rules: Any,
) -> FakeRecord:
    rng = np.random.default_rng(seed)
    candles = walk(rng, days * DAY)
    built = plugins.build("core.exits", policy, {"max_hold_candles": 40}, "test")
    return FakeRecord(candidates(rng, n, candles, orders, reach), candles, built, ExecutionRules(**rules))


@pytest.fixture(scope="module", params=[1, 2])
def record(request: pytest.FixtureRequest) -> FakeRecord:
    return world(request.param)


def test_under_their_own_rules_trades_come_out_bit_for_bit_as_stored(record: FakeRecord) -> None:
    assert set(record.trades_["status"]) >= {"CLOSED", "CANCELLED", "EXPIRED"}
    assert record.stress(["optimistic"]).differing == 0
    again, events = record.play("played")
    pd.testing.assert_frame_equal(again.trades, record.trades_, check_exact=True)
    pd.testing.assert_frame_equal(events, record.events.sort_values(["signal_id", "seq"]).reset_index(drop=True))


def test_unfinished_trades_are_played_no_further_than_the_record() -> None:
    record = world(4, n=300)
    halfway = int(record.signals_["decided_ms"].quantile(0.6))
    early = FakeRecord(record.signals_, record.candles_, record.policy, record.rules, played_to_ms=halfway)
    assert {"PENDING", "OPEN"} & set(early.trades_["status"])
    result = early.stress(["delay-2"])
    assert result.differing == 0
    assert result.lines[0].summary.counts["CLOSED"] == int((early.trades_["status"] == "CLOSED").sum())


def test_a_revised_candle_is_told_instead_of_passed_over(record: FakeRecord) -> None:
    filled = record.trades_[record.trades_["status"] == "CLOSED"].iloc[0]
    c = record.candles_
    low = c.low.copy()
    low[np.searchsorted(c.ts, int(filled["opened_ms"])) :] -= 3.0
    revised = replace_candles(record, Candles.of(c.ts, c.open, c.high, low, c.close, c.volume))
    result = revised.stress(["optimistic"])
    assert result.differing > 0
    assert "come out otherwise than stored" in " ".join(told(result).split())


def replace_candles(record: FakeRecord, candles: Candles) -> FakeRecord:
    other = FakeRecord(record.signals_, record.candles_, record.policy, record.rules)
    other.candles_ = candles
    return other


@pytest.mark.parametrize("chunk_days", [1, 5])
def test_stretches_of_any_length_give_the_same_rows(record: FakeRecord, chunk_days: int) -> None:
    for name in ("played", "through", "delay-15"):
        whole, events = record.play(name)
        parts, events_of_parts = record.play(name, chunk_days * DAY * MINUTE_MS)
        pd.testing.assert_frame_equal(whole.trades, parts.trades, check_exact=True)
        pd.testing.assert_frame_equal(events, events_of_parts, check_exact=True)
        assert np.array_equal(whole.deciding, parts.deciding)


def test_no_more_candles_are_read_at_once_than_a_stretch_holds() -> None:
    record = world(1)
    record.asked.clear()
    record.play("played", DAY * MINUTE_MS)
    assert len(record.asked) > 10
    assert max(end - start for start, end in record.asked) <= 2 * DAY * MINUTE_MS


@pytest.mark.parametrize("policy", ["tp1_be_trail", "fixed_r"])
def test_at_each_ambiguous_step_the_stop_pays_no_more_than_the_target(policy: str) -> None:
    record = world(3, policy, ("limit", "market"), n=1500, reach=9)
    safe, kind = record.play("conservative"), record.play("optimistic")
    ambiguous = safe[0].trades.loc[safe[0].trades["ambiguous"] == 1, "signal_id"]
    assert len(ambiguous) >= 20
    sides = record.signals_.set_index("id")["direction"]
    for number in ambiguous:
        one, other = (events[events["signal_id"] == number].to_dict("records") for _, events in (safe, kind))
        # Both plays tell the same story up to the ambiguous minute, which one leaves at the stop and one at the target.
        stopped, reached = next(pair for pair in zip(one, other, strict=False) if pair[0]["kind"] != pair[1]["kind"])
        sign = 1.0 if sides[number] == "long" else -1.0
        assert stopped["kind"] in ("SL", "TP1_TRAIL")
        assert reached["kind"] in ("TARGET", "TP")
        assert stopped["ts_ms"] == reached["ts_ms"]
        assert sign * stopped["price"] <= sign * reached["price"]


def test_bars_without_an_ambiguous_minute_are_read_alike(record: FakeRecord) -> None:
    safe, kind = record.play("conservative")[0].trades, record.play("optimistic")[0].trades
    plain = (safe["ambiguous"] == 0) & (kind["ambiguous"] == 0)
    assert plain.sum() > 100
    pd.testing.assert_frame_equal(safe[plain], kind[plain], check_exact=True)
    assert (safe["ambiguous"] <= kind["ambiguous"]).all()


@pytest.mark.parametrize(("policy", "orders"), [("fixed_r", ("limit", "stop", "market")), ("tp1_be_trail", ("limit",))])
def test_higher_costs_never_raise_a_result(policy: str, orders: tuple[str, ...]) -> None:
    for seed in range(5, 9):
        record = world(seed, policy, orders)
        played, dearer = record.play("played"), record.play("costs-1.5")
        resting = played[1][(played[1]["kind"] == "FILL") & (played[1]["source"] == "maker")]["signal_id"]
        trades = played[0].trades
        # Where the stop moves to a fill price that slippage has moved, the path may part; with resting fills it cannot.
        mine = (trades["status"] == "CLOSED") & (trades["signal_id"].isin(resting) | (policy == "fixed_r"))
        before, after = trades[mine], dearer[0].trades[mine]
        assert mine.sum() > 50
        assert (after["pnl_pct"] < before["pnl_pct"]).all()
        assert np.array_equal(after["status"], before["status"])
        assert np.array_equal(after["closed_ms"], before["closed_ms"])
        assert np.array_equal(after["funding_pct"], before["funding_pct"])


def test_fills_beyond_the_price_are_a_subset_of_fills_at_a_touch(record: FakeRecord) -> None:
    touch, through = record.play("touch")[0].trades, record.play("through")[0].trades
    filled = through["opened_ms"] > 0
    assert (touch.loc[filled, "opened_ms"] > 0).all()
    assert (touch.loc[filled, "opened_ms"] <= through.loc[filled, "opened_ms"]).all()
    assert (touch["opened_ms"] > 0).sum() > filled.sum()
    change = record.stress(["through"]).lines[1].change
    assert change.filled == 0
    assert change.unfilled > 0


@pytest.mark.parametrize("minutes", [2, 5, 15])
def test_a_delay_changes_only_orders_it_kept_waiting(record: FakeRecord, minutes: int) -> None:
    played, late = record.play("played")[0].trades, record.play(f"delay-{minutes}")[0].trades
    start_ms = record.signals_["decided_ms"] + minutes * MINUTE_MS
    ended_waiting = played["opened_ms"].where(played["opened_ms"] > 0, played["closed_ms"])
    # The first minute an order meets has rules of its own, so an order that this minute already settled may differ.
    first = late["opened_ms"].where(late["opened_ms"] > 0, late["closed_ms"]) == first_minute(record, start_ms)
    untouched = (ended_waiting >= start_ms) & ~first
    assert untouched.sum() > 20
    assert (~untouched).sum() > 10
    pd.testing.assert_frame_equal(late[untouched], played[untouched], check_exact=True)
    opened = late["opened_ms"] > 0
    assert (late.loc[opened, "opened_ms"] >= start_ms[opened]).all()


def first_minute(record: FakeRecord, start_ms: pd.Series) -> pd.Series:
    ts = record.candles_.ts
    place = np.minimum(np.searchsorted(ts, start_ms), len(ts) - 1)
    return pd.Series(ts[place], index=start_ms.index)


def test_ambiguous_minutes_are_counted_among_those_that_decide(record: FakeRecord) -> None:
    result = record.stress(["conservative"])
    found, events = record.play("conservative")
    deciding = events["kind"].isin(["TARGET", "SL", "TP1_TRAIL", "TP"]).sum()
    assert result.n_ambiguous == (found.trades["ambiguous"] == 1).sum() > 0
    assert result.ambiguous.n == deciding
    assert result.ambiguous.value == result.n_ambiguous / deciding
    low, high = wilson_interval(result.n_ambiguous, deciding)
    assert result.ambiguous.low <= low + 1e-12  # as wide as Wilson's own, or wider where weeks differ
    assert result.ambiguous.high >= high - 1e-12


def test_ambiguous_minutes_do_not_depend_on_how_bars_were_read() -> None:
    safe, kind = world(1), world(1, bar_policy="optimistic")
    one, other = safe.stress(["optimistic"]), kind.stress(["conservative"])
    assert (one.n_ambiguous, one.ambiguous) == (other.n_ambiguous, other.ambiguous)
    assert one.lines[1].summary == other.lines[0].summary


def test_minutes_held_are_those_of_the_record() -> None:
    record = world(1)
    done = record.trades_[record.trades_["status"] == "CLOSED"]
    open_ms = (done["known_ms"] - done["opened_ms"]).sum()
    still = record.trades_[record.trades_["status"] == "OPEN"]
    open_ms += (still["next_ms"] - still["opened_ms"]).sum()
    assert record.stress(["touch"]).minutes_held == open_ms // MINUTE_MS


def test_repeated_runs_are_equal() -> None:
    record = world(1)
    one, other = record.stress(), record.stress()
    assert one == other
    assert told(one) == told(other)


def test_a_line_does_not_depend_on_its_neighbours() -> None:
    record = world(1)
    everything = {line.variant.name: line for line in record.stress().lines}
    for name in ("through", "together"):
        alone = record.stress([name]).lines
        assert [line.variant.name for line in alone] == ["played", name]
        assert alone[1] == everything[name]


def test_rules_equal_to_those_on_record_are_named_as_such() -> None:
    record = world(1)
    lines = {line.variant.name: line for line in record.stress().lines}
    assert {name for name, line in lines.items() if line.same_rules} == {"played", "conservative", "delay-1"}
    assert lines["conservative"].summary == lines["played"].summary
    assert lines["conservative"].change.mean_r.value == 0.0


def test_candidates_seen_by_their_model_are_left_out() -> None:
    record = world(1)
    record.signals_.loc[:99, "in_sample"] = 1
    assert record.stress(["optimistic"]).n == len(record.signals_) - 100


def test_few_trades_are_not_enough_data() -> None:
    result = world(1, n=20).stress(["through"])
    assert result.lines[0].summary.n_closed < MIN_CLOSED
    assert "not enough data" in result_cells(result.lines[1])
    assert "not enough data" in change_cells(result.lines[1])
    text = " ".join(told(result).split())
    assert "Not enough data to judge" in text
    assert "Ambiguous minutes: not enough data" in text


def test_the_text_fits_a_hundred_columns_and_explains_each_line() -> None:
    record = world(1)
    result = record.stress([*VARIANTS, "costs-2", "delay-1440"])
    text = told(result)
    assert max(len(line) for line in text.splitlines()) <= 100
    for line in result.lines:
        assert line.variant.meaning in " ".join(text.split())
        assert result_cells(line)[4] in text
    assert "no financial advice" in text


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ([(0.1, 0.3), (0.05, 0.2)], "earned under every assumption"),
        ([(-0.3, -0.1), (-0.2, -0.05)], "lost under every assumption"),
        ([(-0.1, 0.1), (-0.2, -0.05)], "No evidence of an edge under any assumption"),
        ([(0.1, 0.3), (-0.1, 0.2)], "no evidence of an edge under through"),
    ],
)
def test_the_verdict_says_whether_the_sign_hangs_on_assumptions(
    intervals: list[tuple[float, float]], said: str
) -> None:
    result = world(1).stress(["through"])
    lines = tuple(
        replace(line, summary=replace(line.summary, expectancy_r=Estimate((low + high) / 2, low, high, 100, 10)))
        for line, (low, high) in zip(result.lines, intervals, strict=True)
    )
    assert said in verdict(replace(result, lines=lines))


def test_only_what_a_variant_names_is_changed() -> None:
    rules = ExecutionRules(entry_delay_candles=8, fill="through", bar_policy="optimistic", usd_per_trade=50.0)
    found = {v.name: v for v in variants([*VARIANTS, "touch", "costs-0"], rules, COSTS)}
    assert found["played"].terms == (rules, COSTS)
    assert found["conservative"].terms == (replace(rules, bar_policy="conservative"), COSTS)
    assert found["touch"].terms == (replace(rules, fill="touch"), COSTS)
    assert found["delay-5"].terms == (replace(rules, entry_delay_candles=5), COSTS)
    assert found["costs-1.5"].rules == rules
    assert found["costs-1.5"].costs.taker_pct == pytest.approx(1.5 * COSTS.taker_pct)
    assert found["together"].rules.entry_delay_candles == 8
    assert found["costs-0"].costs.taker_pct == 0.0


def test_dearer_means_a_smaller_rebate() -> None:
    rebate = CostModel(maker_pct=-0.01, taker_pct=0.06, slippage_pct=0.02, funding_rate_pct=0.01)
    dearer = variants(["costs-1.5"], ExecutionRules(), rebate)[1].costs
    assert dearer.maker_pct == pytest.approx(-0.005)
    assert dearer.taker_pct == pytest.approx(0.09)
    assert dearer.slippage_pct == pytest.approx(0.03)
    assert dearer.funding_rate_pct == 0.01


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("optimist", "did you mean 'optimistic'"),
        ("delay--1", "variant 'delay--1': expected whole minutes, delay-0 to delay-10080"),
        ("delay-1.5", "variant 'delay-1.5': expected whole minutes, delay-0 to delay-10080"),
        ("delay-x", "variant 'delay-x' is not known"),
        ("delay-10081", "variant 'delay-10081': expected whole minutes, delay-0 to delay-10080"),
        ("costs-nan", "variant 'costs-nan' is not known"),
        ("costs--1", "variant 'costs--1': expected costs-0 to costs-100"),
        ("costs-101", "variant 'costs-101': expected costs-0 to costs-100"),
        ("costs-x", "variant 'costs-x' is not known"),
    ],
)
def test_an_unknown_variant_is_refused_with_the_nearest_or_its_bounds(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        variants([name], ExecutionRules(), COSTS)
