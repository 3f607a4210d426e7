"""Planted leaks and short warm-ups of families of features are caught, and named with column and candidate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from core.checks._described import HELD, finished, settlements
from core.checks._subjects import families
from core.checks.lookahead import find_leaks
from core.checks.warmup import find_cold_starts
from core.clock import DAY_MS, HOUR_MS, timeframe_ms
from core.features import OUTCOMES, FeatureSet, View, feature_set
from core.features._base import Family, last_at
from core.indicators.resample import resample
from core.pipeline import scan
from core.schema import Candles, FloatArray
from core.setups.fibo_avwap import FiboAvwap
from tests.unit.checks import parts

TIMEFRAME = "15m"
CUTS = 16


@dataclass(frozen=True)
class Planted:
    """A family of one column that reads what it wants."""

    reads: Callable[[View], FloatArray]
    name: str = "planted"
    columns: tuple[str, ...] = ("planted_value",)
    required: tuple[str, ...] = ()
    warmup: int = 0
    version: int = 1

    def compute(self, view: View) -> FloatArray:
        return self.reads(view)[:, None]


def at_or_unknown(values: FloatArray, at: np.ndarray) -> FloatArray:
    return np.append(values, np.nan)[np.where((at >= 0) & (at < len(values)), at, -1)]


def next_candle(view: View) -> FloatArray:
    return at_or_unknown(view.candles.close, view.at + 1)


def benchmark_ahead(view: View) -> FloatArray:
    """The benchmark's candle that opens with the decision."""
    return at_or_unknown(view.benchmark.close, last_at(view.benchmark.ts, view.plans.decided_ms))


def longer_bar_not_closed(view: View) -> FloatArray:
    ts = view.candles.ts
    bars = resample(view.candles, HOUR_MS, int(ts[0]), int(ts[-1]) + HOUR_MS)
    return at_or_unknown(bars.close, last_at(bars.ts, view.plans.decided_ms - 1))


def whole_sample_z_score(view: View) -> FloatArray:
    volume = view.candles.volume
    return (volume[view.at] - volume.mean()) / volume.std()


def outcome_before_it_is_known(view: View) -> FloatArray:
    return at_or_unknown(view.outcomes.r, last_at(view.outcomes.known_ms, view.plans.decided_ms) + 1)


def settlement_to_come(view: View) -> FloatArray:
    return at_or_unknown(view.funding[:, 1], last_at(view.funding[:, 0].astype(np.int64), view.plans.decided_ms) + 1)


DISHONEST = {
    "a candle ahead": next_candle,
    "the benchmark a candle ahead": benchmark_ahead,
    "a longer bar that is not closed": longer_bar_not_closed,
    "a score by the whole sample": whole_sample_z_score,
    "an outcome before it is known": outcome_before_it_is_known,
    "a settlement to come": settlement_to_come,
}


@pytest.fixture(scope="module")
def candles() -> Candles:
    return parts.world(days=40).longer[TIMEFRAME]


def leaks_of(families_: tuple[Family, ...], candles: Candles, seed: int) -> dict[str, set[str]]:
    """Return the columns that look ahead, by part."""
    found: dict[str, set[str]] = {}
    for one in families(FiboAvwap(), parts.INSTRUMENT, TIMEFRAME, candles, parts.RULES, FeatureSet(families_)):
        leaks = find_leaks(one.compute, one.candles, CUTS, np.random.default_rng(seed))
        assert all(leak.candidate.split()[0] in ("long", "short") for leak in leaks)
        assert {leak.ts_ms for leak in leaks} <= set(candles.ts.tolist())
        found[one.name] = {leak.field for leak in leaks}
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", DISHONEST)
def test_a_feature_that_looks_ahead_is_caught_and_named(name: str, seed: int, candles: Candles) -> None:
    assert leaks_of((Planted(DISHONEST[name]),), candles, seed) == {"features.planted": {"planted_value"}}


def test_the_family_that_looks_ahead_is_named_among_honest_ones(candles: Candles) -> None:
    found = leaks_of((*feature_set().families, Planted(benchmark_ahead)), candles, seed=3)
    assert found.pop("features.planted") == {"planted_value"}
    assert found == {f"features.{family.name}": set() for family in feature_set().families}


def test_a_row_of_the_leak_can_be_found_again(candles: Candles) -> None:
    (one,) = families(
        FiboAvwap(), parts.INSTRUMENT, TIMEFRAME, candles, parts.RULES, FeatureSet((Planted(next_candle),))
    )
    leak = find_leaks(one.compute, one.candles, CUTS, np.random.default_rng(1))[0]
    signals = scan(candles, parts.INSTRUMENT, TIMEFRAME, FiboAvwap(), parts.RULES)
    mine = signals[signals["ts_ms"] == leak.ts_ms].iloc[0]
    assert leak.candidate == f"{mine['direction']} {mine['entry']:g}"
    assert leak.whole == candles.close[int(np.searchsorted(candles.ts, leak.ts_ms)) + 1]


# -- what lies around is made of the candles, and known when it may be known


@pytest.mark.parametrize("timeframe", ["15m", "1h"])
def test_settlements_and_outcomes_are_made_of_candles_that_have_closed_by_then(timeframe: str) -> None:
    whole = parts.world(days=20).longer[timeframe]
    signals = scan(whole, parts.INSTRUMENT, timeframe, parts.PivotSetup(lag=parts.WINDOW), parts.RULES)
    settled, ended = settlements(whole), finished(signals, whole, timeframe)
    assert (np.diff(settled[:, 0]) == 8 * HOUR_MS).all() and len(settled) == 3 * 20
    assert len(ended.r) > 20 and (np.diff(ended.known_ms) >= 0).all()
    for k in range(100, len(whole), 97):
        past = whole.slice(0, k)
        now_ms = int(past.ts[-1]) + timeframe_ms(timeframe)
        known = signals[signals["ts_ms"] <= past.ts[-1]]
        of_then = finished(known, past, timeframe)
        there = ended.known_ms <= now_ms
        np.testing.assert_array_equal(of_then.known_ms, ended.known_ms[there])
        np.testing.assert_array_equal(of_then.r, ended.r[there])
        np.testing.assert_array_equal(settlements(past), settled[settled[:, 0] < now_ms])
    begun = signals["decided_ms"].to_numpy()[: len(ended.known_ms)]
    assert (ended.known_ms - begun).max() <= DAY_MS * HELD


# -- warm-ups


def cold_columns(family: Family, candles: Candles, warmup: int) -> set[str]:
    object.__setattr__(family, "warmup", warmup)
    (one,) = families(FiboAvwap(), parts.INSTRUMENT, TIMEFRAME, candles, parts.RULES, FeatureSet((family,)))
    assert one.warmup == warmup and one.name == f"features.{family.name}"
    found = find_cold_starts(one.compute, one.candles, warmup, CUTS, np.random.default_rng(1))
    assert all(cold.candidate for cold in found)
    return {cold.field for cold in found}


CANDLES_NEEDED = {family.name: family.warmup for family in feature_set().families if family.warmup > 0}


@pytest.mark.parametrize("name", CANDLES_NEEDED)
def test_a_family_that_declares_too_few_candles_is_named_with_its_columns(name: str, candles: Candles) -> None:
    (family,) = (family for family in feature_set().families if family.name == name)
    cold = cold_columns(family, candles, CANDLES_NEEDED[name] // 10)
    assert cold and cold <= set(family.columns)


@pytest.mark.parametrize("name", [family.name for family in feature_set().families if family.name != OUTCOMES])
def test_what_a_family_declares_is_enough(name: str, candles: Candles) -> None:
    (family,) = (family for family in feature_set().families if family.name == name)
    assert cold_columns(family, candles, family.warmup) == set()


def test_outcomes_declare_no_warmup(candles: Candles) -> None:
    every = families(FiboAvwap(), parts.INSTRUMENT, TIMEFRAME, candles, parts.RULES, feature_set())
    assert {one.name for one in every if one.warmup is None} == {"features.outcomes"}
