"""The look-ahead check catches every planted leak, and is silent on what is honest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.checks._compare import Compute
from core.checks._subjects import scanned, subjects
from core.checks.lookahead import OTHER_FUTURE, find_leaks, other_future
from core.clock import MINUTE_MS
from core.execution.rules import ExecutionRules
from core.exits.tp1_be_trail import Tp1BeTrail
from core.features import feature_set
from core.schema import Candles
from core.setups.fibo_avwap import FiboAvwap
from tests.unit.checks import parts

CUTS = 24


@pytest.fixture(scope="module")
def candles() -> Candles:
    return parts.world(days=15).longer["15m"]


def leaks(compute: Compute, candles: Candles, seed: int = 1, cuts: int = CUTS) -> list[str]:
    return [leak.field for leak in find_leaks(compute, candles, cuts, np.random.default_rng(seed))]


def scan_of(setup: parts.PivotSetup | FiboAvwap) -> Compute:
    return scanned(setup, parts.INSTRUMENT, "15m", parts.RULES)


DISHONEST = {
    "a pivot that is not confirmed": scan_of(parts.PivotSetup(lag=0)),
    "a pivot known at half its lag": scan_of(parts.PivotSetup(lag=parts.WINDOW // 2)),
    "a pivot known one candle early": scan_of(parts.PivotSetup(lag=parts.WINDOW - 1)),
    "the shipped setup with pivots at half their lag": scan_of(parts.Impatient()),
    "a higher timeframe that is not closed": parts.unclosed_hour,
    "a centred window": parts.centred_window,
    "a score by the whole sample": parts.whole_sample_z_score,
    "a negative index that wraps around": parts.negative_index,
}
HONEST = {
    "a confirmed pivot": scan_of(parts.PivotSetup(lag=parts.WINDOW)),
    "the shipped setup": scan_of(FiboAvwap()),
    "a higher timeframe that is closed": parts.closed_hour,
    "a trailing window": parts.trailing_window,
    "a score by what was seen": parts.growing_z_score,
    "an index that is guarded": parts.guarded_index,
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", DISHONEST)
def test_a_planted_leak_is_caught(name: str, seed: int, candles: Candles) -> None:
    assert leaks(DISHONEST[name], candles, seed)


@pytest.mark.parametrize("name", HONEST)
def test_its_honest_twin_is_clean(name: str, candles: Candles) -> None:
    assert leaks(HONEST[name], candles) == []


@pytest.mark.parametrize(("world", "seed"), [("walk", 5), ("fat", 6), ("edge", 7)])
def test_every_part_of_the_engine_is_clean_in_every_world(world: str, seed: int) -> None:
    market = parts.world(world, seed, days=14)
    features = feature_set()
    every = list(subjects(market, [FiboAvwap()], parts.RULES, Tp1BeTrail(), ExecutionRules(), features))
    families = {f"features.{family.name}" for family in features.families}
    assert {one.name for one in every} == {"fibo_avwap", "indicators", "resample", "simulate"} | families
    for one in every:
        assert leaks(one.compute, one.candles, seed, cuts=6) == [], (one.name, one.series)


def test_each_way_of_changing_the_future_is_tried_and_named(candles: Candles) -> None:
    found = find_leaks(parts.whole_sample_z_score, candles, 4, np.random.default_rng(1))
    assert {leak.how for leak in found} == {"future removed", "another future"}


def test_a_leak_names_field_candle_and_both_values() -> None:
    ts = MINUTE_MS * np.arange(6)
    prices = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    candles = Candles.of(ts, prices, prices, prices, prices, prices)

    def next_close(run: Candles) -> dict[str, np.ndarray]:
        return {"next": np.append(run.close[1:], -1.0)[: len(run)]}

    removed = [leak for leak in find_leaks(next_close, candles, 5, np.random.default_rng(1)) if "removed" in leak.how]
    assert [(leak.field, leak.ts_ms, leak.whole, leak.cut) for leak in removed] == [
        ("next", int(ts[k]), prices[k + 1], -1.0) for k in range(5)
    ]
    assert [leak.cut_ms for leak in removed] == ts[:5].tolist()


def test_a_row_stamped_later_than_the_last_candle_is_a_leak(candles: Candles) -> None:
    def tomorrow(run: Candles) -> pd.DataFrame:
        return pd.DataFrame({"ts_ms": run.ts + 900_000, "price": run.close})

    found = find_leaks(tomorrow, candles, 2, np.random.default_rng(1))
    assert {leak.how for leak in found} >= {"ahead of its candle"}


def test_a_leak_of_one_row_among_few_is_found_by_cutting_right_behind_it(candles: Candles) -> None:
    peak = int(np.argmax(candles.high[:-40]))  # rare: once in the whole history

    def rare(run: Candles) -> pd.DataFrame:
        shown = [100, 900, 1200] + ([peak] if len(run) > peak + 1 else [])
        at = np.array([place for place in sorted(shown) if place < len(run)], dtype=np.int64)
        return pd.DataFrame({"ts_ms": run.ts[at], "price": run.close[at]})

    for seed in range(5):
        assert leaks(rare, candles, seed, cuts=8) == ["row"]


def test_noise_of_rounding_is_no_leak(candles: Candles) -> None:
    rng = np.random.default_rng(3)

    def noisy(run: Candles) -> dict[str, np.ndarray]:
        return {"price": run.close * (1.0 + 1e-13 * rng.normal(size=len(run)))}

    assert leaks(noisy, candles) == []


def test_the_same_seed_finds_the_same_leaks(candles: Candles) -> None:
    found = [find_leaks(parts.centred_window, candles, 10, np.random.default_rng(4)) for _ in range(2)]
    assert [(leak.cut_ms, leak.field, leak.ts_ms) for leak in found[0]] == [
        (leak.cut_ms, leak.field, leak.ts_ms) for leak in found[1]
    ]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_candles_are_no_obstacle(n: int, candles: Candles) -> None:
    assert leaks(scan_of(FiboAvwap()), candles.slice(0, n)) == []


def test_what_does_not_fit_the_candles_is_refused(candles: Candles) -> None:
    with pytest.raises(ValueError, match="'half' has 720 values for 1440 candles"):
        leaks(lambda run: {"half": run.close[::2]}, candles)
    with pytest.raises(ValueError, match="ts_ms"):
        leaks(lambda run: pd.DataFrame({"price": run.close}), candles)


def test_another_future_goes_on_where_the_past_ends_and_looks_like_candles(candles: Candles) -> None:
    future = other_future(candles, 800, np.random.default_rng(9))
    joined = Candles.concat([candles.slice(0, 800), future])
    assert len(future) == OTHER_FUTURE
    assert (np.diff(joined.ts) == 900_000).all()
    assert (future.high >= np.maximum(future.open, future.close)).all()
    assert (future.low <= np.minimum(future.open, future.close)).all() and (future.low > 0).all()
    assert abs(future.open[0] / candles.close[799] - 1) < 0.02
    assert not np.allclose(future.close, candles.close[800 : 800 + OTHER_FUTURE], rtol=1e-3)
