"""The six laws of execution on random candles with thousands of plans: both directions, all orders, all exits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.clock import MINUTE_MS
from core.execution.book import play
from core.execution.costs import CostModel
from core.execution.runs import Run
from core.ports import ExitPlan
from core.schema import TRADE_EVENTS, TRADES, Candles, conform
from core.store._write_records import MOVED
from tests.unit.execution.playing import FREE
from tests.unit.execution.worlds import COSTS, World, take, world

SEEDS = range(4)
CENTRE = 100.0


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=True)


def stored(frame: pd.DataFrame, spec: dict[str, str]) -> pd.DataFrame:
    """Return the frame as a database gives it back: rows of plain values, NaN as NULL."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return conform(pd.DataFrame(rows, columns=list(spec)), spec)


def by_trade(events: pd.DataFrame) -> pd.DataFrame:
    return events.sort_values(["signal_id", "seq"], kind="stable").reset_index(drop=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("only_new_candles", [True, False], ids=["new-candles", "all-candles"])
def test_slices_with_the_state_stored_between_give_the_one_shot_trade(seed: int, only_new_candles: bool) -> None:
    w = world(100 + seed, n=1000)
    whole, whole_events = w.play(w.begin(), w.end_ms)

    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(w.candles.ts[0], w.end_ms, MINUTE_MS), 25, replace=False)).tolist()
    trades, parts, seen = w.begin(), [], 0
    for cut in [*cuts, w.end_ms]:
        run = w.candles.between(seen if only_new_candles else None, cut if only_new_candles else None)
        trades, events = w.play(stored(trades, TRADES), int(cut), run)
        parts.append(stored(events, TRADE_EVENTS))
        seen = int(cut)

    same(trades, whole)
    same(by_trade(pd.concat(parts)), whole_events)


def test_a_trade_without_an_event_changes_in_nothing_but_how_far_it_has_come() -> None:
    w = world(160, n=400, minutes=120)
    trades = w.begin()
    quiet = 0
    for cut in range(int(w.candles.ts[0]) + MINUTE_MS, w.end_ms + MINUTE_MS, MINUTE_MS):
        after, events = w.play(trades, cut)
        silent = ~after["signal_id"].isin(events["signal_id"]).to_numpy()
        rest = [name for name in TRADES if name not in MOVED]
        same(after.loc[silent, rest], trades.loc[silent, rest])
        quiet += int((after["next_ms"] > trades["next_ms"])[silent].sum())
        trades = after
    assert quiet > 1_000


def test_one_minute_at_a_time_is_the_one_shot_trade_too() -> None:
    w = world(150, n=300, minutes=200)
    whole, whole_events = w.play(w.begin(), w.end_ms)
    trades, parts = w.begin(), []
    for cut in range(int(w.candles.ts[0]), w.end_ms + 1, MINUTE_MS):
        trades, events = w.play(trades, cut)
        parts.append(events)
    same(trades, whole)
    same(by_trade(pd.concat(parts)), whole_events)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_follows_a_candle_does_not_change_the_state_after_it(seed: int) -> None:
    w, other = world(200 + seed, n=1000), world(900 + seed)
    cut = int(w.candles.ts[700])
    later = other.candles.between(cut, None)
    changed = Candles.concat([w.candles.between(None, cut), later])
    same(w.play(w.begin(), cut, w.candles)[0], w.play(w.begin(), cut, changed)[0])
    same(w.play(w.begin(), cut, w.candles)[0], w.play(w.begin(), cut, w.candles.between(None, cut))[0])


def reflected(w: World) -> World:
    """Return the world seen in a mirror: prices reflected at a constant, longs become shorts."""
    c = w.candles
    signals = w.signals.assign(
        **{name: 2 * CENTRE - w.signals[name] for name in ("entry", "sl", "tp1", "tp2")},
        direction=w.signals["direction"].map({"long": "short", "short": "long"}),
    )
    mirror = [2 * CENTRE - prices for prices in (c.open, c.low, c.high, c.close)]
    plan = replace(w.plan, target_price=2 * CENTRE - w.plan.target_price)
    return replace(w, signals=signals, plan=plan, candles=Candles.of(c.ts, *mirror, c.volume))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reflected_world_gives_reflected_trades(seed: int) -> None:
    w = world(300 + seed, n=1000, costs=FREE, funding=False, trails=(0, 1))
    m = reflected(w)
    a, a_events = w.play(w.begin(), w.end_ms)
    b, b_events = m.play(m.begin(), m.end_ms)

    discrete = [name for name, dtype in TRADES.items() if dtype in ("str", "int64")]
    same(a[discrete], b[discrete])
    same(
        a_events[["signal_id", "seq", "ts_ms", "kind", "source"]],
        b_events[["signal_id", "seq", "ts_ms", "kind", "source"]],
    )
    for name in ("fill_price", "stop", "extreme"):
        assert ((a[name] + b[name] == 2 * CENTRE) | a[name].isna()).all(), name
    np.testing.assert_allclose(a["gross_pct"] * a["fill_price"], b["gross_pct"] * b["fill_price"], rtol=1e-9, atol=1e-9)
    assert (a["status"] == "CLOSED").sum() > 300


@pytest.mark.parametrize("mode", ["auto", "maker", "taker"])
def test_the_events_add_up_to_the_trade(mode: str) -> None:
    w = world(400, n=2000, costs=CostModel(0.02, 0.06, 0.02, mode=mode))
    trades, events = w.play(w.begin(), w.end_ms)
    trade = trades.set_index("signal_id").loc[events["signal_id"]].reset_index()
    sign = np.where(w.signals.set_index("id").loc[events["signal_id"], "direction"] == "long", 1.0, -1.0)
    exits = ~events["kind"].isin(["FILL", "FUNDING", "EXPIRED", "MISSED", "GAPPED"])
    gross = np.where(exits, sign * 100 * events["fraction"] * (events["price"] / trade["fill_price"] - 1), 0.0)
    funding = np.where(events["kind"] == "FUNDING", sign * events["fraction"] * events["rate_pct"], 0.0)
    resting = events["source"] == "maker"
    rate = {"auto": np.where(resting, 0.02, 0.06), "maker": 0.02, "taker": 0.06}[mode]
    fee = np.where(
        exits | (events["kind"] == "FILL"), rate * events["fraction"] * events["price"] / trade["fill_price"], 0
    )
    np.testing.assert_allclose(events["fee_pct"], fee, rtol=1e-12, atol=1e-15)

    sums = pd.DataFrame({"id": events["signal_id"], "gross": gross, "fees": fee, "funding": funding})
    sums["left"] = np.where(exits, events["fraction"], 0.0)
    total = sums.groupby("id").sum().reindex(trades["signal_id"], fill_value=0.0).reset_index()
    for name in ("gross", "fees", "funding"):
        np.testing.assert_allclose(trades[f"{name}_pct"], total[name], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(trades["pnl_pct"], total["gross"] - total["fees"] - total["funding"], atol=1e-9)
    closed = (trades["status"] == "CLOSED").to_numpy()
    np.testing.assert_allclose(total["left"][closed], 1.0, atol=1e-12)
    held = (trades["status"] == "OPEN").to_numpy()
    np.testing.assert_allclose(1.0 - total["left"][held], trades["remaining"][held], atol=1e-12)
    assert (
        events["signal_id"].value_counts().reindex(trades["signal_id"], fill_value=0).tolist()
        == trades["n_events"].tolist()
    )
    assert closed.sum() > 500


def test_at_an_ambiguous_step_the_conservative_leg_never_pays_more() -> None:
    compared = 0
    for seed in range(500, 508):
        w = world(seed, n=1000, bar_policy="conservative")
        safe, safe_events = w.play(w.begin(), w.end_ms)
        bold, bold_events = replace(w, rules=replace(w.rules, bar_policy="optimistic")).play(w.begin(), w.end_ms)
        sign = np.where(w.signals["direction"] == "long", 1.0, -1.0)
        for k in np.flatnonzero(safe["ambiguous"]):
            assert bold["ambiguous"].iloc[k] == 1
            last = safe_events[safe_events["signal_id"] == safe["signal_id"].iloc[k]].iloc[-1]
            other = bold_events[
                (bold_events["signal_id"] == last["signal_id"]) & (bold_events["ts_ms"] == last["ts_ms"])
            ]
            leg = other[other["kind"].isin(["TARGET", "TP"])]
            if leg.empty:  # a stop order triggered and stopped in one candle: the other side still holds
                assert last["kind"] == "SL"
                assert safe["opened_ms"].iloc[k] == safe["closed_ms"].iloc[k]
                assert safe["gross_pct"].iloc[k] < 0
            else:
                assert sign[k] * last["price"] <= sign[k] * leg["price"].iloc[0]
                compared += 1
    assert compared > 40


@pytest.mark.parametrize("seed", SEEDS)
def test_a_trade_does_not_depend_on_the_others(seed: int) -> None:
    w = world(600 + seed, n=1000)
    trades, events = w.play(w.begin(), w.end_ms)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(trades))
    for index in np.split(order, [1, 7, 400, 900]):
        part, part_events = w.rows(index).play(w.rows(index).begin(), w.end_ms)
        same(part, trades.iloc[index].reset_index(drop=True))
        mine = events[events["signal_id"].isin(part["signal_id"])]
        same(by_trade(part_events), by_trade(mine))


def test_playing_changes_no_input_and_leaves_finished_rows_alone() -> None:
    w = world(700, n=300)
    begun = w.begin()
    kept = begun.copy(deep=True), w.signals.copy(deep=True), take(w.plan, np.arange(300))
    once, _ = w.play(begun, w.end_ms)
    same(begun, kept[0])
    same(w.signals, kept[1])
    np.testing.assert_array_equal(w.plan.target_price, kept[2].target_price)
    twice, again = w.play(once, w.end_ms)
    same(once, twice)
    assert again.empty
    decorated = once.assign(taken=1, blocked_by="max_open")
    kept_columns, _ = w.play(decorated, w.end_ms)
    assert kept_columns["taken"].eq(1).all()
    assert kept_columns["blocked_by"].eq("max_open").all()


def test_a_book_without_rows_plays_to_empty_frames() -> None:
    w = world(701, n=3)
    none = w.rows(np.empty(0, dtype=np.int64))
    trades, events = none.play(none.begin(), w.end_ms)
    assert list(trades.columns) == list(TRADES)
    assert list(events.columns) == list(TRADE_EVENTS)
    assert len(trades) == len(events) == 0
    assert {name: str(dtype) for name, dtype in trades.dtypes.items()} == dict(TRADES)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    w = world(702, n=3)
    with pytest.raises(ValueError, match="same rows in the same order"):
        w.play(w.begin().iloc[::-1].reset_index(drop=True), w.end_ms)
    with pytest.raises(ValueError, match="expected one each"):
        replace(w, plan=take(w.plan, np.arange(2))).play(w.begin(), w.end_ms)


def test_an_unknown_word_is_refused_by_name() -> None:
    w = world(703, n=3)
    with pytest.raises(ValueError, match="order_type 'iceberg'"):
        replace(w, signals=w.signals.assign(order_type="iceberg")).play(w.begin(), w.end_ms)


def test_fractions_that_leave_nothing_to_the_last_target_are_refused() -> None:
    w = world(704, n=3)
    plan = replace(w.plan, target_fraction=np.full((3, 3), 0.5), n_targets=np.full(3, 3, dtype=np.int64))
    with pytest.raises(ValueError, match="leave something to the last"):
        replace(w, plan=plan).play(w.begin(), w.end_ms)


def test_a_delisted_market_without_a_candle_cannot_close_a_position() -> None:
    w = world(705, n=200)
    trades, _ = w.play(w.begin(), int(w.candles.ts[200]))
    assert trades["status"].eq("OPEN").any()
    with pytest.raises(ValueError, match="last candle"):
        w.play(trades, w.end_ms, Candles.empty(), delisted=True)


def test_costs_never_improve_a_trade() -> None:
    w = world(706, n=1000, funding=False)
    free, _ = replace(w, costs=FREE).play(w.begin(), w.end_ms)
    dear, _ = replace(w, costs=COSTS).play(w.begin(), w.end_ms)
    same_course = (free["closed_ms"] == dear["closed_ms"]) & (free["status"] == "CLOSED")
    assert (dear["pnl_pct"] < free["pnl_pct"])[same_course].all()


def test_trades_of_many_series_in_one_call_are_played_as_if_each_series_were_alone() -> None:
    worlds = [world(seed, n=40, minutes=900) for seed in (501, 502, 503)]
    shared = [replace(w, rules=worlds[0].rules, costs=worlds[0].costs) for w in worlds]
    alone = [w.play(w.begin(), w.end_ms) for w in shared]

    counts = [len(w.signals) for w in shared]
    ids = np.arange(sum(counts))
    signals = pd.concat([w.signals for w in shared], ignore_index=True).assign(id=ids)
    begun = pd.concat([w.begin() for w in shared], ignore_index=True).assign(signal_id=ids)
    runs = [Run(w.candles, w.end_ms, w.marks) for w in shared]
    plan = joined([w.plan for w in shared])
    owner = np.repeat(np.arange(3), counts)
    trades, events = play(begun, signals, plan, runs, owner, shared[0].rules, shared[0].costs)

    expected = pd.concat([rows for rows, _ in alone], ignore_index=True)
    pd.testing.assert_frame_equal(
        trades.drop(columns="signal_id"), expected.drop(columns="signal_id"), check_exact=True
    )
    told = pd.concat([rows for _, rows in alone], ignore_index=True)
    pd.testing.assert_frame_equal(events.drop(columns="signal_id"), told.drop(columns="signal_id"), check_exact=True)


def joined(plans: list[ExitPlan]) -> ExitPlan:
    """One plan over the rows of several."""
    flat = ("n_targets", "be_after", "trail_kind", "trail_mult", "trail_after", "max_hold_candles", "exit_at_ms")
    lengths = np.concatenate([np.diff(plan.exit_at_from) for plan in plans])
    return ExitPlan(
        target_price=np.vstack([plan.target_price for plan in plans]),
        target_fraction=np.vstack([plan.target_fraction for plan in plans]),
        **{name: np.concatenate([getattr(plan, name) for plan in plans]) for name in flat},
        exit_at_from=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )
